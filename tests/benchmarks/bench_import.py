"""In: a number of rows. Out: how fast they are imported, beside a bare COPY of the same rows.

    DATA_DIR=… .venv/bin/python -m tests.benchmarks.bench_import 200000

The bare COPY writes finished rows, read from nowhere and checked by nobody, into the same table
with its indexes and foreign keys. Memory is the most that the import took above the process's size
before it. Nothing stays in the database: each side is rolled back.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

COLUMNS = ["客户手机号码", "姓名", "城市"]


def write_file(file: IO[bytes], rows: int) -> None:
    """One row in a hundred is a duplicate, one in a thousand is refused."""
    file.write((",".join(COLUMNS) + "\n").encode())
    for number in range(rows):
        phone = f"199{number:08d}"
        if number % 100 == 99:
            phone = f"+86 199-{number - 1:08d}"
        elif number % 1000 == 500:
            phone = "1.99E+10"
        file.write(f"{phone},张先生{number},北京\n".encode())
    file.flush()


def read_size() -> int:
    """The resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def watch_memory() -> Iterator[Callable[[], int]]:
    """A function that tells by how many bytes the process has grown at most."""
    start = peak = read_size()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, read_size())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: peak - start
    finally:
        done.set()
        thread.join()


class _RollBack(Exception):
    pass


def time_copy(rows: int) -> float:
    from django.db import connection, transaction

    from tests.factories import make_robot, make_task

    took = 0.0
    try:
        with transaction.atomic():
            task = make_task(robot=make_robot(columns=COLUMNS))
            template = (
                f"{task.id}\t{task.account_id}\t{task.id}\t1\t%s\t%s\t%s\t%s\tready\t\t\t0\tf\t\t\t"
                "2026-01-01 00:00:00+08\n"
            )
            lines = []
            for number in range(rows):
                phone = f"199{number:08d}"
                values = dict(zip(COLUMNS, (phone, f"张先生{number}", "北京"), strict=True))
                text = json.dumps(values, ensure_ascii=False)
                lines.append(template % (number + 2, phone, phone, text))
            blocks = ["".join(lines[at : at + 1000]) for at in range(0, rows, 1000)]
            del lines
            began = time.perf_counter()
            with (
                connection.cursor() as cursor,
                cursor.copy(
                    "COPY campaigns_contact (task_id, account_id, family_id, round, line_number,"
                    ' phone, phone_raw, "values", status, reason, platform_contact_id, calls_made,'
                    " answered, result, intention, created_at) FROM STDIN"
                ) as copy,
            ):
                for block in blocks:
                    copy.write(block)
            connection.check_constraints()
            took = time.perf_counter() - began
            raise _RollBack
    except _RollBack:
        return took


def time_import(file: IO[bytes]) -> tuple[float, int, dict[str, int]]:
    from django.db import connection, transaction

    from campaigns.importing import import_file
    from tests.factories import make_robot, make_task

    try:
        with transaction.atomic():
            task = make_task(robot=make_robot(columns=COLUMNS))
            with watch_memory() as read_growth:
                began = time.perf_counter()
                result = import_file(task, file, file_name="bench.csv")
                connection.check_constraints()
                took = time.perf_counter() - began
                growth = read_growth()
            counts = {name: getattr(result, name) for name in ("loaded", "excluded", "rejected")}
            raise _RollBack
    except _RollBack:
        return took, growth, counts


def main(arguments: list[str]) -> int:
    rows = int(arguments[0]) if arguments else 200_000
    with tempfile.TemporaryFile() as file:
        write_file(file, rows)
        # The import goes first: it must not profit from pages the baseline has warmed.
        took, growth, counts = time_import(file)
        bare = time_copy(rows)
    print(f"rows            {rows:>12,}  {counts}")
    print(f"import          {rows / took:>12,.0f} rows/s  {took:.2f} s")
    print(f"bare COPY       {rows / bare:>12,.0f} rows/s  {bare:.2f} s")
    print(f"import ÷ COPY   {took / bare:>12.2f}  (goal: at most 3)")
    print(f"memory          {growth / 1e6:>12.1f} MB above the start  (goal: at most 200)")
    return 0 if took <= 3 * bare and growth <= 200_000_000 else 1


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    sys.exit(main(sys.argv[1:]))
