"""In: a push that the platform can be asked about. Out: verified, or where the platform differs.

A push proves nothing: whoever knows the address can make one. Only what the platform answers over
its own interface counts, and it is believed over every push. The answer's record has the shape of
the push, so the two are compared field by field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.connections import open_client
from campaigns.ingest import VERIFY_JOB, apply_events, link_late
from campaigns.models import Verification
from campaigns.platforms.contract import Can, Verified
from campaigns.platforms.errors import Consequence, PlatformError, Rejected, Uncertain
from campaigns.platforms.events import PushClaimed
from campaigns.platforms.values import clean
from campaigns.queue import enqueue

#: differences kept of one push
MOST_DIFFERENCES = 200
#: a question is put again when nobody did it for so long, and so often
ASK_AGAIN, TRIES = timedelta(minutes=10), 5
TRY_SECONDS, LONGEST_WAIT = 30.0, 300.0

SAME = N_("The platform was asked and says the same.")
DIFFERS = N_("The platform was asked and says otherwise. What it answered is believed.")
TOO_OLD = N_(
    "The platform answers for about three months only, and this call is older. It can no longer be"
    " verified."
)
NO_ANSWER = N_("The platform gave no answer that can be used. Ask again later.")


class VerifyRefused(Exception):
    """It cannot be asked; the text is a sentence for the operator, translated."""


def request_verification(verification: Verification, *, by: Any) -> Verification:
    """Have the platform asked about a push. Raises ``VerifyRefused``."""
    account = verification.call.account
    if not account.can(Can.VERIFY_PUSHES):
        raise VerifyRefused(account.explain(Can.VERIFY_PUSHES))
    if is_too_old(verification):
        lifecycle.move(verification, "too_old", of=_ASKABLE, reason=TOO_OLD, by=by)
        raise VerifyRefused(_(TOO_OLD))
    with transaction.atomic():
        fresh: dict[str, Any] = {"asked_at": timezone.now(), "tries": 0, "said": ""}
        if not lifecycle.move(verification, "asking", of=_ASKABLE, by=by, **fresh):
            raise VerifyRefused(_("The platform is being asked already."))
        enqueue(VERIFY_JOB, verification_id=verification.pk)
    return verification


_ASKABLE = ("unasked", "verified", "mismatch", "denied", "failed", "too_old")


def is_too_old(verification: Verification) -> bool:
    call = verification.call
    days = call.account.vendor.limits.verify_days
    return bool(days) and call.happened_at < timezone.now() - timedelta(days=days)


def verify_push(verification_id: int) -> float | None:
    """Ask the platform about one push and write down what it says.

    Returns seconds after which to try again, None when there is an end to it. Asking twice does no
    harm, so a job that comes twice does none.
    """
    rows = Verification.objects.select_related("call__account")
    verification = rows.filter(pk=verification_id, status="asking").first()
    if verification is None:
        return None
    if is_too_old(verification):
        lifecycle.move(verification, "too_old", of=["asking"], reason=TOO_OLD)
        return None
    verification.tries += 1
    Verification.objects.filter(pk=verification.pk).update(
        tries=F("tries") + 1, asked_at=timezone.now()
    )
    try:
        answer = open_client(verification.call.account).verify_push(verification.query)
    except Rejected as error:
        # Refused as a whole, it was not asked about this push.
        denied = error.consequence == Consequence.TELL_OPERATOR
        lifecycle.move(
            verification,
            "denied" if denied else "failed",
            of=["asking"],
            reason=error.advice,
            said=str(error)[:300],
        )
        return None
    except PlatformError as error:
        # Asking does nothing at the platform: whatever came of it, it may be asked again.
        if verification.tries < TRIES:
            return min(getattr(error, "retry_after", None) or TRY_SECONDS, LONGEST_WAIT)
        reason = NO_ANSWER if isinstance(error, Uncertain) else error.advice or NO_ANSWER
        lifecycle.move(verification, "failed", of=["asking"], reason=reason)
        return None
    _keep_answer(verification, answer)
    return None


def _keep_answer(verification: Verification, answer: Verified) -> None:
    account = verification.call.account
    differences = list(compare(verification.claim, clean(answer.record)))[:MOST_DIFFERENCES]
    events = [event for event in answer.events if not isinstance(event, PushClaimed)]
    with transaction.atomic():
        applied = apply_events(account, events)
        lifecycle.move(
            verification,
            "mismatch" if differences else "verified",
            of=["asking"],
            reason=DIFFERS if differences else SAME,
            differences=differences,
            asked_at=timezone.now(),
        )
    link_late(account.pk, applied.call_ids)


def compare(claim: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[dict[str, str | None]]:
    """The leaves in which two records differ: {"field", "claimed", "answered"}, None: not said.

    12 and "12" are the same; null, "", [] and {} all say nothing.
    """
    claimed, answered = dict(_list_leaves(claim)), dict(_list_leaves(answer))
    for field in sorted({*claimed, *answered}):
        one, other = claimed.get(field), answered.get(field)
        if one != other:
            yield {"field": field, "claimed": one, "answered": other}


def _list_leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _list_leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _list_leaves(inner, f"{path}[{index}]")
    elif value is not None and value != "":
        yield path, _spell(value)


def _spell(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def list_due_questions(*, limit: int = 200) -> list[int]:
    """Questions that nobody put for a while: their job was lost with its worker."""
    since = timezone.now() - ASK_AGAIN
    due = Q(asked_at__lt=since) | Q(asked_at=None, created_at__lt=since)
    waiting = Verification.objects.filter(due, status="asking").order_by("id")
    return list(waiting.values_list("pk", flat=True)[:limit])
