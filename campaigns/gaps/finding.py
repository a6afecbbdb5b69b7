"""In: calls, contacts and tasks that have had their time. Out: a gap for each thing missing.

Only what is certain is a gap, since a list with false ones is read by nobody: what a platform tells
in pushes of their own is expected after an answered call, unless the account gets none of them at
all; a contact is silent when the platform has ended its task; and counters are compared only to
what we know much later, so that a push on its way is no difference. Attempts are compared to calls
and numbers to contacts, never one to the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.translation import gettext_noop as N_

from campaigns.models import (
    Account,
    Call,
    Contact,
    Gap,
    GapMark,
    Recording,
    Task,
    TaskTally,
)
from campaigns.reconcile import has_ended_there

#: calls that are looked at together, and in one run
PORTION, MOST_CALLS = 2000, 40_000
#: on the first run, calls before the newest so many are left alone
FIRST_LOOK = 200_000
#: an account of whose last answered calls not one had a dialog (recording) gets none at all
SAMPLE, FEWEST = 100, 50
#: gaps of contacts in one task; beyond that the task itself says it
MOST_SILENT = 500
#: a direct call that was handed over so long ago is over
DIRECT_OVER = timedelta(hours=2)
#: counters of tasks that ended longer ago are not compared any more
WATCHED = timedelta(days=3)
MOST_TASKS = 500

NO_RECORD = N_("Something came of this call, but no record of it.")
NO_RESULT = N_("The record that holds the result of this call did not come.")
NO_DIALOG = N_("The call was answered, but its dialog did not come.")
NO_RECORDING = N_("The call was answered, but no recording of it was announced.")
NO_DIALOGS = N_("No dialog came of any of the last %(calls)d answered calls.")
NO_RECORDINGS = N_("No recording was announced of any of the last %(calls)d answered calls.")
SILENT = N_("The platform has ended the task, and no call to this contact was ever reported.")
COUNTS = N_(
    "The platform counts %(calls)s calls to %(numbers)s numbers, %(answered)s of them answered."
    " Here are %(our_calls)s, %(our_numbers)s and %(our_answered)s."
)


def find_cutoff(now: datetime) -> datetime:
    """What happened before this moment has had its time to come."""
    return now - timedelta(minutes=settings.GAP_MINUTES)


# ------------------------------------------------------------------------------------------ calls


@dataclass(frozen=True, slots=True)
class _Seen:
    """As much of a call as is looked at."""

    pk: int
    account_id: int
    task_id: int | None
    direction: str
    has_record: bool
    answered: bool | None
    platform_result: str
    talk_seconds: int | None
    turns_count: int
    created_at: datetime
    dialog_deleted_at: datetime | None


_FIELDS = (
    *("pk", "account_id", "task_id", "direction", "has_record", "answered", "platform_result"),
    *("talk_seconds", "turns_count", "created_at", "dialog_deleted_at"),
)


def look_at_calls(*, now: datetime) -> int:
    """Look at every call once, in the order in which we heard of them; returns the gaps found."""
    found = looked = 0
    while looked < MOST_CALLS:
        with transaction.atomic():
            mark = _lock_mark()
            if mark is None:
                return found
            calls = _read_calls(Call.objects.filter(pk__gt=mark.call_id).order_by("pk")[:PORTION])
            ripe = []
            for call in calls:
                if call.created_at > find_cutoff(now):
                    break
                ripe.append(call)
            if not ripe:
                return found
            found += note_missing(ripe)
            mark.call_id = ripe[-1].pk
            mark.save(update_fields=["call_id", "looked_at"])
        looked += len(ripe)
        if len(ripe) < PORTION:
            break
    return found


def look_again(ids: Collection[int]) -> int:
    """Look at these calls once more: their record has come."""
    return note_missing(_read_calls(Call.objects.filter(pk__in=ids)))


def take_turn(what: str, rows: QuerySet[Any], *, most: int) -> list[int]:
    """The ids of the next so many rows behind those of the last time, in a ring: whoever stands at
    the front, run after run, keeps nobody behind from being looked at."""
    _make_mark()
    with transaction.atomic():
        mark = GapMark.objects.select_for_update().get(pk=1)
        after = mark.places.get(what, 0)
        ids = rows.order_by("pk").values_list("pk", flat=True)
        found = list(ids.filter(pk__gt=after)[:most])
        if len(found) < most:
            found += list(ids.filter(pk__lte=after)[: most - len(found)])
        if found:
            mark.places = mark.places | {what: found[-1]}
            mark.save(update_fields=["places"])
    return found


def _make_mark() -> None:
    if not GapMark.objects.exists():
        newest = Call.objects.aggregate(newest=Max("pk"))["newest"] or 0
        GapMark.objects.get_or_create(pk=1, defaults={"call_id": max(0, newest - FIRST_LOOK)})


def _lock_mark() -> GapMark | None:
    """The place we are at; None when another worker is at it."""
    _make_mark()
    return GapMark.objects.select_for_update(skip_locked=True).filter(pk=1).first()


def _read_calls(calls: Any) -> list[_Seen]:
    return [_Seen(*row) for row in calls.values_list(*_FIELDS)]


def note_missing(calls: Collection[_Seen]) -> int:
    """Write a gap for everything that is missing of these calls; returns how many are new."""
    accounts = Account.objects.in_bulk({call.account_id for call in calls})
    spoken = [call for call in calls if call.answered and call.talk_seconds != 0]
    heard = _find_heard([call.pk for call in spoken])
    said = _find_said([call.pk for call in spoken if not call.turns_count])
    gaps = [*_find_unrecorded(calls, accounts)]
    missing = {
        Gap.Kind.DIALOG: [
            call
            for call in spoken
            if not call.turns_count and call.pk not in said and call.dialog_deleted_at is None
        ],
        Gap.Kind.RECORDING: [call for call in spoken if call.pk not in heard],
    }
    for kind, without in missing.items():
        by_account: dict[int, list[_Seen]] = defaultdict(list)
        for call in without:
            if expects(accounts[call.account_id], kind):
                by_account[call.account_id].append(call)
        for account_id, those in by_account.items():
            gaps += _note_follow_ups(account_id, kind, those)
    return _write(gaps)


def expects(account: Account, part: Any) -> bool:
    """Whether pushes with this part of a call go to us, as far as the platform says."""
    kind = account.vendor.follow_ups.get(part)
    if kind is None:
        return False
    return not account.callback_urls or bool(account.callback_urls.get(kind))


def _find_unrecorded(calls: Iterable[_Seen], accounts: dict[int, Account]) -> list[Gap]:
    gaps = []
    for call in calls:
        account = accounts[call.account_id]
        if not call.has_record and expects(account, "record"):
            gaps.append(_make_gap(call, Gap.Kind.RECORD, NO_RECORD))
        elif (
            call.direction == Call.Direction.OUTBOUND
            and not call.platform_result
            and expects(account, "result")
        ):
            gaps.append(_make_gap(call, Gap.Kind.RECORD, NO_RESULT))
    return gaps


def _find_heard(ids: Collection[int]) -> set[int]:
    return set(Recording.objects.filter(call__in=ids).values_list("call_id", flat=True))


def _find_said(ids: Collection[int]) -> set[int]:
    """Calls whose dialog came, though nobody said anything in it."""
    rows = Call.objects.filter(pk__in=ids, evidence__has_key="dialog")
    return set(rows.values_list("pk", flat=True))


def _note_follow_ups(account_id: int, kind: Any, calls: list[_Seen]) -> list[Gap]:
    """A gap for each call, or one for all where the account gets nothing of that kind."""
    sample = count_sample(account_id, kind, before=max(call.pk for call in calls))
    if sample.calls < FEWEST or sample.with_part:
        reason = NO_DIALOG if kind == Gap.Kind.DIALOG else NO_RECORDING
        return [_make_gap(call, kind, reason) for call in calls]
    dialogs = kind == Gap.Kind.DIALOG
    return [
        Gap(
            kind=Gap.Kind.NO_DIALOGS if dialogs else Gap.Kind.NO_RECORDINGS,
            account_id=account_id,
            reason=NO_DIALOGS if dialogs else NO_RECORDINGS,
            reason_values={"calls": sample.calls},
        )
    ]


@dataclass(frozen=True, slots=True)
class Sample:
    """Of so many answered calls so many had the part."""

    calls: int
    with_part: int


def count_sample(account_id: int, kind: Any, *, before: int | None = None) -> Sample:
    """The last answered calls of an account, and how many of them have a dialog (recording)."""
    rows = Call.objects.filter(account=account_id, answered=True)
    if before is not None:
        rows = rows.filter(pk__lte=before)
    newest = list(rows.order_by("-happened_at").values_list("pk", "turns_count")[:SAMPLE])
    ids = [pk for pk, _turns in newest]
    if kind in (Gap.Kind.DIALOG, Gap.Kind.NO_DIALOGS):
        silent = [pk for pk, turns in newest if not turns]
        return Sample(len(ids), len(ids) - len(silent) + len(_find_said(silent)))
    return Sample(len(ids), len(_find_heard(ids)))


def _make_gap(call: _Seen, kind: Any, reason: str) -> Gap:
    return Gap(
        kind=kind, account_id=call.account_id, task_id=call.task_id, call_id=call.pk, reason=reason
    )


def _write(gaps: Collection[Gap]) -> int:
    """What is known already, open or closed, is not written again."""
    calls = {gap.call_id for gap in gaps if gap.call_id}
    known = set(Gap.objects.filter(call__in=calls).values_list("kind", "call_id"))
    new = [gap for gap in gaps if gap.call_id is None or (gap.kind, gap.call_id) not in known]
    open_rows = Gap.objects.filter(closed_at=None, task=None, call=None, contact=None)
    standing = set(open_rows.values_list("kind", "account_id"))
    new = [gap for gap in new if gap.call_id or (gap.kind, gap.account_id) not in standing]
    Gap.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


# --------------------------------------------------------------------------------------- contacts


def find_silent(*, now: datetime) -> int:
    """Contacts that were handed over and of whom no call was reported when their task was over."""
    found = 0
    running = Task.objects.filter(status__in=["running", "paused"])
    ids = take_turn("silent", running, most=MOST_TASKS)
    for task in Task.objects.filter(pk__in=ids).select_related("account").order_by("pk"):
        if _is_over(task, now):
            found += _note_silent(task)
    return found


def _is_over(task: Task, now: datetime) -> bool:
    cutoff = find_cutoff(now)
    if task.kind == Task.Kind.DIRECT:
        return task.launched_at is not None and task.launched_at < cutoff - DIRECT_OVER
    ended = task.end_at is not None and task.end_at < cutoff
    if not ended and not has_ended_there(task):
        return False
    newest = task.calls.aggregate(newest=Max("updated_at"))["newest"]
    last = max(filter(None, (newest, task.launched_at)), default=None)
    return last is not None and last < cutoff


def _note_silent(task: Task) -> int:
    room = MOST_SILENT - Gap.objects.filter(task=task, kind=Gap.Kind.SILENT, closed_at=None).count()
    if room <= 0:
        return 0
    silent = Contact.objects.filter(task=task, status="accepted", calls_made=0)
    new = silent.exclude(gaps__kind=Gap.Kind.SILENT).order_by("id").values_list("pk", flat=True)
    gaps = [
        Gap(
            kind=Gap.Kind.SILENT,
            account_id=task.account_id,
            task=task,
            contact_id=pk,
            reason=SILENT,
        )
        for pk in new[:room]
    ]
    Gap.objects.bulk_create(gaps, ignore_conflicts=True)
    return len(gaps)


# ---------------------------------------------------------------------------------------- counters


def compare_counts(*, now: datetime) -> int:
    """Compare what a platform had counted with what we know ``GAP_MINUTES`` later."""
    found = 0
    tasks = Task.objects.filter(
        kind=Task.Kind.CAMPAIGN,
        status__in=["starting", "running", "paused", "finished"],
        platform_checked_at__gt=now - WATCHED,
    ).exclude(platform_counts={})
    ids = take_turn("compared", tasks, most=MOST_TASKS)
    for task in Task.objects.filter(pk__in=ids).select_related("account").order_by("pk"):
        found += _compare_task(task, now)
    return found


def _compare_task(task: Task, now: datetime) -> int:
    told = read_counts(task)
    if not told or task.platform_checked_at is None:
        return 0
    new = {"told_at": task.platform_checked_at, "told": told, "compared_at": None}
    tally, is_new = TaskTally.objects.get_or_create(task=task, defaults=new)
    if is_new or tally.told_at > find_cutoff(now):
        return 0
    found = 0
    if tally.compared_at is None:
        found = _note_difference(task, tally.told)
        TaskTally.objects.filter(pk=tally.pk).update(compared_at=now)
    if task.platform_checked_at > tally.told_at:
        TaskTally.objects.filter(pk=tally.pk).update(**new)
    return found


def read_counts(task: Task) -> dict[str, int]:
    """The platform's counters of a task, by what they count; without one that cannot be what its
    name says: of more numbers than the task has, or as many as calls where some are called again,
    it counts attempts."""
    told = {
        meaning: number
        for name, meaning in task.account.vendor.counters.items()
        if isinstance(number := task.platform_counts.get(name), int)
        and not isinstance(number, bool)
        and 0 <= number < 2**31
    }
    numbers, calls = told.get("numbers"), told.get("calls")
    if numbers is not None:
        most = task.platform_contacts
        too_many = most is not None and numbers > most
        if too_many or (task.recall_count and numbers == calls):
            del told["numbers"]
    return told


def count_ours(task: Task) -> dict[str, int]:
    calls = Call.objects.filter(task=task, direction=Call.Direction.OUTBOUND)
    return {
        "calls": calls.count(),
        "numbers": Contact.objects.filter(task=task, calls_made__gt=0).count(),
        "answered": calls.filter(answered=True).count(),
    }


def is_short(told: dict[str, int], ours: dict[str, int]) -> bool:
    return any(told[name] > ours[name] for name in told)


def _note_difference(task: Task, told: dict[str, int]) -> int:
    ours = count_ours(task)
    if not is_short(told, ours):
        return 0
    values = {
        **{name: told.get(name, "?") for name in ("calls", "numbers", "answered")},
        **{f"our_{name}": number for name, number in ours.items()},
        "told": told,
    }
    gaps = Gap.objects.filter(kind=Gap.Kind.COUNTS, task=task, call=None, contact=None)
    newest = gaps.order_by("-id").first()
    if newest is not None and newest.closed_at is None:
        Gap.objects.filter(pk=newest.pk).update(reason_values=values)
        return 0
    if newest is not None and newest.how == Gap.How.DISMISSED:
        known = newest.reason_values
        if all(
            told[name] - ours[name]
            <= known.get("told", {}).get(name, 0) - known.get(f"our_{name}", 0)
            for name in told
            if told[name] > ours[name]
        ):
            return 0  # somebody said a word about this very difference
    Gap.objects.bulk_create(
        [
            Gap(
                kind=Gap.Kind.COUNTS,
                account_id=task.account_id,
                task=task,
                reason=COUNTS,
                reason_values=values,
            )
        ],
        ignore_conflicts=True,
    )
    return 1
