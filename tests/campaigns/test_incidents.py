"""In: calls that should not be. Out: one incident each that stands until a person closes it.

Must catch: a late proof that nobody sees, a false alarm, the same story told again and again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from campaigns import barring, batching, dispatch, incidents
from campaigns.models import Attempt, Batch, Call, Contact, DoNotCall, Incident, Task
from campaigns.platforms.events import Direction
from tests.campaigns.admin.world import make_user
from tests.campaigns.test_deciding import PHONES, hear, make_doubtful, send_again, states
from tests.factories import make_contact, make_task, walk

pytestmark = pytest.mark.django_db


@pytest.fixture
def one(db: None) -> User:
    return make_user("manager", username="one")


@pytest.fixture
def two(db: None) -> User:
    return make_user("manager", username="two")


def send_second(attempt: Attempt, **ids: str) -> Attempt:
    """The contacts handed over a second time, and taken: with the platform's ids, if any."""
    task = Task.objects.get(pk=attempt.task_id)
    batch = Batch.objects.create(task=task, number=2, size=2, status="accepted")
    contacts = task.contacts.filter(status="ready")
    walk(contacts, "planned")
    task.contacts.update(batch=batch)
    walk(task.contacts.filter(status="planned"), "sending", "accepted")
    for phone, platform_id in ids.items():
        task.contacts.filter(phone=phone.lstrip("p")).update(platform_contact_id=platform_id)
    return Attempt.objects.create(
        task=task, batch=batch, command=attempt.command, status="accepted",
        lease_until=timezone.now(),
    )  # fmt: skip


def test_a_late_proof_keeps_the_others_from_a_second_call(one: User, two: User) -> None:
    attempt = make_doubtful()
    send_again(attempt, one, two)
    hear(attempt)
    incident = Incident.objects.get()
    assert (incident.kind, incident.attempt) == ("called_twice", attempt)
    assert PHONES[0] not in incident.sentence and incident.sentence
    # One call proves it for the whole direct call: nobody of it is sent a second time.
    assert states(attempt) == {"finished": 1, "withdrawn": 1}
    hear(attempt, "call-2", callee=PHONES[1], platform_contact_id="88")
    assert states(attempt) == {"finished": 2}
    assert Incident.objects.count() == 1
    task = attempt.task
    dispatch.advance_task(task.pk)
    assert dispatch.claim_batch(task.pk) is None


def test_a_late_proof_after_the_second_was_planned(one: User, two: User) -> None:
    attempt = make_doubtful()
    send_again(attempt, one, two)
    batching.plan_batches(attempt.task)
    hear(attempt)
    assert Incident.objects.get().kind == "called_twice"
    assert dispatch.claim_batch(attempt.task_id) is None


@pytest.mark.parametrize("ids", [{}, {"p19900000001": "187", "p19900000002": "188"}])
def test_a_late_proof_after_the_second_was_sent(one: User, two: User, ids: dict[str, str]) -> None:
    attempt = make_doubtful()
    send_again(attempt, one, two)
    send_second(attempt, **ids)
    hear(attempt)
    incident = Incident.objects.get()
    assert (incident.kind, incident.attempt) == ("called_twice", attempt)


def test_calls_of_the_second_are_no_proof_of_the_first(one: User, two: User) -> None:
    attempt = make_doubtful()
    send_again(attempt, one, two)
    second = send_second(attempt, p19900000001="187", p19900000002="188")
    later = second.started_at + timedelta(seconds=30)
    hear(attempt, platform_contact_id="187", dialed_at=later)
    hear(attempt, "call-2", platform_contact_id="188", callee=PHONES[1], dialed_at=later)
    assert not Incident.objects.exists()
    assert states(attempt) == {"finished": 2}
    # One more than the task allows is one, though.
    hear(attempt, "call-3", platform_contact_id="187", dialed_at=later + timedelta(minutes=5))
    assert Incident.objects.get().reason == incidents.CALLED_TOO_OFTEN


def test_the_same_story_is_told_once(one: User, two: User) -> None:
    attempt = make_doubtful()
    send_again(attempt, one, two)
    hear(attempt)
    incident = Incident.objects.get()
    with pytest.raises(incidents.IncidentRefused, match="what was done"):
        incidents.close_incident(incident, note=" ", by=one)
    incidents.close_incident(incident, note="we said sorry", by=one)
    with pytest.raises(incidents.IncidentRefused, match="meanwhile"):
        incidents.close_incident(incident, note="again", by=two)
    hear(attempt, answered=True, hangup_by=None)  # the same call once more
    Call.objects.update(conflicts={})
    hear(attempt)
    assert Incident.objects.count() == 1
    assert incidents.count_open() == 0
    # Somebody else of the same request is another story.
    hear(attempt, "call-2", callee=PHONES[1], platform_contact_id="88")
    assert incidents.count_open() == 1


# ---------------------------------------------------------------------------- called after a no


def make_called(**fields: Any) -> tuple[Task, Contact, Attempt]:
    """A direct call that was taken ten minutes ago."""
    attempt = make_doubtful(minutes=10)
    Attempt.objects.filter(pk=attempt.pk).update(status="confirmed_accepted")
    Batch.objects.update(status="accepted")
    attempt.task.contacts.update(status="accepted")
    return attempt.task, attempt.task.contacts.get(phone=PHONES[0]), attempt


@pytest.mark.parametrize(
    ("minutes", "lifted", "found"),
    [(-20, None, True), (5, None, False), (-20, -15, False), (-20, 5, True)],
)
def test_who_was_barred_before_the_request_left(
    minutes: int, lifted: int | None, found: bool
) -> None:
    _task, _contact, attempt = make_called()
    bar = barring.bar_number(PHONES[0], source="manual", reason="said so")
    times: dict[str, Any] = {"created_at": attempt.started_at + timedelta(minutes=minutes)}
    if lifted is not None:
        times["lifted_at"] = attempt.started_at + timedelta(minutes=lifted)
    DoNotCall.objects.filter(pk=bar.pk).update(**times)
    hear(attempt)
    hear(attempt, "call-2", callee=PHONES[1])
    kinds = list(Incident.objects.values_list("kind", "contact__phone"))
    assert kinds == ([("called_barred", PHONES[0])] if found else [])


def test_another_accounts_no_is_not_this_ones() -> None:
    _task, _contact, attempt = make_called()
    other = make_task().account
    bar = barring.bar_number(PHONES[0], account=other, source="manual", reason="said so")
    long_ago = attempt.started_at - timedelta(days=1)
    DoNotCall.objects.filter(pk=bar.pk).update(created_at=long_ago)
    hear(attempt)
    assert not Incident.objects.exists()


# ------------------------------------------------------------------------ called without being sent


def test_a_call_of_somebody_who_was_not_handed_over_is_told_once_for_the_task() -> None:
    attempt = make_doubtful()
    task = attempt.task
    for number, status in enumerate(("ready", "excluded")):
        make_contact(
            task=task, phone=f"1995555000{number}", status=status, platform_contact_id=f"9{number}"
        )
        hear(
            attempt, f"call-{number}", callee=f"1995555000{number}",
            platform_contact_id=f"9{number}",
        )  # fmt: skip
    assert list(Incident.objects.values_list("kind", "task")) == [("called_unsent", task.pk)]


def test_ordinary_calls_open_nothing() -> None:
    _task, _contact, attempt = make_called()
    hear(attempt)
    hear(attempt, "call-2", callee=PHONES[1])
    hear(attempt, "call-3", callee="19955550001", direction=Direction.INBOUND)
    assert not Incident.objects.exists()
