"""In: contacts that went every way there is. Out: a time line that tells all of it, each moment
with its rule, its value and its time, and a head line that says why nobody is called.

Real requests to the sandbox over loopback; the rows of the database's own are made by PostgreSQL.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from callbacks.models import Receipt
from campaigns import batching, dispatch, gates, history
from campaigns.barring import bar_number, lift_bar
from campaigns.gates import Hold
from campaigns.history import LIMIT, Moment
from campaigns.models import (
    Account,
    Approval,
    Attempt,
    Batch,
    Call,
    Contact,
    ContactImport,
    StatusChange,
    Task,
)
from tests.campaigns.filling import drive
from tests.factories import make_account, make_contact, make_task
from tests.platforms.sandbox_client import Client

pytestmark = pytest.mark.django_db(transaction=True)


def tell(contact: Contact) -> list[Moment]:
    return history.tell_history(Contact.objects.get(pk=contact.pk))


def stand(contact: Contact) -> Moment:
    return history.tell_standing(Contact.objects.get(pk=contact.pk))


def pick(moments: list[Moment], what: str, rule: str = "") -> list[Moment]:
    return [one for one in moments if one.what == what and (not rule or one.rule == rule)]


def launch(task: Task) -> None:
    dispatch.launch_task(task, by=None)
    for _ in range(3):
        dispatch.advance_task(task.pk)
    batching.plan_batches(task)


def make_call(contact: Contact, number: int) -> Call:
    call_id = f"call-{number}"
    Receipt.objects.create(
        account=contact.account, kind="record", body=b"{}", sha256=str(number).encode().ljust(32),
        status="processed", platform_call_id=call_id,
    )  # fmt: skip
    return Call.objects.create(
        account=contact.account, contact=contact, platform_call_id=call_id, result="no_answer",
        happened_at=timezone.now() + timedelta(minutes=number),
    )  # fmt: skip


def test_a_contact_of_two_batches_is_told_from_its_row_to_its_handing_over(
    make_campaign: Any, platform: Client
) -> None:
    """The platform was busy once: the contact went on to another batch, and both are told."""
    task = make_campaign(contacts=2, windows=[["00:00:00", "23:59:59"]])
    platform.control("faults", {"endpoint": "task/insert", "kind": "throttle", "count": 1})
    dispatch.launch_task(task, by=None)
    drive(task)
    contact = task.contacts.earliest("id")
    moments = tell(contact)
    assert [one.value["batch"] for one in pick(moments, "batch", "planned")] == [1, 2]
    (left,) = pick(moments, "contact", "batch_left")
    assert left.value == {"batch": 1}
    assert "batch 1" in left.text
    ended = [(one.value["batch"], one.rule) for one in pick(moments, "batch")]
    assert (1, "refused") in ended and (2, "accepted") in ended
    # every request, the answers to it, and those for the task as a whole
    commands = [one.rule for one in pick(moments, "attempt") if "lease_until" in one.value]
    assert commands == ["create", "insert", "insert", "start"]
    refused = [one for one in pick(moments, "attempt", "insert") if "fault" in one.value]
    assert [one.value["code"] for one in refused] == ["429"]
    assert [
        one.value["http_code"] for one in pick(moments, "exchange", "outbound/v1/task/insert")
    ] == [
        429,
        200,
    ]
    # what was asked before each of the batches left, and before the start
    asked = [one.rule for one in pick(moments, "check")]
    assert asked.count("do_not_call") == 3
    assert asked.count("hours") == 1, "inserts ring nobody here: the hours hold back the start"
    (hours,) = pick(moments, "check", "hours")
    assert hours.value["hours"] == "00:00–23:59"
    assert hours.value["zone"] == task.account.time_zone
    assert f"{hours.value['time']}" in hours.text
    assert [one.at for one in moments] == sorted(one.at for one in moments)
    assert all(one.text for one in moments)


def test_halves_of_a_refused_batch_are_told(make_campaign: Any, platform: Client) -> None:
    task = make_campaign(contacts=2)
    launch(task)
    first = dispatch.claim_batch(task.pk)
    assert first is not None and first.batch is not None
    Contact.objects.filter(batch=first.batch).update(status="ready")
    with transaction.atomic():
        dispatch.batches.split_batch(first.batch)
    for contact in task.contacts.all():
        numbers = [one.value["batch"] for one in pick(tell(contact), "batch", "planned")]
        assert len(numbers) == 2 and numbers[0] == 1


def test_a_contact_that_goes_its_way_has_no_history_rows(make_campaign: Any) -> None:
    task = make_campaign(contacts=60)
    dispatch.launch_task(task, by=None)
    drive(task)
    assert task.contacts.filter(status="accepted").count() == 60
    assert not StatusChange.objects.filter(subject="contact").exists()
    assert StatusChange.objects.filter(subject="checks").count() == 1
    assert all(task.batches.values_list("checks", flat=True))


def test_who_is_barred_on_the_way_is_told_with_rule_value_and_time(make_campaign: Any) -> None:
    task = make_campaign(contacts=2)
    launch(task)
    gone = task.contacts.earliest("id")
    before = timezone.now()
    entry = bar_number(gone.phone, account=task.account, source="manual", reason="asked us to")
    assert dispatch.claim_batch(task.pk) is not None
    head = stand(gone)
    day = entry.created_at.astimezone(task.account.zone).date().isoformat()
    assert head.text == f"Not called: On the do-not-call list since {day}."
    assert (head.rule, head.value) == ("do_not_call", {"since": day})
    assert before <= head.at <= timezone.now()
    (moved,) = pick(tell(gone), "contact", "do_not_call")
    assert moved.value == {"since": day, "batch": 1}
    (entered,) = pick(tell(gone), "number", "do_not_call")
    assert "asked us to" in entered.text
    lift_bar(entry, by=None, reason="a mistake")
    (lifted,) = pick(tell(gone), "number", "lifted")
    assert "a mistake" in lifted.text


def test_the_import_is_told_with_its_verdict() -> None:
    task = make_task()
    source = ContactImport.objects.create(task=task, file_name="May 19900000001.csv", size=1)
    good = make_contact(
        task=task, source=source, line_number=7, phone="19900000001", phone_raw="+86 199-0000-0001"
    )
    bad = make_contact(
        task=task, source=source, line_number=9, phone="19900000002", status="excluded",
        reason=batching.ALREADY_UNDER_WAY,
    )  # fmt: skip
    moments = tell(good)
    assert [one.rule for one in moments] == ["loaded", "number", "duplicates", "do_not_call"]
    assert (moments[0].value["line"], moments[0].row) == (7, source)
    assert moments[2].value == {"scope": "family"}
    assert "19900000001" not in "".join(one.text + str(one.value) for one in moments)
    assert stand(good).text == "Not called yet: The task is a draft."
    head = stand(bad)
    assert head.text.startswith("Not called: The same number is already under way")
    assert head.rule == "under_way"
    assert pick(tell(bad), "import", "under_way")


def test_holds_come_and_go_in_the_time_line_of_who_waits() -> None:
    contact = make_contact(task=make_task(status="loading"))
    task = contact.task
    closed = Hold("hours", "Closed until %(until)s.", {"until": "09:00"})
    for _ in range(3):
        gates.note_hold(Task.objects.get(pk=task.pk), closed)
    gates.note_hold(Task.objects.get(pk=task.pk), Hold("hours", "Closed for good."))
    head = stand(contact)
    assert (head.rule, head.text) == ("hours", "Not called yet: Closed for good.")
    gates.note_hold(Task.objects.get(pk=task.pk), Hold("daily_cap", "Spent."))
    stale = Task.objects.get(pk=task.pk)
    gates.clear_hold(Task.objects.get(pk=task.pk))
    gates.clear_hold(stale)
    held = [(one.rule, one.text) for one in pick(tell(contact), "hold")]
    assert held == [
        ("hours", "Held back: Closed until 09:00."),
        ("daily_cap", "Held back: Spent."),
        ("daily_cap", "Nothing holds the task back any more."),
    ]


def test_what_people_decided_is_told() -> None:
    contact = make_contact(task=make_task(status="loading"), status="unknown")
    one, other = (User.objects.create_user(name) for name in ("ann", "bob"))
    batch = Batch.objects.create(task=contact.task, number=1, size=1, status="unknown")
    attempt = Attempt.objects.create(
        task=contact.task, batch=batch, command="callout", status="needs_human",
        lease_until=timezone.now(), fault="read timed out",
        evidence=[{"at": timezone.now().isoformat(), "answer": "count 3"}],
    )  # fmt: skip
    Contact.objects.filter(pk=contact.pk).update(batch=batch)
    Approval.objects.create(
        kind="resend", task=contact.task, attempt=attempt, status="approved", asked_by=one,
        decided_by=other, decided_at=timezone.now(), reason_given="No call came.", answer="Fine.",
        fingerprint="x",
    )  # fmt: skip
    Approval.objects.update(decided_at=timezone.now())
    moments = tell(contact)
    asked, answered = pick(moments, "approval", "resend")
    assert (asked.by, answered.by) == ("ann", "bob")
    assert "No call came." in asked.text and "Fine." in answered.text
    (said,) = pick(moments, "evidence")
    assert said.value["answer"] == "count 3"
    assert stand(contact).text.endswith("A person has to decide.")


@pytest.mark.parametrize(
    ("fields", "rule", "text"),
    [
        ({"status": "draft"}, "draft", "draft"),
        ({"status": "paused", "reason": "The platform refused."}, "paused", "refused"),
        ({"status": "loading", "request": "pause"}, "pause", "first"),
        ({"status": "loading"}, "loading", "next"),
    ],
)
def test_why_somebody_is_not_called_yet(fields: dict[str, Any], rule: str, text: str) -> None:
    head = stand(make_contact(task=make_task(**fields)))
    assert head.text.startswith("Not called yet: ")
    assert (head.rule, text in head.text) == (rule, True)


def test_a_time_line_has_an_end_and_costs_the_same_for_one_call_and_for_many() -> None:
    few, many = make_contact(), make_contact()
    make_call(few, 1000)
    for number in range(LIMIT + 30):
        make_call(many, number)
    counts = []
    for contact in (few, many):
        row = Contact.objects.get(pk=contact.pk)
        with CaptureQueriesContext(connection) as queries:
            moments = history.tell_history(row)
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 2, "two counts of what is left out"
    assert counts[0] <= 30
    assert len(pick(moments, "call")) == LIMIT + 1
    (left_out,) = pick(moments, "call", "left_out")
    assert left_out.value == {"count": 30}
    assert left_out.at == min(one.at for one in pick(moments, "call"))


def test_another_accounts_entries_are_not_told() -> None:
    contact = make_contact()
    other: Account = make_account()
    bar_number(contact.phone, account=other, source="manual")
    assert not pick(tell(contact), "number")
    bar_number(contact.phone, source="manual")
    (everywhere,) = pick(tell(contact), "number")
    assert everywhere.value["everywhere"] is True
