"""In: what somebody wants as a file. Out: an ``Export``, made by a job, cancelled, or deleted once
its period is over.

A job that dies leaves its row: ``settle_exports`` has the file made anew, from the start, a few
times. What is half written is no file of anybody's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import psycopg
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.files import File
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.criteria import CALLS, BadCriteria, Criteria, read_criteria
from campaigns.exporting.cells import open_own_connection
from campaigns.exporting.sound import TooMany, write_recordings
from campaigns.exporting.tables import write_csv
from campaigns.exporting.workbooks import write_xlsx
from campaigns.locks import only_one
from campaigns.models import Export
from campaigns.models.exports import Form, Kind
from campaigns.queue import LAST, enqueue

log = logging.getLogger(__name__)

CSV = "csv"
#: so many files are made at the same time, over all workers
SLOTS = 2
#: as often a file is begun before it is given up
TRIES = 3
#: of one person, so many wait or are made
MAX_OPEN = 20
#: how often the row is told how far the file is
TELL_SECONDS = 1.0
#: how long the rows are counted, for a number to compare with, before it is left
COUNT_SECONDS = 5
PART = "export-part-"
OLD_PART = timedelta(days=1)

_LOCK, _SLOT = 0x6578, 0x6579
#: the session that holds them says nothing while another one's query sorts
SORTING_SECONDS = 4 * 3600.0
_CONTROL = re.compile(r"[^\w.\-]+")

MANY = N_("You have %(n)s exports that are not finished yet. Wait for them, or give some up.")
NO_ZIP = N_("Only recordings come as a ZIP, and they come as nothing else.")
NO_LONGER = N_("What was chosen by cannot be read any more: %(why)s")
GAVE_UP = N_("Whoever made it stopped before its end, again and again.")
NO_ROOM = N_("The file could not be kept. Is the disk full?")
NOT_READ = N_("The database gave up in the middle of it. Try a shorter time, or once more.")
GIVEN_UP = N_("Somebody gave it up.")
ONLY_SO_MANY = N_(
    "There are more than %(most)s recordings in what was chosen: narrow it, for example to a day."
)
CUT_CELL = N_("A cell had more words than one of Excel can hold and is cut. A CSV has all of it.")
CUT_CELLS = N_(
    "%(n)s cells had more words than one of Excel can hold and are cut. A CSV has all of them."
)
OVER = N_("The file was deleted: its period of keeping is over.")
AGAIN = N_("Whoever made it is gone; it is made anew.")


class ExportRefused(Exception):
    """Nothing is exported. The message is an English sentence with places for ``values``."""

    def __init__(self, message: str, **values: Any) -> None:
        super().__init__(message)
        self.message = message
        self.values = values


class Cancelled(Exception):
    """Somebody wants the file no more."""


def ask_export(
    kind: str,
    criteria: Criteria,
    *,
    form: str = CSV,
    words: str = "",
    whole: bool = False,
    zone: str = "",
    by: Any = None,
    **fields: Any,
) -> Export:
    """Have a job make the file. ``kind`` is calls, contacts or recordings (of the calls that are
    chosen). Raises ``ExportRefused``."""
    if (kind == Kind.RECORDINGS) != (form == Form.ZIP):
        raise ExportRefused(NO_ZIP)
    if by is not None and by.pk:
        waiting = Export.objects.filter(created_by=by, status__in=Export.OPEN).count()
        if waiting >= MAX_OPEN:
            raise ExportRefused(MANY, n=waiting)
    stamp = timezone.localtime().strftime("%Y%m%d-%H%M%S")
    with transaction.atomic():
        export = Export.objects.create(
            kind=kind,
            form=form,
            words=words,
            params=criteria.params,
            whole=whole,
            zone=zone or settings.TIME_ZONE,
            created_by=by if getattr(by, "pk", None) else None,
            file_name=_CONTROL.sub("-", fields.pop("file_name", f"{kind}-{stamp}"))[:140]
            + f".{form}",
            **fields,
        )
        _audit(export, by, "Asked for an export of")
        enqueue_export(export.pk)
    return export


def enqueue_export(export_id: int, *, seconds: float = 0) -> None:
    enqueue(
        "campaigns.jobs.make_export",
        once=f"export-{export_id}",
        seconds=seconds,
        priority=LAST,
        export_id=export_id,
    )


def cancel_export(export: Export, *, by: Any = None) -> bool:
    """Give it up; whoever makes it stops within seconds. False when it is over."""
    if lifecycle.move(
        export, "cancelled", of=["waiting"], reason=GIVEN_UP, by=by, ended_at=timezone.now()
    ):
        return True
    running = Export.objects.filter(pk=export.pk, status="running")
    return bool(running.update(is_cancelled=True))


def note_download(export: Export, *, by: Any) -> None:
    """Somebody takes the file."""
    Export.objects.filter(pk=export.pk).update(downloads=export.downloads + 1)
    _audit(export, by, "Fetched an export of")


# ------------------------------------------------------------------------------------------ the job


def make_export(export_id: int) -> float | None:
    """Make the file. Returns the seconds after which to try again when too many are being made."""
    with contextlib.ExitStack() as held:
        if not held.enter_context(only_one(_LOCK, export_id, idle=SORTING_SECONDS)):
            return None
        if not any(held.enter_context(only_one(_SLOT, slot)) for slot in range(SLOTS)):
            return 3.0
        export = Export.objects.filter(pk=export_id, status__in=Export.OPEN).first()
        if export is not None:
            _make_or_fail(export)
    return None


def _make_or_fail(export: Export) -> None:
    now = timezone.now()
    if export.is_cancelled:
        _end(export, "cancelled", GIVEN_UP)
        return
    if export.tries >= TRIES:
        _end(export, "failed", GAVE_UP)
        return
    again = export.status == "running"
    if not lifecycle.move(
        export,
        "running",
        of=[export.status],
        reason=AGAIN if again else "",
        tries=export.tries + 1,
        rows=0,
        missing=0,
        started_at=now,
        progress_at=now,
    ):
        return
    try:
        _make(export)
    except Cancelled:
        _end(export, "cancelled", GIVEN_UP)
    except BadCriteria as bad:
        _end(export, "failed", NO_LONGER, why=str(bad))
    except TooMany as many:
        _end(export, "failed", ONLY_SO_MANY, most=many.most)
    except OSError as error:
        log.error("export %s: %s", export.pk, type(error).__name__)
        _end(export, "failed", NO_ROOM)
    except (DatabaseError, psycopg.Error) as error:
        # The rows come over a connection of their own, whose errors nobody makes Django's.
        # An outage ends the job's own statements as well: then the row is found by settle_exports.
        log.error("export %s: %s", export.pk, type(error).__name__)
        _end(export, "failed", NOT_READ)


def _make(export: Export) -> None:
    chosen_of = CALLS if export.kind == Kind.RECORDINGS else export.kind
    criteria = read_criteria(chosen_of, export.params)
    told = _make_teller(export)
    missing = cut = 0
    with _open_part() as (part, path):
        if export.kind == Kind.RECORDINGS:
            rows, missing = write_recordings(export, criteria, part, told=told)
        else:
            _count_rows(export, criteria)
            options: dict[str, Any] = {
                "whole": export.whole,
                "words": export.words,
                "zone": export.zone,
                "told": told,
            }
            with _open_cursor() as cursor:
                if export.form == Form.CSV:
                    rows = write_csv(cursor, criteria, part, **options)
                else:
                    rows, cut = write_xlsx(cursor, criteria, part, **options)
        part.flush()
        size = part.tell() if export.form == Form.CSV else os.path.getsize(path)
        export.file.save("export", _Part(part, path), save=False)
    now = timezone.now()
    days = timedelta(days=settings.EXPORT_KEEP_DAYS)
    moved = lifecycle.move(
        export,
        "done",
        of=["running"],
        reason=(CUT_CELL if cut == 1 else CUT_CELLS) if cut else "",
        values={"n": cut} if cut else {},
        rows=rows,
        missing=missing,
        bytes=size,
        file=export.file.name,
        ended_at=now,
        expires_at=now + days,
    )
    if not moved:
        export.file.storage.delete(export.file.name)


def _count_rows(export: Export, criteria: Criteria) -> None:
    """For a number to compare with; left out when it takes long."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {COUNT_SECONDS * 1000:d}")
            number = criteria.select().order_by().count()
    except OperationalError:
        return
    Export.objects.filter(pk=export.pk).update(rows_end=number)


@contextlib.contextmanager
def _open_cursor() -> Iterator[Any]:
    """Of one snapshot, beside Django's connection."""
    own = open_own_connection()
    try:
        own.autocommit = True
        with own.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield cursor
            cursor.execute("COMMIT")
    finally:
        own.close()


def _make_teller(export: Export) -> Callable[[int], None]:
    """What the writer tells how far it is. Raises ``Cancelled``."""
    last = time.monotonic()

    def tell(rows: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < TELL_SECONDS:
            return
        last = now
        standing = Export.objects.filter(pk=export.pk, status="running", is_cancelled=False)
        if not standing.update(rows=rows, progress_at=timezone.now()):
            raise Cancelled

    return tell


def _end(export: Export, status: str, reason: str, **values: Any) -> None:
    lifecycle.move(
        export,
        status,
        of=["running"] if export.status == "running" else ["waiting"],
        reason=reason,
        values=values,
        ended_at=timezone.now(),
    )


# ---------------------------------------------------------------------------------------- the files


class _Part(File):
    """A finished file where it can be moved from, instead of being copied."""

    def __init__(self, file: IO[bytes], path: str) -> None:
        super().__init__(file, name=path)
        self._path = path

    def temporary_file_path(self) -> str:
        return self._path


@contextlib.contextmanager
def _open_part() -> Iterator[tuple[IO[bytes], str]]:
    """A file on the disk of the finished ones, gone afterwards unless it was moved."""
    folder = _find_folder()
    folder.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(prefix=PART, dir=folder)
    try:
        with os.fdopen(handle, "w+b") as part:
            yield part, path
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _find_folder() -> Path:
    return Path(settings.MEDIA_ROOT) / "exports"


def settle_exports() -> None:
    """Have files made whose job is gone."""
    for export_id in Export.objects.filter(status__in=Export.OPEN).values_list("pk", flat=True):
        with only_one(_LOCK, export_id, idle=SORTING_SECONDS) as free:
            if free:
                enqueue_export(export_id)


def expire_exports() -> int:
    """Delete the files whose period is over, and the parts of those that were never finished."""
    number = 0
    for export in Export.objects.filter(status="done", expires_at__lt=timezone.now()):
        if lifecycle.move(export, "expired", of=["done"], reason=OVER):
            with contextlib.suppress(OSError):
                export.file.storage.delete(export.file.name)
            Export.objects.filter(pk=export.pk).update(file="")
            number += 1
    old = (timezone.now() - OLD_PART).timestamp()
    for path in _find_folder().glob(f"{PART}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < old:
                path.unlink()
    return number


def _audit(export: Export, by: Any, what: str) -> None:
    """Who wanted, or took, which rows, in the admin's log. Nobody of the daily ones."""
    if not getattr(by, "pk", None):
        return
    numbers = "with whole phone numbers" if export.whole else "with masked phone numbers"
    LogEntry.objects.create(
        user_id=by.pk,
        content_type=ContentType.objects.get_for_model(Export),
        object_id=str(export.pk),
        object_repr=export.file_name[:200],
        action_flag=CHANGE,
        change_message=f"{what} {export.kind} {numbers}.",
    )


def describe_criteria(export: Export) -> list[tuple[str, str]]:
    """What was chosen, in the reader's language."""
    kind = CALLS if export.kind == Kind.RECORDINGS else export.kind
    try:
        return read_criteria(kind, export.params).describe()
    except BadCriteria as bad:
        return [("", str(bad))]
