"""In: results of calls for which no table has a word. Out: the page that counts them, and the
button that reads history again with today's tables."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from campaigns import results
from campaigns.admin.base import (
    CallboardAdmin,
    hide_phones,
    issue_form_token,
    refuse_twice,
    show_moment,
    spend_form_token,
    tell_age,
)
from campaigns.platforms.registry import PLATFORMS
from campaigns.queue import enqueue

#: an administrator's: a change to many results at once
READ_AGAIN = "campaigns.change_call"
REAPPLY_JOB = "campaigns.jobs.reapply_results"


def list_page(model_admin: CallboardAdmin, request: HttpRequest) -> HttpResponse:
    """Every code that nobody documented, how often and when it came last."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    codes = results.list_unknown_codes()
    may_read = request.user.has_perm(READ_AGAIN)
    return model_admin.show(
        request,
        "campaigns/unknown_codes.html",
        _("Unknown codes"),
        codes=[describe_code(one) for one in codes],
        platforms=list(PLATFORMS.values()) if may_read else [],
        form_token=issue_form_token(request) if may_read else "",
    )


def describe_code(one: results.UnknownCode) -> dict[str, Any]:
    query = {"platform": one.platform, "result__exact": "unknown", "platform_result": one.code}
    vendor = PLATFORMS.get(one.platform)
    return {
        "platform": vendor.name if vendor else one.platform,
        "code": hide_phones(one.code),
        "text": hide_phones(one.text),
        "count": one.count,
        "last": tell_age(one.last_at),
        "last_at": show_moment(one.last_at),
        "url": f"{reverse('admin:campaigns_call_changelist')}?{urlencode(query)}",
    }


def read_again(model_admin: CallboardAdmin, request: HttpRequest, platform: str) -> HttpResponse:
    """Have the results of all calls of a platform read with the tables as they are now: a job, for
    a hundred thousand calls take longer than anybody waits for a page."""
    if request.method != "POST":
        return HttpResponse(status=405)
    if not request.user.has_perm(READ_AGAIN):
        raise PermissionDenied
    if platform not in PLATFORMS:
        raise Http404
    if not spend_form_token(request):
        refuse_twice(request)
    else:
        enqueue(REAPPLY_JOB, once=f"reapply-{platform}", slug=platform)
        said = _(
            "%(platform)s: the results of its calls are being read again. The codes that have a"
            " word by now leave this list as it goes on."
        )
        messages.success(request, said % {"platform": PLATFORMS[platform].name})
    return redirect("admin:campaigns_call_unknown_codes")
