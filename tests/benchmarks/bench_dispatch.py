"""In: a number of batches. Out: how fast they reach a platform that answers at once.

    .venv/bin/python -m tests.benchmarks.bench_dispatch 2000 [worker processes]

Real workers with every rule on: attempts committed before the socket opens, the last look before
the first byte, the do-not-call list (100,000 numbers), a limit of calls to one number, the
account's pace, the record of every exchange, a fresh connection for each request. Beside it a
naive loop in as many processes: one request and one UPDATE for each batch, and nothing else. Exit
code 1 when the goal is missed, or a number arrived twice or never.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.world import COLUMNS, copy_world, open_server
from tests.processes import ROOT, run_process

#: batches a second at least, and rows in each of them
GOAL, SIZE = 200, 50
#: what `make run` starts
WORKERS = 1
TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def run_platform() -> Iterator[tuple[str, int]]:
    """Its address and its process."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.fast_platform"], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(child.stdout.readline())}", child.pid
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def ask(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}/told", timeout=10) as reply:
        told: dict[str, Any] = json.load(reply)["result"]
        return told


def fill_task(address: str, batches: int) -> Any:
    """A task that is being handed over, its contacts planned."""
    from django.db import connection

    from campaigns import batching
    from tests.factories import make_account, make_robot, make_task

    account = make_account(base_url=address, rate_limit=1_000, cap_calls=3)
    robot = make_robot(account=account, columns=COLUMNS)
    task = make_task(robot=robot, status="loading", platform_task_id="task-1")
    task.family = task
    task.save()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_contact (task_id, account_id, family_id, round, phone,"
            " phone_raw, values, status, reason, platform_contact_id, calls_made, answered, result,"
            " intention, created_at)"
            " SELECT %s, %s, %s, 1, phone, phone, jsonb_build_object(%s::text, phone, %s::text,"
            " '张先生', %s::text, '北京'), 'ready', '', '', 0, false, '', '', now()"
            " FROM (SELECT '197' || lpad(n::text, 8, '0') AS phone"
            " FROM generate_series(1, %s) AS n) AS made",
            [task.pk, account.pk, task.pk, *COLUMNS, batches * SIZE],
        )
    planned = batching.plan_batches(task)
    assert len(planned) == batches, f"{len(planned)} batches were planned."
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return task


def read_cpu(pid: int) -> float:
    """CPU seconds of a process, and of those of its children that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS


def list_servers() -> list[int]:
    """The processes of the database server, where it runs on this machine."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        stat = Path(f"/proc/{cursor.fetchone()[0]}/stat")
    if not stat.exists():
        return []
    parent = int(stat.read_text().rpartition(")")[2].split()[1])
    children = Path(f"/proc/{parent}/task/{parent}/children")
    return [parent, *map(int, children.read_text().split())] if children.exists() else [parent]


def time_side(name: str, batches: int, workers: int, environment: dict[str, str]) -> dict[str, Any]:
    with run_platform() as (address, platform_pid), copy_world(environment) as mine:
        mine["PLATFORM_ALLOW_HOSTS"] = address.removeprefix("http://")
        task = fill_task(address, batches)
        if name == "naive":
            take_guards_away()
        with contextlib.ExitStack() as stack:
            command = ["manage.py", "worker"]
            if name == "naive":
                command = ["-m", "tests.benchmarks.bench_dispatch", "naive", address, str(task.pk)]
            children = [
                stack.enter_context(run_process(command, environment=mine)) for _ in range(workers)
            ]
            watched = {"python": [child.pid for child in children], "platform": [platform_pid]}
            if name == "ours":
                wait_for_workers(workers)
            before = {what: sum(map(read_cpu, pids)) for what, pids in watched.items()}
            servers = sum(map(read_cpu, list_servers()))
            if name == "ours":
                start_senders(task.pk)
            wait_for_batches(task.pk, children)
            spent = {
                what: sum(map(read_cpu, pids)) - before[what] for what, pids in watched.items()
            }
            spent["database"] = sum(map(read_cpu, list_servers())) - servers
            told = ask(address)
    told["speed"] = (told["batches"] - 1) / told["seconds"]
    cpu = "  ".join(f"{what} {1000 * cpu / batches:.2f}" for what, cpu in spent.items())
    print(f"  {name:<6} {told['speed']:>8.1f} batches/s   CPU ms per batch: {cpu}", flush=True)
    whole = told["batches"] == batches and told["numbers"] == batches * SIZE
    told["whole"] = whole and told["most"] == 1
    return told


def start_senders(task_id: int) -> None:
    from campaigns import jobs

    jobs.enqueue_senders(task_id)


def wait_for_workers(workers: int) -> None:
    from django.db import connection

    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM procrastinate_workers")
            if cursor.fetchone()[0] >= workers:
                time.sleep(1)
                return
        time.sleep(0.1)
    raise AssertionError("The workers did not start.")


def wait_for_batches(task_id: int, children: list[Any]) -> None:
    from campaigns.models import Batch

    ends = time.monotonic() + 600
    while True:
        ended = all(child.poll() is not None for child in children)
        if not Batch.objects.filter(task=task_id, status__in=["planned", "sending"]).exists():
            return
        assert not ended, "The senders ended."
        assert time.monotonic() < ends, "The batches were not sent in time."
        time.sleep(0.2)


def take_guards_away() -> None:
    """The database would refuse what the naive loop does."""
    from django.db import connection

    with connection.cursor() as cursor:
        for table in ("contact", "batch", "attempt"):
            cursor.execute(f"ALTER TABLE campaigns_{table} DISABLE TRIGGER USER")


def send_naively(address: str, task_id: int) -> None:
    """What one would write first: a request, then the result. Called twice after a crash."""
    import requests
    from django.db import transaction

    from campaigns.models import Batch, Contact

    while True:
        with transaction.atomic():
            planned = Batch.objects.filter(task=task_id, status="planned").order_by("number")
            batch = planned.select_for_update(skip_locked=True).first()
            if batch is None:
                return
            contacts = list(batch.contacts.order_by("id"))
            rows = [[contact.values[column] for column in COLUMNS] for contact in contacts]
            reply = requests.post(
                f"{address}/outbound/v1/task/insert",
                json={"task_id": "task-1", "call_column": COLUMNS, "call_list": rows},
                timeout=20,
            )
            reply.raise_for_status()
            Contact.objects.filter(batch=batch).update(status="accepted")
            Batch.objects.filter(pk=batch.pk).update(status="accepted")


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["naive"]:
        send_naively(arguments[1], int(arguments[2]))
        return 0
    batches = int(arguments[0]) if arguments else 2_000
    workers = int(arguments[1]) if arguments[1:] else WORKERS
    print(
        f"{batches:,} batches of {SIZE}, {workers} processes; {os.cpu_count()} cores,"
        f" {platform.machine()}, Python {platform.python_version()}"
    )
    with open_server() as environment:
        sides = {side: time_side(side, batches, workers, environment) for side in ("naive", "ours")}
    ours, naive = sides["ours"], sides["naive"]
    reached = ours["speed"] >= GOAL
    missed = "" if reached else "MISSED"
    print(f"{'batches/s':<42} {ours['speed']:>8.1f}   goal: at least {GOAL}  {missed}")
    print(f"{'(÷ the naive loop)':<42} {ours['speed'] / naive['speed']:>8.2f}")
    if not ours["whole"]:
        print(f"NOT EACH NUMBER ARRIVED ONCE: {ours}")
    return 0 if reached and ours["whole"] else 1


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    sys.exit(main(sys.argv[1:]))
