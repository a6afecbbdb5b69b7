"""What every platform of the registry must keep, over all payload files that its package has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from callbacks.processing import name_kind
from campaigns.platforms.contract import (
    UNVERIFIED_SETTING,
    Can,
    Client,
    Connection,
    Limits,
    Platform,
    Reading,
)
from campaigns.platforms.errors import ErrorCode, Ignored
from campaigns.platforms.events import AnyEvent, CallNews, Result
from campaigns.platforms.http import Transport
from campaigns.platforms.registry import PLATFORMS, find_platform, get_platform
from tests.platforms.payloads import HERE, Payload, list_expected_problems, list_payloads

READING = Reading(time_zone=ZoneInfo("Asia/Shanghai"))
PUSHES = [
    pytest.param(PLATFORMS[slug], payload, id=f"{slug}-{payload.name}")
    for slug in PLATFORMS
    for payload in list_payloads(slug)
    if not payload.is_reply
]
ALL = [pytest.param(platform, id=slug) for slug, platform in PLATFORMS.items()]

METHODS = {
    Can.SYNCHRONISE: {"fetch_catalog"},
    Can.CREATE_TASK: {"create_task", "insert_contacts"},
    Can.PAUSE_TASK: {"pause_task"},
    Can.DELETE_TASK: {"delete_task"},
    Can.QUERY_TASKS: {"query_task", "query_tasks"},
    Can.CALL_DIRECTLY: {"call_directly"},
    Can.LIST_FAILED_PUSHES: {"list_failed_pushes"},
    Can.FILL_INSTANCES: set(),
    Can.FIND_CONTACTS: {"find_contact"},
    Can.FETCH_CALLS: {"fetch_calls"},
    Can.VERIFY_PUSHES: {"verify_push"},
}


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


# ---------------------------------------------------------------------------------- its payloads


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_every_payload_is_understood_or_ignored(platform: Platform, payload: Payload) -> None:
    events = parse_all(platform, payload)
    if events is None:
        return
    assert events
    assert isinstance(events, tuple)
    for event in events:
        assert isinstance(event, get_args(AnyEvent))
        check_types(event)
    named = {name: why for event in events for name, why in event.problems.items()}
    assert named == list_expected_problems(platform.slug).get(payload.name, {})


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_every_payload_has_a_name_of_its_kind(platform: Platform, payload: Payload) -> None:
    """Where a platform names them, it names all: the pushes of a minute are told apart by it."""
    events = parse_all(platform, payload)
    kind = payload.make_push().kind
    if events is not None and platform.told_kinds:
        assert name_kind(platform, "", events)
        assert kind in ("", name_kind(platform, "", events))
        assert name_kind(platform, name_kind(platform, "", events), events) == ""


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_parsing_is_pure(platform: Platform, payload: Payload) -> None:
    assert parse_all(platform, payload) == parse_all(platform, payload)


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_every_result_is_known_or_unknown(platform: Platform, payload: Payload) -> None:
    """The word of a code is that of the table. Where that is unknown, it may still be evident that
    the call was answered."""
    for event in parse_all(platform, payload) or ():
        if not isinstance(event, CallNews) or event.result is None:
            continue
        known = platform.results.get(event.platform_result or "")
        word = known.result if known else Result.UNKNOWN
        if word is Result.UNKNOWN and event.answered is True:
            assert event.result in (Result.UNKNOWN, Result.ANSWERED)
        else:
            assert event.result is word


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_the_address_decides_no_more_than_it_must(platform: Platform, payload: Payload) -> None:
    """Where one address takes all, a push says there whose call it is, as it does at its own."""
    if "" not in platform.kinds:
        return
    at_all = platform.parse(payload.make_push_at(""), READING)
    assert list(list_ids(at_all)) == list(list_ids(parse_all(platform, payload)))


def list_ids(value: Any) -> Iterator[tuple[str, str]]:
    """(name, id) of all ids in events."""
    if isinstance(value, tuple):
        for inner in value:
            yield from list_ids(inner)
    elif is_dataclass(value):
        for field in fields(value):
            found = getattr(value, field.name)
            if field.name.endswith("_id") and found:
                yield field.name, found


@pytest.mark.parametrize("platform", ALL)
def test_every_kind_has_a_payload(platform: Platform) -> None:
    addressed = {p.make_push().kind for p in list_payloads(platform.slug) if not p.is_reply}
    assert addressed == set(platform.kinds)


@pytest.mark.parametrize("platform", ALL)
def test_every_payload_says_where_it_is_from(platform: Platform) -> None:
    sources = (HERE / platform.slug / "payloads" / "SOURCES.md").read_text()
    lines = [line for line in sources.splitlines() if line.startswith("| ")][1:]
    told = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in lines}
    assert set(told) == {f"{payload.name}.http" for payload in list_payloads(platform.slug)}
    assert set(told.values()) <= {"documented", "captured", "derived"}
    assert all(line.split("|")[3].strip() for line in lines), "from which line?"
    assert set(list_expected_problems(platform.slug)) <= {file[: -len(".http")] for file in told}


# ------------------------------------------------------------------------------- its declaration


def make_client(platform: Platform) -> Client:
    assert platform.connect is not None
    return platform.connect(
        Connection(
            base_url="http://127.0.0.1:1",
            time_zone=READING.time_zone,
            settings={entry.name: entry.default for entry in platform.settings},
            credentials={entry.name: "none" for entry in platform.credentials},
            transport=Transport(),
            tokens=NoTokens(),
        )
    )


class NoTokens:
    def get(self, fetch: Any, *, stale: str | None = None) -> str:
        return "t"


@pytest.mark.parametrize("platform", ALL)
def test_declared_abilities_are_methods_of_the_client(platform: Platform) -> None:
    assert set(METHODS) == set(Can)
    if platform.connect is None:
        assert not platform.can
        assert not platform.credentials
        assert platform.limits == Limits()
        return
    needed = {name for ability in platform.can for name in METHODS[ability]} | {"test_connection"}
    if Can.CREATE_TASK in platform.can and Can.FILL_INSTANCES not in platform.can:
        needed.add("start_task")
    client = type(make_client(platform))
    offered = [name for name in vars(Client) if not name.startswith("_")]
    assert {n for n in offered if getattr(client, n) is not getattr(Client, n)} == needed


@pytest.mark.parametrize("platform", ALL)
def test_the_declaration_is_whole(platform: Platform) -> None:
    assert get_platform(platform.slug) is platform
    assert platform.slug.isidentifier()
    assert platform.documents
    assert bool(platform.default_base_url) == (platform.connect is not None)
    assert platform.default_base_url.startswith("https://") or not platform.default_base_url
    for name in (platform.slug, platform.name, *platform.aliases):
        assert find_platform(name.upper()) is platform
    for code, error in platform.errors.items():
        assert isinstance(error, ErrorCode)
        assert error.code == code
        assert error.advice.endswith(".")
    for known in platform.results.values():
        assert isinstance(known.result, Result)
    assert set(platform.questions) <= set(platform.kinds)


@pytest.mark.parametrize("platform", ALL)
def test_the_settings_are_whole(platform: Platform) -> None:
    names = [entry.name for entry in (*platform.settings, *platform.credentials)]
    assert len(names) == len(set(names))
    assert not {"time_zone", "rate_limit"} & set(names), "every account has these"
    for entry in (*platform.settings, *platform.credentials):
        assert entry.label
        assert not entry.choices or entry.default in entry.choices
    if platform.recording_prefix_setting:
        assert platform.recording_prefix_setting in names


@pytest.mark.parametrize("platform", ALL)
def test_what_is_unverified_is_off_until_switched_on(platform: Platform) -> None:
    assert platform.unverified <= platform.can
    switch = [entry for entry in platform.settings if entry.name == UNVERIFIED_SETTING]
    assert bool(switch) == bool(platform.unverified)
    for entry in switch:
        assert (entry.default, set(entry.choices)) == ("off", {"on", "off"})


@pytest.mark.parametrize("platform", ALL)
def test_no_secret_is_kept(platform: Platform) -> None:
    """Of made-up text; real exchanges are in ``test_contract_exchanges``."""
    assert {entry.name for entry in platform.credentials} <= platform.secret_fields
    door = Transport(secret_fields=platform.secret_fields)
    for name in platform.secret_fields:
        for text in (
            f'{{"{name}": "abc\\"def"}}',
            f"https://h/p?x=1&{name}=abcdef",
            f'{{"{name}":"ab',
        ):
            assert "ab" not in door.redact(text).removeprefix(f'{{"{name}"')
    for payload in list_payloads(platform.slug):
        assert "19900000001" not in door.redact(payload.text)


def test_an_unknown_platform_is_told_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="yeta"):
        get_platform("nobody")


def test_no_two_platforms_share_a_name() -> None:
    names = [n.lower() for p in PLATFORMS.values() for n in {p.slug, p.name, *p.aliases}]
    assert len(names) == len(set(names))
