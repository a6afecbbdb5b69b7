"""In: a rule. Out: the calls that it draws, each once, the same ones however often it is done.

Whether a call is drawn is decided by a hash of the rule's seed and the platform's id of the call: a
share takes what lies below it, a number per day the lowest of the day. A share looks at the calls
in the order in which they came here, a while after each came, so that its dialog is there; and
again a day and a week later, since a record may come that late. A number per day waits until the
day is over.
"""

from __future__ import annotations

import hashlib
import time as clock
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db import transaction
from django.db.models import BigIntegerField, F, Func, QuerySet, TextField, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from campaigns.criteria import CALLS, BadCriteria, read_criteria
from campaigns.models import Call, Review, ReviewRule

#: after so long the dialog and the recording of a call are there, as a rule
SETTLED = timedelta(minutes=15)
#: a record that did not come until then may come with the platform's file of failed pushes, which
#: is there the next day, and can be fetched for a week: calls are looked at once more
LOOKS = (SETTLED, timedelta(hours=36), timedelta(days=8))
#: after so long nearly everything of a day is there
DAY_SETTLED = timedelta(hours=2)
#: a platform's clock may be ahead of ours by so much
CLOCKS_DIFFER = timedelta(days=1)
#: calls looked at by one statement; seconds of work before a job gives its place to others
STEP, JOB_SECONDS = 50_000, 15.0
#: a rule that nobody works off does not draw on and on
MOST_WAITING = 5000
SPACE = 2**32

TOO_MANY = N_("5,000 calls of this rule wait to be judged: no more are drawn until they are fewer.")
BAD_CRITERIA = N_("What the rule chooses by is not understood any more. Enter it anew.")


@dataclass(frozen=True, slots=True)
class Drawn:
    """How many calls were drawn, and whether there is more to look at."""

    number: int
    more: bool


class _Hash(Func):
    """The first 32 bits of the MD5 of a text, as a number."""

    template = "('x' || substr(md5(%(expressions)s), 1, 8))::bit(32)::bigint"
    output_field = BigIntegerField()


def list_due_rules() -> list[int]:
    return list(ReviewRule.objects.filter(is_active=True).values_list("pk", flat=True))


def draw_reviews(rule_id: int, *, now: datetime | None = None) -> Drawn:
    """Draw what is due, for a while."""
    now = now or timezone.now()
    ends = clock.monotonic() + JOB_SECONDS
    total = 0
    while True:
        number, more = _draw_step(rule_id, now)
        total += number
        if not more or clock.monotonic() > ends:
            return Drawn(total, more)


def _draw_step(rule_id: int, now: datetime) -> tuple[int, bool]:
    """One stretch of calls, or one day, in one transaction; nobody else draws by the rule then."""
    with transaction.atomic():
        rule = (
            ReviewRule.objects.select_for_update(skip_locked=True)
            .filter(pk=rule_id, is_active=True)
            .first()
        )
        if rule is None:
            return 0, False
        rule.drawn_at = now
        rule.problem = _find_problem(rule)
        if rule.problem:
            rule.save(update_fields=["drawn_at", "problem"])
            return 0, False
        calls, more = _find_share(rule, now) if rule.percent else _find_of_day(rule, now)
        Review.objects.bulk_create(
            [_make_review(rule, call) for call in calls], ignore_conflicts=True
        )
        rule.save(
            update_fields=["drawn_at", "problem", "looked_through", "looked_again", "drawn_through"]
        )
        return len(calls), more


def _find_problem(rule: ReviewRule) -> str:
    if rule.reviews.filter(missing__gt=0).order_by()[:MOST_WAITING].count() >= MOST_WAITING:
        return TOO_MANY
    try:
        read_criteria(CALLS, rule.criteria)
    except BadCriteria:
        return BAD_CRITERIA
    return ""


def _make_review(rule: ReviewRule, call: Call) -> Review:
    share = draw_number(f"{rule.seed}:second", call) * 100 // SPACE
    wanted = 2 if share < rule.second_percent else 1
    return Review(
        rule=rule,
        call=call,
        robot_id=call.robot_id,
        intention=call.intention,
        wanted=wanted,
        missing=wanted,
    )


def draw_number(seed: str, call: Call) -> int:
    """The number below ``SPACE`` that decides about a call; ``select_fitting`` says it in SQL."""
    text = f"{seed}:{call.account_id}:{call.platform_call_id}"
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16)


def select_fitting(rule: ReviewRule) -> QuerySet[Call]:
    """The ended calls that fit a rule, with the number that decides as ``lot``."""
    calls = read_criteria(CALLS, rule.criteria).select(
        Call.objects.filter(stage=Call.Stage.ENDED, happened_at__gte=_begin_day(rule.since))
    )
    if robots := list(rule.robots.values_list("pk", flat=True)):
        calls = calls.filter(robot__in=robots)
    text = Concat(
        Value(f"{rule.seed}:"), Cast("account_id", TextField()), Value(":"), F("platform_call_id"),
        output_field=TextField(),
    )  # fmt: skip
    return calls.annotate(lot=_Hash(text)).only(
        "account_id", "platform_call_id", "robot_id", "intention"
    )


def _find_share(rule: ReviewRule, now: datetime) -> tuple[list[Call], bool]:
    """Of the next stretch of calls those whose number lies below the share; the first looks go
    before the later ones."""
    for place, age in enumerate(LOOKS):
        came = Call.objects.filter(created_at__lte=now - age).order_by("-pk")
        top = came.values_list("pk", flat=True).first() or 0
        mark = rule.looked_again.get(str(place), 0) if place else rule.looked_through
        after = mark or _find_before(_begin_day(rule.since), top)
        # numbers of calls have gaps
        first = Call.objects.filter(pk__gt=after, pk__lte=top).order_by("pk").only("pk").first()
        if first is None:
            continue
        last = min(top, first.pk - 1 + STEP)
        limit = int(SPACE * (rule.percent or 0) / 100)
        drawn = select_fitting(rule).filter(pk__gt=after, pk__lte=last, lot__lt=limit)
        if place:
            drawn = drawn.exclude(pk__in=rule.reviews.values("call"))
            rule.looked_again = rule.looked_again | {str(place): last}
        else:
            rule.looked_through = last
        return list(drawn.order_by("pk")), last < top or place + 1 < len(LOOKS)
    return [], False


def _find_before(day: datetime, top: int) -> int:
    """A call before those of a day and later, by halving: calls come here in the order of their
    numbers, and not before they were made."""
    heard_from = day - CLOCKS_DIFFER
    low, high = 0, top
    while high - low > STEP:
        middle = (low + high) // 2
        near = Call.objects.filter(pk__gt=middle).order_by("pk")
        heard_at = near.values_list("created_at", flat=True).first()
        if heard_at is not None and heard_at < heard_from:
            low = middle
        else:
            high = middle
    return low


def _find_of_day(rule: ReviewRule, now: datetime) -> tuple[list[Call], bool]:
    """Of the next day those with the lowest numbers."""
    day = rule.since if rule.drawn_through is None else rule.drawn_through + timedelta(days=1)
    ready = timezone.localdate(now - DAY_SETTLED)
    if day >= ready:
        return [], False
    begin, end = _begin_day(day), _begin_day(day + timedelta(days=1))
    of_day = select_fitting(rule).filter(happened_at__gte=begin, happened_at__lt=end)
    rule.drawn_through = day
    return list(of_day.order_by("lot", "pk")[: rule.per_day]), day + timedelta(days=1) < ready


def _begin_day(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
