"""Whether an account's platform is a pretended one. Must catch: a real platform that wears the
badge "calls nobody", whatever its address is; a sandbox without it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from campaigns import catalog
from campaigns.management.demo import wait_for_sandbox
from campaigns.models import Account
from campaigns.platforms.errors import PlatformError
from campaigns.platforms.sandbox import SandboxServer
from tests.factories import make_account
from tests.platforms.faulty import FaultyServer, make_reply

TOKEN = {"code": "0", "message": "ok", "result": {"token": "t" * 20, "expires_in": 7200}}


@pytest.fixture
def silent(db: None, settings: Any) -> Iterator[str]:
    """A platform in the house, allowed by its address, that does not say it only pretends."""
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    with FaultyServer(
        lambda peer, _: peer.sendall(make_reply(json.dumps(TOKEN).encode()))
    ) as server:
        yield f"{server.url}/openapi"


def is_badged(account: Account) -> bool:
    shown = account.is_sandbox
    assert Account.objects.get(pk=account.pk).is_sandbox == shown
    return shown


def test_an_address_alone_makes_no_sandbox(db: None, settings: Any) -> None:
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1", "platform.internal"]
    for url in ("http://127.0.0.1:9/openapi", "http://platform.internal/openapi"):
        account = make_account(base_url=url)
        account.save()
        assert not is_badged(account), url


def test_a_sandbox_says_so_when_it_is_tested(account: Account) -> None:
    assert not is_badged(account)
    assert catalog.test_connection(account) == ""
    assert is_badged(account)


def test_a_sandbox_says_so_when_it_is_synchronised(account: Account) -> None:
    catalog.sync_account(account)
    assert is_badged(account)


def test_another_address_has_not_said_so_yet(account: Account, sandbox: SandboxServer) -> None:
    catalog.test_connection(account)
    account.name = "Renamed"
    account.save()
    assert is_badged(account)
    account.base_url = "http://127.0.0.1:9/openapi"
    account.save(update_fields=["base_url"])
    assert not is_badged(account)
    assert catalog.test_connection(account) != ""
    assert not is_badged(account), "nobody answered"
    account.base_url = f"{sandbox.url}/openapi"
    account.save()
    assert not is_badged(account)
    catalog.test_connection(account)
    assert is_badged(account)


def test_a_platform_that_does_not_say_so_loses_the_badge(silent: str) -> None:
    account = make_account(base_url=silent, is_sandbox=True, rate_limit=0)
    catalog.test_connection(account)
    assert not is_badged(account)
    with pytest.raises(PlatformError):
        catalog.sync_account(account)
    assert not is_badged(account)


def test_a_late_word_of_the_old_address_does_not_count(account: Account) -> None:
    from campaigns.connections import note_sandbox
    from campaigns.platforms.http import Reply

    Account.objects.filter(pk=account.pk).update(base_url="https://platform.example/openapi")
    note_sandbox(account, Reply(200, {"x-callboard-sandbox": "x"}, b""))
    assert not Account.objects.get(pk=account.pk).is_sandbox


def test_the_demo_asks_whether_it_is_a_sandbox(silent: str, sandbox: SandboxServer) -> None:
    with pytest.raises(OSError, match="does not say"):
        wait_for_sandbox(silent.removesuffix("/openapi"), seconds=0.2)
    wait_for_sandbox(sandbox.url)
