"""In: a task, and a command that would add calls. Out: the rule that forbids it now, if one does.

One module per rule. They are asked before a step begins, when a batch is claimed, and right before
the first byte. A hold is not a failure: the task waits, its page says why and until when, and the
step is tried again by itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from campaigns.gates.amounts import find_spent, find_stopped
from campaigns.gates.checks import list_checks, tell_check
from campaigns.gates.hold import Hold
from campaigns.gates.hours import find_closing, find_unmet
from campaigns.gates.restore import find_restored
from campaigns.models import Batch, StatusChange, Task

__all__ = [
    "Hold",
    "clear_hold",
    "find_hold",
    "lets_dial",
    "list_checks",
    "note_hold",
    "tell_check",
]

#: what history rows about holds are about; ``old`` and ``new`` are rules, empty: none
HOLD = "hold"


def lets_dial(task: Task, command: str) -> bool:
    """Whether somebody's phone may ring because of this command: a task that is created, or filled
    before it is started, calls nobody."""
    if command == "insert":
        return task.fills_instances
    return command in ("start", "callout")


def find_hold(
    task: Task,
    command: str,
    *,
    now: datetime | None = None,
    batch: Batch | None = None,
    claimed_at: datetime | None = None,
) -> Hold | None:
    """The first rule that forbids the command at this moment; None when it may leave. ``batch`` is
    what would be handed over by it, ``claimed_at`` since when it counts.

    ``task`` and its account are taken as they are given: read them again for a last look.
    """
    moment = now or timezone.now()
    hold = find_restored(task) or find_stopped(task)
    if hold is None and lets_dial(task, command):
        hold = find_closing(task, command, moment, batch=batch) or find_spent(
            task, moment, claimed_at=claimed_at
        )
    elif hold is None and command == "create":
        hold = find_unmet(task)
    return hold


def note_hold(task: Task, hold: Hold) -> None:
    """Keep on the task what holds it back, so that everybody sees it. Since when it does is kept
    while the rule stays the same."""
    since = task.held_at if task.hold_rule == hold.rule and task.held_at else timezone.now()
    noted = {
        "hold_rule": hold.rule,
        "hold_reason": hold.reason,
        "hold_values": hold.values,
        "held_at": since,
        "held_until": hold.until,
    }
    if all(getattr(task, name) == value for name, value in noted.items()):
        return
    rows = Task.objects.filter(pk=task.pk)
    # Of several that find the same rule at once, one tells.
    if rows.exclude(hold_rule=hold.rule).update(**noted):
        _tell(task, hold.rule, hold.reason, hold.values)
    else:
        rows.update(**noted)
    for name, value in noted.items():
        setattr(task, name, value)


def clear_hold(task: Task) -> None:
    """Nothing holds it back any more."""
    if not task.hold_rule:
        return
    freed: dict[str, Any] = {
        "hold_rule": "", "hold_reason": "", "hold_values": {}, "held_at": None, "held_until": None,
    }  # fmt: skip
    if Task.objects.filter(pk=task.pk).exclude(hold_rule="").update(**freed):
        _tell(task, "", "", {})
    for name, value in freed.items():
        setattr(task, name, value)


def _tell(task: Task, rule: str, reason: str, values: dict[str, Any]) -> None:
    """One history row per change of the rule: the time lines of its contacts tell of it."""
    StatusChange.objects.create(
        subject=HOLD, subject_id=task.pk, old=task.hold_rule[:30], new=rule[:30], reason=reason,
        values=values,
    )  # fmt: skip
