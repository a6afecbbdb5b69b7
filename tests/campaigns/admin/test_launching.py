"""In: people before the page of a launch. Out: what they see is what is launched, above a limit by
two of them.

Must catch: a launch of something else than was seen; one person launching above the limit; an
approval that outlives what it was about; a test call sent twice, or to somebody who said no.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns import approvals
from campaigns.barring import bar_number
from campaigns.models import Approval, Contact, Task
from tests.campaigns.admin.world import World, make_user
from tests.factories import make_contact


def find_url(task: Task, verb: str = "launch") -> str:
    return reverse(f"admin:campaigns_task_{verb}", args=[task.pk])


def look(client: Client, task: Task) -> Any:
    return client.get(find_url(task))


def send(client: Client, task: Task, fingerprint: str, **fields: Any) -> Any:
    return client.post(find_url(task), {"fingerprint": fingerprint, **fields}, follow=True)


def status_of(task: Task) -> str:
    return Task.objects.values_list("status", flat=True).get(pk=task.pk)


def test_what_changed_since_it_was_seen_is_not_launched(root: Client, world: World) -> None:
    task = world.draft
    seen = look(root, task).context["preview_now"].fingerprint
    make_contact(task=task)
    response = send(root, task, seen)
    assert "changed since you looked" in response.content.decode()
    assert response.context["preview_now"].people == 2
    assert status_of(task) == "draft"
    send(root, task, "")
    assert status_of(task) == "draft"
    send(root, task, response.context["preview_now"].fingerprint)
    assert status_of(task) == "loading"


def test_the_page_says_who_is_left_out_and_links_to_them(root: Client, world: World) -> None:
    make_contact(task=world.draft, status="excluded", reason="Twice in the file.")
    barred = make_contact(task=world.draft)
    bar_number(barred.phone, account=world.account, source="operator")
    response = look(root, world.draft)
    page = response.content.decode()
    assert "Twice in the file." in page
    assert barred.phone not in page
    (group,) = response.context["preview"]["left_out"]
    assert len(root.get(group["url"]).context["cl"].result_list) == group["count"] == 1
    (group,) = response.context["preview"]["would_leave_out"]
    assert group["sentence"].startswith("On the do-not-call list")
    assert response.context["preview"]["people"] == 1


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_thousands_of_people_are_told_with_their_groups(
    root: Client, world: World, settings: Any, language: str
) -> None:
    settings.APPROVE_ABOVE = 1_000
    Task.objects.filter(pk=world.draft.pk).update(recall_count=1, recall_wait_seconds=60)
    for _number in range(1_001):
        make_contact(task=world.draft)
    root.cookies["django_language"] = language
    page = look(root, world.draft).content.decode()
    people = Contact.objects.filter(task=world.draft, status="ready").count()
    for number in (people, 2 * people, 1_000):
        assert f"{number:,}" in page
        assert not re.search(rf"\b{number}\b", re.sub(r"<[^>]*>", " ", page))


def test_other_assumptions_lead_to_another_end(root: Client, world: World) -> None:
    url = find_url(world.draft)
    for query in ({"seconds": "10", "at_once": "3"}, {"seconds": "x", "answered": "1e999"}):
        assert root.get(url, query).status_code == 200
    given = root.get(url, {"seconds": "10", "at_once": "3"}).context["preview"]["assumptions"]
    assert [one["given"] for one in given] == ["given", "assumed", "given"]


def test_above_the_limit_two_people_launch(
    log_in: Callable[[str], Client], world: World, settings: Any
) -> None:
    settings.APPROVE_ABOVE = 0
    task, asking = world.draft, log_in("manager")
    page = look(asking, task)
    assert b'id="launch-now"' not in page.content
    seen = page.context["preview_now"].fingerprint
    send(asking, task, seen)  # nobody said yes
    assert status_of(task) == "draft"
    send(asking, task, seen, step="ask", reason="")
    send(asking, task, "stale", step="ask", reason="It is Monday.")
    assert not Approval.objects.exists()
    send(asking, task, seen, step="ask", reason="It is Monday.")
    approval = Approval.objects.get()
    assert (approval.status, approval.facts["people"]) == ("asked", 1)
    assert "It waits for a second person" in look(asking, task).content.decode()
    second = make_user("manager", username="second")
    approvals.decide_approval(approval, approve=True, answer="Yes.", by=second)
    page = look(asking, task)
    assert "second approved it" in page.content.decode()
    send(asking, task, page.context["preview_now"].fingerprint)
    assert status_of(task) == "loading"
    approval.refresh_from_db()
    assert approval.status == "used"


def test_an_approval_does_not_outlive_what_it_was_about(
    log_in: Callable[[str], Client], world: World, settings: Any
) -> None:
    settings.APPROVE_ABOVE = 0
    task, asking = world.draft, log_in("manager")
    seen = look(asking, task).context["preview_now"].fingerprint
    send(asking, task, seen, step="ask", reason="It is Monday.")
    second = make_user("manager", username="second")
    approvals.decide_approval(Approval.objects.get(), approve=True, answer="", by=second)
    make_contact(task=task)
    page = look(asking, task)
    assert "has to be asked anew" in page.content.decode()
    assert b'id="launch-now"' not in page.content
    send(asking, task, page.context["preview_now"].fingerprint)
    assert status_of(task) == "draft"
    send(asking, task, page.context["preview_now"].fingerprint, step="ask", reason="One more.")
    assert list(Approval.objects.order_by("id").values_list("status", flat=True)) == [
        "withdrawn", "asked",
    ]  # fmt: skip
    send(asking, task, "", step="withdraw")
    assert Approval.objects.order_by("-id")[0].status == "withdrawn"


# --------------------------------------------------------------------------------- pause and resume


def test_a_pause_that_nobody_confirms_is_an_alarm_after_a_minute(
    root: Client, world: World
) -> None:
    page, home = reverse("admin:campaigns_task_change", args=[world.draft.pk]), "admin:index"
    for seconds, late in ((30, False), (90, True)):
        Task.objects.filter(pk=world.draft.pk).update(
            status="running",
            request="pause",
            requested_at=timezone.now() - timedelta(seconds=seconds),
        )
        assert ('id="late"' in root.get(page).content.decode()) is late
        attention = root.get(reverse(home)).context["home"].attention
        assert (world.draft in attention) is late


def test_whom_a_resume_would_call_is_shown_without_the_number(root: Client, world: World) -> None:
    task = world.running
    Task.objects.filter(pk=task.pk).update(status="paused")
    task.attempts.create(command="start", status="accepted", lease_until=timezone.now())
    contact = task.contacts.filter(status="accepted").first()
    assert contact
    bar_number(contact.phone, account=None, source="operator")
    response = root.post(find_url(task, "resume"))
    page = response.content.decode()
    assert str(contact) in page
    assert contact.phone not in page
    assert find_url(task, "clone") in page
    task.refresh_from_db()
    assert (task.status, task.request) == ("paused", "")


# ------------------------------------------------------------------------------------- test calls


def make_form(client: Client, world: World, phone: str = "19900000077") -> dict[str, Any]:
    page = look(client, world.draft)
    form = {"line": world.line.pk, "column_0": phone, "column_1": "张先生"}
    return form | {"form_token": page.context["form_token"]}


def test_a_test_call_is_made_once_and_is_no_contact_of_the_task(root: Client, world: World) -> None:
    form, url = make_form(root, world), find_url(world.draft, "trial")
    root.post(url, form)
    trial = world.draft.trials.get()
    assert (trial.kind, trial.status, trial.robot_id) == ("direct", "loading", world.robot.pk)
    contact = trial.contacts.get()
    assert (contact.phone, contact.family_id) == ("19900000077", trial.pk)
    assert contact.values == {"客户手机号码": "19900000077", "姓名": "张先生"}
    assert not Contact.objects.filter(task=world.draft, phone="19900000077").exists()
    again = root.post(url, form, follow=True)
    assert "sent already" in again.content.decode()
    assert world.draft.trials.count() == 1
    page = again.content.decode()
    assert "199****0077" in page
    assert "19900000077" not in page


def test_nobody_who_said_no_gets_a_test_call(root: Client, world: World) -> None:
    bar_number("19900000077", account=None, source="operator")
    for phone, said in (("19900000077", "do-not-call list"), ("110", "never called")):
        response = root.post(find_url(world.draft, "trial"), make_form(root, world, phone))
        assert said in response.content.decode()
    assert not world.draft.trials.exists()


def test_the_form_of_a_test_call_shows_nobody_s_whole_number(root: Client, world: World) -> None:
    Contact.objects.filter(task=world.draft).update(values={"姓名": "call 19912345678"})
    page = look(root, world.draft).content.decode()
    assert "19912345678" not in page
    assert "199****5678" in page


@pytest.mark.parametrize(("role", "code"), [("viewer", 403), ("operator", 403)])
def test_who_may_not_launch_makes_no_test_call(
    log_in: Callable[[str], Client], world: World, role: str, code: int
) -> None:
    assert log_in(role).post(find_url(world.draft, "trial"), {}).status_code == code


def test_a_program_that_was_shown_nothing_launches_all_the_same(root: Client, world: World) -> None:
    root.post(find_url(world.draft), follow=True)
    assert status_of(world.draft) == "loading"
