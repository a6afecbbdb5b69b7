"""In: a call and what somebody has to say about it. Out: its corrected intention, its remarks."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns import correcting
from campaigns.admin.base import (
    hide_phones,
    issue_form_token,
    refuse_twice,
    show_moment,
    spend_form_token,
)
from campaigns.models import Call, Correction, Remark

CORRECT = "campaigns.add_correction"
REMARK = "campaigns.add_remark"
#: shown of each on the page of a call
SHOWN = 50


class IntentionForm(forms.Form):
    intention = forms.CharField(label=gettext_lazy("Intention"), max_length=50, required=False)


class RemarkForm(forms.Form):
    text = forms.CharField(label=gettext_lazy("Remark"), max_length=2000)


def describe_words(request: HttpRequest, call: Call, *, whole: bool) -> dict[str, Any]:
    """What ``campaigns/call_words.html`` shows."""
    rows = list(Correction.objects.filter(call=call).select_related("by", "withdrawn_by")[:SHOWN])
    may_correct = request.user.has_perm(CORRECT)
    return {
        "correction": next((row for row in rows if row.withdrawn_at is None), None),
        "corrections": [
            {"row": row, "at": show_moment(row.created_at), "until": show_moment(row.withdrawn_at)}
            for row in rows
        ],
        "may_correct": may_correct,
        "intentions": correcting.list_intentions(call) if may_correct else [],
        "remarks": [
            {
                "row": row,
                "text": row.text if whole else str(hide_phones(row.text)),
                "at": show_moment(row.created_at),
            }
            for row in Remark.objects.filter(call=call).select_related("by")[:SHOWN]
        ],
        "may_remark": request.user.has_perm(REMARK),
        "remark_token": issue_form_token(request),
    }


def correct(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Say what the intention should be, or that the platform's is right after all."""
    if request.method != "POST":
        return HttpResponse(status=405)
    call = model_admin.find_row(request, object_id)
    if not request.user.has_perm(CORRECT):
        raise PermissionDenied
    if "withdraw" in request.POST:
        if correcting.withdraw_correction(call, by=request.user):
            messages.success(request, _("The platform's intention holds again."))
        return _go_back(call, "words")
    form = IntentionForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("An intention is one word or a few, up to 50 characters."))
    elif correcting.correct_intention(
        call, intention=form.cleaned_data["intention"], by=request.user
    ):
        messages.success(request, _("The intention was corrected. Both values are kept."))
    else:
        messages.info(request, _("That is what holds already."))
    return _go_back(call, "words")


def remark(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Write something about the call."""
    if request.method != "POST":
        return HttpResponse(status=405)
    call = model_admin.find_row(request, object_id)
    if not request.user.has_perm(REMARK):
        raise PermissionDenied
    form = RemarkForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("A remark has between 1 and 2,000 characters."))
    elif not spend_form_token(request):
        refuse_twice(request)
    else:
        correcting.add_remark(call, text=form.cleaned_data["text"], by=request.user)
        messages.success(request, _("The remark was written down."))
    return _go_back(call, "remarks")


def _go_back(call: Call, fragment: str) -> HttpResponse:
    response = redirect("admin:campaigns_call_change", call.pk)
    response["Location"] += f"#{fragment}"
    return response
