"""In: a browser, a language. Out: a page that keeps what its scripts complain of, logged in; and
the program's own processes, with somebody who may log in.

``SCREENSHOTS=folder`` keeps a picture of every step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections

from tests.campaigns.admin.world import make_user
from tests.processes import find_free_port, run_web, run_worker

PASSWORD = "a-long-test-password"
LOCALES = {"en": "en-US", "zh-hans": "zh-CN"}


@contextmanager
def open_page(browser: Any, language: str, **more: Any) -> Iterator[Any]:
    """A page that keeps what its scripts complain of, and is pictured when the test fails."""
    options = {"locale": LOCALES[language], "viewport": {"width": 1440, "height": 900}}
    context = browser.new_context(**options | more)
    page = context.new_page()
    page.set_default_timeout(60_000)  # a busy machine's
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"{error} {error.stack}"))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    try:
        yield page
    except Exception:
        take(page, f"failed-{language}")
        raise
    finally:
        context.close()
    assert [fault for fault in faults if "favicon" not in fault] == []


@contextmanager
def run_console(
    folder: Path, *, role: str = "admin", worker: bool = False, **more: str
) -> Iterator[str]:
    """The address of a web server on the test's database, beside a worker if one is wanted; "boss"
    may log in there."""
    user = make_user(role, username="boss")
    user.set_password(PASSWORD)
    user.save()
    environment = read_environment(folder) | more
    with ExitStack() as running:
        if worker:
            running.enter_context(run_worker(**environment))
        yield running.enter_context(run_web(find_free_port(), **environment))


def read_environment(folder: Path) -> dict[str, str]:
    """What a process needs to understand this test's rows."""
    return {
        "DATA_DIR": str(folder),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
    }


def look_up(find: Callable[[], Any]) -> Any:
    """What ``find`` finds in the database, in a thread: this one has a browser's loop in it."""

    def run() -> Any:
        try:
            return find()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(run).result()


def take(page: Any, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def log_in(page: Any, address: str, *, name: str = "boss") -> None:
    page.goto(f"{address}/admin/")
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_selector("#live")
