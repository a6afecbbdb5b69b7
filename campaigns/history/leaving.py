"""In: a contact. Out: every batch that it was in, what was asked before it left, what was sent,
what came of it, what people decided, and what held its task back meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from campaigns import gates
from campaigns.history.moment import (
    BATCH_LEFT,
    LIMIT,
    Moment,
    list_changes,
    name_command,
    name_rule,
    tell_move,
)
from campaigns.models import (
    Approval,
    Attempt,
    Batch,
    Contact,
    Exchange,
    Incident,
    StatusChange,
)

#: the outcome of an exchange that went well
REPLIED = "replied"


def list_batches(contact: Contact, changes: list[StatusChange]) -> list[Batch]:
    """The batches that it was ever in, oldest first. It left them by history rows of its own."""
    ids = {contact.batch_id, *(change.values.get(BATCH_LEFT) for change in changes)}
    wanted = sorted(pk for pk in ids if isinstance(pk, int))[-LIMIT:]
    return list(Batch.objects.filter(pk__in=wanted, task=contact.task_id).order_by("id"))


def list_attempts_of(contact: Contact, batches: list[Batch]) -> list[Attempt]:
    """The requests that were about it, those for its whole task among them, oldest first."""
    places = [batch.instance_id for batch in batches if batch.instance_id]
    whole = Q(batch=None, instance=None) | Q(batch=None, instance__in=places)
    attempts = Attempt.objects.filter(Q(batch__in=batches) | whole, task=contact.task_id)
    return list(attempts.order_by("-id")[:LIMIT])[::-1]


def tell_contact(changes: list[StatusChange], batches: list[Batch]) -> Iterator[Moment]:
    """Its own moves: those made one by one, and what the database wrote down of the others."""
    known = {batch.pk: batch for batch in batches}
    for change in changes:
        batch = known.get(change.values.get(BATCH_LEFT))
        value = {name: told for name, told in change.values.items() if name != BATCH_LEFT}
        if batch is not None:
            value["batch"] = batch.number
        if batch is None or change.new == Contact.Status.EXCLUDED:
            rule, text = name_rule(change.reason), tell_move("contact", change)
        else:
            rule = "batch_left"
            text = _("Out of batch %(batch)s again, to be handed over anew.") % value
        yield Moment(change.at, "contact", text, str(change.by or ""), batch, rule, value)


def tell_batches(batches: list[Batch]) -> Iterator[Moment]:
    """Planned, asked before it left, sent, and how it ended."""
    known = {batch.pk: batch for batch in batches}
    for batch in batches:
        value = {"batch": batch.number, "size": batch.size}
        text = _("Planned in batch %(batch)s, of %(size)s contacts.") % value
        yield Moment(batch.created_at, "batch", text, row=batch, rule="planned", value=value)
        if batch.not_before is not None and batch.status == Batch.Status.PLANNED:
            until = {"until": batch.not_before, "batch": batch.number}
            text = _("Batch %(number)s waits for the hours of the numbers in it.") % {
                "number": batch.number
            }
            yield Moment(batch.created_at, "hold", text, row=batch, rule="hours", value=until)
        yield from tell_checks(batch.checks, batch, batch.created_at)
    for change in list_changes("batch", known):
        batch = known[change.subject_id]
        text = tell_move("batch", change, name=_("Batch %(number)s") % {"number": batch.number})
        value = {"batch": batch.number, "status": change.new}
        yield Moment(change.at, "batch", text, str(change.by or ""), batch, change.new, value)


def tell_checks(checks: Any, row: Any, otherwise: datetime) -> Iterator[Moment]:
    """The rules that were asked before it left, with what they said."""
    for one in checks if isinstance(checks, list) else []:
        rule, value = str(one.get("rule", "")), one.get("value")
        told = value if isinstance(value, dict) else {"value": value}
        at = parse_datetime(str(one.get("at", ""))) or otherwise
        yield Moment(at, "check", gates.tell_check(rule, told), row=row, rule=rule, value=told)


def tell_attempts(attempts: list[Attempt]) -> Iterator[Moment]:
    """Each request: taken by a sender, sent, what came of it, what was asked about it."""
    known = {attempt.pk: attempt for attempt in attempts}
    checks = {change.subject_id: change.values for change in list_changes("checks", known)}
    for attempt in attempts:
        name = name_command(attempt)
        value: dict[str, Any] = {"attempt": attempt.pk, "lease_until": attempt.lease_until}
        text = _("Request %(id)s, %(command)s: written down, then sent.") % {
            "id": attempt.pk, "command": name,
        }  # fmt: skip
        rule = attempt.command
        told = checks.get(attempt.pk, {}).get("checks")
        yield from tell_checks(told, attempt, attempt.started_at)
        yield Moment(attempt.started_at, "attempt", text, row=attempt, rule=rule, value=value)
        yield from tell_evidence(attempt)
    for change in list_changes("attempt", known):
        attempt = known[change.subject_id]
        name = _("Request %(id)s, %(command)s") % {
            "id": attempt.pk, "command": name_command(attempt),
        }  # fmt: skip
        value = {"attempt": attempt.pk, "status": change.new, **change.values}
        if change.old == Attempt.Status.SENDING:
            seen = {"code": attempt.code, "fault": attempt.fault}
            value |= {name: told for name, told in seen.items() if told}
        text = tell_move("attempt", change, name=name)
        by = str(change.by or "")
        yield Moment(change.at, "attempt", text, by, attempt, attempt.command, value)
    yield from tell_exchanges(known)


def tell_evidence(attempt: Attempt) -> Iterator[Moment]:
    """What the platform was asked about the request, and what it said."""
    for one in list(attempt.evidence)[-LIMIT:]:
        if not isinstance(one, dict):
            continue
        at = parse_datetime(str(one.get("at", ""))) or attempt.started_at
        question = str(one.get("question") or one.get("asked") or "")
        answer = {"answer": one.get("answer", ""), "question": _(question) if question else ""}
        text = _("The platform was asked about it and said: %(answer)s") % answer
        if question:
            text = _("The platform was asked %(question)s and said: %(answer)s") % answer
        value = {"attempt": attempt.pk} | {name: told for name, told in one.items() if name != "at"}
        yield Moment(at, "evidence", text, row=attempt, rule=attempt.command, value=value)


def tell_exchanges(known: dict[int, Attempt]) -> Iterator[Moment]:
    rows = Exchange.objects.filter(attempt__in=list(known)).defer("request", "response")
    for row in rows.order_by("-id")[:LIMIT]:
        value = {
            "exchange": row.pk, "attempt": row.attempt_id, "http_code": row.http_code,
            "outcome": row.outcome, "seconds": round(row.seconds, 3),
        }  # fmt: skip
        said = str(row.http_code) if row.http_code else _("no answer")
        text = f"{row.purpose}: {said}"
        if row.outcome != REPLIED:
            text = f"{text}, {row.outcome_text}"
        yield Moment(row.started_at, "exchange", text, row=row, rule=row.purpose, value=value)


def tell_decisions(contact: Contact, attempts: list[Attempt]) -> Iterator[Moment]:
    """Who asked for a second person, who answered, and what went wrong all the same."""
    ids = [attempt.pk for attempt in attempts]
    about = Q(attempt__in=ids) | Q(attempt=None, kind=Approval.Kind.LAUNCH)
    approvals = Approval.objects.filter(about, task=contact.task_id)
    for one in approvals.select_related("asked_by", "decided_by").order_by("-id")[:LIMIT]:
        name = {"what": one.get_kind_display()}
        value: dict[str, Any] = {"approval": one.pk, "status": one.status}
        text = _("A second person was asked to %(what)s.") % name
        text = f"{text} {one.reason_given}".strip()
        told = value | {"given": one.reason_given}
        by = str(one.asked_by or "")
        yield Moment(one.asked_at, "approval", text, by, one, one.kind, told)
        if one.decided_at is not None:
            text = f"{name['what']}: {one.get_status_display()} {one.answer}".strip()
            told = value | {"given": one.answer}
            by = str(one.decided_by or "")
            yield Moment(one.decided_at, "approval", text, by, one, one.kind, told)
    incidents = Incident.objects.filter(
        Q(contact=contact.pk) | Q(contact=None, attempt__in=ids), account=contact.account_id
    )
    for incident in incidents.select_related("closed_by").order_by("-id")[:LIMIT]:
        kind, value = incident.get_kind_display(), {"incident": incident.pk}
        text = f"{kind}: {incident.sentence}"
        yield Moment(
            incident.opened_at, "incident", text, row=incident, rule=incident.kind, value=value
        )
        if incident.closed_at is not None:
            text = _("The incident was closed: %(note)s") % {"note": incident.note}
            by = str(incident.closed_by or "")
            yield Moment(incident.closed_at, "incident", text, by, incident, incident.kind, value)


def tell_task(contact: Contact) -> Iterator[Moment]:
    """What its task did, and what held it back, while the contact could still be called."""
    over = contact.status in Contact.FINAL and contact.last_call_at
    among: dict[str, Any] = {"at__gte": contact.created_at}
    if over:
        among["at__lte"] = contact.last_call_at
    task = contact.task
    for change in list_changes("task", [task.pk], **among):
        text = tell_move("task", change, name=_("Task"))
        value = {"status": change.new, **change.values}
        yield Moment(change.at, "task", text, str(change.by or ""), task, "task", value)
    for change in list_changes(gates.HOLD, [task.pk], **among):
        text = _("Nothing holds the task back any more.")
        if change.new:
            text = _("Held back: %(why)s") % {"why": change.sentence}
        value = dict(change.values)
        yield Moment(change.at, "hold", text, "", task, change.new or change.old, value)
