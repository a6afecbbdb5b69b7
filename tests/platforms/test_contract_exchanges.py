"""No secret stands in the record of any exchange, seen at real ones with the pretend platform.

Every method that a platform's client has is called once, over HTTP on loopback. The door is given
none of the account's secrets, only the names that the platform declares: they must be enough.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from campaigns.platforms.contract import (
    UNVERIFIED_SETTING,
    Client,
    Connection,
    Platform,
    RobotInfo,
    TaskOrder,
)
from campaigns.platforms.errors import PlatformError
from campaigns.platforms.http import ExchangeRecord, Transport
from campaigns.platforms.registry import PLATFORMS
from campaigns.platforms.sandbox import SandboxServer, serve
from tests.platforms.payloads import find_expectation
from tests.platforms.test_contract import METHODS, READING

DRIVEN = [
    pytest.param(platform, id=slug)
    for slug, platform in PLATFORMS.items()
    if platform.connect is not None
]
NUMBERS = ("19900000001", "+8619900000002", "01000000003")
#: of no country: only asked for
ABROAD = "+9991990000004"
SECRET = "sandbox-secret"
#: methods that cannot do without the platform
ALWAYS_ASKS = {"test_connection", "create_task", "insert_contacts", "verify_push"}


class KeptTokens:
    """A token store that remembers every token it ever gave out."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def get(self, fetch: Callable[[], tuple[str, float]], *, stale: str | None = None) -> str:
        if not self.given or self.given[-1] == stale:
            self.given.append(fetch()[0])
        return self.given[-1]


class Watched:
    """A client at the sandbox, and all that was recorded and sent on its behalf."""

    def __init__(self, platform: Platform, server: SandboxServer) -> None:
        assert platform.connect is not None
        self.records: list[ExchangeRecord] = []
        self.replies: list[bytes] = []
        self.tokens = KeptTokens()
        self.credentials = {
            entry.name: SECRET if "secret" in entry.name else "sandbox-key"
            for entry in platform.credentials
        }
        settings = {entry.name: entry.default for entry in platform.settings}
        if UNVERIFIED_SETTING in settings:
            settings[UNVERIFIED_SETTING] = "on"
        self.client: Client = platform.connect(
            Connection(
                base_url=server.url + urlsplit(platform.default_base_url).path,
                time_zone=READING.time_zone,
                settings=settings | find_expectation(platform.slug, "SETTINGS"),
                credentials=self.credentials,
                transport=Transport(
                    allow_hosts=frozenset({"127.0.0.1"}),
                    secret_fields=platform.secret_fields,
                    record=self.records.append,
                    heard=lambda reply: self.replies.append(reply.body),
                ),
                tokens=self.tokens,
            )
        )

    def list_secrets(self) -> set[str]:
        """What no record may hold: credentials, tokens given out, tokens in replies."""
        in_replies = re.findall(rb'"token"\s*:\s*"([^"]+)"', b" ".join(self.replies))
        found = {*self.credentials.values(), *self.tokens.given, *map(bytes.decode, in_replies)}
        return {word for word in found if word}


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with serve(speed=2000, seed="exchanges") as server:
        yield server


def list_calls(platform: Platform, client: Client) -> dict[str, Callable[[], Any]]:
    """Every method of a client, with something sensible to say; each may be refused. What a push is
    asked about with, ``list_queries`` of ``<v>/expectations.py`` says."""
    now = datetime.now(UTC)
    state: dict[str, str] = {"task": "1"}
    calls: list[Any] = []
    robot = RobotInfo(
        platform_id="1",
        name="",
        columns=("a",),
        state="",
        platform_state="",
        kind="",
        deleted=False,
    )
    line = "055160000001"
    with suppress(PlatformError):
        catalog = client.fetch_catalog()
        robot = next(iter(catalog.robots), robot)
        line = next((found.number for found in catalog.lines), line)
    rows = [[number, *("x" for _ in robot.columns[1:])] for number in NUMBERS]

    def create() -> None:
        order = TaskOrder(
            name="exchanges",
            robot_id=robot.platform_id,
            lines=(line,) if platform.limits.lines else (),
            begin_at=now,
            end_at=now + timedelta(days=1),
        )
        state["task"] = client.create_task(order)

    def insert() -> None:
        keys = [f"CB-{number}" for number in range(len(rows))]
        client.insert_contacts(state["task"], columns=robot.columns, rows=rows, keys=keys)

    def fetch() -> None:
        calls.extend(client.fetch_calls(state["task"]))

    def verify() -> None:
        list_queries = find_expectation(platform.slug, "list_queries")
        for query in list_queries(state["task"], calls, number=NUMBERS[1]) if list_queries else ():
            with suppress(PlatformError):
                client.verify_push(query)

    began = now - timedelta(hours=1)
    return {
        "test_connection": client.test_connection,
        "fetch_catalog": client.fetch_catalog,
        "create_task": create,
        "insert_contacts": insert,
        "start_task": lambda: client.start_task(state["task"]),
        "query_task": lambda: client.query_task(state["task"]),
        "query_tasks": lambda: client.query_tasks(name="exchanges"),
        "pause_task": lambda: client.pause_task(state["task"]),
        "delete_task": lambda: client.delete_task(state["task"]),
        "call_directly": lambda: client.call_directly(
            robot_id=robot.platform_id, line=line, columns=robot.columns, rows=rows
        ),
        "list_failed_pushes": client.list_failed_pushes,
        "find_contact": lambda: [
            client.find_contact(key=key, number=number, begin_at=began, end_at=now)
            for key, number in (("CB-1", None), (None, NUMBERS[1]), (None, ABROAD))
        ],
        "fetch_calls": fetch,
        "verify_push": verify,
    }


def test_every_method_is_called() -> None:
    named = {name for names in METHODS.values() for name in names}
    assert set(list_calls(next(iter(PLATFORMS.values())), Client())) == named | {
        "test_connection",
        "start_task",
    }


@pytest.mark.parametrize("platform", DRIVEN)
def test_no_secret_in_any_record(platform: Platform, server: SandboxServer) -> None:
    watched = Watched(platform, server)
    watched.client.test_connection()
    assert watched.records
    for name, call in list_calls(platform, watched.client).items():
        offered = getattr(type(watched.client), name) is not getattr(Client, name)
        before = len(watched.records)
        with suppress(PlatformError):
            call()
        if name in ALWAYS_ASKS and offered:
            assert len(watched.records) > before, f"{name} was not recorded"
    secrets = watched.list_secrets()
    assert secrets >= {SECRET, "sandbox-key"}
    assert len(secrets) > len(watched.credentials), "no token was seen"
    for record in watched.records:
        kept = json.dumps([record.url, record.request, record.response], ensure_ascii=False)
        for secret in secrets:
            assert secret not in kept, record.purpose
        assert "Token " not in kept
        for number in (*NUMBERS, ABROAD):
            assert number.removeprefix("+86") not in kept, record.purpose
        assert not re.search(r"(?<!\d)1[3-9]\d{9}(?!\d)", kept), record.purpose


@pytest.mark.parametrize("platform", DRIVEN)
def test_the_numbers_did_go_out(platform: Platform, server: SandboxServer) -> None:
    """Else their absence from the records would say nothing: masked, they are there."""
    watched = Watched(platform, server)
    for call in list_calls(platform, watched.client).values():
        with suppress(PlatformError):
            call()
    assert any("****" in record.request for record in watched.records)
    assert all(record.started_at.tzinfo for record in watched.records)


@pytest.mark.parametrize("platform", DRIVEN)
def test_a_wrong_password_leaves_no_trace_of_it(platform: Platform, server: SandboxServer) -> None:
    watched = Watched(platform, server)
    wrong = {name: f"wrong-{name}-word" for name in watched.credentials}
    watched.credentials.update(wrong)
    with pytest.raises(PlatformError) as refused:
        watched.client.test_connection()
    for word in wrong.values():
        assert word not in f"{refused.value} {refused.value.advice} {watched.records}"
    assert watched.records
