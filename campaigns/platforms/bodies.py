"""In: the bytes of a push or a reply. Out: the JSON object in them, or ``Unrecognised`` and why.

Vendors send UTF-8, and sometimes GB18030, UTF-16, gzip or a form; numbers that are none; keys
twice. What can be read is read, with bounds on size and depth, and what is odd in it is marked
(``values.Odd``) so that one field is lost and not the push.
"""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.values import Odd, clean_text

MAX_BODY_BYTES = 20_000_000
MAX_DEPTH = 50

_FORM_NAME = re.compile(r"[A-Za-z_][\w.\[\]-]{0,99}\Z", re.ASCII)


@dataclass(slots=True)
class Body:
    """A JSON object and what was odd about it. ``problems`` names the keys that were given twice
    with different values; the last value is the one in ``value``, ``doubled`` has all of them in
    the order in which they came, for a vendor that means each."""

    value: dict[str, Any]
    problems: dict[str, str] = field(default_factory=dict)
    doubled: dict[str, list[Any]] = field(default_factory=dict)


def read_body(body: bytes, *, form: bool = False) -> Body:
    """The object a vendor sent: JSON in UTF-8, UTF-16 or GB18030, gzipped or not.

    ``form``: a form-encoded body is read too, as an object of its fields. Raises ``Unrecognised``
    with ``empty``, ``too_large``, ``too_deep``, ``not_json`` or ``not_object``.
    """
    if body[:1] == b"{" and len(body) <= MAX_BODY_BYTES and (plain := _read_plain(body)):
        return plain
    if body[:2] == b"\x1f\x8b":
        body = _unzip(body)
    if len(body) > MAX_BODY_BYTES:
        raise Unrecognised("too_large")
    if not body.strip(b" \t\r\n\x00\xef\xbb\xbf"):
        raise Unrecognised("empty")
    for text in _decodings(body):
        try:
            return read_object(text)
        except Unrecognised as error:
            if error.reason != "not_json":
                raise
    if form and (found := _read_form(body)) is not None:
        return found
    raise Unrecognised("not_json")


def _read_plain(body: bytes) -> Body | None:
    """The object in UTF-8 that nearly every push is, None for anything that has to be looked at
    more closely."""
    if b"\x00" in body[:4]:
        return None
    if (quick := _read_quickly(body)) is not None:
        return quick
    try:
        text = body.decode()
        value, end = (_STRICT if _LONG.search(text) else _SHORT).raw_decode(text)
    except (_Doubled, ValueError, RecursionError):
        return None
    if end != len(text):
        return None
    _check_object(value, text)
    return Body(value)


def _read_quickly(body: bytes) -> Body | None:
    """What ``_STRICT`` would read, by a reader that is several times as fast; None unless that is
    certain. It refuses whatever is odd, but for two things: of a name that is given twice it keeps
    the last value, and an integer that 64 bits do not hold becomes a fraction."""
    if len(body) > _QUICK_BYTES or b"\\\\" in body:
        return None
    try:
        value = orjson.loads(body)
        told = orjson.dumps(value)
    except (ValueError, TypeError):
        return None
    # Every text is between two quotes. If as many texts come out as went in, no name was lost.
    quotes = body.count(b'"') - body.count(b'\\"')
    if b"\\\\" in told or quotes != told.count(b'"') - told.count(b'\\"'):
        return None
    digits = body.translate(_DIGITS)
    if _TWENTY in digits or _BELOW in digits:
        return None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise Unrecognised("too_deep")
    return Body(value) if type(value) is dict else None


_QUICK_BYTES = 1_000_000
#: each digit as a zero, what is neither that nor a minus as a blank
_DIGITS = bytes(48 if 48 <= code <= 57 else code if code == 45 else 32 for code in range(256))
_TWENTY, _BELOW = b"0" * 20, b"-" + b"0" * 19


def read_object(text: str) -> Body:
    """The one JSON object in a text. Raises ``Unrecognised`` as ``read_body`` does."""
    stripped = text.strip(" \t\r\n\ufeff")
    try:
        value = _STRICT.decode(stripped)
    except (_Doubled, ValueError, RecursionError):
        return _read_oddly(stripped)  # which says what is odd, or refuses it
    _check_object(value, stripped)
    return Body(value)


class _Doubled(Exception):
    """A name that is given twice in one object."""


def _refuse_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Doubled
    return made


def _check_object(value: Any, text: str) -> None:
    # what has no more brackets than that is no deeper either
    many = text.count("{") + text.count("[") > MAX_DEPTH
    if many and _is_deeper(value, MAX_DEPTH):
        raise Unrecognised("too_deep")
    if not isinstance(value, dict):
        raise Unrecognised("not_object", type(value).__name__)


def _read_oddly(text: str) -> Body:
    problems: dict[str, str] = {}
    doubled: dict[str, list[Any]] = {}
    why = "is given twice; the last one is used"

    def keep_last(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in pairs:
            if name in made and made[name] != value:
                shown = clean_text(name)[:100]
                problems[shown] = why
                known = doubled.setdefault(shown, [])
                known += [value] if known and known[-1] is made[name] else [made[name], value]
            made[name] = value
        return made

    try:
        value = json.loads(
            text,
            strict=False,
            object_pairs_hook=keep_last,
            parse_int=_read_int,
            parse_float=_read_float,
            parse_constant=_read_constant,
        )
    except RecursionError:
        raise Unrecognised("too_deep") from None
    except ValueError:
        raise Unrecognised("not_json") from None
    _check_object(value, text)
    return Body(value, problems, doubled)


def _unzip(body: bytes) -> bytes:
    engine = zlib.decompressobj(wbits=31)
    try:
        plain = engine.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise Unrecognised("not_json", "broken gzip") from None
    if len(plain) > MAX_BODY_BYTES:
        raise Unrecognised("too_large", "gzip")
    if not engine.eof:
        raise Unrecognised("not_json", "cut gzip")
    return plain


def _decodings(body: bytes) -> Iterator[str]:
    """Readings of the bytes, the likeliest first. Headers are not asked, UTF-8 lies less often."""
    if body[:1] == b"{" and b"\x00" not in body[:4]:  # as nearly every push is
        with contextlib.suppress(UnicodeDecodeError):
            yield body.decode()
            return
    guess = json.detect_encoding(body)
    if not guess.startswith("utf-8"):
        try:
            yield body.decode(guess, "surrogatepass")
        except UnicodeDecodeError:
            yield body.decode(guess, "replace")
    try:
        yield body.decode("utf-8-sig")
        return
    except UnicodeDecodeError:
        pass
    mended = body.decode("utf-8", "surrogatepass" if _only_surrogates(body) else "replace")
    broken = mended.count("\ufffd")
    good = sum(character > "\u07ff" for character in mended) - broken
    if broken * 3 > good:  # mostly broken as UTF-8: another encoding rather than damage
        with contextlib.suppress(UnicodeDecodeError):
            yield body.decode("gb18030")
    yield mended


def _only_surrogates(body: bytes) -> bool:
    """Whether the one thing wrong with this UTF-8 is that it holds surrogates."""
    try:
        body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _read_form(body: bytes) -> Body | None:
    """A form-encoded body: one field that is JSON, or an object of its fields."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        return None
    if len(pairs) == 1:
        for text in pairs[0]:
            if text.lstrip().startswith("{"):
                return read_object(text)
    if not pairs or not all(_FORM_NAME.match(name) for name, _ in pairs):
        return None
    fields: dict[str, Any] = {}
    for name, text in pairs:
        fields[name] = inner_json(text)
    return Body(fields)


def inner_json(value: Any) -> Any:
    """JSON inside a string (``"[1,1]"``) as the list or object it means; anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return read_object(f'{{"inner": {value}}}').value["inner"]
    except (Unrecognised, KeyError):
        return value


def _read_int(digits: str) -> int | Odd:
    if len(digits) > 40:  # int() of thousands of digits is slow, then refused
        return Odd(digits[:40] + "…", "has too many digits")
    return int(digits)


def _read_float(digits: str) -> float | Odd:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        return Odd(digits[:40], "is out of range")
    return number


def _read_constant(word: str) -> Odd:
    return Odd(word, "is not a number")


_STRICT = json.JSONDecoder(
    strict=False,
    object_pairs_hook=_refuse_doubled,
    parse_int=_read_int,
    parse_float=_read_float,
    parse_constant=_read_constant,
)
#: the same where no number is as long as that, and the library reads them by itself
_LONG = re.compile(r"[0-9]{40}")
_SHORT = json.JSONDecoder(
    strict=False,
    object_pairs_hook=_refuse_doubled,
    parse_float=_read_float,
    parse_constant=_read_constant,
)


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
