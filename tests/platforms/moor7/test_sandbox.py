"""The pretend 7moor: what it pushes is what its ledger says, and is read without loss."""

from __future__ import annotations

import io
import json
import wave
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from campaigns.evidence import Evidence, Projection, merge, project, read_event
from campaigns.platforms.contract import Push
from campaigns.platforms.events import (
    AccountSeen,
    AgentChanged,
    AgentState,
    AnyEvent,
    CallEnded,
    CallProgressed,
    RecordingReady,
)
from campaigns.platforms.moor7.callbacks import parse
from campaigns.platforms.moor7.vocabulary import RESULTS
from campaigns.platforms.sandbox import SandboxServer, serve
from tests.platforms.ear import Ear
from tests.platforms.moor7.making import READING
from tests.platforms.sandbox_client import Client, wait_until

#: far faster than life, so that a call is over at once
SPEED = 2000


@pytest.fixture
def ear() -> Iterator[Ear]:
    with Ear() as ear:
        yield ear


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with serve(seed="moor7", speed=SPEED) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: SandboxServer, ear: Ear) -> Client:
    client = Client(sandbox)
    wish = {"platform": "moor7", "urls": {"*": ear.url}, "account_id": "20000777"}
    client.control("apps/sandbox-key", wish, method="PUT")
    return client


def read_all(ear: Ear) -> list[AnyEvent]:
    return [event for body in ear.bodies for event in parse(Push("", body), READING)]


def place(client: Client, **wish: Any) -> str:
    told = client.control("calls", {"platform": "moor7", **wish})
    call: str = told["call"]
    return call


def settle(client: Client) -> dict[str, dict[str, Any]]:
    """The ledger's calls, once every push was made."""
    wait_until(lambda: client.look("ledger")["busy"] == {"calls": 0, "pushes": 0}, seconds=30)
    return {told["call"]: told for told in client.look("calls?platform=moor7")["items"]}


def gather(events: list[AnyEvent]) -> dict[str, Projection]:
    told: dict[str, Evidence] = defaultdict(dict)
    for event in events:
        if isinstance(event, CallEnded | CallProgressed | RecordingReady):
            call = event.platform_call_id
            told[call] = merge(told[call], read_event(event)[0])
    return {call: project(evidence) for call, evidence in told.items()}


def seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.astimezone(UTC).timestamp())


def check(told: dict[str, Any], projection: Projection) -> None:
    columns = projection.columns
    assert projection.conflicts == {}, told
    known = RESULTS[told["result"]]
    assert (columns["result"], columns["platform_result"]) == (known.result, told["result"])
    for name in ("direction", "caller", "callee", "agent_number", "answered"):
        assert columns[name] == told[name], name
    assert seconds(columns["dialed_at"]) == told["began_at"]
    for name in ("ringing_at", "answered_at", "ended_at"):
        assert seconds(columns[name]) == told[name], name
    for name in ("ring_seconds", "talk_seconds", "wait_seconds"):
        assert columns[name] == told[name], name
    assert columns["hangup_by"] == {"AGENT": "agent", "": "unknown"}[told["hangup"]]
    assert columns["has_record"] is True
    assert columns["relation_id"] == told["moved_from"]
    survey = columns["details"].get("survey", {"text": ""})
    assert survey["text"] == told["survey"]
    assert ("media_failure" in columns["details"]) == told["media"]


def test_rows_equal_the_ledger(client: Client, ear: Ear) -> None:
    for _ in range(60):
        place(client)
    truth = settle(client)
    events = read_all(ear)
    found = gather(events)
    assert set(found) == set(truth)
    for call, told in truth.items():
        check(told, found[call])
    files: Counter[str] = Counter()
    for event in events:
        if isinstance(event, RecordingReady):
            files[event.platform_call_id] += 1
    assert files == {call: len(told["files"]) for call, told in truth.items() if told["files"]}
    # all nine kinds came, and every outcome
    pushes = client.look("pushes?platform=moor7")["items"]
    kinds = {push["module"].partition(".")[2] for push in pushes}
    assert kinds >= {
        *("incomingRing", "incomingHangup", "dialoutRing", "dialoutHangup", "customerAnswered"),
        *("agentStatus", "cdr", "mediaFailure", "login"),
    }
    results = {told["status"] for told in truth.values()}
    assert results == set(RESULTS) & results
    assert {"ANSWER", "QUEUE_ABANDON", "IVR", "CALL_TRANSFER", "CUSTOMER_NO_ANSWER"} <= results


def test_everything_names_the_account(client: Client, ear: Ear) -> None:
    for _ in range(10):
        place(client)
    settle(client)
    seen = [event for event in read_all(ear) if isinstance(event, AccountSeen)]
    assert len(seen) == len(ear.bodies)
    assert {event.platform_account_id for event in seen} == {"20000777"}


def test_nothing_in_it_is_odd(client: Client, ear: Ear) -> None:
    for _ in range(30):
        place(client)
    settle(client)
    assert [event.problems for event in read_all(ear) if event.problems] == []


def test_agents_end_idle_and_have_one_call_at_a_time(client: Client, ear: Ear) -> None:
    for _ in range(40):
        place(client)
    truth = settle(client)
    events = [event for event in read_all(ear) if isinstance(event, AgentChanged)]
    by_agent: dict[str, list[AgentChanged]] = defaultdict(list)
    for event in events:
        by_agent[event.agent_number].append(event)
    for told in by_agent.values():
        assert all(event.at for event in told)
        told.sort(key=lambda event: (seconds(event.at), event.order))
        assert told[0].logged_in is True
        assert told[-1].state is AgentState.IDLE
    taken: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for call in truth.values():
        if call["agent_number"]:
            begins = call["ringing_at"] if call["direction"] == "inbound" else call["began_at"]
            taken[call["agent_number"]].append((begins, call["ended_at"]))
    assert len(taken) > 1
    for spans in taken.values():
        spans.sort()
        ends = [end for _, end in spans]
        assert all(end < begin for end, (begin, _) in zip(ends, spans[1:], strict=False))


@pytest.mark.parametrize(
    ("wish", "result"),
    [
        ({"direction": "inbound", "result": "IVR"}, "IVR"),
        ({"direction": "inbound", "result": "QUEUE_ABANDON", "voicemail": True}, "QUEUE_ABANDON"),
        ({"direction": "inbound", "result": "AGENT_NO_ANSWER"}, "AGENT_NO_ANSWER"),
        ({"direction": "inbound", "result": "ANSWER", "survey": True}, "ANSWER"),
        ({"direction": "outbound", "result": "AGENT_NO_ANSWER"}, "AGENT_NO_ANSWER"),
        ({"direction": "outbound", "result": "CUSTOMER_NO_ANSWER", "reason": "decline"},
         "CUSTOMER_NO_ANSWER"),
        ({"direction": "outbound", "result": "CUSTOMER_NO_ANSWER", "reason": "forbidden"},
         "CUSTOMER_NO_ANSWER"),
        ({"direction": "outbound", "result": "", "reason": "requestTimeout"}, "requestTimeout"),
        ({"direction": "outbound", "result": "ANSWER", "talk_seconds": 7, "ring_seconds": 3},
         "ANSWER"),
    ],
)  # fmt: skip
def test_a_wished_call(client: Client, ear: Ear, wish: dict[str, Any], result: str) -> None:
    call = place(client, number="19900000077", **wish)
    truth = settle(client)
    assert truth[call]["result"] == result
    found = gather(read_all(ear))
    check(truth[call], found[call])
    assert "19900000077" in (found[call].columns["caller"], found[call].columns["callee"])
    if "talk_seconds" in wish:
        assert truth[call]["talk_seconds"] == 7
        assert truth[call]["ring_seconds"] == 3


def test_a_transfer_is_two_calls(client: Client, ear: Ear) -> None:
    call = place(client, direction="inbound", result="CALL_TRANSFER")
    truth = settle(client)
    (moved,) = [told for told in truth.values() if told["moved_from"] == call]
    found = gather(read_all(ear))
    assert found[call].columns["result"] == "transferred"
    assert found[moved["call"]].columns["relation_id"] == call
    assert moved["agent_number"] != truth[call]["agent_number"]
    assert found[moved["call"]].columns["details"]["transfer"] == {"relativeCallUniqueId": call}


def test_a_heard_failure_gives_the_detail_only(client: Client, ear: Ear) -> None:
    wish = {"direction": "outbound", "result": "CUSTOMER_NO_ANSWER", "reason": "decline"}
    call = place(client, media=True, **wish)
    settle(client)
    columns = gather(read_all(ear))[call].columns
    assert columns["result"] == "no_answer"
    assert columns["details"]["media_failure"]["reason"] == "onThePhone"


def test_our_contact_comes_back(client: Client, ear: Ear) -> None:
    call = place(client, contact="CB-41", extras={"order": "A-1"}, result="ANSWER")
    truth = settle(client)
    assert truth[call]["contact"] == "CB-41"
    columns = gather(read_all(ear))[call].columns
    assert columns["platform_contact_id"] == "CB-41"
    assert columns["details"]["carried"] == {"order": "A-1", "contact": "CB-41"}


def test_the_fault_of_the_text_can_be_wished(client: Client, ear: Ear) -> None:
    call = place(client, direction="inbound", result="IVR", comma=False)
    truth = settle(client)
    broken = [body for body in ear.bodies if not _is_json(body)]
    assert len(broken) == 1
    found = gather(read_all(ear))
    check(truth[call], found[call])


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("result", ["ANSWER", "QUEUE_ABANDON"])
def test_recordings_can_be_heard(client: Client, ear: Ear, result: str) -> None:
    call = place(client, direction="inbound", result=result, voicemail=True, talk_seconds=6)
    truth = settle(client)
    ready = [event for event in read_all(ear) if isinstance(event, RecordingReady)]
    assert len(ready) == len(truth[call]["files"]) == (3 if result == "ANSWER" else 1)
    sounds = set()
    for event in ready:
        path = "/" + event.address.split("/", 3)[3]
        answer = client.send("GET", path)
        assert (answer.status, answer.headers["content-type"]) == (200, "audio/wav")
        with wave.open(io.BytesIO(answer.body)) as sound:
            assert sound.getnframes() / sound.getframerate() == event.seconds
        sounds.add(answer.body)
        part = client.send("GET", path, headers={"Range": "bytes=0-3"})
        assert (part.status, part.body) == (206, b"RIFF")
    assert len(sounds) == len(ready)
    for odd in ("x.wav", f"{call}-none.wav", "1-in.wav", f"{call}-"):
        assert client.send("GET", f"/moor7/files/{odd}").status == 404


def test_no_recording_before_the_end(sandbox: SandboxServer, client: Client) -> None:
    client.control("clock", {"speed": 0})
    call = place(client, direction="inbound", result="ANSWER")
    assert client.send("GET", f"/moor7/files/{call}-in.wav").status == 404


def test_live_traffic_has_agents_who_come_and_go(client: Client, ear: Ear) -> None:
    client.control("sides/moor7", {"live": True, "rate": 600, "most": 80}, method="PUT")
    wait_until(lambda: len(client.look("calls?platform=moor7")["items"]) >= 40, seconds=30)
    client.control("sides/moor7", {"live": False}, method="PUT")
    truth = settle(client)
    found = gather(read_all(ear))
    for call, told in truth.items():
        check(told, found[call])
    agents = [event for event in read_all(ear) if isinstance(event, AgentChanged)]
    assert {event.logged_in for event in agents} == {None, True, False}
    assert {event.state for event in agents} >= {AgentState.ONLINE, AgentState.OFFLINE}


@pytest.mark.parametrize(
    "wish",
    [
        {"direction": "up"},
        {"result": "MOON"},
        {"direction": "outbound", "result": "IVR"},
        {"reason": "meteor"},
        {"talk_seconds": -1},
        {"talk_seconds": True},
        {"number": 5},
        {"extras": "x"},
        {"app_key": "nobody"},
    ],
)
def test_a_senseless_wish_is_refused(client: Client, wish: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"platform": "moor7", **wish}).encode()
    answer = client.send("POST", "/_sandbox/calls", body=body, headers=headers)
    assert answer.status == 400
    assert answer.json()["error"].endswith(".")
    assert client.look("calls?platform=moor7")["items"] == []
