"""In: planned batches. Out: each is claimed, and accepted, by one statement, whole or not at all.

Must catch: an attempt that leaves with fewer contacts than its batch counts; an attempt that is
accepted without its batch; a commit that waits for no disk where it has to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from campaigns import batching, dispatch, lifecycle
from campaigns.barring import bar_number
from campaigns.connections import wait_for_turn
from campaigns.dispatch import statements
from campaigns.dispatch.statements import Taken, accept_batches
from campaigns.models import Attempt, Contact, StatusChange, Task
from tests.factories import make_account, make_contact, make_robot, make_task

pytestmark = pytest.mark.django_db(transaction=True)


def plan_task(*, contacts: int = 3, **account: Any) -> Task:
    robot = make_robot(account=make_account(**account), columns=["phone"])
    task = make_task(robot=robot, status="loading", platform_task_id="1")
    Task.objects.filter(pk=task.pk).update(family=task)
    for number in range(contacts):
        phone = f"199000000{number + 1:02d}"
        make_contact(task=task, phone=phone, values={"phone": phone}, family_id=task.pk)
    batching.plan_batches(task)
    return task


@pytest.mark.parametrize("cap", [None, 3])
def test_a_batch_is_claimed_with_its_contacts_and_its_attempt(cap: int | None) -> None:
    task = plan_task(cap_calls=cap)
    attempt = dispatch.claim_batch(task.pk)
    assert attempt is not None and attempt.batch is not None
    contacts = list(Contact.objects.order_by("pk"))
    assert [contact.status for contact in contacts] == ["sending"] * 3
    assert [tuple(one) for one in attempt.leaving] == [
        (contact.pk, contact.phone, contact.values) for contact in contacts
    ]
    stored = Attempt.objects.select_related("batch").get()
    assert (stored.pk, stored.batch, stored.task_id) == (attempt.pk, attempt.batch, task.pk)
    assert (stored.status, stored.command, stored.evidence) == ("sending", "insert", [])
    assert (stored.lease_until, stored.started_at) == (attempt.lease_until, attempt.started_at)
    assert stored.batch is not None and stored.batch.status == "sending"
    assert StatusChange.objects.filter(subject="batch", new="sending").count() == 1
    assert dispatch.claim_batch(task.pk) is None


@pytest.mark.parametrize("cap", [None, 3])
def test_a_batch_leaves_with_as_many_as_it_counts(cap: int | None) -> None:
    task = plan_task(cap_calls=cap)
    bar_number("19900000002", source="manual")
    attempt = dispatch.claim_batch(task.pk)
    assert attempt is not None and attempt.batch is not None
    assert [contact.phone for contact in attempt.leaving] == ["19900000001", "19900000003"]
    attempt.batch.refresh_from_db()
    assert attempt.batch.size == 2
    states = dict(Contact.objects.values_list("phone", "status"))
    assert states["19900000002"] == "excluded" and Attempt.objects.count() == 1


def test_a_batch_of_nobody_has_no_attempt() -> None:
    task = plan_task()
    for phone in list(Contact.objects.values_list("phone", flat=True)):
        bar_number(phone, source="manual")
    assert dispatch.claim_batch(task.pk) is None
    assert not Attempt.objects.exists()
    assert [batch.status for batch in task.batches.all()] == ["not_sent"]
    assert set(Contact.objects.values_list("status", flat=True)) == {"excluded"}


@pytest.mark.parametrize("inside", [False, True])
def test_an_attempt_is_not_accepted_without_its_batch(inside: bool) -> None:
    task = plan_task()
    attempt = dispatch.claim_batch(task.pk)
    assert attempt is not None and attempt.batch is not None
    lifecycle.move(attempt.batch, "unknown", of=["sending"])
    ids = [f"t-{contact.pk}" for contact in attempt.leaving]
    if inside:
        with transaction.atomic():
            assert not accept_batches([Taken(attempt, attempt.leaving, ids)])
            assert Attempt.objects.get().status == "sending"  # the transaction goes on
    else:
        assert not accept_batches([Taken(attempt, attempt.leaving, ids)])
    assert Attempt.objects.get().status == "sending"
    assert set(Contact.objects.values_list("status", "platform_contact_id")) == {("sending", "")}


def test_only_a_turn_of_its_own_waits_for_no_disk() -> None:
    account = make_account(rate_limit=1_000)

    def ask() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            return str(cursor.fetchone()[0])

    usual = ask()
    assert usual != "off"
    wait_for_turn(account)
    assert ask() == usual
    with transaction.atomic():
        wait_for_turn(account)
        assert ask() == usual


def test_every_other_commit_waits_for_the_disk_whatever_the_server_was_told() -> None:
    """A ``sending`` that a crash of the database takes back is a second call."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit TO off")
    connection.close()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == ("on",)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} RESET synchronous_commit")
        connection.close()


class TestDeadlocks:
    """What the platform said is not lost because PostgreSQL ended this side of a circle."""

    @pytest.fixture(params=[False, True], ids=["alone", "within a transaction"])
    def fail(self, request: Any) -> Iterator[Callable[[int, str], str]]:
        """A statement that fails so many times with this error before it returns 7; the database
        counts, and no rollback takes its count back."""

        def make(times: int, code: str) -> str:
            with connection.cursor() as cursor:
                cursor.execute("CREATE TEMP SEQUENCE tries")
                cursor.execute(
                    "CREATE FUNCTION pg_temp.answer() RETURNS integer[] LANGUAGE plpgsql AS $$"
                    f" BEGIN IF nextval('tries') <= {times} THEN"
                    f" RAISE EXCEPTION 'tried' USING ERRCODE = '{code}'; END IF;"
                    " RETURN ARRAY[7]; END $$"
                )
            return "SELECT pg_temp.answer()"

        with transaction.atomic() if request.param else contextlib.nullcontext():
            yield make
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION IF EXISTS pg_temp.answer()")
            cursor.execute("DROP SEQUENCE IF EXISTS tries")

    def count_tries(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT last_value FROM tries")
            return int(cursor.fetchone()[0])

    def test_it_is_written_again(self, fail: Callable[[int, str], str]) -> None:
        statement = fail(statements.DEADLOCK_TRIES - 1, "40P01")
        assert statements._carry_out(statement, {}) == {7}

    def test_but_not_for_ever(self, fail: Callable[[int, str], str]) -> None:
        statement = fail(99, "40P01")
        with pytest.raises(OperationalError):
            statements._carry_out(statement, {})
        assert self.count_tries() == statements.DEADLOCK_TRIES

    def test_nothing_else_is_tried_again(self, fail: Callable[[int, str], str]) -> None:
        statement = fail(99, "57014")
        with pytest.raises(OperationalError):
            statements._carry_out(statement, {})
        assert self.count_tries() == 1
