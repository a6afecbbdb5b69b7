"""In: what a test wants to be different. Out: pushes of AI Rudder, and what is made of them."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from campaigns.platforms.airudder.callbacks import parse
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import AnyEvent, CallEnded, CallNews, DialogReady
from tests.platforms.payloads import find_payload

READING = Reading(time_zone=ZoneInfo("Asia/Shanghai"))
CALL = "cd878f6611adxxxxxx1a5a3ec5525b"
WORKFLOW = "b761cdd784294xxxxxx869f85c"


def read_sample(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(find_payload("airudder", name).body)
    return body


def parse_payload(name: str) -> tuple[AnyEvent, ...]:
    return parse(find_payload("airudder", name).make_push(), READING)


def parse_object(value: Any, *, kind: str = "", reading: Reading = READING) -> tuple[AnyEvent, ...]:
    return parse(Push(kind=kind, body=json.dumps(value).encode()), reading)


def find_reason(value: Any, *, kind: str = "") -> str:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(Unrecognised) as caught:
        parse(Push(kind=kind, body=body), READING)
    return caught.value.reason


def make_record(*, callee: dict[str, Any] | None = None, **call: Any) -> dict[str, Any]:
    """The sample with other fields of its call and callee; ``...`` takes one away."""
    record = read_sample("api-node__sample")
    record["callee"] = change(record["callee"], callee or {})
    record["call"] = change(record["call"], call)
    return record


def make_contact(state: Any = "HANGUP", **fields: Any) -> dict[str, Any]:
    push = read_sample("pds__contact_hangup")
    push["pds"]["body"] = change(push["pds"]["body"], {"state": state, **fields})
    return push


def make_task(**fields: Any) -> dict[str, Any]:
    push = read_sample("pds__task_running")
    push["pds"]["body"] = change(push["pds"]["body"], fields)
    return push


def change(value: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    changed = {**copy.deepcopy(value), **changes}
    return {name: inner for name, inner in changed.items() if inner is not ...}


def get_call(events: tuple[AnyEvent, ...]) -> CallEnded:
    event = events[0]
    assert isinstance(event, CallEnded)
    return event


def get_news(events: tuple[AnyEvent, ...]) -> CallNews:
    event = events[0]
    assert isinstance(event, CallNews)
    return event


def get_redials(events: tuple[AnyEvent, ...]) -> list[CallEnded]:
    return [e for e in events if isinstance(e, CallEnded) and e.source.endswith(".redial")]


def get_dialog(events: tuple[AnyEvent, ...]) -> DialogReady:
    (dialog,) = (event for event in events if isinstance(event, DialogReady))
    return dialog


def parse_call(**call: Any) -> CallEnded:
    return get_call(parse_object(make_record(**call)))


def ms(number: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)
