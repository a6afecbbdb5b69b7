"""In: criteria. Out: a workbook of Excel, its rows written as they come from the database.

The library makes everything of the workbook but the rows: they are put into its sheets as they
come, as XML, by one format for a row. Cell by cell, as a library writes them, is ten times slower.
Every cell is a text or a number of ours; nothing in a sheet is a formula.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import IO, Any, NamedTuple

from django.utils import translation

from campaigns.criteria import Criteria
from campaigns.exporting.cells import MARKED, is_marked, list_hiders
from campaigns.exporting.columns import Cell, Column, list_columns
from campaigns.exporting.tables import Told, list_headings, open_copy, read_rows

#: rows that a sheet of Excel holds, its header among them
SHEET_ROWS = 1_048_576
#: bytes of a sheet, unpacked: with more, the package would be of a form that not everybody reads
SHEET_BYTES = 1_900_000_000
#: Excel keeps so many digits of a number
EXACT_DIGITS = 15
#: characters of a cell, as Excel counts them, and what stands at the end of one that was longer
LONGEST, CUT = 32_767, " […]"
#: packed fast: what is repeated in every cell is gone then, and little more would be
LEVEL = 1
#: rows that are made and packed at a time, and so many times as many wait to be packed
ROWS, AHEAD = 500, 3

_SHEET = "xl/worksheets/sheet{}.xml"
_END = b"</sheetData>"
_DIMENSION = re.compile(rb"<dimension [^>]*/>")
#: in a line of COPY: what is not written as it is. A backslash begins what COPY itself wrote so.
_ODD_BYTES = bytes([*(n for n in range(32) if n not in b"\t\n"), ord("\\")])
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_MEANT = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
#: what no XML holds, and what Excel would read as such a character
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
#: a cell without a value
_NOTHING = b"><v></v></c>"
_SIGNS = ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;"))


class Written(NamedTuple):
    """How many rows the workbook has, and how many cells had more than a cell can hold."""

    rows: int
    cut: int


def write_xlsx(
    cursor: Any,
    criteria: Criteria,
    target: IO[bytes],
    *,
    whole: bool,
    words: str = "",
    zone: str,
    told: Told = lambda _rows: None,
    sheet_rows: int = SHEET_ROWS,
) -> Written:
    """Write the workbook, a sheet after the other when one is full."""
    with (
        translation.override(words or "en"),
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as package,
    ):
        columns = list_columns(criteria)
        sheets = _Sheets(package, list_headings(columns, words=words), limit=sheet_rows)
        writer = _RowWriter(columns, whole=whole)
        lines = open_copy(
            cursor,
            criteria,
            columns=columns,
            whole=whole,
            words=words,
            zone=zone,
            form="FORMAT text, NULL ''",
        )
        # a package with an open file cannot be closed, and would say so in place of what happened
        with closing(sheets), lines as copy:
            while waiting := read_rows(copy, min(ROWS, sheets.room)):
                sheets.add(writer.write(waiting, sheets.next_row), len(waiting))
                told(sheets.total)
            sheets.finish()
        return Written(sheets.total, writer.cut)


class _Sheets:
    """The package: one sheet is open at a time, the rest of it is the library's. Rows are packed by
    a thread beside: packing lets the next rows be made meanwhile."""

    def __init__(self, package: zipfile.ZipFile, headings: Sequence[str], *, limit: int) -> None:
        self._package = package
        self._headings = headings
        self._limit = limit
        sheets = _make_frame(headings, sheets=2)
        #: of the first sheet, which is shown, and of the others
        self._frames = [sheets[_SHEET.format(number)] for number in (1, 2)]
        self._file: Any = None
        self._packer = ThreadPoolExecutor(1, thread_name_prefix="pack")
        self._packing: deque[Future[Any]] = deque()
        self._size = 0
        self.total = 0
        #: in its sheet, where the next row stands
        self.next_row = 2
        self._number = 1

    @property
    def room(self) -> int:
        """The rows that the sheet still takes."""
        return self._limit - self.next_row + 1

    def add(self, rows: bytes, number: int) -> None:
        self._begin_sheet()
        self._packing.append(self._packer.submit(self._file.write, rows))
        self._wait(AHEAD)
        self._size += len(rows)
        self.total += number
        self.next_row += number
        if self.room < 1 or self._size > SHEET_BYTES:
            self._end_sheet()
            self._number += 1
            self._size, self.next_row = 0, 2

    def finish(self) -> None:
        """The last sheet, unless the one before it took the last row; and all that is no sheet."""
        if self._file is None and self._number > 1:
            self._number -= 1
        else:
            self._end_sheet()
        for name, content in _make_frame(self._headings, sheets=self._number).items():
            if not name.startswith("xl/worksheets/"):
                self._package.writestr(name, content)

    def _wait(self, left: int) -> None:
        """Until no more than so many pieces are left to pack. Raises what packing one did."""
        while len(self._packing) > left:
            self._packing.popleft().result()

    def _begin_sheet(self) -> None:
        if self._file is None:
            self._file = self._package.open(_SHEET.format(self._number), "w")
            self._file.write(self._frames[min(self._number, 2) - 1][0])

    def _end_sheet(self) -> None:
        self._begin_sheet()
        self._wait(0)
        self._file.write(self._frames[min(self._number, 2) - 1][1])
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """No file of the package is open any more, and nobody packs."""
        self._packer.shutdown(cancel_futures=True)
        self._close_file()


def _make_frame(headings: Sequence[str], *, sheets: int) -> dict[str, Any]:
    """The parts of a workbook without rows; of a sheet what stands before them, and after."""
    from xlsxwriter import Workbook  # noqa: PLC0415 - only who makes a workbook pays for it

    content = io.BytesIO()
    with Workbook(content, {"in_memory": True, "strings_to_urls": False}) as book:
        bold = book.add_format({"bold": True})
        for _number in range(sheets):
            sheet = book.add_worksheet()
            sheet.freeze_panes(1, 0)
            for place, heading in enumerate(headings):
                sheet.write_string(0, place, heading, bold)
    parts: dict[str, Any] = {}
    with zipfile.ZipFile(content) as package:
        for name in package.namelist():
            data = package.read(name)
            if name.startswith("xl/worksheets/"):
                head, _end, tail = _DIMENSION.sub(b"", data).partition(_END)
                parts[name] = (head, _END + tail)
            else:
                parts[name] = data
    return parts


class _RowWriter:
    """Lines of COPY, made rows of a sheet. Most are as they are: of those many are made by one
    format, and nothing in them is looked at twice."""

    def __init__(self, columns: Sequence[Column], *, whole: bool) -> None:
        self._hiders = list_hiders(columns, whole=whole)
        self._is_marked = is_marked(columns, whole=whole)
        self._is_number = [column.cell is Cell.NUMBER for column in columns]
        self._names = [_name_column(place) for place in range(len(columns))]
        self._form = self._make_form()
        first = 1 if self._is_marked else 0
        self._width = len(columns) + first
        self._numbers = [place for place, told in enumerate(self._is_number, first) if told]
        self.cut = 0

    def write(self, lines: Sequence[bytes], number: int) -> bytes:
        """The rows of these lines, the first of which stands at ``number``."""
        if not _is_odd(b"".join(lines)) and max(map(len, lines)) <= LONGEST:
            return self._write_plain(lines, number)
        found: list[bytes] = []
        plain: list[bytes] = []
        for place, line in enumerate(lines, number):
            if len(line) > LONGEST or _is_odd(line):
                found.append(self._write_plain(plain, place - len(plain)))
                found.append(self._write_odd(line, place))
                plain = []
            else:
                plain.append(line)
        found.append(self._write_plain(plain, number + len(lines) - len(plain)))
        return b"".join(found)

    def _write_plain(self, lines: Sequence[bytes], number: int) -> bytes:
        """What can be done for all of them at once is."""
        if not lines:
            return b""
        told = lines
        if self._is_marked:
            told = [line if line[:1] != MARKED else self._look_at(line) for line in lines]
        data = b"".join(told)
        for sign, name in _SIGNS:
            if sign in data:
                data = data.replace(sign, name)
        cells = tuple(data[:-1].replace(b"\n", b"\t").split(b"\t"))
        for place in self._numbers:
            if max(map(len, cells[place :: self._width])) > EXACT_DIGITS:
                return b"".join(
                    [self._write_odd(line, at) for at, line in enumerate(lines, number)]
                )
        return (self._form * len(lines) % cells).replace(_NOTHING, b"/>")

    def _make_form(self) -> bytes:
        # Where a cell stands need not be said of a row that has them all, one beside the other:
        # the names of the cells would be a third of what there is to make and to pack.
        told = [
            "<c><v>%b</v></c>" if is_number else '<c t="str"><v>%b</v></c>'
            for is_number in self._is_number
        ]
        # the mark is taken, and not written
        mark = "%.0b" if self._is_marked else ""
        return f"<row>{mark}{''.join(told)}</row>".encode()

    def _look_at(self, line: bytes) -> bytes:
        cells = line[:-1].split(b"\t")
        for place, tell in self._hiders:
            if cells[place + 1]:
                cells[place + 1] = tell(cells[place + 1].decode()).encode()
        return b"\t".join(cells) + b"\n"

    def _write_odd(self, line: bytes, number: int) -> bytes:
        told = [_read_cell(cell) for cell in line[:-1].split(b"\t")]
        mark = told.pop(0) if self._is_marked else ""
        if mark.encode() == MARKED:
            for place, tell in self._hiders:
                told[place] = tell(told[place]) if told[place] else ""
        cells = []
        for name, is_number, text in zip(self._names, self._is_number, told, strict=True):
            if not text:
                continue
            if is_number and len(text) <= EXACT_DIGITS:
                cells.append(f'<c r="{name}{number}"><v>{text}</v></c>')
                continue
            words = _UNFIT.sub(_spell, self._shorten(text))
            for sign, name_of_sign in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
                words = words.replace(sign, name_of_sign)
            cells.append(
                f'<c r="{name}{number}" t="inlineStr"><is>'
                f'<t xml:space="preserve">{words}</t></is></c>'
            )
        return f'<row r="{number}">{"".join(cells)}</row>'.encode()

    def _shorten(self, text: str) -> str:
        """The cell as long as it may be. Excel counts a character beyond the first 65,536 twice."""
        wide = text.encode("utf-16-le")
        if len(wide) <= 2 * LONGEST:
            return text
        self.cut += 1
        kept = wide[: 2 * (LONGEST - len(CUT))].decode("utf-16-le", "ignore")
        return kept + CUT


def _is_odd(text: bytes) -> bool:
    return len(text.translate(None, _ODD_BYTES)) != len(text) or (
        b"_x" in text
        or b" \t" in text
        or b"\t " in text
        or b" \n" in text
        or b"\xef\xbf\xbe" in text
        or b"\xef\xbf\xbf" in text
    )


def _read_cell(cell: bytes) -> str:
    """What COPY wrote, as it was."""
    if b"\\" in cell:
        cell = _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), cell)
    return cell.decode()


def _spell(found: re.Match[str]) -> str:
    """A character as Excel writes those that XML cannot hold."""
    return f"_x{ord(found[0]):04X}_"


def _name_column(place: int) -> str:
    name, place = "", place + 1
    while place:
        place, letter = divmod(place - 1, 26)
        name = chr(ord("A") + letter) + name
    return name
