"""In: a filled database. Out: how fast what filters choose of it is written as files.

    make fill DATA_DIR=/tmp/big CONTACTS=1000000 CALLS=10000000
    .venv/bin/python -m tests.benchmarks.bench_files /tmp/big [filters whose name holds this word]

The calls of the largest task, of one result, of thirty days and all of them, masked as most people
get them, as CSV, and as a workbook where one holds that many; beside what the database takes to
hand over the same rows untouched (COPY of the table's own columns). Memory is what the process grew
by. Exit code 1 when a file of 100,000 rows or more is written at less than 50,000 rows a second.
The same at 10,000 calls tells what a small file costs. For what each step costs: ``bench_export``.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

#: rows a second at least, of files of so many rows at least
SPEED, MANY = 50_000, 100_000
MEMORY = 100_000_000


class Nowhere:
    """Counts what is written to it."""

    size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return len(data)


def list_filters() -> dict[str, dict[str, str]]:
    from django.db.models import Max
    from django.utils import timezone

    from campaigns.models import Call, Task

    newest = timezone.localtime(Call.objects.aggregate(at=Max("happened_at"))["at"]).date()
    large = Task.objects.filter(name="Filled task 0").latest("pk")
    return {
        "the largest task": {"task__id__exact": str(large.pk)},
        "one result": {"result__exact": "busy"},
        "thirty days": {
            "happened_at_from": (newest - timedelta(days=29)).isoformat(),
            "happened_at_to": newest.isoformat(),
        },
        "all": {},
    }


def read_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(work: Callable[[], int]) -> tuple[int, float, int]:
    """Rows, seconds, bytes of memory that it took."""
    began, before = time.perf_counter(), read_memory()
    rows = work()
    return rows, time.perf_counter() - began, read_memory() - before


def write_lines(params: dict[str, str]) -> int:
    from django.db import connection, transaction

    from campaigns.criteria import CALLS, read_criteria
    from campaigns.exporting import tables

    target: Any = Nowhere()
    with transaction.atomic(), connection.cursor() as cursor:
        return tables.write_csv(
            cursor.cursor, read_criteria(CALLS, params), target, whole=False, zone="Asia/Shanghai"
        )


def write_book(params: dict[str, str]) -> int:
    from django.db import connection, transaction

    from campaigns.criteria import CALLS, read_criteria
    from campaigns.exporting import workbooks

    with (
        tempfile.TemporaryFile() as target,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        told = workbooks.write_xlsx(
            cursor.cursor, read_criteria(CALLS, params), target, whole=False, zone="Asia/Shanghai"
        )
        return told.rows


def copy_untouched(rows: int) -> int:
    """As many rows of the table as they are, and nothing done with them."""
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        query = f"COPY (SELECT * FROM campaigns_call ORDER BY id DESC LIMIT {int(rows)}) TO STDOUT"
        with cursor.cursor.copy(query) as copy:
            for _piece in copy:
                pass
    return rows


def tell(name: str, kind: str, told: tuple[int, float, int], *, goal: bool = True) -> bool:
    """Whether it was too slow, or took too much memory."""
    rows, seconds, grew = told
    speed = rows / seconds
    missed = goal and ((rows >= MANY and speed < SPEED) or grew > MEMORY)
    print(
        f"{name:<20} {kind:<10} {rows:>11,} rows {seconds:>8.1f} s {speed:>10,.0f} rows/s"
        f" {grew / 1e6:>6.0f} MB more  {'MISSED' if missed else ''}",
        flush=True,
    )
    return missed


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    os.environ["DATA_DIR"] = str(Path(sys.argv[1]).absolute())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from campaigns.exporting.workbooks import SHEET_ROWS

    word = sys.argv[2] if len(sys.argv) > 2 else ""
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; CSV and workbook masked")
    missed = 0
    for name, params in list_filters().items():
        if word not in name:
            continue
        lines = measure(partial(write_lines, params))
        missed += tell(name, "CSV", lines)
        if lines[0] < SHEET_ROWS:
            missed += tell(name, "workbook", measure(partial(write_book, params)))
        tell(name, "untouched", measure(partial(copy_untouched, lines[0])), goal=False)
    print(f"{missed} missed" if missed else "all reached")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
