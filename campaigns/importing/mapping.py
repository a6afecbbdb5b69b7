"""In: the first rows of a file and a robot's columns. Out: where each column stands in the file.

Headers are compared without regard to case, width (ＩＤ is ID), spaces around and inside, and
characters of no width. Columns of the file that no robot column wants are ignored and named.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext_noop as N_

from campaigns.importing.errors import ImportRefused
from campaigns.importing.reading import DELIMITERS, read_first

MAX_COLUMNS = 1_000
#: a title or two may stand above the header
HEADER_WITHIN = 10

NO_COLUMNS = N_("The robot has no columns yet: synchronise the account and choose the robot again.")
NO_HEADER = N_("The file has no row with text in it.")
TOO_MANY = N_("The header in line %(line)s has %(count)s columns; at most 1,000 can be read.")
BROKEN_HEADER = N_(
    "The header in line %(line)s cannot be read: a quotation mark in it is not closed, or text "
    "follows one that is."
)
MISSING = N_(
    "The header in line %(line)s lacks the column %(missing)s. It has: %(found)s. The robot needs: "
    "%(wanted)s."
)
DOUBLED = N_(
    "The header in line %(line)s has the column %(doubled)s more than once: rename the one that is "
    "not meant."
)
NOT_OF_ROBOT = N_("The robot has no column %(unknown)s. It has: %(wanted)s.")


@dataclass(frozen=True)
class Layout:
    """How the file is to be read. ``places`` are the cells of the robot's columns, in its order."""

    delimiter: str
    header_line: int
    header: tuple[str, ...]
    columns: tuple[str, ...]
    places: tuple[int, ...]

    @property
    def mapping(self) -> dict[str, str]:
        """{column of the robot: header in the file}"""
        return {
            column: self.header[place]
            for column, place in zip(self.columns, self.places, strict=True)
        }

    @property
    def ignored(self) -> list[str]:
        used = set(self.places)
        return [name for place, name in enumerate(self.header) if place not in used and name]


def find_layout(
    start: str, *, columns: Sequence[str], mapping: Mapping[str, str] | None = None
) -> Layout:
    """The layout of the file that begins with ``start``. Raises ``ImportRefused``.

    ``mapping`` gives for some of the robot's columns the header in the file; the others have their
    own name there.
    """
    columns = list(dict.fromkeys(str(column) for column in columns))
    mapping = dict(mapping or {})
    if not columns:
        raise ImportRefused(NO_COLUMNS)
    if unknown := [name for name in mapping if name not in columns]:
        raise ImportRefused(NOT_OF_ROBOT, unknown=_list(unknown), wanted=_list(columns))
    names = [mapping.get(column) or column for column in columns]
    wanted = {make_key(name) for name in names}
    best: tuple[tuple[int, int, int], str, int, list[str], bool] | None = None
    for delimiter in DELIMITERS:
        records = read_first(
            io.StringIO(start, newline=""), delimiter=delimiter, count=HEADER_WITHIN
        )
        for number, (line, cells, problem) in enumerate(records):
            keys = {make_key(cell) for cell in cells}
            # as many wanted columns as possible, then the first row, then the most columns
            score = (len(wanted & keys), -number, len(cells))
            if best is None or score > best[0]:
                best = (score, delimiter, line, cells, problem is not None)
    if best is None:
        raise ImportRefused(NO_HEADER)
    _score, delimiter, line, cells, is_broken = best
    if is_broken:
        raise ImportRefused(BROKEN_HEADER, line=line)
    header = tuple(cell.replace("\0", "").strip().strip("\ufeff") for cell in cells)
    if len(header) > MAX_COLUMNS:
        raise ImportRefused(TOO_MANY, line=line, count=len(header))
    places = _find_places(header, names, line=line, columns=columns)
    return Layout(delimiter, line, header, tuple(columns), places)


def make_key(name: str) -> str:
    """What two headers have in common that a person takes for the same."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(
        character
        for character in folded
        if not character.isspace() and unicodedata.category(character) not in ("Cf", "Cc")
    )


def _find_places(
    header: Sequence[str], names: Sequence[str], *, line: int, columns: Sequence[str]
) -> tuple[int, ...]:
    keys = [make_key(name) for name in header]
    places: list[int] = []
    missing: list[str] = []
    doubled: list[str] = []
    for name in names:
        found = [place for place, cell in enumerate(header) if cell == name]
        key = make_key(name)
        if not found or [make_key(other) for other in dict.fromkeys(names)].count(key) == 1:
            # Two robot columns that differ in case or width only are told apart exactly.
            found = [place for place, other in enumerate(keys) if other == key]
        if not found:
            missing.append(name)
        elif len(found) > 1:
            doubled.append(name)
        else:
            places.append(found[0])
    if missing:
        raise ImportRefused(
            MISSING,
            line=line,
            missing=_list(missing),
            found=_list([name for name in header if name]),
            wanted=_list(columns),
        )
    if doubled:
        raise ImportRefused(DOUBLED, line=line, doubled=_list(doubled))
    return tuple(places)


def _list(names: Sequence[str]) -> str:
    """Names as a person reads them, not too many and none too long."""
    shown = [f"“{_shorten(name)}”" for name in names[:20]]
    return ", ".join(shown) + (", …" if len(names) > 20 else "")


def _shorten(name: str) -> str:
    """Without what no sentence, and no database, can hold."""
    text = "".join(character if character.isprintable() else " " for character in name[:41])
    return f"{text[:40]}…" if len(name) > 40 else text
