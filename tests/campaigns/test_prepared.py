"""In: values. Out: proof that an array written by us is read by PostgreSQL as these values."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import (
    DataError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from campaigns.prepared import fetch_rows, join_json, open_cursor, run, write_array
from tests.factories import make_account

pytestmark = pytest.mark.django_db
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
odd = st.sampled_from(["", "NULL", "null", '"', "\\", '\\"', "{}", "{a,b}", ",", " ", "'", "%s"])


more = st.sampled_from(["\x1e", "a\x1eb", "\\x1e", "\n\t", "\x7f"])
JSON = """
    SELECT v::text FROM unnest(string_to_array(%s, E'\\x1e')::jsonb[])
    WITH ORDINALITY AS u(v, place) ORDER BY place
"""


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

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.dictionaries(texts, st.one_of(texts, odd, more), max_size=3), min_size=1))
    def test_json_comes_back_as_it_was(self, values: list[dict[str, str]]) -> None:
        spelled = [json.dumps(value, ensure_ascii=False) for value in values]
        rows = fetch_rows(JSON, [join_json(spelled)])
        assert [json.loads(row[0]) for row in rows] == values

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=5))
    def test_numbers_come_back_as_they_were(self, values: list[int | None]) -> None:
        assert read_back(values, "bigint") == values


def test_flags_and_times_come_back_as_they_were() -> None:
    moment = datetime(2026, 3, 5, 1, 2, 3, 456789, tzinfo=UTC)
    assert read_back([True, None, False], "boolean") == [True, None, False]
    assert read_back([moment, None], "timestamptz") == [moment, None]


@pytest.mark.django_db(transaction=True)
class TestShortStatements:
    """``run``: the same values, rows, errors and transactions as of the driver's own cursors."""

    KINDS = "SELECT %(b)s::int, %(a)s::text, %(t)s::timestamptz, %(i)s::interval, %(f)s::boolean,"
    KINDS += " %(n)s::text, %(r)s::float8, %(b)s::int + 1, '5%%'"

    def test_values_come_back_as_they_were(self) -> None:
        values = {
            "a": "%s 张 'x' \\", "b": -3, "t": datetime(2026, 3, 5, 1, 2, 3, 4, tzinfo=UTC),
            "i": timedelta(days=-1, microseconds=5), "f": True, "n": None, "r": 0.1,
        }  # fmt: skip
        wanted = (values["b"], values["a"], values["t"], values["i"], True, None, 0.1, -2, "5%")
        assert run(self.KINDS, values) == [wanted]
        with transaction.atomic():  # the driver's own way
            assert run(self.KINDS, values) == [wanted]
        assert run("SELECT 1 WHERE false") == []

    def test_what_is_wrong_is_the_same_error(self) -> None:
        for statement, values, error in (
            ("SELECT 1 / %s::int", [0], DataError),
            ("SELECT %s::text", ["a\x00b"], DataError),
            ("SELECT nothing_like_it", [], ProgrammingError),
        ):
            with pytest.raises(error):
                run(statement, values)
            with pytest.raises(error), transaction.atomic():
                run(statement, values)
        assert run("SELECT 1") == [(1,)]

    def test_it_is_part_of_the_transaction_around_it(self) -> None:
        insert = (
            "INSERT INTO campaigns_voice (account_id, code, name, raw) VALUES (%s, %s, '', '{}')"
        )
        account = make_account()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            run(insert, [account.pk, "gone"])
            raise ZeroDivisionError
        run(insert, [account.pk, "stays"])
        assert run("SELECT code FROM campaigns_voice") == [("stays",)]

    def test_what_the_driver_forgot_is_prepared_again(self) -> None:
        assert run("SELECT %s::int", [1]) == [(1,)]
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
        assert run("SELECT %s::int", [2]) == [(2,)]

    def test_what_is_of_another_type_since_is_prepared_again(self) -> None:
        """A column is changed by a new version while those of the one before still send."""
        other = connections.create_connection("default")
        try:
            with other.cursor() as cursor:
                cursor.execute("CREATE TABLE changing (name varchar(5))")
                assert run("INSERT INTO changing VALUES (%s) RETURNING name", ["a"]) == [("a",)]
                assert run("SELECT name FROM changing") == [("a",)]
                cursor.execute("ALTER TABLE changing ALTER name TYPE varchar(9)")
                assert run("SELECT name FROM changing") == [("a",)]
                assert run("INSERT INTO changing VALUES (%s) RETURNING name", ["b"]) == [("b",)]
                assert run("SELECT name FROM changing ORDER BY 1") == [("a",), ("b",)]
        finally:
            with other.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS changing")
            other.close()

    def test_a_session_that_ended_is_an_operational_error_and_the_next_one_works(self) -> None:
        pid = run("SELECT pg_backend_pid()")[0][0]
        other = connections.create_connection("default")
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        finally:
            other.close()
        with pytest.raises(OperationalError):
            for _ in range(100):  # until it is told
                run("SELECT 1")
        connection.close_if_unusable_or_obsolete()
        assert run("SELECT pg_backend_pid()")[0][0] != pid
