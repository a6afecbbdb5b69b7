"""In: nothing. Out: how many pushes were received, and in which state each of them is."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.db import connection

from callbacks.health import list_groups
from campaigns.management.headless import HeadlessCommand
from campaigns.silence import find_silent_accounts

# All of one statement, so of one moment; each part by an index that holds what it needs.
_COUNT = """
WITH states AS MATERIALIZED (
    SELECT status, count(*) AS n FROM callbacks_receipt GROUP BY status
)
SELECT coalesce(sum(n), 0), coalesce(sum(n) FILTER (WHERE status = 'processed'), 0),
    coalesce(sum(n) FILTER (WHERE status = 'ignored'), 0),
    coalesce(sum(n) FILTER (WHERE status = 'quarantined'), 0),
    coalesce(sum(n) FILTER (WHERE status = 'received'), 0),
    (SELECT coalesce(sum(deliveries - 1), 0) FROM callbacks_receipt WHERE deliveries > 1),
    (SELECT extract(epoch FROM clock_timestamp() - received_at) FROM callbacks_receipt
     WHERE status = 'received' ORDER BY id LIMIT 1),
    (SELECT coalesce(sum(number), 0) FROM callbacks_forgotten)
FROM states
"""


class Command(HeadlessCommand):
    help = "Count the pushes in the inbox."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        """None of its own."""

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        return count_inbox()


def count_inbox() -> dict[str, Any]:
    """received = processed + ignored + quarantined + waiting. ``forgotten`` are the pushes beside
    these that were deleted when they were old."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT)
        row = cursor.fetchone()
    names = ("received", "processed", "ignored", "quarantined", "waiting", "repeats")
    reasons: dict[str, int] = {}
    for group in list_groups():
        reasons[group.reason] = reasons.get(group.reason, 0) + group.count
    return {
        **{name: int(number) for name, number in zip(names, row, strict=False)},
        "oldest_waiting_seconds": max(0.0, float(row[6])) if row[6] is not None else 0,
        "forgotten": int(row[7]),
        "quarantined_by_reason": reasons,
        "silent_accounts": [one.account.name for one in find_silent_accounts()],
    }
