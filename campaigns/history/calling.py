"""In: a contact. Out: its calls, their recordings, and the pushes that told of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from campaigns.history.moment import LIMIT, Moment, list_changes, tell_left_out
from campaigns.models import Call, Contact, Recording
from campaigns.models.history import tell_reason
from campaigns.wording import tell_problem


def tell_calls(contact: Contact) -> Iterator[Moment]:
    """The newest calls, each with its recordings and pushes."""
    calls = list(
        contact.calls.defer("evidence", "details", "conflicts").order_by("-happened_at", "-id")[
            : LIMIT + 1
        ]
    )
    if len(calls) > LIMIT:
        calls = calls[:LIMIT]
        left_out = contact.calls.count() - LIMIT
        yield from tell_left_out("call", calls[-1].happened_at, left_out)
    for call in calls:
        yield Moment(
            call.happened_at,
            "call",
            call.get_result_display(),
            row=call,
            rule="told",
            value={
                "call": call.platform_call_id,
                "result": call.result,
                "platform_result": call.platform_result,
                "answered": call.answered,
                "talk_seconds": call.talk_seconds,
                "intention": call.intention,
            },
        )
    yield from tell_recordings(calls)
    yield from tell_pushes(contact, calls)


def tell_recordings(calls: list[Call]) -> Iterator[Moment]:
    recordings = list(Recording.objects.filter(call__in=calls).order_by("-id")[:LIMIT])
    of = {call.pk: call for call in calls}
    known = {recording.pk: recording for recording in recordings}
    for recording in recordings:
        told: dict[str, Any] = {"recording": recording.pk, "seconds": recording.announced_seconds}
        text = _("A recording was announced.")
        yield Moment(
            recording.created_at, "recording", text, row=of[recording.call_id], rule="announced",
            value=told,
        )  # fmt: skip
    for change in list_changes("recording", known, new__in=["stored", "unavailable"]):
        recording = known[change.subject_id]
        told = {"recording": recording.pk, "bytes": recording.bytes}
        text = _("The recording is stored here.")
        if change.new == "unavailable":
            told = {"recording": recording.pk}
            text = _("The recording cannot be had: %(why)s") % {"why": change.sentence}
        by = str(change.by or "")
        call = of[recording.call_id]
        yield Moment(change.at, "recording", text, by, call, change.new, told)


def tell_pushes(contact: Contact, calls: list[Call]) -> Iterator[Moment]:
    """The receipts about these calls, as they came, without their bodies."""
    ids = [call.platform_call_id for call in calls if call.platform_call_id]
    if not ids:
        return
    receipts = contact.account.receipts.filter(platform_call_id__in=ids)
    rows = list(receipts.defer("body", "problems").order_by("-id")[: LIMIT + 1])
    if len(rows) > LIMIT:
        rows = rows[:LIMIT]
        yield from tell_left_out("push", rows[-1].received_at, receipts.count() - LIMIT)
    for row in rows:
        text = _("Push %(kind)s: %(status)s") % {
            "kind": row.kind or "*", "status": row.get_status_display(),
        }  # fmt: skip
        if row.reason:
            text = f"{text} ({tell_problem(tell_reason(row.reason, {}))})"
        if row.deliveries > 1:
            text = f"{text}, {_('came %(count)d times') % {'count': row.deliveries}}"
        yield Moment(
            row.received_at,
            "push",
            text,
            row=row,
            rule=row.status,
            value={
                "receipt": row.pk,
                "kind": row.kind,
                "source": row.source,
                "call": row.platform_call_id,
                "deliveries": row.deliveries,
                "reason": row.reason,
                "processed_at": row.processed_at,
            },
        )
