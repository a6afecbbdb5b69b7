"""In: workbooks as people make them, and as nobody should. Out: their rows, or a sentence."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing
from datetime import date, datetime, timedelta
from datetime import time as clock
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest
import python_calamine
import xlwt
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.importing import workbooks
from campaigns.importing.checking import check_rows
from campaigns.importing.errors import ImportRefused, Rejection
from campaigns.importing.files import inspect_file
from campaigns.importing.mapping import find_plan, make_layout
from campaigns.importing.reading import read_table
from campaigns.importing.sheets.cells import Format, find_format, show_number
from campaigns.importing.sheets.program import answer
from campaigns.importing.sheets.refusal import Refused
from campaigns.importing.workbooks import (
    ERROR_CELL,
    HIDDEN_ROW,
    MERGED_CELL,
    NO_RESULT,
    ROW_TOO_LONG,
    SENTENCES,
    CellProblem,
    Record,
    Sheet,
    inspect_workbook,
    list_sheets,
    read_sheet,
)
from campaigns.models import ContactImport
from tests.campaigns.importing.workbook_files import (
    change_table,
    lock_old_workbook,
    lock_workbook,
    make_old_workbook,
    make_package,
    make_workbook,
    make_zip,
)


def make_moment(*parts: int) -> datetime:
    """As a cell has it, without a zone."""
    return datetime(*parts)  # noqa: DTZ001


HEADER = ["客户手机号码", "姓名"]


def read(content: bytes, sheet: str = "") -> list[Record]:
    return list(read_sheet(io.BytesIO(content), sheet))


def read_cells(content: bytes) -> list[list[str]]:
    return [cells for _, cells, _ in read(content)]


def read_here(content: bytes) -> list[Any]:
    """Without a process of its own: for many workbooks, or to look at the child's own memory."""
    lines = list(answer(io.BytesIO(content), "rows", ""))
    return [row for bundle in lines[:-1] for row in bundle]


def refuse(content: bytes) -> str:
    """The word for why the workbook is refused, wherever that is noticed first."""
    with pytest.raises(ImportRefused) as refused:
        inspect_workbook(io.BytesIO(content))
        read(content)
    assert str(refused.value)
    return next(code for code, text in SENTENCES.items() if text == refused.value.message)


# What stands in cells


def test_rows_come_with_the_numbers_that_the_spreadsheet_shows() -> None:
    content = make_workbook([["a title"], [], HEADER, [], ["19900000001", "张三"], ["", "李四"]])
    assert read(content) == [
        (1, ["a title"], None),
        (3, HEADER, None),
        (5, ["19900000001", "张三"], None),
        (6, ["", "李四"], None),
    ]


def test_a_row_is_as_wide_as_the_widest_before_it() -> None:
    content = make_workbook([["a", "b", "c"], ["1"], ["1", "2", "3", "4"], ["1"]])
    assert [len(cells) for cells in read_cells(content)] == [3, 3, 4, 4]


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("19900000001", "19900000001"),
        ("19900000001.0", "19900000001"),
        ("1.9900000001E10", "19900000001"),
        ("1.9900000001e+10", "19900000001"),
        ("19900000001.000002", "19900000001"),
        ("8619900000001", "8619900000001"),
        ("0.30000000000000004", "0.3"),
        ("59.699999999999996", "59.7"),
        ("-0.5", "-0.5"),
        ("1E-7", "0.0000001"),
        ("0", "0"),
        ("9007199254740991", "9007199254740991"),
        # Excel has lost the last digits of such a number: it must not look as if it had them
        ("1.10101199001011234E+17", "1.10101199001011E+17"),
        ("1E+400", "1E+400"),
        ("12x", "12x"),
        ("1_0", "1_0"),
    ],
)
def test_a_number_is_its_digits(stored: str, shown: str) -> None:
    content = make_package(f'<sheetData><row r="1"><c r="A1"><v>{stored}</v></c></row></sheetData>')
    assert read(content) == [(1, [shown], None)]


@pytest.mark.parametrize(
    ("code", "form"),
    [
        ("yyyy-mm-dd", Format("date")),
        ('yyyy"年"m"月"d"日"', Format("date")),
        ("[$-804]yyyy/m/d;@", Format("date")),
        ("m月d日", Format("date")),
        ("mmm-yy", Format("date")),
        ("yyyy/m/d h:mm", Format("both")),
        ("h:mm AM/PM", Format("time")),
        ("mm:ss.000", Format("time")),
        ("[h]:mm:ss", Format("elapsed")),
        ("00000000000", Format("padded", 11)),
        ("0%", Format("percent")),
        ("0.00%", Format("percent", 2)),
        ("General", None),
        ("@", None),
        ("0", None),
        ("#,##0.00", None),
        ("0.00E+00", None),
        ('#,##0.00" USD"', None),
        ('0"天"', None),
        ("[Red]0.0;[Green]-0.0", None),
        ("000-0000-0000", None),
        ("_ * #,##0.00_ ;_ * -#,##0.00_ ;_ * \\-??_ ;_ @_ ", None),
        ("¥#,##0", None),
    ],
)
def test_a_format_is_known(code: str, form: Format | None) -> None:
    assert find_format(200, code) == form


def test_a_number_is_shown_by_its_format() -> None:
    assert show_number("46000", Format("date")) == "2025-12-09"
    assert show_number("46000.99999999", Format("date")) == "2025-12-09"
    assert show_number("46000.5", Format("both")) == "2025-12-09 12:00:00"
    assert show_number("0.3541666667", Format("time")) == "08:30:00"
    assert show_number("1.0625", Format("elapsed")) == "25:30:00"
    assert show_number("1", Format("date")) == "1900-01-01"
    assert show_number("61", Format("date")) == "1900-03-01"
    assert show_number("0", Format("date"), since_1904=True) == "1904-01-01"
    assert show_number("-1", Format("date")) == "-1"
    assert show_number("2958466", Format("date")) == "2958466"
    assert show_number("1e300", Format("both")) == "1E+300"
    assert show_number("1012345678", Format("padded", 11)) == "01012345678"
    assert show_number("0.0485", Format("percent", 2)) == "4.85%"


def test_dates_times_and_booleans() -> None:
    def change(book: Any, sheet: Any) -> None:
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        hour = book.add_format({"num_format": "hh:mm"})
        sheet.write_datetime(0, 0, make_moment(2026, 2, 28), day)
        sheet.write_datetime(0, 1, make_moment(2026, 2, 28, 9, 5), moment)
        sheet.write_datetime(0, 2, clock(9, 5), hour)
        sheet.write_boolean(0, 3, True)
        sheet.write_boolean(0, 4, False)

    shown = ["2026-02-28", "2026-02-28 09:05:00", "09:05:00", "TRUE", "FALSE"]
    assert read_cells(make_workbook(change=change)) == [shown]
    assert read_cells(make_workbook(change=change, date_1904=True)) == [shown]


def test_a_date_may_be_stored_as_text() -> None:
    content = make_package(
        '<sheetData><row r="1"><c r="A1" t="d"><v>2026-02-28T00:00:00</v></c>'
        '<c r="B1" t="d"><v>2026-02-28T09:05:00Z</v></c></row></sheetData>'
    )
    assert read_cells(content) == [["2026-02-28", "2026-02-28 09:05:00"]]


def test_numbers_kept_as_text_stay_as_they_are() -> None:
    content = make_workbook(
        change=lambda book, sheet: [
            sheet.write_string(0, place, text)
            for place, text in enumerate(["00123", "19900000001.0", "'199", " 1 ", "=1+1", "1E5"])
        ]
    )
    assert read_cells(content) == [["00123", "19900000001.0", "'199", " 1 ", "=1+1", "1E5"]]


def test_text_in_parts_phonetics_and_escapes() -> None:
    strings = (
        "<si><r><t>Li</t></r><r><rPr/><t xml:space='preserve'> Si</t></r></si>"
        "<si><t>東京</t><rPh sb='0' eb='2'><t>トウキョウ</t></rPh></si>"
        "<si><t>a_x000D_b_x005F_c_xD83D__xDE00_ &amp; &lt;</t></si><si/>"
    )
    cells = "".join(f'<c r="{c}1" t="s"><v>{i}</v></c>' for i, c in enumerate("ABCD"))
    cells += '<c r="E1" t="inlineStr"><is><r><t>in</t></r><r><t>line</t></r></is></c>'
    content = make_package(f'<sheetData><row r="1">{cells}</row></sheetData>', strings=strings)
    assert read_cells(content) == [["Li Si", "東京", "a\rb_c😀 & <", "", "inline"]]


def test_a_formula_is_its_stored_result() -> None:
    content = make_package(
        '<sheetData><row r="1">'
        '<c r="A1"><f>19900000000+1</f><v>19900000001</v></c>'
        '<c r="B1" t="str"><f>"a"&amp;"b"</f><v>ab</v></c>'
        '<c r="C1" t="str"><f>""</f><v></v></c>'
        "<c r=\"D1\"><f>'[1]Other'!A1</f><v>7</v></c>"
        '<c r="E1"><f>1-1</f><v>0</v></c></row></sheetData>'
    )
    assert read(content) == [(1, ["19900000001", "ab", "", "7", "0"], None)]


@pytest.mark.parametrize("value", ["", "<v></v>", "<v/>"])
def test_a_formula_without_a_result_is_a_problem_of_its_cell(value: str) -> None:
    content = make_package(
        f'<sheetData><row r="4"><c r="B4"><f>A1</f>{value}</c></row></sheetData>'
    )
    ((line, _, problem),) = read(content)
    assert line == 4
    assert isinstance(problem, CellProblem)
    assert problem.places == {1: NO_RESULT}
    assert problem == NO_RESULT


def test_the_zero_of_a_program_that_computes_nothing_is_no_result() -> None:
    """XlsxWriter writes 0 for every formula, and asks Excel to compute them all."""
    content = make_workbook(
        change=lambda book, sheet: [
            sheet.write_formula("A1", "=1+1"),
            sheet.write_formula("B1", "=1+1", None, 2),
            sheet.write_number("C1", 0),
        ]
    )
    ((_, cells, problem),) = read(content)
    assert cells == ["", "2", "0"]
    assert isinstance(problem, CellProblem)
    assert problem.places == {0: NO_RESULT}


def test_an_error_is_a_problem_of_its_cell() -> None:
    content = make_workbook(
        [["a", "b"]],
        change=lambda book, sheet: sheet.write_formula("B2", "=NA()", None, "#N/A"),
    )
    (_, cells, problem) = read(content)[1]
    assert cells == ["", "#N/A"]
    assert isinstance(problem, CellProblem)
    assert problem.places == {1: ERROR_CELL}


def test_a_long_cell_is_cut_where_it_is_refused_anyway() -> None:
    text = "字" * 70_000
    content = make_package(
        f'<sheetData><row r="1"><c r="A1" t="s"><v>0</v></c>'
        f'<c r="B1" t="inlineStr"><is><t>{text}</t></is></c></row></sheetData>',
        strings=f"<si><t>{text}</t></si>",
    )
    assert read_cells(content) == [["字" * 4_000] * 2]


def test_a_row_of_many_long_cells_is_a_problem_of_the_row() -> None:
    cells = '<c t="s"><v>0</v></c>' * 300
    content = make_package(
        f"<sheetData><row>{cells}</row><row><c><v>1</v></c></row></sheetData>",
        strings=f"<si><t>{'x' * 4_000}</t></si>",
    )
    rows = read(content)
    assert [(line, problem) for line, _, problem in rows] == [(1, ROW_TOO_LONG), (2, None)]


# Rows, columns and sheets


def test_hidden_rows_are_told() -> None:
    def change(book: Any, sheet: Any) -> None:
        sheet.autofilter("A1:B4")
        sheet.filter_column("B", "x == 张三")
        sheet.set_row(2, options={"hidden": True})
        sheet.set_row(9, options={"hidden": True})

    rows = [HEADER, ["19900000001", "张三"], ["19900000002", "李四"], ["19900000003", "张三"]]
    found = read(make_workbook(rows, change=change))
    assert [(line, problem) for line, _, problem in found] == [
        (1, None),
        (2, None),
        (3, HIDDEN_ROW),
        (4, None),
    ]
    assert found[2][1] == ["19900000002", "李四"]


def test_sheets_are_listed_and_the_first_visible_one_is_read() -> None:
    def change(book: Any, sheet: Any) -> None:
        sheet.hide()
        second = book.add_worksheet("名单")
        second.write_row(0, 0, ["a", "b", "c", "d"])
        second.write_row(4, 0, ["e"])
        second.set_column("B:B", None, None, {"hidden": True})
        second.set_column("D:XFD", None, None, {"hidden": True})
        second.activate()
        second.set_first_sheet()
        book.add_worksheet("very").very_hidden()
        chart = book.add_chart({"type": "line"})
        chart.add_series({"values": "=Sheet1!$A$1:$A$2"})
        book.add_chartsheet("Chart").set_chart(chart)

    content = make_workbook([["hidden one"]], change=change)
    assert list_sheets(io.BytesIO(content)) == [
        Sheet("Sheet1", True, 1),
        Sheet("名单", False, 5, ("B", "D")),
        Sheet("very", True, 1, has_cells=False),
    ]
    assert "“名单” the columns B, D are hidden" in list_sheets(io.BytesIO(content))[1].note
    assert read(content)[0] == (1, ["a", "b", "c", "d"], None)
    assert read(content, "Sheet1") == [(1, ["hidden one"], None)]
    assert read(content, "very") == []
    with pytest.raises(ImportRefused, match="“Chart”"):
        read(content, "Chart")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["长" * 101], ["长" * 100]),
        (["a_x0000_b"], ["a\ufffdb"]),
        (["x" * 200_000, "x" * 200_001], ["x" * 100, "x" * 90 + " #2"]),
        (["", "a&#10;b"], ["#1", "a\ufffdb"]),
    ],
)
def test_sheets_with_names_that_no_spreadsheet_gives(names: list[str], told: list[str]) -> None:
    relation = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    parts = "".join(f'<sheet name="{name}" r:id="rId1"/>' for name in names)
    content = make_package(
        "<sheetData><row><c><v>1</v></c></row></sheetData>",
        book=f"<sheets {relation}>{parts}</sheets>",
    )
    assert [sheet.name for sheet in list_sheets(io.BytesIO(content))] == told
    assert max(map(len, told)) <= ContactImport._meta.get_field("sheet").max_length
    for name in (*told, *(name for name in names[:1] if "_x" not in name)):
        assert read(content, name) == [(1, ["1"], None)]


def test_a_sheet_that_is_not_there_is_named_however_it_is_asked_for() -> None:
    for name in ("x" * 200_000, "a\0b"):
        with pytest.raises(ImportRefused, match="has no sheet"):
            read(make_workbook([["a"]]), name)


def test_empty_cells_merged_with_one_above_are_told() -> None:
    def change(book: Any, sheet: Any) -> None:
        sheet.merge_range("A1:C1", "a title over three columns")
        sheet.merge_range("B3:B5", "北京")
        sheet.merge_range("C5:D6", "two by two")
        sheet.write("A5", "19900000003")
        sheet.write("A6", "19900000004")

    rows = [[], ["p", "q", "r", "s"], ["19900000001"], ["19900000002"]]
    found = {
        line: (cells, problem) for line, cells, problem in read(make_workbook(rows, change=change))
    }
    assert found[2][1] is None
    assert found[3] == (["19900000001", "北京", "", ""], None)
    for line, places in ((1, {1, 2}), (4, {1}), (5, {1, 3}), (6, {2, 3})):
        problem = found[line][1]
        assert isinstance(problem, CellProblem)
        assert problem.places == dict.fromkeys(places, MERGED_CELL)


@pytest.mark.parametrize(
    ("area", "told"),
    [("A2:A3", [(3, {0})]), ("A2:B2", [(2, {1})]), ("A2:XFD3", [(2, {1, 2}), (3, {0, 1, 2})])],
)
def test_a_value_that_a_merged_cell_covers_is_told(area: str, told: Any) -> None:
    rows = "".join(
        f'<row r="{n}">' + "".join(f'<c r="{c}{n}"><v>{n}</v></c>' for c in "ABC") + "</row>"
        for n in (1, 2, 3)
    )
    merged = f'<mergeCells><mergeCell ref="{area}"/></mergeCells>'
    found = [
        (line, {place for place in problem.places if place < 3})
        for line, _, problem in read(make_package(f"<sheetData>{rows}</sheetData>{merged}"))
        if isinstance(problem, CellProblem)
    ]
    assert found == told


def test_a_covered_value_becomes_no_contact() -> None:
    rows = "".join(
        f'<row r="{n}"><c r="A{n}" t="str"><v>{a}</v></c><c r="B{n}" t="str"><v>{b}</v></c></row>'
        for n, (a, b) in enumerate([HEADER, *[["19900000001", "张三"]] * 4], 1)
    )
    merged = '<mergeCells><mergeCell ref="A2:A3"/><mergeCell ref="A4:B4"/></mergeCells>'
    good, bad = check(make_package(f"<sheetData>{rows}</sheetData>{merged}"), HEADER)
    assert good == [2, 5]
    assert bad == [(3, HEADER[0], "merged_cell"), (4, HEADER[1], "merged_cell")]


def test_a_row_without_height_is_hidden() -> None:
    rows = "".join(
        f'<row r="{n}" ht="{height}" customHeight="1"><c><v>{n}</v></c></row>'
        for n, height in enumerate(["15", "0", "0.0", "0.75"], 1)
    )
    found = read(make_package(f"<sheetData>{rows}</sheetData>"))
    assert [problem for *_, problem in found] == [None, HIDDEN_ROW, HIDDEN_ROW, None]


def test_where_empty_rows_are_hidden_those_with_cells_are_not() -> None:
    """``zeroHeight`` is about rows in which nothing stands ([MS-XLS] 2.4.87, fDyZero)."""
    rows = [["a"], ["1"], ["2"]]

    def change(book: Any, sheet: Any) -> None:
        sheet.set_default_row(hide_unused_rows=True)
        sheet.set_row(2, options={"hidden": True})

    found = read(make_workbook(rows, change=change))
    assert [problem for *_, problem in found] == [None, None, HIDDEN_ROW]


def test_a_workbook_of_another_hand() -> None:
    """Prefixes, no references, absolute targets, other case, blanks between the elements."""
    sheet = (
        '<x:worksheet xmlns:x="urn:x"><x:sheetData>\n <x:row>\n  <x:c t="s"><x:v>0</x:v></x:c>\n'
        "<x:c><x:v>1</x:v></x:c></x:row><x:row/>"
        "<x:row hidden='true'><x:c><x:v>2</x:v></x:c></x:row>"
        "<x:row><x:c><x:v>3</x:v></x:c></x:row>"
        "</x:sheetData><x:mergeCells><x:mergeCell ref='B1:B4'/></x:mergeCells>"
        "<x:controls><xdr:row>5</xdr:row></x:controls></x:worksheet>"
    )
    relations = (
        '<Relationships><Relationship Id="rId1" Type="urn:x/worksheet" Target="/XL/W.xml"/>'
        '<Relationship Id="rId2" Type="urn:x/sharedStrings" Target="s.xml"/></Relationships>'
    )
    content = make_package(
        parts={
            "xl\\w.xml": sheet,
            "xl/s.xml": '<x:sst xmlns:x="urn:x"><x:si><x:t>手机</x:t></x:si></x:sst>',
            "xl/_rels/workbook.xml.rels": relations,
        }
    )
    rows = read(content)
    assert [(line, cells) for line, cells, _ in rows] == [
        (1, ["手机", "1"]),
        (3, ["2", ""]),
        (4, ["3", ""]),
    ]
    assert [problem for _, _, problem in rows] == [None, HIDDEN_ROW, MERGED_CELL]


def test_a_cell_in_the_last_corner_costs_nothing() -> None:
    content = make_workbook([["a"]], change=lambda book, sheet: sheet.write("XFD1048576", "stray"))
    first, last = read(content)
    assert first == (1, ["a"], None)
    assert (last[0], len(last[1]), last[1][-1]) == (1_048_576, 16_384, "stray")


def test_rows_that_reach_the_last_column_cost_no_more_than_others() -> None:
    rows = "".join(
        f'<row r="{n}"><c r="A{n}"><v>{n}</v></c><c r="XFD{n}"><v>7</v></c></row>'
        for n in range(1, 20_001)
    )
    content = make_package(f"<sheetData>{rows}</sheetData>")
    bundles = list(answer(io.BytesIO(content), "rows", ""))[:-1]
    assert sum(len(row.cells) for bundle in bundles for row in bundle) == 20_000
    records = read(content)
    assert [len(records[place][1]) for place in (0, 19, 19_999)] == [16_384, 16_384, 1_001]
    assert records[-1][1][-1] == "7"
    begun = time.process_time()
    below = rows[rows.index("</row>") + 6 :]
    good, bad = check(make_package(f"<sheetData>{_TITLES}{below}</sheetData>"), HEADER)
    assert (good, len(bad)) == ([], 19_999)
    assert {code for *_, code in bad} == {"too_many_cells"}
    assert time.process_time() - begun < 20


_TITLES = '<row r="1">' + "".join(f'<c t="str"><v>{name}</v></c>' for name in HEADER) + "</row>"


def test_a_header_that_reaches_the_last_column_is_refused_with_its_width() -> None:
    titles = _TITLES.replace("</row>", '<c r="XFD1"><v>7</v></c></row>')
    content = make_package(f"<sheetData>{titles}</sheetData>")
    with pytest.raises(ImportRefused) as refused:
        check(content, HEADER)
    assert refused.value.values["count"] == 16_384


# On the way to contacts


class Rejected(list[Rejection]):
    def add(self, rejection: Rejection) -> None:
        self.append(rejection)


def check(content: bytes, columns: list[str]) -> tuple[list[int], list[tuple[int, str, str]]]:
    """Lines of the good rows; line, column and code of the others."""
    handle = io.BytesIO(content)
    plan, header = find_plan(handle, inspect_file(handle), columns=columns)
    rejected = Rejected()
    layout = make_layout(plan, header, columns=columns)
    rows = list(check_rows(read_table(handle, plan), layout, rejections=rejected))
    assert all(phone == "19900000001" for _, phone, _, _ in rows)
    return [row[0] for row in rows], [(r.line, r.column, r.problem.code) for r in rejected]


def test_every_mistake_of_a_workbook_has_its_row_and_column() -> None:
    def change(book: Any, sheet: Any) -> None:
        for line in range(2, 12):
            sheet.write(line, 0, 19900000001)
        sheet.write("B4", "19900000001")
        sheet.write_formula("A5", "=B4", None, 19900000001)
        sheet.write_formula("A6", "=B4")
        sheet.write_formula("B7", "=NA()", None, "#N/A")
        sheet.write_formula("C8", "=NA()", None, "#N/A")
        sheet.set_row(8, options={"hidden": True})
        sheet.merge_range("B10:B11", "李四")
        sheet.write("B12", "x" * 3_000)
        sheet.write("A13", 1.99e19)
        sheet.write("A14", True)
        sheet.write("A15", "", None)
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_datetime("A16", make_moment(2026, 2, 28), day)
        sheet.write("A17", 19900000001)
        sheet.write_datetime("B17", make_moment(2026, 2, 28), day)

    content = make_workbook([["a title"], [*HEADER, "not asked for"]], change=change)
    good, bad = check(content, HEADER)
    assert good == [3, 4, 5, 8, 10, 17]
    assert bad == [
        (6, "客户手机号码", "no_result"),
        (7, "姓名", "error_cell"),
        (9, "", "hidden_row"),
        (11, "姓名", "merged_cell"),
        (12, "姓名", "cell_too_long"),
        (13, "客户手机号码", "phone"),
        (14, "客户手机号码", "phone"),
        (16, "客户手机号码", "date_cell"),
    ]


def test_a_date_in_an_old_workbook_is_no_number_to_call_either() -> None:
    def change(book: Any, sheet: Any) -> None:
        day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
        sheet.write(1, 0, make_moment(2026, 2, 28), day)
        sheet.write(2, 0, "19900000001")
        sheet.write(2, 1, make_moment(2026, 2, 28), day)

    content = make_old_workbook([HEADER], change=change)
    assert check(content, HEADER) == ([3], [(2, HEADER[0], "date_cell")])
    preview = [problem for *_, problem in read(content)]
    assert preview == [None, None, None]


# Against another reader


cells = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
        lambda text: "_x" not in text and "\ufffe" not in text and "\uffff" not in text
    ),
    st.integers(-(2**53) + 1, 2**53 - 1).map(lambda n: n // 10**1),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.booleans(),
    st.dates(date(1900, 3, 1), date(2200, 1, 1)),
    st.datetimes(make_moment(1900, 3, 1), make_moment(2200, 1, 1)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(cells, min_size=1, max_size=5), min_size=1, max_size=8))
def test_two_readers_read_the_same(table: list[list[Any]]) -> None:
    def change(book: Any, sheet: Any) -> None:
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for line, row in enumerate(table):
            for place, cell in enumerate(row):
                if isinstance(cell, datetime):
                    sheet.write_datetime(line, place, cell, moment)
                elif isinstance(cell, date):
                    sheet.write_datetime(line, place, cell, day)
                elif isinstance(cell, str):
                    sheet.write_string(line, place, cell)
                else:
                    sheet.write(line, place, cell)

    content = make_workbook(change=change)
    book = python_calamine.load_workbook(io.BytesIO(content))
    theirs = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    ours = {row.number: row.cells for row in read_here(content)}
    assert len(ours) == len(theirs)
    for number, row in enumerate(theirs, 1):
        shown = list(map(show, row))
        while shown and not shown[-1]:
            shown.pop()
        # calamine tells no midnight
        assert [cell.removesuffix(" 00:00:00") for cell in ours[number]] == shown


def show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return show_number(repr(value))
    if isinstance(value, datetime):
        # calamine cuts what is less than a second, and a day's fraction is never exact
        value = (value + timedelta(milliseconds=500)).replace(microsecond=0)
    return str(value)


# Old workbooks


def test_an_old_workbook() -> None:
    def change(book: Any, sheet: Any) -> None:
        day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
        sheet.write(4, 0, 19900000002)
        sheet.write(4, 1, make_moment(2026, 2, 28), day)
        sheet.write(4, 2, 0.1 + 0.2)
        sheet.write(4, 3, True)
        sheet.write_merge(5, 6, 1, 1, "北京")
        sheet.write(6, 0, "19900000003")
        sheet.row(7).hidden = True
        sheet.write(7, 0, "19900000004")
        sheet.row(4).set_cell_error(4, 0x2A)
        for column in (1, 3, 9):
            sheet.col(column).hidden = True
        book.add_sheet("隐藏").visibility = 1

    content = make_old_workbook([[], ["手机", "b", "c", "d"], ["19900000001", "张"]], change=change)
    assert inspect_workbook(io.BytesIO(content)) == "xls"
    assert list_sheets(io.BytesIO(content)) == [
        Sheet("Sheet1", False, 8, ("B", "D")),
        Sheet("隐藏", True, 0, has_cells=False),
    ]
    *rows, error, empty, merged, hidden = read(content)
    assert rows == [
        (2, ["手机", "b", "c", "d"], None),
        (3, ["19900000001", "张", "", ""], None),
    ]
    assert error[:2] == (5, ["19900000002", "2026-02-28", "0.3", "TRUE", "#N/A"])
    assert isinstance(error[2], CellProblem)
    assert error[2].places == {4: ERROR_CELL}
    assert empty == (6, ["", "北京", "", "", ""], None)
    assert merged == (7, ["19900000003", "", "", "", ""], MERGED_CELL)
    assert hidden == (8, ["19900000004", "", "", "", ""], HIDDEN_ROW)


def test_old_and_new_workbooks_show_numbers_alike() -> None:
    codes = {"00000000000": 1012345678, "0%": 0.25, "0.00%": 0.0485, "0.00": 2.5, "#,##0": 1234}

    def change(book: Any, sheet: Any) -> None:
        for place, (code, value) in enumerate(codes.items()):
            if isinstance(book, xlwt.Workbook):
                sheet.write(0, place, value, xlwt.easyxf(num_format_str=code))
            else:
                sheet.write(0, place, value, book.add_format({"num_format": code}))

    new = read_cells(make_workbook(change=change))
    assert new == read_cells(make_old_workbook(change=change))
    assert new == [["01012345678", "25%", "4.85%", "2.5", "1234"]]


def test_an_old_formula_that_was_never_computed_is_a_problem_of_its_cell() -> None:
    """xlwt writes nothing for the result of every formula; others write zero."""

    def change(book: Any, sheet: Any) -> None:
        sheet.write(1, 0, xlwt.Formula("A1+1"))
        sheet.write(1, 1, 0)
        sheet.write(2, 0, xlwt.Formula("A1+1"))

    nothing = make_old_workbook([[1]], change=change)
    zero = nothing.replace(b"\3\0\0\0\0\0\xff\xff", bytes(8))
    assert zero != nothing
    for content in (nothing, zero):
        first, second, third = read(content)
        assert first[2] is None
        assert (second[1], third[1]) == (["", "0"], ["", ""])
        for _, _, problem in (second, third):
            assert isinstance(problem, CellProblem)
            assert problem.places == {0: NO_RESULT}
        # a program that computes leaves its mark in the workbook
        computed = content.replace(b"\xb7\x01\x02\x00", b"\xc1\x01\x02\x00")
        assert computed != content
        result = "" if content == nothing else "0"
        assert read(computed)[1] == (2, [result, "0"], None)


def test_an_old_workbook_that_begins_far_from_its_corner() -> None:
    content = make_old_workbook(change=lambda book, sheet: sheet.write(9, 2, "x"))
    assert read(content) == [(10, ["", "", "x"], None)]


# What is refused


def test_a_workbook_with_a_password() -> None:
    assert refuse(lock_workbook(make_workbook([HEADER]), "secret")) == "password"
    assert refuse(lock_old_workbook(make_old_workbook([HEADER]))) == "password"
    encrypted = bytearray(make_workbook([HEADER]))
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (start := encrypted.find(magic, start)) >= 0:
            encrypted[start + place] |= 1
            start += 4
    assert refuse(bytes(encrypted)) == "password"


@pytest.mark.parametrize(
    ("main", "word"),
    [
        ("ms-excel.sheet.macroEnabled.main+xml", "macros"),
        ("ms-excel.template.macroEnabled.main+xml", "macros"),
        ("ms-excel.sheet.binary.macroEnabled.main", "binary"),
        ("openxmlformats-officedocument.wordprocessingml.document.main+xml", "document"),
        ("openxmlformats-officedocument.presentationml.presentation.main+xml", "document"),
        ("ms-word.document.macroEnabled.main+xml", "document"),
        ("something.else+xml", "zip"),
    ],
)
def test_other_files_of_office_programs(main: str, word: str) -> None:
    assert refuse(make_package(main=main)) == word


def test_a_template_is_read_like_a_workbook() -> None:
    main = "openxmlformats-officedocument.spreadsheetml.template.main+xml"
    assert inspect_workbook(io.BytesIO(make_package(main=main))) == "xlsx"


def test_macros_are_refused_whatever_the_file_calls_itself() -> None:
    assert refuse(make_package(parts={"xl/vbaProject.bin": b"\0"})) == "macros"


def test_archives_and_documents_of_other_kinds() -> None:
    ods = "application/vnd.oasis.opendocument.spreadsheet"
    assert refuse(make_zip({"mimetype": ods, "content.xml": "<a/>"})) == "open_document"
    assert refuse(make_zip({"Index/Document.iwa": b"\0"})) == "document"
    assert refuse(make_zip({"contacts.csv": "a,b"})) == "zip"
    assert refuse(make_zip({})) == "zip"
    assert refuse(b"a,b\n1,2\n") == "no_workbook"
    assert refuse(b"") == "no_workbook"
    word = make_old_workbook([HEADER]).replace(
        "Workbook".encode("utf-16-le"), "WordDocu".encode("utf-16-le")
    )
    assert refuse(word) == "document"


def test_a_workbook_without_a_sheet() -> None:
    assert refuse(make_package(book="<sheets/>")) == "no_sheet"
    assert read(make_package()) == []


def test_zip_bombs_are_refused_before_anything_is_unpacked() -> None:
    many = make_package(parts={f"x{number}": "" for number in range(1_000)})
    assert refuse(many) == "bomb"
    part = "xl/worksheets/sheet1.xml"
    large = change_table(make_package(), part, field="unpacked", value=500_000_000)
    assert refuse(large) == "bomb"
    assert refuse(make_package(parts={"xl/media/a.bin": bytes(30_000_000)})) == "ratio"
    overlapping = change_table(make_package(), part, field="place", value=0)
    assert refuse(overlapping) == "ratio"


def test_a_part_gives_no_more_than_it_says() -> None:
    sheet = "<sheetData><row><c><v>1</v></c></row></sheetData>" + " " * 4_000_000
    part = "xl/worksheets/sheet1.xml"
    lying = change_table(make_package(sheet), part, field="unpacked", value=400)
    assert refuse(lying) in ("damaged", "damaged_at")


def test_declarations_of_entities_are_refused() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    row = '<sheetData><row><c t="str"><v>{}</v></c></row></sheetData>'
    assert refuse(make_package(row.format("&b;"), before=bomb)) == "damaged"
    outside = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    assert refuse(make_package(row.format("&x;"), before=outside)) == "damaged"


@pytest.mark.parametrize(
    "sheet",
    [
        '<sheetData><row r="2"/><row r="1"/></sheetData>',
        '<sheetData><row r="1048577"><c><v>1</v></c></row></sheetData>',
        '<sheetData><row r="x"/></sheetData>',
        '<sheetData><row r="1"><c r="XFE1"><v>1</v></c></row></sheetData>',
        '<sheetData><row r="1"><c r="1"><v>1</v></c></row></sheetData>',
        '<sheetData><row r="1"><c t="s"><v>9</v></c></row></sheetData>',
        '<sheetData><row r="1"><c t="s"><v>x</v></c></row></sheetData>',
        "<sheetData><row></sheetData>",
    ],
)
def test_what_no_spreadsheet_writes_is_damaged(sheet: str) -> None:
    assert refuse(make_package(sheet)) in ("damaged", "damaged_at")


def test_a_damaged_sheet_says_where() -> None:
    rows = "".join(f'<row r="{n}"><c><v>{n}</v></c></row>' for n in range(1, 9_000))
    found: list[Record] = []
    with pytest.raises(ImportRefused, match=r"after row \d{4}") as refused:
        found.extend(read_sheet(io.BytesIO(make_package(f"<sheetData>{rows}<oops")), ""))
    assert refused.value.values["row"] == 8_999


@pytest.mark.parametrize("make", [make_workbook, make_old_workbook])
def test_a_workbook_that_was_cut_off(make: Any) -> None:
    content = make([HEADER, *[[f"1990000{number:04}", "张三"] for number in range(300)]])
    for share in (0.05, 0.3, 0.6, 0.9, 0.99):
        cut = content[: int(len(content) * share)]
        try:
            kind = next(iter(answer(io.BytesIO(cut), "kind", "")))
        except Refused as refused:
            assert refused.code in ("damaged", "no_sheet", "document")
        else:
            assert kind == {"kind": "xls"}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_are_rows_or_a_sentence(data: st.DataObject) -> None:
    content = bytearray(_OLD if data.draw(st.booleans()) else _SMALL)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        rows = read_here(bytes(content))
    except Refused as refused:
        assert refused.code in SENTENCES
    else:
        numbers = [row.number for row in rows]
        assert numbers == sorted(set(numbers))


_SMALL = make_package(
    '<sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1"><f>A1</f><v>1</v></c></row>'
    '</sheetData><mergeCells><mergeCell ref="A1:A2"/></mergeCells>',
    strings="<si><t>a</t></si>",
)
_OLD = make_old_workbook([HEADER, ["19900000001", "张三"]])


# The process that reads


def list_readers() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children() if "sheets.program" in str(child.cmdline())
    ]


def wait_until(is_true: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def make_rows(count: int) -> bytes:
    rows = (
        f'<row r="{n}"><c r="A{n}"><v>{19900000000 + n}</v></c><c r="B{n}" t="s"><v>{n % 9}</v></c>'
        f"</row>"
        for n in range(1, count + 1)
    )
    strings = "".join(f"<si><t>{n}</t></si>" for n in range(9))
    return make_package(f"<sheetData>{''.join(rows)}</sheetData>", strings=strings)


def test_the_reader_is_gone_when_nobody_wants_more() -> None:
    with closing(read_sheet(io.BytesIO(make_rows(100_000)), "")) as records:
        assert [line for line, _, _ in islice(records, 3)] == [1, 2, 3]
        assert len(list_readers()) == 1
    assert list_readers() == []


def test_the_reader_dies_with_the_worker() -> None:
    # after one row the reader has nothing to tell for a minute, so it cannot see by its output that
    # nobody listens
    program = (
        "import sys, time; sys.path.append(sys.argv[1])\n"
        "from sheets import program\n"
        "def answer(*_):\n"
        "    yield [[1, [], '', {}, None]]\n"
        "    time.sleep(60)\n"
        "program.answer = answer\n"
        "program.main()"
    )
    code = (
        "import sys, time, django; django.setup()\n"
        "from campaigns.importing import workbooks\n"
        "workbooks._PROGRAM = sys.argv[2]\n"
        "rows = workbooks.read_sheet(open(sys.argv[1], 'rb'), '')\n"
        "print(next(rows)[0], flush=True)\n"
        "time.sleep(60)"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    with subprocess.Popen(
        [sys.executable, "-c", code, __file__, program],
        stdout=subprocess.PIPE,
        env=environment,
    ) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"1\n"
            (reader,) = psutil.Process(worker.pid).children()
        finally:
            worker.send_signal(signal.SIGKILL)
    wait_until(lambda: not reader.is_running() or reader.status() == psutil.STATUS_ZOMBIE)


def test_a_reader_that_is_killed_is_a_sentence() -> None:
    records = read_sheet(io.BytesIO(make_rows(100_000)), "")
    next(records)
    list_readers()[0].kill()
    with pytest.raises(ImportRefused, match="cannot be read"):
        list(records)
    assert list_readers() == []


def test_a_reader_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "_PROGRAM", "import time; time.sleep(60)  # sheets.program")
    monkeypatch.setattr(workbooks, "SILENCE_SECONDS", 0.2)
    with pytest.raises(ImportRefused, match="takes longer"):
        inspect_workbook(io.BytesIO(b""))
    assert list_readers() == []


def test_a_reader_has_a_limit_to_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    strings = "".join(f"<si><t>{n:0300}</t></si>" for n in range(400_000))
    row = '<sheetData><row><c t="s"><v>399999</v></c></row></sheetData>'
    content = make_package(row, strings=strings)
    assert read(content) == [(1, [f"{399_999:0300}"], None)]
    monkeypatch.setattr(workbooks, "MEMORY", 90_000_000)
    assert refuse(content) in ("memory", "crashed")


def test_a_reader_has_a_limit_to_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "CPU_SECONDS", 1)
    with pytest.raises(ImportRefused, match="takes longer"):
        read(make_rows(400_000))


def test_the_memory_of_the_worker_is_flat() -> None:
    content = io.BytesIO(make_rows(60_000))
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_sheet(content, ""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 60_000
    assert peak < 6_000_000


def test_any_handle_will_do_and_its_place_does_not_matter(tmp_path: Path) -> None:
    content = make_workbook([HEADER, ["19900000001", "张三"]])
    path = tmp_path / "book"
    path.write_bytes(content)
    with path.open("rb") as file:
        file.seek(7)
        first, second = read_sheet(file, ""), read_sheet(file, "")
        assert next(first) == next(second)
        assert list(first) == list(second)
        assert file.tell() == 7
    uploaded = SimpleUploadedFile("a.csv", content)
    uploaded.read()
    assert len(list(read_sheet(uploaded, ""))) == 2
    with (tmp_path / "fresh").open("w+b") as fresh:
        fresh.write(content)
        assert inspect_workbook(fresh) == "xlsx"


def test_nothing_of_ours_reaches_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "do not tell")
    with closing(read_sheet(io.BytesIO(make_rows(50_000)), "")) as records:
        next(records)
        assert "SECRET_KEY" not in list_readers()[0].environ()


# Sizes


def test_as_many_columns_as_there_can_be() -> None:
    content = make_workbook([[f"c{n}" for n in range(16_384)], list(range(16_384))])
    header, row = read_cells(content)
    assert len(header) == len(row) == 16_384
    assert row[-1] == "16383"


@pytest.mark.slow
def test_as_many_rows_as_there_can_be(tmp_path: Path) -> None:
    path = tmp_path / "million.xlsx"
    path.write_bytes(make_rows(1_048_576))
    begun = time.monotonic()
    with path.open("rb") as file:
        records = read_sheet(file, "")
        next(records)
        reader = list_readers()[0]
        peak = count = 0
        for line, _, _ in records:
            if line % 50_000 == 0:
                peak = max(peak, reader.memory_info().rss)
            count += 1
    assert count == 1_048_575
    assert peak < 1_500_000_000
    assert time.monotonic() - begun < 120
