"""In: tasks that are under way. Out: those that fail too often are asked to pause, and say why.

What counts is what the platform, its lines or our own data got wrong: contacts that it refused, and
calls that its lines or its network lost. Who does not answer, and numbers that do not exist, are
the campaign's own. A task that somebody lets go on begins with a new sample.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_noop as N_

from campaigns import gates, lifecycle
from campaigns.models import Attempt, Call, StatusChange, Task
from campaigns.platforms.errors import Consequence
from campaigns.queue import FIRST, enqueue

logger = logging.getLogger(__name__)

RULE = "failures"
PAUSED_ITSELF = N_("It failed too often and paused itself. Look at it before you let it go on.")
REFUSED_TOO_OFTEN = N_(
    "%(failed)d of its last %(of)d contacts were refused by the platform; it pauses at %(percent)d"
    " percent."
)
LOST_TOO_OFTEN = N_(
    "%(failed)d of its last %(of)d calls failed at the platform or its lines (%(kinds)s); it pauses"
    " at %(percent)d percent."
)
#: ends of calls that say nothing about whom was called
LOST = ("line_failure", "network_failure", "call_restricted", "timed_out")
ACCEPTED = ("accepted", "confirmed_accepted", "human_accepted")


@dataclass(frozen=True, slots=True)
class Sample:
    """The last outcomes of a task: how many, how many of them failed, and how."""

    of: int
    failed: int
    kinds: str = ""

    def fails(self, *, percent: int, enough: int) -> bool:
        return self.of >= enough and self.failed * 100 >= percent * self.of


def pause_failing() -> list[int]:
    """Ask to pause what fails too often; returns the ids of these tasks."""
    underway = Task.objects.filter(
        status__in=["loading", "running"],
        kind=Task.Kind.CAMPAIGN,
        request="",
        account__failure_percent__isnull=False,
    ).select_related("account")
    stopped = []
    for task in underway.order_by("id"):
        try:
            if is_out_of_reach(task) or (hold := find_failing(task)) is None:
                continue
            if stop_failing(task, hold):
                stopped.append(task.pk)
        except Exception:  # one that cannot be judged must not keep the others, nor what follows
            logger.exception("The failures of task %s could not be counted.", task.pk)
    return stopped


def is_out_of_reach(task: Task) -> bool:
    """Whether nothing of it can be held back: a platform that dials what it is given has all."""
    return task.fills_instances and task.status == Task.Status.RUNNING


def find_failing(task: Task) -> gates.Hold | None:
    """Why the task should pause; None while it does well enough, or too little is known."""
    account = task.account
    percent, enough = account.failure_percent, account.failure_sample
    if percent is None:
        return None
    since = find_begin(task)
    for sample, reason in (
        (sample_handovers(task, since, enough), REFUSED_TOO_OFTEN),
        (sample_calls(task, since, enough), LOST_TOO_OFTEN),
    ):
        if sample.fails(percent=percent, enough=enough):
            values: dict[str, Any] = {"failed": sample.failed, "of": sample.of, "percent": percent}
            if sample.kinds:
                values["kinds"] = sample.kinds
            return gates.Hold(RULE, reason, values)
    return None


def find_begin(task: Task) -> datetime:
    """When it was launched, or let go on after its last pause."""
    moves = StatusChange.objects.filter(subject="task", subject_id=task.pk)
    begun = moves.filter(old__in=["draft", "paused"], new__in=["loading", "running"])
    newest = begun.order_by("-id").values_list("at", flat=True).first()
    return newest or task.launched_at or task.created_at


def sample_handovers(task: Task, since: datetime, enough: int) -> Sample:
    """Of the last contacts about which the platform has decided. A batch that was refused because
    of one row is divided until that row is alone: only then somebody is refused."""
    decided = Attempt.objects.filter(
        task=task, batch__isnull=False, started_at__gte=since, status__in=[*ACCEPTED, "refused"]
    )
    rows = decided.order_by("-id").values_list("status", "code", "batch__size")
    known = refused = 0
    for status, code, size in rows[: 2 * enough]:
        if known >= enough:
            break
        if status != "refused":
            known += min(size, enough - known)
        elif size == 1 and refuses_row(task, code):
            known, refused = known + 1, refused + 1
    return Sample(known, refused)


def refuses_row(task: Task, code: str) -> bool:
    error = task.account.vendor.errors.get(code)
    return error is not None and error.consequence == Consequence.REFUSE_ROW


def sample_calls(task: Task, since: datetime, enough: int) -> Sample:
    """Of the last calls that began since then and are over."""
    calls = Call.objects.filter(task=task, happened_at__gte=since, has_record=True)
    ended = calls.exclude(direction=Call.Direction.INBOUND).order_by("-happened_at", "-id")
    results = list(ended.values_list("result", flat=True)[:enough])
    lost = [result for result in results if result in LOST]
    return Sample(len(results), len(lost), tell_kinds(lost))


def tell_kinds(results: Iterable[str]) -> str:
    """Each kind with its number, as words of ours that are the same in every language."""
    found = list(results)
    return ", ".join(f"{kind} {found.count(kind)}" for kind in LOST if kind in found)


def stop_failing(task: Task, hold: gates.Hold) -> bool:
    """Ask for a pause that only a person ends; False when somebody asked for something else."""
    with transaction.atomic():
        rows = Task.objects.select_for_update().filter(pk=task.pk, request="")
        if not rows.filter(status__in=["loading", "running"]).exists():
            return False
        rows.update(paused_by_rule="")
        lifecycle.request_task(task, "pause")
        lifecycle.note_task(task, PAUSED_ITSELF, needs_attention=True)
        gates.note_hold(task, hold)
        enqueue("campaigns.jobs.carry_out_request", priority=FIRST, task_id=task.pk)
    return True
