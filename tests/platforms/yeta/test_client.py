"""What the client of yeta sends, and when it takes a reply for success, refusal or neither."""

from __future__ import annotations

import json
from datetime import time, timedelta
from typing import Any

import pytest

from campaigns.platforms.errors import (
    Consequence,
    NotSent,
    PlatformError,
    Rejected,
    Throttled,
    Uncertain,
)
from campaigns.platforms.http import ExchangeRecord
from campaigns.platforms.yeta.client import YetaClient
from campaigns.platforms.yeta.vocabulary import ERRORS
from tests.platforms.faulty import FaultyServer, make_reply
from tests.platforms.yeta.scripted import (
    BEGIN,
    COLUMNS,
    Scripted,
    Tokens,
    call,
    insert,
    make_client,
    make_order,
)

# ------------------------------------------------------------------------------------ what is sent


def test_create_sends_what_the_text_says() -> None:
    with Scripted({"task_id": "129"}) as server:
        client = make_client(server.base_url + "/")
        assert client.create_task(make_order()) == "129"
        full = make_order(
            lines=("055169101407", "055169101408"),
            recall_count=1,
            recall_wait_seconds=600,
            windows=((time(9), time(12)), (time(13), time(17, 30))),
            end_at=BEGIN + timedelta(hours=1),
            voice_code="60030",
            turbo=True,
        )
        client.create_task(full)
    (target, least), (_, most) = server.asked
    assert target == "/openapi/outbound/v1/task/create?token=t1"
    assert least == {
        "task_name": "测试外呼",
        "line_num": "055169101407",
        "robot_id": "11",
        "recall_count": 0,
        "time_begin": 1527321600123,
    }
    assert most == {
        "task_name": "测试外呼",
        "line_num": "055169101407;055169101408",
        "robot_id": "11",
        "recall_count": 1,
        "time_recall_wait": 600,
        "time_range": ["09:00:00-12:00:00", "13:00:00-17:30:00"],
        "time_begin": 1527321600123,
        "time_end": 1527325200123,
        "voice_code": "60030",
        "trubo_mode": True,
    }
    assert server.tokens == 1


def test_insert_and_callout_send_rows() -> None:
    with Scripted({"total": 2, "task_data_ids": [87, 88]}) as server:
        client = make_client(server.base_url)
        assert insert(client) == ("87", "88")
        assert call(client, voice_code="60030", speed=-200) == ("87", "88")
    rows = {
        "call_column": COLUMNS,
        "call_list": [["19900000000", "张先生"], ["19900000001", "张先生"]],
    }
    assert server.asked == [
        ("/openapi/outbound/v1/task/insert?token=t1", {"task_id": "129", **rows}),
        (
            "/openapi/outbound/v1/task/callout?token=t1",
            {"robot_id": "719", "line_num": "69101338", "voice_code": "60030"}
            | {"robot_speed": -200}
            | rows,
        ),
    ]


def test_start_pause_delete_name_the_task() -> None:
    with Scripted({}) as server:
        client = make_client(server.base_url)
        client.start_task("129")
        client.pause_task("129")
        client.delete_task("129")
    assert server.asked == [
        (f"/openapi/outbound/v1/task/{what}?token=t1", {"task_id": "129"})
        for what in ("start", "pause", "delete")
    ]


def test_what_may_never_be_sent() -> None:
    with Scripted({}) as server:
        client = make_client(server.base_url)
        for wrong in (
            lambda: insert(client, 51),
            lambda: insert(client, 0),
            lambda: call(client, 51),
            lambda: call(client, rows=[["19900000001"]]),
            lambda: call(client, speed=501),
            lambda: client.create_task(make_order(begin_at=BEGIN.replace(tzinfo=None))),
            lambda: client.query_tasks(states=["unknown"]),
            lambda: client.query_tasks(sort="colour"),
        ):
            with pytest.raises(ValueError):
                wrong()
    assert server.receipts == 0


# ----------------------------------------------------------------------------- success, or nothing

OK = {"code": 0, "message": "ok", "result": {"task_id": "129"}}
DOUBTFUL = {
    "false": {**OK, "code": False},
    "string": {**OK, "code": "0"},
    "float": b'{"code": 0.0, "message": "ok", "result": {"task_id": "129"}}',
    "null": {**OK, "code": None},
    "no result": {"code": 0, "message": "ok"},
    "result is null": {**OK, "result": None},
    "result is a list": {**OK, "result": []},
    "no task": {**OK, "result": {}},
    "task is null": {**OK, "result": {"task_id": None}},
    "task is 0": {**OK, "result": {"task_id": 0}},
    "task is true": {**OK, "result": {"task_id": True}},
    "task is a float": {**OK, "result": {"task_id": 129.0}},
    "unknown code": {**OK, "code": 10022},
    "negative code": {**OK, "code": -1},
    "code of the appendix as text": {**OK, "code": "200203"},
    "html": b"<html>success</html>",
    "empty": b"",
    "list": b"[]",
    "twice": json.dumps(OK).encode() * 2,
    "both": b'{"code": 0, "code": 200203, "result": {"task_id": "1"}}',
    "two tasks": b'{"code": 0, "result": {"task_id": "1", "task_id": "2"}}',
    "cut": b'{"code": 0, "result": {"task_id": "12',
    "404": make_reply(b"<html>", status="404 Not Found"),
    "404 but ok": make_reply(json.dumps(OK).encode(), status="404 Not Found"),
    "201": make_reply(json.dumps(OK).encode(), status="201 Created"),
    "302": make_reply(json.dumps(OK).encode(), status="302 Found", headers="Location: /\r\n"),
    "500": make_reply(json.dumps(OK).encode(), status="500 Oops"),
}


@pytest.mark.parametrize("reply", DOUBTFUL)
def test_what_is_not_the_documented_success_is_uncertain(reply: str) -> None:
    with Scripted(DOUBTFUL[reply]) as server, pytest.raises(Uncertain):
        make_client(server.base_url).create_task(make_order())
    assert len(server.asked) == 1


def test_a_doubtful_reply_to_start_is_uncertain_too() -> None:
    with Scripted({"code": 0, "message": "ok"}) as server, pytest.raises(Uncertain):
        make_client(server.base_url).start_task("129")


@pytest.mark.parametrize(
    "result",
    [
        {"total": 1, "task_data_ids": [87, 88]},
        {"total": 2, "task_data_ids": [87]},
        {"total": 2, "task_data_ids": [87, 87]},
        {"total": 2, "task_data_ids": [87, "87"]},
        {"total": 2, "task_data_ids": [87, 88, 89]},
        {"total": 2, "task_data_ids": [87, None]},
        {"total": 2, "task_data_ids": [87, True]},
        {"total": 2, "task_data_ids": [87, 88.0]},
        {"total": 2, "task_data_ids": [0, 88]},
        {"total": 2, "task_data_ids": ["", "88"]},
        {"total": 2, "task_data_ids": {"0": 87, "1": 88}},
        {"total": 2},
        {"total": "2", "task_data_ids": [87, 88]},
        {"total": 2.0, "task_data_ids": [87, 88]},
        {"total": True, "task_data_ids": [87, 88]},
        {"task_data_ids": [87, 88]},
    ],
)
def test_totals_and_ids_must_be_those_of_the_rows(result: dict[str, Any]) -> None:
    with Scripted(result) as server:
        client = make_client(server.base_url)
        with pytest.raises(Uncertain):
            insert(client)
        with pytest.raises(Uncertain):
            call(client)
    assert len(server.asked) == 2


def test_ids_keep_every_digit() -> None:
    ids = [32264888839704577, "32264888839704578"]
    with Scripted({"total": 2, "task_data_ids": ids}) as server:
        assert insert(make_client(server.base_url)) == ("32264888839704577", "32264888839704578")
    with Scripted({"task_id": 504138886481984123}) as server:
        assert make_client(server.base_url).create_task(make_order()) == "504138886481984123"


@pytest.mark.parametrize("code", ERRORS)
def test_every_documented_code_is_a_refusal(code: str) -> None:
    refusal = {"code": int(code), "message": "19900000001", "result": {}}
    with Scripted(refusal) as server, pytest.raises(PlatformError) as caught:
        insert(make_client(server.base_url))
    error = caught.value
    if ERRORS[code].consequence is Consequence.RETRY:
        assert isinstance(error, Throttled)
    else:
        assert isinstance(error, Rejected)
        assert error.consequence is ERRORS[code].consequence
    assert error.advice == ERRORS[code].advice
    assert "19900000001" not in str(error)
    again = ERRORS[code].consequence is Consequence.REFRESH_TOKEN
    assert len(server.asked) == (2 if again else 1)


def test_an_unknown_code_is_told_without_phone_numbers() -> None:
    reply = {"code": 999, "message": "号码19900000001错误", "result": {}}
    with Scripted(reply) as server, pytest.raises(Uncertain, match="999 号码199") as caught:
        insert(make_client(server.base_url))
    assert "19900000001" not in str(caught.value)


# ------------------------------------------------------------------------------------------- token


def test_a_refused_token_is_replaced_once() -> None:
    refusal = {"code": 10001, "message": "", "result": {}}
    with Scripted(refusal, {"task_id": "129"}) as server:
        assert make_client(server.base_url).create_task(make_order()) == "129"
    assert [target[-2:] for target, _ in server.asked] == ["t1", "t2"]
    with Scripted(refusal) as server, pytest.raises(Rejected, match="10001"):
        make_client(server.base_url).create_task(make_order())
    assert (len(server.asked), server.tokens) == (2, 2)


def test_after_a_new_token_an_uncertain_reply_stays_uncertain() -> None:
    refusal = {"code": 10002, "message": "", "result": {}}
    with Scripted(refusal, b"<html>") as server, pytest.raises(Uncertain):
        make_client(server.base_url).create_task(make_order())
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("result", "lifetime"),
    [
        ({"token": "abc", "time_expire": 3600}, 3600),
        ({"token": "abc", "time_expire": "7200"}, 7200),
        ({"token": "abc"}, 60),
        ({"token": "abc", "time_expire": "soon"}, 60),
        ({"token": "abc", "time_expire": 10**15}, 86_400),
    ],
)
def test_the_life_of_a_token(result: dict[str, Any], lifetime: float) -> None:
    tokens = Tokens()
    reply = make_reply(json.dumps({"code": 0, "result": result}).encode())
    with FaultyServer(lambda connection, _: connection.sendall(reply)) as server:
        client = make_client(server.url, tokens=tokens)
        client.pause_task("129")
        assert tokens.lifetimes == [lifetime]
        assert b"?token=abc" in server.requests[1]
    assert b'{"app_key": "key", "app_secret": "secret"}' in server.requests[0]


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>",
        b"",
        b'{"code": 0, "result": {"token": ""}}',
        b'{"code": 0, "result": {}}',
        b'{"code": 0, "result": {"token": "a b&x=1"}}',
        b'{"code": 7, "result": {}}',
    ],
)
def test_when_the_login_is_unclear_the_request_was_not_sent(reply: bytes) -> None:
    """An unclear login must not make an insert "unknown": nothing of the insert left us."""
    data = make_reply(reply)
    with FaultyServer(lambda connection, _: connection.sendall(data)) as server:
        client = make_client(server.url)
        with pytest.raises(NotSent, match="Logging in failed"):
            insert(client)
        assert server.receipts == 1
        with pytest.raises(Uncertain) as caught:
            client.test_connection()
    assert "base URL" in caught.value.advice


def test_a_refused_login_says_so() -> None:
    data = make_reply(b'{"code": 200101, "message": "", "result": {}}')
    with FaultyServer(lambda connection, _: connection.sendall(data)) as server:
        for attempt in (insert, YetaClient.test_connection):
            with pytest.raises(Rejected) as caught:
                attempt(make_client(server.url))
            assert caught.value.consequence is Consequence.PAUSE_ACCOUNT


def test_no_secret_is_in_the_record_of_an_exchange() -> None:
    kept: list[ExchangeRecord] = []
    with Scripted({"total": 2, "task_data_ids": [87, 88]}) as server:
        insert(make_client(server.base_url, record=kept.append))
    assert [record.purpose for record in kept] == ["oauth/v1/token", "outbound/v1/task/insert"]
    for record in kept:
        text = record.url + record.request + record.response
        for secret in ("secret", '"key"', "=t1", '"t1"', "19900000001"):
            assert secret not in text.replace("app_secret", "")
