"""In: an old .xls workbook. Out: its sheets and rows, read by calamine; a sheet has at most 65,536.

Calamine tells neither how a number is shown nor of a formula that it is one: see ``biff``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import IO, Any

import python_calamine as calamine

from . import biff
from .cells import MAX_TEXT, Format, show_number
from .container import OLE
from .ole import Container
from .refusal import Refused
from .rows import Cover, Merged, Row
from .xlsx import SheetPart, name_column


class OldBook:
    """Raises ``Refused``."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._stream = _read_stream(handle)
        if biff.has_password(self._stream):
            raise Refused("password")
        self._styles = biff.read_styles(self._stream)
        handle.seek(0)
        with _refuse_damage():
            self._book = calamine.load_workbook(handle)
        starts = biff.list_starts(self._stream)
        known = self._book.sheets_metadata
        if len(starts) != len(known):
            raise Refused("damaged")
        # by the names in the file, which are not those that we tell
        self._starts = {sheet.name: start for sheet, start in zip(known, starts, strict=True)}
        self.sheets = [
            SheetPart(
                sheet.name, sheet.name, is_hidden=sheet.visible != calamine.SheetVisibleEnum.Visible
            )
            for sheet in known
            if sheet.typ == calamine.SheetTypeEnum.WorkSheet
        ]

    def measure_sheet(self, sheet: SheetPart) -> None:
        found = self._open(sheet)
        row, column = found.end or (-1, -1)
        sheet.rows = row + 1
        sheet.has_cells = row >= 0
        marks = self._read_marks(sheet)
        sheet.hidden_columns = [
            name_column(number + 1)
            for first, last in marks.hidden_columns
            for number in range(first, min(last, column) + 1)
        ]

    def read_rows(self, sheet: SheetPart) -> Iterator[Row]:
        found = self._open(sheet)
        if found.start is None:
            return
        left = found.start[1]
        marks = self._read_marks(sheet)
        errors: dict[int, dict[int, str]] = {}
        for (row, column), text in marks.errors.items():
            errors.setdefault(row, {})[column] = text
        uncomputed: dict[int, list[int]] = {}
        for row, column in marks.uncomputed:
            uncomputed.setdefault(row, []).append(column)
        merged = Cover(
            sorted(
                Merged(top + 1, bottom + 1, begin, end)
                for (top, begin), (bottom, end) in found.merged_cell_ranges or []
            )
        )
        for index, values in enumerate(found.iter_rows()):
            cells = [""] * left + [
                show_value(value, marks.formats.get((index, column)))
                for column, value in enumerate(values, left)
            ]
            for column, text in errors.get(index, {}).items():
                if column < len(cells):
                    cells[column] = text
            empty = uncomputed.get(index, [])
            for column in empty:
                if column < len(cells):
                    cells[column] = ""
            while cells and not cells[-1]:
                cells.pop()
            if not cells and not empty:
                continue
            places = dict.fromkeys(errors.get(index, ()), "error_cell")
            for place, value in enumerate(values, left):
                if isinstance(value, date):
                    places[place] = "date_cell"
            places |= dict.fromkeys(empty, "no_result")
            problem = "hidden_row" if index in marks.hidden_rows else ""
            row_found = Row(index + 1, cells, problem, places)
            merged.mark(row_found)
            yield row_found

    def _read_marks(self, sheet: SheetPart) -> biff.Marks:
        return biff.read_marks(self._stream, self._starts[sheet.part], self._styles)

    def _open(self, sheet: SheetPart) -> calamine.CalamineSheet:
        with _refuse_damage():
            return self._book.get_sheet_by_name(sheet.part)


@contextmanager
def _refuse_damage() -> Iterator[None]:
    try:
        yield
    except (calamine.CalamineError, OSError, ValueError):
        raise Refused("damaged") from None
    except BaseException as error:
        # calamine panics over some damage, and a panic is no Exception
        if type(error).__name__ == "PanicException":
            raise Refused("damaged") from None
        raise


def _read_stream(handle: IO[bytes]) -> bytes:
    handle.seek(0)
    if handle.read(8) != OLE:
        handle.seek(0)
        return handle.read()
    container = Container(handle)
    return container.read("Workbook") or container.read("Book")


def show_value(value: Any, form: Format | None = None) -> str:
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return show_number(repr(float(value)), form)
    if isinstance(value, datetime):
        return value.replace(microsecond=0).isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.replace(microsecond=0).isoformat()
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return ""
