"""In: senders that stand still. Out: past their lease they send nothing when they go on (R10).

A real process is stopped by a signal between its claim and its first byte, as a machine that is
suspended or out of memory stops; what arrived is what a raw server counted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from campaigns import batching, dispatch, lifecycle
from campaigns.models import Account, Attempt, Contact, Task
from tests.platforms.faulty import FaultyServer, make_reply
from tests.processes import ROOT, make_environment

pytestmark = pytest.mark.django_db(transaction=True)

#: claims one batch, says so, and waits on the way to its first byte until it is told to go on
SENDER = """
import sys, django
django.setup()
from campaigns import attempts, connections, dispatch
from campaigns.platforms.http_connections import Observed
attempt = dispatch.claim_batch(int(sys.argv[1]))
assert attempt is not None
connect = Observed._new_conn
def stop_here(self):
    found = connect(self)
    print("connected", flush=True)
    sys.stdin.readline()
    return found
Observed._new_conn = stop_here
dispatch.send_batch(attempt)
attempt.refresh_from_db()
print(attempt.status, flush=True)
"""


def make_loading(make_campaign: Any, server: FaultyServer) -> Task:
    task: Task = make_campaign(contacts=2)
    Account.objects.filter(pk=task.account_id).update(
        base_url=f"http://127.0.0.1:{server.port}/openapi"
    )
    lifecycle.move(task, "loading", of=["draft"])
    Task.objects.filter(pk=task.pk).update(platform_task_id="1")
    task.refresh_from_db()
    batching.plan_batches(task)
    return task


def refuse(sock: socket.socket, request: bytes) -> None:
    sock.sendall(make_reply(b'{"code": 10004, "message": "busy"}'))


@contextlib.contextmanager
def run_sender(task: Task, **environment: str) -> Any:
    child = subprocess.Popen(
        [sys.executable, "-c", SENDER, str(task.pk)],
        cwd=ROOT,
        env=make_environment(
            DJANGO_SETTINGS_MODULE="config.settings",
            PLATFORM_ALLOW_HOSTS="127.0.0.1",
            **environment,
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


@pytest.mark.parametrize(("stopped", "arrived"), [(3.0, 0), (0.0, 1)])
def test_a_process_that_was_stopped_past_its_lease_sends_nothing_when_it_goes_on(
    make_campaign: Any, stopped: float, arrived: int
) -> None:
    lease = "2" if stopped else "60"
    with FaultyServer(refuse) as server:
        task = make_loading(make_campaign, server)
        with run_sender(task, LEASE_SECONDS=lease, HTTP_TIMEOUT_SECONDS="30") as child:
            assert child.stdout.readline() == "connected\n"
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(stopped)
            os.kill(child.pid, signal.SIGCONT)
            child.stdin.write("\n")
            child.stdin.flush()
            status = child.stdout.readline().strip()
        assert server.connections == 1
        assert server.receipts == arrived
        assert status == ("refused" if arrived else "not_sent")
    assert set(Contact.objects.values_list("status", flat=True)) == {"ready"}


class TestEitherClock:
    """Each of the two clocks alone lets something through: both are asked."""

    def claim(self, make_campaign: Any, server: FaultyServer) -> Attempt:
        task = make_loading(make_campaign, server)
        attempt = dispatch.claim_batch(task.pk)
        assert attempt is not None
        return attempt

    def test_a_machine_that_slept_whose_own_clock_stood_still(self, make_campaign: Any) -> None:
        with FaultyServer(refuse) as server:
            attempt = self.claim(make_campaign, server)
            with connection.cursor() as cursor:
                sql = "UPDATE campaigns_attempt SET lease_until = clock_timestamp() WHERE id = %s"
                cursor.execute(sql, [attempt.pk])
            dispatch.send_batch(attempt)
            assert server.receipts == 0
        assert Attempt.objects.get(pk=attempt.pk).status == "not_sent"

    def test_a_database_whose_clock_was_put_back(
        self, make_campaign: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with FaultyServer(refuse) as server:
            attempt = self.claim(make_campaign, server)
            late = timezone.now() + timedelta(hours=1)
            Attempt.objects.filter(pk=attempt.pk).update(lease_until=late)
            began = time.monotonic()
            ticks = iter([began])
            monkeypatch.setattr(
                "campaigns.attempts.time.monotonic", lambda: next(ticks, began + 10_000)
            )
            dispatch.send_batch(attempt)
            assert server.receipts == 0
        assert Attempt.objects.get(pk=attempt.pk).status == "not_sent"

    def test_the_lease_is_counted_by_the_clock_of_the_database(
        self, make_campaign: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with FaultyServer(refuse) as server:
            ahead = timezone.now() + timedelta(days=1)
            monkeypatch.setattr("campaigns.attempts.timezone.now", lambda: ahead)
            attempt = self.claim(make_campaign, server)
        assert Attempt.objects.get(pk=attempt.pk).lease_until < ahead - timedelta(hours=1)
