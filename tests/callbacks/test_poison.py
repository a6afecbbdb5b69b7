"""In: receipts, one of which kills whoever works on it. Out: proof that it takes nobody with it.

R19. 10,000 of them with ``R19_RECEIPTS=10000``.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from callbacks import processing
from callbacks.models import Receipt
from campaigns.models import Call, StatusChange
from tests.callbacks.pushes import make_record
from tests.factories import make_account

COUNT = int(os.environ.get("R19_RECEIPTS", "400"))
POISON = "call-137"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]


def fill(count: int = COUNT) -> None:
    account = make_account()
    bodies = [make_record(f"call-{number}", task_data_id=None) for number in range(count)]
    Receipt.objects.bulk_create(
        Receipt(
            account=account, kind="receiveCallRecord", body=body,
            sha256=hashlib.sha256(body).digest(),
        )
        for body in bodies
    )  # fmt: skip


def pass_time() -> None:
    """The leases and waits of all claimed receipts are over."""
    Receipt.objects.filter(status="received").exclude(claimed_until=None).update(
        claimed_until=timezone.now() - timedelta(seconds=1)
    )


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """A worker process that dies as soon as it has written the poison; gives the signal it died
    of, 0 when it came to its end."""
    real = processing.apply_outcomes

    def apply(outcomes: Any) -> Any:
        done = real(outcomes)
        if any(POISON.encode() + b'"' in bytes(one.receipt.body) for one in outcomes):
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    def run() -> int:
        connections.close_all()
        child = os.fork()
        if not child:
            # Before its commit: what it wrote is gone with it.
            monkeypatch.setattr(processing, "apply_outcomes", within_transaction(apply))
            processing.process_inbox(seconds=600)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0

    yield run


def within_transaction(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    from django.db import transaction

    def run(outcomes: Any) -> Any:
        with transaction.atomic():
            return work(outcomes)

    return run


def test_a_receipt_that_kills_its_worker_takes_no_other_with_it(work: Callable[[], int]) -> None:
    fill()
    deaths = 0
    for _ in range(30):
        died = work()
        assert died in (0, signal.SIGKILL)
        deaths += died == signal.SIGKILL
        pass_time()
        if not Receipt.objects.filter(status="received").exists():
            break
    assert deaths == processing.MAX_TRIES
    poison = Receipt.objects.exclude(status="processed").get()
    assert (poison.status, poison.reason) == ("quarantined", "kills_worker")
    assert (poison.tries, POISON.encode() in bytes(poison.body)) == (processing.MAX_TRIES, True)
    assert Receipt.objects.filter(status="processed").count() == COUNT - 1
    assert Call.objects.count() == COUNT - 1
    # Neighbours in its batch were tried again, and never given up with it.
    assert max(Receipt.objects.filter(status="processed").values_list("tries", flat=True)) < 5
    assert StatusChange.objects.filter(subject="receipt").count() == COUNT
