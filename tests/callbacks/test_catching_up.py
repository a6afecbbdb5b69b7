"""Failed-push files: from the list of a day to rows that equal those of the live pushes."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from callbacks import catching_up, processing
from callbacks.models import Receipt
from campaigns import failed_pushes
from campaigns.failed_pushes import days, unpacking
from campaigns.models import Account, Call, Exchange, FailedPushDay, FailedPushFile, StatusChange
from tests.callbacks.failed import FailedPushes, make_wrapped, make_zip
from tests.callbacks.pushes import make_dialog, make_record, make_voice

pytestmark = pytest.mark.django_db


@pytest.fixture
def platform(settings: Any, tmp_path: Path) -> Iterator[FailedPushes]:
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    settings.HTTP_TIMEOUT_SECONDS = 5
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "media")},
        },
    }
    platform = FailedPushes()
    yield platform
    platform.close()


@pytest.fixture
def account(platform: FailedPushes) -> Account:
    account = platform.make_account()
    long_ago = timezone.now() - timedelta(days=30)
    Account.objects.filter(pk=account.pk).update(created_at=long_ago)
    account.refresh_from_db()
    return account


def get_day(account: Account, ago: int = 1) -> date:
    return timezone.now().astimezone(account.zone).date() - timedelta(days=ago)


def make_pushes(calls: int) -> list[tuple[str, bytes]]:
    made = []
    for number in range(calls):
        call = f"call-{number}"
        made += [
            ("receiveCallRecord", make_record(call)),
            ("receiveCallRecord", make_record(call, outbound=True)),
            ("receiveVoice", make_voice(call)),
            ("receiveDialog", make_dialog(call)),
        ]
    return made


def glue(pushes: list[tuple[str, bytes]]) -> bytes:
    return b"".join(make_wrapped(body, kind) for kind, body in pushes)


def catch_up(account: Account, ago: int = 1) -> FailedPushDay:
    """Everything that the jobs do, at once."""
    row = failed_pushes.ask_again(account, get_day(account, ago))
    for file_id in failed_pushes.ask_day(row.pk) or ():
        if failed_pushes.fetch_file(file_id):
            while not catching_up.read_file(file_id):
                pass
    row.refresh_from_db()
    return row


def dump_rows(account: Account) -> Any:
    """Everything that pushes write, without the moments at which we heard of it."""
    calls = Call.objects.filter(account=account).order_by("platform_call_id")
    return [
        (
            call.platform_call_id, call.result, call.platform_result, call.answered,
            call.dialed_at, call.answered_at, call.ended_at, call.talk_seconds, call.attempt,
            call.intention, call.direction, call.caller, call.callee, call.happened_at,
            call.details, call.evidence, call.conflicts, call.problems,
            list(call.turns.order_by("position").values_list("position", "role", "text")),
            list(call.recordings.order_by("address").values_list("address", "announced_bytes")),
        )
        for call in calls
    ]  # fmt: skip


def receive(account: Account, kind: str, body: bytes) -> None:
    Receipt.objects.get_or_create(
        account=account,
        kind=kind,
        sha256=hashlib.sha256(body).digest(),
        defaults={"body": body, "content_type": "application/json"},
    )


def test_a_day_is_complete_after_its_file_and_the_same_file_changes_nothing(
    platform: FailedPushes, account: Account
) -> None:
    pushes = make_pushes(60)
    chance = random.Random(15)
    chance.shuffle(pushes)
    lost = [push for push in pushes if chance.random() < 0.3]
    # Some were taken, but the platform did not hear our word: they are in the file as well.
    unheard = chance.sample([push for push in pushes if push not in lost], 20)
    whole = platform.make_account(name="without drops")
    for kind, body in pushes:
        receive(whole, kind, body)
        if (kind, body) not in lost:
            receive(account, kind, body)
    processing.process_inbox()
    assert dump_rows(account) != dump_rows(whole)

    failed = lost + unheard
    half = len(failed) // 2
    archive = make_zip(
        {
            "150/": b"",
            "150/2018-12-04/push_failed_0.txt": glue(failed[:half]),
            "150/2018-12-04/01/02/push_failed_1.txt": glue(failed[half:]),
        }
    )
    path = "150/2018-12-04/0E05.zip"
    platform.put(f"{get_day(account)}", {path: archive})
    day = catch_up(account)
    processing.process_inbox()
    file = day.files.get()
    assert (day.status, file.status, file.problems) == ("listed", "read", [])
    assert (file.objects_count, file.new_count, file.known_count, file.odd_count) == (
        len(failed), len(failed), 0, 0,
    )  # fmt: skip
    assert not file.file
    assert dump_rows(account) == dump_rows(whole)
    assert set(Receipt.objects.values_list("status", flat=True)) == {"processed"}

    before = dump_rows(account)
    count = Receipt.objects.count()
    for _ in range(3):
        catch_up(account)
        # The same pushes in an archive with other bytes, and under another name.
        again = make_zip({"other/name.txt": b"\n".join(make_wrapped(b, k) for k, b in failed)})
        platform.put(f"{get_day(account)}", {path: archive, "150/again.zip": again})
        for kind, body in chance.sample(pushes, 30):
            receive(account, kind, body)
        processing.process_inbox()
    live = Receipt.objects.filter(account=account, source="live").count()
    filed = Receipt.objects.filter(account=account, source="failed_push").count()
    assert filed == len(failed)
    assert Receipt.objects.count() <= count + len(lost)  # live ones that had been lost
    assert live <= len(pushes)
    assert dump_rows(account) == before
    other = FailedPushFile.objects.get(path="150/again.zip")
    assert (other.new_count, other.known_count) == (0, len(failed))


def test_what_cannot_be_read_is_quarantined_with_its_bytes(
    platform: FailedPushes, account: Account
) -> None:
    good = make_wrapped(make_record("call-1"))
    broken = b'{"data":{"call_uuid":"call-2"'
    odd = b'{"data":{"call_uuid":"call-3"},"module":"somethingNew","timestamp":1}'
    inner = make_zip({"a.txt": good})
    archive = make_zip(
        {"a.txt": good + broken + good.replace(b"call-1", b"call-4") + odd, "b.zip": inner}
    )
    platform.put(f"{get_day(account)}", {"x.zip": archive})
    day = catch_up(account)
    processing.process_inbox()
    file = day.files.get()
    assert file.status == "failed"
    assert file.problems == [{"entry": 2, "reason": unpacking.NESTED}]
    assert (file.objects_count, file.odd_count) == (3, 1)
    assert set(Call.objects.values_list("platform_call_id", flat=True)) == {"call-1", "call-4"}
    quarantined = Receipt.objects.filter(status="quarantined").order_by("id")
    assert [bytes(one.body) for one in quarantined] == [broken, odd]
    assert list(failed_pushes.find_alarms()) == [day]


def test_no_list_is_not_an_empty_list(platform: FailedPushes, account: Account) -> None:
    platform.days[f"{get_day(account, 1)}"] = {"url": []}
    platform.days[f"{get_day(account, 2)}"] = {}
    empty, none = catch_up(account, 1), catch_up(account, 2)
    assert (empty.status, empty.lists, empty.files.count()) == ("listed", 1, 0)
    assert (none.status, none.lists, none.reason) == ("due", 0, days.NO_LIST)
    for _ in range(3):
        FailedPushDay.objects.filter(pk=none.pk).update(next_try_at=timezone.now())
        failed_pushes.ask_day(none.pk)
    assert list(failed_pushes.find_alarms()) == [none]
    failed_pushes.dismiss_day(none, note="The platform had none.", by=None)
    assert not failed_pushes.find_alarms().exists()


def test_a_word_about_a_late_day_is_none_about_what_comes_later(
    platform: FailedPushes, account: Account
) -> None:
    lost = failed_pushes.ask_again(account, get_day(account, 2))
    FailedPushDay.objects.filter(pk=lost.pk).update(tries=days.ALARM_TRIES)
    failed_pushes.dismiss_day(lost, note="They know of it.", by=None)
    assert not failed_pushes.find_alarms().exists()
    # the platform lists it no more: nobody has said a word about that
    failed_pushes.plan_days(now=timezone.now() + timedelta(days=9))
    assert lost in failed_pushes.find_alarms()

    other = failed_pushes.ask_again(account, get_day(account, 1))
    FailedPushDay.objects.filter(pk=other.pk).update(tries=days.ALARM_TRIES)
    failed_pushes.dismiss_day(other, note="They know of it.", by=None)
    platform.days[f"{other.day}"] = {"url": ["failed/none.zip"]}
    FailedPushDay.objects.filter(pk=other.pk).update(next_try_at=timezone.now())
    (file_id,) = failed_pushes.ask_day(other.pk) or ()
    assert other not in failed_pushes.find_alarms()
    FailedPushFile.objects.filter(pk=file_id).update(tries=days.ALARM_TRIES)
    assert other in failed_pushes.find_alarms()


def test_every_day_is_asked_for_and_a_missed_one_is_an_alarm(
    platform: FailedPushes, account: Account
) -> None:
    local = timezone.now().astimezone(account.zone).replace(hour=12)
    failed_pushes.plan_days(now=local)
    rows = list(account.failed_push_days.order_by("-day"))
    assert [row.day for row in rows] == [local.date() - timedelta(days=n) for n in range(1, 8)]
    assert len(failed_pushes.list_due_days()) == 7
    platform.broken = True
    for row in rows:
        assert failed_pushes.ask_day(row.pk) is None
    assert failed_pushes.list_due_days() == []
    assert not failed_pushes.find_alarms().exists()
    # Nobody could ask for nine days: what was planned, today and tomorrow are out of reach.
    failed_pushes.plan_days(now=local + timedelta(days=9))
    missed = account.failed_push_days.filter(status="missed")
    assert missed.count() == 7 + 2
    assert set(failed_pushes.find_alarms()) == set(missed)
    told = StatusChange.objects.filter(subject="failedpushday", new="missed")
    assert told.count() == 9


def test_a_day_is_asked_for_twice_and_then_left_alone(
    platform: FailedPushes, account: Account
) -> None:
    local = timezone.now().astimezone(account.zone).replace(hour=12)
    path = "a.zip"
    pushes = make_pushes(2)
    day = get_day(account)
    platform.put(f"{day}", {path: make_zip({"a": glue(pushes[:4])})})
    row = catch_up(account)
    platform.put(f"{day}", {path: make_zip({"a": glue(pushes)})})
    failed_pushes.plan_days(now=local)
    row.refresh_from_db()
    assert row.status == "listed"
    FailedPushDay.objects.update(listed_at=local - timedelta(hours=21))
    failed_pushes.plan_days(now=local + timedelta(days=1))
    row.refresh_from_db()
    assert row.status == "due"
    FailedPushDay.objects.update(next_try_at=timezone.now())
    (file_id,) = failed_pushes.ask_day(row.pk) or []
    assert failed_pushes.fetch_file(file_id)
    assert catching_up.read_file(file_id)
    file = FailedPushFile.objects.get()
    assert (file.status, file.new_count, file.known_count) == ("read", 4, 4)
    FailedPushDay.objects.update(listed_at=local - timedelta(days=2))
    failed_pushes.plan_days(now=local + timedelta(days=2))
    row.refresh_from_db()
    assert (row.status, row.lists) == ("listed", 2)


def test_a_young_account_has_no_days_before_it(platform: FailedPushes) -> None:
    account = platform.make_account()
    failed_pushes.plan_days()
    first = account.created_at.astimezone(account.zone).date()
    midnight = datetime.combine(first + timedelta(days=1), time(), account.zone)
    failed_pushes.plan_days(now=midnight + timedelta(minutes=59))
    assert not account.failed_push_days.exists()
    failed_pushes.plan_days(now=midnight + timedelta(hours=1))
    assert [row.day for row in account.failed_push_days.all()] == [first]


def test_a_killed_reader_is_gone_on_with(
    platform: FailedPushes, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "BATCH", 7)
    pushes = make_pushes(25)
    platform.put(f"{get_day(account)}", {"a.zip": make_zip({"a": glue(pushes)})})
    row = failed_pushes.ask_again(account, get_day(account))
    (file_id,) = failed_pushes.ask_day(row.pk) or []
    failed_pushes.fetch_file(file_id)
    stored = catching_up.store
    calls = 0

    def die(*args: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise SystemExit
        return stored(*args)

    monkeypatch.setattr(catching_up, "store", die)
    readers = 0
    while FailedPushFile.objects.get().status == "stored":
        readers += 1
        assert readers < 30
        try:
            catching_up.read_file(file_id)
        except SystemExit:
            assert failed_pushes.list_due_files() == ([], [])  # its lease still runs
            FailedPushFile.objects.update(next_try_at=timezone.now())
            assert failed_pushes.list_due_files() == ([], [file_id])
    file = FailedPushFile.objects.get()
    assert (file.status, file.objects_count, file.new_count) == ("read", 100, 100)
    assert Receipt.objects.count() == 100
    assert readers > 5


def test_who_dies_of_a_file_does_so_five_times(
    platform: FailedPushes, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put(f"{get_day(account)}", {"a.zip": make_zip({"a": glue(make_pushes(1))})})
    row = failed_pushes.ask_again(account, get_day(account))
    (file_id,) = failed_pushes.ask_day(row.pk) or []
    failed_pushes.fetch_file(file_id)
    monkeypatch.setattr(catching_up, "store", lambda *args: (_ for _ in ()).throw(SystemExit))
    for _ in range(5):
        with pytest.raises(SystemExit):
            catching_up.read_file(file_id)
        FailedPushFile.objects.update(next_try_at=timezone.now())
    assert catching_up.read_file(file_id)
    assert FailedPushFile.objects.get().status == "failed"
    assert list(failed_pushes.find_alarms()) == [row]


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"<html>404</html>", unpacking.NO_ARCHIVE),
        (b"", unpacking.NO_ARCHIVE),
        (make_zip({"a": b"x" * 1000})[:-30], unpacking.NO_ARCHIVE),
        (make_zip({"a": b" " * 3_000_000}), unpacking.BOMB),
        (make_zip({f"{n}": b"" for n in range(1001)}), unpacking.TOO_MANY),
    ],
    ids=["html", "empty", "cut", "bomb", "many"],
)
def test_an_archive_beyond_its_bounds_is_refused(
    platform: FailedPushes, account: Account, archive: bytes, reason: str
) -> None:
    platform.put(f"{get_day(account)}", {"a.zip": archive})
    day = catch_up(account)
    for _ in range(3):
        FailedPushFile.objects.filter(status="listed").update(next_try_at=timezone.now())
        for file_id in failed_pushes.list_due_files()[0]:
            if failed_pushes.fetch_file(file_id):
                catching_up.read_file(file_id)
    file = day.files.get()
    assert (file.status, file.reason) == ("failed", reason)
    assert list(failed_pushes.find_alarms()) == [day]


def test_a_path_never_leaves_the_prefix(platform: FailedPushes, account: Account) -> None:
    day = get_day(account)
    platform.days[f"{day}"] = {"url": ["../../etc/passwd", "http://127.0.0.2/x.zip", "//h/x", 5]}
    row = catch_up(account)
    assert (row.status, row.refused, row.files.count()) == ("listed", 4, 0)
    assert list(failed_pushes.find_alarms()) == [row]
    assert not any("/push_download/" in asked for asked in platform.asked)


def test_a_file_that_is_not_there_yet_is_tried_again(
    platform: FailedPushes, account: Account
) -> None:
    platform.put(f"{get_day(account)}", {"a.zip": 404})
    day = catch_up(account)
    file = day.files.get()
    assert (file.status, file.tries) == ("listed", 1)
    assert failed_pushes.list_due_files() == ([], [])
    platform.files["a.zip"] = make_zip({"a": glue(make_pushes(1))})
    FailedPushFile.objects.update(next_try_at=timezone.now())
    assert failed_pushes.list_due_files() == ([file.pk], [])
    assert failed_pushes.fetch_file(file.pk)
    assert catching_up.read_file(file.pk)
    file.refresh_from_db()
    assert (file.status, file.new_count, file.tries) == ("read", 4, 1)


def test_no_secret_and_no_number_is_in_the_record(
    platform: FailedPushes, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    platform.put(f"{get_day(account)}", {"a.zip": make_zip({"19900000001.txt": b"}{"})})
    catch_up(account)
    kept = "".join(
        f"{one.url}{one.request}{one.response}" for one in Exchange.objects.filter(account=account)
    )
    assert "test-secret" not in kept and "t" * 32 not in kept
    assert "19900000001" not in caplog.text + kept + str(list(FailedPushFile.objects.values()))


def test_only_the_days_that_the_platform_lists(account: Account) -> None:
    for ago in (-1, 0, 8):
        with pytest.raises(failed_pushes.FailedPushRefused):
            failed_pushes.ask_again(account, get_day(account, ago))
    Account.objects.filter(pk=account.pk).update(is_active=False)
    account.refresh_from_db()
    with pytest.raises(failed_pushes.FailedPushRefused):
        failed_pushes.ask_again(account, get_day(account))


def test_the_command(platform: FailedPushes, account: Account) -> None:
    platform.put(f"{get_day(account)}", {"a.zip": make_zip({"a": glue(make_pushes(3))})})
    out = io.StringIO()
    day = f"{get_day(account)}"
    call_command("fetch_failed_pushes", account.name, "--day", day, "--json", stdout=out)
    assert '"new": 12' in out.getvalue()
    assert Receipt.objects.count() == 12
    call_command("fetch_failed_pushes", account.name, stdout=io.StringIO())
    assert account.failed_push_days.count() == 7
    assert Receipt.objects.count() == 12
    for wrong in ("yesterday", "2018-12-04"):
        with pytest.raises(CommandError):
            call_command("fetch_failed_pushes", account.name, "--day", wrong)


def test_overlapping_entries_are_refused() -> None:
    content = b"x" * 1000
    packed = io.BytesIO(make_zip({"a": content, "b": content}, stored=True))
    archive = zipfile.ZipFile(packed)
    first, second = archive.infolist()
    # The directory has both entries begin at the first one.
    data = bytearray(packed.getvalue())
    place = data.rfind(b"PK\x01\x02") + 42
    data[place : place + 4] = first.header_offset.to_bytes(4, "little")
    assert second.header_offset != first.header_offset
    with pytest.raises(failed_pushes.Refused, match="over one another"):
        failed_pushes.open_archive(io.BytesIO(bytes(data)))


def test_a_damaged_entry_takes_no_other_with_it() -> None:
    packed = make_zip({"a": b"first", "b": b"second" * 50, "c": b"third"}, stored=True)
    damaged = packed.replace(b"second" * 50, b"SECOND" * 50, 1)
    archive = failed_pushes.open_archive(io.BytesIO(damaged))
    read = [b"".join(archive.read(number)) for number in (1, 2, 3)]
    assert (read[0], read[2]) == (b"first", b"third")
    assert archive.problems == [{"entry": 2, "reason": unpacking.BROKEN}]


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.99])
def test_a_large_damaged_entry_is_an_alarm_and_the_others_are_read(
    platform: FailedPushes, account: Account, stored: bool, where: float
) -> None:
    """Larger than what is read at once: its beginning is taken before the damage is seen."""
    chance = random.Random(7)
    large = glue(
        [
            (
                "receiveCallRecord",
                make_record(f"large-{number}", remark=f"{chance.getrandbits(400):x}"),
            )
            for number in range(1300)
        ]
    )
    assert len(large) > 2 * unpacking.BLOCK
    first, last = (glue([("receiveCallRecord", make_record(n))]) for n in ("first", "last"))
    packed = bytearray(make_zip({"a": first, "b": large, "c": last}, stored=stored))
    with zipfile.ZipFile(io.BytesIO(bytes(packed))) as archive:
        entry = archive.infolist()[1]
    place = entry.header_offset + 31 + int(entry.compress_size * where)
    packed[place : place + 4] = bytes(255 - one for one in packed[place : place + 4])
    platform.put(f"{get_day(account)}", {"x.zip": bytes(packed)})
    day = catch_up(account)
    processing.process_inbox()
    file = day.files.get()
    assert (file.status, file.problems) == ("failed", [{"entry": 2, "reason": unpacking.BROKEN}])
    assert list(failed_pushes.find_alarms()) == [day]
    read = set(Call.objects.values_list("platform_call_id", flat=True))
    assert {"first", "last"} <= read
    assert not Receipt.objects.filter(status="received").exists()


def test_a_bomb_is_stopped_by_what_it_is_not_by_what_it_says() -> None:
    packed = bytearray(make_zip({"a": b" " * 5_000_000}))
    size = (5_000_000).to_bytes(4, "little")
    lie = (15_000).to_bytes(4, "little")
    assert packed.count(size) == 2
    archive = bytes(packed).replace(size, lie)
    opened = failed_pushes.open_archive(io.BytesIO(archive))
    taken = 0
    try:
        for block in opened.read(1):
            taken += len(block)
    except failed_pushes.Refused:
        pass
    assert taken <= 1_100_000
