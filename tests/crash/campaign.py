"""In: a world, and how many contacts. Out: campaigns in it, launched: the operator of the bench.

Everything goes through the headless commands and the functions behind the buttons.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from campaigns import dispatch
from campaigns.barring import bar_number
from campaigns.models import Account, Task
from tests.crash.world import World

ROBOT, LINE, WORKFLOW = "719001", "055160000001", "301"
#: contacts of a direct call, and which share of all contacts goes which way
DIRECT_ROWS = 3
TO_FILL, TO_CALL = 0.2, 0.06
LAUNCHED = ("loading", "loaded", "starting", "running")


@dataclass(frozen=True)
class Part:
    """One task of the run: its numbers, and how often each may ring."""

    task: int
    kind: str
    numbers: tuple[str, ...]
    rings: int


def run_command(name: str, *arguments: str) -> Any:
    out = io.StringIO()
    call_command(name, *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def make_numbers(place: int, count: int) -> tuple[str, ...]:
    """Of no other task; none that would say how its call ends (those begin with 1999)."""
    assert place < 90
    return tuple(f"199{place:02d}{number:06d}" for number in range(count))


def connect_accounts(world: World) -> None:
    """An account at each platform that we hand over to, known to both sides."""
    secrets = ["--credential", "app_key=sandbox-key", "--credential", "app_secret=sandbox-secret"]
    yeta = run_command(
        "add_account", "yeta", "--name", "Yeta", "--base-url", f"{world.platform}/openapi",
        *secrets, "--set", "rate_limit=1000",
    )  # fmt: skip
    line = {"line_num": LINE, "concurrents": 2000, "time_work": ["00:00:00-23:59:59"]}
    wanted = ("receiveCallRecord", "receiveVoice", "receiveDialog")
    urls = {kind: yeta["callbacks"][kind] for kind in wanted}
    world.control("apps/sandbox-key", {"urls": urls, "lines": [line]}, method="PUT")
    airudder = run_command(
        "add_account", "airudder", "--name", "AIRudder", "--base-url", world.platform, *secrets,
        *("--set", "verify=never", "--set", "allow_unverified=on", "--set", "rate_limit=1000"),
        *("--set", f"workflow_templates={WORKFLOW} Reminder: callee, callee_name"),
    )  # fmt: skip
    told = {"platform": "airudder", "lines": 2000, "urls": {"*": airudder["callbacks"]["*"]}}
    world.control("apps/sandbox-key", told, method="PUT")
    world.control("settings", {"push_retry_wait": 0.5, "push_tries": 200})
    for name in ("Yeta", "AIRudder"):
        run_command("sync_account", name)


def make_parts(world: World, *, contacts: int, tasks: int) -> list[Part]:
    """Drafts with their contacts: campaigns of both kinds."""
    to_fill = round(contacts * TO_FILL)
    shares = [*split(contacts - to_fill - round(contacts * TO_CALL), tasks), to_fill]
    # The platform's clock runs fast.
    end = (timezone.now() + timedelta(days=20)).isoformat()
    parts = []
    for place, share in enumerate(shares):
        fills = place == len(shares) - 1
        arguments = ["Yeta", "--robot", ROBOT, "--line", LINE, "--recall", "1"]
        arguments += ["--recall-wait", "60"]
        if fills:
            arguments = ["AIRudder", "--robot", WORKFLOW, "--end", end]
        made = run_command("create_task", *arguments, "--name", f"Part {place}")
        numbers = make_numbers(place, share)
        columns = ["callee", "callee_name"] if fills else ["客户手机号码", "姓名"]
        file = world.folder / f"part-{place}.csv"
        rows = [f"{number},张{row}" for row, number in enumerate(numbers)]
        file.write_text("\n".join([",".join(columns), *rows]), encoding="utf-8")
        loaded = run_command("import_contacts", str(made["id"]), str(file))
        assert loaded["loaded"] == share, loaded
        # A workflow of AI Rudder calls whom it does not reach again by itself, twice here.
        parts.append(
            Part(made["id"], "filled" if fills else "campaign", numbers, 3 if fills else 2)
        )
    return parts


def split(count: int, ways: int) -> list[int]:
    return [count // ways + (place < count % ways) for place in range(ways)]


def call_directly(*, contacts: int, place: int) -> list[Part]:
    """Direct calls, a few numbers each."""
    account = Account.objects.get(name="Yeta")
    numbers = make_numbers(place, round(contacts * TO_CALL))
    parts = []
    for begin in range(0, len(numbers), DIRECT_ROWS):
        few = numbers[begin : begin + DIRECT_ROWS]
        task = dispatch.call_directly(
            account=account,
            robot=account.robot_set.get(platform_id=ROBOT),
            line=account.line_set.get(number=LINE),
            columns=["客户手机号码", "姓名"],
            rows=[[number, "张三"] for number in few],
            by=None,
        )
        parts.append(Part(task.pk, "direct", few, 1))
    return parts


class Operator:
    """Clicks now and then: pauses, resumes, puts people on the do-not-call list."""

    def __init__(self, parts: list[Part], chance: Random) -> None:
        self._parts = parts
        self._chance = chance
        #: tasks that were told to be stopped for good
        self.deleted: set[int] = set()
        #: {number: the database's time after the entry was committed}
        self.barred: dict[str, datetime] = {}
        self.clicks = 0

    def click(self) -> None:
        """Pause one of what runs, or let what is paused go on."""
        campaigns = [part.task for part in self._parts if part.kind != "direct"]
        tasks = list(Task.objects.filter(pk__in=campaigns, request="").order_by("pk"))
        paused = [task for task in tasks if task.status == "paused"]
        going = [task for task in tasks if task.status in LAUNCHED]
        if paused and self._chance.random() < 0.7:
            self._try(dispatch.resume_task, self._chance.choice(paused))
        elif going:
            self._try(dispatch.pause_task, self._chance.choice(going))

    def bar_one(self) -> None:
        """Somebody says no, whoever it is."""
        part = self._chance.choice(self._parts)
        number = self._chance.choice(part.numbers)
        if number in self.barred:
            return
        bar_number(number, source="manual", reason="They said so.")
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            self.barred[number] = cursor.fetchone()[0]

    def delete_one(self) -> None:
        campaigns = [part.task for part in self._parts if part.kind == "campaign"]
        self.deleted.add(campaigns[-1])
        self._try(dispatch.delete_task, Task.objects.get(pk=campaigns[-1]))

    def resume_all(self) -> int:
        """After all faults: whatever is paused goes on; returns how many were told to."""
        told = 0
        for task in Task.objects.filter(status="paused", request="").select_related("account"):
            told += self._try(dispatch.resume_task, task)
        return told

    def _try(self, order: Any, task: Task) -> bool:
        try:
            order(task, by=None)
        except dispatch.LaunchRefused:
            return False
        self.clicks += 1
        return True


def launch(parts: list[Part]) -> None:
    for part in parts:
        run_command("launch_task", str(part.task))
