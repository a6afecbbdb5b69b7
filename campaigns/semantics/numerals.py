"""In: what somebody said. Out: the quantities in it: their values, exactly, and their units.

Understands digits of any width, Chinese numerals as they are spoken (两千零五, 一百二, 三万五,
三点五, 一米七五, 三块二毛五, 一年半) and mixtures of both (3万5). What is said only about is none
(三十多, 十几, 三四十, 三到五天): no value is better than a wrong one. Words that merely contain a
numeral (一下, 万一, 星期三) are none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

HAN = {
    **dict(zip("零〇○一二三四五六七八九", (0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9), strict=True)),
    **dict(zip("壹贰叁肆伍陆柒捌玖貳叄陸", (1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 6), strict=True)),
    "两": 2,
    "兩": 2,
    "幺": 1,
}
SMALL = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
BIG = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}

#: a number of more digits is an id, and no value that an answer can carry
MOST_DIGITS = 18

#: unit as it is said → (canonical, family, how many of the family's first unit)
UNITS: dict[str, tuple[str, str, Fraction]] = {}


def _add_units(family: str, *units: tuple[str, str, Fraction]) -> None:
    for canonical, words, factor in units:
        UNITS.update(dict.fromkeys(words.split(), (canonical, family, factor)))


_one = Fraction(1)
_add_units(
    "money",
    ("元", "元 块钱 块 圆 元钱 人民币 rmb", _one),
    ("角", "角 毛 毛钱 角钱", Fraction(1, 10)),
    ("分钱", "分钱", Fraction(1, 100)),
)
_add_units("age", ("岁", "岁 周岁", _one))
_add_units("months", ("个月", "个月 个多月", _one), ("年", "年 个年头", Fraction(12)))
_add_units(
    "days",
    ("天", "天", _one),
    ("星期", "个星期 星期 个礼拜 礼拜 周", Fraction(7)),
)
_add_units(
    "hours",
    ("小时", "小时 个小时 钟头 个钟头 h", _one),
    ("分钟", "分钟", Fraction(1, 60)),
    ("秒", "秒 秒钟", Fraction(1, 3600)),
)
_add_units(
    "weight",
    ("公斤", "公斤 千克 kg", _one),
    ("斤", "斤 市斤", Fraction(1, 2)),
    ("克", "克 g", Fraction(1, 1000)),
    ("吨", "吨 t", Fraction(1000)),
)
_add_units(
    "length",
    ("米", "米 m", _one),
    ("厘米", "厘米 公分 cm", Fraction(1, 100)),
    ("毫米", "毫米 mm", Fraction(1, 1000)),
    ("公里", "公里 千米 km", Fraction(1000)),
)
_add_units("percent", ("%", "% 个百分点", _one))
_add_units("pressure", ("毫米汞柱", "毫米汞柱 mmhg 毫米水银柱", _one))
_add_units("area", ("平方米", "平方米 平米 平方 平 m2", _one))
_add_units("people", ("人", "人 个人 位 口人 名", _one))
_add_units("degrees", ("度", "度 摄氏度 °c ℃", _one))
for _word in ("号线", *"个次台套件只张本份户间辆瓶盒箱遍回号楼层页集句条家"):
    _add_units(_word, (_word, _word, _one))
#: these mean a part only behind their whole: 三块二毛五分, 两小时三十分
_PARTS = {"money": ("分", Fraction(1, 100)), "hours": ("分", Fraction(1, 60))}

_DIGITS = "0-9" + "".join(HAN)
_ALL = _DIGITS + "".join(SMALL) + "".join(BIG)
_SIZES = "".join(SMALL) + "".join(BIG)
_RUN = re.compile(
    rf"(?:[0-9]{{1,3}}(?:,[0-9]{{3}})+(?![0-9])|[{_ALL}]+)(?:[点.](?=[{_DIGITS}])[{_DIGITS}]+)?"
    rf"(?:(?<=[0-9])[{_SIZES}][{_ALL}]*|[{_SIZES}]*)"
)
_NUMBER = re.compile(rf"[{_ALL},]+(?:[点.][{_ALL}]*)?")
_UNIT = re.compile("|".join(sorted(map(re.escape, UNITS), key=len, reverse=True)), re.IGNORECASE)
_SHARE = re.compile(rf"([{_ALL}]+)分之(?=[{_ALL}])")
_HALF = re.compile(r"半(?=个?(?:年|月|天|小时|钟头|斤|公斤|米|公里|块|元|个|吨|星期|辈子))")
_RANGE = re.compile(rf"[到至~\-—–]+(?=[{_ALL}])")
#: 三、四个 is about so many
_OR = re.compile(rf"、(?=[{_ALL}])")
#: what is said behind these is a bound, and not how many
_BOUND = re.compile(r"(?:不到|不止|不足|不满|未满|超过)(?:了|有)?\s?$")
#: words with a numeral in them that count nothing. Behind a numeral they are none of these words:
#: 两万一千 has no 万一 in it, 十一点 no 一点.
_WORDS = re.compile(
    rf"(?<![{_ALL}])(?:"
    r"一(?:下|些|样|直|定|般|起|会儿?|边|旦|切|共|概|律|向|块儿|辈子|味|致|贯|再|心|番|面|道|路上|带)"
    r"|一半|一点儿|一点(?![0-9"
    + "".join(HAN)
    + r"半钟])|(?<=[唯统单专])一|(?:星期|礼拜|周)[一二三四五六日天]"
    r"|乱七八糟|三心二意|不三不四|七上八下|千万(?=别|不|要|记)|万一|万分|百分百(?!之)|十分(?![钟之])(?=[^\W\d_])"
    r"|四川|三亚|九江|六安|三门峡|十堰|千岛|万州|百色|百姓|百货|千里"
    rf"|五一(?![{_ALL}])|十一假|二维|二手|三方|第三者)"
)
#: behind a numeral nobody knows whether 一 still counts: 五十一直 is 五十 一直, or 五十一 直
_UNSURE = re.compile(
    rf"(?<=[{_ALL}])一(?=[下些样直定般起会旦切律向致贯再心番面道带半])|(?<=[{_ALL}])一点儿"
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number that was said. ``value`` counts ``unit`` (canonical; "" for none); ``rest`` is the
    text behind the number."""

    value: Fraction
    unit: str
    text: str
    start: int
    end: int
    rest: str = ""

    @property
    def family(self) -> str:
        return UNITS[self.unit][1] if self.unit in UNITS else ""


def widen(text: str) -> str:
    """Full-width and compatible characters as plain ones."""
    return unicodedata.normalize("NFKC", text)


def fold(text: str) -> str:
    """Full-width and compatible characters as plain ones, in lower case."""
    # A full-width comma is a pause, and none that sets thousands apart: 35，175
    plain = widen(text.replace("，", "， ")).lower()
    return plain.replace("廿", "二十").replace("卅", "三十").replace("￥", "¥")


def find_quantities(text: str) -> list[Quantity]:
    """Every quantity of a folded text, in order; parts of one (三块二毛五) are one."""
    text = _WORDS.sub(lambda found: "\u3000" * len(found.group()), text).replace("零下", " 负")
    found: list[Quantity] = []
    vague_until = -1
    unsure = {place.start() for place in _UNSURE.finditer(text)}
    for one in _scan(text):
        if one is None or one.start < vague_until or unsure & set(range(one.start, one.end)):
            continue
        if not one.unit and (more := _OR.match(text, one.end)) is not None:
            follower = _RUN.match(text, more.end())
            if follower and read_number(follower.group()) == one.value + 1:
                vague_until = follower.end()
                continue
        if (reach := _RANGE.match(text, one.end)) is not None:
            follower = _RUN.match(text, reach.end())
            vague_until = follower.end() if follower else reach.end()
            continue
        if found and (joined := _join(found[-1], one, text)) is not None:
            found[-1] = joined
        else:
            found.append(one)
    return found


def _scan(text: str) -> Iterator[Quantity | None]:
    place = 0
    while place < len(text):
        half, run = _HALF.search(text, place), _RUN.search(text, place)
        share = _SHARE.search(text, place)
        if share and (run is None or share.start() <= run.start()):
            run = _RUN.match(text, share.end())
            assert run is not None  # the pattern looked ahead
            place = run.end()
            yield _read_share(share, run, text)
        elif half and (run is None or half.start() < run.start()):
            one = _give_unit(Fraction(1, 2), text, half.start(), half.end())
            place = one.end
            # 三个半月 is read with its run; a half behind something else counts nothing
            yield one
        elif run:
            quantity = _read_quantity(run, text)
            place = max(quantity.end if quantity else run.end(), run.end())
            yield quantity
        else:
            return


def _read_share(share: re.Match[str], run: re.Match[str], text: str) -> Quantity | None:
    whole, part = read_number("一百" if share[1] == "百" else share[1]), read_number(run.group())
    if not whole or part is None:
        return None
    said = text[share.start() : run.end()]
    if whole == 100:
        return Quantity(part, "%", said, share.start(), run.end(), text[run.end() :])
    return Quantity(part / whole, "", said, share.start(), run.end(), text[run.end() :])


def _read_quantity(run: re.Match[str], text: str) -> Quantity | None:
    start, end = run.span()
    before, behind = text[:start], text[end:]
    value = read_number(run.group())
    if value is None or before.endswith(("几", "数", "上")) or behind.startswith("几"):
        return None
    if _BOUND.search(before) or re.search(r"(?:^|\W)[点.]$|[0-9][a-z]$", before):
        return None
    if run.group()[-1].isascii() and re.match(r"[a-z]", behind) and not _UNIT.match(behind):
        return None  # 3k, 5g网, 1e5
    if behind.startswith(("多", "来", "余")) and run.group()[-1] in _SIZES + "0":
        return None
    if before.endswith(("负", "-")) and not re.search(r"[0-9a-z]-$", before):
        value, start = -value, start - 1
    one = _give_unit(value, text, start, end)
    if one.unit in UNITS and text.startswith(("多", "左右", "上下"), one.end):
        # 三岁多 is more than three; 三岁左右 is about three
        return None if text.startswith("多", one.end) else one
    return one


def _give_unit(value: Fraction, text: str, start: int, end: int) -> Quantity:
    """The quantity with the unit behind its number: 一个半月, 一年半, 三点半, 一米七五, 三块五."""
    rest = text[end:]
    if (halved := re.match(r"个半(?=月|小时|钟头|星期|礼拜|年)", rest)) is not None:
        value, end = value + Fraction(1, 2), end + halved.end()
        unit = _UNIT.match("个" + text[end:]) or _UNIT.match(text[end:])
        word = unit.group() if unit else ""
        end += len(word.removeprefix("个")) if unit else 0
        return _make(value, word, text, start, end)
    if rest.startswith("点半"):
        return _make(value + Fraction(1, 2), "", text, start, end + 2)
    found = _UNIT.match(text, end)
    if found is None:
        if text[max(0, start - 1) : start] == "¥":
            return _make(value, "元", text, start, end)
        return _make(value, "", text, start, end)
    word, end = found.group().lower(), found.end()
    if word in ("m", "g", "t", "h") and text[end : end + 1].isalnum():
        return _make(value, "", text, start, found.start())
    if text.startswith("半", end):
        return _make(value + Fraction(1, 2), word, text, start, end + 1)
    decimals = re.match(rf"[{_DIGITS}]{{1,2}}(?![{_ALL}])", text[end:])
    if decimals and UNITS[word][0] in ("元", "米", "角") and not _is_counted(text, end, decimals):
        digits = "".join(str(HAN.get(one, one)) for one in decimals.group())
        value += Fraction(int(digits), 10 ** len(digits))
        end += decimals.end()
    return _make(value, word, text, start, end)


def _is_counted(text: str, end: int, decimals: re.Match[str]) -> bool:
    """Whether what stands behind a unit is a quantity of its own: 三块二毛, not 三块二."""
    behind = text[end + decimals.end() :]
    return bool(_UNIT.match(behind)) or behind.startswith(("分", "点", "."))


def _make(value: Fraction, word: str, text: str, start: int, end: int) -> Quantity:
    unit = UNITS[word.lower()][0] if word.lower() in UNITS else ""
    return Quantity(value, unit, text[start:end], start, end, text[end - len(word) :])


def _join(first: Quantity, second: Quantity, text: str) -> Quantity | None:
    """The two as one when the second is a part of the first: 三块 二毛五, 一年零三个月."""
    between = text[first.end : second.start]
    if between not in ("", "零", "又") or first.unit not in UNITS:
        return None
    _canonical, family, factor = UNITS[first.unit]
    value, end = second.value, second.end
    if second.unit in UNITS and second.family == family and UNITS[second.unit][2] < factor:
        part = UNITS[second.unit][2]
    elif family in _PARTS and not second.unit and text.startswith(_PARTS[family][0], end):
        part, end = _PARTS[family][1], end + 1
    else:
        return None
    said = text[first.start : end]
    joined = first.value + value * part / factor
    return replace(first, value=joined, text=said, end=end, rest=text[end:])


# -------------------------------------------------------------------------------- one number alone


def read_number(text: str) -> Fraction | None:
    """The value of one number, None where it is none or only about one."""
    if not _NUMBER.fullmatch(text):
        return None
    head, point, tail = text.replace(",", "").replace("点", ".").partition(".")
    if not point:
        whole = _read_whole(head)
        return None if whole is None else Fraction(whole)
    decimals = tail.rstrip(_SIZES)
    sizes = tail[len(decimals) :]
    whole = _read_whole(head)
    if whole is None or not decimals or len(decimals) > MOST_DIGITS:
        return None
    if any(one in SMALL or one in BIG for one in decimals):
        return None  # 三点五万二: nobody says so
    digits = "".join(str(HAN.get(one, one)) for one in decimals)
    value = whole + Fraction(int(digits), 10 ** len(digits))
    for size in sizes:
        value *= SMALL.get(size) or BIG[size]
    return value


def _read_whole(text: str) -> int | None:
    if not text:
        return None
    if not any(one in SMALL or one in BIG for one in text):
        return _read_digits(text)
    total = section = 0
    smallest, last, zero = 10_000, 0, False
    pending = ""
    for one in text:
        if one not in SMALL and one not in BIG:
            pending += one
            continue
        number, zero_before = _read_pending(pending)
        if pending and number is None:
            return None
        zero = zero_before
        pending = ""
        if one in SMALL:
            size = SMALL[one]
            if number is None and size != 10:
                return None  # 千万, 百姓: no numeral before it
            if size >= smallest:
                return None
            section += (1 if number is None else number) * size
            smallest = last = size
            continue
        size = BIG[one]
        section += number or 0
        if not section:
            if not last or last < 10_000:
                return None
            total *= size  # 一万亿
        elif size == 10**8:
            total = (total + section) * size
        else:
            total += section * size
        section, smallest, last, zero = 0, 10_000, size, False
    if pending:
        number, zero = _read_pending(pending)
        if number is None:
            return None if pending.strip("零〇○0") else total + section
        # 一百二 is 120, 一百零二 is 102
        short = not zero and len(pending) == 1 and last >= 100
        section += number * (last // 10) if short else number
    return total + section


def _read_pending(pending: str) -> tuple[int | None, bool]:
    """(the digit before a size, whether a zero stands before it); several Han digits are 三四百."""
    stripped = pending.lstrip("零〇○") if not pending.isascii() else pending
    zero = stripped != pending or (pending.isascii() and pending.startswith("0"))
    if not stripped:
        return None, zero
    if stripped.isascii() and stripped.isdigit() and len(stripped) <= MOST_DIGITS:
        return int(stripped), zero
    return (HAN[stripped], zero) if len(stripped) == 1 and stripped in HAN else (None, zero)


def _read_digits(text: str) -> int | None:
    digits = [HAN.get(one, one) for one in text]
    if len(text) > MOST_DIGITS:
        return None
    if len(text) == 2 and not text.isascii() and 0 not in digits:
        first, second = (int(one) for one in digits)
        if second == first + 1 or (first, second) == (3, 5) or "两" in text:
            return None  # 三四个, 三五个, 两三天
    return int("".join(map(str, digits)))


def convert(quantity: Quantity, unit: str) -> Fraction | None:
    """The value counted in ``unit``, None when the quantity has another or none."""
    wanted = UNITS.get(unit.lower())
    if wanted is None:
        return quantity.value if quantity.rest.lower().startswith(unit.lower()) else None
    if quantity.unit not in UNITS or quantity.family != wanted[1]:
        return None
    return quantity.value * UNITS[quantity.unit][2] / wanted[2]
