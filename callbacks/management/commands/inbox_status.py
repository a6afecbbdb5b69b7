"""In: nothing. Out: how many pushes were received, and in which state each of them is."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.db.models import Count, F, Min, Q, Sum
from django.utils import timezone

from callbacks.models import Receipt
from campaigns.management.headless import HeadlessCommand


class Command(HeadlessCommand):
    help = "Count the pushes in the inbox."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        """None of its own."""

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        return count_inbox()


def count_inbox() -> dict[str, Any]:
    """received = processed + ignored + quarantined + waiting: all of one statement, one moment."""
    status = Receipt.Status
    counts = Receipt.objects.aggregate(
        received=Count("id"),
        processed=Count("id", filter=Q(status=status.PROCESSED)),
        ignored=Count("id", filter=Q(status=status.IGNORED)),
        quarantined=Count("id", filter=Q(status=status.QUARANTINED)),
        waiting=Count("id", filter=Q(status=status.RECEIVED)),
        repeats=Sum(F("deliveries") - 1),
        oldest=Min("received_at", filter=Q(status=status.RECEIVED)),
    )
    oldest = counts.pop("oldest")
    waits = max(0.0, (timezone.now() - oldest).total_seconds()) if oldest else 0
    return counts | {"repeats": counts["repeats"] or 0, "oldest_waiting_seconds": waits}
