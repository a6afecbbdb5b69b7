"""In: the stream of an old .xls workbook. Out: what calamine does not tell of its sheets: hidden
rows and columns, and cells that hold errors.

[MS-XLS] 2.4: records of a number, a length and so many bytes; a sheet is a run of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_EOF, _FORMULA, _SHEET, _COLUMNS, _BOOL_OR_ERROR, _ROW = 0x0A, 0x06, 0x85, 0x7D, 0x205, 0x208
_FILEPASS = 0x2F
_ERRORS = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
}


@dataclass
class Marks:
    """Rows and columns counted from 0; ``errors`` are {(row, column): as it is shown}."""

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    errors: dict[tuple[int, int], str] = field(default_factory=dict)


def has_password(stream: bytes) -> bool:
    """It stands behind the first record, or one behind that."""
    records = _read_records(stream, 0)
    return any(kind == _FILEPASS for (kind, _), _ in zip(records, range(4), strict=False))


def list_starts(stream: bytes) -> list[int]:
    """Where the sheets begin, in the order of the workbook."""
    return [
        struct.unpack("<L", body[:4])[0]
        for kind, body in _read_records(stream, 0)
        if kind == _SHEET and len(body) >= 4
    ]


def read_marks(stream: bytes, start: int) -> Marks:
    marks = Marks()
    for kind, body in _read_records(stream, start):
        if kind == _ROW and len(body) >= 14:
            if body[12] & 0x20:
                marks.hidden_rows.add(struct.unpack("<H", body[:2])[0])
        elif kind == _COLUMNS and len(body) >= 10:
            first, last, _, _, options = struct.unpack("<HHHHH", body[:10])
            if options & 1:
                marks.hidden_columns.append((first, last))
        elif kind == _BOOL_OR_ERROR and len(body) >= 8:
            if body[7]:
                _add_error(marks, body, body[6])
        elif kind == _FORMULA and len(body) >= 14 and body[12:14] == b"\xff\xff" and body[6] == 2:
            _add_error(marks, body, body[8])
    return marks


def _add_error(marks: Marks, body: bytes, code: int) -> None:
    row, column = struct.unpack("<HH", body[:4])
    marks.errors[row, column] = _ERRORS.get(code, "#?")


def _read_records(stream: bytes, place: int) -> Iterator[tuple[int, bytes]]:
    """Up to the end of the part that begins there. Charts inside a sheet are parts of their own."""
    depth = 0
    while place + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, place)
        body = stream[place + 4 : place + 4 + length]
        place += 4 + length
        if kind in (0x809, 0x409, 0x209, 0x009):
            depth += 1
        elif kind == _EOF:
            depth -= 1
            if depth <= 0:
                return
        if depth == 1:
            yield kind, body
