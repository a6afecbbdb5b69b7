"""In: nothing. Out: words of 7moor's tables that no payload shows, and what is odd in samples."""

from __future__ import annotations

UNSEEN = {
    # the text shows AGENT only; this is what ``status`` calls the other side
    "sides that hang up": "CUSTOMER",
    "states of agents": "6 7 8 9",
}
#: The sample of the text lacks a comma (oddity 7m-14).
EXPECTED_PROBLEMS: dict[str, dict[str, str]] = {
    "incomingHangup__sample": {"eventUniqueId": "has no comma before it; one was put"},
}
