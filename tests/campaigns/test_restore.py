"""In: real copies of the database, as a restore makes them. Out: nothing that calls leaves.

The copies are made by PostgreSQL itself: as a template, as a dump that is read back, and as rows
that are put back in place.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from campaigns import approvals, dispatch, gates, guarding
from campaigns.gates import restore, witness
from campaigns.models import Approval, Attempt, Batch, Installation, StatusChange, Task
from campaigns.roles import grant_roles
from config.local_postgres import find_binaries
from tests.factories import make_contact, make_task
from tests.platforms.sandbox_client import Client
from tests.workers import work_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_witness(settings: Any, tmp_path: Path) -> None:
    settings.WITNESS_FILE = tmp_path / "witness.json"


def run_sql(sql: str) -> None:
    """Outside of the test's database, on the same server."""
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = "postgres"
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name


@contextlib.contextmanager
def live_in(name: str) -> Iterator[None]:
    """The program goes on with this database instead."""
    usual = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = usual
        run_sql(f"DROP DATABASE {name}")


def copy_database() -> str:
    name = f"copy_{os.getpid()}"
    # A database that somebody is in cannot be copied: of a thread that has ended, its session.
    run_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{connection.settings_dict['NAME']}'"
    )
    run_sql(f"CREATE DATABASE {name} TEMPLATE {connection.settings_dict['NAME']}")
    return name


def dump_and_read_back() -> str:
    name = f"dump_{os.getpid()}"
    run_sql(f"CREATE DATABASE {name} TEMPLATE template0")
    programs = find_binaries().bin_dir
    known = connection.settings_dict
    environment = {
        **os.environ,
        "PGHOST": str(known["HOST"] or known.get("OPTIONS", {}).get("host", "")),
        "PGPORT": str(known["PORT"] or ""),
        "PGUSER": str(known["USER"]),
        "PGPASSWORD": str(known["PASSWORD"]),
    }
    dump = subprocess.run(
        [f"{programs}/pg_dump", "-Fc", str(known["NAME"])],
        env=environment, check=True, capture_output=True,
    ).stdout  # fmt: skip
    subprocess.run(
        [f"{programs}/pg_restore", "--no-owner", "-d", name],
        env=environment, check=True, capture_output=True, input=dump,
    )  # fmt: skip
    return name


def write_attempts(number: int) -> None:
    task = make_task(status="running")
    for place in range(number):
        batch = Batch.objects.create(task=task, number=place + 1, size=1, status="accepted")
        Attempt.objects.create(
            task=task, batch=batch, command="insert", status="accepted", lease_until=timezone.now()
        )


def test_the_database_that_was_always_there_is_not_held() -> None:
    for _ in range(3):
        assert gates.restore.find_restored() is None
        assert not restore.keep_witness()
        connection.close()
    write_attempts(2)
    assert not restore.keep_witness()
    assert Installation.objects.get().fingerprint == witness.read_fingerprint()
    assert witness.UNTOLD not in witness.read_fingerprint()


@pytest.mark.parametrize("make_copy", [copy_database, dump_and_read_back])
def test_a_copy_is_held_at_the_first_look_and_what_was_on_its_way_waits_for_a_person(
    make_copy: Any,
) -> None:
    assert restore.find_restored() is None
    ways = ["draft", "loading", "loaded", "starting", "running", "paused", "finished"]
    made = {status: make_task(status=status) for status in ways}
    resumed = make_task(status="paused", request="resume")
    rebuilt = make_task(status="loading", request="rebuild")
    with live_in(make_copy()):
        hold = restore.find_restored()
        assert hold is not None and hold.rule == "restore"
        for command in ("create", "insert", "start", "callout"):
            found = gates.find_hold(made["draft"], command)
            assert found is not None and found.rule == "restore"
        told = {status: Task.objects.get(pk=task.pk) for status, task in made.items()}
        for status in ("loading", "loaded", "starting"):
            assert (told[status].status, told[status].reason) == ("paused", restore.RESTORED)
            assert told[status].needs_attention
        for status in ("draft", "running", "paused", "finished"):
            assert told[status].status == status
        for task in (resumed, rebuilt):
            assert (Task.objects.get(pk=task.pk).status, Task.objects.get(pk=task.pk).request) == (
                "paused",
                "",
            )
        row = Installation.objects.get()
        assert row.held_at and "%(" not in row.sentence
        since = row.held_at
        assert restore.keep_witness()
        connection.close()
        assert restore.find_restored() is not None
        assert Installation.objects.get().held_at == since
        # a draft of the copy may have been launched in what was lost; a new one was not
        assert restore.may_be_launched_already(told["draft"])
        assert restore.may_be_launched_already(told["loaded"])
        assert not restore.may_be_launched_already(told["running"])
        assert not restore.may_be_launched_already(make_task())
    assert restore.find_restored() is None  # the original is what it was


def test_a_copy_is_released_by_a_person_with_a_reason() -> None:
    user = get_user_model().objects.create_user("boss")
    assert restore.find_restored() is None
    assert not restore.release_hold(by=user, note="nothing is held")
    with live_in(copy_database()):
        assert restore.find_restored() is not None
        assert restore.release_hold(by=user, note="looked at the platform: 100 % sure")
        assert restore.find_restored() is None
        assert not restore.keep_witness()
        row = Installation.objects.get()
        assert (row.held_at, row.released_by) == (None, user)
        told = StatusChange.objects.filter(subject="installation").order_by("id")
        assert [(one.old, one.new) for one in told] == [("", "held"), ("held", "released")]
        assert told[1].sentence == "looked at the platform: 100 % sure"
        connection.close()
        assert restore.find_restored() is None


def test_nothing_of_before_the_restore_goes_on_by_itself_once_it_is_released() -> None:
    """A rule's pause may have been taken over by a person since, an approval been used."""
    boss, other = (get_user_model().objects.create_superuser(name) for name in ("boss", "other"))
    waiting = make_task(status="paused", paused_by_rule="hours", platform_task_id="7")
    draft = make_task()
    make_contact(task=draft)
    asked = approvals.ask_approval(
        "launch", task=draft, reason="now", facts={}, by=boss,
        fingerprint=approvals.fingerprint_launch(draft),
    )  # fmt: skip
    approvals.decide_approval(asked, approve=True, answer="", by=other)
    assert restore.find_restored() is None
    with live_in(copy_database()):
        assert restore.find_restored() is not None
        assert restore.release_hold(by=boss, note="looked")
        assert guarding.guard_tasks() == []
        task = Task.objects.get(pk=waiting.pk)
        assert (task.status, task.request, task.paused_by_rule) == ("paused", "", "")
        assert task.needs_attention
        with pytest.raises(dispatch.LaunchRefused, match="second person"):
            dispatch.launch_task(Task.objects.get(pk=draft.pk), by=boss)
        assert Approval.objects.get(pk=asked.pk).status == "withdrawn"
    assert Task.objects.get(pk=waiting.pk).paused_by_rule == "hours"


def test_rows_that_were_put_back_in_place_are_known_by_the_witness() -> None:
    write_attempts(3)
    assert not restore.keep_witness()
    given = witness.read_given()["campaigns_attempt"]
    # as it looks after the folder of an older copy was put in place
    Batch.objects.order_by("id").last().delete()
    with connection.cursor() as cursor:
        sql = "SELECT setval(pg_get_serial_sequence('campaigns_attempt', 'id'), %s)"
        cursor.execute(sql, [given - 1])
    try:
        assert restore.keep_witness()
        assert restore.find_restored() is not None
        assert "campaigns_attempt" in Installation.objects.get().sentence
        assert restore.release_hold(by=None, note="known")
        assert not restore.keep_witness()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(sql, [given])


def test_deleted_rows_are_no_restore() -> None:
    write_attempts(3)
    assert not restore.keep_witness()
    Task.objects.all().delete()
    assert not Attempt.objects.exists()
    assert not restore.keep_witness()


class TestWitness:
    SEEN = witness.Witness("1/00000001/5/6", "", {"campaigns_attempt": 10})

    def look(self, seen: witness.Witness | None, **changed: Any) -> Any:
        now = {"fingerprint": self.SEEN.fingerprint, "released_at": "", "given": self.SEEN.ids}
        return witness.find_lost(seen, **now | changed)

    def test_it_tells_what_is_missing_and_nothing_else(self) -> None:
        assert self.look(None) is None
        assert self.look(self.SEEN) is None
        assert self.look(self.SEEN, given={"campaigns_attempt": 11}) is None
        assert self.look(self.SEEN, given={"campaigns_attempt": 9}) == {
            "what": "campaigns_attempt", "seen": 10, "now": 9,
        }  # fmt: skip
        # of another database it says nothing; a part that nobody tells does not count
        assert self.look(self.SEEN, fingerprint="2/00000001/5/6", given={}) is None
        lower = {"campaigns_attempt": 9}
        assert self.look(self.SEEN, fingerprint="?/00000001/5/6", given=lower) is not None

    def test_a_release_on_another_machine_makes_it_old_and_a_lost_release_tells(self) -> None:
        lower = {"campaigns_attempt": 9}
        assert self.look(self.SEEN, released_at="2027-01-01T00:00:00+00:00", given=lower) is None
        knew = witness.Witness("1/00000001/5/6", "2027-01-01T00:00:00+00:00", {})
        assert self.look(knew) is not None

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"fingerprint": 1}', "\x00"])
    def test_a_broken_file_is_written_anew(self, settings: Any, text: str) -> None:
        settings.WITNESS_FILE.write_text(text)
        assert witness.read_witness() is None
        witness.write_witness(self.SEEN)
        assert witness.read_witness() == self.SEEN

    def test_a_folder_that_cannot_be_written_stops_nothing(self, settings: Any) -> None:
        settings.WITNESS_FILE = Path("/proc/nowhere/witness.json")
        witness.write_witness(self.SEEN)
        assert not restore.keep_witness()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1/2/3/4", "1/2/3/4", True),
        ("1/2/3/4", "1/3/3/4", False),  # a promotion
        ("1/2/3/4", "9/2/3/4", False),  # another cluster
        ("1/2/3/4", "1/2/3/9", False),  # read back into the same database
        ("?/2/3/4", "1/2/3/4", True),
    ],
)
def test_each_part_of_a_fingerprint_counts(one: str, other: str, same: bool) -> None:
    assert witness.is_same(one, other) is same


def test_what_was_claimed_before_the_restore_does_not_leave_after_it(
    make_campaign: Any, platform: Client
) -> None:
    task = make_campaign(contacts=3)
    dispatch.launch_task(task, by=None)
    work_until(lambda: Task.objects.get(pk=task.pk).platform_task_id)
    sent = platform.look("ledger")["requests"]
    Installation.objects.filter(pk=1).update(fingerprint="another/1/2/3")
    connection.close()
    assert restore.find_restored() is not None
    dispatch.advance_task(task.pk)
    assert dispatch.claim_batch(task.pk) is None
    after = platform.look("ledger")["requests"]
    for name in ("task/insert", "task/start"):
        assert after.get(name, 0) == sent.get(name, 0)


def test_the_command_releases_with_a_note(capsys: Any) -> None:
    Installation.objects.create(pk=1, fingerprint="another/1/2/3")
    assert restore.find_restored() is not None
    with pytest.raises(Exception, match="note"):
        call_command("release_hold")
    call_command("release_hold", "--note", "asked the platform", "--json")
    assert '"held": false' in capsys.readouterr().out
    assert restore.find_restored() is None


class TestPage:
    ADDRESS = "/admin/campaigns/installation/"

    def enter(self, role: str) -> Browser:
        user = get_user_model().objects.create_user(role, is_staff=True)
        grant_roles(apps)
        user.groups.add(Group.objects.get(name=role))
        browser = Browser()
        browser.force_login(user)
        return browser

    def hold(self) -> None:
        Installation.objects.update_or_create(pk=1, defaults={"fingerprint": "another/1/2/3"})
        connection.close()
        assert restore.find_restored() is not None

    def test_every_page_says_that_it_is_held_and_only_then(self) -> None:
        browser = self.enter("viewer")
        assert "cb-held" not in browser.get("/admin/").content.decode()
        self.hold()
        for address in ("/admin/", "/admin/campaigns/task/", self.ADDRESS):
            assert "cb-held" in browser.get(address).content.decode(), address
        assert "cb-held" not in Browser().get("/admin/login/").content.decode()

    def test_it_is_released_by_whoever_may_with_the_word_and_a_reason(self) -> None:
        make_task(name="An old draft")
        manager, boss = self.enter("manager"), self.enter("admin")
        self.hold()
        page = boss.get(self.ADDRESS).content.decode()
        assert "An old draft" in page and "another/1/2/3" in page
        assert manager.get(self.ADDRESS).status_code == 200
        good = {"note": "I looked.", "word": "CALL"}
        assert manager.post(self.ADDRESS, good).status_code == 403
        for bad in ({"note": "", "word": "CALL"}, {"note": "I looked.", "word": "call"}, {}):
            assert boss.post(self.ADDRESS, bad).status_code == 200
        assert restore.find_restored() is not None
        assert boss.get(self.ADDRESS, good).status_code == 200  # a look releases nothing
        assert restore.find_restored() is not None
        assert boss.post(self.ADDRESS, good).status_code == 302
        assert restore.find_restored() is None
        assert "I looked." in boss.get(self.ADDRESS).content.decode()


@pytest.mark.django_db
def test_nothing_is_launched_while_it_is_held() -> None:
    task = make_task(lines=[])
    assert not any("restored from a copy" in problem for problem in dispatch.check_launch(task))
    Installation.objects.update_or_create(pk=1, defaults={"held_at": timezone.now()})
    assert any("restored from a copy" in problem for problem in dispatch.check_launch(task))
