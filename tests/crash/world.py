"""In: a folder. Out: a database of its own, a pretend platform, a web server and workers in it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from config import local_postgres
from config.supervisor import die_with_parent
from tests.processes import ROOT, find_free_port, wait_for_answer

TEMPLATE = "crash_template"
#: short waits: what takes minutes at a platform takes seconds here
WAITS = {
    "HTTP_TIMEOUT_SECONDS": "1.5",
    "LEASE_SECONDS": "2",
    "SETTLE_SECONDS": "4",
    "POLL_SECONDS": "1",
}
#: seconds of a sender's lease, and of grace after lease and exchange before it is taken for dead
LEASE, GRACE = 2.0, 1.0
DEAD_AFTER = LEASE + 1.5 + GRACE


def replace_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextlib.contextmanager
def run_database(folder: Path) -> Iterator[str]:
    """A private server with the tables in a template; gives the address of its first database."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    server = local_postgres.ensure_running(folder)
    try:
        with psycopg.connect(server.url, autocommit=True) as session:
            known = session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE])
            if known.fetchone() is None:
                session.execute(f"CREATE DATABASE {TEMPLATE}")
        migrate(replace_database(server.url, TEMPLATE), folder)
        yield server.url
    finally:
        local_postgres.release(folder)


def migrate(url: str, folder: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": str(folder), "LOG_LEVEL": "ERROR"}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT, env=environment, check=True,
    )  # fmt: skip


def create_database(url: str, name: str, *, template: str = TEMPLATE) -> str:
    """A fresh copy of the template; gives its address. Whoever is in the template is sent away:
    a database that somebody is in cannot be copied."""
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        session.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
            [template],
        )
        session.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return replace_database(url, name)


def drop_database(url: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@dataclass
class Child:
    """A program of ours, with what it says in a file."""

    name: str
    command: list[str]
    environment: dict[str, str]
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        own = os.getpid()
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, *self.command], cwd=ROOT, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=lambda: die_with_parent(own, signal.SIGKILL),  # noqa: PLW1509
            )  # fmt: skip

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            self.kill()


class Workers:
    """Worker processes that are started anew when they die."""

    def __init__(self, world: World, count: int, **more: str) -> None:
        self._notes = [world.folder / f"worker-{place}.pid" for place in range(count)]
        environment = {**world.environment, **more}
        self.children = [
            Child(note.stem, ["-m", "tests.crash.worker", str(note)], environment, world.folder)
            for note in self._notes
        ]
        for child in self.children:
            child.start()

    def wait(self) -> None:
        ends = time.monotonic() + 60
        while not all(note.exists() for note in self._notes):
            assert time.monotonic() < ends, "The workers did not begin."
            assert not any(child.process and child.process.poll() for child in self.children), (
                "A worker could not begin: see its log."
            )
            time.sleep(0.05)

    def signal(self, place: int, number: signal.Signals) -> int:
        """Send it to the worker of this place; its process id, 0 when it is just being replaced."""
        try:
            pid = int(self._notes[place].read_text())
            if not _is_worker(pid):
                return 0
            os.kill(pid, number)
        except (OSError, ValueError):
            return 0
        return pid

    def stop(self) -> None:
        for child in self.children:
            child.kill()


def _is_worker(pid: int) -> bool:
    """Whether the process is still the one that we noted: numbers are given out again."""
    try:
        return b"tests.crash.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class World:
    """The processes of one run. ``environment`` is what each of them is given."""

    def __init__(self, folder: Path, url: str, *, seed: int, speed: float, more: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.folder = folder
        self.seed = seed
        self.port = find_free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment: dict[str, str] = {
            **os.environ,
            **WAITS,
            "DATABASE_URL": url,
            "DATA_DIR": str(folder),
            "PUBLIC_URL": self.address,
            "PORT": str(self.port),
            "PLATFORM_ALLOW_HOSTS": "127.0.0.1",
            "SECRET_KEY": "only-for-the-crash-bench",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "LOG_LEVEL": "ERROR",
            **more,
        }
        self._sandbox = Child(
            "sandbox",
            [
                *("manage.py", "sandbox", "--port", "0", "--speed", str(speed)),
                *("--call-scale", "0.2", "--seed", str(seed)),
            ],
            self.environment,
            folder,
        )
        server = ["-m", "granian", "--interface", "asginl", "--loop", "asyncio", "--workers", "1"]
        server += ["--host", "127.0.0.1", "--port", str(self.port), "--no-access-log"]
        server += ["config.asgi:application"]
        self.web = Child("web", server, self.environment, folder)
        self.workers: Workers | None = None
        self.platform = ""

    def start(self) -> None:
        self._sandbox.start()
        self.web.start()
        ends = time.monotonic() + 60
        while "base URL" not in (told := self._sandbox.log.read_text(errors="replace")):
            assert time.monotonic() < ends, f"The sandbox did not begin: {told}"
            time.sleep(0.05)
        self.platform = next(word for word in told.split() if word.startswith("http")).rstrip(",")
        assert self.web.process is not None
        wait_for_answer(f"{self.address}/healthz", self.web.process, seconds=60)

    def stop(self) -> None:
        if self.workers is not None:
            self.workers.stop()
        self.web.stop()
        self._sandbox.kill()

    def look(self, name: str) -> Any:
        """What the pretend platform says of itself."""
        with urllib.request.urlopen(f"{self.platform}/_sandbox/{name}", timeout=60) as reply:
            return json.loads(reply.read())

    def control(self, name: str, told: Any, *, method: str = "POST") -> Any:
        request = urllib.request.Request(
            f"{self.platform}/_sandbox/{name}", data=json.dumps(told).encode(), method=method
        )
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.loads(reply.read() or b"null")
