"""What trips one over in the text of 7moor: each line of platforms/oddities.md, by its number."""

from __future__ import annotations

import gzip
import json

import pytest

from campaigns.masking import mask_numbers
from campaigns.platforms.contract import Push
from campaigns.platforms.events import (
    AgentChanged,
    AgentState,
    CallEnded,
    CallProgressed,
    Direction,
    HangupBy,
    Result,
)
from campaigns.platforms.moor7 import PLATFORM
from campaigns.platforms.moor7.callbacks import parse
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
from tests.platforms.payloads import Payload, find_payload, list_payloads

#: every sample of the text that is JSON
SAMPLES = [
    *(one for one in list_payloads("moor7") if one.name.endswith("__sample")),
    *(find_payload("moor7", f"agentStatus__{name}") for name in ("calling", "link", "wrap_up")),
]
SAMPLES = [one for one in SAMPLES if one.name != "incomingHangup__sample"]


@pytest.mark.parametrize("payload", SAMPLES, ids=lambda one: one.name)
def test_7m_1_the_encoding_is_found_out(payload: Payload) -> None:
    """No content type and no encoding is documented."""
    events = parse(payload.make_push(), READING)
    for body in (
        payload.text.encode("gb18030"),
        payload.text.encode("utf-16"),
        b"\xef\xbb\xbf" + payload.body,
        gzip.compress(payload.body),
    ):
        assert parse(Push(kind="", body=body), READING) == events


def test_7m_1_a_form_is_read_too() -> None:
    body = b"callUniqueId=403344537650466816&callEvent=ring&callType=incoming&customerNumber=1"
    (stage,) = parse(Push(kind="", body=body), READING)
    assert isinstance(stage, CallProgressed)
    assert (stage.platform_call_id, stage.direction) == (CALL, Direction.INBOUND)


def test_7m_2_the_same_event_from_several_addresses_is_the_same() -> None:
    for payload in SAMPLES:
        assert parse(payload.make_push(), READING) == parse(payload.make_push(), READING)


def test_7m_3_every_sample_is_known_without_its_type() -> None:
    for payload in SAMPLES:
        body = json.loads(payload.body)
        events = parse_value({**body, "pushType": ""})
        told = [(type(one), getattr(one, "source", "")) for one in events]
        assert told == [
            (type(one), getattr(one, "source", "")) for one in parse(payload.make_push(), READING)
        ]


def test_7m_3_a_wrong_type_does_not_hide_the_shape() -> None:
    for push_type in ("cdr", "callStatus", "mediaFailreason", "dialoutHangup"):
        stage = parse_stage("dialoutRing__sample", pushType=push_type)
        assert stage.ringing_at == at("14:39:37")
    for push_type in ("callStatus", "login", "dialoutRing"):
        assert parse_record(pushType=push_type).talk_seconds == 5


def test_7m_4_the_wrapper_is_taken_off() -> None:
    assert parse_stage("customerAnswered__sample").callee == "19900000004"
    flat = json.loads(find_payload("moor7", "customerAnswered__sample").body)
    unwrapped = parse_value({**flat["content"], "uniqueId": flat["uniqueId"]})
    assert unwrapped == parse_payload("customerAnswered__sample")


def test_7m_5_the_id_of_an_event_has_two_names() -> None:
    body = make_body("agentStatus__idle", eventUniqueId=..., uniqueId="u-1")
    (_, agent) = parse_value(body)
    assert isinstance(agent, AgentChanged)
    assert agent.platform_event_id == "u-1"
    both = parse_record("cdr__every_field").details
    assert both["eventUniqueId"] != both["uniqueId"]


def test_7m_6_the_call_has_two_ids() -> None:
    assert parse_stage("customerAnswered__sample").platform_call_id == "393928840994361344"
    both = parse_stage("incomingHangup__sample")
    assert (both.platform_call_id, both.relation_id) == (CALL, "393928840994361344")
    assert parse_stage("customerAnswered__sample").relation_id is None


def test_7m_7_one_super_id_in_two_accounts_stays_two() -> None:
    one = find_account(parse_payload("customerAnswered__sample"))
    other = find_account(parse_payload("incomingHangup__sample"))
    assert one.platform_account_id != other.platform_account_id


def test_7m_8_two_events_of_one_id_are_two() -> None:
    calling, hangup = parse_stage("agentStatus__calling"), parse_stage("incomingHangup__sample")
    mark = "e454d40def4d47ee9d7a76aba5d6cbb7"
    assert f"callStatus.calling {mark}" in calling.details
    assert f"incomingHangup {mark}" in hangup.details
    assert calling.dialed_at
    assert hangup.ended_at


def test_7m_9_the_account_is_told_with_the_call() -> None:
    event, record = parse_payload("dialoutRing__sample"), parse_payload("cdr__sample")
    assert find_account(event).platform_account_id == "20000153"
    assert find_account(record).platform_account_id == "2100147"


def test_7m_10_accounts_are_texts_of_any_length() -> None:
    for told in ("20000153", "2000100", 2100147, "2000103"):
        account = find_account(parse_payload("login__sample", accountId=told))
        assert (account.setting, account.platform_account_id) == ("account_id", str(told))
    assert len(parse_payload("login__sample", accountId="")) == 1
    (agent,) = parse_payload("login__sample", accountId=["1"])
    assert agent.problems == {"accountId": "is not an id"}


def test_7m_11_ids_are_exact() -> None:
    for told in (403344537650466817, "403344537650466817"):
        assert parse_stage("dialoutRing__sample", callUniqueId=told).platform_call_id == str(
            403344537650466817
        )


def test_7m_12_an_inbound_ring_is_known_by_shape() -> None:
    ring = parse_stage("incomingRing__ring")
    assert (ring.source, ring.ringing_at) == ("incomingRing", at("14:40:05"))
    # what stands in its place in the text is the state of an agent in an outbound call
    assert parse_agent("agentStatus__calling").state is AgentState.DIALLING
    assert parse_stage("agentStatus__calling").direction is Direction.OUTBOUND


def test_7m_13_the_inbound_hangup_has_its_own_time() -> None:
    assert parse_stage("incomingHangup__sample").ended_at == at("19:12:35", "2020-12-14")


def test_7m_14_a_missing_comma_is_put_and_named() -> None:
    stage = parse_stage("incomingHangup__sample")
    assert stage.problems == {"eventUniqueId": "has no comma before it; one was put"}
    whole = parse_stage("incomingHangup__whole")
    assert (stage.agent_name, stage.details) == ("默认坐席", whole.details)


@pytest.mark.parametrize(
    "body",
    [
        b'{"callUniqueId":"1"\n"callEvent":"ring"',  # the end is missing too
        b'{"callUniqueId":"1" "callEvent":"ring"}',  # on one line: not the fault of the text
        b'{"callUniqueId":1\n"callEvent":"ring"}',
        b'{"callUniqueId":"1"\n"callEvent""ring"}',
        b'{"callUniqueId":"1"\n\xff"callEvent":"ring"}',
        b'{"callUniqueId":"1\\"\n"callEvent":"ring"}',
    ],
)
def test_7m_14_nothing_else_is_mended(body: bytes) -> None:
    assert find_reason(body) == "not_json"


def test_7m_14_a_text_is_never_changed() -> None:
    text = 'said \\"\\n\\"a\\": b'
    body = f'{{"callUniqueId":"1"\n"callEvent":"ring","agentName":"{text}"}}'
    (stage,) = parse(Push(kind="", body=body.encode()), READING)
    assert isinstance(stage, CallProgressed)
    assert stage.agent_name == 'said "\n"a": b'


def test_7m_14_two_commas_and_a_backslash() -> None:
    body = b'{"callUniqueId":"1"\r\n\t"callEvent":"ring","agentName":"a\\\\"\n"callType":"dialout"}'
    (stage,) = parse(Push(kind="", body=body), READING)
    assert isinstance(stage, CallProgressed)
    assert (stage.agent_name, stage.direction) == ("a\\", Direction.OUTBOUND)
    assert set(stage.problems) == {"callEvent", "callType"}


def test_7m_15_an_answer_needs_none_of_the_three() -> None:
    (_, stage) = parse_payload("customerAnswered__sample")
    assert isinstance(stage, CallProgressed)
    assert stage.answered is True
    own = json.loads(find_payload("moor7", "customerAnswered__sample").body)
    own["content"]["callUniqueId"] = CALL
    (_, stage) = parse_value(own)
    assert isinstance(stage, CallProgressed)
    assert (stage.platform_call_id, stage.relation_id) == (CALL, "393928840994361344")


def test_7m_16_the_block_of_two_is_no_push_and_each_of_them_is() -> None:
    one, other = (find_payload("moor7", f"agentStatus__{n}").body for n in ("wrap_up", "link"))
    assert find_reason(b"// comment\n" + one + b"\n// comment\n" + other) == "not_json"
    for name in ("wrap_up", "link"):
        (_, agent, stage) = parse_payload(f"agentStatus__{name}")
        assert isinstance(agent, AgentChanged)
        assert isinstance(stage, CallProgressed)


def test_7m_17_one_type_is_an_agents_state_and_a_stage() -> None:
    assert len(parse_payload("agentStatus__calling")) == 3
    # without a state it is the stage alone
    events = parse_payload("agentStatus__calling", statusNumber=..., statusName=...)
    assert [type(one) for one in events[1:]] == [CallProgressed]


def test_7m_18_segments_and_the_agent_are_kept() -> None:
    (segment,) = parse_stage("mediaFailure__segments").details["segments"]
    assert set(segment) == {"beginTime", "endTime", "channelId", "text"}
    assert parse_stage("mediaFailure__sample").agent_number == "2001"


def test_7m_19_a_media_failure_has_no_time_and_no_number() -> None:
    stage = parse_stage("mediaFailure__sample")
    assert {stage.dialed_at, stage.ringing_at, stage.answered_at, stage.ended_at} == {None}
    assert {stage.caller, stage.callee, stage.direction} == {None}
    assert stage.problems == {}


def test_7m_20_its_id_is_that_of_the_call() -> None:
    assert parse_stage("mediaFailure__sample").platform_call_id == "403381132931895296"


def test_7m_21_the_outbound_ring_is_believed_less_than_the_record() -> None:
    ring, record = parse_stage("dialoutRing__sample"), parse_record()
    assert ring.ringing_at == record.ringing_at == at("14:39:37")
    assert ring.rank < parse_stage("dialoutHangup__sample").rank < record.rank
    assert parse_stage("agentStatus__ring_inbound").rank == ring.rank
    assert parse_stage("agentStatus__calling").dialed_at == record.dialed_at == at("14:39:32")


def test_7m_22_one_name_two_forms_of_time() -> None:
    assert parse_stage("dialoutHangup__sample").ended_at == at("14:39:47")
    assert parse_agent("login__sample").at == at("18:06:48", "2021-07-22")
    for odd in ("1620455987000", "2021-07-22", "soon", -1):
        agent = parse_agent("login__sample", statusTime=odd)
        assert (agent.at, list(agent.problems)) == (None, ["statusTime"])


def test_7m_23_the_record_is_in_the_zone_of_the_account() -> None:
    assert parse_record().ended_at == parse_stage("dialoutHangup__sample").ended_at
    (_, elsewhere, *_) = parse_value(make_body("cdr__sample"), zone="UTC")
    assert isinstance(elsewhere, CallEnded)
    assert elsewhere.ended_at != parse_record().ended_at


def test_7m_24_within_one_second_the_nature_decides() -> None:
    wrap_up, idle = parse_agent("agentStatus__wrap_up"), parse_agent("agentStatus__idle")
    talking = parse_agent("agentStatus__link")
    assert talking.order < wrap_up.order < idle.order
    assert parse_stage("agentStatus__wrap_up").ended_at == at("14:39:47")


def test_7m_25_one_hangup_thrice_says_the_same() -> None:
    told = [parse_stage("dialoutHangup__sample"), parse_stage("agentStatus__wrap_up")]
    assert {one.ended_at for one in told} == {parse_record().ended_at}
    assert {one.platform_call_id for one in told} == {parse_record().platform_call_id}


def test_7m_26_extras_are_an_object_or_nothing() -> None:
    assert "carried" not in parse_stage("dialoutRing__sample").details
    carried = parse_stage("dialoutRing__extras").details["carried"]
    assert carried == {"contact": "CB-123", "order": "A-17"}
    assert parse_record(extras="free text").details["carried"] == {"extras": "free text"}


def test_7m_27_numbers_are_numbers_or_texts() -> None:
    numbers = ("agentRingDuration", "bridgeDuration", "customerRingDuration", "playNumberDuration")
    numbers += ("recordingDuration", "satisfyDuration", "totalDuration", "waitDuration", "sipCode")
    body = make_body("cdr__sample")
    assert parse_value({**body, **{name: str(body[name]) for name in numbers}}) == parse_value(body)
    assert parse_value({**body, "satisfyKeys": ""}) == parse_value(body)
    assert parse_record(sipCode="9999").problems == {"sipCode": "is not between 100 and 699"}


def test_7m_28_two_spellings_are_one_field() -> None:
    for spelling in ("agentAreacode", "agentAreaCode"):
        record = parse_record(**{"agentAreaCode": ..., spelling: "021"})
        assert record.details["agentAreaCode"] == "021"
        assert "agentAreacode" not in record.details
    two = parse_record(agentAreaCode="010", agentAreacode="021").details
    assert (two["agentAreaCode"], two["agentAreacode"]) == ("010", "021")


def test_7m_29_fields_of_the_table_and_of_the_sample_are_kept() -> None:
    sample, table = parse_record().details, parse_record("cdr__every_field").details
    assert {"pushType", "billCalls", "cdrType"} <= set(sample)
    assert {"id", "_id", "uniqueId", "eventUniqueId", "applicationId", "transfer"} <= set(table)


def test_7m_30_the_call_type_of_a_record_is_its_direction() -> None:
    assert parse_record(callType="incoming").direction is Direction.INBOUND
    assert parse_record().details["cdrType"] == "callRecord"
    odd = parse_record(callType="callRecord")
    assert (odd.direction, odd.details["callType"]) == (None, "callRecord")


def test_7m_31_legs_are_kept_as_they_come() -> None:
    told = make_body("cdr__sample")["billCalls"]
    legs = parse_record().details["billCalls"]
    assert legs == told
    assert [len(leg.split("|")) for leg in legs] == [16, 16]
    assert legs[1].endswith("|null")


def test_7m_32_empty_lists_say_nothing() -> None:
    for empty in ([""], [], "", ["", ""], None):
        names = {"groupIdList": empty, "groupNameList": empty}
        assert set(names).isdisjoint(parse_stage("dialoutHangup__sample", **names).details)
        assert set(names).isdisjoint(parse_record(**names).details)
        assert "survey" not in parse_record(satisfyKeys=empty).details
    assert parse_record().details["groupNameList"] == ["分组1", "分组2"]


def test_7m_33_empty_texts_are_nothing() -> None:
    record = parse_record(startTime="", agentNumber="", taskId="", hangUpSide="", agentId="")
    assert (record.dialed_at, record.agent_number, record.platform_task_id) == (None, None, None)
    assert (record.hangup_by, record.problems) == (None, {})
    assert "" not in record.details.values()
    assert parse_stage("dialoutRing__sample", superUniqueId="").relation_id is None


def test_7m_34_four_addresses_three_files_and_no_voice_mail() -> None:
    recordings = parse_recordings()
    assert len(recordings) == 3
    assert set(recordings[0].details) == {"recordFileUrl", "voiceMailUrl"}
    assert parse_record().details["recordType"] == "doubleTrack"
    assert parse_record().result is Result.ANSWERED


def test_7m_35_recordings_come_from_the_host_of_the_text() -> None:
    hosts = {one.address.split("/")[2] for one in parse_recordings()}
    assert hosts == PLATFORM.recording_hosts
    assert "19900000002" not in mask_numbers(parse_recordings()[0].address)


def test_7m_36_words_that_nobody_listed_are_kept() -> None:
    record = parse_record(hangUpSide="CARRIER", agentTelType="sip", matchResult="017")
    assert record.hangup_by is HangupBy.UNKNOWN
    told = record.details
    assert (told["hangUpSide"], told["agentTelType"], told["matchResult"]) == (
        "CARRIER",
        "sip",
        "017",
    )
    assert parse_record(status="", failureReason="unknow").platform_result_text == "未识别"
    odd = parse_stage("mediaFailure__sample", preMediaFailureReason="x", preMediaCode=99)
    assert (odd.result, odd.details["media_failure"]["code"]) == (Result.UNKNOWN, 99)


def test_7m_37_states_are_numbers_in_texts_with_a_name() -> None:
    agent = parse_agent("agentStatus__wrap_up")
    assert (agent.platform_state, agent.platform_state_text) == ("5", "整理")
    custom = parse_agent("agentStatus__custom")
    assert (custom.state, custom.platform_state_text) == (AgentState.CUSTOM, "培训")


def test_7m_38_a_webcall_is_outbound() -> None:
    assert parse_stage("dialoutRing__sample", callType="webcall").direction is Direction.OUTBOUND
    assert parse_record("cdr__cancelled").direction is Direction.OUTBOUND


def test_7m_39_our_number_is_the_one_that_is_filled() -> None:
    inbound, outbound = parse_stage("incomingHangup__sample"), parse_stage("dialoutRing__sample")
    assert (inbound.callee, outbound.caller) == ("01080455499", "01081400192")


def test_7m_40_a_failed_number_is_told_by_the_reason() -> None:
    assert parse_record("cdr__forbidden", status="").result is Result.CALL_RESTRICTED
    assert parse_record("cdr__forbidden").details["failureReason"] == "forbidden"
    assert parse_record("cdr__timed_out").result is Result.TIMED_OUT
    assert parse_record("cdr__sample").result is Result.ANSWERED  # no reason at all


def test_7m_41_log_in_and_log_out_have_fields_of_their_own() -> None:
    login, logout = parse_agent("login__webrtc"), parse_agent("logout__offline")
    assert (login.details["loginType"], login.details["offlineType"]) == ("WEBRTC", "PSTN")
    assert (logout.details["logoutType"], logout.details["offlineType"]) == ("offline", "SIP")
    named = {parse_agent(f"{name}__sample").agent_name for name in ("login", "logout")}
    assert named == {"XXX", "XX"}


def test_7m_42_agents_are_known_by_their_number() -> None:
    for name in ("login__sample", "logout__sample"):
        agent = parse_agent(name)
        assert (agent.agent_number, agent.platform_call_id) == ("9998", None)


def test_7m_43_the_end_of_the_call_is_the_hangup() -> None:
    record = parse_record("cdr__every_field")
    assert record.ended_at == at("14:41:27")
    assert record.details["endTime"] == "2021-05-08 14:41:47"
    assert (record.talk_seconds, record.details["totalDuration"]) == (60, 107)


def test_7m_44_both_spellings_of_the_seat_are_one_state() -> None:
    assert parse_agent("agentStatus__idle", statusNumber=...).state is AgentState.IDLE
    assert {parse_agent(f"{name}__sample").platform_state_text for name in ("login", "logout")} == {
        "登陆",
        "登出",
    }


def test_7m_45_the_agents_own_number_can_be_masked() -> None:
    details = parse_record().details
    assert details["agentTelNumber"] == "19900000003"
    shown = mask_numbers(json.dumps(details, ensure_ascii=False), likely=True)
    assert "19900000003" not in shown
    assert "19900000002" not in shown
