"""In: models/imports.py, ContactImport. Out: the list of imports, the page of one, addresses."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    RadioFilter,
)

from campaigns.admin import import_steps, importing
from campaigns.admin.base import (
    IMPORT,
    CallboardAdmin,
    InfinitePaginator,
    make_badge,
    make_link,
    show_moment,
)
from campaigns.admin.import_page import (
    STATUS_COLORS,
    describe_import,
    describe_row,
    show_number,
)
from campaigns.models import ContactImport, Task


class StandFilter(RadioFilter):
    title = gettext_lazy("what is left to do")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("mine", _("mine, to go on with")), ("all", _("everybody's, to go on with"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("mine", "all"):
            return queryset
        going_on = queryset.filter(status__in=ContactImport.OPEN, task__status=Task.Status.DRAFT)
        return going_on.filter(created_by=request.user) if self.value() == "mine" else going_on


@admin.register(ContactImport)
class ContactImportAdmin(CallboardAdmin):
    read_only = True
    empty_hint = gettext_lazy("Contacts come from a file: open a draft and import one.")
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_file",
        "show_task",
        "show_status",
        "show_rows",
        "show_loaded",
        "show_excluded",
        "show_rejected",
        "show_created",
    )
    list_select_related = ("task", "task__account", "created_by")
    list_filter = (
        ("task", AutocompleteSelectFilter),
        ("status", ChoicesDropdownFilter),
        StandFilter,
        ("origin", ChoicesDropdownFilter),
    )
    sortable_by = ()
    search_fields = ("file_name",)
    search_help_text = gettext_lazy("Name of the file")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        verbs = {
            "reading": import_steps.reading_page,
            "columns": import_steps.columns_page,
            "preview": import_steps.preview_columns,
            "live": import_steps.show_live,
            "confirm": import_steps.confirm,
            "again": import_steps.check_again,
            "cancel": import_steps.cancel,
            "undo": import_steps.undo_page,
            "reveal": import_steps.reveal,
            "rejected": importing.send_rejected,
        }
        files = {"rejected": "rejected.csv"}
        return [
            *(
                path(
                    f"<path:object_id>/{files.get(verb, f'{verb}/')}",
                    view(partial(function, self)),
                    name=f"campaigns_contactimport_{verb}",
                )
                for verb, function in verbs.items()
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("task__account", "task__robot", "created_by", "confirmed_by")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An import tells of its task's contacts: for who may see tasks."""
        sees_tasks = request.user.has_perm("campaigns.view_task")
        return bool(sees_tasks and super().has_view_permission(request, obj))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(IMPORT) and request.user.has_perm("campaigns.view_task"))

    # ------------------------------------------------------------------------------ the list

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        for one in rows:
            one.may_go_on = request.user.has_perm(IMPORT)
        changelist.result_list = rows
        return changelist

    @admin.display(description=gettext_lazy("file"))
    def show_file(self, one: ContactImport) -> str:
        return one.file_name

    @admin.display(description=gettext_lazy("task"))
    def show_task(self, one: ContactImport) -> Any:
        return make_link(one.task)

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, one: ContactImport) -> Any:
        badge = make_badge(
            one.get_status_display(), STATUS_COLORS.get(one.status, ""), title=one.reason_text
        )
        url = describe_row(one, one.task)["continue_url"]
        if not url or not getattr(one, "may_go_on", False):
            return badge
        return format_html('{} <a class="cb-link" href="{}">{}</a>', badge, url, _("Continue"))

    @admin.display(description=gettext_lazy("rows"))
    def show_rows(self, one: ContactImport) -> Any:
        return self._show(one.counts.get("rows"))

    @admin.display(description=gettext_lazy("Loaded"))
    def show_loaded(self, one: ContactImport) -> Any:
        if not one.loaded:
            return self._show(one.loaded if one.ended_at else None)
        url = f"{reverse('admin:campaigns_contact_changelist')}?source__id__exact={one.pk}"
        return format_html(
            '<a class="cb-link cb-figure" href="{}">{}</a>', url, show_number(one.loaded)
        )

    @admin.display(description=gettext_lazy("left out"))
    def show_excluded(self, one: ContactImport) -> Any:
        return self._show(one.excluded if one.ended_at else None)

    @admin.display(description=gettext_lazy("refused"))
    def show_rejected(self, one: ContactImport) -> Any:
        return self._show(one.rejected if one.ended_at else one.counts.get("rejected"))

    @admin.display(description=gettext_lazy("created"))
    def show_created(self, one: ContactImport) -> str:
        by = f" · {one.created_by}" if one.created_by else ""
        return f"{show_moment(one.created_at)}{by}"

    @staticmethod
    def _show(number: int | None) -> Any:
        shown = "–" if number is None else show_number(int(number))
        return format_html('<span class="cb-figure">{}</span>', shown)

    # ------------------------------------------------------------------------------ its pages

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Which draft the contacts are for."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        drafts = Task.objects.filter(status=Task.Status.DRAFT, kind=Task.Kind.CAMPAIGN)
        return self.show(
            request,
            "campaigns/import_choose.html",
            _("Import contacts: into which task?"),
            drafts=list(drafts.select_related("robot", "account").order_by("-id")[:60]),
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Where the import stands, and what can be done next."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(status=405)
        one = self.find_row(request, object_id)
        return self.show(
            request,
            "campaigns/import_page.html",
            _("Import contacts"),
            **describe_import(request, one),
        )
