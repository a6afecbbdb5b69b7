"""In: what agents did, in every order, doubled, at once. Out: proof that the rows are the same."""

from __future__ import annotations

import itertools
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from campaigns.agents import note_agents
from campaigns.ingest import apply_events
from campaigns.models import Agent, AgentEvent
from campaigns.platforms.events import AgentChanged, AgentState
from tests.factories import make_account

START = datetime(2021, 5, 8, 6, 39, tzinfo=UTC)


def make_change(seconds: int, state: AgentState, **fields: Any) -> AgentChanged:
    values: dict[str, Any] = {
        "source": "callStatus",
        "agent_number": "20001",
        "agent_name": "sc的坐席",
        "platform_state": state.value,
        "at": START + timedelta(seconds=seconds),
    }
    return AgentChanged(state=state, **values | fields)


DAY = [
    make_change(
        0, AgentState.ONLINE, source="login", logged_in=True, platform_event_id="a", order=0
    ),
    make_change(10, AgentState.DIALLING, platform_event_id="b", order=1),
    # 7m-24: a hang-up and the state after it within one second
    make_change(20, AgentState.TALKING, platform_event_id="c", order=3),
    make_change(20, AgentState.WRAP_UP, platform_event_id="c", order=5),
    make_change(15, AgentState.RINGING, platform_event_id="d", order=2, agent_name=None),
]


def tell_rows(account: Any) -> Any:
    agent = Agent.objects.get(account=account)
    told = (agent.state, agent.since, agent.logged_in, agent.logged_in_changed_at, agent.name)
    return told, list(agent.events.values_list("at", "state", "digest"))


@pytest.mark.django_db
def test_every_order_gives_the_same_agent() -> None:
    seen = []
    for order in itertools.permutations(DAY):
        account = make_account()
        for event in order:
            note_agents(account, [event])
        note_agents(account, list(order))  # each a second time
        seen.append(tell_rows(account))
    assert all(rows == seen[0] for rows in seen)
    (state, since, logged_in, _at, name), events = seen[0]
    assert (state, since) == ("wrap_up", START + timedelta(seconds=20))
    assert logged_in is True
    assert name == "sc的坐席"
    assert len(events) == len(DAY)


@pytest.mark.django_db
def test_who_logged_out_is_gone_until_something_newer_is_heard() -> None:
    account = make_account()
    gone = make_change(30, AgentState.OFFLINE, source="logout", logged_in=False, order=9)
    note_agents(account, [gone, *DAY])
    agent = Agent.objects.get()
    assert (agent.state, agent.logged_in, agent.is_on) == ("offline", False, False)
    note_agents(account, [make_change(40, AgentState.IDLE)])
    agent.refresh_from_db()
    assert (agent.state, agent.is_on) == ("idle", True)


@pytest.mark.django_db
def test_two_events_with_one_id_are_two() -> None:
    """7m-8: the platform gives one eventUniqueId to different events."""
    account = make_account()
    events = [make_change(second, AgentState.IDLE, platform_event_id="e454") for second in (1, 2)]
    note_agents(account, events)
    assert AgentEvent.objects.count() == 2


@pytest.mark.django_db
def test_agents_of_two_accounts_with_one_number_are_two() -> None:
    one, other = make_account(), make_account()
    apply_events(one, DAY)
    apply_events(other, [make_change(5, AgentState.IDLE, agent_name="B")])
    assert dict(Agent.objects.values_list("account", "state")) == {
        one.pk: "wrap_up",
        other.pk: "idle",
    }


@pytest.mark.django_db
def test_odd_events_are_kept_in_bounds() -> None:
    account = make_account()
    odd = make_change(
        0,
        AgentState.CUSTOM,
        agent_number="9" * 300,
        agent_name="\x00\ud800" + "n" * 300,
        platform_state="s" * 300,
        platform_call_id="c" * 300,
        order=10**9,
        at=datetime(9999, 1, 1, tzinfo=UTC),
        details={"a": "\x00", "b": [1]},
    )
    note_agents(account, [odd, make_change(0, AgentState.IDLE, agent_number="\x00")])
    agent = Agent.objects.get()
    assert len(agent.number) == 100
    assert agent.since is not None and agent.since.year < 2100


@pytest.mark.django_db(transaction=True)
def test_the_same_events_at_once_are_one_row_each() -> None:
    account = make_account()
    barrier = threading.Barrier(8)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        events = random.Random(seed).sample(DAY, len(DAY))
        try:
            barrier.wait()
            for event in events:
                apply_events(account, [event])
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert AgentEvent.objects.count() == len(DAY)
    assert Agent.objects.get().state == "wrap_up"
