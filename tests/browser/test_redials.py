"""In: a task that is over, and somebody who wants those called again who were not reached. Out: by
the page's own links from the number to a draft of the next round, and from there back.

Must catch: people who are chosen although something stands against it; a preview that does not say
who is left out and why; a draft that tells nothing of where its people come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from campaigns import counting, figures
from campaigns.models import DoNotCall, Task
from tests.browser.pages import log_in, look_up, open_page, run_console, take
from tests.campaigns.test_redialing import make_over
from tests.factories import make_account, make_line, make_robot

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def task() -> Task:
    """Four people who did not answer; one of them asked to be left alone."""
    account = make_account(name="讯飞外呼", is_sandbox=True)
    robot = make_robot(account=account, name="理财回访")
    task = make_over(4, account=account, robot=robot, name="八月回访")
    task.lines.set([make_line(account=account)])
    DoNotCall.objects.create(phone="19900000004", reason="本人要求")
    figures.count_task(task.pk)
    counting.count_marked()
    return task


@pytest.fixture
def address(tmp_path: Path, chromium_path: str, task: Task) -> Iterator[str]:
    with run_console(tmp_path, role="manager", worker=True) as running:
        yield running


def test_from_a_number_to_the_next_round(address: str, browser: Any, task: Task) -> None:
    page_of_task = reverse("admin:campaigns_task_change", args=[task.pk])
    with open_page(browser, "en") as page:
        log_in(page, address)
        page.goto(address + page_of_task)
        page.locator("#people a.cb-again").first.click()
        page.wait_for_selector("#count-now")
        take(page, "redial-begins-en")
        page.click("#count-now")
        page.wait_for_selector('#redial-status[data-status="counted"]')
        told = page.inner_text("[data-part=counts]")
        assert "3 of 4 people may be called again" in told
        assert "do-not-call" in told
        assert "1990000" not in page.content()
        take(page, "redial-counted-en")

        page.fill("#id_name", "八月回访 第二轮")
        page.click("#make-now")
        page.wait_for_selector("#to-draft")
        page.click("#to-draft")
        page.wait_for_selector('#task-status[data-status="draft"]')
        assert page.url != address + page_of_task
        take(page, "redial-draft-en")
        # from the draft to where its people come from, and back again
        page.locator("#family").get_by_role("link", name="八月回访", exact=True).click()
        page.wait_for_url(f"**{page_of_task}")
        page.locator("#family").get_by_role("link", name="八月回访 第二轮").click()
        page.wait_for_selector('#task-status[data-status="draft"]')

    def list_people() -> list[str]:
        draft = Task.objects.get(family=task)
        return sorted(draft.contacts.filter(status="ready").values_list("phone", flat=True))

    assert look_up(list_people) == ["19900000001", "19900000002", "19900000003"]
