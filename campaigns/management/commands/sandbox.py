"""In: `manage.py sandbox [--port …]`. Out: a pretend platform until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import signal
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from campaigns.platforms.sandbox import serve


class Command(BaseCommand):
    help = "Run a pretend platform that calls nobody. Needs no database."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        port = os.environ.get("SANDBOX_PORT") or "8900"
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=int(port) if port.isdigit() else 8900)
        parser.add_argument("--speed", type=float, default=1.0, help="its seconds per real second")
        parser.add_argument(
            "--call-scale", type=float, default=0.5, help="length of calls, 1 being natural"
        )
        parser.add_argument("--state-dir", help="folder that survives a restart")
        parser.add_argument("--seed", help="makes ids and outcomes the same every time")

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()

        def stop(number: int, frame: FrameType | None) -> None:
            stopping.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        try:
            sandbox = serve(
                options["host"],
                options["port"],
                speed=options["speed"],
                call_scale=options["call_scale"],
                state_dir=options["state_dir"],
                seed=options["seed"],
            )
        except OSError as error:
            raise CommandError(
                _("The sandbox cannot listen on port %(port)s: %(problem)s. Choose another --port.")
                % {"port": options["port"], "problem": error.strerror or error}
            ) from None
        with sandbox:
            self.stdout.write(
                _("Pretend platform (calls nobody) at %(url)s, base URL %(base)s")
                % {"url": sandbox.url, "base": sandbox.base_url}
            )
            self.stdout.flush()
            stopping.wait()
