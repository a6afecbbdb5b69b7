"""In: two people at two browsers and a launch above the limit. Out: the one asks, the other
approves what was asked, and only then it is launched.

Must catch: a launch button for one person alone; an approval of something else than was seen; a
step whose page does not lead to the next one; a sentence nobody translated.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from campaigns.models import Approval, Task
from tests.browser.pages import PASSWORD, log_in, look_up, open_page, take
from tests.campaigns.admin.world import make_user
from tests.factories import make_account, make_contact, make_line, make_robot, make_task
from tests.processes import find_free_port, run_web

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]
WAITS = {"en": "It waits for a second person.", "zh-hans": "正在等待复核。"}


@pytest.fixture
def draft() -> Task:
    account = make_account(name="讯飞外呼", is_sandbox=True)
    robot = make_robot(account=account, name="理财回访")
    task = make_task(account=account, robot=robot, name="八月回访")
    task.lines.add(make_line(account=account))
    for number in range(1, 4):
        make_contact(task=task, phone=f"1990000000{number}", values={"姓名": "张一"})
    return task


@pytest.fixture
def address(settings: Any, tmp_path: Path, chromium_path: str, draft: Task) -> Iterator[str]:
    for name in ("asks", "answers"):
        user = make_user("manager", username=name)
        user.set_password(PASSWORD)
        user.save()
    environment = {
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "APPROVE_ABOVE": "2",
    }
    with run_web(find_free_port(), **environment) as running:
        yield running


def status_of(task: Task) -> str:
    return look_up(lambda: Task.objects.values_list("status", flat=True).get(pk=task.pk))


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_one_asks_and_the_other_approves(
    address: str, browser: Any, draft: Task, language: str
) -> None:
    launch = address + reverse("admin:campaigns_task_launch", args=[draft.pk])
    with open_page(browser, language) as asking, open_page(browser, language) as answering:
        log_in(asking, address, name="asks")
        log_in(answering, address, name="answers")
        asking.goto(launch)
        assert asking.locator("#launch-now").count() == 0
        asking.fill("#second-person textarea", "Everybody in it expects the call.")
        take(asking, f"two-people-ask-{language}")
        asking.click("#ask-now")
        asking.goto(launch)
        assert WAITS[language] in asking.inner_text("#second-person")
        assert asking.locator("#to-approval").count() == 0, "One may answer oneself."
        assert asking.locator("#launch-now").count() == 0

        answering.goto(launch)
        answering.click("#to-approval")
        answering.wait_for_selector("#approve-now")
        shown = answering.inner_text("main, #content, body")
        assert "Everybody in it expects the call." in shown and "19900000001" not in shown
        take(answering, f"two-people-answer-{language}")
        answering.click("#approve-now")
        answering.wait_for_selector("#approve-now", state="detached")
        assert look_up(lambda: Approval.objects.get().status) == "approved"
        assert status_of(draft) == "draft"

        asking.goto(launch)
        asking.wait_for_selector("#approved")
        take(asking, f"two-people-approved-{language}")
        asking.click("#launch-now")
        asking.wait_for_selector("#live")
    assert status_of(draft) == "loading"
    assert look_up(lambda: Approval.objects.get().status) == "used"
