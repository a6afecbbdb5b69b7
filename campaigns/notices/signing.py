"""In: secrets, a moment, the bytes of a body. Out: the header by which the other side knows that
they came from here. Pure: no row, no socket.

``v1=`` is the hexadecimal HMAC-SHA256 of ``<timestamp>.<body>`` under the secret; the timestamp is
in whole seconds since 1970 and is a header of its own. While a secret is being changed there are
two signatures, separated by a comma: one that fits is enough.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

TIMESTAMP_HEADER = "Callboard-Timestamp"
SIGNATURE_HEADER = "Callboard-Signature"
ID_HEADER = "Callboard-Id"
EVENT_HEADER = "Callboard-Event"
#: a receiver should refuse what was signed longer ago, or later, than this
TOLERANCE_SECONDS = 300


def sign(body: bytes, *, secret: str, timestamp: int) -> str:
    text = str(timestamp).encode() + b"." + body
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def make_signature(body: bytes, *, secrets: Iterable[str], timestamp: int) -> str:
    """What stands in the header."""
    return ",".join(f"v1={sign(body, secret=one, timestamp=timestamp)}" for one in secrets)


def is_signed(header: str, body: bytes, *, secret: str, timestamp: str, now: float) -> bool:
    """What a receiver does: whether the body is ours, and of now."""
    if not (timestamp.isascii() and timestamp.isdecimal()) or len(timestamp) > 12:
        return False
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    wanted = f"v1={sign(body, secret=secret, timestamp=int(timestamp))}"
    parts = [part.strip().encode(errors="replace") for part in header.split(",")]
    return any(hmac.compare_digest(part, wanted.encode()) for part in parts)
