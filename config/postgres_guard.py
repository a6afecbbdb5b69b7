"""A cluster's folder goes in; out comes what runs in it, and whether it may go on running.

Also a program of its own, run as a file and without site-packages, so it imports nothing of ours:
the guard is the parent of a server and stops it when nobody holds the lease any more; the keeper
holds a lease for another process.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

NAME = "callboard"  # of the role and of the database
LONGEST_LOG = 10 * 2**20
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
PR_SET_PDEATHSIG = 1
HAS_PROC = Path("/proc/self/cwd").exists()


class _ServerEnded(Exception):
    """Raised in the guard when its child, the server, is no more."""


def wait_for(condition: Callable[[], object], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def read_pid_file(cluster: Path) -> list[str]:
    """Its lines: pid, folder, start, port, socket folder, address, shared memory, state."""
    try:
        lines = (cluster / "postmaster.pid").read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [line.strip() for line in lines]


def find_postmaster(cluster: Path) -> int | None:
    """The pid of the server of this cluster. The pid file alone proves nothing: pids come again."""
    lines = read_pid_file(cluster)
    pid = int(lines[0]) if lines and lines[0].isdigit() else 0
    return pid if pid and serves(pid, cluster) else None


def serves(pid: int, cluster: Path) -> bool:
    """Whether the process is a postgres at work in this folder."""
    if not HAS_PROC:
        done = subprocess.run(
            ["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return "postgres" in done.stdout and not done.stdout.startswith("(")
    try:
        program = Path(os.readlink(f"/proc/{pid}/exe")).name
        here = os.path.samestat(os.stat(f"/proc/{pid}/cwd"), cluster.stat())
    except OSError:
        return False
    return here and program.startswith(("postgres", "postmaster"))


def is_ready(cluster: Path) -> bool:
    lines = read_pid_file(cluster)
    return len(lines) >= 8 and lines[7] == "ready"


def stop_server(cluster: Path, *, mode: str = "fast") -> bool:
    """Signals as pg_ctl sends them; harder ones if the server does not obey."""
    pid = find_postmaster(cluster)
    if pid is None:
        return False
    lines = read_pid_file(cluster)
    for number, patience in (
        (STOP_SIGNALS[mode], 40.0),
        (signal.SIGQUIT, 10.0),
        (signal.SIGKILL, 5.0),
    ):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if wait_for(lambda: not serves(pid, cluster), seconds=patience):
            break
    if len(lines) >= 5 and lines[4]:
        with suppress(OSError):
            os.rmdir(lines[4])
    return True


def _list_processes(cluster: Path) -> list[int]:
    if not HAS_PROC:
        return []
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if serves(pid, cluster)]


def clear_traces(cluster: Path) -> None:
    """After a server that was killed: what would hinder the next one. Call with the lock held."""
    lines = read_pid_file(cluster)
    if not lines:
        return
    # Backends outlive a killed server while they are busy, and the next one waits for them.
    for number in (signal.SIGQUIT, signal.SIGKILL):
        orphans = _list_processes(cluster)
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait_for(lambda: not _list_processes(cluster), seconds=1):
            break
    # PostgreSQL itself removes the file unless a process of the same user has that pid by now.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def shorten_log(fd: int, path: Path) -> None:
    """Keep one older file. Copied, not renamed: the server goes on writing to its descriptor."""
    if os.fstat(fd).st_size > LONGEST_LOG:
        with suppress(OSError):
            shutil.copyfile(path, path.with_suffix(".log.1"))
            path.with_suffix(".log.1").chmod(0o600)
        os.ftruncate(fd, 0)


def spawn(
    role: str,
    work: dict[str, Any],
    *,
    fds: Sequence[int],
    environment: Mapping[str, str],
    log: int | None = None,
) -> None:
    """Start this file as a process of nobody, in a session of its own."""
    out = subprocess.DEVNULL if log is None else log
    subprocess.run(
        [
            sys.executable or "python3",
            "-I",
            "-S",
            os.path.abspath(__file__),
            role,
            json.dumps(work | {"fds": list(fds)}),
        ],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        cwd="/",
        env=environment,
        pass_fds=fds,
        start_new_session=True,
        check=True,
    )


def _detach() -> None:
    """Leave the parent at once, so that it neither waits for us nor has to bury us."""
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def guard(work: dict[str, Any]) -> None:
    """Be the server's parent, and stop it when nobody holds a lease any more."""
    _detach()
    cluster = Path(work["cluster"])
    lease_fd = os.open(work["lease"], os.O_RDWR)
    try:
        signal.signal(signal.SIGCHLD, _raise_server_ended)
        own_pid = os.getpid()
        if os.fork() == 0:
            _become_server(work, guard_pid=own_pid)
        for fd in set(work["fds"]) - {work["alive"]}:
            os.close(fd)
        _hold_programs(Path(work["command"][0]))
        signal.signal(signal.SIGALRM, lambda *_: shorten_log(1, Path(work["log"])))
        signal.setitimer(signal.ITIMER_REAL, 300, 300)
        fcntl.flock(lease_fd, fcntl.LOCK_EX)
        # Nobody uses it, and whoever comes now waits for the lease until it is stopped.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        stop_server(cluster)
    except _ServerEnded:
        os.waitpid(-1, 0)


def _raise_server_ended(*_: object) -> NoReturn:
    raise _ServerEnded


def _hold_programs(postgres: Path) -> None:
    """systemd-tmpfiles leaves locked folders alone; a copy in /var/tmp is old after 30 days."""
    for folder in postgres.parents:
        if folder.name.startswith(f"{NAME}-postgres-"):
            with suppress(OSError):
                fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)


def _become_server(work: dict[str, Any], *, guard_pid: int) -> NoReturn:
    try:
        # Before the change of user, who may not be able to read the Python that this runs on.
        prctl = _load_prctl()
        os.close(work["alive"])
        os.setsid()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if work["ids"]:
            os.setgroups([])
            os.setgid(work["ids"][1])
            os.setuid(work["ids"][0])
        # After the change of user, which clears it. SIGINT is PostgreSQL's fast shutdown.
        prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        os.umask(0o077)
        if os.getppid() == guard_pid:
            os.execv(work["command"][0], work["command"])  # noqa: S606
    finally:
        os._exit(1)


def _load_prctl() -> Callable[..., object]:
    """Linux only: elsewhere the last command out stops the server if its guard was killed."""
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):
            import ctypes  # noqa: PLC0415 - some Pythons are built without it

            prctl: Callable[..., object] = ctypes.CDLL(None).prctl
            return prctl
    return lambda *_: None


def keep(work: dict[str, Any]) -> None:
    """Hold the inherited lease while all of the given processes live."""
    _detach()
    pids: list[int] = work["pids"]
    if hasattr(os, "pidfd_open"):
        poll = select.poll()
        with suppress(ProcessLookupError):
            for pid in pids:
                poll.register(os.pidfd_open(pid), select.POLLIN)
            poll.poll()
        return
    while all(_is_alive(pid) for pid in pids):
        time.sleep(0.5)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    {"guard": guard, "keep": keep}[sys.argv[1]](json.loads(sys.argv[2]))
