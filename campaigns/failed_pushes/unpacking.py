"""In: an archive that a platform says holds failed pushes. Out: the content of its entries, block
by block, within bounds. Pure.

Nothing of it is believed: not the sizes it states, not the names of its entries (none is used for
anything). Every bound is checked on what was really read.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from django.utils.translation import gettext_noop as N_

MAX_PACKED = 50_000_000
MAX_ENTRIES = 1000
MAX_UNPACKED = 500_000_000
MAX_RATIO = 200
#: below this size a high ratio means nothing
SMALL = 20_000
BLOCK = 262_144
#: a thousand entries with long names and comments need no more
MAX_DIRECTORY = 1_000_000

NO_ARCHIVE = N_("What the platform sent is no archive, or not a whole one.")
TOO_LARGE = N_("The archive is larger than 50 MB.")
TOO_MANY = N_("The archive has more than 1,000 entries.")
TOO_MUCH = N_("The archive unpacks to more than 500 MB.")
BOMB = N_("An entry unpacks to more than 200 times its size.")
OVERLAP = N_("Entries of the archive lie over one another.")
BROKEN = N_("The entry is damaged.")
LOCKED = N_("The entry is encrypted, or packed in a way that we do not know.")
NESTED = N_("The entry is an archive itself; these are not opened.")

_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END = b"PK\x05\x06"
_ODD: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, OverflowError),
    *(NotImplementedError, RuntimeError, KeyError),
)


class Refused(Exception):
    """The archive is not opened, or not read on. The message is a sentence for the operator.
    ``again``: it may have been damaged on its way, and can be fetched anew."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


@dataclass(slots=True)
class Archive:
    """An open archive. ``problems`` grows while it is read: ``{"entry": number, "reason"}``."""

    file: zipfile.ZipFile
    entries: list[zipfile.ZipInfo]
    problems: list[dict[str, str | int]] = field(default_factory=list)
    unpacked: int = 0

    def read(self, number: int) -> Iterator[bytes]:
        """The content of an entry, counted from 1, as far as it can be read; what is odd about it
        goes to the problems. Raises ``Refused`` at a bound of the whole archive."""
        entry = self.entries[number - 1]
        if entry.flag_bits & 0x1 or entry.compress_type not in _METHODS:
            self._note(number, LOCKED)
            return
        allowed = max(entry.compress_size * MAX_RATIO, SMALL)
        size = 0
        try:
            with self.file.open(entry) as content:
                while block := content.read(BLOCK):
                    if size == 0 and block.startswith(_ARCHIVES):
                        self._note(number, NESTED)
                        return
                    size += len(block)
                    self.unpacked += len(block)
                    if self.unpacked > MAX_UNPACKED:
                        raise Refused(TOO_MUCH)
                    if size > allowed:
                        raise Refused(BOMB)
                    yield block
        except _ODD:
            self._note(number, BROKEN)

    def _note(self, number: int, reason: str) -> None:
        self.problems.append({"entry": number, "reason": reason})


def open_archive(file: IO[bytes]) -> Archive:
    """Open an archive whose bounds hold, as far as its directory can tell. Raises ``Refused``."""
    size = file.seek(0, 2)
    if size > MAX_PACKED:
        raise Refused(TOO_LARGE)
    _check_directory(file, size)
    try:
        archive = zipfile.ZipFile(file)
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(archive.infolist()) > MAX_ENTRIES:
            raise Refused(TOO_MANY)
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            raise Refused(TOO_MUCH)
        for entry in entries:
            if entry.file_size > max(entry.compress_size * MAX_RATIO, SMALL):
                raise Refused(BOMB)
        _check_overlap(file, archive)
    except _ODD:
        raise Refused(NO_ARCHIVE, again=True) from None
    return Archive(archive, entries)


def _check_directory(file: IO[bytes], size: int) -> None:
    """Refuse a directory that is too long before anything makes a list of it."""
    begin = max(0, size - 66_000)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise Refused(NO_ARCHIVE, again=True)
    count, length = struct.unpack("<HI", tail[at + 10 : at + 16])
    if count > MAX_ENTRIES or length > MAX_DIRECTORY:
        raise Refused(TOO_MANY)


def _check_overlap(file: IO[bytes], archive: zipfile.ZipFile) -> None:
    """The parts of the file that the entries claim, each by its own header, lie side by side."""
    end = archive.start_dir
    for entry in sorted(archive.infolist(), key=lambda one: one.header_offset, reverse=True):
        file.seek(entry.header_offset)
        header = file.read(30)
        if len(header) != 30 or header[:4] != b"PK\x03\x04":
            raise Refused(NO_ARCHIVE, again=True)
        name, extra = struct.unpack("<HH", header[26:30])
        if entry.header_offset + 30 + name + extra + entry.compress_size > end:
            raise Refused(OVERLAP)
        end = entry.header_offset
