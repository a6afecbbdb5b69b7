"""In: a platform's word against a whole account, or a person's that its cause is repaired. Out: the
account stopped with all its tasks, or what that had paused going on.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import gates, lifecycle
from campaigns.gates.amounts import STOPPED, find_stopped
from campaigns.models import Account, StatusChange, Task
from campaigns.queue import FIRST, enqueue

ACCOUNT_STOPPED = N_("The platform refused the whole account. All its tasks wait.")
REPAIRED = N_("Somebody says that the cause is repaired.")
#: rules whose pause is an alarm: nothing goes on before somebody has looked
ALARMING = (STOPPED, "failures")
#: the account in the history: a move from "stopped", or to it
ACCOUNT = "account"


def stop_account(account: Account, reason: str) -> None:
    """Nothing that adds calls leaves for the account any more. Its tasks that are handed over pause
    at once, those that run are asked to; what is paused here goes on after ``lift_stop``."""
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        running = Account.objects.filter(pk=account.pk, stopped_at=None)
        if running.update(stopped_at=timezone.now(), stopped_reason=reason):
            _tell(account, "", "stopped", reason)
        account.refresh_from_db(fields=["stopped_at", "stopped_reason"])
        # Whoever holds the row of a task may want that of the account: nobody is waited for. A task
        # that is left out so is held back at its next step, and paused by ``guarding``.
        own = Task.objects.filter(account=account, kind=Task.Kind.CAMPAIGN).order_by("id")
        own = own.select_for_update(of=("self",), no_key=True, skip_locked=True)
        for task in own.filter(status__in=["loading", "loaded", "starting"], request=""):
            task.account = account
            lifecycle.move(
                task, "paused", of=["loading", "loaded", "starting"], reason=reason,
                needs_attention=True, paused_by_rule=STOPPED,
            )  # fmt: skip
            _hold(task)
        for task in own.filter(status="paused", paused_by_rule=STOPPED).exclude(hold_rule=STOPPED):
            task.account = account  # the one whose request was refused
            _hold(task)
        for task in own.filter(status="running", request=""):
            task.account = account
            if task.fills_instances:
                continue  # it offers no pause
            Task.objects.filter(pk=task.pk).update(paused_by_rule=STOPPED)
            lifecycle.request_task(task, "pause")
            lifecycle.note_task(task, ACCOUNT_STOPPED, needs_attention=True)
            _hold(task)
            enqueue("campaigns.jobs.carry_out_request", priority=FIRST, task_id=task.pk)


def lift_stop(account: Account, *, by: Any) -> list[int]:
    """The cause is repaired: what the stop had paused goes on, and nothing else; returns the ids of
    these tasks. If the platform refuses again, the account is stopped again."""
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        stopped = Account.objects.filter(pk=account.pk).exclude(stopped_at=None)
        if not stopped.update(stopped_at=None, stopped_reason=""):
            return []
        account.stopped_at, account.stopped_reason = None, ""
        _tell(account, "stopped", "", REPAIRED, by=by)
        waiting = Task.objects.filter(account=account, paused_by_rule=STOPPED)
        waiting = waiting.select_for_update(of=("self",)).order_by("id")
        resumed = []
        for task in waiting.filter(status="paused", request=""):
            Task.objects.filter(pk=task.pk).update(paused_by_rule="")
            gates.clear_hold(task)
            lifecycle.calm_task(task, REPAIRED)
            lifecycle.request_task(task, "resume", by=by)
            enqueue("campaigns.jobs.carry_out_request", priority=FIRST, task_id=task.pk)
            resumed.append(task.pk)
        # Those whose pause is still being asked for go on once it is confirmed, see ``guarding``.
        return resumed + list(waiting.exclude(request="").values_list("id", flat=True))


def _hold(task: Task) -> None:
    hold = find_stopped(task)
    if hold is not None:
        gates.note_hold(task, hold)


def _tell(account: Account, old: str, new: str, reason: str, *, by: Any = None) -> None:
    StatusChange.objects.create(
        subject=ACCOUNT, subject_id=account.pk, old=old, new=new, reason=reason,
        by=by if getattr(by, "pk", None) else None,
    )  # fmt: skip
