"""In: a key. Out: the right to do something alone, over all processes, as long as it is held.

An advisory lock of the database session: it holds over an HTTP exchange without keeping a
transaction open, and ends with its process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import DatabaseError, connection


@contextlib.contextmanager
def only_one(kind: int, number: int, *, wait: bool = False) -> Iterator[bool]:
    """Whether this process has it; with ``wait`` it comes when the others are done. ``kind`` keeps
    the keys of different purposes apart."""
    key = [kind, number % 2**31]
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", key)
            mine = True
        else:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
            mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)
