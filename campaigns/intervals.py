"""In: hits and trials. Out: how sure a rate, or the difference of two rates, is: 95% intervals.

Wilson's score interval for one rate and Newcombe's hybrid score interval (his method 10) for a
difference: both keep what they promise for small numbers and for rates near 0 and 1, where the
usual "± 2 standard errors" claims to know too much. Pure: no row, no Django.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

LEVEL = 0.95
#: how often a difference of the seen size would be found with as many trials as are asked for
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low`` to ``high``, both within it."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``trials``. Raises ``ValueError`` for what no count can be."""

    hits: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.trials:
            raise ValueError("hits are between nothing and all the trials")

    @property
    def rate(self) -> float | None:
        """None without a trial."""
        return self.hits / self.trials if self.trials else None


def bound_rate(hits: int, trials: int, *, level: float = LEVEL) -> Interval | None:
    """Wilson's interval of a rate; None without a trial: nothing is known then."""
    share = Share(hits, trials)
    if not trials:
        return None
    z = _find_z(level)
    middle = 2 * hits + z * z
    spread = z * sqrt(z * z + 4 * hits * (trials - hits) / trials)
    below = 2 * (trials + z * z)
    rate = hits / trials
    # what is all or nothing is so to the last bit, whatever the arithmetic leaves over
    low = 0.0 if share.hits == 0 else max(0.0, (middle - spread) / below)
    high = 1.0 if share.hits == trials else min(1.0, (middle + spread) / below)
    return Interval(min(low, rate), max(high, rate))


def bound_difference(first: Share, second: Share, *, level: float = LEVEL) -> Interval | None:
    """Newcombe's interval of (first rate − second rate); None when one of them has no trial."""
    one = bound_rate(first.hits, first.trials, level=level)
    two = bound_rate(second.hits, second.trials, level=level)
    if one is None or two is None:
        return None
    p, q = first.hits / first.trials, second.hits / second.trials
    difference = p - q
    low = difference - sqrt((p - one.low) ** 2 + (two.high - q) ** 2)
    high = difference + sqrt((one.high - p) ** 2 + (q - two.low) ** 2)
    return Interval(max(-1.0, low), min(1.0, high))


def estimate_needed(
    first: float, second: float, *, level: float = LEVEL, power: float = POWER
) -> int | None:
    """How many trials each side needs for a difference like this one to be found with ``power``;
    None when there is none to be found."""
    if not (0 <= first <= 1 and 0 <= second <= 1):
        raise ValueError("a rate is between 0 and 1")
    if first == second:
        return None
    middle = (first + second) / 2
    alone = _find_z(level) * sqrt(2 * middle * (1 - middle))
    apart = NormalDist().inv_cdf(power) * sqrt(first * (1 - first) + second * (1 - second))
    return ceil((alone + apart) ** 2 / (first - second) ** 2)


def _find_z(level: float) -> float:
    """How many standard deviations ``level`` of a normal distribution lies within."""
    return NormalDist().inv_cdf((1 + level) / 2)
