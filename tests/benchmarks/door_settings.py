"""In: the settings of the program. Out: those of a bare project: what the door is compared with.

No middleware at all, and no question to the database before the one that counts.
"""

from __future__ import annotations

from config.settings import *  # noqa: F403
from config.settings import DATABASES

ROOT_URLCONF = "tests.benchmarks.door_sides"
MIDDLEWARE: list[str] = []
DATABASES["default"]["CONN_HEALTH_CHECKS"] = False
