"""In: a robot and who looks at it. Out: what its page shows of it over time: its days, its versions
with what changed, where people leave each, and its tasks beside each other."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns import figures
from campaigns.admin.base import show_duration, show_moment, tell_age
from campaigns.admin.row_links import link_rows
from campaigns.admin.task_figures import make_nodes
from campaigns.admin.task_page import TASK_COLORS
from campaigns.definitions import (
    ANSWER_RATE,
    CALLS,
    INTENTION_RATE,
    REACHED,
    TALK_AVERAGE,
    TALK_RATE,
    rate,
    show_number,
    show_rate,
)
from campaigns.figures import Look, VersionFigures
from campaigns.models import CountState, Robot, RobotVersion, Task

#: periods that can be chosen, in days; the first is shown at first
PERIODS = (30, 90, 365)
#: its newest tasks and versions that a page shows; the figures of versions are of these tasks
MOST_TASKS, MOST_VERSIONS = 50, 20
#: words of intentions in a row
MOST_WORDS = 5
FIELD_NAMES = {
    "name": gettext_lazy("name"),
    "columns": gettext_lazy("columns"),
    "state": gettext_lazy("state"),
    "platform_state": gettext_lazy("platform's state"),
    "kind": gettext_lazy("kind"),
    "deleted": gettext_lazy("deleted at the platform"),
    "platform_created_at": gettext_lazy("created at the platform"),
    "platform_updated_at": gettext_lazy("changed at the platform"),
}


def describe_robot(request: HttpRequest, robot: Robot) -> dict[str, Any]:
    days = read_days(request)
    tasks = list(
        Task.objects.filter(robot=robot).select_related("account").order_by("-id")[: MOST_TASKS + 1]
    )
    shown = tasks[:MOST_TASKS]
    looks = figures.read_many(shown)
    ages = [look.counted_at for look in looks.values() if look.counted_at]
    versions = list(robot.versions.order_by("-number")[:MOST_VERSIONS])
    described = describe_versions(robot, versions, shown, looks)
    state = CountState.objects.filter(pk=1).first()
    return {
        "days": days,
        "periods": PERIODS,
        **describe_days(robot, days),
        "days_age": tell_age(state.counted_at) if state and state.counted_at else "",
        "versions": described,
        "has_nodes": any(one["nodes"] for one in described),
        "last_change": describe_last(versions),
        "robot_tasks": [describe_task(task, looks.get(task.pk)) for task in shown],
        "more_tasks": len(tasks) > MOST_TASKS,
        "tasks_age": tell_age(min(ages)) if ages else "",
        "tasks_missing": len(shown) - len(looks),
        "definitions": [
            *(CALLS, REACHED, ANSWER_RATE, TALK_AVERAGE, TALK_RATE, INTENTION_RATE),
        ],
    }


def read_days(request: HttpRequest) -> int:
    """The period that is asked for; the first of them for anything else."""
    chosen = request.GET.get("days", "")
    return next((days for days in PERIODS if str(days) == chosen), PERIODS[0])


# ---------------------------------------------------------------------------------------- its days


def describe_days(robot: Robot, days: int) -> dict[str, Any]:
    """Calls and answer rate of each day, for a chart and for a table."""
    found = figures.tally_days(robot, days=days)
    names = [formats.date_format(day, "SHORT_DATE_FORMAT") for day, _tally in found]
    labels = [f"{day:%m-%d}" for day, _tally in found]
    rates = [tally.answer_rate for _day, tally in found]
    calls = {
        "labels": labels,
        "datasets": [
            {
                "label": str(CALLS.name),
                "data": [tally.calls for _day, tally in found],
                "backgroundColor": "var(--color-primary-500)",
                "maxTicksXLimit": 10,
                "displayYAxis": True,
            }
        ],
    }
    answers = {
        "labels": labels,
        "datasets": [
            {
                "label": str(ANSWER_RATE.name),
                # a day without a rate is a gap, not a zero
                "data": [None if one is None else round(100 * one, 1) for one in rates],
                "borderColor": "var(--color-primary-600)",
                "maxTicksXLimit": 10,
                "displayYAxis": True,
                "suffixYAxis": "%",
            }
        ],
    }
    return {
        "has_days": any(tally.calls for _day, tally in found),
        "calls_chart": json.dumps(calls),
        "answers_chart": json.dumps(answers),
        "day_rows": [
            {
                "day": name,
                "calls": show_number(tally.calls),
                "url": link_rows(
                    "calls",
                    robot__id__exact=robot.pk,
                    step="counted",
                    happened_at_from=day.isoformat(),
                    happened_at_to=day.isoformat(),
                ),
                "reached": show_number(tally.reached),
                "rate": show_rate(tally.answer_rate),
                "talk": show_seconds(tally.talk_average),
            }
            for (day, tally), name in zip(reversed(found), reversed(names), strict=True)
            if tally.calls
        ],
    }


def show_seconds(seconds: float | None) -> str:
    return show_duration(None if seconds is None else round(seconds))


# ------------------------------------------------------------------------------------ its versions


def describe_versions(
    robot: Robot, versions: list[RobotVersion], tasks: list[Task], looks: dict[int, Look]
) -> list[dict[str, Any]]:
    """The newest first, and at the end the calls from before any was seen."""
    counted = figures.merge_versions(look.figures for look in looks.values())
    # without a task there is no call of one: 0 is the number of none
    of = {"task__id__exact": ",".join(str(task.pk) for task in tasks) or "0"}
    rows = []
    until: datetime | None = None
    for version in versions:
        found = counted.get((robot.pk, version.number), VersionFigures(robot.pk, version.number))
        within = {**of, "happened_at_from": version.begins_at.isoformat()}
        if until is not None:
            within["happened_at_to"] = until.isoformat()
        rows.append(
            {
                "number": version.number,
                "begins": show_moment(version.begins_at),
                "seen": tell_age(version.last_seen_at),
                "is_now": until is None,
                "changes": list_changes(version),
                **describe_counts(found, of=within),
            }
        )
        until = version.begins_at
    before = counted.get((robot.pk, None))
    if before is not None and (not versions or versions[-1].number == 1):
        within = dict(of)
        if until is not None:
            within["happened_at_to"] = until.isoformat()
        rows.append({"number": None, "changes": [], **describe_counts(before, of=within)})
    return rows


def describe_counts(found: VersionFigures, *, of: dict[str, Any]) -> dict[str, Any]:
    return {
        "calls": show_number(found.calls),
        "url": link_rows("calls", **of, step="counted"),
        "rate": show_rate(found.answer_rate),
        "talk": show_seconds(found.talk_average),
        "talk_rate": show_rate(found.talk_rate),
        "mix": make_mix(found.intentions, reached=found.reached, of=of),
        "nodes": make_nodes(found.nodes.nodes, of=of),
    }


def make_mix(
    intentions: dict[str, int], *, reached: int, of: dict[str, Any]
) -> list[dict[str, str]]:
    ordered = sorted(intentions.items(), key=lambda item: (-item[1], item[0]))
    return [
        {
            "name": word,
            "share": show_rate(rate(number, reached)),
            "number": show_number(number),
            "url": link_rows("calls", **of, step="reached", intention=word),
        }
        for word, number in ordered[:MOST_WORDS]
    ]


def describe_last(versions: list[RobotVersion]) -> dict[str, Any] | None:
    """The last change that was seen at the platform; None while there was none."""
    changed = next((one for one in versions if one.changes), None)
    if changed is None:
        return None
    return {
        "number": changed.number,
        "seen": show_moment(changed.first_seen_at),
        "age": tell_age(changed.first_seen_at),
        "changes": list_changes(changed),
    }


def list_changes(version: RobotVersion) -> list[dict[str, str]]:
    return [
        {
            "name": str(FIELD_NAMES.get(name, name)),
            "before": tell_value(name, before),
            "now": tell_value(name, now),
        }
        for name, (before, now) in version.changes.items()
    ]


def tell_value(name: str, value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return " · ".join(map(str, value))
    if name.endswith("_at"):
        try:
            return show_moment(datetime.fromisoformat(str(value)))
        except ValueError:
            return str(value)
    words = dict({"state": Robot.State.choices, "kind": Robot.Kind.choices}.get(name, []))
    return str(words.get(value, value)) if isinstance(value, str) else str(value)


# --------------------------------------------------------------------------------------- its tasks


def describe_task(task: Task, look: Look | None) -> dict[str, Any]:
    of = {"task__id__exact": task.pk}
    row: dict[str, Any] = {
        "task": task,
        "color": TASK_COLORS.get(task.status, ""),
        "began": show_moment(task.launched_at),
        "is_counted": look is not None,
    }
    if look is None:
        return row
    tally, people = look.figures.tally, look.figures.read_people().people
    return row | {
        "people": show_number(people["called"]),
        "people_url": link_rows("contacts", **of, step="called"),
        "calls": show_number(tally.calls),
        "calls_url": link_rows("calls", **of, step="counted"),
        "rate": show_rate(tally.answer_rate),
        "talk": show_seconds(tally.talk_average),
        "mix": make_mix(look.figures.read_intentions(), reached=tally.reached, of=of),
    }
