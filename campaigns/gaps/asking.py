"""In: open gaps. Out: what the platform was asked about them and what it said, on the gap.

yeta cannot be asked about one call: what it could not push is in the file of the day, and its
counters say how many there are. Where calls can be asked for, they are, and kept like pushes.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet
from django.utils.translation import gettext_noop as N_

from campaigns import reconcile
from campaigns.connections import open_client
from campaigns.gaps.finding import find_cutoff, take_turn
from campaigns.ingest import apply_task_state
from campaigns.models import FailedPushDay, Gap, Task
from campaigns.platforms.contract import Can
from campaigns.platforms.errors import PlatformError

MOST_GAPS, MOST_TASKS = 2000, 20
#: the counters of a task are asked for once more so long after its end
FINAL_WITHIN = timedelta(days=2)

ASKED_FILE = N_("The failed pushes of its day.")
NOT_IN_FILE = N_("The %(files)d files of %(day)s were read; it was not among them.")
NO_FILES = N_("On %(day)s no push had failed.")
ASKED_TASK = N_("How the task stands.")
TOLD_TASK = N_("The task is “%(state)s” there.")
ASKED_CALLS = N_("The calls of the task.")
TOLD_CALLS = N_("The platform told of %(calls)d calls.")
NOT_ANSWERED = N_("The platform could not be asked.")


def ask_about_gaps(*, now: datetime) -> None:
    """Ask where something can be asked, within bounds, and note the answers."""
    _count_finished(now)
    _note_files()
    _ask_for_calls()
    _note_tasks()


def _note(
    gaps: QuerySet[Gap], at: datetime | None, asked: str, answered: str, **values: Any
) -> int:
    if at is None:
        return 0
    return gaps.filter(closed_at=None).update(
        asked_at=at, asked=asked, answered=answered, answered_values=values
    )


def _count_finished(now: datetime) -> None:
    """Ask once more for the counters of tasks that have ended: the last ones were counted while it
    still ran."""
    ended = Task.objects.filter(
        status="finished",
        finished_at__gt=now - FINAL_WITHIN,
        finished_at__lt=find_cutoff(now),
        platform_checked_at__lt=F("finished_at") + timedelta(seconds=1),
        account__is_active=True,
    ).exclude(platform_task_id="")
    ids = take_turn("counted", ended, most=MOST_TASKS)
    for task in Task.objects.filter(pk__in=ids).select_related("account").order_by("finished_at"):
        if task.kind != Task.Kind.CAMPAIGN or not task.account.can(Can.QUERY_TASKS):
            continue
        try:
            state = open_client(task.account, task=task).query_task(task.platform_task_id)
        except PlatformError:
            continue
        if state is not None:
            apply_task_state(task, state)


def _note_files() -> None:
    """Of gaps of calls and contacts: whether the day's failed pushes are read."""
    gaps = Gap.objects.filter(closed_at=None, answered="").exclude(call=None, contact=None)
    by_day: dict[tuple[int, date], list[int]] = defaultdict(list)
    pks = take_turn("files", gaps, most=MOST_GAPS)
    for gap in Gap.objects.filter(pk__in=pks).select_related("account", "call"):
        if gap.account.can(Can.LIST_FAILED_PUSHES):
            moment = gap.call.happened_at if gap.call is not None else gap.found_at
            by_day[gap.account_id, moment.astimezone(gap.account.zone).date()].append(gap.pk)
    for (account_id, day), ids in by_day.items():
        row = FailedPushDay.objects.filter(account=account_id, day=day, status="listed").first()
        if row is None or row.files.exclude(status="read").exists():
            continue
        files = row.files.count()
        _note(
            Gap.objects.filter(pk__in=ids),
            row.listed_at,
            ASKED_FILE,
            NOT_IN_FILE if files else NO_FILES,
            files=files,
            day=f"{day:%Y-%m-%d}",
        )


def _ask_for_calls() -> None:
    """Where a platform can be asked for the calls of a task: once an hour."""
    silent = Gap.objects.filter(closed_at=None, kind=Gap.Kind.SILENT).values("task")
    tasks = Task.objects.filter(pk__in=silent, account__is_active=True)
    ids = take_turn("asked", tasks, most=MOST_TASKS)
    for task in Task.objects.filter(pk__in=ids).select_related("account").order_by("pk"):
        if not reconcile.is_time_to_ask(task):
            continue
        gaps = Gap.objects.filter(task=task, kind=Gap.Kind.SILENT)
        task.refresh_from_db(fields=["results_asked_at"])
        try:
            calls = reconcile.ask_for_calls(task)
        except PlatformError:
            _note(gaps, task.results_asked_at, ASKED_CALLS, NOT_ANSWERED)
        else:
            _note(gaps, task.results_asked_at, ASKED_CALLS, TOLD_CALLS, calls=calls)


def _note_tasks() -> None:
    """Of gaps about a task: that it was asked how it stands, and what it said."""
    counts = Gap.objects.filter(closed_at=None, kind=Gap.Kind.COUNTS)
    ids = take_turn("told", counts, most=MOST_GAPS)
    for gap in Gap.objects.filter(pk__in=ids).select_related("task"):
        if gap.task is not None and gap.task.platform_checked_at != gap.asked_at:
            state = gap.task.platform_state
            rows = Gap.objects.filter(pk=gap.pk)
            _note(rows, gap.task.platform_checked_at, ASKED_TASK, TOLD_TASK, state=state)
