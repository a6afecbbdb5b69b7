"""In: a draft. Out: everything that launching it would do, as values that can be kept and shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import approvals, gates
from campaigns.gates import hours, opening, places
from campaigns.models import Contact, Holiday, Line, Task
from campaigns.models.accounts import UNVERIFIED_SETTING
from campaigns.platforms.contract import Can
from campaigns.preview.counting import Group, count_left_out, count_planned, measure_robot
from campaigns.preview.estimating import (
    ASSUMED_ANSWERED,
    ASSUMED_SECONDS,
    HORIZON,
    Assumption,
    Estimate,
    Given,
    count_calls,
    estimate_end,
    list_spans,
)

ENDS_TOO_SOON = N_(
    "By this estimate it ends too soon: about %(n)d of the people would not be called before its"
    " end."
)
TAKES_TOO_LONG = N_("By this estimate it is not over within %(days)d days.")
NEVER_OPEN = N_("Nobody can be called within %(days)d days: its hours are never open.")
OTHER_CLOCK = N_("All hours are those of %(zone)s, where it is %(time)s now; here it is %(here)s.")
LINE_BUSY = N_("Line %(line)s is used by another task at the platform: the calls share it.")
LINE_EXPIRES = N_("Line %(line)s expires on %(day)s.")
FROM_OTHERS = N_(
    "What we know of this platform comes from others' programs, not from its own text. Make a test"
    " call first."
)
CATALOG_OLD = N_("Robots and lines were read from the platform %(days)d days ago. Synchronise.")
MAY_BE_LAUNCHED = N_(
    "The database was restored after this draft was made: it may have been launched already. Look"
    " at the platform before you launch it."
)
ABROAD = N_(
    "Of the first %(of)d numbers abroad, %(n)d will be left out: it is never time to call where"
    " they are."
)
MOST_LINES, MOST_HOLIDAYS = 50, 30
#: a number's place takes a tenth of a millisecond: of a long list its beginning tells
PLACES_LOOKED_AT = 1_000
OLD_CATALOG = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFacts:
    """One line as it would be used. ``hours`` are pairs of "HH:MM:SS"."""

    id: int
    number: str
    concurrency: int | None
    hours: list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """An English sentence with places for values, translated when shown."""

    reason: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPreview:
    """``people`` will be called of those that are ``ready``; ``left_out`` are no more ready,
    ``would_leave_out`` are what planning leaves out now. Texts are English sentences with places
    for values. Nothing in it is a phone number of somebody to be called."""

    taken_at: datetime
    ready: int
    people: int
    left_out: list[Group]
    would_leave_out: list[Group]
    batches: int
    batch_size: int
    instances: int
    lines: list[LineFacts]
    zone: str
    windows: list[list[str]]
    call_hours: list[list[str]]
    call_days: list[int]
    holidays: list[dict[str, Any]]
    begin_at: datetime | None
    end_at: datetime | None
    recalls: int
    recall_wait_seconds: int | None
    daily_cap: int | None
    #: the rule that would hold back a call at this moment
    hold: dict[str, Any] | None
    #: {"seconds", "answered", "at_once"}
    assumptions: dict[str, Assumption]
    most_calls: int
    expected_calls: int
    #: seconds of calling, without the hours in which nobody is called
    seconds: float | None
    ends_at: datetime | None
    warnings: list[Caution]
    #: one person alone may not launch it
    needs_second: bool
    #: of everything that decides whom a launch calls, see ``approvals``
    fingerprint: str

    def as_facts(self) -> dict[str, Any]:
        """What JSON holds: times as ISO text."""
        return {name: _to_json(value) for name, value in asdict(self).items()}


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return value


def describe_launch(
    task: Task, *, given: Given | None = None, now: datetime | None = None
) -> LaunchPreview:
    """What launching the task now would do. Nothing is written, nobody is asked."""
    moment = now or timezone.now()
    account, limits = task.account, task.account.vendor.limits
    ready, people, would_leave_out = count_planned(task)
    size = limits.rows_per_insert or 1
    room = limits.contacts_per_instance if task.fills_instances else 0
    lines = list(task.lines.order_by("number")[:MOST_LINES])
    assumptions = make_assumptions(task, lines, given or Given())
    estimate, opens = _estimate(task, lines, people, assumptions, moment)
    answered = assumptions["answered"].value or 0.0
    hold = gates.find_hold(task, "start", now=moment)
    until = estimate.ends_at if estimate and estimate.ends_at else moment + HORIZON
    preview = LaunchPreview(
        taken_at=moment,
        ready=ready,
        people=people,
        left_out=count_left_out(task),
        would_leave_out=would_leave_out,
        batches=-(-people // size),
        batch_size=size,
        instances=-(-people // room) if room else 0,
        lines=[
            LineFacts(id=one.pk, number=one.number, concurrency=one.concurrency, hours=one.hours)
            for one in lines
        ],
        zone=account.time_zone,
        windows=task.windows,
        call_hours=account.call_hours,
        call_days=account.call_days,
        holidays=list_holidays(task, moment, until),
        begin_at=task.begin_at,
        end_at=task.end_at,
        recalls=task.recall_count,
        recall_wait_seconds=task.recall_wait_seconds,
        daily_cap=task.daily_cap,
        hold=None if hold is None else asdict(hold),
        assumptions=assumptions,
        most_calls=people * (1 + task.recall_count),
        expected_calls=round(count_calls(people, recalls=task.recall_count, answered=answered)),
        seconds=estimate.seconds if estimate else None,
        ends_at=estimate.ends_at if estimate else None,
        warnings=[],
        needs_second=approvals.needs_second(task),
        fingerprint=approvals.fingerprint_launch(task),
    )
    preview.warnings.extend(list_warnings(task, lines, preview, estimate, opens=opens))
    return preview


def make_assumptions(task: Task, lines: list[Line], given: Given) -> dict[str, Assumption]:
    """What the estimate rests on: what was given, else measured or told, else assumed."""
    measured = measure_robot(task.robot)
    made = {
        "seconds": Assumption(measured.seconds, "measured", measured.calls)
        if measured.seconds
        else Assumption(ASSUMED_SECONDS, "assumed"),
        "answered": Assumption(measured.answered, "measured", measured.calls)
        if measured.answered is not None
        else Assumption(ASSUMED_ANSWERED, "assumed"),
    }
    told = [line.concurrency for line in lines if line.concurrency]
    if lines and len(told) == len(lines):
        made["at_once"] = Assumption(sum(told), "told")
    else:
        made["at_once"] = Assumption(sum(told) or None, "told" if told else "unknown")
    for name in made:
        value = getattr(given, name)
        if value is not None:
            made[name] = Assumption(value, "given")
    return made


def _estimate(
    task: Task,
    lines: list[Line],
    people: int,
    assumptions: dict[str, Assumption],
    moment: datetime,
) -> tuple[Estimate | None, bool]:
    """When everybody was called, and whether anybody can be called at all within the horizon; None
    where it is not known how many calls there are at once."""
    account = task.account
    at_once = assumptions["at_once"]
    if not people or not at_once.value:
        return None, True
    begin = max(moment + _time_to_hand_over(task, people), task.begin_at or moment)
    try:
        holidays = hours.list_holidays(account, begin, days=HORIZON.days + 2)
        home = hours.make_rules(task, (), holidays)[0]
    except (opening.HoursUnreadable, opening.ZoneUnknown):
        return None, False
    calls = count_calls(
        people, recalls=task.recall_count, answered=assumptions["answered"].value or 0.0
    )
    working = [
        (
            line.concurrency or 0,
            opening.Rule(home.zone, (tuple(line.windows),) if line.hours else ()),
        )
        for line in lines
    ]
    opened = False

    def count_at_once(middle: datetime) -> int:
        nonlocal opened
        working_now = [most for most, rule in working if rule.is_open(middle)]
        if not home.is_open(middle) or (working and not working_now):
            return 0
        opened = True
        return sum(working_now) if at_once.source == "told" else int(at_once.value or 0)

    rules = [home, *(rule for _most, rule in working)]
    estimate = estimate_end(
        list_spans(
            begin,
            opening.list_changes(rules, begin, begin + HORIZON),
            count_at_once=count_at_once,
        ),
        people=people,
        calls_each=calls / people,
        seconds=assumptions["seconds"].value or ASSUMED_SECONDS,
        zone=home.zone,
        daily_cap=task.daily_cap,
        deadline=task.end_at,
    )
    return estimate, opened


def _time_to_hand_over(task: Task, people: int) -> timedelta:
    """At the account's pace; a platform that dials at once begins with the first batch."""
    if task.fills_instances or not task.account.rate_limit:
        return timedelta()
    requests = -(-people // (task.account.vendor.limits.rows_per_insert or 1)) + 3
    return timedelta(seconds=requests / task.account.rate_limit)


def _read_zone(task: Task) -> ZoneInfo | None:
    """The account's clock; None where its zone is unknown, and nobody is called."""
    try:
        return opening.read_zone(task.account.time_zone)
    except opening.ZoneUnknown:
        return None


def list_holidays(task: Task, begin: datetime, end: datetime) -> list[dict[str, Any]]:
    """The days within the calling that have other hours; the nearest first."""
    account, zone = task.account, _read_zone(task)
    if not account.keeps_holidays or zone is None:
        return []
    days = Holiday.objects.filter(
        Q(account=None) | Q(account=account),
        region__in=["", account.region],
        day__gte=begin.astimezone(zone).date(),
        day__lte=end.astimezone(zone).date(),
    )
    return [
        {"day": one.day.isoformat(), "name": one.name, "works": one.works}
        for one in days.order_by("day")[:MOST_HOLIDAYS]
    ]


def list_warnings(
    task: Task,
    lines: list[Line],
    preview: LaunchPreview,
    estimate: Estimate | None,
    *,
    opens: bool,
) -> list[Caution]:
    """What whoever launches should know, without its forbidding it."""
    account, moment = task.account, preview.taken_at
    found: list[Caution] = []

    def warn(reason: str, **values: Any) -> None:
        found.append(Caution(reason=reason, values=values))

    if approvals.is_older_than_restore(task):
        warn(MAY_BE_LAUNCHED)
    if not opens:
        warn(NEVER_OPEN, days=HORIZON.days)
    elif estimate and task.end_at and estimate.reached < preview.people:
        warn(ENDS_TOO_SOON, n=preview.people - estimate.reached)
    elif estimate and estimate.ends_at is None:
        warn(TAKES_TOO_LONG, days=HORIZON.days)
    zone = _read_zone(task)
    there, here = moment.astimezone(zone), timezone.localtime(moment)
    if zone and there.utcoffset() != here.utcoffset():
        warn(OTHER_CLOCK, zone=account.time_zone, time=f"{there:%H:%M}", here=f"{here:%H:%M}")
    over = preview.ends_at or task.end_at
    for line in lines:
        if line.state == Line.State.BUSY:
            warn(LINE_BUSY, line=line.number)
        if line.expires_at and over and line.expires_at < over:
            day = line.expires_at.astimezone(zone).date()
            warn(LINE_EXPIRES, line=line.number, day=day.isoformat())
    closed, abroad = count_closed_abroad(task)
    if closed:
        warn(ABROAD, n=closed, of=abroad)
    if (
        Can.CREATE_TASK in account.vendor.unverified
        and account.get_setting(UNVERIFIED_SETTING) == "on"
    ):
        warn(FROM_OTHERS)
    if account.synced_at and moment - account.synced_at > OLD_CATALOG:
        warn(CATALOG_OLD, days=(moment - account.synced_at).days)
    return found


def count_closed_abroad(task: Task) -> tuple[int, int]:
    """How many of the first numbers abroad the planner will leave out for the hours of where they
    are, and of how many."""
    ready = places.keep_foreign(
        task.account, Contact.objects.filter(task=task, status=Contact.Status.READY)
    )
    ids = list(ready.order_by("id").values_list("pk", flat=True)[:PLACES_LOOKED_AT])
    abroad = places.locate_abroad(task.account, Contact.objects.filter(pk__in=ids))
    closed = hours.judge_places(task, set(abroad.values()))
    return sum(place in closed for place in abroad.values()), len(abroad)
