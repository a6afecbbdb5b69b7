"""In: an import and who looks at it. Out: all its page shows: where it stands, what the check found
or the load did, what can be done next. Every total is a sum of the parts shown under it."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Min
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.admin.base import EXPORT, IMPORT, LAUNCH, UNMASK, hide_cell
from campaigns.admin.import_forms import name_delimiter, name_encoding
from campaigns.importing import find_same_file, tell_notes
from campaigns.importing.mapping import hide_name
from campaigns.models import ContactImport, RejectedRow, StatusChange, Task

STATUS_COLORS = {
    "uploaded": "info",
    "checking": "busy",
    "checked": "warn",
    "loading": "busy",
    "done": "good",
    "failed": "bad",
    "cancelled": "mute",
    "undone": "mute",
}
#: how it is read and what its columns are can be changed; then it is checked anew
CHANGEABLE = ("uploaded", "checked", "failed")
#: a job that says nothing for so many seconds may have nobody who does it
SILENT = 20
#: kinds of refused rows on a page; the CSV has all rows
KINDS = 30


def show_number(number: int) -> str:
    """With a comma between the thousands, in both languages: a million has many zeros."""
    return f"{number:,}"


def describe_import(request: HttpRequest, one: ContactImport) -> dict[str, Any]:
    """The live part of the page."""
    may_import = request.user.has_perm(IMPORT)
    report = describe_report(one)
    return {
        "one": one,
        "task": one.task,
        "status_color": STATUS_COLORS.get(one.status, ""),
        "is_active": one.status in ContactImport.BUSY,
        "steps": list_steps(one, may_import=may_import),
        "progress": describe_progress(one) if one.status in ContactImport.BUSY else None,
        "report": report,
        # a page that is asked for again every two seconds counts no million rows
        "refused": list_refused(one)
        if report and report["rejected"] and one.status not in ContactImport.BUSY
        else [],
        "same_files": list_same_files(one),
        "file_notes": tell_notes(one),
        "buttons": list_buttons(one, may_import=may_import),
        "may_launch": request.user.has_perm(LAUNCH) and one.task.status == Task.Status.DRAFT,
        "may_take_rejected": any(map(request.user.has_perm, (IMPORT, EXPORT))),
        "may_unmask": request.user.has_perm(UNMASK),
        "history": list_history(one),
        "facts": list_facts(one),
        "contacts_url": f"{reverse('admin:campaigns_contact_changelist')}"
        f"?source__id__exact={one.pk}",
    }


def describe_row(one: ContactImport, task: Task) -> dict[str, Any]:
    """An import as a row of its task's page, with where to go on with it."""
    draft = task.status == Task.Status.DRAFT
    step = "columns" if draft and one.status == ContactImport.Status.UPLOADED else "change"
    told = one.ended_at or one.status in (ContactImport.Status.DONE, ContactImport.Status.UNDONE)
    return {
        "one": one,
        "color": STATUS_COLORS.get(one.status, ""),
        "url": reverse("admin:campaigns_contactimport_change", args=[one.pk]),
        "continue_url": reverse(f"admin:campaigns_contactimport_{step}", args=[one.pk])
        if draft and one.is_open
        else "",
        **{
            name: show_number(getattr(one, name)) if told else "–"
            for name in ("loaded", "excluded", "rejected")
        },
    }


def list_steps(one: ContactImport, *, may_import: bool, current: str = "") -> list[dict[str, Any]]:
    """The steps of the way: which are behind, which one it is, and where each can be seen."""
    order = ("file", "reading", "columns", "check", "load")
    reached = {"uploaded": "columns", "checking": "check", "checked": "check"}.get(
        one.status, "load"
    )
    if one.status in ("failed", "cancelled") and "rows" not in one.counts:
        reached = "check" if one.checked_at or one.mapping else "reading"
    here = current or reached
    page = reverse("admin:campaigns_contactimport_change", args=[one.pk])
    urls = {}
    if may_import and one.status in CHANGEABLE and one.file:
        for step in ("reading", "columns"):
            urls[step] = reverse(f"admin:campaigns_contactimport_{step}", args=[one.pk])
    if current and reached in ("check", "load"):
        urls[reached] = page
    names = {
        "file": _("File"),
        "reading": _("Reading"),
        "columns": _("Columns"),
        "check": _("Check"),
        "load": _("Load"),
    }
    ended = one.status == ContactImport.Status.DONE and not current
    return [
        {
            "number": number,
            "step": step,
            "label": names[step],
            "url": "" if step == here else urls.get(step, ""),
            "state": "done"
            if order.index(step) < order.index(here) or ended
            else "here"
            if step == here
            else "later",
        }
        for number, step in enumerate(order, start=1)
    ]


def list_buttons(one: ContactImport, *, may_import: bool) -> list[str]:
    """What can be done with the import now."""
    if not may_import:
        return []
    status, draft = one.status, one.task.status == Task.Status.DRAFT
    buttons = []
    if status == "checked" and draft:
        buttons.append("confirm")
    if status in ("checked", "failed") and one.file and draft:
        buttons += ["change", "again"]
    if status == "uploaded" and draft:
        buttons.append("continue")
    if status in ("done", "failed", "cancelled", "undone") and draft:
        buttons.append("another")
    if status == "done":
        buttons.append("undo")
    if status in ("uploaded", "checking", "checked", "failed"):
        buttons.append("cancel")
    return buttons


def describe_progress(one: ContactImport) -> dict[str, Any]:
    """How far the job is, and whether anybody works on it."""
    share = min(one.progress / one.progress_end, 1) if one.progress_end else 0.0
    bytes_read = one.status == "checking" and one.kind == ContactImport.Kind.TEXT
    show = filesizeformat if bytes_read else show_number
    begun = (
        StatusChange.objects.filter(subject="contactimport", subject_id=one.pk, new=one.status)
        .order_by("-id")
        .values_list("at", flat=True)
        .first()
    )
    now = timezone.now()
    last = one.progress_at if begun is None else max(begun, one.progress_at or begun)
    return {
        "percent": int(share * 100),
        "width": round(share * 100, 1),
        "done": show(one.progress),
        "end": show(one.progress_end) if one.progress_end else "",
        "left": tell_left((now - begun).total_seconds(), share) if begun else "",
        "silent": int((now - last).total_seconds())
        if last and (now - last).total_seconds() > SILENT
        else 0,
    }


def tell_left(seconds: float, share: float) -> str:
    """How long it will go on, once that can be told."""
    if seconds < 2 or share < 0.02:
        return ""
    left = round(seconds * (1 - share) / share)
    if left < 60:
        text = ngettext("about %(n)d second left", "about %(n)d seconds left", max(left, 1))
        return text % {"n": max(left, 1)}
    text = ngettext("about %(n)d minute left", "about %(n)d minutes left", round(left / 60))
    return text % {"n": round(left / 60)}


# ------------------------------------------------------------------------------------- the report


def describe_report(one: ContactImport) -> dict[str, Any] | None:
    """What the check found or the load did; None before the first check."""
    counts = one.counts
    if "rows" not in counts or one.status in ("uploaded", "checking"):
        return None
    rows, ready, rejected = (int(counts.get(name, 0)) for name in ("rows", "ready", "rejected"))
    left_out = [
        row | {"number": number, "shown": show_number(number)}
        for row in explain_left_out(one)
        if (number := int(counts.get(row["code"], 0)))
    ]
    excluded = sum(row["number"] for row in left_out)
    loaded = one.status in ("done", "undone")
    bar = [
        {"color": color, "label": label, "number": number, "shown": show_number(number)}
        for color, label, number in (
            ("good", _("Loaded") if loaded else _("will be loaded"), ready),
            ("mute", _("left out"), excluded),
            ("bad", _("refused"), rejected),
        )
    ]
    for part in bar:
        part["width"] = round(100 * int(part["number"]) / rows, 3) if rows else 0
    return {
        "rows": show_number(rows),
        "ready": ready,
        "ready_shown": show_number(ready),
        "excluded": excluded,
        "excluded_shown": show_number(excluded),
        "rejected": rejected,
        "rejected_shown": show_number(rejected),
        "share": f"{100 * ready / rows:.1f} %" if rows else "–",
        "left_out": left_out,
        "bar": [part for part in bar if part["number"]],
        "is_loaded": loaded,
    }


def explain_left_out(one: ContactImport) -> list[dict[str, Any]]:
    """Each reason for which a good row is no call, in the order in which they are looked at."""
    account = one.task.account
    first = one.keep_row == ContactImport.Keep.FIRST
    days = one.duplicate_days or 0
    return [
        {
            "code": "duplicate_file",
            "label": _("Several rows of the file have the number"),
            "note": _("The first of them counts.") if first else _("The last of them counts."),
        },
        {
            "code": "duplicate_task",
            "label": _("The task has the number already"),
            "note": _("From an earlier import."),
        },
        {
            "code": "duplicate_family",
            "label": _("Another task of the same family calls the number"),
            "note": _("A task of the same family, in the same round of calls."),
        },
        {
            "code": "duplicate_days",
            "label": ngettext(
                "A task of the account had the number within %(n)d day",
                "A task of the account had the number within %(n)d days",
                days,
            )
            % {"n": days},
            "note": _("You chose so under Columns."),
        },
        {
            "code": "duplicate_account",
            "label": _("A task of the account had the number before"),
            "note": _("You chose so under Columns."),
        },
        {
            "code": "barred",
            "label": _("The number is on the do-not-call list"),
            "note": _("It is looked up again when the file is loaded, and before every batch."),
        },
        {
            "code": "capped",
            "label": _("The number would be called too often"),
            "note": ngettext(
                "The account allows %(calls)s calls to a number in %(n)d day.",
                "The account allows %(calls)s calls to a number in %(n)d days.",
                account.cap_days or 0,
            )
            % {"calls": account.cap_calls, "n": account.cap_days or 0},
        },
    ]


def list_refused(one: ContactImport) -> list[dict[str, Any]]:
    """What is wrong with the refused rows, the most frequent first, with the first row of each."""
    rows = RejectedRow.objects.filter(contact_import=one)
    kinds = list(
        rows.values("column", "reason")
        .annotate(number=Count("line"), first=Min("line"))
        .order_by("-number", "first")[:KINDS]
    )
    examples = {row.line: row for row in rows.filter(line__in=[kind["first"] for kind in kinds])}
    return [
        {
            "row": examples[kind["first"]],
            "column": hide_name(kind["column"]),
            "number": show_number(kind["number"]),
            "is_one": kind["number"] == 1,
            "value": hide_cell(examples[kind["first"]].value, strict=True)[:60],
        }
        for kind in kinds
    ]


def list_same_files(one: ContactImport) -> list[ContactImport]:
    """Other imports of the very same bytes, while that can still be thought over."""
    if one.status not in ("uploaded", "checking", "checked"):
        return []
    return list(find_same_file(one).select_related("task", "created_by")[:5])


# ------------------------------------------------------------------------------------- the sides


def list_facts(one: ContactImport) -> list[tuple[str, Any]]:
    """How it is read and what was chosen."""
    facts: list[tuple[str, Any]] = [
        (_("File"), f"{one.file_name} ({filesizeformat(one.size)})"),
        (_("Kind"), one.get_kind_display()),
        (_("Read as"), tell_reading(one)),
        (
            _("Columns"),
            " · ".join(
                column
                if one.mapping[column] == column
                else f"{column} ← {hide_name(one.mapping[column])}"
                for column in map(str, one.task.robot.columns)
                if column in one.mapping
            )
            or "–",
        ),
    ]
    if one.kept:
        facts.append((_("Kept besides"), " · ".join(map(hide_name, one.kept))))
    scope = one.get_duplicates_display()
    if one.duplicates == ContactImport.Scope.DAYS:
        scope = f"{scope} ({one.duplicate_days})"
    facts += [(_("Duplicates"), scope), (_("Of rows with one number"), one.get_keep_row_display())]
    if one.sha256:
        facts.append((_("Fingerprint"), one.sha256[:16]))
    return facts


def tell_reading(one: ContactImport) -> str:
    """In a line: “UTF-8, comma, the columns' names in line 1”."""
    parts = (
        [name_encoding(one.encoding), name_delimiter(one.delimiter)]
        if one.kind == ContactImport.Kind.TEXT
        else [one.sheet]
    )
    if one.header_line:
        parts.append(_("the columns' names in line %(n)d") % {"n": one.header_line})
    elif one.header:
        parts.append(_("without a line of names"))
    return ", ".join(part for part in parts if part) or "–"


def list_history(one: ContactImport) -> list[dict[str, Any]]:
    names = dict(ContactImport.Status.choices)
    history = StatusChange.objects.filter(subject="contactimport", subject_id=one.pk)
    return [
        {
            "at": change.at,
            "by": change.by,
            "new": names.get(change.new, change.new),
            "color": STATUS_COLORS.get(change.new, ""),
            "moved": change.old != change.new,
            "sentence": change.sentence,
        }
        for change in history.select_related("by")[:30]
    ]
