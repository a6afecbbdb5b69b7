"""In: nothing. Out: a door whose threads leave no connection behind for the next test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _quiet_door() -> Iterator[None]:
    """Threads of the door close their connection after each question, and are done at the end."""
    from django.db import connections

    from callbacks import inbox

    before = connections.settings["default"]["CONN_MAX_AGE"]
    connections.settings["default"]["CONN_MAX_AGE"] = 0
    inbox.forget()
    yield
    inbox.settle()
    connections.settings["default"]["CONN_MAX_AGE"] = before
