"""In: what a client of yeta sends. Out: what yeta would answer, call and push.

The pretend side of Part 1, 2 and 3 of the platform's text, over the shared engine. It calls
nobody. Where the text is silent, docs/sandbox.md says what is done.
"""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Mapping
from datetime import date
from typing import Any

from campaigns.platforms.sandbox_audio import render
from campaigns.platforms.sandbox_engine import Engine
from campaigns.platforms.sandbox_faults import Rule
from campaigns.platforms.sandbox_http import Reply, Request
from campaigns.platforms.sandbox_live import Live
from campaigns.platforms.sandbox_push import Delivery, Push, says_success
from campaigns.platforms.yeta.sandbox_dialer import Call, Dialer
from campaigns.platforms.yeta.sandbox_inbound import Inbound
from campaigns.platforms.yeta.sandbox_replies import (
    Refused,
    read,
    read_body,
    refuse,
    spoil_payload,
)
from campaigns.platforms.yeta.sandbox_state import ACTIVE, App, Token
from campaigns.platforms.yeta.sandbox_tasks import TaskDesk, tell_task
from campaigns.platforms.yeta.sandbox_world import SIDE, World

ENDPOINTS = {
    "/openapi/oauth/v1/token": "oauth/token",
    "/openapi/config/v1/query": "config/query",
    "/openapi/outbound/v1/task/callout": "task/callout",
    "/openapi/outbound/v1/task/create": "task/create",
    "/openapi/outbound/v1/task/insert": "task/insert",
    "/openapi/outbound/v1/task/start": "task/start",
    "/openapi/outbound/v1/task/pause": "task/pause",
    "/openapi/outbound/v1/task/delete": "task/delete",
    "/openapi/outbound/v1/task/query": "task/query",
    "/openapi/download/v1/push/failed": "push/failed",
}
VOICE_PATH, ZIP_PATH = "/voice/", "/push_download/"
TOKENS_KEPT = 10_000


class YetaSandbox:
    """The side of yeta."""

    name = SIDE
    # The text: no "success" within 3 s, then three more tries, then a file of failed pushes.
    delivery = Delivery(3.0, 1.0, 4, says_success, undelivered="filed")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._world = World(engine)
        self._dialer = Dialer(self._world)
        self._tasks = TaskDesk(self._world, self._dialer)
        self._inbound = Inbound(self._world, self._dialer)
        self.live = Live(
            side=SIDE,
            clock=engine.clock,
            scheduler=engine.scheduler,
            store=engine.store,
            seed=engine.seed,
            act=self._inbound.place_aside,
            is_ready=lambda: self._inbound.find_listening() is not None,
        )

    # HTTP

    def name_endpoint(self, path: str) -> str:
        if path.startswith(VOICE_PATH):
            return "voice"
        if path.startswith(ZIP_PATH):
            return "push_download"
        return ENDPOINTS.get(path.rstrip("/"), "")

    def answer(self, endpoint: str, request: Request, *, rule: Rule | None) -> Reply:
        if endpoint == "voice":
            return self._serve_voice(request)
        if endpoint == "push_download":
            return self._serve_zip(request)
        kind = rule.kind if rule else ""
        try:
            result = self._act(endpoint, request, kind)
        except Refused as refusal:
            return refuse(refusal.code)
        if kind == "code_after" and rule is not None:
            return refuse(int(rule.number("code", 10004)))
        return Reply.json({"code": 0, "message": "ok", "result": result})

    def refuse(self, endpoint: str, request: Request, *, rule: Rule) -> Reply:
        if rule.kind == "token_dies":
            with self._world.lock:
                self._world.tokens.pop(request.query.get("token", ""), None)
            return refuse(10001)
        return refuse(int(rule.number("code", 10004)))

    def spoil(self, endpoint: str, reply: Reply, *, rule: Rule) -> Reply:
        payload = reply.payload
        if not isinstance(payload, dict) or payload.get("code") != 0:
            return reply
        told = json.loads(json.dumps(payload))
        spoil_payload(told, rule.kind, earlier_id=self._world.earlier_id)
        return Reply.json(told) if told != payload or rule.kind.startswith("code_") else reply

    def _act(self, endpoint: str, request: Request, kind: str) -> dict[str, Any]:
        if endpoint != "oauth/token":
            app = self._find_app(request)
        body = read_body(request)
        if endpoint == "oauth/token":
            return self._give_token(body)
        if endpoint == "config/query":
            return self._tell_config(app, body)
        if endpoint == "push/failed":
            return self._list_failed(app, body)
        if endpoint == "task/query" and kind == "page_repeat":
            body = {**body, "page_index": 1}
        return self._tasks.act_on(endpoint, app, body, half=kind == "act_half")

    def _find_app(self, request: Request) -> App:
        with self._world.lock:
            token = self._world.tokens.get(request.query.get("token", ""))
            if token is None or token.dies_at <= self._engine.clock.steady():
                raise Refused(10001)
            app = self._world.apps.get(token.app_key)
            if app is None:
                raise Refused(10003)
            return app

    def _give_token(self, body: Mapping[str, Any]) -> dict[str, Any]:
        key = read(body, "app_key", str, needed=True)
        secret = read(body, "app_secret", str, needed=True)
        with self._world.lock:
            app = self._world.apps.get(key)
            if app is None or app.secret != secret:
                raise Refused(200101)
            seconds = self._engine.settings.token_seconds
            text = secrets.token_hex(16)
            tokens = self._world.tokens
            tokens[text] = Token(key, self._engine.clock.steady() + seconds)
            while len(tokens) > TOKENS_KEPT:
                tokens.pop(next(iter(tokens)))
        return {"token": text, "time_expire": int(seconds)}

    def _tell_config(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        kind = read(body, "type", int, default=0)
        if not 0 <= kind <= 4:
            raise Refused(10005)
        with self._world.lock:
            told: dict[str, Any] = {}
            if kind in (0, 2):
                told["lines"] = [
                    {
                        "line_num": line.num,
                        "concurrents": line.concurrents,
                        "time_work": line.time_work,
                        "status": int(line.busy > 0),
                        "time_apply": line.time_apply,
                        "time_expire": line.time_expire,
                    }
                    for line in app.lines.values()
                ]
            if kind in (0, 1):
                told["robots"] = [
                    {
                        "robot_id": robot.id,
                        "robot_name": robot.name,
                        "call_column": robot.call_column,
                        "status": robot.status,
                        "type": robot.type,
                        "deleted": robot.deleted,
                        "time_create": robot.time_create,
                        "time_update": robot.time_update,
                    }
                    for robot in app.robots.values()
                ]
            if kind in (0, 3):
                told["urls"] = [{"url": u, "url_module": m} for m, u in app.urls.items()]
            if kind in (0, 4):
                told["voices"] = app.voices
            return told

    def _list_failed(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        day = read(body, "date", str)
        if day is not None:
            try:
                if date.fromisoformat(day).isoformat() != day:
                    raise Refused(10005)
            except ValueError:
                raise Refused(10005) from None
        return {"url": self._world.list_zips(app, day=day)}

    def _serve_voice(self, request: Request) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return Reply.json({"error": "Method Not Allowed"}, status=405)
        call = self._find_recording(request.path.removeprefix(VOICE_PATH))
        if call is None:
            return Reply.json({"error": "Not Found"}, status=404)
        sound = _render(json.dumps(call["turns"]), call["recording"]["duration"])
        return Reply(sound, content_type="audio/wav", ranged=True)

    def _serve_zip(self, request: Request) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return Reply.json({"error": "Method Not Allowed"}, status=405)
        packed = self._world.read_zip(request.path.removeprefix(ZIP_PATH))
        if packed is None:
            return Reply.json({"error": "Not Found"}, status=404)
        return Reply(packed, content_type="application/zip", ranged=True)

    def _find_recording(self, path: str) -> Call | None:
        """The call of a recording that is over, if the address is exactly the one pushed."""
        number = path.rpartition("/")[2].removesuffix(".wav").partition("-")[2]
        call = self._world.calls.get(number)
        if call is None or call["state"] != "ended" or not call["recording"]:
            return None
        if call["recording"]["url"] != path:
            return None
        return call

    # Pushes

    def find_url(self, push: Push) -> str | None:
        with self._world.lock:
            app = self._world.apps.get(push.app_key)
            return app.urls.get(push.module) if app else None

    def settle_push(self, push: Push, *, acknowledged: bool) -> None:
        self._engine.store.remove("push", push.id)
        if not acknowledged:
            self._world.file_push(push)

    # Control

    def put_app(self, app_key: str, wish: Mapping[str, Any]) -> dict[str, Any]:
        before = self._world.apps.get(app_key)
        told = {**(before.wish if before else {}), **wish, "app_key": app_key}
        try:
            app = self._world.put_app(told)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"The application is not usable: {type(error).__name__}.") from None
        self.live.nudge()
        return self._tell_app(app)

    def list_apps(self) -> list[dict[str, Any]]:
        with self._world.lock:
            return [self._tell_app(app) for app in self._world.apps.values()]

    def _tell_app(self, app: App) -> dict[str, Any]:
        return {
            "app_key": app.key,
            "app_id": app.app_id,
            "business_id": app.business_id,
            "balance": app.balance,
            "modules": sorted(app.urls),
            "robots": list(app.robots),
            "lines": list(app.lines),
        }

    def list_tasks(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        with self._world.lock:
            listed = []
            for task in list(self._world.tasks.values()):
                if task.is_callout or filters.get("task_id", task.id) != task.id:
                    continue
                if filters.get("app_key", task.app_key) != task.app_key:
                    continue
                self._dialer.settle(task)
                told = tell_task(self._world.apps[task.app_key], task)
                states = {"waiting": 0, "calling": 0, "done": 0}
                for row in task.rows:
                    states["calling" if row.calling else "done" if row.done else "waiting"] += 1
                listed.append({**told, "app_key": task.app_key, "rows": states})
            return listed

    def place_inbound(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        return self._inbound.place(wish)

    def place_call(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        return self._inbound.place_usual(wish)

    def roll_over(self) -> None:
        self._world.age_failed()

    def count_busy(self) -> int:
        return self._dialer.calling

    def reset(self) -> None:
        self.live.reset()
        with self._world.lock:
            self._dialer.reset()
            self._world.reset()

    def resume(self) -> None:
        """Go on with tasks, calls and pushes of before a restart."""
        with self._world.lock:
            calls = self._world.load()
            rows = {str(row.id): row for task in self._world.tasks.values() for row in task.rows}
            for call in calls:
                if call["direction"] == 1:
                    self._inbound.take_up(call)
                elif call["task_data_id"] in rows:
                    task = self._world.tasks[call["task_key"]]
                    self._dialer.take_up(call, task, rows[call["task_data_id"]])
            for task in list(self._world.tasks.values()):
                if task.status in ACTIVE and not task.deleted and not task.is_pool:
                    self._dialer.activate(task)
            for told in self._engine.store.load("push"):
                self._engine.send(Push.from_dict(told))
        self.live.resume()


@functools.lru_cache(maxsize=16)
def _render(turns: str, seconds: int) -> bytes:
    return render(json.loads(turns), seconds=seconds)
