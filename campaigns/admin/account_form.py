"""In: a platform's declaration and what somebody typed. Out: an account, or each mistake beside
its field.

Credentials are write-only: an empty field keeps what is stored.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import dates
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from campaigns.catalog import check_base_url
from campaigns.drafting import WindowsUnreadable, print_windows, read_call_hours
from campaigns.models import Account
from campaigns.platforms.contract import UNVERIFIED_SETTING, AccountField, Platform
from campaigns.wording import tell_ability, tell_choice

#: from Monday on, in Django's own words
WEEKDAYS = [dates.WEEKDAYS[number] for number in range(7)]


def tell_stored_hours(stored: Any) -> str:
    """The text of the field; of what cannot be read the text itself, to be corrected."""
    try:
        return print_windows(stored)
    except (AttributeError, TypeError, ValueError):
        return str(stored)[:200]


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """The fields every account has; those its platform declares are added by ``make_form``."""

    vendor: Platform

    class Meta:
        model = Account
        fields = (
            *("name", "base_url", "time_zone", "region", "rate_limit"),
            *("cap_calls", "cap_days", "keeps_holidays", "is_active"),
            *("failure_percent", "failure_sample"),
        )

    hours_text = forms.CharField(
        label=capfirst(gettext_lazy("calling hours")),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "09:00-12:00, 13:00-21:00"}),
        help_text=gettext_lazy(
            "Nobody is called outside of them, by the account's zone and by the zone of the"
            " number's region. Empty: only the tasks' own windows hold."
        ),
    )
    days = forms.TypedMultipleChoiceField(
        label=capfirst(gettext_lazy("calling days")),
        coerce=int,
        choices=[(number, WEEKDAYS[number - 1]) for number in range(1, 8)],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "cb-week"}),
        required=False,
        help_text=gettext_lazy("A window over midnight belongs to the day on which it begins."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("hours_text", tell_stored_hours(self.instance.call_hours))
        self.initial.setdefault("days", self.instance.call_days)
        if "failure_sample" in self.fields:
            self.fields["failure_sample"].required = False

    def clean_hours_text(self) -> list[list[str]]:
        try:
            return read_call_hours(self.cleaned_data["hours_text"])
        except WindowsUnreadable as error:
            raise forms.ValidationError(str(error)) from None

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

    def clean_failure_sample(self) -> int:
        """Left empty it stays as it is."""
        return int(self.cleaned_data.get("failure_sample") or self.instance.failure_sample)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "hours_text" not in self.data:
            # Whoever sends no hours at all, a platform that is not called or a program, leaves
            # what is kept as it is.
            account = self.instance
            stored = Account.objects.filter(pk=account.pk).first() or Account()
            data |= {"hours_text": stored.call_hours, "days": stored.call_days}
            data["keeps_holidays"] = stored.keeps_holidays
        elif not data.get("days"):
            self.add_error("days", _("Choose at least one day."))
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
        account.call_hours, account.call_days = data["hours_text"], sorted(data["days"])
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
        stored = account.settings.get(declared.name, "") if account else declared.default
        fields[f"setting_{declared.name}"] = make_setting(vendor, declared, initial=stored)
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


def make_setting(vendor: Platform, declared: AccountField, *, initial: str) -> forms.Field:
    """One setting: a choice among what the platform declares, or a text."""
    words = [_(declared.help)] if declared.help else []
    if declared.name == UNVERIFIED_SETTING:
        words.append(explain_unverified(vendor))
    common: dict[str, Any] = {
        "label": _(declared.label),
        "help_text": " ".join(words),
        "required": declared.required,
    }
    if declared.choices:
        return forms.ChoiceField(
            choices=[(choice, tell_choice(choice)) for choice in declared.choices],
            initial=initial or declared.default,
            widget=UnfoldAdminSelectWidget(),
            **{**common, "required": True},
        )
    return forms.CharField(
        max_length=2000,
        initial=initial,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": declared.default}),
        **common,
    )


def explain_unverified(vendor: Platform) -> str:
    """What the switch switches on, in words."""
    abilities = " · ".join(tell_ability(one) for one in sorted(vendor.unverified))
    return _(
        "It switches on: %(abilities)s. While it is off, Callboard does nothing of that for this"
        " account."
    ) % {"abilities": abilities}
