"""In: pushes that nobody understood, few and many. Out: proof that each can be found, read and sent
through again, by those who may."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from callbacks import inbox, processing, rereading, tally
from callbacks.models import Receipt, Rereading
from callbacks.reading import SHOWN_BYTES, SHOWN_CHARS, show_body
from callbacks.understanding import try_reading
from campaigns.models import Account, Call, FailedPushDay, StatusChange
from campaigns.platforms.errors import Unrecognised
from tests.callbacks.pushes import make_dialog, make_door, make_record, push
from tests.factories import make_account, make_contact, make_task, walk

pytestmark = pytest.mark.django_db
PAGE, LIST = "admin:callbacks_quarantine", "admin:callbacks_receipt_changelist"


def log_in(*rights: str) -> Client:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_receipt", *rights]))
    client = Client()
    client.force_login(user)
    return client


def fill(account: Account, count: int, **fields: Any) -> None:
    """Quarantined receipts, as they stand in the table."""
    values = {
        "body": b"",
        "kind": "receiveVoice",
        "status": "quarantined",
        "reason": "empty",
        "tries": 1,
    }
    place = Receipt.objects.count()
    Receipt.objects.bulk_create(
        Receipt(account=account, sha256=f"{place + one:032d}".encode(), **values | fields)
        for one in range(count)
    )


def press(client: Client, **chosen: Any) -> Any:
    page = client.get(reverse(PAGE))
    data = {"form_token": page.context["form_token"], **chosen}
    return client.post(reverse("admin:callbacks_quarantine_again"), data, follow=True)


def test_the_page_sums_up_by_reason_and_platform(django_assert_max_num_queries: Any) -> None:
    one, two = make_account(), make_account(platform="moor7")
    fill(one, 3)
    fill(one, 2, reason="not_json", body=b"x")
    fill(two, 1, kind="", reason="unknown_shape")
    client = log_in()
    with django_assert_max_num_queries(30):
        page = client.get(reverse(PAGE))
    groups = page.context["groups"]
    assert [(group["count"], group["account"]) for group in groups] == [
        (3, one.name),
        (2, one.name),
        (1, two.name),
    ]
    assert page.context["total"] == 6
    text = page.content.decode()
    assert "the body is empty" in text and "no kind of push looks like this" in text
    for group in groups:
        rows = client.get(group["url"]).context["cl"].result_list
        assert len(rows) == group["count"]
    assert "Process again" not in text


def test_all_of_a_kind_go_through_again_and_only_they() -> None:
    _, token = make_door()
    for body in (b"", b"x", b"y"):
        push(token, "receiveVoice", body)
    push(token, "receiveDialog", b"z")
    processing.process_inbox()
    client = log_in("change_receipt")
    page = client.get(reverse(PAGE))
    (group,) = [one for one in page.context["groups"] if one["count"] == 2]
    done = press(client, exact="1", **group["chosen"])
    assert "2 pushes are processed again." in done.content.decode()
    assert Receipt.objects.filter(status="received").count() == 2
    # a second click with the same form does nothing
    again = reverse("admin:callbacks_quarantine_again")
    form = {"form_token": page.context["form_token"], "status": "quarantined"}
    client.post(again, form)
    assert not Receipt.objects.filter(status="quarantined").exists()
    processing.process_inbox()
    assert Receipt.objects.filter(status="quarantined").count() == 4
    client.post(again, form)
    assert Receipt.objects.filter(status="quarantined").count() == 4
    changes = StatusChange.objects.filter(subject="receipt", new="received")
    assert set(changes.values_list("by__username", flat=True)) == {"ann"}


def test_who_may_not_process_again_has_no_button_and_no_way() -> None:
    fill(make_account(), 2)
    client = log_in()
    again = reverse("admin:callbacks_quarantine_again")
    assert client.post(again, {"status": "quarantined"}).status_code == 403
    assert client.get(again).status_code == 405
    reading = Rereading.objects.create(up_to=1)
    order = reverse("admin:callbacks_rereading_order", args=[reading.pk, "stop"])
    assert client.post(order).status_code == 403
    assert client.get(order).status_code == 405
    assert Receipt.objects.filter(status="quarantined").count() == 2
    nobody = Client()
    nobody.force_login(User.objects.create_user("eve", is_staff=True))
    for name in (PAGE, "admin:callbacks_health", "admin:callbacks_live"):
        assert nobody.get(reverse(name)).status_code == 403


@pytest.mark.parametrize(
    "odd",
    [
        {"status": "received"},
        {"status": "quarantined", "account": "9" * 5000},
        {"status": "quarantined", "account": "-1"},
        {"status": "quarantined", "account": "１"},
        {"status": "quarantined", "reason": "a\x00b"},
        {"status": "quarantined", "kind": "x" * 5000},
        {"status": "quarantined", "begin": "99999-01-01"},
        {"status": "quarantined", "end": "9999-12-31"},
        {"status": "quarantined", "platform": "\ud800"},
    ],
)
def test_odd_choices_are_refused(odd: dict[str, str]) -> None:
    fill(make_account(), 1)
    client = log_in("change_receipt")
    page = client.get(reverse(PAGE))
    data = {"form_token": page.context["form_token"]} | odd
    sent = "&".join(
        f"{name}={''.join(f'%{byte:02x}' for byte in str(text).encode('utf-8', 'surrogatepass'))}"
        for name, text in data.items()
    )
    answer = client.post(
        reverse("admin:callbacks_quarantine_again"),
        sent,
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status_code in (302, 400)
    assert Receipt.objects.filter(status="quarantined").count() == 1
    with pytest.raises(rereading.NothingChosen):
        list(rereading.choose(odd))


# --------------------------------------------------------------------------------------- very many


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rereading, "AT_ONCE", 5)
    monkeypatch.setattr(rereading, "CHUNK", 4)


def test_many_go_in_pieces_and_once_each(small: None) -> None:
    account = make_account()
    fill(account, 11)
    fill(account, 3, reason="not_json")
    found = rereading.process_again({"reason": "empty"})
    assert isinstance(found, Rereading) and found.total == 11
    fill(account, 2)  # came later: not chosen
    assert ProcrastinateJob.objects.filter(task_name=rereading.JOB).count() == 1
    assert rereading.put_back_some(found.pk)
    found.refresh_from_db()
    assert found.done == Receipt.objects.filter(status="received").count() == 4
    processing.process_inbox()  # the empty ones end where they were
    rereading.work_on(found.pk)
    found.refresh_from_db()
    assert (found.status, found.done, found.ended_at is not None) == ("done", 11, True)
    again = StatusChange.objects.filter(subject="receipt", new="received")
    assert again.count() == again.values("subject_id").distinct().count() == 11
    assert not rereading.put_back_some(found.pk)


def test_live_pushes_do_not_wait_behind_old_ones(
    small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rereading, "MOST_WAITING", 6)
    account = make_account()
    fill(account, 20)
    found = rereading.process_again({})
    assert isinstance(found, Rereading)
    rereading.work_on(found.pk)
    assert Receipt.objects.filter(status="received").count() == 8
    found.refresh_from_db()
    assert found.status == "running"
    while found.status == "running":
        processing.process_inbox()
        rereading.work_on(found.pk)
        found.refresh_from_db()
    assert found.done == 20


def test_a_reading_is_stopped_gone_on_with_and_survives_its_worker(small: None) -> None:
    account = make_account()
    fill(account, 11)
    client = log_in("change_receipt")
    assert "a piece at a time" in press(client, status="quarantined").content.decode()
    found = Rereading.objects.get()
    rereading.put_back_some(found.pk)
    page = client.get(reverse(PAGE)).content.decode()
    assert "4 of 11" in page
    client.post(reverse("admin:callbacks_rereading_order", args=[found.pk, "stop"]))
    rereading.work_on(found.pk)
    found.refresh_from_db()
    assert (found.status, found.done) == ("stopped", 4)
    client.post(reverse("admin:callbacks_rereading_order", args=[found.pk, "resume"]))
    Rereading.objects.update(moved_at="2020-01-01T00:00:00Z")
    with inbox.connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    rereading.wake_stalled()
    assert ProcrastinateJob.objects.filter(task_name=rereading.JOB).count() == 1
    rereading.work_on(found.pk)
    found.refresh_from_db()
    assert (found.status, found.done) == ("done", 11)
    for odd in (f"{found.pk}/burn/", "99999999999999999999999/stop/", "0/stop/"):
        assert client.post(f"/admin/callbacks/receipt/quarantine/{odd}").status_code == 404


def test_the_list_sends_all_that_its_filters_leave(small: None) -> None:
    one, two = make_account(), make_account()
    fill(one, 8)
    fill(two, 3)
    client = log_in("change_receipt")
    chosen = {"action": "process_again", "select_across": "1"}
    first = str(Receipt.objects.first().pk)
    url = f"{reverse(LIST)}?account__id__exact={one.pk}&status__exact=quarantined"
    assert client.post(url, chosen | {"_selected_action": [first]}).status_code == 302
    found = Rereading.objects.get()
    assert found.total == 8
    rereading.work_on(found.pk)
    assert Receipt.objects.filter(account=two, status="quarantined").count() == 3


def test_the_command_does_what_the_button_does() -> None:
    account = make_account()
    fill(account, 3)
    fill(account, 1, reason="not_json")
    out = io.StringIO()
    call_command("process_again", "--reason", "empty", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"chosen": 3, "again": 3, "job": None}
    assert Receipt.objects.filter(status="received").count() == 3
    with pytest.raises(CommandError, match="means nothing"):
        call_command("process_again", "--from", "yesterday")


# ------------------------------------------------------------------------------- the page of one


def test_what_a_push_says_is_told_in_our_words_without_writing_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account, token = make_door()
    push(token, "receiveCallRecord", make_record())
    push(token, "receiveDialog", make_dialog())
    client = log_in()
    row = Receipt.objects.get(kind="receiveCallRecord")
    page = client.get(reverse("admin:callbacks_receipt_change", args=[row.pk])).content.decode()
    assert "A call and its result" in page and "talk_seconds" in page
    assert "19900000001" not in page
    assert not Call.objects.exists()
    dialog = Receipt.objects.get(kind="receiveDialog")
    page = client.get(reverse("admin:callbacks_receipt_change", args=[dialog.pk])).content.decode()
    assert "A dialog" in page and "您好" in page
    account.refresh_from_db()
    assert account.settings == {}


def test_the_quarantine_says_what_a_new_version_would_understand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account, token = make_door()
    push(token, "receiveCallRecord", make_record())
    with monkeypatch.context() as patched:
        vendor = account.vendor

        def fail(*args: Any) -> Any:
            raise Unrecognised("unknown_shape")

        patched.setattr(
            "campaigns.models.accounts.get_platform",
            lambda slug: replace(vendor, parse=fail),
        )
        processing.process_inbox()
        row = Receipt.objects.get()
        assert (row.status, try_reading(row).reason) == ("quarantined", "unknown_shape")
    assert "would be understood" in log_in().get(reverse(PAGE)).content.decode()
    client = Client()
    client.force_login(User.objects.get(username="ann"))
    page = client.get(reverse("admin:callbacks_receipt_change", args=[row.pk])).content.decode()
    assert "It would be understood now" in page


def test_the_whole_is_downloaded_by_those_who_may_see_it() -> None:
    _, token = make_door()
    body = b"\x00<script>19900000001</script>" * 5000
    push(token, "receiveVoice", body)
    row = Receipt.objects.get()
    url = reverse("admin:callbacks_receipt_download", args=[row.pk])
    client = log_in()
    assert client.post(url).status_code == 403
    User.objects.get().user_permissions.add(Permission.objects.get(codename="unmask_phone"))
    assert client.get(url).status_code == 405
    answer = client.post(url)
    assert answer.content == body
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"].startswith("attachment")
    assert "no-store" in answer["Cache-Control"]
    page = client.get(reverse("admin:callbacks_receipt_change", args=[row.pk]))
    assert b"<script>1" not in page.content and b"19900000001" not in page.content
    assert "Only the beginning is shown." in page.content.decode()
    for form in ("bytes", "text", "json", "x" * 5000):
        address = reverse("admin:callbacks_receipt_change", args=[row.pk])
        page = client.get(address, {"as": form})
        assert page.status_code == 200 and b"19900000001" not in page.content


@pytest.mark.parametrize(
    ("body", "form", "part"),
    [
        ("电话 19900000001，谢谢".encode("gb18030"), "text", "199****0001"),
        ("not json 19900000001".encode("utf-16-le"), "text", "n␀o␀t"),
        ("{'a':'19900000001'}".encode("utf-16"), "bytes", "ff fe"),
        (b"\x1f\x8b\x08 broken \xff\xff", "bytes", "1f 8b 08"),
        (b"x" * 70_000 + b"19900000001", "text", "xxx"),
        (b"\xff" * 70_000, "bytes", "ff ff"),
        ("中".encode() * 100_000, "text", "中中"),
    ],
)
def test_odd_bodies_are_readable_masked_and_bounded(body: bytes, form: str, part: str) -> None:
    shown = show_body(body)
    assert shown.form == form and part in shown.text
    assert "19900000001" not in shown.text.replace("␀", "")
    assert "31 39 39 30 30 30 30 30" not in shown.text.replace(" 00", "")
    assert len(shown.text) <= max(SHOWN_CHARS, SHOWN_BYTES * 5)
    assert shown.cut == (len(body) > 60_000)


# ----------------------------------------------------------------------------------------- health


def test_the_health_page_shows_it_all_in_few_queries(django_assert_max_num_queries: Any) -> None:
    _, token = make_door()
    push(token, "receiveCallRecord", make_record())
    push(token, "receiveCallRecord", b"")
    processing.process_inbox()
    client = log_in()
    assert "Not counted yet" in client.get(reverse("admin:callbacks_health")).content.decode()
    tally.count_arrivals()
    tally.take_snapshot()
    with django_assert_max_num_queries(60):
        page = client.get(reverse("admin:callbacks_health")).content.decode()
    assert "adds up" in page and "receiveCallRecord" in page and "the body is empty" in page
    Receipt.objects.filter(reason="empty").delete()
    numbers = tally.count_whole()
    assert numbers["missing"] == 0  # not closed yet: nothing to miss it by
    assert client.get(reverse("admin:callbacks_live")).status_code == 200


def test_a_balance_that_does_not_hold_is_red_there_and_at_home() -> None:
    tally.take_snapshot()
    row = tally.Snapshot.objects.get(pk=tally.WHOLE)
    row.numbers["inbox"] |= {"received": 7, "missing": 7}
    row.save()
    client = log_in()
    page = client.get(reverse("admin:callbacks_health")).content.decode()
    assert "the balance does not hold" in page and "7 more were counted" in page
    assert "does not add up" in client.get(reverse("admin:index")).content.decode()


def test_days_that_could_not_be_fetched_are_an_alarm_for_those_who_see_them() -> None:
    account = make_account()
    day = FailedPushDay.objects.create(account=account, day=date(2026, 11, 3))
    FailedPushDay.objects.filter(pk=day.pk).update(status="missed")
    client = log_in()
    page = client.get(reverse("admin:callbacks_health")).content.decode()
    assert "could not all be fetched" not in page
    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_failedpushday"))
    page = client.get(reverse("admin:callbacks_health")).content.decode()
    assert "could not all be fetched" in page and "2026-11-03" in page
    line = f'callboard_failed_push_days{{account="{account.pk}",platform="yeta"}} 1.0'
    assert line in Client().get("/metrics").content.decode()


def test_a_silent_platform_is_an_alarm_there_and_at_home_until_it_speaks() -> None:
    began = timezone.now() - timedelta(hours=1)
    task = make_task(status="running", launched_at=began)
    contact = make_contact(task=task)
    walk(type(contact).objects.filter(pk=contact.pk), "planned", "sending", "accepted")
    client = log_in("view_account")
    for name in ("admin:callbacks_health", "admin:index"):
        page = client.get(reverse(name)).content.decode()
        assert "tells nothing any more" in page and task.account.name in page
    fill(task.account, 1)
    for name in ("admin:callbacks_health", "admin:index"):
        assert "tells nothing any more" not in client.get(reverse(name)).content.decode()
