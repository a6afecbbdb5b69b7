"""In: every payload of every vendor, and the same with fields spoilt. Out: whatever our reading
says of it is in the Chinese catalogue, and so is every advice a vendor's client gives.

Must catch: a sentence that stands in a constant, a conditional expression or a table, so that
extraction passes it by and an operator reads English.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation
from django.utils.translation import gettext

import campaigns.platforms
from campaigns.evidence import read_event
from campaigns.models.history import fill_in, tell_reason
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.errors import ErrorCode, Ignored, PlatformError, Unrecognised
from campaigns.platforms.events import CallEvent
from campaigns.platforms.registry import PLATFORMS
from campaigns.wording import tell_problem
from tests.platforms.payloads import Payload, list_payloads

ODD: list[Any] = [[], [1], {}, {"a": 1}, "x", "x" * 30_000, True, -1, 1.5, 2**70, "2020-13-45"]
#: odd values put into one field; which of them goes by turns, so that all fields meet all kinds
TURNS = 4
#: vendors' modules whose words nobody reads but who tests
UNSPOKEN = re.compile(r"sandbox|capabilit")


def parse(platform: str, kind: str, body: bytes, headers: dict[str, str]) -> set[str]:
    """What reading a push says of it, numbers as they are."""
    vendor = PLATFORMS[platform]
    try:
        events = vendor.parse(
            Push(kind=kind, body=body, headers=headers),
            Reading(time_zone=ZoneInfo("Asia/Shanghai")),
        )
    except Ignored:
        return set()
    except Unrecognised as error:
        return {error.detail} - {""}
    said: set[str] = set()
    for event in events:
        said |= set(event.problems.values())
        if isinstance(event, get_args(CallEvent)):
            said |= set(read_event(event)[1].values())
    return said


def list_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from list_places(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            yield (*path, index)
            yield from list_places(inner, (*path, index))


def spoil(body: Any, place: tuple[Any, ...], odd: Any) -> bytes:
    made = json.loads(json.dumps(body))
    inside = made
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = odd
    return json.dumps(made).encode()


def spoil_payload(payload: Payload) -> Iterator[bytes]:
    yield payload.body
    yield payload.body[:-1]
    yield b"\x1f\x8b" + payload.body
    try:
        body = json.loads(payload.body)
    except ValueError:
        return
    if not isinstance(body, dict):
        return
    for number, place in enumerate(list_places(body)):
        for turn in range(TURNS):
            yield spoil(body, place, ODD[(number * TURNS + turn) % len(ODD)])
    text = json.dumps(body)
    for name in body:
        yield f'{{"{name}": "other", {text[1:]}'.encode()


def is_chinese(why: str) -> bool:
    with translation.override("zh-hans"):
        return bool(re.search("[\u4e00-\u9fff]", tell_problem(why)))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_all_that_reading_says_is_said_in_chinese(platform: str) -> None:
    said: set[str] = set()
    for payload in list_payloads(platform):
        if not payload.is_reply:
            kind = payload.make_push().kind
            for body in spoil_payload(payload):
                said |= parse(platform, kind, body, payload.headers)
    assert len(said) > 8
    assert sorted(why for why in said if not is_chinese(why)) == []


def list_sentences() -> Iterator[tuple[str, str]]:
    """(where, sentence) of what clients give as advice: tables of codes, errors of their own, and
    whole sentences that stand in a constant."""
    for info in pkgutil.walk_packages(campaigns.platforms.__path__, "campaigns.platforms."):
        if UNSPOKEN.search(info.name):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            rows = value.values() if isinstance(value, dict) else [value]
            for row in rows:
                if isinstance(row, ErrorCode):
                    yield f"{info.name}.{name}.{row.code}", row.advice
            if isinstance(value, type) and issubclass(value, PlatformError) and value.advice:
                yield f"{info.name}.{name}", value.advice
            if name.isupper() and isinstance(value, str) and re.search(r"\w \w.*\.\Z", value):
                yield f"{info.name}.{name}", value


def test_every_advice_is_said_in_chinese() -> None:
    sentences = dict(list_sentences())
    assert {"campaigns.platforms.airudder.replies.REFUSED_TOKEN"} < sentences.keys()
    assert len(set(sentences.values())) > 20
    with translation.override("zh-hans"):
        english = {where: told for where, told in sentences.items() if gettext(told) == told}
    assert english == {}


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_numbers_in_sentences_have_their_groups(language: str) -> None:
    """And what is an id, or text, is left as it is."""
    with translation.override(language):
        values = {"number": 12_345, "allowed": 10_001}
        told = tell_reason(
            "%(number)d contacts were called today; at most %(allowed)d are in a day.", values
        )
    assert re.findall(r"[\d,]*\d", told) == ["12,345", "10,001"]
    assert fill_in("%(n)d of %(n)d, %(id)s, 100%%", {"n": 4_321.0, "id": 54_321}) == (
        "4,321 of 4,321, 54321, 100%"
    )
