"""In: the text of a table. Out: its records, each with the physical line it begins in.

A record that cannot be read (an opened quotation mark that nothing closes, say) comes out as a
problem of its first line, and reading goes on with the next: one bad row never swallows the good
ones after it. Memory is bounded by the longest record, and that by ``MAX_RECORD``.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from django.utils.translation import gettext_noop as N_

from campaigns.importing.errors import Problem

DELIMITERS = (",", "\t", ";", "|")

#: in characters, over all lines of the record
MAX_RECORD = 1_000_000
#: a quoted cell of so many lines is a quotation mark that nobody closed
MAX_LINES = 5_000

UNCLOSED = Problem(
    "unclosed_quote",
    N_("A quotation mark is opened in this row and not closed."),
)
AFTER_QUOTE = Problem(
    "text_after_quote",
    N_("There is text between a closing quotation mark and the end of its cell."),
)
TOO_LONG = Problem("row_too_long", N_("The row is longer than 1,000,000 characters."))

# The module's own limit is 128 KB and ends the reading; ours, per record, goes on behind it.
csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_RECORD))


class Readable(Protocol):
    """What ``read_records`` needs of a text file opened with ``newline=""``."""

    def readline(self, limit: int = ..., /) -> str: ...


class _RecordTooLong(Exception):
    pass


class _Lines:
    """Serves physical lines to ``csv.reader`` and can take back those of a record that broke."""

    def __init__(self, stream: Readable) -> None:
        self._readline = stream.readline
        self._again: deque[str] = deque()
        self.number = 0
        self.record: list[str] = []
        self.length = 0

    def begin_record(self) -> int:
        """The number of the line in which the next record begins."""
        self.record.clear()
        self.length = 0
        return self.number + 1

    def serve(self) -> Iterator[str]:
        while True:
            if self._again:
                line = self._again.popleft()
            else:
                line = self._readline(MAX_RECORD)
                if not line:
                    return
                if len(line) == MAX_RECORD:
                    self._skip_rest(line)
            self.number += 1
            self.record.append(line)
            self.length += len(line)
            if self.length >= MAX_RECORD or len(self.record) > MAX_LINES:
                raise _RecordTooLong
            yield line

    def _skip_rest(self, line: str) -> None:
        while line and line[-1] not in "\r\n":
            line = self._readline(MAX_RECORD)

    def take_back(self) -> None:
        """All lines of the record but its first will be served again."""
        rest = self.record[1:]
        self._again.extendleft(reversed(rest))
        self.number -= len(rest)

    def name_problem(self) -> Problem:
        if len(self.record) > 1:
            return UNCLOSED
        if self.length >= MAX_RECORD:
            return TOO_LONG
        return UNCLOSED if self.record[0].count('"') % 2 else AFTER_QUOTE


def read_records(
    stream: Readable, *, delimiter: str
) -> Iterator[tuple[int, list[str], Problem | None]]:
    """(line, cells, None), or (line, cells as far as they can be told, problem). An empty line is
    a record without cells."""
    lines = _Lines(stream)
    while True:
        reader = csv.reader(lines.serve(), delimiter=delimiter, strict=True, skipinitialspace=True)
        while True:
            first = lines.begin_record()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _RecordTooLong):
                break
            yield first, cells, None
        problem = lines.name_problem()
        start = lines.record[0][:200].rstrip("\r\n")
        lines.take_back()
        yield first, start.split(delimiter), problem


def read_first(
    stream: Readable, *, delimiter: str, count: int
) -> list[tuple[int, list[str], Problem | None]]:
    """The first records that are not blank."""
    records = (record for record in read_records(stream, delimiter=delimiter) if any(record[1]))
    return list(islice(records, count))
