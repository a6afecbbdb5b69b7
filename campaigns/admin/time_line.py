"""In: a contact, and which part of its time line somebody wants. Out: the lines of the screen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from campaigns.admin.base import hide_phones, show_moment
from campaigns.history import GROUP_NAMES, GROUPS, Moment, tell_history, tell_standing
from campaigns.models import Batch, Contact

KINDS = {
    "import": pgettext_lazy("time line", "import"),
    "number": pgettext_lazy("time line", "do-not-call"),
    "contact": pgettext_lazy("time line", "contact"),
    "batch": pgettext_lazy("time line", "batch"),
    "check": pgettext_lazy("time line", "rules"),
    "attempt": pgettext_lazy("time line", "request"),
    "exchange": pgettext_lazy("time line", "exchange"),
    "evidence": pgettext_lazy("time line", "question"),
    "approval": pgettext_lazy("time line", "second person"),
    "incident": pgettext_lazy("time line", "incident"),
    "hold": pgettext_lazy("time line", "held back"),
    "task": pgettext_lazy("time line", "task"),
    "call": pgettext_lazy("time line", "call"),
    "recording": pgettext_lazy("time line", "recording"),
    "push": pgettext_lazy("time line", "push"),
}
COLORS = {"incident": "bad", "hold": "warn", "number": "warn", "call": "good", "contact": "info"}
ASKED = gettext_lazy("Asked before it left, and each let it go:")


def describe_time_line(request: HttpRequest, contact: Contact) -> dict[str, Any]:
    """What ``campaigns/time_line.html`` needs. ``?show=`` names a group of kinds."""
    whole = bool(getattr(contact, "revealed", False))
    moments = tell_history(contact)
    wanted = request.GET.get("show", "")
    kinds = GROUPS.get(wanted)
    shown = [one for one in moments if kinds is None or one.what in kinds]
    return {
        "standing": tell_standing(contact),
        "moments": fold_checks(describe_moment(request, one, whole=whole) for one in shown),
        "groups": [
            {
                "name": name,
                "url": f"?show={key}" if key else "?",
                "count": count_kinds(moments, key),
                "current": key == (wanted if kinds else ""),
            }
            for key, name in {"": _("Everything"), **GROUP_NAMES}.items()
        ],
    }


def count_kinds(moments: list[Moment], group: str) -> int:
    return sum(not group or one.what in GROUPS[group] for one in moments)


def describe_moment(request: HttpRequest, moment: Moment, *, whole: bool) -> dict[str, Any]:
    """One line: its numbers masked unless the whole ones were asked for."""
    value = moment.value if whole else hide_phones(moment.value)
    return {
        "at": moment.at,
        "what": moment.what,
        "kind": KINDS.get(moment.what, moment.what),
        "color": COLORS.get(moment.what, ""),
        "by": moment.by,
        "text": moment.text if whole else hide_phones(moment.text),
        "url": find_page(request, moment.row),
        "rule": moment.rule,
        "facts": [
            (name, show_value(told)) for name, told in value.items() if told not in (None, "", {})
        ],
    }


def fold_checks(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rules that were asked at one moment stand in one line."""
    folded: list[dict[str, Any]] = []
    for line in lines:
        if line["what"] != "check":
            folded.append(line)
            continue
        before = folded[-1] if folded else {}
        if before.get("what") != "check" or before["at"] != line["at"]:
            before = line | {"text": ASKED, "rule": "", "facts": [], "parts": []}
            folded.append(before)
        before["parts"].append({"rule": line["rule"], "text": line["text"]})
    return folded


def show_value(value: Any) -> str:
    if isinstance(value, datetime):
        return show_moment(value)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)


def find_page(request: HttpRequest, row: Any) -> str:
    """The address of what a line is about, empty where there is none for this person."""
    if row is None:
        return ""
    if isinstance(row, Batch):
        return f"{reverse('admin:campaigns_contact_changelist')}?batch__id__exact={row.pk}"
    label, name = row._meta.app_label, row._meta.model_name
    if not request.user.has_perm(f"{label}.view_{name}"):
        return ""
    try:
        return reverse(f"admin:{label}_{name}_change", args=[row.pk])
    except NoReverseMatch:
        return ""
