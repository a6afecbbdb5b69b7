"""In: the record of a call of AI Rudder. Out: the call, its earlier attempts and its transcript.

The record is that of the API node's push and of the verify answer's ``data``
(platforms/airudder-index-and-verify.txt, with the readings of platforms/decisions.md):

- ``redial_call`` holds the earlier attempts, ``call`` is the last one. An attempt's label is
  ``result_label`` there and ``intention`` here.
- Nothing says whether somebody picked up. The contact's own words, an answered question and who
  hung up do; a label never does.
- ``call_start_time`` is when it was dialled, local and without a zone. There is no duration and no
  recording. ``ring_time`` has no unit: it is read as seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from campaigns.platforms.airudder.contacts import CALLEE_NAMES, Contact, read_contact
from campaigns.platforms.airudder.details import drop_empty, make_details, read_objects
from campaigns.platforms.airudder.findings import read_findings
from campaigns.platforms.airudder.transcripts import read_turns
from campaigns.platforms.airudder.vocabulary import HANGUP_TYPES
from campaigns.platforms.bodies import inner_json
from campaigns.platforms.contract import Reading
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import (
    AnyEvent,
    CallEnded,
    DialogReady,
    Direction,
    HangupBy,
    PushClaimed,
    Result,
    Role,
    TurnSaid,
)
from campaigns.platforms.values import MAX_CALL_SECONDS, MAX_NAME_CHARS, Fields, clean

#: A redial item tells less of a call than a record of its own would.
REDIAL_PENALTY = 5
MAX_REDIALS = 200

#: Any of these beside a ``call_id`` makes an object a record without its ``call`` around it.
CALL_SIGNS = frozenset({"callee_number", "hangup_type", "ring_type", "call_start_time"})
_WORKFLOW_NAMES = frozenset(
    {"workflow_id", "workflow_name", "node_id", "node_name", "nodetask_id", "nodetask_name"}
    | {"callee", "custom_attribute"}
)
_CALL_PLACES = frozenset(
    {"call_id", "robot_id", "callee_number", "caller_number", "call_start_time", "call_end_time"}
    | {"ring_type", "ring_time", "hangup_type", "intention", "intention_description", "slots"}
    | {"ner_slots", "question_answer", "multi_label", "asr_result", "redial_call"}
)
_COUNTS = {"call_times": 10_000, "talk_round": 1_000_000}


@dataclass(frozen=True, slots=True)
class _Context:
    """What the calls of one record have in common."""

    reading: Reading
    source: str
    rank: int
    task_id: str | None
    contact: Contact
    own: dict[str, Any]
    #: one push a number: when it connects, or after its last redial
    final: bool = True


def read_call_push(
    raw: dict[str, Any], reading: Reading, *, source: str, rank: int, problems: dict[str, str]
) -> tuple[AnyEvent, ...]:
    """The events of a record that was pushed. What an API node pushed can be asked about; of a call
    completion the text says that it cannot."""
    events = read_record_events(raw, reading, source=source, rank=rank, problems=problems)
    claim = _read_claim(raw, events[0]) if source == "api-node" else None
    return (*events, claim) if claim else events


def read_record_events(
    raw: dict[str, Any], reading: Reading, *, source: str, rank: int, problems: dict[str, str]
) -> tuple[AnyEvent, ...]:
    """The last call first, then its transcript, then the earlier attempts.

    Raises ``Unrecognised("no_call_id")``.
    """
    record = Fields(_split(raw), problems)
    call = Fields(record.raw["call"], problems, "call.")
    call_id = call.id("call_id", limit=MAX_NAME_CHARS)
    if call_id is None:
        raise Unrecognised("no_call_id", problems.get("call.call_id", ""))
    contact = read_contact(record)
    own = record.rest({"workflow_id", "callee", "custom_attribute", "call"})
    redials, unusable = _list_redials(call, call_id)
    if unusable:
        own["redial_call"] = unusable
    context = _Context(reading, source, rank, record.id("workflow_id"), contact, own)
    attempt = _read_attempt(call, earlier=len(redials))
    events = _read_call(call, call_id, context, attempt=attempt, shared=contact.details)
    names: dict[str, Any] = {
        name: own[name] for name in ("workflow_name", "node_name") if name in own
    }
    earlier = replace(
        context, source=f"{source}.redial", rank=rank - REDIAL_PENALTY, own=names, final=False
    )
    shared = {"contact_number": contact.number}
    for number, (fields, redial_id) in enumerate(_order(redials, reading), 1):
        events += _read_call(fields, redial_id, earlier, attempt=number, shared=shared)
    return tuple(events)


def _split(raw: dict[str, Any]) -> dict[str, Any]:
    """A record with its ``call`` and its ``callee`` as objects, also where ``callee`` is a number
    alone, or where the fields of all three stand in one object."""
    call, callee = inner_json(raw.get("call")), inner_json(raw.get("callee"))
    given = {name: raw[name] for name in CALLEE_NAMES & raw.keys()}
    if isinstance(callee, dict):
        given |= callee
    elif callee not in (None, ""):
        given["callee_number"] = callee
    outer = {k: v for k, v in raw.items() if k not in CALLEE_NAMES and k not in ("call", "callee")}
    if not isinstance(call, dict):
        call = {k: v for k, v in outer.items() if k not in _WORKFLOW_NAMES}
        outer = {k: v for k, v in outer.items() if k in _WORKFLOW_NAMES}
    return outer | {"callee": given, "call": call}


# -------------------------------------------------------------------------------------- attempts


def _list_redials(call: Fields, call_id: str) -> tuple[list[tuple[Fields, str]], list[Any]]:
    """The earlier attempts with their ids, each with its own problems, and what is none."""
    found: dict[str, Fields] = {}
    unusable: list[Any] = []
    for row in read_objects(call, "redial_call", limit=MAX_REDIALS):
        fields = Fields(row.raw, {}, row.place)
        redial_id = row.id("call_id", limit=MAX_NAME_CHARS)
        if redial_id is None or redial_id == call_id or redial_id in found:
            why = "is not there" if redial_id is None else "is given twice"
            call.problems.setdefault(f"{row.place}call_id", why)
            unusable.append(clean(row.raw))
        else:
            found[redial_id] = fields
    return [(fields, redial_id) for redial_id, fields in found.items()], unusable


def _order(redials: list[tuple[Fields, str]], reading: Reading) -> list[tuple[Fields, str]]:
    """By the time of dialling; one without a time stays behind the one before it."""
    keyed: list[tuple[float, int, tuple[Fields, str]]] = []
    last = float("-inf")
    for index, (fields, redial_id) in enumerate(redials):
        at = fields.local_time("call_start_time", zone=reading.time_zone)
        last = at.timestamp() if at else last
        keyed.append((last, index, (fields, redial_id)))
    return [pair for _, _, pair in sorted(keyed, key=lambda item: item[:2])]


def _read_attempt(call: Fields, *, earlier: int) -> int:
    """``call_times`` counts the last call too; it cannot be less than the calls that are listed."""
    times = call.integer("call_times", high=_COUNTS["call_times"])
    if times and times <= earlier:
        call.name_problem("call_times", "is less than the calls that are listed")
    return times if times and times > earlier else earlier + 1


# ------------------------------------------------------------------------------------------ calls


def _read_call(
    fields: Fields, call_id: str, context: _Context, *, attempt: int, shared: dict[str, Any]
) -> list[AnyEvent]:
    """One call, and its transcript where it has one."""
    zone = context.reading.time_zone
    dialed_at = fields.local_time("call_start_time", zone=zone)
    ended_at = fields.local_time("call_end_time", zone=zone)
    if dialed_at and ended_at and ended_at < dialed_at:
        fields.name_problem("call_end_time", "is before call_start_time")
        ended_at = None
    said = Fields(fields.raw, {}, fields.place)
    turns, more = read_turns(said, began_at=dialed_at)
    if not turns:
        fields.problems.update(said.problems)
    findings = read_findings(fields)
    word = fields.text("hangup_type", limit=100)
    known = HANGUP_TYPES.get(word) if word else None
    answered = _tell_answered(turns, findings["questions"]) or (known.answered if known else None)
    outcome = known.result if known else Result.UNKNOWN if word else None
    label = None if fields.has("intention") else fields.text("result_label", limit=50)
    intention = fields.text("intention", limit=50) or label
    keys: dict[str, Any] = {
        "source": context.source,
        "rank": context.rank,
        "platform_call_id": call_id,
        "platform_task_id": context.task_id,
        "platform_contact_id": context.contact.case_id,
        "platform_robot_id": fields.id("robot_id"),
    }
    own = _read_own(fields, context, used={"result_label"} if label else set())
    if more and not turns:
        own["asr_result"] = more
    call = CallEnded(
        **keys,
        direction=Direction.OUTBOUND,
        caller=fields.id("caller_number", limit=64),
        callee=fields.id("callee_number", limit=64) or context.contact.number,
        dialed_at=dialed_at,
        ended_at=ended_at,
        answered=answered,
        ring_seconds=fields.integer("ring_time", high=MAX_CALL_SECONDS),
        result=Result.ANSWERED if answered else outcome,
        platform_result=word,
        platform_result_text=fields.text("ring_type", limit=300),
        hangup_by=known.hangup_by if known else HangupBy.UNKNOWN if word else None,
        intention=intention,
        attempt=attempt,
        final=context.final,
        details=make_details(own, {**findings, **shared}),
        problems=fields.problems,
    )
    if not turns:
        return [call]
    dialog = DialogReady(
        **keys,
        turns=turns,
        intention=intention,
        details=drop_empty({"asr_result": more}),
        problems=said.problems,
    )
    return [call, dialog]


def _tell_answered(turns: tuple[TurnSaid, ...], questions: list[dict[str, Any]]) -> bool | None:
    """Whether somebody picked up, by what was said. None: that does not tell."""
    spoke = any(turn.role is Role.CONTACT for turn in turns)
    return True if spoke or any(question["answered"] for question in questions) else None


def _read_own(fields: Fields, context: _Context, *, used: set[str]) -> dict[str, Any]:
    """What has no meaning for other platforms: of the workflow, and of the call."""
    own = dict(context.own)
    for name, value in fields.rest({*_CALL_PLACES, *used, *_COUNTS}).items():
        own[f"call.{name}" if name in own else name] = value
    for name, high in _COUNTS.items():
        own[name] = fields.integer(name, high=high)
    return own


# ----------------------------------------------------------------------------------------- claims


def _read_claim(raw: dict[str, Any], call: AnyEvent) -> PushClaimed | None:
    """What the platform can be asked about: the main call of a node, by its contact's number."""
    if not isinstance(call, CallEnded):
        return None
    node_id, number = Fields(raw).id("node_id"), call.details.get("contact_number")
    if not (call.platform_task_id and node_id and number):
        return None
    query = {"workflow_id": call.platform_task_id, "node_id": node_id, "callee": number}
    if call.platform_contact_id:
        query["case_id"] = call.platform_contact_id
    return PushClaimed(
        source=call.source,
        rank=call.rank,
        platform_call_id=call.platform_call_id,
        platform_task_id=call.platform_task_id,
        platform_contact_id=call.platform_contact_id,
        platform_robot_id=call.platform_robot_id,
        query=query,
        claim=clean(raw),
    )
