"""Records of calls of AI Rudder: each field, earlier attempts, transcripts, other forms of them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from campaigns.platforms.airudder.callbacks import read_record
from campaigns.platforms.contract import Reading
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import (
    CallEnded,
    DialogReady,
    Direction,
    HangupBy,
    PushClaimed,
    Result,
    Role,
)
from tests.platforms.airudder.making import (
    CALL,
    READING,
    WORKFLOW,
    at,
    change,
    find_reason,
    get_call,
    get_dialog,
    get_redials,
    make_record,
    parse_call,
    parse_object,
    parse_payload,
    read_sample,
)

# ------------------------------------------------------------------------------------ the record


def test_the_record_of_a_call() -> None:
    assert parse_payload("api-node__sample")[0] == CallEnded(
        source="api-node",
        rank=20,
        platform_call_id=CALL,
        platform_task_id=WORKFLOW,
        platform_contact_id="123456.0",
        platform_robot_id="4585",
        direction=Direction.OUTBOUND,
        caller="+9519900000088",
        callee="+8619900000001",
        dialed_at=at("2024-03-12T14:54:26+08:00"),
        ended_at=at("2024-03-12T14:54:52+08:00"),
        answered=True,
        ring_seconds=2,
        result=Result.ANSWERED,
        platform_result="ByRobot",
        platform_result_text="normal",
        hangup_by=HangupBy.ROBOT,
        intention="E",
        attempt=4,
        final=True,
        details={
            "workflow_name": "test_api_action4",
            "node_id": "6ade9e4443xxxxxx43a54b58",
            "node_name": "API1",
            "task_id": "459acf3df0ecxxxxxx9679dc208ad96",
            "call_times": 4,
            "talk_round": 0,
            "intention_text": "Needs Follow Up",
            "contact_number": "+8619900000721",
            "questions": [
                {
                    "name": "Q1",
                    "question": "CURP Verification",
                    "answer": "ss02",
                    "text": "s s cero dos",
                    "status": "Completed",
                    "answered": True,
                    "answer_text_slot": "s02;02",
                    "var": "S02",
                    "verification_results": "Match",
                    "question_type": "open",
                    "whether_answer": "Answered",
                }
            ],
            "labels": {
                "A0": "A0",
                "Correct_Person": "identity_correct_person",
                "Request_Installment": "action_item_request_installment",
            },
            "slots": {"item_name": "da", "receivetime": "2"},
            "person": {"callee_name": "WILL SMITH"},
            "amounts": [
                {"name": "borrowed_amount", "amount": "20000.00", "currency": "USD"},
                {"name": "total_owing_amount", "amount": "20310.00", "currency": "USD"},
            ],
            "carried": {
                "platform_name": "AIRUDDER",
                "extra": [
                    {"Content": "+8619900000795,+8619900000721", "Question": "extend_callees"}
                ],
                "extend": {"detail_source": "web"},
                "comments": "123456.0",
                "borrowed_date": "2024-02-01",
                "due_date": "2024-03-07",
                "custom_attribute": {"a": "1", "b": "2"},
            },
        },
    )


def test_earlier_attempts_are_calls_of_the_same_contact() -> None:
    redials = get_redials(parse_payload("api-node__sample"))
    assert redials[1] == CallEnded(
        source="api-node.redial",
        rank=15,
        platform_call_id="df831fc0491xxxxxx7f1114605f9de",
        platform_task_id=WORKFLOW,
        platform_contact_id="123456.0",
        direction=Direction.OUTBOUND,
        caller="+9501990000088",
        callee="+8619900000721",
        dialed_at=at("2024-03-12T14:51:24+08:00"),
        ring_seconds=7,
        result=Result.UNKNOWN,
        platform_result="ByCallee",
        platform_result_text="normal",
        hangup_by=HangupBy.CONTACT,
        intention="F",
        attempt=2,
        final=False,
        details={
            "workflow_name": "test_api_action4",
            "node_name": "API1",
            "contact_number": "+8619900000721",
        },
    )
    assert [call.attempt for call in redials] == [1, 2, 3]


def list_leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in list_leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in list_leaves(inner)]
    return [value]


def test_nothing_of_the_sample_is_lost() -> None:
    """Every leaf of the verify sample stands in a field of the events that become rows: the claim,
    which is the whole push, does not count. Times of utterances are offsets from the start."""
    events = [e for e in parse_payload("api-node__sample") if not isinstance(e, PushClaimed)]
    found: set[str] = set()
    for event in events:
        for name in event.__dataclass_fields__:
            value = getattr(event, name)
            turns = value if name == "turns" else ()
            for turn in turns:
                found |= {turn.text, str(turn.started_at - get_call(tuple(events)).dialed_at)}
            if isinstance(value, datetime):
                found.add(value.astimezone(READING.time_zone).strftime("%Y-%m-%d %H:%M:%S"))
            if not turns:
                found |= {str(leaf) for leaf in list_leaves(value)}
    said = [leaf for leaf in list_leaves(read_sample("api-node__sample")) if leaf != ""]
    assert len(said) > 80
    missing = {str(leaf) for leaf in said} - found
    assert {leaf.removeprefix("0") for leaf in missing} <= found  # 00:00:03 is 0:00:03


def test_the_transcript() -> None:
    dialog = get_dialog(parse_payload("api-node__contact_spoke"))
    assert [(turn.position, turn.role, turn.text, turn.started_at) for turn in dialog.turns] == [
        (0, Role.ROBOT, "halo", at("2024-03-12T14:54:26+08:00")),
        (1, Role.CONTACT, "ya, besok saya bayar", at("2024-03-12T14:54:30+08:00")),
    ]
    assert (dialog.intention, dialog.platform_contact_id, dialog.rank) == ("A", "CB-123", 20)


def test_both_speak_in_one_row() -> None:
    rows = [{"time": "00:01:02", "robottext": "a", "text": "b", "score": 0.5}]
    dialog = get_dialog(parse_object(make_record(asr_result=rows)))
    assert [(turn.role, turn.text) for turn in dialog.turns] == [
        (Role.ROBOT, "a"),
        (Role.CONTACT, "b"),
    ]
    assert dialog.details == {"asr_result": rows}  # a field that no text has


def test_bad_rows_are_named_and_the_others_used() -> None:
    rows = [None, {"time": "3 s", "robottext": "a"}, {"text": ["b"]}, {"time": 3, "text": "c"}]
    events = parse_object(make_record(asr_result=rows))
    dialog = get_dialog(events)
    assert [turn.text for turn in dialog.turns] == ["a", "c"]
    assert set(dialog.problems) == {
        "call.asr_result[0]",
        "call.asr_result[1].time",
        "call.asr_result[2].text",
        "call.asr_result[3].time",
    }
    assert get_call(events).problems == {}


@pytest.mark.parametrize(
    "rows", ["", [], None, [{"time": "00:00:01", "robottext": "", "text": ""}]]
)
def test_silence_is_no_transcript(rows: Any) -> None:
    events = parse_object(make_record(asr_result=rows))
    assert not any(isinstance(event, DialogReady) for event in events)
    assert get_call(events).problems == {}


def test_a_transcript_that_is_none_is_named_with_the_call() -> None:
    assert set(parse_call(asr_result="hello").problems) == {"call.asr_result"}


def test_a_push_can_be_asked_about() -> None:
    claim = parse_payload("api-node__sample")[-1]
    assert claim == PushClaimed(
        source="api-node",
        rank=20,
        platform_call_id=CALL,
        platform_task_id=WORKFLOW,
        platform_contact_id="123456.0",
        platform_robot_id="4585",
        query={
            "workflow_id": WORKFLOW,
            "node_id": "6ade9e4443xxxxxx43a54b58",
            "callee": "+8619900000721",
            "case_id": "123456.0",
        },
        claim=read_sample("api-node__sample"),
    )


@pytest.mark.parametrize("name", ["workflow_id", "node_id", "callee"])
def test_nothing_can_be_asked_about_half_a_push(name: str) -> None:
    events = parse_object(change(make_record(), {name: ...}), kind="api-node")
    assert not any(isinstance(event, PushClaimed) for event in events)
    assert get_call(events).platform_call_id == CALL


def test_the_case_is_asked_about_where_it_is_known() -> None:
    claim = parse_object(make_record(callee={"case_id": ""}))[-1]
    assert isinstance(claim, PushClaimed)
    assert set(claim.query) == {"workflow_id", "node_id", "callee"}


# ------------------------------------------------------------------------------- what was the end

SILENT: dict[str, Any] = {"asr_result": [], "question_answer": []}


@pytest.mark.parametrize(
    ("fields", "answered", "result"),
    [
        ({"hangup_type": "ByRobot"}, True, Result.ANSWERED),
        ({"hangup_type": "ByCallee"}, None, Result.UNKNOWN),
        ({"hangup_type": "ByCallee", "intention": "A"}, None, Result.UNKNOWN),
        ({"hangup_type": ""}, None, None),
        ({"hangup_type": "ByMagic"}, None, Result.UNKNOWN),
        ({"hangup_type": "", "asr_result": [{"text": "hi"}]}, True, Result.ANSWERED),
        ({"hangup_type": "ByCallee", "asr_result": [{"text": " "}]}, None, Result.UNKNOWN),
        ({"hangup_type": "ByCallee", "asr_result": [{"robottext": "x"}]}, None, Result.UNKNOWN),
        (
            {"hangup_type": "ByCallee", "question_answer": [{"whether_answer": "Answered"}]},
            True,
            Result.ANSWERED,
        ),
        (
            {"hangup_type": "ByCallee", "question_answer": [{"whether_answer": "Unanswered"}]},
            None,
            Result.UNKNOWN,
        ),
    ],
)
def test_who_answered_is_told_by_what_was_said(
    fields: dict[str, Any], answered: bool | None, result: Result | None
) -> None:
    call = parse_call(**{**SILENT, **fields})
    assert (call.answered, call.result) == (answered, result)
    assert call.platform_result == (fields["hangup_type"] or None)


def test_a_word_nobody_knows_is_kept() -> None:
    call = parse_call(**SILENT, hangup_type="ByMagic", ring_type="odd")
    assert (call.platform_result, call.platform_result_text) == ("ByMagic", "odd")
    assert call.hangup_by is HangupBy.UNKNOWN
    assert parse_call(hangup_type=...).hangup_by is None


@pytest.mark.parametrize(
    ("fields", "attempt", "problems"),
    [
        ({}, 4, set()),
        ({"call_times": ...}, 4, set()),
        ({"call_times": 0}, 4, set()),
        ({"call_times": "7"}, 7, set()),
        ({"call_times": 2}, 4, {"call.call_times"}),
        ({"call_times": -1}, 4, {"call.call_times"}),
        ({"call_times": 1710226466}, 4, {"call.call_times"}),
        ({"redial_call": [], "call_times": ...}, 1, set()),
        ({"redial_call": "", "call_times": 1}, 1, set()),
    ],
)
def test_attempts_count_from_one(fields: dict[str, Any], attempt: int, problems: set[str]) -> None:
    call = parse_call(**fields)
    assert (call.attempt, set(call.problems)) == (attempt, problems)


def make_redial(call_id: Any, at: Any = ...) -> dict[str, Any]:
    return change({"call_id": call_id, "hangup_type": "ByCallee"}, {"call_start_time": at})


def test_redials_are_ordered_by_their_time_then_their_place() -> None:
    items = [
        make_redial("c", "2024-03-12 14:52:00"),
        make_redial("d"),  # no time: behind the one before it
        make_redial("a", "2024-03-12 14:50:00"),
        make_redial("b", "2024-03-12 14:50:00"),
    ]
    redials = get_redials(parse_object(make_record(redial_call=items)))
    assert [(call.platform_call_id, call.attempt) for call in redials] == [
        ("a", 1),
        ("b", 2),
        ("c", 3),
        ("d", 4),
    ]


def test_a_redial_that_is_none_is_named_and_kept() -> None:
    items = [make_redial("a"), make_redial(None), make_redial("a"), make_redial(CALL), "x"]
    events = parse_object(make_record(redial_call=items))
    assert [call.platform_call_id for call in get_redials(events)] == ["a"]
    call = get_call(events)
    assert set(call.problems) == {
        "call.redial_call[1].call_id",
        "call.redial_call[2].call_id",
        "call.redial_call[3].call_id",
        "call.redial_call[4]",
    }
    assert len(call.details["redial_call"]) == 3


def test_a_problem_of_a_redial_is_its_own() -> None:
    items = [{**make_redial("a"), "ring_time": -1}]
    events = parse_object(make_record(redial_call=items))
    assert get_call(events).problems == {}
    assert set(get_redials(events)[0].problems) == {"call.redial_call[0].ring_time"}


@pytest.mark.parametrize(
    ("name", "value", "attribute"),
    [
        ("call_start_time", "yesterday", "dialed_at"),
        ("call_start_time", 1710226466, "dialed_at"),
        ("call_end_time", "9999-12-31 23:59:59", "ended_at"),
        ("call_end_time", "2024-03-12 14:54:25", "ended_at"),  # before it was dialled
        ("ring_time", 1710226466, "ring_seconds"),
        ("ring_time", -1, "ring_seconds"),
        ("ring_time", "2 s", "ring_seconds"),
        ("ring_type", {}, "platform_result_text"),
        ("intention", ["E"], "intention"),
        ("intention", "E" * 51, "intention"),
        ("caller_number", 1.99e10, "caller"),
        ("robot_id", True, "platform_robot_id"),
    ],
)
def test_a_bad_field_is_emptied_and_named_and_the_rest_is_used(
    name: str, value: Any, attribute: str
) -> None:
    call = parse_call(**{name: value})
    assert getattr(call, attribute) is None
    assert set(call.problems) == {f"call.{name}"}
    assert (call.platform_call_id, call.platform_contact_id) == (CALL, "123456.0")


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("multi_label", "x", "labels"),
        ("slots", 3, None),
        ("ner_slots", "x", "slots"),
        ("question_answer", {"a": 1}, "questions"),
        ("talk_round", "many", "talk_round"),
        ("intention_description", [], "intention_text"),
    ],
)
def test_a_bad_detail_is_named(name: str, value: Any, kept: str | None) -> None:
    call = parse_call(**{name: value})
    assert set(call.problems) == {f"call.{name}"}
    assert kept is None or kept not in call.details


def test_the_bad_fields_of_a_contact_are_named() -> None:
    call = get_call(
        parse_object(
            make_record(
                callee={
                    "case_id": 123456.0,
                    "borrowed_amount": "much",
                    "callee_gender": ["m"],
                    "callee_number": {},
                }
            )
        )
    )
    assert set(call.problems) == {
        "callee.case_id",
        "callee.borrowed_amount",
        "callee.callee_gender",
        "callee.callee_number",
    }
    assert call.platform_contact_id is None
    assert [amount["name"] for amount in call.details["amounts"]] == ["total_owing_amount"]


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("20000.00", "20000.00"),
        (20000, "20000"),
        (20000.5, "20000.5"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        ("-5", "-5"),
        ("", None),
        (None, None),
    ],
)
def test_amounts_are_decimal_strings(value: Any, amount: str | None) -> None:
    call = get_call(parse_object(make_record(callee={"borrowed_amount": value})))
    found = {entry["name"]: entry["amount"] for entry in call.details["amounts"]}
    assert found.get("borrowed_amount") == amount
    assert call.problems == {}


@pytest.mark.parametrize("value", [True, "20,000", "1e5", 1e300, [], "NaN", "٣"])
def test_an_amount_that_is_none_is_named(value: Any) -> None:
    call = get_call(parse_object(make_record(callee={"borrowed_amount": value})))
    assert set(call.problems) == {"callee.borrowed_amount"}


def test_a_currency_without_an_amount_is_carried() -> None:
    call = get_call(
        parse_object(make_record(callee={"borrowed_amount": "", "total_owing_amount": ""}))
    )
    assert "amounts" not in call.details
    assert call.details["carried"]["currency_unit"] == "USD"


def test_slots_of_the_same_name_are_both_kept() -> None:
    call = parse_call(slots={"item_name": "x"}, ner_slots={"item_name": "da", "n": 1})
    assert call.details["slots"] == {"item_name": "x", "ner_slots.item_name": "da", "n": 1}


def test_fields_nobody_knows_are_kept() -> None:
    record = make_record(new_field={"a": 1}, person="somebody", status="done")
    call = get_call(parse_object(record | {"status": "OK", "hint": 7}))
    assert call.details["new_field"] == {"a": 1}
    assert call.details["person"] == {"callee_name": "WILL SMITH"}
    assert call.details["person (platform)"] == "somebody"
    assert (call.details["status"], call.details["call.status"]) == ("OK", "done")
    assert call.details["hint"] == 7


def test_ids_above_what_a_float_holds() -> None:
    record = make_record(call_id=2**63 + 11, robot_id=2**60 + 1, callee={"case_id": 2**53 + 1})
    call = get_call(parse_object(record | {"workflow_id": 10**25 + 1}))
    assert call.platform_call_id == str(2**63 + 11)
    assert call.platform_robot_id == str(2**60 + 1)
    assert call.platform_contact_id == "9007199254740993"
    assert call.platform_task_id == str(10**25 + 1)


@pytest.mark.parametrize("call_id", [..., None, "", " ", "\x00", True, [], 1.5, "x" * 201])
def test_without_a_call_id_nothing_can_be_used(call_id: Any) -> None:
    assert find_reason(make_record(call_id=call_id)) == "no_call_id"


def test_times_are_those_of_the_account() -> None:
    mexico = Reading(time_zone=ZoneInfo("America/Mexico_City"))
    call = get_call(parse_object(make_record(), reading=mexico))
    assert call.dialed_at == at("2024-03-12T14:54:26-06:00")


# ----------------------------------------------------------------------- other forms of the record


def test_a_verify_answer_that_is_replayed_is_the_same_record() -> None:
    assert parse_object(read_sample("reply_apinoticeinfo__sample")) == parse_payload(
        "api-node__sample"
    )


@pytest.mark.parametrize("code", [400, "500", 1])
def test_a_failed_answer_is_no_record(code: Any) -> None:
    wrapped = {"data": make_record(), "status": "OK", "code": code}
    assert find_reason(wrapped) == "failed_reply"


def test_a_record_all_in_one_object() -> None:
    """What a call completion holds is not documented: the same fields without ``call`` around
    them are understood too."""
    record = make_record()
    flat = {"workflow_id": WORKFLOW, "node_id": record["node_id"], **record["call"]}
    (call, *_) = parse_object(
        flat | {"case_id": "CB-9", "callee": "+8619900000009", "due_date": "x"}
    )
    assert isinstance(call, CallEnded)
    assert (call.platform_call_id, call.platform_contact_id) == (CALL, "CB-9")
    assert (call.callee, call.details["contact_number"]) == ("+8619900000001", "+8619900000009")
    assert call.details["carried"] == {"due_date": "x"}
    assert call.details["node_id"] == record["node_id"]


@pytest.mark.parametrize("sign", ["callee_number", "hangup_type"])
def test_little_is_enough_for_a_record(sign: str) -> None:
    (call,) = parse_object({"call_id": "1", sign: "x"}, kind="call-completed")
    assert isinstance(call, CallEnded)
    assert call.source == "call-completed"


def test_the_platforms_own_word_is_believed_over_the_push() -> None:
    events = read_record(make_record(), READING, source="apinoticeinfo", rank=40)
    assert {(event.source, event.rank) for event in events if isinstance(event, CallEnded)} == {
        ("apinoticeinfo", 40),
        ("apinoticeinfo.redial", 35),
    }
    assert not any(isinstance(event, PushClaimed) for event in events)


@pytest.mark.parametrize("raw", [{}, {"call": []}, {"call_id": "1"}, {"workflow_id": "1"}])
def test_what_is_no_record_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(Unrecognised, match="unknown_shape"):
        read_record(raw, READING, source="x", rank=0)


def test_objects_inside_strings_are_read() -> None:
    record = make_record()
    inside = {
        name: json.dumps(value)
        for name, value in record["call"].items()
        if value and isinstance(value, list | dict)
    }
    texts = {**record, "callee": json.dumps(record["callee"])}
    texts["call"] = json.dumps({**record["call"], **inside})
    assert parse_object(texts)[:-1] == parse_object(record)[:-1]
