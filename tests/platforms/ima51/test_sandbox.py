"""The pretend 51ima: what it pushes is what happened, by the rules of the text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campaigns.platforms.bodies import read_body
from campaigns.platforms.events import CallEnded, Direction
from campaigns.platforms.ima51.vocabulary import DIRECTIONS, HANGUP_SIDES, RESULTS
from campaigns.platforms.sandbox import SandboxServer, serve
from tests.platforms.ear import Ear
from tests.platforms.ima51.making import parse_body
from tests.platforms.sandbox_client import Client, wait_until
from tests.platforms.test_sandbox_sides import refuse, switch

QUICK = {f"{name}_seconds": 0 for name in ("menu", "wait", "ring", "talk", "wrap")}


@pytest.fixture
def ear() -> Iterator[Ear]:
    with Ear() as ear:
        yield ear


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with serve(seed="ima51", speed=1000) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: SandboxServer, ear: Ear) -> Client:
    client = Client(sandbox)
    client.control("apps/sandbox-key", {"platform": "ima51", "urls": {"*": ear.url}}, method="PUT")
    return client


def place(client: Client, **wish: Any) -> str:
    call: str = client.control("calls", {"platform": "ima51", **wish})["call"]
    return call


def hear(client: Client, ear: Ear, **wish: Any) -> tuple[dict[str, Any], bytes, CallEnded]:
    """One call: what happened, what was pushed, what we make of it."""
    call = place(client, **wish)
    client.wait_quiet()
    (truth,) = client.look(f"calls?call={call}")["items"]
    body = next(body for _, body in ear.got if call.encode() in body)
    return truth, body, parse_body(body)


def ms(moment: Any) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def test_what_is_pushed_is_what_happened(client: Client, ear: Ear) -> None:
    for _ in range(60):
        place(client)
    client.wait_quiet()
    truths = {truth["call"]: truth for truth in client.look("calls?platform=ima51")["items"]}
    assert len(ear.got) == len(truths) == 60
    for _, body in ear.got:
        event = parse_body(body)
        truth = truths[event.platform_call_id]
        told = {
            "direction": str(event.direction),
            "caller": event.caller,
            "callee": event.callee,
            "icc_call_id": event.relation_id,
            "began_ms": ms(event.dialed_at),
            "ended_ms": ms(event.ended_at),
            "answered_ms": ms(event.answered_at),
            "ring_seconds": event.ring_seconds,
            "wait_seconds": event.wait_seconds,
            "talk_seconds": event.talk_seconds,
            "agent_number": event.agent_number or "",
            "task_id": event.platform_task_id or "",
            "transfer_id": event.details.get("transfer", {}).get("transferId", ""),
            "result": event.platform_result,
        }
        assert told == {name: truth[name] for name in told}
        assert event.result is RESULTS[truth["result"]].result
        assert event.hangup_by is HANGUP_SIDES[truth["hangup"]].by
        assert (event.details.get("survey", {}).get("score") or 0) == (truth["score"] or 0)
        assert len(event.details.get("notes", [])) == len(truth["fields"])
        odd = {"parkingWaitDuration", "evaluationScore"} if truth["odd"] else set()
        assert set(event.problems) == odd
    # Chance shows most of what there is.
    assert {truth["result"] for truth in truths.values()} >= {"2", "3", "4"}
    assert {truth["direction"] for truth in truths.values()} == {"inbound", "outbound"}
    for mark in ("doubled", "wrapped"):
        assert {truth[mark] for truth in truths.values()} == {True, False}


def test_the_record_has_the_fields_of_the_text(client: Client, ear: Ear) -> None:
    wish = QUICK | {
        "result": 2,
        "direction": "outbound",
        "contact": "CB-7",
        "number": "19900000001",
    }
    _, body, event = hear(client, ear, **wish, wrapped=True, doubled=True, notes=True, odd=False)
    assert list(json.loads(body)) == ["data"]
    assert body.count(b'"expansionFields"') == 2
    assert read_body(body).doubled["expansionFields"][0] == "{}"
    assert (event.platform_contact_id, event.callee) == ("CB-7", "19900000001")
    assert event.direction is Direction.OUTBOUND
    assert [note["type"] for note in event.details["notes"]] == ["0", "4", "1"]
    assert event.problems == {}
    (push,) = client.look("pushes?contact=CB-7")["items"]
    assert (push["module"], push["state"]) == ("ima51.callRecord", "acknowledged")


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("direction", DIRECTIONS.values())
def test_every_result_on_demand(
    client: Client, ear: Ear, result: str, direction: Direction
) -> None:
    _, _, event = hear(client, ear, **QUICK, result=result, direction=str(direction))
    assert (event.platform_result, event.direction) == (result, direction)


@pytest.mark.parametrize("hangup", HANGUP_SIDES)
def test_every_side_hangs_up_on_demand(client: Client, ear: Ear, hangup: str) -> None:
    _, _, event = hear(client, ear, **QUICK, result="2", hangup=hangup)
    assert event.hangup_by is HANGUP_SIDES[hangup].by
    assert "hangUpDirectionType" not in event.problems


def test_impossible_values_and_missing_times_on_demand(client: Client, ear: Ear) -> None:
    for missing in ("absent", "null", "zero"):
        wish = {**QUICK, "result": "4", "missing": missing, "wrapped": False, "odd": True}
        _, body, event = hear(client, ear, **wish)
        told = json.loads(body)
        expected = {"absent": ..., "null": None, "zero": 0}[missing]
        assert told.get("agentAnswerTime", ...) == expected
        assert told["parkingWaitDuration"] > 1_500_000_000
        assert told["evaluationScore"] == -1
        assert (event.answered_at, event.ring_seconds) == (None, None)


def test_a_record_is_told_when_the_call_is_over(ear: Ear) -> None:
    with serve(seed="ima51", speed=0) as sandbox:
        client = Client(sandbox)
        urls = {"urls": {"*": ear.url}}
        client.control("apps/sandbox-key", {"platform": "ima51", **urls}, method="PUT")
        place(client, **QUICK | {"result": "2", "talk_seconds": 30})
        assert client.look("ledger")["busy"]["calls"] == 1
        client.control("clock", {"advance_seconds": 29})
        assert ear.got == []
        client.control("clock", {"advance_seconds": 2})
        client.wait_quiet()
        assert len(ear.got) == 1


def test_ten_tries_of_the_same_bytes(client: Client, ear: Ear) -> None:
    client.control("settings", {"platform": "ima51", "push_retry_wait": 0.01})
    ear.answer = lambda _: (200, b"{}") if len(ear.got) >= 10 else (503, b"success")
    place(client, **QUICK)
    client.wait_quiet()
    (push,) = client.look("pushes?platform=ima51")["items"]
    assert (len(push["attempts"]), push["state"]) == (10, "acknowledged")
    assert len({body for _, body in ear.got}) == 1


def test_after_ten_tries_it_is_given_up(client: Client, ear: Ear) -> None:
    client.control("settings", {"platform": "ima51", "push_retry_wait": 0.01})
    ear.answer = lambda _: (500, b"{}")
    place(client, **QUICK)
    client.wait_quiet()
    (push,) = client.look("pushes?platform=ima51")["items"]
    assert (len(ear.got), push["state"]) == (10, "given_up")


def test_live_traffic_is_switched(client: Client, ear: Ear) -> None:
    switch(client, platform="ima51", live=True, rate=600, most=5)
    wait_until(lambda: len(ear.got) >= 5)
    switch(client, platform="ima51", live=False)
    assert {parse_body(body).platform_call_id for _, body in ear.got} == {
        truth["call"] for truth in client.look("calls?platform=ima51")["items"]
    }


def test_numbers_are_made_up_and_ids_never_come_twice(ear: Ear, tmp_path: Path) -> None:
    calls: set[str] = set()
    for _ in range(2):
        with serve(seed=None, speed=1000, state_dir=tmp_path) as sandbox:
            client = Client(sandbox)
            urls = {"urls": {"*": ear.url}}
            client.control("apps/sandbox-key", {"platform": "ima51", **urls}, method="PUT")
            calls |= {place(client) for _ in range(20)}
            client.wait_quiet()
    assert len(calls) == 40
    for _, body in ear.got:
        event = parse_body(body)
        assert {event.caller, event.callee} & {"33330002"}
        (number,) = {event.caller, event.callee} - {"33330002"}
        assert number is not None and number.startswith("1990000")


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"direction": "sideways"}, "direction"),
        ({"result": "busy"}, "result"),
        ({"hangup": -1}, "hangup"),
        ({"talk_seconds": -1}, "talk_seconds"),
        ({"talk_seconds": "5"}, "talk_seconds"),
        ({"number": 19900000001}, "number"),
        ({"task_id": "x"}, "task_id"),
        ({"external_data": {}}, "external_data"),
        ({"missing": "gone"}, "missing"),
    ],
)
def test_a_wish_that_makes_no_sense_is_a_sentence(
    client: Client, wish: dict[str, Any], word: str
) -> None:
    assert word in refuse(client, "calls", {"platform": "ima51"} | wish)
