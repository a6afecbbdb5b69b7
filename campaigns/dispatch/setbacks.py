"""In: a request that was not accepted. Out: what that means for its task, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from campaigns import attempts, lifecycle
from campaigns.dispatch.stops import stop_account
from campaigns.gates.amounts import STOPPED
from campaigns.models import Attempt, Task
from campaigns.platforms.errors import Consequence

LONGEST_SETBACK_SECONDS = 300
#: a platform that says "busy" is there, and the pace of the account has been halved already
LONGEST_BUSY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Next:
    """What comes after a step: ``plan`` batches, ``send`` them, ``advance`` again (after
    ``seconds``), or ``nothing`` until something else happens."""

    what: str
    seconds: float = 0


NOTHING = Next("nothing")


def handle_setback(task: Task, attempt: Attempt, outcome: attempts.Outcome) -> Next:
    """What a request that was not accepted means for its task."""
    if outcome.status == "unknown":
        if attempt.command == Attempt.Command.START:
            lifecycle.note_task(task, outcome.reason, needs_attention=True)
        attempts.park(attempt, outcome.reason)
        return NOTHING
    if outcome.held:
        return Next("advance")  # that step sees the hold, and waits as long as it says
    if outcome.busy:
        lifecycle.note_task(task, outcome.reason, needs_attention=task.setbacks >= 5)
        longest = LONGEST_BUSY_SECONDS if outcome.status == "refused" else LONGEST_SETBACK_SECONDS
        return set_back(task, outcome.retry_after, longest=longest)
    # A rule may have asked for a pause meanwhile; what stops it now is for a person to lift.
    stop: dict[str, Any] = {
        "reason": outcome.reason, "needs_attention": True, "paused_by_rule": "",
    }  # fmt: skip
    if outcome.consequence == Consequence.FAIL_TASK:
        lifecycle.move(task, "failed", of=["loading", "loaded", "starting"], **stop)
        return NOTHING
    moved = lifecycle.move(task, "paused", of=["loading", "loaded", "starting"], **stop)
    if not moved:
        lifecycle.note_task(task, outcome.reason, needs_attention=True)
    if outcome.consequence == Consequence.PAUSE_ACCOUNT:
        rows = Task.objects.filter(pk=task.pk, status="paused")
        # What a person paused, or asked to pause, while the request was under way stays so when the
        # account is repaired.
        rows = rows.exclude(request="pause") if moved else rows.filter(request="resume")
        rows.update(paused_by_rule=STOPPED)
        stop_account(task.account, outcome.reason)
    return NOTHING


def set_back(
    task: Task, seconds: float | None = None, *, longest: float = LONGEST_SETBACK_SECONDS
) -> Next:
    """Wait before the next request: as long as the platform says, else twice as long each time."""
    wait = min(seconds or min(2.0 ** min(task.setbacks, 9), longest), LONGEST_SETBACK_SECONDS)
    until = timezone.now() + timedelta(seconds=wait)
    Task.objects.filter(pk=task.pk).update(setbacks=min(task.setbacks + 1, 30), not_before=until)
    return Next("advance", wait)


def clear_setbacks(task: Task) -> None:
    if task.setbacks:
        Task.objects.filter(pk=task.pk).update(setbacks=0, not_before=None)
        task.setbacks, task.not_before = 0, None
