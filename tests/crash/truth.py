"""In: the database, and what the pretended platform really did. Out: what contradicts the promises.

Nothing here asks the program's own counters: rows and the ledger are read as they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from django.db import connection

from tests.crash.campaign import Operator, Part
from tests.crash.world import World

STATES = frozenset(
    {
        *("ready", "excluded", "planned", "sending", "unknown", "accepted", "rejected"),
        *("finished", "withdrawn"),
    }
)
#: who is in one of these was called, or may be
CALLED = ("finished", "accepted", "unknown")
#: rows that contradict each other at whatever moment one looks
CONTRADICTIONS = {
    "a contact on its way whose batch is not": """
        SELECT count(*) FROM campaigns_contact contact
        LEFT JOIN campaigns_batch batch ON batch.id = contact.batch_id
        WHERE contact.status IN ('planned', 'sending', 'unknown')
            AND (batch.status IS DISTINCT FROM contact.status)
            AND NOT (contact.status = 'unknown' AND batch.status = 'accepted')""",
    "an accepted contact of a batch that was not": """
        SELECT count(*) FROM campaigns_contact contact
        LEFT JOIN campaigns_batch batch ON batch.id = contact.batch_id
        WHERE contact.status = 'accepted'
            AND coalesce(batch.status, '') NOT IN ('accepted', 'unknown')""",
    "a batch with two requests under way": """
        SELECT count(*) FROM (
            SELECT 1 FROM campaigns_attempt WHERE batch_id IS NOT NULL
                AND status IN ('sending', 'unknown', 'needs_human')
            GROUP BY batch_id HAVING count(*) > 1) doubled""",
    "a batch under way without a request": """
        SELECT count(*) FROM campaigns_batch batch WHERE batch.status = 'sending' AND NOT EXISTS (
            SELECT 1 FROM campaigns_attempt attempt WHERE attempt.batch_id = batch.id
                AND attempt.status = 'sending')""",
    "a contact who was called, as a call that came back says, is in doubt": """
        SELECT count(*) FROM campaigns_contact contact
        WHERE contact.status = 'unknown' AND EXISTS (SELECT FROM campaigns_call call
            WHERE call.contact_id = contact.id AND call.has_record
                AND call.direction = 'outbound')""",
    "a number under way twice": """
        SELECT count(*) FROM (
            SELECT 1 FROM campaigns_contact contact
            WHERE status IN ('planned', 'sending', 'unknown', 'accepted')
            GROUP BY account_id, phone, family_id, round HAVING count(*) > 1) doubled""",
}


def sample(parts: list[Part]) -> list[str]:
    """What is wrong at this moment. One statement each, so each sees one moment."""
    wrong = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_id, status, count(*) FROM campaigns_contact GROUP BY 1, 2")
        states: dict[int, Counter[str]] = defaultdict(Counter)
        for task, status, count in cursor.fetchall():
            states[task][status] += count
        for part in parts:
            counted = states[part.task]
            if strange := set(counted) - STATES:
                wrong.append(f"task {part.task} has contacts in {strange}")
            if counted.total() != len(part.numbers):
                wrong.append(
                    f"balance: task {part.task} was given {len(part.numbers)}, has {dict(counted)}"
                )
        cursor.execute("SELECT status, count(*) FROM callbacks_receipt GROUP BY 1")
        known = {"received", "processed", "ignored", "quarantined"}
        wrong += [f"receipts in {status}" for status, _ in cursor.fetchall() if status not in known]
        for sentence, query in CONTRADICTIONS.items():
            cursor.execute(query)
            if count := cursor.fetchone()[0]:
                wrong.append(f"{sentence}: {count}")
    return wrong


def read_calls(world: World) -> dict[str, list[dict[str, Any]]]:
    """{number: the calls that really were made to it}"""
    told = world.look("calls?limit=1000000")
    assert told["gone"] == 0, "The ledger forgot calls."
    calls: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in told["items"]:
        number = str(call.get("callee") or call.get("number"))
        calls[number[-11:]].append(call)
    return calls


def judge(world: World, parts: list[Part], operator: Operator) -> list[str]:
    """What is wrong at the end."""
    wrong = sample(parts)
    calls = read_calls(world)
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_id, phone, status, reason, batch_id FROM campaigns_contact")
        contacts = {(task, phone): rest for task, phone, *rest in cursor.fetchall()}
    for part in parts:
        first = 1 if part.kind == "filled" else 0  # how each platform counts the first call
        for number in part.numbers:
            made = calls.get(number, [])
            begun = sum(call.get("attempt") == first for call in made)
            status, reason, _ = contacts[part.task, number]
            if begun > 1 or len(made) > part.rings:
                wrong.append(
                    f"{number} of task {part.task} ({part.kind}) rang {len(made)} times, handed"
                    f" over {begun} times, at most {part.rings} rings allowed; it is {status}"
                )
            if made and status not in CALLED:
                wrong.append(f"{number} of task {part.task} was called and is {status}: {reason}")
            if status == "finished" and not made:
                wrong.append(f"{number} of task {part.task} is finished and was never called")
    strangers = set(calls) - {number for part in parts for number in part.numbers}
    wrong += [f"{number} was called and is nobody's contact" for number in sorted(strangers)]
    wrong += judge_barred(parts, operator, calls)
    wrong += judge_requests(world)
    wrong += judge_deleted(operator)
    wrong += judge_numbers()
    return wrong


def judge_numbers() -> list[str]:
    """Everybody has the calls of their own number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT contact.phone, call.callee FROM campaigns_call call"
            " JOIN campaigns_contact contact ON contact.id = call.contact_id"
            " WHERE call.callee <> '' AND right(call.callee, 11) <> contact.phone"
        )
        return [f"{phone} was told a call to {callee}" for phone, callee in cursor.fetchall()]


def judge_deleted(operator: Operator) -> list[str]:
    """A task that nobody stopped for good is not over: its people would never be called."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, reason FROM campaigns_task WHERE status = 'deleted'")
        return [
            f"task {task} is deleted, and nobody asked for it: {reason}"
            for task, reason in cursor.fetchall()
            if task not in operator.deleted
        ]


def judge_barred(parts: list[Part], operator: Operator, calls: dict[str, Any]) -> list[str]:
    """Nobody rang because of a request that was claimed after they had said no."""
    carrying = {"campaign": "start", "filled": "insert", "direct": "callout"}
    wrong = []
    with connection.cursor() as cursor:
        for part in parts:
            for number in sorted(set(part.numbers) & set(operator.barred) & set(calls)):
                cursor.execute(
                    "SELECT count(*) FROM campaigns_attempt attempt WHERE attempt.task_id = %s"
                    " AND attempt.command = %s AND attempt.started_at <= %s"
                    " AND attempt.status NOT IN ('not_sent', 'refused', 'confirmed_absent')",
                    [part.task, carrying[part.kind], operator.barred[number]],
                )
                if not cursor.fetchone()[0]:
                    wrong.append(f"{number} of task {part.task} said no, and was called after it")
    return wrong


#: what each endpoint that adds calls is to us
COMMANDS = {
    "task/create": "create",
    "task/insert": "insert",
    "task/start": "start",
    "task/callout": "callout",
    "airudder/createinstance": "create",
    "airudder/uploaddetails": "insert",
}
#: a request that was refused for its token, and did nothing, may be sent with another one
TOKEN = ("token_dies",)


def judge_requests(world: World) -> list[str]:
    """At most one request reached the platform for each attempt of ours (R9)."""
    received: Counter[str] = Counter()
    told = world.look("requests?limit=1000000")
    assert told["gone"] == 0, "The ledger forgot requests."
    for request in told["items"]:
        command = COMMANDS.get(request["endpoint"])
        refused = request["fault"] in TOKEN or str(request["code"]) in ("10001", "401")
        if command and not refused:
            received[command] += 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT command, count(*) FROM campaigns_attempt GROUP BY 1")
        intended = dict(cursor.fetchall())
    return [
        f"{command}: {count} requests arrived for {intended.get(command, 0)} attempts"
        for command, count in received.items()
        if count > intended.get(command, 0)
    ]


def has_left(parts: list[Part]) -> bool:
    """Whether nothing waits to be handed over any more, in doubt or not."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM campaigns_task WHERE id = ANY(%s)"
            " AND status IN ('loading', 'loaded', 'starting', 'paused') AND NOT EXISTS ("
            "  SELECT 1 FROM campaigns_attempt attempt WHERE attempt.task_id = campaigns_task.id"
            "   AND attempt.status = 'needs_human')",
            [[part.task for part in parts]],
        )
        return not cursor.fetchone()[0]


def list_unsettled(parts: list[Part]) -> list[str]:
    """What neither came to an end nor waits for a person with a reason."""
    waiting = []
    with connection.cursor() as cursor:
        # All tasks at once: a run of 10,000 contacts has 200 of them.
        cursor.execute(
            "SELECT id, status, request, reason, needs_attention FROM campaigns_task"
            " WHERE id = ANY(%s)",
            [[part.task for part in parts]],
        )
        tasks = {task: rest for task, *rest in cursor.fetchall()}
        contacts_of: dict[int, Counter[str]] = defaultdict(Counter)
        cursor.execute("SELECT task_id, status, count(*) FROM campaigns_contact GROUP BY 1, 2")
        for task, status, count in cursor.fetchall():
            contacts_of[task][status] = count
        cursor.execute(
            "SELECT task_id, count(*) FILTER (WHERE status = 'needs_human'),"
            " count(*) FILTER (WHERE status IN ('sending', 'unknown'))"
            " FROM campaigns_attempt GROUP BY 1"
        )
        attempts = {task: rest for task, *rest in cursor.fetchall()}
        for part in parts:
            status, request, reason, attention = tasks[part.task]
            contacts = dict(contacts_of[part.task])
            left_to_person, under_way = attempts.get(part.task, (0, 0))
            told = f"task {part.task} ({part.kind}) is {status} {request}: {reason} {contacts}"
            if request or under_way:
                waiting.append(told)
            elif status in ("finished", "deleted"):
                open_contacts = set(contacts) - {"finished", "excluded", "rejected", "withdrawn"}
                if open_contacts:
                    waiting.append(told)
            elif status in ("failed", "paused"):
                if not reason or not attention:
                    waiting.append(told)
            elif not (left_to_person and attention and not set(contacts) & {"accepted", "planned"}):
                waiting.append(told)
        cursor.execute("SELECT count(*) FROM callbacks_receipt WHERE status = 'received'")
        if count := cursor.fetchone()[0]:
            waiting.append(f"{count} pushes wait")
    return waiting
