"""In: a task at a platform that dials at once what it is given. Out: instances made and filled,
each contact handed over once, and what a person may still do.

Real HTTP over loopback, a real worker, pushes through our own door.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from callbacks.models import Receipt
from campaigns import batching, dispatch, ingest, lifecycle, reconcile
from campaigns.attempts import NOT_ALLOWED
from campaigns.dispatch import instances
from campaigns.models import Account, Call, Contact, Task
from campaigns.platforms.events import PlatformTaskState, TaskChanged
from campaigns.statistics import summarise_task
from tests.campaigns.filling import (
    check_nobody_is_lost,
    claim,
    count_handovers,
    count_requests,
    count_states,
    drive,
    keys_of,
    launch,
    list_calls,
    send_all,
    status_of,
    strike,
)
from tests.factories import make_contact
from tests.platforms.sandbox_client import Client, wait_until
from tests.workers import run_jobs, work_until

pytestmark = pytest.mark.django_db


def shift(task: Task, **moments: timedelta | None) -> None:
    """The clock goes on: begin or end of the task are so far from now."""
    now = timezone.now()
    Task.objects.filter(pk=task.pk).update(
        **{name: None if after is None else now + after for name, after in moments.items()}
    )


def wait_quiet(platform: Client) -> None:
    """Until all calls are over, and told."""
    busy = {"calls": 0, "pushes": 0}
    wait_until(lambda: platform.look("ledger")["busy"] == busy, seconds=60)


@pytest.mark.django_db(transaction=True)
def test_a_large_task_becomes_several_instances_shown_as_one(
    make_filled: Any, platform: Client, hear: Any, limit: Callable[[int, int], None]
) -> None:
    limit(50, 100)
    hear()
    platform.control("apps/sandbox-key", {"platform": "airudder", "told": 0}, method="PUT")
    task = make_filled(contacts=250)
    dispatch.launch_task(task, by=None)

    def told(*states: str) -> bool:
        check_nobody_is_lost(task, platform, contacts=250)
        return status_of(task) in states

    work_until(lambda: told("running", "finished"))
    assert count_requests(platform, "createinstance") == 3
    assert count_requests(platform, "uploaddetails") == 5
    made = list(task.instances.order_by("number"))
    assert [sum(one.batches.values_list("size", flat=True)) for one in made] == [100, 100, 50]
    sizes = {
        row["task_id"]: row["rows"]["total"] for row in platform.look("tasks?platform=airudder")
    }
    assert [sizes[one.platform_task_id] for one in made] == [100, 100, 50]
    for one in made:
        assert one.platform_name.startswith(f"{task.name} [CB-{task.pk}-{one.number}-")
    assert set(count_handovers(platform)) == {*keys_of(task.contacts)}
    for pk, platform_id in task.contacts.values_list("pk", "platform_contact_id"):
        assert platform_id == f"CB-{pk}"

    wait_quiet(platform)
    work_until(lambda: told("finished"))
    assert count_states(task) == {"finished": 250}
    calls = list_calls(platform)
    summary = summarise_task(task)
    assert summary.total == 250 and summary.calls == len(calls)
    ours = Call.objects.filter(task=task).values_list("platform_call_id", "contact", "attempt")
    assert {(name, f"CB-{contact}", nth) for name, contact, nth in ours} == {
        (call["call"], call["contact"], call["attempt"]) for call in calls
    }
    assert max(Counter(call["contact"] for call in calls).values()) > 1  # somebody was redialled
    assert not Receipt.objects.exclude(status="processed").exists()


def test_an_instance_never_holds_more_than_the_limit(
    make_filled: Any, platform: Client, limit: Callable[[int, int], None]
) -> None:
    limit(40, 100)
    task = make_filled(contacts=250)
    dispatch.launch_task(task, by=None)
    drive(task)
    totals = [row["rows"]["total"] for row in platform.look("tasks?platform=airudder")]
    assert sorted(totals, reverse=True) == [90, 80, 80]
    check_nobody_is_lost(task, platform, contacts=250)


class TestBeginAndEnd:
    def test_nothing_leaves_before_the_begin(self, make_filled: Any, platform: Client) -> None:
        task = make_filled(contacts=2, begin_at=timezone.now() + timedelta(hours=1))
        dispatch.launch_task(task, by=None)
        drive(task)
        assert platform.look("ledger")["requests"] == {}
        assert (status_of(task), task.reason) == ("loading", instances.WAITS)
        assert count_states(task) == {"ready": 2} and not task.needs_attention
        shift(task, begin_at=timedelta(seconds=-1))
        drive(task)
        assert (status_of(task), task.reason) == ("running", "")
        check_nobody_is_lost(task, platform, contacts=2)

    def test_a_begin_that_was_put_off_holds_what_was_planned(
        self, make_filled: Any, platform: Client
    ) -> None:
        task = make_filled(contacts=2)
        launch(task)
        shift(task, begin_at=timedelta(hours=1))
        assert dispatch.claim_batch(task.pk) is None
        shift(task, begin_at=None)
        claimed = claim(task)
        shift(task, begin_at=timedelta(hours=1))
        dispatch.send_batch(claimed)
        assert count_requests(platform, "uploaddetails") == 0
        assert count_states(task) == {"ready": 2}

    def test_nothing_leaves_after_the_end(
        self, make_filled: Any, platform: Client, limit: Callable[[int, int], None]
    ) -> None:
        limit(2, 100)
        task = make_filled(contacts=6)
        launch(task)
        dispatch.send_batch(claim(task))
        claimed = claim(task)
        shift(task, end_at=timedelta(seconds=-1))
        assert dispatch.claim_batch(task.pk) is None
        dispatch.send_batch(claimed)
        drive(task)
        assert count_requests(platform, "uploaddetails") == 1
        assert (status_of(task), task.reason) == ("running", instances.ENDED)
        assert task.needs_attention
        assert count_states(task) == {"accepted": 2, "withdrawn": 4}
        reasons = task.contacts.filter(status="withdrawn").values_list("reason", flat=True)
        assert set(reasons) == {instances.ENDED}
        check_nobody_is_lost(task, platform, contacts=6)

    def test_a_task_whose_end_passed_before_anybody_left_is_over(
        self, make_filled: Any, platform: Client
    ) -> None:
        task = make_filled(contacts=2)
        dispatch.launch_task(task, by=None)
        shift(task, end_at=timedelta(seconds=-1))
        drive(task)
        assert (status_of(task), count_states(task)) == ("deleted", {"withdrawn": 2})
        assert platform.look("ledger")["requests"] == {}

    def test_a_task_that_has_ended_is_not_launched(self, make_filled: Any) -> None:
        task = make_filled(contacts=1, end_at=timezone.now() - timedelta(seconds=1))
        with pytest.raises(dispatch.LaunchRefused, match="end of the task is in the past"):
            dispatch.launch_task(task, by=None)


class TestOrders:
    @pytest.mark.django_db(transaction=True)
    def test_pause_and_resume_while_it_is_handed_over(
        self, make_filled: Any, platform: Client, limit: Callable[[int, int], None]
    ) -> None:
        limit(2, 4)
        task = make_filled(contacts=12)
        launch(task)
        dispatch.send_batch(claim(task))
        claimed = claim(task)
        dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
        dispatch.send_batch(claimed)  # its fence sees the click
        work_until(lambda: status_of(task) == "paused")
        run_jobs()
        assert count_requests(platform, "uploaddetails") == 1
        assert task.reason == instances.PAUSED_HERE and task.request == ""
        check_nobody_is_lost(task, platform, contacts=12)
        dispatch.resume_task(task, by=None)
        work_until(lambda: status_of(task) == "running")
        assert count_states(task) == {"accepted": 12}
        check_nobody_is_lost(task, platform, contacts=12)

    def test_a_pause_that_two_jobs_carry_out_is_one_pause(self, make_filled: Any) -> None:
        task = make_filled(contacts=1)
        launch(task)
        dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
        late = Task.objects.get(pk=task.pk)  # the other job has read it before the first is done
        dispatch.carry_out_request(task.pk)
        dispatch.resume_task(Task.objects.get(pk=task.pk), by=None)
        instances.pause_filling(late)
        assert (status_of(task), task.request) == ("paused", "resume")
        assert task.reason == instances.PAUSED_HERE

    @pytest.mark.django_db(transaction=True)
    def test_delete_while_it_is_handed_over(
        self, make_filled: Any, platform: Client, hear: Any, limit: Callable[[int, int], None]
    ) -> None:
        limit(2, 100)
        hear()
        task = make_filled(contacts=6)
        launch(task)
        dispatch.send_batch(claim(task))
        dispatch.delete_task(Task.objects.get(pk=task.pk), by=None)
        work_until(lambda: status_of(task) != "loading")
        assert (task.status, task.request) in (("running", ""), ("finished", ""))
        if task.status == "running":  # else those who had left were called by now
            assert task.reason == instances.STOPPED
        states = count_states(task)
        assert states.pop("withdrawn") == 4 and set(states) <= {"accepted", "finished"}
        check_nobody_is_lost(task, platform, contacts=6)
        wait_quiet(platform)
        work_until(lambda: status_of(task) == "finished")
        assert count_states(task) == {"finished": 2, "withdrawn": 4}
        assert count_requests(platform, "uploaddetails") == 1

    def test_delete_before_anything_left(self, make_filled: Any, platform: Client) -> None:
        task = make_filled(contacts=2)
        dispatch.launch_task(task, by=None)
        dispatch.delete_task(Task.objects.get(pk=task.pk), by=None)
        dispatch.carry_out_request(task.pk)
        assert (status_of(task), task.reason) == ("deleted", lifecycle.WITHDRAWN_BEFORE)
        assert count_states(task) == {"withdrawn": 2}
        assert platform.look("ledger")["requests"] == {}

    @pytest.mark.parametrize("order", [dispatch.pause_task, dispatch.delete_task])
    def test_what_is_all_handed_over_can_be_neither_paused_nor_deleted(
        self, make_filled: Any, order: Any
    ) -> None:
        task = make_filled(contacts=1)
        dispatch.launch_task(task, by=None)
        drive(task)
        assert status_of(task) == "running"
        with pytest.raises(dispatch.LaunchRefused, match="offers no way to stop or to pause"):
            order(Task.objects.get(pk=task.pk), by=None)
        assert (status_of(task), task.request) == ("running", "")

    def test_once_the_end_is_past_nobody_has_to_wait(
        self, make_filled: Any, platform: Client
    ) -> None:
        task = make_filled(contacts=2)
        dispatch.launch_task(task, by=None)
        drive(task)
        shift(task, end_at=timedelta(seconds=-1))
        with pytest.raises(dispatch.LaunchRefused):
            dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
        dispatch.delete_task(Task.objects.get(pk=task.pk), by=None)
        dispatch.carry_out_request(task.pk)
        assert (status_of(task), task.reason) == ("finished", instances.GIVEN_UP)
        assert count_states(task) == {"withdrawn": 2}
        # A call that comes back all the same is kept, and proves itself.
        platform.control("clock", {"advance_seconds": 600})
        reconcile.ask_for_calls(task)
        assert count_states(task) == {"finished": 2}

    def test_a_task_that_failed_can_be_deleted(self, make_filled: Any) -> None:
        task = make_filled(contacts=1, status="failed")
        dispatch.delete_task(task, by=None)
        dispatch.carry_out_request(task.pk)
        assert (status_of(task), count_states(task)) == ("deleted", {"withdrawn": 1})

    def test_a_switched_off_account_hands_nothing_over(
        self, make_filled: Any, platform: Client, airudder: Account
    ) -> None:
        task = make_filled(contacts=2)
        launch(task)
        claimed = claim(task)
        Account.objects.filter(pk=airudder.pk).update(is_active=False)
        dispatch.send_batch(claimed)
        Task.objects.filter(pk=task.pk).update(not_before=None)
        batching.plan_batches(task)
        dispatch.send_batch(claim(task))
        assert count_requests(platform, "uploaddetails") == 0
        assert (status_of(task), count_states(task)) == ("loading", {"ready": 2})
        assert dispatch.list_idle_tasks() == []
        Account.objects.filter(pk=airudder.pk).update(is_active=True)
        drive(task)
        assert count_states(task) == {"accepted": 2}
        check_nobody_is_lost(task, platform, contacts=2)

    def test_a_running_task_of_a_switched_off_account_is_not_asked_to_pause(
        self, make_filled: Any, airudder: Account
    ) -> None:
        task = make_filled(contacts=1)
        dispatch.launch_task(task, by=None)
        drive(task)
        Account.objects.filter(pk=airudder.pk).update(is_active=False)
        assert dispatch.pause_inactive() == 0
        assert (status_of(task), task.request) == ("running", "")


class TestUnverified:
    def test_it_is_not_launched_before_it_is_switched_on(
        self, make_filled: Any, airudder: Account
    ) -> None:
        airudder.settings = {}
        airudder.save()
        with pytest.raises(dispatch.LaunchRefused, match="others' programs"):
            dispatch.launch_task(make_filled(contacts=1), by=None)

    @pytest.mark.parametrize("moment", ["before_create", "before_claim", "after_claim"])
    def test_switched_off_meanwhile_it_stops(
        self, make_filled: Any, platform: Client, airudder: Account, moment: str
    ) -> None:
        task = make_filled(contacts=2)
        if moment == "before_create":
            dispatch.launch_task(task, by=None)
        else:
            launch(task)
        claimed = claim(task) if moment == "after_claim" else None
        Account.objects.filter(pk=airudder.pk).update(settings={"allow_unverified": "off"})
        if claimed is not None:
            dispatch.send_batch(claimed)
        drive(task)
        assert (status_of(task), task.reason) == ("paused", NOT_ALLOWED)
        assert task.needs_attention
        assert count_requests(platform, "uploaddetails") == 0
        assert not {"accepted", "unknown"} & set(count_states(task))
        Account.objects.filter(pk=airudder.pk).update(settings={"allow_unverified": "on"})
        dispatch.resume_task(task, by=None)
        dispatch.carry_out_request(task.pk)
        drive(task)
        assert count_states(task) == {"accepted": 2}
        check_nobody_is_lost(task, platform, contacts=2)


def test_a_wrong_template_is_told_and_not_tried_for_ever(
    make_filled: Any, platform: Client
) -> None:
    wish = {"platform": "airudder", "templates": [999]}
    platform.control("apps/sandbox-key", wish, method="PUT")
    task = make_filled(contacts=1)
    dispatch.launch_task(task, by=None)
    drive(task)
    drive(task)
    assert status_of(task) == "paused"
    assert task.needs_attention and "What it said stands beside" in task.reason
    assert task.attempts.get().code == "40004"
    assert count_requests(platform, "createinstance") == 1


class TestAfterwards:
    def test_calls_that_were_not_pushed_are_asked_for(
        self, make_filled: Any, platform: Client, limit: Callable[[int, int], None]
    ) -> None:
        limit(2, 2)
        task = make_filled(contacts=4)
        dispatch.launch_task(task, by=None)
        drive(task)
        reconcile.poll_task(task.pk)
        assert count_requests(platform, "taskdetail") == 0  # it may still be dialled
        platform.control("clock", {"advance_seconds": 600})
        say_finished(task)
        reconcile.poll_task(task.pk)
        assert count_requests(platform, "taskdetail") == 2
        assert status_of(task) == "finished"
        assert count_states(task) == {"finished": 4}
        truth = {call["call"]: call["contact"] for call in list_calls(platform)}
        ours = Call.objects.values_list("platform_call_id", "platform_contact_id")
        assert dict(ours) == truth

    def test_silence_after_the_end_is_noted_and_ends_nothing(
        self, make_filled: Any, platform: Client
    ) -> None:
        task = make_filled(contacts=2)
        dispatch.launch_task(task, by=None)
        drive(task)
        platform.control("clock", {"advance_seconds": 600})
        strike(platform, "taskdetail", "code", count=5)
        say_finished(task)
        assert not reconcile.poll_task(task.pk)
        assert (status_of(task), task.reason) == ("running", reconcile.SILENT)
        assert task.needs_attention
        reconcile.poll_task(task.pk)
        assert count_requests(platform, "taskdetail") == 1  # once an hour

    def test_silence_long_after_its_end_is_noted_too(self, make_filled: Any) -> None:
        task = make_filled(contacts=1)
        dispatch.launch_task(task, by=None)
        drive(task)
        shift(task, end_at=timedelta(hours=-5))
        reconcile.poll_task(task.pk)
        assert not Task.objects.get(pk=task.pk).needs_attention
        shift(task, end_at=timedelta(hours=-7))
        Task.objects.filter(pk=task.pk).update(results_asked_at=timezone.now())
        reconcile.poll_task(task.pk)
        assert (status_of(task), task.reason) == ("running", reconcile.SILENT)

    def test_a_running_task_is_looked_at_now_and_then(
        self, make_filled: Any, settings: Any
    ) -> None:
        settings.POLL_SECONDS = 15
        task = make_filled(contacts=1)
        dispatch.launch_task(task, by=None)
        drive(task)
        assert reconcile.list_watched_tasks() == [task.pk]
        reconcile.poll_task(task.pk)
        assert reconcile.list_watched_tasks() == []

    def test_a_task_that_ended_there_takes_nobody_more(
        self, make_filled: Any, platform: Client
    ) -> None:
        """Who comes back as not sent goes into an instance that is not over."""
        task = make_filled(contacts=1)
        launch(task)
        send_all(task)
        say_finished(task)
        make_contact(task=task, phone="19900000077", values={"callee_name": "李四"})
        drive(task)
        first, second = task.instances.order_by("number")
        assert [batch.instance for batch in task.batches.order_by("number")] == [first, second]
        check_nobody_is_lost(task, platform, contacts=2)

    def test_states_of_instances_come_in_any_order(self, make_filled: Any) -> None:
        task = make_filled(contacts=1)
        launch(task)
        name = task.instances.get().platform_task_id
        running, finished = (
            TaskChanged(platform_task_id=name, state=state, platform_state=word)
            for state, word in (
                (PlatformTaskState.RUNNING, "Running"),
                (PlatformTaskState.FINISHED, "Finished"),
            )
        )
        for order in ((running, finished), (finished, running)):
            task.instances.update(platform_state="", platform_word="")
            for event in order:
                ingest.apply_events(task.account, [event])
            told = task.instances.values_list("platform_state", "platform_word").get()
            assert told == ("finished", "Finished")


def say_finished(task: Task) -> None:
    for name in task.instances.values_list("platform_task_id", flat=True):
        told = TaskChanged(
            platform_task_id=name, state=PlatformTaskState.FINISHED, platform_state="Finished"
        )
        ingest.apply_events(task.account, [told])


def test_redials_are_attempts_of_the_same_contact(make_filled: Any, platform: Client) -> None:
    task = make_filled(contacts=0)
    contact = make_contact(task=task, phone="19998200001", values={"callee_name": "王五"})
    dispatch.launch_task(task, by=None)
    drive(task)
    platform.control("clock", {"advance_seconds": 600})
    reconcile.ask_for_calls(task)
    calls = Call.objects.filter(contact=contact).order_by("attempt")
    assert [call.attempt for call in calls] == [1, 2, 3]
    assert [bool(call.answered) for call in calls] == [False, False, True]
    contact.refresh_from_db()
    assert (contact.status, contact.calls_made, contact.answered) == ("finished", 3, True)
    assert platform.look("ledger")["rings_by_row"] == {f"CB-{contact.pk}": 3}


def test_a_number_that_is_under_way_elsewhere_is_kept_out(
    make_filled: Any, platform: Client
) -> None:
    task = make_filled(contacts=2)
    family = {"family_id": task.pk, "round": 1}
    other = make_filled(contacts=0)
    make_contact(task=other, phone="19900000001", status="accepted", **family)
    dispatch.launch_task(task, by=None)
    drive(task)
    assert count_states(task) == {"accepted": 1, "excluded": 1}
    assert Contact.objects.get(task=task, status="excluded").reason == batching.ALREADY_UNDER_WAY
    check_nobody_is_lost(task, platform, contacts=2)
