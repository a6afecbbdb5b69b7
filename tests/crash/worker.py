"""In: a folder. Out: a worker, started anew whenever it dies, its process id in the folder.

The worker is the one of ``manage.py worker``. What is loaded is loaded once: each worker is a fork
of this process, which itself has no connection and no thread, so a new one works within a moment.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import django

from config.supervisor import die_with_parent
from tests.crash import failpoints, planted
from tests.crash.world import GRACE


def main() -> None:
    own = Path(sys.argv[1])
    django.setup()
    # What a worker loads when it begins.
    from django.core.management import call_command
    from procrastinate.contrib.django import app

    from callbacks import jobs as jobs_of_the_door
    from campaigns import attempts, jobs

    assert app and jobs and jobs_of_the_door
    attempts.GRACE_SECONDS = GRACE
    planted.follow_fast_clock()
    planted.take_smaller_batches(os.environ.get("CRASH_ROWS", ""))
    planted.plant(os.environ.get("CRASH_MISTAKE", ""))
    parent = os.getpid()
    while True:
        began = time.monotonic()
        child = os.fork()
        if not child:
            die_with_parent(parent, signal.SIGKILL)
            if text := os.environ.get(failpoints.VARIABLE, ""):
                failpoints.install(text)
            call_command("worker")
            os._exit(0)
        note = own.with_suffix(".new")
        note.write_text(str(child))
        note.replace(own)
        os.waitpid(child, 0)
        time.sleep(max(0.0, 0.1 - (time.monotonic() - began)))


if __name__ == "__main__":
    main()
