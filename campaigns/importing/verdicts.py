"""In: the staged rows of an import. Out: which of them nobody calls, and why.

A row gets the first verdict that fits, in the order of ``SENTENCES``; a row without one is ready.
The verdicts stand in a temporary table of the caller's transaction: a check counts them, a load
joins them, computed anew, for other tasks and the do-not-call lists go on meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext_noop as N_

from campaigns import barring
from campaigns.models import ContactImport, Task

IN_FILE = N_("The number stands in line %(line)s of the file already.")
IN_FILE_LATER = N_("The number stands in line %(line)s of the file again, and the last row counts.")
IN_TASK = N_("The task has this number already.")
IN_FAMILY = N_("Another task of the same family calls this number already.")
IN_DAYS = N_(
    "The task “%(task)s” has had this number since %(since)s, within the last %(days)s days."
)
IN_ACCOUNT = N_("The task “%(task)s” of this account has had this number since %(since)s.")

#: the keys of ``counts`` for rows that are excluded, in the order in which they are looked for
VERDICTS = (
    "duplicate_file",
    "duplicate_task",
    "duplicate_family",
    "duplicate_days",
    "duplicate_account",
    "barred",
    "capped",
)
#: contacts that somebody else's import may have kept out
OF_OTHERS = (IN_TASK, IN_FAMILY, IN_DAYS, IN_ACCOUNT)

#: of these nobody is called, so they stand in nobody's way
HARMLESS = ["excluded", "withdrawn"]
#: each scope includes the ones before it
_SCOPES = {"file": 0, "task": 1, "family": 2, "days": 3, "account": 4}
#: so many numbers are looked up one by one in what is known of the whole account
_FEW = 5_000

_PICK = """
    CREATE TEMPORARY TABLE {picked} ON COMMIT DROP AS
    SELECT phone, {keep}(line) AS line, count(*) > 1 AS repeated FROM campaigns_stagedrow
    WHERE contact_import_id = %(import)s GROUP BY phone
"""
_VERDICTS = """
    CREATE TEMPORARY TABLE {verdict} (
        line integer PRIMARY KEY, reason text NOT NULL, "values" jsonb NOT NULL
    ) ON COMMIT DROP
"""
_IN_FILE = """
    INSERT INTO {verdict}
    SELECT staged.line, %(reason)s, jsonb_build_object('line', picked.line)
    FROM campaigns_stagedrow staged JOIN {picked} picked USING (phone)
    WHERE staged.contact_import_id = %(import)s AND picked.repeated AND staged.line <> picked.line
"""
_IN_TASKS = """
    INSERT INTO {verdict}
    SELECT DISTINCT picked.line, %(reason)s, '{{}}'::jsonb
    FROM {picked} picked JOIN campaigns_contact contact USING (phone)
    WHERE contact.task_id = ANY(%(tasks)s) AND contact.status <> ALL(%(harmless)s)
    ON CONFLICT (line) DO NOTHING
"""
_IN_ACCOUNT = """
    INSERT INTO {verdict}
    SELECT DISTINCT ON (picked.line) picked.line, %(reason)s, %(values)s::jsonb
           || jsonb_build_object(
               'task', task.name,
               'since', to_char(contact.created_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD'))
    FROM {picked} picked
    JOIN campaigns_contact contact USING (phone)
    JOIN campaigns_task task ON task.id = contact.task_id
    WHERE contact.account_id = %(account)s AND contact.status <> ALL(%(harmless)s)
      AND (%(days)s::integer IS NULL
           OR contact.created_at >= now() - make_interval(days => %(days)s::integer))
    ORDER BY picked.line, contact.id DESC
    ON CONFLICT (line) DO NOTHING
"""
_BARRED = """
    INSERT INTO {verdict}
    SELECT picked.line, %(reason)s, jsonb_build_object(
        'since', to_char(known.since AT TIME ZONE %(zone)s, 'YYYY-MM-DD'))
    FROM {picked} picked {join}
    ON CONFLICT (line) DO NOTHING
"""
_CAPPED = """
    INSERT INTO {verdict}
    SELECT picked.line, %(reason)s,
           %(values)s::jsonb || jsonb_build_object('calls', coalesce(known.calls, 0))
    FROM {picked} picked LEFT {join}
    WHERE coalesce(known.calls, 0) + %(own)s > %(cap)s
    ON CONFLICT (line) DO NOTHING
"""
_READ_ALL = "JOIN ({known}) known ON known.phone = picked.phone"
_LOOK_UP = (
    "JOIN LATERAL (SELECT * FROM ({known}) one WHERE one.phone = picked.phone OFFSET 0) known"
    " ON true"
)


@dataclass(frozen=True)
class Verdicts:
    """A temporary table of (line, reason, values), and how many rows got which verdict."""

    table: str
    counts: dict[str, int]

    @property
    def excluded(self) -> int:
        return sum(self.counts.values())


@contextmanager
def judge_rows(contact_import: ContactImport, task: Task) -> Iterator[Verdicts]:
    """The verdicts over what is staged, as of now."""
    number = int(contact_import.pk)
    judge = _Judge(contact_import, task, f"import_picked_{number}", f"import_verdict_{number}")
    with connection.cursor() as cursor:
        # sorts and hashes of the whole file, which the usual 4 MB would send to the disk
        cursor.execute("SET LOCAL work_mem = '64MB'")
        counts = judge.run(cursor)
        cursor.execute(f"ANALYZE {judge.verdict}")
    yield Verdicts(judge.verdict, counts)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {judge.picked}, {judge.verdict}")
        cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")


class _Judge:
    def __init__(
        self, contact_import: ContactImport, task: Task, picked: str, verdict: str
    ) -> None:
        self.row, self.task, self.account = contact_import, task, task.account
        self.picked, self.verdict = picked, verdict
        self.scope = _SCOPES[contact_import.duplicates]
        self.numbers = 0

    def run(self, cursor: Any) -> dict[str, int]:
        self._cursor = cursor
        last = self.row.keep_row == ContactImport.Keep.LAST
        self._execute(_PICK, keep="max" if last else "min")
        self.numbers = cursor.rowcount
        cursor.execute(f"ANALYZE {self.picked}")
        # The statistics of the other tables may be of a time before the last million rows, and a
        # join row by row that is believed to be short would take hours.
        if self.numbers > _FEW:
            cursor.execute("SET LOCAL enable_nestloop = off")
        else:
            cursor.execute(f"CREATE INDEX ON {self.picked} (phone)")
        self._execute(_VERDICTS)
        counts = dict.fromkeys(VERDICTS, 0)
        counts["duplicate_file"] = self._execute(
            _IN_FILE, reason=IN_FILE_LATER if last else IN_FILE
        )
        family = self._list_family()
        if self.scope >= 1:
            counts["duplicate_task"] = self._find_in_tasks([self.task.pk], IN_TASK)
        if self.scope >= 2 and family:
            counts["duplicate_family"] = self._find_in_tasks(family, IN_FAMILY)
        if self.row.duplicates == ContactImport.Scope.DAYS:
            counts["duplicate_days"] = self._find_in_account(IN_DAYS, days=self.row.duplicate_days)
        if self.row.duplicates == ContactImport.Scope.ACCOUNT:
            counts["duplicate_account"] = self._find_in_account(IN_ACCOUNT, days=None)
        counts["barred"] = self._execute(
            _BARRED, join=self._join(barring.BARRED_SQL), reason=barring.BARRED
        )
        if self.account.cap_calls is not None:
            counts["capped"] = self._find_capped(self.account.cap_calls)
        return counts

    def _find_in_tasks(self, tasks: list[int], reason: str) -> int:
        return self._execute(_IN_TASKS, tasks=tasks, reason=reason, harmless=HARMLESS)

    def _find_in_account(self, reason: str, *, days: int | None) -> int:
        values = json.dumps({"days": days} if days else {})
        return self._execute(
            _IN_ACCOUNT, reason=reason, days=days, values=values, harmless=HARMLESS
        )

    def _find_capped(self, cap: int) -> int:
        return self._execute(
            _CAPPED,
            join=self._join(barring.CALLED_SQL),
            reason=barring.CAPPED,
            values=json.dumps({"days": self.account.cap_days, "allowed": cap}),
            own=1 + self.task.recall_count,
            cap=cap,
        )

    def _list_family(self) -> list[int]:
        """The other tasks of the family, of the same round."""
        family = self.task.family_id or self.task.pk
        tasks = Task.objects.filter(
            Q(pk=family) | Q(family_id=family),
            account_id=self.task.account_id,
            round=self.task.round,
        )
        return list(tasks.exclude(pk=self.task.pk).values_list("pk", flat=True))

    def _join(self, known: str) -> str:
        """What is known of a whole account beside our numbers: looked up by each of a few, or read
        as a whole for many. (OFFSET keeps the planner from reading it as a whole all the same.)"""
        return (_READ_ALL if self.numbers > _FEW else _LOOK_UP).format(known=known)

    def _execute(self, statement: str, *, keep: str = "", join: str = "", **values: Any) -> int:
        text = statement.format(picked=self.picked, verdict=self.verdict, keep=keep, join=join)
        self._cursor.execute(
            text,
            {
                "import": self.row.pk,
                "account": self.task.account_id,
                "cap_days": self.account.cap_days,
                "zone": str(self.account.zone),
                **values,
            },
        )
        return int(self._cursor.rowcount)
