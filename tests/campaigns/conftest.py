"""In: nothing. Out: a sandbox platform over loopback HTTP, and an account that is at home there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from campaigns.models import Account
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
