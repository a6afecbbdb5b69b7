"""In: rows whose numbers others know. Out: who is not called, why, and as the sum says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone, translation

from campaigns.barring import bar_number, lift_bar
from campaigns.importing import verdicts
from campaigns.models import Account, Call, Contact, ContactImport, Task
from tests.campaigns.importing.uploads import HEADER, check, load
from tests.factories import make_account, make_contact, make_robot, make_task

pytestmark = pytest.mark.django_db

ZEROS = dict.fromkeys(["ready", *verdicts.VERDICTS, "rejected"], 0)


@pytest.fixture(autouse=True, params=["a few", "many"])
def numbers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the account knows is looked up, or read as a whole: the answer is the same."""
    if request.param == "many":
        monkeypatch.setattr(verdicts, "_FEW", -1)


def make_file(*numbers: int) -> str:
    return HEADER + "".join(f"199{number:08d},row {number}\n" for number in numbers)


def tell(one: ContactImport) -> dict[int, str]:
    """{line: status, or the sentence why not}"""
    rows = Contact.objects.filter(source=one).order_by("line_number")
    return {row.line_number or 0: row.reason_text or row.status for row in rows}


def check_sum(one: ContactImport) -> None:
    counts = one.counts
    parts = [counts[name] for name in ZEROS]
    assert counts["rows"] == sum(parts)
    assert counts["rejected"] == sum(counts["invalid"].values()) == one.rejected
    contacts = Contact.objects.filter(source=one)
    assert contacts.filter(status="ready").count() == counts["ready"] == one.loaded
    assert contacts.filter(status="excluded").count() == one.excluded
    assert one.loaded + one.excluded + one.rejected == counts["rows"]


def make_sister(task: Task, **fields: Any) -> Task:
    return make_task(account=task.account, robot=task.robot, **fields)


def make_call(account: Account, contact: Contact, *, days: int = 0) -> Call:
    at = timezone.now() - timedelta(days=days)
    return Call.objects.create(
        account=account,
        contact=contact,
        task=contact.task,
        platform_call_id=f"{contact.pk}-{days}-{Call.objects.count()}",
        callee=contact.phone,
        direction="outbound",
        has_record=True,
        happened_at=at,
        dialed_at=at,
    )


@pytest.mark.parametrize(("keep", "wins", "loses"), [("first", 2, 4), ("last", 4, 2)])
def test_in_the_file_the_first_or_the_last_row_counts(keep: str, wins: int, loses: int) -> None:
    one = load(make_file(1, 2, 1), keep_row=keep)
    told = tell(one)
    assert told[wins] == told[3] == "ready"
    assert f"line {wins} of the file" in told[loses]
    assert one.counts == ZEROS | {"rows": 3, "ready": 2, "duplicate_file": 1, "invalid": {}}
    check_sum(one)


def test_each_scope_includes_the_ones_before_it() -> None:
    first = make_task()
    task = make_sister(first, family=first)
    other = make_sister(first)
    old = make_sister(first)
    make_contact(task=task, phone="19900000001")
    make_contact(task=first, phone="19900000002", status="finished")
    make_contact(task=other, phone="19900000003", status="accepted")
    ancient = make_contact(task=old, phone="19900000004", status="finished")
    Contact.objects.filter(pk=ancient.pk).update(created_at=timezone.now() - timedelta(days=40))
    make_contact(phone="19900000005")  # of another account
    make_contact(task=other, phone="19900000006", status="excluded")
    make_contact(task=first, phone="19900000006", status="withdrawn")
    content = make_file(1, 2, 3, 4, 5, 6)
    counts = {
        scope: check(content, task=task, duplicates=scope, duplicate_days=days).counts
        for scope, days in [
            ("file", None), ("task", None), ("family", None), ("days", 30), ("account", None),
        ]
    }  # fmt: skip
    assert {scope: found["ready"] for scope, found in counts.items()} == {
        "file": 6,
        "task": 5,
        "family": 4,
        "days": 3,
        "account": 2,
    }
    names = ["duplicate_task", "duplicate_family", "duplicate_days", "duplicate_account"]
    assert [counts["account"][name] for name in names] == [1, 1, 0, 2]
    assert [counts["days"][name] for name in names] == [1, 1, 1, 0]
    one = load(content, task=task, duplicates="account")
    today = timezone.localdate(timezone=task.account.zone).isoformat()
    told = tell(one)
    assert told[2] == "The task has this number already."
    assert "family" in told[3]
    assert told[4] == (
        f"The task “{other.name}” of this account has had this number since {today}."
    )
    assert f"“{old.name}”" in told[5]
    assert (told[6], told[7]) == ("ready", "ready")
    check_sum(one)


def test_the_family_counts_in_its_round_only() -> None:
    first = make_task()
    make_contact(task=first, phone="19900000001", status="finished")
    again = make_sister(first, family=first, round=2)
    assert load(make_file(1), task=again).loaded == 1


def test_days_of_duplicates_are_told() -> None:
    first = make_task()
    make_contact(task=first, phone="19900000001", status="finished")
    task = make_sister(first)
    one = load(make_file(1), task=task, duplicates="days", duplicate_days=3)
    assert "within the last 3 days" in tell(one)[2]


def test_who_is_on_the_list_is_a_contact_with_the_day_and_is_not_called() -> None:
    account = make_account()
    task = make_task(robot=make_robot(account=account))
    bar_number("19900000001", account=account, source="manual")
    bar_number("19900000002", source="manual")
    bar_number("19900000003", account=make_account(), source="manual")
    lifted = bar_number("19900000004", account=account, source="manual")
    lift_bar(lifted, by=None, reason="asked for")
    expired = bar_number("19900000005", account=account, source="manual")
    expired.expires_at = timezone.now() - timedelta(minutes=1)
    expired.save()
    one = load(make_file(1, 2, 3, 4, 5), task=task)
    told = tell(one)
    today = timezone.localdate(timezone=account.zone).isoformat()
    assert told[2] == told[3] == f"On the do-not-call list since {today}."
    assert [told[line] for line in (4, 5, 6)] == ["ready"] * 3
    assert one.counts == ZEROS | {"rows": 5, "ready": 3, "barred": 2, "invalid": {}}
    check_sum(one)


def test_an_entry_that_came_after_the_check_counts_at_the_load() -> None:
    from campaigns.importing import confirm_import, loading

    task = make_task()
    one = check(make_file(1, 2), task=task)
    assert one.counts["barred"] == 0
    bar_number("19900000001", account=task.account, source="manual")
    confirm_import(one, by=None)
    loading.load_import(one.pk)
    one.refresh_from_db()
    assert (one.loaded, one.excluded, one.counts["barred"]) == (1, 1, 1)
    assert one.reason_text.startswith("2 rows could be loaded when the file was checked, and 1")
    check_sum(one)


def test_the_frequency_cap_counts_calls_made_and_on_their_way_and_this_task() -> None:
    account = make_account(cap_calls=3, cap_days=7)
    before = make_task(robot=make_robot(account=account), recall_count=1)
    called = make_contact(task=before, phone="19900000001", status="finished", calls_made=2)
    for days in (1, 2):
        make_call(account, called, days=days)
    long_ago = make_contact(task=before, phone="19900000002", status="finished", calls_made=1)
    make_call(account, long_ago, days=20)
    # one call and one recall may come of it
    make_contact(task=before, phone="19900000003", status="accepted")
    task = make_task(account=account, robot=before.robot, recall_count=1)
    one = load(make_file(1, 2, 3, 4), task=task)
    told = tell(one)
    assert "2 calls to this number within 7 days" in told[2]
    assert "allows 3" in told[2]
    assert (told[3], told[5]) == ("ready", "ready")
    assert "2 calls" in told[4]
    assert one.counts == ZEROS | {"rows": 4, "ready": 2, "capped": 2, "invalid": {}}
    check_sum(one)
    account.cap_calls = None
    account.save()
    assert load(make_file(1, 2, 3, 4), task=make_sister(task, recall_count=1)).loaded == 4


def test_a_row_gets_the_first_verdict_that_fits() -> None:
    account = make_account(cap_calls=1)
    task = make_task(robot=make_robot(account=account), recall_count=1)  # over the cap, all of it
    make_contact(task=task, phone="19900000001")
    for number in (1, 2):
        bar_number(f"1990000000{number}", account=account, source="manual")
    one = load(make_file(1, 1, 2, 3) + "110,x\n", task=task)
    assert one.counts == ZEROS | {
        "rows": 5,
        "duplicate_file": 1,
        "duplicate_task": 1,
        "barred": 1,
        "capped": 1,
        "rejected": 1,
        "invalid": {"phone": 1},
    }
    check_sum(one)


def test_what_the_planner_believes_of_the_staged_rows_does_not_matter() -> None:
    """The table grows and is emptied within minutes: its statistics are always of the past."""
    check(make_file(*range(1_000)))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE campaigns_stagedrow")
        # row by row it would be a minute
        cursor.execute("SET LOCAL statement_timeout = '10s'")
    task = make_task()
    one = load(make_file(*range(40_000), 1, 2, 3), task=task, duplicates="account")
    assert (one.loaded, one.excluded) == (40_000, 3)
    again = load(make_file(*range(20_000, 60_000)), task=task, duplicates="account")
    assert (again.loaded, again.excluded) == (20_000, 20_000)
    few = load(HEADER + "19900000001,x\n" * 40_000, task=task)
    assert (few.loaded, few.excluded) == (0, 40_000)


def test_every_sentence_has_its_values_in_every_language() -> None:
    for language in ("en", "zh-hans"):
        with translation.override(language):
            values = {"line": 2, "task": "a", "since": "2026-01-01", "days": 3, "calls": 1}
            for sentence in (verdicts.IN_FILE, verdicts.IN_FILE_LATER, *verdicts.OF_OTHERS):
                contact = Contact(reason=sentence, reason_values=values)
                assert "%(" not in contact.reason_text
