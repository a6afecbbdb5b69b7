"""In: models/exports.py. Out: the history of exports, the page of one, daily exports."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from campaigns import exporting
from campaigns.admin.base import (
    EXPORT,
    UNMASK,
    CallboardAdmin,
    InfinitePaginator,
    make_badge,
    make_link,
    show_moment,
    tell_age,
)
from campaigns.exporting.steps import describe_criteria
from campaigns.models import Export, ExportPlan
from campaigns.models.exports import Form

OVERSEE = "campaigns.oversee_exports"
COLORS = {
    "waiting": "info",
    "running": "busy",
    "done": "good",
    "failed": "bad",
    "cancelled": "mute",
    "expired": "mute",
}
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
}


@admin.register(Export)
class ExportAdmin(CallboardAdmin):
    """Everybody sees their own; who oversees exports sees all of them."""

    read_only = True
    empty_hint = gettext_lazy(
        "Exports are asked for above the lists of calls and contacts: choose rows, then “Export…”."
    )
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_file",
        "show_status",
        "show_rows",
        "show_size",
        "show_created",
        "show_kept",
    )
    list_select_related = ("created_by", "plan")
    list_filter = (("status", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    sortable_by = ()
    list_before_template = "campaigns/exports_above.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        pages = {"live": self.live, "file": self.file, "cancel": self.cancel}
        return [
            *(
                path(f"<path:object_id>/{name}/", view(page), name=f"campaigns_export_{name}")
                for name, page in pages.items()
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        if request.user.has_perm(OVERSEE):
            return rows
        return rows.filter(created_by=request.user.pk)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(EXPORT))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(EXPORT))

    # -------------------------------------------------------------------------------- the list

    @admin.display(description=gettext_lazy("file"))
    def show_file(self, one: Export) -> str:
        return str(one)

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, one: Export) -> Any:
        return make_badge(one.get_status_display(), COLORS[one.status], title=one.reason_text)

    @admin.display(description=gettext_lazy("rows"))
    def show_rows(self, one: Export) -> Any:
        return format_html('<span class="cb-figure">{}</span>', f"{one.rows:,}")

    @admin.display(description=gettext_lazy("size"))
    def show_size(self, one: Export) -> str:
        return "–" if one.bytes is None else str(filesizeformat(one.bytes))

    @admin.display(description=gettext_lazy("created"))
    def show_created(self, one: Export) -> str:
        by = f" · {one.created_by}" if one.created_by else ""
        return f"{show_moment(one.created_at)}{by}"

    @admin.display(description=gettext_lazy("kept until"))
    def show_kept(self, one: Export) -> str:
        return show_moment(one.expires_at) if one.status == "done" else "–"

    # -------------------------------------------------------------------------------- its pages

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """How far it is, and its file."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(status=405)
        one = self.find_row(request, object_id)
        return self.show(request, "campaigns/export_page.html", str(one), **describe(request, one))

    def live(self, request: HttpRequest, object_id: str) -> HttpResponse:
        one = self.find_row(request, object_id)
        return self.show(request, "campaigns/export_live.html", str(one), **describe(request, one))

    def file(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The file, for who may see what is in it."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(status=405)
        one = self.find_row(request, object_id)
        if not may_fetch(request, one):
            raise PermissionDenied
        if one.status != Export.Status.DONE or not one.file:
            raise Http404
        try:
            stream = one.file.open("rb")
        except OSError as error:
            raise Http404 from error
        if request.method == "GET":
            exporting.note_download(one, by=request.user)
        response = FileResponse(
            stream,
            as_attachment=True,
            filename=one.file_name,
            content_type=TYPES[one.form],
        )
        response["Cache-Control"] = "no-store"
        response["X-Content-Type-Options"] = "nosniff"
        return response

    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponse(status=405)
        one = self.find_row(request, object_id)
        if exporting.cancel_export(one, by=request.user):
            messages.success(request, _("It is given up."))
        else:
            messages.info(request, _("It is over already."))
        return redirect("admin:campaigns_export_change", one.pk)


def may_fetch(request: HttpRequest, one: Export) -> bool:
    """Whether this person may see what is in the file."""
    if one.whole and not request.user.has_perm(UNMASK):
        return False
    return one.form != Form.ZIP or bool(request.user.has_perm("campaigns.view_recording"))


def describe(request: HttpRequest, one: Export) -> dict[str, Any]:
    """What ``campaigns/export_live.html`` needs."""
    done = min(one.rows, one.rows_end) if one.rows_end else 0
    began = one.started_at
    seconds = ((one.ended_at or timezone.now()) - began).total_seconds() if began else 0
    return {
        "one": one,
        "color": COLORS[one.status],
        "chosen": describe_criteria(one),
        "percent": 100 * done // one.rows_end if one.rows_end else None,
        "rows": f"{one.rows:,}",
        "rows_end": f"{one.rows_end:,}" if one.rows_end is not None else "",
        "speed": f"{int(one.rows / seconds):,}" if seconds > 1 and one.rows else "",
        "size": filesizeformat(one.bytes or 0),
        "age": tell_age(one.progress_at),
        "kept": show_moment(one.expires_at),
        "file_url": reverse("admin:campaigns_export_file", args=[one.pk]),
        "may_fetch": may_fetch(request, one),
    }


class PlanForm(forms.ModelForm):
    """A file of a task's calls, every day."""

    def clean_form(self) -> str:
        form: str = self.cleaned_data["form"]
        if form == Form.ZIP:
            raise forms.ValidationError(_("A daily export is a table: CSV or Excel."))
        return form


@admin.register(ExportPlan)
class ExportPlanAdmin(CallboardAdmin):
    form = PlanForm
    empty_hint = gettext_lazy("A daily export makes a file of a task's calls every morning.")
    list_display = ("show_task", "form", "show_at", "is_active", "show_last", "created_by")
    list_select_related = ("task", "task__account", "created_by")
    fields = ("task", "form", "words", "whole", "at", "is_active")
    autocomplete_fields = ("task",)
    sortable_by = ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fields = [str(name) for name in self.fields or ()]
        return (
            fields if request.user.has_perm(UNMASK) else [one for one in fields if one != "whole"]
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("campaigns.delete_exportplan"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(EXPORT)) and super().has_add_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Whoever changes it last answers for it: the files are theirs, with their rights."""
        obj.created_by = request.user
        super().save_model(request, obj, form, change)

    @admin.display(description=gettext_lazy("task"))
    def show_task(self, one: ExportPlan) -> str:
        return str(one.task)

    @admin.display(description=gettext_lazy("time of day"))
    def show_at(self, one: ExportPlan) -> str:
        return f"{one.at:%H:%M} ({one.task.account.time_zone})"

    @admin.display(description=gettext_lazy("last file"))
    def show_last(self, one: ExportPlan) -> Any:
        last = one.exports.order_by("-id").first()
        return make_link(last) if last else "–"
