"""What the client of AI Rudder makes of answers that it only asked for, and of its settings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from campaigns.platforms.airudder.configuration import UnusableSetting, read_templates
from campaigns.platforms.airudder.numbers import is_same_number, to_international
from campaigns.platforms.errors import Uncertain
from campaigns.platforms.events import CallEnded
from tests.platforms.airudder.scripted import QUERY, Scripted, find, make_client, make_record
from tests.platforms.payloads import list_payloads

# ---------------------------------------------------------------------------------------- finding


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        ([], ()),
        (["w1"], ("w1",)),
        (["w1", "w2", "w1"], ("w1", "w2")),
        ([{"workflow_id": "w1"}, {"workflow_id": "w2", "name": "x"}], ("w1", "w2")),
        ([{"workflow_id": 9007199254740993}], ("9007199254740993",)),
        ({"workflow_id": "w1"}, ("w1",)),
        ({"workflow_id": ["w1", "w2"]}, ("w1", "w2")),
        ({"list": [{"workflow_id": "w1"}], "total": 1}, ("w1",)),
        ({"workflow_ids": ["w1"]}, ("w1",)),
        ({"list": []}, ()),
    ],
)
def test_every_workflow_that_is_named_is_found(data: Any, ids: tuple[str, ...]) -> None:
    with Scripted({"code": 200, "status": "OK", "data": data}) as server:
        assert find(make_client(server.base_url)) == ids


@pytest.mark.parametrize(
    "data",
    [
        None,
        "w1",
        17,
        {},
        {"total": 0},
        {"workflow_id": ""},
        {"workflow_id": None},
        {"list": [], "more": []},
        {"list": {"workflow_id": "w1"}},
        [None],
        ["w1", ""],
        [{"id": "w1"}],
        [["w1"]],
        [1.5],
        [True],
        ["0"],
    ],
)
def test_anything_else_is_uncertain(data: Any) -> None:
    with Scripted({"code": 200, "status": "OK", "data": data}) as server, pytest.raises(Uncertain):
        find(make_client(server.base_url))


# --------------------------------------------------------------------------------------- verifying


def verify(data: Any, **changes: str) -> Any:
    with Scripted({"code": 200, "status": "OK", "data": data}) as server:
        return make_client(server.base_url).verify_push({**QUERY, **changes})


def test_a_record_is_believed_over_every_push() -> None:
    verified = verify(make_record())
    assert verified.record == make_record()
    last, first = (event for event in verified.events if isinstance(event, CallEnded))
    assert (last.platform_call_id, last.attempt, last.rank) == ("cd878f6611ad", 2, 100)
    assert (first.platform_call_id, first.attempt) == ("ef1a7953b0c", 1)
    assert 20 < first.rank < last.rank
    assert last.platform_contact_id == "CB-7"
    assert last.dialed_at == datetime(2026, 11, 12, 6, 54, 26, tzinfo=UTC)
    assert all(event.source.startswith("apinoticeinfo") for event in verified.events)


def test_the_answer_of_the_text_is_read() -> None:
    """air-4 to air-6: callee is an object, its ids are masked and no hex, data is wrapped."""
    (payload,) = (one for one in list_payloads("airudder") if one.name.startswith("reply_apinot"))
    data = json.loads(payload.body)["data"]
    asked = {name: data[name] for name in ("workflow_id", "node_id")}
    with Scripted(payload.body) as server:
        verified = make_client(server.base_url).verify_push(
            {**asked, "callee": "+8619900000721", "case_id": "123456"}
        )
    assert verified.record["callee"]["case_id"] == "123456.0"
    calls = [event for event in verified.events if isinstance(event, CallEnded)]
    assert sorted(call.attempt or 0 for call in calls) == [1, 2, 3, 4]


OTHERS: dict[str, Any] = {
    "another workflow": make_record(workflow_id="b761cdd784294"),
    "no workflow": make_record(workflow_id=""),
    "workflow is a float": make_record(workflow_id=1.5),
    "another node": make_record(node_id="6ade9e4443"),
    "no node": make_record(node_id=None),
    "no call": make_record(call={}),
    "call is a text": make_record(call="ended"),
    "nothing": {},
    "null": None,
    "list": [make_record()],
}


@pytest.mark.parametrize(
    "callee",
    [
        {"callee_number": "+8619900000002"},
        "+8619900000002",
        {"callee_number": "+861xxxxxx721"},
        {"callee_number": "+8619900000001", "case_id": "CB-8"},
    ],
)
def test_a_record_of_somebody_else_differs_and_is_no_news_of_this_call(callee: Any) -> None:
    told = verify(make_record(callee=callee))
    assert told.events == ()
    assert told.record["callee"] == callee


@pytest.mark.parametrize("name", OTHERS)
def test_the_record_of_anything_else_proves_nothing(name: str) -> None:
    with pytest.raises(Uncertain):
        verify(OTHERS[name])


@pytest.mark.parametrize(
    "callee",
    [
        {"callee_number": "+8619900000001"},
        {"callee_number": "+861xxxxxx0001"},
        {"callee_number": "19900000001", "case_id": "CB-7"},
        {"callee_number": ""},
        {},
        "+8619900000001",
    ],
)
def test_spellings_and_silence_are_no_contradiction(callee: Any) -> None:
    assert verify(make_record(callee=callee)).events


def test_a_float_of_a_case_is_the_case() -> None:
    """air-8: a spreadsheet made 123456.0 of it."""
    callee = {"callee_number": "+8619900000001", "case_id": "123456.0"}
    assert verify(make_record(callee=callee), case_id="123456").events
    assert verify(make_record(callee=callee), case_id="123457").events == ()


# ------------------------------------------------------------------------------------------- calls


def fetch(data: Any) -> Any:
    with Scripted({"code": 200, "status": "OK", "data": data}) as server:
        return make_client(server.base_url).fetch_calls("w1")


FLAT = {
    "call_id": "c1",
    "case_id": "CB-7",
    "callee_number": "+8619900000001",
    "call_start_time": "2026-11-12 14:54:26",
    "hangup_type": "ByRobot",
}


@pytest.mark.parametrize(
    "data",
    [
        [FLAT],
        {"list": [FLAT], "total": 1},
        FLAT,
        [{**FLAT, "workflow_id": "w1"}],
        [{**FLAT, "workflow_id": None}],
        [make_record(workflow_id="w1", call={**FLAT})],
        [None, "x", FLAT, {"call_id": ""}],
    ],
)
def test_the_calls_of_a_workflow(data: Any) -> None:
    (call,) = (event for event in fetch(data) if isinstance(event, CallEnded))
    assert (call.platform_call_id, call.platform_task_id) == ("c1", "w1")
    assert call.platform_contact_id == "CB-7"
    assert 20 < call.rank < 100


def test_no_calls_yet() -> None:
    assert fetch([]) == fetch({"list": []}) == ()


@pytest.mark.parametrize(
    "data",
    [None, "x", {}, {"list": [], "more": []}, [{}], [None], [{**FLAT, "workflow_id": "w2"}]],
)
def test_what_is_no_list_of_its_calls(data: Any) -> None:
    with pytest.raises(Uncertain):
        fetch(data)


# ---------------------------------------------------------------------------------------- settings


def list_templates(text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(robot.platform_id, robot.name, robot.columns) for robot in read_templates(text)]


def test_templates_are_robots() -> None:
    text = "301 Payment reminder: callee, callee_name, comments;302;\n 0303 催收 二：号码，姓名； "
    assert list_templates(text) == [
        ("301", "Payment reminder", ("callee", "callee_name", "comments")),
        ("302", "302", ("callee",)),
        ("303", "催收 二", ("号码", "姓名")),
    ]
    assert list_templates("301 x:") == [("301", "x", ("callee",))]
    assert list_templates("") == list_templates(" ;\n") == []
    (robot,) = read_templates("301 x")
    assert (robot.state, robot.kind, robot.deleted) == ("published", "unknown", False)


def test_the_catalogue_needs_no_network() -> None:
    settings = {"workflow_templates": "301 Payment reminder: callee, callee_name"}
    catalog = make_client("http://127.0.0.1:9", settings=settings).fetch_catalog()
    assert [robot.platform_id for robot in catalog.robots] == ["301"]
    assert (catalog.lines, catalog.voices, catalog.callback_urls) == ((), (), {})
    assert make_client("http://127.0.0.1:9").fetch_catalog().robots == ()


@pytest.mark.parametrize(
    "text",
    [
        "Payment reminder",
        "301x",
        "0 nothing",
        "301 a; 301 b",
        "301 a; 0301 b",
        "301 a: callee, callee",
        "301 a: callee, Callee",
        "301 a: callee, case_id",
        "301 a: callee, Case-ID",
        "301 a: callee,, name",
        "301 a: callee, {name}",
        "301 a: callee: name",
        f"301 {'a' * 201}",
        "1234567890123456789 a",
        "-301 a",
        "٣ a",
    ],
)
def test_a_bad_setting_is_told_in_a_sentence(text: str) -> None:
    client = make_client("http://127.0.0.1:9", settings={"workflow_templates": "299 x; " + text})
    with pytest.raises(UnusableSetting) as caught:
        client.fetch_catalog()
    assert "301 Payment reminder: callee, callee_name" in caught.value.advice
    assert str(caught.value).startswith("workflow_templates: entry")


# ----------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("19900000001", "+8619900000001"),
        ("01012345678", "+861012345678"),
        ("057112345678", "+8657112345678"),
        ("03711234567", "+863711234567"),
        ("+12125550100", "+12125550100"),
    ],
)
def test_our_numbers_as_theirs(ours: str, theirs: str) -> None:
    assert to_international(ours) == theirs
    assert to_international(theirs) == theirs


@pytest.mark.parametrize(
    "text", ["", "10086", "+0123456", "199****0001", "19900000001.0", "+86 199", "00861", "abc"]
)
def test_what_is_no_number_is_not_sent(text: str) -> None:
    with pytest.raises(ValueError):
        to_international(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("+8610086", "10086", True),
        ("+950xxxxxx0088", "+950xxxxxx088", True),
        ("+950xxxxxx0088", "+95xxxxxx0088", True),
        ("+861xxxxxx721", "+8619900000721", True),
        ("+861xxxxxx721", "+8619900000001", False),
        ("+861xxxxxx721", "+621900000721", False),
        ("+8619900000001", "+8619900000002", False),
        ("+8619900000001", "0001", False),
        ("+8619900000001", "", False),
    ],
)
def test_numbers_in_other_spellings(one: str, other: str, same: bool) -> None:
    """air-16: masks come in several lengths."""
    assert is_same_number(one, other) is same
    assert is_same_number(other, one) is same
