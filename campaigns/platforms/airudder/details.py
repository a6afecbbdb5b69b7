"""In: what a push says beyond the columns of a call. Out: the ``details`` of an event.

``events`` gives some names of details a meaning for every platform. A field of the vendor's that
happens to have such a name, and another meaning, is kept apart from it.
"""

from __future__ import annotations

from typing import Any

from campaigns.platforms.bodies import inner_json
from campaigns.platforms.events import keep_apart
from campaigns.platforms.values import MAX_ITEMS, Fields, clean


def make_details(own: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """The vendor's fields under their own names and those with a meaning for all, without what
    says nothing. Everything in them is clean already."""
    return drop_empty(keep_apart(own) | shared)


def drop_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: "", null, and lists and objects with nothing in them."""
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}


def read_map(fields: Fields, name: str) -> dict[str, Any]:
    """An object with the customer's own names; "" or [] where there is none."""
    found = inner_json(fields.raw.get(name))
    if isinstance(found, dict):
        kept: dict[str, Any] = clean(found)
        return kept
    if found not in (None, "", []):
        fields.name_problem(name, "is not an object")
    return {}


def read_objects(fields: Fields, name: str, *, limit: int = MAX_ITEMS) -> list[Fields]:
    """The objects in a list; what is none is named and left out."""
    rows = inner_json(fields.raw.get(name))
    if rows in (None, "", {}):
        return []
    if not isinstance(rows, list):
        fields.name_problem(name, "is not a list")
        return []
    if len(rows) > limit:
        fields.name_problem(name, f"has more than {limit} rows")
    found = []
    for index, row in enumerate(rows[:limit]):
        place = f"{name}[{index}]"
        if isinstance(row, dict):
            found.append(Fields(row, fields.problems, f"{fields.place}{place}."))
        else:
            fields.name_problem(place, "is not an object")
    return found
