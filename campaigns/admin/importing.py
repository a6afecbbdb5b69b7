"""In: a file and a draft. Out: contacts, and a page that says which rows are none and why."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget

from campaigns.admin.base import EXPORT, IMPORT, UNMASK, audit_reveal, hide_phones
from campaigns.importing import ImportRefused, csv_of_rejected, import_file
from campaigns.masking import mask_phone
from campaigns.models import ContactImport, Task

_MANY_DIGITS = re.compile(r"\d{7,}")


class ImportForm(forms.Form):
    """A file, and for each column of the robot what it is called in the file, if not the same."""

    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt,text/csv"}),
        help_text=gettext_lazy("CSV, with a header. UTF-8 or GB18030."),
    )

    def __init__(self, *args: Any, columns: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns = columns
        for number, column in enumerate(columns):
            self.fields[f"column_{number}"] = forms.CharField(
                label=column,
                required=False,
                max_length=200,
                widget=UnfoldAdminTextInputWidget(attrs={"placeholder": column}),
            )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > settings.IMPORT_MAX_BYTES:
            raise forms.ValidationError(
                _("The file is larger than %(size)s. Split it.")
                % {"size": filesizeformat(settings.IMPORT_MAX_BYTES)}
            )
        return file

    @property
    def mapping(self) -> dict[str, str] | None:
        named = {
            column: self.cleaned_data[f"column_{number}"]
            for number, column in enumerate(self.columns)
            if self.cleaned_data.get(f"column_{number}")
        }
        return named or None

    @property
    def column_fields(self) -> list[Any]:
        return [self[f"column_{number}"] for number in range(len(self.columns))]


def import_page(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Upload a file of contacts into a draft."""
    task: Task = model_admin.find_row(request, object_id)
    if not request.user.has_perm(IMPORT):
        raise PermissionDenied
    if task.status != Task.Status.DRAFT or task.kind == Task.Kind.DIRECT:
        messages.error(request, _("Contacts can be imported into a draft only. Clone the task."))
        return redirect("admin:campaigns_task_change", task.pk)
    columns = [str(column) for column in task.robot.columns]
    form = ImportForm(request.POST or None, request.FILES or None, columns=columns)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            done = import_file(
                task, file, file_name=file.name, mapping=form.mapping, by=request.user
            )
        except ImportRefused as refused:
            form.add_error("file", str(refused))
        else:
            tell_import(request, done)
            return redirect("admin:campaigns_task_change", task.pk)
    return model_admin.show(
        request,
        "campaigns/import.html",
        _("Import contacts"),
        task=task,
        form=form,
        columns=columns,
        contacts=task.contacts.count(),
    )


def tell_import(request: HttpRequest, done: ContactImport) -> None:
    counts = {"loaded": done.loaded, "excluded": done.excluded, "rejected": done.rejected}
    text = _("%(loaded)d contacts loaded, %(excluded)d left out, %(rejected)d rows refused.")
    level = messages.warning if done.rejected or not done.loaded else messages.success
    level(request, text % counts)


def send_rejected(model_admin: Any, request: HttpRequest, import_id: int) -> Any:
    """The rows that were refused, as a CSV to correct and to import again.

    Who may not see whole numbers gets them masked; who may is written down.
    """
    if not any(map(request.user.has_perm, (IMPORT, EXPORT))):
        raise PermissionDenied
    done = ContactImport.objects.filter(pk=import_id).first()
    if done is None:
        raise Http404
    model_admin.find_row(request, str(done.task_id))
    if request.user.has_perm(UNMASK):
        audit_reveal(request, [done])
    response = StreamingHttpResponse(csv_of_rejected(done), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="rejected-{done.pk}.csv"'
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def hide_cells(row: dict[str, Any]) -> dict[str, Any]:
    """A refused row without its number, which may be refused for having a digit too many."""
    hidden = {name: str(hide_phones(str(row.get(name, "")))) for name in ("column", "value")}
    hidden["value"] = _MANY_DIGITS.sub(lambda found: mask_phone(found.group()), hidden["value"])
    return row | hidden
