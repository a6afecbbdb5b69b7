"""In: how far a job is. Out: the same on its re-dial's row, seen while its transaction is open.

Written over a connection of its own, which never waits for a lock; the same look tells whether
somebody gave the re-dial up meanwhile.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from django.db import connection

from campaigns.models import Redial

#: seconds between two signs of life
PACE = 1.0
_WRITE = """
    UPDATE campaigns_redial SET progress = %s, progress_end = %s, progress_at = now()
    WHERE id = (
        SELECT id FROM campaigns_redial WHERE id = %s AND status = %s FOR NO KEY UPDATE SKIP LOCKED
    )
"""


class Stopped(Exception):
    """The re-dial is no longer what this job works on; all it did is taken back."""


class Progress:
    """The job's voice while it works on a re-dial."""

    def __init__(self, redial: Redial) -> None:
        self._id, self._status = redial.pk, redial.status
        self._connection = connection.copy()
        self._next = 0.0
        self.end = 0

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
        """``done`` people of ``end``; cheap when called often. Raises ``Stopped``."""
        if time.monotonic() >= self._next:
            self._tell(done)

    def _tell(self, done: int) -> None:
        self._next = time.monotonic() + PACE
        with self._connection.cursor() as cursor:
            cursor.execute(_WRITE, [done, max(done, self.end), self._id, self._status])
            if cursor.rowcount:
                return
            cursor.execute("SELECT status FROM campaigns_redial WHERE id = %s", [self._id])
            row = cursor.fetchone()
        if row and row[0] != self._status:
            raise Stopped
