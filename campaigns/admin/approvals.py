"""In: models/approvals.py. Out: what waits for a second person, and the page on which that person
sees what it is about and answers."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from campaigns import approvals, deciding
from campaigns.admin.attempts import describe_attempt
from campaigns.admin.base import (
    CallboardAdmin,
    WordsForm,
    make_badge,
    make_link,
    show_moment,
    tell_age,
)
from campaigns.admin.launch_facts import show_preview
from campaigns.models import Approval

COLORS = {"asked": "warn", "approved": "good", "used": "good", "declined": "bad"}

logger = logging.getLogger(__name__)


def count_badge(request: HttpRequest) -> str:
    """How many wait for this person, for the navigation; nothing for none."""
    number = approvals.count_waiting(request.user)
    return str(number) if number else ""


@admin.register(Approval)
class ApprovalAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "Nobody was asked. A large launch, and whatever is sent again, needs a second person."
    )
    read_only = True
    fields = ()
    show_full_result_count = False
    list_display = (
        "show_asked",
        "kind",
        "show_task",
        "reason_given",
        "asked_by",
        "show_status",
        "decided_by",
    )
    list_select_related = ("task", "asked_by", "decided_by")
    list_filter = (("status", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    sortable_by = ()
    change_form_template = "admin/campaigns/approval/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path(f"<path:object_id>/{name}/", view(act), name=f"campaigns_approval_{name}")
            for name, act in (("answer", self.answer), ("withdraw", self.withdraw))
        ] + super().get_urls()

    def get_ordering(self, request: HttpRequest) -> Any:
        first = Case(
            When(status="asked", then=Value(0)), default=Value(1), output_field=IntegerField()
        )
        return [first, "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        return super().get_queryset(request).select_related("task", "attempt")

    @admin.display(description=gettext_lazy("asked"))
    def show_asked(self, approval: Approval) -> str:
        return show_moment(approval.asked_at)

    @admin.display(description=gettext_lazy("task"))
    def show_task(self, approval: Approval) -> Any:
        return make_link(approval.task)

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, approval: Approval) -> Any:
        return make_badge(approval.get_status_display(), COLORS.get(approval.status, "mute"))

    # -------------------------------------------------------------------------------- the page

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return describe_approval(request, row)

    def answer(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Yes or no. A yes to sending again is carried out at once."""
        if request.method != "POST":
            return HttpResponse(status=405)
        row: Approval = self.find_row(request, object_id)
        if not request.user.has_perm(approvals.DECIDE):
            raise PermissionDenied
        words, yes = request.POST.get("answer", ""), request.POST.get("yes") == "1"
        try:
            if yes and row.kind == Approval.Kind.RESEND:
                deciding.approve_resend(row, answer=words, by=request.user)
                messages.success(request, _("Approved. It is sent again now, in a new batch."))
            else:
                approvals.decide_approval(row, approve=yes, answer=words, by=request.user)
                said = _("Approved. The task can be launched now.") if yes else _("Declined.")
                messages.success(request, said)
        except (approvals.ApprovalRefused, deciding.DecisionRefused) as refused:
            messages.error(request, str(refused))
        return redirect("admin:campaigns_approval_change", row.pk)

    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Whoever asked takes it back."""
        if request.method != "POST":
            return HttpResponse(status=405)
        row: Approval = self.find_row(request, object_id)
        if row.asked_by_id != request.user.pk and not request.user.has_perm(approvals.DECIDE):
            raise PermissionDenied
        if approvals.withdraw_approval(row, by=request.user):
            messages.success(request, _("Taken back."))
        else:
            messages.error(request, _("It was answered meanwhile."))
        return redirect("admin:campaigns_approval_change", row.pk)


def describe_approval(request: HttpRequest, row: Approval) -> dict[str, Any]:
    """What is approved, exactly as it was asked, and whether this person may answer."""
    is_open = row.status in approvals.OPEN
    problem = approvals.find_problem(row, by=request.user) if row.status == "asked" else ""
    return {
        "row": row,
        "status": make_badge(row.get_status_display(), COLORS.get(row.status, "mute")),
        "task": make_link(row.task),
        "asked_at": show_moment(row.asked_at),
        "asked_ago": tell_age(row.asked_at),
        "decided_at": show_moment(row.decided_at) if row.decided_at else "",
        "words": WordsForm(
            "answer", _("What you say"), help_text=_("A no needs a reason."), needed=False
        ),
        "problem": problem,
        "may_answer": row.status == "asked" and not problem,
        "may_withdraw": is_open and row.asked_by_id == request.user.pk,
        "stale": is_open and not approvals.is_current(row),
        "preview": show_launch(row),
        "request_shown": describe_attempt(request, row.attempt) if row.attempt else None,
    }


def show_launch(row: Approval) -> dict[str, Any] | None:
    """The preview as the asking person saw it; None for another kind, or for facts of an older
    version of this program."""
    if row.kind != Approval.Kind.LAUNCH:
        return None
    try:
        return show_preview(row.facts, row.task)
    except (KeyError, TypeError, ValueError):
        logger.warning("Approval %s holds facts that cannot be shown.", row.pk)
        return None
