"""In: what was counted of a task. Out: how its page shows it: the funnel of people and of calls,
the rounds of its family, the hours of the week, the nodes of the script.

Every number is a link to its rows, chosen by the condition it was counted by; where something can
be done about the rows, it is offered there, for so many.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.dates import WEEKDAYS, WEEKDAYS_ABBR
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from campaigns import figures
from campaigns.admin.base import tell_age
from campaigns.admin.row_links import link_rows
from campaigns.admin.task_family import describe_family, find_family
from campaigns.admin.task_people import (
    MOST_INTENTIONS,
    REDIAL,
    make_people_intentions,
    make_people_steps,
)
from campaigns.definitions import (
    DASH,
    INTENTION,
    rate,
    show_number,
    show_rate,
)
from campaigns.funnels import CALL_STEPS, write_slot
from campaigns.models import ContactImport, Task

#: rows of a table of nodes that a page shows
MOST_NODES = 40
#: a share of fewer calls says little, and is shown so
FEW_CALLS = 20


def describe_figures(
    request: HttpRequest, task: Task, *, states: dict[str, int], states_at: datetime | None
) -> dict[str, Any]:
    """The part of a task's page that was counted beforehand, the family's included."""
    look = figures.look_at(task, states=states, states_at=states_at)
    family = find_family(task)
    may_redial = request.user.has_perm(REDIAL) and family.is_last_round(task)
    found = look.figures
    rounds = describe_family(task, family)
    # what is told of its age changes by itself, and is a part of its own
    steady = {name: value for name, value in (rounds or {}).items() if name != "age"}
    key = [found.kept, look.is_old, steady, get_language(), may_redial]
    of_task = {"task__id__exact": task.pk}
    return {
        "look": look,
        "figures_key": hashlib.md5(
            json.dumps(key, sort_keys=True, default=str).encode(), usedforsecurity=False
        ).hexdigest(),
        "figures_age": tell_age(look.counted_at) if look.counted_at else "",
        "people_steps": make_people_steps(
            found.read_people(),
            rows_of_files=count_rows_of_files(task),
            imports_url=f"{reverse('admin:campaigns_contactimport_changelist')}"
            f"?task__id__exact={task.pk}",
            may_redial=may_redial,
            of=of_task,
        ),
        "people_intentions": make_people_intentions(
            found.read_people(), may_redial=may_redial, of=of_task
        ),
        "call_steps": make_call_steps(found.read_steps(), of=of_task),
        "call_intentions": make_call_intentions(found, of=of_task),
        "intention_text": INTENTION.text,
        "week": make_week(found.slots, of=of_task),
        "zone_name": task.account.zone.key,
        "nodes": make_nodes(found.nodes.nodes, of=of_task),
        "nodes_cut": max(0, len(found.nodes.nodes) - MOST_NODES),
        "family": rounds,
    }


def count_rows_of_files(task: Task) -> int | None:
    """Rows of the files that were imported into it, the refused ones too; None without a file."""
    done = ContactImport.objects.filter(task=task, status=ContactImport.Status.DONE)
    rows = list(done.values_list("loaded", "excluded", "rejected"))
    return sum(map(sum, rows)) if rows else None


# -------------------------------------------------------------------------------------- the funnel


def make_call_steps(numbers: dict[str, int], *, of: dict[str, Any]) -> list[dict[str, Any]]:
    widest = max(numbers["counted"], 1)
    steps = []
    before: str | None = None
    for step in CALL_STEPS:
        number = numbers[step.slug]
        lost = numbers[before] - number if before else 0
        steps.append(
            {
                "slug": step.slug,
                "name": step.name,
                "text": step.text,
                "number": show_number(number),
                "url": link_rows("calls", **of, step=step.slug),
                "width": round(100 * number / widest, 1),
                "share": show_rate(rate(number, numbers[before])) if before else "",
                "lost": show_number(lost) if lost else None,
                "lost_url": link_rows("calls", **of, step=before, short_of=step.slug),
            }
        )
        before = step.slug
    return steps


def make_call_intentions(found: figures.Figures, *, of: dict[str, Any]) -> list[dict[str, Any]]:
    numbers = found.read_steps()
    return [
        {
            "name": word,
            "number": show_number(number),
            "url": link_rows("calls", **of, step="reached", intention=word),
            "share": show_rate(rate(number, numbers["reached"])),
            "width": round(100 * number / max(numbers["counted"], 1), 1),
        }
        for word, number in list(found.read_intentions().items())[:MOST_INTENTIONS]
    ]


# ------------------------------------------------------------------------------- hours of the week


def make_week(slots: list[figures.Slot], *, of: dict[str, Any]) -> dict[str, Any] | None:
    """A table of days and hours, from the first hour with calls to the last; None without calls."""
    if not slots:
        return None
    hours = range(min(slot.hour for slot in slots), max(slot.hour for slot in slots) + 1)
    found = {(slot.weekday, slot.hour): slot for slot in slots}
    best = max((slot.answer_rate or 0.0 for slot in slots if slot.base >= FEW_CALLS), default=0.0)
    best = best or max(slot.answer_rate or 0.0 for slot in slots) or 1.0
    days = []
    for weekday in range(1, 8):
        own = [slot for slot in slots if slot.weekday == weekday]
        cells = [
            show_slot(found.get((weekday, hour)), weekday, hour, best=best, of=of) for hour in hours
        ]
        days.append(
            {
                "name": WEEKDAYS_ABBR[weekday - 1],
                "full_name": WEEKDAYS[weekday - 1],
                "cells": cells,
                "rate": show_rate(sum_rate(own), digits=0),
                "calls": show_number(sum(slot.calls for slot in own)) if own else "",
            }
        )
    return {
        "hours": [f"{hour:02d}" for hour in hours],
        "days": days,
        "totals": [
            show_rate(sum_rate([slot for slot in slots if slot.hour == hour]), digits=0)
            for hour in hours
        ],
        "few": FEW_CALLS,
    }


def sum_rate(slots: list[figures.Slot]) -> float | None:
    return rate(sum(slot.reached for slot in slots), sum(slot.base for slot in slots))


def show_slot(
    slot: figures.Slot | None, weekday: int, hour: int, *, best: float, of: dict[str, Any]
) -> dict[str, Any] | None:
    if slot is None:
        return None
    share = slot.answer_rate
    told = _(
        "%(day)s, %(from)02d:00–%(to)02d:00: %(calls)s calls, %(reached)s of %(base)s reached"
    ) % {
        "day": WEEKDAYS[weekday - 1],
        "from": hour,
        "to": hour + 1,
        "calls": show_number(slot.calls),
        "reached": show_number(slot.reached),
        "base": show_number(slot.base),
    }
    return {
        "rate": show_rate(share, digits=0),
        "told": told,
        "url": link_rows("calls", **of, slot=write_slot(weekday, hour), step="counted"),
        "strength": 0 if share is None else min(10, round(10 * share / best)),
        "is_weak": slot.base < FEW_CALLS,
    }


# -------------------------------------------------------------------------- the nodes of the script


def make_nodes(nodes: list[figures.Node], *, of: dict[str, Any]) -> list[dict[str, Any]]:
    """In the order in which dialogs come to them; where most leave is seen by its bar."""
    widest = max((node.reached for node in nodes), default=1)
    of = {**of, "step": "reached"}
    return [
        {
            "name": node.name,
            "reached": show_number(node.reached),
            "reached_url": link_rows("calls", **of, node=node.name),
            "left": show_number(node.left),
            "left_url": link_rows("calls", **of, left_at=node.name),
            "hung_up": show_number(node.hung_up),
            "hung_up_url": link_rows("calls", **of, left_at=node.name, hangup_by__exact="contact"),
            "share": show_rate(node.leaving_rate) if node.reached else DASH,
            "width": round(100 * node.reached / widest, 1),
            "hung_width": round(100 * node.hung_up / widest, 1),
        }
        for node in nodes[:MOST_NODES]
    ]
