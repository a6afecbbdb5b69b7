"""In: the bytes of a push. Out: a text that a person can read, phone numbers masked unless asked.

JSON is shown in order and indented, other text as it is (in UTF-8, else in GB18030), and what is no
text as a table of bytes. A page shows the beginning; the whole can be downloaded.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from typing import Any

from campaigns.admin.base import hide_phones
from campaigns.platforms.bodies import read_body
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.values import clean

#: of a text, and of a table of bytes, which is five times as long
SHOWN_CHARS, SHOWN_BYTES = 65_536, 16_384
#: a longer body is not taken apart for a page
PARSED_BYTES = 1_000_000

# ASCII digits, with the zeros between them that UTF-16 has
_DIGITS = re.compile(rb"(?<![0-9])(?:[0-9]\x00?){10,}")
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"}


@dataclass(frozen=True, slots=True)
class Shown:
    """``form`` is json, text, bytes or empty; ``cut`` whether there is more than is shown."""

    form: str
    text: str
    cut: bool = False


def show_body(body: bytes, *, whole: bool = False, form: str = "") -> Shown:
    """The body for the screen; ``whole`` with its phone numbers. ``form`` asks for one that is not
    the best: the bytes of a JSON, or its text as it was sent."""
    if not body:
        return Shown("empty", "")
    if form not in ("text", "bytes") and len(body) <= PARSED_BYTES:
        try:
            value: Any = clean(read_body(body, form=True).value)
            text = json.dumps(value if whole else hide_phones(value), ensure_ascii=False, indent=2)
            return Shown("json", text[:SHOWN_CHARS], len(text) > SHOWN_CHARS)
        except (Unrecognised, RecursionError):
            pass
    # Of what is shown and a little more: a number may stand at its end. The bytes first, since the
    # digits of UTF-16 have zeros between them.
    start = body[: SHOWN_CHARS * 4]
    start = start if whole else _DIGITS.sub(_hide, start)
    words = None if form == "bytes" else decode_text(start)
    if words is None:
        return Shown("bytes", dump_bytes(start[:SHOWN_BYTES]), len(body) > SHOWN_BYTES)
    cut = len(words) > SHOWN_CHARS or len(body) > len(start)
    words = words.translate(_CONTROLS)
    words = words if whole else hide_phones(words)
    return Shown("text", words[:SHOWN_CHARS], cut)


def decode_text(body: bytes) -> str | None:
    """The text that the bytes are, None when they are none. A character that is cut in half at the
    end does not matter."""
    for encoding in ("utf-8", "gb18030"):
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            text = decoder.decode(body)
        except UnicodeDecodeError:
            continue
        # Most bytes are some text in GB18030; what nobody would write is no text.
        if encoding == "utf-8" or all(map(_is_written, text)):
            return text
    return None


def _is_written(letter: str) -> bool:
    return letter.isprintable() or letter in "\t\r\n"


def _hide(found: re.Match[bytes]) -> bytes:
    digits = found.group()
    middle = digits[len(digits) // 3 : -len(digits) // 3]
    hidden = re.sub(rb"[0-9]", b"*", middle)
    return digits[: len(digits) // 3] + hidden + digits[-len(digits) // 3 :]


def dump_bytes(body: bytes) -> str:
    """Sixteen bytes a line: place, bytes, and the letters among them."""
    lines = []
    for place in range(0, len(body), 16):
        row = body[place : place + 16]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
        lines.append(f"{place:08x}  {row.hex(' '):<47}  {letters}")
    return "\n".join(lines)
