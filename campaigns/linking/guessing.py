"""In: calls that no id led to a contact. Out: those whose number leads to one, and only one."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db.models import Count

from campaigns.models import Call, Contact, Task
from campaigns.phones import PhoneRefused, normalise_phone

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


def find_by_number(account_id: int, rows: list[Call], *, region: str) -> None:
    """Calls of a task of ours whose contact has no platform id yet, or one that the platform gave
    to others of ours too: by the number, if it is the only one. The number that was sent goes
    before the one that was dialled, which may be masked."""
    open_rows = [row for row in rows if row.contact_id is None and row.task_id]
    if not open_rows:
        return
    wanted: list[list[str]] = []
    for row, sent in zip(open_rows, read_sent(open_rows), strict=True):
        phones: list[str] = []
        for text in (sent, row.callee):
            with contextlib.suppress(PhoneRefused):
                phones.append(normalise_phone(text, region=region))
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


def read_sent(rows: Sequence[Call]) -> list[str]:
    """The number that was sent of each call, where one was told; asked for where the call was
    loaded without what else is known of it."""
    unread = [row.pk for row in rows if "details" not in row.__dict__]
    numbers: dict[int, object] = {}
    if unread:  # to put the question together leaves circles behind, and costs as much as the rest
        asked = Call.objects.filter(pk__in=unread)
        numbers = dict(asked.values_list("pk", "details__contact_number"))
    told = (
        numbers[row.pk] if row.pk in numbers else row.details.get("contact_number") for row in rows
    )
    return [str(number or "") for number in told]


def _find_doubled(account_id: int, ids: Collection[str]) -> set[str]:
    """Those of the ids that several contacts have: an answer named a row of another batch. They
    name nobody."""
    if not ids:
        return set()
    given = Contact.objects.filter(account_id=account_id, platform_contact_id__in=ids)
    doubled = given.order_by().values("platform_contact_id").annotate(contacts=Count("pk"))
    return set(doubled.filter(contacts__gt=1).values_list("platform_contact_id", flat=True))


def find_direct(account_id: int, rows: list[Call], *, region: str) -> None:
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
