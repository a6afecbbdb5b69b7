"""In: exports that are asked for. Out: files, whole and once, for who may have them, for a while.

Must catch: a half written file taken for a whole one, a job nobody can stop, a file that outlives
its period, somebody else's file, whole numbers without the right, a day that is made twice.
"""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns import exporting
from campaigns.criteria import CALLS, CONTACTS, read_criteria
from campaigns.exporting import plans, steps, tables
from campaigns.models import Call, Export, ExportPlan, Recording
from tests.campaigns.admin.world import make_call, make_recording, make_user
from tests.campaigns.exporting import slow
from tests.factories import make_account, make_contact, make_robot, make_task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def ask(kind: str = CALLS, by: Any = None, **fields: Any) -> Export:
    params = fields.pop("params", {})
    of = CONTACTS if kind == CONTACTS else CALLS
    return exporting.ask_export(kind, read_criteria(of, params), by=by, **fields)


def make(export: Export) -> Export:
    exporting.make_export(export.pk)
    export.refresh_from_db()
    return export


def read(export: Export) -> bytes:
    with export.file.open("rb") as file:
        return bytes(file.read())


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_file_is_made_and_fetched(client: Client, media: Path) -> None:
    task = make_task()
    for _number in range(5):
        make_call(task, caller="19900000001")
    user = make_user("manager")
    export = make(ask(by=user, zone="Asia/Shanghai"))
    assert (export.status, export.rows, export.rows_end) == ("done", 5, 5)
    data = read(export)
    assert data == "".join(slow.write_calls(Call.objects.all(), whole=False)).encode()
    assert export.bytes == len(data)
    assert not list(media.glob("**/export-part-*"))
    client.force_login(user)
    page = client.get(reverse("admin:campaigns_export_change", args=[export.pk]))
    assert export.file.name not in page.content.decode()
    response: Any = client.get(reverse("admin:campaigns_export_file", args=[export.pk]))
    assert b"".join(response.streaming_content) == data
    assert "attachment" in response["Content-Disposition"]
    assert "no-store" in response["Cache-Control"]
    assert response["X-Content-Type-Options"] == "nosniff"
    told = [entry.change_message for entry in LogEntry.objects.order_by("pk")]
    assert [one.split()[0] for one in told] == ["Asked", "Fetched"]
    export.refresh_from_db()
    assert export.downloads == 1


def test_who_may_fetch_it(client: Client) -> None:
    owner, other = make_user("manager"), make_user("manager", username="other")
    own, whole = make(ask(by=owner)), make(ask(by=owner, whole=True))
    url = reverse("admin:campaigns_export_file", args=[own.pk])
    client.force_login(other)
    assert client.get(url).status_code == 200, "who oversees exports"
    operator = make_user("operator")
    operator.user_permissions.add(Permission.objects.get(codename="export_data"))
    client.force_login(operator)
    for address in (url, reverse("admin:campaigns_export_change", args=[own.pk])):
        assert client.get(address).status_code in (302, 404)
    mine = make(ask(by=operator, whole=True))
    assert client.get(reverse("admin:campaigns_export_file", args=[mine.pk])).status_code == 403
    listed = client.get(reverse("admin:campaigns_export_changelist")).context["cl"].result_list
    assert list(listed) == [mine]
    client.force_login(make_user("viewer"))
    assert client.get(reverse("admin:campaigns_export_changelist")).status_code == 403
    assert whole.whole


def test_it_can_be_given_up_in_the_middle(monkeypatch: pytest.MonkeyPatch, media: Path) -> None:
    monkeypatch.setattr(tables, "ROWS", 1)
    monkeypatch.setattr(steps, "TELL_SECONDS", 0.0)
    first = make_call(make_task())
    Call.objects.bulk_create(
        Call(
            account=first.account,
            platform_call_id=f"x{number}",
            happened_at=first.happened_at,
        )
        for number in range(3000)
    )
    export = ask()

    def work() -> None:
        try:
            exporting.make_export(export.pk)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: Export.objects.filter(pk=export.pk, rows__gt=3).exists())
    assert exporting.cancel_export(Export.objects.get(pk=export.pk))
    thread.join(20)
    export.refresh_from_db()
    assert export.status == "cancelled"
    assert 3 < export.rows < 3001
    assert not export.file
    assert not [path for path in media.glob("**/*") if path.is_file()]


def test_one_that_waits_is_given_up_at_once() -> None:
    export = ask()
    assert exporting.cancel_export(export)
    assert make(export).status == "cancelled"
    assert not exporting.cancel_export(export)


def test_a_dead_workers_file_is_made_anew_and_given_up_in_the_end() -> None:
    make_call(make_task())
    export = ask()
    Export.objects.filter(pk=export.pk).update(status="running", tries=1, rows=77)
    exporting.settle_exports()
    assert make(export).status == "done"
    assert (export.rows, export.tries) == (1, 2)
    Export.objects.filter(pk=export.pk).update(status="running", tries=steps.TRIES)
    assert make(export).status == "failed"
    assert export.reason_text


def test_only_so_many_at_once_and_of_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "SLOTS", 0)
    export = ask()
    assert exporting.make_export(export.pk) is not None
    export.refresh_from_db()
    assert export.status == "waiting"
    monkeypatch.setattr(steps, "MAX_OPEN", 1)
    user = make_user()
    ask(by=user)
    with pytest.raises(exporting.ExportRefused):
        ask(by=user)


def test_a_full_disk_and_a_lost_choice_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_up(*_arguments: Any, **_fields: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(steps, "write_csv", fill_up)
    export = make(ask())
    assert (export.status, export.reason) == ("failed", steps.NO_ROOM)
    lost = ask()
    Export.objects.filter(pk=lost.pk).update(params={"gone": "1"})
    assert make(lost).status == "failed"
    assert "gone" in lost.reason_text


def test_what_the_database_refuses_is_told_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask_too_much(cursor: Any, *_arguments: Any, **_fields: Any) -> int:
        cursor.execute("SELECT 1 / 0")
        return 0

    monkeypatch.setattr(steps, "write_csv", ask_too_much)
    export = make(ask())
    assert (export.status, export.reason, export.tries) == ("failed", steps.NOT_READ, 1)


def test_cells_that_were_cut_are_told() -> None:
    task = make_task(robot=make_robot(columns=["phone", "words"]))
    make_contact(task=task, values={"words": "词" * 40_000})
    params = {"task__id__exact": str(task.pk)}
    export = make(ask(CONTACTS, params=params, form="xlsx"))
    assert (export.status, export.rows, export.reason) == ("done", 1, steps.CUT_CELL)
    make_contact(task=task, values={"words": "词" * 40_000})
    export = make(ask(CONTACTS, params=params, form="xlsx"))
    assert export.reason_text == steps.CUT_CELLS % {"n": 2}


def test_a_file_is_deleted_when_its_period_is_over(client: Client, media: Path) -> None:
    export = make(ask())
    path = Path(export.file.path)
    assert path.exists()
    assert exporting.expire_exports() == 0
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert exporting.expire_exports() == 1
    assert not path.exists()
    client.force_login(make_user())
    url = reverse("admin:campaigns_export_file", args=[export.pk])
    assert client.get(url).status_code == 404
    export.refresh_from_db()
    assert export.status == "expired"


def test_recordings_come_with_an_index(media: Path) -> None:
    task = make_task()
    call, bare = make_call(task, callee="19900000001"), make_call(task, callee="19900000002")
    stored, missing = make_recording(call), make_recording(bare, stored=False)
    Recording.objects.filter(pk=missing.pk).update(address="/../../etc/passwd")
    export = make(ask("recordings", form="zip", zone="Asia/Shanghai"))
    assert (export.status, export.rows, export.missing) == ("done", 1, 1)
    with ZipFile(export.file.path) as archive:
        assert archive.testzip() is None
        name = f"recordings/{call.pk}-{stored.pk}.wav"
        assert set(archive.namelist()) == {name, "index.csv"}
        with stored.file.open("rb") as file:
            assert archive.read(name) == file.read()
        index = archive.read("index.csv").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(index, newline="")))
    assert [row["file"] for row in rows] == [name, ""]
    assert [row["phone"] for row in rows] == ["199****0001", "199****0002"]
    assert rows[1]["why_missing"]
    assert "passwd" not in index


def test_too_many_recordings_are_refused(settings: Any) -> None:
    settings.EXPORT_MAX_RECORDINGS = 1
    task = make_task()
    for _number in range(2):
        make_recording(make_call(task))
    export = make(ask("recordings", form="zip"))
    assert export.status == "failed"
    assert "1" in export.reason_text


@pytest.mark.parametrize(("kind", "form"), [("recordings", "csv"), ("calls", "zip")])
def test_a_zip_is_of_recordings(kind: str, form: str) -> None:
    with pytest.raises(exporting.ExportRefused):
        ask(kind, form=form)


# -------------------------------------------------------------------------------- every day


def make_plan(**fields: Any) -> ExportPlan:
    account = make_account(time_zone="America/New_York")
    values: dict[str, Any] = {
        "task": make_task(account=account, robot=make_robot(account=account)),
        "at": datetime(2026, 1, 1, 6, 0, tzinfo=UTC).time(),
        "created_by": make_user("manager"),
    }
    plan = ExportPlan.objects.create(**values | fields)
    ExportPlan.objects.filter(pk=plan.pk).update(created_at=datetime(2026, 11, 1, 12, tzinfo=UTC))
    plan.refresh_from_db()
    return plan


def test_each_day_is_made_once_by_the_accounts_clock() -> None:
    plan = make_plan()
    # summer time ends in New York on November 1: the day has 25 hours
    assert plans.list_due_days(plan, now=datetime(2026, 11, 2, 10, 59, tzinfo=UTC)) == []
    assert plans.list_due_days(plan, now=datetime(2026, 11, 2, 11, 0, tzinfo=UTC)) == [
        date(2026, 11, 1)
    ]
    now = datetime(2026, 11, 3, 12, tzinfo=UTC)
    assert plans.make_planned(now=now) == 2
    assert plans.make_planned(now=now) == 0
    first = Export.objects.earliest("day")
    inside = [datetime(2026, 11, 1, 4, 0, tzinfo=UTC), datetime(2026, 11, 2, 4, 59, tzinfo=UTC)]
    outside = [datetime(2026, 11, 1, 3, 59, tzinfo=UTC), datetime(2026, 11, 2, 5, 0, tzinfo=UTC)]
    made = [make_call(plan.task, happened_at=moment) for moment in inside + outside]
    make_call(make_task(), happened_at=inside[0])
    chosen = read_criteria(CALLS, first.params).select()
    assert set(chosen) == set(made[:2])
    assert first.zone == "America/New_York"
    assert make(first).rows == 2
    assert "2026-11-01" in first.file_name


def test_days_without_a_worker_are_made_up_for_a_week_back() -> None:
    plan = make_plan()
    days = plans.list_due_days(plan, now=datetime(2026, 12, 1, 12, tzinfo=UTC))
    assert (len(days), days[-1]) == (plans.MOST_DAYS, date(2026, 11, 30))


def test_who_lost_the_right_gets_nothing() -> None:
    plan = make_plan(whole=True)
    owner = plan.created_by
    assert owner is not None
    owner.groups.clear()
    now = datetime(2026, 11, 2, 12, tzinfo=UTC)
    assert plans.make_planned(now=now) == 0
    owner.user_permissions.add(Permission.objects.get(codename="export_data"))
    assert plans.make_planned(now=now) == 1
    assert not Export.objects.get().whole


def test_a_contacts_file(client: Client) -> None:
    contact = make_contact(phone="19900000001")
    params = {"task__id__exact": str(contact.task_id)}
    export = make(ask(CONTACTS, params=params, whole=True, words="zh-hans"))
    assert b"19900000001" in read(export)
    assert export.rows == 1
