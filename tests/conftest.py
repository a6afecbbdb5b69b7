"""In: nothing. Out: what every test may rely on: a real PostgreSQL with an empty job queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _empty_queue(request: pytest.FixtureRequest) -> Iterator[None]:
    """The tables of the queue are no models of ours: transactional tests leave jobs there."""
    yield
    mark = request.node.get_closest_marker("django_db")
    named = {"transactional_db", "live_server"} & set(request.fixturenames)
    if not named and not (mark and mark.kwargs.get("transaction")):
        return
    from django.db import connection

    from callbacks import inbox
    from campaigns import answering

    answering.settle()
    inbox.settle()  # the door wakes the worker a moment after its answer
    inbox.forget()  # and keeps sessions, which would keep the test database from being dropped
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_periodic_defers CASCADE")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """A worker's threads must not keep connections: the test database is dropped at the end."""
    from django.db import connections

    connections.settings["default"]["CONN_MAX_AGE"] = 0
