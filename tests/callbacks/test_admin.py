"""In: receipts of every kind, people with different rights. Out: proof of what the inbox shows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from callbacks import processing
from callbacks.models import Receipt
from callbacks.reading import show_body
from campaigns.models import Call
from tests.callbacks.pushes import make_door, make_record, push

pytestmark = pytest.mark.django_db
LIST = "admin:callbacks_receipt_changelist"


def log_in(*rights: str) -> Client:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_receipt", *rights]))
    client = Client()
    client.force_login(user)
    return client


def fill_inbox() -> None:
    _, token = make_door()
    for kind, body in (
        ("receiveCallRecord", make_record()),
        ("receiveCallRecord", b""),
        ("receiveCallRecord", b"hello 19900000001"),
        ("receiveCallRecord", b"\xff\x00\x9919900000001\xfe"),
        ("getDialogContext", b'{"call_relation_id":"1"}'),
        ("nobodyKnowsThis", b"[1]"),
    ):
        assert push(token, kind, body).status_code == 200
    processing.process_inbox()


def test_every_receipt_opens_and_hides_phone_numbers(django_assert_max_num_queries: Any) -> None:
    fill_inbox()
    client = log_in("view_call")
    with django_assert_max_num_queries(20):
        page = client.get(reverse(LIST))
    assert page.status_code == 200
    for row in Receipt.objects.all():
        shown = client.get(reverse("admin:callbacks_receipt_change", args=[row.pk]))
        assert shown.status_code == 200
        assert b"19900000001" not in shown.content
        assert b"Process again" not in shown.content
    record = Receipt.objects.get(status="processed")
    shown = client.get(reverse("admin:callbacks_receipt_change", args=[record.pk]))
    link = reverse("admin:campaigns_call_change", args=[Call.objects.get().pk])
    assert link in shown.content.decode()
    assert "call_uuid" in shown.content.decode()


def test_filters_and_odd_addresses() -> None:
    fill_inbox()
    client = log_in()
    assert client.get(reverse(LIST), {"status__exact": "quarantined"}).status_code == 200
    found = client.get(reverse(LIST), {"reason": "empty"})
    assert found.context["cl"].result_list.count() == 1
    assert client.get(reverse(LIST), {"q": "call-1"}).context["cl"].result_list.count() == 1
    for odd in ({"account__id__exact": "9" * 40}, {"nonsense": "1"}, {"kind": "x" * 5000}):
        assert client.get(reverse(LIST), odd).status_code < 500
    for odd_id in ("9" * 40, "abc", "-1"):
        page = client.get(f"/admin/callbacks/receipt/{odd_id}/change/")
        assert page.status_code in (302, 404)


def test_processing_again_needs_its_right_and_a_post() -> None:
    fill_inbox()
    row = Receipt.objects.get(reason="empty")
    again = reverse("admin:callbacks_receipt_again", args=[row.pk])
    client = log_in()
    assert client.post(again).status_code == 403
    chosen = {"action": "process_again", "_selected_action": [str(row.pk)]}
    assert client.post(reverse(LIST), chosen).status_code in (403, 405)
    row.refresh_from_db()
    assert row.status == "quarantined"
    User.objects.get().user_permissions.add(Permission.objects.get(codename="change_receipt"))
    assert client.get(again).status_code == 405
    page = client.get(reverse("admin:callbacks_receipt_change", args=[row.pk]))
    assert b"Process again" in page.content
    assert client.post(again).status_code == 302
    row.refresh_from_db()
    assert (row.status, row.tries, row.reason) == ("received", 0, "")
    processing.process_inbox()
    assert client.post(reverse(LIST), chosen).status_code == 302
    row.refresh_from_db()
    assert row.status == "received"
    page = client.get(reverse("admin:callbacks_receipt_change", args=[row.pk]))
    assert b"To be processed again." in page.content


def test_whole_numbers_are_shown_once_and_leave_a_trace() -> None:
    fill_inbox()
    row = Receipt.objects.get(status="processed")
    page = reverse("admin:callbacks_receipt_change", args=[row.pk])
    reveal = reverse("admin:callbacks_receipt_reveal", args=[row.pk])
    client = log_in()
    assert client.post(reveal).status_code == 403
    User.objects.get().user_permissions.add(Permission.objects.get(codename="unmask_phone"))
    assert b"19900000001" not in client.get(page).content
    assert client.get(reveal).status_code == 405
    client.post(reveal)
    assert b"19900000001" in client.get(page).content
    assert b"19900000001" not in client.get(page).content


@pytest.mark.parametrize(
    ("body", "form", "part"),
    [
        (b'{"callee":"19900000001"}', "json", "199****0001"),
        (b"{'callee':'19900000001', \x00", "text", "199****0001"),
        ('{"备注":"你好"}'.encode("gb18030"), "json", "备注"),
        (b"\xff\xfe\xfa1990000000177\xff", "bytes", "31 39 39 30"),
        (b"", "empty", ""),
    ],
)
def test_bodies_are_readable(body: bytes, form: str, part: str) -> None:
    shown = show_body(body)
    assert shown.form == form
    assert part in shown.text
    assert "19900000001" not in shown.text
