"""In: an account's callback addresses, rotated by page, by command, and by two people at once.
Out: proof that no push is lost by it unless somebody says that this is meant."""

from __future__ import annotations

import io
import json
import logging
import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from auditlog.models import LogEntry as AuditEntry
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from callbacks.models import Receipt
from campaigns import tokens
from campaigns.models import Account, CallbackToken
from tests.at_once import run_at_once
from tests.callbacks.pushes import make_door, push
from tests.campaigns.admin.world import make_user

KIND = "receiveCallRecord"


def make_two() -> tuple[Account, str, str]:
    account, first = make_door()
    urls = tokens.add_addresses(account)
    return account, first, urls[KIND].split("/")[-2]


def find_live(account: Account) -> list[str]:
    return [token.hint for token in tokens.list_tokens(account) if token.revoked_at is None]


def find_number(account: Account, text: str) -> int:
    return account.callback_tokens.get(hint=text[-4:]).pk


@pytest.mark.django_db
def test_two_live_and_a_third_is_refused_instead_of_ending_one_silently() -> None:
    account, first, second = make_two()
    assert push(first, KIND, b"1").status_code == push(second, KIND, b"2").status_code == 200
    with pytest.raises(tokens.Refused, match="Two addresses are valid already"):
        tokens.add_addresses(account)
    assert find_live(account) == [second[-4:], first[-4:]]


@pytest.mark.django_db
def test_the_old_one_is_revoked_and_its_pushes_refused_at_once() -> None:
    account, first, second = make_two()
    assert push(first, KIND, b"1").status_code == 200
    tokens.revoke_token(account, find_number(account, first))
    assert push(first, KIND, b"2").status_code == 404
    assert push(second, KIND, b"3").status_code == 200
    assert Receipt.objects.count() == 2
    with pytest.raises(tokens.Refused, match="only valid address"):
        tokens.revoke_token(account, find_number(account, second), although_in_use=True)
    with pytest.raises(tokens.Refused, match="no valid address of that number"):
        tokens.revoke_token(account, find_number(account, first))
    assert push(second, KIND, b"4").status_code == 200


@pytest.mark.django_db
def test_one_that_is_in_use_needs_a_word_more() -> None:
    account, first, _ = make_two()
    number = find_number(account, first)
    CallbackToken.objects.filter(pk=number).update(
        last_used_at=timezone.now() - timedelta(minutes=59)
    )
    with pytest.raises(tokens.InUse):
        tokens.revoke_token(account, number)
    CallbackToken.objects.filter(pk=number).update(
        last_used_at=timezone.now() - timedelta(minutes=61)
    )
    tokens.revoke_token(account, number)
    assert len(find_live(account)) == 1


@pytest.mark.django_db
def test_nobody_revokes_the_token_of_another_account() -> None:
    account, _, _ = make_two()
    other, text, _ = make_two()
    with pytest.raises(tokens.Refused, match="no valid address of that number"):
        tokens.revoke_token(account, find_number(other, text))
    assert len(find_live(other)) == 2


@pytest.mark.django_db(transaction=True)
def test_two_people_who_revoke_both_leave_one() -> None:
    for _ in range(10):
        account, first, second = make_two()
        numbers = [find_number(account, first), find_number(account, second)]

        def revoke(number: int, account: Account = account) -> bool:
            try:
                tokens.revoke_token(account, number)
            except tokens.Refused:
                return False
            return True

        assert sorted(run_at_once([partial(revoke, number) for number in numbers])) == [False, True]
        assert len(find_live(account)) == 1


@pytest.mark.django_db(transaction=True)
def test_people_who_make_the_next_one_at_once_make_one() -> None:
    account, _ = make_door()

    def add() -> bool:
        try:
            tokens.add_addresses(account)
        except tokens.Refused:
            return False
        return True

    assert sorted(run_at_once([add] * 4)) == [False, False, False, True]
    assert len(find_live(account)) == 2


# ---------------------------------------------------------------------------------------- the page


def find_form_token(response: Any) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', response.content.decode())
    assert found is not None
    return found[1]


def read_messages(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


@pytest.mark.django_db
def test_the_page_rotates(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = Client()
    client.force_login(make_user())
    account, first = make_door()
    page = reverse("admin:campaigns_account_addresses", args=[account.pk])
    revoke = reverse("admin:campaigns_account_revoke", args=[account.pk])
    number = find_number(account, first)
    told = client.get(page)
    assert "The only one" in told.content.decode()
    assert "only valid address" in read_messages(
        client.post(revoke, {"token": number, "although_in_use": "yes"}, follow=True)
    )
    made = client.post(page, {"form_token": find_form_token(told)})
    assert "no-store" in made["Cache-Control"]
    secret = re.search(r"/callbacks/([\w-]{40,})/receiveCallRecord", made.content.decode())
    assert secret is not None
    # Both are there, neither whole; a third is not offered, and refused to whoever asks for it.
    told = client.get(page)
    text = told.content.decode()
    assert secret[1] not in text and first not in text
    assert f"…{first[-4:]}" in text and f"…{secret[1][-4:]}" in text
    assert 'id="add-addresses"' not in text
    CallbackToken.objects.filter(pk=number).update(last_used_at=timezone.now())
    assert "although_in_use" in client.get(page).content.decode()
    answer = client.post(revoke, {"token": number}, follow=True)
    assert "within the last hour" in read_messages(answer)
    assert len(find_live(account)) == 2
    answer = client.post(revoke, {"token": number, "although_in_use": "yes"}, follow=True)
    assert "is revoked" in read_messages(answer)
    assert find_live(account) == [secret[1][-4:]]
    assert push(first, KIND, b"x").status_code == 404
    # The history tells of both, and neither it nor the log holds a secret.
    lines = " ".join(LogEntry.objects.values_list("change_message", flat=True))
    assert "New callback addresses." in lines and f"…{first[-4:]} is revoked" in lines
    kept = (
        lines
        + caplog.text
        + " ".join(str(row) for row in AuditEntry.objects.values_list("changes", "object_repr"))
    )
    assert "revoked_at" in kept
    assert secret[1] not in kept and first not in kept


@pytest.mark.django_db
@pytest.mark.parametrize("odd", ["", "x", "-1", "0", "9" * 19, "9" * 5000, "1\x00", "²", "1.0"])
def test_odd_numbers_are_refused(odd: str) -> None:
    client = Client()
    client.force_login(make_user())
    account, _, _ = make_two()
    revoke = reverse("admin:campaigns_account_revoke", args=[account.pk])
    assert client.get(revoke).status_code == 405
    answer = client.post(revoke, {"token": odd}, follow=True)
    assert answer.status_code == 200
    assert "no valid address of that number" in read_messages(answer)
    assert len(find_live(account)) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_change_the_account_may_not_rotate(role: str) -> None:
    client = Client()
    client.force_login(make_user(role))
    account, first, _ = make_two()
    for name, data in (("addresses", {}), ("revoke", {"token": find_number(account, first)})):
        url = reverse(f"admin:campaigns_account_{name}", args=[account.pk])
        assert client.post(url, data).status_code == 403
    assert len(find_live(account)) == 2


# ------------------------------------------------------------------------------------- the command


def run(*arguments: Any) -> Any:
    out = io.StringIO()
    call_command("rotate_token", *map(str, arguments), "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.django_db
def test_the_command_rotates() -> None:
    account, first = make_door()
    told = run(account.name)
    assert set(told["callbacks"]) == set(account.vendor.kinds)
    second = told["callbacks"][KIND].split("/")[-2]
    assert [one["ends_with"] for one in told["tokens"]] == [second[-4:], first[-4:]]
    assert push(second, KIND, b"1").status_code == 200
    with pytest.raises(CommandError, match="Two addresses are valid already"):
        run(account.name)
    old = told["tokens"][1]["id"]
    CallbackToken.objects.filter(pk=old).update(last_used_at=timezone.now())
    with pytest.raises(CommandError, match="--although-in-use"):
        run(account.pk, "--revoke", old)
    told = run(account.pk, "--revoke", old, "--although-in-use")
    assert told["revoked"] == old and told["tokens"][1]["revoked_at"]
    assert push(first, KIND, b"2").status_code == 404
    with pytest.raises(CommandError, match="only valid address"):
        run(account.pk, "--revoke", told["tokens"][0]["id"])
    assert second not in json.dumps(run(account.pk, "--list"))
