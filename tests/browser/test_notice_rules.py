"""In: a manager who wants to be told of something. Out: a rule made by its form, its notice in the
bell, and silence once the rule is off.

Must catch: a rule that is saved as something else than was chosen; a number that is not asked for
when it is needed; a rule that is off and tells all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from campaigns import lifecycle, notices
from campaigns.models import NoticeRule, Task
from tests.browser.pages import log_in, look_up, open_page, run_console, take
from tests.factories import make_account, make_task

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def tasks() -> list[Task]:
    NoticeRule.objects.all().delete()
    account = make_account(name="讯飞外呼")
    return [make_task(account=account, name=name, status="running") for name in ("八月", "九月")]


@pytest.fixture
def address(tmp_path: Path, chromium_path: str, tasks: list[Task]) -> Iterator[str]:
    with run_console(tmp_path) as running:
        yield running


def finish(task: Task) -> int:
    """As polling does; then it is looked what there is to tell."""
    assert lifecycle.move(task, "finished", of=["running"], finished_at=timezone.now())
    return notices.find_notices()


def test_a_rule_tells_until_it_is_off(address: str, browser: Any, tasks: list[Task]) -> None:
    with open_page(browser, "en") as page:
        log_in(page, address)
        page.goto(address + reverse("admin:campaigns_noticerule_changelist"))
        page.get_by_role("link", name="Add").first.click()
        # a rate without a number is not taken
        page.select_option("#id_event", "answer_rate")
        page.check("#id_everyone")
        page.click('button[name="_save"]')
        page.wait_for_selector(".errornote, .errorlist")
        take(page, "notice-rule-refused-en")
        page.select_option("#id_event", "task_done")
        page.fill("#id_name", "Month is over")
        page.click('button[name="_save"]')
        page.wait_for_selector("#result_list")
        assert "Month is over" in page.inner_text("#result_list")
        rule = look_up(NoticeRule.objects.get)
        assert (rule.event, rule.everyone, rule.by_bell) == ("task_done", True, True)

        assert look_up(lambda: finish(tasks[0])) == 1
        page.locator("#bell b", has_text="1").wait_for()
        page.click("#bell")
        page.wait_for_url("**/notice/**")
        assert "八月" in page.inner_text("#result_list")
        take(page, "notices-en")

        page.goto(address + reverse("admin:campaigns_noticerule_change", args=[rule.pk]))
        assert "1 notice so far" in page.inner_text("main, #main")
        page.uncheck("#id_is_active")
        page.click('button[name="_save"]')
        page.wait_for_selector("#result_list")
        assert look_up(lambda: finish(tasks[1])) == 0
