"""In: what somebody said. Out: the phone numbers in it, in normal form.

People say a number digit by digit, in groups, with 幺 for one and 洞 for zero, and 三个八
for 888.
"""

from __future__ import annotations

import re

from campaigns.phones import PhoneRefused, normalise_phone
from campaigns.semantics.numerals import HAN

#: digits as they are spoken in numbers only
SPOKEN = {**HAN, "洞": 0, "拐": 7, "勾": 9, "妖": 1, "腰": 1}
_GAP = r"[\s\-‐–—_.,，、。;；·()（）]{0,2}(?:嗯|呃|啊|哦|那个|然后|再)?[\s,，、。]{0,2}"
_DIGIT = f"[0-9{''.join(SPOKEN)}]"
_TIMES = re.compile(rf"([二两兩三四五六七八2-8])个({_DIGIT})(?!个)")
_GROUP = re.compile(rf"\+?{_DIGIT}(?:{_GAP}{_DIGIT})+")
_DENIED = re.compile(r"(?<!是)(?:不是|不要打?|不用打?|别打|而非)\s?$")
_MOBILE = re.compile(r"(?:\+?86|0086|0)?(1[3-9][0-9]{9})")


def find_phones(text: str, *, region: str = "CN") -> list[str]:
    """Every number of a folded text that could be called, in order; one that has too many or too
    few digits is nobody's."""
    text = _TIMES.sub(_repeat, text)
    found: list[str] = []
    for group in _GROUP.finditer(text):
        said = group.group()
        if _DENIED.search(text[: group.start()]):
            continue
        digits = ("+" if said[0] == "+" else "") + "".join(
            str(SPOKEN.get(one, one)) for one in said if one in SPOKEN or one.isdecimal()
        )
        if (phone := _read(digits, region)) is not None:
            found.append(phone)
            continue
        # two numbers in one breath, or a number and something else: only by what was set apart
        for piece in re.split(r"[\s,，、。;；]+", said):
            plain = "".join(
                str(SPOKEN.get(one, one)) for one in piece if one in SPOKEN or one.isdecimal()
            )
            if len(plain) >= 7 and (phone := _read(plain, region)) is not None:
                found.append(phone)
    return found


def _repeat(found: re.Match[str]) -> str:
    times = int(SPOKEN.get(found[1], found[1]))
    return str(SPOKEN.get(found[2], found[2])) * times


def _read(digits: str, region: str) -> str | None:
    if region == "CN" and (mobile := _MOBILE.fullmatch(digits)):
        return mobile[1]
    try:
        return normalise_phone(digits, region=region)
    except PhoneRefused:
        return None
