"""In: where call records shall go. Out: made-up calls of the pretend 51ima, pushed by its rules.

By the text: each record is sent up to ten times, each time for five seconds, until it is taken. It
does not say what lies between two tries (here a second), nor what "taken" is (here HTTP 200). It
has nothing that could be asked for, so this side has no endpoints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from campaigns.platforms.ima51.sandbox_records import (
    AGENTS,
    TASKS,
    Planned,
    make_fields,
    make_ids,
    make_record,
    write_body,
)
from campaigns.platforms.sandbox_chance import make_chance
from campaigns.platforms.sandbox_push import Delivery, is_ok
from campaigns.platforms.sandbox_side import PushApp, PushOnlySide

#: how often chance has each `speechCallResult`
INBOUND = {"2": 55, "4": 14, "8": 10, "6": 8, "7": 5, "5": 5, "0": 3}
OUTBOUND = {"2": 45, "3": 28, "1": 16, "9": 6, "10": 5}
#: calls that end before anybody of theirs rings, or before the other side does
NO_QUEUE = frozenset({"5", "8"})
NO_RING = frozenset({"1", "4", "5", "7", "8", "10"})
#: calls that an agent was part of
WITH_AGENT = frozenset({"2", "6", "9"})
MISSING = ("absent", "null", "zero")
LONGEST = 7200


class Ima51Sandbox(PushOnlySide):
    """The side of 51ima. A wish may have `direction` (inbound, outbound), `number`, `result` (a
    code), `hangup` (a code), `menu_seconds`, `wait_seconds`, `ring_seconds`, `talk_seconds`,
    `wrap_seconds`, `score`, `task_id`, `external_id`, `external_data`, `contact` (our contact, put
    into the data), `transfer`, `notes`, `doubled`, `wrapped`, `odd` (impossible values) and
    `missing`."""

    name: ClassVar[str] = "ima51"
    delivery: ClassVar[Delivery] = Delivery(5.0, 1.0, 10, is_ok)

    def plan_call(self, app: PushApp, wish: Mapping[str, Any]) -> dict[str, Any]:
        call = self._decide(wish)
        record = make_record(call, make_chance(self.engine.seed, self.name, "person", call.number))
        contact = _find_contact(call.external_data)
        self.note_call(
            {
                "direction": "outbound" if call.outbound else "inbound",
                "caller": record["callingNumber"],
                "callee": record["calledNumber"],
                "icc_call_id": call.icc_id,
                "began_ms": call.began_ms,
                "answered_ms": call.answered_ms,
                "ended_ms": call.ended_ms,
                "ring_seconds": None if call.odd else call.ring_seconds,
                "wait_seconds": call.wait_seconds,
                "talk_seconds": call.talk_seconds,
                "hangup": call.hangup,
                "agent_number": call.agent[0] if call.agent else "",
                "task_id": call.task_id,
                "transfer_id": call.transfer_id,
                "score": None if call.odd else call.score,
                "fields": list(call.fields),
                "doubled": call.doubled,
                "wrapped": call.wrapped,
                "odd": call.odd,
            },
            call_id=call.id,
            result=call.result,
            contact=contact,
        )
        self.push(
            app,
            "callRecord",
            {"data": record} if call.wrapped else record,
            at=call.told_ms / 1000,
            raw=write_body(call, record),
            call=call.id,
            contact=contact,
        )
        return {"call": call.id, "result": call.result, "number": call.number}

    def _decide(self, wish: Mapping[str, Any]) -> Planned:
        """What a wish leaves open is left to chance."""
        number, ids = self._give_ids()
        chance = make_chance(self.engine.seed, self.name, "call", number)
        directions = ("inbound", "outbound")
        direction = _choose(wish, "direction", directions, chance.choices(directions, (60, 40))[0])
        outbound = direction == "outbound"
        odds = OUTBOUND if outbound else INBOUND
        result = _read_code(wish, "result", chance.choices([*odds], [*odds.values()])[0])
        answered, queued = result == "2", not outbound and result not in NO_QUEUE
        scale = self.engine.settings.call_scale

        def seconds(name: str, usual: tuple[int, int], *, when: bool) -> int:
            drawn = max(1, round(chance.uniform(*usual) * scale)) if when else 0
            return _read_seconds(wish, name, drawn)

        transfer = bool(wish.get("transfer", answered and chance.random() < 0.08))
        sides, weights = ("0", "1", "2"), (60, 30, 10)
        drawn_side = chance.choices(sides, weights)[0]
        drawn_side = "3" if transfer else "1" if result == "9" else drawn_side
        task_id = _read_text(wish, "task_id", chance.choice(TASKS) if outbound else "")
        if task_id and not (task_id.isascii() and task_id.isdigit()):
            raise ValueError("task_id must be digits.")
        written = answered and bool(wish.get("notes", chance.random() < 0.7))
        return Planned(
            id=ids[0],
            icc_id=ids[1],
            outbound=outbound,
            number=_read_text(wish, "number", f"1990000{chance.randrange(10_000):04d}"),
            result=result,
            hangup=_read_code(wish, "hangup", drawn_side),
            began_ms=self.engine.clock.now_ms(),
            menu_seconds=seconds("menu_seconds", (3, 12), when=not outbound),
            wait_seconds=seconds("wait_seconds", (1, 40), when=queued),
            ring_seconds=seconds("ring_seconds", (2, 25), when=result not in NO_RING),
            talk_seconds=seconds("talk_seconds", (5, 150), when=answered),
            wrap_seconds=seconds("wrap_seconds", (1, 8), when=answered),
            agent=chance.choice(AGENTS) if result in WITH_AGENT else None,
            score=_read_seconds(wish, "score", chance.randrange(6) if answered else 0),
            task_id=task_id,
            external_id=_read_text(wish, "external_id", str(2**62 + number) if task_id else ""),
            external_data=_make_data(wish),
            transfer_id=ids[1][::-1] if transfer else "",
            fields=make_fields(chance) if written else (),
            doubled=bool(wish.get("doubled", chance.random() < 0.3)),
            wrapped=bool(wish.get("wrapped", chance.random() < 0.9)),
            odd=bool(wish.get("odd", chance.random() < 0.05)),
            missing=_choose(wish, "missing", MISSING, chance.choice(MISSING)),
        )

    def _give_ids(self) -> tuple[int, tuple[str, str]]:
        """A number and what it makes; numbers of before a restart may come again, calls do not."""
        while True:
            number = self.give_number()
            ids = make_ids(self.engine.seed, number)
            if ids[0] not in self.calls:
                return number, ids


def _choose(wish: Mapping[str, Any], name: str, words: tuple[str, ...], otherwise: str) -> str:
    word = wish.get(name, otherwise)
    if word not in words:
        raise ValueError(f"{name} must be one of {', '.join(words)}.")
    return str(word)


def _read_code(wish: Mapping[str, Any], name: str, otherwise: str) -> str:
    code = str(wish.get(name, otherwise))
    if not (code.isascii() and code.isdigit() and len(code) <= 4):
        raise ValueError(f"{name} must be a code of digits.")
    return code


def _read_text(wish: Mapping[str, Any], name: str, otherwise: str) -> str:
    text = wish.get(name, otherwise)
    if not isinstance(text, str) or len(text) > 1000:
        raise ValueError(f"{name} must be a text.")
    return text


def _read_seconds(wish: Mapping[str, Any], name: str, otherwise: int) -> int:
    number = wish.get(name, otherwise)
    if type(number) is not int or not 0 <= number <= LONGEST:
        raise ValueError(f"{name} must be a whole number from 0 to {LONGEST}.")
    return number


def _make_data(wish: Mapping[str, Any]) -> str:
    """`externalData`: what was wished, or our contact in JSON."""
    contact = _read_text(wish, "contact", "")
    usual = json.dumps({"contact": contact}) if contact else ""
    return _read_text(wish, "external_data", usual)


def _find_contact(data: str) -> str:
    try:
        told = json.loads(data)
    except ValueError:
        return ""
    return str(told.get("contact", "")) if isinstance(told, dict) else ""
