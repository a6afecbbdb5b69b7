"""In: a table, and the plan how to read it. Out: its records, each with the line it begins in.

A record that cannot be read (an opened quotation mark that nothing closes, say) comes out as a
problem of its first line, and reading goes on with the next: one bad row never swallows the good
ones after it. Memory is bounded by the longest record, and that by ``MAX_RECORD``.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any, Protocol

from django.utils.translation import gettext_noop as N_

from campaigns.importing.errors import Problem
from campaigns.importing.workbooks import list_sheets, read_sheet

DELIMITERS = (",", "\t", ";", "|")

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


def read_table(handle: IO[bytes], plan: Plan) -> Generator[Record, None, None]:
    """Every record of the file, the header among them. How far it has come, ``handle.tell()``
    says for a text. Raises ``ImportRefused`` for a damaged workbook."""
    if plan.kind != "text":
        yield from read_sheet(handle, plan.sheet)
        return
    handle.seek(0)
    # what cannot be decoded is U+FFFD and a problem of its row; line ends stay as they are
    text = io.TextIOWrapper(handle, plan.encoding, errors="replace", newline="")
    try:
        yield from read_records(text, delimiter=plan.delimiter)
    finally:
        text.detach()


def read_start(handle: IO[bytes], plan: Plan, count: int = 20) -> list[Record]:
    """The first records that are not blank."""
    with closing(read_table(handle, plan)) as records:
        return list(islice((record for record in records if any(record[1])), count))


def measure_table(handle: IO[bytes], plan: Plan) -> int:
    """How much there is to read: bytes of a text, rows of a workbook as it says itself."""
    if plan.kind == "text":
        return handle.seek(0, io.SEEK_END)
    return next((sheet.rows or 0 for sheet in list_sheets(handle) if sheet.name == plan.sheet), 0)


def read_records(stream: Readable, *, delimiter: str) -> Iterator[Record]:
    """(line, cells, None), or (line, cells as far as they can be told, problem). An empty line is
    a record without cells."""
    lines = _Lines(stream)
    first = 1
    reader, base = None, 0
    while True:
        if reader is None:
            # a reader that met an error goes on with the next line, unless lines were taken back
            reader, base = _make_reader(lines, delimiter), first - 1
        try:
            for cells in reader:
                yield first, cells, None
                first = lines.first = base + reader.line_num + 1
        except (csv.Error, _RecordTooLong) as error:
            record = lines.take_back(base + reader.line_num)
            if len(record) > 1 or isinstance(error, _RecordTooLong):
                reader = None
        else:
            return
        yield first, record[0][:200].rstrip("\r\n").split(delimiter), _name_problem(record)
        first += 1
        lines.first = first


def _make_reader(lines: _Lines, delimiter: str) -> Any:
    return csv.reader(lines.serve(), delimiter=delimiter, strict=True, skipinitialspace=True)


def _name_problem(record: list[str]) -> Problem:
    if len(record[0]) >= MAX_RECORD:
        return TOO_LONG
    return UNCLOSED if len(record) > 1 or record[0].count('"') % 2 else AFTER_QUOTE


class _RecordTooLong(Exception):
    pass


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
        self._again: Iterator[str] = iter(())
        self._fresh: Iterator[str] = chain.from_iterable(self)

    def serve(self) -> Iterator[str]:
        return chain(self._again, self._fresh)

    def take_back(self, last: int) -> list[str]:
        """The lines from the record's first to ``last``; all but the first are served again."""
        record = [
            line
            for number, block in self._held
            for line in block[max(self.first - number, 0) : max(last + 1 - number, 0)]
        ]
        if len(record) > 1:
            self._again = iter([*record[1:], *self._again])
        return record

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
