"""In: tasks that run at a platform. Out: paused while a rule forbids them, let go on afterwards.

A platform that keeps the hours it was told needs no help of ours at noon. What it does not know is
kept here: days and holidays, hours that were changed since, the hours of other countries, amounts,
accounts that were stopped. A task that a person paused is never let go on by a rule.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import gates, lifecycle
from campaigns.attempts import list_held
from campaigns.barring import has_barred
from campaigns.gates.amounts import find_spent, find_stopped
from campaigns.gates.hours import (
    Holidays,
    find_closed,
    list_held_places,
    list_holidays,
    read_kept,
    read_places,
)
from campaigns.models import Batch, Task
from campaigns.queue import FIRST, enqueue

logger = logging.getLogger(__name__)

#: what closes within this time is paused already: a pause takes its time
AHEAD = timedelta(seconds=30)
BARRED_SINCE = N_(
    "It would go on by itself, but people whom the platform holds were put on the do-not-call list"
    " meanwhile, and it takes nobody back. Stop the task for good, then clone it."
)


def guard_tasks(*, now: datetime | None = None) -> list[int]:
    """Pause what a rule forbids, and resume what no rule forbids any more; returns whom."""
    moment = now or timezone.now()
    dialling = Task.objects.filter(status__in=["starting", "running"], kind=Task.Kind.CAMPAIGN)
    waiting = Task.objects.filter(status="paused", account__is_active=True)
    waiting = waiting.exclude(paused_by_rule="")
    changed = []
    near: dict[int, Holidays] = {}  # of each account, read once
    for rows, guard in ((dialling, hold_dialling), (waiting, free_waiting)):
        for task in rows.filter(request="").select_related("account").order_by("id"):
            try:
                if task.account_id not in near:
                    near[task.account_id] = list_holidays(task.account, moment, days=3)
                if guard(task, moment, near[task.account_id]):
                    changed.append(task.pk)
            except Exception:  # what cannot be judged must not keep the others from being stopped
                logger.exception("The rules about task %s could not be read.", task.pk)
    refresh_waiting(moment)
    return changed


def hold_dialling(task: Task, moment: datetime, near: Holidays) -> bool:
    """Pause a task that the platform dials for, if a rule forbids it."""
    hold = None if task.fills_instances else find_forbidden(task, moment, near=near)
    return hold is not None and pause_by_rule(task, hold)


def free_waiting(task: Task, moment: datetime, near: Holidays) -> bool:
    """Let a task go on that a rule had paused, if none forbids it any more."""
    hold = gates.find_hold(task, "start", now=moment) or find_forbidden(task, moment, near=near)
    if hold is None:
        return resume_by_rule(task)
    gates.note_hold(task, hold)
    return False


def find_forbidden(
    task: Task, moment: datetime, *, near: Holidays | None = None
) -> gates.Hold | None:
    """Why the platform must be told to pause a task that it dials for: a rule forbids it, and the
    platform would call all the same. A restored database asks for a person; what runs at a platform
    is not touched by it. Asked of every task every few seconds: one query where nothing holds."""
    hold = find_stopped(task) or find_spent(task, moment)
    if hold is not None:
        return hold
    places, kept = list_held_places(task), read_kept(task)
    return find_closed(task, moment, places=places, keeps=kept, near=near) or find_closed(
        task, moment + AHEAD, places=places, keeps=kept, near=near
    )


def pause_by_rule(task: Task, hold: gates.Hold) -> bool:
    """Ask for a pause as the rule; False when somebody asked for something meanwhile."""
    with transaction.atomic():
        rows = Task.objects.select_for_update().filter(pk=task.pk)
        if not rows.filter(request="", status__in=["starting", "running"]).exists():
            return False
        rows.update(paused_by_rule=hold.rule)
        lifecycle.request_task(task, "pause")
        gates.note_hold(task, hold)
        enqueue("campaigns.jobs.carry_out_request", priority=FIRST, task_id=task.pk)
    return True


def resume_by_rule(task: Task) -> bool:
    """Let a task go on that a rule had paused; False when a person has taken it over."""
    with transaction.atomic():
        rows = Task.objects.select_for_update().filter(pk=task.pk)
        if not rows.filter(request="", status="paused").exclude(paused_by_rule="").exists():
            return False
        rows.update(paused_by_rule="")
        gates.clear_hold(task)
        if has_barred(list_held(task)):
            lifecycle.note_task(task, BARRED_SINCE, needs_attention=True)
            return True
        lifecycle.request_task(task, "resume")
        enqueue("campaigns.jobs.carry_out_request", priority=FIRST, task_id=task.pk)
    return True


def refresh_waiting(moment: datetime) -> int:
    """Look again at the batches that wait for an hour: the hours may have been changed. Returns how
    many may go on earlier than was written down."""
    planned = Batch.objects.filter(status=Batch.Status.PLANNED, not_before__gt=moment)
    waiting = planned.filter(task__status="loading").order_by()
    freed = 0
    tasks = Task.objects.in_bulk(set(waiting.values_list("task_id", flat=True)))
    for pk, places in waiting.values_list("task_id", "places").distinct():
        task = tasks.get(pk)
        if task is None:
            continue
        hold = find_closed(task, moment, places=read_places(places or []))
        until = hold.until if hold is not None else None
        same = waiting.filter(task=pk, places=places)
        if hold is None:
            freed += same.update(not_before=None, reason="")
        elif until is not None:
            freed += same.exclude(not_before=until).update(not_before=until)
    return freed
