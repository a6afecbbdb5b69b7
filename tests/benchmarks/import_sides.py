"""In: the name of a side and a file of contacts. Out: how long it took it, and how much memory.

One process each, on a database of its own, started by ``bench_import``:

    python -m tests.benchmarks.import_sides ours|copy|library|tuned FILE ROWS

``copy`` writes finished rows, read from nowhere and checked by nobody, into the same table with its
indexes and foreign keys. ``library`` and ``tuned`` are django-import-export (``library_import``).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.world import COLUMNS, is_duplicate, is_refused, watch_memory


def run_ours(path: Path, rows: int) -> dict[str, Any]:
    from campaigns.importing import import_file

    task = make_draft()

    def act() -> dict[str, Any]:
        with path.open("rb") as file:
            done = import_file(task, file, file_name="bench.csv")
        assert done.loaded + done.excluded + done.rejected == rows, done.counts
        assert done.status == "done"
        return {"ready": done.loaded, "excluded": done.excluded, "rejected": done.rejected}

    return measure(act)


def run_copy(path: Path, rows: int) -> dict[str, Any]:
    from django.db import connection, transaction

    task = make_draft()
    blocks = ["".join(lines) for lines in make_lines(task, rows)]
    statement = (
        "COPY campaigns_contact (task_id, account_id, family_id, round, line_number, phone,"
        ' phone_raw, "values", status, reason, platform_contact_id, calls_made, answered, result,'
        " intention, created_at) FROM STDIN"
    )

    def act() -> dict[str, Any]:
        with (
            transaction.atomic(),
            connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            for block in blocks:
                copy.write(block)
        return {"contacts": task.contacts.count()}

    return measure(act)


def make_lines(task: Any, rows: int) -> list[list[str]]:
    """The rows that become contacts, as COPY wants them, a thousand at a time."""
    template = (
        f"{task.pk}\t{task.account_id}\t{task.pk}\t1\t%s\t%s\t%s\t%s\t%s\t\t\t0\tf\t\t\t"
        "2026-01-01 00:00:00+08\n"
    )
    blocks: list[list[str]] = [[]]
    for number in range(rows):
        if is_refused(number):
            continue
        status, phone = "ready", f"199{number:08d}"
        if is_duplicate(number):
            status, phone = "excluded", f"199{number - 1:08d}"
        values = dict(zip(COLUMNS, (phone, f"张先生{number}", "北京"), strict=True))
        text = json.dumps(values, ensure_ascii=False)
        if len(blocks[-1]) == 1_000:
            blocks.append([])
        blocks[-1].append(template % (number + 2, phone, phone, text, status))
    return blocks


def run_library(path: Path, rows: int) -> dict[str, Any]:
    from tests.benchmarks.library_import import ContactResource

    return _run_resource(ContactResource, path, rows)


def run_tuned(path: Path, rows: int) -> dict[str, Any]:
    from tests.benchmarks.library_import import TunedResource

    return _run_resource(TunedResource, path, rows)


def _run_resource(resource: type[Any], path: Path, rows: int) -> dict[str, Any]:
    from tablib import Dataset

    task = make_draft()

    def act() -> dict[str, Any]:
        dataset = Dataset().load(path.read_text("utf-8"), format="csv")
        result = resource(task).import_data(dataset, dry_run=False, use_transactions=True)
        assert not result.has_errors(), result.base_errors
        counts = {state: task.contacts.filter(status=state).count() for state in STATES}
        counts["rejected"] = result.totals["invalid"]
        assert sum(counts.values()) == rows, counts
        return counts

    return measure(act)


STATES = ("ready", "excluded")
SIDES: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "ours": run_ours,
    "copy": run_copy,
    "library": run_library,
    "tuned": run_tuned,
}


def make_draft() -> Any:
    from campaigns.models import Robot
    from tests.factories import make_task

    return make_task(robot=Robot.objects.get())


def measure(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    with watch_memory() as read_growth:
        began = time.perf_counter()
        counts = act()
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "grew": read_growth(), "counts": counts}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    name, file, count = sys.argv[1:]
    print(json.dumps(SIDES[name](Path(file), int(count))))
