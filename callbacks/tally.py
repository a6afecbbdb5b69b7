"""In: the receipts. Out: how many came when, counted beside the door; and the numbers of the whole
inbox, as of a moment.

A push writes no counter, for all would wait for one row. A job counts what came: of the last
minutes again each time, since a receipt may be committed a moment after its time; of an hour once,
when nothing of it can come any more. From then on its number stands, so that a receipt which
vanished is missed: received = processed + ignored + quarantined + waiting + deleted when old.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Min
from django.utils import timezone

from callbacks.models import InboxTally, Receipt, Snapshot
from campaigns.platforms.registry import PLATFORMS
from campaigns.statistics import balance_contacts

#: a push about a call that ended longer ago than this came late
LATE_AFTER = timedelta(minutes=15)
#: minutes that are counted again with every run: most of what waits is read by then
AGAIN = timedelta(minutes=2)
MINUTES_KEPT = timedelta(days=2)
#: an hour is closed so long after its end; no transaction that stores pushes lasts longer
CLOSED_AFTER = timedelta(minutes=30)
HOURS_PER_RUN = 200
#: the whole is counted again after so many times what it took, so that it is never most of the work
REST = 50
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
WHOLE, CLOSED, MINUTES = "inbox", "closed", "minutes"

_COUNT = """
INSERT INTO callbacks_inboxtally (span, begins_at, account_id, kind, source, received, late)
SELECT %(span)s, date_trunc(%(span)s, r.received_at, 'UTC'), r.account_id,
    CASE WHEN r.kind = ANY(%(kinds)s::text[]) THEN r.kind ELSE %(other)s END, r.source,
    count(*), count(*) FILTER (WHERE c.ended_at < r.received_at - %(late)s)
FROM callbacks_receipt r
LEFT JOIN campaigns_call c ON r.platform_call_id <> '' AND c.account_id = r.account_id
    AND c.platform_call_id = r.platform_call_id
WHERE r.id >= %(first)s AND r.id < %(beyond)s
    AND r.received_at >= %(begin)s AND r.received_at < %(end)s
GROUP BY 2, 3, 4, 5 ORDER BY 2, 3, 4, 5
ON CONFLICT (span, begins_at, account_id, kind, source)
DO UPDATE SET received = excluded.received, late = excluded.late
"""
# One statement, so one moment: what is committed meanwhile is in all of the numbers or in none.
_WHOLE = """
SELECT coalesce((SELECT sum(received) FROM callbacks_inboxtally
                 WHERE span = 'hour' AND begins_at < %(closed)s), 0)
     + (SELECT count(*) FROM callbacks_receipt
        WHERE id >= %(first)s AND received_at >= %(closed)s),
    (SELECT jsonb_object_agg(status, n) FROM
        (SELECT status, count(*) AS n FROM callbacks_receipt GROUP BY status) AS states),
    (SELECT jsonb_object_agg(status, n) FROM
        (SELECT status, sum(number) AS n FROM callbacks_forgotten GROUP BY status) AS gone),
    clock_timestamp()
"""
BEYOND = 2**63 - 1


def find_first_id(
    moment: datetime, *, slack: timedelta = AGAIN, table: str = "callbacks_receipt"
) -> int:
    """No row that came at ``moment`` or later has a lower id. Ids are given in the order of time,
    but for rows whose transaction lasted, up to ``slack``; so this needs no index on the time.

    ``table`` is one of ours with an ``at`` or a ``received_at``.
    """
    column = "received_at" if table == "callbacks_receipt" else "at"
    wanted = moment - slack
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT min(id), max(id) + 1 FROM {table}")  # noqa: S608
        low, high = cursor.fetchone()
        if low is None:
            return 0
        while low < high:
            middle = (low + high) // 2
            cursor.execute(
                f"SELECT id, {column} >= %s FROM {table}"  # noqa: S608
                " WHERE id >= %s ORDER BY id LIMIT 1",
                [wanted, middle],
            )
            row = cursor.fetchone()
            if row is None or row[1]:
                high = middle
            else:
                low = row[0] + 1
    return int(low)


# -------------------------------------------------------------------------------------- what came


def count_arrivals() -> None:
    """Bring the minutes and the closed hours up to date."""
    now = timezone.now()
    newest = (
        InboxTally.objects.filter(span="minute")
        .order_by("-begins_at")
        .values_list("begins_at", flat=True)
        .first()
    )
    begin = max(newest - AGAIN if newest else now - MINUTES_KEPT, now - MINUTES_KEPT)
    _count("minute", begin.replace(second=0, microsecond=0), now + MINUTE, find_first_id(begin))
    InboxTally.objects.filter(span="minute", begins_at__lt=now - MINUTES_KEPT).delete()
    write_snapshot(MINUTES, {}, now)
    close_hours(now)


def close_hours(now: datetime, *, most: int = HOURS_PER_RUN) -> int:
    """Count the hours that nothing can be added to any more; returns how many. Those are passed
    over in which nothing came."""
    closed = 0
    while closed < most:
        with transaction.atomic():
            until = read_closed(lock=True)
            first = find_first_id(until, slack=CLOSED_AFTER)
            begin = _find_next(first, until)
            if begin is None or begin + HOUR + CLOSED_AFTER > now:
                return closed
            end = begin + HOUR
            _count("hour", begin, end, first, find_first_id(end + CLOSED_AFTER, slack=MINUTE))
            write_snapshot(CLOSED, {"until": end.isoformat()}, now)
        closed += 1
    return closed


def _find_next(first: int, until: datetime) -> datetime | None:
    """The hour of the first receipt that came at ``until`` or later."""
    rows = Receipt.objects.filter(pk__gte=first, received_at__gte=until)
    found = rows.order_by("id").values_list("received_at", flat=True).first()
    if found is None:
        return None
    # One of the next ids may have come before it.
    beyond = find_first_id(found + CLOSED_AFTER, slack=timedelta(0))
    begin = rows.filter(pk__lte=max(beyond, first)).aggregate(at=Min("received_at"))["at"] or found
    return min(begin, found).astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _count(span: str, begin: datetime, end: datetime, first: int, beyond: int = BEYOND) -> None:
    kinds = sorted({kind for platform in PLATFORMS.values() for kind in platform.kinds} | {""})
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT,
            {
                "span": span,
                "kinds": kinds,
                "other": InboxTally.OTHER,
                "late": LATE_AFTER,
                "first": first,
                "beyond": beyond,
                "begin": begin,
                "end": end,
            },
        )


# ------------------------------------------------------------------------------------- the whole


def take_snapshot(*, least_age: float = 0) -> Snapshot:
    """Count the whole inbox and all contacts, unless that was done a short while ago."""
    last = Snapshot.objects.filter(pk=WHOLE).first()
    now = timezone.now()
    if last is not None:
        age = (now - last.taken_at).total_seconds()
        if 0 <= age < max(least_age, REST * last.took_ms / 1000):
            return last
    began = time.monotonic()
    numbers: dict[str, Any] = {"inbox": count_whole(), "contacts": balance_contacts()}
    took = time.monotonic() - began
    return write_snapshot(WHOLE, numbers, now, took_ms=round(took * 1000))


def count_whole() -> dict[str, Any]:
    """What was received as it was counted when it came, where it is now, and whether that is the
    same. All of one moment."""
    closed = read_closed()
    first = find_first_id(closed, slack=CLOSED_AFTER)
    with connection.cursor() as cursor:
        cursor.execute(_WHOLE, {"closed": closed, "first": first})
        received, states, gone, _at = cursor.fetchone()
    states, gone = states or {}, gone or {}
    counts = {
        "received": int(received),
        "processed": int(states.get("processed", 0)),
        "ignored": int(states.get("ignored", 0)),
        "quarantined": int(states.get("quarantined", 0)),
        "waiting": int(states.get("received", 0)),
        "forgotten": sum(int(number) for number in gone.values()),
    }
    parts = ("processed", "ignored", "quarantined", "waiting", "forgotten")
    return counts | {"missing": counts["received"] - sum(counts[part] for part in parts)}


def read_closed(*, lock: bool = False) -> datetime:
    """The end of the last hour whose number stands."""
    rows = Snapshot.objects.select_for_update() if lock else Snapshot.objects
    row = rows.filter(pk=CLOSED).first()
    if row is None:
        return datetime(2000, 1, 1, tzinfo=UTC)
    return datetime.fromisoformat(row.numbers["until"])


def write_snapshot(
    name: str, numbers: Mapping[str, Any], at: datetime, *, took_ms: int = 0
) -> Snapshot:
    values = {"numbers": dict(numbers), "taken_at": at, "took_ms": took_ms}
    return Snapshot.objects.update_or_create(pk=name, defaults=values)[0]
