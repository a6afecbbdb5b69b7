"""In: a launched task. Out: the task one step further: created, loaded, counted, started.

A step may be called at any time and as often as one likes: it looks at the rows, claims what it
does with a compare-and-swap, and does nothing when there is nothing to do.
"""

from __future__ import annotations

import secrets

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import attempts, lifecycle
from campaigns.connections import open_client
from campaigns.dispatch.setbacks import NOTHING, Next, clear_setbacks, handle_setback, set_back
from campaigns.ingest import apply_task_state
from campaigns.models import Batch, Contact, Task
from campaigns.platforms.contract import TaskOrder
from campaigns.platforms.errors import PlatformError

COUNT_DIFFERS = N_(
    "The platform counts another number of contacts than were handed over. The task is not started."
)
UNKNOWN_OUTCOME = N_(
    "It is not known whether the platform carried out a request."
    " Nothing is sent again before it is."
)
NOTHING_ACCEPTED = N_("The platform accepted none of the contacts.")
ASKING_FAILED = N_("The platform could not be asked for the number of contacts. Trying again.")
UNDECIDED = ("sending", "unknown", "needs_human")


def advance_task(task_id: int) -> Next:
    """Take a launched task one step further: create → batches → count → start."""
    task = Task.objects.select_related("account", "robot", "voice").get(pk=task_id)
    if task.request in (Task.Request.PAUSE, Task.Request.DELETE):
        return NOTHING
    if task.not_before and task.not_before > timezone.now():
        return Next("advance", (task.not_before - timezone.now()).total_seconds())
    if task.status == Task.Status.LOADING:
        return _advance_loading(task)
    if task.status == Task.Status.LOADED:
        return _start(task)
    return NOTHING


def _advance_loading(task: Task) -> Next:
    if task.kind == Task.Kind.CAMPAIGN and not task.platform_task_id:
        return _create(task)
    held = read_states(task)
    if "unknown" in held:
        # Nothing more leaves: the platform's count tells about the unknown ones while it rests.
        lifecycle.note_task(task, UNKNOWN_OUTCOME, needs_attention=True)
        return NOTHING
    if "ready" in held:
        return Next("plan")
    if "planned" in held:
        return Next("send")
    if "sending" in held:
        return NOTHING  # whoever sends it says what comes next
    if task.kind == Task.Kind.DIRECT:
        return _finish_direct(task)
    return _check_count(task)


def read_states(task: Task) -> set[str]:
    """The states in which the task has contacts that are not handed over yet.

    One statement, so one moment: contacts that move between two looks would be seen in neither
    state, and the task would go on without them.
    """
    states = ("ready", "planned", "sending", "unknown")
    seen = {
        f"has_{state}": Exists(Contact.objects.filter(task=OuterRef("pk"), status=state))
        for state in states
    }
    row = Task.objects.filter(pk=task.pk).annotate(**seen).values(*seen).get()
    return {state for state in states if row[f"has_{state}"]}


def _create(task: Task) -> Next:
    """Create the task at the platform, under a name with a mark by which it can be asked for."""
    with transaction.atomic(durable=True):
        locked = Task.objects.select_for_update().get(pk=task.pk)
        undecided = task.attempts.filter(command="create", status__in=UNDECIDED)
        if locked.platform_task_id or locked.status != Task.Status.LOADING or undecided.exists():
            return NOTHING
        task.platform_name = f"{task.name} [CB-{task.pk}-{secrets.token_hex(3)}]"
        Task.objects.filter(pk=task.pk).update(platform_name=task.platform_name)
        attempt = attempts.open_attempt(task, "create")
    order = make_order(task)
    outcome = attempts.carry_out(attempt, lambda client: client.create_task(order))
    with transaction.atomic():
        attempts.close_attempt(attempt, outcome)
        if outcome.accepted:
            note_created(task, outcome.value)
            return Next("advance")
        return handle_setback(task, attempt, outcome)


def note_created(task: Task, platform_task_id: str) -> None:
    """Remember the platform's id of the task; the setbacks before it are over."""
    task.platform_task_id = platform_task_id
    Task.objects.filter(pk=task.pk).update(platform_task_id=platform_task_id)
    clear_setbacks(task)


def make_order(task: Task) -> TaskOrder:
    """The task in the words of the contract. An empty begin means now."""
    return TaskOrder(
        name=task.platform_name,
        robot_id=task.robot.platform_id,
        lines=tuple(task.lines.order_by("number").values_list("number", flat=True)),
        begin_at=max(task.begin_at or timezone.now(), timezone.now()),
        end_at=task.end_at,
        windows=tuple(task.hours),
        recall_count=task.recall_count,
        recall_wait_seconds=task.recall_wait_seconds,
        voice_code=task.voice.code if task.voice else None,
        turbo=task.turbo,
    )


def _check_count(task: Task) -> Next:
    """Start only when the platform holds exactly what was handed over."""
    expected = count_handed_over(task)
    if not expected:
        lifecycle.move(
            task, "failed", of=["loading"], reason=NOTHING_ACCEPTED, needs_attention=True
        )
        return NOTHING
    try:
        state = open_client(task.account, task=task).query_task(task.platform_task_id)
    except PlatformError:
        lifecycle.note_task(task, ASKING_FAILED, needs_attention=False)
        return set_back(task)
    if state is not None:
        apply_task_state(task, state)
    if state is None or state.contacts != expected:
        lifecycle.note_task(task, COUNT_DIFFERS, needs_attention=True)
        return set_back(task)
    clear_setbacks(task)
    if lifecycle.move(task, "loaded", of=["loading"], needs_attention=False):
        return Next("advance")
    return NOTHING


def count_handed_over(task: Task) -> int:
    """Contacts that the platform must hold: those of accepted batches."""
    return task.contacts.filter(batch__status=Batch.Status.ACCEPTED).count()


def _start(task: Task) -> Next:
    """Let the platform dial."""
    with transaction.atomic(durable=True):
        if not lifecycle.move(task, "starting", of=["loaded"]):
            return NOTHING
        try:
            with transaction.atomic():
                attempt = attempts.open_attempt(task, "start")
        except IntegrityError:
            return NOTHING
    outcome = attempts.carry_out(attempt, lambda client: client.start_task(task.platform_task_id))
    with transaction.atomic():
        attempts.close_attempt(attempt, outcome)
        if outcome.accepted:
            clear_setbacks(task)
            lifecycle.move(task, "running", of=["starting"], needs_attention=False)
            return NOTHING
        if outcome.status != "unknown":
            lifecycle.move(task, "loaded", of=["starting"], reason=outcome.reason)
        return handle_setback(task, attempt, outcome)


def _finish_direct(task: Task) -> Next:
    """A direct call has no start: once its batch is with the platform, it runs."""
    if count_handed_over(task):
        lifecycle.move(task, "running", of=["loading"], needs_attention=False)
    else:
        lifecycle.move(
            task, "failed", of=["loading"], reason=NOTHING_ACCEPTED, needs_attention=True
        )
    return NOTHING
