"""In: files of numbers that nobody may call. Out: entries of the do-not-call list, all or none.

Must catch: a list without a header whose first number is lost, a number of another column barred, a
day that ends too early, half a list after a crash, a list that takes back what it did not do.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import xlsxwriter
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone, translation

from campaigns import barring
from campaigns.importing import ImportRefused, barlist, barlist_rows
from campaigns.models import Account, BarListImport, DoNotCall, StatusChange
from tests.factories import make_account

pytestmark = pytest.mark.django_db
FIRST, SECOND, THIRD = "19900000001", "19900000002", "19900000003"
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture(autouse=True)
def _storage(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def bring(content: str | bytes, *, account: Account | None = None, **given: Any) -> BarListImport:
    """The list as it is when its job is done."""
    data = content.encode() if isinstance(content, str) else content
    one = barlist.receive_list(data, file_name="list.csv", account=account, **given)
    barlist.work_on_list(one.pk)
    one.refresh_from_db()
    return one


def list_phones(one: BarListImport) -> list[str]:
    return sorted(one.entries.values_list("phone", flat=True))


def count(one: BarListImport) -> tuple[int, int, int]:
    return one.added, one.known, one.rejected


def make_workbook(rows: Sequence[Sequence[Any]]) -> bytes:
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        for number, row in enumerate(rows):
            for place, value in enumerate(row):
                style = day if isinstance(value, datetime) else None
                sheet.write(number, place, value, style)
    return stream.getvalue()


# ---------------------------------------------------------------------- which column, which rows


@pytest.mark.parametrize(
    "content",
    [
        f"{FIRST}\n{SECOND}\n",
        f"{FIRST}\r{SECOND}\r",
        f"phone\n{FIRST}\n{SECOND}\n",
        f"手机号码\n+86 199-0000-0001\n'{SECOND}\n",
        f"numbers to leave alone\n{FIRST}\n{SECOND}\n",
        f"姓名,客户手机号码\n张三,{FIRST}\n李四,{SECOND}\n",
        f"Mobile Number;name\n{FIRST};a\n{SECOND};b\n",
        f"张三,{FIRST}\n李四,{SECOND}\n",
        f"list of June\n\nphone,note\n{FIRST},x\n\n{SECOND}\n",
        f"\ufeffphone\n{FIRST}\n{SECOND}\n".encode("utf-16"),
        f"电话,备注\n{FIRST},投诉\n{SECOND},投诉\n".encode("gb18030"),
        make_workbook([["手机号"], [19900000001], [SECOND]]),
        make_workbook([[19900000001], [19900000002]]),
    ],
)
def test_the_numbers_are_found(content: str | bytes) -> None:
    one = bring(content)
    assert one.status == "done"
    assert list_phones(one) == [FIRST, SECOND]
    assert count(one) == (2, 0, 0)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("name,city\n张三,上海\n", "no column of phone numbers"),
        (f"phone,mobile\n{FIRST},{SECOND}\n", "more than one column of phone numbers"),
        (f"{FIRST},{SECOND}\n", "more than one phone number"),
        ("", "The file is empty."),
        ("\n\n", "no row with text"),
        (b"%PDF-1.4 ...", "PDF"),
    ],
)
def test_what_is_no_list_is_refused_and_not_kept(
    content: str | bytes, sentence: str, tmp_path: Path
) -> None:
    data = content.encode() if isinstance(content, str) else content
    with pytest.raises(ImportRefused) as refused:
        barlist.receive_list(data, file_name="list.csv")
    assert sentence in str(refused.value)
    assert not BarListImport.objects.exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_header_without_rows_fails_with_a_sentence() -> None:
    one = bring("phone\n")
    assert (one.status, one.reason) == ("failed", barlist.NO_NUMBERS)


def test_rows_that_are_no_numbers_are_told_and_the_others_are_barred() -> None:
    rows = [
        "phone,name,reason",
        f"{FIRST},a,x",
        "1.99E+10,b,x",
        "110,c,x",
        '"19900000002,d,x',
        "19900000003,e,x,more",
        ",f,x",
        f"{THIRD},g\0,x",
        f"{SECOND},h,\0",
    ]
    one = bring("\n".join(rows) + "\n")
    assert list_phones(one) == [FIRST, SECOND, THIRD]
    told = {row["line"]: (row["column"], row["code"]) for row in one.rejected_rows}
    assert told == {
        3: ("phone", "phone"),
        4: ("phone", "phone"),
        5: ("", "unclosed_quote"),
        6: ("", "too_many_cells"),
        7: ("phone", "phone"),
        9: ("reason", "zero_character"),
    }
    assert [row["line"] for row in one.rejected_rows if row.get("barred")] == [6, 9]
    assert sum(count(one)) == len(rows) - 1
    assert one.rejected == 4


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (f"{FIRST},x,31/12/2027", "expiry"),
        (f"{FIRST},x,next month", "expiry"),
        (f"{FIRST},x,2099-12-31,2020-01-01", "too_many_cells"),
        (f"{FIRST},\0,", "zero_character"),
        (f"{FIRST},x,\0", "zero_character"),
        (f'{FIRST},"x', "unclosed_quote"),
    ],
)
@pytest.mark.parametrize("days", [None, 30])
def test_a_number_is_barred_whatever_else_of_its_row_cannot_be_read(
    row: str, code: str, days: int | None
) -> None:
    end = timezone.now() + timedelta(days=days) if days else None
    one = bring(f"phone,reason,until\n{row}\n", expires_at=end, reason="of the list")
    assert one.entries.get().expires_at == end
    assert count(one) == (1, 0, 0)
    (told,) = one.rejected_rows
    assert (told["line"], told["code"], told["barred"]) == (2, code, True)


def test_the_number_of_a_hidden_row_is_barred() -> None:
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for number, value in enumerate(["phone", FIRST, SECOND]):
            sheet.write(number, 0, value)
        sheet.set_row(1, None, None, {"hidden": True})
    one = bring(stream.getvalue())
    assert list_phones(one) == [FIRST, SECOND]
    assert [(row["code"], row["barred"]) for row in one.rejected_rows] == [("hidden_row", True)]


def test_a_number_of_several_countries_is_asked_about() -> None:
    for region in ("CN", "US"):
        make_account(region=region)
    one = bring(f"phone\n13105550123\n+1 310 555 0124\n1 (310) 555-0125\n{FIRST}\n")
    assert list_phones(one) == ["+13105550124", "+13105550125", FIRST]
    assert [row["reason"] for row in one.rejected_rows] == [barlist_rows.SEVERAL_COUNTRIES]


def test_a_first_number_that_cannot_be_read_is_no_header() -> None:
    one = bring(f"1.9900E+10\n{FIRST}\n{SECOND}\n")
    assert list_phones(one) == [FIRST, SECOND]
    assert [row["line"] for row in one.rejected_rows] == [1]


def test_only_the_first_refused_rows_are_kept_and_all_are_counted() -> None:
    one = bring("phone\n" + "nobody\n" * (barlist_rows.KEPT + 5))
    assert one.rejected == barlist_rows.KEPT + 5
    assert len(one.rejected_rows) == barlist_rows.KEPT


def test_numbers_without_a_country_are_of_the_account() -> None:
    jakarta = make_account(region="ID")
    one = bring("phone\n0812-3456-7890\n+86 199 0000 0001\n", account=jakarta)
    assert list_phones(one) == ["+6281234567890", FIRST]
    make_account()
    one = bring("phone\n0812-3456-7890\n")
    assert [row["reason"] for row in one.rejected_rows] == [barlist_rows.SEVERAL_COUNTRIES]


def test_each_row_is_counted_once() -> None:
    barring.bar_number(FIRST, source="manual")
    one = bring(f"phone\n{FIRST}\n{SECOND}\n199 0000 0002\n{THIRD}\nx\n")
    assert count(one) == (2, 2, 1)
    assert sum(count(one)) == 5


# ------------------------------------------------------------------------------- why, until when


def test_rows_have_their_own_reason_and_day_or_those_of_the_list() -> None:
    general = timezone.now() + timedelta(days=30)
    year = timezone.localdate().year + 1
    one = bring(
        f"手机号,原因,截止日期\n{FIRST},投诉,{year}-12-31\n{SECOND},,\n{THIRD},,永久\n",
        account=make_account(time_zone="Asia/Shanghai"),
        reason="list of June",
        expires_at=general,
    )
    entries = {entry.phone: entry for entry in one.entries.all()}
    assert entries[FIRST].reason == "投诉"
    assert entries[FIRST].expires_at == datetime(year + 1, 1, 1, tzinfo=SHANGHAI)
    assert (entries[SECOND].reason, entries[SECOND].expires_at) == ("list of June", general)
    assert entries[THIRD].expires_at is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-12-31", datetime(2028, 1, 1, tzinfo=SHANGHAI)),
        ("2027/1/2", datetime(2027, 1, 3, tzinfo=SHANGHAI)),
        ("2027年1月2日", datetime(2027, 1, 3, tzinfo=SHANGHAI)),
        ("2027-01-02 00:00:00", datetime(2027, 1, 3, tzinfo=SHANGHAI)),
        ("2027-01-02T18:30:00", datetime(2027, 1, 2, 18, 30, tzinfo=SHANGHAI)),
        ("2027-02-30", None),
        ("99999-01-01", None),
        ("0001-01-01", None),
        ("tomorrow", None),
        ("31/12/2027", None),
    ],
)
def test_a_day_ends_at_its_end(text: str, moment: datetime | None) -> None:
    assert barlist_rows.read_last_day(text, SHANGHAI) == moment


def test_a_day_ends_at_its_end_where_the_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert barlist_rows.read_last_day("2027-03-28", berlin) == datetime(2027, 3, 29, tzinfo=berlin)


def test_days_that_are_over_are_refused() -> None:
    one = bring(f"phone,until\n{FIRST},2001-01-01\n{THIRD},2099-01-01\n")
    assert list_phones(one) == [THIRD]
    told = [(row["line"], row["column"], row["code"]) for row in one.rejected_rows]
    assert told == [(2, "until", "expiry")]


def test_a_day_for_all_accounts_is_over_when_it_is_everywhere() -> None:
    for zone in ("Asia/Shanghai", "America/Los_Angeles"):
        make_account(time_zone=zone)
    one = bring(f"phone,until\n{FIRST},2099-12-31\n")
    there = ZoneInfo("America/Los_Angeles")
    assert one.entries.get().expires_at == datetime(2100, 1, 1, tzinfo=there)


def test_a_day_of_a_workbook_is_a_day() -> None:
    day = datetime(timezone.localdate().year + 1, 6, 30)  # noqa: DTZ001 - as a spreadsheet has it
    one = bring(make_workbook([["phone", "expires"], [19900000001, day]]))
    entry = one.entries.get()
    assert entry.expires_at == datetime(day.year, 7, 1, tzinfo=timezone.get_default_timezone())


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_template_is_read_and_its_example_is_not_barred(language: str) -> None:
    template = barlist_rows.make_list_template(language).decode("utf-8-sig")
    assert template.count("\r\n") == 2
    with translation.override(language):
        one = bring(template + f"{SECOND},x,2099-12-31\r\n")
    assert list_phones(one) == [SECOND]
    assert [row["code"] for row in one.rejected_rows] == ["example_row"]


# ---------------------------------------------------------------------------- jobs, and undoing


def count_jobs() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM procrastinate_jobs"
            " WHERE task_name = 'campaigns.jobs.import_bar_list' AND status = 'todo'"
        )
        return int(cursor.fetchone()[0])


def test_the_job_is_there_with_the_list_and_the_file_gone_after_it(tmp_path: Path) -> None:
    one = barlist.receive_list(f"{FIRST}\n".encode(), file_name="..\\a/list\0.csv")
    assert one.file_name == "list.csv"
    assert (one.status, count_jobs()) == ("running", 1)
    assert not DoNotCall.objects.exists()
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    barlist.work_on_list(one.pk)
    one.refresh_from_db()
    assert (one.status, one.file.name, len(one.sha256)) == ("done", "", 64)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_second_run_does_nothing() -> None:
    one = bring(f"{FIRST}\n")
    before = StatusChange.objects.count()
    barlist.work_on_list(one.pk)
    assert StatusChange.objects.count() == before


def test_a_list_whose_worker_dies_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barlist, "PORTION", 2)
    phones = [f"1990000{number:04d}" for number in range(7)]
    content = "\n".join(["phone", *phones, phones[3], "x"])
    one = barlist.receive_list(content.encode(), file_name="list.csv")
    real, portions = barlist.bar_many, []

    def die_in_the_third(rows: Any, **given: Any) -> Any:
        portions.append([row[0] for row in rows])
        written = real(rows, **given)
        if len(portions) == 3:
            raise RuntimeError("killed")
        return written

    monkeypatch.setattr(barlist, "bar_many", die_in_the_third)
    with pytest.raises(RuntimeError):
        barlist.work_on_list(one.pk)
    one.refresh_from_db()
    assert (one.status, count(one), DoNotCall.objects.count()) == ("running", (4, 0, 0), 4)
    barlist.work_on_list(one.pk)
    one.refresh_from_db()
    assert (one.status, count(one), DoNotCall.objects.count()) == ("done", (7, 1, 1), 7)
    assert portions[2] == portions[3], "the third was taken back and is done again"
    assert len(portions) == 5


def test_a_file_that_cannot_be_read_to_its_end_puts_nothing_on_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(barlist, "PORTION", 1)
    one = barlist.receive_list(f"{FIRST}\n{SECOND}\n".encode(), file_name="list.csv")
    real = barlist.read_table

    def break_off(*given: Any) -> Any:
        yield from list(real(*given))[:1]
        raise ImportRefused("The workbook is damaged after row %(row)s.", row=1)

    monkeypatch.setattr(barlist, "read_table", break_off)
    barlist.work_on_list(one.pk)
    one.refresh_from_db()
    assert (one.status, one.reason_text) == ("failed", "The workbook is damaged after row 1.")
    assert not DoNotCall.objects.exists()


def test_what_kills_its_worker_again_and_again_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = barlist.receive_list(f"{FIRST}\n{SECOND}\n".encode(), file_name="list.csv")
    monkeypatch.setattr(barlist, "PORTION", 1)
    real = barlist.bar_many

    def die(rows: Any, **given: Any) -> Any:
        if rows[0][0] == SECOND:
            raise RuntimeError("killed")
        return real(rows, **given)

    monkeypatch.setattr(barlist, "bar_many", die)
    for _ in range(1 + barlist.TRIES):  # the first one gets on
        with pytest.raises(RuntimeError):
            barlist.work_on_list(one.pk)
    barlist.work_on_list(one.pk)
    one.refresh_from_db()
    assert (one.status, one.reason) == ("failed", barlist.STOPPED)
    assert set(barring.find_barred(None, [FIRST, SECOND])) == {FIRST}, "somebody said no"
    assert barlist.undo_list(one, by=None, reason="wrong file")
    barlist.work_on_list(one.pk)
    assert not barring.find_barred(None, [FIRST, SECOND])


def test_workers_that_end_often_do_not_stop_a_list_that_gets_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(barlist, "PORTION", 1)
    phones = [f"1990000{number:04d}" for number in range(barlist.TRIES + 3)]
    one = barlist.receive_list("\n".join(phones).encode(), file_name="list.csv")
    real, written = barlist.bar_many, []

    def end_after_one(rows: Any, **given: Any) -> Any:
        if len(written) % 2:
            written.append(None)
            raise RuntimeError("restarted")
        written.append(rows)
        return real(rows, **given)

    monkeypatch.setattr(barlist, "bar_many", end_after_one)
    for _ in phones[:-1]:
        with pytest.raises(RuntimeError):
            barlist.work_on_list(one.pk)
    barlist.work_on_list(one.pk)
    one.refresh_from_db()
    assert (one.status, one.added) == ("done", len(phones))


def test_the_file_of_a_list_that_is_over_is_deleted_whoever_died(tmp_path: Path) -> None:
    one = barlist.receive_list(f"{FIRST}\n".encode(), file_name="list.csv")
    BarListImport.objects.filter(pk=one.pk).update(status="failed")
    barlist.settle_lists()
    one.refresh_from_db()
    assert one.file.name == ""
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_lists_of_dead_workers_are_found() -> None:
    one = barlist.receive_list(f"{FIRST}\n".encode(), file_name="list.csv")
    half = BarListImport.objects.create(file_name="half.csv")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    barlist.settle_lists()
    assert count_jobs() == 0, "it has just begun"
    old = timezone.now() - timedelta(hours=2)
    BarListImport.objects.update(created_at=old)
    barlist.settle_lists()
    barlist.settle_lists()
    assert count_jobs() == 1
    half.refresh_from_db()
    assert (half.status, one.status) == ("failed", "running")


def test_a_list_is_taken_back_once_and_only_what_it_did() -> None:
    person = User.objects.create_user("somebody")
    known = barring.bar_number(FIRST, source="manual", reason="said so")
    one = bring(f"{FIRST}\n{SECOND}\n{THIRD}\n")
    barring.bar_number(THIRD, source="manual", reason="said so too")
    assert barlist.undo_list(one, by=person, reason="wrong file")
    assert not barlist.undo_list(one, by=person, reason="wrong file again")
    barlist.work_on_list(one.pk)
    assert set(barring.find_barred(None, [FIRST, SECOND, THIRD])) == {FIRST, THIRD}
    lifted = DoNotCall.objects.get(phone=SECOND)
    assert (lifted.lifted_by, lifted.lifted_reason) == (person, "wrong file")
    known.refresh_from_db()
    assert known.lifted_at is None
    one.refresh_from_db()
    assert one.status == "undone"
    assert one.reason_text == "Taken back: wrong file"


def test_a_list_that_is_taken_back_is_lifted_whoever_dies_meanwhile() -> None:
    one = bring(f"{FIRST}\n{SECOND}\n")
    barlist.undo_list(one, by=None, reason="wrong file")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    barlist.settle_lists()
    assert count_jobs() == 1
    barlist.work_on_list(one.pk)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    barlist.settle_lists()
    assert count_jobs() == 0
    assert not barring.find_barred(None, [FIRST, SECOND])


def test_a_percent_sign_in_a_reason_breaks_nothing() -> None:
    one = bring(f"phone,reason\n{FIRST},100%s sure\n", reason="%(x)s")
    assert one.entries.get().reason == "100%s sure"
    barlist.undo_list(one, by=None, reason="50% of them %(why)s")
    barlist.work_on_list(one.pk)
    one.refresh_from_db()
    assert one.entries.get().lifted_reason == "50% of them %(why)s"
    assert one.reason_text.endswith("50% of them %(why)s")


@pytest.mark.django_db(transaction=True)
def test_lists_and_people_with_the_same_numbers_do_not_stop_one_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever held a number of one portion while waiting for one of another would."""
    monkeypatch.setattr(barlist, "PORTION", 5)
    phones = [f"1990000{number:04d}" for number in range(60)]
    lists = [
        barlist.receive_list("\n".join(order).encode(), file_name="list.csv")
        for order in (phones, phones[::-1])
    ]

    def enter() -> None:
        for first, second in pairwise(phones):
            with transaction.atomic():
                barring.bar_number(first, source="manual")
                barring.bar_number(second, source="manual")

    jobs: list[Callable[[], None]] = [partial(barlist.work_on_list, one.pk) for one in lists]
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(close_after, job) for job in (*jobs, enter)]:
            done.result(timeout=60)
    assert DoNotCall.objects.count() == len(phones)
    for one in lists:
        one.refresh_from_db()
        assert (one.status, one.added + one.known) == ("done", len(phones))


def close_after(job: Callable[[], None]) -> None:
    try:
        job()
    finally:
        connection.close()
