"""In: an import whose columns were chosen. Out: its rows staged and judged; then its contacts.

A check is one transaction, and a load is one: whatever dies in between leaves nothing half there,
and ``steps.settle_imports`` has it done again from the frozen file. Who works on an import holds
its lock, which ends with the process.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Max, Min
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.importing.checking import check_rows, read_rows
from campaigns.importing.errors import ImportRefused
from campaigns.importing.mapping import Layout, make_layout
from campaigns.importing.notes import keep_notes
from campaigns.importing.progress import Progress, Stopped
from campaigns.importing.reading import measure_table
from campaigns.importing.receiving import STOPPED, fail_import, make_plan, open_file, refuse_late
from campaigns.importing.staging import clear_rows, clear_staged, copy_rows, spool_rejections
from campaigns.importing.verdicts import Verdicts, judge_rows
from campaigns.locks import only_one
from campaigns.models import ContactImport, StagedRow, Task

log = logging.getLogger(__name__)

NO_ROWS = N_("The file has a header in line %(line)s and no row below it.")
CHANGED = N_(
    "%(checked)s rows could be loaded when the file was checked, and %(loaded)s a while later, "
    "when it was loaded: other tasks and the do-not-call lists had gone on."
)
OTHERWISE = N_("The file was checked again and the result is another one: look at it and confirm.")

#: kinds of advisory locks: who works on an import; who loads into an account
WORKING = 0x696D70  # "imp"
LOADING = 0x696D71

_LOOKS, _LOOK_SECONDS = 10, 0.1
#: of a COPY the driver tells in its own words
_AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)

#: contacts that make a difference to the table's statistics
ANALYZE_FROM = 5_000
#: rows that become contacts in one statement
SLICE = 50_000

# Ids follow the lines of the file.
_INSERT = """
    INSERT INTO campaigns_contact (
        task_id, account_id, family_id, round, source_id, line_number, phone, phone_raw, "values",
        status, reason, reason_values, platform_contact_id, calls_made, answered, result, intention,
        created_at
    )
    SELECT %(task)s, %(account)s, %(family)s, %(round)s, %(import)s, staged.line, staged.phone,
           staged.phone_raw, staged."values",
           CASE WHEN verdict.line IS NULL THEN %(ready)s ELSE %(excluded)s END,
           coalesce(verdict.reason, ''), coalesce(verdict."values", '{{}}'::jsonb),
           '', 0, false, '', '', now()
    FROM campaigns_stagedrow staged LEFT JOIN {verdict} verdict USING (line)
    WHERE staged.contact_import_id = %(import)s AND staged.line BETWEEN %(first)s AND %(last)s
    ORDER BY staged.line
"""


def check_import(import_id: int, *, wait: bool = False) -> None:
    """Read the frozen file, stage its rows and count what would come of them.

    Nothing happens when somebody else works on it (unless ``wait``), or when nobody wants it
    checked any more. Raises what ended it; the import tells the same.
    """
    _work(import_id, "checking", wait=wait)


def load_import(import_id: int, *, wait: bool = False) -> None:
    """Make contacts of what was checked; see ``check_import`` for the rest."""
    _work(import_id, "loading", wait=wait)
    loaded = ContactImport.objects.filter(pk=import_id, status="done", loaded__gte=ANALYZE_FROM)
    if loaded.exists():
        with connection.cursor() as cursor:
            # Whoever launches now plans with what the table is, not with what it was.
            cursor.execute("ANALYZE campaigns_contact")


def _work(import_id: int, status: str, *, wait: bool) -> None:
    # Whoever did the step before may just be putting the lock down.
    for _ in range(1 if wait else _LOOKS):
        with only_one(WORKING, import_id, wait=wait) as mine:
            while mine and status:
                # A load that finds its rows lost has them made again, and goes on from there.
                status = _do(import_id, status)
        if mine:
            return
        time.sleep(_LOOK_SECONDS)


def _do(import_id: int, status: str) -> str:
    """One step, if the import is in ``status``; returns the state to go on with, or nothing."""
    rows = ContactImport.objects.select_related("task__account", "task__robot")
    contact_import = rows.filter(pk=import_id, status=status).first()
    if contact_import is None:
        return ""
    act = _check if status == "checking" else _load
    try:
        with Progress(contact_import) as progress:
            act(contact_import, progress)
    except Stopped:
        log.info("import %s: given up while it was %s", import_id, status)
        return ""
    except ImportRefused as refusal:
        _fail(contact_import, refusal.message, refusal.values)
        raise
    except _AWAY:
        # The database went away, or is full: ``settle_imports`` has it done again.
        raise
    except BaseException:
        with contextlib.suppress(*_AWAY):
            _fail(contact_import, STOPPED, {})
        raise
    return contact_import.status if contact_import.status in ContactImport.BUSY else ""


def _fail(contact_import: ContactImport, reason: str, values: dict[str, Any]) -> None:
    with transaction.atomic():
        clear_staged(contact_import)
        fail_import(contact_import, reason, values=values)


def _check(contact_import: ContactImport, progress: Progress) -> None:
    task = contact_import.task
    layout = lay_out(contact_import)
    plan = make_plan(contact_import)
    with open_file(contact_import) as handle:
        progress.end = measure_table(handle, plan)
        # a text by its bytes, a workbook by its rows
        in_bytes = contact_import.kind == ContactImport.Kind.TEXT

        def tell(line: int) -> None:
            progress.tell(handle.tell() if in_bytes else line)

        with transaction.atomic(), spool_rejections(contact_import, tell=tell) as rejections:
            clear_rows(contact_import)
            rows = check_rows(
                read_rows(handle, layout, region=task.account.region),
                layout,
                rejections=rejections,
                region=task.account.region,
            )
            staged = copy_rows(contact_import, rows, tell=tell)
            rejections.copy()
            if not staged and not rejections.count:
                raise ImportRefused(NO_ROWS, line=layout.plan.header_line or 0)
            with judge_rows(contact_import, task) as verdicts:
                counts = add_up(
                    staged, verdicts, rejected=rejections.count, invalid=dict(rejections.codes)
                )
            _conclude_check(contact_import, counts)
    log.info("import %s checked: %s", contact_import.pk, counts)


def _conclude_check(contact_import: ContactImport, counts: dict[str, Any]) -> None:
    """It waits for somebody to confirm it, unless that was done before its rows were lost."""
    before = contact_import.counts
    confirmed = contact_import.confirmed_at is not None
    same = all(before.get(name) == counts[name] for name in ("rows", "rejected", "invalid"))
    if not lifecycle.move(
        contact_import,
        "checked",
        of=["checking"],
        reason=OTHERWISE if confirmed and not same else "",
        counts=counts | keep_notes(contact_import),
        checked_at=timezone.now(),
        confirmed_at=contact_import.confirmed_at if confirmed and same else None,
    ):
        raise Stopped
    if confirmed and same:
        lifecycle.move(contact_import, "loading", of=["checked"], progress_at=None)


def _load(contact_import: ContactImport, progress: Progress) -> None:
    with transaction.atomic():
        # One at a time in an account: each sees the numbers of those before it.
        with connection.cursor() as cursor:
            account = contact_import.task.account_id
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOADING, account % 2**31])
        # Held to the end: nobody launches the task between the look and the rows.
        tasks = Task.objects.select_for_update(no_key=True, of=("self",))
        task = tasks.select_related("account").get(pk=contact_import.task_id)
        refuse_late(task)
        staged = StagedRow.objects.filter(contact_import_id=contact_import.pk)
        found = staged.count()
        checked = contact_import.counts
        if found != checked["rows"] - checked["rejected"]:
            # The table does not survive a crash of the database. The file does.
            lifecycle.move(contact_import, "checking", of=["loading"], progress_at=None)
            return
        progress.end = found
        with judge_rows(contact_import, task) as verdicts:
            _insert(contact_import, task, verdicts, progress)
            counts = add_up(
                found, verdicts, rejected=checked["rejected"], invalid=checked["invalid"]
            )
        clear_staged(contact_import)
        differs = counts["ready"] != checked["ready"]
        if not lifecycle.move(
            contact_import,
            "done",
            of=["loading"],
            reason=CHANGED if differs else "",
            values={"checked": checked["ready"], "loaded": counts["ready"]} if differs else None,
            by=contact_import.confirmed_by,
            counts=counts | keep_notes(contact_import),
            loaded=counts["ready"],
            excluded=verdicts.excluded,
            rejected=counts["rejected"],
            progress=found,
            progress_end=found,
            ended_at=timezone.now(),
        ):
            raise Stopped
    log.info("import %s loaded: %s", contact_import.pk, counts)


def _insert(
    contact_import: ContactImport, task: Task, verdicts: Verdicts, progress: Progress
) -> None:
    staged = StagedRow.objects.filter(contact_import_id=contact_import.pk)
    ends = staged.aggregate(first=Min("line"), last=Max("line"))
    if ends["first"] is None:
        return
    ready, excluded = lifecycle.NEW_CONTACTS
    values: dict[str, Any] = {
        "task": task.pk,
        "account": task.account_id,
        "family": task.family_id or task.pk,
        "round": task.round,
        "import": contact_import.pk,
        "ready": ready,
        "excluded": excluded,
    }
    done = 0
    with connection.cursor() as cursor:
        for first in range(ends["first"], ends["last"] + 1, SLICE):
            cursor.execute(
                _INSERT.format(verdict=verdicts.table),
                values | {"first": first, "last": first + SLICE - 1},
            )
            done += cursor.rowcount
            progress.tell(done)


def lay_out(
    contact_import: ContactImport,
    *,
    mapping: Mapping[str, str] | None = None,
    kept: Sequence[str] | None = None,
) -> Layout:
    """Where each column stands, as was chosen or is about to be. Raises ``ImportRefused``."""
    return make_layout(
        make_plan(contact_import),
        [str(cell) for cell in contact_import.header],
        columns=[str(column) for column in contact_import.task.robot.columns],
        mapping=contact_import.mapping if mapping is None else mapping,
        kept=contact_import.kept if kept is None else kept,
    )


def add_up(
    staged: int, verdicts: Verdicts, *, rejected: int, invalid: dict[str, int]
) -> dict[str, Any]:
    """What stands on the import as ``counts``: ``rows`` is the sum of the others but ``invalid``,
    which tells the rejected ones by the code of their problem."""
    return {
        "rows": staged + rejected,
        "ready": staged - verdicts.excluded,
        **verdicts.counts,
        "rejected": rejected,
        "invalid": invalid,
    }
