"""In: what came of two groups. Out: how far they differ, and whether that means anything. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from campaigns.intervals import Interval, Share, bound_difference, bound_rate, estimate_needed

#: whom a rate is of. Only the first are two groups that chance made; those who picked up differ in
#: more than what they heard, and the second base is shown as the rest of the console shows it.
BASES = ("called", "reached")
#: more than anybody has to call: the two are as good as equal
MOST_NEEDED = 10_000_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """``difference`` is second − first. ``winner``: "first", "second", "" when the difference may
    be chance, None when one of them has nobody to speak of. ``missing``: about how many more people
    each group needs for a difference like this one to be told from chance; None: nobody knows, for
    they are equal so far."""

    first: Share
    second: Share
    first_interval: Interval | None
    second_interval: Interval | None
    difference: float | None
    interval: Interval | None
    winner: str | None
    missing: int | None


def compare(first: Share, second: Share) -> Comparison:
    """Two rates, with the intervals that 95 of 100 such experiments would have around the truth."""
    interval = bound_difference(second, first)
    rates = first.rate, second.rate
    winner: str | None = None
    missing = None
    difference = None
    if interval is not None and rates[0] is not None and rates[1] is not None:
        difference = rates[1] - rates[0]
        winner = "second" if interval.low > 0 else "first" if interval.high < 0 else ""
        needed = estimate_needed(rates[0], rates[1])
        if winner == "" and needed is not None and needed <= MOST_NEEDED:
            # what is asked for may be there already: chance was against it so far
            smaller = min(first.trials, second.trials)
            missing = max(needed - smaller, smaller // 10, 1)
    return Comparison(
        first=first,
        second=second,
        first_interval=bound_rate(first.hits, first.trials),
        second_interval=bound_rate(second.hits, second.trials),
        difference=difference,
        interval=interval,
        winner=winner,
        missing=missing,
    )
