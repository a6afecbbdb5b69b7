"""In: one sheet of an .xlsx workbook. Out: its rows in their order, each with what is wrong in it.

Memory does not grow with the rows. Merged cells are told behind the rows, so the sheet is unpacked
twice; it is parsed once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .cells import DATES, Format, show_number
from .container import BROKEN
from .names import MAX_WIDTH
from .refusal import Refused
from .xlsx import (
    Book,
    SharedTexts,
    SheetPart,
    feed_chunk,
    is_true,
    join_text,
    local,
    make_parser,
    number_column,
    read_formats,
)

MAX_ROW = 1_048_576
#: characters in all cells of a row together
MAX_RECORD = 1_000_000

_DIGITS = "0123456789"
_ROWS_TAG = re.compile(rb"sheetData\s*(/?)>")
_MERGED = re.compile(
    rb"<(?:[\w.-]+:)?mergeCell\s[^>]*?ref\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})"
)
_NO_HEIGHT = re.compile(r"0+(?:\.0*)?")
_MAX_MERGED = 20_000_000


class Row(NamedTuple):
    """``number`` is what the spreadsheet shows; ``places`` are the problems of single cells, and
    what else there is to say of one; ``far`` is the last of the cells beyond ``MAX_WIDTH``."""

    number: int
    cells: list[str]
    problem: str
    places: dict[int, str]
    far: tuple[int, str] | None = None


class Merged(NamedTuple):
    """An area that is one cell; rows and columns count from 1 and from 0."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int


def read_rows(book: Book, sheet: SheetPart) -> Iterator[Row]:
    """The rows that are not blank."""
    merged = Cover(find_merged(book, sheet))
    for row in _parse_rows(book, sheet):
        if not any(row.cells) and not row.places and not row.far:
            continue
        if sum(map(len, row.cells)) > MAX_RECORD:
            cells = [cell[:50] for cell in row.cells]
            yield Row(row.number, cells, "row_too_long", {})
        elif row.problem:
            yield row
        else:
            merged.mark(row)
            yield row


def find_merged(book: Book, sheet: SheetPart) -> list[Merged]:
    """The merged cells, by their first row."""
    kept = b""
    tail: list[bytes] = []
    length = 0
    try:
        with book.package.open(sheet.part) as part:
            while chunk := part.read(1 << 20):
                if tail:
                    tail.append(chunk)
                    length += len(chunk)
                    if length > _MAX_MERGED:
                        raise Refused("bomb")
                    continue
                window = kept + chunk
                if (end := _find_end_of_rows(window)) is not None:
                    tail.append(window[end:] or b" ")
                kept = window[-100:]
    except BROKEN:
        raise Refused("damaged") from None
    areas = []
    for match in _MERGED.finditer(b"".join(tail)):
        left, top, right, bottom = (group.decode() for group in match.groups())
        areas.append(
            Merged(int(top), int(bottom), number_column(left) - 1, number_column(right) - 1)
        )
    return sorted(areas)


def _find_end_of_rows(window: bytes) -> int | None:
    for found in _ROWS_TAG.finditer(window):
        opening = window[max(0, found.start() - 80) : found.start()].rpartition(b"<")[2]
        if found.group(1) or opening.startswith(b"/"):
            return found.end()
    return None


class Cover:
    """Tells of rows, asked in their order, which of their cells lie under another. A program may
    have left a value in such a cell; nobody sees it."""

    def __init__(self, areas: list[Merged]) -> None:
        self._areas = areas
        self._next = 0
        self._active: list[Merged] = []

    def mark(self, row: Row) -> None:
        areas = self._areas
        while self._next < len(areas) and areas[self._next].first_row <= row.number:
            self._active.append(areas[self._next])
            self._next += 1
        if not self._active:
            return
        self._active = [area for area in self._active if area.last_row >= row.number]
        for area in self._active:
            first = area.first_column + (row.number == area.first_row)
            for column in range(first, min(area.last_column + 1, MAX_WIDTH)):
                row.places[column] = "merged_cell"


def _parse_rows(book: Book, sheet: SheetPart) -> Iterator[Row]:
    reader = _Reader(SharedTexts(book), read_formats(book), book)
    with book.package.open(sheet.part) as part:
        try:
            while feed_chunk(part, reader.parser):
                if reader.rows:
                    yield from reader.rows
                    reader.rows.clear()
            yield from reader.rows
        except Refused as refused:
            if refused.code == "damaged" and reader.number:
                raise Refused("damaged_at", row=reader.number) from None
            raise


class _Reader:
    """Handlers of a parser that put finished rows into ``rows``."""

    def __init__(self, texts: SharedTexts, formats: list[Format | None], book: Book) -> None:
        self.rows: list[Row] = []
        self.number = 0
        self.parser = make_parser()
        self._texts = texts
        self._known = texts.known
        self._formats = formats
        self._is_plain = not any(formats)
        self._book = book
        self._columns: dict[str, int] = {}
        self._cells: list[str] = []
        self._places: dict[int, str] = {}
        self._far: tuple[int, str] | None = None
        self._problem = ""
        self._column = -1
        self._kind = ""
        self._style = ""
        self._has_formula = False
        self._is_phonetic = False
        self._pieces: list[str] = []
        self._add_piece = self._pieces.append
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if ":" in name:
            name = local(name)
        if name == "c":
            get = attributes.get
            reference = get("r")
            if reference is None:
                self._column += 1
            else:
                letters = reference.rstrip(_DIGITS)
                column = self._columns.get(letters)
                if column is None:
                    column = self._columns[letters] = number_column(letters) - 1
                self._column = column
            self._kind = get("t", "n")
            self._style = get("s", "")
            self._has_formula = False
        elif name == "v" or (name == "t" and not self._is_phonetic):
            self.parser.CharacterDataHandler = self._add_piece
        elif name == "f":
            self._has_formula = True
        elif name == "row":
            self._begin_row(attributes)
        elif name == "rPh":
            self._is_phonetic = True

    def _end(self, name: str) -> None:
        if ":" in name:
            name = local(name)
        if name in ("v", "t"):
            self.parser.CharacterDataHandler = None
        elif name == "c":
            self._end_cell()
        elif name == "row":
            self.rows.append(Row(self.number, self._cells, self._problem, self._places, self._far))
        elif name == "rPh":
            self._is_phonetic = False
        elif name == "sheetData":
            # what follows has names of its own
            self.parser.StartElementHandler = self.parser.EndElementHandler = None

    def _begin_row(self, attributes: dict[str, str]) -> None:
        told = attributes.get("r")
        number = self.number + 1
        if told is not None:
            if not told.isdecimal() or len(told) > 7 or int(told) < number:
                raise Refused("damaged")
            number = int(told)
        if number > MAX_ROW:
            raise Refused("damaged")
        self.number = number
        is_hidden = is_true(attributes.get("hidden")) or _NO_HEIGHT.fullmatch(
            attributes.get("ht", "")
        )
        self._problem = "hidden_row" if is_hidden else ""
        self._cells = []
        self._places = {}
        self._far = None
        self._column = -1

    def _end_cell(self) -> None:
        pieces = self._pieces
        if not pieces:
            if self._has_formula and self._kind != "str":
                self._put("", "no_result")
            return
        text = pieces[0] if len(pieces) == 1 else "".join(pieces)
        pieces.clear()
        kind = self._kind
        if kind == "s":
            text = self._share(text)
        elif kind == "n":
            if self._has_formula and self._book.is_stale and text == "0":
                self._put("", "no_result")
                return
            form = self._find_format()
            text = show_number(text, form, since_1904=self._book.since_1904)
            if form is not None and form.kind in DATES and text[4:5] == "-":
                self._put(text, "date_cell")
                return
        elif kind == "b":
            text = "TRUE" if text.strip() in ("1", "true") else "FALSE"
        elif kind == "e":
            self._put(text[:20], "error_cell")
            return
        elif kind == "d":
            text = text[:100].removesuffix("Z").removesuffix("T00:00:00").replace("T", " ")
            self._put(text, "date_cell")
            return
        else:
            text = join_text([text])
        if text:
            self._put(text, "")

    def _share(self, place: str) -> str:
        try:
            return self._known[int(place)]
        except (ValueError, IndexError):
            pass
        try:
            return self._texts.fetch(int(place))
        except (ValueError, IndexError):
            raise Refused("damaged") from None

    def _find_format(self) -> Format | None:
        style = self._style
        if self._is_plain or not style:
            return None
        try:
            return self._formats[int(style)]
        except (ValueError, IndexError):
            return None

    def _put(self, text: str, problem: str) -> None:
        cells, column = self._cells, self._column
        if column >= MAX_WIDTH:
            # no header reaches so far, and nobody wants thousands of blanks before each such cell
            if text:
                self._far = column, text
            return
        missing = column - len(cells)
        if missing == 0:
            cells.append(text)
        elif missing > 0:
            cells.extend([""] * missing)
            cells.append(text)
        else:
            cells[column] = text
        if problem:
            self._places[column] = problem
