"""In: an import that ran. Out: what came of it, as data for a program and as a CSV for a person."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_noop as N_

from campaigns.importing.cells import guard_cell
from campaigns.importing.errors import Rejection
from campaigns.models import ContactImport

#: so many rejected rows are kept, all are counted
KEPT = 1_000
KEPT_VALUE = 200

_HEADER = (N_("column"), N_("reason"), N_("value"))
_MORE = N_("%(count)s more rows were rejected; the first 1,000 are listed.")


class RejectedRows:
    """Counts rejections and keeps the first ones."""

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[dict[str, Any]] = []

    def add(self, rejection: Rejection) -> None:
        self.count += 1
        if len(self.kept) < KEPT:
            self.kept.append(
                {
                    "line": rejection.line,
                    "column": rejection.column[:KEPT_VALUE],
                    "code": rejection.problem.code,
                    "reason": rejection.problem.reason,
                    # the database takes no zero character
                    "value": rejection.value[:KEPT_VALUE].replace("\0", "\ufffd"),
                }
            )


def make_report(contact_import: ContactImport) -> dict[str, Any]:
    """The counts and the rejected rows, without what was in their cells."""
    return {
        "loaded": contact_import.loaded,
        "excluded": contact_import.excluded,
        "rejected": contact_import.rejected,
        "rejected_rows": [
            {"line": row.line, "column": row.column, "reason": row.reason_text}
            for row in contact_import.rejected_rows.all()
        ],
    }


def csv_of_rejected(contact_import: ContactImport) -> Iterator[str]:
    """The rejected rows as lines of a CSV that opens right in Excel and runs nothing there."""
    yield "\ufeff" + _write_line([pgettext("of a file", "line"), *map(gettext, _HEADER)])
    rows = list(contact_import.rejected_rows.all())
    for row in rows:
        yield _write_line([row.line, row.column, row.reason_text, row.value])
    if (more := contact_import.rejected - len(rows)) > 0:
        yield _write_line(["", "", gettext(_MORE) % {"count": more}, ""])


def _write_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([guard_cell(cell) for cell in cells])
    return line.getvalue()
