"""In: what platforms told of tasks, calls and pushes. Out: it stands on the page, not in the raw
JSON alone.

Must catch: parts of an instance that are lost, or whose numbers or names show a phone number; a
list that is cut and does not say so; an answer of the platform that nobody sees; OFF states and
``Agent.is_on`` that disagree.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from campaigns.admin import instances
from campaigns.admin.agents import OFF
from campaigns.models import Agent, Call, Instance, Task
from tests.campaigns.admin.test_vendors import list_vendor_pages, press, read
from tests.campaigns.admin.vendors import PRIVATE, Vendors
from tests.factories import make_instance, make_verification


@pytest.mark.parametrize("which", ["filled", "filled live"])
def test_the_parts_of_an_instance_are_shown(root: Client, vendors: Vendors, which: str) -> None:
    page = read(root, list_vendor_pages(vendors)[which])
    for words in ("Robot calls", "n-1", "dialedNumber", "4,321", "Morning", "15:00:00", "16:00:00"):
        assert words in page, words
    for words in ("n-3", "n-4", "odd", "soon"):
        assert words in page, words
    assert "groupName" in page
    assert PRIVATE[8] not in page


def test_parts_of_any_shape_are_shown(root: Client, vendors: Vendors) -> None:
    url = list_vendor_pages(vendors)["filled live"]
    odd: list[Any] = [[], "text", 5, None, {}, {"": {}}, {"n": None}, {"n": {"counts": [1]}}]
    odd += [{"n": {"name": 5, "state": ["x"], "word": {}, "counts": {"a": {"b": 1}}}}]
    odd += [{"n": {"details": "x", "started_at": 5}}, {"n": {"started_at": "2026-02-31T00:00:00Z"}}]
    odd += [{str(number): {"name": "N"} for number in range(50)}]
    for nodes in odd:
        Instance.objects.update(nodes=nodes if nodes is not None else [])
        page = read(root, url)
    assert "and 20 parts more" in page


def test_instances_that_are_not_shown_are_counted(
    root: Client, vendors: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = list_vendor_pages(vendors)["filled live"]
    assert "Shown are the first" not in read(root, url)
    monkeypatch.setattr(instances, "SHOWN_INSTANCES", 2)
    make_instance(task=vendors.filled, number=3, platform_task_id="third")
    page = read(root, url)
    assert "Shown are the first 2 of 3." in page
    assert "third" not in page
    assert "3 instances at the platform" in page


def test_a_task_is_found_by_the_id_of_an_instance(root: Client, vendors: Vendors) -> None:
    url = reverse("admin:campaigns_task_changelist")
    second = f"w-{vendors.filled.pk}-2"
    for query, found in ((second, [vendors.filled]), (second[:-1], []), ("还款", [vendors.filled])):
        rows = root.get(url, {"q": query}).context["cl"].result_list
        assert list(rows) == found, query


def test_the_platforms_ids_and_the_times_of_turns_are_shown(root: Client, vendors: Vendors) -> None:
    url = list_vendor_pages(vendors)["claimed"]
    page = read(root, url).split("Everything the platform said")
    told = page[0] + page[1].split("</details>", 1)[1]
    for words in (
        "Task id there",
        f"w-{vendors.filled.pk}-1",
        "Robot id there",
        "Contact id there",
    ):
        assert words in told, words
    assert told.count(f"CB-{vendors.filled.pk}") == 1
    assert "15:08:10" in told
    assert "15:08:11" in told
    Call.objects.filter(pk=vendors.claimed.pk).update(platform_contact_id=PRIVATE[0])
    assert PRIVATE[0] not in read(root, url)
    assert "Task id there" not in read(root, list_vendor_pages(vendors)["noted"])


def test_what_the_platform_answered_stands_beside_the_reason(
    root: Client, vendors: Vendors
) -> None:
    denied = make_verification(
        call=vendors.noted, status="denied", said=f"4004 no such call of {PRIVATE[7]}"
    )
    Call.objects.filter(pk=vendors.noted.pk).update(account=vendors.airudder)
    page = read(root, list_vendor_pages(vendors)["noted"])
    assert 'class="cb-badge bad" title="">not confirmed' in page
    assert "4004 no such call of" in page
    assert PRIVATE[7] not in page
    assert "nobody has verified" not in page
    url = reverse("admin:campaigns_call_changelist")
    rows = root.get(f"{url}?verification=denied").context["cl"].result_list
    assert [call.pk for call in rows] == [vendors.noted.pk]
    press(root, vendors.noted, denied)
    denied.refresh_from_db()
    assert denied.status == "asking"


def test_who_is_on_is_said_once() -> None:
    assert set(OFF) == {"offline", "invalid", "unknown"}
    assert [Agent(state=state).is_on for state in OFF] == [False] * 3


def test_a_direct_task_has_no_instances(root: Client, vendors: Vendors) -> None:
    task = Task.objects.exclude(pk=vendors.filled.pk).first()
    assert "Instances at the platform" not in read(
        root, reverse("admin:campaigns_task_change", args=[task.pk])
    )
