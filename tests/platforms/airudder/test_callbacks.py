"""The pushes of AI Rudder: told apart at any address, and any bytes at all answered."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.evidence import read_event
from campaigns.platforms.airudder.callbacks import KINDS, parse, read_record
from campaigns.platforms.contract import Push
from campaigns.platforms.errors import Ignored, Unrecognised
from campaigns.platforms.events import (
    AgentChanged,
    AnyEvent,
    CallEnded,
    CallProgressed,
    DialogReady,
    PushClaimed,
)
from tests.platforms.airudder.making import (
    READING,
    find_reason,
    get_call,
    make_record,
    parse_payload,
)
from tests.platforms.payloads import find_payload, list_payloads

# ------------------------------------------------------------------------------------------- kinds

SAMPLES = [payload for payload in list_payloads("airudder") if not payload.is_reply]


@pytest.mark.parametrize("payload", SAMPLES, ids=lambda payload: payload.name)
@pytest.mark.parametrize("kind", KINDS)
def test_a_push_is_told_by_its_shape_at_any_address(kind: str, payload: Any) -> None:
    """Sources differ where a record came to the address of the other kind of record."""
    own, other = parse(payload.make_push(), READING), parse(payload.make_push_at(kind), READING)
    if {kind, payload.make_push().kind} != {"api-node", "call-completed"}:
        assert other == own
    else:
        assert [list_core(e) for e in other if not isinstance(e, PushClaimed)] == [
            list_core(e) for e in own if not isinstance(e, PushClaimed)
        ]


def list_core(event: AnyEvent) -> list[Any]:
    names = [name for name in event.__dataclass_fields__ if name != "source"]
    return [getattr(event, name) for name in names]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": 1},
        {"workflow_id": "1"},
        {"call_id": "1"},
        {"data": [1], "code": 200},
        {"call": {"call_id": "1"}, "body": {"callid": "2"}},
        {"callee": {"callee_number": "x"}},
    ],
)
def test_a_shape_that_fits_no_kind_or_several(value: Any) -> None:
    assert find_reason(value) == "unknown_shape"


def test_other_encodings_are_read() -> None:
    payload = find_payload("airudder", "api-node__sample")
    for body in (payload.body.decode().encode("utf-16"), b"\xef\xbb\xbf" + payload.body):
        assert parse(Push(kind="", body=body), READING) == parse_payload("api-node__sample")


def test_keys_given_twice_are_named() -> None:
    body = find_payload("airudder", "api-node__sample").body
    body = body.replace(b'"talk_round": 0', b'"talk_round": 1, "talk_round": 0')
    call = get_call(parse(Push(kind="", body=body), READING))
    assert (call.details["talk_round"], set(call.problems)) == (0, {"talk_round"})


# -------------------------------------------------------------------------------------- properties

ODD_TEXTS = ("", "0", "12", "a\x00b", "\ud800", "2018-12-04", "[1", "x" * 30_000, "{}", '{"a":1}')
ODD_NUMBERS = (True, 0, -1, 1.0, 1e308, 2**53 + 1, 2**63, 10**30, 1543935195, 253402300799000)
ODD_SHAPES: tuple[Any, ...] = (None, [], {}, [[]], [{}], {"a": None})
ODD_VALUES: st.SearchStrategy[Any] = st.sampled_from([*ODD_TEXTS, *ODD_NUMBERS, *ODD_SHAPES])


def check_safe(value: Any) -> None:
    """What PostgreSQL takes: no NUL, no surrogate, integers of its size, years of this century."""
    if isinstance(value, str):
        assert "\x00" not in value
        value.encode()
    elif isinstance(value, int) and not isinstance(value, bool):
        assert abs(value) < 2**63
    elif isinstance(value, datetime):
        assert value.tzinfo is not None
        assert 2000 <= value.year <= 2100
    elif isinstance(value, dict):
        json.dumps(value, allow_nan=False)
        check_safe([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for inner in value:
            check_safe(inner)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            check_safe(getattr(value, name))


def check_push(push: Push) -> None:
    try:
        events = parse(push, READING)
    except (Unrecognised, Ignored) as answer:
        assert answer.reason
        return
    assert events
    assert parse(push, READING) == events
    for event in events:
        check_safe(event)
        if isinstance(event, CallEnded | CallProgressed | DialogReady | PushClaimed):
            assert event.platform_call_id
            _, problems = read_event(event)
            unkept = {name for name in problems if name not in event.problems}
            assert all(name.startswith("details.") for name in unkept)  # too long for one field
        elif isinstance(event, AgentChanged):
            assert event.agent_number


@given(st.sampled_from([*KINDS, "other"]), st.binary(max_size=300))
def test_any_bytes_are_answered(kind: str, body: bytes) -> None:
    check_push(Push(kind=kind, body=body))


def mutate(value: Any, data: st.DataObject) -> Any:
    places: list[tuple[Any, Any]] = []

    def collect(inner: Any) -> None:
        for key in inner.keys() if isinstance(inner, dict) else range(len(inner)):
            places.append((inner, key))
            if isinstance(inner[key], dict | list):
                collect(inner[key])

    collect(value)
    chosen = data.draw(st.lists(st.integers(0, len(places) - 1), max_size=5))
    for place, key in [places[index] for index in chosen]:
        if isinstance(place, dict) and data.draw(st.booleans()):
            other = data.draw(st.sampled_from([key for _, key in places if isinstance(key, str)]))
            place[other] = place.get(key)  # a field under the name of another
        place[key] = data.draw(ODD_VALUES)
    return value


@settings(max_examples=500)
@given(st.sampled_from([*KINDS]), st.sampled_from(SAMPLES), st.data())
def test_mutated_samples_are_answered(kind: str, sample: Any, data: st.DataObject) -> None:
    value = mutate(json.loads(sample.body), data)
    check_push(Push(kind=kind, body=json.dumps(value).encode()))


@given(st.sampled_from(SAMPLES), st.integers(0, 4000), st.binary(max_size=3))
def test_damaged_samples_are_answered(sample: Any, place: int, damage: bytes) -> None:
    for body in (
        sample.body[:place] + damage + sample.body[place + len(damage) :],
        sample.body[:place] + damage,
        sample.body + damage + sample.body,
    ):
        check_push(Push(kind=sample.make_push().kind, body=body))


@settings(max_examples=200)
@given(st.data())
def test_records_from_the_client_are_read_or_refused(data: st.DataObject) -> None:
    value = mutate(make_record(), data)
    try:
        events = read_record(value, READING, source="apinoticeinfo", rank=40)
    except Unrecognised:
        return
    check_safe(events)
