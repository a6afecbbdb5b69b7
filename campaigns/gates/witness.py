"""In: the database that we are connected to. Out: which one it is, and whether it went back.

Two things tell a restored database. Its *fingerprint*: the server's cluster, its time line (another
one after a promotion and after a recovery to a moment), the database and the table of attempts in
it (others after a dump was read back); a copy carries the fingerprint of the original in its one
row of ``Installation``. And a *witness* outside: a small file of each machine with the highest ids
that it saw committed; a database that has not given these ids out yet is an older one, even where
its fingerprint is the same, as it is when a folder was copied back.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction

logger = logging.getLogger(__name__)

#: tables that only grow, and are written to whenever somebody is called
TABLES = ("campaigns_attempt", "campaigns_batch", "callbacks_receipt")
#: what stands in a fingerprint for a part that a managed server does not tell
UNTOLD = "?"

# The time line is read from the log's position: the control file names the new one only after the
# first checkpoint that follows a promotion.
_PARTS = (
    "SELECT system_identifier FROM pg_control_system()",
    "SELECT CASE WHEN pg_is_in_recovery() THEN NULL"
    " ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END",
    "SELECT oid FROM pg_database WHERE datname = current_database()",
    "SELECT 'campaigns_attempt'::regclass::oid",
)


def read_fingerprint() -> str:
    """The parts that tell this database from another one, or from a copy of itself."""
    return "/".join(_read_part(query) for query in _PARTS)


def _read_part(query: str) -> str:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(query)
            value = cursor.fetchone()[0]
    except DatabaseError:  # a managed server may forbid it
        return UNTOLD
    return UNTOLD if value is None else str(value)


def is_same(one: str, other: str) -> bool:
    """Whether two fingerprints are of one database. A part that either does not tell is passed."""
    pairs = list(zip(one.split("/"), other.split("/"), strict=False))
    return all(left == right or UNTOLD in (left, right) for left, right in pairs)


@dataclass(frozen=True, slots=True)
class Witness:
    """What a machine saw: of which database, after which release, and up to which ids."""

    fingerprint: str
    #: ISO time in UTC of the last release of a hold; "" for none
    released_at: str = ""
    ids: dict[str, int] = field(default_factory=dict)


def read_ids() -> dict[str, int]:
    """The highest committed id of each table."""
    return _read_each("SELECT max(id) FROM {}")


def read_given() -> dict[str, int]:
    """The highest id that each table has given out; deleting rows does not lower it."""
    return _read_each("SELECT pg_sequence_last_value(pg_get_serial_sequence('{}', 'id')::regclass)")


def _read_each(query: str) -> dict[str, int]:
    parts = [f"({query.format(table)})" for table in TABLES]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}")
        row = cursor.fetchone()
    return {table: int(value or 0) for table, value in zip(TABLES, row, strict=True)}


def find_lost(
    witness: Witness | None, *, fingerprint: str, released_at: str, given: dict[str, int]
) -> dict[str, Any] | None:
    """What the witness saw and this database does not know of; None when nothing is missing.

    A witness of another database, or from before a release, says nothing about this one.
    """
    if witness is None or not is_same(witness.fingerprint, fingerprint):
        return None
    if witness.released_at != released_at:
        late = witness.released_at > released_at
        return (
            {"what": "release", "seen": witness.released_at, "now": released_at} if late else None
        )
    for table, seen in witness.ids.items():
        if table in given and given[table] < seen:
            return {"what": table, "seen": seen, "now": given[table]}
    return None


def read_witness() -> Witness | None:
    """What this machine saw last; None when it saw nothing, or the file cannot be read."""
    try:
        told = json.loads(Path(settings.WITNESS_FILE).read_text())
        ids = {str(table): int(seen) for table, seen in told["ids"].items()}
        return Witness(str(told["fingerprint"]), str(told["released_at"]), ids)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        logger.warning("The witness file cannot be read; a new one is written.")
        return None


def write_witness(witness: Witness) -> None:
    """Replace the file in one step. Where nothing can be written the fingerprint alone guards."""
    path = Path(settings.WITNESS_FILE)
    told = {
        "fingerprint": witness.fingerprint,
        "released_at": witness.released_at,
        "ids": witness.ids,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".witness-")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(told, file)
            Path(name).replace(path)
        except OSError:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        logger.warning("The witness file cannot be written (%s).", type(error).__name__)
