"""In: how far a job is. Out: the same on its import's row, seen while its transaction is open.

It is written over a connection of its own, which never waits for a lock: the job's transaction may
hold the row, and what is not written now is written a second later. The same look tells whether
somebody gave the import up meanwhile.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from django.db import connection

from campaigns.models import ContactImport

#: seconds between two signs of life
PACE = 1.0

_WRITE = """
    UPDATE campaigns_contactimport SET progress = %s, progress_end = %s, progress_at = now()
    WHERE id = (
        SELECT id FROM campaigns_contactimport WHERE id = %s AND status = %s
        FOR NO KEY UPDATE SKIP LOCKED
    )
"""


class Stopped(Exception):
    """The import is no longer what this job works on; all it did is taken back."""


class Progress:
    """The job's voice while it works on an import that is in ``status``."""

    def __init__(self, contact_import: ContactImport, *, end: int = 0) -> None:
        self._id = contact_import.pk
        self._status = contact_import.status
        self._connection = connection.copy()
        self._next = 0.0
        self.end = end

    def __enter__(self) -> Self:
        try:
            self._tell(0)
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def tell(self, done: int) -> None:
        """``done`` units of ``end``; cheap when called often. Raises ``Stopped``."""
        if time.monotonic() >= self._next:
            self._tell(done)

    def _tell(self, done: int) -> None:
        self._next = time.monotonic() + PACE
        with self._connection.cursor() as cursor:
            cursor.execute(_WRITE, [done, max(done, self.end), self._id, self._status])
            if cursor.rowcount:
                return
            # It is locked, or no longer ours; one that cannot be seen is of our own transaction.
            cursor.execute("SELECT status FROM campaigns_contactimport WHERE id = %s", [self._id])
            row = cursor.fetchone()
        if row and row[0] != self._status:
            raise Stopped
