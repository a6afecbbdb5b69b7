"""In: an import and a click on its way. Out: the next page of the way, or a sentence why not.

Reading, columns, check, load: each step can be left and come back to; everything chosen is in the
row. What was checked already and is changed after all is checked anew.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns import importing
from campaigns.admin.base import (
    IMPORT,
    UNMASK,
    CallboardAdmin,
    audit_reveal,
    hide_cell,
    is_revealed,
    start_revealing,
)
from campaigns.admin.import_forms import ColumnsForm, ReadingForm
from campaigns.admin.import_page import (
    CHANGEABLE,
    describe_import,
    list_same_files,
    list_steps,
    show_number,
    tell_reading,
)
from campaigns.importing import ImportRefused
from campaigns.importing.mapping import hide_name
from campaigns.importing.receiving import recall_mapping
from campaigns.masking import mask_phone
from campaigns.models import Contact, ContactImport, Task

#: rows of a preview, and of a file as it is
PREVIEW = 10
START = 20
#: cells of a row shown as they stand; a wider table is cut
CELLS = 30
SAMPLES = 3

NO_DRAFT = gettext_lazy(
    "The task is no draft any more, so nothing can be imported into it. Clone the task and import "
    "the file into the clone."
)
BUSY = gettext_lazy("The file is being worked on. Wait for the end, or give the import up.")


def find_import(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> ContactImport:
    """The import, for somebody who may import; else 404 or 403."""
    one: ContactImport = model_admin.find_row(request, object_id)
    if not request.user.has_perm(IMPORT):
        raise PermissionDenied
    return one


def go_to(one: ContactImport, step: str = "change") -> HttpResponse:
    return redirect(f"admin:campaigns_contactimport_{step}", one.pk)


def tell_why_fixed(one: ContactImport) -> str:
    """Why reading and columns cannot be changed, empty when they can."""
    if one.task.status != Task.Status.DRAFT:
        return str(NO_DRAFT)
    if one.status in ContactImport.BUSY:
        return str(BUSY)
    if one.status not in CHANGEABLE or not one.file:
        return _("This import is over. Import the file anew to read it in another way.")
    return ""


# ------------------------------------------------------------------------------ how it is read


def reading_page(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Encoding, delimiter or sheet, and the line of the header, with the first rows beside them."""
    one = find_import(model_admin, request, object_id)
    if why := tell_why_fixed(one):
        messages.warning(request, why)
        return go_to(one)
    try:
        preview = importing.read_preview(one, count=START)
    except ImportRefused as refused:
        preview = None
        messages.error(request, str(refused))
    sheets = list(preview.sheets) if preview else []
    data = request.POST if request.method == "POST" else None
    form = ReadingForm(data, contact_import=one, sheets=sheets)
    if form.is_bound and form.is_valid():
        try:
            with transaction.atomic():
                if one.status != ContactImport.Status.UPLOADED:
                    importing.reopen_import(one, by=request.user)
                importing.change_reading(one, **form.chosen, by=request.user)
        except ImportRefused as refused:
            one.refresh_from_db()
            form.add_error(None, str(refused))
        else:
            return go_to(one, "columns" if request.POST.get("step") == "next" else "reading")
    shown = is_revealed(request, f"contactimport {one.pk}")
    if shown:
        audit_reveal(request, [one])
    return model_admin.show(
        request,
        "campaigns/import_reading.html",
        _("Import contacts"),
        **frame(one, "reading"),
        form=form,
        notes=[note for note in preview.notes if note not in importing.tell_notes(one)]
        if preview
        else [],
        rows=list_raw_rows(one, preview.rows if preview else [], whole=shown),
        may_unmask=request.user.has_perm(UNMASK) and not shown,
    )


def frame(one: ContactImport, step: str) -> dict[str, Any]:
    """What stands around the form of a step."""
    return {
        "one": one,
        "task": one.task,
        "steps": list_steps(one, may_import=True, current=step),
        "same_files": list_same_files(one),
        "file_notes": importing.tell_notes(one),
        "was_checked": bool(one.checked_at) and one.status != ContactImport.Status.UPLOADED,
        "reading": tell_reading(one),
    }


def list_raw_rows(one: ContactImport, rows: Any, *, whole: bool) -> list[dict[str, Any]]:
    """The first rows as they stand in the file, numbers masked."""
    listed = []
    phone = find_phone_header(one)
    is_phone = [bool(phone) and name == phone for name in one.header] + [False] * CELLS
    for line, cells, problem in rows:
        shown = [
            str(cell) if whole else hide_cell(cell, strict=strict)
            for cell, strict in zip(cells[:CELLS], is_phone, strict=False)
        ]
        listed.append(
            {
                "line": line,
                "cells": [text[:80] for text in shown],
                "more": max(len(cells) - CELLS, 0),
                "problem": str(problem) if problem else "",
                "is_header": line == one.header_line,
                "is_above": bool(one.header_line) and line < (one.header_line or 0),
            }
        )
    return listed


def find_phone_header(one: ContactImport) -> str:
    """The column of the file that the phone number stands in, as far as that is known."""
    columns = one.task.robot.columns
    return str(one.mapping.get(str(columns[0]), "")) if columns else ""


# ---------------------------------------------------------------------------------- its columns


def columns_page(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Which column of the file is which of the robot's; what is kept; who is a duplicate."""
    one = find_import(model_admin, request, object_id)
    if why := tell_why_fixed(one):
        messages.warning(request, why)
        return go_to(one)
    data = request.POST if request.method == "POST" else None
    form = ColumnsForm(data, contact_import=one)
    if form.is_bound and form.is_valid():
        try:
            with transaction.atomic():
                if one.status != ContactImport.Status.UPLOADED:
                    importing.reopen_import(one, by=request.user)
                importing.choose_columns(one, **form.choices, by=request.user)
                importing.begin_check(one, by=request.user)
        except ImportRefused as refused:
            one.refresh_from_db()
            form.add_error(None, str(refused))
        else:
            return go_to(one)
    shown = is_revealed(request, f"contactimport {one.pk}")
    if shown:
        audit_reveal(request, [one])
    samples = collect_samples(one, whole=shown)
    return model_admin.show(
        request,
        "campaigns/import_columns.html",
        _("Import contacts"),
        **frame(one, "columns"),
        form=form,
        columns=form.list_columns(samples, known=recall(one)),
        others=form.list_others(samples),
        may_unmask=request.user.has_perm(UNMASK) and not shown,
        **preview_choices(one, form, whole=shown),
    )


def preview_columns(
    model_admin: CallboardAdmin, request: HttpRequest, object_id: str
) -> HttpResponse:
    """The first rows as the choices of a form that is not sent yet would have them."""
    if request.method != "POST":
        return HttpResponse(status=405)
    one = find_import(model_admin, request, object_id)
    if tell_why_fixed(one):
        return HttpResponse(status=409)
    form = ColumnsForm(request.POST, contact_import=one)
    form.is_valid()
    samples = collect_samples(one, whole=False)
    context = {
        "one": one,
        "may_unmask": request.user.has_perm(UNMASK),
        "form": form,
        "columns": form.list_columns(samples, known=recall(one)),
        "others": form.list_others(samples),
        **preview_choices(one, form, whole=False),
    }
    response = render(request, "campaigns/import_preview.html", context)
    response["Cache-Control"] = "no-store"
    return response


def recall(one: ContactImport) -> dict[str, str]:
    """What was mapped the last time, for a file whose columns have names."""
    return recall_mapping(one.task) if one.header_line else {}


def preview_choices(one: ContactImport, form: ColumnsForm, *, whole: bool) -> dict[str, Any]:
    """The first contacts as the form stands, or the sentence why there are none."""
    if form.is_bound:
        # of this object only, nothing is saved: the form is not sent yet, or was refused
        one.mapping = form.mapping
        one.kept = form.cleaned_data.get("kept", [])
    columns = [column for column in form.columns if column in one.mapping]
    if len(columns) < len(form.columns):
        return {"preview": [], "preview_columns": [], "preview_problem": ""}
    try:
        rows = importing.preview_contacts(one, count=PREVIEW)
    except ImportRefused as refused:
        return {"preview": [], "preview_columns": [], "preview_problem": str(refused)}
    shown = [*columns, *one.kept]
    return {
        "preview": [
            {
                "line": row.line,
                "phone": row.phone if whole else mask_phone(row.phone),
                "values": [
                    str(row.values.get(name, "")) if whole else hide_cell(row.values.get(name, ""))
                    for name in shown[1:]
                ],
                "written": ""
                if row.phone
                else row.values.get(columns[0], "")
                if whole
                else hide_cell(row.values.get(columns[0], ""), strict=True),
                "problem": row.problem,
            }
            for row in rows
        ],
        "preview_columns": [*columns, *map(hide_name, one.kept)],
        "preview_problem": "",
    }


def collect_samples(one: ContactImport, *, whole: bool) -> dict[str, list[str]]:
    """{header: a few cells that stand under it}"""
    try:
        preview = importing.read_preview(one, count=START)
    except ImportRefused:
        return {}
    samples: dict[str, list[str]] = {}
    for line, cells, problem in preview.rows:
        if problem or line <= (one.header_line or 0):
            continue
        for name, cell in zip(one.header, cells, strict=False):
            found = samples.setdefault(str(name), [])
            text = str(cell).strip()
            if text and len(found) < SAMPLES:
                strict = name == find_phone_header(one)
                found.append((text if whole else hide_cell(text, strict=strict))[:40])
    return samples


# -------------------------------------------------------------------------------- check and load


def show_live(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """The live part of the page, again."""
    one = model_admin.find_row(request, object_id)
    response = render(request, "campaigns/import_live.html", describe_import(request, one))
    response["Cache-Control"] = "no-store"
    return response


def give_order(
    model_admin: CallboardAdmin,
    request: HttpRequest,
    object_id: str,
    *,
    order: Any,
    said: Any = "",
    step: str = "change",
) -> HttpResponse:
    if request.method != "POST":
        return HttpResponse(status=405)
    one = find_import(model_admin, request, object_id)
    try:
        order(one, by=request.user)
    except ImportRefused as refused:
        messages.error(request, str(refused))
        return go_to(one)
    if said:
        messages.success(request, str(said))
    return go_to(one, step)


def confirm(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Load what was checked."""
    order = partial(importing.confirm_import, seen=request.POST.get("seen"))
    return give_order(model_admin, request, object_id, order=order)


def check_again(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """The same file, read in the same way: the lists it was checked against may have changed."""

    def order(one: ContactImport, *, by: Any) -> None:
        with transaction.atomic():
            importing.reopen_import(one, by=by)
            importing.begin_check(one, by=by)

    return give_order(model_admin, request, object_id, order=order)


def cancel(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Give the import up."""
    return give_order(
        model_admin,
        request,
        object_id,
        order=importing.cancel_import,
        said=_("The import is given up. Nothing of the file was loaded."),
    )


# ---------------------------------------------------------------------------------------- undo


def undo_page(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Say what can be taken back and what cannot any more; then, on a click, take it back."""
    one = find_import(model_admin, request, object_id)
    if one.status != ContactImport.Status.DONE:
        messages.warning(request, _("Only an import that is done can be taken back."))
        return go_to(one)
    if request.method == "POST":
        try:
            undone = importing.undo_import(one, by=request.user)
        except ImportRefused as refused:
            messages.error(request, str(refused))
        else:
            tell_undone(request, undone)
        return go_to(one)
    foreseen = importing.foresee_undo(one)
    return model_admin.show(
        request,
        "campaigns/import_undo.html",
        _("Take the import back?"),
        **frame(one, "load"),
        draft=one.task.status == Task.Status.DRAFT,
        foreseen=foreseen,
        removed=show_number(foreseen.removed),
        withdrawn=show_number(foreseen.withdrawn),
        freed=show_number(foreseen.freed),
        too_late=list_too_late(foreseen.too_late, one),
    )


def list_too_late(counts: dict[str, int], one: ContactImport | None = None) -> list[dict[str, Any]]:
    """The contacts that cannot be taken back, by their state, with where they are listed."""
    contacts = f"{reverse('admin:campaigns_contact_changelist')}?source__id__exact={one and one.pk}"
    return [
        {
            "state": state,
            "label": label,
            "number": show_number(counts[state]),
            "url": f"{contacts}&status__exact={state}",
        }
        for state, label in Contact.Status.choices
        if counts.get(state)
    ]


def tell_undone(request: HttpRequest, undone: Any) -> None:
    """What was taken back, what was withdrawn, and what is called all the same."""
    sentences = []
    if undone.removed:
        text = ngettext(
            "%(n)s contact was removed from the task.",
            "%(n)s contacts were removed from the task.",
            undone.removed,
        )
        sentences.append(text % {"n": show_number(undone.removed)})
    if undone.withdrawn:
        text = ngettext(
            "%(n)s contact was withdrawn before the platform knew of it.",
            "%(n)s contacts were withdrawn before the platform knew of them.",
            undone.withdrawn,
        )
        sentences.append(text % {"n": show_number(undone.withdrawn)})
    if undone.freed:
        text = ngettext(
            "%(n)s contact of other imports was left out because of it, and stays left out.",
            "%(n)s contacts of other imports were left out because of it, and stay left out.",
            undone.freed,
        )
        sentences.append(text % {"n": show_number(undone.freed)})
    late = sum(undone.too_late.values())
    if late:
        states = ", ".join(
            f"{row['number']} {row['label']}" for row in list_too_late(undone.too_late)
        )
        text = ngettext(
            "It is too late for %(n)s contact (%(states)s).",
            "It is too late for %(n)s contacts (%(states)s).",
            late,
        )
        sentences.append(text % {"n": show_number(late), "states": states})
    level = messages.warning if late else messages.success
    level(request, " ".join([*sentences] or [_("There was nothing to take back.")]))


def reveal(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Whole numbers on the next look at a step's page."""
    if request.method != "POST":
        return HttpResponse(status=405)
    one = find_import(model_admin, request, object_id)
    start_revealing(request, f"contactimport {one.pk}")
    step = request.POST.get("step", "")
    return go_to(one, step if step in ("reading", "columns") else "change")
