"""Rules on requests: which text, which of several, which type; patterns that end whatever they are;
functions that do not harm."""

from __future__ import annotations

import contextlib
import re
import time
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.platforms.questions import About, Asked, Said, Value
from campaigns.platforms.yeta.answers import QUESTIONS, read_semantic_request
from campaigns.semantics.functions import FunctionFailed, read_values, run_function
from campaigns.semantics.patterns import (
    PatternRefused,
    TooMuchWork,
    compile_pattern,
    search_pattern,
)
from campaigns.semantics.rules import Rule, Surroundings, apply_rule, choose_values

AROUND = Surroundings(today=date(2026, 11, 21))


def find(text: str | list[str], kind: str = "number", **fields: Any) -> int | str | None:
    texts = [text] if isinstance(text, str) else text
    said = tuple(Said(contact=one, node_name=f"n{place}") for place, one in enumerate(texts))
    asked = Asked(about=About.MEANING, said=said, reply="第七个回答", context={"年龄": "四十"})
    type_ = fields.pop("type", "integer")
    return apply_rule(Rule(key="k", kind=kind, type=type_, **fields), asked, AROUND).value


def test_the_source_decides_what_is_looked_at() -> None:
    answers = ["五个", "六个", "嗯", ""]
    assert find(answers) is None
    assert find(answers, source="any_answer") == 6
    assert find(answers, source="node", source_name="n0") == 5
    assert find(answers, source="node", source_name="n9") is None
    assert find(answers, source="reply") == 7
    assert find(answers, source="context", source_name="年龄") == 40
    assert find(answers, source="context", source_name="none") is None


def test_of_several_the_wanted_one_is_taken() -> None:
    text = "高压一百四，低压九十"
    assert (find(text), find(text, which="last")) == (140, 90)
    assert (find(text, after="低压"), find(text, after="心率")) == (90, None)
    assert find("三个人六十岁", unit="岁") == 60
    assert find("三个人一百二十斤", unit="公斤") == 60
    assert find("五百九十", low=100, high=500) is None
    assert find("五，五百", low=100, high=500) == 500


def test_what_is_taken_back_or_denied_is_not_taken() -> None:
    assert find("三十，不对，四十") == 40
    assert find("不是三十，是四十") == 40
    assert find("明天，说错了，后天", "date", type="string") == "2026-11-23"
    choices = (("想要", "1"), ("要", "1"), ("不要", "0"))
    assert find("我想要", "choice", choices=choices) == 1
    assert find("我不想要", "choice", choices=choices) is None
    assert find("我不要", "choice", choices=choices) == 0


def test_choices_are_whole_words_the_longer_first() -> None:
    choices = (("ok", "1"), ("yes", "2"), ("好", "3"), ("不好", "4"))
    assert find("okay", "choice", choices=choices) is None
    assert find("OK 吧", "choice", choices=choices) == 1
    assert find("不好", "choice", choices=choices) == 4
    assert find("好，不好", "choice", choices=choices, which="last") == 4


@pytest.mark.parametrize(
    ("kind", "text", "integer", "string"),
    [
        ("number", "三点五", None, "3.5"),
        ("number", "三分之一", None, None),
        ("number", "三十五", 35, "35"),
        ("amount", "一百二十块五", None, "120.5"),
        ("amount", "三个人五百", 500, "500"),
        ("amount", "三十五岁", None, None),
        ("phone", "幺九九洞洞洞洞洞洞洞幺", 19900000001, "19900000001"),
        ("date", "三月五号", 20270305, "2027-03-05"),
        ("pattern", "编号A123", None, "A123"),
        ("number", "9" * 17, None, "9" * 17),
    ],
)
def test_the_type_is_kept_or_there_is_no_value(
    kind: str, text: str, integer: int | None, string: str | None
) -> None:
    fields = {"pattern": r"编号(\w+)"} if kind == "pattern" else {}
    assert find(text, kind, **fields) == integer
    assert find(text, kind, type="string", **fields) == string


def test_the_default_is_given_in_its_type_or_not_at_all() -> None:
    assert find("嗯", default="8") == 8
    assert find("嗯", default="八") == 8
    assert find("嗯", default="x") is None
    assert find("嗯", default="x", type="string") == "x"
    asked = Asked(about=About.MEANING, said=(Said(contact="五个"),))
    findings = [
        apply_rule(Rule(key="k", kind="date", default="1", type="integer"), asked, AROUND),
        apply_rule(Rule(key="j", kind="date"), asked, AROUND),
        apply_rule(Rule(key="k", kind="number", type="integer"), asked, AROUND),
    ]
    assert choose_values(findings) == [Value("k", 5)]


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=60),
    st.sampled_from(["number", "phone", "date", "amount", "choice", "pattern"]),
    st.sampled_from(["integer", "string"]),
)
def test_every_text_gives_a_value_of_its_type_or_none(text: str, kind: str, type_: str) -> None:
    value = find(text, kind, type=type_, pattern="(.+)", choices=(("a", "1"), ("b", "x")))
    assert value is None or type(value) is {"integer": int, "string": str}[type_]


# ------------------------------------------------------------------------------------- patterns

ATOMS = st.sampled_from(["a", "b", ".", r"\d", "[ab]", "[^a]", r"\w", "[a-c]"])
PLAIN = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        inner.map(lambda one: f"({one})"),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        # what is repeated takes at least one character
        st.tuples(ATOMS, st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{1,2}", "{2}"])).map(
            "".join
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(st.tuples(st.sampled_from(["", "^", r"\b"]), PLAIN, st.sampled_from(["", "$"])).map("".join),
       st.text(alphabet="abcA1 ", max_size=10))  # fmt: skip
def test_patterns_find_what_python_finds(pattern: str, text: str) -> None:
    theirs, ours = re.search(pattern, text, re.IGNORECASE), search_pattern(pattern, text)
    assert (theirs is None) == (ours is None)
    if theirs and ours:
        assert (theirs.group(), theirs.start()) == (ours.text, ours.start)
        assert theirs.groups() == ours.groups


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", ".*.*.*.*x", "(?:a?){90}a{90}b", r"(\w+\s?)*!"]
)
def test_no_pattern_takes_longer_than_a_moment(pattern: str) -> None:
    began = time.process_time()
    with contextlib.suppress(TooMuchWork):
        assert search_pattern(pattern, "a" * 5000) is None or pattern == "(a+)+$"
    assert time.process_time() - began < 2  # re would take longer than the universe
    find("a" * 5000, "pattern", pattern=pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(", "[", r"(a)\1", "(?=a)", "(?<!a)b", "a" * 301, "a{999}", "(?s)a", "(?>a)", "a++"],
)
def test_patterns_that_could_hold_us_up_or_mean_nothing_are_refused(pattern: str) -> None:
    with pytest.raises(PatternRefused):
        compile_pattern(pattern)


# ------------------------------------------------------------------------------------ functions


def test_a_function_that_is_not_ended_takes_no_more_than_its_share() -> None:
    asked = Asked(about=About.MEANING)
    began = time.monotonic()
    with pytest.raises(FunctionFailed, match="too long"):
        run_function(lambda _asked: time.sleep(5), asked, seconds=0.05)  # type: ignore[arg-type]
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "told",
    [
        5,
        [5],
        [{}],
        [{"key": "a", "type": "integer", "value": True}],
        [{"key": "a", "type": "integer", "value": 2**60}],
        [{"key": "", "type": "string", "value": "x"}],
        [{"key": "a", "type": "float", "value": 1.5}],
        [{"key": str(n), "type": "string", "value": "x"} for n in range(101)],
    ],
)
def test_what_a_function_returns_is_checked(told: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        read_values(told)


def test_a_function_may_return_nothing_or_values() -> None:
    assert read_values(None) == []
    assert read_values([Value("a", 1), {"key": "b", "type": "string", "value": "x"}]) == [
        Value("a", 1),
        Value("b", "x"),
    ]


# --------------------------------------------------------------------------- yeta's own shapes


def test_a_dialog_of_the_pushs_shape_and_a_context_in_a_string_are_read_too() -> None:
    asked = read_semantic_request(
        b'{"code":1,"task_data_id":275821623314507,"context":"{\\"a\\":1,\\"b\\":\\"x\\"}",'
        b'"dialog":"[{\\"seq\\":\\"2\\",\\"role\\":\\"robot\\",\\"text_man\\":\\"no\\"},'
        b'{\\"seq\\":\\"1\\",\\"text_man\\":5},7,null]"}'
    )
    assert (asked.code, asked.contact_id) == ("1", "275821623314507")
    assert dict(asked.context) == {"a": "1", "b": "x"}
    assert [one.contact for one in asked.said] == ["5", ""]


def test_answers_are_spelt_as_the_text_says() -> None:
    values = [Value("reportorRelation", 8), Value("姓名", "张三")]
    assert QUESTIONS["semantic"].spell(values).decode() == (
        '[{"key":"reportorRelation","type":"integer","value":8},'
        '{"key":"姓名","type":"string","value":"张三"}]'
    )
    assert QUESTIONS["getDialogContext"].spell(values).decode() == (
        '{"reportorRelation":"8","姓名":"张三"}'
    )
