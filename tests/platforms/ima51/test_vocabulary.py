"""51ima's words against ours: every row of the vendor's table, none forgotten."""

from __future__ import annotations

from campaigns.platforms.ima51.vocabulary import (
    DIRECTIONS,
    FIELD_TYPES,
    HANGUP_SIDES,
    HANGUP_TYPES,
    INNER_TYPES,
    RESULTS,
    SCORES,
    SOURCES,
    VOCABULARY,
)

# speechCallResult, with the readings of decisions.md.
EXPECTED_RESULTS = """
0 默认值(无意义) unknown None
1 无法接通 unreachable False
2 已接通 answered True
3 无人应答 no_answer False
4 队列放弃 abandoned False
5 非服务时间 call_restricted False
6 坐席振铃未接 no_answer False
7 客户速挂 abandoned False
8 IVR中放弃 abandoned False
9 客户振铃坐席挂机 cancelled False
10 禁止呼叫 call_restricted False
"""


def test_every_result_of_the_table() -> None:
    rows = [line.split() for line in EXPECTED_RESULTS.strip().splitlines()]
    assert {
        code: (known.text, known.result.value, str(known.answered))
        for code, known in RESULTS.items()
    } == {code: (text, word, answered) for code, text, word, answered in rows}


def test_every_side_that_hangs_up() -> None:
    assert {code: (side.text, side.by.value) for code, side in HANGUP_SIDES.items()} == {
        "0": ("客户挂断", "contact"),
        "1": ("坐席挂断", "agent"),
        "2": ("未知", "unknown"),
        "3": ("转接挂断", "platform"),
    }
    assert {word: side.by.value for word, side in HANGUP_TYPES.items()} == {
        "CONTACT_DROPPED_CALL": "contact",
        "AGENT_DROPPED_CALL": "agent",
        "TRANSFER_DROPPED_CALL": "platform",
    }


def test_the_other_tables_are_whole() -> None:
    assert {code: word.value for code, word in DIRECTIONS.items()} == {
        "1": "inbound",
        "2": "outbound",
    }
    assert list(SOURCES.items()) == [("1", "常规业务"), ("2", "批量外呼"), ("3", "IVR流程")]
    assert list(SCORES) == [str(code) for code in range(6)]
    assert [SCORES[code] for code in "01235"] == [
        "未评价",
        "非常满意",
        "满意",
        "一般",
        "非常不满意",
    ]
    assert list(FIELD_TYPES) == [str(code) for code in range(8)]
    assert INNER_TYPES["5"] == INNER_TYPES["4"] == {"0": "单选项", "1": "多选项"}
    assert {len(table.words) for table in VOCABULARY} == {11, 2, 4, 3, 6, 8}
