"""In: a question about a workbook, on the command line. Out: the answer, as lines of JSON.

A line is a list of rows, or an object: {"sheets": …}, {"kind": …}, {"refused": code, "values": …},
and at the end of the rows {"end": true}. Whoever asked holds our standard input open; when it is
closed, nobody waits any more.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any

from .container import find_kind
from .names import tell_apart
from .refusal import Refused
from .rows import Row, read_rows
from .xlsx import SheetPart, measure_sheet, open_book

#: rows and characters told at once, more or less
_ROWS_AT_ONCE = 200
_TEXT_AT_ONCE = 1 << 18


class _Shared(io.RawIOBase):
    """A file somebody else may be reading at the same time: its position is ours alone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        start = (0, self._place, os.fstat(self._descriptor).st_size)[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        content = os.pread(self._descriptor, len(buffer), self._place)
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def answer(handle: IO[bytes], question: str, sheet: str) -> Iterator[Any]:
    """The lines of the answer, before they are JSON. Raises ``Refused``."""
    kind = find_kind(handle)
    if kind == "xlsx":
        book = open_book(handle)
        sheets = book.sheets
    else:
        # calamine is loaded for those who need it
        from .xls import OldBook  # noqa: PLC0415

        old = OldBook(handle)
        sheets = old.sheets
    if not sheets:
        raise Refused("no_sheet")
    names = tell_apart(part.name for part in sheets)
    for part, name in zip(sheets, names, strict=True):
        part.name = name
    if question == "kind":
        yield {"kind": kind}
    elif question == "sheets":
        for part in sheets:
            measure_sheet(book, part) if kind == "xlsx" else old.measure_sheet(part)
        yield {"kind": kind, "sheets": [vars(part) for part in sheets]}
    else:
        part = _choose(sheets, sheet)
        rows = read_rows(book, part) if kind == "xlsx" else old.read_rows(part)
        yield from _bundle(rows)
        yield {"end": True}


def _choose(sheets: list[SheetPart], name: str) -> SheetPart:
    for part in sheets:
        if part.name == name if name else not part.is_hidden:
            return part
    if name:
        raise Refused("sheet_unknown", sheet=name)
    return sheets[0]


def _bundle(rows: Iterator[Row]) -> Iterator[list[Row]]:
    bundle: list[Row] = []
    length = 0
    for row in rows:
        bundle.append(row)
        length += sum(map(len, row.cells))
        if len(bundle) >= _ROWS_AT_ONCE or length > _TEXT_AT_ONCE:
            yield bundle
            bundle, length = [], 0
    if bundle:
        yield bundle


def main() -> None:
    descriptor, memory, seconds = (int(word) for word in sys.argv[2:5])
    question, sheet = sys.argv[5:7]
    threading.stack_size(1 << 18)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.disable()  # nothing here goes round in circles, and there are millions of lists
    handle = io.BufferedReader(_Shared(descriptor), 1 << 16)
    with contextlib.suppress(BrokenPipeError):
        try:
            for line in answer(handle, question, sheet):
                _tell(line)
        except Refused as refused:
            _tell({"refused": refused.code, "values": refused.values})
        except MemoryError:
            _tell({"refused": "memory", "values": {}})
        except BaseException as error:
            # Its text may quote a cell; the parent logs the name and tells a person the sentence.
            _tell({"refused": "damaged", "values": {}, "error": type(error).__name__})
    os._exit(0)


def _tell(line: Any) -> None:
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    sys.stdout.buffer.write(text.encode(errors="replace") + b"\n")
    sys.stdout.buffer.flush()


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)
