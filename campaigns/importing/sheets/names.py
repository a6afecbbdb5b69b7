"""In: what a workbook calls its sheets. Out: names that a database, a command line and a page can
hold, no two alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

#: Excel allows 31 characters; what other programs write is cut here
MAX_NAME = 100
#: columns that a header may have
MAX_WIDTH = 1_000

_UNFIT = ("Cc", "Cs", "Zl", "Zp")


def clean_name(name: str) -> str:
    """Without control characters, and no longer than is of use; a clean name stays as it is."""
    return "".join(
        "\ufffd" if unicodedata.category(character) in _UNFIT else character
        for character in name[:MAX_NAME]
    )


def tell_apart(names: Iterable[str]) -> list[str]:
    """The clean names in their order; what would be empty, or is there already, gets the place of
    its sheet."""
    found: list[str] = []
    known: set[str] = set()
    for place, name in enumerate(names, 1):
        clean = clean_name(name)
        while not clean or clean in known:
            clean = f"{clean[: MAX_NAME - 10]} #{place}".strip()
        known.add(clean)
        found.append(clean)
    return found
