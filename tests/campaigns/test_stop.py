"""In: senders at work, and a click that stops them. Out: after its commit no first byte (R12).

``PAUSES=1000 pytest tests/campaigns/test_stop.py`` for the long version. The moment of a first byte
is taken by the sender itself, right before it writes: what arrives later at a server may have left
earlier.
"""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from campaigns import attempts, dispatch, lifecycle
from campaigns.dispatch.requests import NOT_CONFIRMED
from campaigns.locks import share, wait_for_sharers
from campaigns.models import AccountToken, Attempt, Batch, Contact, Task
from tests.at_once import run_at_once
from tests.platforms.sandbox_client import Client
from tests.workers import run_jobs, work_until

pytestmark = pytest.mark.django_db(transaction=True)

PAUSES = int(os.environ.get("PAUSES", "20"))
SENDERS = 3
#: batches that may leave before a click
EACH = 8


def make_batches(make_campaign: Any, number: int) -> Task:
    """A task at the platform with so many planned batches of one contact."""
    task: Task = make_campaign(contacts=number)
    lifecycle.move(task, "loading", of=["draft"])
    dispatch.advance_task(task.pk)
    task.refresh_from_db()
    assert task.platform_task_id
    for place, contact in enumerate(task.contacts.order_by("id"), start=1):
        batch = Batch.objects.create(task=task, number=place, size=1)
        lifecycle.move_contacts(
            Contact.objects.filter(pk=contact.pk), "planned", of=["ready"], batch=batch
        )
    return task


@pytest.mark.timeout(600 + 3 * PAUSES)
def test_after_the_commit_of_the_click_no_first_byte_leaves(
    make_campaign: Any, platform: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_batches(make_campaign, PAUSES * EACH)
    chance = random.Random(12)
    written: list[float] = []
    send = http.client.HTTPConnection.send

    def tell(self: Any, data: Any) -> None:
        if b"task/insert" in data[:200]:
            written.append(time.monotonic())
        send(self, data)

    monkeypatch.setattr(http.client.HTTPConnection, "send", tell)

    def work() -> None:
        while (attempt := dispatch.claim_batch(task.pk)) is not None:
            dispatch.send_batch(attempt)

    late = []
    for _ in range(PAUSES):
        before = len(written)

        def click() -> float:
            ends = time.monotonic() + 60
            while len(written) < before + 1 and time.monotonic() < ends:  # noqa: B023
                time.sleep(0.001)
            time.sleep(chance.random() * 0.03)
            dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
            return time.monotonic()

        *_, clicked = run_at_once([work] * SENDERS + [click])
        late += [moment - clicked for moment in written if moment > clicked]
        assert not Attempt.objects.filter(status="sending").exists()
        Task.objects.filter(pk=task.pk).update(request="", requested_at=None, not_before=None)
        if not task.batches.filter(status="planned").exists():
            break
    assert len(written) >= min(PAUSES, 10)
    assert late == []
    assert platform.look("ledger")["requests"]["task/insert"] == len(written)


def test_a_click_does_not_wait_for_ever_for_a_sender_that_stands_still(
    make_campaign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch.orders, "LONGEST_WAIT", 0.2)
    task = make_batches(make_campaign, 1)
    stands, go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        let_go = share(attempts.LEAVING, task.pk)
        stands.set()
        go_on.wait(20)
        let_go()

    def click() -> str:
        stands.wait(20)
        try:
            return dispatch.pause_task(Task.objects.get(pk=task.pk), by=None).request
        finally:
            go_on.set()

    assert run_at_once([stand_still, click])[1] == "pause"
    with transaction.atomic():
        assert wait_for_sharers(attempts.LEAVING, task.pk, seconds=1)  # nobody holds it any more


def test_a_look_that_ends_in_no_lets_go_at_once(make_campaign: Any) -> None:
    task = make_batches(make_campaign, 1)
    attempt = dispatch.claim_batch(task.pk)
    assert attempt is not None
    dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
    dispatch.send_batch(attempt)  # told no by its fence
    assert Attempt.objects.get(pk=attempt.pk).status == "not_sent"

    def take() -> bool:
        with transaction.atomic():
            return wait_for_sharers(attempts.LEAVING, task.pk, seconds=0.2)

    assert run_at_once([take]) == [True]


def test_a_second_look_that_ends_in_no_lets_go_too(make_campaign: Any, platform: Client) -> None:
    """A token is fetched under the same fence, before the request: the click comes in between."""
    task = make_batches(make_campaign, 1)
    AccountToken.objects.all().delete()
    attempt = dispatch.claim_batch(task.pk)
    assert attempt is not None
    looks: list[int] = []
    look = attempts._look

    def look_and_be_overtaken(*args: Any) -> Any:
        found = look(*args)
        looks.append(1)
        if len(looks) == 1:
            Task.objects.filter(pk=task.pk).update(request="pause")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "_look", look_and_be_overtaken)
        dispatch.send_batch(attempt)
    assert looks == [1, 1]
    assert Attempt.objects.get(pk=attempt.pk).status == "not_sent"

    def take() -> bool:
        with transaction.atomic():
            return wait_for_sharers(attempts.LEAVING, task.pk, seconds=0.2)

    assert run_at_once([take]) == [True]


def test_a_pause_that_is_not_confirmed_is_repeated_and_after_a_minute_an_alarm(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=5)
    platform.control("clock", {"speed": 0.01})
    dispatch.launch_task(task, by=None)
    work_until(lambda: Task.objects.get(pk=task.pk).status == "running")
    platform.control("faults", {"endpoint": "task/pause", "kind": "close_before", "count": 1000})
    dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
    for seconds, alarm in ((0, False), (59, False), (61, True)):
        asked = timezone.now() - timedelta(seconds=seconds)
        Task.objects.filter(pk=task.pk).update(requested_at=asked)
        before = platform.look("ledger")["requests"].get("task/pause", 0)
        following = dispatch.carry_out_request(task.pk)
        told = Task.objects.get(pk=task.pk)
        assert following.what == "advance" and told.request == "pause"
        assert platform.look("ledger")["requests"]["task/pause"] == before + 1
        assert (told.needs_attention and told.reason == NOT_CONFIRMED) is alarm
    platform.control("faults", {}, method="DELETE")
    dispatch.carry_out_request(task.pk)
    told = Task.objects.get(pk=task.pk)
    assert (told.status, told.request, told.needs_attention) == ("paused", "", False)


def test_fifty_clicks_on_resume_start_the_task_once(make_campaign: Any, platform: Client) -> None:
    task = make_campaign(contacts=5)
    platform.control("clock", {"speed": 0.01})
    dispatch.launch_task(task, by=None)
    work_until(lambda: Task.objects.get(pk=task.pk).status == "running")
    dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
    work_until(lambda: Task.objects.get(pk=task.pk).status == "paused")
    started = platform.look("ledger")["requests"]["task/start"]
    user = get_user_model().objects.create_superuser("root")
    first = Browser()
    first.force_login(user)
    address = reverse("admin:campaigns_task_resume", args=[task.pk])

    def click(_: int) -> int:
        mine = Browser()
        mine.cookies = first.cookies
        try:
            return mine.post(address).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(click, range(50))) == {302}
    work_until(lambda: Task.objects.get(pk=task.pk).status == "running")
    run_jobs()
    assert platform.look("ledger")["requests"]["task/start"] == started + 1


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("order", ["pause", "delete"])
def test_an_order_that_follows_a_resume_under_way_is_not_lost_with_it(
    make_campaign: Any, platform: Client, order: str, at_once: bool
) -> None:
    """The platform starts it late: that it is paused until then confirms nothing."""
    platform.control("clock", {"speed": 1})
    task = make_campaign(contacts=1, recall_count=1, recall_wait_seconds=3600)
    dispatch.launch_task(task, by=None)
    work_until(lambda: Task.objects.get(pk=task.pk).status == "running")
    dispatch.pause_task(task, by=None)
    work_until(lambda: Task.objects.get(pk=task.pk).status == "paused")
    platform.control("faults", {"endpoint": "task/start", "kind": "late", "seconds": 1, "count": 1})
    dispatch.resume_task(Task.objects.get(pk=task.pk), by=None)

    def resume() -> None:
        try:
            dispatch.carry_out_request(task.pk)
        finally:
            connections.close_all()

    sender = threading.Thread(target=resume)
    sender.start()
    time.sleep(0.5)  # its first byte is written
    give = {"pause": dispatch.pause_task, "delete": dispatch.delete_task}[order]
    give(Task.objects.get(pk=task.pk), by=None)
    if at_once:
        dispatch.carry_out_request(task.pk)
    sender.join()
    done = {"pause": "paused", "delete": "deleted"}[order]
    dispatch.carry_out_request(task.pk)
    dispatch.carry_out_request(task.pk)
    row = Task.objects.get(pk=task.pk)
    assert (row.status, row.request) == (done, "")
    if order == "pause":
        assert platform.row_of(row.platform_task_id)["status"] == 3
