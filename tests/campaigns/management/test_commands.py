"""Every headless command, end to end against the sandbox, and every refusal as a sentence."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from callbacks.models import Receipt
from campaigns.models import Account, Call, CallbackToken, Recording, StatusChange, Task, Turn
from campaigns.models.accounts import hash_token
from campaigns.platforms.sandbox import SandboxServer
from tests.factories import make_account, make_contact, make_line, make_robot, make_task
from tests.processes import ROOT, make_environment

CREDENTIALS = ["--credential", "app_key=sandbox-key", "--credential", "app_secret=sandbox-secret"]
HEADER = "客户手机号码,姓名\n"


def run(name: str, *arguments: Any) -> Any:
    """What the command prints with --json, which must be one object."""
    out = io.StringIO()
    call_command(name, *map(str, arguments), "--json", stdout=out)
    told = out.getvalue()
    assert told.count("\n") == 1
    return json.loads(told)


def refuse(name: str, *arguments: Any) -> str:
    with pytest.raises(CommandError) as caught:
        run(name, *arguments)
    told = str(caught.value)
    assert told
    assert "\n" not in told
    return told


@pytest.fixture
def loopback(settings: Any) -> None:
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    settings.HTTP_TIMEOUT_SECONDS = 5
    settings.PUBLIC_URL = "http://callboard.test"


@pytest.mark.django_db(transaction=True)
def test_the_whole_flow(
    sandbox: SandboxServer, loopback: None, tmp_path: Path, platform: Any
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("sandbox-secret\n")
    added = run(
        "add_account",
        "yeta",
        "--name",
        "Mine",
        "--base-url",
        f"{sandbox.url}/openapi",
        "--set",
        f"recording_prefix={sandbox.url}/voice/",
        "--set",
        "time_zone=Asia/Tokyo",
        "--credential",
        "app_key=sandbox-key",
        "--credential",
        f"app_secret=@{secret}",
    )
    assert set(added) == {"id", "name", "callbacks"}
    account = Account.objects.get(pk=added["id"])
    assert account.time_zone == "Asia/Tokyo"
    assert account.credentials["app_secret"] == "sandbox-secret"
    token = added["callbacks"]["receiveVoice"].split("/")[-2]
    assert (
        added["callbacks"]["receiveVoice"]
        == f"http://callboard.test/callbacks/{token}/receiveVoice"
    )
    assert CallbackToken.objects.get(account=account).hash == hash_token(token)

    assert run("sync_account", "Mine") == {"robots": 5, "lines": 2, "voices": 7}

    created = run(
        *("create_task", "Mine", "--name", "Spring", "--robot", "719001"),
        *("--line", "055160000001", "--line", "055160000002", "--voice", "60020"),
        *("--windows", "09:00-12:00,13:00-17:30", "--recall", "1", "--recall-wait", "600"),
        *("--daily-cap", "500"),
        *("--begin", "2030-01-31T09:00:00", "--end", "2030-02-01T09:00:00Z"),
    )
    assert set(created) == {"id", "status"}
    assert created["status"] == "draft"
    task = Task.objects.get(pk=created["id"])
    assert task.begin_at is not None
    assert task.begin_at.isoformat() == "2030-01-31T00:00:00+00:00", "the account's zone is Tokyo"
    assert task.windows == [["09:00:00", "12:00:00"], ["13:00:00", "17:30:00"]]
    assert (task.recall_count, task.recall_wait_seconds, task.lines.count()) == (1, 600, 2)
    assert task.daily_cap == 500

    file = tmp_path / "contacts.csv"
    file.write_text(
        HEADER + "19900000001,张三\n123,李四\n19900000001,张三\n199 0000 0002,王五\n", "utf-8"
    )
    done = run("import_contacts", task.pk, file)
    assert (done["loaded"], done["excluded"], done["rejected"]) == (2, 1, 1)
    assert set(done["rejected_rows"][0]) == {"line", "column", "reason"}
    assert done["rejected_rows"][0]["line"] == 3

    status = run("task_status", task.pk)
    assert set(status) == {
        *("id", "status", "platform_status", "contacts"),
        *("calls", "answered", "recordings", "dialogs"),
    }
    assert status["contacts"]["ready"] == 2
    assert status["contacts"]["excluded"] == 1
    assert len(status["contacts"]) == 9

    launched = run("launch_task", task.pk)
    assert launched["id"] == task.pk
    assert launched["status"] != "draft"
    assert run("pause_task", task.pk)["id"] == task.pk
    assert run("delete_task", task.pk)["id"] == task.pk

    told = run("show_contact", task.pk, "+86 199 0000 0001")
    assert told["phone"] == "19900000001"
    assert [state["status"] for state in told["states"]][1] == "excluded"
    assert "contacts.csv" in told["timeline"][0]["text"]


@pytest.mark.django_db
def test_a_mapping_names_the_columns_of_the_file(tmp_path: Path) -> None:
    task = make_task()
    file = tmp_path / "other.csv"
    file.write_text("Tel,Who\n19900000001,张三\n", "utf-8")
    done = run("import_contacts", task.pk, file, "--map", "客户手机号码=Tel", "--map", "姓名=Who")
    assert done["loaded"] == 1
    assert task.contacts.get().values["姓名"] == "张三"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nobody", "--name", "A", *CREDENTIALS], "nobody"),
        (["yeta", "--name", "A"], "app_key, app_secret"),
        (["yeta", "--name", "A", *CREDENTIALS, "--credential", "pin=1"], "pin"),
        (["yeta", "--name", "A", *CREDENTIALS, "--credential", "pin"], "KEY=VALUE"),
        (["yeta", "--name", "A", *CREDENTIALS, "--set", "colour=red"], "recording_prefix"),
        (["yeta", "--name", "A", *CREDENTIALS, "--set", "time_zone=Mars/Base"], "Mars/Base"),
        (["yeta", "--name", "A", *CREDENTIALS, "--base-url", "nowhere"], "base_url"),
        (["yeta", "--name", "A", *CREDENTIALS[:3], "app_secret=@/nonexistent"], "/nonexistent"),
        (["yeta", "--name", "Taken", *CREDENTIALS], "name"),
    ],
)
def test_an_account_that_cannot_be(arguments: list[str], word: str) -> None:
    make_account(name="Taken")
    before = Account.objects.count()
    told = refuse("add_account", *arguments)
    assert word in told
    assert "sandbox-secret" not in told
    assert Account.objects.count() == before


@pytest.mark.django_db
def test_a_secret_without_its_name_is_not_repeated() -> None:
    told = refuse("add_account", "yeta", "--name", "A", "--credential", "my-very-secret")
    assert "my-very-secret" not in told


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (["--robot", "99"], "known-robot"),
        (["--line", "99"], "0551"),
        (["--voice", "99"], "voice"),
        (["--begin", "tomorrow"], "tomorrow"),
        (["--begin", "2030-02-31T00:00:00"], "2030-02-31"),
        (["--windows", "9 to 5"], "9 to 5"),
        (["--windows", "25:00-26:00"], "25:00"),
        (["--recall", "9", "--recall-wait", "60"], "recall"),
    ],
)
def test_a_task_that_cannot_be(changed: list[str], word: str) -> None:
    account = make_account(name="Mine")
    make_robot(account=account, platform_id="known-robot")
    make_line(account=account, number="0551")
    rest = ["--name", "T", "--robot", "known-robot", "--line", "0551"]
    for name, value in zip(changed[::2], changed[1::2], strict=True):
        rest = [*rest, name, value]
        if name == "--line":
            rest.remove("0551")
            rest.remove("--line")
    assert word in refuse("create_task", "Mine", *rest)
    assert Task.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["launch_task", "pause_task", "resume_task", "delete_task", "task_status"]
)
@pytest.mark.parametrize("number", ["0", "x", "9" * 40, "²"])
def test_a_task_that_is_not_there(name: str, number: str) -> None:
    assert number in refuse(name, number)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["launch_task", "pause_task", "resume_task"])
def test_an_order_that_does_not_fit_is_refused(name: str) -> None:
    task = make_task()
    assert refuse(name, task.pk).endswith(".")
    task.refresh_from_db()
    assert task.status == "draft"


@pytest.mark.django_db
def test_an_account_that_does_not_answer(loopback: None) -> None:
    make_account(name="Dead", base_url="http://127.0.0.1:9/openapi")
    assert "address" in refuse("sync_account", "Dead")
    assert "Dead" in refuse("sync_account", "Nobody")


@pytest.mark.django_db
def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    task = make_task()
    assert "missing.csv" in refuse("import_contacts", task.pk, tmp_path / "missing.csv")
    assert refuse("import_contacts", task.pk, tmp_path)
    (tmp_path / "a.csv").write_text(HEADER)
    assert "COLUMN=HEADER" in refuse("import_contacts", task.pk, tmp_path / "a.csv", "--map", "x")


def make_call(**fields: Any) -> Call:
    contact = make_contact(phone="19900000001")
    values: dict[str, Any] = {
        "account": contact.account,
        "platform_call_id": "call-1",
        "task": contact.task,
        "contact": contact,
        "direction": "outbound",
        "caller": "055112345678",
        "callee": "+8619900000001",
        "dialed_at": datetime.fromisoformat("2026-01-31T01:00:00+00:00"),
        "answered": True,
        "ring_seconds": 0,
        "result": "answered",
        "platform_result": "0",
        "conflicts": {"talk_seconds": [10, 12]},
        "happened_at": datetime.fromisoformat("2026-01-31T01:00:00+00:00"),
    }
    return Call.objects.create(**values | fields)


@pytest.mark.django_db
def test_show_call_tells_everything() -> None:
    call = make_call()
    Turn.objects.create(call=call, position=0, role="robot", text="喂,您好!")
    Turn.objects.create(call=call, position=1, role="contact", text="你好。")
    Recording.objects.create(call=call, address="2026/1.wav", announced_seconds=9)
    for number in (1, 2):
        Receipt.objects.create(
            account=call.account, sha256=bytes([number]), platform_call_id="call-1", body=b"{}"
        )
    told = run("show_call", call.account.name, "call-1")
    assert set(told) == {
        *("platform", "account", "platform_call_id", "task", "contact", "direction", "caller"),
        *("callee", "dialed_at", "ringing_at", "answered_at", "ended_at", "answered"),
        *("ring_seconds", "talk_seconds", "result", "platform_result", "platform_result_text"),
        *("hangup_by", "intention", "attempt", "turns", "recordings", "conflicts", "receipts"),
        "dialog_deleted_at",
        *("stage", "agent", "queue", "wait_seconds", "details", "verification"),
    }
    assert (told["platform"], told["account"]) == ("yeta", call.account.name)
    assert (told["task"], told["contact"]) == (call.task_id, call.contact_id)
    assert (told["caller"], told["callee"]) == ("055112345678", "19900000001")
    assert told["dialed_at"] == "2026-01-31T09:00:00+08:00"
    assert told["ended_at"] is None
    assert (told["ring_seconds"], told["talk_seconds"]) == (0, None)
    assert (told["hangup_by"], told["intention"]) == ("unknown", None)
    assert told["turns"][1] == {"role": "contact", "text": "你好。"}
    assert told["recordings"] == [
        {"url": "2026/1.wav", "state": "remote", "seconds": 9, "bytes": None}
    ]
    assert told["conflicts"] == [{"field": "talk_seconds", "values": [10, 12]}]
    assert told["receipts"] == 2


@pytest.mark.django_db
def test_show_call_of_a_call_that_is_not_there() -> None:
    call = make_call()
    assert "call-2" in refuse("show_call", call.account.name, "call-2")
    other = make_account()
    assert refuse("show_call", other.name, "call-1"), "another account's call is not shown"


@pytest.mark.django_db
def test_show_contact_puts_the_time_line_together() -> None:
    call = make_call()
    contact = call.contact
    assert contact is not None
    StatusChange.objects.create(
        subject="contact", subject_id=contact.pk, old="accepted", new="finished", reason="Called."
    )
    told = run("show_contact", contact.task_id, "199-0000-0001")
    assert told["states"][0]["id"] == contact.pk
    assert {moment["what"] for moment in told["timeline"]} == {"import", "contact", "call"}
    assert refuse("show_contact", contact.task_id, "19900000009")


@pytest.mark.django_db
def test_inbox_status_counts_every_push_once() -> None:
    account = make_account()
    for number, status in enumerate(
        ["received", "received", "processed", "ignored", "quarantined", "processed"]
    ):
        Receipt.objects.create(
            account=account, sha256=bytes([number]), status=status, body=b"", deliveries=1 + number
        )
    told = run("inbox_status")
    waits = told.pop("oldest_waiting_seconds")
    assert told == {
        "received": 6,
        "processed": 2,
        "ignored": 1,
        "quarantined": 1,
        "waiting": 2,
        "repeats": 15,
        "forgotten": 0,
        "quarantined_by_reason": {"": 1},
        "silent_accounts": [],
    }
    assert 0 <= waits < 60


@pytest.mark.django_db
def test_an_empty_inbox() -> None:
    told = run("inbox_status")
    assert (told.pop("quarantined_by_reason"), told.pop("silent_accounts")) == ({}, [])
    assert set(told.values()) == {0}


@pytest.mark.django_db
def test_without_json_people_can_read_it() -> None:
    task = make_task()
    out = io.StringIO()
    call_command("task_status", str(task.pk), stdout=out)
    assert "status: draft" in out.getvalue()
    assert "  ready: 0" in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_on_a_terminal_a_refusal_is_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "task_status", "7", "--json"],
        cwd=ROOT,
        env=make_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "There is no task 7. Give the id that create_task printed.\n"


@pytest.mark.django_db(transaction=True)
def test_a_worker_does_what_waits_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "worker", "--once"],
        cwd=ROOT,
        env=make_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
