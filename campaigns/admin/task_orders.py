"""In: a click on a task's page. Out: what it asks for, done or refused in a sentence; before what
cannot be taken back, a page that says what will happen."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns import catalog, dispatch, reconcile
from campaigns.admin.base import CallboardAdmin, tell_age
from campaigns.admin.instances import name_platform_state
from campaigns.admin.launching import find_launchable
from campaigns.admin.task_facts import describe_facts
from campaigns.admin.task_page import describe_task
from campaigns.drafting import DraftRefused, clone_task
from campaigns.models import Task
from campaigns.models.history import fill_in
from campaigns.platforms.contract import Can
from campaigns.platforms.errors import PlatformError
from campaigns.statistics import count_contacts

_PAUSING = gettext_lazy("Pausing. No new batch leaves; the platform is asked until it confirms.")
_RESUMING = gettext_lazy("Resuming.")
_DELETING = gettext_lazy("The task is being stopped for good. Its calls and results stay here.")
#: people whom a page lists
MOST_HELD = 50
_STOPPING = gettext_lazy("Handing over stops. Whom the platform has, it calls.")


def show_live(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """The live part of the page, again."""
    task = model_admin.find_row(request, object_id)
    response = render(request, "campaigns/task_live.html", describe_task(request, task))
    response["Cache-Control"] = "no-store"
    return response


def delete_there(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask, then stop the task at the platform for good. Nothing is deleted here."""
    task = find_launchable(model_admin, request, object_id)
    if request.method == "POST":
        said = _STOPPING if task.fills_instances else _DELETING
        return give_order(model_admin, request, object_id, order=dispatch.delete_task, said=said)
    return model_admin.show(
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
        **describe_facts(task),
    )


def give_order(
    model_admin: CallboardAdmin,
    request: HttpRequest,
    object_id: str,
    *,
    order: Any,
    said: Any,
) -> HttpResponse:
    if request.method != "POST":
        return HttpResponse(status=405)
    task = find_launchable(model_admin, request, object_id)
    try:
        order(task, by=request.user)
    except dispatch.LaunchRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, str(said))
    return redirect("admin:campaigns_task_change", task.pk)


def pause(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    return give_order(model_admin, request, object_id, order=dispatch.pause_task, said=_PAUSING)


def resume(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Go on; or, where the platform holds people who must not be called, a page that says whom and
    what can be done."""
    if request.method == "POST":
        task = find_launchable(model_admin, request, object_id)
        held = list(dispatch.list_held_barred(task)[: MOST_HELD + 1])
        if held:
            return model_admin.show(
                request,
                "campaigns/task_resume_refused.html",
                _("%(task)s cannot be resumed") % {"task": task.name},
                task=task,
                why=_(dispatch.HELD_BARRED),
                held=held[:MOST_HELD],
                more=len(held) > MOST_HELD,
                may_clone=model_admin.has_add_permission(request),
            )
    return give_order(model_admin, request, object_id, order=dispatch.resume_task, said=_RESUMING)


def clone(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """A new draft like this one."""
    if request.method != "POST":
        return HttpResponse(status=405)
    task = model_admin.find_row(request, object_id)
    if not model_admin.has_add_permission(request):
        raise PermissionDenied
    try:
        task = clone_task(task, by=request.user)
    except DraftRefused as refused:
        messages.error(request, _("Not cloned. %(why)s") % {"why": refused})
    else:
        messages.success(request, _("A draft like it, without its contacts."))
    return redirect("admin:campaigns_task_change", task.pk)


def ask(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask the platform now how the task stands."""
    if request.method != "POST":
        return HttpResponse(status=405)
    task = find_launchable(model_admin, request, object_id)
    if not reconcile.poll_task(task.pk):
        task.refresh_from_db()
        messages.error(request, _("The platform did not say. %(why)s") % {"why": task.reason_text})
    else:
        task.refresh_from_db()
        state = name_platform_state(task.platform_state) or _("nothing")
        messages.success(
            request,
            _("The platform says: %(state)s (%(age)s).")
            % {"state": state, "age": tell_age(task.platform_checked_at)},
        )
    return redirect("admin:campaigns_task_change", task.pk)


def ask_for_results(
    model_admin: CallboardAdmin, request: HttpRequest, object_id: str
) -> HttpResponse:
    """Ask the platform for the calls of the task, now."""
    if request.method != "POST":
        return HttpResponse(status=405)
    task = find_launchable(model_admin, request, object_id)
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
        messages.success(request, fill_in(text, {"n": told}))
    return redirect("admin:campaigns_task_change", task.pk)
