"""In: statements that no code of ours would make. Out: the database refuses each of them.

Every pair of states is tried by hand, in SQL, and compared with ``lifecycle.MOVES``.
"""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from campaigns import lifecycle
from campaigns.models import Attempt, Batch, Contact, Task
from tests.factories import make_contact, make_task

pytestmark = pytest.mark.django_db


def make_batch(task: Task, *, number: int = 1, status: str = "planned") -> Batch:
    return Batch.objects.create(task=task, number=number, size=1, status=status)


def make_attempt(task: Task, *, batch: Batch | None = None, status: str = "sending") -> Attempt:
    return Attempt.objects.create(
        task=task, batch=batch, command="insert", status=status, lease_until=timezone.now()
    )


def make_row(model: type[models.Model], status: str) -> Any:
    task = make_task()
    if model is Contact:
        return make_contact(task=task, status=status)
    if model is Batch:
        return make_batch(task, status=status)
    return make_attempt(task, status=status)


def is_let(row: Any, sql: str, values: list[Any]) -> bool:
    """Whether the database lets the statement through; it is taken back in any case."""
    with connection.cursor() as cursor:
        try:
            with transaction.atomic():
                cursor.execute(sql, [*values, row.pk])
                transaction.set_rollback(True)
        except IntegrityError:
            return False
    return True


@pytest.mark.parametrize("model", [Contact, Batch, Attempt])
def test_the_database_lets_rows_go_where_the_table_says_and_nowhere_else(
    model: type[models.Model],
) -> None:
    states = list(lifecycle.MOVES[model])
    sql = f"UPDATE {model._meta.db_table} SET status = %s WHERE id = %s"
    let: dict[str, set[str]] = {state: set() for state in states}
    for old in states:
        row = make_row(model, old)
        for new in states:
            if old != new and is_let(row, sql, [new]):
                let[old].add(new)
        assert is_let(row, sql, [old]), f"{old} stays {old}"
    assert let == {state: set(after) for state, after in lifecycle.MOVES[model].items()}


def test_no_way_whatever_leads_from_sending_to_planned_for_a_batch_or_an_attempt() -> None:
    """Not by a detour either. A contact gets there only as ready, after the answer that nothing was
    done."""
    for model, start in ((Batch, "sending"), (Attempt, "unknown")):
        table = lifecycle.MOVES[model]
        for length in range(1, 5):
            for way in permutations(table, length):
                steps = pairwise((start, *way))
                if way[-1] in ("planned", "sending"):
                    assert not all(new in table[old] for old, new in steps), (model, way)
    assert "planned" not in lifecycle.MOVES[Contact]["sending"]


def test_a_statement_for_many_is_refused_for_one() -> None:
    task = make_task()
    for status in ("ready", "ready", "sending"):
        make_contact(task=task, status=status)
    with pytest.raises(IntegrityError, match="sending to planned"), transaction.atomic():
        Contact.objects.filter(task=task).update(status="planned")
    assert sorted(task.contacts.values_list("status", flat=True)) == ["ready", "ready", "sending"]


def test_an_upsert_is_refused_too() -> None:
    contact = make_contact(status="sending")
    contact.status = "planned"
    with pytest.raises(IntegrityError, match="sending to planned"), transaction.atomic():
        Contact.objects.bulk_create(
            [contact], update_conflicts=True, unique_fields=["id"], update_fields=["status"]
        )


def test_other_columns_may_be_written_in_every_state() -> None:
    for status in lifecycle.MOVES[Contact]:
        contact = make_contact(status=status)
        contact.save()
        contact.reason = "changed"
        contact.save(update_fields=["reason", "status"])


@pytest.mark.parametrize("status", list(lifecycle.MOVES[Attempt]))
def test_an_attempt_is_not_deleted_while_it_counts(status: str) -> None:
    task = make_task()
    attempt = make_attempt(task, batch=make_batch(task, status="sending"), status=status)
    settled_without_effect = ("refused", "not_sent", "confirmed_absent", "human_resend")
    if status in settled_without_effect:
        delete_now(attempt)
        assert not Attempt.objects.exists()
    else:
        with pytest.raises(IntegrityError, match="stays"), transaction.atomic():
            delete_now(attempt)
        assert Attempt.objects.get().status == status


def delete_now(row: models.Model) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {row._meta.db_table} WHERE id = %s", [row.pk])
        cursor.execute("SET CONSTRAINTS attempt_stays IMMEDIATE")
        cursor.execute("SET CONSTRAINTS attempt_stays DEFERRED")


@pytest.mark.parametrize(("status", "goes"), [("accepted", True), ("unknown", False)])
def test_with_its_task_only_what_is_settled_goes(status: str, goes: bool) -> None:
    task = make_task()
    make_attempt(task, batch=make_batch(task, status="accepted"), status=status)
    try:
        with transaction.atomic():
            task.delete()
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS attempt_stays IMMEDIATE")
                cursor.execute("SET CONSTRAINTS attempt_stays DEFERRED")
    except IntegrityError:
        assert not goes
    assert Task.objects.exists() is not goes


def test_an_attempt_stays_with_its_batch_and_its_command() -> None:
    task = make_task()
    attempt = make_attempt(task, batch=make_batch(task))
    other = make_batch(task, number=2)
    sql = "UPDATE campaigns_attempt SET {} = %s WHERE id = %s"
    assert not is_let(attempt, sql.format("batch_id"), [other.pk])
    assert not is_let(attempt, sql.format("batch_id"), [None])
    assert not is_let(attempt, sql.format("task_id"), [make_task().pk])
    assert not is_let(attempt, sql.format("command"), ["create"])
    assert is_let(attempt, sql.format("batch_id"), [attempt.batch_id])
