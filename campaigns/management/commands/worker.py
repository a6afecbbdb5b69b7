"""In: jobs in the database. Out: the jobs done, until SIGTERM; then what is under way is finished.

Any number of workers may run, on any number of machines.
"""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from procrastinate.contrib.django import app

#: seconds for which a thread keeps the interpreter when another one wants it. Every answer of the
#: database, of which a sender waits for five a batch, is read by a thread that has to get it first.
SWITCH_SECONDS = 0.0005


class Command(BaseCommand):
    help = "Do the background jobs."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--concurrency", type=int, default=8, help="jobs at the same time")
        parser.add_argument("--queues", nargs="*", help="only these queues (default: all)")
        parser.add_argument(
            "--grace-seconds", type=float, default=30.0, help="for jobs under way when stopped"
        )
        parser.add_argument("--once", action="store_true", help="end when no job waits")

    def handle(self, *args: Any, **options: Any) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        asyncio.run(run_worker(options))


async def run_worker(options: dict[str, Any]) -> None:
    """A job starts within milliseconds by NOTIFY; polling is for the case that a notice is lost.

    A worker whose heartbeat is 30 s old counts as dead, and its jobs as stalled: their own rows
    say whether they may be done again.
    """
    connector = app.connector.get_worker_connector()  # type: ignore[attr-defined]
    with app.replace_connector(connector) as worker_app:
        async with worker_app.open_async():
            await worker_app.run_worker_async(
                name="callboard",
                queues=options["queues"] or None,  # type: ignore[arg-type]
                concurrency=options["concurrency"],
                wait=not options["once"],
                fetch_job_polling_interval=1.0,
                abort_job_polling_interval=5.0,
                shutdown_graceful_timeout=options["grace_seconds"],
                delete_jobs="successful",
                update_heartbeat_interval=5.0,
                stalled_worker_timeout=30.0,
                install_signal_handlers=True,
            )
