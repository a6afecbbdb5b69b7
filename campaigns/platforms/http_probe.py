"""In: an exchange that begins. Out: what its connection wrote; its end when the time is over."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import socket
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Probe:
    """What the connection of one request observes."""

    allow_hosts: frozenset[str]
    ends: float
    fence: Callable[[], Callable[[], None] | None] | None
    written: bool = False
    expired: bool = False
    #: whether a body comes after the head, and the head until then
    follows: bool = False
    head: bytes = b""
    #: a second handle on the socket: TLS takes the first one away, and the timer still needs one
    handle: socket.socket | None = None

    def remaining(self) -> float:
        return max(0.001, self.ends - time.monotonic())

    def expire(self) -> None:
        """Called by the timer: ends whatever the socket is doing."""
        self.expired = True
        if self.handle is not None:
            with contextlib.suppress(OSError):
                self.handle.shutdown(socket.SHUT_RDWR)

    def watch(self, sock: socket.socket) -> None:
        self.handle = sock.dup()
        if self.expired:  # the timer fired while there was nothing to shut down
            self.expire()

    def close(self) -> None:
        if self.handle is not None:
            self.handle.close()


class Alarms:
    """Calls things at their moment: one thread for all exchanges, since starting one for each costs
    more than all else that is done for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def set(self, ends: float, act: Callable[[], None]) -> list[Callable[[], None]]:
        """``act`` is called at ``ends`` unless what is returned is emptied before."""
        alarm = [act]
        with self._changed:
            heapq.heappush(self._waiting, (ends, next(self._numbers), alarm))
            if self._thread is None or not self._thread.is_alive():  # the first, or after a fork
                self._thread = threading.Thread(target=self._ring, name="deadlines", daemon=True)
                self._thread.start()
            elif self._waiting[0][2] is alarm:
                self._changed.notify()
        return alarm

    def _ring(self) -> None:
        while True:
            with self._changed:
                while self._waiting and not self._waiting[0][2]:
                    heapq.heappop(self._waiting)
                if not self._waiting:
                    self._changed.wait()
                    continue
                ends, _number, alarm = self._waiting[0]
                if (away := ends - time.monotonic()) > 0:
                    self._changed.wait(away)
                    continue
                heapq.heappop(self._waiting)
            for act in list(alarm):
                act()


ALARMS = Alarms()
#: the probe of the exchange that is under way
observed: ContextVar[Probe] = ContextVar("probe")
