"""In: what is kept in English. Out: Chinese, where the catalogue has it, and never an error.

Must catch: a problem whose numbers hide it from the catalogue; a field that says why in a text that
extraction does not find.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import translation

from campaigns.evidence import read_event
from campaigns.platforms import values
from campaigns.platforms.bodies import read_body
from campaigns.platforms.events import CallEnded
from campaigns.platforms.values import Problem
from campaigns.wording import FAULTS, tell_fault, tell_outcome, tell_problem

READERS = {
    values.read_id: [1.5, "x" * 101],
    values.read_text: [[], "x" * 20_001],
    values.read_integer: [True, "x", 1.5, 2**31, -1, {}],
    values.read_epoch_ms: [1, "x"],
    values.read_epoch_seconds: [1, 2**62],
    values.read_flag: ["maybe", 7],
    values.read_relative_path: [None, "a b", "/a", "a/../b"],
    values.read_address: ["https://", "https://a b"],
}


@pytest.mark.parametrize(
    ("read", "value"), [(read, value) for read, odd in READERS.items() for value in odd]
)
def test_every_reader_says_in_chinese_why_not(read: Any, value: Any) -> None:
    with pytest.raises(Problem) as problem:
        read(value)
    check_chinese(str(problem.value))


def test_odd_bodies_and_events_say_in_chinese_why_not() -> None:
    body = read_body(b'{"a": 1, "a": 2, "n": NaN, "e": 1e999, "d": ' + b"1" * 5000 + b"}")
    fields = values.Fields(body.value, dict(body.problems))
    assert [fields.integer(name) for name in "ned"] == [None] * 3
    event = CallEnded(
        platform_call_id="1",
        source="push",
        rank=1,
        dialed_at=datetime(1980, 1, 1, tzinfo=UTC),
        ring_seconds=-1,
        relation_id="x" * 300,
        details={"much": "x" * 30_000},
    )
    problems = fields.problems | read_event(event)[1]
    assert len(problems) == 8
    for why in problems.values():
        check_chinese(why)


def check_chinese(why: str) -> None:
    with translation.override("zh-hans"):
        told = tell_problem(why)
    assert re.search("[\u4e00-\u9fff]", told), told
    assert "{" not in told
    with translation.override("en"):
        assert tell_problem(why) == why


def test_numbers_keep_their_places_and_strange_texts_stay() -> None:
    with translation.override("zh-hans"):
        assert tell_problem("is not between -5 and 7") == "不在 -5 到 7 之间"
        assert tell_problem("is 7 {broken} %s 8") == "is 7 {broken} %s 8"
        assert tell_problem("") == ""
        assert tell_outcome("SomethingNew") == "SomethingNew"
        assert tell_outcome("NotSent") == "未发送"


def test_what_a_transport_saw_keeps_the_names_in_it() -> None:
    seen = "The request was sent and no answer came whole (ReadError {0}%s)."
    for language in ("en", "zh-hans"):
        with translation.override(language):
            assert "(ReadError {0}%s)" in tell_fault(seen).replace("（", "(").replace("）", ")")
            assert tell_fault("Something new {}.") == "Something new {}."
            assert tell_fault("") == ""
    with translation.override("en"):
        for text in FAULTS:
            assert tell_fault(text.format(503)) == text.format(503)
