"""In: values. Out: proof that an array written by us is read by PostgreSQL as these values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from campaigns.prepared import open_cursor, write_array

pytestmark = pytest.mark.django_db
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
odd = st.sampled_from(["", "NULL", "null", '"', "\\", '\\"', "{}", "{a,b}", ",", " ", "'", "%s"])


def read_back(values: list[Any], kind: str) -> list[Any]:
    with open_cursor() as cursor:
        # the cast itself, as it stands in our statements
        cursor.execute(
            f"SELECT v FROM unnest(%s::{kind}[]) WITH ORDINALITY AS u(v, place) ORDER BY place",
            [write_array(values)],
        )
        return [row[0] for row in cursor.fetchall()]


class TestArrays(TestCase):
    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.one_of(st.none(), texts, odd), max_size=5))
    def test_texts_come_back_as_they_were(self, values: list[str | None]) -> None:
        assert read_back(values, "text") == values

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=5))
    def test_numbers_come_back_as_they_were(self, values: list[int | None]) -> None:
        assert read_back(values, "bigint") == values


def test_flags_and_times_come_back_as_they_were() -> None:
    moment = datetime(2026, 3, 5, 1, 2, 3, 456789, tzinfo=UTC)
    assert read_back([True, None, False], "boolean") == [True, None, False]
    assert read_back([moment, None], "timestamptz") == [moment, None]
