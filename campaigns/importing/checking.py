"""In: the records of a file. Out: contacts as lines for COPY; what cannot be one is rejected.

Cells lose the space and the characters of no width around them, nothing else: a formula is kept as
the text it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from json.encoder import encode_basestring  # type: ignore[attr-defined]
from typing import Protocol

from django.utils.translation import gettext_noop as N_

from campaigns.importing.errors import Problem, Rejection
from campaigns.importing.mapping import Layout
from campaigns.importing.reading import Readable, read_records
from campaigns.phones import PhoneRefused, normalise_phone

MAX_VALUE = 2_000
MAX_PHONE_RAW = 100

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

#: what cells lose at both ends: all space, marks of order, and characters of no width
_AROUND = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"
)


class Rejections(Protocol):
    """Where rejected rows go."""

    def add(self, rejection: Rejection, /) -> None: ...


def clean_cell(cell: str) -> str:
    return cell.strip(_AROUND)


def check_rows(
    stream: Readable, layout: Layout, *, rejections: Rejections, region: str = "CN"
) -> Iterator[tuple[int, str, str, str]]:
    """(line, phone, phone as written, values as JSON) of each good row below the header."""
    width = len(layout.header)
    columns, places = layout.columns, layout.places
    keys = [f"{encode_basestring(column)}: " for column in columns]
    phone_place, phone_column = places[0], columns[0]
    for line, cells, problem in read_records(stream, delimiter=layout.delimiter):
        if line <= layout.header_line:
            continue
        broken = problem
        if broken is None and len(cells) != width:
            if not any(map(clean_cell, cells)):
                continue
            if len(cells) < width:
                broken = TOO_FEW
            elif any(map(clean_cell, cells[width:])):
                broken = TOO_MANY
        if broken is not None:
            rejections.add(Rejection(line, "", broken, layout.delimiter.join(cells)))
            continue
        values = [cells[place].strip(_AROUND) for place in places]
        written = values[0]
        if not written and not any(map(clean_cell, cells)):
            continue
        together = "".join(values)
        suspect = len(together) > MAX_VALUE or "\0" in together or "\ufffd" in together
        if suspect and (fault := _find_fault(values)):
            index, broken = fault
            rejections.add(Rejection(line, columns[index], broken, values[index]))
            continue
        try:
            phone = values[0] = normalise_phone(written, region=region)
        except PhoneRefused as error:
            broken = Problem("phone", error.reason)
            rejections.add(Rejection(line, phone_column, broken, cells[phone_place]))
            continue
        pairs = zip(keys, values, strict=True)
        body = ", ".join([key + encode_basestring(value) for key, value in pairs])
        yield line, phone, written[:MAX_PHONE_RAW], f"{{{body}}}"


def _find_fault(values: list[str]) -> tuple[int, Problem] | None:
    for index, value in enumerate(values):
        if len(value) > MAX_VALUE:
            return index, VALUE_TOO_LONG
        if "\0" in value:
            return index, ZERO_CHARACTER
        if "\ufffd" in value:
            return index, UNREADABLE
    return None
