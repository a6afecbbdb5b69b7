"""In: what one person may not do alone. Out: asked, answered by another one, used once.

An approval holds for what was asked about and for nothing else: a fingerprint of it is taken when
it is asked, and compared when it is answered and when it is used.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_
from django.utils.translation import ngettext

from campaigns import lifecycle
from campaigns.models import Approval, Attempt, Contact, Installation, Task
from campaigns.models.history import fill_in

DECIDE = "campaigns.decide_approval"
OPEN = ("asked", "approved")
CHANGED = N_("What it was about has changed since.")


class ApprovalRefused(Exception):
    """It cannot be asked, answered or used like this; the text is a sentence, translated."""


# ----------------------------------------------------------------------------------- what needs one


def needs_second(task: Task) -> bool:
    """Whether one person alone may not launch this task.

    A draft of before a restore may have been launched already, whatever it says of itself.
    """
    limit = settings.APPROVE_ABOVE
    ready = task.contacts.filter(status=Contact.Status.READY).order_by()
    if task.trial_of_id is not None and ready[:2].count() <= 1:
        return False  # one call to one's own number
    if is_older_than_restore(task):
        return True
    return limit is not None and ready[: limit + 1].count() > limit


def is_older_than_restore(task: Task) -> bool:
    """Whether the task was there when the database was restored, as far as we know."""
    return Installation.objects.filter(pk=1, restored_at__gt=task.created_at).exists()


def tell_need(task: Task) -> str:
    """Why a second person is needed for this launch, as a sentence."""
    if is_older_than_restore(task):
        return _(
            "It is older than the last restore of the database and may have been launched already:"
            " a second person has to approve."
        )
    limit = settings.APPROVE_ABOVE or 0
    text = ngettext(
        "Launching more than %(n)d contact needs a second person's approval.",
        "Launching more than %(n)d contacts needs a second person's approval.",
        limit,
    )
    return fill_in(text, {"n": limit})


# ------------------------------------------------------------------------------------- fingerprints


def fingerprint_launch(task: Task) -> str:
    """Of everything that decides whom a launch calls, with what, when and how often; as it stands
    in the database now."""
    fresh = Task.objects.get(pk=task.pk)
    ready = Contact.objects.filter(task=task, status=Contact.Status.READY).order_by()
    # One who is left out for another who is taken in changes no number of them.
    who = models.Sum(
        models.Func(
            "pk",
            models.Value(71),
            function="hashint8extended",
            output_field=models.DecimalField(max_digits=40, decimal_places=0),
        )
    )
    people = ready.aggregate(number=models.Count("pk"), newest=models.Max("pk"), who=who)
    return _digest(
        {
            "task": fresh.pk,
            "account": fresh.account_id,
            "robot": fresh.robot_id,
            "lines": sorted(fresh.lines.values_list("pk", flat=True)),
            "voice": fresh.voice_id,
            "speed": fresh.speed,
            "windows": fresh.windows,
            "begin": fresh.begin_at and fresh.begin_at.isoformat(),
            "end": fresh.end_at and fresh.end_at.isoformat(),
            "recalls": [fresh.recall_count, fresh.recall_wait_seconds],
            "daily_cap": fresh.daily_cap,
            "turbo": fresh.turbo,
            "ready": people["number"],
            "newest": people["newest"],
            "who": str(people["who"]),
            "import": fresh.imports.aggregate(newest=models.Max("pk"))["newest"],
        }
    )


def fingerprint_resend(attempt: Attempt) -> str:
    """Of a request of unknown outcome and of everybody in it, as they stand in the database now."""
    status = Attempt.objects.values_list("status", flat=True).get(pk=attempt.pk)
    people = Contact.objects.filter(batch=attempt.batch_id, batch__isnull=False).order_by("pk")
    return _digest(
        {
            "attempt": attempt.pk,
            "status": status,
            "people": [list(row) for row in people.values_list("pk", "status", "calls_made")],
        }
    )


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def take_fingerprint(kind: str, *, task: Task, attempt: Attempt | None = None) -> str:
    """Of what an approval of this kind would be about, as it stands now."""
    if kind == Approval.Kind.LAUNCH:
        return fingerprint_launch(task)
    if attempt is None:
        raise ValueError("To send again is asked about a request.")
    return fingerprint_resend(attempt)


def is_current(approval: Approval) -> bool:
    """Whether all is still as it was when it was asked."""
    now = take_fingerprint(approval.kind, task=approval.task, attempt=approval.attempt)
    return now == approval.fingerprint


# -------------------------------------------------------------------------------------- ask, answer


def find_open(kind: str, *, task: Task, attempt: Attempt | None = None) -> Approval | None:
    """The approval that waits, or that was given and not used yet."""
    rows = Approval.objects.filter(kind=kind, task=task, attempt=attempt, status__in=OPEN)
    return rows.select_related("asked_by", "decided_by").first()


def find_usable(kind: str, *, task: Task, attempt: Attempt | None = None) -> Approval | None:
    """The approval with which it may be done now."""
    found = find_open(kind, task=task, attempt=attempt)
    if found is None or found.status != Approval.Status.APPROVED or not is_current(found):
        return None
    return found


def ask_approval(
    kind: str,
    *,
    task: Task,
    attempt: Attempt | None = None,
    reason: str,
    facts: dict[str, Any],
    fingerprint: str,
    by: Any,
) -> Approval:
    """Ask for a second person. ``facts`` is what that person is shown, without whole numbers;
    ``fingerprint`` was taken when the asking person saw it. Raises ``ApprovalRefused``."""
    if not getattr(by, "pk", None):
        raise ApprovalRefused(_("Only a person can ask for this."))
    reason = clean_words(reason)
    if not reason:
        raise ApprovalRefused(_("Say why; the second person reads it."))
    try:
        with transaction.atomic():
            Task.objects.select_for_update(no_key=True).get(pk=task.pk)
            if take_fingerprint(kind, task=task, attempt=attempt) != fingerprint:
                raise ApprovalRefused(_(CHANGED))
            open_one = find_open(kind, task=task, attempt=attempt)
            if open_one is not None and open_one.fingerprint != fingerprint:
                # It is about something that is not so any more: nobody can use it.
                lifecycle.move(open_one, "withdrawn", of=OPEN, reason=CHANGED, by=by)
                open_one = None
            if open_one is not None:
                raise ApprovalRefused(_tell_open(open_one))
            return Approval.objects.create(
                kind=kind,
                task=task,
                attempt=attempt,
                reason_given=reason,
                facts=facts,
                fingerprint=fingerprint,
                asked_by=by,
            )
    except IntegrityError:
        raise ApprovalRefused(_("It has been asked already and waits for an answer.")) from None


def _tell_open(approval: Approval) -> str:
    if approval.status == Approval.Status.APPROVED:
        return _("It has been approved already.")
    return _("It has been asked already and waits for an answer.")


def decide_approval(approval: Approval, *, approve: bool, answer: str, by: Any) -> Approval:
    """A second person's answer. Raises ``ApprovalRefused``: it is not a second person, it was
    answered meanwhile, or what was asked about has changed."""
    new = "approved" if approve else "declined"
    answer = clean_words(answer)
    with transaction.atomic():
        Task.objects.select_for_update(no_key=True).get(pk=approval.task_id)
        locked = Approval.objects.select_for_update(of=("self",)).get(pk=approval.pk)
        problem = find_problem(locked, by=by)
        if problem:
            raise ApprovalRefused(problem)
        if not approve and not answer:
            raise ApprovalRefused(_("Say why not; the person who asked reads it."))
        if approve and not is_current(locked):
            raise ApprovalRefused(_(CHANGED) + " " + _("It has to be asked anew."))
        lifecycle.move(
            locked, new, of=["asked"], by=by, answer=answer, decided_by=by,
            decided_at=timezone.now(),
        )  # fmt: skip
    return locked


def find_problem(approval: Approval, *, by: Any) -> str:
    """What stands against this person answering, as a sentence; empty when nothing does."""
    if not getattr(by, "pk", None) or not by.has_perm(DECIDE):
        return _("You may not approve what others ask for.")
    if approval.status != Approval.Status.ASKED:
        return _("It was answered meanwhile.")
    if approval.asked_by_id is None or approval.asked_by_id == by.pk:
        return _("Whoever asked cannot be the second person.")
    return ""


def withdraw_approval(approval: Approval, *, by: Any) -> bool:
    """Take back what was asked, or given and not used; False when it is too late for that."""
    return lifecycle.move(approval, "withdrawn", of=OPEN, by=by)


def use_approval(kind: str, *, task: Task, attempt: Attempt | None = None, by: Any) -> Approval:
    """Use up the approval, in the transaction of what it allows. Of many at once one gets it.

    Raises ``ApprovalRefused`` when there is none, or when what it is about has changed.
    """
    rows = Approval.objects.filter(kind=kind, task=task, attempt=attempt, status="approved")
    found = rows.select_for_update(of=("self",)).first()
    if found is None:
        raise ApprovalRefused(_("A second person has to approve it first."))
    if not is_current(found):
        raise ApprovalRefused(
            _(CHANGED) + " " + _("The approval does not hold any more; ask for a new one.")
        )
    if not lifecycle.move(found, "used", of=["approved"], by=by):
        raise ApprovalRefused(_("The approval has been used already."))
    return found


def clean_words(text: str) -> str:
    """What a person wrote, as a database holds it."""
    return text.replace("\x00", "").strip()[:2000]


def count_waiting(user: Any) -> int:
    """How many approvals wait for this person."""
    if not user.has_perm(DECIDE):
        return 0
    asked = Approval.objects.filter(status="asked").exclude(asked_by=user)
    return asked.order_by()[:100].count()
