"""A data folder goes in, a complete cluster, a socket's folder and a log in it come out.

Also the sentences for whatever may be wrong with that folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from config.postgres_guard import NAME, shorten_log
from config.postgres_programs import (
    Account,
    Binaries,
    LocalPostgresError,
    can_enter,
    find_binaries,
    give_to,
    is_ours,
    name_user,
    reachable,
    run,
)

PORT = 5432  # nobody listens on it: it is a part of the socket's file name
SUPERUSER = "postgres"
# macOS allows 104 bytes with the closing NUL, Linux 108.
LONGEST_SOCKET = 103
ROOM_NEEDED = 150 * 2**20
CONFIGURATION = """
# Written by config/local_postgres.py when this cluster was made; yours to change.
max_connections = 200
shared_buffers = 128MB
timezone = 'UTC'
log_timezone = 'UTC'
"""


@dataclass(frozen=True)
class Place:
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


def make_place(data_dir: Path) -> Place:
    Path(data_dir).mkdir(parents=True, exist_ok=True)
    return Place(Path(data_dir).resolve())


def match_binaries(cluster: Path | None) -> Binaries:
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


def create_cluster(
    place: Place, cluster: Path, *, binaries: Binaries, account: Account | None, lock: int
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
        give_to(work, account=account)
        _write_private(work / "superuser", secrets.token_urlsafe(24), account=account)
        with reachable(work, account=account) as (name, fds):
            # A start that is killed leaves initdb behind, which then keeps the lock until it ends.
            inherited = [*fds, lock]
            _run_initdb(binaries, name=name, account=account, fds=inherited)
            with (work / "data" / "postgresql.conf").open("a") as file:
                file.write(CONFIGURATION)
            done = run(
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
    binaries: Binaries, *, name: str, account: Account | None, fds: Sequence[int]
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
        done = run([*command, f"--locale={locale}"], account=account, fds=fds)
        if done.returncode == 0:
            return
        if "locale" not in done.stderr:
            break
    raise LocalPostgresError(_explain_output("The data folder", done.stderr, place=None))


def _write_private(path: Path, text: str, *, account: Account | None) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(fd)
    give_to(path, account=account)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_socket_dir(place: Place, *, account: Account | None) -> Path:
    """In the data folder if a socket's path may be that long and the account can get there."""
    owner = account.uid if account else os.geteuid()
    natural = place.data_dir / "postgres-socket"
    # libpq splits at commas, the server at quotes and commas.
    if _fits_socket(natural) and re.fullmatch(r"[\w./+@ -]+", str(natural), re.ASCII):
        if not natural.exists():
            natural.mkdir(0o700)
            give_to(natural, account=account)
        if is_ours(natural, owner=owner, forbidden=0o077):
            if account is None or can_enter(natural, account=account):
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
                if not is_ours(folder, owner=owner, forbidden=0o077):
                    folder = Path(tempfile.mkdtemp(prefix=f"{NAME}-", dir=base))
            give_to(folder, account=account)
            if account is None or can_enter(folder, account=account):
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


def open_log(place: Place) -> int:
    fd = os.open(place.log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    shorten_log(fd, place.log)
    return fd


@contextmanager
def explained(data_dir: Path) -> Iterator[None]:
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
            f"for {name_user(os.geteuid())}, or set DATA_DIR to another folder, or DATABASE_URL."
        )
    return (
        f"The data folder {data_dir} cannot be used ({error.strerror or type(error).__name__}): "
        "set DATA_DIR to another folder, or DATABASE_URL."
    )


def _explain_output(what: str, output: str, *, place: Place | None) -> str:
    if "No space left" in output or "Disk quota" in output:
        raise OSError(errno.ENOSPC, "no space left")
    lines = [
        line.strip() for line in output.splitlines() if re.search(r"FATAL|PANIC|rror:|ERROR", line)
    ]
    reason = (lines or output.strip().splitlines() or ["no reason given"])[-1].rstrip(".")
    where = f"; see {place.log}" if place else ""
    return f"{what} could not be made ready by PostgreSQL ({reason}){where}, or set DATABASE_URL."


def explain_failure(place: Place, *, began: int) -> str:
    """From what the server wrote since then."""
    with place.log.open(errors="replace") as file:
        file.seek(began)
        output = file.read()
    return _explain_output("The server", output, place=place)
