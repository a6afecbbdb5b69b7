"""In: the test database. Out: the program's own processes on it: a web server and workers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_environment(**more: str) -> dict[str, str]:
    """The environment of a child that works on this test's database."""
    known = connection.get_connection_params()
    host = quote(str(known.get("host", "")), safe="")
    port = f"&port={known['port']}" if known.get("port") else ""
    user, password = quote(str(known.get("user", ""))), quote(str(known.get("password", "")))
    url = f"postgres://{user}:{password}@/{known['dbname']}?host={host}{port}"
    return {**os.environ, "DATABASE_URL": url, "LOG_LEVEL": "WARNING", **more}


def hear_signals() -> None:
    """In a child, before its program: whoever runs the tests behind a shell, or with ``nohup``, may
    ignore what the child is to obey, and that is inherited."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def run_process(command: list[str], *, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """Start it, and end it with everything it started."""
    child = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, start_new_session=True
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def run_worker(**environment: str) -> contextlib.AbstractContextManager[subprocess.Popen]:
    return run_process(["manage.py", "worker"], environment=make_environment(**environment))


@contextlib.contextmanager
def run_server(port: int, *, workers: int = 1, **environment: str) -> Iterator[subprocess.Popen]:
    """The HTTP server of production on this port, when it answers."""
    command = ["-m", "granian", "--interface", "asginl", "--loop", "asyncio"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    command += ["--workers", str(workers)]
    address = f"http://127.0.0.1:{port}"
    with run_process(
        [*command, "config.asgi:application"],
        environment=make_environment(PORT=str(port), PUBLIC_URL=address, **environment),
    ) as child:
        wait_for_answer(f"{address}/healthz", child)
        yield child


@contextlib.contextmanager
def run_web(port: int, **environment: str) -> Iterator[str]:
    """The same; gives its address."""
    with run_server(port, **environment):
        yield f"http://127.0.0.1:{port}"


def wait_for_answer(url: str, child: subprocess.Popen, *, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while True:
        assert child.poll() is None, "The server ended by itself."
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as reply:
            if reply.status == 200:
                return
        assert time.monotonic() < ends, "The server did not answer in time."
        time.sleep(0.05)
