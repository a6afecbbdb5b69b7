"""In: a number of receipts that wait. Out: how fast they are applied, beside one update_or_create
per push, with one process and two, and with small tables and large ones.

    .venv/bin/python -m tests.benchmarks.bench_apply 20000 [rows of the large tables] [quick]

Each call brings what yeta pushes: a basic record, an outbound record, a recording and a dialog of
eight turns, each about a contact of a task. Pushes of one call come near one another and mixed with
those of others. Exit code 1 when a goal is missed, or something was applied twice or never.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tests.benchmarks.bench_dispatch import list_servers, read_cpu
from tests.benchmarks.world import copy_world, open_server
from tests.processes import ROOT

#: events a second of one process at least, × the baseline at least, × the cost at small tables
GOAL, FASTER, GROWS = 3_000, 10, 1.3
#: pushes of one call come within so many calls of others
NEAR = 100
BEGAN = 1_760_000_000_000
TURNS = 8
SMALL, LARGE = 10_000, 300_000
TASK = "88785"


# -------------------------------------------------------------------------------------- the pushes


def make_pushes(number: int) -> list[tuple[str, bytes]]:
    """What the platform pushes about one call, as its text has it."""
    call, began = f"bench-{number:08d}", BEGAN + number * 250
    keys = {
        "business_id": "2745",
        "app_id": "test",
        "robot_id": "2745001",
        "call_uuid": call,
        "task_data_id": str(1_000_000 + number),
    }
    basic = keys | {
        "task_id": TASK,
        "caller": "055196866001",
        "callee": f"199{number:08d}",
        "direction": 2,
        "time_dial": began,
        "time_ring": began + 720,
        "time_answer": began + 6_700,
        "time_hangup": began + 28_100,
        "duration_ring": 6,
        "duration_call": 21,
    }
    outbound = basic | {
        "task_result": "0",
        "task_result_desc": "成功",
        "task_tries": 0,
        "task_row_index": number,
        "task_row_head": ["客户手机号码", "姓名"],
        "task_row_value": [f"199{number:08d}", f"张先生{number}"],
    }
    voice = keys | {"url": f"ant/4/ivr/{call}.wav", "size": 1_043_244, "duration": 21}
    turns = [make_turn(seq, began + 7_000 + seq * 2_500) for seq in range(TURNS)]
    dialog = keys | {"tag_max": "A", "tag_min": "C", "dialog": turns}
    return [
        (kind, json.dumps(body, ensure_ascii=False).encode())
        for kind, body in (
            ("receiveCallRecord", basic),
            ("receiveCallRecord", outbound),
            ("receiveVoice", voice),
            ("receiveDialog", dialog),
        )
    ]


def make_turn(seq: int, at: int) -> dict[str, Any]:
    turn: dict[str, Any] = {
        "seq": str(seq),
        "role": "customer" if seq % 2 else "robot",
        "node_id": f"node-{seq // 2}",
        "node_name": f"第{seq // 2}步",
        "node_type": "1",
        "text_robot": "您好, 这里是客户服务中心, 请问您最近方便接受一次简短的回访吗?",
        "time_start": at,
        "time_speaking": at + 300,
    }
    if seq % 2:
        turn |= {
            "text_man": "可以的, 你说吧。",
            "hits": [{"hit": "肯定", "pick": True, "answer_id": "a1"}],
        }
    return turn


def mix_pushes(calls: int) -> Iterator[tuple[str, bytes]]:
    """All pushes of so many calls, mixed with their neighbours', the same at each run."""
    chance = random.Random(6)
    due = [
        (number + chance.random() * NEAR, push)
        for number in range(calls)
        for push in make_pushes(number)
    ]
    due.sort(key=lambda one: one[0])
    return (push for _, push in due)


# --------------------------------------------------------------------------------------- the world


def fill_nothing() -> None:
    """The template is the bare schema with its first rows."""


def fill_inbox(pushes: int) -> int:
    """Contacts of a task that were handed over, and their pushes, waiting; the account's id."""
    from django.db import connection

    from tests.factories import make_account, make_robot, make_task

    account = make_account()
    robot = make_robot(account=account, platform_id="2745001")
    task = make_task(robot=robot, account=account, status="running", platform_task_id=TASK)
    calls = pushes // 4
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_contact (task_id, account_id, family_id, round, phone,"
            " phone_raw, values, status, reason, platform_contact_id, calls_made, answered, result,"
            " intention, created_at)"
            " SELECT %s, %s, %s, 1, phone, phone, '{}', 'accepted', '', (1000000 + n)::text, 0,"
            " false, '', '', now()"
            " FROM (SELECT n, '199' || lpad(n::text, 8, '0') AS phone"
            " FROM generate_series(0, %s) AS n) AS made",
            [task.pk, account.pk, task.pk, calls - 1],
        )
        with cursor.copy(
            "COPY callbacks_receipt (account_id, kind, source, body, sha256, content_type,"
            " content_encoding, received_at, deliveries, status, reason, detail, tries,"
            " platform_call_id, problems) FROM STDIN"
        ) as copy:
            copy.set_types(
                [
                    *("int8", "text", "text", "bytea", "bytea", "text", "text", "timestamptz"),
                    *("int4", "text", "text", "text", "int2", "text", "jsonb"),
                ]
            )
            now = datetime.now(UTC)
            for kind, body in mix_pushes(calls):
                copy.write_row(
                    [
                        *(account.pk, kind, "live", body, hashlib.sha256(body).digest()),
                        *("application/json", "", now, 1, "received", "", "", 0, "", "{}"),
                    ]
                )
    return int(account.pk)


def fill_past(rows: int) -> None:
    """Calls and receipts of long ago, of another account."""
    from django.db import connection

    from tests.benchmarks.fill import stripped
    from tests.factories import make_account

    account = make_account()
    tables = ("campaigns_call", "callbacks_receipt", "campaigns_statuschange")
    with stripped(tables), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_call (account_id, platform_call_id, platform_task_id,"
            " platform_contact_id, platform_robot_id, relation_id, direction, caller, callee,"
            " dialed_at, answered, talk_seconds, result, platform_result, platform_result_text,"
            " hangup_by, intention, intention_min, agent_number, agent_name, queue_name, stage,"
            " details, has_record, turns_count, evidence, conflicts, problems, happened_at,"
            " created_at, updated_at)"
            " SELECT %s, md5(n::text), '1', '', '2745001', '', 'outbound', '055196866001',"
            " '198' || lpad((n %% 100000000)::text, 8, '0'), at, true, 21, 'answered', '0', '',"
            " 'unknown', 'A', '', '', '', '', 'ended', '{}', true, 0, '{}', '{}', '{}', at, at, at"
            " FROM (SELECT n, now() - interval '30 days' - n * interval '1 second' AS at"
            " FROM generate_series(1, %s) AS n) AS made",
            [account.pk, rows],
        )
        cursor.execute(
            "INSERT INTO callbacks_receipt (account_id, kind, source, body, sha256, content_type,"
            " content_encoding, received_at, deliveries, status, reason, detail, tries,"
            " processed_at, platform_call_id, problems)"
            " SELECT %s, 'receiveCallRecord', 'live', decode(md5(n::text), 'hex'),"
            " sha256(decode(md5(n::text), 'hex')), 'application/json', '',"
            " now() - interval '30 days', 1, 'processed', '', '', 1, now() - interval '30 days',"
            " md5(n::text), '{}' FROM generate_series(1, %s) AS n",
            [account.pk, rows],
        )
        cursor.execute(
            "INSERT INTO campaigns_statuschange (subject, subject_id, old, new, reason, values, at)"
            " SELECT 'receipt', id, 'received', 'processed', '', '{}', now() - interval '30 days'"
            " FROM callbacks_receipt WHERE account_id = %s",
            [account.pk],
        )


def tune_tables() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


# --------------------------------------------------------------------------------------- the sides


def work_ours() -> None:
    """What the job of the worker does, until the inbox is empty."""
    from callbacks import processing

    while not processing.process_inbox():
        pass


def work_naively() -> None:
    """What one would write first: a push, its row, the next one. It links nothing and merges
    nothing: the last push wins."""
    from callbacks.models import Receipt
    from campaigns.evidence import project, read_event
    from campaigns.models import Call, Recording, Turn
    from campaigns.platforms.contract import Push, Reading
    from campaigns.platforms.events import DialogReady, RecordingReady

    for pk in list(Receipt.objects.filter(status="received").order_by("id").values_list("id")):
        receipt = Receipt.objects.select_related("account").get(pk=pk[0])
        account = receipt.account
        reading = Reading(account.zone)
        (event,) = account.vendor.parse(Push(receipt.kind, bytes(receipt.body)), reading)
        evidence, _ = read_event(event)
        columns = {
            name: value
            for name, value in project(evidence).columns.items()
            if value not in (None, "", {}, 0)
        }
        call, _ = Call.objects.update_or_create(
            account=account,
            platform_call_id=event.platform_call_id,
            defaults=columns,
            create_defaults=columns | {"happened_at": receipt.received_at},
        )
        if isinstance(event, DialogReady):
            call.turns.all().delete()
            Turn.objects.bulk_create(
                Turn(
                    call=call,
                    position=turn.position,
                    role=turn.role,
                    text=turn.text,
                    node_id=turn.node_id,
                    node_name=turn.node_name,
                    node_type=turn.node_type,
                    started_at=turn.started_at,
                    spoke_at=turn.spoke_at,
                    hits=list(turn.hits),
                )
                for turn in event.turns
            )
        elif isinstance(event, RecordingReady):
            Recording.objects.update_or_create(
                call=call,
                address=event.address,
                defaults={"announced_bytes": event.size, "announced_seconds": event.seconds},
            )
        receipt.status = "processed"
        receipt.save()


def time_side(
    side: str,
    pushes: int,
    environment: dict[str, str],
    *,
    workers: int = 1,
    past: int = 0,
) -> dict[str, float]:
    """Seconds and CPU of the processes that work the inbox off."""
    from django.db import connection

    with copy_world(environment) as mine:
        if past:
            fill_past(past)
        account = fill_inbox(pushes)
        tune_tables()
        connection.close()
        command = [sys.executable, "-m", "tests.benchmarks.bench_apply", side]
        with contextlib.ExitStack() as stack:
            children = [
                stack.enter_context(
                    subprocess.Popen(
                        command, cwd=ROOT, env=mine, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                    )
                )
                for _ in range(workers)
            ]
            for child in children:
                assert child.stdout is not None
                assert child.stdout.readline() == b"ready\n"
            servers = read_servers()
            python = sum(read_cpu(child.pid) for child in children)
            began = time.perf_counter()
            for child in children:
                assert child.stdin is not None
                child.stdin.write(b"go\n")
                child.stdin.flush()
            for child in children:
                assert child.stdout is not None
                assert child.stdout.readline() == b"done\n", "A worker died."
            seconds = time.perf_counter() - began
            python = sum(read_cpu(child.pid) for child in children) - python
            servers = read_servers() - servers
            for child in children:
                assert child.stdin is not None
                child.stdin.close()
        if side == "ours":
            check_rows(account, pushes)
    return {
        "seconds": seconds,
        "speed": pushes / seconds,
        "python": 1000 * python / pushes,
        "database": 1000 * servers / pushes,
    }


def read_servers() -> float:
    return sum(map(read_cpu, list_servers()))


def check_rows(account: int, pushes: int) -> None:
    """Every push was applied once, and every sum is right."""
    from django.db.models import Count, Sum

    from callbacks.models import Receipt
    from campaigns.models import Call, Contact, Recording, StatusChange, Turn

    calls = pushes // 4
    receipts = Receipt.objects.filter(account=account)
    found = {
        "receipts": receipts.filter(status="processed", tries=1).count(),
        "history": StatusChange.objects.filter(
            subject="receipt", subject_id__in=receipts.values("id")
        ).count(),
        "calls": Call.objects.filter(
            account=account, result="answered", intention="A", turns_count=TURNS
        )
        .exclude(contact=None)
        .count(),
        "turns": Turn.objects.count(),
        "recordings": Recording.objects.count(),
        **Contact.objects.filter(account=account, status="finished").aggregate(
            contacts=Count("id"), called=Sum("calls_made")
        ),
    }
    wanted = {
        "receipts": pushes,
        "history": pushes,
        "calls": calls,
        "turns": calls * TURNS,
        "recordings": calls,
        "contacts": calls,
        "called": calls,
    }
    assert found == wanted, f"{found}, not {wanted}"


def tell(name: str, side: dict[str, float]) -> None:
    print(
        f"  {name:<30} {side['speed']:>8.0f} events/s   CPU ms per event:"
        f" python {side['python']:.3f}  database {side['database']:.3f}",
        flush=True,
    )


def spend(side: dict[str, float]) -> float:
    """CPU of a push. Of a machine that is busy this is true when the seconds are not."""
    return side["python"] + side["database"]


def judge(name: str, found: float, goal: str, *, reached: bool) -> bool:
    print(f"{name:<44} {found:>8.2f}   goal: {goal}  {'' if reached else 'MISSED'}")
    return reached


def main(arguments: list[str]) -> int:
    if arguments[:1] in (["ours"], ["naive"]):
        from django.db import connection

        connection.ensure_connection()
        print("ready", flush=True)
        sys.stdin.readline()
        work_ours() if arguments[0] == "ours" else work_naively()
        print("done", flush=True)
        sys.stdin.readline()
        return 0
    quick = "quick" in arguments
    numbers = [int(one) for one in arguments if one.isdigit()]
    pushes = numbers[0] // 4 * 4 if numbers else 20_000
    large = numbers[1] if numbers[1:] else LARGE
    print(
        f"{pushes:,} pushes; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f},"
        f" {platform.machine()}, Python {platform.python_version()}"
    )
    with open_server(fill_nothing) as environment:
        naive = time_side("naive", max(pushes // 10 // 4 * 4, 400), environment)
        tell("one update_or_create per push", naive)
        ours = time_side("ours", pushes, environment)
        tell("ours, one process", ours)
        print(f"{'÷ one update_or_create per push, by CPU':<44} {spend(naive) / spend(ours):>8.2f}")
        if quick:
            return 0
        two = time_side("ours", pushes, environment, workers=2)
        tell("ours, two processes", two)
        few = time_side("ours", pushes // 2, environment, past=SMALL)
        tell(f"ours, beside {SMALL:,} rows", few)
        many = time_side("ours", pushes // 2, environment, past=large)
        tell(f"ours, beside {large:,} rows", many)
    verdicts = [
        judge("events/s, one process", ours["speed"], f"≥ {GOAL}", reached=ours["speed"] >= GOAL),
        judge(
            "÷ one update_or_create per push",
            ours["speed"] / naive["speed"],
            f"≥ {FASTER}",
            reached=ours["speed"] / naive["speed"] >= FASTER,
        ),
        judge(
            "two processes ÷ one",
            two["speed"] / ours["speed"],
            "> 1",
            reached=two["speed"] > ours["speed"],
        ),
        judge(
            f"CPU per push at {large:,} rows ÷ {SMALL:,}",
            spend(many) / spend(few),
            f"≤ {GROWS}",
            reached=spend(many) / spend(few) <= GROWS,
        ),
    ]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    sys.exit(main(sys.argv[1:]))
