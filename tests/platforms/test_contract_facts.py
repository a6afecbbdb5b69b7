"""What each push says, against what a person read in the vendor's text, without any parser.

``<v>/expectations.py`` has for every push what stands in it, in our words (``FACTS``), and for
every table each word with ours beside it (``WORDS``). What is not written there must not be said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest

from campaigns.platforms.contract import Platform, StatusTable
from campaigns.platforms.errors import Ignored
from campaigns.platforms.events import (
    AccountSeen,
    AgentChanged,
    AnyEvent,
    CallEnded,
    CallNews,
    DialogReady,
    Event,
    PushClaimed,
    RecordingReady,
    TaskChanged,
)
from tests.platforms.payloads import (
    Payload,
    find_expectation,
    list_payloads,
    walk_words,
)
from tests.platforms.test_contract import ALL, PUSHES, READING, list_ids
from tests.platforms.test_contract_words import TABLES

#: name of a fact → attribute of the first news of a call
OF_CALL = {
    **{name: name for name in ("result", "direction", "answered", "hangup_by", "intention")},
    "code": "platform_result",
    "caller": "caller",
    "callee": "callee",
    "queue": "queue_name",
    "ring": "ring_seconds",
    "talk": "talk_seconds",
    "wait": "wait_seconds",
    "dialed": "dialed_at",
    "ringing": "ringing_at",
    "picked_up": "answered_at",
    "ended": "ended_at",
    "agent": "agent_number",
}
#: name of a fact → attribute of the first event that names a call
OF_KEYS = {
    "call": "platform_call_id",
    "task": "platform_task_id",
    "contact": "platform_contact_id",
    "robot": "platform_robot_id",
    "relation": "relation_id",
}
OF_AGENT = {"agent": "agent_number", "agent_state": "state", "at": "at", "logged_in": "logged_in"}
OF_TASK = {
    "task": "platform_task_id",
    "task_state": "state",
    "node": "node_id",
    "started": "started_at",
    "finished": "finished_at",
}
#: a number that a double may round, a UUID (yeta's begin with 7 characters too), 32 hex digits
_LONG_ID = re.compile(
    r"\d{15,40}|[0-9A-Fa-f]{7,8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32}"
)


def tell_facts(events: Sequence[AnyEvent]) -> dict[str, Any]:
    """What events say, in the words of ``FACTS``; what they do not say is left out."""
    calls = [event for event in events if isinstance(event, CallNews)]
    told: dict[str, Any] = {}
    for kind, names in ((Event, OF_KEYS), (CallNews, OF_CALL), (AgentChanged, OF_AGENT)):
        for event in [event for event in events if isinstance(event, kind)][:1]:
            told |= {name: getattr(event, attribute) for name, attribute in names.items()}
    for event in events:
        if isinstance(event, TaskChanged):
            told |= {name: getattr(event, attribute) for name, attribute in OF_TASK.items()}
        if isinstance(event, AccountSeen):
            told["account"] = event.platform_account_id
        if isinstance(event, DialogReady):
            told |= {"intention": event.intention, "intention_min": event.intention_min}
            told["turns"] = "".join(turn.role.value[0].upper() for turn in event.turns)
    if calls:
        told["news"] = "record" if isinstance(calls[0], CallEnded) else "progress"
    told["attempts"] = [event.attempt for event in calls if event.attempt is not None] or None
    told["recordings"] = [e.seconds for e in events if isinstance(e, RecordingReady)] or None
    told["claims"] = sum(isinstance(e, PushClaimed) for e in events) or None
    return {name: value for name, value in told.items() if value is not None}


def read_fact(value: Any, like: Any) -> Any:
    """A fact as events say it. Where those have a time: milliseconds since 1970, or words."""
    if not isinstance(like, datetime) or value is None:
        return value
    if isinstance(value, int):
        epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        return epoch + timedelta(milliseconds=value)
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=READING.time_zone)


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_a_push_says_what_a_person_reads_in_it(platform: Platform, payload: Payload) -> None:
    facts = find_expectation(platform.slug, "FACTS").get(payload.name)
    assert facts is not None, f"FACTS of {platform.slug} has no {payload.name}"
    try:
        events = platform.parse(payload.make_push(), READING)
    except Ignored:
        assert facts == {"ignored": True}
        return
    told = tell_facts(events)
    assert told == {name: read_fact(value, told.get(name)) for name, value in facts.items()}


@pytest.mark.parametrize("platform", ALL)
def test_every_fact_is_of_a_payload(platform: Platform) -> None:
    pushes = {payload.name for payload in list_payloads(platform.slug) if not payload.is_reply}
    assert set(find_expectation(platform.slug, "FACTS")) <= pushes


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_ids_are_what_stands_in_the_payload(platform: Platform, payload: Payload) -> None:
    """No id and no address of a recording is cut, rounded, joined, or written in another case."""
    try:
        events = platform.parse(payload.make_push(), READING)
    except Ignored:
        return
    written = {word for _, word in walk_words(payload.text)}
    for name, found in list_ids(events):
        assert found in written, f"{name} {found!r} stands nowhere in it"
    for event in events:
        if isinstance(event, RecordingReady):
            assert event.address in written
        for field in fields(event):
            value = getattr(event, field.name)
            if field.name.endswith("_id") and isinstance(value, str):
                assert value == value.strip() and value.lower() not in ("none", "null")


def list_call_fields(platform: Platform) -> set[str]:
    """Whole paths of the fields that name calls and tasks in pushes."""
    return set(find_expectation(platform.slug, "ID_FIELDS"))


@pytest.mark.parametrize(("platform", "payload"), PUSHES)
def test_long_ids_and_uuids_are_used_exactly(platform: Platform, payload: Payload) -> None:
    """Each id of a call or a task that is a long number or a UUID is in the events as it stands."""
    try:
        events = platform.parse(payload.make_push(), READING)
    except Ignored:
        return
    used = {found for _, found in list_ids(events)}
    named = [
        word
        for path, word in walk_words(payload.text)
        if ".".join(path) in list_call_fields(platform)
    ]
    if all(isinstance(event, AgentChanged | AccountSeen) for event in events):
        return
    missing = {word for word in named if _LONG_ID.fullmatch(word)} - used
    assert missing == set()


@pytest.mark.parametrize("platform", ALL)
def test_long_ids_were_put_to_the_test(platform: Platform) -> None:
    told = [
        ".".join(path)
        for payload in list_payloads(platform.slug)
        if not payload.is_reply
        for path, word in walk_words(payload.text)
        if _LONG_ID.fullmatch(word)
    ]
    assert list_call_fields(platform)
    assert list_call_fields(platform) <= set(told), "has no long id anywhere"


# ----------------------------------------------------------------------------------------- words


def describe_word(value: Any) -> str:
    """What a word means to us: results with whether somebody answered (+, - or ?) and who hung up;
    "" for a word that has no meaning of ours."""
    if isinstance(value, tuple):
        value = value[0]
    if hasattr(value, "result"):
        answered = {True: "+", False: "-"}.get(value.answered, "?")
        side = getattr(value, "hangup_by", None)
        return f"{value.result.value}{answered}{side.value if side else ''}"
    for name in ("consequence", "by"):
        value = getattr(value, name, value)
    return value.value if isinstance(value, StrEnum) else ""


@pytest.mark.parametrize(("platform", "table"), TABLES)
def test_a_table_has_the_words_of_the_text(platform: Platform, table: StatusTable) -> None:
    told = find_expectation(platform.slug, "WORDS").get(table.name)
    assert told is not None, f"WORDS of {platform.slug} has no {table.name!r}"
    expected = dict(pair.partition("=")[::2] for pair in told.split())
    assert {word: describe_word(value) for word, value in table.words.items()} == expected


@pytest.mark.parametrize("platform", ALL)
def test_no_table_is_gone(platform: Platform) -> None:
    tables = {table.name for table in platform.vocabulary}
    assert set(find_expectation(platform.slug, "WORDS")) == tables
