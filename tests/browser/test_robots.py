"""In: a robot with two versions and calls of several days. Out: its page tells its days, what
changed at the platform, how each version did, and where people leave it.

Must catch: calls told to the wrong version; a day that leads to other rows; a period that changes
nothing; a chart that is not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from campaigns import counting, figures
from campaigns.models import Robot, RobotVersion
from tests.browser.pages import log_in, open_page, run_console, take
from tests.campaigns.admin.world import make_call
from tests.campaigns.test_figures import NOBODY, TALK, say
from tests.factories import make_account, make_robot, make_task

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def robot() -> Robot:
    """The first version talked to one of three, the second to both."""
    robot = make_robot(account=make_account(name="讯飞外呼"), name="理财回访")
    task = make_task(account=robot.account, robot=robot, name="八月回访", status="running")
    now = timezone.now()
    before, since = now - timedelta(days=40), now - timedelta(days=2)
    changes = {"columns": [["客户手机号码"], ["客户手机号码", "姓名"]]}
    for number, at, changed in ((1, before, {}), (2, since, changes)):
        RobotVersion.objects.create(
            robot=robot, number=number, begins_at=at, first_seen_at=at, last_seen_at=now,
            changes=changed,
        )  # fmt: skip
    for days, fields in ((35, TALK), (3, NOBODY), (3, NOBODY), (1, TALK), (1, TALK)):
        call = make_call(task, None, happened_at=now - timedelta(days=days), **fields)
        if fields is TALK:
            say(call, "开场白", "产品介绍")
    counting.count_when_due()
    counting.count_marked()
    figures.count_task(task.pk)
    return robot


@pytest.fixture
def address(tmp_path: Path, chromium_path: str, robot: Robot) -> Iterator[str]:
    with run_console(tmp_path, role="manager") as running:
        yield running


def test_a_robot_over_time(address: str, browser: Any, robot: Robot) -> None:
    with open_page(browser, "en") as page:
        log_in(page, address)
        page.goto(address + reverse("admin:campaigns_robot_changelist"))
        page.locator("#result_list").get_by_role("link", name="理财回访").first.click()
        page.wait_for_selector("#over-time")
        charts = page.locator("#over-time canvas")
        assert charts.count() == 2
        for place in range(2):
            charts.nth(place).evaluate("one => { if (!Chart.getChart(one)) throw one.id }")
        take(page, "robot-en")
        assert "version 2" in page.inner_text("#last-change")
        assert "姓名" in page.inner_text("#last-change")
        rows = page.locator("#versions tbody tr")
        calls = [rows.nth(place).locator("td.num a").inner_text() for place in range(2)]
        rates = [rows.nth(place).locator("td.num").nth(1).inner_text() for place in range(2)]
        assert calls == ["2", "3"], "The newest first, each with its own calls."
        assert rates[0].startswith("100")
        assert "产品介绍" in page.inner_text("#nodes-2")

        # the older days come with a longer period, and a day leads to its calls
        page.click("#day-rows summary")
        assert page.locator("#day-rows tbody tr").count() == 2
        page.locator("#over-time").get_by_role("link", name="90 days").click()
        page.wait_for_url("**days=90**")
        page.click("#day-rows summary")
        assert page.locator("#day-rows tbody tr").count() == 3
        page.locator("#day-rows tbody a", has_text="2").first.click()
        page.wait_for_selector("#result_list")
        assert page.locator("#result_list tbody tr").count() == 2
