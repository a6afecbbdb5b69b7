"""In: models/incidents.py. Out: what every page says while an incident is open, the list of them,
and the page of one with the form that closes it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.functional import SimpleLazyObject
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from campaigns import incidents
from campaigns.admin.base import (
    CallboardAdmin,
    WordsForm,
    make_badge,
    make_link,
    show_moment,
    tell_age,
)
from campaigns.models import Incident

VIEW, CLOSE = "campaigns.view_incident", "campaigns.change_incident"


def tell_open(request: HttpRequest) -> dict[str, Any]:
    """A context processor: the open incidents, asked for by the page that shows them."""

    def find() -> list[Incident]:
        user = getattr(request, "user", None)
        if user is None or not user.is_authenticated or not user.has_perm(VIEW):
            return []
        return incidents.list_open()

    return {"open_incidents": SimpleLazyObject(find)}


def count_badge(request: HttpRequest) -> str:
    """How many are open, for the navigation; nothing for none."""
    number = incidents.count_open()
    return str(number) if number else ""


def show_state(incident: Incident) -> Any:
    return make_badge(_("closed"), "mute") if incident.closed_at else make_badge(_("open"), "bad")


@admin.register(Incident)
class IncidentAdmin(CallboardAdmin):
    empty_hint = gettext_lazy("None. May it stay like this.")
    read_only = True
    fields = ()
    show_full_result_count = False
    list_display = (
        "show_opened",
        "show_kind",
        "show_state",
        "show_task",
        "show_sentence",
        "closed_by",
    )
    list_select_related = ("task", "account", "closed_by")
    list_filter = (("account", RelatedDropdownFilter), ("kind", ChoicesDropdownFilter))
    sortable_by = ()
    change_form_template = "admin/campaigns/incident/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/close/", view(self.close), name="campaigns_incident_close"),
            *super().get_urls(),
        ]

    def get_ordering(self, request: HttpRequest) -> Any:
        return [F("closed_at").desc(nulls_first=True), "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        return super().get_queryset(request).select_related("task", "account", "contact", "attempt")

    @admin.display(description=gettext_lazy("opened"))
    def show_opened(self, incident: Incident) -> Any:
        return format_html('<span class="cb-nowrap">{}</span>', show_moment(incident.opened_at))

    @admin.display(description=gettext_lazy("kind"))
    def show_kind(self, incident: Incident) -> str:
        return incident.get_kind_display()

    @admin.display(description=gettext_lazy("state"))
    def show_state(self, incident: Incident) -> Any:
        return show_state(incident)

    @admin.display(description=gettext_lazy("task"))
    def show_task(self, incident: Incident) -> Any:
        return make_link(incident.task)

    @admin.display(description=gettext_lazy("what happened"))
    def show_sentence(self, incident: Incident) -> str:
        return incident.sentence

    # -------------------------------------------------------------------------------- the page

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {
            "row": row,
            "state": show_state(row),
            "opened_at": show_moment(row.opened_at),
            "opened_ago": tell_age(row.opened_at),
            "closed_at": show_moment(row.closed_at) if row.closed_at else "",
            "account": make_link(row.account),
            "task": make_link(row.task),
            "contact": make_link(row.contact),
            "attempt": make_link(row.attempt),
            "words": WordsForm("note", _("What was done about it")),
            "may_close": row.closed_at is None and request.user.has_perm(CLOSE),
        }

    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what was done; then it is gone from every page."""
        if request.method != "POST":
            return HttpResponse(status=405)
        row: Incident = self.find_row(request, object_id)
        if not request.user.has_perm(CLOSE):
            raise PermissionDenied
        try:
            incidents.close_incident(row, note=request.POST.get("note", ""), by=request.user)
        except incidents.IncidentRefused as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, _("Closed."))
        return redirect("admin:campaigns_incident_change", row.pk)
