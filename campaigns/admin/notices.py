"""In: models/notices.py, Notice. Out: the bell on every page, the list of one's own notices, and
the page of one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from campaigns import notices
from campaigns.admin.base import (
    CallboardAdmin,
    InfinitePaginator,
    make_badge,
    make_link,
    show_moment,
    tell_age,
)
from campaigns.models import Notice, NoticeReader
from campaigns.models.history import fill_in
from campaigns.notices.reading import MOST_UNREAD, VIEW

LEVELS = {"info": "info", "warn": "warn", "bad": "bad"}
DELIVERED = {"delivered": "good", "failed": "bad", "waiting": "warn", "sending": "busy"}


def tell_unread(request: HttpRequest) -> dict[str, Any]:
    """A context processor: the bell, asked for by the page that shows it."""
    return {"bell": SimpleLazyObject(lambda: describe_bell(request))}


def describe_bell(request: HttpRequest) -> dict[str, Any]:
    """Whether there is one, how many unread notices it has, and what is said of them."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or not user.has_perm(VIEW):
        return {"shown": False}
    number = notices.count_unread(user)
    told = ngettext("%(n)d unread notice", "%(n)d unread notices", number)
    return {
        "shown": True,
        "number": number,
        "text": f"{MOST_UNREAD - 1}+" if number >= MOST_UNREAD else str(number),
        "label": fill_in(told, {"n": number}) if number else _("No unread notice"),
    }


def show_bell(request: HttpRequest) -> HttpResponse:
    """The bell, again."""
    response = render(request, "campaigns/bell.html")
    response["Cache-Control"] = "no-store"
    return response


def show_level(notice: Notice) -> Any:
    return make_badge(notice.get_level_display(), LEVELS.get(notice.level, ""))


def show_lasting(notice: Notice) -> Any:
    """Of what lasts, whether it still does."""
    if not notice.condition:
        return ""
    if notice.ended_at is None:
        return make_badge(_("still so"), "warn")
    return make_badge(_("over"), "good", title=show_moment(notice.ended_at))


class UnreadFilter(admin.SimpleListFilter):
    title = gettext_lazy("read or not")
    parameter_name = "read"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("no", _("unread")), ("yes", _("read"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Notice]) -> Any:
        if self.value() not in ("no", "yes"):
            return queryset
        return queryset.filter(is_unread=self.value() == "no")


@admin.register(Notice)
class NoticeAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "You are told here of what the notice rules name you for, from now on."
    )
    read_only = True
    fields = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_happened",
        "show_level",
        "show_text",
        "account",
        "show_task",
        "show_lasting",
        "show_details",
    )
    list_display_links = None
    list_select_related = ("account", "task")
    list_filter = (
        UnreadFilter,
        ("event", ChoicesDropdownFilter),
        ("level", ChoicesDropdownFilter),
        ("account", RelatedDropdownFilter),
    )
    sortable_by = ()
    list_before_template = "campaigns/notices_above.html"
    change_form_template = "admin/campaigns/notice/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("bell/", view(show_bell), name="campaigns_notice_bell"),
            path("read/", view(self.read_all), name="campaigns_notice_read_all"),
            path("<path:object_id>/open/", view(self.open), name="campaigns_notice_open"),
            path("<path:object_id>/mark/", view(self.mark), name="campaigns_notice_mark"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notice]:
        """One's own, whatever else one may see."""
        unread = NoticeReader.objects.filter(
            notice=OuterRef("pk"), user=request.user.pk, read_at=None
        )
        rows = notices.list_notices(request.user).annotate(is_unread=Exists(unread))
        return rows.select_related("account", "task")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = {
            "unread": notices.count_unread(request.user),
            "may_see_rules": request.user.has_perm("campaigns.view_noticerule"),
        }
        return super().changelist_view(request, extra | (extra_context or {}))

    # ------------------------------------------------------------------------------ the list

    @admin.display(description=gettext_lazy("since"))
    def show_happened(self, notice: Notice) -> str:
        return show_moment(notice.happened_at)

    @admin.display(description=gettext_lazy("level"))
    def show_level(self, notice: Notice) -> Any:
        return show_level(notice)

    @admin.display(description=gettext_lazy("notice"))
    def show_text(self, notice: Any) -> Any:
        """A button: to look at it is to have read it, and that is no GET."""
        return format_html(
            '<button class="cb-notice {}" type="submit" form="open-notice" formaction="{}">{}{}'
            "</button>",
            "unread" if notice.is_unread else "",
            reverse("admin:campaigns_notice_open", args=[notice.pk]),
            format_html('<span class="cb-dot info" title="{}"></span> ', _("unread"))
            if notice.is_unread
            else "",
            notices.tell_notice(notice),
        )

    @admin.display(description=gettext_lazy("task"))
    def show_task(self, notice: Notice) -> Any:
        return make_link(notice.task)

    @admin.display(description=gettext_lazy("state"))
    def show_lasting(self, notice: Notice) -> Any:
        return show_lasting(notice)

    @admin.display(description="")
    def show_details(self, notice: Notice) -> Any:
        words = format_html('<span class="cb-nowrap">{}</span>', _("details"))
        return make_link(notice, words)

    # ------------------------------------------------------------------------------ the page

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        sees_rules = request.user.has_perm("campaigns.view_noticerule")
        sees_sent = request.user.has_perm("campaigns.view_noticedelivery")
        return {
            "row": row,
            "told": notices.tell_notice(row),
            "more": notices.tell_more(row),
            "level": show_level(row),
            "lasting": show_lasting(row),
            "happened_at": show_moment(row.happened_at),
            "happened_ago": tell_age(row.happened_at),
            "noticed_at": show_moment(row.created_at),
            "ended_at": show_moment(row.ended_at) if row.ended_at else "",
            "account": make_link(row.account) if row.account_id else "",
            "task": make_link(row.task) if row.task_id else "",
            "rules": [make_link(rule) for rule in row.rules.all()] if sees_rules else [],
            "deliveries": list_deliveries(row) if sees_sent else [],
        }

    def open(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Read it, and go to what it is about."""
        if request.method != "POST":
            return HttpResponse(status=405)
        row: Notice = self.find_row(request, object_id)
        notices.mark_read(request.user, [row.pk])
        return redirect(notices.find_path(row))

    def mark(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Read or unread, as the form says."""
        if request.method != "POST":
            return HttpResponse(status=405)
        row: Notice = self.find_row(request, object_id)
        notices.mark_read(request.user, [row.pk], read=request.POST.get("read") == "1")
        return redirect("admin:campaigns_notice_change", row.pk)

    def read_all(self, request: HttpRequest) -> HttpResponse:
        """All of one's own."""
        if request.method != "POST":
            return HttpResponse(status=405)
        number = notices.mark_read(request.user)
        text = ngettext("%(n)d notice is read now.", "%(n)d notices are read now.", number)
        messages.success(request, fill_in(text, {"n": number}))
        return redirect("admin:campaigns_notice_changelist")


def list_deliveries(notice: Notice) -> list[dict[str, Any]]:
    rows = notice.deliveries.select_related("hook").order_by("id")
    return [
        {
            "link": make_link(row, row.get_channel_display()),
            "to": str(row.hook) if row.hook else hide_address(row.address),
            "status": make_badge(row.get_status_display(), DELIVERED.get(row.status, "")),
            "reason": row.reason_text,
        }
        for row in rows[:100]
    ]


def hide_address(address: str) -> str:
    """``a***@example.org``: enough to know whose it is."""
    name, at, host = address.partition("@")
    return f"{name[:1]}***{at}{host}" if at else address and "***"
