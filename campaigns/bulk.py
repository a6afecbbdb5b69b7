"""In: criteria, and what is to be done with every row they choose. Out: a ``BulkJob``, row by row.

The rows are written down first, as they are chosen at that moment: what is done is told of each of
them, and what comes later is none of them. Each portion is a transaction with its progress, so a
worker that dies loses nothing and does nothing twice. What can be taken back is taken back exactly:
what the job did, and what is still so.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import importing, lifecycle, recordings
from campaigns.barring import bar_many, is_normal, lift_list
from campaigns.criteria import CALLS, CONTACTS, BadCriteria, Criteria, read_criteria
from campaigns.locks import only_one
from campaigns.models import (
    Account,
    BarListImport,
    BulkJob,
    BulkRow,
    Call,
    Contact,
    DoNotCall,
    Recording,
    Task,
)
from campaigns.queue import LAST, enqueue, enqueue_all

log = logging.getLogger(__name__)

#: rows of one transaction
PORTION = 1_000
#: a job gives its place to others after this long
JOB_SECONDS = 15.0
#: begun so often without getting any further, it is given up
TRIES = 3
#: of which rows each can be done, and which can be taken back
KINDS = {"bar": (CALLS, CONTACTS), "fetch": (CALLS,), "exclude": (CONTACTS,)}
UNDOABLE = ("bar", "exclude")

_LOCK = 0x626A
_GATHER = """
    INSERT INTO campaigns_bulkrow (job_id, row_id, outcome)
    SELECT %s, chosen.id, 0 FROM ({chosen}) AS chosen (id)
    ON CONFLICT DO NOTHING
"""
#: outcomes of a row
WAITING, DONE, PASSED, UNDONE = BulkRow.Outcome.values

LEFT_OUT = N_("Left out by hand, with others.")
NOT_READY = N_("It is not ready to be called any more.")
NO_NUMBER = N_("It has no number that could be put on the list.")
LISTED = N_("The number was on the list already.")
NO_SOUND = N_("It has no recording that could be fetched again.")
LAUNCHED = N_("Its task has been launched since.")
CHANGED = N_("Somebody has changed it since.")
TAKEN = N_("Its number has been taken up by another contact since, who would be called as well.")
FORGOTTEN = N_("Which rows they were has been forgotten: nothing was taken back.")
STOPPED = N_("Somebody stopped it. What was done until then stays.")
NO_LONGER = N_("What was chosen by cannot be read any more: %(why)s")
GAVE_UP = N_("Whoever worked on it stopped at the same row, again and again.")
NOT_DONE = N_("The database gave up in the middle of it.")
TAKEN_BACK = N_("Taken back, with the others.")


def ask_job(
    action: str,
    criteria: Criteria,
    *,
    options: dict[str, Any] | None = None,
    by: Any = None,
) -> BulkJob:
    """Have a job do it with every row that is chosen. Raises ``ValueError`` for rows it is not for.

    Options of the do-not-call list: ``reason``, ``days`` (None: for good), ``everywhere`` (for all
    accounts, else for the one of the row).
    """
    if criteria.kind not in KINDS.get(action, ()):
        raise ValueError(f"{action} is not done with {criteria.kind}")
    with transaction.atomic():
        job = BulkJob.objects.create(
            action=action,
            kind=criteria.kind,
            params=criteria.params,
            options=options or {},
            created_by=by if getattr(by, "pk", None) else None,
        )
        enqueue_job(job.pk)
    return job


def enqueue_job(job_id: int) -> None:
    enqueue("campaigns.jobs.work_on_bulk", once=f"bulk-{job_id}", priority=LAST, job_id=job_id)


def cancel_job(job: BulkJob, *, by: Any = None) -> bool:
    """Stop it; what was done stays, and can be taken back. False when it is over."""
    now = timezone.now()
    if lifecycle.move(job, "cancelled", of=["waiting"], reason=STOPPED, by=by, ended_at=now):
        return True
    busy = BulkJob.objects.filter(pk=job.pk, status__in=["gathering", "running"])
    return bool(busy.update(is_cancelled=True))


def undo_job(job: BulkJob, *, by: Any = None) -> bool:
    """Have a job take back what this one did; False when it cannot be, or was, or when it is not
    known any more which rows they were."""
    if not can_undo(job):
        return False
    with transaction.atomic():
        # Whoever forgets the rows skips jobs that are busy, and has its row meanwhile.
        BulkJob.objects.select_for_update().get(pk=job.pk)
        if not has_rows(job):
            return False
        moved = lifecycle.move(
            job, "undoing", of=["done", "failed", "cancelled"], by=by, reached=0, tries=0, undone=0
        )
        if moved:
            enqueue_job(job.pk)
    return moved


def can_undo(job: BulkJob) -> bool:
    """Whether there is something to take back."""
    over = job.status in ("done", "failed", "cancelled")
    return over and job.action in UNDOABLE and job.done > job.undone


def settle_jobs() -> None:
    """Have jobs gone on with whose worker died."""
    for job_id in BulkJob.objects.filter(status__in=BulkJob.BUSY).values_list("pk", flat=True):
        with only_one(_LOCK, job_id) as free:
            if free:
                enqueue_job(job_id)


def forget_rows() -> int:
    """Delete the rows of jobs that are long over; they cannot be taken back any more."""
    old = timezone.now() - timedelta(days=settings.BULK_KEEP_DAYS)
    over = BulkJob.objects.filter(ended_at__lt=old).exclude(status__in=BulkJob.BUSY)
    with transaction.atomic(), connection.cursor() as cursor:
        # Held to the end: nobody begins to take one back meanwhile.
        held = over.order_by("pk").select_for_update(of=("self",), skip_locked=True)
        cursor.execute(
            "DELETE FROM campaigns_bulkrow WHERE job_id = ANY(%s)",
            [list(held.values_list("pk", flat=True))],
        )
        return int(cursor.rowcount)


def is_forgotten(job: BulkJob) -> bool:
    """Whether it could be taken back if it were still known which rows it was."""
    return can_undo(job) and not has_rows(job)


def has_rows(job: BulkJob) -> bool:
    """Whether it is still known which rows it was."""
    return BulkRow.objects.filter(job=job).exists()


# ------------------------------------------------------------------------------------------ the job


def work_on_job(job_id: int) -> bool:
    """Go on with a job for a while; True when there is more to do."""
    with only_one(_LOCK, job_id) as mine:
        job = BulkJob.objects.select_related("created_by").filter(pk=job_id).first()
        if not mine or job is None or not job.is_busy:
            return False
        try:
            return _work(job)
        except BadCriteria as bad:
            _fail(job, NO_LONGER, why=str(bad))
        except OperationalError:
            # The database is away, or has ended the session of a process that stood still: somebody
            # else may have the job now, and one that nobody has is found by settle_jobs.
            raise
        except DatabaseError as error:
            log.error("bulk job %s: %s", job_id, type(error).__name__)
            _fail(job, NOT_DONE)
        return False


def _work(job: BulkJob) -> bool:
    if job.tries >= TRIES:
        _fail(job, GAVE_UP)
        return False
    BulkJob.objects.filter(pk=job.pk).update(tries=F("tries") + 1, progress_at=timezone.now())
    if job.status == "waiting":
        lifecycle.move(job, "gathering", of=["waiting"], started_at=timezone.now())
    if job.status == "gathering":
        _gather(job)
    if job.status == "undoing" and not has_rows(job):
        _fail(job, FORGOTTEN)
        return False
    ends = time.monotonic() + JOB_SECONDS
    step = _undo_portion if job.status == "undoing" else _do_portion
    while time.monotonic() < ends:
        if BulkJob.objects.filter(pk=job.pk, is_cancelled=True).exists() and (
            job.status == "running"
        ):
            _end(job, "cancelled", STOPPED)
            return False
        if not step(job):
            _end(job, "undone" if job.status == "undoing" else "done")
            return False
    return True


def _gather(job: BulkJob) -> None:
    """Write down which rows it is, once."""
    criteria = read_criteria(job.kind, job.params)
    chosen, params = criteria.select().order_by().values_list("pk").query.sql_with_params()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_GATHER.format(chosen=chosen), [job.pk, *params])
        total = BulkRow.objects.filter(job=job).count()
        lifecycle.move(job, "running", of=["gathering"], total=total, tries=0)


def _take_portion(job: BulkJob, outcome: int) -> list[int]:
    rows = BulkRow.objects.filter(job=job, row_id__gt=job.reached, outcome=outcome)
    return list(rows.order_by("row_id").values_list("row_id", flat=True)[:PORTION])


def _do_portion(job: BulkJob) -> bool:
    """The next rows; False when there are none."""
    ids = _take_portion(job, WAITING)
    if not ids:
        return False
    with transaction.atomic():
        act = {"bar": _bar, "fetch": _fetch, "exclude": _exclude}[job.action]
        done, reasons = act(job, ids)
        rows = BulkRow.objects.filter(job=job)
        rows.filter(row_id__in=done).update(outcome=DONE)
        passed = [one for one in ids if one not in done]
        rows.filter(row_id__in=passed).update(outcome=PASSED)
        job.done += len(done)
        job.passed += len(passed)
        job.reasons = dict(Counter(job.reasons) + reasons)
        _note(job, ids[-1], ["done", "passed", "reasons", "lists"])
    return True


def _undo_portion(job: BulkJob) -> bool:
    if job.action == "bar":
        return _lift(job)
    ids = _take_portion(job, DONE)
    if not ids:
        return False
    with transaction.atomic():
        back = _take_in(job, ids)
        rows = BulkRow.objects.filter(job=job, row_id__in=back)
        rows.update(outcome=UNDONE)
        job.undone += len(back)
        _note(job, ids[-1], ["undone", "reasons"])
    return True


def _note(job: BulkJob, reached: int, fields: list[str]) -> None:
    """How far it is, in the transaction of what was done."""
    job.reached, job.tries, job.progress_at = reached, 0, timezone.now()
    job.save(update_fields=["reached", "tries", "progress_at", *fields])


def _end(job: BulkJob, status: str, reason: str = "") -> None:
    lifecycle.move(
        job, status, of=[job.status], reason=reason, ended_at=timezone.now(), is_cancelled=False
    )


def _fail(job: BulkJob, reason: str, **values: Any) -> None:
    lifecycle.move(
        job, "failed", of=[job.status], reason=reason, values=values, ended_at=timezone.now()
    )


# -------------------------------------------------------------------------------- what can be done


def _bar(job: BulkJob, ids: list[int]) -> tuple[set[int], Counter[str]]:
    numbers = _find_numbers(job.kind, ids)
    everywhere = bool(job.options.get("everywhere"))
    groups: dict[int | None, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for pk, (account_id, phone) in numbers.items():
        if is_normal(phone):
            groups[None if everywhere else account_id][phone].append(pk)
    done: set[int] = set()
    days = job.options.get("days")
    expires = timezone.now() + timedelta(days=int(days)) if days else None
    reason = str(job.options.get("reason", ""))[:300]
    for owner in sorted(groups, key=lambda one: one or 0):
        phones = groups[owner]
        account = Account.objects.get(pk=owner) if owner is not None else None
        listed = _find_list(job, account, reason=reason, expires=expires)
        told = bar_many(
            [(phone, reason, expires) for phone in phones],
            account=account,
            source="manual",
            by=job.created_by,
            list_import=listed,
        )
        BarListImport.objects.filter(pk=listed.pk).update(
            added=F("added") + told.added, known=F("known") + told.known
        )
        entered = DoNotCall.objects.filter(
            list_import=listed, phone__in=list(phones), lifted_at=None
        )
        for phone in entered.values_list("phone", flat=True):
            done.update(phones[phone])
    numbered = {pk for phones in groups.values() for rows in phones.values() for pk in rows}
    return done, Counter({LISTED: len(numbered - done), NO_NUMBER: len(ids) - len(numbered)})


def _find_numbers(kind: str, ids: list[int]) -> dict[int, tuple[int, str]]:
    """{row: (account, number of the person)}"""
    if kind == CONTACTS:
        rows = Contact.objects.filter(pk__in=ids).values_list("pk", "account_id", "phone")
        return {pk: (account_id, phone) for pk, account_id, phone in rows}
    calls = Call.objects.filter(pk__in=ids).values_list(
        "pk", "account_id", "contact__phone", "direction", "caller", "callee"
    )
    return {
        pk: (account_id, phone or (caller if direction == "inbound" else callee))
        for pk, account_id, phone, direction, caller, callee in calls
    }


def _find_list(
    job: BulkJob, account: Account | None, *, reason: str, expires: Any
) -> BarListImport:
    """What stands for the entries of this job, so that they can be lifted together."""
    key = str(account.pk) if account else ""
    if key in job.lists:
        return BarListImport.objects.get(pk=job.lists[key])
    listed = BarListImport.objects.create(
        account=account,
        file_name=str(job),
        reason_given=reason,
        expires_at=expires,
        status="done",
        created_by=job.created_by,
    )
    job.lists = job.lists | {key: listed.pk}
    return listed


def _lift(job: BulkJob) -> bool:
    """All of one list at a time: it lifts in portions itself, and what is lifted is not again."""
    for listed in BarListImport.objects.filter(pk__in=job.lists.values(), status="done"):
        with transaction.atomic():
            job.undone += lift_list(listed, by=job.created_by, reason=TAKEN_BACK)
            lifecycle.move(listed, "undone", of=["done"], reason=TAKEN_BACK, by=job.created_by)
            _note(job, 0, ["undone"])
        return True
    return False


def _fetch(job: BulkJob, ids: list[int]) -> tuple[set[int], Counter[str]]:
    again = recordings.retry_recordings(Recording.objects.filter(call__in=ids))
    enqueue_all(
        "campaigns.jobs.fetch_recording",
        [{"recording_id": number} for number in again],
        priority=LAST,
    )
    done = set(Recording.objects.filter(pk__in=again).values_list("call_id", flat=True))
    return done, Counter({NO_SOUND: len(ids) - len(done)})


def _exclude(job: BulkJob, ids: list[int]) -> tuple[set[int], Counter[str]]:
    ready = Contact.objects.filter(pk__in=ids, status="ready").order_by("pk")
    held = set(ready.select_for_update(of=("self",)).values_list("pk", flat=True))
    lifecycle.move_contacts(
        Contact.objects.filter(pk__in=held),
        "excluded",
        of=["ready"],
        reason=LEFT_OUT,
        reason_values={"bulk": job.pk},
    )
    return held, Counter({NOT_READY: len(ids) - len(held)})


def _take_in(job: BulkJob, ids: list[int]) -> set[int]:
    """Of those that were left out, who still is so because of this job, in a task that is still a
    draft: a task that was launched would be over without them."""
    chosen = Contact.objects.filter(pk__in=ids)
    # Before any row, as whoever loads a file does: of two who come back at once one is first.
    importing.hold_loading(chosen.values_list("account", flat=True))
    # Whoever launches one of them has its row, and launches those whom somebody saw and approved.
    tasks = Task.objects.filter(pk__in=set(chosen.values_list("task", flat=True)))
    held = tasks.order_by("pk").select_for_update(of=("self",), no_key=True)
    states = dict(held.values_list("pk", "status"))
    rows = chosen.order_by("pk").select_for_update(of=("self",))
    told = rows.values_list("pk", "status", "reason", "reason_values", "task")
    back, reasons = set(), Counter[str]()
    for pk, status, reason, values, task in told:
        ours = status == "excluded" and reason == LEFT_OUT and values.get("bulk") == job.pk
        if ours and states.get(task) == "draft":
            back.add(pk)
        else:
            reasons[LAUNCHED if ours else CHANGED] += 1
    if taken := importing.find_taken(back):
        reasons[TAKEN] += len(taken)
        back -= taken
    lifecycle.move_contacts(
        Contact.objects.filter(pk__in=back),
        "ready",
        of=["excluded"],
        reason="",
        reason_values={},
    )
    job.reasons = dict(Counter(job.reasons) + reasons)
    return back
