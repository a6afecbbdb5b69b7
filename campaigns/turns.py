"""In: the turns of a dialog, as a parser read them. Out: how rich it is, and its rows for COPY.

Both are made at once while the event is read: that needs no database, and a dialog is the largest
thing that a platform pushes. What a dialog is known by (its digest) stands in the evidence of calls
and must stay as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from operator import attrgetter
from typing import Any, NamedTuple

from campaigns.models import Turn
from campaigns.platforms.events import TurnSaid
from campaigns.platforms.values import MAX_NAME_CHARS, MAX_TEXT_CHARS, clean, clean_text

EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
LIMITS = {
    name: Turn._meta.get_field(name).max_length or 0
    for name in ("node_id", "node_name", "node_type", "label", "intention", "intention_text")
} | {"question_id": 200}
#: what the rows are for; the id of the call is put before each
COPY = (
    "COPY campaigns_turn (call_id, position, role, text, started_at, spoke_at, hits,"
    f" {', '.join(LIMITS)}) FROM STDIN"
)
NULL = "\\N"
_LARGE = re.compile("[0-9]{19}")
_LEAST, _TABS = min(LIMITS.values()), 5 + len(LIMITS)
_spell = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), check_circular=False
).encode
_NAMES = tuple(TurnSaid.__dataclass_fields__)
_read_node: Callable[[TurnSaid], tuple[str, ...]] = attrgetter(*LIMITS)


@dataclass(frozen=True, slots=True)
class Dialog:
    """A dialog as the evidence of its call knows it, and its rows without the id of the call."""

    described: dict[str, Any]
    rows: Sequence[str]


def read_dialog(turns: Sequence[TurnSaid]) -> Dialog:
    """Nothing in it can be refused by a column, even if the parser let it through."""
    try:
        spelled, chars, rows = _read_plain(turns)
        if "\\u0000" in spelled:
            raise ValueError
        data = spelled.encode()
    except (TypeError, ValueError):  # a lone surrogate is a ValueError, too
        cleaned = [_list_turn(turn) for turn in turns]
        chars = sum(len(row["text"]) for row in cleaned)
        data = _spell(cleaned).encode()
        rows = [_write_row(place, turn) for place, turn in enumerate(turns)]
    digest = hashlib.sha256(data).hexdigest()[:32]
    return Dialog({"turns": len(rows), "chars": chars, "digest": digest}, rows)


def spell_rows(call_id: int, rows: Iterable[str]) -> str:
    """The rows of a call as COPY reads them."""
    return "".join([f"{call_id}\t{row}\n" for row in rows])


def _read_plain(turns: Sequence[TurnSaid]) -> tuple[str, int, list[str]]:
    """All turns spelled (as ``_list_turn`` has them), the characters said and the rows, the fast
    way. Raises ``ValueError`` or ``TypeError`` where something may have to be cleaned or cut."""
    spelled: list[str] = []
    rows: list[str] = []
    chars = nulls = 0
    quote, fits = encode_basestring, True
    for place, turn in enumerate(turns):
        text, role, position = turn.text, turn.role, turn.position
        node = _spell_node((role, *_read_node(turn)))
        if len(text) > MAX_TEXT_CHARS or type(position) is not int:
            raise ValueError
        chars += len(text)
        hits = _spell_hits(turn.hits) if turn.hits else "[]"
        started, spoke = turn.started_at, turn.spoke_at
        started_at = _write_time(started) if started else None
        spoke_at = _write_time(spoke) if spoke else None
        spelled.append(
            f'{{"hits":{hits}{node.first},"position":{position}{node.last}'
            f',"spoke_at":{_spell_time(spoke_at)},"started_at":{_spell_time(started_at)}'
            f',"text":{quote(text)}}}'
        )
        nulls += (not started_at) + (not spoke_at)
        times = f"{started_at or NULL}\t{spoke_at or NULL}"
        rows.append(f"{place}\t{role}\t{text}\t{times}\t{hits}\t{node.rest}")
        fits = fits and node.fits
    # Looked at all together: hardly a dialog has anything that has to be escaped or cut.
    block, size = "\n".join(rows), len(rows)
    if not fits or (
        block.count("\t") != size * _TABS
        or block.count("\\") != nulls
        or block.count("\n") != max(size - 1, 0)
        or "\r" in block
    ):
        rows = [_write_row(place, turn) for place, turn in enumerate(turns)]
    return f"[{','.join(spelled)}]", chars, rows


class _Node(NamedTuple):
    """What is spelled of a turn before and after its position, and the end of its row."""

    first: str
    last: str
    rest: str
    fits: bool


@lru_cache(maxsize=1024)
def _spell_node(told: tuple[str, ...]) -> _Node:
    """A script has few nodes, and says each of them in every call: a role and what it is held to in
    the order of ``LIMITS``."""
    role, *others = told
    node_id, node_name, node_type, label, intention, intention_text, question_id = others
    size = len("".join(others))
    if len(role) > 10 or size > 2_000:  # of no script, and too much to be remembered
        raise ValueError
    quote = encode_basestring
    limits = zip(others, LIMITS.values(), strict=True)
    return _Node(
        f',"intention":{quote(intention)},"intention_text":{quote(intention_text)}'
        f',"label":{quote(label)},"node_id":{quote(node_id)},"node_name":{quote(node_name)}'
        f',"node_type":{quote(node_type)}',
        f',"question_id":{quote(question_id)},"role":{quote(role)}',
        "\t".join(others),
        size <= _LEAST or all(len(text) <= limit for text, limit in limits),
    )


def _write_time(value: datetime) -> str:
    """Raises ``ValueError`` for one that is not kept."""
    # Compared as numbers: what is spelled in UTC, as nearly all are, is so far from either end.
    if value.tzinfo is not UTC or not EARLIEST.year <= value.year < LATEST.year:
        raise ValueError
    return value.isoformat()


def _spell_time(written: str | None) -> str:
    return f'"{written}"' if written else "null"


def _spell_hits(hits: Sequence[dict[str, Any]]) -> str:
    spelled = _spell_hit(hits[0]) if len(hits) == 1 else _spell(hits)
    # as short as this nothing in it is cut, but for an integer that is too large
    if len(spelled) <= MAX_NAME_CHARS and not _LARGE.search(spelled):
        return spelled
    return _spell(clean(hits))


def _spell_hit(hit: dict[str, Any]) -> str:
    """As ``_spell`` spells a list of this one."""
    if len(hit) == 3 and _HIT.issuperset(hit):
        answer, word, pick = hit["answer_id"], hit["hit"], hit["pick"]
        if type(answer) is type(word) is str and (pick is None or type(pick) is bool):
            quote = encode_basestring
            return f'[{{"answer_id":{quote(answer)},"hit":{quote(word)},"pick":{_WORDS[pick]}}}]'
    return _spell([hit])


_HIT = frozenset({"answer_id", "hit", "pick"})
_WORDS = {True: "true", False: "false", None: "null"}


def _list_turn(turn: TurnSaid) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in _NAMES:
        value = getattr(turn, name)
        if value is None or value == "":
            row[name] = value
        else:
            row[name] = value.isoformat() if isinstance(value, datetime) else clean(value)
    return row


def _write_row(place: int, turn: TurnSaid) -> str:
    return "\t".join(
        [
            *(str(place), _escape(clean_text(str(turn.role)[:10])), _escape(clean_text(turn.text))),
            *(_keep_time(turn.started_at), _keep_time(turn.spoke_at)),
            _escape(_spell(clean(turn.hits))) if turn.hits else "[]",
            *(
                _escape(clean_text(value)[:limit]) if (value := getattr(turn, name)) else ""
                for name, limit in LIMITS.items()
            ),
        ]
    )


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _keep_time(value: datetime | None) -> str:
    usable = value is not None and value.tzinfo is not None and EARLIEST <= value < LATEST
    return value.isoformat() if usable and value is not None else NULL
