"""Texts as people, platforms and logs write them. Must catch: a whole number that stays, an id or a
time that becomes unreadable."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from campaigns.admin.base import hide_phones
from campaigns.masking import mask_cell
from config.middleware import HidingFormatter

NUMBERS = [
    "19900000001",
    "+8619900000001",
    "+86 199-0000-0001",
    "+86-19900000001",
    "008619900000001",
    "8619900000001",
    "199 0000 0001",
    "199-0000-0001",
    "199\u20110000\u20110001",
    "199 00 00 00 01",
    "010-10000001",
    "0551-1000 0001",
    "(0551)10000001",
    "+44 7700 900001",
    "+12025550001",
]
AROUND = [
    "{}",
    "我{}",
    "测试{}发短信功能",
    "tel:{},",
    "“{}”",
    r"\u5ba2{}",
    "{}。",
    "{}.wav",
    "请打{}.",
    "call_{}_1",
]
READABLE = [
    "1785549600123",
    "20260801093000",
    "19090000000000001",
    "2026-08-01 09:00:00",
    "2026-08-01 09:00-12:00",
    "1990-01-01 12:30:00 +0800",
    "0f1b2a1990000000177a",
    "127.0.0.1:8000",
    "0.12345678901",
    "12.50",
    "719002",
]


def count_digits(text: str) -> int:
    return sum(letter.isdigit() for letter in text)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("number", NUMBERS)
def test_no_number_stays_whole(number: str, around: str) -> None:
    text = around.format(number)
    lost = count_digits(text) - count_digits(str(hide_phones(text)))
    assert lost >= 4, hide_phones(text)
    record = logging.LogRecord("x", logging.INFO, "x", 1, "号码 %s", (text,), None)
    assert count_digits(text) - count_digits(HidingFormatter().format(record)) >= 4


@pytest.mark.parametrize("text", READABLE)
def test_ids_and_times_stay_readable(text: str) -> None:
    assert hide_phones(text) == text
    assert HidingFormatter().format(
        logging.LogRecord("x", logging.INFO, "x", 1, text, (), None)
    ) == text  # fmt: skip


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"19900000001": 1}, {"199****0001": 1}),
        (
            {"19900000001": 1, "19911110001": {"我19900000001": []}},
            {"199****0001": 1, "199****0001'": {"我199****0001": []}},
        ),
        (19900000001, "199****0001"),
        (8619900000001, "86199****0001"),
        (19900000001.0, "199****0001"),
        ([1785549600123, 19090000000000001, 45, 1.5, True, None], None),
        ("+86 199-0000-0001", "+86199****0001"),
    ],
)
def test_raw_data_is_masked_at_every_place(value: Any, shown: Any) -> None:
    assert hide_phones(value) == (value if shown is None else shown)


@pytest.mark.parametrize(
    "line",
    [
        "号码19900000001",
        'GET /admin/campaigns/call/?q=%2B8619900000001 HTTP/1.1"',
        "GET /admin/campaigns/call/?q=%E5%8F%B719900000001",
        "GET /admin/campaigns/call/?q=199+0000+0001",
        "GET /admin/campaigns/call/?q=199%200000%200001",
    ],
)
def test_a_log_line_holds_no_number(line: str) -> None:
    shown = HidingFormatter().format(logging.LogRecord("x", logging.INFO, "x", 1, line, (), None))
    assert "****0001" in shown


@pytest.mark.parametrize(
    "cell",
    [
        "310.213.5557",
        "310-213-5555",
        "+1 (310) 213-5556",
        "(199)0000-0001",
        "199(0000)0001",
        "1-9-9-0-0-0-0-0-0-0-1",
        "1 9 9 0 0 0 0 0 0 0 1",
        "199\u200b0000\u200b0001",
        "199.0000.0001",
        "199/0000/0001",
        "199_0000_0001",
        "199\n0000\n0001",
        "１９９００００００01",
        "1990000000123",
        "19900000001/19900000002",
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_cell_shows_no_number_however_it_is_written(cell: str, strict: bool) -> None:
    shown = mask_cell(f"call {cell} now", strict=strict)
    assert shown.startswith("call ") and shown.endswith(" now")
    longest = max(len(run) for run in re.findall(r"[0-9０-９]+", shown))
    assert longest <= 5 and "*" in shown


@pytest.mark.parametrize(
    "cell",
    [
        "2026-11-21 10:30:00",
        "2026/11/21",
        "12,345,678.90",
        "1,234,567,890",
        "张三 35 岁",
        "12月1日",
    ],
)
def test_a_moment_and_an_amount_stay_what_they_are(cell: str) -> None:
    assert mask_cell(cell) == cell


def test_the_point_that_a_spreadsheet_wrote_is_seen() -> None:
    assert mask_cell("19900000006.0", strict=True) == "199****0006.0"


def test_where_a_number_is_meant_one_with_digits_missing_is_one_too() -> None:
    assert mask_cell("1990000", strict=True) == "19***"
