"""In: moves of rows. Out: only those that the tables allow, only once, each with its history."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from campaigns import lifecycle
from campaigns.models import Attempt, Batch, Contact, StatusChange, Task
from tests.factories import make_contact, make_task


@pytest.mark.django_db
def test_move_writes_the_status_the_reason_and_one_history_row() -> None:
    task = make_task()
    assert lifecycle.move(task, "loading", of=["draft"], reason="Launched.")
    task.refresh_from_db()
    assert (task.status, task.reason) == ("loading", "Launched.")
    change = StatusChange.objects.get(subject="task", subject_id=task.pk)
    assert (change.old, change.new, change.reason) == ("draft", "loading", "Launched.")


@pytest.mark.django_db
def test_late_news_changes_nothing() -> None:
    task = make_task(status="finished")
    assert not lifecycle.move(task, "paused", of=["running"])
    task.refresh_from_db()
    assert task.status == "finished"
    assert not StatusChange.objects.filter(subject="task", subject_id=task.pk).exists()


def test_no_table_leads_from_sending_back_to_planned() -> None:
    for model in (Contact, Batch, Attempt):
        assert "planned" not in lifecycle.MOVES[model]["sending"]


def test_every_state_of_every_model_is_in_its_table() -> None:
    for model, table in lifecycle.MOVES.items():
        states = {value for value, _ in model._meta.get_field("status").choices}
        assert states == set(table), model
        assert states >= {new for following in table.values() for new in following}, model


def test_a_move_that_the_table_lacks_is_a_fault_of_the_code() -> None:
    with pytest.raises(lifecycle.IllegalMove):
        lifecycle.check_moves(Contact, ["sending"], "planned")


@pytest.mark.django_db
def test_contacts_move_together_without_history_rows() -> None:
    task = make_task()
    for _ in range(3):
        make_contact(task=task)
    assert lifecycle.move_contacts(task.contacts.all(), "planned", of=["ready"]) == 3
    assert not StatusChange.objects.filter(subject="contact").exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_moves_at_once_exactly_one_wins() -> None:
    task = make_task()
    won: list[bool] = []
    start = threading.Barrier(12)

    def launch() -> None:
        try:
            start.wait()
            won.append(lifecycle.move(Task.objects.get(pk=task.pk), "loading", of=["draft"]))
        finally:
            connection.close()

    threads = [threading.Thread(target=launch) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 11 + [True]
    assert StatusChange.objects.filter(subject="task", subject_id=task.pk).count() == 1
