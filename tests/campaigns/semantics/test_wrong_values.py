"""In: sentences in which something looks like a value. Out: the value that is meant, or none: never
another one."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from campaigns.platforms.questions import About, Asked, Said
from campaigns.semantics.rules import Rule, Surroundings, apply_rule


def find(kind: str, text: str, **rule: Any) -> int | str | None:
    asked = Asked(about=About.MEANING, said=(Said("", text, "", ""),))
    around = Surroundings(today=date(2026, 11, 21))
    return apply_rule(Rule(key="k", kind=kind, **rule), asked, around).value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # 万一, 一点, 千万, 十分 and their like are words only where no number stands before them
        *(("两万一千块", "21000"), ("一万一", "11000"), ("三万一", "31000"), ("十一点", "11")),
        *(("两百万分三次", "2000000"), ("五十分满分", "50"), ("十九江苏人", "19")),
        *(("万一下雨", None), ("等一下", None), ("千万别来", None), ("五一二三四", "51234")),
        # nobody knows how many
        *(("五十一直这样", None), ("三五个", None), ("三、四个", None), ("5、6个", None)),
        *(("不到三十", None), ("不止三个", None), ("超过三十", None), ("一半", None)),
        *(("3k", None), ("1e5", None), ("点五", None)),
        *(("120/80", "120"), ("三十五，哦不，四十五", "45"), ("我35，175公分", "35")),
    ],
)
def test_a_number_is_the_one_that_was_said(text: str, value: str | None) -> None:
    assert find("number", text) == value


def test_what_is_no_money_is_no_amount() -> None:
    assert find("amount", "我下午三点给你") is None
    assert find("amount", "打五分") is None
    assert find("amount", "给三百") == "300"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        *(("不是明天是后天", "2026-11-23"), ("明天不行", None), ("明天没空，后天吧", "2026-11-23")),
        *(("除了周三都行", None), ("农历三月五号", None), ("是不是明天", "2026-11-22")),
        *(("我以前天天来", None), ("然后天就黑了", None), ("以后天气好再说", None)),
        *(("九八年三月五号", "1998-03-05"), ("三零年三月五号", "2030-03-05")),
    ],
)
def test_a_day_is_the_one_that_was_meant(text: str, day: str | None) -> None:
    assert find("date", text) == day


def test_a_birthday_is_never_to_come() -> None:
    assert find("date", "三零年三月五号", side="past") == "1930-03-05"


def test_a_phone_number_that_is_denied_or_loses_its_zero_is_none() -> None:
    assert find("phone", "不是19900000001是19900000002") == "19900000002"
    assert find("phone", "是不是19900000001") == "19900000001"
    assert find("phone", "010-12345678", type="integer") is None
    assert find("phone", "010-12345678") == "01012345678"


CHOICES = (("要", "yes"), ("同意", "yes"), ("可以", "yes"), ("好", "yes"), ("苹果", "apple"))
CHOICES += (("梨", "pear"), ("是", "yes"))


@pytest.mark.parametrize(
    "text",
    [
        *("不太想要", "我不是很想要", "不需要", "没说要", "不一定要", "我不能同意", "不怎么同意"),
        *("从来没有同意过", "未必同意", "拒绝同意", "同意不了", "要不要", "好不好", "可不可以"),
        *("还是算了", "但是没有", "不好意思", "只要一会儿", "不是", "不 要"),
    ],
)
def test_a_no_is_never_a_yes(text: str) -> None:
    assert find("choice", text, choices=CHOICES) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("不是苹果是梨", "pear"), ("不要苹果要梨", "pear"), ("不要苹果和梨", None)),
        *(("不，同意", "yes"), ("没问题可以", "yes"), ("不仅同意", "yes"), ("是的，我要", "yes")),
        *(("不好意思，可以", "yes"), ("没事你说，好", "yes"), ("还好", "yes")),
    ],
)
def test_a_word_behind_a_no_is_still_heard(text: str, value: str | None) -> None:
    assert find("choice", text, choices=CHOICES) == value
