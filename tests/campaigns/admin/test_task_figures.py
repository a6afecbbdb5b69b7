"""In: a task with people of every kind. Out: its page and its robot's, each number with its link.

Must catch: a number that leads to other rows, a page of a large task that counts while somebody
waits, an offer to call again whom a later round may have reached, a page that breaks on odd words
of a platform, and a button that does not say to how many.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns import counting, figures
from campaigns.admin.task_effects import tell_effects
from campaigns.admin.task_figures import FEW_CALLS, make_week
from campaigns.criteria import read_criteria
from campaigns.definitions import TALKED_SECONDS
from campaigns.figures import Slot, keeping
from campaigns.models import Contact, RobotVersion, Task
from tests.campaigns.admin.world import World, make_call
from tests.campaigns.test_figures import MONDAY, NOBODY, TALK, make_campaign, make_person, say
from tests.factories import make_contact, make_robot, make_task

LINK = re.compile(r'<a[^>]*href="([^"]+)"[^>]*>([0-9,]+)</a>')


def open_page(client: Client, row: Any, query: str = "") -> str:
    name = row._meta.model_name
    page = client.get(reverse(f"admin:campaigns_{name}_change", args=[row.pk]) + query)
    assert page.status_code == 200
    return page.content.decode()


def list_numbers(page: str) -> list[tuple[str, str, dict[str, Any], int]]:
    """(address, kind, parameters, number) of each number that leads to contacts or calls."""
    found = []
    for address, number in LINK.findall(page):
        parts = urlsplit(unescape(address))
        kind = {"contact": "contacts", "call": "calls"}.get(parts.path.strip("/").split("/")[-1])
        if kind:
            found.append((address, kind, parse_qs(parts.query), int(number.replace(",", ""))))
    return found


@pytest.mark.parametrize("of", ["task", "robot"])
def test_every_number_leads_to_as_many_rows(root: Client, of: str) -> None:
    task = make_campaign(launched_at=timezone.now())
    for number, begins in ((1, MONDAY), (2, MONDAY + timedelta(hours=1))):
        RobotVersion.objects.create(
            robot=task.robot,
            number=number,
            begins_at=begins,
            first_seen_at=begins,
            last_seen_at=begins,
            changes={"name": ["a", "b"]} if number > 1 else {},
        )
    make_call(task, None, happened_at=MONDAY - timedelta(hours=1), **TALK)
    make_call(task, None, happened_at=MONDAY + timedelta(hours=2), **NOBODY)
    figures.count_task(task.pk)
    counting.count_marked()
    page = open_page(root, task if of == "task" else task.robot, "?days=365")
    numbers = list_numbers(page)
    assert len(numbers) > (20 if of == "task" else 8)
    for address, kind, params, number in numbers:
        assert read_criteria(kind, params).select().count() == number, address
    # one of each kind of link, through the list itself
    kinds = {tuple(sorted(params)): address for address, _kind, params, _number in numbers}
    for address in kinds.values():
        assert root.get(unescape(address)).status_code == 200, address


def test_the_funnel_is_told_with_what_it_means(root: Client) -> None:
    page = open_page(root, make_campaign(launched_at=timezone.now()))
    for slug in ("eligible", "submitted", "called", "reached", "talked", "existing"):
        assert f'id="step-{slug}"' in page
    assert "not a mailbox, not an assistant" in page
    assert f"Stayed for {TALKED_SECONDS} seconds or longer" in page
    assert "Asia/Shanghai" in page


def test_a_draft_without_calls_has_no_funnel(root: Client, world: World) -> None:
    assert 'id="people"' not in open_page(root, world.draft)


def test_a_large_task_shows_that_it_is_counted_and_then_what(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "FEW", 3)
    task = make_campaign(launched_at=timezone.now())
    with CaptureQueriesContext(connection) as queries:
        page = open_page(root, task)
    assert "It is being counted" in page
    assert 'data-active="1"' in page
    assert 'id="people"' not in page
    assert not any("bool_or" in one["sql"] for one in queries.captured_queries)
    figures.count_task(task.pk)
    live = root.get(reverse("admin:campaigns_task_live", args=[task.pk])).content.decode()
    assert 'id="people"' in live


def test_the_part_that_stays_the_same_keeps_its_key(root: Client) -> None:
    task = make_campaign(launched_at=timezone.now())
    keys = set()
    for _look in range(2):
        keys |= set(re.findall(r'data-part="figures" data-key="(\w+)"', open_page(root, task)))
    assert len(keys) == 1
    make_call(task, None)
    keys |= set(re.findall(r'data-part="figures" data-key="(\w+)"', open_page(root, task)))
    assert len(keys) == 2


def test_the_rounds_stand_beside_each_other(root: Client) -> None:
    first = make_task(launched_at=timezone.now())
    second = make_task(
        account=first.account,
        robot=first.robot,
        family=first,
        round=2,
        launched_at=timezone.now(),
        name="第二轮",
    )
    make_person(first, NOBODY, phone="19900000001")
    make_person(second, TALK, phone="19900000001", intention="A")
    for task in (first, second):
        page = open_page(root, task)
        assert 'id="family"' in page
        assert "第二轮" in page
        assert "in 2 contacts" in page
        for address, kind, params, number in list_numbers(page):
            rows = read_criteria(kind, params).select()
            people = rows.values("phone").distinct().count() if kind == "contacts" else 0
            assert number in (rows.count(), people), address
    assert 'id="family"' not in open_page(root, make_task(launched_at=timezone.now()))


def test_nobody_is_offered_again_whom_a_later_round_may_have_reached(root: Client) -> None:
    first = make_task(launched_at=timezone.now())
    make_person(first, NOBODY)
    page = open_page(root, first)
    assert "Call 1 again" in page
    offered = unescape(re.search(r'class="cb-again" href="([^"]+)"', page)[1])
    assert "step=called&short_of=reached" in offered
    assert root.get(offered).status_code == 200
    make_task(account=first.account, robot=first.robot, family=first, round=2)
    assert "Call 1 again" not in open_page(root, first)


def test_who_may_only_look_is_offered_nothing(log_in: Callable[[str], Client]) -> None:
    task = make_campaign(launched_at=timezone.now())
    page = open_page(log_in("viewer"), task)
    assert 'id="step-reached"' in page
    assert "cb-again" not in page
    assert "cb-effects" not in page


def test_buttons_say_to_how_many(world: World) -> None:
    task = Task(kind="campaign", account=world.account)
    states = dict.fromkeys(Contact.Status.values, 0) | {"ready": 1200, "planned": 5, "accepted": 7}
    told = {
        one["name"]: one["text"]
        for one in tell_effects(task, states, ["launch", "pause", "resume", "delete", "clone"])
    }
    assert set(told) == {"Launch", "Pause", "Resume", "Stop for good"}
    assert told["Launch"].startswith("1,200 contacts")
    assert told["Pause"].startswith("1,205 are not handed over")
    assert "the 7 it has" in told["Pause"]
    assert told["Stop for good"].startswith("1,212 are called no more")
    assert tell_effects(task, states | {"ready": 0}, ["launch"]) == []


def test_a_week_ends_with_its_last_hour_and_few_calls_are_pale() -> None:
    week = make_week(
        [Slot(1, 9, 30, FEW_CALLS, 10), Slot(7, 11, 3, 1, 1), Slot(3, 10, 2, 0, 0)], of={}
    )
    assert week is not None
    assert week["hours"] == ["09", "10", "11"]
    monday, _two, wednesday, *_rest, sunday = week["days"]
    assert monday["cells"][0]["rate"] == "50%"
    assert monday["cells"][0]["strength"] == 10
    assert not monday["cells"][0]["is_weak"]
    assert monday["cells"][1] is None
    assert sunday["cells"][2]["is_weak"]
    assert wednesday["cells"][1]["rate"] == "–", "no rate without a denominator"
    assert week["totals"] == ["50%", "–", "100%"]
    assert make_week([], of={}) is None


ODD = ["<script>alert(1)</script>", "'; DROP TABLE x; --", "节点,带逗号", "%(n)s {{ 7 }}", "&amp;"]


@pytest.mark.parametrize("word", ODD)
def test_odd_words_of_a_platform_break_nothing(root: Client, word: str) -> None:
    task = make_task(launched_at=timezone.now())
    contact = make_person(task, {"intention": word[:50]}, intention=word[:50])
    say(contact.calls.get(), word, "结束")
    figures.count_task(task.pk)
    for row in (task, task.robot):
        page = open_page(root, row)
        assert "<script>alert" not in page
        for address, kind, params, number in list_numbers(page):
            assert read_criteria(kind, params).select().count() == number, address


@pytest.mark.parametrize("query", ["?days=7", "?days=" + "9" * 5000, "?days=x", "?p=1"])
def test_an_odd_period_is_the_first(root: Client, world: World, query: str) -> None:
    page = open_page(root, world.robot, query)
    assert re.search(r'aria-current="true" href="\?days=30', page)


def test_the_page_of_a_robot_tells_what_changed(root: Client, world: World) -> None:
    now = timezone.now()
    RobotVersion.objects.create(
        robot=world.robot, number=1, begins_at=now, first_seen_at=now, last_seen_at=now
    )
    assert "None since we first looked" in open_page(root, world.robot)
    RobotVersion.objects.create(
        robot=world.robot,
        number=2,
        begins_at=now,
        first_seen_at=now,
        last_seen_at=now,
        changes={
            "name": ["旧名", "新名"],
            "deleted": [False, True],
            "state": ["published", "refused"],
            "platform_updated_at": [None, "no time"],
            "unheard-of": [{"a": 1}, ["b"]],
        },
    )
    page = open_page(root, world.robot)
    for text in ("旧名", "新名", "published", "refused", "no time", "version 2"):
        assert text in page


def test_the_page_of_a_robot_asks_as_much_for_many_tasks(root: Client) -> None:
    robot = make_robot()
    counts = []
    for tasks in (2, 8):
        for _one in range(tasks):
            task = make_task(account=robot.account, robot=robot)
            make_contact(task=task)
            make_call(task)
            figures.count_task(task.pk)
        open_page(root, robot)
        with CaptureQueriesContext(connection) as queries:
            open_page(root, robot)
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 1


def test_a_robot_without_tasks_links_to_no_calls(root: Client, world: World) -> None:
    robot = make_robot(account=world.account)
    now = timezone.now() - timedelta(days=9)
    RobotVersion.objects.create(
        robot=robot, number=1, begins_at=now, first_seen_at=now, last_seen_at=now
    )
    page = root.get(reverse("admin:campaigns_robot_change", args=[robot.pk]))
    (version,) = page.context["versions"]
    assert version["calls"] == "0"
    query = QueryDict(version["url"].partition("?")[2])
    assert not read_criteria("calls", query).select().exists()
