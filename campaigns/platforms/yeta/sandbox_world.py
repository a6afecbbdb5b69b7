"""In: an engine. Out: everything the pretend yeta platform remembers, kept over a restart.

One lock guards it all: hold `lock` while reading more than one thing or changing anything.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from campaigns.platforms.sandbox_engine import Engine
from campaigns.platforms.sandbox_push import Push
from campaigns.platforms.yeta.sandbox_records import PUSHES_PER_ZIP, name_zips, pack_zip
from campaigns.platforms.yeta.sandbox_state import (
    POOL,
    RUNNING,
    App,
    Row,
    Task,
    Token,
    demo_app,
)

SIDE = "yeta"
# Added to every other row id where an app wants ids that a double cannot hold.
BIG_ID = 32_264_888_830_000_001
DAYS_LISTED = 7
CALLS_KEPT, FAILED_KEPT = 50_000, 100_000


class World:
    """Apps, tasks, rows, tokens and failed pushes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.lock = threading.RLock()
        self.apps: dict[str, App] = {}
        self.tasks: dict[str, Task] = {}
        self.tokens: dict[str, Token] = {}
        self.failed: list[dict[str, Any]] = []
        self.calls: dict[str, dict[str, Any]] = {}
        self.next_task = self.next_row = engine.first_id
        self.next_call = 0
        # The last row ids of the two latest replies, for the fault of overlapping ids.
        self.earlier_id = self.latest_id = 0
        self._clear()

    def _clear(self) -> None:
        self.apps.clear()
        self.tasks.clear()
        self.tokens.clear()
        self.failed.clear()
        self.calls.clear()
        # Not stored: the store may remember a changed one.
        demo = App(demo_app(), now_ms=self.engine.clock.now_ms())
        self.apps[demo.key] = demo

    def reset(self) -> None:
        """Forget everything, but give no id out twice."""
        with self.lock:
            self.engine.store.clear("app", "task", "row", "call", "push", "failed")
            self.save_numbers()
            self._clear()

    # Apps

    def put_app(self, wish: Mapping[str, Any]) -> App:
        """Create or replace an app; calls that are going on keep their lines busy."""
        with self.lock:
            app = App(wish, now_ms=self.engine.clock.now_ms())
            before = self.apps.get(app.key)
            for num, line in app.lines.items():
                if before is not None and num in before.lines:
                    line.busy = before.lines[num].busy
            self.apps[app.key] = app
            self.engine.store.put("app", app.key, app.wish)
            return app

    # Tasks and rows

    def add_task(self, task: Task) -> None:
        self.tasks[task.key] = task
        self.save_task(task)

    def save_task(self, task: Task) -> None:
        self.engine.store.put("task", task.key, task.to_dict())

    def forget_task(self, task: Task) -> None:
        """A callout that is through: its numbers live on in the pool's counters."""
        self.tasks.pop(task.key, None)
        self.engine.store.remove("task", task.key)
        for row in task.rows:
            self.engine.store.remove("row", str(row.id))

    def add_rows(self, task: Task, values: list[list[str]], *, big_ids: bool) -> list[Row]:
        added = []
        for cells in values:
            number = self.give_row_id(big=big_ids)
            row = Row(number, task.key, len(task.rows) + 1, cells)
            task.rows.append(row)
            task.pending.append(row)
            added.append(row)
        owners = [task, self.tasks[task.id]] if task.is_callout else [task]
        for owner in owners:
            owner.tels += len(added)
        self.engine.store.put_all(
            [
                *(("row", str(row.id), row.to_dict(task.head)) for row in added),
                *(("task", owner.key, owner.to_dict()) for owner in owners),
            ]
        )
        self.save_numbers()
        if added:
            self.earlier_id, self.latest_id = self.latest_id, added[-1].id
        return added

    def give_row_id(self, *, big: bool) -> int:
        self.next_row += 1
        return self.next_row + BIG_ID if big and self.next_row % 2 else self.next_row

    def give_task_id(self) -> str:
        self.next_task += 1
        self.save_numbers()
        return str(self.next_task)

    def give_call_number(self) -> int:
        self.next_call += 1
        return self.next_call

    def save_numbers(self) -> None:
        self.engine.store.put(
            "meta", "numbers", {"next_task": self.next_task, "next_row": self.next_row}
        )

    def find_pool(self, app: App) -> Task:
        """The app's long-lived task that callouts go to, made when it is first needed."""
        for task in self.tasks.values():
            if task.app_key == app.key and task.is_pool:
                return task
        number = self.give_task_id()
        now = self.engine.clock.now_ms()
        pool = Task(number, number, app.key, "直接外呼", [], "", "", now, POOL, RUNNING)
        pool.started_ms = now
        self.add_task(pool)
        return pool

    # Calls

    def add_call(self, call: dict[str, Any]) -> None:
        self.calls[call["call_uuid"]] = call
        while len(self.calls) > CALLS_KEPT:
            self.calls.pop(next(iter(self.calls)))
        self.engine.ledger.note_call(
            call,
            side=SIDE,
            call_id=call["call_uuid"],
            contact=call["task_data_id"],
            result=call["task_result"] or "inbound",
        )
        if call["direction"] == 2:
            self.engine.ledger.note_ring(call["callee"], row=call["task_data_id"])

    # Failed pushes

    def today(self) -> date:
        return self.engine.clock.local().date()

    def file_push(self, push: Push) -> None:
        with self.lock:
            failed = {
                "id": push.id,
                "app_key": push.app_key,
                "data": push.data,
                "module": push.module,
                "retryTimes": push.tries,
                "timestamp": push.created_ms,
                "day": self.today().isoformat(),
            }
            self.failed.append(failed)
            del self.failed[:-FAILED_KEPT]
            self.engine.store.put("failed", push.id, failed)

    def age_failed(self) -> None:
        """Let everything that failed have failed a day earlier."""
        with self.lock:
            for failed in self.failed:
                day = date.fromisoformat(failed["day"]) - timedelta(days=1)
                failed["day"] = day.isoformat()
            self.engine.store.put_all(("failed", f["id"], f) for f in self.failed)

    def list_zips(self, app: App, *, day: str | None) -> list[str]:
        """The files of the last seven days, without today, or of one of these days."""
        with self.lock:
            today = self.today()
            days = [(today - timedelta(days=n)).isoformat() for n in range(1, DAYS_LISTED + 1)]
            urls: list[str] = []
            for listed in days:
                if day is None or day == listed:
                    count = len(self._failed_on(app, listed))
                    urls += name_zips(app, day=listed, count=count)
            return urls

    def read_zip(self, path: str) -> bytes | None:
        with self.lock:
            for app in self.apps.values():
                if path not in self.list_zips(app, day=None):
                    continue
                day = path.split("/")[1]
                failed = self._failed_on(app, day)
                at = name_zips(app, day=day, count=len(failed)).index(path) * PUSHES_PER_ZIP
                return pack_zip(app, day=day, failed=failed[at : at + PUSHES_PER_ZIP])
        return None

    def _failed_on(self, app: App, day: str) -> list[dict[str, Any]]:
        return [f for f in self.failed if f["app_key"] == app.key and f["day"] == day]

    # After a restart

    def load(self) -> list[dict[str, Any]]:
        """Take everything back from the store and return the calls that had not ended."""
        store = self.engine.store
        with self.lock:
            for wish in store.load("app"):
                self.put_app(wish)
            for numbers in store.load("meta"):
                if "next_task" in numbers:
                    self.next_task, self.next_row = numbers["next_task"], numbers["next_row"]
            for told in store.load("task"):
                task = Task.from_dict(told)
                self.tasks[task.key] = task
            for told in store.load("row"):
                head = told.pop("head")
                row = Row(**told)
                if row.task_key in self.tasks:
                    self.tasks[row.task_key].head = head
                    self.tasks[row.task_key].take_back(row)
            self.failed = store.load("failed", last=FAILED_KEPT)
            store.trim("call", keep=CALLS_KEPT)
            unfinished = []
            for call in store.load("call"):
                self.next_call += 1
                self.add_call(call)
                if call["state"] != "ended":
                    unfinished.append(call)
            return unfinished
