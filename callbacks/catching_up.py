"""In: a fetched file of failed pushes. Out: each push in it as a receipt, as if it had come live.

The same table and the same rule as at the door: one row for an account, a kind and the bytes. So
the same file read twice adds nothing, and what came live before is merged by what it says. How far
the reading is, is committed together with the receipts: a killed reader's work is gone on with, and
its numbers stay right.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator, Sequence

from django.db import connection, transaction
from django.utils import timezone

from callbacks import inbox
from campaigns import failed_pushes
from campaigns.models import FailedPushFile
from campaigns.platforms.contract import FailedPush

BATCH, BATCH_BYTES = 500, 8_000_000
#: a job ends after this time and queues the next one
READ_SECONDS = 60.0
CONTENT_TYPE = "application/json"

_STORE = """
INSERT INTO callbacks_receipt (account_id, kind, source, body, sha256, content_type,
    content_encoding, received_at, deliveries, status, reason, detail, tries, platform_call_id,
    problems)
SELECT %(account)s, one.kind, 'failed_push', one.body, one.sha256, %(type)s, '', now(), 1,
    'received', '', '', 0, '', '{}'
FROM unnest(%(kinds)s::text[], %(bodies)s::bytea[], %(digests)s::bytea[])
    WITH ORDINALITY AS one(kind, body, sha256, place)
ORDER BY one.place
ON CONFLICT (account_id, kind, sha256) DO NOTHING
RETURNING id
"""


def read_file(file_id: int, *, seconds: float = READ_SECONDS) -> bool:
    """Put the pushes of one stored file into the inbox, if nobody else is at it. False: there is
    more of it to be read."""
    row = failed_pushes.claim_reading(file_id)
    if row is None:
        return True
    ends = time.monotonic() + seconds
    try:
        content = row.file.open("rb")
    except (OSError, ValueError):
        failed_pushes.give_up_reading(row, failed_pushes.LOST_COPY, again=True)
        return True
    with content:
        try:
            archive = failed_pushes.open_archive(content)
            pushes = itertools.islice(split(row, archive), row.position, None)
            for batch in make_batches(pushes):
                if not store(row, batch):
                    return True  # somebody else goes on with it
                if time.monotonic() > ends:
                    failed_pushes.interrupt_reading(row)
                    return False
        except failed_pushes.Refused as error:
            failed_pushes.give_up_reading(row, str(error), again=error.again)
            return True
        failed_pushes.finish_reading(row, problems=archive.problems)
    inbox.call_worker()
    return True


def split(row: FailedPushFile, archive: failed_pushes.Archive) -> Iterator[FailedPush]:
    """Every push of the archive, in its order."""
    cut = row.day.account.vendor.split_failed_pushes
    if cut is None:
        return
    for number in range(1, len(archive.entries) + 1):
        yield from cut(archive.read(number))


def make_batches(pushes: Iterator[FailedPush]) -> Iterator[list[FailedPush]]:
    batch: list[FailedPush] = []
    size = 0
    for push in pushes:
        batch.append(push)
        size += len(push.body)
        if len(batch) == BATCH or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def store(row: FailedPushFile, pushes: Sequence[FailedPush]) -> bool:
    """Commit pushes as receipts, and how far the file is read; False when somebody else did."""
    odd = sum(not push.whole for push in pushes)
    with transaction.atomic(), connection.cursor() as cursor:
        mine = FailedPushFile.objects.select_for_update().filter(
            pk=row.pk, status="stored", position=row.position, sha256=row.sha256
        )
        locked = mine.first()
        if locked is None:
            return False
        cursor.execute(
            _STORE,
            {
                "account": row.day.account_id,
                "type": CONTENT_TYPE,
                "kinds": [push.kind for push in pushes],
                "bodies": [push.body for push in pushes],
                "digests": [hashlib.sha256(push.body).digest() for push in pushes],
            },
        )
        new = len(cursor.fetchall())
        locked.position += len(pushes)
        locked.objects_count += len(pushes) - odd
        locked.odd_count += odd
        locked.new_count += new
        locked.known_count += len(pushes) - new
        # Who gets on is alive: the tries count readers that died.
        locked.tries = 1
        locked.next_try_at = timezone.now() + failed_pushes.READING_LEASE
        locked.save(
            update_fields=[
                *("position", "objects_count", "odd_count", "new_count", "known_count"),
                *("tries", "next_try_at"),
            ]
        )
    row.position = locked.position
    inbox.wake()
    return True
