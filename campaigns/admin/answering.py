"""In: models/answering.py. Out: callers' variables and their files, the rules of the semantic
interface, and the list of what platforms asked and were answered."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import (
    ChoicesDropdownFilter,
    FieldTextFilter,
    RelatedDropdownFilter,
)

from campaigns.admin import answering_try
from campaigns.admin.answering_forms import (
    ContextFileForm,
    ContextForm,
    DefaultForm,
    SemanticRuleForm,
)
from campaigns.admin.base import (
    UNMASK,
    CallboardAdmin,
    DaysFilter,
    InfinitePaginator,
    hide_phones,
    make_badge,
    show_moment,
)
from campaigns.admin.contacts import RevealingAdmin
from campaigns.importing import ImportRefused
from campaigns.importing.contexts import import_contexts
from campaigns.models import (
    Call,
    ContextDefault,
    ContextImport,
    InboundAnswer,
    InboundContext,
    SemanticRule,
)

OUTCOME_COLORS = {
    "answered": "good",
    "empty": "mute",
    "unreadable": "warn",
    "failed": "bad",
    "late": "bad",
}
#: rejected rows that the page of an import shows
SHOWN = 50


def show_robot(row: Any) -> str:
    return row.robot.name if row.robot else _("every robot of the account")


class VariablesAdmin(CallboardAdmin):
    """Rows of variables. Who may not see whole phone numbers sees them masked, and changes none:
    a masked number would be saved as one."""

    is_personal = True
    masked_fields: tuple[str, ...] = ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and request.user.has_perm(UNMASK)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = list(super().get_fields(request, obj))
        if obj is not None and not self.has_change_permission(request, obj):
            hidden = {"values": "show_values", "relation_id": "show_relation"}
            return [hidden.get(field, field) for field in fields]
        return fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.masked_fields if obj is not None else ()

    @admin.display(description=gettext_lazy("variables"))
    def show_values(self, row: Any) -> str:
        return "\n".join(
            f"{hide_phones(name)} = {hide_phones(text)}" for name, text in row.values.items()
        )

    @admin.display(description=gettext_lazy("variables"))
    def show_names(self, row: Any) -> str:
        names = [str(hide_phones(name)) for name in row.values]
        return ", ".join(names[:8]) + (" …" if len(names) > 8 else "") or "–"

    @admin.display(description=gettext_lazy("robot"))
    def show_robot(self, row: Any) -> str:
        return show_robot(row)

    @admin.display(description=gettext_lazy("changed"), ordering="updated_at")
    def show_updated(self, row: Any) -> str:
        return show_moment(row.updated_at)


@admin.register(InboundContext)
class InboundContextAdmin(VariablesAdmin):
    empty_hint = gettext_lazy(
        "What the script says about somebody who calls in, by the relation id of the call. Bring a"
        " file, or enter them by hand."
    )
    form = ContextForm
    fields = ("account", "robot", "relation_id", "values", "expires_at")
    masked_fields = ("show_values", "show_relation")
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_relation",
        "show_names",
        "account",
        "show_robot",
        "show_expires",
        "show_updated",
    )
    list_select_related = ("account", "robot")
    list_filter = (("account", RelatedDropdownFilter), ("expires_at", DaysFilter))
    search_fields = ("relation_id__exact",)
    search_help_text = gettext_lazy("A whole relation id")
    sortable_by = ()
    list_before_template = "campaigns/contexts_above.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("campaigns.delete_inboundcontext"))

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        return lookup == "source__id__exact" or super().lookup_allowed(lookup, value, request)

    @admin.display(description=gettext_lazy("relation id"))
    def show_relation(self, row: InboundContext) -> str:
        return str(hide_phones(row.relation_id))

    @admin.display(description=gettext_lazy("expires"))
    def show_expires(self, row: InboundContext) -> Any:
        if row.expires_at is None:
            return _("never")
        if row.expires_at <= timezone.now():
            return make_badge(_("expired"), "mute", title=show_moment(row.expires_at))
        return show_moment(row.expires_at)


@admin.register(ContextDefault)
class ContextDefaultAdmin(VariablesAdmin):
    empty_hint = gettext_lazy("Variables for callers of whom nothing else is known.")
    form = DefaultForm
    fields = ("account", "robot", "values")
    masked_fields = ("show_values",)
    list_display = ("account", "show_robot", "show_names", "show_updated")
    list_select_related = ("account", "robot")
    list_display_links = ("account", "show_names")
    list_filter = (("account", RelatedDropdownFilter),)
    sortable_by = ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("campaigns.delete_contextdefault"))


@admin.register(ContextImport)
class ContextImportAdmin(CallboardAdmin):
    empty_hint = gettext_lazy("Bring a file of callers' variables, as a CSV or a workbook.")
    read_only = True
    is_personal = True
    fields = ()
    list_display = (
        "file_name",
        "account",
        "show_robot",
        "added",
        "updated",
        "unchanged",
        "rejected",
        "show_created",
        "created_by",
    )
    list_select_related = ("account", "robot", "created_by")
    list_filter = (("account", RelatedDropdownFilter),)
    search_fields = ("file_name",)
    sortable_by = ()
    change_form_template = "admin/campaigns/contextimport/change_form.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("campaigns.add_contextimport"))

    @admin.display(description=gettext_lazy("robot"))
    def show_robot(self, row: ContextImport) -> str:
        return show_robot(row)

    @admin.display(description=gettext_lazy("created"))
    def show_created(self, row: ContextImport) -> str:
        return show_moment(row.created_at)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ContextFileForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                row = import_contexts(
                    file,
                    account=form.cleaned_data["account"],
                    robot=form.cleaned_data["robot"],
                    file_name=file.name,
                    id_column=form.cleaned_data["id_column"],
                    expires_at=form.cleaned_data["expires_at"],
                    by=request.user,
                )
            except ImportRefused as refused:
                form.add_error("file", str(refused))
            else:
                return redirect("admin:campaigns_contextimport_change", row.pk)
        return self.show(
            request, "campaigns/context_file.html", _("Bring callers' variables"), form=form
        )

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        told = [
            one | {"reason": _(one["reason"]), "value": hide_phones(one["value"])}
            for one in row.rejected_rows[:SHOWN]
        ]
        url = reverse("admin:campaigns_inboundcontext_changelist")
        return {
            "row": row,
            "robot": show_robot(row),
            "rejected_rows": told,
            "contexts_url": f"{url}?source__id__exact={row.pk}",
            "same": ContextImport.objects.filter(
                account=row.account_id, sha256=row.sha256, id__lt=row.pk
            )[:5],
        }


@admin.register(SemanticRule)
class SemanticRuleAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "A rule takes a value from what somebody said, when the script asks for it by a code."
    )
    form = SemanticRuleForm
    list_display = (
        "show_code",
        "key",
        "show_finds",
        "show_looks",
        "account",
        "show_robot",
        "order",
        "show_active",
    )
    list_select_related = ("account", "robot")
    list_filter = (
        ("account", RelatedDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        "is_active",
    )
    search_fields = ("code", "key")
    sortable_by = ()
    list_before_template = "campaigns/semantic_rules_above.html"
    change_form_template = "admin/campaigns/semanticrule/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "campaigns_semanticrule"
        return [
            path("try/", view(partial(answering_try.try_request, self)), name=f"{name}_try"),
            path("try-rule/", view(partial(answering_try.try_rule, self)), name=f"{name}_try_rule"),
            *super().get_urls(),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("campaigns.delete_semanticrule"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        sample = ("sample",) if self.has_change_permission(request, obj) else ()
        return [
            (None, {"fields": (("account", "robot"), ("code", "order"), "is_active")}),
            (
                _("What it looks at"),
                {"fields": (("source", "source_name"), "after")},
            ),
            (
                _("What it finds"),
                {
                    "fields": (
                        ("kind", "which"),
                        ("unit", "side"),
                        ("low", "high"),
                        "choices",
                        "pattern",
                    )
                },
            ),
            (_("What is answered"), {"fields": (("key", "type"), "default", *sample)}),
        ]

    @admin.display(description=gettext_lazy("code"))
    def show_code(self, row: SemanticRule) -> str:
        return row.code

    @admin.display(description=gettext_lazy("finds"))
    def show_finds(self, row: SemanticRule) -> str:
        return str(row.get_kind_display()) + (f" ({row.unit})" if row.unit else "")

    @admin.display(description=gettext_lazy("looks at"))
    def show_looks(self, row: SemanticRule) -> str:
        name = f": {row.source_name}" if row.source_name else ""
        return f"{row.get_source_display()}{name}"

    @admin.display(description=gettext_lazy("robot"))
    def show_robot(self, row: SemanticRule) -> str:
        return show_robot(row)

    @admin.display(description=gettext_lazy("state"))
    def show_active(self, row: SemanticRule) -> Any:
        return make_badge(_("on"), "good") if row.is_active else make_badge(_("off"), "mute")


@admin.register(InboundAnswer)
class InboundAnswerAdmin(RevealingAdmin):
    empty_hint = gettext_lazy("What a platform asks during a call is kept here, with its answer.")
    fields = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_asked",
        "kind",
        "code",
        "platform_robot_id",
        "show_outcome",
        "show_answer",
        "show_took",
        "account",
    )
    list_select_related = ("account",)
    list_filter = (
        ("outcome", ChoicesDropdownFilter),
        ("code", FieldTextFilter),
        ("platform_robot_id", FieldTextFilter),
        ("account", RelatedDropdownFilter),
        ("asked_at", DaysFilter),
    )
    search_fields = ("platform_call_id", "relation_id")
    search_help_text = gettext_lazy("A whole call id or relation id")
    sortable_by = ()
    list_before_template = "campaigns/inbound_answers_above.html"
    change_form_template = "admin/campaigns/inboundanswer/change_form.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()[:200]
        if not term:
            return queryset, False
        found = queryset.filter(platform_call_id=term)
        return (found if found.exists() else queryset.filter(relation_id=term)), False

    @admin.display(description=gettext_lazy("asked"))
    def show_asked(self, row: InboundAnswer) -> Any:
        return format_html('<span class="cb-nowrap">{}</span>', show_moment(row.asked_at))

    @admin.display(description=gettext_lazy("outcome"))
    def show_outcome(self, row: InboundAnswer) -> Any:
        return show_outcome(row)

    @admin.display(description=gettext_lazy("answer"))
    def show_answer(self, row: InboundAnswer) -> Any:
        text = row.answer if getattr(row, "revealed", False) else str(hide_phones(row.answer))
        told = text[:300] + ("…" if len(text) > 300 else "")
        return format_html('<span class="cb-words" title="{0}">{0}</span>', told)

    @admin.display(description=gettext_lazy("took"))
    def show_took(self, row: InboundAnswer) -> Any:
        return format_html('<span class="cb-nowrap">{} ms</span>', f"{row.took_ms:.0f}")

    def describe(self, request: HttpRequest, row: InboundAnswer) -> dict[str, Any]:
        whole = getattr(row, "revealed", False)
        receipts = row.account.receipts.filter(kind=row.kind, sha256=row.sha256).defer("body")
        return {
            "outcome": show_outcome(row),
            "detail": _(row.detail) if row.detail else "",
            "answer": answering_try.print_answer(row.answer, whole=whole),
            "findings": answering_try.describe_findings(row.findings, whole=whole),
            "receipt": receipts.first(),
            "calls": list_calls(row),
            "may_try": request.user.has_perm("campaigns.view_semanticrule"),
        }


def show_outcome(row: InboundAnswer) -> Any:
    return make_badge(
        row.get_outcome_display(),
        OUTCOME_COLORS.get(row.outcome, ""),
        title=_(row.detail) if row.detail else "",
    )


def list_calls(row: InboundAnswer) -> list[Call]:
    """The call that it was asked in, once it is known; by the relation id where no id was said."""
    calls = Call.objects.filter(account=row.account_id).defer("evidence", "details")
    if row.platform_call_id:
        return list(calls.filter(platform_call_id=row.platform_call_id)[:1])
    if not row.relation_id:
        return []
    near = (row.asked_at - timedelta(days=1), row.asked_at + timedelta(days=1))
    found = calls.filter(relation_id=row.relation_id, happened_at__range=near)
    return list(found.order_by("-happened_at")[:5])
