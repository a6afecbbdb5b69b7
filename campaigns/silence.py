"""In: accounts whose tasks run. Out: those whose platform should have told us something by now, and
has not.

A platform that calls people for us tells of every call. While a task runs, contacts wait at the
platform and its hours are open, nothing at all for ``SILENCE_MINUTES`` means that its pushes go
somewhere else, or nowhere. The alarm is read from the rows, so the next push ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import (
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    Q,
    Value,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from campaigns.gates import hours
from campaigns.models import Account, CallbackToken, Contact, StatusChange, Task
from campaigns.platforms.events import PlatformTaskState

#: so many moments of the silent time are looked at: at each, calls must have been allowed
LOOKS = 6
#: tasks of one account that are looked at; one that should have been heard of is enough
MOST_TASKS = 50
OVER = (PlatformTaskState.FINISHED, PlatformTaskState.EXPIRED)
RESTING = (
    *(PlatformTaskState.PAUSED, PlatformTaskState.OUTSIDE_HOURS, PlatformTaskState.WAITING_RETRY),
)
#: receipts that are looked at for a push that no token's last use tells of yet
NEWEST = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """``heard_at`` is the last push of the account, None when there never was one; ``expected``
    since when some should have come."""

    account: Account
    tasks: int
    expected: datetime
    heard_at: datetime | None

    @property
    def since(self) -> datetime:
        return max(self.expected, self.heard_at) if self.heard_at else self.expected


def find_silent_accounts(now: datetime | None = None) -> list[Silence]:
    """Accounts that are silent although they should not be, by name."""
    if settings.SILENCE_MINUTES <= 0:
        return []
    now = now or timezone.now()
    begin = now - timedelta(minutes=settings.SILENCE_MINUTES)
    # Whoever is only waited for to be called again says nothing meanwhile.
    wait = Coalesce(F("task__recall_wait_seconds"), 0) * Value(timedelta(seconds=1))
    due = ExpressionWrapper(F("last_call_at") + wait, output_field=DateTimeField())
    waiting = (
        Contact.objects.filter(task=OuterRef("pk"), status="accepted")
        .alias(due=due)
        .filter(Q(calls_made=0) | Q(due__lt=begin))
    )
    running = (
        Task.objects.filter(Exists(waiting), status="running", account__is_active=True)
        .select_related("account")
        .order_by("account__name", "id")
    )
    by_account: dict[int, list[Task]] = {}
    for task in running:
        by_account.setdefault(task.account_id, []).append(task)
    heard = find_last_pushes(list(by_account), since=begin)
    silent = []
    for account_id, tasks in by_account.items():
        heard_at = heard.get(account_id)
        if heard_at is not None and heard_at > begin:
            continue
        since = [
            found
            for task in tasks[:MOST_TASKS]
            if (found := find_begin(task, begin, now))
            and not says_otherwise(task, begin=begin, since=found, heard_at=heard_at)
        ]
        if since:
            silent.append(
                Silence(
                    account=tasks[0].account,
                    tasks=len(since),
                    expected=min(since),
                    heard_at=heard_at,
                )
            )
    return silent


def find_begin(task: Task, begin: datetime, now: datetime) -> datetime | None:
    """Since when the platform calls people of this task; None when it has not done so for the whole
    time from ``begin`` on."""
    runs = StatusChange.objects.filter(subject="task", subject_id=task.pk, new="running")
    started = runs.aggregate(at=Max("at"))["at"] or task.launched_at
    since = max((at for at in (started, task.begin_at) if at), default=None)
    if since is None or since > begin or (task.end_at and task.end_at < now):
        return None
    if task.request in ("pause", "delete"):
        return None
    step = (now - begin) / (LOOKS - 1)
    near = hours.list_holidays(task.account, now, days=2)
    moments = (begin + step * number for number in range(LOOKS))
    return since if all(hours.find_closed(task, at, near=near) is None for at in moments) else None


def says_otherwise(
    task: Task, *, begin: datetime, since: datetime, heard_at: datetime | None
) -> bool:
    """Whether the platform itself says that it calls nobody of the task just now; or that the task
    is over, and has told of it while it ran: the contacts it left out are gaps, and no silence."""
    if task.platform_state in RESTING:
        return task.platform_checked_at is not None and task.platform_checked_at > begin
    return task.platform_state in OVER and heard_at is not None and heard_at > since


def find_last_pushes(account_ids: list[int], *, since: datetime) -> dict[int, datetime]:
    """{account id: its last push}. A token's last use is written down once a minute, so where it
    says silence, the receipts themselves are asked."""
    if not account_ids:
        return {}
    tokens = CallbackToken.objects.filter(account__in=account_ids, last_used_at__isnull=False)
    used = dict(tokens.order_by().values_list("account_id").annotate(at=Max("last_used_at")))
    quiet = [pk for pk in account_ids if pk not in used or used[pk] <= since]
    # The inbox is a package above this one: asked for by name, not imported.
    receipts: Any = apps.get_model("callbacks", "Receipt").objects
    newest: dict[int, datetime] = {}
    if quiet:
        last = receipts.order_by("-id").values_list("account_id", "received_at")[:NEWEST]
        for account_id, at in last:
            newest.setdefault(account_id, at)
    for pk in quiet:
        times = [used.get(pk), newest.get(pk)]
        repeated = receipts.filter(account=pk, deliveries__gt=1, last_delivery_at__gt=since)
        times.append(repeated.aggregate(at=Max("last_delivery_at"))["at"])
        if known := [at for at in times if at]:
            used[pk] = max(known)
    return used
