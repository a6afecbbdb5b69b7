"""In: an address that somebody typed. Out: a webhook with a secret of its own, shown once."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.models import NoticeHook

#: so long after a change the secret before it signs too
BOTH_SIGN = timedelta(days=1)
LONGEST = 2000


class AddressRefused(Exception):
    """Nothing may be sent there; the text is a sentence for whoever typed it, translated."""


def check_address(url: str) -> str:
    """The address as it is used. Raises ``AddressRefused``.

    Whether its host is private is looked at when something is sent, at the address that is
    connected to; http is for hosts of ``NOTICE_ALLOW_HOSTS`` alone.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise AddressRefused(_("This is no address.")) from None
    if len(url) > LONGEST or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused(_("This is no address."))
    if parts.username is not None or parts.password is not None:
        raise AddressRefused(_("An address with a user and a password in it is not taken."))
    if parts.scheme == "https":
        return url
    allowed = settings.NOTICE_ALLOW_HOSTS
    if parts.scheme == "http" and (host in allowed or f"{host}:{port or 80}" in allowed):
        return url
    raise AddressRefused(_("The address has to begin with https://."))


def show_address(url: str) -> str:
    """What may be shown of it: its path may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"[:300]


def set_address(hook: Any, url: str) -> None:
    """Of a ``NoticeHook``, without saving."""
    hook.secrets = {**hook.secrets, "url": url}
    hook.shown = show_address(url)


def make_secret(hook: NoticeHook) -> str:
    """A new secret of 256 bits, given back this once; the one before it signs for a day more."""
    text = secrets.token_urlsafe(32)
    with transaction.atomic():
        row = NoticeHook.objects.select_for_update().get(pk=hook.pk)
        kept = {**row.secrets, "secret": text}
        if before := row.secrets.get("secret"):
            kept["previous"] = before
        row.secrets, row.rotated_at = kept, timezone.now()
        row.save(update_fields=["secrets", "rotated_at"])
    hook.secrets, hook.rotated_at = row.secrets, row.rotated_at
    return text


def list_secrets(hook: NoticeHook) -> list[str]:
    """Those that sign now, the newest first."""
    known = [hook.secrets.get("secret", "")]
    if hook.rotated_at is not None and timezone.now() - hook.rotated_at < BOTH_SIGN:
        known.append(hook.secrets.get("previous", ""))
    return [one for one in known if one]
