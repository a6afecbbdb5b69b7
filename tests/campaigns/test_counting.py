"""In: calls that come, change and go. Out: the counted numbers are those of the calls, always.

Must catch: a change that left no mark, a mark that was taken before its change could be seen, two
who count and write each other's old numbers, hours of the wrong zone, a day that is not its hours,
and a count that is added to instead of being counted.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns import counting
from campaigns.counting import calls as counting_calls
from campaigns.counting import tasks as counting_tasks
from campaigns.definitions import is_reached
from campaigns.models import (
    Call,
    CallDay,
    CallHour,
    CallMark,
    Contact,
    CountState,
    Task,
    TaskCount,
)
from campaigns.statistics import summarise_calls
from tests.at_once import run_at_once
from tests.campaigns.admin.world import make_call, make_user
from tests.factories import make_contact, make_task

NUMBERS = ("calls", "answered", "reached", "unknown", "timed", "talked", "talk_seconds")
KINDS = ("account_id", "task_id", "robot_id", "direction", "result", "intention")


def count_by_hand(zone: ZoneInfo) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """The hours and the days as somebody would count them who reads every call."""
    hours: dict[Any, Counter[str]] = {}
    days: dict[Any, Counter[str]] = {}
    for call in Call.objects.all():
        if not (call.has_record or call.turns_count):
            continue
        local = call.happened_at.astimezone(zone)
        hour = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        kind = tuple(getattr(call, name) for name in KINDS)
        person = is_reached(result=call.result, answered=call.answered)
        timed = person and call.talk_seconds is not None
        add = {
            "calls": 1,
            "answered": int(call.answered is True),
            "reached": int(person),
            "unknown": int(call.answered is None and call.result == "unknown"),
            "timed": int(timed),
            "talked": int(timed and call.talk_seconds >= 10),
            "talk_seconds": call.talk_seconds if timed else 0,
        }
        hours.setdefault((hour, *kind), Counter()).update(add)
        days.setdefault((local.date(), *kind), Counter()).update(add)

    def plain(counted: dict[Any, Counter[str]]) -> dict[Any, Any]:
        return {key: tuple(one[name] for name in NUMBERS) for key, one in counted.items()}

    return plain(hours), plain(days)


def read_counted() -> tuple[dict[Any, Any], dict[Any, Any]]:
    def read(model: Any, moment: str) -> dict[Any, Any]:
        rows = list(model.objects.values_list(moment, *KINDS, *NUMBERS))
        found = {row[: len(KINDS) + 1]: row[len(KINDS) + 1 :] for row in rows}
        assert len(found) == len(rows)
        return found

    return read(CallHour, "begins_at"), read(CallDay, "day")


@pytest.fixture(params=["Asia/Shanghai", "Asia/Kathmandu", "America/St_Johns"])
def zone(request: pytest.FixtureRequest, settings: Any) -> Iterator[ZoneInfo]:
    settings.TIME_ZONE = request.param
    yield ZoneInfo(request.param)


@pytest.mark.django_db
def test_whatever_happens_to_calls_the_numbers_are_theirs(zone: ZoneInfo) -> None:
    chance = random.Random(20261121)
    tasks = [make_task(), make_task()]
    begin = datetime(2026, 3, 7, tzinfo=UTC)
    fields: dict[str, list[Any]] = {
        "result": ["answered", "no_answer", "voicemail", "invalid_number", "unknown"],
        "answered": [True, False, None],
        "intention": ["", "A", "B"],
        "talk_seconds": [None, 5, 40],
        "has_record": [True, True, False],
        "task": [*tasks, None],
        "direction": ["outbound", "inbound"],
    }

    def pick() -> dict[str, Any]:
        moment = begin + timedelta(minutes=chance.randrange(3 * 24 * 60))
        return {name: chance.choice(values) for name, values in fields.items()} | {
            "happened_at": moment
        }

    counting.count_when_due()
    names = (f"call {number}" for number in count(1))
    for _round in range(12):
        for _ in range(6):
            call = make_call(tasks[0], platform_call_id=next(names))
            Call.objects.filter(pk=call.pk).update(**pick())
        some = list(Call.objects.order_by("?").values_list("pk", flat=True)[:8])
        name = chance.choice(list(fields))
        Call.objects.filter(pk__in=some[:4]).update(**{name: chance.choice(fields[name])})
        moved = begin + timedelta(minutes=chance.randrange(3 * 24 * 60))
        Call.objects.filter(pk__in=some[4:6]).update(happened_at=moved)
        Call.objects.filter(pk__in=some[6:7]).delete()
        counting.count_marked()
        assert not CallMark.objects.exists()
        assert read_counted() == count_by_hand(zone)
    before = read_counted()
    counting.count_all()
    assert read_counted() == before
    summary = summarise_calls(Call.objects.all())
    sums = dict.fromkeys(NUMBERS, 0)
    for numbers in before[1].values():
        for name, number in zip(NUMBERS, numbers, strict=True):
            sums[name] += number
    assert sums == {name: getattr(summary, name) for name in NUMBERS}


@pytest.mark.django_db
def test_what_changes_no_number_leaves_no_mark() -> None:
    task = make_task()
    call, other = make_call(task), make_call(task, has_record=False, turns_count=0)
    counting.count_marked()
    Call.objects.filter(pk=call.pk).update(evidence={"x": []}, platform_result_text="…")
    Call.objects.filter(pk=call.pk).update(result=call.result)
    Call.objects.filter(pk=other.pk).update(result="busy", answered=False)
    assert not CallMark.objects.exists()
    Call.objects.filter(pk__in=[call.pk, other.pk]).update(result="busy", answered=False)
    assert CallMark.objects.count() == 1


@pytest.mark.django_db
def test_many_calls_of_a_statement_leave_one_mark() -> None:
    task = make_task()
    at = datetime(2026, 11, 20, 3, 5, tzinfo=UTC)
    calls = [make_call(task, happened_at=at + timedelta(seconds=n)) for n in range(20)]
    CallMark.objects.all().delete()
    Call.objects.filter(pk__in=[call.pk for call in calls]).update(result="busy", answered=False)
    mark = CallMark.objects.get()
    assert (mark.account_id, mark.task_id) == (task.account_id, task.pk)
    assert mark.begins_at == at.replace(minute=0)


@pytest.mark.django_db
def test_a_task_is_told_that_its_calls_changed() -> None:
    task, other = make_task(), make_task()
    make_call(task)
    counting.count_marked()
    first = TaskCount.objects.get(pk=task.pk).calls_changed_at
    assert first is not None
    assert not TaskCount.objects.filter(pk=other.pk).exists()
    Call.objects.filter(task=task).update(turns_count=7)
    assert counting.count_marked().tasks == (task.pk,)
    assert TaskCount.objects.get(pk=task.pk).calls_changed_at > first


@pytest.mark.django_db
def test_a_new_zone_has_everything_counted_anew(settings: Any) -> None:
    task = make_task()
    make_call(task, happened_at=datetime(2026, 11, 20, 20, 40, tzinfo=UTC))
    settings.TIME_ZONE = "Asia/Shanghai"
    counting.count_when_due()
    assert str(CallDay.objects.get().day) == "2026-11-21"
    settings.TIME_ZONE = "Asia/Kolkata"
    counting.count_when_due()
    assert CallHour.objects.get().begins_at == datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
    settings.TIME_ZONE = "Europe/London"
    counting.count_when_due()
    assert str(CallDay.objects.get().day) == "2026-11-20"


@pytest.mark.django_db
def test_who_took_long_rests_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task()
    counting.count_when_due()
    make_call(task)
    CountState.objects.update(took_ms=5_000, counted_at=timezone.now())
    assert counting.count_when_due().hours == 0
    CountState.objects.update(counted_at=timezone.now() - timedelta(seconds=41))
    assert counting.count_when_due().hours == 1
    make_call(task, happened_at=timezone.now() - timedelta(days=1))
    ago = timezone.now() - timedelta(seconds=61)
    CountState.objects.update(took_ms=3_600_000, counted_at=ago)
    assert counting.count_when_due().hours == 1
    make_call(task)
    # a clock that was put back must not stop the counting
    CountState.objects.update(took_ms=5_000, counted_at=timezone.now() + timedelta(hours=2))
    assert counting.count_when_due().hours == 1


@pytest.mark.django_db
def test_more_marks_than_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting_calls, "MARKS", 3)
    monkeypatch.setattr(counting_calls, "HOURS", 2)
    task = make_task()
    for hours in range(10):
        make_call(task, happened_at=datetime(2026, 11, 20, tzinfo=UTC) + timedelta(hours=hours))
    counting.count_marked()
    assert not CallMark.objects.exists()
    assert read_counted() == count_by_hand(ZoneInfo("Asia/Shanghai"))


@pytest.mark.django_db(transaction=True)
def test_those_who_write_and_those_who_count_at_once() -> None:
    """Eight write, three count; then one counts what is left, and every number is right."""
    task = make_task()
    begin = datetime(2026, 11, 20, 3, tzinfo=UTC)
    calls = [make_call(task, happened_at=begin + timedelta(minutes=n)) for n in range(60)]
    counting.count_all()
    stop = threading.Event()
    writing = threading.Semaphore(0)

    def write(number: int) -> None:
        chance = random.Random(number)
        try:
            for _ in range(25):
                with transaction.atomic():
                    some = sorted(chance.sample([call.pk for call in calls], 3))
                    list(Call.objects.select_for_update().filter(pk__in=some).order_by("pk"))
                    Call.objects.filter(pk__in=some).update(
                        result=chance.choice(["busy", "no_answer", "voicemail", "answered"]),
                        talk_seconds=chance.randrange(100),
                    )
        finally:
            writing.release()

    def keep_counting() -> None:
        while not stop.is_set():
            counting.count_marked()

    def wait() -> None:
        for _ in range(8):
            writing.acquire()
        stop.set()

    run_at_once([*[keep_counting] * 3, wait, *(partial(write, number) for number in range(8))])
    counting.count_marked()
    assert not CallMark.objects.exists()
    assert read_counted() == count_by_hand(ZoneInfo("Asia/Shanghai"))


@pytest.mark.django_db
def test_contacts_of_small_tasks_are_counted_now_and_of_large_ones_by_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting_tasks, "SMALL", 3)
    small, large = make_task(status="running"), make_task(status="running")
    for _ in range(2):
        make_contact(task=small, status="accepted")
    for state in ("ready", "ready", "finished", "excluded", "rejected"):
        make_contact(task=large, status=state)
    found = counting.read_progress([small.pk, large.pk])
    assert set(found) == {small.pk}
    assert found[small.pk].contacts["accepted"] == found[small.pk].total == 2
    assert counting.count_tasks() == 2
    progress = counting.read_progress([small.pk, large.pk])[large.pk]
    assert (progress.total, progress.to_call, progress.done) == (5, 4, 2)
    assert progress.at is not None
    make_contact(task=small)
    assert counting.read_progress([small.pk])[small.pk].total == 3
    TaskCount.objects.update(took_ms=1000)
    assert counting.count_tasks() == 0
    TaskCount.objects.update(counted_at=timezone.now() - timedelta(seconds=21))
    assert counting.count_tasks() == 1, "the small one rests longer"


@pytest.mark.django_db
def test_what_ended_a_large_task_is_seen_although_it_was_counted_meanwhile(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    """The transaction that ended it was committed after the count had begun."""
    monkeypatch.setattr(counting_tasks, "SMALL", 3)
    task = make_task(status="finished", name="Large one")
    for _ in range(5):
        make_contact(task=task, status="accepted")
    counting.count_tasks()
    Contact.objects.update(status="finished")
    ended = timezone.now() - timedelta(minutes=2)
    Task.objects.update(finished_at=ended)
    TaskCount.objects.update(counted_at=ended + timedelta(seconds=1))
    assert counting.read_progress([task.pk])[task.pk].done == 0
    client.force_login(make_user())
    page = client.get(reverse("admin:campaigns_task_changelist")).content.decode()
    assert "counted 1 min ago" in page or "counted 2 min ago" in page
    assert counting.count_tasks() == 1
    assert counting.read_progress([task.pk])[task.pk].done == 5
    assert counting.count_tasks() == 0
