"""What every platform of the registry must keep, over all payload files that its package has."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from campaigns.platforms.contract import Can, Client, Connection, Platform, Reading
from campaigns.platforms.errors import ErrorCode, Ignored
from campaigns.platforms.events import CallEnded, Event, Result, TaskChanged
from campaigns.platforms.http import Transport
from campaigns.platforms.registry import PLATFORMS, get_platform
from tests.platforms.payloads import HERE, Payload, list_payloads

READING = Reading(time_zone=ZoneInfo("Asia/Shanghai"))
PUSHES = [
    pytest.param(PLATFORMS[slug], payload, id=f"{slug}-{payload.name}")
    for slug in PLATFORMS
    for payload in list_payloads(slug)
    if not payload.is_reply
]
ALL = [pytest.param(platform, id=slug) for slug, platform in PLATFORMS.items()]

METHODS = {
    Can.SYNCHRONISE: ["fetch_catalog"],
    Can.CREATE_TASK: ["create_task", "insert_contacts", "start_task"],
    Can.PAUSE_TASK: ["pause_task"],
    Can.DELETE_TASK: ["delete_task"],
    Can.QUERY_TASKS: ["query_task", "query_tasks"],
    Can.CALL_DIRECTLY: ["call_directly"],
    Can.LIST_FAILED_PUSHES: ["list_failed_pushes"],
}


class NoTokens:
    def get(self, fetch: Any, *, stale: str | None = None) -> str:
        return "t"


def check_types(value: Any) -> None:
    """Aware times, plain JSON in dictionaries, strings for ids."""
    if isinstance(value, datetime):
        assert value.tzinfo is not None
    elif isinstance(value, dict):
        json.dumps(value, allow_nan=False)
    elif is_dataclass(value):
        for field in fields(value):
            found = getattr(value, field.name)
            if field.name.endswith("_id"):
                assert found is None or isinstance(found, str)
            check_types(found)
    elif isinstance(value, tuple):
        for inner in value:
            check_types(inner)


def parse_all(platform: Platform, payload: Payload) -> tuple[Any, ...] | None:
    """The events, None when the push is deliberately ignored."""
    try:
        return platform.parse(payload.make_push(), READING)
    except Ignored as answer:
        assert answer.reason
        return None


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_every_payload_is_understood_or_ignored(platform: Platform, payload: Payload) -> None:
    events = parse_all(platform, payload)
    if events is None:
        return
    assert events
    for event in events:
        assert isinstance(event, Event | TaskChanged)
        check_types(event)
        assert event.problems == {}


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_parsing_is_pure(platform: Platform, payload: Payload) -> None:
    assert parse_all(platform, payload) == parse_all(platform, payload)


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_every_result_is_known_or_unknown(platform: Platform, payload: Payload) -> None:
    for event in parse_all(platform, payload) or ():
        if isinstance(event, CallEnded) and event.platform_result is not None:
            known = platform.results.get(event.platform_result)
            assert event.result is (known.result if known else Result.UNKNOWN)


@pytest.mark.parametrize("platform", ALL)
def test_every_kind_has_a_payload(platform: Platform) -> None:
    events = {payload.event for payload in list_payloads(platform.slug)}
    assert set(platform.kinds) - {""} <= events


@pytest.mark.parametrize("platform", ALL)
def test_every_payload_says_where_it_is_from(platform: Platform) -> None:
    sources = (HERE / platform.slug / "payloads" / "SOURCES.md").read_text()
    lines = [line for line in sources.splitlines() if line.startswith("| ")][1:]
    told = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in lines}
    assert set(told) == {f"{payload.name}.http" for payload in list_payloads(platform.slug)}
    assert set(told.values()) <= {"documented", "captured", "derived"}


@pytest.mark.parametrize("platform", ALL)
def test_declared_abilities_are_methods_of_the_client(platform: Platform) -> None:
    assert platform.connect is not None or not platform.can
    if platform.connect is None:
        return
    client: Client = platform.connect(
        Connection(
            base_url="http://127.0.0.1:1",
            time_zone=READING.time_zone,
            settings={},
            credentials={},
            transport=Transport(),
            tokens=NoTokens(),
        )
    )
    for ability in platform.can:
        for name in [*METHODS[ability], "test_connection"]:
            assert callable(getattr(client, name))


@pytest.mark.parametrize("platform", ALL)
def test_the_declaration_is_whole(platform: Platform) -> None:
    assert get_platform(platform.slug) is platform
    assert platform.default_base_url.startswith("https://")
    assert platform.documents
    assert {entry.name for entry in platform.credentials} <= platform.secret_fields
    if platform.recording_prefix_setting:
        names = {entry.name for entry in platform.settings}
        assert platform.recording_prefix_setting in names
    for code, error in platform.errors.items():
        assert isinstance(error, ErrorCode)
        assert error.code == code
        assert error.advice.endswith(".")
    for known in platform.results.values():
        assert isinstance(known.result, Result)


@pytest.mark.parametrize("platform", ALL)
def test_no_secret_is_kept(platform: Platform) -> None:
    door = Transport(secret_fields=platform.secret_fields)
    for name in platform.secret_fields:
        for text in (
            f'{{"{name}": "abc\\"def"}}',
            f"https://h/p?x=1&{name}=abcdef",
            f'{{"{name}":"ab',
        ):
            assert "ab" not in door.redact(text)  # fmt: skip
    for payload in list_payloads(platform.slug):
        kept = door.redact(payload.body.decode())
        assert "19900000001" not in kept


def test_an_unknown_platform_is_told_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="yeta"):
        get_platform("nobody")
