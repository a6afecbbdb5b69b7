"""In: the rows of a file, good and bad. Out: the same in tables keyed by their import.

All of it belongs to the caller's transaction. Bad rows come in between the good ones and one
connection carries one COPY at a time, so they wait in a file of their own: memory does not grow
with them.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from django.db import connection

from campaigns.importing.errors import Rejection
from campaigns.models import ContactImport

#: characters handed to COPY at once
BLOCK = 1 << 16
#: bytes of rejected rows that are kept in memory
SPOOL = 1 << 20
#: characters of a column's name, and of what was in a cell, that are kept of a rejected row
KEPT_VALUE = 200

_ESCAPES = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\ufffd"}
    # what the database cannot hold: halves of characters
    | {chr(code): "\ufffd" for code in range(0xD800, 0xE000)}
)
_COPY_STAGED = (
    'COPY campaigns_stagedrow (contact_import_id, line, phone, phone_raw, "values") FROM STDIN'
)
_COPY_REJECTED = (
    'COPY campaigns_rejectedrow (contact_import_id, line, "column", code, reason, value) FROM STDIN'
)
# Nothing refers to these rows, and there may be a million of them.
_DELETE_STAGED = "DELETE FROM campaigns_stagedrow WHERE contact_import_id = %s"
_DELETE_REJECTED = "DELETE FROM campaigns_rejectedrow WHERE contact_import_id = %s"


class Rejections:
    """Rejected rows on their way: counted by the code of their problem, and kept in ``file``."""

    def __init__(
        self, contact_import: ContactImport, file: IO[str], *, tell: Callable[[int], None]
    ) -> None:
        self._id = contact_import.pk
        self._file = file
        self._tell = tell
        self.codes: Counter[str] = Counter()
        self.count = 0

    def add(self, rejection: Rejection) -> None:
        line, column, problem, value = rejection
        self.count += 1
        self.codes[problem.code] += 1
        cells = (column[:KEPT_VALUE], problem.code, problem.reason, value[:KEPT_VALUE])
        text = "\t".join([cell.translate(_ESCAPES) for cell in cells])
        self._file.write(f"{self._id}\t{line}\t{text}\n")
        if self.count % 1_000 == 0:
            self._tell(line)

    def copy(self) -> None:
        """Write them into their table, once, after everything else was copied."""
        if not self.count:
            return
        self._file.seek(0)
        with connection.cursor() as cursor, cursor.copy(_COPY_REJECTED) as copy:
            while block := self._file.read(BLOCK):
                copy.write(block)


@contextmanager
def spool_rejections(
    contact_import: ContactImport, *, tell: Callable[[int], None]
) -> Iterator[Rejections]:
    """For as long as the block runs. ``tell`` is called now and then with the line reached."""
    with tempfile.SpooledTemporaryFile(SPOOL, mode="w+", encoding="utf-8", newline="") as file:
        yield Rejections(contact_import, file, tell=tell)


def copy_rows(
    contact_import: ContactImport,
    rows: Iterable[tuple[int, str, str, str]],
    *,
    tell: Callable[[int], None],
) -> int:
    """Stage rows as ``checking.check_rows`` gives them; returns how many. ``tell`` is called now
    and then with the line that was reached."""
    prefix = f"{int(contact_import.pk)}\t"
    count = 0
    with connection.cursor() as cursor, cursor.copy(_COPY_STAGED) as copy:
        lines: list[str] = []
        length = 0
        for line, phone, written, values in rows:
            raw = written if written == phone else written.translate(_ESCAPES)
            # JSON has escaped the control characters already
            escaped = values.replace("\\", "\\\\") if "\\" in values else values
            text = f"{prefix}{line}\t{phone}\t{raw}\t{escaped}\n"
            lines.append(text)
            length += len(text)
            if length > BLOCK:
                copy.write("".join(lines))
                count += len(lines)
                lines.clear()
                length = 0
                tell(line)
        copy.write("".join(lines))
        count += len(lines)
    return count


def clear_staged(contact_import: ContactImport) -> None:
    """What was staged is not needed any more."""
    _delete(_DELETE_STAGED, contact_import)


def clear_rows(contact_import: ContactImport) -> None:
    """What an earlier check of the same file found."""
    clear_staged(contact_import)
    _delete(_DELETE_REJECTED, contact_import)


def _delete(statement: str, contact_import: ContactImport) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [contact_import.pk])
