"""In: the ``dialog`` of a push of yeta. Out: its utterances in order.

One row is one node of the script. In a push each row has a role and only that role's text is
said in it: the robot's sentence stands again on the customer's row. Rows of the semantic interface
have no role and hold both texts, one exchange in each.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from campaigns.platforms.bodies import inner_json
from campaigns.platforms.events import Role, TurnSaid
from campaigns.platforms.values import (
    EARLIEST_MS,
    EPOCH,
    LATEST_MS,
    MAX_ITEMS,
    MAX_NAME_CHARS,
    MAX_TEXT_CHARS,
    Fields,
    clean,
    clean_text,
)
from campaigns.platforms.yeta.vocabulary import ROLES

_HIT_FIELDS = frozenset({"hit", "pick", "answer_id"})
_HIT_PLACES = frozenset({"hit", "name", "pick", "answer_id", "id"})


def read_turns(fields: Fields) -> tuple[TurnSaid, ...]:
    """The utterances in the order of ``seq``; rows without one stay behind the row before them."""
    rows = inner_json(fields.raw.get("dialog"))
    if not isinstance(rows, list):
        fields.name_problem("dialog", "is not a list")
        return ()
    if (plain := _read_plain_rows(rows)) is not None:
        return plain
    if len(rows) > MAX_ITEMS:
        fields.name_problem("dialog", f"has more than {MAX_ITEMS} rows")
    ordered: list[tuple[int, int, Fields]] = []
    seq = 0
    for index, row in enumerate(rows[:MAX_ITEMS]):
        if not isinstance(row, dict):
            fields.name_problem(f"dialog[{index}]", "is not an object")
            continue
        inner = Fields(row, fields.problems, f"dialog[{index}].")
        told = row.get("seq")
        if type(told) is str and len(told) < 9 and told.isascii() and told.isdigit():
            found: int | None = int(told)  # as in nearly every row
        else:
            found = inner.integer("seq")
        seq = seq if found is None else found
        ordered.append((seq, index, inner))
    ordered.sort(key=lambda item: item[:2])
    turns: list[TurnSaid] = []
    for _, _, inner in ordered:
        turns.extend(_read_row(inner, len(turns)))
    return tuple(turns)


def _read_plain_rows(rows: list[Any]) -> tuple[TurnSaid, ...] | None:
    """The utterances of rows in order in which there is nothing to be mended; None for others."""
    if len(rows) > MAX_ITEMS:
        return None
    turns: list[TurnSaid] = []
    before = 0
    for position, row in enumerate(rows):
        if type(row) is not dict:
            return None
        told = row.get("seq")
        if type(told) is not str or len(told) > 8 or not (told.isascii() and told.isdigit()):
            return None
        if (seq := int(told)) < before or (turn := _read_plain_row(row, position)) is None:
            return None
        before = seq
        turns.append(turn)
    return tuple(turns)


def _read_row(fields: Fields, position: int) -> list[TurnSaid]:
    """One row: one utterance where it has a role. Rows without a role (those of the semantic
    interface) hold the robot's sentence and the contact's answer to it."""
    if (plain := _read_plain_row(fields.raw, position)) is not None:
        return [plain]
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


def _read_plain_row(row: Mapping[str, Any], position: int) -> TurnSaid | None:
    """The utterance of a row in which there is nothing to be mended, as in nearly every one; None
    for any other. Each field is held to what it is held to below."""
    get = row.get
    role = get("role")
    if type(role) is not str or (speaker := ROLES.get(role)) is None or "hit" in row:
        return None
    robot, man, intention = get("text_robot", ""), get("text_man", ""), get("tag_name", "")
    node_id, node_name, node_type = get("node_id", ""), get("node_name", ""), get("node_type", "")
    label, intention_text = get("label", ""), get("tag_desc", "")
    question_id, hits = get("question_id", ""), get("hits")
    try:
        _check_node(
            (node_id, node_type, question_id), (node_name, label, intention_text), intention
        )
        words = "".join((robot, man))
        words.encode()  # a lone surrogate is a ValueError
        started_at, spoke_at = _read_time(get("time_start")), _read_time(get("time_speaking"))
    except (TypeError, ValueError):
        return None
    if len(robot) > MAX_TEXT_CHARS or len(man) > MAX_TEXT_CHARS or "\x00" in words:
        return None
    found: tuple[dict[str, Any], ...] = ()
    if hits is not None:
        read = _read_plain_hits(hits)
        if read is None:
            return None
        found = read
    return TurnSaid(
        position=position,
        role=speaker,
        text=robot if speaker is Role.ROBOT else man,
        node_id=node_id,
        node_name=node_name,
        node_type=node_type,
        label=label,
        intention=intention,
        intention_text=intention_text,
        question_id=question_id,
        started_at=started_at,
        spoke_at=spoke_at,
        hits=found,
    )


@lru_cache(maxsize=1024)
def _check_node(ids: tuple[str, ...], names: tuple[str, ...], intention: str) -> None:
    """Raises ``ValueError`` or ``TypeError``, which are not remembered, where there is something to
    be mended. A script has few nodes, and says each of them in every call."""
    joined = "".join(ids)
    words = "".join((joined, *names, intention))
    words.encode()
    if max(map(len, (*ids, *names))) > MAX_NAME_CHARS or len(ids[1]) > 50 or len(intention) > 50:
        raise ValueError
    if "\x00" in words or " " in joined or not (joined.isascii() and joined.isprintable()):
        raise ValueError


def _read_time(value: Any) -> datetime | None:
    if value is None:
        return None
    if type(value) is not int or not EARLIEST_MS <= value < LATEST_MS:
        raise ValueError
    return EPOCH + timedelta(milliseconds=value)


def _read_plain_hits(hits: Any) -> tuple[dict[str, Any], ...] | None:
    if type(hits) is not list or len(hits) > 20:
        return None
    read: list[dict[str, Any]] = []
    for hit in hits:
        if type(hit) is not dict or not _HIT_FIELDS.issuperset(hit):
            return None
        word, pick, answer = hit.get("hit", ""), hit.get("pick"), hit.get("answer_id", "")
        if (
            type(word) is not str
            or type(answer) is not str
            or not (pick is None or type(pick) is bool)
            or len(word) > MAX_TEXT_CHARS
            or len(answer) > MAX_NAME_CHARS
            or clean_text(word) is not word
            or not (answer.isascii() and answer.isprintable())
            or " " in answer
        ):
            return None
        read.append({"hit": word, "pick": pick, "answer_id": answer})
    return tuple(read)


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
