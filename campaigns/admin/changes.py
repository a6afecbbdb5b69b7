"""In: what auditlog kept of a change. Out: which field was what and became what, for a reader.

Values are masked as everywhere; of a secret only that it changed was ever kept.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from auditlog.models import LogEntry
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, ForeignKey, Model
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _

from campaigns.admin.base import show_moment
from campaigns.masking import mask_numbers
from campaigns.wording import tell_group

#: of one value so much is shown, and in the list so many fields
LONGEST, IN_LIST = 300, 3
#: how auditlog writes that there was nothing
_NOTHING = ("None", "", None)


def list_changes(entry: LogEntry) -> list[tuple[str, str, str]]:
    """(field, what it was, what it became) of every field, in the reader's language."""
    changes = entry.changes
    if isinstance(changes, str):  # of an older version
        try:
            changes = json.loads(changes)
        except ValueError:
            return []
    if not isinstance(changes, dict):
        return []
    model = entry.content_type.model_class() if entry.content_type_id else None
    rows = []
    for name, told in sorted(changes.items()):
        field = _find_field(model, name)
        # Rows that point here are no field of its own; its number says nothing.
        if getattr(field, "auto_created", False):
            continue
        row = _tell_field(field, name, told)
        if row[1:] != ("–", "–"):  # of a row that was made, nothing stands in many
            rows.append(row)
    return rows


def _find_field(model: type[Model] | None, name: str) -> Any:
    if model is None:
        return None
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        return None


def _tell_field(field: Any, name: str, told: Any) -> tuple[str, str, str]:
    label = str(getattr(field, "verbose_name", "") or name)
    if isinstance(told, dict):  # rows that were added to, or taken from, the field
        rows = ", ".join(_tell_row(field, one) for one in told.get("objects") or ())
        added = told.get("operation") == "add"
        return label, "–" if added else _cut(rows), _cut(rows) if added else "–"
    if not isinstance(told, list | tuple) or len(told) != 2:
        return label, "–", _cut(str(told))
    return label, _tell_value(field, told[0]), _tell_value(field, told[1])


def _tell_row(field: Any, told: Any) -> str:
    """A group in the reader's language, whatever else by its name."""
    found = None
    tell = {"groups": tell_group}.get(getattr(field, "name", ""))
    if tell is not None:
        found = field.related_model._default_manager.filter(name=str(told)).first()
    return tell(found) if tell is not None and found is not None else str(told)


def _tell_value(field: Any, value: Any) -> str:
    if value in _NOTHING:
        return "–"
    text = str(value)
    if not isinstance(field, Field):
        return _cut(text)
    for key, word in field.flatchoices:
        if str(key) == text:
            return _cut(str(word))
    kind = field.get_internal_type()
    if kind == "BooleanField":
        return _("yes") if text == "True" else _("no")
    if kind == "DateTimeField":
        return _tell_moment(text)
    if isinstance(field, ForeignKey) and text.isdecimal() and len(text) < 19:
        row = field.related_model._default_manager.filter(pk=int(text)).first()  # type: ignore[union-attr]
        return (
            _cut(str(row))
            if row is not None
            else _("no. %(number)s, which is gone") % {"number": text}
        )
    return _cut(text)


def _tell_moment(text: str) -> str:
    """auditlog keeps times of UTC, without saying so."""
    try:
        moment: datetime | None = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        return _cut(text)
    return show_moment(moment if timezone.is_aware(moment) else moment.replace(tzinfo=UTC))


def _cut(text: str) -> str:
    text = mask_numbers(text, likely=True)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def show_table(entry: LogEntry) -> Any:
    """All of them, for the page of one change."""
    rows = list_changes(entry)
    if not rows:
        return "–"
    head = format_html(
        "<thead><tr><th>{}</th><th>{}</th><th>{}</th></tr></thead>",
        _("field"),
        _("before"),
        _("after"),
    )
    body = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", rows)
    return format_html('<table class="cb-table">{}<tbody>{}</tbody></table>', head, body)


def show_line(entry: LogEntry) -> Any:
    """The first few of them, for the list."""
    rows = list_changes(entry)
    told = format_html_join(
        "; ",
        '{}: <span class="cb-quiet">{}</span> → {}',
        ((label, old[:60], new[:60]) for label, old, new in rows[:IN_LIST]),
    )
    more = len(rows) - IN_LIST
    return format_html("{} +{}", told, more) if more > 0 else told or "–"
