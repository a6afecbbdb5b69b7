"""In: files of every kind. Out: what each is and its encoding, or a sentence that names it."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.importing.errors import ImportRefused
from campaigns.importing.files import ENCODINGS, Found, check_encoding, inspect_file, is_doubtful
from campaigns.importing.mapping import read_header
from campaigns.importing.reading import Plan
from tests.campaigns.importing.tables import HEADER, read

ROWS = HEADER + "".join(f"1990000{number:04d},张先生,北京\n" for number in range(50))


def inspect(content: bytes) -> Found:
    return inspect_file(io.BytesIO(content))


def refuse(content: bytes) -> str:
    with pytest.raises(ImportRefused) as refused:
        inspect(content)
    return str(refused.value)


def make_zip(name: str, content: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("gb18030", "gb18030"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
    ],
)
def test_the_encoding_is_found(written: str, found: str) -> None:
    content = ROWS.encode(written)
    assert inspect(content) == Found("text", found)
    assert len(read(content).rows) == 50
    assert found in ENCODINGS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"\x1f\x8b\x08\0", "compressed"),
        (b"\x09\x08\x10\x00\x00\x06\x05\x00", ".xls"),
        (b"\xef\xbb\xbf <!DOCTYPE html><table>", "web page"),
        (b'<?xml version="1.0"?><Workbook>', "web page or XML"),
        (b'[{"phone": "19900000001"}]', "JSON"),
        (b"{\\rtf1 19900000001}", "rich text"),
        (b"SQLite format 3\0", "database"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        ("\ufeff<html><table>19900000001".encode("utf-16-le"), "web page"),
        ("<!DOCTYPE html><table>".encode("utf-16-be"), "web page"),
        (bytes(range(256)) * 20, "not a text file"),
        (make_zip("contacts.csv", ROWS), "zip archive"),
        (make_zip("word/document.xml", "<a/>"), "archive"),
        (b"PK\x03\x04" + b"\0" * 500, ""),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500, ""),
    ],
)
def test_a_file_that_is_something_else_is_named(content: bytes, words: str) -> None:
    sentence = refuse(content)
    assert words in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("content", "encoding", "doubt"),
    [
        (b"phone,name\n19900000001,\xc4\xa3\xc4\xbe\n", "gb18030", True),
        ("phone,name\n19900000001,Orléans\n".encode(), "utf-8", False),
        # two words in Russian letters, and two in Chinese ones that nobody uses
        ("phone,name\n19900000001,дом\n".encode(), "utf-8", True),
        ("phone,name\n19900000001,Иван Петров\n".encode(), "utf-8", False),
        ("phone,name\n19900000001,张三\n".encode(), "utf-8", False),
        ("phone,name\n19900000001,张三\n".encode("gb18030"), "gb18030", False),
        (b"phone,name\n19900000001,a\n", "utf-8", False),
    ],
)
def test_chinese_that_is_by_chance_something_else(
    content: bytes, encoding: str, doubt: bool
) -> None:
    assert inspect(content).encoding == encoding
    assert is_doubtful(io.BytesIO(content), encoding) is doubt


def test_text_in_no_encoding_is_refused_with_its_line() -> None:
    assert "line 3" in refuse(b"phone,name\n19900000001,a\n19900000002,\xff\xff\xff\n")


def test_a_few_damaged_characters_cost_their_rows_only() -> None:
    content = ROWS.encode().replace("0007,张".encode(), b"0007,\xe5\xbc")
    outcome = read(content)
    assert len(outcome.rows) == 49
    assert outcome.problems == [(9, "姓名", "unreadable_text")]


@pytest.mark.parametrize(
    ("written", "chosen"),
    [
        ("utf-8", "utf-16"),
        ("utf-8", "utf-16-le"),
        ("utf-8", "utf-32"),
        ("utf-8-sig", "gb18030"),
        ("utf-8-sig", "cp1252"),
        ("utf-16", "utf-8"),
        ("utf-16", "utf-16-be"),
        ("utf-16-le", "utf-8"),
        ("utf-16-be", "utf-16"),
        ("utf-16-be", "gb18030"),
        ("gb18030", "utf-8"),
        ("gb18030", "utf-32"),
    ],
)
def test_an_encoding_that_cannot_be_is_refused(written: str, chosen: str) -> None:
    handle = io.BytesIO(ROWS.encode(written))
    with pytest.raises(ImportRefused, match=chosen.upper()) as refused:
        check_encoding(handle, chosen)
    assert "choose another encoding" in str(refused.value)
    with pytest.raises(ImportRefused, match=chosen.upper()):
        read_header(handle, Plan(encoding=chosen, header_line=1))


def test_an_encoding_that_is_none_of_ours_is_refused() -> None:
    for name in ("bz2_codec", "utf-7", "idna", "x" * 5_000):
        with pytest.raises(ImportRefused, match="no encoding"):
            check_encoding(io.BytesIO(b"a"), name)


@pytest.mark.parametrize(
    ("encoding", "city"), [("cp950", "臺北"), ("cp1252", "Orléans"), ("gb18030", "北京")]
)
def test_an_encoding_that_nobody_can_guess_may_be_chosen(encoding: str, city: str) -> None:
    handle = io.BytesIO(f"phone,{city}\n19900000001,{city}\n".encode(encoding))
    check_encoding(handle, encoding)
    assert read_header(handle, Plan(encoding=encoding, header_line=1)) == ["phone", city]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(ENCODINGS)))
def test_any_bytes_in_any_encoding_have_a_header_or_a_sentence(content: bytes, name: str) -> None:
    for header_line in (None, 1, 3):
        plan = Plan(encoding=name, header_line=header_line)
        try:
            header = read_header(io.BytesIO(content), plan)
        except ImportRefused as refused:
            assert str(refused)
        else:
            assert header


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_a_sentence(content: bytes) -> None:
    for start in (b"", HEADER.encode(), HEADER.encode("gb18030"), HEADER.encode("utf-16")):
        try:
            outcome = read(start + content)
        except ImportRefused as refused:
            assert str(refused)
        else:
            assert all(line > 1 for line, *_ in outcome.rows)
