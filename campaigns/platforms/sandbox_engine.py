"""In: nothing. Out: the shared parts of a sandbox, and what the side of each platform offers.

A side is one pretend platform: its HTTP endpoints, its calls and its pushes. It lives in
`<platform>/sandbox.py` and knows nothing of the other sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from campaigns.platforms.sandbox_clock import Clock, Scheduler
from campaigns.platforms.sandbox_faults import Faults, Rule
from campaigns.platforms.sandbox_http import Reply, Request
from campaigns.platforms.sandbox_ledger import Ledger
from campaigns.platforms.sandbox_live import Live
from campaigns.platforms.sandbox_push import Delivery, Push
from campaigns.platforms.sandbox_store import Store


@dataclass(slots=True)
class Settings:
    """What `POST /_sandbox/settings` can change while it runs; seconds are real ones."""

    call_scale: float = 1.0
    token_seconds: float = 3600


@dataclass(slots=True)
class Engine:
    clock: Clock
    scheduler: Scheduler
    ledger: Ledger
    faults: Faults
    store: Store
    settings: Settings
    seed: str
    # Where ids start, so that a sandbox that forgot everything does not give one out twice.
    first_id: int
    send: Callable[[Push], None]
    # How each side delivers now: what it declares, as `POST /_sandbox/settings` changed it.
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    # Where the sandbox itself is reached, for addresses in pushes. Known once it listens.
    url: str = ""


class Side(Protocol):
    """What `sandbox.py` and `sandbox_control.py` ask of every side. `sandbox_side.py` has a base
    for those that mostly push. Endpoints of a side are called `<side>/…` and its push modules
    `<side>.…`, by which fault rules tell sides apart (yeta's have the plain names)."""

    @property
    def name(self) -> str:
        """The slug of the platform."""

    @property
    def delivery(self) -> Delivery:
        """Its rules for pushes, as its text has them."""

    @property
    def live(self) -> Live:
        """Its made-up traffic."""

    def name_endpoint(self, path: str) -> str:
        """The short name of an endpoint of this platform, or an empty string."""

    def answer(self, endpoint: str, request: Request, *, rule: Rule | None) -> Reply:
        """Do what the request wants and reply."""

    def refuse(self, endpoint: str, request: Request, *, rule: Rule) -> Reply:
        """Reply with an error of the platform and do nothing."""

    def spoil(self, endpoint: str, reply: Reply, *, rule: Rule) -> Reply:
        """Change what a reply says as the fault wants."""

    def find_url(self, push: Push) -> str | None:
        """Where a push goes now."""

    def settle_push(self, push: Push, *, acknowledged: bool) -> None:
        """Hear that a push was acknowledged, or that it could not be delivered."""

    def put_app(self, app_key: str, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Create or change an application. Raises ValueError with a sentence."""

    def list_apps(self) -> list[dict[str, Any]]:
        """The applications without their secrets."""

    def list_tasks(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        """The true state of the tasks."""

    def place_inbound(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Let somebody call in. Raises ValueError with a sentence."""

    def place_call(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """One call at once; says what it is. Raises ValueError with a sentence."""

    def roll_over(self) -> None:
        """Let what failed to be pushed today have failed yesterday."""

    def count_busy(self) -> int:
        """Calls that are going on."""

    def reset(self) -> None:
        """Forget everything but the defaults."""

    def resume(self) -> None:
        """Take up what the store remembers."""
