"""In: a push of the predictive dialler. Out: what it says of a task, a call or an agent, as events.

Only the task's body is in the text (platforms/airudder-pds-task-status.txt), in ``pds`` with the
workflow around it. That it comes bare too, ``{type, body}``, and what a contact's and an agent's
body hold, is known from public client code (platforms/facts.md): *unverified*. A push has no id and
that of a task no time: whether it comes twice or late can be told by its content alone.
"""

from __future__ import annotations

import json
from datetime import tzinfo
from typing import Any

from campaigns.platforms.airudder.details import drop_empty, make_details, read_map
from campaigns.platforms.airudder.vocabulary import (
    CONTACT_STATES,
    FINAL_STATES,
    HANGUP_REASONS,
    find_word,
    get_task_state,
)
from campaigns.platforms.bodies import inner_json
from campaigns.platforms.contract import Reading
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import (
    AgentChanged,
    AgentState,
    AnyEvent,
    CallEnded,
    CallProgressed,
    Direction,
    RecordingReady,
    Result,
    TaskChanged,
)
from campaigns.platforms.values import MAX_NAME_CHARS, Fields, Problem, clean, read_address

TYPES = ("TaskStatus", "ContactStatus", "AgentStatus")

#: Events of the dialler; a record knows better, and what an agent noted later is the later word.
PROGRESS_RANK, HANGUP_RANK, TALK_RESULT_RANK = 5, 6, 7
_RANKS = {"HANGUP": HANGUP_RANK, "TALKRESULT": TALK_RESULT_RANK}

_COUNTERS = (
    *("totalNumber", "dialedNumber", "answeredNumber", "talkedNumber"),
    *("registeredCount", "talkResultCount"),
)
#: Any of these is said of a task alone, of a contact's call, of an agent.
_TASK_SIGNS = frozenset({*_COUNTERS, "taskName", "groupName", "actualStartTime"})
_CONTACT_SIGNS = frozenset({"callid"})
_AGENT_SIGNS = frozenset({"State"})
_AGENT_NAMES = frozenset({"agentName"})
_OUTSIDE = ("workflow_id", "workflow_name", "nodetask_id", "nodetask_name")


def read_pds(
    raw: dict[str, Any], reading: Reading, *, problems: dict[str, str]
) -> tuple[AnyEvent, ...]:
    """The events of one push, wrapped in ``pds`` or bare.

    Raises ``Unrecognised`` (``unknown_shape``, ``no_call_id``, ``no_task_id``, ``no_agent``).
    """
    inner = inner_json(raw.get("pds"))
    wrapped = isinstance(inner, dict)
    pds = inner if isinstance(inner, dict) else raw
    body = inner_json(pds.get("body"))
    if not isinstance(body, dict):
        raise Unrecognised("unknown_shape", "its body is not an object")
    outside = Fields(raw, problems)
    fields = Fields(body, problems, "body.")
    kept = outside.rest({"pds", "type", "body", "workflow_id", "workflow_name"})
    if wrapped:
        kept |= clean({k: v for k, v in pds.items() if k not in ("type", "body")})
    kind = _find_type(pds.get("type"), body)
    if kind == "TaskStatus":
        return (_read_task(outside, fields, kept, zone=reading.time_zone),)
    if kind == "AgentStatus":
        return (_read_agent(outside, fields, kept),)
    return _read_contact(outside, fields, kept)


def _find_type(word: Any, body: dict[str, Any]) -> str:
    """What the body is about. Its ``type`` decides when the body fits it or nothing else; when not,
    the body decides if it fits only one."""
    named = next((t for t in TYPES if isinstance(word, str) and t.lower() == word.lower()), None)
    fitting = set()
    if not _CONTACT_SIGNS.isdisjoint(body):
        fitting.add("ContactStatus")
    if not _TASK_SIGNS.isdisjoint(body):
        fitting.add("TaskStatus")
    if not _AGENT_SIGNS.isdisjoint(body) or (not fitting and not _AGENT_NAMES.isdisjoint(body)):
        fitting.add("AgentStatus")
    if named == "AgentStatus" and not _AGENT_NAMES.isdisjoint(body):
        return named  # an agent in a call: the body of a contact names its agent too
    if named is not None and (named in fitting or not fitting):
        return named
    if len(fitting) == 1:
        return fitting.pop()
    raise Unrecognised("unknown_shape", "fits several kinds" if fitting else "fits no kind")


def _read_state(fields: Fields) -> tuple[str | None, str]:
    """The word of the state and the name it stands under."""
    name = "state" if fields.has("state") or not fields.has("State") else "State"
    return fields.text(name, limit=100), name


def _read_task_id(outside: Fields, fields: Fields) -> str | None:
    """The workflow is the task that we made; bare, the dialler's own task is all there is."""
    return outside.id("workflow_id") or fields.id("taskId")


# ------------------------------------------------------------------------------------------- tasks


def _read_task(
    outside: Fields, fields: Fields, kept: dict[str, Any], *, zone: tzinfo
) -> TaskChanged:
    """``startTime`` is the plan; the task began at ``actualStartTime``. Both are ISO 8601 with a Z,
    ``endTime`` is "" until there is one."""
    task_id = _read_task_id(outside, fields)
    if task_id is None:
        raise Unrecognised("no_task_id")
    word, state_name = _read_state(fields)
    counts = {name: fields.integer(name) for name in _COUNTERS if fields.has(name)}
    details = {**kept, **fields.rest({*_COUNTERS, state_name, "actualStartTime", "endTime"})}
    if fields.local_time("startTime", zone=zone) is None:
        details.pop("startTime", None)
    own_name = fields.text("taskName", limit=MAX_NAME_CHARS)
    return TaskChanged(
        source="pds.TaskStatus",
        platform_task_id=task_id,
        name=outside.text("workflow_name", limit=MAX_NAME_CHARS) or own_name,
        state=get_task_state(word or ""),
        platform_state=word or "",
        counts={name: count for name, count in counts.items() if count is not None},
        node_id=outside.id("nodetask_id"),
        node_name=outside.text("nodetask_name", limit=MAX_NAME_CHARS),
        started_at=fields.local_time("actualStartTime", zone=zone),
        finished_at=fields.local_time("endTime", zone=zone),
        details=drop_empty(details),
        problems=fields.problems,
    )


# ------------------------------------------------------------------------------------------- calls

_CONTACT_PLACES = frozenset(
    {"callid", "phoneNumber", "mainNumber", "hangupReason", "timestamp", "recLink", "agentName"}
    | {"customerInfo", "customizeResults", "nthCall"}
)


def _read_contact(outside: Fields, fields: Fields, kept: dict[str, Any]) -> tuple[AnyEvent, ...]:
    call_id = fields.id("callid", limit=MAX_NAME_CHARS)
    if call_id is None:
        raise Unrecognised("no_call_id", fields.problems.get("body.callid", ""))
    word, state_name = _read_state(fields)
    state = find_word(CONTACT_STATES, word)
    keys: dict[str, Any] = {
        "source": f"pds.{state}" if state else "pds.ContactStatus",
        "rank": _RANKS.get(state or "", PROGRESS_RANK),
        "platform_call_id": call_id,
        "platform_task_id": _read_task_id(outside, fields),
    }
    number = fields.id("phoneNumber", limit=64)
    main = fields.id("mainNumber", limit=64)
    nth = fields.integer("nthCall", high=10_000)
    said: dict[str, Any] = {
        "direction": Direction.OUTBOUND,
        "callee": number,
        "attempt": nth or None,  # 0 would be before the first: no attempt that we know
        "agent_number": fields.text("agentName", limit=100),
        "agent_name": fields.text("agentName", limit=100),
    }
    own = {**kept, **fields.rest({*_CONTACT_PLACES, state_name})}
    own |= {"workflow_name": outside.text("workflow_name", limit=MAX_NAME_CHARS), "nthCall": nth}
    if state is None:  # a known one says itself in times and in what follows
        own["contact_state"] = word
    shared = {
        "contact_number": main or number,
        "person": read_map(fields, "customerInfo"),
        "notes": _read_notes(fields),
    }
    at = fields.epoch_ms("timestamp")
    if (column := CONTACT_STATES.get(state or "")) is not None:
        said[column] = at
    elif at is not None:
        own["timestamp"] = at.isoformat()
    if state == "ANSWERED":
        # How it ended may say more, or nothing: a normal hang-up tells nobody's answer.
        said |= {"answered": True, "result": Result.ANSWERED}
    kind: type[CallEnded | CallProgressed] = CallProgressed
    if state in FINAL_STATES:
        kind = CallEnded
        said |= _read_reason(fields)
    else:
        own["hangupReason"] = clean(fields.raw.get("hangupReason"))
    recording = _read_recording(fields, keys)
    call = kind(**keys, **said, details=make_details(own, shared), problems=fields.problems)
    return tuple(event for event in (call, recording) if event is not None)


def _read_reason(fields: Fields) -> dict[str, Any]:
    """Why the call ended. ``hangupReason`` is a number or one in a string."""
    code = fields.id("hangupReason")
    if code is None:
        return {}
    known = HANGUP_REASONS.get(code)
    return {
        "platform_result": code,
        "platform_result_text": known.text if known else None,
        "result": known.result if known else Result.UNKNOWN,
        "answered": known.answered if known else None,
        "hangup_by": known.hangup_by if known else None,
    }


def _read_recording(fields: Fields, keys: dict[str, Any]) -> RecordingReady | None:
    """``recLink`` where it is a whole address: no text knows a prefix for the other kind."""
    if not fields.has("recLink"):
        return None
    try:
        address = read_address(fields.raw["recLink"])
        if not address.lower().startswith(("http://", "https://")):
            raise Problem("is not a whole address")
    except Problem as problem:
        fields.name_problem("recLink", str(problem))
        return None
    return RecordingReady(**keys, address=address)


def _read_notes(fields: Fields) -> list[dict[str, Any]]:
    """``customizeResults``: what the agent filled in, by the customer's own names."""
    return [
        {"name": name, "text": _spell(text)}
        for name, text in read_map(fields, "customizeResults").items()
        if text not in (None, "", [], {})
    ]


def _spell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# ------------------------------------------------------------------------------------------ agents


def _read_agent(outside: Fields, fields: Fields, kept: dict[str, Any]) -> AgentChanged:
    """An agent is known by its name: no client code knows another id. Neither knows any its states,
    so each is ``UNKNOWN`` with the platform's word beside it."""
    name = fields.text("agentName", limit=100)
    if name is None:
        raise Unrecognised("no_agent", fields.problems.get("body.agentName", ""))
    word, state_name = _read_state(fields)
    places = {"agentName", "timestamp", "callid", state_name}
    names = {field: outside.text(field, limit=MAX_NAME_CHARS) for field in _OUTSIDE}
    return AgentChanged(
        source="pds.AgentStatus",
        agent_number=name,
        agent_name=name,
        state=AgentState.UNKNOWN,
        platform_state=word,
        at=fields.epoch_ms("timestamp"),
        platform_call_id=fields.id("callid", limit=MAX_NAME_CHARS),
        details=drop_empty({**kept, **names, **fields.rest(places)}),
        problems=fields.problems,
    )
