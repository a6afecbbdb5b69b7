"""In: the unpacked content of a failed-push file, block by block. Out: the pushes in it, as bytes.

The records stand glued to one another, ``{…}{…}``: no array, no lines. Nothing is dropped: what
stands between two records and is no separator is given too, as something that cannot be read.
Memory stays flat, however long the file is.

Cuts are made on the original bytes. UTF-8 is looked at one byte for one character, so that damage
in a text moves nothing; GB18030, whose second bytes may look like a brace, and UTF-16 are decoded.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from campaigns.platforms.contract import FailedPush
from campaigns.platforms.yeta.callbacks import KINDS

#: as long as a push may be, and as a piece of what cannot be read
LONGEST = 5_000_000
#: characters read in vain to find the next record behind something unreadable, in one file; the
#: most with a short look: no file can keep a worker busy for longer than it holds the file
SEARCHED, LONG_SEARCHED = 30_000_000, 10_000_000
LOOK_AHEAD = 200_000
#: about as deep as the reader goes
DEPTH = 1000
#: bytes by which the encoding is told
TOLD_BY = 1_000_000

_SEPARATORS = re.compile(r"[\s,\[\]\x00\ufeff\x1e]*")
_BOM = "\xef\xbb\xbf"  # of UTF-8, one character for each byte
_BEGINNING = re.compile(r'\{\s*"(?:data|module|retryTimes|timestamp)"')
_OPENING = re.compile(r"[\[{]")
_DECODER = json.JSONDecoder(
    strict=False,
    parse_int=lambda digits: int(digits) if len(digits) < 40 else None,
    parse_float=lambda _digits: None,
    parse_constant=lambda _word: None,
)


def split_failed_pushes(blocks: Iterable[bytes]) -> Iterator[FailedPush]:
    """Every push of a file, in its order; the kind is its ``module`` if that is one we know."""
    text = _Text(blocks)
    left = SEARCHED
    while text.has_more():
        start = text.skip_separators()
        if start == len(text.read):
            continue
        found = _read_record(text.read, start)
        if found is not None:
            record, end = found
            yield FailedPush(_find_kind(record), text.encode(start, end), whole=True)
            text.advance(end)
            continue
        end, left = _find_next(text.read, start, left)
        yield FailedPush("", text.encode(start, end), whole=False)
        text.advance(end)


def _read_record(text: str, start: int) -> tuple[dict[str, Any], int] | None:
    if text[start] != "{":
        return None
    try:
        record, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return (record, end) if end - start <= LONGEST else None


def _find_next(text: str, start: int, left: int) -> tuple[int, int]:
    """Where what cannot be read ends: before the next record, at the latest after ``LONGEST``; and
    how much may still be read in vain."""
    last = min(start + LONGEST, len(text))
    for beginning in _BEGINNING.finditer(text, start + 1, last):
        if left <= 0:
            break
        look = LONGEST if left > SEARCHED - LONG_SEARCHED else LOOK_AHEAD
        window = text[beginning.start() : beginning.start() + look]
        is_record, read = _look(window)
        if is_record:
            return beginning.start(), left
        left -= 1000 + read
    return last, left


def _look(text: str) -> tuple[bool, int]:
    """Whether a record begins here, and how far the reader got."""
    try:
        record, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        return False, len(text) if error.msg.startswith("Unterminated") else error.pos
    except RecursionError:
        deepest = next(itertools.islice(_OPENING.finditer(text), DEPTH, None), None)
        return False, deepest.start() if deepest else len(text)
    except ValueError:
        return False, len(text)
    return "data" in record and end <= LONGEST, end


def _find_kind(record: dict[str, Any]) -> str:
    module = record.get("module")
    return module if isinstance(module, str) and module in KINDS else ""


class _Text:
    """A window on the file that always holds a whole record, if there is one."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._ended = False
        head = b""
        while len(head) < TOLD_BY and (block := next(self._blocks, None)) is not None:
            head += block
        self._codec = _find_codec(head)
        self._errors = "replace" if self._codec.startswith("utf-16") else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(self._codec)(self._errors)
        self.read = self._decoder.decode(head)
        self._at = 0
        self._fill()

    def has_more(self) -> bool:
        return self._at < len(self.read) or not self._ended

    def skip_separators(self) -> int:
        """The place of the next thing that is none; all that was skipped is forgotten."""
        while True:
            if self.read.startswith(_BOM, self._at):
                self._at += len(_BOM)
            found = _SEPARATORS.match(self.read, self._at)
            moved = found.end() if found else self._at
            if moved == self._at:
                break
            self._at = moved
        self._fill()
        return self._at

    def advance(self, end: int) -> None:
        self._at = end
        self._fill()

    def encode(self, start: int, end: int) -> bytes:
        return self.read[start:end].encode(self._codec, self._errors)

    def _fill(self) -> None:
        if self._ended or len(self.read) - self._at > LONGEST:
            return
        pieces = [self.read[self._at :]]
        size = len(pieces[0])
        while size <= 2 * LONGEST and not self._ended:
            block = next(self._blocks, None)
            self._ended = block is None
            pieces.append(self._decoder.decode(block or b"", final=self._ended))
            size += len(pieces[-1])
        self.read, self._at = "".join(pieces), 0


def _find_codec(head: bytes) -> str:
    """Which encoding it is cut in. Only one that must not be looked at byte by byte is named."""
    nothing = [byte == 0 for byte in head[:4]]
    if head[:2] == b"\xff\xfe" or nothing == [False, True, False, True]:
        return "utf-16-le"
    if head[:2] == b"\xfe\xff" or nothing == [True, False, True, False]:
        return "utf-16-be"
    if _is_cut(head, "utf-8") or not _is_cut(head, "gb18030"):
        return "latin-1"
    return "gb18030"


def _is_cut(head: bytes, codec: str) -> bool:
    """Whether the bytes are this encoding, but for a last character that is cut."""
    try:
        codecs.getincrementaldecoder(codec)().decode(head)
    except UnicodeDecodeError:
        return False
    return True
