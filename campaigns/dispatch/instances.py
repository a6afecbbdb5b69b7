"""In: a task whose platform dials at once what it is given. Out: its instances made and filled.

Such a platform has no start to hold back and no count to ask for, and holds only so many contacts
in one instance: one task of ours is several of theirs. So what else the start would do is done
here: nothing leaves before the begin or after the end of the task, and what has left cannot be
taken back. An instance of which we have no id holds nobody: making another one calls nobody twice.
"""

from __future__ import annotations

import secrets
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import attempts, lifecycle
from campaigns.dispatch.counts import count_handed_over, read_states
from campaigns.dispatch.orders import is_handed_over
from campaigns.dispatch.setbacks import NOTHING, Next, clear_setbacks, handle_setback
from campaigns.dispatch.stops import ALARMING
from campaigns.dispatch.waiting import only_due, wait_for_hours
from campaigns.models import Batch, Instance, Task

WAITS = N_("It waits for its begin: this platform dials at once whatever it is given.")
UNKNOWN_OUTCOME = N_(
    "It is not known whether the platform carried out a request."
    " Nothing is sent again before it is."
)
NOTHING_ACCEPTED = N_("The platform accepted none of the contacts.")
NOBODY_LEFT = N_("Nobody is left to call: every contact was excluded, each with its reason.")
ENDED = N_("The end of the task has passed. Whoever was not handed over is not called.")
STOPPED = N_(
    "Handing over was stopped. What the platform has it calls: it offers no way to take it back."
)
PAUSED_HERE = N_("Handing over is paused. What the platform has it calls.")
TOO_LATE = N_("Everybody was handed over before the pause; the platform offers none.")
GIVEN_UP = N_("The end of the task has passed, and nothing more is waited for.")
LONGEST_WAIT = 300.0
UNDECIDED = ("sending", "unknown", "needs_human")


def advance_filling(task: Task, make_order: Any) -> Next:
    """One step: wait for the begin, plan, make the next instance, send, or see that all is done.

    ``make_order`` gives the order of a task under a name."""
    wait = seconds_to_begin(task)
    if wait > 0:
        lifecycle.note_task(task, WAITS, needs_attention=False)
        return Next("advance", min(wait, LONGEST_WAIT))
    if task.reason == WAITS:
        lifecycle.note_task(task, "", needs_attention=False)
    held = read_states(task)
    if "sending" in held:
        return NOTHING  # whoever sends it says what comes next
    if has_ended(task):
        return stop_filling(task, ENDED)
    if task.attempts.filter(status="unknown").exists():
        # It is being asked about. What is left to a person in the end holds nobody else up: here is
        # no count that it could spoil.
        if not task.needs_attention:
            lifecycle.note_task(task, UNKNOWN_OUTCOME, needs_attention=True)
        return NOTHING
    if "ready" in held:
        return Next("plan")
    if "planned" in held:
        return wait_for_hours(task) or make_instance(task, make_order) or Next("send")
    finish_filling(task)
    return NOTHING


def seconds_to_begin(task: Task) -> float:
    return (task.begin_at - timezone.now()).total_seconds() if task.begin_at else 0.0


def has_ended(task: Task) -> bool:
    return task.end_at is not None and task.end_at <= timezone.now()


def is_open(task: Task) -> bool:
    """Whether contacts of the task may be handed over now."""
    return seconds_to_begin(task) <= 0 and not has_ended(task)


def make_instance(task: Task, make_order: Any) -> Next | None:
    """Create the next instance that has planned batches and no id; None when there is none."""
    with transaction.atomic(durable=True):
        locked = Task.objects.select_for_update().get(pk=task.pk)
        due = only_due(task.batches.filter(status=Batch.Status.PLANNED), timezone.now())
        instance = (
            Instance.objects.filter(batches__in=due, platform_task_id="").order_by("number").first()
        )
        if instance is None:
            return None
        undecided = task.attempts.filter(command="create", status__in=UNDECIDED)
        if locked.status != Task.Status.LOADING or undecided.exists():
            return NOTHING
        mark = f"[CB-{task.pk}-{instance.number}-{secrets.token_hex(3)}]"
        instance.platform_name = f"{task.name} {mark}"
        instance.save(update_fields=["platform_name"])
        attempt = attempts.open_attempt(task, "create", instance=instance)
    order = make_order(task, name=instance.platform_name)
    outcome = attempts.carry_out(attempt, lambda client: client.create_task(order))
    with transaction.atomic():
        if not attempts.close_attempt(attempt, outcome):
            return NOTHING
        if not outcome.accepted:
            return handle_setback(task, attempt, outcome)
        empty = Instance.objects.filter(pk=instance.pk, platform_task_id="")
        empty.update(platform_task_id=outcome.value)
        clear_setbacks(task)
    return Next("send")


def finish_filling(task: Task) -> None:
    """All is handed over: the platform dials, and the calls come back."""
    with transaction.atomic():
        locked = Task.objects.select_for_update().get(pk=task.pk)
        if locked.request in lifecycle.HOLDING:
            return
        doubtful = has_doubtful(task)
        if doubtful or count_handed_over(task):
            # The alarm about what is in doubt stays.
            reason = locked.reason if doubtful else ""
            lifecycle.move(task, "running", of=["loading"], reason=reason, needs_attention=doubtful)
        else:
            lifecycle.move(
                task, "failed", of=["loading"], reason=tell_nobody(task), needs_attention=True
            )


def tell_nobody(task: Task) -> str:
    """Why nobody of the task was handed over."""
    excluded = not task.contacts.exclude(status="excluded").exists()
    return NOBODY_LEFT if excluded else NOTHING_ACCEPTED


def has_doubtful(task: Task) -> bool:
    return task.batches.filter(status=Batch.Status.UNKNOWN).exists()


def stop_filling(task: Task, reason: str) -> Next:
    """Nobody more is handed over. The task goes on for those who were, or is over. What is on its
    way comes back first."""
    with transaction.atomic():
        Task.objects.select_for_update(no_key=True).get(pk=task.pk)
        if task.attempts.filter(status="sending").exists():
            return Next("advance", 1)
        lifecycle.withdraw_unsent(task, reason)
        after: dict[str, Any] = {"reason": reason, "needs_attention": True}
        if has_doubtful(task) or count_handed_over(task):
            lifecycle.move(task, "running", of=["loading", "paused", "failed"], **after)
        else:
            of = ["loading", "paused", "failed"]
            lifecycle.move(task, "deleted", of=of, finished_at=timezone.now(), **after)
        lifecycle.request_task(task, "")
    return NOTHING


def give_up_waiting(task: Task) -> Next:
    """Nothing more is expected of the platform: who was never reported is not waited for. A call
    that comes back all the same is kept, and finishes its contact."""
    with transaction.atomic():
        Task.objects.select_for_update(no_key=True).get(pk=task.pk)
        lifecycle.withdraw_task(task, GIVEN_UP)
        lifecycle.move(
            task, "finished", of=["running"], reason=GIVEN_UP, needs_attention=False,
            finished_at=timezone.now(),
        )  # fmt: skip
        lifecycle.request_task(task, "")
    return NOTHING


def delete_filling(task: Task) -> Next:
    """What deleting means here: hand over no more, and once the end is past, wait no more."""
    if task.status == Task.Status.RUNNING:
        return give_up_waiting(task)
    return stop_filling(task, STOPPED if is_handed_over(task) else lifecycle.WITHDRAWN_BEFORE)


def pause_filling(task: Task) -> Next:
    """Hand over no more for now. Of what is handed over already nothing can be held back."""
    with transaction.atomic():
        locked = Task.objects.select_for_update(no_key=True).get(pk=task.pk)
        if locked.request != Task.Request.PAUSE:
            return NOTHING  # another job has carried it out meanwhile
        reason = locked.reason if locked.hold_rule in ALARMING else PAUSED_HERE
        moved = lifecycle.move(task, "paused", of=["loading"], reason=reason)
        if not moved and locked.status != Task.Status.PAUSED:
            lifecycle.note_task(task, TOO_LATE, needs_attention=False)
        lifecycle.request_task(task, "")
    return NOTHING
