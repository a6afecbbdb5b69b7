"""In: a rule that says "not now". Out: the same as a value: which rule, why, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: seconds until the rules are looked at again: at least, at most, and where no end is known
SOONEST, LATEST, UNKNOWN = 1.0, 300.0, 15.0


@dataclass(frozen=True, slots=True)
class Hold:
    """``rule`` a stable lower-case word; ``reason`` an English sentence with places for
    ``values``, translated when shown; ``until`` the moment at which the rule lets go, None where
    that is not known."""

    rule: str
    reason: str
    values: dict[str, Any] = field(default_factory=dict)
    until: datetime | None = None

    def wait(self, now: datetime) -> float:
        """Seconds until it is worth looking again."""
        if self.until is None:
            return UNKNOWN
        return min(max((self.until - now).total_seconds(), SOONEST), LATEST)
