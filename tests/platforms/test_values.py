"""Bytes and raw values of vendors: what comes out is clean, or a problem with a name."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.platforms.bodies import MAX_BODY_BYTES, inner_json, read_body
from campaigns.platforms.errors import Unrecognised
from campaigns.platforms.values import (
    BIGINT_MAX,
    MAX_ITEMS,
    MAX_NAME_CHARS,
    Fields,
    Odd,
    Problem,
    clean,
    clean_text,
    read_address,
    read_epoch_ms,
    read_epoch_seconds,
    read_flag,
    read_id,
    read_integer,
    read_local_time,
    read_relative_path,
    read_text,
)

TEXT = '{"name": "张先生", "n": 12}'
VALUE = {"name": "张先生", "n": 12}

# ------------------------------------------------------------------------------------------ bytes


@pytest.mark.parametrize(
    "body",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("gb18030"),
        gzip.compress(TEXT.encode()),
        b" \r\n" + TEXT.encode() + b"\n\n",
    ],
    ids=["utf8", "bom", "utf16", "utf16le", "utf16be", "gb18030", "gzip", "spaces"],
)
def test_encodings(body: bytes) -> None:
    assert read_body(body).value == VALUE


@pytest.mark.parametrize(
    "body",
    [
        b"name=%E5%BC%A0%E5%85%88%E7%94%9F&n=12",
        b"%7B%22name%22%3A%22%E5%BC%A0%E5%85%88%E7%94%9F%22%2C%22n%22%3A12%7D",
        b"data=%7B%22name%22%3A%22%E5%BC%A0%E5%85%88%E7%94%9F%22%2C%22n%22%3A12%7D",
    ],
)
def test_forms(body: bytes) -> None:
    found = read_body(body, form=True).value
    assert {name: str(value) for name, value in found.items()} == {"name": "张先生", "n": "12"}
    with pytest.raises(Unrecognised, match="not_json"):
        read_body(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\x00\x00", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"null", "not_object"),
        (b"[]", "not_object"),
        (b'"text"', "not_object"),
        (b"12", "not_object"),
        (b"NaN", "not_object"),
        (b'{"a": 1', "not_json"),
        (b'{"a": 1}{"a": 1}', "not_json"),
        (b'{"a": 1} // a comment', "not_json"),
        (b'{"a": 1 "b": 2}', "not_json"),
        (b"<html></html>", "not_json"),
        (b"\x1f\x8bnope", "not_json"),
        (gzip.compress(b'{"a": 1}')[:-4], "not_json"),
        (gzip.compress(b"0" * (MAX_BODY_BYTES + 1)), "too_large"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too_deep"),
        (b'{"a":' * 60 + b"1" + b"}" * 60, "too_deep"),
        (b"\xff\xfe\x00", "not_json"),
        (b"\x80\x81", "not_json"),
    ],
    ids=range(22),
)
def test_what_is_no_object_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(Unrecognised) as caught:
        read_body(body, form=True)
    assert caught.value.reason == reason


def test_numbers_that_are_none_cost_their_field_only() -> None:
    body = b'{"nan": NaN, "inf": -Infinity, "big": 1e400, "long": %s, "ok": 1}' % (b"9" * 5000)
    value = read_body(body).value
    assert {name for name in value if isinstance(value[name], Odd)} == {"nan", "inf", "big", "long"}
    fields = Fields(value)
    assert [fields.integer(name) for name in value] == [None] * 4 + [1]
    assert set(fields.problems) == {"nan", "inf", "big", "long"}
    json.dumps(clean(value), allow_nan=False)


def test_a_key_given_twice_is_named_and_the_last_one_is_used() -> None:
    body = read_body(b'{"a": 1, "a": 2, "same": 3, "same": 3}')
    assert (body.value["a"], set(body.problems)) == (2, {"a"})


def test_a_key_given_twice_can_be_read_whole() -> None:
    body = read_body(
        b'{"a": 1, "b": {"x": "1", "x": [2], "x": "3"}, "a": 1, "c": {"x": 4, "x": 5}}'
    )
    assert body.doubled == {"x": ["1", [2], "3", 4, 5]}
    assert body.value == {"a": 1, "b": {"x": "3"}, "c": {"x": 5}}
    assert read_body(b'{"a": 1}').doubled == {}


def test_one_broken_byte_does_not_turn_utf8_into_another_encoding() -> None:
    body = '{"text": "机器人说你好'.encode() + b"\xff" + '再见"}'.encode()
    assert read_body(body).value["text"] == "机器人说你好\ufffd再见"


def test_nul_and_surrogates_are_gone() -> None:
    body = read_body(b'{"a": "x\\u0000y\\ud800z", "raw": "\xed\xa0\x80", "nul": "p\x00q"}')
    assert clean(body.value) == {"a": "xy\ufffdz", "raw": "\ufffd", "nul": "pq"}


@pytest.mark.parametrize(
    ("value", "meant"),
    [("[1,1]", [1, 1]), ('["A"]', ["A"]), ("[1", "[1"), ("text", "text"), ([1], [1]), (None, None)],
)
def test_json_inside_strings(value: Any, meant: Any) -> None:
    assert inner_json(value) == meant


# ------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (None, None),
        ("", None),
        (" \x00", None),
        ("129", "129"),
        (130, "130"),
        (32264888839704576, "32264888839704576"),
        (2**80, str(2**80)),
        ("012", "012"),
        (-1, "-1"),
    ],
)
def test_ids_are_strings_with_every_digit(value: Any, meant: str | None) -> None:
    assert read_id(value) == meant


@pytest.mark.parametrize("value", [True, 1.0, 3.2e16, [], {}, "x" * 101, Odd("9…", "is long")])
def test_what_is_no_id(value: Any) -> None:
    with pytest.raises(Problem):
        read_id(value)


@pytest.mark.parametrize(
    ("value", "meant"), [(12, 12), ("12", 12), (" 12 ", 12), (12.0, 12), ("", None), (None, None)]
)
def test_integers(value: Any, meant: int | None) -> None:
    assert read_integer(value) == meant


@pytest.mark.parametrize(
    "value",
    [True, False, 1.5, 1e300, -1, 2**31, 2**63, "1.0", "١٢", "9" * 26, [1], {}, Odd("", "odd")],
)
def test_what_is_no_integer(value: Any) -> None:
    with pytest.raises(Problem):
        read_integer(value)


MOMENT = datetime(2018, 12, 4, 14, 53, 15, 290_000, tzinfo=UTC)


@pytest.mark.parametrize("value", [1543935195290, "1543935195290", 1543935195290.0])
def test_milliseconds(value: Any) -> None:
    assert read_epoch_ms(value) == MOMENT


@pytest.mark.parametrize("value", [None, "", 0, "0", 0.0])
def test_no_time(value: Any) -> None:
    assert read_epoch_ms(value) is None
    assert read_epoch_seconds(value) is None


@pytest.mark.parametrize(
    "value",
    [1543935195, 1543935195290000, 253402300799000, -1, True, "2018-12-04", 153000000, 2**70],
    ids=["seconds", "microseconds", "year 9999", "negative", "true", "text", "yeta-9", "huge"],
)
def test_another_unit_is_a_problem_never_a_guess(value: Any) -> None:
    with pytest.raises(Problem):
        read_epoch_ms(value)


def test_seconds_where_the_vendor_says_seconds() -> None:
    assert read_epoch_seconds("1543935195") == MOMENT.replace(microsecond=0)
    with pytest.raises(Problem):
        read_epoch_seconds(1543935195290)


@pytest.mark.parametrize(
    ("value", "meant"),
    [(True, True), (0, False), ("1", True), ("False", False), ("", None), (None, None)],
)
def test_flags(value: Any, meant: bool | None) -> None:
    assert read_flag(value) is meant


@pytest.mark.parametrize("value", [2, "yes", [], {}])
def test_what_is_no_flag(value: Any) -> None:
    with pytest.raises(Problem):
        read_flag(value)


def test_texts() -> None:
    assert read_text(None) is None
    assert read_text(12) == "12"
    for value in (True, [], {}, "x" * 11):
        with pytest.raises(Problem):
            read_text(value, limit=10)


# ---------------------------------------------------------------------------------------- addresses

HOSTILE = [
    "../a.zip", "a/../../b.zip", "/etc/passwd", "//evil.example/a", "a\\b", "file:///etc/passwd",
    "ftp://h/a", "javascript:alert(1)", "a/%2e%2e/%2e%2e/b", "%2e%2e", "..", "a/..", "a\nb", "a b",
    "a\x00\x7fb", "%00a%01", "", None, 12.5, [], "a//b", "./a", "x" * 1001, "http:/evil",
    "%2Fetc/passwd", "a%5Cb", "\u202ea",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_paths_that_are_refused(value: Any) -> None:
    with pytest.raises(Problem):
        read_relative_path(value)


@pytest.mark.parametrize(
    "value", ["4267/2018-12-10/0806090407040D0F0F020F060B080E09.zip", "a.wav", "录音/一.wav"]
)
def test_paths_that_are_used(value: str) -> None:
    assert read_relative_path(value) == value


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("ant/4/ivr/0/452263.wav", "ant/4/ivr/0/452263.wav"),
        ("/ant/4.wav", "ant/4.wav"),
        (
            "http://voice.kxjlcc.com:9000/ant/4.wav?x=1",
            "http://voice.kxjlcc.com:9000/ant/4.wav?x=1",
        ),
        ("HTTPS://h.example/a", "HTTPS://h.example/a"),
    ],
)
def test_addresses_of_files(value: str, kept: str) -> None:
    assert read_address(value) == kept


@pytest.mark.parametrize(
    "value",
    [
        "http://user:pass@h/a",
        "http:///a",
        "http://h:99999/a",
        "http://h/\\a",
        "https://h/a b",
        "http://[::1/a",
        *(value for value in HOSTILE if value != "/etc/passwd"),
    ],
)
def test_addresses_that_are_refused(value: Any) -> None:
    with pytest.raises(Problem):
        read_address(value)


# --------------------------------------------------------------------------------------- properties

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)  # fmt: skip


@given(ANY_JSON)
def test_clean_values_are_what_jsonb_takes(value: Any) -> None:
    def check(one: Any) -> None:
        if isinstance(one, str):
            assert "\x00" not in one
            one.encode()
        elif isinstance(one, int):
            assert abs(one) <= BIGINT_MAX
        elif isinstance(one, dict):
            for name, inner in one.items():
                check(name)
                check(inner)
        elif isinstance(one, list):
            for inner in one:
                check(inner)

    check(clean(value))


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ("2021-05-08 14:39:47", "2021-05-08T06:39:47+00:00"),
        (" 2021-05-08T14:39:47.5Z", "2021-05-08T14:39:47.500000+00:00"),
        ("2021-05-08 14:39:47 +0200", "2021-05-08T12:39:47+00:00"),
        ("", None),
        (None, None),
    ],
)
def test_a_time_in_words_is_one_of_the_zone(told: str | None, at: str | None) -> None:
    found = read_local_time(told, zone=ZoneInfo("Asia/Shanghai"))
    assert (found and found.isoformat()) == at


@pytest.mark.parametrize(
    "told",
    [
        *(0, 1620455987, "1620455987", "2021-05-08", "2021-02-30 00:00:00", "0000-00-00 00:00:00"),
        *("0001-01-01 00:00:00", "9999-12-31 23:59:59", "2021-05-08 14:39:47+99:99"),
    ],
)
def test_what_is_no_time_in_words_is_a_problem(told: Any) -> None:
    with pytest.raises(Problem):
        read_local_time(told, zone=ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize("blank", ["\x1c", "\x1f", "\x85", "\u2003", "\n "])
def test_a_number_may_stand_between_blanks_of_any_kind(blank: str) -> None:
    assert read_integer(f"{blank}12{blank}") == 12


@given(ANY_JSON)
def test_a_reader_gives_a_value_or_a_problem(value: Any) -> None:
    for read in (read_id, read_text, read_integer, read_epoch_ms, read_flag, read_address):
        try:
            found = read(value)
        except Problem as problem:
            assert str(problem)
        else:
            assert found is None or isinstance(found, str | int | datetime)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_say_why(body: bytes) -> None:
    for form in (False, True):
        try:
            assert isinstance(read_body(body, form=form).value, dict)
        except Unrecognised as error:
            assert error.reason in {"empty", "not_json", "not_object", "too_deep", "too_large"}


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_clean_text_can_always_be_encoded(text: str) -> None:
    assert b"\x00" not in clean_text(text).encode()


@pytest.mark.parametrize("more", [0, MAX_ITEMS])
def test_a_name_is_cut_however_many_there_are(more: int) -> None:
    names = clean({"n" * 100_000: 1, **{str(number): 1 for number in range(more)}})
    assert max(map(len, names)) == MAX_NAME_CHARS
