"""In: nothing. Out: the shape of what a platform asks us during a call, and of what we answer.

A platform that asks declares each kind of question (``Platform.questions``): how its request is
read, how an answer is spelt, and what is answered when there is nothing to say. What is answered is
found out by ``campaigns.answering``, which knows no vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

#: beyond it, programs that read JSON numbers as floats lose digits
MOST_INTEGER = 2**53 - 1


class About(StrEnum):
    """What a platform wants to know."""

    VARIABLES = "variables"  # of somebody who calls in: what the script says about them
    MEANING = "meaning"  # of what somebody said


@dataclass(frozen=True, slots=True)
class Said:
    """One step of the dialog: what the robot said and what the contact answered to it."""

    robot: str = ""
    contact: str = ""
    node_name: str = ""
    node_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question, in our words. Ids are strings, "" for what was not said; ``context`` are the
    variables that the script has so far; ``reply`` is the last answer as the platform gives it
    beside the dialog."""

    about: About
    robot_id: str = ""
    code: str = ""
    call_id: str = ""
    relation_id: str = ""
    task_id: str = ""
    contact_id: str = ""
    caller: str = field(default="", repr=False)
    callee: str = field(default="", repr=False)
    direction: str = ""
    context: Mapping[str, str] = field(default_factory=dict, repr=False)
    said: tuple[Said, ...] = field(default=(), repr=False)
    reply: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Value:
    """One part of an answer."""

    key: str
    value: int | str

    @property
    def type(self) -> str:
        return "integer" if isinstance(self.value, int) else "string"


@dataclass(frozen=True, slots=True)
class Question:
    """One kind of question. ``read`` raises ``Unrecognised``; ``empty`` is what nothing is spelt
    as, and what is answered whenever something fails."""

    about: About
    read: Callable[[bytes], Asked]
    spell: Callable[[Sequence[Value]], bytes]
    empty: bytes
