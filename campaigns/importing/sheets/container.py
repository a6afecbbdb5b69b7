"""In: the bytes of a file that is a zip or an OLE container. Out: the workbook in it, or what else
it is.

The table of contents of a zip is read before anything is unpacked; a part never gives more bytes
than the table says, because ``zipfile`` stops there and compares the check sum.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from typing import IO

from .ole import Container
from .refusal import Refused

MAX_ENTRIES = 1_000
MAX_UNPACKED = 500_000_000
MAX_RATIO = 200
#: a small part may be packed as well as it likes
RATIO_FROM = 5_000_000

#: how unpacking fails
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: BIFF files of the time before containers begin with their first record
_BARE_BIFF = (b"\x09\x08", b"\x09\x04", b"\x09\x02", b"\x09\x00")

_TYPES = "[content_types].xml"
_MAIN = re.compile(rb"[\w.+/-]+\.main(?:\+xml)?", re.I)
_OPEN_DOCUMENT = b"application/vnd.oasis.opendocument"


class Package:
    """A zip that is a workbook, its parts by their names in lower case."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._zip = _open_zip(handle)
        self._parts = {_name(info): info for info in self._zip.infolist()}

    def __contains__(self, name: str) -> bool:
        return name.lower().lstrip("/") in self._parts

    def open(self, name: str) -> IO[bytes]:
        """The part unpacked while it is read. Raises ``Refused``."""
        info = self._parts.get(name.lower().lstrip("/"))
        if info is None:
            raise Refused("damaged")
        if info.flag_bits & 0x1:
            raise Refused("password")
        try:
            return self._zip.open(info)
        except BROKEN:
            raise Refused("damaged") from None

    def read(self, name: str, *, limit: int = 20_000_000) -> bytes:
        """A part that is small in every honest workbook."""
        try:
            with self.open(name) as part:
                content = part.read(limit + 1)
        except BROKEN:
            raise Refused("damaged") from None
        if len(content) > limit:
            raise Refused("bomb")
        return content

    @property
    def names(self) -> list[str]:
        return list(self._parts)


def find_kind(handle: IO[bytes]) -> str:
    """ "xlsx" or "xls". Raises ``Refused`` for everything else."""
    handle.seek(0)
    start = handle.read(8)
    if start == OLE:
        return _find_ole_kind(handle)
    if start.startswith(_BARE_BIFF):
        return "xls"
    if not start.startswith(b"PK"):
        raise Refused("no_workbook")
    package = Package(handle)
    if _TYPES not in package:
        raise Refused(_name_archive(package))
    types = package.read(_TYPES)
    if b"macroEnabled.main+xml" in types or any(
        name.endswith("vbaproject.bin") for name in package.names
    ):
        raise Refused("macros" if b"spreadsheetml" in types or b"ms-excel" in types else "document")
    if b"sheet.binary" in types:
        raise Refused("binary")
    if b"spreadsheetml.sheet.main" in types or b"spreadsheetml.template.main" in types:
        return "xlsx"
    if b"wordprocessingml" in types or b"presentationml" in types or _MAIN.search(types):
        raise Refused("document")
    raise Refused("zip")


def _name_archive(package: Package) -> str:
    if "mimetype" in package:
        kind = package.read("mimetype", limit=1_000)
        if kind.startswith(_OPEN_DOCUMENT):
            return "open_document"
    if any(name.endswith(".iwa") for name in package.names):
        return "document"
    return "zip"


def _open_zip(handle: IO[bytes]) -> zipfile.ZipFile:
    """The archive, once its table of contents has been found to be harmless.

    However long that table is: this process has a limit to its memory.
    """
    try:
        archive = zipfile.ZipFile(handle)
    except (*BROKEN, ValueError, struct.error):
        raise Refused("damaged") from None
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise Refused("bomb")
    for entry in entries:
        if entry.file_size > RATIO_FROM and entry.file_size > MAX_RATIO * entry.compress_size:
            raise Refused("ratio")
    ends = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < ends:
            raise Refused("ratio")
        ends = entry.header_offset + 30 + len(entry.orig_filename) + entry.compress_size
    if len({_name(entry) for entry in entries}) < len(entries):
        raise Refused("damaged")
    return archive


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename.replace("\\", "/").lstrip("/").lower()


def _find_ole_kind(handle: IO[bytes]) -> str:
    names = Container(handle).entries.keys()
    if "EncryptedPackage" in names or "EncryptionInfo" in names:
        raise Refused("password")
    if not names & {"Workbook", "Book"}:
        raise Refused("document" if names else "damaged")
    if "_VBA_PROJECT_CUR" in names:
        raise Refused("macros")
    return "xls"
