"""In: one push of 7moor, as bytes. Out: what it says about a call or an agent, as events.

The nine kinds of "事件推送接口" come to one address. Pure: no clock, no database. What the platform
really does, against its own tables (platforms/oddities.md):

- ``pushType`` is missing in two samples and ``callStatus`` means two things, so the shape of the
  object says what it is, and ``pushType`` is asked only where the shape is silent.
- An agent's change of state tells the stage of a call too: it is both.
- The call is ``callUniqueId``; where that is absent, ``superUniqueId`` stands in.
- One hang-up comes up to three times; ids of events are used twice. So nothing is told apart by
  the id of the event, and every statement about a call is merged by its rank.
"""

from __future__ import annotations

from typing import Any

from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import (
    AccountSeen,
    AnyEvent,
    CallProgressed,
    Direction,
    Result,
)
from campaigns.platforms.moor7.agents import AGENT_FIELDS, read_presence, read_state
from campaigns.platforms.moor7.reading import Told, read_push, read_word
from campaigns.platforms.moor7.records import RECORD_SIGNS, read_record
from campaigns.platforms.moor7.vocabulary import (
    CALL_EVENTS,
    DIRECTIONS,
    MEDIA_FAILURES,
    PRESENCES,
    STATUSES,
)
from campaigns.platforms.values import MAX_NAME_CHARS, clean

ACCOUNT_SETTING = "account_id"
KINDS = {
    "": "all nine kinds of event: rings, answers, hang-ups, call records, failures heard, agents"
}

#: Their ``pushType``; the headings of the three that have none, or that of an agent's state.
TOLD_KINDS = {
    "dialoutRing": "dialoutRing",
    "dialoutHangup": "dialoutHangup",
    "incomingRing": "来电振铃",
    "incomingHangup": "来电挂机",
    "cdr": "cdr",
    "customerAnswered": "用户接通",
    "callStatus": "callStatus",
    "mediaFailreason": "mediaFailreason",
    "login": "login",
    "logout": "logout",
}

#: What is heard of a call while it goes on is believed less than its record. An agent's state is
#: the agent's view of the call; the outbound ring is called that of the agent in the text, and
#: looks like that of the customer.
MEDIA_RANK, RING_RANK, STATE_RANK, STAGE_RANK = 4, 5, 8, 10

_MEDIA_SIGNS = frozenset({"preMediaFailureReason", "preMediaCode", "preMediaKeyWord"})
_STATE_SIGNS = frozenset({"statusNumber", "statusName"})
#: What is the same in every push about a call; the rest belongs to the one push.
_LASTING = ("callType", "groupIdList", "groupNameList", "segments")
_NUMBERS = ("customerNumber", "trunkNumber", "displayNumber")
_PUSH_SHAPES = {
    "cdr": "record",
    "mediaFailreason": "media",
    "dialoutRing": "stage",
    "dialoutHangup": "stage",
    "callStatus": "state",
}


def parse(push: Push, reading: Reading) -> tuple[AnyEvent, ...]:
    """The events of one push, first the account that it names.

    Raises ``Unrecognised`` (``empty``, ``not_json``, ``not_object``, ``too_deep``, ``too_large``,
    ``unknown_shape``, ``no_call_id``, ``no_agent``) when it cannot be used.
    """
    told = read_push(push.body, zone=reading.time_zone)
    account = told.take_id("accountId")
    shape = _find_shape(told)
    events: tuple[AnyEvent, ...]
    if shape == "presence":
        events = (read_presence(told),)
    elif shape == "state":
        events = _read_state(told)
    else:
        call_id = _take_call_id(told)
        if call_id is None:
            raise Unrecognised("no_call_id", told.problems.get("callUniqueId", ""))
        if shape == "record":
            events = read_record(told, call_id, relation_id=_find_relation(told, call_id))
        elif shape == "media":
            events = (_read_media_failure(told, call_id),)
        else:
            events = (_read_stage(told, call_id),)
    if account is None:
        return events
    return (AccountSeen(setting=ACCOUNT_SETTING, platform_account_id=account), *events)


def _find_shape(told: Told) -> str:
    """Which of the kinds this object is."""
    push_type = read_word(told.raw.get("pushType"))
    stage = told.says("callEvent")
    if push_type in PRESENCES and not told.says("callUniqueId") and not stage:
        return "presence"
    if any(told.says(name) for name in _MEDIA_SIGNS):
        return "media"
    recorded = not RECORD_SIGNS.isdisjoint(told.raw)
    if (recorded or read_word(told.raw.get("status")) in STATUSES) and (
        push_type == "cdr" or not stage
    ):
        return "record"
    if any(told.says(name) for name in _STATE_SIGNS):
        return "state"
    if stage:
        return "stage"
    if told.says("loginType") != told.says("logoutType"):
        return "presence"
    if push_type not in _PUSH_SHAPES:
        raise Unrecognised("unknown_shape", "fits no kind")
    return _PUSH_SHAPES[push_type]


def _take_call_id(told: Told) -> str | None:
    own = told.take_id("callUniqueId", limit=MAX_NAME_CHARS)
    return own or told.id("superUniqueId", limit=MAX_NAME_CHARS)


def _find_relation(told: Told, call_id: str) -> str | None:
    """The other call that this one belongs to; 7moor does not say what a superUniqueId is."""
    above = told.take_id("superUniqueId", limit=MAX_NAME_CHARS)
    return above if above != call_id else None


# ------------------------------------------------------------------------------ stages of a call


def _read_state(told: Told) -> tuple[AnyEvent, ...]:
    """An agent's state, and the stage of the call in which the agent is."""
    agent = read_state(told)
    call_id = _take_call_id(told)
    stage = (
        (_read_stage(told, call_id, in_state=True),)
        if call_id is not None and told.says("callEvent")
        else ()
    )
    if agent is None and not stage:
        raise Unrecognised("no_agent", told.problems.get("agentNumber", ""))
    return (*([agent] if agent else []), *stage)


def _read_stage(told: Told, call_id: str, *, in_state: bool = False) -> CallProgressed:
    direction = DIRECTIONS.get(told.take_word("callType") or "")
    word = told.take_word("callEvent") or _guess_stage(told)
    column = CALL_EVENTS.get(word)
    moment = told.take_moment("statusTime")
    when: dict[str, Any] = {column: moment} if column else {}
    source = f"callStatus.{word}" if in_state else _name_stage(word, direction)
    rank = STATE_RANK if in_state else STAGE_RANK
    caller, callee = told.take_numbers(direction)
    carried = told.take_carried()
    return CallProgressed(
        source=source,
        rank=min(rank, RING_RANK) if column == "ringing_at" else rank,
        platform_call_id=call_id,
        platform_contact_id=told.find_contact(carried=carried),
        relation_id=_find_relation(told, call_id),
        direction=direction,
        caller=caller,
        callee=callee,
        answered=True if column == "answered_at" else None,
        agent_number=told.take_id("agentNumber"),
        agent_name=told.take_text("agentName", limit=100),
        details=_list_details(told, source, carried=carried),
        problems=told.problems,
        **when,
    )


def _guess_stage(told: Told) -> str:
    """The stage of a push that leaves it out and names its kind."""
    stages = {"dialoutRing": "ring", "dialoutHangup": "hangup"}
    return stages.get(told.take_word("pushType") or "", "")


def _name_stage(word: str, direction: Direction | None) -> str:
    """The kind of the push, by what it says: the inbound ones have no type of their own."""
    if word == "link":
        return "customerAnswered"
    inbound = direction is Direction.INBOUND
    if word == "hangup" and direction:
        return "incomingHangup" if inbound else "dialoutHangup"
    if word == "ring" and direction:
        return "incomingRing" if inbound else "dialoutRing"
    return "incomingRing" if word == "calling" and inbound else f"call.{word}"[:100]


def _list_details(told: Told, source: str, *, carried: dict[str, Any]) -> dict[str, Any]:
    """What is said of the call, and under a name of its own what is said by this one push: each
    has another id and another text, and none contradicts the others."""
    rest = told.list_rest(without=AGENT_FIELDS if told.says("agentNumber") else ())
    details = {name: rest.pop(name) for name in _LASTING if name in rest}
    details |= {name: rest.pop(name) for name in _NUMBERS if name in rest}
    if carried:
        details["carried"] = carried
    for name in ("eventUniqueId", "uniqueId"):
        if name in rest and (event_id := told.take_id(name)):
            rest[name] = event_id
    mark = rest.get("eventUniqueId") or rest.get("uniqueId") or clean(told.raw.get("statusTime"))
    if rest:
        details[f"{source} {mark if isinstance(mark, str) else ''}".strip()[:150]] = rest
    return details


# ---------------------------------------------------------------------------------- media failure


def _read_media_failure(told: Told, call_id: str) -> CallProgressed:
    """What was heard before anybody answered. The push has no time and no number; the record of
    the call rules over its result."""
    reason = told.take_word("preMediaFailureReason")
    known = MEDIA_FAILURES.get(reason or "")
    keyword = told.take_text("preMediaKeyWord", limit=300)
    heard = {
        "reason": reason,
        "code": told.integer("preMediaCode", low=-(2**31)),
        "keyword": keyword,
    }
    told.used.update(_MEDIA_SIGNS)
    direction = DIRECTIONS.get(told.take_word("callType") or "")
    caller, callee = told.take_numbers(direction)
    carried = told.take_carried()
    if told.says("segments") and not isinstance(told.raw["segments"], list):
        told.name_problem("segments", "is not a list")
        told.used.add("segments")
    source = "mediaFailreason"
    return CallProgressed(
        source=source,
        rank=MEDIA_RANK,
        platform_call_id=call_id,
        platform_contact_id=told.find_contact(carried=carried),
        relation_id=_find_relation(told, call_id),
        direction=direction,
        caller=caller,
        callee=callee,
        answered=known.answered if known else None,
        result=known.result if known else None if reason is None else Result.UNKNOWN,
        platform_result=reason,
        platform_result_text=keyword or (known.text if known else None),
        agent_number=told.take_id("agentNumber"),
        agent_name=told.take_text("agentName", limit=100),
        details={
            "media_failure": {name: value for name, value in heard.items() if value is not None},
            **_list_details(told, source, carried=carried),
        },
        problems=told.problems,
    )
