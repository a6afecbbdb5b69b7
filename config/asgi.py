"""In: HTTP requests from the server. Out: Django's answers, each begun when its request is whole.

Django itself runs as WSGI, in threads. A body that stops half-way would keep such a thread, and
a few of them the whole server; so bodies are gathered here, where waiting costs no thread, and
against a clock. What is late, cut or too large is refused without any thread at all. A push that
was not taken is sent again by its platform.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from django.conf import settings

from config.wsgi import application as django

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: requests that are worked on at a time: pushes, and as many of everything else, so that people
#: who wait for a page do not keep a platform waiting
THREADS = int(os.environ.get("WEB_THREADS", "16"))
#: seconds that a form or file of a person may pause, and that a reader may take for one piece
PAUSE_SECONDS = 20.0
#: of a body that is too large, so many times the limit is read and thrown away: most clients look
#: at the answer only when they have written everything
DRAIN_TIMES = 4
#: what is larger than this is kept in a file until it is whole
SPOOL_BYTES = 1_000_000
#: an answer in many small pieces is sent in pieces of this size
PIECE_BYTES = 65_536


class Refused(Exception):
    """The body cannot be had. Never with the word that platforms take for a yes."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass(frozen=True, slots=True)
class Limits:
    size: int
    #: seconds for everything, and seconds for one pause
    whole: float | None
    pause: float | None


_push_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="push")
_page_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="page")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """One request. ASGI 3."""
    if scope["type"] != "http":
        raise RuntimeError("HTTP only.")
    is_push = scope["path"].startswith("/callbacks/")
    try:
        body = await read_body(scope, receive, find_limits(is_push=is_push))
    except Refused as refused:
        await refuse(scope, send, refused)
        return
    loop = asyncio.get_running_loop()
    answer = Answer(loop, send)
    try:
        threads = _push_threads if is_push else _page_threads
        rest = await loop.run_in_executor(threads, answer.make, scope, body, time.monotonic())
    finally:
        body.close()
    if rest is not None:
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send({"type": "http.response.body", "body": rest})


def find_limits(*, is_push: bool) -> Limits:
    if is_push:
        return Limits(settings.PUSH_MAX_BYTES, settings.PUSH_BODY_SECONDS, None)
    # The form that takes the file says better than we could that it is too large.
    return Limits(2 * settings.IMPORT_MAX_BYTES, None, PAUSE_SECONDS)


# ---------------------------------------------------------------------------------------- the body


async def read_body(scope: Scope, receive: Receive, limits: Limits) -> IO[bytes]:
    """The whole body, at its beginning. Raises ``Refused``."""
    declared = read_length(scope)
    small = declared is not None and declared <= SPOOL_BYTES
    body: IO[bytes] = BytesIO() if small else SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115
    try:
        async with asyncio.timeout(limits.whole):
            await fill(body, declared, receive, limits)
    except TimeoutError:
        body.close()
        raise Refused(408, "The body did not come in time.") from None
    except BaseException:
        body.close()
        raise
    body.seek(0)
    return body


async def fill(body: IO[bytes], declared: int | None, receive: Receive, limits: Limits) -> None:
    too_large = Refused(413, "Too large.")
    drained = limits.size * DRAIN_TIMES
    if declared is not None and declared > drained:
        raise too_large
    size, more = 0, declared != 0
    while more:
        if limits.pause is None:
            message = await receive()
        else:
            async with asyncio.timeout(limits.pause):
                message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "Cut short.")
        piece = message.get("body", b"")
        size += len(piece)
        if size > drained:
            raise too_large
        if size <= limits.size:
            body.write(piece)
        # The end is known from the length: one round less than until the server says so.
        more = message.get("more_body", False) and size != declared
    if size > limits.size:
        raise too_large
    if declared is not None and size < declared:
        raise Refused(400, "Cut short.")


def read_length(scope: Scope) -> int | None:
    """What Content-Length says; the server has looked that it is a number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 20 else sys.maxsize
    return None


async def refuse(scope: Scope, send: Send, refused: Refused) -> None:
    text = f"{refused.sentence}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(text)),
    ]
    if not str(scope.get("http_version", "")).startswith("2"):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


# -------------------------------------------------------------------------------------- the answer


class Answer:
    """Django's answer to one request, made in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Send) -> None:
        self.loop, self.send = loop, send
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []

    def make(self, scope: Scope, body: IO[bytes], arrived: float) -> bytes | None:
        """All of it if it is small; None if it was sent from here, piece by piece."""
        environ = make_environ(scope, body)
        environ["callboard.arrived"] = arrived  # whole, by time.monotonic: it may wait for a thread
        pieces = django(environ, self.start)
        try:
            joined = join_pieces(pieces)
            first, second = next(joined, b""), next(joined, None)
            if second is None:
                return first
            start = {"status": self.status, "headers": self.headers}
            self.pass_on({"type": "http.response.start", **start})
            for piece in chain((first, second), joined):
                self.pass_on({"type": "http.response.body", "body": piece, "more_body": True})
            self.pass_on({"type": "http.response.body", "body": b"", "more_body": False})
            return None
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def start(self, status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        self.status = int(status.split(" ", 1)[0])
        self.headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ]

    def pass_on(self, message: dict[str, Any]) -> None:
        """Wait until the server has it: a slow reader is not read ahead for."""
        sending = asyncio.run_coroutine_threadsafe(self._send(message), self.loop)
        try:
            sending.result(PAUSE_SECONDS)
        except TimeoutError:
            sending.cancel()
            raise

    async def _send(self, message: dict[str, Any]) -> None:
        await self.send(message)


def join_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def make_environ(scope: Scope, body: IO[bytes]) -> dict[str, Any]:
    """What Django's WSGI side wants to know (PEP 3333)."""
    raw = scope.get("raw_path") or scope["path"].encode()
    server, client = scope.get("server") or ("", 0), scope.get("client") or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(raw.split(b"?", 1)[0]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name_bytes, value_bytes in scope["headers"]:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        if "_" in name or name in ("content-length", "transfer-encoding"):
            continue  # with an underscore it would pass for another; the length is known by now
        key = name.replace("-", "_").upper()
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        if key in environ:
            value = f"{environ[key]}{'; ' if name == 'cookie' else ','}{value}"
        environ[key] = value
    size = body.seek(0, os.SEEK_END)
    body.seek(0)
    if size or scope["method"] not in ("GET", "HEAD"):
        environ["CONTENT_LENGTH"] = str(size)
    return environ
