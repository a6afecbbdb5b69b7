"""In: an experiment. Out: what came of each of its two groups, counted by person, and kept.

A person is a number: who is called three times is one. Counted are those who were there when the
groups were made; whoever was imported into one of the tasks later was not put there by chance.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from campaigns.definitions import SQL
from campaigns.intervals import Share
from campaigns.models import Experiment

#: numbers older than this are counted again while something may still come
STALE = timedelta(seconds=30)
#: after both tasks are over, calls may still become known for so long
NEWS = timedelta(days=3)
#: intentions that a page lists, the most frequent first
MOST_INTENTIONS = 20

_PEOPLE = """
    SELECT count(DISTINCT phone),
           count(DISTINCT phone) FILTER (
               WHERE status IN ('ready', 'planned', 'sending', 'unknown', 'accepted'))
    FROM campaigns_contact
    WHERE task_id = %(task)s AND created_at <= %(split_at)s
        AND status NOT IN ('excluded', 'withdrawn')
"""
_CALLED = f"""
    WITH told AS (
        SELECT contact.phone, {SQL["reached"]} AS reached, {SQL["talked"]} AS talked,
               {SQL["reached"]} AND c.talk_seconds IS NOT NULL AS timed,
               {SQL["open"]} AS open, {SQL["invalid"]} AS invalid,
               coalesce(right_one.intention, c.intention) AS intention, c.happened_at, c.id
        FROM campaigns_call c
        JOIN campaigns_contact contact ON contact.id = c.contact_id
        LEFT JOIN campaigns_correction right_one
            ON right_one.call_id = c.id AND right_one.withdrawn_at IS NULL
        WHERE c.task_id = %(task)s AND contact.task_id = %(task)s
            AND contact.created_at <= %(split_at)s AND {SQL["counted"]} AND {SQL["outbound"]}
    ), people AS (
        SELECT phone, count(*) AS calls, bool_or(reached) AS reached, bool_or(talked) AS talked,
               bool_or(timed) AS timed, bool_or(NOT open AND NOT invalid) AS settled,
               bool_and(invalid) AS invalid,
               (array_agg(intention ORDER BY happened_at DESC, id DESC)
                   FILTER (WHERE reached AND intention <> ''))[1] AS intention
        FROM told GROUP BY phone
    )
    SELECT coalesce(intention, ''), count(*), sum(calls), count(*) FILTER (WHERE settled),
           count(*) FILTER (WHERE reached), count(*) FILTER (WHERE timed),
           count(*) FILTER (WHERE talked), count(*) FILTER (WHERE invalid)
    FROM people GROUP BY 1
"""  # noqa: S608 - of constants


@dataclass(slots=True)
class Group:
    """What came of one group, in people. ``called``: with a call whose end is known, to a number
    that exists. ``waiting``: of whom more may come."""

    people: int = 0
    waiting: int = 0
    calls: int = 0
    called: int = 0
    reached: int = 0
    timed: int = 0
    talked: int = 0
    invalid: int = 0
    intentions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One rate of both groups: ``what`` of ``base``."""

    what: str
    intention: str
    base: str
    first: Share
    second: Share


def count_group(task_id: int, *, split_at: Any) -> Group:
    """Of one task, as of now."""
    group = Group()
    values = {"task": task_id, "split_at": split_at}
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, values)
        group.people, group.waiting = cursor.fetchone()
        cursor.execute(_CALLED, values)
        for intention, people, calls, called, reached, timed, talked, invalid in cursor.fetchall():
            group.calls += int(calls)
            group.called += called
            group.reached += reached
            group.timed += timed
            group.talked += talked
            group.invalid += invalid
            if intention:
                group.intentions[intention] = people
    return group


def count_experiment(experiment_id: int) -> None:
    """Count both groups and keep it."""
    experiment = Experiment.objects.filter(pk=experiment_id, status="split").first()
    if experiment is None or experiment.second_id is None:
        return
    now = timezone.now()
    counts = {
        name: asdict(count_group(task_id, split_at=experiment.split_at))
        for name, task_id in (("first", experiment.first_id), ("second", experiment.second_id))
    }
    Experiment.objects.filter(pk=experiment.pk).update(counts=counts, counted_at=now)


def list_due_counts() -> list[int]:
    """Ids of the experiments whose numbers are old, of those of which news may come."""
    now = timezone.now()
    old = Q(counted_at=None) | Q(counted_at__lt=now - STALE)
    going_on = ("loading", "loaded", "starting", "running", "paused")
    live = Q(first__status__in=going_on) | Q(second__status__in=going_on)
    news = Q(first__finished_at__gt=now - NEWS) | Q(second__finished_at__gt=now - NEWS)
    rows = Experiment.objects.filter(Q(counted_at=None) | live | news, old, status="split")
    return list(rows.order_by().values_list("pk", flat=True).distinct())


def read_groups(experiment: Experiment) -> tuple[Group, Group] | None:
    """What was counted last; None before the first time."""
    if not experiment.counts:
        return None
    return Group(**experiment.counts["first"]), Group(**experiment.counts["second"])


def list_lines(first: Group, second: Group) -> list[Line]:
    """Every rate that can be compared, those of the people called before those of the reached."""

    def make(what: str, base: str, hits: tuple[int, int], *, intention: str = "") -> Line:
        bases = (getattr(first, base), getattr(second, base))
        shares = [Share(min(hit, whole), whole) for hit, whole in zip(hits, bases, strict=True)]
        return Line(what, intention, "called" if base == "called" else "reached", *shares)

    together = {
        word: first.intentions.get(word, 0) + second.intentions.get(word, 0)
        for word in {*first.intentions, *second.intentions}
    }
    words = sorted(together, key=lambda word: (-together[word], word))[:MOST_INTENTIONS]
    words.sort()
    reached = (first.reached, second.reached)
    talked = (first.talked, second.talked)
    lines = [make("reached", "called", reached), make("talked", "called", talked)]
    for base in ("called", "reached"):
        if base == "reached":
            lines.append(make("talked", "timed", talked))
        lines += [
            make(
                "intention",
                base,
                (first.intentions.get(word, 0), second.intentions.get(word, 0)),
                intention=word,
            )
            for word in words
        ]
    return lines
