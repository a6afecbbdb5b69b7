"""A data folder goes in, the address of a private PostgreSQL server in it comes out.

The server listens on a Unix socket only and lives as long as somebody uses it. Whoever uses it
holds a shared flock on `postgres.lease`, which the kernel drops however that process dies; a small
guard process, the parent of the server, waits for the exclusive lock on the same file, and when it
gets it, stops the server. So commands share one server, the last one out stops it, and nothing is
left running after a `kill -9`.

Files in the data folder: `postgres-18/` (the cluster, named by major version, with the password
of the role in `callboard.password`), `postgres.log`, `postgres.lock` (one start at a time),
`postgres.lease`, and `postgres-socket/` unless its path is too long for a socket.

Only the standard library is used: the settings import this before Django is configured.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import select
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from config.postgres_cluster import (
    PORT,
    Place,
    create_cluster,
    explain_failure,
    explained,
    make_place,
    make_socket_dir,
    match_binaries,
    open_log,
)
from config.postgres_guard import (
    NAME,
    clear_traces,
    find_postmaster,
    is_ready,
    read_pid_file,
    serves,
    spawn,
    stop_server,
    wait_for,
)
from config.postgres_programs import (
    Account,
    Binaries,
    LocalPostgresError,
    choose_account,
    find_binaries,
    make_environment,
    make_usable,
    reachable,
)

__all__ = [
    "Binaries",
    "LocalPostgresError",
    "Server",
    "database_url",
    "ensure_running",
    "find_binaries",
    "is_running",
    "lease",
    "release",
    "stop",
]
WAIT_FOR_LOCK = 90.0
WAIT_FOR_START = 120.0
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
    with explained(data_dir), ExitStack() as stack:
        place = make_place(data_dir)
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
    place = Place(Path(data_dir).resolve())
    handle = _leases.pop(place, None)
    if handle is None or handle[0] != os.getpid():
        return
    fd = handle[1]
    try:
        if not _try_flock(fd, fcntl.LOCK_EX):
            # Others use it (then a shared lock is to be had), or the guard is stopping it already.
            wait_for(lambda: _try_flock(fd, fcntl.LOCK_SH), seconds=60)
            return
        cluster = place.newest_cluster()
        if cluster is not None:
            stop_server(cluster)
    finally:
        os.close(fd)


def stop(data_dir: Path, *, mode: str = "fast") -> bool:
    """Stop the server, whoever uses it; False if none was running. Modes as pg_ctl has them."""
    place = Place(Path(data_dir).resolve())
    if not place.data_dir.is_dir():
        return False
    with explained(data_dir), _locked(place):
        cluster = place.newest_cluster()
        return cluster is not None and stop_server(cluster, mode=mode)


def is_running(data_dir: Path) -> bool:
    with explained(data_dir):
        cluster = Place(Path(data_dir).resolve()).newest_cluster()
        return cluster is not None and find_postmaster(cluster) is not None


# place → (process, descriptor): a forked child shares the descriptor but must not unlock it.
_leases: dict[Place, tuple[int, int]] = {}


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _try_flock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(place: Place) -> Iterator[int]:
    """One start or stop at a time, over all processes and threads."""
    fd = _open_lock(place.lock)
    try:
        if not wait_for(lambda: _try_flock(fd, fcntl.LOCK_EX), seconds=WAIT_FOR_LOCK):
            raise LocalPostgresError(
                f"Another process has been starting or stopping PostgreSQL in {place.data_dir} "
                f"for {WAIT_FOR_LOCK:.0f} seconds: look at {place.log}, end it, and try again."
            )
        yield fd
    finally:
        os.close(fd)


def _hold_lease(place: Place) -> bool:
    """True if this process had no lease before."""
    handle = _leases.get(place)
    if handle is not None and handle[0] == os.getpid():
        return False
    _leases[place] = (os.getpid(), _open_lease(place))
    return True


def _open_lease(place: Place) -> int:
    fd = _open_lock(place.lease)
    # Held exclusively only while the server is being stopped.
    if not wait_for(lambda: _try_flock(fd, fcntl.LOCK_SH), seconds=WAIT_FOR_LOCK):
        os.close(fd)
        raise LocalPostgresError(
            f"PostgreSQL in {place.data_dir} has been stopping for {WAIT_FOR_LOCK:.0f} seconds: "
            f"look at {place.log} and try again."
        )
    return fd


def _drop_lease(place: Place) -> None:
    handle = _leases.pop(place, None)
    if handle is not None:
        os.close(handle[1])


def _hand_lease_to(place: Place, *, parent_pid: int, server_pid: int) -> None:
    fd = _open_lease(place)
    try:
        spawn("keep", {"pids": [parent_pid, server_pid]}, fds=[fd], environment=make_environment())
    finally:
        os.close(fd)


@atexit.register
def _release_all() -> None:
    for place in list(_leases):
        with suppress(OSError):
            release(place.data_dir)


def _find_server(place: Place) -> Server | None:
    cluster = place.newest_cluster()
    pid = find_postmaster(cluster) if cluster else None
    if cluster is None or pid is None:
        return None
    wait_for(
        lambda: is_ready(cluster) or not serves(pid, cluster),
        seconds=WAIT_FOR_START,
    )
    if not serves(pid, cluster):
        return None
    if not is_ready(cluster):
        raise LocalPostgresError(
            f"PostgreSQL in {cluster} has not become ready for {WAIT_FOR_START:.0f} seconds: look "
            f"at {place.log}."
        )
    return _describe(cluster, pid=pid, started_by_us=False)


def _describe(cluster: Path, *, pid: int, started_by_us: bool) -> Server:
    password = (cluster / f"{NAME}.password").read_text().strip()
    return Server(read_pid_file(cluster)[4], pid, started_by_us, password)


def _launch(place: Place, *, lock: int) -> Server:
    cluster = place.newest_cluster()
    binaries = match_binaries(cluster)
    cluster = cluster or place.cluster(major=binaries.major)
    account = choose_account(cluster)
    binaries = make_usable(binaries, account=account)
    if not (cluster / "PG_VERSION").is_file():
        create_cluster(place, cluster, binaries=binaries, account=account, lock=lock)
    clear_traces(cluster)
    socket_dir = make_socket_dir(place, account=account)
    log = open_log(place)
    began = os.fstat(log).st_size
    try:
        with reachable(cluster, account=account) as (name, fds):
            settings = SETTINGS | {"unix_socket_directories": f'"{socket_dir}"'}
            command = [str(binaries.bin_dir / "postgres"), "-D", name]
            for key, value in settings.items():
                command += ["-c", f"{key}={value}"]
            _spawn_guard(place, cluster, command=command, account=account, fds=fds, log=log)
        if not is_ready(cluster):
            raise LocalPostgresError(explain_failure(place, began=began))
    finally:
        os.close(log)
    pid = find_postmaster(cluster)
    if pid is None:
        raise LocalPostgresError(explain_failure(place, began=began))
    return _describe(cluster, pid=pid, started_by_us=True)


def _spawn_guard(
    place: Place,
    cluster: Path,
    *,
    command: Sequence[str],
    account: Account | None,
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
            spawn("guard", work, fds=[*fds, writer], environment=make_environment(), log=log)
        finally:
            os.close(writer)
        deadline = time.monotonic() + WAIT_FOR_START
        # The guard holds the other end: it becomes readable when the guard is gone.
        while not is_ready(cluster) and time.monotonic() < deadline:
            if select.select([reader], [], [], 0.01)[0]:
                return
    finally:
        os.close(reader)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _main(arguments: Sequence[str]) -> int:
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
