"""In: questions of a platform on a fixed schedule. Out: how late the answers were.

Open loop, half getDialogContext and half semantic with twenty rules, a table of 20,000 callers, and
the production HTTP server; beside it the bare acknowledgement of a push of the same size by the
same server in the same run. Run by `make bench`.

    .venv/bin/python -m pytest -s -p no:xdist tests/benchmarks/bench_answer.py
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from typing import Any

import pytest

from campaigns.models import CallbackToken, InboundAnswer, InboundContext
from tests.factories import make_account, make_context_default, make_semantic_rule
from tests.processes import find_free_port, run_web

RATE = float(os.environ.get("BENCH_ANSWER_RATE", "20"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
#: quality.md R31
P99_SECONDS, LATEST_SECONDS = 0.1, 0.3
CALLERS, RULES = 20_000, 20


def make_request(number: int) -> tuple[str, bytes]:
    if number % 2:
        return "getDialogContext", json.dumps({"call_relation_id": str(number % CALLERS)}).encode()
    dialog = [
        {"seq": seq, "node_name": f"n{seq}", "text_robot": "请问您今年多大？", "text_man": text}
        for seq, text in enumerate(["喂", "是的", "我今年三十五岁", "下周三吧", "一百二十块五"])
    ]
    body = {"code": "SELF1", "call_uuid": f"bench-{number}", "robot_id": 1993, "dialog": dialog}
    return "semantic", json.dumps(body, ensure_ascii=False).encode()


def send(port: int, path: str, body: bytes, times: list[float], replies: list[bytes]) -> None:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    replies.append(reply.read())
    assert reply.status == 200
    connection.close()
    times.append(time.monotonic() - began)


def find_share(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def run_schedule(port: int, requests: list[tuple[str, bytes]]) -> tuple[list[float], list[bytes]]:
    times: list[float] = []
    replies: list[bytes] = []
    threads = []
    begin = time.monotonic() + 0.5
    for number, (path, body) in enumerate(requests):
        time.sleep(max(0.0, begin + number / RATE - time.monotonic()))
        thread = threading.Thread(target=send, args=(port, path, body, times, replies))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return times, replies


@pytest.mark.django_db(transaction=True)
def test_questions_are_answered_in_time(settings: Any, tmp_path: Any) -> None:
    settings.CONN_MAX_AGE = 0
    account = make_account()
    make_context_default(account=account, values={"姓名": "客户", "产品": "宽带"})
    InboundContext.objects.bulk_create(
        InboundContext(account=account, relation_id=str(n), values={"姓名": f"张{n}"})
        for n in range(CALLERS)
    )
    kinds = ("number", "date", "amount", "phone")
    for number in range(RULES):
        make_semantic_rule(
            account=account,
            key=f"k{number}",
            kind=kinds[number % len(kinds)],
            type="string",
            source="any_answer",
        )
    token = CallbackToken.make(account)[1]
    keys = {"SECRET_KEY": settings.SECRET_KEY, "FIELD_KEYS": ",".join(settings.FIELD_KEYS)}
    environment = {"DATA_DIR": str(tmp_path), "CONN_MAX_AGE": "60", **keys}
    count = int(RATE * SECONDS)
    port = find_free_port()
    with run_web(port, **environment):
        questions = [
            (f"/callbacks/{token}/{kind}", body) for kind, body in map(make_request, range(count))
        ]
        pushes = [(f"/callbacks/{token}/receiveDialog", body) for _path, body in questions]
        run_schedule(port, questions[:20])  # the server is warm
        bare, _ = run_schedule(port, pushes[: count // 2])
        times, replies = run_schedule(port, questions)
    empty = sum(reply in (b"{}", b"[]") for reply in replies)
    found = list(InboundAnswer.objects.values_list("took_ms", flat=True))
    late, latest = find_share(times, 0.99), max(times)
    print(
        f"\n{count} questions at {RATE:g}/s, {RULES} rules, {CALLERS} callers: p50"
        f" {find_share(times, 0.5) * 1000:.0f} ms, p99 {late * 1000:.0f} ms"
        f" ({late / P99_SECONDS:.2f} of the limit), latest {latest * 1000:.0f} ms"
        f" ({latest / LATEST_SECONDS:.2f} of the limit), {empty} empty; found after p50"
        f" {find_share(found, 0.5):.0f} ms, p99 {find_share(found, 0.99):.0f} ms; a push beside"
        f" them: p50 {find_share(bare, 0.5) * 1000:.0f} ms,"
        f" p99 {find_share(bare, 0.99) * 1000:.0f} ms;"
        f" load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    assert InboundAnswer.objects.count() == count + 20
    assert late <= P99_SECONDS and latest <= LATEST_SECONDS and not empty
