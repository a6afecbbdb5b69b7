"""In: texts in every state of repair. Out: their records, in lines that an editor would show."""

from __future__ import annotations

import io
import itertools
import os
import time
import tracemalloc
from collections.abc import Iterator
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.importing import reading
from campaigns.importing.reading import (
    AFTER_QUOTE,
    MAX_LINES,
    TOO_LONG,
    UNCLOSED,
    Plan,
    Record,
    measure_table,
    read_records,
    read_start,
    read_table,
)

MEGABYTE = 1_000_000


def records(text: str) -> list[Record]:
    return list(read_records(io.StringIO(text, newline=""), delimiter=","))


def problems(found: list[Record]) -> list[tuple[int, object]]:
    return [(line, problem) for line, _, problem in found]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_an_editor_does(end: str) -> None:
    text = end.join(["a,b", "", '"c', 'd",e', "f,g"])
    assert records(text) == [
        (1, ["a", "b"], None),
        (2, [], None),
        (3, [f"c{end}d", "e"], None),
        (5, ["f", "g"], None),
    ]


def test_a_broken_record_gives_its_following_lines_back() -> None:
    found = records('a,"b\nc,d\n"e",f\ng,"h\ni,j')
    assert problems(found) == [(1, UNCLOSED), (2, None), (3, None), (4, UNCLOSED), (5, None)]
    assert records('"a"b,c\nd,e') == [(1, ['"a"b', "c"], AFTER_QUOTE), (2, ["d", "e"], None)]


def test_a_quote_that_never_closes_loses_no_row() -> None:
    rows = 3 * MAX_LINES
    found = records('a,"b\n' + "c,d\n" * rows)
    assert found[0][2] == UNCLOSED
    assert len(found) == rows + 1
    assert found[-1][:2] == (rows + 1, ["c", "d"])


def test_quotes_that_never_close_in_a_long_file_are_each_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "_BLOCK", 1 << 12)
    part = 'x,"\n' + "c,d\n" * (MAX_LINES + 2_000)
    found = records(part * 4)
    # each quotation mark would close the one before, were that not given up in between
    broken = [line for line, _, problem in found if problem]
    assert broken == [1 + number * (MAX_LINES + 2_001) for number in range(4)]
    assert len(found) == 4 * (MAX_LINES + 2_001)


def test_rows_that_each_open_a_quote_are_read_once_and_not_5000_times() -> None:
    text = "phone,name\n" + "".join(f'199{number:08d}","x{number}\n' for number in range(20_000))
    begun = time.process_time()
    found = records(text)
    assert time.process_time() - begun < 3
    assert problems(found[1:]) == [(line, UNCLOSED) for line in range(2, 20_002)]


def test_lines_after_a_quote_that_never_closes_are_read_as_without_it() -> None:
    rows = 'c,d\n"e\nf",g\n' * 400 + '"h"i,j\n' + 'k,"l\n' + 'm,"n\no\n"\n'
    found = records('a,"b\n' + "c,d\n" * MAX_LINES + rows)
    alone = records("c,d\n" * (MAX_LINES + 1) + rows)
    assert found[1:] == alone[1:]


def test_a_cell_of_many_lines_is_one_record() -> None:
    cell = "line\n" * (MAX_LINES - 10)
    found = records(f'a,"{cell}"\nb,c')
    assert found == [(1, ["a", cell], None), (MAX_LINES - 8, ["b", "c"], None)]


def test_an_endless_line_is_one_bad_row() -> None:
    found = records("a,b\n" + "x" * 3_000_000 + "\nc,d\n")
    assert problems(found) == [(1, None), (2, TOO_LONG), (3, None)]
    assert records("x" * 3_000_000)[0][2] == TOO_LONG
    found = records("x" * 3_000_000 + "\r\nc,d\r\n" + '"' + "y," * 3_000_000 + "\r\ne")
    assert problems(found) == [(1, TOO_LONG), (2, None), (3, TOO_LONG), (4, None)]
    for end in ("\n", "\r\n", "\r"):
        for length in (1 << 20, (1 << 20) - 1, 5 << 18):
            found = records(end.join(["x" * length, "c,d", "e"]))
            assert problems(found) == [(1, TOO_LONG), (2, None), (3, None)]
            assert found[1][1] == ["c", "d"]


def test_an_endless_line_inside_a_quote() -> None:
    found = records('a,"b\n' + "x" * 3_000_000 + '\nc,d"\ne,f\n')
    assert problems(found) == [(1, UNCLOSED), (2, TOO_LONG), (3, None), (4, None)]


def test_a_cell_of_200_kb_and_a_row_of_10000_columns_are_read() -> None:
    wide = ",".join(map(str, range(10_000)))
    found = records(f'a,"{"x" * 200_000}"\n{wide}\nb,c\n')
    assert [len(cells) for _, cells, _ in found] == [2, 10_000, 2]
    assert problems(found) == [(1, None), (2, None), (3, None)]


odd_texts = st.text(st.sampled_from('ab,"\n\r; \t\0=1'), max_size=60)


@settings(max_examples=200, deadline=None)
@given(odd_texts)
def test_every_line_is_read_or_named_whatever_stands_in_it(text: str) -> None:
    found = records(text)
    lines = [line for line, _, _ in found]
    assert lines == sorted(set(lines))
    count = len(io.StringIO(text, newline="").readlines()) if text else 0
    assert all(1 <= line <= count for line in lines)


@settings(max_examples=200, deadline=None)
@given(st.lists(odd_texts, max_size=8).map("\n".join), st.integers(1, 40))
def test_where_the_blocks_end_makes_no_difference(text: str, block: int) -> None:
    whole = records(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BLOCK", block)
        assert records(text) == whole


def test_the_mark_of_byte_order_is_no_text() -> None:
    for encoding in ("utf-8", "utf-16-le", "gb18030"):
        handle = io.BytesIO('\ufeff"a",b\n'.encode(encoding))
        assert list(read_table(handle, Plan(encoding=encoding))) == [(1, ["a", "b"], None)]


def test_the_start_is_read_without_the_rest_and_the_handle_stays_open() -> None:
    handle = io.BytesIO(b"\n , \na,b\n" + b"c,d\n" * 500_000)
    found = read_start(handle, Plan(), 2)
    assert found == [(3, ["a", "b"], None), (4, ["c", "d"], None)]
    assert handle.tell() < 1_000_000
    assert measure_table(handle, Plan()) == 2_000_009


class Endless(io.RawIOBase):
    """A file of rows that exists nowhere at once."""

    def __init__(self, *, size: int, rows: bytes) -> None:
        self._rows = itertools.repeat(rows, size // len(rows))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        assert (offset, self._at) == (0, 0)
        return 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        rows = next(self._rows, b"")
        self._at += len(rows)
        return rows


def make_endless(megabytes: int, rows: bytes) -> IO[bytes]:
    return Endless(size=megabytes * MEGABYTE, rows=rows)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "rows",
    [
        b"19900000001,a,b\r\n" * 4_096,
        b'19900000001,"a\r\nb",c\r' * 4_096,
        b'"a"b,ccccccccccccccccccccccccccccccc\n' * 2_048,
        b"x" * 65_536,
        b"\r" * 16_384 + b"a" * 65_536,
    ],
    ids=["rows", "quoted", "broken", "one line", "empty lines"],
)
def test_memory_does_not_grow_with_the_file(rows: bytes) -> None:
    tracemalloc.start()
    try:
        for _ in read_table(make_endless(4, rows), Plan()):
            pass
        assert tracemalloc.get_traced_memory()[1] < 15_000_000
    finally:
        tracemalloc.stop()


def count_rows(found: Iterator[Record]) -> tuple[int, int]:
    good = bad = 0
    for _, _, problem in found:
        if problem is None:
            good += 1
        else:
            bad += 1
    return good, bad


def test_25_mb_are_read_to_the_end() -> None:
    rows = b"19900000001,a,b\n" * 4_095 + b'19900000001,"a,b\n'
    repeats = 25 * MEGABYTE // len(rows)
    good, bad = count_rows(read_table(make_endless(25, rows), Plan()))
    assert good + bad == 4_096 * repeats
    assert bad == repeats


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("SLOW") != "1", reason="long: SLOW=1 runs it")
def test_250_mb_are_read_to_the_end() -> None:
    rows = b"19900000001,a,b\n" * 4_095 + b'19900000001,"a,b\n'
    repeats = 250 * MEGABYTE // len(rows)
    good, bad = count_rows(read_table(make_endless(250, rows), Plan()))
    assert (good + bad, bad) == (4_096 * repeats, repeats)
