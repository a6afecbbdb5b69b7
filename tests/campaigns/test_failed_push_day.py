"""In: a sandbox that drops 30 % of a day's pushes. Out: after the next day's file nothing is
missing, whatever comes again. Over HTTP: the pushes, the list, the file."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from callbacks import catching_up, processing
from callbacks.models import Receipt
from campaigns import failed_pushes, gaps
from campaigns.models import Account, Call, CallbackToken, FailedPushFile, Gap
from tests.platforms.sandbox_client import ROBOT, Client, wait_until

#: calls of the day (``FAILED_CALLS=2000`` for a long one)
CALLS = int(os.environ.get("FAILED_CALLS", "25"))
MODULES = ("receiveCallRecord", "receiveVoice", "receiveDialog")


@pytest.fixture
def door(live_server: Any, account: Account, platform: Client) -> dict[str, str]:
    token = CallbackToken.make(account)[1]
    urls = {kind: f"{live_server.url}/callbacks/{token}/{kind}" for kind in MODULES}
    platform.set_app(urls=urls)
    return urls


def call_all_day(platform: Client) -> list[dict[str, Any]]:
    """People call in; the truth about each call."""
    platform.control("clock", {"speed": 400})
    platform.control("settings", {"call_scale": 0.1, "push_retry_wait": 0.01})
    for number in range(CALLS):
        platform.control(
            "inbound",
            {
                "app_key": "sandbox-key",
                "robot_id": ROBOT,
                "call_relation_id": f"relation-{number}",
                "caller": f"199{number:08d}",
                "talk_seconds": 20,
            },
        )
    idle = {"calls": 0, "pushes": 0}
    wait_until(lambda: platform.look("ledger")["busy"] == idle, seconds=60)
    calls: list[dict[str, Any]] = wait_until(
        lambda: [
            one for one in platform.look("calls?limit=100000")["items"] if one["state"] == "ended"
        ],
        seconds=60,
    )
    wait_until(lambda: platform.look("ledger")["busy"] == idle, seconds=60)
    return calls


def find_missing(calls: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """What we do not know of what happened."""
    ours = {call.platform_call_id: call for call in Call.objects.prefetch_related("recordings")}
    missing = set()
    for told in calls:
        call = ours.get(told["call_uuid"])
        if call is None or not call.has_record:
            missing.add((told["call_uuid"], "record"))
        elif round(call.ended_at.timestamp() * 1000) != told["time_hangup"]:
            missing.add((told["call_uuid"], "time"))
        if told["turns"] and (call is None or not call.turns_count):
            missing.add((told["call_uuid"], "dialog"))
        if told["recording"] and (call is None or not call.recordings.exists()):
            missing.add((told["call_uuid"], "recording"))
    return missing


def dump_rows() -> Any:
    rows = Call.objects.order_by("platform_call_id")
    names = ("platform_call_id", "evidence", "conflicts", "problems", "turns_count", "ended_at")
    return list(rows.values(*names)), sorted(
        Call.objects.values_list("platform_call_id", "recordings__address")
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600 + CALLS)
def test_a_day_of_which_much_was_dropped_is_complete_after_its_file(
    door: dict[str, str], account: Account, platform: Client, settings: Any, tmp_path: Path
) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path)},
        },
    }
    account.settings["push_download_prefix"] = account.base_url.replace(
        "/openapi", "/push_download"
    )
    account.save()
    platform.control("faults", {"kind": "drop", "endpoint": "push.*", "probability": 0.3})
    calls = call_all_day(platform)
    assert len(calls) == CALLS
    processing.process_inbox()
    missing = find_missing(calls)
    assert missing, "Nothing was dropped."
    lost = platform.look("ledger")["pushes"]["filed"]
    assert lost > 0

    # what is missing of calls that we know of is on the list, before the file comes
    gaps.reconcile_gaps(now=timezone.now() + timedelta(hours=1))
    known = set(Call.objects.values_list("platform_call_id", flat=True))
    kinds = {"record": "record", "dialog": "dialog", "recording": "recording"}
    told = {
        (call_id, kinds[kind])
        for call_id, kind in Gap.objects.values_list("call__platform_call_id", "kind")
    }
    recorded = {uuid for uuid, what in missing if what == "record"}
    assert told == {
        (uuid, what)
        for uuid, what in missing
        if uuid in known and (what == "record" or uuid not in recorded)
    }

    platform.control("rollover", {})
    day = failed_pushes.list_days(account)[0]
    before: Any = None
    for again in range(3):
        row = failed_pushes.ask_again(account, day)
        for file_id in failed_pushes.ask_day(row.pk) or ():
            if failed_pushes.fetch_file(file_id):
                assert catching_up.read_file(file_id)
        file = FailedPushFile.objects.get()
        assert (file.status, file.objects_count, file.odd_count) == ("read", lost, 0), file.reason
        if again:  # live pushes come again as well
            for receipt in list(Receipt.objects.filter(source="live")[:20]):
                body = bytes(receipt.body) + b" " * again
                Receipt.objects.create(
                    account=account,
                    kind=receipt.kind,
                    body=body,
                    sha256=hashlib.sha256(body).digest(),
                )
        processing.process_inbox()
        assert find_missing(calls) == set()
        rows = dump_rows()
        assert before in (None, rows)
        before = rows
    assert Receipt.objects.filter(source="failed_push").count() == lost
    gaps.reconcile_gaps(now=timezone.now() + timedelta(hours=1))
    assert not Gap.objects.filter(closed_at=None).exists()
