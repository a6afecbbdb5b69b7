"""In: nothing. Out: one of everything that the screens show, so that each page has rows in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.utils import timezone

from callbacks.models import Receipt
from campaigns.models import (
    Account,
    Attempt,
    Batch,
    Call,
    CallbackToken,
    Contact,
    ContactImport,
    Exchange,
    Line,
    Recording,
    RejectedRow,
    Robot,
    StatusChange,
    Task,
    Turn,
    Voice,
)
from campaigns.roles import grant_roles
from tests.factories import (
    make_account,
    make_contact,
    make_line,
    make_robot,
    make_task,
    make_voice,
)

PASSWORD = "a-long-test-password"


@dataclass
class World:
    account: Account
    robot: Robot
    line: Line
    voice: Voice
    draft: Task
    running: Task
    direct: Task
    contact: Contact
    call: Call
    recording: Recording
    exchange: Exchange
    contact_import: ContactImport


def make_user(role: str = "", **fields: Any) -> User:
    """A staff user in one of the four groups, an all-powerful one without a role."""
    name = role or "root"
    user = User.objects.create_user(
        fields.pop("username", name), password=PASSWORD, is_staff=True, is_superuser=not role
    )
    if role:
        if not Group.objects.filter(name=role).exists():
            grant_roles(apps)  # a transactional test emptied the tables
        user.groups.add(Group.objects.get(name=role))
    return user


def make_call(task: Task, contact: Contact | None = None, **fields: Any) -> Call:
    now = timezone.now()
    number = Call.objects.count() + 1
    values: dict[str, Any] = {
        "account": task.account,
        "platform_call_id": f"call-{number}",
        "task": task,
        "contact": contact,
        "robot": task.robot,
        "direction": "outbound",
        "caller": "055169101407",
        "callee": contact.phone if contact else "19900000099",
        "dialed_at": now - timedelta(seconds=60),
        "ringing_at": now - timedelta(seconds=55),
        "answered_at": now - timedelta(seconds=50),
        "ended_at": now - timedelta(seconds=5),
        "answered": True,
        "ring_seconds": 5,
        "talk_seconds": 45,
        "result": "answered",
        "platform_result": "0",
        "platform_result_text": "成功",
        "hangup_by": "contact",
        "intention": "A",
        "intention_min": "C",
        "has_record": True,
        "happened_at": now,
    }
    return Call.objects.create(**values | fields)


def make_turns(call: Call) -> None:
    for position, (role, node, text) in enumerate(
        [
            ("robot", "开场白", "您好，请问是张先生吗？我是测试银行的智能客服。"),
            ("contact", "开场白", "是的，什么事？"),
            ("robot", "产品介绍", "我们最近推出了一款新的理财产品，请问您感兴趣吗？"),
            ("contact", "产品介绍", "可以了解一下。"),
            ("robot", "结束语", "好的，稍后会有专员联系您，再见。"),
        ]
    ):
        Turn.objects.create(
            call=call,
            position=position,
            role=role,
            node_name=node,
            node_id=str(position // 2),
            text=text,
            intention="A" if position == 3 else "",
            hits=[{"hit": "肯定", "type": "intent"}] if position == 3 else [],
            spoke_at=call.happened_at,
        )
    Call.objects.filter(pk=call.pk).update(turns_count=5)


def make_wav(seconds: int = 2) -> bytes:
    import io
    import math
    import struct
    import wave

    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        for index in range(8000 * seconds):
            file.writeframesraw(struct.pack("<h", int(8000 * math.sin(index / 8))))
    return stream.getvalue()


def make_recording(call: Call, *, stored: bool = True) -> Recording:
    recording = Recording.objects.create(
        call=call, address=f"/voice/{call.pk}.wav", announced_seconds=2, announced_bytes=32044
    )
    if stored:
        data = make_wav()
        recording.file.save("voice.wav", ContentFile(data), save=False)
        recording.bytes, recording.content_type = len(data), "audio/wav"
        recording.status, recording.sha256 = "stored", hashlib.sha256(data).hexdigest()
        recording.save()
    return recording


def make_receipt(call: Call, kind: str = "receiveCallRecord", **fields: Any) -> Receipt:
    body = f'{{"call_uuid": "{call.platform_call_id}", "kind": "{kind}"}}'.encode()
    values: dict[str, Any] = {
        "account": call.account,
        "kind": kind,
        "body": body,
        "sha256": hashlib.sha256(body).digest(),
        "status": "processed",
        "platform_call_id": call.platform_call_id,
    }
    return Receipt.objects.create(**values | fields)


def make_world(*, contacts: int = 12, calls: int = 6) -> World:
    """An account with everything, a draft, a running task with calls, a direct call."""
    account = make_account(name="讯飞外呼", connection_checked_at=timezone.now(), is_sandbox=True)
    token = CallbackToken.make(account)[1]
    account.callback_urls = {
        "receiveCallRecord": f"http://127.0.0.1:8000/callbacks/{token}/receiveCallRecord",
        "receiveVoice": "https://elsewhere.example/receiveVoice",
    }
    account.synced_at = timezone.now()
    account.save()
    robot = make_robot(account=account, name="理财回访", raw={"robot_id": "1"})
    line, voice = make_line(account=account), make_voice(account=account, name="晓燕")
    make_robot(account=account, state="reviewing", gone_at=timezone.now())
    draft = make_task(account=account, robot=robot, lines=[line], name="七月回访")
    make_contact(task=draft)
    running = make_task(
        account=account,
        robot=robot,
        lines=[line],
        voice=voice,
        name="六月回访",
        status="running",
        platform_task_id="1909",
        platform_state="running",
        platform_checked_at=timezone.now(),
        platform_contacts=contacts,
        launched_at=timezone.now(),
        reason="Launched.",
        needs_attention=True,
        recall_count=1,
        recall_wait_seconds=600,
        windows=[["09:00:00", "12:00:00"]],
    )
    direct = make_task(
        account=account, robot=robot, lines=[line], kind="direct", status="running", name="直拨"
    )
    contact_import = ContactImport.objects.create(
        task=running,
        file_name="contacts.csv",
        sha256="0" * 64,
        status="done",
        loaded=contacts,
        rejected=1,
    )
    RejectedRow.objects.create(
        contact_import=contact_import, line=7, column="客户手机号码", reason="Empty.", value="x"
    )
    batch = Batch.objects.create(task=running, number=1, size=contacts, status="accepted")
    for command, status, of in (("create", "accepted", None), ("insert", "accepted", batch)):
        Attempt.objects.create(
            task=running, batch=of, command=command, status=status, lease_until=timezone.now()
        )
    Attempt.objects.create(
        task=direct, command="callout", status="needs_human", lease_until=timezone.now()
    )
    states = ["accepted", "finished", "finished", "unknown", "rejected", "excluded"]
    rows = [
        make_contact(
            task=running,
            source=contact_import,
            batch=batch,
            line_number=number + 2,
            status=states[number % len(states)],
            platform_contact_id=f"c-{running.pk}-{number}",
        )
        for number in range(contacts)
    ]
    results = [("answered", True, 45), ("no_answer", False, None), ("invalid_number", False, None)]
    made = []
    for number in range(calls):
        result, answered, talk = results[number % 3]
        call = make_call(
            running, rows[number % contacts], result=result, answered=answered, talk_seconds=talk
        )
        if answered:
            make_turns(call)
            make_recording(call)
        make_receipt(call)
        made.append(call)
    Call.objects.filter(pk=made[0].pk).update(
        conflicts={"talk_seconds": [{"source": "a", "value": 45}, {"source": "b", "value": 44}]},
        problems={"ring_time": "is not a number"},
    )
    exchange = Exchange.objects.create(
        account=account,
        task=running,
        purpose="insert_contacts",
        method="POST",
        url="http://127.0.0.1:9/openapi/task/insert",
        request="{}",
        http_code=200,
        response='{"code": 0}',
        outcome="replied",
        started_at=timezone.now(),
        seconds=0.12,
    )
    StatusChange.objects.create(
        subject="task", subject_id=running.pk, old="draft", new="loading", reason="Launched."
    )
    recording = Recording.objects.first()
    assert recording is not None
    return World(
        account=account,
        robot=robot,
        line=line,
        voice=voice,
        draft=draft,
        running=running,
        direct=direct,
        contact=rows[0],
        call=made[0],
        recording=recording,
        exchange=exchange,
        contact_import=contact_import,
    )
