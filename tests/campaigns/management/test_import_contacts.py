"""In: a command line. Out: the same contacts and report as in the browser, and an exit code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from django.core.management import call_command
from django.core.management.base import CommandError

from campaigns.importing import make_report
from campaigns.models import Contact, ContactImport, DoNotCall, StagedRow, Task
from tests.factories import make_contact, make_robot, make_task
from tests.processes import ROOT, make_environment

pytestmark = pytest.mark.django_db

HEADER = "客户手机号码,姓名\n"


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"


def write(folder: Path, text: str | bytes, name: str = "contacts.csv") -> Path:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def run(task: Task, file: Path, *options: Any) -> Any:
    out = io.StringIO()
    call_command(
        "import_contacts", str(task.pk), str(file), *map(str, options), "--json", stdout=out
    )
    told = out.getvalue()
    assert told.count("\n") == 1
    return json.loads(told)


def refuse(task: Task, file: Path, *options: Any) -> str:
    with pytest.raises(CommandError) as caught:
        run(task, file, *options)
    told = str(caught.value)
    assert told
    assert "\n" not in told
    assert not Contact.objects.filter(source__task=task).exists()
    return told


def call(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """As a script calls it."""
    return subprocess.run(
        [sys.executable, "manage.py", "import_contacts", *map(str, arguments)],
        cwd=ROOT,
        env=make_environment(LANGUAGE_CODE="en"),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.django_db(transaction=True)
def test_the_exit_code_tells_whether_rows_were_refused(tmp_path: Path) -> None:
    good = write(tmp_path, HEADER + "19900000001,a\n19900000001,b\n")
    done = call(make_task().pk, good, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["loaded"], report["excluded"], report["rejected"]) == (1, 1, 0)
    assert ContactImport.objects.get(pk=report["id"]).origin == "command"

    task = make_task()
    some = write(tmp_path, HEADER + "19900000001,a\n123,b\n")
    done = call(task.pk, some, "--json")
    assert (done.returncode, done.stderr) == (3, "")
    report = json.loads(done.stdout)
    assert report == json.loads(json.dumps(make_report(task.imports.get())))
    assert (report["loaded"], report["rejected"]) == (1, 1)
    (row,) = report["rejected_rows"]
    assert (row["line"], row["column"]) == (3, "客户手机号码")
    assert task.contacts.count() == 1, "the good row is there"

    done = call(task.pk, write(tmp_path, b"\x89PNG\r\n\x1a\n", "bad.csv"), "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "picture" in done.stderr
    assert done.stderr.count("\n") == 1
    assert task.contacts.count() == 1

    people = call(make_task().pk, some)
    assert people.returncode == 3
    assert "1 loaded, 0 excluded, 1 rejected." in people.stdout
    assert "line 3" in people.stdout


def test_the_report_has_all_that_the_wizard_shows(tmp_path: Path) -> None:
    task = make_task()
    make_contact(task=task, phone="19900000002")
    DoNotCall.objects.create(phone="19900000003")
    text = HEADER + "19900000001,a\n19900000001,b\n19900000002,c\n19900000003,d\n110,e\n"
    report = run(task, write(tmp_path, text))
    assert (report["loaded"], report["excluded"], report["rejected"]) == (1, 3, 1)
    counts = report["counts"]
    assert counts["rows"] == 5
    told = {name: counts[name] for name in ("duplicate_file", "duplicate_task", "barred")}
    assert told == {"duplicate_file": 1, "duplicate_task": 1, "barred": 1}
    again = run(make_task(account=task.account), write(tmp_path, text))
    assert again["same_file"] == [report["id"]]


def test_columns_that_are_none_of_the_robots_can_be_kept(tmp_path: Path) -> None:
    task = make_task()
    file = write(tmp_path, "客户手机号码,姓名,城市,备注\n19900000001,a,北京,x\n")
    run(task, file, "--keep", "城市")
    values = task.contacts.get().values
    assert values == {"客户手机号码": "19900000001", "姓名": "a", "城市": "北京"}
    assert "nowhere" in refuse(make_task(), file, "--keep", "nowhere")


def test_which_row_counts(tmp_path: Path) -> None:
    task = make_task()
    run(task, write(tmp_path, HEADER + "19900000001,a\n19900000001,b\n"), "--keep-row", "last")
    assert task.contacts.get(status="ready").values["姓名"] == "b"


def test_where_a_number_counts_as_a_duplicate(tmp_path: Path) -> None:
    before = make_contact(phone="19900000001")
    robot = before.task.robot
    file = write(tmp_path, HEADER + "19900000001,a\n")
    for options, loaded in (
        ((), 1),
        (("--duplicates", "file"), 1),
        (("--duplicates", "account"), 0),
        (("--duplicates", "days", "--days", "7"), 0),
    ):
        report = run(make_task(robot=robot), file, *options)
        assert report["loaded"] == loaded, options
        Contact.objects.exclude(pk=before.pk).delete()


@pytest.mark.parametrize(
    "options",
    [
        ["--duplicates", "days"],
        ["--days", "7"],
        ["--duplicates", "days", "--days", "0"],
        ["--duplicates", "days", "--days", "99999"],
        ["--delimiter", "x"],
        ["--delimiter", "tab"],
        ["--encoding", "klingon"],
        ["--encoding", "utf-16"],
        ["--encoding", "bz2"],
        ["--header-line", "99"],
        ["--map", "客户手机号码"],
        ["--map", "客户手机号码=nowhere"],
        ["--map", "nobody=姓名"],
    ],
)
def test_a_choice_that_is_none_is_a_sentence(tmp_path: Path, options: list[str]) -> None:
    refuse(make_task(), write(tmp_path, HEADER + "19900000001,a\n"), *options)


def test_a_check_loads_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    task = make_task()
    text = HEADER + "19900000001,a\n19900000001,b\n19900000002,c\n110,d\n"
    report = run(task, write(tmp_path, text), "--check-only")
    assert (report["loaded"], report["excluded"], report["rejected"]) == (0, 1, 1)
    assert (report["counts"]["ready"], report["check_only"]) == (2, True)
    assert [row["line"] for row in report["rejected_rows"]] == [5]
    assert not task.contacts.exists()
    assert not StagedRow.objects.exists()
    row = task.imports.get()
    assert (row.status, bool(row.file)) == ("cancelled", False)
    out = io.StringIO()
    call_command(
        "import_contacts", str(task.pk), str(tmp_path / "contacts.csv"), "--check-only", stdout=out
    )
    assert "Nothing was loaded" in out.getvalue()


@pytest.mark.parametrize("said", ["gbk", "GB2312", "gb18030", "GB18030"])
def test_the_encoding_may_be_said(tmp_path: Path, said: str) -> None:
    task = make_task()
    file = write(tmp_path, (HEADER + "19900000001,张三\n").encode("gb18030"))
    run(task, file, "--encoding", said)
    assert task.contacts.get().values["姓名"] == "张三"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_encoding_with_a_mark_may_be_said(tmp_path: Path, encoding: str) -> None:
    task = make_task()
    run(
        task,
        write(tmp_path, (HEADER + "19900000001,张三\n").encode(encoding)),
        "--encoding",
        encoding,
    )
    assert task.contacts.get().values["姓名"] == "张三"
    if encoding == "utf-8-sig":
        task = make_task()
        run(task, tmp_path / "contacts.csv", "--encoding", "UTF8")
        assert task.contacts.get().values["姓名"] == "张三"


def test_an_encoding_that_nobody_would_guess(tmp_path: Path) -> None:
    robot = make_robot(columns=["phone", "name"])
    file = write(tmp_path, "phone,name\n19900000001,Zoë\n19900000002,Ångström\n".encode("cp1252"))
    task = make_task(robot=robot)
    run(task, file, "--encoding", "windows-1252")
    names = task.contacts.order_by("id").values_list("values__name", flat=True)
    assert list(names) == ["Zoë", "Ångström"]


@pytest.mark.parametrize(("said", "used"), [("tab", "\t"), (r"\t", "\t"), (";", ";"), ("|", "|")])
def test_the_delimiter_may_be_said(tmp_path: Path, said: str, used: str) -> None:
    task = make_task()
    # the other ones stand in the cells
    text = f"客户手机号码{used}姓名\n19900000001{used}a,b\n"
    run(task, write(tmp_path, text), "--delimiter", said)
    assert task.contacts.get().values["姓名"] == "a,b"


def test_the_line_of_the_header_may_be_said(tmp_path: Path) -> None:
    task = make_task()
    text = f"{HEADER}19900000001,old\n{HEADER}19900000002,new\n"
    run(task, write(tmp_path, text), "--header-line", "3")
    assert [*task.contacts.values_list("phone", flat=True)] == ["19900000002"]


def test_the_sheet_may_be_said(tmp_path: Path) -> None:
    file = tmp_path / "book.xlsx"
    book = xlsxwriter.Workbook(file)
    for number, name in enumerate(("first", "second")):
        sheet = book.add_worksheet(name)
        sheet.write_row(0, 0, ["客户手机号码", "姓名"])
        sheet.write_row(1, 0, [f"1990000000{number}", name])
    book.close()
    task, other = make_task(), make_task()
    run(task, file, "--sheet", "second")
    assert task.contacts.get().values["姓名"] == "second"
    run(other, file)
    assert other.contacts.get().values["姓名"] == "first"
    assert "third" in refuse(make_task(), file, "--sheet", "third")
