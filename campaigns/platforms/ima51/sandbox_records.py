"""In: one made-up call of the pretend 51ima. Out: its call record, as the platform would send it.

As the sample of the text does it, not as its table says: wrapped in `data`, the key
`expansionFields` twice when an agent wrote something, times in milliseconds, `iccRecordDate` in a
string, and now and then a time stamp as a duration and a score below all scores.
"""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass
from typing import Any

TENANT, SKILL_SET = "87462158132343186600590049", "01105165021937Jr"
HOTLINE = "33330002"
#: staffId is a Long: the last one is beyond what a double holds
AGENTS = (("1001", "坐席一"), ("1002", "坐席二"), ("9007199254740993", "坐席三"))
TASKS = ("36028797018963969", "36028797018963970")
PLACES = ("重庆-", "四川-成都", "江苏-南京", "北京-")
NETWORKS = ("中国联通", "中国移动", "中国电信")
SUMMARIES = ("业务咨询", "投诉建议", "回访登记", "缴费查询")
REMARKS = ("客户要求下午回电", "已告知客户办理流程", "客户反映未收到短信")
CHOICES = ("一般", "加急", "暂缓")
HANGUP_WORDS = {
    "0": "CONTACT_DROPPED_CALL",
    "1": "AGENT_DROPPED_CALL",
    "3": "TRANSFER_DROPPED_CALL",
}
#: how far the path through the menu comes when a call ends with these
PATHS = {"5": "开始>非服务时间", "8": "开始>播放语音"}
WHOLE_PATH = "开始>播放语音>转AI语音>转人工"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One call, decided. Seconds are those of the sandbox's clock, times milliseconds."""

    id: str
    icc_id: str
    outbound: bool
    number: str
    result: str
    hangup: str
    began_ms: int
    menu_seconds: int
    wait_seconds: int
    ring_seconds: int
    talk_seconds: int
    wrap_seconds: int
    agent: tuple[str, str] | None
    score: int
    task_id: str
    external_id: str
    external_data: str
    transfer_id: str
    fields: tuple[dict[str, Any], ...]
    doubled: bool
    wrapped: bool
    odd: bool
    missing: str  # how a time that is not there looks: absent · null · zero

    @property
    def answered_ms(self) -> int | None:
        before = self.menu_seconds + self.wait_seconds + self.ring_seconds
        return self.began_ms + before * 1000 if self.result == "2" else None

    @property
    def ended_ms(self) -> int:
        parts = (self.menu_seconds, self.wait_seconds, self.ring_seconds, self.talk_seconds)
        return self.began_ms + sum(parts) * 1000

    @property
    def told_ms(self) -> int:
        """When the record goes out: the agent has written down what there was."""
        return self.ended_ms + self.wrap_seconds * 1000


def make_ids(seed: str, number: int) -> tuple[str, str]:
    """`id` and `iccCallId` of a call."""
    space = uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox:{seed}")
    return str(uuid.uuid5(space, f"call {number}")), str(uuid.uuid5(space, f"icc {number}"))


def make_fields(chance: random.Random) -> tuple[dict[str, Any], ...]:
    """What an agent wrote down: a summary, a choice and a remark."""
    choice = chance.choice(CHOICES)
    options = [{"value": word, "selected": word == choice} for word in CHOICES]
    return (
        _make_field(121, 0, "通话小结", [{"id": "5ae13e04", "summary": chance.choice(SUMMARIES)}]),
        _make_field(153, 4, "紧急程度", choice, {"data": options, "fieldInnerType": 0}),
        _make_field(122, 1, "服务备注", chance.choice(REMARKS)),
    )


def _make_field(
    number: int, kind: int, name: str, value: Any, rules: dict[str, Any] | None = None
) -> dict[str, Any]:
    told = {"id": number, "type": kind, "name": name, "required": False}
    return {**told, "otherRules": rules or {}, "value": value}


def make_record(call: Planned, chance: random.Random) -> dict[str, Any]:
    """The record; `expansionFields` is what the last key of that name says."""
    ours, theirs = HOTLINE, call.number
    record: dict[str, Any] = {
        "acw": call.wrap_seconds,
        "agentLoginType": "",
        "callResult": int(call.result) if call.result.isdigit() else 0,
        "callType": 2 if call.outbound else 1,
        "calledNumber": theirs if call.outbound else ours,
        "callingNumber": ours if call.outbound else theirs,
        "communicateBeginTime": call.began_ms,
        "communicateDuration": call.talk_seconds,
        "communicateEndTime": call.ended_ms,
        "communicateSource": 2 if call.task_id else 3 if call.result == "8" else 1,
        "createTime": call.told_ms,
        "custIspName": chance.choice(NETWORKS),
        "custNumberAttribution": chance.choice(PLACES),
        "customerId": call.icc_id.replace("-", ""),
        "customerName": "",
        "digitUrl": "" if call.outbound else PATHS.get(call.result, WHOLE_PATH),
        "evaluationScore": -1 if call.odd else call.score,
        "expansionFields": _spell(list(call.fields)) if call.fields else "{}",
        "handupDirection": int(call.hangup),
        "hangUpDirectionType": HANGUP_WORDS.get(call.hangup, ""),
        "iccCallId": call.icc_id,
        "id": call.id,
        "noteStatus": int(bool(call.fields)),
        "parkingWaitDuration": call.ended_ms // 1000 - 1 if call.odd else call.ring_seconds,
        "queueWaitDuration": call.wait_seconds,
        "skillSetId": "" if call.outbound and call.agent is None else SKILL_SET,
        "speechCallResult": int(call.result),
        "tenantId": TENANT,
        "transferId": call.transfer_id or "0",
        "communicateVoiceId": call.id[::-1],
        "iccRecordDate": str(call.began_ms),
    }
    if call.agent:
        record |= {"staffId": int(call.agent[0]), "staffName": call.agent[1]}
    if call.answered_ms or call.missing != "absent":
        record["agentAnswerTime"] = call.answered_ms or (None if call.missing == "null" else 0)
    if call.task_id:
        record |= {"taskId": int(call.task_id), "externalCustomerId": call.external_id}
        record["externalData"] = call.external_data
    return record


def write_body(call: Planned, record: dict[str, Any]) -> bytes:
    """The bytes that go out; with the key twice where the platform writes it twice."""
    told = dict(record)
    fields = told.pop("expansionFields")
    values = ["{}", fields] if call.doubled else [fields]
    doubled = ",".join(f'"expansionFields":{_spell(value)}' for value in values)
    text = f"{_spell(told)[:-1]},{doubled}}}"
    return (f'{{"data":{text}}}' if call.wrapped else text).encode()


def _spell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
