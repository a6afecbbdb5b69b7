"""In: pushes that say how a call ended. Out: the numbers that a rule bars for it, in any order.

Real pushes of yeta, read by its parser and written by ``ingest``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from campaigns import barring, correcting, ingest, linking
from campaigns.barring.rules import list_numbers
from campaigns.models import (
    Account,
    Call,
    Contact,
    DoNotCall,
    DoNotCallRule,
    StatusChange,
)
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.events import AnyEvent, CallEnded, Direction
from campaigns.platforms.registry import PLATFORMS
from tests.callbacks.pushes import make_dialog, make_record
from tests.campaigns.admin.world import make_user
from tests.factories import make_account, make_contact, make_robot, make_task

pytestmark = pytest.mark.django_db
PHONE, OTHER, LINE = "19900000001", "19900000002", "055196866001"


@pytest.fixture
def account() -> Account:
    return make_account()


def read(kind: str, body: bytes) -> AnyEvent:
    (event,) = PLATFORMS["yeta"].parse(Push(kind, body), Reading(Account(platform="yeta").zone))
    return event


def hear_record(call: str = "call-1", **fields: Any) -> AnyEvent:
    return read("receiveCallRecord", make_record(call, **{"outbound": True} | fields))


def hear_dialog(call: str = "call-1", intention: str = "F", **fields: Any) -> AnyEvent:
    return read("receiveDialog", make_dialog(call, tag_max=intention, **fields))


def make_rule(account: Account, intention: str = "F", **fields: Any) -> DoNotCallRule:
    return DoNotCallRule.objects.create(account=account, intention=intention, **fields)


def apply(account: Account, *events: AnyEvent) -> None:
    """Each by itself, as pushes come."""
    for event in events:
        ingest.apply_events(account, [event])


def list_barred(account: Account | None) -> set[str]:
    told = DoNotCall.objects.filter(account=account, lifted_at=None)
    return set(told.values_list("phone", flat=True))


class TestWhose:
    def test_the_number_of_the_contact(self, account: Account) -> None:
        rule = make_rule(account)
        contact = make_contact(
            task=make_task(account=account),
            phone=OTHER,
            status="accepted",
            platform_contact_id="262381",
        )
        apply(account, hear_record(callee="199****0002"), hear_dialog())
        call = Call.objects.get(contact=contact)
        entry = DoNotCall.objects.get()
        assert (entry.phone, entry.account, entry.source) == (OTHER, account, "rule")
        assert (entry.call, entry.rule, entry.reason) == (call, rule, "F")
        assert entry.expires_at is None

    def test_the_number_that_was_called_when_the_contact_is_unknown(self, account: Account) -> None:
        make_rule(account)
        apply(account, hear_record(callee="+86 199 0000 0001"), hear_dialog())
        assert Call.objects.get().contact is None
        assert list_barred(account) == {PHONE}

    def test_who_called_in_is_the_caller(self, account: Account) -> None:
        make_rule(account)
        apply(
            account,
            hear_record(direction=1, caller=OTHER, callee=LINE, outbound=False),
            hear_dialog(),
        )
        assert list_barred(account) == {OTHER}

    def test_a_call_in_with_a_contact_of_ours_bars_who_called(self, account: Account) -> None:
        """The dialog came first and was taken for the contact's: it may have been. Both stay."""
        make_rule(account)
        make_contact(
            task=make_task(account=account),
            phone=PHONE,
            status="accepted",
            platform_contact_id="262381",
        )
        record = hear_record(direction=1, caller=OTHER, callee=LINE, outbound=False)
        apply(account, hear_dialog(), record)
        assert Call.objects.get().contact is None
        assert list_barred(account) == {PHONE, OTHER}

    def test_a_call_that_does_not_say_which_way_it_went_bars_both_ends(
        self, account: Account
    ) -> None:
        make_rule(account)
        heard = CallEnded(
            source="receiveCallRecord.basic", platform_call_id="call-1", caller=PHONE,
            callee=OTHER, intention="F",
        )  # fmt: skip
        ingest.apply_events(account, [heard])
        assert list_barred(account) == {PHONE, OTHER}

    def test_the_number_that_was_sent_stands_behind_a_masked_one(self, account: Account) -> None:
        make_rule(account)
        heard = CallEnded(
            source="receiveCallRecord.outbound", platform_call_id="call-1", caller=LINE,
            callee="199****0001", intention="F", direction=Direction.OUTBOUND,
            details={"contact_number": PHONE},
        )  # fmt: skip
        ingest.apply_events(account, [heard])
        assert list_barred(account) == {PHONE}

    def test_what_was_sent_is_read_in_the_region_of_the_account(self) -> None:
        """Its bare digits are a Chinese mobile in normal form, and nobody's number here."""
        american = make_account(region="US")
        call = Call(
            account=american,
            direction="outbound",
            callee="131****0123",
            evidence={"details.contact_number": [[0, "", "13105550123"]]},
        )
        assert list_numbers(call, american) == ["+13105550123"]

    @pytest.mark.parametrize("callee", ["199****0001", "110", "8001", ""])
    def test_what_is_no_number_bars_nobody_and_stops_nothing(
        self, account: Account, callee: str
    ) -> None:
        make_rule(account)
        apply(account, hear_record(callee=callee, outbound=False), hear_dialog())
        assert not DoNotCall.objects.exists()
        assert Call.objects.get().intention == "F"

    def test_a_contact_whose_id_comes_late_is_barred_with_it(self, account: Account) -> None:
        """Its call is known, its number is masked: only the reply to our insert tells whose."""
        make_rule(account)
        contact = make_contact(task=make_task(account=account), phone=PHONE, status="sending")
        apply(account, hear_record(callee="199****0001", outbound=False), hear_dialog())
        assert not DoNotCall.objects.exists()
        Contact.objects.filter(pk=contact.pk).update(
            platform_contact_id="262381", status="accepted"
        )
        linking.link_calls(account.pk, contact_ids=[contact.pk])
        assert list_barred(account) == {PHONE}

    @pytest.mark.parametrize("way", ["late", "pending"])
    def test_however_a_call_finds_its_contact(self, account: Account, way: str) -> None:
        make_rule(account)
        apply(account, hear_record(callee="199****0001", outbound=False), hear_dialog())
        assert not DoNotCall.objects.exists()
        make_contact(
            task=make_task(account=account),
            phone=PHONE,
            status="accepted",
            platform_contact_id="262381",
        )
        if way == "late":
            linking.link_late(account.pk, list(Call.objects.values_list("pk", flat=True)))
        else:
            linking.link_pending()
        assert list_barred(account) == {PHONE}

    def test_a_number_is_read_in_the_region_of_the_account(self) -> None:
        american = make_account(region="US")
        make_rule(american)
        apply(american, hear_record(callee="(212) 555-0100", outbound=False), hear_dialog())
        assert list_barred(american) == {"+12125550100"}


class TestWhich:
    @pytest.mark.parametrize(
        ("rule", "intention"),
        [
            ("f", "F"),
            ("F", "f"),
            ("Ｆ", "F"),
            ("F", "ｆ"),
            (" F ", "F"),
            ("Do Not Call", "ｄｏ not ＣＡＬＬ"),
            ("拒绝（永久）", "拒绝(永久)"),
        ],
    )
    def test_width_and_case_do_not_count(self, account: Account, rule: str, intention: str) -> None:
        make_rule(account, rule)
        apply(account, hear_record(), hear_dialog(intention=intention))
        assert list_barred(account) == {PHONE}

    @pytest.mark.parametrize("intention", ["A", "FF", "", "E"])
    def test_another_intention_bars_nobody(self, account: Account, intention: str) -> None:
        make_rule(account)
        apply(account, hear_record(), hear_dialog(intention=intention, tag_min=""))
        assert not DoNotCall.objects.exists()

    def test_the_lowest_intention_counts_too(self, account: Account) -> None:
        """yeta's best one is what screens show; whoever said no said no."""
        make_rule(account)
        apply(account, hear_record(), hear_dialog(intention="A", tag_min="F"))
        assert Call.objects.get().intention == "A"
        assert list_barred(account) == {PHONE}

    def test_a_rule_of_another_account_an_inactive_one_and_an_empty_one(
        self, account: Account
    ) -> None:
        make_rule(make_account())
        make_rule(account, is_active=False)
        make_rule(account, " ")
        apply(account, hear_record(), hear_dialog())
        assert not DoNotCall.objects.exists()

    @pytest.mark.parametrize(("platform_id", "barred"), [("2745001", {PHONE}), ("719", set())])
    def test_a_rule_for_one_robot(
        self, account: Account, platform_id: str, barred: set[str]
    ) -> None:
        make_rule(account, robot=make_robot(account=account, platform_id=platform_id))
        apply(account, hear_record(), hear_dialog())
        assert list_barred(account) == barred

    def test_the_robot_of_the_task_counts_when_the_push_names_none(self, account: Account) -> None:
        task = make_task(account=account)
        make_contact(task=task, phone=PHONE, status="accepted", platform_contact_id="262381")
        make_rule(account, robot=task.robot)
        apply(account, hear_record(robot_id=""), hear_dialog(robot_id=""))
        assert list_barred(account) == {PHONE}

    def test_a_rule_for_all_accounts(self, account: Account) -> None:
        make_rule(account, everywhere=True)
        apply(account, hear_record(), hear_dialog())
        assert (list_barred(None), list_barred(account)) == ({PHONE}, set())
        assert barring.find_barred(make_account(), [PHONE])


class TestOrder:
    def say(self) -> list[AnyEvent]:
        return [
            hear_record(),
            hear_dialog(intention="F", tag_min="F"),
            hear_dialog(intention="A", tag_min="A"),
        ]

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    @pytest.mark.parametrize("together", [False, True])
    @pytest.mark.parametrize("label", ["A", "F"])
    def test_a_label_before_or_after_takes_nothing_back(
        self, account: Account, order: Sequence[int], together: bool, label: str
    ) -> None:
        make_rule(account, label)
        events = [self.say()[place] for place in order]
        for batch in [events] if together else [[event] for event in events]:
            ingest.apply_events(account, batch)
        assert list_barred(account) == {PHONE}

    def test_the_same_pushes_again_write_nothing(self, account: Account) -> None:
        make_rule(account)
        for _ in range(3):
            apply(account, *self.say())
        assert DoNotCall.objects.count() == 1
        assert not StatusChange.objects.filter(subject="donotcall").exists()

    def test_two_rules_of_one_call_are_one_entry_with_the_later_end(self, account: Account) -> None:
        make_rule(account, "A", days=1)
        make_rule(account, "F", days=9)
        for _ in range(2):
            apply(account, *self.say())
        entry = DoNotCall.objects.get()
        assert entry.expires_at is not None
        assert entry.expires_at - timezone.now() > timedelta(days=8)
        assert StatusChange.objects.filter(subject="donotcall").count() == 1

    def test_what_a_person_heard_who_corrected_the_call(self, account: Account) -> None:
        make_rule(account)
        apply(account, hear_record(), hear_dialog(intention="A", tag_min="A"))
        assert list_barred(account) == set()
        call, somebody = Call.objects.get(), make_user()
        assert correcting.correct_intention(call, intention="ｆ", by=somebody)
        assert list_barred(account) == {PHONE}
        assert correcting.withdraw_correction(call, by=somebody)
        assert list_barred(account) == {PHONE}
        assert barring.lift_bar(DoNotCall.objects.get(), by=somebody, reason="He did not say so.")
        apply(account, hear_record(), hear_dialog(intention="A", tag_min="A"))
        assert list_barred(account) == set()

    def test_an_entry_that_was_lifted_is_not_made_again_by_the_same_call(
        self, account: Account
    ) -> None:
        make_rule(account)
        apply(account, *self.say())
        assert barring.lift_bar(DoNotCall.objects.get(), by=None, reason="He asked for a call.")
        apply(account, *self.say())
        assert list_barred(account) == set()
        apply(account, hear_record("call-2"), hear_dialog("call-2"))
        assert list_barred(account) == {PHONE}

    def test_nor_by_a_call_that_found_the_number_barred_already(self, account: Account) -> None:
        make_rule(account)
        entry = barring.bar_number(PHONE, account=account, source="manual")
        apply(account, *self.say())
        assert StatusChange.objects.filter(subject_id=entry.pk).count() == 1
        assert barring.lift_bar(entry, by=None, reason="He asked for a call.")
        apply(account, *self.say())
        assert list_barred(account) == set()

    def test_a_no_that_was_said_before_a_lift_and_heard_after_it_counts(
        self, account: Account
    ) -> None:
        """Whoever lifted did not know of it."""
        make_rule(account)
        entry = barring.bar_number(PHONE, account=account, source="manual")
        assert barring.lift_bar(entry, by=None, reason="He asked for a call.")
        apply(account, *self.say())
        assert list_barred(account) == {PHONE}


class TestHowLong:
    def test_the_days_count_from_the_call(self, account: Account) -> None:
        make_rule(account, days=30)
        now = timezone.now()
        heard = CallEnded(
            source="receiveCallRecord.outbound", platform_call_id="call-1", callee=PHONE,
            direction=Direction.OUTBOUND, intention="F", ended_at=now,
        )  # fmt: skip
        ingest.apply_events(account, [heard])
        ends = DoNotCall.objects.get().expires_at
        assert ends is not None
        assert timedelta(days=30) <= ends - now < timedelta(days=30, minutes=1)

    @pytest.mark.parametrize("off", [timedelta(days=-4000), timedelta(days=4000)])
    def test_a_platform_whose_clock_is_wrong_shortens_nothing(
        self, account: Account, off: timedelta
    ) -> None:
        make_rule(account, days=30)
        heard = CallEnded(
            source="receiveCallRecord.outbound", platform_call_id="call-1", callee=PHONE,
            direction=Direction.OUTBOUND, intention="F", ended_at=timezone.now() + off,
        )  # fmt: skip
        ingest.apply_events(account, [heard])
        ends = DoNotCall.objects.get().expires_at
        assert ends is not None
        assert timedelta(days=29) < ends - timezone.now() < timedelta(days=31)

    def test_an_old_call_that_is_told_again_bars_nobody_after_its_days(
        self, account: Account
    ) -> None:
        apply(account, hear_record(), hear_dialog())
        long_ago = timezone.now() - timedelta(days=60)
        Call.objects.update(created_at=long_ago, happened_at=long_ago)
        make_rule(account, days=30)
        barring.apply_rules(account.pk, list(Call.objects.values_list("pk", flat=True)))
        assert not DoNotCall.objects.exists()

    def test_a_second_no_prolongs(self, account: Account) -> None:
        make_rule(account, days=30)
        apply(account, hear_record(), hear_dialog())
        soon = timezone.now() + timedelta(days=1)
        DoNotCall.objects.update(expires_at=soon)
        apply(account, hear_record("call-2"), hear_dialog("call-2"))
        entry = DoNotCall.objects.get()
        assert entry.expires_at is not None
        assert entry.expires_at > soon
        change = StatusChange.objects.get(subject="donotcall", subject_id=entry.pk)
        assert change.values["call"] == Call.objects.get(platform_call_id="call-2").pk
