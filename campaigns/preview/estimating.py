"""In: how many are to be called, when, how many at once, how long a call takes. Out: when it is
over, if everything goes as assumed. Pure arithmetic; every assumption is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

#: a call that nobody has measured yet keeps its line so long
ASSUMED_SECONDS = 60.0
#: so many of a hundred are assumed to pick up
ASSUMED_ANSWERED = 0.3
#: nothing further ahead is looked at
HORIZON = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Assumption:
    """``source``: measured (of ``sample`` calls) · assumed · told (by the platform) · given (by
    who asks) · unknown."""

    value: float | None
    source: str
    sample: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What who asks would rather assume; None: what we know or assume ourselves."""

    seconds: float | None = None
    answered: float | None = None
    at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which nothing changes: ``at_once`` calls can be made, 0 none."""

    begin: datetime
    end: datetime
    at_once: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """``ends_at`` None: not within the horizon. ``reached`` of the people are called before the
    deadline, if one was given."""

    ends_at: datetime | None
    reached: int
    seconds: float


def count_calls(people: int, *, recalls: int, answered: float) -> float:
    """Calls to so many: everybody once, and again each who did not answer."""
    return sum(people * (1 - answered) ** turn for turn in range(recalls + 1))


def list_spans(
    begin: datetime, cuts: Iterable[datetime], *, count_at_once: Callable[[datetime], int]
) -> Iterator[Span]:
    """The time from ``begin`` to the horizon, cut at every moment of ``cuts``, which are in order;
    a day has to end at one of them."""
    begin = begin.astimezone(UTC)  # local times cannot be subtracted where clocks jump
    last = begin + HORIZON
    for cut in chain(cuts, [last]):
        end = min(cut, last)
        if begin < end:
            yield Span(begin, end, count_at_once(begin + (end - begin) / 2))
            begin = end


def estimate_end(
    spans: Iterator[Span],
    *,
    people: int,
    calls_each: float,
    seconds: float,
    zone: ZoneInfo,
    daily_cap: int | None = None,
    deadline: datetime | None = None,
) -> Estimate:
    """Call ``people`` in the spans, each in ``calls_each`` calls of so many seconds."""
    waiting, called, reached, busy = float(people), 0.0, None, 0.0
    today: date | None = None
    left_today = float("inf")
    for span in spans:
        day = span.begin.astimezone(zone).date()
        if day != today:
            today = day
            left_today = float("inf") if daily_cap is None else float(daily_cap)
        if deadline is not None and reached is None and span.begin >= deadline:
            reached = called
        if not span.at_once:
            continue
        pace = span.at_once / (seconds * calls_each)  # people a second
        length = (span.end - span.begin).total_seconds()
        most = min(length * pace, left_today)
        if deadline is not None and reached is None and span.end > deadline:
            before = (deadline - span.begin).total_seconds() * pace
            reached = called + min(before, left_today, waiting)
        if most >= waiting:
            took = waiting / pace
            whole = called + waiting
            ends_at = span.begin + timedelta(seconds=took)
            return Estimate(
                ends_at=ends_at,
                reached=round(whole if reached is None else reached),
                seconds=busy + took,
            )
        waiting -= most
        called += most
        left_today -= most
        busy += most / pace
    return Estimate(
        ends_at=None, reached=round(called if reached is None else reached), seconds=busy
    )
