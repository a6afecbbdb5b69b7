"""In: a contact. Out: its time line, from the row of a file to the last push.

Contacts moved by an import or a batch have no history rows of their own, so the time line is put
together: ``arriving`` (the import, its number), ``leaving`` (batches, rules, requests, people),
``calling`` (calls, recordings, pushes); ``standing`` says in one sentence how it stands. What goes
wrong on the way is written down by the database itself: see migration 0016.
"""

from __future__ import annotations

from django.db import models

from campaigns.history import arriving, calling, leaving
from campaigns.history.moment import GROUP_NAMES, GROUPS, LIMIT, Moment, list_changes
from campaigns.history.standing import tell_standing
from campaigns.models import Attempt, Contact

__all__ = [
    "GROUPS",
    "GROUP_NAMES",
    "LIMIT",
    "Moment",
    "list_attempts",
    "tell_history",
    "tell_standing",
]


def tell_history(contact: Contact) -> list[Moment]:
    """The contact's time line, oldest first: at most ``LIMIT`` moments of a kind, the newest."""
    changes = list_changes("contact", [contact.pk])
    batches = leaving.list_batches(contact, changes)
    attempts = leaving.list_attempts_of(contact, batches)
    excluded_later = any(change.new == Contact.Status.EXCLUDED for change in changes)
    moments = [
        *arriving.tell_import(contact, excluded_later=excluded_later),
        *arriving.tell_number(contact),
        *leaving.tell_task(contact),
        *leaving.tell_decisions(contact, attempts),
        *leaving.tell_batches(batches),
        *leaving.tell_attempts(attempts),
        *leaving.tell_contact(changes, batches),
        *calling.tell_calls(contact),
    ]
    return sorted(moments, key=lambda moment: moment.at)


def list_attempts(contact: Contact) -> models.QuerySet[Attempt]:
    """The requests to hand over the batches that the contact was in, oldest first."""
    batches = leaving.list_batches(contact, list_changes("contact", [contact.pk]))
    return Attempt.objects.filter(batch__in=batches).order_by("id")
