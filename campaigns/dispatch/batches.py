"""In: a planned batch. Out: sent once, its contacts in the state that the outcome says."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction
from django.utils import timezone

from campaigns import attempts, lifecycle
from campaigns.dispatch.setbacks import NOTHING, Next, clear_setbacks, handle_setback
from campaigns.linking import link_calls
from campaigns.models import Attempt, Batch, Contact, Task
from campaigns.platforms.errors import Consequence

logger = logging.getLogger(__name__)


def claim_batch(task_id: int) -> Attempt | None:
    """Take the next planned batch of a task to send it; None when there is none to take."""
    with transaction.atomic(durable=True):
        task = (
            Task.objects.filter(pk=task_id, status=Task.Status.LOADING)
            .exclude(request__in=["pause", "delete"])
            .exclude(not_before__gt=timezone.now())
            .exclude(batches__status=Batch.Status.UNKNOWN)
            .select_related("account", "robot", "voice")
            .first()
        )
        if task is None or (task.kind == Task.Kind.CAMPAIGN and not task.platform_task_id):
            return None
        batch = (
            task.batches.filter(status=Batch.Status.PLANNED)
            .select_for_update(skip_locked=True)
            .order_by("number")
            .first()
        )
        if batch is None or not lifecycle.move(batch, "sending", of=["planned"]):
            return None
        lifecycle.move_contacts(batch.contacts.all(), "sending", of=["planned"])
        direct = task.kind == Task.Kind.DIRECT
        command = "callout" if direct else "insert"
        batch.task = task
        return attempts.open_attempt(task, command, batch=batch)


def send_batch(attempt: Attempt) -> Next:
    """Send a claimed batch, once, and write down what came of it."""
    task, batch = attempt.task, attempt.batch
    if batch is None:
        raise ValueError("This attempt has no batch.")
    contacts = list(batch.contacts.filter(status=Contact.Status.SENDING).order_by("id"))
    columns = [str(column) for column in task.robot.columns]
    rows = [make_row(contact, columns=columns) for contact in contacts]

    def act(client: Any) -> Any:
        if attempt.command == Attempt.Command.INSERT:
            return client.insert_contacts(task.platform_task_id, columns=columns, rows=rows)
        return client.call_directly(
            robot_id=task.robot.platform_id,
            line=task.lines.get().number,
            columns=columns,
            rows=rows,
            voice_code=task.voice.code if task.voice else None,
            speed=task.speed,
        )

    outcome = attempts.carry_out(attempt, act)
    with transaction.atomic():
        if not attempts.close_attempt(attempt, outcome):
            logger.warning("Attempt %s was settled by somebody else.", attempt.pk)
            return NOTHING
        following = _settle_batch(attempt, batch, contacts, outcome)
    if outcome.accepted:
        # Pushes may have overtaken this reply: they are linked now that the ids are committed.
        link_calls(task.account_id, contact_ids=[contact.pk for contact in contacts])
    return following


def make_row(contact: Contact, *, columns: list[str]) -> list[str]:
    """The contact's cells in the order of the robot's columns, the number first."""
    return [contact.phone, *(str(contact.values.get(column, "")) for column in columns[1:])]


def _settle_batch(
    attempt: Attempt, batch: Batch, contacts: list[Contact], outcome: attempts.Outcome
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
    if outcome.status == "not_sent":
        lifecycle.move(batch, "not_sent", of=of, reason=outcome.reason)
        lifecycle.move_contacts(rows, "ready", of=of, batch=None)
        return handle_setback(task, attempt, outcome)
    lifecycle.move(batch, "refused", of=of, reason=outcome.reason)
    if outcome.consequence == Consequence.REFUSE_ROW:
        if batch.size == 1:
            reason = f"{outcome.code} {outcome.reason}"
            lifecycle.move_contacts(rows, "rejected", of=of, reason=reason)
            return Next("advance")
        lifecycle.move_contacts(rows, "ready", of=of)
        return Next("split", batch_id=batch.pk)
    lifecycle.move_contacts(rows, "ready", of=of, batch=None)
    return handle_setback(task, attempt, outcome)


def store_platform_ids(contacts: list[Contact], ids: tuple[str, ...]) -> None:
    """Keep the platform's id of each contact, in the order in which the rows were sent."""
    for contact, platform_id in zip(contacts, ids, strict=True):
        contact.platform_contact_id = platform_id
    Contact.objects.bulk_update(contacts, ["platform_contact_id"], batch_size=500)
