"""In: a task. Out: what its page says of the rules that hold it, or some of its batches, back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.admin.account_page import describe_pace
from campaigns.gates.opening import ZoneUnknown, read_zone
from campaigns.models import Task
from campaigns.models.history import fill_in

#: requests that add calls are sent for it
HANDING_OVER = ("loading", "loaded", "starting")
#: groups of waiting batches that are shown, the next one first
SHOWN = 5


def describe_held(task: Task) -> dict[str, Any]:
    """Context of ``task_held.html``."""
    held = bool(task.hold_rule)
    return {
        "hold": task.hold_text if held else "",
        "hold_since": tell_moment(task, task.held_at) if held else "",
        "hold_until": tell_moment(task, task.held_until) if held else "",
        "goes_on": bool(task.paused_by_rule) and task.status != Task.Status.DELETED,
        "waiting": list_waiting(task),
        "pace": describe_pace(task.account) if task.status in HANDING_OVER else "",
    }


def list_waiting(task: Task) -> list[str]:
    """Who waits for an hour, in sentences, grouped by the place and the moment."""
    if task.status != Task.Status.LOADING:
        return []
    waiting = task.batches.filter(status="planned", not_before__gt=timezone.now()).order_by()
    groups = waiting.values_list("not_before", "places").annotate(number=Sum("size"))
    told = []
    for moment, places, number in groups.order_by("not_before")[:SHOWN]:
        zones = sorted({zone for _country, zones in places or [] for zone in zones})
        zone = zones[0] if zones else task.account.time_zone
        values = {"n": number, "time": write_moment(moment, zone), "zone": zone}
        values["more"] = f" (+{len(zones) - 1})" if len(zones) > 1 else ""
        text = _("%(n)d contacts wait until %(time)s %(zone)s%(more)s.")
        told.append(fill_in(text, values))
    return told


def tell_moment(task: Task, moment: datetime | None) -> str:
    """A moment by the account's clock."""
    return write_moment(moment, task.account.time_zone) if moment else ""


def write_moment(moment: datetime, zone: str) -> str:
    try:
        return moment.astimezone(read_zone(zone)).strftime("%Y-%m-%d %H:%M")
    except ZoneUnknown:
        return moment.strftime("%Y-%m-%d %H:%M UTC")
