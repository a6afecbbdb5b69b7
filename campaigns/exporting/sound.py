"""In: criteria of calls. Out: a ZIP with the recordings we have of them, and an index of all.

Sound does not shrink: it is stored as it is. The names in the archive are ours, and nothing of them
is from a platform.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from campaigns.criteria import Criteria
from campaigns.exporting.cells import write_line
from campaigns.masking import mask_phone
from campaigns.models import Call, Export, Recording

CHUNK = 1 << 20
#: calls that are looked up at a time
PORTION = 500
#: where the names of the index are codes
INDEX = (
    "file",
    "call_id",
    "platform_call_id",
    "task_id",
    "direction",
    "phone",
    "time",
    "result",
    "talk_seconds",
    "intention",
    "state",
    "why_missing",
)


class TooMany(Exception):
    """More recordings than one archive should have."""

    def __init__(self, most: int) -> None:
        super().__init__(str(most))
        self.most = most


def write_recordings(
    export: Export,
    criteria: Criteria,
    target: IO[bytes],
    *,
    told: Callable[[int], None] = lambda _files: None,
) -> tuple[int, int]:
    """Write the archive; returns (recordings in it, recordings it lacks). Raises ``TooMany``."""
    most: int = settings.EXPORT_MAX_RECORDINGS
    chosen = Recording.objects.filter(call__in=criteria.select().order_by().values("pk"))
    ids = list(chosen.order_by("call_id", "pk").values_list("pk", flat=True)[: most + 1])
    if len(ids) > most:
        raise TooMany(most)
    Export.objects.filter(pk=export.pk).update(rows_end=len(ids))
    written = missing = 0
    with (
        translation.override(export.words or "en"),
        ZipFile(target, "w", ZIP_STORED, allowZip64=True) as archive,
        tempfile.TemporaryFile() as index,
    ):
        index.write(b"\xef\xbb\xbf" + write_line(INDEX))
        for start in range(0, len(ids), PORTION):
            rows = Recording.objects.filter(pk__in=ids[start : start + PORTION])
            rows = rows.select_related("call").defer("call__evidence", "call__details")
            for recording in rows.order_by("call_id", "pk"):
                name = _copy(archive, recording)
                written, missing = written + bool(name), missing + (not name)
                index.write(write_line(_describe(recording, name, export)))
                told(written + missing)
        index.seek(0)
        info = ZipInfo("index.csv", date_time=timezone.localtime().timetuple()[:6])
        info.compress_type = ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        with archive.open(info, "w", force_zip64=True) as entry:
            while block := index.read(CHUNK):
                entry.write(block)
    return written, missing


def _copy(archive: ZipFile, recording: Recording) -> str:
    """Put our copy into the archive; returns its name there, "" when there is none."""
    if recording.status != Recording.Status.STORED or not recording.file:
        return ""
    ending = recording.file.name.rpartition(".")[2][:5]
    name = f"{recording.call_id}-{recording.pk}.{ending if ending.isalnum() else 'bin'}"
    try:
        source = recording.file.open("rb")
    except OSError:
        return ""
    with source:
        moment = timezone.localtime(recording.call.happened_at)
        year = min(max(moment.year, 1980), 2107)
        info = ZipInfo(f"recordings/{name}", date_time=(year, *moment.timetuple()[1:6]))
        info.external_attr = 0o644 << 16
        with archive.open(info, "w", force_zip64=True) as entry:
            while block := source.read(CHUNK):
                entry.write(block)
    return info.filename


def _describe(recording: Recording, name: str, export: Export) -> list[str]:
    call = recording.call
    phone = call.caller if call.direction == Call.Direction.INBOUND else call.callee
    moment = call.happened_at.astimezone(ZoneInfo(export.zone))
    why = "" if name else (_(recording.reason) if recording.reason else _("not fetched yet"))
    talk = "" if call.talk_seconds is None else str(call.talk_seconds)
    return [
        name,
        str(call.pk),
        call.platform_call_id,
        "" if call.task_id is None else str(call.task_id),
        call.direction,
        phone if export.whole else mask_phone(phone),
        moment.isoformat(timespec="seconds"),
        call.result,
        talk,
        call.intention,
        recording.status,
        why,
    ]
