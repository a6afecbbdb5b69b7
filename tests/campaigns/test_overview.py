"""In: counted calls. Out: those of a period and of the one before, each day and hour in its place.

Must catch: half a day compared with a whole one, days of another zone, a day that is missing at one
end, the calls of another account, and a period nobody can look up.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from campaigns import counting, overview
from campaigns.models import CallHour, Task
from campaigns.overview import BadPeriod, Period, read_period, summarise_period
from tests.campaigns.admin.world import make_call
from tests.factories import make_task

SHANGHAI = ZoneInfo("Asia/Shanghai")
#: 14:20 in Shanghai
NOW = datetime(2026, 11, 20, 6, 20, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clock(settings: Any) -> Any:
    settings.TIME_ZONE = "Asia/Shanghai"
    with time_machine.travel(NOW, tick=False):
        yield


def call_at(task: Task, *moments: str, **fields: Any) -> None:
    """Calls at these moments of Shanghai ("11-20 09:30")."""
    for moment in moments:
        at = datetime.strptime(f"2026-{moment}", "%Y-%m-%d %H:%M").replace(tzinfo=SHANGHAI)
        make_call(task, happened_at=at, **fields)


def test_what_addresses_name() -> None:
    today, day = date(2026, 11, 20), timedelta(days=1)
    assert read_period({}) == Period("today", today, today)
    assert read_period({"period": "yesterday"}) == Period("yesterday", today - day, today - day)
    assert read_period({"period": "7"}) == Period("7", date(2026, 11, 14), today)
    assert read_period({"period": "30"}).days == 30
    asked = read_period({"from": "2026-11-01", "to": "2026-11-03"})
    assert (asked.first, asked.last, asked.slug) == (date(2026, 11, 1), date(2026, 11, 3), "days")
    assert asked.before == Period("before", date(2026, 10, 29), date(2026, 10, 31))
    assert read_period({"from": "2026-11-18"}).last == today
    assert read_period({"to": "2026-11-03"}).first == date(2026, 11, 3)


@pytest.mark.parametrize(
    "odd",
    [
        {"period": "8"},
        {"period": "\x00"},
        {"period": "9" * 5000},
        {"from": "2026-11-03", "to": "2026-11-01"},
        {"from": "2020-01-01", "to": "2026-11-01"},
        {"from": "20261101"},
        {"from": "9999-12-31"},
        {"from": "0001-01-01"},
        {"from": "\ud800"},
        {"from": "2026-02-30"},
        {"from": "٢٠٢٦-١١-٠١"},
    ],
)
def test_what_is_no_period_is_told(odd: dict[str, str]) -> None:
    with pytest.raises(BadPeriod):
        read_period(odd)


def test_today_is_compared_with_yesterday_up_to_the_same_hour() -> None:
    task = make_task()
    call_at(task, "11-20 09:10", "11-20 09:50", "11-20 14:05")
    call_at(task, "11-19 09:30", "11-19 14:59", "11-19 15:00", "11-19 20:00", "11-18 09:00")
    counting.count_marked()
    found = summarise_period(read_period({}))
    assert found.by_hour
    assert (found.now.calls, found.before.calls) == (3, 2)
    assert found.cut == datetime(2026, 11, 19, 7, tzinfo=UTC)
    hours = {slot.begins_at.astimezone(SHANGHAI).hour: slot for slot in found.slots}
    assert len(found.slots) == 24
    assert (hours[9].tally.calls, hours[9].before.calls) == (2, 1)
    assert (hours[14].tally.calls, hours[14].before.calls) == (1, 1)
    assert hours[20].before.calls == 0
    assert found.counted_at is not None


def test_a_day_that_is_over_is_compared_with_a_whole_one() -> None:
    task = make_task()
    call_at(task, "11-19 00:00", "11-19 23:59", "11-18 00:00", "11-18 23:59", "11-20 00:00")
    call_at(task, "11-17 23:59")
    counting.count_marked()
    found = summarise_period(read_period({"period": "yesterday"}))
    assert (found.now.calls, found.before.calls, found.cut) == (2, 2, None)


def test_days_in_their_places() -> None:
    task = make_task()
    call_at(task, "11-14 00:00", "11-20 14:00", "11-20 09:00", "11-17 12:00")
    call_at(task, "11-07 00:00", "11-13 14:59", "11-13 15:00", "11-06 23:59", "11-10 12:00")
    counting.count_marked()
    found = summarise_period(read_period({"period": "7"}))
    assert [slot.tally.calls for slot in found.slots] == [1, 0, 0, 1, 0, 0, 2]
    assert [slot.before.calls for slot in found.slots] == [1, 0, 0, 1, 0, 0, 1]
    assert (found.now.calls, found.before.calls) == (4, 3)


def test_a_period_that_goes_on_into_the_future() -> None:
    task = make_task()
    call_at(task, "11-20 09:00", "11-19 09:00", "11-17 09:00", "11-16 16:00", "11-16 09:00")
    call_at(task, "11-18 23:00")
    counting.count_marked()
    found = summarise_period(read_period({"from": "2026-11-19", "to": "2026-11-21"}))
    assert [slot.tally.calls for slot in found.slots] == [1, 1, 0]
    # the third day before is in the place of tomorrow: nothing of it is compared
    assert [slot.before.calls for slot in found.slots] == [2, 1, 0]


def test_one_account_and_all_of_them() -> None:
    task, other = make_task(), make_task()
    call_at(task, "11-20 09:00", "11-19 09:00")
    call_at(other, "11-20 09:00", "11-20 10:00", result="busy", answered=False, intention="")
    counting.count_marked()
    mine = summarise_period(read_period({}), accounts=[task.account_id])
    assert (mine.now.calls, mine.before.calls) == (1, 1)
    assert (mine.results, mine.intentions) == ({"answered": 1}, {"A": 1})
    whole = summarise_period(read_period({}))
    assert (whole.now.calls, whole.now.answer_rate) == (3, 1 / 3)
    assert whole.results == {"busy": 2, "answered": 1}
    assert summarise_period(read_period({}), accounts=[]).now.calls == 0


def test_every_sum_of_a_tally_is_kept() -> None:
    task = make_task()
    call_at(task, "11-20 09:00", talk_seconds=30)
    call_at(task, "11-20 09:05", talk_seconds=None)
    call_at(task, "11-20 09:10", talk_seconds=4, direction="inbound")
    call_at(task, "11-20 09:20", result="voicemail", talk_seconds=99)
    call_at(task, "11-20 09:30", result="invalid_number", answered=False, talk_seconds=None)
    call_at(task, "11-20 09:40", result="unknown", answered=None, talk_seconds=None)
    fields = {"result": "unknown", "answered": None, "talk_seconds": None}
    call_at(task, "11-20 09:45", direction="inbound", **fields)
    counting.count_marked()
    now = summarise_period(read_period({})).now
    assert (now.calls, now.answered, now.reached, now.invalid, now.unknown) == (7, 4, 3, 1, 2)
    assert (now.timed, now.talked, now.talk_seconds) == (2, 1, 34)
    assert (now.incoming, now.incoming_reached, now.incoming_unknown) == (2, 1, 1)
    assert now.answer_rate == 2 / 3


def test_the_days_when_clocks_are_changed(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    task = make_task()
    # half past two, twice
    make_call(task, happened_at=datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    make_call(task, happened_at=datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    counting.count_when_due()
    assert CallHour.objects.count() == 2
    found = summarise_period(read_period({"from": "2026-10-25", "to": "2026-10-25"}))
    assert len(found.slots) == 25
    assert found.now.calls == 2
    assert (
        len(summarise_period(read_period({"from": "2026-03-29", "to": "2026-03-29"})).slots) == 23
    )


def test_nothing_was_counted_yet() -> None:
    found = overview.summarise_period(read_period({"period": "30"}))
    assert (found.counted_at, found.now.calls, found.now.answer_rate) == (None, 0, None)
