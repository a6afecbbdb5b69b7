"""In: models/accounts.py, Exchange. Out: every request to a platform and its answer, redacted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import RadioFilter, RelatedDropdownFilter

from campaigns.admin.base import (
    CallboardAdmin,
    DaysFilter,
    InfinitePaginator,
    make_badge,
    show_moment,
)
from campaigns.models import Exchange


class OutcomeFilter(RadioFilter):
    title = gettext_lazy("outcome")
    parameter_name = "came"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("answered", _("replied")), ("failed", _("failed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "answered":
            return queryset.filter(outcome="replied")
        if self.value() == "failed":
            return queryset.exclude(outcome="replied")
        return queryset


def show_outcome(exchange: Exchange) -> Any:
    """A badge: the HTTP status of a reply, or what went wrong."""
    if exchange.outcome == "replied":
        good = exchange.http_code is not None and exchange.http_code < 400
        return make_badge(exchange.http_code, "good" if good else "bad")
    return make_badge(exchange.outcome_text, "bad", title=exchange.outcome)


@admin.register(Exchange)
class ExchangeAdmin(CallboardAdmin):
    empty_hint = gettext_lazy("Every request to a platform is kept here, from the first test on.")
    read_only = True
    fields = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_started",
        "purpose",
        "show_outcome",
        "show_time",
        "account",
        "task",
        "show_address",
    )
    list_select_related = ("account", "task")
    list_filter = (
        ("account", RelatedDropdownFilter),
        OutcomeFilter,
        ("started_at", DaysFilter),
    )
    search_fields = ("purpose__exact",)
    search_help_text = gettext_lazy("The whole name of a purpose, like insert_contacts")
    change_form_template = "admin/campaigns/exchange/change_form.html"

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        return lookup == "task__id__exact" or super().lookup_allowed(lookup, value, request)

    @admin.display(description=gettext_lazy("outcome"))
    def show_outcome(self, exchange: Exchange) -> Any:
        return show_outcome(exchange)

    @admin.display(description=gettext_lazy("sent"))
    def show_started(self, exchange: Exchange) -> Any:
        return format_html('<span class="cb-nowrap">{}</span>', show_moment(exchange.started_at))

    @admin.display(description=gettext_lazy("address"))
    def show_address(self, exchange: Exchange) -> Any:
        return format_html('<span class="cb-words" title="{0}">{0}</span>', exchange.url)

    @admin.display(description=gettext_lazy("took"))
    def show_time(self, exchange: Exchange) -> str:
        return f"{exchange.seconds:.2f}\u00a0s"

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {"row": row, "outcome": show_outcome(row)}
