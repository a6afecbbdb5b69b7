"""In: pushes that are due later. Out: each sent when its time has come, over restarts too."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from campaigns.platforms.sandbox_engine import Engine
from campaigns.platforms.sandbox_push import Push


class Outbox:
    """The pushes of one side that were not yet delivered. Safe to use from any thread."""

    def __init__(self, engine: Engine, *, side: str) -> None:
        self._engine = engine
        self._kind = f"{side}.push"
        self._lock = threading.Lock()
        self._waiting: dict[str, Push] = {}

    def send_at(self, due: float, push: Push) -> None:
        """Send a push when the sandbox's clock shows `due` (seconds since the epoch)."""
        self.send_all([(due, push)])

    def send_all(
        self,
        pushes: Iterable[tuple[float, Push]],
        *,
        documents: Iterable[tuple[str, str, Mapping[str, Any]]] = (),
    ) -> None:
        """The same for several, remembered all at once with the `documents` (kind, key, body) that
        belong to them: a restart finds all or none."""
        told = list(pushes)
        self._engine.store.put_all(
            [
                *documents,
                *((self._kind, push.id, push.to_dict() | {"due": due}) for due, push in told),
            ]
        )
        self._schedule(told)

    def settle(self, push: Push) -> None:
        """Forget a push that was delivered, or given up."""
        self._engine.store.remove(self._kind, push.id)

    def count_calls(self) -> int:
        """Calls of which a push is still to come."""
        with self._lock:
            return len({push.call or push.id for push in self._waiting.values()})

    def reset(self) -> None:
        with self._lock:
            self._waiting.clear()
        self._engine.store.clear(self._kind)

    def resume(self) -> None:
        told = self._engine.store.load(self._kind)
        self._schedule([(push.pop("due"), Push.from_dict(push)) for push in told])

    def _schedule(self, pushes: list[tuple[float, Push]]) -> None:
        with self._lock:
            self._waiting |= {push.id: push for _, push in pushes}
        for due, push in pushes:
            self._engine.scheduler.call_at(due, functools.partial(self._send, push))

    def _send(self, push: Push) -> None:
        with self._lock:
            if self._waiting.get(push.id) is not push:
                return  # reset in the meantime
        # Counted as waiting until the pool has it, so that nothing looks quiet in between.
        self._engine.send(push)
        with self._lock:
            if self._waiting.get(push.id) is push:
                del self._waiting[push.id]
