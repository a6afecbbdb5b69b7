"""In: nothing. Out: a database in which every page of the navigation has something to show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from campaigns import bulk, counting, experiments, exporting, figures, notices, redialing, reviewing
from campaigns.criteria import CALLS, CONTACTS, read_criteria
from campaigns.models import (
    Approval,
    BulkJob,
    DoNotCall,
    Experiment,
    Export,
    ExportPlan,
    FailedPushDay,
    Gap,
    Holiday,
    Incident,
    Judgement,
    NoticeRule,
    Redial,
    Review,
    ReviewRule,
    RobotVersion,
    SavedFilter,
    Task,
)
from tests.campaigns.admin.world import World, make_call, make_receipt, make_turns, make_world
from tests.factories import (
    make_agent,
    make_agent_event,
    make_contact,
    make_context,
    make_context_default,
    make_robot,
    make_semantic_rule,
    make_task,
    make_voice,
)


@dataclass
class Rows:
    """What the pages of rows are opened with."""

    world: World
    redial: Redial
    experiment: Experiment
    export: Export
    job: BulkJob
    review: Review
    rule: NoticeRule
    user: User


def make_rows() -> Rows:
    world = make_world()
    user = User.objects.get(username="boss")
    task = world.running
    over = make_over(world)
    make_agent_event(agent=make_agent(account=world.account, name="王小明"))
    make_context(account=world.account)
    make_context_default(account=world.account)
    make_semantic_rule(account=world.account)
    Holiday.objects.create(day=date(2026, 10, 1), name="国庆节")
    DoNotCall.objects.create(phone="19900000777", reason="本人要求")
    FailedPushDay.objects.create(account=world.account, day=date(2026, 11, 20), status="listed")
    Gap.objects.create(
        kind="dialog", account=world.account, task=task, call=world.call, reason="平台没有送来对话"
    )
    Incident.objects.create(
        kind="called_barred",
        account=world.account,
        task=task,
        contact=world.contact,
        reason="该号码在禁呼名单中",
        closed_at=timezone.now(),
        closed_by=user,
        note="已与平台核对",
    )
    Approval.objects.create(
        kind="launch", task=world.draft, asked_by=user, reason_given="名单已核对", fingerprint="0"
    )
    make_receipt(world.call, status="quarantined", body=b"{", sha256=bytes(32), reason="无法读取")
    SavedFilter.objects.create(
        kind="calls", name="高意向", params={"intention": ["A"]}, owner=user, is_shared=True
    )
    now = timezone.now()
    RobotVersion.objects.create(
        robot=world.robot, number=1, begins_at=now, first_seen_at=now, last_seen_at=now
    )
    counting.count_when_due()
    counting.count_marked()
    for one in (task, over):
        figures.count_task(one.pk)
    return Rows(
        world=world,
        redial=make_redial(over, user),
        experiment=make_experiment(world, user),
        export=make_export(user, task),
        job=make_job(user),
        review=make_review(user),
        rule=make_notices(world),
        user=user,
    )


def make_over(world: World) -> Task:
    """A task that is over, whose people were called."""
    task = make_task(
        account=world.account, robot=world.robot, name="五月回访", status="finished",
        launched_at=timezone.now(), finished_at=timezone.now(),
    )  # fmt: skip
    for number in range(1, 9):
        reached = number % 4 == 0
        contact = make_contact(
            task=task,
            phone=f"1990000100{number}",
            status="finished",
            calls_made=1,
            result="answered" if reached else "no_answer",
            intention="A" if reached else "",
            last_call_at=timezone.now() - timedelta(days=1),
        )
        call = make_call(
            task,
            contact,
            platform_call_id=f"over-{number}",
            happened_at=timezone.now() - timedelta(days=1),
            **({} if reached else NOBODY),
        )
        if reached:
            make_turns(call)
    return task


NOBODY: dict[str, Any] = {
    "result": "no_answer",
    "answered": False,
    "talk_seconds": None,
    "intention": "",
}


def make_redial(task: Task, user: User) -> Redial:
    chosen = read_criteria(CONTACTS, {"family": str(task.pk), "result": "no_answer"})
    redial = redialing.begin_redial(chosen, by=user)
    redialing.work_on(redial.pk)
    redial.refresh_from_db()
    return redial


def make_experiment(world: World, user: User) -> Experiment:
    task = make_task(account=world.account, robot=world.robot, name="两种话术")
    for number in range(40):
        make_contact(task=task, phone=f"199000020{number:02d}")
    experiment = experiments.begin_experiment(
        task,
        name="两种声音",
        robot=make_robot(account=world.account, name="理财回访二"),
        voice=make_voice(account=world.account, name="小宇"),
        by=user,
    )
    experiments.split_experiment(experiment.pk)
    experiments.count_experiment(experiment.pk)
    experiment.refresh_from_db()
    return experiment


def make_export(user: User, task: Task) -> Export:
    chosen = read_criteria(CALLS, {"intention": "A"})
    export = exporting.ask_export("calls", chosen, by=user, form="xlsx", words="zh-hans")
    exporting.make_export(export.pk)
    ExportPlan.objects.create(task=task, at="08:00", created_by=user)
    export.refresh_from_db()
    return export


def make_job(user: User) -> BulkJob:
    chosen = read_criteria(CALLS, {"result__exact": "no_answer"})
    job = bulk.ask_job("bar", chosen, options={"reason": "已投诉"}, by=user)
    while bulk.work_on_job(job.pk):
        pass
    job.refresh_from_db()
    return job


def make_review(user: User) -> Review:
    """One that waits for this person; another one is judged."""
    rule = ReviewRule.objects.create(name="全部接通", percent=100, second_percent=0)
    reviewing.draw_reviews(rule.pk, now=timezone.now() + timedelta(hours=1))
    first, second = Review.objects.order_by("pk")[:2]
    reviewing.judge_review(
        second.pk, reviewer=user, verdict=Judgement.Verdict.APPROVED, intention="A", note=""
    )
    return first


def make_notices(world: World) -> NoticeRule:
    """A rule that told of something."""
    NoticeRule.objects.all().delete()
    rule = NoticeRule.objects.create(event="account_stopped", everyone=True, name="余额")
    account = world.account
    account.stopped_at, account.stopped_reason = timezone.now(), "余额不足"
    account.save()
    notices.find_notices()
    account.stopped_at, account.stopped_reason = None, ""
    account.save()
    return rule
