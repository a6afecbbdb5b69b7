"""In: an inbox of BENCH_RECEIPTS receipts (1,000,000). Out: how long its pages take.

The page, the summary of the quarantine, the metrics and the command are opened at 10,000 receipts
and at all of them, on the same machine in one run. The middle of five.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from callbacks import tally
from callbacks.management.commands.inbox_status import count_inbox
from callbacks.models import Snapshot
from tests.factories import make_account

RECEIPTS = int(os.environ.get("BENCH_RECEIPTS", "1000000"))
FEW = 10_000
PAGE_MS, TIMES = 300, 1.5

_FILL = """
INSERT INTO callbacks_receipt (account_id, kind, source, body, sha256, content_type,
    content_encoding, received_at, deliveries, last_delivery_at, status, reason, detail, tries,
    platform_call_id, problems)
SELECT %(account)s, (ARRAY['receiveCallRecord', 'receiveVoice', 'receiveDialog'])[1 + n %% 3],
    'live', convert_to(repeat(n::text, 60), 'UTF8'), sha256(n::text::bytea), '', '',
    now() - (%(beyond)s - n) * interval '1 second' * %(days)s * 86400 / %(rows)s,
    1 + (n %% 50 = 0)::int, CASE WHEN n %% 50 = 0 THEN now() END,
    CASE WHEN n %% 200 = 7 THEN 'quarantined' WHEN n %% 9 = 1 THEN 'ignored' ELSE 'processed' END,
    CASE WHEN n %% 200 = 7 THEN 'not_json' WHEN n %% 9 = 1 THEN 'request' ELSE '' END, '', 1,
    'call-' || n / 3, '{}'
FROM generate_series(%(first)s::bigint, %(beyond)s::bigint - 1) AS n
"""


def fill(account_id: int, first: int, beyond: int, *, rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _FILL,
            {"account": account_id, "first": first, "beyond": beyond, "rows": rows, "days": 10},
        )
        cursor.execute("VACUUM ANALYZE callbacks_receipt")


def measure(what: Callable[[], object]) -> float:
    """Milliseconds, the middle of five."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        what()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(1800)
def test_health_at_many_receipts() -> None:
    account = make_account()
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    urls = {
        "health page": reverse("admin:callbacks_health"),
        "quarantine page": reverse("admin:callbacks_quarantine"),
        "list of a day": f"{reverse('admin:callbacks_receipt_changelist')}?received_at_from="
        f"{timezone.localdate() - timedelta(days=10)}&received_at_to="
        f"{timezone.localdate() - timedelta(days=10)}",
        "metrics": "/metrics",
    }
    pages: dict[str, Callable[[], object]] = {
        name: lambda url=url: client.get(url) for name, url in urls.items()
    }
    pages["inbox_status"] = count_inbox
    found: dict[str, list[float]] = {name: [] for name in [*pages, "the job's own count"]}
    for first, beyond in ((0, FEW), (FEW, RECEIPTS)):
        fill(account.pk, first, beyond, rows=RECEIPTS)
        Snapshot.objects.filter(pk=tally.WHOLE).delete()
        began = time.perf_counter()
        tally.count_arrivals()
        tally.take_snapshot()
        found["the job's own count"].append((time.perf_counter() - began) * 1000)
        for name, page in pages.items():
            found[name].append(measure(page))
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':24}{FEW:>12,}{RECEIPTS:>12,}  ratio")
    for name, (few, many) in found.items():
        print(f"{name:24}{few:>9.0f} ms{many:>9.0f} ms{many / few:>7.2f}")
    # On a busy machine every page is slow: then what it is slower by decides.
    slow = [
        name
        for name in pages
        if found[name][1] > PAGE_MS and found[name][1] > TIMES * found[name][0]
    ]
    assert not slow, f"slower than {PAGE_MS} ms, and by more than {TIMES}: {slow}"
