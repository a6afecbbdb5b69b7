"""In: requests to `/` and `/_sandbox/…`. Out: the ledger, and a sandbox set up as a test wants.

docs/sandbox.md lists the endpoints. What changes something must be sent as JSON, so that no web
page can do it from a browser on the same machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from campaigns.platforms.sandbox_engine import Engine, Side
from campaigns.platforms.sandbox_faults import KINDS
from campaigns.platforms.sandbox_http import Reply, Request
from campaigns.platforms.sandbox_live import MOST_RATE
from campaigns.platforms.sandbox_push import PushPool

PREFIX = "/_sandbox"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Callboard sandbox</title>
<style>body{font:16px/1.6 sans-serif;max-width:42em;margin:3em auto;padding:0 1em}</style></head>
<body><h1>A pretend platform · 模拟平台</h1>
<p>This is Callboard's sandbox. It behaves like a calling platform and
<strong>calls nobody</strong>: all calls, people and recordings are made up.</p>
<p>这是 Callboard 的模拟平台,用于演示和测试,<strong>不会拨打任何电话</strong>:
所有通话、客户和录音都是虚构的。</p>
<p>Pretends to be: SIDES · <a href="/_sandbox/state">state</a> ·
<a href="/_sandbox/ledger">ledger</a></p></body></html>
"""


class Control:
    """The pages of the sandbox itself."""

    def __init__(self, engine: Engine, *, pool: PushPool, sides: Mapping[str, Side]) -> None:
        self._engine = engine
        self._pool = pool
        self._sides = sides
        self._reads: dict[str, Callable[[Request], Any]] = {
            "state": self._tell_state,
            "ledger": lambda _: self._engine.ledger.summary() | {"busy": self._tell_busy()},
            "requests": lambda request: self._engine.ledger.requests.select(request.query),
            "calls": lambda request: self._engine.ledger.calls.select(request.query),
            "pushes": lambda request: self._engine.ledger.pushes.select(request.query),
            "asks": lambda request: self._engine.ledger.asks.select(request.query),
            "apps": self._list_apps,
            "sides": lambda _: self._tell_sides(),
            "tasks": self._list_tasks,
            "faults": lambda _: {"rules": self._engine.faults.listing(), "kinds": KINDS},
        }
        self._deeds: dict[str, Callable[[dict[str, Any]], Any]] = {
            "faults": lambda wish: asdict(self._engine.faults.add(wish)),
            "clock": self._change_clock,
            "settings": self._change_settings,
            "rollover": self._roll_over,
            "reset": self._reset,
            "calls": lambda wish: self._find_side(wish).place_call(wish),
            "inbound": lambda wish: self._find_side(wish).place_inbound(wish),
        }

    def answer(self, request: Request) -> Reply:
        if request.path == "/":
            text = PAGE.replace("SIDES", ", ".join(self._sides))
            return Reply(text.encode(), content_type="text/html; charset=utf-8")
        name, _, rest = request.path.removeprefix(PREFIX).strip("/").partition("/")
        if not request.path.startswith(PREFIX + "/") and request.path != PREFIX:
            return _tell_problem(404, "There is nothing here.")
        try:
            return self._act(name or "state", rest, request)
        except ValueError as error:
            return _tell_problem(400, str(error))

    def _act(self, name: str, rest: str, request: Request) -> Reply:
        if request.method in ("GET", "HEAD"):
            if name not in self._reads or rest:
                return _tell_problem(404, "There is nothing here.")
            return Reply.json(self._reads[name](request))
        if request.method == "DELETE" and name == "faults":
            self._engine.faults.clear(int(rest) if rest.isascii() and rest.isdigit() else None)
            return Reply.json({})
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise ValueError("Send Content-Type: application/json.")
        wish = _read(request.body)
        if request.method == "PUT" and name == "apps" and rest:
            return Reply.json(self._find_side(wish).put_app(rest, wish))
        if request.method == "PUT" and name == "sides" and rest:
            return Reply.json(self._switch_side(self._find_side({"platform": rest}), wish))
        if request.method == "POST" and name in self._deeds and not rest:
            return Reply.json(self._deeds[name](wish))
        return _tell_problem(404, "There is nothing here.")

    def _find_side(self, wish: Mapping[str, Any]) -> Side:
        name = wish.get("platform", next(iter(self._sides)))
        if name not in self._sides:
            raise ValueError("There is no such platform here.")
        return self._sides[name]

    def _tell_busy(self) -> dict[str, int]:
        calls = sum(side.count_busy() for side in self._sides.values())
        return {"calls": calls, "pushes": self._pool.busy()}

    def _tell_state(self, _: Request) -> dict[str, Any]:
        return {
            "sandbox": True,
            "platforms": list(self._sides),
            "seed": self._engine.seed,
            "now": self._engine.clock.local().isoformat(timespec="milliseconds"),
            "now_ms": self._engine.clock.now_ms(),
            "speed": self._engine.clock.speed,
            "call_scale": self._engine.settings.call_scale,
            "token_seconds": self._engine.settings.token_seconds,
            **self._tell_delivery(next(iter(self._sides))),
            "sides": self._tell_sides(),
            "busy": self._tell_busy(),
        }

    def _tell_delivery(self, name: str) -> dict[str, Any]:
        delivery = self._engine.deliveries[name]
        return {
            "push_timeout": delivery.timeout,
            "push_retry_wait": delivery.retry_wait,
            "push_tries": delivery.tries,
        }

    def _tell_sides(self) -> dict[str, Any]:
        return {
            name: side.live.tell() | self._tell_delivery(name) for name, side in self._sides.items()
        }

    def _switch_side(self, side: Side, wish: dict[str, Any]) -> dict[str, Any]:
        live = wish.get("live")
        if not (live is None or isinstance(live, bool)):
            raise ValueError("live must be true or false.")
        most = _number(wish, "most", most=1_000_000_000)
        side.live.switch(
            live=live,
            rate=_number(wish, "rate", most=MOST_RATE),
            most=None if most is None else int(most),
        )
        return side.live.tell()

    def _list_apps(self, _: Request) -> list[dict[str, Any]]:
        return [
            {"platform": name, **app}
            for name, side in self._sides.items()
            for app in side.list_apps()
        ]

    def _list_tasks(self, request: Request) -> list[dict[str, Any]]:
        return [
            {"platform": name, **task}
            for name, side in self._sides.items()
            for task in side.list_tasks(request.query)
            if request.query.get("platform", name) == name
        ]

    def _change_clock(self, wish: dict[str, Any]) -> dict[str, Any]:
        speed = _number(wish, "speed", most=100_000)
        advance = _number(wish, "advance_seconds", most=3_200_000_000)
        self._engine.clock.change(speed=speed, advance=advance or 0.0)
        self.keep_clock()
        return {"now_ms": self._engine.clock.now_ms(), "speed": self._engine.clock.speed}

    def keep_clock(self) -> None:
        """So that after a restart no call ended in the future."""
        self._engine.store.put("meta", "clock", {"offset": self._engine.clock.offset()})

    def _change_settings(self, wish: dict[str, Any]) -> dict[str, Any]:
        settings = self._engine.settings
        scale = _number(wish, "call_scale", most=100)
        life = _number(wish, "token_seconds", most=1_000_000)
        timeout = _number(wish, "push_timeout", most=600)
        wait = _number(wish, "push_retry_wait", most=86_400)
        tries = _number(wish, "push_tries", most=1000)
        # Of one platform if it is named, else of all.
        named = [self._find_side(wish).name] if "platform" in wish else list(self._sides)
        settings.call_scale = settings.call_scale if scale is None else scale
        settings.token_seconds = settings.token_seconds if life is None else life
        for name in named:
            before = self._engine.deliveries[name]
            self._engine.deliveries[name] = replace(
                before,
                timeout=before.timeout if timeout is None else timeout,
                retry_wait=before.retry_wait if wait is None else wait,
                tries=before.tries if tries is None else max(1, int(tries)),
            )
        return {"call_scale": settings.call_scale, "token_seconds": settings.token_seconds}

    def _roll_over(self, _: dict[str, Any]) -> dict[str, Any]:
        for side in self._sides.values():
            side.roll_over()
        return {}

    def _reset(self, _: dict[str, Any]) -> dict[str, Any]:
        self._engine.faults.clear()
        for side in self._sides.values():
            side.reset()
        self._engine.scheduler.clear()
        self._pool.clear()
        self._engine.clock.rewind()
        self.keep_clock()
        self._engine.ledger.clear()
        return {}


def _read(body: bytes | None) -> dict[str, Any]:
    try:
        wish = json.loads(body or b"{}")
    except RecursionError:
        raise ValueError("The body is nested too deep.") from None
    except ValueError:
        raise ValueError("The body is not JSON.") from None
    if not isinstance(wish, dict):
        raise ValueError("The body must be a JSON object.")
    return wish


def _number(wish: Mapping[str, Any], name: str, *, most: float) -> float | None:
    value = wish.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= most:
        raise ValueError(f"{name} must be a number from 0 to {most:g}.")
    return float(value)


def _tell_problem(status: int, sentence: str) -> Reply:
    return Reply.json({"error": sentence}, status=status)
