"""In: a prepared statement's values and a point in time. Out: its row, or ``DatabaseAway`` by then.

The door's own sessions with the database. A statement is written to the socket and its answer
waited for in the thread of the push, never longer than is allowed, whatever the database, the
network or a lock does. Only opening a session has a thread of its own: no part of that (looking up
a name, waiting for a server that says nothing) can be given up in the middle.
"""

from __future__ import annotations

import contextlib
import re
import select
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any
from weakref import WeakSet

import psycopg
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections
from psycopg.pq import ExecStatus, Format, TransactionStatus

#: PostgreSQL's own limit for one statement, a little before the door's
STATEMENT_MILLISECONDS = 1100
OPENERS = 32
#: opened at a time: of many pushes that come to a server that has just started, most are stored
#: on the first sessions that are there, while the opening of many would hold them all up
MOST_OPENING = 3

#: seconds that a session is used at least: to open one takes longer than to store many pushes
LEAST_AGE = 5.0

_DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)

#: the row of an answer: texts, None for NULL
Row = list[str | None]
#: a text or a bytea; both are sent as they are
Value = str | bytes


class DatabaseAway(Exception):
    """The database did not carry it out, or did not say so in time."""


class LateAnswer(DatabaseAway):
    """It was sent, and may be carried out yet."""


class _Session:
    """One connection, all statements prepared, on which nothing waits without an end."""

    def __init__(self, statements: Mapping[str, str]) -> None:
        wrapper: Any = connections.create_connection(DEFAULT_DB_ALIAS)
        wrapper.inc_thread_sharing()  # opened in one thread, used by others, by one at a time
        self._wrapper = wrapper
        try:
            wrapper.connect()
            raw: psycopg.Connection[Any] = wrapper.connection
            # The acknowledgement is a promise: on disk, whatever the server's default is.
            orders = ["SET synchronous_commit TO on"]
            orders += [f"SET statement_timeout TO {STATEMENT_MILLISECONDS}"]
            orders += [f"PREPARE {name} AS {text}" for name, text in statements.items()]
            raw.execute("; ".join(orders).encode())
        except BaseException:
            self.close()
            raise
        self._pg: Any = raw.pgconn
        self._poll = select.poll()
        self._waiting_for = 0
        age = wrapper.settings_dict["CONN_MAX_AGE"]
        self._ends = None if age is None else time.monotonic() + max(age, LEAST_AGE)
        self.opened_at = time.monotonic()
        self.is_fresh = True

    @property
    def is_reusable(self) -> bool:
        return self._pg.transaction_status == TransactionStatus.IDLE and (
            self._ends is None or time.monotonic() < self._ends
        )

    def run(self, name: bytes, values: Sequence[Value], ends: float) -> Row | None:
        """The first row. Raises ``psycopg.Error``, ``LateAnswer``."""
        raw = [value.encode() if isinstance(value, str) else value for value in values]
        self._pg.send_query_prepared(name, raw, [Format.BINARY] * len(raw), Format.TEXT)
        return self.receive(ends)

    def receive(self, ends: float) -> Row | None:
        """The first row of what was sent. Raises ``psycopg.Error``, ``LateAnswer``."""
        self.is_fresh = False
        result = self._wait(ends)
        if result is None or result.status not in _DONE:
            self._drain(ends)
            raise psycopg.errors.lookup(_read_state(result))()
        # The row is written before the commit, which may fail yet: that is an answer of its own.
        failure = self._drain(ends)
        if failure is not None:
            raise psycopg.errors.lookup(_read_state(failure))()
        if not result.ntuples:
            return None
        cells = [result.get_value(0, column) for column in range(result.nfields)]
        return [None if cell is None else cell.decode() for cell in cells]

    def _drain(self, ends: float) -> Any:
        """Wait until the server is ready for the next statement; the first failure on the way."""
        failure = None
        while (result := self._wait(ends)) is not None:
            if failure is None and result.status not in _DONE:
                failure = result
        return failure

    def _wait(self, ends: float) -> Any:
        """The next result, None when that was all of them."""
        pg = self._pg
        unsent = pg.flush()
        while True:
            if not unsent and not pg.is_busy():
                return pg.get_result()
            wanted = select.POLLIN | (select.POLLOUT if unsent else 0)
            if wanted != self._waiting_for:
                self._poll.register(pg.socket, wanted)
                self._waiting_for = wanted
            left = ends - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise LateAnswer("TimeoutError")
            pg.consume_input()
            unsent = pg.flush() if unsent else 0

    def close(self) -> None:
        with contextlib.suppress(Error, psycopg.Error):
            self._wrapper.close()


def _read_state(result: Any) -> str:
    """The SQLSTATE: the class of the error and none of its words, which may repeat what came."""
    state = result and result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
    return state.decode() if state else "08006"


class Sessions:
    """Statements by name, and the sessions on which they run. Safe to use from many threads."""

    def __init__(self, **statements: str) -> None:
        self._statements = statements
        self._plain = {name: re.sub(r"\$\d+", "%s", text) for name, text in statements.items()}
        self._openers = ThreadPoolExecutor(OPENERS, thread_name_prefix="door-open")
        self._under_way: WeakSet[Future[Any]] = WeakSet()
        #: guards all that follows, and tells who waits that a session came home or none will come
        self._changed = threading.Condition()
        self._idle: list[_Session] = []
        self._in_use = self._opening = self._waiting = self._failures = 0
        self._failure: BaseException = TimeoutError()

    def run(self, name: str, values: Sequence[Value], *, ends: float) -> Row | None:
        """Run one statement in its own transaction; its first row.

        ``ends`` is a point of ``time.monotonic``. A session that died since its last use is
        replaced. Raises ``DatabaseAway``; ``LateAnswer`` when it may be carried out yet.
        """
        if connection.in_atomic_block:  # whose transaction is around us must see and hold the row
            return self._run_inside(name, values)
        began = time.monotonic()
        try:
            while True:
                session = self._take(ends)
                try:
                    return self._run_on(session, name, values, ends)
                except psycopg.OperationalError as error:
                    # It was closed while nobody looked, and so were the others: nothing was done.
                    # (Even if it was: the same push again is counted, not stored again.)
                    if session.opened_at >= began or not _is_lost(error):
                        raise
                    self.close()
        except (Error, psycopg.Error, TimeoutError, OSError) as error:
            raise DatabaseAway(type(error).__name__) from None

    def _run_inside(self, name: str, values: Sequence[Value]) -> Row | None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(self._plain[name], values)
                row = cursor.fetchone()
        except Error as error:
            raise DatabaseAway(type(error).__name__) from None
        return None if row is None else [None if cell is None else str(cell) for cell in row]

    def _run_on(
        self, session: _Session, name: str, values: Sequence[Value], ends: float
    ) -> Row | None:
        try:
            row = session.run(name.encode(), values, ends)
        except LateAnswer:
            self._submit(self._bring_home, session)
            raise
        except BaseException:
            self._give_back(session, is_good=False)
            raise
        self._give_back(session)
        return row

    def _bring_home(self, session: _Session) -> None:
        """A late answer is waited for outside of the push; the session is as good as before."""
        is_good = True
        try:
            session.receive(time.monotonic() + 2 * STATEMENT_MILLISECONDS / 1000)
        except (DatabaseAway, psycopg.Error, OSError):
            is_good = False
        finally:
            self._give_back(session, is_good=is_good)

    # ---------------------------------------------------------------- who has which session

    def _take(self, ends: float) -> _Session:
        """One that is idle, else the first that is opened or comes home.

        Raises what opening one raised when none is in use, and TimeoutError.
        """
        with self._changed:
            failures = self._failures
            self._waiting += 1
            try:
                while (session := self._find_idle()) is None:
                    if self._failures == failures:
                        self._open_more()
                    elif not self._in_use and not self._opening:
                        raise self._failure
                    if not self._changed.wait(max(0.0, ends - time.monotonic())):
                        raise TimeoutError
                self._in_use += 1
                return session
            finally:
                self._waiting -= 1

    def _find_idle(self) -> _Session | None:
        while self._idle:
            session = self._idle.pop()
            if session.is_fresh or session.is_reusable:
                return session
            session.close()
        return None

    def _open_more(self) -> None:
        """Begin to open one more if there are more who wait. With the lock held."""
        if self._opening < min(self._waiting - len(self._idle), MOST_OPENING):
            self._opening += 1
            self._submit(self._open)

    def _open(self) -> None:
        try:
            session = _Session(self._statements)
        except BaseException as error:
            with self._changed:
                self._opening -= 1
                self._failures, self._failure = self._failures + 1, error
                self._changed.notify_all()
        else:
            with self._changed:
                self._opening -= 1
                self._idle.append(session)
                self._open_more()
                self._changed.notify()

    def _give_back(self, session: _Session, *, is_good: bool = True) -> None:
        keep = is_good and session.is_reusable
        if not keep:
            session.close()
        with self._changed:
            self._in_use -= 1
            if keep:
                self._idle.append(session)
            self._changed.notify()

    def _submit(self, work: Callable[..., None], *arguments: Any) -> None:
        future = self._openers.submit(work, *arguments)
        with self._changed:
            self._under_way.add(future)

    def settle(self) -> None:
        """Wait until nothing is under way in a thread of ours, and close what is too old."""
        with self._changed:
            under_way = list(self._under_way)
        wait(under_way)
        with self._changed:
            idle, self._idle = self._idle, []
            self._idle = [session for session in idle if session.is_reusable]
            old = [session for session in idle if session not in self._idle]
        for session in old:
            session.close()

    def close(self) -> None:
        """Close what nobody uses."""
        with self._changed:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()


def _is_lost(error: psycopg.OperationalError) -> bool:
    """Whether the session is gone, by class 08 (connection) or 57P (shut down, terminated)."""
    state = error.sqlstate or "08006"
    return state.startswith(("08", "57P"))
