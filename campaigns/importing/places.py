"""In: the folder of one task. Out: which files in it are whole; renames that say how far each is.

    contacts.csv                 put there by anybody; taken when it has lain unchanged
    working/new-<when>-<try>/    taken, and nothing is known of it yet
    working/12/                  the file of import 12
    done/12-contacts.csv         loaded, with its report in 12-contacts.csv.json
    refused/                     the same, for what was not

A file lies in one of these places at each moment, and changes it by a rename, which one process
wins and no crash divides.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

#: a file is taken when nothing about it has changed for so long
QUIET_SECONDS = 10.0
#: so many files of one task at one look
MOST = 20

WORKING, DONE, REFUSED = "working", "done", "refused"

#: what nobody has finished writing yet, by the names that programs give such files
_UNFINISHED = re.compile(
    r"[.~].*|.*(?:~|\.(?:tmp|temp|part|partial|filepart|crdownload|download|lock|swp))",
    re.I | re.S,
)
_NEW = re.compile(r"new-([0-9]{1,15})-([0-9])")
_NUMBER = re.compile(r"[0-9]{1,18}")
#: of a file's name, in bytes; the import's number and the report's ending come on top
_MOST_NAME = 200


class Claim(NamedTuple):
    """A taken file's place: ``number`` is its import, 0 when none is known; ``when`` and ``tries``
    are of such a new one."""

    path: Path
    number: int = 0
    when: datetime | None = None
    tries: int = 0

    @property
    def task_folder(self) -> Path:
        return self.path.parent.parent

    def find_file(self) -> Path | None:
        with os.scandir(self.path) as entries:
            return next((Path(entry.path) for entry in entries), None)

    def close(self) -> None:
        self.path.rmdir()


def list_folders(root: Path) -> list[tuple[int, Path]]:
    """The folders of tasks, by the tasks' ids."""
    found = [path for path in _list(root) if _NUMBER.fullmatch(path.name)]
    return sorted((int(path.name), path) for path in found)


def list_claims(folder: Path) -> list[Claim]:
    """What is taken in a task's folder; what is new comes first."""
    claims = []
    for path in _list(folder / WORKING):
        if match := _NEW.fullmatch(path.name):
            when = datetime.fromtimestamp(int(match[1]) / 1000, UTC)
            claims.append(Claim(path, when=when, tries=int(match[2])))
        elif _NUMBER.fullmatch(path.name):
            claims.append(Claim(path, number=int(path.name)))
    return sorted(claims)


def list_ripe(folder: Path) -> list[Path]:
    """Files that are whole as far as can be told from outside, the oldest first."""
    found: list[tuple[float, Path]] = []
    latest = time.time() - QUIET_SECONDS
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _UNFINISHED.fullmatch(entry.name):
                continue
            with contextlib.suppress(OSError):
                about = entry.stat(follow_symlinks=False)
                # A copy may bring the old file's time along; when it was last touched it cannot.
                touched = max(about.st_mtime, about.st_ctime)
                if stat.S_ISREG(about.st_mode) and touched <= latest:
                    found.append((about.st_mtime, Path(entry.path)))
    return [path for _, path in sorted(found)][:MOST]


def claim_file(file: Path) -> Claim | None:
    """Take the file; None when somebody else was faster, or took it away."""
    claim = _make_claim(file.parent / WORKING, tries=1)
    try:
        file.rename(claim.path / file.name)
    except FileNotFoundError:
        claim.close()
        return None
    return claim


def claim_again(claim: Claim) -> Claim:
    """The same file, taken once more: whoever took it before is gone."""
    again = _make_claim(claim.path.parent, tries=claim.tries + 1)
    # an empty folder is replaced
    claim.path.rename(again.path)
    return again


def name_claim(claim: Claim, number: int) -> Claim:
    """From here on it is known which import the file is."""
    return Claim(claim.path.rename(claim.path.with_name(str(number))), number=number)


def put_back(claim: Claim, file: Path) -> bool:
    """Where it was taken from; False when there is another of that name."""
    place = claim.task_folder / file.name
    if place.exists():
        return False
    file.rename(place)
    claim.close()
    return True


def put_away(claim: Claim, file: Path, outcome: str, report: dict[str, Any]) -> None:
    """Into ``done`` or ``refused``. The report comes first: a file without one would be a file of
    which nobody knows what became of it."""
    name = os.fsencode(file.name)[-_MOST_NAME:].decode(errors="ignore")
    name = f"{claim.number or claim.path.name}-{name}"
    target = claim.task_folder / outcome
    target.mkdir(exist_ok=True)
    unfinished = target / f".{name}.json"
    text = json.dumps(report, ensure_ascii=False, indent=1, default=str)
    unfinished.write_text(text, "utf-8", errors="replace")
    unfinished.replace(target / f"{name}.json")
    file.rename(target / name)
    claim.close()


def open_file(file: Path) -> IO[bytes]:
    """No link is followed, and nothing that is no file is waited for."""
    return open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _make_claim(working: Path, *, tries: int) -> Claim:
    moment = int(time.time() * 1000)
    while True:
        path = working / f"new-{moment}-{tries}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            moment += 1
        else:
            return Claim(path, when=datetime.fromtimestamp(moment / 1000, UTC), tries=tries)


def _list(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except OSError:
        return []
