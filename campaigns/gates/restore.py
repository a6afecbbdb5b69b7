"""In: the database as it is. Out: a hold while it may be an older one than was written to last.

A restored database does not know whom the lost one handed over, so nothing that adds calls leaves
until somebody has looked and released it. What reduces calls, and questions, leave as ever.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any
from weakref import WeakSet

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.gates.hold import Hold
from campaigns.gates.witness import (
    Witness,
    find_lost,
    is_same,
    read_fingerprint,
    read_given,
    read_ids,
    read_witness,
    write_witness,
)
from campaigns.models import Approval, Installation, StatusChange, Task

logger = logging.getLogger(__name__)

HELD = N_(
    "The database was restored from a copy, or another server took over. Nothing that leads to"
    " calls leaves until this has been looked at and released."
)
MOVED = N_(
    "This is not the database that was written to last: it was %(before)s and is %(now)s (cluster,"
    " time line, database, table)."
)
WENT_BACK = N_(
    "This database went back in time: %(what)s had reached %(seen)s and stands at %(now)s."
)
RESTORED = N_(
    "The database was restored while this task was on its way: it may have gone further than is"
    " known here. Look at the platform before you resume it."
)
ASK_ANEW = N_("The database was restored since: it may have been used already. Ask anew.")
ROW = 1

#: connections on which the database was seen to be the one it should be
_seen: WeakSet[Any] = WeakSet()


def find_restored(task: Task | None = None) -> Hold | None:
    """The hold of a restored database that no operator has released. What was read together with
    the task answers one question; after that the row is asked again."""
    connection.ensure_connection()
    if connection.connection not in _seen:  # whoever restores a database cuts the connections to it
        look_at_database()
        task = None
    held = None if task is None else task.__dict__.pop("known_held", None)
    if held is None:
        held = Installation.objects.filter(pk=ROW, held_at__isnull=False).exists()
    return Hold("restore", HELD) if held else None


def look_at_database() -> bool:
    """Compare the database with what is known of it, and hold it if it is another one, or an older
    one; whether it is held. The first look at a new one writes down which it is."""
    row = Installation.objects.get_or_create(pk=ROW)[0]
    fingerprint = read_fingerprint()
    if not row.fingerprint:
        Installation.objects.filter(pk=ROW, fingerprint="").update(fingerprint=fingerprint)
    elif not is_same(row.fingerprint, fingerprint):
        return _hold(row, fingerprint, MOVED, {"before": row.fingerprint, "now": fingerprint})
    if row.held_at is None:
        lost = find_lost(
            read_witness(),
            fingerprint=fingerprint,
            released_at=_tell(row.released_at),
            given=read_given(),
        )
        if lost is not None:
            return _hold(row, fingerprint, WENT_BACK, lost)
    _seen.add(connection.connection)
    return row.held_at is not None


def keep_witness() -> bool:
    """Look at the database, and write down for later how far it is; whether it is held."""
    if look_at_database():
        return True
    row = Installation.objects.get(pk=ROW)
    if row.held_at is None:
        write_witness(Witness(row.fingerprint, _tell(row.released_at), read_ids()))
    return row.held_at is not None


def _tell(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment else ""


def _hold(row: Installation, fingerprint: str, reason: str, values: dict[str, Any]) -> bool:
    """Hold it, and stop what would go on by itself. One of many that notice does so."""
    now = timezone.now()
    with transaction.atomic():
        noticed = Installation.objects.filter(
            pk=ROW, fingerprint=row.fingerprint, held_at=row.held_at
        ).update(
            fingerprint=fingerprint, held_at=now, restored_at=now,
            reason=reason, reason_values=values,
        )  # fmt: skip
        if not noticed:
            return True
        StatusChange.objects.create(
            subject="installation", subject_id=ROW, old="", new="held", reason=reason, values=values
        )
        stopped = stop_tasks()
    logger.error("The database is held: it is not the one that was written to last.")
    logger.error("Tasks that were stopped for it: %d.", stopped)
    return True


def stop_tasks() -> int:
    """Pause what was on its way to its platform, and forget what would let it go on: each is
    resumed by a person. What runs is asked about, and can be paused and deleted, as ever."""
    for task in Task.objects.filter(request__in=["resume", "rebuild"]):
        lifecycle.request_task(task, "")
    # A person may have taken a rule's pause over, and an approval been used, in what was lost.
    ruled = Task.objects.exclude(paused_by_rule="")
    for task in ruled.filter(status="paused"):
        lifecycle.note_task(task, RESTORED, needs_attention=True)
    ruled.update(paused_by_rule="")
    for approval in Approval.objects.filter(status__in=["asked", "approved"]):
        lifecycle.move(approval, "withdrawn", of=["asked", "approved"], reason=ASK_ANEW)
    waiting = Task.objects.filter(status__in=["loading", "loaded", "starting"])
    return sum(
        lifecycle.move(
            task, "paused", of=["loading", "loaded", "starting"], reason=RESTORED,
            needs_attention=True,
        )
        for task in waiting
    )  # fmt: skip


def release_hold(*, by: Any, note: str) -> bool:
    """Let calls leave again; False when nothing was held. ``note`` is why, in a person's words.

    The tasks that were stopped stay so until each is resumed.
    """
    user = by if getattr(by, "pk", None) else None
    now = timezone.now()
    with transaction.atomic():
        row = Installation.objects.select_for_update().filter(pk=ROW).first()
        if row is None or row.held_at is None:
            return False
        row.fingerprint, row.held_at = read_fingerprint(), None
        row.released_at, row.released_by = now, user
        row.save()
        StatusChange.objects.create(
            subject="installation", subject_id=ROW, old="held", new="released", by=user,
            reason="%(note)s", values={"note": note[:2000]},
        )  # fmt: skip
    keep_witness()
    return True


def find_installation() -> Installation | None:
    """The row while the database is held; for what every page says."""
    return Installation.objects.filter(pk=ROW, held_at__isnull=False).first()


def may_be_launched_already(task: Task) -> bool:
    """Whether the task is older than the restore and stands as if the platform did not dial for it:
    it may have been launched, and its contacts called, in what was lost."""
    if task.status not in ("draft", "paused", "loading", "loaded"):
        return False
    restored = Installation.objects.filter(pk=ROW).values_list("restored_at", flat=True).first()
    return restored is not None and task.created_at < restored and not _went_on(task, restored)


def _went_on(task: Task, restored: datetime) -> bool:
    """Whether it was launched, or resumed by a person, since the restore."""
    if task.launched_at and task.launched_at > restored:
        return True
    moves = StatusChange.objects.filter(subject="task", subject_id=task.pk, at__gt=restored)
    return (
        moves.filter(new__in=["loading", "running"])
        .exclude(old__in=["loading", "running"])
        .exists()
    )


def find_newest() -> datetime | None:
    """When this database was written to last before it was held: about when the copy was made."""
    row = Installation.objects.filter(pk=ROW).first()
    changes = StatusChange.objects.order_by("-id")
    if row is not None and row.restored_at is not None:
        changes = changes.filter(at__lt=row.restored_at)
    return changes.values_list("at", flat=True).first()
