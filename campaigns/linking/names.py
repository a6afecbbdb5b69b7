"""In: our contacts. Out: our own id of each, for platforms that keep one."""

from __future__ import annotations

import re

from django.db.models import CharField, QuerySet, Value
from django.db.models.functions import Cast, Concat

from campaigns.models import Contact

#: Our own id of a contact, for platforms that keep one. A spreadsheet must not take it for a
#: number: AI Rudder's own sample has a case "123456.0".
NAME = "CB-"
#: a text that is such an id
NAMED = re.compile(r"CB-([1-9][0-9]{0,17})\Z", re.ASCII)


def name_contact(contact_id: int) -> str:
    return f"{NAME}{contact_id}"


def name_contacts(contacts: QuerySet[Contact]) -> None:
    """Make our id of each contact the platform's."""
    contacts.update(platform_contact_id=Concat(Value(NAME), Cast("pk", CharField())))
