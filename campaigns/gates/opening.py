"""In: hours, days and holidays of a place, and a moment. Out: whether it is open, and when it is.

Pure. A window belongs to the day on which it begins: 22:00–02:00 of a Friday is open until Saturday
02:00, whatever Saturday is. What counts is what a clock on the wall shows, so that a window which a
change of the clocks leaps over does not open, and an hour that comes twice is open twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

Windows = tuple[tuple[time, time], ...]

MIDNIGHT = time(0)
WHOLE_DAY: Windows = ((MIDNIGHT, MIDNIGHT),)
ALL_DAYS = frozenset(range(1, 8))
ONE_DAY = timedelta(days=1)
#: how far ahead an opening is looked for
HORIZON_DAYS = 60


class HoursUnreadable(ValueError):
    """What was stored is no list of windows, or no list of days."""


class ZoneUnknown(ValueError):
    """No clock is known for a zone of this name."""


def read_windows(stored: Any) -> Windows:
    """``[["09:00:00", "12:00:00"], …]`` as times. Raises ``HoursUnreadable``."""
    try:
        windows = tuple(
            (time.fromisoformat(begin), time.fromisoformat(end)) for begin, end in stored
        )
    except (TypeError, ValueError):
        raise HoursUnreadable("These are no windows.") from None
    for begin, end in windows:
        if begin.tzinfo or end.tzinfo or (begin == end != MIDNIGHT):
            raise HoursUnreadable("These are no windows.")
    return windows


def read_days(stored: Any) -> frozenset[int]:
    """Days of the week, 1 is Monday. Raises ``HoursUnreadable``."""
    if not isinstance(stored, list | tuple) or any(
        type(day) is not int or day not in ALL_DAYS for day in stored
    ):
        raise HoursUnreadable("These are no days of the week.")
    return frozenset(stored)


def read_zone(name: str) -> ZoneInfo:
    """Raises ``ZoneUnknown``, whatever is wrong with the name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        raise ZoneUnknown(str(name)[:64]) from None


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds at one place. All of ``windows`` must be open; without any the whole day is.
    ``special`` are days that are not as their day of the week: (whether calls are made, name)."""

    zone: ZoneInfo
    windows: tuple[Windows, ...] = ()
    days: frozenset[int] = ALL_DAYS
    special: Mapping[date, tuple[bool, str]] = field(default_factory=dict)

    def is_calling_day(self, day: date) -> bool:
        if day in self.special:
            return self.special[day][0]
        return day.isoweekday() in self.days

    def is_open(self, moment: datetime) -> bool:
        """Whether somebody there may be called at this (aware) moment."""
        local = moment.astimezone(self.zone)
        return all(self._is_within(windows, local) for windows in self.windows or (WHOLE_DAY,))

    def _is_within(self, windows: Windows, local: datetime) -> bool:
        return any(self.is_calling_day(day) for day in find_days(windows, local))

    def list_changes(self, day: date) -> set[datetime]:
        """Every moment of a local day, in UTC, at which it may open or close."""
        clocks = {MIDNIGHT} | {clock for pairs in self.windows for pair in pairs for clock in pair}
        changes = {
            datetime.combine(day, clock, self.zone).replace(fold=fold).astimezone(UTC)
            for clock in clocks
            for fold in (0, 1)
        }
        leap = find_leap(self.zone, day)
        return changes | {leap} if leap else changes


def find_days(windows: Windows, local: datetime) -> Iterator[date]:
    """The days whose windows are open at this local time, were they calling days."""
    clock, today = local.time(), local.date()
    for begin, end in windows:
        if begin < end:
            if begin <= clock < end:
                yield today
        else:
            if clock >= begin:
                yield today
            if clock < end:
                yield today - ONE_DAY


@lru_cache(maxsize=4096)
def find_leap(zone: ZoneInfo, day: date) -> datetime | None:
    """The moment of this local day at which its clocks are changed, in UTC, if they are."""
    low = datetime.combine(day, MIDNIGHT, UTC) - timedelta(hours=15)
    high = low + timedelta(hours=54)
    before = low.astimezone(zone).utcoffset()
    if before == high.astimezone(zone).utcoffset():
        return None
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def list_changes(rules: Sequence[Rule], begin: datetime, end: datetime) -> Iterator[datetime]:
    """Every moment after ``begin`` and before ``end`` at which one of the rules may change, in
    order."""
    begin = begin.astimezone(UTC)
    day = begin.date()
    waiting = {
        change
        for rule in rules
        for early in (day - ONE_DAY, day)
        for change in rule.list_changes(early)
    }
    while datetime.combine(day, MIDNIGHT, UTC) < end:
        # No place is a day ahead of UTC by more than this one.
        for rule in rules:
            waiting |= rule.list_changes(day + ONE_DAY)
        over = datetime.combine(day + ONE_DAY, MIDNIGHT, UTC)
        due = sorted(change for change in waiting if change < over)
        waiting = {change for change in waiting if change >= over}
        yield from (change for change in due if begin < change < end)
        day += ONE_DAY


def are_open(rules: Iterable[Rule], moment: datetime) -> bool:
    return all(rule.is_open(moment) for rule in rules)


def find_opening(rules: Sequence[Rule], moment: datetime) -> datetime | None:
    """The first moment from this one on at which all of them are open; None if there is none
    within ``HORIZON_DAYS``."""
    if are_open(rules, moment):
        return moment
    end = moment + timedelta(days=HORIZON_DAYS)
    changes = list_changes(rules, moment, end)
    return next((change for change in changes if are_open(rules, change)), None)


def covers(outer: Sequence[Rule], inner: Sequence[Rule], begin: datetime, end: datetime) -> bool:
    """Whether ``outer`` is open whenever ``inner`` is, from one moment to the other."""
    moments = [begin.astimezone(UTC), *list_changes([*outer, *inner], begin, end)]
    return not any(are_open(inner, at) and not are_open(outer, at) for at in moments)


# ------------------------------------------------------------------------------- hours of any day


def split_at_midnight(windows: Windows) -> Windows:
    """The same hours of any day, none of them over midnight, sorted and without overlaps. The last
    second of a day stands for its end."""
    last = time(23, 59, 59)
    parts: list[tuple[time, time]] = []
    for begin, end in windows:
        if begin < end:
            parts.append((begin, end))
        else:
            parts.append((begin, last))
            if end > MIDNIGHT:
                parts.append((MIDNIGHT, end))
    merged: list[tuple[time, time]] = []
    for begin, end in sorted(parts):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)


def intersect_windows(one: Windows, other: Windows) -> Windows:
    """The hours of any day that are in both, split at midnight. Both are taken as they are: an
    empty one holds no hour."""
    return tuple(
        (max(first[0], second[0]), min(first[1], second[1]))
        for first in split_at_midnight(one)
        for second in split_at_midnight(other)
        if max(first[0], second[0]) < min(first[1], second[1])
    )


def print_hours(windows: Windows) -> str:
    """For people: 09:00–12:00, 13:00–21:00."""
    return ", ".join(f"{_print_clock(begin)}–{_print_clock(end)}" for begin, end in windows)


def _print_clock(clock: time) -> str:
    return f"{clock:%H:%M:%S}" if clock.second else f"{clock:%H:%M}"
