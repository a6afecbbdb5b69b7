"""In: what somebody decides about an import. Out: its next state, and the job that leads on.

uploaded → checking → checked → loading → done, each a click or a job; given up, or begun again, at
every step but the last two. What died on the way is found by ``settle_imports``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import IO, Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.importing.errors import ImportRefused
from campaigns.importing.loading import WORKING, check_import, lay_out, load_import
from campaigns.importing.options import choose_columns
from campaigns.importing.receiving import (
    FILE_GONE,
    STOPPED,
    drop_file,
    fail_import,
    receive_file,
    refuse_late,
    take_task,
)
from campaigns.importing.staging import clear_rows, clear_staged
from campaigns.models import ContactImport, StatusChange, Task
from campaigns.queue import enqueue

log = logging.getLogger(__name__)

NOT_OPEN = N_("This import is not waiting to be checked: reload the page to see where it stands.")
NOT_CHECKED = N_(
    "This import is not waiting to be confirmed: reload the page to see where it stands."
)
CHECKED_SINCE = N_(
    "The file was checked once more since you looked, perhaps with other choices: look at the "
    "report below, then confirm that."
)
NOT_STOPPABLE = N_(
    "This import cannot be given up any more. What was loaded can be taken back when it is done."
)
BEGUN_AGAIN = N_("Whoever worked on it was stopped. It is begun again.")
GAVE_UP = N_(
    "Work on the import was stopped three times, and nothing of the file was loaded. Look at the "
    "server, then check the file again."
)
NOT_RECEIVED = N_("The upload was cut off, and nothing of the file was kept. Upload it again.")
FORGOTTEN = N_("Nobody went on with it for %(days)s days, so the file is no longer kept.")

#: a job that was stopped is begun again so often
TRIES = 3
#: an upload takes at most so long
_UPLOAD = timedelta(hours=2)
#: states in which nobody needs the file after a while
_OVER = ("done", "undone", "failed", "cancelled")


def import_file(
    task: Task,
    file: IO[bytes] | bytes,
    *,
    file_name: str,
    mapping: Mapping[str, str] | None = None,
    by: Any = None,
    kept: Sequence[str] = (),
    duplicates: str = "family",
    duplicate_days: int | None = None,
    keep_row: str = "first",
    origin: str = "command",
    reading: Mapping[str, Any] | None = None,
    check_only: bool = False,
) -> ContactImport:
    """Receive, check and load a file, all at once and here; with ``check_only`` it waits for
    somebody to confirm it.

    ``mapping`` is {column of the robot: header in the file}; columns not in it are found as
    ``receive_file`` suggests, and ``reading`` is for it. Rows that cannot be loaded are counted and
    listed in the returned import. Raises ``ImportRefused`` when nothing of the file could be used;
    the import has failed then.
    """
    contact_import = receive_file(
        task, file, file_name=file_name, by=by, origin=origin, known=mapping, reading=reading
    )
    try:
        choose_columns(
            contact_import,
            mapping=contact_import.mapping | dict(mapping or {}),
            kept=kept,
            duplicates=duplicates,
            duplicate_days=duplicate_days,
            keep_row=keep_row,
            by=by,
        )
    except ImportRefused as refusal:
        fail_import(contact_import, refusal.message, values=refusal.values, by=by)
        raise
    except BaseException:
        fail_import(contact_import, STOPPED, values={}, by=by)
        raise
    lifecycle.move(contact_import, "checking", of=["uploaded"], by=by, progress_at=None)
    check_import(contact_import.pk, wait=True)
    _expect(contact_import, "checked")
    if check_only:
        return contact_import
    confirmed = {"confirmed_at": timezone.now(), "confirmed_by": contact_import.created_by}
    lifecycle.move(contact_import, "loading", of=["checked"], by=by, progress_at=None, **confirmed)
    load_import(contact_import.pk, wait=True)
    _expect(contact_import, "done")
    return contact_import


def _expect(contact_import: ContactImport, status: str) -> None:
    """Raises ``ImportRefused`` when somebody, or a job that took it over, led it elsewhere."""
    contact_import.refresh_from_db()
    if contact_import.status != status:
        raise ImportRefused(
            contact_import.reason or STOPPED, **(contact_import.reason_values or {})
        )


def begin_check(contact_import: ContactImport, *, by: Any = None) -> None:
    """Have the whole file checked by a job. Raises ``ImportRefused``."""
    if not contact_import.file:
        raise ImportRefused(FILE_GONE)
    lay_out(contact_import)
    moved = _start(
        contact_import,
        "checking",
        of=["uploaded", "checked", "failed"],
        by=by,
        confirmed_at=None,
        ended_at=None,
        progress_end=0,
    )
    if not moved:
        raise ImportRefused(NOT_OPEN)


def confirm_import(
    contact_import: ContactImport, *, by: Any = None, seen: str | None = None
) -> None:
    """Have what was checked loaded by a job. Raises ``ImportRefused``.

    ``seen`` is the stamp of the check that somebody looked at: another one is not theirs to
    confirm.
    """
    with transaction.atomic():
        refuse_late(take_task(contact_import))
        contact_import.refresh_from_db()
        if seen is not None and contact_import.check_stamp != seen:
            raise ImportRefused(CHECKED_SINCE)
        moved = _start(
            contact_import,
            "loading",
            of=["checked"],
            by=by,
            confirmed_at=timezone.now(),
            confirmed_by=by if getattr(by, "pk", None) else None,
            progress_end=0,
        )
    if not moved:
        raise ImportRefused(NOT_CHECKED)


def cancel_import(contact_import: ContactImport, *, by: Any = None) -> None:
    """Give it up: a check that is under way stops, and the file is not kept. Raises
    ``ImportRefused`` when it is too late."""
    _end(contact_import, "cancelled", of=["uploaded", "checking", "checked", "failed"], by=by)
    if contact_import.status != "cancelled":
        raise ImportRefused(NOT_STOPPABLE)
    drop_file(contact_import)


def _start(
    contact_import: ContactImport, new: str, *, of: list[str], by: Any = None, **fields: Any
) -> bool:
    """Move the import to where a job works on it, and have that job done, in one transaction."""
    with transaction.atomic():
        moved = lifecycle.move(
            contact_import, new, of=of, by=by, progress=0, progress_at=None, **fields
        )
        if moved:
            _call_job(contact_import)
    return moved


def _call_job(contact_import: ContactImport) -> None:
    job = "check_import" if contact_import.status == "checking" else "load_import"
    enqueue(
        f"campaigns.jobs.{job}",
        once=f"{job}-{contact_import.pk}",
        import_id=contact_import.pk,
    )


def _end(
    contact_import: ContactImport,
    new: str,
    *,
    of: Sequence[str],
    reason: str = "",
    values: dict[str, Any] | None = None,
    by: Any = None,
) -> bool:
    with transaction.atomic():
        moved = lifecycle.move(
            contact_import,
            new,
            of=of,
            reason=reason,
            values=values,
            by=by,
            ended_at=timezone.now(),
        )
        if moved:
            clear_rows(contact_import)
    return moved


# --------------------------------------------------------------------------------- the safety net


def settle_imports() -> int:
    """Have imports done that nobody works on although somebody should; returns how many were found
    stopped. What had been done of them was taken back with its transaction."""
    settled = 0
    for contact_import in ContactImport.objects.filter(status__in=ContactImport.BUSY):
        if contact_import.progress_at is None:
            _call_job(contact_import)  # nothing happens if it waits for a worker already
        elif not _is_worked_on(contact_import):
            settled += _begin_again(contact_import)
    _settle_uploads()
    return settled


def _is_worked_on(contact_import: ContactImport) -> bool:
    """Whether some process holds its lock. A look that takes nothing: whoever just wants to begin
    must not find it taken."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND classid = %s AND objid = %s AND objsubid = 2 AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database()))",
            [WORKING, contact_import.pk % 2**31],
        )
        return bool(cursor.fetchone()[0])


def _begin_again(contact_import: ContactImport) -> bool:
    status = contact_import.status
    with transaction.atomic():
        # Whoever began, or ended, since we looked has written the one or the other.
        same = ContactImport.objects.filter(
            pk=contact_import.pk, status=status, progress_at=contact_import.progress_at
        )
        if not same.update(progress_at=None):
            return False
        if _count_tries(contact_import) >= TRIES:
            clear_staged(contact_import)
            return fail_import(contact_import, GAVE_UP, values={})
        StatusChange.objects.create(
            subject="contactimport",
            subject_id=contact_import.pk,
            old=status,
            new=status,
            reason=BEGUN_AGAIN,
        )
        _call_job(contact_import)
    log.warning("import %s: stopped while it was %s, begun again", contact_import.pk, status)
    return True


def _count_tries(contact_import: ContactImport) -> int:
    """How often it was begun again since somebody wanted it."""
    changes = StatusChange.objects.filter(subject="contactimport", subject_id=contact_import.pk)
    wanted = changes.exclude(reason=BEGUN_AGAIN).order_by("-id").values_list("id", flat=True)
    return changes.filter(reason=BEGUN_AGAIN, id__gt=wanted.first() or 0).count()


def _settle_uploads() -> None:
    """Files of which we know no more than that somebody began to send them."""
    begun = ContactImport.objects.filter(
        status="uploaded", sha256="", created_at__lt=timezone.now() - _UPLOAD
    )
    for contact_import in begun:
        if fail_import(contact_import, NOT_RECEIVED, values={}):
            drop_file(contact_import)


def forget_files() -> int:
    """Delete the files, and the refused rows, of imports that ended, or that nobody went on with,
    ``IMPORT_KEEP_DAYS`` days ago; returns how many."""
    limit = timezone.now() - timedelta(days=settings.IMPORT_KEEP_DAYS)
    kept = ContactImport.objects.exclude(file="")
    waiting = kept.filter(status__in=["uploaded", "checked"], created_at__lt=limit)
    for contact_import in waiting.exclude(checked_at__gte=limit):
        values = {"days": settings.IMPORT_KEEP_DAYS}
        _end(
            contact_import,
            "cancelled",
            of=["uploaded", "checked"],
            reason=FORGOTTEN,
            values=values,
        )
    ended = Q(ended_at__lt=limit) | Q(ended_at=None, created_at__lt=limit)
    count = 0
    for contact_import in kept.filter(ended, status__in=_OVER) | kept.filter(status="cancelled"):
        clear_rows(contact_import)
        drop_file(contact_import)
        count += 1
    return count
