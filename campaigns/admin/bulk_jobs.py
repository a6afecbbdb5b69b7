"""In: models/bulk.py, BulkJob. Out: the list of what is done with many rows, the page of one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from campaigns import bulk
from campaigns.admin.base import (
    CallboardAdmin,
    InfinitePaginator,
    make_badge,
    show_moment,
    tell_age,
)
from campaigns.admin.list_pages import BULK, DEEDS
from campaigns.criteria import BadCriteria, read_criteria
from campaigns.models import BulkJob

COLORS = {
    "waiting": "info",
    "gathering": "busy",
    "running": "busy",
    "done": "good",
    "failed": "bad",
    "cancelled": "mute",
    "undoing": "busy",
    "undone": "mute",
}


@admin.register(BulkJob)
class BulkJobAdmin(CallboardAdmin):
    read_only = True
    empty_hint = gettext_lazy(
        "What is done with all rows of a list is begun above the lists of calls and contacts."
    )
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = ("show_what", "show_status", "show_total", "show_done", "show_created")
    list_select_related = ("created_by",)
    list_filter = (("status", ChoicesDropdownFilter), ("action", ChoicesDropdownFilter))
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        pages = {"live": self.live, "cancel": self.cancel, "undo": self.undo}
        return [
            *(
                path(f"<path:object_id>/{name}/", view(page), name=f"campaigns_bulkjob_{name}")
                for name, page in pages.items()
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("created_by")

    @admin.display(description=gettext_lazy("what"))
    def show_what(self, job: BulkJob) -> str:
        return str(job)

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, job: BulkJob) -> Any:
        return make_badge(job.get_status_display(), COLORS[job.status], title=job.reason_text)

    @admin.display(description=gettext_lazy("rows"))
    def show_total(self, job: BulkJob) -> Any:
        told = "–" if job.total is None else f"{job.total:,}"
        return format_html('<span class="cb-figure">{}</span>', told)

    @admin.display(description=gettext_lazy("done"))
    def show_done(self, job: BulkJob) -> Any:
        return format_html('<span class="cb-figure">{}</span>', f"{job.done:,}")

    @admin.display(description=gettext_lazy("created"))
    def show_created(self, job: BulkJob) -> str:
        by = f" · {job.created_by}" if job.created_by else ""
        return f"{show_moment(job.created_at)}{by}"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """How far it is, what was passed over and why, and the way back."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(status=405)
        job = self.find_row(request, object_id)
        return self.show(request, "campaigns/bulk_page.html", str(job), **describe(request, job))

    def live(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job = self.find_row(request, object_id)
        return self.show(request, "campaigns/bulk_live.html", str(job), **describe(request, job))

    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stop it; what was done stays."""
        job = self._take(request, object_id, undo=False)
        if isinstance(job, HttpResponse):
            return job
        if bulk.cancel_job(job, by=request.user):
            messages.success(request, _("It stops. What was done until now stays."))
        else:
            messages.info(request, _("It is over already."))
        return redirect("admin:campaigns_bulkjob_change", job.pk)

    def undo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what it did, and nothing else."""
        job = self._take(request, object_id, undo=True)
        if isinstance(job, HttpResponse):
            return job
        if bulk.undo_job(job, by=request.user):
            messages.success(request, _("It is taken back, row by row."))
        elif bulk.is_forgotten(job):
            messages.error(request, _(bulk.FORGOTTEN))
        else:
            messages.error(request, _("It cannot be taken back."))
        return redirect("admin:campaigns_bulkjob_change", job.pk)

    def _take(self, request: HttpRequest, object_id: str, *, undo: bool) -> Any:
        if request.method != "POST":
            return HttpResponse(status=405)
        job = self.find_row(request, object_id)
        if not may_change(request, job, undo=undo):
            raise PermissionDenied
        return job


def may_change(request: HttpRequest, job: BulkJob, *, undo: bool) -> bool:
    """Whether this person may stop, or take back, what was begun."""
    deed = DEEDS[job.action]
    right = deed.may_undo if undo else deed.may
    return bool(right) and bool(request.user.has_perm(BULK) and request.user.has_perm(right))


def describe(request: HttpRequest, job: BulkJob) -> dict[str, Any]:
    """What ``campaigns/bulk_live.html`` needs."""
    looked = job.done + job.passed
    try:
        chosen = read_criteria(job.kind, job.params).describe()
    except BadCriteria as bad:
        chosen = [("", str(bad))]
    lists = reverse("admin:campaigns_donotcall_changelist")
    return {
        "job": job,
        "color": COLORS[job.status],
        "chosen": chosen,
        "total": "–" if job.total is None else f"{job.total:,}",
        "looked": f"{looked:,}",
        "percent": 100 * looked // job.total if job.total else None,
        "reasons": [
            (_(reason), f"{number:,}")
            for reason, number in sorted(job.reasons.items(), key=lambda one: -one[1])
        ],
        "age": tell_age(job.progress_at),
        "entries": [f"{lists}?list_import__id__exact={pk}" for pk in job.lists.values()],
        "may_stop": job.status in ("waiting", "gathering", "running")
        and not job.is_cancelled
        and may_change(request, job, undo=False),
        "may_undo": bulk.can_undo(job)
        and may_change(request, job, undo=True)
        and bulk.has_rows(job),
        "forgotten": bulk.is_forgotten(job),
        "days": settings.BULK_KEEP_DAYS,
    }
