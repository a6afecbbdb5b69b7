"""In: drafts that are parted by chance. Out: everybody is in exactly one of two tasks, and a
difference is called one only when it is.

Must catch: a number in both groups, or in none; a group that chance did not make (by age, by order
of the file); a launched task that is parted; a second split of the same contacts; an import that
takes back what another task calls; a person counted as often as called; calls of people who were
never drawn; chance that is called a difference.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from campaigns import batching, dispatch, experiments
from campaigns.experiments import ExperimentRefused, compare
from campaigns.experiments.splitting import DRAFT_REFUSED
from campaigns.importing import ImportRefused, import_file
from campaigns.importing.undo import PARTED, undo_import
from campaigns.intervals import Share
from campaigns.models import (
    Contact,
    ContactImport,
    Correction,
    Experiment,
    StatusChange,
    Task,
)
from tests.at_once import run_at_once
from tests.campaigns.admin.world import make_call
from tests.factories import make_contact, make_robot, make_task, make_voice

pytestmark = pytest.mark.django_db


def make_draft(people: int = 60, **fields: Any) -> Task:
    task = make_task(**fields)
    for number in range(1, people + 1):
        make_contact(task=task, phone=f"199{number:08d}")
    return task


def begin(task: Task, **fields: Any) -> Experiment:
    voice = None
    if "robot" not in fields:
        voice = fields.pop("voice", None) or make_voice(account=task.account)
    robot = fields.pop("robot", task.robot)
    return experiments.begin_experiment(
        task, **{"name": "Two voices", "robot": robot, "voice": voice} | fields
    )


def part(task: Task, **fields: Any) -> Experiment:
    experiment = experiments.split_experiment(begin(task, **fields).pk)
    assert experiment is not None
    return experiment


def phones(task: Task | None) -> set[str]:
    return set(Contact.objects.filter(task=task).values_list("phone", flat=True))


def test_everybody_is_in_exactly_one_of_the_two() -> None:
    task = make_draft()
    before = phones(task)
    rows = set(task.contacts.values_list("pk", flat=True))
    experiment = part(task)
    assert experiment.status == "split"
    first, second = phones(task), phones(experiment.second)
    assert first | second == before
    assert not first & second
    # the same rows, moved: none made, none lost
    assert set(Contact.objects.values_list("pk", flat=True)) == rows
    assert first
    assert second


def test_who_is_where_can_be_reckoned_again_from_the_seed() -> None:
    experiment = part(make_draft(200), share=30)
    for task, expected in ((experiment.first, False), (experiment.second, True)):
        for phone in phones(task):
            told = experiments.is_second(phone, seed=experiment.seed, share=experiment.share)
            assert told is expected


def test_chance_keeps_to_the_share_and_to_nothing_else() -> None:
    phones_of = [f"199{number:08d}" for number in range(10_000)]
    for seed, share in (("a", 50), ("b", 20), ("c", 99)):
        chosen = [experiments.is_second(one, seed=seed, share=share) for one in phones_of]
        assert abs(sum(chosen) / 100 - share) < 2
        # neither half of the file is preferred
        assert abs(sum(chosen[:5000]) - sum(chosen[5000:])) < 250
    one = [experiments.is_second(phone, seed="a", share=50) for phone in phones_of]
    other = [experiments.is_second(phone, seed="b", share=50) for phone in phones_of]
    assert 4700 < sum(left == right for left, right in zip(one, other, strict=True)) < 5300


def test_rows_with_one_number_go_together() -> None:
    task = make_draft(40)
    for number in range(1, 41):
        make_contact(task=task, phone=f"199{number:08d}", status="excluded", reason="Twice.")
    experiment = part(task)
    assert not phones(task) & phones(experiment.second)
    assert Contact.objects.filter(status="excluded").count() == 40


def test_the_second_task_is_the_first_with_another_voice_and_of_its_family() -> None:
    parent = make_task()
    task = make_draft(
        account=parent.account, robot=parent.robot, family=parent, round=2, recall_count=1,
        recall_wait_seconds=60, windows=[["09:00:00", "12:00:00"]],
    )  # fmt: skip
    experiment = part(task)
    second = experiment.second
    assert second is not None
    assert second.voice == experiment.voice
    assert (second.family, second.round, second.status) == (parent, 2, "draft")
    assert (second.recall_count, second.windows) == (1, task.windows)
    assert set(second.lines.all()) == set(task.lines.all())
    told = StatusChange.objects.filter(subject="task", subject_id__in=[task.pk, second.pk])
    assert told.count() == 2
    assert all("Two voices" in change.sentence for change in told)


def test_another_robot_gets_its_columns_from_those_of_the_rows() -> None:
    task = make_draft(0)
    for number in range(1, 41):
        values = {"客户手机号码": f"199{number:08d}", "姓名": f"人{number}", "城市": "合肥"}
        make_contact(task=task, phone=f"199{number:08d}", values=values)
    robot = make_robot(account=task.account, columns=["phone", "name", "姓名", "note"])
    with pytest.raises(ExperimentRefused) as refused:
        begin(task, robot=robot)
    assert list(refused.value.errors) == ["mapping"]
    experiment = part(task, robot=robot, mapping={"name": "城市", "note": ""})
    assert experiment.second is not None
    for contact in experiment.second.contacts.all():
        assert contact.values["phone"] == contact.phone
        assert contact.values["name"] == "合肥"
        assert contact.values["姓名"].startswith("人")
        assert contact.values["note"] == ""
    assert not any("robot" in problem for problem in dispatch.check_launch(experiment.second))
    assert set(task.contacts.first().values) == {"客户手机号码", "姓名", "城市"}  # type: ignore[union-attr]


def test_both_are_launched_and_nobody_is_planned_twice() -> None:
    experiment = part(make_draft(30))
    for task in (experiment.first, experiment.second):
        assert task is not None
        dispatch.launch_task(task, by=None)
        batching.plan_batches(task)
    planned = Contact.objects.filter(status="planned").values_list("phone", flat=True)
    assert len(planned) == len(set(planned)) == 30


def test_a_number_put_into_both_by_hand_is_planned_once() -> None:
    """An import into one of the tasks may bring somebody of the other."""
    experiment = part(make_draft(30))
    assert experiment.second is not None
    guest = next(iter(phones(experiment.second)))
    make_contact(task=experiment.first, phone=guest)
    for task in (experiment.second, experiment.first):
        dispatch.launch_task(task, by=None)
        batching.plan_batches(task)
    assert Contact.objects.filter(phone=guest, status="planned").count() == 1


def test_what_was_launched_meanwhile_is_not_parted() -> None:
    task = make_draft()
    experiment = begin(task)
    dispatch.launch_task(task, by=None)
    experiments.split_experiment(experiment.pk)
    experiment.refresh_from_db()
    assert experiment.status == "failed"
    assert experiment.reason
    assert task.contacts.count() == 60
    assert Task.objects.count() == 1
    with pytest.raises(ExperimentRefused):
        begin(task)


def test_a_job_that_comes_twice_parts_once() -> None:
    task = make_draft()
    experiment = part(task)
    kept = phones(task)
    assert experiments.split_experiment(experiment.pk) is None
    assert phones(task) == kept
    assert Task.objects.count() == 2
    assert experiments.list_waiting_splits() == []


def test_a_task_is_in_one_experiment_only() -> None:
    experiment = part(make_draft())
    for task in (experiment.first, experiment.second):
        assert task is not None
        with pytest.raises(ExperimentRefused):
            begin(task)


def test_when_the_other_robot_is_gone_nothing_is_parted() -> None:
    task = make_draft()
    robot = make_robot(account=task.account)
    experiment = begin(task, robot=robot)
    robot.deleted = True
    robot.save()
    experiments.split_experiment(experiment.pk)
    experiment.refresh_from_db()
    assert experiment.status == "failed"
    assert experiment.reason == DRAFT_REFUSED
    assert task.contacts.count() == 60
    assert Task.objects.count() == 1
    assert begin(task).status == "splitting"  # it can be tried again


def test_when_chance_leaves_a_group_empty_nothing_is_parted() -> None:
    task = make_draft(2)
    experiment = begin(task, share=1)
    Experiment.objects.filter(pk=experiment.pk).update(seed="0")
    assert not any(experiments.is_second(phone, seed="0", share=1) for phone in phones(task))
    experiments.split_experiment(experiment.pk)
    experiment.refresh_from_db()
    assert experiment.status == "failed"
    assert Task.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "a\x00b"}),
        ("share", {"share": 0}),
        ("share", {"share": 100}),
        ("measure", {"measure": "luck"}),
        ("measure_intention", {"measure": "intention"}),
    ],
)
def test_what_cannot_be_is_refused(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ExperimentRefused) as refused:
        begin(make_draft(2), **fields)
    assert field in refused.value.errors
    assert not Experiment.objects.exists()


def test_two_groups_that_hear_the_same_are_no_experiment() -> None:
    task = make_draft(2)
    with pytest.raises(ExperimentRefused):
        experiments.begin_experiment(task, name="Same", robot=task.robot, voice=None)
    with pytest.raises(ExperimentRefused):
        begin(task, robot=make_robot())  # of another account
    with pytest.raises(ExperimentRefused):
        begin(task, voice=make_voice())


@pytest.mark.django_db(transaction=True)
def test_two_who_click_at_once_part_it_once() -> None:
    task = make_draft(20)
    voice = make_voice(account=task.account)

    def click() -> bool:
        try:
            begin(Task.objects.get(pk=task.pk), voice=voice)
        except ExperimentRefused:
            return False
        return True

    assert sorted(run_at_once([click] * 4)) == [False, False, False, True]


@pytest.mark.django_db(transaction=True)
def test_a_launch_at_the_same_moment_is_before_or_after_the_split() -> None:
    """Either the task was launched whole, or both parts are drafts or launched apart."""
    for _ in range(5):
        task = make_draft(10)
        experiment = begin(task)

        def launch(task: Task = task) -> None:
            dispatch.launch_task(Task.objects.get(pk=task.pk), by=None)
            batching.plan_batches(task)

        def split(experiment: Experiment = experiment) -> Any:
            return experiments.split_experiment(experiment.pk)

        run_at_once([launch, split])
        experiment.refresh_from_db()
        here = task.contacts.count()
        if experiment.status == "failed":
            assert here == 10
        else:
            assert experiment.second is not None
            assert here + experiment.second.contacts.count() == 10
            assert experiment.second.status == "draft"
        Contact.objects.all().delete()


def test_an_import_of_which_a_part_is_elsewhere_is_not_taken_back() -> None:
    task = make_task()
    lines = [f"199{number:08d},张三" for number in range(1, 41)]
    text = "\n".join(["客户手机号码,姓名", *lines])
    source = import_file(task, text.encode(), file_name="people.csv")
    assert source.loaded == 40
    part(task)
    with pytest.raises(ImportRefused) as refused:
        undo_import(ContactImport.objects.get(pk=source.pk))
    assert refused.value.message == PARTED
    assert Contact.objects.count() == 40


# ------------------------------------------------------------------------------------- the counting


def test_people_are_counted_once_and_only_those_who_were_drawn() -> None:
    experiment = part(make_draft(40))
    first, second = experiment.first, experiment.second
    assert second is not None
    people = list(first.contacts.order_by("id"))
    now = timezone.now()
    # called three times, reached at last, with two intentions of which the newer one counts
    make_call(first, people[0], result="no_answer", answered=False, intention="", talk_seconds=0)
    make_call(first, people[0], intention="B", happened_at=now - timedelta(hours=2))
    make_call(first, people[0], intention="A", happened_at=now - timedelta(hours=1))
    # a mailbox is nobody, and its intention is nobody's
    make_call(first, people[1], result="voicemail", intention="A")
    # no such number; no end known yet; hung up at the greeting
    make_call(first, people[2], result="invalid_number", answered=False, intention="")
    make_call(first, people[3], result="unknown", answered=None, intention="", talk_seconds=None)
    make_call(first, people[4], intention="", talk_seconds=3)
    # a person said what a reviewer heard
    call = make_call(first, people[5], intention="C")
    Correction.objects.create(call=call, intention="A", was="C")
    # a call that came in, and somebody who was put into the task later
    make_call(first, people[6], direction="inbound")
    late = make_contact(task=first, phone="19988888888")
    make_call(first, late)
    # one of nobody, and one of the other group
    make_call(first, None)
    make_call(second, second.contacts.first(), intention="B")
    experiments.count_experiment(experiment.pk)
    experiment.refresh_from_db()
    groups = experiments.read_groups(experiment)
    assert groups is not None
    one, two = groups
    assert one.people == len(people)
    assert (one.called, one.reached, one.timed, one.talked) == (4, 3, 3, 2)
    assert one.invalid == 1
    assert one.intentions == {"A": 2}
    assert (two.called, two.reached, two.intentions) == (1, 1, {"B": 1})
    lines = {
        (line.what, line.intention, line.base): (line.first, line.second)
        for line in experiments.list_lines(one, two)
    }
    assert lines["reached", "", "called"] == (Share(3, 4), Share(1, 1))
    assert lines["talked", "", "called"] == (Share(2, 4), Share(1, 1))
    assert lines["intention", "A", "called"] == (Share(2, 4), Share(0, 1))
    assert lines["intention", "A", "reached"] == (Share(2, 3), Share(0, 1))


def test_numbers_are_counted_again_while_something_may_come() -> None:
    experiment = part(make_draft(20))
    assert experiments.list_due_counts() == [experiment.pk]
    experiments.count_experiment(experiment.pk)
    assert experiments.list_due_counts() == []
    old = timezone.now() - timedelta(minutes=2)
    Experiment.objects.update(counted_at=old)
    assert experiments.list_due_counts() == []  # two drafts: nothing comes
    Task.objects.filter(pk=experiment.first_id).update(status="running")
    assert experiments.list_due_counts() == [experiment.pk]
    Task.objects.update(status="finished", finished_at=timezone.now())
    assert experiments.list_due_counts() == [experiment.pk]
    Task.objects.update(finished_at=timezone.now() - timedelta(days=30))
    assert experiments.list_due_counts() == []


# ------------------------------------------------------------------------------------ the judgement


def test_a_difference_that_may_be_chance_is_not_called_one() -> None:
    told = compare(Share(10, 100), Share(15, 100))
    assert told.winner == ""
    assert told.interval is not None
    assert 0 in told.interval
    # what 10% against 15% needs by the books: 686 on each side (power.prop.test: 685.6)
    assert told.missing == 686 - 100


def test_a_difference_that_is_one_has_its_side() -> None:
    assert compare(Share(100, 1000), Share(150, 1000)).winner == "second"
    assert compare(Share(150, 1000), Share(100, 1000)).winner == "first"


def test_of_nobody_nothing_is_said() -> None:
    for first, second in ((Share(0, 0), Share(3, 9)), (Share(3, 9), Share(0, 0))):
        told = compare(first, second)
        assert (told.winner, told.missing, told.interval) == (None, None, None)
    equal = compare(Share(5, 10), Share(5, 10))
    assert (equal.winner, equal.missing) == ("", None)
    assert compare(Share(0, 10), Share(0, 10)).winner == ""


def test_of_a_hundred_experiments_without_a_difference_about_five_see_one() -> None:
    """Two groups of the same truth, a thousand times: what 95% means."""
    chance = random.Random(7)

    def draw(rate: float, trials: int) -> Share:
        return Share(sum(chance.random() < rate for _ in range(trials)), trials)

    for rate, trials in ((0.3, 120), (0.05, 200)):
        seen = sum(
            compare(draw(rate, trials), draw(rate, trials)).winner != "" for _ in range(1000)
        )
        assert seen < 70
    # and one that is there is found, about as often as was reckoned
    found = sum(compare(draw(0.1, 200), draw(0.2, 200)).winner == "second" for _ in range(300))
    assert 0.7 < found / 300 < 0.9
