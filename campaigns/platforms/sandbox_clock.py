"""In: a speed, and callables with due times. Out: the sandbox's time, and those callables run.

The clock starts at the real time and may run faster, be stopped (speed 0) or jump ahead.
Times are seconds since the epoch unless a name ends in `_ms`.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

log = logging.getLogger(__name__)

# China keeps no summer time, so a fixed offset needs no time zone database.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")


class Clock:
    """The time of a sandbox; safe to use from any thread."""

    def __init__(self, *, speed: float = 1.0, offset: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._speed = max(0.0, speed)
        self._real_at = time.monotonic()
        self._time_at = time.time() + offset
        self._advanced = 0.0
        self._watchers: list[Callable[[], None]] = []

    @property
    def speed(self) -> float:
        return self._speed

    def now(self) -> float:
        with self._lock:
            return self._now()

    def _now(self) -> float:
        return self._time_at + (time.monotonic() - self._real_at) * self._speed

    def now_ms(self) -> int:
        return int(self.now() * 1000)

    def offset(self) -> float:
        """Seconds by which this clock is ahead of the real one."""
        return self.now() - time.time()

    def steady(self) -> float:
        """Seconds that pass at real speed but follow jumps.

        Tokens live by it: their holder counts real seconds, however fast calls go.
        """
        return time.monotonic() + self._advanced

    def local(self) -> datetime:
        return datetime.fromtimestamp(self.now(), SHANGHAI)

    def change(self, *, speed: float | None = None, advance: float = 0.0) -> None:
        with self._lock:
            self._time_at = self._now() + advance
            self._real_at = time.monotonic()
            self._advanced += advance
            if speed is not None:
                self._speed = max(0.0, speed)
        for watcher in self._watchers:
            watcher()

    def rewind(self) -> None:
        """Go back to the real time."""
        self.change(advance=-self.offset())

    def watch(self, watcher: Callable[[], None]) -> None:
        self._watchers.append(watcher)


class Scheduler:
    """Runs callables when the clock reaches their time, one after the other, in one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sandbox-scheduler", daemon=True)
        clock.watch(self.wake)

    def start(self) -> None:
        self._thread.start()

    def call_at(self, when: float, act: Callable[[], None]) -> None:
        with self._condition:
            heapq.heappush(self._heap, (when, next(self._numbers), act))
            if self._heap[0][2] is act:
                self._condition.notify()

    def wake(self) -> None:
        with self._condition:
            self._condition.notify()

    def clear(self) -> None:
        with self._condition:
            self._heap.clear()

    def pending(self) -> int:
        return len(self._heap)

    def close(self) -> None:
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while (act := self._next()) is not None:
            try:
                act()
            except Exception:
                # One bad event must not stop all calls of all tasks.
                log.exception("The sandbox could not run a scheduled event.")

    def _next(self) -> Callable[[], None] | None:
        with self._condition:
            while not self._stopping:
                if not self._heap:
                    self._condition.wait()
                    continue
                left = self._heap[0][0] - self._clock.now()
                if left <= 0:
                    return heapq.heappop(self._heap)[2]
                speed = self._clock.speed
                self._condition.wait(min(left / speed, 3600.0) if speed else 3600.0)
            return None
