"""In: a task that was read before. Out: the same while nothing changed, else as it is now.

A sender looks at its task twice per batch. Reading and building the task, its account, robot, voice
and token takes longer than all the rest, so the database is asked for their versions instead: what
a row's version says is what the row says.
"""

from __future__ import annotations

from typing import Any

from campaigns.models import AccountToken, Task
from campaigns.prepared import run

#: what every sender moves, and is read each time
_MOVING = ("next_request_at", "next_call_at", "slowed_to", "slowed_at")
_VERSION = f"""concat_ws(' ', task.ctid, task.xmin, robot.ctid, robot.xmin, voice.ctid, voice.xmin,
    token.ctid, token.xmin,
    md5((to_jsonb(account) - '{{{", ".join(_MOVING)}}}'::text[])::text))"""
#: the version, and what moves; of ``task`` and ``account`` in ``JOINS``
COLUMNS = ", ".join(
    [
        _VERSION,
        "EXISTS (SELECT FROM campaigns_installation WHERE held_at IS NOT NULL)",
        *(f"account.{name}" for name in _MOVING),
    ]
)
JOINS = """campaigns_task task
    JOIN campaigns_account account ON account.id = task.account_id
    JOIN campaigns_robot robot ON robot.id = task.robot_id
    LEFT JOIN campaigns_voice voice ON voice.id = task.voice_id
    LEFT JOIN campaigns_accounttoken token ON token.account_id = task.account_id"""
_LOOK = f"SELECT {COLUMNS} FROM {JOINS} WHERE task.id = %s"  # noqa: S608


def read_task(task_id: int, known: Task | None = None) -> Task | None:
    """The task with account, robot and voice as they are now; ``known`` if it still is that."""
    rows = run(_LOOK, [task_id])
    return renew(task_id, rows[0], known) if rows else None


def renew(task_id: int, row: tuple[Any, ...], known: Task | None) -> Task | None:
    """As ``read_task``, with the ``COLUMNS`` that were read in another statement.

    The version was read before the rows: if they change in between, it fits no more, and the next
    look reads them again.
    """
    version, held, *moving = row
    if known is not None and known.pk == task_id and _version(known) == version:
        task = known
    else:
        task = Task.objects.select_related("account", "robot", "voice").filter(pk=task_id).first()
        if task is None:
            return None
        task.known_version = version
        token = AccountToken.objects.filter(account=task.account_id).first()
        task.account.known_token = token
    task.known_held = held  # for one question, see ``gates.restore``
    for name, value in zip(_MOVING, moving, strict=True):
        setattr(task.account, name, value)
    return task


def is_known(task: Task) -> bool:
    """Whether it was read here, a moment ago, account and all."""
    return bool(_version(task))


def _version(task: Task) -> str:
    return str(getattr(task, "known_version", ""))
