"""In: headless commands and a CSV file. Out: a campaign at AI Rudder, equal to the ledger.

For real: the commands, the production HTTP server that takes the pushes, a worker process, the
sandbox over HTTP.
"""

from __future__ import annotations

import io
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from callbacks.models import Receipt
from campaigns.models import Account, Call, Task, Verification
from campaigns.platforms.sandbox import serve
from tests.platforms.sandbox_client import Client as Platform
from tests.processes import find_free_port, run_web, run_worker

#: what the end of a number says of its calls (docs/sandbox.md)
AGREES, DOES_NOT_EXIST, THIRD_TIME, TAMPERED = (
    "19997100001",
    "19990400001",
    "19998200001",
    "19996000001",
)
USUAL = [f"199{number:08d}" for number in range(56)]
NUMBERS = [AGREES, DOES_NOT_EXIST, THIRD_TIME, TAMPERED, *USUAL]


def run(name: str, *arguments: str) -> Any:
    """A command's answer."""
    out = io.StringIO()
    call_command(name, *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def wait_until(told: Callable[[], Any], *, what: str, seconds: float = 60) -> Any:
    ends = time.monotonic() + seconds
    while not (answer := told()):
        assert time.monotonic() < ends, what
        time.sleep(0.1)
    return answer


@pytest.mark.django_db(transaction=True)
def test_a_campaign_by_commands_equals_the_ledger(settings: Any, tmp_path: Path) -> None:
    port = find_free_port()
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    settings.PUBLIC_URL = f"http://127.0.0.1:{port}"
    environment = {
        "PLATFORM_ALLOW_HOSTS": "127.0.0.1",
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "POLL_SECONDS": "0.5",
    }
    with (
        serve(speed=300, call_scale=0.2, seed=5) as sandbox,
        run_web(port, **environment),
        run_worker(**environment),
    ):
        platform = Platform(sandbox)
        made = run(
            *("add_account", "airudder", "--name", "Pretend", "--base-url", sandbox.url),
            *("--credential", "app_key=sandbox-key", "--credential", "app_secret=sandbox-secret"),
            *("--set", "verify=always", "--set", "allow_unverified=on", "--set", "rate_limit=500"),
            *("--set", "workflow_templates=301 Reminder: callee, callee_name, comments"),
        )
        wish = {"platform": "airudder", "lines": 100, "urls": {"*": made["callbacks"]["*"]}}
        platform.control("apps/sandbox-key", wish, method="PUT")
        assert run("sync_account", "Pretend")["robots"] == 1

        with pytest.raises(CommandError, match="end"):
            run("create_task", "Pretend", "--name", "No end", "--robot", "301")
        end = (timezone.now() + timedelta(hours=8)).isoformat()
        task_id = str(
            run("create_task", "Pretend", "--name", "One", "--robot", "301", "--end", end)["id"]
        )
        file = tmp_path / "contacts.csv"
        rows = [f"{number},张{place},还款" for place, number in enumerate(NUMBERS)]
        file.write_text("\n".join(["callee,callee_name,comments", *rows, "110,报警,不行"]))
        imported = run("import_contacts", task_id, str(file))
        assert (imported["loaded"], imported["rejected"]) == (len(NUMBERS), 1)
        run("launch_task", task_id)
        wait_until(
            lambda: run("task_status", task_id)["status"] == "finished",
            what=f"The task did not finish: {run('task_status', task_id)}",
        )
        wait_until(
            lambda: platform.look("ledger")["busy"] == {"calls": 0, "pushes": 0},
            what="The sandbox still pushes.",
        )
        wait_until(
            lambda: (
                not Receipt.objects.filter(status="received").exists()
                and not Verification.objects.filter(status__in=["unasked", "asking"]).exists()
            ),
            what="Pushes, or questions about them, are still waiting.",
        )
        compare_with_ledger(Task.objects.get(pk=task_id), platform)


def compare_with_ledger(task: Task, platform: Platform) -> None:
    told = platform.look("calls?platform=airudder&limit=100000")
    truth: dict[str, Any] = {call["call"]: call for call in told["items"]}
    keys = {f"CB-{pk}": phone for pk, phone in task.contacts.values_list("pk", "phone")}
    assert set(keys.values()) == set(NUMBERS)

    # everybody was handed over once, and is counted
    status = run("task_status", str(task.pk))
    assert {name: n for name, n in status["contacts"].items() if n} == {"finished": len(NUMBERS)}
    assert status["calls"] == len(truth)
    assert Counter(call["contact"] for call in truth.values() if call["attempt"] == 1) == Counter(
        list(keys)
    )
    made = dict(task.contacts.values_list("platform_contact_id", "calls_made"))
    assert made == platform.look("ledger")["rings_by_row"]

    # every call, redials as calls of the same contact
    calls = {call.platform_call_id: call for call in Call.objects.all()}
    assert set(calls) == set(truth)
    by_contact = defaultdict(list)
    for name, call in truth.items():
        row = run("show_call", "Pretend", name)
        assert (row["task"], f"CB-{row['contact']}") == (task.pk, call["contact"])
        assert row["callee"] == keys[call["contact"]] == call["number"][-11:]
        assert row["attempt"] == call["attempt"]
        assert bool(row["answered"]) == call["answered"]
        assert calls[name].dialed_at is not None
        assert abs(calls[name].dialed_at.timestamp() - call["began_at"]) < 1
        if call["record"]:
            assert row["intention"] == call["intention"]
            assert row["verification"] == ("mismatch" if call["tampered"] else "verified")
            assert bool(row["turns"]) == call["answered"]
        by_contact[keys[call["contact"]]].append(row)

    redialled = sorted(by_contact[THIRD_TIME], key=lambda row: row["attempt"])
    assert [row["attempt"] for row in redialled] == [1, 2, 3]
    assert [bool(row["answered"]) for row in redialled] == [False, False, True]
    assert [row["intention"] for row in by_contact[AGREES]] == ["A"]
    assert [row["result"] for row in by_contact[DOES_NOT_EXIST]] != ["answered"]

    # the platform's answer is believed over the push that was tampered with
    (tampered,) = by_contact[TAMPERED]
    assert (tampered["intention"], tampered["verification"]) == ("E", "mismatch")
    row = Verification.objects.get(call__platform_call_id=tampered["platform_call_id"])
    assert {one["field"] for one in row.differences} >= {"call.intention"}

    assert not Receipt.objects.exclude(status__in=["processed", "ignored"]).exists()
    instance = task.instances.get()
    assert (instance.platform_state, instance.platform_word) == ("finished", "Finished")
    assert Account.objects.get().is_sandbox
