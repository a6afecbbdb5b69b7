"""In: a seed. Out: chance that is the same again for the same seed."""

from __future__ import annotations

import random


def make_chance(*marks: object) -> random.Random:
    """Pretended outcomes need to be repeatable, not secret."""
    return random.Random(":".join(map(str, marks)))  # noqa: S311
