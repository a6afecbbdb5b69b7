"""The pushes of yeta: each field of the tables, each oddity of the text, and any bytes at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Ignored, Unrecognised
from campaigns.platforms.events import (
    AnyEvent,
    CallEnded,
    DialogReady,
    Direction,
    HangupBy,
    RecordingReady,
    Result,
    Role,
)
from campaigns.platforms.values import clean
from campaigns.platforms.yeta import PLATFORM
from campaigns.platforms.yeta.callbacks import KINDS, parse
from campaigns.platforms.yeta.vocabulary import NODE_TYPES, RESULTS
from tests.platforms.payloads import find_payload, list_payloads

READING = Reading(time_zone=ZoneInfo("Asia/Shanghai"))
CALL = "8edf0c99-5b3d-4722-b1fb-10b2fbfecda2"


def parse_payload(name: str) -> AnyEvent:
    (event,) = parse(find_payload("yeta", name).make_push(), READING)
    return event


def parse_object(kind: str, value: Any) -> AnyEvent:
    (event,) = parse(Push(kind=kind, body=json.dumps(value).encode()), READING)
    return event


def parse_record(**fields: Any) -> CallEnded:
    event = parse_object("receiveCallRecord", make_record(**fields))
    assert isinstance(event, CallEnded)
    return event


def parse_dialog(rows: Any, **fields: Any) -> DialogReady:
    event = parse_object("receiveDialog", {"call_uuid": CALL, "dialog": rows, **fields})
    assert isinstance(event, DialogReady)
    return event


def make_record(**fields: Any) -> dict[str, Any]:
    body = json.loads(find_payload("yeta", "receiveCallRecord__outbound").body)
    body.update(fields)
    return {name: value for name, value in body.items() if value is not ...}


def find_reason(kind: str, body: bytes) -> str:
    with pytest.raises(Unrecognised) as caught:
        parse(Push(kind=kind, body=body), READING)
    return caught.value.reason


def ms(number: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number)


# ------------------------------------------------------------------------------------ call records


def test_the_outbound_record() -> None:
    event = parse_payload("receiveCallRecord__outbound")
    assert event == CallEnded(
        source="receiveCallRecord.outbound",
        rank=20,
        platform_call_id=CALL,
        platform_task_id="504138886481984",
        platform_contact_id="32264888839704576",
        platform_robot_id="20001003",
        direction=Direction.OUTBOUND,
        caller="055196866001",
        callee="19900000001",
        dialed_at=ms(1543935305290),
        answered_at=ms(1543935313230),
        ended_at=ms(1543935444490),
        answered=True,
        ring_seconds=7,
        talk_seconds=131,
        result=Result.ANSWERED,
        platform_result="0",
        platform_result_text="成功",
        attempt=1,
        details={
            "business_id": "150",
            "duration_call": 131,
            "task_tries": 0,
            "task_row_index": 1,
            "task_row_head": ["客户手机号码"],
            "task_row_value": ["19900000006"],
            "contact_number": "19900000006",
        },
    )


def test_the_basic_record_says_no_result_of_its_own() -> None:
    event = parse_payload("receiveCallRecord__outbound_basic")
    assert isinstance(event, CallEnded)
    assert (event.source, event.rank) == ("receiveCallRecord.basic", 10)
    assert event.answered is True
    only_time = parse_record(task_row_index=..., task_result=..., task_result_desc=...)
    assert (only_time.answered, only_time.result) == (True, None)
    silent = parse_record(task_row_index=..., task_result=..., time_answer=0)
    assert (silent.answered, silent.result, silent.platform_result) == (None, None, None)


def test_the_basic_record_of_an_inbound_call() -> None:
    event = parse_payload("receiveCallRecord__inbound_basic")
    assert isinstance(event, CallEnded)
    assert (event.direction, event.relation_id) == (Direction.INBOUND, "test-123")
    assert event.platform_task_id is None  # "0": no task of ours
    assert event.platform_contact_id == "262381"
    assert (event.ring_seconds, event.talk_seconds) == (7, 21)  # duration_call says 28
    assert event.ringing_at == ms(1527737757449)
    assert event.details == {
        "business_id": "2745",
        "app_id": "test",
        "duration_call": 28,
        "task_id": "0",
    }
    assert event.problems == {}


@pytest.mark.parametrize("told", ["0", 0, "-1", -1])
def test_a_call_of_no_task_says_so_as_a_text_and_as_a_number(told: Any) -> None:
    event = parse_record(task_id=told)
    assert event.platform_task_id is None
    assert event.details["task_id"] == str(told)
    assert event.problems == {}


def test_a_record_of_the_failed_push_file_is_the_same_record() -> None:
    live = parse_payload("receiveCallRecord__outbound")
    assert parse_payload("receiveCallRecord__file_success") == live
    wrapped = json.loads(find_payload("yeta", "receiveCallRecord__file_success").body)
    assert parse_object("", wrapped) == live  # the wrapper names the kind
    wrapped["data"] = json.dumps(wrapped["data"])
    assert parse_object("receiveVoice", wrapped) == live


@pytest.mark.parametrize("code", RESULTS)
def test_every_result(code: str) -> None:
    event = parse_record(task_result=code, time_answer=0)
    assert (event.result, event.answered, event.platform_result) == (
        RESULTS[code].result,
        RESULTS[code].answered,
        code,
    )
    assert parse_record(task_result=int(code)).platform_result == code


def test_who_hung_up() -> None:
    assert parse_payload("receiveCallRecord__file_hung_up_by_contact").hangup_by is (  # type: ignore[union-attr]
        HangupBy.CONTACT
    )
    assert parse_record(task_result="16").hangup_by is HangupBy.UNKNOWN
    assert parse_record(task_result="0").hangup_by is None


@pytest.mark.parametrize("code", ["1", "10", "17", "21", "24", "99", "new"])
def test_a_code_the_text_lacks_is_unknown_and_kept(code: str) -> None:
    event = parse_record(task_result=code, task_result_desc="新", time_answer=0)
    assert (event.result, event.platform_result, event.answered) == (Result.UNKNOWN, code, None)
    assert event.platform_result_text == "新"


def test_the_time_of_the_answer_decides_whether_it_was_answered() -> None:
    assert parse_record(task_result="20").answered is True
    assert parse_record(task_result="99").answered is True


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, 131),
        ({"duration_call": 140}, 131),
        ({"time_answer": 0, "duration_call": 28}, 28),
        ({"time_hangup": ..., "duration_call": "28"}, 28),
        ({"time_answer": None, "duration_call": ...}, None),
    ],
)
def test_talk_seconds(fields: dict[str, Any], seconds: int | None) -> None:
    assert parse_record(**fields).talk_seconds == seconds


def test_a_call_that_ends_before_it_was_answered_is_named() -> None:
    event = parse_record(time_hangup=1543935313229)
    assert (event.talk_seconds, set(event.problems)) == (131, {"time_hangup"})


@pytest.mark.parametrize(("tries", "attempt"), [(0, 1), ("2", 3), (..., None), (None, None)])
def test_attempts_count_from_one(tries: Any, attempt: int | None) -> None:
    assert parse_record(task_tries=tries).attempt == attempt


@pytest.mark.parametrize(
    ("name", "value", "attribute"),
    [
        ("time_answer", 1543935313, "answered_at"),
        ("time_answer", 1543935313230000, "answered_at"),
        ("time_hangup", 253402300799000, "ended_at"),
        ("time_dial", "2018-12-04 22:53:15", "dialed_at"),
        ("time_ring", -1, "ringing_at"),
        ("duration_ring", True, "ring_seconds"),
        ("duration_ring", 2**31, "ring_seconds"),
        ("direction", 3, "direction"),
        ("direction", "outbound", "direction"),
        ("task_data_id", 3.2264888839704576e16, "platform_contact_id"),
        ("task_data_id", {"id": 1}, "platform_contact_id"),
        ("task_id", True, "platform_task_id"),
        ("caller", ["x"], "caller"),
        ("callee", "9" * 65, "callee"),
        ("task_tries", "many", "attempt"),
        ("task_result_desc", {}, "platform_result_text"),
    ],
)
def test_a_bad_field_is_emptied_and_named_and_the_rest_is_used(
    name: str, value: Any, attribute: str
) -> None:
    event = parse_record(**{name: value})
    assert getattr(event, attribute) is None
    assert set(event.problems) == {name}
    assert event.platform_call_id == CALL
    assert event.platform_result == "0"


def test_times_in_strings_and_ids_in_numbers() -> None:
    event = parse_record(
        time_hangup="1543935444490", task_data_id=32264888839704577, task_id=504138886481984
    )
    assert event.ended_at == ms(1543935444490)
    assert event.platform_contact_id == "32264888839704577"
    assert event.platform_task_id == "504138886481984"
    assert event.problems == {}


@pytest.mark.parametrize("call_id", ["01M21S470GDVR68B345H7B5AES01SKVK", "123425c-6483-11e8", 12])
def test_call_ids_have_no_form(call_id: Any) -> None:
    assert parse_record(call_uuid=call_id).platform_call_id == str(call_id)


@pytest.mark.parametrize("call_id", [..., None, "", " ", "\x00", True, [], "x" * 201])
def test_without_a_call_id_nothing_can_be_used(call_id: Any) -> None:
    body = json.dumps(make_record(call_uuid=call_id)).encode()
    assert find_reason("receiveCallRecord", body) == "no_call_id"


def test_a_bad_row_is_named_and_fields_nobody_knows_are_kept() -> None:
    event = parse_record(task_row_head="客户手机号码", task_row_index="x", new_field={"a": 1})
    assert set(event.problems) == {"task_row_head", "task_row_index"}
    assert event.details["new_field"] == {"a": 1}
    assert event.rank == 20  # the field is there, so it is the outbound form


# ------------------------------------------------------------------------------------- recordings


def test_the_recording() -> None:
    assert parse_payload("receiveVoice__sample") == RecordingReady(
        source="receiveVoice",
        rank=10,
        platform_call_id="809c825c-6483-11e8-b8db-2769c24918cd",
        platform_robot_id="10527",
        address="ant/4/ivr/0/2018/05/31/0/452263-7571100e-7afc-42aa-9d69-ac25805d45b6.wav",
        size=1043244,
        seconds=32,
        details={"business_id": "10527", "app_id": "123"},
    )
    absolute = parse_payload("receiveVoice__absolute")
    assert isinstance(absolute, RecordingReady)
    assert absolute.address.startswith("http://voice.kxjlcc.com:9000/")
    assert absolute.platform_contact_id == "32264888839704576"
    assert absolute.relation_id == "test-123"


@pytest.mark.parametrize("url", ["../../etc/passwd", "file:///etc/passwd", "", None, 12, "a\\b"])
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    assert find_reason("receiveVoice", json.dumps({"call_uuid": CALL, "url": url}).encode()) == (
        "bad_address"
    )


def test_size_and_length_are_optional() -> None:
    event = parse_object(
        "receiveVoice", {"call_uuid": CALL, "url": "a.wav", "size": -1, "duration": "x"}
    )
    assert isinstance(event, RecordingReady)
    assert (event.size, event.seconds, set(event.problems)) == (None, None, {"size", "duration"})
    large = parse_object("receiveVoice", {"call_uuid": CALL, "url": "a.wav", "size": 2**40})
    assert isinstance(large, RecordingReady)
    assert large.size == 2**40


# ----------------------------------------------------------------------------------------- dialogs


def test_the_dialog_of_the_text() -> None:
    event = parse_payload("receiveDialog__sample")
    assert isinstance(event, DialogReady)
    assert [(turn.position, turn.role, turn.text) for turn in event.turns] == [
        (0, Role.ROBOT, "喂,您好!"),
        (1, Role.CONTACT, ""),  # not the robot's sentence again
    ]
    assert event.turns[0].node_name == "开头语"
    assert event.turns[1].hits == ({"hit": "任意回答", "pick": True, "answer_id": ""},)
    assert (event.intention, event.began_at, event.problems) == (None, None, {})


def test_every_field_of_a_dialog() -> None:
    event = parse_payload("receiveDialog__every_field")
    assert isinstance(event, DialogReady)
    assert (event.intention, event.intention_min) == ("A", "B")
    assert (event.began_at, event.ended_at) == (ms(1543935313230), ms(1543935444490))
    assert event.platform_contact_id == "32264888839704576"
    assert event.relation_id is None
    assert {turn.node_type for turn in event.turns} == set(NODE_TYPES)
    assert [turn.position for turn in event.turns] == list(range(len(event.turns)))
    robot, contact = event.turns[:2]
    assert (robot.text, contact.text) == ("机器人第1句", "客户第1句")
    assert (contact.node_id, contact.node_name, contact.label) == (
        "words_start_1",
        "开头语",
        "标签",
    )
    assert (contact.intention, contact.intention_text, contact.question_id) == ("B", "中", "q-0")
    assert contact.started_at == ms(1543935313230)
    assert (robot.spoke_at, contact.spoke_at) == (None, ms(1543935317230))
    assert contact.hits == (
        {"hit": "肯定", "pick": True, "answer_id": "a-0"},
        {"hit": "否定", "pick": False, "answer_id": "b-0"},
    )
    assert event.details == {"business_id": "150", "app_id": "123"}


def test_rows_are_ordered_by_seq_then_place() -> None:
    rows = [
        {"seq": "10", "role": "robot", "text_robot": "d"},
        {"seq": 3, "role": "robot", "text_robot": "a"},
        {"role": "customer", "text_man": "b"},  # no seq: behind the row before it
        {"seq": "3", "role": "robot", "text_robot": "c"},
    ]
    assert [turn.text for turn in parse_dialog(rows).turns] == ["a", "b", "c", "d"]


def test_rows_without_a_role_hold_an_exchange() -> None:
    """The shape of the semantic interface: ``hit`` is an object, ``seq`` an integer from 0."""
    rows = json.loads(find_payload("yeta", "semantic__sample").body)["dialog"]
    event = parse_dialog([*rows, {"text_robot": "再见", "seq": 9}])
    assert [turn.role for turn in event.turns] == [Role.ROBOT, Role.CONTACT] * 5 + [Role.ROBOT]
    assert event.turns[5].text == "I199123456789".replace("I", "我")
    assert event.turns[5].hits == (
        {"hit": "多次未识别发短信回答", "pick": True, "answer_id": "judge_node_d2691c8b-5"},
    )
    assert event.turns[4].hits == ()
    assert event.problems == {}


def test_bad_rows_are_named_and_the_others_used() -> None:
    event = parse_dialog(
        [
            None,
            {"seq": True, "role": "robot", "text_robot": "a", "time_start": 1},
            {"seq": 1, "role": "boss", "text_robot": "b"},
            {"seq": 2, "role": "customer", "text_man": ["c"], "hits": [1]},
            {"seq": 3, "role": "Customer", "text_man": "d", "hits": "是"},
        ]
    )
    assert [turn.text for turn in event.turns] == ["a", "b", "", "d"]
    assert event.turns[3].hits == ({"hit": "是", "pick": None, "answer_id": ""},)
    assert set(event.problems) == {
        "dialog[0]",
        "dialog[1].seq",
        "dialog[1].time_start",
        "dialog[2].role",
        "dialog[3].text_man",
        "dialog[3].hits[0]",
    }


@pytest.mark.parametrize("rows", [None, "text", {}, 3])
def test_a_dialog_that_is_no_list_is_named(rows: Any) -> None:
    event = parse_dialog(rows)
    assert (event.turns, set(event.problems)) == ((), {"dialog"})


def test_a_dialog_inside_a_string() -> None:
    assert len(parse_dialog('[{"seq": 1, "role": "robot", "text_robot": "a"}]').turns) == 1


# ------------------------------------------------------------------------------------------- kinds


@pytest.mark.parametrize("name", ["getDialogContext__sample", "semantic__sample"])
def test_requests_are_ignored(name: str) -> None:
    with pytest.raises(Ignored, match="request"):
        parse_payload(name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("receiveCallRecord", "receiveDialog__sample"),
        ("receiveCallRecord", "receiveVoice__sample"),
        ("receiveVoice", "receiveCallRecord__outbound"),
        ("receiveDialog", "receiveCallRecord__inbound_basic"),
        ("", "receiveDialog__every_field"),
    ],
)
def test_a_push_at_the_wrong_address_is_told_by_its_shape(kind: str, name: str) -> None:
    payload = find_payload("yeta", name)
    assert parse(Push(kind=kind, body=payload.body), READING) == (parse_payload(name),)


@pytest.mark.parametrize(
    "value",
    [{"call_uuid": CALL}, {"call_uuid": CALL, "url": "a", "dialog": []}, {"a": 1}, {}],
)
def test_a_shape_that_fits_no_kind_or_several(value: Any) -> None:
    assert find_reason("", json.dumps(value).encode()) == "unknown_shape"


def test_other_encodings_are_read() -> None:
    body = find_payload("yeta", "receiveCallRecord__outbound").body
    for other in (body.decode().encode("gb18030"), body.decode().encode("utf-16")):
        assert parse(Push(kind="receiveCallRecord", body=other), READING) == (
            parse_payload("receiveCallRecord__outbound"),
        )


def test_keys_given_twice_are_named() -> None:
    body = find_payload("yeta", "receiveCallRecord__outbound").body
    body = body.replace(b'"direction":2', b'"direction":1,"direction":2')
    (event,) = parse(Push(kind="receiveCallRecord", body=body), READING)
    assert isinstance(event, CallEnded)
    assert (event.direction, set(event.problems)) == (Direction.OUTBOUND, {"direction"})


# -------------------------------------------------------------------------------------- properties

SAMPLES = [payload for payload in list_payloads("yeta") if not payload.is_reply]
ODD_TEXTS = ("", "0", "12", "a\x00b", "\ud800", "2018-12-04", "[1", "x" * 30_000)
ODD_NUMBERS = (True, 0, -1, 1.0, 1e308, 2**53 + 1, 2**63, 10**30, 1543935195, 253402300799000)
ODD_VALUES = st.sampled_from([*ODD_TEXTS, *ODD_NUMBERS, None, [], {}, [[]], {"a": None}])


def check_safe(value: Any) -> None:
    """What PostgreSQL takes: no NUL, no surrogate, integers of its size, years of this century."""
    if isinstance(value, str):
        assert "\x00" not in value
        value.encode()
    elif isinstance(value, int) and not isinstance(value, bool):
        assert abs(value) < 2**63
    elif isinstance(value, datetime):
        assert value.tzinfo is not None
        assert 2000 <= value.year < 2100
    elif isinstance(value, dict):
        json.dumps(value, allow_nan=False)
        check_safe([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for inner in value:
            check_safe(inner)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            check_safe(getattr(value, name))


def check_push(push: Push) -> None:
    try:
        events = parse(push, READING)
    except (Unrecognised, Ignored) as answer:
        assert answer.reason
        return
    assert events
    assert parse(push, READING) == events
    for event in events:
        assert event.platform_call_id  # type: ignore[union-attr]
        check_safe(event)


@given(st.sampled_from([*KINDS, "", "other"]), st.binary(max_size=300))
def test_any_bytes_are_answered(kind: str, body: bytes) -> None:
    check_push(Push(kind=kind, body=body))


@settings(max_examples=400)
@given(st.sampled_from([*KINDS, ""]), st.sampled_from(SAMPLES), st.data())
def test_mutated_samples_are_answered(kind: str, sample: Any, data: st.DataObject) -> None:
    value = json.loads(sample.body)
    places: list[tuple[Any, Any]] = []

    def collect(inner: Any) -> None:
        keys = inner.keys() if isinstance(inner, dict) else range(len(inner))
        for key in keys:
            places.append((inner, key))
            if isinstance(inner[key], dict | list):
                collect(inner[key])

    collect(value)
    for place, key in data.draw(st.lists(st.sampled_from(range(len(places))), max_size=4).map(
        lambda chosen: [places[index] for index in chosen]
    )):  # fmt: skip
        place[key] = data.draw(ODD_VALUES)
    check_push(Push(kind=kind, body=json.dumps(value).encode()))


@given(st.sampled_from(SAMPLES), st.integers(0, 2000), st.binary(max_size=3))
def test_damaged_samples_are_answered(sample: Any, place: int, damage: bytes) -> None:
    for body in (
        sample.body[:place] + damage + sample.body[place + len(damage) :],
        sample.body[:place] + damage,
        sample.body + damage + sample.body,
    ):
        check_push(Push(kind=sample.event, body=body))


def test_the_declaration_uses_this_parser() -> None:
    assert PLATFORM.parse is parse
    assert clean(dict(PLATFORM.kinds)) == KINDS
