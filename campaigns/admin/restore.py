"""In: models/installation.py. Out: the page that says what a restore means, and lets calls go on;
and what every page says while the database is held."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from campaigns.admin.base import CallboardAdmin, make_badge, make_link, show_moment
from campaigns.admin.task_page import TASK_COLORS
from campaigns.gates import restore
from campaigns.models import Installation, StatusChange, Task

RELEASE = "campaigns.release_hold"
#: what has to be typed, in every language, so that nobody lets calls go on with one click
WORD = "CALL"
SHOWN = 50


class ReleaseForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("What you looked at, and why calls may go on"),
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    word = forms.CharField(
        label=gettext_lazy("Type CALL to confirm"),
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )

    def clean_word(self) -> str:
        word = str(self.cleaned_data["word"]).strip()
        if word != WORD:
            raise forms.ValidationError(_("Type %s, in capitals.") % WORD)
        return word


def tell_held(request: HttpRequest) -> dict[str, Any]:
    """A context processor: the row while the database is held, asked for by who shows it."""

    def find() -> Installation | None:
        user = getattr(request, "user", None)
        return restore.find_installation() if user and user.is_authenticated else None

    return {"held_database": SimpleLazyObject(find)}


@admin.register(Installation)
class InstallationAdmin(CallboardAdmin):
    read_only = True
    fields = ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_staff and request.user.is_active)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return redirect("admin:campaigns_installation_changelist")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = ReleaseForm(request.POST if request.method == "POST" else None)
        may_release = request.user.has_perm(RELEASE)
        if request.method == "POST":
            if not may_release:
                raise PermissionDenied
            if form.is_valid():
                if restore.release_hold(by=request.user, note=form.cleaned_data["note"]):
                    messages.success(
                        request,
                        _("Calls may leave again. The tasks that were stopped wait to be resumed."),
                    )
                else:
                    messages.warning(request, _("Nothing is held any more."))
                return redirect("admin:campaigns_installation_changelist")
        held = restore.find_installation()
        newest = restore.find_newest() if held else None
        told = StatusChange.objects.filter(subject="installation").select_related("by")
        return self.show(
            request,
            "campaigns/restore.html",
            _("After a restore"),
            held=held,
            newest=show_moment(newest) if newest else "",
            kinds=list_kinds() if request.user.has_perm("campaigns.view_task") else [],
            history=told[:20],
            form=form,
            may_release=may_release,
        )


def list_kinds() -> list[dict[str, Any]]:
    """The tasks that a restore concerns, by how far they stood in the copy."""
    row = Installation.objects.filter(pk=restore.ROW).first()
    if row is None or row.restored_at is None:
        return []
    old = Task.objects.filter(created_at__lt=row.restored_at).select_related("account")
    stopped = old.filter(status="paused", reason=restore.RESTORED)
    kinds = [
        (
            _("Stopped by the restore"),
            _(
                "They were on their way to their platform. Since the copy was made they may have"
                " gone on, been started and called everybody. Look there, then resume or delete."
            ),
            stopped,
        ),
        (
            _("Drafts"),
            _(
                "Each may have been launched since the copy was made, and its contacts called."
                " Launching it now would call them again."
            ),
            old.filter(status="draft"),
        ),
        (
            _("With their platform"),
            _("They are asked about as ever, and can be paused and deleted."),
            old.filter(status__in=["running", "paused"]).exclude(pk__in=stopped),
        ),
    ]
    return [
        {
            "title": title,
            "note": note,
            "tasks": [
                (
                    make_link(task, task.name),
                    task.account.name,
                    make_badge(task.get_status_display(), TASK_COLORS.get(task.status, "")),
                    show_moment(task.created_at),
                )
                for task in tasks[:SHOWN]
            ],
            "more": tasks[SHOWN : SHOWN + 1].exists(),
        }
        for title, note, rows in kinds
        if (tasks := rows.order_by("-id")) is not None
    ]
