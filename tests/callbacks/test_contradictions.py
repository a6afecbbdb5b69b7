"""In: pushes that contradict one another. Out: proof that both are shown, each with its push."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from callbacks import processing
from callbacks.models import Receipt
from campaigns.contradictions import list_contradictions
from campaigns.models import Call
from tests.callbacks.pushes import make_dialog, make_door, make_record, make_voice, push

pytestmark = pytest.mark.django_db


@pytest.fixture
def call() -> Call:
    """Two outbound records of one call that do not say the same, in two pushes each; the first of
    them came once more in another writing."""
    _, token = make_door()
    first = make_record(outbound=True, task_result="0", callee="19900000002")
    push(token, "receiveCallRecord", make_record())
    push(token, "receiveCallRecord", first)
    push(token, "receiveCallRecord", first + b" ")
    push(token, "receiveVoice", make_voice())
    processing.process_inbox()
    push(token, "receiveCallRecord", make_record(outbound=True, callee="19900000003"))
    push(token, "receiveDialog", make_dialog())
    push(token, "receiveDialog", make_dialog(dialog=[{"seq": "0", "text_robot": "您好"}]))
    processing.process_inbox()
    return Call.objects.get()


def list_said(call: Call, field: str) -> dict[str, tuple[bool, list[int]]]:
    statements = dict(list_contradictions(call))[field]
    return {
        one.value: (one.believed, [source.receipt_id for source in one.sources])
        for one in statements
    }


def test_each_statement_names_its_pushes_and_when_they_came(call: Call) -> None:
    ids = list(Receipt.objects.order_by("id").values_list("id", flat=True))
    assert set(call.conflicts) == {"callee", "dialog"}
    assert list_said(call, "callee") == {
        "19900000003": (True, [ids[4]]),
        "19900000002": (False, [ids[1], ids[2]]),
        "19900000001": (False, [ids[0]]),
    }
    assert list_said(call, "dialog") == {
        "2 turns": (True, [ids[5]]),
        "1 turns": (False, [ids[6]]),
    }
    (statement,) = [one for one in dict(list_contradictions(call))["callee"] if one.believed]
    assert statement.source == "receiveCallRecord.outbound"
    assert statement.sources[0].received_at == Receipt.objects.get(pk=ids[4]).received_at


def test_a_later_push_never_overwrites_silently(call: Call) -> None:
    """Whichever of the two comes last, the same one is believed and both are shown."""
    _, token = make_door()
    for number in ("19900000003", "19900000002"):
        push(token, "receiveCallRecord", make_record(outbound=True, callee=number))
        processing.process_inbox()
    other = Call.objects.exclude(pk=call.pk).get()
    assert other.callee == call.callee == "19900000003"
    assert set(list_said(other, "callee")) == {"19900000002", "19900000003"}


def test_what_is_not_kept_any_more_is_shown_without_a_push(call: Call) -> None:
    Receipt.objects.all().delete()
    assert all(not pushes for _, pushes in list_said(call, "callee").values())
    # written by an older version, or by hand: shown as it is
    call.conflicts = {"callee": [1, {"source": "a"}], "talk_seconds": "odd"}
    assert [field for field, _ in list_contradictions(call)] == ["callee", "talk_seconds"]


def test_the_page_and_the_command_show_both_sources(call: Call, capsys: Any) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="x"))
    page = client.get(reverse("admin:campaigns_call_change", args=[call.pk])).content.decode()
    assert "receiveCallRecord.outbound" in page and "receiveCallRecord.basic" in page
    for receipt in Receipt.objects.exclude(kind="receiveVoice"):
        link = reverse("admin:callbacks_receipt_change", args=[receipt.pk])
        assert page.count(link) >= 2  # beside its statement, and in the list of the call's pushes
        local = timezone.localtime(receipt.received_at).strftime("%Y-%m-%d %H:%M:%S")
        assert local in page
    assert "19900000003" not in page and "199****0003" in page
    call_command("show_call", str(call.account_id), call.platform_call_id, "--json")
    told = json.loads(capsys.readouterr().out)
    (callee,) = [one for one in told["conflicts"] if one["field"] == "callee"]
    first = callee["values"][0]
    assert (first["source"], first["value"]) == ("receiveCallRecord.outbound", "19900000003")
    (pushed,) = first["receipts"]
    assert pushed["id"] in set(Receipt.objects.values_list("id", flat=True))
    assert pushed["received_at"]
