"""Our client of yeta at the pretend yeta, over real HTTP: the life of a task, and each fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from campaigns.platforms.contract import Push, Reading, TaskOrder
from campaigns.platforms.errors import NotSent, PlatformError, Rejected, Throttled, Uncertain
from campaigns.platforms.events import (
    CallEnded,
    DialogReady,
    PlatformTaskState,
    RecordingReady,
    Role,
)
from campaigns.platforms.sandbox import SandboxServer, serve
from campaigns.platforms.yeta import PLATFORM
from campaigns.platforms.yeta.client import YetaClient
from tests.platforms.sandbox_client import (
    COLUMNS,
    LINE,
    MODULES,
    ROBOT,
    Receiver,
    make_rows,
    wait_until,
)
from tests.platforms.sandbox_client import Client as Sandbox
from tests.platforms.yeta.scripted import ZONE, Tokens, make_client

CREDENTIALS = {"app_key": "sandbox-key", "app_secret": "sandbox-secret"}


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with serve(speed=2000, seed="client") as server:
        yield server


@pytest.fixture
def sandbox(server: SandboxServer) -> Sandbox:
    return Sandbox(server)


def connect(server: SandboxServer, **wishes: Any) -> YetaClient:
    return make_client(server.base_url, credentials=CREDENTIALS, **wishes)


def make_order(**wishes: Any) -> TaskOrder:
    now = datetime.now(UTC) - timedelta(minutes=1)
    order = {"name": "试验", "robot_id": ROBOT, "lines": (LINE,), "begin_at": now}
    return TaskOrder(**{**order, **wishes})


def test_the_whole_life_of_a_task(server: SandboxServer, sandbox: Sandbox) -> None:
    client = connect(server)
    client.test_connection()
    task_id = client.create_task(make_order())
    ids = [
        client.insert_contacts(
            task_id, columns=COLUMNS, rows=make_rows(count, first=first)
        ).platform_contact_ids
        for count, first in ((50, 1), (7, 51))
    ]
    assert [len(set(some)) for some in ids] == [50, 7]
    before = client.query_task(task_id)
    assert before is not None
    assert (before.state, before.contacts, before.name) == (PlatformTaskState.CREATED, 57, "试验")
    client.start_task(task_id)
    with pytest.raises(Rejected):
        client.insert_contacts(task_id, columns=COLUMNS, rows=make_rows(1, first=99))

    def is_finished() -> bool:
        task = client.query_task(task_id)
        return task is not None and task.state is PlatformTaskState.FINISHED

    wait_until(is_finished, seconds=30)
    found = client.query_tasks(name="试", states=[PlatformTaskState.FINISHED], sort="id")
    assert [task.platform_task_id for task in found] == [task_id]
    assert found[0].counts["process_tel_count"] == 57
    assert found[0].problems == {}
    client.delete_task(task_id)
    gone = client.query_task(task_id)
    assert gone is None or gone.deleted
    assert client.query_task("1") is None


def test_pausing_and_going_on(server: SandboxServer) -> None:
    client = connect(server)
    task_id = client.create_task(make_order(windows=((time(0), time(23, 59, 59)),)))
    client.insert_contacts(task_id, columns=COLUMNS, rows=make_rows(50))
    client.start_task(task_id)
    client.pause_task(task_id)
    paused = client.query_task(task_id)
    assert paused is not None
    assert paused.state is PlatformTaskState.PAUSED
    client.start_task(task_id)
    running = client.query_task(task_id)
    assert running is not None
    assert running.state is not PlatformTaskState.PAUSED


def test_the_catalogue_of_the_sandbox(server: SandboxServer) -> None:
    catalog = connect(server).fetch_catalog()
    robot = next(robot for robot in catalog.robots if robot.platform_id == ROBOT)
    line = next(line for line in catalog.lines if line.number == LINE)
    assert (robot.state, list(robot.columns)) == ("published", COLUMNS)
    assert line.state in ("idle", "busy")
    assert catalog.voices
    for entry in (*catalog.robots, *catalog.lines):
        assert "problems" not in entry.raw


def test_a_direct_call(server: SandboxServer, sandbox: Sandbox) -> None:
    client = connect(server)
    wish: dict[str, Any] = {"robot_id": ROBOT, "line": LINE, "columns": COLUMNS}
    ids = client.call_directly(rows=make_rows(2), speed=0, **wish).platform_contact_ids
    assert len(set(ids)) == 2
    with pytest.raises(Rejected, match="200203"):
        client.call_directly(rows=[*make_rows(1), ["12", "x"]], **wish)


def test_failed_pushes_are_listed_the_next_day(server: SandboxServer, sandbox: Sandbox) -> None:
    assert connect(server).list_failed_pushes().paths == ()


def test_what_the_sandbox_pushes_is_understood(server: SandboxServer, sandbox: Sandbox) -> None:
    """Its pushes against our parser: both were written from the text, by different hands."""
    reading = Reading(time_zone=ZONE)
    client = connect(server)
    with Receiver() as receiver:
        sandbox.set_app(urls=receiver.urls)
        task_id = client.create_task(make_order())
        ids = client.insert_contacts(task_id, columns=COLUMNS, rows=make_rows(50))
        client.start_task(task_id)
        sandbox.wait_for(task_id)
        sandbox.wait_quiet()
        events = [
            event
            for kind, body in receiver.got
            if kind in MODULES
            for event in PLATFORM.parse(Push(kind=kind, body=json.dumps(body).encode()), reading)
        ]
    records = [event for event in events if isinstance(event, CallEnded)]
    assert {record.platform_contact_id for record in records} == set(ids.platform_contact_ids)
    assert {record.rank for record in records} == {10, 20}
    assert all(record.result is not None for record in records if record.rank == 20)
    assert any(isinstance(event, RecordingReady) for event in events)
    dialogs = [event for event in events if isinstance(event, DialogReady)]
    assert all(dialog.turns for dialog in dialogs)
    assert {turn.role for dialog in dialogs for turn in dialog.turns} == {Role.ROBOT, Role.CONTACT}
    assert [event.problems for event in events if event.problems] == []


def test_a_dead_token_is_replaced(server: SandboxServer, sandbox: Sandbox) -> None:
    tokens = Tokens()
    client = connect(server, tokens=tokens)
    client.fetch_catalog()
    sandbox.control("faults", {"endpoint": "task/create", "kind": "token_dies", "count": 1})
    assert client.create_task(make_order())
    assert len(tokens.lifetimes) == 2
    assert len(client.query_tasks()) == 1


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
    "throttle": Throttled,
    "code": Throttled,
    "code_false": Uncertain,
    "code_string": Uncertain,
    "code_float": Uncertain,
    "no_result": Uncertain,
    "total_short": Uncertain,
    "ids_short": Uncertain,
    "ids_doubled": Uncertain,
    "gzip_bomb": Uncertain,
    "huge": Uncertain,
    "broken_json": Uncertain,
}


@pytest.mark.parametrize("kind", DONE_OR_NOT)
def test_every_fault_of_an_insert(kind: str, server: SandboxServer, sandbox: Sandbox) -> None:
    client = connect(server, timeout=1.0 if kind in ("drip", "stall_before", "stall_after") else 10)
    task_id = client.create_task(make_order())
    sandbox.control(
        "faults",
        {"endpoint": "task/insert", "kind": kind, "count": 1, "bytes": 50_000_000, "seconds": 1.5},
    )
    with pytest.raises(DONE_OR_NOT[kind]):
        client.insert_contacts(task_id, columns=COLUMNS, rows=make_rows(3))
    assert len(sandbox.look("requests?endpoint=task/insert")["items"]) == 1
    task = client.query_task(task_id)
    assert task is not None
    assert task.contacts in (0, 3)


def test_repeated_pages_are_noticed(server: SandboxServer, sandbox: Sandbox) -> None:
    client = connect(server)
    for _ in range(51):
        client.create_task(make_order())
    assert len(client.query_tasks()) == 51
    sandbox.control("faults", {"endpoint": "task/query", "kind": "page_repeat"})
    with pytest.raises(Uncertain):
        client.query_tasks()


def test_a_platform_that_is_not_there(server: SandboxServer) -> None:
    client = connect(server)
    client.fetch_catalog()
    server.close()
    with pytest.raises(NotSent):
        client.create_task(make_order())
