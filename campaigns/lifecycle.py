"""In: rows and the state they should go to. Out: the move, if it is allowed and not too late.

The only writer of any ``status``. Every move is one UPDATE that names the states it may come from
(compare-and-swap) and returns how many rows moved: nobody's news overwrites newer news. Moves of
single things leave a ``StatusChange`` with a sentence an operator understands; contacts moved by a
batch or an import are told by its row, so a million launched contacts write no million rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns.models import (
    Approval,
    Attempt,
    BarListImport,
    Batch,
    BulkJob,
    Contact,
    ContactImport,
    Experiment,
    Export,
    FailedPushDay,
    FailedPushFile,
    NoticeDelivery,
    Recording,
    Redial,
    StatusChange,
    Task,
    Verification,
)

#: {model: {state: the states that may follow it}}
MOVES: dict[type[models.Model], dict[str, frozenset[str]]] = {
    Task: {
        "draft": frozenset({"loading", "deleted"}),
        # a direct call runs as soon as its batch is handed over
        "loading": frozenset({"loaded", "running", "paused", "failed", "deleted"}),
        "loaded": frozenset({"starting", "loading", "paused", "failed", "deleted"}),
        "starting": frozenset({"running", "loaded", "paused", "failed", "deleted", "finished"}),
        # loading again: some of it was decided to be sent again
        "running": frozenset({"loading", "paused", "finished", "failed", "deleted"}),
        "paused": frozenset({"loading", "running", "finished", "failed", "deleted"}),
        "finished": frozenset({"running", "deleted"}),
        # running: some of it was handed over to a platform that takes nothing back
        "failed": frozenset({"loading", "running", "deleted"}),
        "deleted": frozenset(),
    },
    Contact: {
        "ready": frozenset({"excluded", "planned", "withdrawn"}),
        "excluded": frozenset({"ready"}),
        "planned": frozenset({"ready", "sending", "excluded", "withdrawn"}),
        # only an answer leads on from here, or the loss of it; never back to planned
        "sending": frozenset({"accepted", "rejected", "unknown", "ready"}),
        "unknown": frozenset({"accepted", "rejected", "ready", "finished", "withdrawn"}),
        # ready again only when its task was deleted at the platform before it was started
        "accepted": frozenset({"finished", "rejected", "withdrawn", "unknown", "ready"}),
        "rejected": frozenset(),
        "finished": frozenset(),
        # a push may prove that a withdrawn contact was called all the same
        "withdrawn": frozenset({"finished"}),
    },
    Batch: {
        "planned": frozenset({"sending", "withdrawn"}),
        "sending": frozenset({"accepted", "refused", "not_sent", "unknown"}),
        "unknown": frozenset({"accepted", "refused", "not_sent"}),
        "accepted": frozenset(),
        "refused": frozenset(),
        "not_sent": frozenset(),
        "withdrawn": frozenset(),
    },
    Attempt: {
        "sending": frozenset({"accepted", "refused", "not_sent", "unknown"}),
        "unknown": frozenset({"confirmed_accepted", "confirmed_absent", "needs_human"}),
        "needs_human": frozenset(
            {"human_accepted", "human_resend", "confirmed_accepted", "confirmed_absent"}
        ),
        "accepted": frozenset(),
        "refused": frozenset(),
        "not_sent": frozenset(),
        "confirmed_accepted": frozenset(),
        "confirmed_absent": frozenset(),
        "human_accepted": frozenset(),
        "human_resend": frozenset(),
    },
    ContactImport: {
        "uploaded": frozenset({"checking", "failed", "cancelled"}),
        # uploaded again: how it is read was changed, or the check was stopped
        "checking": frozenset({"checked", "uploaded", "failed", "cancelled"}),
        "checked": frozenset({"uploaded", "checking", "loading", "failed", "cancelled"}),
        # checking again: its staged rows were lost with the database
        "loading": frozenset({"done", "checking", "checked", "failed"}),
        "done": frozenset({"undone"}),
        # its file is still there: it can be read in another way
        "failed": frozenset({"uploaded", "checking", "cancelled"}),
        "cancelled": frozenset(),
        "undone": frozenset(),
    },
    BarListImport: {
        "running": frozenset({"done", "failed"}),
        "done": frozenset({"undone"}),
        # half of it may be in force
        "failed": frozenset({"undone"}),
        "undone": frozenset(),
    },
    Redial: {
        # counted again: other choices, or it was looked at long ago
        "counting": frozenset({"counted", "failed", "cancelled"}),
        "counted": frozenset({"counting", "making", "failed", "cancelled"}),
        "making": frozenset({"made", "failed", "cancelled"}),
        "made": frozenset(),
        "failed": frozenset({"counting", "cancelled"}),
        "cancelled": frozenset(),
    },
    Experiment: {
        "splitting": frozenset({"split", "failed"}),
        "split": frozenset(),
        "failed": frozenset(),
    },
    Approval: {
        "asked": frozenset({"approved", "declined", "withdrawn"}),
        "approved": frozenset({"used", "withdrawn"}),
        "declined": frozenset(),
        "withdrawn": frozenset(),
        "used": frozenset(),
    },
    Export: {
        "waiting": frozenset({"running", "cancelled", "failed"}),
        # running again: whoever made the file is gone
        "running": frozenset({"running", "done", "failed", "cancelled"}),
        "done": frozenset({"expired"}),
        "failed": frozenset({"waiting"}),
        "cancelled": frozenset(),
        "expired": frozenset(),
    },
    BulkJob: {
        "waiting": frozenset({"gathering", "cancelled", "failed"}),
        "gathering": frozenset({"running", "cancelled", "failed"}),
        "running": frozenset({"done", "cancelled", "failed"}),
        "done": frozenset({"undoing"}),
        # what was done until then stays, and can be taken back
        "failed": frozenset({"undoing"}),
        "cancelled": frozenset({"undoing"}),
        "undoing": frozenset({"undone", "failed"}),
        "undone": frozenset(),
    },
    Recording: {
        "remote": frozenset({"fetching", "unavailable"}),
        "fetching": frozenset({"stored", "remote", "unavailable"}),
        # deleted, once its period of keeping is over
        "stored": frozenset({"unavailable"}),
        "unavailable": frozenset({"remote"}),
    },
    FailedPushDay: {
        "due": frozenset({"asking", "missed"}),
        # due again: it could not be asked for, or who asked is gone
        "asking": frozenset({"due", "listed", "missed"}),
        "listed": frozenset({"due"}),
        # somebody wants it asked for again, while the platform still lists it
        "missed": frozenset({"due"}),
    },
    FailedPushFile: {
        "listed": frozenset({"fetching", "failed"}),
        "fetching": frozenset({"listed", "stored", "failed"}),
        "stored": frozenset({"read", "listed", "failed"}),
        # fetched once more: the platform may have written on
        "read": frozenset({"listed"}),
        "failed": frozenset({"listed"}),
    },
    NoticeDelivery: {
        "waiting": frozenset({"sending", "failed"}),
        # waiting again: it did not arrive, or who sent it is gone
        "sending": frozenset({"delivered", "waiting", "failed"}),
        "delivered": frozenset(),
        # somebody wants it sent again
        "failed": frozenset({"waiting"}),
    },
    Verification: {
        state: frozenset({"asking", "too_old"})
        for state in ("unasked", "verified", "mismatch", "denied", "failed", "too_old")
    }
    | {"asking": frozenset({"verified", "mismatch", "denied", "failed", "too_old"})},
}


#: The states that a contact may begin in. The one INSERT of an import writes them: a million rows
#: cannot each be made and then moved.
NEW_CONTACTS = ("ready", "excluded")


#: attempts of which nobody knows, or decided, yet whether they were carried out
IN_DOUBT = ("unknown", "needs_human")
#: while one of these stands, nothing that adds calls leaves for the task
HOLDING = ("pause", "delete", "rebuild")


WITHDRAWN_BEFORE = N_("Deleted before the platform knew of it.")


class IllegalMove(Exception):
    """Code asked for a move that the tables do not allow. A fault of ours, never of the data."""


def add_moves(model: type[models.Model], moves: dict[str, frozenset[str]]) -> None:
    """Declare the moves of a model of a package above this one (the inbox has its own)."""
    MOVES[model] = moves


def move(
    row: models.Model,
    new: str,
    *,
    of: Iterable[str],
    reason: str = "",
    values: dict[str, Any] | None = None,
    by: Any = None,
    **fields: Any,
) -> bool:
    """Move one row from one of the states ``of`` to ``new``; False when it is in none of them.

    ``fields`` are set in the same statement. ``reason`` is an English sentence; it is kept on the
    row when the model has a ``reason`` and in the history, with ``values`` for its places (a row
    that needs them has ``reason_values``). On success the given instance is brought up to date.
    """
    model = type(row)
    sources = check_moves(model, of, new)
    names = {field.name for field in model._meta.fields}
    if "reason" in names:
        fields.setdefault("reason", reason)
    if values and "reason_values" in names:
        fields.setdefault("reason_values", values)
    with transaction.atomic():
        manager = model._default_manager
        old = (
            manager.select_for_update(of=("self",))
            .filter(pk=row.pk, status__in=sources)
            .order_by()
            .values_list("status", flat=True)
            .first()
        )
        if old is None:
            return False
        manager.filter(pk=row.pk).update(status=new, **fields)
        StatusChange.objects.create(
            subject=model._meta.model_name,
            subject_id=row.pk,
            old=old,
            new=new,
            reason=reason,
            values=values or {},
            by=by if getattr(by, "pk", None) else None,
        )
    for name, value in {"status": new, **fields}.items():
        setattr(row, name, value)
    return True


def move_contacts(
    contacts: models.QuerySet[Contact], new: str, *, of: Iterable[str], **fields: Any
) -> int:
    """Move many contacts in one statement, without history rows; returns how many moved."""
    sources = check_moves(Contact, of, new)
    return contacts.filter(status__in=sources).order_by().update(status=new, **fields)


def move_rows(rows: models.QuerySet[Any], new: str, *, of: Iterable[str], **fields: Any) -> int:
    """As ``move_contacts`` for another model whose moves a row elsewhere already tells."""
    sources = check_moves(rows.model, of, new)
    return rows.filter(status__in=sources).order_by().update(status=new, **fields)


def check_moves(model: type[models.Model], of: Iterable[str], new: str) -> list[str]:
    """The states of ``of`` as a list; raises ``IllegalMove`` if the table lacks a move."""
    sources = [str(state) for state in of]
    for state in sources:
        if new not in MOVES[model].get(state, frozenset()):
            raise IllegalMove(f"{model.__name__}: {state} → {new}")
    return sources


def note_task(task: Task, reason: str, *, needs_attention: bool) -> None:
    """Say on the task why it is where it is, without moving it; one history row per new reason.

    A note never takes an alarm back, nor its reason: that is for ``calm_task`` and for moves.
    """
    rows = Task.objects.filter(pk=task.pk).exclude(reason=reason, needs_attention=needs_attention)
    if not needs_attention:
        rows = rows.filter(needs_attention=False)
    _write_note(task, rows, reason, needs_attention=needs_attention)


def calm_task(task: Task, reason: str = "") -> None:
    """What the task called for attention about is settled."""
    rows = Task.objects.filter(pk=task.pk).exclude(reason=reason, needs_attention=False)
    _write_note(task, rows, reason, needs_attention=False)


def _write_note(
    task: Task, rows: models.QuerySet[Task], reason: str, *, needs_attention: bool
) -> None:
    if not rows.update(reason=reason, needs_attention=needs_attention):
        return
    task.reason, task.needs_attention = reason, needs_attention
    if reason:
        StatusChange.objects.create(
            subject="task", subject_id=task.pk, old=task.status, new=task.status, reason=reason
        )


#: instead of being handed over anew
COUNT_BUT_CALLED = N_(
    "The platform's count of contacts is not the one that was handed over, and somebody may have"
    " been called already: it is not handed over anew by itself. A person has to decide."
)


def free_task(task: Task, reason: str) -> None:
    """Make the contacts of a task that was deleted before it was started ready again.

    Nobody of it was called, and nobody can be called for it any more at the platform. ``reason`` is
    kept with the requests of unknown outcome.
    """
    contacts = Contact.objects.filter(task=task, calls_made=0, calls=None)
    move_rows(task.attempts.all(), "confirmed_absent", of=IN_DOUBT, reason=reason)
    move_rows(task.batches.all(), "not_sent", of=["unknown"], reason=reason)
    move_rows(task.batches.all(), "withdrawn", of=["planned"])
    free = {"batch": None, "platform_contact_id": "", "reason": ""}
    ids = list(contacts.values_list("id", flat=True))  # an UPDATE takes no joins
    move_contacts(
        Contact.objects.filter(pk__in=ids), "ready", of=["planned", "unknown", "accepted"], **free
    )


def withdraw_unsent(task: Task, reason: str) -> int:
    """Whoever of this task was not handed over is not called any more; returns how many."""
    move_rows(task.batches.all(), "withdrawn", of=["planned"])
    return move_contacts(
        Contact.objects.filter(task=task), "withdrawn", of=["ready", "planned"], reason=reason
    )


def withdraw_task(task: Task, reason: str) -> None:
    """Nobody of this task will be called any more: what is open is closed, what was called stays.

    ``reason`` is kept with the requests of unknown outcome, which do not matter any more.
    """
    contacts = Contact.objects.filter(task=task)
    move_rows(task.attempts.all(), "confirmed_absent", of=IN_DOUBT, reason=reason)
    move_rows(task.batches.all(), "not_sent", of=["unknown"], reason=reason)
    move_rows(task.batches.all(), "withdrawn", of=["planned"])
    move_contacts(
        contacts.filter(calls_made=0), "withdrawn", of=["ready", "planned", "unknown", "accepted"]
    )
    move_contacts(contacts.filter(calls_made__gt=0), "finished", of=["accepted", "unknown"])


_ASKED = {
    "pause": N_("Asked to pause."),
    "resume": N_("Asked to resume."),
    "delete": N_("Asked to delete."),
    "rebuild": N_("It is deleted at the platform and handed over anew; nobody has been called."),
}
#: the same of a task that is paused: only a person lets it go on
_ASKED_PAUSED = {
    "rebuild": N_(
        "It is deleted at the platform; nobody has been called. It is handed over anew once it is"
        " resumed."
    ),
}


def request_task(task: Task, request: str, *, by: Any = None) -> None:
    """Write down what an operator asked for; it stands until the platform confirms it."""
    now = timezone.now() if request else None
    told = _ASKED_PAUSED if task.status == Task.Status.PAUSED else {}
    Task.objects.filter(pk=task.pk).update(request=request, requested_at=now)
    if request:
        StatusChange.objects.create(
            subject="task",
            subject_id=task.pk,
            old=task.status,
            new=task.status,
            reason=told.get(request, _ASKED[request]),
            by=by if getattr(by, "pk", None) else None,
        )
    task.request, task.requested_at = request, now


def end_request(task: Task, request: str) -> bool:
    """It is carried out, or given up; False where somebody has asked for something else meanwhile:
    that stands."""
    rows = Task.objects.filter(pk=task.pk, request=request)
    if not rows.update(request="", requested_at=None):
        return False
    task.request, task.requested_at = "", None
    return True


def ask_rebuild(task: Task) -> bool:
    """Have it handed over anew; False where an order stands. What a person asked for goes first,
    and nobody's order is lost: whoever finds a rebuild needed finds so again."""
    with transaction.atomic():
        free = Task.objects.select_for_update().filter(pk=task.pk, request="")
        status = free.values_list("status", flat=True).first()
        if status is None:
            return False
        task.status = status
        request_task(task, "rebuild")
    return True


def may_have_started(task: Task) -> bool:
    """Whether the platform may have dialled for the task: a start may have arrived, or calls came
    back."""
    starts = task.attempts.filter(command="start")
    nothing_done = ["not_sent", "refused", "confirmed_absent"]
    return (
        starts.exclude(status__in=nothing_done).exists()
        or task.calls.exists()
        or task.contacts.filter(calls__isnull=False).exists()
    )


def was_rebuilt(task: Task) -> bool:
    """Whether it has been handed over anew before."""
    told = StatusChange.objects.filter(subject="task", subject_id=task.pk)
    return told.filter(reason__in=[_ASKED["rebuild"], _ASKED_PAUSED["rebuild"]]).exists()
