"""In: requests of unknown outcome that nobody can be asked about. Out: nobody is called twice
because a person decided.

Must catch: sent again on one person's word, sent again although a call came back meanwhile, a late
proof that nobody sees, a decision that leaves the task standing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from callbacks.models import Receipt
from campaigns import approvals, batching, deciding, dispatch, incidents, ingest, reconcile
from campaigns.deciding import DecisionRefused
from campaigns.models import (
    Account,
    Approval,
    Attempt,
    Batch,
    Contact,
    Incident,
    StatusChange,
    Task,
)
from campaigns.platforms.events import CallEnded, Direction
from campaigns.reconcile import settling
from tests.at_once import run_at_once
from tests.campaigns.admin.world import make_user
from tests.campaigns.filling import drive
from tests.campaigns.filling import launch as launch_filled
from tests.factories import make_contact, make_task
from tests.platforms.sandbox_client import Client

pytestmark = pytest.mark.django_db
PHONES = ("19900000001", "19900000002")


@pytest.fixture
def one(db: None) -> User:
    return make_user("manager", username="one")


@pytest.fixture
def two(db: None) -> User:
    return make_user("manager", username="two")


def make_doubtful(command: str = "callout", *, minutes: float = 30, **fields: Any) -> Attempt:
    """A request sent so long ago that waits for a person, with its contacts."""
    direct = command == "callout"
    task = make_task(
        kind="direct" if direct else "campaign", status="loading", needs_attention=True, **fields
    )
    sent = timezone.now() - timedelta(minutes=minutes)
    batch = None
    if command in ("callout", "insert"):
        batch = Batch.objects.create(task=task, number=1, size=2, status="unknown")
        for phone in PHONES:
            make_contact(task=task, phone=phone, status="unknown", batch=batch)
    attempt = Attempt.objects.create(
        task=task, batch=batch, command=command, status="needs_human", lease_until=sent,
        ended_at=sent + timedelta(seconds=20), fault="the connection was closed",
    )  # fmt: skip
    Attempt.objects.filter(pk=attempt.pk).update(started_at=sent)
    attempt.refresh_from_db()
    return attempt


def hear(attempt: Attempt, call: str = "call-1", **fields: Any) -> None:
    """A call of the first number comes back."""
    values: dict[str, Any] = {
        "platform_contact_id": "87",
        "platform_robot_id": attempt.task.robot.platform_id,
        "callee": PHONES[0],
        "dialed_at": attempt.started_at + timedelta(seconds=30),
        "answered": True,
        "direction": Direction.OUTBOUND,
    }
    event = CallEnded(source="receiveCallRecord.outbound", platform_call_id=call, **values | fields)
    ingest.apply_events(attempt.task.account, [event])


def ask(attempt: Attempt, by: User, **fields: Any) -> Approval:
    return deciding.ask_resend(attempt, reason="nobody was called", by=by, **fields)


def send_again(attempt: Attempt, one: User, two: User) -> Attempt:
    return deciding.approve_resend(ask(attempt, one), answer="", by=two)


def states(attempt: Attempt) -> dict[str, int]:
    told: dict[str, int] = {}
    for status in Contact.objects.filter(task=attempt.task_id).values_list("status", flat=True):
        told[status] = told.get(status, 0) + 1
    return told


def status_of(attempt: Attempt) -> str:
    return Attempt.objects.values_list("status", flat=True).get(pk=attempt.pk)


# --------------------------------------------------------------------------------- it was accepted


def test_what_was_accepted_waits_for_its_calls(one: User) -> None:
    attempt = make_doubtful()
    deciding.accept_attempt(attempt, reason="they told us on the phone", by=one)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.reason) == ("human_accepted", "they told us on the phone")
    assert states(attempt) == {"accepted": 2}
    assert Batch.objects.get().status == "accepted"
    dispatch.advance_task(attempt.task_id)
    task = Task.objects.get(pk=attempt.task_id)
    assert (task.status, task.needs_attention) == ("running", False)
    told = StatusChange.objects.get(subject="attempt", new="human_accepted")
    assert told.by == one and "they told us on the phone" in told.sentence
    hear(attempt)
    assert states(attempt) == {"accepted": 1, "finished": 1}


def test_one_decides_with_a_right_and_a_reason(one: User) -> None:
    attempt = make_doubtful()
    for by, reason in ((one, " "), (make_user("operator"), "why not"), (None, "why not")):
        with pytest.raises(DecisionRefused):
            deciding.accept_attempt(attempt, reason=reason, by=by)
        with pytest.raises(DecisionRefused):
            deciding.ask_resend(attempt, reason=reason, by=by)
    assert status_of(attempt) == "needs_human"


def test_words_with_signs_are_kept_as_they_are(one: User) -> None:
    attempt = make_doubtful()
    deciding.accept_attempt(attempt, reason="100% sure: %(x)s %d", by=one)
    told = StatusChange.objects.get(subject="attempt", new="human_accepted")
    assert "100% sure: %(x)s %d" in told.sentence


def test_a_start_that_was_accepted_runs(one: User) -> None:
    attempt = make_doubtful("start")
    Task.objects.filter(pk=attempt.task_id).update(status="starting")
    deciding.accept_attempt(attempt, reason="it dials", by=one)
    assert Task.objects.get(pk=attempt.task_id).status == "running"


def test_a_create_cannot_be_accepted_without_its_id(one: User, two: User) -> None:
    attempt = make_doubtful("create")
    with pytest.raises(DecisionRefused, match="id of it"):
        deciding.accept_attempt(attempt, reason="it is there", by=one)
    send_again(attempt, one, two)
    assert status_of(attempt) == "human_resend"


# ------------------------------------------------------------------------------------- send again


def test_it_is_sent_again_only_with_a_second_person(one: User, two: User) -> None:
    attempt = make_doubtful()
    with pytest.raises(DecisionRefused, match="second person"):
        deciding.resend_attempt(attempt, by=one)
    asked = ask(attempt, one)
    with pytest.raises(approvals.ApprovalRefused, match="cannot be the second"):
        deciding.approve_resend(asked, answer="", by=one)
    assert states(attempt) == {"unknown": 2}
    deciding.approve_resend(asked, answer="looked myself", by=two)
    assert status_of(attempt) == "human_resend"
    assert states(attempt) == {"ready": 2}
    asked.refresh_from_db()
    assert (asked.status, asked.decided_by) == ("used", two)
    assert Batch.objects.get().status == "not_sent"
    # It goes on by itself, in a new batch.
    task = Task.objects.get(pk=attempt.task_id)
    assert not task.needs_attention
    assert dispatch.advance_task(task.pk) == dispatch.Next("plan")
    batching.plan_batches(task)
    again = dispatch.claim_batch(task.pk)
    assert again is not None and again.batch_id != attempt.batch_id
    assert incidents.list_people(Attempt.objects.get(pk=attempt.pk)) == sorted(
        task.contacts.values_list("pk", flat=True)
    )


def test_what_the_second_person_sees_holds_no_number(one: User) -> None:
    facts = ask(make_doubtful(), one).facts
    assert facts["numbers"] == ["199****0001", "199****0002"]
    assert not any(phone in str(facts) for phone in PHONES)
    assert facts["fault"] == "the connection was closed"


@pytest.mark.parametrize("when", ["before", "asked", "approved"])
def test_a_call_that_came_back_meanwhile_refuses_it(one: User, two: User, when: str) -> None:
    attempt = make_doubtful()
    if when == "before":
        hear(attempt)
        with pytest.raises(DecisionRefused, match=r"has it|called"):
            ask(attempt, one)
        assert "unknown" in states(attempt)
        return
    asked = ask(attempt, one)
    if when == "asked":
        hear(attempt)
        with pytest.raises((DecisionRefused, approvals.ApprovalRefused)):
            deciding.approve_resend(asked, answer="", by=two)
        asked.refresh_from_db()
        assert asked.status == "asked"  # nothing of it happened
    else:
        approvals.decide_approval(asked, approve=True, answer="", by=two)
        hear(attempt)
        with pytest.raises(DecisionRefused):
            deciding.resend_attempt(attempt, by=one)
    assert status_of(attempt) == "needs_human"
    assert "ready" not in states(attempt)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"callee": f"86{PHONES[0]}"},
        # nobody knows yet who called whom
        {"direction": None, "answered": None},
    ],
)
def test_a_call_that_found_no_contact_counts_too(one: User, fields: dict[str, Any]) -> None:
    attempt = make_doubtful(minutes=200)
    hear(attempt, dialed_at=attempt.started_at + timedelta(hours=2), **fields)
    with pytest.raises(DecisionRefused, match="has it"):
        ask(attempt, one)


@pytest.mark.parametrize(
    ("fields", "hours"),
    [({"callee": "19955550001"}, 0), ({"platform_robot_id": "another"}, 0), ({}, -1)],
)
def test_somebody_elses_call_does_not(one: User, fields: dict[str, Any], hours: int) -> None:
    attempt = make_doubtful()
    dialled = attempt.started_at + timedelta(hours=hours, seconds=30)
    hear(attempt, dialed_at=dialled, **fields)
    assert ask(attempt, one).status == "asked"


@pytest.mark.parametrize("status", ["received", "quarantined"])
def test_a_push_that_nobody_read_yet_refuses_it(one: User, status: str) -> None:
    attempt = make_doubtful()
    receipt = Receipt.objects.create(
        account=attempt.task.account, kind="receiveCallRecord", status=status, sha256=b"1" * 32,
        body=b'{"callee": "%s"}' % PHONES[1].encode(),
    )  # fmt: skip
    with pytest.raises(DecisionRefused, match="inbox"):
        ask(attempt, one)
    Receipt.objects.filter(pk=receipt.pk).update(body=b'{"callee": "19955550001"}')
    assert ask(attempt, one).status == "asked"


def test_what_was_settled_meanwhile_is_not_decided(one: User, two: User) -> None:
    attempt = make_doubtful()
    asked = ask(attempt, one)
    deciding.accept_attempt(attempt, reason="it was taken", by=two)
    with pytest.raises(approvals.ApprovalRefused, match="changed"):
        deciding.approve_resend(asked, answer="", by=two)
    with pytest.raises(DecisionRefused, match="meanwhile"):
        deciding.accept_attempt(attempt, reason="it was taken", by=two)
    assert states(attempt) == {"accepted": 2}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [({"status": "deleted"}, "deleted"), ({"end_at": timezone.now()}, "end of the task")],
)
def test_nothing_is_sent_again_for_a_task_that_is_over(
    one: User, fields: dict[str, Any], sentence: str
) -> None:
    attempt = make_doubtful()
    Task.objects.filter(pk=attempt.task_id).update(**fields)
    with pytest.raises(DecisionRefused, match=sentence):
        ask(attempt, one)


def test_a_start_is_made_anew(one: User, two: User) -> None:
    attempt = make_doubtful("start")
    Task.objects.filter(pk=attempt.task_id).update(status="starting")
    send_again(attempt, one, two)
    assert Task.objects.get(pk=attempt.task_id).status == "loaded"


@pytest.mark.parametrize("state", ["started", "running", "waiting_retry", "outside_hours"])
def test_a_start_that_the_platform_shows_is_not_made_anew(one: User, two: User, state: str) -> None:
    attempt = make_doubtful("start")
    asked = ask(attempt, one)
    Task.objects.filter(pk=attempt.task_id).update(status="starting", platform_state=state)
    with pytest.raises(DecisionRefused, match="has been started"):
        deciding.approve_resend(asked, answer="", by=two)
    assert status_of(attempt) == "needs_human"


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_one_counts() -> None:
    one, two = make_user("manager", username="one"), make_user("manager", username="two")
    attempt = make_doubtful()
    asked = ask(attempt, one)

    def accept() -> str:
        try:
            deciding.accept_attempt(attempt, reason="it was taken", by=one)
        except DecisionRefused:
            return ""
        return "accepted"

    def resend() -> str:
        try:
            deciding.approve_resend(asked, answer="", by=two)
        except (DecisionRefused, approvals.ApprovalRefused):
            return ""
        return "resent"

    told = [one for one in run_at_once([accept, resend] * 4) if one]
    assert len(told) == 1
    new = {"accepted": {"accepted": 2}, "resent": {"ready": 2}}[told[0]]
    assert states(attempt) == new


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(6))
def test_a_proof_at_the_same_time_is_never_lost(turn: int) -> None:
    one, two = make_user("manager", username="one"), make_user("manager", username="two")
    attempt = make_doubtful()
    asked = ask(attempt, one)

    def resend() -> bool:
        try:
            deciding.approve_resend(asked, answer="", by=two)
        except (DecisionRefused, approvals.ApprovalRefused):
            return False
        return True

    resent, _ = run_at_once([resend, lambda: hear(attempt)])
    ingest.link_pending()
    if resent:  # the proof came second: it is an incident, and nobody is sent again
        assert Incident.objects.get().kind == "called_twice"
        assert "ready" not in states(attempt)
    else:
        assert not Incident.objects.exists()
        assert "ready" not in states(attempt)


# ----------------------------------------------------------------------------- what is left to whom


def test_what_is_refused_to_be_told_is_left_to_a_person_and_still_asked(
    make_campaign: Any, platform: Client, settings: Any
) -> None:
    task = make_campaign()
    platform.control("faults", {"endpoint": "task/create", "kind": "close_after", "count": 1})
    dispatch.launch_task(task, by=None)
    dispatch.advance_task(task.pk)
    attempt = task.attempts.get()
    assert attempt.status == "unknown"
    platform.control("faults", {"endpoint": "task/query", "kind": "close_before", "count": 2})
    reconcile.settle_task(task.pk)
    assert status_of(attempt) == "unknown"
    settings.LEAVE_TO_PERSON_SECONDS = 0
    reconcile.settle_task(task.pk)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.reason) == ("needs_human", settling.NOT_HEARD)
    assert Task.objects.get(pk=task.pk).needs_attention
    # A late answer settles it like any other.
    attempt.asked_at = None
    attempt.save()
    assert task.pk in reconcile.list_unsettled_tasks()
    platform.send("DELETE", "/_sandbox/faults")
    assert reconcile.settle_task(task.pk)
    assert status_of(attempt) == "confirmed_accepted"
    evidence = deciding.find_evidence(Attempt.objects.get(pk=attempt.pk))
    assert evidence.sent and evidence.question_count >= 3
    assert platform.look("ledger")["requests"]["task/create"] == 1


def test_what_was_asked_and_answered_is_written_down(
    make_campaign: Any, platform: Client, settings: Any
) -> None:
    settings.SETTLE_ANSWERS, settings.SETTLE_SECONDS = 2, 0
    task = make_campaign()
    platform.control("faults", {"endpoint": "task/create", "kind": "close_before", "count": 1})
    dispatch.launch_task(task, by=None)
    dispatch.advance_task(task.pk)
    attempt = task.attempts.get()
    reconcile.settle_task(task.pk)
    assert status_of(attempt) == "unknown"
    reconcile.settle_task(task.pk)
    attempt.refresh_from_db()
    assert attempt.status == "confirmed_absent"
    assert [(one["question"], one["answer"]) for one in attempt.evidence] == [
        ("for the task by its name", "not in the list")
    ] * 2
    assert attempt.exchanges.filter(started_at__gt=attempt.ended_at).exists()


def test_a_sender_that_comes_back_settles_what_was_left_to_a_person(one: User, two: User) -> None:
    from campaigns import attempts

    attempt = make_doubtful()
    assert attempts.close_attempt(attempt, attempts.Outcome("not_sent"))
    assert status_of(attempt) == "confirmed_absent"
    other = make_doubtful()
    send_again(other, one, two)
    assert not attempts.close_attempt(other, attempts.Outcome("accepted"))
    assert Incident.objects.get().attempt == other


def test_deleting_the_task_settles_it(one: User) -> None:
    from campaigns import lifecycle

    attempt = make_doubtful("insert")
    lifecycle.withdraw_task(attempt.task, "stopped")
    assert status_of(attempt) == "confirmed_absent"
    assert not deciding.list_undecided().exists()


def test_a_filled_task_hands_over_again_what_was_decided(
    make_filled: Any, platform: Client, one: User, two: User, airudder: Account
) -> None:
    task = make_filled(contacts=2)
    launch_filled(task)
    attempt = dispatch.claim_batch(task.pk)
    assert attempt is not None
    strike = {"endpoint": "airudder/uploaddetails", "kind": "close_before", "count": 1}
    platform.control("faults", strike)
    dispatch.send_batch(attempt)
    drive(task)
    task.refresh_from_db()
    assert (status_of(attempt), task.status) == ("needs_human", "running")
    send_again(attempt, one, two)
    drive(task)
    task.refresh_from_db()
    assert (task.status, task.needs_attention) == ("running", False)
    assert states(attempt) == {"accepted": 2}
    assert platform.look("ledger")["requests"]["airudder/uploaddetails"] == 2
