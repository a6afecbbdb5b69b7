"""In: the bodies of the task calls of Part 1. Out: their results, or the platform's error code.

Checks come before deeds: a refused request has changed nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from campaigns.platforms.yeta.sandbox_dialer import Dialer
from campaigns.platforms.yeta.sandbox_replies import Body, Refused, read, read_list
from campaigns.platforms.yeta.sandbox_state import (
    ACTIVE,
    DONE,
    EXPIRED,
    NEW,
    PAUSED,
    POOL,
    STARTED,
    App,
    Robot,
    Task,
    is_within,
    read_window,
    second_of_day,
)
from campaigns.platforms.yeta.sandbox_world import World

Result = dict[str, Any]

ROWS_AT_ONCE = 50
PAGE_MOST, PAGE_USUAL = 50, 20
_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_SORTS: dict[str, Callable[[Task], Any]] = {
    "ID": lambda task: int(task.id),
    "NAME": lambda task: task.name,
    "CREATETIME": lambda task: task.created_ms,
    "STARTTIME": lambda task: task.started_ms,
    "ENDTIME": lambda task: task.finished_ms,
}


class TaskDesk:
    """The seven task calls; `act_on` runs one of them for an app."""

    def __init__(self, world: World, dialer: Dialer) -> None:
        self._world = world
        self._clock = world.engine.clock
        self._dialer = dialer
        self._calls: dict[str, Callable[..., Result]] = {
            "task/callout": self._callout,
            "task/create": self._create,
            "task/insert": self._insert,
            "task/start": self._start,
            "task/pause": self._pause,
            "task/delete": self._delete,
            "task/query": self._query,
        }

    def act_on(self, endpoint: str, app: App, body: Body, *, half: bool = False) -> Result:
        """`half` takes only the first half of the rows (a fault). Raises Refused."""
        with self._world.lock:
            if endpoint in ("task/callout", "task/insert"):
                return self._calls[endpoint](app, body, half=half)
            return self._calls[endpoint](app, body)

    # Adding

    def _callout(self, app: App, body: Body, *, half: bool) -> Result:
        robot = self._find_robot(app, read(body, "robot_id", str, needed=True))
        lines = self._find_lines(app, read(body, "line_num", str, needed=True))
        if len(lines) != 1:
            raise Refused(10005)
        head, values = self._read_rows(app, robot, body)
        voice = self._read_voice(app, body)
        self._check_speed(body)
        if app.balance <= 0:
            raise Refused(200209)
        second = second_of_day(self._clock.local())
        if not is_within(app.lines[lines[0]].windows, second):
            raise Refused(200222)
        pool = self._world.find_pool(app)
        key = f"{pool.id}#{self._world.next_row + 1}"
        now = self._clock.now_ms()
        task = Task(key, pool.id, app.key, pool.name, lines, robot.id, voice, now, POOL, STARTED)
        task.head = head
        self._world.add_task(task)
        rows = self._world.add_rows(task, _first(values, half), big_ids=app.big_ids)
        self._dialer.activate(task)
        return self._tell_ids([row.id for row in rows], len(values), app)

    def _create(self, app: App, body: Body) -> Result:
        name = read(body, "task_name", str, needed=True)
        if not name.strip() or len(name) > 200:
            raise Refused(10005)
        lines = self._find_lines(app, read(body, "line_num", str, needed=True))
        robot = self._find_robot(app, read(body, "robot_id", str, needed=True))
        voice = self._read_voice(app, body)
        count = read(body, "recall_count", int, default=0)
        wait = read(body, "time_recall_wait", int, default=0)
        begin = read(body, "time_begin", int, needed=True)
        end = read(body, "time_end", int, default=0)
        hours = read_list(body, "time_range", str)
        turbo = read(body, "trubo_mode", bool, default=False)
        if not 0 <= count <= 3 or wait < 0 or begin < 0 or end < 0 or (end and end <= begin):
            raise Refused(10005)
        if end and end <= self._clock.now_ms():
            raise Refused(200222)
        self._check_hours(app, lines, hours)
        number = self._world.give_task_id()
        task = Task(number, number, app.key, name, lines, robot.id, voice, self._clock.now_ms())
        task.recall_count, task.recall_wait = count, wait
        task.time_begin, task.time_end, task.time_range = begin, end, hours
        task.turbo = turbo
        self._world.add_task(task)
        return {"task_id": task.id}

    def _insert(self, app: App, body: Body, *, half: bool) -> Result:
        task = self._find_task(app, body)
        self._refuse_ended(task)
        if task.status != NEW:
            # The text forbids it and names no code: the relation of task and data is wrong.
            raise Refused(200200)
        robot = self._find_robot(app, task.robot_id)
        head, values = self._read_rows(app, robot, body)
        if task.rows and task.head != head:
            raise Refused(200212)
        task.head = head
        rows = self._world.add_rows(task, _first(values, half), big_ids=app.big_ids)
        return self._tell_ids([row.id for row in rows], len(values), app)

    def _tell_ids(self, ids: list[int], total: int, app: App) -> Result:
        # Rows that a fault left out get ids as well: the reply must look whole.
        missing = [self._world.give_row_id(big=app.big_ids) for _ in range(total - len(ids))]
        return {"total": total, "task_data_ids": ids + missing}

    # Driving

    def _start(self, app: App, body: Body) -> Result:
        task = self._find_task(app, body)
        self._refuse_ended(task)
        if task.status in ACTIVE:
            return {}
        self._find_robot(app, task.robot_id)
        if task.status == EXPIRED or (task.time_end and task.time_end <= self._clock.now_ms()):
            raise Refused(200222)
        if app.balance <= 0:
            raise Refused(200209)
        for num in task.lines:
            line = app.lines.get(num)
            if line and line.exclusive and self._dialer.is_line_taken(app.key, num, but=task):
                raise Refused(3030002)
        task.status = STARTED
        self._world.save_task(task)
        self._dialer.activate(task)
        return {}

    def _pause(self, app: App, body: Body) -> Result:
        task = self._find_task(app, body)
        self._refuse_ended(task)
        if task.status in (NEW, EXPIRED):
            raise Refused(200200)
        self._stop(task)
        return {}

    def _delete(self, app: App, body: Body) -> Result:
        task = self._find_task(app, body)
        if task.deleted:
            raise Refused(3010102)
        if task.status in ACTIVE:
            self._stop(task)
        task.deleted = True
        self._world.save_task(task)
        return {}

    def _stop(self, task: Task) -> None:
        self._dialer.deactivate(task)
        task.status = PAUSED
        self._world.save_task(task)

    # Asking

    def _query(self, app: App, body: Body) -> Result:
        number = read(body, "task_id", str)
        name = read(body, "task_name", str)
        begin = read(body, "time_begin", int)
        end = read(body, "time_end", int)
        statuses = read_list(body, "task_status_list", int)
        size = read(body, "page_size", int, default=PAGE_USUAL)
        page = read(body, "page_index", int, default=1)
        sort = read(body, "sort_name", str, default="ID")
        order = read(body, "sort_order", str, default="DESC")
        if not 1 <= size <= PAGE_MOST or page < 1:
            raise Refused(10005)
        if sort not in _SORTS or order not in ("ASC", "DESC"):
            raise Refused(10005)
        if any(not 0 <= status <= EXPIRED for status in statuses):
            raise Refused(10005)
        found = []
        for task in list(self._world.tasks.values()):
            if task.app_key != app.key or task.is_callout:
                continue
            self._dialer.settle(task)
            if (
                (number is None or task.id == number)
                and (not name or name in task.name)
                and (begin is None or task.created_ms >= begin)
                and (end is None or task.created_ms <= end)
                and (not statuses or task.status in statuses)
            ):
                found.append(task)
        found.sort(key=_SORTS[sort], reverse=order == "DESC")
        start = (page - 1) * size
        rows = [tell_task(app, task) for task in found[start : start + size]]
        return {"total_rows": len(found), "rows": rows}

    # Checks

    def _find_task(self, app: App, body: Body) -> Task:
        task = self._world.tasks.get(read(body, "task_id", str, needed=True))
        if task is None or task.app_key != app.key or task.is_callout:
            raise Refused(200202)
        if task.is_pool:
            raise Refused(200200)
        self._dialer.settle(task)
        return task

    def _refuse_ended(self, task: Task) -> None:
        if task.deleted:
            raise Refused(3010102)
        if task.status == DONE:
            raise Refused(3010101)

    def _find_robot(self, app: App, number: str) -> Robot:
        robot = app.robots.get(number)
        if robot is None or not robot.usable:
            raise Refused(200204)
        return robot

    def _find_lines(self, app: App, nums: str) -> list[str]:
        lines = [num.strip() for num in nums.split(";") if num.strip()]
        if not lines:
            raise Refused(10005)
        if any(num not in app.lines for num in lines):
            # No code of the appendix is about lines.
            raise Refused(200200)
        return lines

    def _read_voice(self, app: App, body: Body) -> str:
        code: str = read(body, "voice_code", str, default=app.voices[0]["voice_code"])
        if code not in {voice["voice_code"] for voice in app.voices}:
            raise Refused(200205)
        return code

    def _check_speed(self, body: Body) -> None:
        speed = body.get("robot_speed", 0)
        if type(speed) not in (int, float) or not -500 <= speed <= 500:
            raise Refused(200206)

    def _check_hours(self, app: App, lines: list[str], hours: list[str]) -> None:
        windows = [read_window(text) for text in hours]
        if None in windows:
            raise Refused(10005)
        if not windows:
            return
        for num in lines:
            work = app.lines[num].windows or [(0, 86_399)]
            for window in windows:
                if window and any(window[0] <= w[1] and w[0] <= window[1] for w in work):
                    return
        raise Refused(200222)

    def _read_rows(self, app: App, robot: Robot, body: Body) -> tuple[list[str], list[list[str]]]:
        head = read_list(body, "call_column", str, needed=True)
        values = read_list(body, "call_list", list, needed=True)
        if not head or not values:
            raise Refused(10005)
        if len(values) > ROWS_AT_ONCE:
            raise Refused(200213)
        if head[0] != robot.call_column[0] or sorted(head) != sorted(robot.call_column):
            raise Refused(200212)
        for cells in values:
            if any(type(cell) is not str for cell in cells):
                raise Refused(10005)
            if len(cells) != len(head):
                raise Refused(200212)
            if not _MOBILE.fullmatch(cells[0]) or cells[0] in app.sensitive:
                raise Refused(200203)
        return head, values


def tell_task(app: App, task: Task) -> Result:
    """A row of task/query. A pool has no plan, so it lacks the fields that tell of one."""
    rate = task.through / task.processed if task.processed else 0
    told: Result = {
        "task_id": task.id,
        "task_name": task.name,
        "status": task.status,
        "task_type": task.type,
        "deleted": int(task.deleted),
        "count_total_task": task.tels,
        "count_tel": task.tels,
        "process_count": task.processed,
        "process_tel_count": task.processed_tels,
        "process_through_count": task.through,
        "process_through_rate": round(rate, 4),
    }
    if task.started_ms:
        told["time_task_start"] = task.started_ms
    if task.type == POOL:
        return told
    if task.finished_ms:
        told["time_task_finish"] = task.finished_ms
    robot = app.robots.get(task.robot_id)
    return told | {
        "count_recalled": task.round,
        "time_task_estimate_begin": task.time_begin,
        "time_task_estimate_end": task.time_end,
        "line_num": ";".join(task.lines),
        "robot_id": task.robot_id,
        "robot_name": robot.name if robot else "",
        "voice_code": task.voice_code,
        "voice_speed": 1,
        "count_max_recall": task.recall_count,
        "status_recall": json.dumps([1] * task.recall_count, separators=(",", ":")),
        "time_recall_wait": task.recall_wait,
        "time_range": json.dumps(task.time_range, separators=(",", ":")),
        "intention_push": "[]",
    }


def _first(values: list[list[str]], half: bool) -> list[list[str]]:
    return values[: len(values) // 2] if half else values
