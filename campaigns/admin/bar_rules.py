"""In: models/barring.py, DoNotCallRule. Out: the list of intentions after which nobody is called
again, and the form of one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.contrib.filters.admin import RelatedDropdownFilter

from campaigns.admin.barring_forms import RuleForm
from campaigns.admin.base import CallboardAdmin, make_badge
from campaigns.models import DoNotCall, DoNotCallRule
from campaigns.models.history import fill_in


@admin.register(DoNotCallRule)
class DoNotCallRuleAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "A rule puts whoever's call ends with an intention on the do-not-call list, by itself."
    )
    form = RuleForm
    list_display = (
        "show_intention",
        "account",
        "show_robot",
        "show_scope",
        "show_days",
        "show_active",
    )
    list_select_related = ("account", "robot")
    list_filter = (("account", RelatedDropdownFilter), "is_active")
    search_fields = ("intention",)
    sortable_by = ()
    change_form_template = "admin/campaigns/donotcallrule/change_form.html"
    list_before_template = "campaigns/bar_rules_above.html"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (None, {"fields": (("account", "robot"), "intention")}),
            (_("What follows"), {"fields": (("everywhere", "days"), "is_active")}),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One that forbade something is switched off instead: its entries name it."""
        if not request.user.has_perm("campaigns.delete_donotcallrule"):
            return False
        return obj is None or not DoNotCall.objects.filter(rule=obj).exists()

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        entries = DoNotCall.objects.filter(rule=row)
        # so many that it matters no more how many exactly
        count = entries.order_by()[:10_001].count()
        return {"made": tell_made(count), "made_url": tell_url(row) if count else ""}

    @admin.display(description=gettext_lazy("intention"))
    def show_intention(self, rule: DoNotCallRule) -> str:
        return rule.intention

    @admin.display(description=gettext_lazy("robot"))
    def show_robot(self, rule: DoNotCallRule) -> str:
        return rule.robot.name if rule.robot else _("every robot of the account")

    @admin.display(description=gettext_lazy("forbidden for"))
    def show_scope(self, rule: DoNotCallRule) -> str:
        return _("all accounts") if rule.everywhere else rule.account.name

    @admin.display(description=gettext_lazy("for how long"))
    def show_days(self, rule: DoNotCallRule) -> str:
        if rule.days is None:
            return _("for good")
        return ngettext("%(n)d day", "%(n)d days", rule.days) % {"n": rule.days}

    @admin.display(description=gettext_lazy("state"))
    def show_active(self, rule: DoNotCallRule) -> Any:
        return make_badge(_("on"), "good") if rule.is_active else make_badge(_("off"), "mute")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DoNotCallRule]:
        return super().get_queryset(request).select_related("account", "robot")


def tell_made(count: int) -> str:
    """How many numbers a rule put on the list."""
    if count > 10_000:
        return _("It put more than 10,000 numbers on the list.")
    if not count:
        return _("It put no number on the list yet.")
    text = ngettext("It put %(n)d number on the list.", "It put %(n)d numbers on the list.", count)
    return fill_in(text, {"n": count})


def tell_url(rule: DoNotCallRule) -> str:
    return f"{reverse('admin:campaigns_donotcall_changelist')}?rule__id__exact={rule.pk}"
