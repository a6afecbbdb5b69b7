"""In: the marks that changed calls left. Out: ``CallHour`` and ``CallDay``, counted from the calls.

An hour that has a mark is counted whole and written in place of what was there. So it does not
matter how often that happens, or in which order what happened was committed: whoever counts after
a change was committed counts it. Only one counts at a time; a second one, with an older look at the
calls, could overwrite what the first wrote.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from campaigns.definitions import SQL
from campaigns.models import CallMark, CountState

#: the key of the lock of who counts
LOCK = 7301
#: marks taken at once, and hours counted in one transaction
MARKS, HOURS = 20_000, 200
#: what was counted is left alone for so many times what it took, so that it is never most of the
#: work; and no longer than the longest time that a number may be old
REST, LONGEST_REST = 8, 60.0

_COUNTERS = f"""
    count(*) AS calls,
    count(*) FILTER (WHERE c.answered) AS answered,
    count(*) FILTER (WHERE {SQL["reached"]}) AS reached,
    count(*) FILTER (WHERE {SQL["open"]}) AS unknown,
    count(c.talk_seconds) FILTER (WHERE {SQL["reached"]}) AS timed,
    count(*) FILTER (WHERE {SQL["talked"]}) AS talked,
    coalesce(sum(c.talk_seconds) FILTER (WHERE {SQL["reached"]}), 0) AS talk_seconds
"""
_KINDS = "task_id, robot_id, direction, result, intention"
_NUMBERS = "calls, answered, reached, unknown, timed, talked, talk_seconds"
_SUMS = ", ".join(f"sum({name.strip()})" for name in _NUMBERS.split(","))

_TAKE = """
DELETE FROM campaigns_callmark WHERE id IN (
    SELECT id FROM campaigns_callmark ORDER BY id LIMIT %s
)
RETURNING account_id, date_trunc('hour', begins_at, %s), task_id
"""
_FORGET_HOURS = """
DELETE FROM campaigns_callhour h USING unnest(%s::bigint[], %s::timestamptz[]) AS w(account, hour)
WHERE h.begins_at = w.hour AND h.account_id = w.account
"""
# The inner part is counted once for each hour, by the index of an account's calls by time.
_COUNT_HOURS = f"""
INSERT INTO campaigns_callhour (account_id, begins_at, {_KINDS}, {_NUMBERS})
SELECT w.account, w.hour, n.*
FROM unnest(%s::bigint[], %s::timestamptz[]) AS w(account, hour)
CROSS JOIN LATERAL (
    SELECT {_KINDS}, {_COUNTERS}
    FROM campaigns_call c
    WHERE c.account_id = w.account AND c.happened_at >= w.hour
        AND c.happened_at < w.hour + interval '1 hour' AND {SQL["counted"]}
    GROUP BY {_KINDS}
) AS n
"""  # noqa: S608
_FORGET_DAYS = """
DELETE FROM campaigns_callday d USING unnest(%s::bigint[], %s::date[]) AS w(account, day)
WHERE d.day = w.day AND d.account_id = w.account
"""
_COUNT_DAYS = f"""
INSERT INTO campaigns_callday (account_id, day, {_KINDS}, {_NUMBERS})
SELECT w.account, w.day, {_KINDS}, {_SUMS}
FROM unnest(%s::bigint[], %s::date[]) AS w(account, day)
JOIN campaigns_callhour h ON h.account_id = w.account
    AND h.begins_at >= w.day::timestamp AT TIME ZONE %s
    AND h.begins_at < (w.day + 1)::timestamp AT TIME ZONE %s
GROUP BY w.account, w.day, {_KINDS}
"""  # noqa: S608
_COUNT_ALL_HOURS = f"""
INSERT INTO campaigns_callhour (account_id, begins_at, {_KINDS}, {_NUMBERS})
SELECT c.account_id, date_trunc('hour', c.happened_at, %s) AS hour, {_KINDS}, {_COUNTERS}
FROM campaigns_call c WHERE {SQL["counted"]}
GROUP BY c.account_id, hour, {_KINDS}
"""  # noqa: S608
_COUNT_ALL_DAYS = f"""
INSERT INTO campaigns_callday (account_id, day, {_KINDS}, {_NUMBERS})
SELECT account_id, (begins_at AT TIME ZONE %s)::date AS day, {_KINDS}, {_SUMS}
FROM campaigns_callhour GROUP BY account_id, day, {_KINDS}
"""  # noqa: S608
_NOTE_TASKS = """
INSERT INTO campaigns_taskcount (task_id, contacts, silent, took_ms, calls_changed_at)
SELECT id, '{{}}', 0, 0, %s FROM campaigns_task t WHERE {} ORDER BY id
ON CONFLICT (task_id) DO UPDATE SET calls_changed_at = excluded.calls_changed_at
"""
_NOTE_SOME = _NOTE_TASKS.format("id = ANY(%s)")
_NOTE_ALL = _NOTE_TASKS.format("EXISTS (SELECT FROM campaigns_callday d WHERE d.task_id = t.id)")


@dataclass(frozen=True, slots=True)
class Counted:
    """What was done: how many hours of accounts, of which tasks, and whether marks are left."""

    hours: int = 0
    tasks: tuple[int, ...] = ()
    more: bool = False


def count_when_due() -> Counted:
    """Count what has marks, unless that was done a short while ago and took long; everything when
    the project's zone is not the one that was counted in."""
    state = CountState.objects.filter(pk=1).first()
    if state is None or state.zone != settings.TIME_ZONE:
        return count_all()
    if state.counted_at is not None:
        rest = min(REST * state.took_ms / 1000, LONGEST_REST)
        if timedelta(0) <= timezone.now() - state.counted_at < timedelta(seconds=rest):
            return Counted()
    return count_marked()


def count_marked() -> Counted:
    """Count every hour that has a mark; nothing while somebody else counts."""
    began = time.monotonic()
    now = timezone.now()
    hours = 0
    tasks: set[int] = set()
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            if not _get_lock(cursor):
                return Counted(hours, tuple(sorted(tasks)), more=True)
            cursor.execute(_TAKE, [MARKS, settings.TIME_ZONE])
            marks = cursor.fetchall()
            wanted = sorted({(account, hour) for account, hour, _task in marks})
            for first in range(0, len(wanted), HOURS):
                _count_hours(cursor, wanted[first : first + HOURS])
            _count_days(cursor, wanted)
            told = {task for _account, _hour, task in marks if task is not None}
            if told:
                cursor.execute(_NOTE_SOME, [timezone.now(), sorted(told)])
            hours += len(wanted)
            tasks |= told
            if len(marks) < MARKS:
                _note(cursor, now, began)
                return Counted(hours, tuple(sorted(tasks)))


def count_all() -> Counted:
    """Count everything anew. Waits for whoever counts; readers see the old numbers meanwhile."""
    began = time.monotonic()
    now = timezone.now()
    zone = settings.TIME_ZONE
    with transaction.atomic(), connection.cursor() as cursor:
        _get_lock(cursor, wait=True)
        # What these were about is committed, and so is seen by the statements that follow.
        CallMark.objects.all().delete()
        cursor.execute("DELETE FROM campaigns_callhour")
        cursor.execute("DELETE FROM campaigns_callday")
        cursor.execute(_COUNT_ALL_HOURS, [zone])
        cursor.execute(_COUNT_ALL_DAYS, [zone])
        cursor.execute(_NOTE_ALL, [timezone.now()])
        cursor.execute("SELECT count(DISTINCT (account_id, begins_at)) FROM campaigns_callhour")
        hours = cursor.fetchone()[0]
        _note(cursor, now, began, whole=True)
    return Counted(hours)


def _get_lock(cursor: Any, *, wait: bool = False) -> bool:
    """The right to count, until the transaction ends; taken before anything is looked at."""
    if wait:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK])
        return True
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s, 0)", [LOCK])
    return bool(cursor.fetchone()[0])


def _count_hours(cursor: Any, wanted: list[tuple[int, datetime]]) -> None:
    pair = [list(side) for side in zip(*wanted, strict=True)]
    cursor.execute(_FORGET_HOURS, pair)
    cursor.execute(_COUNT_HOURS, pair)


def _count_days(cursor: Any, hours: Iterable[tuple[int, datetime]]) -> None:
    zone = timezone.get_default_timezone()
    days = sorted({(account, timezone.localtime(hour, zone).date()) for account, hour in hours})
    if days:
        pair = [list(side) for side in zip(*days, strict=True)]
        cursor.execute(_FORGET_DAYS, pair)
        cursor.execute(_COUNT_DAYS, [*pair, settings.TIME_ZONE, settings.TIME_ZONE])


def _note(cursor: Any, now: datetime, began: float, *, whole: bool = False) -> None:
    """Everything that was committed before ``now`` is counted."""
    took = round((time.monotonic() - began) * 1000)
    values: dict[str, Any] = {"counted_at": now, "zone": settings.TIME_ZONE}
    # what everything took says nothing about how long the next hours take
    values |= {"whole_at": now} if whole else {"took_ms": took}
    CountState.objects.update_or_create(pk=1, defaults=values)
