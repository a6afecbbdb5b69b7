"""In: models/failed_pushes.py. Out: the days with what was caught up of each, and a button for any
day that the platform still lists."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from campaigns import failed_pushes
from campaigns.admin.base import (
    CallboardAdmin,
    WordsForm,
    make_badge,
    make_link,
    show_moment,
    tell_age,
)
from campaigns.definitions import show_number
from campaigns.models import Account, FailedPushDay, FailedPushFile, StatusChange
from campaigns.platforms.contract import Can
from campaigns.queue import enqueue

CHANGE = "campaigns.change_failedpushday"
_LARGEST_ID = 10**15
_DAY_COLORS = {"due": "info", "asking": "info", "listed": "good", "missed": "bad"}
_FILE_COLORS = {"listed": "info", "fetching": "info", "stored": "info", "read": "good",
                "failed": "bad"}  # fmt: skip


def show_state(row: Any) -> Any:
    """What came of a day, its files included."""
    if row.dismissed_at is not None:
        return make_badge(_("dismissed"), title=row.note)
    if row.status == FailedPushDay.Status.LISTED:
        if row.files_failed or row.refused:
            return make_badge(_("not complete"), "bad")
        if row.files_open:
            return make_badge(_("being read"), "info")
        return make_badge(_("read") if row.files_all else _("nothing had failed"), "good")
    late = row.status != FailedPushDay.Status.MISSED and row.tries >= failed_pushes.ALARM_TRIES
    color = "bad" if late else _DAY_COLORS[row.status]
    return make_badge(row.get_status_display(), color, title=row.sentence)


def list_buttons(request: HttpRequest) -> list[dict[str, Any]]:
    """For each account that can: the days that its platform lists, with what came of each."""
    if not request.user.has_perm(CHANGE):
        return []
    return [
        {"account": account, "days": list_last_days(account)}
        for account in Account.objects.filter(is_active=True).order_by("name")
        if account.can(Can.LIST_FAILED_PUSHES)
    ]


def list_last_days(account: Account) -> list[dict[str, Any]]:
    days = failed_pushes.list_days(account)
    rows = {row.day: row for row in count_files(account.failed_push_days.filter(day__in=days))}
    return [
        {
            "day": day,
            "iso": day.isoformat(),
            "row": rows.get(day),
            "state": show_state(rows[day]) if day in rows else make_badge(_("not asked for yet")),
        }
        for day in days
    ]


def count_files(days: QuerySet[FailedPushDay]) -> QuerySet[Any]:
    return days.annotate(
        files_all=Count("files"),
        files_open=Count("files", filter=Q(files__status__in=["listed", "fetching", "stored"])),
        files_failed=Count("files", filter=Q(files__status="failed")),
        pushes=Sum("files__objects_count", default=0),
        new=Sum("files__new_count", default=0),
        odd=Sum("files__odd_count", default=0),
    )


@admin.register(FailedPushDay)
class FailedPushDayAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "Every day is asked for by itself in the night after it, where the platform lists what it"
        " could not push."
    )
    read_only = True
    fields = ()
    show_full_result_count = False
    list_display = (
        "day",
        "account",
        "show_state",
        "show_files",
        "show_pushes",
        "show_new",
        "show_odd",
        "show_listed",
    )
    list_filter = (("account", RelatedDropdownFilter), ("status", ChoicesDropdownFilter))
    list_before_template = "campaigns/failed_pushes_above.html"
    change_form_template = "admin/campaigns/failedpushday/change_form.html"
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("fetch/", view(self.fetch), name="campaigns_failedpushday_fetch"),
            path(
                "<path:object_id>/dismiss/",
                view(self.dismiss),
                name="campaigns_failedpushday_dismiss",
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return count_files(super().get_queryset(request).select_related("account"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = {"accounts_with_days": list_buttons(request)}
        return super().changelist_view(request, extra | (extra_context or {}))

    @admin.display(description=gettext_lazy("state"))
    def show_state(self, row: Any) -> Any:
        return show_state(row)

    @admin.display(description=gettext_lazy("files"))
    def show_files(self, row: Any) -> str:
        read = row.files_all - row.files_open - row.files_failed
        return f"{read} / {row.files_all}" if row.lists else "–"

    @admin.display(description=gettext_lazy("pushes"))
    def show_pushes(self, row: Any) -> str:
        return show_number(row.pushes) if row.lists else "–"

    @admin.display(description=gettext_lazy("new"))
    def show_new(self, row: Any) -> str:
        return show_number(row.new) if row.lists else "–"

    @admin.display(description=gettext_lazy("unreadable"))
    def show_odd(self, row: Any) -> str:
        return show_number(row.odd) if row.lists else "–"

    @admin.display(description=gettext_lazy("listed"))
    def show_listed(self, row: Any) -> str:
        return tell_age(row.listed_at)

    # -------------------------------------------------------------------------------- the page

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        may = request.user.has_perm(CHANGE)
        alarm = failed_pushes.find_alarms().filter(pk=row.pk).exists()
        return {
            "row": row,
            "state": show_state(row),
            "account": make_link(row.account),
            "listed_at": show_moment(row.listed_at),
            "listed_ago": tell_age(row.listed_at),
            "next_try_at": show_moment(row.next_try_at) if row.next_try_at else "",
            "files": [describe_file(file) for file in row.files.order_by("id")[:500]],
            "history": [
                {"at": show_moment(one.at), "sentence": one.sentence, "by": one.by}
                for one in StatusChange.objects.filter(
                    subject="failedpushday", subject_id=row.pk
                ).select_related("by")[:50]
            ],
            "may_fetch": may and row.day in failed_pushes.list_days(row.account),
            "may_dismiss": may and alarm,
            "words": WordsForm("note", _("What was done about it")),
            "day_value": row.day.isoformat(),
        }

    def fetch(self, request: HttpRequest) -> HttpResponse:
        """Ask for one day of one account now, whatever came of it before."""
        if request.method != "POST":
            return HttpResponse(status=405)
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        number, day = request.POST.get("account", ""), read_day(request.POST.get("day", ""))
        is_number = number.isascii() and number.isdecimal() and len(number) < 16
        account = Account.objects.filter(pk=int(number) if is_number else 0).first()
        if account is None or day is None:
            messages.error(request, _("There is no such account or day."))
            return redirect("admin:campaigns_failedpushday_changelist")
        try:
            with transaction.atomic():
                row = failed_pushes.ask_again(account, day, by=request.user)
                enqueue(
                    "campaigns.jobs.ask_failed_pushes",
                    once=f"failed-day-{row.pk}",
                    day_id=row.pk,
                )
        except failed_pushes.FailedPushRefused as refused:
            messages.error(request, str(refused))
            return redirect("admin:campaigns_failedpushday_changelist")
        self.log_change(request, row, "The failed pushes of the day are fetched.")
        messages.success(
            request,
            _("The failed pushes of %(day)s are fetched.") % {"day": day.isoformat()},
        )
        return redirect("admin:campaigns_failedpushday_change", row.pk)

    def dismiss(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what was done about a day that is not complete; then it is an alarm no more."""
        if request.method != "POST":
            return HttpResponse(status=405)
        row: FailedPushDay = self.find_row(request, object_id)
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        try:
            failed_pushes.dismiss_day(row, note=request.POST.get("note", ""), by=request.user)
        except failed_pushes.FailedPushRefused as refused:
            messages.error(request, str(refused))
        else:
            self.log_change(request, row, "The alarm of the day is dismissed.")
            messages.success(request, _("Dismissed."))
        return redirect("admin:campaigns_failedpushday_change", row.pk)


def describe_file(file: FailedPushFile) -> dict[str, Any]:
    problems = [
        _("Entry %(n)s: %(reason)s") % {"n": one.get("entry", "?"), "reason": _(one["reason"])}
        for one in file.problems
        if isinstance(one, dict) and isinstance(one.get("reason"), str)
    ]
    return {
        "name": str(file),
        "path": file.path,
        "state": make_badge(file.get_status_display(), _FILE_COLORS.get(file.status, "")),
        "reason": file.sentence,
        "problems": problems[:20],
        "size": filesizeformat(file.bytes) if file.bytes is not None else "–",
        "tries": file.tries,
        "pushes": file.objects_count,
        "new": file.new_count,
        "known": file.known_count,
        "odd": file.odd_count,
        "fetched": tell_age(file.fetched_at),
        "next": show_moment(file.next_try_at) if file.next_try_at else "",
    }


def read_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def list_alarm_lines(request: HttpRequest) -> list[dict[str, Any]]:
    """What the first screen says of days that could not be caught up with."""
    if not request.user.has_perm("campaigns.view_failedpushday"):
        return []
    rows = list(failed_pushes.find_alarms().select_related("account").order_by("-day")[:5])
    return [
        {
            "icon": "cloud_off",
            "text": _("Failed pushes of %(day)s are not caught up with: %(account)s")
            % {"day": row.day.isoformat(), "account": row.account.name},
            "note": row.sentence or _("A file of the day could not be read."),
            "url": reverse("admin:campaigns_failedpushday_change", args=[row.pk]),
            "bad": True,
        }
        for row in rows
    ]
