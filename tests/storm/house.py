"""In: a folder. Out: web, workers and a database in it, and whoever kills them.

Everything that is killed is begun anew at once, as the supervisor of ``make run`` would do it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from config import local_postgres
from config.postgres_guard import find_postmaster, serves, wait_for
from tests.crash.world import Child, create_database, migrate, replace_database
from tests.processes import find_free_port, wait_for_answer

TEMPLATE = "storm_template"
#: short waits: what takes half a minute takes seconds here
LEASE = 2.0
#: seconds after which a stopped worker goes on: in time, and long after others took its receipts
STOPS = (0.5, LEASE + 1.0)


class House:
    """The processes of one run."""

    def __init__(self, folder: Path, *, mistake: str = "", workers: int = 2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.folder = folder
        self._place = folder / "postgres"
        self._place.mkdir(exist_ok=True)
        self._place.chmod(0o755)
        self._starting = threading.Lock()
        server = local_postgres.ensure_running(self._place)
        with psycopg.connect(server.url, autocommit=True) as session:
            known = session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE])
            if known.fetchone() is None:
                session.execute(f"CREATE DATABASE {TEMPLATE}")
        migrate(replace_database(server.url, TEMPLATE), folder)
        self.url = create_database(server.url, "storm", template=TEMPLATE)
        self.calm_url = create_database(server.url, "calm", template=TEMPLATE)
        self.port = find_free_port()
        self.environment: dict[str, str] = {
            **os.environ,
            "DATABASE_URL": self.url,
            "DATA_DIR": str(folder),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "SECRET_KEY": "only-for-the-kill-storm",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "LOG_LEVEL": "WARNING",
            "LEASE_SECONDS": str(LEASE),
            "STORM_MISTAKE": mistake,
        }
        names = ["web", *(f"worker-{place}" for place in range(workers))]
        self._children = {
            name: Child(
                name,
                ["-m", "tests.storm.process", name.partition("-")[0], str(self._note(name))],
                self.environment,
                folder,
            )
            for name in names
        }
        self.workers = names[1:]

    def start(self) -> None:
        for child in self._children.values():
            child.start()
        web = self._children["web"]
        assert web.process is not None
        wait_for_answer(f"http://127.0.0.1:{self.port}/healthz", web.process, seconds=120)

    def stop(self) -> None:
        for child in self._children.values():
            child.kill()
        local_postgres.stop(self._place, mode="immediate")
        local_postgres.release(self._place)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True, connect_timeout=2)

    def _note(self, name: str) -> Path:
        return self.folder / f"{name}.pid"

    def _find(self, name: str) -> int:
        """Its process, if it is one of ours and lives; numbers are given out again."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._note(name).read_text())
            if b"tests.storm.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return 0

    # ------------------------------------------------------------------------------ what is killed

    def signal(self, name: str, number: signal.Signals) -> bool:
        pid = self._find(name)
        if pid:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
                return True
        return False

    def kill_web(self) -> bool:
        """The server with all its processes: they end with their parent."""
        return self.signal("web", signal.SIGKILL)

    def kill_web_process(self, chance: Random) -> bool:
        """One of the server's processes; the others go on."""
        own = self._find("web")
        children = Path(f"/proc/{own}/task/{own}/children")
        with contextlib.suppress(OSError):
            pids = [int(one) for one in children.read_text().split()] if own else []
            if pids:
                os.kill(chance.choice(pids), signal.SIGKILL)
                return True
        return False

    def kill_server(self) -> bool:
        """The database's first process; all of it ends, nothing in its memory is written."""
        pid = find_postmaster(self._cluster)
        if not pid:
            return False
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        threading.Thread(target=self.start_server, args=(pid,)).start()
        return True

    def kill_session(self, chance: Random) -> bool:
        """One process of the database; it then throws away its memory and recovers."""
        with contextlib.suppress(OSError, psycopg.Error), self.connect() as session:
            found = session.execute(
                "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND (datname = 'storm' OR backend_type = 'walwriter') ORDER BY pid"
            ).fetchall()
            if found:
                os.kill(chance.choice(found)[0], signal.SIGKILL)
                return True
        return False

    def start_server(self, gone: int) -> None:
        """Until it runs: one that was just killed looks alive for a moment."""
        cluster = self._cluster
        with self._starting:
            wait_for(lambda: not serves(gone, cluster), seconds=10)
            for _ in range(100):
                with contextlib.suppress(local_postgres.LocalPostgresError, OSError):
                    local_postgres.ensure_running(self._place)
                    if find_postmaster(cluster):
                        return
                time.sleep(0.1)

    @property
    def _cluster(self) -> Path:
        return next(self._place.glob("postgres-*/PG_VERSION")).parent

    def is_up(self) -> bool:
        with contextlib.suppress(psycopg.Error), self.connect() as session:
            session.execute("SELECT 1")
            return True
        return False


class Killer:
    """Strikes whenever a further share of the pushes was taken, until all kills are done: so each
    of them comes while there is something to lose."""

    def __init__(self, house: House, *, kills: int, seed: int, total: int) -> None:
        self._house, self._chance = house, Random(f"killer {seed}")
        self._due = sorted(self._chance.uniform(0.02, 0.98) * total for _ in range(kills))
        self._asleep: dict[str, float] = {}
        self.kills: dict[str, int] = {}
        self.stops = 0

    @property
    def is_done(self) -> bool:
        return not self._due

    def strike(self, taken: int) -> None:
        """What is due when so many pushes were taken; at most one at a time."""
        self._wake_up()
        if not self._due or taken < self._due[0]:
            return
        kind = self._chance.choices(
            ["web", "web process", "worker", "database", "session", "everything", "stop"],
            [2, 2, 4, 2, 2, 1, 1],
        )[0]
        if kind == "stop":
            self._stop_one()
        elif self._kill(kind):
            self.kills[kind] = self.kills.get(kind, 0) + 1
            self._due.pop(0)

    def _kill(self, kind: str) -> bool:
        house, chance = self._house, self._chance
        if kind == "web":
            return house.kill_web()
        if kind == "web process":
            return house.kill_web_process(chance)
        if kind == "worker":
            return house.signal(chance.choice(house.workers), signal.SIGKILL)
        if kind == "session":
            return house.kill_session(chance)
        if kind == "everything":  # as if the machine had lost its power
            for name in ("web", *house.workers):
                house.signal(name, signal.SIGKILL)
        return house.kill_server()

    def _stop_one(self) -> None:
        name = self._chance.choice(self._house.workers)
        if name not in self._asleep and self._house.signal(name, signal.SIGSTOP):
            self._asleep[name] = time.monotonic() + self._chance.choice(STOPS)
            self.stops += 1

    def _wake_up(self) -> None:
        for name, until in list(self._asleep.items()):
            if time.monotonic() >= until:
                self._house.signal(name, signal.SIGCONT)
                del self._asleep[name]

    def end(self) -> None:
        for name in self._asleep:
            self._house.signal(name, signal.SIGCONT)
        self._asleep.clear()
