"""In: models/gaps.py. Out: the list of what is missing, with what was asked and answered, and the
way to say that it is left as it is."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import action

from campaigns import gaps
from campaigns.admin.base import (
    CallboardAdmin,
    InfinitePaginator,
    WordsForm,
    make_badge,
    make_link,
    make_short_link,
    show_moment,
    tell_age,
)
from campaigns.models import Gap
from campaigns.models.history import fill_in

VIEW, CHANGE = "campaigns.view_gap", "campaigns.change_gap"
_COLORS = {"filled": "good", "dismissed": "", "gone": ""}


class OpenFilter(admin.SimpleListFilter):
    """Open ones unless somebody wants to see the others."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("open")), *Gap.How.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "open":
            return queryset.filter(closed_at=None)
        if self.value() in Gap.How.values:
            return queryset.filter(how=self.value())
        return queryset


def show_state(gap: Gap) -> Any:
    if gap.closed_at is None:
        return make_badge(_("open"), "warn")
    return make_badge(gap.get_how_display(), _COLORS.get(gap.how, ""), title=gap.note)


@admin.register(Gap)
class GapAdmin(CallboardAdmin):
    empty_hint = gettext_lazy("Nothing is missing, as far as can be known.")
    read_only = True
    fields = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_kind",
        "show_state",
        "account",
        "show_task",
        "show_subject",
        "show_found",
        "show_asked",
    )
    list_select_related = ("account", "task", "contact")
    list_filter = (
        OpenFilter,
        ("kind", ChoicesDropdownFilter),
        ("account", RelatedDropdownFilter),
    )
    sortable_by = ()
    change_form_template = "admin/campaigns/gap/change_form.html"
    actions: Any = ("dismiss_chosen",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("dismiss/", view(self.dismiss), name="campaigns_gap_dismiss"),
            *super().get_urls(),
        ]

    def has_dismiss_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(CHANGE))

    def get_ordering(self, request: HttpRequest) -> Any:
        return [F("closed_at").desc(nulls_first=True), "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Gap]:
        rows = super().get_queryset(request).select_related("call", "closed_by")
        return rows.defer("call__evidence", "call__details")

    @admin.display(description=gettext_lazy("what"))
    def show_kind(self, gap: Gap) -> Any:
        return format_html("{}<br><small class='cb-quiet'>{}</small>",
                           gap.get_kind_display(), gap.sentence)  # fmt: skip

    @admin.display(description=gettext_lazy("state"))
    def show_state(self, gap: Gap) -> Any:
        return show_state(gap)

    @admin.display(description=gettext_lazy("task"))
    def show_task(self, gap: Gap) -> Any:
        return make_link(gap.task)

    @admin.display(description=gettext_lazy("of"))
    def show_subject(self, gap: Gap) -> Any:
        return make_short_link(gap.call or gap.contact)

    @admin.display(description=gettext_lazy("found"))
    def show_found(self, gap: Gap) -> Any:
        return format_html('<span class="cb-nowrap">{}</span>', tell_age(gap.found_at))

    @admin.display(description=gettext_lazy("asked and answered"))
    def show_asked(self, gap: Gap) -> Any:
        if gap.asked_at is None:
            return "–"
        asked = _(gap.asked) if gap.asked else ""
        return format_html("{} {}<br><small class='cb-quiet'>{}</small>",
                           asked, tell_age(gap.asked_at), gap.answer)  # fmt: skip

    # -------------------------------------------------------------------------------- the page

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {
            "row": row,
            "state": show_state(row),
            "account": make_link(row.account),
            "task": make_link(row.task),
            "subject": make_link(row.call or row.contact),
            "found_at": show_moment(row.found_at),
            "asked": _(row.asked) if row.asked else "",
            "asked_at": show_moment(row.asked_at) if row.asked_at else "",
            "closed_at": show_moment(row.closed_at) if row.closed_at else "",
            "words": WordsForm("note", _("Why it is left as it is")),
            "may_dismiss": row.closed_at is None and request.user.has_perm(CHANGE),
        }

    @action(description=gettext_lazy("Dismiss"), permissions=["dismiss"])
    def dismiss_chosen(self, request: HttpRequest, queryset: QuerySet[Gap]) -> HttpResponse:
        """Ask for the word that goes with it."""
        ids = list(queryset.filter(closed_at=None).values_list("pk", flat=True)[:1000])
        return self.show(
            request,
            "campaigns/gaps_dismiss.html",
            _("Dismiss gaps"),
            ids=ids,
            words=WordsForm("note", _("Why they are left as they are")),
        )

    def dismiss(self, request: HttpRequest) -> HttpResponse:
        """Close gaps with a word."""
        if request.method != "POST":
            return HttpResponse(status=405)
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        wanted = request.POST.getlist("gap")[:1000]
        ids = [int(one) for one in wanted if one.isascii() and one.isdecimal() and len(one) < 18]
        try:
            closed = gaps.dismiss_gaps(
                Gap.objects.filter(pk__in=ids), note=request.POST.get("note", ""), by=request.user
            )
        except gaps.GapRefused as refused:
            messages.error(request, str(refused))
        else:
            text = ngettext("%(n)d gap is dismissed.", "%(n)d gaps are dismissed.", closed)
            messages.success(request, fill_in(text, {"n": closed}))
        if len(ids) == 1 and Gap.objects.filter(pk=ids[0]).exists():
            return redirect("admin:campaigns_gap_change", ids[0])
        return redirect("admin:campaigns_gap_changelist")


def list_gap_lines(request: HttpRequest) -> list[dict[str, Any]]:
    """What the first screen says of gaps."""
    number = gaps.count_open() if request.user.has_perm(VIEW) else 0
    if not number:
        return []
    text = ngettext(
        "%(n)d thing that should have come did not",
        "%(n)d things that should have come did not",
        number,
    )
    return [
        {
            "icon": "rule_folder",
            "text": fill_in(text, {"n": number}),
            "note": _("Dialogs, recordings, records or whole calls. They are asked for."),
            "url": f"{reverse('admin:campaigns_gap_changelist')}?state=open",
        }
    ]
