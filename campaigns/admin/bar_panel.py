"""In: somebody's number on the page of a call or a contact. Out: whether nobody may call it, since
when and why, or the button that forbids it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from campaigns.admin.base import make_badge
from campaigns.barring import find_barred, is_normal
from campaigns.models import Account, Call, Contact, DoNotCall, Task

FORBID = "campaigns.add_donotcall"
ALLOW = "campaigns.change_donotcall"
SEE = "campaigns.view_donotcall"

#: with the platform, or perhaps: nothing of ours takes these back
_GONE = ("sending", "unknown", "accepted")
_OVER = (Task.Status.FINISHED, Task.Status.DELETED)


def describe_bar(request: HttpRequest, *, account: Account, phone: str, of: str) -> dict[str, Any]:
    """What ``campaigns/bar_panel.html`` and ``bar_button.html`` need. ``of`` is the query that
    names the row, like ``call=7``."""
    number = read_number(phone)
    entry = find_barred(account, [number]).get(number) if number else None
    may_forbid = bool(number) and entry is None and request.user.has_perm(FORBID)
    return {
        "bar": entry,
        "bar_url": reverse("admin:campaigns_donotcall_change", args=[entry.pk])
        if entry is not None and request.user.has_perm(SEE)
        else "",
        "forbid_url": f"{reverse('admin:campaigns_donotcall_add')}?{of}" if may_forbid else "",
    }


def read_number(phone: str) -> str:
    """The number, or nothing for what is none in normal form: a masked one, an extension."""
    return phone if is_normal(phone) else ""


def find_phone(call: Call) -> str:
    """The number of the person in a call, as it was told."""
    if call.contact is not None:
        return call.contact.phone
    return call.caller if call.direction == Call.Direction.INBOUND else call.callee


def show_state(entry: DoNotCall) -> SafeString:
    """Whether the entry holds."""
    if entry.lifted_at is not None:
        return make_badge(_("lifted"), "mute")
    if entry.expires_at is not None and entry.expires_at <= timezone.now():
        return make_badge(_("expired"), "warn")
    return make_badge(_("in force"), "info")


def count_gone(phones: Iterable[str], account: Account | None) -> int:
    """Contacts with these numbers that the platform has already, and may still call."""
    contacts = Contact.objects.filter(phone__in=list(phones), status__in=_GONE)
    if account is not None:
        contacts = contacts.filter(account=account)
    return contacts.exclude(task__status__in=_OVER).count()
