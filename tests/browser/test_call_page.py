"""In: a call that somebody listens to. Out: what they say of it stands on its page, the number is
called no more, and the time line of the contact tells all of it.

Must catch: a correction that replaces the platform's word; a remark that is lost or stands twice; a
number on the list that the page does not tell; a time line that leaves out what somebody did.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from campaigns.models import Call, Correction, DoNotCall, Remark
from tests.browser.pages import log_in, look_up, open_page, run_console, take
from tests.campaigns.admin.world import make_call, make_turns
from tests.factories import make_account, make_contact, make_line, make_robot, make_task

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]
PHONE = "19900000001"


@pytest.fixture
def call() -> Call:
    account = make_account(name="讯飞外呼", is_sandbox=True)
    robot = make_robot(account=account, name="理财回访")
    task = make_task(
        account=account,
        robot=robot,
        name="八月回访",
        status="running",
        lines=[make_line(account=account)],
    )
    contact = make_contact(task=task, phone=PHONE, status="finished", result="answered")
    call = make_call(task, contact)
    make_turns(call)
    return call


@pytest.fixture
def address(tmp_path: Path, chromium_path: str, call: Call) -> Iterator[str]:
    with run_console(tmp_path, role="operator") as running:
        yield running


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_what_somebody_heard_is_written_down(
    address: str, browser: Any, call: Call, language: str
) -> None:
    with open_page(browser, language) as page:
        log_in(page, address)
        page.goto(address + reverse("admin:campaigns_call_change", args=[call.pk]))
        page.fill("#right-intention", "B")
        page.press("#right-intention", "Enter")
        page.wait_for_selector("#corrected")
        words = page.inner_text("#words")
        assert "A" in words, "The platform's word stays."
        assert "boss" in words
        assert "B" in page.inner_text("#corrected")

        page.fill("#remark", "请周五再联系 19900000002")
        page.locator("#remarks form button").click()
        page.wait_for_selector("#remarks article")
        assert page.locator("#remarks article").count() == 1
        said = page.inner_text("#remarks article")
        assert "请周五再联系 199****0002" in said

        page.locator('a[href*="/donotcall/add/"]').click()
        page.wait_for_selector("#forbid-now")
        if not page.input_value("#id_reason"):
            page.fill("#id_reason", "本人要求")
        page.click("#forbid-now")
        page.goto(address + reverse("admin:campaigns_call_change", args=[call.pk]))
        page.wait_for_selector("#barred")
        take(page, f"call-{language}")
        assert look_up(lambda: DoNotCall.objects.get(lifted_at=None).phone) == PHONE
        assert look_up(lambda: Correction.objects.get().intention) == "B"
        assert look_up(Remark.objects.count) == 1

        # by keyboard to the contact, whose time line tells the call and the entry on the list
        link = page.locator('a[href$="#time-line"]')
        link.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#time-line li")
        line = page.locator("#time-line")
        assert line.locator(f'a[href*="/call/{call.pk}/"]').count() >= 1
        assert page.locator("#barred").count() == 1
        take(page, f"time-line-{language}")
        assert PHONE not in page.content()
