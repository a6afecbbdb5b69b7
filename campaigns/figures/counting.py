"""In: tasks. Out: their people and calls counted, of one moment, as JSON keeps it.

One statement, so that every number is of the same rows; who is at which step is said by
``campaigns.funnels``, what counts as what by ``campaigns.definitions``. It reads each call and each
turn of the tasks: for a job, or for tasks with few of them.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from campaigns.definitions import SQL, TALKED_SECONDS
from campaigns.funnels import CALL_STEPS, NODE_SQL, OWN_CALLS_SQL, PEOPLE_STEPS

#: words of a platform, and nodes of a script, that are told apart; the rarest others are left out
MOST_WORDS, MOST_NODES = 100, 400
#: Offsets of zones are multiples of a quarter of an hour.
QUARTER = 900

_BASE = f"({SQL['outbound']} AND NOT {SQL['invalid']} AND NOT {SQL['open']})"
_TIMED = f"({SQL['reached']} AND c.talk_seconds IS NOT NULL)"
_FLAGS = ", ".join(f"{step.sql} AS s{at}" for at, step in enumerate(PEOPLE_STEPS))
_ANY = ", ".join(f"bool_or(s{at}) AS s{at}" for at in range(len(PEOPLE_STEPS)))
_REACHED = f"s{[step.slug for step in PEOPLE_STEPS].index('reached')}"
_PEOPLE = ", ".join(f"count(*) FILTER (WHERE s{at})" for at in range(len(PEOPLE_STEPS)))
_CALLS = ", ".join(f"count(*) FILTER (WHERE {step.sql})" for step in CALL_STEPS)

# A task has one robot; a call was made with the version of it that had begun last.
_COUNT = f"""
WITH version AS (
    SELECT robot_id, number, begins_at AS since,
        lead(begins_at, 1, 'infinity') OVER (PARTITION BY robot_id ORDER BY number) AS until
    FROM campaigns_robotversion
), c AS MATERIALIZED (
    SELECT c.id, c.task_id, c.contact_id, task.robot_id, version.number AS version, c.direction,
        c.result, c.answered, c.has_record, c.turns_count, c.talk_seconds, c.intention,
        c.hangup_by, floor(extract(epoch FROM c.happened_at) / {QUARTER})::bigint AS quarter
    FROM campaigns_call c JOIN campaigns_task task ON task.id = c.task_id
    LEFT JOIN version ON version.robot_id = task.robot_id
        AND c.happened_at >= version.since AND c.happened_at < version.until
    WHERE c.task_id = ANY(%(tasks)s) AND {SQL["counted"]}
), p AS MATERIALIZED ({OWN_CALLS_SQL}), k AS MATERIALIZED (
    SELECT k.id, k.round, k.phone, k.status, k.intention, {_FLAGS}
    FROM campaigns_contact k LEFT JOIN p ON p.contact_id = k.id
    WHERE k.task_id = ANY(%(tasks)s)
), person AS (
    SELECT %(round)s AS round, {_ANY},
        (array_agg(intention ORDER BY k.round DESC, k.id DESC)
            FILTER (WHERE intention <> ''))[1] AS intention
    FROM k GROUP BY GROUPING SETS (%(sets)s)
), said AS (
    SELECT t.call_id, {NODE_SQL} AS node, min(t.position) AS first, max(t.position) AS last
    FROM c JOIN campaigns_turn t ON t.call_id = c.id
    WHERE c.turns_count > 0 AND {SQL["reached"]} AND {NODE_SQL} <> ''
    GROUP BY t.call_id, node
), ranked AS (
    SELECT call_id, node, first,
        last = max(last) OVER (PARTITION BY call_id) AS is_last FROM said
)
SELECT 'states', status, NULL, NULL, ARRAY[count(*)] FROM k GROUP BY status
UNION ALL
SELECT 'rows', coalesce(round::text, ''), NULL, NULL, ARRAY[{_PEOPLE}]
    FROM k GROUP BY GROUPING SETS ((), (round))
UNION ALL
SELECT 'people', coalesce(round::text, ''), NULL, NULL, ARRAY[{_PEOPLE}]
    FROM person GROUP BY round
UNION ALL
SELECT 'wishes', coalesce(round::text, ''), intention, NULL, ARRAY[count(*)]
    FROM person WHERE intention IS NOT NULL AND {_REACHED} GROUP BY round, intention
UNION ALL
SELECT 'steps', coalesce(task_id::text, ''), NULL, NULL, ARRAY[{_CALLS}]
    FROM c GROUP BY GROUPING SETS ((), (task_id))
UNION ALL
SELECT 'ends', result, answered::text, direction, ARRAY[count(*), count(talk_seconds),
        count(*) FILTER (WHERE talk_seconds >= {TALKED_SECONDS}), coalesce(sum(talk_seconds), 0)]
    FROM c GROUP BY result, answered, direction
UNION ALL
SELECT 'intentions', coalesce(task_id::text, ''), intention, NULL, ARRAY[count(*)]
    FROM c WHERE {SQL["reached"]} AND intention <> ''
    GROUP BY GROUPING SETS ((intention), (task_id, intention))
UNION ALL
SELECT 'quarters', quarter::text, NULL, NULL, ARRAY[count(*), count(*) FILTER (WHERE {_BASE}),
        count(*) FILTER (WHERE {SQL["reached"]} AND {SQL["outbound"]})]
    FROM c GROUP BY quarter
UNION ALL
SELECT 'versions', robot_id::text, version::text, NULL, ARRAY[count(*),
        count(*) FILTER (WHERE {_BASE}),
        count(*) FILTER (WHERE {SQL["reached"]} AND {SQL["outbound"]}),
        count(*) FILTER (WHERE {SQL["reached"]}), count(*) FILTER (WHERE {_TIMED}),
        count(*) FILTER (WHERE {SQL["talked"]}),
        coalesce(sum(talk_seconds) FILTER (WHERE {SQL["reached"]}), 0)]
    FROM c GROUP BY robot_id, version
UNION ALL
SELECT 'mix', robot_id::text, version::text, intention, ARRAY[count(*)]
    FROM c WHERE {SQL["reached"]} AND intention <> ''
    GROUP BY robot_id, version, intention
UNION ALL
SELECT 'nodes', c.robot_id::text, c.version::text, ranked.node, ARRAY[count(*),
        count(*) FILTER (WHERE is_last),
        count(*) FILTER (WHERE is_last AND c.hangup_by = 'contact'), sum(ranked.first)]
    FROM ranked JOIN c ON c.id = ranked.call_id GROUP BY c.robot_id, c.version, ranked.node
UNION ALL
SELECT 'dialogs', '', NULL, NULL, ARRAY[count(*) FILTER (WHERE turns_count > 0)] FROM c
UNION ALL
SELECT 'recordings', '', NULL, NULL, ARRAY[count(*)]
    FROM campaigns_recording r JOIN c ON c.id = r.call_id
"""  # noqa: S608


def count_figures(tasks: list[int], *, zone: ZoneInfo, by_round: bool) -> dict[str, Any]:
    """Everything that a page shows of these tasks together. ``by_round``: of each round as well,
    and then who is in several of them is one person."""
    sets, told = ("(phone), (round, phone)", "round") if by_round else ("(phone)", "NULL::int")
    statement = _COUNT.replace("%(sets)s", sets).replace("%(round)s", told)
    with transaction.atomic(), connection.cursor() as cursor:
        # hundreds of thousands of people are told apart in memory
        cursor.execute("SELECT set_config('work_mem', '64MB', true)")
        cursor.execute(statement, {"tasks": tasks})
        found: dict[str, list[Any]] = {}
        for name, one, two, three, numbers in cursor.fetchall():
            found.setdefault(name, []).append([one, two, three, *map(int, numbers)])
    return {
        "states": {row[0]: row[3] for row in found.get("states", [])},
        "rows": _by_first(found.get("rows", [])),
        "people": _by_first(found.get("people", [])),
        "wishes": _mix(found.get("wishes", [])),
        "steps": _by_first(found.get("steps", [])),
        "ends": [_end(row) for row in found.get("ends", [])],
        "intentions": _mix(found.get("intentions", [])),
        "slots": _slots(found.get("quarters", []), zone),
        "versions": [[*_version(row), *row[3:]] for row in found.get("versions", [])],
        "mix": [[*_version(row), row[2], row[3]] for row in found.get("mix", [])],
        "nodes": _nodes(found.get("nodes", [])),
        "dialogs": found["dialogs"][0][3],
        "recordings": found["recordings"][0][3],
    }


def _by_first(rows: list[Any]) -> dict[str, list[int]]:
    return {row[0]: row[3:] for row in rows}


def _mix(rows: list[Any]) -> dict[str, dict[str, int]]:
    """{whose: {word: how many}}, the most frequent first."""
    found: dict[str, dict[str, int]] = {}
    for whose, word, _none, number in sorted(rows, key=lambda row: (-row[3], row[1])):
        words = found.setdefault(whose, {})
        if len(words) < MOST_WORDS:
            words[word] = number
    return found


def _end(row: list[Any]) -> list[Any]:
    """[result, answered, inbound, calls, timed, talked, seconds]"""
    answered: bool | None = None if row[1] is None else row[1] == "true"
    return [row[0], answered, row[2] == "inbound", *row[3:]]


def _version(row: list[Any]) -> list[int | None]:
    """The robot, and the version; None before we saw any."""
    return [None if value is None else int(value) for value in row[:2]]


def _slots(rows: list[Any], zone: ZoneInfo) -> list[list[int]]:
    """[day of the week, hour, calls, what a rate divides by, people reached], by the clock."""
    numbers: dict[tuple[int, int], Counter[int]] = {}
    for quarter, _two, _three, *counts in rows:
        local = datetime.fromtimestamp(int(quarter) * QUARTER, UTC).astimezone(zone)
        slot = numbers.setdefault((local.isoweekday(), local.hour), Counter())
        slot.update(dict(enumerate(counts)))
    return [[*slot, *(counts[at] for at in range(3))] for slot, counts in sorted(numbers.items())]


def _nodes(rows: list[Any]) -> list[list[Any]]:
    """[robot, version, node, calls that came there, that ended there, that were hung up there, sum
    of the places at which they came there], the most visited."""
    rows.sort(key=lambda row: (-row[3], row[2]))
    return [[*_version(row), row[2], *row[3:]] for row in rows[:MOST_NODES]]
