"""In: a port and a speed. Out: a pretend platform that speaks HTTP and calls nobody.

`serve()` starts it inside a process (tests), `manage.py sandbox` on its own. The engine is in the
`sandbox_*` modules beside this one, what a platform says and does in `<platform>/sandbox.py`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from campaigns.platforms.airudder.sandbox import AIRudderSandbox
from campaigns.platforms.ima51.sandbox import Ima51Sandbox
from campaigns.platforms.moor7.sandbox import Moor7Sandbox
from campaigns.platforms.sandbox_clock import Clock, Scheduler
from campaigns.platforms.sandbox_control import Control
from campaigns.platforms.sandbox_engine import Engine, Settings, Side
from campaigns.platforms.sandbox_faults import Faults, Rule
from campaigns.platforms.sandbox_http import Reply, Request, Server
from campaigns.platforms.sandbox_ledger import Ledger
from campaigns.platforms.sandbox_push import Delivery, Push, PushPool
from campaigns.platforms.sandbox_store import Store
from campaigns.platforms.yeta.sandbox import YetaSandbox

# One line for each platform (docs/adding-a-platform.md); the first is what control requests mean
# that name none.
SIDES: tuple[Callable[[Engine], Side], ...] = (
    YetaSandbox,
    AIRudderSandbox,
    Moor7Sandbox,
    Ima51Sandbox,
)


class SandboxServer:
    """A running sandbox; a context manager that closes it."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        speed: float,
        call_scale: float,
        state_dir: Path | None,
        seed: str | int | None,
    ) -> None:
        self._store = Store(state_dir)
        remembered = {name: told[name] for told in self._store.load("meta") for name in told}
        clock = Clock(speed=speed, offset=max(0.0, float(remembered.get("offset", 0.0))))
        told_seed = str(seed) if seed is not None else str(remembered.get("seed", ""))
        self.seed = told_seed or secrets.token_hex(8)
        self._store.put("meta", "seed", {"seed": self.seed})
        ledger = Ledger()
        faults = Faults(seed=self.seed)
        self._pool = PushPool(
            faults=faults,
            ledger=ledger,
            find_url=self._find_url,
            find_delivery=self._find_delivery,
            on_settled=self._settle_push,
        )
        self._engine = Engine(
            clock=clock,
            scheduler=Scheduler(clock),
            ledger=ledger,
            faults=faults,
            store=self._store,
            settings=Settings(call_scale=call_scale),
            seed=self.seed,
            first_id=100_000 if seed is not None else int(time.time() * 10),
            send=self._pool.send,
        )
        self._sides: dict[str, Side] = {}
        for make in SIDES:
            side = make(self._engine)
            self._sides[side.name] = side
            self._engine.deliveries[side.name] = side.delivery
        self._control = Control(self._engine, pool=self._pool, sides=self._sides)
        self.label = ",".join(self._sides)
        try:
            self._server = Server((host, port), desk=self, faults=faults, ledger=ledger)
        except OSError:
            self._store.close()
            raise
        self._engine.url = self.url
        self._closed = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._pool.start()
        self._engine.scheduler.start()
        for side in self._sides.values():
            side.resume()
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104

    @property
    def base_url(self) -> str:
        """The base URL of an account at the pretend yeta platform."""
        return f"{self.url}/openapi"

    def close(self) -> None:
        """Stop taking requests, calling and pushing; what the state folder keeps stays."""
        if self._closed:
            return
        self._closed = True
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._engine.scheduler.close()
        self._pool.close()
        self._control.keep_clock()
        self._store.close()

    def __enter__(self) -> SandboxServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # The desk that the HTTP server asks

    def name_endpoint(self, path: str) -> str:
        for side in self._sides.values():
            if name := side.name_endpoint(path):
                return name
        return ""

    def answer(self, endpoint: str, request: Request, *, rule: Rule | None) -> Reply:
        if not endpoint:
            return self._control.answer(request)
        return self._find_side(request).answer(endpoint, request, rule=rule)

    def refuse(self, endpoint: str, request: Request, *, rule: Rule) -> Reply:
        return self._find_side(request).refuse(endpoint, request, rule=rule)

    def spoil(self, endpoint: str, request: Request, reply: Reply, *, rule: Rule) -> Reply:
        return self._find_side(request).spoil(endpoint, reply, rule=rule)

    def _find_side(self, request: Request) -> Side:
        return next(s for s in self._sides.values() if s.name_endpoint(request.path))

    def _find_url(self, push: Push) -> str | None:
        return self._sides[push.side].find_url(push)

    def _find_delivery(self, push: Push) -> Delivery:
        return self._engine.deliveries[push.side]

    def _settle_push(self, push: Push, acknowledged: bool) -> None:
        self._sides[push.side].settle_push(push, acknowledged=acknowledged)


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    speed: float = 1.0,
    call_scale: float = 1.0,
    state_dir: Path | str | None = None,
    seed: str | int | None = None,
) -> SandboxServer:
    """Start a sandbox and return it, listening.

    `speed` is how many of its seconds pass in a real one, `call_scale` how long calls are compared
    with natural ones. With `seed` ids and outcomes are the same every time. Raises OSError when
    the port is taken.
    """
    return SandboxServer(
        host=host,
        port=port,
        speed=speed,
        call_scale=call_scale,
        state_dir=Path(state_dir) if state_dir is not None else None,
        seed=seed,
    )
