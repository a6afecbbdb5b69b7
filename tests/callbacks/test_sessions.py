"""In: a database that is slow, locked, or set up otherwise. Out: proof that a push waits for it no
longer than it may, and that what is acknowledged is on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction

from callbacks import inbox
from callbacks.models import Receipt
from callbacks.sessions import DatabaseAway, LateAnswer, Sessions
from tests.callbacks.pushes import TAKEN, make_door, push
from tests.callbacks.test_server import ask
from tests.processes import find_free_port, run_server

pytestmark = pytest.mark.django_db(transaction=True)

KIND = "receiveCallRecord"
#: 1.5 s is the promise; the rest is for a busy machine
AWAY_SECONDS = 1.9


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sessions]:
    """Sessions that are kept between statements."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)
    made = Sessions(
        say="SELECT $1::varchar, octet_length($2::bytea), NULL::text",
        ask="SELECT current_setting($1::varchar)",
        lock="SELECT id FROM callbacks_receipt WHERE kind = $1::varchar",
        nothing="SELECT 1 WHERE $1::varchar = 'no'",
        orphan=(
            "INSERT INTO callbacks_receipt (account_id, kind, source, body, sha256, content_type,"
            " content_encoding, received_at, deliveries, status, reason, detail, tries,"
            " platform_call_id, problems) VALUES (-1, $1::varchar, 'live', '', '', '', '', now(),"
            " 1, 'received', '', '', 0, '', '{}') RETURNING id"
        ),
        wrong="SELECT 1 / (length($1::varchar) - 3)",
    )
    yield made
    made.settle()
    made.close()


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


@contextmanager
def lock_inbox() -> Iterator[None]:
    """Nobody reads or writes a receipt meanwhile."""
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE callbacks_receipt IN ACCESS EXCLUSIVE MODE")
            locked.set()
            done.wait(30)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_values_and_rows_go_through_as_they_are(sessions: Sessions) -> None:
    assert sessions.run("say", ["é\n张", b"\x00\xff'\\"], ends=soon()) == ["é\n张", "4", None]
    big = bytes(range(256)) * 20_000
    assert sessions.run("say", ["", big], ends=soon()) == ["", str(len(big)), None]
    assert sessions.run("nothing", ["yes"], ends=soon()) is None


def test_an_error_says_nothing_of_what_was_sent_and_the_next_statement_runs(
    sessions: Sessions,
) -> None:
    with pytest.raises(DatabaseAway) as caught:
        sessions.run("wrong", ["abc"], ends=soon())
    assert str(caught.value) == "DivisionByZero"
    assert sessions.run("wrong", ["ab"], ends=soon()) == ["-1"]


def test_what_only_the_commit_refuses_is_not_acknowledged(sessions: Sessions) -> None:
    """The row of a statement comes before its commit, and a foreign key is looked at with that."""
    with pytest.raises(DatabaseAway) as caught:
        sessions.run("orphan", ["x"], ends=soon())
    assert str(caught.value) == "ForeignKeyViolation"
    assert Receipt.objects.count() == 0
    assert sessions.run("wrong", ["ab"], ends=soon()) == ["-1"]


def test_a_push_of_an_account_that_is_deleted_meanwhile_is_not_taken() -> None:
    account, token = make_door()
    locked = threading.Event()
    answered: list[Any] = []

    def send() -> None:
        locked.wait(10)
        answered.append(push(token, KIND, b"{}"))
        connections.close_all()

    thread = threading.Thread(target=send)
    thread.start()
    with transaction.atomic():
        account.delete()
        locked.set()
        time.sleep(0.5)
    thread.join()
    assert Receipt.objects.count() == 0
    assert answered[0].status_code in (404, 503)
    assert b"success" not in answered[0].content.lower()


def test_a_session_that_was_never_used_and_died_is_replaced_like_any_other(
    sessions: Sessions,
) -> None:
    """After a burst there are more than were needed; then the database is restarted."""
    sessions._opening += 1
    sessions._open()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
    assert sessions.run("wrong", ["ab"], ends=soon()) == ["-1"]


def test_what_is_acknowledged_is_on_disk_whatever_the_server_was_told(sessions: Sessions) -> None:
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit TO off")
        try:
            assert sessions.run("ask", ["synchronous_commit"], ends=soon()) == ["on"]
            assert sessions.run("ask", ["statement_timeout"], ends=soon()) == ["1100ms"]
        finally:
            cursor.execute(f"ALTER DATABASE {name} RESET synchronous_commit")


def test_a_late_answer_is_not_waited_for_and_its_session_comes_back(sessions: Sessions) -> None:
    assert sessions.run("lock", ["x"], ends=soon()) is None
    with lock_inbox():
        began = time.monotonic()
        with pytest.raises(LateAnswer):
            sessions.run("lock", ["x"], ends=soon(0.2))
        assert 0.15 < time.monotonic() - began < 0.8
    sessions.settle()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND query LIKE '%callbacks_receipt WHERE kind%'"
        )
        assert cursor.fetchone() == (1,)
    assert sessions.run("lock", ["x"], ends=soon()) is None


def test_a_push_waits_for_a_locked_inbox_no_longer_than_it_may() -> None:
    _, token = make_door()
    assert push(token, KIND, b"1").status_code == 200
    with lock_inbox():
        began = time.monotonic()
        response = push(token, KIND, b"2")
        assert time.monotonic() - began < AWAY_SECONDS
        assert response.status_code == 503 and response["Retry-After"] == "5"
        assert b"success" not in response.content.lower()
    inbox.settle()
    assert push(token, KIND, b"3").json() == TAKEN
    assert Receipt.objects.filter(body=b"2").count() == 0


def test_pushes_that_wait_for_a_thread_have_waited(settings: Any, tmp_path: Path) -> None:
    """Of many that come at once while the database is away, each is told so in time, not only the
    first that got a thread; and everything is taken again as soon as it is back."""
    port = find_free_port()
    keys = {"SECRET_KEY": settings.SECRET_KEY, "FIELD_KEYS": ",".join(settings.FIELD_KEYS)}
    _, token = make_door()
    path = f"/callbacks/{token}/{KIND}"
    told: list[tuple[int, float]] = []

    def send(number: int) -> None:
        began = time.monotonic()
        status, _ = ask(port, "POST", path, b"%d" % number)
        told.append((status, time.monotonic() - began))

    more = {"WEB_THREADS": "3", "CONN_MAX_AGE": "60", "LOG_LEVEL": "CRITICAL"}
    with run_server(port, DATA_DIR=str(tmp_path), **more, **keys):
        for number in range(6):
            send(number)
        assert [status for status, _ in told] == [200] * 6
        told.clear()
        with lock_inbox():
            threads = [threading.Thread(target=send, args=(100 + n,)) for n in range(40)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert [status for status, _ in told] == [503] * 40
        assert max(took for _, took in told) < AWAY_SECONDS + 1
        told.clear()
        send(200)
        assert told[0][0] == 200
    assert Receipt.objects.count() == 7
