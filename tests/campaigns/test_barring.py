"""In: numbers that somebody forbids. Out: the entry that stands, its history, who is left out."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns import barring
from campaigns.models import Account, BarListImport, Call, Contact, DoNotCall, StatusChange
from campaigns.phones import PhoneRefused
from tests.at_once import run_at_once
from tests.factories import make_account, make_contact, make_task

pytestmark = pytest.mark.django_db
PHONE, OTHER = "19900000001", "19900000002"


def bar(phone: str = PHONE, **fields: Any) -> DoNotCall:
    return barring.bar_number(phone, **{"source": "manual"} | fields)


def is_barred(account: Account | None, phone: str = PHONE) -> bool:
    """What a look-up, the sub-select of the import, and the gate say: they must agree."""
    told = {phone in barring.find_barred(account, [phone])}
    if account is not None:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM ({barring.BARRED_SQL}) b WHERE phone = %(phone)s",
                {"account": account.pk, "phone": phone},
            )
            told.add(bool(cursor.fetchone()[0]))
        contact = make_contact(task=make_task(account=account), phone=phone)
        told.add(barring.has_barred(Contact.objects.filter(pk=contact.pk)))
        told.add(not barring.only_free(Contact.objects.filter(pk=contact.pk)).exists())
        rows = Contact.objects.filter(pk=contact.pk)
        told.add(barring.exclude_barred(contact.task, rows, of=["ready"]) == 1)
    (answer,) = told
    return answer


class TestScope:
    def test_an_entry_of_an_account_holds_for_it_alone(self) -> None:
        one, other = make_account(), make_account()
        bar(account=one)
        assert is_barred(one)
        assert not is_barred(other)
        assert not is_barred(None)

    def test_an_entry_for_all_holds_for_every_account(self) -> None:
        bar()
        assert is_barred(make_account())
        assert is_barred(None)

    def test_lifting_one_of_two_entries_leaves_the_other(self) -> None:
        account = make_account()
        mine, everybody = bar(account=account), bar()
        assert mine.pk != everybody.pk
        assert barring.lift_bar(mine, by=None, reason="He asked us to call.")
        assert is_barred(account)
        assert barring.lift_bar(everybody, by=None, reason="He asked us to call.")
        assert not is_barred(account)

    def test_another_number_is_not_barred(self) -> None:
        bar()
        assert not is_barred(make_account(), OTHER)


class TestTime:
    def test_an_entry_holds_until_it_expires(self) -> None:
        account = make_account()
        entry = bar(expires_at=timezone.now() + timedelta(hours=1))
        assert is_barred(account)
        gone = timezone.now() - timedelta(seconds=1)
        DoNotCall.objects.filter(pk=entry.pk).update(expires_at=gone)
        assert not is_barred(account)

    @pytest.mark.parametrize(
        ("first", "second", "kept"),
        [(1, 9, 9), (9, 1, 9), (None, 1, None), (1, None, None), (None, None, None), (3, 3, 3)],
    )
    @pytest.mark.parametrize("way", ["number", "list", "one list"])
    def test_the_later_end_stays(
        self, first: int | None, second: int | None, kept: int | None, way: str
    ) -> None:
        now = timezone.now()
        ends = [None if days is None else now + timedelta(days=days) for days in (first, second)]
        if way == "number":
            for end in ends:
                bar(expires_at=end)
        elif way == "list":
            for end in ends:
                barring.bar_many([(PHONE, "", end)], source="import")
        else:
            barring.bar_many([(PHONE, "", end) for end in ends], source="import")
        entry = DoNotCall.objects.get()
        assert entry.expires_at == (None if kept is None else now + timedelta(days=kept))

    def test_an_expired_entry_is_closed_and_a_new_one_made(self) -> None:
        account = make_account()
        ended = timezone.now() - timedelta(days=1)
        old = bar(account=account, reason="for a month", expires_at=ended)
        new = bar(account=account, reason="for good")
        old.refresh_from_db()
        assert (old.lifted_at, old.lifted_by, old.reason) == (ended, None, "for a month")
        assert (new.pk != old.pk, new.expires_at, new.reason) == (True, None, "for good")
        assert is_barred(account)
        assert not StatusChange.objects.filter(subject="donotcall", subject_id=new.pk).exists()


class TestSecondEntry:
    def test_the_same_number_again_is_a_line_in_the_history(self) -> None:
        user = get_user_model().objects.create_user("wang")
        first = bar(reason="said no")
        again = bar(reason="said no again", by=user)
        assert again.pk == first.pk
        assert again.reason == "said no"
        change = StatusChange.objects.get(subject="donotcall", subject_id=first.pk)
        assert change.by == user
        assert change.values == {"source": "manual", "given": "said no again"}
        assert change.sentence

    def test_after_a_lift_there_is_a_new_entry_and_the_old_one_tells_why(self) -> None:
        user = get_user_model().objects.create_user("wang")
        first = bar()
        assert barring.lift_bar(first, by=user, reason="It was a mistake.")
        assert not barring.lift_bar(first, by=None, reason="Once more.")
        first.refresh_from_db()
        assert (first.lifted_by, first.lifted_reason) == (user, "It was a mistake.")
        second = bar()
        assert second.pk != first.pk
        assert is_barred(make_account())
        assert StatusChange.objects.filter(subject_id=first.pk, new="lifted", by=user).exists()

    def test_nobody_lifts_without_a_reason(self) -> None:
        entry = bar()
        with pytest.raises(ValueError, match="reason"):
            barring.lift_bar(entry, by=None, reason=" ")
        assert is_barred(make_account())


class TestNormalForm:
    @pytest.mark.parametrize(
        "written",
        ["+86 199-0000-0001", "０１９９０００００００１", "'19900000001", "86 19900000001"],
    )
    def test_any_writing_bars_the_number(self, written: str) -> None:
        assert bar(written).phone == PHONE
        assert is_barred(make_account())

    def test_a_number_is_read_in_the_region_of_the_account(self) -> None:
        american = make_account(region="US")
        assert bar("(212) 555-0100", account=american).phone == "+12125550100"
        assert is_barred(american, "+12125550100")

    @pytest.mark.parametrize("written", ["", "110", "199****0001", "1.99E+10", "nobody"])
    def test_what_is_no_number_is_refused(self, written: str) -> None:
        with pytest.raises(PhoneRefused):
            bar(written)
        assert not DoNotCall.objects.exists()

    def test_a_list_in_another_form_is_refused_as_a_whole_portion(self) -> None:
        with pytest.raises(ValueError, match="normal form") as refused:
            barring.bar_many([(OTHER, "", None), ("199 0000 0001", "", None)], source="import")
        assert "199" not in str(refused.value)
        assert not DoNotCall.objects.exists()


class TestLists:
    def make_list(self) -> BarListImport:
        return BarListImport.objects.create(file_name="list.csv")

    def test_a_list_tells_what_was_new_and_twice_adds_nothing(self) -> None:
        rows = [(f"199{n:08d}", "law", None) for n in range(25_000)]
        mine = self.make_list()
        bar("19900000007")
        told = barring.bar_many(iter(rows + rows[:5]), source="import", list_import=mine)
        assert told == (24_999, 6)
        assert barring.bar_many(rows, source="import", list_import=mine) == (0, 25_000)
        assert DoNotCall.objects.filter(lifted_at=None).count() == 25_000

    def test_taking_a_list_back_allows_only_what_it_alone_forbade(self) -> None:
        account = make_account()
        mine, theirs = self.make_list(), self.make_list()
        rows = [(f"199{n:08d}", "", None) for n in range(5)]
        bar(rows[0][0])  # forbidden before
        assert barring.bar_many(rows, source="import", list_import=mine) == (4, 1)
        assert barring.bar_many(rows, source="import", list_import=mine) == (0, 5)  # again
        bar(rows[1][0], source="call")  # and said no on the phone
        barring.bar_many(rows[2:3], source="import", list_import=theirs)
        assert barring.lift_list(mine, by=None, reason="The wrong file.") == 2
        assert barring.lift_list(theirs, by=None, reason="The wrong file.") == 0
        told = [is_barred(account, row[0]) for row in rows]
        assert told == [True, True, True, False, False]

    def test_a_longer_end_from_a_list_is_told(self) -> None:
        entry = bar(expires_at=timezone.now() + timedelta(days=1))
        barring.bar_many([(PHONE, "", None), (OTHER, "", None)], source="import")
        change = StatusChange.objects.get(subject="donotcall")
        assert (change.subject_id, change.old, change.new) == (entry.pk, "barred", "barred")
        barring.bar_many([(PHONE, "", None), (OTHER, "", None)], source="import")
        assert StatusChange.objects.filter(subject="donotcall").count() == 1


class TestExcluding:
    def test_the_reason_has_the_day_in_the_zone_of_the_account(self) -> None:
        task = make_task(account=make_account(time_zone="Asia/Shanghai"))
        contact = make_contact(task=task, phone=PHONE)
        late, early = bar(), bar(account=task.account)
        day = datetime(2026, 3, 1, 17, tzinfo=UTC)
        DoNotCall.objects.filter(pk=early.pk).update(created_at=day)
        DoNotCall.objects.filter(pk=late.pk).update(created_at=day + timedelta(days=9))
        assert barring.exclude_barred(task, task.contacts.all(), of=["ready"]) == 1
        contact.refresh_from_db()
        assert (contact.status, contact.reason) == ("excluded", barring.BARRED)
        assert contact.reason_values == {"since": "2026-03-02"}
        assert contact.reason_text == "On the do-not-call list since 2026-03-02."

    @pytest.mark.parametrize("status", ["sending", "unknown", "accepted", "finished", "withdrawn"])
    def test_whoever_has_left_is_not_touched(self, status: str) -> None:
        contact = make_contact(phone=PHONE, status=status)
        bar()
        everyone = contact.task.contacts.all()
        assert barring.exclude_barred(contact.task, everyone, of=["ready", "planned"]) == 0
        contact.refresh_from_db()
        assert contact.status == status


@pytest.mark.django_db(transaction=True)
def test_the_same_number_from_sixteen_at_once_is_one_entry() -> None:
    account = make_account()

    def work(seed: int) -> None:
        with transaction.atomic():
            if seed % 4:
                bar(account=account, reason=str(seed))
            else:
                rows = [(f"199{n:08d}", "", None) for n in range(9, -1, -1)]
                barring.bar_many(rows, source="import", account=account)

    run_at_once([lambda seed=seed: work(seed) for seed in range(16)])
    assert DoNotCall.objects.filter(phone=PHONE, lifted_at=None).count() == 1
    told = StatusChange.objects.filter(subject="donotcall").count()
    assert told in (11, 12)  # all twelve, or all but the one who made it


@pytest.mark.django_db(transaction=True)
def test_who_bars_the_number_of_a_call_waits_for_pushes_about_it() -> None:
    """A push is written under its call's lock, and a rule may bar the same number there."""
    account = make_account()
    call = Call.objects.create(
        account=account, platform_call_id="call-1", callee=PHONE, happened_at=timezone.now()
    )
    locked = threading.Event()

    def write_push() -> None:
        with transaction.atomic():
            Call.objects.select_for_update().get(pk=call.pk)
            locked.set()
            wait_for_waiting()
            bar(account=account, source="rule", call=call)

    def press_button() -> None:
        assert locked.wait(20)
        bar(account=account, source="call", call=call)

    run_at_once([write_push, press_button])
    assert DoNotCall.objects.get().source == "rule"


def wait_for_waiting() -> None:
    """Until somebody waits for a lock of this connection."""
    ends = time.monotonic() + 90
    waiting = (
        "SELECT count(*) FROM pg_locks"
        " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    )
    while time.monotonic() < ends:
        with connection.cursor() as cursor:
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits.")


def test_entries_are_locked_in_the_order_of_python() -> None:
    """A database in English passes over the plus of a number when it sorts."""
    with CaptureQueriesContext(connection) as queries:
        entry = bar()
        barring.bar_many([(PHONE, "", None), ("+13105550123", "", None)], source="import")
        barring.lift_bar(entry, by=None, reason="a mistake")
    ordered = [one["sql"] for one in queries if "ORDER BY" in one["sql"] and "phone" in one["sql"]]
    locking = [sql for sql in ordered if "ON CONFLICT" in sql or "FOR UPDATE" in sql]
    assert len(locking) == 3
    assert all('COLLATE "C"' in sql for sql in locking)
