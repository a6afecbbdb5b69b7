"""In: a file, whatever its name says. Out: what it is and the encoding of its text, or a sentence
why it is no table.

Nothing is taken on trust: neither the name nor what a browser said of it. Memory does not grow with
the file.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from itertools import islice
from typing import IO

from django.utils.translation import gettext_noop as N_

from campaigns.importing.errors import ImportRefused
from campaigns.importing.workbooks import inspect_workbook

CHUNK = 1 << 18

EMPTY = N_("The file is empty.")
UNREADABLE = N_(
    "The text in line %(line)s is neither UTF-8 nor GB18030: save the file as “CSV UTF-8” again."
)
NO_ENCODING = N_("There is no encoding “%(encoding)s” to choose.")
OTHER_ENCODING = N_(
    "The text is not %(encoding)s, its first characters tell: choose another encoding."
)
WRONG_ENCODING = N_("The text in line %(line)s is not %(encoding)s: choose another encoding.")
NOT_TEXT = N_("The file is not a text file: save the table as “CSV UTF-8” and choose that file.")
OLD_EXCEL = N_(
    "The file is an old Excel workbook (.xls), whatever its name says: save the table as “CSV "
    "UTF-8” and choose that file."
)
ARCHIVE = N_(
    "The file is a compressed archive, whatever its name says: unpack it and choose the table in "
    "it."
)
PDF = N_("The file is a PDF document, whatever its name says: choose the table it was made from.")
PICTURE = N_("The file is a picture, whatever its name says: choose the table it was made from.")
DATABASE = N_("The file is a database, whatever its name says: export the table as “CSV UTF-8”.")
DOCUMENT = N_(
    "The file is a rich text document, whatever its name says: save the table as “CSV UTF-8” and "
    "choose that file."
)
MARKUP = N_(
    "The file is a web page or XML, whatever its name says: open it in a spreadsheet, save the "
    "table as “CSV UTF-8” and choose that file."
)
JSON = N_("The file is JSON, whatever its name says: convert it to a table in “CSV UTF-8”.")

_KINDS: list[tuple[bytes, str]] = [
    (b"\x09\x08\x10\x00\x00\x06\x05\x00", OLD_EXCEL),
    (b"%PDF-", PDF),
    (b"\x1f\x8b", ARCHIVE),
    (b"Rar!", ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (b"BZh", ARCHIVE),
    (b"{\\rtf", DOCUMENT),
    (b"\x89PNG", PICTURE),
    (b"\xff\xd8\xff", PICTURE),
    (b"GIF8", PICTURE),
    (b"SQLite format 3", DATABASE),
]
#: zip and OLE, in which workbooks come
_CONTAINERS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_MARKUP = re.compile(rb"\s*<(?:!doctype|html|head|body|table|meta|\?xml|!--)", re.I)
_FOREIGN = re.compile("[^\x00-\x7f]+")
#: what two bytes of UTF-8 are not
_NOT_BY_CHANCE = re.compile("[\u0800-\U0010ffff]")
_JSON = re.compile(rb"\s*(?:\{\s*\"|\[\s*[\[{])")
#: what a file begins with → the encodings that read it, the one that we take first
_BOMS: list[tuple[bytes, tuple[str, ...]]] = [
    (codecs.BOM_UTF8, ("utf-8-sig", "utf-8")),
    (codecs.BOM_UTF32_LE, ("utf-32",)),
    (codecs.BOM_UTF32_BE, ("utf-32",)),
    (codecs.BOM_UTF16_LE, ("utf-16", "utf-16-le")),
    (codecs.BOM_UTF16_BE, ("utf-16", "utf-16-be")),
]
#: the encodings that somebody may choose, with the name people know them by
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-sig": N_("UTF-8 with a byte order mark (“CSV UTF-8” of Excel)"),
    "gb18030": N_("GB18030, GBK, GB2312 (Chinese Windows)"),
    "utf-16": N_("UTF-16 with a byte order mark (“Unicode text” of Excel)"),
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "utf-32": N_("UTF-32 with a byte order mark"),
    "cp950": N_("Big5 (traditional Chinese)"),
    "cp1252": N_("Windows-1252 (Western Europe)"),
}


@dataclass(frozen=True)
class Found:
    """What a file is: ``kind`` is text, xlsx or xls; a text has an encoding that reads it."""

    kind: str
    encoding: str = ""


def inspect_file(handle: IO[bytes], *, encoding: str = "") -> Found:
    """What the file is; a text is in ``encoding`` if somebody said so. Raises ``ImportRefused``
    when it is no table."""
    handle.seek(0)
    start = handle.read(CHUNK)
    if not start:
        raise ImportRefused(EMPTY)
    if start.startswith(_CONTAINERS):
        return Found(inspect_workbook(handle))
    refuse_other_kinds(start)
    if encoding:
        if encoding == "utf-8" and start.startswith(codecs.BOM_UTF8):
            encoding = "utf-8-sig"
        check_encoding(handle, encoding)
    return Found("text", encoding or _find_encoding(handle, start))


def check_encoding(handle: IO[bytes], encoding: str) -> None:
    """Raises ``ImportRefused`` when the text cannot be in the encoding that somebody chose."""
    if encoding not in ENCODINGS:
        raise ImportRefused(NO_ENCODING, encoding=encoding[:20])
    handle.seek(0)
    start = handle.read(CHUNK)
    marked = next((readers for bom, readers in _BOMS if start.startswith(bom)), ())
    if not marked and (guessed := _guess_utf_16(start)):
        marked = (guessed,)
    if marked and encoding not in marked:
        raise ImportRefused(OTHER_ENCODING, encoding=encoding.upper())
    # these two begin with a mark, and digits in all of the wide ones have zero bytes
    is_wide = encoding.startswith(("utf-16", "utf-32"))
    if not marked and is_wide and (len(encoding) == 6 or b"\0" not in start[:4096]):
        raise ImportRefused(OTHER_ENCODING, encoding=encoding.upper())
    if not _decodes(handle, encoding):
        broken, foreign, line = _measure(handle, encoding)
        if foreign <= 3 * broken:
            raise ImportRefused(WRONG_ENCODING, encoding=encoding.upper(), line=line)


def refuse_other_kinds(start: bytes) -> None:
    """Raises ``ImportRefused`` with what the file is if that is not a table in text."""
    sentence = next((sentence for magic, sentence in _KINDS if start.startswith(magic)), "")
    wide = next((names[0] for bom, names in _BOMS[1:] if start.startswith(bom)), "")
    if wide := wide or _guess_utf_16(start):
        text = start[:4096].decode(wide, errors="ignore").lstrip("\ufeff").encode(errors="ignore")
    else:
        text = start.removeprefix(codecs.BOM_UTF8)
    if not sentence and _MARKUP.match(text):
        sentence = MARKUP
    if not sentence and _JSON.match(text):
        sentence = JSON
    if sentence:
        raise ImportRefused(sentence)


def _find_encoding(handle: IO[bytes], start: bytes) -> str:
    for bom, (encoding, *_) in _BOMS:
        if start.startswith(bom):
            return encoding
    if encoding := _guess_utf_16(start):
        return encoding
    control = sum(start.count(bytes([code])) for code in range(32) if code not in (9, 10, 12, 13))
    if control > len(start) // 10 + 1:
        raise ImportRefused(NOT_TEXT)
    lines = []
    for encoding in ("utf-8", "gb18030"):
        if _decodes(handle, encoding):
            return weigh_utf_8(handle) or encoding if encoding == "utf-8" else encoding
        broken, foreign, line = _measure(handle, encoding)
        # A few broken bytes among much good text spoil their rows only. (UTF-8 read as GB18030
        # would have other characters in every row, and nobody would be told.)
        if foreign > 3 * broken:
            return encoding
        lines.append(line)
    raise ImportRefused(UNREADABLE, line=max(lines))


def is_doubtful(handle: IO[bytes], encoding: str) -> bool:
    """Whether the text in ``encoding`` reads as well in another one of those we take unasked."""
    if encoding not in ("utf-8", "gb18030"):
        return False
    try:
        return weigh_utf_8(handle, chunks=4) != "utf-8"
    except UnicodeDecodeError:
        return False


def weigh_utf_8(handle: IO[bytes], *, chunks: int | None = None) -> str:
    """Of a text that is UTF-8, or of its first ``chunks``: utf-8, or gb18030 if it is Chinese that
    is UTF-8 by chance, or nothing if nobody can tell. Two bytes of GB2312 may be one character of
    UTF-8, but several in a row make words in Russian and Greek only."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="strict")
    runs = in_words = 0
    is_latin = is_word = False
    handle.seek(0)
    for chunk in islice(iter(lambda: handle.read(CHUNK), b""), chunks):
        text = decoder.decode(chunk)
        if text.isascii():
            continue
        if _NOT_BY_CHANCE.search(text):
            return "utf-8"
        for found in _FOREIGN.finditer(text):
            run = found.group()
            try:
                chinese = run.encode().decode("gb2312")
            except UnicodeDecodeError:
                return "utf-8"
            if not all("\u4e00" <= character <= "\u9fff" for character in chinese):
                return "utf-8"
            runs += 1
            around = text[max(found.start() - 1, 0) : found.start()] + text[found.end() :][:1]
            in_words += any(map(str.isalpha, around))
            is_word |= len(run) > 1
            is_latin |= min(run) < "\u0370"
    if 2 * in_words > runs or not runs:
        return "utf-8"
    return "gb18030" if is_word and is_latin and not in_words else ""


def _guess_utf_16(start: bytes) -> str:
    """UTF-16 without a mark: every line end, delimiter and digit has a zero byte beside it."""
    sample = start[:4096]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if even + odd < 4 or even + odd < len(sample) // 10:
        return ""
    if odd > 4 * even:
        return "utf-16-le"
    return "utf-16-be" if even > 4 * odd else ""


def _decodes(handle: IO[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    handle.seek(0)
    try:
        while chunk := handle.read(CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _measure(handle: IO[bytes], encoding: str) -> tuple[int, int, int]:
    """How many places cannot be decoded, how many characters beyond ASCII can, and the line of the
    first that cannot."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    broken = foreign = first = 0
    lines = 1
    handle.seek(0)
    while chunk := handle.read(CHUNK):
        text = decoder.decode(chunk)
        if not broken and "\ufffd" in text:
            first = lines + text[: text.index("\ufffd")].count("\n")
        here = text.count("\ufffd")
        broken += here
        foreign += sum(map(len, _FOREIGN.findall(text))) - here
        lines += text.count("\n")
    return max(broken, 1), foreign, first or lines
