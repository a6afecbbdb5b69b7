"""In: a task and one number, mostly one's own. Out: that number called as the task would call it.

A test call is a task of its own: it never counts as a contact of the task that it tries out, and
its number does not get into that one's family.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns import gates
from campaigns.dispatch.orders import LaunchRefused, call_directly, launch_task, refuse_numbers
from campaigns.models import Contact, Line, Task
from campaigns.models.history import tell_reason
from campaigns.phones import PhoneRefused, normalise_phone
from campaigns.platforms.contract import Can

#: a test call that the platform has not made until then is not made any more
EXPIRES = timedelta(hours=2)


def call_for_trial(task: Task, *, values: Mapping[str, str], line: Line | None, by: Any) -> Task:
    """Call one number with the task's robot, voice and line, at once. ``values`` are those of the
    robot's columns, the number first. Raises ``LaunchRefused``; every gate holds as for anybody.
    """
    account = task.account
    columns = [str(column) for column in task.robot.columns]
    row = [values.get(column, "") for column in columns]
    directly = account.can(Can.CALL_DIRECTLY)
    trial = Task(
        account=account,
        kind=Task.Kind.DIRECT if directly else Task.Kind.CAMPAIGN,
        robot=task.robot,
        voice=task.voice,
        name=_("Test call of %(task)s") % {"task": task.name[:60]},
        trial_of=task,
        windows=[] if directly else task.windows,
        created_by=by if getattr(by, "pk", None) else None,
    )
    hold = gates.find_hold(trial, "callout")
    if hold is not None:
        raise LaunchRefused(tell_reason(hold.reason, hold.values))
    if directly:
        if line is None:
            raise LaunchRefused(_("Choose a line."))
        return call_directly(
            account=account, robot=task.robot, line=line, voice=task.voice, columns=columns,
            rows=[row], by=by, name=trial.name, trial_of=task,
        )  # fmt: skip
    return _launch(trial, row, columns, lines=[line] if line else [], by=by)


def _launch(trial: Task, row: list[str], columns: list[str], *, lines: list[Line], by: Any) -> Task:
    """As a task of one contact, where the platform offers no direct calls."""
    account = trial.account
    try:
        phone = normalise_phone(row[0], region=account.region)
    except PhoneRefused as error:
        raise LaunchRefused(_(error.reason)) from None
    problems = refuse_numbers(account, {phone: 1})
    if problems:
        raise LaunchRefused(" ".join(problems))
    trial.end_at = timezone.now() + EXPIRES
    with transaction.atomic():
        trial.save()
        trial.lines.set(lines)
        Contact.objects.create(
            task=trial,
            account=account,
            family_id=trial.pk,
            phone=phone,
            phone_raw=row[0][:100],
            values=dict(zip(columns, row, strict=True)),
            line_number=1,
        )
        return launch_task(trial, by=by)
