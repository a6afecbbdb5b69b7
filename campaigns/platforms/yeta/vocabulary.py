"""In: the words and codes of yeta. Out: ours. The only place that knows both.

From "yeta开放平台开发接口" (platforms/yeta-openapi.txt), with the readings of
platforms/decisions.md where the text is open. Codes changed their meaning between versions of the
text (22 was 呼叫转移), so code and description of each call are kept, and this table can be
corrected and applied to history again.
"""

from __future__ import annotations

from dataclasses import dataclass

from campaigns.platforms.contract import StatusTable
from campaigns.platforms.errors import Consequence, ErrorCode
from campaigns.platforms.events import Direction, HangupBy, PlatformTaskState, Result, Role


@dataclass(frozen=True, slots=True)
class CallResult:
    """One row of 外呼结果说明: the vendor's ``text``, our word, whether somebody picked up, and who
    hung up where the code says so."""

    text: str
    result: Result
    answered: bool
    hangup_by: HangupBy | None = None


#: ``task_result``. 1, 10-14, 17, 21 and 24 are missing in the text: they are unknown codes.
RESULTS: dict[str, CallResult] = {
    "-1": CallResult("超时", Result.TIMED_OUT, False),
    "0": CallResult("成功", Result.ANSWERED, True),
    "2": CallResult("正在通话中", Result.BUSY, False),
    "3": CallResult("无法接通", Result.UNREACHABLE, False),
    "4": CallResult("关机", Result.POWERED_OFF, False),
    "5": CallResult("用户正忙", Result.BUSY, False),
    "6": CallResult("空号", Result.INVALID_NUMBER, False),
    "7": CallResult("号码错误", Result.INVALID_NUMBER, False),
    "8": CallResult("用户拒接", Result.REJECTED, False),
    "9": CallResult("停机", Result.SUSPENDED, False),
    "15": CallResult("客户接听后并主动挂机", Result.ANSWERED, True, HangupBy.CONTACT),
    "16": CallResult("客户掉线", Result.ANSWERED, True, HangupBy.UNKNOWN),
    "18": CallResult("接通", Result.ANSWERED, True),
    "19": CallResult("转人工", Result.TRANSFERRED, True),
    "20": CallResult("用户未接", Result.NO_ANSWER, False),
    "22": CallResult("来电提醒", Result.NO_ANSWER, False),
    "23": CallResult("呼入限制", Result.CALL_RESTRICTED, False),
    "25": CallResult("呼叫转移", Result.FORWARDED, False),
    "26": CallResult("网络故障", Result.NETWORK_FAILURE, False),
    "27": CallResult("呼出受限", Result.CALL_RESTRICTED, False),
    "28": CallResult("线路故障", Result.LINE_FAILURE, False),
}

DIRECTIONS = {1: Direction.INBOUND, 2: Direction.OUTBOUND}
ROLES = {"robot": Role.ROBOT, "customer": Role.CONTACT}

TASK_STATES: dict[str, PlatformTaskState] = {
    "0": PlatformTaskState.CREATED,  # 新建
    "1": PlatformTaskState.STARTED,  # 启动
    "2": PlatformTaskState.RUNNING,  # 运行
    "3": PlatformTaskState.PAUSED,  # 手动暂停
    "4": PlatformTaskState.FINISHED,  # 完成
    "5": PlatformTaskState.WAITING_RETRY,  # 等待下轮重试
    "6": PlatformTaskState.OUTSIDE_HOURS,  # 不在工作时段
    "7": PlatformTaskState.EXPIRED,  # 过期
}
TASK_STATE_CODES = {state: int(code) for code, state in TASK_STATES.items()}
TASK_TYPES = {"0": "ordinary", "2": "pool"}  # 普通任务 · 任务池
TASK_SORTS = {
    "id": "ID",
    "name": "NAME",
    "created_at": "CREATETIME",
    "begin_at": "STARTTIME",
    "end_at": "ENDTIME",
}

ROBOT_STATES = {  # 审核中 · 未通过 · 待发布 · 已发布
    "1": "reviewing",
    "2": "refused",
    "3": "unpublished",
    "4": "published",
}
ROBOT_KINDS = {"1": "ordinary", "2": "dynamic"}  # 普通话术 · 动态话术
LINE_STATES = {"0": "idle", "1": "busy"}  # 空闲 · 任务占用中
CONFIG_TYPES = {"all": 0, "robots": 1, "lines": 2, "urls": 3, "voices": 4}

#: 节点类型, with what each does; other words are kept as they come.
NODE_TYPES: dict[str, str] = {
    "AnyNode": "any answer",  # 任意回答节点
    "CollectInputNode": "custom input",  # 自定义输入节点
    "ConditionNode": "keys as input",  # 按键输入节点
    "EndNode": "end",  # 结束节点
    "HookInfoNode": "dynamic reference",  # 动态引用节点
    "KeyNavigationNode": "navigation by keys",  # 按键导航节点
    "NoNeedAnswerNode": "no answer needed",  # 无需回答节点
    "NormalNode": "ordinary exchange",  # 普通交互节点
}

_RETRY, _REFRESH = Consequence.RETRY, Consequence.REFRESH_TOKEN
_ROW, _FAIL, _WAIT = Consequence.REFUSE_ROW, Consequence.FAIL_TASK, Consequence.PAUSE_TASK
_ACCOUNT, _TELL = Consequence.PAUSE_ACCOUNT, Consequence.TELL_OPERATOR

#: 附录:返回码参照. Every one of these is a refusal: nothing was done.
ERRORS: dict[str, ErrorCode] = {
    code: ErrorCode(code, text, consequence, advice)
    for code, text, consequence, advice in (
        ("200101", "账号或密码错误", _ACCOUNT,
         "The platform does not accept the app_key and app_secret. Enter them again on the "
         "account."),
        ("10001", "无效的token请求", _REFRESH,
         "The platform does not accept our token, not even a new one. Check the account with Test "
         "connection."),
        ("10002", "该token无请求权限", _REFRESH,
         "The account may not use this interface. Ask the platform to open it for this app_key."),
        ("10003", "错误的app_id", _ACCOUNT,
         "The platform does not know this application. Check the app_key of the account."),
        ("10004", "服务忙,请稍后再试", _RETRY,
         "The platform is busy. Sending goes on more slowly by itself."),
        ("10005", "输入参数不正确", _TELL,
         "The platform found a parameter wrong. Look at the request in the list of exchanges and "
         "correct the task."),
        ("10020", "接口维护", _RETRY,
         "The platform maintains this interface. Sending goes on by itself when it is back."),
        ("10021", "接口停用", _ACCOUNT,
         "The platform has switched this interface off. Ask the platform before going on."),
        ("200200", "错误的数据关系", _WAIT,
         "Robot, line, voice and task do not belong together at the platform. Synchronise the "
         "account and choose them again."),
        ("200201", "错误的企业id", _ACCOUNT,
         "The platform does not know the enterprise of this account. Check app_key and base URL."),
        ("200202", "错误的任务id", _FAIL,
         "The platform does not know this task; somebody may have deleted it there. Clone the task "
         "to start it anew."),
        ("200203", "错误的外呼号码", _ROW,
         "The platform refuses a phone number of these rows. Correct or remove it."),
        ("200204", "错误的话术id", _FAIL,
         "The platform does not know this robot. Synchronise the account and choose a published "
         "robot."),
        ("200205", "错误的话术发音id", _FAIL,
         "The platform does not know this voice. Synchronise the account and choose another."),
        ("200206", "错误的语速", _FAIL,
         "The platform refuses this speed. Choose one between -500 and 500."),
        ("200209", "余额不足", _ACCOUNT,
         "The balance at the platform is used up. Top it up, then let the account go on."),
        ("200210", "错误的文件格式", _TELL,
         "The platform refuses the format of a file. Tell whoever maintains this installation."),
        ("200211", "文件上传超过限定大小10m", _TELL,
         "The platform refuses a file above 10 MB. Tell whoever maintains this installation."),
        ("200212", "错误的数据,与话术动态信息不匹配", _ROW,
         "These rows do not have the columns of the robot. Synchronise the account and compare the "
         "robot's columns with the file."),
        ("200213", "上传的外呼数据量超过限制", _WAIT,
         "The platform takes no more numbers for this task. Ask for the limit, or divide the list "
         "over several tasks."),
        ("200222", "非有效工作时间段", _WAIT,
         "The calling windows lie outside the working hours of the line. Correct the windows."),
        ("3030002", "号码被占用", _WAIT,
         "The line is in use by another task. Wait until that one ends, or choose another line."),
        ("3010102", "任务已经删除", _FAIL,
         "The task is deleted at the platform and cannot be used again. Clone it to go on."),
        ("3010101", "任务已经完成", _FAIL,
         "The task is finished at the platform and takes nothing more. Clone it to go on."),
    )
}  # fmt: skip


#: Every table above with the places of its words in pushes and replies. A place is a name, with
#: those of the objects around it where the name alone means several things (``status`` does).
VOCABULARY: tuple[StatusTable, ...] = (
    StatusTable("results of calls", ("task_result",), RESULTS),
    StatusTable("directions", ("direction",), {str(n): way for n, way in DIRECTIONS.items()}),
    StatusTable("roles", ("role",), ROLES),
    StatusTable("states of tasks", ("rows.status",), TASK_STATES),
    StatusTable("types of tasks", ("task_type",), TASK_TYPES),
    StatusTable("states of robots", ("robots.status",), ROBOT_STATES),
    StatusTable("types of robots", ("robots.type",), ROBOT_KINDS),
    StatusTable("states of lines", ("lines.status",), LINE_STATES),
    StatusTable("types of nodes", ("node_type",), NODE_TYPES),
    StatusTable("error codes", ("code",), ERRORS),
)


def get_task_state(code: str, *, deleted: bool = False) -> PlatformTaskState:
    """Our word for a task's ``status``, ``UNKNOWN`` for a code the text does not have."""
    if deleted:
        return PlatformTaskState.DELETED
    return TASK_STATES.get(code, PlatformTaskState.UNKNOWN)
