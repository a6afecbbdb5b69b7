"""In: rows that somebody chose, and a place among them. Out: the page that begins there.

A page begins after a row, not after so many rows: the thousandth costs what the first does. What no
index leads to is looked for in portions of a bounded number of rows, along an index, until the page
is full or the time is over; then the page says how far back it looked, and goes on from there when
somebody wants it to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from campaigns.criteria import CALLS, Criteria
from campaigns.funnels import list_family
from campaigns.models import Call, Contact, ContactImport
from campaigns.models.lookups import find_stage

#: rows that are looked through at first, and at most, before one looks at the clock
FIRST_ROWS, MOST_ROWS = 2_000, 64_000
#: no portion is begun that would not be looked through by then
SECONDS = 0.06
#: no row has this one
LAST_ID = 10**18 - 1
#: families of more tasks than this are looked through by themselves
FEW_TASKS = 4

Place = tuple[datetime, int] | int


@dataclass(frozen=True, slots=True)
class Page:
    """``older`` and ``newer`` are the places where one goes on, None at an end; ``looked_until``:
    the time was over there."""

    rows: list[Any]
    newer: str | None
    older: str | None
    looked_until: Any = None


@dataclass(frozen=True, slots=True)
class _Order:
    """How the rows are ordered, and where in them a row is."""

    fields: tuple[str, ...]
    #: of the driving index: the field by which it is divided
    field: str
    descending: bool
    place_of: Callable[[Any], Place]
    read: Callable[[str], Place | None]

    def beyond(self, place: Any, *, back: bool) -> Q:
        """The rows after a place, or with ``back`` before it."""
        towards = "lt" if self.descending != back else "gt"
        if not isinstance(place, tuple):
            return Q(**{f"{self.field}__{towards}": place})
        moment, pk = place
        nearer = Q(**{f"{self.field}__{towards}": moment}) | Q(**{f"pk__{towards}": pk})
        # said twice: the first is what an index understands
        return Q(**{f"{self.field}__{towards}e": moment}) & nearer

    def sort(self, *, back: bool) -> list[str]:
        if not back:
            return list(self.fields)
        return [name[1:] if name.startswith("-") else f"-{name}" for name in self.fields]


def write_place(place: Place) -> str:
    if isinstance(place, tuple):
        return f"{place[0].astimezone(timezone.get_fixed_timezone(0)).isoformat()[:-6]}Z~{place[1]}"
    return str(place)


def _read_moment(text: str) -> Place | None:
    moment, _, pk = text.partition("~")
    try:
        found = parse_datetime(moment)
    except ValueError:
        return None
    if found is None or timezone.is_naive(found) or not 1900 < found.year < 9000:
        return None
    return (found, number) if isinstance(number := _read_id(pk), int) else None


def _read_id(text: str) -> Place | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


_ORDERS = {
    Call: _Order(
        ("-happened_at", "-id"),
        "happened_at",
        True,
        lambda row: (row.happened_at, row.pk),
        _read_moment,
    ),
    Contact: _Order(("id",), "pk", False, lambda row: int(row.pk), _read_id),
}


def find_page(
    rows: QuerySet[Any], criteria: Criteria, *, size: int, after: str = "", before: str = ""
) -> Page:
    """The page of the rows after, or before, a place; the first one without. ``rows`` are those
    that the criteria choose, with whatever the list wants to know of them."""
    order = _ORDERS[rows.model]
    back = bool(before) and order.read(before) is not None
    place = order.read(before if back else after)
    found, until = _look(rows, criteria, order, place, size=size + 1, back=back)
    more = len(found) > size
    found = found[:size]
    if back:
        found.reverse()
    first = write_place(order.place_of(found[0])) if found else None
    last = write_place(order.place_of(found[-1])) if found else None
    if back:
        # Going back one may meet the beginning, or the end of the time: further back then.
        further = first if more else _write_bound(until, back=True)
        return Page(found, further, last or before, until)
    onward = last if more else _write_bound(until, back=False)
    newer = first if place is not None else None
    return Page(found, newer, onward, until)


def _write_bound(bound: Any, *, back: bool) -> str | None:
    """Where one goes on: everything of that moment was looked at."""
    return None if bound is None else write_place(_step_over(bound, back=back))


def _look(
    rows: QuerySet[Any],
    criteria: Criteria,
    order: _Order,
    place: Any,
    *,
    size: int,
    back: bool,
) -> tuple[list[Any], Any]:
    rows = rows.order_by(*order.sort(back=back))
    if place is not None:
        rows = rows.filter(order.beyond(place, back=back))
    if criteria.leads:
        return list(rows[:size]), None
    drivers, is_whole = _find_drivers(criteria)
    if is_whole and len(drivers) == 1:
        return list(rows[:size]), None
    began = last = time.monotonic()
    portion = size if is_whole else FIRST_ROWS
    found: list[Any] = []
    while True:
        bound = _find_bound(drivers, order, place, portion=portion, back=back)
        if bound is None:
            return found + list(rows[: size - len(found)]), None
        within = "gte" if order.descending != back else "lte"
        found += rows.filter(**{f"{order.field}__{within}": bound})[: size - len(found)]
        if len(found) >= size:
            return found, None
        # what has the bound's own moment was in it
        towards = "lt" if order.descending != back else "gt"
        rows = rows.filter(**{f"{order.field}__{towards}": bound})
        place = _step_over(bound, back=back)
        now = time.monotonic()
        # as many rows as the time that is left is enough for, at the pace of the last ones
        affordable = int(portion * (began + SECONDS - now) / max(now - last, 1e-6))
        if affordable < FIRST_ROWS:
            return found, bound
        portion, last = min(portion * 4, MOST_ROWS, affordable), now


def _step_over(bound: Any, *, back: bool) -> Any:
    """The place behind everything of a moment."""
    return (bound, LAST_ID if back else 0) if isinstance(bound, datetime) else bound


def _find_bound(
    drivers: list[QuerySet[Any]], order: _Order, place: Any, *, portion: int, back: bool
) -> Any:
    """Where so many rows of any of the drivers are looked through; None when all are."""
    bounds = []
    for driver in drivers:
        driven = driver.order_by(order.sort(back=back)[0])
        if place is not None:
            driven = driven.filter(order.beyond(place, back=back))
        bounds += driven.values_list(order.field, flat=True)[portion - 1 : portion]
    if not bounds:
        return None
    return max(bounds) if order.descending != back else min(bounds)


def _find_drivers(criteria: Criteria) -> tuple[list[QuerySet[Any]], bool]:
    """What an index gives in the order of the list, and whether that is all that is chosen."""
    if criteria.kind == CALLS:
        return _drive_calls(criteria)
    return _drive_contacts(criteria)


def _drive_calls(criteria: Criteria) -> tuple[list[QuerySet[Any]], bool]:
    params = criteria.params
    times = {"happened_at_from", "happened_at_to", "hour"}
    led = {name for name in params if name in times}
    for name in ("task__id__exact", "account__id__exact"):
        if len(params.get(name, ())) == 1:
            led.add(name)
            break
    kept = Criteria(criteria.kind, {name: params[name] for name in led})
    return [kept.select(Call.objects.all())], led == set(params)


def _drive_contacts(criteria: Criteria) -> tuple[list[QuerySet[Any]], bool]:
    """A task's contacts are ordered within each stage only, so each stage is one of the drivers."""
    params = criteria.params
    tasks, led = _find_tasks(criteria)
    if not tasks or len(tasks) > FEW_TASKS:
        return [Contact.objects.all()], not params
    states = set(params.get("status__exact") or Contact.Status.values)
    stages = sorted({find_stage(state) for state in states})
    drivers = [Contact.objects.filter(task=task, stage=stage) for task in tasks for stage in stages]
    # of a stage with several states some may be left out, however many rows they have
    is_whole = all(
        state in states for state in Contact.Status.values if find_stage(state) in stages
    )
    return drivers, is_whole and set(params) <= {led, "status__exact"}


def _find_tasks(criteria: Criteria) -> tuple[list[int], str]:
    params = criteria.params
    if ids := params.get("task__id__exact"):
        return [int(one) for one in ids], "task__id__exact"
    if ids := params.get("family"):
        return list_family(list(ids)), "family"
    if ids := params.get("source__id__exact"):
        imports = ContactImport.objects.filter(pk__in=ids)
        return list(imports.values_list("task", flat=True).distinct()), ""
    return [], ""
