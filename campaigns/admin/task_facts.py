"""In: a task. Out: what its page says beside the live part: what was decided, imports, exchanges,
history."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from campaigns.admin.base import make_sandbox_badge, show_moment
from campaigns.admin.import_page import describe_row
from campaigns.admin.task_colors import TASK_COLORS
from campaigns.definitions import show_number
from campaigns.drafting import print_windows
from campaigns.models import StatusChange, Task

#: the newest imports on a task's page
IMPORTS = 10


def describe_facts(task: Task) -> dict[str, Any]:
    """What was decided about the task when it was made."""
    limits = task.account.vendor.limits
    windows = print_windows(task.windows) or _("whenever the lines work")
    recalls = (
        _("%(n)d, after %(seconds)d s each")
        % {"n": task.recall_count, "seconds": task.recall_wait_seconds or 0}
        if task.recall_count
        else _("none")
    )
    facts = [
        (_("Voice"), task.voice or _("as the robot has it")),
        (_("Calling windows"), windows if limits.windows else _("as set at the platform")),
        (_("Begin"), show_moment(task.begin_at) if task.begin_at else _("at once")),
        (_("End"), show_moment(task.end_at) if task.end_at else _("when everybody was called")),
        (_("Contacts per day"), show_number(task.daily_cap) if task.daily_cap else _("all")),
        (_("Recalls"), recalls if limits.recall_count else _("as set at the platform")),
    ]
    if task.fills_instances:
        facts = facts[1:]
    if task.kind == Task.Kind.DIRECT:
        facts = [facts[0], (_("Speed"), task.speed if task.speed is not None else "–")]
    return {
        "facts": facts,
        "account_badge": make_sandbox_badge() if task.account.is_sandbox else "",
    }


def describe_rest(task: Task) -> dict[str, Any]:
    """What stands below the live part: imports, exchanges, history."""
    history = StatusChange.objects.filter(subject="task", subject_id=task.pk)
    names = dict(Task.Status.choices)
    imports = list(task.imports.select_related("created_by")[: IMPORTS + 1])
    return {
        "imports": [describe_row(one, task) for one in imports[:IMPORTS]],
        "more_imports": len(imports) > IMPORTS,
        "exchanges": list(task.exchanges.all()[:8]),
        "history": [
            {
                "at": change.at,
                "by": change.by,
                "old": names.get(change.old, change.old),
                "new": names.get(change.new, change.new),
                "color": TASK_COLORS.get(change.new, ""),
                "moved": change.old != change.new,
                "sentence": change.sentence,
            }
            for change in history.select_related("by")[:30]
        ],
        "lines": list(task.lines.all()),
        "task_key": str(task.pk),
    }
