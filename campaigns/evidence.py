"""In: events about one call, in any order, any number of times. Out: one set of field values.

Pure. Evidence is ``{field: [[rank, source, value], …]}``: every distinct statement about each
field, the best first. Merging is a set union cut to the best ``KEPT`` by a total order, and so
commutative, associative and idempotent: neither order nor repetition of the pushes can change a
row. ``project`` reads the columns from it. A contradiction is named, never overwritten, and since
"not said" is no statement, a known field never becomes empty.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any

from django.utils.translation import gettext_noop as N_

from campaigns.phones import tell_phone
from campaigns.platforms.events import (
    CallEnded,
    CallEvent,
    CallNews,
    DialogReady,
    Direction,
    HangupBy,
    PushClaimed,
    Result,
)
from campaigns.platforms.values import clean, clean_text
from campaigns.turns import EARLIEST, LATEST, Dialog, read_dialog

Evidence = dict[str, list[list[Any]]]

#: statements kept of one field, fields kept of the details, characters kept of one value
KEPT, KEPT_DETAILS, KEPT_CHARS = 8, 200, 20_000
KEPT_PROBLEMS = 200
INTEGER_MAX = 2**31 - 1

#: column → longest text; the columns of ``Call`` have the same limits (a test compares them)
TEXTS: dict[str, int] = {
    "platform_task_id": 100,
    "platform_contact_id": 100,
    "platform_robot_id": 100,
    "relation_id": 200,
    "direction": 10,
    "caller": 64,
    "callee": 64,
    "result": 20,
    "platform_result": 100,
    "platform_result_text": 300,
    "hangup_by": 10,
    "intention": 50,
    "intention_min": 50,
    "agent_number": 100,
    "agent_name": 100,
    "queue_name": 100,
}
#: half an id is another id: these are dropped, not cut, when they are too long
IDS = frozenset({"platform_task_id", "platform_contact_id", "platform_robot_id", "relation_id"})
PHONES = ("caller", "callee")
TIMES = ("dialed_at", "ringing_at", "answered_at", "ended_at")
INTEGERS = ("ring_seconds", "talk_seconds", "wait_seconds", "attempt")
#: "unknown" is the weakest statement about these, whoever makes it
VAGUE = frozenset({"result", "hangup_by"})
#: the vendor's words: those of two kinds of message are not comparable
OWN_WORDS = frozenset({"platform_result", "platform_result_text"})
#: a call may pass through several hands: another value is no contradiction
CHANGING = frozenset({"agent_number", "agent_name", "queue_name", "final"})
_KEYS = ("platform_task_id", "platform_contact_id", "platform_robot_id", "relation_id")
_NEWS = (
    *("direction", "caller", "callee", *TIMES, "answered", *INTEGERS),
    *("result", "platform_result", "platform_result_text", "hangup_by", "intention"),
    *("agent_number", "agent_name", "queue_name", "final"),
)
#: fields whose value is never a text
_NO_TEXTS = frozenset({*TIMES, *INTEGERS})
#: a text shorter than this is kept whatever field it is of, however it is spelled
_UNSPELLED = KEPT_CHARS // 6 - 1
#: of a field that is no text, none is
_LONGEST = TEXTS | dict.fromkeys(_NO_TEXTS, -1)
_NUMBERS = frozenset(INTEGERS)
_FLAGS = frozenset({"answered", "final"})
#: what is no detail, of what is stated
_PLACED = frozenset({*_KEYS, *_NEWS, "record", "progress", "dialog", "intention_min"})
_CHOICES = frozenset({Direction, HangupBy, Result})
_ANSWERED = frozenset({Result.ANSWERED, Result.TRANSFERRED})


@dataclass(frozen=True, slots=True)
class Projection:
    """The columns of a call as its evidence has them, and ``{field: [{"source", "value"}, …]}`` for
    fields about which the sources disagree."""

    columns: dict[str, Any]
    conflicts: dict[str, list[dict[str, Any]]]


# ---------------------------------------------------------------------------- event to evidence


def read_event(event: CallEvent) -> tuple[Evidence, dict[str, str]]:
    """What one event states, and its unusable fields. Nothing in it can be refused by a column,
    even if the parser let it through."""
    evidence, problems, _ = read_statements(event)
    return evidence, problems


#: what an event states, its unusable fields, and the rows of its dialog
Statements = tuple[Evidence, dict[str, str], Dialog | None]


def read_statements(event: CallEvent) -> Statements:
    """As ``read_event``, with the rows of its dialog."""
    problems = {
        clean_text(name)[:200]: clean_text(why)[:300] for name, why in event.problems.items()
    }
    rank = max(-1000, min(1000, int(event.rank)))
    source = clean_text(event.source)[:100]
    evidence: Evidence = {}
    dialog: Dialog | None = None
    names: tuple[str, ...] = _KEYS
    read = _read_keys
    if isinstance(event, CallNews):
        names, read = _NEWS_KEYS, _read_news
        evidence["record" if isinstance(event, CallEnded) else "progress"] = [[rank, source, True]]
    elif isinstance(event, DialogReady):
        names, read = _DIALOG_KEYS, _read_dialog_keys
        dialog = read_dialog(event.turns)
        evidence["dialog"] = [[rank, source, dialog.described]]
    values: Iterable[tuple[str, Any]] = zip(names, read(event), strict=True)
    details: Mapping[str, Any] = {} if isinstance(event, PushClaimed) else event.details
    if isinstance(event, DialogReady) and (event.began_at or event.ended_at):
        times = {"dialog_began_at": event.began_at, "dialog_ended_at": event.ended_at}
        details = {**details, **times}
    if details:
        chosen = sorted(details)[:KEPT_DETAILS]
        values = chain(values, [(_name_detail(name), details[name]) for name in chosen])
    longest, year, last = _LONGEST.get, EARLIEST.year, LATEST.year
    for field, value in values:
        if value is None:
            continue
        # What is like nearly all of it needs no closer look: ``_make_storable`` says the same.
        kind = type(value)
        if kind is str:
            if not value:
                continue
            if len(value) <= longest(field, _UNSPELLED) and value.isascii() and "\x00" not in value:
                evidence[field] = [[rank, source, value]]
                continue
        elif kind is datetime:
            if value.tzinfo is UTC and year <= value.year < last:
                evidence[field] = [[rank, source, value.isoformat("T", "microseconds")]]
                continue
        elif kind is int:
            if field in _NUMBERS and 0 <= value <= INTEGER_MAX:
                evidence[field] = [[rank, source, value]]
                continue
        elif kind is bool:
            if field in _FLAGS:
                evidence[field] = [[rank, source, value]]
                continue
        elif kind is list:
            if field not in _LONGEST and _is_small(value):
                evidence[field] = [[rank, source, value]]
                continue
        elif kind in _CHOICES and len(value._value_) <= longest(field, -1):
            evidence[field] = [[rank, source, value._value_]]
            continue
        try:
            evidence[field] = [[rank, source, _make_storable(field, value)]]
        except ValueError as error:
            problems[field] = str(error)
        except (TypeError, RecursionError):
            problems[field] = N_("is nothing that can be kept")
    if problems:
        problems = dict(sorted(problems.items())[:KEPT_PROBLEMS])
    return evidence, problems, dialog


_NEWS_KEYS = (*_KEYS, *_NEWS)
_DIALOG_KEYS = (*_KEYS, "intention", "intention_min")
_read_keys: Callable[[Any], tuple[Any, ...]] = attrgetter(*_KEYS)
_read_news: Callable[[Any], tuple[Any, ...]] = attrgetter(*_NEWS_KEYS)
_read_dialog_keys: Callable[[Any], tuple[Any, ...]] = attrgetter(*_DIALOG_KEYS)


@lru_cache(maxsize=2000)
def _name_detail(name: str) -> str:
    return f"details.{clean_text(name)[:200]}"


def _make_storable(field: str, value: Any) -> Any:
    """The value as JSON that comes back from the database unchanged. Raises ``ValueError`` with the
    reason, without the value."""
    if type(value) is str:  # as most are
        limit = TEXTS.get(field)
        if limit is None:
            if len(value) < KEPT_CHARS // 6 and field not in _NO_TEXTS:  # however it is spelled
                return clean_text(value)
        elif len(value) <= limit:
            return clean_text(value)
    elif isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(N_("has no time zone"))
        if not EARLIEST <= value < LATEST:
            raise ValueError(N_("is not a time of this century"))
        if value.tzinfo is not UTC:
            value = value.astimezone(UTC)
        return value.isoformat("T", "microseconds")
    if isinstance(value, Enum):
        value = value.value
    if field in TIMES:
        raise ValueError(N_("is not a time"))
    if field in INTEGERS:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= INTEGER_MAX:
            raise ValueError(N_("is not between {} and {}").format(0, INTEGER_MAX))
        return value
    if field in TEXTS:
        text = clean_text(str(value))
        if len(text) > TEXTS[field] and field in IDS:
            raise ValueError(N_("is longer than {} characters").format(TEXTS[field]))
        return text[: TEXTS[field]]
    value = clean(value)
    kind = type(value)
    if kind is int or kind is bool:
        return value
    if kind is list and _is_small(value):  # so it is, since it was cleaned
        return value
    if kind is str and len(value) < KEPT_CHARS // 6:  # however it is spelled
        return value
    value = _steady(value)
    if len(_spell(value)) > KEPT_CHARS:
        raise ValueError(N_("is too large to be kept here; the push has it"))
    return value


def _is_small(values: list[Any]) -> bool:
    """Whether these are few short texts, clean, however they are spelled."""
    if len(values) > _FEW or not _TEXT.issuperset(map(type, values)):
        return False
    text = "".join(values)
    if 6 * len(text) + 3 * len(values) >= KEPT_CHARS or "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_FEW, _TEXT = 1_000, frozenset({str})


def _steady(value: Any) -> Any:
    """Numbers in the one spelling that jsonb gives back."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        if value == 0:
            return 0
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {name: _steady(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_steady(inner) for inner in value]
    return value


# ---------------------------------------------------------------------------------------- merge


def merge(*pieces: Mapping[str, list[list[Any]]]) -> Evidence:
    """The union of pieces of evidence."""
    merged: Evidence = dict(pieces[0]) if pieces else {}
    several = {field for field, items in merged.items() if len(items) > 1}
    for piece in pieces[1:]:
        common = merged.keys() & piece.keys()
        both = {field: [*merged[field], *piece[field]] for field in common}
        merged.update(piece)
        merged.update(both)
        several |= common
        several.update([field for field, items in piece.items() if len(items) > 1])
    for field in several:
        items = merged[field]
        if len(items) == 2:  # as most often: two records of a call say the same
            one, other = items
            if one[0] != other[0] and _are_same(one[2], other[2]):
                merged[field] = items if one[0] > other[0] else [other, one]
                continue
        if _agree(items):  # then their values decide nothing
            said = {(item[0], item[1]): item for item in items}
            merged[field] = [said[who] for who in sorted(said, reverse=True)[:KEPT]]
            continue
        # Equal for equal statements only: True is not 1.
        weighed = {_weigh(field, item): item for item in merged[field]}
        if len(weighed) > 1:
            merged[field] = [weighed[weight] for weight in sorted(weighed, reverse=True)[:KEPT]]
        else:
            merged[field] = list(weighed.values())
    if len(merged) > KEPT_DETAILS:
        details = sorted(field for field in merged if field.startswith("details."))
        for field in details[KEPT_DETAILS:]:
            del merged[field]
    return merged


def _are_same(one: Any, other: Any) -> bool:
    """Whether both are one text or number: True is not 1."""
    return one.__class__ is other.__class__ and one == other and one.__class__ in _SIMPLE


_SIMPLE = frozenset({str, int, bool})


def _agree(items: list[list[Any]]) -> bool:
    """Whether all of these say one and the same, and that is a text or a number."""
    first = items[0][2]
    kind = first.__class__
    if len(items) == 2:
        return _are_same(first, items[1][2])
    if kind not in _SIMPLE:
        return False
    for item in items:
        value = item[2]
        if value != first or value.__class__ is not kind:
            return False
    return True


def revise_results(evidence: Mapping[str, list[list[Any]]], results: Mapping[str, Any]) -> Evidence:
    """The evidence as it would be had today's table of results been in force when it was heard.

    ``results`` is {the platform's code: object with ``result``, ``answered``, ``hangup_by``}. What
    a source said in codes that the table has is read again; what it said without one stays.
    """
    revised: Evidence = {field: list(items) for field, items in evidence.items()}
    read: set[tuple[str, Any, Any]] = set()
    for rank, source, code in evidence.get("platform_result", ()):
        known = results.get(str(code))
        if known is None or known.result is Result.UNKNOWN:
            continue
        words = {"result": known.result.value, "hangup_by": known.hangup_by}
        if not _has_statement(evidence, "answered_at", rank, source):
            words["answered"] = known.answered
        for field, word in words.items():
            if word is None:
                continue
            kept = revised.get(field, [])
            if (field, rank, source) not in read:  # its old words go once, of several codes
                kept = [item for item in kept if item[:2] != [rank, source]]
                read.add((field, rank, source))
            value = word.value if isinstance(word, Enum) else word
            revised[field] = [*kept, [rank, source, value]]
    return merge(revised, {})


def _has_statement(
    evidence: Mapping[str, list[list[Any]]], field: str, rank: int, source: str
) -> bool:
    return any(item[:2] == [rank, source] for item in evidence.get(field, ()))


def merge_problems(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """The union of two sets of unusable fields, one reason for each."""
    names = sorted({*one, *other})[:KEPT_PROBLEMS]
    return {name: max(one.get(name, ""), other.get(name, "")) for name in names}


def _weigh(field: str, item: list[Any]) -> tuple[Any, ...]:
    """The place of a statement in the total order of its field; the greatest is believed. Two have
    the same only if they are equal: True is not 1."""
    rank, source, value = item
    kind = value.__class__
    if kind is str:  # as nearly all are
        definite = value != "unknown" or field not in VAGUE
        return (definite, rank, 1, len(value), value, source, "str")
    if field == "dialog":
        return (True, rank, value["turns"], value["chars"], value["digest"], source)
    if isinstance(value, int | float):
        return (True, rank, 0, value, str(value), source)
    text = value if isinstance(value, str) else _spell(value)
    return (True, rank, 1, len(text), text, source, kind.__name__)


_spell = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), check_circular=False
).encode


# ------------------------------------------------------------------------------------ projection


def project(evidence: Mapping[str, list[list[Any]]], *, region: str = "CN") -> Projection:
    """The columns of ``Call`` that this evidence gives. Numbers without a country are of the
    account's ``region``."""
    best = {field: items[0][2] for field, items in evidence.items() if items}
    columns: dict[str, Any] = {
        name: text if (text := best.get(name, "")).__class__ is str else str(text) for name in TEXTS
    }
    # The platforms write one number in many ways: a search has to find it in one.
    columns |= {name: tell_phone(columns[name], region=region)[: TEXTS[name]] for name in PHONES}
    columns |= {name: _read_time(best.get(name)) for name in TIMES}
    columns |= {name: best.get(name) for name in INTEGERS}
    columns["has_record"] = "record" in best
    columns["stage"] = _find_stage(best)
    columns["turns_count"] = best.get("dialog", {}).get("turns", 0)
    columns["answered"] = best.get("answered")
    columns["final"] = best.get("final")
    if columns["answered"] is None and columns["result"] in _ANSWERED:
        columns["answered"] = True
    # Only a record without a result came: the other may still say more than "answered".
    if not columns["result"]:
        columns["result"] = str(Result.ANSWERED if columns["answered"] else Result.UNKNOWN)
    columns["hangup_by"] = columns["hangup_by"] or "unknown"
    answered_at, ended_at = columns["answered_at"], columns["ended_at"]
    conflicts = find_conflicts(evidence, region=region)
    if answered_at and ended_at and ended_at >= answered_at:
        # The times may come from one record and a duration of another meaning from the other.
        columns["talk_seconds"] = int((ended_at - answered_at).total_seconds())
        conflicts.pop("talk_seconds", None)
    details = sorted([field for field in best.keys() - _PLACED if field.startswith("details.")])
    columns["details"] = {field[8:]: best[field] for field in details}
    return Projection(columns, conflicts)


def _find_stage(best: Mapping[str, Any]) -> str:
    """How far the call is. Whatever is not known to be going on has ended."""
    if "progress" not in best or not {"record", "ended_at", "dialog"}.isdisjoint(best):
        return "ended"
    if "answered_at" in best or best.get("answered"):
        return "talking"
    if "ringing_at" in best:
        return "ringing"
    # Told without a time of anything: a reason why nobody could be reached.
    return "dialling" if "dialed_at" in best else "ended"


def find_conflicts(
    evidence: Mapping[str, list[list[Any]]], *, region: str = "CN"
) -> dict[str, list[dict[str, Any]]]:
    """Fields with distinct values, each with who said it, the one believed first."""
    conflicts: dict[str, list[dict[str, Any]]] = {}
    # News on the way is no contradiction of the record that follows.
    passing = {item[1] for item in evidence.get("progress", ())} if "record" in evidence else set()
    several = [field for field, items in evidence.items() if len(items) > 1]
    for field in sorted([field for field in several if not _agree(evidence[field])]):  # hardly any
        if field in CHANGING:
            continue
        items = evidence[field]
        said: list[tuple[str, Any]] = []
        for _, source, value in items:
            if source in passing or (field in VAGUE and value == "unknown"):
                continue
            if all(_contradict(field, (source, value), other, region) for other in said):
                said.append((source, value))
        if len(said) > 1:
            conflicts[field] = [
                {"source": source, "value": tell_value(field, value)} for source, value in said
            ]
    return conflicts


def tell_value(field: str, value: Any) -> Any:
    """What is shown of a statement: of a dialog only how long it is."""
    return N_("{} turns").format(value["turns"]) if field == "dialog" else value


def _contradict(field: str, one: tuple[str, Any], other: tuple[str, Any], region: str) -> bool:
    """Whether two statements about a field cannot both be true."""
    (source, value), (source2, value2) = one, other
    if _spell(value) == _spell(value2):
        return False
    if source.partition(".")[0] != source2.partition(".")[0] and (
        field in OWN_WORDS or field.startswith("details.")
    ):
        return False  # two kinds of message, each with words of its own
    if field in PHONES:
        return tell_phone(value, region=region) != tell_phone(value2, region=region)
    if field in TIMES:
        apart = datetime.fromisoformat(value) - datetime.fromisoformat(value2)
        return abs(apart.total_seconds()) >= 1  # one kind of message has milliseconds
    if field in INTEGERS and field != "attempt":
        return abs(value - value2) > 1  # rounded up here, down there
    if isinstance(value, dict) and isinstance(value2, dict) and field != "dialog":
        return any(value[name] != value2[name] for name in value.keys() & value2.keys())
    return True


def _read_time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
