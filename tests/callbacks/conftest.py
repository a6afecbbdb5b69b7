"""In: nothing. Out: a door that knows no token of another test, and keeps no session for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _new_door() -> Iterator[None]:
    from callbacks import inbox
    from campaigns import answering

    inbox.forget()
    yield
    inbox.settle()
    inbox.forget()
    answering.settle()
