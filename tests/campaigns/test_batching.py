"""In: ready contacts. Out: batches of the platform's size, in the file's order, nobody twice."""

from __future__ import annotations

import pytest

from campaigns import batching
from campaigns.models import Batch, Contact
from tests.factories import make_contact, make_task

pytestmark = pytest.mark.django_db


def test_contacts_go_into_batches_of_fifty_in_their_order() -> None:
    task = make_task(status="loading")
    made = [make_contact(task=task) for _ in range(120)]
    ids = batching.plan_batches(task)
    assert list(Batch.objects.filter(pk__in=ids).values_list("number", "size")) == [
        (1, 50),
        (2, 50),
        (3, 20),
    ]
    for number, begin in ((1, 0), (2, 50), (3, 100)):
        batch = Batch.objects.get(task=task, number=number)
        expected = [contact.pk for contact in made[begin : begin + 50]]
        assert list(batch.contacts.order_by("id").values_list("id", flat=True)) == expected
    assert set(task.contacts.values_list("status", flat=True)) == {"planned"}


def test_a_second_plan_adds_nothing() -> None:
    task = make_task(status="loading")
    make_contact(task=task)
    assert len(batching.plan_batches(task)) == 1
    assert batching.plan_batches(task) == []


def test_later_contacts_get_the_next_numbers() -> None:
    task = make_task(status="loading")
    make_contact(task=task)
    batching.plan_batches(task)
    make_contact(task=task)
    batching.plan_batches(task)
    assert list(task.batches.values_list("number", "size")) == [(1, 1), (2, 1)]


def test_a_number_under_way_in_the_same_family_is_kept_out_with_a_reason() -> None:
    first = make_task()
    other = make_task(account=first.account, robot=first.robot, family=first, status="loading")
    make_contact(task=first, phone="19900000001", status="accepted")
    again = make_contact(task=other, phone="19900000001", family_id=first.pk)
    free = make_contact(task=other, phone="19900000002", family_id=first.pk)
    batching.plan_batches(other)
    again.refresh_from_db()
    free.refresh_from_db()
    assert (again.status, again.reason) == ("excluded", batching.ALREADY_UNDER_WAY)
    assert free.status == "planned"


def test_the_same_number_twice_in_a_task_is_planned_once() -> None:
    task = make_task(status="loading")
    kept = make_contact(task=task, phone="19900000001")
    twin = make_contact(task=task, phone="19900000001")
    batching.plan_batches(task)
    assert Contact.objects.get(pk=kept.pk).status == "planned"
    assert Contact.objects.get(pk=twin.pk).status == "excluded"


def test_nothing_is_planned_for_a_task_that_was_paused_meanwhile() -> None:
    task = make_task(status="paused")
    make_contact(task=task)
    assert batching.plan_batches(task) == []
    assert set(task.contacts.values_list("status", flat=True)) == {"ready"}
