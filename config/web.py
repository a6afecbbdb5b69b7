"""In: HOST and PORT. Out: the HTTP server with the Django application, until SIGTERM.

granian, chosen by measurement (docs/decisions.md). The application is loaded once (its threads
begin with the first requests: ``config.asgi``) and its worker processes are forked from it; one
that dies is replaced by the others' parent, and all of them end with it.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from django.conf import settings
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from granian.server import Server

from config.asgi import application
from config.supervisor import die_with_parent

#: processes; how many requests each works on at a time is WEB_THREADS (config.asgi)
WORKERS = 2
#: seconds that requests under way get when the server is stopped
PATIENCE = 8


def load_application() -> Any:
    """Called in each worker process."""
    die_with_parent(int(os.environ["CALLBOARD_WEB_PID"]), signal.SIGKILL)
    return application


def main() -> None:
    os.environ["CALLBOARD_WEB_PID"] = str(os.getpid())
    Server(
        "config.asgi:application",
        address=settings.HOST,
        port=settings.PORT,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        loop=Loops.asyncio,
        workers=int(os.environ.get("WEB_WORKERS", WORKERS)),
        workers_kill_timeout=PATIENCE,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        backlog=1024,
        log_level=LogLevels.error,
    ).serve(target_loader=load_application, wrap_loader=False)


if __name__ == "__main__":
    main()
