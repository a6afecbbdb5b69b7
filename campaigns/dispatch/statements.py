"""In: batches that leave, or were taken. Out: their rows moved, in one statement for each step.

What happens once per batch, or once for several, two hundred batches a second. Each statement is a
compare-and-swap as in ``lifecycle``, whose tables say what may be written here; where a statement
finds that things are not as usual, the caller goes the long way.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from campaigns import attempts, lifecycle
from campaigns.barring import BARRED_CONTACT_SQL, lock_cap, make_over_cap_sql
from campaigns.models import Attempt, Batch, Contact, Task
from campaigns.prepared import open_cursor, write_array

#: how often the acceptance is written before a deadlock is an error
DEADLOCK_TRIES = 3

_GIVEN = ("checks", "places")
_BATCH_FIELDS = [field for field in Batch._meta.concrete_fields if field.name not in _GIVEN]
_BATCH_COLUMNS = ", ".join(f"batch.{field.column}" for field in _BATCH_FIELDS)

#: the history row of the move is written by the same statement
_TAKE = f"""
    WITH chosen AS MATERIALIZED (
        SELECT id, number, places FROM campaigns_batch batch
        WHERE task_id = %(task)s AND status = 'planned'
            AND (not_before IS NULL OR not_before <= %(now)s::timestamptz)
            -- an instance that the platform has not made yet takes nobody
            AND NOT EXISTS (SELECT FROM campaigns_instance instance
                WHERE instance.id = batch.instance_id AND instance.platform_task_id = '')
            AND NOT (%(halts)s::boolean AND EXISTS (SELECT FROM campaigns_batch other
                WHERE other.task_id = %(task)s AND other.status = 'unknown'))
        ORDER BY number LIMIT %(most)s::integer FOR UPDATE SKIP LOCKED
    ), plain AS MATERIALIZED (
        -- up to the first whose hours have to be looked at: none overtakes it
        SELECT id FROM chosen WHERE places = '[]' AND number < coalesce(
            (SELECT min(number) FROM chosen WHERE places IS DISTINCT FROM '[]'), 2147483647)
    ), taken AS (
        UPDATE campaigns_batch batch SET status = 'sending', reason = '', checks = %(checks)s::jsonb
        FROM plain WHERE batch.id = plain.id
        RETURNING {_BATCH_COLUMNS}
    ), told AS (
        INSERT INTO campaigns_statuschange (subject, subject_id, old, new, reason, "values", at)
        SELECT 'batch', id, 'planned', 'sending', '', '{{}}', %(now)s::timestamptz FROM taken
    )
"""  # noqa: S608


def _make_leave(of: str) -> str:
    return f"""
    UPDATE campaigns_contact contact SET status = 'sending'
    {of} AND contact.status = 'planned' AND contact.calls_made = 0
        AND NOT EXISTS ({BARRED_CONTACT_SQL})
"""  # noqa: S608


def _make_claim(*, over: str = "", unless: str = "") -> str:
    """Nobody leaves who is barred, and nobody at all of a batch in which somebody is ``over`` the
    cap. Whatever is missing from a batch then, it has no attempt yet, and the caller looks closer.
    """
    return f"""{_TAKE} {over}, sent AS (
        {_make_leave("FROM taken WHERE contact.batch_id = taken.id")} {unless}
        RETURNING contact.batch_id, contact.id, contact.phone, contact."values"
    ), packed AS (
        SELECT batch_id, count(*) AS people,
            json_agg(json_build_array(id, phone, "values") ORDER BY id)::text AS contacts
        FROM sent GROUP BY batch_id
    ), opened AS (
        {attempts.OPEN_TAKEN}
        JOIN packed ON packed.batch_id = taken.id AND packed.people = taken.size
        WHERE %(opens)s::boolean
        RETURNING id, batch_id, lease_until
    )
    SELECT opened.id, opened.lease_until, packed.contacts, taken.*
    FROM taken LEFT JOIN packed ON packed.batch_id = taken.id
        LEFT JOIN opened ON opened.batch_id = taken.id
    ORDER BY taken.number
"""  # noqa: S608


_SEND_CONTACTS = (
    _make_leave("WHERE contact.batch_id = %s") + " RETURNING contact.id, contact.phone,"
    ' contact."values"'
)
_OVER = make_over_cap_sql(batches="SELECT id FROM plain")
_CLAIM_FREE = _make_claim()
_CLAIM_CAPPED = _make_claim(
    over=f""", capped AS MATERIALIZED ({_OVER}), spent AS MATERIALIZED (
        SELECT DISTINCT contact.batch_id FROM campaigns_contact contact JOIN capped USING (id)
    )""",  # noqa: S608
    unless="AND taken.id NOT IN (SELECT batch_id FROM spent)",
)

#: Contacts by id, as ``linking`` locks them: pushes of them may be written at the same time. To
#: lock each before would cost as much as all the rest. Of few contacts PostgreSQL writes the rows
#: in the order of ``sorted``, of tens of thousands batch by batch: that may run into a deadlock,
#: and is done once more then, see ``_carry_out``.
_ACCEPT_NEW = """
    WITH closed AS (
        UPDATE campaigns_attempt
        SET status = 'accepted', reason = '', code = '', fault = '', ended_at = %(now)s::timestamptz
        WHERE id = ANY(%(attempts)s::bigint[]) AND status = 'sending' RETURNING id, batch_id
    ), taken AS (
        UPDATE campaigns_batch batch SET status = 'accepted', reason = ''
        FROM closed WHERE batch.id = closed.batch_id AND batch.status = 'sending'
        RETURNING batch.id
    ), told AS (
        INSERT INTO campaigns_statuschange (subject, subject_id, old, new, reason, "values", at)
        SELECT 'attempt', id, 'sending', 'accepted', '', '{}'::jsonb, %(now)s::timestamptz
        FROM closed
        UNION ALL
        SELECT 'batch', id, 'sending', 'accepted', '', '{}'::jsonb, %(now)s::timestamptz FROM taken
    ), sorted AS MATERIALIZED (
        SELECT id, platform_id
        FROM unnest(%(ids)s::bigint[], %(platform_ids)s::text[]) AS sent(id, platform_id)
        ORDER BY id
    ), accepting AS MATERIALIZED (
        -- no trigger names these contacts: ``known`` does
        SELECT set_config('callboard.accepting', 'on', true)
    ), named AS (
        UPDATE campaigns_contact contact SET
            platform_contact_id = sorted.platform_id,
            status = CASE WHEN status IN ('sending', 'unknown') THEN 'accepted' ELSE status END,
            reason = CASE WHEN status IN ('sending', 'unknown') THEN '' ELSE reason END
        FROM accepting CROSS JOIN sorted
        WHERE contact.id = sorted.id AND contact.batch_id IN (SELECT batch_id FROM closed)
        RETURNING contact.id, contact.platform_contact_id
    ), known AS (
        INSERT INTO campaigns_contactname (platform_contact_id, contact_id)
        SELECT platform_contact_id, id FROM named WHERE platform_contact_id <> ''
    )
    -- An attempt without its batch is not closed: the statement fails, and nothing is moved.
    SELECT array_agg(id), 1 / CASE WHEN count(*) = (SELECT count(*) FROM taken) THEN 1 ELSE 0 END
    FROM closed
"""
#: the same where one of the names is known already: to look for each before it is written, and to
#: write that it stays, is a seventh of the whole statement
_ACCEPT_KNOWN = _ACCEPT_NEW.replace(
    "WHERE platform_contact_id <> ''", "WHERE platform_contact_id <> '' ON CONFLICT DO NOTHING"
)


class Leaving(NamedTuple):
    """Of a contact what a request needs. Fifty model instances cost more than the request."""

    pk: int
    phone: str
    values: dict[str, Any]


class Claimed(NamedTuple):
    """A batch that is being sent, whom of it, and the attempt, if it was opened already."""

    batch: Batch
    contacts: list[Leaving]
    attempt: Attempt | None


class Taken(NamedTuple):
    """What the platform said that it took: whom, and its ids of them in the same order."""

    attempt: Attempt
    contacts: Sequence[Leaving]
    platform_ids: Sequence[str]


def check_tables() -> None:
    """Whether the moves written out above are those of the tables; called once, when loaded."""
    lifecycle.check_moves(Batch, ["planned"], "sending")
    lifecycle.check_moves(Contact, ["planned"], "sending")
    lifecycle.check_moves(Attempt, ["sending"], "accepted")
    lifecycle.check_moves(Batch, ["sending"], "accepted")
    lifecycle.check_moves(Contact, ["sending", "unknown"], "accepted")


check_tables()


def claim_whole(
    task: Task, command: str, *, checks: list[dict[str, Any]], most: int = 1
) -> list[Claimed]:
    """The task's next planned batches that nobody else takes, ``most`` of them, moved to
    ``sending`` with their contacts, which come by their id; none if there is none, or if the hours
    of its numbers have to be looked at first. The attempt is there when all of them leave, and the
    platform knows them by no name of ours."""
    # Nothing goes into a task while the outcome of a batch is unknown, but into an instance.
    halts = opens = not task.fills_instances
    cap = lock_cap(task)
    attempt = Attempt(task=task, command=command)
    values = attempts.describe_attempt(attempt) | {
        "task": task.pk, "halts": halts, "opens": opens, "now": attempt.started_at, "most": most,
        "checks": json.dumps(checks), **(cap or {}),
    }  # fmt: skip
    with open_cursor() as cursor:
        cursor.execute(_CLAIM_FREE if cap is None else _CLAIM_CAPPED, values)
        rows = cursor.fetchall()
    return [_read_claimed(task, attempt, row, checks=checks) for row in rows]


def _read_claimed(
    task: Task, described: Attempt, row: tuple[Any, ...], *, checks: list[dict[str, Any]]
) -> Claimed:
    attempt_id, lease_until, contacts, *columns = row
    batch = Batch.from_db(connection.alias, [field.attname for field in _BATCH_FIELDS], columns)
    batch.task, batch.checks, batch.places = task, checks, []
    leaving = [Leaving(*contact) for contact in json.loads(contacts or "[]")]
    if attempt_id is None:
        return Claimed(batch, leaving, None)
    attempt = Attempt(
        task=task, batch=batch, command=described.command, started_at=described.started_at
    )
    attempts.note_opened(attempt, attempt_id, lease_until)
    return Claimed(batch, leaving, attempt)


def send_contacts(batch: Batch) -> list[Leaving]:
    """Move those of the batch whom nothing forbids to ``sending``; they come by their id."""
    with open_cursor() as cursor:
        cursor.execute(_SEND_CONTACTS, [batch.pk])
        found = sorted(cursor.fetchall())
    return [Leaving(pk, phone, json.loads(values)) for pk, phone, values in found]


def list_leaving(batch: Batch) -> list[Leaving]:
    """Whom a batch that was claimed before hands over."""
    rows = batch.contacts.filter(status=Contact.Status.SENDING).order_by("id")
    return [Leaving(*row) for row in rows.values_list("pk", "phone", "values")]


def store_platform_ids(contacts: Sequence[Leaving], ids: Sequence[str]) -> None:
    """Keep the platform's id of each contact, in the order in which the rows were sent."""
    pairs = list(zip(contacts, ids, strict=True))
    with open_cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_contact SET platform_contact_id = sent.platform_id"
            " FROM unnest(%s::bigint[], %s::text[]) AS sent(id, platform_id)"
            " WHERE campaigns_contact.id = sent.id",
            [
                write_array([contact.pk for contact, _ in pairs]),
                write_array([platform_id for _, platform_id in pairs]),
            ],
        )


def accept_batches(taken: Sequence[Taken]) -> list[Attempt]:
    """Close attempts that are under way, and their batches, as accepted; returns those that were
    closed. Somebody else has settled the others meanwhile: of these nothing is moved. One
    statement: it needs no transaction around it."""
    closed = _accept_all(taken)
    if closed is None and len(taken) > 1:  # one of them stands in the way of all
        return [attempt for one in taken for attempt in accept_batches([one])]
    return closed or []


def _carry_out(statement: str, values: dict[str, Any]) -> set[int]:
    """The ids it returns. What the platform said is not lost with a deadlock: that is over as soon
    as the database has ended one side of it."""
    tries = 0
    while True:
        inside = transaction.atomic() if connection.in_atomic_block else contextlib.nullcontext()
        try:
            with inside, open_cursor() as cursor:
                cursor.execute(statement, values)
                return set(cursor.fetchone()[0] or ())
        except OperationalError as error:
            tries += 1
            deadlock = isinstance(error.__cause__, psycopg.errors.DeadlockDetected)
            if not deadlock or tries == DEADLOCK_TRIES:
                raise


def _accept_all(taken: Sequence[Taken]) -> list[Attempt] | None:
    """None if an attempt is under way and its batch is not; then nothing is moved."""
    now = timezone.now()
    values = {
        "attempts": write_array([one.attempt.pk for one in taken]),
        "now": now,
        "ids": write_array([contact.pk for one in taken for contact in one.contacts]),
        "platform_ids": write_array(
            [
                platform_id
                for one in taken
                for _contact, platform_id in zip(one.contacts, one.platform_ids, strict=True)
            ]
        ),
    }
    # A platform whose ids are ours knows them since the claim.
    named = any(one.attempt.task.fills_instances for one in taken)
    try:
        try:
            ids = _carry_out(_ACCEPT_KNOWN if named else _ACCEPT_NEW, values)
        except IntegrityError:  # of another one a call may have told the id already
            ids = _carry_out(_ACCEPT_KNOWN, values)
    except DataError:
        return None
    closed = [one.attempt for one in taken if one.attempt.pk in ids]
    for attempt in closed:
        attempt.status, attempt.ended_at = "accepted", now
    return closed
