"""In: what a test wishes of a call, and chance. Out: one call of the pretend 7moor, decided.

All moments are whole seconds of the sandbox's clock since 1970: 7moor tells nothing finer.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

#: how often chance has each ``status``
INBOUND = {"ANSWER": 50, "CALL_TRANSFER": 8, "QUEUE_ABANDON": 16, "IVR": 14, "AGENT_NO_ANSWER": 12}
OUTBOUND = {"ANSWER": 55, "CUSTOMER_NO_ANSWER": 40, "AGENT_NO_ANSWER": 5}
#: ``failureReason`` beside CUSTOMER_NO_ANSWER
REASONS = {
    "decline": 50,
    "requestTimeout": 25,
    "unknow": 8,
    "serviceUnavailable": 6,
    "forbidden": 6,
    "cancel": 5,
}
BEFORE_RINGING = frozenset({"forbidden", "serviceUnavailable"})
OUTBOUND_TYPES = ("dialout", "webcall", "previewDialout", "autoDialout")
TRUNK, DISPLAY, HOTLINE = "01000400199", "01000400192", "4000000000"
TALKED = frozenset({"ANSWER", "CALL_TRANSFER"})
LONGEST = 7200


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Somebody who sits at the pretend call centre."""

    number: str
    name: str
    telephone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One call. ``ringing_at`` is when the contact (outbound) or the agent (inbound) was called;
    None where it did not come to that."""

    id: str
    account_id: str
    call_type: str
    number: str
    status: str
    reason: str
    began_at: int
    queued_at: int | None
    ringing_at: int | None
    answered_at: int | None
    ended_at: int
    survey_ends_at: int | None
    survey_key: str
    hangup: str
    agent: Agent | None
    extras: Any
    task_id: str
    media: bool
    voicemail: bool
    comma: bool
    moved_from: str = ""

    @property
    def inbound(self) -> bool:
        return self.call_type == "incoming"

    @property
    def over_at(self) -> int:
        """When its record is made."""
        return (self.survey_ends_at or self.ended_at) + 1

    @property
    def word(self) -> str:
        """The word that says how it ended."""
        return self.status or self.reason

    @property
    def talk_seconds(self) -> int:
        return 0 if self.answered_at is None else self.ended_at - self.answered_at

    @property
    def ring_seconds(self) -> int:
        if self.ringing_at is None:
            return 0
        return (self.answered_at or self.ended_at) - self.ringing_at

    @property
    def wait_seconds(self) -> int:
        if self.queued_at is None:
            return 0
        return (self.ringing_at or self.ended_at) - self.queued_at

    @property
    def message_seconds(self) -> int:
        """The length of its voice mail."""
        return 12 if self.voicemail else 0


def plan(
    wish: Mapping[str, Any],
    chance: random.Random,
    *,
    call_id: str,
    account_id: str,
    now: float,
    scale: float,
) -> Planned:
    """Decide a call; its agent is chosen later. Raises ValueError with a sentence."""
    directions = ("inbound", "outbound")
    inbound = choose(wish, "direction", directions, chance.choice(directions)) == "inbound"
    odds = INBOUND if inbound else OUTBOUND
    status = choose(wish, "result", (*odds, ""), chance.choices([*odds], [*odds.values()])[0])
    refused = status in ("CUSTOMER_NO_ANSWER", "")
    drawn = chance.choices([*REASONS], [*REASONS.values()])[0] if refused else ""
    reason = choose(wish, "reason", ("", *REASONS), drawn)

    def seconds(name: str, low: int, high: int) -> int:
        told = wish.get(name)
        if told is None:
            return max(1, round(chance.uniform(low, high) * scale))
        if type(told) is not int or not 0 <= told <= LONGEST:
            raise ValueError(f"{name} must be a whole number from 0 to {LONGEST}.")
        return told

    began = int(now) + 1
    # the menu of a call that comes in, the agent's own telephone of one that goes out
    at = began + seconds("menu_seconds", 2, 8)
    queued = at if inbound and status != "IVR" else None
    ringing = answered = None
    if inbound:
        at += seconds("wait_seconds", 1, 20) if queued else 0
    if status not in ("IVR", "QUEUE_ABANDON") and (inbound or status != "AGENT_NO_ANSWER"):
        ringing = at
    if ringing is not None and reason not in BEFORE_RINGING:
        at += seconds("ring_seconds", 2, 20)
    if status in TALKED:
        answered = at
        at += seconds("talk_seconds", 5, 40)
    voicemail = status == "QUEUE_ABANDON" and bool(wish.get("voicemail", chance.random() < 0.4))
    surveyed = status == "ANSWER" and bool(wish.get("survey", inbound and chance.random() < 0.4))
    return Planned(
        id=call_id,
        account_id=account_id,
        call_type="incoming" if inbound else choose(
            wish, "call_type", OUTBOUND_TYPES, chance.choice(OUTBOUND_TYPES)
        ),
        number=read_text(wish, "number", f"1990000{chance.randrange(10_000):04d}"),
        status=status,
        reason=reason,
        began_at=began,
        queued_at=queued,
        ringing_at=ringing,
        answered_at=answered,
        ended_at=at + (12 if voicemail else 0),
        survey_ends_at=at + 6 if surveyed else None,
        survey_key=str(chance.randint(1, 5)) if surveyed else "",
        hangup="AGENT" if status in TALKED and chance.random() < 0.5 else "",
        agent=None,
        extras=read_extras(wish),
        task_id=read_text(wish, "task_id", ""),
        media=refused and not inbound and bool(wish.get("media", chance.random() < 0.25)),
        voicemail=voicemail,
        comma=bool(wish.get("comma", True)),
    )  # fmt: skip


def move_on(call: Planned, chance: random.Random, *, call_id: str, scale: float) -> Planned:
    """The call to which this one was transferred."""
    ringing = call.ended_at
    answered = ringing + max(1, round(chance.uniform(2, 8) * scale))
    return replace(
        call,
        id=call_id,
        status="ANSWER",
        began_at=ringing,
        queued_at=None,
        ringing_at=ringing,
        answered_at=answered,
        ended_at=answered + max(1, round(chance.uniform(5, 30) * scale)),
        hangup="AGENT",
        agent=None,
        moved_from=call.id,
    )


def choose(wish: Mapping[str, Any], name: str, words: tuple[str, ...], otherwise: str) -> str:
    word = wish.get(name, otherwise)
    if word not in words:
        raise ValueError(f"{name} must be one of {', '.join(filter(None, words))}.")
    return str(word)


def read_text(wish: Mapping[str, Any], name: str, otherwise: str) -> str:
    text = wish.get(name, otherwise)
    if not isinstance(text, str) or len(text) > 200:
        raise ValueError(f"{name} must be a text.")
    return text


def read_extras(wish: Mapping[str, Any]) -> Any:
    """What is carried along: ``extras``, and ``contact`` (our id of a contact) in it."""
    extras, contact = wish.get("extras", ""), read_text(wish, "contact", "")
    if extras != "" and not isinstance(extras, Mapping):
        raise ValueError("extras must be an object.")
    return {**(extras or {}), "contact": contact} if contact else extras
