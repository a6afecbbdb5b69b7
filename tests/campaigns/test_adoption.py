"""In: pushes that name an account at the platform. Out: the first id adopted, others kept apart.

Pushes of the pretended 7moor, through our own door.
"""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.db import connections
from django.test import Client as Browser
from django.urls import reverse

from callbacks import processing
from callbacks.models import Receipt
from campaigns.models import Account, Call
from tests.callbacks.pushes import dump, make_door, push
from tests.platforms.payloads import HERE, read_payload

pytestmark = pytest.mark.django_db
SAMPLE = read_payload(HERE / "moor7/payloads/cdr__sample.http")


def make_record(account_id: Any, call: str) -> bytes:
    """The text's own call record, of this account and call."""
    body: dict[str, Any] = json.loads(SAMPLE.body)
    return dump(body | {"accountId": account_id, "callUniqueId": call, "superUniqueId": call})


def make_moor7(**settings: str) -> tuple[Account, str]:
    return make_door(platform="moor7", settings=settings)


def adopted(account: Account) -> str:
    account.refresh_from_db()
    return account.get_setting("account_id")


def list_calls(account: Account) -> set[str]:
    return set(account.call_set.values_list("platform_call_id", flat=True))


def test_the_first_id_is_adopted_and_shown(admin_client: Browser) -> None:
    account, token = make_moor7(recording_hosts="files.example.com")
    assert adopted(account) == ""
    push(token, "", make_record("20000153", "c-1"))
    processing.process_inbox()
    assert adopted(account) == "20000153"
    assert account.settings["recording_hosts"] == "files.example.com"
    assert list_calls(account) == {"c-1"}
    page = admin_client.get(reverse("admin:campaigns_account_change", args=[account.pk]))
    assert "20000153" in page.content.decode()


def test_a_push_of_another_account_is_kept_apart_and_changes_nothing() -> None:
    account, token = make_moor7()
    push(token, "", make_record("20000153", "c-1"))
    processing.process_inbox()
    push(token, "", make_record("20000999", "c-2"))
    push(token, "", make_record("20000999", "c-1"))
    processing.process_inbox()
    apart = Receipt.objects.filter(status="quarantined")
    assert list(apart.values_list("reason", flat=True)) == ["foreign_account"] * 2
    assert (adopted(account), list_calls(account)) == ("20000153", {"c-1"})


def test_it_can_be_processed_again_when_the_setting_was_wrong() -> None:
    account, token = make_moor7(account_id="1")
    push(token, "", make_record("20000153", "c-1"))
    processing.process_inbox()
    assert (adopted(account), list_calls(account)) == ("1", set())
    account.settings = {"account_id": "20000153"}
    account.save()
    assert processing.reprocess(Receipt.objects.all()) == 1
    processing.process_inbox()
    assert Receipt.objects.get().status == "processed"
    assert list_calls(account) == {"c-1"}


@pytest.mark.parametrize("known", ["20000153", " 20000153 "])
def test_a_configured_id_is_never_changed(known: str) -> None:
    account, token = make_moor7(account_id=known)
    for number, name in enumerate(["20000999", "20000153", "20000999"]):
        push(token, "", make_record(name, f"c-{number}"))
    processing.process_inbox()
    assert adopted(account) == known
    assert list_calls(account) == {"c-1"}


@pytest.mark.parametrize("same_batch", [True, False])
def test_in_a_batch_the_first_one_that_came_is_believed(same_batch: bool) -> None:
    account, token = make_moor7()
    for number, name in enumerate(["20000153", "20000999", "20000153"]):
        push(token, "", make_record(name, f"c-{number}"))
        if not same_batch:
            processing.process_inbox()
    processing.process_inbox()
    assert adopted(account) == "20000153"
    assert list_calls(account) == {"c-0", "c-2"}
    states = Receipt.objects.order_by("id").values_list("status", flat=True)
    assert list(states) == ["processed", "quarantined", "processed"]


def test_each_account_has_its_own() -> None:
    one, one_token = make_moor7()
    other, other_token = make_moor7()
    push(one_token, "", make_record("111", "c-1"))
    push(other_token, "", make_record("222", "c-1"))
    processing.process_inbox()
    assert (adopted(one), adopted(other)) == ("111", "222")
    assert Call.objects.count() == 2


def test_an_id_beyond_what_a_float_holds_is_kept_exactly() -> None:
    account, token = make_moor7()
    push(token, "", make_record(9_007_199_254_740_993, "c-1"))
    push(token, "", make_record("9007199254740993", "c-2"))
    push(token, "", make_record(9_007_199_254_740_992, "c-3"))
    processing.process_inbox()
    assert adopted(account) == "9007199254740993"
    assert list_calls(account) == {"c-1", "c-2"}


def test_a_push_that_names_no_account_is_taken() -> None:
    account, token = make_moor7(account_id="20000153")
    for number, nothing in enumerate([None, ""]):
        push(token, "", make_record(nothing, f"c-{number}"))
    processing.process_inbox()
    assert list_calls(account) == {"c-0", "c-1"}
    fresh, token = make_moor7()
    push(token, "", make_record(None, "c-1"))
    processing.process_inbox()
    assert adopted(fresh) == ""


@pytest.mark.django_db(transaction=True)
def test_of_two_first_pushes_at_once_one_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both workers have seen that no id is known before either of them writes."""
    account, token = make_moor7()
    for name in ("111", "222"):
        push(token, "", make_record(name, f"c-{name}"))
    both = threading.Barrier(2, timeout=10)
    adopt_id = processing.adopt_id

    def meet(row: Account, event: Any) -> bool:
        assert row.get_setting("account_id") == ""
        both.wait()
        return adopt_id(row, event)

    monkeypatch.setattr(processing, "adopt_id", meet)
    receipts = list(Receipt.objects.select_related("account").order_by("id"))
    claimed = {row.pk: row for row in processing.claim(fresh=True)}
    assert set(claimed) == {row.pk for row in receipts}
    # Not of one batch: each worker has read the account for itself.
    errors: list[Exception] = []

    def work(pk: int) -> None:
        try:
            processing.process_batch(list(Receipt.objects.filter(pk=pk).select_related("account")))
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(row.pk,)) for row in receipts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    won = adopted(account)
    assert won in ("111", "222")
    assert list_calls(account) == {f"c-{won}"}
    states = Receipt.objects.values_list("status", "reason")
    assert sorted(states) == [("processed", ""), ("quarantined", "foreign_account")]
