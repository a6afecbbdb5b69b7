"""When somebody may be called: the gate itself, against a reckoning that is written differently."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.gates import find_hold, hours, opening
from campaigns.gates.places import Place, is_home, locate_phone
from campaigns.models import Account, Batch, Holiday, Task
from tests import factories

#: of the property; the full number on demand
EXAMPLES = int(os.environ.get("HOURS_EXAMPLES", "1500"))
NINE_TO_NINE = [["09:00:00", "21:00:00"]]
NIGHT = [["22:00:00", "02:00:00"]]


def at(text: str, zone: str = "Asia/Shanghai") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def make_task(*, windows: Any = (), **account: Any) -> Task:
    """A task with its account, neither of them saved."""
    made = Account(pk=-1, platform="yeta", name="a", **account)
    return Task(account=made, windows=list(windows), name="t")


# ------------------------------------------------------------------------------------ by hand


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-11-20 08:59:59", "2026-11-20 09:00"),
        ("2026-11-20 09:00:00", None),
        ("2026-11-20 20:59:59", None),
        ("2026-11-20 21:00:00", "2026-11-21 09:00"),
    ],
)
def test_hours_are_those_of_the_accounts_clock(moment: str, opens: str | None) -> None:
    task = make_task(call_hours=NINE_TO_NINE)
    hold = hours.find_closed(task, at(moment).astimezone(UTC))
    if opens is None:
        assert hold is None
    else:
        assert hold is not None
        assert (hold.rule, hold.until) == ("hours", at(opens))
        assert hold.reason % hold.values == (
            "Nobody is called now: the calling hours are 09:00–21:00 (Asia/Shanghai)."
            f" They open at {opens}."
        )


@pytest.mark.django_db
def test_the_tasks_windows_and_the_accounts_hours_must_both_be_open() -> None:
    task = make_task(windows=[["08:00:00", "10:00:00"]], call_hours=NINE_TO_NINE)
    closed = [at("2026-11-20 08:30"), at("2026-11-20 10:30")]
    assert all(hours.find_closed(task, moment) for moment in closed)
    assert hours.find_closed(task, at("2026-11-20 09:30")) is None
    assert hours.make_windows(task) == ((time(9), time(10)),)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-20 23:00", True),  # Friday
        ("2026-11-21 01:59", True),  # Saturday, of Friday's window
        ("2026-11-21 02:00", False),
        ("2026-11-21 22:00", False),
        ("2026-11-23 01:00", False),  # Monday, of Sunday's window
        ("2026-11-23 22:00", True),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_begins_on(moment: str, is_open: bool) -> None:
    task = make_task(windows=NIGHT, call_days=[1, 2, 3, 4, 5])
    assert (hours.find_closed(task, at(moment)) is None) == is_open


@pytest.mark.django_db
def test_a_holiday_closes_the_window_that_begins_on_it_to_its_end() -> None:
    Holiday.objects.create(day=date(2026, 11, 20), name="Rest")
    account = factories.make_account(call_hours=NIGHT)
    task = factories.make_task(account=account)
    hold = hours.find_closed(task, at("2026-11-21 01:00"))
    assert hold is not None
    assert hold.values["name"] == "Rest"
    assert hold.until == at("2026-11-21 22:00")
    assert hours.find_closed(task, at("2026-11-20 01:00")) is None  # Thursday's
    account.keeps_holidays = False
    assert hours.find_closed(task, at("2026-11-21 01:00")) is None


@pytest.mark.django_db
def test_the_row_that_says_most_precisely_for_whom_it_holds_wins() -> None:
    account = factories.make_account(call_days=[1, 2, 3, 4, 5])
    task = factories.make_task(account=account)
    saturday = at("2026-11-21 12:00")
    assert hours.find_closed(task, saturday) is not None
    Holiday.objects.create(day=saturday.date(), name="Shift", region="CN", works=True)
    assert hours.find_closed(task, saturday) is None
    Holiday.objects.create(day=saturday.date(), name="Common")
    assert hours.find_closed(task, saturday) is None
    Holiday.objects.create(day=saturday.date(), name="Ours", account=account)
    hold = hours.find_closed(task, saturday)
    assert hold is not None
    assert (hold.values["name"], hold.until) == ("Ours", at("2026-11-23 00:00"))
    Holiday.objects.create(day=date(2026, 11, 23), name="Theirs", region="ID")
    assert hours.find_closed(task, at("2026-11-23 12:00")) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"time_zone": "Asia/Nowhere"}, hours.UNKNOWN_ZONE),
        ({"time_zone": "../etc/passwd"}, hours.UNKNOWN_ZONE),
        ({"time_zone": ""}, hours.UNKNOWN_ZONE),
        ({"time_zone": "Asia"}, hours.UNKNOWN_ZONE),
        ({"call_hours": [["9", "noon"]]}, hours.UNREADABLE),
        ({"call_hours": "09:00-12:00"}, hours.UNREADABLE),
        ({"call_hours": None}, hours.UNREADABLE),
        ({"call_hours": [["09:00:00", "09:00:00"]]}, hours.UNREADABLE),
        ({"call_hours": [["09:00:00+08:00", "10:00:00"]]}, hours.UNREADABLE),
        ({"call_days": [0]}, hours.UNREADABLE),
        ({"call_days": "1"}, hours.UNREADABLE),
        ({"call_days": []}, hours.NO_DAYS),
    ],
)
def test_what_cannot_be_read_closes_for_ever(fields: dict[str, Any], reason: str) -> None:
    hold = hours.find_closed(make_task(**fields), at("2026-11-20 12:00"))
    assert hold is not None
    assert (hold.reason, hold.until) == (reason, None)
    assert hold.reason % hold.values


@pytest.mark.django_db
def test_a_window_that_the_clocks_leap_over_does_not_open() -> None:
    task = make_task(windows=[["02:15:00", "02:45:00"]], time_zone="Europe/Berlin", region="DE")
    leap = at("2027-03-28 01:59:59", "Europe/Berlin")
    hold = hours.find_closed(task, leap)
    assert hold is not None
    assert hold.until == at("2027-03-29 02:15", "Europe/Berlin")
    over = make_task(windows=[["02:15:00", "03:30:00"]], time_zone="Europe/Berlin", region="DE")
    hold = hours.find_closed(over, leap)
    assert hold is not None
    assert hold.until == datetime(2027, 3, 28, 1, tzinfo=UTC)  # 03:00 by the new clock


@pytest.mark.django_db
def test_an_hour_that_comes_twice_is_open_twice() -> None:
    task = make_task(windows=[["02:00:00", "02:30:00"]], time_zone="Europe/Berlin", region="DE")
    first = datetime(2026, 10, 25, 0, 10, tzinfo=UTC)
    assert hours.find_closed(task, first) is None
    between = hours.find_closed(task, first + timedelta(minutes=30))
    assert between is not None
    assert between.until == datetime(2026, 10, 25, 1, tzinfo=UTC)
    assert hours.find_closed(task, first + timedelta(hours=1)) is None


@pytest.mark.django_db
def test_a_number_abroad_is_called_by_its_own_clock_too() -> None:
    task = make_task(call_hours=NINE_TO_NINE)
    jakarta = locate_phone("+6281234567890")
    assert jakarta == Place("ID", ("Asia/Jakarta",))
    hold = hours.find_closed(task, at("2026-11-20 09:30"), places=[jakarta])
    assert hold is not None
    assert hold.values["zone"] == "Asia/Jakarta"
    assert hold.until == at("2026-11-20 10:00")
    assert hours.find_closed(task, at("2026-11-20 10:30"), places=[jakarta]) is None
    late = hours.find_closed(task, at("2026-11-20 21:30"), places=[jakarta])
    assert late is not None
    assert late.until == at("2026-11-21 10:00")


@pytest.mark.django_db
def test_every_zone_that_the_number_may_be_in_must_be_open() -> None:
    task = make_task(call_hours=NINE_TO_NINE, time_zone="Europe/Moscow", region="RU")
    moscow = locate_phone("+79161234567")
    assert {"Europe/Moscow", "Asia/Kamchatka"} <= set(moscow.zones)
    assert hours.find_closed(task, at("2026-11-20 11:00", "Europe/Moscow"), places=[moscow]) is None
    assert hours.find_closed(task, at("2026-11-20 13:00", "Europe/Moscow"), places=[moscow])


@pytest.mark.django_db
def test_holidays_of_the_country_of_the_number_hold() -> None:
    Holiday.objects.create(day=date(2026, 11, 20), name="Libur", region="ID")
    task = factories.make_task()
    assert hours.find_closed(task, at("2026-11-20 12:00")) is None
    jakarta = locate_phone("+6281234567890")
    hold = hours.find_closed(task, at("2026-11-20 12:00"), places=[jakarta])
    assert hold is not None
    assert hold.values["name"] == "Libur"
    assert hold.until == at("2026-11-21 00:00", "Asia/Jakarta")


@pytest.mark.django_db
def test_a_start_is_for_the_begin() -> None:
    task = factories.make_task(account=factories.make_account(call_hours=NINE_TO_NINE))
    early = at("2026-11-20 08:50")
    assert find_hold(task, "start", now=early) is not None
    task.begin_at = at("2026-11-20 09:00")
    assert find_hold(task, "start", now=early) is None
    task.begin_at = at("2026-11-20 08:55")
    assert find_hold(task, "start", now=early) is not None


@pytest.mark.django_db
def test_creating_and_filling_a_task_that_has_to_be_started_rings_nobody() -> None:
    task = factories.make_task(account=factories.make_account(call_hours=NINE_TO_NINE))
    night = at("2026-11-20 03:00")
    assert find_hold(task, "create", now=night) is None
    assert find_hold(task, "insert", now=night) is None
    task.windows = [["21:00:00", "23:00:00"]]
    unmet = find_hold(task, "create", now=night)
    assert unmet is not None
    assert unmet.reason == hours.NEVER_MEET
    task.account.time_zone = "Mars/Phobos"
    unknown = find_hold(task, "create", now=night)
    assert unknown is not None
    assert unknown.reason == hours.UNKNOWN_ZONE


@pytest.mark.django_db
def test_a_batch_of_which_nobody_knows_where_it_rings_is_looked_at() -> None:
    account = factories.make_account(call_hours=NINE_TO_NINE)
    task = factories.make_task(account=account, status="loading", kind="direct")
    batch = Batch.objects.create(task=task, number=1, size=2)
    factories.make_contact(task=task, batch=batch, status="planned")
    factories.make_contact(task=task, batch=batch, status="planned", phone="+6281234567890")
    assert find_hold(task, "callout", now=at("2026-11-20 09:30")) is None
    assert find_hold(task, "callout", now=at("2026-11-20 09:30"), batch=batch) is not None
    batch.refresh_from_db()
    assert batch.places == [["ID", ["Asia/Jakarta"]]]


@pytest.mark.parametrize(
    ("phone", "country", "zone"),
    [
        ("19900000001", "CN", "Asia/Shanghai"),
        ("01062345678", "CN", "Asia/Shanghai"),
        ("+85291234567", "HK", "Asia/Hong_Kong"),
        ("+12125550100", "US", "America/New_York"),
        ("+881612345678", "", None),
        ("+999", "", None),
    ],
)
def test_where_a_number_is(phone: str, country: str, zone: str | None) -> None:
    assert locate_phone(phone) == Place(country, (zone,) if zone else ())


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (NINE_TO_NINE, [["20:00:00", "23:00:00"]], [["20:00:00", "21:00:00"]]),
        (NIGHT, [["00:00:00", "00:00:00"]], [["00:00:00", "02:00:00"], ["22:00:00", "23:59:59"]]),
        (NIGHT, NINE_TO_NINE, []),
    ],
)
def test_hours_of_any_day(one: Any, other: Any, both: Any) -> None:
    met = opening.intersect_windows(opening.read_windows(one), opening.read_windows(other))
    assert met == opening.read_windows(both)


@pytest.mark.django_db
def test_who_is_not_covered_by_the_hours_that_the_platform_keeps() -> None:
    task = make_task(call_hours=NINE_TO_NINE)
    hongkong, jakarta = locate_phone("+85291234567"), locate_phone("+6281234567890")
    judged = hours.judge_places(task, [hongkong, jakarta])
    assert list(judged) == [jakarta]
    hold = judged[jakarta]
    assert "09:00–21:00" in hold.reason % hold.values
    task.windows = [["10:00:00", "21:00:00"]]
    assert hours.judge_places(task, [hongkong, jakarta]) == {}


@pytest.mark.django_db
def test_days_and_changes_of_clocks_are_no_cover() -> None:
    berlin = Place("DE", ("Europe/Berlin",))
    windows = [["16:00:00", "20:00:00"]]  # 09:00 to 13:00 in winter, 10:00 to 14:00 in summer
    task = make_task(windows=windows, call_hours=NINE_TO_NINE)
    assert hours.judge_places(task, [berlin]) == {}
    task.windows = [["15:00:00", "20:00:00"]]  # 08:00 in winter
    assert list(hours.judge_places(task, [berlin])) == [berlin]


# ------------------------------------------------------------------------------- the reckoning

ZONES = [
    *("Asia/Shanghai", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
    *("Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kolkata", "America/St_Johns", "Africa/Casablanca"),
]
PHONES = [
    *("19900000001", "+6281234567890", "+12125550100", "+79161234567", "+447911123456"),
    *("+61412345678", "+881612345678", "+85291234567"),
]
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
clocks = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}:00")
pairs = st.tuples(clocks, clocks).filter(lambda pair: pair[0] != pair[1] or pair[0] == "00:00:00")
windows_of_a_day = st.lists(pairs.map(list), max_size=3)


def make_holidays(account: Account) -> list[Holiday]:
    """About every third day of the year is special, for one or another."""
    rows = []
    for number in range(370):
        day = FIRST.date() + timedelta(days=number)
        region = ("", "CN", "ID", "US", "RU")[number % 5]
        if number % 3 == 0:
            rows.append(Holiday(day=day, name="x", region=region, works=number % 2 == 0))
        if number % 7 == 0:
            rows.append(
                Holiday(day=day, name="y", region=region, works=number % 4 == 0, account=account)
            )
    return Holiday.objects.bulk_create(rows)


def reckon(task: Task, moment: datetime, phones: list[str], rows: list[Holiday]) -> bool:
    """Whether all of them may be called: by the wall clock's minutes since a Monday."""
    account = task.account
    own = (task.windows, account.call_hours)
    clocks = [(account.time_zone, account.region, [one for one in own if one])]
    for phone in phones:
        country, zones = locate_phone(phone)
        for zone in zones:
            clocks.append((zone, country, [account.call_hours or task.windows]))
    return all(reckon_place(account, moment, clock, rows) for clock in clocks)


def reckon_place(
    account: Account, moment: datetime, clock: tuple[str, str, Any], rows: list[Holiday]
) -> bool:
    zone, country, sets = clock
    wall = (moment + (moment.astimezone(ZoneInfo(zone)).utcoffset() or timedelta())).replace(
        tzinfo=None
    )
    for pairs in [one for one in sets if one] or [[("00:00:00", "24:00:00")]]:
        found = False
        for back in (0, 1):
            day = datetime.combine(wall.date(), time()) - timedelta(days=back)
            if not reckon_day(account, day.date(), country, rows):
                continue
            for begin, end in pairs:
                first = day + timedelta(hours=int(begin[:2]), minutes=int(begin[3:5]))
                last = day + timedelta(hours=int(end[:2]), minutes=int(end[3:5]))
                if last <= first:
                    last += timedelta(days=1)
                found = found or first <= wall < last
        if not found:
            return False
    return True


def reckon_day(account: Account, day: date, country: str, rows: list[Holiday]) -> bool:
    if account.keeps_holidays:
        for own in (account.pk, None):
            for region in (country, ""):
                for row in rows:
                    if (row.day, row.account_id, row.region) == (day, own, region):
                        return row.works
    return day.weekday() + 1 in account.call_days


@pytest.mark.django_db
@pytest.mark.timeout(600 + EXAMPLES // 5)
def test_nobody_is_called_outside_of_the_hours() -> None:
    """At any clock, in any zone: closed exactly when the reckoning says so, and open again exactly
    when it says so."""
    account = factories.make_account()
    task = factories.make_task(account=account, kind="direct")
    rows = make_holidays(account)
    by_day: dict[date, list[Holiday]] = {}
    for row in rows:
        by_day.setdefault(row.day, []).append(row)
    seen = {"open": 0, "closed": 0, "reopened": 0}

    def near(moment: datetime) -> list[Holiday]:
        days = [moment.date() + timedelta(days=number) for number in range(-2, 3)]
        return [row for day in days for row in by_day.get(day, [])]

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        zone=st.sampled_from(ZONES),
        region=st.sampled_from(["CN", "US", "DE"]),
        windows=windows_of_a_day,
        call_hours=windows_of_a_day,
        call_days=st.sets(st.integers(1, 7), min_size=1).map(sorted),
        keeps=st.booleans(),
        second=st.integers(5 * 86400, 360 * 86400),
        phones=st.lists(st.sampled_from(PHONES), max_size=2),
    )
    def look(
        *, zone: str, region: str, windows: Any, call_hours: Any, call_days: Any, keeps: bool,
        second: int, phones: list[str],
    ) -> None:  # fmt: skip
        account.time_zone, account.region, account.keeps_holidays = zone, region, keeps
        account.call_hours, account.call_days, task.windows = call_hours, call_days, windows
        moment = FIRST + timedelta(seconds=second)
        places = hours.store_places(
            place for place in map(locate_phone, phones) if not is_home(account, place)
        )
        batch = Batch(task=task, number=1, size=1, places=places)
        hold = find_hold(task, "callout", now=moment, batch=batch)
        expected = reckon(task, moment, phones, near(moment))
        assert (hold is None) == expected
        seen["open" if expected else "closed"] += 1
        if hold is None or hold.until is None:
            return
        seen["reopened"] += 1
        assert hold.until > moment
        assert reckon(task, hold.until, phones, near(hold.until))
        # Not a minute earlier: a few moments between, and the last one.
        between = (hold.until - moment) / 7
        earlier = [moment + between * number for number in range(1, 7)]
        for one in [*earlier, hold.until - timedelta(seconds=1)]:
            assert one <= moment or not reckon(task, one, phones, near(one))
        assert hold.reason % hold.values

    look()
    assert min(seen.values()) > EXAMPLES / 20, seen
