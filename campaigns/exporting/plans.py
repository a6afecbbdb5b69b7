"""In: daily exports of tasks. Out: an ``Export`` for each day that is over, by the account's clock.

A day has the calls that happened on it as far as they are known when the file is made. Days on
which no worker ran are made up for, a week back.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.utils import timezone

from campaigns.criteria import CALLS, read_criteria
from campaigns.exporting.steps import ExportRefused, ask_export
from campaigns.masking import mask_numbers
from campaigns.models import ExportPlan

#: days that are made up for
MOST_DAYS = 7
EXPORT, UNMASK = "campaigns.export_data", "campaigns.unmask_phone"


def list_due_days(plan: ExportPlan, *, now: datetime) -> list[date]:
    """The days whose file is due and not asked for yet, the oldest first."""
    zone = ZoneInfo(plan.task.account.time_zone)
    here = now.astimezone(zone)
    last = here.date() - timedelta(days=1 if here.time() >= plan.at else 2)
    made = plan.created_at.astimezone(zone).date()
    # the day before it was made is the first one that it can have
    first = max(plan.done_until + timedelta(days=1) if plan.done_until else made, made)
    first = max(first, last - timedelta(days=MOST_DAYS - 1))
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def make_planned(*, now: datetime | None = None) -> int:
    """Ask for the files that are due; returns how many. Of somebody who lost the right to export,
    nothing is made."""
    number = 0
    plans = ExportPlan.objects.filter(is_active=True).select_related("task__account", "created_by")
    for plan in plans:
        for day in list_due_days(plan, now=now or timezone.now()):
            number += _ask(plan, day)
    return number


def _ask(plan: ExportPlan, day: date) -> bool:
    owner = plan.created_by
    if owner is None or not owner.is_active or not owner.has_perm(EXPORT):
        return False
    zone = ZoneInfo(plan.task.account.time_zone)
    begins = datetime.combine(day, time(), zone)
    ends = datetime.combine(day + timedelta(days=1), time(), zone)
    criteria = read_criteria(
        CALLS,
        {
            "task__id__exact": str(plan.task_id),
            "happened_at_from": begins.isoformat(),
            "happened_at_to": ends.isoformat(),
        },
    )
    try:
        with transaction.atomic():
            ask_export(
                CALLS,
                criteria,
                form=plan.form,
                words=plan.words,
                whole=plan.whole and owner.has_perm(UNMASK),
                zone=zone.key,
                by=owner,
                plan=plan,
                day=day,
                file_name=f"{mask_numbers(plan.task.name, likely=True)[:80]}-{day.isoformat()}",
            )
            ExportPlan.objects.filter(pk=plan.pk).update(done_until=day)
    except IntegrityError:  # another worker was faster
        return False
    except ExportRefused:  # too many of them wait: it is asked for again next time
        return False
    return True
