"""In: an import that is done. Out: its contacts gone, or as many as can be withdrawn."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.importing.errors import ImportRefused
from campaigns.importing.receiving import take_task
from campaigns.importing.verdicts import OF_OTHERS
from campaigns.models import Batch, Contact, ContactImport, StatusChange, Task

log = logging.getLogger(__name__)

PARTED = N_(
    "A part of its contacts went to another task by an experiment, so it cannot be taken back as a"
    " whole. Stop the two tasks for good instead."
)
NOT_DONE = N_("Only an import that is done can be taken back: reload the page.")
REMOVED = N_(
    "Taken back: %(removed)s contacts were removed. %(freed)s contacts of other imports had been "
    "left out because of them and stay so."
)
WITHDRAWN = N_("Its import was taken back before it was handed over.")
WITHDRAWN_ALL = N_("Taken back: %(withdrawn)s contacts are withdrawn, none was handed over yet.")
WITHDRAWN_SOME = N_(
    "Taken back as far as possible: %(withdrawn)s contacts are withdrawn, %(too_late)s were handed "
    "over already."
)

#: as long as a contact is in one of these, nobody was told of it
_OURS = ("ready", "planned")
#: and of these nobody will be called any more
_OUT = ("excluded", "withdrawn")

# One statement: what refers to contacts is a call, and these have none.
_DELETE = """
    DELETE FROM campaigns_contact contact
    WHERE source_id = %s AND status = ANY(%s) AND calls_made = 0
      AND NOT EXISTS (SELECT FROM campaigns_call call WHERE call.contact_id = contact.id)
"""
# The numbers of an import that others were left out for, and that nothing else stands for now.
_FREED = """
    SELECT count(*) FROM campaigns_contact other
    WHERE other.account_id = %(account)s AND other.status = 'excluded'
      AND other.reason = ANY(%(reasons)s) AND other.source_id IS DISTINCT FROM %(import)s
      AND EXISTS (
          SELECT FROM campaigns_contact mine
          WHERE mine.phone = other.phone AND mine.source_id = %(import)s AND mine.status = 'ready'
            AND mine.id < other.id
      )
"""
_HOLD = """
    SELECT count(*) FROM (
        SELECT FROM campaigns_contact WHERE source_id = %s AND status = ANY(%s)
        ORDER BY id FOR NO KEY UPDATE
    ) held
"""


@dataclass(frozen=True)
class Undone:
    """What came of it. ``too_late`` tells by their status how many contacts were handed over."""

    removed: int = 0
    withdrawn: int = 0
    too_late: dict[str, int] = field(default_factory=dict)
    #: contacts of other imports that were left out because of these, and stay so
    freed: int = 0


def undo_import(contact_import: ContactImport, *, by: Any = None) -> Undone:
    """Take an import back: whole while its task is a draft, else whoever was not handed over.

    Raises ``ImportRefused`` when it is not done, or was taken back a moment ago.
    """
    with transaction.atomic():
        # Nobody launches the task, nor loads into it, meanwhile.
        task = take_task(contact_import)
        contact_import.refresh_from_db()
        if contact_import.status != "done":
            raise ImportRefused(NOT_DONE)
        if Contact.objects.filter(source=contact_import).exclude(task=task).exists():
            raise ImportRefused(PARTED)
        draft = task.status == Task.Status.DRAFT
        undone = _remove(contact_import, by) if draft else _withdraw(contact_import, by)
    log.info("import %s taken back: %s", contact_import.pk, undone)
    return undone


def foresee_undo(contact_import: ContactImport) -> Undone:
    """What ``undo_import`` would do now, for somebody to decide."""
    counts = _count_states(contact_import)
    if contact_import.task.status == Task.Status.DRAFT:
        return Undone(removed=sum(counts.values()), freed=_count_freed(contact_import))
    withdrawn = sum(counts.pop(state, 0) for state in _OURS)
    return Undone(withdrawn=withdrawn, too_late=_drop_out(counts))


def _remove(contact_import: ContactImport, by: Any) -> Undone:
    freed = _count_freed(contact_import)
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, [contact_import.pk, list(lifecycle.NEW_CONTACTS)])
        removed = cursor.rowcount
    too_late = _drop_out(_count_states(contact_import))
    undone = Undone(removed=removed, too_late=too_late, freed=freed)
    values = {"removed": removed, "freed": freed}
    lifecycle.move(
        contact_import,
        "undone",
        of=["done"],
        reason=REMOVED,
        values=values,
        by=by,
        ended_at=timezone.now(),
    )
    return undone


def _withdraw(contact_import: ContactImport, by: Any) -> Undone:
    # Batches first, then contacts by their ids, as everybody takes them. A batch that is just being
    # claimed is not waited for by its sender: it is held here, or gone and its contacts too late.
    batches = Batch.objects.filter(task=contact_import.task_id, status="planned")
    list(batches.select_for_update().order_by("number").values_list("pk"))
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, [contact_import.pk, list(_OURS)])
    contacts = Contact.objects.filter(source=contact_import)
    withdrawn = lifecycle.move_contacts(
        contacts, "withdrawn", of=_OURS, reason=WITHDRAWN, reason_values={}, batch=None
    )
    left = Contact.objects.filter(batch=OuterRef("pk"))
    empty = Batch.objects.filter(~Exists(left), task=contact_import.task_id)
    lifecycle.move_rows(empty, "withdrawn", of=["planned"])
    undone = Undone(withdrawn=withdrawn, too_late=_drop_out(_count_states(contact_import)))
    late = sum(undone.too_late.values())
    values = {"withdrawn": withdrawn, "too_late": late}
    if late:
        StatusChange.objects.create(
            subject="contactimport",
            subject_id=contact_import.pk,
            old="done",
            new="done",
            reason=WITHDRAWN_SOME,
            values=values,
            by=by if getattr(by, "pk", None) else None,
        )
        ContactImport.objects.filter(pk=contact_import.pk).update(
            reason=WITHDRAWN_SOME, reason_values=values
        )
        contact_import.reason, contact_import.reason_values = WITHDRAWN_SOME, values
    else:
        lifecycle.move(
            contact_import,
            "undone",
            of=["done"],
            reason=WITHDRAWN_ALL,
            values=values,
            by=by,
            ended_at=timezone.now(),
        )
    return undone


def _count_states(contact_import: ContactImport) -> dict[str, int]:
    rows = Contact.objects.filter(source=contact_import).order_by().values_list("status")
    return dict(rows.annotate(count=Count("id")))


def _drop_out(counts: dict[str, int]) -> dict[str, int]:
    return {state: count for state, count in counts.items() if state not in _OUT}


def _count_freed(contact_import: ContactImport) -> int:
    values = {
        "import": contact_import.pk,
        "account": contact_import.task.account_id,
        "reasons": list(OF_OTHERS),
    }
    with connection.cursor() as cursor:
        cursor.execute(_FREED, values)
        return int(cursor.fetchone()[0])
