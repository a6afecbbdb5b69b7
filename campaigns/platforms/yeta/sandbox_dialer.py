"""In: tasks that may dial. Out: calls, one after the other on the lines, and their pushes.

A line carries as many calls at once as it has concurrents, for all tasks of its app together.
A task dials within its own hours and those of the line, in the platform's zone.
"""

from __future__ import annotations

import functools
import random
import uuid
from datetime import datetime, timedelta
from typing import Any

from campaigns.platforms.sandbox_audio import size_of
from campaigns.platforms.sandbox_chance import make_chance
from campaigns.platforms.sandbox_clock import SHANGHAI
from campaigns.platforms.sandbox_push import Push
from campaigns.platforms.yeta import sandbox_records as records
from campaigns.platforms.yeta.sandbox_outcomes import RECALLED, Outcome, decide
from campaigns.platforms.yeta.sandbox_script import Conversation, converse
from campaigns.platforms.yeta.sandbox_state import (
    ACTIVE,
    CLOSED,
    DONE,
    EXPIRED,
    RUNNING,
    STARTED,
    WAITING,
    App,
    Line,
    Row,
    Task,
    Window,
    is_within,
    second_of_day,
)
from campaigns.platforms.yeta.sandbox_world import SIDE, World

Call = dict[str, Any]


class Dialer:
    """Decides who is called when; all of it happens under the world's lock."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._engine = world.engine
        self._active: dict[str, dict[str, Task]] = {}
        self._wakes: set[tuple[str, int]] = set()
        self.calling = 0

    def reset(self) -> None:
        self._active.clear()
        self._wakes.clear()
        self.calling = 0

    def activate(self, task: Task) -> None:
        """Let a started task dial from now on."""
        self._active.setdefault(task.app_key, {})[task.key] = task
        if task.time_end:
            self._wake_at(task, task.time_end + 1)
        self.pump(task.app_key)

    def deactivate(self, task: Task) -> None:
        self._active.get(task.app_key, {}).pop(task.key, None)

    def is_line_taken(self, app_key: str, num: str, *, but: Task) -> bool:
        tasks = self._active.get(app_key, {}).values()
        return any(num in task.lines for task in tasks if task is not but)

    def pump(self, app_key: str) -> None:
        """Dial whatever can be dialled now, the tasks taking turns."""
        with self._world.lock:
            app = self._world.apps.get(app_key)
            if app is None:
                return
            active = self._active.setdefault(app_key, {})
            dialled = True
            while dialled and any(line.free for line in app.lines.values()):
                dialled = False
                for key, task in list(active.items()):
                    self.settle(task)
                    line = self._find_line(app, task) if task.pending else None
                    if line is None or task.status != RUNNING:
                        continue
                    self._dial(app, task, line, task.pending.popleft())
                    # To the end of the queue, so that no task waits behind a long one.
                    active[key] = active.pop(key)
                    dialled = True

    def settle(self, task: Task) -> None:
        """Bring a task's status up to the clock."""
        if task.status not in ACTIVE or task.deleted or task.is_pool:
            return
        before = task.status
        task.status = self._judge(task)
        if task.status != before:
            if task.status in (DONE, EXPIRED):
                task.finished_ms = self._engine.clock.now_ms()
                self.deactivate(task)
            self._world.save_task(task)
            if task.status == DONE and task.is_callout:
                self._world.forget_task(task)

    def _judge(self, task: Task) -> int:
        now = self._engine.clock.now_ms()
        if not task.pending and not task.calling and not task.again:
            return DONE
        if task.time_end and now > task.time_end:
            return EXPIRED
        if now < task.time_begin:
            self._wake_at(task, task.time_begin)
            return STARTED
        if not task.pending and not task.calling:
            if now < task.resume_ms:
                self._wake_at(task, task.resume_ms)
                return WAITING
            task.round += 1
            task.pending.extend(task.again)
            task.again.clear()
        app = self._world.apps[task.app_key]
        lines = [app.lines[num] for num in task.lines if num in app.lines]
        second = second_of_day(self._engine.clock.local())
        if any(_is_open(task.windows, line, second) for line in lines):
            return RUNNING
        self._wake_at(task, self._find_opening(task, lines))
        return CLOSED

    def _find_opening(self, task: Task, lines: list[Line]) -> int:
        """When, in ms, the task's hours and those of a line next meet."""
        local = self._engine.clock.local()
        now = second_of_day(local)
        starts = {0} | {first for first, _ in task.windows}
        starts |= {first for line in lines for first, _ in line.windows}
        ahead = [
            (start - now) % 86_400 or 86_400
            for start in starts
            if any(_is_open(task.windows, line, start) for line in lines)
        ]
        wait = timedelta(seconds=min(ahead, default=86_400))
        return int((local.replace(microsecond=0) + wait).timestamp() * 1000)

    def _find_line(self, app: App, task: Task) -> Line | None:
        second = second_of_day(self._engine.clock.local())
        for num in task.lines:
            line = app.lines.get(num)
            if line is not None and line.free and _is_open(task.windows, line, second):
                return line
        return None

    def _wake_at(self, task: Task, when_ms: int) -> None:
        mark = (task.key, when_ms)
        if mark in self._wakes:
            return
        self._wakes.add(mark)
        self._engine.scheduler.call_at(when_ms / 1000, functools.partial(self._wake, mark, task))

    def _wake(self, mark: tuple[str, int], task: Task) -> None:
        with self._world.lock:
            self._wakes.discard(mark)
            self.settle(task)
            self.pump(task.app_key)

    # One call

    def _dial(self, app: App, task: Task, line: Line, row: Row) -> None:
        row.calling = True
        task.calling += 1
        line.busy += 1
        self.calling += 1
        for counted in self._count_in(task):
            counted.processed += 1
            counted.processed_tels += row.round == 0
            counted.started_ms = counted.started_ms or self._engine.clock.now_ms()
        call = self._plan(app, task, line, row)
        self._world.add_call(call)
        self._save(call, task, row)
        self._await_end(call, task, row)

    def take_up(self, call: Call, task: Task, row: Row) -> None:
        """Go on with a call of before a restart; its row was stored as calling."""
        self.calling += 1
        line = self._world.apps[call["app_key"]].lines.get(call["line"])
        if line is not None:
            line.busy += 1
        self._await_end(call, task, row)

    def _save(self, call: Call, task: Task, row: Row, *pushes: Push) -> None:
        """Store call, row, counters and pushes at once: a restart finds all or none."""
        self._engine.store.put_all(
            [
                ("call", call["call_uuid"], call),
                ("row", str(row.id), row.to_dict(task.head)),
                *(("task", counted.key, counted.to_dict()) for counted in self._count_in(task)),
                *(("push", push.id, push.to_dict()) for push in pushes),
            ]
        )

    def _await_end(self, call: Call, task: Task, row: Row) -> None:
        end = functools.partial(self._end, call, task, row)
        self._engine.scheduler.call_at(call["time_hangup"] / 1000, end)

    def _plan(self, app: App, task: Task, line: Line, row: Row) -> Call:
        chance = make_chance(self._engine.seed, row.id, row.round)
        scale = self._engine.settings.call_scale
        outcome = decide(
            row.number, attempt=row.round, rules=app.numbers, chance=chance, scale=scale
        )
        robot = app.robots.get(task.robot_id)
        talk = Conversation()
        if outcome.answered:
            talk = converse(
                robot_name=robot.name if robot else "模拟话术",
                values=dict(zip(task.head, row.values, strict=False)),
                result=outcome.result,
                intention=outcome.intention,
                chance=chance,
            )
        dial = self._engine.clock.now_ms()
        call = make_call(talk, outcome, dial=dial, chance=chance, scale=scale)
        call |= {
            "app_key": app.key,
            "task_key": task.key,
            "task_id": task.id,
            "task_data_id": str(row.id),
            "call_relation_id": "",
            "direction": 2,
            "caller": line.num,
            "callee": row.number,
            "line": line.num,
            "robot_id": task.robot_id,
            "attempt": row.round,
            "row_index": row.index,
            "row_head": task.head,
            "row_value": row.values,
        }
        name_recording(call)
        return call

    def _end(self, call: Call, task: Task, row: Row) -> None:
        with self._world.lock:
            if self._world.tasks.get(task.key) is not task:
                return  # reset in the meantime
            app = self._world.apps[call["app_key"]]
            row.calling = False
            task.calling -= 1
            self.calling -= 1
            line = app.lines.get(call["line"])
            if line is not None:
                line.busy = max(0, line.busy - 1)
            call["state"] = "ended"
            if call["time_answer"]:
                for counted in self._count_in(task):
                    counted.through += 1
            if call["task_result"] in RECALLED and row.round < task.recall_count:
                row.round += 1
                task.again.append(row)
            else:
                row.done = True
            if task.again and not task.pending and not task.calling:
                task.resume_ms = self._engine.clock.now_ms() + task.recall_wait * 1000
            pushes = self.make_pushes(app, call)
            self._save(call, task, row, *pushes)
            self.settle(task)
            self.pump(task.app_key)
        for push in pushes:
            self._engine.send(push)

    def _count_in(self, task: Task) -> list[Task]:
        if not task.is_callout:
            return [task]
        return [task, self._world.tasks[task.id]]

    def make_pushes(self, app: App, call: Call) -> list[Push]:
        """What the platform's text says is pushed about a call that ended."""
        made: list[tuple[str, dict[str, Any]]] = [
            (records.RECORD, records.make_basic_record(app, call))
        ]
        if call["direction"] == 2:
            made.append((records.RECORD, records.make_outbound_record(app, call)))
            if make_chance(call["call_uuid"]).random() < 0.5:
                made.reverse()
        if call["recording"]:
            made.append((records.VOICE, records.make_voice(app, call)))
        if call["turns"] and call["with_dialog"]:
            made.append((records.DIALOG, records.make_dialog(app, call)))
        now = self._engine.clock.now_ms()
        return [
            Push(
                f"{call['call_uuid']}:{number}",
                SIDE,
                app.key,
                module,
                data,
                now,
                call=call["call_uuid"],
                contact=call["task_data_id"],
                labels={name: data.get(name) for name in ("call_uuid", "task_data_id")},
            )
            for number, (module, data) in enumerate(made)
            if module in app.urls
        ]


def _is_open(windows: list[Window], line: Line, second: int) -> bool:
    return is_within(windows, second) and is_within(line.windows, second)


def make_call(
    talk: Conversation, outcome: Outcome, *, dial: int, chance: random.Random, scale: float
) -> Call:
    """The times and the course of a call that is dialled at `dial` (ms)."""
    if outcome.talk_seconds is not None and talk.seconds:
        talk.scale(outcome.talk_seconds / talk.seconds)
    else:
        talk.scale(scale)
    ring = dial + int(chance.uniform(300, 1500) * scale)
    lifted = ring + int(outcome.ring_seconds * 1000)
    answer = lifted if outcome.answered else 0
    hangup = lifted + int(talk.seconds * 1000)
    number = uuid.UUID(int=chance.getrandbits(128), version=4)
    seconds = max(1, round(talk.seconds))
    recorded = outcome.answered and outcome.voice
    return {
        # The text shows dashed ids and others of 32 capitals and digits.
        "call_uuid": str(number) if chance.random() < 0.5 else number.hex.upper(),
        "state": "ringing",
        "time_dial": dial,
        "time_ring": ring,
        "time_answer": answer,
        "time_hangup": hangup,
        "duration_ring": round((lifted - dial) / 1000),
        "duration_call": round((hangup - answer) / 1000) if answer else 0,
        "task_result": outcome.result,
        "turns": [turn.to_dict() for turn in talk.turns],
        "tags": talk.tags,
        "with_dialog": outcome.dialog,
        "recording": {"size": size_of(seconds), "duration": seconds} if recorded else None,
    }


def name_recording(call: Call) -> None:
    """Give the recording its relative address, which tells of day, row and call."""
    if call["recording"] is None:
        return
    day = datetime.fromtimestamp(call["time_dial"] / 1000, SHANGHAI).strftime("%Y/%m/%d")
    owner = call["task_data_id"] or "0"
    call["recording"]["url"] = f"sandbox/ivr/0/{day}/0/{owner}-{call['call_uuid']}.wav"
