"""In: somebody at a browser, and something that happens meanwhile. Out: the bell says so without a
reload, is reached by the keyboard, and leads to what happened.

Must catch: a bell that only a reload moves; a list whose rows only a mouse opens; a secret that the
page of a webhook shows twice; a page that is wider than a phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from campaigns import notices
from campaigns.models import Account, NoticeReader, NoticeRule
from tests.browser.pages import PASSWORD, log_in, look_up, open_page, take
from tests.campaigns.admin.world import make_user
from tests.factories import make_account
from tests.processes import find_free_port, run_web

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def account(db: None) -> Account:
    NoticeRule.objects.all().delete()
    NoticeRule.objects.create(event="account_stopped", everyone=True)
    return make_account(name="讯飞外呼")


@pytest.fixture
def address(settings: Any, tmp_path: Path, chromium_path: str, account: Account) -> Iterator[str]:
    user = make_user("admin", username="boss")
    user.set_password(PASSWORD)
    user.save()
    environment = {
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
    }
    with run_web(find_free_port(), **environment) as running:
        yield running


def stop(account: Account) -> None:
    """The platform refuses the account, and a worker looks."""
    since = timezone.now() - timedelta(seconds=1)
    Account.objects.filter(pk=account.pk).update(stopped_at=since, stopped_reason="No balance.")
    assert notices.find_notices() == 1


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_bell_rings_without_a_reload(
    address: str, browser: Any, account: Account, language: str
) -> None:
    narrow = {"viewport": {"width": 400, "height": 800}}
    with open_page(browser, language, **narrow) as page:
        log_in(page, address)
        bell = page.locator("#bell")
        bell.wait_for()
        assert page.locator("#bell b").count() == 0
        look_up(lambda: stop(account))
        page.locator("#bell b", has_text="1").wait_for()
        take(page, f"bell-{language}")
        bell.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/notice/**")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        take(page, f"notices-{language}")
        row = page.locator("button.cb-notice")
        assert "讯飞外呼" in row.inner_text()
        row.focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{reverse('admin:campaigns_account_change', args=[account.pk])}")
        assert page.locator("#bell b").count() == 0
        assert look_up(lambda: NoticeReader.objects.filter(read_at=None).count()) == 0


def test_a_webhook_from_its_address_to_its_secret(
    address: str, browser: Any, account: Account
) -> None:
    with open_page(browser, "en") as page:
        log_in(page, address)
        page.goto(address + reverse("admin:campaigns_noticehook_add"))
        page.fill("#id_name", "Tickets")
        page.fill("#id_url", "https://127.0.0.1:9/in/T0pSecretPath")
        page.keyboard.press("Enter")
        page.locator("#make-secret button").click()
        secret = page.locator("#secret").inner_text()
        assert len(secret) >= 43
        take(page, "webhook-secret")
        page.get_by_role("link", name="Back to the webhook").click()
        page.locator("#test-hook").click()
        page.get_by_text("NOTICE_ALLOW_HOSTS").first.wait_for()
        take(page, "webhook")
        assert secret not in page.content()
        assert "T0pSecretPath" not in page.content()
