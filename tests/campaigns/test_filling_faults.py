"""In: a platform that dials what it is given and answers badly. Out: nobody handed over twice,
nobody lost, and what is not known is there to be seen.

Real HTTP over loopback; each kind of fault that the sandbox knows strikes each call of the
interface. A relay stands in between only where an answer has to be held or changed on its way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from callbacks import processing
from campaigns import attempts, batching, dispatch, jobs, lifecycle, reconcile
from campaigns.connections import open_client
from campaigns.dispatch import batches, claims, instances
from campaigns.ingest import VERIFY_JOB, apply_events
from campaigns.linking import name_contact
from campaigns.models import Account, Attempt, Call, Contact, Task
from campaigns.platforms.events import CallEnded, Direction, PlatformTaskState, TaskChanged
from campaigns.platforms.sandbox import SandboxServer, serve
from campaigns.platforms.sandbox_faults import REQUEST_KINDS
from campaigns.queue import LAST, enqueue_all
from campaigns.reconcile.filled import NOT_FOUND
from tests.campaigns.filling import (
    Relay,
    check_nobody_is_lost,
    claim,
    count_handovers,
    count_requests,
    count_states,
    drive,
    keys_of,
    launch,
    list_calls,
    send_all,
    status_of,
    strike,
)
from tests.platforms.sandbox_client import Client, wait_until
from tests.workers import run_jobs, work_until

pytestmark = pytest.mark.django_db

#: kinds after which the answer is a good one all the same
HARMLESS = {
    *("drip", "page_repeat", "act_half", "act_twice"),
    *("total_short", "ids_short", "ids_doubled", "ids_overlap"),
}
#: what each kind needs so that the test does not wait for it
OPTIONS: dict[str, dict[str, Any]] = {
    "drip": {"seconds": 0.001},
    "late": {"seconds": 0.5},
    "gzip_bomb": {"bytes": 12_000_000},
    "huge": {"bytes": 12_000_000},
}
KINDS = sorted(REQUEST_KINDS)


def is_done(kind: str) -> bool:
    """Whether the platform does what it is asked, whatever it answers."""
    return "not done" not in REQUEST_KINDS[kind] and "never done" not in REQUEST_KINDS[kind]


@pytest.fixture(scope="module")
def one_sandbox() -> Iterator[SandboxServer]:
    with serve(speed=60, seed=7) as server:
        yield server


@pytest.fixture
def sandbox(one_sandbox: SandboxServer) -> SandboxServer:
    """One for all the tests here, as if it were new each time."""
    Client(one_sandbox).control("reset", {})
    return one_sandbox


@pytest.fixture(autouse=True)
def _impatient(airudder: Account, settings: Any) -> None:
    settings.HTTP_TIMEOUT_SECONDS = 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_an_insert_is_sent_once_whatever_comes_back(
    make_filled: Any, platform: Client, limit: Callable[[int, int], None], kind: str
) -> None:
    limit(2, 4)
    task = make_filled(contacts=4)
    launch(task)
    struck = claim(task)
    strike(platform, "uploaddetails", kind, **OPTIONS.get(kind, {}))
    dispatch.send_batch(struck)
    struck.refresh_from_db()
    # no_result: the documented answer of this call holds nothing
    good = kind in HARMLESS or kind == "no_result"
    assert struck.status == ("accepted" if good else "unknown")
    if not good:
        assert Task.objects.get(pk=task.pk).needs_attention
        assert dispatch.claim_batch(task.pk) is None  # nothing leaves while it is asked about
    if kind == "late":
        wait_until(lambda: count_handovers(platform))
    drive(task)
    struck.refresh_from_db()
    if good:
        assert struck.status == "accepted"
    else:
        assert struck.status == ("confirmed_accepted" if is_done(kind) else "needs_human")
    assert count_requests(platform, "uploaddetails") == 2
    assert count_requests(platform, "createinstance") == 1
    assert status_of(task) == "running"
    if good or is_done(kind):
        assert count_states(task) == {"accepted": 4}
        assert not task.needs_attention
    else:
        assert count_states(task) == {"unknown": 2, "accepted": 2}
        assert task.needs_attention and task.reason == NOT_FOUND
    if kind not in ("act_half", "act_twice"):  # where the platform itself does something else
        check_nobody_is_lost(task, platform, contacts=4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_instance_that_may_have_been_made_holds_nobody(
    make_filled: Any, platform: Client, kind: str
) -> None:
    task = make_filled(contacts=2)
    strike(platform, "createinstance", kind, **OPTIONS.get(kind, {}))
    dispatch.launch_task(task, by=None)
    drive(task)
    first = task.attempts.filter(command="create").earliest("id")
    if kind in ("code", "code_after"):  # a refusal of an empty workflow is believed
        assert (status_of(task), first.status) == ("paused", "refused")
        assert task.needs_attention and task.reason
        assert count_requests(platform, "createinstance") == 1
        dispatch.resume_task(task, by=None)
        assert dispatch.carry_out_request(task.pk) == dispatch.Next("launch")
        drive(task)
    elif kind == "throttle":
        assert (first.status, first.code) == ("refused", "429")
    else:
        assert first.status == ("accepted" if kind in HARMLESS else "confirmed_absent")
    assert status_of(task) == "running"
    assert count_requests(platform, "createinstance") == (1 if kind in HARMLESS else 2)
    assert count_requests(platform, "uploaddetails") == 1
    filled = [told for told in platform.look("tasks?platform=airudder") if told["rows"]["total"]]
    assert [told["task_id"] for told in filled] == [task.instances.get().platform_task_id]
    check_nobody_is_lost(task, platform, contacts=2)


@pytest.mark.parametrize(
    ("kind", "arrived"),
    [(kind, False) for kind in KINDS if kind not in HARMLESS]
    + [(kind, True) for kind in ("close_after", "code", "stall_before", "throttle", "token_dies")],
)
def test_not_to_be_answered_is_no_answer(
    make_filled: Any, platform: Client, settings: Any, kind: str, arrived: bool
) -> None:
    if kind in ("stall_before", "stall_after"):
        settings.HTTP_TIMEOUT_SECONDS = 0.1
    task = make_filled(contacts=1)
    launch(task)
    attempt = claim(task)
    strike(platform, "uploaddetails", "close_after" if arrived else "close_before")
    dispatch.send_batch(attempt)
    strike(platform, "detailinstances", kind, **{"count": 4} | OPTIONS.get(kind, {}))
    for _ in range(4):
        reconcile.settle_task(task.pk)
        time.sleep(0.004)
    attempt.refresh_from_db()
    if kind == "token_dies":  # it is fetched anew, and the question put again
        drive(task)
        attempt.refresh_from_db()
        assert attempt.status == ("confirmed_accepted" if arrived else "needs_human")
        return
    assert (attempt.status, attempt.evidence) == ("unknown", [])
    assert count_states(task) == {"unknown": 1}
    assert Task.objects.get(pk=task.pk).needs_attention
    platform.send("DELETE", "/_sandbox/faults")
    drive(task)
    attempt.refresh_from_db()
    assert attempt.status == ("confirmed_accepted" if arrived else "needs_human")
    assert count_requests(platform, "uploaddetails") == 1
    check_nobody_is_lost(task, platform, contacts=1)


def test_what_the_platform_took_and_did_not_call_is_seen_in_the_end(
    make_filled: Any, platform: Client
) -> None:
    task = make_filled(contacts=4)
    strike(platform, "uploaddetails", "act_half")
    dispatch.launch_task(task, by=None)
    drive(task)
    assert count_states(task) == {"accepted": 4}
    told = TaskChanged(
        platform_task_id=task.instances.get().platform_task_id,
        state=PlatformTaskState.FINISHED,
        platform_state="Finished",
    )
    apply_events(task.account, [told])
    wait_until(lambda: platform.look("ledger")["busy"]["calls"] == 0)
    reconcile.poll_task(task.pk)
    assert count_states(task) == {"finished": 2, "accepted": 2}
    assert status_of(task) == "running"
    assert task.needs_attention and task.reason == reconcile.SILENT


def lose(platform: Client, task: Task, *, arrived: bool = True) -> Attempt:
    """An insert whose answer was lost."""
    attempt = claim(task)
    strike(platform, "uploaddetails", "close_after" if arrived else "close_before")
    dispatch.send_batch(attempt)
    attempt.refresh_from_db()
    assert attempt.status == "unknown"
    # Ours is the platform's id, from before it was sent: its calls and the questions name it.
    assert attempt.batch is not None
    contacts = attempt.batch.contacts
    names = contacts.order_by("id").values_list("platform_contact_id", flat=True)
    assert list(names) == keys_of(contacts)
    return attempt


def call_back(task: Task, contacts: Any) -> None:
    """The platform's records of these contacts, as it tells them when it is asked."""
    keys = set(keys_of(contacts))
    for one in task.instances.exclude(platform_task_id=""):
        client = open_client(task.account, task=task)
        events = wait_until(lambda: client.fetch_calls(one.platform_task_id))  # noqa: B023
        told = [event for event in events if event.platform_contact_id in keys]
        apply_events(task.account, told)


class TestCallsThatComeBackFirst:
    def test_they_settle_their_batch_and_the_task_goes_on(
        self, make_filled: Any, platform: Client, limit: Callable[[int, int], None]
    ) -> None:
        limit(2, 100)
        task = make_filled(contacts=4)
        launch(task)
        attempt = lose(platform, task)
        wait_until(lambda: platform.look("ledger")["calls_by_result"])
        platform.control("clock", {"advance_seconds": 600})
        call_back(task, task.contacts.filter(batch=attempt.batch))
        assert count_states(task) == {"finished": 2, "planned": 2}
        assert dispatch.advance_task(task.pk) == dispatch.Next("nothing")
        assert status_of(task) == "loading"
        assert reconcile.list_unsettled_tasks() == [task.pk]
        assert reconcile.settle_task(task.pk)
        attempt.refresh_from_db()
        assert attempt.status == "confirmed_accepted"
        drive(task)
        assert status_of(task) == "running" and not task.needs_attention
        assert count_states(task) == {"finished": 2, "accepted": 2}
        check_nobody_is_lost(task, platform, contacts=4)

    def test_they_prove_what_was_left_to_a_person(self, make_filled: Any, platform: Client) -> None:
        task = make_filled(contacts=2)
        launch(task)
        attempt = lose(platform, task, arrived=False)
        drive(task)
        attempt.refresh_from_db()
        assert (attempt.status, status_of(task)) == ("needs_human", "running")
        # The request had been slow, and arrives when nobody counts on it any more.
        insert_again(platform, task, attempt)
        platform.control("clock", {"advance_seconds": 600})
        call_back(task, task.contacts.all())
        assert reconcile.list_unsettled_tasks() == [task.pk]
        reconcile.settle_task(task.pk)
        attempt.refresh_from_db()
        assert attempt.status == "confirmed_accepted"
        reconcile.poll_task(task.pk)
        assert status_of(task) == "finished" and not task.needs_attention
        assert count_states(task) == {"finished": 2}

    def test_whoever_was_called_is_not_free_again_whatever_became_of_the_request(
        self, make_filled: Any, platform: Client
    ) -> None:
        """The request never left, but somebody carried the list there by hand."""
        task = make_filled(contacts=2)
        launch(task)
        attempt = claim(task)
        insert_again(platform, task, attempt)
        platform.control("clock", {"advance_seconds": 600})
        call_back(task, task.contacts.filter(pk=task.contacts.earliest("id").pk))
        Account.objects.filter(pk=task.account_id).update(is_active=False)
        dispatch.send_batch(attempt)
        attempt.refresh_from_db()
        assert (attempt.status, attempt.reason) == ("unknown", batches.CALLED_ALL_THE_SAME)
        assert "ready" not in count_states(task)
        Account.objects.filter(pk=task.account_id).update(is_active=True)
        drive(task)
        assert count_requests(platform, "uploaddetails") == 1
        assert status_of(task) == "running" and not task.needs_attention
        check_nobody_is_lost(task, platform, contacts=2)

    def test_the_alarm_about_another_batch_stays(
        self, make_filled: Any, platform: Client, limit: Callable[[int, int], None]
    ) -> None:
        limit(1, 100)
        task = make_filled(contacts=2)
        launch(task)
        one, other = claim(task), claim(task)
        for attempt in (one, other):
            strike(platform, "uploaddetails", "close_before")
            dispatch.send_batch(attempt)
        drive(task)
        insert_again(platform, task, other)
        reconcile.settle_task(task.pk)
        for attempt in (one, other):
            attempt.refresh_from_db()
        assert (one.status, other.status) == ("needs_human", "confirmed_accepted")
        assert status_of(task) == "running" and task.needs_attention
        assert count_states(task) == {"unknown": 1, "accepted": 1}


def insert_again(platform: Client, task: Task, attempt: Attempt) -> None:
    """What the lost request would have done, had it come late."""
    assert attempt.batch is not None and attempt.batch.instance is not None
    rows = [
        [contact.phone, contact.values["callee_name"]] for contact in attempt.batch.contacts.all()
    ]
    open_client(task.account).insert_contacts(
        attempt.batch.instance.platform_task_id,
        columns=task.robot.columns,
        rows=rows,
        keys=keys_of(attempt.batch.contacts),
    )


class TestSettling:
    def test_it_is_asked_for_although_the_task_was_polled_a_moment_ago(
        self, make_filled: Any, platform: Client
    ) -> None:
        task = make_filled(contacts=1)
        launch(task)
        lose(platform, task)
        Task.objects.filter(pk=task.pk).update(platform_checked_at=timezone.now())
        assert reconcile.list_unsettled_tasks() == [task.pk]

    def test_what_is_left_to_a_person_is_still_asked_about_now_and_then(
        self, make_filled: Any, platform: Client
    ) -> None:
        task = make_filled(contacts=1)
        launch(task)
        attempt = lose(platform, task, arrived=False)
        drive(task)
        assert reconcile.list_unsettled_tasks() == []
        long_ago = timezone.now() - timedelta(minutes=6)
        Attempt.objects.filter(pk=attempt.pk).update(asked_at=long_ago)
        assert reconcile.list_unsettled_tasks() == [task.pk]
        insert_again(platform, task, attempt)
        reconcile.settle_task(task.pk)
        assert count_states(task) == {"accepted": 1}
        assert not Task.objects.get(pk=task.pk).needs_attention

    def test_an_account_that_may_not_fill_any_more_is_still_asked(
        self, make_filled: Any, platform: Client, airudder: Account
    ) -> None:
        task = make_filled(contacts=1)
        launch(task)
        attempt = lose(platform, task)
        airudder.settings = {"allow_unverified": "off"}
        airudder.save()
        reconcile.settle_task(task.pk)
        attempt.refresh_from_db()
        assert attempt.status == "confirmed_accepted"

    @pytest.mark.django_db(transaction=True)
    def test_of_two_that_ask_at_once_one_asks(
        self, make_filled: Any, platform: Client, settings: Any
    ) -> None:
        settings.HTTP_TIMEOUT_SECONDS = 5
        task = make_filled(contacts=3)
        launch(task)
        attempt = lose(platform, task, arrived=False)
        earlier = timezone.now() - timedelta(seconds=20)
        Attempt.objects.filter(pk=attempt.pk).update(ended_at=earlier)
        strike(platform, "detailinstances", "late", seconds=0.2, count=3)
        before = count_requests(platform, "detailinstances")
        first = run_aside(lambda: reconcile.settle_task(task.pk))
        wait_until(lambda: count_requests(platform, "detailinstances") > before)
        assert reconcile.list_unsettled_tasks() == []
        assert not reconcile.settle_task(task.pk)
        first.join(10)
        assert count_requests(platform, "detailinstances") == before + 3
        assert reconcile.list_unsettled_tasks() == []


def run_aside(act: Callable[[], Any], errors: list[Exception] | None = None) -> threading.Thread:
    """Another process, as far as the database is concerned."""

    def run() -> None:
        try:
            act()
        except Exception as error:
            if errors is None:
                raise
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def stop_sender(attempt: Attempt) -> None:
    """Its sender sleeps for so long that it is taken for dead."""
    gone = timezone.now() - timedelta(hours=1)
    Attempt.objects.filter(pk=attempt.pk).update(lease_until=gone)
    assert attempts.reap_attempts() == 1


@pytest.fixture
def relay(sandbox: SandboxServer, airudder: Account) -> Iterator[Relay]:
    with Relay(sandbox.address) as relay:
        airudder.base_url = relay.url
        airudder.save()
        yield relay


def test_a_batch_that_arrived_in_part_is_told_apart_contact_by_contact(
    make_filled: Any, platform: Client, relay: Relay
) -> None:
    task = make_filled(contacts=4)
    launch(task)
    attempt = claim(task)
    strike(platform, "uploaddetails", "act_half")
    relay.change = lambda name, status, body: (
        (500, b"") if name == "uploaddetails" else (status, body)
    )
    dispatch.send_batch(attempt)
    drive(task)
    attempt.refresh_from_db()
    assert (attempt.status, status_of(task)) == ("needs_human", "running")
    assert count_states(task) == {"accepted": 2, "unknown": 2}
    assert task.needs_attention and task.reason == NOT_FOUND
    check_nobody_is_lost(task, platform, contacts=4)


class TestLateSender:
    def test_one_that_was_stopped_before_it_sent_sends_nothing(
        self, make_filled: Any, platform: Client
    ) -> None:
        task = make_filled(contacts=2)
        launch(task)
        attempt = claim(task)
        stop_sender(attempt)
        dispatch.send_batch(attempt)
        attempt.refresh_from_db()
        assert attempt.status == "confirmed_absent"
        assert count_states(task) == {"ready": 2}
        drive(task)
        assert count_states(task) == {"accepted": 2}
        check_nobody_is_lost(task, platform, contacts=2)

    def test_what_comes_back_unsent_after_the_end_of_the_task_is_withdrawn(
        self, make_filled: Any, platform: Client, limit: Callable[[int, int], None]
    ) -> None:
        limit(2, 100)
        task = make_filled(contacts=6)
        launch(task)
        dispatch.send_batch(claim(task))
        late = claim(task)
        stop_sender(late)
        dispatch.delete_task(Task.objects.get(pk=task.pk), by=None)
        dispatch.carry_out_request(task.pk)
        assert status_of(task) == "running"
        assert count_states(task) == {"accepted": 2, "unknown": 2, "withdrawn": 2}
        dispatch.send_batch(late)
        assert count_states(task) == {"accepted": 2, "withdrawn": 4}
        assert status_of(task) == "running"
        check_nobody_is_lost(task, platform, contacts=6)

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("settled_first", [True, False])
    def test_its_answer_after_the_reaper(
        self,
        make_filled: Any,
        platform: Client,
        relay: Relay,
        settings: Any,
        settled_first: bool,
    ) -> None:
        settings.HTTP_TIMEOUT_SECONDS = 5
        task = make_filled(contacts=2)
        launch(task)
        attempt = claim(task)
        done, go_on = threading.Event(), threading.Event()

        def hold(name: str, status: int, body: bytes) -> tuple[int, bytes]:
            if name == "uploaddetails":
                done.set()
                go_on.wait(5)
            return status, body

        relay.change = hold
        sender = run_aside(lambda: dispatch.send_batch(attempt))
        assert done.wait(5)
        stop_sender(attempt)
        assert count_states(task) == {"unknown": 2}
        if settled_first:
            drive(task)
            assert count_states(task) == {"accepted": 2}
        go_on.set()
        sender.join(5)
        attempt.refresh_from_db()
        assert attempt.status == "confirmed_accepted"
        assert count_states(task) == {"accepted": 2}
        drive(task)
        assert status_of(task) == "running"
        check_nobody_is_lost(task, platform, contacts=2)

    @pytest.mark.django_db(transaction=True)
    def test_it_and_the_one_who_asks_do_not_wait_for_each_other(
        self,
        make_filled: Any,
        platform: Client,
        relay: Relay,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings.HTTP_TIMEOUT_SECONDS = 5
        task = make_filled(contacts=2)
        launch(task)
        attempt = claim(task)
        closed, asked = threading.Event(), threading.Event()
        close_attempt, move_contacts = attempts.close_attempt, lifecycle.move_contacts

        def stop(name: str, status: int, body: bytes) -> tuple[int, bytes]:
            if name == "uploaddetails":
                stop_sender(attempt)
                connections.close_all()
            return status, body

        def close(*args: Any) -> bool:
            done = close_attempt(*args)
            closed.set()
            asked.wait(0.5)  # the other one may get as far as it can
            return done

        def move(*args: Any, **values: Any) -> int:
            if threading.current_thread() is not sender:
                asked.set()
            return move_contacts(*args, **values)

        relay.change = stop
        monkeypatch.setattr(attempts, "close_attempt", close)
        monkeypatch.setattr(lifecycle, "move_contacts", move)
        errors: list[Exception] = []
        sender = run_aside(lambda: dispatch.send_batch(attempt), errors)
        assert closed.wait(5)
        reconcile.settle_task(task.pk)
        sender.join(10)
        assert errors == []
        assert count_states(task) == {"accepted": 2}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [200, 429, 500])
def test_a_call_that_overtakes_the_answer_is_proof(
    *, make_filled: Any, platform: Client, relay: Relay, hear: Any, settings: Any, status: int
) -> None:
    """The insert is answered only when the calls of the first contacts are already in our rows."""
    settings.HTTP_TIMEOUT_SECONDS = 20
    hear()
    platform.control("apps/sandbox-key", {"platform": "airudder", "lines": 1}, method="PUT")
    task = make_filled(contacts=3)
    launch(task)
    attempt = claim(task)

    def overtake(name: str, told: int, body: bytes) -> tuple[int, bytes]:
        if name != "uploaddetails":
            return told, body
        try:
            called = Contact.objects.filter(calls_made__gt=0)
            wait_until(lambda: processing.process_inbox() and called.exists())
        finally:
            connections.close_all()
        return (told, body) if status == 200 else (status, b"Too many requests")

    relay.change = overtake
    dispatch.send_batch(attempt)
    assert Contact.objects.filter(task=task, calls__isnull=False).exists()
    drive(task)
    wait_until(lambda: platform.look("ledger")["busy"] == {"calls": 0, "pushes": 0})
    processing.process_inbox()
    assert count_states(task) == {"finished": 3}
    assert count_requests(platform, "uploaddetails") == 1
    attempt.refresh_from_db()
    assert attempt.status == ("accepted" if status == 200 else "confirmed_accepted")
    reconcile.poll_task(task.pk)
    assert status_of(task) == "finished"
    check_nobody_is_lost(task, platform, contacts=3)


class TestOrdersAtTheWrongMoment:
    @pytest.mark.django_db(transaction=True)
    def test_a_claim_that_began_before_the_task_was_stopped(
        self, make_filled: Any, platform: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = make_filled(contacts=2)
        launch(task)
        read, go_on = threading.Event(), threading.Event()
        is_open = claims.is_open

        def wait(row: Task) -> bool:
            read.set()
            go_on.wait(5)
            return is_open(row)

        monkeypatch.setattr(claims, "is_open", wait)
        claimed: list[Attempt | None] = []
        errors: list[Exception] = []
        claimer = run_aside(lambda: claimed.append(dispatch.claim_batch(task.pk)), errors)
        assert read.wait(5)
        stopper = run_aside(
            lambda: dispatch.delete_task(Task.objects.get(pk=task.pk), by=None), errors
        )
        time.sleep(0.1)  # it may be let through, or wait for the claim
        go_on.set()
        for thread in (claimer, stopper):
            thread.join(10)
        following = dispatch.carry_out_request(task.pk)
        for attempt in filter(None, claimed):
            # What was claimed comes back unsent: whoever stops waits for it.
            assert following == dispatch.Next("advance", 1)
            dispatch.send_batch(attempt)
            following = dispatch.carry_out_request(task.pk)
        assert (errors, following) == ([], dispatch.Next("nothing"))
        assert count_requests(platform, "uploaddetails") == 0
        assert (status_of(task), count_states(task)) == ("deleted", {"withdrawn": 2})

    @pytest.mark.django_db(transaction=True)
    def test_a_claim_and_a_stop_do_not_wait_for_each_other(
        self, make_filled: Any, platform: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = make_filled(contacts=2)
        launch(task)
        held, stopping = threading.Event(), threading.Event()
        open_attempt, withdraw_unsent = attempts.open_attempt, lifecycle.withdraw_unsent

        def wait(*args: Any, **values: Any) -> Attempt:
            held.set()
            stopping.wait(0.5)
            return open_attempt(*args, **values)

        def withdraw(*args: Any) -> int:
            stopping.set()
            return withdraw_unsent(*args)

        monkeypatch.setattr(attempts, "open_attempt", wait)
        monkeypatch.setattr(lifecycle, "withdraw_unsent", withdraw)
        claimed: list[Attempt | None] = []
        errors: list[Exception] = []
        claimer = run_aside(lambda: claimed.append(dispatch.claim_batch(task.pk)), errors)
        assert held.wait(5)
        stopper = run_aside(
            lambda: instances.stop_filling(Task.objects.get(pk=task.pk), "Stopped."), errors
        )
        for thread in (claimer, stopper):
            thread.join(10)
        assert errors == []
        for attempt in filter(None, claimed):
            dispatch.send_batch(attempt)
        instances.stop_filling(Task.objects.get(pk=task.pk), "Stopped.")
        drive(task)
        check_nobody_is_lost(task, platform, contacts=2)
        assert not task.contacts.filter(status__in=["ready", "planned", "sending"]).exists()

    def test_a_pause_between_the_last_answer_and_the_end_of_filling(
        self, make_filled: Any, platform: Client
    ) -> None:
        task = make_filled(contacts=1)
        launch(task)
        send_all(task)
        before = Task.objects.get(pk=task.pk)  # a step that read the task before the click
        dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
        instances.finish_filling(before)
        assert (status_of(task), task.request) == ("loading", "pause")
        dispatch.carry_out_request(task.pk)
        assert (status_of(task), task.request) == ("paused", "")
        dispatch.resume_task(task, by=None)
        dispatch.carry_out_request(task.pk)
        drive(task)
        assert (status_of(task), task.request) == ("running", "")
        check_nobody_is_lost(task, platform, contacts=1)


def test_what_may_never_be_sent_stops_the_task_and_is_not_tried_again(
    make_filled: Any, platform: Client
) -> None:
    task = make_filled(contacts=1, windows=[["00:00:00", "00:00:00"]])
    dispatch.launch_task(task, by=None)
    drive(task)
    assert (status_of(task), task.reason) == ("paused", attempts.UNSENDABLE)
    assert task.needs_attention
    assert list(task.attempts.values_list("status", flat=True)) == ["not_sent"]
    assert count_requests(platform, "createinstance") == 0


@pytest.mark.django_db(transaction=True)
def test_an_unsettled_batch_keeps_no_worker_busy(
    make_filled: Any, platform: Client, limit: Callable[[int, int], None]
) -> None:
    """Contacts of it that are finished by their calls do not set its jobs going in a ring."""
    limit(2, 100)
    task = make_filled(contacts=4)
    launch(task)
    attempt = lose(platform, task)
    platform.control("clock", {"advance_seconds": 600})
    call_back(task, task.contacts.filter(batch=attempt.batch))
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")
    jobs.enqueue_advance(task.pk)
    run_jobs()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE (task_name LIKE '%advance%'"
            " OR task_name LIKE '%send_batches') AND id < coalesce((SELECT min(id)"
            " FROM procrastinate_jobs WHERE task_name LIKE '%settle_task'), 9999999999)"
        )
        # the one that was enqueued, and one of the safety net; once it is settled, there is work
        assert cursor.fetchone()[0] <= 3


@pytest.mark.django_db(transaction=True)
def test_a_pause_goes_before_a_thousand_questions(make_filled: Any) -> None:
    task = make_filled(contacts=1)
    launch(task)
    questions = [{"verification_id": number} for number in range(1, 1001)]
    enqueue_all(VERIFY_JOB, questions, priority=LAST)
    dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT task_name FROM procrastinate_jobs WHERE status = 'todo'"
            " ORDER BY priority DESC, id LIMIT 2"
        )
        told = [row[0] for row in cursor.fetchall()]
    assert "campaigns.jobs.carry_out_request" in told


def test_an_instance_that_may_be_empty_holds_up_nobody(
    make_filled: Any, platform: Client, limit: Callable[[int, int], None]
) -> None:
    """The platform never says that it has finished what nobody is in: the calls of the others are
    asked for all the same."""
    limit(2, 2)
    task = make_filled(contacts=4)
    strike(platform, "uploaddetails", "close_before", after=1)
    dispatch.launch_task(task, by=None)
    drive(task)
    assert count_states(task) == {"accepted": 2, "unknown": 2}
    platform.control("clock", {"advance_seconds": 600})
    full = task.batches.get(status="accepted").instance
    finished = TaskChanged(
        platform_task_id=full.platform_task_id,
        state=PlatformTaskState.FINISHED,
        platform_state="Finished",
    )
    apply_events(task.account, [finished])
    Task.objects.filter(pk=task.pk).update(results_asked_at=None)
    assert reconcile.poll_task(task.pk)
    assert count_states(task) == {"finished": 2, "unknown": 2}
    task.refresh_from_db()
    assert (task.status, task.needs_attention, task.reason) == ("running", True, NOT_FOUND)


#: all but those in which the platform does something else than it is asked
RANDOM_KINDS = [kind for kind in KINDS if kind not in ("act_half", "act_twice")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_request_in_ten_goes_wrong(
    *,
    make_filled: Any,
    airudder: Account,
    door_address: str,
    limit: Callable[[int, int], None],
    settings: Any,
    seed: int,
) -> None:
    settings.HTTP_TIMEOUT_SECONDS = 0.5
    limit(15, 100)
    with serve(speed=400, seed=seed) as sandbox:
        airudder.base_url = sandbox.url
        airudder.save()
        platform = Client(sandbox)
        platform.control("settings", {"call_scale": 0.1})
        wish = {"platform": "airudder", "lines": 1000, "told": 0, "urls": {"*": door_address}}
        platform.control("apps/sandbox-key", wish, method="PUT")
        for kind in RANDOM_KINDS:
            rule = {"count": None, "probability": 0.1 / len(RANDOM_KINDS)} | OPTIONS.get(kind, {})
            strike(platform, "*", kind, **rule)
        for kind, share in (("api-node", 0.7), ("call-completed", 1)):
            rule = {"endpoint": f"push.airudder.{kind}", "kind": "drop", "probability": share}
            platform.control("faults", rule)
        for name in ("createinstance", "uploaddetails"):  # chance may spare a short run
            strike(platform, name, "close_after")
        task = make_filled(contacts=300)
        dispatch.launch_task(task, by=None)

        def is_over() -> bool:
            check_nobody_is_lost(task, platform, contacts=300)
            pass_time(task)
            account = Account.objects.get(pk=task.account_id)
            if account.stopped_at is not None:
                dispatch.lift_stop(account, by=None)  # an operator repaired the cause
            elif status_of(task) == "paused" and not task.request:
                task.account = account
                dispatch.resume_task(task, by=None)  # an operator read the reason
            open_attempts = task.attempts.filter(status__in=["sending", "unknown"])
            states = set(count_states(task))
            return states <= {"finished", "unknown"} and not open_attempts.exists()

        work_until(is_over, seconds=500)
        there = count_handovers(platform)
        assert set(there.values()) == {1}
        called = {call["call"] for call in list_calls(platform)}
        assert set(Call.objects.values_list("platform_call_id", flat=True)) == called
        states = dict(task.contacts.values_list("pk", "status"))
        assert {name_contact(pk) for pk, state in states.items() if state == "finished"} == {*there}
        doubtful = task.attempts.filter(status="needs_human")
        left = [pk for pk, state in states.items() if state == "unknown"]
        theirs = task.contacts.filter(batch__attempts__in=doubtful).values_list("pk", flat=True)
        assert set(left) <= set(theirs)
        assert Task.objects.get(pk=task.pk).needs_attention == bool(left)
        struck = [one for one in platform.look("requests?limit=200000")["items"] if one["fault"]]
        assert len(struck) >= 2


def pass_time(task: Task) -> None:
    """Whatever waits for a moment may go on."""
    Task.objects.filter(pk=task.pk).update(
        not_before=None, platform_checked_at=None, results_asked_at=None
    )
    Attempt.objects.filter(task=task).update(asked_at=None)


def test_a_direct_call_that_is_proved_by_its_call_does_not_fail(
    account: Account, make_campaign: Any, platform: Client
) -> None:
    """Of another platform, settled by the same rules: its calls came before it was asked about."""
    campaign = make_campaign(contacts=0)
    platform.control("faults", {"endpoint": "task/callout", "kind": "close_after", "count": 1})
    task = dispatch.call_directly(
        account=account,
        robot=campaign.robot,
        line=campaign.lines.get(),
        columns=campaign.robot.columns,
        rows=[["19900000001", "张三"]],
        by=None,
    )
    batching.plan_batches(task)
    attempt = claim(task)
    dispatch.send_batch(attempt)
    assert count_states(task) == {"unknown": 1}
    event = CallEnded(
        source="record",
        rank=20,
        platform_call_id="d-1",
        platform_robot_id=campaign.robot.platform_id,
        direction=Direction.OUTBOUND,
        callee="19900000001",
        answered=True,
        dialed_at=timezone.now(),
    )
    apply_events(account, [event])
    assert count_states(task) == {"finished": 1}
    dispatch.advance_task(task.pk)
    assert status_of(task) == "loading"
    assert reconcile.settle_task(task.pk)
    dispatch.advance_task(task.pk)
    attempt.refresh_from_db()
    assert (attempt.status, status_of(task)) == ("confirmed_accepted", "running")
