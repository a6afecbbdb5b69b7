"""In: one request that leads to calls. Out: the request sent at most once, and what came of it.

The rules of ``quality.md`` ("Unknown outcomes") in one place: the attempt is committed as
``sending`` before the socket opens; right before the first byte the sender proves that it may still
send; and only what the transport observed decides between accepted, refused, not sent and unknown.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import fresh, gates, incidents, lifecycle
from campaigns.barring import BARRED_CONTACT_SQL, has_barred
from campaigns.connections import AccountInactive, open_client
from campaigns.linking import summarise_contacts
from campaigns.locks import share
from campaigns.models import Account, Attempt, Batch, Contact, Instance, StatusChange, Task
from campaigns.platforms.contract import Can, Client
from campaigns.platforms.errors import Consequence, NotSent, PlatformError, Rejected, Throttled
from campaigns.prepared import open_cursor, run, write_array

logger = logging.getLogger(__name__)

#: the states of a task in which each command may leave; start also resumes a paused one
MAY_SEND = {
    "create": ("loading",),
    "insert": ("loading",),
    "callout": ("loading",),
    "start": ("starting", "paused"),
}
#: a sender that came back from its exchange has so long to write down what came of it
GRACE_SECONDS = 5.0
#: shared by senders from their last look until their first byte; taken by whoever stops a task
LEAVING = 70_005
INTERRUPTED = N_("The sender was stopped while sending. The platform may have carried it out.")
LOST_RIGHT = N_("The sender was too late or was told to stop; nothing was sent.")
BARRED_MEANWHILE = N_(
    "Somebody who was about to be called was put on the do-not-call list. Nothing was sent; the"
    " others go without them."
)
HELD_BACK = N_("A rule forbade it right before it left. Nothing was sent.")
NOT_ALLOWED = N_("Handing over to this platform was switched off in the account's settings.")
UNSENDABLE = N_("What was to be sent may never be sent. Nothing was sent; correct the task.")
BROKEN = N_("Our own program failed while sending. The platform may have carried it out.")


class RightLost(NotSent):
    advice = LOST_RIGHT


class NumberBarred(NotSent):
    advice = BARRED_MEANWHILE


class HeldBack(NotSent):
    """A rule forbids it since it was claimed; see ``gates``."""

    advice = HELD_BACK


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request. ``status`` is the attempt's next state; ``busy`` marks a refusal
    that only means "later"; ``value`` is what the client returned; ``consequence`` of a refusal."""

    status: str
    reason: str = ""
    code: str = ""
    value: Any = None
    busy: bool = False
    retry_after: float | None = None
    consequence: Consequence | None = None
    #: a rule of ours forbade it: the platform had no part in it
    held: bool = False
    #: what the transport saw, for the person who may have to decide
    fault: str = ""

    @property
    def accepted(self) -> bool:
        return self.status == "accepted"


_NEW = [field for field in Attempt._meta.concrete_fields if field.name not in ("id", "lease_until")]
#: by the one clock that all machines share, and that goes on while one of them sleeps
_OPEN = f"""
    INSERT INTO campaigns_attempt ({", ".join(field.column for field in _NEW)}, lease_until)
    VALUES ({", ".join(["%s"] * len(_NEW))}, statement_timestamp() + %s) RETURNING id, lease_until
"""  # noqa: S608
#: the same for the batch ``taken`` of a statement that takes it, of what ``describe_attempt`` gives
OPEN_TAKEN = f"""
    INSERT INTO campaigns_attempt ({", ".join(field.column for field in _NEW)}, lease_until)
    SELECT {
    ", ".join(
        "taken.id"
        if field.name == "batch"
        else f"%(new_{field.column})s::{field.db_type(connection)}"
        for field in _NEW
    )
}, statement_timestamp() + %(lease)s::interval
    FROM taken
"""  # noqa: S608


def describe_attempt(attempt: Attempt) -> dict[str, Any]:
    """The values for ``OPEN_TAKEN`` of an attempt that begins now."""
    attempt.started_at = timezone.now()
    return {
        "lease": timedelta(seconds=settings.LEASE_SECONDS),
        **{
            f"new_{field.column}": field.get_db_prep_save(
                getattr(attempt, field.attname), connection
            )
            for field in _NEW
        },
    }


def note_opened(attempt: Attempt, pk: int, lease_until: datetime) -> None:
    """It was written down by another statement."""
    attempt.pk, attempt.lease_until = pk, lease_until
    attempt._state.adding, attempt._state.db = False, connection.alias


def open_attempt(
    task: Task, command: str, *, batch: Batch | None = None, instance: Instance | None = None
) -> Attempt:
    """Write down that a request is about to be sent. The caller commits before it sends (its
    ``atomic`` is ``durable``).

    Raises ``IntegrityError`` when one is under way, or unknown, already.
    """
    attempt = Attempt(task=task, batch=batch, instance=instance, command=command)
    attempt.started_at = timezone.now()
    values = [field.get_db_prep_save(getattr(attempt, field.attname), connection) for field in _NEW]
    with open_cursor() as cursor:
        cursor.execute(_OPEN, [*values, timedelta(seconds=settings.LEASE_SECONDS)])
        note_opened(attempt, *cursor.fetchone())
    if command == Attempt.Command.START:  # of a batch, the batch keeps them
        StatusChange.objects.create(
            subject="checks",
            subject_id=attempt.pk,
            values={"checks": gates.list_checks(task, dials=True)},
        )
    return attempt


def carry_out(attempt: Attempt, act: Callable[[Client], Any]) -> Outcome:
    """Send it, once. Never raises for what a platform or the network does; writes no status."""
    deadline = time.monotonic() + settings.LEASE_SECONDS
    deadline = min(deadline, getattr(attempt, "deadline", deadline))  # it was claimed before
    passed: list[bool] = []  # whether a byte may have been written

    def fence() -> Callable[[], None]:
        """Right before the first byte: is this still our attempt, in time, and wanted?

        Whoever stops the task waits for the lock that is shared here, and let go of once the first
        byte is written: what is seen here holds until then.
        """
        let_go = share(LEAVING, attempt.task_id)
        hold, may_go = None, False
        try:
            hold = look()
            may_go = hold is None
        finally:
            if not may_go:
                let_go()
        if hold is not None:
            gates.note_hold(attempt.task, hold)
            raise HeldBack("A rule forbids it.")
        return let_go

    def look() -> gates.Hold | None:
        wanted, barred, *version = _look(attempt)
        if time.monotonic() >= deadline or not wanted:
            raise RightLost("The right to send was lost.")
        task = fresh.renew(attempt.task_id, tuple(version), attempt.task)
        if task is None:
            raise RightLost("The task is gone.")
        hold = gates.find_hold(
            task, attempt.command, batch=attempt.batch, claimed_at=attempt.started_at
        )
        if hold is not None:
            return hold
        if barred or (attempt.batch_id is None and has_barred(list_concerned(attempt))):
            raise NumberBarred("A number was barred meanwhile.")
        passed.append(True)
        return None

    try:
        as_read = fresh.is_known(attempt.task)  # a moment ago; the fence looks once more
        client = open_client(
            attempt.task.account, task=attempt.task, fence=fence, attempt=attempt, as_read=as_read
        )
        if not attempt.task.account.is_active:
            raise AccountInactive("The account is switched off.")
        if attempt.task.fills_instances and not may_fill(attempt.task.account):
            return Outcome("not_sent", reason=NOT_ALLOWED, consequence=Consequence.PAUSE_TASK)
        return Outcome("accepted", value=act(client))
    except HeldBack as error:
        return Outcome("not_sent", reason=error.advice, busy=True, held=True)
    except NotSent as error:
        return Outcome("not_sent", reason=error.advice, busy=True, fault=str(error))
    except Throttled as error:
        return Outcome(
            "refused",
            reason=error.advice,
            code=error.code.code if error.code else "429",
            busy=True,
            retry_after=error.retry_after,
            fault=str(error),
        )
    except Rejected as error:
        return Outcome(
            "refused",
            reason=error.advice,
            code=error.code.code,
            busy=error.consequence == Consequence.RETRY,
            consequence=error.consequence,
            fault=str(error),
        )
    except PlatformError as error:
        return Outcome("unknown", reason=error.advice, fault=str(error))
    except ValueError as error:
        if passed:
            logger.exception("Attempt %s failed inside our own code.", attempt.pk)
            return Outcome("unknown", reason=BROKEN)
        # The client refused what may never be sent, before anything was.
        logger.error("Attempt %s may not be sent: %s", attempt.pk, error)
        return Outcome("not_sent", reason=UNSENDABLE, consequence=Consequence.PAUSE_TASK)
    except Exception:
        # A fault of ours after the socket opened looks the same from outside: it may have rung.
        logger.exception("Attempt %s failed inside our own code.", attempt.pk)
        return Outcome("unknown", reason=BROKEN)


_LAST_LOOK = f"""
    SELECT attempt.status = 'sending' AND attempt.lease_until > clock_timestamp()
            AND task.status = ANY(%(states)s::text[])
            AND NOT task.request = ANY(%(holding)s::text[])
            AND account.is_active
            AND NOT (%(filled)s::boolean AND (coalesce(task.begin_at > clock_timestamp(), false)
                OR coalesce(task.end_at <= clock_timestamp(), false))),
        EXISTS (SELECT FROM campaigns_contact contact WHERE contact.batch_id = attempt.batch_id
            AND contact.status = 'sending' AND EXISTS ({BARRED_CONTACT_SQL})),
        {fresh.COLUMNS}
    FROM {fresh.JOINS} JOIN campaigns_attempt attempt ON attempt.task_id = task.id
    WHERE attempt.id = %(attempt)s
"""  # noqa: S608


def _look(attempt: Attempt) -> tuple[Any, ...]:
    """Whether it is still under way, in time and wanted; whether somebody of its batch is barred;
    and what ``fresh`` knows the task by."""
    rows = run(
        _LAST_LOOK,
        {
            "attempt": attempt.pk,
            "states": write_array(MAY_SEND[attempt.command]),
            "holding": write_array(lifecycle.HOLDING),
            # It would be dialled at once: before the begin, or after the end, of the task.
            "filled": attempt.batch_id is not None and attempt.task.fills_instances,
        },
    )
    return rows[0] if rows else (False, False)


def list_concerned(attempt: Attempt) -> models.QuerySet[Contact]:
    """The contacts whom the request would have called: those of its batch; of a start, those whom
    the platform holds."""
    if attempt.batch_id is not None:
        return Contact.objects.filter(batch=attempt.batch_id, status=Contact.Status.SENDING)
    if attempt.command == Attempt.Command.START:
        return list_held(attempt.task)
    return Contact.objects.none()


def list_held(task: Task) -> models.QuerySet[Contact]:
    """The contacts whom the platform has, or may have, and may still call."""
    return Contact.objects.filter(task=task, status__in=["accepted", "unknown"])


def may_fill(account: Account) -> bool:
    """Whether the account may still use what this needs: it can be switched off meanwhile."""
    account.refresh_from_db(fields=["settings"])
    return account.can(Can.FILL_INSTANCES)


def close_attempt(attempt: Attempt, outcome: Outcome) -> bool:
    """Write the outcome down; False when it has been settled otherwise.

    The reaper may have taken the attempt for unknown while its sender was stopped. A sender that
    comes back with a whole answer knows better: it was carried out, or nothing was done.
    """
    now = timezone.now()
    if lifecycle.move(
        attempt,
        outcome.status,
        of=["sending"],
        reason=outcome.reason,
        code=outcome.code,
        fault=outcome.fault[:300],
        ended_at=now,
    ):
        return True
    if outcome.accepted:
        return lifecycle.move(
            attempt, "confirmed_accepted", of=lifecycle.IN_DOUBT, ended_at=now
        ) or _note_late(attempt)
    if outcome.status in ("not_sent", "refused"):
        return lifecycle.move(
            attempt, "confirmed_absent", of=lifecycle.IN_DOUBT, reason=outcome.reason, ended_at=now
        )
    return False


def _note_late(attempt: Attempt) -> bool:
    """The platform took it after all: that is too late if it was sent again meanwhile. False."""
    now = Attempt.objects.values_list("status", flat=True).get(pk=attempt.pk)
    if now == Attempt.Status.HUMAN_RESEND:
        incidents.open_incident(
            "called_twice", task=attempt.task, attempt=attempt, reason=incidents.TAKEN_AFTER_ALL
        )
    return False


def reap_attempts() -> int:
    """Turn attempts whose sender is gone into ``unknown``; returns how many.

    A sender has the lease and one whole exchange to come back with an answer.
    """
    grace = timedelta(seconds=settings.HTTP_TIMEOUT_SECONDS + GRACE_SECONDS)
    stale = Attempt.objects.filter(status="sending", lease_until__lt=Now() - grace).select_related(
        "batch", "task"
    )
    reaped = 0
    for attempt in stale:
        with transaction.atomic():
            if lifecycle.move(attempt, "unknown", of=["sending"], reason=INTERRUPTED):
                park(attempt, INTERRUPTED)
                reaped += 1
    return reaped


def park(attempt: Attempt, reason: str) -> None:
    """Put what an unknown attempt was about where an operator sees it; nobody sends it again.
    Whose call came back while it was under way is not in doubt."""
    with transaction.atomic():
        if attempt.batch is not None:
            rows = Contact.objects.filter(batch=attempt.batch)
            # By id, as ``linking`` takes them: pushes of them may be written at the same time.
            list(rows.select_for_update().order_by("id").values_list("id"))
            lifecycle.move(attempt.batch, "unknown", of=["sending"], reason=reason)
            lifecycle.move_contacts(rows, "unknown", of=["sending"], reason=reason)
            # Those calls found them on their way, where they prove nothing; nobody looks again.
            called = rows.filter(status="unknown", calls_made__gt=0)
            summarise_contacts(list(called.values_list("id", flat=True)))
        lifecycle.note_task(attempt.task, reason, needs_attention=True)
