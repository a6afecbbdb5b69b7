"""In: claimed batches. Out: each sent once, its contacts in the state that the outcome says."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext_noop as N_

from campaigns import attempts, lifecycle
from campaigns.connections import expect_requests
from campaigns.dispatch.claims import SECONDS_AT_ONCE
from campaigns.dispatch.instances import STOPPED
from campaigns.dispatch.setbacks import NOTHING, Next, clear_setbacks, handle_setback
from campaigns.dispatch.statements import (
    Leaving,
    Taken,
    accept_batches,
    list_leaving,
    store_platform_ids,
)
from campaigns.linking import has_calls, link_calls, name_contact
from campaigns.models import Attempt, Batch, Call, Contact, Task
from campaigns.platforms.errors import Consequence

logger = logging.getLogger(__name__)

CALLED_ALL_THE_SAME = N_(
    "The platform refused a batch, and calls of it came back all the same. It is asked for each"
    " contact."
)
ONE_BEFORE = N_(
    "It was to leave together with another one, which did not. Nothing was sent; it is planned"
    " anew."
)
ROBOT_CHANGED = N_(
    "The robot has columns now that the contacts do not. Nothing was sent; stop the task for good,"
    " then clone it and import again."
)


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
            expect_requests(waiting[0].task.account, len(waiting))
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
    rows = make_rows(contacts, columns=columns)

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

    if rows is None:
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


def make_rows(contacts: Sequence[Leaving], *, columns: Sequence[str]) -> list[list[str]] | None:
    """The cells of each in the order of the robot's columns, the number first; None when one has
    no value for a column."""
    others = columns[1:]
    try:
        return [
            [phone, *map(str, map(values.__getitem__, others))] for _pk, phone, values in contacts
        ]
    except KeyError:
        return None


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
