"""In: fault rules and control requests. Out: what a client sees, and what really happened."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from campaigns.platforms.sandbox import serve
from campaigns.platforms.sandbox_clock import Clock, Scheduler
from campaigns.platforms.sandbox_faults import REQUEST_KINDS
from campaigns.platforms.sandbox_http import pack_bomb
from campaigns.platforms.sandbox_ledger import Ledger
from campaigns.platforms.yeta.sandbox_replies import MESSAGES
from tests.platforms.sandbox_client import COLUMNS, LINE, Answer, Client, make_rows, wait_until

BROKEN = (OSError, http.client.HTTPException)


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with serve(seed="engine", speed=0) as sandbox:
        yield Client(sandbox)


@pytest.fixture
def client(shared: Client) -> Client:
    shared.control("reset", {})
    shared.get_token()
    return shared


def insert(client: Client, task: str, *, count: int = 4, timeout: float = 10) -> Answer:
    told = {"task_id": task, "call_column": COLUMNS, "call_list": make_rows(count)}
    return client.post(client.path_of("task/insert"), told, timeout=timeout)


def count_rows(client: Client, task: str) -> int:
    told = client.look(f"tasks?task_id={task}")
    count: int = told[0]["count_tel"]
    return count


def strike(client: Client, kind: str, **wish: Any) -> None:
    client.control("faults", {"kind": kind, "endpoint": "task/insert", "count": 1, **wish})


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("refuse", 0),
        ("close_before", 0),
        ("stall_before", 0),
        ("close_after", 4),
        ("cut", 4),
        ("stall_after", 4),
    ],
)
def test_no_whole_reply(client: Client, kind: str, rows: int) -> None:
    task = client.create()
    strike(client, kind, seconds=0.3)
    with pytest.raises(BROKEN):
        insert(client, task)
    assert count_rows(client, task) == rows
    seen = client.look("requests?endpoint=task/insert")["items"][-1]
    assert seen["fault"] == kind and seen["acted"] is (rows > 0)
    assert insert(client, task).json()["code"] == 0, "the rule strikes once"


def test_a_cut_reply_began_well(client: Client) -> None:
    task = client.create()
    strike(client, "cut")
    with pytest.raises(http.client.IncompleteRead) as caught:
        insert(client, task)
    assert caught.value.partial.startswith(b'{"code": 0')


def test_a_stall_is_longer_than_the_patience_of_a_client(client: Client) -> None:
    task = client.create()
    strike(client, "stall_after")
    with pytest.raises(TimeoutError):
        insert(client, task, timeout=0.3)
    assert count_rows(client, task) == 4


def test_a_late_request_acts_after_its_client_has_gone(client: Client) -> None:
    task = client.create()
    strike(client, "late", seconds=0.5)
    with pytest.raises(TimeoutError):
        insert(client, task, timeout=0.1)
    assert count_rows(client, task) == 0
    wait_until(lambda: count_rows(client, task) == 4)


@pytest.mark.parametrize(
    ("kind", "status", "rows"),
    [
        ("error_before", 500, 0),
        ("error_after", 500, 4),
        ("html_before", 200, 0),
        ("html_after", 200, 4),
        ("redirect", 307, 0),
        ("throttle", 429, 0),
    ],
)
def test_replies_of_something_in_between(client: Client, kind: str, status: int, rows: int) -> None:
    task = client.create()
    strike(client, kind, seconds=7)
    answer = insert(client, task)
    assert answer.status == status
    assert count_rows(client, task) == rows
    if "html" in kind or "error" in kind:
        assert answer.headers["content-type"] == "text/html" and b"<html>" in answer.body
    if kind == "redirect":
        assert answer.headers["location"] == client.path_of("task/insert")
    if kind == "throttle":
        assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize("code", sorted(MESSAGES))
def test_every_error_code(client: Client, code: int) -> None:
    task = client.create()
    strike(client, "code", code=code)
    reply = insert(client, task).json()
    assert reply == {"code": code, "message": MESSAGES[code], "result": {}}
    strike(client, "code_after", code=code)
    assert insert(client, task).json()["code"] == code
    assert count_rows(client, task) == 4


@pytest.mark.parametrize(
    ("kind", "told"), [("code_false", "false"), ("code_string", '"0"'), ("code_float", "0.0")]
)
def test_almost_zero(client: Client, kind: str, told: str) -> None:
    task = client.create()
    strike(client, kind)
    assert insert(client, task).body.startswith(b'{"code": %s,' % told.encode())
    assert count_rows(client, task) == 4


@pytest.mark.parametrize(
    ("kind", "total", "ids", "different"),
    [("total_short", 3, 4, 4), ("ids_short", 4, 3, 3), ("ids_doubled", 4, 4, 3)],
)
def test_spoiled_results(client: Client, kind: str, total: int, ids: int, different: int) -> None:
    task = client.create()
    strike(client, kind)
    told = insert(client, task).json()["result"]
    assert told["total"] == total
    assert (len(told["task_data_ids"]), len(set(told["task_data_ids"]))) == (ids, different)
    assert count_rows(client, task) == 4


def test_overlapping_ids_belong_to_an_earlier_reply(client: Client) -> None:
    first, second = client.create(), client.create()
    earlier = insert(client, first).json()["result"]["task_data_ids"]
    strike(client, "ids_overlap")
    assert insert(client, second).json()["result"]["task_data_ids"][0] in earlier


def test_no_result_and_broken_json(client: Client) -> None:
    task = client.create()
    strike(client, "no_result")
    assert insert(client, task).json() == {"code": 0, "message": "ok"}
    strike(client, "broken_json")
    with pytest.raises(ValueError, match="property name"):
        insert(client, task).json()
    assert count_rows(client, task) == 8


def test_half_and_double_deeds(client: Client) -> None:
    half, double = client.create(), client.create()
    strike(client, "act_half")
    told = insert(client, half).json()["result"]
    assert told["total"] == 4 == len(set(told["task_data_ids"]))
    assert count_rows(client, half) == 2
    strike(client, "act_twice")
    assert insert(client, double).json()["result"]["total"] == 4
    assert count_rows(client, double) == 8


def test_pages_that_repeat(client: Client) -> None:
    for _ in range(3):
        client.create()
    client.control("faults", {"kind": "page_repeat", "endpoint": "task/query"})
    pages = [client.get("task/query", page_size=1, page_index=n) for n in (1, 2, 3)]
    assert pages[0] == pages[1] == pages[2] and pages[0]["total_rows"] == 3


def test_a_token_that_dies_early(client: Client) -> None:
    client.control("faults", {"kind": "token_dies", "endpoint": "task/*", "count": 1, "after": 1})
    task = client.create()
    assert client.code_of("task/query") == 10001
    assert client.code_of("task/query") == 10001
    client.get_token()
    assert client.row_of(task)["status"] == 0


def test_a_dripping_reply(client: Client) -> None:
    client.control("faults", {"kind": "drip", "endpoint": "config/query", "seconds": 0.02})
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        read_slowly(client, until=began + 0.5)


def read_slowly(client: Client, *, until: float) -> None:
    """Read byte by byte; a client with a deadline for the whole gives up."""
    with socket.create_connection(client.address) as connection:
        head = f"POST {client.path_of('config/query')} HTTP/1.1\r\nHost: x\r\n"
        head += "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        connection.sendall(head.encode())
        while connection.recv(1):
            if time.monotonic() > until:
                raise TimeoutError


def test_a_gzip_bomb(client: Client) -> None:
    client.control("faults", {"kind": "gzip_bomb", "endpoint": "config/query", "bytes": 30_000_000})
    answer = client.post(client.path_of("config/query"), {})
    assert answer.headers["content-encoding"] == "gzip" and len(answer.body) < 300_000
    assert len(gzip.decompress(answer.body)) == 30_000_000


def test_the_usual_bomb_is_a_gigabyte() -> None:
    assert len(pack_bomb(1_000_000_000)) < 3_000_000


def test_a_huge_reply(client: Client) -> None:
    client.control("faults", {"kind": "huge", "endpoint": "config/query", "bytes": 9_000_000})
    answer = client.post(client.path_of("config/query"), {})
    assert len(answer.body) > 9_000_000 and answer.json()["code"] == 0


def test_rules_are_counted_listed_and_removed(client: Client) -> None:
    rule = client.control("faults", {"kind": "code", "endpoint": "task/*", "after": 1, "count": 2})
    codes = [client.code_of("task/query") for _ in range(5)]
    assert codes == [0, 10004, 10004, 0, 0]
    listed = client.look("faults")
    assert listed["rules"][0]["fired"] == 2 and set(listed["kinds"]) >= set(REQUEST_KINDS)
    client.control("faults", {"kind": "code"})
    assert client.code_of("config/query") == 10004
    client.send("DELETE", f"/_sandbox/faults/{rule['id'] + 1}")
    assert client.code_of("config/query") == 0
    client.send("DELETE", "/_sandbox/faults")
    assert client.look("faults")["rules"] == []


def test_probability(client: Client) -> None:
    client.control("faults", {"kind": "code", "endpoint": "config/query", "probability": 0.3})
    codes = [client.code_of("config/query") for _ in range(200)]
    assert 30 < codes.count(10004) < 90


@pytest.mark.parametrize(
    "wish",
    [
        {"kind": "nonsense"},
        {"kind": "cut", "count": 0},
        {"kind": "cut", "count": "1"},
        {"kind": "cut", "after": -1},
        {"kind": "cut", "probability": 2},
        {"kind": "cut", "endpoint": 1},
        [],
    ],
)
def test_senseless_rules(client: Client, wish: Any) -> None:
    answer = client.post("/_sandbox/faults", wish)
    assert answer.status == 400 and answer.json()["error"].endswith(".")


def test_requests_are_counted_by_body(client: Client) -> None:
    task = client.create()
    for told in ({"task_id": task, "page_size": 5}, {"page_size": 5, "task_id": task}):
        client.get("task/query", **told)
    client.get("task/query", task_id=task, page_size=6)
    told = client.look("ledger")
    assert told["requests"]["task/query"] == 3
    assert list(told["requests_repeated"].values()) == [2]
    items = client.look("requests?endpoint=task/query")["items"]
    assert len({item["hash"] for item in items}) == 2
    assert all(item["code"] == 0 and item["status"] == 200 for item in items)
    assert client.token not in json.dumps(client.look("requests"))
    last = client.look(f"requests?after={items[-2]['n']}&limit=5")["items"]
    assert [item["n"] for item in last] == [items[-1]["n"]]


def test_nobody_takes_it_for_real(client: Client) -> None:
    page = client.send("GET", "/")
    assert page.status == 200 and "calls nobody" in page.body.decode()
    assert "不会拨打任何电话" in page.body.decode()
    assert page.headers["x-callboard-sandbox"].split(",")[0] == "yeta"
    client.control("apps/k", {"business_id": "150", "app_secret": "very-secret"}, method="PUT")
    told = client.send("GET", "/_sandbox/apps").body.decode()
    assert "sandbox-150" in told and "very-secret" not in told


def test_unknown_pages(client: Client) -> None:
    for path in ("/x", "/_sandbox/x", "/_sandbox/calls/1", "/openapi", "/openapi/x", "/_sandboxx"):
        assert client.send("GET", path).status == 404
    assert client.post("/_sandbox/tasks", {}).status == 404
    assert client.send("POST", "/_sandbox/reset", body=b"{}").status == 400, "not JSON"
    assert client.post("/_sandbox/clock", {"speed": -1}).status == 400
    assert client.post("/_sandbox/clock", {"speed": True}).status == 400
    headers = {"Content-Type": "application/json"}
    for body in (b"{", b"[" * 100_000, b"\xff"):
        answer = client.send("POST", "/_sandbox/clock", body=body, headers=headers)
        assert answer.status == 400 and answer.json()["error"].endswith(".")
    answer = client.send("PUT", "/_sandbox/apps/x", body=b'{"lines": [1]}', headers=headers)
    assert answer.status == 400


def test_reset_forgets_but_gives_no_id_out_twice(client: Client) -> None:
    task = client.create()
    client.control("reset", {})
    client.get_token()
    assert client.get("task/query")["total_rows"] == 0
    assert client.create() > task


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /openapi/config/v1/query HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /openapi/config/v1/query HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n",
        b"POST /openapi/config/v1/query HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /openapi/config/v1/query HTTP/1.1\r\nContent-Length: 5\r\n\r\n{}",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_bytes_that_are_not_http(client: Client, raw: bytes) -> None:
    with socket.create_connection(client.address, timeout=5) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        said = b""
        while block := connection.recv(65_536):
            said += block
    assert b"Traceback" not in said and said.count(b"HTTP/1.1 ") <= 1
    assert client.look("state")["sandbox"] is True


def test_connections_are_kept_alive(client: Client) -> None:
    connection = http.client.HTTPConnection(*client.address, timeout=5)
    ports = set()
    for _ in range(3):
        connection.request("GET", "/_sandbox/state")
        ports.add(connection.sock.getsockname())
        connection.getresponse().read()
    connection.close()
    assert len(ports) == 1


def test_a_taken_port_is_an_os_error() -> None:
    with serve() as sandbox, pytest.raises(OSError, match="in use"):
        serve(port=sandbox.address[1])


def test_closing_ends_stalled_requests_and_threads() -> None:
    before = threading.active_count()
    sandbox = serve()
    client = Client(sandbox)
    client.control("faults", {"kind": "stall_before", "endpoint": "config/query"})
    path = client.path_of("config/query")
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            client.post(path, {}, timeout=30)
        except BROKEN as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: client.look("ledger")["requests"].get("config/query"))
    sandbox.close()
    asking.join(timeout=10)
    assert len(failures) == 1
    wait_until(lambda: threading.active_count() <= before)


def test_thousands_of_tasks(client: Client) -> None:
    client.set_app(lines=[{"line_num": LINE, "concurrents": 5}])
    for n in range(1000):
        task = client.create(task_name=f"t{n}")
        if n % 10 == 0:
            client.insert(task, make_rows(1, first=n))
            client.get("task/start", task_id=task)
    began = time.monotonic()
    assert client.get("task/query", page_size=50, page_index=20)["total_rows"] == 1000
    assert time.monotonic() - began < 10
    client.control("clock", {"speed": 5000})
    wait_until(lambda: client.look("ledger")["calls"] == 100)


def test_the_clock_runs_stops_and_jumps() -> None:
    clock = Clock(speed=1000)
    began = clock.now()
    wait_until(lambda: clock.now() > began + 20)
    clock.change(speed=0)
    stopped = clock.now()
    assert clock.now() == stopped
    steady = clock.steady()
    clock.change(advance=500)
    assert clock.now() == stopped + 500 and clock.steady() >= steady + 500
    clock.rewind()
    assert abs(clock.now() - time.time()) < 1


def test_the_scheduler_keeps_the_order_and_survives_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock(speed=0)
    scheduler = Scheduler(clock)
    scheduler.start()
    seen: list[int] = []
    now = clock.now()
    scheduler.call_at(now + 30, lambda: seen.append(3))
    scheduler.call_at(now + 10, lambda: seen.append(1))
    scheduler.call_at(now + 20, lambda: seen.append(1 // 0))
    clock.change(advance=15)
    wait_until(lambda: seen == [1])
    clock.change(advance=100)
    wait_until(lambda: seen == [1, 3])
    assert "could not run" in caplog.text
    scheduler.close()


def test_the_ledger_is_bounded() -> None:
    ledger = Ledger(cap=10)
    for n in range(25):
        ledger.note_ring(str(n), row=str(n))
        ledger.note_request("x", method="POST", fault=None)
    told = ledger.requests.select({})
    assert told["total"] == 25 and told["gone"] == 15 and len(told["items"]) == 10
    assert len(ledger.summary()["rings"]) == 10 and ledger.summary()["rings_beyond_cap"] == 15
