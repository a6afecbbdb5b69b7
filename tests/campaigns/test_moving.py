"""In: contacts on their way to a platform. Out: each is found by its state and by its platform's
id, whoever wrote it, and the way there writes no index of the contacts."""

from __future__ import annotations

import contextlib
from itertools import permutations
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q

from campaigns import batching, dispatch, lifecycle
from campaigns.dispatch.statements import Leaving, Taken, accept_batches, store_platform_ids
from campaigns.models import Attempt, Batch, Contact, ContactName
from campaigns.models.lookups import find_stage
from tests.factories import make_contact, make_task

STATES = Contact.Status.values


def read_names() -> set[tuple[str, int]]:
    return set(ContactName.objects.values_list("platform_contact_id", "contact_id"))


def read_ids() -> set[tuple[str, int]]:
    named = [pair for pair in Contact.objects.values_list("platform_contact_id", "pk") if pair[0]]
    return set(named)


def claim(count: int = 3, **fields: Any) -> Attempt:
    task = make_task(status="loading", platform_task_id="7")
    for number in range(count):
        make_contact(task=task, phone=f"1990000{number:04d}", **fields)
    batching.plan_batches(task)
    attempt = dispatch.claim_batch(task.pk)
    assert attempt is not None
    return attempt


def accept(attempt: Attempt, *, prefix: str = "there-") -> list[Attempt]:
    leaving: list[Leaving] = attempt.leaving
    return accept_batches([Taken(attempt, leaving, [f"{prefix}{one.pk}" for one in leaving])])


@pytest.mark.django_db
class TestStates:
    @pytest.mark.parametrize("first", STATES)
    def test_a_contact_is_found_by_its_state_and_by_no_other(self, first: str) -> None:
        contact = make_contact(status=first)
        contact.refresh_from_db()
        assert contact.stage == find_stage(first)
        for status in STATES:
            found = Contact.objects.filter(status=status)
            assert found.exists() == (status == first)
            assert Contact.objects.exclude(status=status).exists() == (status != first)
            assert Contact.objects.filter(~Q(status__in=[status, "no such"])).exists() == (
                status != first
            )
            assert Contact.objects.filter(Q(status=status) | Q(phone="?")).exists() == (
                status == first
            )
        assert Contact.objects.filter(status=F("stage")).exists() == (first == find_stage(first))
        assert Contact.objects.filter(status__in=STATES).count() == 1
        assert not Contact.objects.filter(status__in=[]).exists()

    def test_the_database_keeps_two_unsettled_contacts_of_one_number_apart(self) -> None:
        """In just the states of ``UNSETTLED``: every two of them, and no two others."""
        for one, other in permutations(STATES, 2):
            task = make_task()
            make_contact(task=task, phone="19900000001", status=one)
            both = one in Contact.UNSETTLED and other in Contact.UNSETTLED
            try:
                with transaction.atomic():
                    make_contact(task=task, phone="19900000001", status=other)
            except IntegrityError:
                assert both, (one, other)
            else:
                assert not both, (one, other)

    def test_the_states_of_a_task_are_found_by_the_index(self) -> None:
        task = make_task()
        Contact.objects.bulk_create(
            Contact(
                task=task, account=task.account, family_id=task.id, round=1, status="finished",
                phone=f"199{number:08d}", phone_raw=f"199{number:08d}",
            )
            for number in range(3000)
        )  # fmt: skip
        make_contact(task=task, status="ready")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE campaigns_contact")
        for query in (
            Contact.objects.filter(task=task, status="ready"),
            Contact.objects.filter(task=task, status__in=["unknown", "excluded"]),
        ):
            plan = query.explain()
            condition = plan.partition("Index Cond:")[2].partition("\n")[0]
            assert "contact_task_stage" in plan and "stage" in condition, plan


@pytest.mark.django_db(transaction=True)
class TestNames:
    def test_whoever_writes_an_id_it_is_found_by_it(self) -> None:
        contact = make_contact(platform_contact_id="a")
        other = make_contact(task=contact.task, phone="19900000002")
        assert read_names() == read_ids() == {("a", contact.pk)}
        Contact.objects.filter(pk=other.pk).update(platform_contact_id="b")
        Contact.objects.filter(platform_contact_id="a").update(platform_contact_id="c")
        assert read_names() == read_ids() == {("b", other.pk), ("c", contact.pk)}
        assert Contact.objects.get(platform_contact_id="c") == contact
        assert list(Contact.objects.filter(platform_contact_id__in=["b", "?"])) == [other]
        found = Contact.objects.filter(Q(phone="?") | Q(platform_contact_id="b"))
        assert list(found) == [other]
        assert Contact.objects.filter(platform_contact_id="").count() == 0
        Contact.objects.filter(pk=other.pk).update(platform_contact_id="")
        assert read_names() == read_ids() == {("c", contact.pk)}
        Contact.objects.all().delete()
        assert read_names() == set()

    def test_a_move_and_an_id_at_once_are_found_too(self) -> None:
        """As the acceptance writes them, which has no trigger; nobody else has none."""
        contact = make_contact(status="sending")
        Contact.objects.filter(pk=contact.pk).update(status="accepted", platform_contact_id="a")
        assert read_names() == read_ids() == {("a", contact.pk)}

    def test_what_a_platform_took_is_found_by_its_ids(self) -> None:
        attempt = claim()
        assert accept(attempt) == [attempt]
        assert len(read_ids()) == 3 and read_names() == read_ids()
        # inside of a transaction as well, and nothing of it is left behind for others
        second = claim(2)
        with transaction.atomic():
            assert accept(second, prefix="more-") == [second]
            store_platform_ids(second.leaving[:1], ["changed"])
        assert len(read_ids()) == 5 and read_names() == read_ids()

    def test_what_was_unknown_meanwhile_and_what_a_call_had_named(self) -> None:
        attempt = claim()
        first, second, _third = attempt.leaving
        Contact.objects.filter(pk=first.pk).update(status="unknown")
        Contact.objects.filter(pk=second.pk).update(platform_contact_id="before")
        assert accept(attempt) == [attempt]
        assert len(read_ids()) == 3 and read_names() == read_ids()

    @pytest.mark.parametrize("inside", [False, True])
    def test_whom_a_call_had_named_as_the_answer_does(self, inside: bool) -> None:
        attempt = claim()
        named = Contact.objects.filter(pk=attempt.leaving[1].pk)
        named.update(platform_contact_id=f"there-{attempt.leaving[1].pk}")
        with transaction.atomic() if inside else contextlib.nullcontext():
            assert accept(attempt) == [attempt]
        assert len(read_ids()) == 3 and read_names() == read_ids()
        assert Contact.objects.filter(status="accepted").count() == 3

    def test_whoever_is_free_again_has_no_name(self) -> None:
        attempt = claim()
        accept(attempt)
        lifecycle.free_task(attempt.task, "It was deleted there.")
        assert read_names() == read_ids() == set()
        assert not Batch.objects.filter(status="planned").exists()


@pytest.mark.django_db(transaction=True)
def test_the_way_to_a_platform_writes_no_index_of_the_contacts() -> None:
    """Each of the two moves of a contact is a HOT update."""
    with connection.cursor() as cursor:
        # One empty page, on which there is room for all: whether an old row has been cleared away
        # yet depends on who else is looking.
        cursor.execute("TRUNCATE campaigns_contact CASCADE")
    begun = read_updates()
    attempt = claim(4)
    # planning changes stage and batch, of which there are indexes; the claim changes neither
    claimed = read_updates()
    assert [now - then for now, then in zip(claimed, begun, strict=True)] == [12, 4]
    accept(attempt)
    accepted = read_updates()
    assert [now - then for now, then in zip(accepted, claimed, strict=True)] == [4, 4]


def read_updates() -> tuple[int, int]:
    """Rows of contacts that were updated, and how many of these wrote no index."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
            " WHERE relname = 'campaigns_contact'"
        )
        row = cursor.fetchone()
    return row[0], row[1]
