"""In: calls. Out: the CSV of them, written row by row in Python, as it was before the database did.

What the fast writer has to equal, byte for byte, and the baseline that it is measured against.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from campaigns.admin.base import hide_phones
from campaigns.importing.cells import guard_cell
from campaigns.masking import mask_phone
from campaigns.models import Call
from campaigns.platforms.registry import PLATFORMS

#: rows fetched and written at a time
CHUNK = 2_000

#: name of the column → field; the names are for programs and the same in every language
COLUMNS = {
    "id": "id",
    "platform": "account__platform",
    "account": "account__name",
    "platform_call_id": "platform_call_id",
    "task_id": "task_id",
    "task": "task__name",
    "contact_id": "contact_id",
    "platform_contact_id": "platform_contact_id",
    "direction": "direction",
    "caller": "caller",
    "callee": "callee",
    "stage": "stage",
    "dialed_at": "dialed_at",
    "ringing_at": "ringing_at",
    "answered_at": "answered_at",
    "ended_at": "ended_at",
    "result": "result",
    "platform_result": "platform_result",
    "platform_result_text": "platform_result_text",
    "answered": "answered",
    "ring_seconds": "ring_seconds",
    "talk_seconds": "talk_seconds",
    "wait_seconds": "wait_seconds",
    "hangup_by": "hangup_by",
    "intention": "intention",
    "attempt": "attempt",
    "agent_number": "agent_number",
    "agent_name": "agent_name",
    "queue_name": "queue_name",
    "relation_id": "relation_id",
}
NUMBERS = ("caller", "callee")
#: what people wrote: a number may stand in it
FREE_TEXTS = ("platform_result_text", "agent_number", "agent_name", "queue_name", "task")
#: somebody else's names, which may be the number itself
KEYS = ("platform_contact_id", "relation_id")


def write_calls(calls: QuerySet[Call], *, whole: bool) -> Iterator[str]:
    """The file in pieces. The byte order mark is for the spreadsheets that would guess else."""
    yield "\ufeff" + _write_lines([list(COLUMNS)])
    # one snapshot, and a cursor of the database: constant memory whatever the number of rows
    with transaction.atomic():
        # by their names: the query may carry annotations of the list
        rows = calls.values_list(*COLUMNS.values()).iterator(chunk_size=CHUNK)
        lines: list[list[str]] = []
        for row in rows:
            lines.append(_read_row(row, whole=whole))
            if len(lines) == CHUNK:
                yield _write_lines(lines)
                lines = []
        if lines:
            yield _write_lines(lines)


def _read_row(row: Any, *, whole: bool) -> list[str]:
    cells = []
    told = dict(zip(COLUMNS, row, strict=True))
    for name, value in told.items():
        if value is None or value == "":
            cells.append("")
        elif name == "platform":
            cells.append(PLATFORMS[value].name if value in PLATFORMS else value)
        elif isinstance(value, datetime):
            cells.append(timezone.localtime(value).isoformat(timespec="seconds"))
        elif isinstance(value, bool):
            cells.append("yes" if value else "no")
        elif name in NUMBERS and not whole:
            cells.append(mask_phone(value))
        elif name in FREE_TEXTS and not whole:
            cells.append(_hide(value))
        elif name in KEYS and not whole:
            numbers = [str(told[number] or "") for number in NUMBERS]
            cells.append(mask_phone(value) if is_number(value, numbers) else str(value))
        else:
            cells.append(str(value))
    return cells


def is_number(key: str, numbers: list[str]) -> bool:
    """Whether it is one of these, with its country or without."""
    return len(key) > 6 and any(
        len(number) > 6 and (number.endswith(key) or key.endswith(number)) for number in numbers
    )


@lru_cache(maxsize=4096)
def _hide(text: str) -> str:
    """The same few words stand in very many rows."""
    return str(hide_phones(text))


def _write_lines(lines: list[list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    for cells in lines:
        writer.writerow([guard_cell(cell) for cell in cells])
    return text.getvalue()
