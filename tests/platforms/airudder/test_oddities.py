"""Every line of platforms/oddities.md about AI Rudder, by its name there: what it means for what we
receive. What a line means for what we ask is in the tests of the client."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from callbacks.views import TAKEN
from campaigns.evidence import merge, read_event
from campaigns.platforms.airudder import callbacks, contacts, findings, pds, records, transcripts
from campaigns.platforms.airudder.callbacks import KINDS, parse
from campaigns.platforms.airudder.vocabulary import ERRORS, RESULTS
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.events import (
    AgentChanged,
    CallEnded,
    CallProgressed,
    PlatformTaskState,
    PushClaimed,
    RecordingReady,
    Result,
    TaskChanged,
)
from tests.platforms.airudder.making import (
    READING,
    at,
    change,
    find_reason,
    get_call,
    get_dialog,
    get_redials,
    make_contact,
    make_record,
    make_task,
    parse_call,
    parse_object,
    parse_payload,
    read_sample,
)
from tests.platforms.payloads import find_payload, list_payloads

MODULES = (callbacks, contacts, findings, pds, records, transcripts)


def parse_task(**fields: Any) -> TaskChanged:
    (task,) = parse_object(make_task(**fields))
    assert isinstance(task, TaskChanged)
    return task


# ------------------------------------------------------------------- airudder-pds-task-status.txt


def test_pds_1_the_prose_tells_of_a_call_and_the_example_of_a_task() -> None:
    assert isinstance(parse_payload("pds__task_running")[0], TaskChanged)
    told = {"type": "TaskStatus", "body": {"callid": "1", "state": "HANGUP", "hangupReason": 3}}
    assert get_call(parse_object({"workflow_id": "w", "pds": told})).result is Result.BUSY


def test_pds_2_the_address_may_be_set_in_either_place() -> None:
    for kind in ("pds", ""):
        push = find_payload("airudder", "pds__task_running").make_push_at(kind)
        assert parse(push, READING) == parse_payload("pds__task_running")


def test_pds_3_one_address_gets_three_bodies() -> None:
    names = ("pds__task_running", "pds__contact_ringing", "pds__agent_status")
    kinds = [type(parse_payload(name)[0]) for name in names]
    assert kinds == [TaskChanged, CallProgressed, AgentChanged]
    for name, kind in zip(names, kinds, strict=True):  # by their bodies too: types are not told
        push = read_sample(name)
        del push["pds"]["type"]
        assert type(parse_object(push)[0]) is kind


def test_pds_4_no_field_of_the_body_is_described_and_none_is_lost() -> None:
    body = read_sample("pds__task_running")["pds"]["body"]
    task = parse_task(another={"a": 1})
    assert len(body) == 14
    kept = {**task.details, **task.counts, "actualStartTime": 0, "state": 0, "endTime": 0}
    assert set(body) | {"another"} <= set(kept)
    assert task.started_at
    assert task.platform_state


def test_pds_5_names_are_written_in_two_ways() -> None:
    task = parse_task()
    assert {"nodetask_id", "taskId"} <= set(task.details)


def test_pds_6_three_ids_and_two_names() -> None:
    task = parse_task()
    assert task.platform_task_id == "2b6951a25b434657b94d4d60d96fcf18"  # the one we were given
    assert task.name == "pds-test20"
    assert task.details["nodetask_id"] == "5abeb76b414c4b8da455a253dac7bd86"
    assert task.details["taskId"] == "9751a67700274a24b650334587653de6"
    assert task.details["nodetask_name"] == "PDS1_cc18c2"
    assert task.details["taskName"].startswith("wf_pds_task_")


@pytest.mark.parametrize("end", ["", None, ...])
def test_pds_7_no_end_is_an_empty_text(end: Any) -> None:
    task = parse_task(endTime=end)
    assert (task.finished_at, task.problems) == (None, {})
    assert "endTime" not in task.details


def test_pds_8_times_with_a_zone_here_and_without_one_there() -> None:
    tokyo = Reading(time_zone=ZoneInfo("Asia/Tokyo"))
    (task,) = parse_object(make_task(endTime="2022-11-21 12:00:00"), reading=tokyo)
    assert isinstance(task, TaskChanged)
    assert task.started_at == at("2022-11-21T02:38:02+00:00")  # it names its zone
    assert task.finished_at == at("2022-11-21T12:00:00+09:00")
    call = get_call(parse_object(make_record(), reading=tokyo))
    assert call.dialed_at == at("2024-03-12T14:54:26+09:00")


def test_pds_9_the_task_started_when_it_did() -> None:
    task = parse_task()
    assert task.started_at == at("2022-11-21T02:38:02Z")
    assert task.details["startTime"] == "2022-11-21T02:37:50Z"  # the plan
    assert parse_task(actualStartTime="").started_at is None


def test_pds_10_counters_that_contradict_each_other_are_kept_as_they_are() -> None:
    task = parse_task()
    assert task.counts["registeredCount"] == 1
    assert task.counts["totalNumber"] == 3
    assert task.counts["talkResultCount"] == 0
    assert task.details["displayTalkResult"] == "Agree"
    assert task.contacts is None  # which of them counts our contacts nobody says


def test_pds_11_without_an_event_id_the_content_is_all() -> None:
    assert parse_task() == parse_task()
    assert parse_task(dialedNumber=1) != parse_task()


def test_pds_12_a_push_that_is_tried_again_says_the_same() -> None:
    calls = [parse_object(make_contact()) for _ in range(6)]
    assert all(events == calls[0] for events in calls)
    once, _ = read_event(get_call(calls[0]))
    assert merge(once, once) == once


@pytest.mark.parametrize("headers", [{}, {"user-agent": "Airudder"}, {"user-agent": "curl"}])
def test_pds_13_no_header_is_needed(headers: dict[str, str]) -> None:
    body = find_payload("airudder", "pds__task_running").body
    assert parse(Push("pds", body, headers), READING) == parse_payload("pds__task_running")


def test_pds_14_an_object_is_the_answer() -> None:
    assert isinstance(json.loads(TAKEN), dict)


def test_pds_15_a_sentence_in_the_place_of_an_address_is_none() -> None:
    assert not any("对接方" in inspect.getsource(module) for module in MODULES)
    call = get_call(parse_object(make_contact(recLink="对接方提供此url在workflow里配置")))
    assert set(call.problems) == {"body.recLink"}


def test_pds_16_titles_are_no_keys() -> None:
    assert all(re.fullmatch("[a-z-]*", kind) for kind in KINDS)
    assert find_reason({"title": "PDS 任务状态更改回调", "workflow_id": "1"}) == "unknown_shape"


def test_pds_17_the_shorter_index_adds_nothing() -> None:
    """What its document pushes is understood at the addresses of the longer one's."""
    for kind in KINDS:
        push = find_payload("airudder", "pds__task_running").make_push_at(kind)
        assert parse(push, READING) == parse_payload("pds__task_running")


# ------------------------------------------------------------------ airudder-index-and-verify.txt


def test_air_1_an_empty_authorization_means_nothing_here() -> None:
    body = find_payload("airudder", "api-node__sample").body
    for value in ("", "Token", "Bearer x"):
        push = Push("api-node", body, {"authorization": value})
        assert parse(push, READING) == parse_payload("api-node__sample")


def test_air_2_and_3_no_scheme_and_no_printed_token_is_in_a_payload() -> None:
    for payload in list_payloads("airudder"):
        assert "authorization" not in payload.headers
        assert "Token " not in payload.text


def test_air_4_the_callee_is_a_number_or_an_object() -> None:
    record = change(make_record(callee_number=...), {"callee": "+8619900000721", "case_id": "c"})
    call = get_call(parse_object(record))
    assert call.details["contact_number"] == call.callee == "+8619900000721"
    assert call.platform_contact_id == "c"
    assert call.problems == {}
    claim = parse_object(record)[-1]
    assert isinstance(claim, PushClaimed)
    assert claim.query["callee"] == "+8619900000721"


@pytest.mark.parametrize(
    "workflow_id", ["0ca6e3a59cf74630906683882aa5111", "b761cdd784294xxxxxx869f85c", "W", 12]
)
def test_air_5_ids_have_no_form(workflow_id: Any) -> None:
    record = make_record() | {"workflow_id": workflow_id, "node_id": workflow_id}
    call = get_call(parse_object(record))
    assert call.platform_task_id == str(workflow_id)
    assert call.details["node_id"] == workflow_id


def test_air_6_the_answer_is_wrapped_and_the_push_is_not() -> None:
    bare, wrapped = read_sample("api-node__sample"), read_sample("reply_apinoticeinfo__sample")
    assert set(wrapped) == {"data", "status", "code"}
    assert wrapped["data"] == bare
    assert parse_object(wrapped) == parse_object(bare)


def test_air_7_a_failing_body_is_a_failure() -> None:
    wrapped = read_sample("reply_apinoticeinfo__sample")
    assert find_reason({**wrapped, "code": 500}) == "failed_reply"
    assert find_reason({"data": None, "status": "ERROR", "code": 500}) == "unknown_shape"


def test_air_8_ids_that_became_floats_stay_as_they_came() -> None:
    call = get_call(parse_payload("api-node__sample"))
    assert call.platform_contact_id == "123456.0"
    assert call.details["carried"]["comments"] == "123456.0"
    number = get_call(parse_object(make_record(callee={"case_id": 123456.0})))
    assert (number.platform_contact_id, set(number.problems)) == (None, {"callee.case_id"})


def test_air_9_cases_may_share_a_number() -> None:
    claims = [
        parse_object(make_record(callee={"case_id": case_id}))[-1] for case_id in ("CB-1", "CB-2")
    ]
    assert [claim.query.get("case_id") for claim in claims if isinstance(claim, PushClaimed)] == [
        "CB-1",
        "CB-2",
    ]


def test_air_10_and_11_extra_stays_as_it_is() -> None:
    carried = get_call(parse_payload("api-node__sample")).details["carried"]
    assert carried["extra"] == [
        {"Content": "+8619900000795,+8619900000721", "Question": "extend_callees"}
    ]


def test_air_11_the_number_that_was_dialled_may_be_another() -> None:
    call = get_call(parse_payload("api-node__sample"))
    assert call.callee == "+8619900000001"
    assert call.details["contact_number"] == "+8619900000721"


def test_air_12_masked_numbers_are_kept_as_they_are() -> None:
    record = make_record(callee={"callee_number": "+861xxxxxx721"}, callee_number=...)
    call = get_call(parse_object(record))
    assert call.callee == call.details["contact_number"] == "+861xxxxxx721"


def test_air_13_local_times_are_those_of_the_account() -> None:
    jakarta = Reading(time_zone=ZoneInfo("Asia/Jakarta"))
    call = get_call(parse_object(make_record(), reading=jakarta))
    assert call.dialed_at == at("2024-03-12T14:54:26+07:00")
    assert call.ended_at == at("2024-03-12T14:54:52+07:00")


def test_air_14_the_last_of_four_calls_is_the_call_itself() -> None:
    events = parse_payload("api-node__sample")
    assert get_call(events).attempt == 4
    assert [call.attempt for call in get_redials(events)] == [1, 2, 3]
    times = [call.dialed_at for call in [*get_redials(events), get_call(events)] if call.dialed_at]
    assert times == sorted(times)
    assert len(times) == 4


def test_air_15_the_label_has_two_names_and_a_redial_lacks_fields() -> None:
    events = parse_payload("api-node__sample")
    assert get_call(events).intention == "E"
    for call in get_redials(events):
        assert (call.intention, call.ended_at, call.platform_robot_id) == ("F", None, None)
        assert "talk_round" not in call.details
        assert "result_label" not in call.details
        assert call.problems == {}
    both = parse_call(result_label="F")
    assert (both.intention, both.details["result_label"]) == ("E", "F")


@pytest.mark.parametrize("caller", ["+950xxxxxx0088", "+950xxxxxx088", "+95xxxxxx0088"])
def test_air_16_callers_of_any_length(caller: str) -> None:
    assert parse_call(caller_number=caller).caller == caller


def test_air_17_slots_are_a_text_or_an_object() -> None:
    assert parse_call(slots="", ner_slots={}).details.get("slots") is None
    assert parse_call(slots={"a": 1}, ner_slots="").details["slots"] == {"a": 1}
    assert parse_call(slots="", ner_slots="").problems == {}


def test_air_18_numbers_come_as_texts_and_as_numbers() -> None:
    call = parse_call(robot_id=4585, call_times="4", ring_time="2", talk_round="0")
    assert call == get_call(parse_payload("api-node__sample"))
    assert call.details["slots"]["receivetime"] == "2"


def test_air_19_amounts_are_texts_with_a_currency_beside_them() -> None:
    details = get_call(parse_payload("api-node__sample")).details
    assert details["amounts"] == [
        {"name": "borrowed_amount", "amount": "20000.00", "currency": "USD"},
        {"name": "total_owing_amount", "amount": "20310.00", "currency": "USD"},
    ]
    assert (details["carried"]["borrowed_date"], details["carried"]["due_date"]) == (
        "2024-02-01",
        "2024-03-07",
    )


def test_air_20_no_round_of_talk_and_yet_answered() -> None:
    call = parse_call(hangup_type="ByCallee")
    assert call.details["talk_round"] == 0
    assert (call.answered, call.result) == (True, Result.ANSWERED)


def test_air_21_nobody_speaks_and_a_question_is_answered() -> None:
    events = parse_object(make_record(hangup_type=""))
    assert all(turn.role == "robot" for turn in get_dialog(events).turns)
    assert get_call(events).answered is True
    assert parse_call(hangup_type="ByCallee", question_answer=[]).answered is None


def test_air_22_the_order_of_the_rows_is_kept_and_empty_ones_are_skipped() -> None:
    turns = get_dialog(parse_payload("api-node__sample")).turns
    assert [turn.position for turn in turns] == [0, 1, 2, 3, 4]
    assert [turn.text[:4] for turn in turns] == ["halo", "Apa ", "Halo", "meng", "Halo"]
    rows = [{"time": "00:00:10", "robottext": text} for text in "cab"]
    same = get_dialog(parse_object(make_record(asr_result=rows))).turns
    assert [turn.text for turn in same] == ["c", "a", "b"]


def test_air_23_a_redial_that_rang_for_no_time_says_nothing_of_an_answer() -> None:
    for call in get_redials(parse_payload("api-node__sample")):
        assert (call.answered, call.result) == (None, Result.UNKNOWN)
        assert call.hangup_by == "contact"
    assert [call.ring_seconds for call in get_redials(parse_payload("api-node__sample"))] == [
        0,
        7,
        0,
    ]


def test_air_24_no_duration_and_no_recording_is_made_up() -> None:
    events = parse_payload("api-node__sample")
    call = get_call(events)
    assert (call.talk_seconds, call.answered_at) == (None, None)
    assert not any(isinstance(event, RecordingReady) for event in events)


def test_air_25_labels_are_data() -> None:
    labels = {"A0": "A0", "任意": "值", "": 1}
    assert parse_call(multi_label=labels).details["labels"] == labels


def test_air_26_everything_that_was_given_along_comes_back() -> None:
    given = {
        "extra_a": "1",
        "extra_b": {"x": [1]},
        "extra": "text",
        "extend": {"variables": {"due": "5"}, "detail_source": "api", "pds_variables": {"k": "v"}},
        "another": 3,
    }
    carried = get_call(parse_object(make_record(callee=given))).details["carried"]
    assert {name: carried[name] for name in given} == given
    assert carried["custom_attribute"] == {"a": "1", "b": "2"}
    record = make_record() | {"custom_attribute": ["a"]}
    assert get_call(parse_object(record)).details["carried"]["custom_attribute"] == ["a"]


@pytest.mark.parametrize("code", [200, "200", 0, "0"])
def test_air_27_the_code_says_whether_it_is_a_record(code: Any) -> None:
    wrapped = {**read_sample("reply_apinoticeinfo__sample"), "code": code}
    assert parse_object(wrapped) == parse_payload("api-node__sample")


def test_air_28_a_call_completion_cannot_be_asked_about() -> None:
    events = parse_object(make_record(), kind="call-completed")
    assert not any(isinstance(event, PushClaimed) for event in events)
    assert any(isinstance(event, PushClaimed) for event in parse_object(make_record()))


def test_air_29_no_scrape_artefact_is_in_a_name() -> None:
    for payload in list_payloads("airudder"):
        assert "\u00a0" not in payload.text
    for module in MODULES:
        assert "\u00a0" not in inspect.getsource(module)


def test_air_30_fields_that_no_table_lists_are_kept() -> None:
    call = get_call(parse_object(make_record(callee={"new_a": "1"}, new_b={"c": [2]})))
    assert call.details["carried"]["new_a"] == "1"
    assert call.details["new_b"] == {"c": [2]}


def test_air_31_required_fields_may_be_empty() -> None:
    call = get_call(parse_payload("api-node__sample"))
    assert "callee_gender" not in call.details["person"]
    assert not {"extra_a", "extra_b", "extra_c"} & set(call.details["carried"])
    empty = dict.fromkeys(read_sample("api-node__sample")["callee"], "")
    assert get_call(parse_object(make_record(callee=empty))).problems == {}


# ------------------------------------------------------------------------------ across platforms


def test_x_1_every_form_of_time() -> None:
    """ISO with a Z, local without a zone, milliseconds, an offset, a date alone, none."""
    assert parse_task().started_at
    assert parse_call().dialed_at
    assert get_call(parse_object(make_contact(timestamp="1668998359123"))).ended_at
    assert get_dialog(parse_payload("api-node__sample")).turns[0].started_at
    assert parse_call(call_end_time="2024-03-12").ended_at is None
    assert get_call(parse_object(make_contact(timestamp=0))).problems == {}


def test_x_2_every_call_is_ours() -> None:
    for payload in list_payloads("airudder"):
        if not payload.is_reply:
            for event in parse(payload.make_push(), READING):
                if isinstance(event, CallEnded | CallProgressed):
                    assert event.direction == "outbound"


def test_x_5_the_call_id_has_two_names() -> None:
    assert get_call(parse_object(make_contact(callid=2**60 + 1))).platform_call_id == str(2**60 + 1)
    assert parse_call(call_id=2**60 + 1).platform_call_id == str(2**60 + 1)


def test_what_is_known_of_codes_is_in_the_tables() -> None:
    assert ERRORS == {}
    assert {"ByRobot", "ByCallee", "0", "12", "20"} <= set(RESULTS)
    assert parse_task(state="").state is PlatformTaskState.UNKNOWN
