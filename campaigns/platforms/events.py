"""In: what a parser or a query understood of a platform. Out: events in our words, for ``ingest``.

An event is a statement about the past, frozen, without any Django in it. Times are aware
datetimes, durations whole seconds, ids strings, phone numbers as the platform wrote them (they
are normalised when they meet our rows). ``None`` means "this event does not say", never "empty".
``problems`` names fields that were present but unusable: {field: why}.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event about a call says.

    ``source`` names the kind of message (e.g. ``receiveCallRecord.outbound``); ``rank`` is how far
    this source is believed when two sources disagree, higher wins. The rest are the keys by which
    the call finds its task and contact; each may be unknown.
    """

    source: str
    rank: int = 0
    platform_call_id: str
    platform_task_id: str | None = None
    platform_contact_id: str | None = None
    platform_robot_id: str | None = None
    relation_id: str | None = None
    problems: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """A call record. ``attempt`` counts from 1. ``details`` are vendor fields worth showing."""

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
    result: Result | None = None
    platform_result: str | None = None
    platform_result_text: str | None = None
    hangup_by: HangupBy | None = None
    attempt: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingReady(Event):
    """A recording can be fetched. ``address`` as the platform gave it (relative or absolute);
    ``size`` in bytes and ``seconds`` as announced."""

    address: str
    size: int | None = None
    seconds: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogReady(Event):
    """The whole transcript. ``intention`` is the best one reached, ``intention_min`` the least."""

    turns: tuple[TurnSaid, ...]
    intention: str | None = None
    intention_min: str | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChanged:
    """What the platform says of one of its tasks, from a query or a push.

    ``counts`` holds the platform's own counters by their own names; ``contacts`` the number of
    contacts it holds, None when it does not say.
    """

    platform_task_id: str
    name: str | None = None
    state: PlatformTaskState
    platform_state: str
    deleted: bool = False
    contacts: int | None = None
    counts: dict[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    details: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


CallEvent = CallEnded | RecordingReady | DialogReady
AnyEvent = CallEvent | TaskChanged
