"""In: rows with every oddity. Out: a workbook that holds what the CSV of the same rows holds.

Must catch: a text that becomes markup or a number, a number that only Python would have hidden, a
cell under the wrong heading, one that is longer than a cell can be, a full sheet that is written
on, a package that cannot be opened since somebody gave it up.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path
from secrets import token_hex
from threading import active_count
from typing import Any
from xml.etree import ElementTree

import pytest
from django.db import connection
from python_calamine import CalamineWorkbook

from campaigns.criteria import CONTACTS, Criteria, read_criteria
from campaigns.exporting import tables, workbooks
from campaigns.models import Call
from tests.campaigns.admin.world import make_call
from tests.campaigns.exporting.test_tables import EVERYTHING, ODD, write
from tests.factories import make_contact, make_robot, make_task

pytestmark = pytest.mark.django_db

NAME = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
MARKUP = [
    "<b>&amp;</b>",
    "]]>",
    "a\tb",
    "\\t",
    "\\",
    "tail ",
    "  head",
    "max_x0041_y",
    "_xyz",
    "\x01\x08\x0b\x1f",
    "\ufffe\uffff",
    "\x7f\x85",
    "𝟏 😀",
    "12345678901234567890",
    "1E5",
    "%b %s",
]


def write_book(
    path: Path, criteria: Criteria = EVERYTHING, *, whole: bool = False, **options: Any
) -> workbooks.Written:
    with path.open("wb") as target, connection.cursor() as cursor:
        told = workbooks.write_xlsx(
            cursor.cursor, criteria, target, whole=whole, zone="Asia/Shanghai", **options
        )
        cursor.execute("SELECT set_config('TimeZone', 'UTC', true)")
    return told


def read_sheets(path: Path) -> list[list[dict[str, Any]]]:
    """Of each sheet {column: cell} of its rows, as the file has them: a text, or a number."""
    with zipfile.ZipFile(path) as package:
        assert package.testzip() is None
        names = sorted(name for name in package.namelist() if "worksheets/sheet" in name)
        found = []
        for name in names:
            rows = []
            for place, row in enumerate(
                ElementTree.fromstring(package.read(name)).iter(f"{NAME}row")
            ):
                # Who has no number or name stands after the one before.
                assert int(row.attrib.get("r", place + 1)) == place + 1
                names_of_cells = [
                    cell.attrib.get("r", workbooks._name_column(at)).rstrip("0123456789")
                    for at, cell in enumerate(row)
                ]
                assert len(set(names_of_cells)) == len(names_of_cells)
                rows.append(dict(zip(names_of_cells, map(read_cell, row), strict=True)))
            found.append(rows[1:])
    return found


def read_cell(cell: ElementTree.Element) -> Any:
    assert cell.find(f"{NAME}f") is None, "a formula"
    if cell.attrib.get("t") == "inlineStr":
        text = cell.find(f"{NAME}is/{NAME}t")
        return text.text or "" if text is not None else None
    value = cell.find(f"{NAME}v")
    if cell.attrib.get("t") == "str":
        return None if value is None else value.text or ""
    return None if value is None else int(value.text or "")


def read_rows(path: Path) -> list[list[str]]:
    """As a spreadsheet reads it, header and all."""
    book = CalamineWorkbook.from_path(str(path))
    rows = [row for name in book.sheet_names for row in book.get_sheet_by_name(name).to_python()]
    return [
        [str(int(cell)) if isinstance(cell, float) else str(cell) for cell in row] for row in rows
    ]


def unspell(text: str) -> str:
    """As Excel reads what XML cannot hold."""
    return re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), text)


@pytest.mark.parametrize("whole", [False, True])
def test_it_holds_what_the_csv_holds(tmp_path: Path, whole: bool) -> None:
    task = make_task(name="Ask <19900000001> & co")
    for text in [*ODD, *MARKUP]:
        make_call(task, platform_result_text=text, agent_name=text[:90], caller="19900000001")
    told = write_book(tmp_path / "calls.xlsx", whole=whole)
    data = write(EVERYTHING, whole=whole).decode("utf-8-sig")
    headings, *lines = csv.reader(io.StringIO(data, newline=""))
    [sheet] = read_sheets(tmp_path / "calls.xlsx")
    assert told == (len(lines), 0) == (len(sheet), 0)
    for cells, line in zip(sheet, lines, strict=True):
        names = map(workbooks._name_column, range(len(headings)))
        shown = [cells.get(name) for name in names]
        assert ["" if cell is None else unspell(str(cell)) for cell in shown] == line
    read = read_rows(tmp_path / "calls.xlsx")
    assert read[0] == headings
    place = headings.index("task")
    assert {row[place] for row in read[1:]} == {task.name if whole else "Ask <199****0001> & co"}


def test_numbers_are_numbers_until_excel_would_round_them(tmp_path: Path) -> None:
    task = make_task()
    make_call(task, talk_seconds=45)
    call = make_call(task, talk_seconds=None)
    Call.objects.filter(pk=call.pk).update(id=1234567890123456)
    write_book(tmp_path / "calls.xlsx")
    [[large, small]] = [
        sorted(sheet, key=lambda row: isinstance(row["A"], int))
        for sheet in read_sheets(tmp_path / "calls.xlsx")
    ]
    assert large["A"] == "1234567890123456"
    names = [column.name for column in tables.list_columns(EVERYTHING)]
    talk = workbooks._name_column(names.index("talk_seconds"))
    assert (small[talk], large.get(talk)) == (45, None)


@pytest.mark.parametrize(("sheet_rows", "sheets"), [(4, 3), (5, 2), (9, 1), (1_048_576, 1)])
def test_it_is_divided_when_a_sheet_is_full(tmp_path: Path, sheet_rows: int, sheets: int) -> None:
    task = make_task(name="=1+1")
    for _number in range(8):
        make_call(task, caller="19900000001")
    path = tmp_path / "calls.xlsx"
    assert write_book(path, sheet_rows=sheet_rows) == (8, 0)
    assert [len(rows) for rows in read_sheets(path)] == {
        3: [3, 3, 2],
        2: [4, 4],
        1: [8],
    }[sheets]
    assert len(CalamineWorkbook.from_path(str(path)).sheet_names) == sheets
    rows = read_rows(path)
    headings, told = rows[0], [row for row in rows if row[0] != "id"]
    assert len(rows) - len(told) == sheets
    assert {row[headings.index("task")] for row in told} == {"'=1+1"}
    assert {row[headings.index("caller")] for row in told} == {"199****0001"}


def test_it_is_divided_when_a_sheet_has_too_many_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "SHEET_BYTES", 1)
    monkeypatch.setattr(workbooks, "ROWS", 2)
    task = make_task()
    for _number in range(5):
        make_call(task)
    write_book(tmp_path / "calls.xlsx")
    assert [len(rows) for rows in read_sheets(tmp_path / "calls.xlsx")] == [2, 2, 1]


def test_an_empty_one_has_its_header(tmp_path: Path) -> None:
    assert write_book(tmp_path / "calls.xlsx") == (0, 0)
    assert read_rows(tmp_path / "calls.xlsx")[0][0] == "id"


def test_a_cell_that_is_too_long_is_cut_and_counted(tmp_path: Path) -> None:
    task = make_task(robot=make_robot(columns=["phone", "words"]))
    texts = ["词" * 32_767, "词" * 32_768, "😀" * 32_767, "a&" * 40_000]
    for text in texts:
        make_contact(task=task, values={"words": text})
    chosen = read_criteria(CONTACTS, {"task__id__exact": str(task.pk)})
    assert write_book(tmp_path / "contacts.xlsx", chosen) == (4, 3)
    [sheet] = read_sheets(tmp_path / "contacts.xlsx")
    told = [row["P"] for row in sheet]
    assert told[0] == texts[0]
    assert told[1] == texts[1][: 32_767 - len(workbooks.CUT)] + workbooks.CUT
    assert all(len(text.encode("utf-16-le")) // 2 <= 32_767 for text in told)
    assert all(text.endswith(workbooks.CUT) for text in told[1:])
    assert texts[2].startswith(told[2].removesuffix(workbooks.CUT))


def test_who_gives_it_up_is_not_told_of_an_open_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "ROWS", 1)
    task = make_task()
    for _number in range(3):
        make_call(task)

    class Enough(Exception):
        pass

    def stop(rows: int) -> None:
        if rows == 2:
            raise Enough

    with pytest.raises(Enough):
        write_book(tmp_path / "calls.xlsx", told=stop)


def test_its_columns_are_named_as_in_excel() -> None:
    names = [workbooks._name_column(place) for place in (0, 25, 26, 51, 52, 701, 702)]
    assert names == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


def test_a_disk_that_is_full_while_rows_are_packed_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "ROWS", 10)
    task = make_task()
    for _number in range(200):
        make_call(task, platform_result_text=token_hex(90), agent_name=token_hex(40))

    class Full:
        """Does not take one piece of the rows, and no place in it is gone back to."""

        def __init__(self) -> None:
            self.size, self.was_full = 0, False

        def write(self, data: bytes) -> int:
            self.size += len(data)
            if self.size > 2_000 and not self.was_full:
                self.was_full = True
                raise OSError(28, "No space left on device")
            return len(data)

        def flush(self) -> None:
            pass

    threads = active_count()
    with pytest.raises(OSError, match="No space"), connection.cursor() as cursor:
        target: Any = Full()
        workbooks.write_xlsx(cursor.cursor, EVERYTHING, target, whole=True, zone="Asia/Shanghai")
    assert active_count() == threads
