"""In: the columns of robots. Out: templates that spreadsheets open and that import as they are."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import pytest
import python_calamine
from django.utils import translation

from campaigns.importing.checking import check_rows
from campaigns.importing.errors import Rejection
from campaigns.importing.files import inspect_file
from campaigns.importing.mapping import find_plan, make_layout
from campaigns.importing.reading import read_table
from campaigns.importing.template import (
    EXAMPLE_PHONE,
    EXAMPLE_ROW,
    is_example,
    make_example,
    make_template,
)

COLUMNS = ["客户手机号码", "姓名", "=amount", 'the "best" city, of all']
KINDS = ["csv", "xlsx"]


class Rejected(list[Rejection]):
    def add(self, rejection: Rejection) -> None:
        self.append(rejection)


def load(content: bytes, columns: list[str]) -> tuple[list[dict[str, str]], list[Rejection]]:
    handle = io.BytesIO(content)
    plan, header = find_plan(handle, inspect_file(handle), columns=columns)
    layout = make_layout(plan, header, columns=columns)
    rejected = Rejected()
    rows = check_rows(read_table(handle, plan), layout, rejections=rejected)
    return [json.loads(values) for *_, values in rows], rejected


def add_row(content: bytes, kind: str, cells: list[str]) -> bytes:
    """As somebody who writes below the example."""
    if kind == "csv":
        line = io.StringIO()
        csv.writer(line).writerow(cells)
        return content + line.getvalue().encode()
    target = io.BytesIO()
    part = "xl/worksheets/sheet1.xml"
    texts = "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in cells)
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            body = old.read(info)
            if info.filename == part:
                body = body.replace(
                    b"</sheetData>", f'<row r="3">{texts}</row></sheetData>'.encode()
                )
            new.writestr(info, body)
    return target.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS[:2], COLUMNS[:1]])
def test_a_template_is_imported_but_for_its_example(
    kind: str, language: str, columns: list[str]
) -> None:
    with translation.override(language):
        content = make_template(columns, kind=kind)
    rows, rejected = load(content, columns)
    assert rows == []
    assert [(row.line, row.problem) for row in rejected] == [(2, EXAMPLE_ROW)]

    contact = [EXAMPLE_PHONE, "张三", "0.5", "北京"][: len(columns)]
    rows, rejected = load(add_row(content, kind, contact), columns)
    assert rows == [dict(zip(columns, contact, strict=True))]
    assert len(rejected) == 1


def test_a_csv_opens_right_in_excel() -> None:
    content = make_template(COLUMNS, kind="csv")
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.count(b"\r\n") == content.count(b"\n") == 2
    header, example = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert header == [COLUMNS[0], COLUMNS[1], "'=amount", COLUMNS[3]]
    assert example[0] == EXAMPLE_PHONE


def test_a_workbook_keeps_numbers_as_text_below_a_header_that_stays() -> None:
    content = make_template(COLUMNS, kind="xlsx")
    book = python_calamine.load_workbook(io.BytesIO(content))
    header, example = book.get_sheet_by_index(0).to_python()
    assert header == COLUMNS
    assert example[0] == EXAMPLE_PHONE
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        styles = archive.read("xl/styles.xml").decode()
    assert '<pane ySplit="1"' in sheet
    assert 'state="frozen"' in sheet
    # the whole first column, not the example alone, is in the format of text (49)
    assert 'numFmtId="49"' in styles
    assert '<col min="1" max="1"' in sheet
    assert 'style="' in sheet.split('<col min="1" max="1"')[1].split("/>")[0]
    assert "<f>" not in sheet


def test_the_example_is_in_the_readers_language_and_known_in_each() -> None:
    assert make_example(["phone"])[0].startswith(EXAMPLE_PHONE)
    example = dict(zip(COLUMNS, make_example(COLUMNS), strict=True))
    assert example["姓名"] == "Example (姓名)"
    assert is_example(example)
    with translation.override("zh-hans"):
        assert is_example(example)
    assert is_example({**example, "=amount": "changed"})


def test_a_contact_with_the_number_of_the_example_is_no_example() -> None:
    assert not is_example({"phone": EXAMPLE_PHONE, "name": "Ann"})
    assert not is_example({"phone": EXAMPLE_PHONE})
    assert not is_example({"phone": EXAMPLE_PHONE, "name": "Example (city)"})
