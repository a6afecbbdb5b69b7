"""In: an old .xls workbook. Out: its sheets and rows, read by calamine.

It does not tell hidden rows, formulas or their errors; a sheet has at most 65,536 rows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import IO, Any

import python_calamine as calamine

from .cells import MAX_TEXT, show_float
from .refusal import Refused
from .rows import Cover, Merged, Row
from .xlsx import SheetPart

#: [MS-XLS] 2.4.21 and 2.4.117
_FIRST_RECORD = b"\x09\x08\x10\x00\x00\x06\x05\x00"
_FILEPASS = b"\x2f\x00"


class OldBook:
    """Raises ``Refused``."""

    def __init__(self, handle: IO[bytes]) -> None:
        handle.seek(0)
        try:
            self._book = calamine.load_workbook(handle)
        except (calamine.CalamineError, OSError, ValueError):
            raise Refused("password" if _has_password(handle) else "damaged") from None
        self.sheets = [
            SheetPart(
                sheet.name, sheet.name, is_hidden=sheet.visible != calamine.SheetVisibleEnum.Visible
            )
            for sheet in self._book.sheets_metadata
            if sheet.typ == calamine.SheetTypeEnum.WorkSheet
        ]

    def measure_sheet(self, sheet: SheetPart) -> None:
        found = self._open(sheet)
        sheet.rows = found.end[0] + 1 if found.end else 0

    def read_rows(self, sheet: SheetPart) -> Iterator[Row]:
        found = self._open(sheet)
        if found.start is None:
            return
        left = found.start[1]
        merged = Cover(
            sorted(
                Merged(top + 1, bottom + 1, begin, end)
                for (top, begin), (bottom, end) in found.merged_cell_ranges or []
                if bottom > top
            )
        )
        for number, values in enumerate(found.iter_rows(), 1):
            cells = [""] * left + [show_value(value) for value in values]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                row = Row(number, cells, "", {})
                merged.mark(row)
                yield row

    def _open(self, sheet: SheetPart) -> calamine.CalamineSheet:
        try:
            return self._book.get_sheet_by_name(sheet.name)
        except (calamine.CalamineError, OSError, ValueError):
            raise Refused("damaged") from None


def _has_password(handle: IO[bytes]) -> bool:
    """Whether the record FILEPASS is where it has to be: behind the first, or one behind that."""
    handle.seek(0)
    content = handle.read()
    place = content.find(_FIRST_RECORD)
    if place < 0:
        return False
    for _ in range(2):
        (length,) = struct.unpack("<H", content[place + 2 : place + 4].ljust(2, b"\0"))
        place += 4 + length
        if content[place : place + 2] == _FILEPASS:
            return True
    return False


def show_value(value: Any) -> str:
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return show_float(float(value))
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
