"""In: what somebody wants with all rows they chose. Out: it checked, or mistakes beside fields."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language, gettext_lazy, pgettext_lazy
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from campaigns.admin.base import UNMASK
from campaigns.models import Account, SavedFilter
from campaigns.models.exports import Form, Words

HEAR = "campaigns.view_recording"


class ExportForm(forms.Form):
    """Which file, for whom, and whether with whole numbers."""

    form = forms.ChoiceField(label=gettext_lazy("File"), widget=UnfoldAdminRadioSelectWidget())
    words = forms.ChoiceField(
        label=gettext_lazy("Header and words for"),
        required=False,
        choices=Words.choices,
        widget=UnfoldAdminSelectWidget(),
    )
    zone = forms.ChoiceField(
        label=gettext_lazy("Times as clocks show them in"), widget=UnfoldAdminSelectWidget()
    )
    whole = forms.BooleanField(
        label=gettext_lazy("With whole phone numbers"),
        required=False,
        help_text=gettext_lazy("Else they are masked, like 199****0001. It is written down."),
        widget=UnfoldBooleanSwitchWidget(),
    )

    def __init__(self, request: HttpRequest, kind: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        forms_of = [
            (str(Form.CSV), gettext_lazy("CSV, opens in Excel as it is")),
            (str(Form.XLSX), gettext_lazy("Excel workbook (.xlsx)")),
        ]
        if kind == "calls" and request.user.has_perm(HEAR):
            forms_of.append((str(Form.ZIP), gettext_lazy("Recordings, with an index (.zip)")))
        zones = Account.objects.order_by("time_zone").values_list("time_zone", flat=True)
        names = dict.fromkeys([settings.TIME_ZONE, *zones, "UTC"])
        for name, choices in (("form", forms_of), ("zone", [(one, one) for one in names])):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = choices
            field.initial = choices[0][0]
        language = (get_language() or "").lower()
        self.fields["words"].initial = language if language in Words.values else ""
        if not request.user.has_perm(UNMASK):
            del self.fields["whole"]


class BarForm(forms.Form):
    """Why, for how long, and for whom."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=300, widget=UnfoldAdminTextInputWidget()
    )
    days = forms.IntegerField(
        label=pgettext_lazy("how many", "Days"),
        required=False,
        min_value=1,
        max_value=3650,
        help_text=gettext_lazy("For how long. Empty: for good."),
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    everywhere = forms.BooleanField(
        label=gettext_lazy("For all accounts"),
        required=False,
        help_text=gettext_lazy("Else for the account of each row."),
        widget=UnfoldBooleanSwitchWidget(),
    )


class NoForm(forms.Form):
    """There is nothing to enter."""


class FilterForm(forms.Form):
    """A name for what the list shows."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=80, widget=UnfoldAdminTextInputWidget()
    )
    is_shared = forms.BooleanField(
        label=gettext_lazy("For everybody"), required=False, widget=UnfoldBooleanSwitchWidget()
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError(gettext_lazy("A name is a text of one line."))
        return name

    def keep(self, kind: str, params: dict[str, Any], owner: Any) -> SavedFilter:
        """Keep it; one of the same name of this person is replaced."""
        fields = {"params": params, "is_shared": self.cleaned_data["is_shared"]}
        return SavedFilter.objects.update_or_create(
            owner=owner, kind=kind, name=self.cleaned_data["name"], defaults=fields
        )[0]
