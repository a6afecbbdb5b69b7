"""In: anything that can be written to a socket. Out: proof that the word "success" comes back as
often as a push was committed, from our code and from the server's own error pages.

``FUZZ_EXAMPLES`` (150) sets how many requests are tried.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project_settings
from django.db.models import Sum
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from callbacks.models import Receipt
from tests.callbacks.pushes import TAKEN, make_door, make_record
from tests.processes import find_free_port, run_server

KIND = "receiveCallRecord"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
#: no acknowledgement comes later than this (quality.md R2)
LATEST_SECONDS = 2.5
#: what follows a request that was whole: its answer comes last, and then the connection ends
LAST = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})")
TOKEN = b"<token>"


@pytest.fixture
def door(settings: Any, tmp_path: Path) -> Iterator[tuple[int, bytes]]:
    """(port, token) of the production server, which waits half a second for bodies."""
    port = find_free_port()
    keys = {"SECRET_KEY": settings.SECRET_KEY, "FIELD_KEYS": ",".join(settings.FIELD_KEYS)}
    _, token = make_door()
    with run_server(
        port,
        DATA_DIR=str(tmp_path),
        LOG_LEVEL="CRITICAL",
        ALLOWED_HOSTS="*",
        PUSH_BODY_SECONDS="0.5",
        CONN_MAX_AGE="60",
        **keys,
    ):
        yield port, token.encode()


def exchange(port: int, request: bytes) -> bytes:
    """Everything that comes back until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as one:
        pieces = []
        with contextlib.suppress(OSError):  # it may be refused before all of it is written
            one.sendall(request)
        with contextlib.suppress(ConnectionError):
            try:
                while piece := one.recv(65_536):
                    pieces.append(piece)
            except TimeoutError:  # a body that nobody will read: the answer is all there is
                assert b"connection: close" in b"".join(pieces), (request[:300], pieces)
        return b"".join(pieces)


def count_deliveries() -> int:
    return Receipt.objects.aggregate(n=Sum("deliveries"))["n"] or 0


def assert_honest(door: tuple[int, bytes], request: bytes) -> list[int]:
    """The word as often as something was committed, nothing else but plain refusals, in time."""
    port, token = door
    before = count_deliveries()
    began = time.monotonic()
    reply = exchange(port, request.replace(TOKEN, token) + LAST)
    took = time.monotonic() - began
    # what was cut off before its answer could be read may still be on its way to the disk
    statuses = [int(status) for status in STATUS.findall(reply)]
    assert reply.lower().count(b"success") == count_deliveries() - before, (request, reply)
    assert not [one for one in statuses if one >= 500], (request, reply)
    moved = [one for one in statuses if 300 <= one < 400]
    # "/" leads to the console, which is no address of a platform; nothing else leads anywhere
    assert len(moved) == reply.count(b"\r\nlocation: /admin/\r\n"), (request, reply)
    assert not moved or b"callbacks" not in request.partition(b"\r\n")[0], (request, reply)
    assert b"Traceback" not in reply
    assert token not in reply
    assert took < LATEST_SECONDS + 0.5, (request, took)
    return statuses


# --------------------------------------------------------------------------------- one by one

BODY = make_record()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


def make_post(
    *lines: bytes,
    body: bytes = BODY,
    path: bytes = b"/callbacks/<token>/receiveCallRecord",
    method: bytes = b"POST",
    version: bytes = b"HTTP/1.1",
    host: bytes = b"Host: success.example.com\r\n",
) -> bytes:
    head = b" ".join([method, path, version]) + b"\r\n" + host
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


SIZE = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

TAKEN_REQUESTS = {
    "plain": make_post(SIZE),
    "chunked": make_post(CHUNKED, body=CHUNKS),
    "chunk extension": make_post(
        CHUNKED, body=b"%x;success=1\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    ),
    "trailer": make_post(CHUNKED, body=CHUNKS[:-2] + b"X-Success: success\r\n\r\n"),
    "absolute form": make_post(SIZE, path=b"http://success/callbacks/<token>/receiveCallRecord"),
    "no kind": make_post(SIZE, path=b"/callbacks/<token>"),
    "query": make_post(SIZE, path=b"/callbacks/<token>/success?success=%00&x=%ff"),
    "absurd host": make_post(SIZE, host=b"Host: success:99999@[::\r\n"),
    "two hosts": make_post(SIZE, host=b"Host: a\r\nHost: success\r\n"),
    "forwarded": make_post(
        SIZE,
        b"X-Forwarded-Host: success",
        b"X-Forwarded-Proto: success",
        b"Forwarded: host=success",
    ),
    "two lengths alike": make_post(SIZE, SIZE),
    "gzip": make_post(SIZE, b"Content-Encoding: gzip"),
    "types": make_post(SIZE, b"Content-Type: a/b", b"Content-Type: multipart/form-data; boundary="),
    "override": make_post(SIZE, b"X-HTTP-Method-Override: GET"),
    "two pushes": make_post(SIZE) + make_post(SIZE),
    "empty": make_post(b"Content-Length: 0", body=b""),
    "no length": make_post(body=b""),
    "cookies": make_post(SIZE, b"Cookie: sessionid=success; csrftoken=success; =; ;;"),
    "underscores": make_post(SIZE, b"Content_Length: 3", b"Transfer_Encoding: chunked"),
}

REFUSED_REQUESTS = {
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "tls": bytes.fromhex("16030100c8010000c40303") + b"success",
    "nothing": b"\r\n\r\nsuccess\r\n\r\n",
    "no version": b"POST /callbacks/<token>/success\r\n\r\n",
    "odd version": make_post(SIZE, version=b"HTTP/success"),
    "unknown token": make_post(SIZE, path=b"/callbacks/success/success"),
    "get": make_post(SIZE, method=b"GET"),
    "odd method": make_post(SIZE, method=b"SUCCESS"),
    "connect": make_post(SIZE, method=b"CONNECT", path=b"success:443"),
    "asterisk": make_post(SIZE, method=b"OPTIONS", path=b"*"),
    "space in path": make_post(SIZE, path=b"/callbacks/<token>/success success"),
    "raw nul in path": make_post(SIZE, path=b"/callbacks/<token>/\x00success"),
    "not a length": make_post(b"Content-Length: success"),
    "huge length": make_post(b"Content-Length: " + b"9" * 5000),
    "negative length": make_post(b"Content-Length: -1"),
    "signed length": make_post(b"Content-Length: +5"),
    "lengths that differ": make_post(SIZE, b"Content-Length: 3"),
    "bad chunk size": make_post(CHUNKED, body=b"success\r\n" + BODY),
    "huge chunk size": make_post(CHUNKED, body=b"f" * 40 + b"\r\n" + BODY),
    "chunk without end": make_post(CHUNKED, body=b"5\r\nabcdeXX5\r\nabcde\r\n0\r\n\r\n"),
    "unknown coding": make_post(b"Transfer-Encoding: success", body=CHUNKS),
    "bad header name": make_post(SIZE, b"suc cess: 1"),
    "nul in header": make_post(SIZE, b"X-A: success\x00"),
    "header without colon": make_post(SIZE, b"success"),
    "large header": make_post(SIZE, b"X-A: " + b"success" * 100_000),
    "many headers": make_post(SIZE, *[b"X-Success-%d: success" % number for number in range(2000)]),
    "long path": make_post(SIZE, path=b"/callbacks/<token>/" + b"success" * 100_000),
    "body too short": make_post(b"Content-Length: 100000"),
    "body too large": make_post(b"Content-Length: 20000001"),
}


@pytest.mark.django_db(transaction=True)
def test_requests_of_every_shape_are_taken_or_refused_honestly(door: tuple[int, bytes]) -> None:
    for name, request in TAKEN_REQUESTS.items():
        statuses = assert_honest(door, request)
        assert statuses[0] == 200, (name, statuses)
    stored = {bytes(body) for body in Receipt.objects.values_list("body", flat=True)}
    assert stored == {BODY, b""}
    before = count_deliveries()
    for name, request in REFUSED_REQUESTS.items():
        statuses = assert_honest(door, request)
        # the server may hang up on what is no HTTP at all; what was read as a push was refused
        assert not statuses or statuses[0] >= 400, (name, statuses)
    assert count_deliveries() == before


@pytest.mark.django_db(transaction=True)
def test_who_asks_whether_to_go_on_is_told_so_and_then_taken(door: tuple[int, bytes]) -> None:
    port, token = door
    head = make_post(SIZE, b"Expect: 100-continue", body=b"").replace(TOKEN, token)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        one.sendall(head)
        told = one.recv(65_536)
        assert told.startswith(b"HTTP/1.1 100 ") and b"success" not in told.lower()
        assert not Receipt.objects.exists()
        one.sendall(BODY + LAST)
        reply = b""
        while piece := one.recv(65_536):
            reply += piece
    assert reply.startswith(b"HTTP/1.1 200 ") and reply.count(b"success") == 1
    assert bytes(Receipt.objects.get().body) == BODY


# ------------------------------------------------------------------------------------- at random

NAMES = [
    b"Content-Length",
    b"Transfer-Encoding",
    b"Host",
    b"Connection",
    b"Expect",
    b"Upgrade",
    b"HTTP2-Settings",
    b"Content-Type",
    b"Content-Encoding",
    b"Accept",
    b"Accept-Encoding",
    b"Cookie",
    b"Range",
    b"If-None-Match",
    b"TE",
    b"Trailer",
    b"X-Forwarded-For",
    b"X-Forwarded-Proto",
    b"X-HTTP-Method-Override",
    b"Origin",
    b"Referer",
    b"User-Agent",
    b"Authorization",
    b"Proxy",
    b"Keep-Alive",
    b"Date",
    b"success",
]
VALUES = [
    b"chunked",
    b"gzip,chunked",
    b"identity",
    b"success",
    b"close",
    b"keep-alive",
    b"upgrade",
    b"h2c",
    b"websocket",
    b"0",
    b"1",
    b"17",
    b"-1",
    b"+5",
    b"0x10",
    b"99999999",
    b"100-continue",
    b"application/json",
    b"text/html;charset=bz2_codec",
    b"*/*",
    b"br",
    b"https",
    b"multipart/form-data;boundary=success",
    b"application/x-www-form-urlencoded",
]
odd_bytes = st.one_of(
    st.sampled_from(
        [b"success", b"SUCCESS", b"", b" ", b"\t", b"\x00", b"\xff", b"%73uccess", b"chunked", b"1"]
    ),
    st.binary(max_size=12),
)
names = st.one_of(
    st.sampled_from(NAMES),
    odd_bytes,
)
values = st.one_of(
    st.sampled_from(VALUES),
    st.just(b"%d" % len(BODY)),
    odd_bytes,
    st.binary(max_size=60),
)
paths = st.builds(
    b"".join,
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    b"/callbacks/",
                    b"/",
                    b"//",
                    b"<token>",
                    KIND.encode(),
                    b"/../",
                    b"?",
                    b"#",
                    b"%2f",
                ]
            ),
            odd_bytes,
        ),
        max_size=6,
    ),
)
good_path = st.just(b"/callbacks/<token>/receiveCallRecord")


@st.composite
def requests(draw: Any) -> bytes:
    """Mostly a push with something odd about it, now and then nothing but oddities."""
    method = draw(st.sampled_from([b"POST"] * 6 + [b"GET", b"HEAD", b"SUCCESS", b"post", b"PUT"]))
    path = draw(st.one_of(good_path, good_path, good_path.map(lambda one: one + b"/"), paths))
    version = draw(
        st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"success"])
    )
    lines = draw(st.lists(st.tuples(names, values), max_size=4))
    body = draw(st.one_of(st.just(BODY), st.binary(max_size=200), odd_bytes))
    framing = draw(st.sampled_from(["length", "length", "length", "chunked", "none"]))
    if framing == "length":
        lines.insert(0, (b"Content-Length", b"%d" % len(body)))
    elif framing == "chunked":
        lines.insert(0, (b"Transfer-Encoding", b"chunked"))
        sizes = draw(st.lists(st.integers(1, 80), max_size=4))
        pieces, rest = [], body
        for size in sizes:
            pieces.append(rest[:size])
            rest = rest[size:]
        chunks = [piece for piece in [*pieces, rest] if piece]
        body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"
        if draw(st.booleans()):
            at = draw(st.integers(0, len(body)))
            body = body[:at] + draw(odd_bytes) + body[at:]
    end = draw(st.sampled_from([b"\r\n"] * 9 + [b"\n", b"\r\n\t"]))
    head = b" ".join([method, path, version]) + b"\r\nHost: a\r\n"
    return head + b"".join(name + b": " + value + end for name, value in lines) + b"\r\n" + body


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(300 + EXAMPLES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(request_bytes=requests())
@example(request_bytes=make_post(SIZE))
@example(request_bytes=make_post(CHUNKED, SIZE, body=CHUNKS))
@example(request_bytes=make_post(method=b"GET", path=b"/", body=b""))
def test_no_request_is_answered_with_the_word_unless_it_is_committed(
    door: tuple[int, bytes], request_bytes: bytes
) -> None:
    assert_honest(door, request_bytes)


# -------------------------------------------------------------------- what stands before the view


@pytest.mark.django_db
def test_nothing_that_pages_need_can_turn_a_push_away(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = []
    settings.ALLOWED_HOSTS = ["another.example.com"]
    settings.APPEND_SLASH = settings.PREPEND_WWW = True
    settings.DISALLOWED_USER_AGENTS = [re.compile(".*")]
    settings.USE_X_FORWARDED_HOST = True
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1
    _, token = make_door()
    client = Client(enforce_csrf_checks=True, HTTP_USER_AGENT="success", HTTP_HOST="a b")
    for path in (KIND, f"{KIND}/", ""):
        response = client.post(f"/callbacks/{token}/{path}", BODY, content_type="text/plain")
        assert (response.status_code, response.json()) == (200, TAKEN)
        assert not response.cookies
    assert count_deliveries() == 3
    assert project_settings.MIDDLEWARE[0] == "callbacks.middleware.StraightToTheDoor"
