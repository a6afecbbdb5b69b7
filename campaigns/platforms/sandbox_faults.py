"""In: rules such as "the third task/insert is cut in the middle". Out: the fault of one request.

A rule: `endpoint` (a pattern such as `task/*`, or `push.receiveVoice` for what we push), `kind`,
`count` (how often, absent: always), `after` (let so many pass first), `above` (let so many pass
each second), `probability`, and what the kind itself reads (`seconds`, `code`, `bytes`, `times`).
"""

from __future__ import annotations

import fnmatch
import itertools
import threading
import time
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from campaigns.platforms.sandbox_chance import make_chance

# What the client sees of each kind. "before" means nothing was done, "after" that it was done.
REQUEST_KINDS: dict[str, str] = {
    "refuse": "connection reset before the body is read; not done",
    "close_before": "closed after the request is read, without a reply; not done",
    "close_after": "done, then closed without a reply",
    "cut": "done, reply cut in the middle",
    "drip": "done, reply byte by byte, one each `seconds` (0.2)",
    "stall_before": "silent for `seconds` (3600), never done",
    "stall_after": "done, then silent for `seconds` (3600)",
    "late": "silent for `seconds` (5), then done and answered",
    "error_before": "HTTP 500 with HTML; not done",
    "error_after": "HTTP 500 with HTML; done",
    "html_before": "HTTP 200 with HTML; not done",
    "html_after": "HTTP 200 with HTML; done",
    "redirect": "HTTP 307 to the same endpoint; not done",
    "throttle": "HTTP 429 with Retry-After `seconds` (1); not done",
    "code": "the platform's error `code`; not done",
    "code_after": "the platform's error `code`; done all the same",
    "code_false": "done, code is false",
    "code_string": 'done, code is "0"',
    "code_float": "done, code is 0.0",
    "no_result": "done, reply without a result",
    "total_short": "done, total one too small",
    "ids_short": "done, one id missing",
    "ids_doubled": "done, the last id repeats the first",
    "ids_overlap": "done, the first id belongs to an earlier row",
    "page_repeat": "query answers page 1 whatever page was asked",
    "token_dies": "the token is unknown from now on (10001); not done",
    "act_half": "only the first half of the rows is taken, the reply tells of all",
    "act_twice": "done twice, answered once",
    "gzip_bomb": "done, reply is gzip that unpacks to `bytes` (1 GB)",
    "huge": "done, reply of `bytes` (64 MB) of JSON",
    "broken_json": "done, reply is not quite JSON",
}

PUSH_KINDS: dict[str, str] = {
    "drop": "no attempt reaches the receiver: filed after the retries",
    "lose_attempt": "this attempt gets lost, the next may arrive",
    "vanish": "neither sent nor filed",
    "forget_ack": "sent, but the acknowledgement is ignored",
    "delay": "sent `seconds` (5) later",
    "shuffle": "sent at a random moment within `seconds` (2)",
    "duplicate": "sent `times` (2) times",
}

KINDS = {**REQUEST_KINDS, **PUSH_KINDS}


@dataclass(slots=True)
class Rule:
    id: int
    endpoint: str
    kind: str
    count: int | None = None
    after: int = 0
    probability: float = 1.0
    above: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0
    #: when those came that were let pass within the last second
    passed: list[float] = field(default_factory=list)

    def lets_pass(self, now: float) -> bool:
        """Whether a platform that bears ``above`` requests a second still bears this one."""
        if self.above is None:
            return False
        self.passed = [moment for moment in self.passed if moment > now - 1]
        if len(self.passed) >= self.above:
            return False
        self.passed.append(now)
        return True

    def number(self, name: str, otherwise: float) -> float:
        value = self.options.get(name, otherwise)
        return float(value) if isinstance(value, int | float) else otherwise


class Faults:
    """The active rules of one sandbox; safe to use from any thread."""

    def __init__(self, *, seed: str) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._random = make_chance(seed, "faults")
        self._rules: list[Rule] = []

    def add(self, wish: Mapping[str, Any]) -> Rule:
        """Raises ValueError with a sentence when the rule makes no sense."""
        kind, endpoint = wish.get("kind"), wish.get("endpoint", "*")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of: {', '.join(sorted(KINDS))}.")
        if not isinstance(endpoint, str):
            raise ValueError("endpoint must be a pattern such as task/insert or push.*.")
        if kind in PUSH_KINDS and not endpoint.startswith("push."):
            endpoint = "push.*" if endpoint == "*" else f"push.{endpoint}"
        count, after = wish.get("count"), wish.get("after", 0)
        if not (count is None or (type(count) is int and count > 0)):
            raise ValueError("count must be a whole number above 0, or absent.")
        if type(after) is not int or after < 0:
            raise ValueError("after must be a whole number.")
        probability = wish.get("probability", 1.0)
        if not isinstance(probability, int | float) or not 0 <= probability <= 1:
            raise ValueError("probability must be between 0 and 1.")
        above = wish.get("above")
        if above is not None and (type(above) not in (int, float) or above < 0):
            raise ValueError("above must be a number of requests per second, or absent.")
        known = ("kind", "endpoint", "count", "after", "above", "probability")
        options = {name: value for name, value in wish.items() if name not in known}
        with self._lock:
            number = next(self._numbers)
            rule = Rule(number, endpoint, kind, count, after, float(probability), above, options)
            self._rules.append(rule)
        return rule

    def pick(self, endpoint: str, *, kinds: Container[str] = REQUEST_KINDS) -> Rule | None:
        """The first rule of these kinds that strikes this request or push, counted as fired."""
        with self._lock:
            for rule in self._rules:
                if rule.kind not in kinds or not fnmatch.fnmatchcase(endpoint, rule.endpoint):
                    continue
                if rule.count is not None and rule.fired >= rule.count:
                    continue
                rule.seen += 1
                if rule.seen <= rule.after or self._random.random() >= rule.probability:
                    continue
                if rule.lets_pass(time.monotonic()):
                    continue
                rule.fired += 1
                return rule
        return None

    def chance(self) -> float:
        with self._lock:
            return self._random.random()

    def clear(self, number: int | None = None) -> None:
        with self._lock:
            self._rules = [r for r in self._rules if number is not None and r.id != number]

    def listing(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(rule) for rule in self._rules]
