"""In: good rows. Out: contacts of a task, each number once; the others excluded with a reason.

Rows are copied into a table of their own and become contacts in one INSERT. Both belong to the
caller's transaction: either all of them are there or none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext_noop as N_

from campaigns.lifecycle import NEW_CONTACTS
from campaigns.models import ContactImport, Task

DUPLICATE = N_("Duplicate of an earlier row of this task.")
IN_FAMILY = N_("Another task of the same family calls this number already.")

#: characters handed to COPY at once
_BLOCK = 1 << 16
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

_CREATE = """
    CREATE TEMPORARY TABLE {table} (
        line integer NOT NULL, phone text NOT NULL, phone_raw text NOT NULL, "values" jsonb NOT NULL
    ) ON COMMIT DROP
"""

# The first row of a number in the file counts; none does if the task, or another task of its family
# and round, has the number already. Ids follow the lines of the file.
_INSERT = """
    WITH sorted AS (
        SELECT line, phone, phone_raw, "values",
               row_number() OVER (PARTITION BY phone ORDER BY line) > 1 AS repeated
        FROM {table}
    ), known AS (
        SELECT phone, bool_or(task_id = %(task)s) AS here
        FROM campaigns_contact
        WHERE task_id = ANY(%(tasks)s) AND status <> ALL(%(harmless)s)
        GROUP BY phone
    ), inserted AS (
        INSERT INTO campaigns_contact (
            task_id, account_id, family_id, round, source_id, line_number, phone, phone_raw,
            "values", status, reason, platform_contact_id, calls_made, answered, result, intention,
            created_at
        )
        SELECT %(task)s, %(account)s, %(family)s, %(round)s, %(source)s, sorted.line, sorted.phone,
               sorted.phone_raw, sorted."values",
               CASE WHEN sorted.repeated OR known.phone IS NOT NULL
                    THEN %(excluded)s ELSE %(ready)s END,
               CASE WHEN sorted.repeated OR known.here THEN %(duplicate)s
                    WHEN known.phone IS NOT NULL THEN %(in_family)s
                    ELSE '' END,
               '', 0, false, '', '', now()
        FROM sorted LEFT JOIN known USING (phone)
        ORDER BY sorted.line
        RETURNING status
    )
    SELECT status, count(*) FROM inserted GROUP BY status
"""


class Counts(NamedTuple):
    ready: int
    excluded: int


class Staging:
    """The table of one import, gone with its transaction at the latest."""

    def __init__(self, contact_import: ContactImport) -> None:
        self._import = contact_import
        self._table = f"contact_import_{int(contact_import.pk)}"

    def copy_rows(self, rows: Iterable[tuple[int, str, str, str]]) -> None:
        """Rows as ``checking.check_rows`` gives them."""
        with connection.cursor() as cursor:
            cursor.execute(_CREATE.format(table=self._table))
            statement = f'COPY {self._table} (line, phone, phone_raw, "values") FROM STDIN'
            with cursor.copy(statement) as copy:
                lines: list[str] = []
                length = 0
                for line, phone, written, values in rows:
                    raw = written if written == phone else written.translate(_ESCAPES)
                    # JSON has escaped the control characters already
                    escaped = values.replace("\\", "\\\\") if "\\" in values else values
                    text = f"{line}\t{phone}\t{raw}\t{escaped}\n"
                    lines.append(text)
                    length += len(text)
                    if length > _BLOCK:
                        copy.write("".join(lines))
                        lines.clear()
                        length = 0
                copy.write("".join(lines))
            cursor.execute(f"ANALYZE {self._table}")

    def insert_contacts(self, task: Task) -> Counts:
        """One INSERT for all. The caller holds the task's row and has looked at its status."""
        family = task.family_id or task.pk
        tasks = Task.objects.filter(
            Q(pk=family) | Q(family_id=family), account_id=task.account_id, round=task.round
        )
        ready, excluded = NEW_CONTACTS
        values: dict[str, Any] = {
            "task": task.pk,
            "tasks": list({task.pk, *tasks.values_list("pk", flat=True)}),
            "account": task.account_id,
            "family": family,
            "round": task.round,
            "source": self._import.pk,
            "ready": ready,
            "excluded": excluded,
            # of these nobody is called, so they do not stand in the way
            "harmless": ["excluded", "withdrawn"],
            "duplicate": DUPLICATE,
            "in_family": IN_FAMILY,
        }
        with connection.cursor() as cursor:
            # two sorts of the whole file, which the usual 4 MB would send to the disk
            cursor.execute("SET LOCAL work_mem = '64MB'")
            cursor.execute(_INSERT.format(table=self._table), values)
            counts = dict(cursor.fetchall())
            cursor.execute(f"DROP TABLE {self._table}")
        return Counts(counts.get(ready, 0), counts.get(excluded, 0))
