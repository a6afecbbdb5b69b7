"""In: a populated database. Out: every page opens, has its rows, in few queries, in two languages.

Must catch: a query per row; a page that breaks on real rows; a page a role should not see.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.campaigns.admin.world import World, make_user, make_world

MODELS = [
    "account", "robot", "line", "voice", "exchange", "task", "contact", "call", "recording",
    "agent", "contactimport",
]  # fmt: skip


def list_pages(world: World) -> dict[str, str]:
    rows = {
        "account": world.account,
        "robot": world.robot,
        "line": world.line,
        "voice": world.voice,
        "exchange": world.exchange,
        "task": world.running,
        "contact": world.contact,
        "call": world.call,
        "contactimport": world.contact_import,
    }
    pages = {"home": reverse("admin:index"), "home live": reverse("admin:campaigns_home_live")}
    for name in MODELS:
        pages[f"{name} list"] = reverse(f"admin:campaigns_{name}_changelist")
    for name, row in rows.items():
        pages[f"{name} page"] = reverse(f"admin:campaigns_{name}_change", args=[row.pk])
    pages |= {
        "draft page": reverse("admin:campaigns_task_change", args=[world.draft.pk]),
        "direct page": reverse("admin:campaigns_task_change", args=[world.direct.pk]),
        "task live": reverse("admin:campaigns_task_live", args=[world.running.pk]),
        "task add": reverse("admin:campaigns_task_add"),
        "account add": reverse("admin:campaigns_account_add"),
        "launch": reverse("admin:campaigns_task_launch", args=[world.draft.pk]),
        "stop": reverse("admin:campaigns_task_delete-there", args=[world.running.pk]),
        "import": reverse("admin:campaigns_task_import", args=[world.draft.pk]),
        "import add": reverse("admin:campaigns_contactimport_add"),
        "import live": reverse(
            "admin:campaigns_contactimport_live", args=[world.contact_import.pk]
        ),
        "import undo": reverse(
            "admin:campaigns_contactimport_undo", args=[world.contact_import.pk]
        ),
        "template": reverse("admin:campaigns_task_template", args=[world.draft.pk, "csv"]),
        "direct call": reverse("admin:campaigns_task_direct_call"),
        "addresses": reverse("admin:campaigns_account_addresses", args=[world.account.pk]),
        "rejected": reverse(
            "admin:campaigns_contactimport_rejected", args=[world.contact_import.pk]
        ),
        "users": reverse("admin:auth_user_changelist"),
        "user": reverse("admin:auth_user_add"),
        "groups": reverse("admin:auth_group_changelist"),
        "log": reverse("admin:auditlog_logentry_changelist"),
        "history": reverse("admin:campaigns_task_history", args=[world.running.pk]),
    }
    return pages


def test_every_page_opens_in_both_languages(root: Client, world: World) -> None:
    for language in ("en", "zh-hans"):
        root.cookies["django_language"] = language
        for name, url in list_pages(world).items():
            response = root.get(url)
            assert response.status_code == 200, (language, name, response.status_code)


def test_pages_have_their_rows(root: Client, world: World) -> None:
    pages = list_pages(world)
    task = root.get(pages["task page"]).content.decode()
    assert 'data-status="running"' in task
    assert "insert_contacts" in task
    assert "contacts.csv" in task
    call = root.get(pages["call page"]).content.decode()
    assert "开场白" in call
    assert "<audio" in call
    assert "receiveCallRecord" in call
    assert "talk_seconds" in call
    account = root.get(pages["account page"]).content.decode()
    assert "points here" in account
    assert "elsewhere.example" in account
    assert "SANDBOX – calls nobody" in account
    assert "test-secret" not in account


def test_phones_are_masked(root: Client, world: World) -> None:
    for name, url in list_pages(world).items():
        if name not in ("rejected", "template"):
            assert world.contact.phone not in root.get(url).content.decode(), name


@pytest.mark.parametrize("name", ["home", *(f"{model} list" for model in MODELS), "task page"])
def test_queries_do_not_grow_with_rows(root: Client, world: World, name: str) -> None:
    url = list_pages(world)[name]
    root.get(url)
    with CaptureQueriesContext(
        connection,
    ) as few:
        root.get(url)
    from campaigns.models import Account

    Account.objects.filter(pk=world.account.pk).update(name="Another")
    make_world(contacts=24, calls=18)
    with CaptureQueriesContext(connection) as many:
        root.get(url)
    assert len(many) <= len(few) + 1, name
    assert len(many) <= 36, (name, len(many))


def test_the_call_page_is_bounded(root: Client, world: World) -> None:
    with CaptureQueriesContext(connection) as queries:
        root.get(reverse("admin:campaigns_call_change", args=[world.call.pk]))
    assert len(queries) <= 26  # the bell is one of them


VIEWER_SEES = {f"{model} list" for model in MODELS} | {"home", "task page", "call page"}
VIEWER_IS_REFUSED = {
    "task add", "account add", "launch", "stop", "import", "direct call", "addresses", "rejected",
    "users", "log", "import add", "import undo", "template",
}  # fmt: skip


def test_a_viewer_sees_and_changes_nothing(log_in: Callable[[str], Client], world: World) -> None:
    client, pages = log_in("viewer"), list_pages(world)
    for name in VIEWER_SEES:
        assert client.get(pages[name]).status_code == 200, name
    for name in VIEWER_IS_REFUSED:
        assert client.get(pages[name]).status_code == 403, name
    for verb in ("launch", "pause", "resume", "delete-there", "clone"):
        url = reverse(f"admin:campaigns_task_{verb}", args=[world.running.pk])
        assert client.post(url).status_code == 403, verb
    for model in ("contact", "call"):
        row = getattr(world, model)
        url = reverse(f"admin:campaigns_{model}_reveal", args=[row.pk])
        assert client.post(url).status_code == 403, model


def test_an_operator_prepares_and_does_not_launch(
    log_in: Callable[[str], Client], world: World
) -> None:
    client, pages = log_in("operator"), list_pages(world)
    for name in ("task add", "draft page", "import"):
        assert client.get(pages[name]).status_code == 200, name
    for name in ("launch", "stop", "direct call", "account add"):
        assert client.get(pages[name]).status_code == 403, name
    assert client.post(pages["launch"]).status_code == 403


def test_nobody_deletes(root: Client, world: World) -> None:
    for model in MODELS:
        rows = {"task": world.running, "contactimport": world.contact_import}
        row = rows.get(model) or getattr(world, model, world.call)
        url = reverse(f"admin:campaigns_{model}_delete", args=[row.pk])
        assert root.post(url, {"post": "yes"}).status_code == 403, model


def test_strangers_are_sent_to_the_log_in(world: World) -> None:
    for name, url in list_pages(world).items():
        response = Client().get(url)
        assert response.status_code == 302, name
        assert "/login/" in response["Location"], name


def test_empty_lists_say_what_to_do_next(db: None) -> None:
    client = Client()
    client.force_login(make_user())
    assert "Add an account" in client.get(reverse("admin:index")).content.decode()
    for model in MODELS:
        page = client.get(reverse(f"admin:campaigns_{model}_changelist")).content.decode()
        assert "Nothing here yet" in page, model
        page = client.get(reverse(f"admin:campaigns_{model}_changelist") + "?q=zzz")
        assert "No row fits" in page.content.decode(), model
