"""In: the first rows of a file and a robot's columns. Out: how it is read, and what stands where.

Headers are compared without regard to case, width (ＩＤ is ID), spaces around and inside, and
characters of no width. Columns of the file that no robot column wants are ignored and named, or
kept with the contact when somebody asks for them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import IO

from django.utils.translation import gettext_noop as N_

from campaigns.importing.cells import read_cell
from campaigns.importing.errors import ImportRefused
from campaigns.importing.files import Found, check_encoding
from campaigns.importing.reading import (
    BROKEN,
    DELIMITERS,
    START_LINES,
    Plan,
    Record,
    measure_table,
    read_start,
    read_table,
)
from campaigns.importing.workbooks import list_sheets
from campaigns.masking import mask_cell, mask_numbers, mask_phone
from campaigns.phones import PhoneRefused, normalise_phone

MAX_COLUMNS = 1_000
MAX_KEPT = 100
#: characters of a header that count; what is longer is no header
MAX_HEADER = 200
#: a title or two may stand above the header
HEADER_WITHIN = 10
#: rows that are looked at to tell one delimiter from another
_SAMPLE = 20
#: sheets that are looked at, and rows that one beside the first may have for that
_SHEETS = 5
_ROWS_OF_OTHER_SHEETS = 100_000

#: characters of a cell in which numbers are looked for
_LOOKED_AT = 200
_MANY_DIGITS = re.compile(r"\d{7,}")

NO_COLUMNS = N_("The robot has no columns yet: synchronise the account and choose the robot again.")
NO_HEADER = N_("The file has no row with text in it.")
NO_START = N_(
    "The first lines of the file, up to 10,000, have no text in them: delete the empty lines above "
    "the table."
)
TOO_DEEP = N_("The columns' names must stand within the first 10,000 lines of the file.")
IS_CONTACT = N_(
    "There is a number to call in line %(line)s, so it is a contact and no line of names: choose "
    "another line."
)
SEVERAL_PHONES = N_(
    "The header in line %(line)s has several columns that may be “%(missing)s”: %(found)s. Choose "
    "the one to call, on the command line with --map %(example)s."
)
NO_LINE = N_("The file has no row with text in line %(line)s: choose another line as its header.")
TOO_MANY = N_("The header in line %(line)s has %(count)s columns; at most 1,000 can be read.")
NO_DELIMITER = N_("Columns are divided by a comma, a tab, a semicolon or a vertical bar.")
BROKEN_HEADER = N_(
    "The header in line %(line)s cannot be read: a quotation mark in it is not closed, or text "
    "follows one that is."
)
MISSING = N_(
    "The header in line %(line)s lacks the column %(missing)s. It has: %(found)s. The robot needs: "
    "%(wanted)s."
)
HEADLESS = N_(
    "The file has no header, its first row is a contact already: choose which of its columns is "
    "%(missing)s, or put a line with the names of the columns above it. The robot needs: "
    "%(wanted)s."
)
DOUBLED = N_(
    "The header in line %(line)s has the column %(doubled)s more than once: rename the one that is "
    "not meant."
)
NOT_OF_ROBOT = N_("The robot has no column %(unknown)s. It has: %(wanted)s.")
NOT_IN_FILE = N_("The file has no column %(missing)s that could be kept. It has: %(found)s.")
TAKEN = N_(
    "The column %(taken)s cannot be kept under its name, which is the name of a column of the "
    "robot: rename it in the file, or use it for that column."
)
KEPT_TOO_MANY = N_("%(count)s columns are to be kept with each contact; at most 100 can be.")

#: headers under which people keep the number to call, as ``make_key`` leaves them
PHONE_KEYS = frozenset(
    {
        *("phone", "phonenumber", "phoneno", "phone_number", "mobile", "mobilephone", "cell"),
        *("mobilenumber", "mobileno", "mobile_number", "cellphone", "telephone", "tel", "number"),
        *("手机", "手机号", "手机号码", "客户手机号码", "客户手机号", "客户手机", "电话", "电话号"),
        *("电话号码", "联系电话", "联系方式", "移动电话", "客户电话", "号码", "被叫号码", "被叫"),
    }
)


@dataclass(frozen=True)
class Layout:
    """What stands where. ``places`` are the cells of the robot's columns, in its order, and
    ``kept_places`` those of the columns that are kept under their own header."""

    plan: Plan
    header: tuple[str, ...]
    columns: tuple[str, ...]
    places: tuple[int, ...]
    kept: tuple[str, ...] = ()
    kept_places: tuple[int, ...] = ()

    @property
    def mapping(self) -> dict[str, str]:
        """{column of the robot: header in the file}"""
        return {
            column: self.header[place]
            for column, place in zip(self.columns, self.places, strict=True)
        }

    @property
    def ignored(self) -> list[str]:
        used = {*self.places, *self.kept_places}
        return [name for place, name in enumerate(self.header) if place not in used and name]


def find_plan(
    handle: IO[bytes],
    found: Found,
    *,
    columns: Sequence[str],
    known: Mapping[str, str] | None = None,
    region: str = "CN",
    delimiter: str = "",
    sheet: str = "",
) -> tuple[Plan, list[str]]:
    """How the file is best read, and its header: delimiter or sheet, and line, are those in which
    most of the robot's columns are found. Raises ``ImportRefused`` when no header can be read.

    ``known`` is {column of the robot: header} as far as somebody said so, now or the last time;
    ``delimiter`` and ``sheet`` are not looked for if somebody said what they are.
    """
    known = known or {}
    wanted = [{make_key(name) for name in (column, known.get(column, ""))} for column in columns]
    best: tuple[tuple[int, ...], Plan, Record] | None = None
    for plan in _list_plans(handle, found, delimiter=delimiter, sheet=sheet):
        records = read_start(handle, plan, _SAMPLE)
        widths = Counter(len(cells) for _, cells, problem in records if problem is None)
        for number, record in enumerate(records[:HEADER_WITHIN]):
            line, cells, problem = record
            # a row with a number to call is no header, whatever else stands in it
            headless = any(holds_number(cell, region=region) for cell in cells[:MAX_COLUMNS])
            keys = {make_key(cell) for cell in cells} - {""}
            hits = 0 if headless else sum(not keys.isdisjoint(names) for names in wanted)
            alike = widths[len(cells)] if len(cells) > 1 else 0
            # as many wanted columns as possible, then as many rows as wide as this one, then the
            # first row, then the most columns
            score = (hits, problem is None, alike, -number, len(cells))
            if best is None or score > best[0]:
                best = score, replace(plan, header_line=None if headless else line), record
        if best is not None and best[0][0] == len(wanted) > 1:
            break
    if best is None:
        is_long = measure_table(handle, plan) > START_LINES
        raise ImportRefused(NO_START if is_long else NO_HEADER)
    _score, plan, record = best
    return plan, _name_cells(plan, record)


def read_header(handle: IO[bytes], plan: Plan, *, region: str = "CN") -> list[str]:
    """The header of a file that somebody said how to read. Raises ``ImportRefused``."""
    if plan.kind == "text":
        check_encoding(handle, plan.encoding)
        if plan.delimiter not in DELIMITERS:
            raise ImportRefused(NO_DELIMITER)
    if plan.header_line is None:
        start = read_start(handle, plan, 1)
        if not start:
            is_long = measure_table(handle, plan) > START_LINES
            raise ImportRefused(NO_START if is_long else NO_HEADER)
        return _name_cells(plan, start[0])
    if plan.header_line > START_LINES:
        raise ImportRefused(TOO_DEEP)
    with closing(read_table(handle, plan)) as records:
        for record in records:
            line, cells, _ = record
            if line >= plan.header_line:
                if line > plan.header_line or not any(cells):
                    break
                if any(holds_number(cell, region=region) for cell in cells[:MAX_COLUMNS]):
                    raise ImportRefused(IS_CONTACT, line=line)
                return _name_cells(plan, record)
    raise ImportRefused(NO_LINE, line=plan.header_line)


def suggest_mapping(
    header: Sequence[str],
    *,
    columns: Sequence[str],
    known: Mapping[str, str] | None = None,
    named: bool = True,
) -> dict[str, str]:
    """{column of the robot: header}, for somebody to look at: by name, else as it was the last
    time, else (for the number) by what such columns are usually called.

    ``named`` is false for a file without a header, whose letters mean nothing beyond it: ``known``
    is then what somebody said of this very file.
    """
    known = known or {}
    if not named:
        return {column: known[column] for column in columns if known.get(column) in header}
    suggested: dict[str, str] = {}
    for column in columns:
        name = _find_name(header, column, among=columns)
        if not name and (last := known.get(column)):
            name = _find_name(header, last, among=known.values())
        if name:
            suggested[column] = name
    if columns and columns[0] not in suggested:
        usual = [
            name
            for name in header
            if make_key(name) in PHONE_KEYS and name not in suggested.values()
        ]
        if len(usual) == 1:
            suggested[columns[0]] = usual[0]
    return {column: suggested[column] for column in columns if column in suggested}


def make_layout(
    plan: Plan,
    header: Sequence[str],
    *,
    columns: Sequence[str],
    mapping: Mapping[str, str] | None = None,
    kept: Sequence[str] = (),
) -> Layout:
    """Where each column stands. Raises ``ImportRefused``.

    ``mapping`` gives for some of the robot's columns the header in the file; the others have their
    own name there. ``kept`` are headers of columns that stay with the contact beside those.
    """
    columns = list(dict.fromkeys(str(column) for column in columns))
    mapping = dict(mapping or {})
    if not columns:
        raise ImportRefused(NO_COLUMNS)
    if unknown := [name for name in mapping if name not in columns]:
        raise ImportRefused(NOT_OF_ROBOT, unknown=_list(unknown), wanted=_list(columns))
    names = [mapping.get(column) or column for column in columns]
    if plan.header_line is None and (unsaid := [one for one in columns if one not in mapping]):
        # letters are no names, even where a column of the robot is called like one
        raise ImportRefused(HEADLESS, missing=_list(unsaid), wanted=_list(columns))
    places = _find_places(plan, header, names, columns=columns)
    stay = _find_kept(plan, header, kept, columns=columns, used=set(places))
    return Layout(
        plan,
        tuple(header),
        tuple(columns),
        tuple(places),
        tuple(header[place] for place in stay),
        tuple(stay),
    )


def make_key(name: str) -> str:
    """What two headers have in common that a person takes for the same."""
    folded = unicodedata.normalize("NFKC", name[:MAX_HEADER]).casefold()
    return "".join(
        character
        for character in folded
        if not character.isspace() and unicodedata.category(character) not in ("Cf", "Cc")
    )


def name_column(place: int) -> str:
    """The name of a column without one, as spreadsheets have it: A, B, … Z, AA."""
    name = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, 26)
        name = chr(65 + letter) + name
    return name


def _list_plans(handle: IO[bytes], found: Found, *, delimiter: str, sheet: str) -> Iterator[Plan]:
    if found.kind == "text":
        if delimiter and delimiter not in DELIMITERS:
            raise ImportRefused(NO_DELIMITER)
        for one in [delimiter] if delimiter else DELIMITERS:
            yield Plan(found.kind, found.encoding, one)
        return
    if sheet:
        yield Plan(found.kind, "", "", sheet)
        return
    sheets = list_sheets(handle)
    # what is hidden is not meant, unless there is nothing else
    shown = [sheet for sheet in sheets if not sheet.hidden] or sheets
    for place, shown_sheet in enumerate(shown[:_SHEETS]):
        if place == 0 or (shown_sheet.rows or 0) <= _ROWS_OF_OTHER_SHEETS:
            yield Plan(found.kind, "", "", shown_sheet.name)


def find_number(cell: str, *, region: str) -> str:
    """The normal form of the number that a cell is, or nothing."""
    try:
        return normalise_phone(read_cell(cell), region=region)
    except PhoneRefused:
        return ""


def holds_number(cell: str, *, region: str) -> bool:
    """Whether the cell is a number to call, or several without a word beside them. (The name of a
    column may show in words what a number looks like.)"""
    if find_number(cell, region=region):
        return True
    text = cell[:_LOOKED_AT]
    return not any(map(str.isalpha, text)) and mask_numbers(text) != text


def _name_cells(plan: Plan, record: Record) -> list[str]:
    """The names of the columns. A problem of the row is none of its header unless it hides where
    the cells end."""
    line, cells, problem = record
    if problem is not None and problem.code in BROKEN:
        raise ImportRefused(BROKEN_HEADER, line=line)
    if len(cells) > MAX_COLUMNS:
        raise ImportRefused(TOO_MANY, line=line, count=len(cells))
    if plan.header_line is None:
        return [name_column(place) for place in range(len(cells))]
    return [read_cell(cell.replace("\0", ""))[:MAX_HEADER] for cell in cells]


def _find(header: Sequence[str], name: str, *, among: Iterable[str]) -> list[int]:
    """The places of a name: those with the same key, or only those with the very name when
    another of ``among`` has that key too."""
    places = [place for place, cell in enumerate(header) if cell == name]
    key = make_key(name)
    if places and [make_key(other) for other in dict.fromkeys(among)].count(key) > 1:
        # Two robot columns that differ in case or width only are told apart exactly.
        return places
    return [place for place, cell in enumerate(header) if cell and make_key(cell) == key]


def _find_name(header: Sequence[str], name: str, *, among: Iterable[str]) -> str:
    places = _find(header, name, among=among)
    return header[places[0]] if len(places) == 1 else ""


def _find_places(
    plan: Plan, header: Sequence[str], names: Sequence[str], *, columns: Sequence[str]
) -> list[int]:
    found = [_find(header, name, among=names) for name in names]
    if missing := [name for name, places in zip(names, found, strict=True) if not places]:
        usual = [name for name in header if make_key(name) in PHONE_KEYS]
        if plan.header_line and not found[0] and len(usual) > 1:
            raise ImportRefused(
                SEVERAL_PHONES,
                line=plan.header_line,
                missing=_shorten(columns[0]),
                found=_list(usual),
                example=_shorten(f"{columns[0]}={usual[0]}"),
            )
        raise ImportRefused(
            MISSING if plan.header_line else HEADLESS,
            line=plan.header_line,
            missing=_list(missing),
            found=_list([name for name in header if name]),
            wanted=_list(columns),
        )
    if doubled := [name for name, places in zip(names, found, strict=True) if len(places) > 1]:
        raise ImportRefused(DOUBLED, line=plan.header_line, doubled=_list(doubled))
    return [places[0] for places in found]


def _find_kept(
    plan: Plan,
    header: Sequence[str],
    kept: Sequence[str],
    *,
    columns: Sequence[str],
    used: set[int],
) -> list[int]:
    kept = list(dict.fromkeys(kept))
    if len(kept) > MAX_KEPT:
        raise ImportRefused(KEPT_TOO_MANY, count=len(kept))
    found = [_find(header, name, among=kept) for name in kept]
    if missing := [name for name, places in zip(kept, found, strict=True) if not places]:
        shown = _list([name for name in header if name])
        raise ImportRefused(NOT_IN_FILE, missing=_list(missing), found=shown)
    if doubled := [name for name, places in zip(kept, found, strict=True) if len(places) > 1]:
        raise ImportRefused(DOUBLED, line=plan.header_line, doubled=_list(doubled))
    # what a column of the robot takes already is kept there
    places = sorted({places[0] for places in found} - used)
    keys = {make_key(column) for column in columns}
    if taken := [header[place] for place in places if make_key(header[place]) in keys]:
        raise ImportRefused(TAKEN, taken=_list(taken))
    return places


def _list(names: Sequence[str]) -> str:
    """Names as a person reads them, not too many and none too long."""
    shown = [f"“{_shorten(name)}”" for name in names[:20]]
    return ", ".join(shown) + (", …" if len(names) > 20 else "")


def hide_name(name: str) -> str:
    """The name of a column for a screen: a row taken for a header has numbers in it."""
    return _MANY_DIGITS.sub(lambda found: mask_phone(found.group()), mask_cell(name))


def _shorten(name: str) -> str:
    """Without what no sentence, and no database, can hold, and without numbers."""
    name = hide_name(name[:MAX_HEADER])
    text = "".join(character if character.isprintable() else " " for character in name[:41])
    return f"{text[:40]}…" if len(name) > 40 else text
