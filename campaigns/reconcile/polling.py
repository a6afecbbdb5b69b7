"""In: tasks that run at a platform. Out: what the platform says of them, followed here.

A task ends when no contact is left in a state that is not final: never because of silence.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.connections import open_client
from campaigns.ingest import apply_events, apply_task_state, link_late
from campaigns.linking import link_misnamed, summarise_contacts
from campaigns.models import Contact, Task
from campaigns.platforms.contract import Can
from campaigns.platforms.errors import PlatformError
from campaigns.platforms.events import DIALLING, CallEvent, PlatformTaskState, TaskChanged

NOT_ASKED = N_("The platform could not be asked how the task stands.")
EVERY_CONTACT_FINAL = N_("Every contact is in a final state.")
SILENT = N_("The platform has finished the task, but some contacts were never reported.")
PAUSED_THERE = N_("Paused at the platform.")
RESUMED_THERE = N_("Running again at the platform.")
DELETED_THERE = N_("Deleted at the platform.")
#: so long after its end calls of a task may still be reported
LATE = timedelta(hours=6)
FINISH_LIMIT = 20_000
ASK_AGAIN = timedelta(hours=1)
WATCHED = ("starting", "running", "paused")
#: orders that have the task deleted at the platform; who carries them out says what comes of it
DELETING = (Task.Request.DELETE, Task.Request.REBUILD)
OVER = (PlatformTaskState.FINISHED, PlatformTaskState.EXPIRED)


def list_watched_tasks() -> list[int]:
    """Ids of the tasks whose state at the platform is due to be asked for."""
    due = timezone.now() - timedelta(seconds=settings.POLL_SECONDS)
    watched = Task.objects.filter(status__in=WATCHED)
    return list(
        watched.exclude(platform_checked_at__gt=due).order_by("platform_checked_at").values_list(
            "id", flat=True
        )
    )  # fmt: skip


def poll_task(task_id: int) -> bool:
    """Ask the platform about one task and follow what it says; False when it could not be asked."""
    task = Task.objects.select_related("account").get(pk=task_id)
    if not task.account.can(Can.QUERY_TASKS) or task.kind == Task.Kind.DIRECT:
        return poll_results(task)
    if task.kind == Task.Kind.CAMPAIGN and task.platform_task_id:
        try:
            state = open_client(task.account, task=task).query_task(task.platform_task_id)
        except PlatformError:
            lifecycle.note_task(task, NOT_ASKED, needs_attention=False)
            return False
        if task.reason == NOT_ASKED:
            lifecycle.note_task(task, "", needs_attention=False)
        if state is not None:
            apply_task_state(task, state)
            follow_state(task, state)
    end_task(task)
    return True


def follow_state(task: Task, state: TaskChanged) -> None:
    """Bring our status in line with what the platform says the task is doing."""
    if state.deleted:
        with transaction.atomic():
            now = Task.objects.select_for_update().get(pk=task.pk)
            # What is handed over anew is deleted there by us, and by another id there afterwards.
            if now.request in DELETING or now.platform_task_id != task.platform_task_id:
                return
            moved = lifecycle.move(
                task, "deleted", of=WATCHED, reason=DELETED_THERE, needs_attention=True,
                finished_at=timezone.now(),
            )  # fmt: skip
            if moved:
                lifecycle.request_task(task, "")
                lifecycle.withdraw_task(task, DELETED_THERE)
        return
    if state.state in OVER:
        finish_called(task)
    elif task.request:
        return  # what an operator asked for is being carried out
    elif state.state == PlatformTaskState.PAUSED:
        lifecycle.move(task, "paused", of=["running"], reason=PAUSED_THERE)
    elif state.state in DIALLING:
        lifecycle.move(task, "running", of=["paused"], reason=RESUMED_THERE)


def finish_called(task: Task) -> int:
    """The platform will not call again: whoever was called at least once is finished."""
    return lifecycle.move_contacts(
        task.contacts.filter(calls_made__gt=0), "finished", of=["accepted", "unknown"]
    )


def end_task(task: Task, *, silence: bool = True) -> bool:
    """End the task when every contact is in a final state; say so when only ``silence`` is left."""
    unsettled = task.contacts.filter(status__in=["ready", *Contact.UNSETTLED])
    if unsettled.exists() and has_ended_there(task):
        link_misnamed(task)
    if unsettled.exists():
        # Whoever is in doubt is told of elsewhere.
        left = not task.fills_instances or unsettled.filter(status="accepted").exists()
        if silence and left and has_ended_there(task) and task.status == Task.Status.RUNNING:
            lifecycle.note_task(task, SILENT, needs_attention=True)
        return False
    return lifecycle.move(
        task, "finished", of=["running", "paused"], reason=EVERY_CONTACT_FINAL,
        needs_attention=False, finished_at=timezone.now(),
    )  # fmt: skip


def poll_results(task: Task) -> bool:
    """Of a task that cannot be asked about: end it if all is told; when it is over and somebody was
    never reported, ask for its calls, where that can be."""
    Task.objects.filter(pk=task.pk).update(platform_checked_at=timezone.now())
    heard = True
    if task.kind == Task.Kind.DIRECT:
        finish_overtaken(task)
    over = Q(batch__instance__platform_state__in=OVER)
    if has_ended_there(task):
        over |= Q(batch__isnull=False)
    called = task.contacts.filter(over, status="accepted", calls_made__gt=0)
    finish = list(called.values_list("pk", flat=True)[:FINISH_LIMIT])
    lifecycle.move_contacts(Contact.objects.filter(pk__in=finish), "finished", of=["accepted"])
    if end_task(task, silence=False):
        return heard
    if has_ended_there(task) and is_time_to_ask(task):
        try:
            ask_for_calls(task)
        except PlatformError:
            heard = False
    end_task(task)
    return heard


def is_time_to_ask(task: Task) -> bool:
    """Once an hour; whoever is told so is the one who asks."""
    if not task.account.can(Can.FETCH_CALLS):
        return False
    due = timezone.now() - ASK_AGAIN
    waiting = Task.objects.filter(pk=task.pk).exclude(results_asked_at__gt=due)
    return bool(waiting.update(results_asked_at=timezone.now()))


def finish_overtaken(task: Task) -> None:
    """Whose call came back before it was written down that they are with the platform is done: of a
    direct call nothing else would say so, if the worker died right behind that."""
    with transaction.atomic():
        called = task.contacts.filter(status="accepted", calls_made__gt=0)
        summarise_contacts(list(called.values_list("pk", flat=True)))


def has_ended_there(task: Task) -> bool:
    """Whether the platform said that it calls nobody of the task any more."""
    if not task.fills_instances:
        return task.platform_state in OVER
    if task.end_at is not None and task.end_at + LATE < timezone.now():
        return True
    # An instance of which it is not known that anybody is in it says nothing, and holds up nobody.
    filled = task.instances.filter(batches__status="accepted").exclude(platform_task_id="")
    return filled.exists() and not filled.exclude(platform_state__in=OVER).exists()


def ask_for_calls(task: Task) -> int:
    """Ask for the calls of every instance of the task, and keep them like pushes; returns how many
    calls the platform told of. Raises ``PlatformError`` at the end, if one could not be asked."""
    if not task.account.can(Can.FETCH_CALLS):
        return 0
    ids = list(
        task.instances.exclude(platform_task_id="").values_list("platform_task_id", flat=True)
    )
    told: set[str] = set()
    failed: PlatformError | None = None
    for platform_task_id in filter(None, ids or [task.platform_task_id]):
        try:
            events = open_client(task.account, task=task).fetch_calls(platform_task_id)
        except PlatformError as error:
            failed = error  # what the others tell is kept all the same
            continue
        applied = apply_events(task.account, events)
        link_late(task.account_id, applied.call_ids)
        told |= {one.platform_call_id for one in events if isinstance(one, CallEvent)}
    if failed is not None:
        raise failed
    return len(told)
