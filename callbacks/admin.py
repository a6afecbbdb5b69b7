"""In: models.Receipt. Out: the inbox screen: every push, its bytes, what became of it, "again"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy
from unfold.contrib.filters.admin import (
    ChoicesDropdownFilter,
    DropdownFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import action

from callbacks.models import Receipt
from callbacks.processing import reprocess
from callbacks.reading import show_body
from campaigns.admin.base import (
    UNMASK,
    CallboardAdmin,
    DaysFilter,
    InfinitePaginator,
    audit_reveal,
    is_revealed,
    make_badge,
    make_link,
    start_revealing,
)
from campaigns.models import Call, StatusChange
from campaigns.platforms.registry import PLATFORMS
from campaigns.wording import tell_problem

STATUS_COLORS = {
    "received": "info",
    "processed": "good",
    "ignored": "mute",
    "quarantined": "bad",
}


def name_reason(reason: str) -> str:
    """The reason of a quarantine in the reader's language; a word we have no sentence for as it
    is."""
    words = {
        "empty": _("the body is empty"),
        "not_json": _("not JSON"),
        "not_object": _("JSON, but no object"),
        "too_deep": _("nested too deep"),
        "too_large": _("too large once unpacked"),
        "unknown_shape": _("no kind of push looks like this"),
        "no_call_id": _("names no call"),
        "no_agent": _("names no agent"),
        "bad_address": _("the address of the recording cannot be used"),
        "foreign_account": _("belongs to another account"),
        "parser_failed": _("our own reading of it failed"),
        "failed": _("failed at every try"),
        "kills_worker": _("the worker died at every try"),
        "request": _("a question of the platform"),
    }
    return words.get(reason, reason)


class ReasonFilter(DropdownFilter):
    title = gettext_lazy("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        ended = Receipt.objects.filter(status__in=["quarantined", "ignored"])
        reasons = ended.order_by("reason").values_list("reason", flat=True).distinct()[:50]
        return [(reason, name_reason(reason)) for reason in reasons if reason]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(reason=value) if value else queryset


class KindFilter(DropdownFilter):
    title = gettext_lazy("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = sorted({kind for platform in PLATFORMS.values() for kind in platform.kinds})
        return [(kind, kind) for kind in kinds if kind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(kind=value) if value else queryset


@admin.register(Receipt)
class ReceiptAdmin(CallboardAdmin):
    """Nothing of a push is edited; it can only be read again."""

    read_only = True
    paginator = InfinitePaginator
    list_display = (
        "show_number",
        "received_at",
        "account",
        "show_kind",
        "show_status",
        "show_reason",
        "show_call",
        "deliveries",
        "tries",
    )
    list_display_links = ("show_number",)
    list_select_related = ("account",)
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ReasonFilter,
        KindFilter,
        ("account", RelatedDropdownFilter),
        ("received_at", DaysFilter),
    )
    sortable_by = ()
    search_fields = ("platform_call_id__exact",)
    search_help_text = gettext_lazy("The platform's id of a call")
    actions: Any = ("process_again",)
    readonly_fields = fields = (
        "show_status",
        "show_reason",
        "show_detail",
        "show_buttons",
        "account",
        "show_kind",
        "show_source",
        "show_call",
        "received_at",
        "deliveries",
        "last_delivery_at",
        "tries",
        "processed_at",
        "show_headers",
        "show_problems",
        "show_body",
        "show_history",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Receipt]:
        call = Call.objects.filter(
            account=OuterRef("account"), platform_call_id=OuterRef("platform_call_id")
        )
        rows: QuerySet[Receipt] = super().get_queryset(request)
        return rows.defer("body").annotate(call_pk=Subquery(call.values("pk")[:1]))

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("callbacks.change_receipt"))

    # ------------------------------------------------------------------------------------ actions

    @action(description=gettext_lazy("Process again"), permissions=["reprocess"])
    def process_again(self, request: HttpRequest, queryset: QuerySet[Receipt]) -> None:
        count = reprocess(Receipt.objects.filter(pk__in=queryset.values("pk")), by=request.user)
        if count:
            messages.success(
                request,
                ngettext(
                    "%(n)d push is processed again.", "%(n)d pushes are processed again.", count
                )
                % {"n": count},
            )
        else:
            messages.info(request, _("What was chosen waits for its turn already."))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path(
                "<path:object_id>/again/",
                wrap(self.process_one_again),
                name="callbacks_receipt_again",
            ),
            path(
                "<path:object_id>/reveal/",
                wrap(self.reveal_one),
                name="callbacks_receipt_reveal",
            ),
            *super().get_urls(),
        ]

    def process_one_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.find_row(request, object_id)
        if request.method != "POST":
            return HttpResponse(status=405)
        if not self.has_reprocess_permission(request):
            raise PermissionDenied
        self.process_again(request, Receipt.objects.filter(pk=row.pk))
        return redirect("admin:callbacks_receipt_change", row.pk)

    def reveal_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.find_row(request, object_id)
        if request.method != "POST":
            return HttpResponse(status=405)
        start_revealing(request, f"receipt-{row.pk}")
        return redirect("admin:callbacks_receipt_change", row.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        response = super().change_view(request, object_id, form_url, extra_context)
        response["Cache-Control"] = "no-store"
        return response

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Receipt | None:
        row: Receipt | None = super().get_object(request, object_id, from_field)
        if row is not None:
            viewing = request.resolver_match and request.resolver_match.url_name
            revealed = viewing == "callbacks_receipt_change" and is_revealed(
                request, f"receipt-{row.pk}"
            )
            if revealed:
                audit_reveal(request, [row])
            row.__dict__.update(
                revealed=revealed,
                may_reveal=request.user.has_perm(UNMASK),
                may_reprocess=self.has_reprocess_permission(request),
            )
        return row

    # ------------------------------------------------------------------------------------- values

    @admin.display(description=pgettext_lazy("of a receipt", "number"), ordering="id")
    def show_number(self, row: Receipt) -> str:
        return f"#{row.pk}"

    @admin.display(description=gettext_lazy("kind"))
    def show_kind(self, row: Receipt) -> str:
        return row.kind or "–"

    @admin.display(description=gettext_lazy("source"))
    def show_source(self, row: Receipt) -> str:
        return str(row.get_source_display())

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, row: Receipt) -> Any:
        return make_badge(row.get_status_display(), STATUS_COLORS.get(row.status, ""))

    @admin.display(description=gettext_lazy("reason"))
    def show_reason(self, row: Receipt) -> str:
        return name_reason(row.reason) or "–"

    @admin.display(description=gettext_lazy("detail"))
    def show_detail(self, row: Receipt) -> str:
        return tell_problem(row.detail) or "–"

    @admin.display(description=gettext_lazy("call"))
    def show_call(self, row: Receipt) -> Any:
        pk = vars(row).get("call_pk")
        if pk is None:
            return row.platform_call_id or "–"
        return make_link(Call(pk=pk, platform_call_id=row.platform_call_id))

    @admin.display(description=gettext_lazy("headers"))
    def show_headers(self, row: Receipt) -> str:
        named = (("Content-Type", row.content_type), ("Content-Encoding", row.content_encoding))
        return "; ".join(f"{name}: {value}" for name, value in named if value) or "–"

    @admin.display(description=gettext_lazy("unusable fields"))
    def show_problems(self, row: Receipt) -> Any:
        if not row.problems:
            return "–"
        lines = [(field, tell_problem(why)) for field, why in sorted(row.problems.items())]
        return format_html_join("", "<div><code>{}</code> {}</div>", lines)

    @admin.display(description=gettext_lazy("body"))
    def show_body(self, row: Receipt) -> Any:
        body = bytes(row.body)
        shown = show_body(body, whole=vars(row).get("revealed", False))
        size = filesizeformat(len(body))
        more = _("Only the beginning is shown.") if shown.cut else ""
        return format_html(
            '<div class="cb-quiet">{} · SHA-256 {} {}</div>'
            '<pre class="cb-mono" style="white-space:pre-wrap;max-height:40rem;overflow:auto">{}'
            "</pre>",
            size,
            bytes(row.sha256).hex(),
            more,
            shown.text,
        )

    @admin.display(description=gettext_lazy("history"))
    def show_history(self, row: Receipt) -> Any:
        changes = StatusChange.objects.filter(subject="receipt", subject_id=row.pk)
        lines = [
            (change.at.strftime("%Y-%m-%d %H:%M:%S %z"), change.old, change.new, change.sentence)
            for change in changes.order_by("id")[:50]
        ]
        return format_html_join("", "<div>{} · {} → {} · {}</div>", lines) if lines else "–"

    @admin.display(description="")
    def show_buttons(self, row: Receipt) -> Any:
        return format_html_join(
            "",
            '<button type="submit" class="cb-button" formmethod="post" formaction="{}">{}</button>'
            " ",
            list(self._list_buttons(row)),
        )

    def _list_buttons(self, row: Receipt) -> Iterator[tuple[str, str]]:
        """Sent by the page's own form, so with its token."""
        if vars(row).get("may_reprocess") and row.status != Receipt.Status.RECEIVED:
            yield reverse("admin:callbacks_receipt_again", args=[row.pk]), _("Process again")
        if vars(row).get("may_reveal") and not vars(row).get("revealed"):
            yield reverse("admin:callbacks_receipt_reveal", args=[row.pk]), _("Show phone numbers")
