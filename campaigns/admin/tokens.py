"""In: an account. Out: the page of its callback addresses: make the next one, revoke an old one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns import tokens
from campaigns.admin.account_page import tells_addresses
from campaigns.admin.base import (
    CallboardAdmin,
    issue_form_token,
    make_badge,
    refuse_twice,
    spend_form_token,
    tell_age,
)
from campaigns.models import Account, CallbackToken

#: revoked ones that the page still tells of
SHOWN_REVOKED = 10


def show_addresses(admin: CallboardAdmin, request: HttpRequest, account: Account) -> HttpResponse:
    """Which there are; on a click one more, its addresses whole this once."""
    made: list[tuple[str, str, str]] = []
    if request.method == "POST":
        if not spend_form_token(request):
            refuse_twice(request)
            return redirect("admin:campaigns_account_addresses", account.pk)
        try:
            urls = tokens.add_addresses(account)
        except tokens.Refused as error:
            messages.error(request, str(error))
            return redirect("admin:campaigns_account_addresses", account.pk)
        admin.log_change(request, account, "New callback addresses.")
        made = [
            (kind or _("One address for everything"), _(words), urls[kind or "*"])
            for kind, words in account.vendor.kinds.items()
        ]
    known = tokens.list_tokens(account)
    live = [token for token in known if token.revoked_at is None]
    gone = [token for token in known if token.revoked_at is not None]
    return admin.show(
        request,
        "campaigns/account_addresses.html",
        _("Callback addresses"),
        account=account,
        made=made,
        tells_addresses=tells_addresses(account),
        live=[describe_live(token, only=len(live) == 1) for token in live],
        gone=gone[:SHOWN_REVOKED],
        more=max(0, len(gone) - SHOWN_REVOKED),
        may_add=len(live) < tokens.MOST,
        form_token=issue_form_token(request),
    )


def describe_live(token: CallbackToken, *, only: bool) -> dict[str, Any]:
    in_use = tokens.is_in_use(token, timezone.now())
    if token.last_used_at is None:
        state = make_badge(_("nothing came yet"), "warn")
    elif in_use:
        state = make_badge(_("in use"), "good")
    else:
        state = make_badge(_("not used lately"))
    return {
        "id": token.pk,
        "hint": token.hint,
        "created_at": token.created_at,
        "last_used_at": token.last_used_at,
        "used": tell_age(token.last_used_at),
        "state": state,
        "in_use": in_use,
        "only": only,
    }


def revoke(admin: CallboardAdmin, request: HttpRequest, account: Account) -> HttpResponse:
    """End one address. Of one in use the form has to say that it is meant."""
    number = request.POST.get("token", "")
    is_number = number.isascii() and number.isdecimal() and len(number) < 20
    token_id = min(int(number), tokens.LARGEST_ID) if is_number else 0
    hint = account.callback_tokens.filter(pk=token_id).values_list("hint", flat=True).first()
    try:
        tokens.revoke_token(
            account, token_id, although_in_use=request.POST.get("although_in_use") == "yes"
        )
    except tokens.InUse as error:
        messages.warning(
            request, f"{error} {_('Tick the box if it is to be revoked all the same.')}"
        )
    except tokens.Refused as error:
        messages.error(request, str(error))
    else:
        admin.log_change(request, account, f"The callback address …{hint} is revoked.")
        messages.success(
            request,
            _("The address …%(hint)s is revoked: pushes to it are refused from now on.")
            % {"hint": hint},
        )
    return redirect("admin:campaigns_account_addresses", account.pk)
