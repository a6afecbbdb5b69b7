"""In: HOST and PORT. Out: the HTTP server with the Django application, until SIGTERM.

granian, chosen by measurement (docs/decisions.md). Django is loaded once and its worker processes
are forked from it; one that dies is replaced by the others' parent, and all of them end with it.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from django.conf import settings
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from granian.server import Server

from config.supervisor import die_with_parent
from config.wsgi import application

#: processes, and requests that each works on at a time (its threads come and go with the need)
WORKERS, THREADS = 2, 16
#: seconds that requests under way get when the server is stopped
PATIENCE = 8


def load_application() -> Any:
    """Called in each worker process."""
    die_with_parent(int(os.environ["CALLBOARD_WEB_PID"]), signal.SIGKILL)
    return application


def main() -> None:
    os.environ["CALLBOARD_WEB_PID"] = str(os.getpid())
    Server(
        "config.wsgi:application",
        address=settings.HOST,
        port=settings.PORT,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        loop=Loops.asyncio,
        workers=int(os.environ.get("WEB_WORKERS", WORKERS)),
        blocking_threads=int(os.environ.get("WEB_THREADS", THREADS)),
        workers_kill_timeout=PATIENCE,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        backlog=1024,
        log_level=LogLevels.error,
    ).serve(target_loader=load_application, wrap_loader=False)


if __name__ == "__main__":
    main()
