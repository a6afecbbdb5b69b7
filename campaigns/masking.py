"""In: a text for a screen or a log. Out: the same text without whole phone numbers.

Knows no Django: the log's formatter uses it before anything is set up. Ids and times must stay
readable, so a run of digits counts as a number by its length and by how it begins.
"""

from __future__ import annotations

import re

# What people write between the digits: blanks and dashes of every kind, as themselves or in a URL.
_GAP = r"(?:[ +\u00a0\u3000\u2010-\u2015\u2212\uff0d-]|%20|%2D){0,2}"
# Chinese text may touch a number on either side, as itself or escaped (\u5ba2199…, %A2199…); of a
# longer word of Latin letters and digits it is a part.
_BEGIN = r"(?:(?<![A-Za-z0-9])(?<!\d\.)|(?<=\\u[0-9a-fA-F]{4})|(?<=\\[nrt])|(?<=%[0-9a-fA-F]{2}))"
_END = r"(?![A-Za-z0-9]|\.\d)"
_MOBILE = rf"(?:(?:\+|00)?86{_GAP})?1[3-9]\d(?:{_GAP}\d){{8}}"
_LAND = rf"(?:(?:\+|00)86{_GAP})?0\d{{2,3}}[)\uff09]?{_GAP}\d{{3,4}}{_GAP}\d{{4}}"
_ABROAD = rf"\+\d{{1,3}}(?:{_GAP}\d){{6,13}}"
# Ten to twelve digits at a stretch; thirteen are a time in milliseconds, more are an id.
_STRETCH = r"\d{10,12}"

_SURE = re.compile(f"{_BEGIN}(?:{_MOBILE}|{_LAND}|{_ABROAD}){_END}", re.IGNORECASE)
_LIKELY = re.compile(f"{_BEGIN}(?:{_MOBILE}|{_LAND}|{_ABROAD}|{_STRETCH}){_END}", re.IGNORECASE)
_BETWEEN = re.compile(r"%20|%2D|[^+\d]|(?<=.)\+", re.IGNORECASE)


def mask_numbers(text: str, *, likely: bool = False) -> str:
    """The text with the middle of every phone number gone; with ``likely`` also of what may be one.

    ``+86 199-0000-0001`` becomes ``+86199****0001``.
    """
    return (_LIKELY if likely else _SURE).sub(_mask, text)


def _mask(found: re.Match[str]) -> str:
    digits = _BETWEEN.sub("", found.group())
    return f"{digits[:-8]}****{digits[-4:]}"


# Whatever stands between the digits, somebody reads them as one number.
_JOINED = r"\d(?:[\W_]{{0,3}}\d){{{least},}}"
_CELL = {strict: re.compile(_JOINED.format(least=6 if strict else 8)) for strict in (True, False)}
_NO_NUMBER = re.compile(
    r"(?:19|20)\d\d([-/.])\d{1,2}\1\d{1,2}(?:[ T]+\d{1,2}(?::\d{2}){1,2})?"  # a moment
    r"|\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?"  # an amount
)


def mask_cell(text: str, *, strict: bool = False) -> str:
    """A cell of a file without the numbers in it, however they are written, however many digits
    they have too few or too many. ``strict``: where a number is meant to stand; elsewhere a moment
    and an amount stay what they are."""

    def mask(found: re.Match[str]) -> str:
        told = found.group()
        if not strict and _NO_NUMBER.fullmatch(told):
            return told
        whole, point, rest = told.partition(".")
        if rest.strip("0") or not whole.isdecimal():
            whole, point, rest = told, "", ""
        # the .0 of a spreadsheet is the mistake that somebody has to see
        return mask_phone("".join(filter(str.isdigit, whole))) + point + rest

    return _CELL[strict].sub(mask, mask_numbers(text, likely=True))


def mask_phone(phone: object) -> str:
    """``199****0001``: the first three and the last four digits, less of short numbers."""
    text = str(phone or "")
    if len(text) >= 10:
        return f"{text[:-8]}****{text[-4:]}"
    return f"{text[:2]}***" if len(text) > 2 else text and "***"
