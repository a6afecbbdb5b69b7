"""In: accounts whose platform is busy, or bears only so much. Out: everybody goes slower together,
nothing stops, nothing is sent twice, and whoever stops something need not wait.

Real processes share one row; the sandbox's ledger tells what arrived when.
"""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from campaigns import connections, dispatch
from campaigns.connections import (
    expect_requests,
    find_wait,
    open_client,
    slow_down,
    wait_for_turn,
)
from campaigns.models import Account, Attempt, Batch, Contact, Task
from campaigns.platforms.errors import NotSent, Throttled
from tests.factories import make_account, make_task
from tests.platforms.sandbox_client import Client, wait_until
from tests.processes import make_environment, run_process, run_worker
from tests.workers import work_until

pytestmark = pytest.mark.django_db(transaction=True)


def read(account: Account) -> Account:
    return Account.objects.get(pk=account.pk)


def age(account: Account, seconds: float) -> None:
    """The last busy answer is so much longer ago."""
    row = read(account)
    assert row.slowed_at is not None
    Account.objects.filter(pk=account.pk).update(
        slowed_at=row.slowed_at - timedelta(seconds=seconds)
    )


class TestSlowingDown:
    def test_each_busy_answer_halves_the_pace_but_those_of_one_second_count_as_one(self) -> None:
        account = make_account(rate_limit=20)
        for _ in range(5):
            slow_down(account)
        assert read(account).slowed_to == 10
        age(account, 1.1)
        slow_down(account)
        # a little was won back in the second between
        assert read(account).slowed_to == pytest.approx(5.1, abs=0.1)

    def test_it_never_comes_to_a_stop(self) -> None:
        account = make_account(rate_limit=1)
        for _ in range(8):
            slow_down(account)
            age(account, 1.1)
        assert read(account).slowed_to == connections.SLOWEST

    def test_the_pace_comes_back_by_itself(self) -> None:
        account = make_account(rate_limit=20)
        slow_down(account)
        age(account, 10)
        pace = read(account).find_pace(timezone.now())
        assert pace == pytest.approx(12, abs=0.1)  # a tenth of the limit in ten seconds
        age(account, 50)
        assert read(account).find_pace(timezone.now()) is None
        wait_for_turn(read(account))
        assert (read(account).slowed_to, read(account).slowed_at) == (None, None)

    def test_the_row_and_the_program_say_the_same(self) -> None:
        account = make_account(rate_limit=20)
        slow_down(account)
        age(account, 7)
        wait_for_turn(read(account))
        row = read(account)
        assert row.next_call_at and row.next_request_at
        pace = row.find_pace(timezone.now())
        assert pace is not None
        step = (row.next_call_at - row.next_request_at).total_seconds() + 1 / 20
        assert step == pytest.approx(1 / pace, rel=0.05)

    def test_an_account_without_a_limit_is_slowed_from_what_it_did(self) -> None:
        account = make_account(rate_limit=0)
        wait_for_turn(account)
        assert read(account).next_request_at is None
        slow_down(account)
        assert read(account).slowed_to == 0.5
        wait_for_turn(read(account))
        assert read(account).next_call_at is not None

    def test_nothing_that_adds_calls_leaves_before_the_moment_that_the_platform_named(
        self,
    ) -> None:
        account = make_account(rate_limit=20)
        slow_down(account, retry_after=60)
        with pytest.raises(NotSent):
            wait_for_turn(read(account))
        assert find_wait(read(account)) > 25
        began = time.monotonic()
        wait_for_turn(read(account), adds_calls=False)
        assert time.monotonic() - began < 10


class TestTurnsTakenTogether:
    """What was claimed together takes its turns together: one look at the row for all."""

    def test_they_are_as_far_apart_as_the_limit_says(self) -> None:
        account = make_account(rate_limit=25)
        began, clock, moments = time.monotonic(), timezone.now(), []
        for ahead in (4, 3, 2, 1):
            expect_requests(account, ahead)
            wait_for_turn(account)
            moments.append(time.monotonic() - began)
        assert all(moment >= number / 25 for number, moment in enumerate(moments))
        free = read(account).next_request_at
        assert free is not None and free - clock >= timedelta(seconds=4 / 25)

    def test_the_row_is_written_once(self) -> None:
        account = make_account(rate_limit=4)
        ends = []
        for ahead in (3, 2, 1):
            expect_requests(account, ahead)
            wait_for_turn(account)
            ends.append(read(account).next_request_at)
        assert ends[0] == ends[1] == ends[2]

    def test_others_wait_until_all_of_them_are_over(self) -> None:
        account = make_account(rate_limit=20)
        began = time.monotonic()
        expect_requests(account, 6)
        wait_for_turn(account)
        wait_for_turn(read(account))
        assert time.monotonic() - began >= 6 / 20

    def test_whoever_comes_late_to_a_turn_takes_another(self) -> None:
        """Else what waited together would leave together, faster than the limit."""
        account = make_account(rate_limit=20)
        expect_requests(account, 4)
        wait_for_turn(account)
        time.sleep(0.3)  # all of them are over
        before = read(account).next_request_at
        expect_requests(account, 1)
        wait_for_turn(account)
        after = read(account).next_request_at
        assert before is not None and after is not None and after > before

    def test_an_account_that_is_slow_gets_one(self) -> None:
        account = make_account(rate_limit=20)
        slow_down(account)
        account = read(account)
        expect_requests(account, 5)
        wait_for_turn(account)
        assert "turns" not in vars(account)

    def test_a_busy_answer_takes_those_back_that_are_left(self) -> None:
        account = make_account(rate_limit=20)
        expect_requests(account, 3)
        wait_for_turn(account)
        assert len(vars(account)["turns"]) == 2
        slow_down(account)
        assert "turns" not in vars(account)

    def test_they_are_for_these_requests_only(self) -> None:
        account = make_account(rate_limit=25)
        expect_requests(account, 3)
        wait_for_turn(account)
        vars(account).pop("turns")
        wait_for_turn(account)  # nobody said that others follow
        assert "turns" not in vars(account)


def test_a_pause_does_not_wait_behind_a_slow_pace() -> None:
    account = make_account(rate_limit=20)
    slow_down(account)
    Account.objects.filter(pk=account.pk).update(slowed_to=0.2, slowed_at=timezone.now())
    wait_for_turn(read(account))  # the next is five seconds away
    began = time.monotonic()
    for _ in range(3):
        wait_for_turn(read(account), adds_calls=False)
    assert time.monotonic() - began < 4


def test_a_question_that_is_answered_busy_slows_what_adds_calls(
    account: Account, platform: Client
) -> None:
    Account.objects.filter(pk=account.pk).update(rate_limit=40)
    platform.control("faults", {"endpoint": "task/query", "kind": "code", "count": 1})
    with pytest.raises(Throttled):
        open_client(read(account)).query_tasks()
    assert read(account).slowed_to == 20


def test_429_slows_down_whatever_it_means_for_the_request(
    airudder: Account, platform: Client
) -> None:
    """At AI Rudder nobody knows what a 429 to an insert means; that it is busy is certain."""
    Account.objects.filter(pk=airudder.pk).update(rate_limit=40)
    rule = {"endpoint": "airudder/uploaddetails", "kind": "throttle", "count": 1, "seconds": 9}
    platform.control("faults", rule)
    client = open_client(read(airudder), fence=lambda: None)
    with contextlib.suppress(Exception):
        client.insert_contacts("1", columns=["callee"], rows=[["19900000001"]], keys=["CB-1"])
    row = read(airudder)
    assert row.slowed_to == 20
    assert row.next_call_at and (row.next_call_at - timezone.now()).total_seconds() > 6


def test_whoever_would_wait_long_for_a_turn_claims_nothing() -> None:
    account = make_account(rate_limit=20)
    assert find_wait(account) == 0
    slow_down(account)
    Account.objects.filter(pk=account.pk).update(slowed_to=0.5, slowed_at=timezone.now())
    assert find_wait(read(account)) == 0
    task = make_task(account=account)
    for number in (1, 2):
        Attempt.objects.create(
            task=task,
            batch=Batch.objects.create(task=task, number=number, size=1),
            command="insert",
            lease_until=timezone.now(),
        )
    assert 0 < find_wait(read(account)) <= 5


RACE = """
import os, pathlib, sys, time, django
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()
from campaigns.connections import wait_for_turn
from campaigns.models import Account
account, out = Account.objects.get(pk=int(sys.argv[1])), open(sys.argv[2], "w")
pathlib.Path(sys.argv[2] + ".ready").touch()
while not os.path.exists(sys.argv[3]):
    time.sleep(0.01)
ends = time.time() + 5
while time.time() < ends:
    wait_for_turn(account)
    print(time.time(), file=out, flush=True)
"""


@pytest.mark.parametrize("slowed", [False, True])
def test_processes_share_one_rate(tmp_path: Any, slowed: bool) -> None:
    rate = 40
    account = make_account(rate_limit=rate)
    if slowed:
        Account.objects.filter(pk=account.pk).update(slowed_to=10, slowed_at=timezone.now())
    files = [tmp_path / f"{number}" for number in range(3)]
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(
                run_process(
                    ["-c", RACE, str(account.pk), str(file), str(tmp_path / "go")],
                    environment=make_environment(),
                )
            )
            for file in files
        ]
        wait_until(
            lambda: all((tmp_path / f"{file.name}.ready").exists() for file in files), seconds=60
        )
        if slowed:  # nothing was won back while they started
            Account.objects.filter(pk=account.pk).update(slowed_at=timezone.now())
        (tmp_path / "go").touch()
        for child in children:
            assert child.wait(60) == 0
    left = sorted(float(line) for file in files for line in file.read_text().splitlines())
    seconds = left[-1] - left[0]
    # at its slowed pace it wins back 0.4/s each second
    allowed = 10 * seconds + 0.2 * (seconds + 0.5) ** 2 if slowed else rate * seconds
    assert 4 < seconds < 20
    assert len(left) - 1 <= allowed * 1.1
    assert len(left) >= allowed * 0.3, "a busy machine is slower, but it is no other rate"
    assert all(file.read_text() for file in files), "nobody was left out"


def test_a_platform_that_bears_little_gets_everything_once_from_three_workers(
    make_campaign: Any, platform: Client
) -> None:
    account_tasks = [make_campaign(contacts=0) for _ in range(2)]
    account = account_tasks[0].account
    Account.objects.filter(pk=account.pk).update(rate_limit=50)
    per_task = 800
    for nth, task in enumerate(account_tasks):
        Contact.objects.bulk_create(
            Contact(
                task=task,
                account=account,
                family_id=task.pk,
                phone=f"199{nth}{number:07d}",
                values={"客户手机号码": f"199{nth}{number:07d}", "姓名": "张三"},
            )
            for number in range(per_task)
        )
    bears = 6
    platform.control("faults", {"endpoint": "task/insert", "kind": "code", "above": bears})
    with contextlib.ExitStack() as stack:
        for task in account_tasks:
            dispatch.launch_task(task, by=None)
        hosts = {"PLATFORM_ALLOW_HOSTS": "127.0.0.1", "SETTLE_SECONDS": "1"}
        for _ in range(3):
            stack.enter_context(run_worker(**hosts))
        ends = time.monotonic() + 90
        slowest = 50.0
        while Task.objects.filter(status="loading").exists():
            assert time.monotonic() < ends, list(Task.objects.values("status", "reason"))
            slowest = min(slowest, read(account).slowed_to or slowest)
            time.sleep(0.1)
    assert slowest < 50, "it was slowed"
    asked = platform.look("requests?endpoint=task/insert")["items"]
    done = [one for one in asked if one["acted"]]
    assert len(done) == len({one["hash"] for one in done}) == 2 * per_task // 50
    for task in account_tasks:
        task.refresh_from_db()
        assert task.platform_contacts == per_task and task.status in ("running", "finished")
        states = set(task.contacts.values_list("status", flat=True))
        assert states <= {"accepted", "finished"}
    assert len(asked) < 2.5 * len(done), "it converges: most of what is sent is taken"


def test_a_task_that_the_platform_is_too_busy_for_says_so_and_goes_on(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=1)
    rule = platform.control("faults", {"endpoint": "task/create", "kind": "code"})
    dispatch.launch_task(task, by=None)

    def hurry() -> None:
        """Nobody waits here as long as the account really would."""
        Task.objects.update(not_before=None)
        Account.objects.update(next_call_at=None, slowed_to=None)

    def alarmed() -> bool:
        hurry()
        task.refresh_from_db()
        return task.needs_attention

    work_until(alarmed)
    assert "busy" in task.reason and task.status == "loading" and task.setbacks >= 5
    platform.control(f"faults/{rule['id']}", {}, method="DELETE")

    def goes_on() -> bool:
        hurry()
        task.refresh_from_db()
        return task.status in ("running", "finished")

    work_until(goes_on)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM campaigns_attempt WHERE status = 'unknown'")
        assert cursor.fetchone()[0] == 0
