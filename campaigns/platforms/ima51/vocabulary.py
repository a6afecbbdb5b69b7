"""In: the words and codes of 51ima. Out: ours. The only place that knows both.

From "通话记录回调说明" (platforms/51ima-call-record.txt), with the readings of
platforms/decisions.md where the text is open. The vendor's own words stand beside ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from campaigns.platforms.contract import StatusTable
from campaigns.platforms.events import Direction, HangupBy, Result


@dataclass(frozen=True, slots=True)
class CallResult:
    """One row of ``speechCallResult``: the vendor's ``text``, our word, whether somebody answered
    (None: the code does not say)."""

    text: str
    result: Result
    answered: bool | None


@dataclass(frozen=True, slots=True)
class HangupSide:
    """Who hung up: the vendor's ``text`` and our word."""

    text: str
    by: HangupBy


#: ``speechCallResult``. ``callResult``, which the sample has beside it with another value, is
#: documented nowhere and decides nothing.
RESULTS: dict[str, CallResult] = {
    "0": CallResult("默认值(无意义)", Result.UNKNOWN, None),
    "1": CallResult("无法接通", Result.UNREACHABLE, False),
    "2": CallResult("已接通", Result.ANSWERED, True),
    "3": CallResult("无人应答", Result.NO_ANSWER, False),
    "4": CallResult("队列放弃", Result.ABANDONED, False),
    "5": CallResult("非服务时间", Result.CALL_RESTRICTED, False),
    "6": CallResult("坐席振铃未接", Result.NO_ANSWER, False),
    "7": CallResult("客户速挂", Result.ABANDONED, False),
    "8": CallResult("IVR中放弃", Result.ABANDONED, False),
    "9": CallResult("客户振铃坐席挂机", Result.CANCELLED, False),
    "10": CallResult("禁止呼叫", Result.CALL_RESTRICTED, False),
}

#: ``callType``
DIRECTIONS = {"1": Direction.INBOUND, "2": Direction.OUTBOUND}

#: ``handupDirection`` (spelled so)
HANGUP_SIDES = {
    "0": HangupSide("客户挂断", HangupBy.CONTACT),
    "1": HangupSide("坐席挂断", HangupBy.AGENT),
    "2": HangupSide("未知", HangupBy.UNKNOWN),
    "3": HangupSide("转接挂断", HangupBy.PLATFORM),
}

#: ``hangUpDirectionType``: the same in words. The text has a stray quote behind the last one.
HANGUP_TYPES = {
    "CONTACT_DROPPED_CALL": HangupSide("客户挂机", HangupBy.CONTACT),
    "AGENT_DROPPED_CALL": HangupSide("坐席挂机", HangupBy.AGENT),
    "TRANSFER_DROPPED_CALL": HangupSide("转接挂断", HangupBy.PLATFORM),
}

#: ``communicateSource``
SOURCES = {"1": "常规业务", "2": "批量外呼", "3": "IVR流程"}

#: ``evaluationScore``: 1 is the best. 0 is no score.
UNRATED = "0"
SCORES = {
    UNRATED: "未评价",
    "1": "非常满意",
    "2": "满意",
    "3": "一般",
    "4": "不满意",
    "5": "非常不满意",
}

#: ``type`` of a field of ``expansionFields``. The table writes 通话小节, the sample 通话小结.
SUMMARY = "0"
FIELD_TYPES = {
    SUMMARY: "通话小结",
    "1": "服务备注",
    "2": "单行文本",
    "3": "多行文本",
    "4": "下拉框",
    "5": "选框",
    "6": "数字",
    "7": "日期和时间",
}

#: ``otherRules.fieldInnerType``, whose meaning hangs on the type of the field
INNER_TYPES = {
    "4": {"0": "单选项", "1": "多选项"},
    "5": {"0": "单选项", "1": "多选项"},
    "6": {"0": "数值", "1": "百分比"},
    "7": {"0": "仅日期", "1": "日期和时间"},
}

VOCABULARY = (
    StatusTable("results", ("speechCallResult",), RESULTS),
    StatusTable("directions", ("callType",), DIRECTIONS),
    StatusTable("hang-up sides", ("handupDirection",), HANGUP_SIDES),
    StatusTable("hang-up types", ("hangUpDirectionType",), HANGUP_TYPES),
    StatusTable("sources", ("communicateSource",), SOURCES),
    StatusTable("scores", ("evaluationScore",), SCORES),
    StatusTable("field types", ("type",), FIELD_TYPES),
)
