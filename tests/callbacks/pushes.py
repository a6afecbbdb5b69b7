"""In: what a test cares about, as keywords. Out: pushes of yeta as bytes, and a door."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client

from campaigns.models import Account, CallbackToken
from tests.factories import make_account

BEGAN = 1_760_000_000_000
TAKEN = {"code": 0, "message": "success"}


def make_door(**fields: Any) -> tuple[Account, str]:
    """An account and the text of its token."""
    account = make_account(**fields)
    return account, CallbackToken.make(account)[1]


def push(token: str, kind: str, body: bytes, **extra: Any) -> HttpResponse:
    content_type = extra.pop("content_type", "application/json")
    path = f"/callbacks/{token}/{kind}"
    return Client().generic("POST", path, body, content_type=content_type, **extra)


def make_record(call: str = "call-1", *, outbound: bool = False, **fields: Any) -> bytes:
    """A call record; ``outbound`` the one with the result and the row."""
    body: dict[str, Any] = {
        "business_id": "2745",
        "app_id": "test",
        "robot_id": "2745001",
        "call_uuid": call,
        "task_id": "88785",
        "task_data_id": "262381",
        "caller": "055196866001",
        "callee": "19900000001",
        "direction": 2,
        "time_dial": BEGAN,
        "time_ring": BEGAN + 720,
        "time_answer": BEGAN + 6_700,
        "time_hangup": BEGAN + 28_100,
        "duration_ring": 7,
        "duration_call": 28,
    }
    if outbound:
        body |= {
            "task_result": "0",
            "task_result_desc": "成功",
            "task_tries": 0,
            "task_row_index": 1,
            "task_row_head": ["客户手机号码", "姓名"],
            "task_row_value": ["19900000001", "张三"],
        }
    return dump(body | fields)


def make_voice(call: str = "call-1", **fields: Any) -> bytes:
    body = {
        "call_uuid": call,
        "url": f"ant/4/ivr/{call}.wav",
        "size": 1_043_244,
        "duration": 32,
        "business_id": "2745",
        "app_id": "test",
        "robot_id": "2745001",
        "task_data_id": "262381",
    }
    return dump(body | fields)


def make_dialog(call: str = "call-1", **fields: Any) -> bytes:
    rows = [
        {"seq": "0", "role": "robot", "node_id": "n1", "node_name": "开头语", "text_robot": "您好"},
        {
            "seq": "1",
            "role": "customer",
            "node_id": "n1",
            "node_name": "开头语",
            "text_robot": "您好",
            "text_man": "你好",
            "hits": [{"hit": "任意回答", "pick": True, "answer_id": ""}],
        },
    ]
    body = {
        "business_id": "2745",
        "app_id": "test",
        "robot_id": "2745001",
        "call_uuid": call,
        "task_data_id": "262381",
        "tag_max": "A",
        "tag_min": "C",
        "dialog": rows,
    }
    return dump(body | fields)


def dump(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
