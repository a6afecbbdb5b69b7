"""In: what is wrong with a file or a row. Out: an English sentence and a code, translated later."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.utils.translation import gettext


class ImportRefused(Exception):
    """The file as a whole cannot be used, and nothing of it was loaded.

    ``message`` is an English sentence with places for ``values``; as text the exception is that
    sentence in the reader's language.
    """

    def __init__(self, message: str, **values: Any) -> None:
        super().__init__(message, values)
        self.message = message
        self.values = values

    def __str__(self) -> str:
        return gettext(self.message) % self.values


class Problem(NamedTuple):
    """Why one row was not loaded: a word for programs, an English sentence for people."""

    code: str
    reason: str


class Rejection(NamedTuple):
    """One row that was not loaded. ``line`` is where it begins in the file, the first being 1."""

    line: int
    column: str
    problem: Problem
    value: str
