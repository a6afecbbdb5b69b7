"""In: models/tasks.py, Task. Out: the list of tasks, the form of a draft, the page of a task."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter, RelatedDropdownFilter

from campaigns import counting
from campaigns.admin import direct, experiments, home, importing, launching, task_orders
from campaigns.admin.base import (
    EXPORT,
    IMPORT,
    CallboardAdmin,
    make_badge,
    make_sandbox_badge,
    show_moment,
    tell_age,
)
from campaigns.admin.task_facts import describe_facts, describe_rest
from campaigns.admin.task_form import TaskForm, list_fields, make_form
from campaigns.admin.task_page import TASK_COLORS, describe_task
from campaigns.definitions import show_number
from campaigns.drafting import DraftRefused, change_draft, create_draft
from campaigns.models import Account, Task
from campaigns.platforms.contract import Can
from campaigns.statistics import choose_attention

FIELDSETS: tuple[tuple[Any, tuple[Any, ...]], ...] = (
    (None, ("name", "robot", "lines", "voice")),
    (gettext_lazy("When"), ("windows_text", "begin_at", "end_at")),
    (gettext_lazy("How often"), (("recall_count", "recall_wait_seconds"), "daily_cap", "turbo")),
    (gettext_lazy("Contacts"), ("watch_folder",)),
)


def make_fieldsets(account: Account | None) -> list[tuple[Any, dict[str, Any]]]:
    """The form's parts, with the fields that the account's platform offers."""
    offered = set(list_fields(account)) if account else set()
    sets = []
    for title, rows in FIELDSETS:
        kept = [row for row in rows if (row if isinstance(row, str) else row[0]) in offered]
        if kept or title is None:
            sets.append((title, {"fields": tuple(kept)}))
    return sets


class AttentionFilter(RadioFilter):
    title = gettext_lazy("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("needs attention"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return choose_attention(queryset) if self.value() == "yes" else queryset


@admin.register(Task)
class TaskAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "A task says who calls, when and with what; its contacts come from a file."
    )
    list_display = (
        "show_name",
        "show_status",
        "show_progress",
        "robot",
        "show_account",
        "show_created",
    )
    list_select_related = ("account", "robot")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        AttentionFilter,
        ("kind", ChoicesDropdownFilter),
        ("account", RelatedDropdownFilter),
    )
    search_fields = (
        "name",
        "platform_task_id__exact",
        "instances__platform_task_id__exact",
    )
    search_help_text = gettext_lazy("Name, or the platform's id")
    change_form_template = "admin/campaigns/task/change_form.html"
    form = TaskForm

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        verbs = {
            "launch": launching.launch,
            "trial": launching.make_trial,
            "pause": task_orders.pause,
            "resume": task_orders.resume,
            "delete-there": task_orders.delete_there,
            "clone": task_orders.clone,
            "ask": task_orders.ask,
            "results": task_orders.ask_for_results,
            "live": task_orders.show_live,
            "import": importing.upload_page,
            "split": experiments.split,
        }
        return [
            path("home-live/", view(home.show_live), name="campaigns_home_live"),
            path(
                "direct/",
                view(partial(direct.direct_page, self)),
                name="campaigns_task_direct_call",
            ),
            path(
                "<path:object_id>/template.<str:kind>",
                view(partial(importing.send_template, self)),
                name="campaigns_task_template",
            ),
            *(
                path(
                    f"<path:object_id>/{verb}/",
                    view(partial(function, self)),
                    name=f"campaigns_task_{verb}",
                )
                for verb, function in verbs.items()
            ),
            *super().get_urls(),
        ]

    # ------------------------------------------------------------------------------ the list

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        tasks = list(changelist.result_list)
        progress = counting.read_progress([task.pk for task in tasks])
        for task in tasks:
            task.progress = progress.get(task.pk)
        changelist.result_list = tasks
        return changelist

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def show_name(self, task: Task) -> Any:
        if task.trial_of_id is not None:
            return format_html("{} {}", task.name, make_badge(_("test call"), "info"))
        if task.kind != Task.Kind.DIRECT:
            return task.name
        return format_html("{} {}", task.name, make_badge(_("direct call"), "info"))

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def show_status(self, task: Task) -> Any:
        badge = make_badge(task.get_status_display(), TASK_COLORS.get(task.status, ""))
        if task.request:
            badge = format_html("{} {}", badge, make_badge(task.get_request_display(), "warn"))
        if task.needs_attention:
            badge = format_html(
                "{} {}", badge, make_badge(_("needs attention"), "bad", title=task.reason_text)
            )
        return badge

    @admin.display(description=gettext_lazy("done"))
    def show_progress(self, task: Any) -> Any:
        if task.progress is None:
            return format_html('<span class="cb-quiet">{}</span>', _("being counted…"))
        done, to_call = task.progress.done, task.progress.to_call
        if not to_call:
            return "–"
        bar = format_html(
            '<span class="cb-mini"><span class="cb-mini-bar"><span style="width:{}%"></span></span>'
            "{} / {}</span>",
            round(100 * done / to_call, 1),
            show_number(done),
            show_number(to_call),
        )
        if not task.progress.is_old:
            return bar
        age = _("counted %(age)s") % {"age": tell_age(task.progress.at)}
        moment = show_moment(task.progress.at)
        return format_html('{} <span class="cb-quiet" title="{}">{}</span>', bar, moment, age)

    @admin.display(description=gettext_lazy("created"), ordering="created_at")
    def show_created(self, task: Task) -> str:
        return show_moment(task.created_at)

    @admin.display(description=gettext_lazy("account"), ordering="account__name")
    def show_account(self, task: Task) -> Any:
        if task.account.is_sandbox:
            return format_html("{} {}", task.account.name, make_sandbox_badge())
        return task.account.name

    # ------------------------------------------------------------------------------ the form

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and (obj.status != Task.Status.DRAFT or obj.kind == Task.Kind.DIRECT):
            return False
        return super().has_change_permission(request, obj)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        account = obj.account if obj is not None else self._choose_account(request)
        if account is not None and (obj is None or self.has_change_permission(request, obj)):
            kwargs["form"] = make_form(account)
            kwargs["fields"] = ("name",)
            return super().get_form(request, obj, change=change, **kwargs)
        return forms.modelform_factory(Task, fields=())

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return [(None, {"fields": ()})]
        account = obj.account if obj is not None else self._choose_account(request)
        return make_fieldsets(account)

    def _choose_account(self, request: HttpRequest) -> Account | None:
        """The account of a new task: the one in the address, else the only one there is."""
        accounts = list_task_accounts()
        chosen = request.GET.get("account", "")
        if chosen:
            return next((one for one in accounts if str(one.pk) == chosen), None)
        return accounts[0] if len(accounts) == 1 else None

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        account = self._choose_account(request)
        accounts = list_task_accounts()
        if account is None:
            return self.show(
                request,
                "campaigns/choose_account.html",
                _("New task: whose?"),
                accounts=accounts,
                held_back=list_held_back(),
            )
        extra = {
            "account": account,
            "account_badge": make_sandbox_badge() if account.is_sandbox else "",
            "more_accounts": len(accounts) > 1,
            "held_back": list_held_back(),
        }
        return super().add_view(request, form_url, extra | (extra_context or {}))

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        return form.instance

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            task = change_draft(obj, form.draft)
        else:
            task = create_draft(form.draft, by=request.user)
        obj.pk = task.pk
        obj.refresh_from_db()

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The lines were written together with the row."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        task = self.get_object(request, unquote(object_id)) if object_id else None
        if request.method == "POST" and task is not None and task.status != Task.Status.DRAFT:
            messages.error(request, _("The task is no draft any more; nothing was changed."))
            return redirect("admin:campaigns_task_change", task.pk)
        extra = dict(extra_context or {})
        if task is not None and self.has_view_permission(request, task):
            extra |= describe_task(request, task) | describe_rest(task) | describe_facts(task)
            extra |= {
                "account": task.account,
                "may_take_rejected": any(map(request.user.has_perm, (IMPORT, EXPORT))),
            }
        try:
            return super().changeform_view(request, object_id, form_url, extra)
        except DraftRefused as refused:
            for sentences in refused.errors.values():
                for sentence in sentences:
                    messages.error(request, sentence)
            return HttpResponseRedirect(request.get_full_path())

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        messages.success(
            request, _("The draft is saved. Import its contacts next, then launch it.")
        )
        return redirect("admin:campaigns_task_change", obj.pk)

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        messages.success(request, _("The draft is saved."))
        return redirect("admin:campaigns_task_change", obj.pk)


def list_held_back() -> list[Account]:
    """Accounts that could have tasks if what is known of that were switched on."""
    accounts = Account.objects.filter(is_active=True)
    return [
        account
        for account in accounts
        if Can.CREATE_TASK in account.vendor.can and not account.can(Can.CREATE_TASK)
    ]


def list_task_accounts() -> list[Account]:
    """Accounts that a task can be made for."""
    accounts = Account.objects.filter(is_active=True)
    return [account for account in accounts if account.can(Can.CREATE_TASK)]
