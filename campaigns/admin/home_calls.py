"""In: a period and an account that somebody chose. Out: what the first screen tells of its calls.

Every number is one of ``definitions``, was counted beforehand, says how old it is, and leads to its
rows in the list of calls.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from campaigns import definitions, overview
from campaigns.admin.base import show_duration, tell_age
from campaigns.admin.row_links import write_query
from campaigns.definitions import DASH, Tally, show_change, show_number, show_points, show_rate
from campaigns.models import Account, Call
from campaigns.overview import Overview, Period, Slot

#: whoever counts is late after this long
LATE_AFTER = timedelta(seconds=120)
#: intentions that are shown; the others are seldom
INTENTIONS = 12
NAMES = ("today", "yesterday", "7", "30")


@dataclass(frozen=True, slots=True)
class Choice:
    """What the address asks for; ``error`` says why it is not what it asked for."""

    period: Period
    account: Account | None = None
    error: str = ""

    @property
    def query(self) -> dict[str, str]:
        """What asks for it again."""
        if self.period.slug == "days":
            asked = {"from": self.period.first.isoformat(), "to": self.period.last.isoformat()}
        else:
            asked = {"period": self.period.slug}
        return asked | ({"account": str(self.account.pk)} if self.account else {})


def read_choice(request: HttpRequest) -> Choice:
    """The period and the account of an address; of an odd one today, and of all accounts."""
    error = ""
    try:
        period = overview.read_period(request.GET)
    except overview.BadPeriod as bad:
        period, error = overview.read_period({}), str(bad)
    asked = request.GET.get("account", "")
    account = None
    if asked and request.user.has_perm("campaigns.view_account"):
        number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 19 else 0
        account = Account.objects.filter(pk=number).first()
        if account is None:
            error = error or _("There is no such account.")
    return Choice(period, account, error)


def describe_calls(request: HttpRequest, chosen: Choice, *, going_on: int) -> dict[str, Any]:
    """Nothing for somebody who may not see calls."""
    if not request.user.has_perm("campaigns.view_call"):
        return {}
    accounts = [chosen.account.pk] if chosen.account else None
    found = overview.summarise_period(chosen.period, accounts=accounts)
    calls = reverse("admin:campaigns_call_changelist")
    where: dict[str, str] = chosen.period.query
    if chosen.account:
        where = where | {"account__id__exact": str(chosen.account.pk)}

    def link(**more: str) -> str:
        return f"{calls}?{write_query(where | more)}"

    late = found.counted_at is None or timezone.now() - found.counted_at > LATE_AFTER
    return {
        "chosen": describe_choice(request, chosen),
        "period_name": name_period(found),
        "before_name": name_before(found),
        "counted": tell_age(found.counted_at),
        "counted_late": late,
        "tiles": [*make_tiles(found, link), make_going_on(chosen, going_on, calls)],
        "chart": make_chart(found),
        "chart_options": CHART_OPTIONS,
        "slots": make_rows(found, chosen, calls),
        "results": make_results(found, link),
        "intentions": make_intentions(found, link),
        "definitions": definitions,
    }


def describe_choice(request: HttpRequest, chosen: Choice) -> dict[str, Any]:
    """The buttons and the form above."""
    account = {"account": str(chosen.account.pk)} if chosen.account else {}
    names = {
        "today": _("Today"),
        "yesterday": _("Yesterday"),
        "7": _("7 days"),
        "30": _("30 days"),
    }
    sees = request.user.has_perm("campaigns.view_account")
    return {
        "periods": [
            {
                "name": names[slug],
                "url": f"?{urlencode({'period': slug} | account)}",
                "is_current": chosen.period.slug == slug,
            }
            for slug in NAMES
        ],
        "first": chosen.period.first.isoformat(),
        "last": chosen.period.last.isoformat(),
        "account": chosen.account,
        "accounts": list(Account.objects.order_by("name")[:200]) if sees else [],
        "error": chosen.error,
        "query": urlencode(chosen.query),
    }


def name_day(moment: Any) -> str:
    return formats.date_format(moment, "SHORT_DATE_FORMAT", use_l10n=True)


def name_period(found: Overview) -> str:
    period = found.period
    if period.slug in ("today", "yesterday"):
        return _("today") if period.slug == "today" else _("yesterday")
    return _span(period)


def name_before(found: Overview) -> str:
    """What it is compared with, and how far."""
    before = found.period.before
    if found.cut is None:
        return _span(before)
    until = timezone.localtime(found.cut)
    clock = formats.time_format(until, "H:i") if until.hour else "24:00"
    if found.by_hour and found.period.slug == "today":
        return _("yesterday until %(clock)s") % {"clock": clock}
    return _("%(period)s, on the last day until %(clock)s") % {
        "period": _span(before),
        "clock": clock,
    }


def _span(period: Period) -> str:
    if period.days == 1:
        return name_day(period.first)
    return f"{name_day(period.first)} – {name_day(period.last)}"


# ------------------------------------------------------------------------------------- the numbers


def make_tiles(found: Overview, link: Any) -> list[dict[str, Any]]:
    now, before = found.now, found.before

    def compare(value: str, change: str) -> str:
        return f"{value} ({change})" if change != DASH else value

    def make(what: definitions.Definition, value: str, was: str, change: str, url: str) -> Any:
        return {
            "slug": what.slug,
            "label": what.name,
            "text": what.text,
            "value": value,
            "was": compare(was, change),
            "url": url,
        }

    def count(what: definitions.Definition, number: int, was: int, url: str) -> Any:
        return make(what, show_number(number), show_number(was), show_change(number, was), url)

    average, was_average = now.talk_average, before.talk_average
    return [
        count(definitions.CALLS, now.calls, before.calls, link(counts_as="counted")),
        count(definitions.REACHED, now.reached, before.reached, link(counts_as="reached")),
        make(
            definitions.ANSWER_RATE,
            show_rate(now.answer_rate),
            show_rate(before.answer_rate),
            show_points(now.answer_rate, before.answer_rate),
            link(counts_as="reached", direction__exact="outbound"),
        ),
        make(
            definitions.TALK_AVERAGE,
            show_duration(None if average is None else round(average)),
            show_duration(None if was_average is None else round(was_average)),
            show_change(average, was_average),
            link(counts_as="reached"),
        ),
        make(
            definitions.TALK_RATE,
            show_rate(now.talk_rate),
            show_rate(before.talk_rate),
            show_points(now.talk_rate, before.talk_rate),
            link(counts_as="talked"),
        ),
        count(definitions.INVALID, now.invalid, before.invalid, link(counts_as="invalid")),
    ]


def make_going_on(chosen: Choice, number: int, calls: str) -> dict[str, Any]:
    where = {"stage": "now"}
    if chosen.account:
        where |= {"account__id__exact": str(chosen.account.pk)}
    return {
        "slug": "going_on",
        "label": _("Going on now"),
        "text": _("Calls that ring, or in which somebody talks, as far as the platforms say."),
        "value": show_number(number),
        "url": f"{calls}?{urlencode(where)}",
    }


def make_results(found: Overview, link: Any) -> list[dict[str, Any]]:
    names = dict(Call.Result.choices)
    most = max(found.results.values(), default=1)
    return [
        {
            "label": names.get(result, result),
            "number": show_number(number),
            "share": show_rate(definitions.rate(number, found.now.calls)),
            "width": round(100 * number / most, 1),
            "url": link(result__exact=result, counts_as="counted"),
        }
        for result, number in found.results.items()
    ]


def make_intentions(found: Overview, link: Any) -> list[dict[str, Any]]:
    """Of the people reached; those without an intention last."""
    told = {name: number for name, number in found.intentions.items() if name}
    shown = list(told.items())[:INTENTIONS]
    rows = [
        (name, name, number) for name, number in sorted(shown, key=lambda one: (len(one[0]), one))
    ]
    if found.intentions.get(""):
        rows.append((pgettext("intention", "none"), "-", found.intentions[""]))
    most = max((number for _name, _value, number in rows), default=1)
    return [
        {
            "label": name,
            "number": show_number(number),
            "share": show_rate(
                definitions.rate_intention(with_intention=number, reached=found.now.reached)
            ),
            "width": round(100 * number / most, 1),
            "url": link(intention=value, counts_as="reached"),
        }
        for name, value, number in rows
    ]


# --------------------------------------------------------------------------------------- the chart

CHART_OPTIONS = json.dumps(
    {
        "responsive": True,
        "maintainAspectRatio": False,
        "animation": False,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {"legend": {"position": "bottom", "align": "end", "labels": {"boxWidth": 12}}},
        "scales": {
            "x": {"stacked": True, "grid": {"display": False}},
            "y": {"stacked": True, "beginAtZero": True, "ticks": {"precision": 0}},
        },
    }
)


def list_shown(found: Overview) -> list[Slot]:
    """Of a day the hours from the first with calls, of this one or the one before, to the last."""
    slots = found.slots
    used = [place for place, slot in enumerate(slots) if slot.tally.calls or slot.before.calls]
    if not found.by_hour:
        return slots
    return slots[min([8, *used]) : max([19, *used]) + 1]


def name_slot(found: Overview, moment: datetime) -> str:
    local = timezone.localtime(moment)
    return f"{local:%H:%M}" if found.by_hour else f"{local:%m-%d}"


def make_chart(found: Overview) -> str:
    """People reached and all others on top of each other, the period before as a line."""
    shown = list_shown(found)
    reached = [slot.tally.reached for slot in shown]
    return json.dumps(
        {
            "labels": [name_slot(found, slot.begins_at) for slot in shown],
            "datasets": [
                {
                    "type": "line",
                    "label": _("calls of the period before"),
                    "data": [slot.before.calls for slot in shown],
                    "borderColor": "var(--color-base-400)",
                    "backgroundColor": "var(--color-base-400)",
                    "borderDash": [4, 4],
                    "borderWidth": 2,
                    "pointRadius": 2,
                    "stack": "before",
                },
                {
                    "label": str(definitions.REACHED.name),
                    "data": reached,
                    "backgroundColor": "var(--color-primary-600)",
                    "stack": "now",
                },
                {
                    "label": _("other calls"),
                    "data": [slot.tally.calls - slot.tally.reached for slot in shown],
                    "backgroundColor": "var(--color-primary-300)",
                    "stack": "now",
                },
            ],
        },
        ensure_ascii=False,
    )


def make_rows(found: Overview, chosen: Choice, calls: str) -> list[dict[str, Any]]:
    """The chart as a table: each number with its rows."""

    def link(slot: Slot, **more: str) -> str:
        local = timezone.localtime(slot.begins_at)
        where = (
            {"hour": local.isoformat()}
            if found.by_hour
            else {"happened_at_from": f"{local:%Y-%m-%d}", "happened_at_to": f"{local:%Y-%m-%d}"}
        )
        if chosen.account:
            where |= {"account__id__exact": str(chosen.account.pk)}
        return f"{calls}?{urlencode(where | more)}"

    return [_tell_slot(found, slot, link) for slot in list_shown(found)]


def _tell_slot(found: Overview, slot: Slot, link: Any) -> dict[str, Any]:
    tally: Tally = slot.tally
    return {
        "name": name_slot(found, slot.begins_at),
        "calls": show_number(tally.calls),
        "calls_url": link(slot, counts_as="counted") if tally.calls else "",
        "reached": show_number(tally.reached),
        "reached_url": link(slot, counts_as="reached") if tally.reached else "",
        "rate": show_rate(tally.answer_rate),
        "before": show_number(slot.before.calls),
    }
