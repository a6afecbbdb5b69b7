"""In: files dropped into <IMPORT_FOLDER>/<task id>/. Out: imports, and a report of each.

What is done to a file is done by the same functions and jobs as for the browser. Each look takes
each file one step further (``places`` has the steps), and can be repeated: a process that dies
between two of them leaves a place that the next look understands.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import Error, transaction
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.importing.errors import ImportRefused
from campaigns.importing.options import choose_columns
from campaigns.importing.places import (
    DONE,
    REFUSED,
    Claim,
    claim_again,
    claim_file,
    list_claims,
    list_folders,
    list_ripe,
    name_claim,
    open_file,
    put_away,
    put_back,
)
from campaigns.importing.receiving import STOPPED, drop_file, fail_import, receive_file
from campaigns.importing.report import make_report
from campaigns.importing.staging import clear_staged
from campaigns.importing.steps import begin_check, confirm_import
from campaigns.locks import only_one
from campaigns.models import ContactImport, Task

log = logging.getLogger(__name__)

#: how often a file is tried whose process died before anything was known of it
TRIES = 3

CHANGED = N_("The file was changed after it had been taken; it is taken again.")
GONE = N_("The import of this file was deleted.")
UNREADABLE = N_("The file cannot be read: %(problem)s.")
KILLED = N_("Reading the file ended the process three times.")

#: first half of the advisory locks: one process looks into the folder of a task
_LOCK = 0x666F6C64  # "fold"


def watch_folders() -> None:
    """Look into the folder of every task once, and take each file a step further."""
    root = settings.IMPORT_FOLDER
    if root is None:
        return
    if not root.is_dir():
        log.warning("IMPORT_FOLDER is no folder that can be reached.")
        return
    watching = set(
        Task.objects.filter(
            watch_folder=True, status=Task.Status.DRAFT, kind=Task.Kind.CAMPAIGN
        ).values_list("id", flat=True)
    )
    for task_id in watching:
        # there to be found, so that nobody has to guess its name
        with contextlib.suppress(OSError):
            (root / str(task_id)).mkdir(exist_ok=True)
    for task_id, folder in list_folders(root):
        # what was taken goes on, whatever became of the task
        if (task_id in watching and list_ripe(folder)) or list_claims(folder):
            with only_one(_LOCK, task_id) as mine:
                if mine:
                    _look_into(folder, task_id, takes=task_id in watching)


def _look_into(folder: Path, task_id: int, *, takes: bool) -> None:
    # A claim that stays new stops the next ones, so that an import that came after it can only be
    # its own. It is tried a few times; then it goes out of the way.
    stuck = False
    for claim in list_claims(folder):
        with _logged(task_id) as problems:
            if claim.number:
                _go_on(claim, task_id)
            else:
                _rescue(claim, task_id)
        stuck = stuck or bool(problems and not claim.number)
    for file in list_ripe(folder) if takes and not stuck else ():
        with _logged(task_id) as problems:
            if claimed := claim_file(file):
                _receive(claimed, task_id)
        if problems:
            break
    with contextlib.suppress(OSError):
        (folder / "working").rmdir()


@contextlib.contextmanager
def _logged(task_id: int) -> Iterator[list[Exception]]:
    """What one file brings up stops no other; its place says where the next look goes on."""
    problems: list[Exception] = []
    try:
        yield problems
    except Error:
        raise  # of the database: nothing else would go better now
    except Exception as error:
        problems.append(error)
        log.exception("A file in the folder of task %s could not be worked on.", task_id)


def _receive(claim: Claim, task_id: int) -> None:
    """Make an import of what was taken."""
    file = claim.find_file()
    if file is None:
        claim.close()
        return
    try:
        with open_file(file) as handle:
            contact_import = receive_file(
                Task.objects.get(pk=task_id),
                handle,
                file_name=file.name,
                by=None,
                origin="folder",
            )
    except ImportRefused as refusal:
        _end(claim, file, REFUSED, _find_row(claim, task_id), problem=str(refusal))
    except PermissionError as error:
        problem = gettext(UNREADABLE) % {"problem": error.strerror}
        _end(claim, file, REFUSED, None, problem=problem)
    else:
        _go_on(name_claim(claim, contact_import.pk), task_id)


def _rescue(claim: Claim, task_id: int) -> None:
    """Whoever took this is gone. What it knew is in the row, if it came so far."""
    file = claim.find_file()
    if file is None:
        claim.close()
        return
    row = _find_row(claim, task_id)
    if row and row.status == "uploaded" and not row.header:
        fail_import(row, STOPPED, values={})
        drop_file(row)
    if row and row.reason != STOPPED:
        _go_on(name_claim(claim, row.pk), task_id)
    elif claim.tries < TRIES:
        _receive(claim_again(claim), task_id)
    else:
        _end(claim, file, REFUSED, row, problem=gettext(KILLED))


def _find_row(claim: Claim, task_id: int) -> ContactImport | None:
    """The import that was made of what was taken: the one that came after it, because one process
    at a time makes imports of a task's folder, one after the other."""
    made = ContactImport.objects.filter(
        task_id=task_id, origin=ContactImport.Origin.FOLDER, created_at__gte=claim.when
    )
    return made.order_by("id").last()


def _go_on(claim: Claim, task_id: int) -> None:
    """The next step of an import, as far as it is ours to take."""
    file = claim.find_file()
    if file is None:
        claim.close()
        return
    row = ContactImport.objects.filter(pk=claim.number, task_id=task_id).first()
    if row is None:
        _end(claim, file, REFUSED, None, problem=gettext(GONE))
    elif row.status in ("done", "undone"):
        _end(claim, file, DONE, row)
    elif row.status in ("failed", "cancelled"):
        _end(claim, file, REFUSED, row)
    elif row.status in ("uploaded", "checked"):
        if _has_changed(file, row):
            _cancel(row)
            if not put_back(claim, file):
                _end(claim, file, REFUSED, row)
        else:
            _take_step(row)


def _take_step(row: ContactImport) -> None:
    try:
        if row.status == "checked":
            confirm_import(row, by=None)
            return
        choose_columns(
            row,
            mapping=row.mapping,
            kept=row.kept,
            duplicates=row.duplicates,
            duplicate_days=row.duplicate_days,
            keep_row=row.keep_row,
            by=None,
        )
        begin_check(row, by=None)
    except ImportRefused as refusal:
        with transaction.atomic():
            clear_staged(row)
            fail_import(row, refusal.message, values=refusal.values)


def _cancel(row: ContactImport) -> None:
    with transaction.atomic():
        if lifecycle.move(
            row,
            "cancelled",
            of=["uploaded", "checked"],
            reason=CHANGED,
            ended_at=timezone.now(),
        ):
            clear_staged(row)
    drop_file(row)


def _has_changed(file: Path, row: ContactImport) -> bool:
    """Whether somebody who had it open went on writing after it was taken."""
    about = file.stat()
    return about.st_size != row.size or about.st_mtime > row.created_at.timestamp()


def _end(
    claim: Claim, file: Path, outcome: str, row: ContactImport | None, *, problem: str = ""
) -> None:
    put_away(claim, file, outcome, describe(file.name, row, problem))


def describe(file_name: str, row: ContactImport | None, problem: str = "") -> dict[str, Any]:
    """The report: what the command prints, with the file's name and how it ended."""
    told: dict[str, Any] = {"file": file_name, "status": "failed", "problem": problem}
    if row is not None:
        told |= {"status": row.status, "problem": problem or row.reason_text, **make_report(row)}
    return told
