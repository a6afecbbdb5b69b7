"""In: receipts of every kind. Out: proof that each ends in one counted state and stops no other."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import itertools
import json
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.utils import timezone

from callbacks import inbox, processing
from callbacks.models import Receipt
from campaigns.models import Call, Contact, Recording, StatusChange, Turn
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.registry import PLATFORMS
from tests.callbacks.pushes import TAKEN, make_dialog, make_door, make_record, make_voice, push
from tests.factories import make_contact, make_task
from tests.workers import run_jobs

pytestmark = pytest.mark.django_db


def test_the_four_pushes_of_a_call_become_one_call() -> None:
    account, token = make_door()
    task = make_task(account=account, platform_task_id="88785")
    contact = make_contact(
        task=task, phone="19900000001", platform_contact_id="262381", status="accepted"
    )
    for kind, body in (
        ("receiveVoice", make_voice()),
        ("receiveDialog", make_dialog()),
        ("receiveCallRecord", make_record()),
        ("receiveCallRecord", make_record(outbound=True)),
    ):
        response = push(token, kind, body)
        assert (response.status_code, response.json()) == (200, TAKEN)
    assert processing.process_inbox()

    call = Call.objects.get()
    assert (call.contact, call.task) == (contact, task)
    assert (call.result, call.answered) == ("answered", True)
    assert (call.talk_seconds, call.ring_seconds, call.attempt) == (21, 7, 1)
    assert (call.intention, call.intention_min, call.conflicts) == ("A", "C", {})
    assert [(turn.role, turn.text) for turn in Turn.objects.all()] == [
        ("robot", "您好"),
        ("contact", "你好"),
    ]
    recording = Recording.objects.get()
    assert (recording.status, recording.announced_bytes) == ("remote", 1_043_244)
    contact.refresh_from_db()
    assert (contact.status, contact.answered, contact.calls_made) == ("finished", True, 1)
    assert set(Receipt.objects.values_list("status", "platform_call_id")) == {
        ("processed", "call-1")
    }
    assert StatusChange.objects.filter(subject="receipt", new="processed").count() == 4
    assert Contact.objects.count() == 1


def count_states() -> dict[str, int]:
    states = ("received", "processed", "ignored", "quarantined")
    return {state: Receipt.objects.filter(status=state).count() for state in states}


BAD_BODIES = {
    b"": "empty",
    b"   \n": "empty",
    b"null": "not_object",
    b"[]": "not_object",
    b"{}": "unknown_shape",
    make_record()[:-5]: "not_json",
    make_record() * 2: "not_json",
    b'{"call_uuid":"a" "time_dial":1}': "not_json",
    b"/* */ {}": "not_json",
    b"[" * 100_000: "too_deep",
    b'{"a":' * 100_000: "too_deep",
    b"\x1f\x8bbroken": "not_json",
    make_record(call_uuid=None): "no_call_id",
    make_voice(url="../../etc/passwd"): "bad_address",
}


def test_what_cannot_be_understood_is_quarantined_with_a_reason() -> None:
    _, token = make_door()
    for body in BAD_BODIES:
        assert push(token, "receiveCallRecord", body).status_code == 200
    assert push(token, "receiveVoice", make_voice(url="..\\x")).status_code == 200
    assert push(token, "whatIsThis", b'{"a":1}').status_code == 200
    assert push(token, "semantic", b'{"call_uuid":"1"}').status_code == 200
    processing.process_inbox()
    for row in Receipt.objects.filter(kind="receiveCallRecord"):
        assert (row.status, row.reason) == ("quarantined", BAD_BODIES[bytes(row.body)]), row.body
    assert Receipt.objects.get(kind="receiveVoice").reason == "bad_address"
    assert Receipt.objects.get(kind="whatIsThis").status == "quarantined"
    assert Receipt.objects.get(kind="semantic").status == "ignored"
    assert count_states()["received"] == 0
    assert not Call.objects.exists()


ODD_FIELDS: list[dict[str, Any]] = [
    {"task_tries": 2**70},
    {"duration_call": "1e400"},
    {"time_answer": 253_402_300_799_000},
    {"time_dial": "9" * 5000},
    {"caller": "\x00\ud800"},
    {"task_row_value": ["\x00", {"a": float("inf")}]},
    {"robot_id": 2**63, "task_id": True},
    {"business_id": {"a": ["b"] * 1000}},
    {"direction": "outbound"},
    {"duration_ring": -1, "duration_call": 1.5},
    {"unheard_of": "x" * 100_000, "z" * 5000: 1},
]


@pytest.mark.parametrize("fields", ODD_FIELDS)
def test_a_bad_field_is_emptied_and_the_rest_is_used(fields: dict[str, Any]) -> None:
    _, token = make_door()
    body = json.dumps(json.loads(make_record(outbound=True)) | fields).encode()
    push(token, "receiveCallRecord", body)
    processing.process_inbox()
    row = Receipt.objects.get()
    assert (row.status, row.platform_call_id) == ("processed", "call-1")
    assert Call.objects.get().has_record


def test_what_was_quarantined_can_be_processed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = make_door()
    push(token, "receiveCallRecord", make_record())
    with monkeypatch.context() as patch:
        broken = replace(PLATFORMS["yeta"], parse=fail_to_parse)
        patch.setitem(PLATFORMS, "yeta", broken)
        processing.process_inbox()
    assert Receipt.objects.get().reason == "parser_failed"
    assert processing.reprocess(Receipt.objects.all()) == 1
    assert processing.reprocess(Receipt.objects.all()) == 0
    processing.process_inbox()
    row = Receipt.objects.get()
    assert (row.status, row.reason, row.tries) == ("processed", "", 1)
    moves = StatusChange.objects.filter(subject="receipt").order_by("id")
    assert [(move.old, move.new) for move in moves] == [
        ("received", "quarantined"),
        ("quarantined", "received"),
        ("received", "processed"),
    ]


def fail_to_parse(*_: Any) -> Any:
    raise KeyError("call_uuid 19900000001")


def poison(monkeypatch: pytest.MonkeyPatch, call: str, error: type[BaseException]) -> list[int]:
    """Writing the events of this call fails; returns the sizes of the batches that held it."""
    tries: list[int] = []
    real = processing.apply_events

    def apply(account: Any, events: Any, **rest: Any) -> Any:
        applied = real(account, events, **rest)
        if any(event.platform_call_id == call for event in events):
            tries.append(len(events))
            raise error("19900000001")
        return applied

    monkeypatch.setattr(processing, "apply_events", apply)
    return tries


def pass_time() -> None:
    """The leases and waits of all claimed receipts are over."""
    Receipt.objects.filter(status="received").exclude(claimed_until=None).update(
        claimed_until=timezone.now() - timedelta(seconds=1)
    )


def fill(count: int) -> None:
    _, token = make_door()
    for number in range(count):
        push(token, "receiveCallRecord", make_record(f"call-{number}", task_data_id=None))


@pytest.mark.parametrize("error", [ValueError, DataError, MemoryError, RecursionError])
def test_one_poison_receipt_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    fill(30)
    tries = poison(monkeypatch, "call-13", error)
    processing.process_inbox()
    assert count_states() == {"received": 1, "processed": 29, "ignored": 0, "quarantined": 0}
    for _ in range(10):
        pass_time()
        processing.process_inbox()
    row = Receipt.objects.get(status="quarantined")
    assert (row.reason, row.tries, row.detail) == ("failed", processing.MAX_TRIES, error.__name__)
    assert tries == [30, processing.SECOND_SIZE, 1, 1, 1]
    assert Call.objects.count() == 29
    assert "19900000001" not in caplog.text


class Killed(BaseException):
    """As good as a kill: nothing catches it, what was not committed is gone."""


def test_a_receipt_that_kills_its_worker_is_tried_five_times_and_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(30)
    tries = poison(monkeypatch, "call-13", Killed)
    deaths = 0
    for _ in range(40):
        try:
            processing.process_inbox()
        except Killed:
            deaths += 1
        pass_time()
    assert deaths == len(tries) == processing.MAX_TRIES
    assert tries == [30, processing.SECOND_SIZE, 1, 1, 1]
    row = Receipt.objects.get(status="quarantined")
    assert (row.reason, row.tries) == ("kills_worker", processing.MAX_TRIES)
    assert count_states() == {"received": 0, "processed": 29, "ignored": 0, "quarantined": 1}
    assert not processing.has_work()
    assert max(Receipt.objects.filter(status="processed").values_list("tries", flat=True)) <= 3


def test_what_failed_once_does_not_wait_until_nobody_pushes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy day there is always something that was never tried."""
    _, token = make_door()
    push(token, "receiveCallRecord", make_record("first"))
    Receipt.objects.update(tries=1)
    push(token, "receiveCallRecord", make_record("call-0"))
    real, numbers = processing.process_batch, iter(range(1, 1000))

    def work(batch: Any) -> None:
        push(token, "receiveCallRecord", make_record(f"call-{next(numbers)}"))
        real(batch)

    monkeypatch.setattr(processing, "process_batch", work)
    assert not processing.process_inbox(seconds=0.3)
    assert Call.objects.filter(platform_call_id="first").exists()


def test_the_next_batch_is_read_while_one_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processing, "BATCH_SIZE", 10)
    fill(45)
    real_batch, real_read = processing.process_batch, processing.read
    ahead: list[int] = []
    reading: list[bool] = []
    read: list[int] = []

    def work(batch: Any) -> None:
        ahead.append(sum(1 for one in batch if one.outcome))
        real_batch(batch)

    def note(receipt: Any) -> Any:
        reading.append(True)
        read.append(receipt.pk)
        try:
            return real_read(receipt)
        finally:
            reading.pop()

    def refuse(execute: Any, *args: Any) -> Any:
        assert not reading, "The database was asked while a push was read."
        return execute(*args)

    monkeypatch.setattr(processing, "process_batch", work)
    monkeypatch.setattr(processing, "read", note)
    with connection.execute_wrapper(refuse):
        assert processing.process_inbox()
    assert len(ahead) == 5
    assert ahead[0] == 0
    assert sum(ahead) > 0
    assert sorted(read) == sorted(Receipt.objects.values_list("pk", flat=True))  # each once
    assert count_states()["processed"] == Call.objects.count() == 45


def test_calls_put_together_ahead_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of some calls the batch before told already, of some there are rows, of some a part only."""
    monkeypatch.setattr(processing, "BATCH_SIZE", 8)
    _, token = make_door()
    for number in range(32):
        for call in {number, number * 7 % 30}:
            push(token, "receiveCallRecord", make_record(f"call-{call}", outbound=number % 2 == 0))
        push(token, "receiveDialog", make_dialog(f"call-{number * 3 % 30}"))
    used: list[bool] = []
    real = processing.apply_events

    def apply(*args: Any, heard: Any, **rest: Any) -> Any:
        used.append(heard is not None)
        return real(*args, heard=heard, **rest)

    def take_all(step: Any) -> Any:
        while step():
            pass
        return contextlib.nullcontext()

    monkeypatch.setattr(processing, "apply_events", apply)
    monkeypatch.setattr(processing, "work_meanwhile", lambda step: contextlib.nullcontext())
    assert processing.process_inbox()
    assert not any(used)
    names = [field.attname for field in Call._meta.concrete_fields]
    own = {"id", "created_at", "updated_at"}
    alone = list(Call.objects.order_by("platform_call_id").values(*(set(names) - own)))
    turns = list(Turn.objects.order_by("call__platform_call_id", "position").values("text", "hits"))
    assert len(alone) == 32 and turns
    Call.objects.all().delete()
    processing.reprocess(Receipt.objects.all())
    monkeypatch.setattr(processing, "work_meanwhile", take_all)
    used.clear()
    assert processing.process_inbox()
    assert used.count(True) > 3
    assert list(Call.objects.order_by("platform_call_id").values(*(set(names) - own))) == alone
    again = Turn.objects.order_by("call__platform_call_id", "position").values("text", "hits")
    assert list(again) == turns


def test_what_was_put_together_with_a_refused_push_is_not_used() -> None:
    fill(3)
    claimed = processing.claim(fresh=True)
    for _ in processing.read_ahead(claimed, behind=[]):
        pass
    outcomes = [processing.understand(one) for one in claimed]
    assert len({id(outcome.heard) for outcome in outcomes}) == 1 and outcomes[0].heard
    outcomes[1] = processing.refuse(claimed[1], Unrecognised("foreign_account"))
    processing.apply_outcomes(outcomes)
    assert sorted(Call.objects.values_list("platform_call_id", flat=True)) == ["call-0", "call-2"]
    assert count_states() == {"received": 0, "processed": 2, "ignored": 0, "quarantined": 1}


def test_what_a_batch_needed_is_let_go_of_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to look for circles first: seldom somebody does."""
    monkeypatch.setattr(processing, "BATCH_SIZE", 10)
    fill(35)
    left: list[int] = []
    real = processing.process_batch

    def work(batch: Any) -> None:
        real(batch)
        mine = {one.pk for one in batch}
        left.append(
            sum(
                # not isinstance, which wakes whatever lazy objects other tests left behind
                type(one) is processing.Outcome and one.receipt.pk in mine
                for one in gc.get_objects()
            )
        )

    monkeypatch.setattr(processing, "process_batch", work)
    gc.collect()
    gc.disable()
    try:
        assert processing.process_inbox()
    finally:
        gc.enable()
    assert left == [0, 0, 0, 0]


@pytest.mark.django_db(transaction=True)
def test_what_would_be_done_again_waits_for_no_disk_and_nothing_else_does_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(1)
    told: list[tuple[str, str]] = []

    def note(name: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            told.append((name, cursor.fetchone()[0]))

    real_move, real_link = processing.move_all, processing.link_late

    def move(outcomes: Any) -> int:
        if outcomes:
            note("inside")
        return real_move(outcomes)

    def link(*args: Any) -> int:
        note("after")
        return real_link(*args)

    monkeypatch.setattr(processing, "move_all", move)
    monkeypatch.setattr(processing, "link_late", link)
    assert processing.process_inbox()
    assert told == [("inside", "off"), ("after", "on")]
    told.clear()
    processing.reprocess(Receipt.objects.all())
    batch = processing.claim(fresh=True)
    with transaction.atomic():  # of somebody else's transaction nothing is said
        processing.process_batch(batch)
        note("outside")
    assert told == [("inside", "on"), ("after", "on"), ("outside", "on")]


def test_a_batch_that_fails_leaves_the_one_that_was_read_meanwhile_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processing, "BATCH_SIZE", 10)
    fill(20)
    tries = poison(monkeypatch, "call-3", ValueError)
    processing.process_inbox()
    assert tries == [10, 10, 1]
    assert count_states() == {"received": 1, "processed": 19, "ignored": 0, "quarantined": 0}
    later = Receipt.objects.order_by("id")[10:]
    assert {row.tries for row in later} == {1}


def test_a_claim_holds_until_its_lease_is_over() -> None:
    fill(3)
    mine = processing.claim(fresh=True)
    assert len(mine) == 3
    assert processing.claim(fresh=True) == processing.claim(fresh=False) == []
    assert not processing.has_work()
    pass_time()
    assert processing.has_work()
    processing.process_inbox()
    assert count_states()["processed"] == 3
    # Who comes back late changes nothing any more.
    before = list(Receipt.objects.order_by("id").values())
    processing.process_batch(mine)
    assert list(Receipt.objects.order_by("id").values()) == before
    assert StatusChange.objects.filter(subject="receipt").count() == 3


def test_large_bodies_are_claimed_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processing, "BATCH_BYTES", 800)
    fill(6)
    sizes = []
    while batch := processing.claim(fresh=True):
        sizes.append(sum(len(row.body) for row in batch))
    assert len(sizes) == 3
    assert max(sizes) <= 800
    monkeypatch.setattr(processing, "BATCH_BYTES", 10)
    Receipt.objects.update(tries=0, claimed_until=None)
    assert len(processing.claim(fresh=True)) == 1


def test_a_forged_account_in_the_body_changes_nothing_of_it() -> None:
    mine, token = make_door()
    theirs, _ = make_door()
    contact = make_contact(
        task=make_task(account=theirs), platform_contact_id="262381", status="accepted"
    )
    body = make_record(outbound=True, business_id=str(theirs.pk), account_id=theirs.pk)
    push(token, "receiveCallRecord", body)
    processing.process_inbox()
    assert Call.objects.get().account == mine
    contact.refresh_from_db()
    assert (contact.status, contact.calls_made) == ("accepted", 0)


@pytest.mark.django_db(transaction=True)
def test_many_workers_share_the_inbox() -> None:
    fill(120)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while batch := processing.claim(fresh=True):
                processing.process_batch(batch)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processing, "BATCH_SIZE", 7)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert count_states()["processed"] == Call.objects.count() == 120
    assert set(Receipt.objects.values_list("tries", flat=True)) == {1}


@pytest.mark.django_db(transaction=True)
def test_a_push_is_worked_off_by_the_job_that_the_door_queued() -> None:
    _, token = make_door()
    push(token, "receiveCallRecord", make_record())
    inbox.settle()
    run_jobs()
    assert Receipt.objects.get().status == "processed"


@pytest.mark.django_db(transaction=True)
def test_pushes_that_keep_coming_are_taken_several_at_a_time() -> None:
    """A batch of one costs nearly as much as one of a hundred, and the door wants the processor."""
    account, _token = make_door()
    over = threading.Event()

    def come() -> None:
        try:
            ends = time.monotonic() + 1.2
            while time.monotonic() < ends:
                body = make_record(call_uuid=f"call-{time.monotonic_ns()}")
                Receipt.objects.create(
                    account=account, kind="receiveCallRecord", body=body,
                    sha256=hashlib.sha256(body).digest(),
                )  # fmt: skip
                time.sleep(0.004)
        finally:
            over.set()
            connection.close()

    thread = threading.Thread(target=come)
    thread.start()
    try:
        while not over.is_set():
            processing.process_inbox(seconds=2)
    finally:
        thread.join()
    assert processing.process_inbox()
    moments = set(Receipt.objects.values_list("processed_at", flat=True))
    assert Receipt.objects.filter(status="processed").count() > 30
    assert None not in moments and len(moments) <= 20


@pytest.mark.django_db(transaction=True)
def test_while_one_waits_for_more_the_others_leave_it_to_that_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each wake of the door would start another that stays, until they hold all of the worker's
    places."""
    account, _token = make_door()
    numbers = itertools.count()
    left: list[int] = []

    def put() -> None:
        body = make_record(call_uuid=f"call-{next(numbers)}")
        digest = hashlib.sha256(body).digest()
        Receipt.objects.create(account=account, kind="receiveCallRecord", body=body, sha256=digest)

    def write(batch: Any, *, process_batch: Any = processing.process_batch) -> None:
        if not left:
            put()  # they keep coming
        process_batch(batch)

    def wait(_seconds: float) -> None:
        if not left:
            put()
        assert processing.process_inbox()
        left.append(Receipt.objects.filter(status="received").count())

    monkeypatch.setattr(processing, "process_batch", write)
    monkeypatch.setattr(processing.time, "sleep", wait)
    put()
    assert processing.process_inbox()
    assert left[0] == 2
    assert not Receipt.objects.exclude(status="processed").exists()
