"""In: tasks that are on their way. Out: how many of their contacts are in which state, and as of
when.

The contacts of a small task are counted whenever somebody looks; those of a large one by a job,
which leaves each alone for several times what its counting took.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from campaigns.models import Contact, Task, TaskCount

#: so many contacts are counted while somebody waits
SMALL = 5_000
#: a task is left alone for so many times what its counting took; a small one, and one that rests,
#: for so long at least
REST, STILL_REST = 20, timedelta(seconds=60)
#: tasks that are over, counted at once; deleted and failed ones again after so long, until so old
MOST, LATE, OLD = 50, timedelta(hours=1), timedelta(days=30)
#: a transaction says when it did something, and is seen so much later at most
SLACK = timedelta(seconds=60)
#: an accepted contact of a running task is called silent after this long without any news
SILENT_AFTER = timedelta(hours=24)
#: tasks whose contacts move
ACTIVE = ("draft", "loading", "loaded", "starting", "running", "paused")

# The index tells all but which of three states those have that are on their way.
_COUNT = """
SELECT stage, count(*) FROM campaigns_contact WHERE task_id = %(task)s AND stage <> 'moving'
GROUP BY stage
UNION ALL
SELECT status, count(*) FROM campaigns_contact WHERE task_id = %(task)s AND stage = 'moving'
GROUP BY status
"""
_COUNT_SILENT = """
SELECT count(*) FROM campaigns_contact
WHERE task_id = %s AND stage = 'moving' AND status = 'accepted' AND calls_made = 0
"""
# At most one more than are small, by the index of task and stage.
_COUNT_SMALL = """
SELECT w.task, s.status, count(*)
FROM unnest(%s::bigint[]) AS w(task)
CROSS JOIN LATERAL (
    SELECT c.status FROM campaigns_contact c WHERE c.task_id = w.task LIMIT %s
) AS s
GROUP BY w.task, s.status
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """{state: contacts}, every state present, as of ``at``."""

    contacts: dict[str, int]
    at: datetime
    #: counted by the job, not when somebody looked
    is_old: bool = False

    @property
    def total(self) -> int:
        return sum(self.contacts.values())

    @property
    def to_call(self) -> int:
        """Contacts that are to be called or were: all but the excluded and the withdrawn."""
        return self.total - self.contacts["excluded"] - self.contacts["withdrawn"]

    @property
    def done(self) -> int:
        """Contacts of which nothing more will come."""
        return self.contacts["finished"] + self.contacts["rejected"]


def count_tasks() -> int:
    """Count the contacts of the tasks that are due; returns how many tasks that were."""
    now = timezone.now()
    tasks = Task.objects.select_related("count").only("status", "launched_at", "count")
    active = tasks.filter(status__in=ACTIVE).order_by("pk")
    due = [task for task in active if _is_due(task, now)]
    due += list(_find_over(tasks, now)[:MOST])
    for task in due:
        _count_task(task)
    return len(due)


def _is_due(task: Task, now: datetime) -> bool:
    row = getattr(task, "count", None)
    if row is None or row.counted_at is None:
        return True
    still = sum(row.contacts.values()) <= SMALL or task.status in ("draft", "paused")
    rest = max(REST * timedelta(milliseconds=row.took_ms), STILL_REST if still else timedelta(0))
    return not timedelta(0) <= now - row.counted_at < rest


def _find_over(tasks: QuerySet[Task], now: datetime) -> QuerySet[Task]:
    """Tasks nothing more is done for, not counted since something happened to them."""
    changed = Q(count__calls_changed_at__gt=F("count__counted_at"))
    # What ended it may have been committed after a count that began a moment later.
    ended = Q(count__counted_at__lt=F("finished_at")) | Q(
        finished_at__lt=now - SLACK, count__counted_at__lt=F("finished_at") + SLACK
    )
    # of these nothing says when that was
    odd = Q(
        status__in=["deleted", "failed"],
        count__counted_at__lt=now - LATE,
        launched_at__gt=now - OLD,
    )
    never = Q(count=None) | Q(count__counted_at=None)
    return tasks.exclude(status__in=ACTIVE).filter(never | changed | ended | odd).order_by("-pk")


def _count_task(task: Task) -> None:
    now, began = timezone.now(), time.monotonic()
    is_old = (
        task.status == Task.Status.RUNNING
        and task.launched_at is not None
        and task.launched_at < now - SILENT_AFTER
    )
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"task": task.pk})
        counts = dict.fromkeys(Contact.Status.values, 0) | dict(cursor.fetchall())
        silent = 0
        if is_old and counts["accepted"]:
            cursor.execute(_COUNT_SILENT, [task.pk])
            silent = cursor.fetchone()[0]
    took = round((time.monotonic() - began) * 1000)
    values = {"contacts": counts, "silent": silent, "counted_at": now, "took_ms": took}
    TaskCount.objects.update_or_create(pk=task.pk, defaults=values)


def read_progress(task_ids: Collection[int]) -> dict[int, Progress]:
    """Where the contacts of a few tasks are: of small ones now, of large ones as last counted. A
    large task that nobody has counted yet is missing."""
    known = {
        row.pk: row
        for row in TaskCount.objects.filter(pk__in=task_ids).exclude(counted_at=None)
        if sum(row.contacts.values()) > SMALL
    }
    found = {
        pk: Progress(
            dict.fromkeys(Contact.Status.values, 0) | row.contacts, row.counted_at, is_old=True
        )
        for pk, row in known.items()
        if row.counted_at is not None
    }
    others = [pk for pk in task_ids if pk not in known]
    if others:
        now = timezone.now()
        small: dict[int, dict[str, int]] = {
            pk: dict.fromkeys(Contact.Status.values, 0) for pk in others
        }
        with connection.cursor() as cursor:
            cursor.execute(_COUNT_SMALL, [others, SMALL + 1])
            for pk, status, number in cursor.fetchall():
                small[pk][status] = number
        found |= {
            pk: Progress(counts, now)
            for pk, counts in small.items()
            if sum(counts.values()) <= SMALL
        }
    return found
