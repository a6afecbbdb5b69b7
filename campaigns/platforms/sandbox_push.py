"""In: pushes and where to. Out: HTTP POSTs, tried again as each platform's text says.

How long a reply may take, what counts as one, and how often it is tried is the `Delivery` of the
side that pushes. Each attempt uses a connection of its own, from a small pool of threads. Times
here are real time.
"""

from __future__ import annotations

import heapq
import http.client
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from campaigns.platforms.sandbox_faults import Faults
from campaigns.platforms.sandbox_ledger import Entry, Ledger, real_time
from campaigns.platforms.sandbox_post import post

log = logging.getLogger(__name__)

# The number of tries of a doubled push: it is sent once more and decides nothing.
COPY = 1_000_000


def says_success(status: int, body: bytes) -> bool:
    """Yeta's rule: the word alone counts, whatever the status."""
    return b"success" in body


def is_ok(status: int, body: bytes) -> bool:
    """HTTP 200, whatever the body."""
    return status == 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a platform delivers. `tries` counts the first attempt too; `retry_wait` lies between the
    end of one attempt and the next; `undelivered` is what a push is called that nobody took."""

    timeout: float
    retry_wait: float
    tries: int
    acknowledged: Callable[[int, bytes], bool]
    undelivered: str = "given_up"


@dataclass(slots=True)
class Push:
    """One push. `module` is what fault rules know it by (`push.<module>`); `call` and `contact` are
    the platform's ids for the ledger, `labels` more that the ledger shows. `raw` is sent as it is,
    for platforms whose bodies no JSON writer would make; then `data` is what it means."""

    id: str
    side: str
    app_key: str
    module: str
    data: Any
    created_ms: int
    call: str = ""
    contact: str = ""
    labels: dict[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = "application/json;charset=UTF-8"
    tries: int = 0
    entry: Entry = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What a store needs to send it again after a restart."""
        return {
            "id": self.id,
            "side": self.side,
            "app_key": self.app_key,
            "module": self.module,
            "data": self.data,
            "created_ms": self.created_ms,
            "call": self.call,
            "contact": self.contact,
            "labels": self.labels,
            "raw": None if self.raw is None else self.raw.decode("latin-1"),
            "content_type": self.content_type,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Push:
        raw = told.get("raw")
        return cls(**{**told, "raw": None if raw is None else raw.encode("latin-1")})

    @property
    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        return json.dumps(self.data, ensure_ascii=False).encode("utf-8", "backslashreplace")


class PushPool:
    """Delivers pushes; `find_url` says where to, `find_delivery` how, `on_settled` hears how each
    one ended."""

    def __init__(
        self,
        *,
        faults: Faults,
        ledger: Ledger,
        find_url: Callable[[Push], str | None],
        find_delivery: Callable[[Push], Delivery],
        on_settled: Callable[[Push, bool], None],
        threads: int = 12,
    ) -> None:
        self._faults = faults
        self._ledger = ledger
        self._find_url = find_url
        self._find_delivery = find_delivery
        self._on_settled = on_settled
        self._condition = threading.Condition()
        self._heap: list[tuple[float, int, Push, bool]] = []
        self._numbers = itertools.count()
        self._acknowledgements = itertools.count(1)
        self._in_flight = 0
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"sandbox-push-{n}", daemon=True)
            for n in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def send(self, push: Push) -> None:
        """Queue a push for delivery, as the active push faults have it."""
        push.entry = self._ledger.note_push(
            {
                "id": push.id,
                "platform": push.side,
                "app_key": push.app_key,
                "module": push.module,
                "call": push.call,
                "contact": push.contact,
                **push.labels,
                "at": real_time(),
                "state": "waiting",
                "faults": [],
                "attempts": [],
                "acknowledged_n": None,
                "payload": push.data,
            }
        )
        name = f"push.{push.module}"
        wait, copies, lost = 0.0, 1, False
        for kind in ("vanish", "drop", "delay", "shuffle", "duplicate"):
            rule = self._faults.pick(name, kinds=(kind,))
            if rule is None:
                continue
            push.entry["faults"].append(kind)
            if kind == "vanish":
                push.entry["state"] = "vanished"
                self._ledger.count_push("vanished", side=push.side)
                self._on_settled(push, True)
                return
            if kind == "drop":
                lost = True
            elif kind == "delay":
                wait += rule.number("seconds", 5)
            elif kind == "shuffle":
                wait += rule.number("seconds", 2) * self._faults.chance()
            else:
                copies = max(1, int(rule.number("times", 2)))
        self._queue(push, wait=wait, lost=lost)
        for _ in range(copies - 1):
            # Copies are only noise: the first one decides what happens to the push.
            copy = replace(push, tries=COPY)
            self._queue(copy, wait=wait * self._faults.chance() if wait else 0.0, lost=False)

    def busy(self) -> int:
        with self._condition:
            return len(self._heap) + self._in_flight

    def clear(self) -> None:
        with self._condition:
            self._heap.clear()

    def close(self) -> None:
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=6)

    def _queue(self, push: Push, *, wait: float, lost: bool) -> None:
        with self._condition:
            due = time.monotonic() + wait
            heapq.heappush(self._heap, (due, next(self._numbers), push, lost))
            self._condition.notify()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._attempt(*job)
            except Exception:
                log.exception("The sandbox could not handle a push.")
            finally:
                with self._condition:
                    self._in_flight -= 1

    def _next(self) -> tuple[Push, bool] | None:
        with self._condition:
            while not self._stopping:
                if not self._heap:
                    self._condition.wait()
                    continue
                left = self._heap[0][0] - time.monotonic()
                if left <= 0:
                    _, _, push, lost = heapq.heappop(self._heap)
                    self._in_flight += 1
                    return push, lost
                self._condition.wait(left)
            return None

    def _attempt(self, push: Push, lost: bool) -> None:
        name = f"push.{push.module}"
        delivery = self._find_delivery(push)
        copy = push.tries >= COPY
        push.tries += 1
        note: Entry = {"at": real_time(), "status": None, "ok": False, "copy": copy}
        push.entry["attempts"].append(note)
        if lost or self._faults.pick(name, kinds=("lose_attempt",)) is not None:
            note["problem"] = "lost"
        else:
            self._post(push, note, delivery)
        if copy:
            return
        if note["ok"] and self._faults.pick(name, kinds=("forget_ack",)) is None:
            push.entry["state"] = "acknowledged"
            push.entry["acknowledged_n"] = next(self._acknowledgements)
            self._settle(push, "acknowledged")
        elif push.tries < delivery.tries:
            # A push that a rule dropped need not keep its receiver waiting for the file.
            self._queue(push, wait=0.0 if lost else delivery.retry_wait, lost=lost)
        else:
            push.entry["state"] = delivery.undelivered
            self._settle(push, delivery.undelivered)

    def _post(self, push: Push, note: Entry, delivery: Delivery) -> None:
        url = self._find_url(push)
        if url is None:
            note["problem"] = "no address"
            return
        self._ledger.count_push("sent", side=push.side)
        began = time.monotonic()
        try:
            status, answer = post(
                url, body=push.body, timeout=delivery.timeout, content_type=push.content_type
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            note["problem"] = type(error).__name__
        else:
            note["status"] = status
            note["ok"] = delivery.acknowledged(status, answer)
        note["ms"] = round((time.monotonic() - began) * 1000, 1)

    def _settle(self, push: Push, state: str) -> None:
        self._ledger.count_push(state, side=push.side)
        self._on_settled(push, state == "acknowledged")
