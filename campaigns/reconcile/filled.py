"""In: requests of unknown outcome to a platform that dials at once. Out: settled by asking for each
contact by our own id of it, or left to a person.

An answer that a contact is there is proof. That it is not there proves little: nobody documents how
soon the platform finds what it was given, and whoever is sent twice is called twice. So what is not
found is never sent again by itself.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.connections import open_client
from campaigns.linking import link_calls, name_contact
from campaigns.models import Attempt, Contact, Task
from campaigns.platforms.contract import Can
from campaigns.platforms.errors import PlatformError
from campaigns.reconcile.evidence import BY_KEY, is_settled
from campaigns.reconcile.polling import NOT_ASKED

EMPTY_INSTANCE = N_(
    "If the platform made it, it stands there empty and calls nobody. Another one is made."
)
FOUND_ALL = N_("The platform was asked for each contact and has all of them.")
NOT_FOUND = N_(
    "The platform was asked several times and does not find some contacts of a batch. They may be"
    " called all the same, so they are not sent again by themselves: a person has to decide."
)
CANNOT_BE_ASKED = N_(
    "The platform cannot be asked whether it has the contacts. A person has to decide."
)
#: the platform is asked for contacts added between these moments before and after the request
AROUND = timedelta(days=1)
#: what is left to a person is asked about all the same: a late "it is there" is proof
IN_DOUBT = (Attempt.Status.UNKNOWN, Attempt.Status.NEEDS_HUMAN)


def list_proved_batches() -> list[Attempt]:
    """Inserts left to a person of which no contact is in doubt any more: its calls came back."""
    doubtful = Contact.objects.filter(batch=OuterRef("batch"), status="unknown")
    return list(
        Attempt.objects.filter(~Exists(doubtful), command="insert", status="needs_human")
        .exclude(instance=None, batch__instance=None)
        .select_related("batch")
    )


def settle_filled(task: Task) -> bool:
    """Settle the unknown requests of a task that fills instances; True when it can go on.

    It goes on when nothing is being found out any more: what is left to a person waits alone.
    """
    proved = [attempt for attempt in list_proved_batches() if attempt.task_id == task.pk]
    settled = [confirm(attempt, FOUND_ALL) for attempt in proved]
    unknown = task.attempts.filter(status__in=IN_DOUBT).select_related("batch__instance")
    for attempt in unknown.order_by("id"):
        if attempt.command == Attempt.Command.CREATE:
            settled.append(_drop_create(attempt))
        elif attempt.batch is not None:
            settled.append(_find_contacts(task, attempt))
    left = set(task.attempts.filter(status__in=IN_DOUBT).values_list("status", flat=True))
    if any(settled) and not left:
        lifecycle.calm_task(task, "")
    return any(settled) and Attempt.Status.UNKNOWN not in left


def _drop_create(attempt: Attempt) -> bool:
    """An instance whose id never came holds nobody, whether it was made or not."""
    since = timezone.now() - (attempt.ended_at or attempt.started_at)
    if since.total_seconds() < settings.SETTLE_SECONDS:
        return False
    return lifecycle.move(attempt, "confirmed_absent", of=["unknown"], reason=EMPTY_INSTANCE)


def _find_contacts(task: Task, attempt: Attempt) -> bool:
    """Ask for each contact of the batch that is in doubt."""
    batch = attempt.batch
    assert batch is not None
    if batch.instance is None or not task.account.can(Can.FIND_CONTACTS):
        return _leave_to_person(task, attempt, CANNOT_BE_ASKED)
    doubtful = batch.contacts.filter(status=Contact.Status.UNKNOWN)
    found: list[int] = []
    heard = True
    try:
        client = open_client(task.account, task=task, attempt=attempt)
        for pk in doubtful.order_by("id").values_list("pk", flat=True):
            there = client.find_contact(
                key=name_contact(pk),
                begin_at=attempt.started_at - AROUND,
                end_at=timezone.now() + AROUND,
            )
            if batch.instance.platform_task_id in there:
                found.append(pk)
    except PlatformError:
        heard = False
        if not task.needs_attention:
            lifecycle.note_task(task, NOT_ASKED, needs_attention=True)
    with transaction.atomic():
        # The sender may come back with its answer: it takes the attempt first, too.
        Attempt.objects.select_for_update().get(pk=attempt.pk)
        proved = list(doubtful.filter(pk__in=found).order_by("id").select_for_update())
        lifecycle.move_contacts(
            Contact.objects.filter(pk__in=[one.pk for one in proved]),
            "accepted",
            of=["unknown"],
            reason="",
        )
        left = doubtful.count()
        done = not left and confirm(attempt, FOUND_ALL)
    if found:
        link_calls(task.account_id, contact_ids=found)
    # Not to have been asked is no answer.
    if left and heard and is_settled(attempt, f"{left} not found", question=BY_KEY):
        return _leave_to_person(task, attempt, NOT_FOUND)
    return done


def confirm(attempt: Attempt, reason: str) -> bool:
    """Every contact of the batch is known to be with the platform."""
    if attempt.batch is None:
        return False
    with transaction.atomic():
        of = ["unknown", "needs_human"]
        if not lifecycle.move(attempt, "confirmed_accepted", of=of, reason=reason):
            return False
        lifecycle.move(attempt.batch, "accepted", of=["unknown"], reason=reason)
    return True


def _leave_to_person(task: Task, attempt: Attempt, reason: str) -> bool:
    if lifecycle.move(attempt, "needs_human", of=["unknown"], reason=reason):
        lifecycle.note_task(task, reason, needs_attention=True)
        return True  # the others may go on: here is no count that this one could spoil
    return False
