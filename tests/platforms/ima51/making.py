"""In: fields to change. Out: call records of 51ima as a test sends them, and what they say."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.events import CallEnded
from campaigns.platforms.ima51.callbacks import parse
from tests.platforms.payloads import find_payload

READING = Reading(time_zone=ZoneInfo("Asia/Shanghai"))
CALL = "00000000-0000-4000-8000-000000000102"
BEGAN, ENDED = 1606188550000, 1606188571000


def parse_body(body: bytes, *, reading: Reading = READING) -> CallEnded:
    (event,) = parse(Push(kind="", body=body), reading)
    return event


def parse_payload(variant: str) -> CallEnded:
    return parse_body(find_payload("ima51", f"callRecord__{variant}").body)


def make_record(**fields: Any) -> dict[str, Any]:
    """An answered call, inbound. ``...`` leaves a field out."""
    record = json.loads(find_payload("ima51", "callRecord__result_2").body)["data"] | fields
    return {name: value for name, value in record.items() if value is not ...}


def parse_record(*, reading: Reading = READING, **fields: Any) -> CallEnded:
    return parse_body(json.dumps({"data": make_record(**fields)}).encode(), reading=reading)


def parse_form(*items: Any) -> CallEnded:
    """A record with these fields of an agent's form."""
    return parse_record(expansionFields=json.dumps(list(items), ensure_ascii=False))
