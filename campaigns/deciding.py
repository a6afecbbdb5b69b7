"""In: a request of unknown outcome and a person's word about it. Out: accepted, or sent again.

Nothing is ever sent again without two persons, and not once something speaks for it that the
platform has it: that is looked for again in the transaction of the decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_
from django.utils.translation import ngettext

from campaigns import approvals, incidents, lifecycle
from campaigns.linking import link_calls
from campaigns.masking import mask_phone
from campaigns.models import Approval, Attempt, Call, Contact, Exchange, Task
from campaigns.models.history import fill_in
from campaigns.platforms.events import DIALLING
from campaigns.queue import FIRST, enqueue

DECIDE = "campaigns.change_attempt"
#: the kind of approval that it takes
RESEND = "resend"
ACCEPTED = N_("Decided: the platform had taken it. %(words)s")
RESENT = N_("Decided: it is sent again. %(words)s")
SENT_AGAIN = N_("Somebody decided, and a second person approved, that a request is sent again.")
TAKEN = N_("Somebody decided that the platform had taken a request whose answer was lost.")
RESUME_AGAIN = N_(
    "It was decided that the request to resume never arrived. The task is still paused; resume it"
    " again."
)
#: so long after a request a call to one of its numbers may be of it
AROUND = timedelta(days=1)
#: rows of each kind that are shown
SHOWN = 50
#: states of tasks in which something may still be handed over
OPEN_TASKS = ("loading", "loaded", "starting", "running", "paused")


class DecisionRefused(Exception):
    """It cannot be decided like this; the text is a sentence for the person, translated."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one request, and what stands against each of the two decisions.

    ``asked`` are the answers that were written down, [{"at", "answer", "question"}]; ``sent`` and
    ``questions`` the recorded exchanges; ``calls`` those that may have come of it; ``unread`` how
    many pushes name one of its numbers and have not been understood yet.
    """

    attempt: Attempt
    sent: list[Exchange]
    asked: list[dict[str, Any]]
    questions: list[Exchange]
    question_count: int
    people: list[Contact]
    people_count: int
    doubtful: int
    calls: list[Call]
    unread: int
    age: timedelta
    against_accepting: str = ""
    against_resending: str = ""
    fingerprint: str = ""

    def as_facts(self) -> dict[str, Any]:
        """What a second person is shown and what is kept of it; numbers masked."""
        attempt = self.attempt
        return {
            "attempt": attempt.pk,
            "command": attempt.command,
            "task": attempt.task.name,
            "sent_at": attempt.started_at.isoformat(timespec="seconds"),
            "fault": attempt.fault,
            "code": attempt.code,
            "reason": attempt.reason,
            "people": self.people_count,
            "doubtful": self.doubtful,
            "numbers": [mask_phone(contact.phone) for contact in self.people],
            "asked": self.asked,
            "questions": self.question_count,
            "calls": len(self.calls),
            "unread": self.unread,
        }


# ---------------------------------------------------------------------------------------- evidence


def list_undecided() -> models.QuerySet[Attempt]:
    """The requests that wait for a person, the oldest first."""
    rows = Attempt.objects.filter(status=Attempt.Status.NEEDS_HUMAN)
    return rows.select_related("task__account", "batch").order_by("id")


def find_evidence(attempt: Attempt) -> Evidence:
    """All that is known about a request, as of now; a bounded number of rows."""
    until = attempt.ended_at or attempt.lease_until
    exchanges = attempt.exchanges.order_by("id")
    questions = exchanges.filter(started_at__gt=until)
    people = list_people(attempt)
    counts = people.aggregate(
        n=models.Count("pk"), doubtful=models.Count("pk", filter=Q(status="unknown"))
    )
    calls = find_calls(attempt)
    unread = count_unread(attempt)
    return Evidence(
        attempt=attempt,
        sent=list(exchanges.filter(started_at__lte=until)[:SHOWN]),
        asked=[one for one in attempt.evidence if isinstance(one, dict)][-SHOWN:],
        questions=list(questions.order_by("-id")[:10]),
        question_count=questions.count(),
        people=list(people.order_by("pk")[:SHOWN]),
        people_count=counts["n"],
        doubtful=counts["doubtful"],
        calls=calls,
        unread=unread,
        age=timezone.now() - attempt.started_at,
        against_accepting=_find_against_accepting(attempt),
        against_resending=_find_against_resending(attempt, calls=calls, unread=unread),
        fingerprint=approvals.fingerprint_resend(attempt),
    )


def list_people(attempt: Attempt) -> models.QuerySet[Contact]:
    """The contacts of a request's batch; nobody for one that has none."""
    return Contact.objects.filter(batch=attempt.batch_id, batch__isnull=False)


def find_calls(attempt: Attempt) -> list[Call]:
    """Calls that came, or may have come, of the request: of its doubtful contacts, of the task
    without a contact, and those to one of its numbers that nothing else explains."""
    since = attempt.started_at - incidents.CLOCKS_DIFFER
    out = Call.objects.filter(account=attempt.task.account_id).exclude(direction="inbound")
    if attempt.command == Attempt.Command.CREATE:
        return []  # what was created and not filled calls nobody
    if attempt.batch_id is None:
        found = out.filter(task=attempt.task_id, happened_at__gte=since)
        return list(found.order_by("id").defer("evidence", "details")[:SHOWN])
    doubtful = list_people(attempt).filter(status=Contact.Status.UNKNOWN)
    phones = list(doubtful.values_list("phone", flat=True))
    robot = ["", attempt.task.robot.platform_id]
    around = Q(contact=None, happened_at__gte=since, happened_at__lte=attempt.started_at + AROUND)
    stray = around & Q(callee__in=_write_forms(phones), platform_robot_id__in=robot)
    stray |= around & Q(task=attempt.task_id)
    ids = {
        *out.filter(contact__in=doubtful).values_list("pk", flat=True)[:SHOWN],
        *out.filter(stray).values_list("pk", flat=True)[:SHOWN],
    }
    rows = Call.objects.filter(pk__in=ids).order_by("id")
    return list(rows.defer("evidence", "details")[:SHOWN])


def _write_forms(phones: Sequence[str]) -> list[str]:
    """A number as platforms may write it: our form, without the plus, with a country code."""
    forms = {form for phone in phones for form in (phone, phone.lstrip("+"))}
    return sorted(
        forms | {f"{code}{phone}" for phone in phones for code in ("86", "+86", "0086", "0")}
    )


def count_unread(attempt: Attempt) -> int:
    """Pushes since the request that hold one of its doubtful numbers and that were not understood,
    or not read, yet."""
    doubtful = list_people(attempt).filter(status=Contact.Status.UNKNOWN)
    numbers = [phone.lstrip("+") for phone in doubtful.values_list("phone", flat=True)]
    if not numbers:
        return 0
    # by the table's name: the inbox is of a package above this one
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM callbacks_receipt receipt"
            " WHERE receipt.account_id = %s AND receipt.status IN ('received', 'quarantined')"
            " AND receipt.received_at >= %s AND EXISTS (SELECT FROM unnest(%s::text[]) number"
            " WHERE position(convert_to(number, 'UTF8') IN receipt.body) > 0)",
            [attempt.task.account_id, attempt.started_at - incidents.CLOCKS_DIFFER, numbers],
        )
        return int(cursor.fetchone()[0])


def _find_against_accepting(attempt: Attempt) -> str:
    if attempt.status != Attempt.Status.NEEDS_HUMAN:
        return _("It has been settled meanwhile.")
    if attempt.command == Attempt.Command.CREATE:
        return _(
            "Without the platform's id of it nothing could follow. Send it again: what may have"
            " been made is empty and calls nobody."
        )
    return ""


def _find_against_resending(attempt: Attempt, *, calls: Sequence[Call], unread: int) -> str:
    """The first thing that stands against sending it again, as a sentence."""
    if attempt.status != Attempt.Status.NEEDS_HUMAN:
        return _("It has been settled meanwhile.")
    if calls:
        return ngettext(
            "%(n)d call may have come of it: the platform has it.",
            "%(n)d calls may have come of it: the platform has it.",
            len(calls),
        ) % {"n": len(calls)}
    if attempt.command == Attempt.Command.CALLOUT:
        moved = list_people(attempt).exclude(status=Contact.Status.UNKNOWN)
        if moved.exists():
            return _("Somebody of it was called: the platform takes a direct call whole.")
    if unread:
        text = ngettext(
            "%(n)d push that names one of its numbers has not been understood yet. Look into the"
            " inbox first.",
            "%(n)d pushes that name its numbers have not been understood yet. Look into the inbox"
            " first.",
            unread,
        )
        return fill_in(text, {"n": unread})
    task = attempt.task
    if attempt.command == Attempt.Command.START and task.platform_state in DIALLING:
        return _("The platform says that the task has been started.")
    if task.status not in OPEN_TASKS:
        return _("The task is %s: nothing is handed over any more.") % task.get_status_display()
    if task.end_at is not None and task.end_at <= timezone.now():
        return _("The end of the task has passed: nobody is called any more.")
    return ""


# ----------------------------------------------------------------------------------------- decide


def accept_attempt(attempt: Attempt, *, reason: str, by: Any) -> Attempt:
    """The platform had taken it: its contacts wait for their calls like all others. Raises
    ``DecisionRefused``."""
    words = _read_words(reason, by=by)
    with transaction.atomic():
        locked = _lock(attempt)
        problem = _find_against_accepting(locked)
        if problem:
            raise DecisionRefused(problem)
        people = list(list_people(locked).filter(status="unknown").values_list("pk", flat=True))
        _decide(locked, "human_accepted", ACCEPTED, words=words, people=people, by=by)
        task = locked.task
        if locked.batch is not None:
            lifecycle.move(locked.batch, "accepted", of=["unknown"], reason=TAKEN, by=by)
            lifecycle.move_contacts(
                Contact.objects.filter(pk__in=people), "accepted", of=["unknown"], reason=""
            )
        elif locked.command == Attempt.Command.START:
            lifecycle.move(
                task, "running", of=["starting", "paused"], reason=TAKEN, by=by,
                needs_attention=False,
            )  # fmt: skip
        _go_on(task, TAKEN)
    if people:
        link_calls(attempt.task.account_id, contact_ids=people)
    return locked


def ask_resend(
    attempt: Attempt, *, reason: str, by: Any, fingerprint: str | None = None
) -> Approval:
    """Ask a second person whether it may be sent again. ``fingerprint``: of what the asking person
    saw. Raises ``DecisionRefused``."""
    words = _read_words(reason, by=by)
    attempt = _read(attempt)
    evidence = find_evidence(attempt)
    if evidence.against_resending:
        raise DecisionRefused(evidence.against_resending)
    try:
        return approvals.ask_approval(
            RESEND,
            task=attempt.task,
            attempt=attempt,
            reason=words,
            facts=evidence.as_facts(),
            fingerprint=fingerprint or evidence.fingerprint,
            by=by,
        )
    except approvals.ApprovalRefused as refused:
        raise DecisionRefused(str(refused)) from None


def approve_resend(approval: Approval, *, answer: str, by: Any) -> Attempt:
    """The second person's yes, carried out in the same transaction. Raises ``DecisionRefused`` or
    ``ApprovalRefused``; then nothing of it has happened."""
    if approval.attempt is None:
        raise DecisionRefused(_("It is about no request."))
    with transaction.atomic():
        approvals.decide_approval(approval, approve=True, answer=answer, by=by)
        return resend_attempt(approval.attempt, by=by)


def resend_attempt(attempt: Attempt, *, by: Any) -> Attempt:
    """Let what a second person approved be handed over again, in a new batch. Raises
    ``DecisionRefused`` when something came in meanwhile that speaks against it."""
    with transaction.atomic():
        locked = _lock(attempt)
        problem = _find_against_resending(
            locked, calls=find_calls(locked), unread=count_unread(locked)
        )
        if problem:
            raise DecisionRefused(problem)
        try:
            used = approvals.use_approval(RESEND, task=locked.task, attempt=locked, by=by)
        except approvals.ApprovalRefused as refused:
            raise DecisionRefused(str(refused)) from None
        doubtful = list_people(locked).filter(status=Contact.Status.UNKNOWN)
        people = list(doubtful.order_by("pk").values_list("pk", flat=True))
        asker = used.asked_by or by
        words = used.reason_given
        _decide(locked, "human_resend", RESENT, words=words, people=people, by=asker)
        if locked.batch is not None:
            some = list_people(locked).exclude(status=Contact.Status.UNKNOWN).exists()
            new = "accepted" if some else "not_sent"
            lifecycle.move(locked.batch, new, of=["unknown"], reason=SENT_AGAIN, by=by)
            lifecycle.move_contacts(
                Contact.objects.filter(pk__in=people), "ready", of=["unknown"],
                batch=None, reason="",
            )  # fmt: skip
        _let_follow(locked, by=by)
    return locked


def _let_follow(attempt: Attempt, *, by: Any) -> None:
    """Bring the task where the request is made anew by itself."""
    task = attempt.task
    if attempt.command == Attempt.Command.START:
        if not lifecycle.move(
            task, "loaded", of=["starting"], reason=SENT_AGAIN, by=by, needs_attention=False
        ):
            lifecycle.note_task(task, RESUME_AGAIN, needs_attention=True)
            return
    elif task.fills_instances:
        # Everybody else was handed over, and it runs: these go after them.
        lifecycle.move(task, "loading", of=["running"], reason=SENT_AGAIN, by=by)
    _go_on(task, SENT_AGAIN)


def _go_on(task: Task, reason: str) -> None:
    """The alarm about it is over when nothing else of the task is in doubt."""
    if not task.attempts.filter(status__in=lifecycle.IN_DOUBT).exists():
        lifecycle.calm_task(task, reason)
    enqueue("campaigns.jobs.advance_task", priority=FIRST, task_id=task.pk)


def _decide(
    attempt: Attempt, new: str, sentence: str, *, words: str, people: list[int], by: Any
) -> None:
    values = {"words": words, incidents.PEOPLE: people}
    if not lifecycle.move(attempt, new, of=["needs_human"], reason=sentence, values=values, by=by):
        raise DecisionRefused(_("It has been settled meanwhile."))
    Attempt.objects.filter(pk=attempt.pk).update(reason=words)
    attempt.reason = words


def _read_words(reason: str, *, by: Any) -> str:
    if not getattr(by, "pk", None) or not by.has_perm(DECIDE):
        raise DecisionRefused(_("You may not decide about requests."))
    words = approvals.clean_words(reason)
    if not words:
        raise DecisionRefused(_("Say why; it is kept with the request."))
    return words


def _read(attempt: Attempt) -> Attempt:
    rows = Attempt.objects.select_related("task__account", "task__robot", "batch")
    return rows.get(pk=attempt.pk)


def _lock(attempt: Attempt) -> Attempt:
    """The request as it stands, its task and its contacts held: nobody moves them meanwhile.

    Task, request, contacts, in this order; without their keys, since whoever holds the contacts may
    be writing rows that point at the request.
    """
    Task.objects.select_for_update(no_key=True).get(pk=attempt.task_id)
    Attempt.objects.select_for_update(no_key=True).get(pk=attempt.pk)
    list(list_people(attempt).select_for_update(no_key=True, of=("self",)).order_by("pk"))
    return _read(attempt)
