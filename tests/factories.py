"""In: what a test cares about, as keywords. Out: saved rows that are plausible in all the rest.

Plain functions, one per model. What is not given is made: `make_contact()` makes its task, the
task its robot, the robot its account. Phone numbers are 19900000001 and so on.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from campaigns.models import Account, Contact, Line, Robot, Task, Voice

_numbers = count(1)


def make_account(**fields: Any) -> Account:
    number = next(_numbers)
    values: dict[str, Any] = {
        "platform": "yeta",
        "name": f"Account {number}",
        "base_url": "http://127.0.0.1:9/openapi",
        "credentials": {"app_key": "test-key", "app_secret": "test-secret"},
    }
    return Account.objects.create(**values | fields)


def make_robot(**fields: Any) -> Robot:
    number = next(_numbers)
    values: dict[str, Any] = {
        "account": fields.get("account") or make_account(),
        "platform_id": f"robot-{number}",
        "name": f"Robot {number}",
        "columns": ["客户手机号码", "姓名"],
        "state": Robot.State.PUBLISHED,
        "kind": Robot.Kind.ORDINARY,
    }
    return Robot.objects.create(**values | fields)


def make_line(**fields: Any) -> Line:
    number = next(_numbers)
    values: dict[str, Any] = {
        "account": fields.get("account") or make_account(),
        "number": f"0551{number:08d}",
        "concurrency": 10,
        "hours": [["09:00:00", "21:00:00"]],
        "state": Line.State.IDLE,
    }
    return Line.objects.create(**values | fields)


def make_voice(**fields: Any) -> Voice:
    number = next(_numbers)
    values: dict[str, Any] = {
        "account": fields.get("account") or make_account(),
        "code": f"6{number:04d}",
        "name": f"Voice {number}",
    }
    return Voice.objects.create(**values | fields)


def make_task(*, lines: list[Line] | None = None, **fields: Any) -> Task:
    """A draft with one line; account and robot fit together if only one of them is given."""
    number = next(_numbers)
    robot = fields.pop("robot", None)
    account = fields.pop("account", None) or (robot.account if robot else make_account())
    values: dict[str, Any] = {
        "account": account,
        "robot": robot or make_robot(account=account),
        "name": f"Task {number}",
        "platform_name": f"Task {number} #{number}",
    }
    task = Task.objects.create(**values | fields)
    task.lines.set([make_line(account=account)] if lines is None else lines)
    return task


def make_contact(**fields: Any) -> Contact:
    number = next(_numbers)
    task = fields.pop("task", None) or make_task()
    phone = str(fields.pop("phone", f"199{number:08d}"))
    values: dict[str, Any] = {
        "task": task,
        "account": task.account,
        "family_id": task.family_id or task.id,
        "round": task.round,
        "phone": phone,
        "phone_raw": phone,
        "values": dict.fromkeys(task.robot.columns[1:], "")
        | dict.fromkeys(task.robot.columns[:1], phone),
    }
    return Contact.objects.create(**values | fields)
