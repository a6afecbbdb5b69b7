"""In: workbooks of which not all is read. Out: sentences that say so, wherever somebody looks."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import translation

from campaigns.importing import (
    change_reading,
    make_report,
    receive_file,
    reopen_import,
    tell_notes,
)
from tests.campaigns.importing.uploads import check, load
from tests.campaigns.importing.workbook_files import make_old_workbook, make_workbook
from tests.factories import make_task

pytestmark = pytest.mark.django_db

HEADER = ["客户手机号码", "姓名"]
MORE = "The file has more sheets with rows: “说明”, “四月”. Only “三月” is read."
HIDDEN = "Of the sheet “三月” the columns B are hidden; they are read like all others."


def fill(sheet: Any, number: int) -> None:
    for row, cells in enumerate([HEADER, [str(number), "张三"]]):
        for column, cell in enumerate(cells):
            sheet.write(row, column, cell)


def make_months(*, hide: bool = False) -> bytes:
    def change(book: Any, sheet: Any) -> None:
        sheet.write(0, 0, "谁要打电话")
        march = book.add_worksheet("三月")
        fill(march, 19900000001)
        if hide:
            march.set_column("B:B", None, None, {"hidden": True})
        fill(book.add_worksheet("四月"), 19900000002)
        book.add_worksheet("Sheet4").write_blank(3, 3, None, book.add_format({"bold": True}))
        secret = book.add_worksheet("secret")
        fill(secret, 19900000003)
        secret.hide()

    return make_workbook(name="说明", change=change)


def test_sheets_that_are_not_read_are_told_from_the_upload_to_the_report() -> None:
    one = receive_file(make_task(), make_months(), file_name="a.xlsx", by=None)
    one.refresh_from_db()
    assert (one.sheet, tell_notes(one)) == ("三月", [MORE])
    done = load(make_months(hide=True))
    report = make_report(done)
    assert report["notes"] == [MORE, HIDDEN]
    assert "notes" not in report["counts"]
    assert report["counts"]["rows"] == 1


def test_notes_are_of_the_sheet_that_is_read() -> None:
    one = check(make_months())
    reopen_import(one)
    assert tell_notes(one) == [MORE]
    change_reading(one, encoding="", delimiter="", sheet="四月", header_line=1)
    one.refresh_from_db()
    assert tell_notes(one) == [
        MORE.replace("三月", "x").replace("四月", "三月").replace("x", "四月")
    ]


def test_there_is_nothing_to_say_of_other_files() -> None:
    for content in (
        "客户手机号码,姓名\n19900000001,张三\n".encode(),
        make_workbook([HEADER, ["19900000001", "张三"]]),
    ):
        assert make_report(check(content))["notes"] == []


def test_old_workbooks_tell_the_same() -> None:
    def change(book: Any, sheet: Any) -> None:
        fill(book.add_sheet("二"), 19900000002)
        book.add_sheet("empty")

    content = make_old_workbook([HEADER, ["19900000001", "张三"]], change=change)
    assert tell_notes(check(content)) == [
        "The file has more sheets with rows: “二”. Only “Sheet1” is read."
    ]


def test_the_pages_tell_it(admin_client: Any) -> None:
    waiting = receive_file(make_task(), make_months(), file_name="a.xlsx", by=None)
    checked, done = check(make_months()), load(make_months())
    pages = [("columns", waiting), ("reading", waiting), ("change", checked), ("change", done)]
    for step, one in pages:
        url = reverse(f"admin:campaigns_contactimport_{step}", args=[one.pk])
        assert MORE in admin_client.get(url).content.decode().replace("&quot;", '"')


def test_the_command_tells_it(tmp_path: Path) -> None:
    path = tmp_path / "months.xlsx"
    path.write_bytes(make_months())
    for options, tell in (({"json": True}, json.loads), ({}, str)):
        told = io.StringIO()
        with translation.override("en"):
            call_command("import_contacts", str(make_task().pk), str(path), stdout=told, **options)
        answer = tell(told.getvalue())
        assert MORE in (answer["notes"] if options else answer)
