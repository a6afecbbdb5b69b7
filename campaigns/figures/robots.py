"""In: a robot. Out: its calls day by day, from what was counted beforehand."""

from __future__ import annotations

from datetime import date, timedelta

from django.db.models import Sum
from django.utils import timezone

from campaigns.definitions import Tally, is_invalid
from campaigns.models import Call, CallDay, Robot

_SUMS = ("calls", "answered", "reached", "unknown", "timed", "talked", "talk_seconds")


def tally_days(robot: Robot, *, days: int) -> list[tuple[date, Tally]]:
    """The calls of each of the last days, today included, by the project's zone; a day without
    calls is there, too."""
    today = timezone.localtime(timezone.now(), timezone.get_default_timezone()).date()
    first = today - timedelta(days=days - 1)
    found = {first + timedelta(days=number): Tally() for number in range(days)}
    rows = (
        CallDay.objects.filter(robot=robot, day__gte=first, day__lte=today)
        .order_by()
        .values_list("day", "direction", "result")
        .annotate(*(Sum(name) for name in _SUMS))
    )
    for day, direction, result, *sums in rows:
        numbers = dict(zip(_SUMS, sums, strict=True))
        inbound = direction == Call.Direction.INBOUND
        found[day] += Tally(
            **numbers,
            invalid=numbers["calls"] if is_invalid(result=result) and not inbound else 0,
            incoming=numbers["calls"] if inbound else 0,
            incoming_reached=numbers["reached"] if inbound else 0,
            incoming_unknown=numbers["unknown"] if inbound else 0,
        )
    return list(found.items())
