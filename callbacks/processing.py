"""In: receipts that wait. Out: each processed, ignored or quarantined with a reason, and its events
written.

A claim (a lease and one more try) is committed before the work, so a receipt that kills its worker
is counted. Receipts are worked off in batches, those that were tried once in small ones, and those
that were tried more often alone, so that one that kills takes nobody with it for good.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
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
from campaigns.evidence import Statements, read_statements
from campaigns.garbage import collect_seldom
from campaigns.ingest import Heard, apply_events, gather_events, link_late
from campaigns.meanwhile import work_meanwhile
from campaigns.models import Account, StatusChange
from campaigns.platforms.contract import Platform, Push, Reading
from campaigns.platforms.errors import Ignored, Unrecognised
from campaigns.platforms.events import AccountSeen, AgentChanged, AnyEvent, CallEvent, DialogReady
from campaigns.platforms.values import clean_text
from campaigns.prepared import commit_soon, open_cursor, write_array

logger = logging.getLogger(__name__)

BATCH_SIZE, BATCH_BYTES = 800, 20_000_000
#: behind a batch that is larger than this nothing is claimed ahead
AHEAD_BYTES = 10_000_000
#: of those that were tried once: most of them only shared their batch with one that failed
SECOND_SIZE = 25
MAX_TRIES = 5
#: how often those that failed are looked for while others come
AGAIN_SECONDS = 1.0
#: a batch costs as much as this many pushes by itself: where fewer come, but keep coming, they are
#: waited for so long, and the door has the processor meanwhile
WORTH, COLLECT_SECONDS = 100, 0.1
#: held by the one of this process that waits so: what is committed by then it claims, so the others
#: end, and leave their places to other work
_collecting = threading.Lock()
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
WITH claimed AS (
UPDATE callbacks_receipt
SET tries = tries + 1, claimed_until = statement_timestamp() + %(lease)s::interval
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
RETURNING id, account_id, kind, body, content_type, content_encoding, received_at, tries,
    claimed_until
)
SELECT * FROM claimed ORDER BY id
"""

# Where the lease ran out meanwhile, the receipt is somebody else's, who applies the same to the
# same effect. The history row of each move is written by the same statement. What is to be written
# goes along with the lock: to be joined to it by id, without an index, was each receipt of a batch
# times each.
_MOVE = """
WITH ours AS MATERIALIZED (
    SELECT receipt.id, found.status, found.reason, found.detail, found.problems, found.call,
        found.sentence, found.kind
    FROM unnest(%(ids)s::bigint[], %(until)s::timestamptz[], %(status)s::text[],
        %(reason)s::text[], %(detail)s::text[], %(problems)s::jsonb[], %(call)s::text[],
        %(sentence)s::text[], %(kind)s::text[])
        AS found(id, until, status, reason, detail, problems, call, sentence, kind)
    JOIN callbacks_receipt receipt USING (id)
    WHERE receipt.status = 'received' AND receipt.claimed_until IS NOT DISTINCT FROM found.until
    ORDER BY receipt.id FOR UPDATE OF receipt
), moved AS (
    UPDATE callbacks_receipt receipt
    SET status = ours.status, reason = ours.reason, detail = ours.detail,
        problems = ours.problems, processed_at = statement_timestamp(), claimed_until = NULL,
        platform_call_id = coalesce(nullif(ours.call, ''), receipt.platform_call_id),
        told_kind = ours.kind
    FROM ours WHERE receipt.id = ours.id
    RETURNING receipt.id, ours.status, ours.sentence
)
INSERT INTO campaigns_statuschange (subject, subject_id, old, new, reason, "values", at)
SELECT 'receipt', id, 'received', status, sentence, '{}', statement_timestamp()
FROM moved ORDER BY id RETURNING subject_id
"""


@dataclass(slots=True)
class Claimed:
    """A receipt that is ours until ``claimed_until``, with what its understanding needs, and what
    it says once it has been read."""

    pk: int
    account: Account
    kind: str
    body: bytes
    content_type: str
    content_encoding: str
    received_at: datetime
    tries: int
    claimed_until: datetime | None
    outcome: Outcome | None = None


@dataclass(slots=True)
class Outcome:
    """What became of one receipt, before it is written."""

    receipt: Claimed | Receipt
    status: str
    events: Sequence[AnyEvent] = ()
    #: of each event, where it has been read ahead
    statements: Sequence[Statements | None] = ()
    reason: str = ""
    detail: str = ""
    sentence: str = UNDERSTOOD
    problems: dict[str, str] = field(default_factory=dict)
    platform_call_id: str = ""
    #: the platform's name for it, where the address does not say it
    kind: str = ""
    #: what the events of its batch and account say, where it has been gathered ahead
    heard: Heard | None = None


@collect_seldom()
def process_inbox(*, seconds: float = JOB_SECONDS) -> bool:
    """Work off the inbox; True when nothing is left that could be claimed now, or when another one
    of this process is about to claim it.

    Where more waits than one batch, the next is read while one is written, and the one after it is
    claimed meanwhile.
    """
    if _collecting.locked():
        return True
    ends = time.monotonic() + seconds
    look_again = 0.0
    batch, ahead = claim(fresh=True), list[Claimed]()
    few = 0
    while True:
        later: list[Claimed] = []
        few = few + 1 if 0 < len(batch) < WORTH else 0
        if batch:
            ahead = ahead or claim_next(batch, ends=ends)
            # Whatever is read before its turn: the database is to find nobody idle.
            steps = chain(read_ahead(ahead, behind=batch), read_each(later))
            with work_meanwhile(partial(take_step, steps)):
                later += claim_next(ahead, ends=ends)
                process_batch(batch)
        # While pushes come there is always a fresh one: what failed gets its turn in between.
        if not batch or time.monotonic() >= look_again:
            tried = claim(fresh=False)
            if tried:
                process_batch(tried)
            else:
                give_up_hopeless()
                if not batch:
                    return True
                look_again = time.monotonic() + AGAIN_SECONDS
        if not ahead and time.monotonic() > ends:
            return False
        # Not behind the first: most often it is the only one.
        if few > 1 and not wait_for_more() and not ahead:
            return True
        batch, ahead = ahead or claim(fresh=True), later


def wait_for_more() -> bool:
    """Wait until more have come; False, at once, where another one of this process does."""
    if not _collecting.acquire(blocking=False):
        return False
    try:
        time.sleep(COLLECT_SECONDS)
    finally:
        _collecting.release()
    return True


def claim_next(batch: Sequence[Claimed], *, ends: float) -> list[Claimed]:
    """Claim what is to follow this batch: nothing where that was all, where it is so large that two
    are enough to hold at once, or when the time is over."""
    if len(batch) < BATCH_SIZE or time.monotonic() >= ends:
        return []
    return claim(fresh=True) if sum(len(one.body) for one in batch) <= AHEAD_BYTES else []


def take_step(steps: Iterator[None]) -> bool:
    """Take one of these; False when none is left."""
    return next(steps, _END) is not _END


_END = object()


def read_each(receipts: Iterable[Claimed]) -> Iterator[None]:
    """Read those of them that have not been read, one with each step."""
    for receipt in receipts:
        if receipt.outcome is None:
            receipt.outcome = read(receipt)
            yield


def read_ahead(receipts: Sequence[Claimed], *, behind: Sequence[Claimed]) -> Iterator[None]:
    """Read these and put together what they say of each call, a little with each step. Nothing is
    written or asked for. Of the calls that those ``behind`` are about there will be rows."""
    yield from read_each(receipts)
    by_account: dict[int, list[Outcome]] = defaultdict(list)
    for receipt in receipts:
        if receipt.outcome:
            by_account[receipt.account.id].append(receipt.outcome)
    known = {one.outcome.platform_call_id for one in behind if one.outcome}
    for outcomes in by_account.values():
        heard = gather(outcomes)
        heard.receipts = len(outcomes)
        for outcome in outcomes:
            outcome.heard = heard
        yield
        yield from heard.make_calls(but=known)


def has_work() -> bool:
    """Whether a receipt waits that nobody has claimed."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    return Receipt.objects.filter(free, status="received").exists()


def claim(*, fresh: bool) -> list[Claimed]:
    """Claim receipts and commit it: many that were never tried, else a few that were once, else one
    that was more often."""
    if fresh:
        return _claim("= 0", BATCH_SIZE)
    return _claim("= 1", SECOND_SIZE) or _claim(f"BETWEEN 2 AND {MAX_TRIES - 1}", 1)


def _claim(tries: str, limit: int) -> list[Claimed]:
    lease = timedelta(seconds=min(LEASE_SECONDS, settings.LEASE_SECONDS))
    with open_cursor(binary=True) as cursor:  # most of it are the bodies
        cursor.execute(
            _CLAIM.format(tries=tries), {"lease": lease, "limit": limit, "bytes": BATCH_BYTES}
        )
        rows = cursor.fetchall()
    if not rows:
        return []
    accounts = Account.objects.in_bulk({row[1] for row in rows})
    return [Claimed(row[0], accounts[row[1]], *row[2:]) for row in rows]


def process_batch(receipts: Sequence[Claimed]) -> None:
    """Understand and apply claimed receipts together. Where that fails, they go in smaller groups
    from here: that is another try, and claimed as one."""
    try:
        by_account: dict[int, list[Outcome]] = defaultdict(list)
        for receipt in receipts:
            by_account[receipt.account.id].append(understand(receipt))
        for outcomes in by_account.values():
            apply_or_part(outcomes)
    finally:
        # Each knows the other: nothing of a batch would be let go of before somebody looks for
        # circles, and the next one would be made in memory that no processor has at hand.
        for receipt in receipts:
            receipt.outcome = None


def apply_or_part(outcomes: Sequence[Outcome]) -> None:
    """Apply what receipts of one account say; see to smaller groups where that fails."""
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


def note_failure(receipt: Claimed | Receipt, error: Exception) -> None:
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


def understand(receipt: Claimed | Receipt) -> Outcome:
    """What a receipt says, unless it says that it is not its account's. Final: what cannot be read
    now cannot be read later."""
    ahead = receipt.outcome if isinstance(receipt, Claimed) else None
    outcome = ahead or read(receipt)
    for event in outcome.events:
        if isinstance(event, AccountSeen) and not adopt_id(receipt.account, event):
            return refuse(receipt, Unrecognised("foreign_account"))
    return outcome


def read(receipt: Claimed | Receipt) -> Outcome:
    """What a receipt says. Pure."""
    account: Account = receipt.account
    headers = {
        "content-type": receipt.content_type,
        "content-encoding": receipt.content_encoding,
    }
    try:
        vendor, reading = prepare_reading(account)
        events = vendor.parse(Push(receipt.kind, bytes(receipt.body), headers), reading)
        for event in events:
            date_event(event, receipt.received_at)
    except Unrecognised as error:
        return refuse(receipt, error)
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
    statements: list[Statements | None] = []
    call = ""
    for event in events:
        if event.problems:
            problems |= {
                clean_text(name)[:200]: clean_text(why)[:300]
                for name, why in event.problems.items()
            }
        if isinstance(event, CallEvent):
            stated = state(event)
            statements.append(stated)
            call = call or event.platform_call_id
            if stated and isinstance(event, DialogReady):
                # Its rows have been made: a dialog is not held twice.
                object.__setattr__(event, "turns", ())
        else:
            statements.append(None)
    return Outcome(
        receipt,
        "processed",
        events=events,
        statements=statements,
        problems=dict(sorted(problems.items())[:200]) if problems else {},
        platform_call_id=clean_text(call)[:200],
        kind=name_kind(vendor, receipt.kind, events),
    )


def name_kind(vendor: Platform, kind: str, events: Iterable[AnyEvent]) -> str:
    """What the platform calls such a push; "" where its address says just that, or nothing does."""
    for event in events:
        if not isinstance(event, AccountSeen):
            told = vendor.told_kinds.get(event.source.partition(".")[0], "")
            return told if told != kind else ""
    return ""


def state(event: CallEvent) -> Statements | None:
    """What an event states; None where that fails: then writing it fails, too, and is told as
    that."""
    try:
        return read_statements(event)
    except Exception:
        return None


def refuse(receipt: Claimed | Receipt, error: Unrecognised) -> Outcome:
    return Outcome(
        receipt,
        "quarantined",
        reason=clean_text(error.reason)[:50],
        detail=clean_text(error.detail)[:2000],
        sentence=NOT_UNDERSTOOD,
    )


#: {account: (the settings it was made of, its clock, the platform, how its pushes are read)}
_readings: dict[int, tuple[Any, str, Platform, Reading]] = {}


def prepare_reading(account: Account) -> tuple[Platform, Reading]:
    """How the pushes of an account are read; made once for each time that it was loaded."""
    known = _readings.get(account.id)
    if known and known[0] is account.settings and known[1] == account.time_zone:
        return known[2], known[3]
    vendor = account.vendor
    settings = {one.name: account.get_setting(one.name) for one in vendor.settings}
    reading = Reading(account.zone, settings)
    _readings[account.id] = account.settings, account.time_zone, vendor, reading
    return vendor, reading


def date_event(event: AnyEvent, received_at: datetime) -> None:
    """Set the time of the receipt where the push does not say when it happened. The event has just
    been made and nobody else has it: a copy of each would cost more than its reading."""
    if isinstance(event, AgentChanged) and event.at is None:
        object.__setattr__(event, "at", received_at)
    elif isinstance(event, CallEvent):
        object.__setattr__(event, "heard_at", received_at)


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
    heard = outcomes[0].heard
    # Only what all of these said together, and nobody else: one may have been refused since.
    if heard and (heard.receipts != len(outcomes) or any(o.heard is not heard for o in outcomes)):
        heard = None
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            # The receipts say whether it was done: lost with a crash of the database, it is done
            # again, to the same effect. Whatever is built on it is made safe after it.
            commit_soon()
        applied = apply_events(
            account,
            events,
            receipt_ids=[outcome.receipt.pk for outcome in outcomes],
            statements=[one for outcome in outcomes for one in outcome.statements],
            heard=heard,
        )
        move_all(outcomes)
    link_late(account.pk, applied.call_ids)


def gather(outcomes: Sequence[Outcome]) -> Heard:
    """What receipts of one account say of each call."""
    return gather_events(
        outcomes[0].receipt.account,
        [event for outcome in outcomes for event in outcome.events],
        statements=[one for outcome in outcomes for one in outcome.statements],
    )


def move_all(outcomes: Iterable[Outcome]) -> int:
    """Move receipts that are still ours to where they end; each leaves a line in the history.

    One whose lease ran out may belong to somebody else, who applies the same to the same effect.
    """
    told = sorted(outcomes, key=lambda outcome: outcome.receipt.pk)
    if not told:
        return 0
    for status in {outcome.status for outcome in told}:
        lifecycle.check_moves(Receipt, ["received"], status)
    with open_cursor() as cursor:
        cursor.execute(
            _MOVE,
            {
                "ids": write_array(outcome.receipt.pk for outcome in told),
                "until": write_array(outcome.receipt.claimed_until for outcome in told),
                "status": write_array(outcome.status for outcome in told),
                "reason": write_array(outcome.reason for outcome in told),
                "detail": write_array(outcome.detail for outcome in told),
                "problems": write_array(
                    json.dumps(outcome.problems) if outcome.problems else "{}" for outcome in told
                ),
                "call": write_array(outcome.platform_call_id for outcome in told),
                "sentence": write_array(outcome.sentence for outcome in told),
                "kind": write_array(outcome.kind for outcome in told),
            },
        )
        return int(cursor.rowcount)


def give_up_hopeless() -> int:
    """Quarantine receipts whose every try ended with the death of the worker."""
    hopeless = Receipt.objects.filter(
        status=Receipt.Status.RECEIVED, tries__gte=MAX_TRIES, claimed_until__lt=Now()
    )
    return move_all([give_up(receipt, "kills_worker") for receipt in hopeless.defer("body")[:100]])


def give_up(receipt: Claimed | Receipt, reason: str, detail: str = "") -> Outcome:
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
