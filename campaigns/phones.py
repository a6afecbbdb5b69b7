"""In: a phone number as somebody wrote it. Out: its one normal form, or the reason it is refused.

The normal form is the bare eleven digits of a Chinese mobile (19900000001), a Chinese land line
with its area code (01012345678), and E.164 with its plus elsewhere (+12125550100). Nothing is
guessed: a number that a spreadsheet rounded is refused, never completed into somebody else's.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import phonenumbers
from django.utils.translation import gettext_noop as N_
from phonenumbers import PhoneNumberType

EMPTY = N_("The phone number is missing.")
ROUNDED = N_(
    "A spreadsheet turned the phone number into a rounded one (like 1.99E+10): format the column "
    "as text and enter the number again."
)
DECIMAL = N_(
    "A spreadsheet wrote the phone number with a decimal point (like 19900000001.0): format the "
    "column as text and save the file again."
)
MASKED = N_("The phone number is masked: some of its digits are hidden.")
SERVICE = N_("Emergency and service numbers are never called.")
NO_AREA = N_("This looks like a land line without its area code: write it like 010-62345678.")
WRONG_LENGTH = N_("The phone number has too many or too few digits.")
EXTENSION = N_(
    "The number has an extension, which nobody can dial for you: write the number without it, if "
    "it may be called so."
)
AMBIGUOUS = N_(
    "This may be a number of another country: write it with its country, like +1 212 555 0100, or "
    "as eleven digits without signs."
)
LOST_ZERO = N_(
    "This looks like a land line whose first 0 a spreadsheet took away: write it like 010-62345678."
)
A_DATE = N_("This is a date, not a phone number.")
NOT_A_PHONE = N_("This is not a phone number.")
NOT_IN_USE = N_("No country has phone numbers like this one.")

#: the longest text worth looking at; with all its marks no number needs more
MAX_TEXT = 100

_MOBILE = re.compile(r"1[3-9][0-9]{9}")
# 400 and 800 are hotlines, no areas; no local number begins with 9
_AREA = re.compile(r"0(?:10|2[0-9]|(?![48]00)[3-9][0-9]{2})")
_LAND_LINE = re.compile(r"0(?:10|2[0-9])[1-8][0-9]{7}|0(?![48]00)[3-9][0-9]{2}[1-8][0-9]{6,7}")
# whatever is dialled behind these: an exchange may connect to the emergency of that city
_EMERGENCY = re.compile(r"0(?:10|2[0-9]|[3-9][0-9]{2})(?:110|119|120|122)")
# 110, 119, 12345, 10086, 95588, 96110 …, 106… (gateways of short messages), 400 and 800 hotlines
_SERVICE = re.compile(
    r"[0-9]{3,6}|9[56][0-9]{3,6}|1(?:00|01|1[0-9]|2[0-9])[0-9]{0,6}|106[0-9]*|[48]00[0-9]{7}"
)
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?[0-9]+\.[0-9]*|[+-]?[0-9]+,[0-9]{1,2}")
_MASKED = re.compile(r"\+?[0-9]+[*xX•●#]{2,}[0-9]*")
_EXCEL_TEXT = re.compile(r"=\s*\"([^\"]*)\"|=\s*'([^']*)'|[\"“]([^\"“”]*)[\"”]|['‘’`](.*)", re.S)
# 0710-3512345-8, (0710)3512345 8, 010-62345678转801: taken together they are somebody else's number
_WITH_EXTENSION = re.compile(
    r"[+(]*(?:00)?(?:86)?[-()\s]*\(?0?(?:10|2[0-9]|[3-9][0-9]{2})[-)\s]+[1-8](?:[-\s]?[0-9]){6,7}"
    r"\s*(?:[-#/*,;xX\s]|转|轉|ext\.?|分机)+\s*[0-9]{1,6}"
)
# 1-310-234-5678, 1 (310) 234 5678: how America writes; a Chinese mobile is never divided like this
_AMERICAN = re.compile(
    r"1[-.\s]*(?:\([2-9][0-9]{2}\)|[-.\s][2-9][0-9]{2}[-.\s])[-.\s]*[0-9]{3}[-.\s]?[0-9]{4}"
)
# the bare digits of 010-62345678 and 0755-23456789 without their 0; mobiles begin with 13 to 19
_WITHOUT_ZERO = re.compile(
    r"(?:86)?(?:10[2-8]|2[0-9][2-8])[0-9]{7}|(?:86)?(?![48]00)[3-9][0-9]{2}[2-8][0-9]{6,7}"
)
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}([-/.])[0-9]{1,2}\1[0-9]{1,2}(?:[T\s].*)?"
    r"|[0-9]{1,2}([-/.])[0-9]{1,2}\2(?:19|20)[0-9]{2}"
)
_ALLOWED = re.compile(r"\+?[0-9]+")
_DASHES = "-‐‑‒–—―−"
_MARKS = str.maketrans("", "", _DASHES + "()")


class PhoneRefused(ValueError):
    """The text is no number we would call. ``reason`` is an English sentence to be translated."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def normalise_phone(text: str, *, region: str = "CN") -> str:
    """The normal form of a number written in ``region``. Raises ``PhoneRefused``."""
    if region == "CN" and len(text) == 11 and text.isascii() and _MOBILE.fullmatch(text):
        return text
    return _normalise(text, region) if len(text) <= MAX_TEXT else _refuse(NOT_A_PHONE)


@lru_cache(maxsize=4096)
def tell_phone(text: str, *, region: str = "CN") -> str:
    """The normal form of a number that a platform told, or its own words where there is none: a
    masked number, an extension, the number of a service."""
    try:
        return normalise_phone(text, region=region)
    except PhoneRefused:
        return text


def search_forms(text: str, *, regions: Iterable[str] = ("CN",)) -> list[str]:
    """The normal forms that an entry in a search box may mean, the likeliest first: what it says as
    a number of each of the ``regions``."""
    if not text or len(text) > MAX_TEXT:
        return []
    digits = _fold(text)
    digits = digits.lstrip("+").translate(_MARKS)
    candidates = [text, f"+{digits}", f"0{digits}"] if _ALLOWED.fullmatch(digits) else [text]
    forms: dict[str, None] = {}
    for region in regions:
        for candidate in candidates:
            with contextlib.suppress(PhoneRefused):
                forms[normalise_phone(candidate, region=region)] = None
    return list(forms)


def _refuse(reason: str) -> str:
    raise PhoneRefused(reason)


def _normalise(text: str, region: str) -> str:
    folded = _unwrap(_fold(text))
    if not folded:
        _refuse(EMPTY)
    written = "".join(" " if one.isspace() else _fold_character(one) for one in text).strip()
    if _DATE.fullmatch(written):
        _refuse(A_DATE)
    if region == "CN" and _WITH_EXTENSION.fullmatch(written):
        _refuse(EXTENSION)
    if region == "CN" and _AMERICAN.fullmatch(written):
        _refuse(AMBIGUOUS)
    if _SCIENTIFIC.fullmatch(folded):
        _refuse(ROUNDED)
    if _DECIMAL.fullmatch(folded):
        _refuse(DECIMAL)
    if _MASKED.fullmatch(folded.translate(_MARKS)):
        _refuse(MASKED)
    if folded[0] in _DASHES:
        # "-199…" is a negative number or a formula, and nobody's way to write a phone number
        _refuse(NOT_A_PHONE)
    dialled = folded.translate(_MARKS)
    if dialled.startswith("+"):
        # +1 212.555.0100; without the country a text with dots is as well a date or an address
        dialled = dialled.replace(".", "")
    if not _ALLOWED.fullmatch(dialled):
        _refuse(NOT_A_PHONE)
    if region == "CN":
        return _normalise_chinese(dialled)
    return _normalise_foreign(dialled, region)


def _fold(text: str) -> str:
    """Full-width and foreign digits as plain ones; without space and characters of no width."""
    if text.isascii():
        return "".join(text.split())
    return "".join(map(_fold_character, text))


@lru_cache(maxsize=512)
def _fold_character(character: str) -> str:
    code = ord(character)
    if 0xFF01 <= code <= 0xFF5E:
        return chr(code - 0xFEE0)
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if character.isspace() or unicodedata.category(character) == "Cf":
        return ""
    return "-" if character in _DASHES else character


def _unwrap(text: str) -> str:
    """What a spreadsheet was told to keep as text: ``'199…``, ``="199…"``, ``"199…"``."""
    match = _EXCEL_TEXT.fullmatch(text)
    return next((part for part in match.groups() if part is not None), "") if match else text


def _normalise_chinese(dialled: str) -> str:
    if dialled.startswith("+"):
        country_less = dialled[3:] if dialled.startswith("+86") else None
    elif dialled.startswith("00"):
        country_less = dialled[4:] if dialled.startswith("0086") else None
        if len(dialled) == 13 and _MOBILE.fullmatch(dialled[2:]):
            # a mobile filled up with zeros, or a number of America with the 00 of abroad
            return _refuse(AMBIGUOUS)
        dialled = "+" + dialled[2:]
    elif dialled.startswith("86") and len(dialled) > 11:
        return _normalise_domestic(dialled[2:])
    else:
        return _normalise_domestic(dialled)
    if country_less is None:
        return _normalise_foreign(dialled, None)
    if not country_less.startswith("0") and _LAND_LINE.fullmatch("0" + country_less):
        return _normalise_domestic("0" + country_less)
    return _normalise_domestic(country_less)


def _normalise_domestic(digits: str) -> str:
    if _MOBILE.fullmatch(digits):
        return digits
    if digits.startswith("01") and _MOBILE.fullmatch(digits[1:]):
        # the 0 that was once dialled before a mobile of another city; no area code begins with 01x
        return digits[1:]
    if _LAND_LINE.fullmatch(digits):
        return _refuse(SERVICE) if _EMERGENCY.match(digits) else digits
    area = _AREA.match(digits)
    local = digits[area.end() :] if area else digits.lstrip("0")
    if not area and _WITHOUT_ZERO.fullmatch(digits):
        return _refuse(LOST_ZERO)
    if _SERVICE.fullmatch(local):
        return _refuse(SERVICE)
    if len(digits) == 11 and digits.startswith("12"):
        return _refuse(AMBIGUOUS)
    if len(digits) in (7, 8) and digits[0] in "2345678":
        return _refuse(NO_AREA)
    return _refuse(WRONG_LENGTH)


def _normalise_foreign(dialled: str, region: str | None) -> str:
    if len(dialled.lstrip("+0")) <= 6:
        return _refuse(SERVICE)
    try:
        number = phonenumbers.parse(dialled, region)
    except phonenumbers.NumberParseException:
        return _refuse(NOT_IN_USE)
    if number.country_code == 86:
        return _normalise_chinese(phonenumbers.format_number(number, 0))
    national = phonenumbers.national_significant_number(number)
    if len(national) <= 4:
        return _refuse(SERVICE)
    if not phonenumbers.is_valid_number(number):
        return _refuse(NOT_IN_USE)
    if phonenumbers.number_type(number) in (
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
    ):
        return _refuse(SERVICE)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
