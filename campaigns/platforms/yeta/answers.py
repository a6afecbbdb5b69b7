"""In: a request of Part 3 of the platform's text. Out: what it asks, and the answer as it is spelt.

getDialogContext is answered with a bare map, the semantic interface with a bare array of
``{"key", "type", "value"}``, whose type is integer or string. Ids are numbers or strings; the
dialog's rows have no role and hold both texts, rows of the push's shape are read too; ``context``
is an object in the sample and a string in the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from campaigns.platforms.bodies import inner_json, read_body
from campaigns.platforms.questions import About, Asked, Question, Said, Value
from campaigns.platforms.values import MAX_NAME_CHARS, Fields, clean_text

#: of a dialog the last rows, of a text the first characters: the rest decides nothing
MOST_ROWS = 300
MOST_TEXT = 2_000
MOST_NAMES = 300

_WORD = re.compile(r"success", re.IGNORECASE)


def read_context_request(body: bytes) -> Asked:
    """getDialogContext. Raises ``Unrecognised``."""
    fields = Fields(read_body(body, form=True).value)
    return Asked(
        about=About.VARIABLES,
        robot_id=fields.id("robot_id") or "",
        relation_id=fields.id("call_relation_id", limit=MAX_NAME_CHARS) or "",
    )


def read_semantic_request(body: bytes) -> Asked:
    """The semantic interface. Raises ``Unrecognised``."""
    fields = Fields(read_body(body, form=True).value)
    return Asked(
        about=About.MEANING,
        robot_id=fields.id("robot_id") or "",
        code=fields.id("code", limit=MAX_NAME_CHARS) or "",
        call_id=fields.id("call_uuid", limit=MAX_NAME_CHARS) or "",
        relation_id=fields.id("call_relation_id", limit=MAX_NAME_CHARS) or "",
        task_id=fields.id("task_id") or "",
        contact_id=fields.id("task_data_id") or "",
        caller=_read_text(fields.raw.get("caller"))[:64],
        callee=_read_text(fields.raw.get("callee"))[:64],
        direction={"1": "inbound", "2": "outbound"}.get(fields.id("direction") or "", ""),
        context=_read_context(fields.raw.get("context")),
        said=_read_dialog(fields.raw.get("dialog")),
        reply=_read_text(fields.raw.get("reply")),
    )


def _read_context(value: Any) -> dict[str, str]:
    told = inner_json(value)
    if not isinstance(told, Mapping):
        return {}
    pairs = list(told.items())[:MOST_NAMES]
    return {clean_text(str(name))[:MAX_NAME_CHARS]: _read_text(inner) for name, inner in pairs}


def _read_dialog(value: Any) -> tuple[Said, ...]:
    rows = inner_json(value)
    if not isinstance(rows, list):
        return ()
    ordered: list[tuple[int, int, Said]] = []
    seq = 0
    for index, row in enumerate(rows[-MOST_ROWS:]):
        if not isinstance(row, Mapping):
            continue
        fields = Fields(row)
        found = fields.integer("seq")
        seq = seq if found is None else found
        is_robot = str(row.get("role") or "").strip().lower() == "robot"
        said = Said(
            robot=_read_text(row.get("text_robot")),
            contact="" if is_robot else _read_text(row.get("text_man")),
            node_name=_read_text(row.get("node_name"))[:MAX_NAME_CHARS],
            node_id=_read_text(row.get("node_id"))[:MAX_NAME_CHARS],
        )
        ordered.append((seq, index, said))
    return tuple(said for _seq, _index, said in sorted(ordered, key=lambda one: one[:2]))


def _read_text(value: Any) -> str:
    """A text, numbers as they read; nothing for what is neither."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return clean_text(str(value))[:MOST_TEXT]


def spell_context(values: Sequence[Value]) -> bytes:
    return _dump({value.key: str(value.value) for value in values})


def spell_semantic(values: Sequence[Value]) -> bytes:
    return _dump([{"key": value.key, "type": value.type, "value": value.value} for value in values])


def _dump(answer: Any) -> bytes:
    """As JSON, without the word that yeta takes for a yes: that one is for pushes that are on
    disk. A letter of it is escaped, which means the same."""
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    text = _WORD.sub(lambda found: f"\\u{ord(found.group()[0]):04x}{found.group()[1:]}", text)
    return text.encode("utf-8", "backslashreplace")


QUESTIONS = {
    "getDialogContext": Question(
        about=About.VARIABLES, read=read_context_request, spell=spell_context, empty=b"{}"
    ),
    "semantic": Question(
        about=About.MEANING, read=read_semantic_request, spell=spell_semantic, empty=b"[]"
    ),
}
