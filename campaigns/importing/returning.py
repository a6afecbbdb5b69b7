"""In: contacts who were left out and are to be called after all. Out: those whose number another
contact has taken up since.

An import looks past whoever is left out, and somebody else's file makes a contact of the same
number. The rules that either import was made by hold for both: whoever comes back is judged as a
row of a file would be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import connection

from campaigns.importing.loading import LOADING
from campaigns.importing.verdicts import HARMLESS
from campaigns.locks import hold_until_commit

#: the scopes that the family of a task is in
_FAMILY = ["family", "days", "account"]
# Each scope includes the ones before it; in one task nobody is twice, whatever was chosen.
_TAKEN = """
    SELECT back.id FROM campaigns_contact back
    LEFT JOIN campaigns_contactimport mine ON mine.id = back.source_id
    WHERE back.id = ANY(%(ids)s::bigint[]) AND EXISTS (
        SELECT FROM campaigns_contact other
        LEFT JOIN campaigns_contactimport theirs ON theirs.id = other.source_id
        WHERE other.phone = back.phone AND other.account_id = back.account_id
          AND other.id <> back.id AND other.status <> ALL(%(harmless)s::text[])
          AND (
            other.task_id = back.task_id
            OR (other.family_id = back.family_id AND other.round = back.round
                AND ARRAY[mine.duplicates, theirs.duplicates] && %(family)s::varchar[])
            OR 'account' IN (mine.duplicates, theirs.duplicates)
            OR (mine.duplicates = 'days'
                AND other.created_at >= now() - make_interval(days => mine.duplicate_days))
            OR (theirs.duplicates = 'days' AND back.created_at
                >= other.created_at - make_interval(days => theirs.duplicate_days))
          )
    )
"""


def hold_loading(accounts: Iterable[int]) -> None:
    """Nobody loads contacts into the accounts before the end of the caller's transaction."""
    for account_id in sorted(set(accounts)):
        hold_until_commit(LOADING, account_id)


def find_taken(ids: Collection[int]) -> set[int]:
    """Of these contacts those whose number somebody else has, by the rules of either's import."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKEN, {"ids": list(ids), "harmless": HARMLESS, "family": _FAMILY})
        return {pk for (pk,) in cursor.fetchall()}
