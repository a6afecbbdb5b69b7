"""In: calls that came in, calls of strangers, calls after a lost reply. Out: proof of whose they
are taken for, and of what they may move."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from campaigns import attempts, ingest, linking, reconcile
from campaigns.dispatch.statements import Leaving, Taken, accept_batches
from campaigns.linking import summing, waiting
from campaigns.models import Account, Attempt, Batch, Call, Contact, Instance, StatusChange, Task
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.events import AnyEvent, CallEnded, Direction, Result
from campaigns.platforms.registry import PLATFORMS
from tests.callbacks.pushes import make_dialog, make_record, make_voice
from tests.factories import make_account, make_contact, make_robot, make_task, walk

pytestmark = pytest.mark.django_db
SENT_AT = datetime(2026, 1, 5, 10, tzinfo=UTC)
#: the sample of the vendor's text, with the id of a contact of ours
INBOUND: dict[str, Any] = {"direction": 1, "call_relation_id": "test-123", "task_id": "0"}


def read(kind: str, body: bytes) -> AnyEvent:
    (event,) = PLATFORMS["yeta"].parse(Push(kind, body), Reading(Account(platform="yeta").zone))
    return event


def read_record(call: str = "call-1", **fields: Any) -> AnyEvent:
    return read("receiveCallRecord", make_record(call, **fields))


def read_talk(call: str = "call-1") -> list[AnyEvent]:
    return [
        read("receiveDialog", make_dialog(call)),
        read("receiveVoice", make_voice(call)),
    ]


def make_campaign(**fields: Any) -> Task:
    account = make_account()
    robot = make_robot(account=account, platform_id="2745001")
    values = {"platform_task_id": "88785", "status": "running"}
    return make_task(account=account, robot=robot, **values | fields)


def make_called(task: Task, **fields: Any) -> Contact:
    values = {"phone": "19900000001", "platform_contact_id": "262381", "status": "accepted"}
    return make_contact(task=task, **values | fields)


def make_lost_callout(
    *phones: str, sent_at: datetime = SENT_AT, status: str = "unknown"
) -> Attempt:
    """A direct call to these numbers whose answer was lost."""
    task = make_campaign(kind=Task.Kind.DIRECT, platform_task_id="")
    batch = Batch.objects.create(task=task, number=1, size=len(phones), status="unknown")
    for phone in phones:
        make_called(task, phone=phone, platform_contact_id="", status="unknown", batch=batch)
    return make_attempt(batch, sent_at=sent_at, status=status)


def make_attempt(batch: Batch, *, sent_at: datetime, status: str = "unknown") -> Attempt:
    attempt = Attempt.objects.create(
        task=batch.task, batch=batch, command="callout", status=status, lease_until=sent_at
    )
    Attempt.objects.filter(pk=attempt.pk).update(started_at=sent_at)
    return attempt


def make_stranger(call: str = "call-1", **fields: Any) -> CallEnded:
    """A call whose ids are none of ours."""
    values: dict[str, Any] = {
        "source": "record",
        "platform_call_id": call,
        "platform_robot_id": "2745001",
        "platform_contact_id": f"data-of-{call}",
        "direction": Direction.OUTBOUND,
        "callee": "19900000001",
        "dialed_at": SENT_AT + timedelta(seconds=5),
        "answered": True,
        "result": Result.ANSWERED,
    }
    return CallEnded(**values | fields)


def apply(account: Account, *events: AnyEvent) -> None:
    applied = ingest.apply_events(account, events)
    ingest.link_late(account.pk, applied.call_ids)


def tell(contact: Contact) -> tuple[Any, ...]:
    contact.refresh_from_db()
    return (contact.status, contact.calls_made, contact.answered, contact.result, contact.intention)


UNTOUCHED = ("accepted", 0, False, "", "")


# ----------------------------------------------------------------------------------- inbound calls


def test_an_inbound_call_is_no_contacts_call_whatever_ids_it_carries() -> None:
    task = make_campaign()
    contact = make_called(task)
    # Once with the platform's "no task" and once with the task's own id.
    apply(task.account, read_record("call-1", **INBOUND))
    apply(task.account, read_record("call-2", **INBOUND | {"task_id": "88785"}))
    apply(task.account, *read_talk("call-1"))
    for call in Call.objects.all():
        assert (call.direction, call.contact, call.task) == ("inbound", None, None)
        assert (call.relation_id, call.robot) == ("test-123", task.robot)
    assert tell(contact) == UNTOUCHED
    assert not waiting.find_linkable(Call.objects.all()).exists()


@pytest.mark.parametrize("status", ["sending", "unknown", "accepted", "withdrawn"])
def test_an_inbound_call_is_joined_by_no_number(status: str) -> None:
    task = make_campaign()
    contact = make_called(task, platform_contact_id="", status=status)
    apply(task.account, read_record(**INBOUND | {"task_id": "88785", "task_data_id": None}))
    assert Call.objects.get().contact is None
    assert tell(contact) == (status, *UNTOUCHED[1:])


def test_an_inbound_call_comes_to_the_same_in_every_order() -> None:
    dialog, voice = read_talk()
    events = [dialog, voice, read_record(**INBOUND)]
    for order in itertools.permutations([*events, *events[:1]]):
        task = make_campaign()
        contact = make_called(task)
        for event in order:
            apply(task.account, event)
        call = Call.objects.get(account=task.account)
        assert (call.contact, call.task, call.turns_count) == (None, None, 2)
        assert tell(contact) == UNTOUCHED


def test_a_dialog_and_a_recording_alone_are_linked_and_finish_nobody() -> None:
    task = make_campaign()
    contact = make_called(task)
    apply(task.account, *read_talk())
    call = Call.objects.get()
    assert (call.contact, call.task, call.direction) == (contact, task, "")
    assert tell(contact) == UNTOUCHED
    # Not even when the platform says that it is done with the task.
    reconcile.finish_called(task)
    assert tell(contact) == UNTOUCHED
    apply(task.account, read_record(outbound=True))
    assert tell(contact) == ("finished", 1, True, "answered", "A")


def test_a_record_without_a_direction_counts_and_finishes_only_at_the_end_of_the_task() -> None:
    task = make_campaign()
    contact = make_called(task)
    apply(task.account, read_record(outbound=True, direction="both"))
    assert tell(contact) == ("accepted", 1, True, "answered", "")
    reconcile.finish_called(task)
    assert contact.status == "accepted" and tell(contact)[0] == "finished"


def test_a_summary_forgets_a_call_that_turns_out_to_have_come_in() -> None:
    task = make_campaign(recall_count=2)
    contact = make_called(task)
    unclear: dict[str, Any] = {"task_result": "20", "time_answer": 0, "direction": None}
    apply(task.account, read_record(**unclear))
    assert tell(contact)[:2] == ("accepted", 1)
    apply(task.account, read_record(**INBOUND))
    assert Call.objects.get().contact is None
    assert tell(contact) == UNTOUCHED


# ------------------------------------------------------------------------------------ direct calls


def test_one_call_proves_a_lost_direct_call_and_the_others_still_find_their_contacts() -> None:
    attempt = make_lost_callout("19900000001", "19900000002")
    task = attempt.task
    one, two = task.contacts.order_by("phone")
    apply(task.account, make_stranger("call-1"))
    assert tell(one)[:3] == ("finished", 1, True)
    assert reconcile.settle_task(task.pk)
    attempt.refresh_from_db()
    assert attempt.status == "confirmed_accepted"
    assert tell(two) == UNTOUCHED
    assert not reconcile.end_task(task)
    apply(task.account, make_stranger("call-2", callee="+86 199-0000-0002"))
    call = Call.objects.get(platform_call_id="call-2")
    assert (call.contact, call.task) == (two, task)
    assert tell(two)[:3] == ("finished", 1, True)
    assert reconcile.end_task(task)


def make_callout_under_way(*phones: str) -> Attempt:
    """A direct call to these numbers that has left and has no answer yet."""
    task = make_campaign(kind=Task.Kind.DIRECT, platform_task_id="", status="loading")
    batch = Batch.objects.create(task=task, number=1, size=len(phones), status="sending")
    for phone in phones:
        make_called(task, phone=phone, platform_contact_id="", status="sending", batch=batch)
    return make_attempt(batch, sent_at=SENT_AT, status="sending")


def test_a_call_that_overtakes_an_answer_that_never_comes_proves_the_direct_call() -> None:
    attempt = make_callout_under_way("19900000001", "19900000002", "19900000003")
    task = attempt.task
    one, two, three = task.contacts.order_by("phone")
    apply(task.account, make_stranger("call-1"))
    assert tell(one)[:3] == ("sending", 1, True), "Nobody's news overwrites an answer to come."
    assert attempts.reap_attempts() == 1
    assert tell(one)[:3] == ("finished", 1, True)
    assert [tell(two)[0], tell(three)[0]] == ["unknown", "unknown"]
    apply(task.account, make_stranger("call-2", callee="19900000002"))
    assert reconcile.settle_task(task.pk)
    attempt.refresh_from_db()
    assert attempt.status == "confirmed_accepted"
    assert [tell(two)[0], tell(three)[0]] == ["finished", "accepted"]
    apply(task.account, make_stranger("call-3", callee="19900000003"))
    walk(Task.objects.filter(pk=task.pk), "running")
    assert reconcile.poll_task(task.pk)
    task.refresh_from_db()
    assert task.status == "finished"


def test_a_call_that_overtakes_an_answer_ends_the_direct_call_though_the_worker_died() -> None:
    attempt = make_callout_under_way("19900000001", "19900000002")
    task, contacts = attempt.task, list(attempt.task.contacts.order_by("id"))
    apply(task.account, make_stranger("call-1"), make_stranger("call-2", callee="19900000002"))
    leaving = [Leaving(one.pk, one.phone, one.values) for one in contacts]
    ids = ["data-of-call-1", "data-of-call-2"]
    assert accept_batches([Taken(attempt, leaving, ids)])
    # Here it dies, before it looks for calls that came already.
    walk(Task.objects.filter(pk=task.pk), "running")
    assert reconcile.poll_task(task.pk)
    assert {tell(contact)[0] for contact in contacts} == {"finished"}
    task.refresh_from_db()
    assert task.status == "finished"


@pytest.mark.parametrize(
    ("fields", "proof"),
    [
        ({}, True),
        ({"dialed_at": SENT_AT - timedelta(minutes=1)}, True),
        ({"dialed_at": SENT_AT + timedelta(minutes=59)}, True),
        ({"dialed_at": SENT_AT - timedelta(minutes=3)}, False),
        ({"dialed_at": SENT_AT + timedelta(minutes=61)}, False),
        ({"dialed_at": SENT_AT + timedelta(days=2), "platform_task_id": "foreign"}, False),
        ({"dialed_at": None}, False),
        ({"direction": None}, False),
        ({"direction": Direction.INBOUND}, False),
        ({"platform_robot_id": "another"}, False),
        ({"callee": "19900000009"}, False),
    ],
)
def test_only_a_call_soon_after_it_was_sent_proves_a_direct_call(
    fields: dict[str, Any], proof: bool
) -> None:
    attempt = make_lost_callout("19900000001")
    contact = attempt.task.contacts.get()
    apply(attempt.task.account, make_stranger(**fields))
    assert tell(contact)[0] == ("finished" if proof else "unknown")
    assert Call.objects.get().contact == (contact if proof else None)
    assert reconcile.settle_task(attempt.task_id) is proof
    attempt.refresh_from_db()
    assert attempt.status == ("confirmed_accepted" if proof else "needs_human")


@pytest.mark.parametrize("twins", [1, 2])
def test_a_call_that_names_a_campaign_of_ours_proves_no_direct_call(twins: int) -> None:
    attempt = make_lost_callout("19900000001")
    account = attempt.task.account
    for _ in range(twins):
        make_task(account=account, robot=attempt.task.robot, platform_task_id="88785")
    apply(account, make_stranger(platform_task_id="88785"))
    assert tell(attempt.task.contacts.get())[0] == "unknown"


def test_the_same_number_in_two_lost_direct_calls_is_not_guessed_at() -> None:
    attempt = make_lost_callout("19900000001")
    other = make_task(account=attempt.task.account, robot=attempt.task.robot, kind="direct")
    batch = Batch.objects.create(task=other, number=1, size=1, status="unknown")
    make_called(other, platform_contact_id="", status="unknown", batch=batch)
    make_attempt(batch, sent_at=SENT_AT)
    apply(other.account, make_stranger())
    assert Call.objects.get().contact is None
    assert not Contact.objects.exclude(status="unknown").exists()


@pytest.mark.parametrize("state", ["accepted", "finished"])
def test_a_call_that_tells_no_id_may_be_of_somebody_who_has_one(state: str) -> None:
    attempt = make_lost_callout("19900000001")
    lost = attempt.task.contacts.get()
    other = make_task(account=lost.account, robot=attempt.task.robot, kind="direct")
    batch = Batch.objects.create(task=other, number=1, size=1, status="accepted")
    known = make_called(other, platform_contact_id="A", status=state, batch=batch)
    make_attempt(batch, sent_at=SENT_AT, status="accepted")
    apply(lost.account, make_stranger(platform_contact_id=None))
    assert Call.objects.get().contact is None, "Which of the two?"
    assert tell(lost)[0] == "unknown"
    apply(lost.account, make_stranger(platform_contact_id="A"))
    assert Call.objects.get().contact == known
    assert tell(lost)[0] == "unknown"
    assert not reconcile.settle_task(attempt.task_id)


def test_a_call_that_was_guessed_goes_to_whoever_has_its_id() -> None:
    task = make_campaign()
    guessed = make_called(task, platform_contact_id="", status="unknown")
    apply(task.account, read_record(outbound=True, task_data_id=None))
    assert Call.objects.get().contact == guessed
    other = make_task(account=task.account, robot=task.robot, platform_task_id="9")
    known = make_called(other, platform_contact_id="262381")
    apply(task.account, *read_talk())
    call = Call.objects.get()
    assert (call.contact, call.task) == (known, other)


def test_an_attempt_that_never_left_is_proved_by_nothing() -> None:
    attempt = make_lost_callout("19900000001", status="refused")
    Contact.objects.update(status="withdrawn")
    apply(attempt.task.account, make_stranger())
    assert Call.objects.get().contact is None


def test_a_direct_call_that_was_given_up_and_made_all_the_same_is_told() -> None:
    attempt = make_lost_callout("19900000001")
    contact = attempt.task.contacts.get()
    Contact.objects.update(status="withdrawn")
    apply(attempt.task.account, make_stranger())
    assert tell(contact)[:2] == ("finished", 1)
    change = StatusChange.objects.get(subject="contact", subject_id=contact.pk)
    assert change.reason == summing.CALLED_ALL_THE_SAME


# --------------------------------------------------------------------------------------- the sweep


def test_the_sweep_finds_calls_by_number_too() -> None:
    task = make_campaign()
    contact = make_called(task, platform_contact_id="", status="accepted")
    twin = make_called(task, platform_contact_id="", status="finished")
    apply(task.account, read_record(outbound=True, time_hangup=_now_ms()))
    assert Call.objects.get().contact is None  # which of the two?
    assert ingest.link_pending() == 0
    Contact.objects.filter(pk=twin.pk).update(platform_contact_id="7")
    assert ingest.link_pending() == 1
    assert tell(contact)[:2] == ("finished", 1)
    assert ingest.link_pending() == 0


def test_calls_whose_id_proves_nothing_do_not_keep_the_sweep_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(linking.passes, "SWEEP_LIMIT", 2)
    task = make_campaign()
    make_called(task, phone="19900000002", platform_contact_id="wrong")
    told = {"task_id": "8", "outbound": True, "callee": "19900000001"}
    apply(task.account, *(read_record(f"call-{n}", task_data_id="wrong", **told) for n in range(3)))
    linking.link_pending()
    assert not Call.objects.exclude(contact=None).exists()
    apply(task.account, read_record("late", task_data_id="5", outbound=True))
    found = make_called(task, platform_contact_id="5")
    linking.link_pending()
    assert Call.objects.get(platform_call_id="late").contact == found


def test_the_sweep_holds_no_call_against_all_contacts_of_its_account() -> None:
    """Of 30 calls and 2,000 contacts nothing is looked at 60,000 times, in whatever shape the
    statistics are."""
    task = make_campaign()
    stranger = make_called(make_campaign(), platform_contact_id="5")
    pattern = make_called(task, platform_contact_id="first")
    fields = [one for one in Contact._meta.concrete_fields if not one.generated]
    values = {one.attname: getattr(pattern, one.attname) for one in fields if one.name != "id"}
    Contact.objects.bulk_create(
        Contact(**values | {"phone": f"1990001{number:04d}", "platform_contact_id": f"x{number}"})
        for number in range(2_000)
    )
    names = ["x5", stranger.platform_contact_id, *(f"nobody{number}" for number in range(28))]
    Call.objects.bulk_create(
        Call(
            account=task.account, platform_call_id=name, platform_contact_id=name,
            direction="outbound", happened_at=timezone.now(),
        )
        for name in names
    )  # fmt: skip
    for counted in (False, True):
        if counted:
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
        found = waiting.find_linkable(Call.objects.all())
        # of whoever has the name in another account it is not
        assert list(found.values_list("platform_call_id", flat=True)) == ["x5"]
        plan = found.explain(analyze=True, format="json")
        loops = max(int(loops) for loops in re.findall(r"Actual Loops\D+(\d+)", plan))
        assert loops <= 10 * len(names), plan


def test_the_sweep_finds_direct_calls_too() -> None:
    now = timezone.now()
    attempt = make_lost_callout("19900000001", sent_at=now)
    contact = attempt.task.contacts.get()
    Contact.objects.update(status="ready")  # nothing waits for the call yet
    apply(attempt.task.account, make_stranger(dialed_at=now))
    assert ingest.link_pending() == 0
    walk(Contact.objects.all(), "planned", "sending", "accepted")
    assert ingest.link_pending() == 1
    assert tell(contact)[:2] == ("finished", 1)


def test_the_sweep_leaves_old_calls_and_those_that_came_in_alone() -> None:
    task = make_campaign()
    make_called(task, platform_contact_id="", status="finished")
    make_called(task, platform_contact_id="")
    apply(task.account, read_record("old", outbound=True, task_data_id=None))
    recent = {"time_hangup": _now_ms(), "task_data_id": None}
    apply(task.account, read_record("in", **INBOUND | recent))
    apply(task.account, read_record("new", outbound=True, **recent | {"callee": "+8619900000001"}))
    apply(task.account, read_record("else", outbound=True, **recent | {"callee": "19900000002"}))
    found = waiting.find_guessable(Call.objects.all())
    assert [call.platform_call_id for call in found] == ["new"]


def _now_ms() -> int:
    return int(timezone.now().timestamp() * 1000)


def test_a_call_with_a_masked_number_is_known_by_the_number_that_was_sent() -> None:
    """The reply of the insert was lost, so the platform's id of the contact is not known."""
    task = make_campaign()
    contact = make_called(task, phone="19900000005", platform_contact_id="")
    make_called(task, phone="19900000006", platform_contact_id="")
    record = read_record(
        task_id="88785",
        task_data_id="262381",
        callee="199****0005",
        task_row_index=1,
        task_row_head=["客户手机号码"],
        task_row_value=["19900000005"],
    )
    applied = ingest.apply_events(task.account, [record])
    assert Call.objects.get(pk=applied.call_ids[0]).contact_id == contact.pk


@pytest.mark.parametrize("talk_first", [False, True])
def test_an_id_that_an_answer_gave_to_somebody_else_does_not_outdo_the_number(
    talk_first: bool,
) -> None:
    """The answer to a batch named a row of an earlier one, whose own answer was lost: nobody else
    here has that id, and the call is of another number all the same."""
    task = make_campaign()
    lost = make_called(task, phone="19900000001", platform_contact_id="")
    misnamed = make_called(task, phone="19900000002", platform_contact_id="100")
    if talk_first:  # it tells no number
        apply(task.account, read("receiveDialog", make_dialog("call-1", task_data_id="100")))
        assert Call.objects.get(platform_call_id="call-1").contact == misnamed
    theirs: dict[str, Any] = {"outbound": True, "task_data_id": "100", "callee": "19900000001"}
    theirs["task_row_value"] = ["19900000001", "张三"]
    own: dict[str, Any] = {"outbound": True, "task_data_id": "101", "callee": "19900000002"}
    own["task_row_value"] = ["19900000002", "李四"]
    for _again in range(2):
        apply(task.account, read_record("call-1", **theirs), read_record("call-2", **own))
        linking.link_calls(task.account_id, contact_ids=[lost.pk, misnamed.pk])
        assert Call.objects.get(platform_call_id="call-1").contact == lost
        assert tell(lost)[:2] == ("finished", 1)
    # By the id that they really have nobody knows them, until it is certain that no other will do.
    assert tell(misnamed) == UNTOUCHED
    assert not reconcile.end_task(task)
    Task.objects.filter(pk=task.pk).update(platform_state="finished")
    task.refresh_from_db()
    assert reconcile.end_task(task)
    assert Call.objects.get(platform_call_id="call-1").contact == lost
    assert Call.objects.get(platform_call_id="call-2").contact == misnamed
    assert tell(misnamed)[:2] == ("finished", 1)


@pytest.mark.parametrize("name", ["", "data-of-call-1"])
def test_an_id_of_a_direct_call_that_an_answer_gave_to_a_contact_of_a_campaign_is_not_theirs(
    name: str,
) -> None:
    attempt = make_lost_callout("19900000001")
    direct = attempt.task.contacts.get()
    Contact.objects.filter(pk=direct.pk).update(platform_contact_id=name)
    task = make_task(
        account=direct.account, robot=attempt.task.robot, status="running", platform_task_id="7"
    )
    misnamed = make_called(task, phone="19900000002", platform_contact_id="data-of-call-1")
    for _again in range(2):  # what tells more of the call comes when they are done
        apply(direct.account, make_stranger("call-1"))
        linking.link_calls(direct.account_id, call_ids=[Call.objects.get().pk])
        assert Call.objects.get().contact == direct
        assert tell(direct)[:2] == ("finished", 1)
        assert tell(misnamed) == UNTOUCHED


@pytest.mark.parametrize("fills", [False, True])
def test_an_id_beside_another_number_and_another_task_names_nobody(fills: bool) -> None:
    """Whose call it is nobody can tell: it is nobody's, and not that of whom an answer misnamed."""
    attempt = make_lost_callout("19900000001")
    account, robot = attempt.task.account, attempt.task.robot
    other = make_task(account=account, robot=robot, kind="direct")
    batch = Batch.objects.create(task=other, number=1, size=1, status="unknown")
    make_called(other, platform_contact_id="", status="unknown", batch=batch)
    make_attempt(batch, sent_at=SENT_AT)
    task = make_task(
        account=account, robot=robot, status="running", platform_task_id="" if fills else "7"
    )
    if fills:
        Instance.objects.create(task=task, number=1, platform_task_id="7")
    misnamed = make_called(task, phone="19900000002", platform_contact_id="data-of-call-1")
    for _again in range(2):
        apply(account, make_stranger("call-1", platform_task_id="8"))
        linking.link_pending()
        assert Call.objects.get().contact is None
        assert tell(misnamed) == UNTOUCHED
    apply(
        account,
        make_stranger(
            "call-2",
            platform_task_id="7",
            callee="199****0002",
            platform_contact_id="data-of-call-1",
        ),
    )
    assert Call.objects.get(platform_call_id="call-2").contact == misnamed


def test_a_number_that_was_sent_speaks_for_the_id_whenever_it_is_looked_at() -> None:
    """A masked number beside a task that is not ours: what was told once is not read again each
    time, and the call stays whose it was all the same."""
    task = make_campaign()
    contact = make_called(task)
    masked: dict[str, Any] = {
        "callee": "199****0001",
        "details": {"contact_number": "19900000001"},
    }
    record = make_stranger(platform_task_id="8", platform_contact_id="262381", **masked)
    for _again in range(2):
        apply(task.account, record)
        linking.link_calls(task.account_id, contact_ids=[contact.pk])
        assert Call.objects.get().contact == contact
        assert tell(contact)[:2] == ("finished", 1)


@pytest.mark.parametrize(
    ("callee", "theirs"), [("199****0001", True), ("1990000****", True), ("199****0009", False)]
)
def test_a_masked_number_speaks_against_an_id_only_by_what_is_to_be_read(
    callee: str, theirs: bool
) -> None:
    task = make_campaign()
    contact = make_called(task)
    record = make_stranger(platform_task_id="8", platform_contact_id="262381", callee=callee)
    for _again in range(2):
        apply(task.account, record)
        linking.link_pending()
        assert Call.objects.get().contact == (contact if theirs else None)
        assert tell(contact)[1] == int(theirs)


def test_a_call_comes_to_the_same_whether_its_task_is_told_at_once_or_later() -> None:
    """Its number alone would be of a lost direct call; id and task are somebody else's."""
    attempt = make_lost_callout("19900000001")
    account, robot = attempt.task.account, attempt.task.robot
    task = make_task(account=account, robot=robot, status="running", platform_task_id="7")
    contact = make_called(task, phone="19900000002", platform_contact_id="data-of-call-1")
    named = {"platform_contact_id": "data-of-call-1"}
    apply(account, make_stranger("call-1", **named))
    for call in ("call-1", "call-2"):
        apply(account, make_stranger(call, platform_task_id="7", **named))
    found = Call.objects.order_by("pk").values_list("contact", "task")
    assert list(found) == [(contact.pk, task.pk)] * 2


def test_our_own_id_of_a_contact_is_theirs_beside_another_number_and_another_task() -> None:
    """No answer gave it, so none can have misnamed somebody."""
    task = make_campaign()
    contact = make_called(task, platform_contact_id="")
    linking.name_contacts(task.contacts.all())
    named = linking.name_contact(contact.pk)
    record = make_stranger(platform_task_id="8", platform_contact_id=named, callee="199****0009")
    for _again in range(2):
        apply(task.account, record)
        linking.link_pending()
        assert Call.objects.get().contact == contact
        assert tell(contact)[:2] == ("finished", 1)


@pytest.mark.parametrize("callee", ["199****0001", "0086 19900000009", ""])
def test_a_number_that_is_nobody_elses_does_not_outdo_the_id(callee: str) -> None:
    task = make_campaign()
    contact = make_called(task)
    values = {"callee": callee, "platform_contact_id": "262381", "platform_task_id": "88785"}
    apply(task.account, make_stranger(**values))
    assert Call.objects.get().contact == contact
    assert tell(contact)[:2] == ("finished", 1)


def test_an_id_that_an_answer_gave_to_two_contacts_names_neither() -> None:
    """The answer to a batch named a row of an earlier one (the sandbox's ``ids_overlap``): calls of
    both go by their numbers, else nobody would ever hear of either."""
    task = make_campaign()
    one = make_called(task, phone="19900000001", platform_contact_id="100")
    other = make_called(task, phone="19900000002", platform_contact_id="100")
    wrongly: dict[str, Any] = {"outbound": True, "task_data_id": "100", "callee": "19900000001"}
    rightly: dict[str, Any] = {"outbound": True, "task_data_id": "101", "callee": "19900000002"}
    rightly["task_row_value"] = ["19900000002", "李四"]
    apply(task.account, read_record("call-1", **wrongly), read_record("call-2", **rightly))
    assert Call.objects.get(platform_call_id="call-1").contact == one
    assert Call.objects.get(platform_call_id="call-2").contact == other
    linking.link_pending()
    for contact in (one, other):
        contact.refresh_from_db()
        assert contact.calls_made == 1
