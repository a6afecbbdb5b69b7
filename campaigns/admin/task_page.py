"""In: a task and who looks at it. Out: everything its page shows, the live part too.

Progress is what is done: contacts of which nothing more will come. Every number links to its rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns import counting, figures
from campaigns.admin.base import CALL_DIRECTLY, IMPORT, LAUNCH, show_duration, tell_age
from campaigns.admin.instances import describe_instances, name_platform_state
from campaigns.admin.row_links import link_rows
from campaigns.admin.task_colors import TASK_COLORS
from campaigns.admin.task_effects import tell_effects
from campaigns.admin.task_figures import describe_figures
from campaigns.admin.task_held import describe_held
from campaigns.definitions import (
    ANSWER_RATE,
    CALLS,
    REACHED,
    TALK_AVERAGE,
    TALK_TIME,
    show_number,
    show_rate,
)
from campaigns.models import Approval, Attempt, Call, Contact, Task
from campaigns.platforms.contract import Can
from campaigns.statistics import (
    ACTIVE,
    LATE_AFTER,
    count_contacts,
    summarise_instances,
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
    states, states_at = find_states(task)
    shown = describe_figures(request, task, states=states, states_at=states_at)
    look = shown["look"]
    if look.counted_at and look.counted_at > states_at:
        states, states_at = look.figures.states, look.counted_at
    contacts = counting.Progress(states, states_at)
    fills = task.fills_instances
    instances = summarise_instances(task) if fills else []
    buttons = list_buttons(
        request.user, task, has_instances=any(one.platform_task_id for one in instances)
    )
    return {
        "task": task,
        "fills": fills,
        **describe_instances(instances),
        **shown,
        "contacts": contacts,
        "status_color": TASK_COLORS.get(task.status, ""),
        "is_active": task.status in ACTIVE
        or bool(task.request)
        or look.is_old
        or bool(shown["family"] and not shown["family"]["is_known"]),
        "done": show_number(contacts.done),
        "to_call": show_number(contacts.to_call),
        "bar": make_bar(task, states),
        "percent": int(100 * contacts.done / contacts.to_call) if contacts.to_call else None,
        "platform_state": name_platform_state(task.platform_state),
        "asked": tell_age(task.platform_checked_at),
        "requested": tell_age(task.requested_at) if task.requested_at else "",
        "is_late": is_late(task),
        "approvals": list_approvals(task),
        "waits_until": task.not_before
        if task.not_before and task.not_before > timezone.now()
        else None,
        **describe_held(task),
        "shows_figures": bool(look.figures.tally.calls)
        or task.status in ACTIVE
        or task.launched_at is not None,
        "numbers": make_numbers(task, contacts, look),
        "results": make_results(task, look.figures),
        "buttons": buttons,
        "effects": tell_effects(task, states, buttons),
        "undecided": list(
            Attempt.objects.filter(task=task, status__in=["unknown", "needs_human"])[:20]
        ),
        "attempts": list_attempts(task),
        "now": timezone.now(),
    }


def find_states(task: Task) -> tuple[dict[str, int], datetime]:
    """Where the contacts are, and as of when. Those of a large task that is at work are counted by
    a job; its page is asked for every two seconds."""
    if task.status in ACTIVE:
        progress = counting.read_progress([task.pk]).get(task.pk)
        if progress is not None and progress.at is not None:
            return progress.contacts, progress.at
    return count_contacts(task), timezone.now()


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
                    "number": show_number(number),
                    "width": round(100 * number / total, 3),
                    "color": color,
                    "url": f"{address}?task__id__exact={task.pk}&status__exact={state}",
                }
            )
    return parts


def make_numbers(
    task: Task, contacts: counting.Progress, look: figures.Look
) -> list[dict[str, Any]]:
    """The tiles: from contacts to people reached. A rate without a denominator is a dash, and so is
    what nobody has counted yet."""
    found = look.figures
    tally = found.tally
    known = look.counted_at is not None

    def tell(number: int) -> str:
        return show_number(number if known else None)

    of = {"task__id__exact": task.pk}
    recordings = reverse("admin:campaigns_recording_changelist")
    return [
        {
            "label": _("Contacts"),
            "value": show_number(contacts.total),
            "url": link_rows("contacts", **of),
        },
        {
            "label": _("Done"),
            "value": show_number(contacts.done),
            "note": _("of %(n)s to call") % {"n": show_number(contacts.to_call)},
            "title": _("Contacts of which nothing more will come: finished or refused."),
            "url": link_rows("contacts", **of, status__exact=["finished", "rejected"]),
        },
        {
            "label": CALLS.name,
            "value": tell(tally.calls),
            "title": CALLS.text,
            "url": link_rows("calls", **of, step="counted"),
        },
        {
            "label": REACHED.name,
            "value": tell(tally.reached),
            "note": _("%(rate)s of existing numbers") % {"rate": show_rate(tally.answer_rate)}
            if tally.answer_rate is not None
            else _("no rate yet"),
            "title": f"{REACHED.text} {ANSWER_RATE.name}: {ANSWER_RATE.text}",
            "url": link_rows("calls", **of, step="reached"),
        },
        {
            "label": TALK_TIME.name,
            "value": show_duration(tally.talk_seconds if known else None),
            "note": _("%(time)s on average") % {"time": show_duration(int(tally.talk_average))}
            if tally.talk_average is not None
            else "",
            "title": f"{TALK_TIME.text} {TALK_AVERAGE.name}: {TALK_AVERAGE.text}",
            "url": link_rows("calls", **of, step="reached"),
        },
        {
            "label": _("Dialogs"),
            "value": tell(found.dialogs),
            "url": link_rows("calls", **of, dialog="yes"),
        },
        {
            "label": _("Recordings"),
            "value": tell(found.recordings),
            "url": f"{recordings}?call__task__id__exact={task.pk}",
        },
    ]


def make_results(task: Task, found: figures.Figures) -> list[dict[str, Any]]:
    names = dict(Call.Result.choices)
    most = max(found.results.values(), default=1)
    return [
        {
            "label": names.get(result, result),
            "number": show_number(number),
            "width": round(100 * number / most, 1),
            "url": link_rows(
                "calls", task__id__exact=task.pk, step="counted", result__exact=result
            ),
        }
        for result, number in found.results.items()
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
