"""In: what two people said. Out: their agreement, against published values.

Must catch: a kappa of the wrong chance, one out of a handful of pairs, a division by nothing.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.agreement import LEAST_PAIRS, compare

PAIRS = [(one, other) for one in "abc" for other in "abc"]


def make_pairs(table: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    return [pair for pair, count in table.items() for _ in range(count)]


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        # the grants of Wikipedia's "Cohen's kappa": 35 of 50 alike
        ({("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15}, 0.4),
        # its two tables of 100 with the same agreement of 60 and another chance
        ({("y", "y"): 45, ("y", "n"): 15, ("n", "y"): 25, ("n", "n"): 15}, 0.1304),
        ({("y", "y"): 25, ("y", "n"): 35, ("n", "y"): 5, ("n", "n"): 35}, 0.2593),
        # Cohen 1960, Table 1: proportions of 200 judged by two, three categories
        (
            {
                ("a", "a"): 88, ("a", "b"): 14, ("a", "c"): 18,
                ("b", "a"): 10, ("b", "b"): 40, ("b", "c"): 10,
                ("c", "a"): 2, ("c", "b"): 6, ("c", "c"): 12,
            },
            0.4915,
        ),
    ],
)  # fmt: skip
def test_published_values_of_cohens_kappa(table: dict[tuple[str, str], int], kappa: float) -> None:
    assert compare(make_pairs(table)).kappa == pytest.approx(kappa, abs=0.0001)


def test_scotts_pi_takes_the_chance_of_both_places_together() -> None:
    """Scott's pi of the grants: chance is (55/100)² + (45/100)²."""
    pairs = make_pairs({("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15})
    chance = 0.55**2 + 0.45**2
    assert compare(pairs, mixed=True).kappa == pytest.approx((0.7 - chance) / (1 - chance))
    turned = [(other, one) for one, other in pairs]
    assert compare(turned, mixed=True) == compare(pairs, mixed=True)


def test_nothing_is_said_without_enough() -> None:
    assert compare([]).rate is None
    assert compare([]).kappa is None
    few = [("y", "y"), ("n", "n")] * (LEAST_PAIRS // 2)
    assert compare(few[:-1]).kappa is None
    assert compare(few[:-1]).rate == 1
    assert compare(few).kappa == 1
    assert compare([("y", "y")] * 100).kappa is None, "Chance alone would agree always."


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.sampled_from(PAIRS), min_size=LEAST_PAIRS, max_size=40))
def test_kappa_is_between_its_bounds(pairs: list[tuple[str, str]]) -> None:
    for mixed in (False, True):
        said = compare(pairs, mixed=mixed)
        assert said.rate is not None and 0 <= said.rate <= 1
        assert said.kappa is None or -1 - 1e-9 <= said.kappa <= said.rate + 1e-9
