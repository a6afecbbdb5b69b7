"""In: a file of numbers that nobody may call. Out: entries of the do-not-call list, all of them or
none, and a row that tells what came of the file.

Our copy is what is read, twice: a file that cannot be read to its end has put nothing on the list.
It is deleted then.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import IO, Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.barring import bar_many, lift_list
from campaigns.importing.barlist_rows import (
    MAX_REASON,
    Entry,
    Rejected,
    find_columns,
    read_entries,
)
from campaigns.importing.errors import ImportRefused
from campaigns.importing.reading import read_table
from campaigns.importing.receiving import FILE_GONE, Frozen, clean_name
from campaigns.locks import only_one
from campaigns.models import Account, BarListImport, DoNotCall, StatusChange
from campaigns.queue import enqueue

log = logging.getLogger(__name__)

NO_NUMBERS = N_("The file has no row with a phone number.")
STOPPED = N_(
    "The import stopped before its end, again and again. What it has put on the list stays there."
)
BEGUN = N_("Reading the file begins.")
UNDONE = N_("Taken back: %(why)s")

#: begun so often without getting any further, a file is given up
TRIES = 3

#: entries written in one transaction
PORTION = 5_000

_LOCK = 0x626C  # "bl"
#: nobody takes a file for orphaned that is just being received
_FIRST_BREATH = timedelta(minutes=1)


def receive_list(
    file: IO[bytes] | bytes,
    *,
    file_name: str,
    account: Account | None = None,
    reason: str = "",
    expires_at: datetime | None = None,
    by: Any = None,
) -> BarListImport:
    """Keep the file and have a job read it. ``reason`` and ``expires_at`` go to rows that have none
    of their own. Raises ``ImportRefused`` when it is no table with a column of numbers; nothing is
    kept then."""
    source: Any = io.BytesIO(file) if isinstance(file, bytes | bytearray | memoryview) else file
    find_columns(source)
    list_import = BarListImport.objects.create(
        account=account,
        file_name=clean_name(file_name),
        reason_given=reason,
        expires_at=expires_at,
        created_by=by if getattr(by, "pk", None) else None,
    )
    frozen = Frozen(source)
    try:
        list_import.file.save("list", frozen, save=False)
        list_import.sha256 = frozen.sha256.hexdigest()
        with transaction.atomic():
            list_import.save(update_fields=["file", "sha256"])
            enqueue_list(list_import.pk)
    except BaseException:
        _drop_file(list_import)
        list_import.delete()
        raise
    return list_import


def enqueue_list(list_import_id: int) -> None:
    enqueue(
        "campaigns.jobs.import_bar_list",
        once=f"bar-list-{list_import_id}",
        list_import_id=list_import_id,
    )


def work_on_list(list_import_id: int) -> None:
    """Read the file of a list that is running, or lift the entries of one that is taken back. One
    that another process works on is left alone."""
    with only_one(_LOCK, list_import_id) as mine:
        rows = BarListImport.objects.select_related("account", "created_by")
        list_import = rows.filter(pk=list_import_id).first()
        if not mine or list_import is None:
            return
        if list_import.status == BarListImport.Status.UNDONE:
            _lift_entries(list_import)
        elif list_import.status == BarListImport.Status.RUNNING:
            _load_or_fail(list_import)


def settle_lists() -> None:
    """Have lists gone on with whose worker died; fail those whose upload never came whole; delete
    the files of those that are over."""
    old = timezone.now() - _FIRST_BREATH
    for list_import in BarListImport.objects.filter(status="running", created_at__lt=old):
        if not list_import.sha256:
            if list_import.created_at < timezone.now() - timedelta(hours=1):
                _fail(list_import, FILE_GONE, {})
            continue
        _enqueue_free(list_import)
    standing = DoNotCall.objects.filter(list_import=OuterRef("pk"), lifted_at=None)
    for list_import in BarListImport.objects.filter(Exists(standing), status="undone"):
        _enqueue_free(list_import)
    for list_import in BarListImport.objects.exclude(status="running").exclude(file=""):
        with only_one(_LOCK, list_import.pk) as free:
            if free:
                _drop_file(list_import)


def _enqueue_free(list_import: BarListImport) -> None:
    with only_one(_LOCK, list_import.pk) as free:
        if free:
            enqueue_list(list_import.pk)


def undo_list(list_import: BarListImport, *, by: Any, reason: str) -> bool:
    """Have a job lift every entry that the list alone has made; False when it cannot be taken back,
    or was before. Numbers that something else forbids as well stay where they are."""
    values = {"why": reason[:MAX_REASON]}
    with transaction.atomic():
        moved = lifecycle.move(
            list_import, "undone", of=["done", "failed"], reason=UNDONE, values=values, by=by
        )
        if moved:
            enqueue_list(list_import.pk)
    return moved


def _lift_entries(list_import: BarListImport) -> None:
    changes = StatusChange.objects.filter(subject="barlistimport", subject_id=list_import.pk)
    undone = changes.filter(new="undone").select_related("by").last()
    why = str(list_import.reason_values.get("why") or UNDONE)
    count = lift_list(list_import, by=undone.by if undone else None, reason=why)
    log.info("list %s: %s entries lifted", list_import.pk, count)


def _load_or_fail(list_import: BarListImport) -> None:
    if not _begin(list_import):
        _fail(list_import, STOPPED, {})
        return
    try:
        _load(list_import)
    except ImportRefused as refusal:
        _fail(list_import, refusal.message, refusal.values)
    else:
        _drop_file(list_import)


def _begin(list_import: BarListImport) -> bool:
    """Write down, committed, that it is tried, and how far it was: a file that kills its worker at
    the same place is given up in the end."""
    values = {"rows": list_import.added + list_import.known}
    tries = StatusChange.objects.filter(subject="barlistimport", subject_id=list_import.pk)
    if tries.filter(new="running", values__contains=values).count() >= TRIES:
        return False
    StatusChange.objects.create(
        subject="barlistimport",
        subject_id=list_import.pk,
        old="running",
        new="running",
        reason=BEGUN,
        values=values,
    )
    return True


def _load(list_import: BarListImport) -> None:
    """First all of the file is read, then its numbers go to the list, a portion at a time.

    A portion is a transaction, so nobody who forbids one of the numbers waits for a whole list; how
    far it came is written down with it, so a worker that takes over goes on there.
    """
    good, rejected = 0, Rejected()
    for _entry in _read(list_import, rejected):
        good += 1
    if not good and not rejected.count:
        raise ImportRefused(NO_NUMBERS)
    # in the order of the file, which is frozen
    entries = islice(_read(list_import, Rejected()), list_import.added + list_import.known, None)
    while portion := list(islice(entries, PORTION)):
        _write(list_import, portion)
    lifecycle.move(
        list_import,
        "done",
        of=["running"],
        by=list_import.created_by,
        rejected=rejected.count,
        rejected_rows=rejected.kept,
    )
    log.info("list %s: %s of %s rows added", list_import.pk, list_import.added, good)


def _read(list_import: BarListImport, rejected: Rejected) -> Iterator[Entry]:
    account = list_import.account
    with _open_file(list_import) as handle:
        plan, columns = find_columns(handle)
        with closing(read_table(handle, plan)) as records:
            yield from read_entries(
                records,
                plan,
                columns,
                regions=find_regions(account),
                zones=find_zones(account),
                # the same rows whenever it is read again
                now=list_import.created_at,
                rejected=rejected,
            )


def _write(list_import: BarListImport, portion: list[Entry]) -> None:
    rows = [
        (
            entry.phone,
            entry.reason or list_import.reason_given,
            entry.expires_at or (None if entry.for_good else list_import.expires_at),
        )
        for entry in portion
    ]
    with transaction.atomic():
        added = bar_many(
            rows,
            account=list_import.account,
            source="import",
            by=list_import.created_by,
            list_import=list_import,
        ).added
        # every row is one or the other, a number that stands in the file twice too
        list_import.added += added
        list_import.known += len(portion) - added
        list_import.save(update_fields=["added", "known"])


@contextmanager
def _open_file(list_import: BarListImport) -> Iterator[IO[bytes]]:
    try:
        opened = list_import.file.storage.open(list_import.file.name, "rb")
    except FileNotFoundError:
        raise ImportRefused(FILE_GONE) from None
    with opened:
        yield opened.file or opened


def _drop_file(list_import: BarListImport) -> None:
    """It was read, or never will be."""
    if name := list_import.file.name:
        list_import.file.storage.delete(name)
        BarListImport.objects.filter(pk=list_import.pk).update(file="")
        list_import.file.name = ""


def _fail(list_import: BarListImport, reason: str, values: dict[str, Any]) -> None:
    """The list is over. What it has put on the list stays: somebody said no, and a person may take
    it back."""
    lifecycle.move(
        list_import,
        "failed",
        of=["running"],
        reason=reason,
        values=values,
        by=list_import.created_by,
    )
    _drop_file(list_import)


def find_regions(account: Account | None) -> list[str]:
    """Where numbers without a country may be at home; for all accounts wherever one of them is."""
    if account is not None:
        return [account.region]
    return _list_places("region") or ["CN"]


def find_zones(account: Account | None) -> list[tzinfo]:
    """Whose day it is; for all accounts every one's."""
    if account is not None:
        return [ZoneInfo(account.time_zone)]
    zones: list[tzinfo] = [ZoneInfo(name) for name in _list_places("time_zone")]
    return zones or [timezone.get_default_timezone()]


def _list_places(field: str) -> list[str]:
    return sorted(set(Account.objects.order_by().values_list(field, flat=True).distinct()))
