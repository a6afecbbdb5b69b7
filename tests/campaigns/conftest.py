"""In: nothing. Out: a sandbox platform over loopback HTTP, and an account that is at home there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from campaigns.models import Account, CallbackToken
from campaigns.platforms import registry
from campaigns.platforms.airudder import PLATFORM as AIRUDDER
from campaigns.platforms.sandbox import SandboxServer, serve
from tests import factories
from tests.platforms.sandbox_client import COLUMNS, LINE, ROBOT, Client


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with serve(speed=60, seed=7) as server:
        yield server


@pytest.fixture
def platform(sandbox: SandboxServer) -> Client:
    """The sandbox's own HTTP: its ledger, its faults."""
    return Client(sandbox)


@pytest.fixture
def account(sandbox: SandboxServer, settings: Any, db: None) -> Account:
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    settings.SETTLE_SECONDS = 0.1
    settings.HTTP_TIMEOUT_SECONDS = 5
    return factories.make_account(
        base_url=f"{sandbox.url}/openapi",
        credentials={"app_key": "sandbox-key", "app_secret": "sandbox-secret"},
        settings={"recording_prefix": f"{sandbox.url}/voice/"},
        rate_limit=0,
    )


@pytest.fixture
def make_campaign(account: Account) -> Any:
    """A draft for the sandbox's robot with so many contacts that are ready."""

    def make(contacts: int = 3, **fields: Any) -> Any:
        robot = account.robot_set.filter(platform_id=ROBOT).first() or factories.make_robot(
            account=account, platform_id=ROBOT, columns=COLUMNS
        )
        line = account.line_set.filter(number=LINE).first() or factories.make_line(
            account=account, number=LINE, hours=[]
        )
        task = factories.make_task(account=account, robot=robot, lines=[line], **fields)
        for number in range(contacts):
            phone = f"199{number:08d}"
            factories.make_contact(task=task, phone=phone, values={"姓名": "张三"})
        return task

    return make


@pytest.fixture
def airudder(sandbox: SandboxServer, platform: Client, settings: Any, db: None) -> Account:
    """An account at the pretended AI Rudder, which calls many at once and is soon done."""
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    settings.SETTLE_SECONDS = 0.03
    settings.POLL_SECONDS = 0.1
    settings.HTTP_TIMEOUT_SECONDS = 5
    platform.control("clock", {"speed": 400})
    platform.control("settings", {"call_scale": 0.1})
    wish = {"platform": "airudder", "lines": 1000}
    platform.control("apps/sandbox-key", wish, method="PUT")
    return factories.make_account(
        platform="airudder",
        base_url=sandbox.url,
        credentials={"app_key": "sandbox-key", "app_secret": "sandbox-secret"},
        settings={"allow_unverified": "on"},
        rate_limit=0,
    )


@pytest.fixture
def door_address(live_server: Any, airudder: Account) -> str:
    """Where our own door takes the pushes of the account, over HTTP."""
    return f"{live_server.url}/callbacks/{CallbackToken.make(airudder)[1]}/"


@pytest.fixture
def hear(door_address: str, platform: Client) -> Callable[[], None]:
    """Calling it lets the sandbox push to our own door."""

    def begin() -> None:
        wish = {"platform": "airudder", "urls": {"*": door_address}}
        platform.control("apps/sandbox-key", wish, method="PUT")

    return begin


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Calling it changes how many contacts AI Rudder takes in a request and in an instance."""

    def change(rows: int, contacts: int) -> None:
        limits = replace(AIRUDDER.limits, rows_per_insert=rows, contacts_per_instance=contacts)
        monkeypatch.setitem(registry.PLATFORMS, "airudder", replace(AIRUDDER, limits=limits))

    return change


@pytest.fixture
def make_filled(airudder: Account) -> Any:
    """A draft at the pretended AI Rudder with so many contacts that are ready."""

    def make(contacts: int = 3, **fields: Any) -> Any:
        robot = airudder.robot_set.filter(platform_id="301").first() or factories.make_robot(
            account=airudder, platform_id="301", columns=["callee", "callee_name"]
        )
        later = timezone.now() + timedelta(hours=8)
        task = factories.make_task(
            account=airudder, robot=robot, lines=[], **{"end_at": later} | fields
        )
        for number in range(contacts):
            values = {"callee_name": "张三"}
            factories.make_contact(task=task, phone=f"199{number:08d}", values=values)
        return task

    return make
