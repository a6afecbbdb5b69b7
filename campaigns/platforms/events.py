"""In: what a parser or a query understood of a platform. Out: events in our words, for ``ingest``.

An event is a statement about the past, frozen, without any Django in it. Times are aware
datetimes, durations whole seconds, ids strings, phone numbers as the platform wrote them (they
are normalised when they meet our rows). ``None`` means "this event does not say", never "empty".
``problems`` names fields that were present but unusable: {field: why}.

``details`` holds what has no column. These names mean the same for every platform and have a place
of their own on the page of a call; everything else in it is shown under the vendor's own name:

===================  ==========================================================================
``contact_number``   the number as it was handed over, where ``callee`` may be another or masked
``intention_text``   the intention in words
``labels``           {label: value}: what the script or the platform found out about the call
``questions``        [{"name", "question", "answer", "text", "status", "answered": bool|None, …}]
``slots``            {name: value}: what was understood of the contact's words
``amounts``          [{"name", "amount", "currency"}]: amounts as decimal strings, never floats
``person``           {name: value}: what the platform tells of the person called
``carried``          {name: value}: what we or the customer's systems gave along, comes back as is
``notes``            [{"name", "text"}]: summaries, remarks and form fields an agent filled in
``survey``           {"score": int|None, "text": str, …}: what the contact said of the service
``path``             [str]: the steps of the menu (IVR) that the call went through
``transfer``         {name: value}: from or to which call or person it was transferred
``media_failure``    {"reason", "code", "keyword"}: what was heard before anybody answered
===================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar, dataclass_transform

_Event = TypeVar("_Event")

#: the names of the table above
SHARED_DETAILS = frozenset(
    {"contact_number", "intention_text", "labels", "questions", "slots", "amounts", "person"}
    | {"carried", "notes", "survey", "path", "transfer", "media_failure"}
)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def _event(made: type[_Event]) -> type[_Event]:
    """Frozen for the type checker. When it runs, what guards each field of a frozen class costs
    more than the reading of the push."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(made)


def keep_apart(own: Mapping[str, Any]) -> dict[str, Any]:
    """A vendor's own fields as details: one that is called like a shared name, and may mean
    anything, has " (platform)" behind its name, so that neither hides the other."""
    if SHARED_DETAILS.isdisjoint(own):  # as nearly always
        return dict(own)
    kept: dict[str, Any] = {}
    for name, value in own.items():
        free = name
        while free in SHARED_DETAILS or free in kept or (free != name and free in own):
            free = f"{free} (platform)"
        kept[free] = value
    return kept


class Result(StrEnum):
    """How a call ended, the same words for every platform."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    POWERED_OFF = "powered_off"
    UNREACHABLE = "unreachable"
    INVALID_NUMBER = "invalid_number"
    SUSPENDED = "suspended"
    CALL_RESTRICTED = "call_restricted"
    FORWARDED = "forwarded"
    NETWORK_FAILURE = "network_failure"
    LINE_FAILURE = "line_failure"
    TIMED_OUT = "timed_out"
    ABANDONED = "abandoned"
    VOICEMAIL = "voicemail"
    TRANSFERRED = "transferred"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class HangupBy(StrEnum):
    CONTACT = "contact"
    ROBOT = "robot"
    AGENT = "agent"
    PLATFORM = "platform"
    UNKNOWN = "unknown"


class Direction(StrEnum):
    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Role(StrEnum):
    ROBOT = "robot"
    CONTACT = "contact"
    AGENT = "agent"


class AgentState(StrEnum):
    """What an agent is doing, the same words for every platform."""

    OFFLINE = "offline"
    ONLINE = "online"  # logged in, nothing more is known
    IDLE = "idle"
    BUSY = "busy"  # on a break, does not take calls
    DIALLING = "dialling"
    RINGING = "ringing"
    TALKING = "talking"
    WRAP_UP = "wrap_up"
    HOLDING = "holding"
    MUTED = "muted"
    DISCONNECTED = "disconnected"
    INVALID = "invalid"
    CUSTOM = "custom"  # a state of the customer's own; its name is beside it
    UNKNOWN = "unknown"


class PlatformTaskState(StrEnum):
    """A task as the platform sees it, the same words for every platform."""

    CREATED = "created"
    STARTED = "started"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    WAITING_RETRY = "waiting_retry"
    OUTSIDE_HOURS = "outside_hours"
    EXPIRED = "expired"
    DELETED = "deleted"
    UNKNOWN = "unknown"


#: what a platform says of a task that was started, and that calls people when it may
DIALLING = (
    PlatformTaskState.STARTED,
    PlatformTaskState.RUNNING,
    PlatformTaskState.WAITING_RETRY,
    PlatformTaskState.OUTSIDE_HOURS,
)


@_event
class Event:
    """What every event about a call says.

    ``source`` names the kind of message (e.g. ``receiveCallRecord.outbound``); ``rank`` is how far
    this source is believed when two sources disagree, higher wins. ``heard_at`` is when the push
    arrived, for calls of which nothing says a time. The rest are the keys by which the call finds
    its task and contact; each may be unknown.
    """

    source: str
    rank: int = 0
    platform_call_id: str
    platform_task_id: str | None = None
    platform_contact_id: str | None = None
    platform_robot_id: str | None = None
    relation_id: str | None = None
    heard_at: datetime | None = None
    problems: dict[str, str] = field(default_factory=dict)


@_event
class CallNews(Event):
    """What can be said of how a call went. ``attempt`` counts from 1. ``line`` is our side's number
    where it is neither ``caller`` nor ``callee``; ``agent_number`` the platform's own number of the
    agent; ``wait_seconds`` the time in queues before anybody of us answered. ``final``: the
    platform does not call this contact again (False: it did, or will); for platforms that decide
    by themselves how often they call."""

    direction: Direction | None = None
    caller: str | None = None
    callee: str | None = None
    dialed_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    answered: bool | None = None
    ring_seconds: int | None = None
    talk_seconds: int | None = None
    wait_seconds: int | None = None
    result: Result | None = None
    platform_result: str | None = None
    platform_result_text: str | None = None
    hangup_by: HangupBy | None = None
    intention: str | None = None
    attempt: int | None = None
    final: bool | None = None
    agent_number: str | None = None
    agent_name: str | None = None
    queue_name: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@_event
class CallProgressed(CallNews):
    """News of a call whose record is still to come: it is dialled, rings, is answered, hung up.
    Such a call is shown, and counts for nothing before its record is there."""


@_event
class CallEnded(CallNews):
    """A call record."""


@_event
class RecordingReady(Event):
    """A recording can be fetched. ``address`` as the platform gave it (relative or absolute);
    ``size`` in bytes and ``seconds`` as announced."""

    address: str
    size: int | None = None
    seconds: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


@_event
class TurnSaid:
    """One utterance. ``position`` orders the turns of one dialog, from 0."""

    position: int
    role: Role
    text: str
    node_id: str = ""
    node_name: str = ""
    node_type: str = ""
    label: str = ""
    intention: str = ""
    intention_text: str = ""
    question_id: str = ""
    started_at: datetime | None = None
    spoke_at: datetime | None = None
    hits: tuple[dict[str, Any], ...] = ()


@_event
class DialogReady(Event):
    """The whole transcript. ``intention`` is the best one reached, ``intention_min`` the least."""

    turns: tuple[TurnSaid, ...]
    intention: str | None = None
    intention_min: str | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None
    details: dict[str, Any] = field(default_factory=dict)


@_event
class TaskChanged:
    """What the platform says of one of its tasks, from a query or a push.

    ``counts`` holds the platform's own counters by their own names; ``contacts`` the number of
    contacts it holds, None when it does not say. ``source`` as of an event about a call, "" for an
    answer. ``node_id``: the news is of this part of the task
    alone, and says nothing of the state of the whole.
    """

    source: str = ""
    platform_task_id: str
    name: str | None = None
    state: PlatformTaskState
    platform_state: str
    deleted: bool = False
    contacts: int | None = None
    counts: dict[str, Any] = field(default_factory=dict)
    node_id: str | None = None
    node_name: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    details: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


@_event
class PushClaimed(Event):
    """A push that the platform can be asked about (``Can.VERIFY_PUSHES``). ``query`` is what it is
    asked with, ``claim`` the whole push, to be compared with the answer field by field."""

    query: dict[str, str]
    claim: dict[str, Any]


@_event
class AgentChanged:
    """What an agent did: logged in or out, or came into another state.

    ``at`` None: the push does not say when, the time of its receipt counts. ``logged_in`` None: it
    does not say. ``order`` ranks news of one and the same second: what comes later by its nature
    has the higher one. An agent is known by ``agent_number`` within its account.
    """

    source: str
    agent_number: str
    agent_name: str | None = None
    state: AgentState
    platform_state: str | None = None
    platform_state_text: str | None = None
    logged_in: bool | None = None
    at: datetime | None = None
    order: int = 0
    platform_event_id: str | None = None
    platform_call_id: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


@_event
class AccountSeen:
    """The push names whose it is. ``setting`` is the account's setting that holds the id: an empty
    one adopts it, and a push that names another is nobody of ours."""

    setting: str
    platform_account_id: str
    problems: dict[str, str] = field(default_factory=dict)


CallEvent = CallEnded | CallProgressed | RecordingReady | DialogReady | PushClaimed
AnyEvent = CallEvent | TaskChanged | AgentChanged | AccountSeen
