"""In: models/notices.py, NoticeHook and NoticeDelivery. Out: the addresses outside, a button that
tests one, its secret shown once; and what was sent, with its answer, and sent again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from campaigns import notices
from campaigns.admin.base import (
    CallboardAdmin,
    InfinitePaginator,
    issue_form_token,
    make_badge,
    make_link,
    refuse_twice,
    show_moment,
    spend_form_token,
    tell_age,
)
from campaigns.admin.notice_forms import NoticeHookForm
from campaigns.admin.notices import DELIVERED, hide_address
from campaigns.models import NoticeDelivery, NoticeHook, StatusChange


@admin.register(NoticeHook)
class NoticeHookAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "A webhook is told of notices by a signed request over https: a chat room, a ticket"
        " system, a program of your own."
    )
    form = NoticeHookForm
    list_display = ("name", "show_address", "show_active", "show_secret", "show_last")
    search_fields = ("name",)
    sortable_by = ()
    change_form_template = "admin/campaigns/noticehook/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/test/", view(self.test), name="campaigns_noticehook_test"),
            path("<path:object_id>/secret/", view(self.secret), name="campaigns_noticehook_secret"),
            *super().get_urls(),
        ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return [(None, {"fields": ("name", "show_address", "language", "is_active")})]
        return [(None, {"fields": (("name", "is_active"), "url", "language")})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        seen = obj is not None and not self.has_change_permission(request, obj)
        return ("show_address",) if seen else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            kwargs["form"] = admin.ModelAdmin.form
        return super().get_form(request, obj, change=change, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One that was sent something is switched off instead: what was sent names it."""
        if not request.user.has_perm("campaigns.delete_noticehook"):
            return False
        return obj is None or not obj.deliveries.filter(notice__isnull=False).exists()

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        messages.success(request, _("The webhook is saved. Now make the secret that signs."))
        return redirect("admin:campaigns_noticehook_secret", obj.pk)

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        messages.success(request, _("The webhook is saved."))
        return redirect("admin:campaigns_noticehook_change", obj.pk)

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        last = list(row.deliveries.order_by("-id")[:10])
        return {
            "hook": row,
            "has_secret": row.rotated_at is not None,
            "rotated": tell_age(row.rotated_at),
            "may_change_hook": self.has_change_permission(request, row),
            "sent": [describe_delivery(delivery) for delivery in last],
        }

    # ------------------------------------------------------------------------------ the list

    @admin.display(description=gettext_lazy("address"))
    def show_address(self, hook: NoticeHook) -> str:
        return hook.shown

    @admin.display(description=gettext_lazy("state"))
    def show_active(self, hook: NoticeHook) -> Any:
        return make_badge(_("on"), "good") if hook.is_active else make_badge(_("off"), "mute")

    @admin.display(description=gettext_lazy("secret made"))
    def show_secret(self, hook: NoticeHook) -> Any:
        if hook.rotated_at is None:
            return make_badge(_("no secret yet"), "bad")
        return tell_age(hook.rotated_at)

    @admin.display(description=gettext_lazy("last delivery"))
    def show_last(self, hook: NoticeHook) -> Any:
        last = hook.deliveries.order_by("-id").first()
        return show_status(last) if last else "–"

    # --------------------------------------------------------------------------- the buttons

    def _find_changeable(self, request: HttpRequest, object_id: str) -> NoticeHook:
        hook: NoticeHook = self.find_row(request, object_id)
        if not self.has_change_permission(request, hook):
            raise PermissionDenied
        return hook

    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send a test there now, and say what came back."""
        if request.method != "POST":
            return HttpResponse(status=405)
        hook = self._find_changeable(request, object_id)
        delivery = notices.test_hook(hook)
        if delivery.status == NoticeDelivery.Status.DELIVERED:
            messages.success(
                request,
                _("It arrived: the other side answered HTTP %(code)s.")
                % {"code": delivery.http_code},
            )
        else:
            messages.error(request, _("It did not arrive. %(why)s") % {"why": delivery.reason_text})
        return redirect("admin:campaigns_noticehook_change", hook.pk)

    def secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """On a click the next secret, whole this once; the one before it signs for a day more."""
        hook = self._find_changeable(request, object_id)
        made = ""
        if request.method == "POST":
            if not spend_form_token(request):
                refuse_twice(request)
                return redirect("admin:campaigns_noticehook_secret", hook.pk)
            made = notices.make_secret(hook)
            self.log_change(request, hook, "New secret.")
        return self.show(
            request,
            "campaigns/notice_secret.html",
            _("Secret of the webhook"),
            hook=hook,
            made=made,
            rotated=tell_age(hook.rotated_at),
            form_token=issue_form_token(request),
        )


def show_status(delivery: NoticeDelivery) -> Any:
    return make_badge(
        delivery.get_status_display(),
        DELIVERED.get(delivery.status, ""),
        title=delivery.reason_text,
    )


def describe_delivery(delivery: NoticeDelivery) -> dict[str, Any]:
    return {
        "link": make_link(delivery, show_moment(delivery.created_at)),
        "what": delivery.notice.get_event_display() if delivery.notice else _("test"),
        "status": show_status(delivery),
        "reason": delivery.reason_text,
    }


@admin.register(NoticeDelivery)
class NoticeDeliveryAdmin(CallboardAdmin):
    read_only = True
    fields = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    empty_hint = gettext_lazy("Nothing was sent out of the house yet: no rule asks for it.")
    list_display = (
        *("show_created", "channel", "show_to", "show_what", "show_status"),
        *("tries", "http_code", "show_next"),
    )
    list_select_related = ("notice", "hook")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("channel", ChoicesDropdownFilter),
        ("hook", RelatedDropdownFilter),
    )
    sortable_by = ()
    change_form_template = "admin/campaigns/noticedelivery/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path(
                "<path:object_id>/again/", view(self.again), name="campaigns_noticedelivery_again"
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[NoticeDelivery]:
        return super().get_queryset(request).select_related("notice", "hook").order_by("-id")

    @admin.display(description=gettext_lazy("created"))
    def show_created(self, delivery: NoticeDelivery) -> str:
        return show_moment(delivery.created_at)

    @admin.display(description=gettext_lazy("recipient"))
    def show_to(self, delivery: NoticeDelivery) -> str:
        return delivery.hook.name if delivery.hook else hide_address(delivery.address)

    @admin.display(description=gettext_lazy("notice"))
    def show_what(self, delivery: NoticeDelivery) -> str:
        return notices.tell_notice(delivery.notice) if delivery.notice else _("test")

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, delivery: NoticeDelivery) -> Any:
        return show_status(delivery)

    @admin.display(description=gettext_lazy("next try"))
    def show_next(self, delivery: NoticeDelivery) -> str:
        return show_moment(delivery.next_try_at) if delivery.status == "waiting" else "–"

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        history = StatusChange.objects.filter(subject="noticedelivery", subject_id=row.pk)
        return {
            "row": row,
            "to": make_link(row.hook) if row.hook else hide_address(row.address),
            "told": notices.tell_notice(row.notice) if row.notice else _("test"),
            "status": show_status(row),
            "created_at": show_moment(row.created_at),
            "sent_at": show_moment(row.sent_at) if row.sent_at else "",
            "next_at": show_moment(row.next_try_at) if row.status == "waiting" else "",
            "history": history.select_related("by").order_by("id")[:100],
            "may_send": row.status == "failed"
            and row.notice_id is not None
            and request.user.has_perm("campaigns.change_noticedelivery"),
        }

    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Try a failed one anew."""
        if request.method != "POST":
            return HttpResponse(status=405)
        row: NoticeDelivery = self.find_row(request, object_id)
        if not request.user.has_perm("campaigns.change_noticedelivery"):
            raise PermissionDenied
        if row.notice_id is not None and notices.send_again(row, by=request.user):
            messages.success(request, _("It is sent again now."))
        else:
            messages.error(request, _("Only what has failed is sent again."))
        return redirect("admin:campaigns_noticedelivery_change", row.pk)
