"""In: who looks. Out: the first screen: what is running, and what needs attention.

Of the calls of the period that somebody chose tells ``home_calls``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns import approvals, counting, deciding, incidents, silence
from campaigns.admin.base import make_sandbox_badge, tell_age
from campaigns.admin.failed_pushes import list_alarm_lines
from campaigns.admin.gaps import list_gap_lines
from campaigns.admin.home_calls import describe_calls, read_choice
from campaigns.admin.instances import name_platform_state
from campaigns.admin.row_links import link_rows
from campaigns.admin.task_colors import TASK_COLORS
from campaigns.admin.task_page import make_bar
from campaigns.definitions import DASH, show_number
from campaigns.models import Account
from campaigns.statistics import ACTIVE, MANY, HomeSummary, summarise_home

#: a push that waits longer than this is worth a line on the first screen
WAITING_TOO_LONG = 60


def fill_dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Called by unfold for the index page."""
    return {**context, **describe_home(request)}


def name_environment(request: HttpRequest) -> list[str] | None:
    """The badge on top: said on every page while every account is a pretend platform."""
    if not request.user.is_authenticated:
        return None
    kinds = set(Account.objects.values_list("is_sandbox", flat=True).distinct())
    return [_("SANDBOX – calls nobody"), "warning"] if kinds == {True} else None


def show_live(request: HttpRequest) -> HttpResponse:
    """The live part of the index page, again."""
    response = render(request, "campaigns/home_live.html", describe_home(request))
    response["Cache-Control"] = "no-store"
    return response


def describe_home(request: HttpRequest) -> dict[str, Any]:
    chosen = read_choice(request)
    summary = summarise_home(request.user, account=chosen.account)
    return {
        "home": summary,
        "running": list_running(summary),
        "more_running": tell_more(
            summary.running_more, chosen.account, status__in=",".join(ACTIVE)
        ),
        "more_attention": tell_more(summary.attention_more, chosen.account, attention="yes"),
        "attention": list_attention(request, summary),
        "taken_at": summary.taken_at,
        "sees_calls": request.user.has_perm("campaigns.view_call"),
        "may_add_task": request.user.has_perm("campaigns.add_task"),
        "may_add_account": request.user.has_perm("campaigns.add_account"),
        **describe_calls(request, chosen, going_on=summary.going_on),
    }


def tell_more(number: int, account: Account | None, **chosen: str) -> dict[str, str] | None:
    """How many tasks more than shown there are, and the list that has all of them."""
    if not number:
        return None
    if account is not None:
        chosen["account__id__exact"] = str(account.pk)
    address = f"{reverse('admin:campaigns_task_changelist')}?{urlencode(chosen)}"
    told = ngettext("and %(n)s more task", "and %(n)s more tasks", number)
    return {"text": told % {"n": show_number(number)}, "url": address}


def list_running(summary: HomeSummary) -> list[dict[str, Any]]:
    """The tasks on their way; a large one is shown as it was counted last."""
    progress = counting.read_progress([task.pk for task in summary.running])
    return [
        {
            "task": task,
            "color": TASK_COLORS.get(task.status, ""),
            "progress": (known := progress.get(task.pk)),
            "bar": make_bar(task, known.contacts) if known else [],
            "done": show_number(known.done) if known else DASH,
            "to_call": show_number(known.to_call) if known else DASH,
            "age": tell_age(known.at) if known and known.is_old else "",
            "platform_state": name_platform_state(task.platform_state),
            "asked": tell_age(task.platform_checked_at),
            "badge": make_sandbox_badge() if task.account.is_sandbox else "",
        }
        for task in summary.running
    ]


def list_attention(request: HttpRequest, summary: HomeSummary) -> list[dict[str, Any]]:
    """One line for each thing a person should look at, with a link to its rows."""
    lines: list[dict[str, Any]] = [
        {
            "icon": "block",
            "text": _("The platform refused the whole account %(account)s")
            % {"account": account.name},
            "note": _(account.stopped_reason) if account.stopped_reason else "",
            "url": reverse("admin:campaigns_account_change", args=[account.pk]),
            "bad": True,
        }
        for account in summary.stopped_accounts
    ]
    lines += list_inbox_alarms(request)
    lines += [
        {
            "icon": "campaign",
            "text": task.name,
            # how often it failed, and of what, is said by the rule
            "note": task.hold_text if task.hold_rule == "failures" else task.reason_text,
            "url": reverse("admin:campaigns_task_change", args=[task.pk]),
        }
        for task in summary.attention
    ]
    receipts = reverse("admin:callbacks_receipt_changelist")
    sees_inbox = request.user.has_perm("callbacks.view_receipt")

    def add(number: int, icon: str, text: str, url: str, note: str = "") -> None:
        if number:
            told = f"{show_number(number)}+" if number == MANY else show_number(number)
            lines.append({"icon": icon, "text": text % {"n": told}, "note": note, "url": url})

    user = request.user
    happened = incidents.count_open() if user.has_perm("campaigns.view_incident") else 0
    add(
        happened,
        "emergency_home",
        ngettext("%(n)s open incident", "%(n)s open incidents", happened),
        reverse("admin:campaigns_incident_changelist"),
        _("People may have been called who should not have been."),
    )
    sees = user.has_perm("campaigns.view_attempt")
    waiting = deciding.list_undecided().order_by()[:100].count() if sees else 0
    add(
        waiting,
        "rule",
        ngettext("%(n)s request needs a decision", "%(n)s requests need a decision", waiting),
        f"{reverse('admin:campaigns_attempt_changelist')}?status__exact=needs_human",
        _("The platform cannot be asked about it. Nothing is sent again by itself."),
    )
    asked = approvals.count_waiting(user)
    add(
        asked,
        "verified_user",
        ngettext(
            "%(n)s approval waits for a second person",
            "%(n)s approvals wait for a second person",
            asked,
        ),
        reverse("admin:campaigns_approval_changelist"),
    )
    add(
        summary.undecided,
        "help",
        ngettext(
            "%(n)s request of unknown outcome",
            "%(n)s requests of unknown outcome",
            summary.undecided,
        ),
        f"{reverse('admin:campaigns_attempt_changelist')}?status__in=unknown,needs_human"
        if sees
        else f"{reverse('admin:campaigns_contact_changelist')}?status__exact=unknown",
        _("Nobody knows yet whether the platform carried them out. Nothing is sent again."),
    )
    if sees_inbox:
        add(
            summary.quarantined,
            "inbox",
            ngettext(
                "%(n)s push could not be understood",
                "%(n)s pushes could not be understood",
                summary.quarantined,
            ),
            f"{receipts}?status__exact=quarantined",
        )
        oldest = summary.oldest_waiting
        age = (timezone.now() - oldest).total_seconds() if oldest else 0
        add(
            summary.waiting if age > WAITING_TOO_LONG else 0,
            "hourglass_top",
            ngettext(
                "%(n)s push waits to be read", "%(n)s pushes wait to be read", summary.waiting
            ),
            f"{receipts}?status__exact=received",
            _("The oldest came %(age)s. Is the worker running?") % {"age": tell_age(oldest)},
        )
    add(
        summary.recordings_lost,
        "mic_off",
        ngettext(
            "%(n)s recording could not be fetched",
            "%(n)s recordings could not be fetched",
            summary.recordings_lost,
        ),
        f"{reverse('admin:campaigns_recording_changelist')}"
        "?status__exact=unavailable&deleted_at__isnull=True",
    )
    add(
        summary.silent,
        "volume_off",
        ngettext(
            "%(n)s contact without any news for a day",
            "%(n)s contacts without any news for a day",
            summary.silent,
        ),
        link_rows(
            "contacts",
            task__id__exact=",".join(map(str, summary.silent_tasks)),
            status__exact="accepted",
            called="no",
        ),
    )
    lines += list_alarm_lines(request) + list_gap_lines(request)
    lines += [
        {
            "icon": "key_off",
            "text": _("%(account)s does not let us in") % {"account": account.name},
            "note": _(account.connection_error),
            "url": reverse("admin:campaigns_account_change", args=[account.pk]),
        }
        for account in summary.broken_accounts
    ]
    return lines


def list_inbox_alarms(request: HttpRequest) -> list[dict[str, Any]]:
    """Platforms that tell nothing any more, and rows that vanished."""
    user = request.user
    page = reverse("admin:callbacks_health")
    lines = []
    if user.has_perm("callbacks.view_receipt") and user.has_perm("campaigns.view_account"):
        lines = [
            {
                "icon": "volume_off",
                "text": _("%(account)s tells nothing any more") % {"account": one.account.name},
                "note": _("Calls are made, and no push came. The last one: %(age)s.")
                % {"age": tell_age(one.heard_at)},
                "url": page,
                "bad": True,
            }
            for one in silence.find_silent_accounts()
        ]
    if user.has_perm("callbacks.view_receipt"):
        # The inbox is a package above this one: asked for by name, not imported.
        counted = apps.get_model("callbacks", "Snapshot").objects.filter(pk="inbox").first()
        numbers = counted.numbers if counted else {}
        if any(part.get("missing") for part in numbers.values()):
            lines.append(
                {
                    "icon": "report",
                    "text": _("What was received does not add up"),
                    "note": _("Rows that were counted when they came are in no state now."),
                    "url": page,
                    "bad": True,
                }
            )
    return lines
