"""In: a task that somebody looks at. Out: its figures as they were counted last, and a new count
where one is due.

Few rows are counted at once, at each look, so that a small task is always told as it is. A large
one is counted by a job: when rows of it changed, when somebody looks, and never for more than a
tenth of the time, however long it takes.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from campaigns.figures.counting import count_figures
from campaigns.figures.reading import Figures
from campaigns.funnels import list_family
from campaigns.models import Call, Contact, Task, TaskCount, TaskFigures
from campaigns.queue import LAST, enqueue

TASK, FAMILY = "task", "family"
#: so many contacts, and so many calls, are counted while somebody waits
FEW = 2_000
#: the pause between two counts is at least this, and so many times what the last one took
REST, REST_TIMES = timedelta(seconds=2), 10.0
#: somebody looks at it, if the last look was not longer ago
LOOKS_FOR = timedelta(seconds=60)
#: what nobody looks at is counted anew so long after it was counted
UNSEEN_REST = timedelta(minutes=10)
#: as many counts are begun at once, of what nobody waits for
MOST_DUE = 20
#: the clocks of two workers may differ by this
CLOCKS_DIFFER = timedelta(seconds=5)
#: advisory locks are told apart by their first number
_LOCK = 7_201


@dataclass(frozen=True, slots=True)
class Look:
    """What a page shows, of when it is, and whether rows changed since."""

    figures: Figures
    counted_at: datetime | None
    is_old: bool


def look_at(
    task: Task,
    *,
    family: bool = False,
    states: dict[str, int] | None = None,
    states_at: datetime | None = None,
) -> Look:
    """The figures of a task, or of the family that it is of. ``states``: its contacts as of
    ``states_at``, where the caller knows them; a difference tells that contacts moved."""
    tasks = list_family([find_root(task)]) if family else [task.pk]
    if (states is None or sum(states.values()) <= FEW) and has_few(tasks):
        figures = count_figures(tasks, zone=task.account.zone, by_round=family)
        return Look(Figures(figures), timezone.now(), False)
    scope = FAMILY if family else TASK
    root = find_root(task) if family else task.pk
    row = TaskFigures.objects.get_or_create(task_id=root, scope=scope)[0]
    figures_now = Figures(row.figures)
    is_old = root in find_stale([row])
    if states is not None and (not states_at or not row.counted_at or row.counted_at < states_at):
        is_old |= figures_now.states != states
    keep_counting(row, is_old=is_old)
    return Look(figures_now, row.counted_at, is_old)


def read_many(tasks: Collection[Task]) -> dict[int, Look]:
    """The figures of several tasks as they were counted last; those that were not are missing."""
    rows = {row.task_id: row for row in TaskFigures.objects.filter(task__in=tasks, scope=TASK)}
    stale = find_stale(rows.values())
    for task in tasks:
        if task.pk not in rows:
            _enqueue(task.pk, TASK)
        else:
            keep_counting(rows[task.pk], is_old=task.pk in stale)
    return {
        pk: Look(Figures(row.figures), row.counted_at, pk in stale)
        for pk, row in rows.items()
        if row.counted_at is not None
    }


def find_root(task: Task) -> int:
    """The task that its family is known by."""
    return int(task.family_id or task.pk)


def has_few(tasks: list[int]) -> bool:
    """Whether they can be counted while somebody waits."""
    contacts = Contact.objects.filter(task__in=tasks).order_by()
    if len(contacts.values_list("pk")[: FEW + 1]) > FEW:
        return False
    calls = Call.objects.filter(task__in=tasks).order_by()
    return len(calls.values_list("pk")[: FEW + 1]) <= FEW


def find_stale(rows: Collection[TaskFigures]) -> set[int]:
    """Tasks, or first tasks of families, whose calls changed since they were counted."""
    members = {row.task_id: [row.task_id] for row in rows}
    for row in rows:
        if row.scope == FAMILY:
            members[row.task_id] = list_family([row.task_id])
    every = {pk for pks in members.values() for pk in pks}
    changed = dict(
        TaskCount.objects.filter(pk__in=every)
        .exclude(calls_changed_at=None)
        .values_list("pk", "calls_changed_at")
    )
    stale = set()
    for row in rows:
        moments = [changed[pk] for pk in members[row.task_id] if pk in changed]
        if row.counted_at is None or any(
            moment > row.counted_at - CLOCKS_DIFFER for moment in moments
        ):
            stale.add(row.task_id)
    return stale


def is_rested(row: TaskFigures, now: datetime) -> bool:
    """Whether counting it again leaves most of the time to others."""
    if row.counted_at is None:
        return True
    return now - row.counted_at >= max(REST, timedelta(seconds=REST_TIMES * row.seconds))


def keep_counting(row: TaskFigures, *, is_old: bool) -> None:
    """Note that somebody looks, and have it counted where that is due."""
    now = timezone.now()
    if row.wanted_at is None or now - row.wanted_at > LOOKS_FOR / 4:
        TaskFigures.objects.filter(pk=row.pk).update(wanted_at=now)
    if is_old and is_rested(row, now):
        _enqueue(row.task_id, row.scope)


def list_due() -> list[tuple[int, str]]:
    """(task, scope) of what is to be counted: what a dead job left undone while somebody looks, and
    now and then what nobody looks at."""
    now = timezone.now()
    wanted = list(TaskFigures.objects.filter(wanted_at__gt=now - LOOKS_FOR).defer("figures"))
    stale = find_stale(wanted)
    due = [
        (row.task_id, row.scope) for row in wanted if row.task_id in stale and is_rested(row, now)
    ]
    return due + [(pk, TASK) for pk in _list_unseen(now, most=MOST_DUE)]


_UNSEEN = """
    SELECT c.task_id FROM campaigns_taskcount c
    LEFT JOIN campaigns_taskfigures f ON f.task_id = c.task_id AND f.scope = 'task'
    WHERE c.calls_changed_at IS NOT NULL AND (f.counted_at IS NULL
        OR (c.calls_changed_at > f.counted_at - %s AND f.counted_at < %s))
    ORDER BY f.counted_at NULLS FIRST, c.task_id LIMIT %s
"""


def _list_unseen(now: datetime, *, most: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_UNSEEN, [CLOCKS_DIFFER, now - UNSEEN_REST, most])
        return [row[0] for row in cursor.fetchall()]


def _enqueue(task_id: int, scope: str) -> None:
    enqueue(
        "campaigns.jobs.count_figures",
        once=f"figures-{scope}-{task_id}",
        priority=LAST,
        task_id=task_id,
        scope=scope,
    )


def count_task(task_id: int, scope: str = "task") -> bool:
    """Count a task, or the family that begins with it, and keep it; False where somebody else is
    at it, or nothing is there. It may be repeated: the same rows give the same figures."""
    task = Task.objects.select_related("account").filter(pk=task_id).first()
    if task is None:
        return False
    is_family = scope == FAMILY
    with transaction.atomic():
        with connection.cursor() as cursor:
            key = task_id * 2 + is_family
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashint8(%s))", [_LOCK, key])
            if not cursor.fetchone()[0]:
                return False
        now, began = timezone.now(), time.monotonic()
        tasks = list_family([task_id]) if is_family else [task_id]
        figures = count_figures(tasks, zone=task.account.zone, by_round=is_family)
        values = {
            "figures": figures,
            "counted_at": now,
            "seconds": round(time.monotonic() - began, 3),
        }
        TaskFigures.objects.update_or_create(task_id=task_id, scope=scope, defaults=values)
    return True
