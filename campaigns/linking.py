"""In: calls whose contact is not known yet, contacts whose calls changed. Out: both joined, and the
contact's own summary of its calls.

An outbound call belongs to a contact and its task; an inbound one to neither, whatever ids it
carries (yeta's own sample has a ``task_data_id``). A call whose direction no record has told yet is
linked, so that it can be seen, and counts for nothing.

A push may overtake the reply that tells us the platform's ids. So each side links after its own
commit: whoever commits second sees the other. Locks are taken in one order everywhere: calls by
id, then contacts by id.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import CharField, Count, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat, Right
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import incidents, lifecycle
from campaigns.barring import apply_rules
from campaigns.models import Account, Call, Contact, ContactName, Task
from campaigns.phones import PhoneRefused, normalise_phone
from campaigns.platforms.contract import Can
from campaigns.platforms.registry import PLATFORMS
from campaigns.prepared import fetch_rows, open_cursor, run, write_array

PROVED = N_("A call came back: the platform had accepted this contact.")
CALLED_ALL_THE_SAME = N_("A call came back although the contact had been withdrawn.")

#: contacts that a call may belong to although we do not know the platform's id of them
CANDIDATES = ("sending", "unknown", "accepted", "finished", "rejected", "withdrawn")
#: contacts of a direct call that may have been carried out although its answer was lost
DIRECT_CANDIDATES = ("sending", "unknown", "accepted", "withdrawn")
#: attempts that certainly had nobody called
NEVER_CALLED = ("refused", "not_sent")
#: a platform's clock and ours may differ by this much
CLOCKS_DIFFER = timedelta(minutes=2)
#: A direct call rings as soon as a line is free, and it takes at most 50 numbers. What is dialled
#: later than this after it was sent is somebody else's call to the same number.
DIRECT_WITHIN = timedelta(hours=1)
#: calls heard of longer ago than this are no longer looked at by the sweep
SWEEP_DAYS = 3
SWEEP_LIMIT = 2_000
#: the same for calls that only number and time can lead to a contact: most of them never will
GUESS_WITHIN = timedelta(hours=1)
GUESS_LIMIT = 500


#: Our own id of a contact, for platforms that keep one. A spreadsheet must not take it for a
#: number: AI Rudder's own sample has a case "123456.0".
NAME = "CB-"
_NAMED = re.compile(r"CB-([1-9][0-9]{0,17})\Z", re.ASCII)


#: what joining reads and writes of a call
JOINED = (
    *("id", "contact", "task", "robot", "direction", "callee", "dialed_at", "happened_at"),
    *("platform_task_id", "platform_contact_id", "platform_robot_id"),
)


def name_contact(contact_id: int) -> str:
    return f"{NAME}{contact_id}"


def name_contacts(contacts: QuerySet[Contact]) -> None:
    """Make our id of each contact the platform's."""
    contacts.update(platform_contact_id=Concat(Value(NAME), Cast("pk", CharField())))


def link_calls(
    account_id: int,
    *,
    call_ids: Collection[int] | None = None,
    contact_ids: Collection[int] | None = None,
) -> int:
    """Find task, contact and robot of calls, and bring the contacts up to date.

    ``call_ids``: these calls. ``contact_ids``: the calls of these contacts, whose platform ids were
    just committed. Neither: every call of the account that found no contact so far. Call it after
    the commit of what it should see. Returns how many calls found their contact.
    """
    with transaction.atomic():
        calls = Call.objects.filter(account_id=account_id)
        touched = set(contact_ids or ())
        if call_ids is not None:
            calls = calls.filter(pk__in=call_ids)
        elif contact_ids is not None:
            known = Contact.objects.filter(account_id=account_id, pk__in=contact_ids)
            ids = list(
                known.exclude(platform_contact_id="").values_list("platform_contact_id", flat=True)
            )
            calls = calls.filter(
                Q(platform_contact_id__in=ids, contact=None) | Q(contact_id__in=contact_ids)
            )
        else:
            calls = find_linkable(calls)
        rows = list(calls.order_by("id").select_for_update(of=("self",)).only(*JOINED))
        before = {row.pk: row.contact_id for row in rows}
        region = Account.objects.values_list("region", flat=True).get(pk=account_id)
        write_joins(join_rows(account_id, rows, region=region))
        follow_up(account_id, rows, before=before, region=region, touched=touched)
    return sum(1 for row in rows if row.contact_id and before[row.pk] is None)


def follow_up(
    account_id: int,
    rows: list[Call],
    *,
    before: Mapping[int, int | None],
    region: str,
    touched: Collection[int] = (),
) -> None:
    """Bring everybody up to date whom these calls are about. The calls are locked, joined and
    written; ``before`` is {id: contact before that}, ``touched`` are contacts to look at besides.
    """
    strays = _adopt_late_calls(account_id, rows, region=region)
    now = {row.contact_id for row in rows}
    contacts = {pk for pk in {*touched, *before.values(), *now} if pk is not None}
    new = {row.pk for row in rows if row.contact_id and before.get(row.pk) is None}
    incidents.note_forbidden_calls(account_id, rows, new=new)
    summarise_contacts(contacts)
    if rows:
        # Only now that the contacts are held: a decision to send them again is over, or waits.
        resent = incidents.list_resent(account_id)
        if incidents.note_late_proofs(rows, resent, strays=strays):
            summarise_contacts(contacts)  # whom the call itself was about is done
        # Here, since whose number a call's intention is about may become known with any link.
        apply_rules(account_id, [row.pk for row in rows])


def _adopt_late_calls(account_id: int, rows: list[Call], *, region: str) -> list[Any]:
    """Calls that found nobody may be of a direct call that was sent again; see ``incidents``."""
    lost = [row for row in rows if row.contact_id is None and row.task_id is None]
    resent = incidents.list_resent(account_id) if lost else []
    return incidents.adopt_late_calls(lost, resent, region=region) if resent else []


_WAITING = """
    SELECT EXISTS (SELECT FROM campaigns_call WHERE account_id = %s AND contact_id IS NULL
            AND platform_contact_id = ANY(%s::text[])
            AND platform_contact_id <> '')
        OR EXISTS (SELECT FROM campaigns_call WHERE contact_id = ANY(%s::bigint[]))
"""


def has_calls(account_id: int, contact_ids: list[int], platform_ids: list[str]) -> bool:
    """Whether ``link_calls`` has anything to do for contacts whose platform ids were just
    committed: mostly nobody has called them yet."""
    values = [account_id, write_array(platform_ids), write_array(contact_ids)]
    return bool(run(_WAITING, values)[0][0])


def find_linkable(calls: Any) -> Any:
    """Recent calls without a contact for whose id there is one now."""
    # By the name first: the other way round each call is held against every contact of its account.
    contacts = Contact.objects.filter(
        pk=OuterRef("contact_id"), account=OuterRef(OuterRef("account"))
    )
    names = ContactName.objects.filter(
        Exists(contacts), platform_contact_id=OuterRef("platform_contact_id")
    )
    recent = timezone.now() - timedelta(days=SWEEP_DAYS)
    return (
        calls.filter(Exists(names), contact=None, created_at__gt=recent)
        .exclude(platform_contact_id="")
        .exclude(direction=Call.Direction.INBOUND)
    )


def find_guessable(calls: Any) -> Any:
    """Calls of the last hour without a contact where one with this number has no platform id: of
    the same task, or of a direct call by the same robot."""
    recent = timezone.now() - GUESS_WITHIN
    # The number as it stands, or behind a country code: the index has to do, every few seconds.
    numbers = [OuterRef("callee"), Right(OuterRef("callee"), 11)]
    nameless = Contact.objects.filter(phone__in=numbers, platform_contact_id="")
    of_task = nameless.filter(task=OuterRef("task"), status__in=CANDIDATES)
    of_robot = nameless.filter(
        account=OuterRef("account"),
        task__kind=Task.Kind.DIRECT,
        task__robot__platform_id=OuterRef("platform_robot_id"),
        status__in=DIRECT_CANDIDATES,
    )
    return calls.filter(
        Exists(of_task) | Q(Exists(of_robot), task=None),
        contact=None,
        direction=Call.Direction.OUTBOUND,
        # the first has an index, the second is our own clock
        happened_at__gt=recent,
        created_at__gt=recent,
    )


#: as ``find_linkable`` has it
_LATE = """
    SELECT call.id FROM campaigns_call call
    WHERE call.account_id = %s AND call.id = ANY(%s::bigint[]) AND call.contact_id IS NULL
        AND call.platform_contact_id <> '' AND call.direction <> 'inbound'
        AND call.created_at > %s
        AND EXISTS (SELECT FROM campaigns_contactname known
            JOIN campaigns_contact contact ON contact.id = known.contact_id
            WHERE known.platform_contact_id = call.platform_contact_id
                AND contact.account_id = call.account_id)
"""


def link_late(account_id: int, call_ids: Collection[int]) -> int:
    """Link those of these calls whose contact learnt its platform id while they were written."""
    if not call_ids:
        return 0
    since = timezone.now() - timedelta(days=SWEEP_DAYS)
    late = fetch_rows(_LATE, [account_id, write_array(call_ids), since])
    return link_calls(account_id, call_ids=[row[0] for row in late]) if late else 0


def link_pending() -> int:
    """The sweep: calls that no pass linked because its process died. Returns how many it found."""
    linked = 0
    waiting = find_linkable(Call.objects.all()).order_by("id").values_list("account_id", "id")
    guesses = find_guessable(Call.objects.all()).order_by("-id").values_list("account_id", "id")
    by_account: dict[int, set[int]] = defaultdict(set)
    for account_id, call_id in (*waiting[:SWEEP_LIMIT], *guesses[:GUESS_LIMIT]):
        by_account[account_id].add(call_id)
    for account_id, call_ids in by_account.items():
        linked += link_calls(account_id, call_ids=call_ids)
    return linked


def link_misnamed(task: Task) -> int:
    """Of a task that has ended at the platform: who was never called by the id that an answer gave
    them has not that id, if their number was called by one that nobody has. Returns how many calls
    found their contact."""
    waiting = task.contacts.filter(status="accepted", calls_made=0).exclude(platform_contact_id="")
    phones = dict(waiting.values_list("phone", "pk"))
    if not phones:
        return 0
    calls = Call.objects.filter(
        task=task, contact=None, has_record=True, direction=Call.Direction.OUTBOUND
    )
    # The number as it stands, or behind a country code; one that was called twice says nothing new.
    tails = {phone[-11:]: pk for phone, pk in phones.items()}
    found = calls.annotate(tail=Right("callee", 11)).filter(tail__in=tails)
    told = list(found.values_list("pk", "tail")[:SWEEP_LIMIT])
    if not told:
        return 0
    with transaction.atomic():
        ids = sorted({tails[tail] for _, tail in told})
        rows = Contact.objects.filter(pk__in=ids, status="accepted", calls_made=0, calls=None)
        free = list(
            rows.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True)
        )
        Contact.objects.filter(pk__in=free).update(platform_contact_id="")
    return link_calls(task.account_id, call_ids=[pk for pk, _ in told])


def join_rows(account_id: int, rows: Collection[Call], *, region: str) -> list[Call]:
    """Set contact, task and robot of calls where they are found, and take away what turned out to
    be wrong; returns the calls that changed, to be written. The calls are locked, or nobody's but
    ours yet. A contact is believed to be the call's by its platform id, or, while we do not know
    that, by being the only one of the task with this number. Where that one is another, the answer
    that told us the id named a row of another batch."""
    before = [(row.contact_id, row.task_id, row.robot_id) for row in rows]
    outbound = [row for row in rows if row.direction != Call.Direction.INBOUND]
    #: {contact: its number}, of those who are believed by their id
    phones: dict[int, str] = {}
    _take_wrong_away(rows, phones)
    tasks = _find_ids(_TASKS, account_id, {row.platform_task_id for row in outbound})
    tasks |= _find_instances(account_id, outbound)
    robots = _find_ids(_ROBOTS, account_id, {row.platform_robot_id for row in rows})
    contacts = _find_contacts(account_id, outbound, phones)
    for row in rows:
        row.robot_id = row.robot_id or robots.get(row.platform_robot_id)
    for row in outbound:
        row.task_id = row.task_id or tasks.get(row.platform_task_id)
        if row.contact_id is None and row.platform_contact_id in contacts:
            row.contact_id, row.task_id = contacts[row.platform_contact_id]
    doubtful = [row for row in outbound if _is_of_another(row, phones)]
    believed = [(row, row.contact_id, row.task_id) for row in doubtful]
    for row in doubtful:
        row.contact_id, row.task_id = None, tasks.get(row.platform_task_id)
    _find_by_number(account_id, outbound, region=region)
    # What names a campaign of ours is no direct call, not even if two of ours have that id.
    strange = [row for row in outbound if row.platform_task_id not in tasks]
    _find_direct(account_id, strange, region=region)
    for row, contact_id, task_id in believed:
        if row.contact_id is None:  # nobody else has the number: it may be masked
            row.contact_id, row.task_id = contact_id, task_id
    return [
        row
        for row, was in zip(rows, before, strict=True)
        if was != (row.contact_id, row.task_id, row.robot_id)
    ]


def _is_of_another(row: Call, phones: Mapping[int, str]) -> bool:
    """Whether the number that was called is not, as it stands, that of the contact with its id."""
    phone = phones.get(row.contact_id or 0)
    if phone is None or not row.platform_contact_id or not row.callee:
        return False
    tail = phone.lstrip("+")
    sent = str(row.__dict__.get("details", {}).get("contact_number") or "")
    return not row.callee.endswith(tail) and not sent.endswith(tail)


def _take_wrong_away(rows: Iterable[Call], phones: dict[int, str]) -> None:
    """Part a call from a contact that it was linked to before a record said that it came in, or by
    its number before we knew the contact's id, or the call's, which turned out to be another's."""
    linked = {row.contact_id for row in rows if row.contact_id}
    if not linked:
        return
    names: dict[int, str] = {}
    for pk, name, phone in fetch_rows(_NAMES, [write_array(linked)]):
        names[pk] = name
        if name:
            phones[pk] = phone
    # A contact that has no id yet may have been guessed by its number; whoever has the id is surer.
    guessed = {
        (row.account_id, row.platform_contact_id)
        for row in rows
        if row.contact_id and row.platform_contact_id and not names.get(row.contact_id)
    }
    others = {
        pair for pair in guessed if len(fetch_rows(_BY_ID, [pair[0], write_array([pair[1]])])) == 1
    }
    for row in rows:
        if row.contact_id is None:
            continue
        named = names.get(row.contact_id, "")
        other = row.platform_contact_id and named not in ("", row.platform_contact_id)
        if not named and (row.account_id, row.platform_contact_id) in others:
            other = True
        if row.direction == Call.Direction.INBOUND or other:
            row.contact_id = row.task_id = None


def write_joins(rows: Collection[Call]) -> None:
    """Write contact, task and robot of locked calls."""
    if not rows:
        return
    with open_cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_call SET contact_id = v.contact, task_id = v.task,"
            " robot_id = v.robot, updated_at = now()"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])"
            " AS v(id, contact, task, robot) WHERE campaigns_call.id = v.id",
            [
                write_array(row.pk for row in rows),
                write_array(row.contact_id for row in rows),
                write_array(row.task_id for row in rows),
                write_array(row.robot_id for row in rows),
            ],
        )


_NAMES = "SELECT id, platform_contact_id, phone FROM campaigns_contact WHERE id = ANY(%s::bigint[])"
_TASKS = """
    SELECT platform_task_id, id FROM campaigns_task
    WHERE account_id = %s AND platform_task_id = ANY(%s::text[]) AND platform_task_id <> ''
"""
_ROBOTS = """
    SELECT platform_id, id FROM campaigns_robot
    WHERE account_id = %s AND platform_id = ANY(%s::text[])
"""
_INSTANCES = """
    SELECT instance.platform_task_id, instance.task_id FROM campaigns_instance instance
    JOIN campaigns_task task ON task.id = instance.task_id
    WHERE task.account_id = %s AND instance.platform_task_id = ANY(%s::text[])
        AND instance.platform_task_id <> ''
"""
_BY_ID = """
    SELECT known.platform_contact_id, contact.id, contact.task_id, contact.phone
    FROM campaigns_contact contact JOIN campaigns_contactname known
        ON known.contact_id = contact.id
    WHERE contact.account_id = %s AND known.platform_contact_id = ANY(%s::text[])
"""


def _find_ids(statement: str, account_id: int, wanted: set[str]) -> dict[str, int | None]:
    """{platform's id: our id}, None for an id that two of ours share: it names neither."""
    wanted -= {""}
    if not wanted:
        return {}
    found: dict[str, int | None] = {}
    for platform_id, pk in fetch_rows(statement, [account_id, write_array(wanted)]):
        found[platform_id] = None if platform_id in found else pk
    return found


def _find_instances(account_id: int, rows: list[Call]) -> dict[str, int | None]:
    """{platform's id of an instance: our task}, None for one that two of ours have."""
    wanted = {row.platform_task_id for row in rows} - {""}
    if not wanted:
        return {}
    found: dict[str, int | None] = {}
    for platform_id, task_id in fetch_rows(_INSTANCES, [account_id, write_array(wanted)]):
        same = found.get(platform_id, task_id) == task_id
        found[platform_id] = task_id if same else None
    return found


def _find_contacts(
    account_id: int, rows: list[Call], phones: dict[int, str]
) -> dict[str, tuple[int, int]]:
    wanted = {row.platform_contact_id for row in rows if row.contact_id is None} - {""}
    if not wanted:
        return {}
    found: dict[str, tuple[int, int] | None] = {}
    for platform_id, pk, task_id, phone in fetch_rows(_BY_ID, [account_id, write_array(wanted)]):
        found[platform_id] = None if platform_id in found else (pk, task_id)
        phones[pk] = phone
    # Ours, carried there by hand: nobody told us that the platform took it.
    ours = {int(match[1]): match[0] for name in wanted - {*found} if (match := _NAMED.match(name))}
    if ours:
        query = Contact.objects.filter(account_id=account_id, pk__in=ours, platform_contact_id="")
        for pk, task_id in query.values_list("pk", "task_id"):
            found[ours[pk]] = (pk, task_id)
    return {platform_id: pair for platform_id, pair in found.items() if pair is not None}


def _find_by_number(account_id: int, rows: list[Call], *, region: str) -> None:
    """Calls of a task of ours whose contact has no platform id yet, or one that the platform gave
    to others of ours too: by the number, if it is the only one. The number that was sent goes
    before the one that was dialled, which may be masked."""
    open_rows = [row for row in rows if row.contact_id is None and row.task_id]
    if not open_rows:
        return
    unread = [row.pk for row in open_rows if "details" not in row.__dict__]
    sent = Call.objects.filter(pk__in=unread).values_list("pk", "details__contact_number")
    numbers = dict(sent) if unread else {}
    wanted: list[list[str]] = []
    for row in open_rows:
        told = numbers.get(row.pk) if row.pk in numbers else row.details.get("contact_number")
        phones: list[str] = []
        for text in (told, row.callee):
            with contextlib.suppress(PhoneRefused):
                phones.append(normalise_phone(str(text or ""), region=region))
        wanted.append(phones)
    query = Contact.objects.filter(
        task_id__in={row.task_id for row in open_rows},
        phone__in={phone for phones in wanted for phone in phones},
        status__in=CANDIDATES,
    )
    found: dict[tuple[int, str], list[tuple[int, str]]] = defaultdict(list)
    for task_id, phone, pk, platform_id in query.values_list(
        "task_id", "phone", "pk", "platform_contact_id"
    ):
        found[task_id, phone].append((pk, platform_id))
    ids = {platform_id for pairs in found.values() for _, platform_id in pairs} - {""}
    nobodys = {""} | _find_doubled(account_id, ids)
    for row, phones in zip(open_rows, wanted, strict=True):
        for phone in phones:
            fitting = [
                pk
                for pk, platform_id in found[row.task_id, phone]
                if platform_id in nobodys or not row.platform_contact_id
            ]
            if len(fitting) == 1:
                row.contact_id = fitting[0]
                break


def _find_doubled(account_id: int, ids: Collection[str]) -> set[str]:
    """Those of the ids that several contacts have: an answer named a row of another batch. They
    name nobody."""
    if not ids:
        return set()
    given = Contact.objects.filter(account_id=account_id, platform_contact_id__in=ids)
    doubled = given.order_by().values("platform_contact_id").annotate(contacts=Count("pk"))
    return set(doubled.filter(contacts__gt=1).values_list("platform_contact_id", flat=True))


def _find_direct(account_id: int, rows: list[Call], *, region: str) -> None:
    """Calls that belong to no task of ours: perhaps to a direct call whose answer was lost. By
    number and robot, dialled soon after it was sent, if there is only one.

    It proves that the whole direct call was carried out, so nothing about the call may be in doubt.
    """
    wanted: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for row in rows:
        if (row.contact_id, row.task_id) == (None, None) and row.dialed_at:
            if row.direction != Call.Direction.OUTBOUND:
                continue
            with contextlib.suppress(PhoneRefused):
                phone = normalise_phone(row.callee, region=region)
                wanted[phone, row.platform_robot_id].append(row)
    if not wanted:
        return
    waiting = Contact.objects.filter(
        account_id=account_id,
        phone__in={phone for phone, _ in wanted},
        task__kind=Task.Kind.DIRECT,
        status__in=(*DIRECT_CANDIDATES, "finished"),
    ).values_list(
        *("phone", "task__robot__platform_id", "pk", "task_id", "status", "platform_contact_id"),
        *("batch__attempts__status", "batch__attempts__started_at"),
    )
    found: dict[tuple[str, str], list[tuple[int, int, bool, str, datetime]]] = defaultdict(list)
    for phone, robot, pk, task_id, state, name, status, sent_at in waiting:
        if sent_at is not None and status not in NEVER_CALLED:
            found[phone, robot].append((pk, task_id, state in DIRECT_CANDIDATES, name, sent_at))
    for key, calls in wanted.items():
        for row in calls:
            # Whoever has an id is called by it; a call that tells none may be theirs all the same.
            # With an id that is another's too, by the number, as one without.
            fitting = {
                (pk, task_id, open_one and name in ("", row.platform_contact_id))
                for pk, task_id, open_one, name, sent_at in found[key]
                if row.dialed_at and -CLOCKS_DIFFER <= row.dialed_at - sent_at <= DIRECT_WITHIN
                if (open_one and name in ("", row.platform_contact_id))
                or not row.platform_contact_id
            }
            if len(fitting) == 1:
                pk, task_id, open_one = fitting.pop()
                if open_one:
                    row.contact_id, row.task_id = pk, task_id


# ------------------------------------------------------------------------ the contact's own summary


class _Row(NamedTuple):
    """What a contact's summary is, and what decides over its next move."""

    pk: int
    status: str
    calls_made: int
    answered: bool
    result: str
    intention: str
    last_call_at: datetime | None
    recalls: int
    platform: str


class _Made(NamedTuple):
    """What a call says of its contact."""

    contact_id: int
    answered: bool | None
    attempt: int | None
    happened_at: datetime
    platform_call_id: str
    result: str
    intention: str
    direction: str
    final: bool | None


_CONTACTS = """
    SELECT contact.id, contact.status, contact.calls_made, contact.answered, contact.result,
        contact.intention, contact.last_call_at, task.recall_count, account.platform
    FROM campaigns_contact contact
    JOIN campaigns_task task ON task.id = contact.task_id
    JOIN campaigns_account account ON account.id = contact.account_id
    WHERE contact.id = ANY(%s::bigint[]) ORDER BY contact.id FOR UPDATE OF contact
"""
_CALLS = """
    SELECT contact_id, answered, attempt, happened_at, platform_call_id, result, intention,
        direction, final
    FROM campaigns_call
    WHERE contact_id = ANY(%s::bigint[]) AND has_record AND direction <> 'inbound'
"""
_SUMMARY = """
    UPDATE campaigns_contact SET calls_made = v.calls, answered = v.answered, result = v.result,
        intention = v.intention, last_call_at = v.at, status = v.status,
        reason = CASE WHEN campaigns_contact.status = v.status THEN campaigns_contact.reason
            ELSE '' END
    FROM unnest(%s::bigint[], %s::int[], %s::bool[], %s::text[], %s::text[], %s::timestamptz[],
        %s::text[]) AS v(id, calls, answered, result, intention, at, status)
    WHERE campaigns_contact.id = v.id
"""


def summarise_contacts(contact_ids: Collection[int]) -> None:
    """Read calls made, answered, result, intention and last call of contacts from their calls, and
    move those that are done. The same calls give the same contact, whatever order they came in.

    A call counts once its record is there: a dialog or a recording does not say who called whom.
    """
    if not contact_ids:
        return
    calls: dict[int, list[_Made]] = defaultdict(list)
    ids = write_array(contact_ids)
    with open_cursor() as cursor:
        cursor.execute(_CONTACTS, [ids])
        contacts = [_Row(*row) for row in cursor.fetchall()]
        cursor.execute(_CALLS, [ids])
        for row in cursor.fetchall():
            calls[row[0]].append(_Made(*row))
    lifecycle.check_moves(Contact, ["accepted"], "finished")
    changed: list[_Row] = []
    for contact in contacts:
        done = contact.status == "accepted" and _is_over(contact, calls[contact.pk])
        summary = _summarise(calls[contact.pk])
        fresh = contact._replace(status="finished" if done else contact.status, **summary)
        if fresh != contact:
            changed.append(fresh)
    if changed:
        with open_cursor() as cursor:
            cursor.execute(
                _SUMMARY,
                [
                    write_array(contact.pk for contact in changed),
                    write_array(contact.calls_made for contact in changed),
                    write_array(contact.answered for contact in changed),
                    write_array(contact.result for contact in changed),
                    write_array(contact.intention for contact in changed),
                    write_array(contact.last_call_at for contact in changed),
                    write_array(contact.status for contact in changed),
                ],
            )
    for contact in contacts:
        if contact.status in ("unknown", "withdrawn"):
            _prove(contact, calls[contact.pk])


def _summarise(calls: list[_Made]) -> dict[str, Any]:
    best = max(calls, key=_weigh, default=None)
    graded = max((call for call in calls if call.intention), key=_weigh, default=None)
    return {
        "calls_made": min(len(calls), 32_767),
        "answered": any(call.answered for call in calls),
        "result": best.result if best else "",
        "intention": graded.intention if graded else "",
        "last_call_at": max((call.happened_at for call in calls), default=None),
    }


def _weigh(call: _Made) -> tuple[Any, ...]:
    return (bool(call.answered), call.attempt or 0, call.happened_at, call.platform_call_id)


def decides_alone(slug: str) -> bool:
    """Whether the platform itself decides how often it calls a contact: then a call that was not
    answered is the last one only when it says so, or when all is over there."""
    return slug in PLATFORMS and Can.FILL_INSTANCES in PLATFORMS[slug].can


def _is_over(contact: _Row, calls: list[_Made]) -> bool | None:
    """Whether this was the last call that the task allows, or it was answered; None where no call
    is known to have gone out: that moves nobody."""
    made = [call for call in calls if call.direction == Call.Direction.OUTBOUND]
    if not made:
        return None
    if any(call.answered or call.final for call in made):
        return True
    attempts = max([len(made), *(call.attempt or 0 for call in made)])
    return not decides_alone(contact.platform) and attempts > contact.recalls


def _prove(contact: _Row, calls: list[_Made]) -> None:
    """What we had lost sight of, or given up, is proved by a call; that is worth a line in its
    history."""
    over = _is_over(contact, calls)
    if over is None:
        return
    row = Contact(pk=contact.pk)
    if contact.status == "unknown":
        new = "finished" if over else "accepted"
        lifecycle.move(row, new, of=["unknown"], reason=PROVED)
    else:
        lifecycle.move(row, "finished", of=["withdrawn"], reason=CALLED_ALL_THE_SAME)
