"""In: addresses and forms nobody means. Out: a refusal or a sentence, never a 500.

Must catch: NUL and surrogates reaching PostgreSQL, numbers and dates beyond its range, lookups no
list offers, ids of other models, GET on an action, a form that was sent before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import transaction
from django.test import Client
from django.urls import NoReverseMatch, reverse

from tests.campaigns.admin.test_pages import list_pages
from tests.campaigns.admin.world import World

DIGITS = "9" * 5000
ODD_QUERIES = [
    "q=%00",
    "q=%ED%A0%80",
    "q=" + "a" * 5000,
    f"q={DIGITS}",
    "q=%25%5C%27%22",
    f"p={DIGITS}",
    "p=99999999999",
    "p=-1",
    "p=abc",
    "all=1",
    "all=",
    f"o={DIGITS}",
    "o=99.-99.x",
    "o=--1",
    "x__regex=(",
    "name__regex=(",
    "id__regex=(",
    "pk__in=a,b",
    "id__exact=abc",
    f"id__exact={DIGITS}",
    "id__exact=99999999999999999999",
    "status__exact=%00",
    "status__exact=nonsense",
    "status__exact=running&status__exact=draft",
    "status__isnull=x",
    "status__in=running",
    "account__id__exact=abc",
    f"account__id__exact={DIGITS}",
    "account__id__exact=99999999999999999999",
    "account__credentials__contains=a",
    "account__token__value__startswith=a",
    "task__id__exact=abc",
    f"task__id__exact={DIGITS}",
    "task__account__credentials__regex=.",
    "call__task__id__exact=abc",
    "source__id__exact=x",
    "batch__id__exact=99999999999999999999999",
    "happened_at_from=99999999999999-01-01",
    "happened_at_from=9999-12-31&happened_at_to=9999-12-31",
    "happened_at_from=0001-01-01",
    "happened_at_to=0001-01-01",
    "happened_at__gte=99999999999999",
    "happened_at__year=99999999999999",
    "happened_at__date=x",
    "started_at_from=x&started_at_to=%00",
    "created_at_from=9999-12-31",
    "intention=%00",
    "intention=%ED%B0%80",
    "dialog=maybe",
    "on=maybe",
    "state__in=talking,%00",
    "agent=%00",
    f"agent={DIGITS}",
    "platform_result=%00",
    "stage=nonsense",
    "stage=now",
    "verification=none",
    "verification=%00",
    "answered__exact=maybe",
    "answered__exact=2",
    "called=x",
    "result=nonsense",
    "e=1",
    "_facets=True",
    "_popup=1",
    "_to_field=password",
    "_to_field=id",
    "_changelist_filters=%00",
    "_changelist_filters=" + "%26".join(["a"] * 50),
    "account=x",
    f"account={DIGITS}",
    "account=99999999999999999999",
    "platform=nonsense",
    "=",
    "&&&",
    "a=1" + "&a=1" * 500,
]
ODD_IDS = ["0", "-1", "abc", "99999999999999999999", DIGITS, "1.5", "%00", "_", "1_2", "٣", "a/b"]


def list_change_names() -> Iterator[str]:
    for model in admin.site._registry:
        yield f"admin:{model._meta.app_label}_{model._meta.model_name}"


#: what a page that looks nothing up may meet
FEW_QUERIES = [query for query in ODD_QUERIES if query.startswith(("_", "account=", "p", "e", "="))]


def try_queries(client: Client, pages: dict[str, str], queries: list[str]) -> list[Any]:
    client.raise_request_exception = False
    broken = []
    for name, url in pages.items():
        for query in queries:
            # a query that PostgreSQL refuses would end the test's own transaction
            point = transaction.savepoint()
            response = client.get(f"{url}?{query}")
            transaction.savepoint_rollback(point)
            if response.status_code >= 500:
                broken.append((name, query[:60]))
    return broken


def test_odd_queries_of_lists_end_in_no_error(root: Client, world: World) -> None:
    pages = {name: reverse(f"{name}_changelist") for name in list_change_names()}
    assert len(pages) > 10
    assert not try_queries(root, pages, ODD_QUERIES)


def test_odd_queries_of_pages_end_in_no_error(root: Client, world: World) -> None:
    pages = {name: url for name, url in list_pages(world).items() if not name.endswith("list")}
    pages["autocomplete"] = reverse("admin:autocomplete")
    assert len(FEW_QUERIES) > 10
    assert not try_queries(root, pages, FEW_QUERIES)


def test_odd_ids_end_in_no_error(root: Client, world: World) -> None:
    root.raise_request_exception = False
    views = [f"{name}_{verb}" for name in list_change_names() for verb in ("change", "history")]
    views += [
        f"admin:campaigns_task_{verb}"
        for verb in (
            "live",
            "launch",
            "pause",
            "resume",
            "delete-there",
            "clone",
            "ask",
            "import",
            "results",
        )
    ]
    views += [
        f"admin:campaigns_contactimport_{verb}"
        for verb in (
            "reading",
            "columns",
            "preview",
            "live",
            "confirm",
            "again",
            "cancel",
            "undo",
            "reveal",
            "rejected",
        )
    ]
    views += [f"admin:campaigns_account_{verb}" for verb in ("test", "sync", "addresses")]
    views += [f"admin:campaigns_{model}_reveal" for model in ("call", "contact")]
    broken, tried = [], 0
    for view in views:
        for odd in ODD_IDS:
            try:
                url = reverse(view, args=[odd])
            except NoReverseMatch:
                continue
            for method in (root.get, root.post):
                tried += 1
                response = method(url)
                if response.status_code >= 500:
                    broken.append((view, odd[:30], method.__name__))
    assert not broken
    assert tried > 400


@pytest.mark.parametrize("verb", ["pause", "resume", "clone", "ask"])
def test_get_on_an_action_does_nothing(root: Client, world: World, verb: str) -> None:
    url = reverse(f"admin:campaigns_task_{verb}", args=[world.running.pk])
    assert root.get(url).status_code == 405
    world.running.refresh_from_db()
    assert (world.running.status, world.running.request) == ("running", "")


ODD_TEXTS = ["x\x00y", "\ud800", DIGITS, "<script>", "-1", "1e400"]


def test_odd_forms_end_in_no_error(root: Client, world: World) -> None:
    root.raise_request_exception = False
    task = reverse("admin:campaigns_task_add")
    account = reverse("admin:campaigns_account_add")
    direct = reverse("admin:campaigns_task_direct_call")
    names = [
        *("name", "robot", "lines", "voice", "windows_text", "recall_count"),
        *("recall_wait_seconds", "begin_at_0", "begin_at_1", "end_at_0", "end_at_1", "turbo"),
        *("base_url", "time_zone", "region", "rate_limit", "cap_calls", "cap_days"),
        "setting_recording_prefix",
        *("credential_app_key", "line", "speed", "rows", "step", "form_token"),
    ]
    broken = []

    def send(url: str, form: dict[str, Any]) -> None:
        response = post_odd(root, url, form)
        if response.status_code >= 500:
            broken.append((url, {name: str(value)[:20] for name, value in form.items()}))

    for url in (task, account, direct):
        for text in ODD_TEXTS:
            send(url, dict.fromkeys(names, text))
    for name in make_task_form(world):
        for text in ("x\x00y", DIGITS, "-1"):
            send(task, make_task_form(world) | {name: text})
    for year in ("99999999999999-01-01", "9999-12-31", "0001-01-01"):
        form = make_task_form(world) | {"begin_at_0": year, "begin_at_1": "09:00:00"}
        send(task, form)
    assert not broken


def make_task_form(world: World) -> dict[str, object]:
    return {
        "name": "八月回访",
        "robot": world.robot.pk,
        "lines": [world.line.pk],
        "voice": world.voice.pk,
        "windows_text": "09:00-12:00",
        "recall_count": 1,
        "recall_wait_seconds": 600,
    }


def post_odd(client: Client, url: str, form: dict[str, Any]) -> Any:
    """What a browser never sends, lone surrogates too; the test client would take bytes apart."""
    body = urlencode(form, doseq=True, errors="surrogatepass")
    return client.post(url, body, content_type="application/x-www-form-urlencoded")


ODD_FORMS: list[dict[str, Any]] = [
    *(
        {"_selected_action": odd}
        for odd in ("abc", DIGITS, "9" * 19, "-1", "", "٣", "1\x00", "\ud800")
    ),
    {"_selected_action": ["0", DIGITS]},
    {"_selected_action": "0", "index": DIGITS},
    {"_selected_action": "0", "index": "-99"},
    {"_selected_action": "0", "select_across": DIGITS},
    {"_selected_action": "0", "action": "delete_selected"},
    {"_selected_action": "0", "action": "x\x00y"},
    {"_selected_action": "0", "action": DIGITS},
    {"_selected_action": "0", "_save": "1", "form-TOTAL_FORMS": DIGITS},
]


def test_odd_list_actions_do_nothing(root: Client, world: World) -> None:
    root.raise_request_exception = False
    broken, tried = [], 0
    for name in list_change_names():
        url, before = reverse(f"{name}_changelist"), model_count(name)
        label, model = name.removeprefix("admin:").split("_")
        own = list(admin.site._registry[apps.get_model(label, model)].actions or [])
        for action in ["delete_selected", *own]:
            for odd in ODD_FORMS:
                for query in ("", f"?p={DIGITS}", f"?id__exact={DIGITS}"):
                    point = transaction.savepoint()
                    response = post_odd(root, f"{url}{query}", {"action": action} | odd)
                    transaction.savepoint_rollback(point)
                    tried += 1
                    if response.status_code >= 500:
                        broken.append((name, action, str(odd)[:60], query[:20]))
        assert model_count(name) == before, name
    assert broken == []
    assert tried > 500


def model_count(name: str) -> int:
    label, model = name.removeprefix("admin:").split("_")
    return apps.get_model(label, model)._default_manager.count()
