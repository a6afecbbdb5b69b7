"""In: an account. Out: a client that may talk to its platform.

Gives the pure clients of ``campaigns.platforms`` what they need of the database: the account's
secrets, its token (one fetch at a time over all processes), its pace (one row that all workers
share) and a place where every exchange is kept, redacted.

The pace has two lanes. The rate limit holds for every request. What adds calls goes slower than
that while the platform says that it is busy: half as fast after each busy answer, a little faster
with every second without one. Nothing of that queues far ahead, so a pause, a deletion or a
question never waits behind it.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns.locks import only_one
from campaigns.models import Account, AccountToken, Attempt, Exchange, Task
from campaigns.models.accounts import RECOVERY, UNLIMITED
from campaigns.platforms.contract import Client, Connection
from campaigns.platforms.errors import NotSent, Throttled
from campaigns.platforms.http import ExchangeRecord, Reply, Transport
from campaigns.prepared import SOON, run

logger = logging.getLogger(__name__)

#: a token is not used in the last tenth of its life, nor in the last minute
SAFETY_SHARE, SAFETY_SECONDS = 0.1, 60.0
#: nobody waits longer than this for a turn; the caller tries again later
LONGEST_PACE_SECONDS = 30.0
#: a request that adds calls takes its turn only when it is this near
NEAR_SECONDS = 0.5
#: a turn that was taken together with others is good for so long
LATEST_SECONDS = 0.05
#: requests per second below which nobody is slowed
SLOWEST = 0.2
#: a platform that says "in two days" is asked again after this long
LONGEST_RETRY_AFTER = 3600.0
#: whoever sends faster than this needs no look at who waits already
UNCROWDED = 20.0

PUSHES_ONLY = N_("This platform only pushes to us; it takes no calls.")
TOO_MANY = N_("Too many requests wait for this account. Nothing was sent; try again in a minute.")


TOO_MANY_REQUESTS = 429


class AccountInactive(NotSent):
    advice = N_("The account is switched off. Nothing is sent for it.")


def open_transport(
    account: Account,
    *,
    task: Task | None = None,
    attempt: Attempt | None = None,
    fence: Callable[[], Callable[[], None] | None] | None = None,
    timeout: float | None = None,
    heard: Callable[[Reply], None] | None = None,
) -> Transport:
    """The account's door to the outside. Every exchange is kept; ``fence`` and ``heard`` as in
    ``Transport``. What has a fence adds calls."""
    return Transport(
        allow_hosts=frozenset(settings.PLATFORM_ALLOW_HOSTS),
        timeout=timeout or settings.HTTP_TIMEOUT_SECONDS,
        secrets=tuple(account.credentials.values()),
        secret_fields=account.vendor.secret_fields,
        record=lambda record: keep_exchange(record, account=account, task=task, attempt=attempt),
        pace=lambda: wait_for_turn(account, adds_calls=fence is not None),
        fence=fence,
        heard=heard,
    )


def open_client(
    account: Account,
    *,
    task: Task | None = None,
    attempt: Attempt | None = None,
    fence: Callable[[], Callable[[], None] | None] | None = None,
    as_read: bool = False,
) -> Client:
    """A client of the account's platform. Raises ``NotSent`` when it takes no calls from us.

    ``attempt`` is the request that adds calls which is sent, or asked about, with it.

    It is given for an account that is switched off too: switching off must not take away the means
    to ask, to pause and to delete. What adds calls is refused by ``attempts.carry_out``.
    ``as_read``: the account is used as it is given, since it was read a moment ago.
    """
    if not as_read:
        account.refresh_from_db(
            fields=[
                *("is_active", "credentials", "base_url", "is_sandbox"),
                *("rate_limit", "slowed_to", "slowed_at", "next_call_at"),
            ]
        )
    connect = account.vendor.connect
    if connect is None:
        raise NotSent("The platform takes no calls.", advice=PUSHES_ONLY)
    client = connect(
        Connection(
            base_url=account.base_url.rstrip("/"),
            time_zone=account.zone,
            settings={
                field.name: account.get_setting(field.name) for field in account.vendor.settings
            },
            credentials=account.credentials,
            transport=open_transport(
                account,
                task=task,
                attempt=attempt,
                fence=fence,
                heard=lambda reply: note_reply(account, reply),
            ),
            tokens=AccountTokens(account),
        )
    )
    return cast(Client, HeardClient(client, account))


class HeardClient:
    """A client whose busy answers slow its account down. In all else it is the client."""

    def __init__(self, client: Client, account: Account) -> None:
        self._client = client
        self._account = account

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def act(*args: Any, **kwargs: Any) -> Any:
            try:
                return found(*args, **kwargs)
            except Throttled as error:
                slow_down(self._account, retry_after=error.retry_after)
                raise

        return act


def note_reply(account: Account, reply: Reply) -> None:
    """What a whole reply says of the account, whatever it says of the request."""
    note_sandbox(account, reply)
    if reply.status == TOO_MANY_REQUESTS:
        after = reply.headers.get("retry-after", "")
        slow_down(account, retry_after=float(after) if after.isdecimal() else None)


def note_sandbox(account: Account, reply: Reply) -> None:
    """Keep whether the platform says that it is a pretended one. Only the platform's word counts.

    The word of an address that the account has left meanwhile does not; and a word that cannot be
    written down must not change what the exchange is taken for.
    """
    if account.is_sandbox == reply.is_pretended:
        return
    account.is_sandbox = reply.is_pretended
    try:
        Account.objects.filter(pk=account.pk, base_url=account.base_url).update(
            is_sandbox=reply.is_pretended
        )
    except DatabaseError:
        logger.exception("Account %s: what the platform is could not be kept.", account.pk)


def keep_exchange(
    record: ExchangeRecord, *, account: Account, task: Task | None, attempt: Attempt | None = None
) -> None:
    """Write one exchange down. NUL, which PostgreSQL refuses, is shown as its picture.

    A record that cannot be written must not change what the exchange is taken for.
    """
    try:
        _write_exchange(record, account=account, task=task, attempt=attempt)
    except DatabaseError:
        logger.exception("The record of an exchange (%s) could not be kept.", record.purpose)


_EXCHANGE = """
    INSERT INTO campaigns_exchange (account_id, task_id, attempt_id, purpose, method, url, request,
        http_code, response, outcome, started_at, seconds)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_KEPT = f"{_EXCHANGE} RETURNING {SOON}"


def _write_exchange(
    record: ExchangeRecord, *, account: Account, task: Task | None, attempt: Attempt | None
) -> None:
    run(
        _EXCHANGE if connection.in_atomic_block else _KEPT,
        [
            *(account.pk, task.pk if task else None, attempt.pk if attempt else None),
            *(record.purpose, record.method, record.url.replace("\x00", "␀")),
            *(record.request.replace("\x00", "␀"), record.status),
            *(record.response.replace("\x00", "␀"), record.outcome),
            *(record.started_at, record.seconds),
        ],
    )


#: requests that add calls per second; the same as ``Account.find_pace``
_LIMIT = f"coalesce(nullif(rate_limit, 0), {UNLIMITED})"
_PACE = f"""greatest({SLOWEST},
 slowed_to + {_LIMIT} * {RECOVERY} * extract(epoch FROM clock_timestamp() - slowed_at))"""
_IS_SLOWED = f"(slowed_to IS NOT NULL AND {_PACE} < {_LIMIT})"
_STEP = "coalesce(interval '1 second' / nullif(rate_limit, 0), interval '0')"
_CALL_STEP = f"CASE WHEN {_IS_SLOWED} THEN interval '1 second' / {_PACE} ELSE {_STEP} END"
_TURN = "greatest(next_request_at, clock_timestamp())"
_CALL_TURN = "greatest(next_request_at, next_call_at, clock_timestamp())"

_TAKE_TURN = f"""UPDATE campaigns_account SET next_request_at = {_TURN} + {_STEP}
 WHERE id = %(id)s AND {_TURN} < clock_timestamp() + %(near)s::interval
 RETURNING extract(epoch FROM next_request_at - {_STEP} - clock_timestamp()),
 %(count)s::integer"""  # noqa: S608
#: so many turns, one after the other; of a slow account one
_COUNT = f"CASE WHEN {_IS_SLOWED} THEN 1 ELSE %(count)s::integer END"
_TAKE_CALL_TURN = f"""UPDATE campaigns_account
 SET next_request_at = {_CALL_TURN} + {_STEP} * ({_COUNT}),
 next_call_at = {_CALL_TURN} + ({_CALL_STEP}) * ({_COUNT}),
 slowed_to = CASE WHEN {_IS_SLOWED} THEN slowed_to END,
 slowed_at = CASE WHEN {_IS_SLOWED} THEN slowed_at END
 WHERE id = %(id)s AND {_CALL_TURN} < clock_timestamp() + %(near)s::interval
 RETURNING extract(epoch FROM next_request_at - {_STEP} * ({_COUNT}) - clock_timestamp()),
 {_COUNT}"""  # noqa: S608
_ASK_TURN = f"""SELECT extract(epoch FROM {_CALL_TURN} - clock_timestamp())
 FROM campaigns_account WHERE id = %(id)s"""  # noqa: S608


def wait_for_turn(account: Account, *, adds_calls: bool = True) -> None:
    """Wait until the account may send its next request; all workers share the one row.

    Raises ``NotSent`` when the turn would be more than ``LONGEST_PACE_SECONDS`` away. A request
    that adds calls takes no turn before it is near: so no other waits long behind it.
    """
    if adds_calls and _use_turn(account):
        return
    if not account.rate_limit and account.slowed_to is None and account.next_call_at is None:
        return
    if not adds_calls:
        taken = _take_turns(account, _TAKE_TURN, near=LONGEST_PACE_SECONDS)
        if taken is None:
            raise NotSent("No turn is near enough.", advice=TOO_MANY)
        time.sleep(taken[0])
        return
    ends = time.monotonic() + LONGEST_PACE_SECONDS
    ahead = account.__dict__.pop("requests_ahead", 1)  # said of this request only
    count = ahead if account.rate_limit else 1
    while (taken := _take_turns(account, _TAKE_CALL_TURN, near=NEAR_SECONDS, count=count)) is None:
        away = _ask_turn(account)
        if time.monotonic() + away > ends:
            raise NotSent("No turn is near enough.", advice=TOO_MANY)
        time.sleep(max(away - NEAR_SECONDS / 2, NEAR_SECONDS / 10))
    wait, count = taken
    if count > 1:
        first, step = time.monotonic() + wait, 1 / account.rate_limit
        account.turns = deque(first + step * number for number in range(1, count))
    time.sleep(wait)


def expect_requests(account: Account, count: int) -> None:
    """So many requests that add calls follow one another now, the next one included: their turns
    are taken together, as long as the account is not slow."""
    account.requests_ahead = count


def _use_turn(account: Account) -> bool:
    """Wait for a turn that was taken before; False where there is none that is still good. Whoever
    comes late to one takes another: the limit holds for what is sent, not for what was planned."""
    turns: deque[float] | None = account.__dict__.get("turns")
    if not turns:
        return False
    turn = turns.popleft()
    # The account is as it was right before the request before this one.
    if account.slowed_to is not None or time.monotonic() > turn + LATEST_SECONDS:
        turns.clear()
        return False
    if (away := turn - time.monotonic()) > 0:
        time.sleep(away)
    return True


def _take_turns(
    account: Account, statement: str, *, near: float, count: int = 1
) -> tuple[float, int] | None:
    """Seconds until the first of the turns that were taken, and how many were, ``count`` at most;
    None when none is near."""
    if not connection.in_atomic_block:
        statement = f"{statement}, {SOON}"
    values = {"id": account.pk, "near": timedelta(seconds=near), "count": count}
    rows = run(statement, values)
    return (max(0.0, float(rows[0][0])), int(rows[0][1])) if rows else None


def _ask_turn(account: Account) -> float:
    with connection.cursor() as cursor:
        cursor.execute(_ASK_TURN, {"id": account.pk})
        row = cursor.fetchone()
    return float(row[0]) if row else 0.0


def slow_down(account: Account, *, retry_after: float | None = None) -> None:
    """The platform is too busy: what adds calls for the account, of whatever task and worker, goes
    half as fast, and not before the moment that the platform names.

    The answers of one second count as one. A pace that cannot be written down must not change what
    the exchange is taken for.
    """
    wait = min(max(retry_after or 0.0, 0.0), LONGEST_RETRY_AFTER)
    account.__dict__.pop("turns", None)
    try:
        now = timezone.now()
        rate = account.rate_limit or measure_pace(account, now)
        with connection.cursor() as cursor:
            if wait:
                cursor.execute(
                    "UPDATE campaigns_account SET next_call_at ="
                    " greatest(next_call_at, clock_timestamp() + %s) WHERE id = %s",
                    [timedelta(seconds=wait), account.pk],
                )
            cursor.execute(
                "UPDATE campaigns_account SET slowed_at = clock_timestamp(), slowed_to ="  # noqa: S608
                f" greatest({SLOWEST}, CASE WHEN {_IS_SLOWED} THEN {_PACE} ELSE %s END / 2)"
                " WHERE id = %s AND (slowed_at IS NULL"
                " OR slowed_at < clock_timestamp() - interval '1 second')",
                [rate, account.pk],
            )
    except DatabaseError:
        logger.exception("Account %s: that the platform is busy could not be kept.", account.pk)


def measure_pace(account: Account, now: datetime) -> float:
    """Requests per second of the last moments, of an account that has no limit."""
    since = now - timedelta(seconds=2)
    newest = Exchange.objects.filter(account=account).order_by("-id")[:400]
    return min(sum(started > since for started in newest.values_list("started_at", flat=True)) / 2,
               UNLIMITED) or 1.0  # fmt: skip


def find_wait(account: Account) -> float:
    """Seconds until it is worth claiming something that adds calls for this account, as it was
    read: 0 unless its pace is slow and others wait for their turn already.

    What is claimed waits for its turn in a worker, which could do something else meanwhile.
    """
    now = timezone.now()
    pace = account.find_pace(now) or float(account.rate_limit) or UNLIMITED
    if account.next_call_at is not None:
        away = (account.next_call_at - now).total_seconds()
        if away > 2:
            return min(away, LONGEST_PACE_SECONDS)
    if pace >= UNCROWDED:
        return 0.0
    waiting = Attempt.objects.filter(status=Attempt.Status.SENDING, task__account=account.pk)
    crowded = waiting.count() >= max(2.0, pace * 2)
    return min(max(1 / pace, 0.2), 5.0) if crowded else 0.0


def find_room(account: Account, *, seconds: float) -> int:
    """How many requests that add calls the account may send within so many seconds, as it was
    read; 1 at least."""
    now = timezone.now()
    pace = account.find_pace(now) or float(account.rate_limit) or UNLIMITED
    return max(1, int(pace * seconds))


#: the first half of the advisory lock's key: "the token of account n"
TOKEN_LOCK = 70_001


class AccountTokens:
    """The account's token in one row; one process at a time fetches.

    No transaction is open meanwhile: the record of a refused log-in must stay.
    """

    def __init__(self, account: Account) -> None:
        self.account = account

    def get(self, fetch: Callable[[], tuple[str, float]], *, stale: str | None = None) -> str:
        known = getattr(self.account, "known_token", None)  # read with it, see ``fresh``
        token = self._use(known) if known else self._read()
        if token and token != stale:
            return token
        with only_one(
            TOKEN_LOCK,
            self.account.pk,
            wait=True,
            idle=settings.LEASE_SECONDS + settings.HTTP_TIMEOUT_SECONDS,
        ):
            token = self._read()
            if token and token != stale:
                return token  # somebody else fetched it while this process waited
            value, lifetime = fetch()
            usable = max(0.0, lifetime - max(SAFETY_SECONDS, lifetime * SAFETY_SHARE))
            AccountToken.objects.update_or_create(
                account=self.account,
                defaults={
                    "value": {"token": value},
                    "expires_at": timezone.now() + timedelta(seconds=usable or lifetime / 2),
                },
            )
        return value

    def _read(self) -> str:
        return self._use(AccountToken.objects.filter(account=self.account).first())

    @staticmethod
    def _use(row: AccountToken | None) -> str:
        if row is None or row.expires_at is None or row.expires_at <= timezone.now():
            return ""
        return str(row.value.get("token", ""))
