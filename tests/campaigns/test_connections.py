"""In: accounts and a sandbox. Out: one token, one pace for all, every exchange kept, masked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection

from campaigns import connections
from campaigns.models import Account, AccountToken, Exchange
from campaigns.platforms.errors import NotSent
from campaigns.platforms.http import ExchangeRecord
from tests.platforms.sandbox_client import Client

pytestmark = pytest.mark.django_db(transaction=True)


def run_together(count: int, act: Callable[[], Any]) -> list[Any]:
    """Do it in so many threads at once, each with its own connection, like so many processes."""
    answers: list[Any] = []
    start = threading.Barrier(count)

    def run() -> None:
        try:
            start.wait()
            answers.append(act())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_one_token_is_fetched_however_many_want_it_at_once(
    account: Account, platform: Client
) -> None:
    run_together(
        8, lambda: connections.open_client(Account.objects.get(pk=account.pk)).query_tasks()
    )
    asked = platform.look("ledger")["requests"]
    assert (asked["oauth/token"], asked["task/query"]) == (1, 8)


def test_a_refused_token_is_fetched_again_once_for_all(account: Account, platform: Client) -> None:
    connections.open_client(account).query_tasks()
    row = AccountToken.objects.get(account=account)
    row.value = {"token": "gone-at-the-platform"}
    row.save()
    run_together(
        6, lambda: connections.open_client(Account.objects.get(pk=account.pk)).query_tasks()
    )
    assert platform.look("ledger")["requests"]["oauth/token"] == 2


def test_a_token_is_not_used_near_its_end(account: Account) -> None:
    asked = []

    def fetch() -> tuple[str, float]:
        asked.append(1)
        return "fresh", 100.0

    tokens = connections.AccountTokens(account)
    assert tokens.get(fetch) == tokens.get(fetch) == "fresh"
    left = AccountToken.objects.get(account=account).expires_at
    assert left is not None
    assert left.timestamp() - time.time() <= 40 and len(asked) == 1


def test_the_token_and_the_secrets_are_stored_encrypted(account: Account) -> None:
    connections.open_client(account).query_tasks()
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM campaigns_accounttoken")
        token = AccountToken.objects.get(account=account).value["token"]
        assert token and token not in cursor.fetchone()[0]
        cursor.execute("SELECT credentials FROM campaigns_account")
        assert "sandbox-secret" not in cursor.fetchone()[0]


def test_every_exchange_is_kept_without_secrets_and_numbers(account: Account) -> None:
    client = connections.open_client(account)
    with pytest.raises(Exception, match="200"):
        client.insert_contacts("7", columns=["客户手机号码"], rows=[["19900000001"]])
    kept = list(Exchange.objects.filter(account=account).order_by("id"))
    assert [row.purpose for row in kept] and kept[-1].http_code == 200
    token = AccountToken.objects.get(account=account).value["token"]
    for row in kept:
        text = row.url + row.request + row.response
        for secret in ("sandbox-secret", "19900000001", token):
            assert secret not in text
    assert "199****0001" in kept[-1].request


def test_a_record_that_cannot_be_kept_changes_nothing(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(record: ExchangeRecord, **_: Any) -> None:
        raise DatabaseError("full")

    monkeypatch.setattr(connections, "_write_exchange", fail)
    assert connections.open_client(account).query_tasks() == ()


def test_all_workers_share_one_pace(account: Account) -> None:
    Account.objects.filter(pk=account.pk).update(rate_limit=20)
    account.refresh_from_db()
    began = time.monotonic()
    run_together(10, lambda: connections.wait_for_turn(account))
    assert time.monotonic() - began >= 9 / 20 * 0.9


def test_nobody_waits_for_a_turn_that_is_far_away(account: Account) -> None:
    account.rate_limit = 1
    account.save()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_account SET next_request_at = clock_timestamp() + interval '1 hour'"
        )
    with pytest.raises(NotSent):
        connections.wait_for_turn(account)
