"""In: imports that are done, and somebody who wants them back. Out: what could be taken back is."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db.models import Count
from django.utils import timezone

from campaigns import batching, lifecycle
from campaigns.dispatch import claim_batch
from campaigns.importing import ImportRefused, foresee_undo, import_file, undo, undo_import
from campaigns.importing.undo import Undone
from campaigns.models import Call, Contact, ContactImport, StatusChange, Task
from tests.campaigns.importing.uploads import HEADER, load, make_rows, run
from tests.factories import make_contact, make_task

pytestmark = pytest.mark.django_db


def launch(task: Task) -> None:
    assert lifecycle.move(task, "loading", of=["draft"])
    batching.plan_batches(task)


def tell_history(one: ContactImport) -> str:
    change = StatusChange.objects.filter(subject="contactimport", subject_id=one.pk).latest("id")
    return change.sentence


def test_of_a_draft_it_is_taken_back_whole() -> None:
    task = make_task()
    stays = make_contact(task=task, phone="19900000500")
    one = load(make_rows(100) + b"19900000001,again\n110,x\n", task=task)
    assert (one.loaded, one.excluded, one.rejected) == (100, 1, 1)
    foreseen = foresee_undo(one)
    undone = undo_import(one, by=None)
    assert undone == foreseen == Undone(removed=101)
    assert list(task.contacts.all()) == [stays]
    one.refresh_from_db()
    assert (one.status, one.loaded, one.rejected) == ("undone", 100, 1)
    assert one.ended_at is not None
    assert tell_history(one).startswith("Taken back: 101 contacts were removed.")
    with pytest.raises(ImportRefused, match="that is done"):
        undo_import(one, by=None)
    assert load(make_rows(100), task=task).loaded == 100


def test_who_was_left_out_because_of_it_is_told() -> None:
    task = make_task()
    other = make_task(account=task.account, robot=task.robot)
    first = load(make_rows(10), task=task)
    second = load(make_rows(4) + b"19900000001,b\n", task=task)
    third = load(make_rows(6), task=other, duplicates="account")
    fourth = load(make_rows(6), task=other, duplicates="task")
    assert [one.excluded for one in (second, third, fourth)] == [5, 6, 0]
    assert foresee_undo(second).freed == 0, "it kept nobody out, being kept out itself"
    undone = undo_import(first, by=None)
    assert (undone.removed, undone.freed) == (10, 10), "a repeated row of a file is its own fault"
    assert "10 contacts of other imports" in tell_history(first)


def test_of_a_task_that_was_launched_whoever_is_not_handed_over_is_withdrawn() -> None:
    task = make_task()
    one = load(make_rows(120), task=task)
    other = load(make_rows(3, first=500), task=task)
    launch(task)
    Task.objects.filter(pk=task.pk).update(platform_task_id="t-1")
    first = task.batches.order_by("number").first()
    assert first is not None
    lifecycle.move(first, "sending", of=["planned"])
    lifecycle.move_contacts(first.contacts.all(), "sending", of=["planned"])
    lifecycle.move_contacts(first.contacts.all(), "accepted", of=["sending"])
    handed = first.contacts.count()
    assert handed == 50
    assert foresee_undo(one) == Undone(withdrawn=70, too_late={"accepted": 50})
    undone = undo_import(one, by=None)
    assert undone == Undone(withdrawn=70, too_late={"accepted": 50})
    withdrawn = Contact.objects.filter(source=one, status="withdrawn")
    assert set(withdrawn.values_list("batch", flat=True)) == {None}
    assert withdrawn.first().reason_text == "Its import was taken back before it was handed over."  # type: ignore[union-attr]
    one.refresh_from_db()
    assert one.status == "done", "some of it is out there"
    assert tell_history(one).startswith("Taken back as far as possible: 70")
    assert one.reason_text == tell_history(one)
    # whose contacts are in the last batch as well keep their places
    assert set(Contact.objects.filter(source=other).values_list("status", flat=True)) == {"planned"}
    states = list(task.batches.order_by("number").values_list("status", flat=True))
    assert states == ["sending", "withdrawn", "planned"]
    again = undo_import(one, by=None)
    assert again == Undone(too_late={"accepted": 50})


def test_of_a_launched_task_of_which_nothing_left_it_is_undone() -> None:
    task = make_task()
    one = load(make_rows(60) + b"19900000001,again\n", task=task)
    launch(task)
    assert undo_import(one, by=None) == Undone(withdrawn=60)
    one.refresh_from_db()
    assert (one.status, one.reason_values["withdrawn"]) == ("undone", 60)
    assert set(task.batches.values_list("status", flat=True)) == {"withdrawn"}


def test_a_contact_that_was_called_all_the_same_is_kept() -> None:
    task = make_task()
    one = load(make_rows(3), task=task)
    called = Contact.objects.filter(source=one).order_by("id")[1]
    Call.objects.create(
        account=task.account,
        contact=called,
        task=task,
        platform_call_id="c-1",
        happened_at=timezone.now(),
    )
    undone = undo_import(one, by=None)
    assert undone == Undone(removed=2, too_late={"ready": 1})
    assert list(task.contacts.all()) == [called]


@pytest.mark.parametrize("status", ["uploaded", "checked", "failed", "cancelled", "loading"])
def test_only_what_is_done_can_be_taken_back(status: str) -> None:
    task = make_task()
    one = ContactImport.objects.create(task=task, file_name="a.csv", status=status)
    with pytest.raises(ImportRefused, match="that is done"):
        undo_import(one, by=None)


@pytest.mark.django_db(transaction=True)
def test_a_launch_and_an_undo_at_once_leave_nobody_called_and_removed() -> None:
    for _ in range(5):
        task = make_task()
        one = import_file(task, make_rows(200), file_name="a.csv")
        both = threading.Barrier(2)

        def undo(one: ContactImport = one, both: threading.Barrier = both) -> None:
            both.wait(10)
            undo_import(one, by=None)

        def start(task: Task = task, both: threading.Barrier = both) -> None:
            both.wait(10)
            launch(task)

        threads = [run(undo), run(start)]
        for thread in threads:
            thread.join()
        one.refresh_from_db()
        assert one.status == "undone"
        assert not task.contacts.filter(status__in=["ready", "planned"]).exists()
        assert task.contacts.count() in (0, 200)


@pytest.mark.django_db(transaction=True)
def test_nobody_launches_a_task_whose_contacts_are_being_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = make_task()
    one = import_file(task, make_rows(20), file_name="a.csv")
    launched = threading.Event()
    threads: list[threading.Thread] = []
    original = undo._remove

    def start() -> None:
        launch(task)
        launched.set()

    def remove(*arguments: Any) -> Undone:
        threads.append(run(start))
        assert not launched.wait(0.3)
        return original(*arguments)

    monkeypatch.setattr(undo, "_remove", remove)
    assert undo_import(one, by=None) == Undone(removed=20)
    threads[0].join()
    assert launched.is_set()
    assert not task.batches.exists()


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_is_being_claimed_is_sent_whole_or_not_at_all() -> None:
    for _ in range(10):
        task = make_task(platform_task_id="t-1")
        one = load(make_rows(500), task=task)
        launch(task)
        both = threading.Barrier(2)

        def undo(one: ContactImport = one, both: threading.Barrier = both) -> None:
            both.wait(10)
            undo_import(one, by=None)

        def claim(task: Task = task, both: threading.Barrier = both) -> None:
            both.wait(10)
            while claim_batch(task.pk):
                pass

        threads = [run(claim), run(undo)]
        for thread in threads:
            thread.join()
        rows = task.contacts.order_by().values_list("status").annotate(count=Count("id"))
        counts = dict(rows)
        sending = counts.pop("sending", 0)
        assert sending % 50 == 0
        assert counts == ({"withdrawn": 500 - sending} if sending < 500 else {})
        batches = task.batches.filter(status="sending")
        assert sum(batch.size for batch in batches) == sending


def test_the_header_alone_is_no_import() -> None:
    with pytest.raises(ImportRefused, match="no row below it"):
        import_file(make_task(), HEADER.encode(), file_name="a.csv")
