"""In: a number and why nobody may call it. Out: the entry that says so, and every change of it.

One entry per number and account stands at a time, and one for all accounts. What forbids a number
a second time finds the entry there: the later expiry stays, and the entry's history tells of it. An
entry that has expired is closed and a new one made, so that what was forbidden when can be told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Collate, Now
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns.models import Account, BarListImport, Call, DoNotCall, DoNotCallRule, StatusChange
from campaigns.phones import PhoneRefused, normalise_phone

#: the numbers that may not be called now for %(account)s, each with the moment since when; to be
#: used as a sub-select
BARRED_SQL = """
    SELECT phone, min(created_at) AS since
    FROM campaigns_donotcall
    WHERE (account_id = %(account)s OR account_id IS NULL) AND lifted_at IS NULL
        AND (expires_at IS NULL OR expires_at > now())
    GROUP BY phone
"""
EXPIRED = N_("It had expired.")
SAID_AGAIN = N_("The number was put on the list once more.")
SAID_BY_CALL = N_("The number was put on the list once more, by call %(call)s.")
PROLONGED = N_("Another list of numbers has it for longer.")

#: the words in the history of an entry, which has no status of its own
STANDS, LIFTED = "barred", "lifted"
#: as Python sorts them: the database's language may pass over the plus of a number
_IN_ORDER = Collate("phone", "C")
#: entries written in one statement
_CHUNK = 10_000


class _Given(NamedTuple):
    phone: str
    reason: str
    expires_at: datetime | None


class _Found(NamedTuple):
    """An entry after it was locked: as it is, or as it stood before."""

    id: int
    phone: str
    expires_at: datetime | None
    list_id: int | None
    is_new: bool
    is_over: bool


class Barred(NamedTuple):
    """How many numbers of a list were new, and how many were forbidden already."""

    added: int
    known: int


def select_barred(account: Any) -> models.QuerySet[DoNotCall]:
    """The entries that stand now for an account (its id, or a reference to one in an outer query),
    those for all accounts among them; None: only those for all."""
    scope = Q(account=None) if account is None else Q(account=account) | Q(account=None)
    rows = DoNotCall.objects.filter(scope, lifted_at=None)
    return rows.filter(Q(expires_at=None) | Q(expires_at__gt=Now()))


def find_barred(account: Account | None, phones: Collection[str]) -> dict[str, DoNotCall]:
    """{number in normal form: the oldest entry that forbids it for the account}"""
    rows = select_barred(account.pk if account else None).filter(phone__in=phones)
    found: dict[str, DoNotCall] = {}
    for entry in rows.order_by("created_at", "id"):
        found.setdefault(entry.phone, entry)
    return found


def bar_number(
    phone: str,
    *,
    account: Account | None = None,
    source: str,
    reason: str = "",
    by: Any = None,
    call: Call | None = None,
    rule: DoNotCallRule | None = None,
    expires_at: datetime | None = None,
    list_import: BarListImport | None = None,
) -> DoNotCall:
    """Forbid a number, for one account or (None) for all. Raises ``PhoneRefused`` for what is none.

    ``expires_at`` None: for good. A number in normal form is taken as it is, wherever the account
    is at home; another is read as one of the account's region. Returns the entry that stands, which
    may have stood before.
    """
    if not is_normal(phone):
        phone = normalise_phone(phone, region=account.region if account else "CN")
    given = [_Given(phone, reason, expires_at)]
    user = by if getattr(by, "pk", None) else None
    with transaction.atomic():
        if call:
            # Pushes about the call are written under its lock, and may bar the number by a rule:
            # whoever bars it by hand takes the call first, too.
            with connection.cursor() as cursor:
                cursor.execute(_KEEP_CALL, [call.pk])
        new = _write(
            given, account=account, source=source, by=user, call=call, rule=rule,
            list_import=list_import,
        )  # fmt: skip
        entry = DoNotCall.objects.get(phone=phone, account=account, lifted_at=None)
        if not new:
            values = {"source": source, "given": reason[:300]}
            values |= {"call": call.pk} if call else {}
            values |= {"rule": rule.pk} if rule else {}
            _tell(entry, STANDS, SAID_BY_CALL if call else SAID_AGAIN, values=values, by=user)
    return entry


def is_normal(phone: str) -> bool:
    """Whether it is a number in its normal form, which reads the same in no other region: the bare
    digits of a Chinese mobile could be somebody else's in America."""
    try:
        return normalise_phone(phone) == phone
    except PhoneRefused:
        return False


def bar_many(
    rows: Iterable[tuple[str, str, datetime | None]],
    *,
    account: Account | None = None,
    source: str,
    by: Any = None,
    list_import: BarListImport | None = None,
) -> Barred:
    """Forbid many numbers: (number in normal form, reason, expires or None) each.

    Written in portions, each a transaction of its own unless the caller has one: whoever bars one
    of these numbers at the same time waits for a portion only. The same rows again add nothing.
    Raises ``ValueError`` for a number in another form: nobody would ever find it on the list.
    """
    user = by if getattr(by, "pk", None) else None
    waiting = iter(rows)
    added = known = 0
    while portion := list(islice(waiting, _CHUNK)):
        merged: dict[str, _Given] = {}
        for phone, reason, expires_at in portion:
            if not is_normal(phone):
                raise ValueError("A number of the list is not in its normal form.")
            before = merged.setdefault(phone, _Given(phone, reason, expires_at))
            later = _take_later(before.expires_at, expires_at)
            merged[phone] = _Given(phone, before.reason or reason, later)
        with transaction.atomic():
            new = _write(
                list(merged.values()), account=account, source=source, by=user,
                list_import=list_import,
            )  # fmt: skip
        added += new
        known += len(merged) - new
    return Barred(added, known)


def lift_bar(entry: DoNotCall, *, by: Any, reason: str) -> bool:
    """Allow the number again, as far as this entry forbids it; False when it was lifted before.

    Raises ``ValueError`` without a reason: somebody said no, and somebody else has to say why not.
    """
    return bool(_lift(DoNotCall.objects.filter(pk=entry.pk), by=by, reason=reason))


def lift_list(list_import: BarListImport, *, by: Any, reason: str) -> int:
    """Lift the entries that a list alone has made; returns how many. A number that something else
    forbids as well stays where it is. Written in portions, as ``bar_many`` writes."""
    entries, lifted = DoNotCall.objects.filter(list_import=list_import), 0
    while portion := _lift(entries, by=by, reason=reason):
        lifted += portion
    return lifted


def _lift(entries: models.QuerySet[DoNotCall], *, by: Any, reason: str) -> int:
    """Lift the first ones in the order of the numbers; returns how many, 0 when all are lifted."""
    if not reason.strip():
        raise ValueError("An entry is lifted with a reason.")
    user = by if getattr(by, "pk", None) else None
    with transaction.atomic():
        standing = entries.filter(lifted_at=None).select_for_update(of=("self",))
        ids = list(standing.order_by(_IN_ORDER).values_list("pk", flat=True)[:_CHUNK])
        DoNotCall.objects.filter(pk__in=ids).update(
            lifted_at=timezone.now(), lifted_by=user, lifted_reason=reason.strip()[:300]
        )
        if len(ids) == 1:
            _tell(DoNotCall(pk=ids[0]), LIFTED, "", values={"given": reason.strip()}, by=user)
    return len(ids)


def _take_later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else None


def _tell(entry: DoNotCall, new: str, sentence: str, *, values: dict[str, Any], by: Any) -> None:
    StatusChange.objects.create(
        subject="donotcall", subject_id=entry.pk, old=STANDS, new=new, reason=sentence,
        values=values, by=by,
    )  # fmt: skip


def _write(
    given: list[_Given],
    *,
    account: Account | None,
    source: str,
    by: Any,
    call: Call | None = None,
    rule: DoNotCallRule | None = None,
    list_import: BarListImport | None = None,
) -> int:
    """Insert or prolong entries, each number once; returns how many are new.

    The first statement takes a lock for every number in the order of the numbers, whether it is on
    the list or not: two who bar the same ones wait for each other, never in a circle.
    """
    values: dict[str, Any] = {
        "account": account.pk if account else None,
        "source": source,
        "by": by.pk if by else None,
        "call": call.pk if call else None,
        "rule": rule.pk if rule else None,
        "list": list_import.pk if list_import else None,
    }
    rows = {row.phone: row for row in given}
    conflict = _CONFLICT.format(
        target="(phone, account_id)" if account else "(phone)",
        where="account_id IS NOT NULL" if account else "account_id IS NULL",
    )
    with connection.cursor() as cursor:
        cursor.execute(_INSERT + conflict, values | _spread(given))
        found = [_Found(*row) for row in cursor.fetchall()]
        over = [row for row in found if row.is_over]
        if over:
            cursor.execute(_CLOSE, {"ids": [row.id for row in over], "expired": EXPIRED})
            cursor.execute(_INSERT, values | _spread([rows[row.phone] for row in over]))
    standing = [row for row in found if not row.is_new and not row.is_over]
    _prolong(standing, rows, tell=len(given) > 1, by=by)
    # What something else forbids as well belongs to no list: taking that back allows nothing.
    strange = [row.id for row in standing if row.list_id not in (None, values["list"])]
    DoNotCall.objects.filter(pk__in=strange).update(list_import=None)
    return len(found) - len(standing)


def _prolong(standing: list[_Found], rows: dict[str, _Given], *, tell: bool, by: Any) -> None:
    """The later end stays, of each entry and what is given for its number."""
    longer = [
        (row, later)
        for row in standing
        if (later := _take_later(row.expires_at, rows[row.phone].expires_at)) != row.expires_at
    ]
    if not longer:
        return
    with connection.cursor() as cursor:
        cursor.execute(_PROLONG, [[row.id for row, _ in longer], [later for _, later in longer]])
    if tell:
        StatusChange.objects.bulk_create(
            StatusChange(
                subject="donotcall", subject_id=row.id, old=STANDS, new=STANDS, reason=PROLONGED,
                by=by,
            )
            for row, _ in longer
        )  # fmt: skip


def _spread(given: list[_Given]) -> dict[str, list[Any]]:
    return {
        "phones": [row.phone for row in given],
        "reasons": [row.reason[:300] for row in given],
        "ends": [row.expires_at for row in given],
    }


_KEEP_CALL = "SELECT 1 FROM campaigns_call WHERE id = %s FOR KEY SHARE"
_INSERT = """
    INSERT INTO campaigns_donotcall AS entry (
        phone, account_id, source, reason, call_id, rule_id, list_import_id, created_at,
        created_by_id, expires_at, lifted_reason
    )
    SELECT phone, %(account)s, %(source)s, reason, %(call)s, %(rule)s, %(list)s, now(), %(by)s,
           expires_at, ''
    FROM unnest(%(phones)s::text[], %(reasons)s::text[], %(ends)s::timestamptz[])
         AS given(phone, reason, expires_at)
    ORDER BY phone COLLATE "C"
"""
# Written as it is, so that it is locked and told. xmax is 0 only in a row that was inserted.
_CONFLICT = """
    ON CONFLICT {target} WHERE lifted_at IS NULL AND {where} DO UPDATE SET phone = excluded.phone
    RETURNING entry.id, entry.phone, entry.expires_at, entry.list_import_id, xmax = 0,
              xmax <> 0 AND coalesce(entry.expires_at <= now(), false)
"""
_CLOSE = """
    UPDATE campaigns_donotcall SET lifted_at = expires_at, lifted_reason = %(expired)s
    WHERE id = ANY(%(ids)s)
"""
_PROLONG = """
    UPDATE campaigns_donotcall SET expires_at = longer.expires_at
    FROM unnest(%s::bigint[], %s::timestamptz[]) AS longer(id, expires_at)
    WHERE campaigns_donotcall.id = longer.id
"""
