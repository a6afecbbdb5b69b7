"""In: the facts of a launch preview, as they are or as somebody was shown them before. Out: what a
template shows of them, in the reader's language."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.dates import WEEKDAYS
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from campaigns.admin.base import show_duration
from campaigns.definitions import show_number
from campaigns.drafting import print_windows
from campaigns.models import Task
from campaigns.models.history import fill_in, tell_reason

_NAMES = ("seconds", "answered", "at_once")


def show_preview(facts: dict[str, Any], task: Task) -> dict[str, Any]:
    """``facts`` is that of ``LaunchPreview.as_facts``."""
    zone = facts["zone"]
    ends = show_time(facts["ends_at"], zone)
    return {
        "people": facts["people"],
        "ready": facts["ready"],
        "tiles": [
            {
                "id": "people",
                "label": _("People to call"),
                "value": show_number(facts["people"]),
                "note": "",
            },
            {
                "label": _("Calls expected"),
                "value": show_number(facts["expected_calls"]),
                "note": fill_in(_("at most %(n)d"), {"n": facts["most_calls"]}),
            },
            {
                "label": _("Requests"),
                "value": show_number(facts["batches"]),
                "note": _tell_batches(facts),
            },
            {
                "label": _("Time of calling"),
                "value": show_duration(facts["seconds"]) if facts["seconds"] else "–",
                "note": _("without closed hours"),
            },
            {"id": "ends", "label": _("Estimated end"), "value": keep_words(ends), "note": zone},
        ],
        "left_out": [_show_group(group, task, "excluded") for group in facts["left_out"]],
        "would_leave_out": [_show_group(group, task, "") for group in facts["would_leave_out"]],
        "rows": list_rows(facts),
        "assumptions": [
            {"name": name, **_show_assumption(name, facts["assumptions"][name])} for name in _NAMES
        ],
        "cautions": [tell_reason(one["reason"], one["values"]) for one in facts["warnings"]],
        "hold": tell_reason(facts["hold"]["reason"], facts["hold"]["values"])
        if facts["hold"]
        else "",
        "needs_second": facts["needs_second"],
        "taken_at": show_time(facts["taken_at"], zone),
    }


def keep_words(text: str) -> Any:
    """Broken between its words alone, not at the dashes of a day."""
    return format_html_join(
        " ", '<span class="cb-nowrap">{}</span>', ((word,) for word in text.split())
    )


def show_time(text: str | None, zone: str) -> str:
    """An ISO time by the clock of the account, to the minute; a dash for none."""
    if not text:
        return "–"
    moment = datetime.fromisoformat(text)
    with contextlib.suppress(KeyError, ValueError, OSError):
        moment = moment.astimezone(ZoneInfo(zone))
    return f"{moment:%Y-%m-%d %H:%M}"


def _tell_batches(facts: dict[str, Any]) -> str:
    sentence = fill_in(_("at most %(n)d contacts each"), {"n": facts["batch_size"]})
    if facts["instances"] > 1:
        sentence += ", " + fill_in(_("in %(n)d instances"), {"n": facts["instances"]})
    return sentence


def _show_group(group: dict[str, Any], task: Task, status: str) -> dict[str, Any]:
    query = {"task__id__exact": task.pk, "status__exact": status or "ready"}
    if status:
        query["reason__exact"] = group["reason"]
    address = reverse("admin:campaigns_contact_changelist")
    try:
        sentence = tell_reason(group["reason"], group["values"])
    except (TypeError, ValueError, KeyError):
        sentence = tell_reason(group["reason"], {})
    return {
        # a place that was left open, at the end of the sentence
        "sentence": sentence.replace("….", "…") or _("without a reason"),
        "count": group["count"],
        "url": f"{address}?{urlencode(query)}",
    }


def list_rows(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    """(name, text) of everything that was decided about when and how often."""
    zone = facts["zone"]
    days = facts["call_days"]
    rows: list[tuple[str, Any]] = [
        (_("Begin"), show_time(facts["begin_at"], zone) if facts["begin_at"] else _("at once")),
        (
            _("End"),
            show_time(facts["end_at"], zone)
            if facts["end_at"]
            else pgettext("end of a task", "open"),
        ),
        (_("Calling windows"), print_windows(facts["windows"]) or _("whenever the lines work")),
        (_("Hours of the account"), print_windows(facts["call_hours"]) or _("no limit")),
        (
            _("Days of the account"),
            _("every day")
            if len(days) == 7
            else ", ".join(str(WEEKDAYS[day - 1]) for day in days) or _("none"),
        ),
        (_("Clock"), zone),
    ]
    if facts["holidays"]:
        told = [
            "{day} {name}{works}".format(
                **one | {"works": f" ({_('people are called')})" if one["works"] else ""}
            )
            for one in facts["holidays"]
        ]
        rows.append((_("Holidays until then"), ", ".join(told)))
    rows += [
        (
            _("Contacts per day"),
            show_number(facts["daily_cap"]) if facts["daily_cap"] else _("all"),
        ),
        (
            _("Recalls"),
            _("%(n)d, after %(seconds)d s each")
            % {"n": facts["recalls"], "seconds": facts["recall_wait_seconds"] or 0}
            if facts["recalls"]
            else _("none"),
        ),
    ]
    for line in facts["lines"]:
        parts = [
            _("%(n)d at once") % {"n": line["concurrency"]}
            if line["concurrency"]
            else _("how many at once is not told"),
            print_windows(line["hours"]) or _("at any hour, as far as told"),
        ]
        rows.append((_("Line %(line)s") % {"line": line["number"]}, " · ".join(parts)))
    return rows


def _show_assumption(name: str, found: dict[str, Any]) -> dict[str, Any]:
    value, source = found["value"], found["source"]
    labels = {
        "seconds": _("Seconds that a call keeps its line"),
        "answered": _("Percent who pick up"),
        "at_once": _("Calls at once"),
    }
    measured = ngettext(
        "measured: %(n)d call of this robot",
        "measured: %(n)d calls of this robot",
        found["sample"],
    )
    sources = {
        "assumed": _("assumed: fewer than 50 calls of this robot are known"),
        "told": _("as the platform says of the lines"),
        "given": _("as you say"),
        "unknown": _("not told by the platform; without it no end is estimated"),
        "measured": fill_in(measured, {"n": found["sample"]}),
    }
    shown = "" if value is None else round(value * 100 if name == "answered" else value)
    return {"label": labels[name], "value": shown, "source": sources[source], "given": source}
