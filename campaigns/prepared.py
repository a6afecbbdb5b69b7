"""In: a statement that is run for every batch. Out: the same, planned once per connection.

Of the statements that a batch takes, PostgreSQL spends longer on planning than on carrying out most
of them. Django's own cursors put the values into the text, so nothing can be planned ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzLoader

#: In the RETURNING of a statement that is a transaction of its own: its commit waits for no disk.
#: What a later commit of the same session makes safe is safe with it; what is lost with a crash
#: before that must be harmless. Never inside a transaction, which would not wait either.
SOON = "set_config('synchronous_commit', 'off', true)"


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
    def __init__(self, session: psycopg.Connection[Any]) -> None:
        super().__init__(session)
        self.adapters.register_loader("timestamptz", _TimeLoader)

    def execute(self, query: Any, params: Any = None, **_options: Any) -> Any:
        return super().execute(query, params, prepare=True)


def open_cursor() -> CursorWrapper:
    """As ``connection.cursor()``, of the same session and transaction; only its statements are
    prepared. Values have types here: what is ambiguous needs a cast."""
    database = connections[DEFAULT_DB_ALIAS]  # once: ``connection`` looks it up at each use
    database.ensure_connection()
    session = database.connection
    if session.prepare_threshold is None:  # Django's default; its own cursors never prepare
        session.prepare_threshold = 5
    return CursorWrapper(_Cursor(session), database)


def fetch_rows(statement: str, values: Sequence[Any]) -> list[Any]:
    """The rows of a prepared statement."""
    with open_cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


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


_PLAIN = frozenset({int, bool, datetime, type(None)})


def _write_item(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else f'"{_escape(str(value))}"'


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
