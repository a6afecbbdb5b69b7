"""In: a task that somebody wants paused, resumed or deleted. Out: it is, confirmed by the platform.

Commands that reduce calls are repeated until a query confirms them; a resume adds calls and is sent
once, as an attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import attempts, gates, lifecycle
from campaigns.barring import has_barred
from campaigns.connections import open_client
from campaigns.dispatch.instances import delete_filling, pause_filling
from campaigns.dispatch.orders import HELD_BARRED, PAUSED_HERE, RESUMED, was_started
from campaigns.dispatch.setbacks import NOTHING, Next, clear_setbacks, handle_setback
from campaigns.dispatch.stops import ALARMING
from campaigns.ingest import apply_task_state
from campaigns.models import Task
from campaigns.platforms.errors import Consequence, PlatformError, Rejected
from campaigns.platforms.events import PlatformTaskState, TaskChanged
from campaigns.queue import enqueue

ALARM_SECONDS = 60
NOT_CONFIRMED = N_(
    "The platform has not confirmed it for more than a minute. It is still repeated."
)
PAUSED = N_("Paused; the platform confirmed it.")
DELETED = N_("Deleted at the platform; it confirmed it.")
DELETED_MEANWHILE = N_("The task was deleted at the platform; nobody is called for it any more.")
REBUILT = N_("It was deleted at the platform before it was started, and is handed over anew.")
REBUILT_PAUSED = N_(
    "It was deleted at the platform before it was started; nobody has been called. It is paused:"
    " once it is resumed, it is handed over anew."
)
NOT_REBUILT = N_("The task may have been started; it is not handed over anew.")
STILL_UNKNOWN = N_("A request of unknown outcome has to be settled first.")
ENDED_THERE = N_("The task had ended at the platform.")
BEFORE_START = ("loading", "loaded")
OVER = (PlatformTaskState.FINISHED, PlatformTaskState.EXPIRED)


def carry_out_request(task_id: int) -> Next:
    """Do what was asked for the task; ``advance`` in the answer means: call this again."""
    task = Task.objects.select_related("account", "robot", "voice").get(pk=task_id)
    if task.request == Task.Request.PAUSE:
        return _pause(task)
    if task.request == Task.Request.RESUME:
        return _resume(task)
    if task.request == Task.Request.DELETE:
        return _delete(task)
    if task.request == Task.Request.REBUILD:
        return _rebuild(task)
    return NOTHING


def _pause(task: Task) -> Next:
    if task.fills_instances:
        return pause_filling(task)
    with transaction.atomic():
        reason = task.reason if task.hold_rule in ALARMING else PAUSED_HERE
        if lifecycle.move(task, "paused", of=BEFORE_START, reason=reason):
            lifecycle.end_request(task, "pause")
            return NOTHING
    starts = task.attempts.filter(command="start")
    under_way = set(starts.values_list("status", flat=True)) & {"sending", *lifecycle.IN_DOUBT}
    on_its_way = "sending" in under_way
    # After that look: whoever closed such a request has moved the task with it.
    task.refresh_from_db(fields=["status"])
    if task.status == Task.Status.PAUSED and not under_way:
        lifecycle.end_request(task, "pause")
        return NOTHING
    answer = _tell(task, "pause_task")
    state = answer.state
    if state is None:
        return _again(task)  # a task that is not listed this once may dial all the same
    if state.state == PlatformTaskState.PAUSED:
        if on_its_way:
            return _again(task)  # it may go on as soon as that arrives
        with transaction.atomic():
            # What paused itself waits for a person: that it did stays where everybody sees it.
            alarmed = task.hold_rule in ALARMING and task.needs_attention
            told: dict[str, Any] = {
                "reason": task.reason if alarmed else PAUSED,
                "needs_attention": alarmed,
            }
            of = ["starting", "running"]
            if not lifecycle.move(task, "paused", of=of, **told) and not alarmed:
                lifecycle.calm_task(task, PAUSED)
            lifecycle.end_request(task, "pause")
        return NOTHING
    if state.deleted or state.state in OVER:
        lifecycle.end_request(task, "pause")
        lifecycle.calm_task(task, ENDED_THERE)
        return NOTHING
    return _again(task)


def _delete(task: Task) -> Next:
    if task.fills_instances:
        return delete_filling(task)
    if task.attempts.filter(status__in=["sending", "unknown"]).exists() and not (
        task.platform_task_id
    ):
        lifecycle.note_task(task, STILL_UNKNOWN, needs_attention=True)
        return Next("advance", 10)
    if task.attempts.filter(status="sending").exists():
        return Next("advance", 1)  # what is on its way comes back, or is taken for unknown, first
    if task.platform_task_id:
        answer = _tell(task, "delete_task")
        ended = answer.heard and answer.state is not None and answer.state.state in OVER
        if not answer.gone and not ended:  # of a task that ended nobody is called any more
            return _again(task)
    with transaction.atomic():
        moved = lifecycle.move(
            task, "deleted", reason=DELETED, needs_attention=False, finished_at=timezone.now(),
            of=["loading", "loaded", "starting", "running", "paused", "failed", "finished"],
        )  # fmt: skip
        lifecycle.request_task(task, "")
        if moved:
            lifecycle.withdraw_task(task, DELETED_MEANWHILE)
    return NOTHING


def _rebuild(task: Task) -> Next:
    """Delete an unstarted task whose count is wrong, and hand its contacts over anew."""
    if lifecycle.may_have_started(task) or task.status not in ("loading", "paused"):
        lifecycle.end_request(task, "rebuild")
        lifecycle.note_task(task, NOT_REBUILT, needs_attention=True)
        return NOTHING
    if task.attempts.filter(status="sending").exists():
        return Next("advance", 1)
    if not _tell(task, "delete_task").gone:
        return _again(task)
    with transaction.atomic():
        locked = Task.objects.select_for_update().get(pk=task.pk)
        if locked.request != Task.Request.REBUILD:
            return Next("advance", 1)  # an operator asked for something else meanwhile
        task.status = locked.status
        # Of one that is paused it would not be true that it goes on.
        reason = REBUILT_PAUSED if locked.status == Task.Status.PAUSED else REBUILT
        lifecycle.free_task(task, reason)
        Task.objects.filter(pk=task.pk).update(
            platform_task_id="", platform_state="", platform_contacts=None
        )
        lifecycle.request_task(task, "")
        lifecycle.calm_task(task, reason)
    return Next("launch")


@dataclass(frozen=True, slots=True)
class Answer:
    """``heard``: the platform took the command, or refused it because the task is no more.
    ``asked``: the question after it was answered. ``state``: how the task stands, if listed."""

    heard: bool
    asked: bool
    state: TaskChanged | None

    @property
    def gone(self) -> bool:
        """Deleted for certain. That a task is not listed says so only if the command was heard."""
        if self.state is not None:
            return self.state.deleted
        return self.asked and self.heard


def _tell(task: Task, command: str) -> Answer:
    """Send pause or delete, then ask."""
    heard = False
    try:
        client = open_client(task.account, task=task)
        getattr(client, command)(task.platform_task_id)
        heard = True
    except Rejected as error:
        heard = error.consequence == Consequence.FAIL_TASK
        if not heard:
            lifecycle.note_task(task, error.advice, needs_attention=True)
    except PlatformError as error:
        lifecycle.note_task(task, error.advice, needs_attention=False)
    try:
        state = open_client(task.account, task=task).query_task(task.platform_task_id)
    except PlatformError:
        return Answer(heard, False, None)
    if state is not None:
        apply_task_state(task, state)
    return Answer(heard, True, state)


def _again(task: Task) -> Next:
    """Repeat soon; after a minute without confirmation it is an alarm."""
    waited = (timezone.now() - (task.requested_at or timezone.now())).total_seconds()
    if waited > ALARM_SECONDS:
        lifecycle.note_task(task, NOT_CONFIRMED, needs_attention=True)
    return Next("advance", 1 if waited < 10 else 5)


def _resume(task: Task) -> Next:
    if task.status != Task.Status.PAUSED:
        lifecycle.end_request(task, "resume")
        return NOTHING
    if task.not_before and task.not_before > timezone.now():
        return Next("advance", (task.not_before - timezone.now()).total_seconds())
    if not was_started(task):
        with transaction.atomic():
            lifecycle.move(
                task, "loading", of=["paused"], reason=RESUMED, needs_attention=False,
                setbacks=0, not_before=None,
            )  # fmt: skip
            lifecycle.end_request(task, "resume")
        return Next("launch")
    hold = gates.find_hold(task, "start")
    if hold is not None:
        gates.note_hold(task, hold)
        return Next("advance", hold.wait(timezone.now()))
    gates.clear_hold(task)
    if has_barred(attempts.list_held(task)):
        lifecycle.end_request(task, "resume")
        lifecycle.note_task(task, HELD_BARRED, needs_attention=True)
        return NOTHING
    try:
        with transaction.atomic(durable=True):
            attempt = attempts.open_attempt(task, "start")
    except IntegrityError:
        lifecycle.note_task(task, STILL_UNKNOWN, needs_attention=True)
        return NOTHING
    outcome = attempts.carry_out(attempt, lambda client: client.start_task(task.platform_task_id))
    with transaction.atomic():
        if not attempts.close_attempt(attempt, outcome):
            return NOTHING
        if outcome.accepted:
            clear_setbacks(task)
            lifecycle.move(task, "running", of=["paused"], reason=RESUMED, needs_attention=False)
            lifecycle.end_request(task, "resume")
            enqueue("campaigns.jobs.poll_task", once=f"poll-{task.pk}", task_id=task.pk)
            return NOTHING
        if outcome.status == "unknown":
            lifecycle.end_request(task, "resume")
        following = handle_setback(task, attempt, outcome)
        if not outcome.busy:
            lifecycle.end_request(task, "resume")
        return following
