"""In: nothing. Out: every screen, registered. ``admin/X.py`` shows ``models/X.py``."""

from campaigns.admin import (
    accounts,
    agents,
    calls,
    contacts,
    exchanges,
    home,
    mirrors,
    people,
    recordings,
    tasks,
)

__all__ = [
    "accounts",
    "agents",
    "calls",
    "contacts",
    "exchanges",
    "home",
    "mirrors",
    "people",
    "recordings",
    "tasks",
]
