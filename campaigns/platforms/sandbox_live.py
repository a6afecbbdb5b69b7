"""In: a side that can make up one thing, and a rate. Out: it made up again and again, while wished.

Switched per side with `PUT /_sandbox/sides/<name>`; remembered over a restart.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from campaigns.platforms.sandbox_chance import make_chance
from campaigns.platforms.sandbox_clock import Clock, Scheduler
from campaigns.platforms.sandbox_store import Store

USUAL_RATE, MOST_RATE = 6.0, 600.0
# However fast the clock runs: this many in a real second at most.
MOST_PER_SECOND = 50.0
# The first one: who has just begun to listen may still be starting.
SOON = 5.0


class Live:
    """The made-up traffic of one side: `act` is called about `rate` times a minute of the sandbox's
    clock, as long as it is switched on and `is_ready` (somebody listens); after `most` times it
    rests until it is switched again or the sandbox restarted. Call `nudge` when `is_ready` may
    have become true. Safe to use from any thread."""

    def __init__(
        self,
        *,
        side: str,
        clock: Clock,
        scheduler: Scheduler,
        store: Store,
        seed: str,
        act: Callable[[], object],
        is_ready: Callable[[], bool],
    ) -> None:
        self.on = False
        self.rate = USUAL_RATE
        self.most: int | None = None
        self._done = 0
        self._side = side
        self._clock = clock
        self._scheduler = scheduler
        self._store = store
        self._chance = make_chance(seed, side, "live")
        self._act = act
        self._is_ready = is_ready
        self._lock = threading.Lock()
        # Whatever was scheduled under an older number does nothing any more.
        self._number = 0
        self._waiting = False

    def tell(self) -> dict[str, Any]:
        return {"live": self.on, "rate": self.rate, "most": self.most, "done": self._done}

    def switch(
        self, *, live: bool | None = None, rate: float | None = None, most: int | None = None
    ) -> None:
        """What is not said stays, but the count begins anew; `most` 0 means without end."""
        with self._lock:
            self.on = self.on if live is None else live
            self.rate = self.rate if rate is None else rate
            self.most = self.most if most is None else most or None
            self._done = 0
            self._number += 1
            self._waiting = False
        self._store.put(f"{self._side}.live", "live", self.tell())
        self.nudge()

    def nudge(self) -> None:
        """Begin, if there is reason to and nothing is scheduled yet."""
        self._schedule(at_most=SOON)

    def reset(self) -> None:
        with self._lock:
            self.on, self.rate, self.most, self._done = False, USUAL_RATE, None, 0
            self._number += 1
            self._waiting = False
        self._store.clear(f"{self._side}.live")

    def resume(self) -> None:
        for told in self._store.load(f"{self._side}.live"):
            self.switch(live=told["live"], rate=told["rate"], most=told["most"] or 0)

    def _schedule(self, *, at_most: float | None = None) -> None:
        ready = self._is_ready()
        with self._lock:
            if self._waiting or not (self.on and self.rate > 0 and ready):
                return
            if self.most is not None and self._done >= self.most:
                return
            gap = 60 / self.rate * self._chance.uniform(0.5, 1.5)
            gap = gap if at_most is None else min(gap, at_most)
            gap = max(gap, self._clock.speed / MOST_PER_SECOND)
            self._waiting = True
            tick = functools.partial(self._tick, self._number)
        self._scheduler.call_at(self._clock.now() + gap, tick)

    def _tick(self, number: int) -> None:
        with self._lock:
            if number != self._number:
                return
            self._waiting = False
            self._done += 1
        # First, so that one thing that cannot be made up does not end all that follows.
        self._schedule()
        if self.on and self._is_ready():
            self._act()
