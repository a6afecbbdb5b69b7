"""In: a recording at a platform. Out: our own copy of it, checked, and the way it is heard.

A job fetches; each try first claims the row with a lease, so a killed worker's recording is taken
up by another. What the platform says about a file is never believed: address, size and type are
checked, and the file is served with our own words about it.
"""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.files import File
from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.connections import open_transport
from campaigns.models import Account, Recording
from campaigns.platforms.errors import Forbidden, PlatformError, Throttled
from campaigns.platforms.values import Problem, read_address

logger = logging.getLogger(__name__)

#: a file that is shorter than announced is asked for again this often before it is kept as it is
SHORT_TRIES = 3
DOWNLOAD_SECONDS = 120.0
LEASE_SECONDS = DOWNLOAD_SECONDS + 60
INACTIVE_SECONDS = 300.0
CHUNK = 65_536
#: characters of an address that stay as they are
SAFE = "/%?&=+,;:@!$'()*~-._"
#: the account's setting with further hosts of recordings, comma-separated
HOSTS_SETTING = "recording_hosts"

NO_PREFIX = N_("The account has no prefix for recordings. Enter it on the account.")
OTHER_HOST = N_(
    "The recording lies on a host that the account does not name for recordings. Add it there if it"
    " is the platform's."
)
BAD_ADDRESS = N_("The address of the recording is not one below the account's prefix.")
FORBIDDEN = N_("The address may not be used. Check the account's prefix for recordings.")
NOT_THERE = N_("The platform does not have the file, or not yet.")
NO_ANSWER = N_("The platform could not be reached, or its answer was not whole.")
NO_SOUND = N_("What the platform sent is not a sound file.")
SHORT = N_("The file is shorter than it should be.")
OTHER_SIZE = N_("The size is not the one that the platform announced.")
NO_ROOM = N_("The file could not be kept. Is the disk full?")

#: our words for the types we serve for playing, with the ending of the file
TYPES = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/webm": "webm",
    "audio/basic": "au",
}


class Unusable(Exception):
    """This try brought nothing. The message is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Fetched:
    content_type: str
    size: int
    sha256: str
    note: str


# --------------------------------------------------------------------------------------- fetching


def list_due_recordings(*, limit: int = 500) -> list[int]:
    """Recordings whose next try is due, or whose fetcher died."""
    now = timezone.now()
    due = Q(next_try_at__lte=now) | Q(
        next_try_at=None, status=Recording.Status.REMOTE, created_at__lt=now - timedelta(minutes=1)
    )
    waiting = Recording.objects.filter(due, status__in=["remote", "fetching"])
    return list(waiting.order_by("next_try_at", "id").values_list("pk", flat=True)[:limit])


def retry_recordings(recordings: QuerySet[Recording]) -> list[int]:
    """Let unavailable recordings be tried again from the start; returns the ids to fetch."""
    ids = list(
        recordings.filter(status="unavailable", deleted_at=None).values_list("pk", flat=True)
    )
    lifecycle.move_rows(
        Recording.objects.filter(pk__in=ids),
        "remote",
        of=["unavailable"],
        tries=0,
        reason="",
        next_try_at=None,
    )
    return ids


def fetch_recording(recording_id: int) -> float | None:
    """Copy one recording into our storage, if nobody else is at it.

    Returns the seconds after which it should be tried again, None when there is nothing more to
    do for the caller.
    """
    recording = claim(recording_id)
    if recording is None:
        return None
    account = recording.call.account
    if not account.is_active:
        return give_back(recording, "", wait=INACTIVE_SECONDS, counted=False)
    with tempfile.TemporaryFile() as file:
        try:
            address = make_address(
                account.get_setting(account.vendor.recording_prefix_setting),
                recording.address,
                hosts=list_hosts(account),
            )
            fetched = download(recording, address, file)
            return keep(recording, file, fetched)
        except Unusable as error:
            return give_back(recording, str(error))
        except Throttled as error:
            return give_back(recording, NO_ANSWER, wait=error.retry_after or 30.0, counted=False)
        except Forbidden:
            return give_back(recording, FORBIDDEN)
        except PlatformError:
            return give_back(recording, NO_ANSWER)
        except OSError as error:
            logger.error("Recording %s was not kept: %s.", recording.pk, type(error).__name__)
            return give_back(recording, NO_ROOM)


def claim(recording_id: int) -> Recording | None:
    """The recording as ours for ``LEASE_SECONDS``, None when it is done, not due or another's."""
    now = timezone.now()
    rows = Recording.objects.filter(pk=recording_id)
    lifecycle.move_rows(rows.filter(next_try_at__lte=now), "remote", of=["fetching"])
    claimed = lifecycle.move_rows(
        rows.filter(Q(next_try_at=None) | Q(next_try_at__lte=now)),
        "fetching",
        of=["remote"],
        tries=F("tries") + 1,
        next_try_at=now + timedelta(seconds=LEASE_SECONDS),
    )
    return rows.select_related("call__account").get() if claimed else None


def give_back(
    recording: Recording, reason: str, *, wait: float | None = None, counted: bool = True
) -> float | None:
    """Note a try that brought nothing; returns the wait before the next one, if there is one."""
    waits = settings.RECORDING_WAITS
    if counted and recording.tries > len(waits):
        lifecycle.move(recording, "unavailable", of=["fetching"], reason=reason, next_try_at=None)
        return None
    seconds = wait if wait is not None else float(waits[min(recording.tries, len(waits)) - 1])
    moved = lifecycle.move_rows(
        Recording.objects.filter(pk=recording.pk, tries=recording.tries),
        "remote",
        of=["fetching"],
        reason=reason,
        next_try_at=timezone.now() + timedelta(seconds=seconds),
        **({} if counted else {"tries": F("tries") - 1}),
    )
    return seconds if moved else None


def list_hosts(account: Account) -> frozenset[str]:
    """The hosts that the platform's text or the account names for recordings."""
    named = re.split(r"[\s,;]+", account.get_setting(HOSTS_SETTING).lower())
    return account.vendor.recording_hosts | {host for host in named if host}


def make_address(prefix: str, address: str, *, hosts: Collection[str] = ()) -> str:
    """Where a recording is fetched from: below the prefix, or whole if it is on the prefix's host
    or on one of ``hosts`` (``host``, which stands for its usual ports, or ``host:port``).

    Raises ``Unusable`` for every address that could lead anywhere else.
    """
    if hosts and (whole_address := _check_host(address, hosts)):
        return whole_address
    if not prefix:
        raise Unusable(OTHER_HOST if hosts else NO_PREFIX)
    try:
        checked = read_address(address)
        base, whole = urlsplit(prefix), urlsplit(checked)
        same_host = (base.hostname, base.port or _port(base.scheme)) == (
            whole.hostname,
            whole.port or _port(whole.scheme),
        )
    except (Problem, ValueError):
        raise Unusable(BAD_ADDRESS) from None
    if base.scheme not in ("http", "https") or not base.hostname:
        raise Unusable(NO_PREFIX)
    if whole.scheme:
        if not same_host:
            raise Unusable(BAD_ADDRESS)
        return quote(checked, safe=SAFE)
    # A path that was escaped already stays as it is; everything else odd is escaped now.
    return f"{prefix.rstrip('/')}/{quote(checked, safe=SAFE)}"


def _check_host(address: str, hosts: Collection[str]) -> str:
    """The address, escaped, if it is a whole one on one of these hosts; else ""."""
    try:
        checked = read_address(address)
        parts = urlsplit(checked)
        host, port = (parts.hostname or "").lower(), parts.port
    except (Problem, ValueError):
        raise Unusable(BAD_ADDRESS) from None
    usual = port is None or port == _port(parts.scheme)
    if not parts.scheme or not ({f"{host}:{port}"} | ({host} if usual else set())) & set(hosts):
        return ""
    return quote(checked, safe=SAFE)


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def download(recording: Recording, address: str, file: IO[bytes]) -> Fetched:
    """Fetch into ``file`` and check it. Raises ``Unusable`` and ``PlatformError``s."""
    digest = hashlib.sha256()

    def take(piece: bytes) -> None:
        digest.update(piece)
        file.write(piece)

    transport = open_transport(recording.call.account, task=recording.call.task)
    transport.pace = None  # files are no requests to the platform's interface
    reply = transport.download(
        address,
        purpose="fetch_recording",
        max_bytes=settings.RECORDING_MAX_BYTES,
        timeout=DOWNLOAD_SECONDS,
        into=take,
    )
    if reply.status != 200:
        raise Unusable(NOT_THERE)
    size = file.tell()
    file.seek(0)
    head = file.read(64)
    content_type = sniff_type(head)
    if not content_type:
        raise Unusable(NO_SOUND)
    announced = recording.announced_bytes
    short = (announced is not None and size < announced) or is_cut(head, size)
    if short and recording.tries < SHORT_TRIES:
        raise Unusable(SHORT)
    other = announced is not None and size != announced
    note = SHORT if short else OTHER_SIZE if other else ""
    return Fetched(content_type, size, digest.hexdigest(), note)


def sniff_type(head: bytes) -> str:
    """Which sound file begins like this; "" for anything else."""
    for start, content_type in (
        (b"OggS", "audio/ogg"),
        (b"fLaC", "audio/flac"),
        (b"ID3", "audio/mpeg"),
        (b"#!AMR", "audio/amr"),
        (b"\x1a\x45\xdf\xa3", "audio/webm"),
        (b".snd", "audio/basic"),
    ):
        if head.startswith(start):
            return content_type
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[4:8] == b"ftyp":
        return "audio/mp4"
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        if head[1] & 0xF6 == 0xF0:
            return "audio/aac"
        # A frame of MPEG audio: version, layer, bit rate and sampling rate are none of the
        # reserved ones.
        version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
        if version != 1 and layer != 0 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3:
            return "audio/mpeg"
    return ""


def is_cut(head: bytes, size: int) -> bool:
    """Whether a WAV says that it is longer than it is. 0 and the largest number say nothing."""
    if head[:4] != b"RIFF":
        return False
    said = int.from_bytes(head[4:8], "little")
    return 0 < said < 0xFFFF_FF00 and said + 8 > size + 1


def keep(recording: Recording, file: IO[bytes], fetched: Fetched) -> float | None:
    """Put the file into our storage and say so; the file of a try that came too late is removed."""
    file.seek(0)
    field = recording.file
    field.save(f"recording.{TYPES[fetched.content_type]}", File(file), save=False)
    stored = lifecycle.move_rows(
        Recording.objects.filter(pk=recording.pk, tries=recording.tries),
        "stored",
        of=["fetching"],
        reason=fetched.note,
        file=field.name,
        bytes=fetched.size,
        content_type=fetched.content_type,
        sha256=fetched.sha256,
        fetched_at=timezone.now(),
        next_try_at=None,
    )
    if not stored:
        field.storage.delete(field.name)
    return None


# ---------------------------------------------------------------------------------------- serving


class FileSlice:
    """A part of an open file, piece by piece; closes the file."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self.file, self.start, self.length = file, start, length

    def __iter__(self) -> Iterator[bytes]:
        self.file.seek(self.start)
        left = self.length
        while left > 0 and (piece := self.file.read(min(CHUNK, left))):
            left -= len(piece)
            yield piece

    def close(self) -> None:
        self.file.close()


def serve_recording(request: HttpRequest, recording: Recording) -> HttpResponseBase:
    """Our copy, whole or the range that was asked for. GET and HEAD.

    Raises ``PermissionDenied``, and ``Http404`` when there is no copy.
    """
    user: Any = request.user
    if not user.has_perm("campaigns.view_recording"):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
    if recording.status != Recording.Status.STORED or not recording.file:
        raise Http404
    try:
        size = recording.file.size
        file = recording.file.storage.open(recording.file.name, "rb")
    except OSError:
        raise Http404 from None
    etag = f'"{recording.sha256 or recording.pk}"'
    wanted = request.headers.get("Range", "")
    if request.headers.get("If-Range", etag) != etag:
        wanted = ""
    part = read_range(wanted, size)
    response: HttpResponseBase
    if part is None:
        response = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
        file.close()
    else:
        start, length = part
        body = FileSlice(file, start, length)
        if request.method == "HEAD":
            body.close()
            response = HttpResponse()
        else:
            response = StreamingHttpResponse(body)
        response["Content-Length"] = str(length)
        if read_range_bounds(wanted) is not None:
            response.status_code = 206
            response["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    known = recording.content_type in TYPES
    ending = TYPES.get(recording.content_type, "bin")
    response["Content-Type"] = recording.content_type if known else "application/octet-stream"
    response["Content-Disposition"] = (
        f'{"inline" if known else "attachment"}; filename="recording-{recording.pk}.{ending}"'
    )
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'; media-src 'self'"
    return response


_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*\Z", re.ASCII)


def read_range_bounds(header: str) -> tuple[int | None, int | None] | None:
    """(first, last) of a single range, None for no range or one that is passed over."""
    found = _RANGE.match(header.strip())
    if not found or not any(found.groups()):
        return None
    first, last = (int(text) if text else None for text in found.groups())
    return None if first is not None and last is not None and last < first else (first, last)


def read_range(header: str, size: int) -> tuple[int, int] | None:
    """(start, length) of what is asked for; everything where the header cannot be used (RFC 9110
    lets us pass over it), None where it lies outside the file."""
    bounds = read_range_bounds(header)
    if bounds is None:
        return 0, size
    first, last = bounds
    if first is None:
        length = min(last or 0, size)
        return (size - length, length) if length else None
    if first >= size:
        return None
    return first, (size if last is None else min(last + 1, size)) - first
