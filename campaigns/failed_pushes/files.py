"""In: the files on a day's list. Out: our copy of each, until everything in it is in the inbox."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from datetime import timedelta
from typing import IO, Any
from urllib.parse import quote, urlsplit

from django.core.files import File
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.connections import open_transport
from campaigns.failed_pushes.unpacking import MAX_PACKED, TOO_LARGE
from campaigns.models import Account, FailedPushFile
from campaigns.platforms.errors import Forbidden, PlatformError, Throttled
from campaigns.platforms.values import Problem, read_relative_path

logger = logging.getLogger(__name__)

#: seconds before the second, third … try; after the last one it has failed
WAITS = (60, 300, 900, 3600, 10_800, 21_600, 43_200)
DOWNLOAD_SECONDS = 180.0
LEASE_SECONDS = DOWNLOAD_SECONDS + 60
#: a file is given up when so many readers of it died
MAX_READERS = 5
READING_LEASE = timedelta(seconds=120)
#: our copy of a file that could not be read wholly is kept so long, for people
KEPT = timedelta(days=30)
SAFE = "/%?&=+,;:@!$'()*~-._"

NO_PREFIX = N_("The account has no prefix for failed-push files. Enter it on the account.")
BAD_PATH = N_("The path of the file is not one below the account's prefix.")
FORBIDDEN = N_("The address may not be used. Check the account's prefix for failed-push files.")
NOT_THERE = N_("The platform does not have the file, or not yet.")
NO_ANSWER = N_("The platform could not be reached, or its answer was not whole.")
NO_ROOM = N_("The file could not be kept. Is the disk full?")
KILLS_READER = N_("Whoever reads it dies of it.")
LOST_COPY = N_("Our copy of the file is gone.")


class Unusable(Exception):
    """This try brought nothing. The message is a sentence for the operator."""


def list_due_files(*, limit: int = 200) -> tuple[list[int], list[int]]:
    """Files whose next try is due, or whose fetcher or reader died: (to fetch, to read)."""
    due = FailedPushFile.objects.filter(next_try_at__lte=timezone.now()).order_by("id")
    fetch = due.filter(status__in=["listed", "fetching"], day__account__is_active=True)
    return (
        list(fetch.values_list("pk", flat=True)[:limit]),
        list(due.filter(status="stored").values_list("pk", flat=True)[:limit]),
    )


# --------------------------------------------------------------------------------------- fetching


def fetch_file(file_id: int) -> bool:
    """Copy one file into our storage, if nobody else is at it. True: it is there to be read."""
    row = _claim(file_id)
    if row is None:
        return FailedPushFile.objects.filter(pk=file_id, status="stored").exists()
    with tempfile.TemporaryFile() as file:
        try:
            account = row.day.account
            address = make_address(account, row.path)
            digest = _download(account, address, file)
            return _keep(row, file, digest)
        except Unusable as error:
            give_back(row, str(error))
        except Throttled as error:
            give_back(row, NO_ANSWER, wait=error.retry_after or 60.0)
        except Forbidden:
            give_back(row, FORBIDDEN)
        except PlatformError:
            give_back(row, NO_ANSWER)
        except OSError as error:
            logger.error("Failed-push file %s was not kept: %s.", row.pk, type(error).__name__)
            give_back(row, NO_ROOM)
    return False


def _claim(file_id: int) -> FailedPushFile | None:
    now = timezone.now()
    rows = FailedPushFile.objects.filter(pk=file_id)
    lifecycle.move_rows(rows.filter(next_try_at__lte=now), "listed", of=["fetching"])
    active = rows.filter(day__account__is_active=True, next_try_at__lte=now)
    claimed = lifecycle.move_rows(
        rows.filter(pk__in=active.values("pk")),
        "fetching",
        of=["listed"],
        tries=F("tries") + 1,
        next_try_at=now + timedelta(seconds=LEASE_SECONDS),
    )
    return rows.select_related("day__account").get() if claimed else None


def make_address(account: Account, path: str) -> str:
    """Where a file is fetched from: below the account's prefix. Raises ``Unusable``."""
    prefix = account.get_setting(account.vendor.failed_push_prefix_setting)
    try:
        base = urlsplit(prefix)
        usable = base.scheme in ("http", "https") and bool(base.hostname)
        checked = read_relative_path(path)
    except (Problem, ValueError):
        raise Unusable(BAD_PATH) from None
    if not usable:
        raise Unusable(NO_PREFIX)
    return f"{prefix.rstrip('/')}/{quote(checked, safe=SAFE)}"


def _download(account: Account, address: str, file: IO[bytes]) -> str:
    """Fetch into ``file``; returns its digest. Raises ``Unusable`` and ``PlatformError``s."""
    digest = hashlib.sha256()
    size = 0

    def take(piece: bytes) -> None:
        nonlocal size
        size += len(piece)
        if size > MAX_PACKED:
            raise Unusable(TOO_LARGE)
        digest.update(piece)
        file.write(piece)

    transport = open_transport(account)
    transport.pace = None  # files are no requests to the platform's interface
    reply = transport.download(
        address,
        purpose="fetch_failed_pushes",
        max_bytes=MAX_PACKED + 1_000_000,
        timeout=DOWNLOAD_SECONDS,
        into=take,
    )
    if reply.status != 200:
        raise Unusable(NOT_THERE)
    return digest.hexdigest()


def _keep(row: FailedPushFile, file: IO[bytes], digest: str) -> bool:
    """Put the file into our storage; one whose content was read to its end before is only noted."""
    size = file.tell()
    rows = FailedPushFile.objects.filter(pk=row.pk, tries=row.tries)
    fetched: dict[str, Any] = {"sha256": digest, "bytes": size, "fetched_at": timezone.now()}
    if row.read_sha256 == digest:
        moved = lifecycle.move_rows(rows, "stored", of=["fetching"], **fetched)
        if moved:
            lifecycle.move_rows(
                FailedPushFile.objects.filter(pk=row.pk), "read", of=["stored"],
                next_try_at=None, reason="",
            )  # fmt: skip
        return False
    file.seek(0)
    old = row.file.name
    row.file.save("failed.zip", File(file), save=False)
    # A copy that was being read is gone on with; another content is counted from its beginning.
    begin = {} if row.sha256 == digest else {"position": 0, "objects_count": 0, "new_count": 0,
                                             "known_count": 0, "odd_count": 0}  # fmt: skip
    moved = lifecycle.move_rows(
        rows,
        "stored",
        of=["fetching"],
        file=row.file.name,
        tries=0,
        problems=[],
        next_try_at=timezone.now(),
        **fetched,
        **begin,
    )
    if not moved:
        row.file.storage.delete(row.file.name)
    elif old and old != row.file.name:
        row.file.storage.delete(old)
    return bool(moved)


def give_back(row: FailedPushFile, reason: str, *, wait: float | None = None) -> None:
    """Note a try that brought nothing: another one follows, or it has failed."""
    rows = FailedPushFile.objects.filter(pk=row.pk, tries=row.tries)
    if row.tries > len(WAITS):
        lifecycle.move(row, "failed", of=["fetching"], reason=reason, next_try_at=None)
        return
    seconds = wait if wait is not None else float(WAITS[row.tries - 1])
    lifecycle.move_rows(
        rows,
        "listed",
        of=["fetching"],
        reason=reason,
        next_try_at=timezone.now() + timedelta(seconds=seconds),
    )


# ---------------------------------------------------------------------------------------- reading


def claim_reading(file_id: int) -> FailedPushFile | None:
    """A stored file as ours to be read; None when it is another's, or nothing to be read."""
    now = timezone.now()
    rows = FailedPushFile.objects.filter(pk=file_id, status="stored")
    hopeless = rows.filter(tries__gte=MAX_READERS, next_try_at__lte=now).first()
    if hopeless is not None:
        lifecycle.move(hopeless, "failed", of=["stored"], reason=KILLS_READER, next_try_at=None)
        return None
    claimed = rows.filter(next_try_at__lte=now).update(
        tries=F("tries") + 1, next_try_at=now + READING_LEASE
    )
    return rows.select_related("day__account").first() if claimed else None


def interrupt_reading(row: FailedPushFile) -> None:
    """Give the file back, to be gone on with at once."""
    FailedPushFile.objects.filter(pk=row.pk, status="stored").update(
        tries=0, next_try_at=timezone.now()
    )


def finish_reading(row: FailedPushFile, *, problems: list[Any]) -> None:
    """Everything that could be read of it is in the inbox. Our copy goes, unless a person may want
    to look into the rest."""
    if problems:
        reason = N_("Parts of the file could not be read; the rest is in the inbox.")
        lifecycle.move(
            row, "failed", of=["stored"], reason=reason, next_try_at=None, problems=problems[:100]
        )
        return
    name = row.file.name
    done = lifecycle.move(
        row,
        "read",
        of=["stored"],
        next_try_at=None,
        read_sha256=row.sha256,
        read_at=timezone.now(),
        file="",
        problems=[],
    )
    if done and name:
        FailedPushFile._meta.get_field("file").storage.delete(name)


def give_up_reading(row: FailedPushFile, reason: str, *, again: bool) -> None:
    """The file cannot be opened. ``again``: it may have been damaged on its way."""
    if again and row.reason != reason:  # the second time it is no accident
        lifecycle.move_rows(
            FailedPushFile.objects.filter(pk=row.pk),
            "listed",
            of=["stored"],
            reason=reason,
            tries=0,
            next_try_at=timezone.now() + timedelta(seconds=WAITS[0]),
        )
        return
    lifecycle.move(row, "failed", of=["stored"], reason=reason, next_try_at=None)


def forget_copies() -> int:
    """Delete our copies of files that failed long ago; returns how many."""
    old = FailedPushFile.objects.filter(
        Q(status="failed"), fetched_at__lt=timezone.now() - KEPT
    ).exclude(file="")
    forgotten = 0
    for row in old[:500]:
        row.file.storage.delete(row.file.name)
        forgotten += FailedPushFile.objects.filter(pk=row.pk).update(file="")
    return forgotten
