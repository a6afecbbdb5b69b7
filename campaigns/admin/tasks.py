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
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter, RelatedDropdownFilter

from campaigns import catalog, dispatch, reconcile
from campaigns.admin import direct, home, importing
from campaigns.admin.base import (
    EXPORT,
    IMPORT,
    LAUNCH,
    CallboardAdmin,
    make_badge,
    make_sandbox_badge,
    show_moment,
    tell_age,
)
from campaigns.admin.task_form import TaskForm, list_fields, make_form
from campaigns.admin.task_page import (
    TASK_COLORS,
    describe_rest,
    describe_task,
    name_platform_state,
)
from campaigns.drafting import DraftRefused, change_draft, clone_task, create_draft, print_windows
from campaigns.models import Account, Task
from campaigns.platforms.contract import Can
from campaigns.platforms.errors import PlatformError
from campaigns.statistics import count_contacts, summarise_progress

_PAUSING = gettext_lazy("Pausing. No new batch leaves; the platform is asked until it confirms.")
_RESUMING = gettext_lazy("Resuming.")
_DELETING = gettext_lazy("The task is being stopped for good. Its calls and results stay here.")

_STOPPING = gettext_lazy("Handing over stops. Whom the platform has, it calls.")

FIELDSETS: tuple[tuple[Any, tuple[Any, ...]], ...] = (
    (None, ("name", "robot", "lines", "voice")),
    (gettext_lazy("When"), ("windows_text", "begin_at", "end_at")),
    (gettext_lazy("How often"), (("recall_count", "recall_wait_seconds"), "turbo")),
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
        return queryset.filter(needs_attention=True) if self.value() == "yes" else queryset


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
    search_fields = ("name", "platform_task_id__exact")
    search_help_text = gettext_lazy("Name, or the platform's id")
    change_form_template = "admin/campaigns/task/change_form.html"
    form = TaskForm

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        verbs = {
            "launch": self.launch,
            "pause": partial(self._order, order=dispatch.pause_task, said=_PAUSING),
            "resume": partial(self._order, order=dispatch.resume_task, said=_RESUMING),
            "delete-there": self.delete_there,
            "clone": self.clone,
            "ask": self.ask,
            "results": self.ask_for_results,
            "live": self.live,
            "import": partial(importing.import_page, self),
        }
        return [
            path("home-live/", view(home.show_live), name="campaigns_home_live"),
            path(
                "direct/",
                view(partial(direct.direct_page, self)),
                name="campaigns_task_direct_call",
            ),
            path(
                "import/<int:import_id>/rejected.csv",
                view(partial(importing.send_rejected, self)),
                name="campaigns_contactimport_rejected",
            ),
            *(
                path(f"<path:object_id>/{verb}/", view(function), name=f"campaigns_task_{verb}")
                for verb, function in verbs.items()
            ),
            *super().get_urls(),
        ]

    # ------------------------------------------------------------------------------ the list

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        tasks = list(changelist.result_list)
        progress = summarise_progress(tasks)
        for task in tasks:
            task.counted = progress[task.pk]
        changelist.result_list = tasks
        return changelist

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def show_name(self, task: Task) -> Any:
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
        contacts = task.counted
        to_call = sum(contacts.values()) - contacts["excluded"] - contacts["withdrawn"]
        if not to_call:
            return "–"
        done = contacts["finished"] + contacts["rejected"]
        return format_html(
            '<span class="cb-mini"><span class="cb-mini-bar"><span style="width:{}%"></span></span>'
            "{} / {}</span>",
            round(100 * done / to_call, 1),
            done,
            to_call,
        )

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
            extra |= describe_task(request, task) | describe_rest(task) | self._facts(task)
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

    def _facts(self, task: Task) -> dict[str, Any]:
        limits = task.account.vendor.limits
        windows = print_windows(task.windows) or _("whenever the lines work")
        recalls = (
            _("%(n)d, after %(seconds)d s each")
            % {"n": task.recall_count, "seconds": task.recall_wait_seconds or 0}
            if task.recall_count
            else _("none")
        )
        facts = [
            (_("Voice"), task.voice or _("as the robot has it")),
            (_("Calling windows"), windows if limits.windows else _("as set at the platform")),
            (_("Begin"), show_moment(task.begin_at) if task.begin_at else _("at once")),
            (_("End"), show_moment(task.end_at) if task.end_at else _("when everybody was called")),
            (_("Recalls"), recalls if limits.recall_count else _("as set at the platform")),
        ]
        if task.fills_instances:
            facts = facts[1:]
        if task.kind == Task.Kind.DIRECT:
            facts = [facts[0], (_("Speed"), task.speed if task.speed is not None else "–")]
        return {
            "facts": facts,
            "account_badge": make_sandbox_badge() if task.account.is_sandbox else "",
        }

    # --------------------------------------------------------------------------- the buttons

    def _find_launchable(self, request: HttpRequest, object_id: str) -> Task:
        task: Task = self.find_row(request, object_id)
        if not request.user.has_perm(LAUNCH):
            raise PermissionDenied
        return task

    def live(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The live part of the page, again."""
        task = self.find_row(request, object_id)
        response = render(request, "campaigns/task_live.html", describe_task(request, task))
        response["Cache-Control"] = "no-store"
        return response

    def launch(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what will happen and to how many; then, on a click, let it happen."""
        task = self._find_launchable(request, object_id)
        if request.method == "POST":
            try:
                dispatch.launch_task(task, by=request.user)
            except dispatch.LaunchRefused as refused:
                messages.error(request, str(refused))
            else:
                messages.success(request, _("Launched. The contacts go to the platform now."))
            return redirect("admin:campaigns_task_change", task.pk)
        contacts = count_contacts(task)
        return self.show(
            request,
            "campaigns/task_launch.html",
            _("Launch %(task)s?") % {"task": task.name},
            task=task,
            problems=dispatch.check_launch(task),
            contacts=contacts,
            most=contacts["ready"] * (1 + task.recall_count),
            lines=list(task.lines.all()),
            fills=task.fills_instances,
            instances=count_instances(task, contacts["ready"]),
            **self._facts(task),
        )

    def delete_there(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then stop the task at the platform for good. Nothing is deleted here."""
        task = self._find_launchable(request, object_id)
        if request.method == "POST":
            said = _STOPPING if task.fills_instances else _DELETING
            return self._order(request, object_id, order=dispatch.delete_task, said=said)
        return self.show(
            request,
            "campaigns/task_delete.html",
            (
                _("Stop handing over %(task)s?")
                if task.fills_instances and task.status != Task.Status.DRAFT
                else _("Stop %(task)s for good?")
            )
            % {"task": task.name},
            task=task,
            fills=task.fills_instances,
            contacts=count_contacts(task),
            **self._facts(task),
        )

    def _order(
        self, request: HttpRequest, object_id: str, *, order: Any, said: Any
    ) -> HttpResponse:
        if request.method != "POST":
            return HttpResponse(status=405)
        task = self._find_launchable(request, object_id)
        try:
            order(task, by=request.user)
        except dispatch.LaunchRefused as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, str(said))
        return redirect("admin:campaigns_task_change", task.pk)

    def clone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A new draft like this one."""
        if request.method != "POST":
            return HttpResponse(status=405)
        task = self.find_row(request, object_id)
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            task = clone_task(task, by=request.user)
        except DraftRefused as refused:
            messages.error(request, _("Not cloned. %(why)s") % {"why": refused})
        else:
            messages.success(request, _("A draft like it, without its contacts."))
        return redirect("admin:campaigns_task_change", task.pk)

    def ask(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the platform now how the task stands."""
        if request.method != "POST":
            return HttpResponse(status=405)
        task = self._find_launchable(request, object_id)
        if not reconcile.poll_task(task.pk):
            task.refresh_from_db()
            messages.error(
                request, _("The platform did not say. %(why)s") % {"why": task.reason_text}
            )
        else:
            task.refresh_from_db()
            state = name_platform_state(task.platform_state) or _("nothing")
            messages.success(
                request,
                _("The platform says: %(state)s (%(age)s).")
                % {"state": state, "age": tell_age(task.platform_checked_at)},
            )
        return redirect("admin:campaigns_task_change", task.pk)

    def ask_for_results(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the platform for the calls of the task, now."""
        if request.method != "POST":
            return HttpResponse(status=405)
        task = self._find_launchable(request, object_id)
        if not task.account.can(Can.FETCH_CALLS):
            messages.error(request, task.account.explain(Can.FETCH_CALLS))
            return redirect("admin:campaigns_task_change", task.pk)
        try:
            told = reconcile.ask_for_calls(task)
        except PlatformError as error:
            why = catalog.describe_error(error)
            messages.error(request, _("The platform did not say. %(why)s") % {"why": why})
        else:
            text = ngettext(
                "The platform told of %(n)d call.", "The platform told of %(n)d calls.", told
            )
            messages.success(request, text % {"n": told})
        return redirect("admin:campaigns_task_change", task.pk)


def count_instances(task: Task, contacts: int) -> int:
    """How many tasks at the platform so many contacts need, 0 where it is one of ours to one."""
    most = task.account.vendor.limits.contacts_per_instance
    return -(-contacts // most) if task.fills_instances and most else 0


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
