"""In: the replies that yeta shall give. Out: a server that gives them, and our client at it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from campaigns.platforms.contract import Connection, TaskOrder
from campaigns.platforms.http import Transport
from campaigns.platforms.yeta.client import YetaClient
from tests.platforms.faulty import FaultyServer, make_reply

ZONE = ZoneInfo("Asia/Shanghai")
BEGIN = datetime(2018, 5, 26, 8, 0, 0, 123_000, tzinfo=UTC)
COLUMNS = ["客户手机号码", "姓名"]
TOKEN = "/openapi/oauth/v1/token"


class Tokens:
    """A token store of one process, without any margin."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.until = 0.0
        self.lifetimes: list[float] = []

    def get(self, fetch: Callable[[], tuple[str, float]], *, stale: str | None = None) -> str:
        if self.token is None or self.token == stale or time.monotonic() >= self.until:
            self.token, seconds = fetch()
            self.lifetimes.append(seconds)
            self.until = time.monotonic() + seconds
        return self.token


def make_client(base_url: str, **wishes: Any) -> YetaClient:
    transport = Transport(
        allow_hosts=frozenset({"127.0.0.1"}),
        timeout=wishes.pop("timeout", 10.0),
        secret_fields=frozenset({"token", "app_secret", "app_key"}),
        record=wishes.pop("record", None),
    )
    return YetaClient(
        Connection(
            base_url=base_url,
            time_zone=ZONE,
            settings=wishes.pop("settings", {}),
            credentials={"app_key": "key", "app_secret": "secret", **wishes.pop("credentials", {})},
            transport=transport,
            tokens=wishes.pop("tokens", None) or Tokens(),
        )
    )


class Scripted(FaultyServer):
    """Answers a token request by itself, everything else with the next of ``replies`` (the last one
    again and again): a result, a whole JSON object, bytes, or a function of what was asked."""

    def __init__(self, *replies: Any) -> None:
        super().__init__(self._answer)
        self.replies = list(replies)
        self.asked: list[tuple[str, Any]] = []
        self.tokens = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/openapi"

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        target = request.split(b" ")[1].decode()
        body = json.loads(request.partition(b"\r\n\r\n")[2])
        if target == TOKEN:
            self.tokens += 1
            reply: Any = {"token": f"t{self.tokens}", "time_expire": 3600}
        else:
            self.asked.append((target, body))
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if callable(reply):
            reply = reply(body)
        if isinstance(reply, dict) and "code" not in reply:
            reply = {"code": 0, "message": "ok", "result": reply}
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        connection.sendall(data if data.startswith(b"HTTP/") else make_reply(data))


def make_order(**wishes: Any) -> TaskOrder:
    order = {"name": "测试外呼", "robot_id": "11", "lines": ("055169101407",), "begin_at": BEGIN}
    return TaskOrder(**{**order, **wishes})


def insert(client: YetaClient, count: int = 2) -> tuple[str, ...]:
    rows = [[f"199{number:08d}", "张先生"] for number in range(count)]
    return client.insert_contacts("129", columns=COLUMNS, rows=rows).platform_contact_ids


def call(client: YetaClient, count: int = 2, **wishes: Any) -> tuple[str, ...]:
    rows = [[f"199{number:08d}", "张先生"] for number in range(count)]
    wanted = {"robot_id": "719", "line": "69101338", "columns": COLUMNS, "rows": rows}
    return client.call_directly(**{**wanted, **wishes}).platform_contact_ids
