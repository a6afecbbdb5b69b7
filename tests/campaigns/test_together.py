"""In: batches that are claimed together. Out: each is sent for itself, and none because of another.

Must catch: a batch that leaves because the one before it was allowed to; one that leaves after
another did not; an answer that is forgotten because a later one failed; a batch that is claimed
together with others although somebody has to ask about each.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from campaigns import attempts, batching, dispatch, lifecycle
from campaigns.barring import bar_number
from campaigns.connections import find_room, slow_down
from campaigns.dispatch import batches
from campaigns.dispatch.batches import ONE_BEFORE
from campaigns.dispatch.claims import MOST_AT_ONCE, pick_most
from campaigns.models import Account, Attempt, Batch, Call, Contact, Task
from campaigns.platforms import registry
from campaigns.platforms.yeta import PLATFORM as YETA
from tests.factories import make_account, make_contact, make_robot, make_task
from tests.platforms.sandbox_client import Client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two contacts in each, so that a few contacts are many batches."""
    limits = replace(YETA.limits, rows_per_insert=2, rows_per_direct_call=2)
    monkeypatch.setitem(registry.PLATFORMS, "yeta", replace(YETA, limits=limits))


@pytest.fixture
def task(make_campaign: Any) -> Task:
    """Ten contacts in five batches, none of them sent."""
    found: Task = make_campaign(contacts=10)
    lifecycle.move(found, "loading", of=["draft"])
    Task.objects.filter(pk=found.pk).update(platform_task_id="1")
    assert len(batching.plan_batches(found)) == 5
    return found


def tell_batches(task: Task) -> list[str]:
    return list(task.batches.order_by("number").values_list("status", flat=True))


def count_contacts(task: Task) -> Counter[str]:
    return Counter(task.contacts.values_list("status", flat=True))


class Answers:
    """Instead of the transport: what came of each request, and who asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *told: Any) -> None:
        self.told, self.asked = list(told), list[Attempt]()
        monkeypatch.setattr(attempts, "carry_out", self.answer)

    def answer(self, attempt: Attempt, act: Any) -> attempts.Outcome:
        self.asked.append(attempt)
        told = self.told.pop(0) if self.told else "accepted"
        if isinstance(told, BaseException):
            raise told
        if callable(told):
            told()
            told = "accepted"
        if isinstance(told, attempts.Outcome):
            return told
        ids = tuple(f"t-{contact.pk}" for contact in attempt.leaving)
        value = type("Inserted", (), {"platform_contact_ids": ids})
        return attempts.Outcome(told, value=value, reason="" if told == "accepted" else "Lost.")


class TestClaim:
    def test_each_has_its_attempt_and_its_contacts(self, task: Task) -> None:
        claimed = dispatch.claim_batches(task.pk, most=3)
        assert [one.batch.number for one in claimed] == [1, 2, 3]
        for attempt in claimed:
            stored = Attempt.objects.get(pk=attempt.pk)
            assert (stored.status, stored.batch_id) == ("sending", attempt.batch_id)
            assert stored.lease_until == attempt.lease_until
            sending = attempt.batch.contacts.filter(status="sending").order_by("pk")
            assert [one.pk for one in attempt.leaving] == list(sending.values_list("pk", flat=True))
            assert len(attempt.leaving) == 2
        assert tell_batches(task) == ["sending"] * 3 + ["planned"] * 2
        assert len(dispatch.claim_batches(task.pk, most=8)) == 2
        assert dispatch.claim_batches(task.pk, most=8) == []

    def test_who_is_barred_stays_and_holds_back_nobody_else(self, task: Task) -> None:
        bar_number("19900000002", source="manual")
        claimed = dispatch.claim_batches(task.pk, most=5)
        assert [len(one.leaving) for one in claimed] == [2, 1, 2, 2, 2]
        assert [one.size for one in Batch.objects.order_by("number")] == [2, 1, 2, 2, 2]
        assert count_contacts(task) == {"sending": 9, "excluded": 1}

    def test_a_batch_of_nobody_is_left_out(self, task: Task) -> None:
        for phone in ("19900000002", "19900000003"):
            bar_number(phone, source="manual")
        claimed = dispatch.claim_batches(task.pk, most=5)
        assert [one.batch.number for one in claimed] == [1, 3, 4, 5]
        assert tell_batches(task)[1] == "not_sent"
        assert count_contacts(task) == {"sending": 8, "excluded": 2}

    def test_who_is_over_the_cap_stays_and_holds_back_nobody_else(self, task: Task) -> None:
        Account.objects.update(cap_calls=1)
        Call.objects.create(
            account=task.account, platform_call_id="1", direction="outbound", has_record=True,
            callee="19900000004", caller="055160000001", happened_at=timezone.now(),
        )  # fmt: skip
        claimed = dispatch.claim_batches(task.pk, most=5)
        assert [len(one.leaving) for one in claimed] == [2, 2, 1, 2, 2]
        assert task.contacts.get(phone="19900000004").status == "excluded"
        assert Attempt.objects.filter(status="sending").count() == 5

    def test_none_overtakes_one_whose_hours_have_to_be_looked_at(self, task: Task) -> None:
        Batch.objects.filter(number=3).update(places=[["US", ["America/New_York"]]])
        assert len(dispatch.claim_batches(task.pk, most=5)) == 2
        (third,) = dispatch.claim_batches(task.pk, most=5)
        assert third.batch.number == 3
        assert len(dispatch.claim_batches(task.pk, most=5)) == 2

    def test_nothing_is_claimed_behind_a_batch_of_unknown_outcome(self, task: Task) -> None:
        lifecycle.move(dispatch.claim_batch(task.pk).batch, "unknown", of=["sending"])
        assert dispatch.claim_batches(task.pk, most=5) == []

    def test_what_is_counted_one_by_one_is_claimed_one_by_one(self, task: Task) -> None:
        Task.objects.update(one_by_one=True)
        assert len(dispatch.claim_batches(task.pk, most=5)) == 1

    def test_direct_calls_are_claimed_one_by_one(self) -> None:
        robot = make_robot(account=make_account(), columns=["phone"])
        task = make_task(robot=robot, status="loading", kind=Task.Kind.DIRECT)
        for number in range(4):
            make_contact(task=task, phone=f"1990000000{number}")
        batching.plan_batches(task)
        assert task.batches.count() == 2
        assert len(dispatch.claim_batches(task.pk, most=5)) == 1

    def test_a_slow_account_claims_what_it_can_send(self, task: Task) -> None:
        Account.objects.update(rate_limit=4)
        assert len(dispatch.claim_batches(task.pk, most=5)) == 2
        account = Account.objects.get()
        slow_down(account)
        account.refresh_from_db()
        assert find_room(account, seconds=0.5) == 1


class TestSend:
    def test_all_are_accepted(self, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
        answers = Answers(monkeypatch)
        claimed = dispatch.claim_batches(task.pk, most=5)
        assert dispatch.send_batches(claimed) == dispatch.Next("advance")
        assert answers.asked == claimed
        assert set(Attempt.objects.values_list("status", flat=True)) == {"accepted"}
        assert count_contacts(task) == {"accepted": 10}
        assert tell_batches(task) == ["accepted"] * 5
        for contact in Contact.objects.all():
            assert contact.platform_contact_id == f"t-{contact.pk}"

    def test_what_follows_one_that_a_rule_held_back_is_planned_anew(
        self, task: Task, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = attempts.Outcome("not_sent", reason=attempts.HELD_BACK, busy=True, held=True)
        answers = Answers(monkeypatch, "accepted", held)
        claimed = dispatch.claim_batches(task.pk, most=4)
        assert dispatch.send_batches(claimed) == dispatch.Next("advance")
        assert answers.asked == claimed[:2]
        assert tell_batches(task) == ["accepted"] + ["not_sent"] * 3 + ["planned"]
        task.refresh_from_db()
        assert task.setbacks == 0

    @pytest.mark.parametrize("told", ["unknown", "refused", "not_sent"])
    def test_what_follows_one_that_fails_is_planned_anew(
        self, task: Task, monkeypatch: pytest.MonkeyPatch, told: str
    ) -> None:
        answers = Answers(monkeypatch, "accepted", attempts.Outcome(told, reason="No.", busy=True))
        claimed = dispatch.claim_batches(task.pk, most=5)
        dispatch.send_batches(claimed)
        assert answers.asked == claimed[:2]
        assert tell_batches(task) == ["accepted", told] + ["not_sent"] * 3
        state = "unknown" if told == "unknown" else "ready"
        assert count_contacts(task) == Counter(accepted=2) + Counter({state: 2}) + Counter(ready=6)
        late = Attempt.objects.filter(pk__in=[one.pk for one in claimed[2:]])
        assert set(late.values_list("status", "reason")) == {("not_sent", ONE_BEFORE)}
        task.refresh_from_db()
        assert task.setbacks == (0 if told == "unknown" else 1)  # and not one for each of them

    def test_after_the_pause_click_none_of_them_leaves(
        self, task: Task, platform: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        carry_out = attempts.carry_out
        claimed = dispatch.claim_batches(task.pk, most=5)
        Answers(monkeypatch, lambda: dispatch.pause_task(task, by=None))
        first = attempts.carry_out
        monkeypatch.setattr(
            attempts,
            "carry_out",
            lambda one, act: (first if one == claimed[0] else carry_out)(one, act),
        )
        dispatch.send_batches(claimed)
        assert platform.look("ledger")["requests"].get("task/insert", 0) == 0
        assert tell_batches(task) == ["accepted"] + ["not_sent"] * 4
        assert count_contacts(task) == {"accepted": 2, "ready": 8}

    def test_each_looks_for_itself_whether_somebody_was_barred(
        self, task: Task, platform: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        carry_out = attempts.carry_out
        claimed = dispatch.claim_batches(task.pk, most=3)
        Answers(monkeypatch, lambda: bar_number("19900000003", source="manual"))
        first = attempts.carry_out
        monkeypatch.setattr(
            attempts,
            "carry_out",
            lambda one, act: (first if one == claimed[0] else carry_out)(one, act),
        )
        dispatch.send_batches(claimed)
        assert platform.look("ledger")["requests"].get("task/insert", 0) == 0
        assert tell_batches(task)[:3] == ["accepted", "not_sent", "not_sent"]

    def test_none_leaves_past_the_lease_of_the_claim(
        self, task: Task, platform: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claimed = dispatch.claim_batches(task.pk, most=3)
        now = time.monotonic()
        for attempt in claimed:
            attempt.deadline = now
        dispatch.send_batches(claimed)
        assert platform.look("ledger")["requests"].get("task/insert", 0) == 0
        assert tell_batches(task)[:3] == ["not_sent"] * 3

    def test_what_was_answered_is_kept_when_our_own_program_fails(
        self, task: Task, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Answers(monkeypatch, "accepted", KeyboardInterrupt())
        claimed = dispatch.claim_batches(task.pk, most=4)
        with pytest.raises(KeyboardInterrupt):
            dispatch.send_batches(claimed)
        # Of the second nobody knows whether it left: that is for the reaper.
        assert tell_batches(task) == ["accepted", "sending", "not_sent", "not_sent", "planned"]

    def test_an_answer_waits_no_longer_than_it_may(
        self, task: Task, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[list[str]] = []
        monkeypatch.setattr(batches, "SECONDS_AT_ONCE", 0.0)
        Answers(monkeypatch, *[lambda: seen.append(tell_batches(task))] * 3)
        dispatch.send_batches(claimed := dispatch.claim_batches(task.pk, most=1))
        assert len(claimed) == 1
        claimed = [dispatch.claim_batch(task.pk) for _ in range(2)]
        dispatch.send_batches(claimed)
        assert seen[1][:3] == ["accepted", "sending", "sending"]
        assert seen[2][:3] == ["accepted", "accepted", "sending"]

    def test_one_that_was_settled_meanwhile_does_not_keep_the_others(
        self, task: Task, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claimed = dispatch.claim_batches(task.pk, most=3)

        def reap() -> None:
            attempt = claimed[1]
            attempt.refresh_from_db()
            assert lifecycle.move(attempt, "unknown", of=["sending"])
            attempts.park(attempt, attempts.INTERRUPTED)

        Answers(monkeypatch, "accepted", "accepted", reap)
        dispatch.send_batches(claimed)
        states = dict(Attempt.objects.values_list("pk", "status"))
        assert [states[one.pk] for one in claimed] == ["accepted", "confirmed_accepted", "accepted"]
        assert tell_batches(task)[:3] == ["accepted"] * 3
        assert count_contacts(task) == {"accepted": 6, "planned": 4}

    def test_one_without_its_batch_does_not_keep_the_others(
        self, task: Task, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claimed = dispatch.claim_batches(task.pk, most=3)

        def lose() -> None:
            lifecycle.move(claimed[1].batch, "unknown", of=["sending"])

        Answers(monkeypatch, "accepted", "accepted", lose)
        dispatch.send_batches(claimed)
        assert tell_batches(task)[:3] == ["accepted"] * 3
        assert count_contacts(task) == {"accepted": 6, "planned": 4}


def test_as_many_as_are_sent_in_a_moment_are_claimed_next() -> None:
    assert [pick_most(1, seconds=0.01), pick_most(4, seconds=0.04)] == [2, 8]
    assert pick_most(8, seconds=0.01) == MOST_AT_ONCE == 8
    assert pick_most(8, seconds=1.0) == 4
    assert pick_most(1, seconds=20.0) == 1
