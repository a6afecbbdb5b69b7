"""In: what somebody typed about who is told of what, and where. Out: a rule, a webhook, or each
mistake beside its field."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminTextareaWidget,
)

from campaigns import notices
from campaigns.models import NoticeHook, NoticeRule
from campaigns.wording import tell_group

MOST_ADDRESSES = 50


class NoticeRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    addresses_text = forms.CharField(
        label=gettext_lazy("Further addresses"),
        required=False,
        max_length=10_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy("E-mail addresses, one in a line."),
    )

    class Meta:
        model = NoticeRule
        fields = (
            *("event", "name", "account", "task", "is_active", "percent", "sample"),
            *("everyone", "author", "groups", "users", "by_bell", "by_email", "language", "hooks"),
        )
        widgets = {
            "groups": UnfoldAdminCheckboxSelectMultipleWidget(),
            "users": UnfoldAdminSelect2MultipleWidget(),
            "hooks": UnfoldAdminCheckboxSelectMultipleWidget(),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("account", "task", "groups", "users", "hooks"):
            self._leave_alone(name)
        self.initial.setdefault("addresses_text", "\n".join(self.instance.addresses))
        staff = get_user_model()._default_manager.filter(is_staff=True, is_active=True)
        self._limit("users", staff.order_by("username"))
        self._limit("groups", Group.objects.order_by("name"))
        self.fields["groups"].label_from_instance = tell_group  # type: ignore[attr-defined]
        self._limit("hooks", NoticeHook.objects.order_by("name"))

    def _leave_alone(self, name: str) -> None:
        """Nobody makes an account, a user or a webhook while making a rule."""
        widget = self.fields[name].widget
        for what in ("add", "change", "delete", "view"):
            setattr(widget, f"can_{what}_related", False)

    def _limit(self, name: str, rows: Any) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = rows
        field.required = False

    def clean_addresses_text(self) -> str:
        text: str = self.cleaned_data["addresses_text"]
        found = [one for one in re.split(r"[\s,;]+", text) if one]
        if len(found) > MOST_ADDRESSES:
            raise ValidationError(_("At most %(n)d addresses."), params={"n": MOST_ADDRESSES})
        for one in found:
            try:
                validate_email(one)
            except ValidationError:
                raise ValidationError(
                    _("“%(value)s” is no e-mail address."), params={"value": one[:80]}
                ) from None
        self.found_addresses = list(dict.fromkeys(one.lower() for one in found))
        return text

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        people = any(data.get(name) for name in ("everyone", "author", "groups", "users"))
        addresses = getattr(self, "found_addresses", [])
        told_here = people and (data.get("by_bell") or data.get("by_email"))
        if not self.errors and not (told_here or addresses or data.get("hooks")):
            raise ValidationError(
                _("Nobody would be told: choose who and how, or an address, or a webhook.")
            )
        return data

    def save(self, commit: bool = True) -> Any:
        self.instance.addresses = self.found_addresses
        return super().save(commit)


class NoticeHookForm(forms.ModelForm):  # type: ignore[type-arg]
    """The address is write-only, as a password is: many hold a secret in their path."""

    url = forms.CharField(
        label=gettext_lazy("Address"),
        required=False,
        max_length=2000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off", "placeholder": "https://…"}),
    )

    class Meta:
        model = NoticeHook
        fields = ("name", "language", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.shown
        self.fields["url"].help_text = (
            _("Stored (%(address)s). Leave empty to keep it.") % {"address": stored}
            if stored
            else _("It begins with https://. It is stored encrypted and never shown again.")
        )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        if not url and not self.instance.shown:
            raise ValidationError(_("A webhook needs an address."))
        try:
            return notices.check_address(url) if url else ""
        except notices.AddressRefused as refused:
            raise ValidationError(str(refused)) from None

    def save(self, commit: bool = True) -> Any:
        if self.cleaned_data["url"]:
            notices.set_address(self.instance, self.cleaned_data["url"])
        return super().save(commit)
