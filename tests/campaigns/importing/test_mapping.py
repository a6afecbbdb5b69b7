"""In: first rows and a robot's columns. Out: how the file is read, and which column is which."""

from __future__ import annotations

import io
import re
import time
import unicodedata
from typing import Any

import pytest
import xlsxwriter

from campaigns.importing.errors import ImportRefused
from campaigns.importing.files import inspect_file
from campaigns.importing.mapping import (
    Layout,
    find_plan,
    make_key,
    make_layout,
    name_column,
    read_header,
    suggest_mapping,
)
from campaigns.importing.reading import Plan, measure_table
from tests.campaigns.importing.tables import COLUMNS, HEADER, read

ROW = "19900000001,a,b\n"


def find(content: str | bytes, **options: Any) -> tuple[Plan, list[str]]:
    handle = io.BytesIO(content.encode() if isinstance(content, str) else content)
    return find_plan(handle, inspect_file(handle), columns=COLUMNS, **options)


def lay_out(header: list[str], **options: Any) -> Layout:
    options.setdefault("columns", COLUMNS)
    return make_layout(Plan(header_line=1), header, **options)


def refuse(header: list[str], **options: Any) -> str:
    with pytest.raises(ImportRefused) as refused:
        lay_out(header, **options)
    return str(refused.value)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_the_one_that_divides_the_header(delimiter: str) -> None:
    text = HEADER.replace(",", delimiter) + delimiter.join(["19900000001", "a,b;c", "d|\te"]) + "\n"
    plan, header = find(text)
    assert (plan.delimiter, plan.header_line, header) == (delimiter, 1, COLUMNS)


def test_a_header_in_words_of_its_own_is_as_wide_as_its_rows() -> None:
    plan, header = find("who, when;tel;town\n张, 三;19900000001;a\n李, 四;19900000002;b\n")
    assert (plan.delimiter, header) == (";", ["who, when", "tel", "town"])
    # the name of a column beside a number to call is a value
    plan, header = find("tel,who,town\n19900000001,姓名,city\n19900000002,a,b\n")
    assert (plan.header_line, header) == (1, ["tel", "who", "town"])
    plan, header = find("List of May\n\ntel,who,town\n19900000001,a,b\n19900000002,a,b\n")
    assert (plan.header_line, header) == (3, ["tel", "who", "town"])


def test_a_title_may_stand_above_the_header() -> None:
    plan, header = find(f"名单,,\n\n{HEADER}{ROW}")
    assert (plan.header_line, header) == (3, COLUMNS)
    plan, _ = find("sep=;\r\n" + HEADER.replace(",", ";"))
    assert (plan.delimiter, plan.header_line) == (";", 2)


def test_a_header_of_the_last_time_is_found_again() -> None:
    known = {"客户手机号码": "tel", "姓名": "who", "city": "town"}
    plan, header = find("a|b\ntel;who;town\n19900000001;a;b\n", known=known)
    assert (plan.delimiter, plan.header_line, header) == (";", 2, ["tel", "who", "town"])


def test_a_file_without_a_header_loses_no_row() -> None:
    plan, header = find("19900000001,a,b\n19900000002,c,d\n")
    assert (plan.header_line, header) == (None, ["A", "B", "C"])
    mapping = {"客户手机号码": "A", "姓名": "C", "city": "B"}
    outcome = read("19900000001,a,b\n19900000002,c,d\n", mapping=mapping)
    assert [row[0] for row in outcome.rows] == [1, 2]
    assert outcome.values == [("19900000001", "b", "a"), ("19900000002", "d", "c")]
    with pytest.raises(ImportRefused, match="has no header"):
        read("19900000001,a,b\n")
    assert [name_column(place) for place in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


def test_a_number_in_the_region_tells_that_there_is_no_header() -> None:
    assert find("212-555-0100,a,b\n", region="US")[0].header_line is None
    assert find("212-555-0100,a,b\n")[0].header_line == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("\n\n  \n", "no row with text"),
        ('客户手机号码,"姓名\n19900000001,a\n', "line 1 cannot be read"),
        (",".join([*COLUMNS, *(f"c{number}" for number in range(10_000))]), "10003 columns"),
        ("客户手机号码,姓名," + "x" * 2_000_000, "cannot be read"),
    ],
)
def test_headers_that_cannot_be_read(content: str, words: str) -> None:
    with pytest.raises(ImportRefused, match=words):
        find(content)


def test_a_file_of_empty_lines_is_looked_at_for_a_moment() -> None:
    begun = time.process_time()
    with pytest.raises(ImportRefused, match="up to 10,000, have no text"):
        find("\n" * 20_000_000)
    assert time.process_time() - begun < 2
    handle = io.BytesIO(b"\n" * 20_000_000)
    for line, words in ((None, "no text"), (15_000_000, "first 10,000 lines")):
        begun = time.process_time()
        with pytest.raises(ImportRefused, match=words):
            read_header(handle, Plan(header_line=line))
        assert time.process_time() - begun < 2


def test_no_sentence_tells_a_number() -> None:
    for text in (
        "a19900000001/19900000002,张三\n",
        "a 199-0000-0001,x １９９００００００01,12345678\n",
    ):
        with pytest.raises(ImportRefused) as refused:
            read(text)
        digits = unicodedata.normalize("NFKC", str(refused.value)).replace("-", "")
        assert not re.search(r"\d{7}", digits), digits
    # numbers without a word are no header at all
    assert find("19900000001/19900000002,张三\n")[0].header_line is None


def test_a_contact_is_no_line_of_names_whoever_says_so() -> None:
    handle = io.BytesIO(f"{HEADER}{ROW}".encode())
    with pytest.raises(ImportRefused, match="line 2") as refused:
        read_header(handle, Plan(header_line=2))
    assert "19900000001" not in str(refused.value)


def test_letters_are_the_names_of_nothing_but_their_file() -> None:
    plan = Plan(header_line=None)
    known = {"客户手机号码": "B"}
    assert suggest_mapping(["A", "B"], columns=["A", *COLUMNS], named=False) == {}
    assert suggest_mapping(["A", "B"], columns=COLUMNS, known=known, named=False) == known
    with pytest.raises(ImportRefused, match="no header"):
        make_layout(plan, ["A", "B"], columns=["A", "B"], mapping={"A": "B"})


def test_several_columns_of_numbers_are_named_with_the_way_to_choose() -> None:
    sentence = refuse(["手机号", "联系电话", "姓名", "city"])
    assert "“手机号”, “联系电话”" in sentence
    assert "--map 客户手机号码=手机号" in sentence


def test_a_header_of_200_kb_is_cut() -> None:
    _, header = find(f"{HEADER.strip()},{'x' * 200_000}\n")
    assert header == [*COLUMNS, "x" * 200]
    assert lay_out(header, kept=[header[3]]).kept == ("x" * 200,)


def test_a_person_says_where_the_header_is() -> None:
    handle = io.BytesIO(f"one,two\n{HEADER}\n{ROW}".encode())
    assert read_header(handle, Plan(header_line=1)) == ["one", "two"]
    assert read_header(handle, Plan(header_line=2)) == COLUMNS
    assert read_header(handle, Plan(delimiter=";", header_line=2)) == [HEADER.strip()]
    assert read_header(handle, Plan(header_line=None)) == ["A", "B"]
    for line in (3, 99):
        with pytest.raises(ImportRefused, match=f"line {line}"):
            read_header(handle, Plan(header_line=line))
    with pytest.raises(ImportRefused, match="comma"):
        read_header(handle, Plan(delimiter="1", header_line=1))


def test_columns_are_suggested_by_name_then_by_habit_then_by_what_is_usual() -> None:
    known = {"city": "town", "客户手机号码": "gone"}
    header = ["No.", "姓 名", "Town", "手机号"]
    assert suggest_mapping(header, columns=COLUMNS, known=known) == {
        "客户手机号码": "手机号",
        "姓名": "姓 名",
        "city": "Town",
    }
    assert suggest_mapping(["手机号", "电话"], columns=COLUMNS) == {}
    assert suggest_mapping(["city", "CITY", "客户手机号码"], columns=COLUMNS) == {
        "客户手机号码": "客户手机号码"
    }
    # a name in the file goes before a habit
    assert suggest_mapping(["town", "city"], columns=["city"], known=known) == {"city": "city"}


def test_headers_are_found_by_what_a_person_reads() -> None:
    header = [" 城市 ", "\u200bＮＡＭＥ", "Phone\u00a0", ""]
    layout = lay_out(header, columns=["phone", "Name", "城市"])
    assert layout.places == (2, 1, 0)
    assert make_key("Ｎａ me\u200b") == "name"


def test_columns_that_differ_in_case_only_are_told_apart() -> None:
    outcome = read("phone,Name,name\n19900000001,A,b\n", columns=["phone", "name", "Name"])
    assert outcome.values == [("19900000001", "b", "A")]


def test_a_mapping_names_other_headers() -> None:
    mapping = {"客户手机号码": "tel", "姓名": "WHO", "city": "who"}
    layout = lay_out(["who", "x", "tel", ""], mapping=mapping)
    assert layout.mapping == {"客户手机号码": "tel", "姓名": "who", "city": "who"}
    assert layout.ignored == ["x"]


def test_layouts_that_cannot_be() -> None:
    assert "lacks the column “姓名”, “city”" in refuse(["客户手机号码", "名"])
    assert "“nobody”" in refuse(COLUMNS, mapping={"姓名": "nobody"})
    assert "has no column “age”" in refuse(COLUMNS, mapping={"age": "city"})
    assert "“姓名” more than once" in refuse([*COLUMNS, "姓 名"])
    assert "synchronise" in refuse(COLUMNS, columns=[])
    assert "synchronise" not in refuse(["a"] * 30, columns=["\0\ud800" * 50])


def test_columns_of_nobody_are_kept_when_somebody_says_so() -> None:
    outcome = read(
        "编号,姓名,备注,客户手机号码,city,\n7,a,x,19900000001,b,\n", kept=["备注", " 编号"]
    )
    assert outcome.layout.kept == ("编号", "备注")
    assert outcome.layout.ignored == []
    assert outcome.rows[0][3] == {
        "客户手机号码": "19900000001",
        "姓名": "a",
        "city": "b",
        "编号": "7",
        "备注": "x",
    }
    # the robot's columns come first
    assert list(outcome.rows[0][3])[:3] == COLUMNS


def test_columns_that_cannot_be_kept() -> None:
    header = [*COLUMNS, "x", "x", "tel", *(f"c{number}" for number in range(101))]
    assert "no column “y”" in refuse(header, kept=["y"])
    assert "no column “”" in refuse([*header, ""], kept=[""])
    assert "“x” more than once" in refuse(header, kept=["x"])
    assert "101 columns" in refuse(header, kept=header[6:])
    # it would overwrite the robot's column of that name
    taken = refuse(header, mapping={"客户手机号码": "tel"}, kept=["客户手机号码"])
    assert "“客户手机号码” cannot be kept" in taken
    # what a column of the robot uses is kept there
    assert lay_out(header, kept=["city"]).kept == ()


def make_workbook(*sheets: tuple[str, list[list[object]], bool]) -> io.BytesIO:
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target)
    for name, rows, is_hidden in sheets:
        sheet = book.add_worksheet(name)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
        if is_hidden:
            sheet.hide()
    book.close()
    return target


def test_the_sheet_with_the_columns_is_proposed_and_no_hidden_one() -> None:
    rows: list[list[object]] = [["list"], [], [*COLUMNS], ["19900000001", "a", 7]]
    handle = make_workbook(
        ("About", [["How to use this list"]], False),
        ("Old", rows, True),
        ("May", rows, False),
        ("June", rows, False),
    )
    plan, header = find_plan(handle, inspect_file(handle), columns=COLUMNS)
    assert (plan.kind, plan.sheet, plan.header_line) == ("xlsx", "May", 3)
    assert header == COLUMNS
    assert read_header(handle, plan) == header
    assert measure_table(handle, plan) == 4
    outcome = read(handle)
    assert [(line, *values.values()) for line, _, _, values in outcome.rows] == [
        (4, "19900000001", "a", "7")
    ]
