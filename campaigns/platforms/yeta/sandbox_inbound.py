"""In: somebody calls in. Out: the questions of Part 3 to the app, the call, and its pushes."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from campaigns.platforms.sandbox_chance import make_chance
from campaigns.platforms.sandbox_post import post
from campaigns.platforms.yeta.sandbox_dialer import Call, Dialer, make_call, name_recording
from campaigns.platforms.yeta.sandbox_outcomes import decide
from campaigns.platforms.yeta.sandbox_records import make_semantic_request
from campaigns.platforms.yeta.sandbox_script import converse
from campaigns.platforms.yeta.sandbox_state import App, Robot
from campaigns.platforms.yeta.sandbox_world import World

ASK_SECONDS = 3.0


class Inbound:
    """Calls that come in; they take no line from the tasks."""

    def __init__(self, world: World, dialer: Dialer) -> None:
        self._world = world
        self._engine = world.engine
        self._dialer = dialer

    def place(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """One call. Raises ValueError with a sentence when the wish makes no sense."""
        with self._world.lock:
            app = self._world.apps.get(str(wish.get("app_key")))
            if app is None:
                raise ValueError("app_key is not known.")
            robot = app.robots.get(str(wish.get("robot_id")))
            if robot is None or not robot.usable:
                raise ValueError("robot_id is not one that can talk.")
            relation = wish.get("call_relation_id")
            if not isinstance(relation, str) or not relation:
                raise ValueError("call_relation_id is missing.")
            number = self._world.give_call_number()
        told = {"call_relation_id": relation, "business_id": app.business_id}
        told |= {"app_id": app.app_id, "robot_id": robot.id}
        context = self._ask(app, "getDialogContext", told)
        call = self._make(app, robot, wish, context=context, number=number)
        semantic = self._ask(app, "semantic", make_semantic_request(app, call, context=context))
        with self._world.lock:
            self._world.add_call(call)
            self._engine.store.put("call", call["call_uuid"], call)
            self.take_up(call)
        return {"call_uuid": call["call_uuid"], "context": context, "semantic": semantic}

    def place_usual(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """One call with what the wish leaves out filled in. Calls out need a task, as at the
        platform."""
        app = self.find_listening()
        with self._world.lock:
            app = self._world.apps.get(str(wish["app_key"])) if "app_key" in wish else app
            if app is None:
                raise ValueError("app_key is not known, or no application has push addresses.")
            robot = next((robot.id for robot in app.robots.values() if robot.usable), "")
        usual = {
            "app_key": app.key,
            "robot_id": robot,
            "call_relation_id": secrets.token_hex(8),
            "caller": f"199000000{secrets.randbelow(100):02d}",
        }
        return self.place({**usual, **wish})

    def place_aside(self) -> None:
        """The same in a thread of its own: the questions of Part 3 may take seconds, and the
        events of the clock must not wait for them."""
        threading.Thread(target=self._place_quietly, daemon=True).start()

    def _place_quietly(self) -> None:
        # The last address may just have gone: then nobody calls in.
        with contextlib.suppress(ValueError):
            self.place_usual({})

    def find_listening(self) -> App | None:
        with self._world.lock:
            return next((app for app in self._world.apps.values() if app.urls), None)

    def take_up(self, call: Call) -> None:
        """Let the call go on until its end."""
        self._dialer.calling += 1
        self._engine.scheduler.call_at(call["time_hangup"] / 1000, lambda: self._end(call))

    def _end(self, call: Call) -> None:
        with self._world.lock:
            if self._world.calls.get(call["call_uuid"]) is not call:
                return  # reset in the meantime
            self._dialer.calling -= 1
            call["state"] = "ended"
            pushes = self._dialer.make_pushes(self._world.apps[call["app_key"]], call)
            self._engine.store.put_all(
                [
                    ("call", call["call_uuid"], call),
                    *(("push", push.id, push.to_dict()) for push in pushes),
                ]
            )
        for push in pushes:
            self._engine.send(push)

    def _make(
        self, app: App, robot: Robot, wish: Mapping[str, Any], *, context: Any, number: int
    ) -> Call:
        chance = make_chance(self._engine.seed, "inbound", number)
        scale = self._engine.settings.call_scale
        wished = {name: wish[name] for name in ("talk_seconds", "intention") if name in wish}
        outcome = decide(
            "", attempt=0, rules={"": {"result": "0", **wished}}, chance=chance, scale=scale
        )
        known = context if isinstance(context, dict) else {}
        talk = converse(
            robot_name=robot.name,
            # The script takes the first value for the phone number.
            values={"": "", **{str(name): str(value) for name, value in known.items()}},
            result="0",
            intention=outcome.intention,
            chance=chance,
        )
        now = self._engine.clock.now_ms()
        call = make_call(talk, outcome, dial=now, chance=chance, scale=scale)
        call |= {
            "app_key": app.key,
            "task_key": "",
            "task_id": "",
            "task_data_id": "",
            "call_relation_id": str(wish["call_relation_id"]),
            "direction": 1,
            "caller": str(wish.get("caller", "19900000000")),
            "callee": next(iter(app.lines), ""),
            "line": "",
            "robot_id": robot.id,
            "attempt": 0,
            "task_result": "",
        }
        name_recording(call)
        return call

    def _ask(self, app: App, module: str, told: Mapping[str, Any]) -> Any:
        """Ask the app as Part 3 says and note the answer; None when there is none."""
        url = app.urls.get(module)
        if url is None:
            return None
        entry: dict[str, Any] = {"app_key": app.key, "module": module, "request": told}
        began = time.monotonic()
        try:
            body = json.dumps(told, ensure_ascii=False).encode("utf-8", "backslashreplace")
            entry["status"], answer = post(url, body=body, timeout=ASK_SECONDS)
        except (OSError, HTTPException, ValueError) as error:
            entry["problem"], answer = type(error).__name__, b""
        entry["ms"] = round((time.monotonic() - began) * 1000, 1)
        entry["body"] = answer.decode("utf-8", "replace")
        self._engine.ledger.note_ask(entry)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            return None
