"""What should have come and did not: found when it has had its time, and never before."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from callbacks import processing
from callbacks.models import Receipt
from campaigns import gaps
from campaigns.gaps import finding
from campaigns.models import (
    Account,
    Call,
    Contact,
    FailedPushDay,
    FailedPushFile,
    Gap,
    GapMark,
    Task,
)
from campaigns.platforms.events import PlatformTaskState
from tests.callbacks.pushes import make_dialog, make_record, make_voice
from tests.factories import make_account, make_contact, make_task, walk

pytestmark = pytest.mark.django_db

#: simulated days; the promise is made of 30 (``GAP_DAYS=30``)
DAYS = int(os.environ.get("GAP_DAYS", "4"))


def receive(account: Account, *pushes: tuple[str, bytes]) -> None:
    for kind, body in pushes:
        Receipt.objects.get_or_create(
            account=account,
            kind=kind,
            sha256=hashlib.sha256(body).digest(),
            defaults={"body": body, "content_type": "application/json"},
        )
    processing.process_inbox()


def make_pushes(call: str, **fields: Any) -> dict[str, tuple[str, bytes]]:
    """All that yeta tells of an answered call."""
    keys = {name: fields[name] for name in ("task_data_id",) if name in fields}
    basic = {name: fields[name] for name in fields if name not in ("task_result", "task_tries")}
    return {
        "basic": ("receiveCallRecord", make_record(call, **basic)),
        "outbound": ("receiveCallRecord", make_record(call, outbound=True, **fields)),
        "voice": ("receiveVoice", make_voice(call, **keys)),
        "dialog": ("receiveDialog", make_dialog(call, **keys)),
    }


def look(minutes: float = 31) -> dict[str, int]:
    """What is open when so much time has passed."""
    gaps.reconcile_gaps(now=timezone.now() + timedelta(minutes=minutes))
    told: dict[str, int] = {}
    for kind in Gap.objects.filter(closed_at=None).values_list("kind", flat=True):
        told[kind] = told.get(kind, 0) + 1
    return told


@pytest.mark.parametrize(
    ("missing", "kind"),
    [
        (("voice",), "recording"),
        (("dialog",), "dialog"),
        (("basic", "outbound"), "record"),
        (("outbound",), "record"),
    ],
)
def test_a_missing_push_is_a_gap_until_it_comes(missing: tuple[str, ...], kind: str) -> None:
    account = make_account()
    pushes = make_pushes("call-1")
    receive(account, *make_pushes("call-0").values())
    receive(account, *(push for name, push in pushes.items() if name not in missing))
    assert look(minutes=29) == {}
    assert look() == {kind: 1}
    gap = Gap.objects.get()
    assert (gap.call.platform_call_id, gap.account_id) == ("call-1", account.pk)
    assert look() == {kind: 1}  # the same one
    receive(account, *(pushes[name] for name in missing))
    assert look() == {}
    gap.refresh_from_db()
    assert (gap.how, Gap.objects.count()) == ("filled", 1)
    assert gap.closed_at is not None


def test_a_record_that_comes_late_may_leave_other_gaps() -> None:
    account = make_account()
    pushes = make_pushes("call-1")
    receive(account, pushes["voice"])
    assert look() == {"record": 1}
    receive(account, pushes["basic"], pushes["outbound"])
    assert look() == {"dialog": 1}


def test_what_is_not_expected_is_no_gap() -> None:
    account = make_account(callback_urls={"receiveCallRecord": "http://x", "receiveVoice": ""})
    unanswered = {"time_answer": 0, "task_result": "20"}
    receive(
        account,
        ("receiveCallRecord", make_record("call-1", outbound=True, **unanswered)),
        ("receiveCallRecord", make_record("call-2", outbound=True)),
        ("receiveCallRecord", make_record("call-3", direction=1, task_id="0")),
    )
    assert Call.objects.filter(answered=True).count() == 2
    assert look() == {}


def test_an_account_without_any_dialogs_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "FEWEST", 5)
    account = make_account()
    for number in range(8):
        pushes = make_pushes(f"call-{number}")
        del pushes["dialog"]
        receive(account, *pushes.values())
    assert look() == {"no_dialogs": 1}
    receive(account, *make_pushes("call-9").values())
    assert look() == {}


def test_each_call_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "PORTION", 3)
    account = make_account()
    for number in range(7):
        receive(account, ("receiveVoice", make_voice(f"call-{number}")))
    assert look() == {"record": 7}
    mark = GapMark.objects.get()
    assert mark.call_id == Call.objects.latest("id").pk
    Gap.objects.all().delete()
    assert look() == {}


def test_dismissed_is_not_found_again(django_user_model: Any) -> None:
    account = make_account()
    receive(account, ("receiveVoice", make_voice("call-1")))
    look()
    with pytest.raises(gaps.GapRefused):
        gaps.dismiss_gaps(Gap.objects.all(), note=" \x00", by=None)
    person = django_user_model.objects.create_user("ann")
    assert gaps.dismiss_gaps(Gap.objects.all(), note="The platform lost it.", by=person) == 1
    assert look() == {}
    gap = Gap.objects.get()
    assert (gap.how, gap.closed_by, gap.note) == ("dismissed", person, "The platform lost it.")


def test_a_failed_push_file_that_was_read_is_the_answer() -> None:
    account = make_account()
    receive(account, ("receiveVoice", make_voice("call-1")))
    look()
    call = Call.objects.get()
    day = FailedPushDay.objects.create(
        account=account,
        day=call.happened_at.astimezone(account.zone).date(),
        next_try_at=timezone.now(),
    )
    file = FailedPushFile.objects.create(day=day, path="a.zip")
    walk(FailedPushDay.objects.all(), "asking", "listed")
    FailedPushDay.objects.update(listed_at=timezone.now())
    look()
    assert Gap.objects.get().asked_at is None  # its file is not read yet
    walk(FailedPushFile.objects.filter(pk=file.pk), "fetching", "stored", "read")
    look()
    gap = Gap.objects.get()
    assert gap.asked_at is not None
    assert "1" in gap.answer and f"{day.day}" in gap.answer


# ------------------------------------------------------------------------------ contacts and counts


def make_running(contacts: int, **fields: Any) -> Task:
    task = make_task(platform_task_id="88785", **fields)
    for number in range(contacts):
        make_contact(task=task, phone=f"199{number:08d}", platform_contact_id=f"70{number}")
    walk(task.contacts.all(), "planned", "sending", "accepted")
    walk(Task.objects.filter(pk=task.pk), "loading", "loaded", "starting", "running")
    Task.objects.filter(pk=task.pk).update(launched_at=timezone.now())
    task.refresh_from_db()
    return task


def tell(task: Task, **counts: int) -> None:
    """What the platform answers when it is asked now."""
    names = {"calls": "process_count", "numbers": "process_tel_count"}
    names["answered"] = "process_through_count"
    told = {names[name]: number for name, number in counts.items() if name in names}
    Task.objects.filter(pk=task.pk).update(
        platform_counts=told,
        platform_contacts=counts.get("contacts", task.contacts.count()),
        platform_checked_at=timezone.now(),
    )


def receive_call(task: Task, number: int, attempt: int = 0, *, answered: bool = False) -> None:
    fields: dict[str, Any] = {
        "task_data_id": f"70{number}",
        "callee": f"199{number:08d}",
        "task_tries": attempt,
    }
    if not answered:
        fields |= {"time_answer": 0, "task_result": "20"}
    pushes = make_pushes(f"call-{number}-{attempt}", **fields)
    wanted = pushes.values() if answered else [pushes["basic"], pushes["outbound"]]
    receive(task.account, *wanted)


def test_a_contact_of_whom_nothing_was_heard_when_the_task_is_over() -> None:
    task = make_running(3)
    receive_call(task, 0)
    receive_call(task, 1, answered=True)
    assert look(minutes=300) == {}  # it may still be called
    Task.objects.update(platform_state=PlatformTaskState.FINISHED)
    assert look(minutes=29) == {}
    assert look() == {"silent": 1}
    gap = Gap.objects.get()
    assert gap.contact.platform_contact_id == "702"
    receive_call(task, 2)
    assert look() == {}
    assert Gap.objects.get().how == "filled"


def test_so_many_silent_contacts_are_told_by_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_SILENT", 4)
    make_running(9)
    Task.objects.update(platform_state=PlatformTaskState.FINISHED)
    assert look() == look() == {"silent": 4}
    Contact.objects.filter(status="accepted").update(status="withdrawn")
    assert look() == {}
    assert set(Gap.objects.values_list("how", flat=True)) == {"gone"}


def test_attempts_are_not_numbers() -> None:
    """Two numbers of four, one called twice: three calls."""
    task = make_running(4, recall_count=2)
    receive_call(task, 0)
    receive_call(task, 0, 1)
    receive_call(task, 1)
    for counts in (
        {"calls": 3, "numbers": 2},
        {"calls": 3, "numbers": 3},  # a platform that counts attempts under both names
        {"calls": 3, "numbers": 7, "contacts": 4},  # as in the sample of the text
    ):
        tell(task, **counts)
        look(0)
        assert look() == {}, counts


def test_what_the_platform_counts_more_is_a_gap_when_it_had_its_time() -> None:
    task = make_running(4)
    receive_call(task, 0)
    tell(task, calls=2, numbers=2, answered=0)
    assert look(0) == {}
    assert look(29) == {}
    assert look() == {"counts": 1}
    gap = Gap.objects.get()
    assert (gap.reason_values["calls"], gap.reason_values["our_calls"]) == (2, 1)
    assert "2" in gap.sentence and gap.asked_at is not None
    receive_call(task, 1)
    assert look() == {}
    # More than that was counted meanwhile, and it came in time.
    tell(task, calls=4, numbers=4, answered=1)
    look(0)
    receive_call(task, 2)
    receive_call(task, 3, answered=True)
    assert look() == {}
    assert Gap.objects.count() == 1


def test_a_difference_that_was_dismissed_comes_back_only_when_it_grows() -> None:
    task = make_running(4)
    tell(task, calls=1)
    look(0)
    assert look() == {"counts": 1}
    gaps.dismiss_gaps(Gap.objects.all(), note="They count a test call.", by=None)
    tell(task, calls=1)
    look(62)
    assert look(93) == {}
    tell(task, calls=2)
    look(124)
    assert look(155) == {"counts": 1}


# ------------------------------------------------------------------------------------ a whole month


class Month:
    """A platform that calls people every day and tells of it, in any order, twice, and late by
    minutes; its counters are right at once."""

    def __init__(self, seed: int, lose: Callable[[str, str], bool]) -> None:
        self.chance = random.Random(seed)
        self.lose = lose
        self.account = make_account()
        self.waiting: list[tuple[datetime, tuple[str, bytes]]] = []
        self.counts: dict[int, dict[str, int]] = {}

    def begin(self, day: int, now: datetime) -> Task:
        task = make_task(account=self.account, platform_task_id=f"{1000 + day}", recall_count=1)
        for number in range(4):
            make_contact(task=task, platform_contact_id=f"{day}-{number}")
        walk(task.contacts.all(), "planned", "sending", "accepted")
        walk(Task.objects.filter(pk=task.pk), "loading", "loaded", "starting", "running")
        Task.objects.filter(pk=task.pk).update(launched_at=now)
        self.counts[task.pk] = {"calls": 0, "numbers": 0, "answered": 0}
        return task

    def call(self, task: Task, contact: Contact, attempt: int, now: datetime) -> bool:
        """One call, over in this moment; whether somebody answered."""
        answered = self.chance.random() < 0.5
        ended = int(now.timestamp() * 1000)
        fields: dict[str, Any] = {
            "task_id": task.platform_task_id,
            "task_data_id": contact.platform_contact_id,
            "callee": contact.phone,
            "task_tries": attempt,
            "time_dial": ended - 60_000,
            "time_ring": ended - 55_000,
            "time_answer": ended - 30_000 if answered else 0,
            "time_hangup": ended,
            "task_result": "0" if answered else "20",
        }
        if not answered:
            fields["duration_call"] = 0
        name = f"call-{contact.platform_contact_id}-{attempt}"
        pushes = make_pushes(name, **fields)
        for part, push in pushes.items():
            if part in ("voice", "dialog") and not answered:
                continue
            if self.lose(name, part):
                continue
            for _ in range(self.chance.choice((1, 1, 2))):
                late = timedelta(minutes=self.chance.uniform(0, 28))
                self.waiting.append((now + late, push))
        counts = self.counts[task.pk]
        counts["calls"] += 1
        counts["numbers"] += attempt == 0
        counts["answered"] += answered
        return answered

    def deliver(self, now: datetime) -> None:
        due = [push for at, push in self.waiting if at <= now]
        self.waiting = [one for one in self.waiting if one[0] > now]
        self.chance.shuffle(due)
        if due:
            receive(self.account, *due)

    def live(self, day: int, morning: datetime, travel: Any) -> None:
        """One day, looked at every forty minutes."""
        travel.move_to(morning)
        task = self.begin(day, morning)
        contacts = list(task.contacts.order_by("id"))
        again: list[Contact] = []
        for step in range(12):
            now = morning + timedelta(minutes=20 * step)
            travel.move_to(now)
            if step < 4:
                if not self.call(task, contacts[step], 0, now):
                    again.append(contacts[step])
            elif step == 5:
                for contact in again:
                    self.call(task, contact, 1, now)
            elif step == 6:
                state = PlatformTaskState.FINISHED
                Task.objects.filter(pk=task.pk).update(platform_state=state)
            tell(task, **self.counts[task.pk])
            self.deliver(now)
            if step % 2:
                gaps.reconcile_gaps(now=now)


def live_a_month(days: int, lose: Callable[[str, str], bool]) -> None:
    month = Month(16, lose)
    begin = datetime(2027, 3, 1, 2, tzinfo=UTC)
    with time_machine.travel(begin, tick=False) as travel:
        for day in range(days):
            month.live(day, begin + timedelta(days=day), travel)


@pytest.mark.timeout(600 + 40 * DAYS)
def test_no_false_alarm_in_a_clean_month() -> None:
    live_a_month(DAYS, lambda name, part: False)
    assert Call.objects.count() > 4 * DAYS
    assert not Gap.objects.exists(), list(Gap.objects.values("kind", "reason_values", "call"))


@pytest.mark.parametrize("attempt", [0, 1])
def test_one_removed_call_is_found_by_the_next_reconcile(attempt: int) -> None:
    """All of one call is lost: nothing of ours knows of it but the platform's counters."""
    live_a_month(1, lambda name, part: name == "call-0-1-0" or (attempt and name == "call-0-1-1"))
    open_gaps = list(Gap.objects.filter(closed_at=None))
    assert "counts" in {gap.kind for gap in open_gaps}, open_gaps


@pytest.mark.parametrize("part", ["outbound", "voice", "dialog"])
def test_one_removed_push_is_found_by_the_next_reconcile(part: str) -> None:
    live_a_month(2, lambda name, one: one == part and name.startswith("call-1-2-"))
    gap = Gap.objects.filter(closed_at=None).first()
    answered = Call.objects.filter(platform_call_id__startswith="call-1-2-", answered=True)
    if part == "outbound" or answered.exists():
        assert gap is not None, list(Call.objects.values("platform_call_id", "platform_result"))
        assert gap.call.platform_call_id.startswith("call-1-2-")
    else:
        assert gap is None


def test_whoever_stands_at_the_front_keeps_nobody_behind_from_being_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "MOST_TASKS", 2)
    account = make_account()
    long_ago = timezone.now() - timedelta(days=1)
    tasks = [make_task(account=account, status="running", launched_at=long_ago) for _ in range(5)]
    over = tasks[-1]
    Task.objects.filter(pk=over.pk).update(end_at=long_ago)
    contact = make_contact(task=over, status="accepted")
    found = [finding.find_silent(now=timezone.now()) for _ in range(4)]
    assert sum(found) == 1
    assert Gap.objects.get().contact == contact


def test_a_ring_gives_everybody_a_turn_whoever_comes_or_goes() -> None:
    contacts = [make_contact() for _ in range(5)]
    ids = [one.pk for one in contacts]
    rows = Contact.objects.all()
    assert finding.take_turn("x", rows, most=2) == ids[:2]
    contacts[2].delete()
    assert finding.take_turn("x", rows, most=2) == ids[3:5]
    new = make_contact()
    assert finding.take_turn("x", rows, most=2) == [new.pk, ids[0]]
    assert finding.take_turn("y", rows, most=9) == [ids[0], ids[1], ids[3], ids[4], new.pk]
    assert finding.take_turn("z", rows.none(), most=2) == []
