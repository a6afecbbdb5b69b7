"""In: a populated database and a sandbox. Out: every button pressed, once, twice and fifty times.

Must catch: two launches of one task, a direct call sent twice, a secret shown again, a form that
keeps a wrong combination, a reveal that nobody wrote down.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from campaigns import counting
from campaigns.approvals import fingerprint_launch
from campaigns.models import Account, CallbackToken, Contact, StatusChange, Task
from tests.campaigns.admin.world import World, make_user, make_world
from tests.factories import make_account, make_contact, make_line, make_robot, make_task


def read_messages(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def find_token(response: Any) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', response.content.decode())
    assert found is not None
    return found[1]


# --------------------------------------------------------------------------------------- account


def test_test_connection_and_synchronise(account: Account) -> None:
    client = Client()
    client.force_login(make_user())
    url = reverse("admin:campaigns_account_test", args=[account.pk])
    assert client.get(url).status_code == 405
    assert "works" in read_messages(client.post(url, follow=True))
    response = client.post(reverse("admin:campaigns_account_sync", args=[account.pk]), follow=True)
    assert "mirrored" in read_messages(response)
    assert account.robot_set.exists()
    assert account.line_set.exists()
    Account.objects.filter(pk=account.pk).update(base_url="http://127.0.0.1:9/openapi")
    response = client.post(url, follow=True)
    assert "works" not in read_messages(response)
    assert "does not work" in response.content.decode()
    response = client.post(reverse("admin:campaigns_account_sync", args=[account.pk]), follow=True)
    assert "Not synchronised" in read_messages(response)


def test_new_addresses_are_shown_once(root: Client, world: World) -> None:
    url = reverse("admin:campaigns_account_addresses", args=[world.account.pk])
    token = find_token(root.get(url))
    assert CallbackToken.objects.count() == 1
    made = root.post(url, {"form_token": token})
    assert "no-store" in made["Cache-Control"]
    secret = re.search(r"/callbacks/([\w-]{40,})/receiveCallRecord", made.content.decode())
    assert secret is not None
    assert CallbackToken.objects.count() == 2
    again = root.post(url, {"form_token": token}, follow=True)
    assert "sent already" in read_messages(again)
    assert CallbackToken.objects.count() == 2
    page = root.get(reverse("admin:campaigns_account_change", args=[world.account.pk]))
    assert secret[1] not in page.content.decode()


def make_account_form(**fields: Any) -> dict[str, Any]:
    return {
        "name": "New",
        "base_url": "http://127.0.0.1:9/openapi",
        "time_zone": "Asia/Shanghai",
        "region": "CN",
        "cap_days": "7",
        "rate_limit": 20,
        "is_active": "on",
        "setting_recording_prefix": "",
        "setting_push_download_prefix": "",
        "credential_app_key": "key-1",
        "credential_app_secret": "secret-1",
    } | fields


def test_an_account_is_added_and_its_secrets_kept(root: Client, world: World) -> None:
    response = root.post(reverse("admin:campaigns_account_add"), make_account_form())
    account = Account.objects.get(name="New")
    assert response["Location"] == reverse("admin:campaigns_account_addresses", args=[account.pk])
    assert account.credentials == {"app_key": "key-1", "app_secret": "secret-1"}
    form = make_account_form(name="Newer", credential_app_key="", credential_app_secret="")
    root.post(reverse("admin:campaigns_account_change", args=[account.pk]), form)
    account.refresh_from_db()
    assert account.name == "Newer"
    assert account.credentials == {"app_key": "key-1", "app_secret": "secret-1"}
    page = root.get(reverse("admin:campaigns_account_change", args=[account.pk])).content.decode()
    assert "secret-1" not in page
    assert "key-1" not in page


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "http://10.0.0.1/openapi"),
        ("base_url", "https://10.0.0.1/openapi"),
        ("base_url", "https://169.254.169.254/latest"),
        ("base_url", "https://[::1]/openapi"),
        ("base_url", "ftp://example.com/"),
        ("base_url", "https://user:pass@example.com/"),
        ("time_zone", "Mars/Olympus"),
        ("rate_limit", "0"),
        ("credential_app_key", ""),
        ("name", "讯飞外呼"),
    ],
)
def test_a_wrong_account_is_refused_on_the_form(
    root: Client, world: World, field: str, value: str
) -> None:
    form = make_account_form(**{field: value})
    response = root.post(reverse("admin:campaigns_account_add"), form)
    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert not Account.objects.filter(name="New").exists()


# ------------------------------------------------------------------------------------------ task


def make_task_form(world: World, **fields: Any) -> dict[str, Any]:
    return {
        "name": "八月回访",
        "robot": world.robot.pk,
        "lines": [world.line.pk],
        "voice": world.voice.pk,
        "windows_text": "09:00-12:00, 13:00-17:30",
        "recall_count": 1,
        "recall_wait_seconds": 600,
    } | fields


def test_a_draft_is_made_changed_and_cloned(root: Client, world: World) -> None:
    add = reverse("admin:campaigns_task_add")
    response = root.post(add, make_task_form(world), follow=True)
    task = Task.objects.get(name="八月回访")
    assert "draft is saved" in read_messages(response)
    assert task.windows == [["09:00:00", "12:00:00"], ["13:00:00", "17:30:00"]]
    assert list(task.lines.all()) == [world.line]
    assert task.created_by is not None
    change = reverse("admin:campaigns_task_change", args=[task.pk])
    form = make_task_form(world, recall_count=0, recall_wait_seconds="", windows_text="")
    root.post(change, form)
    task.refresh_from_db()
    assert (task.recall_count, task.recall_wait_seconds, task.windows) == (0, None, [])
    root.post(reverse("admin:campaigns_task_clone", args=[task.pk]))
    clone = Task.objects.get(name="八月回访 (2)")
    assert list(clone.lines.all()) == [world.line]
    assert clone.status == "draft"


@pytest.mark.parametrize(
    ("field", "shown", "value"),
    [
        ("name", "name", ""),
        ("name", "name", "x" * 101),
        ("robot", "robot", ""),
        ("robot", "robot", "foreign"),
        ("lines", "lines", []),
        ("lines", "lines", "foreign"),
        ("recall_count", "recall_count", 4),
        ("recall_count", "recall_count", -1),
        ("recall_wait_seconds", "recall_wait_seconds", ""),
        ("recall_wait_seconds", "recall_wait_seconds", 8 * 86400),
        ("windows_text", "windows_text", "morning"),
        ("windows_text", "windows_text", "22:00-02:00"),
        ("windows_text", "windows_text", "07:00-12:00"),
        ("windows_text", "windows_text", "09:00-12:00, 11:00-13:00"),
        ("end_at_0", "end_at", "2020-01-01"),
        ("end_at_0", "end_at", "9999-12-31"),
    ],
)
def test_a_wrong_task_is_refused_on_the_form(
    root: Client, world: World, field: str, shown: str, value: Any
) -> None:
    if value == "foreign":
        other = make_account()
        value = (make_robot if field == "robot" else make_line)(account=other).pk
    form = make_task_form(world, **{field: value})
    if field == "end_at_0":
        form["end_at_1"] = "10:00:00"
    url = f"{reverse('admin:campaigns_task_add')}?account={world.account.pk}"
    response = root.post(url, form)
    assert response.status_code == 200
    assert shown in response.context["adminform"].form.errors
    assert not Task.objects.filter(name=form["name"]).exists()


def test_a_launched_task_is_not_changed_by_a_stale_form(root: Client, world: World) -> None:
    url = reverse("admin:campaigns_task_change", args=[world.running.pk])
    response = root.post(url, make_task_form(world), follow=True)
    assert "no draft any more" in read_messages(response)
    world.running.refresh_from_db()
    assert world.running.name == "六月回访"


def test_launch_pause_resume_and_stop(root: Client, world: World) -> None:
    task = world.draft
    url = reverse("admin:campaigns_task_launch", args=[task.pk])
    page = root.get(url).content.decode()
    assert "1 contact goes to the pretend platform" in page
    task.refresh_from_db()
    assert task.status == "draft"
    seen = {"fingerprint": fingerprint_launch(task)}
    assert "Launched" in read_messages(root.post(url, seen, follow=True))
    task.refresh_from_db()
    assert task.status == "loading"
    assert "Only a draft" in read_messages(root.post(url, seen, follow=True))
    for verb, request in (("pause", "pause"), ("delete-there", "delete")):
        root.post(reverse(f"admin:campaigns_task_{verb}", args=[task.pk]))
        task.refresh_from_db()
        assert task.request == request
    Task.objects.filter(pk=task.pk).update(status="paused", request="")
    root.post(reverse("admin:campaigns_task_resume", args=[task.pk]))
    task.refresh_from_db()
    assert task.request == "resume"


def test_a_draft_is_stopped_here_alone(root: Client, world: World) -> None:
    root.post(reverse("admin:campaigns_task_delete-there", args=[world.draft.pk]))
    world.draft.refresh_from_db()
    assert world.draft.status == "deleted"
    assert set(world.draft.contacts.values_list("status", flat=True)) == {"withdrawn"}


@pytest.mark.django_db(transaction=True)
def test_fifty_clicks_launch_once(settings: Any) -> None:
    user, task = make_user(), make_task()
    make_contact(task=task)
    client = Client()
    client.force_login(user)
    cookies = client.cookies
    url = reverse("admin:campaigns_task_launch", args=[task.pk])
    seen = {"fingerprint": fingerprint_launch(task)}

    def click(_: int) -> int:
        mine = Client()
        mine.cookies = cookies
        try:
            return mine.post(url, seen).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(click, range(50))) == {302}
    task.refresh_from_db()
    assert task.status == "loading"
    moves = StatusChange.objects.filter(subject="task", subject_id=task.pk, new="loading")
    assert moves.count() == 1
    assert ProcrastinateJob.objects.filter(task_name="campaigns.jobs.advance_task").count() == 1


def test_asking_the_platform_says_what_it_says(root: Client, world: World) -> None:
    url = reverse("admin:campaigns_task_ask", args=[world.running.pk])
    assert "did not say" in read_messages(root.post(url, follow=True))


# ----------------------------------------------------------------------------------- direct call


def make_direct_form(world: World, **fields: Any) -> dict[str, Any]:
    return {
        "robot": world.robot.pk,
        "line": world.line.pk,
        "voice": "",
        "speed": "200",
        "rows": "19900000001, 张先生\n19900000002\t王女士\n",
    } | fields


def test_a_direct_call_is_looked_at_and_sent_once(root: Client, world: World) -> None:
    url, before = reverse("admin:campaigns_task_direct_call"), Task.objects.count()
    look = root.post(url, make_direct_form(world))
    page = look.content.decode()
    assert "2 numbers go to the pretend platform" in page
    assert Task.objects.count() == before
    form = make_direct_form(world, step="send", form_token=find_token(look))
    root.post(url, form)
    task = Task.objects.order_by("-id")[0]
    assert (task.kind, task.speed, task.contacts.count()) == ("direct", 200, 2)
    assert Contact.objects.filter(task=task, phone="19900000001").exists()
    again = root.post(url, form, follow=True)
    assert "sent already" in read_messages(again)
    assert Task.objects.count() == before + 1
    root.post(url, form | {"form_token": "forged"})
    assert Task.objects.count() == before + 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rows", ""),
        ("rows", "19900000001"),
        ("rows", "12345, 张"),
        ("rows", "110, 张"),
        ("rows", "19900000001, 张\n19900000001, 王"),
        ("rows", "\n".join(f"199{n:08d}, 张" for n in range(51))),
        ("speed", "501"),
        ("robot", ""),
        ("line", "0"),
    ],
)
def test_a_wrong_direct_call_is_refused(root: Client, world: World, field: str, value: str) -> None:
    before = Task.objects.count()
    url = reverse("admin:campaigns_task_direct_call")
    response = root.post(url, make_direct_form(world, **{field: value}))
    assert field in response.context["form"].errors
    assert Task.objects.count() == before


@pytest.mark.django_db(transaction=True)
def test_twenty_clicks_call_once(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    world, user = make_world(), make_user()
    client = Client()
    client.force_login(user)
    url, before = reverse("admin:campaigns_task_direct_call"), Task.objects.count()
    token = find_token(client.post(url, make_direct_form(world)))
    form = make_direct_form(world, step="send", form_token=token)

    def click(_: int) -> int:
        mine = Client()
        mine.cookies = client.cookies
        try:
            return mine.post(url, form).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(click, range(20))) == {302}
    assert Task.objects.count() == before + 1


# ---------------------------------------------------------------------------------- whole numbers


def test_a_whole_number_is_shown_once_and_written_down(
    log_in: Callable[[str], Client], world: World
) -> None:
    client, contact = log_in("manager"), world.contact
    page = reverse("admin:campaigns_contact_change", args=[contact.pk])
    shown = client.post(reverse("admin:campaigns_contact_reveal", args=[contact.pk]), follow=True)
    assert contact.phone in shown.content.decode()
    entry = LogEntry.objects.get(object_id=str(contact.pk))
    assert "whole phone number" in entry.get_change_message()
    assert contact.phone not in client.get(page).content.decode()
    url = reverse("admin:campaigns_contact_reveal_list") + f"?task__id__exact={world.running.pk}"
    shown = client.post(url, follow=True)
    assert contact.phone in shown.content.decode()
    assert LogEntry.objects.count() == 1 + world.running.contacts.count()
    assert contact.phone not in client.get(shown.redirect_chain[-1][0]).content.decode()


def test_search_finds_a_number_in_any_form(root: Client, world: World) -> None:
    url, phone = reverse("admin:campaigns_contact_changelist"), world.contact.phone
    page = reverse("admin:campaigns_contact_change", args=[world.contact.pk])
    for text in (phone, f"+86 {phone[:3]}-{phone[3:7]}-{phone[7:]}", f"c-{world.running.pk}-0"):
        assert page in root.get(url, {"q": text}).content.decode(), text
    assert page not in root.get(url, {"q": "19900099999"}).content.decode()
    calls = reverse("admin:campaigns_call_changelist")
    page = reverse("admin:campaigns_call_change", args=[world.call.pk])
    for text in (phone, world.call.platform_call_id):
        assert page in root.get(calls, {"q": text}).content.decode(), text


def test_sound_is_served_in_ranges(root: Client, world: World) -> None:
    url = reverse("admin:campaigns_recording_audio", args=[world.recording.pk])
    part = root.get(url, headers={"range": "bytes=0-99"})
    assert part.status_code == 206
    assert part["Content-Range"].startswith("bytes 0-99/")
    assert part["X-Content-Type-Options"] == "nosniff"
    assert root.post(url).status_code == 405


def test_numbers_agree_with_the_rows_behind_them(root: Client, world: World) -> None:
    page = root.get(reverse("admin:campaigns_task_change", args=[world.running.pk]))
    for part in page.context["bar"]:
        rows = root.get(part["url"]).context["cl"].result_list
        assert str(len(rows)) == part["number"], part["state"]
    assert page.context["results"]
    for row in page.context["results"]:
        shown = len(root.get(row["url"]).context["cl"].result_list)
        assert str(shown) == str(row["number"]), row["label"]
    done = next(row for row in page.context["numbers"] if row["label"] == "Done")
    assert done["value"] == "6"
    assert len(root.get(done["url"]).context["cl"].result_list) == 6


def test_a_window_of_the_past_day_is_counted_today(root: Client, world: World) -> None:
    from campaigns.models import Call

    Call.objects.filter(pk=world.call.pk).update(happened_at=timezone.now() - timedelta(days=2))
    counting.count_all()
    home = root.get(reverse("admin:index"))
    tile = next(tile for tile in home.context["tiles"] if tile["slug"] == "calls")
    assert tile["value"] == "5"
    assert len(root.get(tile["url"]).context["cl"].result_list) == 5
