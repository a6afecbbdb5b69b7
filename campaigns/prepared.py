"""In: a statement that is run for every batch. Out: the same, planned once per connection.

Of the statements that a batch takes, PostgreSQL spends longer on planning than on carrying out most
of them. Django's own cursors put the values into the text, so nothing can be planned ahead.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper


class _Cursor(psycopg.Cursor[Any]):
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
