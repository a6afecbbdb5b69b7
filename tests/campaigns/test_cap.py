"""In: an account that calls a number at most so often. Out: calls counted over all its tasks, and
nobody called more often, whoever plans or sends at the same time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from campaigns import barring, batching, dispatch
from campaigns.barring import CALLED_SQL, CAPPED
from campaigns.models import Account, Call, Contact, Task
from tests.at_once import run_at_once
from tests.campaigns.filling import claim, send_all
from tests.factories import make_account, make_contact, make_task
from tests.platforms.sandbox_client import Client

pytestmark = pytest.mark.django_db
PHONE, OTHER = "19900000001", "19900000002"


@pytest.fixture
def capped() -> Account:
    return make_account(cap_calls=2, cap_days=7)


def make_call(account: Account, *, days: float = 1, **fields: Any) -> Call:
    """One that went out and was recorded, ``days`` ago."""
    values: dict[str, Any] = {
        "account": account,
        "platform_call_id": f"call-{Call.objects.count()}",
        "direction": "outbound",
        "callee": PHONE,
        "caller": "055160000001",
        "has_record": True,
        "happened_at": timezone.now() - timedelta(days=days),
    }
    return Call.objects.create(**values | fields)


def count_calls(account: Account, phone: str = PHONE) -> int:
    """As the import's sub-select counts them, and as a look-up of the number does."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT calls FROM ({CALLED_SQL}) called WHERE phone = %(phone)s",
            {"account": account.pk, "cap_days": account.cap_days, "phone": phone},
        )
        told = int((cursor.fetchone() or [0])[0])
    assert barring.find_capped(account, [phone], adding=1000) == {phone: told}
    return told


class TestCounting:
    def test_calls_that_were_made_count_until_they_are_too_old(self, capped: Account) -> None:
        assert count_calls(capped) == 0
        make_call(capped, days=6.9)
        make_call(capped, days=7.1)
        make_call(capped, days=0)
        assert count_calls(capped) == 2

    def test_what_was_no_call_to_the_number_does_not_count(self, capped: Account) -> None:
        make_call(capped, callee=OTHER)
        make_call(capped, direction="inbound", caller=PHONE, callee="055160000001")
        contact = make_contact(task=make_task(account=capped), phone=PHONE, status="finished")
        make_call(capped, direction="inbound", contact=contact)
        make_call(capped, has_record=False)  # it rings: its contact has a place for it
        make_call(make_account())
        assert count_calls(capped) == 0

    def test_a_call_counts_for_the_number_of_its_contact(self, capped: Account) -> None:
        contact = make_contact(task=make_task(account=capped), phone=PHONE, status="finished")
        make_call(capped, callee="199****0001", contact=contact)
        make_call(capped, callee="", direction="", contact=contact)
        assert count_calls(capped) == 2

    @pytest.mark.parametrize(
        ("status", "calls"),
        [
            *(("ready", 0), ("excluded", 0), ("rejected", 0), ("finished", 0), ("withdrawn", 0)),
            *(("planned", 3), ("sending", 3), ("unknown", 3), ("accepted", 3)),
        ],
    )
    def test_calls_on_their_way_are_those_the_task_may_still_make(
        self, capped: Account, status: str, calls: int
    ) -> None:
        task = make_task(account=capped, recall_count=2)
        make_contact(task=task, phone=PHONE, status=status)
        assert count_calls(capped) == calls

    @pytest.mark.parametrize(("days", "calls"), [(None, 1), (6.9, 1), (7.1, 0)])
    def test_a_place_in_a_task_that_is_over_lapses(
        self, capped: Account, days: float | None, calls: int
    ) -> None:
        finished_at = timezone.now() - timedelta(days=days) if days else None
        task = make_task(account=capped, finished_at=finished_at)
        make_contact(task=task, phone=PHONE, status="accepted")
        assert count_calls(capped) == calls

    @pytest.mark.parametrize(("made", "left"), [(0, 3), (1, 2), (3, 0), (5, 0)])
    def test_and_not_those_that_were_made(self, capped: Account, made: int, left: int) -> None:
        task = make_task(account=capped, recall_count=2)
        contact = make_contact(task=task, phone=PHONE, status="accepted", calls_made=made)
        for _ in range(made):
            make_call(capped, contact=contact)
        assert count_calls(capped) == made + left

    def test_all_tasks_of_the_account_count_together(self, capped: Account) -> None:
        for status in ("planned", "accepted"):
            make_contact(task=make_task(account=capped), phone=PHONE, status=status)
        make_contact(task=make_task(), phone=PHONE, status="accepted")
        make_call(capped)
        assert count_calls(capped) == 3

    def test_who_is_over_the_cap(self, capped: Account) -> None:
        make_call(capped)
        phones = [PHONE, OTHER]
        assert barring.find_capped(capped, phones, adding=1) == {}
        assert barring.find_capped(capped, phones, adding=2) == {PHONE: 1}
        assert barring.find_capped(capped, phones, adding=3) == {PHONE: 1, OTHER: 0}
        capped.cap_calls = None
        assert barring.find_capped(capped, phones, adding=99) == {}


class TestPlanning:
    def test_a_number_at_its_cap_is_excluded_with_the_figures(self, capped: Account) -> None:
        task = make_task(account=capped, status="loading")
        for phone in (PHONE, OTHER):
            make_contact(task=task, phone=phone)
        make_call(capped)
        make_call(capped)
        make_call(capped, callee=OTHER)
        batching.plan_batches(task)
        over, under = task.contacts.order_by("phone")
        assert (over.status, over.reason) == ("excluded", CAPPED)
        assert over.reason_values == {"calls": 2, "days": 7, "allowed": 2}
        assert over.reason_text.startswith("2 calls to this number within 7 days")
        assert under.status == "planned"

    def test_without_a_cap_nobody_is(self, capped: Account) -> None:
        Account.objects.update(cap_calls=None)
        task = make_task(account=capped, status="loading", recall_count=3)
        make_contact(task=task, phone=PHONE)
        for _ in range(9):
            make_call(capped)
        batching.plan_batches(task)
        assert task.contacts.get().status == "planned"

    def test_a_task_leaves_room_for_its_recalls(self, capped: Account) -> None:
        task = make_task(account=capped, status="loading", recall_count=1)
        make_contact(task=task, phone=PHONE)
        make_call(capped)
        batching.plan_batches(task)
        assert task.contacts.get().status == "excluded"

    def test_a_number_planned_elsewhere_has_its_place(self, capped: Account) -> None:
        Account.objects.update(cap_calls=1)
        first, second = (make_task(account=capped, status="loading") for _ in range(2))
        for task in (first, second):
            make_contact(task=task, phone=PHONE)
            batching.plan_batches(task)
        assert first.contacts.get().status == "planned"
        assert second.contacts.get().status == "excluded"


class TestLaunch:
    @pytest.mark.parametrize(("recalls", "refused"), [(1, False), (2, True)])
    def test_a_task_that_may_call_too_often_by_itself_is_refused(
        self, make_campaign: Any, account: Account, recalls: int, refused: bool
    ) -> None:
        Account.objects.update(cap_calls=2, cap_days=3)
        task = Task.objects.get(pk=make_campaign(recall_count=recalls).pk)
        problems = dispatch.check_launch(task)
        sentence = (
            "With its recalls the task may call a number 3 times; the account allows 2 within 3"
            " days."
        )
        assert problems == ([sentence] if refused else [])

    def test_a_direct_call_is_refused_with_its_row(
        self, make_campaign: Any, account: Account
    ) -> None:
        Account.objects.update(cap_calls=1)
        account.refresh_from_db()
        make_call(account, callee=OTHER)
        task = make_campaign(contacts=0)
        with pytest.raises(dispatch.LaunchRefused) as refused:
            dispatch.call_directly(
                account=account, robot=task.robot, line=task.lines.get(),
                columns=task.robot.columns, rows=[[PHONE, "a"], [OTHER, "b"]], by=None,
            )  # fmt: skip
        assert str(refused.value).startswith("Row 2: 1 calls to this number within 7 days")


@pytest.mark.django_db(transaction=True)
class TestLeaving:
    def load(self, make_campaign: Any, *, cap: int | None = 1, **fields: Any) -> Task:
        """A campaign of one number, its batch planned; the cap is there from now on."""
        task = make_campaign(contacts=1, **fields)
        Account.objects.update(cap_calls=None)
        dispatch.launch_task(task, by=None)
        dispatch.advance_task(task.pk)
        batching.plan_batches(task)
        Account.objects.update(cap_calls=cap)
        return task

    def test_of_two_tasks_the_first_that_leaves_is_sent(
        self, make_campaign: Any, platform: Client
    ) -> None:
        """Both were planned before the cap was set: the one that leaves later yields."""
        one, other = self.load(make_campaign), self.load(make_campaign)
        send_all(other)
        send_all(one)
        assert other.contacts.get().status == "accepted"
        late = one.contacts.get()
        assert (late.status, late.reason_values["calls"]) == ("excluded", 1)
        assert platform.look("ledger")["requests"]["task/insert"] == 1

    def test_a_call_that_was_heard_of_after_the_plan(
        self, make_campaign: Any, account: Account, platform: Client
    ) -> None:
        task = self.load(make_campaign)
        make_call(account, callee="19900000000")
        assert dispatch.claim_batch(task.pk) is None
        assert task.contacts.get().reason == CAPPED
        assert "task/insert" not in platform.look("ledger")["requests"]

    def test_a_cap_that_was_lowered_holds_for_what_is_planned(self, make_campaign: Any) -> None:
        task = self.load(make_campaign, cap=1, recall_count=1)
        assert dispatch.claim_batch(task.pk) is None
        assert task.contacts.get().reason_values == {"calls": 0, "days": 7, "allowed": 1}

    def test_ones_own_place_does_not_stand_in_the_way(self, make_campaign: Any) -> None:
        task = self.load(make_campaign, cap=2, recall_count=1)
        claim(task)
        assert task.contacts.get().status == "sending"

    def test_a_batch_that_is_sent_again_after_a_setback(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = self.load(make_campaign)
        busy = {"endpoint": "task/insert", "kind": "code", "code": 10004, "count": 1}
        platform.control("faults", busy)
        dispatch.send_batch(claim(task))
        Task.objects.update(not_before=None)
        batching.plan_batches(task)
        send_all(task)
        assert task.contacts.get().status == "accepted"

    @pytest.mark.parametrize("cap", [1, 2])
    def test_eight_tasks_that_leave_at_once_share_the_cap(
        self, make_campaign: Any, cap: int
    ) -> None:
        for _ in range(6):
            tasks = [self.load(make_campaign, cap=cap) for _ in range(8)]
            claimed = run_at_once(
                [lambda task=task: dispatch.claim_batch(task.pk) for task in tasks]
            )
            assert sum(attempt is not None for attempt in claimed) == cap
            told = [task.contacts.get().status for task in tasks]
            assert sorted(told) == ["excluded"] * (8 - cap) + ["sending"] * cap
            Contact.objects.filter(status="sending").update(status="rejected")

    def test_a_plan_that_is_still_open_while_the_other_leaves(self, make_campaign: Any) -> None:
        """The planner saw nobody, commits late, and is claimed while the other's claim is open."""
        Account.objects.update(cap_calls=1)
        one = self.load(make_campaign)
        other = make_campaign(contacts=1)
        dispatch.launch_task(other, by=None)
        dispatch.advance_task(other.pk)
        with transaction.atomic():
            Account.objects.update(cap_calls=None)
            batching.plan_batches(other)
            Account.objects.update(cap_calls=1)
        claimed = run_at_once(
            [lambda task=task: dispatch.claim_batch(task.pk) for task in (one, other)]
        )
        assert sum(attempt is not None for attempt in claimed) == 1
