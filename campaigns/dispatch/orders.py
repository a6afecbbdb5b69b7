"""In: an operator's word about a task. Out: the word written down, and the job that carries it out.

What a button does and what a command does is one function here. Each of them commits the word
together with the job's row and returns at once; nothing is sent from here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from campaigns import approvals, gates, lifecycle
from campaigns.attempts import LEAVING, list_held
from campaigns.barring import (
    BARRED,
    CAPPED,
    find_barred,
    find_capped,
    has_barred,
    only_free,
)
from campaigns.gates.amounts import ACCOUNT_STOPPED
from campaigns.gates.hours import find_closed
from campaigns.gates.places import is_home, locate_phone
from campaigns.locks import wait_for_sharers
from campaigns.models import Account, Contact, ContactImport, Line, Robot, Task, Voice
from campaigns.models.history import tell_reason
from campaigns.phones import PhoneRefused, normalise_phone
from campaigns.platforms.contract import Can
from campaigns.queue import FIRST, enqueue

LAUNCHED = N_("Launched.")
LAUNCHED_BY_TWO = N_("Launched; a second person approved it.")
LAUNCHED_ALONE = N_(
    "Launched by a command on the server, which asks no second person; on the screen it would have"
    " needed one."
)
STALE = N_(
    "The task, or whom it would call, has changed since you looked at it. Nothing was launched:"
    " look at it once more."
)
PAUSED_HERE = N_("Paused before the platform was told to start.")
RESUMED = N_("Resumed.")
SWITCHED_OFF = N_("The account was switched off.")
HELD_BARRED = N_(
    "People whom the platform holds for this task were put on the do-not-call list meanwhile. It"
    " takes nobody back, so resuming would call them. Stop the task for good, then clone it and"
    " import the others again."
)


#: a paused task that goes on by itself once its hours open, or its rule holds no more
WOULD_GO_ON = Q(request="resume") | ~Q(paused_by_rule="")
#: a task in another state is not handed over anew: ``requests`` gives that up, and the order counts
REBUILDING = ("loading", "loaded", "paused")
#: seconds that a click waits for those who are about to write; they need less than a thousandth
LONGEST_WAIT = 2.0

logger = logging.getLogger(__name__)


class LaunchRefused(Exception):
    """The order cannot be carried out; the text is a sentence for the operator, translated."""


class LaunchStale(LaunchRefused):
    """What would be launched has changed since somebody looked at it."""


def check_launch(task: Task) -> list[str]:
    """What stands against launching this task now, as sentences; empty when nothing does."""
    problems = []
    if task.status != Task.Status.DRAFT:
        problems.append(
            _("Only a draft can be launched; this task is %s.") % task.get_status_display()
        )
    held = gates.find_restored()
    if held is not None:
        problems.append(tell_reason(held.reason, held.values))
    if not task.account.is_active:
        problems.append(_("The account is switched off."))
    if task.account.stopped_at is not None:
        problems.append(_(ACCOUNT_STOPPED))
    if not task.account.can(Can.CREATE_TASK):
        problems.append(task.account.explain(Can.CREATE_TASK))
    if not task.robot.is_usable:
        problems.append(_("The robot is not published any more."))
    lines = list(task.lines.all())
    if not lines and task.account.vendor.limits.lines:
        problems.append(_("The task has no line."))
    if any(line.gone_at for line in lines):
        problems.append(_("A line of the task is gone from the platform."))
    if task.voice and task.voice.gone_at:
        problems.append(_("The voice of the task is gone from the platform."))
    ready = task.contacts.filter(status=Contact.Status.READY)
    needed = [str(column) for column in task.robot.columns[1:]]
    if needed and ready.exclude(values__has_keys=needed).exists():
        problems.append(_("The robot has other columns now than when the contacts were imported."))
    if task.end_at and task.end_at <= timezone.now():
        problems.append(_("The end of the task is in the past."))
    if task.imports.filter(status__in=ContactImport.BUSY).exists():
        problems.append(_("An import is still running."))
    if not ready.exists():
        problems.append(_("No contact is ready to be called."))
    elif not only_free(ready).exists():
        problems.append(_("Every contact that is ready is on the do-not-call list."))
    allowed = task.account.cap_calls
    if allowed is not None and task.recall_count + 1 > allowed:
        problems.append(
            _(
                "With its recalls the task may call a number %(calls)d times; the account allows"
                " %(allowed)d within %(days)d days."
            )
            % {
                "calls": task.recall_count + 1,
                "allowed": allowed,
                "days": task.account.cap_days,
            }
        )
    return problems


def launch_task(task: Task, *, by: Any, seen: str | None = None) -> Task:
    """Hand the task over to the platform and let it dial. Raises ``LaunchRefused``; ``LaunchStale``
    when it is not what somebody saw any more (``seen``, the fingerprint of what was shown).

    Of many clicks at once exactly one launches: the move from draft is a compare-and-swap.
    """
    problems = check_launch(task)
    if problems:
        raise LaunchRefused(" ".join(problems))
    with transaction.atomic():
        # Nobody adds contacts, or changes the task, from here on.
        if Task.objects.select_for_update().get(pk=task.pk).status != Task.Status.DRAFT:
            raise LaunchRefused(_("The task was launched a moment ago."))
        if seen is not None and approvals.fingerprint_launch(task) != seen:
            raise LaunchStale(_(STALE))
        reason = _find_approval(task, by=by)
        lifecycle.move(
            task,
            "loading",
            of=["draft"],
            reason=reason,
            by=by,
            launched_at=timezone.now(),
            launched_by=by if getattr(by, "pk", None) else None,
        )
        wake("advance_task", task)
    return task


def _find_approval(task: Task, *, by: Any) -> str:
    """Use up the second person's approval where one is needed; the launch's sentence. What runs on
    the server belongs to whoever could write to the database as well: it asks nobody."""
    if not approvals.needs_second(task):
        return LAUNCHED
    if not getattr(by, "pk", None):
        return LAUNCHED_ALONE
    try:
        approvals.use_approval("launch", task=task, by=by)
    except approvals.ApprovalRefused as refused:
        raise LaunchRefused(f"{approvals.tell_need(task)} {refused}") from None
    return LAUNCHED_BY_TWO


def pause_task(task: Task, *, by: Any) -> Task:
    """From the commit of this on, no new batch leaves; the platform is asked until it confirms."""
    of = ["loading", "loaded", "starting", "running"]
    if task.attempts.filter(command="start", status__in=["sending", *lifecycle.IN_DOUBT]).exists():
        of.append("paused")  # a resume was sent: it may be dialling
    elif Task.objects.filter(WOULD_GO_ON, pk=task.pk, status="paused").exists():
        of.append("paused")  # it stays so: neither a rule nor what was asked before lets it go on
    return _request(task, "pause", of=of, by=by)


def resume_task(task: Task, *, by: Any) -> Task:
    """Let a paused task go on where it stood."""
    problems = [] if task.account.is_active else [_("The account is switched off.")]
    if task.account.stopped_at is not None:
        problems.append(_(ACCOUNT_STOPPED))
    if was_started(task) and has_barred(list_held(task)):
        problems.append(_(HELD_BARRED))
    if problems:
        raise LaunchRefused(" ".join(problems))
    return _request(task, "resume", of=["paused"], by=by)


def list_held_barred(task: Task) -> Any:
    """The contacts whom the platform holds and who must not be called any more: why a task that was
    started cannot be resumed. None of one that was not."""
    held = list_held(task)
    if not was_started(task):
        return held.none()
    return held.exclude(pk__in=only_free(held).values("pk")).order_by("id")


def delete_task(task: Task, *, by: Any) -> Task:
    """Stop the task at the platform for good; its rows and results stay here."""
    with transaction.atomic():
        if lifecycle.move(task, "deleted", of=["draft"], reason=lifecycle.WITHDRAWN_BEFORE, by=by):
            lifecycle.move_contacts(task.contacts.all(), "withdrawn", of=["ready"])
            return task
    of = ["loading", "loaded", "starting", "running", "paused", "failed", "finished"]
    return _request(task, "delete", of=of, by=by)


def _request(task: Task, request: str, *, of: list[str], by: Any) -> Task:
    if task.kind == Task.Kind.DIRECT and is_handed_over(task):
        raise LaunchRefused(_("A direct call cannot be stopped: the platform offers no way to."))
    with transaction.atomic():
        locked = Task.objects.select_for_update().get(pk=task.pk)
        if locked.status not in of:
            raise LaunchRefused(
                _("This cannot be done with a task that is %s.") % locked.get_status_display()
            )
        if task.fills_instances and not _may_hold(locked, request):
            raise LaunchRefused(
                _("Everybody is handed over: this platform offers no way to stop or to pause it.")
            )
        if locked.request == Task.Request.DELETE and request != "delete":
            raise LaunchRefused(_("The task is being deleted."))
        if request in lifecycle.HOLDING and not wait_for_sharers(
            LEAVING, task.pk, seconds=LONGEST_WAIT
        ):
            logger.warning("Task %s: a sender stands still at its first byte.", task.pk)
        task.status = locked.status
        rebuilt = locked.request == Task.Request.REBUILD and locked.status in REBUILDING
        if rebuilt and request != "delete":
            _order_rebuilt(task, request, by=by)
            return task
        # A person's word: no rule undoes it.
        Task.objects.filter(pk=task.pk).exclude(paused_by_rule="").update(paused_by_rule="")
        lifecycle.request_task(task, request, by=by)
        wake("carry_out_request", task)
    return task


def _order_rebuilt(task: Task, request: str, *, by: Any) -> None:
    """Pause, or resume, a task that is being handed over anew. The platform may have deleted it
    already, so that goes on; nothing leaves before it is done, and only then if it is not paused.
    """
    Task.objects.filter(pk=task.pk).exclude(paused_by_rule="").update(paused_by_rule="")
    if request == "pause":
        lifecycle.move(task, "paused", of=["loading", "loaded"], reason=PAUSED_HERE, by=by)
    else:
        again: dict[str, Any] = {"needs_attention": False, "setbacks": 0, "not_before": None}
        lifecycle.move(task, "loading", of=["paused"], reason=RESUMED, by=by, **again)
    wake("carry_out_request", task)


def _may_hold(task: Task, request: str) -> bool:
    """Whether this can be asked of a platform that dials what it is given: only what was not handed
    over can be held back. Once the end is past, nobody needs to wait any longer."""
    if task.status == Task.Status.RUNNING:
        over = task.end_at is not None and task.end_at <= timezone.now()
        return request == Task.Request.DELETE and over
    return task.status != Task.Status.FINISHED


def was_started(task: Task) -> bool:
    """Whether the platform was told to dial, and did."""
    started = ["accepted", "confirmed_accepted", "human_accepted"]
    return task.attempts.filter(command="start", status__in=started).exists()


def is_handed_over(task: Task) -> bool:
    """Whether a request of the task has, or may have, reached the platform."""
    return task.attempts.exclude(status__in=["not_sent", "refused", "confirmed_absent"]).exists()


def call_directly(
    *,
    account: Account,
    robot: Robot,
    line: Line,
    voice: Voice | None = None,
    speed: int | None = None,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    by: Any,
    name: str = "",
    trial_of: Task | None = None,
) -> Task:
    """Call a few numbers at once, each row sent at most once. Raises ``LaunchRefused``.

    ``columns`` are the robot's, the number first; ``rows`` one contact each. ``trial_of``: the task
    that is tried out by it.
    """
    limits = account.vendor.limits
    problems = []
    if not account.can(Can.CALL_DIRECTLY):
        problems.append(_("This platform offers no direct calls."))
    if not account.is_active:
        problems.append(_("The account is switched off."))
    if robot.account_id != account.pk or not robot.is_usable:
        problems.append(_("The robot is not published any more."))
    if line.account_id != account.pk or line.gone_at:
        problems.append(_("A line of the task is gone from the platform."))
    if list(columns) != [str(column) for column in robot.columns]:
        problems.append(_("The columns are not those of the robot."))
    if not rows or len(rows) > limits.rows_per_direct_call:
        problems.append(_("Between 1 and %d numbers can be called.") % limits.rows_per_direct_call)
    if speed is not None and limits.speed and not limits.speed[0] <= speed <= limits.speed[1]:
        problems.append(_("The speed is out of range."))
    contacts: dict[str, Sequence[str]] = {}
    places: dict[str, int] = {}
    unsettled = Contact.objects.filter(
        account=account, task__kind=Task.Kind.DIRECT, status__in=["planned", "sending", "unknown"]
    )
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            problems.append(_("Row %d has another number of values than the robot.") % number)
            continue
        try:
            phone = normalise_phone(row[0], region=account.region)
        except PhoneRefused as error:
            problems.append(_("Row %(row)d: %(reason)s") % {"row": number, "reason": error})
            continue
        if phone in contacts:
            problems.append(_("Row %d repeats a number.") % number)
        if unsettled.filter(phone=phone).exists():
            problems.append(_("Row %d: a direct call to this number is not settled yet.") % number)
        contacts[phone], places[phone] = row, number
    problems += refuse_numbers(account, places) or refuse_hours(account, places)
    if problems:
        raise LaunchRefused(" ".join(problems))
    user = by if getattr(by, "pk", None) else None
    with transaction.atomic():
        task = Task.objects.create(
            account=account,
            name=name or timezone.localtime().strftime("%Y-%m-%d %H:%M:%S"),
            kind=Task.Kind.DIRECT,
            robot=robot,
            voice=voice,
            speed=speed,
            created_by=user,
            trial_of=trial_of,
        )
        task.lines.add(line)
        Contact.objects.bulk_create(
            Contact(
                task=task,
                account=account,
                family_id=task.pk,
                phone=phone,
                phone_raw=row[0][:100],
                values=dict(zip(columns, row, strict=True)),
                line_number=number,
            )
            for number, (phone, row) in enumerate(contacts.items(), start=1)
        )
        now = timezone.now()
        lifecycle.move(
            task, "loading", of=["draft"], reason=LAUNCHED, by=by,
            launched_at=now, launched_by=user,
        )  # fmt: skip
        wake("advance_task", task)
    return task


def refuse_numbers(account: Account, places: Mapping[str, int]) -> list[str]:
    """What stands against calling these numbers, each in its row, once, as sentences."""
    barred = find_barred(account, list(places))
    capped = find_capped(account, list(places), adding=1)
    problems = []
    for phone, row in places.items():
        if phone in barred:
            day = timezone.localtime(barred[phone].created_at, account.zone).date()
            sentence = _(BARRED) % {"since": day.isoformat()}
        elif phone in capped:
            values = {"days": account.cap_days, "allowed": account.cap_calls}
            sentence = _(CAPPED) % {"calls": capped[phone], **values}
        else:
            continue
        problems.append(_("Row %(row)d: %(reason)s") % {"row": row, "reason": sentence})
    return problems


def refuse_hours(account: Account, places: Mapping[str, int]) -> list[str]:
    """What stands against calling these numbers, each in its row, at this moment, as sentences."""
    now = timezone.now()
    task = Task(account=account, kind=Task.Kind.DIRECT)
    if (hold := find_closed(task, now)) is not None:
        return [_(hold.reason) % hold.values]
    problems = []
    for phone, row in places.items():
        place = locate_phone(phone)
        if not is_home(account, place) and (hold := find_closed(task, now, places=[place])):
            reason = _(hold.reason) % hold.values
            problems.append(_("Row %(row)d: %(reason)s") % {"row": row, "reason": reason})
    return problems


def wake(job: str, task: Task) -> None:
    """Enqueue a job by its name, in the caller's transaction."""
    enqueue(f"campaigns.jobs.{job}", priority=FIRST, task_id=task.pk)


def list_idle_tasks() -> list[int]:
    """Ids of the tasks that are being handed over and may go on now."""
    waiting = Task.objects.filter(status__in=["loading", "loaded"], account__is_active=True)
    return list(
        waiting.exclude(request__in=lifecycle.HOLDING)
        .exclude(not_before__gt=timezone.now())
        .values_list("id", flat=True)
    )


def list_requested_tasks() -> list[int]:
    """Ids of the tasks that wait for a pause, a resume or a deletion."""
    waiting = Task.objects.exclude(request="")
    later = waiting.filter(request="resume", not_before__gt=timezone.now())
    return list(waiting.exclude(pk__in=later).values_list("id", flat=True))


def pause_inactive() -> int:
    """Ask to pause what still dials for accounts that were switched off; returns how many."""
    dialling = Task.objects.filter(
        account__is_active=False, status__in=["starting", "running"], kind="campaign", request=""
    )
    tasks = [task for task in dialling.select_related("account") if not task.fills_instances]
    for task in tasks:
        lifecycle.note_task(task, SWITCHED_OFF, needs_attention=True)
        pause_task(task, by=None)
    return len(tasks)
