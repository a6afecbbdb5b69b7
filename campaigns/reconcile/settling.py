"""In: requests of unknown outcome. Out: settled by asking: create by its exact name, insert by the
count, start by the state.

What cannot be asked about waits for a person. Nothing is ever sent again from here.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.attempts import INTERRUPTED
from campaigns.connections import open_client
from campaigns.ingest import apply_task_state
from campaigns.linking import link_calls
from campaigns.locks import only_one
from campaigns.models import Attempt, Batch, Contact, Task
from campaigns.platforms.contract import Can
from campaigns.platforms.errors import PlatformError
from campaigns.platforms.events import PlatformTaskState, TaskChanged
from campaigns.reconcile.evidence import BY_COUNT, BY_NAME, BY_STATE, is_settled, was_heard_lately
from campaigns.reconcile.filled import list_proved_batches, settle_filled
from campaigns.reconcile.polling import NOT_ASKED, follow_state

#: the first half of the advisory lock's key: "what is unknown of task n"
SETTLE_LOCK = 70_002
#: seconds between two questions about a request that stays unknown
LONGEST_SETTLE_PAUSE = 300.0
CALL_CAME_BACK = N_("A call came back: the platform had carried out the request.")
FOUND = N_("The platform was asked and has it.")
ABSENT = N_("The platform was asked several times and does not have it.")
RESUME_ABSENT = N_(
    "The request to resume never arrived. The task is still paused; resume it again."
)
CANNOT_BE_ASKED = N_("The platform cannot be asked about direct calls. A person has to decide.")
CANNOT_ASK_HERE = N_("The platform cannot be asked how a task stands. A person has to decide.")
NOT_HEARD = N_(
    "For a long time the platform could not be asked about a request, or did not know its task. It"
    " is still asked; a person may decide."
)
COUNT_FITS_NEITHER = N_(
    "The platform's count of contacts fits neither answer. Nobody has been called; if the count"
    " stays, the task is handed over anew."
)

COUNT_IS_AMBIGUOUS = N_(
    "An answer was lost, and the count was not known to be right just before: a batch taken twice"
    " could hide one that never arrived. Nobody has been called; if the count stays, the task is"
    " handed over anew, one batch at a time."
)
SENDER_DIED = N_(
    "A worker was stopped while it handed contacts over, and the count does not tell how far it"
    " came. Nobody has been called; if the count stays, the task is handed over anew."
)


def list_unsettled_tasks() -> list[int]:
    """Ids of the tasks with a request of unknown outcome that is due to be asked about.

    Often at first, since the rest of the task waits for it; the longer nothing is settled, the
    less often: every twentieth of the time that has passed.
    """
    now = timezone.now()
    due = {attempt.task_id for attempt in (*list_proved_callouts(), *list_proved_batches())}
    # Direct calls cannot be asked about; what else was left to a person still is.
    left_to_person = Q(status="needs_human") & ~Q(command="callout")
    unknown = Attempt.objects.filter(Q(status="unknown") | left_to_person)
    for attempt in unknown.order_by("id"):
        age = (now - (attempt.ended_at or attempt.started_at)).total_seconds()
        pause = min(max(age / 20, 1.0), LONGEST_SETTLE_PAUSE)
        if attempt.status == Attempt.Status.NEEDS_HUMAN:
            pause = LONGEST_SETTLE_PAUSE
        # Not by the task's own poll: that would put this off for ever.
        if attempt.asked_at is None or attempt.asked_at < now - timedelta(seconds=pause):
            due.add(attempt.task_id)
    return sorted(due)


def list_proved_callouts() -> list[Attempt]:
    """Direct calls of unknown outcome of which a call came back.

    The platform takes a direct call whole or not at all (yeta-openapi.txt, 直接外呼), so one call
    is proof for all of its contacts.
    """
    proved = Contact.objects.filter(batch=OuterRef("batch"), status__in=["accepted", "finished"])
    return list(
        Attempt.objects.filter(Exists(proved), command="callout")
        .filter(status__in=["unknown", "needs_human"])
        .select_related("batch__task")
    )


def settle_task(task_id: int) -> bool:
    """Settle the unknown requests of a task by asking; True when the task can go on. Of several
    that are called at once one asks."""
    with only_one(
        SETTLE_LOCK, task_id, idle=settings.LEASE_SECONDS + settings.HTTP_TIMEOUT_SECONDS
    ) as mine:
        if not mine:
            return False
        asked = Attempt.objects.filter(task=task_id, status__in=["unknown", "needs_human"])
        asked.update(asked_at=timezone.now())
        can_go_on = _settle(task_id)
        asked.update(asked_at=timezone.now())  # asking may have taken long
        return can_go_on


def _settle(task_id: int) -> bool:
    task = Task.objects.select_related("account").get(pk=task_id)
    proved = [attempt for attempt in list_proved_callouts() if attempt.task_id == task_id]
    for attempt in proved:
        confirm_batch(attempt, CALL_CAME_BACK)
    if proved:
        lifecycle.calm_task(task, CALL_CAME_BACK)
        return True
    if task.fills_instances:
        return settle_filled(task)
    for attempt in task.attempts.filter(status="unknown", command="callout"):
        leave_to_person(task, attempt, CANNOT_BE_ASKED)
    doubtful = task.attempts.filter(status__in=lifecycle.IN_DOUBT).exclude(command="callout")
    unknown = list(doubtful.select_related("batch").order_by("id"))
    if not unknown:
        return False
    if not task.account.can(Can.QUERY_TASKS):
        for attempt in unknown:
            leave_to_person(task, attempt, CANNOT_ASK_HERE)
        return False
    before = read_batches(task)
    if "sending" in before.values():
        return False  # what the platform counts may still change
    try:
        if unknown[0].command == Attempt.Command.CREATE:
            return _settle_create(task, unknown[0])
        client = open_client(task.account, task=task, attempt=unknown[0])
        state = client.query_task(task.platform_task_id)
    except PlatformError:
        lifecycle.note_task(task, NOT_ASKED, needs_attention=True)
        state = None
    if state is None:
        leave_silent(task, unknown)
        return False
    apply_task_state(task, state)
    inserts = [attempt for attempt in unknown if attempt.command == Attempt.Command.INSERT]
    if not inserts:
        return _settle_start(task, unknown[0], state)
    with transaction.atomic():
        Task.objects.select_for_update().get(pk=task.pk)
        if read_batches(task) != before:
            return False  # something was under way while the platform counted: ask again
        settled = _settle_inserts(task, inserts, state)
    if settled:
        link_calls(task.account_id)
    return settled


def leave_silent(task: Task, doubtful: list[Attempt]) -> None:
    """What the platform has said nothing about for long is left to a person. It is asked about all
    the same: a late answer settles it like any other."""
    for attempt in doubtful:
        if not was_heard_lately(attempt, seconds=settings.LEAVE_TO_PERSON_SECONDS):
            leave_to_person(task, attempt, NOT_HEARD)


def leave_to_person(task: Task, attempt: Attempt, reason: str) -> None:
    if lifecycle.move(attempt, "needs_human", of=["unknown"], reason=reason):
        lifecycle.note_task(task, reason, needs_attention=True)


def read_batches(task: Task) -> dict[int, str]:
    """The status of each batch, at one moment."""
    return dict(task.batches.values_list("id", "status"))


def _settle_create(task: Task, attempt: Attempt) -> bool:
    """Found by its exact name, which holds a mark that only we make."""
    client = open_client(task.account, task=task, attempt=attempt)
    found = [
        state
        for state in client.query_tasks(name=task.platform_name)
        if state.name == task.platform_name and not state.deleted
    ]
    if found:
        with transaction.atomic():
            if lifecycle.move(attempt, "confirmed_accepted", of=lifecycle.IN_DOUBT, reason=FOUND):
                Task.objects.filter(pk=task.pk, platform_task_id="").update(
                    platform_task_id=found[0].platform_task_id
                )
                lifecycle.calm_task(task, FOUND)
        return True
    Task.objects.filter(pk=task.pk).update(platform_checked_at=timezone.now())
    return _note_negative(task, attempt, "not in the list", question=BY_NAME)


def _settle_inserts(task: Task, inserts: list[Attempt], state: TaskChanged) -> bool:
    """All of them or none of them, by the platform's count of contacts.

    The caller made sure that nothing was under way while the platform counted.
    """
    if state.contacts is None:
        return False
    settled = task.contacts.filter(batch__status=Batch.Status.ACCEPTED).count()
    missing = task.contacts.filter(batch__status=Batch.Status.UNKNOWN).count()
    answer = f"count {state.contacts}"
    fits = state.contacts in (settled, settled + missing)
    if not fits or is_ambiguous(task, inserts, none_arrived=state.contacts == settled):
        # A worker of ours that died is no fault of the platform: what it does next is as sure as
        # what it did first. Where that happens again, so much is lost by it that each is counted.
        ours = all(attempt.reason == INTERRUPTED for attempt in inserts)
        at_once = ours and not lifecycle.was_rebuilt(task)
        why = COUNT_IS_AMBIGUOUS if fits else COUNT_FITS_NEITHER
        called = lifecycle.may_have_started(task)
        if called:
            why = lifecycle.COUNT_BUT_CALLED
        elif at_once:
            why = SENDER_DIED
        lifecycle.note_task(task, why, needs_attention=True)
        settled_now = [is_settled(attempt, answer, question=BY_COUNT) for attempt in inserts]
        if all(settled_now) and called:
            for attempt in inserts:
                leave_to_person(task, attempt, why)
        elif all(settled_now):
            if not at_once:
                Task.objects.filter(pk=task.pk).update(one_by_one=True)
            lifecycle.ask_rebuild(task)  # carried out by ``dispatch``
        return False
    if state.contacts == settled + missing:
        for attempt in inserts:
            confirm_batch(attempt, FOUND)
        task.batches.filter(status=Batch.Status.ACCEPTED, counted=False).update(counted=True)
        lifecycle.calm_task(task, FOUND)
        return True
    gone = [_note_negative(task, one, answer, question=BY_COUNT) for one in inserts]
    return all(gone)


def is_ambiguous(task: Task, inserts: list[Attempt], *, none_arrived: bool) -> bool:
    """Whether a count that fits may hide two faults: one batch that the platform took twice beside
    another one that was lost.

    It cannot when every batch before was counted, and one request is in doubt, or none arrived.
    """
    uncounted = {"batch__status": Batch.Status.ACCEPTED, "batch__counted": False}
    if task.contacts.filter(**uncounted).exists():
        return True
    return len(inserts) > 1 and not none_arrived


def confirm_batch(attempt: Attempt, reason: str) -> None:
    """The platform holds the batch although its answer was lost: its contacts are accepted."""
    batch = attempt.batch
    if batch is None:
        return
    with transaction.atomic():
        if lifecycle.move(attempt, "confirmed_accepted", of=lifecycle.IN_DOUBT, reason=reason):
            lifecycle.move(batch, "accepted", of=["unknown"], reason=reason)
            lifecycle.move_contacts(batch.contacts.all(), "accepted", of=["unknown"], reason="")


def _settle_start(task: Task, attempt: Attempt, state: TaskChanged) -> bool:
    if state.state == PlatformTaskState.CREATED or (
        state.state == PlatformTaskState.PAUSED and task.status == Task.Status.PAUSED
    ):
        return _note_negative(task, attempt, state.platform_state, question=BY_STATE)
    with transaction.atomic():
        if lifecycle.move(attempt, "confirmed_accepted", of=lifecycle.IN_DOUBT, reason=FOUND):
            lifecycle.move(
                task, "running", of=["starting", "paused"], reason=FOUND, needs_attention=False
            )
    follow_state(task, state)
    return True


def _note_negative(task: Task, attempt: Attempt, answer: str, *, question: str) -> bool:
    """A "no" about a request; several of them over the settle time mean that it never arrived."""
    if not is_settled(attempt, answer, question=question):
        return False
    with transaction.atomic():
        if not lifecycle.move(attempt, "confirmed_absent", of=lifecycle.IN_DOUBT, reason=ABSENT):
            return False
        if attempt.batch is not None:
            lifecycle.move(attempt.batch, "not_sent", of=["unknown"], reason=ABSENT)
            lifecycle.move_contacts(
                attempt.batch.contacts.all(), "ready", of=["unknown"], batch=None, reason=""
            )
        if attempt.command == Attempt.Command.START and not lifecycle.move(
            task, "loaded", of=["starting"], reason=ABSENT, needs_attention=False
        ):
            lifecycle.note_task(task, RESUME_ABSENT, needs_attention=True)
        else:
            lifecycle.calm_task(task, ABSENT)
    return True
