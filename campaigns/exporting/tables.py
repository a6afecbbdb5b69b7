"""In: criteria. Out: lines of a CSV, or a workbook, written as they come from the database."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from django.utils import translation

from campaigns.criteria import CALLS, Criteria
from campaigns.exporting.cells import (
    MARKED,
    is_marked,
    make_hider,
    quote_statement,
    write_line,
    write_query,
)
from campaigns.exporting.columns import Cell, Column, list_columns

#: for the spreadsheets that would guess the encoding else
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: bytes that are written at a time
CHUNK = 1 << 18
#: rows that a sheet of Excel holds, its header among them
SHEET_ROWS = 1_048_576
#: Excel keeps so many digits of a number
EXACT_DIGITS = 15
#: told how many rows are written; what it raises ends the file
Told = Callable[[int], None]


def stream_lines(
    cursor: Any,
    criteria: Criteria,
    *,
    columns: Sequence[Column],
    whole: bool,
    words: str,
    zone: str,
) -> Iterator[bytes]:
    """The lines of the rows, each as one piece that ends with CR LF. ``cursor`` is one of psycopg,
    in a transaction of its own."""
    rows = criteria.select()
    rows = rows.order_by(*(("-happened_at", "-id") if criteria.kind == CALLS else ("id",)))
    sql, params = write_query(rows, columns, whole=whole, for_people=bool(words))
    cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])
    # a long statement with thirty small expressions: compiling them takes longer than they do
    cursor.execute("SET LOCAL jit = off")
    statement = quote_statement(f"COPY ({sql}) TO STDOUT (FORMAT csv)", params, cursor)
    hide = make_hider(columns, whole=whole)
    with cursor.copy(statement) as copy:
        if not is_marked(columns, whole=whole):
            for line in copy:
                yield bytes(line[:-1]) + b"\r\n"
            return
        for data in copy:
            line = bytes(data)
            plain = line[2:-1] + b"\r\n"
            yield hide(plain) if line[:1] == MARKED else plain


def write_csv(
    cursor: Any,
    criteria: Criteria,
    target: IO[bytes],
    *,
    whole: bool,
    words: str = "",
    zone: str,
    told: Told = lambda _rows: None,
) -> int:
    """Write the file; returns how many rows it has."""
    with translation.override(words or "en"):
        columns = list_columns(criteria)
        target.write(BYTE_ORDER_MARK + write_line(list_headings(columns, words=words)))
        lines = stream_lines(cursor, criteria, columns=columns, whole=whole, words=words, zone=zone)
        number, size = 0, 0
        waiting: list[bytes] = []
        for line in lines:
            waiting.append(line)
            size += len(line)
            if size >= CHUNK:
                target.write(b"".join(waiting))
                number += len(waiting)
                waiting, size = [], 0
                told(number)
        target.write(b"".join(waiting))
    return number + len(waiting)


def write_xlsx(
    cursor: Any,
    criteria: Criteria,
    target: IO[bytes],
    *,
    whole: bool,
    words: str = "",
    zone: str,
    told: Told = lambda _rows: None,
    folder: str | None = None,
    sheet_rows: int = SHEET_ROWS,
) -> int:
    """Write the workbook, a sheet after the other when one is full. ``folder`` keeps what is not
    finished yet."""
    from xlsxwriter import Workbook  # noqa: PLC0415 - only who makes a workbook pays for it

    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "tmpdir": folder,
    }
    with translation.override(words or "en"), Workbook(target, options) as book:
        columns = list_columns(criteria)
        headings = list_headings(columns, words=words)
        numbers = [column.cell is Cell.NUMBER for column in columns]
        bold = book.add_format({"bold": True})
        lines = stream_lines(cursor, criteria, columns=columns, whole=whole, words=words, zone=zone)
        total, place, sheet = 0, sheet_rows, None
        for cells in _read_lines(lines):
            if place >= sheet_rows:
                sheet = _add_sheet(book, headings, bold)
                place = 1
            _write_row(sheet, place, cells, numbers)
            place += 1
            total += 1
            if total % 1000 == 0:
                told(total)
        if sheet is None:
            _add_sheet(book, headings, bold)
    return total


def list_headings(columns: Sequence[Column], *, words: str) -> list[str]:
    return [str(column.heading) if words else column.name for column in columns]


def _read_lines(lines: Iterator[bytes]) -> Iterator[list[str]]:
    for line in lines:
        yield next(csv.reader(io.StringIO(line.decode(), newline="")))


def _add_sheet(book: Any, headings: Sequence[str], bold: Any) -> Any:
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    sheet.write_row(0, 0, headings, bold)
    return sheet


def _write_row(sheet: Any, place: int, cells: Sequence[str], numbers: Sequence[bool]) -> None:
    for column, (text, is_number) in enumerate(zip(cells, numbers, strict=True)):
        if not text:
            continue
        if is_number and len(text) <= EXACT_DIGITS:
            sheet.write_number(place, column, int(text))
        else:
            sheet.write_string(place, column, text)
