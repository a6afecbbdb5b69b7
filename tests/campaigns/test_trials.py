"""In: a draft and one's own number. Out: one call, as the task would make it, and no part of it.

Must catch: a trial whose number joins the task's family; one that passes a gate; one that is sent
where the platform offers no direct calls, and is more than one call.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from campaigns import barring, dispatch
from campaigns.drafting import clone_task, read_draft
from campaigns.models import Account, Contact, Task
from tests.factories import make_account, make_contact, make_line, make_robot, make_task

pytestmark = pytest.mark.django_db
PHONE = "19900000077"


def make_draft(account: Account, **fields: Any) -> Task:
    robot = make_robot(account=account, columns=["phone", "name"])
    task = make_task(account=account, robot=robot, **fields)
    make_contact(task=task)
    return task


def try_out(task: Task, phone: str = PHONE) -> Task:
    values = {"phone": phone, "name": "me"}
    return dispatch.call_for_trial(task, values=values, line=task.lines.first(), by=None)


def test_where_direct_calls_are_offered_it_is_one() -> None:
    task = make_draft(make_account())
    trial = try_out(task)
    assert (trial.kind, trial.trial_of_id, trial.status) == ("direct", task.pk, "loading")
    contact = Contact.objects.get(phone=PHONE)
    assert (contact.task_id, contact.family_id) == (trial.pk, trial.pk)
    assert task.contacts.count() == 1


def test_elsewhere_it_is_a_task_of_one_contact_whatever_the_limit(settings: Any) -> None:
    settings.APPROVE_ABOVE = 0
    account = make_account(platform="airudder", settings={"allow_unverified": "on"})
    task = make_draft(account, lines=[])
    trial = try_out(task)
    assert (trial.kind, trial.trial_of_id, trial.status) == ("campaign", task.pk, "loading")
    assert trial.end_at
    assert list(trial.contacts.values_list("phone", "family_id")) == [(PHONE, trial.pk)]


@pytest.mark.parametrize("platform", ["yeta", "airudder"])
def test_every_gate_holds_for_it(platform: str) -> None:
    account = make_account(platform=platform, settings={"allow_unverified": "on"}, cap_calls=1)
    task = make_draft(account, lines=[make_line(account=account)] if platform == "yeta" else [])
    barring.bar_number(PHONE, account=None, source="operator")
    for phone in (PHONE, "110", "nobody"):
        with pytest.raises(dispatch.LaunchRefused):
            try_out(task, phone)
    account.call_days = []
    account.save()
    with pytest.raises(dispatch.LaunchRefused, match="no calling day"):
        try_out(Task.objects.get(pk=task.pk), "19900000078")
    assert not Task.objects.filter(trial_of=task).exists()


def test_a_cap_of_the_day_is_carried_along() -> None:
    task = make_draft(make_account(), daily_cap=500)
    assert read_draft(task).daily_cap == 500
    assert clone_task(task).daily_cap == 500


def test_what_cannot_be_resumed_names_whom_it_would_call() -> None:
    task = make_draft(make_account(), status="paused")
    said_no = make_contact(task=task, status="accepted")
    make_contact(task=task, status="accepted")
    barring.bar_number(said_no.phone, account=None, source="operator")
    assert not dispatch.list_held_barred(task)  # it was never started: it is handed over anew
    task.attempts.create(command="start", status="accepted", lease_until=timezone.now())
    assert list(dispatch.list_held_barred(task)) == [said_no]
