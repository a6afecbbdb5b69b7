"""The screens of calling hours, holidays, and of what they hold back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns import gates
from campaigns.gates import hours
from campaigns.models import Account, Batch, Holiday
from tests.campaigns.admin.test_actions import make_account_form
from tests.campaigns.admin.world import World
from tests.factories import make_task

LIST = "admin:campaigns_holiday_changelist"
PASTE = "admin:campaigns_holiday_paste"


def read(client: Client, name: str, *args: Any) -> str:
    response = client.get(reverse(name, args=args))
    assert response.status_code == 200
    return response.content.decode()


def test_hours_and_days_of_an_account_are_kept(root: Client, world: World) -> None:
    url = reverse("admin:campaigns_account_add")
    page = root.get(url).content.decode()
    assert page.count('name="days"') == 7
    assert page.count("checked") >= 7
    form = make_account_form(hours_text="9:00-12:00, 22:00-02:00", days=["1", "5", "3"])
    root.post(url, form)
    account = Account.objects.get(name="New")
    assert account.call_hours == [["09:00:00", "12:00:00"], ["22:00:00", "02:00:00"]]
    assert (account.call_days, account.keeps_holidays) == ([1, 3, 5], False)
    page = read(root, "admin:campaigns_account_change", account.pk)
    assert 'value="09:00-12:00, 22:00-02:00"' in page
    root.post(
        reverse("admin:campaigns_account_change", args=[account.pk]),
        make_account_form(hours_text="", days=["1"], keeps_holidays="on"),
    )
    account.refresh_from_db()
    assert (account.call_hours, account.call_days, account.keeps_holidays) == ([], [1], True)


def test_a_form_without_hours_leaves_them_as_they_are(root: Client, world: World) -> None:
    root.post(reverse("admin:campaigns_account_add"), make_account_form())
    account = Account.objects.get(name="New")
    assert (account.call_days, account.keeps_holidays) == ([1, 2, 3, 4, 5, 6, 7], True)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("hours_text", {"hours_text": "nine to five", "days": ["1"]}),
        ("hours_text", {"hours_text": "09:00-09:00", "days": ["1"]}),
        ("hours_text", {"hours_text": "09:00-12:00, 11:00-13:00", "days": ["1"]}),
        ("hours_text", {"hours_text": "22:00-02:00, 01:00-03:00", "days": ["1"]}),
        ("days", {"hours_text": ""}),
        ("days", {"hours_text": "", "days": ["8"]}),
    ],
)
def test_hours_that_make_no_sense_are_an_error_beside_the_field(
    root: Client, world: World, field: str, fields: dict[str, Any]
) -> None:
    response = root.post(reverse("admin:campaigns_account_add"), make_account_form(**fields))
    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert not Account.objects.filter(name="New").exists()


def test_who_may_only_look_sees_the_hours(log_in: Callable[[str], Client], world: World) -> None:
    world.account.call_hours, world.account.call_days = [["09:00:00", "21:00:00"]], [1, 2]
    world.account.save()
    page = read(log_in("operator"), "admin:campaigns_account_change", world.account.pk)
    assert "09:00-21:00 · Monday, Tuesday" in page


def test_the_days_of_a_year_are_pasted(root: Client, world: World) -> None:
    lines = "2027-01-01 New Year\n\n2027/2/6 Spring Festival\n2027-02-20\tworks Shift\n2027.3.1"
    form = {"lines": lines, "region": "cn", "account": ""}
    root.post(reverse(PASTE), form)
    rows = Holiday.objects.values_list("day", "name", "works", "region", "account")
    assert list(rows) == [
        (date(2027, 1, 1), "New Year", False, "CN", None),
        (date(2027, 2, 6), "Spring Festival", False, "CN", None),
        (date(2027, 2, 20), "Shift", True, "CN", None),
        (date(2027, 3, 1), "holiday", False, "CN", None),
    ]
    again = root.post(reverse(PASTE), form | {"lines": "2027-01-01 Neujahr"}, follow=True)
    assert "1 was known" in again.content.decode()
    assert Holiday.objects.get(day=date(2027, 1, 1)).name == "Neujahr"
    page = read(root, LIST)
    assert "Spring Festival" in page
    assert "working day" in page


@pytest.mark.parametrize(
    "fields",
    [
        {"lines": ""},
        {"lines": "New Year 2027-01-01"},
        {"lines": "2027-02-30 x"},
        {"lines": "9999-01-01 x"},
        {"lines": "2027-01-01 x\n2027-01-01 y"},
        {"lines": "2027-01-01 x", "region": "ZZ"},
        {"lines": "2027-01-01 x", "account": "999999"},
    ],
)
def test_days_that_make_no_sense_are_not_kept(
    root: Client, world: World, fields: dict[str, str]
) -> None:
    response = root.post(reverse(PASTE), {"region": "", "account": ""} | fields)
    assert response.status_code == 200
    assert response.context["form"].errors
    assert not Holiday.objects.exists()


def test_who_may_change_holidays(log_in: Callable[[str], Client], world: World) -> None:
    row = Holiday.objects.create(day=date(2027, 1, 1), name="New Year")
    manager, viewer = log_in("manager"), log_in("viewer")
    assert "New Year" in read(viewer, LIST)
    assert viewer.get(reverse(PASTE)).status_code == 403
    assert viewer.post(reverse(PASTE), {"lines": "2027-05-01 x"}).status_code == 403
    assert manager.get(reverse(PASTE)).status_code == 200
    url = reverse("admin:campaigns_holiday_delete", args=[row.pk])
    assert viewer.post(url, {"post": "yes"}).status_code == 403
    manager.post(url, {"post": "yes"})
    assert not Holiday.objects.exists()


def test_one_day_is_added_and_the_same_day_is_not_added_twice(root: Client, world: World) -> None:
    url = reverse("admin:campaigns_holiday_add")
    form = {"day": "2027-10-01", "name": "National Day", "region": "cn", "account": ""}
    root.post(url, form)
    assert Holiday.objects.get().region == "CN"
    assert root.post(url, form).status_code == 200
    assert Holiday.objects.count() == 1


def test_the_tasks_page_says_what_holds_it_and_who_waits(root: Client, world: World) -> None:
    opens = timezone.now() + timedelta(hours=2)
    values = {"hours": "09:00–21:00", "zone": "Asia/Shanghai", "opens": "2027-01-01 09:00"}
    task = make_task(account=world.account, status="loading", paused_by_rule="")
    gates.note_hold(task, gates.Hold("hours", hours.HOURS, values, opens))
    places = [["ID", ["Asia/Jakarta", "Asia/Makassar"]]]
    for number in (1, 2):
        Batch.objects.create(task=task, number=number, size=20, places=places, not_before=opens)
    for name in ("admin:campaigns_task_change", "admin:campaigns_task_live"):
        page = read(root, name, task.pk)
        assert "the calling hours are 09:00–21:00 (Asia/Shanghai)" in page
        assert "40 contacts wait until" in page
        assert "Asia/Jakarta (+1)." in page
