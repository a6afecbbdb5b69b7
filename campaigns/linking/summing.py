"""In: contacts whose calls changed. Out: their summaries of their calls; those that are done are
moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.models import Call, Contact
from campaigns.platforms.contract import Can
from campaigns.platforms.registry import PLATFORMS
from campaigns.prepared import open_cursor, write_array

PROVED = N_("A call came back: the platform had accepted this contact.")
CALLED_ALL_THE_SAME = N_("A call came back although the contact had been withdrawn.")


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
