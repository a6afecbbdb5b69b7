"""In: the stream of an old .xls workbook. Out: what calamine does not tell of its sheets: hidden
rows and columns, how numbers are shown, and cells that hold errors or formulas nobody computed.

[MS-XLS] 2.4: records of a number, a length and so many bytes; a sheet is a run of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from .cells import Format, find_format

_EOF, _FORMULA, _SHEET, _COLUMNS, _BOOL_OR_ERROR, _ROW = 0x0A, 0x06, 0x85, 0x7D, 0x205, 0x208
_FILEPASS, _RECALC, _FORMAT, _XF = 0x2F, 0x1C1, 0x41E, 0xE0
_NUMBER, _RK, _MANY_RK = 0x203, 0x27E, 0xBD
_BIFF8 = b"\x00\x06"
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
    """Rows and columns counted from 0; ``errors`` are {(row, column): as it is shown}, and
    ``formats`` those of numbers that are not shown as they are."""

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    formats: dict[tuple[int, int], Format] = field(default_factory=dict)
    uncomputed: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class Styles:
    """By the number that a cell names; ``is_stale``: no program says that it computed the results,
    so zero and nothing may stand for any of them."""

    formats: list[Format | None] = field(default_factory=list)
    is_stale: bool = True


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


def read_styles(stream: bytes) -> Styles:
    styles = Styles()
    codes: dict[int, str] = {}
    numbers: list[int] = []
    is_8 = stream[4:6] == _BIFF8
    for kind, body in _read_records(stream, 0):
        if kind == _RECALC:
            styles.is_stale = False
        elif kind == _FORMAT and len(body) > 4:
            # the length takes two bytes and a flag in the last version, one byte in those before
            wide = is_8 and body[4] & 1
            text = body[5:] if is_8 else body[3:]
            code = text.decode("utf-16-le" if wide else "latin-1", "replace")
            codes[struct.unpack("<H", body[:2])[0]] = code[:500]
        elif kind == _XF and len(body) >= 4:
            numbers.append(struct.unpack("<H", body[2:4])[0])
    styles.formats = [find_format(number, codes.get(number)) for number in numbers]
    return styles


def read_marks(stream: bytes, start: int, styles: Styles) -> Marks:
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
        elif kind == _FORMULA and len(body) >= 16:
            is_number = body[12:14] != b"\xff\xff"
            if is_number:
                _add_format(marks, body, styles)
            elif body[6] == 2:
                _add_error(marks, body, body[8])
            is_nothing = not any(body[6:14]) if is_number else body[6] == 3
            if is_nothing and styles.is_stale:
                marks.uncomputed.add(struct.unpack("<HH", body[:4]))
        elif kind in (_NUMBER, _RK) and len(body) >= 10:
            _add_format(marks, body, styles)
        elif kind == _MANY_RK:
            row, first = struct.unpack("<HH", body[:4])
            for column, place in enumerate(range(4, len(body) - 6, 6), first):
                _add_format(marks, struct.pack("<HH", row, column) + body[place:], styles)
    return marks


def _add_format(marks: Marks, body: bytes, styles: Styles) -> None:
    row, column, style = struct.unpack("<HHH", body[:6])
    form = styles.formats[style] if style < len(styles.formats) else None
    # calamine itself knows days, and from when they are counted
    if form is not None and form.kind in ("padded", "percent"):
        marks.formats[row, column] = form


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
