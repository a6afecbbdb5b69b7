"""In: a key. Out: the right to do something alone, over all processes, as long as it is held.

An advisory lock of the database session: it holds over an HTTP exchange without keeping a
transaction open, and ends with its process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from django.db import DatabaseError, Error, OperationalError, connection, transaction

from campaigns.prepared import run

#: whoever holds a lock alone says so much to the database meanwhile; an export sorts for minutes
IDLE_SECONDS = 600.0
_LIMIT = """
    SELECT current_setting('idle_session_timeout'),
        set_config('idle_session_timeout', %s, false)
"""
_LET_GO = "SELECT pg_advisory_unlock(%s, %s), set_config('idle_session_timeout', %s, false)"


@contextlib.contextmanager
def only_one(
    kind: int, number: int, *, wait: bool = False, idle: float = IDLE_SECONDS
) -> Iterator[bool]:
    """Whether this process has it; with ``wait`` it comes when the others are done. ``kind`` keeps
    the keys of different purposes apart.

    Who has it and says nothing to the database for ``idle`` seconds stands still: the database ends
    its session, another gets the lock, and the next statement of the first one fails.
    """
    key = [kind, number % 2**31]
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", key)
            mine = True
        else:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
            mine = bool(cursor.fetchone()[0])
        if mine:
            cursor.execute(_LIMIT, [f"{round(idle * 1000)}ms"])
            usual = cursor.fetchone()[0]
    try:
        yield mine
    finally:
        if mine:
            with contextlib.suppress(Error), connection.cursor() as cursor:
                cursor.execute(_LET_GO, [*key, usual])


def share(kind: int, number: int) -> Callable[[], None]:
    """Hold it together with whoever else shares it, until what is returned is called."""
    key = [kind, number % 2**31]
    run("SELECT pg_advisory_lock_shared(%s::integer, %s::integer)", key)

    def let_go() -> None:
        with contextlib.suppress(DatabaseError):
            run("SELECT pg_advisory_unlock_shared(%s::integer, %s::integer)", key)

    return let_go


def wait_for_sharers(kind: int, number: int, *, seconds: float) -> bool:
    """Wait until nobody shares it; nobody does again before the caller's transaction is over.
    False when somebody held it all that time: the process may have been stopped in the middle."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            usual = cursor.fetchone()[0]
            set_it = "SELECT set_config('lock_timeout', %s, true)"
            cursor.execute(set_it, [f"{int(seconds * 1000)}ms"])
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [kind, number % 2**31])
            cursor.execute(set_it, [usual])
    except OperationalError:
        return False
    return True


def hold_until_commit(kind: int, number: int) -> None:
    """Wait for it, and have it alone to the end of the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [kind, number % 2**31])
