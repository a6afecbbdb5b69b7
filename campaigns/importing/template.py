"""In: the columns of a robot. Out: an empty table to fill in, with one row that shows how.

The example is in the reader's language. Whoever leaves it in is told so: ``is_example`` knows it in
every language.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import xlsxwriter
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as N_

from campaigns.importing.cells import guard_cell
from campaigns.importing.errors import Problem

#: nobody's number
EXAMPLE_PHONE = "19900000001"
EXAMPLE = N_("Example (%(column)s)")
#: where the number is the only column, it has to say so itself
EXAMPLE_ALONE = N_("19900000001 (example: replace it)")
EXAMPLE_ROW = Problem(
    "example_row", N_("This is the example row of the template: delete it or replace it.")
)

CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

#: the number that Excel gives its format of text
_TEXT = 49
_MIN_WIDTH = 14
_MAX_WIDTH = 60


def make_template(columns: Sequence[str], *, kind: str) -> bytes:
    """A file of ``kind`` "csv" or "xlsx"; the first column is the phone number's."""
    columns = list(dict.fromkeys(columns))
    rows = [columns, make_example(columns)]
    return _write_workbook(rows) if kind == "xlsx" else _write_csv(rows)


def make_example(columns: Sequence[str]) -> list[str]:
    if len(columns) == 1:
        return [gettext(EXAMPLE_ALONE)]
    return [EXAMPLE_PHONE, *(gettext(EXAMPLE) % {"column": name} for name in columns[1:])]


def is_example(values: Mapping[str, str]) -> bool:
    """Whether a row is the template's, as far as anybody left it as it was. ``values`` are {column
    of the robot: cell}, the phone number first; it begins with ``EXAMPLE_PHONE``."""
    examples, alone = _list_examples()
    phone, *others = values.items()
    return phone[1] in alone or any(
        cell == example % {"column": name} for name, cell in others for example in examples
    )


@lru_cache(maxsize=1)
def _list_examples() -> tuple[frozenset[str], frozenset[str]]:
    examples, alone = {EXAMPLE}, {EXAMPLE_ALONE}
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            examples.add(gettext(EXAMPLE))
            alone.add(gettext(EXAMPLE_ALONE))
    return frozenset(examples), frozenset(alone)


def _write_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """With the mark by which Excel, in every language, knows UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(map(guard_cell, row) for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _write_workbook(rows: Sequence[Sequence[str]]) -> bytes:
    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True}) as book:
        sheet = book.add_worksheet(gettext("Contacts"))
        header = book.add_format({"bold": True, "bottom": 1, "bg_color": "#E8EDF3"})
        as_text = book.add_format({"num_format": _TEXT})
        example = book.add_format({"num_format": _TEXT, "italic": True, "font_color": "#6B7280"})
        for place, cells in enumerate(zip(*rows, strict=True)):
            width = min(max(_MIN_WIDTH, *(_measure(cell) + 2 for cell in cells)), _MAX_WIDTH)
            # a number in a cell of text keeps its digits, and the 0 before a land line
            sheet.set_column(place, place, width, None if place else as_text)
            for line, cell in enumerate(cells):
                sheet.write_string(line, place, cell, example if line else header)
        sheet.freeze_panes(1, 0)
        sheet.ignore_errors({"number_stored_as_text": "A1:A1048576"})
    return target.getvalue()


def _measure(text: str) -> int:
    """In digits: a Chinese character is as wide as two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
