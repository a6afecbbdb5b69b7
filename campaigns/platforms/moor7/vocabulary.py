"""In: the words and codes of 7moor. Out: ours. The only place that knows both.

From "事件推送接口" (platforms/7moor-event-push.txt), with the readings of platforms/decisions.md
where the text is open. The text writes 坐席 and 座席, 登陆 and 登录 for the same things.
"""

from __future__ import annotations

from dataclasses import dataclass

from campaigns.platforms.contract import StatusTable
from campaigns.platforms.events import AgentState, Direction, HangupBy, Result


@dataclass(frozen=True, slots=True)
class CallResult:
    """One word of 接听状态, 失败原因 or of a media failure: the vendor's ``text``, our word, and
    whether contact and agent (or somebody the call was handed to) spoke. None of these words says
    who hung up: that has a field of its own."""

    text: str
    result: Result
    answered: bool
    hangup_by: HangupBy | None = None


#: ``status`` of a call record (接听状态).
STATUSES: dict[str, CallResult] = {
    "IVR": CallResult("IVR节点 没有进技能组或座席接听", Result.ABANDONED, False),
    "QUEUE_ABANDON": CallResult("排队放弃、进入技能组 没有分配到座席", Result.ABANDONED, False),
    "ANSWER": CallResult("已接听", Result.ANSWERED, True),
    "AGENT_NO_ANSWER": CallResult("座席未接听", Result.NO_ANSWER, False),
    "CUSTOMER_NO_ANSWER": CallResult("外呼型用户未接听", Result.NO_ANSWER, False),
    "CALL_TRANSFER": CallResult("通话被转接", Result.TRANSFERRED, True),
}

#: ``failureReason``. It decides where ``status`` is empty. ``decline`` is glossed 被叫未接听, "the
#: called did not answer", and the gloss is believed over the English word. 服务不可用 is said of
#: the route to the number (SIP 503), so it is a failure of the line. ``unknow`` is spelled so.
FAILURES: dict[str, CallResult] = {
    "forbidden": CallResult("禁止呼叫", Result.CALL_RESTRICTED, False),
    "serviceUnavailable": CallResult("服务不可用", Result.LINE_FAILURE, False),
    "cancel": CallResult("请求中止", Result.CANCELLED, False),
    "requestTimeout": CallResult("呼叫超时", Result.TIMED_OUT, False),
    "unknow": CallResult("未识别", Result.UNKNOWN, False),
    "decline": CallResult("被叫未接听", Result.NO_ANSWER, False),
}

#: ``preMediaFailureReason``: what was heard before anybody answered. The text shows this one only.
MEDIA_FAILURES: dict[str, CallResult] = {
    "onThePhone": CallResult("正在通话", Result.BUSY, False),
}

RESULTS: dict[str, CallResult] = {**STATUSES, **FAILURES, **MEDIA_FAILURES}

#: ``hangUpSide``. The sample shows AGENT; CUSTOMER is the name of the other side in ``status``.
#: Any other word is an unknown side.
HANGUP_SIDES: dict[str, HangupBy] = {"AGENT": HangupBy.AGENT, "CUSTOMER": HangupBy.CONTACT}

#: ``callType`` (通话类型); a call record calls this "Cdr类型" and means the same.
DIRECTIONS: dict[str, Direction] = {
    "incoming": Direction.INBOUND,  # 呼入
    "dialout": Direction.OUTBOUND,  # 外呼
    "webcall": Direction.OUTBOUND,  # without a gloss in the text
    "previewDialout": Direction.OUTBOUND,  # 预览外呼
    "autoDialout": Direction.OUTBOUND,  # 自动外呼
}

#: ``callEvent`` → the column that its time is.
CALL_EVENTS: dict[str, str] = {
    "calling": "dialed_at",  # 呼叫
    "ring": "ringing_at",  # 振铃
    "link": "answered_at",  # 接通
    "hangup": "ended_at",  # 挂机
}

#: ``statusNumber`` (座席状态编号); from 100 on the states are the customer's own.
AGENT_STATES: dict[str, AgentState] = {
    "0": AgentState.IDLE,
    "1": AgentState.BUSY,
    "2": AgentState.DIALLING,
    "3": AgentState.RINGING,
    "4": AgentState.TALKING,
    "5": AgentState.WRAP_UP,
    "6": AgentState.HOLDING,
    "7": AgentState.MUTED,
    "8": AgentState.DISCONNECTED,
    "9": AgentState.INVALID,
}
FIRST_CUSTOM_STATE = 100
#: ``statusName`` of each state
AGENT_STATE_NAMES: dict[str, str] = {
    "0": "空闲",
    "1": "忙碌",
    "2": "呼叫中",
    "3": "振铃",
    "4": "通话中",
    "5": "整理",
    "6": "保持",
    "7": "静音",
    "8": "未连接",
    "9": "失效",
}
#: What comes later by its nature within one second; times have no finer resolution.
LOGIN_ORDER, LOGOUT_ORDER, OTHER_ORDER = 10, 90, 60
STATE_ORDERS: dict[AgentState, int] = {
    AgentState.DIALLING: 20,
    AgentState.RINGING: 30,
    AgentState.TALKING: 40,
    AgentState.HOLDING: 45,
    AgentState.MUTED: 45,
    AgentState.WRAP_UP: 50,
    AgentState.BUSY: 60,
    AgentState.CUSTOM: 60,
    AgentState.IDLE: 70,
    AgentState.DISCONNECTED: 80,
    AgentState.INVALID: 80,
}

#: ``pushType`` of log-in and log-out.
PRESENCES: dict[str, tuple[AgentState, bool]] = {
    "login": (AgentState.ONLINE, True),  # 登陆
    "logout": (AgentState.OFFLINE, False),  # 登出
}
PRESENCE_NAMES = {"login": "登陆", "logout": "登出"}

#: ``loginType``, ``offlineType``: on which telephone an agent is reached.
LOGIN_TYPES = {"PSTN": "手机", "WEBRTC": "软电话", "SIP": "sip号码"}
OFFLINE_TYPES = {"PSTN": "手机", "SIP": "sip号码"}
#: ``logoutType``. ``offline``: logged out of the phone bar, and still reached by telephone.
LOGOUT_TYPES = {"normal": "普通方式", "offline": "离线接听方式"}

#: ``recordType`` (录音文件类型)
RECORD_TYPES = {"normal": "普通", "doubleTrack": "双轨", "voiceMail": "留言"}

#: ``pushType``, where one came. The text has none for an inbound ring, an inbound hang-up and an
#: answer of the customer.
PUSH_TYPES: dict[str, str] = {
    "dialoutRing": "外呼振铃事件",
    "dialoutHangup": "外呼挂机事件",
    "callStatus": "坐席状态变化事件",
    "cdr": "通话记录推送事件",
    "mediaFailreason": "媒体识别挂机原因事件",
    "login": "电话条登陆状态事件",
    "logout": "电话条登陆状态事件",
}

VOCABULARY: tuple[StatusTable, ...] = (
    StatusTable("results of calls", ("status",), STATUSES),
    StatusTable("reasons of failure", ("failureReason",), FAILURES),
    StatusTable("media failures", ("preMediaFailureReason",), MEDIA_FAILURES),
    StatusTable("sides that hang up", ("hangUpSide",), HANGUP_SIDES),
    StatusTable("directions", ("callType",), DIRECTIONS),
    StatusTable("stages of a call", ("callEvent",), CALL_EVENTS),
    StatusTable("states of agents", ("statusNumber",), AGENT_STATES),
    StatusTable("ways to log in", ("loginType",), LOGIN_TYPES),
    StatusTable("ways to log out", ("logoutType",), LOGOUT_TYPES),
    StatusTable("telephones while offline", ("offlineType",), OFFLINE_TYPES),
    StatusTable("kinds of recordings", ("recordType",), RECORD_TYPES),
    StatusTable("kinds of pushes", ("pushType",), PUSH_TYPES),
)


def get_agent_state(number: str | None, name: str | None) -> AgentState:
    """Our word for an agent's state: by its number, else by its name."""
    if number is None:
        numbers = {text: key for key, text in AGENT_STATE_NAMES.items()}
        number = numbers.get(name or "", "")
    if number in AGENT_STATES:
        return AGENT_STATES[number]
    if number.isascii() and number.isdigit() and int(number[:20]) >= FIRST_CUSTOM_STATE:
        return AgentState.CUSTOM
    return AgentState.UNKNOWN
