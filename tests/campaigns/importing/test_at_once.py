"""In: imports that meet one another, or other people's clicks. Out: all of a file or nothing of it,
once."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from django.db import connection, transaction

from campaigns import importing
from campaigns.importing import ImportRefused, begin_check, confirm_import, import_file
from campaigns.models import Contact, ContactImport, StagedRow, Task
from tests.campaigns.importing.uploads import (
    check,
    is_clean,
    load,
    make_rows,
    receive,
    run,
    spy_on_rows,
    spy_on_slices,
    work,
)
from tests.factories import make_task

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_fault_in_the_middle_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("planted")

    task = make_task()
    spy_on_rows(monkeypatch, 2_000, fail)
    with pytest.raises(RuntimeError, match="planted"):
        import_file(task, io.BytesIO(make_rows(3_000)), file_name="a.csv")
    assert is_clean()
    one = ContactImport.objects.get()
    assert one.status == "failed"
    assert "nothing of the file was loaded" in one.reason
    monkeypatch.undo()
    begin_check(one, by=None)
    assert work(one).counts["ready"] == 3_000, "its file is kept"


def test_a_fault_in_the_middle_of_a_load_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("planted")

    spy_on_slices(monkeypatch, fail)
    with pytest.raises(RuntimeError, match="planted"):
        import_file(make_task(), make_rows(300), file_name="a.csv")
    assert is_clean()
    assert ContactImport.objects.get().status == "failed"


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
    assert is_clean()
    assert ContactImport.objects.get().status == "failed"


def test_nobody_launches_a_task_between_two_contacts(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task()
    launched = threading.Event()
    threads: list[threading.Thread] = []

    def launch() -> None:
        Task.objects.filter(pk=task.pk).update(status="loading")
        launched.set()

    def act() -> None:
        if not threads:
            threads.append(run(launch))
        assert not launched.wait(0.2), "the task's row is held until the last contact is there"

    spy_on_slices(monkeypatch, act, size=100)
    assert import_file(task, make_rows(300), file_name="a.csv").loaded == 300
    threads[0].join()
    assert launched.is_set()


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
    assert not StagedRow.objects.exists()


def test_two_tasks_of_an_account_at_once_share_no_number() -> None:
    first = make_task()
    tasks = [first, *(make_task(account=first.account, robot=first.robot) for _ in range(3))]
    options = {"file_name": "a.csv", "duplicates": "account"}
    threads = [
        run(lambda task=task: import_file(task, make_rows(2_000), **options))  # type: ignore[misc]
        for task in tasks
    ]
    for thread in threads:
        thread.join()
    ready = Contact.objects.filter(status="ready")
    assert ready.count() == ready.values("phone").distinct().count() == 2_000
    assert Contact.objects.filter(status="excluded").count() == 6_000


def test_one_import_loaded_by_four_workers_at_once_is_loaded_once() -> None:
    one = check(make_rows(3_000))
    confirm_import(one, by=None)
    threads = [run(lambda: importing.load_import(one.pk)) for _ in range(4)]
    threads.append(run(lambda: importing.load_import(one.pk, wait=True)))
    for thread in threads:
        thread.join()
    one.refresh_from_db()
    assert (one.status, one.loaded) == ("done", 3_000)
    assert Contact.objects.count() == 3_000
    importing.load_import(one.pk)
    importing.check_import(one.pk)
    assert Contact.objects.count() == 3_000


def test_of_many_clicks_at_once_one_counts() -> None:
    one = receive(make_rows(30))
    outcomes: list[str] = []

    def click(act: object) -> None:
        row = ContactImport.objects.get(pk=one.pk)
        try:
            act(row, by=None)  # type: ignore[operator]
            outcomes.append("done")
        except ImportRefused:
            outcomes.append("refused")

    for act in (begin_check, confirm_import):
        outcomes.clear()
        threads = [run(lambda act=act: click(act)) for _ in range(8)]  # type: ignore[misc]
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["done"] + ["refused"] * 7
        work(one)
    assert (one.status, Contact.objects.count()) == ("done", 30)


@pytest.mark.parametrize("click", [confirm_import, importing.undo_import])
def test_a_click_does_not_wait_for_a_load_into_the_task(click: Any) -> None:
    task = make_task()
    one = check(make_rows(3), task=task)
    if click is importing.undo_import:
        one = load(make_rows(3, first=10), task=task)
    with transaction.atomic():
        Task.objects.select_for_update(no_key=True).get(pk=task.pk)
        refused: list[str] = []

        def try_it() -> None:
            try:
                click(one, by=None)
            except ImportRefused as refusal:
                refused.append(str(refusal))
            finally:
                connection.close()

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    assert len(refused) == 1 and "wait a moment" in refused[0]
    click(one, by=None)
