"""In: contacts on every way to a platform, and somebody who says no on the way. Out: nobody who
said no is ever rung, and nobody else is lost.

Real HTTP over loopback; what rang is the sandbox's own word.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from campaigns import attempts, barring, batching, dispatch, lifecycle, reconcile
from campaigns.dispatch import instances, orders, requests, steps
from campaigns.models import Account, Attempt, Contact, DoNotCall, StatusChange, Task
from tests.campaigns.filling import claim, count_handovers, launch, list_calls, send_all
from tests.campaigns.filling import drive as drive_filled
from tests.factories import make_contact, make_task
from tests.platforms.sandbox_client import Client
from tests.workers import work_until

pytestmark = pytest.mark.django_db(transaction=True)
#: the fixtures number the contacts of a campaign from 0 on
NO, YES, MAYBE = "19900000000", "19900000001", "19900000002"


def say_no(phone: str = NO, **fields: Any) -> DoNotCall:
    return barring.bar_number(phone, **{"source": "manual", "reason": "said no"} | fields)


def states(task: Task) -> dict[str, str]:
    return dict(task.contacts.order_by("id").values_list("phone", "status"))


def reasons(task: Task) -> dict[str, str]:
    told = task.contacts.exclude(reason="").order_by("id")
    return dict(told.values_list("phone", "reason"))


def received(platform: Client, endpoint: str) -> int:
    counted: dict[str, int] = platform.look("ledger")["requests"]
    return counted.get(endpoint, 0)


def load(task: Task, *, to: str = "planned") -> Task:
    """A launched task, created at the platform; its contacts planned, or handed over."""
    dispatch.launch_task(task, by=None)
    assert dispatch.advance_task(task.pk) == dispatch.Next("advance")
    if to in ("planned", "accepted"):
        batching.plan_batches(task)
    if to == "accepted":
        send_all(task)
    task.refresh_from_db()
    return task


def go_on(task: Task, *, rounds: int = 60) -> None:
    """Do in turn what the jobs would do, waits over at once, until nothing comes next."""
    idle = 0
    for _ in range(rounds):
        Task.objects.filter(pk=task.pk).update(not_before=None)
        task.refresh_from_db()
        if task.request:
            dispatch.carry_out_request(task.pk)
        following = dispatch.advance_task(task.pk)
        if following.what == "plan":
            batching.plan_batches(task)
        elif following.what == "send":
            send_all(task)
        settled = reconcile.settle_task(task.pk)
        idle = idle + 1 if following.what == "nothing" and not settled else 0
        if idle > 12:
            break
    task.refresh_from_db()


def check_rings(platform: Client, task: Task, *, rung: set[str]) -> None:
    """The task dials, and of its numbers those rang, once each, and no other."""
    assert task.status in ("running", "finished")
    told = platform.wait_quiet()["rings"]
    assert {phone: told.get(phone, 0) for phone in states(task)} == {
        phone: int(phone in rung) for phone in states(task)
    }


class TestCampaign:
    def test_before_it_is_planned(self, make_campaign: Any, platform: Client) -> None:
        task = make_campaign(contacts=3)
        dispatch.launch_task(task, by=None)
        say_no()
        go_on(task)
        assert states(task)[NO] == "excluded"
        assert reasons(task) == {NO: barring.BARRED}
        check_rings(platform, task, rung={YES, MAYBE})

    def test_by_a_planner_that_planned_before(self, make_campaign: Any, platform: Client) -> None:
        task = load(make_campaign(contacts=3))
        say_no()
        assert states(task)[NO] == "planned"
        go_on(task)
        assert received(platform, "task/create") == 1  # the count of contacts was right at once
        assert task.batches.get().size == 2
        assert reasons(task) == {NO: barring.BARRED}
        check_rings(platform, task, rung={YES, MAYBE})

    def test_a_batch_of_which_nobody_is_left_is_not_sent(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = load(make_campaign(contacts=1))
        say_no()
        assert dispatch.claim_batch(task.pk) is None
        assert task.batches.get().status == "not_sent"
        go_on(task)
        assert (task.status, task.reason) == ("failed", instances.NOBODY_LEFT)
        assert received(platform, "task/insert") == 0

    def test_between_the_claim_and_the_first_byte(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = load(make_campaign(contacts=3))
        attempt = claim(task)
        say_no()
        dispatch.send_batch(attempt)
        assert received(platform, "task/insert") == 0
        attempt.refresh_from_db()
        assert (attempt.status, attempt.reason) == ("not_sent", attempts.BARRED_MEANWHILE)
        assert set(states(task).values()) == {"ready"}
        go_on(task)
        assert reasons(task) == {NO: barring.BARRED}
        check_rings(platform, task, rung={YES, MAYBE})

    def test_while_a_batch_waits_for_a_busy_platform(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = load(make_campaign(contacts=3))
        busy = {"endpoint": "task/insert", "kind": "code", "code": 10004, "count": 1}
        platform.control("faults", busy)
        assert dispatch.send_batch(claim(task)).what == "advance"
        assert set(states(task).values()) == {"ready"}
        say_no()
        go_on(task)
        check_rings(platform, task, rung={YES, MAYBE})

    def test_between_two_halves_of_a_batch(self, make_campaign: Any, platform: Client) -> None:
        """One row is bad, so the batch is split: its halves are planned without a plan."""
        task = make_campaign(contacts=3)
        make_contact(task=task, phone="12345", values={"姓名": "李四"})
        load(task)
        attempt = claim(task)
        dispatch.send_batch(attempt)
        assert set(states(task).values()) == {"planned"}
        assert task.batches.filter(status="planned").count() == 2
        say_no()
        go_on(task)
        assert states(task) == {
            NO: "excluded", YES: "accepted", MAYBE: "accepted", "12345": "rejected",
        } or task.status == "finished"  # fmt: skip
        check_rings(platform, task, rung={YES, MAYBE})

    def test_after_an_insert_that_never_arrived(self, make_campaign: Any, platform: Client) -> None:
        task = load(make_campaign(contacts=3))
        platform.control("faults", {"endpoint": "task/insert", "kind": "close_before", "count": 1})
        dispatch.send_batch(claim(task))
        assert set(states(task).values()) == {"unknown"}
        say_no()
        work_until(lambda: Task.objects.get(pk=task.pk).status in ("running", "finished"))
        task.refresh_from_db()
        assert reasons(task)[NO] == barring.BARRED
        check_rings(platform, task, rung={YES, MAYBE})

    def test_while_a_task_with_a_wrong_count_is_handed_over_anew(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = load(make_campaign(contacts=4))
        platform.control("faults", {"endpoint": "task/insert", "kind": "act_half", "count": 1})
        dispatch.send_batch(claim(task))
        lifecycle.request_task(task, "rebuild")
        say_no()
        assert dispatch.carry_out_request(task.pk) == dispatch.Next("launch")
        assert set(states(task).values()) == {"ready"}
        go_on(task)
        assert states(task)[NO] == "excluded"
        check_rings(platform, task, rung={YES, MAYBE, "19900000003"})

    def test_contacts_that_are_free_again(self, make_campaign: Any) -> None:
        task = load(make_campaign(contacts=3), to="accepted")
        say_no()
        lifecycle.free_task(task, "test")
        assert set(states(task).values()) == {"ready"}
        batching.plan_batches(task)
        assert (states(task)[NO], states(task)[YES]) == ("excluded", "planned")

    def test_the_next_round_of_a_family(self, make_campaign: Any, platform: Client) -> None:
        first = make_campaign(contacts=0)
        again = make_campaign(contacts=3, family=first, round=2)
        say_no()
        dispatch.launch_task(again, by=None)
        go_on(again)
        check_rings(platform, again, rung={YES, MAYBE})

    def test_with_the_jobs_themselves(self, make_campaign: Any, platform: Client) -> None:
        task = make_campaign(contacts=3)
        say_no("+86 199 0000 0000")
        say_no(YES, account=task.account, expires_at=timezone.now() - timedelta(seconds=1))
        entry = say_no(MAYBE)
        barring.lift_bar(entry, by=None, reason="test")
        dispatch.launch_task(task, by=None)
        work_until(lambda: Task.objects.get(pk=task.pk).status in ("running", "finished"))
        task.refresh_from_db()
        check_rings(platform, task, rung={YES, MAYBE})
        assert task.platform_contacts == 2

    def test_what_is_forbidden_to_another_account_is_called(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = make_campaign(contacts=1)
        say_no(account=make_task().account)
        dispatch.launch_task(task, by=None)
        go_on(task)
        check_rings(platform, task, rung={NO})


class TestStart:
    """A contact that was handed over is not called before the start: there is time to say no."""

    def test_a_task_is_handed_over_anew_without_whoever_said_no_since(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = load(make_campaign(contacts=3), to="accepted")
        assert dispatch.advance_task(task.pk) == dispatch.Next("advance")
        task.refresh_from_db()
        assert task.status == "loaded"
        say_no()
        assert dispatch.advance_task(task.pk) == dispatch.Next("nothing")
        task.refresh_from_db()
        assert (task.status, task.request, task.reason) == (
            "loading", "rebuild", steps.BARRED_SINCE,
        )  # fmt: skip
        go_on(task)
        assert not task.needs_attention
        assert received(platform, "task/start") == 1
        old, new = sorted(platform.look("tasks"), key=lambda row: int(row["task_id"]))
        assert (old["deleted"], new["deleted"], new["count_tel"]) == (1, 0, 2)
        check_rings(platform, task, rung={YES, MAYBE})

    def test_the_jobs_do_so_by_themselves(self, make_campaign: Any, platform: Client) -> None:
        task = load(make_campaign(contacts=3), to="accepted")
        say_no()
        work_until(lambda: Task.objects.get(pk=task.pk).status in ("running", "finished"))
        task.refresh_from_db()
        check_rings(platform, task, rung={YES, MAYBE})

    def test_between_the_look_and_the_first_byte(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = load(make_campaign(contacts=3), to="accepted")
        dispatch.advance_task(task.pk)
        task.refresh_from_db()
        lifecycle.move(task, "starting", of=["loaded"])
        attempt = attempts.open_attempt(task, "start")
        say_no()
        number = task.platform_task_id
        outcome = attempts.carry_out(attempt, lambda client: client.start_task(number))
        assert (outcome.status, outcome.busy) == ("not_sent", True)
        assert received(platform, "task/start") == 0

    def test_it_is_not_handed_over_anew_for_ever(
        self, make_campaign: Any, platform: Client
    ) -> None:
        """A large task takes long, and somebody may say no each time: then a person decides."""
        task = load(make_campaign(contacts=6), to="accepted")
        for number in range(4):
            dispatch.advance_task(task.pk)
            task.refresh_from_db()
            assert (number, task.status) == (number, "loaded")
            say_no(f"199{number:08d}")
            dispatch.advance_task(task.pk)
            task.refresh_from_db()
            if task.request:
                dispatch.carry_out_request(task.pk)
                assert dispatch.advance_task(task.pk) == dispatch.Next("advance")  # created
                batching.plan_batches(task)
                send_all(task)
        assert (task.status, task.reason) == ("paused", steps.STILL_BARRED)
        assert task.needs_attention
        assert received(platform, "task/start") == 0
        dispatch.resume_task(task, by=None)
        go_on(task)
        check_rings(platform, task, rung={"19900000004", "19900000005"})

    def test_what_a_person_asked_for_meanwhile_goes_first_and_counts_for_nothing(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = load(make_campaign(contacts=3), to="accepted")
        dispatch.advance_task(task.pk)
        say_no()
        for _ in range(steps.MOST_REBUILDS):
            seen = Task.objects.get(pk=task.pk)  # as it was looked at
            lifecycle.request_task(Task.objects.get(pk=task.pk), "pause")
            assert steps._leave_out(seen) == dispatch.Next("nothing")
            task.refresh_from_db()
            assert (task.status, task.request) == ("loaded", "pause")
            lifecycle.request_task(task, "")
        told = StatusChange.objects.filter(subject="task", subject_id=task.pk)
        assert not told.filter(reason=steps.BARRED_SINCE).exists()
        dispatch.advance_task(task.pk)
        task.refresh_from_db()
        assert (task.status, task.request) == ("loading", "rebuild")


class TestPause:
    def pause(self, task: Task) -> None:
        dispatch.pause_task(task, by=None)
        work_until(lambda: Task.objects.get(pk=task.pk).status == "paused")
        week = timezone.now() - timedelta(days=7)
        Task.objects.filter(pk=task.pk).update(launched_at=week)
        task.refresh_from_db()
        assert task.request == ""

    def test_planned_batches_of_a_week_ago(self, make_campaign: Any, platform: Client) -> None:
        task = load(make_campaign(contacts=3))
        self.pause(task)
        assert set(states(task).values()) == {"planned"}
        say_no()
        dispatch.resume_task(task, by=None)
        go_on(task)
        assert states(task)[NO] == "excluded"
        check_rings(platform, task, rung={YES, MAYBE})

    def test_contacts_that_were_handed_over_a_week_ago(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = load(make_campaign(contacts=3), to="accepted")
        self.pause(task)
        say_no()
        dispatch.resume_task(task, by=None)
        go_on(task)
        check_rings(platform, task, rung={YES, MAYBE})

    def run_and_pause(self, make_campaign: Any, platform: Client) -> Task:
        """A task that dialled for a while: one line, so most of its contacts still wait."""
        platform.control("clock", {"speed": 1})
        task = make_campaign(contacts=40, recall_count=1, recall_wait_seconds=3600)
        dispatch.launch_task(task, by=None)
        work_until(lambda: Task.objects.get(pk=task.pk).status == "running")
        task.refresh_from_db()
        self.pause(task)
        return task

    def test_whom_the_platform_holds_it_would_call_so_it_is_not_resumed(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = self.run_and_pause(make_campaign, platform)
        held = task.contacts.filter(status="accepted").last()
        say_no(held.phone)
        with pytest.raises(dispatch.LaunchRefused, match="takes nobody back"):
            dispatch.resume_task(task, by=None)
        task.refresh_from_db()
        assert (task.status, task.request) == ("paused", "")
        entry = DoNotCall.objects.get()
        barring.lift_bar(entry, by=None, reason="test")
        dispatch.resume_task(task, by=None)
        work_until(lambda: Task.objects.get(pk=task.pk).status == "running")

    @pytest.mark.parametrize("when", ["before", "at the last moment"])
    def test_a_resume_that_was_asked_for_is_not_sent(
        self, make_campaign: Any, platform: Client, when: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = self.run_and_pause(make_campaign, platform)
        held = task.contacts.filter(status="accepted").last()
        dispatch.resume_task(task, by=None)
        if when == "before":
            say_no(held.phone)
        else:
            # after the look of the step, before the look right at the socket
            def look(contacts: Any) -> bool:
                say_no(held.phone)
                return False

            monkeypatch.setattr(requests, "has_barred", look)
        starts = received(platform, "task/start")
        dispatch.carry_out_request(task.pk)
        monkeypatch.undo()
        Task.objects.filter(pk=task.pk).update(not_before=None)
        dispatch.carry_out_request(task.pk)
        assert received(platform, "task/start") == starts
        task.refresh_from_db()
        assert (task.status, task.request) == ("paused", "")
        assert (task.reason, task.needs_attention) == (orders.HELD_BARRED, True)

    def test_whoever_said_no_in_a_call_of_this_task_does_not_hold_it_up(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = self.run_and_pause(make_campaign, platform)
        done = task.contacts.first()
        Contact.objects.filter(pk=done.pk).update(status="finished")
        say_no(done.phone)
        dispatch.resume_task(task, by=None)
        work_until(lambda: Task.objects.get(pk=task.pk).status == "running")


class TestLaunch:
    def test_a_task_of_whom_everybody_said_no_is_not_launched(self, make_campaign: Any) -> None:
        task = make_campaign(contacts=2)
        say_no()
        assert dispatch.check_launch(task) == []
        say_no(YES)
        with pytest.raises(dispatch.LaunchRefused, match="do-not-call list"):
            dispatch.launch_task(task, by=None)

    def test_nothing_is_made_at_the_platform_when_the_last_one_says_no(
        self, make_campaign: Any, platform: Client
    ) -> None:
        task = make_campaign(contacts=1)
        dispatch.launch_task(task, by=None)
        say_no()
        go_on(task)
        assert (task.status, task.reason) == ("failed", instances.NOBODY_LEFT)
        assert task.needs_attention
        assert platform.look("ledger")["requests"] == {}


class TestDirectCall:
    def call(self, account: Account, task: Task, **fields: Any) -> Task:
        values: dict[str, Any] = {
            "account": account,
            "robot": task.robot,
            "line": task.lines.get(),
            "columns": task.robot.columns,
            "rows": [[NO, "张先生"], [YES, "王女士"]],
            "by": None,
        }
        return dispatch.call_directly(**values | fields)

    def test_a_barred_number_is_refused_with_its_row(
        self, make_campaign: Any, account: Account
    ) -> None:
        say_no(YES)
        rows = [["110", "a"], [NO, "b"], ["+86 199-0000-0001", "c"]]
        with pytest.raises(dispatch.LaunchRefused) as refused:
            self.call(account, make_campaign(contacts=0), rows=rows)
        day = timezone.localtime(timezone=account.zone).date().isoformat()
        assert f"Row 3: On the do-not-call list since {day}." in str(refused.value)
        assert "Row 2" not in str(refused.value)
        assert not Task.objects.filter(kind="direct").exists()

    def test_whoever_says_no_after_the_order_is_left_out(
        self, make_campaign: Any, account: Account, platform: Client
    ) -> None:
        direct = self.call(account, make_campaign(contacts=0))
        say_no()
        go_on(direct)
        assert states(direct)[NO] == "excluded"
        check_rings(platform, direct, rung={YES})

    @pytest.mark.parametrize("when", ["planned", "claimed"])
    def test_or_later(
        self, make_campaign: Any, account: Account, platform: Client, when: str
    ) -> None:
        direct = self.call(account, make_campaign(contacts=0))
        batching.plan_batches(direct)
        attempt = claim(direct) if when == "claimed" else None
        say_no()
        if attempt:
            dispatch.send_batch(attempt)
            assert received(platform, "task/callout") == 0
        go_on(direct)
        assert states(direct)[NO] == "excluded"
        check_rings(platform, direct, rung={YES})

    def test_if_it_was_the_only_one_nothing_leaves(
        self, make_campaign: Any, account: Account, platform: Client
    ) -> None:
        direct = self.call(account, make_campaign(contacts=0), rows=[[NO, "张先生"]])
        say_no()
        go_on(direct)
        assert (direct.status, direct.reason) == ("failed", instances.NOBODY_LEFT)
        assert platform.look("ledger")["requests"] == {}


class TestFilled:
    """A platform that dials at once what it is given: what left has rung."""

    @pytest.mark.parametrize("when", ["launched", "planned", "claimed"])
    def test_nobody_who_said_no_is_put_in(
        self, make_filled: Any, platform: Client, when: str
    ) -> None:
        task = make_filled(contacts=3)
        attempt: Attempt | None = None
        if when == "launched":
            dispatch.launch_task(task, by=None)
        else:
            launch(task)
            attempt = claim(task) if when == "claimed" else None
        barred = task.contacts.get(phone=NO)
        say_no()
        if attempt:
            dispatch.send_batch(attempt)
            assert not list_calls(platform)
        drive_filled(task)
        barred.refresh_from_db()
        assert (barred.status, barred.reason) == ("excluded", barring.BARRED)
        others = {
            f"CB-{pk}" for pk in task.contacts.exclude(pk=barred.pk).values_list("pk", flat=True)
        }
        assert set(count_handovers(platform)) == others

    def test_a_later_instance_goes_without_them(
        self, make_filled: Any, platform: Client, limit: Callable[[int, int], None]
    ) -> None:
        limit(2, 2)
        task = make_filled(contacts=4)
        launch(task)
        dispatch.send_batch(claim(task))
        last = task.contacts.last()
        say_no(last.phone)
        drive_filled(task)
        assert states(task)[last.phone] == "excluded"
        assert f"CB-{last.pk}" not in count_handovers(platform)
        assert len(count_handovers(platform)) == 3

    def test_if_nobody_is_left_the_task_says_so(self, make_filled: Any, platform: Client) -> None:
        task = make_filled(contacts=1)
        launch(task)
        say_no()
        drive_filled(task)
        task.refresh_from_db()
        assert (task.status, task.reason) == ("failed", instances.NOBODY_LEFT)
        assert not list_calls(platform)
