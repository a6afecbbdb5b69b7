"""In: an account. Out: what its page says: does it work, do pushes come here, what is mirrored."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.admin.base import (
    make_badge,
    tell_age,
)
from campaigns.connections import SLOWEST
from campaigns.gates.amounts import STOPPED
from campaigns.models import Account, CallbackToken, Line, Robot, Task, Voice
from campaigns.models.accounts import hash_token
from campaigns.platforms.contract import Can


def describe_connection(account: Account) -> Any:
    """A badge: off, pushes only, never tested, works or does not, with the age of the knowledge."""
    if not account.is_active:
        return make_badge(_("switched off"))
    if account.stopped_at is not None:
        why = _(account.stopped_reason) if account.stopped_reason else ""
        return make_badge(_("stopped by the platform"), "bad", title=why)
    if account.vendor.connect is None:
        why = _("This platform takes no calls from us; it sends its pushes, and that is all.")
        return make_badge(_("pushes only"), "info", title=why)
    if account.connection_checked_at is None:
        return make_badge(_("never tested"), "warn")
    age = tell_age(account.connection_checked_at)
    if account.connection_error:
        why = _(account.connection_error)
        return make_badge(_("does not work, %(age)s") % {"age": age}, "bad", title=why)
    return make_badge(_("works, %(age)s") % {"age": age}, "good")


def describe_pace(account: Account) -> str:
    """How slow what adds calls goes since the platform was busy; empty at its own pace."""
    pace = account.find_pace(timezone.now())
    if pace is None or account.slowed_at is None:
        return ""
    values = {"pace": f"{max(pace, SLOWEST):.1f}", "since": tell_age(account.slowed_at)}
    return (
        _("The platform is busy: slowed to %(pace)s requests per second. It said so %(since)s.")
        % values
    )


def describe_stop(account: Account) -> dict[str, Any] | None:
    """What the platform said when it refused the whole account, and since when it does."""
    if account.stopped_at is None:
        return None
    waiting = Task.objects.filter(account=account, paused_by_rule=STOPPED)
    return {
        "why": _(account.stopped_reason) if account.stopped_reason else "",
        "since": tell_age(account.stopped_at),
        "waiting": waiting.exclude(status="deleted").count(),
    }


def describe_callbacks(account: Account) -> list[dict[str, Any]]:
    """For each kind of push: our address, masked, and whether the platform really points there."""
    tokens = {token.hash: token for token in account.callback_tokens.all()}
    live = next((token for token in tokens.values() if token.revoked_at is None), None)
    rows = []
    for kind, words in account.vendor.kinds.items():
        ours = f"{settings.PUBLIC_URL}/callbacks/…{live.hint}/{kind}" if live else ""
        if tells_addresses(account):
            state = judge_callback(account.callback_urls.get(kind or "*", ""), kind, tokens)
        else:
            state = judge_use(list(tokens.values())) if not kind else ""
        rows.append(
            {
                "kind": kind or _("One address for everything"),
                "words": _(words),
                "ours": ours,
                "state": state,
            }
        )
    return rows


def tells_addresses(account: Account) -> bool:
    """Whether the platform says where it pushes to. Who has one address for all never does."""
    return Can.SYNCHRONISE in account.vendor.can and "" not in account.vendor.kinds


def judge_use(tokens: list[CallbackToken]) -> Any:
    """A badge for an address that we can only judge by what came in by it."""
    used = [token.last_used_at for token in tokens if token.last_used_at]
    if not tokens:
        return make_badge(_("no address made yet"), "warn")
    if not used:
        return make_badge(_("nothing came yet"), "warn")
    return make_badge(_("last used %(age)s") % {"age": tell_age(max(used))}, "good")


def judge_callback(theirs: Any, kind: str, tokens: dict[str, CallbackToken]) -> Any:
    """A badge for the address that the platform says it uses."""
    if not theirs or not isinstance(theirs, str):
        return make_badge(_("not set at the platform"), "warn")
    try:
        parts = urlsplit(theirs)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return make_badge(_("points to no address"), "bad")
    pieces = [piece for piece in parts.path.split("/") if piece]
    where = pieces.index("callbacks") if "callbacks" in pieces else len(pieces)
    token = tokens.get(hash_token(pieces[where + 1])) if len(pieces) > where + 1 else None
    if token is None:
        return make_badge(_("points elsewhere: %(host)s") % {"host": host[:60]}, "bad")
    if token.revoked_at is not None:
        return make_badge(_("points here with an old address"), "bad", title=f"…{token.hint}")
    if pieces[where + 2 :] != ([kind] if kind else []):
        return make_badge(_("points here, but as another kind"), "bad")
    if not settings.PUBLIC_URL.endswith(f"//{host}"):
        return make_badge(_("points here by the name %(host)s") % {"host": host[:60]}, "good")
    return make_badge(_("points here"), "good")


def count_mirrors(account: Account) -> list[tuple[str, int, int, str]]:
    """(what, how many the platform lists, how many are gone, link to them)."""
    if Can.SYNCHRONISE not in account.vendor.can:
        return []
    rows = []
    for model in (Robot, Line, Voice) if account.vendor.limits.lines else (Robot,):
        counts = model.objects.filter(account=account).aggregate(
            alive=Count("pk", filter=Q(gone_at=None)), gone=Count("pk", filter=~Q(gone_at=None))
        )
        name = model._meta.model_name
        url = f"{reverse(f'admin:campaigns_{name}_changelist')}?account__id__exact={account.pk}"
        rows.append((str(model._meta.verbose_name_plural), counts["alive"], counts["gone"], url))
    return rows
