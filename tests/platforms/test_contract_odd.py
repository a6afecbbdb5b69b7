"""Whatever a push holds: events that can be stored, or one of the two answers of a parser.

Three kinds of odd pushes, for every platform of the registry: those of other vendors, those with
ids that a double would round, and its own payloads with something changed at random.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.evidence import read_event
from campaigns.platforms.bodies import read_body
from campaigns.platforms.contract import Platform, Push
from campaigns.platforms.errors import Ignored, Unrecognised
from campaigns.platforms.events import AnyEvent, CallEvent, CallNews, PushClaimed, Result
from campaigns.platforms.registry import PLATFORMS
from tests.platforms.payloads import Payload, list_payloads
from tests.platforms.test_contract import ALL, PUSHES, READING, list_ids

#: above 2^53: a double cannot hold it, its neighbours would become one
HUGE = "9007199254740993"

# --------------------------------------------------------------------------- other vendors' pushes

FOREIGN = [
    pytest.param(platform, payload, id=f"{platform.slug}-{payload.platform}-{payload.name}")
    for platform in PLATFORMS.values()
    for other in PLATFORMS
    if other != platform.slug
    for payload in list_payloads(other)
]


@pytest.mark.parametrize(("platform", "payload"), FOREIGN)
def test_a_push_of_another_vendor_is_no_call(platform: Platform, payload: Payload) -> None:
    for kind in platform.kinds:
        try:
            events = platform.parse(payload.make_push_at(kind), READING)
        except (Unrecognised, Ignored) as answer:
            assert answer.reason
        else:
            assert not events, f"understood at {kind or 'the address for all'}: {events[:1]}"


def test_there_is_a_foreign_push_for_each_pair() -> None:
    pairs = {(case.values[0].slug, case.values[1].platform) for case in FOREIGN}  # type: ignore[union-attr]
    assert len(pairs) == len(PLATFORMS) * (len(PLATFORMS) - 1)


# ------------------------------------------------------------------------------------------ big ids


def list_id_words(platform: Platform, payload: Payload) -> list[str]:
    """What stands in the payload and is, or may be, an id: it became one, or has 15 digits."""
    try:
        events = platform.parse(payload.make_push(), READING)
    except Ignored:
        return []
    words = {word for _, word in list_ids(events)} | set(re.findall(r"\b\d{15,40}\b", payload.text))
    return sorted(word for word in words if replace_word(payload.text, word, HUGE) != payload.text)


#: a name with its colon, or a value
_PIECE = re.compile(r'"(?:\\.|[^"\\])*"(?:\s*:)?|[^\s"{}\[\]:,]+')


def replace_word(text: str, word: str, value: str) -> str:
    """The text with ``value`` wherever ``word`` is a whole value, as a string or as a number."""
    return _PIECE.sub(lambda found: value if found[0].strip('"') == word else found[0], text)


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_ids_above_two_to_the_53rd_survive(platform: Platform, payload: Payload) -> None:
    for word in list_id_words(platform, payload):
        told = []
        for value in (HUGE, f'"{HUGE}"'):
            body = replace_word(payload.text, word, value).encode()
            push = Push(kind=payload.make_push().kind, body=body, headers=payload.headers)
            events = platform.parse(push, READING)
            told.append(list(list_ids(events)))
            assert HUGE in repr(events) or word not in repr(
                platform.parse(payload.make_push(), READING)
            )
        assert told[0] == told[1]


def test_some_ids_were_put_to_the_test() -> None:
    for slug, platform in PLATFORMS.items():
        pushes = [payload for payload in list_payloads(slug) if not payload.is_reply]
        assert sum(bool(list_id_words(platform, payload)) for payload in pushes) >= len(pushes) / 2


# ------------------------------------------------------------------------------- unknown codes


def read_codes(platform: Platform, text: str, *, kind: str) -> list[CallNews]:
    """What a push says of calls whose result has a code."""
    try:
        events = platform.parse(Push(kind=kind, body=text.encode()), READING)
    except Ignored:
        return []
    return [e for e in events if isinstance(e, CallNews) and e.platform_result is not None]


def list_unknown_codes(platform: Platform) -> list[tuple[str, CallNews]]:
    """(code that nobody knows, what is said of a call that has it), for every payload's codes."""
    told = []
    for payload in list_payloads(platform.slug):
        kind = payload.make_push().kind
        if payload.is_reply:
            continue
        for code in {e.platform_result for e in read_codes(platform, payload.text, kind=kind)}:
            for value in ("987", '"987"', '"never heard of"'):
                text = replace_word(payload.text, code or "", value)
                word = value.strip('"')
                said = read_codes(platform, text, kind=kind)
                told += [(word, event) for event in said if event.platform_result == word]
    return told


@pytest.mark.parametrize("platform", ALL)
def test_an_unknown_code_is_an_unknown_result_and_kept(platform: Platform) -> None:
    told = list_unknown_codes(platform)
    assert {word for word, _ in told} >= {"never heard of"}
    for word, event in told:
        assert event.platform_result == word
        if event.result is not Result.UNKNOWN:
            assert (event.result, event.answered) == (Result.ANSWERED, True)


# ------------------------------------------------------------------------------- changed at random

#: what no field expects
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.5, 12.0, 2**31, 2**53 + 1, 2**63, 10**30, 1e308, -1e-300),
    *(1606188570, 1606188570000, 253402300799000, -62135596800000, float("nan"), float("inf")),
    *("", " ", "0", "-1", "1", "null", "NaN", "9" * 5000, "x" * 30_000, "١٢٣", "²", "\x00a\x00b"),
    *("\ud800", "\u202e", "1606188570", "1606188570000", "2021-02-30 25:61:61", "2021-05-08"),
    *("9999-12-31 23:59:59", "0001-01-01 00:00:00", "2024-03-12T14:54:26Z", "99:99:99", "00:00:03"),
    *("http://[", "//evil/x", "https://u:p@h/x", "javascript:1", "../../x", "{", "[1", "[]", "{}"),
    *('{"a": {"b": [1]}}', "[[[[]]]]", '[{"type": 0, "value": 3}]', "🙂" * 200),
    *([], {}, [None], [[]], [{}], {"": ""}, {"a": []}, [1, "2", None, {"b": True}]),
)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["replace", "remove", "rename", "wrap", "double", "repeat"]),
        st.integers(0, 10_000),
        st.sampled_from(ODD),
    ),
    min_size=1,
    max_size=4,
)


def list_places(value: Any) -> list[tuple[Any, Any]]:
    """(object or list, name or index) of every value inside."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = [(value, name) for name in value]
    elif isinstance(value, list):
        inner = [(value, index) for index in range(len(value))]
    return inner + [place for outer, name in inner for place in list_places(outer[name])]


def change(value: Any, kind: str, number: int, odd: Any) -> Any:
    places = list_places(value)
    if not places:
        return odd
    outer, name = places[number % len(places)]
    if kind == "remove":
        del outer[name]
    elif kind == "rename" and isinstance(outer, dict):
        outer[f"{name}\x00ü"[: 1 + number % 40]] = outer.pop(name)
    elif kind == "wrap":
        outer[name] = [outer[name]]
    elif kind == "double" and isinstance(outer[name], list):
        outer[name] = outer[name] * 3
    elif kind == "repeat":
        outer[name] = json.dumps(outer[name])
    else:
        outer[name] = odd
    return value


def check_storable(value: Any) -> None:
    """Nothing that a column refuses, at any depth."""
    if isinstance(value, str):
        assert "\x00" not in value
        value.encode()
    elif isinstance(value, datetime):
        assert value.tzinfo is not None
        assert datetime(1990, 1, 1, tzinfo=UTC) <= value < datetime(2100, 1, 1, tzinfo=UTC)
    elif isinstance(value, dict):
        json.dumps(value, allow_nan=False)
        for name, inner in value.items():
            check_storable(name)
            check_storable(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            check_storable(inner)
    elif is_dataclass(value):
        for field in fields(value):
            check_storable(getattr(value, field.name))


def check_answer(platform: Platform, push: Push) -> None:
    """Events that can be stored, the same twice, or one of the two refusals."""
    try:
        events = platform.parse(push, READING)
    except (Unrecognised, Ignored) as answer:
        assert answer.reason.islower()
        return
    assert events
    assert events == platform.parse(push, READING)
    for event in events:
        assert isinstance(event, get_args(AnyEvent))
        check_storable(event)
        if isinstance(event, CallNews):
            for name in ("ring_seconds", "talk_seconds", "wait_seconds", "attempt"):
                number = getattr(event, name)
                assert number is None or 0 <= number < 2**31, name
            assert event.answered in (None, True, False)
        if isinstance(event, get_args(CallEvent)):
            assert 0 < len(event.platform_call_id) <= 200
            read_event(event)
        if isinstance(event, PushClaimed):
            assert all(isinstance(word, str) for word in event.query.values())


@pytest.mark.parametrize("slug", PLATFORMS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_changed_push_gives_events_that_can_be_stored(slug: str, data: Any) -> None:
    platform = PLATFORMS[slug]
    payload = data.draw(st.sampled_from(list_payloads(slug)))
    try:
        value = read_body(payload.body).value
    except Unrecognised:  # a sample of the text that is no JSON
        value = {"data": payload.text}
    for kind, number, odd in data.draw(CHANGES):
        value = change(value, kind, number, json.loads(json.dumps(odd)))
    kind = data.draw(st.sampled_from([payload.make_push().kind, *platform.kinds]))
    body = json.dumps(value).encode()
    check_answer(platform, Push(kind=kind, body=body, headers=payload.headers))


@pytest.mark.parametrize("slug", PLATFORMS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_bytes_give_events_that_can_be_stored(slug: str, data: Any) -> None:
    platform = PLATFORMS[slug]
    payload = data.draw(st.sampled_from(list_payloads(slug)))
    body = bytearray(payload.body)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(0, len(body))) :]
    check_answer(platform, Push(kind=payload.make_push().kind, body=bytes(body)))
