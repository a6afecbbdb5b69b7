"""In: a reviewer. Out: the next call to judge, which is nobody else's meanwhile, and the judgement.

A second reviewer never sees what the first said: what was said is shown when nobody is missing.
What the reviewers of a call agree the intention should be becomes its correction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns import correcting
from campaigns.models import Correction, Judgement, Review, ReviewRule

#: a call that somebody has before them is nobody else's for so long
HELD = timedelta(minutes=30)
#: a judgement may be changed by who made it for so long
CHANGEABLE = timedelta(minutes=15)
#: waiting calls are counted to here
COUNTED = 1000


class JudgingRefused(Exception):
    """It cannot be judged like this; the text is a sentence, translated."""


def list_waiting(user: Any, *, rule: ReviewRule | None = None) -> QuerySet[Review]:
    """Calls that this user may judge: not judged by them before, and not put aside."""
    mine = Judgement.objects.filter(review=OuterRef("pk"), reviewer=user)
    waiting = Review.objects.filter(~Exists(mine), missing__gt=0)
    waiting = waiting.exclude(skipped_by__contains=[user.pk])
    return waiting.filter(rule=rule) if rule is not None else waiting


def _is_free(user: Any, now: datetime) -> Q:
    return Q(held_until=None) | Q(held_until__lte=now) | Q(held_by=user)


def count_waiting(user: Any, *, rule: ReviewRule | None = None) -> int:
    """How many wait for this user, up to ``COUNTED``."""
    free = list_waiting(user, rule=rule).filter(_is_free(user, timezone.now()))
    return free.order_by()[:COUNTED].count()


def claim_review(user: Any, *, rule: ReviewRule | None = None) -> Review | None:
    """The next one, held for a while: the one they had before them, else the oldest."""
    now = timezone.now()
    with transaction.atomic():
        waiting = list_waiting(user, rule=rule).select_for_update(of=("self",), skip_locked=True)
        review = (
            waiting.filter(held_by=user, held_until__gt=now).order_by("pk").first()
            or waiting.filter(_is_free(user, now)).order_by("pk").first()
        )
        if review is None:
            return None
        review.held_by, review.held_until = user, now + HELD
        if review.missing == review.wanted:  # what the platform says now is what is judged
            review.intention = review.call.intention
        review.save(update_fields=["held_by", "held_until", "intention"])
        return review


def skip_review(review_id: int, *, user: Any) -> None:
    """Put it aside: it goes to somebody else."""
    with transaction.atomic():
        review = Review.objects.select_for_update().get(pk=review_id)
        if user.pk not in review.skipped_by:
            review.skipped_by = [*review.skipped_by, user.pk]
        if review.held_by_id == user.pk:
            review.held_by = review.held_until = None
        review.save(update_fields=["skipped_by", "held_by", "held_until"])


def can_change(judgement: Judgement) -> bool:
    """Whether its author may still change it: for a while, and unless another's is shown."""
    fresh = judgement.created_at > timezone.now() - CHANGEABLE
    return fresh and (judgement.review.wanted == 1 or judgement.review.missing > 0)


def judge_review(
    review_id: int, *, reviewer: Any, verdict: str, intention: str | None, note: str = ""
) -> Judgement:
    """Write down what a reviewer says; ``intention`` is the right one, None: they cannot tell.

    Raises ``JudgingRefused``.
    """
    with transaction.atomic():
        review = Review.objects.select_for_update(of=("self",)).get(pk=review_id)
        said: dict[str, Any] = {"verdict": verdict, "intention": intention, "note": note}
        judgement = Judgement.objects.filter(review=review, reviewer=reviewer).first()
        if judgement is not None:
            judgement.review = review
            if not can_change(judgement):
                raise JudgingRefused(_("You have judged this call; it cannot be changed any more."))
            for name, value in said.items():
                setattr(judgement, name, value)
            judgement.changed_at = timezone.now()
            judgement.save()
        elif review.missing == 0:
            raise JudgingRefused(_("Somebody else has judged this call meanwhile."))
        else:
            judgement = Judgement.objects.create(
                review=review, reviewer=reviewer, place=review.wanted - review.missing + 1, **said
            )
            review.missing -= 1
            review.held_by = review.held_until = None
            if review.missing == 0:
                review.completed_at = timezone.now()
            review.save(update_fields=["missing", "held_by", "held_until", "completed_at"])
        if review.missing == 0:
            _correct(review, by=reviewer)
        return judgement


def _correct(review: Review, *, by: Any) -> None:
    """What the reviewers agree about becomes the correction; somebody's own one stays."""
    words = {one.intention for one in review.judgements.all() if one.intention is not None}
    held = Correction.objects.filter(call=review.call_id, withdrawn_at=None).first()
    if held is not None and not held.from_review:
        return
    if not words:
        correcting.withdraw_correction(review.call, by=by)
    elif len(words) == 1:
        correcting.correct_intention(review.call, intention=words.pop(), by=by, from_review=True)
