"""The pushes of 7moor: each kind, each field of the tables, and any bytes at all."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import fields as list_fields
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.evidence import Evidence, merge, project, read_event
from campaigns.platforms.contract import Push
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import (
    AccountSeen,
    AgentChanged,
    AgentState,
    CallEnded,
    CallProgressed,
    Direction,
    HangupBy,
    RecordingReady,
    Result,
)
from campaigns.platforms.moor7.callbacks import parse
from campaigns.platforms.moor7.records import ADDRESSES, DURATIONS, TIMES
from tests.platforms.moor7.making import (
    CALL,
    READING,
    at,
    find_account,
    find_reason,
    make_body,
    parse_agent,
    parse_payload,
    parse_record,
    parse_recordings,
    parse_stage,
    parse_value,
)
from tests.platforms.payloads import find_payload, list_payloads

# --------------------------------------------------------------------------------- stages of a call


def test_the_outbound_ring() -> None:
    assert parse_payload("dialoutRing__sample") == (
        AccountSeen(setting="account_id", platform_account_id="20000153"),
        CallProgressed(
            source="dialoutRing",
            rank=5,
            platform_call_id=CALL,
            direction=Direction.OUTBOUND,
            caller="01081400192",
            callee="19900000002",
            ringing_at=at("14:39:37"),
            agent_number="20001",
            agent_name="sc的坐席",
            details={
                "callType": "dialout",
                "dialoutRing 8757e994f19040749c5b194faaf21c78": {
                    "eventUniqueId": "8757e994f19040749c5b194faaf21c78",
                    "pushType": "dialoutRing",
                    "callEvent": "ring",
                },
            },
        ),
    )


def test_the_outbound_hangup() -> None:
    stage = parse_stage("dialoutHangup__sample")
    assert (stage.source, stage.rank, stage.platform_call_id) == ("dialoutHangup", 10, CALL)
    assert (stage.ended_at, stage.answered) == (at("14:39:47"), None)


def test_the_inbound_ring_whatever_its_type() -> None:
    for push_type in (..., "", "incomingRing", "callStatus", 7, ["x"]):
        stage = parse_stage("incomingRing__ring", pushType=push_type)
        assert stage.source == "incomingRing"
        assert (stage.direction, stage.ringing_at) == (Direction.INBOUND, at("14:40:05"))
        assert (stage.caller, stage.callee) == ("19900000005", "01080455499")
    calling = parse_stage("incomingRing__calling")
    assert (calling.source, calling.dialed_at) == ("incomingRing", at("14:40:00"))
    assert (calling.ringing_at, calling.agent_number) == (None, None)


def test_the_inbound_hangup() -> None:
    stage = parse_stage("incomingHangup__whole")
    assert (stage.source, stage.rank) == ("incomingHangup", 10)
    assert (stage.caller, stage.callee) == ("19900000002", "01080455499")
    assert stage.ended_at == at("19:12:35", "2020-12-14")
    assert (stage.agent_number, stage.agent_name) == ("2000", "默认坐席")


def test_the_answer_of_the_customer_is_unwrapped() -> None:
    events = parse_payload("customerAnswered__sample")
    assert find_account(events).platform_account_id == "2100147"
    stage = events[1]
    assert isinstance(stage, CallProgressed)
    assert (stage.source, stage.platform_call_id) == ("customerAnswered", "393928840994361344")
    assert (stage.answered, stage.answered_at) == (True, at("10:07:44", "2021-03-25"))
    assert (stage.caller, stage.callee) == ("02258834811", "19900000004")
    mark = "92fe6e957421411c9343fdef75411ca1"
    assert stage.details[f"customerAnswered {mark}"]["uniqueId"] == mark


@pytest.mark.parametrize("wrap", [json.dumps, dict])
def test_a_wrapper_is_taken_off_as_text_too(wrap: Any) -> None:
    inner = make_body("dialoutRing__sample", eventUniqueId=...)
    stage = parse_value({"content": wrap(inner), "uniqueId": "u-1"})[1]
    assert isinstance(stage, CallProgressed)
    assert (stage.source, stage.problems) == ("dialoutRing", {})
    assert stage.details["dialoutRing u-1"]["uniqueId"] == "u-1"


def test_a_contradiction_with_the_wrapper_is_named() -> None:
    body = {"content": make_body("dialoutRing__sample"), "accountId": "1"}
    events = parse_value(body)
    assert find_account(events).platform_account_id == "20000153"
    assert events[1].problems == {"accountId": "is given twice; the last one is used"}


def test_a_stage_that_nobody_knows_is_kept() -> None:
    stage = parse_stage("dialoutRing__sample", callEvent="consult")
    assert stage.source == "call.consult"
    assert (stage.ringing_at, stage.problems) == (None, {})
    (told,) = [value for name, value in stage.details.items() if name.startswith("call.")]
    assert told["callEvent"] == "consult"


@pytest.mark.parametrize(
    ("push_type", "column"), [("dialoutRing", "ringing_at"), ("dialoutHangup", "ended_at")]
)
def test_the_type_speaks_where_the_stage_is_silent(push_type: str, column: str) -> None:
    stage = parse_stage("dialoutRing__sample", pushType=push_type, callEvent="")
    assert getattr(stage, column) == at("14:39:37")
    assert stage.source == push_type


@pytest.mark.parametrize(
    ("call_type", "direction", "caller", "callee"),
    [
        ("dialout", Direction.OUTBOUND, "01081400192", "19900000002"),
        ("webcall", Direction.OUTBOUND, "01081400192", "19900000002"),
        ("previewDialout", Direction.OUTBOUND, "01081400192", "19900000002"),
        ("autoDialout", Direction.OUTBOUND, "01081400192", "19900000002"),
        ("incoming", Direction.INBOUND, "19900000002", "01081400192"),
        ("sideways", None, None, None),
        ("", None, None, None),
    ],
)
def test_directions(
    call_type: str, direction: Direction | None, caller: str | None, callee: str | None
) -> None:
    for event in (
        parse_stage("dialoutRing__sample", callType=call_type),
        parse_record(callType=call_type),
    ):
        assert (event.direction, event.caller, event.callee) == (direction, caller, callee)
        if direction is None:  # nobody knows who called: the numbers stay as they came
            assert event.details["customerNumber"] == "19900000002"
            assert event.details["displayNumber"] == "01081400192"


def test_the_trunk_stands_in_for_the_number_shown() -> None:
    outbound = parse_stage("dialoutRing__sample", displayNumber="", trunkNumber="01080455499")
    assert outbound.caller == "01080455499"
    both = parse_stage("dialoutRing__sample", trunkNumber="01080455499")
    assert (both.caller, both.details["trunkNumber"]) == ("01081400192", "01080455499")


# ------------------------------------------------------------------------------------------- agents


def test_a_state_of_an_agent_is_two_things() -> None:
    account, agent, stage = parse_payload("agentStatus__link")
    assert isinstance(account, AccountSeen)
    assert agent == AgentChanged(
        source="callStatus",
        agent_number="20001",
        agent_name="sc的坐席",
        state=AgentState.TALKING,
        platform_state="4",
        platform_state_text="通话中",
        at=at("14:39:42"),
        order=40,
        platform_event_id="fbc13d07ddff4649bc1ca6d636a915b4",
        platform_call_id=CALL,
        details={"callEvent": "link", "callType": "dialout", "pushType": "callStatus"},
    )
    assert isinstance(stage, CallProgressed)
    assert (stage.source, stage.rank) == ("callStatus.link", 8)
    assert (stage.answered, stage.answered_at) == (True, at("14:39:42"))


def test_a_state_without_a_call_is_the_agents_alone() -> None:
    _, agent = parse_payload("agentStatus__idle")
    assert isinstance(agent, AgentChanged)
    assert (agent.state, agent.platform_call_id) == (AgentState.IDLE, None)
    # the id of the last call without a stage of it says nothing new of that call
    events = parse_payload("agentStatus__idle", callUniqueId=CALL)
    assert len(events) == 2
    assert parse_agent("agentStatus__idle", callUniqueId=CALL).platform_call_id == CALL


def test_a_state_of_nobody() -> None:
    (_, stage) = parse_payload("agentStatus__link", agentNumber="")
    assert isinstance(stage, CallProgressed)
    assert stage.details["callStatus.link fbc13d07ddff4649bc1ca6d636a915b4"]["statusNumber"] == "4"
    assert find_reason(make_body("agentStatus__idle", agentNumber="")) == "no_agent"
    assert find_reason(make_body("login__sample", agentNumber=...)) == "no_agent"


@pytest.mark.parametrize(
    ("number", "name", "state"),
    [
        ("0", "空闲", AgentState.IDLE),
        ("1", "忙碌", AgentState.BUSY),
        (2, "呼叫中", AgentState.DIALLING),
        ("3", "振铃", AgentState.RINGING),
        ("4", "通话中", AgentState.TALKING),
        ("5", "整理", AgentState.WRAP_UP),
        ("6", "保持", AgentState.HOLDING),
        ("7", "静音", AgentState.MUTED),
        ("8", "未连接", AgentState.DISCONNECTED),
        ("9", "失效", AgentState.INVALID),
        ("100", "培训", AgentState.CUSTOM),
        (101, "午休", AgentState.CUSTOM),
        ("10", "?", AgentState.UNKNOWN),
        ("99", "?", AgentState.UNKNOWN),
        ("-1", "?", AgentState.UNKNOWN),
        ("²", "?", AgentState.UNKNOWN),
        ("9" * 60, "?", AgentState.CUSTOM),
    ],
)
def test_states(number: Any, name: str, state: AgentState) -> None:
    agent = parse_agent("agentStatus__idle", statusNumber=number, statusName=name)
    assert agent.state is state
    assert (agent.platform_state, agent.platform_state_text) == (str(number), name)
    assert agent.logged_in is None


def test_the_name_speaks_where_the_number_is_missing() -> None:
    assert parse_agent("agentStatus__idle", statusNumber="").state is AgentState.IDLE
    odd = parse_agent("agentStatus__idle", statusNumber="", statusName="别的")
    assert (odd.state, odd.platform_state_text) == (AgentState.UNKNOWN, "别的")


def test_within_one_second_what_comes_later_by_nature_ranks_higher() -> None:
    orders = [
        parse_agent("login__sample").order,
        *(parse_agent("agentStatus__idle", statusNumber=n).order for n in ("2", "3", "4", "5")),
        parse_agent("agentStatus__idle", statusNumber="0").order,
        parse_agent("logout__sample").order,
    ]
    assert orders == sorted(set(orders))


def test_login_and_logout() -> None:
    account, agent = parse_payload("login__sample")
    assert isinstance(account, AccountSeen)
    assert agent == AgentChanged(
        source="login",
        agent_number="9998",
        agent_name="XXX",
        state=AgentState.ONLINE,
        platform_state="login",
        platform_state_text="登陆",
        logged_in=True,
        at=at("18:06:48", "2021-07-22"),
        order=10,
        platform_event_id="bf6dc33761c34272800c7c8256f53c5a",
        details={"loginType": "PSTN", "pushType": "login"},
    )
    gone = parse_agent("logout__sample")
    assert (gone.state, gone.logged_in) == (AgentState.OFFLINE, False)
    offline = parse_agent("logout__offline")
    assert (offline.state, offline.logged_in) == (AgentState.OFFLINE, False)
    assert offline.details["logoutType"] == "offline"
    assert offline.details["offlineType"] == "SIP"


def test_login_and_logout_are_known_by_shape() -> None:
    assert parse_agent("login__sample", pushType=...).logged_in is True
    assert parse_agent("logout__sample", pushType=...).logged_in is False
    assert parse_agent("login__sample", loginType=...).logged_in is True
    assert find_reason(make_body("login__sample", pushType=..., loginType=...)) == "unknown_shape"


# ------------------------------------------------------------------------------------ call records


def test_the_record() -> None:
    record = parse_record()
    assert record == CallEnded(
        source="cdr",
        rank=30,
        platform_call_id=CALL,
        direction=Direction.OUTBOUND,
        caller="01081400192",
        callee="19900000002",
        dialed_at=at("14:39:32"),
        ringing_at=at("14:39:37"),
        answered_at=at("14:39:42"),
        ended_at=at("14:39:47"),
        answered=True,
        ring_seconds=5,
        talk_seconds=5,
        wait_seconds=0,
        result=Result.ANSWERED,
        platform_result="ANSWER",
        platform_result_text="已接听",
        hangup_by=HangupBy.AGENT,
        agent_number="20001",
        agent_name="sc的坐席",
        details=record.details,
    )
    assert record.details["person"]["customerCity"] == "北京"
    assert record.details["billCalls"][1].endswith("|null")
    assert {"survey", "transfer", "path", "carried"}.isdisjoint(record.details)


@pytest.mark.parametrize(
    ("status", "reason", "word", "result", "answered"),
    [
        ("ANSWER", ..., "ANSWER", Result.ANSWERED, True),
        ("CALL_TRANSFER", "", "CALL_TRANSFER", Result.TRANSFERRED, True),
        ("IVR", "", "IVR", Result.ABANDONED, False),
        ("QUEUE_ABANDON", "", "QUEUE_ABANDON", Result.ABANDONED, False),
        ("AGENT_NO_ANSWER", "", "AGENT_NO_ANSWER", Result.NO_ANSWER, False),
        ("CUSTOMER_NO_ANSWER", "", "CUSTOMER_NO_ANSWER", Result.NO_ANSWER, False),
        # ways of not answering
        ("CUSTOMER_NO_ANSWER", "decline", "CUSTOMER_NO_ANSWER", Result.NO_ANSWER, False),
        ("CUSTOMER_NO_ANSWER", "requestTimeout", "CUSTOMER_NO_ANSWER", Result.NO_ANSWER, False),
        ("CUSTOMER_NO_ANSWER", "unknow", "CUSTOMER_NO_ANSWER", Result.NO_ANSWER, False),
        ("CUSTOMER_NO_ANSWER", "meteor", "CUSTOMER_NO_ANSWER", Result.NO_ANSWER, False),
        ("CUSTOMER_NO_ANSWER", "forbidden", "CUSTOMER_NO_ANSWER", Result.NO_ANSWER, False),
        ("AGENT_NO_ANSWER", "forbidden", "AGENT_NO_ANSWER", Result.NO_ANSWER, False),
        # no status: the reason decides
        ("", "forbidden", "forbidden", Result.CALL_RESTRICTED, False),
        ("", "serviceUnavailable", "serviceUnavailable", Result.LINE_FAILURE, False),
        ("", "cancel", "cancel", Result.CANCELLED, False),
        (..., "requestTimeout", "requestTimeout", Result.TIMED_OUT, False),
        (None, "unknow", "unknow", Result.UNKNOWN, False),
        ("", "decline", "decline", Result.NO_ANSWER, False),
    ],
)  # fmt: skip
def test_results(status: Any, reason: Any, word: str, result: Result, answered: bool) -> None:
    record = parse_record(status=status, failureReason=reason)
    assert (record.platform_result, record.result, record.answered) == (word, result, answered)
    assert record.platform_result_text
    assert (record.answered_at is not None) == answered
    other = {"status": status, "failureReason": reason}
    for name, said in other.items():  # the other word stays beside it
        kept = said if said not in (word, "", ..., None) else None
        assert record.details.get(name) == kept


def test_an_unknown_result_is_kept() -> None:
    for fields in ({"status": "MOON"}, {"status": "", "failureReason": "MOON"}):
        record = parse_record(**fields)
        assert (record.result, record.platform_result) == (Result.UNKNOWN, "MOON")
        assert (record.platform_result_text, record.problems) == (None, {})
        assert record.answered is True  # somebody was put through
    silent = parse_record(status="", bridgeTime="", customerAnswerTime="")
    assert (silent.result, silent.platform_result, silent.answered) == (None, None, None)


@pytest.mark.parametrize(
    ("side", "hangup_by"),
    [
        ("AGENT", HangupBy.AGENT),
        ("CUSTOMER", HangupBy.CONTACT),
        ("SYSTEM", HangupBy.UNKNOWN),
        ("", None),
        (..., None),
    ],
)
def test_who_hung_up(side: Any, hangup_by: HangupBy | None) -> None:
    record = parse_record(hangUpSide=side)
    assert record.hangup_by is hangup_by
    assert record.details.get("hangUpSide") == (side if hangup_by else None)


def test_an_inbound_record() -> None:
    record = parse_record("cdr__every_field")
    assert (record.direction, record.caller) == (Direction.INBOUND, "19900000005")
    assert (record.callee, record.details["displayNumber"]) == ("01080455499", "01081400192")
    assert (record.dialed_at, record.ringing_at) == (at("14:40:00"), at("14:40:20"))
    assert (record.answered_at, record.ended_at) == (at("14:40:27"), at("14:41:27"))
    assert (record.ring_seconds, record.talk_seconds, record.wait_seconds) == (5, 60, 10)
    assert (record.queue_name, record.details["path"]) == ("售后", ["主菜单"])
    assert record.platform_task_id == "task-5"
    assert record.relation_id == CALL
    assert record.details["transfer"] == {"relativeCallUniqueId": CALL}
    assert record.details["carried"] == {"order": "A-18"}
    assert record.details["survey"] == {
        "score": None,
        "text": "1",
        "satisfyKeys": "1",
        "satisfyStartTime": "2021-05-08 14:41:27",
        "satisfyEndTime": "2021-05-08 14:41:47",
        "satisfyDuration": 20,
        "satisfyIvrId": "ivr-9",
    }
    assert record.details["person"]["customerName"] == "张三"


def test_who_gave_up_in_the_queue_was_not_answered() -> None:
    record = parse_record("cdr__queue_abandon")
    assert (record.result, record.answered) == (Result.ABANDONED, False)
    assert (record.wait_seconds, record.queue_name) == (27, "售后")
    assert (record.answered_at, record.agent_number) == (None, None)


def test_the_agents_leg_is_no_answer() -> None:
    """The agent of an outbound call picks up first; the contact did not."""
    record = parse_record("cdr__customer_no_answer", bridgeTime="2021-05-08 14:39:42")
    assert (record.answered, record.answered_at) == (False, None)
    assert record.details["agentAnswerTime"] == "2021-05-08 14:39:37"
    assert record.details["bridgeTime"] == "2021-05-08 14:39:42"


def test_without_a_bridge_the_answer_counts() -> None:
    assert parse_record(bridgeTime="").answered_at == at("14:39:42")
    inbound = parse_record("cdr__every_field", bridgeTime="")
    assert inbound.answered_at == at("14:40:25")


def test_the_end_of_the_call_is_not_the_end_of_the_survey() -> None:
    assert parse_record(hangupTime="").ended_at == at("14:39:47")
    assert parse_record("cdr__every_field", hangupTime="").ended_at is None
    odd = parse_record(hangupTime="2021-05-08 14:39:00")
    assert odd.problems == {"hangupTime": "is before bridgeTime"}


@pytest.mark.parametrize(
    ("keys", "text"), [(["1", "3"], "1, 3"), ("5", "5"), ([2], "2"), (["1", None], "1")]
)
def test_keys_of_a_survey(keys: Any, text: str) -> None:
    survey = parse_record(satisfyKeys=keys).details["survey"]
    assert (survey["text"], survey["score"]) == (text, None)


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [1620455987, "1620455987000", -1, "-5", "soon", 1.5, True])
def test_an_impossible_duration_is_emptied_and_named(name: str, value: Any) -> None:
    events = parse_payload("cdr__every_field", **{name: value})
    record = next(event for event in events if isinstance(event, CallEnded))
    assert set(record.problems) == {name}
    assert name not in record.details
    assert name not in record.details.get("survey", {})
    assert "1620455987" not in repr(events)
    good = parse_record("cdr__every_field", **{name: "7"})
    assert good.problems == {}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    "value", ["2021-02-30 00:00:00", "yesterday", "1620455987000", True, {"a": 1}, "9999-01-01"]
)
def test_an_impossible_time_is_emptied_and_named(name: str, value: Any) -> None:
    record = parse_record("cdr__every_field", **{name: value})
    assert set(record.problems) == {name}
    assert name not in record.details
    assert name not in record.details.get("survey", {})


@pytest.mark.parametrize("value", ["1620455972", 1620455972, "2021-05-08 14:39:32"])
def test_both_forms_of_a_time_are_read_everywhere(value: Any) -> None:
    assert parse_record(startTime=value).dialed_at == at("14:39:32")
    assert parse_stage("dialoutRing__sample", statusTime=value).ringing_at == at("14:39:32")
    assert parse_agent("login__sample", statusTime=value).at == at("14:39:32")


def test_times_are_in_the_zone_of_the_account() -> None:
    body = make_body("cdr__sample")
    (_, record, *_) = parse_value(body, zone="Asia/Jakarta")
    assert isinstance(record, CallEnded)
    assert record.ended_at == at("15:39:47")


# ------------------------------------------------------------------------- our own id of a contact


@pytest.mark.parametrize(
    "fields",
    [
        {"taskId": "CB-123"},
        {"extras": {"contact": "CB-123"}},
        {"extras": {"a": {"b": ["x", " CB-123 "]}}},
        {"extras": json.dumps({"contact": "CB-123"})},
        {"extras": "CB-123"},
        {"extras": {"contact": "CB-123"}, "taskId": "CB-123"},
    ],
)
def test_our_contact_is_found(fields: dict[str, Any]) -> None:
    record = parse_record(**fields)
    assert (record.platform_contact_id, record.platform_task_id) == ("CB-123", None)
    assert all(one.platform_contact_id == "CB-123" for one in parse_recordings(**fields))
    assert parse_stage("dialoutRing__sample", **fields).platform_contact_id == "CB-123"


@pytest.mark.parametrize(
    "extras", ["", {}, "CB-", "CB-1x", "XCB-12", {"CB-1": "x"}, {"n": 12}, "CB-" + "1" * 30]
)
def test_what_is_no_contact_of_ours(extras: Any) -> None:
    assert parse_record(extras=extras).platform_contact_id is None


def test_two_contacts_are_none() -> None:
    record = parse_record(extras={"a": "CB-1", "b": "CB-2"})
    assert record.platform_contact_id is None
    assert record.problems == {"extras": "names several contacts"}


# --------------------------------------------------------------------------------------- recordings


def test_one_recording_for_each_address() -> None:
    recordings = parse_recordings()
    assert [list(one.details) for one in recordings] == [
        ["recordFileUrl", "voiceMailUrl"],
        ["customerFileUrl"],
        ["agentFileUrl"],
    ]
    assert [one.address[-16:] for one in recordings] == [
        "-doubleTrack.mp3",
        "ubleTrack-in.mp3",
        "bleTrack-out.mp3",
    ]
    assert {(one.seconds, one.rank, one.platform_call_id) for one in recordings} == {(5, 30, CALL)}
    assert len(parse_recordings("cdr__every_field")) == 4


def test_a_voice_mail_is_one_by_its_type_only() -> None:
    (mail,) = parse_recordings("cdr__voicemail")
    assert mail.details == {"voiceMailUrl": mail.address}
    assert mail.seconds == 12
    record = parse_record("cdr__voicemail")
    assert (record.answered, record.details["recordType"]) == (False, "voiceMail")
    assert parse_record().details["recordType"] == "doubleTrack"


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "value",
    ["ftp://h/x.mp3", "javascript:1", "//h/x.mp3", "a/b.mp3", "http://u:p@h/x", "http://[", 7],
)
def test_an_address_that_cannot_be_fetched_is_named(name: str, value: Any) -> None:
    fields = {**dict.fromkeys(ADDRESSES, ""), name: value}
    assert parse_recordings(**fields) == []
    assert set(parse_record(**fields).problems) == {name}


# ------------------------------------------------------------------------------------ media failure


def test_what_was_heard_before_the_answer() -> None:
    assert parse_payload("mediaFailure__sample")[1] == CallProgressed(
        source="mediaFailreason",
        rank=4,
        platform_call_id="403381132931895296",
        answered=False,
        result=Result.BUSY,
        platform_result="onThePhone",
        platform_result_text="正在通话",
        agent_number="2001",
        details={
            "media_failure": {"reason": "onThePhone", "code": 15, "keyword": "正在通话"},
            "mediaFailreason 88c15955242645b485e902ec077acc52": {
                "eventUniqueId": "88c15955242645b485e902ec077acc52",
                "pushType": "mediaFailreason",
            },
        },
    )


def test_what_was_heard_and_nobody_knows() -> None:
    stage = parse_stage("mediaFailure__sample", preMediaFailureReason="poweredOff")
    assert (stage.result, stage.platform_result) == (Result.UNKNOWN, "poweredOff")
    silent = parse_stage("mediaFailure__sample", preMediaFailureReason="")
    assert (silent.result, silent.platform_result) == (None, None)
    odd = parse_stage("mediaFailure__sample", preMediaCode="x")
    assert odd.details["media_failure"] == {"reason": "onThePhone", "keyword": "正在通话"}
    assert odd.problems == {"preMediaCode": "is not a number"}


def test_sentences_are_kept() -> None:
    stage = parse_stage("mediaFailure__segments")
    (segment,) = stage.details["segments"]
    assert segment["text"] == "您好,您拨打的用户正在通话中"
    odd = parse_stage("mediaFailure__sample", segments="x")
    assert odd.problems == {"segments": "is not a list"}


# --------------------------------------------------------------------------------- nothing is lost

#: the table of 通话记录推送事件, l.152-226
TABLE = (
    "accountId", "actionId", "agentAnswerTime", "agentAreacode", "agentCity", "agentCountry",
    "agentCountryCode", "agentFileUrl", "agentNumber", "agentProvince", "agentRingDuration",
    "agentStartTime", "agentTelNumber", "agentTelType", "bridgeDuration", "bridgeTime", "callId",
    "callType", "createTime", "customerAnswerTime", "customerAreaCode", "customerCity",
    "customerCountry", "customerCountryCode", "customerFileUrl", "customerNumber",
    "customerNumberType", "customerProvince", "customerRingDuration", "customerStartTime",
    "displayNumber", "endTime", "failureReason", "gatewayIP", "hangUpSide", "hangupTime",
    "hotLineNumber", "id", "ivrId", "ivrTime", "joinQueueTime", "satisfyKeys", "loginType",
    "playNumberDuration", "queueNumber", "recordFileUrl", "recordType", "recordingDuration",
    "satisfyDuration", "satisfyEndTime", "satisfyIvrId", "satisfyStartTime", "sipCode",
    "startTime", "status", "callUniqueId", "relativeCallUniqueId", "eventUniqueId",
    "systemAnswerTime", "taskId", "totalDuration", "trunkNumber", "virtualNumber", "waitDuration",
    "ivrName", "queueName", "agentName", "agentId", "matchResult", "customerId", "customerName",
    "_id", "saveTime", "uniqueId", "extras", "groupIdList", "groupNameList", "doubleTrackFileUrl",
    "voiceMailUrl"
)  # fmt: skip


@pytest.mark.parametrize("name", [name for name in TABLE if name != "callUniqueId"])
def test_every_field_of_the_table_leaves_a_trace(name: str) -> None:
    said = {"failureReason": "decline", "voiceMailUrl": "https://h/9.mp3"}
    body = make_body("cdr__every_field", **{k: v for k, v in said.items() if k == name})
    assert name in body
    assert body[name] not in ("", [])
    events, fewer = parse_value(body), parse_value({**body, name: ""})
    assert events != fewer


def list_leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from list_leaves(inner)
    elif is_dataclass(value):
        for field in list_fields(value):
            yield from list_leaves(getattr(value, field.name))
    elif isinstance(value, datetime):
        yield f"{value.astimezone(READING.time_zone):%Y-%m-%d %H:%M:%S}"
    else:
        yield value.value if isinstance(value, Enum) else value


@pytest.mark.parametrize(
    "name", [payload.name for payload in list_payloads("moor7") if payload.event == "cdr"]
)
def test_every_leaf_of_a_record_is_found_again(name: str) -> None:
    found = {str(leaf) for leaf in list_leaves(parse_payload(name))}
    told = [str(leaf) for leaf in list_leaves(make_body(name)) if leaf != ""]
    assert [leaf for leaf in told if leaf not in found] == []


def test_ids_among_the_details_are_texts() -> None:
    number = 403344537650466817
    names = ("id", "_id", "uniqueId", "callId", "agentId", "actionId", "eventUniqueId")
    record = parse_record(**dict.fromkeys(names, number))
    assert [record.details[name] for name in names] == [str(number)] * len(names)
    assert parse_record(customerId=number).details["person"]["customerId"] == str(number)
    assert parse_record(relativeCallUniqueId=number).relation_id == str(number)


def test_a_field_that_no_table_has_is_kept() -> None:
    assert parse_record(novelty={"a": [1, "x"]}).details["novelty"] == {"a": [1, "x"]}
    stage = parse_stage("dialoutRing__sample", novelty="x")
    assert stage.details["dialoutRing 8757e994f19040749c5b194faaf21c78"]["novelty"] == "x"


# ------------------------------------------------------------------------- one call, told in pieces

PIECES = (
    *("agentStatus__calling", "dialoutRing__sample", "agentStatus__link"),
    *("agentStatus__wrap_up", "dialoutHangup__sample", "cdr__sample"),
)


def gather(names: Any) -> Evidence:
    evidence: Evidence = {}
    for name in names:
        for event in parse_payload(name):
            if isinstance(event, CallEnded | CallProgressed | RecordingReady):
                evidence = merge(evidence, read_event(event)[0])
    return evidence


def test_the_pieces_of_one_call_agree() -> None:
    projection = project(gather(PIECES))
    assert projection.conflicts == {}
    assert projection.columns["dialed_at"] == at("14:39:32")
    assert projection.columns["ringing_at"] == at("14:39:37")
    assert projection.columns["result"] == "answered"


def test_the_pieces_may_come_in_any_order_and_twice() -> None:
    whole = gather(PIECES)
    for order in itertools.permutations(PIECES):
        assert gather(order) == whole
    assert gather(PIECES * 2) == whole


def test_the_record_rules_over_what_was_heard() -> None:
    heard = read_event(parse_stage("mediaFailure__sample", callUniqueId=CALL))[0]
    before = project(heard).columns
    assert (before["result"], before["platform_result"]) == ("busy", "onThePhone")
    for one in ("cdr__sample", "cdr__customer_no_answer"):
        record = read_event(parse_record(one, callUniqueId=CALL))[0]
        after = project(merge(heard, record)).columns
        assert after["platform_result"] in ("ANSWER", "CUSTOMER_NO_ANSWER")
        assert after["result"] in ("answered", "no_answer")
        assert after["details"]["media_failure"]["code"] == 15


# --------------------------------------------------------------------------------------------- odd


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b"// nothing", "not_json"),
        (b"[]", "not_object"),
        (b"null", "not_object"),
        ({}, "unknown_shape"),
        ({"accountId": "20000153"}, "unknown_shape"),
        ({"pushType": "novelty", "callUniqueId": "1"}, "unknown_shape"),
        ({"pushType": {"a": 1}, "callUniqueId": "1"}, "unknown_shape"),
        ({"pushType": "cdr"}, "no_call_id"),
        ({"pushType": "callStatus", "callUniqueId": "1"}, "no_agent"),
        ({"callEvent": "ring"}, "no_call_id"),
        ({"callEvent": "ring", "callUniqueId": ["1"]}, "no_call_id"),
        ({"callEvent": "ring", "callUniqueId": 4.03344537650466816e17}, "no_call_id"),
    ],
)
def test_what_cannot_be_used(value: Any, reason: str) -> None:
    assert find_reason(value) == reason


@pytest.mark.parametrize("name", ["agentNumber", "agentName", "customerNumber", "hangUpSide"])
@pytest.mark.parametrize("value", [["x"], {"a": 1}, True, "x" * 30_000])
def test_a_bad_field_is_emptied_and_named(name: str, value: Any) -> None:
    record = parse_record(**{name: value})
    assert set(record.problems) == {name}
    assert name not in record.details
    assert record.talk_seconds == 5


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["", "0", "-1", "1620455987", "2021-05-08 14:39:47", "\x00", "\ud800", "CB-1"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = sorted({name for one in list_payloads("moor7") for name in json.loads(
    one.body.replace(b'"\n"event', b'",\n"event')
)})  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([payload.name for payload in list_payloads("moor7")]),
    st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1, max_size=6),
)
def test_any_value_anywhere_gives_events_or_a_reason(name: str, fields: dict[str, Any]) -> None:
    body = json.loads(find_payload("moor7", name).body.replace(b'"\n"event', b'",\n"event'))
    push = Push(kind="", body=json.dumps(body | fields).encode())
    try:
        events = parse(push, READING)
    except Unrecognised as error:
        assert error.reason in {"unknown_shape", "no_call_id", "no_agent"}
        return
    assert events == parse(push, READING)
    for event in events:
        if isinstance(event, CallEnded | CallProgressed):
            read_event(event)
            for number in (event.ring_seconds, event.talk_seconds, event.wait_seconds):
                assert number is None or 0 <= number <= 7 * 86_400
