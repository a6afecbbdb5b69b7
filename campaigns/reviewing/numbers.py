"""In: judged calls. Out: how far reviewers agree, and how often a robot's intention is right."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from campaigns import intervals
from campaigns.agreement import Agreement, compare
from campaigns.correcting import find_corrections
from campaigns.intervals import Interval
from campaigns.models import Judgement, Review, Robot, RobotVersion

#: newest judged calls that are looked at
MOST = 20_000


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of one version of a robot: how many intentions were judged, and how many were right.

    ``version`` is None for calls of before the first synchronisation, and without a robot.
    ``left_out``: reviewers could not tell, or do not agree.
    """

    robot: Robot | None
    version: int | None
    judged: int
    right: int
    left_out: int
    approved: int
    rejected: int

    @property
    def rate(self) -> float | None:
        return intervals.Share(self.right, self.judged).rate

    @property
    def interval(self) -> Interval | None:
        return intervals.bound_rate(self.right, self.judged)


@dataclass(frozen=True, slots=True)
class Figures:
    """``verdicts`` and ``intentions`` over all pairs; ``by_pair`` {(a user, another one): …}."""

    reviews: int
    verdicts: Agreement
    intentions: Agreement
    by_pair: dict[tuple[int, int], Agreement]
    accuracies: list[Accuracy]
    words: Counter[str] = field(default_factory=Counter)


def read_figures(*, rule_id: int | None = None, since: datetime | None = None) -> Figures:
    """Of the judged calls of a rule, or of all, the newest ``MOST`` of them."""
    rows = Review.objects.filter(missing=0).order_by("-completed_at")
    if rule_id is not None:
        rows = rows.filter(rule=rule_id)
    if since is not None:
        rows = rows.filter(completed_at__gte=since)
    calls = ("call__happened_at", "call__platform_call_id")
    reviews = list(
        rows.select_related("call", "robot")
        .only(*calls, "robot__name", "robot__platform_id", "intention", "wanted")
        .prefetch_related("judgements")[:MOST]
    )
    pairs = [_sort_pair(review) for review in reviews if review.wanted > 1]
    both = [pair for pair in pairs if pair is not None]
    by_pair: dict[tuple[int, int], list[tuple[str, str]]] = defaultdict(list)
    for one, other in both:
        if one.reviewer_id is not None and other.reviewer_id is not None:
            by_pair[one.reviewer_id, other.reviewer_id].append((one.verdict, other.verdict))
    told = [
        (one.intention, other.intention)
        for one, other in both
        if one.intention is not None and other.intention is not None
    ]
    return Figures(
        reviews=len(reviews),
        verdicts=compare([(one.verdict, other.verdict) for one, other in both], mixed=True),
        intentions=compare(told, mixed=True),
        by_pair={users: compare(said) for users, said in sorted(by_pair.items())},
        accuracies=_measure(reviews),
        words=Counter(one.verdict for review in reviews for one in review.judgements.all()),
    )


def _sort_pair(review: Review) -> tuple[Judgement, Judgement] | None:
    """The two judgements, always in the same order of the same two people."""
    said = sorted(review.judgements.all(), key=lambda one: (one.reviewer_id or 0, one.place))
    return (said[0], said[1]) if len(said) == 2 else None


def settle_intention(review: Review, *, corrected: str | None = None) -> str | None:
    """The right intention by all reviewers; where they do not agree, ``corrected``, which somebody
    decided afterwards. None: not settled."""
    said = [one.intention for one in review.judgements.all() if one.intention is not None]
    if said and len(set(said)) == 1:
        return said[0]
    return corrected if said else None


def _measure(reviews: Sequence[Review]) -> list[Accuracy]:
    versions = _read_versions({one.robot_id for one in reviews if one.robot_id})
    corrections = find_corrections(one.call_id for one in reviews)
    counted: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    robots: dict[int, Robot | None] = {}
    seen: set[int] = set()
    for review in reviews:
        if review.call_id in seen:  # drawn by two rules: the newer judgement counts
            continue
        seen.add(review.call_id)
        pk = review.robot_id or 0
        robots[pk] = review.robot
        counts = counted[pk, versions.find(pk, review.call.happened_at) or 0]
        held = corrections.get(review.call_id)
        by_hand = held.intention if held is not None and not held.from_review else None
        right = settle_intention(review, corrected=by_hand)
        if right is None:
            counts["left_out"] += 1
        else:
            counts["judged"] += 1
            counts["right"] += right == review.intention
        counts.update({one.verdict for one in review.judgements.all()})
    return [
        Accuracy(
            robot=robots[pk],
            version=number or None,
            **{name: counts[name] for name in _COUNTS},
        )
        for (pk, number), counts in sorted(counted.items(), reverse=True)
    ]


_COUNTS = ("judged", "right", "left_out", "approved", "rejected")


class _Versions:
    """Which version of a robot was in use when, as far as it was seen."""

    def __init__(self, rows: Iterable[tuple[int, int, datetime]]) -> None:
        self.begun: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
        for robot, number, begins_at in rows:
            self.begun[robot].append((begins_at, number))
        for begun in self.begun.values():
            begun.sort()

    def find(self, robot: int, moment: datetime) -> int | None:
        begun = self.begun.get(robot, [])
        place = bisect_right(begun, moment, key=lambda one: one[0])
        return begun[place - 1][1] if place else None


def _read_versions(robots: set[Any]) -> _Versions:
    rows = RobotVersion.objects.filter(robot__in=robots)
    return _Versions(rows.values_list("robot_id", "number", "begins_at"))
