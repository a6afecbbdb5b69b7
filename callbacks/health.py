"""In: nothing. Out: how the inbox is: where the pushes are, what came, what is odd, who is silent.

One set of numbers for the page, the metrics and the command. What waits and what is quarantined is
counted at this moment, by indexes of these rows alone; the rest was counted by ``tally``, and says
when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, F, Max, Min, Q, Sum
from django.utils import timezone

from callbacks import tally
from callbacks.models import InboxTally, Receipt, Snapshot
from campaigns.failed_pushes import find_alarms
from campaigns.models import Account, FailedPushDay
from campaigns.platforms.registry import PLATFORMS
from campaigns.silence import Silence, find_silent_accounts

APPLIED_WITHIN = timedelta(seconds=60)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
#: receipts that are not counted again for every question
LARGE = 200_000
#: lines of the summary of the quarantine
MOST_GROUPS = 500
MOST_DAYS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What one account pushes of one kind. ``minutes`` are the last sixty, the oldest first."""

    account: Account
    kind: str
    last_minute: int
    hour: int
    day: int
    late_hour: int
    late_day: int
    from_files: int
    minutes: tuple[int, ...]

    @property
    def platform(self) -> str:
        vendor = PLATFORMS.get(self.account.platform)
        return vendor.name if vendor else self.account.platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Quarantined receipts of one reason, account and kind."""

    reason: str
    account: Account
    kind: str
    count: int
    oldest: datetime
    newest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    taken_at: datetime
    waiting: int
    oldest_waiting: datetime | None
    quarantined: list[Group]
    repeats: int
    repeats_hour: int
    repeats_day: int
    applied: int
    streams: list[Stream]
    silent: list[Silence]
    #: days whose failed pushes could not be fetched
    failed_days: list[FailedPushDay]
    whole: Snapshot | None
    minutes_at: datetime | None

    @property
    def oldest_seconds(self) -> float:
        if self.oldest_waiting is None:
            return 0.0
        return max(0.0, (self.taken_at - self.oldest_waiting).total_seconds())

    @property
    def applied_per_second(self) -> float:
        return self.applied / APPLIED_WITHIN.total_seconds()

    @property
    def inbox(self) -> dict[str, Any]:
        """The balance of the pushes; ``missing`` is 0 when it holds."""
        return self.whole.numbers.get("inbox", {}) if self.whole else {}

    def count_states(self) -> dict[str, int]:
        """{status: receipts} of a large inbox: what is done as it was counted last, the rest now.
        Nothing of a small one, which is counted at once."""
        done = self.inbox.get("processed", 0) + self.inbox.get("ignored", 0)
        if done < LARGE:
            return {}
        return {
            "received": self.waiting,
            "quarantined": sum(one.count for one in self.quarantined),
            "processed": self.inbox["processed"],
            "ignored": self.inbox["ignored"],
        }

    def list_totals(self) -> list[tuple[str, str, str, int, int]]:
        """(account's id, platform, kind, pushes ever received, late ones)"""
        platforms = dict(Account.objects.values_list("pk", "platform"))
        return [
            (str(account_id), platforms.get(account_id, ""), kind, number, late)
            for account_id, kind, number, late in self.inbox.get("streams", [])
        ]

    @property
    def contacts(self) -> dict[str, Any]:
        """The balance of the contacts."""
        return self.whole.numbers.get("contacts", {}) if self.whole else {}


def read_health() -> Health:
    """Everything, in a few statements."""
    now = timezone.now()
    waiting = Receipt.objects.filter(status="received")
    counted = waiting.aggregate(n=Count("id"))
    oldest = waiting.order_by("id").values_list("received_at", flat=True).first()
    repeated = Receipt.objects.filter(deliveries__gt=1)
    repeats = repeated.aggregate(
        total=Sum(F("deliveries") - 1),
        hour=Count("last_delivery_at", filter=Q(last_delivery_at__gt=now - HOUR)),
        day=Count("last_delivery_at", filter=Q(last_delivery_at__gt=now - DAY)),
    )
    whole = Snapshot.objects.filter(pk=tally.WHOLE).first()
    minutes = Snapshot.objects.filter(pk=tally.MINUTES).first()
    return Health(
        taken_at=now,
        waiting=counted["n"],
        oldest_waiting=oldest,
        quarantined=list_groups(),
        repeats=repeats["total"] or 0,
        repeats_hour=repeats["hour"],
        repeats_day=repeats["day"],
        applied=count_applied(now),
        streams=list_streams(now),
        silent=find_silent_accounts(now),
        failed_days=list(find_alarms().select_related("account")[:MOST_DAYS]),
        whole=whole,
        minutes_at=minutes.taken_at if minutes else None,
    )


def list_groups() -> list[Group]:
    """The quarantine by reason, account and kind; the largest first."""
    rows = (
        Receipt.objects.filter(status="quarantined")
        .order_by()
        .values_list("reason", "account_id", "kind")
        .annotate(n=Count("*"), oldest=Min("received_at"), newest=Max("received_at"))
        .order_by("-n", "reason", "kind", "account_id")[:MOST_GROUPS]
    )
    found = list(rows)
    accounts = Account.objects.in_bulk({row[1] for row in found})
    return [
        Group(
            reason=reason,
            account=accounts[account_id],
            kind=kind,
            count=number,
            oldest=oldest,
            newest=newest,
        )
        for reason, account_id, kind, number, oldest, newest in found
    ]


def count_applied(now: datetime) -> int:
    """Receipts that were processed or ignored within the last minute."""
    first = tally.find_first_id(
        now - APPLIED_WITHIN, slack=timedelta(seconds=5), table="campaigns_statuschange"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM campaigns_statuschange WHERE id >= %s AND at > %s"
            " AND subject = 'receipt' AND new IN ('processed', 'ignored')",
            [first, now - APPLIED_WITHIN],
        )
        return int(cursor.fetchone()[0])


def list_streams(now: datetime) -> list[Stream]:
    """What came within the last day, by platform, account and kind."""
    this = now.replace(second=0, microsecond=0)
    begin = this - timedelta(minutes=60)
    rows = (
        InboxTally.objects.filter(span="minute", begins_at__gt=now - DAY)
        .order_by()
        .values_list("account_id", "kind")
        .annotate(
            day=Sum("received"),
            late=Sum("late"),
            files=Sum("received", filter=Q(source="failed_push"), default=0),
        )
    )
    days = {(account_id, kind): counts for account_id, kind, *counts in rows}
    series: dict[tuple[int, str], list[int]] = {key: [0] * 60 for key in days}
    late: dict[tuple[int, str], int] = dict.fromkeys(days, 0)
    lately = InboxTally.objects.filter(span="minute", begins_at__gte=begin, begins_at__lt=this)
    for account_id, kind, at, received, came_late in lately.values_list(
        "account_id", "kind", "begins_at", "received", "late"
    ):
        key = account_id, kind
        if key in series:
            series[key][min(59, int((at - begin).total_seconds() // 60))] += received
            late[key] += came_late
    accounts = Account.objects.in_bulk({account_id for account_id, _kind in days})
    streams = [
        Stream(
            account=accounts[key[0]],
            kind=key[1],
            last_minute=series[key][-1],
            hour=sum(series[key]),
            day=counts[0],
            late_hour=late[key],
            late_day=counts[1],
            from_files=counts[2],
            minutes=tuple(series[key]),
        )
        for key, counts in days.items()
    ]
    return sorted(streams, key=lambda one: (one.platform, one.account.name, one.kind))
