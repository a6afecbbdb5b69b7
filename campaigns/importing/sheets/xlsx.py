"""In: the parts of an .xlsx workbook. Out: its sheets, the texts they share, and their formats."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any
from xml.parsers import expat

from .cells import MAX_TEXT, Format, find_format, unescape
from .container import BROKEN, Package
from .refusal import Refused

CHUNK = 1 << 16
MAX_COLUMN = 16_384
#: so much of the start of a sheet is read to find its size and its hidden columns
_HEAD = 1 << 18

Start = Callable[[str, dict[str, str]], None]


@dataclass
class SheetPart:
    """A sheet: ``part`` is its name in the package."""

    name: str
    part: str
    is_hidden: bool
    rows: int | None = None
    hidden_columns: list[str] = field(default_factory=list)
    #: where a look at its start does not tell, it has
    has_cells: bool = True


@dataclass
class Book:
    package: Package
    sheets: list[SheetPart]
    strings_part: str
    styles_part: str
    since_1904: bool
    #: its results are to be computed when it is opened; zero and nothing may stand for any of them
    is_stale: bool


class _Done(Exception):
    """Enough was read."""


def local(name: str) -> str:
    """The name of an element or attribute without the prefix of its namespace."""
    return name.rpartition(":")[2] if ":" in name else name


def make_parser() -> expat.XMLParserType:
    """A parser to which a document with declarations of its own is no workbook."""
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: Any) -> None:
        raise Refused("damaged")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    return parser


def feed_chunk(part: IO[bytes], parser: expat.XMLParserType) -> bool:
    """Parse some more; False at the end. Raises ``Refused`` where it cannot be unpacked, or is no
    XML."""
    try:
        chunk = part.read(CHUNK)
        parser.Parse(chunk, not chunk)
    except (expat.ExpatError, *BROKEN):
        raise Refused("damaged") from None
    return bool(chunk)


def open_book(handle: IO[bytes]) -> Book:
    package = Package(handle)
    main = "xl/workbook.xml"
    for _id, kind, target in _read_relations(package, ""):
        if kind == "officeDocument":
            main = target
    relations = _read_relations(package, main)
    targets = {identity: (kind, target) for identity, kind, target in relations}
    sheets: list[SheetPart] = []
    flags = {"date1904": False, "fullCalcOnLoad": False}

    def start(name: str, attributes: dict[str, str]) -> None:
        name = local(name)
        plain = {local(key): value for key, value in attributes.items()}
        if name == "sheet":
            relation = next((v for k, v in attributes.items() if k.endswith(":id")), "")
            kind, target = targets.get(relation, ("", ""))
            if kind == "worksheet":
                hidden = plain.get("state", "visible") != "visible"
                sheets.append(SheetPart(unescape(plain.get("name", "")), target, hidden))
        elif name == "workbookPr":
            flags["date1904"] = is_true(plain.get("date1904"))
        elif name == "calcPr":
            flags["fullCalcOnLoad"] = is_true(plain.get("fullCalcOnLoad"))

    parse(package, main, start)
    parts = {kind: target for _, kind, target in relations}
    return Book(
        package,
        sheets,
        parts.get("sharedStrings", ""),
        parts.get("styles", ""),
        flags["date1904"],
        flags["fullCalcOnLoad"],
    )


def is_true(value: str | None) -> bool:
    return value in ("1", "true", "on")


def parse(package: Package, name: str, start: Start) -> None:
    parser = make_parser()
    parser.StartElementHandler = start
    with package.open(name) as part:
        while feed_chunk(part, parser):
            pass


def _read_relations(package: Package, source: str) -> list[tuple[str, str, str]]:
    """(id, last word of the type, part) of what ``source`` refers to inside the package."""
    folder, name = posixpath.split(source)
    found: list[tuple[str, str, str]] = []

    def start(element: str, attributes: dict[str, str]) -> None:
        if local(element) != "Relationship" or attributes.get("TargetMode") == "External":
            return
        target = attributes.get("Target", "").replace("\\", "/")
        if not target.startswith("/"):
            target = posixpath.join("/", folder, target)
        target = posixpath.normpath(target).lstrip("/")
        kind = attributes.get("Type", "").rpartition("/")[2]
        found.append((attributes.get("Id", ""), kind, target))

    parse(package, posixpath.join(folder, "_rels", f"{name}.rels"), start)
    return found


def measure_sheet(book: Book, sheet: SheetPart) -> None:
    """What the start of a sheet tells: how many rows there seem to be, which columns are hidden,
    and whether anything stands in a cell."""
    width = MAX_COLUMN
    has_begun = False

    def start(element: str, attributes: dict[str, str]) -> None:
        nonlocal width, has_begun
        element = local(element)
        if element == "dimension":
            last = attributes.get("ref", "").rpartition(":")[2]
            if found := re.fullmatch(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})", last):
                width = number_column(found.group(1))
                sheet.rows = int(found.group(2))
        elif element == "col" and is_true(attributes.get("hidden")):
            first, end = int(attributes.get("min", 0)), int(attributes.get("max", 0))
            for column in range(max(first, 1), min(end, first + 99, width) + 1):
                sheet.hidden_columns.append(name_column(column))
        elif element == "sheetData":
            has_begun = True
        elif has_begun and element in ("v", "is", "f"):
            raise _Done

    def end(element: str) -> None:
        if local(element) == "sheetData":
            sheet.has_cells = False
            raise _Done

    parser = make_parser()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        with book.package.open(sheet.part) as part:
            parser.Parse(part.read(_HEAD), False)
    except _Done:
        return
    except (expat.ExpatError, *BROKEN, ValueError):
        # whoever reads a damaged sheet is told in which row
        if not has_begun:
            raise Refused("damaged") from None


def number_column(letters: str) -> int:
    """AA is 27. Raises ``Refused`` where it is no column."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
        if not "A" <= letter <= "Z" or number > MAX_COLUMN:
            raise Refused("damaged")
    if not number:
        raise Refused("damaged")
    return number


def name_column(number: int) -> str:
    """27 is AA."""
    letters = ""
    while number > 0:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


class SharedTexts:
    """The texts that cells name by their place in a list, none longer than is of use.

    Read as far as they are asked for: somebody who wants the first rows does not wait for all.
    """

    def __init__(self, book: Book) -> None:
        self.known: list[str] = []
        self._pieces: list[str] = []
        self._is_phonetic = False
        self._parser = make_parser()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._part: IO[bytes] | None = None
        if book.strings_part and book.strings_part in book.package:
            self._part = book.package.open(book.strings_part)

    def fetch(self, place: int) -> str:
        """Raises ``Refused`` where the part is damaged, ``IndexError`` where it ends before."""
        if place < 0:
            raise IndexError(place)
        while place >= len(self.known) and self._part is not None:
            if not feed_chunk(self._part, self._parser):
                self._part = None
        return self.known[place]

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        name = local(name)
        if name == "t":
            if not self._is_phonetic:
                self._parser.CharacterDataHandler = self._pieces.append
        elif name == "rPh":
            self._is_phonetic = True

    def _end(self, name: str) -> None:
        name = local(name)
        if name == "t":
            self._parser.CharacterDataHandler = None
        elif name == "si":
            self.known.append(join_text(self._pieces))
            self._pieces.clear()
        elif name == "rPh":
            self._is_phonetic = False


def join_text(pieces: list[str]) -> str:
    text = pieces[0] if len(pieces) == 1 else "".join(pieces)
    return unescape(text[: 8 * MAX_TEXT])[:MAX_TEXT]


def read_formats(book: Book) -> list[Format | None]:
    """How the cells of each style show a number."""
    if not book.styles_part or book.styles_part not in book.package:
        return []
    codes: dict[str, str] = {}
    formats: list[Format | None] = []
    inside = False
    parser = make_parser()

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        name = local(name)
        if name == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")[:500]
        elif name == "cellXfs":
            inside = True
        elif name == "xf" and inside:
            number = attributes.get("numFmtId", "0")
            known = int(number) if number.isdecimal() and len(number) < 6 else 0
            formats.append(find_format(known, codes.get(number)))

    def end(name: str) -> None:
        nonlocal inside
        if local(name) == "cellXfs":
            inside = False

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    with book.package.open(book.styles_part) as part:
        while feed_chunk(part, parser):
            pass
    return formats
