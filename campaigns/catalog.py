"""In: an account. Out: whether its log-in works, and its robots, lines and voices mirrored here.

What the platform lists no more is marked gone, never deleted: tasks and calls still point at it.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as N_

from campaigns.connections import open_client
from campaigns.models import Account, CallbackToken, Line, Robot, Voice
from campaigns.platforms.contract import Catalog, LineInfo, RobotInfo, VoiceInfo
from campaigns.platforms.errors import Forbidden, PlatformError, Uncertain
from campaigns.platforms.http_addresses import check_address
from campaigns.platforms.values import clean, clean_text
from campaigns.versions import note_versions

logger = logging.getLogger(__name__)

NO_ANSWER = N_(
    "The platform gave no answer that can be used. Check the base URL of the account, or try again "
    "later."
)
NO_REASON = N_("The platform refused and did not say why. Try again later.")
LARGEST_INTEGER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SyncCounts:
    """How many the platform lists now, and how many it stopped listing since the last time."""

    robots: int
    lines: int
    voices: int
    gone: int


def test_connection(account: Account) -> str:
    """Log in for real. "" when it works, else a sentence for the operator; kept on the account.

    The sentence is English and without values, so that every screen can translate it.
    """
    try:
        open_client(account).test_connection()
        problem = ""
    except PlatformError as error:
        problem = advise(error)
    account.connection_checked_at, account.connection_error = timezone.now(), problem
    account.save(update_fields=["connection_checked_at", "connection_error"])
    return problem


# The name is the button's; pytest must not take it for a test where it is imported.
test_connection.__test__ = False  # type: ignore[attr-defined]


def advise(error: PlatformError) -> str:
    """What to do about it: one English sentence, never empty. What happened is in the exchange."""
    if isinstance(error, Uncertain) and error.advice == Uncertain.advice:
        return NO_ANSWER  # asking carries nothing out, so nothing may have been carried out
    return error.advice or NO_REASON


def describe_error(error: PlatformError) -> str:
    """What to do about it in the reader's language, and the technical words for who needs them."""
    told = gettext(error.advice or NO_REASON)
    return f"{told} ({error})" if str(error) not in ("", error.advice) else told


def sync_account(account: Account) -> SyncCounts:
    """Mirror what the platform lists. Raises ``PlatformError``; then nothing has changed.

    Any number may run at once: each writes in one transaction under the account's lock, and an
    answer that was asked for earlier than the one already stored is not applied.
    """
    asked_at = timezone.now()
    catalog = open_client(account).fetch_catalog()
    with transaction.atomic():
        locked = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if locked.synced_at is not None and locked.synced_at > asked_at:
            gone = 0
        else:
            gone = store_catalog(locked, catalog, asked_at=asked_at)
    account.refresh_from_db(fields=["synced_at", "callback_urls"])
    return SyncCounts(
        robots=len(catalog.robots),
        lines=len(catalog.lines),
        voices=len(catalog.voices),
        gone=gone,
    )


def store_catalog(account: Account, catalog: Catalog, *, asked_at: datetime) -> int:
    """Write one answer down; returns how many rows became gone by it."""
    gone = mirror(
        Robot,
        account,
        key="platform_id",
        rows={robot.platform_id: read_robot(robot) for robot in catalog.robots},
        at=asked_at,
    )
    note_versions(account, seen_at=asked_at)
    gone += mirror(
        Line,
        account,
        key="number",
        rows={line.number: read_line(line) for line in catalog.lines},
        at=asked_at,
    )
    gone += mirror(
        Voice,
        account,
        key="code",
        rows={voice.code: read_voice(voice) for voice in catalog.voices},
        at=asked_at,
    )
    account.callback_urls = clean(catalog.callback_urls)
    account.synced_at = asked_at
    account.save(update_fields=["callback_urls", "synced_at"])
    return gone


def mirror(
    model: type[Any],
    account: Account,
    *,
    key: str,
    rows: Mapping[str, Mapping[str, Any]],
    at: datetime,
) -> int:
    """Insert or refresh ``rows`` ({their id: fields}) and mark those that are missing as gone."""
    limit = model._meta.get_field(key).max_length
    usable = {
        clean_text(their_id): fields
        for their_id, fields in rows.items()
        if 0 < len(clean_text(their_id)) <= limit
    }
    if len(usable) < len(rows):
        logger.warning(
            "%s of account %s: %d entries have no usable id and are left out.",
            model.__name__,
            account.pk,
            len(rows) - len(usable),
        )
    seen = {"seen_at": at, "gone_at": None}
    objects = [
        model(account=account, **{key: their_id}, **fit(model, fields), **seen)
        for their_id, fields in usable.items()
    ]
    if objects:
        model.objects.bulk_create(
            objects,
            update_conflicts=True,
            unique_fields=["account", key],
            update_fields=[*next(iter(usable.values())), *seen],
        )
    missing = model.objects.filter(account=account, gone_at=None).exclude(**{f"{key}__in": usable})
    return int(missing.update(gone_at=at))


def fit(model: type[models.Model], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the columns take them: a platform's texts know no lengths."""
    fitting = {}
    for name, value in fields.items():
        limit = getattr(model._meta.get_field(name), "max_length", None)
        if isinstance(value, str):
            fitting[name] = clean_text(value)[:limit]
        elif isinstance(value, dict | list):
            fitting[name] = clean(value)
        else:
            fitting[name] = value
    return fitting


def read_robot(robot: RobotInfo) -> dict[str, Any]:
    return {
        "name": robot.name,
        "columns": list(robot.columns),
        "state": known(robot.state, Robot.State.values),
        "platform_state": robot.platform_state,
        "kind": known(robot.kind, Robot.Kind.values),
        "deleted": robot.deleted,
        "platform_created_at": robot.created_at,
        "platform_updated_at": robot.updated_at,
        "raw": robot.raw,
    }


def read_line(line: LineInfo) -> dict[str, Any]:
    many = line.concurrency
    return {
        "concurrency": None if many is None else max(0, min(many, LARGEST_INTEGER)),
        "hours": [[begin.isoformat(), end.isoformat()] for begin, end in line.hours],
        "state": known(line.state, Line.State.values),
        "platform_state": line.platform_state,
        "applied_at": line.applied_at,
        "expires_at": line.expires_at,
        "raw": line.raw,
    }


def read_voice(voice: VoiceInfo) -> dict[str, Any]:
    return {"name": voice.name, "raw": {"code": voice.code, "name": voice.name}}


def known(word: str, words: Iterable[str]) -> str:
    return word if word in words else "unknown"


def make_callback_urls(account: Account) -> dict[str, str]:
    """New callback addresses of an account, {kind: address}, ``"*"`` for the one without a kind.

    The only time they are whole: the token in them is kept as a hash.
    """
    token = CallbackToken.make(account)[1]
    base = f"{settings.PUBLIC_URL}/callbacks/{token}/"
    return {kind or "*": f"{base}{kind}" for kind in account.vendor.kinds}


def check_base_url(url: str) -> str:
    """Why an address may not be a platform's, in the reader's language; "" when it may.

    Private and loopback hosts are refused unless this installation names them; http is for those
    alone. A name that cannot be resolved now is left to the connection test.
    """
    if problem := check_url_shape(url):
        return problem
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    allowed = set(settings.PLATFORM_ALLOW_HOSTS)
    if parts.scheme == "http" and not {host, f"{host}:{port}"} & allowed:
        return gettext("Use https://: over http everybody on the way can read the credentials.")
    try:
        check_address(host, port, allow_hosts=allowed)
    except Forbidden:
        return gettext(
            "This host is on this machine or in a private network. Name it in PLATFORM_ALLOW_HOSTS "
            "if it should be a platform."
        )
    except (socket.gaierror, UnicodeError, OSError):
        return ""
    return ""


def check_url_shape(url: str) -> str:
    """Why a text is no base URL whatever this installation allows; "" when it is one."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return gettext("This is not an address.")
    if parts.scheme not in ("http", "https") or not host:
        return gettext("The address must begin with https://.")
    if parts.username or parts.password:
        return gettext(
            "The address must not hold a user or password; credentials have their own fields."
        )
    return ""
