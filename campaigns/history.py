"""In: a contact. Out: its time line and the attempts to hand it over.

Contacts moved by an import or a batch have no history rows of their own, so the time line is put
together: the import, the batch's moves, the contact's own moves, and its calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import Attempt, Batch, Contact, StatusChange

_STATUSES: dict[str, type[models.TextChoices]] = {
    "contact": Contact.Status,
    "batch": Batch.Status,
    "attempt": Attempt.Status,
}
_SUBJECTS = {"batch": gettext_lazy("Batch"), "attempt": gettext_lazy("Request")}


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened: ``what`` is contact, import, batch, attempt or call."""

    at: datetime
    what: str
    text: str
    by: str = ""
    row: Any = None


def tell_history(contact: Contact) -> list[Moment]:
    """The contact's time line, oldest first."""
    moments = [
        *tell_import(contact),
        *tell_moves("contact", [contact.pk]),
        *(tell_moves("batch", [contact.batch_id]) if contact.batch_id else ()),
        *tell_moves("attempt", list(list_attempts(contact).values_list("id", flat=True))),
        *tell_calls(contact),
    ]
    return sorted(moments, key=lambda moment: moment.at)


def list_attempts(contact: Contact) -> models.QuerySet[Attempt]:
    """The attempts to hand over the batch that the contact was last in, oldest first."""
    return Attempt.objects.filter(batch_id=contact.batch_id, batch__isnull=False).order_by("id")


def tell_import(contact: Contact) -> Iterator[Moment]:
    source = contact.source
    text = (
        _("Loaded from %(file)s, line %(line)s.")
        % {"file": source.file_name, "line": contact.line_number}
        if source
        else _("Added.")
    )
    by = str(source.created_by) if source and source.created_by else ""
    yield Moment(contact.created_at, "import", text, by, source)


def tell_moves(subject: str, ids: list[int]) -> Iterator[Moment]:
    changes = StatusChange.objects.filter(subject=subject, subject_id__in=ids)
    for change in changes.select_related("by").order_by("id"):
        moved = f"{name_status(subject, change.old)} → {name_status(subject, change.new)}"
        if subject in _SUBJECTS:
            moved = f"{_SUBJECTS[subject]}: {moved}"
        text = f"{moved}: {change.sentence}" if change.sentence else moved
        yield Moment(change.at, subject, text, str(change.by or ""), change)


def name_status(subject: str, status: str) -> str:
    """The word for a status in the reader's language; words of old versions as they are."""
    return str(dict(_STATUSES[subject].choices).get(status, status))


def tell_calls(contact: Contact) -> Iterator[Moment]:
    for call in contact.calls.order_by("happened_at", "id"):
        yield Moment(call.happened_at, "call", call.get_result_display(), "", call)
