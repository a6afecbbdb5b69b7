"""In: the receipts. Out: how many came when, counted beside the door; and the numbers of the whole
inbox, as of a moment.

A push writes no counter, for all would wait for one row. A job counts what came: by the minute,
the last ones again each time, since a receipt may be committed a moment after its time; and by the
hour, every receipt once, in the order of the ids, when no lower id can be committed any more. From
then on that number stands, so that a receipt which vanished is missed:
received = processed + ignored + quarantined + waiting + deleted when old.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from callbacks.models import InboxTally, Receipt, Snapshot
from campaigns.locks import hold_until_commit
from campaigns.platforms.registry import PLATFORMS
from campaigns.statistics import balance_contacts

#: a push about a call that ended longer ago than this came late
LATE_AFTER = timedelta(minutes=15)
#: minutes that are counted again with every run: most of what waits is read by then
AGAIN = timedelta(minutes=2)
MINUTES_KEPT = timedelta(days=2)
#: no transaction that stores pushes lasts longer: ids given so long ago are committed, or never
SETTLED_AFTER = timedelta(minutes=30)
#: how far the ids are is noted this often
MARKED_EVERY = timedelta(minutes=5)
#: ids that are closed in one statement
CLOSED_AT_ONCE = 200_000
#: the whole is counted again after so many times what it took, so that it is never most of the work
REST = 50
MINUTE = timedelta(minutes=1)
#: the kind of advisory lock: who counts the minutes
COUNTING = 70_078
WHOLE, CLOSED, MINUTES = "inbox", "closed", "minutes"

_COUNT = """
INSERT INTO callbacks_inboxtally AS t (span, begins_at, account_id, kind, source, received, late)
SELECT %(span)s, date_trunc(%(span)s, r.received_at, 'UTC'), r.account_id,
    {kind}, r.source,
    count(*), count(*) FILTER (WHERE c.ended_at < r.received_at - %(late)s)
FROM callbacks_receipt r
LEFT JOIN campaigns_call c ON r.platform_call_id <> '' AND c.account_id = r.account_id
    AND c.platform_call_id = r.platform_call_id
WHERE {where}
GROUP BY 2, 3, 4, 5 ORDER BY 2, 3, 4, 5
ON CONFLICT (span, begins_at, account_id, kind, source)
DO UPDATE SET received = {received}, late = {late}
"""
# By the name that the platform has for it, once the push has been read. What is counted for ever
# goes by the address, which is known at once: a number that was told once never falls.
_ADDRESSED = "CASE WHEN r.kind = ANY(%(kinds)s::text[]) THEN r.kind ELSE %(other)s END"
_COUNT_MINUTES = _COUNT.format(
    kind=f"coalesce(nullif(r.told_kind, ''), {_ADDRESSED})",
    where="r.id >= %(first)s AND r.received_at >= %(begin)s",
    received="excluded.received",
    late="excluded.late",
)
_COUNT_HOURS = _COUNT.format(
    kind=_ADDRESSED,
    where="r.id > %(after)s AND r.id <= %(up_to)s",
    received="t.received + excluded.received",
    late="t.late + excluded.late",
)
# One statement, so one moment: what is committed meanwhile is in all of the numbers or in none.
_WHOLE = """
SELECT
    (SELECT jsonb_agg(jsonb_build_array(account_id, kind, n, late)) FROM (
        SELECT account_id, kind, sum(n) AS n, sum(late) AS late FROM (
            SELECT account_id, kind, sum(received) AS n, sum(late) AS late
            FROM callbacks_inboxtally WHERE span = 'hour' GROUP BY 1, 2
            UNION ALL
            SELECT account_id,
                CASE WHEN kind = ANY(%(kinds)s::text[]) THEN kind ELSE %(other)s END, count(*), 0
            FROM callbacks_receipt WHERE id > %(closed)s GROUP BY 1, 2
        ) AS parts GROUP BY 1, 2 ORDER BY 1, 2
    ) AS streams),
    (SELECT jsonb_object_agg(status, n) FROM
        (SELECT status, count(*) AS n FROM callbacks_receipt GROUP BY status) AS states),
    (SELECT jsonb_object_agg(status, n) FROM
        (SELECT status, sum(number) AS n FROM callbacks_forgotten GROUP BY status) AS gone)
"""


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
    """Bring minutes and hours up to date."""
    now = timezone.now()
    with transaction.atomic():
        # Another count may be under way. What it has written is deleted only once it can be seen,
        # or a minute that got another name meanwhile would be there twice.
        hold_until_commit(COUNTING, 0)
        newest = (
            InboxTally.objects.filter(span="minute")
            .order_by("-begins_at")
            .values_list("begins_at", flat=True)
            .first()
        )
        begin = max(newest - AGAIN if newest else now - MINUTES_KEPT, now - MINUTES_KEPT)
        begin = begin.replace(second=0, microsecond=0)
        # what waited when it was counted may have a name by now
        InboxTally.objects.filter(span="minute", begins_at__gte=begin).delete()
        _count(_COUNT_MINUTES, "minute", first=find_first_id(begin), begin=begin)
    InboxTally.objects.filter(span="minute", begins_at__lt=now - MINUTES_KEPT).delete()
    write_snapshot(MINUTES, {}, now)
    while close_ids(now):
        pass


def close_ids(now: datetime) -> bool:
    """Count the receipts below which nothing can be committed any more; whether some are left.

    ``id`` is the highest that was counted, ``marks`` how far the ids were when.
    """
    Snapshot.objects.get_or_create(pk=CLOSED, defaults={"taken_at": now, "numbers": {"id": 0}})
    with transaction.atomic():
        row = Snapshot.objects.select_for_update().get(pk=CLOSED)
        closed = int(row.numbers["id"])
        marks = [(datetime.fromisoformat(at), pk) for at, pk in row.numbers.get("marks", [])]
        settled = max((pk for at, pk in marks if now - at >= SETTLED_AFTER), default=closed)
        up_to = min(settled, closed + CLOSED_AT_ONCE)
        if up_to > closed:
            _count(_COUNT_HOURS, "hour", after=closed, up_to=up_to)
        if not marks or now - marks[-1][0] >= MARKED_EVERY:
            newest = Receipt.objects.aggregate(pk=Max("pk"))["pk"] or 0
            marks.append((now, max(newest, closed)))
        kept = [(at.isoformat(), pk) for at, pk in marks if pk > up_to or now - at < SETTLED_AFTER]
        write_snapshot(CLOSED, {"id": up_to, "marks": kept}, now)
    return up_to < settled


def _count(statement: str, span: str, **bounds: Any) -> None:
    values = {"span": span, "late": LATE_AFTER, **name_kinds(), **bounds}
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def name_kinds() -> dict[str, Any]:
    """The kinds that platforms have; all others are counted together."""
    kinds = {kind for platform in PLATFORMS.values() for kind in platform.kinds} | {""}
    return {"kinds": sorted(kinds), "other": InboxTally.OTHER}


# ------------------------------------------------------------------------------------- the whole


def take_snapshot() -> Snapshot:
    """Count the whole inbox and all contacts, unless that was done a short while ago."""
    last = Snapshot.objects.filter(pk=WHOLE).first()
    now = timezone.now()
    if last is not None and timedelta(0) <= now - last.taken_at < REST * timedelta(
        milliseconds=last.took_ms
    ):
        return last
    began = time.monotonic()
    numbers: dict[str, Any] = {"inbox": count_whole(), "contacts": balance_contacts()}
    took = time.monotonic() - began
    return write_snapshot(WHOLE, numbers, now, took_ms=round(took * 1000))


def count_whole() -> dict[str, Any]:
    """What was received as it was counted when it came, where it is now, and whether that is the
    same; ``streams`` are (account, kind, pushes, late ones). All of one moment."""
    with transaction.atomic(), connection.cursor() as cursor:
        # The hours must be those of this number.
        cursor.execute(
            "SELECT (numbers ->> 'id')::bigint FROM callbacks_snapshot WHERE name = %s FOR SHARE",
            [CLOSED],
        )
        closed = (cursor.fetchone() or [0])[0]
        cursor.execute(_WHOLE, {"closed": closed, **name_kinds()})
        # Django's cursors leave jsonb as text.
        streams, states, gone = (json.loads(part or "null") for part in cursor.fetchone())
    states, gone = states or {}, gone or {}
    streams = streams or []
    counts = {
        "received": sum(stream[2] for stream in streams),
        "processed": states.get("processed", 0),
        "ignored": states.get("ignored", 0),
        "quarantined": states.get("quarantined", 0),
        "waiting": states.get("received", 0),
        "forgotten": sum(gone.values()),
    }
    kept = sum(counts.values()) - counts["received"]
    return counts | {"missing": counts["received"] - kept, "streams": streams}


def write_snapshot(
    name: str, numbers: Mapping[str, Any], at: datetime, *, took_ms: int = 0
) -> Snapshot:
    values = {"numbers": dict(numbers), "taken_at": at, "took_ms": took_ms}
    return Snapshot.objects.update_or_create(pk=name, defaults=values)[0]
