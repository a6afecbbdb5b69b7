"""In: rows as people write them. Out: contacts; of every other row its line, column and reason."""

from __future__ import annotations

from typing import Any

import pytest

from campaigns.importing import checking
from campaigns.importing.cells import clean_cell, guard_cell, read_cell, unguard_cell
from campaigns.importing.errors import Problem
from campaigns.importing.mapping import make_layout
from campaigns.importing.reading import Plan, Record
from campaigns.importing.workbooks import CellProblem
from tests.campaigns.importing.tables import COLUMNS, HEADER, Outcome, check, read

WRONG = Problem("error_cell", "The cell has no value but an error.")


def read_phone(text: str, **options: Any) -> Outcome:
    cell = text.replace('"', '""')
    return read(f'{HEADER}"{cell}",a,b\n', **options)


def test_each_bad_row_has_its_line_column_and_reason() -> None:
    outcome = read(
        f"{HEADER}19900000001,a,b\n"  # 2
        "1.99E+10,b,c\n"  # 3
        "19900000001.0,c,d\n"  # 4
        "\n"
        '"19900000\n002",d,e\n'  # 6 and 7
        "110,e,f\n"  # 8
        "19900000003,g\n"  # 9
        "19900000003,f,g,more\n"  # 10
        ",g,h\n"  # 11
        "19900000004,h,i,\n"  # 12: the empty cell that spreadsheets add
        f"19900000005,{'x' * 200_000},a\n"  # 13
        "19900000006,i\0j,a\n"  # 14
        '19900000007,"k,l\n'  # 15
        '19900000008,"k"l,m\n'  # 16
        " , ,\u200b\n"
        "19900000009,k,'l\n"  # 18
    )
    assert outcome.problems == [
        (3, "客户手机号码", "phone"),
        (4, "客户手机号码", "phone"),
        (8, "客户手机号码", "phone"),
        (9, "", "too_few_cells"),
        (10, "", "too_many_cells"),
        (11, "客户手机号码", "phone"),
        (13, "姓名", "cell_too_long"),
        (14, "姓名", "zero_character"),
        (15, "", "unclosed_quote"),
        (16, "", "text_after_quote"),
    ]
    assert "1.99E+10" in outcome.rejected[0].problem.reason
    assert outcome.rejected[3].value == "19900000003,g"
    assert [row[:2] for row in outcome.rows] == [
        (2, "19900000001"),
        (6, "19900000002"),
        (12, "19900000004"),
        (18, "19900000009"),
    ]


def test_a_row_with_a_cell_nobody_uses_is_a_row() -> None:
    outcome = read(f"x,{HEADER}{'y' * 200_000},19900000001,a,b\n\0\ufffd,19900000002,a,b\n")
    assert [row[1] for row in outcome.rows] == ["19900000001", "19900000002"]
    kept = read(f"x,{HEADER}{'y' * 200_000},19900000001,a,b\n", kept=["x"])
    assert kept.problems == [(2, "x", "cell_too_long")]


def test_contacts_above_the_header_are_counted_and_named() -> None:
    outcome = read(
        f"May list\n19900000001,A,b\nx,,19900000002/19900000003\n{HEADER}19900000004,C,d\n"
    )
    assert [row[:2] for row in outcome.rows] == [(5, "19900000004")]
    assert outcome.problems == [(2, "", "above_header"), (3, "", "above_header")]
    assert "stands above the line" in outcome.rejected[0].problem.reason
    assert outcome.rejected[0].value == "19900000001,A,b"


def test_rows_that_a_later_quote_swallowed_are_rows_again() -> None:
    outcome = read(
        f'{HEADER}19900000001,"a,b\n19900000002,c,d\n19900000003,e",f\n19900000004,"g\nh",i\n'
    )
    assert outcome.problems == [(2, "", "unclosed_quote")]
    assert [row[:2] for row in outcome.rows] == [
        (3, "19900000002"),
        (4, "19900000003"),
        (5, "19900000004"),
    ]
    two = read('手机,姓名\n19900000001,"a\n19900000002,b"\n', columns=["手机", "姓名"])
    assert two.problems == [(2, "", "unclosed_quote")]
    assert [row[1] for row in two.rows] == ["19900000002"]
    # the number may stand behind the cell that was not closed
    last = read(
        '姓名,备注,手机\na,"x,19900000001\nb,y",19900000002\n', columns=["姓名", "手机"][::-1]
    )
    assert last.problems == [(2, "", "unclosed_quote")]
    assert [row[1] for row in last.rows] == ["19900000002"]


def test_rows_with_stray_quotes_are_counted_each() -> None:
    rows = [f'1990000000{number}","x,b' for number in range(4)]
    outcome = read(HEADER + "\n".join([*rows, '19900000009","x",b']) + "\n")
    assert [line for line, *_ in outcome.problems] == [2, 3, 4, 5, 6]


def test_a_cell_of_several_lines_is_whole_however_its_lines_look() -> None:
    # the last line, read by itself, would have the width of a row and a number at its place
    outcome = read(
        '姓名,地址,手机\na,"Tower 4\nBeijing, road 3",19900000001\nb,"x\ny",19900000002\n',
        columns=["手机", "姓名", "地址"],
    )
    assert outcome.problems == []
    assert [row[1] for row in outcome.rows] == ["19900000001", "19900000002"]
    assert outcome.rows[0][3]["地址"] == "Tower 4\nBeijing, road 3"


def test_a_row_may_lack_cells_that_nobody_uses() -> None:
    text = f"{HEADER.strip()},note,,\n19900000001,a,b\n19900000002,a,b,c\n19900000003,a\n"
    outcome = read(text)
    assert [row[1] for row in outcome.rows] == ["19900000001", "19900000002"]
    assert outcome.problems == [(4, "", "too_few_cells")]
    kept = read(text, kept=["note"])
    assert [row[1] for row in kept.rows] == ["19900000002"]


def test_what_old_programs_end_a_text_with_is_no_row() -> None:
    assert read(f"{HEADER}19900000001,a,b\n\x1a").problems == []
    outcome = read("手机\n19900000001\n\x1a\n", columns=["手机"])
    assert (len(outcome.rows), outcome.problems) == (1, [])


def test_a_header_in_the_middle_is_named() -> None:
    outcome = read(f"{HEADER}19900000001,a,b\n{HEADER}19900000002,a,b\n")
    assert outcome.problems == [(3, "", "repeated_header")]
    assert "repeats the columns' names" in outcome.rejected[0].problem.reason
    assert len(outcome.rows) == 2


def test_a_cell_may_have_2000_characters() -> None:
    outcome = read(f"{HEADER}19900000001,{'字' * 2_000},b\n19900000002,{'字' * 2_001},b\n")
    assert [row[0] for row in outcome.rows] == [2]
    assert outcome.problems == [(3, "姓名", "cell_too_long")]


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("+86 199-0000-0001", "19900000001"),
        ("0086 19900000001", "19900000001"),
        ("'19900000001", "19900000001"),
        ("'+8619900000001", "19900000001"),
        ('="19900000001"', "19900000001"),
        ("１９９００００００01", "19900000001"),
        ("19900000\n001", "19900000001"),
        ("\u202a19900000001\u202c", "19900000001"),
        ("(010) 8234 5678", "01082345678"),
        ("+1 212-555-0100", "+12125550100"),
        ("1.99E+10", ""),
        ("19900000001.0", ""),
        ("-19900000001", ""),
        ("=1990000001+1", ""),
        ("199****0001", ""),
        ("1990000000", ""),
        ("199000000011", ""),
    ],
)
def test_numbers_as_they_come_in_files(text: str, phone: str) -> None:
    outcome = read_phone(text)
    assert [row[1] for row in outcome.rows] == ([phone] if phone else [])
    if phone:
        # what was in the cell is kept beside the normal form
        assert outcome.rows[0][2] == clean_cell(text)[:100]
        assert outcome.rows[0][3]["客户手机号码"] == phone
    else:
        assert [(line, column) for line, column, _ in outcome.problems] == [(2, COLUMNS[0])]


@pytest.mark.parametrize(
    ("region", "texts"),
    [
        (
            "CN",
            "110; 119; 120; 122; 12110; 12345; 12306; 10086; 95588; 96110; 1069012345678",
        ),
        (
            "CN",
            "4008123123; 800-810-1234; +86110; 0086-120; 010-110; +86 12345; ＋86１１０; '110; 112",
        ),
        (
            "US",
            "911; 112; 999; 211; 411; 511; 611; 988; +1911; +1 911; 1-900-555-0100; +86110",
        ),
        ("GB", "999; 112; 101; 111; 116123; 0900 123 4567; +44999; +44 112; 118 118"),
        ("SG", "999; 995; 993; 112; 1777; 1900 112 3456; +65999; +65995"),
        ("TH", "191; 199; 1669; 1155; +66191"),
        ("JP", "110; 119; 118; 0570 000 000; +81110; 0990-504-111"),
        ("DE", "110; 112; 116117; 0900 1234567; +49110; +49112"),
        ("AU", "000; 112; 106; 131126; 1900 654 321; +61000"),
        ("IN", "100; 101; 102; 108; 112; 1091; 1098; +91112"),
        ("ID", "110; 112; 113; 118; 119; +62112"),
        ("HK", "999; 112; 992; 1823; +852999"),
    ],
)
def test_emergency_and_service_numbers_are_never_called(region: str, texts: str) -> None:
    for text in texts.split("; "):
        outcome = read_phone(text, region=region)
        assert outcome.rows == [], text


def test_numbers_of_a_region() -> None:
    assert read_phone("020 7946 0018", region="GB").rows[0][1] == "+442079460018"
    assert read_phone("(212) 555-0100", region="US").rows[0][1] == "+12125550100"
    assert read_phone("+86 199 0000 0001", region="US").rows[0][1] == "19900000001"


def test_a_formula_is_the_text_it_is_and_a_guarded_one_what_it_was() -> None:
    outcome = read(
        f'{HEADER}19900000001,=1+1,"=HYPERLINK(""x"")"\n19900000002,\'=1+1,\'\'-2\n'
        "'19900000003,'a,''\n"
    )
    assert outcome.values == [
        ("19900000001", "=1+1", '=HYPERLINK("x")'),
        ("19900000002", "=1+1", "'-2"),
        ("19900000003", "'a", "''"),
    ]


@pytest.mark.parametrize("text", ["=1", "+86", "-1", "@a", "'=1", "''+1", "'a", "'", "a", "", "\t"])
def test_a_guard_is_taken_away_again(text: str) -> None:
    assert unguard_cell(guard_cell(text)) == text
    assert guard_cell(text)[:1] not in tuple("=+-@\t\r")
    assert read_cell(guard_cell(text)) == clean_cell(text)


def test_odd_names_and_odd_texts_are_json() -> None:
    columns = ["手机", '100% "a"\\', "%s"]
    text = 'tab\there \\N "q" 𠮷 \x01 %s {}'
    cell = text.replace('"', '""')
    content = f'手机,"100% ""a""\\",%s\n19900000001,"{cell}","a\nb"\n'
    outcome = read(content, columns=columns)
    assert outcome.rows[0][3] == dict(zip(columns, ["19900000001", text, "a\nb"], strict=True))


def check_sheet(records: list[Record], **options: Any) -> Outcome:
    plan = Plan("xlsx", header_line=1)
    return check(records, make_layout(plan, [*COLUMNS, "x"], columns=COLUMNS, **options))


def test_a_problem_of_a_cell_counts_where_the_cell_is_used() -> None:
    of_city, of_x = CellProblem(*WRONG), CellProblem(*WRONG)
    of_city.places, of_x.places = {2: WRONG}, {3: WRONG}
    records: list[Record] = [
        (1, [*COLUMNS, "x"], of_x),
        (2, ["19900000001", "a", "#N/A", "b"], of_city),
        (3, ["19900000002", "a", "b", "#N/A"], of_x),
        (4, ["19900000003", "a"], None),
        (5, ["19900000004", "a", "b", "c"], Problem("hidden_row", "The row is hidden.")),
    ]
    outcome = check_sheet(records)
    assert outcome.problems == [
        (2, "city", "error_cell"),
        (4, "", "too_few_cells"),
        (5, "", "hidden_row"),
    ]
    assert [row[1] for row in outcome.rows] == ["19900000002"]
    assert check_sheet(records, kept=["x"]).problems[1] == (3, "x", "error_cell")


def test_the_example_of_a_template_is_no_contact() -> None:
    outcome = read("手机\n19900000001 (example: replace it)\n19900000001\n", columns=["手机"])
    assert outcome.problems == [(2, "", "example_row")]
    assert len(outcome.rows) == 1


def test_what_cannot_be_said_is_said_by_a_code_that_is_one_of_ours() -> None:
    codes = [value.code for value in vars(checking).values() if type(value) is Problem]
    assert len(codes) == len(set(codes)) >= 5
