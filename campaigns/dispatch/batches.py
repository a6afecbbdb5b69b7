"""In: planned batches. Out: each sent once, its contacts in the state that the outcome says."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import attempts, fresh, gates, lifecycle
from campaigns.barring import exclude_barred, has_capped
from campaigns.connections import find_room, find_wait
from campaigns.dispatch.counts import has_uncounted
from campaigns.dispatch.instances import STOPPED, is_open
from campaigns.dispatch.setbacks import NOTHING, Next, clear_setbacks, handle_setback
from campaigns.dispatch.statements import (
    Claimed,
    Leaving,
    Taken,
    accept_batches,
    claim_whole,
    list_leaving,
    send_contacts,
    store_platform_ids,
)
from campaigns.dispatch.waiting import take_due
from campaigns.gates.amounts import count_left
from campaigns.linking import has_calls, link_calls, name_contact, name_contacts
from campaigns.models import Attempt, Batch, Call, Contact, Task
from campaigns.platforms.errors import Consequence

logger = logging.getLogger(__name__)

#: so many batches at most are claimed at once, and for so long at most what the platform took of
#: them waits to be written down: the time for which a dead sender leaves them unknown
MOST_AT_ONCE, SECONDS_AT_ONCE = 8, 0.5

EMPTY = N_("No contact is left in it.")
CALLED_ALL_THE_SAME = N_(
    "The platform refused a batch, and calls of it came back all the same. It is asked for each"
    " contact."
)
ONE_BEFORE = N_(
    "It was to leave together with another one, which did not. Nothing was sent; it is planned"
    " anew."
)
CALLED = N_("A call to it came back although it was not handed over. It is not called again.")
ROBOT_CHANGED = N_(
    "The robot has columns now that the contacts do not. Nothing was sent; stop the task for good,"
    " then clone it and import again."
)


def claim_batch(task_id: int, *, known: Task | None = None) -> Attempt | None:
    """Take the next planned batch of a task to send it; None when there is none to take."""
    return next(iter(claim_batches(task_id, known=known)), None)


def claim_batches(task_id: int, *, known: Task | None = None, most: int = 1) -> list[Attempt]:
    """Take the next planned batches of a task to send them, ``most`` of them; none when there is
    none to take.

    ``known``: the task as the same sender had it before, which spares reading it again.
    """
    deadline = time.monotonic() + settings.LEASE_SECONDS
    with transaction.atomic(durable=True):
        task = find_task(task_id, known=known)
        if task is None:
            return []
        direct = task.kind == Task.Kind.DIRECT
        command = "callout" if direct else "insert"
        hold = gates.find_hold(task, command)
        if hold is not None:
            gates.note_hold(task, hold)
            return []
        if find_wait(task.account):
            return []
        if task.fills_instances:
            if not is_open(task):
                return []
        elif task.kind == Task.Kind.CAMPAIGN and not task.platform_task_id:
            return []
        checks = gates.list_checks(task, dials=gates.lets_dial(task, command))
        if direct or task.fills_instances or task.one_by_one:
            most = 1  # a person has to ask about each, or its count
        most = min(most, find_room(task.account, seconds=SECONDS_AT_ONCE))
        claimed: list[Claimed] = []
        if task.daily_cap is None or not task.fills_instances:
            claimed = claim_whole(task, command, checks=checks, most=most)
        if not claimed and task.batches.filter(status=Batch.Status.PLANNED).exists():
            claimed = _take_slowly(task, checks=checks)
        opened = [_open_claimed(task, command, one) for one in claimed]
        found = [attempt for attempt in opened if attempt is not None]
        for attempt in found:
            attempt.deadline = deadline
        return found


def _open_claimed(task: Task, command: str, claimed: Claimed) -> Attempt | None:
    """The attempt of a batch that was claimed, with everybody of it who may leave; None when that
    is nobody."""
    batch, contacts, attempt = claimed
    if len(contacts) < batch.size:
        others = _send_others(task, batch)
        contacts = sorted([*contacts, *others], key=lambda contact: contact.pk)
    if not contacts:
        lifecycle.move(batch, "not_sent", of=["sending"], reason=EMPTY)
        return None
    if len(contacts) != batch.size:
        Batch.objects.filter(pk=batch.pk).update(size=len(contacts))
    if task.fills_instances:
        # Ours is the platform's id of the contact: a call that comes back before the answer, or
        # instead of it, is known by it.
        name_contacts(batch.contacts.filter(status=Contact.Status.SENDING))
    if attempt is None:
        attempt = attempts.open_attempt(task, command, batch=batch)
    attempt.leaving = contacts
    return attempt


def keep_to_day(task: Task, batch: Batch) -> bool:
    """Leave of a planned batch what its day still allows; the others wait in a batch of their own.
    False when it allows nobody. The caller holds the rows of the task and of the batch."""
    left = count_left(task, timezone.now())
    if left is None:
        return True
    rows = batch.contacts.filter(status=Contact.Status.PLANNED).order_by("id")
    beyond = list(rows.values_list("id", flat=True)[left:])
    if not beyond or not left:
        return bool(left)
    last = Batch.objects.filter(task=task).aggregate(last=Max("number"))["last"]
    rest = Batch.objects.create(
        task=task, instance=batch.instance, number=last + 1, size=len(beyond), places=batch.places
    )
    Contact.objects.filter(pk__in=beyond).update(batch=rest)
    Batch.objects.filter(pk=batch.pk).update(size=left)
    batch.size = left
    return True


def _take_slowly(task: Task, *, checks: list[dict[str, Any]]) -> list[Claimed]:
    """As ``claim_whole``, where the hours of a batch's numbers have to be looked at, or its day."""
    if not task.fills_instances and task.batches.filter(status="unknown").exists():
        return []
    planned = task.batches.filter(status=Batch.Status.PLANNED)
    batch = take_due(task, planned.exclude(instance__platform_task_id=""))
    if batch is not None and not keep_to_day(task, batch):
        return []
    if batch is None or not lifecycle.move(batch, "sending", of=["planned"]):
        return []
    Batch.objects.filter(pk=batch.pk).update(checks=checks)
    batch.task = task
    return [Claimed(batch, [] if has_capped(task, batch.pk) else send_contacts(batch), None)]


def _send_others(task: Task, batch: Batch) -> list[Leaving]:
    """Exclude whoever of the batch may not be called, and move the others to ``sending``."""
    rest = batch.contacts.filter(status=Contact.Status.PLANNED)
    called = rest.filter(calls_made__gt=0)
    lifecycle.move_contacts(called, "excluded", of=["planned"], batch=None, reason=CALLED)
    exclude_barred(task, batch.contacts.all(), of=["planned"], leaving=True)
    found = [
        Leaving(*row)
        for row in rest.select_for_update().order_by("id").values_list("pk", "phone", "values")
    ]
    chosen = Contact.objects.filter(pk__in=[contact.pk for contact in found])
    lifecycle.move_contacts(chosen, "sending", of=["planned"])
    return found


def find_task(task_id: int, *, known: Task | None = None) -> Task | None:
    """The task, if a batch of it may leave now."""
    task = fresh.read_task(task_id, known)
    if task is None or task.status != Task.Status.LOADING or task.request in lifecycle.HOLDING:
        return None
    if task.not_before is not None and task.not_before > timezone.now():
        return None
    if not task.fills_instances:
        return None if task.one_by_one and not _is_counted(task) else task
    # Nothing can be taken back here, so whoever stops the task must know what is on its way: both
    # take the row first.
    loading = Task.objects.filter(pk=task_id, status=Task.Status.LOADING)
    loading = loading.exclude(request__in=lifecycle.HOLDING)
    loading = loading.exclude(not_before__gt=timezone.now())
    loading.select_for_update(no_key=True).first()
    in_doubt = task.attempts.filter(status=Attempt.Status.UNKNOWN)
    return None if not loading.exists() or in_doubt.exists() else task


def _is_counted(task: Task) -> bool:
    """Whether the next batch of a task that is filled one by one may leave: none is on its way, and
    the platform's count was right with the last one."""
    Task.objects.select_for_update(no_key=True).get(pk=task.pk)
    return not task.batches.filter(status="sending").exists() and not has_uncounted(task)


def pick_most(sent: int, *, seconds: float) -> int:
    """How many batches to claim next, when so many took so long: as many as are sent within
    ``SECONDS_AT_ONCE``, and not many more than before. A slow platform gets them one by one."""
    fitting = int(sent * SECONDS_AT_ONCE / max(seconds, 0.001))
    return max(1, min(fitting, 2 * sent, MOST_AT_ONCE))


def send_batch(attempt: Attempt) -> Next:
    """Send a claimed batch, once, and write down what came of it."""
    return send_batches([attempt])


def send_batches(claimed: Sequence[Attempt]) -> Next:
    """Send batches of a task that were claimed together, each once, one after the other, and write
    down what came of them. The first that does not simply go through ends it: those behind it are
    not sent, and planned anew."""
    took: list[tuple[Attempt, list[Leaving], attempts.Outcome]] = []
    waiting = list(claimed)
    following = Next("advance")
    due = time.monotonic() + SECONDS_AT_ONCE
    try:
        while waiting and following == Next("advance"):
            attempt = waiting.pop(0)
            contacts, outcome = _send(attempt)
            if outcome.accepted:
                took.append((attempt, contacts, outcome))
                if time.monotonic() < due:
                    continue
            accepted, took = took, []
            following = _settle_accepted(accepted)
            due = time.monotonic() + SECONDS_AT_ONCE
            if not outcome.accepted:
                following = _close_one(attempt, contacts, outcome)
                if outcome.held:
                    break
    finally:
        if took:
            settled = _settle_accepted(took)
            following = settled if following == Next("advance") else following
        for attempt in waiting:
            let_go = attempts.Outcome("not_sent", reason=ONE_BEFORE, busy=True, held=True)
            _close_one(attempt, attempt.leaving, let_go)
    return following


def _send(attempt: Attempt) -> tuple[list[Leaving], attempts.Outcome]:
    """Send it, and nothing else: whom it was about, and what came of it."""
    task, batch = attempt.task, attempt.batch
    if batch is None:
        raise ValueError("This attempt has no batch.")
    contacts = getattr(attempt, "leaving", None)
    if contacts is None:  # claimed by another process, or read again
        contacts = list_leaving(batch)
    columns = [str(column) for column in task.robot.columns]
    rows = [make_row(contact, columns=columns) for contact in contacts]
    needed = frozenset(columns[1:])
    blank = not all([needed <= contact.values.keys() for contact in contacts])

    def act(client: Any) -> Any:
        if attempt.command == Attempt.Command.INSERT:
            return client.insert_contacts(
                batch.instance.platform_task_id if batch.instance else task.platform_task_id,
                columns=columns,
                rows=rows,
                keys=[name_contact(contact.pk) for contact in contacts],
            )
        return client.call_directly(
            robot_id=task.robot.platform_id,
            line=task.lines.get().number,
            columns=columns,
            rows=rows,
            voice_code=task.voice.code if task.voice else None,
            speed=task.speed,
        )

    if blank:
        # The robot's columns changed at the platform: it would speak to people with gaps.
        pause = Consequence.PAUSE_TASK
        outcome = attempts.Outcome("not_sent", reason=ROBOT_CHANGED, consequence=pause)
    elif not contacts:
        # The reaper took this sender for dead before it read whom to send.
        outcome = attempts.Outcome("not_sent", reason=attempts.LOST_RIGHT, busy=True)
    else:
        outcome = attempts.carry_out(attempt, act)
    return contacts, outcome


def _settle_accepted(
    took: Sequence[tuple[Attempt, list[Leaving], attempts.Outcome]],
) -> Next:
    """Write down what the platform said that it took, and link the calls that overtook it."""
    following = Next("advance")
    if not took:
        return following
    taken = [
        Taken(attempt, contacts, outcome.value.platform_contact_ids)
        for attempt, contacts, outcome in took
    ]
    closed = {attempt.pk for attempt in accept_batches(taken)}
    task = took[0][0].task
    if closed:
        clear_setbacks(task)
    for attempt, contacts, outcome in took:
        if attempt.pk not in closed:
            following = _close_one(attempt, contacts, outcome)
    ids = [contact.pk for one in taken for contact in one.contacts]
    platform_ids = [platform_id for one in taken for platform_id in one.platform_ids]
    if has_calls(task.account_id, ids, platform_ids):
        # Pushes may have overtaken this reply: they are linked now that the ids are committed.
        link_calls(task.account_id, contact_ids=ids)
    return following


def _close_one(attempt: Attempt, contacts: list[Leaving], outcome: attempts.Outcome) -> Next:
    with transaction.atomic():
        return _close(attempt, attempt.batch, contacts, outcome)


def _close(
    attempt: Attempt, batch: Batch, contacts: list[Leaving], outcome: attempts.Outcome
) -> Next:
    """Write down what was not simply accepted, or was settled by somebody else meanwhile."""
    Attempt.objects.select_for_update().get(pk=attempt.pk)
    if attempt.task.fills_instances and not outcome.accepted and was_called(batch):
        # Whatever the platform says: it has them.
        outcome = attempts.Outcome("unknown", reason=CALLED_ALL_THE_SAME)
    if not attempts.close_attempt(attempt, outcome):
        logger.warning("Attempt %s was settled by somebody else.", attempt.pk)
        return NOTHING
    return _settle_batch(attempt, batch, contacts, outcome)


def was_called(batch: Batch) -> bool:
    """Whether a call of one of the batch's contacts came back already."""
    contacts = batch.contacts.select_for_update(of=("self",)).order_by("id")
    ids = list(contacts.values_list("id", flat=True))
    return Call.objects.filter(contact_id__in=ids).exclude(direction="inbound").exists()


def make_row(contact: Leaving, *, columns: list[str]) -> list[str]:
    """The contact's cells in the order of the robot's columns, the number first."""
    values = contact.values
    return [contact.phone, *[str(values.get(column, "")) for column in columns[1:]]]


def _settle_batch(
    attempt: Attempt, batch: Batch, contacts: list[Leaving], outcome: attempts.Outcome
) -> Next:
    task = attempt.task
    rows = Contact.objects.filter(batch=batch)
    # By id, as ``linking`` takes them: pushes of these contacts may be written at the same time.
    list(rows.select_for_update().order_by("id").values_list("id"))
    if outcome.accepted:
        lifecycle.move(batch, "accepted", of=["sending", "unknown"])
        store_platform_ids(contacts, outcome.value.platform_contact_ids)
        lifecycle.move_contacts(rows, "accepted", of=["sending", "unknown"], reason="")
        clear_setbacks(task)
        return Next("advance")
    if outcome.status == "unknown":
        attempts.park(attempt, outcome.reason)
        return NOTHING
    # Nothing happened at the platform: the contacts are free again.
    of = ["sending", "unknown"]
    if task.fills_instances:
        task.refresh_from_db(fields=["status", "request"])
        if task.status not in (Task.Status.LOADING, Task.Status.PAUSED):
            # It was stopped meanwhile: nobody hands them over any more.
            lifecycle.move(batch, outcome.status, of=of, reason=outcome.reason)
            lifecycle.move_contacts(rows, "ready", of=of, batch=None)
            lifecycle.withdraw_unsent(task, STOPPED)
            return NOTHING
    if outcome.status == "not_sent":
        lifecycle.move(batch, "not_sent", of=of, reason=outcome.reason)
        lifecycle.move_contacts(rows, "ready", of=of, batch=None)
        return handle_setback(task, attempt, outcome)
    lifecycle.move(batch, "refused", of=of, reason=outcome.reason)
    if outcome.consequence != Consequence.REFUSE_ROW:
        lifecycle.move_contacts(rows, "ready", of=of, batch=None)
        return handle_setback(task, attempt, outcome)
    if len(contacts) == 1:
        reason = f"{outcome.code} {outcome.reason}"
        lifecycle.move_contacts(rows, "rejected", of=of, reason=reason)
    else:
        lifecycle.move_contacts(rows, "ready", of=of)
        split_batch(batch)
    return Next("advance")


def split_batch(batch: Batch) -> list[int]:
    """Plan the contacts of a batch that was refused for one row again, in two halves.

    They are ``ready`` and in the batch; the caller's transaction makes it one step with their
    becoming so, so that no planner takes them meanwhile. Returns the ids of the new batches.
    """
    Task.objects.select_for_update().get(pk=batch.task_id)
    rows = Contact.objects.filter(batch=batch, status=Contact.Status.READY)
    ids = list(rows.order_by("id").values_list("id", flat=True))
    last = Batch.objects.filter(task=batch.task_id).aggregate(last=Max("number"))["last"] or 0
    middle = (len(ids) + 1) // 2
    made = []
    for number, half in enumerate((ids[:middle], ids[middle:]), start=last + 1):
        new = Batch.objects.create(
            task_id=batch.task_id,
            instance=batch.instance,
            number=number,
            size=len(half),
            places=batch.places,
        )
        chosen = Contact.objects.filter(pk__in=half)
        lifecycle.move_contacts(chosen, "planned", of=["ready"], batch=new)
        made.append(new.pk)
    return made
