"""In: a draft with contacts. Out: how many are left out already, and how many planning would leave
out now, each with the reason that it would write. Nothing is written here."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count
from django.utils import timezone

from campaigns.barring import BARRED, BARRED_SQL, CAPPED, make_called_sql
from campaigns.batching import ALREADY_CALLED, ALREADY_UNDER_WAY
from campaigns.models import Call, Contact, Robot, Task

__all__ = ["Group", "Measured", "count_left_out", "count_planned", "measure_robot"]

#: calls of an account that are looked at for how its robot's calls go, and how many make a measure
NEWEST_CALLS, ENOUGH_CALLS = 5_000, 50
#: what is older says little about today
NEWS = timedelta(days=90)

# Sets held against one another: the planner's own statements look each number up by itself, which
# takes seconds for some hundred thousand. Contacts of one family are those of its tasks.
_JUDGED = """
    WITH ready AS MATERIALIZED (
        SELECT id, phone, calls_made FROM campaigns_contact
        WHERE task_id = %(task)s AND stage = 'ready'
    ), doubled AS (
        SELECT phone, min(id) AS first FROM ready WHERE calls_made = 0
        GROUP BY phone HAVING count(*) > 1
    ), taken AS (
        SELECT DISTINCT phone FROM campaigns_contact
        WHERE task_id IN (
            SELECT id FROM campaigns_task
            WHERE (id = %(family)s OR family_id = %(family)s) AND account_id = %(account)s
        ) AND stage IN {unsettled}
    )
    SELECT CASE
        WHEN ready.calls_made > 0 THEN 'called'
        WHEN taken.phone IS NOT NULL OR doubled.first <> ready.id THEN 'taken'
        WHEN barred.phone IS NOT NULL THEN 'barred'
        {over_cap}
        ELSE '' END AS verdict, count(*)
    FROM ready
    LEFT JOIN doubled USING (phone)
    LEFT JOIN taken USING (phone)
    LEFT JOIN ({barred}) barred USING (phone)
    {called}
    GROUP BY 1
"""
_CALLS = "LEFT JOIN ({called}) called USING (phone)"
_OVER_CAP = "WHEN coalesce(called.calls, 0) + %(adding)s > %(allowed)s THEN 'capped'"


@dataclass(frozen=True, slots=True)
class Group:
    """Contacts left out for one reason. ``values`` are those of the sentence where they are the
    same for all of them, else empty ones."""

    reason: str
    count: int
    values: dict[str, Any] = field(default_factory=dict)


def count_left_out(task: Task) -> list[Group]:
    """Contacts that are excluded already, by the sentence; the largest group first."""
    rows = (
        Contact.objects.filter(task=task, status=Contact.Status.EXCLUDED)
        .order_by()
        .values_list("reason", "reason_values")
        .annotate(n=Count("*"))
    )
    counts: dict[str, int] = defaultdict(int)
    values: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for reason, said, number in rows:
        counts[reason] += number
        values[reason].append(said or {})
    groups = [Group(reason, counts[reason], merge_values(values[reason])) for reason in counts]
    return sorted(groups, key=lambda group: (-group.count, group.reason))


def merge_values(several: list[dict[str, Any]]) -> dict[str, Any]:
    """What of the values is the same everywhere; the rest is left open."""
    first = several[0]
    return {
        name: value if all(one.get(name) == value for one in several) else "…"
        for name, value in first.items()
    }


def count_planned(task: Task) -> tuple[int, int, list[Group]]:
    """How many contacts are ready, how many of them would get into a batch now, and why the others
    would not: the same questions in the same order as the planner puts them, to all at once."""
    account = task.account
    capped = account.cap_calls is not None
    query = _JUDGED.format(
        barred=BARRED_SQL,
        called=_CALLS.format(called=make_called_sql(among="SELECT phone FROM ready"))
        if capped
        else "",
        over_cap=_OVER_CAP if capped else "",
        unsettled=Contact.UNSETTLED_STAGES_SQL,
    )
    with transaction.atomic(), connection.cursor() as cursor:
        # Compiling it takes longer than carrying it out.
        cursor.execute(
            "SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true)"
        )
        cursor.execute(
            query,
            {
                "task": task.pk,
                "account": account.pk,
                "family": task.family_id or task.pk,
                "cap_days": account.cap_days,
                "allowed": account.cap_calls,
                "adding": 1 + task.recall_count,
            },
        )
        counts = dict(cursor.fetchall())
    groups = [
        Group(ALREADY_CALLED, counts.get("called", 0)),
        Group(ALREADY_UNDER_WAY, counts.get("taken", 0)),
        Group(BARRED, counts.get("barred", 0), {"since": "…"}),
        Group(
            CAPPED,
            counts.get("capped", 0),
            {"calls": "…", "days": account.cap_days, "allowed": account.cap_calls},
        ),
    ]
    return sum(counts.values()), counts.get("", 0), [group for group in groups if group.count]


@dataclass(frozen=True, slots=True)
class Measured:
    """How a robot's newest calls went. ``seconds`` is how long one keeps its line."""

    calls: int
    seconds: float | None
    answered: float | None


def measure_robot(robot: Robot) -> Measured:
    """From its calls among the newest of the account; a bounded look, whatever there is."""
    newest = Call.objects.filter(
        account=robot.account_id, happened_at__gt=timezone.now() - NEWS
    ).order_by("-happened_at")[:NEWEST_CALLS]
    rows = list(
        newest.values_list(
            "robot_id", "has_record", "answered", "dialed_at", "ended_at", "ring_seconds",
            "talk_seconds", "direction",
        )
    )  # fmt: skip
    lengths: list[float] = []
    picked_up = told = 0
    for robot_id, has_record, answered, dialed_at, ended_at, ring, talk, direction in rows:
        if robot_id != robot.pk or not has_record or direction == Call.Direction.INBOUND:
            continue
        if answered is not None:
            told += 1
            picked_up += answered
        if dialed_at and ended_at and ended_at >= dialed_at:
            lengths.append((ended_at - dialed_at).total_seconds())
        elif ring is not None or talk is not None:
            lengths.append(float((ring or 0) + (talk or 0)))
    return Measured(
        calls=len(lengths),
        seconds=sum(lengths) / len(lengths) if len(lengths) >= ENOUGH_CALLS else None,
        answered=picked_up / told if told >= ENOUGH_CALLS else None,
    )
