"""In: every value of ``expansionFields`` of a push. Out: what an agent wrote down about the call.

The text says String; what comes is JSON inside a string, ``"{}"`` where nothing was filled in, else
a list of fields. One push may have the key twice. The table and the sample disagree about a field
(oddities ima-2 to ima-5): ``otherRules`` is an object and not a string, its ``data`` a list and not
an object, ``id`` and ``value`` are in no table, and ``value`` is a text, or for a call summary a
list of ``{id, summary}``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from campaigns.platforms.bodies import inner_json
from campaigns.platforms.ima51.vocabulary import FIELD_TYPES, INNER_TYPES
from campaigns.platforms.values import MAX_ITEMS, MAX_NAME_CHARS, Fields, clean, clean_text

NAME = "expansionFields"
JOINT = "; "


@dataclass(frozen=True, slots=True)
class Notes:
    """``notes`` are the filled fields, ``kept`` is everything as it was sent (options too), None
    when nothing was."""

    notes: list[dict[str, Any]]
    kept: Any


def read_notes(fields: Fields, *, doubled: Sequence[Any] = ()) -> Notes:
    """The fields of all values; ``doubled`` are those of a key that came more than once."""
    values = [
        value
        for value in (map(inner_json, doubled or [fields.raw.get(NAME)]))
        if value is not None and value != ""
    ]
    notes: list[dict[str, Any]] = []
    for number, value in enumerate(values):
        place = NAME if len(values) == 1 else f"{NAME}({number + 1})"
        for note in _read_list(fields, value, place):
            if note not in notes:
                notes.append(note)
    if not any(value not in ({}, []) for value in values):
        return Notes([], None)
    return Notes(notes, clean(values[0] if len(values) == 1 else values))


def _read_list(fields: Fields, value: Any, place: str) -> list[dict[str, Any]]:
    """The filled fields of one value; a single field need not stand in a list."""
    if isinstance(value, dict) and (not value or "type" in value or "value" in value):
        value = [value] if value else []
    if not isinstance(value, list):
        fields.name_problem(place, "is not a list")
        return []
    if len(value) > MAX_ITEMS:
        fields.name_problem(place, f"has more than {MAX_ITEMS} rows")
    notes: list[dict[str, Any]] = []
    for index, item in enumerate(value[:MAX_ITEMS]):
        if not isinstance(item, dict):
            fields.name_problem(f"{place}[{index}]", "is not an object")
            continue
        note = _read_field(Fields(item, fields.problems, f"{place}[{index}]."))
        if note["text"]:
            notes.append(note)
    return notes


def _read_field(one: Fields) -> dict[str, Any]:
    code = one.id("type") or ""
    rules = inner_json(one.raw.get("otherRules"))
    inner = Fields(
        rules if isinstance(rules, dict) else {}, one.problems, f"{one.place}otherRules."
    )
    form = INNER_TYPES.get(code, {}).get(inner.id("fieldInnerType") or "", "")
    note = {
        "name": one.text("name", limit=MAX_NAME_CHARS) or FIELD_TYPES.get(code, ""),
        "text": _tell_value(one.raw.get("value")),
        "type": code,
        "type_text": FIELD_TYPES.get(code, ""),
        "form": form,
        "id": one.id("id") or "",
        "required": one.flag("required"),
    }
    always = ("name", "text")
    return {name: told for name, told in note.items() if told not in ("", None) or name in always}


def _tell_value(value: Any) -> str:
    """A value as a text: summaries and several choices one behind the other, else as it reads."""
    if value is None:
        return ""
    if isinstance(value, list):
        return JOINT.join(text for text in map(_tell_value, value[:MAX_ITEMS]) if text)
    if isinstance(value, dict):
        for name in ("summary", "value"):
            if isinstance(value.get(name), str | int | float):
                return _tell_value(value[name])
    if isinstance(value, str):
        return clean_text(value).strip()
    told = clean(value)
    if not told and isinstance(told, dict | list):
        return ""
    return told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
