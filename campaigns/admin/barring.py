"""In: models/barring.py, DoNotCall. Out: the list of numbers that nobody calls, the page of one,
and the forms that forbid and allow."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter

from campaigns.admin.bar_panel import (
    ALLOW,
    FORBID,
    count_gone,
    find_phone,
    read_number,
    show_state,
)
from campaigns.admin.barring_forms import ALL, EnterForm, LiftForm, ScopeForm
from campaigns.admin.base import (
    DaysFilter,
    InfinitePaginator,
    list_regions,
    make_badge,
    make_link,
    show_moment,
)
from campaigns.admin.contacts import RevealingAdmin, show_phone
from campaigns.admin.task_page import CONTACT_COLORS
from campaigns.barring import bar_number, lift_bar
from campaigns.masking import mask_phone
from campaigns.models import Account, Call, Contact, DoNotCall, StatusChange
from campaigns.models.history import fill_in
from campaigns.phones import search_forms

#: contacts with the number that the page of an entry names
SHOWN = 20

_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


class ScopeFilter(DropdownFilter):
    title = gettext_lazy("account")
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        accounts = Account.objects.order_by("name").values_list("pk", "name")
        return [(ALL, _("all accounts")), *((str(pk), name) for pk, name in accounts)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Of an account: what is forbidden for it alone."""
        if self.value() == ALL:
            return queryset.filter(account=None)
        return queryset.filter(account=self.value()) if self.value() else queryset


class StateFilter(DropdownFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        return [("now", _("in force")), ("expired", _("expired")), ("lifted", _("lifted"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        if self.value() == "now":
            lasting = Q(expires_at=None) | Q(expires_at__gt=now)
            return queryset.filter(lasting, lifted_at=None)
        if self.value() == "expired":
            return queryset.filter(lifted_at=None, expires_at__lte=now)
        return queryset.exclude(lifted_at=None) if self.value() == "lifted" else queryset


@admin.register(DoNotCall)
class DoNotCallAdmin(RevealingAdmin):
    empty_hint = gettext_lazy("Numbers that nobody may call: enter some, or import a list of them.")
    fields = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_phone",
        "show_state",
        "show_scope",
        "show_source",
        "reason",
        "show_since",
        "show_expiry",
        "created_by",
    )
    list_select_related = ("account", "call", "rule", "list_import", "created_by")
    list_filter = (
        StateFilter,
        ScopeFilter,
        ("source", ChoicesDropdownFilter),
        ("created_at", DaysFilter),
    )
    sortable_by = ()
    search_fields = ("phone",)
    search_help_text = gettext_lazy("A phone number in any form")
    list_before_template = "campaigns/bars_above.html"
    change_form_template = "admin/campaigns/donotcall/change_form.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(FORBID))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/lift/", view(self.lift), name="campaigns_donotcall_lift"),
            *super().get_urls(),
        ]

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        ours = lookup in ("list_import__id__exact", "rule__id__exact")
        return ours or super().lookup_allowed(lookup, value, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()[:100]
        if not term:
            return queryset, False
        numbers = [term, *search_forms(term, regions=list_regions())]
        return queryset.filter(phone__in=numbers), False

    # ------------------------------------------------------------------------------ the list

    @admin.display(description=gettext_lazy("phone"))
    def show_phone(self, entry: DoNotCall) -> str:
        return show_phone(entry, entry.phone)

    @admin.display(description=gettext_lazy("state"))
    def show_state(self, entry: DoNotCall) -> Any:
        return show_state(entry)

    @admin.display(description=gettext_lazy("account"))
    def show_scope(self, entry: DoNotCall) -> str:
        return entry.account.name if entry.account else _("all accounts")

    @admin.display(description=gettext_lazy("source"))
    def show_source(self, entry: DoNotCall) -> Any:
        """How it came about, with a link to what it came from."""
        source = entry.get_source_display()
        came_from: dict[str, Any] = {
            "call": entry.call,
            "rule": entry.rule,
            "import": entry.list_import,
        }
        row = came_from.get(entry.source)
        return make_link(row, source) if row is not None else source

    @admin.display(description=gettext_lazy("since"))
    def show_since(self, entry: DoNotCall) -> Any:
        return format_html('<span class="cb-nowrap">{}</span>', show_moment(entry.created_at))

    @admin.display(description=gettext_lazy("expires"))
    def show_expiry(self, entry: DoNotCall) -> Any:
        if entry.expires_at is None:
            return _("never")
        return format_html('<span class="cb-nowrap">{}</span>', show_moment(entry.expires_at))

    # ------------------------------------------------------------------------------ the page

    def describe(self, request: HttpRequest, row: DoNotCall) -> dict[str, Any]:
        contacts = Contact.objects.filter(phone=row.phone).select_related("task")
        if row.account_id:
            contacts = contacts.filter(account=row.account_id)
        changes = StatusChange.objects.filter(subject="donotcall", subject_id=row.pk)
        return {
            "number": show_phone(row, row.phone),
            "state": show_state(row),
            "scope": self.show_scope(row),
            "source": self.show_source(row),
            "call": make_link(row.call, show_moment(row.call.happened_at)) if row.call else "",
            "rule": make_link(row.rule) if row.rule else "",
            # some are our own sentences
            "lifted_reason": _(row.lifted_reason) if row.lifted_reason else "–",
            "changes": [
                {"at": one.at, "by": one.by, "text": tell_change(one)}
                for one in changes.select_related("by").order_by("id")[:100]
            ],
            "may_lift": row.lifted_at is None and request.user.has_perm(ALLOW),
            "contacts": [
                {
                    "link": make_link(contact.task),
                    "row": contact,
                    "status": make_badge(
                        contact.get_status_display(), CONTACT_COLORS[contact.status]
                    ),
                }
                for contact in contacts.order_by("-id")[:SHOWN]
            ]
            if request.user.has_perm("campaigns.view_contact")
            else [],
        }

    # ------------------------------------------------------------------------------- forbidding

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Numbers to enter, or the one of the call or the contact that the address names."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        row = self._find_row_of(request)
        if row is None:
            return self._enter(request)
        phone = find_phone(row) if isinstance(row, Call) else row.phone
        number = read_number(phone)
        back = f"admin:campaigns_{row._meta.model_name}_change"
        if not number:
            messages.error(request, _("The platform does not tell the number whole."))
            return redirect(back, row.pk)
        form = ScopeForm(request.POST or None, only=row.account)
        if request.method == "POST" and form.is_valid():
            self._forbid(request, [number], form, call=row if isinstance(row, Call) else None)
            return redirect(back, row.pk)
        return self.show(
            request,
            "campaigns/bar.html",
            _("Do not call again"),
            form=form,
            number=mask_phone(number),
            back_url=reverse(back, args=[row.pk]),
        )

    def _find_row_of(self, request: HttpRequest) -> Call | Contact | None:
        model: type[Call] | type[Contact]
        for name, model in (("call", Call), ("contact", Contact)):
            text = request.GET.get(name)
            if text is None:
                continue
            rows = model._default_manager.select_related("account")
            row = rows.filter(pk=text).first() if _ID.fullmatch(text) else None
            if row is None:
                raise Http404
            if not self.admin_site.get_model_admin(model).has_view_permission(request, row):
                raise PermissionDenied
            return row
        return None

    def _enter(self, request: HttpRequest) -> HttpResponse:
        form = EnterForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            entries = self._forbid(request, form.phones, form)
            if len(entries) == 1:
                return redirect("admin:campaigns_donotcall_change", entries[0].pk)
            return redirect("admin:campaigns_donotcall_changelist")
        return self.show(request, "campaigns/bar_enter.html", _("Do not call"), form=form)

    def _forbid(
        self, request: HttpRequest, phones: list[str], form: ScopeForm, *, call: Call | None = None
    ) -> list[DoNotCall]:
        account = form.chosen_account
        with transaction.atomic():
            # in one order, so that two who enter the same numbers never wait for each other
            entries = [
                bar_number(
                    phone,
                    account=account,
                    source="call" if call else "manual",
                    reason=form.cleaned_data["reason"],
                    by=request.user,
                    call=call,
                    expires_at=form.expires_at,
                )
                for phone in sorted(phones)
            ]
        count = len(entries)
        messages.success(
            request,
            ngettext(
                "%(number)s is on the do-not-call list.",
                "%(count)d numbers are on the do-not-call list.",
                count,
            )
            % {"count": count, "number": mask_phone(phones[0])},
        )
        if gone := count_gone(phones, account):
            text = ngettext(
                "The platform has %(count)d contact with it already, and may still call it.",
                "The platform has %(count)d contacts with it already, and may still call them.",
                gone,
            )
            messages.warning(request, fill_in(text, {"count": gone}))
        return entries

    # --------------------------------------------------------------------------------- allowing

    def lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask why, then allow the number again."""
        entry: DoNotCall = self.find_row(request, object_id)
        if not request.user.has_perm(ALLOW):
            raise PermissionDenied
        if entry.lifted_at is not None:
            messages.warning(request, _("This entry was lifted already."))
            return redirect("admin:campaigns_donotcall_change", entry.pk)
        form = LiftForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            lift_bar(entry, by=request.user, reason=form.cleaned_data["reason"])
            messages.success(request, _("This entry is lifted."))
            return redirect("admin:campaigns_donotcall_change", entry.pk)
        return self.show(
            request,
            "campaigns/bar_lift.html",
            _("Allow calls again"),
            form=form,
            entry=entry,
            number=mask_phone(entry.phone),
            scope=self.show_scope(entry),
            others=_find_others(entry),
        )


def tell_change(change: StatusChange) -> str:
    """What happened to an entry, with what somebody gave as the reason."""
    told = _("Lifted.") if change.new == "lifted" else change.sentence
    given = str(change.values.get("given", ""))
    return f"{told} {given}".strip()


def _find_others(entry: DoNotCall) -> list[DoNotCall]:
    """Entries that forbid the same number when this one is lifted."""
    rows = DoNotCall.objects.filter(phone=entry.phone, lifted_at=None).exclude(pk=entry.pk)
    lasting = rows.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))
    if entry.account_id:
        lasting = lasting.filter(Q(account=None) | Q(account=entry.account_id))
    return list(lasting.select_related("account"))
