"""In: models/notices.py, NoticeRule. Out: the list of who is told of what, and the form of one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Max, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from campaigns.admin.base import CallboardAdmin, make_badge, make_link, tell_age
from campaigns.admin.notice_forms import NoticeRuleForm
from campaigns.models import NoticeDelivery, NoticeRule
from campaigns.wording import tell_group

#: what makes another rule of it: it begins anew then
WHAT = {"event", "account", "task", "is_active"}
WHO = ("everyone", "author", ("groups", "users"))
HOW = (("by_bell", "by_email"), ("language", "addresses_text"), "hooks")


@admin.register(NoticeRule)
class NoticeRuleAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "A rule says who is told when something happens: here by the bell, by e-mail, or by a"
        " webhook."
    )
    form = NoticeRuleForm
    autocomplete_fields = ("task",)
    list_display = (
        "show_rule",
        "show_scope",
        "show_who",
        "show_how",
        "show_active",
        "show_last",
    )
    list_filter = (
        ("event", ChoicesDropdownFilter),
        ("account", RelatedDropdownFilter),
        "is_active",
    )
    search_fields = ("name",)
    sortable_by = ()
    list_before_template = "campaigns/notice_rules_above.html"
    change_form_template = "admin/campaigns/noticerule/change_form.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("campaigns.delete_noticerule"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[NoticeRule]:
        rows = super().get_queryset(request).select_related("account", "task")
        return rows.prefetch_related("groups", "users", "hooks")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        rate = _("Only for the answer rate: below so many percent of so many calls it is told.")
        mail = "" if settings.EMAIL_CONFIGURED else _(
            "E-mail is not configured here (EMAIL_URL is empty): nothing leaves by e-mail."
        )  # fmt: skip
        how: Any = HOW
        if obj is not None and not self.has_change_permission(request, obj):
            how = (("by_bell", "by_email"), "show_addresses", "hooks")
        return [
            (None, {"fields": (("event", "name"), ("account", "task"), "is_active")}),
            (_("Answer rate"), {"fields": (("percent", "sample"),), "description": rate}),
            (
                _("Who is told"),
                {
                    "fields": WHO,
                    "description": _("Of them only those who may see what it is about."),
                },
            ),
            (_("How"), {"fields": how, "description": mail}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        seen = obj is not None and not self.has_change_permission(request, obj)
        return ("show_addresses",) if seen else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            kwargs["form"] = admin.ModelAdmin.form
        return super().get_form(request, obj, change=change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """What happened while it was off, or asked for something else, is not told afterwards."""
        if change and WHAT & set(form.changed_data):
            obj.since, obj.looked_at = timezone.now(), None
        super().save_model(request, obj, form, change)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = {"mail_works": settings.EMAIL_CONFIGURED}
        return super().changelist_view(request, extra | (extra_context or {}))

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        told = row.matches.aggregate(number=Count("pk"), last=Max("notice__created_at"))
        failed = NoticeDelivery.objects.filter(notice__matches__rule=row, status="failed")
        return {
            "told_number": told["number"],
            "told_last": tell_age(told["last"]) if told["last"] else "",
            "failed_number": failed.order_by()[:1000].count(),
            "looked": tell_age(row.looked_at) if row.looked_at else "",
        }

    # ------------------------------------------------------------------------------ the list

    @admin.display(description=gettext_lazy("event"))
    def show_rule(self, rule: NoticeRule) -> str:
        what = str(rule.get_event_display())
        if rule.percent and rule.event == "answer_rate":
            what = f"{what} (< {rule.percent} %)"
        return f"{rule.name}: {what}" if rule.name else what

    @admin.display(description=gettext_lazy("where"))
    def show_scope(self, rule: NoticeRule) -> Any:
        if rule.task_id:
            return make_link(rule.task)
        return rule.account.name if rule.account else pgettext("of a notice rule", "everywhere")

    @admin.display(description=gettext_lazy("who is told"))
    def show_who(self, rule: NoticeRule) -> str:
        names = [_("everybody who may see it")] if rule.everyone else []
        names += [_("whose doing it is")] if rule.author else []
        names += [tell_group(group) for group in rule.groups.all()]
        names += [user.get_username() for user in rule.users.all()]
        return ", ".join(names) or "–"

    @admin.display(description=gettext_lazy("told by"))
    def show_how(self, rule: NoticeRule) -> str:
        ways = [_("bell")] if rule.by_bell else []
        ways += [_("e-mail")] if rule.by_email or rule.addresses else []
        ways += [hook.name for hook in rule.hooks.all()]
        return ", ".join(ways) or "–"

    @admin.display(description=gettext_lazy("state"))
    def show_active(self, rule: NoticeRule) -> Any:
        return make_badge(_("on"), "good") if rule.is_active else make_badge(_("off"), "mute")

    @admin.display(description=gettext_lazy("looked"))
    def show_last(self, rule: NoticeRule) -> str:
        return tell_age(rule.looked_at) if rule.looked_at else "–"

    @admin.display(description=gettext_lazy("further addresses"))
    def show_addresses(self, rule: NoticeRule) -> str:
        return str(len(rule.addresses))
