"""In: a contact. Out: in one sentence why it was called, is not called yet, or never is."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.history.moment import Moment, list_changes, name_rule
from campaigns.models import Attempt, Contact, Task

_ON_ITS_WAY = (Task.Status.LOADING, Task.Status.LOADED, Task.Status.STARTING)


def tell_standing(contact: Contact) -> Moment:
    """The head line of the time line: the last word that was spoken about it."""
    status = Contact.Status(contact.status)
    if contact.calls_made:
        at = contact.last_call_at or contact.created_at
        text = _("Called %(calls)s times.") % {"calls": contact.calls_made}
        if contact.calls_made == 1:
            text = _("Called once.")
        return Moment(at, "contact", text, rule="called", value={"calls": contact.calls_made})
    if status in Contact.FINAL:
        return _tell_never(contact)
    if status == Contact.Status.UNKNOWN:
        return _tell_doubt(contact)
    if status == Contact.Status.SENDING:
        text = _("It is being handed over to the platform at this moment.")
        return Moment(timezone.now(), "contact", text, rule="sending")
    return _tell_waiting(contact)


def _tell_never(contact: Contact) -> Moment:
    """Excluded, withdrawn, refused, or at its end without a call."""
    why = contact.reason_text
    rule, value = name_rule(contact.reason), dict(contact.reason_values)
    row = None
    at = contact.created_at
    last = [one for one in list_changes("contact", [contact.pk]) if one.new == contact.status]
    if last:
        at = last[-1].at
    elif contact.batch is not None and contact.batch.attempts.exists():
        row = contact.batch.attempts.latest("id")
        at = row.ended_at or row.started_at
    elif contact.status == Contact.Status.WITHDRAWN and contact.task.finished_at:
        at = contact.task.finished_at
    if contact.status == Contact.Status.REJECTED:
        rule = "refused"
    if contact.status == Contact.Status.WITHDRAWN:
        rule = rule or "withdrawn"
        why = why or contact.task.reason_text or _("Its task was stopped for good.")
    if contact.status == Contact.Status.FINISHED:
        rule, why = "finished", why or _("The platform ended it and told of no call.")
    return Moment(at, "contact", _("Not called: %(why)s") % {"why": why}, "", row, rule, value)


def _tell_doubt(contact: Contact) -> Moment:
    # the newest one
    attempt = Attempt.objects.filter(batch=contact.batch_id, batch__isnull=False).first()
    at = contact.created_at
    value = {}
    if attempt is not None:
        at, value = attempt.ended_at or attempt.started_at, {"attempt": attempt.pk}
    text = _("It is not known whether the platform was given it. It is being asked.")
    if attempt is not None and attempt.status == Attempt.Status.NEEDS_HUMAN:
        text = _("It is not known whether the platform was given it. A person has to decide.")
    return Moment(at, "contact", text, "", attempt, "unknown", value)


def _tell_waiting(contact: Contact) -> Moment:
    """Not called yet: the first thing that stands in the way."""
    task, batch = contact.task, contact.batch
    at, rule, value = task.launched_at or contact.created_at, task.status, {}
    if not task.account.is_active:
        rule, why = "account", _("The account is switched off.")
    elif task.status == Task.Status.DRAFT:
        why = _("The task is a draft.")
    elif task.request:
        rule, at = task.request, task.requested_at or at
        why = _("The task is to do this first: %(what)s.") % {"what": task.get_request_display()}
    elif task.status == Task.Status.PAUSED:
        why = _("The task is paused. %(why)s") % {"why": task.reason_text}
    elif task.hold_rule:
        rule, at, value = task.hold_rule, task.held_at or at, dict(task.hold_values)
        value |= {"until": task.held_until} if task.held_until else {}
        why = task.hold_text
    elif batch is not None and batch.not_before and batch.not_before > timezone.now():
        rule, value = "hours", {"until": batch.not_before}
        why = _("The hours of its number's region are over.")
    elif task.not_before and task.not_before > timezone.now():
        rule, value = "setback", {"until": task.not_before}
        why = task.reason_text or _("The platform was busy or away.")
    elif contact.status == Contact.Status.ACCEPTED and task.status not in _ON_ITS_WAY:
        why = _("The platform has it, and has told of no call of it.")
    elif contact.status == Contact.Status.ACCEPTED:
        why = _("The platform has it, and is told to dial when everybody is handed over.")
    else:
        why = task.reason_text or _("It is next to be handed over.")
    text = _("Not called yet: %(why)s") % {"why": why.strip()}
    return Moment(at, "contact", text, "", task, rule, value)
