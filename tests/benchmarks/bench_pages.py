"""In: a filled database. Out: how long its pages take, beside the same pages of a small one.

    make fill DATA_DIR=/tmp/big CONTACTS=1000000 CALLS=10000000
    .venv/bin/python -m tests.benchmarks.bench_pages /tmp/big [pages whose name holds this word]

The small one, of 1,000 contacts and 10,000 calls, is made for the occasion, unless ``SMALL`` names
its folder. A page is asked for through the whole of Django, as an administrator who may see
everything, once to warm up and then ``ROUNDS`` times; the fastest counts, since other work on the
machine only ever makes a page slower. Home and lists: at most 300 ms (home 200), and at most 1.5
times the small one's. Exit code 1 when one is missed. Judged is the time on the clock; with BUSY=1
that on the processors, ours and the database session's, for a machine that does other things too.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("ROUNDS", "5"))
BUSY = bool(os.environ.get("BUSY"))
SMALL_CONTACTS, SMALL_CALLS = 1_000, 10_000
#: milliseconds; a page that takes no longer than ``FREE`` is fast whatever its ratio is
HOME, LIST, FREE, RATIO = 200.0, 300.0, 50.0, 1.5


def list_pages() -> dict[str, str]:
    """{name: address}: home, each filter of the calls, contacts, tasks, and the largest task."""
    from django.db.models import Max
    from django.urls import reverse
    from django.utils import timezone

    from campaigns.models import Account, Call, Contact, Robot, Task

    newest = Call.objects.aggregate(at=Max("happened_at"))["at"]
    day = timezone.localtime(newest).date().isoformat()
    large = Task.objects.filter(name="Filled task 0").latest("pk")
    account = Account.objects.get(name="Filled yeta")
    robot = Robot.objects.filter(account=account).earliest("pk")
    contact = Contact.objects.filter(task=large, calls_made__gt=0).earliest("pk")
    call = Call.objects.filter(task=large, turns_count__gt=0).order_by("-pk").first()
    calls, contacts = (
        reverse(f"admin:campaigns_{name}_changelist") for name in ("call", "contact")
    )
    home = reverse("admin:index")
    filters = {
        "result": "result__exact=busy",
        "seldom result": "result__exact=unknown",
        "two results": "result__exact=busy&result__exact=rejected",
        "going on": "stage=now",
        "intention": "intention=A",
        "intention nobody has": "intention=Z",
        "direction": "direction__exact=inbound",
        "answered": "answered__exact=1",
        "dialog": "dialog=yes",
        "recording": "recording=yes",
        "a day": f"happened_at_from={day}&happened_at_to={day}",
        "an hour": f"hour={timezone.localtime(newest).replace(minute=0, second=0).isoformat()}",
        "reached": "counts_as=reached",
        "long talks": "talk_from=120",
        "task": f"task__id__exact={large.pk}",
        "task and result": f"task__id__exact={large.pk}&result__exact=busy",
        "account": f"account__id__exact={account.pk}",
        "robot": f"robot__id__exact={robot.pk}",
        "platform": "platform=yeta",
        "platform result": "platform_result=3",
        "agent": "agent=8001",
        "node": "node=询问意向",
        "verification": "verification=mismatch",
        "a number": "q=19900000001",
        "a number nobody has": "q=13800000000",
        "a call id": "q=filled-77",
    }
    pages = {
        "home": home,
        "home, yesterday": f"{home}?period=yesterday",
        "home, 30 days": f"{home}?period=30",
        "home, one account": f"{home}?period=30&account={account.pk}",
        "home, live": reverse("admin:campaigns_home_live"),
        "calls": calls,
        **{f"calls: {name}": f"{calls}?{query}" for name, query in filters.items()},
        "contacts": contacts,
        "contacts: task": f"{contacts}?task__id__exact={large.pk}",
        "contacts: state": f"{contacts}?status__exact=accepted",
        "contacts: task, state": f"{contacts}?task__id__exact={large.pk}&status__exact=accepted",
        "contacts: a number": f"{contacts}?q=19900000001",
        "contacts: not called": f"{contacts}?called=no",
        "tasks": reverse("admin:campaigns_task_changelist"),
        "contact's time line": reverse("admin:campaigns_contact_change", args=[contact.pk]),
        "a robot": reverse("admin:campaigns_robot_change", args=[robot.pk]),
        "the largest task, live": reverse("admin:campaigns_task_live", args=[large.pk]),
        "the largest task": reverse("admin:campaigns_task_change", args=[large.pk]),
        "recordings": reverse("admin:campaigns_recording_changelist"),
    }
    if call is not None:
        pages["a call"] = reverse("admin:campaigns_call_change", args=[call.pk])
    return pages


def read_processor(session: int) -> float:
    """Milliseconds that we, and the session of the database, were on a processor."""
    ours = time.process_time() * 1000
    try:
        theirs = int(Path(f"/proc/{session}/schedstat").read_text().split()[0]) / 1e6
    except (OSError, ValueError):  # the database is elsewhere
        theirs = 0.0
    return ours + theirs


def measure(word: str) -> dict[str, Any]:
    """{page: [milliseconds, of them on a processor, queries, status]} of the database here."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    settings.ALLOWED_HOSTS = ["testserver"]
    queries = 0

    def watch(execute: Any, *arguments: Any) -> Any:
        nonlocal queries
        queries += 1
        return execute(*arguments)

    user, _made = User.objects.get_or_create(
        username="bench", defaults={"is_staff": True, "is_superuser": True}
    )
    client = Client(raise_request_exception=False)
    client.force_login(user)
    client.get("/admin/", secure=True)
    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SELECT pg_backend_pid()")
        session = cursor.fetchone()[0]
    place = 1 if BUSY else 0
    found = {}
    for name, address in list_pages().items():
        if word not in name:
            continue
        best: list[Any] = []
        for number in range(ROUNDS + 1):
            queries = 0
            began, worked = time.perf_counter(), read_processor(session)
            with connection.execute_wrapper(watch):
                response = client.get(address, secure=True)
            took = (time.perf_counter() - began) * 1000
            told = [took, read_processor(session) - worked, queries, response.status_code]
            if number == 1 or (number > 1 and told[place] < best[place]):
                best = told
            if number and took > 20 * LIST:
                break  # nobody needs to know how slow exactly
        found[name] = best
        print(
            f"{name:<28} {best[0]:8.0f} ms {best[1]:8.0f} on processors  {best[3]}", file=sys.stderr
        )
    return found


def ask(folder: str, word: str) -> dict[str, Any]:
    told = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_pages", "--measure", word],
        cwd=ROOT, env={**os.environ, "DATA_DIR": folder}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    pages: dict[str, Any] = json.loads(told.stdout.decode().strip().splitlines()[-1])
    return pages


def compare(small: dict[str, Any], large: dict[str, Any]) -> int:
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; the fastest of {ROUNDS}")
    print("milliseconds on the processors" if BUSY else "milliseconds on the clock")
    print(f"{'':<28} {'small':>8} {'large':>8} {'queries':>8} {'ratio':>6}")
    missed = 0
    place = 1 if BUSY else 0
    for name, (*times, queries, status) in large.items():
        before, took = small[name][place], times[place]
        limit = HOME if name.startswith("home") else LIST
        bad = status != 200 or took > limit or (took > FREE and took > RATIO * before)
        missed += bad
        print(
            f"{name:<28} {before:>8.0f} {took:>8.0f} {queries:>8}"
            f" {took / before:>6.2f}  {'MISSED' if bad else ''}{'' if status == 200 else status}"
        )
    print(f"{missed} of {len(large)} missed" if missed else "all reached")
    return 1 if missed else 0


def main() -> int:
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2] if len(sys.argv) > 2 else "")))
        return 0
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    word = sys.argv[2] if len(sys.argv) > 2 else ""
    with tempfile.TemporaryDirectory(prefix="callboard-pages-") as folder:
        small = os.environ.get("SMALL", folder)
        if small == folder:
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.fill", str(SMALL_CONTACTS),
                 str(SMALL_CALLS)],
                cwd=ROOT, env={**os.environ, "DATA_DIR": folder}, stdout=sys.stderr, check=True,
            )  # fmt: skip
        return compare(ask(small, word), ask(sys.argv[1], word))


if __name__ == "__main__":
    sys.exit(main())
