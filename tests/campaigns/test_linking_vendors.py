"""In: records of platforms that only push, naming our contact or task. Out: linked, and to nobody
else's contact."""

from __future__ import annotations

import json
from typing import Any

import pytest

from campaigns.ingest import apply_events
from campaigns.linking import name_contact, name_contacts
from campaigns.models import Call, Contact, Instance
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.events import CallEnded, Direction
from campaigns.platforms.registry import PLATFORMS
from tests.factories import make_account, make_contact, make_task

pytestmark = pytest.mark.django_db


def push_record(account: Any, **fields: Any) -> Call:
    record = {
        "id": "0605589a",
        "callType": 2,
        "calledNumber": "19900000005",
        "callingNumber": "33330002",
        "communicateBeginTime": 1606188550000,
        "communicateEndTime": 1606188571000,
        "speechCallResult": 2,
    }
    body = json.dumps({"data": record | fields}).encode()
    apply_events(account, PLATFORMS["ima51"].parse(Push("", body), Reading(account.zone)))
    return Call.objects.get(account=account)


def make_handed_over(**fields: Any) -> Contact:
    """A contact whose list was carried to the platform by hand."""
    task = make_task(account=make_account(platform="ima51"), status="running")
    return make_contact(task=task, status="accepted", **fields)


@pytest.mark.parametrize("wrap", [str, lambda name: json.dumps({"contact": name, "x": 1})])
def test_external_data_names_our_contact(wrap: Any) -> None:
    contact = make_handed_over(phone="19900000077")
    call = push_record(contact.account, externalData=wrap(name_contact(contact.pk)))
    assert (call.contact, call.task) == (contact, contact.task)
    contact.refresh_from_db()
    assert (contact.status, contact.result) == ("finished", "answered")


def test_the_task_and_the_number_name_our_contact() -> None:
    contact = make_handed_over(phone="19900000005")
    contact.task.platform_task_id = "9007199254740993123"
    contact.task.save()
    call = push_record(contact.account, taskId=9007199254740993123)
    assert (call.contact, call.task) == (contact, contact.task)


def test_a_contact_of_another_account_is_not_ours() -> None:
    contact = make_handed_over(phone="19900000005")
    other = make_account(platform="ima51")
    call = push_record(other, externalData=name_contact(contact.pk))
    assert (call.contact, call.task) == (None, None)


def test_a_number_that_happens_to_be_one_of_our_ids_names_nobody() -> None:
    contact = make_handed_over(phone="19900000077")
    call = push_record(contact.account, externalData=str(contact.pk))
    assert call.contact is None


def test_an_instance_leads_to_its_task() -> None:
    task = make_task(account=make_account(platform="airudder"), status="running")
    contact = make_contact(task=task, phone="19900000005", status="accepted")
    Instance.objects.create(task=task, number=1, platform_task_id="w1")
    name_contacts(Contact.objects.filter(pk=contact.pk))
    apply_events(
        task.account,
        [
            CallEnded(
                source="api-node",
                platform_call_id="c1",
                platform_task_id="w1",
                direction=Direction.OUTBOUND,
                callee="+8619900000099",
            )
        ],
    )
    call = Call.objects.get()
    assert (call.task, call.contact) == (task, None)  # another number, no case: only the task
    contact.refresh_from_db()
    assert contact.platform_contact_id == f"CB-{contact.pk}"
