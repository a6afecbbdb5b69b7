"""The pretend AI Rudder alone and with our client: what it answers, dials, pushes and confirms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from campaigns.platforms.airudder import PLATFORM
from campaigns.platforms.airudder.client import AIRudderClient
from campaigns.platforms.contract import Push, Reading, Verified
from campaigns.platforms.errors import NotSent, PlatformError, Rejected, Uncertain
from campaigns.platforms.events import (
    AgentChanged,
    CallEnded,
    CallNews,
    CallProgressed,
    DialogReady,
    PlatformTaskState,
    PushClaimed,
    RecordingReady,
    Result,
    Role,
    TaskChanged,
)
from campaigns.platforms.sandbox import SandboxServer, serve
from tests.platforms.airudder.scripted import COLUMNS, ZONE, Tokens, make_client, make_order
from tests.platforms.ear import Ear
from tests.platforms.sandbox_client import Client as Sandbox
from tests.platforms.sandbox_client import wait_until

CREDENTIALS = {"app_key": "sandbox-key", "app_secret": "sandbox-secret"}
READING = Reading(ZONE)
KINDS = ("pds", "api-node", "call-completed", "workflow-status")


@pytest.fixture
def ear() -> Iterator[Ear]:
    with Ear() as ear:
        yield ear


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with serve(speed=1000, seed="airudder") as server:
        yield server


@pytest.fixture
def sandbox(server: SandboxServer) -> Sandbox:
    return Sandbox(server)


def connect(server: SandboxServer, **wishes: Any) -> AIRudderClient:
    return make_client(server.url, credentials=CREDENTIALS, **wishes)


def listen(sandbox: Sandbox, ear: Ear, **wish: Any) -> None:
    urls = {kind: f"{ear.url}/{kind}" for kind in KINDS}
    told = {"platform": "airudder", "urls": urls, **wish}
    sandbox.control("apps/sandbox-key", told, method="PUT")


def create(client: AIRudderClient) -> str:
    return client.create_task(make_order(end_at=datetime.now(UTC) + timedelta(days=300)))


def insert(client: AIRudderClient, task: str, *numbers: str, first: int = 1) -> tuple[str, ...]:
    return client.insert_contacts(
        task,
        columns=COLUMNS,
        rows=[[number, "张先生"] for number in numbers],
        keys=[f"CB-{first + n}" for n in range(len(numbers))],
    ).platform_contact_ids


def parse(kind: str, body: dict[str, Any]) -> tuple[Any, ...]:
    return PLATFORM.parse(Push(kind, json.dumps(body).encode()), READING)


def wait_for_records(ear: Ear, count: int) -> list[dict[str, Any]]:
    wait_until(lambda: len(ear.told("api-node")) >= count)
    return ear.told("api-node")


# ---------------------------------------------------------------------------------- the whole way


def test_from_the_token_to_a_verified_push(
    server: SandboxServer, sandbox: Sandbox, ear: Ear
) -> None:
    listen(sandbox, ear)
    client = connect(server)
    client.test_connection()
    task = create(client)
    numbers = ["19997200001", "19998200001", "19990300001", "19990600001", "19900000001"]
    assert insert(client, task, *numbers) == ("CB-1", "CB-2", "CB-3", "CB-4", "CB-5")
    records = {body["callee"]["case_id"]: body for body in wait_for_records(ear, 5)}
    assert set(records) == {"CB-1", "CB-2", "CB-3", "CB-4", "CB-5"}
    agreed = parse("api-node", records["CB-1"])
    call, dialog = agreed[0], agreed[1]
    assert (call.platform_task_id, call.platform_contact_id) == (task, "CB-1")
    assert (call.result, call.intention, call.answered) == (Result.ANSWERED, "B", True)
    assert call.callee == "+8619997200001"
    assert isinstance(dialog, DialogReady)
    assert {turn.role for turn in dialog.turns} == {Role.ROBOT, Role.CONTACT}
    late = [one for one in parse("api-node", records["CB-2"]) if isinstance(one, CallEnded)]
    assert sorted(one.attempt or 0 for one in late) == [1, 2, 3]
    assert [one.answered for one in late if one.attempt == 3] == [True]
    wait_until(lambda: len(ear.told("call-completed")) == 5)
    for kind in {path.strip("/") for path, _ in list(ear.got)}:
        for body in ear.told(kind):
            assert [event.problems for event in parse(kind, body) if event.problems] == []
    for key, body in records.items():
        (claim,) = (one for one in parse("api-node", body) if isinstance(one, PushClaimed))
        assert claim.query["case_id"] == key
        verified = client.verify_push(claim.query)
        assert verified.record == claim.claim
    assert client.find_contact(
        key="CB-3", begin_at=datetime.now(UTC) - timedelta(days=1),
        end_at=datetime.now(UTC) + timedelta(days=1),
    ) == (task,)  # fmt: skip
    told = {event.platform_call_id for event in client.fetch_calls(task)}
    assert told >= {body["call"]["call_id"] for body in records.values()}


def test_what_the_dialler_tells_on_the_way(
    server: SandboxServer, sandbox: Sandbox, ear: Ear
) -> None:
    listen(sandbox, ear)
    client = connect(server)
    task = create(client)
    insert(client, task, "19997100001", "19990300001", "19990600001")
    wait_until(
        lambda: [one["status"] for one in ear.told("workflow-status")] == ["Running", "Finished"]
    )
    sandbox.wait_quiet()
    events = [event for body in ear.told("pds") for event in parse("pds", body)]
    states = [event for event in events if isinstance(event, TaskChanged)]
    assert {event.platform_task_id for event in states} == {task}
    last = max(states, key=lambda event: event.counts["dialedNumber"])
    assert last.state is PlatformTaskState.FINISHED
    assert (last.counts["totalNumber"], last.counts["answeredNumber"]) == (3, 1)
    calls = [event for event in events if isinstance(event, CallNews)]
    assert any(isinstance(event, CallProgressed) for event in calls)
    ends = {event.platform_result: event.result for event in calls if event.platform_result}
    assert ends == {"12": Result.ANSWERED, "3": Result.BUSY, "6": Result.POWERED_OFF}
    assert {event.platform_call_id for event in calls} >= {
        body["call"]["call_id"] for body in ear.told("api-node")
    }
    agents = [event for event in events if isinstance(event, AgentChanged)]
    assert [event.platform_state for event in agents] == ["Talking", "Idle"]
    (recording,) = (event for event in events if isinstance(event, RecordingReady))
    sound = sandbox.send("GET", urlsplit(recording.address).path)
    assert (sound.status, sound.body[:4]) == (200, b"RIFF")
    assert sandbox.send("GET", "/airudder/files/unknown.wav").status == 404


def test_the_truth_is_in_the_ledger(server: SandboxServer, sandbox: Sandbox, ear: Ear) -> None:
    listen(sandbox, ear)
    client = connect(server)
    task = create(client)
    insert(client, task, "19998200001", "19990800001")
    insert(client, task, "19990800001", first=2)  # the same case again: it rings again
    wait_for_records(ear, 3)
    ledger = sandbox.look("ledger")
    assert ledger["rings"] == {"+8619998200001": 3, "+8619990800001": 2}
    assert ledger["rings_by_row"] == {"CB-1": 3, "CB-2": 2}
    assert ledger["requests"]["airudder/uploaddetails"] == 2
    calls = sandbox.look("calls?contact=CB-1")["items"]
    assert [call["result"] for call in calls] == ["3", "3", "12"]
    (listed,) = sandbox.look(f"tasks?platform=airudder&task_id={task}")
    assert listed["rows"]["total"] == 3


def test_a_tampered_push_differs_from_what_the_platform_knows(
    server: SandboxServer, sandbox: Sandbox, ear: Ear
) -> None:
    listen(sandbox, ear)
    client = connect(server)
    insert(client, create(client), "19996000001")
    (body,) = wait_for_records(ear, 1)
    (claim,) = (one for one in parse("api-node", body) if isinstance(one, PushClaimed))
    verified = client.verify_push(claim.query)
    assert isinstance(verified, Verified)
    assert body["call"]["intention"] == "A"
    assert verified.record["call"]["intention"] == "E"
    assert verified.record["callee"]["total_owing_amount"] == "20310.00"
    assert claim.claim["callee"]["total_owing_amount"] == "1.00"
    (call,) = (one for one in verified.events if isinstance(one, CallEnded))
    assert (call.intention, call.rank) == ("E", 100)
    sandbox.wait_quiet()
    assert ear.told("call-completed") == []


def test_nothing_is_known_before_it_happened(server: SandboxServer, sandbox: Sandbox) -> None:
    sandbox.control("clock", {"speed": 0})
    client = connect(server)
    task = create(client)
    insert(client, task, "19997100001")
    assert client.fetch_calls(task) == ()
    (call,) = sandbox.look("calls?contact=CB-1")["items"]
    query = {"workflow_id": task, "node_id": call["record"]["node_id"], "callee": "+8619997100001"}
    with pytest.raises(Rejected, match="40004"):
        client.verify_push(query)
    sandbox.control("clock", {"advance_seconds": 600})
    assert client.verify_push(query).events
    sandbox.control("clock", {"advance_seconds": 93 * 86_400})
    with pytest.raises(Rejected, match="three months"):
        connect(server).verify_push(query)


# ------------------------------------------------------------------------------------ what it says


def ask(sandbox: Sandbox, path: str, told: Any, *, token: str = "") -> Any:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = token
    body = json.dumps(told).encode()
    return sandbox.send("POST", f"/service/cloud/{path}", body=body, headers=headers)


def get_token(sandbox: Sandbox) -> str:
    told = {"APPKey": "sandbox-key", "APPSecret": "sandbox-secret"}
    reply = ask(sandbox, "auth", told).json()
    assert (reply["status"], reply["code"]) == ("OK", 200)
    token: str = reply["data"]["token"]
    return token


def test_tokens_live_a_day_and_asking_again_keeps_the_old_one(sandbox: Sandbox) -> None:
    sandbox.control("clock", {"speed": 0})
    wish = {"workflow_id": "unknown"}

    def is_good(token: str) -> bool:
        reply = ask(sandbox, "workflow/taskdetail", wish, token=f"Token {token}")
        assert (reply.status, reply.json()["code"]) in ((401, 401), (200, 40004))
        return bool(reply.status == 200)

    first = get_token(sandbox)
    sandbox.control("clock", {"advance_seconds": 86_000})
    second = get_token(sandbox)
    assert first != second
    sandbox.control("clock", {"advance_seconds": 86_000})
    assert is_good(first) and is_good(second)
    sandbox.control("clock", {"advance_seconds": 1_000})
    assert not is_good(first) and not is_good(second)


@pytest.mark.parametrize("header", ["", "Token", "Token x", "Bearer TOKEN", "TOKEN"])
def test_without_a_token_nothing_is_done(sandbox: Sandbox, header: str) -> None:
    header = header.replace("TOKEN", get_token(sandbox))
    reply = ask(sandbox, "workflow/createinstance", {}, token=header)
    assert (reply.status, reply.json()["code"]) == (401, 401)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("createinstance", {}),
        ("createinstance", {"workflow_template_id": "301", "name": "x", "end_time": "END"}),
        ("createinstance", {"workflow_template_id": True, "name": "x", "end_time": "END"}),
        ("createinstance", {"workflow_template_id": 301, "name": "", "end_time": "END"}),
        ("createinstance", {"workflow_template_id": 301, "name": "x", "end_time": "END"[:-1]}),
        (
            "createinstance",
            {"workflow_template_id": 301, "name": "x", "end_time": "2020-01-01 00:00:00+08:00"},
        ),
        (
            "createinstance",
            {"workflow_template_id": 301, "name": "x", "end_time": "2099-01-01 00:00:00"},
        ),
        ("uploaddetails", {"workflow_id": "TASK", "details": []}),
        ("uploaddetails", {"workflow_id": "TASK", "details": [{}]}),
        ("uploaddetails", {"workflow_id": "TASK", "details": [{"callee": "19900000001"}]}),
        ("uploaddetails", {"workflow_id": "TASK", "details": [{"callee": 8619900000001}]}),
        ("uploaddetails", {"workflow_id": "x", "details": [{"callee": "+8619900000001"}]}),
        ("detailinstances", {"case_id": "CB-1"}),
        ("detailinstances", {"start_time": "yesterday", "end_time": "today"}),
        ("taskdetail", {}),
        ("apinoticeinfo", {"workflow_id": "TASK"}),
        ("apinoticeinfo", []),
    ],
)
def test_a_bad_request_fails_with_http_200(
    server: SandboxServer, sandbox: Sandbox, path: str, told: Any
) -> None:
    task = create(connect(server))
    told = json.loads(json.dumps(told).replace("TASK", task))
    reply = ask(sandbox, f"workflow/{path}", told, token=f"Token {get_token(sandbox)}")
    assert reply.status == 200
    assert reply.json()["code"] not in (0, 200)
    assert reply.json()["data"] is None
    assert sandbox.look("ledger")["calls"] == 0


def test_an_instance_holds_ten_thousand(server: SandboxServer, sandbox: Sandbox) -> None:
    sandbox.control("clock", {"speed": 0})
    task = create(connect(server))
    token = f"Token {get_token(sandbox)}"
    for first in range(0, 10_000, 2_500):
        rows = [
            {"callee": f"+86199{first + n:08d}", "case_id": f"CB-{first + n}"} for n in range(2_500)
        ]
        told = {"workflow_id": task, "details": rows}
        assert ask(sandbox, "workflow/uploaddetails", told, token=token).json()["code"] == 200
    client = connect(server)
    with pytest.raises(Uncertain, match="40013"):
        insert(client, task, "19999999999")
    (listed,) = sandbox.look(f"tasks?platform=airudder&task_id={task}")
    assert listed["rows"]["total"] == 10_000


def test_one_account_does_not_see_the_other(server: SandboxServer, sandbox: Sandbox) -> None:
    wish = {"platform": "airudder", "app_secret": "other-secret"}
    sandbox.control("apps/other-key", wish, method="PUT")
    client = connect(server)
    task = create(client)
    insert(client, task, "19997100001")
    other = make_client(
        server.url, credentials={"app_key": "other-key", "app_secret": "other-secret"}
    )
    times = {"begin_at": datetime.now(UTC) - timedelta(days=1)}
    times["end_at"] = datetime.now(UTC) + timedelta(days=1)
    assert client.find_contact(number="19997100001", **times) == (task,)
    assert other.find_contact(number="19997100001", **times) == ()
    with pytest.raises(Rejected):
        other.fetch_calls(task)
    wrong = make_client(server.url, credentials={**CREDENTIALS, "app_secret": "wrong"})
    with pytest.raises(Rejected):
        wrong.test_connection()


# ---------------------------------------------------------------------------------------- its rules


def test_an_abnormal_answer_is_repeated_five_times(sandbox: Sandbox, ear: Ear) -> None:
    rules = sandbox.look("sides")["airudder"]
    assert (rules["push_retry_wait"], rules["push_tries"]) == (60.0, 6)
    ear.answer = lambda _: (500, b"{}")
    listen(sandbox, ear)
    sandbox.control("settings", {"platform": "airudder", "push_retry_wait": 0})
    sandbox.control("calls", {"platform": "airudder", "number": "+8619990800001"})
    sandbox.wait_quiet()
    assert len(ear.told("api-node")) == 6
    (push,) = sandbox.look("pushes?module=airudder.api-node")["items"]
    assert push["state"] == "given_up"


def test_live_traffic_has_a_workflow_of_its_own(sandbox: Sandbox, ear: Ear) -> None:
    listen(sandbox, ear)
    sandbox.control("sides/airudder", {"live": True, "rate": 600, "most": 4}, method="PUT")
    records = wait_for_records(ear, 4)
    assert {body["workflow_name"] for body in records} == {"demo"}
    assert all(body["callee"]["callee_number"].startswith("+8619900") for body in records)
    assert all(body["callee"]["case_id"].startswith("DEMO-") for body in records)
    sandbox.wait_quiet()
    assert len(ear.told("api-node")) == 4
    client_keys = {body["callee"]["case_id"] for body in records}
    assert len(client_keys) == 4


@pytest.mark.parametrize(
    "wish", [{"workflow_id": "x"}, {"reasons": ["99"]}, {"reasons": []}, {"app_key": "nobody"}]
)
def test_a_call_that_makes_no_sense(sandbox: Sandbox, wish: dict[str, Any]) -> None:
    told = json.dumps({"platform": "airudder", **wish}).encode()
    headers = {"Content-Type": "application/json"}
    assert sandbox.send("POST", "/_sandbox/calls", body=told, headers=headers).status == 400


def test_a_restart_forgets_nobody(tmp_path: Path, ear: Ear) -> None:
    with serve(speed=0, seed="again", state_dir=tmp_path) as server:
        sandbox = Sandbox(server)
        listen(sandbox, ear)
        client = connect(server)
        task = create(client)
        insert(client, task, "19997100001", "19998100001")
    with serve(speed=1000, seed="again", state_dir=tmp_path) as server:
        sandbox = Sandbox(server)
        records = wait_for_records(ear, 2)
        assert {body["callee"]["case_id"] for body in records} == {"CB-1", "CB-2"}
        client = connect(server)
        (claim,) = (one for one in parse("api-node", records[0]) if isinstance(one, PushClaimed))
        assert client.verify_push(claim.query).record == claim.claim
        assert create(client) != task
        wait_until(lambda: any(one["status"] == "Finished" for one in ear.told("workflow-status")))
        sandbox.control("reset", {})
        with pytest.raises(Rejected):
            client.fetch_calls(task)


# ------------------------------------------------------------------------------------------- faults

DONE_OR_NOT: dict[str, type[PlatformError]] = {
    "refuse": Uncertain,
    "close_before": Uncertain,
    "close_after": Uncertain,
    "cut": Uncertain,
    "stall_before": Uncertain,
    "stall_after": Uncertain,
    "drip": Uncertain,
    "error_before": Uncertain,
    "error_after": Uncertain,
    "html_before": Uncertain,
    "html_after": Uncertain,
    "redirect": Uncertain,
    "throttle": Uncertain,
    "code": Uncertain,
    "code_after": Uncertain,
    "token_dies": Uncertain,
    "code_false": Uncertain,
    "code_string": Uncertain,
    "code_float": Uncertain,
    "broken_json": Uncertain,
    "gzip_bomb": Uncertain,
    "huge": Uncertain,
}


@pytest.mark.parametrize("kind", DONE_OR_NOT)
def test_every_fault_of_an_insert(kind: str, server: SandboxServer, sandbox: Sandbox) -> None:
    slow = kind in ("drip", "stall_before", "stall_after")
    client = connect(server, timeout=1.0 if slow else 10)
    task = create(client)
    wish = {"kind": kind, "count": 1, "bytes": 50_000_000, "seconds": 1.5}
    sandbox.control("faults", {"endpoint": "airudder/uploaddetails", **wish})
    with pytest.raises(DONE_OR_NOT[kind]):
        insert(client, task, "19990800001", "19990800002")
    (request,) = sandbox.look("requests?endpoint=airudder/uploaddetails")["items"]
    rings = sandbox.look("ledger")["rings_by_row"]
    assert rings == ({"CB-1": 1, "CB-2": 1} if request["acted"] and kind != "token_dies" else {})
    around = {"begin_at": datetime.now(UTC) - timedelta(days=2)}
    around["end_at"] = datetime.now(UTC) + timedelta(days=2)
    assert client.find_contact(key="CB-2", **around) == ((task,) if rings else ())


def test_half_taken_is_found_by_asking(server: SandboxServer, sandbox: Sandbox) -> None:
    client = connect(server)
    task = create(client)
    sandbox.control("faults", {"endpoint": "airudder/uploaddetails", "kind": "act_half"})
    insert(client, task, "19990800001", "19990800002")
    around = {"begin_at": datetime.now(UTC) - timedelta(days=2)}
    around["end_at"] = datetime.now(UTC) + timedelta(days=2)
    assert client.find_contact(key="CB-1", **around) == (task,)
    assert client.find_contact(key="CB-2", **around) == ()


@pytest.mark.parametrize(
    ("kind", "error"), [("no_result", Uncertain), ("code_after", Rejected), ("code", Rejected)]
)
def test_a_workflow_without_its_id(
    kind: str, error: type[PlatformError], server: SandboxServer, sandbox: Sandbox
) -> None:
    """A refused one is refused: empty, it would call nobody."""
    sandbox.control("faults", {"endpoint": "airudder/createinstance", "kind": kind})
    with pytest.raises(error):
        create(connect(server))


def test_a_dead_token_is_replaced(server: SandboxServer, sandbox: Sandbox) -> None:
    tokens = Tokens()
    client = connect(server, tokens=tokens)
    task = create(client)
    sandbox.control("faults", {"endpoint": "airudder/taskdetail", "kind": "token_dies", "count": 1})
    assert client.fetch_calls(task) == ()
    assert tokens.lifetimes == [86_400, 86_400]


def test_a_platform_that_is_not_there(server: SandboxServer) -> None:
    client = connect(server)
    task = create(client)
    server.close()
    with pytest.raises(NotSent):
        insert(client, task, "19900000001")
