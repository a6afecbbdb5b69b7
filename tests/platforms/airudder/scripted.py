"""In: the replies that AI Rudder shall give. Out: a server that gives them, and a client at it."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from campaigns.platforms.airudder.client import AIRudderClient
from campaigns.platforms.contract import Connection, TaskOrder
from campaigns.platforms.http import Transport
from tests.platforms.faulty import FaultyServer, make_reply
from tests.platforms.yeta.scripted import Tokens

ZONE = ZoneInfo("Asia/Shanghai")
END = datetime(2026, 11, 30, 10, 0, 0, tzinfo=UTC)
COLUMNS = ["callee", "callee_name"]
AUTH = "/service/cloud/auth"
WORKFLOW = "/service/cloud/workflow/"
SECRETS = ("our-own-key", "our-own-secret", "first-token", "second-token", "19900000001")
QUERY = {
    "workflow_id": "0ca6e3a59cf74630906683882aa5111",
    "node_id": "1d78b96d74c24737b186da7bcb23a2f8",
    "callee": "+8619900000001",
    "case_id": "CB-7",
}


def make_client(base_url: str, **wishes: Any) -> AIRudderClient:
    transport = Transport(
        allow_hosts=frozenset({"127.0.0.1"}),
        timeout=wishes.pop("timeout", 10.0),
        secrets=SECRETS[:2],
        secret_fields=frozenset({"token", "APPKey", "APPSecret"}),
        record=wishes.pop("record", None),
        fence=wishes.pop("fence", None),
    )
    return AIRudderClient(
        Connection(
            base_url=base_url,
            time_zone=wishes.pop("time_zone", ZONE),
            settings=wishes.pop("settings", {}),
            credentials=wishes.pop(
                "credentials", {"app_key": SECRETS[0], "app_secret": SECRETS[1]}
            ),
            transport=transport,
            tokens=wishes.pop("tokens", None) or Tokens(),
        )
    )


class Scripted(FaultyServer):
    """Answers a token request by itself, everything else with the next of ``replies`` (the last one
    again and again): data, a whole JSON object, bytes, or a function of what was asked."""

    def __init__(self, *replies: Any) -> None:
        super().__init__(self._answer)
        self.replies = list(replies)
        self.asked: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.tokens = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        if not request:
            return  # connected, and nothing was sent
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        target = lines[0].split(" ")[1]
        told = dict(line.split(": ", 1) for line in lines[1:])
        if target == AUTH:
            self.tokens += 1
            reply: Any = {"token": "first-token" if self.tokens == 1 else "second-token"}
        else:
            self.asked.append((target.removeprefix(WORKFLOW), json.loads(body)))
            self.headers.append({name.lower(): value for name, value in told.items()})
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if callable(reply):
            reply(connection, request)
            return
        if isinstance(reply, list) or (isinstance(reply, dict) and "code" not in reply):
            reply = {"data": reply, "status": "OK", "code": 200}
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        connection.sendall(data if data.startswith(b"HTTP/") else make_reply(data))


def make_order(**wishes: Any) -> TaskOrder:
    order = {"name": "催收", "robot_id": "301", "lines": (), "begin_at": END, "end_at": END}
    return TaskOrder(**{**order, **wishes})


def insert(client: AIRudderClient, count: int = 2, **wishes: Any) -> tuple[str, ...]:
    wanted: dict[str, Any] = {
        "columns": COLUMNS,
        "rows": [[f"199{number:08d}", "张先生"] for number in range(count)],
        "keys": [f"CB-{number}" for number in range(count)],
    }
    told = {**wanted, **wishes}
    return client.insert_contacts("w1", **told).platform_contact_ids


def find(client: AIRudderClient, **wishes: Any) -> tuple[str, ...]:
    return client.find_contact(**{"key": "CB-7", "begin_at": END, "end_at": END, **wishes})


def make_record(**changes: Any) -> dict[str, Any]:
    """A record as the verify answer has it in ``data``."""
    return {
        "workflow_id": QUERY["workflow_id"],
        "workflow_name": "test_api_action4",
        "node_id": QUERY["node_id"],
        "node_name": "API1",
        "callee": {"case_id": "CB-7", "callee_number": "+8619900000001"},
        "custom_attribute": {"a": "1"},
        "call": {
            "call_id": "cd878f6611ad",
            "callee_number": "+8619900000001",
            "robot_id": "4585",
            "call_start_time": "2026-11-12 14:54:26",
            "call_end_time": "2026-11-12 14:54:52",
            "call_times": 2,
            "ring_type": "normal",
            "hangup_type": "ByRobot",
            "intention": "E",
            "redial_call": [
                {
                    "call_id": "ef1a7953b0c",
                    "call_start_time": "2026-11-12 14:51:15",
                    "hangup_type": "ByCallee",
                    "result_label": "F",
                }
            ],
        },
        **changes,
    }
