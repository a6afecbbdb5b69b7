"""In: proof that somebody was called who should not have been. Out: an open incident, once.

Looked for wherever calls find their contacts, in that transaction: a late proof cannot get lost.
Only what is certain is an incident: an alarm that is wrong once is overlooked the next time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.models import Attempt, Call, Contact, DoNotCall, Incident, StatusChange, Task
from campaigns.phones import PhoneRefused, normalise_phone
from campaigns.prepared import fetch_rows, write_array

TAKEN_AFTER_ALL = N_(
    "A request that was sent again had been carried out by the platform after all: its answer came"
    " late. The people in it may be called twice."
)
CALLED_BY_FIRST = N_(
    "A request was sent again on somebody's word, and then a call of the first one came back"
    " (dialled %(dialled)s). The people in it may be called twice."
)
CALLED_TOO_OFTEN = N_(
    "Of a request that was sent again, somebody was called %(calls)d times; the task allows"
    " %(allowed)d."
)
CALLED_BARRED = N_(
    "Somebody was called who had been on the do-not-call list since %(since)s; the request left"
    " %(sent)s."
)
CALLED_UNSENT = N_(
    "A call came back of somebody whom we did not hand over, or whom the platform had refused."
)
KEPT_FROM_SECOND = N_(
    "A call of the first request came back after it was decided to send it again. It is not sent a"
    " second time."
)
#: under this name the history of a decision keeps the ids of the contacts that it was about
PEOPLE = "contacts"
#: a platform's clock and ours may differ by this much
CLOCKS_DIFFER = timedelta(minutes=2)
#: what is dialled later than this after a direct call was sent is somebody else's call
DIRECT_WITHIN = timedelta(hours=1)
#: for so long after a request a late proof of it is looked for
WATCHED = timedelta(days=30)
#: so long an entry of the list may take from its time to its commit
COMMITTED_WITHIN = timedelta(minutes=1)
#: contacts of a request that nobody has called a second time yet
NOT_YET = ("ready", "planned")
#: contacts that nobody was handed over for
UNSENT = ("ready", "planned", "excluded")


class IncidentRefused(Exception):
    """It cannot be closed like this; the text is a sentence, translated."""


# -------------------------------------------------------------------------------- open and closed


def open_incident(
    kind: str,
    *,
    task: Task,
    reason: str,
    values: dict[str, Any] | None = None,
    attempt: Attempt | None = None,
    contact: Contact | None = None,
) -> Incident:
    """Write an incident down. The open one of the same request, or task, is given back instead of a
    second, and so is a closed one about the same person: its story has been told.

    ``reason`` is an English sentence with places for ``values``, without numbers of people.
    """
    wanted: dict[str, Any] = {
        "account_id": task.account_id,
        "task": task,
        "contact": contact,
        "reason": reason,
        "reason_values": values or {},
    }
    told = Incident.objects.filter(kind=kind, task=task, attempt=attempt)
    same = Q(closed_at=None) | Q(contact=contact) if contact else Q(closed_at=None)
    known = told.filter(same).order_by("-closed_at", "id").first()
    if known is not None:
        return known
    if attempt is None:
        return Incident.objects.create(kind=kind, **wanted)
    return Incident.objects.get_or_create(
        kind=kind, attempt=attempt, closed_at=None, defaults=wanted
    )[0]


def close_incident(incident: Incident, *, note: str, by: Any) -> None:
    """Somebody has looked into it, and says what was done. Raises ``IncidentRefused``."""
    note = note.replace("\x00", "").strip()[:2000]
    if not note:
        raise IncidentRefused(_("Say what was done about it."))
    closed = {
        "closed_at": timezone.now(),
        "closed_by": by if getattr(by, "pk", None) else None,
        "note": note,
    }
    if not Incident.objects.filter(pk=incident.pk, closed_at=None).update(**closed):
        raise IncidentRefused(_("Somebody has closed it meanwhile."))
    for name, value in closed.items():
        setattr(incident, name, value)


def list_open(*, limit: int = 3) -> list[Incident]:
    """The newest open ones, for the top of every page."""
    rows = Incident.objects.filter(closed_at=None).select_related("task")
    return list(rows.order_by("-id")[:limit])


def count_open(*, limit: int = 100) -> int:
    return Incident.objects.filter(closed_at=None).order_by()[:limit].count()


# ------------------------------------------------------------------------------ what was sent again


_ANY_RESENT = """
    SELECT attempt.id FROM campaigns_attempt attempt
    JOIN campaigns_task task ON task.id = attempt.task_id
    WHERE attempt.status = 'human_resend' AND task.account_id = %s
        AND attempt.started_at > %s AND attempt.batch_id IS NOT NULL LIMIT 1
"""


def list_resent(account_id: int) -> list[Attempt]:
    """The requests of an account that somebody had sent again lately; nearly always none."""
    since = timezone.now() - WATCHED
    if not fetch_rows(_ANY_RESENT, [account_id, since]):
        return []
    return list(
        Attempt.objects.filter(
            status=Attempt.Status.HUMAN_RESEND, task__account=account_id, started_at__gt=since
        )
        .exclude(batch=None)
        .select_related("task__robot", "batch__instance")
        .order_by("id")
    )


def list_people(attempt: Attempt) -> list[int]:
    """Ids of the contacts whom the decision to send again was about: they have left its batch."""
    decided = StatusChange.objects.filter(
        subject="attempt", subject_id=attempt.pk, new=Attempt.Status.HUMAN_RESEND
    )
    values = decided.order_by("-id").values_list("values", flat=True).first() or {}
    return [int(pk) for pk in values.get(PEOPLE, ())]


def adopt_late_calls(
    calls: Iterable[Call], resent: Collection[Attempt], *, region: str
) -> list[tuple[Attempt, int, Call]]:
    """Find the contacts of calls without one that can only be of a direct call that was sent again.

    The contact has left the batch by which ``linking`` would find it. Returns the calls that are
    certainly of the first request and cannot be joined: their contact has an id of the second.
    """
    people = _read_people(resent)
    strays = []
    for call in calls if people else ():
        if (call.contact_id, call.task_id) != (None, None) or call.dialed_at is None:
            continue
        found = _find_person(call, resent, people=people, region=region)
        if found is None:
            continue
        attempt, person = found
        if person.platform_contact_id in ("", call.platform_contact_id):
            call.contact_id, call.task_id = person.pk, person.task_id
            Call.objects.filter(pk=call.pk).update(contact=person.pk, task=person.task_id)
        elif call.platform_contact_id:
            strays.append((attempt, person.pk, call))
    return strays


def _read_people(resent: Collection[Attempt]) -> dict[int, Contact]:
    direct = [one for one in resent if one.command == Attempt.Command.CALLOUT]
    ids = {pk for attempt in direct for pk in list_people(attempt)}
    rows = Contact.objects.only("id", "phone", "platform_contact_id", "task_id")
    return rows.in_bulk(ids) if ids else {}


def _find_person(
    call: Call, resent: Iterable[Attempt], *, people: dict[int, Contact], region: str
) -> tuple[Attempt, Contact] | None:
    if call.direction != Call.Direction.OUTBOUND or call.dialed_at is None:
        return None
    try:
        phone = normalise_phone(call.callee, region=region)
    except PhoneRefused:
        return None
    fitting = [
        (attempt, people[pk])
        for attempt in resent
        if attempt.command == Attempt.Command.CALLOUT
        and call.platform_robot_id == attempt.task.robot.platform_id
        and -CLOCKS_DIFFER <= call.dialed_at - attempt.started_at <= DIRECT_WITHIN
        for pk in list_people(attempt)
        if pk in people and people[pk].phone == phone
    ]
    return fitting[0] if len(fitting) == 1 else None


def note_late_proofs(
    calls: Collection[Call],
    resent: Collection[Attempt],
    *,
    strays: Collection[tuple[Attempt, int, Call]] = (),
) -> int:
    """Open an incident for each request that was sent again of which a call of the first time came
    back; whoever of it has not been sent a second time is not. Returns how many that were."""
    kept = 0
    for attempt, pk, call in strays:
        dialled = {"dialled": _write_time(call.dialed_at or call.happened_at)}
        kept += _tell_twice(attempt, pk, CALLED_BY_FIRST, dialled)
    by_contact: dict[int, list[Call]] = defaultdict(list)
    for call in calls:
        if call.contact_id and call.direction == Call.Direction.OUTBOUND:
            by_contact[call.contact_id].append(call)
    for attempt in resent:
        for pk in list_people(attempt):
            for call in by_contact.get(pk, ()):
                kept += _look_for_first(attempt, pk, call)
    return kept


def _look_for_first(attempt: Attempt, pk: int, call: Call) -> int:
    contact = Contact.objects.select_related("task").get(pk=pk)
    dialled = call.dialed_at or call.happened_at
    if _is_of_first(attempt, call, dialled, _find_second(attempt, contact)):
        return _tell_twice(attempt, pk, CALLED_BY_FIRST, {"dialled": _write_time(dialled)})
    outbound = Call.objects.filter(contact=pk, direction=Call.Direction.OUTBOUND)
    made, allowed = outbound.filter(has_record=True).count(), 1 + contact.task.recall_count
    # How often a platform calls that dials what it is given is its own decision.
    if made > allowed and not contact.task.fills_instances:
        return _tell_twice(attempt, pk, CALLED_TOO_OFTEN, {"calls": made, "allowed": allowed})
    return 0


def _tell_twice(attempt: Attempt, pk: int, reason: str, values: dict[str, Any]) -> int:
    contact = Contact.objects.get(pk=pk)
    open_incident(
        "called_twice",
        task=attempt.task,
        attempt=attempt,
        contact=contact,
        reason=reason,
        values=values,
    )
    # A direct call is taken whole or not at all: one call proves it for everybody in it.
    proved = list_people(attempt) if attempt.command == Attempt.Command.CALLOUT else [pk]
    return lifecycle.move_contacts(
        Contact.objects.filter(pk__in=proved), "withdrawn", of=NOT_YET, reason=KEPT_FROM_SECOND
    )


def _find_second(attempt: Attempt, contact: Contact) -> Attempt | None:
    """The request with which the contact was sent again; None when it has not been yet."""
    if contact.batch_id is None or contact.batch_id == attempt.batch_id:
        return None
    later = Attempt.objects.filter(batch=contact.batch_id, pk__gt=attempt.pk)
    return later.exclude(status__in=["not_sent", "refused"]).order_by("id").first()


def _is_of_first(attempt: Attempt, call: Call, dialled: datetime, again: Attempt | None) -> bool:
    if dialled < attempt.started_at - CLOCKS_DIFFER:
        return False  # of before the first one
    if again is None:
        return True
    first = attempt.batch.instance if attempt.batch else None
    second = again.batch.instance if again.batch else None
    if first and second and first.pk != second.pk and call.platform_task_id:
        return call.platform_task_id == first.platform_task_id
    return dialled < again.started_at - CLOCKS_DIFFER


def _write_time(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")


# ------------------------------------------------------------------------------- what must not be


# Nearly always nobody: the look at each of them comes afterwards.
_SUSPECTS = f"""
    SELECT contact.id FROM campaigns_contact contact
    WHERE contact.id = ANY(%s::bigint[]) AND (
        contact.status IN ({", ".join(f"'{status}'" for status in UNSENT)})
        OR EXISTS (SELECT FROM campaigns_donotcall entry WHERE entry.phone = contact.phone
            AND (entry.account_id IS NULL OR entry.account_id = %s)))
"""  # noqa: S608


def note_forbidden_calls(account_id: int, calls: Collection[Call], *, new: Collection[int]) -> None:
    """Open an incident for each call of somebody who had been barred before the request left, or
    who was not handed over at all. ``new``: ids of the calls that have just found their contact."""
    made = {
        call.contact_id: call
        for call in calls
        if call.contact_id and call.direction == Call.Direction.OUTBOUND
    }
    if not made:
        return
    fresh = {call.contact_id for call in made.values() if call.pk in new}
    suspects = [row[0] for row in fetch_rows(_SUSPECTS, [write_array(made), account_id])]
    if not suspects:
        return
    rows = Contact.objects.filter(pk__in=suspects)
    barred = DoNotCall.objects.filter(Q(account=None) | Q(account=account_id)).filter(
        phone__in=rows.values("phone")
    )
    since = dict(barred.values_list("phone").annotate(first=Min("created_at")))
    wanted = Q(pk__in=fresh, status__in=UNSENT)
    if since:
        wanted |= Q(phone__in=since)
    for contact in rows.filter(wanted).select_related("task", "batch").order_by("pk"):
        if contact.pk in fresh and contact.status in UNSENT and not _was_resent(contact):
            open_incident("called_unsent", task=contact.task, contact=contact, reason=CALLED_UNSENT)
        elif contact.phone in since:
            _look_for_bar(account_id, contact, made[contact.pk])


def _was_resent(contact: Contact) -> bool:
    """Whether it waits to be sent again: then a call is a late proof, told of as that."""
    return any(
        contact.pk in list_people(attempt)
        for attempt in contact.task.attempts.filter(status=Attempt.Status.HUMAN_RESEND)
    )


def _look_for_bar(account_id: int, contact: Contact, call: Call) -> None:
    """Was the number barred when the request left that had it called? Of a task that has to be
    started that is the start: who is barred later is in the platform's hands already."""
    took = ("accepted", "confirmed_accepted", "human_accepted", "unknown", "needs_human")
    if contact.task.kind == Task.Kind.CAMPAIGN and not contact.task.fills_instances:
        requests = contact.task.attempts.filter(command="start", status__in=took)
    else:
        requests = Attempt.objects.filter(batch=contact.batch_id, batch__isnull=False)
    sent = requests.filter(status__in=took).order_by("id").first()
    if sent is None or (call.dialed_at and call.dialed_at < sent.started_at - CLOCKS_DIFFER):
        return
    at = sent.started_at
    in_force = DoNotCall.objects.filter(
        Q(account=None) | Q(account=account_id),
        Q(lifted_at=None) | Q(lifted_at__gt=at),
        Q(expires_at=None) | Q(expires_at__gt=at),
        phone=contact.phone,
        created_at__lt=at - COMMITTED_WITHIN,
    )
    bar = in_force.order_by("created_at").first()
    if bar is not None:
        open_incident(
            "called_barred",
            task=contact.task,
            contact=contact,
            attempt=sent,
            reason=CALLED_BARRED,
            values={"since": _write_time(bar.created_at), "sent": _write_time(at)},
        )
