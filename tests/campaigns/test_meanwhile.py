"""In: a database that takes its time. Out: proof that work is done meanwhile, and that nothing of
what the database answers is lost by it."""

from __future__ import annotations

import pytest
from django.db import ProgrammingError, connection, transaction

from campaigns.meanwhile import work_meanwhile
from campaigns.prepared import fetch_rows, open_cursor

pytestmark = pytest.mark.django_db(transaction=True)
SLOW = "SELECT 7 FROM pg_sleep(%s::float8)"


def test_steps_are_taken_while_the_database_works_until_there_are_no_more() -> None:
    left = iter(range(30))
    taken: list[int] = []

    def step() -> bool:
        number = next(left, None)
        if number is None:
            return False
        taken.append(number)
        return True

    with work_meanwhile(step), transaction.atomic():
        for _ in range(3):
            assert fetch_rows(SLOW, [0.2]) == [(7,)]
            with connection.cursor() as cursor:
                cursor.execute(SLOW, [0.01])
                assert cursor.fetchone() == (7,)
    assert taken == list(range(30))
    assert "wait" not in vars(connection.connection)
    assert fetch_rows(SLOW, [0]) == [(7,)]


def test_a_step_that_fails_is_the_last_and_costs_no_answer() -> None:
    taken: list[int] = []

    def step() -> bool:
        taken.append(1)
        raise MemoryError

    with work_meanwhile(step):
        assert fetch_rows(SLOW, [0.2]) == fetch_rows(SLOW, [0.2]) == [(7,)]
    assert taken == [1]


def test_an_error_of_the_database_is_told_as_always() -> None:
    with work_meanwhile(lambda: True):
        with pytest.raises(ProgrammingError), transaction.atomic(), open_cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.1), * FROM nowhere", [])
        assert fetch_rows(SLOW, [0.05]) == [(7,)]
        with connection.cursor() as cursor, cursor.copy("COPY (SELECT 7) TO STDOUT") as copy:
            assert [bytes(piece) for piece in copy] == [b"7\n"]
    assert "wait" not in vars(connection.connection)
