"""In: a robot's name and a row's variables. Out: a conversation, as the script graph goes.

Times of turns are seconds from the answer, at natural speed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TAGS = {
    "A": "意向强烈",
    "B": "有意向",
    "C": "需要跟进",
    "D": "意向一般",
    "E": "无意向",
    "F": "号码无效",
}
NAME_COLUMNS = ("姓名", "客户姓名", "名字", "name", "Name")
SIGN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    hit: str
    says: tuple[str, ...]
    leads_to: str
    tag: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    type: str
    text: str
    answers: tuple[Answer, ...] = ()
    leads_to: str = ""
    label: str = ""


NODES: dict[str, Node] = {
    "start": Node(
        "开头语",
        "NormalNode",
        "喂,您好!请问是{name}吗?我是{robot}的智能语音助手。",
        (
            Answer("肯定回答", ("是的,你说。", "嗯,我是。", "对,什么事?"), "reason", "", 6),
            Answer("任意回答", ("喂?哪位?", "你好。"), "again", "", 2),
            Answer("否定回答", ("不是,你打错了。", "我不是。"), "sorry", "F", 1),
        ),
        label="身份确认",
    ),
    "again": Node(
        "重复说明",
        "AnyNode",
        "您好,我是{robot}的智能语音助手,只占用您一分钟时间。",
        (Answer("任意回答", ("好,你说吧。", "嗯。"), "reason"),),
    ),
    "reason": Node(
        "来电说明",
        "NoNeedAnswerNode",
        "感谢您一直以来的支持,今天来电想和您做一个简短的沟通。",
        leads_to="check",
    ),
    "check": Node(
        "信息核对",
        "HookInfoNode",
        "我们登记的{column}是{value},请问对吗?",
        (
            Answer("肯定回答", ("对的。", "没错。"), "interest", "", 4),
            Answer("否定回答", ("不对。", "好像不是。"), "collect", "", 1),
        ),
        label="核对",
    ),
    "collect": Node(
        "信息采集",
        "CollectInputNode",
        "请您说一下正确的{column},好吗?",
        (Answer("采集成功", ("我记不太清了,回头查一下。", "应该是下个月吧。"), "interest"),),
        label="采集",
    ),
    "interest": Node(
        "意向询问",
        "NormalNode",
        "请问您近期有兴趣了解一下我们的新服务吗?",
        (
            Answer("感兴趣", ("可以啊,你介绍一下。", "有兴趣。"), "confirm", "A", 2),
            Answer("考虑", ("我考虑一下吧。", "先发资料给我看看。"), "confirm", "B", 2),
            Answer("没时间", ("我现在没空。", "在开会,晚点再说。"), "later", "C", 2),
            Answer("一般", ("随便吧。", "都可以。"), "bye", "D", 1),
            Answer("拒绝", ("不需要,谢谢。", "不用了。"), "bye", "E", 3),
        ),
        label="意向",
    ),
    "confirm": Node(
        "按键确认",
        "ConditionNode",
        "好的,确认请按1,需要人工服务请按2。",
        (Answer("按键1", ("1",), "thanks", "", 3), Answer("按键2", ("2",), "menu", "", 1)),
    ),
    "menu": Node(
        "人工导航",
        "KeyNavigationNode",
        "正在为您转接人工坐席,请稍候。",
        leads_to="thanks",
    ),
    "later": Node(
        "改约时间",
        "NormalNode",
        "那我晚些时候再联系您,您看明天下午方便吗?",
        (Answer("肯定回答", ("可以。", "行吧。"), "bye", "C"),),
    ),
    "thanks": Node("结束语", "EndNode", "好的,感谢您的接听,祝您生活愉快,再见。"),
    "sorry": Node("致歉结束语", "EndNode", "不好意思,打扰了,再见。"),
    "bye": Node("礼貌结束语", "EndNode", "好的,那就不打扰您了,再见。"),
}


@dataclass(slots=True)
class Turn:
    role: str
    node_id: str
    text: str
    at: float
    until: float
    answer: Answer | None = None
    asked: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "role": self.role,
            "node_id": self.node_id,
            "text": self.text,
            "at": round(self.at, 3),
            "until": round(self.until, 3),
            "asked": self.asked,
            "hit": self.answer.hit if self.answer else "",
            "tag": self.answer.tag if self.answer else "",
        }


@dataclass(slots=True)
class Conversation:
    turns: list[Turn] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def tags(self) -> list[str]:
        """Intentions in the order A to F."""
        return sorted({t.answer.tag for t in self.turns if t.answer and t.answer.tag})

    def scale(self, factor: float) -> None:
        self.seconds *= factor
        for turn in self.turns:
            turn.at *= factor
            turn.until *= factor


def converse(
    *,
    robot_name: str,
    values: Mapping[str, str],
    result: str,
    intention: str | None,
    chance: random.Random,
) -> Conversation:
    """Walk the script once. `result` is a task_result that means answered."""
    name = next((values[c] for c in NAME_COLUMNS if values.get(c)), "您本人")
    others = [(c, v) for c, v in list(values.items())[1:] if c not in NAME_COLUMNS and v]
    column, value = others[0] if others else ("", "")
    talk = Conversation()
    clock, node_id = 0.4, "start"
    while node_id:
        node = NODES[node_id]
        text = node.text.format(name=name, robot=robot_name, column=column, value=value)
        until = clock + SIGN_SECONDS * len(text)
        talk.turns.append(Turn("robot", node_id, text, clock, until))
        clock = until + 0.3
        leads_to = node.leads_to
        if node.answers:
            answer = _choose(node_id, result, intention, chance)
            says = chance.choice(answer.says)
            clock += chance.uniform(0.4, 1.2)
            until = clock + SIGN_SECONDS * len(says)
            talk.turns.append(Turn("customer", node_id, says, clock, until, answer, asked=text))
            clock = until + chance.uniform(0.2, 0.6)
            leads_to = answer.leads_to
        node_id = "interest" if leads_to == "check" and not others else leads_to
        if node_id == "thanks" and result == "19":
            break
    talk.seconds = clock
    _end_early(talk, result, chance)
    return talk


def _choose(node_id: str, result: str, intention: str | None, chance: random.Random) -> Answer:
    answers = NODES[node_id].answers
    if intention == "F":
        wished = [a for a in answers if a.tag == "F"]
    elif node_id == "interest" and (intention or result == "19"):
        wished = [a for a in answers if a.tag == (intention or "A")]
    elif node_id == "confirm" and result == "19":
        wished = [a for a in answers if a.leads_to == "menu"]
    elif intention or result == "19":
        wished = [a for a in answers if a.tag != "F"]
    else:
        wished = []
    drawn = wished or list(answers)
    return chance.choices(drawn, [a.weight for a in drawn])[0]


def _end_early(talk: Conversation, result: str, chance: random.Random) -> None:
    """The customer hangs up (15), is cut off (16), or the call is but short (18)."""
    if result not in ("15", "16", "18"):
        return
    most = {"15": max(2, len(talk.turns) - 2), "16": 3, "18": 2}[result]
    keep = min(len(talk.turns), chance.randint(2, most) if most > 2 else most)
    del talk.turns[keep:]
    last = talk.turns[-1]
    if result == "16" and last.role == "robot":
        last.until = last.at + (last.until - last.at) / 2
    talk.seconds = last.until + 0.3
