"""In: tasks whose calls or requests fail. Out: beyond the account's threshold they pause themselves
and say of what and how many; never because nobody answers.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from campaigns import dispatch, jobs, lifecycle
from campaigns.failing import LOST_TOO_OFTEN, REFUSED_TOO_OFTEN, find_failing, pause_failing
from campaigns.models import Account, Attempt, Batch, Call, Task
from tests.factories import make_account, make_contact, make_task
from tests.platforms.sandbox_client import Client
from tests.workers import run_jobs, work_until

pytestmark = pytest.mark.django_db


def read(task: Task) -> Task:
    return Task.objects.select_related("account").get(pk=task.pk)


def make_running(*, sample: int = 10, percent: int | None = 50, **fields: Any) -> Task:
    account = make_account(failure_sample=sample, failure_percent=percent)
    fields = {"status": "running", "launched_at": timezone.now() - timedelta(days=1)} | fields
    return make_task(account=account, **fields)


def add_calls(task: Task, *results: str, ago: timedelta = timedelta()) -> None:
    first = Call.objects.count()
    for number, result in enumerate(results):
        Call.objects.create(
            account=task.account,
            task=task,
            platform_call_id=f"call-{first + number}",
            happened_at=timezone.now() - ago,
            result=result,
            has_record=True,
        )


def add_attempt(task: Task, status: str, *, size: int = 1, code: str = "") -> None:
    number = task.batches.count() + 1
    batch = Batch.objects.create(task=task, number=number, size=size, status="planned")
    Attempt.objects.create(
        task=task,
        batch=batch,
        command="insert",
        status=status,
        code=code,
        lease_until=timezone.now(),
    )


class TestCalls:
    def test_lines_that_lose_half_of_the_calls_pause_the_task(self) -> None:
        task = make_running()
        add_calls(task, *["answered"] * 5, *["line_failure"] * 3, "timed_out", "network_failure")
        assert pause_failing() == [task.pk]
        row = read(task)
        assert (row.request, row.paused_by_rule, row.needs_attention) == ("pause", "", True)
        assert (row.hold_rule, row.hold_reason) == ("failures", LOST_TOO_OFTEN)
        assert row.hold_text == (
            "5 of its last 10 calls failed at the platform or its lines (line_failure 3,"
            " network_failure 1, timed_out 1); it pauses at 50 percent."
        )
        assert pause_failing() == []

    @pytest.mark.parametrize(
        "result", ["no_answer", "invalid_number", "busy", "powered_off", "rejected", "unknown"]
    )
    def test_whom_nobody_reaches_is_no_failure(self, result: str) -> None:
        task = make_running()
        add_calls(task, *[result] * 30)
        assert pause_failing() == []

    def test_too_few_say_nothing(self) -> None:
        task = make_running()
        add_calls(task, *["line_failure"] * 9)
        assert pause_failing() == []
        add_calls(task, "line_failure")
        assert pause_failing() == [task.pk]

    def test_only_the_last_ones_count(self) -> None:
        task = make_running()
        add_calls(task, *["line_failure"] * 50, ago=timedelta(hours=1))
        add_calls(task, *["answered"] * 6)
        assert find_failing(read(task)) is None

    def test_just_below_the_threshold_it_goes_on(self) -> None:
        task = make_running(percent=60)
        add_calls(task, *["answered"] * 5, *["line_failure"] * 5)
        assert pause_failing() == []

    def test_without_a_threshold_it_never_pauses(self) -> None:
        task = make_running(percent=None)
        add_calls(task, *["line_failure"] * 50)
        assert pause_failing() == []

    def test_whoever_lets_it_go_on_begins_a_new_sample(self) -> None:
        task = make_running()
        add_calls(task, *["line_failure"] * 20)
        assert pause_failing() == [task.pk]
        lifecycle.request_task(task, "")
        lifecycle.move(task, "paused", of=["running"])
        lifecycle.move(task, "running", of=["paused"])
        assert pause_failing() == []
        add_calls(task, *["line_failure"] * 9)
        assert pause_failing() == []
        add_calls(task, "line_failure")
        assert pause_failing() == [task.pk]

    def test_what_somebody_asked_for_is_left_alone(self) -> None:
        task = make_running(request="delete")
        add_calls(task, *["line_failure"] * 20)
        assert pause_failing() == []


class TestHandingOver:
    def test_contacts_that_are_refused_pause_the_task(self) -> None:
        task = make_running(status="loading")
        for _ in range(5):
            add_attempt(task, "accepted")
            add_attempt(task, "refused", code="200203")
        assert pause_failing() == [task.pk]
        assert read(task).hold_reason == REFUSED_TOO_OFTEN
        assert read(task).hold_text.startswith("5 of its last 10 contacts")

    def test_batches_that_are_divided_and_busy_answers_are_no_failures(self) -> None:
        task = make_running(status="loading")
        for _ in range(10):
            add_attempt(task, "refused", size=50, code="200203")
            add_attempt(task, "refused", code="10004")
            add_attempt(task, "accepted")
        assert pause_failing() == []

    def test_a_large_batch_that_was_taken_outweighs_a_few_refused(self) -> None:
        task = make_running(status="loading")
        for _ in range(4):
            add_attempt(task, "refused", code="200203")
        add_attempt(task, "accepted", size=50)
        assert pause_failing() == []

    def test_what_dials_at_once_is_stopped_while_something_is_left_to_hand_over(
        self, make_filled: Any
    ) -> None:
        for status in ("loading", "running"):
            task = make_filled(contacts=1)
            Account.objects.filter(pk=task.account_id).update(failure_sample=10)
            Task.objects.filter(pk=task.pk).update(status=status)
            add_calls(read(task), *["line_failure"] * 10)
            assert pause_failing() == ([task.pk] if status == "loading" else [])


@pytest.mark.django_db(transaction=True)
def test_it_pauses_at_the_platform_says_why_and_goes_on_when_told(
    make_campaign: Any, platform: Client, admin_client: Any
) -> None:
    task = make_campaign(contacts=60)
    Account.objects.filter(pk=task.account_id).update(failure_sample=10)
    platform.control("clock", {"speed": 1})  # it is not through before it is paused
    dispatch.launch_task(task, by=None)
    work_until(lambda: read(task).status == "running")
    add_calls(read(task), *["line_failure"] * 10)
    jobs.keep_going(timestamp=0)
    work_until(lambda: read(task).status == "paused" and not read(task).request)
    row = read(task)
    assert row.needs_attention and row.hold_rule == "failures"
    home = admin_client.get(reverse("admin:index")).content.decode()
    page = admin_client.get(reverse("admin:campaigns_task_change", args=[task.pk]))
    for shown in (home, page.content.decode()):
        assert "10 of its last 10 calls failed" in shown
    jobs.keep_going(timestamp=0)
    run_jobs()
    assert read(task).status == "paused", "nothing but a person lets it go on"
    dispatch.resume_task(read(task), by=None)
    work_until(lambda: read(task).status in ("running", "finished"))
    jobs.keep_going(timestamp=0)
    row = read(task)
    assert (row.needs_attention, row.hold_rule, row.request) == (False, "", "")


def test_a_task_that_is_set_back_for_long_is_seen_on_the_first_screen(admin_client: Any) -> None:
    from campaigns.attempts import Outcome
    from campaigns.dispatch.setbacks import handle_setback

    task = make_running(status="loading")
    make_contact(task=task)
    for _ in range(6):
        add_attempt(task, "refused", code="10004")
        attempt = task.attempts.first()
        assert attempt is not None
        outcome = Outcome("refused", reason="The platform is too busy for us.", busy=True)
        following = handle_setback(read(task), attempt, outcome)
        assert following.what == "advance" and following.seconds <= 30
    assert read(task).status == "loading"
    assert "too busy for us" in admin_client.get(reverse("admin:index")).content.decode()
