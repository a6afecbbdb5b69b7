"""In: a task that a sender knows, and a change. Out: the change is seen at the next look."""

from __future__ import annotations

from typing import Any

import pytest

from campaigns import fresh, gates
from campaigns.models import Account, AccountToken, Installation, Robot, Task
from campaigns.prepared import open_cursor
from tests.factories import make_task

pytestmark = pytest.mark.django_db


def read(task: Task, known: Task | None = None) -> Task:
    found = fresh.read_task(task.pk, known)
    assert found is not None
    return found


def test_a_task_is_the_same_object_while_nothing_changed() -> None:
    task = make_task()
    known = read(task)
    assert read(task, known) is known
    assert read(make_task(), known) is not known


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (Task, {"request": "pause"}),
        (Task, {"status": "paused"}),
        (Account, {"is_active": False}),
        (Account, {"call_days": [1]}),
        (Account, {"stopped_reason": "No balance."}),
        (Account, {"credentials": {"app_key": "another"}}),
        (Robot, {"columns": ["客户手机号码", "城市"]}),
    ],
)
def test_what_somebody_changed_is_seen(model: Any, change: dict[str, Any]) -> None:
    task = make_task()
    known = read(task)
    row = {Task: task, Account: task.account, Robot: task.robot}[model]
    model.objects.filter(pk=row.pk).update(**change)
    now = read(task, known)
    assert now is not known
    seen = {Task: now, Account: now.account, Robot: now.robot}[model]
    assert {name: getattr(seen, name) for name in change} == change


def test_what_every_sender_moves_is_read_each_time() -> None:
    task = make_task()
    known = read(task)
    Account.objects.filter(pk=task.account_id).update(slowed_to=2.5)
    again = read(task, known)
    assert again is known and again.account.slowed_to == 2.5


def test_a_new_token_is_seen() -> None:
    task = make_task()
    known = read(task)
    assert known.account.known_token is None
    AccountToken.objects.create(account=task.account, value={"token": "one"})
    now = read(task, known)
    assert now.account.known_token.value == {"token": "one"}
    AccountToken.objects.update(value={"token": "two"})
    assert read(task, now).account.known_token.value == {"token": "two"}


def test_a_held_database_is_seen_with_the_task_that_is_known() -> None:
    task = make_task()
    known = read(task)
    assert gates.find_hold(known, "insert") is None
    Installation.objects.update_or_create(pk=1, defaults={"held_at": task.created_at})
    for _ in range(2):  # read with the task, and for itself
        hold = gates.find_hold(read(task, known), "insert")
        assert hold is not None and hold.rule == "restore"
        hold = gates.find_hold(known, "insert")
        assert hold is not None and hold.rule == "restore"


def test_a_task_that_is_gone_is_none() -> None:
    task = make_task()
    known = read(task)
    task.lines.clear()
    task.delete()
    assert fresh.read_task(known.pk, known) is None


def test_a_statement_is_planned_once() -> None:
    with open_cursor() as cursor:
        for number in range(3):
            cursor.execute("SELECT 'planned once' AS asked, %s::integer", [number])
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements"
            " WHERE statement LIKE 'SELECT ''planned once''%%'"
        )
        assert cursor.fetchone() == (1,)
