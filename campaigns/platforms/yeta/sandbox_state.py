"""In: what was set up and asked for. Out: the apps, tasks and rows of the pretend yeta platform.

Times of tasks are milliseconds on the sandbox clock, as the platform's text has them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

NEW, STARTED, RUNNING, PAUSED, DONE, WAITING, CLOSED, EXPIRED = range(8)
ACTIVE = (STARTED, RUNNING, WAITING, CLOSED)

ORDINARY, POOL = 0, 2

DEMO_KEY, DEMO_SECRET = "sandbox-key", "sandbox-secret"

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d):([0-5]\d)")

Window = tuple[int, int]

VOICES = [
    {"voice_code": code, "voice_name": name}
    for code, name in (
        ("65580", "春春"),
        ("62140", "晓诗"),
        ("60020", "晓燕"),
        ("60030", "晓峰"),
        ("65660", "小陈"),
        ("60130", "楠楠"),
        ("65600", "晓医"),
    )
]


def read_window(text: str) -> Window | None:
    """`09:00:00-12:00:00` → first and last second of the day; None when it says nothing."""
    match = _WINDOW.fullmatch(text)
    if match is None:
        return None
    h1, m1, s1, h2, m2, s2 = map(int, match.groups())
    first, last = h1 * 3600 + m1 * 60 + s1, h2 * 3600 + m2 * 60 + s2
    return (first, last) if first < last else None


def second_of_day(moment: datetime) -> int:
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def is_within(windows: list[Window], second: int) -> bool:
    """No windows mean the whole day; the last second belongs to its window."""
    return not windows or any(first <= second <= last for first, last in windows)


@dataclass(slots=True)
class Line:
    num: str
    concurrents: int
    time_work: list[str]
    time_apply: int
    time_expire: int
    exclusive: bool = False
    windows: list[Window] = field(default_factory=list)
    busy: int = 0

    def __post_init__(self) -> None:
        self.windows = [w for w in map(read_window, self.time_work) if w]

    @property
    def free(self) -> bool:
        return self.busy < self.concurrents


@dataclass(slots=True)
class Robot:
    id: str
    name: str
    call_column: list[str]
    status: int
    type: int
    deleted: int
    time_create: int
    time_update: int

    @property
    def usable(self) -> bool:
        return self.status == 4 and not self.deleted


class App:
    """One application at the platform: its keys and what belongs to it."""

    def __init__(self, wish: Mapping[str, Any], *, now_ms: int) -> None:
        """Raises KeyError, TypeError or ValueError when the wish is not usable."""
        self.wish = dict(wish)
        self.key = str(wish["app_key"])
        self.secret = str(wish.get("app_secret", DEMO_SECRET))
        business = str(wish.get("business_id") or self.key)
        # Whatever a test asks for, no id of ours may look like a real one.
        self.business_id = business if business.startswith("sandbox") else f"sandbox-{business}"
        self.app_id = str(wish.get("app_id") or self.key)
        self.balance = float(wish.get("balance", 1000))
        self.urls = {str(k): str(v) for k, v in dict(wish.get("urls") or {}).items()}
        self.voices = [dict(voice) for voice in wish.get("voices") or VOICES]
        self.numbers: dict[str, Any] = dict(wish.get("numbers") or {})
        self.sensitive = {str(number) for number in wish.get("sensitive") or ()}
        self.unanswered = wish.get("unanswered", "zero")
        self.big_ids = bool(wish.get("big_ids", True))
        created = now_ms - 86_400_000
        self.lines = {
            line.num: line
            for line in (
                Line(
                    num=str(it["line_num"]),
                    concurrents=int(it.get("concurrents", 10)),
                    time_work=[str(w) for w in it.get("time_work", ["00:00:00-23:59:59"])],
                    time_apply=int(it.get("time_apply", created)),
                    time_expire=int(it.get("time_expire", -1)),
                    exclusive=bool(it.get("exclusive", False)),
                )
                for it in wish.get("lines") or demo_lines()
            )
        }
        self.robots = {
            robot.id: robot
            for robot in (
                Robot(
                    id=str(it["robot_id"]),
                    name=str(it.get("robot_name", "模拟话术")),
                    call_column=[str(c) for c in it.get("call_column", ["客户手机号码"])],
                    status=int(it.get("status", 4)),
                    type=int(it.get("type", 1)),
                    deleted=int(it.get("deleted", 0)),
                    time_create=int(it.get("time_create", created)),
                    time_update=int(it.get("time_update", created)),
                )
                for it in wish.get("robots") or demo_robots()
            )
        }


def demo_lines() -> list[dict[str, Any]]:
    return [
        {"line_num": "055160000001", "concurrents": 10},
        {"line_num": "055160000002", "concurrents": 3},
    ]


def demo_robots() -> list[dict[str, Any]]:
    return [
        {
            "robot_id": "719001",
            "robot_name": "模拟-客户回访",
            "call_column": ["客户手机号码", "姓名"],
        },
        {
            "robot_id": "719002",
            "robot_name": "模拟-续费提醒",
            "call_column": ["客户手机号码", "姓名", "产品", "到期日"],
            "type": 2,
        },
        {
            "robot_id": "719003",
            "robot_name": "模拟-通知",
            "call_column": ["客户手机号码"],
        },
        {
            "robot_id": "719004",
            "robot_name": "模拟-待发布",
            "call_column": ["客户手机号码", "姓名"],
            "status": 3,
        },
        {
            "robot_id": "719005",
            "robot_name": "模拟-已删除",
            "call_column": ["客户手机号码"],
            "deleted": 1,
        },
    ]


def demo_app() -> dict[str, Any]:
    """The application that every sandbox knows from the start."""
    return {
        "app_key": DEMO_KEY,
        "app_secret": DEMO_SECRET,
        "business_id": "sandbox-demo",
        "app_id": "sandbox-app",
    }


@dataclass(slots=True)
class Row:
    """One number to call. `round` is the attempt that comes next, 0 being the first."""

    id: int
    task_key: str
    index: int
    values: list[str]
    round: int = 0
    calling: bool = False
    done: bool = False

    @property
    def number(self) -> str:
        return self.values[0]

    def to_dict(self, head: list[str]) -> dict[str, Any]:
        return {
            "id": self.id,
            "task_key": self.task_key,
            "index": self.index,
            "values": self.values,
            "round": self.round,
            "calling": self.calling,
            "done": self.done,
            "head": head,
        }


@dataclass(slots=True)
class Task:
    """A task; a callout is a hidden one (`key` differs from `id`) of the app's pool."""

    key: str
    id: str
    app_key: str
    name: str
    lines: list[str]
    robot_id: str
    voice_code: str
    created_ms: int
    type: int = ORDINARY
    status: int = NEW
    deleted: bool = False
    time_begin: int = 0
    time_end: int = 0
    time_range: list[str] = field(default_factory=list)
    recall_count: int = 0
    recall_wait: int = 0
    turbo: bool = False
    started_ms: int = 0
    finished_ms: int = 0
    round: int = 0
    head: list[str] = field(default_factory=list)
    tels: int = 0
    processed: int = 0
    processed_tels: int = 0
    through: int = 0
    rows: list[Row] = field(default_factory=list)
    pending: deque[Row] = field(default_factory=deque)
    again: list[Row] = field(default_factory=list)
    calling: int = 0
    resume_ms: int = 0

    @property
    def windows(self) -> list[Window]:
        return [w for w in map(read_window, self.time_range) if w]

    @property
    def is_callout(self) -> bool:
        return self.key != self.id

    @property
    def is_pool(self) -> bool:
        return self.type == POOL and not self.is_callout

    def to_dict(self) -> dict[str, Any]:
        left_out = ("rows", "pending", "again", "calling")
        return {name: getattr(self, name) for name in self.__slots__ if name not in left_out}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Task:
        return cls(**told)

    def take_back(self, row: Row) -> None:
        """Put a row that came from the store where the dialler finds it."""
        self.rows.append(row)
        if row.calling:
            self.calling += 1
        elif not row.done:
            (self.pending if row.round <= self.round else self.again).append(row)


@dataclass(slots=True)
class Token:
    app_key: str
    dies_at: float
