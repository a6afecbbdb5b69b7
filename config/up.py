"""In: the environment. Out: Callboard running, its address and log-in printed, until it is stopped.

``python -m config.up``. Started in this order and stopped in the other: private database (unless
DATABASE_URL names one), sandbox (unless DEMO=0), worker, web. What hinders it from the start is
told in one sentence and exit code 1.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import environ

from config import local_postgres, warm
from config.postgres_cluster import explained
from config.supervisor import OWN_NAME, Log, Program, Stopping, Supervisor

BASE_DIR = Path(__file__).resolve().parent.parent
#: below this the database would soon stop with a full disk
ROOM_NEEDED = 50 * 2**20
READY_SECONDS = 120.0


class Refusal(Exception):
    """Callboard cannot be started; the text is one sentence that says what to do."""


@dataclass(frozen=True)
class Plan:
    """What the environment asks for."""

    data_dir: Path
    host: str
    port: int
    sandbox_port: int
    demo: bool
    demo_platforms: str
    own_database: bool
    public_url: str

    @property
    def local_url(self) -> str:
        return f"http://{reachable_host(self.host)}:{self.port}"

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_port}"


def reachable_host(host: str) -> str:
    """The name under which a browser on this machine gets there."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def read_plan(env: Mapping[str, str]) -> Plan:
    host, port = env.get("HOST") or "127.0.0.1", read_port(env, "PORT", 8000)
    demo = (env.get("DEMO") or "1").strip().lower() not in ("0", "false", "no", "off")
    sandbox_port = read_port(env, "SANDBOX_PORT", 8900)
    if demo and port == sandbox_port:
        raise Refusal(f"PORT and SANDBOX_PORT are both {port}: set one of them to another number.")
    return Plan(
        data_dir=Path(env.get("DATA_DIR") or BASE_DIR / "var").absolute(),
        host=host,
        port=port,
        sandbox_port=sandbox_port,
        demo=demo,
        demo_platforms=env.get("DEMO_PLATFORMS", "").strip(),
        own_database=not env.get("DATABASE_URL", "").strip(),
        public_url=(env.get("PUBLIC_URL") or f"http://{reachable_host(host)}:{port}").rstrip("/"),
    )


def read_port(env: Mapping[str, str], name: str, default: int) -> int:
    text = (env.get(name) or str(default)).strip()
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        raise Refusal(f"{name} must be a number from 1 to 65535, not “{text[:20]}”.")
    return int(text)


def check_folder(data_dir: Path) -> None:
    """Whether it can be written to and has room. The sentences are those of the database."""
    try:
        with explained(data_dir):
            data_dir.mkdir(parents=True, exist_ok=True)
            (data_dir / "static").mkdir(exist_ok=True)  # WhiteNoise asks for it
            probe = data_dir / f".probe-{os.getpid()}"
            try:
                with probe.open("wb") as file:
                    file.write(secrets.token_bytes(65_536))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                probe.unlink(missing_ok=True)
            room = os.statvfs(data_dir)
            if room.f_bavail * room.f_frsize < ROOM_NEEDED:
                raise OSError(errno.ENOSPC, "too little room")
    except local_postgres.LocalPostgresError as error:
        raise Refusal(str(error)) from None


def hold_folder(data_dir: Path) -> int:
    """One Callboard per data folder. The lock ends with this process, however it ends."""
    descriptor = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Refusal(
            f"Callboard already runs in {data_dir}: stop it first, or set DATA_DIR and PORT to "
            "run a second one."
        ) from None
    return descriptor


def check_port(host: str, port: int, *, name: str) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise Refusal(f"HOST “{host}” is no address of this machine: change it.") from None
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Refusal(
                    f"Port {port} is taken by another program: stop that one, or choose another "
                    f"port, for example `make run {name}={port + 1}`."
                ) from None
            if error.errno == errno.EACCES:
                raise Refusal(
                    f"Port {port} is not for ordinary users: choose one above 1023, for example "
                    f"`make run {name}=8000`."
                ) from None
            raise Refusal(
                f"Nothing can listen on {host}:{port} ({error.strerror}): change HOST or {name}."
            ) from None


class Database:
    """The private server, kept alive like a program. Others may use it at the same time: it is
    given back, not stopped, and ends with its last user."""

    name = "database"
    patience = 60.0

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.given_back = False

    def start(self) -> None:
        try:
            local_postgres.ensure_running(self.data_dir)
        except local_postgres.LocalPostgresError as error:
            raise RuntimeError(str(error)) from None

    def tell_end(self) -> str:
        if self.given_back:
            return "was given back"
        return "" if local_postgres.is_running(self.data_dir) else "is gone"

    def stop(self, *, at_once: bool) -> None:
        self.given_back = True
        local_postgres.release(self.data_dir)


def make_environment(plan: Plan, env: Mapping[str, str]) -> dict[str, str]:
    """What all children share. A sandbox is a platform on loopback, which must be allowed."""
    chosen = dict(env) | {
        "HOST": plan.host,
        "PORT": str(plan.port),
        "SANDBOX_PORT": str(plan.sandbox_port),
        "DATA_DIR": str(plan.data_dir),
        "DEMO": "1" if plan.demo else "0",
        "DEMO_PLATFORMS": plan.demo_platforms,
        "PUBLIC_URL": plan.public_url,
        "PYTHONUNBUFFERED": "1",
    }
    chosen.pop("CALLBOARD_DATABASE", None)
    if plan.demo:
        own = f"127.0.0.1:{plan.sandbox_port}"
        hosts = [host for host in env.get("PLATFORM_ALLOW_HOSTS", "").split(",") if host.strip()]
        chosen["PLATFORM_ALLOW_HOSTS"] = ",".join(dict.fromkeys([*hosts, own]))
    return chosen


#: what commands in another terminal need to know of a running Callboard
TOLD = ("HOST", "PORT", "SANDBOX_PORT", "PUBLIC_URL", "PLATFORM_ALLOW_HOSTS")


def tell_commands(plan: Plan, chosen: Mapping[str, str]) -> Path:
    """Settings read this file where the environment says nothing else."""
    path = plan.data_dir / "running.env"
    lines = [f"{name}={chosen[name]}\n" for name in TOLD if name in chosen]
    path.write_text("".join(lines))
    return path


def make_programs(plan: Plan, chosen: Mapping[str, str]) -> dict[str, Program]:
    python = sys.executable
    manage = [python, str(BASE_DIR / "manage.py")]
    commands = {
        "sandbox": [python, "-m", "config.sandbox"],
        "prepare": [*manage, "prepare", *(["--demo", plan.sandbox_url] if plan.demo else [])],
        "worker": [*manage, "worker"],
        "web": [python, "-m", "config.web"],
    }
    patience = {"worker": 35.0, "web": 12.0}
    return {
        name: Program(name, command, chosen, patience=patience.get(name, 10.0))
        for name, command in commands.items()
    }


#: what says which platforms the demo shows
DEMO_CODE = [
    BASE_DIR / "campaigns" / name
    for name in ("management/demo.py", "platforms/registry.py", "platforms/sandbox.py")
]


def mark_plan(plan: Plan) -> str:
    """What ``prepare`` depends on. A sandbox that lost its memory must be told again."""
    told = {"demo": str(plan.demo), "public": plan.public_url}
    if plan.demo:
        told["sandbox"] = plan.sandbox_url
        told["platforms"] = plan.demo_platforms
        told["guests"] = hashlib.sha256(b"".join(map(Path.read_bytes, DEMO_CODE))).hexdigest()
        told["remembers"] = str((plan.data_dir / "sandbox").is_dir())
    return warm.fingerprint(told)


class Probe:
    """Asks ``/readyz``, ten times a second at most, however often it is asked itself."""

    def __init__(self, plan: Plan) -> None:
        self.host = reachable_host(plan.host).strip("[]")
        self.port = plan.port
        self.next_at = 0.0

    def is_ready(self) -> bool:
        if time.monotonic() < self.next_at:
            return False
        connection = http.client.HTTPConnection(self.host, self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
            self.next_at = time.monotonic() + 0.1


def print_welcome(plan: Plan, log: Log, *, login: warm.Login, seconds: float) -> None:
    password = login.password or "(the one in ADMIN_PASSWORD, or as you changed it)"
    log.print("")
    log.print(f"  Callboard is ready after {seconds:.1f} s:  {plan.local_url}/admin/")
    log.print(f"  login: {login.name}   password: {password}")
    if plan.demo:
        log.print(f"  sandbox platform (calls nobody): {plan.sandbox_url}/")
    log.print("  Ctrl-C stops everything.")
    log.print("")


def run(plan: Plan, env: Mapping[str, str], *, url: str, log: Log, follow_parent: bool) -> int:
    """Start all, keep all, stop all. 1 when it did not come to be ready, else 0."""
    began = time.monotonic()
    chosen = make_environment(plan, env)
    programs = make_programs(plan, chosen)
    given = env.get("ADMIN_PASSWORD", "")
    supervisor = Supervisor(log=log, follow_parent=follow_parent)
    told = tell_commands(plan, chosen)
    try:
        if plan.own_database:
            supervisor.add(Database(plan.data_dir))
        login = warm.find_prepared(
            plan.data_dir, url=url, mark=mark_plan(plan), given_password=given
        )
        if plan.demo:
            supervisor.add(programs["sandbox"])
        if login is None:
            if supervisor.run_once(programs["prepare"]):
                return 1
            login = warm.note_prepared(
                plan.data_dir, url=url, mark=mark_plan(plan), given_password=given
            )
        supervisor.add(programs["worker"])
        supervisor.add(programs["web"])
        probe = Probe(plan)
        if not supervisor.run(probe.is_ready, seconds=READY_SECONDS):
            log.say(OWN_NAME, f"not ready after {READY_SECONDS:.0f} s; the lines above say why")
            return 1
        print_welcome(plan, log, login=login, seconds=time.monotonic() - began)
        supervisor.run()
    except Stopping:
        pass
    finally:
        supervisor.stop()
        supervisor.close()
        told.unlink(missing_ok=True)
        log.say(OWN_NAME, "stopped")
    return 0


def main() -> int:
    environ.Env.read_env(BASE_DIR / ".env")
    log = Log(sys.stdout)
    lock = -1
    try:
        plan = read_plan(os.environ)
        os.chdir(BASE_DIR)
        check_folder(plan.data_dir)
        lock = hold_folder(plan.data_dir)
        check_port(plan.host, plan.port, name="PORT")
        if plan.demo:
            check_port("127.0.0.1", plan.sandbox_port, name="SANDBOX_PORT")
        url = os.environ.get("DATABASE_URL", "").strip()
        if plan.own_database:
            # Here, not under the supervisor, so that what is wrong is told once and not retried.
            url = local_postgres.ensure_running(plan.data_dir).url
        follow = "--follow-parent" in sys.argv
        return run(plan, os.environ, url=url, log=log, follow_parent=follow)
    except (Refusal, local_postgres.LocalPostgresError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        log.close()
        if lock >= 0:
            os.close(lock)


if __name__ == "__main__":
    sys.exit(main())
