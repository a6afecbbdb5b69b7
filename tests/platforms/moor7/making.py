"""In: names of payloads and changed fields. Out: pushes of 7moor, and what is read from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import (
    AccountSeen,
    AgentChanged,
    AnyEvent,
    CallEnded,
    CallProgressed,
    RecordingReady,
)
from campaigns.platforms.moor7.callbacks import parse
from tests.platforms.payloads import find_payload

READING = Reading(time_zone=ZoneInfo("Asia/Shanghai"))
#: the call of the outbound samples
CALL = "403344537650466816"


def make_body(name: str, **fields: Any) -> dict[str, Any]:
    """The object of a payload with fields changed; ``...`` leaves a field out."""
    body: dict[str, Any] = json.loads(find_payload("moor7", name).body)
    return {name: value for name, value in (body | fields).items() if value is not ...}


def parse_value(value: Any, *, zone: str = "Asia/Shanghai") -> tuple[AnyEvent, ...]:
    return parse(Push(kind="", body=json.dumps(value).encode()), Reading(ZoneInfo(zone)))


def parse_payload(name: str, **fields: Any) -> tuple[AnyEvent, ...]:
    if not fields:
        return parse(find_payload("moor7", name).make_push(), READING)
    return parse_value(make_body(name, **fields))


def find_reason(value: Any) -> str:
    """Why this push cannot be used."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(Unrecognised) as caught:
        parse(Push(kind="", body=body), READING)
    return caught.value.reason


def parse_record(name: str = "cdr__sample", **fields: Any) -> CallEnded:
    (record,) = [one for one in parse_payload(name, **fields) if isinstance(one, CallEnded)]
    return record


def parse_recordings(name: str = "cdr__sample", **fields: Any) -> list[RecordingReady]:
    return [one for one in parse_payload(name, **fields) if isinstance(one, RecordingReady)]


def parse_stage(name: str, **fields: Any) -> CallProgressed:
    (stage,) = [one for one in parse_payload(name, **fields) if isinstance(one, CallProgressed)]
    return stage


def parse_agent(name: str, **fields: Any) -> AgentChanged:
    (agent,) = [one for one in parse_payload(name, **fields) if isinstance(one, AgentChanged)]
    return agent


def find_account(events: tuple[AnyEvent, ...]) -> AccountSeen:
    """The account a push names, which comes first."""
    first = events[0]
    assert isinstance(first, AccountSeen)
    return first


def at(clock: str, day: str = "2021-05-08") -> datetime:
    """A time of the samples, told in Shanghai."""
    told = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=READING.time_zone)
    return told.astimezone(UTC)
