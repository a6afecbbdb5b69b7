"""In: an import and what somebody decides about it, in any order. Out: the step, or why not."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from django.utils import timezone

from campaigns import importing, lifecycle
from campaigns.importing import (
    ImportRefused,
    begin_check,
    cancel_import,
    change_reading,
    choose_columns,
    confirm_import,
    find_same_file,
    forget_files,
    preview_contacts,
    read_preview,
    receive_file,
    reopen_import,
    settle_imports,
)
from campaigns.models import Contact, ContactImport, StagedRow, StatusChange, Task
from tests.campaigns.importing.uploads import HEADER, check, is_clean, load, make_rows, receive
from tests.factories import make_robot, make_task

pytestmark = pytest.mark.django_db


def make_workbook() -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True})
    for name, number in (("一月", 19900000001), ("二月", 19900000002)):
        sheet = book.add_worksheet(name)
        sheet.write_row(0, 0, ["客户手机号码", "姓名"])
        sheet.write_row(1, 0, [number, name])
    book.close()
    return file.getvalue()


def list_files(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


def list_jobs(one: ContactImport) -> list[str]:
    from procrastinate.contrib.django.models import ProcrastinateJob

    jobs = ProcrastinateJob.objects.filter(args__import_id=one.pk).order_by("id")
    return [job.task_name.rpartition(".")[2] for job in jobs]


# ------------------------------------------------------------------------------------- received


def test_what_is_found_is_written_down_and_the_file_is_frozen(media: Path) -> None:
    content = "名单\n手机;姓名;城市\n19900000001;张;北京\n".encode("gb18030")
    one = receive_file(make_task(), io.BytesIO(content), file_name="C:\\a\\名单.csv", by=None)
    one.refresh_from_db()
    assert (one.status, one.origin, one.kind, one.file_name) == (
        *("uploaded", "browser", "text", "名单.csv"),
    )
    assert (one.encoding, one.delimiter, one.header_line) == ("gb18030", ";", 2)
    assert one.header == ["手机", "姓名", "城市"]
    assert one.mapping == {"客户手机号码": "手机", "姓名": "姓名"}
    assert (one.size, len(one.sha256)) == (len(content), 64)
    (kept,) = list_files(media)
    assert kept.read_bytes() == content
    assert "名单" not in str(kept)


def test_what_is_no_table_has_failed_and_is_not_kept(media: Path) -> None:
    with pytest.raises(ImportRefused, match="PDF"):
        receive_file(make_task(), b"%PDF-1.7 19900000001", file_name="a.csv", by=None)
    one = ContactImport.objects.get()
    assert (one.status, one.file.name, list_files(media)) == ("failed", "", [])
    assert "PDF" in one.reason_text


def test_a_file_over_the_limit_leaves_nothing(media: Path, settings: Any) -> None:
    settings.IMPORT_MAX_BYTES = 1_000_000
    with pytest.raises(ImportRefused, match="1 MB"):
        receive_file(make_task(), make_rows(100_000), file_name="a.csv", by=None)
    assert list_files(media) == []
    assert ContactImport.objects.get().status == "failed"


def test_an_upload_that_is_cut_off_leaves_nothing(media: Path) -> None:
    class Cut(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 0:
                raise ConnectionResetError
            return super().read(1_000)

    with pytest.raises(ImportRefused, match="could not be kept"):
        receive_file(make_task(), Cut(make_rows(1_000)), file_name="a.csv", by=None)
    assert list_files(media) == []


def test_an_upload_whose_process_died_is_swept_up(media: Path) -> None:
    one = receive_file(make_task(), make_rows(3), file_name="a.csv", by=None)
    old = timezone.now() - timedelta(hours=3)
    ContactImport.objects.filter(pk=one.pk).update(sha256="", created_at=old)
    fresh = receive_file(make_task(), make_rows(3), file_name="a.csv", by=None)
    ContactImport.objects.filter(pk=fresh.pk).update(sha256="")
    settle_imports()
    one.refresh_from_db()
    fresh.refresh_from_db()
    assert (one.status, one.file.name, fresh.status) == ("failed", "", "uploaded")
    assert "cut off" in one.reason_text
    assert len(list_files(media)) == 1


def test_what_was_mapped_the_last_time_for_the_robot_is_suggested() -> None:
    robot = make_robot(columns=["客户手机号码", "姓名"])
    content = "tel,who\n19900000001,张\n"
    load(content, task=make_task(robot=robot), mapping={"客户手机号码": "tel", "姓名": "who"})
    again = receive_file(make_task(robot=robot), content.encode(), file_name="b.csv", by=None)
    assert again.mapping == {"客户手机号码": "tel", "姓名": "who"}
    other = receive_file(make_task(), content.encode(), file_name="b.csv", by=None)
    assert other.mapping.get("姓名") is None


def test_letters_of_a_file_without_a_header_are_not_remembered() -> None:
    task = make_task(robot=make_robot(columns=["客户手机号码", "姓名"]))
    load("19900000001,a\n", task=task, mapping={"客户手机号码": "A", "姓名": "B"})
    again = receive_file(task, b"b,19900000002\n", file_name="b.csv")
    assert (again.header_line, again.mapping) == (None, {})
    # nor do they say anything once the same file is read in another way
    choose_columns(again, mapping={"客户手机号码": "B", "姓名": "A"})
    reading = {"encoding": "utf-8", "sheet": "", "header_line": None}
    change_reading(again, delimiter=",", **reading)
    assert again.mapping == {"客户手机号码": "B", "姓名": "A"}
    change_reading(again, delimiter=";", **reading)
    assert again.mapping == {}


def test_a_contact_is_not_made_a_line_of_names() -> None:
    one = receive(HEADER + "19900000001,a\n")
    with pytest.raises(ImportRefused, match="a number to call"):
        change_reading(one, encoding="utf-8", delimiter=",", sheet="", header_line=2)
    one.refresh_from_db()
    assert one.header_line == 1


@pytest.mark.parametrize("status", ["loading", "running", "deleted"])
def test_only_a_draft_takes_a_file(status: str) -> None:
    with pytest.raises(ImportRefused, match="draft"):
        receive_file(make_task(status=status), make_rows(1), file_name="a.csv", by=None)
    assert not ContactImport.objects.exists()


# --------------------------------------------------------------------------------------- chosen


def test_how_it_is_read_can_be_changed() -> None:
    content = HEADER + "19900000001,Jos\u00e9\n"
    one = receive_file(make_task(), content.encode("utf-16"), file_name="a.csv", by=None)
    reading = {"delimiter": ",", "sheet": "", "header_line": 1}
    with pytest.raises(ImportRefused):
        change_reading(one, encoding="utf-8", by=None, **reading)  # type: ignore[arg-type]
    one.refresh_from_db()
    assert one.encoding == "utf-16"
    titled = receive_file(
        make_task(),
        ("客户手机号码,姓名\n手机,谁\n19900000001,a\n").encode(),
        file_name="b",
        by=None,
    )
    assert titled.header_line == 1
    change_reading(titled, encoding="utf-8", delimiter=",", sheet="", header_line=2, by=None)
    titled.refresh_from_db()
    assert (titled.header_line, titled.header) == (2, ["手机", "谁"])
    assert titled.mapping == {"客户手机号码": "手机"}


def test_another_sheet_can_be_chosen() -> None:
    one = receive_file(make_task(), make_workbook(), file_name="a.xlsx", by=None)
    assert (one.kind, one.mapping["姓名"]) == ("xlsx", "姓名")
    preview = read_preview(one)
    assert [sheet.name for sheet in preview.sheets] == ["一月", "二月"]
    assert preview.rows[1][1] == ["19900000001", "一月"]
    change_reading(one, encoding="", delimiter="", sheet="二月", header_line=1, by=None)
    assert preview_contacts(one)[0].phone == "19900000002"
    begin_check(one, by=None)
    importing.check_import(one.pk)
    confirm_import(ContactImport.objects.get(pk=one.pk), by=None)
    importing.load_import(one.pk)
    contact = Contact.objects.get()
    assert (contact.phone, contact.values["姓名"]) == ("19900000002", "二月")


def test_the_first_rows_are_shown_as_contacts() -> None:
    content = "城市,客户手机号码,姓名\n 北京 ,+86 199-0000-0001,张\n\n上海,110,王\n广州,1,\n深圳\n"
    one = receive(content, kept=["城市"])
    rows = preview_contacts(one)
    assert [(row.line, row.phone) for row in rows] == [
        (2, "19900000001"),
        (4, ""),
        (5, ""),
        (6, ""),
    ]
    assert rows[0].values == {"客户手机号码": "19900000001", "姓名": "张", "城市": "北京"}
    assert rows[0].problem == ""
    assert rows[1].values == {"客户手机号码": "110", "姓名": "王", "城市": "上海"}
    assert "service numbers" in rows[1].problem
    assert rows[3].values == {"客户手机号码": "", "姓名": "", "城市": "深圳"}
    assert "fewer cells" in rows[3].problem
    assert len(preview_contacts(one, count=2)) == 2
    assert is_clean()
    assert read_preview(one, count=2).rows[0][1] == ["城市", "客户手机号码", "姓名"]


def test_a_column_beside_the_robots_is_kept_when_somebody_wants_it() -> None:
    one = load("城市,客户手机号码,姓名\n北京,19900000001,张\n", kept=["城市"])
    assert Contact.objects.get().values == {
        "客户手机号码": "19900000001",
        "姓名": "张",
        "城市": "北京",
    }
    assert one.kept == ["城市"]


def test_choices_that_are_none_are_refused_and_change_nothing() -> None:
    one = receive(HEADER + "19900000001,a\n")
    mapping = one.mapping
    refused: list[dict[str, Any]] = [
        {"mapping": {"客户手机号码": "nothing", "姓名": "姓名"}},
        {"mapping": mapping | {"age": "姓名"}},
        {"mapping": mapping, "kept": ["nothing"]},
        {"mapping": mapping, "duplicates": "days"},
        {"mapping": mapping, "duplicates": "days", "duplicate_days": 4_000},
    ]
    for choice in refused:
        with pytest.raises(ImportRefused):
            choose_columns(one, by=None, **choice)
    for choice in ({"duplicates": "world"}, {"keep_row": "middle"}):
        with pytest.raises(ValueError, match=r"world|middle"):
            choose_columns(one, mapping=mapping, by=None, **choice)
    one.refresh_from_db()
    assert (one.mapping, one.duplicates, one.keep_row) == (mapping, "family", "first")


def test_the_same_file_in_the_account_is_found() -> None:
    task = make_task()
    first = load(make_rows(3), task=task)
    other = make_task(account=task.account, robot=task.robot)
    same = receive(make_rows(3), task=other)
    assert list(find_same_file(same)) == [first]
    assert not find_same_file(receive(make_rows(4), task=other)).exists()
    assert not find_same_file(receive(make_rows(3))).exists(), "another account"
    importing.undo_import(first, by=None)
    assert not find_same_file(same).exists()


# ------------------------------------------------------------------------ checked and confirmed


def test_each_step_enqueues_its_job_and_waits_for_the_one_before() -> None:
    one = receive(make_rows(3))
    with pytest.raises(ImportRefused, match="waiting to be confirmed"):
        confirm_import(one, by=None)
    begin_check(one, by=None)
    assert list_jobs(one) == ["check_import"]
    for act in (begin_check, confirm_import, reopen_import):
        with pytest.raises(ImportRefused):
            act(one, by=None)
    with pytest.raises(ImportRefused, match="cannot be changed"):
        choose_columns(one, mapping=one.mapping, by=None)
    importing.check_import(one.pk)
    one.refresh_from_db()
    assert (one.status, one.counts["ready"], is_clean()) == ("checked", 3, False)
    confirm_import(one, by=None)
    assert list_jobs(one) == ["check_import", "load_import"]
    with pytest.raises(ImportRefused, match="cannot be given up"):
        cancel_import(one, by=None)
    importing.load_import(one.pk)
    one.refresh_from_db()
    assert (one.status, one.loaded, one.progress, one.progress_end) == ("done", 3, 3, 3)
    for act in (begin_check, confirm_import, reopen_import, cancel_import):
        with pytest.raises(ImportRefused):
            act(one, by=None)


def test_what_is_confirmed_is_the_file_that_was_checked(media: Path) -> None:
    one = check(make_rows(3))
    (kept,) = list_files(media)
    kept.unlink()
    confirm_import(one, by=None)
    importing.load_import(one.pk)
    one.refresh_from_db()
    assert one.loaded == 3


def test_only_the_check_that_somebody_saw_is_confirmed() -> None:
    one = check(make_rows(3))
    seen = one.check_stamp
    choose_columns(one, mapping=one.mapping, duplicates="account", by=None)
    begin_check(one, by=None)
    importing.check_import(one.pk)
    with pytest.raises(ImportRefused, match="since you looked"):
        confirm_import(one, by=None, seen=seen)
    one.refresh_from_db()
    assert one.status == "checked"
    confirm_import(one, by=None, seen=one.check_stamp)
    one.refresh_from_db()
    assert one.status == "loading"


def test_nothing_is_confirmed_for_a_task_that_is_no_draft() -> None:
    one = check(make_rows(3))
    Task.objects.filter(pk=one.task_id).update(status="running")
    with pytest.raises(ImportRefused, match="draft"):
        confirm_import(one, by=None)
    one.refresh_from_db()
    assert (one.status, list_jobs(one)) == ("checked", ["check_import"])


def test_a_file_without_rows_fails_and_can_be_read_in_another_way() -> None:
    one = receive(HEADER + "\n,,\n")
    begin_check(one, by=None)
    with pytest.raises(ImportRefused, match="no row below it"):
        importing.check_import(one.pk)
    one.refresh_from_db()
    assert (one.status, bool(one.file)) == ("failed", True)
    choose_columns(one, mapping=one.mapping, keep_row="last", by=None)
    one.refresh_from_db()
    assert (one.status, one.reason, one.keep_row) == ("uploaded", "", "last")


def test_whoever_changes_what_was_checked_has_it_checked_again() -> None:
    one = check(make_rows(3) + b"110,x\n")
    choose_columns(one, mapping=one.mapping, duplicates="account", by=None)
    one.refresh_from_db()
    assert (one.status, one.counts, is_clean()) == ("uploaded", {}, True)
    begin_check(one, by=None)
    importing.check_import(one.pk)
    one.refresh_from_db()
    assert (one.counts["rows"], one.rejected_rows.count()) == (4, 1)


def test_a_check_that_is_repeated_finds_the_same() -> None:
    one = check(make_rows(3) + b"110,x\n")
    counts = one.counts
    begin_check(one, by=None)
    importing.check_import(one.pk)
    one.refresh_from_db()
    assert one.counts == counts
    assert (StagedRow.objects.count(), one.rejected_rows.count()) == (3, 1)


def test_who_gives_it_up_has_nothing_kept(media: Path) -> None:
    one = check(make_rows(3) + b"110,x\n")
    cancel_import(one, by=None)
    one.refresh_from_db()
    assert (one.status, one.file.name, list_files(media)) == ("cancelled", "", [])
    assert one.ended_at is not None
    assert (StagedRow.objects.exists(), one.rejected_rows.exists()) == (False, False)
    importing.load_import(one.pk)
    assert not Contact.objects.exists()


def test_who_did_what_is_told(django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("mia")
    one = receive_file(make_task(), make_rows(1), file_name="a.csv", by=user)
    begin_check(one, by=user)
    importing.check_import(one.pk)
    one.refresh_from_db()
    confirm_import(one, by=user)
    importing.load_import(one.pk)
    one.refresh_from_db()
    assert (one.created_by, one.confirmed_by) == (user, user)
    changes = StatusChange.objects.filter(subject="contactimport", subject_id=one.pk)
    assert [(change.new, change.by) for change in changes.order_by("id")] == [
        ("checking", user),
        ("checked", None),
        ("loading", user),
        ("done", user),
    ]


# ------------------------------------------------------------------------------------ kept for


def test_files_are_kept_for_as_long_as_the_setting_says(media: Path, settings: Any) -> None:
    settings.IMPORT_KEEP_DAYS = 30
    old, fresh = (timezone.now() - timedelta(days=days) for days in (31, 29))
    rows = ContactImport.objects
    done, lately = load(make_rows(3) + b"110,x\n"), load(make_rows(3) + b"110,x\n")
    rows.filter(pk=done.pk).update(ended_at=old)
    rows.filter(pk=lately.pk).update(ended_at=fresh)
    waiting, checked, seen = receive(make_rows(3)), check(make_rows(3)), check(make_rows(3))
    rows.filter(pk__in=[waiting.pk, checked.pk, seen.pk]).update(created_at=old)
    rows.filter(pk=checked.pk).update(checked_at=old)
    failed = receive(make_rows(3))
    lifecycle.move(failed, "failed", of=["uploaded"])
    rows.filter(pk=failed.pk).update(created_at=old)
    busy = receive(make_rows(3))
    begin_check(busy, by=None)
    rows.filter(pk=busy.pk).update(created_at=old)
    assert len(list_files(media)) == 7
    assert forget_files() == 4
    assert len(list_files(media)) == 3
    names = {row.pk: (row.status, bool(row.file)) for row in rows.all()}
    assert names == {
        done.pk: ("done", False),
        lately.pk: ("done", True),
        waiting.pk: ("cancelled", False),
        checked.pk: ("cancelled", False),
        seen.pk: ("checked", True),
        failed.pk: ("failed", False),
        busy.pk: ("checking", True),
    }
    kept = [one.rejected_rows.count() for one in (done, lately)]
    assert kept == [0, 1], "the refused rows have numbers in them, too"
    assert "for 30 days" in rows.get(pk=waiting.pk).reason_text
    assert set(StagedRow.objects.values_list("contact_import", flat=True)) == {seen.pk}
    assert forget_files() == 0
    failed.refresh_from_db()
    with pytest.raises(ImportRefused, match="upload it again"):
        begin_check(failed, by=None)
