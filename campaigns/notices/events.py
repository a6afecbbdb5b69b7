"""In: nothing. Out: each thing that somebody can be told of: its sentence, how urgent it is, who
may see it; and ``Occurrence``, one time that it happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_noop as N_

from campaigns.masking import mask_numbers
from campaigns.models import Account, Notice, NoticeEvent, Task

E: Any = NoticeEvent
L: Any = Notice.Level


@dataclass(frozen=True, slots=True)
class Event:
    """``sentence`` is English with places for values; ``right`` is what a reader needs."""

    sentence: str
    level: str
    right: str


EVENTS: dict[str, Event] = {
    E.TASK_DONE: Event(N_("Task %(task)s is done."), L.INFO, "campaigns.view_task"),
    E.TASK_STOPPED: Event(N_("Task %(task)s stopped by itself."), L.BAD, "campaigns.view_task"),
    E.TASK_ATTENTION: Event(N_("Task %(task)s needs attention."), L.WARN, "campaigns.view_task"),
    E.ANSWER_RATE: Event(
        N_(
            "The answer rate of task %(task)s is %(rate)s %%, below %(below)s %% (of its last"
            " %(of)s calls)."
        ),
        L.WARN,
        "campaigns.view_call",
    ),
    E.PLATFORM_SILENT: Event(
        N_("%(account)s tells nothing any more, although calls are made."),
        L.BAD,
        "campaigns.view_account",
    ),
    E.ACCOUNT_STOPPED: Event(
        N_("The platform refuses the whole account %(account)s; nobody is called for it."),
        L.BAD,
        "campaigns.view_account",
    ),
    E.ACCOUNT_BROKEN: Event(
        N_("The platform of %(account)s does not let us in."), L.WARN, "campaigns.view_account"
    ),
    E.DECISION: Event(
        N_("A request of task %(task)s needs a decision: was it carried out?"),
        L.BAD,
        "campaigns.view_attempt",
    ),
    E.APPROVAL: Event(
        N_("Somebody asks for an approval about task %(task)s."),
        L.WARN,
        "campaigns.decide_approval",
    ),
    E.INCIDENT: Event(
        N_("An incident was opened: people may have been called who should not have been."),
        L.BAD,
        "campaigns.view_incident",
    ),
    E.QUARANTINE: Event(
        N_("Pushes of %(account)s came that could not be understood (%(number)s or more)."),
        L.WARN,
        "callbacks.view_receipt",
    ),
    E.GAP: Event(
        N_("The platform of %(account)s leaves out what it should tell."),
        L.WARN,
        "campaigns.view_gap",
    ),
    E.IMPORT_FAILED: Event(
        N_("The import of %(file)s failed."), L.WARN, "campaigns.view_contactimport"
    ),
    E.IMPORT_DONE: Event(
        N_("The import of %(file)s is done."), L.INFO, "campaigns.view_contactimport"
    ),
    E.EXPORT_READY: Event(N_("The export %(file)s is ready."), L.INFO, "campaigns.export_data"),
    E.EXPORT_FAILED: Event(N_("The export %(file)s failed."), L.WARN, "campaigns.export_data"),
    E.BULK_DONE: Event(
        N_("What was done to many rows is over: %(done)s done, %(passed)s passed over."),
        L.INFO,
        "campaigns.view_bulkjob",
    ),
    E.DATABASE_HELD: Event(
        N_("The database was restored. Nobody is called before somebody has looked at it."),
        L.BAD,
        "campaigns.view_task",
    ),
}

SILENT_SINCE = N_("Its last push came at %(heard_at)s.")
NEVER_HEARD = N_("No push of it ever came.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """Something that happened. What lasts has a ``condition``, the same as long as it lasts; what
    is over at once has a ``key``, the same whenever it is found.

    ``rule`` is the id of the only rule that it is for; ``author`` the user whose doing it is.
    """

    event: str
    happened_at: datetime
    key: str = ""
    condition: str = ""
    account: int | None = None
    task: int | None = None
    subject: str = ""
    subject_id: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    reason_values: dict[str, Any] = field(default_factory=dict)
    author: int | None = None
    rule: int | None = None


def of_task(event: str, task: Task, **others: Any) -> Occurrence:
    """About a task, which is its subject unless another is named."""
    known: dict[str, Any] = {
        "account": task.account_id,
        "task": task.pk,
        "subject": "campaigns.task",
        "subject_id": task.pk,
        "author": task.launched_by_id or task.created_by_id,
    }
    values = {"task": task.name, **others.pop("values", {})}
    return Occurrence(event=event, values=values, **{**known, **others})


def of_account(event: str, account: Account, **others: Any) -> Occurrence:
    known: dict[str, Any] = {
        "account": account.pk,
        "subject": "campaigns.account",
        "subject_id": account.pk,
    }
    values = {"account": account.name, **others.pop("values", {})}
    return Occurrence(event=event, values=values, **{**known, **others})


def hide_numbers(values: dict[str, Any]) -> dict[str, Any]:
    """Values without a phone number in them: names and files are called as people like, and a
    notice goes to places where no number is to be."""
    return {
        name: mask_numbers(value, likely=True) if isinstance(value, str) else value
        for name, value in values.items()
    }
