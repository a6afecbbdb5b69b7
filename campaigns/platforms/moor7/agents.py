"""In: the fields of a push about an agent. Out: what the agent did, as an event.

An agent is known by 工号 alone: log-in and log-out name no call, and states outlive calls.
"""

from __future__ import annotations

from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.events import AgentChanged
from campaigns.platforms.moor7.reading import Told, read_word
from campaigns.platforms.moor7.vocabulary import (
    LOGIN_ORDER,
    LOGOUT_ORDER,
    OTHER_ORDER,
    PRESENCE_NAMES,
    PRESENCES,
    STATE_ORDERS,
    get_agent_state,
)
from campaigns.platforms.values import MAX_NAME_CHARS

#: What an agent's event has a place for; the call of the same push leaves it alone.
AGENT_FIELDS = frozenset({"statusNumber", "statusName"})
#: What is kept beside the state. Numbers and what was carried along belong to the call.
_KEPT = ("pushType", "callEvent", "callType", "loginType", "logoutType", "offlineType")


def read_state(told: Told) -> AgentChanged | None:
    """A change of an agent's state; None when it names no agent."""
    agent = told.id("agentNumber")
    if agent is None:
        return None
    number = told.id("statusNumber")
    name = told.text("statusName", limit=100)
    state = get_agent_state(number.strip() if number else None, name)
    return AgentChanged(
        source="callStatus",
        agent_number=agent,
        agent_name=told.text("agentName", limit=100),
        state=state,
        platform_state=number,
        platform_state_text=name,
        at=told.take_moment("statusTime"),
        order=STATE_ORDERS.get(state, OTHER_ORDER),
        platform_event_id=_read_event_id(told),
        platform_call_id=told.id("callUniqueId", limit=MAX_NAME_CHARS)
        or told.id("superUniqueId", limit=MAX_NAME_CHARS),
        details={name: value for name, value in told.list_rest().items() if name in _KEPT},
        problems=told.problems,
    )


def read_presence(told: Told) -> AgentChanged:
    """A log-in or a log-out of the phone bar.

    Who logs out with 离线接听方式 has left the phone bar and is still reached by telephone. That is
    logged out: no state will come of them any more. How they left is kept beside it.
    """
    agent = told.id("agentNumber")
    if agent is None:
        raise Unrecognised("no_agent", told.problems.get("agentNumber", ""))
    word = read_word(told.raw.get("pushType"))
    if word not in PRESENCES:
        word = "login" if told.says("loginType") else "logout"
    state, logged_in = PRESENCES[word]
    used = ("agentNumber", "agentName", "statusTime", "eventUniqueId", "uniqueId")
    return AgentChanged(
        source=word,
        agent_number=agent,
        agent_name=told.text("agentName", limit=100),
        state=state,
        platform_state=word,
        platform_state_text=PRESENCE_NAMES[word],
        logged_in=logged_in,
        at=told.take_moment("statusTime"),
        order=LOGIN_ORDER if logged_in else LOGOUT_ORDER,
        platform_event_id=_read_event_id(told),
        details=told.list_rest(without=used),
        problems=told.problems,
    )


def _read_event_id(told: Told) -> str | None:
    return told.id("eventUniqueId") or told.id("uniqueId")
