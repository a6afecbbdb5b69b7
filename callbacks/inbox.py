"""In: the bytes of a push and the hash of its token. Out: one committed row, or nothing.

The door's only work on the database: one statement that finds the live token and stores the push,
waited for no longer than a platform waits for us (``callbacks.sessions``), and afterwards, for many
pushes at once, the word to the worker.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from django.db import Error, connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from callbacks.sessions import DatabaseAway, Sessions
from campaigns.models import CallbackToken
from campaigns.queue import enqueue

__all__ = ["DatabaseAway", "Delivery", "Owner", "find_owner", "forget", "settle", "store", "wake"]

logger = logging.getLogger(__name__)

PROCESS_JOB = "callbacks.jobs.process_inbox"
PROCESS_LOCK = "process_inbox"
#: the worker is woken once for all pushes of this time
WAKE_SECONDS = 0.05
#: a token's last use is written down at most this often
USE_SECONDS = 60.0
#: a database that takes longer than this is away
PATIENCE_SECONDS = 1.2
#: what a push that waited for a thread still gets, as long as the database answers others
LEAST_SECONDS = 1.0
KNOWN_TOKENS = 1000

_sessions = Sessions(
    door_find=(
        "SELECT a.id, a.platform FROM campaigns_callbacktoken t"
        " JOIN campaigns_account a ON a.id = t.account_id"
        " WHERE t.hash = $1::varchar AND t.revoked_at IS NULL"
    ),
    # An exact repeat (same account, kind and bytes) raises the count of the first row.
    door_store=(
        "INSERT INTO callbacks_receipt AS r (account_id, kind, source, body, sha256, content_type,"
        " content_encoding, received_at, deliveries, status, reason, detail, tries,"
        " platform_call_id, problems)"
        " SELECT t.account_id, $1::varchar, 'live', $2::bytea, $3::bytea, $4::varchar, $5::varchar,"
        " now(), 1, 'received', '', '', 0, '', '{}'"
        " FROM campaigns_callbacktoken t WHERE t.hash = $6::varchar AND t.revoked_at IS NULL"
        " ON CONFLICT (account_id, kind, sha256) DO UPDATE"
        " SET deliveries = r.deliveries + 1, last_delivery_at = now()"
        " RETURNING r.id"
    ),
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A push as it arrived, its texts fit for a column."""

    kind: str
    body: bytes
    content_type: str
    content_encoding: str


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose token it is."""

    account_id: int
    platform: str


# -------------------------------------------------------------------------------- the two questions

_known: OrderedDict[str, Owner] = OrderedDict()
#: whether the database let the last push of this process wait in vain
_is_away = False


def count_patience(arrived: float) -> float:
    """Until when a push that arrived then may wait for the database (``time.monotonic``).

    Pushes that waited for a thread have waited: behind a database that is away they are told so at
    once; behind one that is slow they still get their turn.
    """
    least = 0.0 if _is_away else LEAST_SECONDS
    return max(arrived + PATIENCE_SECONDS, time.monotonic() + least)


def find_owner(token_hash: str, *, ends: float) -> Owner | None:
    """Whose this live token is, None for any other token.

    A token seen lately is answered from memory: whether it still lives, ``store`` decides.
    Raises ``DatabaseAway``.
    """
    owner = _known.get(token_hash)
    if owner is not None:
        return owner
    row = _run("door_find", [token_hash], ends=ends)
    if row is None:
        return None
    owner = Owner(int(row[0] or 0), str(row[1]))
    _known[token_hash] = owner
    while len(_known) > KNOWN_TOKENS:
        _known.popitem(last=False)
    return owner


def store(token_hash: str, delivery: Delivery, *, ends: float) -> int | None:
    """Commit the push as one row and return its id; None when the token is not live.

    Raises ``DatabaseAway``.
    """
    row = _run(
        "door_store",
        [
            delivery.kind,
            delivery.body,
            hashlib.sha256(delivery.body).digest(),
            delivery.content_type,
            delivery.content_encoding,
            token_hash,
        ],
        ends=ends,
    )
    if row is None:
        _known.pop(token_hash, None)
        return None
    wake(token_hash)
    return int(row[0] or 0)


def _run(name: str, values: list[str | bytes], *, ends: float) -> list[str | None] | None:
    global _is_away  # noqa: PLW0603
    try:
        row = _sessions.run(name, values, ends=ends)
    except DatabaseAway:
        _is_away = True
        raise
    _is_away = False
    return row


# -------------------------------------------------------------------------- what is done afterwards

#: a wake-up is on its way at a time, and the last one may not have ended
_pool = ThreadPoolExecutor(4, thread_name_prefix="door-wake")
_lock = threading.Lock()
_under_way: WeakSet[Future[Any]] = WeakSet()


def _submit(work: Callable[[], None]) -> Future[None]:
    future = _pool.submit(_run_and_close, work)
    with _lock:
        _under_way.add(future)
    return future


def _run_and_close(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        with contextlib.suppress(Error):
            connection.close_if_unusable_or_obsolete()


def settle() -> None:
    """Wait until nothing is under way, wake-ups included; no connection is then held that is older
    than ``CONN_MAX_AGE``."""
    _sessions.settle()
    while True:
        with _lock:
            under_way = [future for future in _under_way if not future.done()]
            _under_way.clear()
        if not under_way:
            return
        wait(under_way)


def forget() -> None:
    """Know no token by heart any more, and hold no session."""
    global _is_away  # noqa: PLW0603
    _known.clear()
    _noted.clear()
    _sessions.close()
    _is_away = False


# ----------------------------------------------------------------------------- a word to the worker

_used: set[str] = set()
_noted: dict[str, float] = {}
_waking = False


def wake(token_hash: str = "") -> None:
    """See to it that the worker looks into the inbox. Returns at once and never fails: what is
    missed here is found by the sweep."""
    global _waking  # noqa: PLW0603
    if connection.in_atomic_block:
        transaction.on_commit(call_worker)
        return
    with _lock:
        if token_hash:
            _used.add(token_hash)
        if _waking:
            return
        _waking = True
    try:
        _submit(_wake_later)
    except RuntimeError:  # the process is ending
        _waking = False


def _wake_later() -> None:
    global _waking  # noqa: PLW0603
    time.sleep(WAKE_SECONDS)
    with _lock:
        _waking = False  # a push that is committed from here on wakes again
        used = set(_used)
        _used.clear()
    try:
        call_worker()
        _note_use(used)
    except Exception as error:
        logger.warning("The worker could not be told of a push: %s.", type(error).__name__)


def call_worker() -> None:
    """Queue the job unless one is queued that has not begun: that one will see every push that
    is committed by now."""
    if ProcrastinateJob.objects.filter(queueing_lock=PROCESS_LOCK, status="todo").exists():
        return
    enqueue(PROCESS_JOB, once=PROCESS_LOCK)


def _note_use(hashes: set[str]) -> None:
    now = time.monotonic()
    due = [one for one in hashes if now - _noted.get(one, -USE_SECONDS) >= USE_SECONDS]
    if due:
        CallbackToken.objects.filter(hash__in=due).update(last_used_at=timezone.now())
        if len(_noted) > KNOWN_TOKENS:
            _noted.clear()
        _noted.update(dict.fromkeys(due, now))
