"""In: people at the pages of a re-dial. Out: from a list to a draft, each step by who may.

Must catch: a re-dial by somebody who may only look; a page that shows whole numbers; a draft that
somebody made without having seen whom it calls; a 500 for odd addresses or forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from campaigns import redialing
from campaigns.models import Contact, Redial, Task
from tests.campaigns.admin.test_odd_requests import ODD_IDS, ODD_QUERIES, post_odd
from tests.campaigns.admin.world import World
from tests.campaigns.test_redialing import make_over
from tests.factories import make_robot, make_task


@pytest.fixture
def first(world: World) -> Task:
    return make_over(3, account=world.account, robot=world.robot, name="Spring offers")


def start_url(kind: str, query: str) -> str:
    return f"{reverse('admin:campaigns_redial_start', args=[kind])}?{query}"


def begin(client: Client, first: Task, query: str = "result=no_answer") -> Redial:
    url = start_url("contacts", f"task__id__exact={first.pk}&{query}")
    assert "Count who may be called again" in client.get(url).content.decode()
    response = client.post(url, {"newest_only": "yes"})
    assert response.status_code == 302
    redial = Redial.objects.latest("id")
    assert response["Location"].endswith(f"/{redial.pk}/change/")
    return redial


def do_jobs(redial: Redial) -> Redial:
    redialing.work_on(redial.pk)
    redial.refresh_from_db()
    return redial


def page_of(client: Client, redial: Redial) -> str:
    response = client.get(reverse("admin:campaigns_redial_change", args=[redial.pk]))
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    return str(response.content.decode())


def make(client: Client, redial: Redial, **fields: Any) -> Any:
    answers = {
        "name": "Second round",
        "robot": redial.robot_id,
        "stamp": redialing.stamp_of(redial),
    }
    url = reverse("admin:campaigns_redial_make", args=[redial.pk])
    return client.post(url, answers | fields)


def test_from_a_list_to_a_draft(log_in: Callable[[str], Client], first: Task) -> None:
    operator = log_in("operator")
    redial = begin(operator, first)
    assert 'data-active="1"' in page_of(operator, redial)
    do_jobs(redial)
    page = page_of(operator, redial)
    assert "3 of 3 people may be called again" in page
    assert "Spring offers" in page
    assert not any(contact.phone in page for contact in first.contacts.all())
    assert make(operator, redial).status_code == 302
    do_jobs(redial)
    assert redial.task is not None
    page = page_of(operator, redial)
    assert reverse("admin:campaigns_task_change", args=[redial.task.pk]) in page
    assert 'id="make-now"' not in page
    # both pages of tasks tell of each other
    for task, other in ((first, redial.task), (redial.task, first)):
        url = reverse("admin:campaigns_task_change", args=[task.pk])
        page = operator.get(url).content.decode()
        assert reverse("admin:campaigns_task_change", args=[other.pk]) in page
        assert 'id="family"' in page
        assert "Its people come from" in page
        assert reverse("admin:campaigns_redial_change", args=[redial.pk]) in page
    assert redial.task.contacts.filter(status="ready").count() == 3


def test_who_may_only_look_makes_nothing(log_in: Callable[[str], Client], first: Task) -> None:
    viewer = log_in("viewer")
    url = start_url("contacts", f"family={first.pk}")
    assert viewer.get(url).status_code == viewer.post(url).status_code == 403
    redial = do_jobs(begin(log_in("operator"), first))
    assert 'id="make-now"' not in page_of(viewer, redial)
    assert make(viewer, redial).status_code == 403
    for verb in ("again", "cancel"):
        url = reverse(f"admin:campaigns_redial_{verb}", args=[redial.pk])
        assert viewer.post(url).status_code == 403
        assert log_in_again(viewer, url) == 405
    redial.refresh_from_db()
    assert redial.status == "counted"


def log_in_again(viewer: Client, url: str) -> int:
    """GET of the same address by somebody who may."""
    from django.contrib.auth.models import User

    client = Client()
    client.force_login(User.objects.get(username="operator"))
    return client.get(url).status_code


def test_a_draft_is_made_of_what_was_seen(root: Client, first: Task) -> None:
    redial = do_jobs(begin(root, first))
    assert "counted once more" in make(root, redial, stamp="x").content.decode()
    assert make(root, redial, name=" ").status_code == 200
    robot = make_robot(account=first.account, columns=["phone", "金额"])
    page = make(root, redial, robot=robot.pk).content.decode()
    assert "金额" in page
    assert redial.status == "counted"
    assert make(root, redial, robot=robot.pk, column_0="-").status_code == 302
    do_jobs(redial)
    assert redial.task is not None
    assert redial.task.robot == robot
    assert "not waiting" in make(root, redial).content.decode() or redial.status == "made"
    assert Task.objects.filter(family=first).count() == 1


def test_other_choices_are_counted_and_given_up(root: Client, first: Task) -> None:
    other = make_over(2, account=first.account, robot=first.robot)
    redial = begin(root, first, query="result=no_answer")
    Redial.objects.filter(pk=redial.pk).update(
        params={"task__id__exact": [str(first.pk), str(other.pk)]}
    )
    do_jobs(redial)
    page = page_of(root, redial)
    assert "several campaigns" in page
    again = reverse("admin:campaigns_redial_again", args=[redial.pk])
    for odd in ("x", "9" * 5000, str(make_task().pk)):
        root.post(again, {"family": odd})
        redial.refresh_from_db()
        assert redial.family_id is None
    root.post(again, {"family": other.pk})
    do_jobs(redial)
    assert redial.family == other
    root.post(again, {"newest_only": "no"})
    do_jobs(redial)
    assert not redial.newest_only
    assert root.post(reverse("admin:campaigns_redial_cancel", args=[redial.pk])).status_code == 302
    redial.refresh_from_db()
    assert redial.status == "cancelled"
    assert page_of(root, redial)


def test_a_number_that_was_searched_for_is_told_masked(root: Client, first: Task) -> None:
    contact = first.contacts.order_by("id").first()
    assert contact is not None
    redial = do_jobs(begin(root, first, query=f"q={contact.phone}"))
    assert redial.counts["chosen"] == 1
    assert contact.phone not in page_of(root, redial)


def test_nothing_is_chosen_by_nothing(root: Client, first: Task) -> None:
    response = root.post(start_url("contacts", ""))
    assert response.status_code == 200
    assert not Redial.objects.exists()
    assert root.get(start_url("contacts", "nonsense=1")).status_code == 400
    assert root.get(start_url("orders", "")).status_code == 404


def test_odd_addresses_end_in_no_error(root: Client, first: Task) -> None:
    root.raise_request_exception = False
    for kind in ("calls", "contacts"):
        for query in ODD_QUERIES:
            assert root.get(start_url(kind, query)).status_code in (200, 400), query[:60]
    redial = do_jobs(begin(root, first))
    for verb in ("live", "again", "make", "cancel"):
        for odd in ODD_IDS:
            try:
                url = reverse(f"admin:campaigns_redial_{verb}", args=[odd])
            except Exception:
                continue
            assert root.post(url).status_code < 500
    url = reverse("admin:campaigns_redial_make", args=[redial.pk])
    for text in ("x\x00y", "\ud800", "9" * 5000, "-1", ""):
        for field in ("name", "robot", "stamp", "column_0"):
            body = {"name": "x", "robot": redial.robot_id, "stamp": ""} | {field: text}
            assert post_odd(root, url, body).status_code in (200, 302)
    assert Contact.objects.filter(task__family=first).count() == 0


def test_the_list_and_both_languages(root: Client, first: Task) -> None:
    redial = do_jobs(begin(root, first))
    for language in ("en", "zh-hans"):
        root.cookies["django_language"] = language
        assert root.get(reverse("admin:campaigns_redial_changelist")).status_code == 200
        page_of(root, redial)
