"""In: one push of 51ima, as bytes. Out: what it says about a call, as an event.

"通话记录回调说明": one kind of push, a call record. Pure: no clock, no database. What the platform
really sends, against its own table (platforms/oddities.md):

- The record stands in an undocumented ``data``. Its key ``expansionFields`` comes twice: ``notes``.
- "Datetime" fields are milliseconds. Whether a missing one is null, 0 or absent is not said.
- ``iccRecordDate`` is ten days before the call, so nothing is made of it; ``parkingWaitDuration``,
  seconds of ringing by the table, is an epoch second; ``evaluationScore`` is -1 where 0 is unrated.
- There are two results: ``callResult``, which no table has, is kept and decides nothing.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

from campaigns.platforms.bodies import Body, inner_json, read_body, read_object
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import CallEnded, Direction, HangupBy, Result, keep_apart
from campaigns.platforms.ima51.notes import NAME as NOTES
from campaigns.platforms.ima51.notes import read_notes
from campaigns.platforms.ima51.vocabulary import (
    DIRECTIONS,
    HANGUP_SIDES,
    HANGUP_TYPES,
    RESULTS,
    SCORES,
    SOURCES,
    UNRATED,
)
from campaigns.platforms.values import MAX_ITEMS, MAX_NAME_CHARS, Fields, clean

KINDS = {"": "call records, sent up to ten times when a call has ended"}
SOURCE, RANK = "callRecord", 20
TOLD_KINDS = {SOURCE: "通话记录"}

#: Any of these makes an object with an ``id`` a call record. Others have ``callType`` too.
_SIGNS = frozenset(
    {"iccCallId", "callingNumber", "calledNumber", "communicateBeginTime", "communicateEndTime"}
    | {"communicateDuration", "communicateSource", "speechCallResult", "handupDirection"}
)
_BEGIN, _ANSWER, _END = "communicateBeginTime", "agentAnswerTime", "communicateEndTime"
_TALK = "communicateDuration"
_CODES = ("callType", "handupDirection", "communicateSource", "evaluationScore")
#: what has a column of its own, or a place of its own among the details
_PLACES = frozenset(
    {"id", "iccCallId", "taskId", "callingNumber", "calledNumber", "staffId", "staffName"}
    | {_BEGIN, _ANSWER, _END, _TALK, "queueWaitDuration", "parkingWaitDuration"}
    | {"speechCallResult", "digitUrl", "transferId", "externalData", NOTES}
    | {"customerId", "customerName", "externalCustomerId", "custNumberAttribution", "custIspName"}
    | {*_CODES}
)
_IDS = ("tenantId", "communicateVoiceId", "skillSetId")
_SECONDS = ("callWaitDuration", "acw")
_PERSON_IDS = ("customerId", "externalCustomerId")
#: A day: no call is longer, and a time stamp in place of a duration is.
_LONGEST = 86_400
#: A call's times may be rounded to seconds, each by itself.
_ROUNDING = timedelta(seconds=1)
_DIGITS = re.compile(r"\s*[+-]?[0-9]+\s*\Z")
_OUR_CONTACT = re.compile(r"(?<![A-Za-z0-9-])CB-[0-9]{1,18}(?![0-9A-Za-z])")


def parse(push: Push, reading: Reading) -> tuple[CallEnded, ...]:
    """The record of one push, at whichever address it came.

    Raises ``Unrecognised`` (``empty``, ``not_json``, ``not_object``, ``too_deep``, ``too_large``,
    ``unknown_shape``, ``no_call_id``) when it cannot be used.
    """
    body, around = _unwrap(read_body(push.body, form=True))
    if _SIGNS.isdisjoint(body.value):
        raise Unrecognised("unknown_shape", "fits no kind")
    problems = {name: why for name, why in body.problems.items() if name != NOTES}
    fields = Fields(body.value, problems)
    call_id = fields.id("id", limit=MAX_NAME_CHARS)
    if call_id is None:
        raise Unrecognised("no_call_id", problems.get("id", ""))
    return (_read_record(fields, call_id, reading, body=body, around=around),)


def _unwrap(body: Body) -> tuple[Body, dict[str, Any]]:
    """The record, and what stood beside it in the wrapper. The wrapper is in no table: a record
    without one, or one inside a string, is read as well."""
    inner = body.value.get("data")
    if not isinstance(inner, dict | str) or not _SIGNS.isdisjoint(body.value):
        return body, {}
    problems, doubled = body.problems, body.doubled
    if isinstance(inner, str):
        told = read_object(inner)
        inner = told.value
        problems, doubled = problems | told.problems, doubled | told.doubled
    return Body(inner, problems, doubled), {k: v for k, v in body.value.items() if k != "data"}


def _read_record(
    fields: Fields, call_id: str, reading: Reading, *, body: Body, around: dict[str, Any]
) -> CallEnded:
    dialed_at, answered_at, ended_at, talk = _read_times(fields, reading)
    code = _read_code(fields, "speechCallResult")
    known = RESULTS.get(code) if code is not None else None
    answered = known.answered if known else None
    if answered is None and answered_at is not None:
        answered = True  # the result says nothing; somebody of theirs or a length of talk does
    details = _read_details(fields, reading, around)
    notes = read_notes(fields, doubled=body.doubled.get(NOTES, ()))
    if notes.notes:
        details["notes"] = notes.notes
    if notes.kept is not None:
        details[NOTES] = notes.kept
    return CallEnded(
        source=SOURCE,
        rank=RANK,
        platform_call_id=call_id,
        # 0 is what a Long without a value may look like
        platform_task_id=fields.id("taskId", none=("0",)),
        platform_contact_id=_find_contact(fields),
        relation_id=fields.id("iccCallId", limit=MAX_NAME_CHARS),
        direction=_read_direction(fields, details),
        caller=fields.text("callingNumber", limit=64),
        callee=fields.text("calledNumber", limit=64),
        dialed_at=dialed_at,
        answered_at=answered_at,
        ended_at=ended_at,
        answered=answered,
        ring_seconds=fields.integer("parkingWaitDuration", high=_LONGEST),
        talk_seconds=talk,
        wait_seconds=fields.integer("queueWaitDuration", high=_LONGEST),
        result=known.result if known else None if code is None else Result.UNKNOWN,
        platform_result=code,
        platform_result_text=known.text if known else None,
        hangup_by=_read_hangup(fields, details),
        agent_number=fields.id("staffId", none=("0",)),
        agent_name=fields.text("staffName", limit=MAX_NAME_CHARS),
        queue_name=details.get("skillSetId"),
        details=details,
        problems=fields.problems,
    )


# ------------------------------------------------------------------------------------------ times


def _read_times(
    fields: Fields, reading: Reading
) -> tuple[datetime | None, datetime | None, datetime | None, int | None]:
    """Dialling, answer, end, seconds of talk. Where no time of an answer came, talk counts back
    from the end. What cannot be in one call is emptied and named."""
    began, ended = _read_time(fields, _BEGIN, reading), _read_time(fields, _END, reading)
    answered = _read_time(fields, _ANSWER, reading)
    talk = fields.integer(_TALK, high=_LONGEST)
    if began and ended and ended < began:
        fields.name_problem(_END, "is before communicateBeginTime")
        ended = None
    if answered and began and answered < began - _ROUNDING:
        fields.name_problem(_ANSWER, "is before communicateBeginTime")
        answered = None
    if answered and ended and answered > ended + _ROUNDING:
        fields.name_problem(_ANSWER, "is after communicateEndTime")
        answered = None
    if talk and began and ended and timedelta(seconds=talk) > ended - began + _ROUNDING:
        fields.name_problem(_TALK, "is longer than the call")
        talk = None
    if answered is None and talk and ended:
        answered = ended - timedelta(seconds=talk)
    if answered:  # rounding must not put it outside of the call
        answered = max(answered, began or answered)
        answered = min(answered, ended or answered)
    return began, answered, ended, talk


def _read_time(fields: Fields, name: str, reading: Reading) -> datetime | None:
    """A "Datetime": milliseconds, as the sample has it, or a date and time as the word says."""
    value = fields.raw.get(name)
    if isinstance(value, str) and not _DIGITS.match(value):
        return fields.local_time(name, zone=reading.time_zone)
    return fields.epoch_ms(name)


# ------------------------------------------------------------------------------------------ codes


def _read_code(fields: Fields, name: str) -> str | None:
    """A code as a string: 4, "4", 4.0; a word that is no number as it is."""
    value = fields.raw.get(name)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return fields.id(name)


def _read_direction(fields: Fields, details: dict[str, Any]) -> Direction | None:
    code = _read_code(fields, "callType")
    if code is not None and code not in DIRECTIONS:
        fields.name_problem("callType", "is neither 1 nor 2")
        details["callType"] = code
    return DIRECTIONS.get(code or "")


def _read_hangup(fields: Fields, details: dict[str, Any]) -> HangupBy | None:
    """Who hung up, by the number; by the word where the number says nothing."""
    code = _read_code(fields, "handupDirection")
    word = (fields.text("hangUpDirectionType", limit=MAX_NAME_CHARS) or "").strip(" '\"")
    side, named = HANGUP_SIDES.get(code or ""), HANGUP_TYPES.get(word)
    if code is not None:
        details["handupDirection"] = _tell_code(code, side.text if side else "")
    if side and side.by is not HangupBy.UNKNOWN:
        if named and named.by is not side.by:
            fields.name_problem("hangUpDirectionType", "contradicts handupDirection")
        return side.by
    if named:
        return named.by
    return HangupBy.UNKNOWN if code is not None or word else None


def _tell_code(code: str, text: str) -> dict[str, str]:
    return {"code": code, "text": text} if text else {"code": code}


# ---------------------------------------------------------------------------------------- details


def _read_details(fields: Fields, reading: Reading, around: dict[str, Any]) -> dict[str, Any]:
    """What has no column: shared names for what every platform knows, the vendor's for the rest."""
    kept = keep_apart({**clean(around), **fields.rest(_PLACES)})
    for name in (*_IDS, *_SECONDS):
        if name in kept:
            kept[name] = fields.id(name) if name in _IDS else fields.integer(name, high=_LONGEST)
    if "createTime" in kept:
        made = _read_time(fields, "createTime", reading)
        kept["createTime"] = made.astimezone(reading.time_zone).isoformat() if made else None
    source = _read_code(fields, "communicateSource")
    if source is not None:
        kept["communicateSource"] = _tell_code(source, SOURCES.get(source, ""))
    _read_score(fields, kept)
    path = fields.text("digitUrl", limit=5_000)  # no URL: the steps of the menu
    if path:
        kept["path"] = [step for part in path.split(">")[:MAX_ITEMS] if (step := part.strip())]
    transfer = fields.id("transferId", none=("0",), limit=MAX_NAME_CHARS)
    if transfer:
        kept["transfer"] = {"transferId": transfer}
    kept["person"] = _read_person(fields, kept)
    if fields.has("externalData"):
        kept["carried"] = {"externalData": clean(inner_json(fields.raw["externalData"]))}
    return {name: value for name, value in kept.items() if value not in (None, "", {}, [])}


def _read_score(fields: Fields, kept: dict[str, Any]) -> None:
    """1 to 5 is what the contact said. 0 is "not rated"; any other number is none of the table."""
    score = fields.integer("evaluationScore", high=max(map(int, SCORES)))
    if score is None:
        return
    text = SCORES[str(score)]
    if str(score) == UNRATED:
        kept["evaluationScore"] = _tell_code(UNRATED, text)
    else:
        kept["survey"] = {"score": score, "text": text}


def _read_person(fields: Fields, kept: dict[str, Any]) -> dict[str, str]:
    """The person at the other end. Where the number is from is "重庆-" when only the province is
    known: it is shown without the dash and kept with it."""
    place = fields.text("custNumberAttribution", limit=MAX_NAME_CHARS) or ""
    shown = place.strip(" -")
    kept["custNumberAttribution"] = place if place != shown else None
    told = {
        "customerName": fields.text("customerName", limit=MAX_NAME_CHARS),
        **{name: fields.id(name, limit=MAX_NAME_CHARS) for name in _PERSON_IDS},
        "custNumberAttribution": shown,
        "custIspName": fields.text("custIspName", limit=MAX_NAME_CHARS),
    }
    return {name: value for name, value in told.items() if value}


def _find_contact(fields: Fields) -> str | None:
    """Our contact, when what was given along names it. No other ``externalCustomerId`` is one: it
    is the id of a person in somebody's system, who may be a contact of many tasks."""
    data = fields.raw.get("externalData")
    text = data if isinstance(data, str) else json.dumps(clean(data), ensure_ascii=False)
    found: set[str] = set(_OUR_CONTACT.findall(text))
    if len(found) > 1:
        fields.name_problem("externalData", "names more than one contact")
        return None
    if found:
        return found.pop()
    person = fields.id("externalCustomerId", limit=MAX_NAME_CHARS) or ""
    return person if _OUR_CONTACT.fullmatch(person) else None
