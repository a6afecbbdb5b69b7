"""In: rows of the history. Out: moments of a time line: what, when, by which rule, with what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.barring import BARRED, CAPPED
from campaigns.batching import ALREADY_CALLED, ALREADY_UNDER_WAY
from campaigns.dispatch.claims import CALLED
from campaigns.importing import verdicts
from campaigns.importing.undo import WITHDRAWN
from campaigns.models import Attempt, Batch, Contact, StatusChange, Task

#: at most so many moments of a kind are told, the newest ones
LIMIT = 100
#: what history rows of the database's own are about: see migration 0016
BATCH_LEFT = "batch"

#: the rule behind each reason for which somebody is not called
RULES = {
    BARRED: "do_not_call",
    CAPPED: "cap",
    ALREADY_UNDER_WAY: "under_way",
    ALREADY_CALLED: "called",
    CALLED: "called",
    WITHDRAWN: "import_undone",
    verdicts.IN_FILE: "duplicate_file",
    verdicts.IN_FILE_LATER: "duplicate_file",
    verdicts.IN_TASK: "duplicate_task",
    verdicts.IN_FAMILY: "duplicate_family",
    verdicts.IN_DAYS: "duplicate_days",
    verdicts.IN_ACCOUNT: "duplicate_account",
}

_STATUSES: dict[str, type[models.TextChoices]] = {
    "contact": Contact.Status,
    "batch": Batch.Status,
    "attempt": Attempt.Status,
    "task": Task.Status,
}
_COMMANDS = dict(Attempt.Command.choices)


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened. ``what`` is its kind: import, number, contact, batch, check,
    attempt, exchange, evidence, approval, incident, hold, task, call, recording or push. ``rule``
    is a stable word for what decided, ``value`` what it went by, ``row`` what there is to look
    at."""

    at: datetime
    what: str
    text: str
    by: str = ""
    row: Any = None
    rule: str = ""
    value: dict[str, Any] = field(default_factory=dict)


def name_rule(reason: str) -> str:
    """The rule behind the reason of a contact, empty for none that is known."""
    return RULES.get(reason, "")


def name_status(subject: str, status: str) -> str:
    """The word for a status in the reader's language; words of old versions as they are."""
    return str(dict(_STATUSES[subject].choices).get(status, status))


def name_command(attempt: Attempt) -> str:
    return str(_COMMANDS.get(attempt.command, attempt.command))


def list_changes(subject: str, ids: Iterable[int], **among: Any) -> list[StatusChange]:
    """The newest history rows of these, oldest first."""
    wanted = list(ids)
    if not wanted:
        return []
    changes = StatusChange.objects.filter(subject=subject, subject_id__in=wanted, **among)
    return list(changes.select_related("by").order_by("-id")[:LIMIT])[::-1]


def tell_move(subject: str, change: StatusChange, *, name: str = "") -> str:
    """Which way it moved and why, after the name of what moved."""
    moved = f"{name_status(subject, change.old)} → {name_status(subject, change.new)}"
    if change.old == change.new:
        moved = change.sentence
    elif change.sentence:
        moved = f"{moved}: {change.sentence}"
    return f"{name}: {moved}" if name else moved


def tell_left_out(what: str, at: datetime, left_out: int) -> Iterator[Moment]:
    """That there is more than is told."""
    if left_out > 0:
        text = _("%(count)d earlier ones are not told here.") % {"count": left_out}
        yield Moment(at, what, text, rule="left_out", value={"count": left_out})


#: the kinds, as they stand together on a screen
GROUPS = {
    "list": ("import", "number"),
    "sending": (
        "contact", "batch", "check", "attempt", "exchange", "evidence", "approval", "incident",
        "hold", "task",
    ),
    "calls": ("call", "recording", "push"),
}  # fmt: skip
GROUP_NAMES = {
    "list": gettext_lazy("List and numbers"),
    "sending": gettext_lazy("Handing over"),
    "calls": gettext_lazy("Calls and pushes"),
}
