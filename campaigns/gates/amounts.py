"""In: a task and a moment. Out: a hold while its day is spent, or its account stopped.

What a day's amount is depends on who decides when somebody is called. A platform that dials at once
what it is given gets no more than the amount in a day: exact. A platform that dials by itself once
it is started is told to pause when the amount is nearly reached: so many calls as its lines carry
at once may still come, and are left for that.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.utils.translation import gettext_noop as N_

from campaigns.gates.hold import Hold
from campaigns.models import Attempt, Call, Task

STOPPED, SPENT = "account", "daily_cap"
ACCOUNT_STOPPED = N_(
    "The platform refused the whole account. Nothing leaves for it until somebody says on its page"
    " that the cause is repaired."
)
DAY_SPENT = N_("%(number)d contacts were called today; at most %(allowed)d are in a day.")
DAY_NEARLY_SPENT = N_(
    "%(number)d contacts were called today, and the lines may be calling %(margin)d more; at most"
    " %(allowed)d are in a day."
)
NEW_DAY = N_("A new day has begun meanwhile. It counts anew.")
NO_ZONE = N_("The account's time zone is unknown, so nobody knows when its day ends.")
#: requests of which it is certain that they called nobody
CALLED_NOBODY = ("not_sent", "refused", "confirmed_absent")


def find_stopped(task: Task) -> Hold | None:
    """The hold of an account that the platform refused as a whole. No query."""
    return None if task.account.stopped_at is None else Hold(STOPPED, ACCOUNT_STOPPED)


def find_spent(task: Task, moment: datetime, *, claimed_at: datetime | None = None) -> Hold | None:
    """The hold of a task that had its contacts for today, by the account's clock.

    ``claimed_at``: a batch of it was claimed then, and is about to leave. It counts already; but
    what was claimed yesterday was counted with yesterday.
    """
    if task.daily_cap is None or task.kind == Task.Kind.DIRECT:
        return None
    day = find_day(task, moment)
    if day is None:
        return Hold(SPENT, NO_ZONE)
    begin, end = day
    if task.fills_instances:
        if claimed_at is not None:
            return Hold(SPENT, NEW_DAY, until=moment) if claimed_at < begin else None
        number = count_handed_over(task, begin)
        margin = 0
    else:
        number, margin = count_called(task, begin), find_margin(task)
    if number + margin < task.daily_cap:
        return None
    values = {"number": number, "allowed": task.daily_cap}
    if number >= task.daily_cap:
        return Hold(SPENT, DAY_SPENT, values, end)
    return Hold(SPENT, DAY_NEARLY_SPENT, values | {"margin": margin}, end)


def count_left(task: Task, moment: datetime) -> int | None:
    """How many contacts may still be handed over today; None where nothing limits it. Exact for
    whoever holds the task's row."""
    if task.daily_cap is None or not task.fills_instances:
        return None
    day = find_day(task, moment)
    return 0 if day is None else max(0, task.daily_cap - count_handed_over(task, day[0]))


def find_day(task: Task, moment: datetime) -> tuple[datetime, datetime] | None:
    """The first moment of the day by the account's clock, and that of the next; None when nobody
    knows its clock."""
    try:
        zone = ZoneInfo(task.account.time_zone)
    except (KeyError, ValueError, OSError):
        return None
    today = moment.astimezone(zone).date()
    # In UTC: a midnight that a change of the clock leaves out compares with nothing.
    begin, end = (
        datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
        for day in (today, today + timedelta(days=1))
    )
    return begin, end


def count_handed_over(task: Task, since: datetime) -> int:
    """Contacts that left, or may have left, for the platform since then."""
    left = Attempt.objects.filter(task=task, command=Attempt.Command.INSERT, started_at__gte=since)
    counted = left.exclude(status__in=CALLED_NOBODY).aggregate(total=Sum("batch__size"))
    return counted["total"] or 0


def count_called(task: Task, since: datetime) -> int:
    """Contacts that were called since then, and never before."""
    before = Call.objects.filter(contact=OuterRef("contact"), happened_at__lt=since)
    calls = Call.objects.filter(task=task, happened_at__gte=since)
    counted = calls.exclude(direction=Call.Direction.INBOUND).aggregate(
        known=Count("contact", filter=~Exists(before), distinct=True),
        unknown=Count("pk", filter=Q(contact=None)),
    )
    return int(counted["known"] + counted["unknown"])


def find_margin(task: Task) -> int:
    """Calls that may be going on when the platform is told to pause: as many as the lines carry at
    once. A draft with a smaller amount is refused; lines that grew since let it begin at least."""
    told = task.lines.aggregate(total=Sum("concurrency"))["total"] or 0
    return min(told, max((task.daily_cap or 0) - 1, 0))
