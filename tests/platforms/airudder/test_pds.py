"""Pushes of the predictive dialler and of workflows: each shape and each field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from campaigns.platforms.events import (
    AgentChanged,
    AgentState,
    CallEnded,
    CallProgressed,
    PlatformTaskState,
    RecordingReady,
    Result,
    TaskChanged,
)
from tests.platforms.airudder.making import (
    at,
    find_reason,
    get_call,
    get_news,
    make_contact,
    make_task,
    ms,
    parse_object,
    parse_payload,
)

# --------------------------------------------------------------------------- the predictive dialler


def test_the_state_of_a_task() -> None:
    assert parse_payload("pds__task_running") == (
        TaskChanged(
            source="pds.TaskStatus",
            platform_task_id="2b6951a25b434657b94d4d60d96fcf18",
            name="pds-test20",
            state=PlatformTaskState.RUNNING,
            platform_state="Running",
            counts={
                "totalNumber": 3,
                "dialedNumber": 0,
                "answeredNumber": 0,
                "talkedNumber": 0,
                "registeredCount": 1,
                "talkResultCount": 0,
            },
            node_id="5abeb76b414c4b8da455a253dac7bd86",
            node_name="PDS1_cc18c2",
            started_at=at("2022-11-21T02:38:02+00:00"),
            details={
                "nodetask_id": "5abeb76b414c4b8da455a253dac7bd86",
                "nodetask_name": "PDS1_cc18c2",
                "taskId": "9751a67700274a24b650334587653de6",
                "taskName": "wf_pds_task_e6480fad94f24b9ab9cc671e2eb21b03",
                "groupName": "group1",
                "startTime": "2022-11-21T02:37:50Z",
                "displayTalkResult": "Agree",
            },
        ),
    )


def test_a_bare_task_is_its_own() -> None:
    (task,) = parse_payload("pds__task_finished_bare")
    assert isinstance(task, TaskChanged)
    assert task.platform_task_id == "9751a67700274a24b650334587653de6"
    assert task.state is PlatformTaskState.FINISHED
    assert task.finished_at == at("2022-11-21T03:12:40+00:00")


def test_the_bad_fields_of_a_task_are_named() -> None:
    push = make_task(
        totalNumber=-3, startTime="soon", actualStartTime=12, state="Odd", answeredNumber=1e400
    )
    (task,) = parse_object(push)
    assert isinstance(task, TaskChanged)
    assert set(task.problems) == {
        "body.totalNumber",
        "body.startTime",
        "body.actualStartTime",
        "body.answeredNumber",
    }
    assert (task.state, task.platform_state) == (PlatformTaskState.UNKNOWN, "Odd")
    assert "totalNumber" not in task.counts
    assert "startTime" not in task.details


def test_a_call_while_it_goes_on() -> None:
    for name, column, moment, stage in [
        ("pds__contact_calling", "dialed_at", 1668998290123, None),
        ("pds__contact_ringing", "ringing_at", 1668998292123, None),
        ("pds__contact_answered", "answered_at", 1668998299123, True),
    ]:
        (call,) = parse_payload(name)
        assert isinstance(call, CallProgressed)
        assert getattr(call, column) == ms(moment)
        assert (call.answered, call.result) == (stage, Result.ANSWERED if stage else None)
        assert (call.callee, call.attempt) == ("+8619900000002", 1)
        assert call.details["contact_number"] == "+8619900000001"
        assert call.rank < get_call(parse_payload("api-node__sample")).rank


def test_the_end_of_a_call() -> None:
    call, recording = parse_payload("pds__contact_hangup")
    assert isinstance(call, CallEnded)
    assert (call.ended_at, call.answered, call.result) == (ms(1668998359123), True, Result.ANSWERED)
    assert (call.platform_result, call.platform_result_text) == ("12", "talked")
    assert (call.agent_number, call.agent_name) == ("Agent One", "Agent One")
    assert call.details["person"] == {"name": "WILL SMITH", "city": "Jakarta"}
    assert isinstance(recording, RecordingReady)
    assert recording.address == "https://records.airudder.example/2022/11/21/5d0a1c7e.mp3"
    assert recording.platform_call_id == call.platform_call_id
    assert call.rank < get_call(parse_payload("api-node__sample")).rank


def test_what_an_agent_noted() -> None:
    (call,) = parse_payload("pds__contact_talk_result_bare")
    assert isinstance(call, CallEnded)
    assert call.details["notes"] == [
        {"name": "Result", "text": "Agree"},
        {"name": "Remark", "text": "call back on Monday"},
    ]
    assert call.ended_at is None  # the note came later than the end
    assert call.details["timestamp"] == "2022-11-21T02:39:45.123000+00:00"
    assert call.rank > get_call(parse_payload("pds__contact_hangup")).rank


@pytest.mark.parametrize(
    ("code", "kept", "result"),
    [
        (3, "3", Result.BUSY),
        ("6", "6", Result.POWERED_OFF),
        (10, "10", Result.UNKNOWN),
        ("new", "new", Result.UNKNOWN),
        (-1, "-1", Result.UNKNOWN),
        (None, None, None),
        ("", None, None),
    ],
)
def test_why_a_call_ended(code: Any, kept: str | None, result: Result | None) -> None:
    call = get_call(parse_object(make_contact(hangupReason=code)))
    assert (call.platform_result, call.result) == (kept, result)
    assert call.problems == {}


def test_a_call_that_goes_on_has_no_reason_to_have_ended() -> None:
    call = get_news(parse_object(make_contact("RINGING", hangupReason=0)))
    assert (call.platform_result, call.result) == (None, None)
    assert call.details["hangupReason"] == 0


@pytest.mark.parametrize(
    ("name", "value", "attribute"),
    [
        ("timestamp", 1668998359, "ended_at"),
        ("timestamp", "2022-11-21 10:39:19", "ended_at"),
        ("hangupReason", 12.0, "platform_result"),
        ("nthCall", "first", "attempt"),
        ("phoneNumber", 19900000001.0, "callee"),
        ("agentName", {}, "agent_name"),
        ("customizeResults", "x", None),
        ("customerInfo", [1], None),
    ],
)
def test_a_bad_field_of_a_contact_is_named(name: str, value: Any, attribute: str | None) -> None:
    call = get_news(parse_object(make_contact(**{name: value})))
    assert attribute is None or getattr(call, attribute) is None
    assert set(call.problems) == {f"body.{name}"}


@pytest.mark.parametrize(
    "link", ["ftp://h/a.mp3", "a/b.mp3", "//h/a.mp3", "https://u:p@h/a", 12, "x y"]
)
def test_a_recording_without_a_whole_address_is_named(link: Any) -> None:
    events = parse_object(make_contact(recLink=link))
    assert len(events) == 1
    assert set(get_call(events).problems) == {"body.recLink"}


def test_a_state_nobody_knows_is_kept() -> None:
    (call,) = parse_object(make_contact("MUSING", recLink=""))
    assert isinstance(call, CallProgressed)
    assert (call.source, call.details["contact_state"]) == ("pds.ContactStatus", "MUSING")
    assert call.details["timestamp"] == "2022-11-21T02:39:19.123000+00:00"


def test_an_attempt_before_the_first_is_none() -> None:
    call = get_call(parse_object(make_contact(nthCall=0)))
    assert (call.attempt, call.details["nthCall"], call.problems) == (None, 0, {})


def test_an_agent() -> None:
    assert parse_payload("pds__agent_status") == (
        AgentChanged(
            source="pds.AgentStatus",
            agent_number="Agent One",
            agent_name="Agent One",
            state=AgentState.UNKNOWN,  # which states there are is known nowhere
            platform_state="Idle",
            at=ms(1668998290123),
            details={
                "nodetask_id": "5abeb76b414c4b8da455a253dac7bd86",
                "nodetask_name": "PDS1_cc18c2",
                "workflow_id": "2b6951a25b434657b94d4d60d96fcf18",
                "workflow_name": "pds-test20",
                "taskId": "9751a67700274a24b650334587653de6",
            },
        ),
    )


@pytest.mark.parametrize(
    ("push", "reason"),
    [
        ({"type": "AgentStatus", "body": {"State": "Idle"}}, "no_agent"),
        ({"type": "ContactStatus", "body": {"state": "RINGING"}}, "no_call_id"),
        ({"type": "ContactStatus", "body": {"callid": "", "state": "RINGING"}}, "no_call_id"),
        ({"type": "TaskStatus", "body": {"taskName": "x", "state": "Running"}}, "no_task_id"),
        ({"type": "Other", "body": {"state": "Running"}}, "unknown_shape"),
        ({"type": "TaskStatus", "body": []}, "unknown_shape"),
        ({"type": "TaskStatus"}, "unknown_shape"),
        ({"pds": {"type": "TaskStatus"}, "workflow_id": "1"}, "unknown_shape"),
        ({"body": {"callid": "1", "totalNumber": 3}}, "unknown_shape"),
    ],
)
def test_pushes_of_the_dialler_that_say_nothing(push: Any, reason: str) -> None:
    assert find_reason(push, kind="pds") == reason


@pytest.mark.parametrize(
    ("word", "body", "kind"),
    [
        ("ContactStatus", {"callid": "1", "state": "RINGING"}, CallProgressed),
        ("contactstatus", {"callid": "1", "state": "RINGING"}, CallProgressed),
        (None, {"callid": "1", "State": "RINGING", "state": "RINGING"}, None),
        (None, {"callid": "1", "state": "RINGING", "agentName": "A"}, CallProgressed),
        ("TaskStatus", {"callid": "1", "state": "HANGUP"}, CallEnded),  # the prose of the text
        ("Other", {"taskId": "1", "dialedNumber": 1, "state": "Running"}, TaskChanged),
        ("TaskStatus", {"taskId": "1", "state": "Finished"}, TaskChanged),
        ("TaskStatus", {"taskId": "1", "State": "Finished", "taskName": "x"}, TaskChanged),
        (None, {"agentName": "A", "State": "Busy"}, AgentChanged),
        (None, {"agentName": "A", "state": "Busy"}, AgentChanged),
        ("AgentStatus", {"agentName": "A", "callid": "1", "state": "Busy"}, AgentChanged),
    ],
)
def test_a_body_is_told_by_its_type_then_its_shape(word: Any, body: Any, kind: Any) -> None:
    push = {"type": word, "body": body}
    if kind is None:
        assert find_reason(push) == "unknown_shape"
        return
    for sent in (push, {"workflow_id": "w", "pds": push}, {"pds": json.dumps(push)}):
        (event,) = parse_object(sent)
        assert type(event) is kind


# ------------------------------------------------------------------------------------- workflows


def test_the_state_of_a_workflow() -> None:
    (task,) = parse_payload("workflow-status__running")
    assert isinstance(task, TaskChanged)
    assert task.platform_task_id == "2b6951a25b434657b94d4d60d96fcf18"
    assert (task.name, task.state) == ("pds-test20", PlatformTaskState.RUNNING)
    assert task.details["actions"][0]["node_type"] == "pds"


def test_a_workflow_in_a_state_nobody_knows() -> None:
    (task,) = parse_object({"workflow_id": 7, "status": 3, "actions": {}, "more": 1})
    assert isinstance(task, TaskChanged)
    assert (task.platform_task_id, task.platform_state) == ("7", "3")
    assert task.state is PlatformTaskState.UNKNOWN
    assert (task.details, set(task.problems)) == ({"more": 1}, {"actions"})


def test_a_workflow_without_an_id() -> None:
    assert find_reason({"status": "Running", "actions": []}) == "no_task_id"
