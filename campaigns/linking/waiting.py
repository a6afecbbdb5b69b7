"""In: calls without a contact, contacts whose ids were just committed. Out: those that there is
something to do for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Right
from django.utils import timezone

from campaigns.linking.guessing import CANDIDATES, DIRECT_CANDIDATES
from campaigns.models import Call, Contact, ContactName, Task
from campaigns.prepared import run, write_array

#: calls heard of longer ago than this are no longer looked at by the sweep
SWEEP_DAYS = 3
#: the same for calls that only number and time can lead to a contact: most of them never will
GUESS_WITHIN = timedelta(hours=1)

_WAITING = """
    SELECT EXISTS (SELECT FROM campaigns_call WHERE account_id = %s AND contact_id IS NULL
            AND platform_contact_id = ANY(%s::text[])
            AND platform_contact_id <> '')
        OR EXISTS (SELECT FROM campaigns_call WHERE contact_id = ANY(%s::bigint[]))
"""


def has_calls(account_id: int, contact_ids: list[int], platform_ids: list[str]) -> bool:
    """Whether ``link_calls`` has anything to do for contacts whose platform ids were just
    committed: mostly nobody has called them yet."""
    values = [account_id, write_array(platform_ids), write_array(contact_ids)]
    return bool(run(_WAITING, values)[0][0])


def find_linkable(calls: Any) -> Any:
    """Recent calls without a contact for whose id there is one now."""
    # By the name first: the other way round each call is held against every contact of its account.
    contacts = Contact.objects.filter(
        pk=OuterRef("contact_id"), account=OuterRef(OuterRef("account"))
    )
    names = ContactName.objects.filter(
        Exists(contacts), platform_contact_id=OuterRef("platform_contact_id")
    )
    recent = timezone.now() - timedelta(days=SWEEP_DAYS)
    return (
        calls.filter(Exists(names), contact=None, created_at__gt=recent)
        .exclude(platform_contact_id="")
        .exclude(direction=Call.Direction.INBOUND)
    )


def find_guessable(calls: Any) -> Any:
    """Calls of the last hour without a contact where one with this number has no platform id: of
    the same task, or of a direct call by the same robot."""
    recent = timezone.now() - GUESS_WITHIN
    # The number as it stands, or behind a country code: the index has to do, every few seconds.
    numbers = [OuterRef("callee"), Right(OuterRef("callee"), 11)]
    nameless = Contact.objects.filter(phone__in=numbers, platform_contact_id="")
    of_task = nameless.filter(task=OuterRef("task"), status__in=CANDIDATES)
    of_robot = nameless.filter(
        account=OuterRef("account"),
        task__kind=Task.Kind.DIRECT,
        task__robot__platform_id=OuterRef("platform_robot_id"),
        status__in=DIRECT_CANDIDATES,
    )
    return calls.filter(
        Exists(of_task) | Q(Exists(of_robot), task=None),
        contact=None,
        direction=Call.Direction.OUTBOUND,
        # the first has an index, the second is our own clock
        happened_at__gt=recent,
        created_at__gt=recent,
    )
