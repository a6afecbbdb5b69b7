"""In: bodies of every oddity. Out: the quick reader says what the careful one says, or nothing."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.platforms import bodies
from campaigns.platforms.bodies import Body, read_body
from campaigns.platforms.errors import Unrecognised

ODD = [
    '{"a":1,"a":2}',
    '{"a":1,"a":1}',
    '{"a":{"b":[{"c":1,"c":"x"}]}}',
    '{"a":"x\\"y","a":"z"}',
    '{"a":"\\u0022","a":"z"}',
    '{"a":"x\\\\","a":"z\\""}',
    '{"a":"\\u005c","a":"\\""}',
    '{"\\u0061":1,"a":2}',
    '{"a":18446744073709551616}',
    '{"a":18446744073709551615}',
    '{"a":9223372036854775808}',
    '{"a":-9223372036854775808}',
    '{"a":-9223372036854775809}',
    '{"a":' + "9" * 5_000 + "}",
    '{"a":' + "9" * 41 + "}",
    '{"a":-0,"b":-0.0,"c":1E5,"d":1e-400,"e":0.1234567890123456789}',
    '{"a":1e400}',
    '{"a":NaN,"b":-Infinity}',
    '{"a":"\\ud800"}',
    '{"a":"\\ud83d\\ude00\\u0000\\/"}',
    '{"a":"\t\n"}',
    '{"a":1} ',
    '{"a":1}\n{"b":2}',
    '{"a":1}x',
    '{"a":1,}',
    '{"a" : 1 , "a" : "b:c"}',
    '{"":1,"":2}',
    '{"a":' + "[" * 49 + "]" * 49 + "}",
    '{"a":' + "[" * 60 + "]" * 60 + "}",
    '{"a":' + "[" * 2_000 + "]" * 2_000 + "}",
    '{"a":"{{{{' + "[" * 100 + '"}',
    "{}",
    "{",
    '{"a":"\ufeff\u2028"}',
]
NAMES = st.sampled_from(["a", "b", "call_uuid", 'q"', "\\", "", "姓名"])
PLAIN = st.none() | st.booleans() | st.integers(-(2**66), 2**66) | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(NAMES, inner), max_size=4),
    max_leaves=12,
)


def spell(value: Any, *, ascii_only: bool) -> str:
    """As JSON; a list of pairs is an object, whose names may come twice."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        pairs = [
            f"{json.dumps(name, ensure_ascii=ascii_only)}: {spell(inner, ascii_only=ascii_only)}"
            for name, inner in value
        ]
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spell(one, ascii_only=ascii_only) for one in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


def read_both(body: bytes) -> tuple[Any, Any]:
    """(what is read, what is read without the quick reader)"""
    found = []
    limit = bodies._QUICK_BYTES
    for bytes_at_most in (limit, -1):
        bodies._QUICK_BYTES = bytes_at_most
        try:
            found.append(describe(read_body(body)))
        except Unrecognised as error:
            found.append((error.reason, error.detail))
        finally:
            bodies._QUICK_BYTES = limit
    return found[0], found[1]


def describe(body: Body) -> str:
    """Of numbers the kind, too, and of objects the order."""
    return repr((body.value, body.problems, body.doubled))


@pytest.mark.parametrize("text", ODD)
def test_odd_bodies_are_read_as_by_the_careful_reader(text: str) -> None:
    quick, careful = read_both(text.encode("utf-8", "surrogatepass"))
    assert quick == careful


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=5), st.booleans())
def test_any_object_is_read_as_by_the_careful_reader(
    pairs: list[tuple[str, Any]], ascii_only: bool
) -> None:
    body = spell(pairs, ascii_only=ascii_only).encode("utf-8", "surrogatepass")
    quick, careful = read_both(body)
    assert quick == careful


def test_damaged_bodies_are_read_as_by_the_careful_reader() -> None:
    chance = random.Random(9)
    whole = b'{"a": "x\\"y", "b": [1, -2.5, {"c": "\\u00e9", "d": null}], "e": 9223372036854775807}'
    pieces = [b'"', b"\\", b"{", b"}", b'"a":', b"9" * 20, b"\xff", b"\x00", b",", b" ", b"e5"]
    for _ in range(3_000):
        body = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(1, len(body))
            body[at : at + chance.randint(0, 3)] = chance.choice(pieces)
        quick, careful = read_both(bytes(body))
        assert quick == careful, bytes(body)


def test_what_is_plain_is_read_quickly() -> None:
    for body in (b'{"a": "\\u4f60\\"", "b": [1, {"c": 9223372036854775807}]}', b"{}"):
        assert bodies._read_quickly(body) is not None
