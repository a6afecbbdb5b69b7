"""In: a CSV file of 1,000 contacts. Out: what the sandbox's ledger says, on our rows, exactly.

The whole flow for real: the admin's own views, the production HTTP server, a worker process, the
sandbox over HTTP, with its pushes doubled and shuffled.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser
from django.urls import reverse

from callbacks.models import Receipt
from campaigns.models import Account, Call, Contact, ContactImport, Recording, Task, Turn
from campaigns.platforms.sandbox import SandboxServer, serve
from campaigns.platforms.yeta.vocabulary import RESULTS
from tests.platforms.sandbox_client import Client as Platform
from tests.processes import find_free_port, run_web, run_worker

CONTACTS = 1_000
BAD_ROWS = [["110", "报警"], ["1.99E+10", "科学"], ["", "没有"], ["1990000", "短号"]]


def make_file() -> SimpleUploadedFile:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["姓名", "客户手机号码"])
    for number in range(CONTACTS):
        writer.writerow([f"张{number}", f"199{number:08d}"])
    for phone, name in BAD_ROWS:
        writer.writerow([name, phone])
    writer.writerow(["又是", "+86 199-0000-0001"])
    return SimpleUploadedFile("contacts.csv", out.getvalue().encode("utf-8-sig"))


def wait_until(told: Any, *, seconds: float, what: str) -> Any:
    ends = time.monotonic() + seconds
    while not (answer := told()):
        assert time.monotonic() < ends, what
        time.sleep(0.2)
    return answer


def import_contacts(browser: Browser, task: Task) -> ContactImport:
    """The way through the pages: file, columns, check, confirmation; a worker does the work."""

    def post(page: str, pk: int, data: dict[str, Any] | None = None) -> None:
        reply = browser.post(reverse(f"admin:campaigns_{page}", args=[pk]), data or {})
        assert reply.status_code == 302, reply.content.decode()

    def wait_for(status: str) -> None:
        wait_until(
            lambda: task.imports.get().status == status, seconds=60, what=f"It is not {status}."
        )

    post("task_import", task.pk, {"file": make_file()})
    imported = task.imports.get()
    columns = {"column_0": "客户手机号码", "column_1": "姓名"}
    choices = {"duplicates": "family", "duplicate_days": "30", "keep_row": "first"}
    post("contactimport_columns", imported.pk, columns | choices)
    wait_for("checked")
    seen = task.imports.get().check_stamp
    post("contactimport_confirm", imported.pk, {"seen": seen})
    wait_for("done")
    return task.imports.get()


@pytest.fixture
def browser(admin_user: Any) -> Browser:
    browser = Browser(enforce_csrf_checks=False)
    browser.force_login(admin_user)
    return browser


def connect_account(browser: Browser, sandbox: SandboxServer, platform: Platform) -> Account:
    """Through the account's own screens: form, addresses, connection test, synchronise."""
    reply = browser.post(
        reverse("admin:campaigns_account_add") + "?platform=yeta",
        {
            "name": "Pretend",
            "base_url": sandbox.base_url,
            "time_zone": "Asia/Shanghai",
            "region": "CN",
            "cap_days": "7",
            "rate_limit": "1000",
            "is_active": "on",
            "setting_recording_prefix": f"{sandbox.url}/voice/",
            "setting_push_download_prefix": f"{sandbox.url}/push_download/",
            "credential_app_key": "sandbox-key",
            "credential_app_secret": "sandbox-secret",
        },
    )
    assert reply.status_code == 302, reply.content.decode()
    account = Account.objects.get(name="Pretend")
    page = browser.get(reply["Location"])
    token = re.search(r'name="form_token" value="([^"]+)"', page.content.decode())
    assert token is not None
    shown = browser.post(reply["Location"], {"form_token": token.group(1)}, follow=True)
    addresses = re.findall(
        r"http://127\.0\.0\.1:\d+/callbacks/[\w-]+/(\w+)", shown.content.decode()
    )
    urls = re.findall(r"http://127\.0\.0\.1:\d+/callbacks/[\w-]+/\w+", shown.content.decode())
    assert {"receiveCallRecord", "receiveVoice", "receiveDialog"} <= set(addresses)
    wanted = {url.rpartition("/")[2]: url for url in urls}
    platform.set_app(
        urls={
            kind: wanted[kind] for kind in ("receiveCallRecord", "receiveVoice", "receiveDialog")
        },
        lines=[
            {"line_num": "055160000001", "concurrents": 200, "time_work": ["00:00:00-23:59:59"]}
        ],
    )
    for verb in ("test", "sync"):
        reply = browser.post(reverse(f"admin:campaigns_account_{verb}", args=[account.pk]))
        assert reply.status_code == 302
    account.refresh_from_db()
    assert account.connection_error == "" and account.synced_at is not None
    return account


def draft_task(browser: Browser, account: Account) -> Task:
    reply = browser.post(
        reverse("admin:campaigns_task_add") + f"?account={account.pk}",
        {
            "name": "From a file",
            "robot": str(account.robot_set.get(platform_id="719001").pk),
            "lines": [str(account.line_set.get(number="055160000001").pk)],
            "recall_count": "1",
            "recall_wait_seconds": "60",
        },
    )
    assert reply.status_code == 302, reply.content.decode()
    return Task.objects.get(name="From a file")


@pytest.mark.django_db(transaction=True)
def test_from_a_csv_file_to_calls_that_equal_the_ledger(
    browser: Browser, settings: Any, tmp_path: Path
) -> None:
    port = find_free_port()
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    settings.PUBLIC_URL = f"http://127.0.0.1:{port}"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "media")},
        },
    }
    environment = {
        "PLATFORM_ALLOW_HOSTS": "127.0.0.1",
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "POLL_SECONDS": "1",
    }
    with (
        serve(speed=400, seed=11) as sandbox,
        run_web(port, **environment),
        run_worker(**environment),
    ):
        platform = Platform(sandbox)
        account = connect_account(browser, sandbox, platform)
        platform.control("faults", {"endpoint": "push.*", "kind": "duplicate", "times": 2})
        platform.control(
            "faults",
            {"endpoint": "push.*", "kind": "shuffle", "seconds": 1, "probability": 0.5},
        )
        task = draft_task(browser, account)
        imported = import_contacts(browser, task)
        assert (imported.loaded, imported.excluded, imported.rejected) == (CONTACTS, 1, 4)
        reply = browser.post(reverse("admin:campaigns_task_launch", args=[task.pk]))
        assert reply.status_code == 302

        wait_until(
            lambda: Task.objects.get(pk=task.pk).status == "finished",
            seconds=150,
            what=f"The task did not finish: {describe(task)}",
        )
        wait_until(
            lambda: platform.look("ledger")["busy"] == {"calls": 0, "pushes": 0},
            seconds=60,
            what="The sandbox still pushes.",
        )
        wait_until(
            lambda: not Receipt.objects.filter(status="received").exists(),
            seconds=30,
            what="The inbox is not empty.",
        )
        wait_until(
            lambda: not Recording.objects.exclude(status="stored").exists(),
            seconds=60,
            what="Not every recording was fetched.",
        )
        compare_with_ledger(task, platform)


def describe(task: Task) -> Any:
    states = Counter(Contact.objects.filter(task=task).values_list("status", flat=True))
    return states, Task.objects.values("status", "reason", "request").get(pk=task.pk)


def compare_with_ledger(task: Task, platform: Platform) -> None:
    ledger = platform.look("ledger")
    truth = {told["call_uuid"]: told for told in list_all(platform, "calls")}

    # every contact in exactly one state, and every imported row counted
    states = Counter(task.contacts.values_list("status", flat=True))
    assert states == {"finished": CONTACTS, "excluded": 1}

    # nobody was called more often than the campaign says
    assert set(ledger["rings"]) == {f"199{number:08d}" for number in range(CONTACTS)}
    assert max(ledger["rings"].values()) <= 2
    assert (
        dict(task.contacts.filter(status="finished").values_list("phone", "calls_made"))
        == (ledger["rings"])
    )

    # every call, field by field
    calls = {call.platform_call_id: call for call in Call.objects.select_related("contact")}
    assert set(calls) == set(truth)
    for uuid, told in truth.items():
        call = calls[uuid]
        assert call.contact is not None and call.contact.phone == told["callee"]
        assert call.task_id == task.pk
        assert call.platform_contact_id == told["task_data_id"]
        assert call.attempt == told["attempt"] + 1
        assert call.platform_result == told["task_result"]
        assert call.result == RESULTS[told["task_result"]].result.value
        assert call.answered == bool(told["time_answer"])
        assert round(call.ended_at.timestamp() * 1000) == told["time_hangup"]
        assert not call.conflicts and not call.problems, (call.conflicts, call.problems)

    # dialogs and recordings
    spoken = {uuid for uuid, told in truth.items() if told["time_answer"] and told["turns"]}
    assert set(Turn.objects.values_list("call__platform_call_id", flat=True)) == spoken
    sounds = {uuid: told["recording"] for uuid, told in truth.items() if told["recording"]}
    stored = {row.call.platform_call_id: row for row in Recording.objects.select_related("call")}
    assert set(stored) == set(sounds)
    for uuid, told in sounds.items():
        assert stored[uuid].bytes == told["size"] == stored[uuid].file.size

    # every push is kept once, its repetitions counted; nothing is left over
    counted = Counter(Receipt.objects.values_list("status", flat=True))
    assert counted == {"processed": Receipt.objects.count()}
    acknowledged = sum(row.deliveries for row in Receipt.objects.only("deliveries"))
    assert acknowledged >= 2 * Receipt.objects.count() * 0.95


def list_all(platform: Platform, name: str) -> list[Any]:
    told = platform.look(f"{name}?limit=100000")
    assert told["total"] == len(told["items"]), (told["total"], len(told["items"]))
    items: list[Any] = told["items"]
    return items
