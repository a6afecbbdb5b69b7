"""In: pushes on a fixed schedule. Out: how late the answers are while old pushes are deleted, and
how late they are without.

Open loop, each push sent at its time. The production HTTP server, and the deletion as the hourly
job does it, in a process of its own. Run by `make bench`; ``BENCH_OLD=100000`` old pushes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest
from django.db import connection

from callbacks.models import Receipt
from campaigns.models import CallbackToken, Erasure
from tests.factories import make_account
from tests.processes import ROOT, find_free_port, make_environment, run_web
from tests.storm.pusher import Ledger, Pusher, Sent

OLD = int(os.environ.get("BENCH_OLD", "100000"))
RATE = float(os.environ.get("BENCH_RATE", "50"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
#: at most so many times as late as without, and then only if it is late at all (quality.md R2)
RATIO, ACKNOWLEDGED_SECONDS = 2.0, 0.1

_FILL = """
INSERT INTO callbacks_receipt (account_id, kind, source, body, sha256, content_type,
    content_encoding, received_at, deliveries, status, reason, detail, tries, platform_call_id,
    problems, processed_at)
SELECT %(account)s, 'receiveCallRecord', 'live', convert_to(repeat('x', 600) || n, 'UTF8'),
    sha256(convert_to('old ' || n, 'UTF8')), 'application/json', '', now() - interval '400 days', 1,
    'processed', '', '', 1, 'call-' || n, '{}', now() - interval '400 days'
FROM generate_series(1, %(number)s) AS n
"""
_MOVES = """
INSERT INTO campaigns_statuschange (subject, subject_id, old, new, reason, values, at)
SELECT 'receipt', id, 'received', 'processed', 'Understood and applied.', '{}', received_at
FROM callbacks_receipt
"""


def push_for(seconds: float, port: int, token: str, *, name: str) -> Ledger:
    """Pushes at ``RATE`` for so long."""
    pushes = [
        Sent("receiveCallRecord", b'{"call_uuid":"%s-%d"}' % (name.encode(), number))
        for number in range(int(seconds * RATE))
    ]
    ledger = Ledger(pushes)
    pusher = Pusher(port, token, ledger, rate=RATE, seed=1)
    pusher.start(range(len(pushes)))
    while pusher.is_busy:
        time.sleep(0.05)
    return ledger


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(1200)
def test_deletion_leaves_the_door_unharmed(settings: Any, tmp_path: Any) -> None:
    settings.CONN_MAX_AGE = 0
    keys = {"SECRET_KEY": settings.SECRET_KEY, "FIELD_KEYS": ",".join(settings.FIELD_KEYS)}
    environment = {"DATA_DIR": str(tmp_path), **keys}
    account = make_account()
    _, token = CallbackToken.make(account)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"account": account.pk, "number": OLD})
        cursor.execute(_MOVES)
    port = find_free_port()
    with run_web(port, **environment):
        push_for(2, port, token, name="warm")
        calm = push_for(SECONDS, port, token, name="calm")
        deleting = subprocess.Popen(
            [sys.executable, "manage.py", "forget_old"],
            cwd=ROOT, env=make_environment(**environment), stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while not Erasure.objects.exists():
            assert deleting.poll() is None, "The deletion ended by itself."
            time.sleep(0.05)
        began, first = time.monotonic(), count_deleted()
        busy = push_for(SECONDS, port, token, name="busy")
        rate = (count_deleted() - first) / (time.monotonic() - began)
        still = deleting.poll() is None
        deleting.terminate()
        deleting.wait(30)
    waits = [[one.find_wait(share) for share in (0.5, 0.99, 1)] for one in (calm, busy)]
    ratio = waits[1][1] / max(waits[0][1], 0.001)
    print(
        f"\nretention: answers within (50 %, 99 %, all) {waits[0]} s without, {waits[1]} s while"
        f" {rate:.0f} pushes a second are deleted of {OLD}{'' if still else ' (all)'}:"
        f" ratio at 99 % {ratio:.2f}; {RATE:.0f} pushes/s, {os.cpu_count()} cores, load"
        f" {os.getloadavg()[0]:.1f}"
    )
    assert rate > 0 and Receipt.objects.count() >= len(calm.pushes) + len(busy.pushes)
    assert busy.taken.total() == len(busy.pushes) and not busy.odd
    assert waits[1][1] <= max(ACKNOWLEDGED_SECONDS, RATIO * waits[0][1])


def count_deleted() -> int:
    return sum(Erasure.objects.values_list("number", flat=True))
