"""In: a table with a column of relation ids. Out: variables of people who may call in, all of the
file's good rows or none, and a row that tells what came of it.

The other columns are the variables, under the names of the header; an empty cell leaves its
variable to the defaults. The same file again changes nothing; another one with the same ids brings
theirs up to date.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import IO, Any

from django.db import connection, transaction
from django.utils.translation import gettext_noop as N_

from campaigns.importing.cells import clean_cell, read_cell
from campaigns.importing.checking import TOO_MANY, UNREADABLE, ZERO_CHARACTER
from campaigns.importing.errors import ImportRefused, Problem
from campaigns.importing.files import inspect_file
from campaigns.importing.mapping import find_plan, make_key
from campaigns.importing.reading import Plan, Record, read_table
from campaigns.importing.receiving import clean_name
from campaigns.importing.workbooks import CellProblem
from campaigns.models import Account, ContextImport, InboundContext, Robot

#: what the column of the relation ids is called, as ``make_key`` leaves the names, the surest first
ID_KEYS = (
    *("call_relation_id", "relation_id", "callrelationid", "relationid", "relation"),
    *("呼入关联id", "业务侧关联id", "关联id", "关联编号", "id", "编号"),
)
NO_ID = N_(
    "The header in line %(line)s has no column of relation ids. It has: %(found)s. Call the column "
    "“call_relation_id” or “关联id”, or say which one it is."
)
NO_HEADER = N_("The file needs a header: a line with the names of the columns above the rows.")
NO_VARIABLES = N_("The file has no column beside that of the relation ids.")
DOUBLED = N_("The header has the name %(name)s twice.")
NO_ROWS = N_("The file has no row with a relation id.")
TOO_MANY_ROWS = N_("The file has more than %(most)s rows: divide it.")
EMPTY_ID = Problem("no_id", N_("The row has no relation id."))
LONG_ID = Problem("long_id", N_("The relation id is longer than 200 characters."))
SAME_ID = Problem("same_id", N_("The relation id stands in a row above already."))
LONG_CELL = Problem("cell_too_long", N_("The cell is longer than 2,000 characters."))
ROUNDED_ID = Problem(
    "rounded_id",
    N_(
        "A spreadsheet turned the relation id into a rounded number: format the column as text "
        "and enter the ids again."
    ),
)

MOST_ROWS = 200_000
MOST_COLUMNS = 200
MOST_TEXT = 2_000
PORTION = 5_000
#: rejected rows kept with what was in them
KEPT, KEPT_VALUE = 1_000, 200

_STORE = """
    INSERT INTO campaigns_inboundcontext AS c
        (account_id, robot_id, relation_id, "values", expires_at, source_id, created_at, updated_at)
    SELECT %(account)s, %(robot)s, r.id, r.variables::jsonb, %(expires)s, %(source)s, now(), now()
    FROM unnest(%(ids)s::text[], %(variables)s::text[]) AS r (id, variables) ORDER BY r.id
    ON CONFLICT {target} DO UPDATE
    SET "values" = EXCLUDED."values", expires_at = EXCLUDED.expires_at,
        source_id = EXCLUDED.source_id, updated_at = now()
    WHERE c."values" IS DISTINCT FROM EXCLUDED."values"
        OR c.expires_at IS DISTINCT FROM EXCLUDED.expires_at
    RETURNING xmax = 0
"""
#: Who is entered again as before is not forgotten for being old (``retention``). Once a day, so
#: that the same file again writes nothing.
_KEEP = """
    UPDATE campaigns_inboundcontext SET updated_at = now()
    WHERE account_id = %(account)s AND robot_id IS NOT DISTINCT FROM %(robot)s::bigint
        AND relation_id = ANY(%(ids)s::text[]) AND updated_at < now() - interval '1 day'
"""
_ONE_ROBOT = "(account_id, relation_id, robot_id) WHERE robot_id IS NOT NULL"
_ALL_ROBOTS = "(account_id, relation_id) WHERE robot_id IS NULL"


@dataclass(frozen=True)
class Columns:
    """Where the relation id stands, and the variables by their place."""

    id: int
    id_name: str
    variables: dict[int, str]
    width: int


class _RowRefused(Exception):
    def __init__(self, problem: Problem, place: int | None = None) -> None:
        super().__init__(problem.code)
        self.problem, self.place = problem, place


def import_contexts(
    file: IO[bytes] | bytes,
    *,
    account: Account,
    robot: Robot | None = None,
    file_name: str,
    id_column: str = "",
    expires_at: datetime | None = None,
    by: Any = None,
) -> ContextImport:
    """Read the file and store its variables, in one transaction. ``id_column``: the header of the
    relation ids where it is not known by its name. Raises ``ImportRefused``; nothing is stored
    then."""
    handle: Any = io.BytesIO(file) if isinstance(file, bytes | bytearray | memoryview) else file
    plan, columns = find_columns(handle, id_column=id_column)
    row = ContextImport(
        account=account,
        robot=robot,
        file_name=clean_name(file_name),
        sha256=_hash(handle),
        id_column=columns.id_name[:200],
        columns=list(columns.variables.values()),
        expires_at=expires_at,
        created_by=by if getattr(by, "pk", None) else None,
    )
    with transaction.atomic():
        row.save()
        entries = _read(handle, plan, columns, row)
        seen: set[str] = set()
        while portion := list(islice(entries, PORTION)):
            _store(row, portion)
            seen.update(one[0] for one in portion)
        if not seen and not row.rejected:
            raise ImportRefused(NO_ROWS)
        row.save()
    return row


def find_columns(handle: IO[bytes], *, id_column: str = "") -> tuple[Plan, Columns]:
    """How the file is read, and what its columns are. Raises ``ImportRefused``."""
    wanted = [id_column] if id_column else list(ID_KEYS)
    plan, header = find_plan(handle, inspect_file(handle), columns=wanted)
    if plan.header_line is None:
        raise ImportRefused(NO_HEADER)
    names = [read_cell(cell)[:200] for cell in header[:MOST_COLUMNS]]
    keys = [make_key(name) for name in names]
    known = [make_key(id_column)] if id_column else list(ID_KEYS)
    place = next((keys.index(key) for key in known if key in keys), None)
    if place is None:
        raise ImportRefused(NO_ID, line=plan.header_line, found=_list(names))
    variables: dict[int, str] = {}
    for number, name in enumerate(names):
        if number == place or not name:
            continue
        if "\0" in name or "\ufffd" in name:
            raise ImportRefused(UNREADABLE.reason)
        if name in variables.values():
            raise ImportRefused(DOUBLED, name=name[:40])
        variables[number] = name
    if not variables:
        raise ImportRefused(NO_VARIABLES)
    return plan, Columns(place, names[place], variables, len(header))


def _list(names: list[str]) -> str:
    cleaned = ["".join(filter(str.isprintable, name))[:40] for name in names]
    return ", ".join(f"“{name}”" for name in [one for one in cleaned if one][:20]) or "–"


def _read(
    handle: IO[bytes], plan: Plan, columns: Columns, row: ContextImport
) -> Iterator[tuple[str, dict[str, str]]]:
    """The good rows; the others are counted in ``row``."""
    seen: set[str] = set()
    with closing(read_table(handle, plan)) as records:
        for record in records:
            line, cells, _problem = record
            if line <= (plan.header_line or 0) or not any(map(clean_cell, cells)):
                continue
            try:
                relation_id, values = _read_row(record, columns)
                if relation_id in seen:
                    raise _RowRefused(SAME_ID, columns.id)
            except _RowRefused as refused:
                _reject(row, line, cells, columns, refused)
                continue
            seen.add(relation_id)
            if len(seen) > MOST_ROWS:
                raise ImportRefused(TOO_MANY_ROWS, most=f"{MOST_ROWS:,}")
            yield relation_id, values


def _read_row(record: Record, columns: Columns) -> tuple[str, dict[str, str]]:
    _line, cells, problem = record
    if problem is not None:
        if not isinstance(problem, CellProblem):
            raise _RowRefused(problem)
        for place, found in problem.places.items():
            if place == columns.id or place in columns.variables:
                raise _RowRefused(found, place)
    if any(map(clean_cell, cells[columns.width :])):
        raise _RowRefused(TOO_MANY)
    relation_id = _take(cells, columns.id)
    if not relation_id:
        raise _RowRefused(EMPTY_ID, columns.id)
    if len(relation_id) > 200:
        raise _RowRefused(LONG_ID, columns.id)
    if _is_rounded(relation_id):
        raise _RowRefused(ROUNDED_ID, columns.id)
    told = {name: _take(cells, place) for place, name in columns.variables.items()}
    return relation_id, {name: text for name, text in told.items() if text}


def _is_rounded(text: str) -> bool:
    """1.99E+10, and 123.0: the id is another, or its last digits are lost."""
    mantissa, exponent, rest = text.upper().partition("E+")
    if exponent:
        return rest.isdecimal() and mantissa.replace(".", "", 1).isdecimal()
    whole, point, zeros = text.partition(".")
    return bool(point) and whole.isdecimal() and len(whole) > 3 and zeros.strip("0") == ""


def _take(cells: list[str], place: int) -> str:
    if place >= len(cells):
        return ""
    text = read_cell(cells[place])
    if "\0" in text:
        raise _RowRefused(ZERO_CHARACTER, place)
    if "\ufffd" in text:
        raise _RowRefused(UNREADABLE, place)
    if len(text) > MOST_TEXT:
        raise _RowRefused(LONG_CELL, place)
    return text


def _reject(
    row: ContextImport, line: int, cells: list[str], columns: Columns, refused: _RowRefused
) -> None:
    row.rejected += 1
    if len(row.rejected_rows) >= KEPT:
        return
    place = refused.place
    names = {columns.id: columns.id_name, **columns.variables}
    value = cells[place] if place is not None and place < len(cells) else ""
    row.rejected_rows.append(
        {
            "line": line,
            "column": names.get(place, "") if place is not None else "",
            "reason": refused.problem.reason,
            "value": "".join(filter(str.isprintable, value))[:KEPT_VALUE],
        }
    )


def _store(row: ContextImport, portion: list[tuple[str, dict[str, str]]]) -> None:
    target = _ALL_ROBOTS if row.robot_id is None else _ONE_ROBOT
    values = {
        "account": row.account_id,
        "robot": row.robot_id,
        "expires": row.expires_at,
        "source": row.pk,
        "ids": [relation_id for relation_id, _values in portion],
        "variables": [json.dumps(told, ensure_ascii=False) for _id, told in portion],
    }
    with connection.cursor() as cursor:
        cursor.execute(_STORE.format(target=target), values)
        changed = [bool(one[0]) for one in cursor.fetchall()]
        cursor.execute(_KEEP, values)
    row.added += sum(changed)
    row.updated += len(changed) - sum(changed)
    row.unchanged += len(portion) - len(changed)


def _hash(handle: Any) -> str:
    digest = hashlib.sha256()
    handle.seek(0)
    while piece := handle.read(1 << 18):
        digest.update(piece)
    return digest.hexdigest()


def count_contexts(row: ContextImport) -> int:
    """Of how many callers the file's variables are those that count now."""
    return InboundContext.objects.filter(source=row).count()
