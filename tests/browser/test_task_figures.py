"""In: a task under way, and a call that comes while somebody looks. Out: the page tells it without
being loaded again, by keyboard and on a narrow screen, in both languages.

Must catch: a part that is not brought up to date; a number that cannot be reached by keyboard; a
page that is wider than a narrow screen; a chart that does not appear; scripts that complain.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from campaigns import counting, figures
from campaigns.models import RobotVersion, Task
from tests.browser.pages import PASSWORD, log_in, look_up, open_page, take
from tests.campaigns.admin.world import make_call, make_user
from tests.campaigns.test_figures import TALK, make_campaign, make_person
from tests.processes import find_free_port, run_web

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def task() -> Task:
    task = make_campaign(name="八月回访", launched_at=timezone.now())
    make_call(task, None, **TALK)
    now = timezone.now()
    RobotVersion.objects.create(
        robot=task.robot, number=1, begins_at=now, first_seen_at=now, last_seen_at=now
    )
    figures.count_task(task.pk)
    counting.count_marked()
    return task


@pytest.fixture
def address(settings: Any, tmp_path: Path, chromium_path: str, task: Task) -> Iterator[str]:
    user = make_user("manager", username="boss")
    user.set_password(PASSWORD)
    user.save()
    environment = {
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
    }
    with run_web(find_free_port(), **environment) as running:
        yield running


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_funnel_is_live(address: str, browser: Any, task: Task, language: str) -> None:
    url = address + reverse("admin:campaigns_task_change", args=[task.pk])
    with open_page(browser, language) as page:
        log_in(page, address)
        page.goto(url)
        reached = page.locator("#people #step-reached td.num a").first
        assert reached.inner_text() == "3"
        take(page, f"task-{language}")
        look_up(lambda: make_person(task, TALK | {"happened_at": timezone.now()}))
        page.wait_for_function(
            "() => document.querySelector('#people #step-reached td.num a').innerText === '4'"
        )
        # by keyboard: a number is a link with a focus of its own
        link = page.locator("#people #step-reached td.num a").first
        assert "step=reached" in link.get_attribute("href")
        link.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/campaigns/contact/**")
        page.goto(address + reverse("admin:campaigns_robot_change", args=[task.robot_id]))
        assert page.locator("#over-time canvas").count() == 2
        assert page.locator("#over-time canvas").first.evaluate(
            "canvas => Boolean(Chart.getChart(canvas))"
        )
        take(page, f"robot-{language}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_holds_it(address: str, browser: Any, task: Task, scheme: str) -> None:
    narrow = {"viewport": {"width": 400, "height": 900}, "color_scheme": scheme}
    with open_page(browser, "zh-hans", **narrow) as page:
        log_in(page, address)
        for name, pk in (("task", task.pk), ("robot", task.robot_id)):
            page.goto(address + reverse(f"admin:campaigns_{name}_change", args=[pk]))
            page.wait_for_selector("#nodes")
            wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wider <= 0, (name, wider)
            take(page, f"{name}-narrow-{scheme}")
