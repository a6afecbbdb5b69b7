"""In: what a test cares about, as keywords. Out: saved rows that are plausible in all the rest.

Plain functions, one per model. What is not given is made: `make_contact()` makes its task, the
task its robot, the robot its account. Phone numbers are 19900000001 and so on.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from django.utils import timezone

from campaigns.models import (
    Account,
    Agent,
    AgentEvent,
    Contact,
    ContextDefault,
    InboundContext,
    Instance,
    Line,
    Robot,
    SemanticRule,
    Task,
    Verification,
    Voice,
)
from campaigns.platforms.registry import get_platform

_numbers = count(1)


def make_account(**fields: Any) -> Account:
    """Of yeta, unless ``platform`` says otherwise; one that only pushes has no address."""
    number = next(_numbers)
    called = get_platform(fields.get("platform", "yeta")).connect is not None
    secrets = {"app_key": "test-key", "app_secret": "test-secret"}
    values: dict[str, Any] = {
        "platform": "yeta",
        "name": f"Account {number}",
        "base_url": "http://127.0.0.1:9/openapi" if called else "",
        "credentials": secrets if called else {},
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


def make_instance(**fields: Any) -> Instance:
    number = next(_numbers)
    values: dict[str, Any] = {
        "task": fields.get("task") or make_task(),
        "number": number,
        "platform_name": f"Task #{number}",
        "platform_task_id": f"workflow-{number}",
    }
    return Instance.objects.create(**values | fields)


def make_agent(**fields: Any) -> Agent:
    number = next(_numbers)
    values: dict[str, Any] = {
        "account": fields.get("account") or make_account(platform="moor7"),
        "number": f"8{number:03d}",
        "name": f"Agent {number}",
        "state": Agent.State.IDLE,
        "platform_state": "0",
        "platform_state_text": "空闲",
        "since": timezone.now(),
        "logged_in": True,
        "logged_in_changed_at": timezone.now(),
    }
    return Agent.objects.create(**values | fields)


def make_agent_event(**fields: Any) -> AgentEvent:
    number = next(_numbers)
    values: dict[str, Any] = {
        "agent": fields.get("agent") or make_agent(),
        "at": timezone.now(),
        "source": "agentStatus",
        "state": Agent.State.IDLE,
        "digest": f"{number:064d}",
    }
    return AgentEvent.objects.create(**values | fields)


def make_verification(**fields: Any) -> Verification:
    """Of a push about ``call``, not asked about yet."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "digest": f"{number:064d}",
        "query": {"workflow_id": "w-1", "node_id": "n-1", "callee": "19900000001"},
        "claim": {"workflow_id": "w-1", "call": {"call_id": "c-1"}},
    }
    return Verification.objects.create(**values | fields)


def walk(rows: Any, *states: str) -> None:
    """Take the rows of a query through these states: the database lets nobody jump."""
    ids = list(rows.values_list("pk", flat=True))
    for state in states:
        rows.model.objects.filter(pk__in=ids).update(status=state)


def make_context(**fields: Any) -> InboundContext:
    number = next(_numbers)
    values: dict[str, Any] = {
        "account": fields.get("account") or make_account(),
        "relation_id": f"relation-{number}",
        "values": {"姓名": "张三"},
    }
    return InboundContext.objects.create(**values | fields)


def make_context_default(**fields: Any) -> ContextDefault:
    values: dict[str, Any] = {
        "account": fields.get("account") or make_account(),
        "values": {"姓名": "客户"},
    }
    return ContextDefault.objects.create(**values | fields)


def make_semantic_rule(**fields: Any) -> SemanticRule:
    """Takes a number from the last answer, as an integer."""
    values: dict[str, Any] = {
        "account": fields.get("account") or make_account(),
        "code": "SELF1",
        "kind": "number",
        "key": "value",
    }
    return SemanticRule.objects.create(**values | fields)
