"""In: the ``asr_result`` of a call of AI Rudder. Out: what was said, in order.

One row is an offset from the start of the call, what the robot said and what the contact said. Rows
repeat their offset and may be wholly empty: the order of the rows is all there is to go by.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from campaigns.platforms.airudder.details import read_objects
from campaigns.platforms.events import Role, TurnSaid
from campaigns.platforms.values import Fields

_OFFSET = re.compile(r"(\d{1,3}):([0-5]\d):([0-5]\d)\Z", re.ASCII)
_PLACES = frozenset({"time", "robottext", "text"})


def read_turns(
    call: Fields, *, began_at: datetime | None
) -> tuple[tuple[TurnSaid, ...], list[dict[str, Any]]]:
    """The utterances, and of the rows that hold more than the text knows, all that they hold."""
    turns: list[TurnSaid] = []
    more: list[dict[str, Any]] = []
    for fields in read_objects(call, "asr_result"):
        started_at = _read_offset(fields, began_at)
        for role, name in ((Role.ROBOT, "robottext"), (Role.CONTACT, "text")):
            text = fields.text(name)
            if text is not None and text.strip():
                turns.append(
                    TurnSaid(position=len(turns), role=role, text=text, started_at=started_at)
                )
        if not _PLACES.issuperset(fields.raw):
            more.append(fields.rest(()))
    return tuple(turns), more


def _read_offset(fields: Fields, began_at: datetime | None) -> datetime | None:
    text = fields.text("time", limit=20)
    if text is None:
        return None
    found = _OFFSET.match(text.strip())
    if found is None:
        fields.name_problem("time", "is not hours, minutes and seconds")
        return None
    hours, minutes, seconds = map(int, found.groups())
    if began_at is None:
        return None
    return began_at + timedelta(hours=hours, minutes=minutes, seconds=seconds)
