"""In: planned batches of a task. Out: the next ones claimed: whom they hand over, and an attempt.

A claim is one transaction. With its commit the contacts are ``sending``, and nobody else sends
them; whether a request leaves is decided once more, for each, right before its first byte.
"""

from __future__ import annotations

import time
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
from campaigns.dispatch.instances import is_open
from campaigns.dispatch.statements import Claimed, Leaving, claim_whole, send_contacts
from campaigns.dispatch.waiting import take_due
from campaigns.gates.amounts import count_left
from campaigns.linking import name_contacts
from campaigns.models import Attempt, Batch, Contact, Task

#: so many batches at most are claimed at once, and for so long what the platform took of them waits
#: to be written down, and until the request that is under way then is over (where it stalls, after
#: ``HTTP_TIMEOUT_SECONDS``): the time for which a sender that dies leaves them unknown
MOST_AT_ONCE, SECONDS_AT_ONCE = 8, 0.5

EMPTY = N_("No contact is left in it.")
CALLED = N_("A call to it came back although it was not handed over. It is not called again.")


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
