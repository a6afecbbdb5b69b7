"""In: an import that ran. Out: what came of it, as data for a program and as a CSV for a person."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_noop as N_

from campaigns.importing.cells import guard_cell
from campaigns.importing.notes import strip_notes, tell_notes
from campaigns.importing.receiving import find_same_file
from campaigns.masking import mask_cell
from campaigns.models import ContactImport, RejectedRow

#: so many rejected rows are in the report, all are counted; the CSV has all of them
LISTED = 1_000
#: rows read and written at a time
CHUNK = 2_000

_HEADER = (N_("column"), N_("reason"), N_("value"))


def make_report(contact_import: ContactImport) -> dict[str, Any]:
    """The counts and the first rejected rows, without what was in their cells."""
    return {
        "id": contact_import.pk,
        "loaded": contact_import.loaded,
        "excluded": contact_import.excluded,
        "rejected": contact_import.rejected,
        "rejected_rows": [
            {"line": row.line, "column": row.column, "reason": row.reason_text}
            for row in contact_import.rejected_rows.all()[:LISTED]
        ],
        "counts": strip_notes(contact_import),
        "notes": tell_notes(contact_import),
        "same_file": list(find_same_file(contact_import).values_list("pk", flat=True)),
        "sha256": contact_import.sha256,
    }


def csv_of_rejected(contact_import: ContactImport, *, masked: bool) -> Iterator[str]:
    """All rejected rows as a CSV, in pieces, that opens right in Excel and runs nothing there.

    ``masked``: without whole phone numbers.
    """
    header = [pgettext("of a file", "line"), *map(gettext, _HEADER)]
    yield "\ufeff" + _write_lines([header])
    rows = RejectedRow.objects.filter(contact_import=contact_import).order_by("line")
    last = -1
    # by the line that was reached: no transaction stays open for as long as somebody downloads
    while chunk := list(rows.filter(line__gt=last)[:CHUNK]):
        last = chunk[-1].line
        yield _write_lines(
            [row.line, hide(row.column), row.reason_text, hide(row.value)]
            if masked
            else [row.line, row.column, row.reason_text, row.value]
            for row in chunk
        )


def hide(text: str) -> str:
    """A cell without its number, which may be refused for having a digit too many."""
    return mask_cell(text, strict=True)


def _write_lines(lines: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    for cells in lines:
        writer.writerow([guard_cell(cell) for cell in cells])
    return text.getvalue()
