"""In: receipts of every kind. Out: proof that each ends in one counted state and stops no other."""

from __future__ import annotations

import pytest

from callbacks import processing
from callbacks.models import Receipt
from campaigns.models import Call, Contact, Recording, StatusChange, Turn
from tests.callbacks.pushes import TAKEN, make_dialog, make_door, make_record, make_voice, push
from tests.factories import make_contact, make_task

pytestmark = pytest.mark.django_db


def test_the_four_pushes_of_a_call_become_one_call() -> None:
    account, token = make_door()
    task = make_task(account=account, platform_task_id="88785")
    contact = make_contact(
        task=task, phone="19900000001", platform_contact_id="262381", status="accepted"
    )
    for kind, body in (
        ("receiveVoice", make_voice()),
        ("receiveDialog", make_dialog()),
        ("receiveCallRecord", make_record()),
        ("receiveCallRecord", make_record(outbound=True)),
    ):
        response = push(token, kind, body)
        assert (response.status_code, response.json()) == (200, TAKEN)
    assert processing.process_inbox()

    call = Call.objects.get()
    assert (call.contact, call.task) == (contact, task)
    assert (call.result, call.answered) == ("answered", True)
    assert (call.talk_seconds, call.ring_seconds, call.attempt) == (21, 7, 1)
    assert (call.intention, call.intention_min, call.conflicts) == ("A", "C", {})
    assert [(turn.role, turn.text) for turn in Turn.objects.all()] == [
        ("robot", "您好"),
        ("contact", "你好"),
    ]
    recording = Recording.objects.get()
    assert (recording.status, recording.announced_bytes) == ("remote", 1_043_244)
    contact.refresh_from_db()
    assert (contact.status, contact.answered, contact.calls_made) == ("finished", True, 1)
    assert set(Receipt.objects.values_list("status", "platform_call_id")) == {
        ("processed", "call-1")
    }
    assert StatusChange.objects.filter(subject="receipt", new="processed").count() == 4
    assert Contact.objects.count() == 1
