"""The pages of failed pushes and of gaps: open with rows, press each button, refuse who may not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns import failed_pushes, gaps
from campaigns.models import Account, Call, FailedPushDay, FailedPushFile, Gap
from tests.campaigns.admin.world import make_user
from tests.factories import make_account, make_contact, make_task, walk

pytestmark = pytest.mark.django_db

DAYS = "admin:campaigns_failedpushday"
GAPS = "admin:campaigns_gap"
ODD = ["", "x", "0", "9" * 5000, "\x00", "٣", "2026-13-45", "-1"]


@pytest.fixture
def account() -> Account:
    return make_account(name="Yeta of the south")


@pytest.fixture
def day(account: Account) -> FailedPushDay:
    yesterday = failed_pushes.list_days(account)[0]
    row = FailedPushDay.objects.create(account=account, day=yesterday, next_try_at=timezone.now())
    file = FailedPushFile.objects.create(
        day=row, path="150/x/<b>.zip", objects_count=5, new_count=3, known_count=2, odd_count=1,
        problems=[{"entry": 2, "reason": "The entry is damaged."}, 5], bytes=1234,
    )  # fmt: skip
    FailedPushFile.objects.create(day=row, path="150/y.zip")
    walk(FailedPushFile.objects.filter(pk=file.pk), "fetching", "stored", "failed")
    walk(FailedPushDay.objects.all(), "asking", "listed")
    FailedPushDay.objects.update(lists=1, listed_at=timezone.now())
    return row


@pytest.fixture
def gap(account: Account) -> Gap:
    call = Call.objects.create(
        account=account, platform_call_id="call-1", happened_at=timezone.now()
    )
    reason = "The call was answered, but its dialog did not come."
    Gap.objects.create(
        kind="silent",
        account=account,
        contact=make_contact(task=make_task(account=account)),
        reason=reason,
    )
    return Gap.objects.create(kind="dialog", account=account, call=call, reason=reason)


def log_in(role: str) -> Client:
    browser = Client()
    browser.force_login(make_user(role))
    return browser


def read(browser: Client, address: str) -> str:
    reply = browser.get(address)
    assert reply.status_code == 200, address
    return reply.content.decode()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_pages_open(day: FailedPushDay, gap: Gap, language: str) -> None:
    browser = log_in("manager")
    browser.cookies["django_language"] = language
    page = read(browser, reverse(f"{DAYS}_changelist"))
    assert page.count(reverse(f"{DAYS}_fetch")) == 7
    page = read(browser, reverse(f"{DAYS}_change", args=[day.pk]))
    assert "150/x/&lt;b&gt;.zip" in page
    assert reverse(f"{DAYS}_dismiss", args=[day.pk]) in page
    assert "call-1" in read(browser, reverse(f"{GAPS}_changelist") + "?state=open")
    assert "call-1" in read(browser, reverse(f"{GAPS}_change", args=[gap.pk]))
    home = read(browser, reverse("admin:index"))
    assert reverse(f"{DAYS}_change", args=[day.pk]) in home
    assert f"{reverse(f'{GAPS}_changelist')}?state=open" in home


def test_a_viewer_sees_and_changes_nothing(day: FailedPushDay, gap: Gap) -> None:
    browser = log_in("viewer")
    assert reverse(f"{DAYS}_fetch") not in read(browser, reverse(f"{DAYS}_changelist"))
    assert "dismiss" not in read(browser, reverse(f"{GAPS}_change", args=[gap.pk]))
    wish = {"account": day.account_id, "day": day.day.isoformat(), "note": "x", "gap": gap.pk}
    for address in (
        reverse(f"{DAYS}_fetch"),
        reverse(f"{DAYS}_dismiss", args=[day.pk]),
        reverse(f"{GAPS}_dismiss"),
    ):
        assert browser.post(address, wish).status_code == 403
        assert browser.get(address).status_code == 405
    assert Gap.objects.filter(closed_at=None).count() == 2
    assert Client().get(reverse(f"{GAPS}_changelist")).status_code == 302


def test_a_day_is_fetched_by_a_button(account: Account) -> None:
    browser = log_in("manager")
    yesterday = failed_pushes.list_days(account)[0]
    wish = {"account": account.pk, "day": yesterday.isoformat()}
    for _ in range(2):
        reply = browser.post(reverse(f"{DAYS}_fetch"), wish)
        row = FailedPushDay.objects.get()
        assert reply["Location"] == reverse(f"{DAYS}_change", args=[row.pk])
    assert (row.day, row.status) == (yesterday, "due")
    assert failed_pushes.list_due_days() == [row.pk]
    old = (yesterday - timedelta(days=30)).isoformat()
    for odd in [*ODD, old]:
        reply = browser.post(reverse(f"{DAYS}_fetch"), {"account": account.pk, "day": odd})
        assert reply.status_code == 302
        reply = browser.post(reverse(f"{DAYS}_fetch"), wish | {"account": odd})
        assert reply.status_code == 302
    assert FailedPushDay.objects.count() == 1


def test_an_alarm_is_dismissed_with_a_word(day: FailedPushDay) -> None:
    browser = log_in("manager")
    address = reverse(f"{DAYS}_dismiss", args=[day.pk])
    for note in ("", " ", "\x00"):
        browser.post(address, {"note": note})
        assert failed_pushes.find_alarms().exists()
    browser.post(address, {"note": "The platform lost the file."})
    assert not failed_pushes.find_alarms().exists()
    day.refresh_from_db()
    assert (day.note, day.dismissed_by.username) == ("The platform lost the file.", "manager")
    assert "The platform lost the file." in read(browser, reverse(f"{DAYS}_change", args=[day.pk]))


def test_gaps_are_dismissed_together(gap: Gap) -> None:
    browser = log_in("manager")
    ids = list(Gap.objects.values_list("pk", flat=True))
    wish: dict[str, Any] = {"action": "dismiss_chosen", "_selected_action": ids}
    page = browser.post(reverse(f"{GAPS}_changelist"), wish).content.decode()
    assert page.count('name="gap"') == 2
    browser.post(reverse(f"{GAPS}_dismiss"), {"gap": ids, "note": ""})
    assert gaps.count_open() == 2
    browser.post(reverse(f"{GAPS}_dismiss"), {"gap": [*ids, *ODD], "note": "A test call."})
    assert gaps.count_open() == 0
    gap.refresh_from_db()
    assert (gap.how, gap.note) == ("dismissed", "A test call.")


def test_odd_addresses(day: FailedPushDay, gap: Gap) -> None:
    browser = log_in("admin")
    for name in (DAYS, GAPS):
        for odd in (
            "state=x",
            "kind__exact=%00",
            "account__id__exact=" + "9" * 30,
            "p=99999",
            "o=9",
        ):
            assert browser.get(f"{reverse(f'{name}_changelist')}?{odd}").status_code < 500
        for odd in ("0", "9" * 30, "x", "%00"):
            assert browser.get(f"/admin/campaigns/gap/{odd}/change/").status_code in (
                *(302, 400, 404),
            )
            reply = browser.post(f"/admin/campaigns/failedpushday/{odd}/dismiss/", {"note": "x"})
            assert reply.status_code in (302, 400, 404)
