"""In: models/accounts.py. Out: its screens: accounts with their buttons, mirrors, exchanges."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter, RelatedDropdownFilter
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
)

from campaigns import catalog
from campaigns.admin.base import (
    CallboardAdmin,
    DaysFilter,
    InfinitePaginator,
    issue_form_token,
    make_badge,
    make_link,
    make_sandbox_badge,
    refuse_twice,
    show_moment,
    spend_form_token,
    tell_age,
)
from campaigns.drafting import print_windows
from campaigns.models import Account, CallbackToken, Exchange, Line, Robot, Task, Voice
from campaigns.models.accounts import hash_token
from campaigns.platforms.contract import Platform
from campaigns.platforms.errors import Forbidden, PlatformError
from campaigns.platforms.http import check_address
from campaigns.platforms.registry import PLATFORMS


def check_base_url(url: str) -> str:
    """Why an address may not be a platform's, "" when it may.

    Private and loopback hosts are refused unless this installation names them; http is for those
    alone. A name that cannot be resolved now is left to the connection test.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return _("This is not an address.")
    if parts.scheme not in ("http", "https") or not host:
        return _("The address must begin with https://.")
    if parts.username or parts.password:
        return _("The address must not hold a user or password; credentials have their own fields.")
    port = port or (443 if parts.scheme == "https" else 80)
    allowed = set(settings.PLATFORM_ALLOW_HOSTS)
    if parts.scheme == "http" and not {host, f"{host}:{port}"} & allowed:
        return _("Use https://: over http everybody on the way can read the credentials.")
    try:
        check_address(host, port, allow_hosts=allowed)
    except Forbidden:
        return _(
            "This host is on this machine or in a private network. Name it in PLATFORM_ALLOW_HOSTS "
            "if it should be a platform."
        )
    except (socket.gaierror, UnicodeError, OSError):
        return ""
    return ""


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """The fields every account has; those its platform declares are added by ``make_form``."""

    vendor: Platform

    class Meta:
        model = Account
        fields = ("name", "base_url", "time_zone", "rate_limit", "is_active")

    def clean_base_url(self) -> str:
        url = str(self.cleaned_data["base_url"]).strip().rstrip("/")
        problem = check_base_url(url)
        if problem:
            raise forms.ValidationError(problem)
        return url

    def clean_rate_limit(self) -> int:
        limit = int(self.cleaned_data["rate_limit"])
        if not 1 <= limit <= 1000:
            raise forms.ValidationError(_("Between 1 and 1000 requests per second."))
        return limit

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for declared in self.vendor.credentials:
            name = f"credential_{declared.name}"
            known = self.instance.pk and self.instance.credentials.get(declared.name)
            if declared.required and not data.get(name) and not known:
                self.add_error(name, _("The platform needs this to let us in."))
        return data

    def save(self, commit: bool = True) -> Any:
        account = super().save(commit=False)
        data = self.cleaned_data
        account.platform = self.vendor.slug
        account.settings = dict(account.settings) | {
            declared.name: data.get(f"setting_{declared.name}", "").strip()
            for declared in self.vendor.settings
        }
        entered = {
            declared.name: data[f"credential_{declared.name}"].strip()
            for declared in self.vendor.credentials
            if data.get(f"credential_{declared.name}")
        }
        account.credentials = dict(account.credentials) | entered
        if commit:
            account.save()
        return account


def make_form(vendor: Platform, account: Account | None) -> type[AccountForm]:
    """The form of an account of this platform, with a field for each setting and credential."""
    fields: dict[str, Any] = {"vendor": vendor}
    for declared in vendor.settings:
        fields[f"setting_{declared.name}"] = forms.CharField(
            label=_(declared.label),
            help_text=_(declared.help) if declared.help else "",
            required=declared.required,
            max_length=500,
            initial=account.settings.get(declared.name, "") if account else declared.default,
            widget=UnfoldAdminTextInputWidget(attrs={"placeholder": declared.default}),
        )
    for declared in vendor.credentials:
        stored = bool(account and account.credentials.get(declared.name))
        fields[f"credential_{declared.name}"] = forms.CharField(
            label=_(declared.label),
            help_text=_("Stored. Leave empty to keep it.") if stored else _("Not stored yet."),
            required=False,
            max_length=2000,
            widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        )
    return type("AccountForm", (AccountForm,), fields)


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
            path(
                "<path:object_id>/addresses/",
                view(self.addresses),
                name="campaigns_account_addresses",
            ),
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
        url = f"{reverse('admin:campaigns_robot_changelist')}?account__id__exact={account.pk}"
        return format_html('<a class="cb-link" href="{}">{}</a>', url, account.robots_alive)

    @admin.display(description=gettext_lazy("synchronised"), ordering="synced_at")
    def show_synced(self, account: Account) -> str:
        return tell_age(account.synced_at)

    # ------------------------------------------------------------------------------ the form

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            kwargs["form"] = make_form(self._choose_vendor(request, obj), obj)
        form = super().get_form(request, obj, change=change, **kwargs)
        if "time_zone" in form.base_fields:
            form.base_fields["time_zone"].widget = UnfoldAdminTextInputWidget()
        return form

    def _choose_vendor(self, request: HttpRequest, account: Account | None) -> Platform:
        """The account's platform; of a new one the chosen, else the first."""
        if account is not None:
            return account.vendor
        chosen = PLATFORMS.get(request.GET.get("platform", ""))
        return chosen or next(iter(PLATFORMS.values()))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        plain = ("name", "base_url", "time_zone", "rate_limit", "is_active")
        if obj is not None and not self.has_change_permission(request, obj):
            return [(None, {"fields": plain})]
        vendor = self._choose_vendor(request, obj)
        return [
            (
                _("Account at %(platform)s") % {"platform": vendor.name},
                {"fields": (("name", "is_active"), "base_url", ("time_zone", "rate_limit"))},
            ),
            (
                _("Settings of the platform"),
                {"fields": tuple(f"setting_{declared.name}" for declared in vendor.settings)},
            ),
            (
                _("Credentials"),
                {
                    "fields": tuple(
                        f"credential_{declared.name}" for declared in vendor.credentials
                    ),
                    "description": _("They are stored encrypted and never shown again."),
                },
            ),
        ]

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
            "callbacks": describe_callbacks(account),
            "mirrors": count_mirrors(account),
            "exchanges": account.exchanges.all()[:8],
            "synced": tell_age(account.synced_at),
            "may_change": self.has_change_permission(request, account),
            "shown_settings": [
                (_(declared.label), account.get_setting(declared.name))
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

    def addresses(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask first; then make new callback addresses and show them, this once."""
        account = self._find_changeable(request, object_id)
        made: list[tuple[str, str, str]] = []
        if request.method == "POST":
            if not spend_form_token(request):
                refuse_twice(request)
                return redirect("admin:campaigns_account_change", account.pk)
            urls = catalog.make_callback_urls(account)
            self.log_change(request, account, "New callback addresses.")
            made = [
                (kind or "*", _(words), urls[kind or "*"])
                for kind, words in account.vendor.kinds.items()
            ]
        return self.show(
            request,
            "campaigns/account_addresses.html",
            _("Callback addresses"),
            account=account,
            made=made,
            live=account.callback_tokens.filter(revoked_at=None),
            form_token=issue_form_token(request),
        )


def describe_connection(account: Account) -> Any:
    """A badge: off, never tested, works or does not, with the age of that knowledge."""
    if not account.is_active:
        return make_badge(_("switched off"))
    if account.connection_checked_at is None:
        return make_badge(_("never tested"), "warn")
    age = tell_age(account.connection_checked_at)
    if account.connection_error:
        return make_badge(_("does not work, %(age)s") % {"age": age}, "bad")
    return make_badge(_("works, %(age)s") % {"age": age}, "good")


def describe_callbacks(account: Account) -> list[dict[str, Any]]:
    """For each kind of push: our address, masked, and whether the platform really points there."""
    tokens = {token.hash: token for token in account.callback_tokens.all()}
    live = next((token for token in tokens.values() if token.revoked_at is None), None)
    rows = []
    for kind, words in account.vendor.kinds.items():
        ours = f"{settings.PUBLIC_URL}/callbacks/…{live.hint}/{kind}" if live else ""
        state = judge_callback(account.callback_urls.get(kind or "*", ""), kind, tokens)
        rows.append({"kind": kind or "*", "words": _(words), "ours": ours, "state": state})
    return rows


def judge_callback(theirs: Any, kind: str, tokens: dict[str, CallbackToken]) -> Any:
    """A badge for the address that the platform says it uses."""
    if not theirs or not isinstance(theirs, str):
        return make_badge(_("not set at the platform"), "warn")
    try:
        parts = urlsplit(theirs)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return make_badge(_("points to no address"), "bad")
    pieces = [piece for piece in parts.path.split("/") if piece]
    where = pieces.index("callbacks") if "callbacks" in pieces else len(pieces)
    token = tokens.get(hash_token(pieces[where + 1])) if len(pieces) > where + 1 else None
    if token is None:
        return make_badge(_("points elsewhere: %(host)s") % {"host": host[:60]}, "bad")
    if token.revoked_at is not None:
        return make_badge(_("points here with an old address"), "bad", title=f"…{token.hint}")
    if pieces[where + 2 :] != ([kind] if kind else []):
        return make_badge(_("points here, but as another kind"), "bad")
    if not settings.PUBLIC_URL.endswith(f"//{host}"):
        return make_badge(_("points here by the name %(host)s") % {"host": host[:60]}, "good")
    return make_badge(_("points here"), "good")


def count_mirrors(account: Account) -> list[tuple[str, int, int, str]]:
    """(what, how many the platform lists, how many are gone, link to them)."""
    rows = []
    for model in (Robot, Line, Voice):
        counts = model.objects.filter(account=account).aggregate(
            alive=Count("pk", filter=Q(gone_at=None)), gone=Count("pk", filter=~Q(gone_at=None))
        )
        name = model._meta.model_name
        url = f"{reverse(f'admin:campaigns_{name}_changelist')}?account__id__exact={account.pk}"
        rows.append((str(model._meta.verbose_name_plural), counts["alive"], counts["gone"], url))
    return rows


class GoneFilter(RadioFilter):
    title = gettext_lazy("listed by the platform")
    parameter_name = "listed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("listed")), ("no", _("gone"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "yes":
            return queryset.filter(gone_at=None)
        if self.value() == "no":
            return queryset.exclude(gone_at=None)
        return queryset


class MirrorAdmin(CallboardAdmin):
    """Read-only: the platform's word, as of the last synchronisation."""

    read_only = True
    empty_hint = gettext_lazy("Synchronise an account: what its platform has appears here.")
    list_select_related = ("account",)
    change_form_template = "admin/campaigns/mirror/change_form.html"
    fields = ()

    @admin.display(description=gettext_lazy("account"), ordering="account__name")
    def show_account(self, row: Any) -> Any:
        if row.account.is_sandbox:
            return format_html("{} {}", make_link(row.account), make_sandbox_badge())
        return make_link(row.account)

    @admin.display(description=gettext_lazy("listed"), ordering="gone_at")
    def show_gone(self, row: Any) -> Any:
        if row.gone_at is None:
            return make_badge(_("listed"), "good")
        return make_badge(_("gone, %(age)s") % {"age": tell_age(row.gone_at)}, "bad")

    def tell_facts(self, row: Any) -> list[tuple[str, Any]]:
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        extra: dict[str, Any] = {}
        if row is not None and self.has_view_permission(request, row):
            tasks = Task.objects.select_related("account").order_by("-id")
            extra = {
                "row": row,
                "facts": [
                    (_("Account"), self.show_account(row)),
                    *self.tell_facts(row),
                    (_("Listed"), self.show_gone(row)),
                    (_("Last seen"), tell_age(row.seen_at)),
                ],
                "raw_text": json.dumps(row.raw, ensure_ascii=False, indent=1, sort_keys=True),
                "tasks": tasks.filter(**{self.tasks_by: row})[:10],
            }
        return super().change_view(request, object_id, form_url, extra | (extra_context or {}))

    tasks_by = "robot"


ROBOT_COLORS = {"published": "good", "refused": "bad", "reviewing": "warn", "unpublished": "warn"}


@admin.register(Robot)
class RobotAdmin(MirrorAdmin):
    list_display = (
        "name",
        "platform_id",
        "show_state",
        "show_columns",
        "show_account",
        "show_gone",
    )
    list_filter = (
        ("account", RelatedDropdownFilter),
        ("state", ChoicesDropdownFilter),
        GoneFilter,
    )
    search_fields = ("name", "platform_id")

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def show_state(self, robot: Robot) -> Any:
        if robot.deleted:
            return make_badge(_("deleted at the platform"), "bad")
        return make_badge(
            robot.get_state_display(), ROBOT_COLORS.get(robot.state, ""), title=robot.platform_state
        )

    @admin.display(description=gettext_lazy("columns"))
    def show_columns(self, robot: Robot) -> str:
        return " · ".join(str(column) for column in robot.columns)

    def tell_facts(self, row: Any) -> list[tuple[str, Any]]:
        return [
            (_("Platform id"), row.platform_id),
            (_("State"), self.show_state(row)),
            (_("Kind"), row.get_kind_display()),
            (_("Columns"), self.show_columns(row)),
            (_("Created at the platform"), row.platform_created_at),
            (_("Changed at the platform"), row.platform_updated_at),
        ]


@admin.register(Line)
class LineAdmin(MirrorAdmin):
    list_display = (
        "number",
        "show_state",
        "concurrency",
        "show_hours",
        "show_expiry",
        "show_account",
        "show_gone",
    )
    list_filter = (
        ("account", RelatedDropdownFilter),
        ("state", ChoicesDropdownFilter),
        GoneFilter,
    )
    search_fields = ("number",)
    tasks_by = "lines"

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def show_state(self, line: Line) -> Any:
        color = {"idle": "good", "busy": "info"}.get(line.state, "")
        return make_badge(line.get_state_display(), color, title=line.platform_state)

    @admin.display(description=gettext_lazy("expires"), ordering="expires_at")
    def show_expiry(self, line: Line) -> str:
        return show_moment(line.expires_at)

    @admin.display(description=gettext_lazy("working hours"))
    def show_hours(self, line: Line) -> str:
        return print_windows(line.hours) or _("not said")

    def tell_facts(self, row: Any) -> list[tuple[str, Any]]:
        return [
            (_("State"), self.show_state(row)),
            (_("Concurrent calls"), row.concurrency),
            (_("Working hours"), self.show_hours(row)),
            (_("Applied for"), row.applied_at),
            (_("Expires"), row.expires_at),
        ]


@admin.register(Voice)
class VoiceAdmin(MirrorAdmin):
    list_display = ("name", "code", "show_account", "show_gone")
    list_filter = (("account", RelatedDropdownFilter), GoneFilter)
    search_fields = ("name", "code")
    tasks_by = "voice"

    def tell_facts(self, row: Any) -> list[tuple[str, Any]]:
        return [(_("Code"), row.code)]


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
    """A badge: the HTTP status of a reply, or the name of what went wrong."""
    if exchange.outcome == "replied":
        good = exchange.http_code is not None and exchange.http_code < 400
        return make_badge(exchange.http_code, "good" if good else "bad")
    return make_badge(exchange.outcome, "bad")


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
        "url",
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
    def show_started(self, exchange: Exchange) -> str:
        return show_moment(exchange.started_at)

    @admin.display(description=gettext_lazy("took"))
    def show_time(self, exchange: Exchange) -> str:
        return f"{exchange.seconds:.2f} s"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        exchange = self.get_object(request, object_id)
        extra = {"row": exchange, "outcome": show_outcome(exchange)} if exchange else {}
        return super().change_view(request, object_id, form_url, extra | (extra_context or {}))
