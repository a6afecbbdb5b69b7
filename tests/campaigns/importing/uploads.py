"""In: what a test cares about of an import. Out: one that was received, and the jobs it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from campaigns.importing import begin_check, choose_columns, confirm_import, loading, receive_file
from campaigns.models import Contact, ContactImport, RejectedRow, StagedRow, Task
from tests.factories import make_task
from tests.workers import run_jobs

HEADER = "客户手机号码,姓名\n"


def make_rows(count: int, *, first: int = 0) -> bytes:
    rows = (f"199{number:08d},a\n" for number in range(first, first + count))
    return (HEADER + "".join(rows)).encode()


def receive(content: str | bytes, *, task: Task | None = None, **choices: Any) -> ContactImport:
    """An import whose columns are chosen."""
    data = content.encode() if isinstance(content, str) else content
    one = receive_file(task or make_task(), data, file_name="contacts.csv", by=None)
    choose_columns(one, mapping=choices.pop("mapping", one.mapping), **choices)
    return one


def check(content: str | bytes, **options: Any) -> ContactImport:
    """An import that was checked, by a job where jobs can be seen, else here."""
    one = receive(content, **options)
    begin_check(one, by=None)
    loading.check_import(one.pk)
    one.refresh_from_db()
    assert one.status == "checked", one.reason_text
    return one


def load(content: str | bytes, **options: Any) -> ContactImport:
    one = check(content, **options)
    confirm_import(one, by=None)
    loading.load_import(one.pk)
    one.refresh_from_db()
    assert one.status == "done", one.reason_text
    return one


def work(one: ContactImport) -> ContactImport:
    """Do every job that is due."""
    run_jobs()
    one.refresh_from_db()
    return one


def spy_on_rows(monkeypatch: pytest.MonkeyPatch, at: int, act: Callable[[], None]) -> None:
    """``act`` is called when row ``at`` of a file is on its way into the database."""
    original = loading.check_rows

    def check_rows(*arguments: Any, **options: Any) -> Iterator[Any]:
        for count, row in enumerate(original(*arguments, **options), start=1):
            if count == at:
                act()
            yield row

    monkeypatch.setattr(loading, "check_rows", check_rows)


def spy_on_slices(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], *, size: int = 100
) -> None:
    """``act`` is called when the first contacts of a load are written and the next are to come."""
    original = loading.Progress.tell

    def tell(self: Any, done: int) -> None:
        if self._status == "loading":
            act()
        original(self, done)

    monkeypatch.setattr(loading, "SLICE", size)
    monkeypatch.setattr(loading.Progress, "tell", tell)


def run(work_: Callable[[], object]) -> threading.Thread:
    def work_and_close() -> None:
        try:
            work_()
        finally:
            connection.close()

    thread = threading.Thread(target=work_and_close)
    thread.start()
    return thread


def is_clean() -> bool:
    """Nothing of any import is there but its row."""
    return not (
        Contact.objects.exists() or StagedRow.objects.exists() or RejectedRow.objects.exists()
    )
