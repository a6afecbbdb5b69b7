"""In: small JSON documents by kind and key. Out: the same documents after a restart.

Without a folder nothing is kept. Documents survive the death of the process (`kill -9`), which is
what a supervisor's restart needs; they need not survive the death of the machine.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class Store:
    """A document store in one SQLite file, safe to use from any thread.

    All sides share it: a side calls its kinds `<side>.<kind>` (yeta's have the plain names).
    """

    def __init__(self, folder: Path | None) -> None:
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "sandbox.sqlite3"
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS document (number INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
            " key TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (kind, key))"
        )

    @property
    def keeps(self) -> bool:
        return self._database is not None

    def put(self, kind: str, key: str, body: Mapping[str, Any]) -> None:
        self.put_all([(kind, key, body)])

    def put_all(self, documents: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Put all of these documents (kind, key, body) or, if the process dies, none."""
        if self._database is None:
            return
        rows = [(kind, key, json.dumps(body)) for kind, key, body in documents]
        with self._lock:
            if self._database is None:
                return
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT INTO document (kind, key, body) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                rows,
            )
            self._database.execute("COMMIT")

    def remove(self, kind: str, key: str) -> None:
        self._execute("DELETE FROM document WHERE kind = ? AND key = ?", (kind, key))

    def clear(self, *kinds: str) -> None:
        """Forget all documents of these kinds."""
        for kind in kinds:
            self._execute("DELETE FROM document WHERE kind = ?", (kind,))

    def load(self, kind: str, *, last: int | None = None) -> list[dict[str, Any]]:
        """All documents of a kind in the order of their first writing; the `last` ones only."""
        limit = -1 if last is None else last
        rows = self._execute(
            "SELECT body FROM document WHERE kind = ? ORDER BY number DESC LIMIT ?", (kind, limit)
        )
        return [json.loads(body) for (body,) in reversed(rows)]

    def trim(self, kind: str, *, keep: int) -> None:
        """Forget the oldest documents of a kind beyond `keep`."""
        self._execute(
            "DELETE FROM document WHERE kind = ? AND number NOT IN"
            " (SELECT number FROM document WHERE kind = ? ORDER BY number DESC LIMIT ?)",
            (kind, kind, keep),
        )

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _execute(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._database is None:
                return []
            return self._database.execute(statement, values).fetchall()
