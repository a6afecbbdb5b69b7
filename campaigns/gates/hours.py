"""In: a task, an account, a moment. Out: a hold while nobody of it may be called.

The task's windows and the account's hours, days and holidays must all be open by the account's
clock. Where a number may be elsewhere, the account's hours (of an account without any: the task's
windows), the days and the holidays of that country must be open there as well, in every zone that
the number may be in. What cannot be read closes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns.gates import opening
from campaigns.gates.hold import Hold
from campaigns.gates.opening import HoursUnreadable, Rule, Windows, ZoneUnknown
from campaigns.gates.places import Place, locate_abroad, read_places, store_places
from campaigns.models import Account, Batch, Contact, Holiday, Task

RULE = "hours"

HOURS = N_(
    "Nobody is called now: the calling hours are %(hours)s (%(zone)s). They open at %(opens)s."
)
DAY = N_("Nobody is called on this day of the week (%(zone)s). The hours open at %(opens)s.")
HOLIDAY = N_("Nobody is called on this day: %(name)s (%(zone)s). The hours open at %(opens)s.")
NEVER = N_(
    "Nobody is called: the calling hours %(hours)s (%(zone)s) do not open within %(days)s days."
)
UNREADABLE = N_(
    "Nobody is called: the calling hours or days of the task or of its account cannot be read."
    " Correct them."
)
UNKNOWN_ZONE = N_(
    "Nobody is called: no clock is known for the time zone “%(zone)s”. Correct the account's zone."
)
NO_DAYS = N_("Nobody is called: the account has no calling day. Choose its days of the week.")
NEVER_MEET = N_(
    "Nobody is called: the task's calling windows %(windows)s lie outside of the account's calling"
    " hours %(hours)s."
)
NOT_COVERED = N_(
    "Where the number is (%(zone)s), people are called %(hours)s, on its calling days. The platform"
    " would call at other hours as well: it keeps %(windows)s (%(home)s) for everybody in a task."
)


def find_closed(
    task: Task,
    moment: datetime,
    *,
    places: Iterable[Place] = (),
    keeps: Windows | None = None,
    near: Holidays | None = None,
) -> Hold | None:
    """The hold while it is closed, at home or at one of the ``places`` abroad.

    ``keeps`` are the windows that the platform itself keeps: while these are closed it calls
    nobody, and nothing has to be held back. ``near`` are the account's holidays of these days,
    where the caller has read them already.
    """
    account = task.account
    try:
        zone = opening.read_zone(account.time_zone)
        read_hours(task)
        near = list_holidays(account, moment, days=2) if near is None else near
        rules = make_rules(task, places, near)
        if keeps is not None and not Rule(zone, (keeps or opening.WHOLE_DAY,)).is_open(moment):
            return None
        closed = next((rule for rule in rules if not rule.is_open(moment)), None)
        if closed is None:
            return None
        ahead = list_holidays(account, moment, days=opening.HORIZON_DAYS + 2)
        until = opening.find_opening(make_rules(task, places, ahead), moment)
    except HoursUnreadable:
        return Hold(RULE, UNREADABLE)
    except ZoneUnknown as error:
        return Hold(RULE, UNKNOWN_ZONE, {"zone": str(error)})
    return explain(closed, moment, until)


def find_unmet(task: Task) -> Hold | None:
    """The hold of a task whose windows and its account's hours have no moment in common, or which
    no clock is known for: nothing is created for it, since a platform that is told no hours calls
    at any."""
    try:
        opening.read_zone(task.account.time_zone)
        windows, hours, _days = read_hours(task)
    except HoursUnreadable:
        return Hold(RULE, UNREADABLE)
    except ZoneUnknown as error:
        return Hold(RULE, UNKNOWN_ZONE, {"zone": str(error)})
    if windows and hours and not opening.intersect_windows(windows, hours):
        values = {"windows": opening.print_hours(windows), "hours": opening.print_hours(hours)}
        return Hold(RULE, NEVER_MEET, values)
    return None


def explain(rule: Rule, moment: datetime, until: datetime | None) -> Hold:
    """Why it is closed there, and when everything is open again."""
    local = moment.astimezone(rule.zone)
    hours = rule.windows or (opening.WHOLE_DAY,)
    values: dict[str, Any] = {"zone": rule.zone.key}
    if not rule.days and not any(works for works, _name in rule.special.values()):
        return Hold(RULE, NO_DAYS)
    if until is None:
        shown = ", ".join(opening.print_hours(windows) for windows in hours)
        return Hold(RULE, NEVER, {**values, "hours": shown, "days": opening.HORIZON_DAYS})
    values["opens"] = until.astimezone(rule.zone).strftime("%Y-%m-%d %H:%M")
    for windows in hours:
        days = list(opening.find_days(windows, local))
        if not days:
            return Hold(RULE, HOURS, {**values, "hours": opening.print_hours(windows)}, until)
    named = next((rule.special[day][1] for day in days if day in rule.special), None)
    if named is not None:
        return Hold(RULE, HOLIDAY, {**values, "name": named}, until)
    return Hold(RULE, DAY, values, until)


def read_hours(task: Task) -> tuple[Windows, Windows, frozenset[int]]:
    """The task's windows, its account's hours and days. Raises ``HoursUnreadable``."""
    account = task.account
    return (
        opening.read_windows(task.windows),
        opening.read_windows(account.call_hours),
        opening.read_days(account.call_days),
    )


@dataclass(frozen=True, slots=True)
class Holidays:
    """The rows of the table that matter to one account."""

    rows: Sequence[Holiday]

    def of(self, country: str) -> dict[date, tuple[bool, str]]:
        """The days that are special in a country. What says more precisely for whom it holds wins:
        the account's own row, then that of the country."""
        fitting = [row for row in self.rows if row.region in ("", country)]
        fitting.sort(key=lambda row: (row.account_id is not None, bool(row.region)))
        return {row.day: (row.works, row.name) for row in fitting}


def list_holidays(account: Account, moment: datetime, *, days: int) -> Holidays:
    """Those from the day before the moment on, whatever the zone."""
    if not account.keeps_holidays:
        return Holidays(())
    today = moment.date()
    rows = Holiday.objects.filter(Q(account=None) | Q(account=account.pk))
    span = (today - timedelta(days=3), today + timedelta(days=days))
    return Holidays(list(rows.filter(day__range=span).order_by()))


def make_rules(task: Task, places: Iterable[Place], holidays: Holidays) -> list[Rule]:
    """What must be open: at home, and in each zone of each place."""
    account = task.account
    windows, hours, days = read_hours(task)
    home = opening.read_zone(account.time_zone)
    both = tuple(one for one in (windows, hours) if one)
    there = (hours or windows,) if hours or windows else ()
    rules = [Rule(home, both, days, holidays.of(account.region))]
    for place in places:
        special = holidays.of(place.country or account.region)
        for zone in map(opening.read_zone, place.zones or (account.time_zone,)):
            rules.append(Rule(zone, there, days, special))
    return rules


# --------------------------------------------------------------------------------- of a platform


def make_windows(task: Task) -> Windows:
    """The hours of any day that the platform is told to keep, by the account's clock, none over
    midnight; () when there are none to keep. Raises ``HoursUnreadable``."""
    windows, hours, _days = read_hours(task)
    if windows and hours:
        return opening.intersect_windows(windows, hours)
    return opening.split_at_midnight(windows or hours)


def read_kept(task: Task) -> Windows:
    """The windows that the platform was told to keep when it made the task."""
    told = task.windows if task.platform_windows is None else task.platform_windows
    try:
        return opening.split_at_midnight(opening.read_windows(told))
    except HoursUnreadable:
        return ()


def list_held_places(task: Task) -> tuple[Place, ...]:
    """The places abroad of whom the platform has, or may have."""
    batches = task.batches.filter(status__in=["accepted", "sending", "unknown"])
    stored = list(batches.exclude(places=[]).order_by().values_list("places", flat=True).distinct())
    found = {place for places in stored if places for place in read_places(places)}
    if None in stored:
        # Batches of older versions, which did not look.
        unseen = Contact.objects.filter(batch__in=batches.filter(places__isnull=True))
        found |= set(locate_abroad(task.account, unseen).values())
    return tuple(sorted(found))


# --------------------------------------------------------------------------------- of contacts


def find_closing(
    task: Task, command: str, moment: datetime, *, batch: Batch | None = None
) -> Hold | None:
    """The hold of a command that lets somebody be called at this moment: of a start, everybody whom
    the platform has; else of a batch's numbers. A task that begins later is started for then."""
    if command == "start":
        begins = max(moment, task.begin_at) if task.begin_at else moment
        return find_closed(task, begins, places=list_held_places(task))
    places = read_places(find_places(batch, task.account)) if batch is not None else ()
    return find_closed(task, moment, places=places)


def find_places(batch: Batch, account: Account) -> Any:
    """The places abroad of a batch's numbers, written down if nobody looked at them yet."""
    if batch.places is None:
        contacts = Contact.objects.filter(batch=batch.pk)
        batch.places = store_places(locate_abroad(account, contacts).values())
        Batch.objects.filter(pk=batch.pk).update(places=batch.places)
    return batch.places


def judge_places(task: Task, places: Iterable[Place]) -> dict[Place, Hold]:
    """The places whose numbers may not be handed over at all, each with the reason. Where the
    platform dials by itself, its hours are those of home, so they must suit the place at any time
    until the task ends; where it dials at once, the place must open at some time."""
    places = list(places)
    if not places:
        return {}
    now = timezone.now()
    try:
        holidays = list_holidays(task.account, now, days=opening.HORIZON_DAYS + 2)
        home = make_rules(task, (), holidays)[0]
        inner = [Rule(home.zone, (make_windows(task) or opening.WHOLE_DAY,)), home]
    except (HoursUnreadable, ZoneUnknown):
        return {}  # nobody of the task is called anyhow
    end = now + timedelta(days=opening.HORIZON_DAYS)
    if task.end_at is not None:
        end = min(end, task.end_at)
    at_once = task.fills_instances or task.kind == Task.Kind.DIRECT
    judged = {}
    for place in places:
        try:
            outer = make_rules(task, [place], holidays)[1:]
        except ZoneUnknown as error:
            judged[place] = Hold(RULE, UNKNOWN_ZONE, {"zone": str(error)})
            continue
        hours = ", ".join(opening.print_hours(windows) for windows in outer[0].windows)
        zones = ", ".join(place.zones[:3]) + (" …" if len(place.zones) > 3 else "")
        if at_once and opening.find_opening([home, *outer], now) is None:
            values = {"hours": hours, "zone": zones, "days": opening.HORIZON_DAYS}
            judged[place] = Hold(RULE, NEVER, values)
        elif not at_once and not opening.covers(outer, inner, now, end):
            values = {"hours": hours or "00:00–24:00", "zone": zones, "home": home.zone.key}
            values["windows"] = opening.print_hours(make_windows(task)) or "00:00–24:00"
            judged[place] = Hold(RULE, NOT_COVERED, values)
    return judged
