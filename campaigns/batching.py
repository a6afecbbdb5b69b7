"""In: a task with contacts that are ready. Out: batches of planned contacts, each one request.

A plan is one transaction, so a killed planner leaves either no batch or all of them. A number that
is still unsettled elsewhere in the same family and round is kept out: its contact becomes
``excluded`` with the reason, it is not skipped in silence.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, Q
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.models import Batch, Contact, Task

ALREADY_UNDER_WAY = N_("The same number is already under way in this round of calls.")


def plan_batches(task: Task) -> list[int]:
    """Put every ready contact of the task into a batch; returns the new batches' ids in order.

    The size of a batch is what the platform takes in one request; the order of the file is kept.
    """
    limits = task.account.vendor.limits
    size = limits.rows_per_direct_call if task.kind == Task.Kind.DIRECT else limits.rows_per_insert
    with transaction.atomic():
        Task.objects.select_for_update().get(pk=task.pk)
        exclude_under_way(task)
        ready = task.contacts.filter(status=Contact.Status.READY)
        count = ready.count()
        last = task.batches.aggregate(last=Max("number"))["last"] or 0
        batches = Batch.objects.bulk_create(
            Batch(task=task, number=last + 1 + position, size=min(size, count - position * size))
            for position in range(-(-count // size))
        )
        assign_contacts(task, first_number=last + 1, size=size)
        lifecycle.move_contacts(ready.filter(batch__in=batches), "planned", of=["ready"])
    return [batch.pk for batch in batches]


def exclude_under_way(task: Task) -> int:
    """Exclude the ready contacts whose number is unsettled elsewhere; returns how many."""
    same_number = Contact.objects.filter(
        account=OuterRef("account"),
        phone=OuterRef("phone"),
        family_id=OuterRef("family_id"),
        round=OuterRef("round"),
    )
    taken = same_number.filter(
        Q(status__in=Contact.UNSETTLED) | Q(status="ready", task=task.pk, pk__lt=OuterRef("pk"))
    )
    return lifecycle.move_contacts(
        task.contacts.filter(Exists(taken)), "excluded", of=["ready"], reason=ALREADY_UNDER_WAY
    )


def assign_contacts(task: Task, *, first_number: int, size: int) -> None:
    """Give the n-th ready contact the batch that holds it, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_contact contact SET batch_id = batch.id"
            " FROM (SELECT id,"
            "              (row_number() OVER (ORDER BY id) - 1) / %(size)s + %(first)s AS number"
            "       FROM campaigns_contact"
            "       WHERE task_id = %(task)s AND status = 'ready') chosen"
            " JOIN campaigns_batch batch"
            " ON batch.task_id = %(task)s AND batch.number = chosen.number"
            " WHERE contact.id = chosen.id",
            {"task": task.pk, "size": size, "first": first_number},
        )


def split_batch(batch: Batch) -> list[int]:
    """Plan the contacts of a batch again in two halves, after the platform refused it for one row.

    The contacts are ``ready`` again when this is called. Returns the ids of the new batches.
    """
    ids = list(
        Contact.objects.filter(batch=batch, status="ready")
        .order_by("id")
        .values_list("id", flat=True)
    )
    middle = (len(ids) + 1) // 2
    made: list[int] = []
    with transaction.atomic():
        Task.objects.select_for_update().get(pk=batch.task_id)
        last = Batch.objects.filter(task=batch.task_id).aggregate(last=Max("number"))["last"] or 0
        for half in (ids[:middle], ids[middle:]):
            if not half:
                continue
            last += 1
            new = Batch.objects.create(task_id=batch.task_id, number=last, size=len(half))
            lifecycle.move_contacts(
                Contact.objects.filter(pk__in=half), "planned", of=["ready"], batch=new
            )
            made.append(new.pk)
    return made
