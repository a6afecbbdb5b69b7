"""In: a file that somebody gave for a draft. Out: our frozen copy of it, and how it may be read.

The row is there before the file, so a process that dies while it writes leaves no file that nobody
knows of. Memory does not grow with the file.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePath
from typing import IO, Any

from django.conf import settings
from django.core.files.base import File
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop as N_
from psycopg.errors import LockNotAvailable

from campaigns import lifecycle
from campaigns.importing.errors import ImportRefused
from campaigns.importing.files import inspect_file
from campaigns.importing.mapping import find_plan, read_header, suggest_mapping
from campaigns.importing.notes import find_notes
from campaigns.importing.reading import Plan
from campaigns.models import ContactImport, Task
from campaigns.models.imports import name_import_file

NOT_A_DRAFT = N_(
    "Contacts can be added to a task only while it is a draft; the platform takes none later. "
    "Clone the task and import into the clone."
)
TOO_LARGE = N_(
    "The file is larger than the %(limit)s MB that an import may have: divide it into several "
    "files."
)
NO_SPACE = N_("The file could not be kept on the server: %(problem)s.")
FILE_GONE = N_("The file is no longer kept on the server: upload it again.")
TASK_TAKEN = N_(
    "Somebody changes this task right now, or an import is being loaded into it: wait a moment, "
    "then try again."
)
STOPPED = N_("The import stopped before its end, and nothing of the file was loaded. Try it again.")

CHUNK = 1 << 18
#: how long a click waits for another one
PATIENCE = "3s"


class Frozen(File):  # type: ignore[type-arg]
    """The upload as the storage takes it: counted and hashed on its way, once."""

    def __init__(self, source: Any) -> None:
        super().__init__(source, name="contacts")
        self.sha256 = hashlib.sha256()
        self.length = 0

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        source: Any = self.file
        if callable(getattr(source, "seekable", None)) and source.seekable():
            source.seek(0)
        while chunk := source.read(CHUNK):
            self.length += len(chunk)
            if self.length > settings.IMPORT_MAX_BYTES:
                raise ImportRefused(TOO_LARGE, limit=settings.IMPORT_MAX_BYTES // 1_000_000)
            self.sha256.update(chunk)
            yield chunk


def receive_file(
    task: Task,
    file: IO[bytes] | bytes,
    *,
    file_name: str,
    by: Any = None,
    origin: str = "browser",
    known: Mapping[str, str] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> ContactImport:
    """Keep the file, find out how it is read, and suggest what its columns are.

    ``known`` is {column of the robot: header in the file}, where somebody said so; the others are
    suggested by name and by what was mapped the last time for this robot. ``reading`` is what is
    not to be found out: any of encoding, delimiter, sheet and header_line. Raises ``ImportRefused``
    when it is no table; the import has failed then and the file is not kept.
    """
    refuse_late(task)
    contact_import = ContactImport(
        task=task,
        file_name=clean_name(file_name),
        origin=origin,
        created_by=by if getattr(by, "pk", None) else None,
    )
    contact_import.file.name = name_import_file(contact_import, "")
    contact_import.save()
    try:
        _store(contact_import, file)
        _look_into(contact_import, known or {}, reading or {})
    except ImportRefused as refusal:
        fail_import(contact_import, refusal.message, values=refusal.values, by=by)
        drop_file(contact_import)
        raise
    except BaseException:
        fail_import(contact_import, STOPPED, values={}, by=by)
        drop_file(contact_import)
        raise
    return contact_import


def refuse_late(task: Task) -> None:
    """Raises ``ImportRefused`` unless the task takes contacts, as far as ``task`` knows."""
    if task.status != Task.Status.DRAFT:
        raise ImportRefused(NOT_A_DRAFT)


def take_task(contact_import: ContactImport) -> Task:
    """The task's row, locked to the end of the transaction. Raises ``ImportRefused`` rather than to
    wait for long: whoever loads a million rows into it holds it for a minute."""
    tasks = Task.objects.select_for_update(no_key=True, of=("self",))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
            task = tasks.get(pk=contact_import.task_id)
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
            return task
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise ImportRefused(TASK_TAKEN) from None
        raise


def recall_mapping(task: Task) -> dict[str, str]:
    """What was mapped for this robot the last time something with a header was loaded for it.
    Letters of a file without one mean nothing in the next."""
    done = ContactImport.objects.filter(
        task__robot=task.robot_id, status="done", header_line__isnull=False
    )
    mapping = done.order_by("-id").values_list("mapping", flat=True).first()
    return {str(column): str(header) for column, header in (mapping or {}).items()}


def find_same_file(contact_import: ContactImport) -> QuerySet[ContactImport]:
    """Other imports of the same bytes that are, or are being, loaded in the account."""
    same = ContactImport.objects.filter(
        sha256=contact_import.sha256,
        status__in=["loading", "done"],
        task__account=contact_import.task.account_id,
    )
    return same.exclude(pk=contact_import.pk).exclude(sha256="").order_by("-id")


def make_plan(contact_import: ContactImport) -> Plan:
    """How the file is read."""
    return Plan(
        kind=contact_import.kind,
        encoding=contact_import.encoding,
        delimiter=contact_import.delimiter,
        sheet=contact_import.sheet,
        header_line=contact_import.header_line,
    )


@contextmanager
def open_file(contact_import: ContactImport) -> Iterator[IO[bytes]]:
    """Our copy. Raises ``ImportRefused`` when it is no longer kept."""
    name = contact_import.file.name
    if not name:
        raise ImportRefused(FILE_GONE)
    try:
        opened = contact_import.file.storage.open(name, "rb")
    except FileNotFoundError:
        raise ImportRefused(FILE_GONE) from None
    with opened:
        yield opened.file or opened


def drop_file(contact_import: ContactImport) -> None:
    """Our copy is no longer kept."""
    if name := contact_import.file.name:
        contact_import.file.storage.delete(name)
        ContactImport.objects.filter(pk=contact_import.pk).update(file="")
        contact_import.file.name = ""


def fail_import(
    contact_import: ContactImport, reason: str, *, values: dict[str, Any], by: Any = None
) -> bool:
    """The import is over, with a sentence; its file is kept and can be read in another way."""
    return lifecycle.move(
        contact_import,
        "failed",
        of=["uploaded", "checking", "checked", "loading"],
        reason=reason,
        values=values,
        by=by,
        confirmed_at=None,
        ended_at=timezone.now(),
    )


def clean_name(file_name: str) -> str:
    name = PurePath(file_name.replace("\\", "/").replace("\0", "")).name or "contacts.csv"
    return name.encode(errors="replace").decode()[-255:]


def _store(contact_import: ContactImport, file: IO[bytes] | bytes) -> None:
    source = io.BytesIO(file) if isinstance(file, bytes | bytearray | memoryview) else file
    frozen = Frozen(source)
    field = contact_import.file
    try:
        field.name = field.storage.save(field.name, frozen)
    except OSError as error:
        raise ImportRefused(NO_SPACE, problem=error.strerror or "") from None
    contact_import.sha256 = frozen.sha256.hexdigest()
    contact_import.size = frozen.length
    contact_import.save(update_fields=["file", "sha256", "size"])


def _look_into(
    contact_import: ContactImport, known: Mapping[str, str], reading: Mapping[str, Any]
) -> None:
    columns = [str(column) for column in contact_import.task.robot.columns]
    said = dict(known)
    known = {**recall_mapping(contact_import.task), **said}
    region = contact_import.task.account.region
    with open_file(contact_import) as handle:
        found = inspect_file(handle, encoding=reading.get("encoding", ""))
        plan, header = find_plan(
            handle,
            found,
            columns=columns,
            known=known,
            region=region,
            delimiter=reading.get("delimiter", ""),
            sheet=reading.get("sheet", ""),
        )
        if "header_line" in reading:
            plan = replace(plan, header_line=reading["header_line"])
            header = read_header(handle, plan, region=region)
        contact_import.counts = find_notes(handle, kind=plan.kind, sheet=plan.sheet)
    set_reading(contact_import, plan, header)
    named = plan.header_line is not None
    contact_import.mapping = suggest_mapping(
        header, columns=columns, known=known if named else said, named=named
    )
    contact_import.save()


def set_reading(contact_import: ContactImport, plan: Plan, header: list[str]) -> None:
    """Write down on the row, unsaved, how the file is read."""
    contact_import.kind = plan.kind
    contact_import.encoding = plan.encoding
    contact_import.delimiter = plan.delimiter
    contact_import.sheet = plan.sheet
    contact_import.header_line = plan.header_line
    contact_import.header = list(header)
