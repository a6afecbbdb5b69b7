"""In: columns. Out: the SQL that writes their cells as ``campaigns.masking`` and
``campaigns.importing.cells`` would, at the speed of the database.

What no SQL is trusted with, numbers inside of what people wrote, is only recognised there: a row in
whose free texts there are digits enough for a number is marked, and Python hides them.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from campaigns.exporting.columns import BEHIND, Cell, Column
from campaigns.importing.cells import guard_cell, unguard_cell
from campaigns.masking import mask_numbers
from campaigns.models import Contact

#: no number that ``mask_numbers`` hides has fewer digits, of whatever script
FEWEST_DIGITS = 7
#: the first byte of a line, where numbers are to be hidden
MARKED, PLAIN = b"1", b"0"


@lru_cache(maxsize=1)
def list_digits() -> str:
    """Every decimal digit there is, as a class of a regular expression."""
    found: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) == "Nd":
            if found and found[-1][1] == code - 1:
                found[-1][1] = code
            else:
                found.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in found)


def write_query(
    rows: QuerySet[Any], columns: Sequence[Column], *, whole: bool, for_people: bool
) -> tuple[str, list[Any]]:
    """(SQL, parameters) of the file's lines, in the order of ``rows``. Where they are ``is_marked``
    the first cell says whether somebody has to look at the line."""
    names = {f"x_{number}": column for number, column in enumerate(columns)}
    told = rows.annotate(**{name: column.expression for name, column in names.items()})
    inner, inner_params = told.values_list(*names).query.sql_with_params()
    cells: list[str] = []
    params: list[Any] = []
    if is_marked(columns, whole=whole):
        looked = [f"r.{name} <> ''" for name, column in names.items() if column.cell is Cell.REASON]
        free = [f"r.{name}" for name, column in names.items() if column.cell is Cell.FREE]
        if not whole:
            texts = ", ".join(free) or "''"
            looked.append(f"concat_ws(' ', {texts}) ~ %s")
            digit = list_digits()
            params.append(f"(?:[{digit}][^{digit}]*){{{FEWEST_DIGITS}}}")
        cells.append(f"CASE WHEN {' OR '.join(looked)} THEN '1' ELSE '0' END")
    phones = [f"r.{name}" for name, column in names.items() if column.cell is Cell.PHONE]
    for name, column in names.items():
        if column.cell is Cell.KEY and not whole:
            cells.append(_guard(_hide_key(f"r.{name}", phones)))
            continue
        sql, values = _write_cell(f"r.{name}", column, whole=whole, for_people=for_people)
        cells.append(sql)
        params += values
    return f"SELECT {', '.join(cells)} FROM ({inner}) AS r", [*params, *inner_params]  # noqa: S608


def _write_cell(
    sql: str, column: Column, *, whole: bool, for_people: bool
) -> tuple[str, list[Any]]:
    match column.cell:
        case Cell.NUMBER | Cell.REASON:
            return sql, []
        case Cell.WORD:
            return _say_word(sql, column, for_people=for_people)
        case Cell.MOMENT:
            form = "YYYY-MM-DD HH24:MI:SS" if for_people else 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM'
            return f"to_char({sql}, %s)", [form]
        case Cell.YES_NO:
            yes, no = (_("yes"), _("no")) if for_people else ("yes", "no")
            return f"CASE WHEN {sql} THEN %s WHEN NOT {sql} THEN %s END", [yes, no]
        case Cell.PHONE if not whole:
            return _guard(_mask(sql)), []
        case _:
            return _guard(sql), []


def _mask(sql: str) -> str:
    """As ``mask_phone``."""
    return (
        f"CASE WHEN length({sql}) >= 10"
        f" THEN left({sql}, -8) || '****' || right({sql}, 4)"
        f" WHEN length({sql}) > 2 THEN left({sql}, 2) || '***'"
        f" WHEN {sql} <> '' THEN '***' END"
    )


def _hide_key(sql: str, phones: Sequence[str]) -> str:
    """A name that is one of the row's own numbers, with its country or without, masked as that."""
    same = " OR ".join(
        f"length({phone}) >= {FEWEST_DIGITS} AND"
        f" (right({phone}, length({sql})) = {sql} OR right({sql}, length({phone})) = {phone})"
        for phone in phones
    )
    return (
        f"CASE WHEN length({sql}) >= {FEWEST_DIGITS} AND ({same}) THEN {_mask(sql)} ELSE {sql} END"
    )


def _say_word(sql: str, column: Column, *, for_people: bool) -> tuple[str, list[Any]]:
    if column.words is None or not (for_people or column.always):
        return f"nullif({sql}, '')", []
    cases, params = [], []
    for code, word in column.words.items():
        cases.append("WHEN %s THEN %s")
        params += [code, str(word)]
    return f"CASE {sql} {' '.join(cases)} ELSE nullif({sql}, '') END", params


def _guard(sql: str) -> str:
    """As ``guard_cell``; an empty cell is none. The first character is looked at before anything
    else is: nearly no cell begins like this."""
    return (
        f"CASE WHEN left({sql}, 1) IN ('=', '+', '-', '@', '''', E'\\t', E'\\r')"
        f" AND {sql} ~ E'^''*[-=+@\\t\\r]' THEN '''' || {sql} ELSE nullif({sql}, '') END"
    )


def is_marked(columns: Sequence[Column], *, whole: bool) -> bool:
    """Whether lines are marked: there is something to hide, or to tell."""
    return not whole or any(column.cell is Cell.REASON for column in columns)


def make_hider(columns: Sequence[Column], *, whole: bool = False) -> Callable[[bytes], bytes]:
    """What takes a marked line, without its mark, and gives it with what ``list_hiders`` say in the
    places of their cells."""
    hiders = list_hiders(columns, whole=whole)

    def hide(line: bytes) -> bytes:
        cells = next(csv.reader(io.StringIO(line.decode(), newline="")))
        for place, told in hiders:
            if cells[place]:
                cells[place] = told(cells[place])
        text = io.StringIO(newline="")
        csv.writer(text).writerow(cells)
        return text.getvalue().encode()

    return hide


def list_hiders(
    columns: Sequence[Column], *, whole: bool = False
) -> list[tuple[int, Callable[[str], str]]]:
    """(place, what takes the cell there): of a marked line, gives the cell without the numbers in
    it unless ``whole``, and its reason told in the language that is active."""

    def hide(text: str) -> str:
        return guard_cell(_hide(unguard_cell(text)))

    def tell(text: str) -> str:
        told = _tell(text)
        return guard_cell(told if whole else _hide(told))

    hiders: list[tuple[int, Callable[[str], str]]] = []
    for place, column in enumerate(columns):
        if column.cell is Cell.REASON:
            hiders.append((place, tell))
        elif column.cell is Cell.FREE and not whole:
            hiders.append((place, hide))
    return hiders


def _tell(text: str) -> str:
    """The sentence with its values in their places, as the lists tell it."""
    reason, _behind, values = text.rpartition(BEHIND)
    if not reason:
        return ""
    try:
        return Contact(reason=reason, reason_values=json.loads(values)).reason_text
    except (KeyError, TypeError, ValueError):  # a sentence of an older version
        return reason


@lru_cache(maxsize=4096)
def _hide(text: str) -> str:
    """The same few words stand in very many rows."""
    return mask_numbers(text, likely=True)


def write_line(cells: Sequence[Any]) -> bytes:
    """One line of the file, guarded."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow([guard_cell(cell) for cell in cells])
    return text.getvalue().encode()


def quote_statement(sql: str, params: Sequence[Any], cursor: Any) -> str:
    """The statement with its values in it: COPY takes none beside it."""
    told = cursor.mogrify(sql, params)
    return told.decode() if isinstance(told, bytes) else str(told)


def open_own_connection() -> Any:
    """A connection beside Django's, for one long statement, while the other tells how far it is."""
    return connection.get_new_connection(connection.get_connection_params())
