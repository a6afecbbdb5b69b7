"""In: notices, rules, webhooks. Out: their screens, for each role.

Must catch: somebody else's notices on one's list; a GET that marks, sends or makes a secret; a
secret or an address shown again; a form that breaks; a bell that costs a query per notice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns import notices
from campaigns.models import Account, Notice, NoticeDelivery, NoticeHook, NoticeReader, NoticeRule
from tests.campaigns.admin.test_actions import read_messages
from tests.campaigns.admin.world import World, make_user
from tests.campaigns.notices.making import finish, make_hook, make_rule
from tests.platforms.faulty import FaultyServer, make_reply

RULES = "admin:campaigns_noticerule_changelist"
LIST = "admin:campaigns_notice_changelist"


def page(model: str, pk: int, verb: str = "change") -> str:
    return reverse(f"admin:campaigns_{model}_{verb}", args=[pk])


@pytest.fixture
def manager(world: World) -> User:
    """Is told that a task is done; the rules of a new installation are gone."""
    NoticeRule.objects.all().delete()
    user = make_user("manager")
    make_rule("task_done", user, make_user("operator"))
    finish(world.running)
    notices.find_notices()
    return user


@pytest.fixture
def client(manager: User) -> Client:
    client = Client()
    client.force_login(manager)
    return client


def test_the_bell_is_on_every_page_and_says_how_many(client: Client, manager: User) -> None:
    home = client.get(reverse("admin:index")).content.decode()
    assert 'id="bell"' in home
    assert 'aria-label="1 unread notice"' in home
    notices.mark_read(manager)
    live = client.get(reverse("admin:campaigns_notice_bell"))
    assert "no-store" in live["Cache-Control"]
    assert 'aria-label="No unread notice"' in live.content.decode()
    assert 'data-live="/admin/campaigns/notice/bell/"' in live.content.decode()


def test_who_may_see_no_notice_has_no_bell(world: World) -> None:
    user = make_user("viewer")
    user.groups.clear()
    client = Client()
    client.force_login(user)
    assert 'id="bell"' not in client.get(reverse("admin:index")).content.decode()
    assert 'id="bell"' not in client.get(reverse("admin:login")).content.decode()


def test_the_bell_costs_one_question_however_many_there_are(client: Client, world: World) -> None:
    url = reverse("admin:campaigns_notice_bell")
    client.get(url)
    with CaptureQueriesContext(connection) as one:
        client.get(url)
    reader = NoticeReader.objects.first()
    assert reader
    made = Notice.objects.bulk_create(
        Notice(key=f"k{n}", event="task_done", happened_at=timezone.now()) for n in range(150)
    )
    NoticeReader.objects.bulk_create(
        NoticeReader(notice=notice, user_id=user)
        for notice in made
        for user in NoticeReader.objects.values_list("user", flat=True).distinct()
    )
    with CaptureQueriesContext(connection) as many:
        answer = client.get(url).content.decode()
    assert len(many) == len(one)
    assert ">99+<" in answer


def test_the_list_is_ones_own(client: Client, world: World, log_in: Any) -> None:
    told = f"Task {world.running.name} is done."
    assert told in client.get(reverse(LIST)).content.decode()
    stranger = log_in("admin")
    notice = Notice.objects.get()
    assert told not in stranger.get(reverse(LIST)).content.decode()
    for verb in ("open", "mark"):
        url = page("notice", notice.pk, verb)
        assert stranger.post(url).status_code == 404
        assert client.get(url).status_code == 405
    assert stranger.get(page("notice", notice.pk)).status_code == 302
    assert client.get(page("notice", notice.pk)).status_code == 200
    assert notices.count_unread(User.objects.get(username="manager")) == 1  # no GET marks it


def test_it_is_read_by_opening_it(client: Client, manager: User, world: World) -> None:
    notice = Notice.objects.get()
    response = client.post(page("notice", notice.pk, "open"))
    assert response.url == page("task", world.running.pk)
    assert notices.count_unread(manager) == 0
    assert notices.count_unread(User.objects.get(username="operator")) == 1
    client.post(page("notice", notice.pk, "mark"), {"read": "0"})
    assert notices.count_unread(manager) == 1
    unread = client.get(reverse(LIST), {"read": "no"}).content.decode()
    assert world.running.name in unread
    client.post(reverse("admin:campaigns_notice_read_all"))
    assert notices.count_unread(manager) == 0
    assert client.get(reverse("admin:campaigns_notice_read_all")).status_code == 405
    unread = client.get(reverse(LIST), {"read": "no"}).content.decode()
    assert "No row fits" in unread


def test_what_lasts_says_so(client: Client, manager: User, world: World) -> None:
    make_rule("account_stopped", manager)
    Account.objects.filter(pk=world.account.pk).update(stopped_at=timezone.now())
    notices.find_notices()
    assert "still so" in client.get(reverse(LIST)).content.decode()
    Account.objects.update(stopped_at=None)
    notices.find_notices()
    shown = client.get(page("notice", Notice.objects.latest("id").pk)).content.decode()
    assert "Over since" in shown


# --------------------------------------------------------------------------------------- rules


def read_form(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_a_manager_makes_changes_and_deletes_a_rule(
    client: Client, manager: User, world: World
) -> None:
    add = reverse("admin:campaigns_noticerule_add")
    assert client.get(add, {"event": "task_done", "task": world.draft.pk}).status_code == 200
    data = {
        "event": "answer_rate", "name": "", "account": world.account.pk, "is_active": "on",
        "percent": "20", "sample": "100", "users": [manager.pk], "by_bell": "on",
        "language": "zh-hans", "addresses_text": "Team@example.org\nb@example.org",
    }  # fmt: skip
    assert client.post(add, data).status_code == 302
    rule = NoticeRule.objects.latest("id")
    assert (rule.percent, rule.addresses) == (20, ["team@example.org", "b@example.org"])
    assert list(rule.users.all()) == [manager]
    assert LogEntry.objects.get_for_object(rule).exists()
    shown = client.get(page("noticerule", rule.pk)).content.decode()
    assert "team@example.org" in shown
    before = rule.since
    change = page("noticerule", rule.pk)
    assert client.post(change, data | {"percent": "30"}).status_code == 302
    rule.refresh_from_db()
    assert (rule.percent, rule.since) == (30, before)
    without = {name: value for name, value in data.items() if name != "is_active"}
    client.post(change, without)
    client.post(change, data)
    rule.refresh_from_db()
    assert rule.since > before  # what happened while it was off is not told
    assert client.post(page("noticerule", rule.pk, "delete"), {"post": "yes"}).status_code == 302
    assert not NoticeRule.objects.filter(pk=rule.pk).exists()


GOOD = {"event": "task_done", "is_active": "on", "everyone": "on", "by_bell": "on"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"by_bell": ""}, "__all__"),
    ({"everyone": ""}, "__all__"),
    ({"event": "answer_rate"}, "percent"),
    ({"event": "answer_rate", "percent": "0", "sample": "10"}, "percent"),
    ({"event": "answer_rate", "percent": "9" * 5000, "sample": "10"}, "percent"),
    ({"event": "nothing"}, "event"),
    ({"addresses_text": "nobody"}, "addresses_text"),
    ({"addresses_text": "a@b.example\x00"}, "addresses_text"),
    ({"addresses_text": " ".join(f"a{n}@b.example" for n in range(51))}, "addresses_text"),
    ({"users": ["9" * 5000]}, "users"),
    ({"hooks": ["x"]}, "hooks"),
    ({"task": "9" * 30}, "task"),
    ({"language": "xx"}, "language"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_each_mistake_is_told_beside_its_field(client: Client, number: int) -> None:
    change, field = WRONG[number]
    data = {name: value for name, value in ({"language": "en"} | GOOD | change).items() if value}
    response = client.post(reverse("admin:campaigns_noticerule_add"), data)
    assert field in read_form(response)


def test_a_task_of_another_account_is_refused(client: Client, world: World) -> None:
    from tests.factories import make_task

    data = GOOD | {"language": "en", "account": world.account.pk, "task": make_task().pk}
    response = client.post(reverse("admin:campaigns_noticerule_add"), data)
    assert "task" in read_form(response)


def test_it_is_said_that_no_mail_leaves(client: Client, settings: Any) -> None:
    for works in (False, True):
        settings.EMAIL_CONFIGURED = works
        for url in (reverse(RULES), reverse("admin:campaigns_noticerule_add")):
            assert ("EMAIL_URL" in client.get(url).content.decode()) is not works


def test_a_viewer_looks_at_rules_and_sees_no_address(
    client: Client, log_in: Callable[[str], Client]
) -> None:
    rule = NoticeRule.objects.get()
    NoticeRule.objects.update(addresses=["team@example.org"])
    viewer = log_in("viewer")
    shown = viewer.get(page("noticerule", rule.pk))
    assert shown.status_code == 200
    assert "team@example.org" not in shown.content.decode()
    assert viewer.get(reverse("admin:campaigns_noticerule_add")).status_code == 403
    assert viewer.post(page("noticerule", rule.pk), GOOD).status_code == 403


# ------------------------------------------------------------------------------------- webhooks


def test_an_administrator_makes_a_webhook_and_tests_it(
    world: World, log_in: Callable[[str], Client], settings: Any
) -> None:
    settings.NOTICE_ALLOW_HOSTS = ["127.0.0.1"]
    admin = log_in("admin")
    with FaultyServer(lambda connection, _: connection.sendall(make_reply(b"ok"))) as server:
        url = f"http://127.0.0.1:{server.port}/in/T0pSecretPath"
        data = {"name": "Chat", "url": url, "language": "en", "is_active": "on"}
        added = admin.post(reverse("admin:campaigns_noticehook_add"), data)
        hook = NoticeHook.objects.get()
        secret_page = page("noticehook", hook.pk, "secret")
        assert added.url == secret_page
        token = admin.get(secret_page).context["form_token"]
        made = admin.post(secret_page, {"form_token": token})
        secret = NoticeHook.objects.get().secrets["secret"]
        assert secret in made.content.decode()
        assert "no-store" in made["Cache-Control"]
        admin.post(secret_page, {"form_token": token})  # a second click makes none
        assert NoticeHook.objects.get().secrets["secret"] == secret
        tested = admin.post(page("noticehook", hook.pk, "test"), follow=True)
        assert "HTTP 200" in str(read_messages(tested))
        assert server.receipts == 1
        assert admin.get(page("noticehook", hook.pk, "test")).status_code == 405
    for shown in (
        admin.get(secret_page),
        admin.get(page("noticehook", hook.pk)),
        admin.get(reverse("admin:campaigns_noticehook_changelist")),
        admin.get(page("noticehook", hook.pk, "history")),
        admin.get(reverse("admin:auditlog_logentry_changelist")),
        admin.get(page("noticedelivery", NoticeDelivery.objects.get().pk)),
    ):
        assert shown.status_code == 200
        assert secret not in shown.content.decode()
        assert "T0pSecretPath" not in shown.content.decode()
    assert secret not in str([entry.changes for entry in LogEntry.objects.all()])
    kept = {"name": "Chat", "url": "", "language": "en", "is_active": "on"}
    assert admin.post(page("noticehook", hook.pk), kept).status_code == 302
    assert NoticeHook.objects.get().secrets["url"] == url


def test_a_test_that_does_not_arrive_says_why(
    world: World, log_in: Callable[[str], Client]
) -> None:
    hook = make_hook("https://127.0.0.1:9/in/T0pSecretPath")
    told = log_in("admin").post(page("noticehook", hook.pk, "test"), follow=True)
    assert "NOTICE_ALLOW_HOSTS" in str(read_messages(told))
    assert "T0pSecretPath" not in told.content.decode()


@pytest.mark.parametrize("url", ["", "http://example.org/", "https://\x00", "x" * 5000])
def test_an_odd_address_is_a_mistake_on_the_form(
    world: World, log_in: Callable[[str], Client], url: str
) -> None:
    data = {"name": "Chat", "url": url, "language": "en"}
    response = log_in("admin").post(reverse("admin:campaigns_noticehook_add"), data)
    assert "url" in read_form(response)


def test_webhooks_are_for_administrators(world: World, log_in: Callable[[str], Client]) -> None:
    hook = make_hook()
    client = log_in("manager")
    assert client.get(page("noticehook", hook.pk)).status_code == 200
    assert client.get(reverse("admin:campaigns_noticehook_add")).status_code == 403
    for verb in ("test", "secret"):
        assert client.post(page("noticehook", hook.pk, verb)).status_code == 403
    assert client.get(page("noticehook", hook.pk, "secret")).status_code == 403


def test_a_failed_delivery_is_sent_again_by_who_may(
    world: World, log_in: Callable[[str], Client]
) -> None:
    notice = Notice.objects.create(
        key="k", event="task_done", happened_at=timezone.now(), values={"task": "T"}
    )
    row = NoticeDelivery.objects.create(
        notice=notice, channel="email", address="anna@example.org", status="failed", tries=7
    )
    again = page("noticedelivery", row.pk, "again")
    viewer = log_in("viewer")
    for url in (
        reverse("admin:campaigns_noticedelivery_changelist"),
        page("noticedelivery", row.pk),
    ):
        shown = viewer.get(url).content.decode()
        assert "a***@example.org" in shown
        assert "anna@example.org" not in shown
    assert viewer.post(again).status_code == 403
    manager = log_in("manager")
    assert manager.get(again).status_code == 405
    manager.post(again)
    row.refresh_from_db()
    assert (row.status, row.tries) == ("waiting", 0)
    told = manager.post(again, follow=True)
    assert "Only what has failed" in str(read_messages(told))


PAGES = ("notice", "noticerule", "noticehook", "noticedelivery")


def test_every_page_opens_in_both_languages(root: Client, world: World, manager: User) -> None:
    hook = make_hook()
    make_rule("task_done", User.objects.get(username="root"), hooks=[hook])
    NoticeRule.objects.update(since=timezone.now() - timedelta(days=1))
    notices.find_notices()
    rows = {
        "notice": Notice.objects.get(),
        "noticerule": NoticeRule.objects.latest("id"),
        "noticehook": hook,
        "noticedelivery": NoticeDelivery.objects.get(),
    }
    for language in ("en", "zh-hans"):
        root.cookies["django_language"] = language
        for name, row in rows.items():
            for url in (
                page(name, row.pk),
                page(name, row.pk, "history"),
                reverse(f"admin:campaigns_{name}_changelist"),
            ):
                assert root.get(url).status_code == 200, (language, url)
        assert root.get(page("noticehook", hook.pk, "secret")).status_code == 200


ODD = ["%00", "9" * 5000, "%ud800", "x", "-1", "1e400", "%F0%9F%98%80"]


@pytest.mark.parametrize("odd", ODD)
def test_odd_addresses_end_in_a_plain_answer(root: Client, odd: str) -> None:
    root.raise_request_exception = False
    for name in PAGES:
        base = f"/admin/campaigns/{name}/"
        for query in (
            "read",
            "event",
            "event__exact",
            "status__exact",
            "hook__id__exact",
            "q",
            "p",
        ):
            assert root.get(f"{base}?{query}={odd}").status_code < 500, (name, query)
        for verb in ("change", "open", "mark", "test", "secret", "again", "delete"):
            assert root.get(f"{base}{odd}/{verb}/").status_code < 500, (name, verb)
            assert root.post(f"{base}{odd}/{verb}/").status_code < 500, (name, verb)


def test_an_installation_begins_with_rules_and_tells_by_bell(db: None) -> None:
    """As the migration made them, unless a transactional test emptied the tables."""
    if not NoticeRule.objects.exists():
        from importlib import import_module

        from django.apps import apps

        import_module("campaigns.migrations.0035_first_notices").make_rules(apps, None)
    assert NoticeRule.objects.filter(event="account_stopped", everyone=True, by_bell=True).exists()
    assert not NoticeRule.objects.exclude(addresses=[]).exists()
    call_command("check", verbosity=0)
