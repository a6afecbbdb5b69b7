"""In: many rows and one thing to do with them. Out: that it is done with these and no others, once,
and that what is taken back is what it did.

Must catch: a row done twice after a kill, an entry lifted that somebody else made, a contact called
although it was left out, rows that came later, a job that nobody can stop.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from campaigns import bulk, lifecycle
from campaigns.barring import bar_number, find_barred
from campaigns.criteria import CALLS, CONTACTS, read_criteria
from campaigns.models import (
    BarListImport,
    BulkJob,
    BulkRow,
    Contact,
    ContactImport,
    DoNotCall,
    StatusChange,
    Task,
)
from tests.at_once import run_at_once
from tests.campaigns.admin.world import make_call, make_recording, make_user
from tests.factories import make_account, make_contact, make_task

pytestmark = pytest.mark.django_db


def run(job: BulkJob) -> BulkJob:
    while bulk.work_on_job(job.pk):
        pass
    job.refresh_from_db()
    return job


def ask(action: str, kind: str, options: Any = None, **params: Any) -> BulkJob:
    return bulk.ask_job(action, read_criteria(kind, params), options=options, by=make_user())


@pytest.fixture
def contacts(monkeypatch: pytest.MonkeyPatch) -> list[Contact]:
    monkeypatch.setattr(bulk, "PORTION", 3)
    task = make_task()
    return [make_contact(task=task, phone=f"199{n:08d}") for n in range(8)]


def test_contacts_are_left_out_and_taken_in_again(contacts: list[Contact]) -> None:
    Contact.objects.filter(pk=contacts[0].pk).update(status="excluded", reason="Another one.")
    make_contact(task=make_task())
    task = str(contacts[0].task_id)
    job = ask("exclude", CONTACTS, task__id__exact=task)
    later = make_contact(task=contacts[0].task)
    assert run(job).status == "done"
    # what is chosen is chosen when the job begins, which is before anybody comes later
    assert (job.total, job.done, job.passed) == (9, 8, 1)
    assert job.reasons == {bulk.NOT_READY: 1}
    assert set(Contact.objects.filter(status="ready").values_list("task", flat=True)) != {
        contacts[0].task_id
    }
    late = make_contact(task=contacts[0].task)
    run(job)
    late.refresh_from_db()
    assert late.status == "ready"
    Contact.objects.filter(pk=later.pk).update(reason="Somebody else did.")
    assert bulk.undo_job(job, by=None)
    assert run(job).status == "undone"
    assert job.undone == 7
    contacts[0].refresh_from_db()
    later.refresh_from_db()
    assert (contacts[0].status, later.status) == ("excluded", "excluded")
    assert contacts[0].reason == "Another one."
    assert not bulk.undo_job(job, by=None)


def test_what_no_column_can_hold_is_nobodys(contacts: list[Contact]) -> None:
    job = run(ask("exclude", CONTACTS, attempts_from="40000"))
    assert (job.status, job.total) == ("done", 0)


def test_what_was_launched_since_stays_left_out(contacts: list[Contact]) -> None:
    job = run(ask("exclude", CONTACTS, id__in=[str(contacts[1].pk), str(contacts[2].pk)]))
    assert job.done == 2
    type(contacts[0].task).objects.filter(pk=contacts[0].task_id).update(status="loading")
    bulk.undo_job(job)
    assert run(job).undone == 0
    assert job.reasons[bulk.LAUNCHED] == 2


@pytest.mark.django_db(transaction=True)
def test_nobody_is_taken_in_while_the_task_is_being_launched() -> None:
    task = make_task()
    contact = make_contact(task=task, phone="19900000001")
    job = run(ask("exclude", CONTACTS, task__id__exact=str(task.pk)))
    bulk.undo_job(job)
    launching = threading.Event()

    def launch() -> None:
        with transaction.atomic():
            Task.objects.select_for_update().get(pk=task.pk)
            launching.set()
            lifecycle.move(task, "loading", of=["draft"])
            time.sleep(0.5)

    def take_in() -> None:
        launching.wait()
        run(job)

    run_at_once([launch, take_in])
    contact.refresh_from_db()
    assert (contact.status, job.reasons) == ("excluded", {bulk.LAUNCHED: 1})


def test_numbers_are_barred_and_lifted_exactly(contacts: list[Contact]) -> None:
    account = contacts[0].account
    before = bar_number(contacts[0].phone, account=account, source="manual", reason="said no")
    call = make_call(contacts[1].task, contacts[1])
    make_call(contacts[2].task, None, callee="199****0001")
    make_call(contacts[3].task, None, direction="inbound", caller="19900000777", callee="0551")
    make_call(contacts[1].task, contacts[1])
    make_call(contacts[0].task, contacts[0])
    task = str(contacts[0].task_id)
    job = run(ask("bar", CALLS, {"reason": "Asked", "days": None}, task__id__exact=task))
    assert (job.status, job.total, job.done, job.passed) == ("done", 5, 3, 2)
    assert job.reasons == {bulk.NO_NUMBER: 1, bulk.LISTED: 1}
    assert set(find_barred(account, ["19900000777", call.callee, before.phone])) == {
        "19900000777",
        call.callee,
        before.phone,
    }
    somebody = bar_number(call.callee, source="manual", reason="For all of them.")
    assert bulk.undo_job(job)
    assert run(job).status == "undone"
    assert job.undone == 2
    standing = set(DoNotCall.objects.filter(lifted_at=None).values_list("pk", flat=True))
    assert standing == {before.pk, somebody.pk}
    assert BarListImport.objects.get().status == "undone"


def test_for_all_accounts_and_for_a_time(contacts: list[Contact]) -> None:
    options = {"reason": "x", "days": 3, "everywhere": True}
    job = run(ask("bar", CONTACTS, options, id__in=[str(contacts[4].pk)]))
    entry = DoNotCall.objects.get()
    assert (entry.account, entry.phone, job.done) == (None, contacts[4].phone, 1)
    assert entry.expires_at is not None
    assert 2 <= (entry.expires_at - timezone.now()).days <= 3


def test_recordings_are_fetched_again(contacts: list[Contact]) -> None:
    lost, fine = (make_call(contacts[0].task, contacts[0]) for _ in range(2))
    recording = make_recording(lost, stored=False)
    lifecycle.move(recording, "unavailable", of=["remote"], reason="x")
    make_recording(fine, stored=False)
    job = run(ask("fetch", CALLS))
    recording.refresh_from_db()
    assert recording.status == "remote"
    assert (job.done, job.passed, job.reasons) == (1, 1, {bulk.NO_SOUND: 1})
    assert not bulk.can_undo(job)


def test_a_worker_that_dies_does_nothing_twice(
    contacts: list[Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask("exclude", CONTACTS)
    real, seen = bulk._exclude, []

    def die_late(*arguments: Any) -> Any:
        told = real(*arguments)
        seen.append(arguments[1])
        if len(seen) == 2:
            raise KeyboardInterrupt
        return told

    monkeypatch.setattr(bulk, "_exclude", die_late)
    with pytest.raises(KeyboardInterrupt):
        bulk.work_on_job(job.pk)
    assert run(job).done + job.passed == job.total == 8
    assert Contact.objects.filter(status="excluded").count() == 8


@pytest.mark.django_db(transaction=True)
def test_a_job_whose_session_was_ended_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the database ends that of a process which stands still: another may have the job now."""
    make_contact(task=make_task())
    job = ask("exclude", CONTACTS)
    real = bulk._exclude

    def lose_session(*arguments: Any) -> Any:
        monkeypatch.setattr(bulk, "_exclude", real)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(bulk, "_exclude", lose_session)
    with pytest.raises(OperationalError):
        bulk.work_on_job(job.pk)
    job.refresh_from_db()
    assert job.status == "running"
    assert run(job).status == "done"
    assert (job.done, job.passed) == (1, 0)


def test_it_can_be_stopped_and_what_was_done_stays(
    contacts: list[Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask("exclude", CONTACTS)
    real = bulk._exclude

    def stop_it(*arguments: Any) -> Any:
        bulk.cancel_job(BulkJob.objects.get(pk=job.pk))
        return real(*arguments)

    monkeypatch.setattr(bulk, "_exclude", stop_it)
    assert run(job).status == "cancelled"
    assert job.done == 3
    assert bulk.undo_job(job)
    assert run(job).undone == 3
    assert Contact.objects.filter(status="ready").count() == 8
    waiting = ask_again(contacts)
    assert bulk.cancel_job(waiting)
    assert not bulk.work_on_job(waiting.pk)
    waiting.refresh_from_db()
    assert waiting.status == "cancelled"


def ask_again(contacts: list[Contact]) -> BulkJob:
    return bulk.ask_job("exclude", read_criteria(CONTACTS, {}))


def test_what_is_for_calls_is_not_done_with_contacts() -> None:
    with pytest.raises(ValueError, match="contacts"):
        bulk.ask_job("fetch", read_criteria(CONTACTS, {}))


def test_a_choice_that_cannot_be_read_any_more_fails() -> None:
    job = ask("exclude", CONTACTS)
    BulkJob.objects.filter(pk=job.pk).update(params={"gone": "1"})
    assert run(job).status == "failed"
    assert "gone" in job.reason_text


def test_rows_are_forgotten_and_then_nothing_is_taken_back(contacts: list[Contact]) -> None:
    job = run(ask("exclude", CONTACTS))
    assert bulk.has_rows(job)
    BulkJob.objects.filter(pk=job.pk).update(ended_at=timezone.now() - timedelta(days=90))
    assert bulk.forget_rows() == 8
    assert not BulkRow.objects.exists()
    assert not bulk.has_rows(job)
    assert StatusChange.objects.filter(subject="bulkjob").exists()
    assert not bulk.undo_job(job)
    job.refresh_from_db()
    assert (job.status, bulk.is_forgotten(job)) == ("done", True)
    assert set(Contact.objects.values_list("status", flat=True)) == {"excluded"}


def test_a_job_whose_rows_went_while_it_waited_says_so(contacts: list[Contact]) -> None:
    job = run(ask("exclude", CONTACTS))
    assert bulk.undo_job(job)
    BulkRow.objects.all().delete()
    assert run(job).status == "failed"
    assert (job.undone, job.reason) == (0, bulk.FORGOTTEN)


def test_rows_of_a_job_that_is_being_taken_back_are_not_forgotten(contacts: list[Contact]) -> None:
    job = run(ask("exclude", CONTACTS))
    assert bulk.undo_job(job)
    BulkJob.objects.filter(pk=job.pk).update(ended_at=timezone.now() - timedelta(days=90))
    assert bulk.forget_rows() == 0
    assert run(job).undone == 8


@pytest.mark.parametrize(
    ("mine", "theirs", "comes_back"),
    [
        ("family", "family", True),
        ("family", "account", False),
        ("account", "task", False),
        ("family", "days", False),
        ("days", "file", False),
        (None, "account", False),
        (None, None, True),
    ],
)
def test_a_number_that_was_taken_up_elsewhere_since_stays_left_out(
    mine: str | None, theirs: str | None, comes_back: bool
) -> None:
    account = make_account()
    first, second = (make_task(account=account) for _ in range(2))
    left_out = make_contact(
        task=first, phone="19900000001", source=mine and make_source(first, mine)
    )
    alone = make_contact(task=first, phone="19900000002", source=left_out.source)
    job = run(ask("exclude", CONTACTS, task__id__exact=str(first.pk)))
    make_contact(task=second, phone="19900000001", source=theirs and make_source(second, theirs))
    bulk.undo_job(job)
    run(job)
    left_out.refresh_from_db()
    alone.refresh_from_db()
    assert (left_out.status == "ready", alone.status) == (comes_back, "ready")
    assert job.reasons.get(bulk.TAKEN, 0) == (0 if comes_back else 1)


@pytest.mark.parametrize("rounds", [0, 1])
def test_nobody_is_twice_in_a_round_of_a_family_nor_in_a_task(rounds: int) -> None:
    account = make_account()
    first = make_task(account=account)
    again = make_task(account=account, family=first, round=first.round + rounds)
    left_out = make_contact(task=first, phone="19900000001", source=make_source(first, "family"))
    twice = make_contact(task=first, phone="19900000002")
    job = run(ask("exclude", CONTACTS, task__id__exact=str(first.pk)))
    make_contact(task=again, phone="19900000001")
    make_contact(task=first, phone="19900000002")
    bulk.undo_job(job)
    run(job)
    left_out.refresh_from_db()
    twice.refresh_from_db()
    assert (left_out.status, twice.status) == ("ready" if rounds else "excluded", "excluded")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_come_back_at_once_one_does() -> None:
    account = make_account()
    jobs = []
    for _ in range(2):
        task = make_task(account=account)
        make_contact(task=task, phone="19900000001", source=make_source(task, "account"))
        chosen = read_criteria(CONTACTS, {"task__id__exact": str(task.pk)})
        jobs.append(run(bulk.ask_job("exclude", chosen)))
    for job in jobs:
        assert bulk.undo_job(job)
    run_at_once([lambda job=job: run(job) for job in jobs])
    assert Contact.objects.filter(status="ready").count() == 1


def make_source(task: Task, scope: str) -> ContactImport:
    days = 3 if scope == "days" else None
    return ContactImport.objects.create(
        task=task, file_name="people.csv", duplicates=scope, duplicate_days=days
    )
