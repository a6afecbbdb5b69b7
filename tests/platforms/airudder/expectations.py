"""In: nothing. Out: words of AI Rudder's tables that no payload shows, oddities of its samples."""

from __future__ import annotations

UNSEEN = {
    # client code names them, nothing shows them
    "why a call ended": "0 1 2 3 4 5 6 7 8 9 13 14 15 16 17 18 19 20",
}
#: every sample of the texts can be read without loss
EXPECTED_PROBLEMS: dict[str, dict[str, str]] = {}
