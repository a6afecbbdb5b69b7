"""In: a person's word about a call. Out: the right intention beside the platform's, and remarks.

Nothing here touches ``Call``: what the platform pushes later changes its own word alone. A word
that a do-not-call rule is about bars the number, whoever said it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from campaigns.barring import apply_rules
from campaigns.models import Call, Correction, Remark

#: recent calls that are looked at for the intentions one may choose from, and how many are offered
LOOKED_AT, OFFERED = 1000, 40


def find_corrections(call_ids: Iterable[int]) -> dict[int, Correction]:
    """{call: its correction that is in force}, of those that have one"""
    rows = Correction.objects.filter(call__in=list(call_ids), withdrawn_at=None)
    return {row.call_id: row for row in rows.select_related("by")}


def correct_intention(
    call: Call, *, intention: str, by: Any, from_review: bool = False
) -> Correction | None:
    """Say what the intention should be; empty for none. None when that is what holds already.

    What the platform says itself needs no correction: one that is in force is taken back then.
    """
    with transaction.atomic():
        rows = Call.objects.select_for_update(of=("self",)).only("intention", "account_id")
        fresh = rows.get(pk=call.pk)
        held = Correction.objects.filter(call=call.pk, withdrawn_at=None).first()
        if intention == (held.intention if held else fresh.intention):
            return None
        _withdraw(call, by=by)
        if intention == fresh.intention:
            return None
        correction = Correction.objects.create(
            call_id=call.pk,
            intention=intention,
            was=fresh.intention,
            by=by,
            from_review=from_review,
        )
        # Who said no to somebody's ears said no; who takes the correction back lifts nothing.
        apply_rules(fresh.account_id, [call.pk])
        return correction


def withdraw_correction(call: Call, *, by: Any) -> bool:
    """The platform's word holds again; False when it held already."""
    with transaction.atomic():
        Call.objects.select_for_update(of=("self",)).only("pk").get(pk=call.pk)
        return _withdraw(call, by=by)


def _withdraw(call: Call, *, by: Any) -> bool:
    held = Correction.objects.filter(call=call.pk, withdrawn_at=None)
    return bool(held.update(withdrawn_at=timezone.now(), withdrawn_by=by))


def add_remark(call: Call, *, text: str, by: Any) -> Remark:
    return Remark.objects.create(call_id=call.pk, text=text, by=by)


def list_intentions(call: Call) -> list[str]:
    """The words that may be chosen: those of the last calls of its task, or of its account."""
    near = Q(task=call.task_id) if call.task_id else Q(account=call.account_id)
    recent = Call.objects.filter(near).order_by("-happened_at").values_list("intention", flat=True)
    return sorted({*recent[:LOOKED_AT], call.intention} - {""})[:OFFERED]
