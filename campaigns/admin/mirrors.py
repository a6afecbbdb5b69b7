"""In: models/accounts.py, what platforms list. Out: screens of robots, lines and voices."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter, RelatedDropdownFilter

from campaigns.admin.base import (
    CallboardAdmin,
    make_badge,
    make_link,
    make_sandbox_badge,
    show_moment,
    tell_age,
)
from campaigns.admin.robot_page import describe_robot
from campaigns.drafting import print_windows
from campaigns.models import Line, Robot, Task, Voice


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

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        tasks = Task.objects.select_related("account").order_by("-id")
        return {
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
    change_form_template = "admin/campaigns/robot/change_form.html"

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return super().add_context(request, row) | describe_robot(request, row)

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
