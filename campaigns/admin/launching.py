"""In: a draft and who wants it launched. Out: what that will do, on one page; a test call; a second
person asked; the launch.

What is launched is what was seen: the form carries a fingerprint of it, and of anything else
nothing is launched. A program that posts without one has seen nothing and is not asked.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from campaigns import approvals, dispatch
from campaigns.admin.base import (
    CALL_DIRECTLY,
    LAUNCH,
    CallboardAdmin,
    hide_cell,
    issue_form_token,
    make_sandbox_badge,
    refuse_twice,
    spend_form_token,
)
from campaigns.admin.launch_facts import show_preview
from campaigns.admin.task_colors import TASK_COLORS
from campaigns.models import Approval, Contact, Line, Task
from campaigns.preview import Given, describe_launch

#: test calls that a page lists
TRIALS = 5


class TrialForm(forms.Form):
    """One number, and what the robot is to know of it."""

    line = forms.ModelChoiceField(
        Line.objects.none(), label=gettext_lazy("line"), widget=UnfoldAdminSelectWidget()
    )

    def __init__(self, *args: Any, task: Task, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        lines = task.lines.filter(gone_at=None).order_by("number")
        field = self.fields["line"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = lines
        field.initial = lines.first()
        if not lines:
            del self.fields["line"]
        self.columns = [str(column) for column in task.robot.columns]
        sample = task.contacts.filter(status=Contact.Status.READY).order_by("id").first()
        for place, column in enumerate(self.columns):
            # Never a whole number of somebody else's: to see these is an act of its own.
            value = hide_cell(sample.values.get(column, "")) if sample and place else ""
            self.fields[f"column_{place}"] = forms.CharField(
                label=column,
                required=not place,
                max_length=500,
                initial=value,
                help_text=_("Your own number, or that of somebody who knows.") if not place else "",
                widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
            )

    @property
    def values(self) -> dict[str, str]:
        data = self.cleaned_data
        return {
            column: data.get(f"column_{place}") or "" for place, column in enumerate(self.columns)
        }


class ReasonForm(forms.Form):
    """What who asks says to the second person."""

    reason = forms.CharField(
        label=gettext_lazy("Why it is to be launched"),
        max_length=2000,
        help_text=gettext_lazy("The second person reads it beside what you see here."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )


class GivenForm(forms.Form):
    """What somebody would rather assume; what is out of range is passed over."""

    seconds = forms.FloatField(
        label=gettext_lazy("Seconds that a call keeps its line"),
        required=False,
        min_value=1,
        max_value=3600,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )
    answered = forms.FloatField(
        label=gettext_lazy("Percent who pick up"),
        required=False,
        min_value=0,
        max_value=100,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )
    at_once = forms.IntegerField(
        label=gettext_lazy("Calls at once"),
        required=False,
        min_value=1,
        max_value=1_000_000,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
    )

    def read(self) -> Given:
        self.is_valid()
        data = self.cleaned_data
        answered = data.get("answered")
        return Given(
            seconds=data.get("seconds"),
            answered=None if answered is None else answered / 100,
            at_once=data.get("at_once"),
        )


def find_launchable(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> Task:
    task: Task = model_admin.find_row(request, object_id)
    if not request.user.has_perm(LAUNCH):
        raise PermissionDenied
    return task


def launch(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Say what will happen and to how many; then, on a click, let it happen, or ask for it."""
    task = find_launchable(model_admin, request, object_id)
    if request.method != "POST":
        return show_launch(model_admin, request, task)
    step = request.POST.get("step", "launch")
    if step == "ask":
        return ask(request, task)
    if step == "withdraw":
        return withdraw(request, task)
    try:
        dispatch.launch_task(task, by=request.user, seen=request.POST.get("fingerprint"))
    except dispatch.LaunchStale as stale:
        messages.warning(request, str(stale))
        return redirect("admin:campaigns_task_launch", task.pk)
    except dispatch.LaunchRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("Launched. The contacts go to the platform now."))
    return redirect("admin:campaigns_task_change", task.pk)


def show_launch(
    model_admin: CallboardAdmin,
    request: HttpRequest,
    task: Task,
    *,
    trial_form: TrialForm | None = None,
) -> HttpResponse:
    given_form = GivenForm(request.GET)
    now = describe_launch(task, given=given_form.read())
    return model_admin.show(
        request,
        "campaigns/task_launch.html",
        _("Launch %(task)s?") % {"task": task.name},
        task=task,
        problems=dispatch.check_launch(task),
        preview_now=now,
        given_form=given_form,
        reason_form=ReasonForm(),
        preview=show_preview(now.as_facts(), task),
        fills=task.fills_instances,
        account_badge=make_sandbox_badge() if task.account.is_sandbox else "",
        **describe_approval(request, task),
        **describe_trials(request, task, trial_form),
    )


# ------------------------------------------------------------------------------ the second person


def describe_approval(request: HttpRequest, task: Task) -> dict[str, Any]:
    """Whether a second person is needed, was asked, or said yes, and whether that still holds."""
    if task.status != Task.Status.DRAFT or not approvals.needs_second(task):
        return {"needs_second": False}
    found = approvals.find_open("launch", task=task)
    current = found is not None and approvals.is_current(found)
    return {
        "needs_second": True,
        "need": approvals.tell_need(task),
        "approval": found,
        "approval_current": current,
        "approved": current and found is not None and found.status == "approved",
        "waits": current and found is not None and found.status == "asked",
        "approval_url": find_approval_url(found),
        "is_mine": found is not None and found.asked_by_id == request.user.pk,
    }


def find_approval_url(found: Approval | None) -> str:
    """The page on which the other person answers."""
    if found is None or not admin.site.is_registered(Approval):
        return ""
    return reverse("admin:campaigns_approval_change", args=[found.pk])


def ask(request: HttpRequest, task: Task) -> HttpResponse:
    """Ask a second person for what was seen."""
    problems = dispatch.check_launch(task)
    if problems:
        messages.error(request, " ".join(problems))
        return redirect("admin:campaigns_task_launch", task.pk)
    preview = describe_launch(task)
    try:
        if preview.fingerprint != request.POST.get("fingerprint"):
            raise approvals.ApprovalRefused(_(approvals.CHANGED))
        approvals.ask_approval(
            "launch",
            task=task,
            reason=request.POST.get("reason", ""),
            facts=preview.as_facts(),
            fingerprint=preview.fingerprint,
            by=request.user,
        )
    except approvals.ApprovalRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("Asked. A second person has to approve it before the launch."))
    return redirect("admin:campaigns_task_launch", task.pk)


def withdraw(request: HttpRequest, task: Task) -> HttpResponse:
    """Whoever asked takes it back."""
    found = approvals.find_open("launch", task=task)
    if found is None or found.asked_by_id != request.user.pk:
        messages.error(request, _("There is nothing that you asked for."))
    elif approvals.withdraw_approval(found, by=request.user):
        messages.success(request, _("Taken back. Nobody is asked any more."))
    return redirect("admin:campaigns_task_launch", task.pk)


# ------------------------------------------------------------------------------------- test calls


def describe_trials(
    request: HttpRequest, task: Task, form: TrialForm | None = None
) -> dict[str, Any]:
    """The form for a test call, and the newest ones with what came back."""
    trials = []
    for trial in task.trials.order_by("-id")[:TRIALS]:
        contact = trial.contacts.order_by("id").first()
        call = trial.calls.order_by("-id").first() if trial.pk else None
        trials.append(
            {
                "task": trial,
                "color": TASK_COLORS.get(trial.status, ""),
                "contact": contact,
                "call": call,
                "by": trial.created_by,
            }
        )
    may_try = (
        task.kind == Task.Kind.CAMPAIGN
        and task.status == Task.Status.DRAFT
        and request.user.has_perm(CALL_DIRECTLY)
    )
    if may_try and form is None:
        form = TrialForm(task=task)
    return {
        "trials": trials,
        "trial_form": form if may_try else None,
        "form_token": issue_form_token(request) if may_try else "",
    }


def make_trial(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Call one number as the task would, once."""
    task = find_launchable(model_admin, request, object_id)
    if not request.user.has_perm(CALL_DIRECTLY):
        raise PermissionDenied
    if request.method != "POST":
        return redirect("admin:campaigns_task_launch", task.pk)
    if task.status != Task.Status.DRAFT:
        messages.error(request, _("Test calls are made before the launch."))
        return redirect("admin:campaigns_task_change", task.pk)
    form = TrialForm(request.POST, task=task)
    if not form.is_valid():
        return show_launch(model_admin, request, task, trial_form=form)
    if not spend_form_token(request):
        refuse_twice(request)
        return redirect("admin:campaigns_task_launch", task.pk)
    line = form.cleaned_data.get("line")
    try:
        dispatch.call_for_trial(task, values=form.values, line=line, by=request.user)
    except dispatch.LaunchRefused as refused:
        form.add_error(None, str(refused))
        return show_launch(model_admin, request, task, trial_form=form)
    messages.success(request, _("The test call goes to the platform now, once."))
    return redirect("admin:campaigns_task_launch", task.pk)
