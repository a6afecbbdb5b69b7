"""In: models/calls.py, Recording. Out: the list, and the sound itself, checked and in ranges."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import action

from campaigns import recordings
from campaigns.admin.base import (
    CallboardAdmin,
    DaysFilter,
    InfinitePaginator,
    make_badge,
    make_link,
    make_short_link,
    show_duration,
    show_moment,
)
from campaigns.models import Recording
from campaigns.models.history import fill_in
from campaigns.queue import enqueue_all

FETCH = "campaigns.change_recording"
RECORDING_COLORS = {"remote": "info", "fetching": "info", "stored": "good", "unavailable": "bad"}


def show_recording_status(recording: Recording) -> Any:
    color = RECORDING_COLORS.get(recording.status, "")
    return make_badge(recording.get_status_display(), color, title=_(recording.reason or " "))


def tell_reason(recording: Recording) -> str:
    told = _(recording.reason) if recording.reason else ""
    return f"{told} ({show_moment(recording.deleted_at)})" if recording.deleted_at else told


def describe_recording(recording: Recording, *, may_fetch: bool = False) -> dict[str, Any]:
    """What the player needs."""
    lost = recording.status == Recording.Status.UNAVAILABLE and recording.deleted_at is None
    return {
        "again": reverse("admin:campaigns_recording_again", args=[recording.pk])
        if may_fetch and lost
        else "",
        "recording": recording,
        "status": show_recording_status(recording),
        "reason": tell_reason(recording),
        "audio": reverse("admin:campaigns_recording_audio", args=[recording.pk])
        if recording.status == Recording.Status.STORED
        else "",
        "size": filesizeformat(
            recording.bytes if recording.bytes is not None else recording.announced_bytes or 0
        ),
        "length": show_duration(recording.announced_seconds),
    }


def fetch_again(request: HttpRequest, chosen: QuerySet[Recording]) -> None:
    """Let the unavailable ones of these be tried anew, and say how many they are."""
    with transaction.atomic():
        ids = recordings.retry_recordings(chosen)
        enqueue_all("campaigns.jobs.fetch_recording", [{"recording_id": number} for number in ids])
    if ids:
        text = ngettext(
            "%(n)d recording is fetched again.", "%(n)d recordings are fetched again.", len(ids)
        )
        messages.success(request, fill_in(text, {"n": len(ids)}))
    else:
        messages.info(request, _("Only recordings that are not available can be fetched again."))


@admin.register(Recording)
class RecordingAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "Recordings are fetched by themselves when the platform announces them."
    )
    read_only = True
    fields = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = (
        "show_time",
        "show_status",
        "show_length",
        "show_size",
        "show_call",
        "show_task",
        "show_reason",
    )
    list_display_links = None
    list_select_related = ("call", "call__task")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("call__task", AutocompleteSelectFilter),
        ("call__account", RelatedDropdownFilter),
        ("created_at", DaysFilter),
    )
    sortable_by = ()
    search_fields = ("call__platform_call_id__exact",)
    search_help_text = gettext_lazy("The platform's id of a call")
    actions: Any = ("fetch_chosen",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:object_id>/again/", view(self.fetch_one), name="campaigns_recording_again"),
            path("<int:object_id>/audio/", view(self.audio), name="campaigns_recording_audio"),
            *super().get_urls(),
        ]

    def has_fetch_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(FETCH))

    @action(description=gettext_lazy("Fetch again"), permissions=["fetch"])
    def fetch_chosen(self, request: HttpRequest, queryset: QuerySet[Recording]) -> None:
        fetch_again(request, Recording.objects.filter(pk__in=queryset.values("pk")))

    def fetch_one(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The same for one, from the page of its call."""
        if request.method != "POST":
            return HttpResponse(status=405)
        recording = self.find_row(request, str(object_id))
        if not self.has_fetch_permission(request):
            raise PermissionDenied
        fetch_again(request, Recording.objects.filter(pk=recording.pk))
        return redirect("admin:campaigns_call_change", recording.call_id)

    def audio(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The sound, for who may see recordings."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(status=405)
        return recordings.serve_recording(request, self.find_row(request, str(object_id)))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A recording has no page of its own: it is played on the page of its call."""
        recording = self.find_row(request, object_id)
        return redirect("admin:campaigns_call_change", recording.call_id)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("call__evidence", "call__details")

    @admin.display(description=gettext_lazy("announced"))
    def show_time(self, recording: Recording) -> Any:
        return format_html('<span class="cb-nowrap">{}</span>', show_moment(recording.created_at))

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, recording: Recording) -> Any:
        return show_recording_status(recording)

    @admin.display(description=gettext_lazy("length"))
    def show_length(self, recording: Recording) -> str:
        return show_duration(recording.announced_seconds)

    @admin.display(description=gettext_lazy("size"))
    def show_size(self, recording: Recording) -> str:
        size = recording.bytes if recording.bytes is not None else recording.announced_bytes
        return "–" if size is None else str(filesizeformat(size))

    @admin.display(description=gettext_lazy("call"))
    def show_call(self, recording: Recording) -> Any:
        return make_short_link(recording.call)

    @admin.display(description=gettext_lazy("task"))
    def show_task(self, recording: Recording) -> Any:
        return make_link(recording.call.task)

    @admin.display(description=gettext_lazy("reason"))
    def show_reason(self, recording: Recording) -> str:
        return tell_reason(recording)
