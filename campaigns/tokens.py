"""In: an account, and what is to be done with its callback addresses. Out: one more, or one less.

The secret part of an address is a token. Two live at a time, so that a platform is switched over
without losing a push: make the second, enter it at the platform, wait until the pushes come by it,
revoke the first. A third is refused, since it would silently end one that may be in use.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.catalog import make_callback_urls
from campaigns.models import Account, CallbackToken

#: used since then, an address counts as in use. Its last use is written down once a minute.
IN_USE = timedelta(hours=1)
MOST = 2
LARGEST_ID = 2**63 - 1


class Refused(Exception):
    """It was not done; the text is a sentence for whoever asked."""


class InUse(Refused):
    """It would be done if whoever asks says that it is meant."""


def list_tokens(account: Account) -> list[CallbackToken]:
    """The newest first, those that live before those that do not."""
    tokens = account.callback_tokens.order_by("-created_at", "-id")
    return sorted(tokens, key=lambda token: token.revoked_at is not None)


def is_in_use(token: CallbackToken, now: datetime) -> bool:
    return token.last_used_at is not None and now - token.last_used_at < IN_USE


def add_addresses(account: Account) -> dict[str, str]:
    """New addresses, {kind: address}, whole this once. Raises ``Refused``."""
    with transaction.atomic():
        _lock(account)
        if account.callback_tokens.filter(revoked_at=None).count() >= MOST:
            raise Refused(
                _("Two addresses are valid already. Revoke the one that is used no more first.")
            )
        return make_callback_urls(account)


def revoke_token(account: Account, token_id: int, *, although_in_use: bool = False) -> None:
    """From its commit on, a push to this address is refused. Raises ``Refused``, ``InUse``."""
    with transaction.atomic():
        _lock(account)
        live = {token.pk: token for token in account.callback_tokens.filter(revoked_at=None)}
        token = live.get(token_id)
        if token is None:
            raise Refused(_("This account has no valid address of that number."))
        if len(live) == 1:
            raise Refused(
                _("It is the only valid address. Make the next one first, and enter it there.")
            )
        if is_in_use(token, timezone.now()) and not although_in_use:
            raise InUse(
                _("A push came by this address within the last hour: the platform still uses it.")
            )
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])


def describe_token(token: CallbackToken) -> dict[str, Any]:
    """What may be told of a token: everything but its text."""
    return {
        "id": token.pk,
        "ends_with": token.hint,
        "created_at": token.created_at.isoformat(),
        "last_used_at": token.last_used_at and token.last_used_at.isoformat(),
        "revoked_at": token.revoked_at and token.revoked_at.isoformat(),
    }


def _lock(account: Account) -> None:
    """One change at a time. Pushes, which refer to the account, do not wait for it."""
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
