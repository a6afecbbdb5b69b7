"""In: the bytes of an OLE container, as old office programs write it. Out: the streams in it.

[MS-CFB]: sectors form chains through a table, small streams share one, a directory names them.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from typing import IO

from .refusal import Refused

_END = 0xFFFFFFFA
#: a stream that is shorter lives in the shared one
_SMALL = 4_096
_SMALL_SECTOR = 64


class Container:
    """Raises ``Refused`` where the chains lead nowhere."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        handle.seek(0)
        head = handle.read(512)
        if len(head) < 512:
            raise Refused("damaged")
        (shift,) = struct.unpack("<H", head[30:32])
        if shift not in (9, 12):
            raise Refused("damaged")
        self._size = 1 << shift
        directory, _, _, small_table, _, more, _ = struct.unpack("<LLLLLLL", head[48:76])
        self._table = self._read_table(list(struct.unpack("<109L", head[76:512])), more)
        self._small_table: array[int] | None = None
        self._small_start = small_table
        self._shared: bytes | None = None
        #: name → first sector and length
        self.entries: dict[str, tuple[int, int]] = {}
        self._root = (_END, 0)
        content = b"".join(self._read_chain(directory))
        for place in range(0, len(content) - 127, 128):
            self._read_entry(content[place : place + 128])

    def read(self, name: str) -> bytes:
        start, length = self.entries.get(name, (_END, 0))
        if length >= _SMALL:
            return b"".join(self._read_chain(start, length))[:length]
        if self._shared is None or self._small_table is None:
            self._shared = b"".join(self._read_chain(*self._root))
            self._small_table = _as_table(b"".join(self._read_chain(self._small_start)))
        content = b""
        while start < _END and len(content) < length:
            place = start * _SMALL_SECTOR
            content += self._shared[place : place + _SMALL_SECTOR]
            start = _follow(self._small_table, start)
        return content[:length]

    def _read_entry(self, entry: bytes) -> None:
        (length,) = struct.unpack("<H", entry[64:66])
        start, size = struct.unpack("<LL", entry[116:124])
        if entry[66] == 5:
            self._root = (start, size)
        elif entry[66] and 2 <= length <= 64:
            name = entry[: length - 2].decode("utf-16-le", "replace")
            self.entries.setdefault(name, (start, size))

    def _read_table(self, sectors: list[int], more: int) -> array[int]:
        for _ in range(100_000):
            if more >= _END:
                break
            *further, more = struct.unpack(f"<{self._size // 4}L", self._read_sector(more))
            sectors += further
        table = array("I")
        for sector in sectors:
            if sector < _END:
                table.extend(_as_table(self._read_sector(sector)))
        return table

    def _read_chain(self, sector: int, length: int | None = None) -> Iterator[bytes]:
        # no chain is longer than the table, or it goes round in circles
        count = len(self._table) if length is None else -(-length // self._size)
        while sector < _END and count > 0:
            yield self._read_sector(sector)
            sector = _follow(self._table, sector)
            count -= 1

    def _read_sector(self, sector: int) -> bytes:
        self._handle.seek((sector + 1) * self._size)
        content = self._handle.read(self._size)
        if not content:
            raise Refused("damaged")
        # the last one may be cut
        return content.ljust(self._size, b"\0")


def _as_table(content: bytes) -> array[int]:
    return array("I", struct.unpack(f"<{len(content) // 4}L", content[: len(content) // 4 * 4]))


def _follow(table: array[int], sector: int) -> int:
    if sector >= len(table):
        raise Refused("damaged")
    return table[sector]
