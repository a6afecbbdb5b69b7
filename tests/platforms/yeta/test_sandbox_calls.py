"""In: tasks that dial. Out: calls, statuses, recordings and pushes as yeta's text has them."""

from __future__ import annotations

import io
import json
import re
import time
import wave
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from campaigns.platforms.sandbox import serve
from campaigns.platforms.sandbox_clock import SHANGHAI
from campaigns.platforms.yeta.sandbox_outcomes import ANSWERED, RESULTS
from campaigns.platforms.yeta.sandbox_script import NODES
from tests.platforms.sandbox_client import (
    COLUMNS,
    LINE,
    MODULES,
    ROBOT,
    Client,
    Receiver,
    make_rows,
    wait_until,
)

BASIC = {
    "business_id",
    "app_id",
    "robot_id",
    "call_uuid",
    "caller",
    "callee",
    "direction",
    "task_id",
    "task_data_id",
    "time_dial",
    "time_ring",
    "time_answer",
    "time_hangup",
    "duration_ring",
    "duration_call",
}
OUTBOUND = BASIC | {
    "task_result",
    "task_result_desc",
    "task_tries",
    "task_row_index",
    "task_row_head",
    "task_row_value",
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def client() -> Iterator[Client]:
    with serve(speed=2000, seed="calls") as sandbox:
        client = Client(sandbox)
        client.control("settings", {"push_timeout": 1, "push_retry_wait": 0.02})
        yield client


def force(client: Client, receiver: Receiver | None = None, **numbers: Any) -> None:
    """Outcomes of numbers, `n1` meaning 19900000001."""
    told = {f"199{int(name[1:]):08d}": outcome for name, outcome in numbers.items()}
    client.set_app(numbers=told, urls=receiver.urls if receiver else {})


def test_a_campaign_of_a_thousand(client: Client, receiver: Receiver) -> None:
    client.set_app(urls=receiver.urls, lines=[{"line_num": LINE, "concurrents": 50}])
    client.control("faults", {"kind": "duplicate", "endpoint": "push.*", "probability": 0.3})
    client.control("faults", {"kind": "shuffle", "endpoint": "push.*", "seconds": 0.5})
    task = client.create()
    ids = client.insert(task, make_rows(1000))
    client.get("task/start", task_id=task)
    row = wait_until(lambda: (told := client.row_of(task))["status"] == 4 and told, seconds=30)
    ledger = wait_until(
        lambda: (t := client.look("ledger"))["busy"] == {"calls": 0, "pushes": 0} and t, seconds=30
    )
    assert len(set(ids)) == 1000 and ledger["calls"] == 1000
    assert ledger["rings"] == {f"199{n:08d}": 1 for n in range(1, 1001)}
    assert ledger["rings_by_row"] == {str(number): 1 for number in ids}
    assert row["process_count"] == row["process_tel_count"] == 1000
    calls = client.look("calls")["items"]
    answered = [call for call in calls if call["time_answer"]]
    assert 380 < len(answered) < 520
    assert row["process_through_count"] == len(answered)
    assert set(ledger["calls_by_result"]) == set(RESULTS)
    pushes = ledger["pushes"]
    assert pushes["created"] == pushes["acknowledged"] == 2000 + 2 * len(answered)
    assert pushes["sent"] > pushes["created"]
    assert len(receiver.got) == pushes["sent"]
    for module, times in (("receiveCallRecord", 2), ("receiveVoice", 1), ("receiveDialog", 1)):
        told = {json.dumps(body, sort_keys=True) for body in receiver.told(module)}
        owners = calls if module == "receiveCallRecord" else answered
        assert len(told) == times * len(owners)


def test_both_records_in_either_order(client: Client, receiver: Receiver) -> None:
    client.set_app(urls=receiver.urls)
    client.wait_for(client.run(make_rows(40)))
    client.wait_quiet()
    kinds = set()
    for call in client.look("calls")["items"]:
        created = client.look(f"pushes?module=receiveCallRecord&call_uuid={call['call_uuid']}")
        records = [push["payload"] for push in created["items"]]
        assert len(records) == 2
        kinds.add("task_row_index" in records[0])
        basic, outbound = sorted(records, key=lambda record: "task_row_index" in record)
        assert set(basic) == BASIC and set(outbound) == OUTBOUND
        assert outbound | basic == outbound
        assert outbound["task_result"] == call["task_result"]
        assert outbound["task_result_desc"] == RESULTS[call["task_result"]][0]
        assert bool(outbound["time_answer"]) == (call["task_result"] in ANSWERED)
        assert outbound["time_dial"] <= outbound["time_ring"] <= outbound["time_hangup"]
        assert all(type(outbound[n]) is str for n in ("task_id", "task_data_id", "task_result"))
        assert outbound["task_row_value"] == [call["callee"], "张三"]
        if outbound["time_answer"]:
            talk = (outbound["time_hangup"] - outbound["time_answer"]) / 1000
            assert abs(outbound["duration_call"] - talk) <= 1
    assert kinds == {True, False}


@pytest.mark.parametrize(("style", "told"), [("zero", 0), ("null", None), ("absent", "absent")])
def test_ways_to_say_unanswered(client: Client, receiver: Receiver, style: str, told: Any) -> None:
    client.set_app(urls=receiver.urls, unanswered=style)
    client.wait_for(client.run([["19990600001", "张三"]]))
    client.wait_quiet()
    assert [r.get("time_answer", "absent") for r in receiver.told(MODULES[0])] == [told] * 2


def test_dialog_and_recording(client: Client, receiver: Receiver) -> None:
    client.set_app(urls=receiver.urls)
    rows = [[f"1999{mark}0000{n}", "王女士"] for n in range(4) for mark in ("00", "15", "19", "71")]
    client.wait_for(client.run(rows))
    client.wait_quiet()
    dialogs = {told["call_uuid"]: told for told in receiver.told("receiveDialog")}
    voices = {told["call_uuid"]: told for told in receiver.told("receiveVoice")}
    assert len(dialogs) == len(voices) == len(rows)
    types = set()
    for told in dialogs.values():
        assert told["time_begin"] < told["time_end"]
        assert "王女士" in told["dialog"][0]["text_robot"]
        for seq, turn in enumerate(told["dialog"], start=1):
            assert turn["seq"] == str(seq) and turn["role"] in ("robot", "customer")
            assert told["time_begin"] <= turn["time_start"] <= told["time_end"]
            types.add(turn["node_type"])
            if turn["role"] == "customer":
                assert turn["text_man"] and turn["text_robot"]
                assert sum(hit["pick"] for hit in turn["hits"]) == 1
        tags = [turn["tag_name"] for turn in told["dialog"] if turn["tag_name"]]
        assert told.get("tag_max", "") == min(tags, default="")
        assert told.get("tag_min", "") == max(tags, default="")
    assert {"NormalNode", "NoNeedAnswerNode", "ConditionNode", "EndNode"} <= types
    assert types <= {node.type for node in NODES.values()}
    for told in voices.values():
        answer = client.send("GET", f"/voice/{told['url']}")
        assert answer.status == 200 and answer.headers["content-type"] == "audio/wav"
        assert len(answer.body) == told["size"]
        with wave.open(io.BytesIO(answer.body)) as sound:
            assert sound.getparams()[:3] == (1, 2, 8000)
            assert sound.getnframes() == told["duration"] * 8000
            frames = sound.readframes(sound.getnframes())
        assert len(set(frames)) > 100


def test_ranges_of_a_recording(client: Client, receiver: Receiver) -> None:
    client.set_app(urls=receiver.urls)
    client.wait_for(client.run([["19990000001", "张三"]]))
    client.wait_quiet()
    path = f"/voice/{receiver.told('receiveVoice')[0]['url']}"
    whole = client.send("GET", path)
    assert whole.headers["accept-ranges"] == "bytes"
    size = len(whole.body)

    def ask(span: str) -> tuple[int, str | None, bytes]:
        answer = client.send("GET", path, headers={"Range": span})
        return answer.status, answer.headers.get("content-range"), answer.body

    assert ask("bytes=0-99") == (206, f"bytes 0-99/{size}", whole.body[:100])
    assert ask("bytes=100-") == (206, f"bytes 100-{size - 1}/{size}", whole.body[100:])
    assert ask("bytes=-10") == (206, f"bytes {size - 10}-{size - 1}/{size}", whole.body[-10:])
    assert ask(f"bytes={size}-")[:2] == (416, f"bytes */{size}")
    for odd in ("bytes=x-", "lines=1-2", "bytes=0-1,3-4", "bytes=-"):
        assert ask(odd)[0] == 200
    head = client.send("HEAD", path)
    assert head.headers["content-length"] == str(size) and head.body == b""
    assert client.send("GET", "/voice/../etc/passwd").status == 404
    assert client.send("GET", path.replace("/0/", "/1/")).status == 404


def test_forced_outcomes(client: Client, receiver: Receiver) -> None:
    force(
        client,
        receiver,
        n1="6",
        n2={"result": "0", "ring_seconds": 7, "talk_seconds": 33, "intention": "B"},
        n3={"result": "0", "voice": False, "dialog": False},
    )
    rows = [*make_rows(3), ["19990900001", "a"], ["19999900001", "b"], ["19997300001", "c"]]
    client.wait_for(client.run(rows))
    client.wait_quiet()
    calls = {call["callee"]: call for call in client.look("calls")["items"]}
    assert calls["19900000001"]["task_result"] == "6"
    assert calls["19900000002"]["recording"]["duration"] == 33
    assert calls["19900000002"]["duration_call"] == 33
    assert calls["19900000002"]["tags"] == ["B"]
    silent = calls["19900000003"]["call_uuid"]
    assert client.look(f"pushes?call_uuid={silent}&module=receiveVoice")["items"] == []
    assert client.look(f"pushes?call_uuid={silent}&module=receiveDialog")["items"] == []
    assert calls["19990900001"]["task_result"] == "9"
    assert calls["19999900001"]["task_result"] == "-1"
    assert calls["19997300001"]["tags"] == ["C"]


def test_recall(client: Client, receiver: Receiver) -> None:
    force(client, receiver, n1=["20", "20", "0"], n2=["6", "0"], n3="20", n4="0")
    task = client.run(make_rows(4), recall_count=2, time_recall_wait=60)
    row = client.wait_for(task)
    client.wait_quiet()
    rings = client.look("ledger")["rings"]
    assert [rings[f"1990000000{n}"] for n in (1, 2, 3, 4)] == [3, 1, 3, 1]
    assert row["count_recalled"] == 2 and row["process_tel_count"] == 4
    assert row["process_count"] == 8 and row["process_through_count"] == 2
    calls = client.look("calls")["items"]
    mine = [call for call in calls if call["callee"] == "19900000001"]
    assert [call["attempt"] for call in mine] == [0, 1, 2]
    assert mine[1]["time_dial"] >= max(c["time_hangup"] for c in calls if not c["attempt"]) + 59_000
    tries = {
        r["task_tries"]
        for r in receiver.told(MODULES[0])
        if r["callee"] == "19900000003"
        if "task_tries" in r
    }
    assert tries == {0, 1, 2}


def test_waiting_for_the_next_round() -> None:
    with serve(speed=500, seed=1) as sandbox:
        client = Client(sandbox)
        client.set_app(numbers={"19900000001": "5"})
        task = client.run(make_rows(1), recall_count=1, time_recall_wait=100_000)
        client.wait_for(task, status=5)
        client.control("clock", {"advance_seconds": 100_000})
        client.wait_for(task, status=4)
        assert client.look("ledger")["rings"] == {"19900000001": 2}


def test_nothing_rings_before_start_or_after_pause() -> None:
    with serve(speed=1, seed=1) as sandbox:
        client = Client(sandbox)
        client.set_app(lines=[{"line_num": LINE, "concurrents": 2}])
        task = client.create()
        client.insert(task, make_rows(20))
        assert client.look("ledger")["rings"] == {}
        client.get("task/start", task_id=task)
        row = client.row_of(task)
        assert row["status"] == 2 and row["process_count"] == 2
        told = client.get("config/query", type=2)["lines"]
        assert [line["status"] for line in told] == [1]
        client.get("task/pause", task_id=task)
        client.control("clock", {"speed": 5000})
        wait_until(lambda: client.look("ledger")["busy"]["calls"] == 0)
        time.sleep(0.1)
        assert client.row_of(task)["status"] == 3
        assert client.look("ledger")["calls"] == 2
        client.get("task/start", task_id=task)
        client.wait_for(task)
        assert set(client.look("ledger")["rings"].values()) == {1}
        assert client.code_of("task/start", task_id=task) == 3010101
        assert client.code_of("task/pause", task_id=task) == 3010101
        rows = {"call_column": COLUMNS, "call_list": make_rows(1)}
        assert client.code_of("task/insert", task_id=task, **rows) == 3010101


def test_nothing_rings_after_delete() -> None:
    with serve(speed=1, seed=1) as sandbox:
        client = Client(sandbox)
        client.set_app(lines=[{"line_num": LINE, "concurrents": 3}])
        task = client.run(make_rows(20))
        client.get("task/delete", task_id=task)
        client.control("clock", {"speed": 5000})
        wait_until(lambda: client.look("ledger")["busy"]["calls"] == 0)
        assert client.look("ledger")["calls"] == 3


def test_lines_carry_no_more_than_their_concurrents() -> None:
    with serve(speed=1, seed=1) as sandbox:
        client = Client(sandbox)
        client.set_app(
            lines=[{"line_num": "1", "concurrents": 3}, {"line_num": "2", "concurrents": 2}]
        )
        tasks = [client.run(make_rows(30, first=n * 100), line_num="1;2") for n in (1, 2, 3)]
        client.control("clock", {"speed": 2000})  # only now, so that all three compete
        for task in tasks:
            client.wait_for(task)
        calls = client.look("calls")["items"]
        assert len(calls) == 90
        for num, most in (("1", 3), ("2", 2)):
            mine = [call for call in calls if call["caller"] == num]
            edges = [(c["time_dial"], 1) for c in mine] + [(c["time_hangup"], -1) for c in mine]
            busy = peak = 0
            for _, step in sorted(edges):
                busy += step
                peak = max(peak, busy)
            assert peak == most
        assert {call["task_id"] for call in calls[:15]} == set(tasks)


def move_to(client: Client, *, hour: int) -> None:
    """Let the sandbox's clock stand at this hour in Shanghai."""
    now = datetime.fromtimestamp(client.look("state")["now_ms"] / 1000, UTC).astimezone(SHANGHAI)
    then = now.replace(hour=hour, minute=0, second=0, microsecond=0) + timedelta(days=1)
    client.control("clock", {"speed": 0, "advance_seconds": (then - now).total_seconds()})


def test_working_hours() -> None:
    with serve(speed=0, seed=1) as sandbox:
        client = Client(sandbox)
        work = ["09:00:00-12:00:00", "13:00:00-18:00:00"]
        client.set_app(lines=[{"line_num": LINE, "time_work": work, "concurrents": 1}])
        move_to(client, hour=7)
        task = client.run(make_rows(2), time_range=["08:00:00-09:30:00", "14:00:00-15:00:00"])
        assert client.row_of(task)["status"] == 6
        reply = client.code_of(
            "task/callout",
            line_num=LINE,
            robot_id=ROBOT,
            call_column=COLUMNS,
            call_list=make_rows(1, first=9),
        )
        assert reply == 200222
        client.control("clock", {"advance_seconds": 3600})  # 08:00: the line sleeps
        assert client.row_of(task)["status"] == 6
        client.control("clock", {"advance_seconds": 3600})  # 09:00
        wait_until(lambda: client.row_of(task)["process_count"] == 1)
        assert client.row_of(task)["status"] == 2
        client.control("clock", {"advance_seconds": 3600})  # 10:00: the task sleeps
        client.wait_for(task, status=6)
        assert client.look("ledger")["calls"] == 1
        client.control("clock", {"advance_seconds": 4 * 3600})  # 14:00
        wait_until(lambda: client.row_of(task)["process_count"] == 2)
        client.control("clock", {"advance_seconds": 600})
        client.wait_for(task, status=4)


def test_begin_and_end() -> None:
    with serve(speed=0, seed=1) as sandbox:
        client = Client(sandbox)
        client.set_app(lines=[{"line_num": LINE, "concurrents": 1}])
        now = client.look("state")["now_ms"]
        task = client.run(make_rows(9), time_begin=now + 60_000, time_end=now + 61_000)
        assert client.row_of(task)["status"] == 1
        client.control("clock", {"advance_seconds": 60.5})
        wait_until(lambda: client.look("ledger")["calls"] == 1)
        client.control("clock", {"advance_seconds": 600})
        client.wait_for(task, status=7)
        assert client.look("ledger")["calls"] == 1
        assert client.code_of("task/start", task_id=task) == 200222


def test_an_empty_task_is_done_at_once(client: Client) -> None:
    assert client.wait_for(client.run([]))["count_tel"] == 0


def test_callout(client: Client, receiver: Receiver) -> None:
    force(client, receiver, n1="0", n2="20")
    told = {"line_num": LINE, "robot_id": ROBOT, "call_column": COLUMNS, "robot_speed": 200}
    result = client.get("task/callout", **told, call_list=make_rows(2), voice_code="60030")
    assert result["total"] == 2
    client.wait_quiet()
    records = [r for r in receiver.told(MODULES[0]) if "task_row_index" in r]
    assert sorted(r["task_data_id"] for r in records) == sorted(map(str, result["task_data_ids"]))
    assert {r["task_row_index"] for r in records} == {1, 2}
    client.get("task/callout", **told, call_list=make_rows(2))
    client.wait_quiet()
    assert client.look("ledger")["rings"] == {"19900000001": 2, "19900000002": 2}
    rows = client.get("task/query")["rows"]
    assert len(rows) == 1 and rows[0]["task_type"] == 2 and rows[0]["count_tel"] == 4
    assert rows[0]["process_count"] == 4 and rows[0]["task_id"] == records[0]["task_id"]
    assert client.code_of("task/pause", task_id=rows[0]["task_id"]) == 200200


def test_inbound(client: Client, receiver: Receiver) -> None:
    client.set_app(urls=receiver.urls)
    context = {"姓名": "李四", "积分": "120"}
    answers = {
        "getDialogContext": json.dumps(context).encode(),
        "semantic": b'[{"key":"x","type":"integer","value":8}]',
    }
    receiver.answer = lambda module, _: answers.get(module, b"success")
    wish = {
        "app_key": "sandbox-key",
        "robot_id": ROBOT,
        "call_relation_id": "r-1",
        "caller": "19900000007",
    }
    told = client.control("inbound", wish)
    assert told["context"] == context
    assert told["semantic"] == [{"key": "x", "type": "integer", "value": 8}]
    client.wait_quiet()
    asked = receiver.told("getDialogContext")[0]
    assert set(asked) == {"call_relation_id", "business_id", "app_id", "robot_id"}
    semantic = receiver.told("semantic")[0]
    assert semantic["context"] == context and semantic["dialog"][0]["hit"]["pick"] is True
    asks = client.look("asks")["items"]
    assert [ask["module"] for ask in asks] == ["getDialogContext", "semantic"]
    assert json.loads(asks[0]["body"]) == context and asks[0]["status"] == 200
    records = receiver.told("receiveCallRecord")
    assert len(records) == 1 and records[0]["direction"] == 1
    assert records[0]["call_relation_id"] == "r-1" and records[0]["caller"] == "19900000007"
    assert "task_data_id" not in records[0] and "task_result" not in records[0]
    dialog = receiver.told("receiveDialog")[0]
    assert dialog["call_uuid"] == told["call_uuid"]
    assert "李四" in dialog["dialog"][0]["text_robot"]


@pytest.mark.parametrize(
    "wish", [{}, {"app_key": "x"}, {"app_key": "sandbox-key", "robot_id": "719004"}]
)
def test_inbound_refused(client: Client, wish: dict[str, Any]) -> None:
    answer = client.post("/_sandbox/inbound", wish)
    assert answer.status == 400 and answer.json()["error"].endswith(".")


# Pushes that fail


def read_failed(client: Client, url: str) -> tuple[list[str], list[dict[str, Any]]]:
    """The names of the entries of a failed-push file, and the glued objects in them."""
    answer = client.send("GET", f"/push_download/{url}")
    assert answer.status == 200
    objects: list[dict[str, Any]] = []
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            text, at = archive.read(name).decode(), 0
            assert not re.search(r"\}\s+\{", text)
            while at < len(text):
                told, at = json.JSONDecoder().raw_decode(text, at)
                objects.append(told)
        return archive.namelist(), objects


def test_a_push_is_tried_four_times_and_then_filed(client: Client, receiver: Receiver) -> None:
    force(client, receiver, n1="6")
    receiver.answer = lambda *_: b'{"code": 1, "message": "no"}'
    client.wait_for(client.run(make_rows(1)))
    told = client.wait_quiet()["pushes"]
    assert told == {"created": 2, "sent": 8, "filed": 2}
    for push in client.look("pushes")["items"]:
        assert push["state"] == "filed"
        assert [attempt["ok"] for attempt in push["attempts"]] == [False] * 4
        assert {attempt["status"] for attempt in push["attempts"]} == {200}
    assert client.get("push/failed") == {"url": []}, "today's are not listed"
    today = datetime.now(SHANGHAI).date()
    client.control("rollover", {})
    urls = client.get("push/failed")["url"]
    yesterday = (today - timedelta(days=1)).isoformat()
    assert re.fullmatch(rf"sandbox-demo/{yesterday}/[0-9A-F]{{32}}\.zip", urls[0])
    assert client.get("push/failed", date=yesterday)["url"] == urls
    assert client.get("push/failed", date=today.isoformat())["url"] == []
    _, objects = read_failed(client, urls[0])
    assert [set(told) for told in objects] == [{"data", "module", "retryTimes", "timestamp"}] * 2
    assert {told["retryTimes"] for told in objects} == {4}
    assert sorted(json.dumps(o["data"]) for o in objects) == sorted(
        json.dumps(push["payload"]) for push in client.look("pushes")["items"]
    )
    for _ in range(6):
        client.control("rollover", {})
    assert len(client.get("push/failed")["url"]) == 1
    client.control("rollover", {})
    assert client.get("push/failed")["url"] == []
    assert client.send("GET", f"/push_download/{urls[0]}").status == 404


def test_the_next_attempt_may_succeed(client: Client, receiver: Receiver) -> None:
    force(client, receiver, n1="6")
    receiver.answer = lambda _, count: b"success" if count > 6 else b"busy"
    client.wait_for(client.run(make_rows(1)))
    told = client.wait_quiet()["pushes"]
    assert told["acknowledged"] == 2 and told["sent"] > 6


@pytest.mark.parametrize(
    ("wait", "acknowledged"), [(0.1, True), (0.8, False)], ids=["in time", "too late"]
)
def test_the_word_must_come_in_time(
    client: Client, receiver: Receiver, wait: float, acknowledged: bool
) -> None:
    client.control("settings", {"push_timeout": 0.4})
    force(client, receiver, n1="6")

    def answer(module: str, count: int) -> bytes:
        time.sleep(wait)
        return b"success"

    receiver.answer = answer
    client.wait_for(client.run(make_rows(1)))
    told = client.wait_quiet()["pushes"]
    assert told.get("acknowledged", 0) == (2 if acknowledged else 0)
    assert told.get("filed", 0) == (0 if acknowledged else 2)


def test_the_timeout_is_three_seconds() -> None:
    with serve() as sandbox:
        told = Client(sandbox).look("state")
    assert told["push_timeout"] == 3.0


def test_nobody_listens(client: Client) -> None:
    client.set_app(urls={"receiveCallRecord": "http://127.0.0.1:9/x"})
    client.wait_for(client.run(make_rows(1)))
    assert client.wait_quiet()["pushes"]["filed"] == 2
    client.set_app(urls={"receiveCallRecord": "not an address"})
    client.wait_for(client.run(make_rows(1)))
    assert client.wait_quiet()["pushes"]["filed"] == 4


def test_without_an_address_nothing_is_pushed(client: Client) -> None:
    client.wait_for(client.run(make_rows(5)))
    assert client.wait_quiet()["pushes"] == {}


def test_dropped_pushes_are_in_the_file_and_live_ones_are_not(
    client: Client, receiver: Receiver
) -> None:
    client.set_app(urls=receiver.urls)
    client.control("faults", {"kind": "drop", "endpoint": "push.*", "probability": 0.3})
    client.wait_for(client.run(make_rows(150)))
    told = client.wait_quiet()["pushes"]
    assert told["acknowledged"] + told["filed"] == told["created"]
    assert 0.2 < told["filed"] / told["created"] < 0.4
    assert len(receiver.got) == told["acknowledged"]
    client.control("rollover", {})
    names, objects = read_failed(client, client.get("push/failed")["url"][0])
    assert len(names) > 2 and len({name.count("/") for name in names}) > 1
    filed = Counter(json.dumps(o["data"], sort_keys=True) for o in objects)
    live = Counter(json.dumps(body, sort_keys=True) for _, body in receiver.got)
    assert sum(filed.values()) == told["filed"] and not filed & live


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("vanish", (0, 0, 0)),
        ("lose_attempt", (0, 0, 2)),
        ("forget_ack", (8, 0, 2)),
        ("duplicate", (4, 2, 0)),
        ("delay", (2, 2, 0)),
    ],
)
def test_push_faults(
    client: Client, receiver: Receiver, kind: str, outcome: tuple[int, int, int]
) -> None:
    force(client, receiver, n1="6")
    client.control("faults", {"kind": kind, "endpoint": "push.receiveCallRecord", "seconds": 0.1})
    client.wait_for(client.run(make_rows(1)))
    told = client.wait_quiet()["pushes"]
    assert tuple(told.get(name, 0) for name in ("sent", "acknowledged", "filed")) == outcome
    assert len(receiver.got) == outcome[0]


# After a restart


def test_a_restart_forgets_nothing(tmp_path: Path, receiver: Receiver) -> None:
    with serve(speed=1, state_dir=tmp_path) as sandbox:
        client = Client(sandbox)
        client.set_app(urls=receiver.urls, lines=[{"line_num": LINE, "concurrents": 3}])
        client.control("settings", {"push_retry_wait": 30})
        client.control("faults", {"kind": "lose_attempt", "count": 5})
        done = client.run([["19990600001", "a"], ["19990000001", "b"]])
        client.control("clock", {"advance_seconds": 600})
        client.wait_for(done)
        wait_until(lambda: client.look("ledger")["pushes"].get("created") == 6)
        running = client.run(make_rows(8))
        waiting = client.create(task_name="später")
        client.insert(waiting, make_rows(4))
        rings = client.look("ledger")["rings"]
        seed = client.look("state")["seed"]
    with serve(speed=2000, state_dir=tmp_path) as sandbox:
        client = Client(sandbox)
        assert client.look("state")["seed"] == seed
        assert client.row_of(done)["status"] == 4
        assert client.row_of(waiting)["count_tel"] == 4
        client.wait_for(running)
        told = client.wait_quiet()
        assert told["rings"].items() >= rings.items()
        assert set(told["rings"].values()) == {1} and told["calls"] == 10
        calls = client.look("calls")["items"]
        pushed = {json.dumps(body, sort_keys=True) for _, body in receiver.got}
        answered = sum(call["time_answer"] > 0 for call in calls)
        assert len(pushed) == 2 * len(calls) + 2 * answered
        client.get("task/start", task_id=waiting)
        client.wait_for(waiting)
        assert client.create() > waiting
        voice = receiver.told("receiveVoice")[0]
        assert len(client.send("GET", f"/voice/{voice['url']}").body) == voice["size"]


def test_the_same_seed_gives_the_same_calls() -> None:
    told = []
    for _ in range(2):
        with serve(speed=5000, seed="same") as sandbox:
            client = Client(sandbox)
            client.wait_for(client.run(make_rows(30)))
            calls = client.look("calls")["items"]
            told.append(
                sorted((c["callee"], c["task_result"], c["call_uuid"], c["tags"]) for c in calls)
            )
    assert told[0] == told[1]
