"""In: how many contacts and calls. Out: a database that is full of them, in minutes.

    make fill CONTACTS=1000000 CALLS=10000000        (DATA_DIR=… for a database of its own)

Pretend accounts, robots and tasks, 30 % of the contacts in one large task that runs; calls
of the last 90 days in the order of time with the results that such campaigns have, calls that came
in, dialogs and recordings of some. The same arguments give the same rows. Indexes, foreign keys and
triggers of the large tables are taken away first and made again at the end, each with the words the
database has for it. Refused where an account is there that calls real people.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import re
import struct
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

DAYS = 90
#: seconds of a day in which there are calls, from nine o'clock on
WORKED = 36_000
#: rows of one statement: what is told of the progress between two of them
CHUNK = 1_000_000
#: so much of the contacts is in the one large task, and half of the calls of so many days
LARGE, LARGE_DAYS = 0.3, 10
#: of one other task
SIZE = 10_000
#: tasks that call at the same time
SLOTS = 4
#: one of so many calls that a person picked up has a dialog, and a recording
SPOKEN = 10
NODES = ("开场白", "核实身份", "介绍活动", "询问意向", "解答疑问", "结束语")
BUSY_TABLES = ("campaigns_contact", "campaigns_call", "campaigns_turn", "campaigns_recording")


@dataclass(frozen=True, slots=True)
class Part:
    """A task and the numbers of its contacts: first, and how many."""

    pk: int
    account: int
    robot: int
    first: int
    size: int


# ------------------------------------------------------------------------------- the large tables


@contextmanager
def stripped(tables: tuple[str, ...]) -> Iterator[None]:
    """The tables without indexes, foreign keys and triggers of ours; all are made again."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
            " FROM pg_constraint WHERE conrelid::regclass::text = ANY(%s)"
            " AND contype IN ('f', 'u') ORDER BY contype DESC, conname",
            [list(tables)],
        )
        constraints = cursor.fetchall()
        cursor.execute(
            "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
            " WHERE i.indrelid::regclass::text = ANY(%s) AND NOT i.indisprimary AND NOT EXISTS"
            " (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid"
            "  AND c.conrelid = i.indrelid) ORDER BY 1",
            [list(tables)],
        )
        indexes = cursor.fetchall()
        for table, name, _words in constraints:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        for name, _words in indexes:
            cursor.execute(f"DROP INDEX {name}")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET maintenance_work_mem = '512MB'")
            for name, words in indexes:
                with told(f"index {name}"):
                    cursor.execute(words)
            for table, name, words in constraints:
                with told(f"constraint {name}"):
                    cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {words}')
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@contextmanager
def told(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{what:<44} {time.monotonic() - began:7.1f} s", flush=True)


def insert(model: Any, columns: dict[str, str], rows: str, parameters: dict[str, Any]) -> int:
    """One INSERT … SELECT; columns that are not named have the default of their field."""
    from django.db import connection
    from django.db.models import AutoField, BigAutoField, JSONField

    values = dict(columns)
    given = dict(parameters)
    for one in model._meta.concrete_fields:
        if one.column in values or isinstance(one, AutoField | BigAutoField):
            continue
        default = one.get_default()
        if one.has_db_default() or getattr(one, "generated", False):
            continue
        if getattr(one, "auto_now", False) or getattr(one, "auto_now_add", False):
            values[one.column] = "now()"
            continue
        if default is None:
            continue
        given[f"default_{one.column}"] = (
            one.get_db_prep_save(default, connection) if not isinstance(one, JSONField) else None
        )
        values[one.column] = f"%(default_{one.column})s"
        if isinstance(one, JSONField):
            values[one.column] = "'[]'::jsonb" if default == [] else "'{}'::jsonb"
    names = ", ".join(f'"{name}"' for name in values)
    statement = (
        f"INSERT INTO {model._meta.db_table} ({names})"
        f" SELECT {', '.join(values.values())} FROM {rows}"
    )
    with connection.cursor() as cursor:
        # a sign of percent that begins no place is one of arithmetic
        cursor.execute(re.sub(r"%(?!\()", "%%", statement), given)
        return int(cursor.rowcount)


# -------------------------------------------------------------------------------------- the world


def make_parts(contacts: int) -> list[Part]:
    """Accounts, robots and tasks. The first part is the large task; the newest others run too."""
    from datetime import timedelta

    from django.utils import timezone

    from campaigns.models import Account, Robot, Task

    accounts = [
        Account.objects.get_or_create(
            name=f"Filled {slug}",
            defaults={"platform": slug, "base_url": base, "credentials": {}},
        )[0]
        for slug, base in (
            ("yeta", "http://127.0.0.1:9/openapi"),
            ("airudder", "http://127.0.0.1:9"),
        )
    ]
    Account.objects.filter(pk__in=[one.pk for one in accounts]).update(is_sandbox=True)
    robots = [
        Robot.objects.get_or_create(
            account=accounts[number % 2],
            platform_id=f"filled-{number}",
            defaults={
                "name": f"Filled robot {number}",
                "columns": ["客户手机号码", "姓名"],
                "state": Robot.State.PUBLISHED,
                "kind": Robot.Kind.ORDINARY,
            },
        )[0]
        for number in range(8)
    ]
    large = round(contacts * LARGE)
    others = max(SLOTS, math.ceil((contacts - large) / SIZE))
    sizes = [large] + [
        (contacts - large) * (number + 1) // others - (contacts - large) * number // others
        for number in range(others)
    ]
    now = timezone.now()
    parts, first = [], 0
    for number, size in enumerate(sizes):
        robot = robots[number % len(robots)]
        # of the others the newest SLOTS are running
        ago = LARGE_DAYS if number == 0 else DAYS * (1 - (number - 1) // SLOTS * SLOTS / others)
        runs = number == 0 or number > others - SLOTS
        task = Task(
            account=robot.account,
            robot=robot,
            name=f"Filled task {number}",
            platform_name=f"Filled task {number} #{number}",
            platform_task_id=f"filled-{number}",
            launched_at=now - timedelta(days=ago),
            finished_at=None if runs else now - timedelta(days=max(0.0, ago - 5)),
        )
        task.status = Task.Status.RUNNING if runs else Task.Status.FINISHED
        task.save()
        parts.append(Part(task.pk, robot.account_id, robot.pk, first, size))
        first += size
    return parts


_DRAW = "(hashint8extended({}, {}) & 1048575) % 1000"
#: of a contact that was called
_STATES = """
CASE WHEN d < 40 THEN 'excluded' WHEN d < 50 THEN 'rejected'
    WHEN NOT %(runs)s THEN 'finished'
    WHEN d < 650 THEN 'finished' WHEN d < 900 THEN 'accepted' WHEN d < 950 THEN 'planned'
    ELSE 'ready' END
"""


def fill_contacts(parts: list[Part]) -> None:
    from campaigns.models import Contact

    newest = {parts[0].pk, *(part.pk for part in parts[-SLOTS:])}
    for part in parts:
        with told(f"contacts of task {part.pk}") if part.size > 50_000 else _quiet():
            insert(
                Contact,
                {
                    "task_id": "%(task)s",
                    "account_id": "%(account)s",
                    "family_id": "%(task)s",
                    "round": "1",
                    "line_number": "n + 2",
                    "phone": "phone",
                    "phone_raw": "phone",
                    "values": "jsonb_build_object('客户手机号码', phone, '姓名', '张先生' || n)",
                    "status": "status",
                    "platform_contact_id": "'filled-' || n",
                    "calls_made": "CASE WHEN status IN ('finished', 'accepted') THEN 1 + d % 3"
                    " ELSE 0 END",
                    "answered": "status = 'finished' AND d % 5 < 2",
                    "result": "CASE WHEN status <> 'finished' THEN '' WHEN d % 5 < 2"
                    " THEN 'answered' ELSE 'no_answer' END",
                    "intention": "CASE WHEN status = 'finished' AND d % 5 < 2"
                    " THEN substr('ABCDE', (1 + d % 5)::int, 1) ELSE '' END",
                    "last_call_at": "CASE WHEN status IN ('finished', 'accepted')"
                    " THEN now() - n % 90 * interval '1 day' END",
                },
                f"""(
                    SELECT n, '199' || lpad(n::text, 8, '0') AS phone, d, {_STATES} AS status
                    FROM (
                        SELECT n, {_DRAW.format("n", 1)} AS d
                        FROM generate_series(%(first)s, %(first)s + %(size)s - 1) AS n
                    ) AS numbers
                ) AS people""",
                {
                    "task": part.pk,
                    "account": part.account,
                    "first": part.first,
                    "size": part.size,
                    "runs": part.pk in newest,
                },
            )


@contextmanager
def _quiet() -> Iterator[None]:
    yield


# a: of the result, b: of the seconds, c: of the intention, e: of who is called
_CALLS = f"""(
    SELECT *,
        -- each day has ten hours of calls, in the order of the numbers; today has those so far
        %(begin)s::timestamptz + floor(share * %(worked)s / {WORKED}) * interval '1 day'
            + mod((share * %(worked)s)::numeric, {WORKED}) * interval '1 second' AS at,
        CASE WHEN a < 380 THEN 'answered' WHEN a < 620 THEN 'no_answer' WHEN a < 690 THEN 'busy'
            WHEN a < 750 THEN 'rejected' WHEN a < 830 THEN 'powered_off'
            WHEN a < 890 THEN 'unreachable' WHEN a < 930 THEN 'invalid_number'
            WHEN a < 950 THEN 'suspended' WHEN a < 980 THEN 'voicemail' WHEN a < 990 THEN 'unknown'
            ELSE 'cancelled' END AS word,
        CASE WHEN a < 380 OR a BETWEEN 950 AND 979 THEN true WHEN a BETWEEN 980 AND 989 THEN NULL
            ELSE false END AS up,
        CASE WHEN a < 380 OR a BETWEEN 950 AND 979 THEN 3 + (b * b / 5000)::int END AS seconds,
        CASE WHEN a >= 380 THEN '' WHEN c < 60 THEN 'A' WHEN c < 180 THEN 'B' WHEN c < 430 THEN 'C'
            WHEN c < 750 THEN 'D' WHEN c < 900 THEN 'E' ELSE '' END AS wish,
        a < 380 AND e % {SPOKEN} = 0 AS spoken,
        -- one in ten came in; of the newest every second is of the large task
        CASE WHEN e % 10 = 3 THEN 0
            WHEN share > %(large)s AND e % 2 = 0 THEN 1
            ELSE 2 + (least(floor(share * (%(others)s / {SLOTS}.0)), ceil(%(others)s / {SLOTS}.0)
                - 1) * {SLOTS} + e / 2 % {SLOTS})::int % %(others)s
            END AS part
    FROM (
        SELECT n, (n - 1)::float8 / %(calls)s AS share, {_DRAW.format("n", 2)} AS a,
            {_DRAW.format("n", 3)} AS b, {_DRAW.format("n", 4)} AS c,
            hashint8extended(n, 5) & 1073741823 AS e
        FROM generate_series(%(low)s, %(high)s) AS n
    ) AS numbers
) AS drawn
CROSS JOIN LATERAL (
    SELECT (%(tasks)s::bigint[])[part] AS task, (%(firsts)s::bigint[])[part] AS first,
        coalesce((%(accounts)s::bigint[])[part], (%(accounts)s::bigint[])[1]) AS account,
        (%(robots)s::bigint[])[part] AS robot, (%(sizes)s::bigint[])[part] AS size
) AS its
CROSS JOIN LATERAL (SELECT its.first + (e / 16) % its.size AS person) AS whom
CROSS JOIN LATERAL (
    SELECT '199' || lpad(coalesce(person, 90000000 + e % 1000000)::text, 8, '0') AS phone
) AS number"""
_CALL_COLUMNS = {
    "account_id": "account",
    "platform_call_id": "'filled-' || n",
    "task_id": "task",
    "contact_id": "person + %(offset)s",
    "robot_id": "robot",
    "platform_task_id": "coalesce('filled-' || part, '')",
    "direction": "CASE WHEN part = 0 THEN 'inbound' ELSE 'outbound' END",
    "caller": "CASE WHEN part = 0 THEN phone ELSE '0551691014' || lpad((e % 50)::text, 2, '0') END",
    "callee": "CASE WHEN part = 0 THEN '055169101400' ELSE phone END",
    "dialed_at": "at - interval '20 seconds'",
    "answered_at": "CASE WHEN up THEN at - seconds * interval '1 second' END",
    "ended_at": "at",
    "answered": "up",
    "ring_seconds": "5 + b % 20",
    "talk_seconds": "seconds",
    "result": "word",
    "platform_result": "(a / 60)::text",
    "hangup_by": "CASE WHEN up THEN 'contact' ELSE 'platform' END",
    "intention": "wish",
    "attempt": "1 + e % 3",
    "stage": "'ended'",
    "has_record": "true",
    "turns_count": f"CASE WHEN spoken THEN 1 + b % {len(NODES)} ELSE 0 END",
    "evidence": "jsonb_build_object('record', jsonb_build_array(jsonb_build_array(0,"
    " 'receiveCallRecord', true)), 'result', jsonb_build_array(jsonb_build_array(0,"
    " 'receiveCallRecord', word)))",
    "happened_at": "at",
    "created_at": "at",
    "updated_at": "at",
}


def fill_calls(parts: list[Part], calls: int) -> None:
    """In the order of time. ``contact_id`` follows from the person's number: the contacts of a
    filling have ids one after the other."""
    from datetime import timedelta

    from django.utils import timezone

    from campaigns.models import Call, Contact

    nine = timezone.localtime().replace(hour=9, minute=0, second=0, microsecond=0)
    today = min(max((timezone.now() - nine).total_seconds(), 0), WORKED)
    first = Contact.objects.filter(task=parts[0].pk).order_by("pk").values_list("pk").first()
    common = {
        "begin": nine - timedelta(days=DAYS - 1),
        "worked": (DAYS - 1) * WORKED + today,
        "large": 1 - LARGE_DAYS / DAYS,
        "calls": calls,
        "others": len(parts) - 1,
        "tasks": [part.pk for part in parts],
        "firsts": [part.first for part in parts],
        "accounts": [part.account for part in parts],
        "robots": [part.robot for part in parts],
        "sizes": [part.size for part in parts],
        "offset": first[0] if first else 0,
    }
    for low in range(1, calls + 1, CHUNK):
        high = min(calls, low + CHUNK - 1)
        with told(f"calls {low} to {high}"):
            insert(Call, _CALL_COLUMNS, _CALLS, common | {"low": low, "high": high})


def fill_dialogs(highest: int) -> None:
    """Turns and recordings of the calls that have a dialog."""
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage

    from campaigns.models import Recording, Turn

    with told("turns"):
        insert(
            Turn,
            {
                "call_id": "c.id",
                "position": "p",
                "role": "CASE WHEN p % 2 = 0 THEN 'robot' ELSE 'contact' END",
                "text": "CASE WHEN p % 2 = 0 THEN '您好，请问您方便了解一下我们的活动吗？'"
                " ELSE '好的，您说。' END",
                "node_id": "'node-' || p",
                "node_name": "(%(nodes)s::text[])[p + 1]",
                "started_at": "c.answered_at + p * interval '4 seconds'",
                "spoke_at": "c.answered_at + p * interval '4 seconds'",
            },
            "campaigns_call c CROSS JOIN LATERAL generate_series(0, c.turns_count - 1) AS p"
            " WHERE c.id > %(highest)s AND c.turns_count > 0",
            {"nodes": list(NODES), "highest": highest},
        )
    sound = "recordings/filled/tone.wav"
    if not default_storage.exists(sound):
        default_storage.save(sound, ContentFile(make_tone()))
    with told("recordings"):
        insert(
            Recording,
            {
                "call_id": "c.id",
                "address": "'/filled/' || c.id || '.wav'",
                "announced_seconds": "c.talk_seconds",
                "status": "CASE WHEN c.id % 200 = 0 THEN 'unavailable' ELSE 'stored' END",
                "file": "CASE WHEN c.id % 200 = 0 THEN '' ELSE %(sound)s END",
                "bytes": "%(bytes)s",
                "content_type": "'audio/wav'",
                "tries": "1",
            },
            "campaigns_call c WHERE c.id > %(highest)s AND c.turns_count > 0",
            {"sound": sound, "bytes": default_storage.size(sound), "highest": highest},
        )


def make_tone(seconds: int = 20, rate: int = 8000) -> bytes:
    """A tone that comes and goes, as a sound file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(
            b"".join(
                struct.pack(
                    "<h",
                    int(9000 * math.sin(n * 0.35) * abs(math.sin(n / rate * 1.7))),
                )
                for n in range(seconds * rate)
            )
        )
    return file.getvalue()


# -------------------------------------------------------------------------------------------- main


def fill(contacts: int, calls: int) -> None:
    """Fill the database that is connected to; its tables are there."""
    from django.db import connection
    from django.db.models import Max

    from campaigns import counting
    from campaigns.models import Call

    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        cursor.execute("SET work_mem = '256MB'")
    highest = Call.objects.aggregate(pk=Max("pk"))["pk"] or 0
    parts = make_parts(contacts)
    with stripped(BUSY_TABLES):
        with told("contacts"):
            fill_contacts(parts)
        fill_calls(parts, calls)
        fill_dialogs(highest)
    for table in BUSY_TABLES:
        with told(f"vacuum {table}"), connection.cursor() as cursor:
            cursor.execute(f"VACUUM (ANALYZE) {table}")
    with told("counted by hour and by day"):
        counting.count_all()
        counting.count_tasks()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contacts", type=int)
    parser.add_argument("calls", type=int)
    options = parser.parse_args()
    if options.contacts < 100 or options.calls < 1:
        parser.error("at least 100 contacts and one call")

    import django

    django.setup()
    from django.core.management import call_command

    from campaigns.models import Account

    call_command("migrate", verbosity=0)
    real = Account.objects.filter(is_sandbox=False).first()
    if real is not None:
        print(f"Refused: the account {real.name!r} is of a real platform.", file=sys.stderr)
        return 1
    if Account.objects.filter(name__startswith="Filled ").exists():
        print("Refused: this database was filled before.", file=sys.stderr)
        return 1
    began = time.monotonic()
    fill(options.contacts, options.calls)
    took = time.monotonic() - began
    print(f"{options.contacts:,} contacts and {options.calls:,} calls in {took:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
