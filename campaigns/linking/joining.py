"""In: calls of one account. Out: task, contact and robot of each, where its ids or its number tell
them; what turned out to be wrong is taken away."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from campaigns.linking.guessing import find_by_number, find_direct, read_sent
from campaigns.linking.names import NAMED, name_contact
from campaigns.models import Call, Contact
from campaigns.prepared import fetch_rows, open_cursor, write_array

#: a number of which not all is told, and what is told behind that
_MASKED = re.compile(r".*[*xX•]([0-9]*)\Z")
#: what joining reads and writes of a call
JOINED = (
    *("id", "contact", "task", "robot", "direction", "callee", "dialed_at", "happened_at"),
    *("platform_task_id", "platform_contact_id", "platform_robot_id"),
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
_PLATFORM_IDS = """
    SELECT id, platform_task_id FROM campaigns_task
    WHERE id = ANY(%s::bigint[]) AND platform_task_id <> ''
    UNION ALL SELECT task_id, platform_task_id FROM campaigns_instance
    WHERE task_id = ANY(%s::bigint[]) AND platform_task_id <> ''
"""
_BY_ID = """
    SELECT known.platform_contact_id, contact.id, contact.task_id, contact.phone
    FROM campaigns_contact contact JOIN campaigns_contactname known
        ON known.contact_id = contact.id
    WHERE contact.account_id = %s AND known.platform_contact_id = ANY(%s::text[])
"""


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
    tasks = _find_ids(_TASKS, account_id, {row.platform_task_id for row in outbound})
    tasks |= _find_instances(account_id, outbound)
    _take_wrong_away(account_id, rows, phones, tasks)
    robots = _find_ids(_ROBOTS, account_id, {row.platform_robot_id for row in rows})
    contacts = _find_contacts(account_id, outbound, phones)
    for row in rows:
        row.robot_id = row.robot_id or robots.get(row.platform_robot_id)
    for row in outbound:
        row.task_id = row.task_id or tasks.get(row.platform_task_id)
        if row.contact_id is None and row.platform_contact_id in contacts:
            row.contact_id, row.task_id = contacts[row.platform_contact_id]
    doubtful = _find_doubtful(outbound, phones)
    believed = [(row, row.contact_id, row.task_id) for row in doubtful]
    for row in doubtful:
        row.contact_id, row.task_id = None, tasks.get(row.platform_task_id)
    find_by_number(account_id, outbound, region=region)
    # What names a campaign of ours is no direct call, not even if two of ours have that id.
    strange = [row for row in outbound if row.platform_task_id not in tasks]
    find_direct(account_id, strange, region=region)
    called_there = _find_platform_ids({task_id for _, _, task_id in believed if task_id})
    for row, contact_id, task_id in believed:
        if row.contact_id is None:  # nobody else has the number: it may be masked
            ids = called_there.get(task_id or 0)
            elsewhere = ids and row.platform_task_id and row.platform_task_id not in ids
            if elsewhere and not _may_be_number_of(row.callee, phones.get(contact_id or 0, "")):
                continue  # neither the number nor the task is theirs: the id is not either
            row.contact_id, row.task_id = contact_id, task_id
    return [
        row
        for row, was in zip(rows, before, strict=True)
        if was != (row.contact_id, row.task_id, row.robot_id)
    ]


def _find_doubtful(rows: Collection[Call], phones: Mapping[int, str]) -> list[Call]:
    """The calls to another number, as it stands, than that of the contact with their id. An id that
    we gave ourselves is in no doubt: no answer can have named a row of another batch."""
    strange = [
        (row, phones[row.contact_id])
        for row in rows
        if row.contact_id in phones and row.platform_contact_id and row.callee
        if not _is_number_of(row.callee, phones[row.contact_id])
        if row.platform_contact_id != name_contact(row.contact_id)
    ]
    sent = read_sent([row for row, _ in strange])
    return [
        row
        for (row, phone), number in zip(strange, sent, strict=True)
        if not _is_number_of(number, phone)
    ]


def _is_number_of(number: str, phone: str) -> bool:
    """Whether it is the contact's, as it stands or behind a country code."""
    return number.endswith(phone.lstrip("+"))


def _may_be_number_of(number: str, phone: str) -> bool:
    """Whether a masked one is the contact's as far as its end can be read."""
    masked = _MASKED.match(number)
    return masked is not None and phone.endswith(masked[1])


def _take_wrong_away(
    account_id: int,
    rows: Collection[Call],
    phones: dict[int, str],
    tasks: Mapping[str, int | None],
) -> None:
    """Part a call from a contact that it was linked to before a record said that it came in, or by
    its number before we knew the contact's id, or the call's, which turned out to be another's."""
    linked = {row.contact_id for row in rows if row.contact_id}
    if not linked:
        return
    names: dict[int, str] = {}
    numbers: dict[int, str] = {}
    for pk, name, phone in fetch_rows(_NAMES, [write_array(linked)]):
        names[pk], numbers[pk] = name, phone
        if name:
            phones[pk] = phone
    guessed = [row for row in rows if row.contact_id and not names.get(row.contact_id)]
    wrong = _find_wrong_guesses(account_id, guessed, numbers, tasks)
    for row in rows:
        if row.contact_id is None:
            continue
        named = names.get(row.contact_id, "")
        other = row.platform_contact_id and named not in ("", row.platform_contact_id)
        if row.direction == Call.Direction.INBOUND or other or row.pk in wrong:
            row.contact_id = row.task_id = None


def _find_wrong_guesses(
    account_id: int,
    rows: Collection[Call],
    numbers: Mapping[int, str],
    tasks: Mapping[str, int | None],
) -> set[int]:
    """Of calls whose contact has no id yet, and may have been guessed by its number: the ids of
    those whose id somebody else has. Whoever has the id is surer, unless it was the number of the
    first that was called, in no other task of ours, and not that of the other."""
    wanted = {row.platform_contact_id for row in rows} - {""}
    owners: dict[str, list[str]] = {}
    told = fetch_rows(_BY_ID, [account_id, write_array(wanted)]) if wanted else []
    for name, _, _, phone in told:
        owners.setdefault(name, []).append(phone)
    known = [row for row in rows if len(owners.get(row.platform_contact_id, ())) == 1]
    wrong = set()
    for row, sent in zip(known, read_sent(known), strict=True):
        mine, theirs = numbers.get(row.contact_id or 0, "?"), owners[row.platform_contact_id][0]
        called = (row.callee, sent)
        if (
            not any(_is_number_of(number, mine) for number in called)
            or any(_is_number_of(number, theirs) for number in called)
            or tasks.get(row.platform_task_id, row.task_id) != row.task_id
        ):
            wrong.add(row.pk)
    return wrong


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


def _find_platform_ids(task_ids: Collection[int]) -> dict[int, set[str]]:
    """{our task: what the platform calls it, and each of its instances}"""
    found: dict[int, set[str]] = {}
    if task_ids:
        wanted = write_array(task_ids)
        for pk, platform_id in fetch_rows(_PLATFORM_IDS, [wanted, wanted]):
            found.setdefault(pk, set()).add(platform_id)
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
    ours = {int(match[1]): match[0] for name in wanted - {*found} if (match := NAMED.match(name))}
    if ours:
        query = Contact.objects.filter(account_id=account_id, pk__in=ours, platform_contact_id="")
        for pk, task_id in query.values_list("pk", "task_id"):
            found[ours[pk]] = (pk, task_id)
    return {platform_id: pair for platform_id, pair in found.items() if pair is not None}
