"""In: the accounts whose platform lists failed pushes. Out: each day asked for while it is listed.

A day is asked for in the night after it, and once more a day later: the platform may have written
on. A day that cannot be asked for is tried again until the platform lists it no more; from the
fourth try on, and when it is missed, it is an alarm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.connections import open_client
from campaigns.models import Account, FailedPushDay, FailedPushFile
from campaigns.platforms.contract import Can
from campaigns.platforms.errors import PlatformError, Uncertain

#: seconds before the second, third … try; the last one repeats
WAITS = (60, 300, 900, 3600, 10_800)
LEASE_SECONDS = 180.0
#: so many tries without a list, and a person should know
ALARM_TRIES = 4
#: after midnight of the account's zone: the platform tries on for a while, and nobody says in which
#: zone its days are
FIRST_ASK = timedelta(hours=1)
ASKS = 2
#: no day of a platform has more
MOST_FILES = 2000
#: days before the last known one that are written down as missed
LONGEST_AWAY = 60

NOT_ASKED = N_("The platform could not be asked for its list of failed pushes.")
NO_LIST = N_("The platform did not answer with a list: what failed on this day is not known.")
OUT_OF_REACH = N_("The platform does not list this day any more.")
SWITCHED_OFF = N_("The account is switched off; nothing is asked for it.")
REFUSED_PATHS = N_("The list held entries that are no path below the account's prefix.")


class FailedPushRefused(Exception):
    """A person wanted something that cannot be; the text is a sentence, translated."""


# --------------------------------------------------------------------------- which days there are


def list_accounts() -> list[Account]:
    """The accounts whose platform lists failed pushes."""
    return [one for one in Account.objects.order_by("id") if one.can(Can.LIST_FAILED_PUSHES)]


def list_days(account: Account, *, now: datetime | None = None) -> list[date]:
    """The days that the platform lists now, the newest first; today is not among them."""
    today = (now or timezone.now()).astimezone(account.zone).date()
    return [today - timedelta(days=n) for n in range(1, account.vendor.limits.failed_push_days + 1)]


def plan_days(*, now: datetime | None = None) -> int:
    """Write down the days that are to be asked for now; returns how many are new or due again."""
    moment = now or timezone.now()
    planned = 0
    for account in list_accounts():
        local = moment.astimezone(account.zone)
        days = list_days(account, now=moment)
        since = account.created_at.astimezone(account.zone).date()
        wanted = [day for day in days if day >= since and _begins(account, day) <= local]
        _miss_days(account, min(days), since)
        if account.is_active:
            planned += _add_days(account, wanted)
            planned += _ask_twice(account, days, moment)
    return planned


def _begins(account: Account, day: date) -> datetime:
    """The moment from which a day is asked for."""
    midnight = datetime.combine(day + timedelta(days=1), time(), account.zone)
    return midnight + FIRST_ASK


def _add_days(account: Account, days: Iterable[date]) -> int:
    known = set(account.failed_push_days.filter(day__in=days).values_list("day", flat=True))
    rows = [
        FailedPushDay(account=account, day=day, next_try_at=timezone.now())
        for day in sorted(days)
        if day not in known
    ]
    FailedPushDay.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _ask_twice(account: Account, days: list[date], now: datetime) -> int:
    rows = account.failed_push_days.filter(
        status="listed",
        day__in=days[1:],
        lists__lt=ASKS,
        listed_at__lt=now - timedelta(hours=20),
    )
    return lifecycle.move_rows(rows, "due", of=["listed"], tries=0, next_try_at=now)


def _miss_days(account: Account, first: date, since: date) -> None:
    """Days that the platform lists no more and that were never asked for with success."""
    late = account.failed_push_days.filter(day__lt=first, status__in=["due", "asking"])
    for row in late.filter(lists=0):
        # Who said a word about a day that was late has said nothing about one that is lost.
        lifecycle.move(
            row, "missed", of=["due", "asking"], reason=OUT_OF_REACH,
            dismissed_at=None, dismissed_by=None,
        )  # fmt: skip
    for row in late.filter(lists__gt=0):  # it was to be asked for once more, no more than that
        lifecycle.move_rows(FailedPushDay.objects.filter(pk=row.pk), "asking", of=["due"])
        lifecycle.move_rows(FailedPushDay.objects.filter(pk=row.pk), "listed", of=["asking"])
    newest = account.failed_push_days.order_by("-day").values_list("day", flat=True).first()
    if newest is None:
        return  # never asked for until now, nothing was promised of the days before
    begin = max(since, first - timedelta(days=LONGEST_AWAY), newest + timedelta(days=1))
    away = [begin + timedelta(days=n) for n in range(max(0, (first - begin).days))]
    FailedPushDay.objects.bulk_create(
        [FailedPushDay(account=account, day=day) for day in away], ignore_conflicts=True
    )
    reason = OUT_OF_REACH if account.is_active else SWITCHED_OFF
    for row in account.failed_push_days.filter(day__in=away, status="due") if away else ():
        lifecycle.move(row, "missed", of=["due"], reason=reason)


def list_due_days(*, limit: int = 200) -> list[int]:
    """Days whose next try is due, or whose asker died."""
    due = FailedPushDay.objects.filter(
        status__in=["due", "asking"], next_try_at__lte=timezone.now(), account__is_active=True
    )
    return list(due.order_by("next_try_at", "id").values_list("pk", flat=True)[:limit])


# ---------------------------------------------------------------------------------------- asking


def ask_day(day_id: int) -> list[int] | None:
    """Ask the platform for the files of one day, if nobody else is at it.

    Returns the ids of the files to fetch; None when it is another's, or could not be asked for
    (the row says why, and when it is tried again).
    """
    row = _claim(day_id)
    if row is None:
        return None
    account = row.account
    midday = datetime.combine(row.day, time(12), account.zone)
    try:
        found = open_client(account).list_failed_pushes(midday)
    except Uncertain:
        _give_back(row, NO_LIST)
        return None
    except PlatformError as error:
        _give_back(row, error.advice or NOT_ASKED)
        return None
    paths = found.paths[:MOST_FILES]
    refused = found.refused + len(found.paths) - len(paths)
    now = timezone.now()
    if set(paths) - set(row.files.values_list("path", flat=True)):
        # Who said a word about the day did not mean files that nobody knew of.
        FailedPushDay.objects.filter(pk=row.pk).update(dismissed_at=None, dismissed_by=None)
    FailedPushFile.objects.bulk_create(
        [FailedPushFile(day=row, path=path, next_try_at=now) for path in paths],
        ignore_conflicts=True,
    )
    # What was read before is fetched once more: under the same name there may be more by now.
    again = row.files.filter(path__in=paths)
    lifecycle.move_rows(again, "listed", of=["read", "failed"], tries=0, next_try_at=now)
    lifecycle.move_rows(
        FailedPushDay.objects.filter(pk=row.pk, tries=row.tries),
        "listed",
        of=["asking"],
        reason=REFUSED_PATHS if refused else "",
        refused=refused,
        lists=row.lists + 1,
        listed_at=now,
        next_try_at=None,
    )
    return list(row.files.filter(status="listed").order_by("id").values_list("pk", flat=True))


def _claim(day_id: int) -> FailedPushDay | None:
    now = timezone.now()
    rows = FailedPushDay.objects.filter(pk=day_id)
    lifecycle.move_rows(rows.filter(next_try_at__lte=now), "due", of=["asking"])
    row = rows.select_related("account").filter(status="due").first()
    if row is None or not row.account.is_active:
        return None
    claimed = lifecycle.move_rows(
        rows.filter(next_try_at__lte=now, tries=row.tries),
        "asking",
        of=["due"],
        tries=row.tries + 1,
        next_try_at=now + timedelta(seconds=LEASE_SECONDS),
    )
    if not claimed:
        return None
    row.refresh_from_db()
    return row


def _give_back(row: FailedPushDay, reason: str) -> None:
    wait = WAITS[min(row.tries, len(WAITS)) - 1]
    lifecycle.move_rows(
        FailedPushDay.objects.filter(pk=row.pk, tries=row.tries),
        "due",
        of=["asking"],
        reason=reason,
        next_try_at=timezone.now() + timedelta(seconds=wait),
    )


def ask_again(account: Account, day: date, *, by: Any = None) -> FailedPushDay:
    """Have a day asked for now, and its files fetched anew, whatever came of it before.

    Raises ``FailedPushRefused``.
    """
    if not account.can(Can.LIST_FAILED_PUSHES):
        raise FailedPushRefused(account.explain(Can.LIST_FAILED_PUSHES))
    if not account.is_active:
        raise FailedPushRefused(_(SWITCHED_OFF))
    days = list_days(account)
    if day not in days:
        raise FailedPushRefused(
            _("The platform lists the days from %(first)s to %(last)s only.")
            % {"first": min(days), "last": max(days)}
        )
    now = timezone.now()
    row, is_new = FailedPushDay.objects.get_or_create(
        account=account, day=day, defaults={"next_try_at": now}
    )
    if not is_new:
        wanted = N_("Somebody wants it asked for again.")
        if not lifecycle.move(
            row, "due", of=["listed", "missed"], reason=wanted, by=by, tries=0, next_try_at=now,
            dismissed_at=None, dismissed_by=None, note="",
        ):  # fmt: skip
            waiting = FailedPushDay.objects.filter(pk=row.pk, status="due")
            waiting.update(next_try_at=now, tries=0)
        row.refresh_from_db()
    return row


# ---------------------------------------------------------------------------------------- alarms


def find_alarms() -> QuerySet[FailedPushDay]:
    """The days of which something could not be fetched or read, and nobody has said a word yet."""
    slow = Q(status__in=["listed", "fetching"], tries__gte=ALARM_TRIES)
    failed = FailedPushFile.objects.filter(slow | Q(status="failed")).values("day")
    late = Q(status__in=["due", "asking"], tries__gte=ALARM_TRIES)
    odd = Q(refused__gt=0, status="listed")
    return FailedPushDay.objects.filter(
        Q(status="missed") | late | odd | Q(pk__in=failed), dismissed_at=None
    )


def dismiss_day(row: FailedPushDay, *, note: str, by: Any) -> None:
    """Somebody has looked into it, and says so. Raises ``FailedPushRefused``."""
    note = note.replace("\x00", "").strip()[:2000]
    if not note:
        raise FailedPushRefused(_("Say what was done about it."))
    said = FailedPushDay.objects.filter(pk=row.pk, pk__in=find_alarms().values("pk"))
    person = by if getattr(by, "pk", None) else None
    if not said.update(dismissed_at=timezone.now(), dismissed_by=person, note=note):
        raise FailedPushRefused(_("There is nothing to say about this day any more."))


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """A day in numbers."""

    files: int
    open: int
    failed: int
    objects: int
    new: int
    known: int
    odd: int


def summarise_day(row: FailedPushDay) -> CaughtUp:
    counts = row.files.aggregate(
        files=Count("id"),
        open=Count("id", filter=Q(status__in=["listed", "fetching", "stored"])),
        failed=Count("id", filter=Q(status="failed")),
        objects=Sum("objects_count", default=0),
        new=Sum("new_count", default=0),
        known=Sum("known_count", default=0),
        odd=Sum("odd_count", default=0),
    )
    return CaughtUp(**counts)
