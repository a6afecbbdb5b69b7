"""What is said of one call, in any order and any number of times, makes one and the same call."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from typing import Any, get_args

import pytest

from campaigns.evidence import Evidence, merge, merge_problems, project, read_event
from campaigns.platforms.contract import Platform
from campaigns.platforms.errors import Ignored
from campaigns.platforms.events import CallEvent
from campaigns.platforms.registry import PLATFORMS
from tests.platforms.payloads import list_payloads
from tests.platforms.test_contract import READING

ORDERS = 300


def list_calls(platform: Platform) -> dict[str, list[Any]]:
    """{call: everything that the platform's payloads say of it}."""
    calls: dict[str, list[Any]] = defaultdict(list)
    for payload in list_payloads(platform.slug):
        if payload.is_reply:
            continue
        try:
            events = platform.parse(payload.make_push(), READING)
        except Ignored:
            continue
        for event in events:
            if isinstance(event, get_args(CallEvent)):
                calls[event.platform_call_id].append(event)
    return calls


CALLS = [
    pytest.param(events, id=f"{slug}-{number}-of-{len(events)}")
    for slug, platform in PLATFORMS.items()
    for number, (_, events) in enumerate(sorted(list_calls(platform).items()))
    if len(events) > 1
]


def gather(events: list[Any]) -> tuple[Evidence, dict[str, str]]:
    evidence: Evidence = {}
    problems: dict[str, str] = {}
    for event in events:
        told, odd = read_event(event)
        evidence = merge(evidence, told)
        problems = merge_problems(problems, odd)
    return evidence, problems


def list_orders(events: list[Any]) -> list[list[Any]]:
    """All orders of five events, each event twice in it; else so many random ones."""
    chance = random.Random(len(events))
    if len(events) <= 5:
        orders = [list(order) for order in itertools.permutations(events)]
    else:
        orders = [chance.sample(events, len(events)) for _ in range(ORDERS)]
    return [chance.sample(order + order, len(order) * 2) for order in orders] + orders


@pytest.mark.parametrize("events", CALLS)
def test_neither_order_nor_repetition_changes_a_call(events: list[Any]) -> None:
    first, first_problems = gather(events)
    for order in list_orders(events):
        evidence, problems = gather(order)
        assert evidence == first
        assert problems == first_problems
        assert project(evidence) == project(first)


@pytest.mark.parametrize("events", CALLS)
def test_a_known_field_never_becomes_empty(events: list[Any]) -> None:
    for order in list_orders(events)[:50]:
        evidence: Evidence = {}
        for event in order:
            grown = merge(evidence, read_event(event)[0])
            before, after = project(evidence).columns, project(grown).columns
            if (after["ended_at"] or before["ended_at"]) != before["ended_at"]:
                before.pop("talk_seconds")  # counted from times, which may now contradict
            for name, value in before.items():
                if value not in (None, "", "unknown", {}, []):
                    assert after[name] not in (None, ""), name
            evidence = grown


@pytest.mark.parametrize("platform", [pytest.param(p, id=s) for s, p in PLATFORMS.items()])
def test_what_is_merged_is_not_lost(platform: Platform) -> None:
    """Every statement of every event stands in the evidence of its call, or gave way to as many
    others as are kept."""
    for events in list_calls(platform).values():
        evidence, _ = gather(events)
        for event in events:
            for field, statements in read_event(event)[0].items():
                assert statements[0] in evidence[field] or len(evidence[field]) >= 8
