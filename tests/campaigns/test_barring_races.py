"""In: somebody who says no at any moment while batches leave. Out: a number whose entry was there
before its batch was looked at for the last time is never sent (R14).

Threads against a real PostgreSQL, requests over loopback. An interleaving is one number that is
barred while its batch is on its way: ``R14=10000`` runs as many, the usual run takes a few.
"""

from __future__ import annotations

import http.server
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from campaigns import attempts, barring, batching, dispatch, ingest
from campaigns.models import Account, Attempt, Call, Contact, DoNotCall, DoNotCallRule, Task
from campaigns.platforms import registry
from campaigns.platforms.events import CallEnded, Direction
from campaigns.platforms.yeta import PLATFORM as YETA
from tests.at_once import run_at_once
from tests.factories import make_account, make_contact, make_task

INTERLEAVINGS = int(os.environ.get("R14", "48"))
_look = attempts._look
#: contacts in a batch, one of them barred; batches in a round; senders
IN_BATCH, BATCHES, SENDERS = 3, 6, 2

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600 + INTERLEAVINGS),
]


class Door:
    """A platform that takes whoever it is given, and counts how often it was given them."""

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        self._lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told = json.dumps({"code": 0, "message": "ok", "result": outer.take(body)}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def take(self, body: dict[str, Any]) -> dict[str, Any]:
        rows = body.get("call_list")
        if rows is None:
            return {"token": "t", "time_expire": 7200}
        with self._lock:
            self.arrived.update(row[0] for row in rows)
        ids = [row[0].lstrip("0") for row in rows]
        return {"total": len(rows), "task_data_ids": ids}


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.server.shutdown()
    made.server.server_close()


@dataclass
class Watch:
    """When each number was barred (its commit was over), claimed and looked at for the last time
    (before the look began)."""

    barred: dict[str, float] = field(default_factory=dict)
    claimed: dict[str, float] = field(default_factory=dict)
    looked: dict[str, float] = field(default_factory=dict)

    def look(self, attempt: Attempt) -> tuple[Any, ...]:
        """The last look, with a clock beside it."""
        began = time.monotonic()
        wanted, barred, *rest = _look(attempt)
        if not barred:
            leaving = attempts.list_concerned(attempt).values_list("phone", flat=True)
            self.looked |= dict.fromkeys(leaving, began)
        return wanted, barred, *rest


def make_loading(account: Account, *, contacts: int, first: int) -> Task:
    task = make_task(account=account, status="loading", platform_task_id="1909")
    for number in range(first, first + contacts):
        make_contact(task=task, phone=f"199{number:08d}")
    return task


def send_all(task: Task, watch: Watch) -> float:
    """Plan, claim and send until everybody has left or is excluded; returns the seconds it took."""
    began = time.monotonic()
    while task.contacts.filter(status__in=["ready", "planned", "sending"]).exists():
        assert time.monotonic() - began < 60, list(task.attempts.values())
        Task.objects.filter(pk=task.pk).update(not_before=None)
        batching.plan_batches(task)
        claiming = time.monotonic()
        attempt = dispatch.claim_batch(task.pk)
        if attempt is None:
            time.sleep(0.002)  # somebody else sends the last of them
            continue
        leaving = Contact.objects.filter(batch=attempt.batch_id, status="sending")
        watch.claimed |= dict.fromkeys(leaving.values_list("phone", flat=True), claiming)
        dispatch.send_batch(attempt)
    return time.monotonic() - began


def say_no(phones: list[str], watch: Watch, *, within: float, by: Callable[[str], Any]) -> None:
    moments = sorted(random.uniform(0, within) for _ in phones)
    began = time.monotonic()
    for phone, moment in zip(phones, moments, strict=True):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        by(phone)
        watch.barred[phone] = time.monotonic()


def bar(account: Account) -> Callable[[str], Any]:
    """By hand, for one account or for all, or in a list."""

    def by_chance(phone: str) -> None:
        scope = random.choice([account, None])
        if random.random() < 0.3:
            barring.bar_many([(phone, "", None)], account=scope, source="import")
        else:
            barring.bar_number(phone, account=scope, source="manual")

    return by_chance


def hear_no(account: Account) -> Callable[[str], Any]:
    """By a rule, in the transaction that writes the call in which it was said."""

    def by_call(phone: str) -> None:
        heard = CallEnded(
            source="receiveCallRecord.basic", platform_call_id=f"call-{phone}", caller=phone,
            callee="055196866001", direction=Direction.INBOUND, intention="F",
        )  # fmt: skip
        ingest.apply_events(account, [heard])

    return by_call


@pytest.mark.parametrize("way", ["entry", "rule"])
def test_a_number_that_was_barred_before_its_batch_left_is_never_sent(
    door: Door, settings: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    limits = replace(YETA.limits, rows_per_insert=IN_BATCH)
    monkeypatch.setitem(registry.PLATFORMS, "yeta", replace(YETA, limits=limits))
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    address = f"http://127.0.0.1:{door.server.server_port}/openapi"
    account = make_account(base_url=address, rate_limit=0)
    DoNotCallRule.objects.create(account=account, intention="f")
    watch = Watch()
    monkeypatch.setattr(attempts, "_look", watch.look)
    within = 0.3
    rounds = -(-INTERLEAVINGS // BATCHES // 2)
    for number in range(rounds):
        first = number * IN_BATCH * BATCHES
        task = make_loading(account, contacts=IN_BATCH * BATCHES, first=first)
        phones = [f"199{first + place * IN_BATCH:08d}" for place in range(BATCHES)]
        random.shuffle(phones)
        by = (hear_no if way == "rule" else bar)(account)
        send = partial(send_all, task, watch)
        refuse = partial(say_no, phones, watch, within=within, by=by)
        took = run_at_once([refuse, *[send] * SENDERS])[1:]
        within = max(0.05, min(2.0, *took))
        check_round(task, door, watch, phones)
        clear()
    told = sum(phone in door.arrived for phone in watch.barred)
    assert 0 < told < len(watch.barred), "Every one of them came too early, or too late."


def check_round(task: Task, door: Door, watch: Watch, phones: list[str]) -> None:
    states = dict(task.contacts.values_list("phone", "status"))
    for phone, status in states.items():
        assert door.arrived[phone] == int(status == "accepted"), (phone, status)
        if phone not in phones:
            assert status == "accepted", phone
            continue
        assert status in ("accepted", "excluded")
        barred = watch.barred[phone]
        assert watch.claimed.get(phone, 0) <= barred, f"{phone} was claimed after it was barred"
        if status == "accepted":
            assert watch.looked[phone] <= barred, f"{phone} was sent after it was barred"


def clear() -> None:
    """The rows of a round are not in the way of the next thousand. Attempts stay, whatever asks."""
    DoNotCall.objects.all().delete()
    Call.objects.all().delete()
