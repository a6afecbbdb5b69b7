"""In: Django's users and groups, and other packages' tables. Out: them, in our screens' manner."""

from __future__ import annotations

from typing import Any

from auditlog.models import LogEntry
from auditlog.registry import auditlog
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.admin import RelatedFieldListFilter
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
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
from campaigns.admin.changes import show_line, show_table
from campaigns.masking import mask_numbers
from campaigns.wording import tell_group, tell_permission

# The queue's tables say nothing to an operator; its state is on the first screen and in /readyz.
for model in (
    *(ProcrastinateEvent, ProcrastinateJob, ProcrastinatePeriodicDefer, ProcrastinateWorker),
    *(AccessAttempt, AccessFailureLog, AccessLog, LogEntry, Group, User),
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


#: {field of many: how one of its rows is called}
TOLD = {"groups": tell_group, "user_permissions": tell_permission, "permissions": tell_permission}


def tell_rows(row: Any, name: str) -> str:
    rows = getattr(row, name).all()
    if TOLD[name] is tell_permission:
        rows = rows.select_related("content_type")
    return ", ".join(TOLD[name](one) for one in rows) or "–"


class GroupFilter(RelatedFieldListFilter):
    """The groups by their names in the reader's language."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: Any
    ) -> list[tuple[Any, str]]:
        return [(group.pk, tell_group(group)) for group in Group.objects.order_by("name")]


class ToldAdmin(CallboardAdmin):
    """Groups and permissions in the reader's language, whether they may be changed or only seen."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None and db_field.name in TOLD:
            field.label_from_instance = TOLD[db_field.name]  # type: ignore[attr-defined]
        return field

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is only seen is replaced by its words."""
        fieldsets = super().get_fieldsets(request, obj)
        seen = TOLD.keys() & set(self.get_readonly_fields(request, obj))
        if obj is not None and not self.has_change_permission(request, obj):
            seen = set(TOLD)
        return [
            (title, options | {"fields": [f"show_{n}" if n in seen else n for n in names]})
            for title, options in fieldsets
            for names in [options["fields"]]
        ]

    @admin.display(description=gettext_lazy("groups"))
    def show_groups(self, row: Any) -> str:
        return tell_rows(row, "groups")

    @admin.display(description=gettext_lazy("user permissions"))
    def show_user_permissions(self, row: Any) -> str:
        return tell_rows(row, "user_permissions")

    @admin.display(description=gettext_lazy("permissions"))
    def show_permissions(self, row: Any) -> str:
        return tell_rows(row, "permissions")


@admin.register(User)
class UserAdmin(ToldAdmin, DjangoUserAdmin):
    """Nobody is deleted: what they launched keeps their name. Switch the user off instead."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "first_name", "last_name", "show_groups", "is_active", "last_login")
    list_filter = ("is_active", ("groups", GroupFilter))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who is not all-powerful makes nobody so."""
        fields = tuple(super().get_readonly_fields(request, obj))
        if request.user.is_superuser:  # type: ignore[union-attr]
            return fields
        return (*fields, "is_superuser", "user_permissions", "show_user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:  # type: ignore[union-attr]
            return False
        return super().has_change_permission(request, obj)


@admin.register(Group)
class GroupAdmin(ToldAdmin, DjangoGroupAdmin):
    """Groups as Django has them."""

    list_display = ("show_name",)

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def show_name(self, group: Group) -> str:
        return tell_group(group)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A group's rights are given by who has all of them."""
        return bool(request.user.is_superuser) and super().has_change_permission(request, obj)  # type: ignore[union-attr]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser) and super().has_add_permission(request)  # type: ignore[union-attr]


class AuditedFilter(RelatedFieldListFilter):
    """Only what there are changes of."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: Any
    ) -> list[tuple[Any, str]]:
        kept = ContentType.objects.get_for_models(*auditlog.get_models()).items()
        found = [(kind.pk, str(model._meta.verbose_name)) for model, kind in kept]
        return sorted(found, key=lambda one: one[1])


@admin.register(LogEntry)
class LogEntryAdmin(CallboardAdmin):
    """Who changed which configuration, when."""

    read_only = True
    paginator = InfinitePaginator
    show_full_result_count = False
    list_display = ("timestamp", "actor", "action", "content_type", "show_object", "show_changes")
    list_select_related = ("actor", "content_type")
    list_filter = ("action", ("content_type", AuditedFilter))
    search_fields = ("object_repr",)
    sortable_by = ()
    fields = ("timestamp", "actor", "action", "content_type", "show_object", "show_all_changes")
    readonly_fields = ("show_object", "show_all_changes")

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        entry = super().get_object(request, object_id, from_field)
        if entry is not None:  # it stands in the title as well
            entry.object_repr = mask_numbers(entry.object_repr, likely=True)
        return entry

    @admin.display(description=gettext_lazy("what"))
    def show_object(self, entry: LogEntry) -> str:
        return mask_numbers(entry.object_repr, likely=True)

    @admin.display(description=gettext_lazy("changes"))
    def show_changes(self, entry: LogEntry) -> Any:
        return show_line(entry)

    @admin.display(description=gettext_lazy("changes"))
    def show_all_changes(self, entry: LogEntry) -> Any:
        return show_table(entry)


@admin.register(AccessAttempt)
class AccessAttemptAdmin(CallboardAdmin):
    """Logins that failed; deleting one lets the person try again at once."""

    read_only = True
    list_display = ("attempt_time", "username", "ip_address", "failures_since_start")
    search_fields = ("username", "ip_address")
    fields = ("attempt_time", "username", "ip_address", "user_agent", "failures_since_start")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("axes.delete_accessattempt")
