"""In: what somebody said, and the day on which it was said. Out: the days that were meant.

明天, 大后天, 下周三, 这个月十五号, 三月五号, 二零二六年三月五日, 2026-03-05, 三天后, and so on.
A day that no calendar has (二月三十号) is none. One without its year, or without its month, is the
next that comes, the last that was, or the nearest, as the caller wants it.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from campaigns.semantics.numerals import read_number

_N = r"[0-9零〇○一二两三四五六七八九十百廿卅]+"
_Y = "[0-9零〇○一二三四五六七八九]"
_YEAR = rf"(?P<year>{_Y}{{4}}|{_Y}{{2}}|今|明|后|去|前)年(?:的)?"
_MONTH = r"(?P<month>[0-9]{1,2}|十[一二]?|[一二三四五六七八九])月份?(?:的)?"
_DAY = r"(?P<day>[0-9]{1,2}|[一二三]?十[一二三四五六七八九]?|[一二三四五六七八九])"
_DAYS = {"大前": -3, "前": -2, "昨": -1, "今": 0, "当": 0, "明": 1, "后": 2, "大后": 3, "次": 1}
_WEEKDAYS = "一二三四五六日"
_YEARS = {"今": 0, "明": 1, "后": 2, "去": -1, "前": -2}
_FIXED = {
    "元旦": (1, 1),
    "妇女节": (3, 8),
    "劳动节": (5, 1),
    "儿童节": (6, 1),
    "国庆节": (10, 1),
    "国庆": (10, 1),
    "圣诞节": (12, 25),
}
#: a day that is said so is not meant: 不是明天, 除了周三, 明天不行; nor is one of another calendar
_NOT_THIS = re.compile(
    r"(?:(?<!是)不是|不要|别|除了?|除开|农历|阴历|旧历|古历)(?:是|在|今年|明年)?\s?$"
)
_NOT_THEN = re.compile(
    r"\s?(?:我|早上|上午|中午|下午|晚上)?(?:可能|恐怕|都|也)?"
    r"(?:不行|不可以|不能|不方便|不在|不成|不好|没空|没有空|没时间|没有时间|除外|以外|之外)"
)
SIDES = ("future", "past", "nearest")


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    text: str
    start: int


def find_days(text: str, *, today: date, side: str = "future") -> list[Day]:
    """Every day that a folded text names, in order. ``side``: future, past or nearest."""
    found: list[Day] = []
    taken: list[tuple[int, int]] = []
    for pattern, read in _FORMS:
        for match in pattern.finditer(text):
            if any(match.start() < end and begin < match.end() for begin, end in taken):
                continue
            taken.append(match.span())
            if _NOT_THIS.search(text[: match.start()]) or _NOT_THEN.match(text, match.end()):
                continue
            try:
                day = read(match, today, side)
            except (ValueError, OverflowError):
                day = None
            if day is not None and 1900 < day.year < 2200:
                found.append(Day(day, match.group(), match.start()))
    return sorted(found, key=lambda one: one.start)


def _number(text: str | None) -> int:
    value = read_number((text or "").replace("廿", "二十").replace("卅", "三十"))
    if value is None or value.denominator != 1:
        raise ValueError
    return int(value)


def _read_year(word: str | None, today: date, side: str = "future") -> int | None:
    if word is None:
        return None
    if word in _YEARS:
        return today.year + _YEARS[word]
    year = _number(word)
    if year >= 100 or len(word) != 2:
        return year
    # 九八年 is long ago; nobody speaks of a day so far ahead
    last = today.year + (0 if side == "past" else 20)
    return year + 2000 if year + 2000 <= last else year + 1900


def _read_iso(match: re.Match[str], _today: date, _side: str) -> date:
    return date(int(match[1]), int(match[2]), int(match[3]))


def _read_whole(match: re.Match[str], today: date, side: str) -> date | None:
    year = _read_year(match["year"], today, side)
    return None if year is None else date(year, _number(match["month"]), _number(match["day"]))


def _read_month_day(match: re.Match[str], today: date, side: str) -> date | None:
    month, day = _number(match["month"]), _number(match["day"])
    return _choose(_list_years(month, day, today), today, side)


def _list_years(month: int, day: int, today: date) -> Iterator[date]:
    """A 29 February may be up to eight years away."""
    date(2000, month, day)  # a day of some year, else ValueError
    for year in range(today.year - 8, today.year + 9):
        if day <= calendar.monthrange(year, month)[1]:
            yield date(year, month, day)


def _choose(days: Iterator[date] | list[date], today: date, side: str) -> date | None:
    every = list(days)
    if side == "past":
        return max((day for day in every if day <= today), default=None)
    if side == "nearest":
        return min(every, key=lambda day: (abs(day - today), day < today), default=None)
    return min((day for day in every if day >= today), default=None)


def _read_of_month(match: re.Match[str], today: date, _side: str) -> date:
    """这个月十五号, 下个月五号, 下月底."""
    steps = {"上": -1, "下": 1, "下下": 2, "上上": -2}.get(match["which"], 0)
    first = _add_months(today.replace(day=1), steps)
    if match["end"]:
        return first.replace(day=calendar.monthrange(first.year, first.month)[1])
    return first.replace(day=_number(match["day"]))


def _read_month_end(match: re.Match[str], today: date, side: str) -> date | None:
    """三月底, 年底."""
    if not match["month"]:
        year = _read_year(match["year"], today)
        return date(today.year if year is None else year, 12, 31)
    month = _number(match["month"])
    named = _read_year(match["year"], today)
    years = [named] if named is not None else list(range(today.year - 1, today.year + 2))
    days = [date(year, month, calendar.monthrange(year, month)[1]) for year in years]
    return days[0] if named is not None else _choose(days, today, side)


def _read_day(match: re.Match[str], today: date, side: str) -> date | None:
    day = _number(match["day"])
    months = [_add_months(today.replace(day=1), step) for step in range(-3, 4)]
    every = [
        first.replace(day=day)
        for first in months
        if 1 <= day <= calendar.monthrange(first.year, first.month)[1]
    ]
    return _choose(every, today, side)


def _read_weekday(match: re.Match[str], today: date, side: str) -> date | None:
    number = _WEEKDAYS.index(match["weekday"].replace("天", "日").replace("末", "六"))
    monday = today - timedelta(days=today.weekday())
    which = (match["which"] or "").replace("个", "")
    if which in ("这", "本"):
        return monday + timedelta(days=number)
    if which:
        weeks = {"下": 1, "下下": 2, "上": -1, "上上": -2}[which]
        return monday + timedelta(days=number, weeks=weeks)
    return _choose([monday + timedelta(days=number, weeks=n) for n in (-1, 0, 1)], today, side)


def _read_relative(match: re.Match[str], today: date, _side: str) -> date:
    """三天后, 两周以前, 半个月之后, 一年后."""
    unit, back = match["unit"], match["back"] is not None
    if match["count"] == "半":
        if unit == "年":
            return _add_months(today, -6 if back else 6)
        if unit != "月":
            raise ValueError
        return today + timedelta(days=-15 if back else 15)
    count = -_number(match["count"]) if back else _number(match["count"])
    if unit == "年":
        return _add_months(today, 12 * count)
    if unit == "月":
        return _add_months(today, count)
    return today + timedelta(days=count if unit in ("天", "日") else 7 * count)


def _add_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _read_fixed(match: re.Match[str], today: date, side: str) -> date | None:
    month, day = _FIXED[match["name"]]
    year = _read_year(match["year"], today)
    if year is not None:
        return date(year, month, day)
    return _choose(_list_years(month, day, today), today, side)


def _read_day_word(match: re.Match[str], today: date, _side: str) -> date:
    return today + timedelta(days=_DAYS[match[1]])


Reader = Callable[[re.Match[str], date, str], date | None]
#: the most telling forms first: what one has read is not read again
_FORMS: list[tuple[re.Pattern[str], Reader]] = [
    (re.compile(r"(?<![0-9])((?:19|20)[0-9]{2})[-/.]([01]?[0-9])[-/.]([0-3]?[0-9])(?![0-9])"),
     _read_iso),
    (re.compile(r"(?<![0-9])((?:19|20)[0-9]{2})([01][0-9])([0-3][0-9])(?![0-9])"), _read_iso),
    (re.compile(rf"{_YEAR}{_MONTH}{_DAY}[日号]?"), _read_whole),
    (re.compile(rf"(?:{_YEAR})?(?:(?P<month>[0-9]{{1,2}}|十[一二]?|[一二三四五六七八九])月|(?<=年)|年)"
                r"[底末]"), _read_month_end),
    (re.compile(rf"(?P<which>这|本|下下|上上|下|上)个?月(?:的)?(?:(?P<end>[底末])|{_DAY}[日号])"),
     _read_of_month),
    (re.compile(r"(?P<which>)月(?P<end>[底末])(?P<day>)"), _read_of_month),
    (re.compile(rf"(?<![0-9年零一二三四五六七八九十]){_MONTH}{_DAY}(?:[日号]|(?![0-9一二三四五六七八九十个点年月天块元]))"),
     _read_month_day),
    (re.compile(rf"(?P<count>{_N}|半)个?(?P<unit>天|日|年|月|周|星期|礼拜)"
                r"(?:(?P<back>之?以?前)|之?以?后|过后)"), _read_relative),
    (re.compile(r"(?P<which>(?:这|本|下下|上上|下|上)个?)?(?:周|星期|礼拜)(?P<weekday>[一二三四五六日天末])"),
     _read_weekday),
    (re.compile(rf"(?:{_YEAR})?(?P<name>{'|'.join(_FIXED)})"), _read_fixed),
    (re.compile(r"(大前|大后|(?<![以之从先])前|昨|今|明|(?<![以之然今往随过])后|当|次)[天日]"),
     _read_day_word),
    (re.compile(rf"(?<![0-9一二三四五六七八九十第月]){_DAY}[号日](?![线楼院门店])"), _read_day),
]  # fmt: skip
