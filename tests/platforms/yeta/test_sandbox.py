"""In: requests as yeta's text has them, good and bad. Out: the replies that the text promises."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from campaigns.platforms.sandbox import serve
from tests.platforms.sandbox_client import COLUMNS, LINE, ROBOT, Client, make_rows

NOW = int(time.time() * 1000)
CREATE: dict[str, Any] = {
    "task_name": "试验",
    "line_num": LINE,
    "robot_id": ROBOT,
    "time_begin": NOW,
}
CALLOUT: dict[str, Any] = {
    "line_num": LINE,
    "robot_id": ROBOT,
    "call_column": COLUMNS,
    "call_list": [["19900000001", "张先生"], ["19900000002", "王女士"]],
}
GONE = object()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serve(seed="contract") as sandbox:
        yield Client(sandbox)


def merge(told: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in {**told, **changes}.items() if v is not GONE}


def test_token(client: Client) -> None:
    told = {"app_key": "sandbox-key", "app_secret": "sandbox-secret"}
    first = client.post("/openapi/oauth/v1/token", told)
    assert first.status == 200 and "yeta" in first.headers["x-callboard-sandbox"].split(",")
    reply = first.json()
    assert reply["code"] == 0 and reply["message"] == "ok"
    assert reply["result"]["time_expire"] == 3600 and len(reply["result"]["token"]) == 32
    second = client.post("/openapi/oauth/v1/token", told).json()["result"]["token"]
    assert second != reply["result"]["token"]
    for token in (reply["result"]["token"], second):
        assert client.post(f"/openapi/config/v1/query?token={token}", {}).json()["code"] == 0


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"app_key": "sandbox-key", "app_secret": "wrong"}, 200101),
        ({"app_key": "nobody", "app_secret": "sandbox-secret"}, 200101),
        ({"app_key": "sandbox-key"}, 10005),
        ({"app_key": 1, "app_secret": "sandbox-secret"}, 10005),
        ([], 10005),
    ],
)
def test_token_refused(client: Client, told: Any, code: int) -> None:
    reply = client.post("/openapi/oauth/v1/token", told).json()
    assert reply["code"] == code and reply["result"] == {} and reply["message"]


@pytest.mark.parametrize("query", ["", "?token=", "?token=unknown"])
def test_without_a_token(client: Client, query: str) -> None:
    reply = client.post(f"/openapi/outbound/v1/task/query{query}", {}).json()
    assert reply["code"] == 10001


def test_token_expires() -> None:
    with serve() as sandbox:
        client = Client(sandbox)
        token = client.get_token()
        client.control("clock", {"advance_seconds": 3595})
        client.token = token
        assert client.code_of("config/query") == 0
        client.control("clock", {"advance_seconds": 6})
        client.token = token
        assert client.code_of("config/query") == 10001
        client.get_token()
        assert client.code_of("config/query") == 0


def test_token_lives_in_real_time_however_fast_the_clock() -> None:
    with serve(speed=100_000) as sandbox:
        client = Client(sandbox)
        began = client.look("state")["now_ms"]
        while client.look("state")["now_ms"] < began + 3_700_000:
            time.sleep(0.005)
        assert client.code_of("config/query") == 0


@pytest.mark.parametrize(
    ("method", "kind", "body"),
    [
        ("GET", "application/json", None),
        ("PUT", "application/json", b"{}"),
        ("POST", "text/plain", b"{}"),
        ("POST", "application/x-www-form-urlencoded", b"type=0"),
        ("POST", "application/json;charset=GBK", b"{}"),
        ("POST", "application/json", b""),
        ("POST", "application/json", b"{"),
        ("POST", "application/json", b"null"),
        ("POST", "application/json", b"[1]"),
        ("POST", "application/json", b"\xff\xfe"),
        ("POST", "application/json", b"[" * 100_000),
        ("POST", "application/json", b'{"type": %s}' % (b"9" * 5000)),
        ("POST", "application/json", b'{"type": true}'),
        ("POST", "application/json", b'{"type": "0"}'),
        ("POST", "application/json", b'{"type": 5}'),
    ],
)
def test_not_a_request_of_the_text(
    client: Client, method: str, kind: str, body: bytes | None
) -> None:
    answer = client.send(
        method, client.path_of("config/query"), body=body, headers={"Content-Type": kind}
    )
    assert answer.json() == {"code": 10005, "message": "输入参数不正确", "result": {}}


def test_config(client: Client) -> None:
    client.set_app(urls={"receiveVoice": "http://127.0.0.1:9/x"})
    told = client.get("config/query", type=0)
    assert set(told) == {"lines", "robots", "urls", "voices"}
    assert set(told["lines"][0]) == {
        "line_num",
        "concurrents",
        "time_work",
        "status",
        "time_apply",
        "time_expire",
    }
    robots = {robot["robot_id"]: robot for robot in told["robots"]}
    assert robots["719004"]["status"] == 3 and robots["719005"]["deleted"] == 1
    assert robots[ROBOT]["call_column"] == COLUMNS
    assert told["urls"] == [{"url": "http://127.0.0.1:9/x", "url_module": "receiveVoice"}]
    assert {"voice_code": "60020", "voice_name": "晓燕"} in told["voices"]
    parts = [set(client.get("config/query", type=n)) for n in (1, 2, 3, 4)]
    assert parts == [{"robots"}, {"lines"}, {"urls"}, {"voices"}]
    client.set_app(urls={})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"task_name": GONE}, 10005),
        ({"task_name": " "}, 10005),
        ({"task_name": 1}, 10005),
        ({"time_begin": GONE}, 10005),
        ({"time_begin": "1527321492000"}, 10005),
        ({"time_begin": True}, 10005),
        ({"recall_count": 4}, 10005),
        ({"recall_count": -1}, 10005),
        ({"time_recall_wait": -1}, 10005),
        ({"time_range": "09:00:00-12:00:00"}, 10005),
        ({"time_range": ["09:00-12:00"]}, 10005),
        ({"time_range": ["12:00:00-09:00:00"]}, 10005),
        ({"time_range": [1]}, 10005),
        ({"time_end": NOW - 1}, 10005),
        ({"time_begin": NOW - 20_000, "time_end": NOW - 10_000}, 200222),
        ({"trubo_mode": "yes"}, 10005),
        ({"line_num": ""}, 10005),
        ({"line_num": "000"}, 200200),
        ({"line_num": f"{LINE};000"}, 200200),
        ({"robot_id": "0"}, 200204),
        ({"robot_id": "719004"}, 200204),
        ({"robot_id": "719005"}, 200204),
        ({"robot_id": 719001}, 10005),
        ({"voice_code": "1"}, 200205),
    ],
)
def test_create_refused(client: Client, changes: dict[str, Any], code: int) -> None:
    before = client.get("task/query")["total_rows"]
    assert client.code_of("task/create", **merge(CREATE, changes)) == code
    assert client.get("task/query")["total_rows"] == before


def test_create_outside_the_hours_of_the_line(client: Client) -> None:
    line = {"line_num": "0551", "time_work": ["09:00:00-12:00:00"]}
    client.set_app(lines=[{"line_num": LINE}, line])
    told = {**CREATE, "line_num": "0551"}
    assert client.code_of("task/create", **told, time_range=["13:00:00-14:00:00"]) == 200222
    assert client.code_of("task/create", **told, time_range=["11:00:00-14:00:00"]) == 0
    assert client.code_of("task/create", **told) == 0
    client.set_app(lines=None)


def test_a_task_as_query_tells_it(client: Client) -> None:
    task = client.create(
        task_name="说明",
        line_num=f"{LINE};055160000002",
        recall_count=2,
        time_recall_wait=2000,
        time_range=["07:30:00-23:30:00"],
        time_begin=NOW,
        time_end=NOW + 3_600_000,
        voice_code="60030",
        trubo_mode=True,
    )
    assert type(task) is str
    ids = client.insert(task, make_rows(3))
    assert len(set(ids)) == 3 and all(type(number) is int for number in ids)
    row = client.row_of(task)
    assert row == {
        "task_id": task,
        "task_name": "说明",
        "status": 0,
        "task_type": 0,
        "deleted": 0,
        "count_total_task": 3,
        "count_tel": 3,
        "count_recalled": 0,
        "process_count": 0,
        "process_tel_count": 0,
        "process_through_count": 0,
        "process_through_rate": 0,
        "time_task_estimate_begin": NOW,
        "time_task_estimate_end": NOW + 3_600_000,
        "line_num": f"{LINE};055160000002",
        "robot_id": ROBOT,
        "robot_name": "模拟-客户回访",
        "voice_code": "60030",
        "voice_speed": 1,
        "count_max_recall": 2,
        "status_recall": "[1,1]",
        "time_recall_wait": 2000,
        "time_range": '["07:30:00-23:30:00"]',
        "intention_push": "[]",
    }
    assert json.loads(row["time_range"]) == ["07:30:00-23:30:00"]


def test_ids_beyond_a_double(client: Client) -> None:
    ids = client.insert(client.create(), make_rows(4))
    assert any(number > 2**53 for number in ids) and any(number < 2**53 for number in ids)
    client.set_app(big_ids=False)
    assert all(n < 2**53 for n in client.insert(client.create(), make_rows(4)))
    client.set_app(big_ids=True)


BAD_ROWS: list[tuple[dict[str, Any], int]] = [
    ({"call_column": GONE}, 10005),
    ({"call_list": GONE}, 10005),
    ({"call_list": []}, 10005),
    ({"call_list": "x"}, 10005),
    ({"call_list": ["x"]}, 10005),
    ({"call_list": [[19900000001, "张三"]]}, 10005),
    ({"call_list": [["19900000001", None]]}, 10005),
    ({"call_list": [["19900000001"]]}, 200212),
    ({"call_column": ["客户手机号码"], "call_list": [["19900000001"]]}, 200212),
    ({"call_column": ["姓名", "客户手机号码"]}, 200212),
    ({"call_column": ["客户手机号码", "年龄"]}, 200212),
    ({"call_list": make_rows(51)}, 200213),
    ({"call_list": [["19900000001", "张三"], ["110", "李四"]]}, 200203),
    ({"call_list": [["+8619900000001", "张三"]]}, 200203),
    ({"call_list": [["", "张三"]]}, 200203),
    ({"call_list": [["19900000001", "张三"], ["19999999999", "敏感"]]}, 200203),
]


@pytest.mark.parametrize(("changes", "code"), BAD_ROWS)
def test_insert_refused_whole(client: Client, changes: dict[str, Any], code: int) -> None:
    client.set_app(sensitive=["19999999999"])
    task = client.create()
    told = {"task_id": task, "call_column": COLUMNS, "call_list": make_rows(2)}
    assert client.code_of("task/insert", **merge(told, changes)) == code
    assert client.row_of(task)["count_tel"] == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        *BAD_ROWS,
        ({"robot_id": "719004"}, 200204),
        ({"robot_id": GONE}, 10005),
        ({"line_num": "000"}, 200200),
        ({"line_num": f"{LINE};055160000002"}, 10005),
        ({"voice_code": "1"}, 200205),
        ({"robot_speed": 501}, 200206),
        ({"robot_speed": -501}, 200206),
        ({"robot_speed": "fast"}, 200206),
        ({"robot_speed": True}, 200206),
    ],
)
def test_callout_refused_whole(client: Client, changes: dict[str, Any], code: int) -> None:
    client.set_app(sensitive=["19999999999"])
    before = client.look("ledger")["calls"]
    assert client.code_of("task/callout", **merge(CALLOUT, changes)) == code
    assert client.look("ledger")["calls"] == before


def test_fifty_rows_are_taken(client: Client) -> None:
    told = client.get(
        "task/insert", task_id=client.create(), call_column=COLUMNS, call_list=make_rows(50)
    )
    assert told["total"] == 50 and len(set(told["task_data_ids"])) == 50


def test_columns_may_come_in_another_order(client: Client) -> None:
    task = client.create(robot_id="719002")
    told = {"call_column": ["客户手机号码", "到期日", "产品", "姓名"], "task_id": task}
    rows = [["19900000001", "五月", "宽带", "张三"]]
    assert client.code_of("task/insert", **told, call_list=rows) == 0


@pytest.mark.parametrize("call", ["insert", "start", "pause", "delete"])
@pytest.mark.parametrize(("number", "code"), [("1", 200202), (GONE, 10005), (7, 10005)])
def test_no_such_task(client: Client, call: str, number: Any, code: int) -> None:
    told = {"task_id": number, "call_column": COLUMNS, "call_list": make_rows(1)}
    assert client.code_of(f"task/{call}", **merge(told, {})) == code


def test_a_task_of_another_app_is_unknown(client: Client) -> None:
    task = client.create()
    client.control("apps/other", {"app_secret": "s"}, method="PUT")
    told = {"app_key": "other", "app_secret": "s"}
    token = client.post("/openapi/oauth/v1/token", told).json()["result"]["token"]
    path = f"/openapi/outbound/v1/task/start?token={token}"
    assert client.post(path, {"task_id": task}).json()["code"] == 200202


def test_deleted_task(client: Client) -> None:
    task = client.create()
    client.insert(task, make_rows(1))
    assert client.code_of("task/delete", task_id=task) == 0
    assert client.row_of(task)["deleted"] == 1
    rows = {"call_column": COLUMNS, "call_list": make_rows(1)}
    for call in ("start", "pause", "delete"):
        assert client.code_of(f"task/{call}", task_id=task) == 3010102
    assert client.code_of("task/insert", task_id=task, **rows) == 3010102


def test_no_insert_after_start_and_no_pause_before(client: Client) -> None:
    task = client.create(time_begin=NOW + 3_600_000)
    client.insert(task, make_rows(1))
    assert client.code_of("task/pause", task_id=task) == 200200
    client.get("task/start", task_id=task)
    assert client.code_of("task/start", task_id=task) == 0
    assert client.row_of(task)["status"] == 1
    rows = {"call_column": COLUMNS, "call_list": make_rows(1)}
    assert client.code_of("task/insert", task_id=task, **rows) == 200200
    client.get("task/pause", task_id=task)
    assert client.row_of(task)["status"] == 3
    assert client.code_of("task/pause", task_id=task) == 0
    assert client.code_of("task/insert", task_id=task, **rows) == 200200
    assert client.row_of(task)["count_tel"] == 1


def test_no_balance(client: Client) -> None:
    task = client.create()
    client.insert(task, make_rows(1))
    client.set_app(balance=0)
    assert client.code_of("task/start", task_id=task) == 200209
    assert client.code_of("task/callout", **CALLOUT) == 200209
    client.set_app(balance=100)
    assert client.row_of(task)["status"] == 0


def test_occupied_line(client: Client) -> None:
    client.set_app(lines=[{"line_num": "0552", "exclusive": True}, {"line_num": LINE}])
    tasks = [client.create(line_num="0552", time_begin=NOW + 3_600_000) for _ in range(2)]
    for task in tasks:
        client.insert(task, make_rows(1))
    assert client.code_of("task/start", task_id=tasks[0]) == 0
    assert client.code_of("task/start", task_id=tasks[1]) == 3030002
    client.get("task/delete", task_id=tasks[0])
    assert client.code_of("task/start", task_id=tasks[1]) == 0
    client.set_app(lines=None)


def test_query_filters_pages_and_sorts() -> None:
    with serve(seed=1) as sandbox:
        client = Client(sandbox)
        tasks = [client.create(task_name=f"任务{n:02d}") for n in range(55)]
        client.get("task/delete", task_id=tasks[0])
        told = client.get("task/query", page_size=50, sort_name="ID", sort_order="ASC")
        assert told["total_rows"] == 55 and len(told["rows"]) == 50
        more = client.get(
            "task/query", page_size=50, page_index=2, sort_name="ID", sort_order="ASC"
        )
        assert [row["task_id"] for row in told["rows"] + more["rows"]] == tasks
        assert len(client.get("task/query")["rows"]) == 20
        assert client.get("task/query", page_index=99)["rows"] == []
        assert client.get("task/query", task_id="1") == {"total_rows": 0, "rows": []}
        assert client.get("task/query", task_name="任务5")["total_rows"] == 5
        assert client.get("task/query", task_status_list=[4, 7])["total_rows"] == 0
        assert client.get("task/query", task_status_list=[0])["total_rows"] == 55
        now = client.look("state")["now_ms"]
        assert client.get("task/query", time_begin=153000000)["total_rows"] == 55
        assert client.get("task/query", time_begin=now + 1)["total_rows"] == 0
        assert client.get("task/query", time_end=now - 3_600_000)["total_rows"] == 0
        for name in ("ID", "NAME", "CREATETIME", "STARTTIME", "ENDTIME"):
            rows = client.get("task/query", sort_name=name, sort_order="DESC")["rows"]
            assert len(rows) == 20
        rows = client.get("task/query", sort_name="NAME", sort_order="DESC")["rows"]
        assert rows[0]["task_name"] == "任务54"


@pytest.mark.parametrize(
    "told",
    [
        {"page_size": 51},
        {"page_size": 0},
        {"page_index": 0},
        {"page_size": "20"},
        {"sort_name": "id"},
        {"sort_order": "up"},
        {"task_status_list": [8]},
        {"task_status_list": ["0"]},
        {"task_status_list": 0},
        {"task_id": 1},
        {"time_begin": "x"},
    ],
)
def test_query_refused(client: Client, told: dict[str, Any]) -> None:
    assert client.code_of("task/query", **told) == 10005


@pytest.mark.parametrize("day", ["2018-12-1", "x", "2018-13-01", "20181210", 20181210])
def test_failed_pushes_refused(client: Client, day: Any) -> None:
    assert client.code_of("push/failed", date=day) == 10005


def test_no_failed_pushes(client: Client) -> None:
    assert client.get("push/failed") == {"url": []}
    assert client.get("push/failed", date="2018-12-10") == {"url": []}
