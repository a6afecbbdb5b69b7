"""In: a task and who looks at it. Out: everything its page shows, the live part too.

Progress is what is done: contacts of which nothing more will come. Every number links to its rows.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.admin.base import CALL_DIRECTLY, IMPORT, LAUNCH, show_duration, tell_age
from campaigns.admin.instances import describe_instances, name_platform_state
from campaigns.admin.task_held import describe_held
from campaigns.models import Approval, Attempt, Call, Contact, Task
from campaigns.platforms.contract import Can
from campaigns.statistics import (
    ACTIVE,
    LATE_AFTER,
    TaskSummary,
    summarise_instances,
    summarise_task,
)

#: state → colour class of the bar and the badges
CONTACT_COLORS = {
    "finished": "good",
    "rejected": "bad",
    "accepted": "info",
    "sending": "busy",
    "unknown": "warn",
    "planned": "plan",
    "ready": "",
    "excluded": "mute",
    "withdrawn": "mute",
}
TASK_COLORS = {
    "loading": "info",
    "loaded": "info",
    "starting": "info",
    "running": "good",
    "paused": "warn",
    "finished": "done",
    "failed": "bad",
    "deleted": "mute",
}
ATTEMPT_COLORS = {
    "accepted": "good",
    "confirmed_accepted": "good",
    "human_accepted": "good",
    "refused": "bad",
    "not_sent": "warn",
    "confirmed_absent": "warn",
    "unknown": "warn",
    "needs_human": "bad",
}
#: contacts of the task are on their way to the platform
HANDING_OVER = ("loading", "loaded", "starting")


def describe_task(request: HttpRequest, task: Task) -> dict[str, Any]:
    """The live part of the page."""
    summary = summarise_task(task)
    fills = task.fills_instances
    instances = summarise_instances(task) if fills else []
    return {
        "task": task,
        "fills": fills,
        **describe_instances(instances),
        "summary": summary,
        "status_color": TASK_COLORS.get(task.status, ""),
        "is_active": task.status in ACTIVE or bool(task.request),
        "bar": make_bar(task, summary.contacts),
        "percent": None if summary.share is None else int(summary.share * 100),
        "platform_state": name_platform_state(task.platform_state),
        "asked": tell_age(task.platform_checked_at),
        "requested": tell_age(task.requested_at) if task.requested_at else "",
        "is_late": is_late(task),
        "approvals": list_approvals(task),
        "waits_until": task.not_before
        if task.not_before and task.not_before > timezone.now()
        else None,
        **describe_held(task),
        "numbers": make_numbers(task, summary),
        "results": make_results(task, summary),
        "intentions": make_intentions(task, summary),
        "buttons": list_buttons(
            request.user, task, has_instances=any(one.platform_task_id for one in instances)
        ),
        "undecided": list(
            Attempt.objects.filter(task=task, status__in=["unknown", "needs_human"])[:20]
        ),
        "attempts": list_attempts(task),
        "now": timezone.now(),
    }


def is_late(task: Task) -> bool:
    """Whether a pause or a deletion waits so long for the platform's word that it is an alarm,
    whether or not anybody is at work who would say so."""
    if task.request not in (Task.Request.PAUSE, Task.Request.DELETE) or task.requested_at is None:
        return False
    return timezone.now() - task.requested_at > LATE_AFTER


def list_approvals(task: Task) -> list[Approval]:
    """The newest of what a second person was asked about the launch."""
    rows = Approval.objects.filter(task=task, kind=Approval.Kind.LAUNCH)
    return list(rows.select_related("asked_by", "decided_by").order_by("-id")[:3])


def make_bar(task: Task, contacts: dict[str, int]) -> list[dict[str, Any]]:
    """The parts of the bar, in the order of a contact's life, the done ones first."""
    total = sum(contacts.values())
    address = reverse("admin:campaigns_contact_changelist")
    parts = []
    for state, color in CONTACT_COLORS.items():
        number = contacts[state]
        if number:
            parts.append(
                {
                    "state": state,
                    "label": Contact.Status(state).label,
                    "number": number,
                    "width": round(100 * number / total, 3),
                    "color": color,
                    "url": f"{address}?task__id__exact={task.pk}&status__exact={state}",
                }
            )
    return parts


def make_numbers(task: Task, summary: TaskSummary) -> list[dict[str, Any]]:
    """The tiles: from contacts to people reached. A rate without a denominator is a dash."""
    contacts = f"{reverse('admin:campaigns_contact_changelist')}?task__id__exact={task.pk}"
    calls = f"{reverse('admin:campaigns_call_changelist')}?task__id__exact={task.pk}"
    recordings = reverse("admin:campaigns_recording_changelist")
    called = summary.called
    rate = called.answer_rate
    average = called.talk_average
    return [
        {"label": _("Contacts"), "value": summary.total, "url": contacts},
        {
            "label": _("Done"),
            "value": summary.done,
            "note": _("of %(n)d to call") % {"n": summary.to_call},
            "url": f"{contacts}&status__in=finished,rejected",
        },
        {"label": _("Calls"), "value": called.calls, "url": calls},
        {
            "label": _("Answered"),
            "value": called.answered,
            "note": _("%(rate).1f %% of existing numbers") % {"rate": rate * 100}
            if rate is not None
            else _("no rate yet"),
            "url": f"{calls}&answered__exact=1",
        },
        {
            "label": _("Talk time"),
            "value": show_duration(called.talk_seconds),
            "note": _("%(time)s on average") % {"time": show_duration(int(average))}
            if average is not None
            else "",
            "url": f"{calls}&answered__exact=1",
        },
        {"label": _("Dialogs"), "value": summary.dialogs, "url": f"{calls}&dialog=yes"},
        {
            "label": _("Recordings"),
            "value": summary.recordings,
            "url": f"{recordings}?call__task__id__exact={task.pk}",
        },
    ]


def make_results(task: Task, summary: TaskSummary) -> list[dict[str, Any]]:
    calls = f"{reverse('admin:campaigns_call_changelist')}?task__id__exact={task.pk}"
    names = dict(Call.Result.choices)
    most = max(summary.called.results.values(), default=1)
    return [
        {
            "label": names.get(result, result),
            "number": number,
            "width": round(100 * number / most, 1),
            "url": f"{calls}&result__exact={result}",
        }
        for result, number in summary.called.results.items()
    ]


def make_intentions(task: Task, summary: TaskSummary) -> list[dict[str, Any]]:
    calls = f"{reverse('admin:campaigns_call_changelist')}?task__id__exact={task.pk}"
    most = max(summary.intentions.values(), default=1)
    return [
        {
            "label": intention,
            "number": number,
            "width": round(100 * number / most, 1),
            "url": f"{calls}&intention={intention}",
        }
        for intention, number in summary.intentions.items()
    ]


def list_buttons(
    user: AbstractBaseUser | Any, task: Task, *, has_instances: bool = False
) -> list[str]:
    """What this user can do with the task now."""
    buttons = []
    draft, may_launch = task.status == Task.Status.DRAFT, user.has_perm(LAUNCH)
    campaign = task.kind == Task.Kind.CAMPAIGN
    if draft and campaign and user.has_perm(IMPORT):
        buttons.append("import")
    if draft and campaign and may_launch:
        buttons.append("launch")
        if user.has_perm(CALL_DIRECTLY):
            buttons.append("trial")
    if campaign and may_launch and task.request != Task.Request.DELETE:
        buttons += list_orders(task)
    if campaign and may_launch and task.platform_task_id and task.account.can(Can.QUERY_TASKS):
        buttons.append("ask")
    fetchable = has_instances or task.platform_task_id
    if campaign and may_launch and fetchable and task.account.can(Can.FETCH_CALLS):
        buttons.append("results")
    if draft and campaign and user.has_perm("campaigns.add_experiment"):
        buttons.append("split")
    if campaign and user.has_perm("campaigns.add_task"):
        buttons.append("clone")
    return buttons


def list_orders(task: Task) -> list[str]:
    """What can be asked for: where everything given is dialled at once, only while some of it is
    not handed over."""
    underway = task.status in HANDING_OVER or task.status == Task.Status.RUNNING
    fills = task.fills_instances
    if fills and task.status in (Task.Status.RUNNING, Task.Status.FINISHED):
        return []
    orders = []
    may_pause = fills or task.account.can(Can.PAUSE_TASK)
    goes_on = task.status == Task.Status.PAUSED and (
        bool(task.paused_by_rule) or task.request == Task.Request.RESUME
    )
    if (underway or goes_on) and may_pause and task.request != Task.Request.PAUSE:
        orders.append("pause")
    if task.status == Task.Status.PAUSED and task.request != Task.Request.RESUME:
        orders.append("resume")
    if task.status != Task.Status.DELETED:
        orders.append("delete")
    return orders


def list_attempts(task: Task) -> list[dict[str, Any]]:
    """The newest requests that add calls, the open ones first."""
    attempts = Attempt.objects.filter(task=task).select_related("batch").order_by("-id")[:12]
    return [
        {
            "attempt": attempt,
            "color": ATTEMPT_COLORS.get(attempt.status, "info"),
            "age": tell_age(attempt.started_at),
            "size": attempt.batch.size if attempt.batch else None,
        }
        for attempt in attempts
    ]
