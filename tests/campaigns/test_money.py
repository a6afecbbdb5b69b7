"""In: a platform that refuses a whole account. Out: all of it stops and says why, and what stopped
so, nothing else, goes on when a person says that the cause is repaired.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from campaigns import dispatch, gates, lifecycle
from campaigns.attempts import Outcome, open_attempt
from campaigns.dispatch import claim_batch, send_batch
from campaigns.dispatch.setbacks import handle_setback
from campaigns.guarding import guard_tasks
from campaigns.models import Account, Attempt, StatusChange, Task
from campaigns.platforms.errors import Consequence
from tests.campaigns.filling import launch
from tests.factories import make_account, make_contact, make_task
from tests.platforms.sandbox_client import Client
from tests.workers import run_jobs, work_until

pytestmark = pytest.mark.django_db(transaction=True)
NO_MONEY = {"kind": "code", "code": 200209, "count": 1}
REFUSED = Outcome("refused", reason="No balance.", consequence=Consequence.PAUSE_ACCOUNT)


def read(task: Task) -> Task:
    return Task.objects.get(pk=task.pk)


def received(platform: Client, endpoint: str) -> int:
    counted: dict[str, int] = platform.look("ledger")["requests"]
    return counted.get(endpoint, 0)


def test_no_balance_stops_every_task_of_the_account_and_nothing_leaves_for_it(
    make_campaign: Any, platform: Client
) -> None:
    running, own = make_campaign(contacts=0), make_campaign(contacts=0)
    for number in range(30):
        make_contact(task=running, phone=f"1990001{number:04d}", values={"姓名": "张三"})
    make_contact(task=own, phone="19900020001", values={"姓名": "张三"})
    elsewhere = make_task(status="running", account=make_account())
    make_contact(task=elsewhere, status="accepted")
    dispatch.launch_task(running, by=None)
    platform.control("clock", {"speed": 1})  # it is not through before it is paused
    work_until(lambda: read(running).status == "running")
    platform.control("faults", NO_MONEY | {"endpoint": "task/create"})
    dispatch.launch_task(own, by=None)
    work_until(lambda: read(running).status == "paused")
    account = Account.objects.get(pk=own.account_id)
    assert account.stopped_at is not None
    assert account.stopped_reason == read(own).reason
    for task in (own, running):
        row = read(task)
        assert (row.status, row.paused_by_rule, row.hold_rule) == ("paused", "account", "account")
        assert row.needs_attention, "the confirmed pause must not calm it"
    assert read(elsewhere).status == "running"
    sent = received(platform, "task/create"), received(platform, "task/start")
    assert guard_tasks() == []
    run_jobs()
    assert (received(platform, "task/create"), received(platform, "task/start")) == sent
    with pytest.raises(dispatch.LaunchRefused, match="refused the whole account"):
        dispatch.resume_task(read(own), by=None)
    with pytest.raises(dispatch.LaunchRefused, match="refused the whole account"):
        dispatch.launch_task(read(make_campaign(1)), by=None)

    by_hand = make_task(account=account, status="paused")
    make_contact(task=by_hand, status="accepted")
    assert sorted(dispatch.lift_stop(account, by=None)) == sorted([own.pk, running.pk])
    work_until(
        lambda: {read(own).status, read(running).status} <= {"running", "finished"}, seconds=60
    )
    assert (read(by_hand).status, read(by_hand).request) == ("paused", "")
    assert received(platform, "task/create") == sent[0] + 1
    for task in (own, running):
        assert (read(task).hold_rule, read(task).paused_by_rule) == ("", "")
    told = StatusChange.objects.filter(subject="account", subject_id=account.pk)
    assert [row.new for row in told.order_by("id")] == ["stopped", ""]
    assert dispatch.lift_stop(account, by=None) == []


def test_the_task_whose_request_was_refused_says_at_once_what_holds_it(
    make_campaign: Any, platform: Client
) -> None:
    """Not only when the rules are looked at the next time."""
    task = make_campaign(1)
    dispatch.launch_task(task, by=None)
    platform.control("faults", NO_MONEY | {"endpoint": "task/create"})
    dispatch.advance_task(task.pk)
    row = read(task)
    assert (row.status, row.paused_by_rule, row.hold_rule) == ("paused", "account", "account")


def test_a_person_who_pauses_meanwhile_is_obeyed(make_campaign: Any) -> None:
    task = make_campaign()
    Task.objects.filter(pk=task.pk).update(status="running", platform_task_id="7")
    dispatch.stop_account(task.account, "No balance.")
    assert read(task).paused_by_rule == "account"
    dispatch.pause_task(read(task), by=None)
    assert dispatch.lift_stop(task.account, by=None) == []
    assert (read(task).request, read(task).paused_by_rule) == ("pause", "")


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_person_who_paused_while_a_request_was_refused_is_obeyed(
    make_campaign: Any, carried_out: bool
) -> None:
    """The refusal comes after the click, before or after the pause is carried out."""
    task = make_campaign(1)
    Task.objects.filter(pk=task.pk).update(status="loading", platform_task_id="7")
    attempt = open_attempt(read(task), "insert")
    dispatch.pause_task(read(task), by=None)
    if carried_out:
        dispatch.carry_out_request(task.pk)
    handle_setback(read(task), attempt, REFUSED)
    dispatch.carry_out_request(task.pk)
    assert (read(task).status, read(task).request) == ("paused", "")
    assert dispatch.lift_stop(task.account, by=None) == []
    assert (read(task).request, read(task).paused_by_rule) == ("", "")


def test_whom_a_person_resumed_goes_on_when_the_account_is_repaired(make_campaign: Any) -> None:
    task = make_campaign(1)
    Task.objects.filter(pk=task.pk).update(status="paused", request="resume", platform_task_id="7")
    handle_setback(read(task), open_attempt(read(task), "start"), REFUSED)
    lifecycle.request_task(task, "")
    assert dispatch.lift_stop(task.account, by=None) == [task.pk]
    assert read(task).request == "resume"


def test_a_pause_that_is_still_asked_for_ends_when_it_is_confirmed(make_campaign: Any) -> None:
    task = make_campaign()
    Task.objects.filter(pk=task.pk).update(status="running", platform_task_id="7")
    dispatch.stop_account(task.account, "No balance.")
    assert dispatch.lift_stop(task.account, by=None) == [task.pk]
    assert read(task).request == "pause"
    Task.objects.filter(pk=task.pk).update(status="paused", request="")
    assert guard_tasks() == [task.pk]
    assert read(task).request == "resume"


def test_where_handing_over_is_all_that_can_be_stopped_it_is(
    make_filled: Any, platform: Client, limit: Any
) -> None:
    limit(2, 1000)
    task = make_filled(contacts=6)
    launch(task)
    first, second = claim_batch(task.pk), claim_batch(task.pk)
    assert first is not None and second is not None
    send_batch(first)
    dispatch.stop_account(task.account, "No balance.")
    assert read(task).status == "paused"
    send_batch(second)
    assert claim_batch(task.pk) is None
    assert platform.look("ledger")["requests"]["airudder/uploaddetails"] == 1
    assert set(Attempt.objects.filter(command="insert").values_list("status", flat=True)) == {
        "accepted",
        "not_sent",
    }


def test_a_task_that_the_stop_left_out_is_held_at_each_step(
    make_filled: Any, platform: Client, limit: Any
) -> None:
    limit(2, 1000)
    task = make_filled(contacts=4)
    launch(task)
    claimed = claim_batch(task.pk)
    assert claimed is not None
    Account.objects.filter(pk=task.account_id).update(stopped_at=timezone.now())
    assert claim_batch(task.pk) is None
    send_batch(claimed)
    assert "airudder/uploaddetails" not in platform.look("ledger")["requests"]
    assert dispatch.advance_task(task.pk).what == "advance"
    assert (read(task).status, read(task).hold_rule) == ("loading", "account")
    account = Account.objects.get(pk=task.account_id)
    dispatch.lift_stop(account, by=None)
    dispatch.advance_task(task.pk)
    assert read(task).hold_rule == ""


def test_the_rule_reads_nothing(django_assert_num_queries: Any) -> None:
    task = Task.objects.select_related("account").get(pk=make_task().pk)
    with django_assert_num_queries(0):
        assert gates.amounts.find_stopped(task) is None


@pytest.mark.django_db
class TestScreens:
    def test_the_page_says_it_in_red_and_has_the_button(self, admin_client: Any) -> None:
        task = make_task(status="loading")
        account = task.account
        dispatch.stop_account(account, "The account has no balance left.")
        page = reverse("admin:campaigns_account_change", args=[account.pk])
        told = admin_client.get(page).content.decode()
        assert "The account has no balance left." in told and "The cause is repaired" in told
        home = admin_client.get(reverse("admin:index")).content.decode()
        assert f"The platform refused the whole account {account.name}" in home
        lift = reverse("admin:campaigns_account_lift", args=[account.pk])
        assert admin_client.get(lift).status_code == 405
        admin_client.post(lift)
        account.refresh_from_db()
        assert account.stopped_at is None
        assert "account-stop" not in admin_client.get(page).content.decode()
        told_by = StatusChange.objects.get(subject="account", subject_id=account.pk, new="").by
        assert told_by is not None
        assert admin_client.post(lift).status_code == 302

    def test_a_busy_platform_is_told_on_the_pages(self, admin_client: Any) -> None:
        from campaigns.connections import slow_down

        task = make_task(status="loading")
        slow_down(task.account)
        for page in (
            reverse("admin:campaigns_account_change", args=[task.account_id]),
            reverse("admin:campaigns_task_change", args=[task.pk]),
        ):
            assert "slowed to 10." in admin_client.get(page).content.decode()

    def test_who_may_not_change_accounts_may_not_lift(self, client: Any) -> None:
        from django.contrib.auth.models import Group, User

        account = make_account()
        dispatch.stop_account(account, "No balance.")
        user = User.objects.create_user("v", is_staff=True)
        user.groups.add(Group.objects.get(name="viewer"))
        client.force_login(user)
        lift = reverse("admin:campaigns_account_lift", args=[account.pk])
        assert client.post(lift).status_code == 403
        account.refresh_from_db()
        assert account.stopped_at is not None
        page = reverse("admin:campaigns_account_change", args=[account.pk])
        assert "The cause is repaired" not in client.get(page).content.decode()

    def test_the_command_does_the_same(self, capsys: Any) -> None:
        task = make_task(status="loading")
        dispatch.stop_account(task.account, "No balance.")
        call_command("lift_stop", task.account.name, "--json")
        assert f'"tasks": [{task.pk}]' in capsys.readouterr().out
        with pytest.raises((CommandError, SystemExit)):
            call_command("lift_stop", task.account.name)
