"""In: a task in draft and a file. Out: its contacts, and a row that tells what came of the file.

One transaction: a worker that dies, or a row that cannot be written, leaves nothing half there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import IO, Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.importing.checking import check_rows
from campaigns.importing.errors import ImportRefused
from campaigns.importing.files import KeptFile, keep_file
from campaigns.importing.mapping import Layout, find_plan, make_layout
from campaigns.importing.reading import read_table
from campaigns.importing.report import RejectedRows
from campaigns.importing.staging import Staging
from campaigns.models import ContactImport, RejectedRow, Task

log = logging.getLogger(__name__)

NOT_A_DRAFT = N_(
    "Contacts can be added to a task only while it is a draft; the platform takes none later. "
    "Clone the task and import into the clone."
)
NO_ROWS = N_("The file has a header in line %(line)s and no row below it.")
STOPPED = N_("The import stopped before its end, and nothing of the file was loaded. Try it again.")

#: first half of the advisory locks that tell whether an import is still alive
_LOCK = 0x696D70  # "imp"
_FIRST_BREATH = timedelta(minutes=1)


def import_file(
    task: Task,
    file: IO[bytes] | bytes,
    *,
    file_name: str,
    mapping: Mapping[str, str] | None = None,
    by: Any = None,
) -> ContactImport:
    """Load the contacts of a CSV file into a draft.

    ``mapping`` is {column of the robot: header in the file}; columns not in it are found by name.
    Rows that cannot be loaded are counted and listed in the returned import. Raises
    ``ImportRefused`` when nothing of the file could be used.
    """
    _refuse_late(task.status)
    settle_imports(task)
    contact_import = ContactImport.objects.create(
        task=task,
        file_name=_clean_name(file_name),
        sha256="",
        status="loading",
        created_by=by if getattr(by, "pk", None) else None,
    )
    try:
        with keep_file(file) as kept:
            contact_import.sha256 = kept.sha256
            _load(contact_import, kept, mapping=mapping, by=by)
    except ImportRefused as refusal:
        _fail(contact_import, refusal.message, values=refusal.values, by=by)
        raise
    except Exception:
        _fail(contact_import, STOPPED, values={}, by=by)
        raise
    return contact_import


def settle_imports(task: Task | None = None) -> int:
    """Mark imports as failed whose process died; returns how many. They left nothing else."""
    running = ContactImport.objects.filter(
        status="loading", created_at__lt=timezone.now() - _FIRST_BREATH
    )
    if task is not None:
        running = running.filter(task=task)
    settled = 0
    for contact_import in running:
        with transaction.atomic():
            if _lock(contact_import, wait=False):
                settled += _fail(contact_import, STOPPED, values={}, by=None)
    return settled


def _load(
    contact_import: ContactImport,
    kept: KeptFile,
    *,
    mapping: Mapping[str, str] | None,
    by: Any,
) -> None:
    task = contact_import.task
    columns = task.robot.columns
    plan, header = find_plan(kept.handle, kept.found, columns=columns, known=mapping)
    layout = make_layout(plan, header, columns=columns, mapping=mapping)
    rejected = RejectedRows()
    with transaction.atomic():
        _lock(contact_import, wait=True)
        staging = Staging(contact_import)
        records = read_table(kept.handle, plan)
        staging.copy_rows(check_rows(records, layout, rejections=rejected))
        # Held from here to the end only: nobody launches the task between the look and the rows.
        locked = Task.objects.select_for_update(no_key=True, of=("self",)).get(pk=task.pk)
        _refuse_late(locked.status)
        counts = staging.insert_contacts(locked)
        if not counts.ready and not counts.excluded and not rejected.count:
            raise ImportRefused(NO_ROWS, line=plan.header_line or 0)
        lifecycle.move(
            contact_import,
            "done",
            of=["loading"],
            by=by,
            sha256=kept.sha256,
            mapping=_describe(layout),
            loaded=counts.ready,
            excluded=counts.excluded,
            rejected=rejected.count,
        )
        RejectedRow.objects.bulk_create(
            RejectedRow(contact_import=contact_import, **row) for row in rejected.kept
        )
    log.info(
        "import %s: %s loaded, %s excluded, %s rejected",
        contact_import.pk,
        counts.ready,
        counts.excluded,
        rejected.count,
    )


def _describe(layout: Layout) -> dict[str, str]:
    return {column: header[:200] for column, header in layout.mapping.items()}


def _fail(contact_import: ContactImport, reason: str, *, values: dict[str, Any], by: Any) -> bool:
    return lifecycle.move(
        contact_import,
        "failed",
        of=["loading"],
        reason=reason,
        values=values,
        by=by,
        sha256=contact_import.sha256,
    )


def _refuse_late(status: str) -> None:
    if status != "draft":
        raise ImportRefused(NOT_A_DRAFT)


def _lock(contact_import: ContactImport, *, wait: bool) -> bool:
    """Held until the transaction ends, which the server notices however the process dies."""
    call = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {call}(%s, %s)", [_LOCK, contact_import.pk % 2**31])
        return wait or bool(cursor.fetchone()[0])


def _clean_name(file_name: str) -> str:
    name = PurePath(file_name.replace("\\", "/").replace("\0", "")).name or "contacts.csv"
    return name.encode(errors="replace").decode()[-255:]
