"""In: a task that somebody wants paused, resumed or deleted. Out: it is, confirmed by the platform.

Commands that reduce calls are repeated until a query confirms them; a resume adds calls and is sent
once, as an attempt.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import attempts, lifecycle
from campaigns.connections import open_client
from campaigns.dispatch.setbacks import NOTHING, Next, handle_setback
from campaigns.ingest import apply_task_state
from campaigns.models import Contact, Task
from campaigns.platforms.contract import Client
from campaigns.platforms.errors import Consequence, PlatformError, Rejected
from campaigns.platforms.events import PlatformTaskState, TaskChanged

ALARM_SECONDS = 60
NOT_CONFIRMED = N_(
    "The platform has not confirmed it for more than a minute. It is still repeated."
)
PAUSED = N_("Paused; the platform confirmed it.")
PAUSED_HERE = N_("Paused before the platform was told to start.")
RESUMED = N_("Resumed.")
DELETED = N_("Deleted at the platform; it confirmed it.")
DELETED_MEANWHILE = N_("The task was deleted at the platform; nobody is called for it any more.")
STILL_UNKNOWN = N_("A request of unknown outcome has to be settled first.")
ENDED_THERE = N_("The task had ended at the platform.")
BEFORE_START = ("loading", "loaded")


def carry_out_request(task_id: int) -> Next:
    """Do what was asked for the task; ``advance`` in the answer means: call this again."""
    task = Task.objects.select_related("account", "robot", "voice").get(pk=task_id)
    if task.request == Task.Request.PAUSE:
        return _pause(task)
    if task.request == Task.Request.RESUME:
        return _resume(task)
    if task.request == Task.Request.DELETE:
        return _delete(task)
    return NOTHING


def _pause(task: Task) -> Next:
    with transaction.atomic():
        if lifecycle.move(task, "paused", of=BEFORE_START, reason=PAUSED_HERE):
            lifecycle.request_task(task, "")
            return NOTHING
    if task.status == Task.Status.PAUSED:
        lifecycle.request_task(task, "")
        return NOTHING
    state = _tell(task, "pause_task")
    if state is None:
        return _again(task)
    if state.state == PlatformTaskState.PAUSED:
        with transaction.atomic():
            lifecycle.move(
                task, "paused", of=["starting", "running"], reason=PAUSED, needs_attention=False
            )
            lifecycle.request_task(task, "")
        return NOTHING
    if state.deleted or state.state in (PlatformTaskState.FINISHED, PlatformTaskState.EXPIRED):
        lifecycle.request_task(task, "")
        lifecycle.note_task(task, ENDED_THERE, needs_attention=False)
        return NOTHING
    return _again(task)


def _delete(task: Task) -> Next:
    if task.attempts.filter(status__in=["sending", "unknown"]).exists() and not (
        task.platform_task_id
    ):
        lifecycle.note_task(task, STILL_UNKNOWN, needs_attention=True)
        return Next("advance", 10)
    if task.attempts.filter(status="sending").exists():
        return Next("advance", 1)  # what is on its way comes back, or is taken for unknown, first
    if task.platform_task_id:
        state = _tell(task, "delete_task")
        if state is None or not (state.deleted or state.state == PlatformTaskState.DELETED):
            return _again(task)
    with transaction.atomic():
        moved = lifecycle.move(
            task, "deleted", reason=DELETED, needs_attention=False, finished_at=timezone.now(),
            of=["loading", "loaded", "starting", "running", "paused", "failed", "finished"],
        )  # fmt: skip
        lifecycle.request_task(task, "")
        if moved:
            withdraw(task)
    return NOTHING


def withdraw(task: Task) -> None:
    """Nobody of this task will be called any more; what was called stays as it is."""
    contacts = Contact.objects.filter(task=task)
    lifecycle.move_rows(
        task.attempts.all(), "confirmed_absent", of=["unknown"], reason=DELETED_MEANWHILE
    )
    lifecycle.move_rows(task.batches.all(), "not_sent", of=["unknown"], reason=DELETED_MEANWHILE)
    lifecycle.move_rows(task.batches.all(), "withdrawn", of=["planned"])
    lifecycle.move_contacts(
        contacts.filter(calls_made=0), "withdrawn", of=["ready", "planned", "unknown", "accepted"]
    )
    lifecycle.move_contacts(contacts.filter(calls_made__gt=0), "finished", of=["accepted"])


def _tell(task: Task, command: str) -> TaskChanged | None:
    """Send pause or delete, then ask. None when the answer is not known."""
    client = open_client_or_none(task)
    if client is None:
        return None
    try:
        getattr(client, command)(task.platform_task_id)
    except Rejected as error:
        # Already deleted or finished is what the query will say too.
        if error.consequence not in (Consequence.FAIL_TASK, Consequence.PAUSE_TASK):
            lifecycle.note_task(task, error.advice, needs_attention=True)
    except PlatformError as error:
        lifecycle.note_task(task, error.advice, needs_attention=False)
    try:
        state = client.query_task(task.platform_task_id)
    except PlatformError:
        return None
    if state is None:
        # The platform lists it no more.
        return TaskChanged(
            platform_task_id=task.platform_task_id,
            state=PlatformTaskState.DELETED,
            platform_state="",
            deleted=True,
        )
    apply_task_state(task, state)
    return state


def open_client_or_none(task: Task) -> Client | None:
    try:
        return open_client(task.account, task=task)
    except PlatformError as error:
        lifecycle.note_task(task, error.advice, needs_attention=True)
        return None


def _again(task: Task) -> Next:
    """Repeat soon; after a minute without confirmation it is an alarm."""
    waited = (timezone.now() - (task.requested_at or timezone.now())).total_seconds()
    if waited > ALARM_SECONDS:
        lifecycle.note_task(task, NOT_CONFIRMED, needs_attention=True)
    return Next("advance", 1 if waited < 10 else 5)


def _resume(task: Task) -> Next:
    started = task.attempts.filter(
        command="start", status__in=["accepted", "confirmed_accepted", "human_accepted"]
    ).exists()
    if not started:
        with transaction.atomic():
            lifecycle.move(
                task, "loading", of=["paused"], reason=RESUMED, needs_attention=False,
                setbacks=0, not_before=None,
            )  # fmt: skip
            lifecycle.request_task(task, "")
        return Next("launch")
    try:
        with transaction.atomic(durable=True):
            attempt = attempts.open_attempt(task, "start")
    except IntegrityError:
        lifecycle.note_task(task, STILL_UNKNOWN, needs_attention=True)
        return NOTHING
    outcome = attempts.carry_out(attempt, lambda client: client.start_task(task.platform_task_id))
    with transaction.atomic():
        attempts.close_attempt(attempt, outcome)
        if outcome.accepted:
            lifecycle.move(task, "running", of=["paused"], reason=RESUMED, needs_attention=False)
            lifecycle.request_task(task, "")
            return NOTHING
        if outcome.status == "unknown":
            lifecycle.request_task(task, "")
        following = handle_setback(task, attempt, outcome)
        if not outcome.busy:
            lifecycle.request_task(task, "")
        return following
