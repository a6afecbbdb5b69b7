"""In: a file that is a workbook, whatever its name says. Out: its sheets and rows, as text.

Read in a process of its own (``sheets``), with a limit to its memory and its time: what is wrong
with a workbook is a sentence here and never a dead worker. Our memory does not grow with the file.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as N_

from campaigns.importing.errors import ImportRefused, Problem
from campaigns.importing.sheets.names import MAX_WIDTH, clean_name

log = logging.getLogger(__name__)

#: bytes and seconds of computing that reading a workbook may take
MEMORY = 1_500_000_000
CPU_SECONDS = 600
#: so long may the reader be silent
SILENCE_SECONDS = 120
#: rows at the start, one of which may be the header, are told in their whole width
_WHOLE = 100

#: hidden columns named at most
_NAMED = 20

Record = tuple[int, list[str], Problem | None]

HIDDEN_ROW = Problem(
    "hidden_row",
    N_(
        "The row is hidden in the workbook, by hand or by a filter: show it if it is meant, else "
        "delete it."
    ),
)
MERGED_CELL = Problem(
    "merged_cell",
    N_("The cell is merged with one above it or to its left: divide them and fill each one."),
)
ERROR_CELL = Problem("error_cell", N_("The cell has no value but an error."))
NO_RESULT = Problem(
    "no_result",
    N_(
        "The cell has a formula whose result was never computed: open the workbook in a "
        "spreadsheet and save it again."
    ),
)
ROW_TOO_LONG = Problem("row_too_long", N_("The row is longer than 1,000,000 characters."))
_PROBLEMS = {
    problem.code: problem
    for problem in (HIDDEN_ROW, MERGED_CELL, ERROR_CELL, NO_RESULT, ROW_TOO_LONG)
}
#: only where a number to call is meant to stand
DATE_CELL = Problem("date_cell", N_("The cell is a date, not a number to call."))

HIDDEN_COLUMNS = N_(
    "Of the sheet “%(sheet)s” the columns %(columns)s are hidden; they are read like all others."
)

#: by the reader's words, see ``sheets.refusal``
SENTENCES = {
    "password": N_(
        "The workbook is protected by a password: remove the password, save it and choose it again."
    ),
    "macros": N_(
        "The workbook has macros, which are programs: save it as “Excel workbook (.xlsx)” without "
        "them and choose that file."
    ),
    "binary": N_(
        "The workbook is of the binary kind (.xlsb), whatever its name says: save it as “Excel "
        "workbook (.xlsx)” and choose that file."
    ),
    "open_document": N_(
        "The file is an OpenDocument file, whatever its name says: save the table as “Excel "
        "workbook (.xlsx)” or “CSV UTF-8” and choose that file."
    ),
    "document": N_(
        "The file is a document of an office program, but no workbook: save the table in it as "
        "“Excel workbook (.xlsx)” or “CSV UTF-8” and choose that file."
    ),
    "zip": N_(
        "The file is a zip archive, whatever its name says: unpack it and choose the table in it."
    ),
    "bomb": N_(
        "The workbook is too large once it is unpacked (more than 500 MB, or more than 1,000 "
        "parts): divide it into several files, or save the table as “CSV UTF-8”."
    ),
    "ratio": N_(
        "The workbook is packed like a zip bomb: its parts overlap, or are more than 200 times as "
        "large as the file. Open it in a spreadsheet, save it again and choose that file."
    ),
    "damaged": N_(
        "The workbook is damaged: open it in a spreadsheet, save it again and choose that file."
    ),
    "damaged_at": N_(
        "The workbook is damaged after row %(row)s: open it in a spreadsheet, save it again and "
        "choose that file."
    ),
    "no_workbook": N_("The file is no workbook."),
    "no_sheet": N_("The workbook has no sheet with cells."),
    "sheet_unknown": N_("The workbook has no sheet “%(sheet)s”."),
    "memory": N_(
        "Reading the workbook takes more memory than is allowed: divide it into several files, or "
        "save the table as “CSV UTF-8”."
    ),
    "crashed": N_(
        "The workbook cannot be read: it is damaged, or takes more memory than is allowed. Open it "
        "in a spreadsheet and save the table as “CSV UTF-8”."
    ),
    "time": N_(
        "Reading the workbook takes longer than is allowed: divide it into several files, or save "
        "the table as “CSV UTF-8”."
    ),
}

_FOLDER = str(Path(__file__).parent)
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from sheets.program import main; main()"


class CellProblem(Problem):
    """A problem of single cells, each named by its place: it counts where somebody uses the cell.

    As a ``Problem`` it is that of the first such cell.
    """

    places: Mapping[int, Problem]


class DateText(str):
    """The text of a cell that holds a date, whose digits might pass for a phone number."""

    __slots__ = ()


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook. ``rows`` is what the workbook says of itself, None if nothing."""

    name: str
    hidden: bool
    rows: int | None
    #: letters of the hidden columns; their cells are read like all others
    hidden_columns: tuple[str, ...] = ()
    has_cells: bool = True

    @property
    def hidden_values(self) -> dict[str, str]:
        """For ``HIDDEN_COLUMNS``."""
        named = ", ".join(self.hidden_columns[:_NAMED])
        more = ", …" if len(self.hidden_columns) > _NAMED else ""
        return {"sheet": self.name, "columns": named + more}

    @property
    def note(self) -> str:
        """What somebody should know who reads the sheet, in the reader's language."""
        if not self.hidden_columns:
            return ""
        return gettext(HIDDEN_COLUMNS) % self.hidden_values


def inspect_workbook(handle: IO[bytes]) -> str:
    """ "xlsx" or "xls". Raises ``ImportRefused`` with what the file is if it cannot be read."""
    with _ask(handle, "kind") as answer:
        return str(next(answer)["kind"])


def list_sheets(handle: IO[bytes]) -> list[Sheet]:
    """All sheets with cells, in their order. Raises ``ImportRefused``."""
    with _ask(handle, "sheets") as answer:
        found = next(answer)
    return [
        Sheet(
            sheet["name"],
            sheet["is_hidden"],
            sheet["rows"],
            tuple(sheet["hidden_columns"]),
            sheet["has_cells"],
        )
        for sheet in found["sheets"]
    ]


def read_sheet(handle: IO[bytes], sheet: str) -> Iterator[Record]:
    """The rows that are not blank, each with the number that the spreadsheet shows. ``sheet`` is a
    name; "" is the first sheet that is not hidden. Raises ``ImportRefused``.

    A row has as many cells as the widest before it, at least. Beyond the columns that a header may
    have, a row below the first ones has one cell at most. A problem of single cells is a
    ``CellProblem``; a date is a ``DateText``.
    """
    width = told = 0
    with _ask(handle, "rows", sheet) as answer:
        for bundle in answer:
            if isinstance(bundle, dict):
                return
            for number, cells, problem, places, far in bundle:
                length = len(cells)
                if length < width:
                    cells.extend([""] * (width - length))
                else:
                    width = length
                if far:
                    place = far[0] if told < _WHOLE else MAX_WIDTH
                    cells.extend([""] * (place - len(cells)))
                    cells.append(far[1])
                told += 1
                found = _tell_problem(cells, problem, places) if problem or places else None
                yield number, cells, found


def _tell_problem(cells: list[str], code: str, places: dict[str, str]) -> Problem | None:
    """Dates are none; they are marked."""
    if code:
        return _PROBLEMS[code]
    found: dict[int, Problem] = {}
    for text, word in places.items():
        place = int(text)
        if word == "date_cell":
            cells[place] = DateText(cells[place])
        else:
            found[place] = _PROBLEMS[word]
    if not found:
        return None
    problem = CellProblem(*found[min(found)])
    problem.places = found
    return problem


@contextlib.contextmanager
def _ask(handle: IO[bytes], question: str, sheet: str = "") -> Iterator[Iterator[Any]]:
    """The lines of the reader's answer, for as long as the block runs; then it is gone."""
    with contextlib.ExitStack() as stack:
        descriptor = _find_descriptor(handle, stack)
        arguments = [_FOLDER, str(descriptor), str(MEMORY), str(CPU_SECONDS), question]
        # as its own reader calls it: the name comes from the workbook, and goes on a command line
        arguments.append(clean_name(sheet))
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM, *arguments],
            stdin=subprocess.PIPE,  # closed when we die, whatever we die of
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        )
        try:
            yield _read_lines(process)
        finally:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait()


def _find_descriptor(handle: IO[bytes], stack: contextlib.ExitStack) -> int:
    with contextlib.suppress(AttributeError, OSError):
        descriptor = handle.fileno()
        if handle.writable():
            handle.flush()
        return descriptor
    copy = tempfile.TemporaryFile(prefix="callboard-workbook-")  # noqa: SIM115
    stack.enter_context(copy)
    handle.seek(0)
    shutil.copyfileobj(handle, copy, 1 << 20)
    copy.flush()
    return copy.fileno()


def _read_lines(process: subprocess.Popen[bytes]) -> Iterator[Any]:
    """Each line as data. Raises ``ImportRefused`` where the reader refused, fell silent or died."""
    assert process.stdout is not None
    stream = process.stdout.fileno()
    waiting = select.poll()
    waiting.register(stream, select.POLLIN)
    rest: list[bytes] = []
    while True:
        if not waiting.poll(SILENCE_SECONDS * 1_000):
            raise ImportRefused(SENTENCES["time"])
        chunk = os.read(stream, 1 << 18)
        if not chunk:
            raise _explain_death(process)
        *lines, last = chunk.split(b"\n")
        for line in lines:
            content = json.loads(b"".join([*rest, line]))
            rest.clear()
            if isinstance(content, dict) and "refused" in content:
                raise _make_refusal(content)
            yield content
        rest.append(last)


def _make_refusal(content: dict[str, Any]) -> ImportRefused:
    if error := content.get("error"):
        log.warning("a workbook could not be read: %s", error)
    return ImportRefused(SENTENCES[content["refused"]], **content["values"])


def _explain_death(process: subprocess.Popen[bytes]) -> ImportRefused:
    deadline = time.monotonic() + 5
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    log.warning("the reader of a workbook ended with %s", process.returncode)
    is_late = process.returncode == -signal.SIGXCPU
    return ImportRefused(SENTENCES["time" if is_late else "crashed"])
