"""In: the fields of a call record of 7moor (cdr). Out: how the call went, and its recordings.

Every field of the table is kept: as a column, in a place of its own on the page of a call, or among
the details under the vendor's name. Times come from the record's own words: 呼叫开始时间 is when it
was dialled, 开始呼叫用户时间 (outbound) or 开始呼叫座席时间 (inbound) when it rang, 桥接时间 the
answer and 挂机时间 the end; a survey has its own times and does not lengthen the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from campaigns.platforms.events import (
    AnyEvent,
    CallEnded,
    Direction,
    HangupBy,
    RecordingReady,
    Result,
    keep_apart,
)
from campaigns.platforms.moor7.reading import Told, is_said
from campaigns.platforms.moor7.vocabulary import (
    DIRECTIONS,
    HANGUP_SIDES,
    RESULTS,
    CallResult,
)
from campaigns.platforms.values import Problem, read_address

RECORD_RANK = 30
SOURCE = "cdr"

TIMES = (
    *("agentAnswerTime", "agentStartTime", "bridgeTime", "createTime", "customerAnswerTime"),
    *("customerStartTime", "endTime", "hangupTime", "ivrTime", "joinQueueTime"),
    *("satisfyEndTime", "satisfyStartTime", "startTime", "systemAnswerTime", "saveTime"),
)
DURATIONS = (
    *("agentRingDuration", "bridgeDuration", "customerRingDuration", "playNumberDuration"),
    *("recordingDuration", "satisfyDuration", "totalDuration", "waitDuration"),
)
#: The four recordings of the text and the voice mail, those with all voices first.
ADDRESSES = (
    *("recordFileUrl", "doubleTrackFileUrl", "voiceMailUrl", "customerFileUrl", "agentFileUrl"),
)
#: Any of these makes an object a call record; no other push has them.
RECORD_SIGNS = frozenset(
    {*TIMES, *DURATIONS, *ADDRESSES, "cdrType", "billCalls", "hangUpSide", "sipCode"}
    | {"recordType", "failureReason", "hotLineNumber", "gatewayIP"}
)
_IDS = (
    *("actionId", "callId", "id", "_id", "uniqueId", "eventUniqueId", "applicationId", "ivrId"),
    *("satisfyIvrId", "agentId", "customerId", "relativeCallUniqueId", "queueNumber"),
)
_PERSON = (
    *("customerName", "customerId", "customerNumberType", "customerProvince", "customerCity"),
    *("customerCountry", "customerCountryCode", "customerAreaCode"),
)
_SURVEY = ("satisfyKeys", "satisfyStartTime", "satisfyEndTime", "satisfyDuration", "satisfyIvrId")
_SIP_CODES = (100, 699)


def read_record(
    told: Told, call_id: str, *, relation_id: str | None = None
) -> tuple[AnyEvent, ...]:
    """The record, then one event for each file of a recording."""
    direction = DIRECTIONS.get(told.take_word("callType") or "")
    word = _take_deciding_word(told)
    known = RESULTS.get(word or "")
    times = _take_times(told, direction, known)
    caller, callee = told.take_numbers(direction)
    carried = told.take_carried()
    contact = told.find_contact(carried=carried)
    task = told.take_id("taskId")
    keys: dict[str, Any] = {
        "source": SOURCE,
        "rank": RECORD_RANK,
        "platform_call_id": call_id,
        "platform_task_id": task if task != contact else None,
        "platform_contact_id": contact,
        "relation_id": relation_id or told.id("relativeCallUniqueId"),
    }
    said: dict[str, Any] = {
        "answered": known.answered if known else True if times["answered_at"] else None,
        "ring_seconds": told.take_seconds(
            "agentRingDuration" if direction is Direction.INBOUND else "customerRingDuration"
        ),
        "talk_seconds": told.take_seconds("bridgeDuration"),
        "wait_seconds": told.take_seconds("waitDuration"),
        "result": known.result if known else None if word is None else Result.UNKNOWN,
        "platform_result": word,
        "platform_result_text": known.text if known else None,
        "hangup_by": _read_side(told),
        "agent_number": told.take_id("agentNumber"),
        "agent_name": told.take_text("agentName", limit=100),
        "queue_name": told.take_text("queueName", limit=100),
    }
    recordings = _read_recordings(told, keys)
    details = _list_details(told)
    if carried:
        details["carried"] = carried
    record = CallEnded(
        **keys,
        **times,
        **said,
        direction=direction,
        caller=caller,
        callee=callee,
        details=details,
        problems=told.problems,
    )
    return (record, *recordings)


def _take_deciding_word(told: Told) -> str | None:
    """The word that says how the call ended: ``status``, or ``failureReason`` where that is empty
    (platforms/decisions.md). The other one stays among the details."""
    status, reason = told.take_word("status"), told.take_word("failureReason")
    if status is None:
        told.used.add("failureReason")
        return reason
    told.used.add("status")
    return status


def _read_side(told: Told) -> HangupBy | None:
    word = told.take_word("hangUpSide")
    return HANGUP_SIDES.get(word, HangupBy.UNKNOWN) if word else None


def _take_times(
    told: Told, direction: Direction | None, known: CallResult | None
) -> dict[str, Any]:
    """The four moments. A call that was not answered has no answer, though the agent's leg of an
    outbound one may have been picked up."""
    inbound = direction is Direction.INBOUND
    ringing = answered = None
    if direction:
        ringing = told.take_moment("agentStartTime" if inbound else "customerStartTime")
    if known is None or known.answered:
        answered = told.take_moment("bridgeTime")
        if answered is None and direction:
            answered = told.take_moment("agentAnswerTime" if inbound else "customerAnswerTime")
    ended = told.take_moment("hangupTime")
    surveyed = told.says("satisfyStartTime") or told.says("satisfyEndTime")
    if ended is None and not surveyed:
        ended = told.take_moment("endTime")
    if answered and ended and ended < answered:
        told.name_problem("hangupTime", "is before bridgeTime")
        ended = None
    return {
        "dialed_at": told.take_moment("startTime"),
        "ringing_at": ringing,
        "answered_at": answered,
        "ended_at": ended,
    }


def _read_recordings(told: Told, keys: Mapping[str, Any]) -> list[RecordingReady]:
    """One event for each distinct address, with the fields that named it: they tell whose voice it
    is. The one of a voice mail comes with ordinary calls too; only ``recordType`` makes it one."""
    found: dict[str, list[str]] = {}
    for name in ADDRESSES:
        told.used.add(name)
        if not told.says(name):
            continue
        try:
            address = read_address(told.raw[name])
        except Problem as problem:
            told.name_problem(name, str(problem))
            continue
        if address[:4].lower() == "http":
            found.setdefault(address, []).append(name)
        else:
            told.name_problem(name, "is not an address")
    seconds = told.take_seconds("recordingDuration") if found else None
    return [
        RecordingReady(
            **keys,
            address=address,
            seconds=seconds,
            details=dict.fromkeys(names, address),
        )
        for address, names in found.items()
    ]


def _list_details(told: Told) -> dict[str, Any]:
    """What is no column, checked: what the page of a call has a place for, then all the rest."""
    rest = told.list_rest()
    if "agentAreacode" in rest:  # the table's spelling of what the sample calls agentAreaCode
        rest.setdefault("agentAreaCode", rest["agentAreacode"])
        if rest["agentAreaCode"] == rest["agentAreacode"]:
            del rest["agentAreacode"]
    checked: dict[str, Callable[[str], Any]] = {
        **dict.fromkeys(TIMES, told.take_moment),
        **dict.fromkeys(DURATIONS, told.take_seconds),
        **dict.fromkeys(_IDS, told.take_id),
    }
    for name in [name for name in rest if name in checked]:
        value = checked[name](name)
        if value is None:
            del rest[name]
        elif name not in TIMES:
            rest[name] = value
    if "sipCode" in rest:
        rest["sipCode"] = told.integer("sipCode", low=_SIP_CODES[0], high=_SIP_CODES[1])
    details: dict[str, Any] = {}
    if any(rest.get(name) for name in _SURVEY):
        survey = {name: rest.pop(name) for name in _SURVEY if name in rest}
        details["survey"] = {"score": None, "text": _name_keys(survey), **survey}
    if person := {name: rest.pop(name) for name in _PERSON if name in rest}:
        details["person"] = person
    if "relativeCallUniqueId" in rest:
        details["transfer"] = {"relativeCallUniqueId": rest.pop("relativeCallUniqueId")}
    if step := told.text("ivrName", limit=300):
        details["path"] = [step]
    rest.pop("ivrName", None)
    return details | keep_apart({name: value for name, value in rest.items() if is_said(value)})


def _name_keys(survey: Mapping[str, Any]) -> str:
    """The keys pressed. What a key means is said nowhere, so it is no score."""
    keys = survey.get("satisfyKeys")
    return (
        ", ".join(str(key) for key in keys if is_said(key))
        if isinstance(keys, list)
        else str(keys or "")
    )
