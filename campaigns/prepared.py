"""In: a statement that is run for every batch. Out: the same, planned once per connection.

Of the statements that a batch takes, PostgreSQL spends longer on planning than on carrying out most
of them. Django's own cursors put the values into the text, so nothing can be planned ahead.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper
from psycopg.abc import Buffer
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.types.datetime import TimestamptzLoader

#: In the RETURNING of a statement that is a transaction of its own: its commit waits for no disk.
#: What a later commit of the same session makes safe is safe with it; what is lost with a crash
#: before that must be harmless. Never inside a transaction, which would not wait either.
SOON = "set_config('synchronous_commit', 'off', true)"


def commit_soon() -> None:
    """The commit of the transaction at hand waits for no disk, see ``SOON``: for one whose loss
    with a crash only means that it is done again."""
    fetch_rows(f"SELECT {SOON}", [])


class _TimeLoader(TimestamptzLoader):
    """Times of a session in UTC, which all of Django's are; of a batch many are the same one. The
    driver's own way costs as much as all else that is done with a row."""

    _text, _time = b"", datetime.min.replace(tzinfo=UTC)

    def load(self, data: Buffer) -> datetime:
        text = bytes(data)
        if text != self._text:
            if text[-3:] == b"+00":
                self._time = datetime.fromisoformat(text.decode())
            else:
                self._time = super().load(data)
            self._text = text
        return self._time


class _Cursor(psycopg.Cursor[Any]):
    def __init__(self, session: psycopg.Connection[Any], *, binary: bool) -> None:
        super().__init__(session)
        self.format = psycopg.pq.Format(binary)
        self.adapters.register_loader("timestamptz", _TimeLoader)

    def execute(self, query: Any, params: Any = None, **_options: Any) -> Any:
        return super().execute(query, params, prepare=True)


def open_cursor(*, binary: bool = False) -> CursorWrapper:
    """As ``connection.cursor()``, of the same session and transaction; only its statements are
    prepared. Values have types here: what is ambiguous needs a cast. ``binary``: what comes back
    is not spelled out, which is for bytes and numbers, never for JSON."""
    database = connections[DEFAULT_DB_ALIAS]  # once: ``connection`` looks it up at each use
    database.ensure_connection()
    session = database.connection
    if session.prepare_threshold is None:  # Django's default; its own cursors never prepare
        session.prepare_threshold = 5
    return CursorWrapper(_Cursor(session, binary=binary), database)


def fetch_rows(statement: str, values: Sequence[Any]) -> list[Any]:
    """The rows of a prepared statement."""
    with open_cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def run(statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a short statement that is a transaction of its own; inside of another one it is
    part of that. Values are numbers, texts, flags, times, spans or None.

    Of a statement that takes the database a tenth of a millisecond, the driver's cursor takes
    twice as much again. So it is sent, and waited for, by the C library alone.
    """
    database: Any = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    session = database.connection
    idle = session.pgconn.transaction_status == TransactionStatus.IDLE
    if not idle or not session.autocommit or database.execute_wrappers:
        with open_cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []
    runner = getattr(session, "short_statements", None)
    if runner is None:
        runner = session.short_statements = Runner(session)
    with database.wrap_database_errors:
        found: list[tuple[Any, ...]] = runner.run(statement, values)
        return found


#: what was prepared is no more, or what it returns has changed its type since
_STALE = ("26000", "0A000")


class Runner:
    """The short statements of one session, outside of any transaction."""

    def __init__(self, session: psycopg.Connection[Any]) -> None:
        self._pg: Any = session.pgconn
        self._names: dict[str, bytes] = {}
        self._numbers = itertools.count()
        self._reader = Transformer(_Cursor(session, binary=False))

    def run(self, statement: str, values: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        """The rows. Raises the driver's errors."""
        names = _read_places(statement)[1]
        chosen = [values[name] for name in names] if isinstance(values, Mapping) else values
        raw = [_write_value(value) for value in chosen]
        name = self._names.get(statement) or self._prepare(statement)
        result = self._pg.exec_prepared(name, raw)
        if result.status == ExecStatus.FATAL_ERROR and _read_state(result) in _STALE:
            # The driver forgets all that was prepared after a rollback, and a table may have other
            # columns now. Nothing was carried out.
            self._names.clear()
            result = self._pg.exec_prepared(self._prepare(statement), raw)
        _check(result)
        if not result.ntuples:
            return []
        self._reader.set_pgresult(result)
        return self._reader.load_rows(0, result.ntuples, tuple)

    def _prepare(self, statement: str) -> bytes:
        name = b"short_%d" % next(self._numbers)
        _check(self._pg.prepare(name, _read_places(statement)[0].encode()))
        self._names[statement] = name
        return name


@functools.lru_cache(maxsize=256)
def _read_places(statement: str) -> tuple[str, tuple[str, ...]]:
    """The statement with the places of its values numbered, and their names, if they have any."""
    names: dict[str, int] = {}
    places = 0

    def number(found: re.Match[str]) -> str:
        nonlocal places
        name = found[1]
        if found[0] == "%%":
            return "%"
        if name is None:
            places += 1
            return f"${places}"
        return f"${names.setdefault(name, len(names) + 1)}"

    text = re.sub(r"%%|%s|%\((\w+)\)s", number, statement)
    return text, tuple(names)


def _write_value(value: Any) -> bytes | None:
    """As the server reads it where it knows the type."""
    if value is None:
        return None
    if isinstance(value, str):
        text = value.encode()
        if b"\x00" in text:
            raise psycopg.DataError("A text cannot contain NUL.")
        return text
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, int | float | datetime):
        return str(value).encode()
    if isinstance(value, timedelta):
        span = f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
        return span.encode()
    raise TypeError(f"No value of a short statement: {type(value).__name__}")


def _check(result: Any) -> None:
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        if not _read_state(result):  # the library's own: the session is gone
            raise psycopg.OperationalError("The connection to the database was lost.")
        raise psycopg.errors.error_from_result(result)


def _read_state(result: Any) -> str:
    state = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
    return state.decode() if state else ""


def write_array(values: Iterable[Any]) -> str:
    """The values as the text of an array, to be cast where it stands (``%s::bigint[]``). The
    driver's own way looks at each value several times, which is most of a large statement."""
    items = list(values)
    if not items:
        return "{}"
    if set(map(type, items)) == {int}:
        return f"{{{','.join(map(str, items))}}}"
    try:
        joined = '","'.join(items)
    except TypeError:  # not texts alone
        if _PLAIN.issuperset(map(type, items)):  # nothing in them has to be escaped
            return "{" + ",".join(map(str, items)).replace("None", "NULL") + "}"
        return "{" + ",".join(map(_write_item, items)) + "}"
    if "\\" in joined or joined.count('"') > 2 * (len(items) - 1):
        joined = '","'.join([_escape(item) for item in items])
    return f'{{"{joined}"}}'


#: what no JSON has in it as it stands
SEPARATOR = "\x1e"


def join_json(values: Iterable[str]) -> str:
    """Values that are JSON already, for ``string_to_array(%s, E'\\x1e')::jsonb[]``: full of quotes,
    each of which an array would need a backslash for. There must be one at least."""
    return SEPARATOR.join(values)


_PLAIN = frozenset({int, bool, datetime, type(None)})


def _write_item(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else f'"{_escape(str(value))}"'


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
