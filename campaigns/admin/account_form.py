"""In: a platform's declaration and what somebody typed. Out: an account, or each mistake beside
its field.

Credentials are write-only: an empty field keeps what is stored.
"""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
)

from campaigns.models import Account
from campaigns.platforms.contract import Platform
from campaigns.platforms.errors import Forbidden
from campaigns.platforms.http import check_address


def check_base_url(url: str) -> str:
    """Why an address may not be a platform's, "" when it may.

    Private and loopback hosts are refused unless this installation names them; http is for those
    alone. A name that cannot be resolved now is left to the connection test.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return _("This is not an address.")
    if parts.scheme not in ("http", "https") or not host:
        return _("The address must begin with https://.")
    if parts.username or parts.password:
        return _("The address must not hold a user or password; credentials have their own fields.")
    port = port or (443 if parts.scheme == "https" else 80)
    allowed = set(settings.PLATFORM_ALLOW_HOSTS)
    if parts.scheme == "http" and not {host, f"{host}:{port}"} & allowed:
        return _("Use https://: over http everybody on the way can read the credentials.")
    try:
        check_address(host, port, allow_hosts=allowed)
    except Forbidden:
        return _(
            "This host is on this machine or in a private network. Name it in PLATFORM_ALLOW_HOSTS "
            "if it should be a platform."
        )
    except (socket.gaierror, UnicodeError, OSError):
        return ""
    return ""


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """The fields every account has; those its platform declares are added by ``make_form``."""

    vendor: Platform

    class Meta:
        model = Account
        fields = ("name", "base_url", "time_zone", "rate_limit", "is_active")

    def clean_base_url(self) -> str:
        url = str(self.cleaned_data["base_url"]).strip().rstrip("/")
        problem = check_base_url(url)
        if problem:
            raise forms.ValidationError(problem)
        return url

    def clean_rate_limit(self) -> int:
        limit = int(self.cleaned_data["rate_limit"])
        if not 1 <= limit <= 1000:
            raise forms.ValidationError(_("Between 1 and 1000 requests per second."))
        return limit

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for declared in self.vendor.credentials:
            name = f"credential_{declared.name}"
            known = self.instance.pk and self.instance.credentials.get(declared.name)
            if declared.required and not data.get(name) and not known:
                self.add_error(name, _("The platform needs this to let us in."))
        return data

    def save(self, commit: bool = True) -> Any:
        account = super().save(commit=False)
        data = self.cleaned_data
        account.platform = self.vendor.slug
        account.settings = dict(account.settings) | {
            declared.name: data.get(f"setting_{declared.name}", "").strip()
            for declared in self.vendor.settings
        }
        entered = {
            declared.name: data[f"credential_{declared.name}"].strip()
            for declared in self.vendor.credentials
            if data.get(f"credential_{declared.name}")
        }
        account.credentials = dict(account.credentials) | entered
        if commit:
            account.save()
        return account


def make_form(vendor: Platform, account: Account | None) -> type[AccountForm]:
    """The form of an account of this platform, with a field for each setting and credential."""
    fields: dict[str, Any] = {"vendor": vendor}
    for declared in vendor.settings:
        fields[f"setting_{declared.name}"] = forms.CharField(
            label=_(declared.label),
            help_text=_(declared.help) if declared.help else "",
            required=declared.required,
            max_length=500,
            initial=account.settings.get(declared.name, "") if account else declared.default,
            widget=UnfoldAdminTextInputWidget(attrs={"placeholder": declared.default}),
        )
    for declared in vendor.credentials:
        stored = bool(account and account.credentials.get(declared.name))
        fields[f"credential_{declared.name}"] = forms.CharField(
            label=_(declared.label),
            help_text=_("Stored. Leave empty to keep it.") if stored else _("Not stored yet."),
            required=False,
            max_length=2000,
            widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        )
    return type("AccountForm", (AccountForm,), fields)
