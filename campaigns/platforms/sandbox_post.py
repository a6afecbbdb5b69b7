"""In: an address and a body. Out: one POST, and what was answered in time."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

REPLY_LIMIT = 65_536


class _TimedReader(io.RawIOBase):
    """Reads a socket until a deadline, however slowly the bytes drip."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _TimedSocket:
    """The part of a socket that http.client reads a reply from."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._reader = _TimedReader(connection, deadline)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(self._reader)


def post(
    url: str,
    *,
    body: bytes,
    timeout: float,
    content_type: str = "application/json;charset=UTF-8",
) -> tuple[int, bytes]:
    """POST once and return status and the first 64 KB of the reply.

    `timeout` bounds the whole exchange. Raises OSError or http.client.HTTPException.
    """
    deadline = time.monotonic() + timeout
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    if parts.hostname is None:
        raise OSError("The address has no host.")
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    try:
        path = parts.path or "/"
        headers = {"Content-Type": content_type, "Connection": "close", "User-Agent": "sandbox"}
        connection.request(
            "POST", f"{path}?{parts.query}" if parts.query else path, body=body, headers=headers
        )
        reply = http.client.HTTPResponse(
            _TimedSocket(connection.sock, deadline),  # type: ignore[arg-type]
            method="POST",
        )
        reply.begin()
        return reply.status, reply.read(REPLY_LIMIT)
    except ssl.SSLError as error:
        raise OSError("TLS refused.") from error
    finally:
        connection.close()
