"""In: a phone number in our normal form, or one as AI Rudder has it. Out: E.164, and a comparison.

The samples have E.164 with its plus. Ours are the bare eleven digits of a Chinese mobile, a Chinese
land line with the 0 of its area code, and E.164 elsewhere.
"""

from __future__ import annotations

import re

_MOBILE = re.compile(r"1[3-9]\d{9}", re.ASCII)
_LAND_LINE = re.compile(r"0[1-9]\d{8,10}", re.ASCII)
_INTERNATIONAL = re.compile(r"\+[1-9]\d{3,14}", re.ASCII)
_MASK = re.compile(r"[xX*]+")
#: the shortest number that may be the end of another one: +8610086 and 10086
_SHORTEST = 5


def to_international(number: str) -> str:
    """A number of ours as E.164. Raises ``ValueError`` for any other text."""
    if _INTERNATIONAL.fullmatch(number):
        return number
    if _MOBILE.fullmatch(number):
        return f"+86{number}"
    if _LAND_LINE.fullmatch(number):
        return f"+86{number[1:]}"
    raise ValueError("This is no number in our normal form.")


def is_same_number(one: str, other: str) -> bool:
    """Whether two spellings may be of one number: with or without country, masked or not."""
    first, second = (re.sub(r"[^0-9xX*]", "", text) for text in (one, other))
    if first == second:
        return True
    if _MASK.search(first + second):
        # Masks are of any length: only what stands before and after them can be compared.
        heads = [_MASK.split(text)[0] for text in (first, second)]
        tails = [_MASK.split(text)[-1] for text in (first, second)]
        return _begins(*heads) and _begins(*(text[::-1] for text in tails))
    shorter, longer = sorted((first, second), key=len)
    return len(shorter) >= _SHORTEST and longer.endswith(shorter)


def _begins(one: str, other: str) -> bool:
    size = min(len(one), len(other))
    return one[:size] == other[:size]
