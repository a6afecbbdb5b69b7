"""In: a few numbers and a robot. Out: a direct call, after one look at what it will do, once.

The platform can be asked nothing about a direct call afterwards, so a form that was sent is never
sent again: its token is used up in a transaction of its own before anything else happens.
"""

from __future__ import annotations

import csv
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from campaigns import dispatch
from campaigns.admin.base import (
    CALL_DIRECTLY,
    issue_form_token,
    make_sandbox_badge,
    refuse_twice,
    spend_form_token,
)
from campaigns.admin.task_form import RobotField
from campaigns.masking import mask_phone
from campaigns.models import Account, Line, Robot, Voice
from campaigns.phones import PhoneRefused, normalise_phone
from campaigns.platforms.contract import Can


class DirectForm(forms.Form):
    """The numbers, one row each, with the values of the robot's columns."""

    robot = RobotField(
        Robot.objects.none(), label=gettext_lazy("Robot"), widget=UnfoldAdminSelectWidget()
    )
    line = forms.ModelChoiceField(
        Line.objects.none(), label=gettext_lazy("Line"), widget=UnfoldAdminSelectWidget()
    )
    voice = forms.ModelChoiceField(
        Voice.objects.none(),
        label=gettext_lazy("Voice"),
        required=False,
        empty_label=gettext_lazy("as the robot has it"),
        widget=UnfoldAdminSelectWidget(),
    )
    speed = forms.IntegerField(
        label=gettext_lazy("Speed"), required=False, widget=UnfoldAdminIntegerFieldWidget()
    )
    rows = forms.CharField(
        label=gettext_lazy("Numbers"),
        max_length=50_000,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 8, "spellcheck": "false", "placeholder": "19900000001, 张先生"}
        ),
    )

    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = account
        limits = account.vendor.limits
        self.most = limits.rows_per_direct_call
        for name, model in (("robot", Robot), ("line", Line), ("voice", Voice)):
            rows = model.objects.filter(account=account, gone_at=None)
            if model is Robot:
                rows = rows.filter(state=Robot.State.PUBLISHED, deleted=False)
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = rows
        if limits.speed is None:
            del self.fields["speed"]
        else:
            low, high = limits.speed
            field = self.fields["speed"]
            assert isinstance(field, forms.IntegerField)
            field.min_value, field.max_value = low, high
            field.validators += [
                forms.fields.validators.MinValueValidator(low),
                forms.fields.validators.MaxValueValidator(high),
            ]
            field.help_text = _("From %(low)d to %(high)d; 0 or empty is as recorded.") % {
                "low": low,
                "high": high,
            }
        self.fields["rows"].help_text = _(
            "One row per number, at most %(n)d: the values of the robot's columns in their order, "
            "the number first, separated by commas or tabs."
        ) % {"n": self.most}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        robot, text = data.get("robot"), data.get("rows")
        if robot is None or not text:
            return data
        columns = [str(column) for column in robot.columns]
        self.values: list[list[str]] = []
        seen: dict[str, int] = {}
        for number, row in enumerate(split_rows(text), start=1):
            problem = self._check_row(row, columns, seen, number)
            if problem:
                self.add_error("rows", problem)
            self.values.append(row)
            if number >= self.most + 1:
                self.add_error(
                    "rows", _("More than %(n)d numbers. Make a task.") % {"n": self.most}
                )
                break
        if not self.values:
            self.add_error("rows", _("There is no number."))
        return data

    def _check_row(
        self, row: list[str], columns: list[str], seen: dict[str, int], number: int
    ) -> str:
        if len(row) != len(columns):
            return _("Row %(row)d has %(has)d values; the robot needs %(needs)d: %(columns)s.") % {
                "row": number,
                "has": len(row),
                "needs": len(columns),
                "columns": ", ".join(columns),
            }
        try:
            phone = normalise_phone(row[0], region=self.account.region)
        except PhoneRefused as refused:
            return _("Row %(row)d: %(why)s") % {"row": number, "why": _(str(refused))}
        if phone in seen:
            return _("Row %(row)d has the number of row %(first)d.") % {
                "row": number,
                "first": seen[phone],
            }
        seen[phone] = number
        return ""


def split_rows(text: str) -> list[list[str]]:
    """The typed lines as rows of stripped values: by tabs where there are any, else by commas."""
    rows = []
    for line in text.splitlines():
        if not line.strip():
            continue
        line = line.replace("，", ",")  # noqa: PLW2901
        try:
            values = next(csv.reader([line], delimiter="\t" if "\t" in line else ","))
        except csv.Error:
            values = [line]
        rows.append([value.strip() for value in values])
    return rows


def list_direct_accounts() -> list[Account]:
    accounts = Account.objects.filter(is_active=True)
    return [account for account in accounts if account.can(Can.CALL_DIRECTLY)]


def direct_page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Form → what will happen → the call."""
    if not request.user.has_perm(CALL_DIRECTLY):
        raise PermissionDenied
    title, accounts = _("Direct call"), list_direct_accounts()
    chosen = request.GET.get("account", "")
    if chosen:
        account = next((one for one in accounts if str(one.pk) == chosen), None)
    else:
        account = accounts[0] if len(accounts) == 1 else None
    if account is None:
        return model_admin.show(
            request, "campaigns/choose_account.html", title, accounts=accounts, direct=True
        )
    form = DirectForm(request.POST or None, account=account)
    context: dict[str, Any] = {
        "account": account,
        "account_badge": make_sandbox_badge() if account.is_sandbox else "",
        "form": form,
    }
    if request.method == "POST" and form.is_valid():
        if request.POST.get("step") == "send":
            return _send(request, account, form)
        if request.POST.get("step") != "back":
            context |= {
                "rows": [[mask_phone(row[0]), *row[1:]] for row in form.values],
                "columns": form.cleaned_data["robot"].columns,
                "form_token": issue_form_token(request),
            }
            return model_admin.show(request, "campaigns/direct_confirm.html", title, **context)
    return model_admin.show(request, "campaigns/direct.html", title, **context)


def _send(request: HttpRequest, account: Account, form: DirectForm) -> HttpResponse:
    if not spend_form_token(request):
        refuse_twice(request)
        return redirect("admin:campaigns_task_changelist")
    data = form.cleaned_data
    try:
        task = dispatch.call_directly(
            account=account,
            robot=data["robot"],
            line=data["line"],
            voice=data["voice"],
            speed=data.get("speed"),
            columns=[str(column) for column in data["robot"].columns],
            rows=form.values,
            by=request.user,
        )
    except dispatch.LaunchRefused as refused:
        messages.error(request, str(refused))
        return redirect(request.get_full_path())
    messages.success(request, _("The numbers go to the platform now, once."))
    return redirect("admin:campaigns_task_change", task.pk)
