"""In: Django's users and groups, and other packages' tables. Out: them, in our screens' manner."""

from __future__ import annotations

from typing import Any

from auditlog.models import LogEntry
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from procrastinate.contrib.django.models import (
    ProcrastinateEvent,
    ProcrastinateJob,
    ProcrastinatePeriodicDefer,
    ProcrastinateWorker,
)
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from campaigns.admin.base import CallboardAdmin, InfinitePaginator

# The queue's tables say nothing to an operator; its state is on the first screen and in /readyz.
for model in (
    *(ProcrastinateEvent, ProcrastinateJob, ProcrastinatePeriodicDefer, ProcrastinateWorker),
    *(AccessAttempt, AccessFailureLog, AccessLog, LogEntry, Group, User),
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(User)
class UserAdmin(CallboardAdmin, DjangoUserAdmin):
    """Nobody is deleted: what they launched keeps their name. Switch the user off instead."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "first_name", "last_name", "show_groups", "is_active", "last_login")
    list_filter = ("is_active", "groups")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description=gettext_lazy("groups"))
    def show_groups(self, user: Any) -> str:
        return ", ".join(group.name for group in user.groups.all())

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who is not all-powerful makes nobody so."""
        fields = tuple(super().get_readonly_fields(request, obj))
        if request.user.is_superuser:  # type: ignore[union-attr]
            return fields
        return (*fields, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:  # type: ignore[union-attr]
            return False
        return super().has_change_permission(request, obj)


@admin.register(Group)
class GroupAdmin(CallboardAdmin, DjangoGroupAdmin):
    """Groups as Django has them."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A group's rights are given by who has all of them."""
        return bool(request.user.is_superuser) and super().has_change_permission(request, obj)  # type: ignore[union-attr]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser) and super().has_add_permission(request)  # type: ignore[union-attr]


@admin.register(LogEntry)
class LogEntryAdmin(CallboardAdmin):
    """Who changed which configuration, when."""

    read_only = True
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = ("timestamp", "actor", "action", "content_type", "object_repr")
    list_select_related = ("actor", "content_type")
    list_filter = ("action",)
    search_fields = ("object_repr",)
    sortable_by = ()
    fields = ("timestamp", "actor", "action", "content_type", "object_repr", "changes_text")


@admin.register(AccessAttempt)
class AccessAttemptAdmin(CallboardAdmin):
    """Logins that failed; deleting one lets the person try again at once."""

    read_only = True
    list_display = ("attempt_time", "username", "ip_address", "failures_since_start")
    search_fields = ("username", "ip_address")
    fields = ("attempt_time", "username", "ip_address", "user_agent", "failures_since_start")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("axes.delete_accessattempt")
