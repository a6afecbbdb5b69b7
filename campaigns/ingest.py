"""In: events of one account. Out: the calls, turns, recordings and task states they amount to.

The merge is pure (``evidence``); here is its one write: rows that are missing are inserted, all
are locked in one order, merged in Python and written back in one statement. The same set of
events gives the same rows, whatever their order and however often they come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from campaigns.evidence import (
    EARLIEST,
    INTEGER_MAX,
    LATEST,
    Evidence,
    describe_dialog,
    merge,
    merge_problems,
    project,
    read_event,
)
from campaigns.linking import link_calls, link_late, link_pending
from campaigns.models import Account, Call, Task, Turn
from campaigns.platforms.events import (
    AnyEvent,
    CallEvent,
    DialogReady,
    RecordingReady,
    TaskChanged,
    TurnSaid,
)
from campaigns.platforms.values import BIGINT_MAX, clean, clean_text
from campaigns.queue import enqueue_all

__all__ = [
    "Applied",
    "apply_events",
    "apply_task_state",
    "link_calls",
    "link_late",
    "link_pending",
    "project",
]

FETCH_JOB = "campaigns.jobs.fetch_recording"
_UPDATED = [
    *("evidence", "problems", "conflicts", "happened_at", "updated_at"),
    *project({}).columns,
]
_TURN_LIMITS = {
    name: Turn._meta.get_field(name).max_length or 0
    for name in ("node_id", "node_name", "node_type", "label", "intention", "intention_text")
} | {"question_id": 200}


@dataclass(slots=True)
class Applied:
    """What ``apply_events`` touched."""

    call_ids: list[int] = field(default_factory=list)
    task_ids: list[int] = field(default_factory=list)
    recording_ids: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Told:
    """What the events of one call say together."""

    evidence: Evidence = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    dialogs: dict[str, tuple[TurnSaid, ...]] = field(default_factory=dict)
    recordings: list[RecordingReady] = field(default_factory=list)


def apply_events(
    account: Account, events: Sequence[AnyEvent], *, receipt_ids: Sequence[int] = ()
) -> Applied:
    """Write what the events say, in one transaction; recordings that are new get a job in it.

    The caller runs ``link_late(account.pk, applied.call_ids)`` after its commit, for calls whose
    contact learnt its platform id meanwhile. ``receipt_ids`` says what the events came from,
    for the log of a failure.
    """
    applied = Applied()
    told: dict[str, _Told] = defaultdict(_Told)
    for event in events:
        if not isinstance(event, TaskChanged):
            _hear(told[clean_text(event.platform_call_id)[:200]], event)
    with transaction.atomic():
        if told:
            calls = _write_calls(account, told)
            applied.call_ids = sorted(call.pk for call in calls.values())
            applied.recording_ids = _write_recordings(calls, told)
            link_calls(account.pk, call_ids=applied.call_ids)
        for event in events:
            if isinstance(event, TaskChanged):
                applied.task_ids += _apply_task_event(account, event)
    return applied


def _hear(told: _Told, event: CallEvent) -> None:
    evidence, problems = read_event(event)
    told.evidence = merge(told.evidence, evidence) if told.evidence else evidence
    told.problems = merge_problems(told.problems, problems)
    if isinstance(event, DialogReady):
        told.dialogs[describe_dialog(event.turns)["digest"]] = event.turns
    elif isinstance(event, RecordingReady):
        told.recordings.append(event)


# ----------------------------------------------------------------------------------------- calls


def _write_calls(account: Account, told: dict[str, _Told]) -> dict[str, Call]:
    """{platform's call id: the row, locked and up to date}"""
    names = sorted(told)
    ours = Call.objects.filter(account=account, platform_call_id__in=names)
    present = set(ours.values_list("platform_call_id", flat=True))
    now = timezone.now()
    # Sorted, before any lock: two transactions that insert the same calls wait, never deadlock.
    # The dialog is left out, so that its turns are written below, under the lock.
    Call.objects.bulk_create(
        [
            _fill(
                Call(account=account, platform_call_id=name, happened_at=now),
                {key: value for key, value in told[name].evidence.items() if key != "dialog"},
                told[name].problems,
            )
            for name in names
            if name not in present
        ],
        ignore_conflicts=True,
    )
    calls = {
        call.platform_call_id: call
        for call in ours.select_for_update(of=("self",)).order_by("id").defer("details")
    }
    changed: list[Call] = []
    spoken: dict[int, tuple[TurnSaid, ...]] = {}
    for name, call in calls.items():
        before = call.evidence
        merged = merge(before, told[name].evidence)
        problems = merge_problems(call.problems, told[name].problems)
        if merged == before and problems == call.problems:
            continue
        dialog = merged.get("dialog")
        if dialog and dialog[:1] != before.get("dialog", [])[:1]:
            spoken[call.pk] = told[name].dialogs[dialog[0][2]["digest"]]
        changed.append(_fill(call, merged, problems))
    Call.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["account", "platform_call_id"],
        update_fields=_UPDATED,
    )
    if spoken:
        _write_turns(spoken)
    return calls


def _fill(call: Call, evidence: Evidence, problems: dict[str, str]) -> Call:
    projection = project(evidence)
    call.evidence, call.problems, call.conflicts = evidence, problems, projection.conflicts
    for name, value in projection.columns.items():
        setattr(call, name, value)
    times = [call.dialed_at, call.ringing_at, call.answered_at, call.ended_at]
    call.happened_at = max((at for at in times if at), default=call.happened_at)
    return call


def _write_turns(spoken: dict[int, tuple[TurnSaid, ...]]) -> None:
    """Replace the turns of calls whose richest dialog is a new one."""
    Turn.objects.filter(call_id__in=spoken).delete()
    Turn.objects.bulk_create(
        [
            Turn(
                call_id=call_id,
                position=position,
                role=str(turn.role)[:10],
                text=clean_text(turn.text),
                started_at=_keep_time(turn.started_at),
                spoke_at=_keep_time(turn.spoke_at),
                hits=clean(turn.hits),
                **{
                    name: clean_text(getattr(turn, name))[:limit]
                    for name, limit in _TURN_LIMITS.items()
                },
            )
            for call_id, turns in spoken.items()
            for position, turn in enumerate(turns)
        ],
        batch_size=2000,
    )


def _keep_time(value: datetime | None) -> datetime | None:
    usable = value is not None and value.tzinfo is not None and EARLIEST <= value < LATEST
    return value if usable else None


# ------------------------------------------------------------------------------------ recordings


def _write_recordings(calls: dict[str, Call], told: dict[str, _Told]) -> list[int]:
    """One row per call and address; the ids of the new ones, which have a job to fetch them."""
    rows: dict[tuple[int, str], tuple[int | None, int | None]] = {}
    for name, one in told.items():
        for event in one.recordings:
            key = calls[name].pk, clean_text(event.address)[:1000]
            size, seconds = rows.get(key, (None, None))
            rows[key] = (
                _take_larger(size, event.size, BIGINT_MAX),
                _take_larger(seconds, event.seconds, INTEGER_MAX),
            )
    if not rows:
        return []
    keys = sorted(rows)
    with connection.cursor() as cursor:
        # xmax is 0 only in a row that this statement inserted.
        cursor.execute(
            "INSERT INTO campaigns_recording (call_id, address, announced_bytes,"
            " announced_seconds, status, reason, tries, file, content_type, sha256, created_at)"
            " SELECT v.call, v.address, v.bytes, v.seconds, 'remote', '', 0, '', '', '', now()"
            " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::int[])"
            " AS v(call, address, bytes, seconds)"
            " ON CONFLICT (call_id, address) DO UPDATE SET"
            " announced_bytes = greatest(campaigns_recording.announced_bytes,"
            " excluded.announced_bytes),"
            " announced_seconds = greatest(campaigns_recording.announced_seconds,"
            " excluded.announced_seconds)"
            " RETURNING id, xmax = 0",
            [
                [key[0] for key in keys],
                [key[1] for key in keys],
                [rows[key][0] for key in keys],
                [rows[key][1] for key in keys],
            ],
        )
        new = [pk for pk, inserted in cursor.fetchall() if inserted]
    enqueue_all(FETCH_JOB, [{"recording_id": pk} for pk in new])
    return new


def _take_larger(one: int | None, other: Any, limit: int) -> int | None:
    usable = isinstance(other, int) and not isinstance(other, bool) and 0 <= other <= limit
    known = [value for value in (one, other if usable else None) if value is not None]
    return max(known, default=None)


# ----------------------------------------------------------------------------------------- tasks


def _apply_task_event(account: Account, event: TaskChanged) -> Iterable[int]:
    tasks = Task.objects.filter(account=account, platform_task_id=event.platform_task_id)
    for task in tasks if event.platform_task_id else ():
        apply_task_state(task, event)
        yield task.pk


def apply_task_state(task: Task, event: TaskChanged) -> None:
    """Keep what the platform says of a task, and when it said so. Moves nothing."""
    fields: dict[str, Any] = {
        "platform_state": str(event.state)[:20],
        "platform_checked_at": timezone.now(),
    }
    if event.contacts is not None and 0 <= event.contacts <= INTEGER_MAX:
        fields["platform_contacts"] = event.contacts
    if event.counts:
        fields["platform_counts"] = clean(event.counts)
    Task.objects.filter(pk=task.pk).update(**fields)
    for name, value in fields.items():
        setattr(task, name, value)
