"""In: who looks. Out: the first screen: what is running, what needs attention, today's calls."""

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

from campaigns import approvals, deciding, incidents, silence
from campaigns.admin.base import make_sandbox_badge, show_duration, tell_age
from campaigns.admin.failed_pushes import list_alarm_lines
from campaigns.admin.gaps import list_gap_lines
from campaigns.admin.instances import name_platform_state
from campaigns.admin.task_page import TASK_COLORS, make_bar
from campaigns.models import Account, Call
from campaigns.statistics import CallSummary, HomeSummary, summarise_home

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
    summary = summarise_home(request.user)
    return {
        "home": summary,
        "running": [
            {
                "task": task,
                "color": TASK_COLORS.get(task.status, ""),
                "bar": make_bar(task, summary.progress[task.pk]),
                "done": summary.progress[task.pk]["finished"]
                + summary.progress[task.pk]["rejected"],
                "to_call": sum(summary.progress[task.pk].values())
                - summary.progress[task.pk]["excluded"]
                - summary.progress[task.pk]["withdrawn"],
                "platform_state": name_platform_state(task.platform_state),
                "asked": tell_age(task.platform_checked_at),
                "badge": make_sandbox_badge() if task.account.is_sandbox else "",
            }
            for task in summary.running
        ],
        "attention": list_attention(request, summary),
        "tiles": make_tiles(request, summary),
        "results": make_results(summary.today),
        "taken_at": summary.taken_at,
        "sees_calls": request.user.has_perm("campaigns.view_call"),
        "may_add_task": request.user.has_perm("campaigns.add_task"),
        "may_add_account": request.user.has_perm("campaigns.add_account"),
    }


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
            lines.append({"icon": icon, "text": text % {"n": number}, "note": note, "url": url})

    user = request.user
    happened = incidents.count_open() if user.has_perm("campaigns.view_incident") else 0
    add(
        happened,
        "emergency_home",
        ngettext("%(n)d open incident", "%(n)d open incidents", happened),
        reverse("admin:campaigns_incident_changelist"),
        _("People may have been called who should not have been."),
    )
    sees = user.has_perm("campaigns.view_attempt")
    waiting = deciding.list_undecided().order_by()[:100].count() if sees else 0
    add(
        waiting,
        "rule",
        ngettext("%(n)d request needs a decision", "%(n)d requests need a decision", waiting),
        reverse("admin:campaigns_attempt_changelist"),
        _("The platform cannot be asked about it. Nothing is sent again by itself."),
    )
    asked = approvals.count_waiting(user)
    add(
        asked,
        "verified_user",
        ngettext(
            "%(n)d approval waits for a second person",
            "%(n)d approvals wait for a second person",
            asked,
        ),
        reverse("admin:campaigns_approval_changelist"),
    )
    add(
        summary.undecided,
        "help",
        ngettext(
            "%(n)d request of unknown outcome",
            "%(n)d requests of unknown outcome",
            summary.undecided,
        ),
        f"{reverse('admin:campaigns_contact_changelist')}?status__exact=unknown",
        _("Nobody knows yet whether the platform carried them out. Nothing is sent again."),
    )
    if sees_inbox:
        add(
            summary.quarantined,
            "inbox",
            ngettext(
                "%(n)d push could not be understood",
                "%(n)d pushes could not be understood",
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
                "%(n)d push waits to be read", "%(n)d pushes wait to be read", summary.waiting
            ),
            f"{receipts}?status__exact=received",
            _("The oldest came %(age)s. Is the worker running?") % {"age": tell_age(oldest)},
        )
    add(
        summary.recordings_lost,
        "mic_off",
        ngettext(
            "%(n)d recording could not be fetched",
            "%(n)d recordings could not be fetched",
            summary.recordings_lost,
        ),
        f"{reverse('admin:campaigns_recording_changelist')}"
        "?status__exact=unavailable&deleted_at__isnull=True",
    )
    add(
        summary.silent,
        "volume_off",
        ngettext(
            "%(n)d contact without any news for a day",
            "%(n)d contacts without any news for a day",
            summary.silent,
        ),
        f"{reverse('admin:campaigns_contact_changelist')}?status__exact=accepted&called=no",
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


def make_tiles(request: HttpRequest, summary: HomeSummary) -> list[dict[str, Any]]:
    if not request.user.has_perm("campaigns.view_call"):
        return []
    today = timezone.localdate()
    calls = reverse("admin:campaigns_call_changelist")
    day = urlencode({"happened_at_from": today.isoformat(), "happened_at_to": today.isoformat()})
    now, before = summary.today, summary.yesterday
    return [
        {
            "label": _("Calls today"),
            "value": now.calls,
            "note": _("yesterday: %(n)d") % {"n": before.calls},
            "url": f"{calls}?{day}",
        },
        {
            "label": _("Answered"),
            "value": now.answered,
            "note": _("yesterday: %(n)d") % {"n": before.answered},
            "url": f"{calls}?{day}&answered__exact=1",
        },
        {
            "label": _("Answer rate"),
            "value": show_rate(now),
            "note": _("without invalid numbers; yesterday: %(rate)s") % {"rate": show_rate(before)},
            "url": f"{calls}?{day}",
        },
        {
            "label": _("Talk time"),
            "value": show_duration(now.talk_seconds),
            "note": _("%(time)s on average") % {"time": show_duration(int(now.talk_average))}
            if now.talk_average is not None
            else "",
            "url": f"{calls}?{day}&answered__exact=1",
        },
    ]


def show_rate(calls: CallSummary) -> str:
    return "–" if calls.answer_rate is None else f"{calls.answer_rate * 100:.1f} %"


def make_results(calls: CallSummary) -> list[dict[str, Any]]:
    today = timezone.localdate().isoformat()
    address = reverse("admin:campaigns_call_changelist")
    day = urlencode({"happened_at_from": today, "happened_at_to": today})
    names = dict(Call.Result.choices)
    most = max(calls.results.values(), default=1)
    return [
        {
            "label": names.get(result, result),
            "number": number,
            "width": round(100 * number / most, 1),
            "url": f"{address}?{day}&result__exact={result}",
        }
        for result, number in calls.results.items()
    ]
