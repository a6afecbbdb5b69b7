"""yeta's words against ours: every row of the vendor's tables, none forgotten."""

from __future__ import annotations

import pytest

from campaigns.platforms.errors import Consequence
from campaigns.platforms.events import HangupBy, PlatformTaskState, Result
from campaigns.platforms.yeta.vocabulary import (
    ERRORS,
    LINE_STATES,
    NODE_TYPES,
    RESULTS,
    ROBOT_STATES,
    TASK_STATE_CODES,
    TASK_STATES,
    get_task_state,
)

# 外呼结果说明, with the readings of decisions.md.
EXPECTED_RESULTS = """
-1 超时 timed_out no
0 成功 answered yes
2 正在通话中 busy no
3 无法接通 unreachable no
4 关机 powered_off no
5 用户正忙 busy no
6 空号 invalid_number no
7 号码错误 invalid_number no
8 用户拒接 rejected no
9 停机 suspended no
15 客户接听后并主动挂机 answered yes
16 客户掉线 answered yes
18 接通 answered yes
19 转人工 transferred yes
20 用户未接 no_answer no
22 来电提醒 no_answer no
23 呼入限制 call_restricted no
25 呼叫转移 forwarded no
26 网络故障 network_failure no
27 呼出受限 call_restricted no
28 线路故障 line_failure no
"""


def test_every_result_of_the_table() -> None:
    rows = [line.split() for line in EXPECTED_RESULTS.strip().splitlines()]
    assert {
        code: (known.text, known.result.value, "yes" if known.answered else "no")
        for code, known in RESULTS.items()
    } == {code: (text, word, answered) for code, text, word, answered in rows}


def test_who_hung_up_is_said_by_two_codes() -> None:
    sides = {code: known.hangup_by for code, known in RESULTS.items() if known.hangup_by}
    assert sides == {"15": HangupBy.CONTACT, "16": HangupBy.UNKNOWN}


def test_no_result_of_the_table_is_unknown() -> None:
    assert Result.UNKNOWN not in {known.result for known in RESULTS.values()}


# 附录:返回码参照
EXPECTED_ERRORS = """
200101 账号或密码错误 pause_account
10001 无效的token请求 refresh_token
10002 该token无请求权限 refresh_token
10003 错误的app_id pause_account
10004 服务忙,请稍后再试 retry
10005 输入参数不正确 tell_operator
10020 接口维护 retry
10021 接口停用 pause_account
200200 错误的数据关系 pause_task
200201 错误的企业id pause_account
200202 错误的任务id fail_task
200203 错误的外呼号码 refuse_row
200204 错误的话术id fail_task
200205 错误的话术发音id fail_task
200206 错误的语速 fail_task
200209 余额不足 pause_account
200210 错误的文件格式 tell_operator
200211 文件上传超过限定大小10m tell_operator
200212 错误的数据,与话术动态信息不匹配 refuse_row
200213 上传的外呼数据量超过限制 pause_task
200222 非有效工作时间段 pause_task
3030002 号码被占用 pause_task
3010102 任务已经删除 fail_task
3010101 任务已经完成 fail_task
"""


def test_every_error_code_of_the_appendix() -> None:
    rows = [line.split() for line in EXPECTED_ERRORS.strip().splitlines()]
    assert {
        code: (error.text, error.consequence.value) for code, error in ERRORS.items()
    } == {code: (text, word) for code, text, word in rows}  # fmt: skip


@pytest.mark.parametrize("code", ERRORS)
def test_every_error_tells_the_operator_what_to_do(code: str) -> None:
    error = ERRORS[code]
    assert error.code == code
    assert error.advice.endswith(".")
    assert len(error.advice.split()) >= 8
    assert isinstance(error.consequence, Consequence)


def test_task_states() -> None:
    assert [get_task_state(str(code)).value for code in range(9)] == [
        "created",
        "started",
        "running",
        "paused",
        "finished",
        "waiting_retry",
        "outside_hours",
        "expired",
        "unknown",
    ]
    assert get_task_state("2", deleted=True) is PlatformTaskState.DELETED
    assert {str(code): state for state, code in TASK_STATE_CODES.items()} == TASK_STATES


def test_the_other_tables_are_whole() -> None:
    assert list(ROBOT_STATES.values()) == ["reviewing", "refused", "unpublished", "published"]
    assert list(LINE_STATES.values()) == ["idle", "busy"]
    assert len(NODE_TYPES) == 8
