"""In: the name of a mistake. Out: this process makes it; the kill storm must turn red with it.

``python -m tests.storm.mistakes [NAME…]`` plants one after the other and prints a table; exit code
1 when one went unseen.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.crash.planted import rewrite
from tests.processes import ROOT


@dataclass(frozen=True)
class Mistake:
    """``where``: the process that makes it. ``sign``: words of what must be said of it; a loss may
    show in the deliveries of a push that came again, too."""

    says: str
    where: str
    plant: Callable[[], None]
    sign: str


def reply_before_commit() -> None:
    from callbacks import inbox

    store = inbox.store

    def promise(*args: Any, **named: Any) -> int:
        def keep() -> None:
            time.sleep(0.05)
            store(*args, **named | {"ends": time.monotonic() + 5})

        threading.Thread(target=keep).start()
        return 1

    inbox.store = promise


def commit_in_memory() -> None:
    from callbacks import sessions

    rewrite(
        sessions._Session.__init__,
        ("SET synchronous_commit TO on", "SET synchronous_commit TO off"),
    )


def answer_anyway() -> None:
    from callbacks import inbox

    store = inbox.store

    def shrug(*args: Any, **named: Any) -> int | None:
        try:
            return store(*args, **named)
        except inbox.DatabaseAway:
            return 1

    inbox.store = shrug


def move_before_work() -> None:
    from callbacks import processing

    apply = processing.apply_outcomes

    def hurry(outcomes: Any) -> None:
        processing.move_all(outcomes)
        apply(outcomes)

    processing.apply_outcomes = hurry


def count_each_time() -> None:
    from django.db import connection

    from campaigns import ingest

    follow_up = ingest.follow_up

    def count(account_id: int, rows: Any, **named: Any) -> Any:
        told = follow_up(account_id, rows, **named)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE campaigns_contact SET calls_made = calls_made + 1 WHERE id IN"
                " (SELECT contact_id FROM campaigns_call WHERE id = ANY(%s)) AND calls_made > 0",
                [[row.pk for row in rows]],
            )
        return told

    ingest.follow_up = count


def drop_what_fails() -> None:
    from callbacks import processing

    claim = processing.claim

    def claim_for_good(**named: Any) -> Any:
        batch = claim(**named)
        processing.Receipt.objects.filter(pk__in=[one.pk for one in batch]).update(status="ignored")
        return batch

    processing.claim = claim_for_good


def work_in_request() -> None:
    from callbacks import inbox, processing

    store = inbox.store

    def store_and_work(*args: Any, **named: Any) -> int | None:
        stored = store(*args, **named)
        processing.process_inbox(seconds=5)
        return stored

    inbox.store = store_and_work


MISTAKES: dict[str, Mistake] = {
    "reply-before-commit": Mistake(
        "the door answers first and stores then", "web", reply_before_commit, "taken"
    ),
    "synchronous-commit-off": Mistake(
        "a commit is answered before it is on disk", "web", commit_in_memory, "taken"
    ),
    "answer-anyway": Mistake(
        "a push that could not be stored is answered with success", "web", answer_anyway, "taken"
    ),
    "move-before-work": Mistake(
        "a receipt is processed before its events are written",
        "worker",
        move_before_work,
        "calls:",
    ),
    "counted-each-time": Mistake(
        "a push that is worked off again counts again", "worker", count_each_time, "contacts:"
    ),
    "dropped-when-claimed": Mistake(
        "a worker that dies takes what it had claimed with it",
        "worker",
        drop_what_fails,
        "receipts:",
    ),
    "work-in-request": Mistake(
        "the door understands what it takes before it answers",
        "web",
        work_in_request,
        "for their answer",
    ),
}


def list_signs(name: str, told: str) -> list[str]:
    """What a run with this mistake said of it."""
    wrong = [line.strip() for line in told.splitlines() if line.startswith("  WRONG")]
    return [line for line in wrong if MISTAKES[name].sign in line]


def plant(name: str, where: str) -> None:
    """Make this mistake from now on, if it is one of this process; none for ""."""
    if name and MISTAKES[name].where == where:
        MISTAKES[name].plant()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm.mistakes", description=__doc__)
    parser.add_argument("names", nargs="*", help="these only")
    parser.add_argument("--pushes", default="1000")
    parser.add_argument("--kills", default="10")
    given = parser.parse_args()
    unseen = 0
    folder = tempfile.mkdtemp(prefix="cb-storm-", dir="/tmp")
    for name in given.names or MISTAKES:
        mistake = MISTAKES[name]
        command = [sys.executable, "-m", "tests.storm", "--mistake", name, "--folder", folder]
        command += ["--pushes", given.pushes, "--kills", given.kills]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        told = list_signs(name, done.stderr)
        unseen += not told
        print(f"| `{name}`: {mistake.says} | {told[0] if told else 'NOT SEEN'} |", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main())
