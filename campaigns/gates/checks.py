"""In: a task whose next request may leave. Out: the rules that were asked, with what they said.

Kept with the batch, or with the start, so that it can be told years later why somebody was called:
what the rules were may have changed since.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as N_

from campaigns.models import Task

#: the words for each rule that let a request go, with places for its values
PASSED = {
    "restore": N_("The database is the one that was written to last."),
    "account": N_("The account is on, and the platform has not stopped it."),
    "do_not_call": N_("The number is not on the do-not-call list."),
    "cap": N_(
        "At most %(allowed)s calls to the number within %(days)s days, those on their way and"
        " %(adding)s of this task counted."
    ),
    "span": N_("Between the begin and the end of the task."),
    "hours": N_("Within %(hours)s %(zone)s: it was %(time)s there."),
    "any_hour": N_("No hours are set: it was %(time)s in %(zone)s."),
    "daily_cap": N_(
        "At most %(allowed)s contacts of the task are called for the first time a day."
    ),
    "rate": N_("At most %(limit)s requests per second go to the platform."),
}


def list_checks(task: Task, *, dials: bool, now: datetime | None = None) -> list[dict[str, Any]]:
    """The rules that the task has just passed: [{"rule", "value", "at"}]. No query: the task and
    its account are taken as they are given. ``dials``: the request may ring at somebody's."""
    account, moment = task.account, now or timezone.now()
    found: list[tuple[str, dict[str, Any]]] = [
        ("restore", {}),
        ("account", {}),
        ("do_not_call", {}),
    ]
    if account.cap_calls is not None:
        adding = 1 + task.recall_count
        value = {"allowed": account.cap_calls, "days": account.cap_days, "adding": adding}
        found.append(("cap", value))
    if dials:
        if task.begin_at or task.end_at:
            found.append(("span", {}))
        found.append(_tell_hours(task, moment))
        if task.daily_cap is not None:
            found.append(("daily_cap", {"allowed": task.daily_cap}))
    if account.rate_limit:
        found.append(("rate", {"limit": account.rate_limit}))
    at = moment.isoformat(timespec="milliseconds")
    return [{"rule": rule, "value": value, "at": at} for rule, value in found]


def tell_check(rule: str, value: dict[str, Any]) -> str:
    """What a rule said, in the reader's language; a rule of another version by its name."""
    sentence = PASSED.get(rule)
    if sentence is None:
        return rule
    try:
        return gettext(sentence) % value
    except (KeyError, TypeError, ValueError):
        return rule


def _tell_hours(task: Task, moment: datetime) -> tuple[str, dict[str, Any]]:
    """Each set of hours that had to be open, in the account's zone."""
    zone = task.account.time_zone
    try:
        local = moment.astimezone(ZoneInfo(zone)).strftime("%H:%M")
    except (KeyError, ValueError, OSError):
        local = "?"
    sets = [text for hours in (task.windows, task.account.call_hours) if (text := _write(hours))]
    value = {"zone": zone, "time": local}
    if not sets:
        return "any_hour", value
    return "hours", {"hours": " / ".join(dict.fromkeys(sets))} | value


def _write(hours: Any) -> str:
    if not isinstance(hours, Sequence) or isinstance(hours, str):
        return ""
    windows = [one for one in hours if isinstance(one, Sequence) and len(one) == 2]
    return ", ".join(f"{str(begin)[:5]}–{str(end)[:5]}" for begin, end in windows)
