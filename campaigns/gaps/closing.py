"""In: open gaps. Out: those that were filled, or that a person said a word about, closed."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.gaps.finding import count_ours, count_sample, is_short, look_again, take_turn
from campaigns.models import Call, Contact, Gap, Recording, Task

MOST_TASKS = 500


class GapRefused(Exception):
    """It cannot be closed like this; the text is a sentence, translated."""


def close_filled() -> int:
    """Close every gap that is one no more; returns how many."""
    return sum(
        (_close_records(), _close_parts(), _close_contacts(), _close_counts(), _close_accounts())
    )


def _list_open(*kinds: Any) -> QuerySet[Gap]:
    return Gap.objects.filter(closed_at=None, kind__in=kinds).order_by()


def _close(gaps: QuerySet[Gap], how: Any) -> int:
    ids = list(gaps.values_list("pk", flat=True)[:10_000])  # an UPDATE takes no joins
    closed = Gap.objects.filter(pk__in=ids, closed_at=None)
    return closed.update(closed_at=timezone.now(), how=how) if ids else 0


def _close_records() -> int:
    outbound = Q(call__direction=Call.Direction.OUTBOUND)
    whole = Q(call__has_record=True) & (~outbound | ~Q(call__platform_result=""))
    filled = _list_open(Gap.Kind.RECORD).filter(whole)
    calls = list(filled.values_list("call_id", flat=True)[:10_000])
    closed = _close(filled, Gap.How.FILLED)
    if calls:
        look_again([pk for pk in calls if pk is not None])
    return closed


def _close_parts() -> int:
    said = Q(call__turns_count__gt=0) | Q(call__evidence__has_key="dialog")
    deleted = Q(call__dialog_deleted_at__isnull=False)
    heard = Exists(Recording.objects.filter(call=OuterRef("call")))
    return (
        _close(_list_open(Gap.Kind.DIALOG).filter(said), Gap.How.FILLED)
        + _close(_list_open(Gap.Kind.DIALOG).filter(deleted), Gap.How.GONE)
        + _close(_list_open(Gap.Kind.RECORDING).filter(heard), Gap.How.FILLED)
    )


def _close_contacts() -> int:
    silent = _list_open(Gap.Kind.SILENT)
    called = Q(contact__calls_made__gt=0)
    moved = ~Q(contact__status=Contact.Status.ACCEPTED)
    return _close(silent.filter(called), Gap.How.FILLED) + _close(
        silent.filter(moved), Gap.How.GONE
    )


def _close_counts() -> int:
    closed = 0
    ids = take_turn("closed", _list_open(Gap.Kind.COUNTS), most=MOST_TASKS)
    for gap in Gap.objects.filter(pk__in=ids).select_related("task").order_by("pk"):
        task = gap.task
        if task is None or task.status == Task.Status.DELETED:
            closed += _close(Gap.objects.filter(pk=gap.pk), Gap.How.GONE)
        elif not is_short(gap.reason_values.get("told", {}), count_ours(task)):
            closed += _close(Gap.objects.filter(pk=gap.pk), Gap.How.FILLED)
    return closed


def _close_accounts() -> int:
    closed = 0
    for gap in _list_open(Gap.Kind.NO_DIALOGS, Gap.Kind.NO_RECORDINGS):
        if count_sample(gap.account_id, gap.kind).with_part:
            closed += _close(Gap.objects.filter(pk=gap.pk), Gap.How.FILLED)
    return closed


def dismiss_gaps(gaps: QuerySet[Gap], *, note: str, by: Any) -> int:
    """Somebody has looked into them; returns how many were open. Raises ``GapRefused``."""
    note = note.replace("\x00", "").strip()[:2000]
    if not note:
        raise GapRefused(_("Say why it is left as it is."))
    chosen = Gap.objects.filter(pk__in=list(gaps.values_list("pk", flat=True)), closed_at=None)
    return chosen.update(
        closed_at=timezone.now(),
        how=Gap.How.DISMISSED,
        note=note,
        closed_by=by if getattr(by, "pk", None) else None,
    )


def count_open(*, limit: int = 1000) -> int:
    """How many are open, at most ``limit``: for the first screen."""
    return Gap.objects.filter(closed_at=None).order_by()[:limit].count()


#: the newest first, those that are open before the others
ORDER = (F("closed_at").desc(nulls_first=True), "-id")
