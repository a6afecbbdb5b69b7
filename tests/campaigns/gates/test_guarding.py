"""Batches that wait for an hour, and running tasks that a rule pauses and lets go on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from campaigns import batching, dispatch, guarding
from campaigns.admin.task_page import list_orders
from campaigns.gates import hours
from campaigns.models import Attempt, Batch, Holiday, Task
from tests import factories
from tests.platforms.sandbox_client import COLUMNS, LINE, ROBOT

pytestmark = pytest.mark.django_db(transaction=True)

JAKARTA, HONGKONG, HOME = "+6281234567890", "+85291234567", "19900000001"
TOKYO = "+81312345678"
WEEKDAYS = [1, 2, 3, 4, 5]
OFFICE = [["09:00:00", "21:00:00"]]


def at(text: str, zone: str = "Asia/Shanghai") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@contextmanager
def clock(text: str) -> Iterator[None]:
    with time_machine.travel(at(text), tick=False):
        yield


def make_direct(*phones: str, **account: Any) -> Task:
    made = factories.make_account(**{"call_hours": OFFICE} | account)
    robot = factories.make_robot(account=made)
    launched = at("2026-11-20 09:25")
    task = factories.make_task(
        account=made, robot=robot, kind="direct", status="loading", launched_at=launched
    )
    for phone in phones:
        factories.make_contact(task=task, phone=phone)
    return task


def make_running(**fields: Any) -> Task:
    account = factories.make_account(**{"call_days": WEEKDAYS} | fields.pop("account", {}))
    values = {"status": "running", "platform_task_id": "7", "platform_windows": OFFICE}
    task = factories.make_task(account=account, **values | fields)
    batch = Batch.objects.create(task=task, number=1, size=1, status="accepted", places=[])
    factories.make_contact(task=task, batch=batch, status="accepted")
    return task


# -------------------------------------------------------------------------------------- batches


def test_contacts_of_one_place_go_together_and_wait_together() -> None:
    task = make_direct(HOME, JAKARTA, "19900000002", "+6281234567891", HONGKONG)
    with clock("2026-11-20 09:30"):
        batching.plan_batches(task)
        planned = list(task.batches.order_by("number"))
        assert [batch.places for batch in planned] == [
            [],
            [["ID", ["Asia/Jakarta"]]],
            [["HK", ["Asia/Hong_Kong"]]],
        ]
        sent = [dispatch.claim_batch(task.pk), dispatch.claim_batch(task.pk)]
        assert [attempt.batch_id for attempt in sent if attempt] == [planned[0].pk, planned[2].pk]
        assert dispatch.claim_batch(task.pk) is None
        waiting = Batch.objects.get(pk=planned[1].pk)
        assert (waiting.status, waiting.not_before) == ("planned", at("2026-11-20 10:00"))
        assert waiting.reason
    with clock("2026-11-20 10:00"):
        late = dispatch.claim_batch(task.pk)
        assert late is not None
        assert late.batch_id == waiting.pk


def test_the_task_is_looked_at_again_when_the_hours_open() -> None:
    task = make_direct(JAKARTA)
    with clock("2026-11-20 09:30"):
        batching.plan_batches(task)
        assert dispatch.claim_batch(task.pk) is None
        following = dispatch.advance_task(task.pk)
        assert following == dispatch.Next("advance", 300.0)
    task.refresh_from_db()
    assert task.hold_rule == ""  # others would go on


def test_hours_that_are_changed_free_who_waits() -> None:
    task = make_direct(JAKARTA)
    with clock("2026-11-20 09:30"):
        batching.plan_batches(task)
        assert dispatch.claim_batch(task.pk) is None
        task.account.call_hours = [["08:00:00", "21:00:00"]]
        task.account.save()
        guarding.guard_tasks()
        assert dispatch.claim_batch(task.pk) is not None


def test_the_last_look_sees_that_the_hours_closed_meanwhile(account: Any, platform: Any) -> None:
    account.call_hours = OFFICE
    account.save()
    robot = factories.make_robot(account=account, platform_id=ROBOT, columns=COLUMNS)
    line = factories.make_line(account=account, number=LINE)
    tasks = []
    for phone in (TOKYO, HOME):
        fields = {"kind": "direct", "status": "loading"}
        task = factories.make_task(account=account, robot=robot, lines=[line], **fields)
        factories.make_contact(task=task, phone=phone)
        tasks.append(task)
    with clock("2026-11-20 19:59:59"):
        claimed = []
        for task in tasks:
            batching.plan_batches(task)
            claimed.append(dispatch.claim_batch(task.pk))
    assert all(claimed)
    for attempt, late in zip(claimed, ("20:00:00", "21:00:00"), strict=True):
        assert attempt is not None
        with clock(f"2026-11-20 {late}"):
            dispatch.send_batch(attempt)
    assert [row.status for row in Attempt.objects.all()] == ["not_sent", "not_sent"]
    assert not [name for name in platform.look("ledger")["requests"] if "callout" in name]


def test_a_click_does_not_wait_while_the_planner_looks_where_the_numbers_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = make_direct(HOME, JAKARTA)
    locate, free = batching.locate_abroad, []

    def take_row() -> None:
        try:
            with transaction.atomic():
                Task.objects.select_for_update(nowait=True).get(pk=task.pk)
        finally:
            connection.close()

    def locate_meanwhile(*args: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            free.append(pool.submit(take_row).exception())
        return locate(*args)

    monkeypatch.setattr(batching, "locate_abroad", locate_meanwhile)
    with clock("2026-11-20 12:00"):
        batching.plan_batches(task)
    assert free == [None]
    assert task.contacts.filter(status="planned").count() == 2


def test_a_platform_that_has_to_be_started_is_filled_at_night() -> None:
    task = make_direct(HOME, HONGKONG)
    Task.objects.filter(pk=task.pk).update(kind="campaign", platform_task_id="7")
    task.refresh_from_db()
    with clock("2026-11-20 03:00"):
        batching.plan_batches(task)
        assert dispatch.claim_batch(task.pk) is not None
    assert not task.batches.exclude(not_before=None).exists()


def test_who_is_nowhere_called_at_the_hours_of_the_platform_is_left_out() -> None:
    task = make_direct(HOME, JAKARTA, HONGKONG)
    Task.objects.filter(pk=task.pk).update(kind="campaign", platform_task_id="7")
    task.refresh_from_db()
    with clock("2026-11-20 12:00"):
        batching.plan_batches(task)
    states = dict(task.contacts.values_list("phone", "status"))
    assert states == {HOME: "planned", JAKARTA: "excluded", HONGKONG: "planned"}
    left_out = task.contacts.get(phone=JAKARTA)
    assert "Asia/Jakarta" in left_out.reason_text
    assert "09:00–21:00" in left_out.reason_text
    assert task.batches.get().places == [["HK", ["Asia/Hong_Kong"]]]


def test_a_direct_call_at_night_is_refused_with_the_hours() -> None:
    account = factories.make_account(call_hours=OFFICE)
    robot, line = factories.make_robot(account=account), factories.make_line(account=account)

    def call(phone: str) -> Task:
        row = [phone, "x"]
        return dispatch.call_directly(
            account=account, robot=robot, line=line, columns=robot.columns, rows=[row], by=None
        )

    with clock("2026-11-20 22:00"), pytest.raises(dispatch.LaunchRefused, match="09:00–21:00"):
        call(HOME)
    with clock("2026-11-20 09:30"):
        with pytest.raises(dispatch.LaunchRefused, match="Asia/Jakarta"):
            call(JAKARTA)
        assert call(HOME).status == "loading"


def test_the_platform_is_told_the_hours_that_both_allow() -> None:
    task = make_direct(windows := HOME)
    task.windows, task.platform_name = [["20:00:00", "02:00:00"]], windows
    task.account.call_hours = [["10:00:00", "01:00:00"]]
    told = hours.make_windows(task)
    assert [(f"{one}", f"{two}") for one, two in told] == [
        ("00:00:00", "01:00:00"),
        ("20:00:00", "23:59:59"),
    ]


# -------------------------------------------------------------------------------- running tasks


def test_a_day_off_pauses_what_runs_and_its_end_lets_it_go_on() -> None:
    task = make_running()
    with clock("2026-11-20 15:00"):
        assert guarding.guard_tasks() == []
    with clock("2026-11-21 09:00"):
        assert guarding.guard_tasks() == [task.pk]
        assert guarding.guard_tasks() == []
    task.refresh_from_db()
    assert (task.request, task.paused_by_rule, task.hold_rule) == ("pause", "hours", "hours")
    assert task.held_until == at("2026-11-23 00:00")
    Task.objects.filter(pk=task.pk).update(status="paused", request="")
    with clock("2026-11-22 12:00"):
        assert guarding.guard_tasks() == []
    with clock("2026-11-23 09:00"):
        assert guarding.guard_tasks() == [task.pk]
    task.refresh_from_db()
    assert (task.request, task.paused_by_rule, task.hold_rule) == ("resume", "", "")


def test_hours_that_the_platform_keeps_by_itself_pause_nothing() -> None:
    task = make_running(account={"call_hours": OFFICE})
    with clock("2026-11-20 22:30"):
        assert hours.find_closed(task, at("2026-11-20 22:30")) is not None
        assert guarding.guard_tasks() == []


def test_a_pause_is_asked_for_before_the_day_begins() -> None:
    task = make_running(platform_windows=[])
    with clock("2026-11-20 23:59:20"):
        assert guarding.guard_tasks() == []
    with clock("2026-11-20 23:59:45"):
        assert guarding.guard_tasks() == [task.pk]


def test_a_holiday_and_hours_that_were_changed_pause_too() -> None:
    resting = make_running()
    Holiday.objects.create(day=date(2026, 11, 20), name="Rest", account=resting.account)
    changed = make_running(account={"call_hours": [["10:00:00", "12:00:00"]]})
    with clock("2026-11-20 09:30"):
        assert guarding.guard_tasks() == [resting.pk, changed.pk]


def test_numbers_abroad_pause_a_task_whose_hours_do_not_cover_them_any_more() -> None:
    task = make_running(account={"call_hours": OFFICE})
    task.batches.update(places=[["ID", ["Asia/Jakarta"]]])
    with clock("2026-11-20 09:30"):
        assert guarding.guard_tasks() == [task.pk]


@pytest.mark.parametrize("who", ["pause", "resume"])
def test_what_a_person_says_is_not_undone(who: str) -> None:
    task = make_running()
    if who == "pause":
        with clock("2026-11-21 09:00"):
            guarding.guard_tasks()
            dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
        Task.objects.filter(pk=task.pk).update(status="paused", request="")
    else:
        Task.objects.filter(pk=task.pk).update(status="paused", paused_by_rule="hours")
        dispatch.resume_task(Task.objects.get(pk=task.pk), by=None)
        Task.objects.filter(pk=task.pk).update(request="")
    with clock("2026-11-23 09:00"):
        assert guarding.guard_tasks() == []
    task.refresh_from_db()
    assert task.paused_by_rule == ""


def test_a_person_takes_over_the_pause_of_a_rule() -> None:
    task = make_running(status="paused", paused_by_rule="hours", hold_rule="hours")
    assert "pause" in list_orders(task)
    dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
    dispatch.carry_out_request(task.pk)
    with clock("2026-11-23 09:00"):
        assert guarding.guard_tasks() == []
    task.refresh_from_db()
    assert (task.status, task.request, task.paused_by_rule) == ("paused", "", "")
    assert "pause" not in list_orders(task)
    with pytest.raises(dispatch.LaunchRefused):
        dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)


def test_a_thousand_tasks_are_looked_at_with_one_query_each() -> None:
    account = factories.make_account()
    first = make_running()
    tasks = [make_running() for _ in range(3)]
    Task.objects.filter(pk__in=[task.pk for task in tasks]).update(account=account)
    with clock("2026-11-20 15:00"), CaptureQueriesContext(connection) as few:
        guarding.guard_tasks()
    more = [make_running() for _ in range(5)]
    Task.objects.filter(pk__in=[task.pk for task in more]).update(account=account)
    with clock("2026-11-20 15:00"), CaptureQueriesContext(connection) as many:
        assert guarding.guard_tasks() == []
    assert first.pk
    assert len(many) - len(few) == len(more)


def test_a_task_that_cannot_be_judged_keeps_no_other_one_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken, resting = make_running(), make_running()
    judge = guarding.find_forbidden

    def fail(task: Task, moment: datetime, **more: Any) -> Any:
        if task.pk == broken.pk:
            raise ValueError("no clock")
        return judge(task, moment, **more)

    monkeypatch.setattr(guarding, "find_forbidden", fail)
    with clock("2026-11-21 09:00"):
        assert guarding.guard_tasks() == [resting.pk]


def test_whoever_said_no_meanwhile_is_not_called_by_going_on() -> None:
    from campaigns.models import DoNotCall

    task = make_running(status="paused", paused_by_rule="hours")
    DoNotCall.objects.create(phone=task.contacts.get().phone, reason="asked")
    with clock("2026-11-23 09:00"):
        guarding.guard_tasks()
    task.refresh_from_db()
    assert (task.request, task.needs_attention, task.paused_by_rule) == ("", True, "")


# -------------------------------------------------------------------------------------- a start


def test_a_start_waits_for_the_hours_and_nothing_is_asked_of_the_platform() -> None:
    account = factories.make_account(call_hours=OFFICE)
    task = factories.make_task(account=account, status="loaded", platform_task_id="7")
    with clock("2026-11-20 03:00"):
        following = dispatch.advance_task(task.pk)
    assert following.what == "advance"
    task.refresh_from_db()
    assert (task.status, task.hold_rule) == ("loaded", "hours")
    assert task.held_until == at("2026-11-20 09:00")
    assert not Attempt.objects.exists()
    assert timedelta() < task.held_until - at("2026-11-20 03:00")
