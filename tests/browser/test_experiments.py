"""In: a draft with people in it, and somebody who wants to know which robot is better. Out: two
drafts of different people, and a page that says when a difference means nothing yet.

Must catch: somebody in both groups or in none; few calls that are called a difference; a page that
says nothing until somebody reloads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from campaigns import experiments
from campaigns.models import Experiment, Task
from tests.browser.pages import log_in, look_up, open_page, run_console, take
from tests.campaigns.admin.world import make_call
from tests.factories import make_account, make_contact, make_line, make_robot, make_task

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]
PEOPLE = 40


@pytest.fixture
def draft() -> Task:
    account = make_account(name="讯飞外呼", is_sandbox=True)
    robot = make_robot(account=account, name="理财回访")
    make_robot(account=account, name="理财回访 新话术")
    task = make_task(
        account=account, robot=robot, name="八月回访", lines=[make_line(account=account)]
    )
    for number in range(PEOPLE):
        make_contact(task=task, phone=f"199{number:08d}")
    return task


@pytest.fixture
def address(tmp_path: Path, chromium_path: str, draft: Task) -> Iterator[str]:
    with run_console(tmp_path, role="manager", worker=True) as running:
        yield running


def call_some() -> None:
    """Of each group four are called: in the first all pick up, in the second three."""
    experiment = Experiment.objects.get()
    for task, reached in ((experiment.first, 4), (experiment.second, 3)):
        assert task is not None
        Task.objects.filter(pk=task.pk).update(status="running")
        for place, contact in enumerate(task.contacts.order_by("pk")[:4]):
            answered = place < reached
            result = "answered" if answered else "no_answer"
            make_call(task, contact, answered=answered, result=result)
    experiments.count_experiment(experiment.pk)


def test_a_draft_is_parted_and_its_groups_are_compared(
    address: str, browser: Any, draft: Task
) -> None:
    with open_page(browser, "en") as page:
        log_in(page, address)
        page.goto(address + reverse("admin:campaigns_task_change", args=[draft.pk]))
        page.get_by_role("link", name="Compare two robots").click()
        page.fill("#id_name", "Old words, new words")
        other = page.locator('#id_robot option:has-text("新话术")').get_attribute("value")
        page.select_option("#id_robot", other)
        take(page, "experiment-begins-en")
        page.click("#split-now")
        page.wait_for_function(
            "() => document.querySelectorAll('[data-part=groups] section dd a').length >= 2"
        )
        assert "理财回访 新话术" in page.inner_text("[data-part=groups]")

        def sizes() -> list[int]:
            experiment = Experiment.objects.get()
            return [task.contacts.count() for task in (experiment.first, experiment.second)]

        parted = look_up(sizes)
        assert sum(parted) == PEOPLE
        assert min(parted) > 0
        shown = page.locator("[data-part=groups] dd a").all_inner_texts()
        assert [shown[0], shown[len(shown) // 2]] == [str(number) for number in parted]

        look_up(call_some)
        page.reload()
        page.wait_for_selector("#verdict")
        assert "nothing yet" in page.inner_text("#verdict")
        assert page.locator("[data-part=called] .cb-range").count() >= 2
        take(page, "experiment-en")
        page.set_viewport_size({"width": 420, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 420
