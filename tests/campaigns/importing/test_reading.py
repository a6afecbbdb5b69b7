"""In: tables written in every way. Out: the same rows, in lines that an editor would show."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.importing import ImportRefused
from campaigns.importing.cells import read_cell
from campaigns.importing.checking import check_rows
from campaigns.importing.files import keep_file
from campaigns.importing.mapping import Layout, find_plan, make_layout
from campaigns.importing.reading import (
    AFTER_QUOTE,
    MAX_LINES,
    TOO_LONG,
    UNCLOSED,
    read_records,
    read_table,
)
from campaigns.importing.report import RejectedRows

COLUMNS = ["客户手机号码", "姓名", "city"]
ENCODINGS = ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]

Rows = list[tuple[int, str, str, str]]


def read(content: bytes, columns: list[str] | None = None) -> tuple[Layout, Rows, RejectedRows]:
    rejected = RejectedRows()
    with keep_file(content) as kept:
        plan, header = find_plan(kept.handle, kept.found, columns=columns or COLUMNS)
        layout = make_layout(plan, header, columns=columns or COLUMNS)
        records = read_table(kept.handle, plan)
        return layout, list(check_rows(records, layout, rejections=rejected)), rejected


def records(text: str) -> list[tuple[int, list[str], object]]:
    return list(read_records(io.StringIO(text, newline=""), delimiter=","))


texts = st.text(
    st.characters(codec="gb18030", exclude_categories=["Cs"], exclude_characters="\0\ufffd\ufeff"),
    max_size=30,
)
dialects = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
    }
)
tables = st.lists(st.tuples(st.integers(0, 10**8 - 1), texts, texts), min_size=1, max_size=20)


@settings(max_examples=150, deadline=None)
@given(tables, st.sampled_from(ENCODINGS), dialects, st.booleans())
def test_a_table_reads_back_as_it_was_written(
    table: list[tuple[int, str, str]], encoding: str, dialect: dict[str, Any], is_ended: bool
) -> None:
    rows = [(f"199{row[0]:08d}", read_cell(row[1]), read_cell(row[2])) for row in table]
    if any(
        set(cell) & set("\r\n") - set(dialect["lineterminator"]) for row in rows for cell in row
    ):
        # csv.writer would leave them bare, and they are line ends to everybody else
        dialect["quoting"] = csv.QUOTE_ALL
    target = io.StringIO()
    writer = csv.writer(target, **dialect)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    text = target.getvalue()
    if not is_ended:
        text = text.removesuffix(dialect["lineterminator"])
    layout, found, rejected = read(text.encode(encoding))
    assert rejected.kept == []
    assert [tuple(json.loads(values).values()) for *_, values in found] == rows
    assert layout.plan.delimiter == dialect["delimiter"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_an_editor_does(end: str) -> None:
    text = end.join(["a,b", "", '"c', 'd",e', "f,g"])
    assert records(text) == [
        (1, ["a", "b"], None),
        (2, [], None),
        (3, [f"c{end}d", "e"], None),
        (5, ["f", "g"], None),
    ]


def test_a_broken_record_gives_its_following_lines_back() -> None:
    found = records('a,"b\nc,d\n"e",f\ng,"h\ni,j')
    assert [(line, problem) for line, _, problem in found] == [
        (1, UNCLOSED),
        (2, None),
        (3, None),
        (4, UNCLOSED),
        (5, None),
    ]
    assert records('"a"b,c\nd,e')[0][2] == AFTER_QUOTE


def test_a_quote_that_never_closes_holds_little_memory_and_loses_no_row() -> None:
    rows = 3 * MAX_LINES
    found = records('a,"b\n' + "c,d\n" * rows)
    assert found[0][2] == UNCLOSED
    assert len(found) == rows + 1
    assert found[-1][:2] == (rows + 1, ["c", "d"])


def test_an_endless_line_is_one_bad_row() -> None:
    found = records("a,b\n" + "x" * 3_000_000 + "\nc,d\n")
    assert [(line, problem) for line, _, problem in found] == [(1, None), (2, TOO_LONG), (3, None)]


def test_an_endless_line_inside_a_quote() -> None:
    found = records('a,"b\n' + "x" * 3_000_000 + '\nc,d"\ne,f\n')
    assert [(line, problem) for line, _, problem in found] == [
        (1, UNCLOSED),
        (2, TOO_LONG),
        (3, None),
        (4, None),
    ]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('ab,"\n\r; \t\0=1'), max_size=60))
def test_every_line_is_read_or_named_whatever_stands_in_it(text: str) -> None:
    found = records(text)
    lines = [line for line, _, _ in found]
    assert lines == sorted(set(lines))
    count = len(io.StringIO(text, newline="").readlines()) if text else 0
    assert all(1 <= line <= count for line in lines)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_a_sentence(content: bytes) -> None:
    for start in (
        b"",
        "客户手机号码,姓名,city\n".encode(),
        "客户手机号码,姓名,city\n".encode("gb18030"),
    ):
        try:
            _, rows, _ = read(start + content)
        except ImportRefused as refused:
            assert str(refused)
        else:
            assert all(line > 1 for line, *_ in rows)


def test_unknown_columns_are_ignored_and_named() -> None:
    layout, rows, _ = read("x,city,姓名,,客户手机号码\n1,c,n,,19900000001\n".encode())
    assert layout.ignored == ["x"]
    assert rows[0][3] == '{"客户手机号码": "19900000001", "姓名": "n", "city": "c"}'


def test_a_line_that_names_the_delimiter_is_no_header() -> None:
    layout, rows, _ = read("sep=;\r\n客户手机号码;姓名;city\r\n19900000001;a;b\r\n".encode())
    assert (layout.plan.delimiter, layout.plan.header_line, rows[0][0]) == (";", 2, 3)


def test_a_file_of_one_column_needs_no_delimiter() -> None:
    _, rows, _ = read("手机\n19900000001\n\n19900000002".encode(), ["手机"])
    assert [(row[0], row[1]) for row in rows] == [(2, "19900000001"), (4, "19900000002")]


def test_columns_that_differ_in_case_only_are_told_apart() -> None:
    _, rows, _ = read(b"phone,Name,name\n19900000001,A,b\n", ["phone", "name", "Name"])
    assert rows[0][3] == '{"phone": "19900000001", "name": "b", "Name": "A"}'


def test_one_line_of_a_large_file_costs_no_more_memory_than_itself() -> None:
    class Endless(io.RawIOBase):
        """40 MB that exist nowhere at once."""

        left = 40

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return (
                "客户手机号码,姓名,city\n".encode()
                if self.left == 39
                else (b"19900000001,a,b\n" * 65536 if self.left >= 0 else b"")
            )

    rejected = RejectedRows()
    tracemalloc.start()
    try:
        with keep_file(Endless()) as kept:  # type: ignore[arg-type]
            plan, header = find_plan(kept.handle, kept.found, columns=COLUMNS)
            layout = make_layout(plan, header, columns=COLUMNS)
            rows = check_rows(read_table(kept.handle, plan), layout, rejections=rejected)
            assert sum(1 for _ in zip(range(5_000), rows, strict=False)) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
