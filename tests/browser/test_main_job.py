"""In: a person at a browser. Out: the main job done, with a real worker, server and sandbox.

Log in, test the connection, create a task, import a file, launch, watch progress move, open a call,
press play: in English and in Chinese. Must catch: a button that does nothing, progress that needs a
reload, a player that does not play, a script that our own policy refuses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from campaigns.catalog import make_callback_urls
from campaigns.platforms.sandbox import serve
from tests.factories import make_account
from tests.platforms.sandbox_client import LINE, ROBOT
from tests.platforms.sandbox_client import Client as Platform
from tests.processes import find_free_port, run_web, run_worker

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]
CONTACTS = 24
PASSWORD = "a-long-test-password"
PUSHES = ("receiveCallRecord", "receiveVoice", "receiveDialog")


@dataclass
class House:
    """What is running: its address, and the account's and task-to-be's ids."""

    address: str
    account: int


@pytest.fixture
def house(settings: Any, tmp_path: Path, chromium_path: str) -> Iterator[House]:
    """Sandbox, web server, worker; an account that is at home in the sandbox; a user."""
    port = find_free_port()
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    settings.PUBLIC_URL = f"http://127.0.0.1:{port}"
    get_user_model().objects.create_superuser("boss", password=PASSWORD)
    environment = {
        "PLATFORM_ALLOW_HOSTS": "127.0.0.1",
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "POLL_SECONDS": "1",
    }
    with serve(speed=40, seed=5) as sandbox:
        account = make_account(
            name="Pretend",
            base_url=sandbox.base_url,
            credentials={"app_key": "sandbox-key", "app_secret": "sandbox-secret"},
            settings={"recording_prefix": f"{sandbox.url}/voice/"},
        )
        urls = make_callback_urls(account)
        Platform(sandbox).set_app(
            urls={kind: urls[kind] for kind in PUSHES},
            lines=[{"line_num": LINE, "concurrents": 4, "time_work": ["00:00:00-23:59:59"]}],
        )
        with run_web(port, **environment) as address, run_worker(**environment):
            yield House(address, account.pk)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_main_job(house: House, browser: Any, tmp_path: Path, language: str) -> None:
    context = browser.new_context(
        locale={"en": "en-US", "zh-hans": "zh-CN"}[language],
        viewport={"width": 1440, "height": 900},
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if is_fault(said) else None)
    try:
        call = do_main_job(page, house, tmp_path, language)
        assert call
    except Exception:
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{folder}/failed-{language}.png", full_page=True)
        raise
    finally:
        context.close()
    assert not faults


def is_fault(said: Any) -> bool:
    return said.type == "error" and "favicon" not in str(said.location)


def do_main_job(page: Any, house: House, tmp_path: Path, language: str) -> str:
    admin = f"{house.address}/admin"
    # log in
    page.goto(f"{admin}/")
    assert page.locator("html").get_attribute("lang") == language
    page.fill("#id_username", "boss")
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_selector("#live")

    # test the connection, synchronise
    page.goto(f"{admin}/campaigns/account/{house.account}/change/")
    for verb in ("test", "sync"):
        page.click(f'form[action$="/{verb}/"] button')
        page.wait_for_load_state()
    assert page.locator(".cb-badge.good").first.is_visible()
    assert page.locator(".errornote").count() == 0
    assert page.locator(".cb-sandbox").first.is_visible()

    # create a task
    page.goto(f"{admin}/campaigns/task/add/?account={house.account}")
    page.fill("#id_name", "八月回访")
    option = page.locator(f'#id_robot option:has-text("{ROBOT}")').get_attribute("value")
    page.select_option("#id_robot", option)
    if not page.locator("#id_lines input").first.is_checked():
        page.locator("#id_lines input").first.check()
    page.click('button[name="_save"]')
    page.wait_for_selector('#task-status[data-status="draft"]')

    # import a file: its columns are found by their names, it is checked, then it is loaded
    page.click('a[href$="/import/"] >> nth=0')
    page.set_input_files("#id_file", files=[make_file(tmp_path)])
    page.click("#import-now")
    page.click("#check-now")
    page.click("#load-now")
    page.wait_for_selector('#import-status[data-status="done"]')
    page.click("#to-task")
    page.wait_for_selector("#task-done")
    assert str(CONTACTS) in page.locator("#task-done").inner_text()

    # launch, and watch progress move without a reload
    page.click('a[href$="/launch/"]')
    page.click("#launch-now")
    page.wait_for_selector("#task-status")
    page.evaluate("window.sameLoad = true")
    page.wait_for_selector('#task-status[data-status="running"]', timeout=40_000)
    before = page.locator("#task-done").inner_text()
    page.wait_for_function(
        "before => document.querySelector('#task-done').innerText !== before",
        arg=before,
        timeout=60_000,
    )
    page.wait_for_selector('#task-status[data-status="finished"]', timeout=160_000)
    assert page.evaluate("window.sameLoad") is True

    # open a call, press play
    page.goto(f"{admin}/campaigns/call/?answered__exact=1&dialog=yes")
    page.locator("#result_list tbody tr a").first.click()
    page.wait_for_selector("audio")
    assert page.locator(".cb-turn").count() > 0
    page.evaluate("document.querySelector('audio').play()")
    page.wait_for_function("document.querySelector('audio').currentTime > 0.2", timeout=60_000)
    seconds = page.evaluate("document.querySelector('audio').duration")
    page.evaluate("at => { document.querySelector('audio').currentTime = at }", seconds / 2)
    page.wait_for_function(
        "at => document.querySelector('audio').currentTime >= at", arg=seconds / 2
    )
    return str(page.url)


def make_file(folder: Path) -> Path:
    file = folder / "contacts.csv"
    rows = [f"199{number:08d},张{number}" for number in range(CONTACTS)]
    file.write_text("\n".join(["客户手机号码,姓名", *rows]) + "\n", encoding="utf-8")
    return file
