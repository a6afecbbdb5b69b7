"""In: a number and a moment. Out: the pretended calls at it, and what was said in them.

Chance decides, about half of the contacts answer in the end, unless the number says it by its last
eleven digits: ``1999CC…`` ends with ``hangupReason`` CC, ``19998N…`` answers after N calls in vain,
``19997N…`` answers with intention A to F, ``19996…`` answers and its push is tampered with.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TALKED = "12"
#: hangupReason → how often chance has it when nobody talks
SILENT = {"3": 30, "6": 25, "7": 20, "4": 8, "8": 5, "16": 7, "14": 5}
#: worth another call; the others are no better the next time
REDIALLED = frozenset({"3", "6", "7", "14", "2", "0"})
KNOWN = frozenset({*map(str, range(21))} - {"10", "11"})
TALKING = frozenset({"2", TALKED})
USUAL_CALLS = 3
REDIAL_WAIT = 20.0
CALLERS = ("+8601000000088", "+8601000000089")
_MARKED = re.compile(r"1999(\d\d)\d{5}\Z")

ROBOT = (
    "您好,请问是机主本人吗?",
    "我这边提醒您,本期账单即将到期。",
    "请问您今天方便处理吗?",
    "好的,感谢您的接听,再见。",
)
CONTACT = ("是的", "我知道了", "明天可以", "好的,再见")
INTENTIONS = {
    "A": "Agrees to pay",
    "B": "Will think about it",
    "C": "Asks for instalments",
    "D": "Calls back later",
    "E": "Needs Follow Up",
    "F": "Not reached",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One pretended call; times are seconds since the epoch."""

    call_id: str
    caller: str
    began_at: float
    ring_seconds: int
    talk_seconds: int
    reason: str

    @property
    def answered(self) -> bool:
        return self.reason in TALKING

    @property
    def ended_at(self) -> float:
        return self.began_at + self.ring_seconds + self.talk_seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    attempts: tuple[Attempt, ...]
    intention: str
    tampered: bool


def plan_calls(
    number: str,
    *,
    begin_at: float,
    scale: float,
    chance: random.Random,
    make_id: Callable[[], str],
    wish: Mapping[str, Any],
) -> Outcome:
    """The calls at one contact. ``wish`` may say ``reasons`` (one for each call), ``intention``,
    ``tampered``, ``talk_seconds``."""
    told = _read_digits(number) | dict(wish)
    reasons = told.get("reasons")
    if reasons is None:
        reasons = _draw_reasons(chance)
    if not reasons or not all(str(reason) in KNOWN for reason in reasons):
        raise ValueError("reasons must be a list of hangupReason codes.")
    attempts: list[Attempt] = []
    at = begin_at
    for reason in map(str, reasons):
        answered = reason in TALKING
        low, high = (3, 12) if answered else (1, 25)
        talk = told.get("talk_seconds", chance.uniform(12, 45) * scale)
        attempts.append(
            Attempt(
                call_id=make_id(),
                caller=chance.choice(CALLERS),
                began_at=at,
                ring_seconds=max(1, round(chance.uniform(low, high) * scale)),
                talk_seconds=max(1, round(float(talk))) if answered else 0,
                reason=reason,
            )
        )
        at = attempts[-1].ended_at + max(1.0, REDIAL_WAIT * scale)
    drawn = chance.choice("ABCDE") if attempts[-1].answered else "F"
    return Outcome(
        attempts=tuple(attempts),
        intention=str(told.get("intention", drawn)),
        tampered=told.get("tampered") is True,
    )


def _draw_reasons(chance: random.Random) -> list[str]:
    reasons: list[str] = []
    while len(reasons) < USUAL_CALLS:
        if chance.random() < 0.3:
            return [*reasons, TALKED]
        reasons += chance.choices(list(SILENT), list(SILENT.values()))
        if reasons[-1] not in REDIALLED:
            break
    return reasons


def _read_digits(number: str) -> dict[str, Any]:
    match = _MARKED.search(number)
    if match is None:
        return {}
    mark = match[1]
    if mark[0] == "8":
        return {"reasons": ["3"] * int(mark[1]) + [TALKED]}
    if mark[0] == "7" and mark[1] in "123456":
        return {"reasons": [TALKED], "intention": "ABCDEF"[int(mark[1]) - 1]}
    if mark[0] == "6":
        return {"reasons": [TALKED], "intention": "E", "tampered": True}
    reason = str(int(mark))
    return {"reasons": [reason]} if reason in KNOWN else {}


def converse(attempt: Attempt) -> list[dict[str, str]]:
    """``asr_result``: offsets that repeat, rows of the robot, of the contact, and empty ones."""
    if not attempt.answered:
        return []
    step = max(1, attempt.talk_seconds // len(ROBOT))
    rows: list[dict[str, str]] = []
    for index, (said, answer) in enumerate(zip(ROBOT, CONTACT, strict=True)):
        seconds = attempt.ring_seconds + index * step
        time = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        rows.append({"time": time, "robottext": said, "text": ""})
        rows.append({"time": time, "robottext": "", "text": answer if index < 3 else ""})
    return rows
