"""In: one push of yeta, as bytes. Out: what it says about a call, as events.

Part 2 of "yeta开放平台开发接口": receiveCallRecord, receiveVoice, receiveDialog. Pure: no clock, no
database. What the platform really does, against its own tables (platforms/oddities.md):

- An outbound call brings two call records in any order; the one with ``task_row_index`` is the
  fuller one and rules. The other, and that of an inbound call, has no result.
- Times are called "unix_time" and are milliseconds. ``duration_call`` counts from the answer in
  some records and from the dialling in others, so talk seconds come from the times when they can.
- A record of the failed-push file wraps the same data in ``{data, module, retryTimes, timestamp}``.
- Rows of a dialog repeat the robot's sentence on the customer's row.
"""

from __future__ import annotations

from typing import Any

from campaigns.platforms.bodies import inner_json, read_body
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Ignored, Unrecognised
from campaigns.platforms.events import (
    AnyEvent,
    CallEnded,
    DialogReady,
    Direction,
    RecordingReady,
    Result,
    keep_apart,
)
from campaigns.platforms.values import (
    BIGINT_MAX,
    MAX_CALL_SECONDS,
    MAX_NAME_CHARS,
    Fields,
    Problem,
    read_address,
)
from campaigns.platforms.yeta.answers import QUESTIONS
from campaigns.platforms.yeta.dialogs import read_turns
from campaigns.platforms.yeta.vocabulary import DIRECTIONS, RESULTS

KINDS = {
    "receiveCallRecord": "call records, twice for an outbound call",
    "receiveVoice": "where the recording of a call can be fetched",
    "receiveDialog": "what was said in a call",
    "getDialogContext": "asks for the variables of an inbound call",
    "semantic": "asks for the meaning of what a contact said",
}
#: Part 3: no news but questions, see ``answers``
REQUESTS = frozenset(QUESTIONS)

#: A record of these ranks is believed over one of a lower rank.
BASIC_RANK, OUTBOUND_RANK = 10, 20
DIALOG_RANK = VOICE_RANK = 10

#: Any of these makes an object a call record; ``url`` a recording; ``dialog`` a dialog.
_RECORD_SIGNS = frozenset(
    {"time_dial", "time_ring", "time_answer", "time_hangup", "duration_ring", "duration_call"}
    | {"task_result", "task_row_index"}
)
_SIGNS = {
    "receiveCallRecord": _RECORD_SIGNS,
    "receiveVoice": frozenset({"url"}),
    "receiveDialog": frozenset({"dialog"}),
}
_KEYS = ("call_uuid", "task_id", "task_data_id", "robot_id", "call_relation_id")
#: ``task_id`` of a call that belongs to no task that was created (l.346 of the text)
_NO_TASK = ("0", "-1")


def parse(push: Push, reading: Reading) -> tuple[AnyEvent, ...]:
    """The events of one push.

    Raises ``Unrecognised`` (``empty``, ``not_json``, ``not_object``, ``too_deep``, ``too_large``,
    ``unknown_shape``, ``no_call_id``, ``bad_address``) when it cannot be used, ``Ignored`` for a
    request that the platform waits on an answer for.
    """
    body = read_body(push.body, form=True)
    raw, kind, problems = body.value, push.kind, dict(body.problems)
    inner = inner_json(raw.get("data"))
    if isinstance(inner, dict) and "call_uuid" not in raw:
        raw, kind = inner, _read_module(raw.get("module")) or kind
    if kind in REQUESTS:
        raise Ignored("request")
    fields = Fields(raw, problems)
    shape = _find_shape(raw, kind)
    call_id = fields.id("call_uuid", limit=MAX_NAME_CHARS)
    if call_id is None:
        raise Unrecognised("no_call_id", problems.get("call_uuid", ""))
    if shape == "receiveCallRecord":
        return (_read_record(fields, call_id),)
    if shape == "receiveVoice":
        return (_read_voice(fields, call_id),)
    return (_read_dialog(fields, call_id),)


def _read_module(value: Any) -> str:
    return value if isinstance(value, str) and value in KINDS else ""


def _find_shape(raw: dict[str, Any], kind: str) -> str:
    """The kind that this object is. The address decides when the object fits it; when it does not,
    the shape decides if only one fits."""
    if kind in _SIGNS and not _SIGNS[kind].isdisjoint(raw):
        return kind
    fitting = [name for name, signs in _SIGNS.items() if not signs.isdisjoint(raw)]
    if len(fitting) == 1:
        return fitting[0]
    raise Unrecognised("unknown_shape", "fits several kinds" if fitting else "fits no kind")


def _read_keys(fields: Fields, call_id: str) -> dict[str, Any]:
    return {
        "platform_call_id": call_id,
        "platform_task_id": fields.id("task_id", none=_NO_TASK),
        "platform_contact_id": fields.id("task_data_id", none=_NO_TASK),
        "platform_robot_id": fields.id("robot_id"),
        "relation_id": fields.id("call_relation_id", limit=MAX_NAME_CHARS),
    }


# ----------------------------------------------------------------------------------- call records


def _read_record(fields: Fields, call_id: str) -> CallEnded:
    outbound = "task_row_index" in fields.raw
    dialed_at, ringing_at = fields.epoch_ms("time_dial"), fields.epoch_ms("time_ring")
    answered_at, ended_at = fields.epoch_ms("time_answer"), fields.epoch_ms("time_hangup")
    talk = fields.integer("duration_call", high=MAX_CALL_SECONDS)
    if answered_at and ended_at:
        if ended_at >= answered_at:
            talk = int((ended_at - answered_at).total_seconds())
        else:
            fields.name_problem("time_hangup", "is before time_answer")
    code = fields.id("task_result")
    known = RESULTS.get(code) if code is not None else None
    tries = fields.integer("task_tries", high=10_000)
    # The text decides by ``time_answer``; the result where no time came. A basic record without one
    # says nothing yet: the outbound record may know better.
    answered = True if answered_at is not None else known.answered if known else None
    keys = _read_keys(fields, call_id)
    return CallEnded(
        source="receiveCallRecord.outbound" if outbound else "receiveCallRecord.basic",
        rank=OUTBOUND_RANK if outbound else BASIC_RANK,
        **keys,
        direction=_read_direction(fields),
        caller=fields.text("caller", limit=64),
        callee=fields.text("callee", limit=64),
        dialed_at=dialed_at,
        ringing_at=ringing_at,
        answered_at=answered_at,
        ended_at=ended_at,
        answered=answered,
        ring_seconds=fields.integer("duration_ring", high=MAX_CALL_SECONDS),
        talk_seconds=talk,
        result=known.result if known else None if code is None else Result.UNKNOWN,
        platform_result=code,
        platform_result_text=fields.text("task_result_desc", limit=300),
        hangup_by=known.hangup_by if known else None,
        attempt=None if tries is None else tries + 1,
        details=_read_record_details(fields),
        problems=fields.problems,
    )


def _read_direction(fields: Fields) -> Direction | None:
    code = fields.integer("direction")
    if code is not None and code not in DIRECTIONS:
        fields.name_problem("direction", "is neither 1 nor 2")
    return None if code is None else DIRECTIONS.get(code)


_RECORD_PLACES = frozenset(
    {*_KEYS, "direction", "caller", "callee", "time_dial", "time_ring", "time_answer"}
    | {"time_hangup", "duration_ring", "task_result", "task_result_desc"}
)


def _read_record_details(fields: Fields) -> dict[str, Any]:
    """What has no place of its own: the row, ``business_id``, ``app_id``, the two durations and
    counts as they were sent, and fields that no text has."""
    details = keep_apart(fields.rest(_RECORD_PLACES))
    for name in ("task_row_head", "task_row_value"):
        if name in details and not isinstance(details[name], list):
            details[name] = inner_json(details[name])
            if not isinstance(details[name], list):
                fields.name_problem(name, "is not a list")
                del details[name]
    row = details.get("task_row_value")
    if isinstance(row, list) and row and isinstance(row[0], str):
        details["contact_number"] = row[0]  # the number as it was sent; ``callee`` may be masked
    if "task_row_index" in details:
        details["task_row_index"] = fields.integer("task_row_index")
    if (task_id := fields.id("task_id")) in _NO_TASK:  # the number 0, too
        details["task_id"] = task_id
    return details


# -------------------------------------------------------------------------------------- recordings

_VOICE_PLACES = frozenset({*_KEYS, "url", "size", "duration"})


def _read_voice(fields: Fields, call_id: str) -> RecordingReady:
    try:
        address = read_address(fields.raw.get("url"))
    except Problem as problem:
        raise Unrecognised("bad_address", str(problem)) from None
    return RecordingReady(
        source="receiveVoice",
        rank=VOICE_RANK,
        **_read_keys(fields, call_id),
        address=address,
        size=fields.integer("size", high=BIGINT_MAX),
        seconds=fields.integer("duration", high=MAX_CALL_SECONDS),
        details=keep_apart(fields.rest(_VOICE_PLACES)),
        problems=fields.problems,
    )


# ----------------------------------------------------------------------------------------- dialogs

_DIALOG_PLACES = frozenset({*_KEYS, "dialog", "tag_max", "tag_min", "time_begin", "time_end"})


def _read_dialog(fields: Fields, call_id: str) -> DialogReady:
    return DialogReady(
        source="receiveDialog",
        rank=DIALOG_RANK,
        **_read_keys(fields, call_id),
        turns=read_turns(fields),
        intention=fields.text("tag_max", limit=50),
        intention_min=fields.text("tag_min", limit=50),
        began_at=fields.epoch_ms("time_begin"),
        ended_at=fields.epoch_ms("time_end"),
        details=keep_apart(fields.rest(_DIALOG_PLACES)),
        problems=fields.problems,
    )
