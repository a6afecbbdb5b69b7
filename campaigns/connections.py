"""In: an account. Out: a client that may talk to its platform.

Gives the pure clients of ``campaigns.platforms`` what they need of the database: the account's
secrets, its token (one fetch at a time over all processes), its pace (one row that all workers
share) and a place where every exchange is kept, redacted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns.locks import only_one
from campaigns.models import Account, AccountToken, Attempt, Exchange, Task
from campaigns.platforms.contract import Client, Connection
from campaigns.platforms.errors import NotSent
from campaigns.platforms.http import ExchangeRecord, Reply, Transport

logger = logging.getLogger(__name__)

#: a token is not used in the last tenth of its life, nor in the last minute
SAFETY_SHARE, SAFETY_SECONDS = 0.1, 60.0
#: nobody waits longer than this for a turn; the caller tries again later
LONGEST_PACE_SECONDS = 30.0

PUSHES_ONLY = N_("This platform only pushes to us; it takes no calls.")
TOO_MANY = N_("Too many requests wait for this account. Nothing was sent; try again in a minute.")


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
    ``Transport``."""
    return Transport(
        allow_hosts=frozenset(settings.PLATFORM_ALLOW_HOSTS),
        timeout=timeout or settings.HTTP_TIMEOUT_SECONDS,
        secrets=tuple(account.credentials.values()),
        secret_fields=account.vendor.secret_fields,
        record=lambda record: keep_exchange(record, account=account, task=task, attempt=attempt),
        pace=lambda: wait_for_turn(account),
        fence=fence,
        heard=heard,
    )


def open_client(
    account: Account,
    *,
    task: Task | None = None,
    attempt: Attempt | None = None,
    fence: Callable[[], Callable[[], None] | None] | None = None,
) -> Client:
    """A client of the account's platform. Raises ``NotSent`` when it takes no calls from us.

    ``attempt`` is the request that adds calls which is sent, or asked about, with it.

    It is given for an account that is switched off too: switching off must not take away the means
    to ask, to pause and to delete. What adds calls is refused by ``attempts.carry_out``.
    """
    account.refresh_from_db(
        fields=["is_active", "credentials", "base_url", "rate_limit", "is_sandbox"]
    )
    connect = account.vendor.connect
    if connect is None:
        raise NotSent("The platform takes no calls.", advice=PUSHES_ONLY)
    return connect(
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
                heard=lambda reply: note_sandbox(account, reply),
            ),
            tokens=AccountTokens(account),
        )
    )


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


def _write_exchange(
    record: ExchangeRecord, *, account: Account, task: Task | None, attempt: Attempt | None
) -> None:
    Exchange.objects.create(
        account=account,
        task=task,
        attempt=attempt,
        purpose=record.purpose,
        method=record.method,
        url=record.url.replace("\x00", "␀"),
        request=record.request.replace("\x00", "␀"),
        http_code=record.status,
        response=record.response.replace("\x00", "␀"),
        outcome=record.outcome,
        started_at=record.started_at,
        seconds=record.seconds,
    )


def wait_for_turn(account: Account) -> None:
    """Wait until the account may send its next request; all workers share the one row.

    Raises ``NotSent`` when the turn would be more than ``LONGEST_PACE_SECONDS`` away.
    """
    if not account.rate_limit:
        return
    step = timedelta(seconds=1 / account.rate_limit)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_account"
            " SET next_request_at = greatest(coalesce(next_request_at, clock_timestamp()),"
            " clock_timestamp()) + %s WHERE id = %s"
            " AND coalesce(next_request_at, clock_timestamp()) < clock_timestamp() + %s"
            " RETURNING extract(epoch FROM next_request_at - %s - clock_timestamp())",
            [step, account.pk, timedelta(seconds=LONGEST_PACE_SECONDS), step],
        )
        row = cursor.fetchone()
    if row is None:
        raise NotSent("No turn is near enough.", advice=TOO_MANY)
    if row[0] > 0:
        time.sleep(float(row[0]))


#: the first half of the advisory lock's key: "the token of account n"
TOKEN_LOCK = 70_001


class AccountTokens:
    """The account's token in one row; one process at a time fetches.

    No transaction is open meanwhile: the record of a refused log-in must stay.
    """

    def __init__(self, account: Account) -> None:
        self.account = account

    def get(self, fetch: Callable[[], tuple[str, float]], *, stale: str | None = None) -> str:
        token = self._read()
        if token and token != stale:
            return token
        with only_one(TOKEN_LOCK, self.account.pk, wait=True):
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
        row = AccountToken.objects.filter(account=self.account).first()
        if row is None or row.expires_at is None or row.expires_at <= timezone.now():
            return ""
        return str(row.value.get("token", ""))
