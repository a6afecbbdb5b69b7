"""In: raw JSON values of a vendor. Out: clean values, or a named problem.

Shared by every vendor's parser and client; ``bodies`` makes the values of bytes. Two rules: nothing
that comes out of here can be refused by PostgreSQL (no NUL, no lone surrogate, integers within
their column, times within this century), and nothing is guessed: a field that cannot be read is
emptied and named, the rest is used. Which unit a time has is said by the caller, who knows the
field and the vendor.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

MAX_ID_CHARS = 100
MAX_NAME_CHARS = 200
MAX_TEXT_CHARS = 20_000
MAX_ITEMS = 5_000
INTEGER_MAX = 2**31 - 1
BIGINT_MAX = 2**63 - 1
#: no call rings, waits or lasts longer: it is a moment, or a count of milliseconds
MAX_CALL_SECONDS = 86_400
_EXACT_FLOAT = 2**53
_SHORT = 2_000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A call before or after these is a wrong unit or a wrong clock, never a call.
_EARLIEST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
_LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
EARLIEST_MS, LATEST_MS = _EARLIEST * 1000, _LATEST * 1000

_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = re.compile(r"[+-]?[0-9]{1,25}\Z")
_LOCAL_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r" ?(Z|[+-][0-9]{2}:?[0-9]{2})?\Z"
)


@dataclass(frozen=True, slots=True)
class Odd:
    """A number of JSON that no column can hold: NaN, 1e400, thousands of digits."""

    text: str
    why: str


# ------------------------------------------------------------------------------- values to values


def clean_text(value: str) -> str:
    """The text without NUL, lone surrogates replaced: what a text column takes."""
    if "\x00" in value:
        value = value.replace("\x00", "")
    if value.isascii():
        return value
    try:
        value.encode()  # many times faster than to look for surrogates, which nearly nothing has
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", value)
    return value


def clean(value: Any) -> Any:
    """Any JSON value as one that a jsonb column takes, long texts and lists cut."""
    kind = type(value)
    if kind is str:
        return clean_text(value)[:MAX_TEXT_CHARS]
    if value is None or kind is bool or kind is float:
        return value
    if kind is int:
        return value if -BIGINT_MAX <= value <= BIGINT_MAX else str(value)
    if kind is dict and len(value) <= MAX_ITEMS:
        return {_clean_name(name): clean(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value[:MAX_ITEMS]]
    return _clean_other(value)


def _clean_name(name: str) -> str:
    return _clean_short(name) if len(name) < 100 else clean_text(name)[:MAX_NAME_CHARS]


@lru_cache(maxsize=2000)
def _clean_short(name: str) -> str:
    """Of short names: the same few come with every push. What is long is not remembered."""
    return clean_text(name)


def _clean_other(value: Any) -> Any:
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) <= BIGINT_MAX else str(value)
    if isinstance(value, str):
        return clean_text(value)[:MAX_TEXT_CHARS]
    if isinstance(value, Mapping):
        return {_clean_name(name): clean(inner) for name, inner in list(value.items())[:MAX_ITEMS]}
    if isinstance(value, Odd):
        return value.text
    raise TypeError(f"{type(value).__name__} is not a value of JSON")


class Problem(Exception):
    """A value that is there and cannot be used; the message says why, without the value.

    English, with numbers at most: screens translate it by its words (``campaigns.wording``).
    """


def read_id(value: Any, *, limit: int = MAX_ID_CHARS) -> str | None:
    """An id as a string, integers exactly. None for nothing. A float has lost digits already."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Problem(value.why if isinstance(value, Odd) else "is not an id")
    text = clean_text(str(value)).strip()
    if len(text) > limit:
        raise Problem(f"is longer than {limit} characters")
    return text or None


def read_text(value: Any, *, limit: int = MAX_TEXT_CHARS) -> str | None:
    """A text, numbers as they read. None for nothing, "" for an empty text."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Problem(value.why if isinstance(value, Odd) else "is not a text")
    text = clean_text(value)
    if len(text) > limit:
        raise Problem(f"is longer than {limit} characters")
    return text


def read_integer(value: Any, *, low: int = 0, high: int = INTEGER_MAX) -> int | None:
    """A whole number: 12, "12", 12.0; None for nothing or ""."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool):
        raise Problem("is not a number")
    if isinstance(value, Odd):
        raise Problem(value.why)
    if isinstance(value, float):
        if not value.is_integer() or abs(value) >= _EXACT_FLOAT:
            raise Problem("is not a whole number")
        number = int(value)
    elif isinstance(value, int):
        number = value
    elif isinstance(value, str) and _WHOLE.match(value.strip()):
        number = int(value.strip())  # int() by itself does not know all that strip() takes away
    else:
        raise Problem("is not a number")
    if not low <= number <= high:
        raise Problem(f"is not between {low} and {high}")
    return number


def read_epoch_ms(value: Any) -> datetime | None:
    """A time in milliseconds since 1970, aware. None for nothing, "" or 0."""
    number = value if type(value) is int else read_integer(value, low=-BIGINT_MAX, high=BIGINT_MAX)
    if not number:
        return None
    if not EARLIEST_MS <= number < LATEST_MS:
        if abs(number) > BIGINT_MAX:
            read_integer(number, low=-BIGINT_MAX, high=BIGINT_MAX)
        raise Problem("is not a time in milliseconds between 2000 and 2100")
    return EPOCH + timedelta(milliseconds=number)


def read_epoch_seconds(value: Any) -> datetime | None:
    """A time in seconds since 1970, aware. None for nothing, "" or 0."""
    number = read_integer(value, low=-BIGINT_MAX, high=BIGINT_MAX)
    if not number:
        return None
    if not _EARLIEST <= number < _LATEST:
        raise Problem("is not a time in seconds between 2000 and 2100")
    return EPOCH + timedelta(seconds=number)


def read_local_time(value: Any, *, zone: tzinfo) -> datetime | None:
    """A time ``2021-05-08 14:39:37`` (or with T, a fraction, a zone), aware. Without a zone of its
    own it is one of ``zone``. None for nothing or ""."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str) or not (found := _LOCAL_TIME.match(value.strip())):
        raise Problem(value.why if isinstance(value, Odd) else "is not a date and time")
    day, clock, fraction, offset = found.groups()
    try:
        told = f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{offset or ''}"
        time = datetime.fromisoformat(told)
        time = (time if offset else time.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Problem("is not a date and time") from None
    if not _EARLIEST <= time.timestamp() < _LATEST:
        raise Problem("is not a time between 2000 and 2100")
    return time


def read_flag(value: Any) -> bool | None:
    """true/false, 1/0, "1"/"0", "true"/"false". None for nothing or ""."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower(), value)
    if isinstance(value, bool):
        return value
    try:
        return bool(read_integer(value, low=0, high=1))
    except Problem:
        raise Problem("is neither true nor false") from None


def read_relative_path(value: Any) -> str:
    """A path below a prefix of ours: no scheme, no host, no ``..``, no backslash, nothing odd."""
    text = read_text(value, limit=1000)
    if not text or not isinstance(value, str):
        raise Problem("is no path")
    plain = unquote(text)
    if not plain.isprintable() or " " in text or "\\" in plain:
        raise Problem("holds a character that no path has")
    if plain.startswith("/") or ":" in plain.split("/")[0]:
        raise Problem("is not a relative path")
    if any(part in ("..", ".", "") for part in re.split(r"[/?#]", plain)[:-1]) or plain == "..":
        raise Problem("leaves its folder")
    if re.split(r"[/?#]", plain)[-1] == "..":
        raise Problem("leaves its folder")
    return text


def read_address(value: Any) -> str:
    """The address of a file: a relative path, or an absolute http(s) one without a login in it."""
    text = (read_text(value, limit=1000) or "").strip() if isinstance(value, str) else ""
    if not re.match(r"(?i)https?://", text):
        return read_relative_path(text.removeprefix("/") if text[:2] != "//" else text)
    if not text.isprintable() or " " in text or "\\" in text:
        raise Problem("holds a character that no address has")
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Problem("is not an address")
    return text


# ------------------------------------------------------------------------------ fields of an object


@dataclass(slots=True)
class Fields:
    """The fields of one object. Every unusable one is emptied, and named in ``problems``.

    ``place`` is where the object stands (``dialog[3].``), so that the name says which one.
    """

    raw: Mapping[str, Any]
    problems: dict[str, str] = field(default_factory=dict)
    place: str = ""

    def _read(self, read: Any, name: str, **limits: Any) -> Any:
        value = self.raw.get(name)
        if value is None:  # every reading of nothing is nothing
            return None
        try:
            return read(value, **limits)
        except Problem as problem:
            self.name_problem(name, str(problem))
            return None

    def name_problem(self, name: str, why: str) -> None:
        if len(self.problems) < 200:
            self.problems[self.place + name] = why

    def has(self, name: str) -> bool:
        """Whether the field is there and says something."""
        return self.raw.get(name) not in (None, "")

    def id(self, name: str, *, none: Collection[str] = (), limit: int = MAX_ID_CHARS) -> str | None:
        """An id; the words of ``none`` (e.g. "0") mean that there is none."""
        value = self.raw.get(name)
        if value is None:
            return None
        found: str | None
        if (
            type(value) is str
            and len(value) <= limit
            and value.isascii()
            and (value.isalnum() or (value.isprintable() and value and " " not in value))
        ):
            found = value  # as nearly every id is
        else:
            found = self._read(read_id, name, limit=limit)
        return None if found is None or found in none else found

    def text(self, name: str, *, limit: int = MAX_TEXT_CHARS) -> str | None:
        """A text, None when absent or empty."""
        value = self.raw.get(name)
        if not value and (value is None or value == ""):
            return None
        if type(value) is str and len(value) <= limit:
            return clean_text(value) or None
        return self._read(read_text, name, limit=limit) or None

    def integer(self, name: str, *, low: int = 0, high: int = INTEGER_MAX) -> int | None:
        value = self.raw.get(name)
        if value is None or (type(value) is int and low <= value <= high):
            return value
        found: int | None = self._read(read_integer, name, low=low, high=high)
        return found

    def epoch_ms(self, name: str) -> datetime | None:
        value = self.raw.get(name)
        if type(value) is int and EARLIEST_MS <= value < LATEST_MS:
            return EPOCH + timedelta(milliseconds=value)
        found: datetime | None = self._read(read_epoch_ms, name)
        return found

    def local_time(self, name: str, *, zone: tzinfo) -> datetime | None:
        """A time in words, one of ``zone`` unless it names its own."""
        found: datetime | None = self._read(read_local_time, name, zone=zone)
        return found

    def flag(self, name: str) -> bool | None:
        found: bool | None = self._read(read_flag, name)
        return found

    def rest(self, used: Collection[str]) -> dict[str, Any]:
        """All fields that are not in ``used``, cleaned: what has no place of its own."""
        raw = self.raw
        if len(raw) > MAX_ITEMS:
            whole: dict[str, Any] = clean({k: v for k, v in raw.items() if k not in used})
            return whole
        kept: dict[str, Any] = {}
        for name, value in raw.items():
            if name in used:
                continue
            # As ``clean`` says of what is like nearly all of it.
            if type(value) is str and value.isascii() and len(value) <= _SHORT:
                kept[_clean_name(name)] = value.replace("\x00", "") if "\x00" in value else value
            else:
                kept[_clean_name(name)] = clean(value)
        return kept
