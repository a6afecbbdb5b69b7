"""In: a task and a phone number. Out: its state, the attempts to hand it over, its time line."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from campaigns.history import list_attempts, tell_history, tell_standing
from campaigns.management.headless import HeadlessCommand, find_task
from campaigns.models import Contact
from campaigns.phones import PhoneRefused, normalise_phone


class Command(HeadlessCommand):
    help = "Show what became of one number of a task."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", help="its id")
        parser.add_argument("phone")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        task = find_task(options["task"])
        try:
            phone = normalise_phone(options["phone"], region=task.account.region)
        except PhoneRefused:
            phone = options["phone"].strip()
        contacts = list(task.contacts.filter(phone=phone).order_by("id"))
        if not contacts:
            raise CommandError(
                _("Task %(task)s has no contact with this number.") % {"task": task.pk}
            )
        return {
            "task": task.pk,
            "phone": phone,
            "states": [describe_contact(contact) for contact in contacts],
            "attempts": [
                {
                    "command": attempt.command,
                    "status": attempt.status,
                    "started_at": attempt.started_at,
                    "ended_at": attempt.ended_at,
                    "code": attempt.code or None,
                    "reason": _(attempt.reason) if attempt.reason else None,
                }
                for contact in contacts
                for attempt in list_attempts(contact)
            ],
            "timeline": [
                {
                    "at": moment.at,
                    "what": moment.what,
                    "text": moment.text,
                    "rule": moment.rule or None,
                    "value": moment.value,
                    "by": moment.by or None,
                }
                for contact in contacts
                for moment in tell_history(contact)
            ],
        }


def describe_contact(contact: Contact) -> dict[str, Any]:
    standing = tell_standing(contact)
    return {
        "id": contact.pk,
        "line": contact.line_number,
        "status": contact.status,
        "reason": contact.reason_text or None,
        "platform_contact_id": contact.platform_contact_id or None,
        "calls": contact.calls_made,
        "answered": contact.answered,
        "result": contact.result or None,
        "intention": contact.intention or None,
        "standing": {
            "text": standing.text,
            "rule": standing.rule or None,
            "value": standing.value,
            "at": standing.at,
        },
    }
