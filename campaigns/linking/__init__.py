"""In: calls whose contact is not known yet, contacts whose calls changed. Out: both joined, and the
contact's own summary of its calls.

``waiting`` (for which calls and contacts is there anything to do) → ``joining`` (by the ids, and
where those lead nowhere, ``guessing`` by the number) → ``summing`` (what a contact's calls make of
it); ``passes`` chains them. ``names``: our own id of a contact.

An outbound call belongs to a contact and its task; an inbound one to neither, whatever ids it
carries (yeta's own sample has a ``task_data_id``). A call whose direction no record has told yet is
linked, so that it can be seen, and counts for nothing.

A push may overtake the reply that tells us the platform's ids. So each side links after its own
commit: whoever commits second sees the other. Locks are taken in one order everywhere: calls by
id, then contacts by id.
"""

from campaigns.linking.guessing import CANDIDATES
from campaigns.linking.joining import join_rows, write_joins
from campaigns.linking.names import name_contact, name_contacts
from campaigns.linking.passes import (
    follow_up,
    link_calls,
    link_late,
    link_misnamed,
    link_pending,
)
from campaigns.linking.summing import summarise_contacts
from campaigns.linking.waiting import has_calls

__all__ = [
    "CANDIDATES",
    "follow_up",
    "has_calls",
    "join_rows",
    "link_calls",
    "link_late",
    "link_misnamed",
    "link_pending",
    "name_contact",
    "name_contacts",
    "summarise_contacts",
    "write_joins",
]
