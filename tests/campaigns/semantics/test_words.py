"""What is taken from what people say: numbers, amounts, phones, days. A wrong value is worse than
none, so what is only about a number, or merely holds its character, gives nothing."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.semantics.dates import find_days
from campaigns.semantics.numerals import HAN, convert, find_quantities, fold, read_number
from campaigns.semantics.phones import find_phones

SATURDAY = date(2026, 11, 21)
DIGITS = "零一二三四五六七八九"


def read(text: str) -> list[tuple[float, str]]:
    return [(float(one.value), one.unit) for one in find_quantities(fold(text))]


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("一百二十三", 123, ""),
        ("两千零五", 2005, ""),
        ("十万", 100_000, ""),
        ("一百二", 120, ""),
        ("一百零二", 102, ""),
        ("八千八", 8800, ""),
        ("一万二", 12_000, ""),
        ("两万五千三", 25_300, ""),
        ("一万零五十", 10_050, ""),
        ("一亿三千万", 130_000_000, ""),
        ("一千二百三十四万五千六百七十八", 12_345_678, ""),
        ("壹佰贰拾叁", 123, ""),
        ("廿五", 25, ""),
        ("二零二六", 2026, ""),
        ("３５", 35, ""),
        ("３．５万", 35_000, ""),
        ("3万5", 35_000, ""),
        ("1,200元", 1200, "元"),
        ("三点五", 3.5, ""),
        ("三点半", 3.5, ""),
        ("零点五", 0.5, ""),
        ("负五", -5, ""),
        ("零下五度", -5, "度"),
        ("百分之三十", 30, "%"),
        ("我今年三十五岁", 35, "岁"),
        ("一年半", 1.5, "年"),
        ("一个半月", 1.5, "个月"),
        ("两个半小时", 2.5, "小时"),
        ("半年", 0.5, "年"),
        ("半个月", 0.5, "个月"),
        ("一年零三个月", 1.25, "年"),
        ("一米七五", 1.75, "米"),
        ("一百二十斤", 120, "斤"),
        ("三块五", 3.5, "元"),
        ("三块二毛五", 3.25, "元"),
        ("一千二百块零五毛", 1200.5, "元"),
        ("两百五十块钱", 250, "元"),
        ("五毛", 5, "角"),
        ("￥120.5", 120.5, "元"),
        ("三万块", 30_000, "元"),
        ("打十分", 10, ""),
        ("十分钟", 10, "分钟"),
    ],
)
def test_one_quantity_is_read(text: str, value: float, unit: str) -> None:
    assert read(text) == [(value, unit)]


@pytest.mark.parametrize(
    "text",
    [
        *("三十多岁", "十几个", "几百", "三四十", "两三天", "二十来个", "三到五天", "三千多块"),
        *("等一下", "万一", "千万别打了", "一定", "一些", "一起", "有一点贵", "星期三", "周五"),
        *("十分满意", "四川", "老百姓", "", "喂", "1" * 60, "点点点", "万万"),
    ],
)
def test_what_is_no_quantity_gives_none(text: str) -> None:
    assert read(text) == []


def test_several_quantities_stay_apart() -> None:
    assert read("高压一百四低压九十") == [(140, ""), (90, "")]
    assert read("120/80") == [(120, ""), (80, "")]
    assert read("三个人五百块") == [(3, "人"), (500, "元")] or read("三个人五百块")[1] == (
        500,
        "元",
    )


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("一百二十斤", "公斤", 60),
        ("一年半", "个月", 18),
        ("半年", "个月", 6),
        ("两周", "天", 14),
        ("一米七五", "厘米", 175),
        ("五毛", "元", Fraction(1, 2)),
        ("三十五岁", "岁", 35),
        ("三箱半", "箱", Fraction(7, 2)),
    ],
)
def test_units_of_one_kind_are_converted(text: str, unit: str, value: Fraction) -> None:
    assert convert(find_quantities(fold(text))[0], unit) == value


def test_units_of_another_kind_are_not() -> None:
    (one,) = find_quantities("三十五岁")
    assert convert(one, "公斤") is None and convert(one, "元") is None


def spell(number: int) -> str:
    """As it is read aloud, by the book."""
    if number < 10_000:
        text, zero = "", False
        for size, word in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
            digit = number // size % 10
            if digit:
                text += ("零" if zero and text else "") + DIGITS[digit] + word
                zero = False
            else:
                zero = True
        return text or "零"
    for size, word in ((10**8, "亿"), (10**4, "万")):
        if number >= size:
            high, low = divmod(number, size)
            gap = "零" if low and low < size // 10 else ""
            return spell(high) + word + (gap + spell(low) if low else "")
    raise AssertionError(number)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**12 - 1))
def test_every_number_that_is_read_aloud_is_understood(number: int) -> None:
    assert read_number(spell(number)) == number
    assert read_number(str(number)) == number
    if number > 99 or number < 10:
        assert read_number("".join(DIGITS[int(digit)] for digit in str(number))) == number


@settings(max_examples=300, deadline=None)
@given(
    st.text(
        alphabet="".join(HAN) + "十百千万亿点.,半个块毛岁年月日号周上下负多几第-%\u3000 a1",
        max_size=40,
    )
)
def test_no_text_is_too_odd(text: str) -> None:
    folded = fold(text)
    find_quantities(folded)
    find_phones(folded)
    for side in ("future", "past", "nearest"):
        find_days(folded, today=SATURDAY, side=side)
    read_number(folded)


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("19900000001", ["19900000001"]),
        ("一三八零零零零零零零一", ["13800000001"]),
        ("幺三八洞洞洞洞洞洞洞幺", ["13800000001"]),
        ("我的电话是一九九，零零零零，零零零一", ["19900000001"]),
        ("199 0000 0001", ["19900000001"]),
        ("１９９－００００－０００１", ["19900000001"]),
        ("一九九嗯零零零零零零零一", ["19900000001"]),
        ("一九九七个零一", ["19900000001"]),
        ("+86 19900000001", ["19900000001"]),
        ("19900000001和19900000002", ["19900000001", "19900000002"]),
        ("010-62345678", ["01062345678"]),
        ("我199123456789", []),
        ("1990000000", []),
        ("转6001", []),
        ("一百三十八", []),
    ],
)
def test_phones_are_found_as_they_are_spoken(text: str, phones: list[str]) -> None:
    assert find_phones(fold(text)) == phones


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("明天", "2026-11-22"),
        ("大后天下午", "2026-11-24"),
        ("大前天", "2026-11-18"),
        ("下周三", "2026-11-25"),
        ("这周三", "2026-11-18"),
        ("周三", "2026-11-25"),
        ("下下周一", "2026-11-30"),
        ("上个星期五", "2026-11-13"),
        ("三月五号", "2027-03-05"),
        ("三月五日", "2027-03-05"),
        ("2026年3月5日", "2026-03-05"),
        ("二零二六年三月五号", "2026-03-05"),
        ("明年三月五号", "2027-03-05"),
        ("去年十二月二十五号", "2025-12-25"),
        ("这个月十五号", "2026-11-15"),
        ("下个月五号", "2026-12-05"),
        ("五号", "2026-12-05"),
        ("三十一号", "2026-12-31"),
        ("三天后", "2026-11-24"),
        ("两周以后", "2026-12-05"),
        ("三个月之后", "2027-02-21"),
        ("半个月后", "2026-12-06"),
        ("两天前", "2026-11-19"),
        ("月底", "2026-11-30"),
        ("年底", "2026-12-31"),
        ("二月底", "2027-02-28"),
        ("明年元旦", "2027-01-01"),
        ("2026-03-05", "2026-03-05"),
        ("20260305", "2026-03-05"),
        ("二月二十九号", "2028-02-29"),
    ],
)
def test_days_are_found(text: str, day: str) -> None:
    assert [one.day.isoformat() for one in find_days(fold(text), today=SATURDAY)] == [day]


@pytest.mark.parametrize(
    "text", ["二月三十号", "2026/13/05", "八号线", "三个月", "第一次", "今年", "十三月五号"]
)
def test_what_is_no_day_gives_none(text: str) -> None:
    assert find_days(fold(text), today=SATURDAY) == []


@pytest.mark.parametrize(
    ("side", "day"),
    [("future", "2027-03-05"), ("past", "2026-03-05"), ("nearest", "2027-03-05")],
)
def test_a_day_without_its_year_is_on_the_side_that_is_wanted(side: str, day: str) -> None:
    assert find_days("三月五号", today=SATURDAY, side=side)[0].day.isoformat() == day
