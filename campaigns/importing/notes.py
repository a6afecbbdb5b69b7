"""In: a workbook and the sheet that is read of it. Out: what somebody should know of the rest.

A file of three months must not pass for that of one: the notes stay with the import, as sentences
with values beside its counts, and are told on every page and in every report of it.
"""

from __future__ import annotations

from typing import IO, Any

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as N_

from campaigns.importing.workbooks import HIDDEN_COLUMNS, Sheet, list_sheets
from campaigns.models import ContactImport

MORE_SHEETS = N_("The file has more sheets with rows: %(others)s. Only “%(sheet)s” is read.")

_KEY = "notes"
#: sheets named at most
_NAMED = 10


def find_notes(handle: IO[bytes], *, kind: str, sheet: str) -> dict[str, Any]:
    """What becomes part of ``ContactImport.counts``; nothing where there is nothing to say."""
    if kind == ContactImport.Kind.TEXT:
        return {}
    sheets = list_sheets(handle)
    notes: list[list[Any]] = []
    others = [one for one in sheets if one.has_cells and not one.hidden and one.name != sheet]
    if others:
        notes.append([MORE_SHEETS, {"others": _list(others), "sheet": sheet}])
    for one in sheets:
        if one.name == sheet and one.hidden_columns:
            notes.append([HIDDEN_COLUMNS, one.hidden_values])
    return {_KEY: notes} if notes else {}


def keep_notes(contact_import: ContactImport) -> dict[str, Any]:
    """Those of its counts that do not end with a check."""
    notes = contact_import.counts.get(_KEY)
    return {_KEY: notes} if notes else {}


def tell_notes(contact_import: ContactImport) -> list[str]:
    """In the reader's language."""
    return [gettext(text) % values for text, values in contact_import.counts.get(_KEY, [])]


def strip_notes(contact_import: ContactImport) -> dict[str, Any]:
    """The counts of a check alone; none before it."""
    return {name: count for name, count in contact_import.counts.items() if name != _KEY}


def _list(sheets: list[Sheet]) -> str:
    names = ", ".join(f"“{sheet.name}”" for sheet in sheets[:_NAMED])
    return f"{names}, …" if len(sheets) > _NAMED else names
