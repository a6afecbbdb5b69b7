"""In: nothing. Out: words of acme's tables that no payload shows."""

from __future__ import annotations

UNSEEN = {"outcomes": "wrong"}
