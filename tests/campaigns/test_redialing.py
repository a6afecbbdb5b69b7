"""In: people who were called, and somebody who wants some again. Out: a draft of the
next round with exactly those of whom nothing stands against it.

Must catch: the same number chosen twice, by two people, in two selections or in two rounds; anybody
chosen who is unknown, under way, or waits in a draft; who said no, is barred or over the cap; a
person chosen by an old call although a newer one says otherwise; a draft that is launched although
something else became known meanwhile; a person who vanishes from the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from campaigns import batching, dispatch, experiments, jobs, redialing
from campaigns.barring import bar_number, lift_bar
from campaigns.barring.rules import apply_rules
from campaigns.criteria import CALLS, CONTACTS, read_criteria
from campaigns.models import (
    Contact,
    Correction,
    DoNotCallRule,
    Experiment,
    Redial,
    StatusChange,
    Task,
)
from campaigns.redialing import RedialRefused
from campaigns.redialing.making import DRAFT_REFUSED
from campaigns.redialing.staying import FITS_NO_MORE
from tests.at_once import run_at_once
from tests.campaigns.admin.world import make_call
from tests.factories import (
    make_account,
    make_contact,
    make_line,
    make_robot,
    make_task,
    make_voice,
    walk,
)

pytestmark = pytest.mark.django_db


def phone_of(number: int) -> str:
    return f"199{number:08d}"


def make_over(people: int = 4, **fields: Any) -> Task:
    """A task that is over: everybody was called once and nobody answered."""
    task = make_task(status="finished", **fields)
    for number in range(1, people + 1):
        make_person(task, number)
    return task


def make_person(task: Task, number: int, **fields: Any) -> Contact:
    """Called once without an answer, unless the fields say otherwise."""
    values: dict[str, Any] = {
        "status": "finished",
        "calls_made": 1,
        "result": "no_answer",
        "last_call_at": timezone.now() - timedelta(days=1),
        "family_id": task.family_id or task.pk,
        "round": task.round,
    }
    contact = make_contact(task=task, phone=phone_of(number), **values | fields)
    if contact.calls_made:
        add_call(contact)
    return contact


def add_call(contact: Contact, **fields: Any) -> Any:
    values: dict[str, Any] = {
        "result": "no_answer",
        "answered": False,
        "intention": "",
        "talk_seconds": 0,
        "happened_at": timezone.now() - timedelta(days=1),
    }
    return make_call(contact.task, contact, **values | fields)


def begin(kind: str = CONTACTS, *, newest_only: bool = True, **params: Any) -> Redial:
    redial = redialing.begin_redial(read_criteria(kind, params), newest_only=newest_only)
    redialing.work_on(redial.pk)
    redial.refresh_from_db()
    return redial


def count(task: Task, kind: str = CONTACTS, **params: Any) -> Redial:
    params.setdefault("family", str(task.family_id or task.pk))
    redial = begin(kind, **params)
    assert redial.status == "counted", redial.reason_text
    counts = redial.counts
    assert counts["people"] == counts["chosen"] + sum(counts["left_out"].values())
    return redial


def confirm(redial: Redial, **fields: Any) -> Redial:
    assert redial.robot is not None
    redialing.confirm_redial(redial, **{"name": "Again", "robot": redial.robot} | fields)
    redialing.work_on(redial.pk)
    redial.refresh_from_db()
    return redial


def redial_all(task: Task, kind: str = CONTACTS, **params: Any) -> Task:
    redial = confirm(count(task, kind, **params))
    assert redial.status == "made", redial.reason_text
    assert redial.task is not None
    return redial.task


def phones(task: Task, status: str = "ready") -> list[str]:
    rows = Contact.objects.filter(task=task, status=status).order_by("phone")
    return list(rows.values_list("phone", flat=True))


def why(redial: Redial) -> dict[str, int]:
    left_out: dict[str, int] = redial.counts["left_out"]
    return left_out


# ------------------------------------------------------------------------------------- what is made


def test_who_did_not_answer_is_called_again_in_the_next_round() -> None:
    first = make_over(3, recall_count=1, recall_wait_seconds=60)
    answered = make_person(first, 9, result="answered", answered=True)
    task = redial_all(first, result="no_answer")
    assert phones(task) == [phone_of(number) for number in (1, 2, 3)]
    assert (task.family, task.round, task.status) == (first, 2, "draft")
    assert (task.robot, task.recall_count) == (first.robot, 1)
    assert set(task.lines.all()) == set(first.lines.all())
    for contact in task.contacts.all():
        assert (contact.family_id, contact.round, contact.calls_made) == (first.pk, 2, 0)
        assert contact.values["姓名"] == ""
    assert redialing.list_lineage(task) == ([first], [])
    assert redialing.list_lineage(first) == ([], [task])
    assert answered.phone not in phones(task)
    told = StatusChange.objects.filter(subject="task", subject_id=task.pk)
    assert any(change.values.get("people") == 3 for change in told)


def test_any_number_of_rounds_each_with_its_parents() -> None:
    first = make_over(3)
    second = redial_all(first, result="no_answer")
    finish(second, answered={phone_of(1)})
    third = redial_all(first, result="no_answer")
    assert phones(third) == [phone_of(2), phone_of(3)]
    assert (third.family, third.round) == (first, 3)
    assert redialing.list_lineage(third)[0] == [second]


def finish(task: Task, *, answered: set[str]) -> None:
    """Everybody of a draft called; who is in ``answered`` picked up."""
    walk(task.contacts.filter(status="ready"), "planned", "sending", "accepted", "finished")
    Task.objects.filter(pk=task.pk).update(status="finished")
    for contact in task.contacts.filter(status="finished"):
        up = contact.phone in answered
        result = "answered" if up else "no_answer"
        now = timezone.now()
        Contact.objects.filter(pk=contact.pk).update(
            calls_made=1, result=result, answered=up, last_call_at=now
        )
        contact.task = task
        add_call(contact, result=result, answered=up, happened_at=now)


def test_the_values_go_along_to_a_robot_with_other_columns() -> None:
    first = make_over(0)
    make_person(first, 1, values={"客户手机号码": phone_of(1), "姓名": "张三", "城市": "合肥"})
    redial = count(first, result="no_answer")
    robot = make_robot(account=first.account, columns=["phone", "city", "note"])
    with pytest.raises(RedialRefused) as refused:
        redialing.confirm_redial(redial, name="x", robot=robot)
    assert "mapping" in refused.value.errors
    confirm(redial, robot=robot, mapping={"city": "城市", "note": ""})
    assert redial.task is not None
    contact = redial.task.contacts.get()
    assert contact.values["phone"] == phone_of(1)
    assert (contact.values["city"], contact.values["note"]) == ("合肥", "")
    assert not any("columns" in problem for problem in dispatch.check_launch(redial.task))


def test_who_lacks_the_values_is_left_out() -> None:
    first = make_over(2)
    make_person(first, 3, values={})
    redial = confirm(count(first, result="no_answer"))
    assert redial.task is not None
    assert phones(redial.task) == [phone_of(1), phone_of(2)]
    assert why(redial) == {"no_values": 1}


def test_a_line_that_is_gone_keeps_nobody_from_a_draft() -> None:
    first = make_over(1)
    line = first.lines.get()
    line.gone_at = timezone.now()
    line.save()
    redial = confirm(count(first, result="no_answer"))
    assert redial.status == "failed"
    assert redial.reason == DRAFT_REFUSED
    usable = make_line(account=first.account)
    redialing.count_again(redial)
    redialing.work_on(redial.pk)
    redial.refresh_from_db()
    confirm(redial)
    assert redial.task is not None
    assert list(redial.task.lines.all()) == [usable]


# -------------------------------------------------------------------------------- who is not chosen


@pytest.mark.parametrize("status", ["ready", "planned", "sending", "accepted"])
def test_who_is_under_way_is_not_chosen(status: str) -> None:
    first = make_over(1)
    make_person(first, 2, status=status)
    redial = count(first, called="yes")
    assert why(redial) == {"waiting": 1}
    assert redial.counts["chosen"] == 1


def test_who_is_unknown_is_never_chosen_nor_by_another_row() -> None:
    first = make_over(1)
    make_person(first, 2, status="unknown")
    # the same number once more, finished, and chosen
    make_person(first, 2)
    redial = count(first, status__exact="finished")
    assert why(redial) == {"unknown": 1}
    assert phones(redial_all(first, status__exact="finished")) == [phone_of(1)]


def test_who_is_unknown_in_another_round_is_not_chosen() -> None:
    first = make_over(2)
    second = make_task(
        account=first.account, robot=first.robot, family=first, round=2, status="running"
    )
    make_person(second, 1, status="unknown", calls_made=0, result="")
    assert why(count(first, task__id__exact=str(first.pk))) == {"unknown": 1}


def test_who_talks_just_now_is_not_chosen() -> None:
    first = make_over(2)
    contact = first.contacts.order_by("id").first()
    assert contact is not None
    add_call(contact, stage="talking", answered=None, result="unknown", happened_at=timezone.now())
    assert why(count(first, result="no_answer")) == {"waiting": 1}


def test_who_was_left_out_before_is_not_chosen() -> None:
    first = make_over(1)
    make_person(first, 2, status="excluded", reason="Twice in the file.", calls_made=0, result="")
    redial = count(first)
    assert why(redial) == {"left_out": 1}


def test_who_was_withdrawn_before_anybody_called_may_be_chosen() -> None:
    first = make_over(0)
    make_person(first, 1, status="withdrawn", calls_made=0, result="")
    assert phones(redial_all(first, status__exact="withdrawn")) == [phone_of(1)]


def test_barred_numbers_are_not_chosen() -> None:
    first = make_over(3)
    bar_number(phone_of(1), account=first.account, source="manual")
    bar_number(phone_of(2), source="manual")
    redial = confirm(count(first, result="no_answer"))
    assert why(redial) == {"barred": 2}
    assert redial.task is not None
    assert phones(redial.task) == [phone_of(3)]


def test_who_said_no_is_not_chosen_though_the_rule_came_later() -> None:
    first = make_over(1)
    contact = make_person(first, 2, intention="D")
    call = add_call(contact, intention="Ｄ ", answered=True, result="answered")
    rule = DoNotCallRule.objects.create(account=first.account, intention="d")
    redial = count(first, called="yes")
    assert why(redial) == {"said_no": 1}
    # somebody looked into it and allowed the number again
    entry = bar_number(contact.phone, account=first.account, source="rule", call=call, rule=rule)
    lift_bar(entry, by=User.objects.create_user("boss"), reason="Asked for a call.")
    assert why(count(first, called="yes")) == {}


@pytest.mark.parametrize(
    "said",
    [
        {"intention": "A", "intention_min": "D"},
        {"intention": "A", "evidence": {"intention": [[2, "b", "A"], [1, "a", "D"]]}},
    ],
)
def test_a_no_that_was_not_the_last_word_is_one(said: dict[str, Any]) -> None:
    first = make_over(1)
    contact = make_person(first, 2)
    call = add_call(contact, **{"intention_min": "", "robot": None} | said)
    assert call.robot_id is None
    # of the robot of its task, though the platform does not say which one it was
    DoNotCallRule.objects.create(account=first.account, intention="d", robot=first.robot)
    assert why(count(first, called="yes")) == {"said_no": 1}


def test_what_no_column_can_hold_is_nobodys() -> None:
    make_over(2)
    redial = begin(CONTACTS, attempts_from="40000")
    assert (redial.status, redial.counts["rows"]) == ("counted", 0)


def test_what_a_person_heard_as_a_no_is_one() -> None:
    first = make_over(1)
    contact = make_person(first, 2)
    call = add_call(contact, intention="A", answered=True, result="answered")
    Correction.objects.create(call=call, intention="D", was="A")
    DoNotCallRule.objects.create(account=first.account, intention="D")
    assert why(count(first, called="yes")) == {"said_no": 1}


def test_a_no_that_is_old_enough_is_none() -> None:
    first = make_over(1)
    contact = make_person(first, 2)
    long_ago = timezone.now() - timedelta(days=40)
    call = add_call(contact, intention="D", happened_at=long_ago)
    type(call).objects.filter(pk=call.pk).update(created_at=long_ago)
    rule = DoNotCallRule.objects.create(account=first.account, intention="D", days=30)
    assert why(count(first, called="yes")) == {}
    rule.days = 60
    rule.save()
    assert why(count(first, called="yes")) == {"said_no": 1}


def test_who_would_be_called_too_often_is_not_chosen() -> None:
    account = make_account(cap_calls=2, cap_days=7)
    first = make_over(2, account=account)
    contact = first.contacts.order_by("id").first()
    assert contact is not None
    add_call(contact)
    redial = confirm(count(first, result="no_answer"))
    assert why(redial) == {"capped": 1}
    assert redial.task is not None
    assert phones(redial.task) == [phone_of(2)]


def test_the_newest_call_decides_unless_any_is_wanted() -> None:
    first = make_over(2)
    contact = first.contacts.order_by("id").first()
    assert contact is not None
    add_call(contact, result="answered", answered=True, happened_at=timezone.now())
    redial = count(first, CALLS, result__exact="no_answer")
    assert why(redial) == {"later": 1}
    assert redial.counts["chosen"] == 1
    redialing.count_again(redial, newest_only=False)
    redialing.work_on(redial.pk)
    redial.refresh_from_db()
    assert (why(redial), redial.counts["chosen"]) == ({}, 2)


def test_the_newest_round_decides() -> None:
    first = make_over(3)
    second = redial_all(first, result="no_answer")
    finish(second, answered={phone_of(1), phone_of(2)})
    redial = count(first, task__id__exact=str(first.pk), result="no_answer")
    assert why(redial) == {"later": 3}
    assert phones(redial_all(first, result="no_answer")) == [phone_of(3)]


def test_a_draft_that_was_given_up_is_no_news() -> None:
    first = make_over(2)
    second = redial_all(first, result="no_answer")
    assert why(count(first, result="no_answer")) == {"waiting": 2}
    dispatch.delete_task(second, by=None)
    assert phones(redial_all(first, result="no_answer")) == [phone_of(1), phone_of(2)]


def test_calls_of_nobody_and_of_other_families_are_told() -> None:
    first = make_over(2)
    other = make_over(2, account=first.account, robot=first.robot)
    make_call(first, None, result="no_answer")
    redial = begin(CALLS, account__id__exact=str(first.account_id), result__exact="no_answer")
    assert redial.status == "counted"
    assert redial.family is None
    assert redial.counts["without_contact"] == 1
    assert {pk for pk, _people in redial.counts["families"]} == {first.pk, other.pk}
    with pytest.raises(RedialRefused):
        redialing.confirm_redial(redial, name="x", robot=first.robot)
    with pytest.raises(RedialRefused):
        redialing.count_again(redial, family=make_task())
    redialing.count_again(redial, family=other)
    redialing.work_on(redial.pk)
    redial.refresh_from_db()
    confirm(redial)
    assert redial.task is not None
    assert redial.task.family == other
    assert redial.task.contacts.count() == 2


def test_a_number_that_was_chosen_ten_times_is_called_once() -> None:
    first = make_over(1)
    for _ in range(9):
        make_person(first, 1)
    redial = count(first, result="no_answer")
    assert redial.counts["rows"] == 10
    assert redial.counts["people"] == redial.counts["chosen"] == 1
    confirm(redial)
    assert redial.task is not None
    assert redial.task.contacts.count() == 1


# ----------------------------------------------------------------------------- two at once, or late


def test_the_same_people_in_two_selections_are_in_one_draft() -> None:
    first = make_over(4)
    one = count(first, result="no_answer")
    two = count(first, CALLS, result__exact="no_answer")
    assert one.counts["chosen"] == two.counts["chosen"] == 4
    confirm(one)
    confirm(two)
    assert one.status == "made"
    assert two.status == "failed"
    assert Contact.objects.filter(status="ready").count() == 4


@pytest.mark.django_db(transaction=True)
def test_two_who_press_at_once_call_nobody_twice() -> None:
    first = make_over(6)
    waiting = []
    for status in ("no_answer", "no_answer", "no_answer"):
        redial = count(first, result=status)
        assert redial.robot is not None
        redialing.confirm_redial(redial, name="Again", robot=redial.robot)
        waiting.append(redial)

    def work(redial: Redial) -> Callable[[], None]:
        return lambda: redialing.work_on(redial.pk)

    run_at_once([work(redial) for redial in waiting])
    states = sorted(Redial.objects.values_list("status", flat=True))
    assert states == ["failed", "failed", "made"]
    assert Contact.objects.filter(status="ready").count() == 6


@pytest.mark.django_db(transaction=True)
def test_one_redial_worked_on_by_two_is_made_once() -> None:
    redial = count(make_over(5), result="no_answer")
    assert redial.robot is not None
    redialing.confirm_redial(redial, name="Again", robot=redial.robot)
    run_at_once([lambda: redialing.work_on(redial.pk)] * 3)
    assert Task.objects.filter(round=2).count() == 1
    assert Contact.objects.filter(status="ready").count() == 5


@pytest.mark.django_db(transaction=True)
def test_two_rounds_planned_at_once_take_nobody_twice() -> None:
    """Rows that somebody put into both by hand: the planner is the guard."""
    first = make_task(status="loading")
    second = make_task(
        account=first.account, robot=first.robot, family=first, round=2, status="loading"
    )
    for task in (first, second):
        for number in range(1, 30):
            make_contact(task=task, phone=phone_of(number), family_id=first.pk, round=task.round)
    run_at_once([lambda: batching.plan_batches(first), lambda: batching.plan_batches(second)])
    planned = Contact.objects.filter(status="planned").values_list("phone", flat=True)
    assert len(planned) == len(set(planned)) == 29
    assert Contact.objects.filter(status="excluded").count() == 29


def test_a_number_under_way_in_another_round_is_not_planned() -> None:
    first = make_over(1)
    second = redial_all(first, result="no_answer")
    # the first round comes back to life: somebody decided to send a batch again
    Contact.objects.filter(task=first).delete()
    make_contact(task=first, phone=phone_of(1), status="accepted", family_id=first.pk)
    dispatch.launch_task(second, by=None)
    batching.plan_batches(second)
    assert phones(second, "excluded") == [phone_of(1)]


def test_what_became_known_meanwhile_keeps_people_out_of_a_launch() -> None:
    first = make_over(4)
    task = redial_all(first, CALLS, result__exact="no_answer")
    early = {contact.phone: contact for contact in first.contacts.all()}
    # a call of yesterday is told today: somebody did answer
    add_call(early[phone_of(1)], result="answered", answered=True, happened_at=timezone.now())
    # another one said no
    bar_number(phone_of(2), account=first.account, source="manual")
    # and a request of the first round is in doubt after all
    make_person(first, 3, status="unknown", calls_made=0)
    dispatch.launch_task(task, by=None)
    jobs.follow(task.pk, dispatch.Next("plan"))
    assert phones(task, "planned") == [phone_of(4)]
    reasons = dict(
        Contact.objects.filter(task=task, status="excluded").values_list("phone", "reason")
    )
    assert reasons[phone_of(1)] == reasons[phone_of(3)] == FITS_NO_MORE
    assert "do-not-call" in reasons[phone_of(2)]


def test_its_own_calls_are_no_news_to_a_draft() -> None:
    """What is planned once more (after a request that was never sent) is still meant for it."""
    first = make_over(2)
    task = redial_all(first, result="no_answer")
    assert redialing.exclude_changed(task) == 0
    contact = task.contacts.order_by("id").first()
    assert contact is not None
    add_call(contact, result="answered", answered=True, happened_at=timezone.now())
    assert redialing.exclude_changed(task) == 0


def test_parts_of_a_parted_draft_are_asked_about_too() -> None:
    first = make_over(30)
    task = redial_all(first, result="no_answer")
    voice = make_voice(account=first.account)
    begun = experiments.begin_experiment(task, name="v", robot=task.robot, voice=voice)
    experiment = experiments.split_experiment(begun.pk)
    assert isinstance(experiment, Experiment)
    second = experiment.second
    assert second is not None
    assert redialing.exclude_changed(second) == redialing.exclude_changed(task) == 0
    phone = phones(second)[0]
    add_call(first.contacts.get(phone=phone), result="answered", happened_at=timezone.now())
    Contact.objects.filter(task=first, phone=phone).update(result="answered")
    assert redialing.exclude_changed(second) == 1
    # and nobody of either part can be chosen by a third selection
    assert why(count(first, result="no_answer")) == {"waiting": 29}


def test_a_rule_that_fires_between_count_and_draft_is_seen() -> None:
    first = make_over(2)
    redial = count(first, result="no_answer")
    DoNotCallRule.objects.create(account=first.account, intention="D")
    contact = first.contacts.order_by("id").first()
    assert contact is not None
    evidence = {"intention": [[0, "push", "D"]]}
    call = add_call(contact, intention="D", evidence=evidence)
    apply_rules(first.account_id, [call.pk])
    confirm(redial)
    assert redial.task is not None
    assert phones(redial.task) == [phone_of(2)]
    assert redial.counts["chosen"] == 1


# ---------------------------------------------------------------------------------------- the steps


def test_everything_there_ever_was_is_no_choice() -> None:
    with pytest.raises(RedialRefused):
        redialing.begin_redial(read_criteria(CALLS, {}))


def test_what_was_counted_again_is_not_confirmed_unseen() -> None:
    redial = count(make_over(2), result="no_answer")
    seen = redialing.stamp_of(redial)
    redialing.count_again(redial)
    redialing.work_on(redial.pk)
    redial.refresh_from_db()
    assert redial.robot is not None
    with pytest.raises(RedialRefused):
        redialing.confirm_redial(redial, name="x", robot=redial.robot, seen=seen)
    with pytest.raises(RedialRefused):  # another account's robot
        redialing.confirm_redial(redial, name="x", robot=make_robot())
    redialing.confirm_redial(redial, name="x", robot=redial.robot, seen=redialing.stamp_of(redial))
    with pytest.raises(RedialRefused):  # a second click
        redialing.confirm_redial(redial, name="x", robot=redial.robot)


def test_what_was_given_up_makes_nothing() -> None:
    first = make_over(2)
    redial = count(first, result="no_answer")
    assert redial.robot is not None
    redialing.confirm_redial(redial, name="x", robot=redial.robot)
    redialing.cancel_redial(redial)
    redialing.work_on(redial.pk)
    assert Task.objects.count() == 1
    assert redial.status == "cancelled"
    with pytest.raises(RedialRefused):
        redialing.cancel_redial(redial)


def test_a_job_that_died_is_begun_again_three_times() -> None:
    first = make_over(2)
    redial = redialing.begin_redial(read_criteria(CONTACTS, {"family": str(first.pk)}))
    for tries in range(3):
        Redial.objects.filter(pk=redial.pk).update(tries=tries)
        redialing.settle_redials()
    Redial.objects.filter(pk=redial.pk).update(tries=3)
    redialing.work_on(redial.pk)
    redial.refresh_from_db()
    assert redial.status == "failed"
    redialing.count_again(redial)
    redialing.work_on(redial.pk)
    redial.refresh_from_db()
    assert redial.status == "counted"


def test_nobody_left_is_no_draft() -> None:
    first = make_over(1)
    redial = count(first, result="no_answer")
    bar_number(phone_of(1), source="manual")
    confirm(redial)
    assert redial.status == "failed"
    assert Task.objects.count() == 1
