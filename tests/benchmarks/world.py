"""In: nothing. Out: a database of the benchmark's own, a file of contacts, a process's memory.

The world that each side starts from is the same copy of one template: an account with a limit of
calls to one number, a hundred thousand numbers that nobody may call, and a task of a hundred
thousand contacts that are being called.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

COLUMNS = ["客户手机号码", "姓名", "城市"]
#: as many numbers are barred, and as many are being called already
KNOWN = 100_000
TEMPLATE = "bench_template"


def write_file(file: IO[bytes], rows: int) -> None:
    """One row in a hundred is a duplicate, one in a thousand is refused."""
    file.write((",".join(COLUMNS) + "\n").encode())
    for number in range(rows):
        phone = f"199{number:08d}"
        if is_duplicate(number):
            phone = f"+86 199-{number - 1:08d}"
        elif is_refused(number):
            phone = "1.99E+10"
        file.write(f"{phone},张先生{number},北京\n".encode())
    file.flush()


def is_duplicate(number: int) -> bool:
    return number % 100 == 99


def is_refused(number: int) -> bool:
    return number % 1000 == 500


@contextmanager
def open_server(fill: Callable[[], None] | None = None) -> Iterator[dict[str, str]]:
    """The environment of processes that work beside what is there: databases, files and keys of
    their own. ``DATABASE_URL`` is for ``copy_world`` to set; ``fill`` fills the template."""
    from django.conf import settings
    from django.db import connection

    connection.settings_dict["TEST"]["NAME"] = TEMPLATE
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        (fill or fill_world)()
        connection.close()
        with tempfile.TemporaryDirectory(prefix="callboard-bench-") as folder:
            yield {
                "DATA_DIR": folder,
                "SECRET_KEY": settings.SECRET_KEY,
                "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
            }
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def fill_world() -> None:
    from django.db import connection
    from django.utils import timezone

    from campaigns.models import Contact, DoNotCall
    from tests.factories import make_robot, make_task

    robot = make_robot(columns=COLUMNS)
    account = robot.account
    account.cap_calls = 3
    account.save()
    now = timezone.now()
    # one row in a hundred of the file is on it
    DoNotCall.objects.bulk_create(
        (
            DoNotCall(account=account if number % 2 else None, phone=f"199{number:06d}00")
            for number in range(KNOWN)
        ),
        batch_size=5_000,
    )
    task = make_task(robot=robot, name="before", status="running")
    Contact.objects.bulk_create(
        (
            Contact(
                task=task,
                account=account,
                family_id=task.pk,
                phone=f"198{number:08d}",
                phone_raw=f"198{number:08d}",
                values={},
                status="accepted",
                created_at=now,
            )
            for number in range(KNOWN)
        ),
        batch_size=5_000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


@contextmanager
def copy_world(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment with a fresh copy of the template as its database."""
    from django.db import connection

    from tests.processes import make_environment

    name = f"bench_{os.getpid()}"
    with _maintenance() as run:
        run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        run(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        with suppress(Exception):  # for a superuser only
            run("CHECKPOINT")
    before = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = name
    try:
        yield make_environment(**environment)
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before
        with _maintenance() as run:
            run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _maintenance() -> Iterator[Callable[[str], object]]:
    """A connection to no database in particular, each statement for itself."""
    from django.db import connection

    connection.close()
    with connection._nodb_cursor() as cursor:
        yield cursor.execute


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
