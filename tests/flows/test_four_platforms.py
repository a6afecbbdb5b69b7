"""In: calls that four pretend platforms make up. Out: what their ledger says, on our rows, exactly.

For real: the production HTTP server, a worker process, the sandbox over HTTP with every push
doubled and shuffled. The platforms stay strangers: no account has a row of another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from callbacks.models import Receipt
from campaigns.models import Account, Agent, Call, CallbackToken, Recording
from campaigns.phones import normalise_phone, tell_phone
from campaigns.platforms.registry import PLATFORMS
from campaigns.platforms.sandbox import SIDES, SandboxServer, serve
from campaigns.platforms.sandbox_audio import size_of
from tests.platforms.sandbox_client import Client as Platform
from tests.processes import find_free_port, run_web, run_worker

CALLS = 20
NAMES = [make.name for make in SIDES]  # type: ignore[attr-defined]
HANGUP_51 = {"0": "contact", "1": "agent", "2": "unknown", "3": "platform"}

#: AI Rudder's dialler and its records each have a word of their own for how a call ended, tell
#: times in another resolution and name the person otherwise
DIFFERENT = {"platform_result", "platform_result_text", "ended_at", "details.person"}

Told = dict[str, Any]


def wait_until(told: Callable[[], Any], *, seconds: float, what: str) -> Any:
    ends = time.monotonic() + seconds
    while not (answer := told()):
        assert time.monotonic() < ends, what
        time.sleep(0.2)
    return answer


def make_account(name: str, sandbox: SandboxServer) -> Account:
    settings = {
        "yeta": {"recording_prefix": f"{sandbox.url}/voice/"},
        "airudder": {"recording_hosts": sandbox.url.partition("//")[2], "verify": "always"},
        "moor7": {"recording_hosts": sandbox.url.partition("//")[2]},
    }
    has_key = bool(PLATFORMS[name].credentials)
    return Account.objects.create(
        platform=name,
        name=f"Pretend {name}",
        base_url={"yeta": sandbox.base_url, "airudder": sandbox.url}.get(name, ""),
        settings=settings.get(name, {}),
        credentials={"app_key": "sandbox-key", "app_secret": "sandbox-secret"} if has_key else {},
    )


def point_sandbox(platform: Platform, account: Account, *, public_url: str) -> None:
    address = f"{public_url}/callbacks/{CallbackToken.make(account)[1]}/"
    urls = {"*": address}
    if "" not in account.vendor.kinds:
        kinds = ("receiveCallRecord", "receiveVoice", "receiveDialog")
        urls = {kind: f"{address}{kind}" for kind in kinds}
    wish = {"platform": account.platform, "urls": urls}
    platform.control("apps/sandbox-key", wish, method="PUT")


def list_all(platform: Platform, name: str) -> list[Told]:
    told = platform.look(f"{name}?limit=100000")
    assert told["gone"] == 0
    items: list[Told] = told["items"]
    return items


def ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


@pytest.fixture
def environment(settings: Any, tmp_path: Path) -> Iterator[dict[str, str]]:
    settings.PLATFORM_ALLOW_HOSTS = ["127.0.0.1"]
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "media")},
        },
    }
    yield {
        "PLATFORM_ALLOW_HOSTS": "127.0.0.1",
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "POLL_SECONDS": "1",
    }


@pytest.mark.django_db(transaction=True)
def test_rows_equal_the_ledger_of_all_four(environment: dict[str, str]) -> None:
    port = find_free_port()
    with (
        serve(speed=200, seed=4) as sandbox,
        run_web(port, **environment) as public_url,
        run_worker(**environment),
    ):
        platform = Platform(sandbox)
        accounts = {name: make_account(name, sandbox) for name in NAMES}
        for account in accounts.values():
            point_sandbox(platform, account, public_url=public_url)
        for rule in (
            {"kind": "duplicate", "times": 2},
            {"kind": "shuffle", "seconds": 2, "probability": 0.7},
        ):
            platform.control("faults", {"endpoint": "push.*", **rule})
        for _ in range(CALLS):
            for name in NAMES:
                platform.control("calls", {"platform": name})
        # Live traffic brings what no single call does: agents who come, go and take a break.
        for name in NAMES:
            wish = {"live": True, "rate": 600, "most": CALLS}
            platform.control(f"sides/{name}", wish, method="PUT")
        wait_until(
            lambda: all(side["done"] == CALLS for side in platform.look("sides").values()),
            seconds=60,
            what="Live traffic did not come to its end.",
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
        for name, account in accounts.items():
            compare_with_ledger(account, platform, check=CHECKS[name])
        compare_inbox(platform)
        compare_agents(accounts["moor7"], platform)


def compare_with_ledger(
    account: Account, platform: Platform, *, check: Callable[[Call, Told], None]
) -> None:
    truth = {
        told["call"]: told
        for told in list_all(platform, "calls")
        if told["platform"] == account.platform
    }
    assert len(truth) >= CALLS
    calls = {call.platform_call_id: call for call in Call.objects.filter(account=account)}
    assert set(calls) == set(truth)
    for number, told in truth.items():
        call = calls[number]
        allowed = DIFFERENT if account.platform == "airudder" else set()
        assert set(call.conflicts) <= allowed, (number, call.conflicts)
        check(call, told)


def compare_inbox(platform: Platform) -> None:
    """Each push is kept once and read; how often it came is counted."""
    pushes = list_all(platform, "pushes")
    assert {push["state"] for push in pushes} == {"acknowledged"}
    left_over = Receipt.objects.exclude(status__in=("processed", "ignored"))
    assert not left_over.exists(), list(left_over.values("status", "reason")[:5])
    for name in NAMES:
        sent = sum(len(push["attempts"]) for push in pushes if push["platform"] == name)
        rows = Receipt.objects.filter(account__platform=name)
        assert sum(row.deliveries for row in rows.only("deliveries")) == sent, name


def compare_agents(account: Account, platform: Platform) -> None:
    """Each agent who was pushed is there, in the last state that was said of them."""
    said: dict[str, list[tuple[str, Told]]] = {}
    for push in list_all(platform, "pushes"):
        if push["module"] in ("moor7.agentStatus", "moor7.login", "moor7.logout"):
            told = push["payload"]
            said.setdefault(told["agentNumber"], []).append((read_time(told["statusTime"]), told))
    agents = {agent.number: agent for agent in account.agents.all()}
    assert said and set(agents) == set(said)
    # AI Rudder's dialler tells of agents too; nobody else does.
    others = set(Agent.objects.exclude(account=account).values_list("account__platform", flat=True))
    assert others <= {"airudder"}
    for number, events in said.items():
        latest = max(at for at, _ in events)
        last = [told for at, told in events if at == latest]
        words = {told.get("statusNumber") or told["pushType"] for told in last}
        agent = agents[number]
        assert agent.platform_state in words, (number, agent.platform_state, last)
        assert str(seconds(agent.since)) == latest
        assert agent.events.count() == len(events)


def read_time(text: str) -> str:
    """Seconds since 1970, whichever of its two ways 7moor writes a time in."""
    if text.isdigit():
        return text
    return str(int(datetime.fromisoformat(f"{text}+08:00").timestamp()))


def check_yeta(call: Call, told: Told) -> None:
    """Somebody called in: test_from_csv_to_call.py has the calls out."""
    assert (call.direction, call.caller) == ("inbound", tell_phone(told["caller"]))
    assert call.answered is True
    assert (ms(call.answered_at), ms(call.ended_at)) == (told["time_answer"], told["time_hangup"])
    assert call.turns.count() == len(told["turns"])
    (recording,) = call.recordings.all()
    assert recording.bytes == told["recording"]["size"] == recording.file.size


def check_airudder(call: Call, told: Told) -> None:
    assert call.direction == "outbound"
    assert call.callee == normalise_phone(told["number"])
    assert (call.platform_task_id, call.platform_contact_id) == (
        told["workflow_id"],
        told["case_id"],
    )
    words = {word for _rank, _source, word in call.evidence["platform_result"]}
    assert told["result"] in words
    assert call.result == PLATFORMS["airudder"].results[told["result"]].result
    assert bool(call.answered) == told["answered"]
    assert call.attempt == told["attempt"]
    assert seconds(call.dialed_at) == int(told["began_at"])
    # The record has whole seconds, the dialler thousandths; either may have been believed.
    assert abs((call.talk_seconds or 0) - told["talk_seconds"]) <= 1
    assert not call.problems, call.problems


def check_ima51(call: Call, told: Told) -> None:
    assert (call.direction, call.caller, call.callee) == (
        told["direction"],
        tell_phone(told["caller"]),
        tell_phone(told["callee"]),
    )
    assert call.platform_result == told["result"]
    assert call.result == PLATFORMS["ima51"].results[told["result"]].result
    assert bool(call.answered) == (told["result"] == "2")
    assert (ms(call.dialed_at), ms(call.ended_at)) == (told["began_ms"], told["ended_ms"])
    assert ms(call.answered_at) == told["answered_ms"]
    assert call.ring_seconds == told["ring_seconds"]
    assert call.hangup_by == HANGUP_51[told["hangup"]]
    assert call.agent_number == told["agent_number"]
    assert bool(call.problems) == told["odd"], call.problems
    assert not call.recordings.exists()


def check_moor7(call: Call, told: Told) -> None:
    assert (call.direction, call.caller, call.callee) == (
        told["direction"],
        tell_phone(told["caller"]),
        tell_phone(told["callee"]),
    )
    assert call.stage == "ended" and call.has_record
    assert call.platform_result == told["result"]
    assert bool(call.answered) == told["answered"]
    assert seconds(call.ended_at) == told["ended_at"]
    assert seconds(call.answered_at) == told["answered_at"]
    assert (call.talk_seconds or 0) == told["talk_seconds"]
    assert call.agent_number == told["agent_number"]
    assert not call.problems, call.problems
    files = {recording.address.rpartition("-")[2]: recording for recording in call.recordings.all()}
    assert set(files) == set(told["files"])
    for recording in files.values():
        assert recording.bytes == recording.file.size == size_of(told["recording_seconds"])


def seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


CHECKS: dict[str, Callable[[Call, Told], None]] = {
    "yeta": check_yeta,
    "airudder": check_airudder,
    "moor7": check_moor7,
    "ima51": check_ima51,
}
