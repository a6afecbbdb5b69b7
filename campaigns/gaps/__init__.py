"""In: calls, contacts and tasks. Out: what should have come and did not, as rows of ``Gap``.

``finding`` looks for gaps, ``closing`` closes those that were filled, ``asking`` notes what the
platform was asked about them and what it said. All of it is done by one periodic job, in bounded
portions: a call is looked at once, when everything about it has had ``GAP_MINUTES`` to come.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.utils import timezone

from campaigns.gaps.asking import ask_about_gaps
from campaigns.gaps.closing import GapRefused, close_filled, count_open, dismiss_gaps
from campaigns.gaps.finding import compare_counts, find_silent, look_at_calls

__all__ = [
    "GapRefused",
    "ask_about_gaps",
    "close_filled",
    "compare_counts",
    "count_open",
    "dismiss_gaps",
    "find_silent",
    "look_at_calls",
    "reconcile_gaps",
]


def reconcile_gaps(*, now: datetime | None = None) -> int:
    """Close what was filled, find what is missing, ask about it; returns how many were found."""
    if settings.GAP_MINUTES <= 0:
        return 0
    moment = now or timezone.now()
    close_filled()
    found = look_at_calls(now=moment) + find_silent(now=moment) + compare_counts(now=moment)
    ask_about_gaps(now=moment)
    close_filled()
    return found
