"""What a platform is answered during a call, through the real door: right, in time, and kept."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from callbacks.models import Receipt
from campaigns import answering
from campaigns.models import Account, CallbackToken, InboundAnswer
from campaigns.platforms.questions import Asked
from tests.callbacks.pushes import push
from tests.factories import (
    make_account,
    make_context,
    make_context_default,
    make_robot,
    make_semantic_rule,
)
from tests.platforms.payloads import find_payload

CONTEXT, SEMANTIC = "getDialogContext", "semantic"


@pytest.fixture(autouse=True)
def _quiet_door() -> Iterator[None]:
    from callbacks import inbox

    inbox.forget()
    yield
    inbox.settle()
    answering.settle()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with other work these tests are about what is answered; how late it may be, the
    tests of the limits say."""
    monkeypatch.setattr("callbacks.views.ANSWER_SECONDS", 10.0)


def open_door(account: Account) -> str:
    return CallbackToken.make(account)[1]


def ask_semantic(token: str, *answers: str, **fields: Any) -> Any:
    dialog = [
        {"seq": place, "node_name": f"n{place}", "text_robot": "?", "text_man": text}
        for place, text in enumerate(answers)
    ]
    body = {"code": "SELF1", "call_uuid": "call-1", "robot_id": 1993, "dialog": dialog}
    return push(token, SEMANTIC, json.dumps(body | fields, ensure_ascii=False).encode())


def ask_context(token: str, relation_id: str = "1111", **fields: Any) -> Any:
    body = {"call_relation_id": relation_id, "robot_id": "4444", **fields}
    return push(token, CONTEXT, json.dumps(body).encode())


# -------------------------------------------------------------------------- variables of callers


@pytest.mark.django_db
def test_the_callers_own_variables_stand_before_the_defaults() -> None:
    account = make_account()
    robot = make_robot(account=account, platform_id="4444")
    make_context_default(account=account, values={"姓名": "客户", "产品": "宽带", "a": "1"})
    make_context_default(account=account, robot=robot, values={"产品": "会员"})
    make_context(account=account, relation_id="1111", values={"姓名": "张三"})
    token = open_door(account)
    response = ask_context(token)
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert response.json() == {"姓名": "张三", "产品": "会员", "a": "1"}
    assert ask_context(token, robot_id="5555").json()["产品"] == "宽带"
    assert ask_context(token, "unknown").json() == {"姓名": "客户", "产品": "会员", "a": "1"}
    make_context(account=account, relation_id="1111", robot=robot, values={"姓名": "张四"})
    assert ask_context(token).json()["姓名"] == "张四"
    assert ask_context(token, robot_id="5555").json()["姓名"] == "张三"


@pytest.mark.django_db
def test_what_expired_belongs_to_another_account_or_has_no_id_is_not_answered() -> None:
    account = make_account()
    past, future = (timezone.now() + timedelta(minutes=by) for by in (-1, 1))
    make_context(account=account, relation_id="old", values={"a": "1"}, expires_at=past)
    make_context(account=account, relation_id="new", values={"a": "1"}, expires_at=future)
    make_context(relation_id="foreign", values={"a": "1"})
    token = open_door(account)
    assert ask_context(token, "old").content == b"{}"
    assert ask_context(token, "new").json() == {"a": "1"}
    assert ask_context(token, "foreign").content == b"{}"
    for body in (b"", b"null", b"[]", b"{", b"\xff\xfe\x00", b'{"call_relation_id":{}}'):
        response = push(token, CONTEXT, body)
        assert (response.status_code, response.content) == (200, b"{}")
    assert Receipt.objects.filter(kind=CONTEXT).count() == 9


@pytest.mark.django_db
def test_a_number_as_an_id_is_the_same_id() -> None:
    account = make_account()
    make_context(account=account, relation_id="9007199254740993", values={"a": "1"})
    body = b'{"call_relation_id":9007199254740993}'
    assert push(open_door(account), CONTEXT, body).json() == {"a": "1"}


# -------------------------------------------------------------------------- the semantic interface


@pytest.mark.django_db
def test_the_sample_of_the_text_is_answered_in_the_shape_of_the_text() -> None:
    account = make_account()
    make_semantic_rule(account=account, kind="phone", key="phone", type="string")
    make_semantic_rule(account=account, kind="number", key="age", default="8")
    make_semantic_rule(
        account=account, kind="phone", key="other", type="string", source="node",
        source_name="多次未识别发短信",
    )  # fmt: skip
    make_semantic_rule(
        account=account, kind="phone", key="given", type="string", source="context",
        source_name="手机号码",
    )  # fmt: skip
    response = push(open_door(account), SEMANTIC, find_payload("yeta", "semantic__sample").body)
    assert response.json() == [
        {"key": "phone", "type": "string", "value": "19900000008"},
        {"key": "age", "type": "integer", "value": 19900000008},
        {"key": "given", "type": "string", "value": "19900000001"},
    ]


@pytest.mark.django_db
def test_rules_are_those_of_the_code_the_robot_and_the_account() -> None:
    account = make_account()
    robot = make_robot(account=account, platform_id="1993")
    other = make_robot(account=account, platform_id="1994")
    make_semantic_rule(account=account, key="all")
    make_semantic_rule(account=account, key="mine", robot=robot)
    make_semantic_rule(account=account, key="theirs", robot=other)
    make_semantic_rule(account=account, key="code", code="SELF2")
    make_semantic_rule(account=account, key="off", is_active=False)
    make_semantic_rule(key="foreign")
    token = open_door(account)
    keys = [one["key"] for one in ask_semantic(token, "我今年三十五岁").json()]
    assert keys == ["all", "mine"]
    assert [one["key"] for one in ask_semantic(token, "五", robot_id="1").json()] == ["all"]
    assert [one["key"] for one in ask_semantic(token, "五", code="SELF2").json()] == ["code"]
    assert ask_semantic(token, "五", code="").content == b"[]"


@pytest.mark.django_db
def test_the_first_rule_that_finds_something_rules_and_a_default_only_after_all() -> None:
    account = make_account()
    make_semantic_rule(account=account, order=1, key="k", unit="岁", default="1")
    make_semantic_rule(account=account, order=2, key="k", default="2")
    token = open_door(account)
    assert ask_semantic(token, "五个").json()[0]["value"] == 5
    assert ask_semantic(token, "五个人六岁").json()[0]["value"] == 6
    assert ask_semantic(token, "不知道").json()[0]["value"] == 1


@pytest.mark.django_db
def test_a_value_that_is_not_of_the_type_is_not_answered() -> None:
    account = make_account()
    make_semantic_rule(account=account, kind="amount", key="n")
    make_semantic_rule(account=account, kind="amount", key="s", type="string")
    token = open_door(account)
    assert ask_semantic(token, "一百二十块五").json() == [
        {"key": "s", "type": "string", "value": "120.5"}
    ]


@pytest.mark.django_db
def test_a_date_is_told_by_the_clock_of_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = timezone.now().replace(year=2026, month=3, day=5, hour=20, minute=0)  # UTC
    monkeypatch.setattr("campaigns.answering.timezone.now", lambda: moment)
    for zone, day in (("Asia/Shanghai", "2026-03-07"), ("America/New_York", "2026-03-06")):
        account = make_account(time_zone=zone)
        make_semantic_rule(account=account, kind="date", key="d", type="string")
        answer = ask_semantic(open_door(account), "明天").json()
        assert answer == [{"key": "d", "type": "string", "value": day}]


@pytest.mark.django_db
def test_no_answer_holds_the_word_that_acknowledges_a_push() -> None:
    account = make_account()
    make_semantic_rule(account=account, kind="pattern", pattern=".+", key="Success", type="string")
    make_context(account=account, relation_id="1", values={"success": "SUCCESSFUL"})
    token = open_door(account)
    response = ask_semantic(token, "big success")
    assert b"success" not in response.content.lower()
    assert response.json() == [{"key": "Success", "type": "string", "value": "big success"}]
    response = ask_context(token, "1")
    assert b"success" not in response.content.lower()
    assert response.json() == {"success": "SUCCESSFUL"}


# ----------------------------------------------------------------------------- each is kept


@pytest.mark.django_db
def test_each_question_and_its_answer_are_kept_and_repeats_too() -> None:
    account = make_account()
    rule = make_semantic_rule(account=account, key="age", unit="岁")
    token = open_door(account)
    for _ in range(2):
        ask_semantic(token, "我三十五岁", call_relation_id="r-1")
    ask_semantic(token, "嗯")
    push(token, SEMANTIC, b'{"code":')
    rows = list(InboundAnswer.objects.order_by("id"))
    assert [row.outcome for row in rows] == ["answered", "answered", "empty", "unreadable"]
    first = rows[0]
    assert json.loads(first.answer) == [{"key": "age", "type": "integer", "value": 35}]
    assert (first.code, first.platform_robot_id) == ("SELF1", "1993")
    assert (first.platform_call_id, first.relation_id) == ("call-1", "r-1")
    assert first.findings[0]["rule"] == rule.pk and first.findings[0]["found"] == "三十五岁"
    assert rows[2].findings[0]["why"]
    receipts = Receipt.objects.filter(kind=SEMANTIC).order_by("id")
    assert [receipt.deliveries for receipt in receipts] == [2, 1, 1]
    assert bytes(rows[1].sha256) == bytes(receipts[0].sha256)


@pytest.mark.django_db
def test_a_wrong_token_is_answered_like_any_other() -> None:
    response = push("wrong", SEMANTIC, b"{}")
    assert response.status_code == 404
    assert not Receipt.objects.exists() and not InboundAnswer.objects.exists()
    account = make_account()
    token = open_door(account)
    assert ask_semantic(token, "1").status_code == 200
    account.callback_tokens.update(revoked_at=timezone.now())
    assert ask_semantic(token, "2").status_code == 404


@pytest.mark.django_db
def test_a_kind_of_another_platform_is_a_push_like_any_other() -> None:
    account = make_account(platform="moor7")
    response = push(open_door(account), SEMANTIC, b"{}")
    assert response.json() == {"code": 0, "message": "success"}
    assert not InboundAnswer.objects.exists()


# ---------------------------------------------------------------- functions of an installation


def double(asked: Asked) -> list[dict[str, Any]]:
    return [{"key": "twice", "type": "string", "value": asked.said[-1].contact * 2}]


def fail(asked: Asked) -> list[dict[str, Any]]:
    raise RuntimeError(asked.reply)


def lie(asked: Asked) -> list[dict[str, Any]]:
    return [{"key": "age", "type": "integer", "value": "35"}]


def sleep(asked: Asked) -> list[dict[str, Any]]:
    time.sleep(1.5)
    return []


def spin(asked: Asked) -> list[dict[str, Any]]:
    while True:
        pass


def query(asked: Asked) -> list[dict[str, Any]]:
    return [{"key": "accounts", "type": "integer", "value": Account.objects.count()}]


@pytest.mark.django_db
def test_a_function_of_the_installation_answers_and_rules_fill_the_rest(settings: Any) -> None:
    settings.SEMANTIC_FUNCTIONS = {"SELF1": f"{__name__}.double"}
    settings.SEMANTIC_FUNCTION_SECONDS = 5
    account = make_account()
    make_semantic_rule(account=account, key="twice", type="string")
    make_semantic_rule(account=account, key="n")
    assert ask_semantic(open_door(account), "5").json() == [
        {"key": "twice", "type": "string", "value": "55"},
        {"key": "n", "type": "integer", "value": 5},
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["fail", "lie", "spin", "sleep", "missing", "InboundAnswer.x"])
def test_whatever_goes_wrong_in_a_function_the_rest_is_answered(
    path: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SEMANTIC_FUNCTIONS = {"SELF1": f"{__name__}.{path}"}
    settings.SEMANTIC_FUNCTION_SECONDS = 0.1
    account = make_account()
    token = open_door(account)
    assert ask_semantic(token, "", reply="19900000001").content == b"[]"
    row = InboundAnswer.objects.get()
    assert row.outcome == "failed" and row.detail
    assert "19900000001" not in row.detail + caplog.text
    make_semantic_rule(account=account, key="n")
    assert ask_semantic(token, "5").json() == [{"key": "n", "type": "integer", "value": 5}]


@pytest.mark.django_db(transaction=True)
def test_a_function_may_ask_the_database_and_leaves_no_connection(settings: Any) -> None:
    settings.SEMANTIC_FUNCTIONS = {"SELF1": f"{__name__}.query"}
    settings.SEMANTIC_FUNCTION_SECONDS = 5
    token = open_door(make_account())
    assert ask_semantic(token, "5").json() == [{"key": "accounts", "type": "integer", "value": 1}]


@pytest.mark.django_db
def test_a_function_that_never_ends_is_ended(settings: Any) -> None:
    settings.SEMANTIC_FUNCTIONS = {"SELF1": f"{__name__}.spin"}
    settings.SEMANTIC_FUNCTION_SECONDS = 0.05
    ask_semantic(open_door(make_account()), "5")
    deadline = time.monotonic() + 60
    while any(thread.name == "semantic" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ------------------------------------------------------------------------------------- in time


def time_answer(token: str, **fields: Any) -> tuple[Any, float]:
    began = time.monotonic()
    response = ask_semantic(token, "5", **fields)
    return response, time.monotonic() - began


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_is_late_is_empty_and_says_so_in_its_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = make_account()
    make_semantic_rule(account=account, key="n")
    token = open_door(account)
    assert ask_semantic(token, "5").json()
    monkeypatch.setattr("callbacks.views.ANSWER_SECONDS", 0.25)
    find = answering.find_account

    def dawdle(token_hash: str) -> Any:
        time.sleep(5)
        return find(token_hash)

    monkeypatch.setattr(answering, "find_account", dawdle)
    response, took = time_answer(token, call_uuid="call-2")
    assert (response.status_code, response.content) == (200, b"[]")
    assert took < 4  # 0.3 is the promise, and measured by `make bench`
    answering.settle()
    row = InboundAnswer.objects.get(platform_call_id="call-2")
    assert (row.outcome, row.answer) == ("late", "[]")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("at", ["find_account", "find_answer", "keep"])
def test_a_database_that_fails_on_the_way_is_no_error_page(
    at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = make_account()
    make_semantic_rule(account=account, key="n")
    token = open_door(account)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseError("19900000001")

    monkeypatch.setattr(answering, at, fail)
    response, _took = time_answer(token)
    assert response.status_code == 200
    # what was found is given all the same when it cannot be written down
    assert response.json() == (
        [{"key": "n", "type": "integer", "value": 5}] if at == "keep" else []
    )


@pytest.mark.django_db(transaction=True)
def test_a_locked_table_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    account = make_account()
    make_semantic_rule(account=account, key="n")
    token = open_door(account)
    assert ask_semantic(token, "5").json()
    monkeypatch.setattr("callbacks.views.ANSWER_SECONDS", 0.25)
    released, locked = threading.Event(), threading.Event()

    def hold() -> None:
        from django.db import transaction

        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE campaigns_semanticrule IN ACCESS EXCLUSIVE MODE")
            locked.set()
            released.wait(10)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert locked.wait(10)
        for number in range(3):
            response, took = time_answer(token, call_uuid=f"held-{number}")
            assert (response.status_code, response.content) == (200, b"[]")
            assert took < 4
    finally:
        released.set()
        thread.join()
    answering.settle()
    assert InboundAnswer.objects.filter(outcome="late").count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_huge_dialog_is_stored_and_answered_in_time() -> None:
    token = open_door(make_account())
    dialog = [{"seq": n, "text_man": "五" * 50} for n in range(20_000)]
    body = json.dumps({"code": "SELF1", "dialog": dialog}).encode()
    assert 1_000_000 < len(body) < 5_000_000 * 2
    assert push(token, SEMANTIC, body[:4_900_000]).content == b"[]"
    assert Receipt.objects.count() == 1
    assert InboundAnswer.objects.get().outcome == "unreadable"


@pytest.mark.django_db(transaction=True)
def test_questions_at_once_are_each_answered_and_kept() -> None:
    account = make_account()
    make_semantic_rule(account=account, key="n")
    token = open_door(account)
    told: list[Any] = []

    def ask(number: int) -> None:
        told.append((number, ask_semantic(token, str(number)).json()[0]["value"]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(number == value for number, value in told) and len(told) == 24
    answering.settle()
    assert InboundAnswer.objects.count() == 24


@pytest.mark.django_db
def test_expired_variables_are_deleted_some_at_a_time() -> None:
    old = timezone.now() - timedelta(days=3)
    for number in range(5):
        make_context(relation_id=f"old-{number}", expires_at=old)
    make_context(relation_id="kept", expires_at=timezone.now())
    assert answering.forget_expired(limit=3) == 3
    assert answering.forget_expired() == 2
    assert answering.forget_expired() == 0
