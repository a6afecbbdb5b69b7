"""In: a sandbox. Out: the demo's accounts at each platform it speaks, made once and left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from campaigns.management.commands.prepare import read_platforms
from campaigns.management.demo import GUESTS, make_csv, seed_demo
from campaigns.models import Account, Task
from campaigns.platforms.registry import PLATFORMS
from campaigns.platforms.sandbox import SIDES, SandboxServer, serve
from tests.platforms.sandbox_client import Client

SPOKEN = [make.name for make in SIDES]  # type: ignore[attr-defined]
SHOWN = [guest for guest in GUESTS if guest.platform in SPOKEN and guest.platform in PLATFORMS]
OTHERS = [guest for guest in SHOWN if guest.platform != "yeta"]


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with serve(seed="demo", speed=0) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: SandboxServer) -> Client:
    return Client(sandbox)


@pytest.fixture(autouse=True)
def here(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    settings.HTTP_TIMEOUT_SECONDS = 5


def seed(sandbox: SandboxServer, *, port: int = 8000, platforms: list[str] | None = None) -> str:
    return seed_demo(
        sandbox.url, public_url=f"http://127.0.0.1:{port}", by=None, platforms=platforms
    )


def tell_live(client: Client) -> dict[str, bool]:
    return {name: told["live"] for name, told in client.look("sides").items()}


@pytest.mark.django_db(transaction=True)
def test_the_demo_is_made_once_and_follows_its_sandbox(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    first = seed(sandbox, platforms=["yeta"])
    assert "launched" in first
    assert Account.objects.get().is_sandbox
    task = Task.objects.get()
    assert task.status != "draft"
    assert task.contacts.count() == make_csv().decode("utf-8-sig").count("\n") - 1
    kept = tmp_path / "secrets" / "demo_callback_token_yeta"
    assert kept.stat().st_mode & 0o777 == 0o600
    token = kept.read_text()
    assert seed(sandbox, port=8001, platforms=["yeta"]) == ""
    assert Task.objects.count() == 1
    assert kept.read_text() == token, "what the platform knows stays valid"
    assert Account.objects.get().is_sandbox
    # The file of the first demo, which knew one platform only, named none.
    kept.rename(kept.with_name("demo_callback_token"))
    assert seed(sandbox, port=8002, platforms=["yeta"]) == ""
    assert not kept.exists(), "it still opens the account"


@pytest.mark.django_db(transaction=True)
def test_each_platform_has_an_account_that_hears_it(sandbox: SandboxServer, client: Client) -> None:
    seed(sandbox)
    accounts = {account.platform: account for account in Account.objects.all()}
    assert set(accounts) == {guest.platform for guest in SHOWN}
    assert all(account.is_sandbox for account in accounts.values())
    for guest in SHOWN:
        account = accounts[guest.platform]
        assert account.name == guest.name
        account.full_clean()
    apps = {app["platform"]: app for app in client.look("apps")}
    assert set(apps["yeta"]["modules"]) == set(PLATFORMS["yeta"].kinds)
    assert all(apps[guest.platform]["modules"] == ["*"] for guest in OTHERS)
    assert all(tell_live(client)[guest.platform] for guest in SHOWN)
    assert all(told["most"] for told in client.look("sides").values() if told["live"])


@pytest.mark.django_db(transaction=True)
def test_only_the_platforms_asked_for_are_shown(sandbox: SandboxServer, client: Client) -> None:
    seed(sandbox, platforms=["yeta"])
    assert {account.platform for account in Account.objects.all()} == {"yeta"}
    assert [name for name, live in tell_live(client).items() if live] == ["yeta"]
    seed(sandbox, platforms=[])
    assert not any(tell_live(client).values())
    seed(sandbox)
    assert all(tell_live(client)[guest.platform] for guest in SHOWN), "shown again when asked for"


@pytest.mark.django_db(transaction=True)
def test_what_somebody_did_to_it_is_left_alone(sandbox: SandboxServer, client: Client) -> None:
    seed(sandbox, platforms=["yeta"])
    account = Account.objects.get()
    Account.objects.filter(pk=account.pk).update(name="Mine now")
    client.control("sides/yeta", {"live": False}, method="PUT")
    seed(sandbox, port=8001, platforms=["yeta"])
    renamed = Account.objects.get()
    assert (renamed.pk, renamed.name) == (account.pk, "Mine now"), "a new name makes no second one"
    assert tell_live(client)["yeta"] is False, "switched off is off at the next start"

    client.control("sides/yeta", {"live": True}, method="PUT")
    Account.objects.update(is_active=False)
    seed(sandbox, platforms=["yeta"])
    assert Account.objects.get().is_active is False
    assert tell_live(client)["yeta"] is False


@pytest.mark.django_db(transaction=True)
def test_what_somebody_deleted_is_not_made_again(sandbox: SandboxServer) -> None:
    seed(sandbox, platforms=["yeta"])
    account = Account.objects.get()
    account.task_set.all().delete()
    account.delete()
    assert seed(sandbox, platforms=["yeta"]) == ""
    assert not Account.objects.exists()


def test_platforms_are_named_as_people_name_them() -> None:
    assert read_platforms("") is None and read_platforms(" , ") is None
    assert read_platforms("YETA, yeta ,") == ["yeta", "yeta"]
    for platform in PLATFORMS.values():
        assert all(read_platforms(alias) == [platform.slug] for alias in platform.aliases)
    with pytest.raises(CommandError, match=r"nobody.*yeta"):
        read_platforms("yeta,nobody")
