"""In: what two people said of the same things. Out: how far they agree, and beyond chance.

Pure. Cohen's kappa is the share they agree about beyond what chance alone would make them agree
about, with how often each of them uses each word: 1 is full agreement, 0 what chance gives. With
few pairs it says nothing and is None; so it is where chance alone would agree always.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

#: with fewer pairs there is no kappa
LEAST_PAIRS = 20


@dataclass(frozen=True, slots=True)
class Agreement:
    """``same`` of ``pairs`` are alike."""

    pairs: int
    same: int
    kappa: float | None

    @property
    def rate(self) -> float | None:
        """None without a pair."""
        return self.same / self.pairs if self.pairs else None


def compare(
    pairs: Iterable[tuple[Hashable, Hashable]], *, least: int = LEAST_PAIRS, mixed: bool = False
) -> Agreement:
    """Agreement of two people: each pair is what the one and what the other said of one thing.

    ``mixed``: it is not always the same two, so that who stands first means nothing; each word's
    frequency is then taken over both places (Scott's pi, which is Fleiss' kappa for two).
    """
    rows = list(pairs)
    same = sum(one == other for one, other in rows)
    return Agreement(len(rows), same, _compute_kappa(rows, same, least=least, mixed=mixed))


def _compute_kappa(
    rows: list[tuple[Hashable, Hashable]], same: int, *, least: int, mixed: bool
) -> float | None:
    number = len(rows)
    if not number or number < least:
        return None
    first, second = Counter(one for one, _other in rows), Counter(other for _one, other in rows)
    if mixed:
        both = first + second
        chance = sum(count * count for count in both.values()) / (2 * number) ** 2
    else:
        chance = sum(count * second[word] for word, count in first.items()) / number**2
    if chance >= 1:
        return None
    return (same / number - chance) / (1 - chance)
