"""In: calls and rules. Out: what is drawn, twice the same; judged by one or two, each for oneself.

Must catch: a sample that depends on when or how often it is drawn; one that prefers some calls; a
call given to two people at once; a second reviewer who is told what the first said; a correction of
what reviewers do not agree about; a robot's version of today for a call of last month.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from campaigns import correcting, reviewing
from campaigns.models import (
    Call,
    Correction,
    Judgement,
    Review,
    ReviewRule,
    Robot,
    RobotVersion,
)
from campaigns.reviewing import drawing, judging
from tests.at_once import run_at_once
from tests.campaigns.admin.world import make_user
from tests.factories import make_account, make_robot

pytestmark = pytest.mark.django_db

LATER = timedelta(hours=1)
_numbers = count(1)


def make_calls(number: int, **fields: Any) -> list[Call]:
    """Ended calls with a dialog, one after the other."""
    robot = fields.pop("robot", None) or make_robot()
    at = fields.pop("happened_at", timezone.now())
    values: dict[str, Any] = {
        "account": robot.account,
        "robot": robot,
        "intention": "A",
        "result": "answered",
        "answered": True,
        "turns_count": 3,
        "has_record": True,
    }
    rows = [
        Call(
            platform_call_id=f"call-{next(_numbers)}",
            happened_at=at + timedelta(seconds=place),
            **values | fields,
        )
        for place in range(number)
    ]
    return Call.objects.bulk_create(rows)


def make_rule(**fields: Any) -> ReviewRule:
    values: dict[str, Any] = {"name": f"Rule {ReviewRule.objects.count()}", "second_percent": 0}
    if "per_day" not in fields:
        values["percent"] = 100
    return ReviewRule.objects.create(**values | fields)


def draw(rule: ReviewRule, *, now: datetime | None = None) -> int:
    return reviewing.draw_reviews(rule.pk, now=now or timezone.now() + LATER).number


def list_drawn(rule: ReviewRule) -> set[int]:
    return set(rule.reviews.values_list("call_id", flat=True))


# --------------------------------------------------------------------------------------- drawing


def test_drawing_twice_chooses_the_same_calls() -> None:
    make_calls(2000)
    rule = make_rule(percent=10)
    assert draw(rule) > 0
    first = list_drawn(rule)
    assert draw(rule) == 0, "What was looked at is not looked at again."
    rule.reviews.all().delete()
    ReviewRule.objects.update(looked_through=0)
    draw(rule)
    assert list_drawn(rule) == first
    other = make_rule(percent=10)
    draw(other)
    assert list_drawn(other) != first, "Every rule draws for itself."


def test_the_share_is_right_and_prefers_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "STEP", 700)  # several steps
    calls = make_calls(4000)
    rule = make_rule(percent=25, second_percent=20)
    draw(rule)
    drawn = list_drawn(rule)
    # five standard deviations of a fair draw: one run of two million is outside
    assert abs(len(drawn) - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5
    first_half = {call.pk for call in calls[:2000]}
    assert abs(len(drawn & first_half) - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5
    twice = rule.reviews.filter(wanted=2).count()
    assert abs(twice - 200) < 5 * (len(drawn) * 0.2 * 0.8) ** 0.5


def test_python_and_sql_draw_the_same_number() -> None:
    make_calls(50, intention="é中'")
    rule = make_rule()
    for call in drawing.select_fitting(rule):
        assert call.lot == drawing.draw_number(rule.seed, call)


def test_a_rule_draws_what_fits_alone() -> None:
    mine, other = make_robot(), make_robot()
    wanted = make_calls(5, robot=mine, talk_seconds=30)
    make_calls(5, robot=other, talk_seconds=30)
    make_calls(3, robot=mine, talk_seconds=5, happened_at=timezone.now() + LATER)
    make_calls(3, robot=mine, stage="talking", happened_at=timezone.now() + 24 * LATER)
    make_calls(3, robot=mine, talk_seconds=30, happened_at=timezone.now() - 50 * LATER)
    rule = make_rule(criteria={"talk_from": "10", "result__exact": ["answered"]})
    rule.robots.set([mine])
    draw(rule)
    assert list_drawn(rule) == {call.pk for call in wanted}


def test_old_calls_are_not_even_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "STEP", 10)
    long_ago = timezone.now() - timedelta(days=30)
    old = make_calls(300, happened_at=long_ago)
    Call.objects.update(created_at=long_ago)
    new = make_calls(20)
    rule = make_rule()
    before = drawing._find_before(timezone.now() - LATER, new[-1].pk)
    assert old[-1].pk - 10 <= before <= new[0].pk
    assert draw(rule) == 20


def test_calls_that_just_came_wait_for_their_dialog() -> None:
    make_calls(5)
    rule = make_rule()
    assert draw(rule, now=timezone.now()) == 0
    rule.refresh_from_db()
    assert rule.looked_through == 0
    assert draw(rule) == 5


@pytest.mark.parametrize("late", [timedelta(hours=30), timedelta(days=6)])
def test_a_call_whose_record_came_late_is_drawn_by_a_later_look(late: timedelta) -> None:
    known, unknown = make_calls(3), make_calls(3, stage="talking", intention="", result="")
    rule = make_rule()
    assert draw(rule) == 3
    now = timezone.now()
    assert draw(rule, now=now + late) == 0
    Call.objects.filter(pk__in=[call.pk for call in unknown]).update(stage="ended")
    assert draw(rule, now=now + late + timedelta(days=2)) == 3
    assert list_drawn(rule) == {call.pk for call in known + unknown}
    assert draw(rule, now=now + timedelta(days=30)) == 0


def test_so_many_of_each_day_once_it_is_over() -> None:
    today = timezone.localtime().replace(hour=12, minute=0)
    robot = make_robot()
    days = [today - timedelta(days=back) for back in (3, 2, 1, 0)]
    for day in days:
        make_calls(40, robot=robot, happened_at=day)
    rule = make_rule(per_day=7, since=days[0].date())
    assert draw(rule, now=today) == 21, "Three days are over, the fourth is not."
    of_day = {
        day.date(): {
            pk for pk, at in rule.reviews.values_list("call_id", "call__happened_at")
            if timezone.localdate(at) == day.date()
        }
        for day in days
    }  # fmt: skip
    assert [len(of_day[day.date()]) for day in days] == [7, 7, 7, 0]
    assert draw(rule, now=today) == 0
    rule.reviews.all().delete()
    ReviewRule.objects.update(drawn_through=None)
    draw(rule, now=today)
    assert list_drawn(rule) == set().union(*of_day.values())


def test_what_is_not_understood_any_more_is_said() -> None:
    make_calls(3)
    rule = make_rule(criteria={"colour": "red"})
    assert draw(rule) == 0
    rule.refresh_from_db()
    assert rule.problem == drawing.BAD_CRITERIA


def test_a_rule_that_nobody_works_off_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MOST_WAITING", 4)
    monkeypatch.setattr(drawing, "STEP", 5)
    make_calls(40)
    rule = make_rule()
    assert draw(rule) < 15
    rule.refresh_from_db()
    assert rule.problem == drawing.TOO_MANY
    Review.objects.update(missing=0)
    assert draw(rule) > 0


@pytest.mark.django_db(transaction=True)
def test_two_workers_draw_each_call_once() -> None:
    make_calls(300)
    rule = make_rule()
    run_at_once([lambda: reviewing.draw_reviews(rule.pk, now=timezone.now() + LATER)] * 4)
    draw(rule)
    assert rule.reviews.count() == 300


# --------------------------------------------------------------------------------------- judging


@pytest.fixture
def people() -> list[User]:
    return [make_user("operator", username=name) for name in ("ann", "bob", "cem")]


def make_queue(number: int = 1, *, two: bool = False, **fields: Any) -> ReviewRule:
    make_calls(number, **fields)
    rule = make_rule(second_percent=100 if two else 0)
    draw(rule)
    return rule


def judge(user: User, intention: str | None = "A", verdict: str = "approved") -> Judgement:
    review = reviewing.claim_review(user)
    assert review is not None
    return reviewing.judge_review(review.pk, reviewer=user, verdict=verdict, intention=intention)


def test_nobody_is_given_what_another_one_has(people: list[User]) -> None:
    ann, bob, _cem = people
    make_queue(2)
    first, second = reviewing.claim_review(ann), reviewing.claim_review(bob)
    assert first is not None and second is not None and first != second
    assert reviewing.claim_review(ann) == first, "One's own comes back."
    Review.objects.filter(pk=second.pk).update(held_until=timezone.now() - LATER)
    reviewing.judge_review(first.pk, reviewer=ann, verdict="approved", intention="A")
    assert reviewing.claim_review(ann) == second, "Nobody keeps one for ever."


@pytest.mark.django_db(transaction=True)
def test_many_at_once_each_get_their_own() -> None:
    users = [make_user("", username=f"user-{number}") for number in range(6)]
    make_queue(6)
    claimed: list[int] = []

    def claim(user: User) -> None:
        review = reviewing.claim_review(user)
        assert review is not None
        claimed.append(review.pk)

    run_at_once([lambda user=user: claim(user) for user in users])
    assert len(set(claimed)) == 6


def test_two_reviewers_are_two_people(people: list[User]) -> None:
    ann, bob, cem = people
    make_queue(1, two=True)
    judge(ann)
    assert reviewing.claim_review(ann) is None, "Nobody is their own second."
    assert reviewing.count_waiting(ann) == 0
    assert reviewing.count_waiting(bob) == 1
    assert judge(bob).place == 2
    assert reviewing.claim_review(cem) is None
    review = Review.objects.get()
    assert review.missing == 0 and review.completed_at is not None
    with pytest.raises(reviewing.JudgingRefused):
        reviewing.judge_review(review.pk, reviewer=cem, verdict="rejected", intention="B")


def test_what_is_put_aside_goes_to_others(people: list[User]) -> None:
    ann, bob, _cem = people
    make_queue(1)
    review = reviewing.claim_review(ann)
    assert review is not None
    reviewing.skip_review(review.pk, user=ann)
    reviewing.skip_review(review.pk, user=ann)
    assert reviewing.claim_review(ann) is None
    assert reviewing.claim_review(bob) == review


def test_what_they_agree_about_corrects_the_call(people: list[User]) -> None:
    ann, bob, _cem = people
    make_queue(1, two=True)
    call = Call.objects.get()
    judge(ann, "B")
    assert not Correction.objects.exists(), "The second would see it on the call's page."
    judge(bob, "B")
    held = Correction.objects.get()
    assert (held.intention, held.was, held.from_review) == ("B", "A", True)
    call.refresh_from_db()
    assert call.intention == "A"


def test_what_they_differ_about_corrects_nothing(people: list[User]) -> None:
    make_queue(1, two=True)
    judge(people[0], "B")
    judge(people[1], "C")
    assert not Correction.objects.exists()


def test_somebodys_own_correction_stays(people: list[User]) -> None:
    make_queue(1)
    correcting.correct_intention(Call.objects.get(), intention="D", by=people[2])
    judge(people[0], "B")
    assert Correction.objects.get(withdrawn_at=None).intention == "D"


def test_a_judgement_can_be_changed_for_a_while(people: list[User]) -> None:
    ann = people[0]
    make_queue(1)
    said = judge(ann, "B")
    again: dict[str, Any] = {"reviewer": ann, "verdict": "rejected", "intention": "A"}
    reviewing.judge_review(said.review_id, **again)
    said.refresh_from_db()
    assert (said.verdict, said.intention) == ("rejected", "A") and said.changed_at is not None
    assert not Correction.objects.filter(withdrawn_at=None).exists(), "It was taken back."
    Judgement.objects.update(created_at=timezone.now() - judging.CHANGEABLE)
    with pytest.raises(reviewing.JudgingRefused):
        reviewing.judge_review(said.review_id, **again)


def test_the_first_cannot_change_once_both_are_shown(people: list[User]) -> None:
    make_queue(1, two=True)
    said = judge(people[0])
    judge(people[1])
    with pytest.raises(reviewing.JudgingRefused):
        reviewing.judge_review(
            said.review_id, reviewer=people[0], verdict="rejected", intention="A"
        )


# --------------------------------------------------------------------------------------- figures


def make_versions(robot: Robot, *days_ago: int) -> None:
    now = timezone.now()
    for number, days in enumerate(days_ago, 1):
        seen = now - timedelta(days=days)
        times = {"begins_at": seen, "first_seen_at": now, "last_seen_at": now}
        RobotVersion.objects.create(robot=robot, number=number, digest=str(number), **times)


def test_accuracy_is_told_by_the_version_of_then(people: list[User]) -> None:
    robot = make_robot(account=make_account())
    make_versions(robot, 20, 5)
    now = timezone.now()
    for days, number in ((30, 1), (10, 4), (1, 3)):
        make_calls(number, robot=robot, happened_at=now - timedelta(days=days))
    rule = make_rule(since=timezone.localdate(now - timedelta(days=60)))
    draw(rule)
    for intention in ("A", "A", "A", "A", "B", "A", "A", None):
        judge(people[0], intention)
    told = {one.version: one for one in reviewing.read_figures().accuracies}
    assert {version: one.judged + one.left_out for version, one in told.items()} == {
        None: 1, 1: 4, 2: 3
    }  # fmt: skip
    assert (told[1].judged, told[1].right) == (4, 3)
    assert (told[2].judged, told[2].right, told[2].left_out) == (2, 2, 1)
    assert told[1].rate == 0.75
    assert told[1].interval is not None and 0.75 in told[1].interval


def test_agreement_is_of_those_that_two_judged(people: list[User]) -> None:
    ann, bob, _cem = people
    make_queue(20, two=True)
    for place in range(20):
        judge(ann, "A", "approved" if place % 2 else "rejected")
    for place in range(20):
        judge(bob, "A" if place else "B", "approved" if place % 2 else "rejected")
    figures = reviewing.read_figures()
    assert figures.verdicts.pairs == 20 and figures.verdicts.kappa == 1
    assert figures.intentions.same == 19
    assert figures.by_pair[ann.pk, bob.pk].rate == 1
    assert figures.accuracies[0].left_out == 1, "They differ, and nobody corrected the call."
    odd = Review.objects.exclude(judgements__intention="B").first()
    differ = Review.objects.get(judgements__intention="B")
    assert odd is not None
    correcting.correct_intention(differ.call, intention="B", by=ann)
    after = reviewing.read_figures().accuracies[0]
    assert (after.judged, after.right, after.left_out) == (20, 19, 0)
