"""What the client of AI Rudder sends, and when it takes a reply for success, refusal or neither."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable
from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from campaigns.platforms.airudder.client import AIRudderClient
from campaigns.platforms.airudder.replies import REFUSED_LOGIN, REFUSED_TOKEN, REFUSED_VERIFY
from campaigns.platforms.contract import NotOffered
from campaigns.platforms.errors import (
    Consequence,
    NotSent,
    PlatformError,
    Rejected,
    Throttled,
    Uncertain,
)
from campaigns.platforms.http import ExchangeRecord
from tests.platforms.airudder.scripted import (
    AUTH,
    COLUMNS,
    END,
    QUERY,
    SECRETS,
    Scripted,
    Tokens,
    find,
    insert,
    make_client,
    make_order,
    make_record,
)
from tests.platforms.faulty import FaultyServer, make_reply

# ------------------------------------------------------------------------------------ what is sent


def test_the_token_is_asked_for_as_the_text_says() -> None:
    with Scripted([]) as server:
        tokens = Tokens()
        make_client(server.base_url + "/", tokens=tokens).test_connection()
        assert find(make_client(server.base_url, tokens=tokens)) == ()
        assert find(make_client(server.base_url, tokens=tokens)) == ()
    login = server.requests[0]
    assert login.startswith(b"POST /service/cloud/auth HTTP/1.1\r\n")
    assert json.loads(login.partition(b"\r\n\r\n")[2]) == {
        "APPKey": "our-own-key",
        "APPSecret": "our-own-secret",
    }
    assert b"\r\nUser-Agent: Airudder\r\n" in login
    assert b"authorization" not in login.lower()
    assert tokens.lifetimes == [86_400]
    assert server.tokens == 2  # one past the cache, one for both questions


def test_every_other_call_has_the_headers() -> None:
    with Scripted({"workflow_id": "w1"}, {}, ["w1"], make_record(), []) as server:
        client = make_client(server.base_url)
        client.create_task(make_order())
        insert(client)
        find(client)
        client.verify_push(QUERY)
        client.fetch_calls("w1")
    assert len(server.headers) == 5
    for headers in server.headers:
        assert headers["authorization"] == "Token first-token"
        assert headers["user-agent"] == "Airudder"
        assert headers["content-type"] == "application/json;charset=UTF-8"
    assert server.tokens == 1


def test_createinstance_sends_what_is_known() -> None:
    with Scripted({"workflow_id": "2b6951a25b434657b94d4d60d96fcf18"}) as server:
        client = make_client(server.base_url)
        assert client.create_task(make_order()) == "2b6951a25b434657b94d4d60d96fcf18"
        elsewhere = make_client(server.base_url, time_zone=ZoneInfo("America/Mexico_City"))
        elsewhere.create_task(make_order(end_at=END + timedelta(microseconds=7)))
    assert server.asked == [
        (
            "createinstance",
            {"workflow_template_id": 301, "name": "催收", "end_time": f"2026-11-30 {end}"},
        )
        for end in ("18:00:00+08:00", "04:00:00-06:00")
    ]
    assert type(server.asked[0][1]["workflow_template_id"]) is int


def test_uploaddetails_sends_rows_with_our_ids() -> None:
    rows = [["19900000001", "张先生"], ["01012345678", ""], ["+12125550100", "O'Neil"]]
    with Scripted({}) as server:
        client = make_client(server.base_url)
        assert insert(client, rows=rows, keys=["CB-1", "CB-2", "CB-30"]) == (
            "CB-1",
            "CB-2",
            "CB-30",
        )
    assert server.asked == [
        (
            "uploaddetails",
            {
                "workflow_id": "w1",
                "details": [
                    {"callee": "+8619900000001", "callee_name": "张先生", "case_id": "CB-1"},
                    {"callee": "+861012345678", "callee_name": "", "case_id": "CB-2"},
                    {"callee": "+12125550100", "callee_name": "O'Neil", "case_id": "CB-30"},
                ],
            },
        )
    ]


def test_the_number_goes_under_the_name_of_the_first_column() -> None:
    with Scripted({}) as server:
        insert(make_client(server.base_url), 1, columns=["phone", "callee"])
    assert server.asked[0][1]["details"] == [
        {"phone": "+8619900000000", "callee": "张先生", "case_id": "CB-0"}
    ]


def test_detailinstances_and_taskdetail_and_apinoticeinfo() -> None:
    begin = END - timedelta(days=1)
    with Scripted([]) as server:
        client = make_client(server.base_url)
        find(client, begin_at=begin)
        find(client, key=None, number="19900000001", begin_at=begin)
        find(client, number="+8619900000001", begin_at=begin)
        client.fetch_calls("w1")
    times = {"start_time": "2026-11-29 18:00:00", "end_time": "2026-11-30 18:00:00"}
    assert server.asked == [
        ("detailinstances", {"case_id": "CB-7", **times}),
        ("detailinstances", {"callee": "+8619900000001", **times}),
        ("detailinstances", {"case_id": "CB-7", "callee": "+8619900000001", **times}),
        ("taskdetail", {"workflow_id": "w1"}),
    ]
    with Scripted(make_record()) as server:
        client = make_client(server.base_url)
        client.verify_push(QUERY)
        client.verify_push({**QUERY, "case_id": ""})
    without = {name: value for name, value in QUERY.items() if name != "case_id"}
    assert server.asked == [("apinoticeinfo", QUERY), ("apinoticeinfo", without)]


def test_what_may_never_be_sent() -> None:
    with Scripted({}) as server:
        client = make_client(server.base_url)
        for wrong in (
            lambda: insert(client, 101),
            lambda: insert(client, 0),
            lambda: insert(client, keys=["CB-1"]),
            lambda: insert(client, keys=["CB-1", "CB-1"]),
            lambda: insert(client, keys=["CB-1", "123456"]),
            lambda: insert(client, keys=["CB-1", "123456.0"]),
            lambda: insert(client, keys=["CB-1", "1E5"]),
            lambda: insert(client, keys=["CB-1", "MAR-1"]),
            lambda: insert(client, keys=["CB-1", ""]),
            lambda: insert(client, keys=["CB-1", "CB-2\n"]),
            lambda: insert(client, keys=["CB-1", "CB-٢"]),
            lambda: insert(client, columns=["callee", "case_id"]),
            lambda: insert(client, columns=["callee", "CaseID"]),
            lambda: insert(client, columns=["callee", "callee"]),
            lambda: insert(client, columns=["callee"]),
            lambda: insert(client, columns=[], rows=[[], []]),
            lambda: insert(client, rows=[["19900000001", "张"], ["1.99E+10", "王"]]),
            lambda: insert(client, rows=[["19900000001", "张"], ["199****0001", "王"]]),
            lambda: client.create_task(make_order(end_at=None)),
            lambda: client.create_task(make_order(end_at=END.replace(tzinfo=None))),
            lambda: client.create_task(make_order(robot_id="premium")),
            lambda: client.create_task(make_order(robot_id="")),
            lambda: client.create_task(make_order(recall_count=1)),
            lambda: client.create_task(make_order(lines=("055169101407",))),
            lambda: client.create_task(make_order(windows=((time(9), time(12)),))),
            lambda: find(client, key=None),
            lambda: find(client, begin_at=END.replace(tzinfo=None)),
            lambda: client.verify_push({**QUERY, "node_id": ""}),
        ):
            with pytest.raises(ValueError):
                wrong()
    assert server.receipts == 0


def test_what_is_not_documented_is_not_there() -> None:
    client = make_client("http://127.0.0.1:9")
    for missing in (
        lambda: client.start_task("w1"),
        lambda: client.pause_task("w1"),
        lambda: client.delete_task("w1"),
        lambda: client.query_task("w1"),
        client.query_tasks,
        client.list_failed_pushes,
    ):
        with pytest.raises(NotOffered):
            missing()


# ----------------------------------------------------------------------------- success, or nothing

OK = {"data": {"workflow_id": "w1"}, "status": "OK", "code": 200}
DOUBTFUL: dict[str, Any] = {
    "code of the other interface": {**OK, "code": 0},
    "true": {**OK, "code": True},
    "string": {**OK, "code": "200"},
    "float": b'{"data": {"workflow_id": "w1"}, "status": "OK", "code": 200.0}',
    "no code": {"data": {"workflow_id": "w1"}, "status": "OK", "code": None},
    "another status": {**OK, "status": "FAILED"},
    "status is a number": {**OK, "status": 200},
    "no data": {"status": "OK", "code": 200},
    "data is null": {**OK, "data": None},
    "data is a list": {**OK, "data": ["w1"]},
    "data is a text": {**OK, "data": "w1"},
    "no workflow": {**OK, "data": {}},
    "workflow is null": {**OK, "data": {"workflow_id": None}},
    "workflow is empty": {**OK, "data": {"workflow_id": ""}},
    "workflow is 0": {**OK, "data": {"workflow_id": 0}},
    "workflow is true": {**OK, "data": {"workflow_id": True}},
    "workflow is a float": {**OK, "data": {"workflow_id": 12.0}},
    "workflow is a list": {**OK, "data": {"workflow_id": ["w1"]}},
    "negative code": {**OK, "code": -1},
    "html": b"<html>success</html>",
    "empty": b"",
    "list": b"[]",
    "null": b"null",
    "twice": json.dumps(OK).encode() * 2,
    "two codes": b'{"code": 500, "data": {"workflow_id": "w1"}, "code": 200}',
    "two workflows": b'{"code": 200, "data": {"workflow_id": "1", "workflow_id": "2"}}',
    "cut": b'{"code": 200, "data": {"workflow_id": "12',
    "201": make_reply(json.dumps(OK).encode(), status="201 Created"),
    "302": make_reply(json.dumps(OK).encode(), status="302 Found", headers="Location: /\r\n"),
    "307": make_reply(b"", status="307 Again", headers="Location: /service/cloud/auth\r\n"),
    "400": make_reply(json.dumps({**OK, "code": 400}).encode(), status="400 Bad Request"),
    "401": make_reply(json.dumps({**OK, "code": 401}).encode(), status="401 Unauthorized"),
    "403 html": make_reply(b"<html>", status="403 Forbidden"),
    "404 but ok": make_reply(json.dumps(OK).encode(), status="404 Not Found"),
    "500": make_reply(json.dumps(OK).encode(), status="500 Oops"),
}


@pytest.mark.parametrize("reply", DOUBTFUL)
def test_what_is_not_success_is_uncertain_and_sent_once(reply: str) -> None:
    with Scripted(DOUBTFUL[reply]) as server, pytest.raises(Uncertain):
        make_client(server.base_url).create_task(make_order())
    assert len(server.asked) == 1


def test_a_refused_workflow_is_refused_for_it_would_call_nobody() -> None:
    """A template that does not exist must not be tried for ever."""
    refusal = {"data": {}, "status": "template not found", "code": 10001}
    with Scripted(refusal) as server, pytest.raises(Rejected) as caught:
        make_client(server.base_url).create_task(make_order())
    assert caught.value.consequence is Consequence.PAUSE_TASK
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        {"data": {}, "status": "not allowed", "code": 10001},
        make_reply(b"{}", status="429 Busy", headers="Retry-After: 7\r\n"),
    ],
)
def test_a_refused_insert_may_have_been_carried_out(refusal: Any) -> None:
    """No refusal of it is documented, not even of being busy: who is sent again may be called
    twice."""
    with Scripted(refusal) as server, pytest.raises(Uncertain):
        insert(make_client(server.base_url))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "reply", [name for name, told in DOUBTFUL.items() if "data" not in name and "work" not in name]
)
def test_an_insert_is_uncertain_as_well_and_sent_once(reply: str) -> None:
    with Scripted(DOUBTFUL[reply]) as server, pytest.raises(Uncertain):
        insert(make_client(server.base_url))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "reply", [{"code": 200, "status": "OK"}, {"code": 200}, OK, {**OK, "data": []}]
)
def test_the_data_of_an_insert_is_not_documented(reply: Any) -> None:
    """Whether every row was taken is not told; who is silent is found by asking."""
    with Scripted(reply) as server:
        assert insert(make_client(server.base_url)) == ("CB-0", "CB-1")


@pytest.mark.parametrize(
    "reply",
    [
        *("true", "string", "float", "no code", "another status", "status is a number"),
        *("two codes", "html", "empty", "list", "twice", "cut", "201", "302", "404 but ok", "500"),
        "data is null",
    ],
)
def test_an_unusable_answer_to_a_question_is_no_refusal(reply: str) -> None:
    with Scripted(DOUBTFUL[reply]) as server, pytest.raises(Uncertain):
        find(make_client(server.base_url))


def reset(connection: socket.socket, request: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def stall(connection: socket.socket, request: bytes) -> None:
    connection.settimeout(20)
    connection.recv(1)


def drip(connection: socket.socket, request: bytes) -> None:
    for byte in make_reply(json.dumps(OK).encode()):
        connection.sendall(bytes([byte]))
        connection.settimeout(0.1)
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            continue


def send(data: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda connection, request: connection.sendall(data)


WHOLE = make_reply(json.dumps(OK).encode())
BOMB = gzip.compress(b" " * 50_000_000)
FAULTS: dict[str, tuple[Callable[[socket.socket, bytes], None], type[PlatformError]]] = {
    "reset": (reset, Uncertain),
    "closed": (lambda connection, request: None, Uncertain),
    "stall": (stall, Uncertain),
    "drip": (drip, Uncertain),
    "cut": (send(WHOLE[:-5]), Uncertain),
    "too long": (send(make_reply(b"x" * 11_000_000)), Uncertain),
    "bomb": (send(make_reply(BOMB, headers="Content-Encoding: gzip\r\n")), Uncertain),
    "nonsense": (send(b"\x00\x01\x02\r\n\r\n"), Uncertain),
    "busy": (send(make_reply(b"{}", status="429 Busy", headers="Retry-After: 7\r\n")), Throttled),
    "500": (send(make_reply(b"<html>", status="500 Oops")), Uncertain),
    "503": (send(make_reply(b"", status="503 Away", headers="Retry-After: 1\r\n")), Uncertain),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("add", [insert, lambda client: client.create_task(make_order())])
def test_what_adds_calls_is_received_at_most_once(
    fault: str, add: Callable[[AIRudderClient], object]
) -> None:
    act, error = FAULTS[fault]
    if add is insert:
        error = Uncertain  # not even "busy" is a documented refusal
    with Scripted(act) as server:
        with pytest.raises(error):
            add(make_client(server.base_url, timeout=1.0))
        assert len(server.asked) == 1
    assert server.receipts == 2  # and the token


def test_nothing_leaves_after_the_right_to_send_is_lost() -> None:
    asked: list[None] = []

    def fence() -> None:
        asked.append(None)
        if len(asked) == 2:  # the first is the token's
            raise NotSent("the lease is over")

    with Scripted({}) as server, pytest.raises(NotSent):
        insert(make_client(server.base_url, fence=fence))
    assert (server.tokens, server.asked) == (1, [])


# ----------------------------------------------------------------------------------------- refusal

FAILED = {"data": None, "status": "no such record for 19900000001", "code": 40001}


@pytest.mark.parametrize(
    ("ask", "advice"),
    [
        (find, "documented nowhere"),
        (lambda client: client.verify_push(QUERY), REFUSED_VERIFY),
        (lambda client: client.fetch_calls("w1"), "documented nowhere"),
    ],
)
def test_http_200_with_a_failing_body_is_a_failure(
    ask: Callable[[AIRudderClient], object], advice: str
) -> None:
    with Scripted(FAILED) as server, pytest.raises(Rejected, match="40001 no such") as caught:
        ask(make_client(server.base_url))
    assert caught.value.consequence is Consequence.TELL_OPERATOR
    assert advice in caught.value.advice
    assert "19900000001" not in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        make_reply(b'{"status": "bad token", "code": 401}', status="401 Unauthorized"),
        make_reply(b'{"status": "bad token", "code": 403}', status="403 Forbidden"),
        make_reply(b"<html>", status="401 Unauthorized"),
        {"status": "bad token", "code": 401},
    ],
)
def test_a_refused_token_is_replaced_once_when_asking(refusal: Any) -> None:
    with Scripted(refusal, ["w1"]) as server:
        assert find(make_client(server.base_url)) == ("w1",)
    assert [each["authorization"] for each in server.headers] == [
        "Token first-token",
        "Token second-token",
    ]
    with Scripted(refusal) as server, pytest.raises((Rejected, Uncertain)) as caught:
        find(make_client(server.base_url))
    assert (len(server.asked), server.tokens) == (2, 2)
    if isinstance(caught.value, Rejected):
        assert caught.value.advice == REFUSED_TOKEN


def test_an_insert_is_not_repeated_with_another_token() -> None:
    """That nothing was done before a 401 is documented nowhere."""
    refusal = make_reply(b'{"status": "bad token", "code": 401}', status="401 Unauthorized")
    with Scripted(refusal, ["w1"]) as server:
        client = make_client(server.base_url)
        with pytest.raises(Uncertain, match="401"):
            insert(client)
        assert len(server.asked) == 1
        assert find(client) == ("w1",)
    assert [each["authorization"] for each in server.headers] == [
        "Token first-token",
        "Token second-token",
    ]


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>",
        b"",
        b'{"code": 200, "status": "OK", "data": {"token": ""}}',
        b'{"code": 200, "status": "OK", "data": {}}',
        b'{"code": 200, "status": "OK"}',
        b'{"code": 200, "status": "OK", "data": {"token": "a\\r\\nX-Other: b"}}',
        b'{"code": 200, "status": "OK", "data": {"token": "a b"}}',
        b'{"code": 200, "status": "OK", "data": {"token": 12}}',
        b'{"code": "200", "status": "OK", "data": {"token": "abc"}}',
        b'{"code": 200, "status": "NO", "data": {"token": "abc"}}',
    ],
)
def test_when_the_login_is_unclear_the_request_was_not_sent(reply: bytes) -> None:
    """An unclear login must not make an insert "unknown": nothing of the insert left us."""
    with FaultyServer(send(make_reply(reply))) as server:
        client = make_client(f"http://127.0.0.1:{server.port}")
        with pytest.raises(NotSent, match="Logging in failed"):
            insert(client)
        assert server.receipts == 1
        with pytest.raises(Uncertain) as caught:
            client.test_connection()
    assert "base URL" in caught.value.advice


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "400 Bad Request"])
def test_a_refused_login_says_so(status: str) -> None:
    data = make_reply(b'{"code": 10401, "status": "our-own-secret is wrong"}', status=status)
    with FaultyServer(send(data)) as server:
        for attempt in (insert, find, AIRudderClient.test_connection):
            with pytest.raises(Rejected) as caught:
                attempt(make_client(f"http://127.0.0.1:{server.port}"))
            assert caught.value.consequence is Consequence.PAUSE_ACCOUNT
            assert caught.value.advice == REFUSED_LOGIN
            assert "our-own-secret" not in str(caught.value)
        assert server.receipts == 3


# ----------------------------------------------------------------------------------------- secrets


def test_no_secret_is_in_a_record_or_an_error() -> None:
    """The platform may repeat what it was sent: in the record of the exchange it is not kept."""
    kept: list[ExchangeRecord] = []

    def repeat(connection: socket.socket, request: bytes) -> None:
        head = request.decode()
        told = {"code": 500, "status": "first-token of 19900000001 is old", "message": head}
        connection.sendall(make_reply(json.dumps(told).encode()))

    with Scripted(repeat) as server:
        client = make_client(server.base_url, record=kept.append)
        errors = []
        for attempt in (
            lambda: insert(client, rows=[["19900000001", "张"], ["19900000002", "王"]]),
            lambda: find(client, number="19900000001"),
            lambda: client.verify_push(QUERY),
        ):
            with pytest.raises(PlatformError) as caught:
                attempt()
            errors.append(caught.value)
    assert [record.purpose for record in kept] == [
        "auth",
        "workflow/uploaddetails",
        "workflow/detailinstances",
        "workflow/apinoticeinfo",
    ]
    assert AUTH.endswith(kept[0].purpose)
    for record in kept:
        text = record.url + record.request + record.response
        for secret in SECRETS:
            assert secret not in text
    for error in errors:
        assert "of 199****0001 is old" in str(error)
        for secret in SECRETS:
            assert secret not in str(error) + repr(error) + error.advice
    assert "redacted" in kept[1].response


def test_a_connection_does_not_show_its_credentials() -> None:
    client = make_client("http://127.0.0.1:9")
    assert "our-own" not in repr(client._connection)
    assert COLUMNS[0] == "callee"
