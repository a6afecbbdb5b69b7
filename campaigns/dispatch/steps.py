"""In: a launched task. Out: the task one step further: created, loaded, counted, started.

A step may be called at any time and as often as one likes: it looks at the rows, claims what it
does with a compare-and-swap, and does nothing when there is nothing to do.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import attempts, gates, lifecycle
from campaigns.barring import exclude_barred, has_barred
from campaigns.connections import find_wait, open_client
from campaigns.dispatch.counts import (
    count_handed_over,
    has_uncounted,
    note_counted,
    read_states,
)
from campaigns.dispatch.instances import (
    NOBODY_LEFT,
    UNKNOWN_OUTCOME,
    advance_filling,
    tell_nobody,
)
from campaigns.dispatch.setbacks import NOTHING, Next, clear_setbacks, handle_setback, set_back
from campaigns.dispatch.waiting import wait_for_hours
from campaigns.gates.hours import make_windows
from campaigns.gates.opening import read_windows
from campaigns.ingest import apply_task_state
from campaigns.models import StatusChange, Task
from campaigns.platforms.contract import TaskOrder
from campaigns.platforms.errors import PlatformError
from campaigns.platforms.events import TaskChanged
from campaigns.queue import enqueue

COUNT_DIFFERS = N_(
    "The platform counts another number of contacts than were handed over. The task is not started."
    " If the count stays, it is handed over anew."
)
ASKING_FAILED = N_("The platform could not be asked for the number of contacts. Trying again.")
TOO_LATE = N_("It could not be handed over for ten minutes, so nobody is called.")
BARRED_SINCE = N_(
    "Somebody was put on the do-not-call list after being handed over. Nobody has been called: the"
    " task is handed over anew without them."
)
STILL_BARRED = N_(
    "It was handed over anew several times, and each time somebody was put on the do-not-call list"
    " meanwhile. The platform was not told to dial; resume the task to try again."
)
WAITS = N_(
    "Everything is handed over. The platform is told to dial ten minutes before the begin; whoever"
    " says no until then is left out."
)
#: how long before its begin a task is started; a platform takes nobody back once it may dial
START_AHEAD = timedelta(minutes=10)
#: a count is believed for so long; a start that comes later asks again
COUNT_HOLDS = timedelta(seconds=10)
#: how often in a row a task is handed over anew for that
MOST_REBUILDS = 3
DIRECT_CALL_SECONDS = 600
UNDECIDED = ("sending", "unknown", "needs_human")


def advance_task(task_id: int) -> Next:
    """Take a launched task one step further: create → batches → count → start."""
    task = Task.objects.select_related("account", "robot", "voice").get(pk=task_id)
    if task.request in lifecycle.HOLDING:
        return NOTHING
    if task.not_before and task.not_before > timezone.now():
        return Next("advance", (task.not_before - timezone.now()).total_seconds())
    if task.status not in (Task.Status.LOADING, Task.Status.LOADED):
        return NOTHING
    hold = gates.find_hold(task, name_command(task))
    if hold is not None:
        gates.note_hold(task, hold)
        return Next("advance", hold.wait(timezone.now()))
    gates.clear_hold(task)
    if wait := find_wait(task.account):
        return Next("advance", wait)
    if task.status == Task.Status.LOADING:
        return _advance_loading(task)
    return _start(task)


def name_command(task: Task) -> str:
    """The next command of the task that would add calls."""
    if task.status == Task.Status.LOADED:
        return "start"
    if task.kind == Task.Kind.DIRECT:
        return "callout"
    return "insert" if task.platform_task_id or task.fills_instances else "create"


def _advance_loading(task: Task) -> Next:
    if task.fills_instances:
        return advance_filling(task, make_order)
    if task.kind == Task.Kind.CAMPAIGN and not task.platform_task_id:
        return _create(task)
    if task.kind == Task.Kind.DIRECT and is_overdue(task):
        lifecycle.move(task, "failed", of=["loading"], reason=TOO_LATE, needs_attention=True)
        lifecycle.withdraw_task(task, TOO_LATE)
        return NOTHING
    held = read_states(task)
    if "unknown" in held:
        # Nothing more leaves: the platform's count tells about the unknown ones while it rests.
        # One that waits for a person says why, unless the task was resumed since.
        if not (task.needs_attention and task.attempts.filter(status="needs_human").exists()):
            lifecycle.note_task(task, UNKNOWN_OUTCOME, needs_attention=True)
        return NOTHING
    if task.one_by_one and "sending" not in held and has_uncounted(task):
        following = compare_count(task, count_handed_over(task))
        if following is not None:
            return following
    if "ready" in held:
        return Next("plan")
    if "planned" in held:
        return wait_for_hours(task) or Next("send")
    if "sending" in held:
        return NOTHING  # whoever sends it says what comes next
    if task.kind == Task.Kind.DIRECT:
        return _finish_direct(task)
    return _check_count(task)


def is_overdue(task: Task) -> bool:
    """Whether a direct call could not leave for so long that nobody expects it any more."""
    since = timezone.now() - (task.launched_at or task.created_at)
    return (
        since.total_seconds() > DIRECT_CALL_SECONDS
        and not task.attempts.exclude(status__in=["not_sent", "refused"]).exists()
    )


def _create(task: Task) -> Next:
    """Create the task at the platform, under a name with a mark by which it can be asked for."""
    with transaction.atomic(durable=True):
        locked = Task.objects.select_for_update().get(pk=task.pk)
        undecided = task.attempts.filter(command="create", status__in=UNDECIDED)
        if locked.platform_task_id or locked.status != Task.Status.LOADING or undecided.exists():
            return NOTHING
        exclude_barred(task, task.contacts.all(), of=["ready"])
        if not task.contacts.exclude(status="excluded").exists():
            lifecycle.move(task, "failed", of=["loading"], reason=NOBODY_LEFT, needs_attention=True)
            return NOTHING
        task.platform_name = f"{task.name} [CB-{task.pk}-{secrets.token_hex(3)}]"
        task.platform_windows = [
            [begin.isoformat(), end.isoformat()] for begin, end in make_windows(task)
        ]
        Task.objects.filter(pk=task.pk).update(
            platform_name=task.platform_name, platform_windows=task.platform_windows
        )
        attempt = attempts.open_attempt(task, "create")
    order = make_order(task)
    outcome = attempts.carry_out(attempt, lambda client: client.create_task(order))
    with transaction.atomic():
        if not attempts.close_attempt(attempt, outcome):
            return NOTHING
        if outcome.accepted:
            note_created(task, outcome.value)
            return Next("advance")
        return handle_setback(task, attempt, outcome)


def note_created(task: Task, platform_task_id: str) -> None:
    """Remember the platform's id of the task; the setbacks before it are over."""
    task.platform_task_id = platform_task_id
    Task.objects.filter(pk=task.pk, platform_task_id="").update(platform_task_id=platform_task_id)
    clear_setbacks(task)


def make_order(task: Task, *, name: str = "") -> TaskOrder:
    """The task in the words of the contract, under its name at the platform or another one. An
    empty begin means now. The windows are those it is made with."""
    told = task.platform_windows
    return TaskOrder(
        name=name or task.platform_name,
        robot_id=task.robot.platform_id,
        lines=tuple(task.lines.order_by("number").values_list("number", flat=True)),
        begin_at=max(task.begin_at or timezone.now(), timezone.now()),
        end_at=task.end_at,
        windows=tuple(task.hours) if told is None else read_windows(told),
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
            task, "failed", of=["loading"], reason=tell_nobody(task), needs_attention=True
        )
        return NOTHING
    following = compare_count(task, expected)
    if following is not None:
        return following
    clear_setbacks(task)
    if lifecycle.move(task, "loaded", of=["loading"], needs_attention=False):
        return Next("advance")
    return NOTHING


def compare_count(task: Task, expected: int) -> Next | None:
    """Ask for the count; None when it is right. One that stays wrong means that the task is handed
    over anew, if nobody has been called."""
    try:
        state = ask_count(task)
    except PlatformError:
        lifecycle.note_task(task, ASKING_FAILED, needs_attention=False)
        return set_back(task)
    if state is not None and state.contacts == expected:
        note_counted(task)
        if task.reason in (COUNT_DIFFERS, lifecycle.COUNT_BUT_CALLED):
            lifecycle.calm_task(task)
        return None
    called = lifecycle.may_have_started(task)
    why = lifecycle.COUNT_BUT_CALLED if called else COUNT_DIFFERS
    lifecycle.note_task(task, why, needs_attention=True)
    if settle_count(task, state.contacts if state else None):
        if called:
            lifecycle.move(task, "paused", of=["loading"], reason=why, needs_attention=True)
            return NOTHING
        # Where a count was wrong once, two faults may hide each other the next time.
        Task.objects.filter(pk=task.pk).update(one_by_one=True)
        if lifecycle.ask_rebuild(task):
            enqueue("campaigns.jobs.carry_out_request", task_id=task.pk)
        return NOTHING
    return set_back(task, settings.SETTLE_SECONDS / 6)


def ask_count(task: Task) -> TaskChanged | None:
    """Ask the platform how the task stands there. Raises ``PlatformError``."""
    state = open_client(task.account, task=task).query_task(task.platform_task_id)
    if state is not None:
        apply_task_state(task, state)
    return state


def settle_count(task: Task, counted: int | None) -> bool:
    """Write the wrong count down with the newest insert; True when it has stayed the same long
    enough that nothing can still be on its way."""
    newest = task.attempts.filter(command="insert").order_by("-id").first()
    if newest is None:
        return False
    now = timezone.now()
    answers = [one for one in newest.evidence if one.get("answer") == f"count {counted}"]
    newest.evidence = [*answers, {"at": now.isoformat(), "answer": f"count {counted}"}]
    newest.save(update_fields=["evidence"])
    since = (now - (newest.ended_at or newest.started_at)).total_seconds()
    return len(newest.evidence) >= settings.SETTLE_ANSWERS and since >= settings.SETTLE_SECONDS


def _start(task: Task) -> Next:
    """Let the platform dial, shortly before the begin."""
    if task.begin_at and (early := task.begin_at - START_AHEAD - timezone.now()) > timedelta():
        lifecycle.note_task(task, WAITS, needs_attention=False)
        return Next("advance", early.total_seconds())
    if has_barred(attempts.list_held(task)):
        return _leave_out(task)
    if not was_counted_lately(task):
        # It may have waited for hours: what was lost on the way may have arrived since.
        try:
            state = ask_count(task)
        except PlatformError:
            lifecycle.note_task(task, ASKING_FAILED, needs_attention=False)
            return set_back(task)
        if state is None or state.contacts != count_handed_over(task):
            lifecycle.move(task, "loading", of=["loaded"], reason=COUNT_DIFFERS)
            return Next("advance")
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
        if not attempts.close_attempt(attempt, outcome):
            return NOTHING
        if outcome.accepted:
            clear_setbacks(task)
            lifecycle.move(task, "running", of=["starting"], needs_attention=False)
            enqueue("campaigns.jobs.poll_task", once=f"poll-{task.pk}", task_id=task.pk)
            return NOTHING
        if outcome.status != "unknown":
            lifecycle.move(task, "loaded", of=["starting"], reason=outcome.reason)
        return handle_setback(task, attempt, outcome)


def was_counted_lately(task: Task) -> bool:
    """Whether the platform said a moment ago how many contacts it holds."""
    since = timezone.now() - COUNT_HOLDS
    return task.platform_checked_at is not None and task.platform_checked_at > since


def _leave_out(task: Task) -> Next:
    """Hand over anew without those who said no since they were handed over: the platform takes
    nobody back, and nobody has been called."""
    with transaction.atomic():
        free = Task.objects.select_for_update().filter(pk=task.pk, request__in=["", "rebuild"])
        if free.values_list("pk").first() is None:
            return NOTHING  # what a person asked for goes first, and is none of the times
        moves = StatusChange.objects.filter(subject="task", subject_id=task.pk, new="loading")
        reasons = moves.exclude(old="loading").order_by("-id").values_list("reason", flat=True)
        if list(reasons[:MOST_REBUILDS]) == [BARRED_SINCE] * MOST_REBUILDS:
            lifecycle.move(task, "paused", of=["loaded"], reason=STILL_BARRED, needs_attention=True)
        elif lifecycle.move(
            task, "loading", of=["loaded"], reason=BARRED_SINCE
        ) and lifecycle.ask_rebuild(task):
            enqueue("campaigns.jobs.carry_out_request", task_id=task.pk)
    return NOTHING


def _finish_direct(task: Task) -> Next:
    """A direct call has no start: once its batch is with the platform, it runs."""
    if count_handed_over(task):
        lifecycle.move(task, "running", of=["loading"], needs_attention=False)
    else:
        lifecycle.move(
            task, "failed", of=["loading"], reason=tell_nobody(task), needs_attention=True
        )
    return NOTHING
