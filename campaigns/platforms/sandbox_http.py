"""In: HTTP requests on a socket. Out: the replies of a desk, spoiled by faults where wished.

The desk knows the endpoints; this module knows HTTP/1.1, and how to break it on purpose.
"""

from __future__ import annotations

import http.server
import json
import logging
import socket
import struct
import threading
import zlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from campaigns.platforms.http import SANDBOX_HEADER
from campaigns.platforms.sandbox_faults import Faults, Rule
from campaigns.platforms.sandbox_ledger import Entry, Ledger

log = logging.getLogger(__name__)

BODY_LIMIT = 4_000_000
HTML = b"<html><head><title>Oops</title></head><body><h1>Something went wrong</h1></body></html>"


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes | None
    base_url: str = ""


@dataclass(slots=True)
class Reply:
    body: bytes = b""
    status: int = 200
    content_type: str = "application/json;charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)
    payload: Any = None
    ranged: bool = False

    @classmethod
    def json(cls, payload: Any, *, status: int = 200) -> Reply:
        text = json.dumps(payload, ensure_ascii=False)
        return cls(text.encode("utf-8", "backslashreplace"), status, payload=payload)


class Desk(Protocol):
    """What answers requests; `label` names the platforms that it pretends to be."""

    label: str

    def name_endpoint(self, path: str) -> str:
        """The short name that fault rules use; empty for the sandbox's own pages."""

    def answer(self, endpoint: str, request: Request, *, rule: Rule | None) -> Reply:
        """Do what the request wants and reply."""

    def refuse(self, endpoint: str, request: Request, *, rule: Rule) -> Reply:
        """A reply of the platform itself that does nothing (kinds `code`, `token_dies`)."""

    def spoil(self, endpoint: str, request: Request, reply: Reply, *, rule: Rule) -> Reply:
        """Change what a reply says, not how it travels."""


class Server(http.server.ThreadingHTTPServer):
    """The listening socket of a sandbox."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], *, desk: Desk, faults: Faults, ledger: Ledger
    ) -> None:
        self.desk = desk
        self.faults = faults
        self.ledger = ledger
        self.stopping = threading.Event()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # The parent asks DNS for our own name, which may take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A broken connection is everyday life for a sandbox: no traceback."""
        log.debug("A connection to the sandbox broke.")


class _Closed(Exception):
    """The connection must be closed without another byte."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 75
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Addresses carry tokens: nothing is logged."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the parent calls for a request that is not HTTP."""
        self.close_connection = True
        self._send(Reply.json({"error": HTTPStatus(code).phrase}, status=code))

    def _serve(self) -> None:
        try:
            parts = urlsplit(self.path)
        except ValueError:
            self.send_error(400)
            return
        path = unquote(parts.path)
        desk = self.server.desk
        endpoint = desk.name_endpoint(path)
        rule = self.server.faults.pick(endpoint) if endpoint else None
        entry: Entry = {}
        if endpoint:
            entry = self.server.ledger.note_request(
                endpoint, method=self.command, fault=rule.kind if rule else None
            )
        try:
            if rule is not None and rule.kind == "refuse":
                self._reset()
            query = {k: v[-1] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            host = headers.get("host") or f"{self.server.server_name}:{self.server.server_port}"
            request = Request(
                self.command, path, query, headers, self._read_body(), f"http://{host}"
            )
            if endpoint:
                self.server.ledger.note_body(entry, request.body or b"")
            reply = self._perform(endpoint, request, rule, entry)
            if isinstance(reply.payload, dict):
                entry["code"] = reply.payload.get("code")
            entry["status"] = reply.status
            if rule is None:
                self._send(self._cut_range(reply))
            else:
                self._send_badly(reply, rule)
        except (_Closed, OSError):
            self.close_connection = True

    def _read_body(self) -> bytes | None:
        """None when the body cannot be read; the connection then ends after the reply."""
        length = self.headers.get("Content-Length", "0")
        chunked = "Transfer-Encoding" in self.headers
        if chunked or not (length.isascii() and length.isdigit()) or len(length) > 9:
            self.close_connection = True
            return None
        if int(length) > BODY_LIMIT:
            self.close_connection = True
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _Closed
        return body

    def _perform(self, endpoint: str, request: Request, rule: Rule | None, entry: Entry) -> Reply:
        desk = self.server.desk
        match rule.kind if rule else "":
            case "close_before":
                raise _Closed
            case "stall_before":
                self._stall(rule, 3600)
                raise _Closed
            case "late":
                self._stall(rule, 5)
                if self.server.stopping.is_set():
                    raise _Closed
            case "error_before":
                return Reply(HTML, 500, "text/html")
            case "html_before":
                return Reply(HTML, 200, "text/html")
            case "redirect":
                query = self.path.partition("?")[2]
                return Reply(status=307, headers={"Location": f"{request.path}?{query}"})
            case "throttle":
                wait = str(int(rule.number("seconds", 1) if rule else 1))
                return Reply(b"Too many requests", 429, "text/plain", {"Retry-After": wait})
            case "code" | "token_dies":
                assert rule is not None
                return desk.refuse(endpoint, request, rule=rule)
        try:
            reply = desk.answer(endpoint, request, rule=rule)
            if rule is not None and rule.kind == "act_twice":
                desk.answer(endpoint, request, rule=None)
        except Exception:
            log.exception("The sandbox failed to answer %s.", endpoint or "a page")
            return Reply.json({"code": 10004, "message": "sandbox fault", "result": {}}, status=500)
        entry["acted"] = True
        return desk.spoil(endpoint, request, reply, rule=rule) if rule else reply

    def _stall(self, rule: Rule | None, otherwise: float) -> None:
        self.server.stopping.wait(rule.number("seconds", otherwise) if rule else otherwise)

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise _Closed

    def _cut_range(self, reply: Reply) -> Reply:
        if not reply.ranged or reply.status != 200:
            return reply
        reply.headers["Accept-Ranges"] = "bytes"
        asked = self.headers.get("Range", "")
        size = len(reply.body)
        unit, _, span = asked.partition("=")
        first, dash, last = span.strip().partition("-")
        if unit.strip().lower() != "bytes" or not dash or "," in span:
            return reply
        if not all(part == "" or (part.isascii() and part.isdigit()) for part in (first, last)):
            return reply
        if first:
            start, end = int(first), min(int(last) if last else size - 1, size - 1)
        elif last:
            start, end = max(0, size - int(last)), size - 1
        else:
            return reply
        if start > end or start >= size:
            return Reply(b"", 416, headers={"Content-Range": f"bytes */{size}"})
        reply.status = 206
        reply.headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        reply.body = reply.body[start : end + 1]
        return reply

    def _send(self, reply: Reply) -> None:
        self.wfile.write(self._head(reply, len(reply.body)) + self._tail(reply.body))

    def _tail(self, body: bytes) -> bytes:
        return b"" if self.command == "HEAD" else body

    def _head(self, reply: Reply, length: int) -> bytes:
        phrase = HTTPStatus(reply.status).phrase
        lines = [
            f"HTTP/1.1 {reply.status} {phrase}",
            f"Date: {self.date_time_string()}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {length}",
            f"{SANDBOX_HEADER}: {self.server.desk.label}",
            "Cache-Control: no-store",
            *(f"{name}: {value}" for name, value in reply.headers.items()),
        ]
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _send_badly(self, reply: Reply, rule: Rule) -> None:
        body = reply.body
        match rule.kind:
            case "close_after":
                raise _Closed
            case "stall_after":
                self._stall(rule, 3600)
                raise _Closed
            case "error_after":
                self._send(Reply(HTML, 500, "text/html"))
            case "html_after":
                self._send(Reply(HTML, 200, "text/html"))
            case "cut":
                self.wfile.write(self._head(reply, len(body)) + body[: len(body) // 2])
                raise _Closed
            case "drip":
                self.wfile.write(self._head(reply, len(body)))
                for at in range(len(body)):
                    if self.server.stopping.wait(rule.number("seconds", 0.2)):
                        raise _Closed
                    self.wfile.write(body[at : at + 1])
            case "gzip_bomb":
                packed = pack_bomb(int(rule.number("bytes", 1_000_000_000)))
                reply.headers["Content-Encoding"] = "gzip"
                self.wfile.write(self._head(reply, len(packed)) + packed)
            case "huge":
                self._send_huge(reply, int(rule.number("bytes", 64_000_000)))
            case "broken_json":
                reply.body = body[:-1] + b",}"
                self._send(reply)
            case _:
                self._send(self._cut_range(reply))

    def _send_huge(self, reply: Reply, size: int) -> None:
        start = b'{"code": 0, "message": "'
        end = b'", "result": {}}'
        self.wfile.write(self._head(reply, len(start) + size + len(end)) + start)
        block = b"a" * 65_536
        while size > 0 and not self.server.stopping.is_set():
            self.wfile.write(block[:size])
            size -= len(block)
        self.wfile.write(end)


def pack_bomb(size: int) -> bytes:
    """A small gzip body that unpacks to `size` bytes, rounded up to whole megabytes."""
    block = b" " * 1_000_000
    count = -(-size // len(block))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    # After a full flush equal input gives equal output, so one block is packed for all.
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    check = 0
    for _ in range(count):
        check = zlib.crc32(block, check)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    tail = struct.pack("<II", check, count * len(block) & 0xFFFFFFFF)
    return head + packed * count + zlib.compressobj(9, zlib.DEFLATED, -15).flush() + tail
