"""In: a task with contacts that are ready. Out: batches of planned contacts, each one request.

A plan is one transaction, so a killed planner leaves either no batch or all of them. A number that
is still unsettled elsewhere in the same family, in whatever round, is kept out: its contact becomes
``excluded`` with the reason, it is not skipped in silence. So is a number that somebody forbade, or
that would be called more often than the account allows, or who is where nobody could be called at
the hours of the task.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, Q, Sum
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.barring import exclude_barred
from campaigns.gates.hours import judge_places
from campaigns.gates.places import Place, locate_abroad, store_places
from campaigns.locks import hold_until_commit
from campaigns.models import Batch, Contact, Instance, Task

ALREADY_UNDER_WAY = N_("The same number is already under way in this round of calls.")
#: the kind of advisory lock: who plans for a family of tasks
_FAMILY = 0x66616D  # "fam"
#: an instance of which the platform said this takes nobody any more
OVER = ("finished", "expired", "deleted")
ALREADY_CALLED = N_(
    "A call to it came back although it was not handed over. It is not called again."
)


def plan_batches(task: Task) -> list[int]:
    """Put every ready contact of the task into a batch; returns the new batches' ids in order.

    The size of a batch is what the platform takes in one request; the order of the file is kept.
    Nothing is planned for a task that is not being handed over.
    """
    limits = task.account.vendor.limits
    size = limits.rows_per_direct_call if task.kind == Task.Kind.DIRECT else limits.rows_per_insert
    # A minute's work for some hundred thousand foreign numbers: before the row is held, for which
    # a click on "pause" would wait.
    looked_at = set(task.contacts.filter(status=Contact.Status.READY).values_list("id", flat=True))
    abroad = locate_abroad(task.account, task.contacts.filter(status=Contact.Status.READY))
    with transaction.atomic():
        # Of two rounds that are planned at once the second sees whom the first one took. Before the
        # row, for which a click on "pause" would wait.
        lock_family(task.family_id or task.pk)
        locked = Task.objects.select_for_update().get(pk=task.pk)
        if locked.status != Task.Status.LOADING or locked.request in lifecycle.HOLDING:
            return []  # paused, deleted or failed since somebody decided to plan
        exclude_under_way(task)
        exclude_barred(task, task.contacts.all(), of=["ready"])
        ready = task.contacts.filter(status=Contact.Status.READY)
        # The same list for the sizes and for the contacts: others become ready meanwhile.
        ids = list(ready.select_for_update().order_by("id").values_list("id", flat=True))
        fresh = [pk for pk in ids if pk not in looked_at]
        abroad |= locate_abroad(task.account, task.contacts.filter(pk__in=fresh)) if fresh else {}
        far = exclude_far(task, {pk: abroad[pk] for pk in ids if pk in abroad})
        ids = [pk for pk in ids if pk not in far]
        last = task.batches.aggregate(last=Max("number"))["last"] or 0
        groups = group_contacts(task, ids, abroad=abroad, size=size)
        places = place_groups(task, groups)
        batches = Batch.objects.bulk_create(
            Batch(
                task=task,
                instance=place,
                number=number,
                size=len(group),
                places=store_places(abroad[pk] for pk in group if pk in abroad),
            )
            for number, (group, place) in enumerate(
                zip(groups, places, strict=True), start=last + 1
            )
        )
        assign_contacts(
            [(pk, batch.pk) for batch, group in zip(batches, groups, strict=True) for pk in group]
        )
        lifecycle.move_contacts(ready.filter(batch__in=batches), "planned", of=["ready"])
    return [batch.pk for batch in batches]


def lock_family(family_id: int) -> None:
    """Nobody else plans for a task of the family, or makes a new round of it, before the end of the
    caller's transaction. No row is held by it."""
    hold_until_commit(_FAMILY, family_id)


def exclude_far(task: Task, abroad: dict[int, Place]) -> set[int]:
    """Exclude the ready contacts who could not be called where they are, of those who are not at
    home. Returns who was excluded."""
    people: dict[Place, list[int]] = defaultdict(list)
    for pk, place in abroad.items():
        people[place].append(pk)
    far: set[int] = set()
    for place, hold in judge_places(task, people).items():
        there = people[place]
        far.update(there)
        lifecycle.move_contacts(
            task.contacts.filter(pk__in=there),
            "excluded",
            of=["ready"],
            reason=hold.reason,
            reason_values=hold.values,
        )
    return far


def group_contacts(
    task: Task, ids: list[int], *, abroad: dict[int, Place], size: int
) -> list[list[int]]:
    """The contacts of each batch. Where the platform dials at once, those of one place go together:
    the hours of a place hold back whoever is in it, and nobody else."""
    sections: dict[Place | None, list[int]] = {}
    at_once = task.fills_instances or task.kind == Task.Kind.DIRECT
    for pk in ids:
        sections.setdefault(abroad.get(pk) if at_once else None, []).append(pk)
    groups = [
        section[begin : begin + size]
        for section in sections.values()
        for begin in range(0, len(section), size)
    ]
    return sorted(groups)


def place_groups(task: Task, groups: list[list[int]]) -> list[Instance | None]:
    """The instance of each group: the first that has room for it, new ones behind the last. None
    where the platform knows no instances. What was refused or never sent takes no room; what may
    have arrived does, and an instance that is over takes nobody."""
    room = task.account.vendor.limits.contacts_per_instance
    if not task.fills_instances or not room:
        return [None] * len(groups)
    gone = Q(batches__status__in=["refused", "not_sent", "withdrawn"])
    instances: list[Any] = list(
        task.instances.annotate(used=Sum("batches__size", filter=~gone)).order_by("number")
    )
    used = [room if one.platform_state in OVER else one.used or 0 for one in instances]
    places: list[int] = []
    at = 0
    for group in groups:
        while at < len(used) and used[at] + len(group) > room:
            at += 1
        if at == len(used):
            used.append(0)
        used[at] += len(group)
        places.append(at)
    instances += Instance.objects.bulk_create(
        Instance(task=task, number=number + 1) for number in range(len(instances), len(used))
    )
    return [instances[place] for place in places]


def exclude_under_way(task: Task) -> int:
    """Exclude the ready contacts whose number is unsettled elsewhere in the family, whatever the
    round; returns how many."""
    same_number = Contact.objects.filter(
        account=OuterRef("account"),
        phone=OuterRef("phone"),
        family_id=OuterRef("family_id"),
    )
    lifecycle.move_contacts(
        task.contacts.filter(calls_made__gt=0), "excluded", of=["ready"], reason=ALREADY_CALLED
    )
    taken = same_number.filter(
        Q(status__in=Contact.UNSETTLED) | Q(status="ready", task=task.pk, pk__lt=OuterRef("pk"))
    )
    return lifecycle.move_contacts(
        task.contacts.filter(Exists(taken)), "excluded", of=["ready"], reason=ALREADY_UNDER_WAY
    )


def assign_contacts(pairs: list[tuple[int, int]]) -> None:
    """Give each contact its batch, in one statement; pairs of (contact, batch)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_contact contact SET batch_id = chosen.batch"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS chosen(id, batch)"
            " WHERE contact.id = chosen.id",
            [[contact for contact, _ in pairs], [batch for _, batch in pairs]],
        )
