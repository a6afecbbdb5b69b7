"""In: what somebody typed about numbers that nobody may call. Out: it in normal form, or each
mistake beside its field."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from campaigns.importing.barlist import find_regions, find_zones
from campaigns.importing.barlist_rows import read_number
from campaigns.models import Account, DoNotCallRule, Robot
from campaigns.phones import PhoneRefused

#: so many numbers are entered by hand at once; more come as a file
MOST_NUMBERS = 200
#: complaints about rows of one form; who pasted something else needs no two hundred
MOST_PROBLEMS = 10
ALL = "all"


class DayInput(UnfoldAdminTextInputWidget):
    """A day, chosen with the browser's own calendar."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(attrs={"class": "dark:scheme-dark"})

    def format_value(self, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value


class ScopeForm(forms.Form):
    """For whom, why and until when. ``only``: one account or all of them."""

    account = forms.ChoiceField(
        label=gettext_lazy("Forbidden for"), widget=UnfoldAdminSelectWidget()
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=300, widget=UnfoldAdminTextInputWidget()
    )
    last_day = forms.DateField(
        label=gettext_lazy("Until the end of"),
        required=False,
        help_text=gettext_lazy("Empty: for good."),
        widget=DayInput(),
    )

    def __init__(self, *args: Any, only: Account | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        accounts = [only] if only else list(Account.objects.order_by("name"))
        field = self.fields["account"]
        assert isinstance(field, forms.ChoiceField)
        choices = [(str(account.pk), account.name) for account in accounts]
        everywhere = (ALL, _("all accounts"))
        field.choices = [*choices, everywhere] if only else [everywhere, *choices]
        field.initial = field.choices[0][0]
        self.accounts = {str(account.pk): account for account in accounts}

    def clean_last_day(self) -> date | None:
        day: date | None = self.cleaned_data["last_day"]
        if day is not None and day.year >= 9000:
            raise forms.ValidationError(_("Leave it empty to forbid it for good."))
        if day is not None and "account" in self.cleaned_data and self._end(day) <= timezone.now():
            raise forms.ValidationError(_("This day is over."))
        return day

    @property
    def chosen_account(self) -> Account | None:
        """None: all of them."""
        return self.accounts.get(self.cleaned_data["account"])

    @property
    def expires_at(self) -> datetime | None:
        day: date | None = self.cleaned_data["last_day"]
        return None if day is None else self._end(day)

    def _end(self, day: date) -> datetime:
        """When the day is over where the account is; for all of them when it is over everywhere."""
        midnight = datetime.combine(day + timedelta(days=1), time())
        return max(midnight.replace(tzinfo=zone) for zone in find_zones(self.chosen_account))


class EnterForm(ScopeForm):
    """Numbers as somebody typed or pasted them, one in a row."""

    field_order = ("numbers", "account", "reason", "last_day")
    numbers = forms.CharField(
        label=gettext_lazy("Numbers"),
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(
            attrs={
                "rows": 4,
                "class": "max-w-2xl",
                "spellcheck": "false",
                "placeholder": "199 0000 0001\n010-12345678",
            }
        ),
        help_text=gettext_lazy("One in a row, written in any way. More than 200 come as a file."),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "numbers" not in data or "account" not in data:
            return data
        regions = find_regions(self.chosen_account)
        #: in normal form, each once
        self.phones: list[str] = []
        problems = 0
        rows = [row.strip() for row in data["numbers"].splitlines()]
        for number, row in enumerate(rows, start=1):
            if not row:
                continue
            try:
                phone = read_number(row, regions)
            except PhoneRefused as refused:
                values = {"row": number, "why": _(refused.reason)}
                self.add_error("numbers", _("Row %(row)d: %(why)s") % values)
                problems += 1
                if problems == MOST_PROBLEMS:
                    break
            else:
                if phone not in self.phones:
                    self.phones.append(phone)
        if len(self.phones) > MOST_NUMBERS:
            self.add_error("numbers", _("More than 200 numbers. Import them as a file."))
        if not self.phones and not problems:
            self.add_error("numbers", _("There is no number."))
        return data


class LiftForm(forms.Form):
    """Why numbers may be called again."""

    reason = forms.CharField(
        label=gettext_lazy("Why calls are allowed again"),
        max_length=300,
        widget=UnfoldAdminTextInputWidget(),
    )


class ListForm(ScopeForm):
    """A file of numbers."""

    field_order = ("file", "account", "reason", "last_day")
    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.tsv,.txt,.xlsx,.xls,text/csv"}),
        help_text=gettext_lazy(
            "CSV, TSV or Excel, with a column of numbers. Columns for the reason and the last day "
            "are read too where there are any."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = _("For rows that have none of their own.")
        self.fields["last_day"].help_text = _(
            "For rows that have no day of their own. Empty: for good."
        )


class RobotChoice(forms.ModelChoiceField):
    """Robots of all accounts, each with its account."""

    def label_from_instance(self, robot: Any) -> str:
        return f"{robot.account.name}: {robot.name}"


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """An intention, and what follows from it."""

    account = forms.ModelChoiceField(
        Account.objects.order_by("name"),
        label=gettext_lazy("Account"),
        widget=UnfoldAdminSelectWidget(),
    )
    robot = RobotChoice(
        Robot.objects.none(),
        label=gettext_lazy("Robot"),
        required=False,
        empty_label=gettext_lazy("every robot of the account"),
        widget=UnfoldAdminSelectWidget(),
    )

    class Meta:
        model = DoNotCallRule
        fields = ("account", "robot", "intention", "everywhere", "days", "is_active")
        widgets = {
            "intention": UnfoldAdminTextInputWidget(),
            "days": UnfoldAdminIntegerFieldWidget(),
            "everywhere": UnfoldBooleanSwitchWidget(),
            "is_active": UnfoldBooleanSwitchWidget(),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        robots = Robot.objects.select_related("account").order_by("account__name", "name")
        field = self.fields["robot"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = robots

    def clean_intention(self) -> str:
        return str(self.cleaned_data["intention"]).strip()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        account, robot = data.get("account"), data.get("robot")
        if account and robot and robot.account_id != account.pk:
            self.add_error("robot", _("This robot is of another account."))
        same = DoNotCallRule.objects.exclude(pk=self.instance.pk).filter(
            account=account, robot=robot, intention__iexact=data.get("intention", "")
        )
        if account and not self.errors and same.exists():
            self.add_error("intention", _("There is a rule for this intention already."))
        return data
