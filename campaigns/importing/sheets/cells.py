"""In: what a workbook stores of a cell. Out: the text that a person sees in it.

A number has at most fifteen digits, as on the screen; whole ones keep all their digits and have no
decimal point. Days are told the ISO way.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

#: a longer cell is refused later anyway; ten million cells may name the same long text
MAX_TEXT = 4_000

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_ESCAPES = re.compile(r"(?:_x[0-9A-Fa-f]{4}_)+")
_EXACT = 2**53
_LAST_DAY = 2_958_466
_DAY_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 - a cell has no time zone
_DAYS_TO_1904 = 1_462


class Format(NamedTuple):
    """How a number is shown: ``kind`` is date, time, both, elapsed, percent or padded."""

    kind: str
    digits: int = 0


#: kinds of formats with a day
DATES = ("date", "both")

_BUILT_IN: dict[int, Format] = {
    9: Format("percent"),
    10: Format("percent", 2),
    22: Format("both"),
    46: Format("elapsed"),
    **dict.fromkeys([14, 15, 16, 17, *range(27, 32), 36, *range(50, 55), 57, 58], Format("date")),
    **dict.fromkeys([18, 19, 20, 21, *range(32, 36), 45, 47, 55, 56], Format("time")),
}
#: quoted and escaped text, padding, and what stands in brackets
_SILENT = re.compile(r'"[^"]*"?|\\.|[_*].|\[[^\]]*\]')
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]", re.I)


def find_format(number: int, code: str | None) -> Format | None:
    """The format with that number, or that code where the workbook gives one; None: a plain one."""
    if code is None:
        return _BUILT_IN.get(number)
    code = code.split(";")[0] if '"' not in code else code
    if _ELAPSED.search(code):
        return Format("elapsed")
    bare = re.sub(r"am/pm|a/p", "h", _SILENT.sub("", code).split(";")[0].strip().lower())
    if re.fullmatch("0{2,30}", bare):
        return Format("padded", len(bare))
    if percent := re.fullmatch(r"[#,]*0(?:\.(0+))?%", bare):
        return Format("percent", len(percent.group(1) or ""))
    bare = re.sub(r"s\.0+", "s", bare)
    if set(bare) & set("0#?@") or bare == "general":
        return None
    has_time = bool(set(bare) & set("hs"))
    has_date = bool(set(bare) & set("yde")) or ("m" in bare and not has_time)
    if has_date:
        return Format("both" if has_time else "date")
    return Format("time") if has_time else None


def show_number(text: str, form: Format | None = None, *, since_1904: bool = False) -> str:
    """The number as a person sees it; text that is no number stays what it is."""
    if form is None and text.isdigit() and text.isascii() and len(text) < 16 and text[0] != "0":
        return text
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return text
    value = float(text)
    if abs(value) == float("inf"):
        return text
    if form is not None:
        shown = _show_formatted(value, form, since_1904=since_1904)
        if shown is not None:
            return shown
    return show_float(value)


def show_float(value: float) -> str:
    if value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    text = format(value, ".15g")
    if "e-" in text:
        return format(Decimal(text), "f") if abs(value) > 1e-30 else "0"
    return text.replace("e", "E")


def _show_formatted(value: float, form: Format, *, since_1904: bool) -> str | None:
    if form.kind == "padded":
        return (
            str(int(value)).zfill(form.digits) if 0 <= value < _EXACT and value % 1 == 0 else None
        )
    if form.kind == "percent":
        return f"{value * 100:.{form.digits}f}%" if abs(value) < 1e12 else None
    if not 0 <= value < _LAST_DAY:
        return None
    seconds = int(value) * 86_400 if form.kind == "date" else round(value * 86_400)
    if form.kind == "elapsed":
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if since_1904:
        seconds += _DAYS_TO_1904 * 86_400
    elif seconds < 60 * 86_400:
        # Excel has a 29th of February 1900; before it, its days are one behind
        seconds += 86_400
    if seconds >= _LAST_DAY * 86_400:
        return None
    moment = _DAY_ZERO + timedelta(seconds=seconds)
    if form.kind == "time":
        return moment.strftime("%H:%M:%S")
    return moment.date().isoformat() if form.kind == "date" else moment.isoformat(" ")


def unescape(text: str) -> str:
    """``_x000D_`` and the like, which stand for characters that XML cannot hold."""
    return _ESCAPES.sub(_replace_escapes, text) if "_x" in text else text


def _replace_escapes(found: re.Match[str]) -> str:
    units = bytes.fromhex("".join(part[2:6] for part in re.findall("_x[^_]{4}_", found.group())))
    return units.decode("utf-16-be", "replace")
