"""In: the bytes of a push. Out: a text that a person can read, phone numbers masked unless asked.

JSON is shown in order and indented, other text as it is, and what is no text as a table of bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from campaigns.admin.base import hide_phones
from campaigns.platforms.bodies import read_body
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.values import clean

SHOWN_CHARS, SHOWN_BYTES = 100_000, 4_096

# ASCII digits, with the zeros between them that UTF-16 has
_DIGITS = re.compile(rb"(?<![0-9])(?:[0-9]\x00?){10,}")
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"}


@dataclass(frozen=True, slots=True)
class Shown:
    """``form`` is json, text, bytes or empty; ``cut`` whether there is more than is shown."""

    form: str
    text: str
    cut: bool = False


def show_body(body: bytes, *, whole: bool = False) -> Shown:
    """The body for the screen; ``whole`` with its phone numbers."""
    if not body:
        return Shown("empty", "")
    try:
        # The first bytes only of what is very long: a browser has to draw it.
        value: Any = clean(read_body(body, form=True).value)
        text = json.dumps(value if whole else hide_phones(value), ensure_ascii=False, indent=2)
        return Shown("json", text[:SHOWN_CHARS], len(text) > SHOWN_CHARS)
    except (Unrecognised, RecursionError):
        pass
    try:
        text = body.decode().translate(_CONTROLS)
    except UnicodeDecodeError:
        shown = body if whole else _DIGITS.sub(_hide, body)
        return Shown("bytes", dump_bytes(shown[:SHOWN_BYTES]), len(body) > SHOWN_BYTES)
    text = text if whole else hide_phones(text)
    return Shown("text", text[:SHOWN_CHARS], len(text) > SHOWN_CHARS)


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
