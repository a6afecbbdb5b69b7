"""In: pushes. Out: the campaign that they are about, and every row that they amount to.

``python -m tests.storm.rows SEED PUSHES FILE`` writes the rows of a run in which nothing happens:
each push once, in the order in which it was made, one process.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import django

from tests.storm import mistakes

#: what our own clock or counter says, or what depends on when a file was fetched
OURS = {
    *("id", "created_at", "updated_at", "account_id", "task_id", "contact_id", "robot_id"),
    *("call_id", "received_at", "processed_at", "platform_checked_at"),
}


def make_campaign(calls: int) -> str:
    """A running task with a contact for each call; the text of the account's token."""
    from campaigns.models import CallbackToken, Contact
    from tests.factories import make_account, make_contact, make_robot, make_task
    from tests.storm.pushes import ROBOT, TASK, make_phone

    # Not active: there is no platform here that could be asked for anything.
    account = make_account(name="Storm", is_active=False)
    robot = make_robot(account=account, platform_id=ROBOT)
    task = make_task(account=account, robot=robot, platform_task_id=TASK, status="running")
    pattern = make_contact(task=task, phone=make_phone(0), platform_contact_id="c0")
    Contact.objects.filter(pk=pattern.pk).delete()
    values = {
        field.attname: getattr(pattern, field.attname)
        for field in Contact._meta.concrete_fields
        if not field.primary_key and not field.generated
    }
    values |= {"status": "accepted"}
    Contact.objects.bulk_create(
        [
            Contact(**values | {"phone": make_phone(number), "platform_contact_id": f"c{number}"})
            for number in range(calls)
        ],
        batch_size=2000,
    )
    return CallbackToken.make(account)[1]


def describe_rows() -> dict[str, list[Any]]:
    """Everything that the pushes amount to, without ids and clocks of ours."""
    from callbacks.models import Receipt
    from campaigns.models import Call, Contact, Recording, StatusChange, Turn

    calls = dict(Call.objects.values_list("pk", "platform_call_id"))
    receipts = {
        pk: (kind, bytes(sha256).hex())
        for pk, kind, sha256 in Receipt.objects.values_list("pk", "kind", "sha256").iterator()
    }
    changes = StatusChange.objects.filter(subject="receipt").order_by("id")
    seen = {
        "calls": [
            _drop_ours(row)
            | {"phone": row["contact__phone"], "task": row["task__platform_task_id"]}
            for row in Call.objects.values(
                *(field.attname for field in Call._meta.concrete_fields),
                *("contact__phone", "task__platform_task_id"),
            )
        ],
        "turns": [
            _drop_ours(row) | {"call": calls[row["call_id"]]} for row in Turn.objects.values()
        ],
        "recordings": [
            [calls[call_id], *rest]
            for call_id, *rest in Recording.objects.values_list(
                "call_id", "address", "announced_bytes", "announced_seconds"
            )
        ],
        "contacts": [
            list(row)
            for row in Contact.objects.values_list(
                *("phone", "status", "calls_made", "answered", "result", "intention"),
                *("last_call_at", "platform_contact_id"),
            )
        ],
        "receipts": [
            [row["kind"], receipts[row["pk"]][1], row["status"], row["reason"], row["problems"],
             row["platform_call_id"]]
            for row in Receipt.objects.values(
                "pk", "kind", "status", "reason", "problems", "platform_call_id"
            )
        ],
        "moves of receipts": [
            [*receipts[pk], old, new]
            for pk, old, new in changes.values_list("subject_id", "old", "new")
        ],
    }  # fmt: skip
    return {name: _sort(rows) for name, rows in seen.items()}


def _drop_ours(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in OURS}


def _sort(rows: list[Any]) -> list[Any]:
    return sorted((json.dumps(row, sort_keys=True, default=str) for row in rows), key=str)


def compare_rows(storm: dict[str, list[Any]], calm: dict[str, list[Any]]) -> list[str]:
    """What differs, in words; the first rows of each kind are shown."""
    wrong = []
    for name, rows in storm.items():
        more, fewer = Counter(rows), Counter(calm[name])
        more, fewer = more - fewer, fewer - more
        if more or fewer:
            wrong.append(
                f"{name}: {fewer.total()} rows are missing, {more.total()} are other or too many;"
                f" missing {' '.join(fewer)[:300]} instead {' '.join(more)[:300]}"
            )
    return wrong


def make_calm(seed: int, count: int) -> dict[str, list[Any]]:
    """The rows when nothing is killed."""
    from hashlib import sha256

    from callbacks import processing
    from callbacks.models import Receipt
    from campaigns.linking import link_pending
    from campaigns.models import Account
    from tests.storm.pushes import count_calls, make_pushes

    pushes = make_pushes(count, seed=seed)
    make_campaign(count_calls(pushes))
    account = Account.objects.get()
    Receipt.objects.bulk_create(
        [
            Receipt(
                account=account, kind=push.kind, body=push.body,
                sha256=sha256(push.body).digest(), content_type="application/json",
            )
            for push in pushes
        ],
        batch_size=2000,
        ignore_conflicts=True,
    )  # fmt: skip
    assert processing.process_inbox(seconds=3600)
    link_pending()
    return describe_rows()


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    mistakes.plant("", "")
    seed, count, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    out.write_text(json.dumps(make_calm(seed, count)))


if __name__ == "__main__":
    main()
