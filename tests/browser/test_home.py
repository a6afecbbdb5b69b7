"""In: a day's calls, and somebody who begins the day. Out: the first screen tells it for the period
and the account they choose, leads to the rows, and follows what happens.

Must catch: a number that leads elsewhere than to its rows; a choice that is forgotten by the next
click; a number that only a reload moves; a chart that is not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from campaigns import counting
from campaigns.models import Task
from tests.browser.pages import log_in, look_up, open_page, run_console, take
from tests.campaigns.admin.world import make_call
from tests.factories import make_account, make_contact, make_task

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]
NOBODY = {"result": "no_answer", "answered": False, "talk_seconds": None, "intention": ""}


@pytest.fixture
def tasks() -> list[Task]:
    """Of two accounts: the first had four calls today and two some days ago, the second one."""
    tasks = []
    for name in ("讯飞外呼", "第二账号"):
        task = make_task(account=make_account(name=name), status="running", name=f"{name}八月")
        make_contact(task=task, status="accepted")
        tasks.append(task)
    first, second = tasks
    for fields in ({}, {"intention": "B"}, NOBODY, NOBODY):
        make_call(first, make_contact(task=first, status="finished"), **fields)
    for _ in range(2):
        make_call(first, None, happened_at=timezone.now() - timedelta(days=3), **NOBODY)
    make_call(second, None)
    count()
    return tasks


def count() -> None:
    counting.count_when_due()
    counting.count_marked()


@pytest.fixture
def address(tmp_path: Path, chromium_path: str, tasks: list[Task]) -> Iterator[str]:
    with run_console(tmp_path, role="manager") as running:
        yield running


def read_tile(page: Any, slug: str) -> str:
    return str(page.locator(f"#tile-{slug} b").inner_text())


def test_a_morning_at_the_first_screen(address: str, browser: Any, tasks: list[Task]) -> None:
    with open_page(browser, "en") as page:
        log_in(page, address)
        assert (read_tile(page, "calls"), read_tile(page, "reached")) == ("5", "3")
        assert "讯飞外呼八月" in page.locator("[data-part=main]").inner_text()
        assert page.locator("#home-chart").evaluate("one => Boolean(Chart.getChart(one))")
        take(page, "home-en")

        # seven days, then one account of them: the choice stays
        page.get_by_role("link", name="7 days").click()
        page.wait_for_url("**period=7**")
        assert read_tile(page, "calls") == "7"
        page.locator('select[name="account"]').select_option(label="讯飞外呼")
        page.get_by_role("button", name="Show", exact=True).click()
        page.wait_for_url("**account=**")
        assert read_tile(page, "calls") == "6"
        assert page.locator('select[name="account"] option:checked').inner_text() == ("讯飞外呼")

        # a number leads to its rows, and to no others
        page.locator("#tile-reached").click()
        page.wait_for_selector("#result_list")
        assert page.locator("#result_list tbody tr").count() == 2
        page.go_back()

        # what happens is told without a reload
        page.evaluate("window.sameLoad = true")

        def call_again() -> None:
            make_call(tasks[0], None)
            count()

        look_up(call_again)
        page.wait_for_function("document.querySelector('#tile-calls b').innerText === '7'")
        assert page.evaluate("window.sameLoad") is True

        # as a table too, for whoever does not see a chart
        page.get_by_text("As a table").first.click()
        assert page.locator("#home-slots tbody tr").count() == 7
