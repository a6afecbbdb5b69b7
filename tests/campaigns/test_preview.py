"""In: drafts of every kind. Out: what the preview says is what then happens.

Must catch: a preview that counts otherwise than the planner, that writes something, that estimates
with an assumption it does not name, or whose end knows no lunch break, cap, holiday or recall.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone

from campaigns import barring, batching
from campaigns.gates import opening
from campaigns.models import Account, Call, Contact, Holiday, StatusChange, Task
from campaigns.preview import Given, describe_launch
from campaigns.preview.describing import (
    ABROAD,
    CATALOG_OLD,
    ENDS_TOO_SOON,
    LINE_BUSY,
    NEVER_OPEN,
    OTHER_CLOCK,
)
from campaigns.preview.estimating import HORIZON, Span, count_calls, estimate_end, list_spans
from tests.factories import make_account, make_contact, make_line, make_robot, make_task

CHINA = ZoneInfo("Asia/Shanghai")
#: a Monday, 10:00 in China
MONDAY = datetime(2027, 3, 1, 2, 0, tzinfo=UTC)


def make_calls(task: Task, number: int, **fields: Any) -> None:
    now = timezone.now()
    values: dict[str, Any] = {
        "account": task.account, "robot": task.robot, "direction": "outbound", "has_record": True,
        "happened_at": now, "dialed_at": now - timedelta(seconds=40), "ended_at": now,
        "answered": True,
    }  # fmt: skip
    Call.objects.bulk_create(
        Call(platform_call_id=f"{task.pk}-{one}", **values | fields) for one in range(number)
    )


# ---------------------------------------------------------------------------- whom it calls


@pytest.mark.django_db
def test_the_preview_counts_as_the_planner_does_and_writes_nothing() -> None:
    account = make_account(cap_calls=1, cap_days=7)
    elsewhere = make_task(account=account, status="running")
    task = make_task(account=account, robot=elsewhere.robot, family=elsewhere)

    def add(phone: str, **fields: Any) -> Contact:
        return make_contact(task=task, phone=phone, family_id=elsewhere.pk, **fields)

    for number in range(1, 61):
        add(f"199000000{number:02d}")
    add("19900000100", calls_made=1)
    add("19900000001")  # the same once more
    make_contact(task=elsewhere, phone="19900000002", status="accepted")
    barring.bar_number("19900000003", account=account, source="operator")
    barring.bar_number("19900000002", account=None, source="operator")
    called = make_call_to(account, "19900000004")
    for number in (1, 2):
        add(f"1990000020{number}", status="excluded", reason="It is twice in the file.")
    before = sorted(Contact.objects.values_list("id", "status", "batch"))
    changes = StatusChange.objects.count()

    preview = describe_launch(task)

    assert sorted(Contact.objects.values_list("id", "status", "batch")) == before
    assert StatusChange.objects.count() == changes
    assert [(one.reason, one.count) for one in preview.left_out] == [
        ("It is twice in the file.", 2)
    ]
    Task.objects.filter(pk=task.pk).update(status="loading")
    batches = batching.plan_batches(task)
    planned = task.contacts.filter(status="planned").count()
    assert (preview.people, preview.batches) == (planned, len(batches))
    left_out = task.contacts.filter(status="excluded").exclude(reason="It is twice in the file.")
    reasons = list(left_out.values_list("reason", flat=True))
    assert {one.reason: one.count for one in preview.would_leave_out} == {
        reason: reasons.count(reason) for reason in reasons
    }
    assert len(preview.would_leave_out) == 4
    assert preview.ready == preview.people + sum(one.count for one in preview.would_leave_out)
    assert called.callee not in json.dumps(preview.as_facts())


def make_call_to(account: Account, phone: str) -> Call:
    return Call.objects.create(
        account=account, platform_call_id=f"to-{phone}", direction="outbound", callee=phone,
        has_record=True, happened_at=timezone.now() - timedelta(days=1),
    )  # fmt: skip


@pytest.mark.django_db
def test_reasons_that_differ_in_a_value_are_one_group() -> None:
    task = make_task()
    for day in ("2027-01-01", "2027-01-02"):
        make_contact(
            task=task, status="excluded", reason=barring.BARRED, reason_values={"since": day}
        )
    (group,) = describe_launch(task).left_out
    assert (group.reason, group.count, group.values) == (barring.BARRED, 2, {"since": "…"})


# ---------------------------------------------------------------------------- the assumptions


@pytest.mark.django_db
def test_each_assumption_says_where_it_comes_from() -> None:
    task = make_task()
    make_contact(task=task)
    make_calls(task, 49)
    assumed = describe_launch(task).assumptions
    assert {name: one.source for name, one in assumed.items()} == {
        "seconds": "assumed", "answered": "assumed", "at_once": "told",
    }  # fmt: skip
    make_calls(make_task(account=task.account, robot=task.robot), 1, answered=False)
    make_calls(make_task(account=task.account), 60, ended_at=timezone.now() + timedelta(hours=1))
    measured = describe_launch(task).assumptions
    assert (measured["seconds"].value, measured["seconds"].sample) == (40.0, 50)
    assert measured["answered"].value == 0.98
    assert measured["at_once"].value == 10
    given = describe_launch(task, given=Given(seconds=5, answered=0.5, at_once=3)).assumptions
    assert {one.source for one in given.values()} == {"given"}


@pytest.mark.django_db
def test_without_a_number_of_lines_nothing_is_estimated() -> None:
    task = make_task(lines=[])
    make_contact(task=task)
    silent = describe_launch(task)
    assert silent.assumptions["at_once"].source == "unknown"
    assert silent.ends_at is None
    assert describe_launch(task, given=Given(at_once=1)).ends_at is not None


# ---------------------------------------------------------------------------- the arithmetic


def make_spans(
    begin: datetime, *open_hours: tuple[int, int], at_once: int = 10, closed: tuple[date, ...] = ()
) -> Any:
    def count(moment: datetime) -> int:
        local = moment.astimezone(CHINA)
        is_open = any(one <= local.hour < two for one, two in open_hours)
        return at_once if is_open and local.date() not in closed else 0

    windows = tuple((time(one), time(two)) for one, two in open_hours)
    cuts = opening.list_changes([opening.Rule(CHINA, (windows,))], begin, begin + HORIZON)
    return list_spans(begin, cuts, count_at_once=count)


@pytest.mark.parametrize(
    ("people", "calls_each", "cap", "closed", "ends"),
    [
        # 10 lines, 60 s: 600 an hour; Monday from 10:00, 09-12 and 13-17
        (600, 1.0, None, (), "2027-03-01 11:00"),
        (1200, 1.0, None, (), "2027-03-01 12:00"),
        (1500, 1.0, None, (), "2027-03-01 13:30"),  # over lunch
        (600, 1.5, None, (), "2027-03-01 11:30"),  # recalls
        (3600 + 60, 1.0, None, (), "2027-03-02 09:06"),  # the next day
        (700, 1.0, 600, (), "2027-03-02 09:10"),  # the cap of the day
        (3660, 1.0, None, (date(2027, 3, 2),), "2027-03-03 09:06"),  # a holiday
    ],
)
def test_the_end_is_what_one_reckons_by_hand(
    people: int, calls_each: float, cap: int | None, closed: tuple[date, ...], ends: str
) -> None:
    estimate = estimate_end(
        make_spans(MONDAY, (9, 12), (13, 17), closed=closed),
        people=people, calls_each=calls_each, seconds=60, zone=CHINA, daily_cap=cap,
    )  # fmt: skip
    assert estimate.ends_at
    assert f"{estimate.ends_at.astimezone(CHINA):%Y-%m-%d %H:%M}" == ends
    assert estimate.seconds == pytest.approx(people * calls_each * 6)


def test_the_deadline_tells_how_many_are_reached() -> None:
    noon = datetime(2027, 3, 1, 4, 0, tzinfo=UTC)
    common = {"people": 1500, "calls_each": 1.0, "seconds": 60.0, "zone": CHINA}
    for deadline, reached in [
        (noon, 1200), (noon - timedelta(minutes=30), 900), (noon + timedelta(minutes=30), 1200),
        (noon + timedelta(hours=1, minutes=15), 1350), (noon + timedelta(hours=9), 1500),
        (MONDAY - timedelta(hours=1), 0),
    ]:  # fmt: skip
        spans = make_spans(MONDAY, (9, 12), (13, 17))
        assert estimate_end(spans, deadline=deadline, **common).reached == reached, deadline


def test_what_is_never_open_never_ends() -> None:
    spans = make_spans(MONDAY)
    estimate = estimate_end(spans, people=1, calls_each=1, seconds=60, zone=CHINA)
    assert (estimate.ends_at, estimate.reached) == (None, 0)


def test_calls_are_more_than_people_where_nobody_answers() -> None:
    assert count_calls(100, recalls=0, answered=0.3) == 100
    assert count_calls(100, recalls=2, answered=0.5) == 175
    assert count_calls(100, recalls=2, answered=0) == 300


@pytest.mark.parametrize("begin", ["2027-03-27T12:00", "2027-10-30T12:00"])
def test_spans_cover_the_time_without_gap_or_overlap_where_clocks_jump(begin: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    moment = datetime.fromisoformat(begin).replace(tzinfo=zone)
    rule = opening.Rule(zone, (((time(2, 30), time(3)),),))
    cuts = opening.list_changes([rule], moment, moment + HORIZON)
    spans = list(list_spans(moment, cuts, count_at_once=lambda _: 1))
    assert spans[0].begin == moment
    for one, two in zip(spans, islice(spans, 1, None), strict=False):
        assert one.end == two.begin
    assert sum(((one.end - one.begin) for one in spans), timedelta()) == HORIZON
    assert all(isinstance(one, Span) for one in spans)


# ---------------------------------------------------------------------------- the warnings


@pytest.mark.django_db
def test_what_speaks_against_it_is_said() -> None:
    account = make_account(
        time_zone="America/Bogota", synced_at=timezone.now() - timedelta(days=40)
    )
    line = make_line(account=account, state="busy", hours=[], concurrency=1)
    now = timezone.now()
    task = make_task(account=account, lines=[line], end_at=now + timedelta(minutes=10))
    for _ in range(30):
        make_contact(task=task)
    said = {one.reason: one.values for one in describe_launch(task, now=now).warnings}
    assert {ENDS_TOO_SOON, OTHER_CLOCK, LINE_BUSY, CATALOG_OLD} <= set(said)
    assert 18 <= said[ENDS_TOO_SOON]["n"] <= 22
    Task.objects.filter(pk=task.pk).update(end_at=now + timedelta(hours=3))
    task.refresh_from_db()
    reasons = [one.reason for one in describe_launch(task, now=now).warnings]
    assert ENDS_TOO_SOON not in reasons


@pytest.mark.django_db
def test_the_end_heeds_the_hours_of_task_account_line_and_day() -> None:
    account = make_account(call_hours=[["09:00:00", "18:00:00"]], call_days=[1, 2, 4])
    line = make_line(account=account, hours=[["11:00:00", "23:00:00"]], concurrency=1)
    task = make_task(account=account, lines=[line], windows=[["08:00:00", "12:00:00"]])
    for _ in range(150):  # 60 an hour; open from 11 to 12
        make_contact(task=task)
    Holiday.objects.create(day=date(2027, 3, 2), name="rest")
    ends = describe_launch(task, now=MONDAY).ends_at
    assert ends
    # Monday and Thursday an hour each; Tuesday is free, Wednesday is none; then Monday
    assert f"{ends.astimezone(CHINA):%m-%d %H:%M}" == "03-08 11:30"
    Task.objects.filter(pk=task.pk).update(windows=[["19:00:00", "20:00:00"]])
    never = describe_launch(Task.objects.get(pk=task.pk), now=MONDAY)
    assert never.ends_at is None
    assert [one.reason for one in never.warnings] == [NEVER_OPEN]
    assert never.hold


@pytest.mark.django_db
def test_without_a_clock_nobody_is_called_and_the_page_still_says_so() -> None:
    account = make_account(time_zone="Mars/Olympus")
    task = make_task(account=account)
    make_contact(task=task)
    preview = describe_launch(task, now=MONDAY)
    assert preview.hold
    assert preview.ends_at is None
    assert [one.reason for one in preview.warnings] == [NEVER_OPEN]


@pytest.mark.django_db
def test_holidays_within_the_calling_are_listed() -> None:
    account = make_account()
    other = make_account()
    task = make_task(account=account, lines=[make_line(account=account, hours=[], concurrency=1)])
    make_contact(task=task)
    for day, fields in [
        (date(2027, 3, 1), {"account": account}), (date(2027, 3, 1), {"account": other}),
        (date(2027, 3, 2), {}), (date(2027, 3, 1), {"region": "US"}),
    ]:  # fmt: skip
        Holiday.objects.create(day=day, name="rest", works=True, **fields)
    found = describe_launch(task, now=MONDAY).holidays
    assert [one["day"] for one in found] == ["2027-03-01"]
    Account.objects.filter(pk=account.pk).update(keeps_holidays=False)
    assert describe_launch(Task.objects.get(pk=task.pk), now=MONDAY).holidays == []


@pytest.mark.django_db
def test_instances_are_counted_where_a_platform_is_filled() -> None:
    account = make_account(platform="airudder", settings={"allow_unverified": "on"})
    robot = make_robot(account=account)
    task = make_task(account=account, robot=robot, lines=[])
    make_contact(task=task)
    assert describe_launch(task).instances == 1


@pytest.mark.django_db
def test_the_facts_are_json() -> None:
    task = make_task(begin_at=timezone.now(), end_at=timezone.now() + timedelta(days=1))
    make_contact(task=task)
    facts = json.loads(json.dumps(describe_launch(task).as_facts()))
    assert datetime.fromisoformat(facts["end_at"]) == task.end_at
    assert facts["people"] == 1


# ---------------------------------------------------------------------------- the time it takes


@pytest.mark.slow
@pytest.mark.django_db
def test_numbers_abroad_that_the_planner_will_leave_out_are_told() -> None:
    account = make_account(call_hours=[["06:00:00", "07:00:00"]])
    task = make_task(account=account, windows=[["06:00", "07:00"]])
    for phone in ("19900000001", "+6281234567890", "+6281234567891", "+85291234567"):
        make_contact(task=task, phone=phone)
    (told,) = [one for one in describe_launch(task).warnings if one.reason == ABROAD]
    # In Jakarta it is never six while it is six in China; Hong Kong has the same clock.
    assert told.values == {"n": 2, "of": 3}


@pytest.mark.skipif(os.environ.get("SLOW") != "1", reason="long: SLOW=1 runs it")
@pytest.mark.django_db
@pytest.mark.parametrize("cap", [None, 3])
def test_three_hundred_thousand_are_described_within_a_second(cap: int | None) -> None:
    account = make_account(cap_calls=cap)
    earlier = make_task(account=account, status="running")
    task = make_task(account=account, robot=earlier.robot, family=earlier)
    fill(earlier, 100_000, "accepted", first=250_000)
    fill(task, 300_000, "ready", family=earlier.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_donotcall (phone, reason, source, created_at, lifted_reason)"
            " SELECT '+8619' || n, '', 'operator', now(), '' FROM generate_series(0, 50000) n"
        )
        cursor.execute("ANALYZE campaigns_contact, campaigns_donotcall")
    began = perf_counter()
    preview = describe_launch(task)
    took = perf_counter() - began
    print(f"cap {cap}: {took * 1000:.0f} ms")
    assert preview.people == 250_000
    assert took < 5


def fill(task: Task, number: int, status: str, *, first: int = 0, family: int = 0) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_contact (task_id, account_id, family_id, round, phone,"
            " phone_raw, values, status, reason, platform_contact_id, calls_made, answered, result,"
            " intention, created_at)"
            " SELECT %s, %s, %s, 1, '199' || to_char(n, 'FM00000000'), '',"
            """ jsonb_build_object('姓名', 'x'), %s, '', '', 0, false, '', '', now()"""
            " FROM generate_series(%s, %s) n",
            [task.pk, task.account_id, family or task.pk, status, first, first + number - 1],
        )
