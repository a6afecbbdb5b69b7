"""In: nothing. Out: every screen, registered. ``admin/X.py`` shows ``models/X.py``."""

from campaigns.admin import (
    accounts,
    agents,
    bar_rules,
    barlists,
    barring,
    calls,
    contacts,
    exchanges,
    holidays,
    home,
    imports,
    mirrors,
    people,
    recordings,
    restore,
    tasks,
)

__all__ = [
    "accounts",
    "agents",
    "bar_rules",
    "barlists",
    "barring",
    "calls",
    "contacts",
    "exchanges",
    "holidays",
    "home",
    "imports",
    "mirrors",
    "people",
    "recordings",
    "restore",
    "tasks",
]
