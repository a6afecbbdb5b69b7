"""Who sees whole numbers and who makes requests. Must catch: a number on a page or in a file for
somebody who may only look, a request to the platform by somebody who may only look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from campaigns.models import Call, Exchange, Recording, RejectedRow, Turn
from tests.campaigns.admin.test_actions import read_messages
from tests.campaigns.admin.world import World


def allow(role: str, *codenames: str) -> None:
    user = User.objects.get(username=role)
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


# ---------------------------------------------------------------------------------- whole numbers


def test_spoken_numbers_are_masked_until_they_are_revealed(
    log_in: Callable[[str], Client], world: World
) -> None:
    said = {
        "text": "我的号码是19900000001，谢谢",
        "node_name": "节点19900000002",
        "label": "标签19900000003",
        "hits": [{"hit": "号码199-0000-0004", "pick": True}],
    }
    Turn.objects.filter(call=world.call, position=1).update(**said)
    Call.objects.filter(pk=world.call.pk).update(
        details={"19900000005": "我19900000006", "n": 19900000007},
        conflicts={"callee": [{"source": "a", "value": "号码19900000008"}]},
    )
    numbers = [f"1990000000{n}" for n in (1, 2, 3, 5, 6, 7, 8)] + ["199-0000-0004"]
    page = reverse("admin:campaigns_call_change", args=[world.call.pk])
    manager = log_in("manager")
    for client in (log_in("viewer"), manager):
        shown = client.get(page).content.decode()
        assert [number for number in numbers if number in shown] == []
        assert "我的号码是199****0001" in shown
    reveal = reverse("admin:campaigns_call_reveal", args=[world.call.pk])
    shown = manager.post(reveal, follow=True).content.decode()
    assert [number for number in numbers if number not in shown] == []
    assert "19900000001" not in manager.get(page).content.decode()


def read_rejected(client: Client, world: World) -> str:
    response = client.get(
        reverse("admin:campaigns_contactimport_rejected", args=[world.contact_import.pk])
    )
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


@pytest.fixture
def refused_numbers(world: World) -> list[str]:
    numbers = ["19900000001", "1990000000199", "+86 199-0000-0002", "我19900000003"]
    RejectedRow.objects.bulk_create(
        RejectedRow(
            contact_import=world.contact_import, line=8 + n, column="客户手机号码", value=number
        )
        for n, number in enumerate(numbers)
    )
    return numbers


def test_refused_rows_are_masked_for_who_may_not_see_numbers(
    log_in: Callable[[str], Client], world: World, refused_numbers: list[str]
) -> None:
    text = read_rejected(log_in("operator"), world)
    assert [number for number in refused_numbers if number in text] == []
    assert "客户手机号码" in text
    assert not LogEntry.objects.exists()


def test_refused_rows_with_whole_numbers_are_written_down(
    log_in: Callable[[str], Client], world: World, refused_numbers: list[str]
) -> None:
    text = read_rejected(log_in("manager"), world)
    assert [number for number in refused_numbers if number not in text] == []
    entry = LogEntry.objects.get()
    assert entry.object_id == str(world.contact_import.pk)
    assert "whole phone number" in entry.get_change_message()


def test_refused_rows_need_a_right_and_a_task_that_may_be_seen(
    log_in: Callable[[str], Client], world: World, refused_numbers: list[str]
) -> None:
    url = reverse("admin:campaigns_contactimport_rejected", args=[world.contact_import.pk])
    page = reverse("admin:campaigns_task_change", args=[world.running.pk])
    viewer = log_in("viewer")
    assert viewer.get(url).status_code == 403
    assert url not in viewer.get(page).content.decode()
    allow("viewer", "export_data")
    assert viewer.get(url).status_code == 200
    assert url in viewer.get(page).content.decode()
    group = User.objects.get(username="viewer").groups.get()
    group.permissions.remove(*Permission.objects.filter(codename="view_task"))
    assert viewer.get(url).status_code == 403
    missing = reverse("admin:campaigns_contactimport_rejected", args=[10**12])
    assert viewer.get(missing).status_code == 404


# --------------------------------------------------------------------------------------- requests


def test_who_may_only_look_asks_the_platform_nothing(
    log_in: Callable[[str], Client], world: World
) -> None:
    url = reverse("admin:campaigns_task_ask", args=[world.running.pk])
    page = reverse("admin:campaigns_task_change", args=[world.running.pk])
    before = Exchange.objects.count()
    for role in ("viewer", "operator"):
        client = log_in(role)
        assert url not in client.get(page).content.decode()
        assert client.post(url).status_code == 403
    assert Exchange.objects.count() == before
    manager = log_in("manager")
    assert url in manager.get(page).content.decode()
    assert manager.post(url).status_code == 302
    assert Exchange.objects.count() > before


# -------------------------------------------------------------------------------------- recordings


def list_fetches() -> list[Any]:
    jobs = ProcrastinateJob.objects.filter(task_name="campaigns.jobs.fetch_recording")
    return sorted(job.args["recording_id"] for job in jobs)


@pytest.fixture
def lost(world: World) -> list[Recording]:
    rows = [
        Recording.objects.create(call=world.call, address=f"/voice/lost-{n}.wav") for n in (1, 2)
    ]
    Recording.objects.filter(pk__in=[row.pk for row in rows]).update(
        status="unavailable", tries=9, reason="The platform does not have the file, or not yet."
    )
    return rows


def test_a_lost_recording_is_fetched_again_from_its_call(
    log_in: Callable[[str], Client], world: World, lost: list[Recording]
) -> None:
    url = reverse("admin:campaigns_recording_again", args=[lost[0].pk])
    page = reverse("admin:campaigns_call_change", args=[world.call.pk])
    operator = log_in("operator")
    assert url not in operator.get(page).content.decode()
    assert operator.post(url).status_code == 403
    manager = log_in("manager")
    shown = manager.get(page).content.decode()
    assert url in shown
    stored = reverse("admin:campaigns_recording_again", args=[world.recording.pk])
    assert stored not in shown, "what is there is not fetched"
    assert manager.get(url).status_code == 405
    assert "1 recording is fetched again" in read_messages(manager.post(url, follow=True))
    lost[0].refresh_from_db()
    assert (lost[0].status, lost[0].tries, lost[0].reason) == ("remote", 0, "")
    assert list_fetches() == [lost[0].pk]
    assert "Only recordings" in read_messages(manager.post(url, follow=True))
    assert list_fetches() == [lost[0].pk]


def test_chosen_recordings_are_fetched_again(
    log_in: Callable[[str], Client], world: World, lost: list[Recording]
) -> None:
    url = reverse("admin:campaigns_recording_changelist")
    chosen = [str(row.pk) for row in (*lost, world.recording)]
    form = {"action": "fetch_chosen", "_selected_action": chosen}
    assert log_in("operator").post(url, form).status_code == 405
    manager = log_in("manager")
    assert "fetch_chosen" in manager.get(url).content.decode()
    response = manager.post(url, form, follow=True)
    assert "2 recordings are fetched again" in read_messages(response)
    assert list_fetches() == [row.pk for row in lost]
    world.recording.refresh_from_db()
    assert world.recording.status == "stored"
