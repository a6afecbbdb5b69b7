"""In: an import that is not checked yet. Out: how its file is read and what its columns become.

Whoever changes something after the check, or after it failed, has the file checked again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.importing.cells import clean_cell
from campaigns.importing.checking import check_rows, read_rows
from campaigns.importing.errors import ImportRefused, Problem, Rejection
from campaigns.importing.files import check_encoding, is_doubtful
from campaigns.importing.loading import lay_out
from campaigns.importing.mapping import Layout, read_header, suggest_mapping
from campaigns.importing.notes import find_notes, keep_notes
from campaigns.importing.reading import Plan, read_start
from campaigns.importing.receiving import (
    FILE_GONE,
    make_plan,
    open_file,
    recall_mapping,
    set_reading,
)
from campaigns.importing.sheets.names import clean_name
from campaigns.importing.staging import clear_rows
from campaigns.importing.workbooks import Sheet, list_sheets
from campaigns.models import ContactImport

NOT_CHANGEABLE = N_(
    "This import cannot be changed any more: reload the page to see where it stands."
)
DAYS_MISSING = N_("Say of how many days numbers count as duplicates: from 1 to 3,650.")
TWO_ENCODINGS = N_(
    "The text can be read as UTF-8 and as GB18030: look at the names in the first rows, and choose "
    "the other encoding if they are wrong."
)

#: records looked at below the header for a preview of contacts
_LOOKED_AT = 10_000
#: what a person chooses, as it stands on the row
_CHOSEN = (
    *("encoding", "delimiter", "sheet", "header_line", "header"),
    *("mapping", "kept", "duplicates", "duplicate_days", "keep_row", "counts"),
)


@dataclass(frozen=True)
class Preview:
    """The first rows as they stand in the file, and what the file has besides."""

    #: (line, cells, what is wrong with the row)
    rows: list[tuple[int, list[str], Problem | None]]
    sheets: list[Sheet] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PreviewRow:
    """A row as a contact: ``phone`` in normal form, or empty and ``problem`` says why."""

    line: int
    phone: str
    #: {column: text}, the robot's columns first, then the kept ones
    values: dict[str, str]
    problem: str


class _Found:
    """Rejections of the few rows of a preview."""

    def __init__(self) -> None:
        self.rejections: list[Rejection] = []

    def add(self, rejection: Rejection) -> None:
        self.rejections.append(rejection)


def reopen_import(contact_import: ContactImport, *, by: Any = None) -> None:
    """Back to where it is read and mapped; what a check found is gone. Raises ``ImportRefused``."""
    if not contact_import.file:
        raise ImportRefused(FILE_GONE)
    with transaction.atomic():
        moved = lifecycle.move(
            contact_import,
            "uploaded",
            of=["checked", "failed"],
            by=by,
            counts=keep_notes(contact_import),
            checked_at=None,
            confirmed_at=None,
            ended_at=None,
        )
        if not moved:
            raise ImportRefused(NOT_CHANGEABLE)
        clear_rows(contact_import)


def change_reading(
    contact_import: ContactImport,
    *,
    encoding: str,
    delimiter: str,
    sheet: str,
    header_line: int | None,
    by: Any = None,
) -> None:
    """Read the file in another way. What is mapped is suggested anew where headers are others.

    Raises ``ImportRefused``, and nothing is changed, when the header cannot be read so.
    """
    plan = Plan(
        kind=contact_import.kind,
        encoding=encoding,
        delimiter=delimiter,
        sheet=clean_name(sheet),
        header_line=header_line,
    )
    task = contact_import.task
    with open_file(contact_import) as handle:
        if plan.kind == ContactImport.Kind.TEXT:
            check_encoding(handle, encoding)
        header = read_header(handle, plan, region=task.account.region)
        notes = find_notes(handle, kind=plan.kind, sheet=plan.sheet)
    known = _keep_mapping(contact_import, plan)
    columns = [str(column) for column in task.robot.columns]
    with transaction.atomic():
        _open(contact_import, by)
        set_reading(contact_import, plan, header)
        contact_import.counts = notes
        contact_import.mapping = suggest_mapping(
            header, columns=columns, known=known, named=header_line is not None
        )
        contact_import.kept = [name for name in contact_import.kept if name in header]
        _save(contact_import)


def _keep_mapping(contact_import: ContactImport, plan: Plan) -> dict[str, str]:
    """What still holds of what was mapped, when the file is read by another plan."""
    if plan.header_line is None:
        before = make_plan(contact_import)
        # letters stay what they are while the cells do
        same = replace(before, encoding=plan.encoding) == plan
        return dict(contact_import.mapping) if same else {}
    was_named = contact_import.header_line is not None
    return {
        **recall_mapping(contact_import.task),
        **(contact_import.mapping if was_named else {}),
    }


def choose_columns(
    contact_import: ContactImport,
    *,
    mapping: Mapping[str, str],
    kept: Sequence[str] = (),
    duplicates: str = "family",
    duplicate_days: int | None = None,
    keep_row: str = "first",
    by: Any = None,
) -> None:
    """What becomes of the file. Raises ``ImportRefused``, and nothing is changed, when a column of
    the robot has no header, or a choice is none."""
    if duplicates not in ContactImport.Scope.values:
        raise ValueError(duplicates)
    if keep_row not in ContactImport.Keep.values:
        raise ValueError(keep_row)
    if duplicates != ContactImport.Scope.DAYS:
        duplicate_days = None
    elif duplicate_days is None or not 1 <= duplicate_days <= 3650:
        raise ImportRefused(DAYS_MISSING)
    chosen = {str(column): str(header) for column, header in mapping.items()}
    layout = lay_out(contact_import, mapping=chosen, kept=[str(name) for name in kept])
    with transaction.atomic():
        _open(contact_import, by)
        contact_import.mapping = layout.mapping
        contact_import.kept = list(layout.kept)
        contact_import.duplicates = duplicates
        contact_import.duplicate_days = duplicate_days
        contact_import.keep_row = keep_row
        _save(contact_import)


def read_preview(contact_import: ContactImport, count: int = 10) -> Preview:
    """The first ``count`` rows that are not blank, the header among them; a workbook's sheets."""
    with open_file(contact_import) as handle:
        rows = read_start(handle, make_plan(contact_import), count=count)
        if contact_import.kind == ContactImport.Kind.TEXT:
            doubtful = is_doubtful(handle, contact_import.encoding)
            return Preview(rows, notes=[gettext(TWO_ENCODINGS)] if doubtful else [])
        sheets = list_sheets(handle)
    notes = dict.fromkeys(one.note for one in sheets if one.note)
    return Preview(rows, sheets, list(notes))


def preview_contacts(contact_import: ContactImport, count: int = 10) -> list[PreviewRow]:
    """The first ``count`` rows below the header as what was chosen makes of them; what other rows,
    tasks and lists say about their numbers is for the check. Raises ``ImportRefused``."""
    layout = lay_out(contact_import)
    found = _Found()
    made: dict[int, PreviewRow] = {}
    region = contact_import.task.account.region
    with (
        open_file(contact_import) as handle,
        closing(read_rows(handle, layout, region=region)) as records,
    ):
        for record in islice(records, _LOOKED_AT):
            line, cells, _problem = record
            found.rejections.clear()
            good = check_rows([record], layout, rejections=found, region=region)
            for _line, phone, _written, values in good:
                made[line] = PreviewRow(line, phone, _read_values(values), "")
            for rejection in found.rejections:
                problem = gettext(rejection.problem.reason)
                made[line] = PreviewRow(line, "", _place(cells, layout), problem)
            if len(made) >= count:
                break
    return list(made.values())


def _read_values(values: str) -> dict[str, str]:
    return {str(column): str(text) for column, text in json.loads(values).items()}


def _place(cells: Sequence[str], layout: Layout) -> dict[str, str]:
    """What stands under each column in a row that was rejected, as far as it has cells."""
    names = (*layout.columns, *layout.kept)
    places = (*layout.places, *layout.kept_places)
    return {
        name: clean_cell(cells[place]) if place < len(cells) else ""
        for name, place in zip(names, places, strict=True)
    }


def _open(contact_import: ContactImport, by: Any) -> None:
    """Raises ``ImportRefused`` unless it can be changed now."""
    if contact_import.status in ("checked", "failed"):
        reopen_import(contact_import, by=by)
    elif contact_import.status != "uploaded":
        raise ImportRefused(NOT_CHANGEABLE)


def _save(contact_import: ContactImport) -> None:
    """Write what was chosen, unless the import went on meanwhile. Raises ``ImportRefused``."""
    chosen = {name: getattr(contact_import, name) for name in _CHOSEN}
    rows = ContactImport.objects.filter(pk=contact_import.pk, status="uploaded")
    if not rows.update(**chosen):
        raise ImportRefused(NOT_CHANGEABLE)
