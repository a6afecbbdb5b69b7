"""In: a period, and the accounts that are meant. Out: its calls and those of the period before.

All is read from what was counted beforehand: no call is looked at.

Days are those of the project's zone, as the counted rows are. A period that ends today is compared
with the one before up to the same hour of its last day: half a day is not held against a whole one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.definitions import NO_NUMBER, Tally
from campaigns.models import CountState

#: periods with a name, in days; each ends today
NAMED = {"today": 1, "7": 7, "30": 30}
LONGEST = 366
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class BadPeriod(ValueError):
    """What was asked for is no period; the text says why, to a person."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days, both ends included. ``slug`` is the name it was asked for by."""

    slug: str
    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Period:
        """As many days, right before."""
        return Period("before", self.first - self.days * DAY, self.first - DAY)

    @property
    def query(self) -> dict[str, str]:
        """What the lists of calls are asked for."""
        return {
            "happened_at_from": self.first.isoformat(),
            "happened_at_to": self.last.isoformat(),
        }


def read_period(params: Mapping[str, Any]) -> Period:
    """The period that an address names: ``period`` (today, yesterday, 7, 30), or ``from`` and
    ``to``. Today where it names none. Raises ``BadPeriod``."""
    today = timezone.localtime(timezone.now(), timezone.get_default_timezone()).date()
    begin, end = str(params.get("from") or ""), str(params.get("to") or "")
    slug = str(params.get("period") or ("days" if begin or end else "today"))
    if slug == "yesterday":
        return Period(slug, today - DAY, today - DAY)
    if slug in NAMED:
        return Period(slug, today - (NAMED[slug] - 1) * DAY, today)
    if slug != "days":
        raise BadPeriod(_("There is no such period."))
    first = _read_day(begin) if begin else None
    last = _read_day(end) if end else None
    first, last = first or last or today, last or max(first or today, today)
    if first > last:
        raise BadPeriod(_("The period ends before it begins."))
    if (last - first).days + 1 > LONGEST:
        raise BadPeriod(_("A period has at most %(n)d days.") % {"n": LONGEST})
    return Period("days", first, last)


def _read_day(text: str) -> date:
    try:
        day = date.fromisoformat(text) if len(text) == len("2026-11-21") else None
    except ValueError:
        day = None
    if day is None or not EARLIEST <= day < LATEST:
        raise BadPeriod(_("A day is written like 2026-11-21."))
    return day


@dataclass(frozen=True, slots=True)
class Slot:
    """An hour, or a day, of a period, and the one in its place in the period before."""

    begins_at: datetime
    tally: Tally
    before: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """``counted_at``: every change before it is in the numbers; None: nobody counted yet."""

    period: Period
    now: Tally
    before: Tally
    #: the period before is counted up to this moment, where the period is not over
    cut: datetime | None = None
    by_hour: bool = False
    slots: list[Slot] = field(default_factory=list)
    #: {result: calls} and {intention: calls of people reached}, the most frequent first
    results: dict[str, int] = field(default_factory=dict)
    intentions: dict[str, int] = field(default_factory=dict)
    counted_at: datetime | None = None


_SUMS = """
    sum(calls), sum(answered), sum(reached), sum(unknown), sum(timed), sum(talked),
    sum(talk_seconds), coalesce(sum(calls) FILTER (WHERE result = ANY(%(invalid)s)
        AND direction <> 'inbound'), 0),
    coalesce(sum(calls) FILTER (WHERE direction = 'inbound'), 0),
    coalesce(sum(reached) FILTER (WHERE direction = 'inbound'), 0),
    coalesce(sum(unknown) FILTER (WHERE direction = 'inbound'), 0)
"""
_OURS = "(%(accounts)s::bigint[] IS NULL OR account_id = ANY(%(accounts)s::bigint[]))"
_BY_HOUR = f"""
SELECT begins_at, {_SUMS} FROM campaigns_callhour
WHERE begins_at >= %(first)s AND begins_at < %(end)s AND {_OURS} GROUP BY begins_at
"""  # noqa: S608
_BY_DAY = f"""
SELECT day, {_SUMS} FROM campaigns_callday
WHERE day >= %(first)s AND day <= %(last)s AND {_OURS} GROUP BY day
"""  # noqa: S608
_BY_KIND = f"""
SELECT result, intention, sum(calls), sum(reached) FROM campaigns_callday
WHERE day >= %(first)s AND day <= %(last)s AND {_OURS} GROUP BY result, intention
"""  # noqa: S608


def summarise_period(period: Period, *, accounts: Sequence[int] | None = None) -> Overview:
    """``accounts``: their ids, None for all."""
    state = CountState.objects.filter(pk=1).first()
    now = timezone.localtime(timezone.now(), timezone.get_default_timezone())
    # the hour of the period before that the present one is compared with, whole
    cut = None
    if period.first <= now.date() <= period.last:
        cut = _find_same_hour(now, days=period.days)
    told = {"accounts": None if accounts is None else list(accounts), "invalid": list(NO_NUMBER)}
    by_hour = period.days == 1
    read = _read_hours if by_hour else _read_days
    slots = read(period, cut, told)
    results, intentions = _read_kinds(period, told)
    return Overview(
        period=period,
        now=sum((slot.tally for slot in slots), Tally()),
        before=sum((slot.before for slot in slots), Tally()),
        cut=cut,
        by_hour=by_hour,
        slots=slots,
        results=results,
        intentions=intentions,
        counted_at=state.counted_at if state is not None else None,
    )


def _find_same_hour(now: datetime, *, days: int) -> datetime:
    """The end of the hour that, so many days ago, is in the place of the present one."""
    day = (now - timedelta(days=days)).date()
    hour = datetime.combine(day, time(now.hour), tzinfo=now.tzinfo)
    return hour.astimezone(UTC) + HOUR


def _begin(day: date) -> datetime:
    """The first moment of a day of the project's zone."""
    zone = timezone.get_default_timezone()
    return datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)


def _read_hours(period: Period, cut: datetime | None, told: dict[str, Any]) -> list[Slot]:
    """The hours of one day, and of the day before."""
    first, end, before = (
        _begin(period.first),
        _begin(period.last + DAY),
        _begin(period.before.first),
    )
    rows = _read(_BY_HOUR, told | {"first": before, "end": end})
    limit = min(first, cut or first)
    slots = []
    # a day has 23 hours, or 25, when the clocks are changed
    for number in range(round((end - first) / HOUR)):
        old = before + number * HOUR
        slots.append(
            Slot(
                first + number * HOUR,
                rows.get(first + number * HOUR, Tally()),
                rows.get(old, Tally()) if old < limit else Tally(),
            )
        )
    return slots


def _read_days(period: Period, cut: datetime | None, told: dict[str, Any]) -> list[Slot]:
    before = period.before
    rows = _read(_BY_DAY, told | {"first": before.first, "last": period.last})
    if cut is not None:
        # the day of the period before that is in the place of today, and none after it
        same = timezone.localtime(cut - HOUR, timezone.get_default_timezone()).date()
        hours = _read(_BY_HOUR, told | {"first": _begin(same), "end": cut})
        rows[same] = sum(hours.values(), Tally())
        for day in [day for day in rows if same < day <= before.last]:
            del rows[day]
    return [
        Slot(
            _begin(period.first + number * DAY),
            rows.get(period.first + number * DAY, Tally()),
            rows.get(before.first + number * DAY, Tally()),
        )
        for number in range(period.days)
    ]


def _read(statement: str, parameters: dict[str, Any]) -> dict[Any, Tally]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found = {}
        for moment, *numbers in cursor.fetchall():
            calls, answered, reached, unknown, timed, talked, seconds, *others = map(int, numbers)
            invalid, incoming, incoming_reached, incoming_unknown = others
            found[moment] = Tally(
                calls=calls,
                answered=answered,
                reached=reached,
                invalid=invalid,
                unknown=unknown,
                timed=timed,
                talked=talked,
                talk_seconds=seconds,
                incoming=incoming,
                incoming_reached=incoming_reached,
                incoming_unknown=incoming_unknown,
            )
        return found


def _read_kinds(period: Period, told: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    results: dict[str, int] = {}
    intentions: dict[str, int] = {}
    with connection.cursor() as cursor:
        cursor.execute(_BY_KIND, told | {"first": period.first, "last": period.last})
        for result, intention, calls, reached in cursor.fetchall():
            results[result] = results.get(result, 0) + int(calls)
            if reached:
                intentions[intention] = intentions.get(intention, 0) + int(reached)

    def order(counts: dict[str, int]) -> dict[str, int]:
        return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))

    return order(results), order(intentions)
