"""In: a contact. Out: how it came here, and what is known of its number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from campaigns.history.moment import LIMIT, Moment, list_changes, name_rule
from campaigns.masking import mask_cell, mask_numbers, mask_phone
from campaigns.models import Contact, DoNotCall, Redial
from campaigns.models.history import tell_reason


def tell_import(contact: Contact, *, excluded_later: bool) -> Iterator[Moment]:
    """The file, the line, the number as written, and what the import decided.

    ``excluded_later``: it was excluded on its way, so the import had let it pass.
    """
    source, at = contact.source, contact.created_at
    by = str(source.created_by) if source and source.created_by else ""
    written = mask_cell(contact.phone_raw, strict=True)
    value: dict[str, Any] = {"phone": mask_phone(contact.phone)}
    if written:
        value["written"] = written
    if source is None:
        redial = Redial.objects.filter(task=contact.task_id).first()
        text = _("Chosen to be called again.") if redial else _("Added.")
        by = str(redial.created_by or "") if redial else by
        yield Moment(at, "import", text, by, redial, "added", value)
    else:
        name = mask_numbers(source.file_name, likely=True)
        text = _("Loaded from %(file)s, line %(line)s.") % {
            "file": name, "line": contact.line_number,
        }  # fmt: skip
        value |= {"file": name, "line": contact.line_number, "import": source.pk}
        yield Moment(at, "import", text, by, source, "loaded", value)
    if contact.phone_raw and contact.phone_raw != contact.phone:
        text = _("The number was written %(written)s and is %(phone)s.") % value
        yield Moment(at, "import", text, rule="number", value=value)
    if contact.status == Contact.Status.EXCLUDED and not excluded_later:
        text = _("Excluded: %(why)s") % {"why": contact.reason_text}
        rule, told = name_rule(contact.reason), dict(contact.reason_values)
        yield Moment(at, "import", text, row=source, rule=rule, value=told)
    elif source is not None:
        scope: dict[str, Any] = {"scope": source.duplicates}
        if source.duplicates == source.Scope.DAYS:
            scope["days"] = source.duplicate_days
        where = {"where": source.get_duplicates_display()}
        text = _("No other row with this number counts before it (looked for %(where)s).") % where
        yield Moment(at, "import", text, row=source, rule="duplicates", value=scope)
        text = _("Its number was on no do-not-call list, and below the account's limit, if any.")
        yield Moment(at, "import", text, row=source, rule="do_not_call")


def tell_number(contact: Contact) -> Iterator[Moment]:
    """When its number was put on the do-not-call list, by whom and why, and allowed again."""
    entries = DoNotCall.objects.filter(
        Q(account=contact.account_id) | Q(account=None), phone=contact.phone
    )
    rows = list(
        entries.select_related("created_by", "lifted_by", "rule", "list_import").order_by("-id")[
            :LIMIT
        ]
    )
    for entry in rows:
        value: dict[str, Any] = {
            "source": entry.source,
            "everywhere": entry.account_id is None,
            "expires_at": entry.expires_at,
        }
        how = {"how": entry.get_source_display()}
        text = _("Its number was put on the do-not-call list (%(how)s).") % how
        if entry.reason:
            value["given"] = entry.reason
            text = f"{text} {entry.reason}"
        by = str(entry.created_by or "")
        yield Moment(entry.created_at, "number", text, by, entry, "do_not_call", value)
        if entry.lifted_at is not None:
            text = _("The entry on the do-not-call list was lifted: %(why)s") % {
                "why": tell_reason(entry.lifted_reason, {}) or "–"
            }
            by, value = str(entry.lifted_by or ""), {"given": entry.lifted_reason}
            yield Moment(entry.lifted_at, "number", text, by, entry, "lifted", value)
    known = {entry.pk: entry for entry in rows}
    for change in list_changes("donotcall", known, old="barred", new="barred"):
        entry = known[change.subject_id]
        by = str(change.by or "")
        yield Moment(
            change.at, "number", change.sentence, by, entry, "do_not_call", dict(change.values)
        )
