"""In: more calls than a page holds, and somebody who works with them. Out: they choose, keep the
choice, turn the pages, and do something with all of it, and take that back.

Must catch: a kept filter that shows other rows; a row that is on two pages or on none; a bulk job
that takes the page for the whole; a way back that leaves something behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from campaigns.models import DoNotCall, SavedFilter, Task
from tests.browser.pages import log_in, look_up, open_page, run_console, take
from tests.campaigns.admin.world import make_call
from tests.factories import make_account, make_contact, make_task

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]
#: calls that were busy, and all of them; a page has fifty
BUSY, ALL = 60, 120


@pytest.fixture
def task() -> Task:
    task = make_task(account=make_account(name="讯飞外呼"), name="八月回访", status="running")
    now = timezone.now()
    for number in range(ALL):
        contact = make_contact(task=task, phone=f"199{number:08d}", status="finished")
        # half of them happened at the same moment
        at = now - timedelta(minutes=1 + (number if number % 2 else 0))
        busy = number < BUSY
        make_call(
            task,
            contact,
            happened_at=at,
            platform_call_id=f"call-{number:03d}",
            result="busy" if busy else "answered",
            answered=not busy,
        )
    return task


@pytest.fixture
def address(tmp_path: Path, chromium_path: str, task: Task) -> Iterator[str]:
    with run_console(tmp_path, role="manager", worker=True) as running:
        yield running


def read_rows(page: Any) -> list[str]:
    links = page.locator("#result_list tbody th a")
    return [str(href) for href in links.evaluate_all("all => all.map(one => one.pathname)")]


def turn_pages(page: Any, name: str) -> list[list[str]]:
    """The rows of this page and of all that come after it that way."""
    pages = [read_rows(page)]
    while page.locator(f"#{name}").count():
        page.click(f"#{name}")
        page.wait_for_load_state()
        pages.append(read_rows(page))
        assert len(pages) < 10
    return pages


def test_a_choice_is_kept_and_every_row_is_on_one_page(address: str, browser: Any) -> None:
    calls = address + reverse("admin:campaigns_call_changelist")
    with open_page(browser, "en") as page:
        log_in(page, address)
        page.goto(f"{calls}?result__exact=busy")
        page.click("#keep-filter")
        page.fill("#id_name", "Busy")
        page.click("#keep-now")
        page.wait_for_selector("#kept-filters")
        page.goto(calls)
        page.wait_for_selector("#page-after")
        pages = turn_pages(page, "page-after")
        told = [row for rows in pages for row in rows]
        assert len(told) == len(set(told)) == ALL
        assert turn_pages(page, "page-before")[::-1] == pages

        page.locator("#kept-filters").get_by_role("link", name="Busy").click()
        page.wait_for_selector("#kept-filters [aria-current]")
        take(page, "kept-filter-en")
        busy = [row for rows in turn_pages(page, "page-after") for row in rows]
        assert len(busy) == len(set(busy)) == BUSY
        assert "busy" in page.inner_text("#chosen").lower()

        # a number is found in any form, and by whoever reads it aloud with its country
        page.goto(calls)
        page.fill("#searchbar", "+86 199-0000-0007")
        page.press("#searchbar", "Enter")
        page.wait_for_url("**q=**")
        assert len(read_rows(page)) == 1

        page.locator("#kept-filters").get_by_role("button", name="Forget the filter Busy").click()
        page.wait_for_load_state()
        assert page.locator("#kept-filters").get_by_text("Busy").count() == 0
        assert look_up(SavedFilter.objects.count) == 0


def test_something_is_done_with_all_that_match_and_taken_back(address: str, browser: Any) -> None:
    calls = address + reverse("admin:campaigns_call_changelist")
    with open_page(browser, "zh-hans", viewport={"width": 420, "height": 900}) as page:
        log_in(page, address)
        page.goto(f"{calls}?result__exact=busy")
        page.click("#with-all summary")
        page.locator('#with-all a[href*="/bulk/bar/"]').click()
        assert str(BUSY) in page.inner_text("#how-many")
        take(page, "bulk-begins-zh")
        page.fill("#id_reason", "本人要求")
        page.click("#do-it")
        page.wait_for_selector('#job-status[data-status="done"]')
        assert page.inner_text("#done") == str(BUSY)
        take(page, "bulk-done-zh")
        barred = look_up(lambda: set(DoNotCall.objects.values_list("phone", flat=True)))
        assert barred == {f"199{number:08d}" for number in range(BUSY)}

        page.click("#take-back summary")
        page.click("#take-back-now")
        page.wait_for_selector('#job-status[data-status="undone"]')
        assert page.inner_text("#undone") == str(BUSY)
        assert look_up(lambda: DoNotCall.objects.filter(lifted_at=None).count()) == 0
