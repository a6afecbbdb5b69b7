"""In: the ``dialog`` of a push of yeta. Out: its utterances in order.

One row is one node of the script. In a push each row has a role and only that role's text is
said in it: the robot's sentence stands again on the customer's row. Rows of the semantic interface
have no role and hold both texts, one exchange in each.
"""

from __future__ import annotations

from typing import Any

from campaigns.platforms.bodies import inner_json
from campaigns.platforms.events import Role, TurnSaid
from campaigns.platforms.values import MAX_ITEMS, MAX_NAME_CHARS, Fields, clean
from campaigns.platforms.yeta.vocabulary import ROLES

_HIT_PLACES = frozenset({"hit", "name", "pick", "answer_id", "id"})


def read_turns(fields: Fields) -> tuple[TurnSaid, ...]:
    """The utterances in the order of ``seq``; rows without one stay behind the row before them."""
    rows = inner_json(fields.raw.get("dialog"))
    if not isinstance(rows, list):
        fields.name_problem("dialog", "is not a list")
        return ()
    if len(rows) > MAX_ITEMS:
        fields.name_problem("dialog", f"has more than {MAX_ITEMS} rows")
    ordered: list[tuple[int, int, Fields]] = []
    seq = 0
    for index, row in enumerate(rows[:MAX_ITEMS]):
        if not isinstance(row, dict):
            fields.name_problem(f"dialog[{index}]", "is not an object")
            continue
        inner = Fields(row, fields.problems, f"dialog[{index}].")
        found = inner.integer("seq")
        seq = seq if found is None else found
        ordered.append((seq, index, inner))
    ordered.sort(key=lambda item: item[:2])
    turns: list[TurnSaid] = []
    for _, _, inner in ordered:
        turns.extend(_read_row(inner, len(turns)))
    return tuple(turns)


def _read_row(fields: Fields, position: int) -> list[TurnSaid]:
    """One row: one utterance where it has a role. Rows without a role (those of the semantic
    interface) hold the robot's sentence and the contact's answer to it."""
    word = (fields.text("role", limit=MAX_NAME_CHARS) or "").strip().lower()
    role = ROLES.get(word)
    if word and role is None:
        fields.name_problem("role", "is neither robot nor customer")
    said = {Role.ROBOT: fields.text("text_robot"), Role.CONTACT: fields.text("text_man")}
    if role is not None:
        roles = [role]
    else:
        roles = [Role.ROBOT, Role.CONTACT] if said[Role.CONTACT] else [Role.ROBOT]
    node: dict[str, Any] = {
        "node_id": fields.id("node_id", limit=MAX_NAME_CHARS) or "",
        "node_name": fields.text("node_name", limit=MAX_NAME_CHARS) or "",
        "node_type": fields.id("node_type", limit=50) or "",
        "label": fields.text("label", limit=MAX_NAME_CHARS) or "",
        "intention": fields.text("tag_name", limit=50) or "",
        "intention_text": fields.text("tag_desc", limit=MAX_NAME_CHARS) or "",
        "question_id": fields.id("question_id", limit=MAX_NAME_CHARS) or "",
        "started_at": fields.epoch_ms("time_start"),
        "spoke_at": fields.epoch_ms("time_speaking"),
    }
    hits = _read_hits(fields)
    return [
        TurnSaid(
            position=position + offset,
            role=speaker,
            text=said[speaker] or "",
            hits=hits if speaker is roles[-1] else (),  # what was hit is what the contact said
            **node,
        )
        for offset, speaker in enumerate(roles)
    ]


def _read_hits(fields: Fields) -> tuple[dict[str, Any], ...]:
    """``hits: [{hit, pick, answer_id}]`` of a push, or ``hit: {name, pick, id}`` of the semantic
    interface, both in the words of the first."""
    if "hits" not in fields.raw and "hit" not in fields.raw:
        return ()
    found = inner_json(fields.raw.get("hits"))
    if found in (None, ""):
        found = inner_json(fields.raw.get("hit"))
    if found in (None, ""):
        return ()
    hits: list[dict[str, Any]] = []
    for index, item in enumerate(found if isinstance(found, list) else [found]):
        hit = {"hit": item} if isinstance(item, str) else item
        if not isinstance(hit, dict) or index >= 200:
            fields.name_problem(f"hits[{index}]", "is not an object")
            break
        one = Fields(hit, fields.problems, f"{fields.place}hits[{index}].")
        hits.append(
            {
                "hit": one.text("name" if "name" in hit else "hit") or "",
                "pick": one.flag("pick"),
                "answer_id": one.id(
                    "answer_id" if "answer_id" in hit else "id", limit=MAX_NAME_CHARS
                )
                or "",
                **(
                    clean({k: hit[k] for k in rest})
                    if (rest := [k for k in hit if k not in _HIT_PLACES])
                    else {}
                ),
            }
        )
    return tuple(hits)
