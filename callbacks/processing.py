"""In: receipts that wait. Out: each processed, ignored or quarantined with a reason, and its events
written.

A claim (a lease and one more try) is committed before the work, so a receipt that kills its worker
is counted. Receipts are worked off in batches; those that were tried before go alone, so that one
that kills can take nobody with it.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from callbacks import inbox
from callbacks.models import Receipt
from campaigns import lifecycle
from campaigns.ingest import apply_events, link_late
from campaigns.models import Account, StatusChange
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Ignored, Unrecognised
from campaigns.platforms.events import AccountSeen, AgentChanged, AnyEvent, CallEvent
from campaigns.platforms.values import clean_text

logger = logging.getLogger(__name__)

BATCH_SIZE, BATCH_BYTES = 200, 20_000_000
MAX_TRIES = 5
#: a job ends after this time and queues the next one, so that a worker can be stopped in between
JOB_SECONDS = 20.0
LEASE_SECONDS = 30.0

UNDERSTOOD = N_("Understood and applied.")
IGNORED = N_("Known, and changes nothing here.")
NOT_UNDERSTOOD = N_("Cannot be understood.")
PARSER_FAILED = N_("Our own reading of it failed.")
TRIED_TOO_OFTEN = N_("Given up after several tries.")
AGAIN = N_("To be processed again.")

_CLAIM = """
UPDATE callbacks_receipt SET tries = tries + 1, claimed_until = statement_timestamp() + %(lease)s
WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(octet_length(body)) OVER (ORDER BY id) AS total,
               row_number() OVER (ORDER BY id) AS place
        FROM (
            SELECT id, body FROM callbacks_receipt
            WHERE status = 'received' AND tries {tries}
              AND (claimed_until IS NULL OR claimed_until < statement_timestamp())
            ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        ) AS free
    ) AS counted WHERE total <= %(bytes)s OR place = 1
)
RETURNING id
"""


@dataclass(slots=True)
class Outcome:
    """What became of one receipt, before it is written."""

    receipt: Receipt
    status: str
    events: Sequence[AnyEvent] = ()
    reason: str = ""
    detail: str = ""
    sentence: str = UNDERSTOOD
    problems: dict[str, str] = field(default_factory=dict)
    platform_call_id: str = ""


def process_inbox(*, seconds: float = JOB_SECONDS) -> bool:
    """Work off the inbox; True when nothing is left that could be claimed now."""
    ends = time.monotonic() + seconds
    while True:
        batch = claim(fresh=True) or claim(fresh=False)
        if not batch:
            give_up_hopeless()
            return True
        process_batch(batch)
        if time.monotonic() > ends:
            return False


def has_work() -> bool:
    """Whether a receipt waits that nobody has claimed."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    return Receipt.objects.filter(free, status="received").exists()


def claim(*, fresh: bool) -> list[Receipt]:
    """Claim receipts and commit it: many that were never tried, or one that was."""
    statement = _CLAIM.format(tries="= 0" if fresh else f"BETWEEN 1 AND {MAX_TRIES - 1}")
    lease = min(LEASE_SECONDS, settings.LEASE_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {
                "lease": timedelta(seconds=lease),
                "limit": BATCH_SIZE if fresh else 1,
                "bytes": BATCH_BYTES,
            },
        )
        ids = [row[0] for row in cursor.fetchall()]
    receipts = Receipt.objects.filter(pk__in=ids).select_related("account").order_by("id")
    return list(receipts) if ids else []


def process_batch(receipts: Sequence[Receipt]) -> None:
    """Understand and apply claimed receipts together. Where that fails, each goes alone from here:
    that is another try, and claimed as one."""
    by_account: dict[int, list[Outcome]] = defaultdict(list)
    for receipt in receipts:
        by_account[receipt.account_id].append(understand(receipt))
    for outcomes in by_account.values():
        try:
            apply_outcomes(outcomes)
        except Exception as error:
            check_database(error)
            if len(outcomes) == 1:
                note_failure(outcomes[0].receipt, error)
            else:
                ids = [outcome.receipt.pk for outcome in outcomes]
                until = outcomes[0].receipt.claimed_until
                mine = Receipt.objects.filter(pk__in=ids, claimed_until=until)
                mine.update(claimed_until=None)


def note_failure(receipt: Receipt, error: Exception) -> None:
    """Write a failure on the receipt; it is tried again after a while, and given up at last."""
    # The type and nothing more: the text of an error may hold what was sent.
    what = type(error).__name__
    logger.error("Receipt %s failed at try %s: %s.", receipt.pk, receipt.tries, what)
    if receipt.tries >= MAX_TRIES:
        move_all([give_up(receipt, "failed", what)])
        return
    wait = timedelta(seconds=receipt.tries**2)
    mine = Receipt.objects.filter(pk=receipt.pk, claimed_until=receipt.claimed_until)
    mine.update(claimed_until=timezone.now() + wait, detail=what)


def check_database(error: Exception) -> None:
    """Raise the error on when it is the database that is away, not the receipt that is odd."""
    if isinstance(error, OperationalError | InterfaceError) and not connection.is_usable():
        raise error


def understand(receipt: Receipt) -> Outcome:
    """What a receipt says. Pure, and final: what cannot be read now cannot be read later."""
    account: Account = receipt.account
    headers = {
        "content-type": receipt.content_type,
        "content-encoding": receipt.content_encoding,
    }
    try:
        vendor = account.vendor
        reading = Reading(
            account.zone, {one.name: account.get_setting(one.name) for one in vendor.settings}
        )
        events = vendor.parse(Push(receipt.kind, bytes(receipt.body), headers), reading)
        events = tuple(date_event(event, receipt) for event in events)
        for event in events:
            if isinstance(event, AccountSeen) and not adopt_id(account, event):
                raise Unrecognised("foreign_account")
    except Unrecognised as error:
        return Outcome(
            receipt,
            "quarantined",
            reason=clean_text(error.reason)[:50],
            detail=clean_text(error.detail)[:2000],
            sentence=NOT_UNDERSTOOD,
        )
    except Ignored as error:
        reason = clean_text(error.reason)[:50]
        return Outcome(receipt, "ignored", reason=reason, sentence=IGNORED)
    except Exception as error:
        check_database(error)
        logger.error("The parser failed on receipt %s: %s.", receipt.pk, type(error).__name__)
        return Outcome(
            receipt,
            "quarantined",
            reason="parser_failed",
            detail=type(error).__name__,
            sentence=PARSER_FAILED,
        )
    problems: dict[str, str] = {}
    for event in events:
        problems |= {clean_text(k)[:200]: clean_text(v)[:300] for k, v in event.problems.items()}
    calls = [event.platform_call_id for event in events if isinstance(event, CallEvent)]
    return Outcome(
        receipt,
        "processed",
        events=events,
        problems=dict(sorted(problems.items())[:200]),
        platform_call_id=clean_text(calls[0])[:200] if calls else "",
    )


def date_event(event: AnyEvent, receipt: Receipt) -> AnyEvent:
    """The event with the time of the receipt where the push does not say when it happened."""
    if isinstance(event, AgentChanged) and event.at is None:
        return dataclasses.replace(event, at=receipt.received_at)
    if isinstance(event, CallEvent):
        return dataclasses.replace(event, heard_at=receipt.received_at)
    return event


def adopt_id(account: Account, event: AccountSeen) -> bool:
    """Whether the push is this account's. The first id that comes is taken for the account's; an
    operator sees it in the settings, and can correct it there."""
    named = clean_text(event.platform_account_id)
    known = account.get_setting(event.setting)
    if not known:
        with connection.cursor() as cursor:
            # One statement, so that of two first pushes one is first.
            cursor.execute(
                "UPDATE campaigns_account SET settings = jsonb_set(settings, %s, %s)"
                " WHERE id = %s AND coalesce(settings ->> %s, '') = ''",
                [[event.setting], json.dumps(named), account.pk, event.setting],
            )
        account.refresh_from_db(fields=["settings"])
        known = account.get_setting(event.setting)
    return known.strip() == named


def apply_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Write the events of one account's receipts and the receipts' own moves, all or nothing."""
    account: Account = outcomes[0].receipt.account
    events = [event for outcome in outcomes for event in outcome.events]
    with transaction.atomic():
        applied = apply_events(
            account, events, receipt_ids=[outcome.receipt.pk for outcome in outcomes]
        )
        move_all(outcomes)
    link_late(account.pk, applied.call_ids)


def move_all(outcomes: Iterable[Outcome]) -> int:
    """Move receipts that are still ours to where they end; each leaves a line in the history.

    One whose lease ran out may belong to somebody else, who applies the same to the same effect.
    """
    by_id = {outcome.receipt.pk: outcome for outcome in outcomes}
    with transaction.atomic():
        rows = Receipt.objects.filter(pk__in=by_id, status=Receipt.Status.RECEIVED)
        locked = rows.select_for_update().order_by("id").values_list("pk", "claimed_until")
        mine = [by_id[pk] for pk, until in locked if until == by_id[pk].receipt.claimed_until]
        write_findings(mine)
        for status in {outcome.status for outcome in mine}:
            ids = [outcome.receipt.pk for outcome in mine if outcome.status == status]
            lifecycle.move_rows(
                Receipt.objects.filter(pk__in=ids),
                status,
                of=["received"],
                processed_at=timezone.now(),
                claimed_until=None,
            )
        StatusChange.objects.bulk_create(
            StatusChange(
                subject="receipt",
                subject_id=outcome.receipt.pk,
                old=Receipt.Status.RECEIVED,
                new=outcome.status,
                reason=outcome.sentence,
            )
            for outcome in mine
        )
    return len(mine)


def write_findings(outcomes: Sequence[Outcome]) -> None:
    """Reason, detail, problems and the call of each receipt, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE callbacks_receipt SET reason = v.reason, detail = v.detail,"
            " problems = v.problems, platform_call_id = coalesce(nullif(v.call, ''),"
            " platform_call_id)"
            " FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::jsonb[], %s::text[])"
            " AS v(id, reason, detail, problems, call) WHERE callbacks_receipt.id = v.id",
            [
                [outcome.receipt.pk for outcome in outcomes],
                [outcome.reason for outcome in outcomes],
                [outcome.detail for outcome in outcomes],
                [json.dumps(outcome.problems) for outcome in outcomes],
                [outcome.platform_call_id for outcome in outcomes],
            ],
        )


def give_up_hopeless() -> int:
    """Quarantine receipts whose every try ended with the death of the worker."""
    hopeless = Receipt.objects.filter(
        status=Receipt.Status.RECEIVED, tries__gte=MAX_TRIES, claimed_until__lt=Now()
    )
    return move_all([give_up(receipt, "kills_worker") for receipt in hopeless.defer("body")[:100]])


def give_up(receipt: Receipt, reason: str, detail: str = "") -> Outcome:
    return Outcome(
        receipt,
        "quarantined",
        reason=reason,
        detail=detail,
        sentence=TRIED_TOO_OFTEN,
    )


def reprocess(receipts: QuerySet[Receipt], *, by: Any = None) -> int:
    """Send receipts through again, with all their tries; returns how many. Those that wait already
    are left alone."""
    ended = ["quarantined", "ignored", "processed"]
    with transaction.atomic():
        old = dict(
            Receipt.objects.filter(pk__in=receipts.order_by().values("pk"), status__in=ended)
            .select_for_update()
            .order_by("id")
            .values_list("pk", "status")
        )
        lifecycle.move_rows(
            Receipt.objects.filter(pk__in=old),
            "received",
            of=ended,
            tries=0,
            claimed_until=None,
            processed_at=None,
            reason="",
            detail="",
            problems={},
        )
        StatusChange.objects.bulk_create(
            StatusChange(
                subject="receipt",
                subject_id=pk,
                old=status,
                new=Receipt.Status.RECEIVED,
                reason=AGAIN,
                by=by if getattr(by, "pk", None) else None,
            )
            for pk, status in old.items()
        )
        # After the commit: a job that has begun by then may not have seen these.
        transaction.on_commit(inbox.call_worker)
    return len(old)
