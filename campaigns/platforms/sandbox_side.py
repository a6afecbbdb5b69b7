"""In: a vendor's calls as it would push them. Out: a side without endpoints but recordings.

What the platforms share that only push: applications with addresses, calls placed by a wish or by
live traffic, recordings served, and all of it found again after a restart. A vendor's side
overrides `plan_call`, and `render_file` if it has recordings.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from campaigns.platforms.sandbox_chance import make_chance
from campaigns.platforms.sandbox_engine import Engine
from campaigns.platforms.sandbox_faults import Rule
from campaigns.platforms.sandbox_http import Reply, Request
from campaigns.platforms.sandbox_live import Live
from campaigns.platforms.sandbox_outbox import Outbox
from campaigns.platforms.sandbox_push import Delivery, Push

DEMO_KEY = "sandbox-key"
CALLS_KEPT = 20_000
NUMBERS_RESERVED = 1000
SECRETS = frozenset({"app_secret", "urls"})

Call = dict[str, Any]


@dataclass(slots=True)
class PushApp:
    """A customer of the platform: `wish` is all that `PUT /_sandbox/apps/<key>` ever said, `urls`
    {kind: address} where "" (or "*") takes every kind that has no address of its own."""

    key: str
    wish: dict[str, Any]
    urls: dict[str, str]

    def find_url(self, kind: str) -> str | None:
        return self.urls.get(kind) or self.urls.get("") or self.urls.get("*")


@dataclass(slots=True)
class Planned:
    """What a call that is being planned will leave behind."""

    documents: list[tuple[str, str, Call]] = field(default_factory=list)
    pushes: list[tuple[float, Push]] = field(default_factory=list)


class PushOnlySide:
    """The base of such a side; safe to use from any thread."""

    name: ClassVar[str]
    delivery: ClassVar[Delivery]

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.lock = threading.RLock()
        self.apps: dict[str, PushApp] = {}
        self.calls: dict[str, Call] = {}
        self._next_number = self._reserved = engine.first_id
        self._push_numbers = itertools.count(1)
        self._planned: Planned | None = None
        self._chance = make_chance(engine.seed, self.name, "apps")
        self.outbox = Outbox(engine, side=self.name)
        self.live = Live(
            side=self.name,
            clock=engine.clock,
            scheduler=engine.scheduler,
            store=engine.store,
            seed=engine.seed,
            act=self.act_live,
            is_ready=self._is_heard,
        )
        self._add_demo()

    # What a vendor overrides

    def plan_call(self, app: PushApp, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Make up one call, `note_call` it, `push` all that is pushed about it, and say what it is
        ({"call": its id, …}). An empty wish leaves everything to chance. Runs under `lock`. Raises
        ValueError with a sentence when the wish makes no sense."""
        raise NotImplementedError

    def render_file(self, name: str) -> tuple[bytes, str] | None:
        """Bytes and type of the file at `tell_file_url(name)`; None when there is none."""
        return None

    def act_live(self) -> None:
        """One event of live traffic: a call at one of the apps that listen."""
        with self.lock:
            apps = [app for app in self.apps.values() if app.urls]
            if apps:
                self.make_call(self._chance.choice(apps), {})

    # What a vendor uses

    def give_number(self) -> int:
        """A number never given out before, to make ids of."""
        with self.lock:
            self._next_number += 1
            if self._next_number > self._reserved:
                # Many at once, so that not each of them is a write.
                self._reserved += NUMBERS_RESERVED
                told = {"next": self._reserved}
                self.engine.store.put(f"{self.name}.numbers", "next", told)
            return self._next_number

    def tell_file_url(self, name: str) -> str:
        return f"{self.engine.url}/{self.name}/files/{name}"

    def make_call(self, app: PushApp, wish: Mapping[str, Any]) -> dict[str, Any]:
        """`plan_call`, its call and pushes remembered at once: a restart finds all or none."""
        with self.lock:
            self._planned = planned = Planned()
            try:
                told = self.plan_call(app, wish)
            finally:
                self._planned = None
            self.outbox.send_all(planned.pushes, documents=planned.documents)
            return told

    def note_call(self, call: Call, *, call_id: str, result: str, contact: str = "") -> None:
        """The truth about a call, for the ledger and for its recording; JSON values only."""
        with self.lock:
            self.engine.ledger.note_call(
                call, side=self.name, call_id=call_id, result=result, contact=contact
            )
            self._keep_call(call)
            document = (f"{self.name}.call", call_id, call)
            if self._planned is not None:
                self._planned.documents.append(document)
            else:
                self.engine.store.put(*document)

    def push(
        self,
        app: PushApp,
        kind: str,
        data: Any,
        *,
        at: float | None = None,
        raw: bytes | None = None,
        call: str = "",
        contact: str = "",
    ) -> None:
        """Push something now, or when the sandbox's clock shows `at`. `kind` names it for fault
        rules (`push.<side>.<kind>`) and addresses; `raw` is sent instead of `data` as JSON."""
        now = self.engine.clock.now()
        # The time makes it differ from those before a restart.
        number = f"{self.name}-{int(now * 1000)}-{next(self._push_numbers)}"
        made = Push(
            number,
            self.name,
            app.key,
            f"{self.name}.{kind}",
            data,
            int(now * 1000),
            call=call,
            contact=contact,
            raw=raw,
        )
        due = now if at is None else at
        with self.lock:
            if self._planned is not None:
                self._planned.pushes.append((due, made))
            else:
                self.outbox.send_at(due, made)

    # HTTP

    def name_endpoint(self, path: str) -> str:
        return f"{self.name}/file" if path.startswith(f"/{self.name}/files/") else ""

    def answer(self, endpoint: str, request: Request, *, rule: Rule | None) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return Reply.json({"error": "Method Not Allowed"}, status=405)
        found = self.render_file(request.path.removeprefix(f"/{self.name}/files/"))
        if found is None:
            return Reply.json({"error": "Not Found"}, status=404)
        return Reply(found[0], content_type=found[1], ranged=True)

    def refuse(self, endpoint: str, request: Request, *, rule: Rule) -> Reply:
        return Reply.json({"error": "Forbidden"}, status=403)

    def spoil(self, endpoint: str, reply: Reply, *, rule: Rule) -> Reply:
        return reply

    # Pushes

    def find_url(self, push: Push) -> str | None:
        with self.lock:
            app = self.apps.get(push.app_key)
            return app.find_url(push.module.removeprefix(f"{self.name}.")) if app else None

    def settle_push(self, push: Push, *, acknowledged: bool) -> None:
        self.outbox.settle(push)

    def _is_heard(self) -> bool:
        with self.lock:
            return any(app.urls for app in self.apps.values())

    # Control

    def put_app(self, app_key: str, wish: Mapping[str, Any]) -> dict[str, Any]:
        with self.lock:
            before = self.apps.get(app_key)
            told = {**(before.wish if before else {}), **wish, "app_key": app_key}
            app = read_app(told)
            self.apps[app_key] = app
            self.engine.store.put(f"{self.name}.app", app_key, app.wish)
        self.live.nudge()
        return tell_app(app)

    def list_apps(self) -> list[dict[str, Any]]:
        with self.lock:
            return [tell_app(app) for app in self.apps.values()]

    def list_tasks(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        return []

    def place_inbound(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        raise ValueError("This platform has no such calls: POST to /_sandbox/calls.")

    def place_call(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """One call at once, at the app of `app_key`, else at the first one that listens."""
        with self.lock:
            heard = [app for app in self.apps.values() if app.urls] or list(self.apps.values())
            app = self.apps.get(str(wish["app_key"])) if "app_key" in wish else heard[0]
            if app is None:
                raise ValueError("app_key is not known.")
            return self.make_call(app, wish)

    def roll_over(self) -> None:
        """Nothing is filed here."""

    def count_busy(self) -> int:
        return self.outbox.count_calls()

    def reset(self) -> None:
        self.live.reset()
        self.outbox.reset()
        with self.lock:
            self.apps.clear()
            self.calls.clear()
            self.engine.store.clear(f"{self.name}.app", f"{self.name}.call")
            self._add_demo()

    def resume(self) -> None:
        store = self.engine.store
        with self.lock:
            for told in store.load(f"{self.name}.numbers"):
                self._next_number = self._reserved = max(told["next"], self._reserved)
            for wish in store.load(f"{self.name}.app"):
                self.apps[wish["app_key"]] = read_app(wish)
            store.trim(f"{self.name}.call", keep=CALLS_KEPT)
            for call in store.load(f"{self.name}.call"):
                self.engine.ledger.note_call(
                    call,
                    side=self.name,
                    call_id=call["call"],
                    result=call["result"],
                    contact=call["contact"],
                )
                self._keep_call(call)
        self.outbox.resume()
        self.live.resume()

    def _keep_call(self, call: Call) -> None:
        with self.lock:
            self.calls[call["call"]] = call
            while len(self.calls) > CALLS_KEPT:
                self.calls.pop(next(iter(self.calls)))

    def _add_demo(self) -> None:
        # Not stored: the store may remember a changed one.
        self.apps[DEMO_KEY] = PushApp(DEMO_KEY, {"app_key": DEMO_KEY}, {})


def read_app(wish: Mapping[str, Any]) -> PushApp:
    """Raises ValueError with a sentence."""
    urls = wish.get("urls") or {}
    if not isinstance(urls, Mapping) or not all(isinstance(url, str) for url in urls.values()):
        raise ValueError("urls must be an object of addresses.")
    return PushApp(str(wish["app_key"]), dict(wish), {k: u for k, u in urls.items() if u})


def tell_app(app: PushApp) -> dict[str, Any]:
    shown = {name: told for name, told in app.wish.items() if name not in SECRETS}
    return {**shown, "app_key": app.key, "modules": sorted(app.urls)}
