"""In: what somebody wants called, and how. Out: a draft of a task, or every reason why not.

The form and the command ask the same questions here. Nothing of it talks to the platform.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from itertools import pairwise
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.gates.opening import (
    HoursUnreadable,
    Windows,
    intersect_windows,
    print_hours,
    read_windows,
    split_at_midnight,
)
from campaigns.models import Account, Line, Robot, Task, Voice
from campaigns.models.history import fill_in
from campaigns.platforms.contract import Can

MAX_RECALL_WAIT = 7 * 86400
MAX_DAILY_CAP = 10_000_000
#: the furthest year that every time zone and every platform's clock can hold
LAST_YEAR = 2100

_WINDOW = re.compile(
    r"^(\d{1,2})[:：](\d{2})(?:[:：](\d{2}))?\s*[-–—~至]\s*(\d{1,2})[:：](\d{2})(?:[:：](\d{2}))?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A task that does not exist yet. ``windows`` are pairs of "HH:MM:SS" in the account's zone."""

    account: Account
    name: str
    robot: Robot | None
    lines: Sequence[Line]
    voice: Voice | None = None
    speed: int | None = None
    recall_count: int = 0
    recall_wait_seconds: int | None = None
    windows: Sequence[tuple[str, str]] = ()
    begin_at: datetime | None = None
    end_at: datetime | None = None
    turbo: bool = False
    watch_folder: bool = False
    daily_cap: int | None = None
    kind: str = "campaign"


class DraftRefused(Exception):
    """``errors`` is {field: sentences}, "" for what concerns the whole."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(" ".join(sentence for found in errors.values() for sentence in found))
        self.errors = errors


class WindowsUnreadable(ValueError):
    """The text is no list of windows; the message says what to write."""


def parse_windows(text: str) -> list[tuple[str, str]]:
    """``09:00-12:00, 13:00-17:30`` as pairs of "HH:MM:SS". Raises ``WindowsUnreadable``."""
    windows = []
    for part in re.split(r"[,;，；、\n]+", text):
        if not part.strip():
            continue
        match = _WINDOW.match(part.strip())
        try:
            if match is None:
                raise ValueError
            one, two, three, four, five, six = (int(number or 0) for number in match.groups())
            if (four, five, six) == (24, 0, 0):
                four = 0  # midnight, as some write it
            begin, end = time(one, two, three), time(four, five, six)
            windows.append((begin.isoformat(), end.isoformat()))
        except ValueError:
            raise WindowsUnreadable(
                _("“%(part)s” is not a window. Write them like 09:00-12:00, 13:00-17:30.")
                % {"part": part.strip()[:40]}
            ) from None
    return windows


def read_call_hours(text: str) -> list[list[str]]:
    """The calling hours of an account, as they are kept. Raises ``WindowsUnreadable``."""
    pairs = [list(pair) for pair in parse_windows(text)]
    try:
        problem = check_windows(read_windows(pairs))
    except HoursUnreadable:
        problem = _("A window cannot end when it begins. Write 00:00-24:00 for the whole day.")
    if problem:
        raise WindowsUnreadable(problem)
    return pairs


def print_windows(windows: Sequence[Sequence[str]]) -> str:
    """The text that ``parse_windows`` reads, without seconds where there are none."""
    return ", ".join(
        f"{begin.removesuffix(':00') if begin.count(':') == 2 else begin}-"
        f"{end.removesuffix(':00') if end.count(':') == 2 else end}"
        for begin, end in windows
    )


def check_draft(draft: Draft) -> dict[str, list[str]]:
    """Everything wrong with a draft: {field: sentences for the operator}. Empty when it is fine."""
    errors: dict[str, list[str]] = {}

    def refuse(field: str, sentence: str) -> None:
        errors.setdefault(field, []).append(sentence)

    limits = draft.account.vendor.limits
    if not draft.account.can(Can.CREATE_TASK) and draft.kind == Task.Kind.CAMPAIGN:
        refuse("account", draft.account.explain(Can.CREATE_TASK))
    if not draft.account.is_active:
        refuse("account", _("This account is switched off. Switch it on first."))
    if not draft.name.strip():
        refuse("name", _("Give the task a name."))
    elif len(draft.name) > 100:
        refuse("name", _("The name is longer than 100 characters."))
    elif any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in draft.name):
        refuse("name", _("The name holds a character that cannot be written."))
    _check_robot(draft, refuse)
    _check_lines(draft, refuse)
    if draft.voice is not None:
        if draft.voice.account_id != draft.account.pk:
            refuse("voice", _("This voice belongs to another account."))
        elif draft.voice.gone_at is not None:
            refuse(
                "voice", _("The platform lists this voice no more. Synchronise, choose another.")
            )
    _check_speed(draft, refuse)
    if draft.recall_count < 0 or draft.recall_count > limits.recall_count:
        refuse(
            "recall_count",
            _("This platform recalls at most %(n)d times.") % {"n": limits.recall_count},
        )
    elif draft.recall_count and not draft.recall_wait_seconds:
        refuse("recall_wait_seconds", _("Say how many seconds to wait before a recall."))
    if draft.recall_wait_seconds is not None:
        if not 1 <= draft.recall_wait_seconds <= MAX_RECALL_WAIT:
            refuse("recall_wait_seconds", _("Wait between 1 second and 7 days."))
        elif not draft.recall_count:
            refuse("recall_wait_seconds", _("Without recalls there is nothing to wait for."))
    if draft.daily_cap is not None and not 1 <= draft.daily_cap <= MAX_DAILY_CAP:
        refuse(
            "daily_cap",
            fill_in(
                _("Call between 1 and %(n)d contacts on one day, or leave it empty."),
                {"n": MAX_DAILY_CAP},
            ),
        )
    elif draft.daily_cap is not None and Can.FILL_INSTANCES not in draft.account.vendor.can:
        at_once = sum(line.concurrency or 0 for line in draft.lines)
        if at_once >= draft.daily_cap:
            refuse(
                "daily_cap",
                _(
                    "The lines call %(n)d at once and the platform can only be paused, so so few"
                    " a day cannot be kept: allow more than %(n)d, or choose fewer lines."
                )
                % {"n": at_once},
            )
    _check_windows(draft, refuse)
    _check_times(draft, refuse)
    if limits.end_required and draft.end_at is None:
        refuse("end_at", _("This platform wants to be told when the task ends."))
    return errors


def _check_robot(draft: Draft, refuse: Any) -> None:
    robot = draft.robot
    if robot is None:
        refuse("robot", _("Choose a robot."))
    elif robot.account_id != draft.account.pk:
        refuse("robot", _("This robot belongs to another account."))
    elif robot.gone_at is not None or robot.deleted:
        refuse("robot", _("This robot does not exist at the platform any more."))
    elif not robot.is_usable:
        refuse(
            "robot",
            _("This robot is %(state)s; only published robots can call.")
            % {"state": robot.get_state_display()},
        )
    elif not robot.columns:
        refuse("robot", _("The platform names no column of this robot, not even the phone number."))


def _check_lines(draft: Draft, refuse: Any) -> None:
    if not draft.account.vendor.limits.lines:
        if draft.lines:
            refuse("lines", _("With this platform the line is not ours to choose."))
    elif not draft.lines:
        refuse("lines", _("Choose at least one line."))
    for line in draft.lines:
        if line.account_id != draft.account.pk:
            refuse("lines", _("Line %(line)s belongs to another account.") % {"line": line.number})
        elif line.gone_at is not None:
            refuse("lines", _("The platform lists line %(line)s no more.") % {"line": line.number})


def _check_speed(draft: Draft, refuse: Any) -> None:
    if draft.speed is None:
        return
    speeds = draft.account.vendor.limits.speed
    if speeds is None:
        refuse("speed", _("This platform offers no speed."))
    elif draft.kind == Task.Kind.CAMPAIGN:
        refuse("speed", _("The speed can be chosen for a direct call only."))
    elif not speeds[0] <= draft.speed <= speeds[1]:
        refuse(
            "speed",
            _("Choose a speed from %(low)d to %(high)d.") % {"low": speeds[0], "high": speeds[1]},
        )


def _check_windows(draft: Draft, refuse: Any) -> None:
    if draft.windows and not draft.account.vendor.limits.windows:
        refuse("windows", _("With this platform the calling windows are set in its workflow."))
        return
    try:
        stored = read_windows(draft.windows)
    except HoursUnreadable:
        refuse(
            "windows",
            _("Write the windows like 09:00-12:00, 13:00-17:30, none of them ending as it begins."),
        )
        return
    if problem := check_windows(stored):
        refuse("windows", problem)
        return
    problem = _check_account_hours(draft.account, stored)
    if problem:
        refuse("windows", problem)
    windows = split_at_midnight(stored)
    for line in draft.lines:
        outside = [
            pair for pair in windows if not _fits(pair, split_at_midnight(tuple(line.windows)))
        ]
        if outside:
            begin, end = outside[0]
            refuse(
                "windows",
                _("Line %(line)s works %(hours)s only: %(begin)s-%(end)s is outside.")
                % {
                    "line": line.number,
                    "hours": print_windows(line.hours),
                    "begin": f"{begin:%H:%M}",
                    "end": f"{end:%H:%M}",
                },
            )


def check_windows(windows: Windows) -> str:
    """What is wrong with windows that can be read, as a sentence; "" for nothing."""
    parts = sorted(part for window in windows for part in split_at_midnight((window,)))
    if any(begin < end for (_one, end), (begin, _other) in pairwise(parts)):
        return _("Two of the windows overlap.")
    return ""


def _check_account_hours(account: Account, windows: Windows) -> str:
    """A sentence about a window that never meets the account's calling hours; "" for none."""
    try:
        hours = read_windows(account.call_hours)
    except HoursUnreadable:
        return _("The calling hours of the account cannot be read. Correct them first.")
    for window in windows:
        if hours and not intersect_windows((window,), hours):
            return _("The account's calling hours are %(hours)s: %(window)s is outside.") % {
                "hours": print_hours(hours),
                "window": print_hours((window,)),
            }
    return ""


def _fits(window: tuple[time, time], hours: Sequence[tuple[time, time]]) -> bool:
    """Whether a window lies within a line's working hours; a line that tells none works always.

    Hours that touch (…12:00, 12:00…) count as one.
    """
    if not hours:
        return True
    reached = window[0]
    for begin, end in sorted(hours):
        if begin <= reached < end:
            reached = end
        if reached >= window[1]:
            return True
    return False


def _check_times(draft: Draft, refuse: Any) -> None:
    now = timezone.now()
    for name in ("begin_at", "end_at"):
        moment = getattr(draft, name)
        if moment is not None and not 2000 <= moment.year <= LAST_YEAR:
            refuse(name, _("This is not a year anybody is called in."))
            return
    if draft.end_at is not None and draft.end_at <= now:
        refuse("end_at", _("The end is in the past."))
    if draft.begin_at is not None and draft.end_at is not None and draft.end_at <= draft.begin_at:
        refuse("end_at", _("The end must be after the begin."))
    elif (
        draft.end_at is not None
        and draft.windows
        and not _window_between(draft, draft.begin_at or now)
    ):
        refuse("end_at", _("No calling window opens between begin and end."))


def _window_between(draft: Draft, begin: datetime) -> bool:
    """Whether any calling window is open at some moment from begin to end."""
    assert draft.end_at is not None
    zone = draft.account.zone
    first, last = begin.astimezone(zone), draft.end_at.astimezone(zone)
    if (last - first).days >= 1:
        return True
    try:
        pairs = split_at_midnight(read_windows(draft.windows))
    except HoursUnreadable:
        return True
    days = {first.date(), last.date()}
    return any(
        datetime.combine(day, one, zone) < last and datetime.combine(day, two, zone) > first
        for day in days
        for one, two in pairs
    )


@transaction.atomic
def create_draft(draft: Draft, *, by: Any = None) -> Task:
    """The draft as a row. Raises ``DraftRefused``."""
    errors = check_draft(draft)
    if errors:
        raise DraftRefused(errors)
    task = Task(
        account=draft.account,
        kind=draft.kind,
        created_by=by if getattr(by, "pk", None) else None,
    )
    _fill(task, draft)
    task.save()
    task.lines.set(draft.lines)
    return task


@transaction.atomic
def change_draft(task: Task, draft: Draft) -> Task:
    """Write a changed draft, if the task is still one. Raises ``DraftRefused``."""
    errors = check_draft(draft)
    if errors:
        raise DraftRefused(errors)
    row = Task.objects.select_for_update(of=("self",)).get(pk=task.pk)
    if row.status != Task.Status.DRAFT:
        raise DraftRefused(
            {"": [_("The task was launched meanwhile and cannot be changed any more.")]}
        )
    if draft.robot != row.robot and row.contacts.exists():
        raise DraftRefused(
            {
                "robot": [
                    _(
                        "The task has contacts already, loaded for the columns of its robot. Clone "
                        "it to use another robot."
                    )
                ]
            }
        )
    _fill(row, draft)
    row.save()
    row.lines.set(draft.lines)
    return row


def _fill(task: Task, draft: Draft) -> None:
    task.name = draft.name.strip()
    assert draft.robot is not None
    task.robot, task.voice, task.speed = draft.robot, draft.voice, draft.speed
    task.recall_count = draft.recall_count
    task.recall_wait_seconds = draft.recall_wait_seconds
    task.windows = [list(pair) for pair in draft.windows]
    task.begin_at, task.end_at, task.turbo = draft.begin_at, draft.end_at, draft.turbo
    task.watch_folder, task.daily_cap = draft.watch_folder, draft.daily_cap


def read_draft(task: Task) -> Draft:
    """A task as the draft that would make it again."""
    return Draft(
        account=task.account,
        name=task.name,
        robot=task.robot,
        lines=list(task.lines.all()),
        voice=task.voice,
        speed=task.speed,
        recall_count=task.recall_count,
        recall_wait_seconds=task.recall_wait_seconds,
        windows=[(begin, end) for begin, end in task.windows],
        begin_at=task.begin_at,
        end_at=task.end_at,
        turbo=task.turbo,
        watch_folder=task.watch_folder,
        daily_cap=task.daily_cap,
        kind=task.kind,
    )


def clone_task(task: Task, *, by: Any = None) -> Task:
    """A new draft like this task, without its contacts, and without times that are past.

    What the platform no longer has (a robot, a line, a voice) raises ``DraftRefused``.
    """
    draft = read_draft(task)
    now = timezone.now()
    past = draft.end_at is not None and draft.end_at <= now
    draft = replace(
        draft,
        name=_copy_name(task.name),
        begin_at=None if past or (draft.begin_at and draft.begin_at <= now) else draft.begin_at,
        end_at=None if past else draft.end_at,
        kind="campaign",
        speed=None,
    )
    return create_draft(draft, by=by)


def _copy_name(name: str) -> str:
    """The name with the next number behind it."""
    match = re.match(r"^(.*) \((\d{1,4})\)$", name)
    stem, number = (match[1], int(match[2]) + 1) if match else (name, 2)
    return f"{stem[:90]} ({number})"
