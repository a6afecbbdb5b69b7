"""In: somebody who reads another language than their browser asks for. Out: one click, and every
page is in theirs, until they choose again.

Must catch: a choice that the next page forgets; a choice that leads away from the page one is on;
dates and numbers as people elsewhere write them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from tests.browser.pages import log_in, open_page, run_console, take
from tests.campaigns.admin.world import make_call
from tests.factories import make_contact, make_task

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def address(tmp_path: Path, chromium_path: str, db: None) -> Iterator[str]:
    task = make_task(name="八月回访", status="running")
    make_call(task, make_contact(task=task, status="finished"))
    with run_console(tmp_path, role="operator") as running:
        yield running


def choose(page: Any, language: str) -> None:
    """By the menu of the person at the end of the navigation."""
    page.locator(f'form:has(input[name="language"][value="{language}"])').evaluate(
        "form => form.closest('[x-data]') && form.requestSubmit()"
    )
    page.wait_for_selector(f'html[lang="{language}"]')


def test_the_language_is_chosen_and_stays(address: str, browser: Any) -> None:
    calls = reverse("admin:campaigns_call_changelist")
    with open_page(browser, "en") as page:
        log_in(page, address)
        page.goto(address + calls)
        assert "Result" in page.inner_text("#result_list thead")
        choose(page, "zh-hans")
        assert page.url.startswith(address + calls), "One stays where one is."
        assert "结果" in page.inner_text("#result_list thead")
        assert "Result" not in page.inner_text("#result_list thead")
        take(page, "language-zh")
        page.goto(f"{address}/admin/")
        assert page.locator("html").get_attribute("lang") == "zh-hans"
        choose(page, "en")
        assert "Running" in page.inner_text("#live")
