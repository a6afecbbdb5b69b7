"""In: an answer about a request of unknown outcome. Out: whether it was the same often enough."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from campaigns.models import Attempt

#: the same "no" this often, over at least SETTLE_SECONDS, before something counts as absent
NEGATIVE_ANSWERS = 3


def is_settled(attempt: Attempt, answer: str) -> bool:
    """Write an answer down; True when it has been the same several times over the settle time."""
    now = timezone.now()
    # Others may have asked meanwhile: their answers count too.
    with transaction.atomic():
        fresh = Attempt.objects.select_for_update().get(pk=attempt.pk)
        attempt.evidence = fresh.evidence
        return _add_answer(attempt, answer, now)


def _add_answer(attempt: Attempt, answer: str, now: datetime) -> bool:
    asked = attempt.evidence
    if asked and (now - _read_time(asked[-1]["at"])).total_seconds() < settings.SETTLE_SECONDS / 10:
        return False
    attempt.evidence = [*asked, {"at": now.isoformat(), "answer": answer}]
    attempt.save(update_fields=["evidence"])
    same = [one for one in attempt.evidence if one["answer"] == answer]
    since = (now - (attempt.ended_at or attempt.started_at)).total_seconds()
    return len(same) >= NEGATIVE_ANSWERS and since >= settings.SETTLE_SECONDS


def _read_time(text: str) -> datetime:
    return parse_datetime(text) or timezone.now()
