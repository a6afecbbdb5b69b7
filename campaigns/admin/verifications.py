"""In: pushes about a call that the platform can be asked about. Out: the panel of each on the page
of the call, and the button that asks."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from campaigns import verifying
from campaigns.admin.base import (
    CallboardAdmin,
    hide_phones,
    issue_form_token,
    make_badge,
    refuse_twice,
    spend_form_token,
    tell_age,
)
from campaigns.models import Call, Verification
from campaigns.platforms.contract import Can

ASK = "campaigns.change_verification"
STATUS_COLORS = {
    "unasked": "warn",
    "asking": "info",
    "verified": "good",
    "mismatch": "bad",
    "denied": "bad",
    "failed": "bad",
    "too_old": "mute",
}
#: pushes shown of one call
SHOWN = 20


def describe_verifications(request: HttpRequest, call: Call) -> dict[str, Any]:
    """The panels; nothing for a platform that cannot be asked."""
    vendor = call.account.vendor
    if Can.VERIFY_PUSHES not in vendor.can:
        return {"pushes": [], "unverified": False}
    rows = list(call.verifications.order_by("-id")[:SHOWN])
    may_ask = request.user.has_perm(ASK) and call.account.can(Can.VERIFY_PUSHES)
    whole = getattr(call, "revealed", False)
    settled = any(row.status in ("verified", "mismatch", "denied") for row in rows)
    return {
        "pushes": [describe_push(row, may_ask=may_ask, whole=whole) for row in rows],
        "unverified": bool(rows) and not settled,
        "verify_days": vendor.limits.verify_days,
        "cannot_ask": ""
        if call.account.can(Can.VERIFY_PUSHES)
        else call.account.explain(Can.VERIFY_PUSHES),
        "form_token": issue_form_token(request) if may_ask and rows else "",
    }


def describe_push(row: Verification, *, may_ask: bool, whole: bool) -> dict[str, Any]:
    differences = row.differences if isinstance(row.differences, list) else []
    return {
        "row": row,
        "badge": make_badge(row.get_status_display(), STATUS_COLORS.get(row.status, "")),
        "reason": _(row.reason) if row.reason else "",
        "said": row.said if whole else str(hide_phones(row.said)),
        "asked": tell_age(row.asked_at) if row.asked_at else "",
        "ask_url": reverse("admin:campaigns_verification_ask", args=[row.pk])
        if may_ask and row.status != Verification.Status.ASKING
        else "",
        "differences": [
            {
                "field": one.get("field", ""),
                "claimed": show_side(one.get("claimed"), whole=whole),
                "answered": show_side(one.get("answered"), whole=whole),
            }
            for one in differences
            if isinstance(one, dict)
        ],
    }


def show_side(value: Any, *, whole: bool) -> str:
    """What one of the two said of a field."""
    if value is None:
        return _("nothing")
    return str(value if whole else hide_phones(value))


def ask_platform(model_admin: CallboardAdmin, request: HttpRequest, push_id: int) -> HttpResponse:
    """Have the platform asked about one push."""
    if request.method != "POST":
        return HttpResponse(status=405)
    rows = Verification.objects.select_related("call__account")
    push = get_object_or_404(rows, pk=push_id)
    if not model_admin.has_view_permission(request, push.call) or not request.user.has_perm(ASK):
        raise PermissionDenied
    if not spend_form_token(request):
        refuse_twice(request)
    else:
        try:
            verifying.request_verification(push, by=request.user)
        except verifying.VerifyRefused as refused:
            messages.error(request, str(refused))
        else:
            messages.success(
                request, _("The platform is being asked. Its answer appears here in a moment.")
            )
    return redirect("admin:campaigns_call_change", push.call_id)
