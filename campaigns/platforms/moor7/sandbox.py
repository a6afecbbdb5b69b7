"""In: where events shall go. Out: a little call centre of the pretend 7moor, and what it pushes.

Agents log in, take a break, dial and are dialled, and log out; each call brings the pushes of the
nine kinds that belong to it. The text documents neither time-out nor repetition: one try. Nothing
can be asked of it, so the only endpoint serves the recordings.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from campaigns.platforms.moor7.sandbox_bodies import Told, make_presence, make_state, tell_call
from campaigns.platforms.moor7.sandbox_plan import DISPLAY, TRUNK, Agent, Planned, move_on, plan
from campaigns.platforms.sandbox_audio import render
from campaigns.platforms.sandbox_chance import make_chance
from campaigns.platforms.sandbox_engine import Engine
from campaigns.platforms.sandbox_push import Delivery, is_ok
from campaigns.platforms.sandbox_side import PushApp, PushOnlySide

ACCOUNT = "20000153"
#: 18 digits, beyond what a double holds
FIRST_CALL = 400_000_000_000_000_000
FIRST_AGENT, USUAL_AGENTS, MOST_AGENTS = 20_001, 3, 200
WRAP_UP = 4
BREAKS = (("1", ""), ("101", "培训"), ("102", "午休"))
CALLED = ("您好,这里是客服中心", "请问有什么可以帮您", "好的,已经为您登记", "感谢您的来电")
ANSWERED = ("你好", "我想问一下订单", "好的", "谢谢,再见")


@dataclass(slots=True)
class Floor:
    """Who sits at the call centre of one application, and until when each is taken."""

    free_at: dict[str, float] = field(default_factory=dict)
    #: numbers that logged out; they are the next ones to log in
    away: list[str] = field(default_factory=list)


class Moor7Sandbox(PushOnlySide):
    """The side of 7moor. An application may have an `account_id`. A wish may have `direction`
    (inbound, outbound), `number`, `result` (a `status`), `reason` (a `failureReason`), `call_type`,
    `menu_seconds`, `wait_seconds`, `ring_seconds`, `talk_seconds`, `extras`, `contact` (our
    contact, put into the extras), `task_id`, `survey`, `voicemail`, `media` and `comma` (false:
    the inbound hang-up lacks one, as in the text)."""

    name: ClassVar[str] = "moor7"
    delivery: ClassVar[Delivery] = Delivery(5.0, 0.0, 1, is_ok)

    def __init__(self, engine: Engine) -> None:
        self._floors: dict[str, Floor] = {}
        super().__init__(engine)

    # Calls

    def plan_call(self, app: PushApp, wish: Mapping[str, Any]) -> dict[str, Any]:
        number = self.give_number()
        chance = make_chance(self.engine.seed, self.name, "call", number)
        scale = self.engine.settings.call_scale
        call = plan(
            wish,
            chance,
            call_id=str(FIRST_CALL + number),
            account_id=tell_account(app),
            now=self.engine.clock.now(),
            scale=scale,
        )
        self._carry_out(app, call, chance)
        told = {"call": call.id, "result": call.word, "number": call.number}
        if call.status == "CALL_TRANSFER":
            moved = move_on(call, chance, call_id=str(FIRST_CALL + self.give_number()), scale=scale)
            self._carry_out(app, moved, chance)
            told["moved_to"] = moved.id
        return told

    def _carry_out(self, app: PushApp, call: Planned, chance: random.Random) -> None:
        needed = call.ringing_at is not None or call.status == "AGENT_NO_ANSWER"
        if needed:
            call = replace(call, agent=self._take_agent(app, call, chance))
        contact = call.extras.get("contact", "") if isinstance(call.extras, Mapping) else ""
        self.note_call(_describe(call), call_id=call.id, result=call.word, contact=contact)
        for one in tell_call(
            call, chance, find_file=lambda ending: self.tell_file_url(call.id + ending)
        ):
            self._push(app, one, call=call.id, contact=contact)
        if call.agent:
            idle_at = call.ended_at + WRAP_UP
            body = make_state(call.agent, chance, state="0", at=idle_at, account_id=call.account_id)
            self._push(app, Told("agentStatus", idle_at, body))

    def _push(self, app: PushApp, told: Told, *, call: str = "", contact: str = "") -> None:
        self.push(app, told.kind, told.body, at=told.at, raw=told.raw, call=call, contact=contact)

    # Agents

    def act_live(self) -> None:
        """Mostly a call, now and then an agent who comes, goes or takes a break."""
        with self.lock:
            apps = [app for app in self.apps.values() if app.urls]
            if not apps:
                return
            app = self._chance.choice(apps)
            if self._chance.random() < 0.8:
                self.plan_call(app, {})
            else:
                self._change_floor(app, self._chance)

    def _change_floor(self, app: PushApp, chance: random.Random) -> None:
        floor = self._floors.setdefault(app.key, Floor())
        now = int(self.engine.clock.now())
        free = [number for number, until in floor.free_at.items() if until < now]
        if len(floor.free_at) < USUAL_AGENTS or not free:
            self._log_in(app, floor, chance, at=now)
        elif chance.random() < 0.5:
            agent = make_agent(chance.choice(free))
            floor.free_at.pop(agent.number)
            floor.away.append(agent.number)
            self._tell_presence(app, agent, chance, word="logout", at=now)
        else:
            agent = make_agent(chance.choice(free))
            back_at = now + chance.randint(20, 60)
            floor.free_at[agent.number] = back_at + 1
            for at, (state, name) in ((now, chance.choice(BREAKS)), (back_at, ("0", ""))):
                self._tell_state(app, agent, chance, at=at, state=state, name=name)

    def _take_agent(self, app: PushApp, call: Planned, chance: random.Random) -> Agent:
        """Somebody free during the call; if nobody is, one more logs in."""
        floor = self._floors.setdefault(app.key, Floor())
        begins = call.began_at if not call.inbound else call.ringing_at or call.began_at
        free = [number for number, until in floor.free_at.items() if until < begins]
        if free:
            agent = make_agent(chance.choice(free))
        else:
            agent = self._log_in(app, floor, chance, at=min(begins, call.began_at) - 1)
        floor.free_at[agent.number] = call.ended_at + WRAP_UP + 1
        return agent

    def _log_in(self, app: PushApp, floor: Floor, chance: random.Random, *, at: int) -> Agent:
        seats = (str(FIRST_AGENT + n) for n in range(MOST_AGENTS))
        new = [seat for seat in seats if seat not in floor.free_at and seat not in floor.away]
        number = floor.away.pop(0) if floor.away else (new or [min(floor.free_at)])[0]
        agent = make_agent(number)
        if number not in floor.free_at:
            floor.free_at[number] = at + 1
            self._tell_presence(app, agent, chance, word="login", at=at)
            self._tell_state(app, agent, chance, at=at, state="0")
        return agent

    def _tell_presence(
        self, app: PushApp, agent: Agent, chance: random.Random, *, word: str, at: int
    ) -> None:
        ways = ("PSTN", "WEBRTC", "SIP") if word == "login" else ("normal", "normal", "offline")
        body = make_presence(
            agent, chance, word=word, at=at, account_id=tell_account(app), how=chance.choice(ways)
        )
        self._push(app, Told(word, at, body))

    def _tell_state(
        self,
        app: PushApp,
        agent: Agent,
        chance: random.Random,
        *,
        at: int,
        state: str,
        name: str = "",
    ) -> None:
        body = make_state(
            agent, chance, state=state, name=name, at=at, account_id=tell_account(app)
        )
        self._push(app, Told("agentStatus", at, body))

    def reset(self) -> None:
        with self.lock:
            self._floors.clear()
        super().reset()

    # Recordings

    def render_file(self, name: str) -> tuple[bytes, str] | None:
        number, _, ending = name.partition("-")
        with self.lock:
            call = self.calls.get(number)
        if call is None or ending not in call["files"]:
            return None
        if call["ended_at"] > self.engine.clock.now():
            return None
        voice = {"in.wav": "customer", "out.wav": "robot"}.get(ending, "")
        seconds = call["recording_seconds"]
        return _render(json.dumps(make_turns(seconds, voice=voice)), seconds), "audio/wav"


def tell_account(app: PushApp) -> str:
    return str(app.wish.get("account_id") or ACCOUNT)


def make_agent(number: str) -> Agent:
    return Agent(number=number, name=f"坐席{number[-3:]}", telephone=f"199{number:0>8}")


def make_turns(seconds: int, *, voice: str) -> list[dict[str, Any]]:
    """Who speaks when in a recording; ``voice`` leaves one of the two."""
    lines = [line for pair in zip(CALLED, ANSWERED, strict=True) for line in pair]
    turns = []
    at = 0.5
    for n, text in enumerate(lines):
        until = at + len(text) * 0.2
        turns.append({"role": ("robot", "customer")[n % 2], "text": text, "at": at, "until": until})
        at = until + 0.5
    return [turn for turn in turns if voice in ("", turn["role"])]


def _describe(call: Planned) -> dict[str, Any]:
    """The truth about a call, for the ledger; times in whole seconds."""
    talked = call.answered_at is not None
    files = ["doubleTrack.wav", "in.wav", "out.wav"] if talked else []
    own = TRUNK if call.inbound else DISPLAY
    return {
        "direction": "inbound" if call.inbound else "outbound",
        "call_type": call.call_type,
        "caller": call.number if call.inbound else own,
        "callee": own if call.inbound else call.number,
        "began_at": call.began_at,
        "ringing_at": call.ringing_at,
        "answered_at": call.answered_at,
        "ended_at": call.ended_at,
        "answered": talked,
        "ring_seconds": call.ring_seconds,
        "talk_seconds": call.talk_seconds,
        "wait_seconds": call.wait_seconds,
        "status": call.status,
        "reason": call.reason,
        "hangup": call.hangup,
        "agent_number": call.agent.number if call.agent else "",
        "survey": call.survey_key,
        "media": call.media,
        "moved_from": call.moved_from,
        "task_id": call.task_id,
        "files": ["voiceMail.wav"] if call.voicemail else files,
        "recording_seconds": call.message_seconds or call.talk_seconds,
    }


@functools.lru_cache(maxsize=16)
def _render(turns: str, seconds: int) -> bytes:
    return render(json.loads(turns), seconds=seconds)
