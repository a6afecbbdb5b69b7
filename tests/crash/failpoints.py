"""In: a plan such as "die before the third commit of close_attempt". Out: the process dies there.

A failpoint is a moment around a commit, a job, or the bytes of a request. Nothing in the program
knows of them: what is wrapped here is Django's own commit, the queue's own moves and the transport.
``CALLBOARD_FAILPOINT`` says what to do:

- ``NAME`` or ``NAME:3``: die at that point, the first or third time it is passed;
- ``sweep=FILE``: die at every point that the file does not hold yet, and write it there first, so
  that processes started one after the other die at each point once;
- ``record=FILE``: die nowhere, write down which points are passed.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

VARIABLE = "CALLBOARD_FAILPOINT"
WRITES = ("INSERT", "UPDATE", "DELETE")
OURS = ("campaigns", "callbacks")
#: frames that say nothing of which step writes
DULL = frozenset(
    {
        *("campaigns.lifecycle", "campaigns.queue", "campaigns.locks", "campaigns.jobs"),
        *("campaigns.platforms.http", "campaigns.platforms.http_connections"),
        *("campaigns.apps", "campaigns.prepared"),
    }
)
_url: ContextVar[str] = ContextVar("url", default="")


class Plan:
    """What to do when a point is passed."""

    def __init__(self, text: str) -> None:
        self._lock = threading.Lock()
        self._passed: Counter[str] = Counter()
        kind, equals, path = text.partition("=")
        self._file = Path(path) if equals else None
        self._kind = kind if equals else "once"
        name, _, times = text.rpartition(":")
        self._name, self._times = (name, int(times)) if times.isdigit() else (text, 1)
        self._known = self._read()

    def _read(self) -> set[str]:
        if self._file is None or not self._file.exists():
            return set()
        return set(self._file.read_text().splitlines())

    def pass_point(self, name: str) -> None:
        with self._lock:
            self._passed[name] += 1
            if self._file is None:
                if name == self._name and self._passed[name] == self._times:
                    die()
                return
            if name in self._known:
                return
            # Another worker may have passed it meanwhile.
            self._known = self._read()
            if name in self._known:
                return
            self._known.add(name)
            # One write of one line: several workers append to the same file.
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, f"{name}\n".encode())
            os.close(descriptor)
            if self._kind == "sweep":
                die()


def die() -> None:
    """As a machine that loses its power: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def install(text: str) -> None:
    """Wrap commits, jobs and requests of this process."""
    plan = Plan(text)
    _wrap_commits(plan.pass_point)
    _wrap_jobs(plan.pass_point)
    _wrap_requests(plan.pass_point)


def name_step() -> str:
    """The innermost functions of the program on the stack, as ``module.function < caller``."""
    frame = sys._getframe(2)
    names: list[str] = []
    while frame is not None and len(names) < 2:
        module = str(frame.f_globals.get("__name__", ""))
        function = frame.f_code.co_name
        if module.partition(".")[0] in OURS and module not in DULL and function[0] != "<":
            name = f"{module.partition('.')[2]}.{function}"
            if name not in names:
                names.append(name)
        frame = frame.f_back  # type: ignore[assignment]
    return " < ".join(names)


def _wrap_commits(pass_point: Callable[[str], None]) -> None:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper

    from campaigns import prepared

    commit, execute = BaseDatabaseWrapper._commit, CursorWrapper.execute
    run = prepared.Runner.run

    @functools.wraps(commit)
    def commit_between_points(self: Any) -> Any:
        step = name_step()
        if not step:
            return commit(self)
        pass_point(f"before commit: {step}")
        told = commit(self)
        pass_point(f"after commit: {step}")
        return told

    @functools.wraps(execute)
    def execute_between_points(self: Any, sql: Any, params: Any = None) -> Any:
        alone = not self.db.in_atomic_block and str(sql).lstrip()[:6].upper() in WRITES
        step = name_step() if alone else ""
        if not step:
            return execute(self, sql, params)
        pass_point(f"before commit: {step}")
        told = execute(self, sql, params)
        pass_point(f"after commit: {step}")
        return told

    @functools.wraps(run)
    def run_between_points(self: Any, statement: str, values: Any) -> Any:
        step = name_step() if statement.lstrip()[:6].upper() in WRITES else ""
        if not step:
            return run(self, statement, values)
        pass_point(f"before commit: {step}")
        told = run(self, statement, values)
        pass_point(f"after commit: {step}")
        return told

    BaseDatabaseWrapper._commit = commit_between_points
    CursorWrapper.execute = execute_between_points
    prepared.Runner.run = run_between_points


def _wrap_jobs(pass_point: Callable[[str], None]) -> None:
    from procrastinate.manager import JobManager

    fetch, finish = JobManager.fetch_job, JobManager.finish_job

    @functools.wraps(fetch)
    async def fetch_then_pass(self: Any, *args: Any, **named: Any) -> Any:
        job = await fetch(self, *args, **named)
        if job is not None:
            pass_point(f"taken: {job.task_name.rpartition('.')[2]}")
        return job

    @functools.wraps(finish)
    async def pass_then_finish(self: Any, job: Any, *args: Any, **named: Any) -> Any:
        pass_point(f"before it is finished: {job.task_name.rpartition('.')[2]}")
        told = await finish(self, job, *args, **named)
        pass_point(f"after it is finished: {job.task_name.rpartition('.')[2]}")
        return told

    JobManager.fetch_job, JobManager.finish_job = fetch_then_pass, pass_then_finish


def _wrap_requests(pass_point: Callable[[str], None]) -> None:
    from campaigns.platforms.http import Transport
    from campaigns.platforms.http_connections import Observed
    from campaigns.platforms.http_probe import observed

    exchange, send = Transport._send, Observed.send

    @functools.wraps(exchange)
    def exchange_then_pass(self: Any, method: str, url: str, *args: Any, **named: Any) -> Any:
        path = "/".join(urlsplit(url).path.rstrip("/").split("/")[-2:])
        token = _url.set(path)
        try:
            pass_point(f"before the connection: {path}")
            reply = exchange(self, method, url, *args, **named)
            pass_point(f"after the reply: {path}")
            return reply
        finally:
            _url.reset(token)

    @functools.wraps(send)
    def send_between_points(self: Any, data: Any) -> None:
        first = not observed.get().written
        if first:
            pass_point(f"before the first byte: {_url.get()}")
        send(self, data)
        pass_point(f"{'after the head' if first else 'after the body'}: {_url.get()}")

    Transport._send = exchange_then_pass
    Observed.send = send_between_points
