"""In: a task of a family of re-dials. Out: its rounds beside each other, of whom each was made, and
its people as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from campaigns import figures
from campaigns.admin.base import tell_age
from campaigns.admin.row_links import link_rows
from campaigns.admin.task_colors import TASK_COLORS
from campaigns.admin.task_people import make_people_intentions, tell_contacts
from campaigns.definitions import rate, show_number, show_rate
from campaigns.figures import Figures, People
from campaigns.funnels import PEOPLE_STEPS
from campaigns.models import Task

#: rounds that a page shows
MOST_ROUNDS = 20
_STEPS = ("eligible", "called", "reached", "talked")


@dataclass(frozen=True, slots=True)
class Family:
    """The tasks of a family in order of their rounds, this one among them."""

    root: int
    tasks: list[Task]

    def is_last_round(self, task: Task) -> bool:
        """Whether nobody of it was called again: who was may have been reached since."""
        return all(one.round <= task.round for one in self.tasks)


def find_family(task: Task) -> Family:
    root = task.family_id or task.pk
    tasks = Task.objects.filter(Q(pk=root) | Q(family=root)).order_by("round", "pk")
    tasks = tasks.prefetch_related("redial__sources", "experiments_as_second__first")
    return Family(root, list(tasks))


def describe_family(task: Task, family: Family) -> dict[str, Any] | None:
    """What came of each round, and of the people of all; None for a task that is alone."""
    if len(family.tasks) < 2:
        return None
    look = figures.look_at(task, family=True)
    found = look.figures
    numbers = sorted({one.round for one in family.tasks})
    everybody, calls = found.read_people(), found.read_steps()
    of_all = {"family": family.root}
    return {
        "is_known": look.counted_at is not None,
        "age": tell_age(look.counted_at) if look.counted_at else "",
        "is_old": look.is_old,
        "heads": [
            {"name": step.name, "text": step.text} for step in PEOPLE_STEPS if step.slug in _STEPS
        ],
        "rows": [
            describe_round(
                number,
                [one for one in family.tasks if one.round == number],
                found,
                task=task,
                of={**of_all, "round": number},
            )
            for number in numbers[:MOST_ROUNDS]
        ],
        "more": max(0, len(numbers) - MOST_ROUNDS),
        "people": list_people(everybody, of=of_all),
        "calls": show_number(calls["counted"]),
        "calls_url": link_rows("calls", **of_all, step="counted"),
        "rate": show_rate(rate(calls["reached"], calls["existing"])),
        "intentions": make_people_intentions(everybody, may_redial=False, of=of_all),
    }


def describe_round(
    number: int, tasks: list[Task], found: Figures, *, task: Task, of: dict[str, Any]
) -> dict[str, Any]:
    steps = [found.read_steps(one.pk) for one in tasks]
    total = {slug: sum(one[slug] for one in steps) for slug in ("counted", "existing", "reached")}
    return {
        "number": number,
        "tasks": [describe_origin(one) for one in tasks],
        "is_here": task in tasks,
        "people": list_people(found.read_people(number), of=of),
        "calls": show_number(total["counted"]),
        "calls_url": link_rows("calls", **of, step="counted"),
        "rate": show_rate(rate(total["reached"], total["existing"])),
    }


def describe_origin(task: Task) -> dict[str, Any]:
    """A task, and of which others it was made: by a re-dial, or parted by chance."""
    redial = getattr(task, "redial", None)
    return {
        "task": task,
        "color": TASK_COLORS.get(task.status, ""),
        "redial": redial,
        "sources": list(redial.sources.all())[:MOST_ROUNDS] if redial else [],
        "parted_from": [one.first for one in task.experiments_as_second.all()],
    }


def list_people(people: People, *, of: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "number": show_number(people.people[slug]),
            "url": link_rows("contacts", **of, step=slug),
            "note": tell_contacts(people.people[slug], people.rows[slug]),
        }
        for slug in _STEPS
    ]
