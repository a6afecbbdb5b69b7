"""In: accounts of several regions. Out: proof that one number is one number wherever it appears."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from campaigns.ingest import apply_events, link_calls
from campaigns.models import Account, Call
from campaigns.phones import search_forms
from campaigns.platforms.events import CallEnded, Direction, Result
from tests.factories import make_account, make_contact, make_task

pytestmark = pytest.mark.django_db
HERE = "0812-3456-7890"
NORMAL = "+6281234567890"
DIALED_AT = datetime(2026, 1, 5, 10, tzinfo=UTC)


def make_call(account: Account, callee: str, *, call: str = "call-1", **fields: Any) -> Call:
    event = CallEnded(
        platform_call_id=call,
        source="record",
        direction=Direction.OUTBOUND,
        callee=callee,
        dialed_at=DIALED_AT,
        result=Result.NO_ANSWER,
        **fields,
    )
    apply_events(account, [event])
    link_calls(account.pk)
    return Call.objects.get(platform_call_id=call)


@pytest.mark.parametrize("written", [HERE, "6281234567890", "+62 812 3456 7890", NORMAL])
def test_a_number_of_the_accounts_region_has_one_form(written: str) -> None:
    call = make_call(make_account(region="ID"), written)
    assert call.callee == NORMAL


def test_the_same_digits_are_another_number_elsewhere() -> None:
    assert make_call(make_account(region="ID"), HERE, call="a").callee == NORMAL
    assert make_call(make_account(), HERE, call="b").callee == "081234567890"


def test_a_chinese_mobile_is_itself_for_every_account() -> None:
    assert make_call(make_account(region="ID"), "+8619900000001").callee == "19900000001"


def test_a_call_in_national_writing_finds_its_contact() -> None:
    account = make_account(region="ID")
    task = make_task(account=account, platform_task_id="88785", status="running")
    contact = make_contact(task=task, phone=NORMAL, status="accepted")
    call = make_call(account, HERE, platform_task_id="88785")
    assert call.contact == contact


def test_two_writings_of_one_number_are_no_contradiction() -> None:
    account = make_account(region="ID")
    make_call(account, HERE)
    assert make_call(account, NORMAL).conflicts == {}


def test_a_search_knows_the_regions_of_all_accounts(admin_client: Client) -> None:
    account = make_account(region="ID")
    contact = make_contact(task=make_task(account=account), phone=NORMAL)
    page = admin_client.get(reverse("admin:campaigns_contact_changelist"), {"q": HERE})
    assert f"/contact/{contact.pk}/" in page.content.decode()
    assert {NORMAL, "081234567890"} <= set(search_forms(HERE, regions=["CN", "ID"]))


@pytest.mark.parametrize("region", ["cn", "XX", "C", "62"])
def test_a_region_is_two_letters_of_a_country(region: str) -> None:
    account = make_account()
    account.region = region
    with pytest.raises(ValidationError) as refused:
        account.full_clean()
    assert "region" in refused.value.message_dict
