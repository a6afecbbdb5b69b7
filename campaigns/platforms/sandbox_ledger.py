"""In: each request, ring, call, push and question as it happens. Out: the truth, for tests.

What the pretend platform really did, whatever it told anybody. Bounded: the oldest entries make
way beyond a cap, and how many made way is counted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

CAP = 200_000

Entry = dict[str, Any]


def real_time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def hash_body(body: bytes) -> str:
    """A hash that is the same for JSON bodies that say the same."""
    try:
        told = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        told = body
    return hashlib.sha256(told).hexdigest()


class Book:
    """A bounded list of entries, numbered from 1 in the order they came (`n`)."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self.clear()

    def clear(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=self._cap)
        self._numbers = itertools.count(1)
        self.total = 0

    def add(self, entry: Entry) -> Entry:
        entry["n"] = self.total = next(self._numbers)
        self.entries.append(entry)
        return entry

    def select(self, filters: Mapping[str, str]) -> Entry:
        """The entries that match; `after`, `limit` page on by number, other names are fields."""
        after = _whole(filters.get("after"), 0)
        limit = _whole(filters.get("limit"), self._cap)
        fields = {k: v for k, v in filters.items() if k not in ("after", "limit")}
        found: list[Entry] = []
        for entry in list(self.entries):
            if entry["n"] <= after:
                continue
            if all(str(entry.get(name)) == value for name, value in fields.items()):
                found.append(entry)
                if len(found) >= limit:
                    break
        return {"total": self.total, "gone": self.total - len(self.entries), "items": found}


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else otherwise


class Ledger:
    """The truth ledger of one sandbox; safe to use from any thread."""

    def __init__(self, *, cap: int = CAP) -> None:
        self._lock = threading.Lock()
        self._cap = cap
        self.requests = Book(cap)
        self.calls = Book(cap)
        self.pushes = Book(cap)
        self.asks = Book(cap)
        self.clear()

    def clear(self) -> None:
        with self._lock:
            for book in (self.requests, self.calls, self.pushes, self.asks):
                book.clear()
            self.rings: Counter[str] = Counter()
            self.rings_by_row: Counter[str] = Counter()
            self.rings_beyond_cap = 0
            self.requests_by_endpoint: Counter[str] = Counter()
            self.requests_by_hash: Counter[str] = Counter()
            self.push_counts: Counter[str] = Counter()
            self.calls_by_result: Counter[str] = Counter()
            self.calls_by_side: dict[str, Counter[str]] = {}
            self.pushes_by_side: dict[str, Counter[str]] = {}

    def note_request(self, endpoint: str, *, method: str, fault: str | None) -> Entry:
        """Written as soon as the head of a request is read, so that refused ones count too."""
        with self._lock:
            self.requests_by_endpoint[endpoint] += 1
            return self.requests.add(
                {
                    "at": real_time(),
                    "endpoint": endpoint,
                    "method": method,
                    "fault": fault,
                    "acted": False,
                    "hash": None,
                    "code": None,
                    "status": None,
                }
            )

    def note_body(self, entry: Entry, body: bytes) -> None:
        digest = hash_body(body)
        with self._lock:
            entry["hash"] = digest
            key = f"{entry['endpoint']} {digest}"
            if key in self.requests_by_hash or len(self.requests_by_hash) < self._cap:
                self.requests_by_hash[key] += 1

    def note_ring(self, number: str, *, row: str) -> None:
        with self._lock:
            if number not in self.rings and len(self.rings) >= self._cap:
                self.rings_beyond_cap += 1
                return
            self.rings[number] += 1
            if row:
                self.rings_by_row[row] += 1

    def note_call(
        self, call: Entry, *, side: str, call_id: str, result: str, contact: str = ""
    ) -> None:
        """Note a call of any side. `call` stays the side's own and may go on changing; the ids and
        the result (the platform's own word) are put beside what it says."""
        with self._lock:
            call |= {"platform": side, "call": call_id, "contact": contact, "result": result}
            self.calls.add(call)
            self.calls_by_result[result] += 1
            self.calls_by_side.setdefault(side, Counter())[result] += 1

    def note_push(self, entry: Entry) -> Entry:
        with self._lock:
            self._count_push("created", entry["platform"])
            return self.pushes.add(entry)

    def count_push(self, what: str, *, side: str) -> None:
        with self._lock:
            self._count_push(what, side)

    def _count_push(self, what: str, side: str) -> None:
        self.push_counts[what] += 1
        self.pushes_by_side.setdefault(side, Counter())[what] += 1

    def note_ask(self, entry: Entry) -> None:
        with self._lock:
            self.asks.add(entry)

    def summary(self) -> Entry:
        with self._lock:
            return {
                "rings": dict(self.rings),
                "rings_by_row": dict(self.rings_by_row),
                "rings_beyond_cap": self.rings_beyond_cap,
                "requests": dict(self.requests_by_endpoint),
                "requests_repeated": dict(self._repeated()),
                "calls": self.calls.total,
                "calls_by_result": dict(self.calls_by_result),
                "pushes": dict(self.push_counts),
                "asks": self.asks.total,
                "platforms": {
                    side: {
                        "calls": sum(self.calls_by_side.get(side, Counter()).values()),
                        "calls_by_result": dict(self.calls_by_side.get(side, Counter())),
                        "pushes": dict(self.pushes_by_side.get(side, Counter())),
                    }
                    for side in sorted({*self.calls_by_side, *self.pushes_by_side})
                },
                "cap": self._cap,
            }

    def _repeated(self) -> Iterator[tuple[str, int]]:
        return ((key, count) for key, count in self.requests_by_hash.items() if count > 1)
