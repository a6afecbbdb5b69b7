"""In: models.Receipt. Out: the list of pushes, and the page of one: its bytes, what they say, what
became of it, "again"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from unfold.contrib.filters.admin import (
    ChoicesDropdownFilter,
    DropdownFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import action

from callbacks import tally
from callbacks.admin import health, quarantine
from callbacks.admin.words import name_event, name_reason
from callbacks.models import Receipt
from callbacks.processing import reprocess
from callbacks.reading import show_body
from callbacks.rereading import is_of, list_kinds
from callbacks.understanding import list_facts, try_reading
from campaigns.admin.base import (
    UNMASK,
    CallboardAdmin,
    DaysFilter,
    InfinitePaginator,
    audit_reveal,
    hide_phones,
    is_revealed,
    make_badge,
    make_link,
    read_day,
    show_moment,
    start_revealing,
)
from campaigns.admin.call_filters import PlatformFilter
from campaigns.models import Call, StatusChange
from campaigns.wording import tell_problem

STATUS_COLORS = {
    "received": "info",
    "processed": "good",
    "ignored": "mute",
    "quarantined": "bad",
}


def skip_to(status: str, *, most: int = 50) -> Iterator[str]:
    """The reasons of a state, from one to the next by the index, past the many rows of each."""
    reason = ""
    for _place in range(most):
        rows = Receipt.objects.filter(status=status, reason__gt=reason).order_by("reason")
        following = rows.values_list("reason", flat=True).first()
        if following is None:
            return
        reason = following
        yield reason


class ReasonFilter(DropdownFilter):
    title = gettext_lazy("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        reasons = sorted({one for status in ("quarantined", "ignored") for one in skip_to(status)})
        return [(reason, name_reason(reason)) for reason in reasons]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(reason=value) if value else queryset


class KindFilter(DropdownFilter):
    title = gettext_lazy("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in list_kinds()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(is_of(value)) if value else queryset


class ReceivedFilter(DaysFilter):
    """By the ids of these days: they are given in the order of time, and have an index."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        rows = super().queryset(request, queryset)
        begin = read_day(self.used_parameters.get(f"{self.parameter_name}_from"))
        end = read_day(self.used_parameters.get(f"{self.parameter_name}_to"))
        slack = tally.SETTLED_AFTER
        if begin:
            rows = rows.filter(pk__gte=tally.find_first_id(begin, slack=slack))
        if end:
            beyond = end + timedelta(days=1) + slack
            rows = rows.filter(pk__lt=tally.find_first_id(beyond, slack=timedelta(0)) + 1)
        return rows


@admin.register(Receipt)
class ReceiptAdmin(CallboardAdmin):
    """Nothing of a push is edited; it can only be read again."""

    read_only = True
    is_personal = True
    paginator = InfinitePaginator
    list_display = (
        "show_number",
        "show_received",
        "show_account",
        "show_kind",
        "show_status",
        "show_short_reason",
        "show_short_call",
        "deliveries",
    )
    list_display_links = ("show_number",)
    list_select_related = ("account",)
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ReasonFilter,
        KindFilter,
        ("account", RelatedDropdownFilter),
        PlatformFilter,
        ("received_at", ReceivedFilter),
    )
    sortable_by = ()
    search_fields = ("platform_call_id__exact",)
    search_help_text = gettext_lazy("The platform's id of a call")
    actions: Any = ("process_again",)
    list_before_template = "callbacks/receipts_above.html"
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
        "show_says",
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
        """The chosen ones; with "select all" every one that the filters leave."""
        if request.POST.get("select_across") == "1":
            quarantine.start(request, quarantine.read_filters(request.GET))
            return
        rows = Receipt.objects.filter(pk__in=queryset.values("pk"))
        quarantine.tell_started(request, reprocess(rows, by=request.user))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("health/", wrap(partial(health.show_page, self)), name="callbacks_health"),
            path("health/live/", wrap(partial(health.show_live, self)), name="callbacks_live"),
            path(
                "quarantine/",
                wrap(partial(quarantine.show_page, self)),
                name="callbacks_quarantine",
            ),
            path(
                "quarantine/again/",
                wrap(partial(quarantine.read_again, self)),
                name="callbacks_quarantine_again",
            ),
            path(
                "quarantine/<int:rereading_id>/<slug:order>/",
                wrap(partial(quarantine.order_rereading, self)),
                name="callbacks_rereading_order",
            ),
            path(
                "<path:object_id>/download/",
                wrap(self.download_one),
                name="callbacks_receipt_download",
            ),
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

    def download_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The bytes as they came, whole numbers among them: for those who may see these."""
        row = self.find_row(request, object_id)
        if request.method != "POST":
            return HttpResponse(status=405)
        if not request.user.has_perm(UNMASK):
            raise PermissionDenied
        audit_reveal(request, [row])
        response = HttpResponse(bytes(row.body), content_type="application/octet-stream")
        response["Content-Disposition"] = f'attachment; filename="receipt-{row.pk}.bin"'
        response["X-Content-Type-Options"] = "nosniff"
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
            may_reveal = request.user.has_perm(UNMASK)
            row.__dict__.update(
                revealed=revealed,
                may_reveal=may_reveal,
                form=request.GET.get("as", "") if may_reveal else "",
                may_reprocess=self.has_reprocess_permission(request),
            )
        return row

    # ------------------------------------------------------------------------------------- values

    @admin.display(description=pgettext_lazy("of a receipt", "number"), ordering="id")
    def show_number(self, row: Receipt) -> str:
        return f"#{row.pk}"

    @admin.display(description=gettext_lazy("received"))
    def show_received(self, row: Receipt) -> Any:
        return format_html('<span class="cb-nowrap">{}</span>', show_moment(row.received_at))

    @admin.display(description=gettext_lazy("account"))
    def show_account(self, row: Receipt) -> Any:
        return format_html('<span class="cb-words" title="{0}">{0}</span>', row.account)

    @admin.display(description=gettext_lazy("kind"))
    def show_kind(self, row: Receipt) -> str:
        return row.told_kind or row.kind or "–"

    @admin.display(description=gettext_lazy("source"))
    def show_source(self, row: Receipt) -> str:
        return str(row.get_source_display())

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, row: Receipt) -> Any:
        return make_badge(row.get_status_display(), STATUS_COLORS.get(row.status, ""))

    @admin.display(description=gettext_lazy("reason"))
    def show_reason(self, row: Receipt) -> str:
        return name_reason(row.reason) or "–"

    @admin.display(description=gettext_lazy("reason"))
    def show_short_reason(self, row: Receipt) -> Any:
        told = self.show_reason(row)
        return format_html('<span class="cb-words cb-brief" title="{0}">{0}</span>', told)

    @admin.display(description=gettext_lazy("detail"))
    def show_detail(self, row: Receipt) -> str:
        return str(hide_phones(tell_problem(row.detail))) or "–"

    @admin.display(description=gettext_lazy("call"))
    def show_call(self, row: Receipt) -> Any:
        pk = vars(row).get("call_pk")
        if pk is None:
            return row.platform_call_id or "–"
        return make_link(Call(pk=pk, platform_call_id=row.platform_call_id))

    @admin.display(description=gettext_lazy("call"))
    def show_short_call(self, row: Receipt) -> Any:
        told = self.show_call(row)
        return format_html(
            '<span class="cb-words cb-brief" title="{}">{}</span>', row.platform_call_id, told
        )

    @admin.display(description=gettext_lazy("headers"))
    def show_headers(self, row: Receipt) -> str:
        named = (("Content-Type", row.content_type), ("Content-Encoding", row.content_encoding))
        return "; ".join(f"{name}: {value}" for name, value in named if value) or "–"

    @admin.display(description=gettext_lazy("unusable fields"))
    def show_problems(self, row: Receipt) -> Any:
        if not row.problems:
            return "–"
        hidden = hide_phones(row.problems)
        lines = [(field, tell_problem(why)) for field, why in sorted(hidden.items())]
        return format_html_join("", "<div><code>{}</code> {}</div>", lines)

    @admin.display(description=gettext_lazy("what it says"))
    def show_says(self, row: Receipt) -> Any:
        """What today's code reads in it; of one in quarantine, whether it would be understood."""
        found = try_reading(row)
        if not found.status:
            return _("Too large to be read for this page.")
        again = row.status == "quarantined" and found.status != "quarantined"
        note = _("It would be understood now: process it again.") if again else ""
        if not found.events:
            return note or name_reason(found.reason) or _("Nothing.")
        whole = vars(row).get("revealed", False)
        parts = []
        for event in found.events:
            facts = [
                (name, self._spell(value if whole else hide_phones(value)))
                for name, value in list_facts(event)
            ]
            lines = format_html_join("", '<div class="cb-name"><code>{}</code> {}</div>', facts)
            parts.append((name_event(type(event).__name__), lines))
        blocks = format_html_join(
            "", '<div class="mb-2"><span class="cb-strong">{}</span>{}</div>', parts
        )
        if not note:
            return blocks
        return format_html('<div class="cb-badge good mb-2">{}</div>{}', note, blocks)

    def _spell(self, value: Any) -> str:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return text if len(text) <= 1000 else f"{text[:1000]}…"

    @admin.display(description=gettext_lazy("body"))
    def show_body(self, row: Receipt) -> Any:
        body = bytes(row.body)
        whole = vars(row).get("revealed", False)
        shown = show_body(body, whole=whole, form=vars(row).get("form", ""))
        size = filesizeformat(len(body))
        more = _("Only the beginning is shown.") if shown.cut else ""
        return format_html(
            '<div class="cb-quiet">{} · SHA-256 <span class="cb-name">{}</span> {}</div>'
            '<pre class="cb-mono" style="white-space:pre-wrap;max-height:40rem;overflow:auto">{}'
            "</pre>",
            size,
            bytes(row.sha256).hex(),
            more,
            shown.text,
        ) + self._list_forms(row, shown.form)

    def _list_forms(self, row: Receipt, shown: str) -> Any:
        """Links to the other ways in which the same bytes can be looked at."""
        if not vars(row).get("may_reveal"):
            return ""
        names = {"json": _("taken apart"), "text": _("as text"), "bytes": _("as bytes")}
        others = [(f"?as={form}", name) for form, name in names.items() if form != shown]
        return format_html_join(" · ", '<a class="cb-link" href="{}">{}</a>', others)

    @admin.display(description=gettext_lazy("history"))
    def show_history(self, row: Receipt) -> Any:
        names = dict(Receipt.Status.choices)
        changes = StatusChange.objects.filter(subject="receipt", subject_id=row.pk).select_related(
            "by"
        )
        lines = [
            (
                show_moment(change.at),
                names.get(change.old, change.old),
                names.get(change.new, change.new),
                change.sentence,
                change.by or "",
            )
            for change in changes.order_by("-id")[:50]
        ]
        return format_html_join("", "<div>{} · {} → {} · {} {}</div>", lines) if lines else "–"

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
        if vars(row).get("may_reveal"):
            yield reverse("admin:callbacks_receipt_download", args=[row.pk]), _("Download")
