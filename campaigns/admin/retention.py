"""In: models/retention.py. Out: the page that says how long what is kept, what goes next and what
has gone; the shorter periods of accounts; the list of deletions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Max, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.contrib.filters.admin import RelatedDropdownFilter

from campaigns import retention
from campaigns.admin.base import CallboardAdmin, DaysFilter, show_moment
from campaigns.models import Erasure, KeepRule

#: so many that it matters no more how many exactly
MOST = 10_001
#: kinds that go by the setting of another
SETTINGS = {"answers": "KEEP_PUSHES_DAYS", "notes": "KEEP_DIALOGS_DAYS"}


def tell_days(days: int | None) -> str:
    if not days:
        return _("for ever")
    return ngettext("%(n)d day", "%(n)d days", days) % {"n": days}


def tell_number(number: int) -> str:
    return _("more than 10,000") if number >= MOST else f"{number:,}"


def describe_keeping() -> dict[str, Any]:
    """What the page above the list shows."""
    since = timezone.now() - timedelta(days=30)
    gone = {
        row["kind"]: row
        for row in Erasure.objects.filter(at__gte=since)
        .order_by()
        .values("kind")
        .annotate(number=Sum("number"), last=Max("at"))
    }
    rows = []
    for due in retention.list_due(most=MOST):
        told = gone.get(due.kind, {})
        rows.append(
            {
                "kind": Erasure.Kind(due.kind).label,
                "days": tell_days(retention.find_days(due.kind)),
                "setting": SETTINGS.get(due.kind, f"KEEP_{due.kind.upper()}_DAYS"),
                "due": tell_number(due.number) if due.number else "",
                "oldest": show_moment(due.oldest) if due.oldest and due.number else "",
                "gone": f"{told['number']:,}" if told else "",
                "last": show_moment(told["last"]) if told else "",
            }
        )
    unseen = retention.count_unseen(most=MOST)
    return {
        "keeping": rows,
        "unseen": tell_number(unseen) if unseen else "",
        "unseen_url": f"{reverse('admin:callbacks_receipt_changelist')}?status__exact=quarantined",
        "files_days": tell_days(settings.IMPORT_KEEP_DAYS),
    }


@admin.register(KeepRule)
class KeepRuleAdmin(CallboardAdmin):
    empty_hint = gettext_lazy("Every account goes by the periods above. One may have shorter ones.")
    list_display = ("account", "show_pushes", "show_exchanges", "show_dialogs", "show_recordings")
    list_select_related = ("account",)
    sortable_by = ()
    list_before_template = "campaigns/keeping_above.html"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        days = (
            ("pushes_days", "exchanges_days"),
            ("dialogs_days", "recordings_days"),
            "contexts_days",
        )
        text = _("Empty: as long as everybody else's. A period can be made shorter, not longer.")
        return [(None, {"fields": ("account", *days), "description": text})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("account",) if obj is not None else ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("campaigns.add_keeprule"))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("campaigns.delete_keeprule"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = describe_keeping() if self.has_view_permission(request) else {}
        extra["may_see_erasures"] = request.user.has_perm("campaigns.view_erasure")
        return super().changelist_view(request, extra | (extra_context or {}))

    @admin.display(description=gettext_lazy("pushes"))
    def show_pushes(self, rule: KeepRule) -> str:
        return tell_days(retention.find_days("pushes", rule))

    @admin.display(description=gettext_lazy("exchanges"))
    def show_exchanges(self, rule: KeepRule) -> str:
        return tell_days(retention.find_days("exchanges", rule))

    @admin.display(description=gettext_lazy("dialogs"))
    def show_dialogs(self, rule: KeepRule) -> str:
        return tell_days(retention.find_days("dialogs", rule))

    @admin.display(description=gettext_lazy("recordings"))
    def show_recordings(self, rule: KeepRule) -> str:
        return tell_days(retention.find_days("recordings", rule))


@admin.register(Erasure)
class ErasureAdmin(CallboardAdmin):
    read_only = True
    empty_hint = gettext_lazy("Nothing was deleted yet because its period was over.")
    list_display = ("at", "kind", "account", "number", "before")
    list_display_links = None
    list_select_related = ("account",)
    list_filter = ("kind", ("account", RelatedDropdownFilter), ("at", DaysFilter))
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Erasure]:
        return super().get_queryset(request).order_by("-id")
