"""Intervals against published tables, and what must hold for any numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.intervals import (
    Interval,
    Share,
    bound_difference,
    bound_rate,
    estimate_needed,
)


def rounded(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return round(interval.low, 4), round(interval.high, 4)


#: Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3 (score)
ONE_RATE = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]

#: Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10 (score)
DIFFERENCES = [
    ((56, 70), (48, 80), 0.0524, 0.3339),
    ((9, 10), (3, 10), 0.1705, 0.8090),
    ((6, 7), (2, 7), 0.0582, 0.8062),
    ((5, 56), (0, 29), -0.0381, 0.1926),
    ((0, 10), (0, 20), -0.1611, 0.2775),
    ((0, 10), (0, 10), -0.2775, 0.2775),
    ((10, 10), (0, 20), 0.6791, 1.0000),
    ((10, 10), (0, 10), 0.6075, 1.0000),
]


@pytest.mark.parametrize(("hits", "trials", "low", "high"), ONE_RATE)
def test_a_rate_lies_where_the_published_table_says(
    hits: int, trials: int, low: float, high: float
) -> None:
    assert rounded(bound_rate(hits, trials)) == (low, high)


@pytest.mark.parametrize(("first", "second", "low", "high"), DIFFERENCES)
def test_a_difference_lies_where_the_published_table_says(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    assert rounded(bound_difference(Share(*first), Share(*second))) == (low, high)


@pytest.mark.parametrize(
    ("first", "second", "needed"),
    # what R's power.prop.test(p1=, p2=, power=0.8) says: 198.96, 387.34, 293.15, 434.43
    [(0.1, 0.2, 199), (0.5, 0.6, 388), (0.2, 0.3, 294), (0.05, 0.1, 435)],
)
def test_the_trials_that_are_needed_are_the_books(first: float, second: float, needed: int) -> None:
    assert estimate_needed(first, second) == needed
    assert estimate_needed(second, first) == needed


def test_nothing_is_said_of_nothing() -> None:
    assert bound_rate(0, 0) is None
    assert bound_difference(Share(1, 2), Share(0, 0)) is None
    assert bound_difference(Share(0, 0), Share(1, 2)) is None
    assert Share(0, 0).rate is None
    assert estimate_needed(0.3, 0.3) is None


@pytest.mark.parametrize(("hits", "trials"), [(-1, 3), (4, 3), (0, -1)])
def test_what_no_count_can_be_is_refused(hits: int, trials: int) -> None:
    with pytest.raises(ValueError, match="hits"):
        bound_rate(hits, trials)


SHARES = st.integers(1, 10**9).flatmap(
    lambda trials: st.builds(Share, st.integers(0, trials), st.just(trials))
)


@given(SHARES)
def test_an_interval_holds_its_rate_and_stays_between_none_and_all(share: Share) -> None:
    found = bound_rate(share.hits, share.trials)
    assert found is not None
    assert 0 <= found.low <= found.high <= 1
    assert share.hits / share.trials in found
    mirror = bound_rate(share.trials - share.hits, share.trials)
    assert mirror is not None
    assert mirror.low == pytest.approx(1 - found.high, abs=1e-9)


@given(SHARES, SHARES)
def test_a_difference_is_the_same_read_from_the_other_side(first: Share, second: Share) -> None:
    there, back = bound_difference(first, second), bound_difference(second, first)
    assert there is not None
    assert back is not None
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)
    assert -1 <= there.low <= there.high <= 1
    assert first.hits / first.trials - second.hits / second.trials in there


@given(st.integers(0, 100))
def test_more_of_the_same_makes_surer(hits: int) -> None:
    few, many = bound_rate(hits, 100), bound_rate(hits * 100, 10_000)
    assert few is not None
    assert many is not None
    assert many.high - many.low < few.high - few.low
