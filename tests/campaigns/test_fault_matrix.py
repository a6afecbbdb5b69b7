"""In: every fault × every request that leads to calls. Out: sent once, taken for what it is, and
never sent again by itself before it is settled.

Two sources of faults: those that the sandbox knows (it goes on as if nothing had happened, so what
comes after is seen, too) and broken wires of a raw server before it. ``test_filling_faults`` has
the sandbox's faults at AI Rudder; ``platforms/test_http`` has more wires, without a task.

Must catch: a library that sends again by itself (``Retry(allowed_methods=None)``), a redirect that
is followed, a repetition after a read time-out, a claim that takes what is unknown for not sent.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from campaigns import attempts, dispatch
from campaigns.models import Account, Attempt, Task
from campaigns.platforms.sandbox import SandboxServer, serve
from campaigns.platforms.sandbox_faults import REQUEST_KINDS
from tests.campaigns.filling import drive, status_of
from tests.platforms.faulty import FaultyServer, make_reply
from tests.platforms.sandbox_client import Client, wait_until

pytestmark = pytest.mark.django_db

COMMANDS = ("create", "insert", "start", "callout")
KINDS = sorted(REQUEST_KINDS)
#: what each kind needs so that the test does not wait for it
OPTIONS: dict[str, dict[str, Any]] = {
    "drip": {"seconds": 0.001},
    "late": {"seconds": 0.5},
    "gzip_bomb": {"bytes": 12_000_000},
    "huge": {"bytes": 12_000_000},
}


@pytest.fixture(scope="module")
def one_sandbox() -> Iterator[SandboxServer]:
    with serve(speed=60, seed=7) as server:
        yield server


@pytest.fixture
def sandbox(one_sandbox: SandboxServer) -> SandboxServer:
    """One for all the tests here, as if it were new each time."""
    Client(one_sandbox).control("reset", {})
    return one_sandbox


def order(account: Account, make_campaign: Any, command: str) -> Task:
    """A launched task of two contacts whose first request of this kind is about to leave."""
    if command != "callout":
        task: Task = make_campaign(contacts=2)
        return dispatch.launch_task(task, by=None)
    campaign = make_campaign(contacts=0)
    return dispatch.call_directly(
        account=account,
        robot=campaign.robot,
        line=campaign.lines.get(),
        columns=campaign.robot.columns,
        rows=[["19900000001", "a"], ["19900000002", "b"]],
        by=None,
    )


def count_received(platform: Client, command: str) -> int:
    counted: dict[str, int] = platform.look("ledger")["requests"]
    return counted.get(f"task/{command}", 0)


def find_acted(platform: Client, command: str) -> list[Any]:
    """The requests of this kind that the platform has carried out."""
    found = platform.look(f"requests?endpoint=task/{command}")["items"]
    return [entry for entry in found if entry["acted"]]


def count_contacts(task: Task) -> dict[str, int]:
    return dict(Counter(task.contacts.values_list("status", flat=True)))


def ask_in_vain(task: Task) -> None:
    """What jobs do while a request stays unknown: they look, and ask, and come to no rest."""
    with contextlib.suppress(AssertionError):
        drive(task, rounds=5)


@dataclass(frozen=True)
class Expected:
    """Of a struck request: what it is taken for, what it ends as, and how often requests of its
    kind arrived before and after it was settled."""

    first: str
    last: str
    before: int = 1
    after: int = 1


#: the answer holds ids or counts that these commands have none of, or it is as good as any
HARMLESS = {"drip", "page_repeat", "act_half", "act_twice", "ids_overlap"}
OF_ROWS = {"total_short", "ids_short", "ids_doubled"}
#: the platform says no, in the documented way: whatever it did, it is believed
REFUSED = {"throttle", "code", "code_after"}


def expect(kind: str, command: str) -> Expected:
    if kind in HARMLESS or (kind in OF_ROWS and command in ("create", "start")):
        return Expected("accepted", "accepted")
    if kind == "token_dies":
        # a documented refusal of the token: the same attempt goes again, with a new one
        return Expected("accepted", "accepted", before=2, after=2)
    if kind in REFUSED:
        return Expected("refused", "refused", after=2)
    if command == "callout":
        return Expected("unknown", "needs_human")
    if "not done" in REQUEST_KINDS[kind] or "never done" in REQUEST_KINDS[kind]:
        return Expected("unknown", "confirmed_absent", after=2)
    return Expected("unknown", "confirmed_accepted")


def check_unknown(task: Task, attempt: Attempt) -> None:
    """Nobody who may be called is free for another request, and somebody is told."""
    command = attempt.command
    task.refresh_from_db()
    assert task.needs_attention and task.reason
    if command in ("insert", "callout"):
        assert count_contacts(task) == {"unknown": 2}
        assert list(task.batches.values_list("status", flat=True)) == ["unknown"]
    elif command == "create":
        assert count_contacts(task) == {"ready": 2}
        assert not task.batches.exists()
    else:
        assert (task.status, count_contacts(task)) == ("starting", {"accepted": 2})
    assert dispatch.claim_batch(task.pk) is None


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_request_is_sent_once_whatever_comes_back(
    *,
    account: Account,
    make_campaign: Any,
    platform: Client,
    settings: Any,
    kind: str,
    command: str,
) -> None:
    settings.HTTP_TIMEOUT_SECONDS = 0.3
    settings.SETTLE_SECONDS = 3600
    rule = {"endpoint": f"task/{command}", "kind": kind, "count": 1}
    platform.control("faults", rule | OPTIONS.get(kind, {}))
    task = order(account, make_campaign, command)
    wanted = expect(kind, command)
    drive(task, settle=False)
    struck = task.attempts.filter(command=command).earliest("id")
    assert struck.status == wanted.first
    if wanted.first == "unknown":
        check_unknown(task, struck)
        assert (struck.code, bool(struck.fault)) == ("", True)
        assert count_received(platform, command) == wanted.before
        ask_in_vain(task)
        assert count_received(platform, command) == wanted.before, "nothing is settled yet"
    if kind == "late":  # the settle time is longer than any platform is late; this one is too short
        wait_until(lambda: find_acted(platform, command))
    settings.SETTLE_SECONDS = 0.03
    drive(task)
    struck.refresh_from_db()
    assert struck.status == wanted.last
    assert count_received(platform, command) == wanted.after
    assert task.attempts.filter(command=command).count() <= wanted.after
    assert sum(count_contacts(task).values()) == 2
    if wanted.last == "needs_human":
        assert count_contacts(task) == {"unknown": 2}
    elif (kind, command) in WRONG_COUNT:
        assert (status_of(task), platform.look("ledger")["rings"]) == ("loading", {})
    else:
        assert status_of(task) == "running"
    if kind not in ("act_twice", "code_after"):  # where the platform itself does something else
        platform.control("clock", {"advance_seconds": 300})
        assert set(platform.look("ledger")["rings"].values()) <= {1}


#: the platform says it has the rows and counts others: it is never told to dial
WRONG_COUNT = {("act_half", "insert"), ("act_twice", "insert"), ("code_after", "insert")}


# ------------------------------------------------------------------------------------ broken wires

OK = b'{"code":0,"message":"ok","result":{}}'
CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def stall(connection: socket.socket) -> None:
    connection.settimeout(20)
    connection.recv(1)  # until the other side gives up


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def send(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


WIRES: dict[str, Callable[[socket.socket], None]] = {
    "closed without a reply": lambda connection: None,
    "reset after reading": reset,
    "stalled": stall,
    "cut in the status line": send(b"HTTP/1.1 2"),
    "cut in the body": send(make_reply(OK, length=len(OK) + 1)),
    "cut in a chunk": send(CHUNK + b"20\r\n{"),
    "nonsense": send(b"\x00\x01\x02success\r\n\r\n"),
    "endless headers": send(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000),
    "304": send(make_reply(b"", status="304 Not Modified")),
    "503": send(make_reply(b"<html>", status="503 Service Unavailable")),
    "broken gzip": send(make_reply(b"\x1f\x8bnope", headers="Content-Encoding: gzip\r\n")),
    "307 elsewhere": send(
        make_reply(b"", status="307 Temporary Redirect", headers="Location: /elsewhere\r\n")
    ),
}
#: (platform, command): the end of the path of its request
PATHS = {
    **{("yeta", command): f"task/{command}" for command in COMMANDS},
    ("airudder", "create"): "createinstance",
    ("airudder", "insert"): "uploaddetails",
}


class Wire(FaultyServer):
    """Between us and the sandbox: lets everything through but the first request of one kind."""

    def __init__(
        self, there: tuple[str, int], path: str, break_it: Callable[[socket.socket], None]
    ) -> None:
        super().__init__(self.pass_on)
        self.there, self.path, self.break_it = there, path, break_it
        self.told: list[str] = []

    def pass_on(self, connection: socket.socket, request: bytes) -> None:
        path = request.split(b" ", 2)[1].decode().partition("?")[0]
        self.told.append(path)
        if path.endswith(self.path) and self.count(self.path) == 1:
            self.break_it(connection)
            return
        with socket.create_connection(self.there, timeout=10) as onward:
            onward.sendall(request)
            while piece := onward.recv(65536):
                connection.sendall(piece)

    def count(self, path: str) -> int:
        return sum(one.endswith(path) for one in self.told)

    def __enter__(self) -> Wire:
        super().__enter__()
        return self


@pytest.fixture
def make_order(request: pytest.FixtureRequest) -> Callable[[str, str, str], Task]:
    """Calling it launches a task of two contacts at a platform that stands behind ``url``."""

    def make(vendor: str, command: str, root: str) -> Task:
        account = request.getfixturevalue("account" if vendor == "yeta" else "airudder")
        account.base_url = root + urlsplit(account.base_url).path
        account.save()
        if vendor == "yeta":
            return order(account, request.getfixturevalue("make_campaign"), command)
        task = request.getfixturevalue("make_filled")(contacts=2)
        return dispatch.launch_task(task, by=None)

    return make


@pytest.mark.parametrize(("vendor", "command"), PATHS)
@pytest.mark.parametrize("wire", WIRES)
def test_a_request_is_written_once_however_the_wire_breaks(
    *,
    make_order: Callable[[str, str, str], Task],
    sandbox: SandboxServer,
    settings: Any,
    vendor: str,
    command: str,
    wire: str,
) -> None:
    path = PATHS[vendor, command]
    with Wire(sandbox.address, path, WIRES[wire]) as server:
        task = make_order(vendor, command, f"http://127.0.0.1:{server.port}")
        settings.HTTP_TIMEOUT_SECONDS = 0.3 if wire == "stalled" else 3
        settings.SETTLE_SECONDS = 3600
        drive(task, settle=False)
        struck = task.attempts.filter(command=command).earliest("id")
        assert (struck.status, server.count(path)) == ("unknown", 1)
        assert Task.objects.get(pk=task.pk).needs_attention
        ask_in_vain(task)
        assert server.count(path) == 1, "nothing is settled yet"
        settings.HTTP_TIMEOUT_SECONDS = 5
        settings.SETTLE_SECONDS = 0.03
        drive(task)
        struck.refresh_from_db()
        left_to_person = command == "callout" or (vendor, command) == ("airudder", "insert")
        assert struck.status == ("needs_human" if left_to_person else "confirmed_absent")
        assert server.count(path) == (1 if left_to_person else 2)
        assert server.count("elsewhere") == 0
        assert server.receipts == len(server.told)
        assert count_contacts(task) == ({"unknown": 2} if left_to_person else {"accepted": 2})


@pytest.mark.parametrize(("vendor", "command"), PATHS)
def test_what_found_nobody_listening_was_not_sent_and_goes_again(
    *,
    make_order: Callable[[str, str, str], Task],
    sandbox: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    vendor: str,
    command: str,
) -> None:
    """No byte was written: the only case besides a refusal in which the same is sent again."""
    path, carry_out = PATHS[vendor, command], attempts.carry_out
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    unplugged: list[int] = []

    def unplug(attempt: Attempt, act: Callable[[Any], Any]) -> attempts.Outcome:
        if attempt.command != command or unplugged:
            return carry_out(attempt, act)
        unplugged.append(attempt.pk)
        attempt = Attempt.objects.get(pk=attempt.pk)  # with an account of its own
        account = attempt.task.account
        url, account.base_url = account.base_url, nobody + urlsplit(account.base_url).path
        account.save()
        try:
            return carry_out(attempt, act)
        finally:
            account.base_url = url
            account.save()

    monkeypatch.setattr(attempts, "carry_out", unplug)
    with Wire(sandbox.address, "nothing", reset) as server:
        task = make_order(vendor, command, f"http://127.0.0.1:{server.port}")
        drive(task)
        drive(task)
        told = list(task.attempts.filter(command=command).order_by("id").values_list("status"))
        assert told == [("not_sent",), ("accepted",)]
        assert server.count(path) == 1
        assert (status_of(task), count_contacts(task)) == ("running", {"accepted": 2})
