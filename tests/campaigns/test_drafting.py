"""In: drafts, right and wrong. Out: a task, or a sentence beside the field that is wrong.

Must catch: a wrong combination that only the platform would refuse; a clone of what is gone.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from campaigns.drafting import (
    Draft,
    DraftRefused,
    WindowsUnreadable,
    change_draft,
    check_draft,
    clone_task,
    create_draft,
    parse_windows,
    print_windows,
)
from campaigns.models import Task
from tests.factories import make_account, make_contact, make_line, make_robot, make_task, make_voice

HOURS = [["09:00:00", "12:00:00"], ["13:00:00", "17:59:59"]]


@pytest.fixture
def draft(db: None) -> Draft:
    account = make_account()
    return Draft(
        account=account,
        name="七月回访",
        robot=make_robot(account=account),
        lines=[
            make_line(account=account, hours=[["09:00:00", "12:00:00"], ["13:00:00", "17:59:59"]])
        ],
        voice=make_voice(account=account),
        windows=[("09:00:00", "12:00:00"), ("13:00:00", "17:30:00")],
        recall_count=3,
        recall_wait_seconds=600,
        begin_at=timezone.now() + timedelta(hours=1),
        end_at=timezone.now() + timedelta(days=3),
    )


def test_a_right_draft_becomes_a_task(draft: Draft) -> None:
    assert check_draft(draft) == {}
    task = create_draft(draft, by=None)
    assert task.status == "draft"
    assert task.windows == [["09:00:00", "12:00:00"], ["13:00:00", "17:30:00"]]
    assert list(task.lines.all()) == list(draft.lines)


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("name", {"name": "  "}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "a\x00b"}),
        ("name", {"name": "a\ud800"}),
        ("robot", {"robot": None}),
        ("lines", {"lines": []}),
        ("recall_count", {"recall_count": 4}),
        ("recall_count", {"recall_count": -1}),
        ("recall_wait_seconds", {"recall_wait_seconds": None}),
        ("recall_wait_seconds", {"recall_wait_seconds": 0}),
        ("recall_wait_seconds", {"recall_wait_seconds": 7 * 86400 + 1}),
        ("recall_wait_seconds", {"recall_count": 0}),
        ("windows", {"windows": [("22:00:00", "02:00:00")]}),
        ("windows", {"windows": [("10:00:00", "10:00:00")]}),
        ("windows", {"windows": [("09:00:00", "11:00:00"), ("10:00:00", "12:00:00")]}),
        ("windows", {"windows": [("08:59:00", "12:00:00")]}),
        ("windows", {"windows": [("11:00:00", "14:00:00")]}),
        ("windows", {"windows": [("nonsense", "12:00:00")]}),
        ("end_at", {"end_at": NOW - timedelta(days=1)}),
        ("end_at", {"end_at": NOW + timedelta(minutes=5)}),
        ("end_at", {"end_at": datetime(9999, 12, 31, tzinfo=UTC)}),
        ("begin_at", {"begin_at": datetime(1, 1, 1, tzinfo=UTC)}),
        ("speed", {"speed": 100}),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    draft: Draft, field: str, changes: dict[str, Any]
) -> None:
    errors = check_draft(replace(draft, **changes))
    assert field in errors
    assert all(sentence.endswith(".") for sentence in errors[field])
    with pytest.raises(DraftRefused):
        create_draft(replace(draft, **changes))
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "reviewing"},
        {"state": "unpublished"},
        {"deleted": True},
        {"gone_at": NOW},
        {"columns": []},
    ],
)
def test_only_a_usable_robot_can_call(draft: Draft, fields: dict[str, Any]) -> None:
    robot = make_robot(account=draft.account, **fields)
    assert "robot" in check_draft(replace(draft, robot=robot))


def test_nothing_of_another_account_or_gone_is_used(draft: Draft) -> None:
    assert "robot" in check_draft(replace(draft, robot=make_robot()))
    assert "lines" in check_draft(replace(draft, lines=[make_line()]))
    assert "voice" in check_draft(replace(draft, voice=make_voice()))
    for name, make in (("lines", make_line), ("voice", make_voice)):
        gone = make(account=draft.account, gone_at=NOW)
        value = [gone] if name == "lines" else gone
        assert name in check_draft(replace(draft, **{name: value}))
    # Whether a line has expired is the platform's to judge: its own samples show such lines.
    expired = make_line(account=draft.account, expires_at=NOW - timedelta(days=1))
    assert check_draft(replace(draft, lines=[expired])) == {}
    draft.account.is_active = False
    assert "account" in check_draft(draft)


def test_every_line_must_work_in_every_window(draft: Draft) -> None:
    late = make_line(account=draft.account, hours=[["10:00:00", "20:00:00"]])
    errors = check_draft(replace(draft, lines=[*draft.lines, late]))
    assert late.number in errors["windows"][0]
    silent = make_line(account=draft.account, hours=[])
    assert check_draft(replace(draft, lines=[silent])) == {}


def test_hours_that_touch_are_one(draft: Draft) -> None:
    line = make_line(
        account=draft.account, hours=[["09:00:00", "12:00:00"], ["12:00:00", "18:00:00"]]
    )
    assert check_draft(replace(draft, lines=[line], windows=[("11:00:00", "13:00:00")])) == {}


def test_a_window_must_open_between_begin_and_end(draft: Draft) -> None:
    zone = draft.account.zone
    evening = (timezone.now().astimezone(zone) + timedelta(days=1)).replace(hour=19, minute=0)
    late = replace(draft, begin_at=evening, end_at=evening + timedelta(hours=2))
    assert "end_at" in check_draft(late)
    morning = replace(draft, begin_at=evening, end_at=evening + timedelta(hours=16))
    assert check_draft(morning) == {}


def test_a_clone_has_no_contacts_and_no_past(draft: Draft) -> None:
    task = create_draft(draft)
    make_contact(task=task)
    Task.objects.filter(pk=task.pk).update(
        status="finished", end_at=NOW - timedelta(days=1), begin_at=NOW - timedelta(days=2)
    )
    task.refresh_from_db()
    clone = clone_task(task)
    assert (clone.name, clone.status, clone.contacts.count()) == ("七月回访 (2)", "draft", 0)
    assert (clone.begin_at, clone.end_at, clone.launched_at) == (None, None, None)
    assert clone_task(clone).name == "七月回访 (3)"
    assert list(clone.lines.all()) == list(task.lines.all())
    task.robot.gone_at = NOW
    task.robot.save()
    with pytest.raises(DraftRefused):
        clone_task(task)


def test_a_launched_task_is_not_changed(draft: Draft) -> None:
    task = create_draft(draft)
    Task.objects.filter(pk=task.pk).update(status="loading")
    with pytest.raises(DraftRefused):
        change_draft(task, replace(draft, name="Another"))
    task.refresh_from_db()
    assert task.name == "七月回访"


def test_the_robot_stays_while_there_are_contacts(draft: Draft) -> None:
    task = create_draft(draft)
    other = replace(draft, robot=make_robot(account=draft.account))
    make_contact(task=task)
    with pytest.raises(DraftRefused) as refused:
        change_draft(task, other)
    assert "robot" in refused.value.errors
    task.contacts.all().delete()
    assert change_draft(task, other).robot == other.robot


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("", []),
        ("09:00-12:00", [("09:00:00", "12:00:00")]),
        ("9:00 - 12:00, 13:00-17:30", [("09:00:00", "12:00:00"), ("13:00:00", "17:30:00")]),
        ("09：00至12：00；13:00~18:00", [("09:00:00", "12:00:00"), ("13:00:00", "18:00:00")]),
        ("09:00:00-17:59:59", [("09:00:00", "17:59:59")]),
    ],
)
def test_windows_are_read_as_people_write_them(text: str, windows: list[Any]) -> None:
    assert parse_windows(text) == windows
    assert parse_windows(print_windows(windows)) == windows


@pytest.mark.parametrize("text", ["morning", "9-12", "25:00-26:00", "09:60-10:00", "09:00", "-"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(WindowsUnreadable):
        parse_windows(text)


@given(st.text(max_size=200))
def test_any_text_is_windows_or_refused(text: str) -> None:
    try:
        assert parse_windows(print_windows(parse_windows(text))) == parse_windows(text)
    except WindowsUnreadable as refused:
        assert str(refused)


def test_a_task_of_a_factory_is_a_right_draft(db: None) -> None:
    from campaigns.drafting import read_draft

    assert check_draft(read_draft(make_task())) == {}


def test_a_cap_below_what_the_lines_call_at_once_is_refused(db: None) -> None:
    account = make_account()
    line = make_line(account=account, concurrency=10)
    draft = Draft(
        account=account, name="A", robot=make_robot(account=account), lines=[line], daily_cap=10
    )
    assert "10 at once" in check_draft(draft)["daily_cap"][0]
    assert "daily_cap" not in check_draft(replace(draft, daily_cap=11))
