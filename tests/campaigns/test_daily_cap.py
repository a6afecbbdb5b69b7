"""In: tasks of which only so many may be called on one day. Out: exactly so many are handed over to
a platform that dials at once, and a platform that dials by itself is told to pause in time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from campaigns import dispatch, gates, lifecycle
from campaigns.connections import open_client
from campaigns.dispatch import claim_batch, send_batch
from campaigns.gates.amounts import DAY_SPENT, NEW_DAY, find_day, find_margin, find_spent
from campaigns.guarding import guard_tasks
from campaigns.models import Account, Batch, Call, Task
from tests.at_once import run_at_once
from tests.campaigns.filling import (
    check_nobody_is_lost,
    count_handovers,
    count_states,
    drive,
    launch,
    status_of,
)
from tests.factories import make_account, make_contact, make_line, make_robot, make_task
from tests.platforms.sandbox_client import Client

pytestmark = pytest.mark.django_db


def move_back(task: Task, days: int) -> None:
    """What left for the task left so many days ago."""
    for attempt in task.attempts.all():
        attempt.started_at -= timedelta(days=days)
        attempt.save(update_fields=["started_at"])


def make_call(task: Task, *, at: datetime, **fields: Any) -> Call:
    number = Call.objects.count() + 1
    contact = fields.pop("contact", None) or make_contact(task=task, status="accepted")
    return Call.objects.create(
        account=task.account,
        task=task,
        contact=contact,
        platform_call_id=f"call-{number}",
        happened_at=at,
        **fields,
    )


class TestDay:
    @pytest.mark.parametrize(
        ("zone", "moment", "begin", "end"),
        [
            ("Asia/Shanghai", "2026-03-01T15:59", "2026-02-28T16:00", "2026-03-01T16:00"),
            ("Asia/Shanghai", "2026-03-01T16:00", "2026-03-01T16:00", "2026-03-02T16:00"),
            # the clock goes on by an hour: the day has 23
            ("Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
            # at midnight itself: the day begins at one o'clock
            ("Asia/Beirut", "2026-03-29T12:00", "2026-03-28T22:00", "2026-03-29T21:00"),
        ],
    )
    def test_it_is_that_of_the_account(self, zone: str, moment: str, begin: str, end: str) -> None:
        task = make_task(account=make_account(time_zone=zone))
        assert find_day(task, datetime.fromisoformat(f"{moment}+00:00")) == (
            datetime.fromisoformat(f"{begin}+00:00"),
            datetime.fromisoformat(f"{end}+00:00"),
        )

    def test_where_nobody_knows_the_day_nobody_is_called(self) -> None:
        task = make_task(account=make_account(time_zone="Nowhere/Land"), daily_cap=5)
        hold = find_spent(task, timezone.now())
        assert hold and hold.until is None


class TestDialledAtOnce:
    def test_not_one_more_than_the_day_allows(
        self, make_filled: Any, platform: Client, limit: Any
    ) -> None:
        limit(10, 1000)
        task = make_filled(contacts=37, daily_cap=24)
        dispatch.launch_task(task, by=None)
        drive(task)
        assert sum(count_handovers(platform).values()) == 24
        task.refresh_from_db()
        assert (task.status, task.hold_rule) == ("loading", "daily_cap")
        assert task.hold_reason == DAY_SPENT
        assert task.hold_values == {"number": 24, "allowed": 24}
        assert task.held_until == find_day(task, timezone.now())[1]  # type: ignore[index]
        check_nobody_is_lost(task, platform, contacts=37)
        move_back(task, 1)
        drive(task)
        assert sum(count_handovers(platform).values()) == 37
        assert (status_of(task), task.hold_rule) == ("running", "")
        check_nobody_is_lost(task, platform, contacts=37)

    def test_those_of_unknown_outcome_count_and_those_that_never_arrived_do_not(
        self, make_filled: Any, limit: Any
    ) -> None:
        limit(2, 1000)
        task = make_filled(contacts=6, daily_cap=4)
        launch(task)
        first = claim_batch(task.pk)
        assert first is not None
        lifecycle.move(first, "unknown", of=["sending"])
        lifecycle.move(first, "needs_human", of=["unknown"])
        second = claim_batch(task.pk)
        assert second is not None
        assert claim_batch(task.pk) is None
        # of these it becomes known that nobody was called
        lifecycle.move(second, "not_sent", of=["sending"])
        assert claim_batch(task.pk) is not None
        assert claim_batch(task.pk) is None

    def test_what_was_claimed_before_midnight_does_not_leave_after_it(
        self, make_filled: Any, platform: Client
    ) -> None:
        task = make_filled(contacts=2, daily_cap=2)
        launch(task)
        attempt = claim_batch(task.pk)
        assert attempt is not None
        attempt.started_at -= timedelta(days=1)
        attempt.save(update_fields=["started_at"])
        send_batch(attempt)
        assert count_handovers(platform) == {}
        assert count_states(task) == {"ready": 2}
        task.refresh_from_db()
        assert task.hold_reason == NEW_DAY

    def test_the_place_of_a_batch_is_kept_when_it_is_divided(
        self, make_filled: Any, limit: Any
    ) -> None:
        limit(10, 1000)
        task = make_filled(contacts=10, daily_cap=4)
        launch(task)
        Batch.objects.filter(task=task).update(places=[["CN", ["Asia/Shanghai"]]])
        attempt = claim_batch(task.pk)
        assert attempt is not None and attempt.batch is not None
        rest = task.batches.get(status="planned")
        assert (attempt.batch.size, rest.size) == (4, 6)
        assert rest.contacts.count() == 6 and rest.instance == attempt.batch.instance
        assert rest.places == [["CN", ["Asia/Shanghai"]]]
        leaving = attempt.batch.contacts.order_by("id").values_list("id", flat=True)
        assert max(leaving) < min(rest.contacts.values_list("id", flat=True))


@pytest.mark.django_db(transaction=True)
def test_of_many_senders_at_once_none_goes_beyond(make_filled: Any, limit: Any) -> None:
    limit(5, 1000)
    task = make_filled(contacts=60, daily_cap=23)
    launch(task)
    claimed = [one for one in run_at_once([lambda: claim_batch(task.pk)] * 8) if one]
    sizes = list(Batch.objects.filter(status="sending").values_list("size", flat=True))
    assert sum(sizes) == 23 and len(claimed) == 5


class TestDialledByThePlatform:
    def test_the_calls_that_the_lines_may_be_making_are_left_for(self) -> None:
        account = make_account(time_zone="Asia/Shanghai")
        line = make_line(account=account, concurrency=3)
        task = make_task(account=account, lines=[line], daily_cap=10, status="running")
        now = datetime.fromisoformat("2026-03-02T12:00+08:00")
        for number in range(6):
            make_call(task, at=now - timedelta(hours=1, minutes=number))
        assert find_spent(task, now) is None
        make_call(task, at=now)
        hold = find_spent(task, now)
        assert hold and hold.values == {"number": 7, "margin": 3, "allowed": 10}
        assert hold.until == datetime.fromisoformat("2026-03-03T00:00+08:00")
        assert hold.reason % hold.values
        assert find_spent(task, datetime.fromisoformat("2026-03-03T00:00+08:00")) is None

    def test_a_recall_of_somebody_called_yesterday_is_not_one_more(self) -> None:
        account = make_account()
        task = make_task(account=account, lines=[], daily_cap=2, status="running")
        now = timezone.now()
        begin = find_day(task, now)[0]  # type: ignore[index]
        earlier = make_call(task, at=begin - timedelta(minutes=1))
        make_call(task, at=begin, contact=earlier.contact)
        twice = make_call(task, at=begin)
        make_call(task, at=begin + timedelta(seconds=1), contact=twice.contact)
        assert find_spent(task, now) is None
        make_call(task, at=begin)
        assert find_spent(task, now)

    def test_a_small_amount_begins_although_the_lines_could_do_it_at_once(self) -> None:
        account = make_account()
        line = make_line(account=account, concurrency=100)
        task = make_task(account=account, lines=[line], daily_cap=20)
        assert find_spent(task, timezone.now()) is None

    def test_it_is_paused_and_goes_on_the_next_day(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = make_campaign(contacts=4, daily_cap=2)
        Account.objects.filter(pk=task.account_id).update(keeps_holidays=False)
        task.lines.update(concurrency=0)
        Task.objects.filter(pk=task.pk).update(status="running")
        now = timezone.now()
        for contact in task.contacts.all()[:2]:
            make_call(task, at=now, contact=contact)
        assert guard_tasks() == [task.pk]
        task.refresh_from_db()
        assert (task.request, task.paused_by_rule, task.hold_rule) == (
            "pause", "daily_cap", "daily_cap"
        )  # fmt: skip
        Task.objects.filter(pk=task.pk).update(request="", status="paused")
        assert guard_tasks() == []
        with time_machine.travel(now + timedelta(days=1), tick=False):
            assert guard_tasks() == [task.pk]
        task.refresh_from_db()
        assert (task.request, task.paused_by_rule, task.hold_rule) == ("resume", "", "")


def test_a_start_is_held_while_the_day_is_spent(make_campaign: Any) -> None:
    task = make_campaign(contacts=2, daily_cap=1)
    task.lines.update(concurrency=0)
    make_call(task, at=timezone.now(), contact=task.contacts.first())
    hold = gates.find_hold(Task.objects.get(pk=task.pk), "start")
    assert hold and hold.rule == "daily_cap"
    assert gates.find_hold(Task.objects.get(pk=task.pk), "insert") is None


def test_without_an_amount_nothing_is_asked(
    make_filled: Any, django_assert_num_queries: Any
) -> None:
    task = Task.objects.select_related("account").get(pk=make_filled(contacts=1).pk)
    with django_assert_num_queries(0):
        assert find_spent(task, timezone.now()) is None
    assert open_client(task.account)


def test_what_the_lines_call_at_once_is_left_free_of_a_days_amount() -> None:
    account = make_account()
    lines = [make_line(account=account, concurrency=6), make_line(account=account, concurrency=4)]
    robot = make_robot(account=account)
    task = make_task(account=account, robot=robot, lines=lines, daily_cap=12)
    assert find_margin(task) == 10
    task.daily_cap = 8
    assert find_margin(task) == 7  # it may begin
