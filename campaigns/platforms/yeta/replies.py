"""In: a whole reply of yeta. Out: what it says, in our words, or the error that it means.

Strict where a mistake would call people twice (codes, totals, ids), lenient where it would only
leave a column empty (counters). JSON inside strings (``time_range``) becomes what it means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from campaigns.platforms.bodies import inner_json, read_body
from campaigns.platforms.contract import FailedPushFiles
from campaigns.platforms.errors import (
    Consequence,
    ErrorCode,
    Rejected,
    Throttled,
    Uncertain,
    Unrecognised,
)
from campaigns.platforms.events import TaskChanged
from campaigns.platforms.http import Reply
from campaigns.platforms.values import (
    Fields,
    Problem,
    clean,
    read_id,
    read_integer,
    read_relative_path,
)
from campaigns.platforms.yeta.vocabulary import TASK_TYPES, get_task_state

UNUSABLE = "The platform's answer is not the documented one"
DEFAULT_TOKEN_SECONDS = 60  # when the platform does not say: short, rather than refused

# ------------------------------------------------------------------------------- success or refusal


def read_result(
    reply: Reply,
    *,
    errors: Mapping[str, ErrorCode],
    redact: Callable[[str], str],
    mend: Callable[[bytes], bytes] | None = None,
) -> dict[str, Any]:
    """``result`` of a successful reply.

    Raises ``Rejected`` or ``Throttled`` for a code of the appendix, ``Uncertain`` for anything
    else. ``mend`` is tried on a body that is not JSON.
    """
    try:
        body = read_body(reply.body)
    except Unrecognised as error:
        try:
            if mend is None or error.reason != "not_json":
                raise
            body = read_body(mend(reply.body))
        except Unrecognised:
            raise Uncertain(f"{UNUSABLE}: {error.reason}, HTTP {reply.status}.") from None
    code, result = body.value.get("code"), body.value.get("result")
    if type(code) is not int or body.problems.keys() & {"code", "result"}:  # True is no 1
        raise Uncertain(f"{UNUSABLE}: no integer code, HTTP {reply.status}.")
    if code == 0:
        if reply.status != 200 or not isinstance(result, dict):
            raise Uncertain(f"{UNUSABLE}: code 0 without a result, HTTP {reply.status}.")
        if body.problems:
            raise Uncertain(f"{UNUSABLE}: a name is given twice.")
        return result
    known = errors.get(str(code))
    if known is None:
        said = body.value.get("message")
        words = redact(str(clean(said)))[:200] if isinstance(said, str) else ""
        raise Uncertain(f"The platform answered with an undocumented code: {code} {words}".strip())
    if known.consequence is Consequence.RETRY:
        raise Throttled(f"{known.code} {known.text}", code=known)
    raise Rejected(known)


def read_token(result: dict[str, Any]) -> tuple[str, float]:
    """The token, and its life in seconds."""
    token = result.get("token")
    if not isinstance(token, str) or not re.fullmatch(r"[\w.~+/=-]{1,500}", token, re.ASCII):
        raise Uncertain(f"{UNUSABLE}: no token.")
    try:
        seconds = read_integer(result.get("time_expire"), high=2**62)
    except Problem:
        seconds = None
    return token, float(DEFAULT_TOKEN_SECONDS if seconds is None else min(seconds, 86_400))


def read_task_id(result: dict[str, Any]) -> str:
    """``task_id`` of task/create."""
    found = _read_own_id(result.get("task_id"))
    if found is None:
        raise Uncertain(f"{UNUSABLE}: no task_id.")
    return found


def read_contact_ids(result: dict[str, Any], *, count: int) -> tuple[str, ...]:
    """``task_data_ids`` of insert and callout: one for each row, all different."""
    total, ids = result.get("total"), result.get("task_data_ids")
    if type(total) is not int or total != count:
        raise Uncertain(f"{UNUSABLE}: {count} rows were sent and total is another number.")
    if not isinstance(ids, list) or len(ids) != count:
        raise Uncertain(f"{UNUSABLE}: {count} rows were sent and not as many ids came back.")
    found = [_read_own_id(value) for value in ids]
    known = tuple(identifier for identifier in found if identifier is not None)
    if len(set(known)) != count:
        raise Uncertain(f"{UNUSABLE}: ids are missing or given twice.")
    return known


def _read_own_id(value: Any) -> str | None:
    if type(value) is int and 0 < value < 2**63:  # the usual one, fifty times a request
        return str(value)
    try:
        found = read_id(value)
    except Problem:
        return None
    return None if found is None or re.fullmatch(r"0+|-.*", found) else found


# --------------------------------------------------------------------------------- tasks and files


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of task/query: ``total`` of all pages, rows that have no id only counted."""

    total: int
    tasks: tuple[TaskChanged, ...]
    unreadable: int


def read_task_page(result: dict[str, Any]) -> TaskPage:
    try:
        total = read_integer(result.get("total_rows"))
    except Problem:
        total = None
    rows = result.get("rows")
    if rows is None and total == 0:
        rows = []
    if total is None or not isinstance(rows, list):
        raise Uncertain(f"{UNUSABLE}: no total_rows or no rows.")
    tasks = [task for row in rows if (task := _read_task(row)) is not None]
    return TaskPage(total, tuple(tasks), len(rows) - len(tasks))


_TASK_PLACES = frozenset(
    {"task_id", "task_name", "status", "deleted", "time_task_start", "time_task_finish"}
)
_TASK_TIMES = ("time_task_estimate_begin", "time_task_estimate_end")
_JSON_IN_STRINGS = ("status_recall", "time_range", "intention_push")


def _read_task(row: Any) -> TaskChanged | None:
    if not isinstance(row, dict):
        return None
    fields = Fields(row)
    identifier = fields.id("task_id")
    if identifier is None:
        return None
    status = fields.integer("status")
    code = "" if status is None else str(status)
    deleted = bool(fields.flag("deleted"))
    counts: dict[str, Any] = {}
    details: dict[str, Any] = {}
    for name, value in fields.rest(_TASK_PLACES).items():
        if name.startswith(("count_", "process_")):
            counts[name] = value
        elif name in _TASK_TIMES:
            moment = fields.epoch_ms(name)
            details[name] = None if moment is None else moment.isoformat()
        else:
            details[name] = clean(inner_json(value)) if name in _JSON_IN_STRINGS else value
    if fields.has("task_type"):
        details["task_kind"] = TASK_TYPES.get(str(row["task_type"]), "unknown")
    return TaskChanged(
        platform_task_id=identifier,
        name=fields.text("task_name", limit=500),
        state=get_task_state(code, deleted=deleted),
        platform_state=code,
        deleted=deleted,
        contacts=fields.integer("count_tel"),
        counts=counts,
        started_at=fields.epoch_ms("time_task_start"),
        finished_at=fields.epoch_ms("time_task_finish"),
        details=details,
        problems=fields.problems,
    )


def mend_query(body: bytes) -> bytes:
    """The sample of task/query holds lists in quotes without escaping theirs:
    ``"time_range":"["07:30:00-23:30:00"]"``. This makes them plain lists."""
    return re.sub(rb'"(\[(?:\s*"[^"\[\]]*"\s*,?)*\])"', rb"\1", body)


def read_paths(result: dict[str, Any], *, prefix: str) -> FailedPushFiles:
    """The usable relative paths in ``url`` of push/failed, each once.

    Without ``url`` nobody knows what failed: that is not the list with nothing in it.
    """
    found = result.get("url")
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list):
        raise Uncertain(f"{UNUSABLE}: url is not a list.")
    paths: dict[str, None] = {}
    refused = 0
    for value in found:
        try:
            known = value.removeprefix(prefix) if prefix and isinstance(value, str) else value
            paths[read_relative_path(known)] = None
        except Problem:
            refused += 1
    return FailedPushFiles(tuple(paths), refused)
