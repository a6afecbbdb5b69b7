"""In: outbound calls without a contact. Out: proof that they are listed, with why, until they find
it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns.linking import link_calls
from campaigns.models import Account, Call, Contact
from tests.campaigns.admin.world import make_user
from tests.factories import make_account, make_contact, make_task, walk

pytestmark = pytest.mark.django_db
PAGE = "admin:campaigns_call_unmatched"


def log_in(role: str = "viewer") -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def make_call(account: Account, **fields: Any) -> Call:
    values = {
        "platform_call_id": f"call-{Call.objects.count()}",
        "direction": "outbound",
        "callee": "19900000001",
        "happened_at": timezone.now(),
        "has_record": True,
    }
    return Call.objects.create(account=account, **values | fields)


def read_reasons() -> dict[str, str]:
    page = log_in().get(reverse(PAGE))
    assert page.status_code == 200
    assert "19900000001" not in page.content.decode()
    return {call["link"]: call["why"] for call in page.context["calls"]}


def test_each_call_of_nobody_says_why() -> None:
    task = make_task(platform_task_id="t-1")
    account = task.account
    make_contact(task=task, phone="19900000002", platform_contact_id="c-2")
    two = [make_contact(task=make_task(account=account), platform_contact_id="c-3") for _ in "ab"]
    walk(Contact.objects.all(), "planned", "sending", "accepted")
    assert len(two) == 2
    expected = {
        "It names a task that was not made here": {"platform_task_id": "t-9"},
        "Several contacts have the platform's id": {"platform_contact_id": "c-3"},
        "Its contact is known since a moment": {"platform_contact_id": "c-2"},
        "Nobody here has the platform's id": {"platform_contact_id": "c-9"},
        "It names neither a task nor a contact": {},
        "Nobody of its task has this number": {"task": task, "platform_task_id": "t-1"},
        "whom the platform gave another id": {
            "task": task, "platform_task_id": "t-1", "callee": "19900000002",
            "platform_contact_id": "c-8",
        },
    }  # fmt: skip
    for fields in expected.values():
        make_call(account, **fields)
    make_call(account, direction="inbound")
    make_call(make_account(platform="moor7"))  # whose calls are all its own
    reasons = list(read_reasons().values())
    assert len(reasons) == len(expected)
    for sentence in expected:
        assert [sentence in reason for reason in reasons].count(True) == 1, sentence


def test_a_call_leaves_the_list_when_its_contact_appears() -> None:
    contact = make_contact(phone="19900000001")
    walk(Contact.objects.filter(pk=contact.pk), "planned", "sending", "accepted")
    make_call(contact.account, platform_contact_id="c-1")
    assert len(read_reasons()) == 1
    Contact.objects.filter(pk=contact.pk).update(platform_contact_id="c-1")
    assert link_calls(contact.account_id, contact_ids=[contact.pk]) == 1
    page = log_in("operator").get(reverse(PAGE)).content.decode()
    assert "every outbound call has its contact" in page


def test_the_list_is_bounded_and_of_one_account_if_asked(
    django_assert_max_num_queries: Any,
) -> None:
    one, two = make_account(), make_account()
    for place in range(130):
        make_call(one, platform_call_id=f"one-{place}")
    make_call(two)
    client = log_in()
    with django_assert_max_num_queries(20):
        page = client.get(reverse(PAGE))
    assert len(page.context["calls"]) == 100
    assert dict(page.context["accounts"]) == {one: 130, two: 1}
    page = client.get(reverse(PAGE), {"account": str(two.pk)})
    assert [call["account"] for call in page.context["calls"]] == [two.name]
    for odd in ("9" * 5000, "-1", "x"):
        assert client.get(reverse(PAGE), {"account": odd}).status_code == 200
