"""In: imports whose worker, or database, dies. Out: begun again from the frozen file, or given up;
never half there, never twice."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable

import psycopg
import pytest
from django.db import connection, connections

from campaigns import importing
from campaigns.importing import (
    begin_check,
    cancel_import,
    confirm_import,
    loading,
    progress,
    settle_imports,
    steps,
)
from campaigns.models import Contact, ContactImport, StagedRow, StatusChange
from tests.campaigns.importing.uploads import (
    is_clean,
    make_rows,
    receive,
    run,
    spy_on_rows,
    spy_on_slices,
    work,
)

pytestmark = pytest.mark.django_db(transaction=True)


def kill_in_the_middle(act: Callable[[], object]) -> None:
    """Do it in a child that is to kill itself on the way."""
    connections.close_all()
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            act()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_until_free(one: ContactImport) -> None:
    """The server notices in a moment that the process is gone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [loading.WORKING, one.pk])
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [loading.WORKING, one.pk])


def empty_queue() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")


def test_a_worker_killed_at_row_50000_of_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    one = receive(make_rows(60_000))
    begin_check(one, by=None)
    empty_queue()  # the job is the child's

    def check() -> None:
        spy_on_rows(monkeypatch, 50_000, kill)
        importing.check_import(one.pk)

    kill_in_the_middle(check)
    wait_until_free(one)
    assert is_clean()
    one.refresh_from_db()
    assert one.status == "checking"
    assert one.progress_at is not None
    assert settle_imports() == 1
    work(one)
    assert (one.status, one.counts["ready"]) == ("checked", 60_000)
    assert StagedRow.objects.count() == 60_000
    told = StatusChange.objects.filter(subject="contactimport", reason=steps.BEGUN_AGAIN)
    assert [(change.old, change.new) for change in told] == [("checking", "checking")]


def test_a_worker_killed_in_the_middle_of_a_load(monkeypatch: pytest.MonkeyPatch) -> None:
    one = receive(make_rows(5_000))
    begin_check(one, by=None)
    work(one)
    confirm_import(one, by=None)
    empty_queue()
    seen = []

    def act() -> None:
        seen.append(1)
        if len(seen) == 3:
            assert Contact.objects.count() == 3_000, "they are written, and not committed"
            kill()

    def load() -> None:
        spy_on_slices(monkeypatch, act, size=1_000)
        importing.load_import(one.pk)

    kill_in_the_middle(load)
    wait_until_free(one)
    assert Contact.objects.count() == 0
    assert settle_imports() == 1
    work(one)
    assert (one.status, one.loaded, one.reason) == ("done", 5_000, "")
    assert Contact.objects.filter(status="ready").values("phone").distinct().count() == 5_000
    assert Contact.objects.count() == 5_000
    assert not StagedRow.objects.exists()


def test_a_worker_that_dies_of_it_again_and_again_is_not_fed_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = receive(make_rows(100))
    begin_check(one, by=None)
    spy_on_rows(monkeypatch, 50, kill)
    for _ in range(steps.TRIES):
        empty_queue()
        kill_in_the_middle(lambda: importing.check_import(one.pk))
        wait_until_free(one)
        assert settle_imports() == 1
    empty_queue()
    kill_in_the_middle(lambda: importing.check_import(one.pk))
    wait_until_free(one)
    assert settle_imports() == 1
    one.refresh_from_db()
    assert one.status == "failed"
    assert "stopped three times" in one.reason_text
    assert is_clean()
    monkeypatch.undo()
    begin_check(one, by=None)
    assert work(one).status == "checked", "somebody may want it all the same"


def test_who_works_on_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    one = receive(make_rows(20))
    begin_check(one, by=None)
    waiting, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        waiting.set()
        assert go_on.wait(30)

    spy_on_rows(monkeypatch, 10, wait)
    thread = run(lambda: importing.check_import(one.pk))
    try:
        assert waiting.wait(30)
        assert settle_imports() == 0
        importing.check_import(one.pk)  # another worker that gets the same job
        one.refresh_from_db()
        assert one.status == "checking"
    finally:
        go_on.set()
        thread.join()
    one.refresh_from_db()
    assert one.status == "checked"
    assert settle_imports() == 0


def test_a_job_that_was_lost_before_it_began_is_enqueued_again_and_counts_for_nothing() -> None:
    one = receive(make_rows(20))
    begin_check(one, by=None)
    empty_queue()
    for _ in range(steps.TRIES + 2):
        assert settle_imports() == 0
    assert work(one).status == "checked"


def test_staged_rows_that_went_with_the_database_are_made_again_and_loaded() -> None:
    one = receive(make_rows(300) + b"110,x\n")
    begin_check(one, by=None)
    work(one)
    before = one.counts
    StagedRow.objects.all().delete()  # what a crash does to a table that is not logged
    confirm_import(one, by=None)
    work(one)
    assert (one.status, one.loaded, one.counts) == ("done", 300, before)
    assert Contact.objects.count() == 300
    assert one.rejected_rows.count() == 1
    moves = StatusChange.objects.filter(subject="contactimport").order_by("id")
    assert [change.new for change in moves] == [
        *("checking", "checked", "loading", "checking", "checked", "loading", "done"),
    ]


def test_a_second_check_that_finds_something_else_waits_for_somebody() -> None:
    one = receive(make_rows(30))
    begin_check(one, by=None)
    work(one)
    StagedRow.objects.filter(line__lt=10).delete()
    counts = one.counts | {"rows": 31, "ready": 31}
    ContactImport.objects.filter(pk=one.pk).update(counts=counts)
    confirm_import(one, by=None)
    work(one)
    assert (one.status, one.confirmed_at, one.counts["rows"]) == ("checked", None, 30)
    assert "another one" in one.reason_text
    assert not Contact.objects.exists()
    confirm_import(one, by=None)
    assert work(one).loaded == 30


def test_a_connection_that_breaks_leaves_it_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    one = receive(make_rows(300))
    begin_check(one, by=None)
    empty_queue()

    def cut() -> None:
        other = connection.copy()
        with contextlib.closing(other), other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state LIKE 'active%'"
                " AND pid <> pg_backend_pid() AND query LIKE 'COPY campaigns_stagedrow%'"
            )

    spy_on_rows(monkeypatch, 200, cut)

    def check() -> None:
        with pytest.raises(psycopg.OperationalError):
            importing.check_import(one.pk)

    thread = run(check)
    thread.join()
    one.refresh_from_db()
    assert one.status == "checking"
    monkeypatch.undo()
    wait_until_free(one)
    assert settle_imports() == 1
    assert work(one).counts["ready"] == 300


def test_a_check_that_is_given_up_stops_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = receive(make_rows(50_000))
    name = one.file.name
    begin_check(one, by=None)
    reached = []

    def give_up() -> None:
        thread = run(lambda: cancel_import(ContactImport.objects.get(pk=one.pk), by=None))
        thread.join()

    monkeypatch.setattr(progress, "PACE", 0)
    spy_on_rows(monkeypatch, 10, give_up)
    original = loading.check_rows

    def count(*arguments: object, **options: object) -> object:
        for row in original(*arguments, **options):  # type: ignore[arg-type]
            reached.append(1)
            yield row

    monkeypatch.setattr(loading, "check_rows", count)
    importing.check_import(one.pk)
    one.refresh_from_db()
    assert (one.status, bool(one.file)) == ("cancelled", False)
    assert not one._meta.get_field("file").storage.exists(name)  # type: ignore[union-attr]
    assert len(reached) < 10_000, "it stops where it is"
    assert is_clean()


def test_how_far_it_is_can_be_seen_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    one = receive(make_rows(60_000))
    begin_check(one, by=None)
    seen: list[tuple[str, int, int]] = []
    original = loading.Progress.tell

    def tell(self: object, done: int) -> None:
        original(self, done)  # type: ignore[arg-type]

        def look() -> None:
            row = ContactImport.objects.get(pk=one.pk)
            seen.append((row.status, row.progress, row.progress_end))

        run(look).join()

    monkeypatch.setattr(progress, "PACE", 0)
    monkeypatch.setattr(loading, "SLICE", 20_000)
    monkeypatch.setattr(loading.Progress, "tell", tell)
    work(one)
    checked = [done for status, done, _end in seen if status == "checking"]
    assert checked == sorted(checked)
    assert 0 < checked[0] < one.size and len(set(checked)) > 1
    assert {end for _status, _done, end in seen} == {one.size}
    seen.clear()
    confirm_import(one, by=None)
    work(one)
    assert seen == [("loading", done, 60_000) for done in (20_000, 40_000, 60_000)]
