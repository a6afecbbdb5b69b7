"""In: what one person may not do alone. Out: done only with another person's word, about exactly
what that person saw, and once.

Must catch: one's own word taken for the second, an approval that outlives what it was about, one
approval used twice, a limit that counts wrongly.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from campaigns import approvals, dispatch, lifecycle
from campaigns.approvals import ApprovalRefused
from campaigns.models import Approval, ContactImport, Installation, StatusChange, Task
from tests.at_once import run_at_once
from tests.campaigns.admin.world import make_user
from tests.factories import make_contact, make_line, make_task

pytestmark = pytest.mark.django_db


def make_draft(contacts: int = 3, **fields: Any) -> Task:
    task = make_task(**fields)
    for number in range(contacts):
        make_contact(task=task, phone=f"1990000{number:04d}")
    return task


def ask(task: Task, by: User, **fields: Any) -> Approval:
    values: dict[str, Any] = {
        "reason": "the customer wants it today",
        "facts": {"ready": 3},
        "fingerprint": approvals.fingerprint_launch(task),
    }
    return approvals.ask_approval("launch", task=task, by=by, **values | fields)


def approve(approval: Approval, by: User) -> Approval:
    return approvals.decide_approval(approval, approve=True, answer="", by=by)


@pytest.fixture
def one(db: None) -> User:
    return make_user("manager", username="one")


@pytest.fixture
def two(db: None) -> User:
    return make_user("manager", username="two")


@pytest.fixture(autouse=True)
def _limit(settings: Any) -> None:
    settings.APPROVE_ABOVE = 2


# ------------------------------------------------------------------------------------- the limit


@pytest.mark.parametrize(
    ("limit", "contacts", "needed"),
    [(2, 2, False), (2, 3, True), (0, 1, True), (None, 3, False), (3, 3, False)],
)
def test_above_the_limit_a_second_person_is_needed(
    settings: Any, limit: int | None, contacts: int, needed: bool
) -> None:
    settings.APPROVE_ABOVE = limit
    task = make_draft(contacts)
    make_contact(task=task, phone="19988880001", status="excluded")
    assert approvals.needs_second(task) is needed


def test_a_draft_of_before_a_restore_needs_a_second_person() -> None:
    task = make_draft(1)
    assert not approvals.needs_second(task)
    Installation.objects.update_or_create(
        pk=1, defaults={"restored_at": timezone.now() + timedelta(seconds=1)}
    )
    assert approvals.needs_second(task)
    assert "restore" in approvals.tell_need(task)
    Installation.objects.update(restored_at=task.created_at - timedelta(seconds=1))
    assert not approvals.needs_second(task)


def test_a_test_call_needs_nobody_else(settings: Any) -> None:
    settings.APPROVE_ABOVE = 0
    assert not approvals.needs_second(make_draft(1, trial_of=make_draft(1)))
    assert approvals.needs_second(make_draft(2, trial_of=make_draft(1)))


# ------------------------------------------------------------------------------------- launching


def test_an_approval_holds_for_these_people_and_not_for_as_many_others(
    one: User, two: User
) -> None:
    task = make_draft(5)
    first, second = task.contacts.order_by("pk")[:2]
    lifecycle.move(first, "excluded", of=["ready"], reason="x")
    approve(ask(task, one), two)
    # as somebody does who leaves people out, and takes others in again, with the lists
    lifecycle.move(second, "excluded", of=["ready"], reason="x")
    lifecycle.move(first, "ready", of=["excluded"], reason="")
    with pytest.raises(dispatch.LaunchRefused):
        dispatch.launch_task(task, by=one)


def test_a_person_launches_only_with_anothers_approval(one: User, two: User) -> None:
    task = make_draft()
    with pytest.raises(dispatch.LaunchRefused, match="second person"):
        dispatch.launch_task(task, by=one)
    asked = ask(task, one)
    with pytest.raises(dispatch.LaunchRefused, match="second person"):
        dispatch.launch_task(task, by=one)
    approve(asked, two)
    dispatch.launch_task(task, by=one)
    asked.refresh_from_db()
    task.refresh_from_db()
    assert (task.status, task.launched_by, asked.status) == ("loading", one, "used")
    assert (asked.asked_by, asked.decided_by) == (one, two)
    moves = StatusChange.objects.filter(subject="approval", subject_id=asked.pk).order_by("id")
    assert list(moves.values_list("new", "by__username")) == [("approved", "two"), ("used", "one")]


def test_either_of_the_two_may_launch(one: User, two: User) -> None:
    task = make_draft()
    approve(ask(task, one), two)
    dispatch.launch_task(task, by=two)
    assert Task.objects.get(pk=task.pk).status == "loading"


def test_below_the_limit_nobody_is_asked(one: User) -> None:
    task = make_draft(2)
    dispatch.launch_task(task, by=one)
    assert Task.objects.get(pk=task.pk).reason == "Launched."


def test_a_command_on_the_server_asks_nobody_and_says_so() -> None:
    task = make_draft()
    dispatch.launch_task(task, by=None)
    assert "command on the server" in Task.objects.get(pk=task.pk).reason


# ---------------------------------------------------------------------------------- who may answer


def test_nobody_approves_what_they_asked_for(one: User) -> None:
    asked = ask(make_draft(), one)
    with pytest.raises(ApprovalRefused, match="cannot be the second"):
        approve(asked, one)
    # and the database refuses it too
    with pytest.raises(IntegrityError), transaction.atomic():
        Approval.objects.filter(pk=asked.pk).update(status="approved", decided_by=one)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_has_no_right_does_not_answer(one: User, role: str) -> None:
    asked = ask(make_draft(), one)
    with pytest.raises(ApprovalRefused, match="may not"):
        approve(asked, make_user(role))
    assert Approval.objects.get().status == "asked"


def test_no_is_an_answer_with_a_reason(one: User, two: User) -> None:
    task = make_draft()
    asked = ask(task, one)
    with pytest.raises(ApprovalRefused, match="why not"):
        approvals.decide_approval(asked, approve=False, answer=" ", by=two)
    approvals.decide_approval(asked, approve=False, answer="tomorrow", by=two)
    with pytest.raises(ApprovalRefused, match="meanwhile"):
        approve(asked, two)
    with pytest.raises(dispatch.LaunchRefused):
        dispatch.launch_task(task, by=one)
    assert ask(task, one).status == "asked"  # it may be asked again


def test_a_reason_and_a_person_are_needed(one: User) -> None:
    task = make_draft()
    with pytest.raises(ApprovalRefused, match="why"):
        ask(task, one, reason=" \x00 ")
    with pytest.raises(ApprovalRefused, match="Only a person"):
        ask(task, None)


def test_one_question_at_a_time(one: User, two: User) -> None:
    task = make_draft()
    asked = ask(task, one)
    with pytest.raises(ApprovalRefused, match="already"):
        ask(task, two)
    approve(asked, two)
    with pytest.raises(ApprovalRefused, match="approved already"):
        ask(task, two)


def test_what_was_taken_back_cannot_be_answered(one: User, two: User) -> None:
    asked = ask(make_draft(), one)
    assert approvals.withdraw_approval(asked, by=one)
    with pytest.raises(ApprovalRefused, match="meanwhile"):
        approve(Approval.objects.get(), two)


# -------------------------------------------------------------------------- what it was given for

CHANGES: dict[str, Callable[[Task], Any]] = {
    "contact": lambda task: make_contact(task=task, phone="19977770001"),
    "excluded": lambda task: lifecycle.move(task.contacts.first(), "excluded", of=["ready"]),
    "line": lambda task: task.lines.add(make_line(account=task.account)),
    "windows": lambda task: set_field(task, windows=[["09:00:00", "23:00:00"]]),
    "begin": lambda task: set_field(task, begin_at=timezone.now() + timedelta(hours=5)),
    "end": lambda task: set_field(task, end_at=timezone.now() + timedelta(days=5)),
    "recalls": lambda task: set_field(task, recall_count=3, recall_wait_seconds=60),
    "daily cap": lambda task: set_field(task, daily_cap=10),
    "import": lambda task: ContactImport.objects.create(
        task=task, file_name="a.csv", status="cancelled"
    ),
}


def set_field(task: Task, **fields: Any) -> None:
    Task.objects.filter(pk=task.pk).update(**fields)


@pytest.mark.parametrize("what", sorted(CHANGES))
@pytest.mark.parametrize("when", ["before asking", "before answering", "before launching"])
def test_a_change_voids_it(one: User, two: User, what: str, when: str) -> None:
    task = make_draft(4)
    seen = approvals.fingerprint_launch(task)
    if when == "before asking":
        CHANGES[what](task)
        with pytest.raises(ApprovalRefused, match="changed"):
            ask(task, one, fingerprint=seen)
        return
    asked = ask(task, one, fingerprint=seen)
    if when == "before answering":
        CHANGES[what](task)
        with pytest.raises(ApprovalRefused, match="changed"):
            approve(asked, two)
    else:
        approve(asked, two)
        CHANGES[what](task)
        assert approvals.find_usable("launch", task=task) is None
        with pytest.raises(dispatch.LaunchRefused, match="changed"):
            dispatch.launch_task(Task.objects.get(pk=task.pk), by=one)
    assert Task.objects.get(pk=task.pk).status == "draft"
    # A new question takes the place of the one that nobody can use.
    new = ask(task, two)
    asked.refresh_from_db()
    assert (asked.status, new.status) == ("withdrawn", "asked")


@pytest.mark.django_db(transaction=True)
def test_of_many_clicks_one_launches_and_uses_it_up() -> None:
    one, two = make_user("manager", username="one"), make_user("manager", username="two")
    task = make_draft()
    approve(ask(task, one), two)

    def click() -> str:
        try:
            dispatch.launch_task(Task.objects.get(pk=task.pk), by=one)
        except dispatch.LaunchRefused as refused:
            return str(refused)
        return "launched"

    told = run_at_once([click] * 16)
    assert told.count("launched") == 1
    used = StatusChange.objects.filter(subject="approval", new="used")
    assert used.count() == 1
    assert StatusChange.objects.filter(subject="task", subject_id=task.pk).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_answers_at_once_one_counts() -> None:
    people = [make_user("manager", username=name) for name in ("one", "two", "three", "four")]
    asked = ask(make_draft(), people[0])

    def answer(by: User, yes: bool) -> bool:
        try:
            approvals.decide_approval(asked, approve=yes, answer="because", by=by)
        except ApprovalRefused:
            return False
        return True

    works = [lambda by=by, yes=yes: answer(by, yes) for by in people[1:] for yes in (True, False)]
    assert run_at_once(works).count(True) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_questions_at_once_one_stands() -> None:
    people = [make_user("manager", username=f"user{number}") for number in range(6)]
    task = make_draft()

    def question(by: User) -> bool:
        try:
            ask(Task.objects.get(pk=task.pk), by)
        except ApprovalRefused:
            return False
        return True

    works = [lambda by=by: question(by) for by in people]
    assert run_at_once(works).count(True) == 1
    assert Approval.objects.count() == 1
