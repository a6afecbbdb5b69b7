"""In: launched tasks, a sandbox that answers well or badly. Out: each request sent at most once,
each contact in the state that the outcome says.

Real HTTP over loopback and a real worker; the sandbox's ledger tells what arrived there.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone
from procrastinate.contrib.django import app

from campaigns import attempts, batching, dispatch, gates, ingest, jobs, lifecycle, reconcile
from campaigns.barring import bar_number
from campaigns.connections import open_client
from campaigns.dispatch import batches, orders, requests
from campaigns.dispatch.steps import COUNT_DIFFERS, WAITS
from campaigns.models import Account, Attempt, Batch, Call, Contact, StatusChange, Task
from campaigns.platforms import registry
from campaigns.platforms.events import CallEnded, Direction, PlatformTaskState, TaskChanged
from campaigns.platforms.yeta import PLATFORM as YETA
from campaigns.platforms.yeta.client import YetaClient
from campaigns.reconcile import polling
from tests.factories import make_contact, make_task
from tests.platforms.sandbox_client import COLUMNS, Client
from tests.workers import run_jobs, work_until

pytestmark = pytest.mark.django_db(transaction=True)


def status_of(task: Task) -> str:
    task.refresh_from_db()
    return task.status


def contacts_by_state(task: Task) -> dict[str, int]:
    states = list(task.contacts.values_list("status", flat=True))
    return {state: states.count(state) for state in set(states)}


def received(platform: Client, endpoint: str) -> int:
    """How many requests for this endpoint the platform received."""
    counted: dict[str, int] = platform.look("ledger")["requests"]
    return counted.get(endpoint, 0)


def test_a_launched_task_is_created_loaded_counted_and_started(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=120)
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) in ("running", "finished"))
    assert received(platform, "task/create") == 1
    assert received(platform, "task/insert") == 3
    assert received(platform, "task/start") == 1
    assert task.platform_contacts == 120
    assert set(contacts_by_state(task)) <= {"accepted", "finished"}
    ids = set(task.contacts.values_list("platform_contact_id", flat=True))
    assert len(ids) == 120 and "" not in ids


def test_a_task_that_begins_later_is_started_shortly_before_without_who_says_no_meanwhile(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=3)
    Task.objects.filter(pk=task.pk).update(begin_at=timezone.now() + timedelta(hours=60))
    task.refresh_from_db()
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) == "loaded" and task.reason == WAITS)
    run_jobs()
    assert (status_of(task), received(platform, "task/start")) == ("loaded", 0)
    gone = task.contacts.order_by("id").first()
    assert gone is not None
    bar_number(gone.phone, account=task.account, source="manual")
    Task.objects.filter(pk=task.pk).update(begin_at=timezone.now() + timedelta(minutes=5))
    jobs.keep_going(0)
    work_until(lambda: status_of(task) in ("running", "finished"))
    gone.refresh_from_db()
    assert (gone.status, received(platform, "task/start")) == ("excluded", 1)
    assert task.platform_contacts == 2


def test_a_task_that_waited_is_counted_again_before_it_is_started(
    make_campaign: Any, platform: Client, settings: Any
) -> None:
    settings.SETTLE_SECONDS = 3600
    task = make_campaign(contacts=3)
    Task.objects.filter(pk=task.pk).update(begin_at=timezone.now() + timedelta(hours=60))
    task.refresh_from_db()
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) == "loaded" and task.reason == WAITS)
    late = [["19900000777", "张三"]]  # what was lost on its way, or somebody else's
    client = open_client(task.account)
    client.insert_contacts(task.platform_task_id, columns=COLUMNS, rows=late, keys=[])
    soon, before = timezone.now() + timedelta(minutes=5), timezone.now() - timedelta(hours=59)
    Task.objects.filter(pk=task.pk).update(begin_at=soon, platform_checked_at=before)
    work_until(lambda: Task.objects.get(pk=task.pk).needs_attention)
    assert (status_of(task), task.reason) == ("loading", COUNT_DIFFERS)
    assert received(platform, "task/start") == 0


def test_only_one_of_two_launches_goes_through(make_campaign: Any) -> None:
    task = make_campaign()
    twin = Task.objects.get(pk=task.pk)
    dispatch.launch_task(task, by=None)
    with pytest.raises(dispatch.LaunchRefused):
        dispatch.launch_task(twin, by=None)


def test_a_draft_without_contacts_is_not_launched(make_campaign: Any) -> None:
    with pytest.raises(dispatch.LaunchRefused, match="No contact is ready"):
        dispatch.launch_task(make_campaign(contacts=0), by=None)


@pytest.mark.parametrize("kind", ["close_after", "cut", "error_after", "html_after", "code_false"])
def test_an_insert_of_unknown_outcome_is_never_sent_again_and_settled_by_the_count(
    make_campaign: Any, platform: Client, kind: str
) -> None:
    task = make_campaign(contacts=3)
    platform.control("faults", {"endpoint": "task/insert", "kind": kind, "count": 1})
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) in ("running", "finished"))
    assert received(platform, "task/insert") == 1
    attempt = Attempt.objects.get(task=task, command="insert")
    assert attempt.status == "confirmed_accepted"


def test_an_insert_that_never_arrived_is_sent_again_only_after_several_answers(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=3)
    platform.control("faults", {"endpoint": "task/insert", "kind": "close_before", "count": 1})
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) in ("running", "finished"))
    first, second = Attempt.objects.filter(task=task, command="insert").order_by("id")
    assert (first.status, second.status) == ("confirmed_absent", "accepted")
    assert len(first.evidence) >= 3
    told = platform.look("tasks")
    assert [row["count_tel"] for row in told if row["task_id"] == task.platform_task_id] == [3]


@pytest.mark.parametrize("command", ["create", "start"])
@pytest.mark.parametrize("kind", ["close_after", "error_before"])
def test_create_and_start_of_unknown_outcome_are_settled_by_asking(
    make_campaign: Any, platform: Client, command: str, kind: str
) -> None:
    task = make_campaign(contacts=2)
    platform.control("faults", {"endpoint": f"task/{command}", "kind": kind, "count": 1})
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) in ("running", "finished"))
    done_there = kind == "close_after"
    assert received(platform, f"task/{command}") == (1 if done_there else 2)
    assert len(platform.look("tasks")) == 1


def test_a_task_whose_count_is_wrong_is_not_started(
    make_campaign: Any, platform: Client, settings: Any
) -> None:
    settings.SETTLE_SECONDS = 3600
    task = make_campaign(contacts=4)
    platform.control("faults", {"endpoint": "task/insert", "kind": "act_half", "count": 1})
    dispatch.launch_task(task, by=None)
    work_until(lambda: Task.objects.get(pk=task.pk).needs_attention)
    assert status_of(task) == "loading"
    assert received(platform, "task/start") == 0


def test_one_bad_row_does_not_stop_the_others(make_campaign: Any, platform: Client) -> None:
    task = make_campaign(contacts=6)
    bad = make_contact(task=task, phone="12345", values={"姓名": "李四"})
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) in ("running", "finished"))
    bad.refresh_from_db()
    assert bad.status == "rejected"
    assert bad.reason.startswith("200203")
    assert task.platform_contacts == 6


def test_a_busy_platform_is_asked_again_later(make_campaign: Any, platform: Client) -> None:
    task = make_campaign(contacts=2)
    platform.control(
        "faults", {"endpoint": "task/insert", "kind": "code", "code": 10004, "count": 2}
    )
    dispatch.launch_task(task, by=None)
    work_until(lambda: Task.objects.get(pk=task.pk).setbacks)
    assert status_of(task) == "loading"
    assert task.not_before is not None
    work_until(lambda: status_of(task) in ("running", "finished"))
    assert (task.setbacks, task.not_before) == (0, None)
    assert received(platform, "task/insert") == 3


def test_no_balance_pauses_every_task_of_the_account(
    make_campaign: Any, platform: Client, account: Account
) -> None:
    one, other = make_campaign(contacts=1), make_task(account=account, status="starting")
    make_contact(task=other)
    platform.control(
        "faults", {"endpoint": "task/insert", "kind": "code", "code": 200209, "count": 1}
    )
    dispatch.launch_task(one, by=None)
    work_until(lambda: status_of(one) == "paused")
    assert one.needs_attention and one.reason
    assert status_of(other) == "paused"
    assert contacts_by_state(one) == {"ready": 1}


def test_a_switched_off_account_sends_nothing(
    make_campaign: Any, platform: Client, account: Account
) -> None:
    task = make_campaign(contacts=1)
    dispatch.launch_task(task, by=None)
    Account.objects.filter(pk=account.pk).update(is_active=False)
    run_jobs()
    assert platform.look("ledger")["requests"] == {}
    assert contacts_by_state(task) == {"ready": 1}


def test_after_the_pause_click_no_batch_leaves(make_campaign: Any, platform: Client) -> None:
    task = make_campaign(contacts=60)
    dispatch.launch_task(task, by=None)
    Task.objects.filter(pk=task.pk).update(platform_task_id="1")
    batching.plan_batches(task)
    claimed = dispatch.claim_batch(task.pk)
    assert claimed is not None
    dispatch.pause_task(task, by=None)
    dispatch.send_batch(claimed)
    assert received(platform, "task/insert") == 0
    claimed.refresh_from_db()
    assert claimed.status == "not_sent"
    assert dispatch.claim_batch(task.pk) is None


def test_pause_resume_and_delete_are_confirmed_by_asking(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=40, recall_count=1, recall_wait_seconds=3600)
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) == "running")
    dispatch.pause_task(task, by=None)
    work_until(lambda: status_of(task) == "paused")
    assert task.platform_state == "paused" and task.request == ""
    dispatch.resume_task(task, by=None)
    work_until(lambda: status_of(task) == "running" and task.request == "")
    dispatch.delete_task(task, by=None)
    work_until(lambda: status_of(task) == "deleted")
    assert set(contacts_by_state(task)) <= {"withdrawn", "finished"}


def test_a_pause_is_repeated_until_the_platform_confirms(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=40, recall_count=1, recall_wait_seconds=3600)
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) == "running")
    platform.control("faults", {"endpoint": "task/pause", "kind": "error_before", "count": 3})
    dispatch.pause_task(task, by=None)
    work_until(lambda: status_of(task) == "paused")
    # one more when the platform was asked before it had done what it was told
    assert 4 <= received(platform, "task/pause") <= 5


def test_a_zone_that_nobody_knows_creates_nothing_and_hinders_no_pause(
    make_campaign: Any, platform: Client
) -> None:
    lost = make_campaign(contacts=3)
    running = make_campaign(contacts=40, recall_count=1, recall_wait_seconds=3600)
    dispatch.launch_task(running, by=None)
    work_until(lambda: status_of(running) == "running")
    created = received(platform, "task/create")
    Account.objects.update(time_zone="Mars/Phobos")
    lost.account.refresh_from_db()
    dispatch.launch_task(lost, by=None)
    running.refresh_from_db()
    dispatch.pause_task(running, by=None)
    work_until(lambda: status_of(running) == "paused")
    lost.refresh_from_db()
    assert "Mars/Phobos" in lost.hold_text
    assert received(platform, "task/create") == created
    assert not Attempt.objects.filter(task=lost).exists()


def test_a_paused_draft_on_its_way_goes_on_where_it_stood(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=3)
    dispatch.launch_task(task, by=None)
    dispatch.pause_task(task, by=None)
    work_until(lambda: status_of(task) == "paused")
    assert received(platform, "task/insert") == 0
    dispatch.resume_task(task, by=None)
    work_until(lambda: status_of(task) in ("running", "finished"))
    assert received(platform, "task/create") == 1
    assert received(platform, "task/insert") == 1


def test_an_attempt_whose_worker_died_becomes_unknown_never_planned(
    make_campaign: Any, settings: Any
) -> None:
    task = make_campaign(contacts=1)
    lifecycle.move(task, "loading", of=["draft"])
    Task.objects.filter(pk=task.pk).update(platform_task_id="1")
    batching.plan_batches(task)
    settings.LEASE_SECONDS = -100
    attempt = dispatch.claim_batch(task.pk)
    assert attempt is not None
    assert attempts.reap_attempts() == 1
    attempt.refresh_from_db()
    assert attempt.status == "unknown"
    assert contacts_by_state(task) == {"unknown": 1}


def test_a_sender_past_its_lease_sends_nothing(
    make_campaign: Any, platform: Client, settings: Any
) -> None:
    task = make_campaign(contacts=1)
    lifecycle.move(task, "loading", of=["draft"])
    Task.objects.filter(pk=task.pk).update(platform_task_id="1")
    batching.plan_batches(task)
    attempt = dispatch.claim_batch(task.pk)
    assert attempt is not None
    settings.LEASE_SECONDS = 0
    dispatch.send_batch(attempt)
    assert received(platform, "task/insert") == 0
    attempt.refresh_from_db()
    assert attempt.status == "not_sent"
    assert Contact.objects.get(task=task).status == "ready"


class TestDirectCall:
    def call(self, account: Account, task: Task, **fields: Any) -> Task:
        values: dict[str, Any] = {
            "account": account,
            "robot": task.robot,
            "line": task.lines.get(),
            "columns": task.robot.columns,
            "rows": [["19900000001", "张先生"], ["19900000002", "王女士"]],
            "by": None,
        }
        return dispatch.call_directly(**values | fields)

    def test_it_is_sent_once_and_its_calls_come_back(
        self, make_campaign: Any, account: Account, platform: Client
    ) -> None:
        direct = self.call(account, make_campaign(contacts=0))
        work_until(lambda: status_of(direct) in ("running", "finished"))
        assert received(platform, "task/callout") == 1
        assert set(contacts_by_state(direct)) == {"accepted"}

    def test_an_unknown_one_waits_for_a_person_and_is_never_sent_again(
        self, make_campaign: Any, account: Account, platform: Client
    ) -> None:
        platform.control("faults", {"endpoint": "task/callout", "kind": "close_after", "count": 1})
        direct = self.call(account, make_campaign(contacts=0))
        work_until(lambda: direct.attempts.filter(status="needs_human").exists())
        for _ in range(3):
            run_jobs()
        assert received(platform, "task/callout") == 1
        assert contacts_by_state(direct) == {"unknown": 2}
        direct.refresh_from_db()
        assert direct.needs_attention

    def test_one_call_that_comes_back_proves_the_whole_of_it(
        self, make_campaign: Any, account: Account, platform: Client
    ) -> None:
        platform.control("faults", {"endpoint": "task/callout", "kind": "close_after", "count": 1})
        direct = self.call(account, make_campaign(contacts=0))
        work_until(lambda: direct.attempts.filter(status="needs_human").exists())
        heard = CallEnded(
            source="receiveCallRecord.outbound",
            platform_call_id="call-1",
            platform_contact_id="87",
            platform_robot_id=direct.robot.platform_id,
            callee="19900000001",
            dialed_at=timezone.now(),
            answered=True,
            direction=Direction.OUTBOUND,
        )
        ingest.apply_events(account, [heard])
        work_until(lambda: status_of(direct) == "running")
        assert contacts_by_state(direct) == {"finished": 1, "accepted": 1}
        assert direct.attempts.get().status == "confirmed_accepted"
        assert received(platform, "task/callout") == 1

    @pytest.mark.parametrize(
        ("rows", "sentence"),
        [
            ([], "Between 1 and 50"),
            ([[f"199{n:08d}", ""] for n in range(51)], "Between 1 and 50"),
            ([["19900000001", "a"], ["19900000001", "b"]], "Row 2 repeats"),
            ([["110", "a"]], "Row 1"),
            ([["19900000001"]], "another number of values"),
        ],
    )
    def test_wrong_rows_are_refused_with_a_sentence(
        self, make_campaign: Any, account: Account, rows: list[list[str]], sentence: str
    ) -> None:
        with pytest.raises(dispatch.LaunchRefused, match=sentence):
            self.call(account, make_campaign(contacts=0), rows=rows)
        assert not Task.objects.filter(kind="direct").exists()


def test_the_task_ends_when_the_last_contact_is_final_not_because_of_silence(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=3)
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) == "running")
    work_until(lambda: platform.row_of(task.platform_task_id)["status"] == 4)
    reconcile.poll_task(task.pk)
    assert status_of(task) == "running"
    assert task.needs_attention and task.reason == reconcile.SILENT
    lifecycle.move_contacts(task.contacts.all(), "finished", of=["accepted"])
    reconcile.poll_task(task.pk)
    assert status_of(task) == "finished"


def test_a_job_enqueued_by_a_job_is_part_of_its_transaction(make_campaign: Any) -> None:
    """A job that starts before the rows it is about are committed would find nothing to do."""
    seen: list[bool] = []

    def enqueue_and_fail(task_id: int) -> None:
        with transaction.atomic():
            jobs.enqueue_advance(task_id)
            with connections.create_connection("default").cursor() as other:
                other.execute(
                    "SELECT count(*) FROM procrastinate_jobs"
                    " WHERE task_name = 'campaigns.jobs.advance_task'"
                )
                seen.append(bool(other.fetchone()[0]))
                other.db.close()

    probe = app.task(name="tests.probe")(enqueue_and_fail)
    try:
        probe.defer(task_id=make_campaign().pk)
        run_jobs()
    finally:
        del app.tasks["tests.probe"]
    assert seen == [False]


def test_deleting_a_task_with_an_unknown_insert_settles_it(
    make_campaign: Any, platform: Client, settings: Any
) -> None:
    settings.SETTLE_SECONDS = 3600
    task = make_campaign(contacts=3)
    platform.control("faults", {"endpoint": "task/insert", "kind": "close_before", "count": 1})
    dispatch.launch_task(task, by=None)
    work_until(lambda: task.attempts.filter(command="insert", status="unknown").exists())
    dispatch.delete_task(task, by=None)
    work_until(lambda: status_of(task) == "deleted")
    assert contacts_by_state(task) == {"withdrawn": 3}
    assert not task.attempts.filter(status="unknown").exists()
    assert received(platform, "task/insert") == 1


def test_two_inserts_of_different_fate_never_call_anybody_twice(
    make_campaign: Any, platform: Client
) -> None:
    """One never arrived; while another is under way, the platform's count says nothing about it."""
    task = make_campaign(contacts=100)
    lifecycle.move(task, "loading", of=["draft"])
    dispatch.advance_task(task.pk)
    batching.plan_batches(Task.objects.get(pk=task.pk))
    one, other = dispatch.claim_batch(task.pk), dispatch.claim_batch(task.pk)
    assert one is not None and other is not None
    platform.control("faults", {"endpoint": "task/insert", "kind": "close_before", "count": 1})
    dispatch.send_batch(one)
    assert not reconcile.settle_task(task.pk)
    assert received(platform, "task/query") == 0
    platform.control("faults", {"endpoint": "task/insert", "kind": "close_after", "count": 1})
    dispatch.send_batch(other)
    work_until(lambda: status_of(task) in ("running", "finished"))
    told = [row for row in platform.look("tasks") if not row["deleted"]]
    assert [row["count_tel"] for row in told] == [100]
    work_until(lambda: len(platform.look("ledger")["rings"]) == 100)
    assert set(platform.look("ledger")["rings"].values()) == {1}


def test_a_task_that_was_stored_in_part_is_deleted_and_handed_over_anew(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=6)
    platform.control("faults", {"endpoint": "task/insert", "kind": "act_half", "count": 1})
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) in ("running", "finished"))
    first, second = sorted(platform.look("tasks"), key=lambda row: int(row["task_id"]))
    assert (first["deleted"], second["deleted"], second["count_tel"]) == (1, 0, 6)
    assert received(platform, "task/start") == 1
    assert not task.needs_attention


def test_a_switched_off_account_can_still_be_paused_and_is(
    make_campaign: Any, platform: Client, account: Account
) -> None:
    task = make_campaign(contacts=40, recall_count=1, recall_wait_seconds=3600)
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) == "running")
    Account.objects.filter(pk=account.pk).update(is_active=False)
    work_until(lambda: status_of(task) == "paused")
    assert platform.row_of(task.platform_task_id)["status"] == 3


@pytest.mark.parametrize("request_name", ["pause", "delete"])
def test_an_empty_answer_confirms_nothing_while_the_command_failed(
    make_campaign: Any, platform: Client, monkeypatch: pytest.MonkeyPatch, request_name: str
) -> None:
    task = make_campaign(contacts=40, recall_count=1, recall_wait_seconds=3600)
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) == "running")
    platform.control(
        "faults", {"endpoint": f"task/{request_name}", "kind": "error_before", "count": 2}
    )
    monkeypatch.setattr(YetaClient, "query_task", lambda *_: None)
    order = {"pause": dispatch.pause_task, "delete": dispatch.delete_task}[request_name]
    order(task, by=None)
    assert dispatch.carry_out_request(task.pk).what == "advance"
    assert status_of(task) == "running" and task.request == request_name
    monkeypatch.undo()
    work_until(lambda: status_of(task) in ("paused", "deleted"))


def test_a_resume_whose_answer_was_lost_can_be_paused(
    make_campaign: Any, platform: Client, settings: Any
) -> None:
    settings.SETTLE_SECONDS = 3600
    task = make_campaign(contacts=40, recall_count=1, recall_wait_seconds=3600)
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) == "running")
    dispatch.pause_task(task, by=None)
    work_until(lambda: status_of(task) == "paused")
    platform.control("faults", {"endpoint": "task/start", "kind": "close_after", "count": 1})
    dispatch.resume_task(task, by=None)
    dispatch.carry_out_request(task.pk)
    assert platform.row_of(task.platform_task_id)["status"] == 2
    dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
    dispatch.carry_out_request(task.pk)
    assert platform.row_of(task.platform_task_id)["status"] == 3


def test_a_direct_call_that_has_not_left_can_be_taken_back(
    make_campaign: Any, account: Account, platform: Client
) -> None:
    campaign = make_campaign(contacts=0)
    direct = TestDirectCall().call(account, campaign)
    dispatch.delete_task(direct, by=None)
    work_until(lambda: status_of(direct) == "deleted")
    assert contacts_by_state(direct) == {"withdrawn": 2}
    assert received(platform, "task/callout") == 0


def test_a_direct_call_that_cannot_leave_is_given_up(
    make_campaign: Any, account: Account, platform: Client
) -> None:
    direct = TestDirectCall().call(account, make_campaign(contacts=0))
    Task.objects.filter(pk=direct.pk).update(launched_at=timezone.now() - timedelta(minutes=11))
    dispatch.advance_task(direct.pk)
    assert status_of(direct) == "failed"
    assert contacts_by_state(direct) == {"withdrawn": 2}


def test_a_number_of_an_unsettled_direct_call_is_not_called_directly_again(
    make_campaign: Any, account: Account, platform: Client
) -> None:
    campaign = make_campaign(contacts=0)
    platform.control("faults", {"endpoint": "task/callout", "kind": "close_after", "count": 1})
    direct = TestDirectCall().call(account, campaign)
    work_until(lambda: direct.attempts.filter(status="needs_human").exists())
    with pytest.raises(dispatch.LaunchRefused, match="not settled"):
        TestDirectCall().call(account, campaign)


def test_deleting_a_task_that_ended_there_does_not_wait_for_ever(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=2)
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) == "running")
    work_until(lambda: platform.row_of(task.platform_task_id)["status"] == 4)
    platform.control(
        "faults", {"endpoint": "task/delete", "kind": "code", "code": 3010101, "count": 99}
    )
    dispatch.delete_task(Task.objects.get(pk=task.pk), by=None)
    work_until(lambda: status_of(task) == "deleted")
    assert set(contacts_by_state(task)) <= {"withdrawn", "finished"}


def test_nobody_is_called_with_gaps_after_the_robot_changed(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=2)
    task.robot.columns = ["客户手机号码", "称呼"]
    task.robot.save()
    with pytest.raises(dispatch.LaunchRefused, match="other columns"):
        dispatch.launch_task(task, by=None)
    lifecycle.move(task, "loading", of=["draft"])
    work_until(lambda: status_of(task) == "paused")
    assert received(platform, "task/insert") == 0
    assert task.needs_attention
    assert set(contacts_by_state(task)) <= {"ready", "planned"}


def test_an_alarm_is_not_taken_back_by_a_note(make_campaign: Any) -> None:
    task = make_campaign()
    lifecycle.note_task(task, "Look here.", needs_attention=True)
    lifecycle.note_task(task, "By the way.", needs_attention=False)
    task.refresh_from_db()
    assert (task.reason, task.needs_attention) == ("Look here.", True)
    assert StatusChange.objects.filter(subject="task", subject_id=task.pk).count() == 1
    lifecycle.calm_task(task)
    task.refresh_from_db()
    assert (task.reason, task.needs_attention) == ("", False)


def test_a_rule_that_begins_to_hold_between_claim_and_first_byte_stops_the_batch(
    make_campaign: Any, platform: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_campaign(contacts=2)
    hold = gates.Hold("testing", "Held for %(why)s.", {"why": "a test"})
    holds: list[gates.Hold | None] = []

    def find_hold(task: Task, command: str, **_fields: Any) -> gates.Hold | None:
        """Free when it is claimed, held at the last look."""
        if command != "insert":
            return None
        begins = sys._getframe(1).f_code.co_name in ("fence", "look")
        holds.append(hold if begins or hold in holds else None)
        return holds[-1]

    with monkeypatch.context() as patch:
        patch.setattr(gates, "find_hold", find_hold)
        dispatch.launch_task(task, by=None)
        work_until(lambda: hold in holds)
        task.refresh_from_db()
        assert (task.hold_text, task.setbacks) == ("Held for a test.", 0)
        assert received(platform, "task/insert") == 0
        assert not Attempt.objects.filter(command="insert").exclude(status="not_sent").exists()
    work_until(lambda: status_of(task) in ("running", "finished"))
    assert (task.hold_rule, received(platform, "task/insert")) == ("", 1)


def test_a_batch_taken_twice_does_not_hide_one_that_was_lost(
    make_campaign: Any, platform: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count fits, and yet two people would be called twice and two never."""
    few = replace(YETA, limits=replace(YETA.limits, rows_per_insert=2))
    monkeypatch.setitem(registry.PLATFORMS, "yeta", few)
    task = make_campaign(contacts=4)
    lost = {"endpoint": "task/insert", "kind": "error_before", "after": 1, "count": 1}
    platform.control("faults", lost)
    twice = {"endpoint": "task/insert", "kind": "act_twice", "count": 1}
    platform.control("faults", twice)
    dispatch.launch_task(task, by=None)
    work_until(lambda: status_of(task) in ("running", "finished"))
    assert task.one_by_one
    assert not task.attempts.filter(status="unknown").exists()
    told = [row for row in platform.look("tasks") if row["task_id"] == task.platform_task_id]
    assert [row["count_tel"] for row in told] == [4]
    rings = platform.wait_quiet()["rings_by_row"]
    assert sorted(rings.values()) == [1, 1, 1, 1], rings


@pytest.mark.parametrize("arrived", [0, 2, 3])
def test_what_a_dead_sender_leaves_is_asked_about_once_and_handed_over_anew_together(
    make_campaign: Any, platform: Client, monkeypatch: pytest.MonkeyPatch, arrived: int
) -> None:
    """Of the batches that it had claimed, some were with the platform and it had written down
    none. The platform made no fault, so nobody has to count after each."""
    few = replace(YETA, limits=replace(YETA.limits, rows_per_insert=2))
    monkeypatch.setitem(registry.PLATFORMS, "yeta", few)
    task = make_campaign(contacts=6)
    dispatch.launch_task(task, by=None)
    with monkeypatch.context() as patch:
        patch.setattr(jobs.dispatch, "claim_batches", lambda *_all, **_more: [])
        work_until(lambda: task.batches.filter(status="planned").count() == 3)
    claimed = dispatch.claim_batches(task.pk, most=3)
    assert len(claimed) == 3
    for attempt in claimed[:arrived]:
        contacts, outcome = batches._send(attempt)
        assert outcome.accepted
        assert len(contacts) == 2
    long_ago = timezone.now() - timedelta(hours=1)
    Attempt.objects.filter(status="sending").update(lease_until=long_ago)
    work_until(lambda: status_of(task) in ("running", "finished"))
    task.refresh_from_db()
    assert not task.one_by_one
    rings = platform.wait_quiet()["rings_by_row"]
    assert sorted(rings.values()) == [1] * 6, rings


@pytest.mark.parametrize("answered", [True, False])
def test_a_wrong_count_of_a_task_of_which_calls_came_back_is_left_to_a_person(
    make_campaign: Any, platform: Client, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    """It is not asked about for ever, either: nothing that is asked could tell more."""
    few = replace(YETA, limits=replace(YETA.limits, rows_per_insert=2))
    monkeypatch.setitem(registry.PLATFORMS, "yeta", few)
    task = make_campaign(contacts=4)
    Call.objects.create(
        account=task.account, task=task, platform_call_id="call-1", happened_at=timezone.now()
    )
    if not answered:
        lost = {"endpoint": "task/insert", "kind": "close_after", "after": 1, "count": 1}
        platform.control("faults", lost)
    platform.control("faults", {"endpoint": "task/insert", "kind": "act_half", "count": 1})
    dispatch.launch_task(task, by=None)
    told = StatusChange.objects.filter(subject="task", subject_id=task.pk)
    if answered:
        work_until(lambda: status_of(task) == "paused")
    else:
        work_until(lambda: task.attempts.filter(status="needs_human").exists())
    task.refresh_from_db()
    assert (task.reason, task.needs_attention) == (lifecycle.COUNT_BUT_CALLED, True)
    before = told.count()
    for _ in range(3):
        Attempt.objects.filter(task=task).update(asked_at=None)
        reconcile.settle_task(task.pk)
        dispatch.advance_task(task.pk)
    task.refresh_from_db()
    assert (told.count(), task.request, task.reason) == (before, "", lifecycle.COUNT_BUT_CALLED)
    assert [row["deleted"] for row in platform.look("tasks")] == [0]
    assert received(platform, "task/start") == 0


def test_what_waits_for_a_person_says_so_again_when_the_task_is_resumed() -> None:
    task = make_task(status="loading", platform_task_id="7")
    batch = Batch.objects.create(task=task, number=1, size=1, status="unknown")
    make_contact(task=task, status="unknown", batch=batch)
    attempt = attempts.open_attempt(task, "insert", batch=batch)
    for old, new in (("sending", "unknown"), ("unknown", "needs_human")):
        assert lifecycle.move(attempt, new, of=[old], reason=lifecycle.COUNT_BUT_CALLED)
    lifecycle.note_task(task, lifecycle.COUNT_BUT_CALLED, needs_attention=True)
    dispatch.pause_task(task, by=None)
    dispatch.carry_out_request(task.pk)
    dispatch.resume_task(task, by=None)
    dispatch.carry_out_request(task.pk)
    for _again in range(2):
        dispatch.advance_task(task.pk)
        task.refresh_from_db()
        assert (task.status, task.needs_attention) == ("loading", True)
    assert StatusChange.objects.filter(subject="task", reason=task.reason).count() == 1


def make_rebuilding(status: str) -> Task:
    """A task that is to be handed over anew, with somebody whom the platform has of it."""
    task = make_task(status="loading", platform_task_id="7", request="rebuild")
    make_contact(task=task, status="accepted")
    if status != "loading":
        lifecycle.move(task, status, of=["loading"])
    return task


def tell_deleted(number: str = "7") -> TaskChanged:
    return TaskChanged(
        platform_task_id=number, state=PlatformTaskState.CREATED, platform_state="0", deleted=True
    )


def test_what_is_deleted_there_to_be_handed_over_anew_is_not_over() -> None:
    task = make_rebuilding("paused")
    asked = Task.objects.get(pk=task.pk)
    polling.follow_state(asked, tell_deleted())
    assert (status_of(task), contacts_by_state(task)) == ("paused", {"accepted": 1})
    # Nor is it when the answer comes after all that: it is about the one before.
    Task.objects.filter(pk=task.pk).update(request="", platform_task_id="8", platform_contacts=3)
    ingest.apply_task_state(asked, replace(tell_deleted(), contacts=99))
    polling.follow_state(asked, tell_deleted())
    assert (status_of(task), contacts_by_state(task)) == ("paused", {"accepted": 1})
    assert task.platform_contacts == 3
    # Somebody else deleted it.
    polling.follow_state(task, tell_deleted("8"))
    assert (status_of(task), contacts_by_state(task)) == ("deleted", {"withdrawn": 1})
    assert task.needs_attention


def test_an_order_does_not_end_what_is_deleted_there_to_be_handed_over_anew() -> None:
    task = make_rebuilding("loading")
    dispatch.pause_task(task, by=None)
    assert (status_of(task), task.request) == ("paused", "rebuild")
    dispatch.resume_task(task, by=None)
    assert (status_of(task), task.request) == ("loading", "rebuild")
    dispatch.pause_task(task, by=None)
    dispatch.delete_task(task, by=None)
    assert (status_of(task), task.request) == ("paused", "delete")


def test_a_pause_holds_back_a_start_that_overtook_the_wish_to_hand_it_over_anew() -> None:
    """Another step counted right meanwhile, and its start waits for its turn: a rebuild that finds
    it so gives up, and nothing but the pause keeps that start from leaving."""
    task = make_task(status="starting", platform_task_id="7", request="rebuild")
    attempts.open_attempt(task, "start")
    dispatch.pause_task(task, by=None)
    task.refresh_from_db()
    assert (task.status, task.request) == ("starting", "pause")


def load_and_ask_rebuild(make_campaign: Any, *, paused: str) -> Task:
    """A task that the platform holds, to be handed over anew; ``paused`` "before" that, or "after"
    it was asked for."""
    task: Task = make_campaign(contacts=2)
    dispatch.launch_task(task, by=None)
    assert dispatch.advance_task(task.pk) == dispatch.Next("advance")
    task.refresh_from_db()
    if paused == "before":
        lifecycle.move(task, "paused", of=["loading"], reason=orders.PAUSED_HERE)
    assert lifecycle.ask_rebuild(Task.objects.get(pk=task.pk))
    if paused == "after":
        dispatch.pause_task(task, by=None)
    task.refresh_from_db()
    return task


@pytest.mark.parametrize("paused", ["", "before", "after", "meanwhile"])
def test_what_is_said_of_a_task_that_was_deleted_there_is_true_of_a_paused_one_too(
    paused: str, make_campaign: Any, platform: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is not paused is handed over anew by itself."""
    task = load_and_ask_rebuild(make_campaign, paused=paused)
    if paused == "meanwhile":  # while the platform is told
        tell = requests._tell

        def tell_then_pause(*args: Any) -> Any:
            told = tell(*args)
            dispatch.pause_task(Task.objects.get(pk=task.pk), by=None)
            return told

        monkeypatch.setattr(requests, "_tell", tell_then_pause)
    dispatch.carry_out_request(task.pk)
    task.refresh_from_db()
    assert (task.platform_task_id, task.request) == ("", "")
    last = StatusChange.objects.filter(subject="task", subject_id=task.pk).latest("id")
    assert (last.new, last.reason) == (task.status, task.reason)
    if paused:
        assert (task.status, task.reason) == ("paused", requests.REBUILT_PAUSED)
        dispatch.resume_task(task, by=None)
        dispatch.carry_out_request(task.pk)
        assert status_of(task) == "loading"
    else:
        assert (task.status, task.reason) == ("loading", requests.REBUILT)


@pytest.mark.parametrize("paused", [False, True])
def test_that_a_task_was_handed_over_anew_before_is_known_however_it_was_said(paused: bool) -> None:
    task = make_task(status="paused" if paused else "loading", platform_task_id="7")
    seen = Task.objects.get(pk=task.pk)
    assert not lifecycle.was_rebuilt(task)
    assert lifecycle.ask_rebuild(seen)
    assert lifecycle.was_rebuilt(task)
    told = StatusChange.objects.get(subject="task", subject_id=task.pk)
    assert (told.new, "once it is resumed" in told.reason) == (task.status, paused)


@pytest.mark.parametrize("order", ["pause", "resume", "delete"])
def test_what_a_person_asked_for_goes_before_handing_over_anew(order: str) -> None:
    task = make_task(status="paused" if order == "resume" else "loading", platform_task_id="7")
    seen = Task.objects.get(pk=task.pk)
    lifecycle.request_task(task, order)
    assert not lifecycle.ask_rebuild(seen)
    task.refresh_from_db()
    assert task.request == order
    lifecycle.request_task(task, "")
    assert lifecycle.ask_rebuild(seen)
    task.refresh_from_db()
    assert task.request == "rebuild"


def test_a_task_that_was_rebuilt_before_is_counted_after_each(
    make_campaign: Any, platform: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(YETA, limits=replace(YETA.limits, rows_per_insert=2))
    monkeypatch.setitem(registry.PLATFORMS, "yeta", few)
    task = make_campaign(contacts=6)
    dispatch.launch_task(task, by=None)
    with monkeypatch.context() as patch:
        patch.setattr(jobs.dispatch, "claim_batches", lambda *_all, **_more: [])
        work_until(lambda: task.batches.filter(status="planned").count() == 3)
    task.refresh_from_db()
    lifecycle.request_task(task, "rebuild")
    lifecycle.request_task(task, "")
    claimed = dispatch.claim_batches(task.pk, most=3)
    batches._send(claimed[0])
    long_ago = timezone.now() - timedelta(hours=1)
    Attempt.objects.filter(status="sending").update(lease_until=long_ago)
    work_until(lambda: status_of(task) in ("running", "finished"))
    task.refresh_from_db()
    assert task.one_by_one
