"""In: criteria. Out: lines of a CSV, written as they come from the database."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
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
from campaigns.exporting.columns import Column, list_columns

#: for the spreadsheets that would guess the encoding else
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: rows that are read, made and written at a time
ROWS = 1_000
#: told how many rows are written; what it raises ends the file
Told = Callable[[int], None]


def stream_pieces(
    cursor: Any,
    criteria: Criteria,
    *,
    columns: Sequence[Column],
    whole: bool,
    words: str,
    zone: str,
) -> Iterator[tuple[bytes, int]]:
    """(lines, how many): of the rows, each with CR LF at its end. ``cursor`` is one of psycopg, in
    a transaction of its own."""
    hide = make_hider(columns, whole=whole)
    told = open_copy(cursor, criteria, columns=columns, whole=whole, words=words, zone=zone)
    with told as copy:
        while lines := read_rows(copy, ROWS):
            if is_marked(columns, whole=whole):
                lines = [
                    line[2:-1] if line[:1] != MARKED else hide(line[2:-1] + b"\r\n")[:-2]
                    for line in lines
                ]
            else:
                lines = [line[:-1] for line in lines]
            yield b"\r\n".join([*lines, b""]), len(lines)


def read_rows(copy: Any, most: int) -> list[bytes]:
    """The next rows, none at the end. The driver waits for many as it does for one, which costs it
    less than as many times for one."""

    def gather() -> Generator[Any, Any, list[bytes]]:
        rows: list[bytes] = []
        while len(rows) < most and (row := (yield from copy._read_gen())):
            rows.append(bytes(row))
        return rows

    rows: list[bytes] = copy.connection.wait(gather())
    return rows


@contextmanager
def open_copy(
    cursor: Any,
    criteria: Criteria,
    *,
    columns: Sequence[Column],
    whole: bool,
    words: str,
    zone: str,
    form: str = "FORMAT csv",
) -> Iterator[Any]:
    """The rows as they come from the database, each as one piece in the form of a COPY."""
    rows = criteria.select()
    rows = rows.order_by(*(("-happened_at", "-id") if criteria.kind == CALLS else ("id",)))
    sql, params = write_query(rows, columns, whole=whole, for_people=bool(words))
    cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])
    # a long statement with thirty small expressions: compiling them takes longer than they do
    cursor.execute("SET LOCAL jit = off")
    with cursor.copy(quote_statement(f"COPY ({sql}) TO STDOUT ({form})", params, cursor)) as copy:
        yield copy


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
        pieces = stream_pieces(
            cursor, criteria, columns=columns, whole=whole, words=words, zone=zone
        )
        number = 0
        for lines, many in pieces:
            target.write(lines)
            number += many
            told(number)
    return number


def list_headings(columns: Sequence[Column], *, words: str) -> list[str]:
    return [str(column.heading) if words else column.name for column in columns]
