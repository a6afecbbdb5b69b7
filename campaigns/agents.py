"""In: what agents of one account did. Out: their events, each once, and their state now.

The state is that of the newest event, so that neither order nor repetition of the pushes changes
it. Within one second the nature of the events decides, and at last their digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from campaigns.evidence import EARLIEST, LATEST
from campaigns.models import Account, Agent, AgentEvent
from campaigns.platforms.events import AgentChanged
from campaigns.platforms.values import clean, clean_text

SMALLEST, LARGEST = -(2**15), 2**15 - 1


def note_agents(account: Account, events: Sequence[AgentChanged]) -> None:
    """Write events down and bring their agents up to date, in the caller's transaction."""
    by_number: dict[str, list[AgentChanged]] = {}
    for event in events:
        if number := clean_text(event.agent_number)[:100]:
            by_number.setdefault(number, []).append(event)
    if not by_number:
        return
    numbers = sorted(by_number)
    Agent.objects.bulk_create(
        [Agent(account=account, number=number) for number in numbers], ignore_conflicts=True
    )
    ours = Agent.objects.filter(account=account, number__in=numbers)
    agents = list(ours.select_for_update().order_by("id"))
    AgentEvent.objects.bulk_create(
        [make_event(agent, event) for agent in agents for event in by_number[agent.number]],
        ignore_conflicts=True,
    )
    bring_up_to_date([agent.pk for agent in agents])


def make_event(agent: Agent, event: AgentChanged) -> AgentEvent:
    """The event as a row. Its digest is that of all it says: ids given by platforms repeat."""
    said: dict[str, Any] = {
        "at": keep_time(event.at),
        "order": max(SMALLEST, min(LARGEST, event.order)),
        "source": clean_text(event.source)[:100],
        "state": event.state.value if event.state in Agent.State.values else "unknown",
        "platform_state": clean_text(event.platform_state or "")[:100],
        "platform_state_text": clean_text(event.platform_state_text or "")[:100],
        "logged_in": event.logged_in,
        "name": clean_text(event.agent_name or "")[:100],
        "platform_call_id": clean_text(event.platform_call_id or "")[:200],
        "platform_event_id": clean_text(event.platform_event_id or "")[:100],
        "details": clean(event.details),
    }
    spelled = json.dumps(said, sort_keys=True, ensure_ascii=False, default=datetime.isoformat)
    digest = hashlib.sha256(spelled.encode()).hexdigest()
    return AgentEvent(agent=agent, digest=digest, **said)


def keep_time(moment: datetime | None) -> datetime:
    """The time of an event; of one that does not say it, or says nonsense, when it was heard."""
    usable = moment is not None and moment.tzinfo is not None and EARLIEST <= moment < LATEST
    return moment if usable and moment is not None else timezone.now()


def bring_up_to_date(agent_ids: Sequence[int]) -> None:
    """Read the columns of locked agents from their events."""
    newest = AgentEvent.objects.filter(agent=OuterRef("pk")).order_by("-at", "-order", "-digest")
    agents = list(
        Agent.objects.filter(pk__in=agent_ids).annotate(
            newest=Subquery(newest.values("pk")[:1]),
            told=Subquery(newest.filter(logged_in__isnull=False).values("pk")[:1]),
            named=Subquery(newest.exclude(name="").values("pk")[:1]),
        )
    )
    wanted = {pk for agent in agents for pk in (agent.newest, agent.told, agent.named) if pk}
    events = AgentEvent.objects.in_bulk(wanted)
    changed = [agent for agent in agents if _fill(agent, events)]
    Agent.objects.bulk_update(changed, [*_COLUMNS, "updated_at"], batch_size=200)


_COLUMNS = (
    *("state", "since", "platform_state", "platform_state_text", "platform_call_id"),
    *("name", "logged_in", "logged_in_changed_at"),
)


def _fill(agent: Any, events: Mapping[int, AgentEvent]) -> bool:
    """Set an agent's columns; whether one of them changed."""
    before = [getattr(agent, name) for name in _COLUMNS]
    newest, told, named = (events.get(pk) for pk in (agent.newest, agent.told, agent.named))
    if newest is not None:
        agent.state, agent.since = newest.state, newest.at
        agent.platform_state = newest.platform_state
        agent.platform_state_text = newest.platform_state_text
        agent.platform_call_id = newest.platform_call_id
    agent.name = named.name if named else ""
    agent.logged_in = told.logged_in if told else None
    agent.logged_in_changed_at = told.at if told else None
    agent.updated_at = timezone.now()
    return before != [getattr(agent, name) for name in _COLUMNS]
