"""The call record of 51ima: each field of the table, every value that may stand in it."""

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
from campaigns.platforms.events import CallEnded, Direction, HangupBy, Result
from campaigns.platforms.ima51 import PLATFORM
from campaigns.platforms.ima51.callbacks import parse
from campaigns.platforms.ima51.vocabulary import RESULTS, SCORES, SOURCES
from tests.platforms.ima51.expectations import EXPECTED_PROBLEMS
from tests.platforms.ima51.making import (
    BEGAN,
    CALL,
    ENDED,
    READING,
    make_record,
    parse_body,
    parse_payload,
    parse_record,
)
from tests.platforms.payloads import find_payload, list_payloads

SAMPLES = list_payloads("ima51")
#: nothing says when it was answered
SILENT: dict[str, Any] = {"agentAnswerTime": None, "communicateDuration": 0}


def ms(number: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number)


def find_reason(body: bytes) -> str:
    with pytest.raises(Unrecognised) as caught:
        parse(Push(kind="", body=body), READING)
    return caught.value.reason


# --------------------------------------------------------------------------------- whole records


def test_an_answered_call() -> None:
    event = parse_payload("result_2")
    details = event.details
    assert event == CallEnded(
        source="callRecord",
        rank=20,
        platform_call_id=CALL,
        relation_id="00000000-0000-4000-9000-000000000102",
        direction=Direction.INBOUND,
        caller="19900000005",
        callee="33330002",
        dialed_at=ms(BEGAN),
        answered_at=ms(BEGAN + 9000),
        ended_at=ms(ENDED),
        answered=True,
        ring_seconds=6,
        talk_seconds=12,
        wait_seconds=3,
        result=Result.ANSWERED,
        platform_result="2",
        platform_result_text="已接通",
        hangup_by=HangupBy.AGENT,
        agent_number="9007199254740993",
        agent_name="坐席一",
        queue_name="01105165021937Jr",
        details=details,
    )
    assert details == {
        "acw": 5,
        "callResult": 3,
        "noteStatus": 1,
        "tenantId": "87462158132343186600590049",
        "communicateVoiceId": "1a87a49b-7fcc-4675-b985-80dc97d373f5",
        "skillSetId": "01105165021937Jr",
        "iccRecordDate": "1606188550358",
        "createTime": "2020-11-24T11:29:35+08:00",
        "communicateSource": {"code": "1", "text": "常规业务"},
        "handupDirection": {"code": "1", "text": "坐席挂断"},
        "hangUpDirectionType": "AGENT_DROPPED_CALL",
        "custNumberAttribution": "重庆-",
        "path": ["开始", "播放语音", "转AI语音", "转人工"],
        "survey": {"score": 1, "text": "非常满意"},
        "person": {
            "customerId": "81656c22af5644ec9a97127933b4cb6b",
            "custNumberAttribution": "重庆",
            "custIspName": "中国联通",
        },
    }


def test_a_call_of_an_outbound_task() -> None:
    event = parse_payload("outbound_task")
    assert event.direction is Direction.OUTBOUND
    assert event.platform_task_id == "9223372036854775807"
    assert event.platform_contact_id == "CB-123"
    assert event.details["person"]["externalCustomerId"] == "4611686018427387905"
    assert event.details["carried"] == {
        "externalData": {"contact": "CB-123", "order": "A-77", "amount": 9007199254740993}
    }
    assert (event.answered_at, event.talk_seconds) == (ms(ENDED - 10_000), 10)
    assert event.details["callWaitDuration"] == 11
    plain = parse_payload("outbound_task_plain")
    assert (plain.platform_task_id, plain.platform_contact_id) == ("36028797018963969", None)
    assert plain.details["carried"] == {"externalData": "第二批|VIP"}


def test_a_transferred_call() -> None:
    event = parse_payload("transferred")
    assert event.details["transfer"] == {"transferId": "7f0c2f5e-0000-4000-8000-000000000001"}
    assert (event.hangup_by, event.agent_number) == (HangupBy.PLATFORM, "1002")
    assert event.problems == {}


@pytest.mark.parametrize("payload", SAMPLES, ids=lambda payload: payload.variant)
def test_what_cannot_be_used_of_a_payload_is_known(payload: Any) -> None:
    assert parse_body(payload.body).problems == EXPECTED_PROBLEMS.get(payload.name, {})


#: leaves of the sample that stand nowhere, because they say nothing or cannot be
SAYS_NOTHING = {"agentLoginType", "customerName", "transferId"}
#: leaves that stand elsewhere in our words
IN_OUR_WORDS: dict[str, Any] = {
    "callType": Direction.INBOUND,
    "communicateBeginTime": ms(BEGAN),
    "communicateEndTime": ms(ENDED),
    "createTime": "2020-11-24T11:29:35+08:00",
    "digitUrl": ["开始", "播放语音", "转AI语音", "转人工"],
}


def test_every_leaf_of_the_sample_has_a_place() -> None:
    event = parse_payload("sample")
    record = json.loads(find_payload("ima51", "callRecord__sample").body)["data"]
    found: list[tuple[type, Any]] = []

    def collect(value: Any) -> None:
        found.append((type(value), value))
        if hasattr(value, "__dataclass_fields__"):
            for name in value.__dataclass_fields__:
                collect(getattr(value, name))
        elif isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                collect(inner)

    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict | list) and value:
            inner = value.values() if isinstance(value, dict) else value
            return [leaf for one in inner for leaf in leaves(one)]
        return [value]

    collect(event)
    missing = []
    for name, value in record.items():
        if name in SAYS_NOTHING or name in event.problems:
            continue
        if name == "expansionFields":
            wanted = leaves(json.loads(value))
        else:
            wanted = [IN_OUR_WORDS.get(name, value)]
        for leaf in wanted:
            told = str(leaf) if type(leaf) is int else leaf
            if (type(leaf), leaf) not in found and (str, told) not in found:
                missing.append((name, leaf))
    assert missing == []
    assert len(record) - len(SAYS_NOTHING) - len(event.problems) == 26


# ------------------------------------------------------------------------------------------ codes


@pytest.mark.parametrize("code", RESULTS)
def test_every_result(code: str) -> None:
    event = parse_payload(f"result_{code}")
    assert (event.result, event.platform_result, event.platform_result_text) == (
        RESULTS[code].result,
        code,
        RESULTS[code].text,
    )
    assert event.answered is RESULTS[code].answered
    for other in (code, f" {code}", float(code)):
        assert parse_record(speechCallResult=other).platform_result == code


@pytest.mark.parametrize("code", [11, -1, 99, "11", "new", 2**70])
def test_a_result_the_text_lacks_is_unknown_and_kept(code: Any) -> None:
    event = parse_record(speechCallResult=code)
    assert (event.result, event.platform_result) == (Result.UNKNOWN, str(code))
    assert (event.platform_result_text, event.problems) == (None, {})


def test_without_a_result_the_answer_says_whether_it_was_answered() -> None:
    silent = SILENT | {"speechCallResult": None}
    assert (parse_record(**silent).result, parse_record(**silent).answered) == (None, None)
    assert parse_record(**silent | {"communicateDuration": 3}).answered is True
    assert parse_record(**silent | {"agentAnswerTime": BEGAN}).answered is True
    assert parse_record(speechCallResult=0).answered is True
    assert parse_record(speechCallResult=3).answered is False  # the result rules


@pytest.mark.parametrize(
    ("number", "word", "side"),
    [
        (0, "CONTACT_DROPPED_CALL", HangupBy.CONTACT),
        ("1", "", HangupBy.AGENT),
        (2, ..., HangupBy.UNKNOWN),
        (2, "AGENT_DROPPED_CALL", HangupBy.AGENT),
        (3, "TRANSFER_DROPPED_CALL'", HangupBy.PLATFORM),
        (..., "TRANSFER_DROPPED_CALL", HangupBy.PLATFORM),
        (..., "TRANSFER_DROPPED_CALL'", HangupBy.PLATFORM),
        (None, "CONTACT_DROPPED_CALL", HangupBy.CONTACT),
        (7, "CONTACT_DROPPED_CALL", HangupBy.CONTACT),
        (7, ..., HangupBy.UNKNOWN),
        (..., "SOMEBODY_ELSE", HangupBy.UNKNOWN),
        (..., ..., None),
    ],
)
def test_who_hung_up(number: Any, word: Any, side: HangupBy | None) -> None:
    event = parse_record(handupDirection=number, hangUpDirectionType=word)
    assert (event.hangup_by, event.problems) == (side, {})
    if number not in (..., None):
        assert event.details["handupDirection"]["code"] == str(number)


def test_two_sides_that_contradict_each_other_are_named() -> None:
    event = parse_record(handupDirection=1, hangUpDirectionType="CONTACT_DROPPED_CALL")
    assert (event.hangup_by, set(event.problems)) == (HangupBy.AGENT, {"hangUpDirectionType"})


@pytest.mark.parametrize("code", [*SOURCES, "4"])
def test_every_source(code: str) -> None:
    told = parse_record(communicateSource=int(code)).details["communicateSource"]
    assert told == {"code": code} | ({"text": SOURCES[code]} if code in SOURCES else {})


@pytest.mark.parametrize("score", range(6))
def test_every_score(score: int) -> None:
    details = parse_record(evaluationScore=score).details
    if score:
        assert details["survey"] == {"score": score, "text": SCORES[str(score)]}
        assert "evaluationScore" not in details
    else:
        assert details["evaluationScore"] == {"code": "0", "text": "未评价"}
        assert "survey" not in details


@pytest.mark.parametrize("code", [0, 3, "呼入"])
def test_a_direction_the_text_lacks_is_named_and_kept(code: Any) -> None:
    event = parse_record(callType=code)
    assert (event.direction, set(event.problems)) == (None, {"callType"})
    assert event.details["callType"] == str(code)


# ------------------------------------------------------------------------------------------ times


def test_times_in_words_are_of_the_account_s_zone() -> None:
    event = parse_payload("times_in_words")
    assert (event.dialed_at, event.answered_at, event.ended_at) == (
        ms(BEGAN),
        ms(BEGAN + 6000),
        ms(ENDED),
    )
    berlin = Reading(time_zone=ZoneInfo("Europe/Berlin"))
    words = {"communicateBeginTime": "2020-11-24 11:29:10", "communicateEndTime": ...}
    assert parse_record(reading=berlin, **words).dialed_at == ms(BEGAN + 7 * 3_600_000)


@pytest.mark.parametrize("nothing", [None, 0, "0", "", ...])
def test_a_time_may_be_missing_in_any_way(nothing: Any) -> None:
    event = parse_record(
        communicateBeginTime=nothing, communicateEndTime=nothing, agentAnswerTime=nothing
    )
    assert (event.dialed_at, event.answered_at, event.ended_at) == (None, None, None)
    assert (event.talk_seconds, event.answered, event.problems) == (12, True, {})


@pytest.mark.parametrize(
    ("fields", "answered_at"),
    [
        ({}, BEGAN + 9000),
        ({"agentAnswerTime": 0}, ENDED - 12_000),
        ({"agentAnswerTime": None, "communicateDuration": 0}, None),
        ({"agentAnswerTime": None, "communicateEndTime": None}, None),
        ({"agentAnswerTime": None, "communicateDuration": 21}, BEGAN),
        ({"agentAnswerTime": None, "communicateDuration": 22}, BEGAN),  # rounded up
        ({"agentAnswerTime": BEGAN - 500}, BEGAN),  # rounded down
        ({"agentAnswerTime": str(BEGAN + 1)}, BEGAN + 1),
    ],
)
def test_when_it_was_answered(fields: dict[str, Any], answered_at: int | None) -> None:
    event = parse_record(**fields)
    assert event.answered_at == (None if answered_at is None else ms(answered_at))
    assert event.problems == {}


@pytest.mark.parametrize(
    ("fields", "named", "emptied"),
    [
        ({"communicateEndTime": BEGAN - 1}, "communicateEndTime", "ended_at"),
        ({**SILENT, "agentAnswerTime": BEGAN - 60_000}, "agentAnswerTime", "answered_at"),
        ({**SILENT, "agentAnswerTime": ENDED + 60_000}, "agentAnswerTime", "answered_at"),
        ({"communicateDuration": 1000}, "communicateDuration", "talk_seconds"),
        ({"communicateDuration": 1606188570}, "communicateDuration", "talk_seconds"),
        ({"communicateDuration": -5}, "communicateDuration", "talk_seconds"),
        ({"queueWaitDuration": 1606188570000}, "queueWaitDuration", "wait_seconds"),
        ({"queueWaitDuration": 86_401}, "queueWaitDuration", "wait_seconds"),
        ({"parkingWaitDuration": True}, "parkingWaitDuration", "ring_seconds"),
        ({"communicateBeginTime": 1606188550}, "communicateBeginTime", "dialed_at"),
        ({"communicateBeginTime": "2020-13-24 11:29:10"}, "communicateBeginTime", "dialed_at"),
        ({"communicateEndTime": 253402300799000}, "communicateEndTime", "ended_at"),
        ({"taskId": 1.5e300}, "taskId", "platform_task_id"),
        ({"staffId": 9.007199254740993e15}, "staffId", "agent_number"),
        ({"callingNumber": "9" * 65}, "callingNumber", "caller"),
        ({"iccCallId": []}, "iccCallId", "relation_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_emptied_and_named(
    fields: dict[str, Any], named: str, emptied: str
) -> None:
    event = parse_record(**fields)
    assert getattr(event, emptied) is None
    assert set(event.problems) == {named}
    assert event.platform_result == "2"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("acw", 1606188570),
        ("callWaitDuration", "x"),
        ("createTime", 1),
        ("evaluationScore", 6),
        ("tenantId", 8.7e25),
        ("communicateVoiceId", {}),
        ("customerId", 1.0),
        ("digitUrl", []),
    ],
)
def test_a_bad_detail_is_named_and_not_kept(name: str, value: Any) -> None:
    event = parse_record(**{name: value})
    assert set(event.problems) == {name}
    assert name not in event.details
    assert name not in event.details["person"]


# ----------------------------------------------------------------------------- ids and our contact


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 + 1, 87462158132343186600590049])
def test_ids_keep_every_digit(number: int) -> None:
    names = ("id", "iccCallId", "taskId", "staffId", "tenantId", "externalCustomerId")
    event = parse_record(**dict.fromkeys(names, number))
    assert {
        event.platform_call_id,
        event.relation_id,
        event.platform_task_id,
        event.agent_number,
        event.details["tenantId"],
        event.details["person"]["externalCustomerId"],
    } == {str(number)}


@pytest.mark.parametrize("nothing", [0, "0", "", None, ...])
def test_a_number_that_is_none(nothing: Any) -> None:
    event = parse_record(taskId=nothing, staffId=nothing, transferId=nothing)
    assert (event.platform_task_id, event.agent_number, event.problems) == (None, None, {})
    assert "transfer" not in event.details


@pytest.mark.parametrize(
    ("data", "contact"),
    [
        ("CB-12", "CB-12"),
        ("a=1&contact=CB-12&b=2", "CB-12"),
        ('{"x": {"y": "CB-9007199254740993"}}', "CB-9007199254740993"),
        ({"contact": "CB-12"}, "CB-12"),
        ("CB-12|CB-12", "CB-12"),
        ("XCB-12", None),
        ("CB-12a", None),
        ("CB-", None),
        ("cb-12", None),
        ("CB-1234567890123456789", None),
        (12, None),
        ("", None),
        (None, None),
    ],
)
def test_our_contact_in_what_was_given_along(data: Any, contact: str | None) -> None:
    event = parse_record(externalData=data)
    assert (event.platform_contact_id, event.problems) == (contact, {})
    assert ("carried" in event.details) is (data not in ("", None))


def test_two_contacts_are_none() -> None:
    event = parse_record(externalData="CB-12 CB-13")
    assert (event.platform_contact_id, set(event.problems)) == (None, {"externalData"})
    assert event.details["carried"] == {"externalData": "CB-12 CB-13"}


def test_a_customer_s_id_is_our_contact_only_when_it_looks_so() -> None:
    assert parse_record(externalCustomerId="CB-7").platform_contact_id == "CB-7"
    assert (
        parse_record(externalCustomerId="CB-7", externalData="CB-8").platform_contact_id == "CB-8"
    )
    for other in ("12345", "x CB-7", "CB-7x", "cb-7"):
        event = parse_record(externalCustomerId=other)
        assert event.platform_contact_id is None
        assert event.details["person"]["externalCustomerId"] == other


# ----------------------------------------------------------------------------------- the wrapping


def test_wrapped_unwrapped_in_a_string_or_in_a_form_it_is_the_same_record() -> None:
    sample = find_payload("ima51", "callRecord__sample").body
    whole = parse_body(sample)
    assert parse_payload("unwrapped") == whole
    inner = find_payload("ima51", "callRecord__unwrapped").body.decode()
    assert parse_body(json.dumps({"data": inner}).encode()) == whole
    assert parse_body(b"data=" + sample.replace(b"%", b"%25").replace(b"+", b"%2B")) == whole
    assert parse(Push(kind="anything", body=sample), READING) == (whole,)


@pytest.mark.parametrize("data", ["x", {"a": 1}])
def test_a_record_may_have_a_field_that_is_called_as_the_wrapper(data: Any) -> None:
    event = parse_body(json.dumps(make_record(data=data)).encode())
    assert (event.platform_call_id, event.details["data"]) == (CALL, data)


def test_what_stands_beside_the_record_is_kept() -> None:
    body = json.dumps({"code": 0, "acw": 7, "data": make_record(newField={"a": 1}, notes="x")})
    event = parse_body(body.encode())
    assert (event.details["code"], event.details["newField"]) == (0, {"a": 1})
    assert event.details["acw"] == 5  # the record's own
    assert event.details["notes (platform)"] == "x"
    assert "notes" not in event.details


@pytest.mark.parametrize(
    "value",
    [{}, {"data": {}}, {"data": []}, {"id": "1"}, {"data": {"id": 1}}, {"id": 1, "callType": 1}],
)
def test_a_shape_that_is_no_call_record(value: Any) -> None:
    assert find_reason(json.dumps(value).encode()) == "unknown_shape"


@pytest.mark.parametrize("call_id", [..., None, "", " ", "\x00", True, [], 1.5, "x" * 201])
def test_without_an_id_nothing_can_be_used(call_id: Any) -> None:
    assert find_reason(json.dumps({"data": make_record(id=call_id)}).encode()) == "no_call_id"


def test_a_string_that_is_no_record() -> None:
    assert find_reason(b'{"data": "hello"}') == "not_json"
    assert find_reason(b'{"data": "[1]"}') == "not_object"
    assert find_reason(b"") == "empty"


def test_keys_given_twice_are_named_but_for_the_one_the_text_doubles() -> None:
    body = json.dumps({"data": make_record()}).replace('"acw": 5', '"acw": 5, "acw": 6')
    event = parse_body(body.encode())
    assert (event.details["acw"], set(event.problems)) == (6, {"acw"})


# -------------------------------------------------------------------------------------- properties

ODD_TEXTS = ("", "0", "12", "a\x00b", "\ud800", "2018-12-04", "[1", '[{"a":1}]', "{}", "x" * 30_000)
ODD_NUMBERS = (True, 0, -1, 1.0, 1e308, 2**53 + 1, 2**63, 10**30, 1543935195, 253402300799000)
ODD_VALUES = st.sampled_from(
    [*ODD_TEXTS, *ODD_NUMBERS, None, [], {}, [[]], {"a": None}, [{"a": 1}]]
)


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


def check_push(body: bytes) -> None:
    push = Push(kind="", body=body)
    try:
        events = parse(push, READING)
    except (Unrecognised, Ignored) as answer:
        assert answer.reason
        return
    assert parse(push, READING) == events
    (event,) = events
    check_safe(event)
    for seconds in (event.ring_seconds, event.talk_seconds, event.wait_seconds):
        assert seconds is None or 0 <= seconds <= 86_400
    if event.answered_at:
        assert event.answered_at >= (event.dialed_at or event.answered_at)
        assert event.answered_at <= (event.ended_at or event.answered_at)


@given(st.binary(max_size=300))
def test_any_bytes_are_answered(body: bytes) -> None:
    check_push(body)


@settings(max_examples=500)
@given(st.sampled_from(SAMPLES), st.data())
def test_mutated_samples_are_answered(sample: Any, data: st.DataObject) -> None:
    value = json.loads(sample.body)
    record = value.get("data", value)
    if isinstance(record.get("expansionFields"), str) and data.draw(st.booleans()):
        record["expansionFields"] = json.loads(record["expansionFields"])
    places: list[tuple[Any, Any]] = []

    def collect(inner: Any) -> None:
        for key in inner.keys() if isinstance(inner, dict) else range(len(inner)):
            places.append((inner, key))
            if isinstance(inner[key], dict | list):
                collect(inner[key])

    collect(value)
    for index in data.draw(st.lists(st.integers(0, len(places) - 1), max_size=5)):
        place, key = places[index]
        place[key] = data.draw(ODD_VALUES)
    check_push(json.dumps(value).encode())


@given(st.sampled_from(SAMPLES), st.integers(0, 3000), st.binary(max_size=3))
def test_damaged_samples_are_answered(sample: Any, place: int, damage: bytes) -> None:
    for body in (
        sample.body[:place] + damage + sample.body[place + len(damage) :],
        sample.body[:place] + damage,
        sample.body + damage + sample.body,
    ):
        check_push(body)


def test_the_declaration_uses_this_parser() -> None:
    assert PLATFORM.parse is parse
    assert (PLATFORM.can, PLATFORM.connect, PLATFORM.credentials) == (frozenset(), None, ())
    assert set(PLATFORM.results) == {str(code) for code in range(11)}
