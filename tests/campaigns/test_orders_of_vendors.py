"""In: every push of one call, of each vendor, in many orders, each twice. Out: the same rows.

All orders of up to three pushes; of more, as many random ones as ``R4_ORDERS`` says. Each order has
a call and an agent of its own, and the n-th pushes of all orders are applied together: the rows
are those of one account and one database.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from campaigns.ingest import apply_events
from campaigns.models import Agent, Call, Recording, Turn, Verification
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.events import AgentChanged, AnyEvent, CallEvent
from campaigns.platforms.registry import PLATFORMS
from tests.factories import make_account
from tests.platforms.payloads import find_payload

ORDERS = int(os.environ.get("R4_ORDERS", "400"))
READING = Reading(ZoneInfo("Asia/Shanghai"))
#: (vendor, its pushes of one call, the ids in them that mean this call)
SETS = {
    "airudder": (
        ["api-node__sample", "call-completed__not_known_answered", "pds__contact_calling"],
        ["pds__contact_answered", "pds__contact_hangup"],
    ),
    "moor7": (
        ["agentStatus__calling", "dialoutRing__sample", "agentStatus__link", "cdr__sample"],
        ["dialoutHangup__sample", "agentStatus__wrap_up", "mediaFailure__sample", "login__sample"],
    ),
    "ima51": (
        ["callRecord__sample", "callRecord__transferred", "callRecord__outbound_task"],
        [],
    ),
}
CALL_COLUMNS = (
    *("direction", "caller", "callee", "dialed_at", "ringing_at", "answered_at", "ended_at"),
    *("answered", "ring_seconds", "talk_seconds", "wait_seconds", "result", "platform_result"),
    *("platform_result_text", "hangup_by", "intention", "attempt", "agent_number", "agent_name"),
    *("queue_name", "stage", "details", "evidence", "conflicts", "problems", "has_record"),
    *("turns_count", "happened_at", "platform_task_id", "platform_contact_id", "relation_id"),
)


def parse_set(slug: str) -> list[list[AnyEvent]]:
    """The events of each push, all as of one call (and its earlier attempts)."""
    names = [*SETS[slug][0], *SETS[slug][1]]
    pushes = []
    for name in names:
        payload = find_payload(slug, name)
        push = Push("", payload.body, payload.headers)
        pushes.append(list(PLATFORMS[slug].parse(push, READING)))
    mine = {events_call(events) for events in pushes} - {""}
    return [[as_one_call(event, mine) for event in events] for events in pushes]


def events_call(events: Sequence[AnyEvent]) -> str:
    calls = [event.platform_call_id for event in events if isinstance(event, CallEvent)]
    return calls[0] if calls else ""


def as_one_call(event: Any, mine: set[str]) -> Any:
    if isinstance(event, CallEvent) and event.platform_call_id in mine:
        return replace(event, platform_call_id="call")
    return event


def rename(event: Any, number: int) -> Any:
    """The event as of the call and the agent of one order."""
    if isinstance(event, CallEvent):
        return replace(event, platform_call_id=f"{event.platform_call_id}/{number}")
    if isinstance(event, AgentChanged):
        return replace(event, agent_number=f"{event.agent_number}/{number}")
    return event


def list_orders(count: int) -> list[list[int]]:
    if count <= 3:  # every order of every push twice
        return [list(order) for order in sorted(set(itertools.permutations([*range(count)] * 2)))]
    chance = random.Random(count)
    return [chance.sample([*range(count)] * 2, 2 * count) for _ in range(ORDERS)]


def strip(value: str) -> str:
    return value.rpartition("/")[0]


@pytest.mark.django_db
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("slug", SETS)
def test_every_order_of_the_pushes_of_a_call_gives_the_same_rows(slug: str) -> None:
    pushes = parse_set(slug)
    orders = list_orders(len(pushes))
    assert len(orders) >= (90 if len(pushes) == 3 else ORDERS)
    account = make_account(platform=slug)
    for place in range(2 * len(pushes)):
        told = [
            rename(event, number)
            for number, order in enumerate(orders)
            for event in pushes[order[place]]
        ]
        apply_events(account, told)
    calls: dict[str, list[Any]] = {}
    for row in Call.objects.filter(account=account).values("platform_call_id", *CALL_COLUMNS):
        calls.setdefault(strip(row.pop("platform_call_id")), []).append(row)
    assert "call" in calls
    for rows in calls.values():
        assert len(rows) == len(orders)
        assert all(row == rows[0] for row in rows)
    assert_same(Turn, "call__platform_call_id", len(orders), "position", "role", "text")
    assert_same(Recording, "call__platform_call_id", len(orders), "address", "announced_seconds")
    assert_same(Verification, "call__platform_call_id", len(orders), "digest", "query")
    agents = ("state", "since", "logged_in", "name", "platform_state", "platform_state_text")
    assert_same(Agent, "number", len(orders), *agents)
    assert_same(Agent, "number", len(orders), "events__digest")
    if slug == "moor7":
        assert Agent.objects.count() == 2 * len(orders)  # 20001 and the one who logged in
        assert Recording.objects.count() == 3 * len(orders)
    if slug == "airudder":
        assert Verification.objects.count() == len(orders)
        assert Turn.objects.count() > 3 * len(orders)


def assert_same(model: Any, key: str, count: int, *columns: str) -> None:
    """Every order has the same rows of this model."""
    found: dict[tuple[Any, ...], int] = {}
    for name, *row in model.objects.values_list(key, *columns):
        marked = (strip(name), *map(str, row))
        found[marked] = found.get(marked, 0) + 1
    assert all(number == count for number in found.values()), found
