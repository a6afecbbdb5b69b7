"""In: pushes on a few connections, each after the last one's answer. Out: what one push costs at
the door, beside a bare Django view that does the same INSERT and a stock CreateAPIView.

All three behind the HTTP server of production, one process each, on the same table, in turns; the
processor time of the server and of PostgreSQL is counted by the kernel, so that a machine with
other work gives the same ratios. Then the door again, with many more rows in the table.

``BENCH_PUSHES`` per turn, ``BENCH_TURNS``, ``BENCH_CONNECTIONS``, ``BENCH_FEW`` and ``BENCH_MANY``
rows. Run by `make bench`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from callbacks.models import Receipt
from campaigns.models import CallbackToken
from tests.factories import make_account
from tests.processes import find_free_port, run_server

PUSHES = int(os.environ.get("BENCH_PUSHES", "600"))
TURNS = int(os.environ.get("BENCH_TURNS", "5"))
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "4"))
FEW = int(os.environ.get("BENCH_FEW", "10000"))
MANY = int(os.environ.get("BENCH_MANY", "300000"))
#: of quality.md; and by how much a push may cost more when the table is large
BARE, STOCK, GROWTH = 0.8, 1.5, 1.3
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Side:
    """One way to take a push."""

    name: str
    port: int
    path: str
    pid: int
    #: seconds per push: by the clock, of the server's processor time, of the database's
    turns: list[tuple[float, float, float]] = field(default_factory=list)

    def find(self, which: int) -> float:
        return statistics.median(turn[which] for turn in self.turns)

    @property
    def processor(self) -> float:
        return statistics.median(turn[1] + turn[2] for turn in self.turns)


def make_push(side: str, account: int, number: int) -> bytes:
    """A call record of yeta as the side wants it."""
    record = json.dumps(
        {
            "call_uuid": f"{side}-{number}",
            "business_id": "2745",
            "app_id": "bench",
            "robot_id": "2745001",
            "direction": 2,
            "caller": "055160000001",
            "callee": f"199{number:08d}",
            "time_dial": 1_760_000_000_000,
            "time_answer": 1_760_000_006_700,
            "time_hangup": 1_760_000_028_100,
            "task_result": "0",
            "task_row_index": number,
            "task_row_head": ["客户手机号码", "姓名", "城市"],
            "task_row_value": [f"199{number:08d}", "张先生", "北京"],
        },
        ensure_ascii=False,
    ).encode()
    if side != "stock":
        return record
    digest = hashlib.sha256(record).digest()
    return json.dumps(
        {
            "account": account,
            "kind": "receiveCallRecord",
            "source": "live",
            "body": base64.b64encode(record).decode(),
            "sha256": base64.b64encode(digest).decode(),
            "content_type": "application/json",
        }
    ).encode()


def push_all(side: Side, bodies: list[bytes]) -> None:
    """One connection, one push after the other."""
    head = f"POST {side.path} HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", side.port), timeout=10) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for body in bodies:
            one.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = read_answer(one)
            assert answer.split(b" ", 2)[1] in (b"200", b"201"), answer


def read_answer(one: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += one.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += one.recv(65_536)
    return answer


def take_turn(side: Side, account: int, counter: Iterator[int], pushes: int) -> None:
    each = pushes // CONNECTIONS
    lists = [
        [make_push(side.name, account, next(counter)) for _ in range(each)]
        for _ in range(CONNECTIONS)
    ]
    threads = [threading.Thread(target=push_all, args=(side, bodies)) for bodies in lists]
    rows = Receipt.objects.count()
    postmaster = find_postmaster()
    server, database = read_processor(side.pid), read_processor(postmaster)
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    count = each * CONNECTIONS
    server = read_processor(side.pid) - server
    database = read_processor(postmaster) - database
    assert Receipt.objects.count() == rows + count
    side.turns.append((took / count, server / count, database / count))


def find_postmaster() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        postmaster = int(read_stat(cursor.fetchone()[0])[1])
    connection.close()
    return postmaster


def read_stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def read_processor(pid: int) -> float:
    """Seconds of processor time of a process and of everything that it started."""
    parents: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = read_stat(int(entry.name))
            except OSError:
                continue
    family, found = {pid}, True
    while found:
        new = {one for one, stat in parents.items() if int(stat[1]) in family} - family
        family, found = family | new, bool(new)
    ticks = sum(sum(map(int, parents[one][11:13])) for one in family if one in parents)
    return (ticks + sum(map(int, parents[pid][13:15]))) / TICKS


def fill_table(account: int, rows: int) -> None:
    """So many receipts as there are after months, processed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM callbacks_receipt")
        there = cursor.fetchone()[0]
        cursor.execute(
            "INSERT INTO callbacks_receipt (account_id, kind, source, body, sha256, content_type,"
            " content_encoding, received_at, deliveries, status, reason, detail, tries,"
            " platform_call_id, problems)"
            " SELECT %s, 'receiveCallRecord', 'live', convert_to(repeat(md5(n::text), 16), 'UTF8'),"
            " sha256(convert_to('filled ' || n, 'UTF8')), 'application/json', '', now(), 1,"
            " 'processed', '', '', 1, 'filled-' || n, '{}' FROM generate_series(%s, %s) AS n",
            [account, there, rows],
        )
        cursor.execute("VACUUM ANALYZE callbacks_receipt")


@contextmanager
def open_sides(settings: Any, folder: Path, account: int, token: str) -> Iterator[list[Side]]:
    keys = {"SECRET_KEY": settings.SECRET_KEY, "FIELD_KEYS": ",".join(settings.FIELD_KEYS)}
    environment = {"DATA_DIR": str(folder), "CONN_MAX_AGE": "60", **keys}
    bare = {**environment, "DJANGO_SETTINGS_MODULE": "tests.benchmarks.door_settings"}
    with ExitStack() as stack:
        sides = []
        for name, path, own in (
            ("door", f"/callbacks/{token}/receiveCallRecord", environment),
            ("bare", f"/callbacks/bare/{account}", bare),
            ("stock", "/callbacks/stock", bare),
        ):
            port = find_free_port()
            child = stack.enter_context(run_server(port, **own))
            sides.append(Side(name, port, path, child.pid))
        yield sides


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(3600)
def test_the_door_beside_a_bare_view_and_a_stock_one(settings: Any, tmp_path: Path) -> None:
    owner = make_account()
    account, token = owner.pk, CallbackToken.make(owner)[1]
    counter = iter(range(10_000_000))
    with open_sides(settings, tmp_path, account, token) as sides:
        door, bare, stock = sides
        fill_table(account, FEW)
        for side in sides:
            take_turn(side, account, counter, 20 * CONNECTIONS)  # warm
            side.turns.clear()
        for _ in range(TURNS):
            for side in sides:
                take_turn(side, account, counter, PUSHES)
        few = Side(door.name, door.port, door.path, door.pid, list(door.turns))
        fill_table(account, MANY)
        door.turns.clear()
        take_turn(door, account, counter, 20 * CONNECTIONS)
        door.turns.clear()
        for _ in range(TURNS):
            take_turn(door, account, counter, PUSHES)
    print()
    for name, side in (("door", few), ("bare", bare), ("stock", stock), ("door, many", door)):
        print(
            f"{name:>10}: {1 / side.find(0):6.0f}/s, processor time per push: server"
            f" {side.find(1) * 1000:.2f} ms, PostgreSQL {side.find(2) * 1000:.2f} ms"
        )
    print(
        f"pushes per second of {CONNECTIONS} connections: {bare.find(0) / few.find(0):.2f} of the"
        f" bare view, {stock.find(0) / few.find(0):.2f} × the stock one; per second of processor"
        f" time: {bare.processor / few.processor:.2f} (goal {BARE}) and"
        f" {stock.processor / few.processor:.2f} (goal {STOCK})"
    )
    growth = door.processor / few.processor
    print(f"{MANY:,} rows instead of {FEW:,}: {growth:.2f} × the processor time (goal {GROWTH})")
    assert bare.processor / few.processor >= BARE and stock.processor / few.processor >= STOCK
    assert growth <= GROWTH
