"""In: models/barring.py, BarListImport. Out: the lists of numbers that came as files, the form for
another, and the page of one with what came of it."""

from __future__ import annotations

import csv
import io
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import get_language, gettext_lazy, pgettext
from django.utils.translation import gettext as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from campaigns.admin.bar_panel import ALLOW
from campaigns.admin.barring import ScopeFilter
from campaigns.admin.barring_forms import LiftForm, ListForm
from campaigns.admin.base import (
    UNMASK,
    CallboardAdmin,
    audit_reveal,
    hide_cell,
    make_badge,
    show_moment,
)
from campaigns.importing import ImportRefused
from campaigns.importing.barlist import receive_list, undo_list
from campaigns.importing.barlist_rows import make_list_template
from campaigns.importing.cells import guard_cell
from campaigns.models import BarListImport, DoNotCall, StatusChange

BRING = "campaigns.add_barlistimport"
STATUS_COLORS = {"running": "busy", "done": "good", "failed": "bad", "undone": "mute"}
#: rejected rows that the page shows; the file has all that are kept
SHOWN = 20


@admin.register(BarListImport)
class BarListImportAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "Bring a list of numbers that nobody may call, as a CSV or a workbook."
    )
    read_only = True
    is_personal = True
    fields = ()
    list_display = (
        "file_name",
        "show_status",
        "show_scope",
        "added",
        "known",
        "rejected",
        "show_created",
        "created_by",
    )
    list_select_related = ("account", "created_by")
    list_filter = (("status", ChoicesDropdownFilter), ScopeFilter)
    search_fields = ("file_name",)
    sortable_by = ()
    list_before_template = "campaigns/bar_lists_above.html"
    change_form_template = "admin/campaigns/barlistimport/change_form.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(BRING))

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "campaigns_barlistimport"
        return [
            path("template/", view(self.send_template), name=f"{name}_template"),
            path("<path:object_id>/rejected/", view(self.send_rejected), name=f"{name}_rejected"),
            path("<path:object_id>/undo/", view(self.undo), name=f"{name}_undo"),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, row: BarListImport) -> Any:
        return make_badge(row.get_status_display(), STATUS_COLORS.get(row.status, ""))

    @admin.display(description=gettext_lazy("account"))
    def show_scope(self, row: BarListImport) -> str:
        return row.account.name if row.account else _("all accounts")

    @admin.display(description=gettext_lazy("created"))
    def show_created(self, row: BarListImport) -> str:
        return show_moment(row.created_at)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A file, and what goes for its rows."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ListForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                row = receive_list(
                    file,
                    file_name=file.name,
                    account=form.chosen_account,
                    reason=form.cleaned_data["reason"],
                    expires_at=form.expires_at,
                    by=request.user,
                )
            except ImportRefused as refused:
                form.add_error("file", str(refused))
            else:
                return redirect("admin:campaigns_barlistimport_change", row.pk)
        return self.show(
            request, "campaigns/bar_list.html", _("Import a do-not-call list"), form=form
        )

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {"row": row, **self.describe(request, row)}

    def describe(self, request: HttpRequest, row: BarListImport) -> dict[str, Any]:
        alone = count_alone(row)
        names = dict(BarListImport.Status.choices)
        changes = StatusChange.objects.filter(subject="barlistimport", subject_id=row.pk)
        return {
            "status": self.show_status(row),
            "scope": self.show_scope(row),
            "entries_url": f"{reverse('admin:campaigns_donotcall_changelist')}"
            f"?list_import__id__exact={row.pk}",
            "alone": alone,
            "is_active": row.status == "running" or (row.status == "undone" and alone > 0),
            "rejected_rows": [tell_rejected(one, whole=False) for one in row.rejected_rows[:SHOWN]],
            "same": find_same(row),
            "changes": [
                {"at": one.at, "by": one.by, "text": one.sentence or names.get(one.new, one.new)}
                for one in changes.select_related("by").order_by("id")[:50]
            ],
            "may_take": request.user.has_perm(BRING),
            "may_undo": may_undo(row) and request.user.has_perm(ALLOW),
        }

    # -------------------------------------------------------------------------------- the files

    def send_template(self, request: HttpRequest) -> HttpResponse:
        """An empty list with one example row."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return send_csv(make_list_template(get_language() or "en"), "do-not-call.csv")

    def send_rejected(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The rows that were refused, to correct and to import again; numbers masked by right."""
        row: BarListImport = self.find_row(request, object_id)
        if not request.user.has_perm(BRING):
            raise PermissionDenied
        whole = request.user.has_perm(UNMASK)
        if whole:
            audit_reveal(request, [row])
        header = [pgettext("of a file", "line"), _("column"), _("reason"), _("value")]
        rows: list[list[Any]] = [header]
        told = [tell_rejected(one, whole=whole) for one in row.rejected_rows]
        rows += [[one["line"], one["column"], one["reason"], one["value"]] for one in told]
        listed = sum(not one.get("barred") for one in row.rejected_rows)
        if more := row.rejected - listed:
            text = _("%(count)s more rows were rejected; the first 1,000 are listed.")
            rows.append(["", "", text % {"count": more}, ""])
        lines = io.StringIO()
        csv.writer(lines).writerows([guard_cell(cell) for cell in one] for one in rows)
        return send_csv(("\ufeff" + lines.getvalue()).encode(), f"rejected-{row.pk}.csv")

    # ----------------------------------------------------------------------------- taking it back

    def undo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what would happen and ask why, then lift what the list put there."""
        row: BarListImport = self.find_row(request, object_id)
        if not request.user.has_perm(ALLOW):
            raise PermissionDenied
        page = redirect("admin:campaigns_barlistimport_change", row.pk)
        if not may_undo(row):
            messages.warning(request, _("This list cannot be taken back any more."))
            return page
        form = LiftForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            if undo_list(row, by=request.user, reason=form.cleaned_data["reason"]):
                messages.success(request, _("The list is taken back: its entries are lifted."))
            else:
                messages.warning(request, _("This list cannot be taken back any more."))
            return page
        return self.show(
            request,
            "campaigns/bar_list_undo.html",
            _("Take the list back"),
            form=form,
            row=row,
            count=count_alone(row),
        )


def tell_rejected(row: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """A refused row in the reader's language."""
    reason = _(row["reason"])
    if row.get("barred"):
        barred = _("The number is on the list all the same, for good or until the list's own day.")
        reason = f"{reason} {barred}"
    told = {"line": row["line"], "column": row["column"], "reason": reason}
    return told | {"value": row["value"] if whole else hide_cell(row["value"])}


def may_undo(row: BarListImport) -> bool:
    """Whether there is something to take back; one that failed may have come half way."""
    half = row.status == BarListImport.Status.FAILED and count_alone(row) > 0
    return half or row.status == BarListImport.Status.DONE


def count_alone(row: BarListImport) -> int:
    """Entries that nothing but this list has made: these are lifted when it is taken back."""
    return DoNotCall.objects.filter(list_import=row, lifted_at=None).count()


def find_same(row: BarListImport) -> QuerySet[BarListImport]:
    """Earlier lists of the very same bytes."""
    same = BarListImport.objects.filter(sha256=row.sha256, id__lt=row.pk).exclude(sha256="")
    return same.exclude(status=BarListImport.Status.FAILED)[:5]


def send_csv(content: bytes, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response
