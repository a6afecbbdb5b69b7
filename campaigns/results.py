"""In: the tables of results as they are today. Out: codes that none has, and history read again.

A code that nobody has documented is kept as it came, with the result ``unknown``. When a table
learns it, or is corrected, all calls that were ever told with it are read again from their
evidence: no push has to come a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Max

from campaigns.evidence import revise_results
from campaigns.ingest import UPDATED, fill, link_calls
from campaigns.models import Account, Call
from campaigns.platforms.contract import Platform
from campaigns.platforms.registry import PLATFORMS, get_platform

CHUNK = 500


@dataclass(frozen=True, slots=True)
class UnknownCode:
    """A result of calls for which the platform's table has no word."""

    platform: str
    code: str
    text: str
    count: int
    last_at: datetime


def list_unknown_codes() -> list[UnknownCode]:
    """The codes without a word of ours, the most frequent first."""
    found = []
    for platform in PLATFORMS.values():
        rows = (
            Call.objects.filter(account__platform=platform.slug, result=Call.Result.UNKNOWN)
            .exclude(platform_result="")
            .order_by()
            .values("platform_result")
            .annotate(n=Count("*"), last=Max("happened_at"), text=Max("platform_result_text"))
        )
        found += [
            UnknownCode(platform.slug, row["platform_result"], row["text"], row["n"], row["last"])
            for row in rows
            if platform.results.get(row["platform_result"]) is None
        ]
    return sorted(found, key=lambda one: (-one.count, one.platform, one.code))


def reapply_results(slug: str) -> int:
    """Read the results of every call of a platform again; returns how many calls changed.

    Raises ``KeyError`` for a platform that is not known. Each chunk is a transaction of its own and
    may be repeated: what is right already is not touched.
    """
    platform = get_platform(slug)
    changed = 0
    for account_id, ids in _list_chunks(platform):
        changed += _reapply(platform, account_id, ids)
    return changed


def _list_chunks(platform: Platform) -> Iterator[tuple[int, list[int]]]:
    """(account, ids of its calls with a code), in order of the ids."""
    accounts = Account.objects.filter(platform=platform.slug).order_by("pk")
    for account_id in accounts.values_list("pk", flat=True):
        last = 0
        while True:
            rows = Call.objects.filter(account=account_id, pk__gt=last)
            ids = list(
                rows.exclude(platform_result="").order_by("pk").values_list("pk", flat=True)[:CHUNK]
            )
            if not ids:
                break
            last = ids[-1]
            yield account_id, ids


def _reapply(platform: Platform, account_id: int, ids: list[int]) -> int:
    changed: list[Any] = []
    region = Account.objects.values_list("region", flat=True).get(pk=account_id)
    with transaction.atomic():
        calls = Call.objects.filter(pk__in=ids).select_for_update(of=("self",)).order_by("id")
        for call in calls:
            revised = revise_results(call.evidence, platform.results)
            if revised != call.evidence:
                changed.append(fill(call, revised, call.problems, region=region))
        Call.objects.bulk_update(changed, UPDATED, batch_size=200)
        if changed:
            link_calls(account_id, call_ids=[call.pk for call in changed])
    return len(changed)
