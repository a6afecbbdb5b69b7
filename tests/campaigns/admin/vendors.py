"""In: nothing. Out: rows as the three other platforms make them, so that each page has them all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from campaigns.models import (
    Account,
    Agent,
    Batch,
    Call,
    CallbackToken,
    Robot,
    Task,
    Turn,
    Verification,
)
from tests.factories import (
    make_account,
    make_agent,
    make_agent_event,
    make_contact,
    make_instance,
    make_robot,
    make_task,
    make_verification,
)

#: what must stay masked, wherever it stands
PRIVATE = [f"1990000005{n}" for n in range(9)]
#: parts of an instance, as ``ingest.merge_state`` keeps them, and one that an older reading left
NODES: dict[str, Any] = {
    "n-1": {
        "name": "Robot calls",
        "state": "running",
        "word": "Started",
        "counts": {"totalNumber": 10_000, "dialedNumber": 4_321, "answeredNumber": 987},
        "details": {"started_at": "2026-05-06T07:00:00+00:00", "groupName": "Morning"},
    },
    "n-2": {
        "name": "Agents",
        "state": "paused",
        "word": "Paused",
        "counts": {},
        "started_at": "2026-05-06T08:00:00+00:00",
        "details": {"note": f"ask {PRIVATE[8]}", "finished_at": "soon"},
    },
    "n-3": {"name": "", "state": "", "word": "", "counts": {"totalNumber": 5}},
    "n-4": "odd",
}


@dataclass
class Vendors:
    airudder: Account
    moor7: Account
    ima51: Account
    template: Robot
    filled: Task
    claimed: Call
    redial: Call
    ringing: Call
    lost: Call
    recorded: Call
    noted: Call
    agent: Agent
    unasked: Verification
    mismatch: Verification


def make_said(account: Account, name: str, **fields: Any) -> Call:
    now = timezone.now()
    values: dict[str, Any] = {
        "account": account,
        "platform_call_id": name,
        "direction": "outbound",
        "caller": "01000000000",
        "callee": "19900000001",
        "dialed_at": now - timedelta(seconds=90),
        "happened_at": now,
    }
    return Call.objects.create(**values | fields)


def make_vendors(mark: str = "") -> Vendors:
    """One account of each, with calls that fill every section of the page. ``mark`` tells several
    worlds apart."""
    airudder = make_account(
        platform="airudder", name=f"AI Rudder{mark}", settings={"allow_unverified": "on"}
    )
    moor7 = make_account(
        platform="moor7", name=f"七陌呼叫中心{mark}", settings={"account_id": "20000153"}
    )
    ima51 = make_account(platform="ima51", name=f"51ima{mark}", is_sandbox=True)
    for account in (airudder, moor7, ima51):
        CallbackToken.make(account)
    template, filled, claimed, redial = _make_airudder(airudder, mark)
    ringing, lost, recorded, agent = _make_moor7(moor7, mark)
    unasked = make_verification(call=claimed)
    mismatch = make_verification(
        call=redial,
        status="mismatch",
        asked_at=timezone.now(),
        reason="The platform was asked and says otherwise. What it answered is believed.",
        differences=[
            {"field": "call.intention", "claimed": "A", "answered": "C"},
            {"field": "callee.callee_number", "claimed": PRIVATE[0], "answered": None},
        ],
    )
    return Vendors(
        airudder=airudder,
        moor7=moor7,
        ima51=ima51,
        template=template,
        filled=filled,
        claimed=claimed,
        redial=redial,
        ringing=ringing,
        lost=lost,
        recorded=recorded,
        noted=_make_ima51(ima51, mark),
        agent=agent,
        unasked=unasked,
        mismatch=mismatch,
    )


def _make_airudder(account: Account, mark: str) -> tuple[Robot, Task, Call, Call]:
    template = make_robot(
        account=account, platform_id="301", name="Payment reminder", columns=["callee", "comments"]
    )
    filled = make_task(
        account=account,
        robot=template,
        lines=[],
        name=f"还款提醒{mark}",
        status="running",
        launched_at=timezone.now(),
        end_at=timezone.now() + timedelta(days=1),
    )
    for number, (size, status) in enumerate([(10_000, "accepted"), (2_500, "unknown")], start=1):
        instance = make_instance(
            task=filled,
            number=number,
            platform_task_id=f"w-{filled.pk}-{number}",
            platform_state="running",
            platform_word="Running",
            platform_checked_at=timezone.now(),
            nodes=NODES,
        )
        Batch.objects.create(
            task=filled, instance=instance, number=number, size=size, status=status
        )
    contact = make_contact(task=filled, status="finished", platform_contact_id=f"CB-{filled.pk}")
    common: dict[str, Any] = {
        "task": filled,
        "contact": contact,
        "robot": template,
        "platform_task_id": f"w-{filled.pk}-1",
        "platform_contact_id": contact.platform_contact_id,
        "platform_robot_id": "301",
        "has_record": True,
    }
    redial = make_said(
        account,
        f"redial{mark}",
        attempt=1,
        result="no_answer",
        platform_result="ByCallee",
        platform_result_text="normal",
        happened_at=timezone.now() - timedelta(hours=1),
        **common,
    )
    claimed = make_said(
        account,
        f"claimed{mark}",
        attempt=2,
        answered=True,
        result="answered",
        platform_result="ByRobot",
        intention="B",
        talk_seconds=73,
        turns_count=2,
        details={
            "contact_number": PRIVATE[1],
            "intention_text": "Promises to pay",
            "labels": {"Willing": "yes", "Language": "English", "A0": "A0"},
            "questions": [
                {
                    "name": "Q1",
                    "question": "When can you pay?",
                    "answer": "Tomorrow",
                    "text": f"tomorrow, call {PRIVATE[2]}",
                    "status": "Completed",
                    "answered": True,
                },
                {"name": "Q2", "question": "", "answer": "", "status": "", "answered": False},
                "odd",
            ],
            "slots": {"receivetime": "2"},
            "amounts": [
                {"name": "borrowed_amount", "amount": "20000.00", "currency": "USD"},
                {"name": "total_owing_amount", "amount": "nonsense"},
            ],
            "person": {"callee_name": "Zhang San", "callee_gender": "male"},
            "carried": {"extra": [{"Content": f"{PRIVATE[3]},{PRIVATE[4]}"}], "comments": "123"},
            "workflow_name": "Reminder",
            "talk_round": 3,
        },
        **common,
    )
    for position, (role, text) in enumerate([("robot", "Hello?"), ("contact", "Tomorrow.")]):
        Turn.objects.create(
            call=claimed,
            position=position,
            role=role,
            text=text,
            started_at=datetime(2026, 5, 6, 7, 8, 10 + position, tzinfo=UTC),
        )
    return template, filled, claimed, redial


def _make_moor7(account: Account, mark: str) -> tuple[Call, Call, Call, Agent]:
    now = timezone.now()
    agent = make_agent(
        account=account,
        number="8000",
        name="默认坐席",
        state="talking",
        platform_state="4",
        platform_state_text="通话",
        platform_call_id=f"recorded{mark}",
    )
    make_agent(
        account=account,
        number="8001",
        name="李四",
        state="custom",
        platform_state="100",
        platform_state_text="外出培训",
        since=now - timedelta(hours=3),
    )
    make_agent(account=account, number="8002", name="", state="busy", logged_in=None,
               logged_in_changed_at=None)  # fmt: skip
    make_agent(account=account, number="8003", state="offline", logged_in=False)
    for minutes, state, said in ((9, "online", {"loginType": "sip"}), (2, "ringing", {}),
                                 (1, "talking", {"agentTelNumber": PRIVATE[5]})):  # fmt: skip
        make_agent_event(
            agent=agent,
            at=now - timedelta(minutes=minutes),
            state=state,
            logged_in=True if state == "online" else None,
            platform_call_id=f"recorded{mark}" if state != "online" else "",
            details=said,
        )
    ringing = make_said(
        account, f"ringing{mark}", stage="ringing", ringing_at=now, agent_number="8001",
        agent_name="李四",
    )  # fmt: skip
    lost = make_said(account, f"lost{mark}", stage="talking", answered=True, direction="inbound")
    Call.objects.filter(pk=lost.pk).update(updated_at=now - timedelta(hours=5))
    recorded = make_said(
        account,
        f"recorded{mark}",
        result="answered",
        answered=True,
        platform_result="ANSWER",
        platform_result_text="已接听",
        agent_number="8000",
        agent_name="默认坐席",
        queue_name="售后",
        wait_seconds=12,
        talk_seconds=240,
        relation_id=f"super{mark}",
        has_record=True,
        details={
            "survey": {"score": None, "text": "1, 2", "satisfyKeys": ["1", "2"]},
            "path": ["主菜单"],
            "transfer": {"relativeCallUniqueId": "393928840994361344"},
            "media_failure": {"reason": "onThePhone", "code": 15, "keyword": "正在通话中"},
            "agentTelNumber": PRIVATE[6],
            "billCalls": [f"a|{PRIVATE[7]}|null"],
        },
    )
    make_said(account, f"odd{mark}", result="unknown", platform_result="NEW_WORD", has_record=True)
    return ringing, lost, recorded, agent


def _make_ima51(account: Account, mark: str) -> Call:
    return make_said(
        account,
        f"noted{mark}",
        direction="inbound",
        result="answered",
        answered=True,
        platform_result="2",
        platform_result_text="接通",
        has_record=True,
        details={
            "path": ["主菜单", "售后", "人工"],
            "notes": [
                {"name": "通话小结", "text": "投诉 > 物流"},
                {"name": "备注", "text": "客户要求\n明天回电"},
            ],
            "survey": {"score": 5, "text": "非常满意"},
            "communicateSource": "1 电话呼入",
        },
    )
