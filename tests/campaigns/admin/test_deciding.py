"""In: people at the screens of decisions. Out: what each may see and do, and nothing else.

Must catch: a number on a page, a button for who may not press it, a page that breaks on an odd
row, an incident that a page does not show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from campaigns import approvals, deciding, incidents
from campaigns.models import Approval, Attempt, Exchange, Incident
from campaigns.preview import describe_launch
from tests.campaigns.admin.test_actions import read_messages
from tests.campaigns.admin.test_odd_requests import ODD_IDS
from tests.campaigns.admin.world import World, make_user
from tests.campaigns.test_deciding import PHONES, hear, make_doubtful, status_of

pytestmark = pytest.mark.django_db
LogIn = Callable[[str], Client]


def url(model: str, name: str = "changelist", pk: Any = None) -> str:
    return reverse(f"admin:campaigns_{model}_{name}", args=[] if pk is None else [pk])


def log_in_as(name: str) -> tuple[Client, User]:
    client, user = Client(), make_user("manager", username=name)
    client.force_login(user)
    return client, user


def make_evidence(attempt: Attempt) -> None:
    """The exchange that was sent, two answers of the platform, a call that came back."""
    Exchange.objects.create(
        account=attempt.task.account, task=attempt.task, attempt=attempt, purpose="callout",
        method="POST", url="http://127.0.0.1/callout", request='{"tel": "199****0001"}',
        outcome="cut", started_at=attempt.started_at, seconds=1,
    )  # fmt: skip
    attempt.evidence = [
        {"at": attempt.started_at.isoformat(), "answer": "2 not found", "question": "x"},
        {"at": "odd", "answer": "count 5"},
    ]
    attempt.save()


def list_pages() -> dict[str, str]:
    attempt = make_doubtful()
    make_evidence(attempt)
    asker = make_user("manager", username="asker")
    resend = deciding.ask_resend(attempt, reason="nobody was called", by=asker)
    task = make_doubtful().task
    task.status = "draft"
    task.save()
    preview = describe_launch(task)
    launch = approvals.ask_approval(
        "launch", task=task, reason="today", facts=preview.as_facts(),
        fingerprint=preview.fingerprint, by=asker,
    )  # fmt: skip
    odd = Approval.objects.create(kind="launch", task=attempt.task, facts={}, fingerprint="")
    incident = incidents.open_incident(
        "called_twice", task=attempt.task, attempt=attempt, reason=incidents.TAKEN_AFTER_ALL
    )
    settled = make_doubtful()
    Attempt.objects.filter(pk=settled.pk).update(status="confirmed_absent")
    return {
        "attempts": url("attempt"),
        "attempt": url("attempt", "change", attempt.pk),
        "settled": url("attempt", "change", settled.pk),
        "approvals": url("approval"),
        "resend": url("approval", "change", resend.pk),
        "launch": url("approval", "change", launch.pk),
        "odd": url("approval", "change", odd.pk),
        "incidents": url("incident"),
        "incident": url("incident", "change", incident.pk),
        "home": reverse("admin:index"),
    }


def test_every_page_opens_in_both_languages_and_hides_numbers(log_in: LogIn, world: World) -> None:
    pages = list_pages()
    for role in ("viewer", "manager"):
        client = log_in(role)
        for name, page in pages.items():
            for language in ("en", "zh-hans"):
                response = client.get(page, headers={"accept-language": language})
                assert response.status_code == 200, (role, name)
                text = response.content.decode()
                assert not any(phone in text for phone in PHONES), (role, name)
                assert "cb-incident" in text, name  # on every page


def test_who_may_only_look_finds_no_button(log_in: LogIn, world: World) -> None:
    pages, viewer = list_pages(), log_in("viewer")
    for page in ("attempt", "resend", "launch", "incident"):
        text = viewer.get(pages[page]).content.decode()
        for button in ("accept-now", "ask-resend", "approve-now", "decline-now", "close-now"):
            assert button not in text
    attempt = Attempt.objects.filter(status="needs_human").earliest("id")
    for name in ("accept", "ask", "query"):
        assert viewer.post(url("attempt", name, attempt.pk)).status_code == 403
    approval, incident = Approval.objects.earliest("id"), Incident.objects.get()
    for name in ("answer", "withdraw"):
        assert viewer.post(url("approval", name, approval.pk)).status_code == 403
    assert viewer.post(url("incident", "close", incident.pk)).status_code == 403
    assert status_of(attempt) == "needs_human"


def test_two_people_send_it_again() -> None:
    one, _user = log_in_as("one")
    two, _user = log_in_as("two")
    attempt = make_doubtful()
    page = one.get(url("attempt", "change", attempt.pk)).content.decode()
    assert "accept-now" in page and "ask-resend" in page
    seen = deciding.find_evidence(attempt).fingerprint
    assert seen in page
    one.post(url("attempt", "ask", attempt.pk), {"reason": "nobody rang", "fingerprint": seen})
    approval = Approval.objects.get()
    assert approval.status == "asked"
    text = one.get(url("approval", "change", approval.pk)).content.decode()
    assert "approve-now" not in text and "cannot be the second" in text
    answer = url("approval", "answer", approval.pk)
    response = one.post(answer, {"yes": "1"}, follow=True)
    assert "Whoever asked cannot be the second person." in read_messages(response)
    # The other one is told on the first page and in the navigation.
    home = two.get(reverse("admin:index")).content.decode()
    assert "1 approval waits for a second person" in home
    assert "approve-now" in two.get(url("approval", "change", approval.pk)).content.decode()
    two.post(answer, {"yes": "1", "answer": "I looked, too"})
    assert status_of(attempt) == "human_resend"
    response = two.post(answer, {"yes": "1"}, follow=True)
    assert "It was answered meanwhile." in read_messages(response)
    assert attempt.task.contacts.filter(status="ready").count() == 2


def test_a_stale_page_sends_nothing_again() -> None:
    one, _user = log_in_as("one")
    attempt = make_doubtful()
    seen = deciding.find_evidence(attempt).fingerprint
    attempt.task.contacts.filter(phone=PHONES[0]).update(calls_made=1)
    said = {"reason": "nobody rang", "fingerprint": seen}
    response = one.post(url("attempt", "ask", attempt.pk), said, follow=True)
    assert "What it was about has changed since." in read_messages(response)
    assert not Approval.objects.exists()


def test_what_came_back_is_shown_and_stands_against_it() -> None:
    one, _user = log_in_as("one")
    attempt = make_doubtful()
    hear(attempt, direction=None, answered=None)
    text = one.get(url("attempt", "change", attempt.pk)).content.decode()
    assert "accept-now" in text and "ask-resend" not in text
    assert "the platform has it" in text
    one.post(url("attempt", "accept", attempt.pk), {"reason": "a call came back"})
    assert status_of(attempt) == "human_accepted"


def test_declining_and_taking_back() -> None:
    one, user = log_in_as("one")
    two, _user = log_in_as("two")
    attempt = make_doubtful()
    first = deciding.ask_resend(attempt, reason="nobody rang", by=user)
    two.post(url("approval", "answer", first.pk), {"yes": "0", "answer": "wait"})
    second = deciding.ask_resend(attempt, reason="nobody rang", by=user)
    one.post(url("approval", "withdraw", second.pk))
    assert list(Approval.objects.order_by("id").values_list("status", flat=True)) == [
        "declined",
        "withdrawn",
    ]
    assert status_of(attempt) == "needs_human"


def test_an_incident_is_closed_with_a_word() -> None:
    client, user = log_in_as("one")
    task = make_doubtful().task
    incident = incidents.open_incident("called_unsent", task=task, reason=incidents.CALLED_UNSENT)
    close = url("incident", "close", incident.pk)
    response = client.post(close, {"note": " "}, follow=True)
    assert "Say what was done about it." in read_messages(response)
    assert "cb-incident" in client.get(url("task")).content.decode()
    client.post(close, {"note": "we said sorry"})
    incident.refresh_from_db()
    assert (incident.closed_by, incident.note) == (user, "we said sorry")
    assert "cb-incident" not in client.get(url("task")).content.decode()


def test_odd_ids_and_get_do_nothing(root: Client) -> None:
    pk = make_doubtful().pk
    for model, names in (
        ("attempt", ("accept", "ask", "query")),
        ("approval", ("answer", "withdraw")),
        ("incident", ("close",)),
    ):
        for name in names:
            for odd in ODD_IDS:
                response = root.post(url(model, name, odd))
                assert response.status_code in (302, 400, 404), (model, name, odd)
            assert root.get(url(model, name, pk)).status_code == 405
        for odd in ODD_IDS:
            assert root.get(url(model, "change", odd)).status_code in (302, 400, 404)


def test_queries_do_not_grow_with_rows(root: Client) -> None:
    def count(page: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as told:
            assert root.get(page).status_code == 200
        return len(told)

    make_doubtful()
    pages = [url(model) for model in ("attempt", "approval", "incident")]
    root.get(pages[0])
    before = [count(page) for page in pages]
    for _ in range(5):
        attempt = make_doubtful()
        Approval.objects.create(kind="resend", task=attempt.task, attempt=attempt, fingerprint="")
        incidents.open_incident("called_twice", task=attempt.task, attempt=attempt, reason="x")
    after = [count(page) for page in pages]
    assert max(b - a for a, b in zip(before, after, strict=True)) <= 3, (before, after)
