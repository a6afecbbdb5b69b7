"""Each oddity of 51ima's text (platforms/oddities.md), by its number."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from campaigns.platforms.contract import Push
from campaigns.platforms.events import CallEnded, Direction, HangupBy, Result
from campaigns.platforms.ima51 import PLATFORM
from campaigns.platforms.ima51.callbacks import parse
from tests.platforms.ima51.making import (
    BEGAN,
    ENDED,
    READING,
    make_record,
    parse_body,
    parse_form,
    parse_payload,
    parse_record,
)
from tests.platforms.payloads import find_payload, list_payloads

SAMPLE = find_payload("ima51", "callRecord__sample")


def tell(event: CallEnded) -> list[tuple[str, str]]:
    return [(note["name"], note["text"]) for note in event.details.get("notes", [])]


def test_ima_1_the_body_is_wrapped_in_data_or_not() -> None:
    assert list(json.loads(SAMPLE.body)) == ["data"]
    assert parse_payload("unwrapped") == parse_payload("sample")


def test_ima_2_both_values_of_the_doubled_key_are_kept() -> None:
    assert SAMPLE.body.count(b'"expansionFields"') == 2
    event = parse_payload("sample")
    assert "expansionFields" not in event.problems
    empty, items = event.details["expansionFields"]
    assert (empty, len(items)) == ({}, 3)
    assert [name for name, _ in tell(event)] == ["通话小结", "紧急程度", "服务备注"]


def test_ima_2_the_order_of_the_two_does_not_matter() -> None:
    record = json.dumps(make_record(expansionFields=...))[:-1]
    one = json.dumps(json.dumps([{"type": 1, "name": "备注", "value": "a"}]))
    other = json.dumps(json.dumps([{"type": 2, "name": "订单", "value": "b"}]))
    for values, told in (
        ((one, '"{}"'), [("备注", "a")]),
        (('"{}"', one), [("备注", "a")]),
        ((one, other), [("备注", "a"), ("订单", "b")]),
        ((one, one), [("备注", "a")]),
        ((one, other, one), [("备注", "a"), ("订单", "b")]),
        (('"{}"', '"{}"'), []),
        (('""', '"[]"', "null"), []),
    ):
        doubled = ",".join(f'"expansionFields":{value}' for value in values)
        for body in (f'{{"data":{record},{doubled}}}}}', f"{record},{doubled}}}"):
            event = parse_body(body.encode())
            assert (tell(event), event.problems) == (told, {}), values


@pytest.mark.parametrize("empty", ["{}", {}, "[]", [], "", None, " {} ", ...])
def test_ima_3_empty_fields_are_no_fields(empty: Any) -> None:
    event = parse_record(expansionFields=empty)
    assert "notes" not in event.details
    assert "expansionFields" not in event.details
    assert event.problems == {}


def test_ima_3_a_string_an_object_or_a_list_say_the_same() -> None:
    item = {"id": 1, "type": 1, "name": "服务备注", "value": "a"}
    for fields in ([item], item, json.dumps([item]), json.dumps(item)):
        event = parse_record(expansionFields=fields)
        assert (tell(event), event.problems) == ([("服务备注", "a")], {})


@pytest.mark.parametrize("broken", ['[{"type":1', "客户要求回电", 5, True, {"a": 1}])
def test_ima_3_what_is_no_list_is_named_and_kept(broken: Any) -> None:
    event = parse_record(expansionFields=broken)
    assert set(event.problems) == {"expansionFields"}
    assert event.details["expansionFields"] == broken
    assert "notes" not in event.details


def test_ima_4_the_rules_of_a_field_are_an_object_with_a_list_or_a_string() -> None:
    options = [{"value": "一般", "selected": True}, {"value": "加急", "selected": False}]
    rules = {"data": options, "fieldInnerType": 0}
    for told in (rules, json.dumps(rules), rules | {"data": {"a": 1}}):
        item = {"id": 153, "type": 4, "name": "程度", "otherRules": told, "value": "一般"}
        event = parse_form(item)
        (note,) = event.details["notes"]
        assert (note["id"], note["form"], note["text"]) == ("153", "单选项", "一般")
        assert event.details["expansionFields"] == [item]  # the options too
    (note,) = parse_form({"type": 5, "otherRules": "一", "value": "x"}).details["notes"]
    assert "form" not in note


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([{"id": "a", "summary": "咨询"}, {"id": "b", "summary": "投诉"}], "咨询; 投诉"),
        ([{"id": "a", "summary": "咨询"}], "咨询"),
        ("咨询", "咨询"),
        (["电话", "微信"], "电话; 微信"),
        ([{"value": "电话", "selected": True}], "电话"),
        (15, "15"),
        (0, "0"),
        (1.5, "1.5"),
        (True, "true"),
        ("[1]", "[1]"),
        (" a\n b ", "a\n b"),
        ({"from": 1}, '{"from": 1}'),
    ],
)
def test_ima_5_a_value_has_many_forms(value: Any, text: str) -> None:
    event = parse_form({"id": 1, "type": 0, "name": "小结", "value": value})
    assert (tell(event), event.problems) == ([("小结", text)], {})


@pytest.mark.parametrize("value", ["", None, [], {}, [{"id": "a"}][:0], [""], " "])
def test_ima_5_a_field_that_was_left_empty_is_no_note(value: Any) -> None:
    assert tell(parse_form({"id": 1, "type": 0, "name": "小结", "value": value})) == []


def test_ima_5_bad_items_are_named_and_the_others_used() -> None:
    event = parse_form(None, 3, {"type": [], "name": {}, "value": "a"}, {"name": "b", "value": "c"})
    assert tell(event) == [("", "a"), ("b", "c")]
    assert set(event.problems) == {
        "expansionFields[0]",
        "expansionFields[1]",
        "expansionFields[2].type",
        "expansionFields[2].name",
    }


def test_ima_5_every_type_of_field() -> None:
    event = parse_payload("every_form_field")
    notes = event.details["notes"]
    assert [note["type"] for note in notes] == [str(code) for code in range(8)]
    assert [note["type_text"] for note in notes] == [
        *("通话小结", "服务备注", "单行文本", "多行文本"),
        *("下拉框", "选框", "数字", "日期和时间"),
    ]
    assert [note.get("form") for note in notes[4:]] == ["单选项", "多选项", "百分比", "日期和时间"]
    assert [note["required"] for note in notes] == [False] * 4 + [True] + [False] * 3
    assert tell(event)[0] == ("通话小节", "业务咨询; 投诉")
    (note,) = parse_form({"type": 8, "value": "x"}).details["notes"]
    assert note == {"name": "", "text": "x", "type": "8"}


def test_ima_6_times_are_milliseconds() -> None:
    event = parse_payload("sample")
    assert event.dialed_at is not None
    assert event.ended_at is not None
    assert event.dialed_at.timestamp() * 1000 == BEGAN
    assert event.ended_at.timestamp() * 1000 == ENDED


def test_ima_7_the_date_of_another_day_is_kept_and_not_used() -> None:
    event = parse_payload("sample")
    assert event.details["iccRecordDate"] == "1605318636358"
    other = parse_record(iccRecordDate="1605318636358")
    assert (other.dialed_at, other.problems) == (parse_record().dialed_at, {})


def test_ima_8_a_time_stamp_is_no_ringing() -> None:
    event = parse_payload("sample")
    assert event.ring_seconds is None
    assert event.problems["parkingWaitDuration"] == "is not between 0 and 86400"
    assert "parkingWaitDuration" not in event.details
    assert parse_record(parkingWaitDuration=7).ring_seconds == 7


def test_ima_9_without_talk_there_is_no_answer() -> None:
    event = parse_payload("sample")
    assert (event.talk_seconds, event.answered_at, event.answered) == (0, None, False)


def test_ima_10_a_score_below_all_scores_is_named() -> None:
    event = parse_payload("sample")
    assert event.problems["evaluationScore"] == "is not between 0 and 5"
    assert {"survey", "evaluationScore"} & set(event.details) == set()


def test_ima_11_an_inbound_call_may_name_outbound_dialling() -> None:
    event = parse_payload("sample")
    assert event.direction is Direction.INBOUND
    assert event.details["communicateSource"] == {"code": "2", "text": "批量外呼"}


def test_ima_12_the_undocumented_result_decides_nothing() -> None:
    event = parse_payload("sample")
    assert (event.result, event.platform_result) == (Result.ABANDONED, "4")
    assert event.details["callResult"] == 3
    assert parse_record(callResult=4).result is Result.ANSWERED


def test_ima_13_what_no_table_has_is_kept() -> None:
    event = parse_record(agentLoginType="PHONE", noteStatus=2, brandNew={"a": [1]})
    assert event.details["agentLoginType"] == "PHONE"
    assert event.details["noteStatus"] == 2
    assert event.details["brandNew"] == {"a": [1]}
    assert parse_payload("sample").details["person"]["customerId"].startswith("81656c22")
    assert "agentLoginType" not in parse_payload("sample").details  # "" says nothing


def test_ima_14_what_the_sample_lacks_is_read_where_it_comes() -> None:
    event = parse_payload("outbound_task")
    assert event.details["callWaitDuration"] == 11
    assert (event.agent_number, event.agent_name) == ("9007199254740993", "坐席一")
    assert event.platform_task_id == "9223372036854775807"
    assert event.platform_contact_id == "CB-123"
    assert event.details["person"]["externalCustomerId"] == "4611686018427387905"
    sample = parse_payload("sample")
    assert (sample.agent_number, sample.agent_name, sample.platform_task_id) == (None, None, None)


def test_ima_15_who_hung_up_in_numbers_and_in_words() -> None:
    assert parse_payload("result_0").hangup_by is HangupBy.UNKNOWN  # 2 has no word
    assert parse_payload("transferred").hangup_by is HangupBy.PLATFORM  # with the stray quote
    assert parse_payload("no_number_of_hangup").hangup_by is HangupBy.PLATFORM


def test_ima_16_an_abandoned_call_keeps_its_wrap_up_and_voice() -> None:
    event = parse_payload("sample")
    assert (event.result, event.details["acw"]) == (Result.ABANDONED, 5)
    assert event.details["communicateVoiceId"] == "1a87a49b-7fcc-4675-b985-80dc97d373f5"


def test_ima_17_three_waits_are_three_values() -> None:
    event = parse_record(callWaitDuration=11, parkingWaitDuration=8, queueWaitDuration=3)
    assert (event.ring_seconds, event.wait_seconds) == (8, 3)
    assert event.details["callWaitDuration"] == 11


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("开始>播放语音>转AI语音>转人工", ["开始", "播放语音", "转AI语音", "转人工"]),
        ("开始 > 结束>", ["开始", "结束"]),
        ("开始", ["开始"]),
        (">", None),
        ("", None),
    ],
)
def test_ima_18_the_url_is_a_path_through_the_menu(text: str, path: list[str] | None) -> None:
    assert parse_record(digitUrl=text).details.get("path") == path


def test_ima_19_three_ids_and_no_recording() -> None:
    events = parse(SAMPLE.make_push(), READING)
    (event,) = events  # no recording: no text says how to fetch one
    assert event.platform_call_id == "0605589a-c1f7-47a5-b75c-3e639e1b928a"
    assert event.relation_id == "77321526-3971-408e-adf2-7557dba9d2c3"


def test_ima_20_zero_is_no_transfer() -> None:
    assert "transfer" not in parse_payload("sample").details
    assert "transferId" not in parse_payload("sample").details
    assert parse_record(transferId="T-1").details["transfer"] == {"transferId": "T-1"}


def test_ima_21_long_ids_keep_every_digit() -> None:
    assert parse_payload("sample").details["tenantId"] == "87462158132343186600590049"
    assert parse_record(tenantId=87462158132343186600590049).details["tenantId"] == (
        "87462158132343186600590049"
    )
    assert parse_payload("sample").queue_name == "01105165021937Jr"
    assert parse_record(taskId=2**53 + 1).platform_task_id == str(2**53 + 1)


def test_ima_22_the_dash_behind_a_province_is_not_shown() -> None:
    details = parse_payload("sample").details
    assert details["person"]["custNumberAttribution"] == "重庆"
    assert details["custNumberAttribution"] == "重庆-"
    whole = parse_record(custNumberAttribution="江苏-南京").details
    assert whole["person"]["custNumberAttribution"] == "江苏-南京"
    assert "custNumberAttribution" not in whole


def test_ima_23_both_spellings_of_the_summary() -> None:
    for name in ("通话小节", "通话小结"):
        assert tell(parse_form({"type": 0, "name": name, "value": "a"})) == [(name, "a")]


def test_ima_24_and_25_every_repeat_is_the_same_record() -> None:
    """Up to ten times, without an id of the delivery or a signature: the id of the record rules."""
    first = parse(SAMPLE.make_push(), READING)
    assert all(parse(SAMPLE.make_push(), READING) == first for _ in range(9))
    signed = Push(kind="", body=SAMPLE.body, headers={"x-signature": "abc"})
    assert parse(signed, READING) == first


@pytest.mark.parametrize("nothing", [None, 0, "0", "", ...])
def test_ima_26_a_missing_time_is_null_zero_or_absent(nothing: Any) -> None:
    event = parse_record(agentAnswerTime=nothing, createTime=nothing, communicateDuration=0)
    assert (event.answered_at, event.problems) == (None, {})
    assert "createTime" not in event.details


def test_ima_27_every_number_is_made_up() -> None:
    for payload in list_payloads("ima51"):
        for number in re.findall(r"(?<![0-9A-Za-z-])1[3-9]\d{9}(?!\d)", payload.body.decode()):
            assert number.startswith("1990000000"), payload.name


def test_the_platform_takes_nothing_from_us() -> None:
    assert PLATFORM.can == frozenset()
    assert PLATFORM.default_base_url == ""
    assert list(PLATFORM.kinds) == [""]
