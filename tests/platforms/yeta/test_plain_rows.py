"""In: rows of dialogs, plain ones and odd ones. Out: proof that the short way of reading a row says
what the long one says, problems included."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.platforms.values import Fields, Odd
from campaigns.platforms.yeta import dialogs

NAMES = [
    *("seq", "role", "text_robot", "text_man", "node_id", "node_name", "node_type", "label"),
    *("tag_name", "tag_desc", "question_id", "time_start", "time_speaking", "hits", "hit"),
]
ODD: list[Any] = [
    *(None, "", " ", "x", "node-1", "a b", "您好", "\x00", "\ud800", "x" * 51, "x" * 201),
    *("您" * 20_001, 0, 1, -1, 12, 2**70, 1.5, True, False, [], {}, [1], {"a": 1}),
    *("12", "0012", " 7", "1" * 12, "robot", "customer", "Robot ", "agent"),
    *(1_760_000_000_000, 946_684_799_999, 4_102_444_800_000, "1760000000000"),
    *([{"hit": "肯定", "pick": True, "answer_id": "a1"}], [{"hit": "x"}], ["x"], '["x"]'),
    *([{"hit": None, "pick": 1, "answer_id": 5}], [{"name": "x", "pick": "true", "id": "b"}]),
    *([{"hit": "x\x00", "pick": None}], [{"hit": "x", "more": 1}], [{"answer_id": "a b"}]),
    *({"name": "x", "pick": True, "id": "c"}, Odd("NaN", "is not a number")),
]
odd = st.sampled_from(ODD)
PLAIN = {
    "seq": "1", "role": "customer", "text_robot": "您好", "text_man": "可以", "node_id": "n-1",
    "node_name": "第1步", "node_type": "1", "time_start": 1_760_000_000_000,
    "hits": [{"hit": "肯定", "pick": True, "answer_id": "a1"}],
}  # fmt: skip


def read(rows: list[dict[str, Any]]) -> tuple[Any, dict[str, str]]:
    fields = Fields({"dialog": rows})
    return dialogs.read_turns(fields), fields.problems


def compare(rows: list[dict[str, Any]]) -> None:
    found = read(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialogs, "_read_plain_row", lambda row, position: None)
        assert found == read(rows)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), odd, max_size=4), max_size=3))
def test_a_dialog_says_the_same_however_it_is_read(changes: list[dict[str, Any]]) -> None:
    compare([PLAIN | change for change in changes])


@pytest.mark.parametrize("name", NAMES)
def test_a_row_without_one_of_its_fields_says_the_same(name: str) -> None:
    compare([PLAIN, {key: value for key, value in PLAIN.items() if key != name}])


@pytest.mark.parametrize("name", NAMES)
def test_a_row_with_one_odd_field_says_the_same(name: str) -> None:
    for value in ODD:
        compare([PLAIN | {name: value}])


def test_what_is_plain_is_read_the_short_way() -> None:
    assert dialogs._read_plain_row(PLAIN, 0) is not None
