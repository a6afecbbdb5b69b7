"""In: contacts about to be called. Out: those that must not be are excluded, each with a reason.

Two questions: does somebody forbid the number, and would the account call it more often than its
frequency cap allows. Both are put when a task is planned, and again when a batch leaves; the first
also right before the first byte, and before a platform is told to dial what it holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from django.db import connection, models
from django.db.models import CharField, Exists, F, Func, OuterRef, Subquery, Value
from django.db.models.functions import JSONObject
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.barring.entries import select_barred
from campaigns.models import Account, Contact, Task
from campaigns.prepared import open_cursor

#: since: a day, ISO
BARRED = N_("On the do-not-call list since %(since)s.")
CAPPED = N_(
    "%(calls)s calls to this number within %(days)s days, made or on their way; the account allows"
    " %(allowed)s."
)

#: states of contacts whose calls are on their way; a planned one has a place, and may lose it
_LEAVING = ("sending", "unknown", "accepted")
#: the first half of the advisory lock's key: "what leaves for account n, which has a cap"
_CAP_LOCK = 70_004
_CHUNK = 10_000

#: the entries that forbid the number of ``contact`` at this moment, of a query around it
BARRED_CONTACT_SQL = """
    SELECT FROM campaigns_donotcall entry
    WHERE entry.phone = contact.phone
        AND (entry.account_id = contact.account_id OR entry.account_id IS NULL)
        AND entry.lifted_at IS NULL
        AND (entry.expires_at IS NULL OR entry.expires_at > statement_timestamp())
"""

_COUNTED = """
    SELECT phone, sum(calls)::integer AS calls
    FROM (
        SELECT contact.phone, count(*) AS calls
        FROM campaigns_call call JOIN campaigns_contact contact ON contact.id = call.contact_id
        WHERE {recent} AND call.direction <> 'inbound' {of_contact}
        GROUP BY contact.phone
        UNION ALL
        SELECT call.callee AS phone, count(*) AS calls
        FROM campaigns_call call
        WHERE {recent} AND call.direction = 'outbound' AND call.contact_id IS NULL {of_call}
        GROUP BY call.callee
        UNION ALL
        SELECT contact.phone, sum(greatest(1 + task.recall_count - contact.calls_made, 0)) AS calls
        FROM campaigns_contact contact JOIN campaigns_task task ON task.id = contact.task_id
        WHERE contact.account_id = %(account)s AND contact.status IN ({states}) {of_contact}
            -- the same for the index
            AND contact.stage IN {unsettled}
            -- of a task that is over, and that nobody told the end of the contact, long enough ago
            AND (contact.status <> 'accepted' OR task.finished_at IS NULL
                 OR task.finished_at > now() - make_interval(days => %(cap_days)s))
        GROUP BY contact.phone
    ) counted
    GROUP BY phone
"""
_RECENT = """
    call.account_id = %(account)s AND call.has_record
    AND call.happened_at > now() - make_interval(days => %(cap_days)s)
"""
_OVER_CAP = """
    WITH waiting AS MATERIALIZED ({waiting})
    SELECT waiting.id, coalesce(called.calls, 0)
    FROM waiting LEFT JOIN ({called}) called USING (phone)
    WHERE coalesce(called.calls, 0) + %(adding)s > %(allowed)s
"""
_OF_NUMBERS = "SELECT phone, calls FROM ({called}) called WHERE phone = ANY(%(phones)s)"


def _count_calls(states: Collection[str], *, among: str = "") -> str:
    """Calls that came in are nobody's calls to that number. A call that is linked counts for the
    number of its contact, since what was dialled may be masked. ``among``: a query of the numbers
    that matter."""
    return _COUNTED.format(
        recent=_RECENT,
        states=", ".join(f"'{state}'" for state in states),
        unsettled=Contact.UNSETTLED_STAGES_SQL,
        of_contact=f"AND contact.phone IN ({among})" if among else "",
        of_call=f"AND call.callee IN ({among})" if among else "",
    )


#: calls to each number made by %(account)s within %(cap_days)s days, and those still possible of
#: contacts that are planned or handed over; to be used as a sub-select. What a platform redials by
#: itself beyond the task's recalls counts once it was made.
CALLED_SQL = _count_calls(Contact.UNSETTLED)


def make_called_sql(*, among: str) -> str:
    """``CALLED_SQL`` of the numbers that the query ``among`` gives, not of all there are."""
    return _count_calls(Contact.UNSETTLED, among=among)


def exclude_barred(
    task: Task, contacts: models.QuerySet[Contact], *, of: Collection[str], leaving: bool = False
) -> int:
    """Exclude those of the task's ``contacts`` whose number is barred or capped; returns how many.
    They are in no batch any more: the platform's count of contacts must not miss them.

    ``leaving``: they go to the platform with the commit of the caller's transaction. Then planned
    contacts of other tasks have no claim, and of two batches with one number the later one yields.
    """
    account = Account.objects.only("cap_calls", "cap_days", "time_zone").get(pk=task.account_id)
    barred = select_barred(account.pk).filter(phone=OuterRef("phone")).order_by("created_at")
    day = barred.annotate(day=_format_day("created_at", account.time_zone)).values("day")[:1]
    excluded = lifecycle.move_contacts(
        contacts.filter(Exists(barred)),
        "excluded",
        of=of,
        batch=None,
        reason=BARRED,
        reason_values=JSONObject(since=Subquery(day)),
    )
    if account.cap_calls is None:
        return excluded
    if leaving:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_CAP_LOCK, account.pk % 2**31])
    return excluded + _exclude_capped(task, account, contacts, of=of, leaving=leaving)


def _format_day(field: str, zone: str) -> Func:
    local = Func(Value(zone), F(field), function="timezone")
    return Func(local, Value("YYYY-MM-DD"), function="to_char", output_field=CharField())


def _exclude_capped(
    task: Task,
    account: Account,
    contacts: models.QuerySet[Contact],
    *,
    of: Collection[str],
    leaving: bool,
) -> int:
    waiting = contacts.filter(status__in=list(of)).order_by().values("id", "phone")
    query, values = waiting.query.sql_with_params()
    named = {f"waiting_{place}": value for place, value in enumerate(values)}
    query = query % tuple(f"%({name})s" for name in named)
    states = _LEAVING if leaving else Contact.UNSETTLED
    called = _count_calls(states, among="SELECT phone FROM waiting")
    with connection.cursor() as cursor:
        cursor.execute(
            _OVER_CAP.format(waiting=query, called=called),
            {
                "account": account.pk, "cap_days": account.cap_days, "allowed": account.cap_calls,
                "adding": 1 + task.recall_count, **named,
            },
        )  # fmt: skip
        by_calls: dict[int, list[int]] = defaultdict(list)
        for pk, number in cursor.fetchall():
            by_calls[number].append(pk)
    excluded = 0
    for number, ids in sorted(by_calls.items()):
        values = {"calls": number, "days": account.cap_days, "allowed": account.cap_calls}
        for begin in range(0, len(ids), _CHUNK):
            excluded += lifecycle.move_contacts(
                Contact.objects.filter(pk__in=ids[begin : begin + _CHUNK]),
                "excluded",
                of=of,
                batch=None,
                reason=CAPPED,
                reason_values=values,
            )
    return excluded


def make_over_cap_sql(*, batches: str) -> str:
    """Who of the planned contacts of batches (a query that gives their ids) is over the account's
    cap; of the values of ``lock_cap``."""
    return _OVER_CAP.format(
        waiting="SELECT id, phone FROM campaigns_contact"  # noqa: S608
        f" WHERE batch_id IN ({batches}) AND status = 'planned'",
        called=_count_calls(_LEAVING, among="SELECT phone FROM waiting"),
    )


_OVER_CAP_IN_BATCH = make_over_cap_sql(batches="%(batch)s")


def lock_cap(task: Task) -> dict[str, Any] | None:
    """Hold the account's cap until the end of the caller's transaction, with which a batch goes to
    the platform: what another one added before is seen by the next statement. Returns its values;
    None where there is no cap."""
    account = task.account
    if account.cap_calls is None:
        return None
    with open_cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_CAP_LOCK, account.pk % 2**31])
    return {
        "account": account.pk, "cap_days": account.cap_days, "allowed": account.cap_calls,
        "adding": 1 + task.recall_count,
    }  # fmt: skip


def has_capped(task: Task, batch_id: int) -> bool:
    """Whether ``exclude_barred`` would find somebody over the account's cap among those of the
    batch, which goes to the platform with the commit of the caller's transaction."""
    values = lock_cap(task)
    if values is None:
        return False
    with open_cursor() as cursor:
        cursor.execute(_OVER_CAP_IN_BATCH, {**values, "batch": batch_id})
        return cursor.fetchone() is not None


def find_capped(account: Account, phones: Collection[str], *, adding: int) -> dict[str, int]:
    """{number: calls made or on their way} of the numbers that ``adding`` calls more would bring
    over the account's cap; {} where it has none."""
    if account.cap_calls is None:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _OF_NUMBERS.format(called=CALLED_SQL),
            {"account": account.pk, "cap_days": account.cap_days, "phones": sorted(phones)},
        )
        calls = dict(cursor.fetchall())
    counted = {phone: calls.get(phone, 0) for phone in phones}
    return {phone: made for phone, made in counted.items() if made + adding > account.cap_calls}


def has_barred(contacts: models.QuerySet[Contact]) -> bool:
    """Whether the number of one of them is barred for its account at this moment."""
    return contacts.filter(Exists(_bars_of_contact())).exists()


def only_free(contacts: models.QuerySet[Contact]) -> models.QuerySet[Contact]:
    """Those of them whose number nobody forbids at this moment."""
    return contacts.filter(~Exists(_bars_of_contact()))


def _bars_of_contact() -> models.QuerySet[Any]:
    return select_barred(OuterRef("account")).filter(phone=OuterRef("phone"))
