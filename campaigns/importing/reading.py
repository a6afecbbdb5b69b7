"""In: a table, and the plan how to read it. Out: its records, each with the line it begins in.

A record that cannot be read (an opened quotation mark that nothing closes, say) comes out as a
problem of its first line, and reading goes on with the next: one bad row never swallows the good
ones after it, not even if the quotation mark of another closes its own. Memory is bounded by the
longest record, and that by ``MAX_RECORD``.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any, Protocol

from django.utils.translation import gettext_noop as N_

from campaigns.importing.errors import Problem
from campaigns.importing.workbooks import list_sheets, read_sheet

DELIMITERS = (",", "\t", ";", "|")

#: what is the start of a file
START_LINES = 10_000
START_BYTES = 1 << 20
#: in characters, over all lines of the record
MAX_RECORD = 1_000_000
#: a quoted cell of so many lines is a quotation mark that nobody closed
MAX_LINES = 5_000
#: characters read at once; the limits above hold to within so many
_BLOCK = 1 << 18

UNCLOSED = Problem(
    "unclosed_quote",
    N_("A quotation mark is opened in this row and not closed."),
)
AFTER_QUOTE = Problem(
    "text_after_quote",
    N_("There is text between a closing quotation mark and the end of its cell."),
)
TOO_LONG = Problem("row_too_long", N_("The row is longer than 1,000,000 characters."))
#: codes of the problems that leave unknown where the cells of a row end
BROKEN = frozenset(problem.code for problem in (UNCLOSED, AFTER_QUOTE, TOO_LONG))

_LINE_END = re.compile(r"\r\n?|\n")
#: no cell may go on after a bare line end: the reader takes no line that ends so
_CUT = "\n\0"

# The module's own limit is 128 KB and ends the reading; ours, per record, goes on behind it.
csv.field_size_limit(max(csv.field_size_limit(), 4 * MAX_RECORD))

#: line of the file (or row of the sheet), the cells, and why they are not to be used
Record = tuple[int, list[str], Problem | None]
#: the number to call in cells that look like a row of the table, else nothing
FindPhone = Callable[[list[str]], str]


@dataclass(frozen=True)
class Plan:
    """How a file is to be read. ``header_line`` is None for a table without a header."""

    kind: str = "text"
    encoding: str = "utf-8"
    delimiter: str = ","
    sheet: str = ""
    header_line: int | None = None


class Readable(Protocol):
    """What ``read_records`` needs of a text file opened with ``newline=""``."""

    def read(self, size: int = ..., /) -> str: ...


def read_table(
    handle: IO[bytes], plan: Plan, *, find_phone: FindPhone | None = None
) -> Generator[Record, None, None]:
    """Every record of the file, the header among them. How far it has come, ``handle.tell()``
    says for a text. ``find_phone`` as of ``read_records``. Raises ``ImportRefused`` for a damaged
    workbook."""
    if plan.kind != "text":
        yield from read_sheet(handle, plan.sheet)
        return
    handle.seek(0)
    # what cannot be decoded is U+FFFD and a problem of its row; line ends stay as they are
    text = io.TextIOWrapper(handle, plan.encoding, errors="replace", newline="")
    try:
        yield from read_records(text, delimiter=plan.delimiter, find_phone=find_phone)
    finally:
        text.detach()


def read_start(handle: IO[bytes], plan: Plan, count: int = 20) -> list[Record]:
    """The first records that are not blank, as far as they stand near the top: whoever asks is a
    person who waits for a page."""
    found = []
    with closing(read_table(handle, plan)) as records:
        for record in records:
            if any(record[1]):
                found.append(record)
            is_far = plan.kind == "text" and handle.tell() > START_BYTES
            if len(found) >= count or record[0] >= START_LINES or is_far:
                break
    return found


def measure_table(handle: IO[bytes], plan: Plan) -> int:
    """How much there is to read: bytes of a text, rows of a workbook as it says itself."""
    if plan.kind == "text":
        return handle.seek(0, io.SEEK_END)
    return next((sheet.rows or 0 for sheet in list_sheets(handle) if sheet.name == plan.sheet), 0)


def read_records(
    stream: Readable, *, delimiter: str, find_phone: FindPhone | None = None
) -> Iterator[Record]:
    """(line, cells, None), or (line, cells as far as they can be told, problem). An empty line is
    a record without cells.

    With ``find_phone`` a quoted cell over several lines is none when one of them is a row.
    """
    lines = _Lines(stream)
    first = 1
    # a record that begins before this line and does not end in its own is known to be broken
    hopeless = 0
    reader, base = None, 0
    while True:
        while first < hopeless and (line := next(lines.serve(), None)) is not None:
            yield first, *_read_line(line, delimiter)
            first += 1
            lines.first = first
        if reader is None:
            # a reader that met an error goes on with the next line, unless lines were taken back
            reader, base = _make_reader(lines.serve(), delimiter), first - 1
        try:
            for cells in reader:
                last = base + reader.line_num
                if last > first and find_phone is not None:
                    _refuse_rows(lines.look_back(last), cells, delimiter, find_phone)
                yield first, cells, None
                first = lines.first = last + 1
        except (csv.Error, _RecordTooLong, _RowsSwallowed) as error:
            last = base + reader.line_num
            record = lines.take_back(last)
            if isinstance(error, _RowsSwallowed):
                hopeless = first + error.place
            elif isinstance(error, _RecordTooLong):
                # nothing closes it before there; in the second half it has to be tried again
                hopeless = first + (last - first) // 2
            else:
                hopeless = last
            if len(record) > 1 or isinstance(error, _RecordTooLong):
                reader = None
        else:
            return
        yield first, _cut_cells(record[0], delimiter), _name_problem(record, delimiter)
        first += 1
        lines.first = first


def _make_reader(lines: Iterator[str], delimiter: str) -> Any:
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)


def _cut_cells(line: str, delimiter: str) -> list[str]:
    """The cells of a line whose quotation marks say nothing."""
    return line[:200].rstrip("\r\n").split(delimiter)


def _read_line(line: str, delimiter: str) -> tuple[list[str], Problem | None]:
    """The record that a line is by itself."""
    # of the second it takes what closes a cell that is open at the end of the first
    reader = _make_reader(iter((line, '"\n')), delimiter)
    try:
        cells: list[str] = next(reader)
    except csv.Error:
        problem = TOO_LONG if len(line) >= MAX_RECORD else AFTER_QUOTE
    else:
        if reader.line_num == 1:
            return cells, None
        problem = UNCLOSED
    return _cut_cells(line, delimiter), problem


def _refuse_rows(
    record: list[str], cells: list[str], delimiter: str, find_phone: FindPhone
) -> None:
    """Raises ``_RowsSwallowed`` when lines of a record are rows by themselves: its quotation mark
    was meant to be closed in its own line, or not to be there."""
    found = {
        place: phone
        for place, line in enumerate(record)
        if (phone := _find_phone_in(line, delimiter, find_phone))
    }
    if not found:
        return
    # one of the lines may have the number of the record itself
    own = find_phone(cells)
    rows = [place for place, phone in found.items() if phone != own]
    same = [place for place, phone in found.items() if phone == own]
    if rows or len(same) > 1:
        raise _RowsSwallowed(max(rows + same[:-1]))


def _find_phone_in(line: str, delimiter: str, find_phone: FindPhone) -> str:
    """Of the line as it is, or as it would be if its quotation marks said nothing."""
    line = line.rstrip("\r\n")
    try:
        phone = find_phone(next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), []))
    except csv.Error:
        phone = ""
    return phone or (find_phone(line.replace('"', "").split(delimiter)) if '"' in line else "")


def _name_problem(record: list[str], delimiter: str) -> Problem:
    if len(record[0]) >= MAX_RECORD:
        return TOO_LONG
    return UNCLOSED if len(record) > 1 else _read_line(record[0], delimiter)[1] or UNCLOSED


class _RecordTooLong(Exception):
    pass


class _RowsSwallowed(Exception):
    """``place`` is that of the last of its lines with which every record is a broken one."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


class _Lines:
    """Serves physical lines to ``csv.reader`` and can take back those of a record that broke.

    It hands them over in blocks, so that no line costs a call of ours; between two blocks it sees
    whether the record that is being read has grown too long.
    """

    def __init__(self, stream: Readable) -> None:
        self._read = stream.read
        #: the line in which the present record begins; set by the reader
        self.first = 1
        #: lines handed over
        self._number = 0
        #: the blocks that hold the present record, each with the number of its first line
        self._held: deque[tuple[int, list[str]]] = deque()
        self._text = self._read(_BLOCK).removeprefix("\ufeff")
        #: what was taken back, to be served before anything else
        self._again: deque[str] = deque()
        self._fresh: Iterator[str] = chain.from_iterable(self)

    def serve(self) -> Iterator[str]:
        return chain(self._serve_again(), self._fresh)

    def _serve_again(self) -> Iterator[str]:
        while self._again:
            yield self._again.popleft()

    def take_back(self, last: int) -> list[str]:
        """The lines from the record's first to ``last``; all but the first are served again."""
        record = self.look_back(last)
        self._again.extendleft(reversed(record[1:]))
        return record

    def look_back(self, last: int) -> list[str]:
        """The lines from the record's first to ``last``."""
        return [
            line
            for number, block in self._held
            for line in block[max(self.first - number, 0) : max(last + 1 - number, 0)]
        ]

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        held = self._held
        while held and held[0][0] + len(held[0][1]) <= self.first:
            held.popleft()
        if held:
            self._refuse_long()
        block = self._read_block()
        if not block:
            raise StopIteration
        held.append((self._number + 1, block))
        self._number += len(block)
        return block

    def _refuse_long(self) -> None:
        number, block = self._held[0]
        length = sum(map(len, block[self.first - number :]))
        length += sum(len(line) for _, block in islice(self._held, 1, None) for line in block)
        if length >= MAX_RECORD or self._number - self.first >= MAX_LINES:
            # the exception ends the one that is being served
            self._fresh = chain.from_iterable(self)
            raise _RecordTooLong

    def _read_block(self) -> list[str]:
        """Whole lines; one that is too long is cut, and a block of its own."""
        while True:
            lines = io.StringIO(self._text, newline="").readlines()
            if len(self._text) >= MAX_RECORD and len(lines[0]) >= MAX_RECORD:
                self._skip_line()
                return [lines[0][:MAX_RECORD] + _CUT]
            more = self._read(_BLOCK)
            if not more:
                self._text = ""
                return lines
            # a carriage return at the end may be half of a line end
            rest = lines.pop() if lines and lines[-1][-1] != "\n" else ""
            self._text = rest + more
            if lines:
                return lines

    def _skip_line(self) -> None:
        while not (found := _LINE_END.search(self._text)):
            self._text = self._read(_BLOCK)
            if not self._text:
                return
        rest = self._text[found.end() :]
        if found.group() == "\r" and not rest:
            rest = self._read(_BLOCK).removeprefix("\n")
        self._text = rest
