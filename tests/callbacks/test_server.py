"""In: connections that misbehave, to a real server. Out: proof that nobody else pays for them."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings as project_settings
from django.db import connection

from callbacks.models import Receipt
from tests.callbacks.pushes import TAKEN, make_door, make_record
from tests.processes import find_free_port, run_web

pytestmark = [pytest.mark.django_db(transaction=True)]

KIND = "receiveCallRecord"
#: no acknowledgement comes later than this (quality.md R2)
LATEST_SECONDS = 2.5
LIMIT = project_settings.PUSH_MAX_BYTES


@pytest.fixture
def server(settings: Any, tmp_path: Any) -> Iterator[tuple[int, str]]:
    """(port, path of a door) of the production server."""
    port = find_free_port()
    keys = {"SECRET_KEY": settings.SECRET_KEY, "FIELD_KEYS": ",".join(settings.FIELD_KEYS)}
    _, token = make_door()
    with run_web(port, DATA_DIR=str(tmp_path), **keys):
        yield port, f"/callbacks/{token}/{KIND}"


def open_push(port: int, path: str, *lines: str, body: bytes = b"") -> socket.socket:
    """A connection on which a push has begun."""
    one = socket.create_connection(("127.0.0.1", port), timeout=15)
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: door", *lines, "", ""])
    one.sendall(head.encode() + body)
    return one


def read_all(one: socket.socket) -> bytes:
    """Until the server closes."""
    pieces = []
    while piece := one.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    one = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        one.request(method, path, body, headers)
        reply = one.getresponse()
        return reply.status, reply.read()
    finally:
        one.close()


def assert_quick(port: int, path: str, number: int) -> None:
    """A push is taken and the health page is there, both in time."""
    for method, address, body in (
        ("POST", path, make_record(f"quick-{number}")),
        ("GET", "/healthz", None),
    ):
        began = time.monotonic()
        status, answer = ask(port, method, address, body)
        assert time.monotonic() - began < LATEST_SECONDS
        assert status == 200
        assert body is None or json.loads(answer) == TAKEN


@pytest.mark.parametrize("address", ["push", "unknown", "/admin/login/"])
def test_stalled_bodies_cost_nobody_else_anything(server: tuple[int, str], address: str) -> None:
    port, path = server
    target = {"push": path, "unknown": f"/callbacks/nobody/{KIND}"}.get(address, address)
    with ExitStack() as stack:
        stalled = []
        for number in range(100):
            if number % 2:
                one = open_push(port, target, "Content-Length: 500", body=b'{"a":')
            else:
                one = open_push(port, target, "Transfer-Encoding: chunked", body=b'5\r\n{"a":\r\n')
            stalled.append(stack.enter_context(one))
        for number in range(5):
            assert_quick(port, path, number)
        if address == "/admin/login/":
            return  # a person's line may pause for longer
        for one in stalled:
            answer = read_all(one)
            assert answer.startswith(b"HTTP/1.1 408 ") and b"success" not in answer.lower()
    assert_quick(port, path, 5)
    assert Receipt.objects.count() == 6


def test_a_body_that_drips_has_no_more_time_than_any_other(server: tuple[int, str]) -> None:
    port, path = server
    began = time.monotonic()
    with open_push(port, path, "Content-Length: 500") as one:
        one.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - began < 10:
            one.sendall(b"x")
            try:
                answer = one.recv(65_536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < project_settings.PUSH_BODY_SECONDS + 2
    assert not Receipt.objects.exists()


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("Content-Length: 500", b'{"a":'),
        ("Transfer-Encoding: chunked", b'5\r\n{"a":\r\n'),
        ("Transfer-Encoding: chunked", b'5\r\n{"a'),
        ("Transfer-Encoding: chunked", b'5\r\n{"a":\r\nsuccess\r\n{"a":'),
    ],
)
def test_a_body_that_is_cut_is_not_taken(server: tuple[int, str], line: str, body: bytes) -> None:
    port, path = server
    with open_push(port, path, line, body=body) as one:
        one.shutdown(socket.SHUT_WR)
        answer = read_all(one)
    assert answer == b"" or answer.split()[1] in (b"400", b"408")
    assert b"success" not in answer.lower()
    with open_push(port, path, line, body=body):
        pass  # and the client that goes away altogether
    assert_quick(port, path, 0)
    assert Receipt.objects.count() == 1


@pytest.mark.parametrize("size", [LIMIT + 1, 4 * LIMIT, 4 * LIMIT + 1])
@pytest.mark.parametrize("chunked", [False, True])
def test_clients_that_write_first_are_told_that_it_is_too_large(
    server: tuple[int, str], size: int, *, chunked: bool
) -> None:
    port, path = server
    block = b"x" * 100_000
    pieces = [block] * (size // len(block)) + [b"x" * (size % len(block))]
    if size > 4 * LIMIT:  # beyond that nobody reads on; most clients look when writing fails
        with open_push(port, path, f"Content-Length: {size}") as one:
            assert one.recv(65_536).startswith(b"HTTP/1.1 413 ")
    else:
        body: Any = iter([piece for piece in pieces if piece]) if chunked else b"".join(pieces)
        status, answer = ask(port, "POST", path, body)
        assert status == 413 and b"success" not in answer.lower()
    assert_quick(port, path, 0)
    assert Receipt.objects.count() == 1


@pytest.mark.parametrize("size", [0, 1, 65_537, 1_000_001, LIMIT])
@pytest.mark.parametrize("chunked", [False, True])
def test_what_fits_is_stored_byte_for_byte(
    server: tuple[int, str], size: int, *, chunked: bool
) -> None:
    port, path = server
    body = bytes(number % 251 for number in range(10_007)) * (size // 10_007 + 1)
    body = body[:size]
    sent: Any = body
    if chunked:
        sent = iter([body[at : at + 40_000] for at in range(0, size, 40_000)])
    status, answer = ask(port, "POST", path, sent, **{"Content-Type": "text/plain"})
    assert (status, json.loads(answer)) == (200, TAKEN)
    row = Receipt.objects.get()
    assert bytes(row.body) == body and row.content_type == "text/plain"


@pytest.mark.parametrize("tail", ["%FF%0A", "%00", "%E5%BC%A0", "a%2Fb", "?x=%FF", "a//b/"])
def test_odd_addresses_are_taken(server: tuple[int, str], tail: str) -> None:
    port, path = server
    status, answer = ask(port, "POST", f"{path}/{tail}", b"{}")
    assert (status, json.loads(answer)) == (200, TAKEN)
    assert ask(port, "GET", path)[0] == 405
    assert Receipt.objects.count() == 1
    connection.close()
