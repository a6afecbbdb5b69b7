"""In: a file and a draft. Out: an import that goes its way, templates to fill, refused rows to
correct.

The steps after the upload are in ``import_steps``.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from campaigns import importing
from campaigns.admin.base import EXPORT, IMPORT, UNMASK, audit_reveal
from campaigns.admin.import_forms import UploadForm, show_limit
from campaigns.admin.import_page import STATUS_COLORS
from campaigns.importing import ImportRefused, template
from campaigns.models import ContactImport, Task


def find_draft(model_admin: Any, request: HttpRequest, object_id: str) -> Task:
    """The task, for somebody who may import into it; else 404 or 403."""
    task: Task = model_admin.find_row(request, object_id)
    if not request.user.has_perm(IMPORT):
        raise PermissionDenied
    return task


def upload_page(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Upload a file of contacts into a draft, or go on with one that was begun."""
    task = find_draft(model_admin, request, object_id)
    if task.status != Task.Status.DRAFT or task.kind == Task.Kind.DIRECT:
        messages.error(request, _("Contacts can be imported into a draft only. Clone the task."))
        return answer(request, reverse("admin:campaigns_task_change", args=[task.pk]))
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if form.is_bound and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            one = importing.receive_file(task, file, file_name=file.name, by=request.user)
        except ImportRefused as refused:
            form.add_error("file", str(refused))
        else:
            return answer(request, reverse(f"admin:{choose_step(one)}", args=[one.pk]))
    if form.is_bound and is_script(request):
        return JsonResponse({"errors": list(form.errors.get("file", form.non_field_errors()))})
    columns = [str(column) for column in task.robot.columns]
    return model_admin.show(
        request,
        "campaigns/import_upload.html",
        _("Import contacts"),
        task=task,
        form=form,
        columns=columns,
        contacts=task.contacts.count(),
        limit=show_limit(),
        begun=[
            {"one": one, "color": STATUS_COLORS.get(one.status, "")}
            for one in task.imports.filter(status__in=ContactImport.OPEN).select_related(
                "created_by"
            )[:10]
        ],
    )


def choose_step(one: ContactImport) -> str:
    """Where to look next: at the columns when the file gave no riddle, else at how it is read."""
    columns = [str(column) for column in one.task.robot.columns]
    is_clear = all(one.mapping.get(column) for column in columns)
    return f"campaigns_contactimport_{'columns' if is_clear else 'reading'}"


def is_script(request: HttpRequest) -> bool:
    """Whether a script sent the form, to show how far the upload is."""
    return request.headers.get("X-Requested-With") == "XMLHttpRequest"


def answer(request: HttpRequest, url: str) -> HttpResponse:
    return JsonResponse({"url": url}) if is_script(request) else redirect(url)


def send_template(model_admin: Any, request: HttpRequest, object_id: str, kind: str) -> Any:
    """A file with the robot's columns and one example row."""
    task = find_draft(model_admin, request, object_id)
    if kind not in template.CONTENT_TYPES:
        raise Http404
    columns = [str(column) for column in task.robot.columns]
    if not columns:
        messages.error(
            request,
            _("The robot has no columns yet: synchronise the account and choose the robot again."),
        )
        return redirect("admin:campaigns_task_import", task.pk)
    body = template.make_template(columns, kind=kind)
    response = HttpResponse(body, content_type=template.CONTENT_TYPES[kind])
    name = _("contacts for %(robot)s") % {"robot": task.robot.name}
    response["Content-Disposition"] = content_disposition_header(True, f"{name}.{kind}")
    response["X-Content-Type-Options"] = "nosniff"
    return response


def send_rejected(model_admin: Any, request: HttpRequest, object_id: str) -> Any:
    """The rows that were refused, as a CSV to correct and to import again.

    Who may not see whole numbers gets them masked; who may is written down.
    """
    if not any(map(request.user.has_perm, (IMPORT, EXPORT))):
        raise PermissionDenied
    one = model_admin.find_row(request, object_id)
    may_unmask = request.user.has_perm(UNMASK)
    if may_unmask:
        audit_reveal(request, [one])
    response = StreamingHttpResponse(
        importing.csv_of_rejected(one, masked=not may_unmask),
        content_type="text/csv; charset=utf-8",
    )
    response["Content-Disposition"] = f'attachment; filename="rejected-{one.pk}.csv"'
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response
