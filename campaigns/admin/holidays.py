"""In: models/calendar.py, Holiday. Out: the list of days on which nobody is called, the form of
one, and a page on which the days of a year are pasted."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from campaigns.admin.barring_forms import DayInput
from campaigns.admin.base import CallboardAdmin, make_badge
from campaigns.models import Account, Holiday
from campaigns.models.accounts import validate_region

#: so many days are pasted at once, and so many mistakes of them are told
MOST_DAYS, MOST_PROBLEMS = 400, 10
#: the first word of a name that makes the day one of work
_WORKS = re.compile(r"^(?:works?|working day|上班|补班|调休上班)\b[\s:：,-]*", re.I)
_LINE = re.compile(r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})[\s,;，；]*(.*)$")


class HolidayForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Holiday
        fields = ("day", "name", "region", "account", "works")
        widgets = {"day": DayInput(), "region": UnfoldAdminTextInputWidget()}

    def clean_region(self) -> str:
        return str(self.cleaned_data["region"]).strip().upper()

    def clean_day(self) -> date:
        return check_year(self.cleaned_data["day"])


class PasteForm(forms.Form):
    """The days of a year, one in a row."""

    lines = forms.CharField(
        label=gettext_lazy("Days"),
        max_length=40_000,
        widget=UnfoldAdminTextareaWidget(
            attrs={
                "rows": 12,
                "class": "max-w-2xl",
                "spellcheck": "false",
                "placeholder": "2027-01-01 New Year\n2027-02-20 works Spring Festival",
            }
        ),
        help_text=gettext_lazy(
            "One in a row: the day, then its name. Write “works” before the name of a day on which"
            " people may be called although it is no calling day of the week."
        ),
    )
    region = forms.CharField(
        label=gettext_lazy("Region"),
        max_length=2,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Two letters of a country, like CN. Empty: everywhere."),
    )
    account = forms.ModelChoiceField(
        label=gettext_lazy("Account"),
        queryset=Account.objects.order_by("name"),
        required=False,
        empty_label=gettext_lazy("all accounts"),
        widget=UnfoldAdminSelectWidget(),
    )

    def clean_region(self) -> str:
        region = str(self.cleaned_data["region"]).strip().upper()
        if region:
            validate_region(region)
        return region

    def clean_lines(self) -> list[tuple[date, str, bool]]:
        return read_days(self.cleaned_data["lines"])


def check_year(day: date) -> date:
    if not 2000 <= day.year <= 2100:
        raise forms.ValidationError(_("This is not a year anybody is called in."))
    return day


def read_days(text: str) -> list[tuple[date, str, bool]]:
    """(day, name, whether it is a working day) of each row. Raises ``ValidationError``."""
    days: dict[date, tuple[date, str, bool]] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.match(line.strip())
        try:
            if match is None:
                raise ValueError
            day = check_year(date(*(int(match[part]) for part in (1, 2, 3))))
        except (ValueError, forms.ValidationError):
            problems.append(_("Row %(row)d: it does not begin with a day.") % {"row": number})
            continue
        name = _WORKS.sub("", match[4]).strip()[:100]
        works = _WORKS.match(match[4]) is not None
        if day in days:
            problems.append(_("Row %(row)d repeats a day.") % {"row": number})
        days[day] = (day, name or (_("working day") if works else _("holiday")), works)
    if len(days) > MOST_DAYS:
        problems.append(_("At most %(n)d days at once.") % {"n": MOST_DAYS})
    if problems:
        raise forms.ValidationError(problems[:MOST_PROBLEMS])
    return list(days.values())


@transaction.atomic
def keep_days(
    days: list[tuple[date, str, bool]], *, region: str, account: Account | None
) -> tuple[int, int]:
    """Write them down; a day that is in the table for the same is changed. (new, changed)"""
    made = 0
    for day, name, works in days:
        _row, created = Holiday.objects.update_or_create(
            day=day, region=region, account=account, defaults={"name": name, "works": works}
        )
        made += created
    return made, len(days) - made


@admin.register(Holiday)
class HolidayAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "Days on which nobody is called, and working days that make up for them. Paste the list of"
        " a year."
    )
    form = HolidayForm
    list_display = ("day", "name", "show_kind", "show_region", "show_account")
    list_display_links = ("day", "name")
    list_select_related = ("account",)
    list_filter = (("account", RelatedDropdownFilter), "works", "region")
    search_fields = ("name",)
    date_hierarchy = "day"
    list_before_template = "campaigns/holidays_above.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("campaigns.add_holiday"))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("campaigns.delete_holiday"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"fields": (("day", "name"), ("region", "account"), "works")})]

    def get_urls(self) -> list[URLPattern]:
        paste = self.admin_site.admin_view(self.paste)
        return [path("paste/", paste, name="campaigns_holiday_paste"), *super().get_urls()]

    @admin.display(description=gettext_lazy("kind"), ordering="works")
    def show_kind(self, row: Holiday) -> Any:
        return make_badge(_("working day"), "good") if row.works else make_badge(_("no calls"))

    @admin.display(description=gettext_lazy("region"), ordering="region")
    def show_region(self, row: Holiday) -> str:
        return row.region or _("everywhere")

    @admin.display(description=gettext_lazy("account"))
    def show_account(self, row: Holiday) -> str:
        return row.account.name if row.account else _("all accounts")

    def paste(self, request: HttpRequest) -> HttpResponse:
        """Many days at once."""
        if not self.has_add_permission(request) or not request.user.has_perm(
            "campaigns.change_holiday"
        ):
            raise PermissionDenied
        form = PasteForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            data = form.cleaned_data
            made, changed = keep_days(data["lines"], region=data["region"], account=data["account"])
            told = ngettext("%(n)d day is new.", "%(n)d days are new.", made) % {"n": made}
            if changed:
                again = ngettext("%(n)d was known.", "%(n)d were known.", changed) % {"n": changed}
                told = f"{told} {again}"
            messages.success(request, told)
            return redirect("admin:campaigns_holiday_changelist")
        return self.show(request, "campaigns/holidays_paste.html", _("Paste days"), form=form)
