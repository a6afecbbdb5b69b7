"""In: programs to run. Out: all of them running, whatever dies, until a signal says stop.

A program that ends is started again after a pause that grows (1, 2, 4 … 30 s) and is forgotten
after a minute of health. SIGINT, SIGTERM and SIGHUP stop everything in the order opposite to need:
what was added last is stopped first; a second signal stops at once. Each program runs in a session
of its own, so that Ctrl-C reaches the supervisor alone, and is told to end when the supervisor
dies.

Only the standard library, one thread: children are read, reaped and started in one loop.
"""

from __future__ import annotations

import ctypes
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Protocol

FIRST_PAUSE, LONGEST_PAUSE, HEALTHY_AFTER = 1.0, 30.0, 60.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST_LINE = 64_000
TICK = 0.5
OWN_NAME = "callboard"


class Stopping(Exception):
    """A signal asked to stop, or whoever started the supervisor is gone."""


class Service(Protocol):
    """Something that is kept alive: a program, or a server that somebody else's code starts."""

    name: str

    def start(self) -> None:
        """Raises OSError, RuntimeError when it cannot be started now."""

    def tell_end(self) -> str:
        """Why it runs no more, "" while it does."""

    def stop(self, *, at_once: bool) -> None:
        """Ask it to end. Called again with ``at_once`` when it did not in time."""


class Log:
    """Lines for the terminal. A reader that does not read holds up nobody: lines are dropped."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=10_000)
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def say(self, name: str, text: str) -> None:
        self.print(f"{name:<9} | {text}")

    def print(self, text: str) -> None:
        with suppress(queue.Full):
            self._lines.put_nowait(text)

    def close(self) -> None:
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(timeout=2)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with suppress(OSError, ValueError):
                self._out.write(line + "\n")
                self._out.flush()


@dataclass
class Program:
    """A command line that is kept running. ``patience``: seconds it has to end by itself."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    patience: float = 10.0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        own_pid = os.getpid()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(self.environment) if self.environment is not None else None,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(own_pid),  # noqa: PLW1509
        )

    def tell_end(self) -> str:
        if self.process is None:
            return "was not started"
        code = self.process.poll()
        if code is None:
            return ""
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with code {code}"

    def stop(self, *, at_once: bool) -> None:
        if self.process is None:
            return
        if at_once:
            self.kill_all()
        elif self.process.poll() is None:
            self.process.terminate()

    def kill_all(self) -> None:
        """Also what it left behind: workers of a server that was killed still hold its port."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent_pid: int, number: int = signal.SIGTERM) -> None:
    """Called in a new child: the kernel sends it the signal when its parent is gone. Linux only."""
    if _libc is not None:
        _libc.prctl(1, int(number), 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)


@dataclass
class _Kept:
    service: Service
    again: bool = True  # start again when it ends
    pause: float = FIRST_PAUSE
    started_at: float = 0.0
    start_at: float | None = None  # waiting to be started again
    pending: bytes = b""  # output without its end of line yet
    done: str = ""  # why it ended, of one that is not started again


class Supervisor:
    """Keeps services alive; ``run`` ends by ``Stopping``, ``stop`` ends them all."""

    def __init__(self, *, log: Log, follow_parent: bool = False) -> None:
        self.log = log
        self._kept: list[_Kept] = []
        self._selector = selectors.DefaultSelector()
        self._asked: list[int] = []
        self._parent = Parent() if follow_parent else None
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        self._selector.register(self._reader, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            # `nohup` means it: a closed terminal does not stop what was started with it.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked.append(number)

    # -------------------------------------------------------------------------------- starting

    def add(self, service: Service, *, again: bool = True) -> None:
        """Start it now, and again whenever it ends (or once only)."""
        kept = _Kept(service, again=again)
        self._kept.append(kept)
        self._start(kept)

    def _start(self, kept: _Kept) -> None:
        kept.start_at = None
        kept.started_at = time.monotonic()
        try:
            kept.service.start()
        except (OSError, RuntimeError) as error:
            self._plan_restart(kept, f"could not be started: {error}")
            return
        process = getattr(kept.service, "process", None)
        if process is not None and process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, kept)

    def _plan_restart(self, kept: _Kept, why: str) -> None:
        if not kept.again:
            kept.done = why
            return
        if time.monotonic() - kept.started_at >= HEALTHY_AFTER:
            kept.pause = FIRST_PAUSE
        self.log.say(OWN_NAME, f"{kept.service.name} {why}; started again in {kept.pause:g} s")
        kept.start_at = time.monotonic() + kept.pause
        kept.pause = min(kept.pause * 2, LONGEST_PAUSE)

    # -------------------------------------------------------------------------------- the loop

    def run(self, until: Callable[[], bool] = lambda: False, *, seconds: float = 1e9) -> bool:
        """Keep everything running until the condition holds (True) or the time is over (False).

        Raises ``Stopping`` as soon as it is asked to stop.
        """
        deadline = time.monotonic() + seconds
        while True:
            if until():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._turn(min(TICK if seconds > 1e8 else 0.05, left))
            if self._asked:
                raise Stopping
            if self._parent is not None and self._parent.has_gone():
                self._asked.append(signal.SIGTERM)
                raise Stopping

    def run_once(self, program: Program) -> str:
        """Run one program to its end, its output in the log; "" when it went well, else why not."""
        self.add(program, again=False)
        kept = self._kept[-1]
        self.run(lambda: bool(kept.done))
        self._kept.remove(kept)
        return "" if kept.done == "ended with code 0" else kept.done

    def _turn(self, seconds: float) -> None:
        """Read what there is to read, notice what ended, start what is due."""
        now = time.monotonic()
        due = [kept.start_at - now for kept in self._kept if kept.start_at is not None]
        for key, _ in self._selector.select(max(0.0, min([seconds, *due]))):
            if key.data is None:
                with suppress(BlockingIOError):
                    os.read(self._reader, 4096)
            else:
                self._read(key.data, key.fd)
        for kept in self._kept:
            if kept.start_at is None and not kept.done:
                why = kept.service.tell_end()
                if why:
                    self._bury(kept)
                    self._plan_restart(kept, why)
            elif kept.start_at is not None and kept.start_at <= time.monotonic():
                self._start(kept)

    def _read(self, kept: _Kept, descriptor: int) -> None:
        try:
            data = os.read(descriptor, 65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._forget_output(kept)
            return
        *lines, kept.pending = (kept.pending + data).split(b"\n")
        if len(kept.pending) > LONGEST_LINE:
            lines, kept.pending = [*lines, kept.pending], b""
        for line in lines:
            self.log.say(kept.service.name, line.decode(errors="replace").rstrip())

    def _forget_output(self, kept: _Kept) -> None:
        if kept.pending:
            self.log.say(kept.service.name, kept.pending.decode(errors="replace"))
            kept.pending = b""
        process = getattr(kept.service, "process", None)
        if process is not None and process.stdout is not None and not process.stdout.closed:
            with suppress(KeyError, ValueError):
                self._selector.unregister(process.stdout)
            process.stdout.close()

    def _bury(self, kept: _Kept) -> None:
        """After its end: its last words, and an end to what it left behind."""
        process = getattr(kept.service, "process", None)
        if process is not None and process.stdout is not None and not process.stdout.closed:
            for _ in range(16):
                self._read(kept, process.stdout.fileno())
                if process.stdout.closed:
                    break
        if isinstance(kept.service, Program):
            kept.service.kill_all()
        self._forget_output(kept)

    # -------------------------------------------------------------------------------- stopping

    def stop(self) -> None:
        """End everything, what was added last first. A signal meanwhile ends the waiting."""
        asked = len(self._asked)
        for kept in reversed(self._kept):
            service = kept.service
            if kept.start_at is None and not service.tell_end():
                self.log.say(OWN_NAME, f"stopping {service.name}")
                service.stop(at_once=False)
                deadline = time.monotonic() + getattr(service, "patience", 60.0)
                while not service.tell_end() and time.monotonic() < deadline:
                    if len(self._asked) > asked:
                        deadline = 0.0
                    self._pass_output(0.05)
                if not service.tell_end():
                    self.log.say(OWN_NAME, f"{service.name} did not end and is killed")
                    service.stop(at_once=True)
                    self._wait_for_end(service)
            self._bury(kept)
        self._kept.clear()

    def _wait_for_end(self, service: Service) -> None:
        deadline = time.monotonic() + 5
        while not service.tell_end() and time.monotonic() < deadline:
            self._pass_output(0.02)

    def _pass_output(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                with suppress(BlockingIOError):
                    os.read(self._reader, 4096)
            else:
                self._read(key.data, key.fd)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        for end in (self._reader, self._writer):
            os.close(end)
        self._selector.close()


class Parent:
    """Whoever started the supervisor (``make``), to stop with it.

    ``make`` that is asked to stop by SIGINT tells its children nothing and waits for them for ever;
    but it takes its own handler away, which Linux shows.
    """

    def __init__(self) -> None:
        self.pid = os.getppid()
        self._caught = self._catches_interrupt()

    def has_gone(self) -> bool:
        if os.getppid() != self.pid:
            return True
        return self._caught and not self._catches_interrupt()

    def _catches_interrupt(self) -> bool:
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return False
        name = text.partition("\n")[0].removeprefix("Name:").strip()
        caught = next((line for line in text.splitlines() if line.startswith("SigCgt:")), "")
        if not name.endswith("make") or not caught:
            return False
        return bool(int(caught.partition(":")[2], 16) >> (signal.SIGINT - 1) & 1)
