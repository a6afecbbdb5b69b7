"""In: processes that stand still while they hold something. Out: the others go on all the same.

A real process is stopped by a signal, as one is that is suspended or swapped out. When it goes on,
its transaction is gone: what it was about to write is somebody else's, and nothing is sent again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from callbacks import inbox, processing
from callbacks.models import Receipt
from campaigns import attempts, batching, lifecycle
from campaigns.locks import only_one
from campaigns.models import (
    Account,
    AccountToken,
    Attempt,
    Batch,
    Call,
    Contact,
    StatusChange,
    Task,
)
from tests.callbacks.pushes import make_dialog, make_door, push
from tests.platforms.faulty import FaultyServer, make_reply
from tests.processes import ROOT, make_environment

pytestmark = pytest.mark.django_db(transaction=True)

#: works off the inbox, stops itself in the transaction, and says how it went on
READER = """
import os, signal, django
django.setup()
from callbacks import processing
move = processing.move_all
def stop_here(outcomes):
    processing.move_all = move
    print("inside", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    return move(outcomes)
processing.move_all = stop_here
try:
    processing.process_inbox(seconds=1)
    print("done", flush=True)
except Exception as error:
    print(type(error).__name__, flush=True)
from django.db import close_old_connections
close_old_connections()
processing.process_inbox(seconds=1)
print("goes on", flush=True)
"""

#: sends one batch, and stops itself while it writes down that the platform took it
SENDER = """
import os, signal, sys, django
django.setup()
from django.db import transaction
from campaigns import dispatch
from campaigns.dispatch import batches
attempt = dispatch.claim_batch(int(sys.argv[1]))
accept = batches.accept_batches
def stop_here(taken):
    with transaction.atomic():
        told = accept(taken)
        print("inside", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        return told
batches.accept_batches = stop_here
try:
    dispatch.send_batch(attempt)
    print("done", flush=True)
except Exception as error:
    print(type(error).__name__, flush=True)
"""

#: has a lock of a session alone, and stands still with it
HOLDER = """
import os, signal, sys, django
django.setup()
from campaigns.locks import only_one
from campaigns.models import Task
try:
    with only_one(70_999, 1, idle=1.0) as mine:
        print("inside" if mine else "not mine", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        Task.objects.exists()
    print("done", flush=True)
except Exception as error:
    print(type(error).__name__, flush=True)
"""


@contextlib.contextmanager
def run_stopped(script: str, *arguments: str, **environment: str) -> Any:
    """Run it until it has stopped itself; it goes on with ``go_on``."""
    child = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env=make_environment(
            DJANGO_SETTINGS_MODULE="config.settings",
            PLATFORM_ALLOW_HOSTS="127.0.0.1",
            IDLE_IN_TRANSACTION_SECONDS="1",
            **environment,
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "inside\n"
        wait_for(lambda: is_stopped(child.pid))
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def wait_for(told: Any, *, seconds: float = 90) -> Any:
    ends = time.monotonic() + seconds
    while not (answer := told()):
        assert time.monotonic() < ends, "It did not happen in time."
        time.sleep(0.05)
    return answer


def go_on(child: Any) -> list[str]:
    os.kill(child.pid, signal.SIGCONT)
    return list(child.stdout.read().split("\n"))[:-1]


@pytest.fixture
def _patient() -> Any:
    """Whoever waits for a lock fails instead of waiting for ever."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout TO '20s'")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout TO DEFAULT")


@pytest.mark.usefixtures("_patient")
def test_others_go_on_when_a_worker_stands_still_inside_a_transaction() -> None:
    _account, token = make_door()
    push(token, "receiveDialog", make_dialog())
    inbox.settle()
    with run_stopped(READER, LEASE_SECONDS="1") as child:
        # Another push of the same call waits for the row that the stopped one holds.
        push(token, "receiveDialog", make_dialog(finish_time="1700000099000"))
        inbox.settle()
        wait_for(
            lambda: (
                processing.process_inbox(seconds=1)
                and not Receipt.objects.filter(status="received").exists()
            )
        )
        said = go_on(child)
    assert said[-1] == "goes on"
    assert set(Receipt.objects.values_list("status", flat=True)) == {"processed"}
    moves = StatusChange.objects.filter(subject="receipt", new="processed")
    assert moves.count() == Receipt.objects.count() == 2
    assert Call.objects.count() == 1


@pytest.mark.usefixtures("_patient")
def test_what_a_sender_that_stood_still_could_not_write_down_is_unknown_and_never_sent_again(
    make_campaign: Any,
) -> None:
    body = b'{"code":0,"message":"success","result":{"total":2,"task_data_ids":[11,12]}}'
    with FaultyServer(lambda sock, _request: sock.sendall(make_reply(body))) as server:
        task = make_loading(make_campaign, server)
        with run_stopped(SENDER, str(task.pk), HTTP_TIMEOUT_SECONDS="5") as child:
            assert server.receipts == 1
            # As if its lease had run out; whoever holds the row must let go of it first.
            past = timezone.now() - timedelta(hours=1)
            Attempt.objects.update(lease_until=past)
            assert attempts.reap_attempts() == 1
            said = go_on(child)
        assert server.receipts == 1
    assert said != ["done"]
    assert Attempt.objects.get().status == "unknown"
    assert Batch.objects.get().status == "unknown"
    assert set(Contact.objects.values_list("status", flat=True)) == {"unknown"}


def test_a_lock_of_a_session_that_stands_still_is_had_by_another() -> None:
    with run_stopped(HOLDER) as child:
        with only_one(70_999, 1) as mine:
            assert not mine

        def try_it() -> bool:
            with only_one(70_999, 1) as mine:
                return mine

        wait_for(try_it)
        assert go_on(child)[-1] == "OperationalError"


def test_nobody_else_is_ended_for_a_lock_that_was_put_down() -> None:
    with only_one(70_999, 2, idle=0.3) as mine, only_one(70_999, 3, idle=60):
        assert mine
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_session_timeout")
        assert cursor.fetchone() == ("0",)
        time.sleep(0.5)
        cursor.execute("SELECT 1")


def make_loading(make_campaign: Any, server: FaultyServer) -> Task:
    task: Task = make_campaign(contacts=2)
    Account.objects.filter(pk=task.account_id).update(
        base_url=f"http://127.0.0.1:{server.port}/openapi"
    )
    lifecycle.move(task, "loading", of=["draft"])
    Task.objects.filter(pk=task.pk).update(platform_task_id="1")
    task.refresh_from_db()
    AccountToken.objects.create(
        account=task.account,
        value={"token": "a-token"},
        expires_at=timezone.now() + timedelta(hours=1),
    )
    batching.plan_batches(task)
    return task
