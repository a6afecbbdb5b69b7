"""In: a text of an exchange. Out: what of it may be kept: no secret, no token, no phone number."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable

REDACTED = "‹redacted›"

# A Chinese mobile or land line, or anything written in E.164; other digits are ids and times.
# Chinese text may touch the number on either side, as itself or escaped (\u5ba2199…).
_PHONE = re.compile(
    r"(?=[+018])(?:(?<![A-Za-z0-9_.])|(?<=\\u[0-9a-fA-F]{4})|(?<=\\[nrt]))"
    r"((?:\+?86)?1[3-9]\d(?=\d{8}(?!\d))|0\d{2}(?=\d{7,9}(?!\d))|\+\d{3})\d{3,8}(\d{4})"
    r"(?![A-Za-z0-9_]|\.\d)"
)

#: what JSON writes as it is
_PLAIN = re.compile(r"[A-Za-z0-9 _.~+/=:;,-]*\Z")


def redact(text: str, *, secrets: Iterable[str], fields: Iterable[str]) -> str:
    """The text without these secrets, the values of the fields of these names, and the middle of
    phone numbers."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, REDACTED)
            if not _PLAIN.match(secret):
                text = text.replace(json.dumps(secret)[1:-1], REDACTED)
    for name in fields:
        if name in text:
            in_json, in_address = _find_field(name)
            text = in_json.sub(rf'\1"{REDACTED}"', text)
            text = in_address.sub(rf"\1{REDACTED}", text)
    return _hide_middles(text)


def _hide_middles(text: str) -> str:
    """The text without the middle of the phone numbers in it, of which a request has fifty."""
    pieces = _PHONE.split(text)  # what stands before a number, its begin, its end, and so on
    if len(pieces) == 1:
        return text
    hidden = [""] * (len(pieces) // 3 * 4 + 1)
    hidden[0::4], hidden[1::4], hidden[3::4] = pieces[0::3], pieces[1::3], pieces[2::3]
    hidden[2::4] = ["****"] * (len(pieces) // 3)
    return "".join(hidden)


@functools.lru_cache(maxsize=256)
def _find_field(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Where a field of this name has its value: in JSON, and in an address."""
    escaped = re.escape(name)
    return (
        re.compile(
            rf'("{escaped}"\s*:\s*)("(?:[^"\\]|\\.)*(?:"|\\?$)|[^\s",}}\[{{][^,}}]*)',
        ),
        re.compile(rf"([?&]{escaped}=)[^&\s\"]*"),
    )
