"""In: rows of everybody else, and since when nobody looked. Out: what happened, as occurrences.

Everything is read from the rows themselves, none of it from a signal: what happened while nobody
looked is found afterwards. What is over at once is read from the history since the last look; what
lasts is read as it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import apps
from django.db.models import Count, Max, Q
from django.db.models.functions import TruncHour

from campaigns import deciding, failing, silence
from campaigns.definitions import Tally, tally_calls
from campaigns.gates.amounts import STOPPED
from campaigns.models import (
    Account,
    Approval,
    Attempt,
    BarListImport,
    BulkJob,
    Call,
    ContactImport,
    Export,
    Gap,
    Incident,
    Installation,
    NoticeEvent,
    NoticeRule,
    StatusChange,
    Task,
)
from campaigns.notices.events import (
    NEVER_HEARD,
    SILENT_SINCE,
    Occurrence,
    of_account,
    of_task,
)

E: Any = NoticeEvent
UNDERWAY = ("loading", "loaded", "starting", "running")
#: a low answer rate is over when it is so many points higher: a rate on the edge tells once
ABOVE_AGAIN = 0.05
#: rows of one kind that lasts; so many open ones are no news any more
MOST = 500
#: kinds of gaps that are about a platform, not about one call
PLATFORM_GAPS = (Gap.Kind.NO_DIALOGS, Gap.Kind.NO_RECORDINGS, Gap.Kind.COUNTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is looked for: since when, for which rules, and what was so at the last look."""

    since: datetime
    now: datetime
    rules: Sequence[NoticeRule] = ()
    standing: frozenset[str] = frozenset()


def _list_moves(look: Look, subject: str, new: str) -> list[StatusChange]:
    moves = StatusChange.objects.filter(subject=subject, new=new, at__gte=look.since)
    return list(moves.exclude(old=new).order_by("at", "id"))


# ------------------------------------------------------------------------------------------ tasks


def _list_task_moves(look: Look, new: str) -> Iterable[tuple[StatusChange, Task]]:
    moves = _list_moves(look, "task", new)
    tasks = Task.objects.in_bulk({move.subject_id for move in moves})
    return [
        (move, tasks[move.subject_id])
        for move in moves
        if move.subject_id in tasks and tasks[move.subject_id].trial_of_id is None
    ]


def find_done(look: Look) -> list[Occurrence]:
    return [
        of_task(E.TASK_DONE, task, key=f"task_done:{move.pk}", happened_at=move.at)
        for move, task in _list_task_moves(look, "finished")
        if task.kind == Task.Kind.CAMPAIGN
    ]


def find_stopped(look: Look) -> list[Occurrence]:
    """Failed: once. Paused, and not by a person nor for the hours: as long as it is."""
    failed = [
        of_task(
            E.TASK_STOPPED,
            task,
            key=f"task_failed:{move.pk}",
            happened_at=move.at,
            reason=move.reason,
            reason_values=move.values,
        )
        for move, task in _list_task_moves(look, "failed")
    ]
    pausing = Q(status="paused") | Q(request="pause", status__in=UNDERWAY, hold_rule=failing.RULE)
    # of an account that is refused, its own notice tells
    paused = Task.objects.filter(pausing, needs_attention=True).exclude(paused_by_rule=STOPPED)
    return failed + [
        of_task(
            E.TASK_STOPPED,
            task,
            condition=f"task_stopped:{task.pk}",
            happened_at=task.held_at or task.requested_at or look.now,
            **_explain(task),
        )
        for task in paused.order_by("id")[:MOST]
    ]


def _explain(task: Task) -> dict[str, Any]:
    """How often it failed, and of what, is said by the rule that holds it."""
    if task.hold_rule == failing.RULE:
        return {"reason": task.hold_reason, "reason_values": task.hold_values}
    return {"reason": task.reason}


def find_attention(look: Look) -> list[Occurrence]:
    rows = Task.objects.filter(status__in=UNDERWAY, needs_attention=True).exclude(
        request="pause", hold_rule=failing.RULE
    )
    return [
        of_task(
            E.TASK_ATTENTION,
            task,
            condition=f"task_attention:{task.pk}",
            happened_at=look.now,
            **_explain(task),
        )
        for task in rows.order_by("id")[:MOST]
    ]


def find_low_rates(look: Look) -> list[Occurrence]:
    """Running tasks of which too few people pick up, for each rule with its own measure."""
    found = []
    for rule in look.rules:
        if not rule.percent or not rule.sample:
            continue
        running = Task.objects.filter(status="running", kind=Task.Kind.CAMPAIGN)
        if rule.task_id:
            running = running.filter(pk=rule.task_id)
        elif rule.account_id:
            running = running.filter(account=rule.account_id)
        for task in running.order_by("id"):
            condition = f"answer_rate:{rule.pk}:{task.pk}"
            tally = measure_last_calls(task, enough=rule.sample)
            rate, below = tally.answer_rate, rule.percent / 100
            if tally.answer_base < rule.sample or rate is None:
                continue
            if rate < below or (condition in look.standing and rate < below + ABOVE_AGAIN):
                values = {
                    "rate": f"{rate * 100:.1f}", "below": rule.percent, "of": tally.answer_base
                }  # fmt: skip
                found.append(
                    of_task(
                        E.ANSWER_RATE,
                        task,
                        condition=condition,
                        happened_at=look.now,
                        values=values,
                        rule=rule.pk,
                    )
                )
    return found


def measure_last_calls(task: Task, *, enough: int) -> Tally:
    """The last ``enough`` calls of a task that an answer rate is made of, since somebody let it go
    on last; fewer when there are no more. Calls between them whose end is not known, or whose
    number does not exist, take no place."""
    calls = Call.objects.filter(task=task, happened_at__gte=failing.find_begin(task))
    rows = (
        calls.filter(Q(has_record=True) | Q(turns_count__gt=0))
        .exclude(direction=Call.Direction.INBOUND)
        .order_by("-happened_at", "-id")
        .values_list("result", "answered")
    )
    total = Tally()
    for result, answered in rows[: 4 * enough]:
        total += tally_calls(result=result, answered=answered)
        if total.answer_base >= enough:
            break
    return total


# ---------------------------------------------------------------------------------------- accounts


def find_silent(look: Look) -> list[Occurrence]:
    return [
        of_account(
            E.PLATFORM_SILENT,
            one.account,
            condition=f"silent:{one.account.pk}",
            happened_at=one.since,
            reason=SILENT_SINCE if one.heard_at else NEVER_HEARD,
            reason_values={"heard_at": one.heard_at.isoformat()} if one.heard_at else {},
        )
        for one in silence.find_silent_accounts(look.now)
    ]


def find_refused(look: Look) -> list[Occurrence]:
    rows = Account.objects.filter(is_active=True, stopped_at__isnull=False).order_by("id")
    return [
        of_account(
            E.ACCOUNT_STOPPED,
            account,
            condition=f"account_stopped:{account.pk}",
            happened_at=account.stopped_at or look.now,
            reason=account.stopped_reason,
        )
        for account in rows[:MOST]
    ]


def find_broken(look: Look) -> list[Occurrence]:
    rows = Account.objects.filter(is_active=True).exclude(connection_error="").order_by("id")
    return [
        of_account(
            E.ACCOUNT_BROKEN,
            account,
            condition=f"account_broken:{account.pk}",
            happened_at=account.connection_checked_at or look.now,
            reason=account.connection_error,
        )
        for account in rows[:MOST]
    ]


def find_platform_gaps(look: Look) -> list[Occurrence]:
    rows = Gap.objects.filter(closed_at=None, kind__in=PLATFORM_GAPS).select_related("account")
    return [
        of_account(
            E.GAP,
            gap.account,
            task=gap.task_id,
            condition=f"gap:{gap.pk}",
            happened_at=gap.found_at,
            subject="campaigns.gap",
            subject_id=gap.pk,
            reason=gap.reason,
            reason_values=gap.reason_values,
        )
        for gap in rows.order_by("id")[:MOST]
    ]


def find_quarantined(look: Look) -> list[Occurrence]:
    """One for each account and hour: who changes their words sends them by the thousand."""
    # The inbox is a package above this one: asked for by name, not imported.
    receipts: Any = apps.get_model("callbacks", "Receipt").objects
    rows = (
        receipts.filter(status="quarantined", received_at__gte=look.since)
        .annotate(hour=TruncHour("received_at", tzinfo=UTC))
        .order_by()
        .values_list("account_id", "hour")
        .annotate(number=Count("*"), last=Max("received_at"))
    )
    counted = list(rows)
    accounts = Account.objects.in_bulk({row[0] for row in counted})
    return [
        of_account(
            E.QUARANTINE,
            accounts[account_id],
            key=f"quarantine:{account_id}:{hour:%Y-%m-%dT%H}",
            happened_at=last,
            subject="callbacks.receipt",
            subject_id=None,
            values={"number": number},
        )
        for account_id, hour, number, last in counted
    ]


# ------------------------------------------------------------------------------- what waits for us


def find_undecided(look: Look) -> list[Occurrence]:
    return [
        _of_attempt(attempt, look.now) for attempt in deciding.list_undecided()[:MOST]
    ]  # oldest first


def _of_attempt(attempt: Attempt, now: datetime) -> Occurrence:
    return of_task(
        E.DECISION,
        attempt.task,
        condition=f"decision:{attempt.pk}",
        happened_at=attempt.ended_at or now,
        subject="campaigns.attempt",
        subject_id=attempt.pk,
        reason=attempt.reason,
    )


def find_asked(look: Look) -> list[Occurrence]:
    rows = Approval.objects.filter(status="asked").select_related("task").order_by("id")
    return [
        of_task(
            E.APPROVAL,
            row.task,
            condition=f"approval:{row.pk}",
            happened_at=row.asked_at,
            subject="campaigns.approval",
            subject_id=row.pk,
            author=None,
        )
        for row in rows[:MOST]
    ]


def find_incidents(look: Look) -> list[Occurrence]:
    rows = Incident.objects.filter(closed_at=None).select_related("task").order_by("-id")
    return [
        Occurrence(
            event=E.INCIDENT,
            condition=f"incident:{row.pk}",
            happened_at=row.opened_at,
            account=row.account_id,
            task=row.task_id,
            subject="campaigns.incident",
            subject_id=row.pk,
            reason=row.reason,
            reason_values=row.reason_values,
            author=row.task.launched_by_id if row.task else None,
        )
        for row in rows[:MOST]
    ]


def find_held(look: Look) -> list[Occurrence]:
    return [
        Occurrence(
            event=E.DATABASE_HELD,
            condition="database_held",
            happened_at=row.held_at or look.now,
            subject="campaigns.installation",
            subject_id=row.pk,
            reason=row.reason,
            reason_values=row.reason_values,
        )
        for row in Installation.objects.filter(held_at__isnull=False)
    ]


# ----------------------------------------------------------------------------------------- imports


def find_failed_imports(look: Look) -> list[Occurrence]:
    return _find_imports(look, E.IMPORT_FAILED, "failed")


def find_done_imports(look: Look) -> list[Occurrence]:
    return _find_imports(look, E.IMPORT_DONE, "done")


def _find_imports(look: Look, event: str, new: str) -> list[Occurrence]:
    found = []
    for subject, model in (("contactimport", ContactImport), ("barlistimport", BarListImport)):
        moves = _list_moves(look, subject, new)
        rows: dict[int, Any] = model._default_manager.in_bulk({move.subject_id for move in moves})
        tasks = Task.objects.in_bulk({getattr(row, "task_id", None) for row in rows.values()})
        for move in moves:
            row = rows.get(move.subject_id)
            if row is None:
                continue
            task = tasks.get(getattr(row, "task_id", 0))
            found.append(
                Occurrence(
                    event=event,
                    key=f"{event}:{subject}:{move.pk}",
                    happened_at=move.at,
                    account=task.account_id if task else getattr(row, "account_id", None),
                    task=task.pk if task else None,
                    subject=f"campaigns.{subject}",
                    subject_id=row.pk,
                    values={"file": row.file_name},
                    reason=move.reason if event == E.IMPORT_FAILED else "",
                    reason_values=move.values,
                    author=row.created_by_id,
                )
            )
    return found


# ------------------------------------------------------------------------- exports and bulk jobs


def find_ready_exports(look: Look) -> list[Occurrence]:
    # one that was deleted since was ready once: who looks late is told all the same
    return _find_exports(look, E.EXPORT_READY, ["done", "expired"])


def find_failed_exports(look: Look) -> list[Occurrence]:
    return _find_exports(look, E.EXPORT_FAILED, ["failed"])


def _find_exports(look: Look, event: str, states: list[str]) -> list[Occurrence]:
    rows = Export.objects.filter(status__in=states, ended_at__gte=look.since)
    return [
        Occurrence(
            event=event,
            key=f"{event}:{row.pk}:{row.ended_at:%Y-%m-%dT%H:%M:%S.%f}",
            happened_at=row.ended_at or look.now,
            account=row.plan.task.account_id if row.plan else None,
            task=row.plan.task_id if row.plan else None,
            subject="campaigns.export",
            subject_id=row.pk,
            values={"file": row.file_name or f"{row.kind}.{row.form}"},
            reason=row.reason if event == E.EXPORT_FAILED else "",
            reason_values=row.reason_values,
            author=row.created_by_id,
        )
        for row in rows.select_related("plan__task").order_by("id")
    ]


def find_bulk_jobs(look: Look) -> list[Occurrence]:
    rows = BulkJob.objects.filter(status__in=["done", "failed"], ended_at__gte=look.since)
    return [
        Occurrence(
            event=E.BULK_DONE,
            key=f"bulk:{row.pk}:{row.ended_at:%Y-%m-%dT%H:%M:%S.%f}",
            happened_at=row.ended_at or look.now,
            subject="campaigns.bulkjob",
            subject_id=row.pk,
            values={"done": row.done, "passed": row.passed},
            reason=row.reason,
            reason_values=row.reason_values,
            author=row.created_by_id,
        )
        for row in rows.order_by("id")
    ]


FINDERS: dict[str, Callable[[Look], list[Occurrence]]] = {
    E.TASK_DONE: find_done,
    E.TASK_STOPPED: find_stopped,
    E.TASK_ATTENTION: find_attention,
    E.ANSWER_RATE: find_low_rates,
    E.PLATFORM_SILENT: find_silent,
    E.ACCOUNT_STOPPED: find_refused,
    E.ACCOUNT_BROKEN: find_broken,
    E.DECISION: find_undecided,
    E.APPROVAL: find_asked,
    E.INCIDENT: find_incidents,
    E.QUARANTINE: find_quarantined,
    E.GAP: find_platform_gaps,
    E.IMPORT_FAILED: find_failed_imports,
    E.IMPORT_DONE: find_done_imports,
    E.EXPORT_READY: find_ready_exports,
    E.EXPORT_FAILED: find_failed_exports,
    E.BULK_DONE: find_bulk_jobs,
    E.DATABASE_HELD: find_held,
}
#: how far back the first look of a rule goes, and each later one beyond the last: what was written
#: in a long transaction appears when that is committed, with the time at which it was written
SLACK = timedelta(hours=6)
