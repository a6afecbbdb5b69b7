"""In: pushes, old and new, lost and deleted; tasks that run. Out: proof of what the inbox's page,
metrics and command say of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F, Sum
from django.test import Client
from django.utils import timezone

from callbacks import health, processing, rereading, tally
from callbacks.management.commands.inbox_status import count_inbox
from callbacks.models import Forgotten, InboxTally, Receipt, Snapshot
from campaigns.importing.undo import undo_import
from campaigns.models import Account, CallbackToken, StatusChange, Task
from campaigns.silence import find_silent_accounts
from campaigns.statistics import balance_contacts
from tests.callbacks.pushes import make_door, make_record, push
from tests.campaigns.importing.test_loading import load
from tests.factories import make_account, make_contact, make_task, walk
from tests.platforms.payloads import find_payload

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 5, 20, 2, 30, 30, tzinfo=UTC)  # a Wednesday, 10:30 in Shanghai


def put(account: Account, at: datetime, **fields: Any) -> Receipt:
    """A receipt that came at this moment."""
    number = Receipt.objects.count()
    values = {"kind": "receiveVoice", "body": b"{}", "sha256": f"{number:032d}".encode()} | fields
    row = Receipt.objects.create(account=account, **values)
    Receipt.objects.filter(pk=row.pk).update(received_at=at)
    return row


def count_at(moment: datetime, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(timezone, "now", lambda: moment)
    tally.count_arrivals()
    Snapshot.objects.filter(pk=tally.WHOLE).delete()
    return tally.take_snapshot().numbers["inbox"]


def test_the_first_id_since_a_moment_is_never_too_high() -> None:
    account = make_account()
    rows = [put(account, NOW + timedelta(minutes=number)) for number in range(40)]
    Receipt.objects.filter(pk__in=[row.pk for row in rows[5:20]]).delete()
    still = Receipt.objects.order_by("id")
    for minutes in (-5, 0, 3, 4, 5, 12, 19, 20, 39, 50):
        moment = NOW + timedelta(minutes=minutes)
        first = tally.find_first_id(moment, slack=timedelta(0))
        assert not still.filter(received_at__gte=moment, pk__lt=first).exists()
        earlier = still.filter(received_at__lt=moment).last()
        assert first > (earlier.pk if earlier else 0)


def test_what_came_is_counted_by_minute_and_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make_account(), make_account()
    for hours in (30, 5, 5, 4):
        put(one, NOW - timedelta(hours=hours))
    put(two, NOW - timedelta(hours=3), kind="whatever-they-like")
    put(one, NOW - timedelta(minutes=5), source="failed_push")
    counts = count_at(NOW, monkeypatch)
    assert counts["received"] == counts["waiting"] == 6 and counts["missing"] == 0
    # counted again, nothing doubles; what is committed a moment later is found
    put(one, NOW - timedelta(seconds=20))
    assert count_at(NOW + timedelta(seconds=20), monkeypatch)["received"] == 7
    streams = {(s.account.pk, s.kind): s for s in health.list_streams(NOW + timedelta(minutes=1))}
    assert streams[one.pk, "receiveVoice"].last_minute == 1
    assert streams[one.pk, "receiveVoice"].hour == 2
    assert streams[one.pk, "receiveVoice"].day == 5
    assert streams[one.pk, "receiveVoice"].from_files == 1
    assert streams[two.pk, "?"].day == 1


def test_what_one_address_takes_is_told_apart_once_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = make_account(platform="moor7")
    body = find_payload("moor7", "cdr__sample").body
    row = put(account, NOW - timedelta(seconds=40), kind="", body=body)
    odd = put(account, NOW - timedelta(seconds=40), kind="", body=b"never heard of")
    count_at(NOW, monkeypatch)

    def tell(moment: datetime) -> dict[str, int]:
        return {one.kind: one.day for one in health.list_streams(moment)}

    assert tell(NOW) == {"": 2}
    processing.process_inbox()
    counts = count_at(NOW + timedelta(seconds=20), monkeypatch)
    assert tell(NOW) == {"": 1, "cdr": 1}
    # the sum of all times goes by the address, and never falls
    assert [(kind, number) for _account, kind, number, _late in counts["streams"]] == [("", 2)]
    row.refresh_from_db()
    odd.refresh_from_db()
    assert (row.kind, row.told_kind, row.status) == ("", "cdr", "processed")
    assert (odd.told_kind, odd.status) == ("", "quarantined")
    assert list(rereading.choose({"kind": "cdr", "status": "ended"})) == [row]
    assert list(rereading.choose({"kind": ""})) == [odd]


def test_every_receipt_is_counted_once_whatever_its_time_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tally, "CLOSED_AT_ONCE", 4)
    account = make_account()
    for minutes in range(0, 600, 5):
        now = NOW + timedelta(minutes=minutes)
        put(account, now - timedelta(hours=minutes * 7 % 50))
        counts = count_at(now, monkeypatch)
        assert (counts["received"], counts["missing"]) == (minutes // 5 + 1, 0)
    closed = InboxTally.objects.filter(span="hour").aggregate(n=Sum("received"))["n"]
    assert 110 <= closed < 120  # those of the last half hour may still have lower neighbours
    assert counts["streams"] == [[account.pk, "receiveVoice", 120, 0]]


def test_a_receipt_that_vanished_is_missed_and_one_deleted_when_old_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = make_account()
    rows = [put(account, NOW) for _ in range(6)]
    assert count_at(NOW, monkeypatch)["missing"] == 0
    assert count_at(NOW + timedelta(hours=1), monkeypatch)["missing"] == 0
    rows[-1].delete()
    Forgotten.objects.create(status="received", number=1)
    later = NOW + timedelta(hours=2)
    assert count_at(later, monkeypatch)["missing"] == 0
    rows[-2].delete()
    assert count_at(later, monkeypatch)["missing"] == 1


def test_a_receipt_of_a_long_transaction_is_counted_with_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = make_account()
    put(account, NOW)
    early = put(account, NOW)
    put(account, NOW)
    values = {"sha256": b"1" * 32, "body": b"{}", "kind": "receiveVoice", "pk": early.pk}
    early.delete()  # its id is given, its transaction goes on
    for minutes in (0, 10, 20):
        counts = count_at(NOW + timedelta(minutes=minutes), monkeypatch)
    assert (counts["received"], counts["missing"]) == (2, 0)
    Receipt.objects.create(account=account, **values)
    for minutes in (29, 40, 70):
        counts = count_at(NOW + timedelta(minutes=minutes), monkeypatch)
        assert (counts["received"], counts["missing"]) == (3, 0)


@pytest.mark.django_db(transaction=True)
def test_two_counts_at_a_time_count_no_minute_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins before the first is over, and what waited has got its name meanwhile."""
    receipt = put(make_account(), timezone.now() - timedelta(seconds=30))
    counted, go_on = threading.Event(), threading.Event()
    count = tally._count

    def count_and_wait(statement: str, span: str, **bounds: Any) -> None:
        count(statement, span, **bounds)
        if span == "minute" and not counted.is_set():
            counted.set()
            assert go_on.wait(60)

    monkeypatch.setattr(tally, "_count", count_and_wait)

    def work() -> None:
        try:
            tally.count_arrivals()
        finally:
            connection.close()

    first, second = (threading.Thread(target=work) for _ in range(2))
    first.start()
    try:
        assert counted.wait(60)
        Receipt.objects.filter(pk=receipt.pk).update(told_kind="receiveDialog")
        second.start()
        with connection.cursor() as cursor:
            while second.is_alive():
                cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
                if cursor.fetchone()[0]:
                    break
                time.sleep(0.01)
    finally:
        go_on.set()
        first.join()
    second.join()
    minutes = InboxTally.objects.filter(span="minute").values_list("kind", "received")
    assert list(minutes) == [("receiveDialog", 1)]


def test_a_push_long_after_its_call_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = make_door()
    push(token, "receiveCallRecord", make_record())  # of a call of 2025
    processing.process_inbox()
    tally.count_arrivals()
    (stream,) = health.list_streams(timezone.now() + timedelta(minutes=1))
    assert (stream.hour, stream.late_hour) == (1, 1)


def test_the_command_tells_the_same_as_ever_and_more() -> None:
    account, token = make_door()
    for _ in range(3):
        push(token, "receiveCallRecord", make_record())
    push(token, "receiveCallRecord", b"")
    processing.process_inbox()
    push(token, "receiveCallRecord", make_record("call-2"))
    counts = count_inbox()
    assert counts.items() >= {
        "received": 3, "processed": 1, "ignored": 0, "quarantined": 1, "waiting": 1,
        "repeats": 2, "forgotten": 0, "quarantined_by_reason": {"empty": 1}, "silent_accounts": [],
    }.items()  # fmt: skip
    assert 0 <= counts["oldest_waiting_seconds"] < 60
    found = health.read_health()
    assert (found.waiting, found.repeats, found.repeats_hour, found.applied) == (1, 2, 1, 1)
    (group,) = found.quarantined
    assert (group.reason, group.account, group.kind) == ("empty", account, "receiveCallRecord")


def test_contacts_are_held_against_what_their_imports_say() -> None:
    one = load("客户手机号码,姓名\n19900000001,a\n19900000002,b\n19900000001,c\nx,d\n")
    two = load("客户手机号码,姓名\n19900000003,a\n19900000004,b\n")
    make_contact()  # of no file
    counts = balance_contacts()
    assert (counts["imported"], counts["otherwise"], counts["missing"]) == (5, 1, 0)
    assert sum(counts["states"].values()) == 6
    undo_import(two)  # while its task is a draft: its rows are gone, and it says so
    assert balance_contacts()["missing"] == 0
    task = one.task
    walk(Task.objects.filter(pk=task.pk), "loading")
    undo_import(one)  # they are withdrawn, and still there
    counts = balance_contacts()
    assert (counts["imported"], counts["missing"], counts["states"]["withdrawn"]) == (3, 0, 2)
    one.contacts.filter(status="withdrawn").first().delete()
    assert balance_contacts()["missing"] == 1


# ------------------------------------------------------------------------------------------ silence


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    """A task that has run for an hour, with somebody at the platform."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    task = make_task(status="running", launched_at=NOW - timedelta(hours=1))
    contact = make_contact(task=task)
    walk(type(contact).objects.filter(pk=contact.pk), "planned", "sending", "accepted")
    CallbackToken.make(task.account)
    yield task


def use_token(task: Task, at: datetime) -> None:
    task.account.callback_tokens.update(last_used_at=at)


def test_a_platform_that_should_have_told_something_is_silent(running: Task) -> None:
    (silence,) = find_silent_accounts()
    assert (silence.account, silence.tasks, silence.heard_at) == (running.account, 1, None)
    assert silence.since == NOW - timedelta(hours=1)
    use_token(running, NOW - timedelta(minutes=16))
    (silence,) = find_silent_accounts()
    assert silence.since == NOW - timedelta(minutes=16)
    # the next push ends it, a repeat too
    use_token(running, NOW - timedelta(minutes=14))
    assert find_silent_accounts() == []
    use_token(running, NOW - timedelta(minutes=30))
    row = put(running.account, NOW - timedelta(minutes=5))
    assert find_silent_accounts() == []
    Receipt.objects.update(received_at=NOW - timedelta(hours=2))
    assert len(find_silent_accounts()) == 1
    Receipt.objects.filter(pk=row.pk).update(deliveries=2, last_delivery_at=NOW)
    assert find_silent_accounts() == []


@pytest.mark.parametrize(
    "change",
    [
        {"launched_at": NOW - timedelta(minutes=10)},
        {"begin_at": NOW - timedelta(minutes=3)},
        {"end_at": NOW - timedelta(minutes=3)},
        {"windows": [["10:20:00", "12:00:00"]]},  # ten minutes ago
        {"windows": [["14:00:00", "18:00:00"]]},
        {"request": "pause"},
        {"status": "paused"},
    ],
)
def test_nobody_is_silent_who_calls_nobody(running: Task, change: dict[str, Any]) -> None:
    assert find_silent_accounts()
    if "status" in change:
        walk(Task.objects.filter(pk=running.pk), change["status"])
    else:
        Task.objects.filter(pk=running.pk).update(**change)
    assert find_silent_accounts() == []


@pytest.mark.parametrize("state", ["paused", "outside_hours", "waiting_retry"])
def test_nobody_is_silent_whose_platform_says_that_it_rests(running: Task, state: str) -> None:
    tasks = Task.objects.filter(pk=running.pk)
    tasks.update(platform_state=state, platform_checked_at=NOW - timedelta(minutes=2))
    assert find_silent_accounts() == []
    # said too long ago to be believed
    tasks.update(platform_checked_at=NOW - timedelta(minutes=40))
    assert find_silent_accounts()


def test_a_task_that_is_over_there_is_silent_only_if_nothing_of_it_was_ever_heard(
    running: Task,
) -> None:
    """Else one contact of whom nothing was reported would be an alarm on every day to come."""
    tasks = Task.objects.filter(pk=running.pk)
    tasks.update(platform_state="finished", platform_checked_at=NOW - timedelta(minutes=40))
    assert find_silent_accounts()
    use_token(running, NOW - timedelta(minutes=30))
    assert find_silent_accounts() == []


def test_nobody_is_silent_soon_after_a_resume_nor_while_all_wait_for_a_recall(
    running: Task,
) -> None:
    change = StatusChange.objects.create(
        subject="task", subject_id=running.pk, old="paused", new="running"
    )
    assert find_silent_accounts() == []
    StatusChange.objects.filter(pk=change.pk).update(at=NOW - timedelta(hours=1))
    assert find_silent_accounts()
    Task.objects.filter(pk=running.pk).update(recall_count=2, recall_wait_seconds=3600)
    running.contacts.update(calls_made=1, last_call_at=NOW - timedelta(minutes=40))
    assert find_silent_accounts() == []
    running.contacts.update(last_call_at=F("last_call_at") - timedelta(minutes=40))
    assert find_silent_accounts()


def test_nobody_is_silent_where_it_is_switched_off(running: Task, settings: Any) -> None:
    settings.SILENCE_MINUTES = 0
    assert find_silent_accounts() == []
    settings.SILENCE_MINUTES = 120
    assert find_silent_accounts() == []


# ---------------------------------------------------------------------------------------- metrics


def test_the_metrics_tell_all_of_it_and_no_number(running: Task) -> None:
    _, token = make_door()
    push(token, "receiveCallRecord", make_record())
    push(token, "receiveCallRecord", make_record())
    push(token, "receiveCallRecord", b"hello 19900000001")
    processing.process_inbox()
    assert "callboard_balance_missing" not in Client().get("/metrics").content.decode()
    tally.count_arrivals()
    tally.take_snapshot()
    text = Client().get("/metrics").content.decode()
    account = Account.objects.exclude(pk=running.account_id).get().pk
    stream = f'account="{account}",kind="receiveCallRecord",platform="yeta"'
    silent = f'account="{running.account_id}",platform="yeta"'
    for line in (
        f"callboard_pushes_total{{{stream}}} 2.0",
        f"callboard_pushes_late_total{{{stream}}} ",
        f'callboard_pushes_quarantined{{{stream},reason="not_json"}} 1.0',
        "callboard_pushes_repeated_total 1.0",
        'callboard_balance_missing{what="pushes"} 0.0',
        'callboard_balance_missing{what="contacts"} 0.0',
        'callboard_contacts{status="accepted"} 1.0',
        f"callboard_account_silent_seconds{{{silent}}} 3600.0",
    ):
        assert line in text
    assert "1990000" not in text and token not in text
