"""In: criteria and a family of tasks. Out: every number of it that they choose, with one verdict.

The verdicts stand in a temporary table of the caller's transaction: a count reads them, a draft is
made of those without one. Sets are held against one another, never a number by itself: three
hundred thousand take seconds. Whoever is in doubt is not chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from campaigns.barring import BARRED_SQL, make_called_sql
from campaigns.barring.rules import fold
from campaigns.criteria import CALLS, Criteria
from campaigns.models import Account, DoNotCallRule, Task

#: why a number is not chosen, in the order in which it is asked
REASONS = (
    "unknown",
    "waiting",
    "said_no",
    "barred",
    "left_out",
    "later",
    "no_values",
    "capped",
)
#: whom a new draft can be made of: nothing more comes of them
_OVER = "('finished', 'rejected', 'withdrawn')"
#: a call of which no end was heard is not waited for longer than this
_GOING_ON = timedelta(days=1)
#: families that are told, the largest first
MOST_FAMILIES = 20

_CHOSEN = {
    "contacts": """
        CREATE TEMPORARY TABLE {chosen} ON COMMIT DROP AS
        SELECT one.id AS contact_id, NULL::bigint AS call_id FROM ({query}) one
    """,
    "calls": """
        CREATE TEMPORARY TABLE {chosen} ON COMMIT DROP AS
        SELECT call.contact_id, call.id AS call_id
        FROM campaigns_call call JOIN ({query}) one ON one.id = call.id
    """,
}
_FAMILIES = """
    SELECT contact.family_id, count(DISTINCT contact.phone)
    FROM {chosen} chosen JOIN campaigns_contact contact ON contact.id = chosen.contact_id
    GROUP BY 1 ORDER BY 2 DESC, 1 DESC
"""
_PICKED = """
    CREATE TEMPORARY TABLE {picked} ON COMMIT DROP AS
    SELECT contact.phone, count(*) AS rows
    FROM {chosen} chosen JOIN campaigns_contact contact ON contact.id = chosen.contact_id
    WHERE contact.family_id = %(family)s AND contact.account_id = %(account)s
        AND contact.task_id = ANY(%(tasks)s)
    GROUP BY contact.phone
"""
# As ``barring.rules`` reads them: every intention that was ever stated, the best and the lowest.
_STATED = """jsonb_array_elements(coalesce(call.evidence -> 'intention', '[]'::jsonb)
    || coalesce(call.evidence -> 'intention_min', '[]'::jsonb))"""
# Rows of the family with these numbers. What is asked of them is asked of the number.
_KNOWN = """
    CREATE TEMPORARY TABLE {known} ON COMMIT DROP AS
    SELECT contact.id, contact.task_id, contact.phone, contact.status, contact.calls_made,
           contact."values"
    FROM campaigns_contact contact JOIN {picked} picked USING (phone)
    WHERE contact.task_id = ANY(%(tasks)s)
"""
_VERDICTS = """
    CREATE TEMPORARY TABLE {verdict} ON COMMIT DROP AS
    WITH states AS (
        SELECT phone,
               bool_or(status = 'unknown') AS unknown,
               bool_or(status IN ('ready', 'planned', 'sending', 'accepted')) AS waiting
        FROM {known} GROUP BY phone
    ), talking AS (
        SELECT DISTINCT known.phone
        FROM campaigns_call call JOIN {known} known ON known.id = call.contact_id
        WHERE call.stage <> 'ended' AND call.happened_at > %(going_on)s
    ), said AS (
        SELECT DISTINCT known.phone
        FROM campaigns_call call
        JOIN {known} known ON known.id = call.contact_id
        LEFT JOIN campaigns_correction heard
            ON heard.call_id = call.id AND heard.withdrawn_at IS NULL
        LEFT JOIN campaigns_task task ON task.id = call.task_id
        JOIN unnest(%(words)s::text[], %(robots)s::bigint[], %(since)s::timestamptz[])
            AS rule(word, robot, since)
            ON (rule.word IN (call.intention, call.intention_min, heard.intention)
                OR rule.word IN (SELECT item ->> 2 FROM {stated} item))
            AND (rule.robot IS NULL OR rule.robot IN (call.robot_id, task.robot_id))
            AND (rule.since IS NULL OR greatest(call.happened_at, call.created_at) > rule.since)
        WHERE NOT EXISTS (
            SELECT FROM campaigns_donotcall entry
            WHERE entry.phone = known.phone AND entry.lifted_by_id IS NOT NULL
                AND entry.lifted_at > call.created_at
                AND (entry.account_id = %(account)s OR entry.account_id IS NULL))
    ), source AS (
        SELECT DISTINCT ON (phone) phone, id, "values"
        FROM {known} WHERE status IN {over}
        ORDER BY phone, (calls_made = 0), id DESC
    ), {newest}
    SELECT picked.phone, source.id AS source_id, CASE
        WHEN states.unknown THEN 'unknown'
        WHEN states.waiting OR talking.phone IS NOT NULL THEN 'waiting'
        WHEN said.phone IS NOT NULL THEN 'said_no'
        WHEN barred.phone IS NOT NULL THEN 'barred'
        WHEN source.id IS NULL THEN 'left_out'
        WHEN %(newest_only)s AND newest.phone IS NULL THEN 'later'
        WHEN picked.phone = '' OR NOT source."values" ?& %(needed)s::text[] THEN 'no_values'
        {over_cap}
        ELSE '' END AS verdict
    FROM {picked} picked
    LEFT JOIN states USING (phone)
    LEFT JOIN talking USING (phone)
    LEFT JOIN said USING (phone)
    LEFT JOIN source USING (phone)
    LEFT JOIN newest USING (phone)
    LEFT JOIN ({barred}) barred USING (phone)
    {called}
"""
#: the numbers whose newest row, or call, of the family is among what was chosen. A row that was
#: never called stands back behind one that was.
_NEWEST = {
    "contacts": """
    newest AS (
        SELECT phone FROM (
            SELECT DISTINCT ON (phone) phone, id FROM {known}
            ORDER BY phone, (calls_made = 0), id DESC
        ) one WHERE id IN (SELECT contact_id FROM {chosen})
    )
    """,
    "calls": """
    newest AS (
        SELECT phone FROM (
            SELECT DISTINCT ON (known.phone) known.phone, call.id
            FROM campaigns_call call JOIN {known} known ON known.id = call.contact_id
            ORDER BY known.phone, call.happened_at DESC, call.id DESC
        ) one WHERE id IN (SELECT call_id FROM {chosen})
    )
    """,
}
_CALLED = "LEFT JOIN ({called}) called USING (phone)"
_OVER_CAP = "WHEN coalesce(called.calls, 0) + %(adding)s > %(allowed)s THEN 'capped'"


@dataclass(slots=True)
class Judged:
    """``rows`` were chosen; of them so many are of no contact, or of another family. The ``people``
    of the family are the ``chosen`` and the ``left_out``, each once. ``table`` has (phone,
    source_id, verdict), and stands as long as the transaction."""

    rows: int = 0
    without_contact: int = 0
    families: list[tuple[int, int]] = field(default_factory=list)
    people: int = 0
    chosen: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    table: str = ""

    def as_counts(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "without_contact": self.without_contact,
            "families": self.families[:MOST_FAMILIES],
            "people": self.people,
            "chosen": self.chosen,
            "left_out": self.left_out,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked. ``but``: tasks whose own rows and calls do not count: the draft itself, when
    it is asked about once more. ``needed``: columns that a row must have."""

    criteria: Criteria
    family: Task | None
    newest_only: bool = True
    needed: Collection[str] = ()
    recalls: int = 0
    but: Collection[int] = ()


@contextmanager
def judge_people(wish: Wish, *, key: int) -> Iterator[Judged]:
    """The verdicts, within the caller's transaction. Without a family only the families of what was
    chosen are found. ``key`` keeps the names of tables apart."""
    judge = _Judge(wish, key)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('work_mem', '64MB', true)")
        # Compiling it takes longer than carrying it out.
        cursor.execute("SELECT set_config('jit', 'off', true)")
        judged = judge.run(cursor)
    yield judged
    with connection.cursor() as cursor:
        for name in judge.names.values():
            cursor.execute(f"DROP TABLE IF EXISTS {name}")


class _Judge:
    def __init__(self, wish: Wish, key: int) -> None:
        self.wish = wish
        parts = ("chosen", "picked", "known", "verdict")
        self.names = {part: f"redial_{part}_{int(key)}" for part in parts}

    def run(self, cursor: Any) -> Judged:
        self._cursor = cursor
        judged = Judged()
        self._choose()
        self._execute("SELECT count(*), count(*) FILTER (WHERE contact_id IS NULL) FROM {chosen}")
        judged.rows, judged.without_contact = cursor.fetchone()
        self._execute(_FAMILIES)
        judged.families = cursor.fetchall()
        if self.wish.family is not None:
            self._judge(judged, self.wish.family)
        return judged

    def _choose(self) -> None:
        criteria = self.wish.criteria
        rows = criteria.select().order_by().values("id")
        query, values = rows.query.sql_with_params()
        self._cursor.execute(_CHOSEN[criteria.kind].format(query=query, **self.names), values)

    def _judge(self, judged: Judged, family: Task) -> None:
        account = Account.objects.get(pk=family.account_id)
        capped = account.cap_calls is not None
        kind = "calls" if self.wish.criteria.kind == CALLS else "contacts"
        parts = {
            "barred": BARRED_SQL,
            "over": _OVER,
            "stated": _STATED,
            "newest": _NEWEST[kind].format(**self.names),
            "over_cap": _OVER_CAP if capped else "",
            "called": _CALLED.format(
                called=make_called_sql(among=f"SELECT phone FROM {self.names['picked']}")  # noqa: S608
            )
            if capped
            else "",
        }
        values: dict[str, Any] = {
            "family": family.pk,
            "account": account.pk,
            "tasks": list_family(family, but=self.wish.but),
            "going_on": timezone.now() - _GOING_ON,
            "newest_only": self.wish.newest_only,
            "needed": list(self.wish.needed),
            "cap_days": account.cap_days,
            "allowed": account.cap_calls,
            "adding": 1 + self.wish.recalls,
        }
        self._execute(_PICKED, values)
        self._execute("ANALYZE {picked}")
        self._execute(_KNOWN, values)
        self._execute("ANALYZE {known}")
        values |= self._find_rules(account)
        self._execute(_VERDICTS, values, **parts)
        judged.table = self.names["verdict"]
        self._execute("SELECT verdict, count(*) FROM {verdict} GROUP BY 1")
        counts = dict(self._cursor.fetchall())
        judged.people = sum(counts.values())
        judged.chosen = counts.pop("", 0)
        judged.left_out = {why: counts[why] for why in REASONS if why in counts}

    def _find_rules(self, account: Account) -> dict[str, list[Any]]:
        """The words, as they stand with these people's calls, that mean "do not call again"."""
        rules = list(DoNotCallRule.objects.filter(account=account, is_active=True))
        found: list[tuple[str, int | None, datetime | None]] = []
        if rules:
            self._execute(
                """
                SELECT DISTINCT told.word FROM campaigns_call call
                JOIN {known} known ON known.id = call.contact_id
                CROSS JOIN LATERAL (
                    VALUES (call.intention), (call.intention_min)
                    UNION ALL SELECT item ->> 2 FROM {stated} item
                ) AS told(word)
                UNION
                SELECT DISTINCT heard.intention FROM campaigns_correction heard
                JOIN campaigns_call call ON call.id = heard.call_id
                JOIN {known} known ON known.id = call.contact_id WHERE heard.withdrawn_at IS NULL
                """,
                stated=_STATED,
            )
            words = [word for (word,) in self._cursor.fetchall() if word]
            now = timezone.now()
            found = [
                (word, rule.robot_id, now - timedelta(days=rule.days) if rule.days else None)
                for rule in rules
                for word in words
                if fold(word) == fold(rule.intention)
            ]
        columns = zip(*found, strict=True) if found else ([], [], [])
        return dict(zip(("words", "robots", "since"), map(list, columns), strict=True))

    def _execute(
        self, statement: str, values: Mapping[str, Any] | None = None, **parts: str
    ) -> None:
        self._cursor.execute(statement.format(**self.names, **parts), values)


def list_family(family: Task, *, but: Collection[int] = ()) -> list[int]:
    """Ids of all tasks of a family, of every round."""
    rounds = Task.objects.filter(family_id=family.pk).values_list("pk", flat=True)
    return [pk for pk in (family.pk, *rounds) if pk not in but]
