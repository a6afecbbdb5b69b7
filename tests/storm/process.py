"""In: ``web`` or ``worker``, and a file. Out: that process, begun anew whenever it dies, its number
in the file.

What is loaded is loaded once: each new one is a fork of this process, which itself has neither a
connection nor a thread. They are the programs of ``make run``.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import django

from config.supervisor import die_with_parent
from tests.storm import mistakes


def main() -> None:
    what, note = sys.argv[1], Path(sys.argv[2])
    django.setup()
    run: Any
    if what == "web":
        from config.web import main as run
    else:
        from django.core.management import call_command
        from procrastinate.contrib.django import app

        from callbacks import jobs as jobs_of_the_door
        from campaigns import jobs

        assert app and jobs and jobs_of_the_door

        def run() -> None:
            call_command("worker")

    mistakes.plant(os.environ.get("STORM_MISTAKE", ""), what)
    parent = os.getpid()
    while True:
        began = time.monotonic()
        child = os.fork()
        if not child:
            os.setsid()
            die_with_parent(parent, signal.SIGKILL)
            run()
            os._exit(0)
        new = note.with_suffix(".new")
        new.write_text(str(child))
        new.replace(note)
        os.waitpid(child, 0)
        time.sleep(max(0.0, 0.2 - (time.monotonic() - began)))


if __name__ == "__main__":
    main()
