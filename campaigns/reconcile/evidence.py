"""In: an answer about a request of unknown outcome. Out: whether it was the same often enough."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_noop as N_

from campaigns.models import Attempt

#: older answers than so many are forgotten
MOST_ANSWERS = 200
# What was asked, in words that go on "The platform was asked …".
BY_NAME = N_("for the task by its name")
BY_COUNT = N_("how many contacts the task has")
BY_STATE = N_("how the task stands")
BY_KEY = N_("for each contact by our id of it")


def is_settled(attempt: Attempt, answer: str, *, question: str) -> bool:
    """Write an answer down; True when it has been the same ``SETTLE_ANSWERS`` times over at least
    ``SETTLE_SECONDS``."""
    now = timezone.now()
    # Others may have asked meanwhile: their answers count too.
    with transaction.atomic():
        fresh = Attempt.objects.select_for_update().get(pk=attempt.pk)
        attempt.evidence = fresh.evidence
        return _add_answer(attempt, answer, question, now)


def _add_answer(attempt: Attempt, answer: str, question: str, now: datetime) -> bool:
    asked = attempt.evidence
    if asked and (now - _read_time(asked[-1]["at"])).total_seconds() < settings.SETTLE_SECONDS / 10:
        return False
    attempt.evidence = [
        *asked[-MOST_ANSWERS:],
        {"at": now.isoformat(), "question": question, "answer": answer},
    ]
    attempt.save(update_fields=["evidence"])
    same = [one for one in attempt.evidence if one.get("answer") == answer]
    since = (now - (attempt.ended_at or attempt.started_at)).total_seconds()
    return len(same) >= settings.SETTLE_ANSWERS and since >= settings.SETTLE_SECONDS


def was_heard_lately(attempt: Attempt, *, seconds: float) -> bool:
    """Whether the platform has said anything about it in the last so many seconds, or whether it
    is not older than that."""
    told = [_read_time(one["at"]) for one in attempt.evidence if one.get("at")]
    last = max([attempt.ended_at or attempt.started_at, *told])
    return (timezone.now() - last).total_seconds() < seconds


def _read_time(text: str) -> datetime:
    return parse_datetime(text) or timezone.now()
