"""In: the bytes of a push and the hash of its token. Out: one committed row, or nothing.

The door's only work on the database: one statement that finds the live token and stores the push,
in its own thread so that a database that does not answer cannot hold the reply, and afterwards,
for many pushes at once, the word to the worker.
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
from typing import Any, TypeVar
from weakref import WeakSet

from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from campaigns.models import CallbackToken
from campaigns.queue import enqueue

logger = logging.getLogger(__name__)

PROCESS_JOB = "callbacks.jobs.process_inbox"
PROCESS_LOCK = "process_inbox"
#: the worker is woken once for all pushes of this time
WAKE_SECONDS = 0.05
#: a token's last use is written down at most this often
USE_SECONDS = 60.0
#: a database that takes longer than this is away
PATIENCE_SECONDS = 1.2
KNOWN_TOKENS = 1000
THREADS = 32

Value = TypeVar("Value")

_FIND = (
    "SELECT a.platform FROM campaigns_callbacktoken t JOIN campaigns_account a"
    " ON a.id = t.account_id WHERE t.hash = %s AND t.revoked_at IS NULL"
)
# An exact repeat (same account, kind and bytes) raises the count of the first row.
_STORE = (
    "INSERT INTO callbacks_receipt AS r (account_id, kind, source, body, sha256, content_type,"
    " content_encoding, received_at, deliveries, status, reason, detail, tries, platform_call_id,"
    " problems)"
    " SELECT t.account_id, %s, 'live', %s, %s, %s, %s, now(), 1, 'received', '', '', 0, '', '{}'"
    " FROM campaigns_callbacktoken t WHERE t.hash = %s AND t.revoked_at IS NULL"
    " ON CONFLICT (account_id, kind, sha256) DO UPDATE"
    " SET deliveries = r.deliveries + 1, last_delivery_at = now()"
    " RETURNING r.id"
)


class DatabaseAway(Exception):
    """The database did not store the push, or did not say so in time."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A push as it arrived, its texts fit for a column."""

    kind: str
    body: bytes
    content_type: str
    content_encoding: str


# -------------------------------------------------------------------------------- the two questions

_known: OrderedDict[str, str] = OrderedDict()


def find_platform(token_hash: str, *, patience: float = PATIENCE_SECONDS) -> str | None:
    """The platform that this live token is for, None for any other token.

    A token seen lately is answered from memory: whether it still lives, ``store`` decides.
    Raises ``DatabaseAway``.
    """
    if token_hash in _known:
        return _known[token_hash]
    row = _ask(lambda: _execute(_FIND, [token_hash]), patience)
    if row is None:
        return None
    _known[token_hash] = str(row[0])
    while len(_known) > KNOWN_TOKENS:
        _known.popitem(last=False)
    return str(row[0])


def store(token_hash: str, delivery: Delivery, *, patience: float = PATIENCE_SECONDS) -> bool:
    """Commit the push as one row; False when the token is not live. Raises ``DatabaseAway``."""
    values = [
        delivery.kind,
        delivery.body,
        hashlib.sha256(delivery.body).digest(),
        delivery.content_type,
        delivery.content_encoding,
        token_hash,
    ]
    stored = _ask(lambda: _execute(_STORE, values), patience) is not None
    if stored:
        wake(token_hash)
    else:
        _known.pop(token_hash, None)
    return stored


def _execute(statement: str, values: list[Any]) -> Any:
    """One statement in autocommit; a connection that died since its last use is replaced once."""
    for again in (True, False):
        fresh = connection.connection is None
        try:
            with connection.cursor() as cursor:
                if fresh and not connection.in_atomic_block:
                    # The acknowledgement is a promise: on disk, whatever the server's default is.
                    cursor.execute("SET synchronous_commit TO on; SET statement_timeout TO 1100")
                cursor.execute(statement, values)
                return cursor.fetchone()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block:
                raise
            connection.close()
            if fresh or not again:
                raise
    raise AssertionError("unreachable")


# ------------------------------------------------------------------------------ asking with a limit

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="door")
_lock = threading.Lock()
_under_way: WeakSet[Future[Any]] = WeakSet()


def _ask(question: Callable[[], Value], patience: float) -> Value:
    """The answer of the database, if it comes in time."""
    if connection.in_atomic_block:  # somebody's transaction around us must see and hold the row
        try:
            return question()
        except Error as error:
            raise DatabaseAway(type(error).__name__) from None
    future = _submit(question)
    try:
        return future.result(timeout=patience)
    except (Error, TimeoutError, OSError) as error:
        future.cancel()
        raise DatabaseAway(type(error).__name__) from None


def _submit(work: Callable[[], Value]) -> Future[Value]:
    future = _pool.submit(_run, work)
    with _lock:
        _under_way.add(future)
    return future


def _run(work: Callable[[], Value]) -> Value:
    try:
        return work()
    finally:
        with contextlib.suppress(Error):
            connection.close_if_unusable_or_obsolete()


def settle() -> None:
    """Wait until nothing is under way, wake-ups included; the threads then hold no connection that
    is older than ``CONN_MAX_AGE``."""
    while True:
        with _lock:
            under_way = [future for future in _under_way if not future.done()]
            _under_way.clear()
        if not under_way:
            return
        wait(under_way)


def forget() -> None:
    """Know no token by heart any more."""
    _known.clear()
    _noted.clear()


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
