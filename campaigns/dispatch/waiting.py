"""In: planned batches of a task. Out: the next one whose numbers may be called now where they are.

The others wait, each with the moment at which its hours open; a task all of whose batches wait is
looked at again then.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Min, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns.dispatch.setbacks import Next
from campaigns.gates import Hold
from campaigns.gates.hold import LATEST, SOONEST
from campaigns.gates.hours import find_closed, find_places, read_places
from campaigns.models import Batch, Task

ELSEWHERE = N_("Nobody is called at this hour where its numbers are.")


def only_due(batches: QuerySet[Batch], now: datetime) -> QuerySet[Batch]:
    """Those that do not wait for an hour."""
    return batches.filter(Q(not_before=None) | Q(not_before__lte=now))


def dials_at_once(task: Task) -> bool:
    """Whether who is handed over is called; else the hours hold back the start alone."""
    return task.fills_instances or task.kind == Task.Kind.DIRECT


def take_due(task: Task, planned: QuerySet[Batch]) -> Batch | None:
    """The first of the planned batches that may leave now, locked; those that may not are put off
    until their hours open."""
    now = timezone.now()
    free = planned.select_for_update(skip_locked=True, of=("self",)).order_by("number")
    if not dials_at_once(task):
        return free.first()
    while (batch := only_due(free, now).first()) is not None:
        places = find_places(batch, task.account)
        hold = find_closed(task, now, places=read_places(places)) if places else None
        if hold is None:
            return batch
        put_off(task.batches.filter(pk=batch.pk), hold, now=now)
        put_off(only_due(planned.filter(places=places), now), hold, now=now)
    return None


def put_off(batches: QuerySet[Batch], hold: Hold, *, now: datetime) -> int:
    """Let batches wait until their hours open; where that is never, they are looked at again."""
    until = hold.until or now + timedelta(seconds=LATEST)
    planned = batches.filter(status=Batch.Status.PLANNED).order_by()
    return planned.update(not_before=until, reason=ELSEWHERE)


def wait_for_hours(task: Task) -> Next | None:
    """When to look again, if every planned batch of the task waits for an hour."""
    if not dials_at_once(task):
        return None
    now = timezone.now()
    planned = task.batches.filter(status=Batch.Status.PLANNED)
    if only_due(planned, now).exists():
        return None
    opens = planned.aggregate(opens=Min("not_before"))["opens"]
    if opens is None:
        return None
    return Next("advance", min(max((opens - now).total_seconds(), SOONEST), LATEST))
