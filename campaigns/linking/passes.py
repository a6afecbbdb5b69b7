"""In: calls, or contacts whose ids were just committed. Out: both joined and written, and everybody
up to date whom the calls are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Right
from django.utils import timezone

from campaigns import incidents
from campaigns.barring import apply_rules
from campaigns.linking.joining import JOINED, join_rows, write_joins
from campaigns.linking.summing import summarise_contacts
from campaigns.linking.waiting import SWEEP_DAYS, find_guessable, find_linkable
from campaigns.models import Account, Call, Contact, Task
from campaigns.prepared import fetch_rows, write_array

#: the sweep looks at no more calls than this at once
SWEEP_LIMIT = 2_000
#: the same for those that are only guessed: most of them find nobody
GUESS_LIMIT = 500


def link_calls(
    account_id: int,
    *,
    call_ids: Collection[int] | None = None,
    contact_ids: Collection[int] | None = None,
) -> int:
    """Find task, contact and robot of calls, and bring the contacts up to date.

    ``call_ids``: these calls. ``contact_ids``: the calls of these contacts, whose platform ids were
    just committed. Neither: every call of the account that found no contact so far. Call it after
    the commit of what it should see. Returns how many calls found their contact.
    """
    with transaction.atomic():
        calls = Call.objects.filter(account_id=account_id)
        touched = set(contact_ids or ())
        if call_ids is not None:
            calls = calls.filter(pk__in=call_ids)
        elif contact_ids is not None:
            known = Contact.objects.filter(account_id=account_id, pk__in=contact_ids)
            ids = list(
                known.exclude(platform_contact_id="").values_list("platform_contact_id", flat=True)
            )
            calls = calls.filter(
                Q(platform_contact_id__in=ids, contact=None) | Q(contact_id__in=contact_ids)
            )
        else:
            calls = find_linkable(calls)
        rows = list(calls.order_by("id").select_for_update(of=("self",)).only(*JOINED))
        before = {row.pk: row.contact_id for row in rows}
        region = Account.objects.values_list("region", flat=True).get(pk=account_id)
        write_joins(join_rows(account_id, rows, region=region))
        follow_up(account_id, rows, before=before, region=region, touched=touched)
    return sum(1 for row in rows if row.contact_id and before[row.pk] is None)


def follow_up(
    account_id: int,
    rows: list[Call],
    *,
    before: Mapping[int, int | None],
    region: str,
    touched: Collection[int] = (),
) -> None:
    """Bring everybody up to date whom these calls are about. The calls are locked, joined and
    written; ``before`` is {id: contact before that}, ``touched`` are contacts to look at besides.
    """
    strays = _adopt_late_calls(account_id, rows, region=region)
    now = {row.contact_id for row in rows}
    contacts = {pk for pk in {*touched, *before.values(), *now} if pk is not None}
    new = {row.pk for row in rows if row.contact_id and before.get(row.pk) is None}
    incidents.note_forbidden_calls(account_id, rows, new=new)
    summarise_contacts(contacts)
    if rows:
        # Only now that the contacts are held: a decision to send them again is over, or waits.
        resent = incidents.list_resent(account_id)
        if incidents.note_late_proofs(rows, resent, strays=strays):
            summarise_contacts(contacts)  # whom the call itself was about is done
        # Here, since whose number a call's intention is about may become known with any link.
        apply_rules(account_id, [row.pk for row in rows])


def _adopt_late_calls(account_id: int, rows: list[Call], *, region: str) -> list[Any]:
    """Calls that found nobody may be of a direct call that was sent again; see ``incidents``."""
    lost = [row for row in rows if row.contact_id is None and row.task_id is None]
    resent = incidents.list_resent(account_id) if lost else []
    return incidents.adopt_late_calls(lost, resent, region=region) if resent else []


#: as ``find_linkable`` has it
_LATE = """
    SELECT call.id FROM campaigns_call call
    WHERE call.account_id = %s AND call.id = ANY(%s::bigint[]) AND call.contact_id IS NULL
        AND call.platform_contact_id <> '' AND call.direction <> 'inbound'
        AND call.created_at > %s
        AND EXISTS (SELECT FROM campaigns_contactname known
            JOIN campaigns_contact contact ON contact.id = known.contact_id
            WHERE known.platform_contact_id = call.platform_contact_id
                AND contact.account_id = call.account_id)
"""


def link_late(account_id: int, call_ids: Collection[int]) -> int:
    """Link those of these calls whose contact learnt its platform id while they were written."""
    if not call_ids:
        return 0
    since = timezone.now() - timedelta(days=SWEEP_DAYS)
    late = fetch_rows(_LATE, [account_id, write_array(call_ids), since])
    return link_calls(account_id, call_ids=[row[0] for row in late]) if late else 0


def link_pending() -> int:
    """The sweep: calls that no pass linked because its process died. Returns how many it found."""
    linked = 0
    # The newest first: those whose id proves nothing stay among them for days.
    waiting = find_linkable(Call.objects.all()).order_by("-id").values_list("account_id", "id")
    guesses = find_guessable(Call.objects.all()).order_by("-id").values_list("account_id", "id")
    by_account: dict[int, set[int]] = defaultdict(set)
    for account_id, call_id in (*waiting[:SWEEP_LIMIT], *guesses[:GUESS_LIMIT]):
        by_account[account_id].add(call_id)
    for account_id, call_ids in by_account.items():
        linked += link_calls(account_id, call_ids=call_ids)
    return linked


def link_misnamed(task: Task) -> int:
    """Of a task that has ended at the platform: who was never called by the id that an answer gave
    them has not that id, if their number was called by one that nobody has. Returns how many calls
    found their contact."""
    waiting = task.contacts.filter(status="accepted", calls_made=0).exclude(platform_contact_id="")
    phones = dict(waiting.values_list("phone", "pk"))
    if not phones:
        return 0
    calls = Call.objects.filter(
        task=task, contact=None, has_record=True, direction=Call.Direction.OUTBOUND
    )
    # The number as it stands, or behind a country code; one that was called twice says nothing new.
    tails = {phone[-11:]: pk for phone, pk in phones.items()}
    found = calls.annotate(tail=Right("callee", 11)).filter(tail__in=tails)
    told = list(found.values_list("pk", "tail")[:SWEEP_LIMIT])
    if not told:
        return 0
    with transaction.atomic():
        ids = sorted({tails[tail] for _, tail in told})
        rows = Contact.objects.filter(pk__in=ids, status="accepted", calls_made=0, calls=None)
        free = list(
            rows.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True)
        )
        Contact.objects.filter(pk__in=free).update(platform_contact_id="")
    return link_calls(task.account_id, call_ids=[pk for pk, _ in told])
