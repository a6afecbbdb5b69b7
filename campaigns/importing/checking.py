"""In: the records of a file. Out: contacts as lines for COPY; what cannot be one is rejected.

Cells lose the space and the characters of no width around them, and the apostrophe that keeps a
spreadsheet from taking them for formulas, nothing else: a formula is kept as the text it is.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from json.encoder import encode_basestring  # type: ignore[attr-defined]
from typing import IO, Protocol

from django.utils.translation import gettext_noop as N_

from campaigns.importing.cells import AROUND, clean_cell, read_cell
from campaigns.importing.errors import Problem, Rejection
from campaigns.importing.mapping import Layout, find_number, holds_number, make_key
from campaigns.importing.reading import Record, read_table
from campaigns.importing.template import EXAMPLE_PHONE, EXAMPLE_ROW, is_example
from campaigns.importing.workbooks import DATE_CELL, CellProblem, DateText
from campaigns.phones import PhoneRefused, normalise_phone

MAX_VALUE = 2_000
MAX_PHONE_RAW = 100

ABOVE_HEADER = Problem(
    "above_header", N_("This row stands above the line with the columns' names.")
)
REPEATED_HEADER = Problem("repeated_header", N_("This row repeats the columns' names."))
TOO_FEW = Problem("too_few_cells", N_("The row has fewer cells than the header has columns."))
TOO_MANY = Problem("too_many_cells", N_("The row has more cells than the header has columns."))
VALUE_TOO_LONG = Problem("cell_too_long", N_("The cell is longer than 2,000 characters."))
ZERO_CHARACTER = Problem(
    "zero_character", N_("The cell has a character with the code zero, which no text may have.")
)
UNREADABLE = Problem(
    "unreadable_text",
    N_("The cell has characters that cannot be read: the file's encoding is damaged here."),
)

#: what JSON writes in another way
_ESCAPED = re.compile(r'["\\\x00-\x1f]')


class Rejections(Protocol):
    """Where rejected rows go."""

    def add(self, rejection: Rejection, /) -> None: ...


def read_rows(
    handle: IO[bytes], layout: Layout, *, region: str = "CN"
) -> Generator[Record, None, None]:
    """Every record of a file of which is known what stands where."""
    width, place = len(layout.header), layout.places[0]
    # columns without a name, which spreadsheets add, may be missing
    named = max(index for index, name in enumerate(layout.header, start=1) if name)

    def find_phone(cells: list[str]) -> str:
        if place < len(cells) and named <= len(cells) <= width:
            return find_number(cells[place], region=region)
        return ""

    return read_table(handle, layout.plan, find_phone=find_phone)


def check_rows(
    records: Iterable[Record], layout: Layout, *, rejections: Rejections, region: str = "CN"
) -> Iterator[tuple[int, str, str, str]]:
    """(line, phone, phone as written, values as JSON) of each good row below the header. What
    stands above it is a title, unless there is a number to call in it."""
    width = len(layout.header)
    needed = max(*layout.places, *layout.kept_places, 0) + 1
    header_line = layout.plan.header_line or 0
    columns, places = (*layout.columns, *layout.kept), (*layout.places, *layout.kept_places)
    # the fastest way to JSON: one template for all rows
    names = [encode_basestring(column).replace("%", "%%") for column in columns]
    template = "{" + ", ".join(f"{name}: %s" for name in names) + "}"
    plain_template = "{" + ", ".join(f'{name}: "%s"' for name in names) + "}"
    around, phone_place = AROUND, places[0]
    header_keys = [make_key(name) for name in layout.header]
    for line, cells, problem in records:
        if line <= header_line:
            if line < header_line and any(holds_number(cell, region=region) for cell in cells):
                value = layout.plan.delimiter.join(cells)
                rejections.add(Rejection(line, "", ABOVE_HEADER, value))
            continue
        broken = problem
        if isinstance(problem, CellProblem):
            # it counts where the cell is used
            place = next((place for place in places if place in problem.places), None)
            if place is not None:
                column = columns[places.index(place)]
                cell = cells[place] if place < len(cells) else ""
                rejections.add(Rejection(line, column, problem.places[place], cell))
                continue
            broken = None
        if broken is None and len(cells) != width:
            if not any(map(clean_cell, cells)):
                continue
            if len(cells) < needed:
                broken = TOO_FEW
            elif any(map(clean_cell, filter(None, cells[width:]))):
                broken = TOO_MANY
        if broken is not None:
            rejections.add(Rejection(line, "", broken, layout.plan.delimiter.join(cells)))
            continue
        values = [cells[place].strip(around) for place in places]
        written = values[0]
        if not written and not any(map(clean_cell, cells)):
            continue
        together = "".join(values)
        if "'" in together:
            values = [read_cell(cells[place]) for place in places]
        suspect = len(together) > MAX_VALUE or "\0" in together or "\ufffd" in together
        if suspect and (fault := _find_fault(values)):
            index, broken = fault
            rejections.add(Rejection(line, columns[index], broken, values[index]))
            continue
        if values[0].startswith(EXAMPLE_PHONE) and is_example(
            dict(zip(columns, values, strict=True))
        ):
            rejections.add(Rejection(line, "", EXAMPLE_ROW, written))
            continue
        if type(cells[phone_place]) is DateText:
            rejections.add(Rejection(line, columns[0], DATE_CELL, written))
            continue
        try:
            phone = values[0] = normalise_phone(values[0], region=region)
        except PhoneRefused as error:
            if header_line and [make_key(cell) for cell in cells[:width]] == header_keys:
                rejections.add(Rejection(line, "", REPEATED_HEADER, ""))
                continue
            broken = Problem("phone", error.reason)
            rejections.add(Rejection(line, columns[0], broken, cells[phone_place]))
            continue
        if _ESCAPED.search(together):
            body = template % tuple(map(encode_basestring, values))
        else:
            body = plain_template % tuple(values)
        yield line, phone, written[:MAX_PHONE_RAW], body


def _find_fault(values: list[str]) -> tuple[int, Problem] | None:
    for index, value in enumerate(values):
        if len(value) > MAX_VALUE:
            return index, VALUE_TOO_LONG
        if "\0" in value:
            return index, ZERO_CHARACTER
        if "\ufffd" in value:
            return index, UNREADABLE
    return None
