"""In: models/tasks.py, Contact. Out: the list of contacts, the page of one with its time line."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
)

from campaigns.admin.bar_panel import describe_bar
from campaigns.admin.base import (
    UNMASK,
    CallboardAdmin,
    audit_reveal,
    hide_phones,
    is_revealed,
    make_badge,
    make_link,
    show_duration,
    show_moment,
    start_revealing,
)
from campaigns.admin.criteria_filters import make_days, make_filter, make_range
from campaigns.admin.criteria_list import CriteriaAdminMixin
from campaigns.admin.task_page import CONTACT_COLORS
from campaigns.admin.time_line import describe_time_line
from campaigns.criteria import CONTACTS
from campaigns.masking import mask_phone
from campaigns.models import Call, Contact

RESULT_COLORS = {
    "answered": "good",
    "transferred": "good",
    "voicemail": "info",
    "no_answer": "warn",
    "busy": "warn",
    "rejected": "warn",
    "powered_off": "warn",
    "unreachable": "warn",
    "timed_out": "warn",
    "abandoned": "warn",
    "invalid_number": "bad",
    "suspended": "bad",
    "call_restricted": "bad",
    "network_failure": "bad",
    "line_failure": "bad",
}


def show_result(result: str, *, title: str = "") -> SafeString:
    """A badge in our word for how a call ended, the platform's words on hovering."""
    if not result:
        return format_html("{}", "–")
    names = dict(Call.Result.choices)
    return make_badge(names.get(result, result), RESULT_COLORS.get(result, ""), title=title)


class RevealingAdmin(CallboardAdmin):
    """Rows with phone numbers: masked, until somebody who may asks for one look at one page."""

    read_only = True
    is_personal = True
    list_before_template = "campaigns/contacts_above.html"

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, self.opts.model_name
        return [
            path("reveal/", view(self.reveal_list), name=f"campaigns_{name}_reveal_list"),
            path("<path:object_id>/reveal/", view(self.reveal), name=f"campaigns_{name}_reveal"),
            *super().get_urls(),
        ]

    def reveal_list(self, request: HttpRequest) -> HttpResponse:
        """Whole numbers on the next look at this list."""
        if request.method != "POST":
            return HttpResponse(status=405)
        start_revealing(request, f"{self.opts.model_name}s")
        url = reverse(f"admin:campaigns_{self.opts.model_name}_changelist")
        query = request.GET.urlencode()
        return redirect(f"{url}?{query}" if query else url)

    def reveal(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Whole numbers on the next look at this row."""
        if request.method != "POST":
            return HttpResponse(status=405)
        row = self.find_row(request, object_id)
        start_revealing(request, f"{self.opts.model_name} {row.pk}")
        return redirect(f"admin:campaigns_{self.opts.model_name}_change", row.pk)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        shown = is_revealed(request, f"{self.opts.model_name}s")
        for row in rows:
            row.revealed = shown
        if shown:
            audit_reveal(request, rows)
        changelist.result_list = rows
        return changelist

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = {
            "may_unmask": request.user.has_perm(UNMASK),
            "reveal_url": reverse(f"admin:campaigns_{self.opts.model_name}_reveal_list")
            + (f"?{request.GET.urlencode()}" if request.GET else ""),
        }
        response = super().changelist_view(request, extra | (extra_context or {}))
        response["Cache-Control"] = "no-store"
        return response

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        row.revealed = is_revealed(request, f"{self.opts.model_name} {row.pk}")
        if row.revealed:
            audit_reveal(request, [row])
        return {
            "row": row,
            "may_unmask": request.user.has_perm(UNMASK) and not row.revealed,
            **self.describe(request, row),
        }

    def describe(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        raise NotImplementedError


def show_phone(row: Any, phone: str) -> str:
    return phone if getattr(row, "revealed", False) else mask_phone(phone)


@admin.register(Contact)
class ContactAdmin(CriteriaAdminMixin, RevealingAdmin):
    criteria_kind = CONTACTS
    empty_hint = gettext_lazy("Contacts come from a file: open a draft and import one.")
    fields = ()
    list_display = (
        "show_phone",
        "show_status",
        "show_task",
        "calls_made",
        "show_result",
        "intention",
        "show_last_call",
        "show_reason",
    )
    list_select_related = ("task",)
    list_filter = (
        ("task", AutocompleteSelectFilter),
        make_filter(CONTACTS, "status__exact"),
        make_filter(CONTACTS, "result"),
        make_filter(CONTACTS, "intention"),
        make_filter(CONTACTS, "right_intention"),
        make_filter(CONTACTS, "called"),
        make_filter(CONTACTS, "answered__exact"),
        make_range(CONTACTS, "attempts", gettext_lazy("calls made")),
        make_filter(CONTACTS, "not_called_since"),
        make_days(CONTACTS, "last_call_at", gettext_lazy("last call")),
        make_range(CONTACTS, "talk", gettext_lazy("talk time of a call (seconds)")),
        make_filter(CONTACTS, "node"),
        make_filter(CONTACTS, "round"),
    )
    list_before_template = "campaigns/contacts_above.html"
    search_fields = ("phone",)
    search_help_text = gettext_lazy("A phone number in any form, or the platform's id")
    change_form_template = "admin/campaigns/contact/change_form.html"

    @admin.display(description=gettext_lazy("phone"))
    def show_phone(self, contact: Contact) -> str:
        return show_phone(contact, contact.phone)

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, contact: Contact) -> Any:
        return make_badge(contact.get_status_display(), CONTACT_COLORS[contact.status])

    @admin.display(description=gettext_lazy("task"))
    def show_task(self, contact: Contact) -> Any:
        return make_link(contact.task)

    @admin.display(description=gettext_lazy("result"))
    def show_result(self, contact: Contact) -> Any:
        return show_result(contact.result)

    @admin.display(description=gettext_lazy("last call"))
    def show_last_call(self, contact: Contact) -> str:
        return show_moment(contact.last_call_at)

    @admin.display(description=gettext_lazy("reason"))
    def show_reason(self, contact: Contact) -> str:
        return contact.reason_text

    def describe(self, request: HttpRequest, row: Contact) -> dict[str, Any]:
        columns = [str(column) for column in row.task.robot.columns]
        values = dict(row.values)
        if columns and not getattr(row, "revealed", False):
            hidden = {column: hide_phones(value) for column, value in values.items()}
            values = hidden | {columns[0]: mask_phone(values.get(columns[0]))}
        return {
            "phone": show_phone(row, row.phone),
            "phone_raw": show_phone(row, row.phone_raw),
            "status": self.show_status(row),
            "result": show_result(row.result),
            "values": [(column, values.get(column, "")) for column in columns],
            "calls": [
                {
                    "call": call,
                    "result": show_result(call.result, title=call.platform_result_text),
                    "talk": show_duration(call.talk_seconds),
                }
                for call in row.calls.order_by("-happened_at")[:20]
            ],
            **describe_time_line(request, row),
            **describe_bar(request, account=row.account, phone=row.phone, of=f"contact={row.pk}"),
        }
