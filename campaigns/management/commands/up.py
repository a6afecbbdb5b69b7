"""In: the environment. Out: web, worker, sandbox and database under one supervisor, until Ctrl-C.

What is started and how stands in ``config/up.py``, which may know of everything; this package may
not import it, and the supervisor should not carry a whole Django: this process becomes it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Run Callboard: web, worker, sandbox and private database under one supervisor."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        os.environ.pop("CALLBOARD_DATABASE", None)
        os.chdir(settings.BASE_DIR)
        os.execv(sys.executable, [sys.executable, "-m", "config.up"])  # noqa: S606
