"""What the client of yeta reads: tasks over all pages, the configuration, the failed pushes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from campaigns.platforms.contract import FailedPushFiles
from campaigns.platforms.errors import Uncertain
from campaigns.platforms.events import PlatformTaskState
from tests.platforms.payloads import find_payload
from tests.platforms.yeta.scripted import BEGIN, Scripted, make_client

# ------------------------------------------------------------------------------------------- query


def make_task(number: int, **fields: Any) -> dict[str, Any]:
    return {"task_id": str(number), "task_name": f"t{number}", "status": 2, **fields}


def make_pages(total: int, **wishes: Any) -> Callable[[Any], Any]:
    def answer(body: Any) -> Any:
        begin = (body["page_index"] - 1) * body["page_size"]
        rows = [make_task(number) for number in range(begin, min(total, begin + 50))]
        return {"total_rows": wishes.get("told", total), "rows": rows}

    return answer


@pytest.mark.parametrize(("total", "pages"), [(0, 1), (1, 1), (50, 1), (51, 2), (173, 4)])
def test_all_pages_are_read(total: int, pages: int) -> None:
    with Scripted(make_pages(total)) as server:
        tasks = make_client(server.base_url).query_tasks()
    assert [task.platform_task_id for task in tasks] == [str(number) for number in range(total)]
    assert [body["page_index"] for _, body in server.asked] == list(range(1, pages + 1))
    assert {body["page_size"] for _, body in server.asked} == {50}


def test_every_filter_is_sent() -> None:
    with Scripted({"total_rows": 0, "rows": []}) as server:
        make_client(server.base_url).query_tasks(
            name="测试",
            begin_at=BEGIN,
            end_at=BEGIN + timedelta(hours=1),
            states=[PlatformTaskState.RUNNING, "paused"],
            sort="created_at",
            descending=True,
        )
    assert server.asked[0][1] == {
        "task_name": "测试",
        "time_begin": 1527321600123,
        "time_end": 1527325200123,
        "task_status_list": [2, 3],
        "sort_name": "CREATETIME",
        "sort_order": "DESC",
        "page_size": 50,
        "page_index": 1,
    }


@pytest.mark.parametrize(
    "reply",
    [
        lambda body: {"total_rows": 120, "rows": [make_task(number) for number in range(50)]},
        make_pages(50, told=51),
        {"total_rows": 3, "rows": []},
        {"total_rows": 3},
        {"rows": [make_task(1)]},
        {"total_rows": "many", "rows": []},
        {"total_rows": 1, "rows": {"0": make_task(1)}},
        lambda body: {
            "total_rows": 10**6,
            "rows": [make_task(body["page_index"] * 100 + number) for number in range(50)],
        },
    ],
    ids=["repeats", "short", "empty", "no rows", "no total", "odd total", "object", "endless"],
)
def test_an_incomplete_list_never_passes_for_a_whole_one(reply: Any) -> None:
    with Scripted(reply) as server, pytest.raises(Uncertain):
        make_client(server.base_url).query_tasks()
    assert len(server.asked) <= 100


def test_repeated_pages_are_noticed_at_once() -> None:
    rows = [make_task(number) for number in range(50)]
    with Scripted({"total_rows": 120, "rows": rows}) as server, pytest.raises(Uncertain):
        make_client(server.base_url).query_tasks()
    assert len(server.asked) == 2


def test_pages_that_shift_while_they_are_read() -> None:
    """A task made meanwhile pushes one over to the next page: it comes twice, none is missing."""
    first = {"total_rows": 60, "rows": [make_task(number) for number in range(50)]}
    second = {"total_rows": 61, "rows": [make_task(number) for number in range(49, 61)]}
    with Scripted(first, second) as server:
        assert len(make_client(server.base_url).query_tasks()) == 61


def test_a_row_without_an_id_does_not_hide_the_others() -> None:
    rows = [make_task(1), {"task_name": "?"}, None, make_task(2)]
    with Scripted({"total_rows": 4, "rows": rows}) as server:
        tasks = make_client(server.base_url).query_tasks()
    assert [task.platform_task_id for task in tasks] == ["1", "2"]


def test_the_sample_of_the_text_although_it_is_no_json() -> None:
    body = find_payload("yeta", "reply_query__sample").body
    with Scripted(body.replace(b'"total_rows":30', b'"total_rows":1')) as server:
        task = make_client(server.base_url).query_task("1909")
    assert task is not None
    assert (task.state, task.platform_state, task.contacts) == (
        PlatformTaskState.FINISHED,
        "4",
        4,
    )
    assert task.name == "task_test1"
    assert task.started_at == datetime(2018, 8, 3, 9, 44, 51, 345_000, tzinfo=UTC)
    assert task.counts["process_tel_count"] == 7
    assert task.details["time_range"] == ["07:30:00-23:30:00"]
    assert task.details["intention_push"] == ["A", "B"]
    assert task.details["status_recall"] == [1, 1]
    assert task.details["time_task_estimate_end"] is None
    assert task.problems == {}


@pytest.mark.parametrize(
    ("fields", "state", "code", "contacts"),
    [
        ({"status": 0, "count_tel": 12}, "created", "0", 12),
        ({"status": "3", "count_tel": "12"}, "paused", "3", 12),
        ({"status": 8, "count_tel": True}, "unknown", "8", None),
        ({"status": None}, "unknown", "", None),
        ({"status": 2, "deleted": 1, "count_tel": -1}, "deleted", "2", None),
    ],
)
def test_a_task_as_the_platform_sees_it(
    fields: dict[str, Any], state: str, code: str, contacts: int | None
) -> None:
    with Scripted({"total_rows": 1, "rows": [make_task(129, **fields)]}) as server:
        task = make_client(server.base_url).query_task("129")
    assert task is not None
    assert (task.state, task.platform_state, task.contacts) == (state, code, contacts)
    assert task.deleted is (state == "deleted")
    assert ("count_tel" in task.problems) is (fields.get("count_tel") in (True, -1))


def test_a_task_that_the_platform_does_not_know() -> None:
    for reply in ({"total_rows": 0, "rows": []}, {"code": 200202, "result": {}}):
        with Scripted(reply) as server:
            assert make_client(server.base_url).query_task("129") is None
    with Scripted({"total_rows": 1, "rows": [make_task(130)]}) as server, pytest.raises(Uncertain):
        make_client(server.base_url).query_task("129")


# ----------------------------------------------------------------------------- catalogue and files


def test_the_configuration_of_the_text() -> None:
    with Scripted(find_payload("yeta", "reply_config__sample").body) as server:
        catalog = make_client(server.base_url).fetch_catalog()
    assert server.asked[0][1] == {"type": 0}
    (robot,) = catalog.robots
    assert (robot.platform_id, robot.name, robot.state, robot.kind, robot.deleted) == (
        "111111",
        "金融",
        "published",
        "ordinary",
        False,
    )
    assert robot.columns == ("客户手机号码", "姓名", "性别")
    assert robot.created_at == datetime(2018, 5, 26, 7, 58, 12, tzinfo=UTC)
    busy, idle = catalog.lines
    assert (busy.number, busy.concurrency, busy.state) == ("055169101407", 10, "busy")
    assert busy.hours == ((time(9), time(12)), (time(13), time(17, 59, 59)))
    assert busy.applied_at is not None
    assert busy.expires_at == busy.applied_at + timedelta(days=30)
    assert (idle.state, idle.platform_state) == ("idle", "0")
    assert [(voice.code, voice.name) for voice in catalog.voices] == [("60020", "春春")]
    assert catalog.callback_urls == {
        "receiveCallRecord": "http://your-service.url/receiveCallRecord"
    }


def test_a_catalogue_with_holes() -> None:
    result = {
        "robots": [
            {"robot_id": 7, "status": 9, "call_column": '["a","b"]', "deleted": "1"},
            {"robot_name": "no id"},
            None,
        ],
        "lines": [
            {"line_num": "1", "time_expire": -1, "time_apply": 1527321492000},
            {"line_num": "2", "time_work": ["22:00-06:00", "9-12", "25:00-26:00", 5]},
            {"line_num": "3", "time_work": '["00:00:00-24:00:00"]', "time_expire": 2**60},
        ],
        "voices": [{"code": "60030", "name": "晓峰"}, {"voice_code": "1"}, {}],
        "urls": None,
    }
    with Scripted(result, {}, {"robots": "none"}) as server:
        client = make_client(server.base_url)
        catalog = client.fetch_catalog()
        empty = client.fetch_catalog()
        with pytest.raises(Uncertain):
            client.fetch_catalog()
    (robot,) = catalog.robots
    assert (robot.platform_id, robot.state, robot.columns, robot.deleted) == (
        "7",
        "unknown",
        ("a", "b"),
        True,
    )
    forever, night, day = catalog.lines
    assert (forever.expires_at, forever.hours) == (None, ())
    assert night.hours == ((time(22), time(23, 59, 59)), (time(0), time(6)))
    assert night.raw["problems"].keys() == {"time_work"}
    assert day.hours == ((time(0), time(23, 59, 59)),)
    assert [(voice.code, voice.name) for voice in catalog.voices] == [("60030", "晓峰"), ("1", "1")]
    assert (empty.robots, empty.lines, empty.voices, empty.callback_urls) == ((), (), (), {})


def test_failed_pushes() -> None:
    good = "4267/2018-12-10/0806090407040D0F0F020F060B080E09.zip"
    hostile = ["../x.zip", "/x.zip", "http://evil.example/x.zip", "a\\b", "", 5, None, good]
    prefix = "https://www.xfyeta.com/push_download/"
    full = {"url": [good, *hostile, prefix + "1/b.zip"]}
    with Scripted(full, {}, {"url": "a.zip"}, {"url": []}) as server:
        client = make_client(server.base_url, settings={"push_download_prefix": prefix})
        # 17:00 UTC is the next day in Shanghai
        day = datetime(2018, 12, 9, 17, tzinfo=UTC)
        assert client.list_failed_pushes(day) == FailedPushFiles((good, "1/b.zip"), 7)
        with pytest.raises(Uncertain):  # no list says nothing, unlike an empty one
            client.list_failed_pushes()
        assert client.list_failed_pushes() == FailedPushFiles(("a.zip",))
        assert client.list_failed_pushes() == FailedPushFiles(())
    assert [body for _, body in server.asked] == [{"date": "2018-12-10"}, {}, {}, {}]
