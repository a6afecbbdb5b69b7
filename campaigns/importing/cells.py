"""In: a text. Out: the cell that no spreadsheet takes for a formula, and the text again.

The guard is the apostrophe with which people tell a spreadsheet that a cell is text. A text that
begins with apostrophes and then like a formula gets one more, so that taking one away gives back
what was written.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")

#: what cells lose at both ends: all space, marks of order, characters of no width, and the Ctrl-Z
#: with which old programs end a text
AROUND = (
    "\t\n\v\f\r\x1a\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"
)


def clean_cell(cell: str) -> str:
    return cell.strip(AROUND)


def guard_cell(value: object) -> str:
    """The cell as text that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) else text


def unguard_cell(cell: str) -> str:
    """What ``guard_cell`` was given."""
    return cell[1:] if _GUARDED.match(cell) else cell


def read_cell(cell: str) -> str:
    """The text that a cell of a table means."""
    text = cell.lstrip(AROUND)
    # the guard goes first: what it was put before may be space
    return (unguard_cell(text) if text.startswith("'") else text).strip(AROUND)
