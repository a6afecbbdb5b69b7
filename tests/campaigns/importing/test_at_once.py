"""In: imports that die, wait, or meet one another. Out: all of a file or nothing of it."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from campaigns.importing import ImportRefused, import_file, loading, settle_imports
from campaigns.models import Contact, ContactImport, Task
from tests.factories import make_task

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "客户手机号码,姓名\n"


def make_rows(count: int) -> bytes:
    return (HEADER + "".join(f"199{number:08d},a\n" for number in range(count))).encode()


def make_old() -> None:
    ContactImport.objects.update(created_at=timezone.now() - timedelta(hours=1))


def spy_on_rows(monkeypatch: pytest.MonkeyPatch, at: int, act: Callable[[], None]) -> None:
    """``act`` is called when row ``at`` is on its way into the database."""
    original = loading.check_rows

    def check_rows(*arguments: object, **options: object) -> object:
        for count, row in enumerate(original(*arguments, **options), start=1):  # type: ignore[arg-type]
            if count == at:
                act()
            yield row

    monkeypatch.setattr(loading, "check_rows", check_rows)


def test_a_worker_killed_at_row_50000_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task()
    connections.close_all()
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            spy_on_rows(monkeypatch, 50_000, lambda: os.kill(os.getpid(), signal.SIGKILL))
            import_file(task, make_rows(60_000), file_name="a.csv")
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert Contact.objects.count() == 0
    assert ContactImport.objects.get().status == "running"
    assert settle_imports() == 0, "it may be somebody's who has only just begun"
    make_old()
    assert settle_imports() == 1
    dead = ContactImport.objects.get()
    assert (dead.status, dead.loaded) == ("failed", 0)
    assert "nothing of the file was loaded" in dead.reason
    assert import_file(task, make_rows(3), file_name="a.csv").loaded == 3


def test_a_fault_in_the_middle_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("planted")

    task = make_task()
    spy_on_rows(monkeypatch, 2_000, fail)
    with pytest.raises(RuntimeError, match="planted"):
        import_file(task, io.BytesIO(make_rows(3_000)), file_name="a.csv")
    assert Contact.objects.count() == 0
    assert ContactImport.objects.get().status == "failed"


def test_an_import_that_lives_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task()
    waiting, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        waiting.set()
        assert go_on.wait(30)

    spy_on_rows(monkeypatch, 10, wait)
    thread = run(lambda: import_file(task, make_rows(20), file_name="a.csv"))
    try:
        assert waiting.wait(30)
        make_old()
        assert settle_imports(task) == 0
    finally:
        go_on.set()
        thread.join()
    assert ContactImport.objects.get().status == "done"
    assert task.contacts.filter(status="ready").count() == 20


def test_a_task_that_left_its_draft_meanwhile_gets_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = make_task()

    def launch() -> None:
        thread = run(lambda: Task.objects.filter(pk=task.pk).update(status="loading"))
        thread.join()

    spy_on_rows(monkeypatch, 10, launch)
    with pytest.raises(ImportRefused, match="draft"):
        import_file(task, make_rows(20), file_name="a.csv")
    assert Contact.objects.count() == 0
    assert ContactImport.objects.get().status == "failed"


def test_the_same_file_twice_at_once_calls_nobody_twice() -> None:
    task = make_task()
    threads = [
        run(lambda: import_file(task, make_rows(2_000), file_name="a.csv")) for _ in range(4)
    ]
    for thread in threads:
        thread.join()
    assert task.contacts.filter(status="ready").count() == 2_000
    assert task.contacts.filter(status="excluded").count() == 6_000
    ready = task.contacts.filter(status="ready")
    assert ready.values("phone").distinct().count() == 2_000
    assert {row.status for row in ContactImport.objects.all()} == {"done"}


def run(work: Callable[[], object]) -> threading.Thread:
    def work_and_close() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=work_and_close)
    thread.start()
    return thread
