"""In: models/accounts.py, Account. Out: its list, its form, its page and its buttons."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import (
    UnfoldAdminTextInputWidget,
)

from campaigns import catalog, dispatch
from campaigns.admin.account_form import WEEKDAYS, AccountForm, make_form, tell_stored_hours
from campaigns.admin.account_page import (
    count_mirrors,
    describe_callbacks,
    describe_connection,
    describe_pace,
    describe_stop,
    tells_addresses,
)
from campaigns.admin.base import (
    CallboardAdmin,
    make_sandbox_badge,
    tell_age,
)
from campaigns.admin.tokens import revoke, show_addresses
from campaigns.models import Account
from campaigns.platforms.contract import Can, Platform
from campaigns.platforms.errors import PlatformError
from campaigns.platforms.registry import PLATFORMS
from campaigns.wording import tell_choice

#: where an account is, and how often it calls one number
PLACE, CAP = ("time_zone", "region"), ("cap_calls", "cap_days")
FAILURES = ("failure_percent", "failure_sample")
#: when it calls; what is shown of it to those who may not change it
WHEN, WHEN_SEEN = ("hours_text", "days", "keeps_holidays"), ("show_hours", "keeps_holidays")


@admin.register(Account)
class AccountAdmin(CallboardAdmin):
    empty_hint = gettext_lazy("An account is our log-in at a calling platform. Begin with one.")
    list_display = ("show_name", "show_platform", "show_state", "show_mirrored", "show_synced")
    search_fields = ("name",)
    list_filter = (("platform", ChoicesDropdownFilter), "is_active")
    change_form_template = "admin/campaigns/account/change_form.html"
    form = AccountForm

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/test/", view(self.test), name="campaigns_account_test"),
            path("<path:object_id>/sync/", view(self.sync), name="campaigns_account_sync"),
            path("<path:object_id>/lift/", view(self.lift), name="campaigns_account_lift"),
            path(
                "<path:object_id>/addresses/",
                view(self.addresses),
                name="campaigns_account_addresses",
            ),
            path("<path:object_id>/revoke/", view(self.revoke), name="campaigns_account_revoke"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        alive = Q(robot__gone_at=None)
        return (
            super()
            .get_queryset(request)
            .annotate(robots_alive=Count("robot", filter=alive, distinct=True))
        )

    # ------------------------------------------------------------------------------ the list

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def show_name(self, account: Account) -> Any:
        if not account.is_sandbox:
            return account.name
        return format_html("{} {}", account.name, make_sandbox_badge())

    @admin.display(description=gettext_lazy("platform"))
    def show_platform(self, account: Account) -> str:
        return PLATFORMS[account.platform].name if account.platform in PLATFORMS else "–"

    @admin.display(description=gettext_lazy("connection"))
    def show_state(self, account: Account) -> Any:
        return describe_connection(account)

    @admin.display(description=gettext_lazy("robots"))
    def show_mirrored(self, account: Any) -> Any:
        if Can.SYNCHRONISE not in account.vendor.can:
            return "–"
        url = f"{reverse('admin:campaigns_robot_changelist')}?account__id__exact={account.pk}"
        return format_html('<a class="cb-link" href="{}">{}</a>', url, account.robots_alive)

    @admin.display(description=gettext_lazy("synchronised"), ordering="synced_at")
    def show_synced(self, account: Account) -> str:
        return tell_age(account.synced_at) if Can.SYNCHRONISE in account.vendor.can else "–"

    @admin.display(description=gettext_lazy("calling hours"))
    def show_hours(self, account: Account) -> str:
        hours = tell_stored_hours(account.call_hours) or _("any, as far as the tasks allow")
        days = [str(WEEKDAYS[day - 1]) for day in account.call_days if day in range(1, 8)]
        return f"{hours} · {_('every day') if len(days) == 7 else ', '.join(days)}"

    # ------------------------------------------------------------------------------ the form

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            kwargs["form"] = make_form(self._choose_vendor(request, obj), obj)
        form = super().get_form(request, obj, change=change, **kwargs)
        for name in ("time_zone", "region"):
            if name in form.base_fields:
                form.base_fields[name].widget = UnfoldAdminTextInputWidget()
        return form

    def _choose_vendor(self, request: HttpRequest, account: Account | None) -> Platform:
        """The account's platform; of a new one the chosen, else the first."""
        if account is not None:
            return account.vendor
        chosen = PLATFORMS.get(request.GET.get("platform", ""))
        return chosen or next(iter(PLATFORMS.values()))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        vendor = self._choose_vendor(request, obj)
        called = vendor.connect is not None
        if obj is not None and not self.has_change_permission(request, obj):
            seen = ("base_url", *PLACE, "rate_limit", *CAP, *WHEN_SEEN) if called else PLACE
            seen = (*seen, *FAILURES) if called else seen
            return [(None, {"fields": ("name", *seen, "is_active")})]
        where = ("base_url", (*PLACE, "rate_limit")) if called else (PLACE,)
        sets: list[tuple[Any, dict[str, Any]]] = [
            (
                _("Account at %(platform)s") % {"platform": vendor.name},
                {"fields": (("name", "is_active"), *where)},
            )
        ]
        if called:
            limit = _(
                "Counted when contacts are imported, at launch, and before each batch leaves."
            )
            sets.append((_("Calls to one number"), {"fields": (CAP,), "description": limit}))
            when = _("Whatever a task says: at other times nobody is called for the account.")
            sets.append((_("When people are called"), {"fields": WHEN, "description": when}))
            fails = _(
                "Counted are contacts that the platform refuses, and calls that its lines or its"
                " network lose; never who does not answer, or a number that does not exist."
            )
            sets.append(
                (_("When a task pauses itself"), {"fields": (FAILURES,), "description": fails})
            )
        if vendor.settings:
            named = tuple(f"setting_{declared.name}" for declared in vendor.settings)
            sets.append((_("Settings of the platform"), {"fields": named}))
        if vendor.credentials:
            named = tuple(f"credential_{declared.name}" for declared in vendor.credentials)
            secret = _("They are stored encrypted and never shown again.")
            sets.append((_("Credentials"), {"fields": named, "description": secret}))
        return sets

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"base_url": self._choose_vendor(request, None).default_base_url}

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        vendor = self._choose_vendor(request, None)
        extra = {"vendors": list(PLATFORMS.values()), "vendor": vendor, "account": None}
        return super().add_view(request, form_url, extra | (extra_context or {}))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        account = self.get_object(request, object_id)
        extra: dict[str, Any] = {}
        if account is not None and self.has_view_permission(request, account):
            extra = self._describe(request, account)
        return super().change_view(request, object_id, form_url, extra | (extra_context or {}))

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        messages.success(
            request, _("The account is saved. Now give the platform the addresses to push to.")
        )
        return redirect("admin:campaigns_account_addresses", obj.pk)

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        messages.success(request, _("The account is saved."))
        return redirect("admin:campaigns_account_change", obj.pk)

    def _describe(self, request: HttpRequest, account: Account) -> dict[str, Any]:
        return {
            "account": account,
            "account_key": str(account.pk),
            "sandbox_badge": make_sandbox_badge() if account.is_sandbox else "",
            "connection": describe_connection(account),
            "pace": describe_pace(account),
            "stop": describe_stop(account),
            "callbacks": describe_callbacks(account),
            "mirrors": count_mirrors(account),
            "exchanges": account.exchanges.all()[:8],
            "synced": tell_age(account.synced_at),
            "may_change": self.has_change_permission(request, account),
            "may_test": account.vendor.connect is not None,
            "may_sync": account.can(Can.SYNCHRONISE),
            "tells_addresses": tells_addresses(account),
            "shown_settings": [
                (
                    _(declared.label),
                    tell_choice(account.get_setting(declared.name))
                    if declared.choices
                    else account.get_setting(declared.name),
                )
                for declared in account.vendor.settings
            ],
        }

    # --------------------------------------------------------------------------- the buttons

    def _find_changeable(self, request: HttpRequest, object_id: str) -> Account:
        account: Account = self.find_row(request, object_id)
        if not self.has_change_permission(request, account):
            raise PermissionDenied
        return account

    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Log in at the platform, for real, and say how it went."""
        return require_POST(self._test)(request, object_id)

    def _test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self._find_changeable(request, object_id)
        if account.vendor.connect is None:
            messages.error(request, _("This platform takes no calls from us. There is no test."))
            return redirect("admin:campaigns_account_change", account.pk)
        problem = catalog.test_connection(account)
        if problem:
            messages.error(request, _(problem))
        else:
            messages.success(request, _("The platform lets us in. The connection works."))
        return redirect("admin:campaigns_account_change", account.pk)

    def sync(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Mirror robots, lines and voices now."""
        return require_POST(self._sync)(request, object_id)

    def _sync(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self._find_changeable(request, object_id)
        if not account.can(Can.SYNCHRONISE):
            messages.error(request, account.explain(Can.SYNCHRONISE))
            return redirect("admin:campaigns_account_change", account.pk)
        try:
            counts = catalog.sync_account(account)
        except PlatformError as error:
            messages.error(request, _("Not synchronised. %(why)s") % {"why": _(error.advice)})
        else:
            messages.success(
                request,
                _("%(robots)d robots, %(lines)d lines and %(voices)d voices are mirrored.")
                % {"robots": counts.robots, "lines": counts.lines, "voices": counts.voices},
            )
        return redirect("admin:campaigns_account_change", account.pk)

    def lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the account's calls go on after the platform had refused it."""
        return require_POST(self._lift)(request, object_id)

    def _lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self._find_changeable(request, object_id)
        if account.stopped_at is None:
            messages.info(request, _("The platform has not stopped this account."))
            return redirect("admin:campaigns_account_change", account.pk)
        resumed = dispatch.lift_stop(account, by=request.user)
        self.log_change(request, account, "The cause of the stop is repaired.")
        words = ngettext("%(n)d task goes on.", "%(n)d tasks go on.", len(resumed))
        messages.success(
            request, f"{_('Calls may leave for the account again.')} {words % {'n': len(resumed)}}"
        )
        return redirect("admin:campaigns_account_change", account.pk)

    def addresses(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Which callback addresses there are; on a click the next ones, shown this once."""
        return show_addresses(self, request, self._find_changeable(request, object_id))

    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End one of the callback addresses."""
        return require_POST(self._revoke)(request, object_id)

    def _revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return revoke(self, request, self._find_changeable(request, object_id))
