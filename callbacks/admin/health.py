"""In: the numbers of ``callbacks.health``. Out: the page that tells how the inbox is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from callbacks import tally
from callbacks.admin.words import name_reason
from callbacks.health import Group, Health, Stream, read_health
from callbacks.models import InboxTally, Receipt
from campaigns.admin.base import CallboardAdmin, make_link, show_moment, tell_age
from campaigns.models import Contact, FailedPushDay
from campaigns.models.history import fill_in
from campaigns.silence import Silence

#: numbers of the job that are older than this are said to be
OLD_AFTER = timedelta(minutes=10)
WAITING_TOO_LONG = 60


def show_page(model_admin: CallboardAdmin, request: HttpRequest) -> HttpResponse:
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    return model_admin.show(
        request, "callbacks/health.html", _("How the inbox is"), **describe_health(request)
    )


def show_live(model_admin: CallboardAdmin, request: HttpRequest) -> HttpResponse:
    """The live part of the page, again."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    response = render(request, "callbacks/health_live.html", describe_health(request))
    response["Cache-Control"] = "no-store"
    return response


def describe_health(request: HttpRequest) -> dict[str, Any]:
    health = read_health()
    streams = health.streams
    return {
        "health": health,
        "taken": show_moment(health.taken_at),
        "tiles": make_tiles(health),
        "streams": [describe_stream(one) for one in streams],
        "reasons": sum_reasons(health.quarantined),
        "silent": [describe_silence(one) for one in health.silent],
        "days": [describe_day(one) for one in health.failed_days]
        if request.user.has_perm("campaigns.view_failedpushday")
        else [],
        "balances": describe_balances(health),
        "balance_age": describe_age(health.whole.taken_at if health.whole else None),
        "minutes_age": describe_age(health.minutes_at),
        "late_minutes": int(tally.LATE_AFTER.total_seconds() // 60),
    }


def describe_age(at: datetime | None) -> dict[str, Any]:
    old = at is None or show_old(at)
    return {"text": tell_age(at), "at": show_moment(at), "old": old}


def show_old(at: datetime) -> bool:
    return datetime.now(at.tzinfo) - at > OLD_AFTER


def make_tiles(health: Health) -> list[dict[str, Any]]:
    receipts = reverse("admin:callbacks_receipt_changelist")
    quarantined = sum(one.count for one in health.quarantined)
    late_hour = sum(one.late_hour for one in health.streams)
    late_day = sum(one.late_day for one in health.streams)
    oldest = tell_age(health.oldest_waiting) if health.oldest_waiting else ""
    return [
        {
            "label": _("Waiting"),
            "value": health.waiting,
            "note": _("the oldest came %(age)s") % {"age": oldest}
            if oldest
            else _("nothing waits"),
            "url": f"{receipts}?status__exact=received",
            "bad": health.oldest_seconds > WAITING_TOO_LONG,
        },
        {
            "label": _("Pushes in a minute"),
            "value": sum(one.last_minute for one in health.streams),
            "note": fill_in(_("last hour: %(n)d"), {"n": sum(one.hour for one in health.streams)}),
            "url": receipts,
        },
        {
            "label": _("Applied in a second"),
            "value": f"{health.applied_per_second:.1f}",
            "note": _("over the last minute"),
            "url": f"{receipts}?status__exact=processed",
        },
        {
            "label": _("Quarantined"),
            "value": quarantined,
            "note": _("could not be understood"),
            "url": reverse("admin:callbacks_quarantine"),
        },
        {
            "label": _("Exact repeats"),
            "value": health.repeats,
            "note": fill_in(
                _("last hour: %(hour)d, last day: %(day)d"),
                {"hour": health.repeats_hour, "day": health.repeats_day},
            ),
            "url": receipts,
        },
        {
            "label": _("Late"),
            "value": late_day,
            "note": fill_in(_("last day; last hour: %(n)d"), {"n": late_hour}),
            "url": receipts,
        },
    ]


def describe_stream(one: Stream) -> dict[str, Any]:
    most = max(one.minutes, default=0)
    query = {"account__id__exact": one.account.pk}
    if one.kind not in ("", InboxTally.OTHER):
        query["kind"] = one.kind
    return {
        "row": one,
        "account": make_link(one.account),
        "kind": _("others") if one.kind == InboxTally.OTHER else one.kind or "–",
        "url": f"{reverse('admin:callbacks_receipt_changelist')}?{urlencode(query)}",
        "bars": [round(20 * number / most) if most else 0 for number in one.minutes],
        "most": most,
    }


def sum_reasons(groups: list[Group]) -> list[dict[str, Any]]:
    """Over accounts and kinds: the quarantine page has these."""
    counts: dict[str, int] = {}
    for one in groups:
        counts[one.reason] = counts.get(one.reason, 0) + one.count
    receipts = reverse("admin:callbacks_receipt_changelist")
    return [
        {
            "reason": name_reason(reason) or "–",
            "count": count,
            "url": f"{receipts}?{urlencode({'status__exact': 'quarantined', 'reason': reason})}",
        }
        for reason, count in sorted(counts.items(), key=lambda item: -item[1])
    ]


def describe_silence(one: Silence) -> dict[str, Any]:
    return {
        "account": make_link(one.account),
        "heard": tell_age(one.heard_at),
        "since": show_moment(one.since),
        "tasks": ngettext("%(n)d running task", "%(n)d running tasks", one.tasks)
        % {"n": one.tasks},
    }


def describe_day(one: FailedPushDay) -> dict[str, Any]:
    day = one.day.isoformat()
    return {
        "day": make_link(one, day),
        "account": make_link(one.account),
        "why": one.sentence,
    }


def describe_balances(health: Health) -> list[dict[str, Any]]:
    """The two sums, each with whether it holds."""
    if not health.whole:
        return []
    inbox, contacts = health.inbox, health.contacts
    names = dict(Receipt.Status.choices)
    receipts = reverse("admin:callbacks_receipt_changelist")
    words = {
        "processed": names["processed"],
        "ignored": names["ignored"],
        "quarantined": names["quarantined"],
        "waiting": names["received"],
    }
    parts = [
        (
            text,
            inbox[name],
            f"{receipts}?status__exact={'received' if name == 'waiting' else name}",
        )
        for name, text in words.items()
    ]
    parts.append((_("deleted when old"), inbox["forgotten"], ""))
    states = dict(Contact.Status.choices)
    people = reverse("admin:campaigns_contact_changelist")
    return [
        {
            "name": _("Pushes received"),
            "total": inbox["received"],
            "parts": parts,
            "missing": inbox["missing"],
            "note": "",
        },
        {
            "name": _("Contacts imported"),
            "total": contacts["imported"] + contacts["otherwise"],
            "parts": [
                (states[state], number, f"{people}?status__exact={state}")
                for state, number in contacts["states"].items()
            ],
            "missing": contacts["missing"],
            "note": fill_in(
                _("%(files)d from files, %(n)d otherwise (direct calls, redials)"),
                {"files": contacts["imported"], "n": contacts["otherwise"]},
            ),
        },
    ]
