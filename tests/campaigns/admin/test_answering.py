"""The screens of answers to platforms: what is configured, tried, kept, and shown to whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns.models import (
    Call,
    CallbackToken,
    ContextDefault,
    ContextImport,
    InboundAnswer,
    InboundContext,
    SemanticRule,
)
from tests.callbacks.pushes import push
from tests.campaigns.admin.world import World
from tests.factories import make_account, make_context, make_context_default, make_semantic_rule

RULE, CONTEXT, DEFAULT, FILE, ANSWER = (
    "campaigns_semanticrule",
    "campaigns_inboundcontext",
    "campaigns_contextdefault",
    "campaigns_contextimport",
    "campaigns_inboundanswer",
)
ODD = ("\x00", "9" * 5000, "' OR 1=1", "1e400", "", "-1", "٣")


def url(name: str, page: str, *args: Any) -> str:
    return reverse(f"admin:{name}_{page}", args=args)


def fill_rule(**fields: Any) -> dict[str, Any]:
    values = {
        "code": "SELF1",
        "order": "10",
        "is_active": "on",
        "kind": "number",
        "source": "last_answer",
        "which": "first",
        "side": "future",
        "key": "age",
        "type": "integer",
    }
    return values | fields


@pytest.fixture
def asked(world: World) -> InboundAnswer:
    """A real question about the call of the world, whose answer holds a number."""
    account = world.account
    make_semantic_rule(account=account, key="phone", kind="phone", type="string")
    token = CallbackToken.make(account)[1]
    body = {
        "code": "SELF1",
        "call_uuid": world.call.platform_call_id,
        "dialog": [{"seq": 0, "text_man": "一九九零零零零零零零七"}],
    }
    response = push(token, "semantic", json.dumps(body).encode())
    assert response.json()[0]["value"] == "19900000007"
    return InboundAnswer.objects.get()


def test_every_page_opens(root: Client, world: World, asked: InboundAnswer) -> None:
    context = make_context(account=world.account, values={"a": "1"})
    default = make_context_default(account=world.account)
    body = SimpleUploadedFile("a.csv", b"id,name\n1,a\n,b\n")
    done = root.post(url(FILE, "add"), {"file": body, "account": world.account.pk}, follow=True)
    assert done.status_code == 200 and b'id="rejected">1<' in done.content
    file = ContextImport.objects.get()
    pages = [url(name, "changelist") for name in (RULE, CONTEXT, DEFAULT, FILE, ANSWER)]
    pages += [url(name, "add") for name in (RULE, CONTEXT, DEFAULT, FILE)]
    rule = SemanticRule.objects.get()
    for name, row in (
        (RULE, rule), (CONTEXT, context), (DEFAULT, default), (FILE, file), (ANSWER, asked),
    ):  # fmt: skip
        pages.append(url(name, "change", row.pk))
    pages += [url(RULE, "try"), f"{url(RULE, 'try')}?answer={asked.pk}"]
    pages += [
        f"{url(ANSWER, 'changelist')}?outcome__exact=empty&code=SELF1",
        url(CONTEXT, "changelist") + f"?source__id__exact={file.pk}",
    ]
    pages += [url("campaigns_call", "change", world.call.pk)]
    for language in ("en", "zh-hans"):
        root.cookies.load({"django_language": language})
        for page in pages:
            assert root.get(page).status_code == 200, page


def test_a_rule_is_made_changed_and_deleted(root: Client, world: World) -> None:
    fields = fill_rule(
        account=world.account.pk, kind="choice", choices="是的，对 = 1\n不是, 不要 = 0"
    )
    response = root.post(url(RULE, "add"), fields)
    assert response.status_code == 302, response.context["adminform"].form.errors
    rule = SemanticRule.objects.get()
    assert rule.choices == [["是的", "1"], ["对", "1"], ["不是", "0"], ["不要", "0"]]
    page = root.get(url(RULE, "change", rule.pk)).content.decode()
    assert "是的, 对 = 1" in page
    response = root.post(url(RULE, "change", rule.pk), fields | {"key": "yes"})
    assert response.status_code == 302 and SemanticRule.objects.get().key == "yes"
    root.post(url(RULE, "delete", rule.pk), {"post": "yes"})
    assert not SemanticRule.objects.exists()


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("source_name", {"source": "node"}),
        ("choices", {"kind": "choice"}),
        ("choices", {"kind": "choice", "choices": "word"}),
        ("choices", {"kind": "choice", "choices": "word = text"}),
        ("pattern", {"kind": "pattern"}),
        ("pattern", {"kind": "pattern", "pattern": "("}),
        ("pattern", {"kind": "pattern", "pattern": r"(a)\1"}),
        ("default", {"default": "text"}),
        ("default", {"default": "9" * 300}),
        ("high", {"low": "2", "high": "1"}),
        ("high", {"high": "9" * 5000}),
        ("order", {"order": "70000"}),
        ("code", {"code": "\x00"}),
        ("account", {"account": "9" * 30}),
    ],
)
def test_a_rule_that_cannot_work_is_refused_beside_its_field(
    root: Client, world: World, field: str, fields: dict[str, str]
) -> None:
    response = root.post(url(RULE, "add"), fill_rule(account=world.account.pk) | fields)
    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert not SemanticRule.objects.exists()


def test_a_robot_of_another_account_is_refused(root: Client, world: World) -> None:
    other = make_account()
    fields = fill_rule(account=other.pk, robot=world.robot.pk)
    assert "robot" in root.post(url(RULE, "add"), fields).context["adminform"].form.errors


def test_a_rule_is_tried_without_saving_it(root: Client, world: World) -> None:
    fields = fill_rule(account=world.account.pk, sample="我今年三十五岁", unit="岁")
    page = root.post(url(RULE, "try_rule"), fields).content.decode()
    assert "三十五岁" in page and "&quot;value&quot;:35" in page.replace('"', "&quot;")
    page = root.post(url(RULE, "try_rule"), fields | {"kind": "pattern"}).content.decode()
    assert "三十五岁" not in page
    assert not SemanticRule.objects.exists()
    assert root.get(url(RULE, "try_rule")).status_code == 405


def test_a_request_is_tried_and_nothing_of_it_is_stored(root: Client, world: World) -> None:
    make_semantic_rule(account=world.account, key="age", unit="岁")
    make_context(account=world.account, relation_id="77", values={"姓名": "张三"})
    base = {"account": world.account.pk, "kind": "semantic"}
    sample = json.dumps({"code": "SELF1", "dialog": [{"text_man": "三十五岁"}]})
    page = root.post(url(RULE, "try"), base | {"request": sample})
    assert page.context["result"]["findings"][0]["value"] == "35"
    page = root.post(url(RULE, "try"), base | {"request": "他六十岁", "code": "SELF1"})
    assert json.loads(page.context["result"]["answer"])[0]["value"] == 60
    page = root.post(url(RULE, "try"), base | {"request": "77", "kind": "getDialogContext"})
    assert json.loads(page.context["result"]["answer"]) == {"姓名": "张三"}
    for odd in (*ODD, "[" * 10_000, "{" * 300, '{"dialog": 5}', "null"):
        page = root.post(url(RULE, "try"), base | {"request": odd})
        assert page.status_code == 200
        assert root.post(url(RULE, "try"), {"account": odd, "kind": odd}).status_code == 200
        picked = f"{url(RULE, 'try')}?answer={quote(odd, errors='replace')}"
        assert root.get(picked).status_code in (200, 400)
    assert not InboundAnswer.objects.exists()


def test_variables_are_entered_as_lines(root: Client, world: World) -> None:
    fields = {
        "account": world.account.pk,
        "relation_id": " 1111 ",
        "values": "姓名 = 张三\n网址＝http://a/?b=c\n两行 = a\\nb",
        "expires_at_0": "",
        "expires_at_1": "",
    }
    response = root.post(url(CONTEXT, "add"), fields)
    assert response.status_code == 302, response.context["adminform"].form.errors
    row = InboundContext.objects.get()
    assert row.relation_id == "1111"
    assert row.values == {"姓名": "张三", "网址": "http://a/?b=c", "两行": "a\nb"}
    shown = root.get(url(CONTEXT, "change", row.pk)).context["adminform"].form["values"].value()
    assert "两行 = a\\nb" in root.get(url(CONTEXT, "change", row.pk)).content.decode(), shown
    again = root.post(url(CONTEXT, "add"), fields)
    assert again.status_code == 200 and InboundContext.objects.count() == 1
    for odd in ("noequals", "= b", "a=1\na=2", f"a={'x' * 2001}"):
        response = root.post(url(CONTEXT, "add"), fields | {"relation_id": "2", "values": odd})
        assert "values" in response.context["adminform"].form.errors
    fields = {"account": world.account.pk, "values": "a = 1"}
    assert root.post(url(DEFAULT, "add"), fields).status_code == 302
    assert root.post(url(DEFAULT, "add"), fields).status_code == 200
    assert ContextDefault.objects.get().values == {"a": "1"}


def test_whole_numbers_are_for_who_may_see_them(
    log_in: Callable[[str], Client], world: World, asked: InboundAnswer
) -> None:
    context = make_context(
        account=world.account, relation_id="19900000008", values={"p": "19900000009"}
    )
    numbers = ("19900000007", "19900000008", "19900000009")
    pages = [
        url(ANSWER, "changelist"),
        url(ANSWER, "change", asked.pk),
        url(CONTEXT, "changelist"),
        url(CONTEXT, "change", context.pk),
        f"{url(RULE, 'try')}?answer={asked.pk}",
        url("campaigns_call", "change", world.call.pk),
    ]
    viewer = log_in("viewer")
    for page in pages:
        shown = viewer.get(page).content.decode()
        assert [number for number in numbers if number in shown] == [], page
    tried = {"account": world.account.pk, "kind": "getDialogContext", "request": "19900000008"}
    assert "19900000009" not in viewer.post(url(RULE, "try"), tried).content.decode()
    manager = log_in("manager")
    assert "19900000009" in manager.get(url(CONTEXT, "change", context.pk)).content.decode()
    page = url(ANSWER, "change", asked.pk)
    assert "19900000007" not in manager.get(page).content.decode()
    shown = manager.post(url(ANSWER, "reveal", asked.pk), follow=True).content.decode()
    assert "19900000007" in shown


def test_who_may_only_look_changes_nothing(
    log_in: Callable[[str], Client], world: World, asked: InboundAnswer
) -> None:
    context = make_context(account=world.account)
    body = {"account": world.account.pk, "relation_id": "5", "values": "a = 1"}
    for role in ("viewer", "operator"):
        client = log_in(role)
        for name in (RULE, CONTEXT, DEFAULT, FILE):
            assert client.post(url(name, "add"), body).status_code == 403
        assert client.post(url(RULE, "try_rule"), fill_rule()).status_code == 403
        assert client.post(url(CONTEXT, "change", context.pk), body).status_code == 403
        assert client.post(url(CONTEXT, "delete", context.pk), {"post": "yes"}).status_code == 403
        assert client.post(url(ANSWER, "change", asked.pk), body).status_code == 405
    assert InboundContext.objects.count() == 1
    assert Client().get(url(RULE, "try")).status_code == 302


def test_the_call_shows_what_was_asked_about_it(
    root: Client, world: World, asked: InboundAnswer
) -> None:
    page = root.get(url("campaigns_call", "change", world.call.pk)).content.decode()
    assert 'id="questions"' in page and url(ANSWER, "change", asked.pk) in page
    Call.objects.filter(pk=world.call.pk).update(
        platform_call_id="other", relation_id="rel-1", happened_at=timezone.now()
    )
    page = root.get(url("campaigns_call", "change", world.call.pk)).content.decode()
    assert 'id="questions"' not in page
    InboundAnswer.objects.update(platform_call_id="", relation_id="rel-1")
    page = root.get(url("campaigns_call", "change", world.call.pk)).content.decode()
    assert 'id="questions"' in page
    shown = root.get(url(ANSWER, "change", asked.pk)).content.decode()
    assert url("campaigns_call", "change", world.call.pk) in shown


def test_odd_ids_end_in_no_error(root: Client, world: World) -> None:
    for name in ("semanticrule", "inboundcontext", "contextimport", "inboundanswer"):
        for odd in ("0", "9" * 19, "9" * 200, "x"):
            page = root.get(f"/admin/campaigns/{name}/{odd}/change/")
            assert page.status_code in (302, 404)


def test_a_list_that_nobody_counts_has_ways_to_its_pages_where_there_are_any(
    root: Client, world: World
) -> None:
    """An empty one, or one that ends on its first page, has none."""
    address = url(CONTEXT, "changelist")
    InboundContext.objects.all().delete()
    assert 'rel="next"' not in (empty := root.get(address).content.decode())
    assert "cb-pages" not in empty
    for _number in range(51):
        make_context(account=world.account)
    assert 'rel="next"' in root.get(address).content.decode()
    last = root.get(address, {"p": "2"}).content.decode()
    assert 'rel="prev"' in last
    assert 'rel="next"' not in last
