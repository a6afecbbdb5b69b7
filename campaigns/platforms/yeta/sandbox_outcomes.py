"""In: a number and an attempt. Out: how that call ends, by chance or as a rule has it.

Numbers can carry their outcome (see docs/sandbox.md): `1999CC…` ends with task_result CC (99 is
-1), `19998N…` answers after N attempts in vain, `19997N…` answers with intention A to F.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The table of the text: code → description, and how often chance has it.
RESULTS: dict[str, tuple[str, float]] = {
    "-1": ("超时", 0.5),
    "0": ("成功", 23),
    "2": ("正在通话中", 4),
    "3": ("无法接通", 6),
    "4": ("关机", 6),
    "5": ("用户正忙", 7),
    "6": ("空号", 3),
    "7": ("号码错误", 1),
    "8": ("用户拒接", 5),
    "9": ("停机", 2),
    "15": ("客户接听后并主动挂机", 15),
    "16": ("客户掉线", 1),
    "18": ("接通", 4),
    "19": ("转人工", 2),
    "20": ("用户未接", 17),
    "22": ("来电提醒", 1),
    "23": ("呼入限制", 0.5),
    "25": ("呼叫转移", 0.5),
    "26": ("网络故障", 0.5),
    "27": ("呼出受限", 0.5),
    "28": ("线路故障", 0.5),
}
ANSWERED = frozenset({"0", "15", "16", "18", "19"})
# Worth another try; an empty or wrong number is not.
RECALLED = frozenset({"-1", "2", "3", "4", "5", "8", "20", "22", "25", "26", "28"})

_RING_SECONDS: dict[str, tuple[float, float]] = {
    "20": (20, 35),
    "22": (20, 30),
    "-1": (30, 40),
    "8": (4, 15),
    "5": (1, 4),
    "2": (1, 4),
}
_MARKED = re.compile(r"1999(\d\d)\d{5}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ends; `talk_seconds` is None when the conversation says how long."""

    result: str
    ring_seconds: float
    talk_seconds: float | None = None
    intention: str | None = None
    voice: bool = True
    dialog: bool = True

    @property
    def answered(self) -> bool:
        return self.result in ANSWERED


def decide(
    number: str, *, attempt: int, rules: Mapping[str, Any], chance: random.Random, scale: float
) -> Outcome:
    """How attempt 0, 1, … at this number ends. A rule for the number comes before its digits.

    `scale` shortens what chance draws, not what a rule says.
    """
    wish = rules.get(number)
    if isinstance(wish, list):
        wish = wish[min(attempt, len(wish) - 1)] if wish else None
    if isinstance(wish, str | int):
        wish = {"result": str(wish)}
    if not isinstance(wish, Mapping):
        wish = _read_digits(number, attempt)
    codes = list(RESULTS)
    drawn = chance.choices(codes, [weight for _, weight in RESULTS.values()])[0]
    result = str(wish.get("result", drawn))
    low, high = _RING_SECONDS.get(result, (3, 12) if result in ANSWERED else (1, 6))
    ring = round(chance.uniform(low, high) * scale, 3)
    return Outcome(
        result=result,
        ring_seconds=_number(wish.get("ring_seconds")) or ring,
        talk_seconds=_number(wish.get("talk_seconds")),
        intention=wish.get("intention"),
        voice=bool(wish.get("voice", True)),
        dialog=bool(wish.get("dialog", True)),
    )


def describe(result: str) -> str:
    return RESULTS.get(result, ("未知", 0.0))[0]


def _read_digits(number: str, attempt: int) -> dict[str, Any]:
    match = _MARKED.fullmatch(number)
    if match is None:
        return {}
    mark = match.group(1)
    if mark[0] == "8":
        return {"result": "20" if attempt < int(mark[1]) else "0"}
    if mark[0] == "7" and mark[1] in "123456":
        return {"result": "0", "intention": "ABCDEF"[int(mark[1]) - 1]}
    if mark == "99":
        return {"result": "-1"}
    code = str(int(mark))
    return {"result": code} if code in RESULTS else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None
