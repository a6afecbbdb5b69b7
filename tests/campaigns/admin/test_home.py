"""In: somebody who opens the first screen. Out: the numbers of the period they chose, their age,
and rows behind each that are as many.

Must catch: a number whose link shows other rows, a rate without a denominator, a number without its
definition, what one may not see, and a query that reads the calls.
"""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns import counting
from campaigns.criteria import CALLS, CONTACTS, read_criteria
from campaigns.definitions import DEFINITIONS
from campaigns.models import Attempt, Call, CountState, TaskCount
from tests.campaigns.admin.world import make_call, make_user
from tests.factories import make_account, make_contact, make_task

pytestmark = pytest.mark.django_db


def enter(role: str = "") -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def read_home(client: Client, query: str = "") -> str:
    response = client.get(reverse("admin:index") + query)
    assert response.status_code == 200
    return unescape(response.content.decode())


def read_tile(page: str, slug: str) -> tuple[str, str]:
    """Its value and where it leads."""
    tag = re.search(rf'<a class="cb-tile" id="tile-{slug}" href="([^"]*)".*?<b>(.*?)</b>', page)
    assert tag is not None, slug
    return tag[2], tag[1]


def count_rows(url: str) -> int:
    """How many rows a list shows there: that lists show what criteria choose is tried with them."""
    address = urlsplit(url)
    assert address.path == reverse("admin:campaigns_call_changelist")
    return read_criteria(CALLS, QueryDict(address.query)).select().count()


def make_calls() -> Any:
    """Calls of today of every kind; at a moment that is today for ten minutes at least."""
    task = make_task(status="running")
    now = timezone.localtime()
    at = max(now - timedelta(minutes=5), now.replace(hour=0, minute=0, second=1))
    fields = {"happened_at": at}
    make_call(task, make_contact(task=task), talk_seconds=30, **fields)
    make_call(task, talk_seconds=4, intention="B", **fields)
    make_call(task, talk_seconds=6, direction="inbound", intention="", **fields)
    quiet = {"answered": False, "talk_seconds": None, "intention": "", **fields}
    make_call(task, result="no_answer", **quiet)
    make_call(task, result="invalid_number", **quiet)
    make_call(task, result="voicemail", talk_seconds=9, intention="", **fields)
    unknown = {"result": "unknown", "answered": None, "talk_seconds": None, "intention": ""}
    make_call(task, **unknown, **fields)
    make_call(task, stage="talking", has_record=False, **fields)
    counting.count_when_due()
    counting.count_marked()
    return task


def test_every_number_leads_to_as_many_rows() -> None:
    make_calls()
    client = enter()
    page = read_home(client)
    numbers = {"calls": 7, "reached": 3, "invalid": 1, "going_on": 1}
    for slug, number in numbers.items():
        value, url = read_tile(page, slug)
        assert (value, count_rows(url)) == (str(number), number), slug
    # three of the six we made end in it, for one of them has no number and of one nobody knows
    assert read_tile(page, "answer_rate")[0] == "50.0%"
    assert count_rows(read_tile(page, "answer_rate")[1]) == 2
    assert read_tile(page, "talk_average")[0] == "00:13"
    assert count_rows(read_tile(page, "talk_rate")[1]) == 1
    for part in ("result__exact=", "intention="):
        links = set(re.findall(rf'<a class="cb-link" href="([^"]*[?&]{part}[^"]*)"', page))
        assert links
        for url in links:
            told = re.search(rf'href="{re.escape(url)}".*?<b>(\d+) <small>', page)
            assert told is not None
            assert count_rows(url) == int(told[1]), url
    hours = re.findall(r'<a class="cb-link" href="([^"]*hour=[^"]*)">(\d+)</a>', page)
    assert [count_rows(url) for url, _number in hours] == [int(n) for _url, n in hours]
    assert len(hours) >= 2


def test_the_period_and_the_account_are_kept_in_every_link() -> None:
    task = make_calls()
    other = make_account()
    client = enter()
    page = read_home(client, f"?period=7&account={task.account_id}")
    assert read_tile(page, "calls")[0] == "7"
    assert f"account__id__exact={task.account_id}" in read_tile(page, "calls")[1]
    assert f'data-live="{reverse("admin:campaigns_home_live")}?period=7&account=' in page
    assert count_rows(read_tile(page, "reached")[1]) == 3
    assert read_tile(read_home(client, f"?account={other.pk}"), "calls")[0] == "0"
    live = client.get(reverse("admin:campaigns_home_live"), {"period": "7"})
    assert read_tile(unescape(live.content.decode()), "calls")[0] == "7"


def test_no_rate_where_there_is_nothing_to_divide_by() -> None:
    task = make_task()
    make_call(task, result="invalid_number", answered=False, talk_seconds=None)
    counting.count_when_due()
    page = read_home(enter())
    assert read_tile(page, "calls")[0] == "1"
    assert [read_tile(page, slug)[0] for slug in ("answer_rate", "talk_average", "talk_rate")] == [
        "–"
    ] * 3


def test_numbers_say_how_old_they_are_and_what_they_mean() -> None:
    make_calls()
    CountState.objects.update(counted_at=timezone.now() - timedelta(seconds=40))
    client = enter()
    page = read_home(client)
    assert re.search(r"Calls counted 4\d s ago", page)
    for slug in ("calls", "reached", "answer_rate", "talk_average", "talk_rate", "invalid"):
        assert str(DEFINITIONS[slug].text) in page
    CountState.objects.update(counted_at=timezone.now() - timedelta(minutes=9))
    assert "Calls counted 9 min ago. Is the worker running?" in read_home(client)


@pytest.mark.parametrize(
    "query",
    [
        *("?period=8", "?from=2026-02-30&to=x", "?from=9999-01-01"),
        *("?account=99999999999999999999999", "?account=x", "?account=²"),
        *("?from=2026-11-03&to=2026-11-01", "?period=" + "9" * 5000, "?from=%ED%A0%80"),
    ],
)
def test_an_odd_address_shows_today_and_says_so(query: str) -> None:
    make_calls()
    client = enter()
    page = read_home(client, query)
    assert 'role="alert"' in page
    assert read_tile(page, "calls")[0] == "7"
    live = client.get(reverse("admin:campaigns_home_live") + query)
    assert live.status_code == 200
    assert client.get(reverse("admin:index") + "?period=%00").status_code == 400


def test_who_may_not_see_calls_sees_none_of_their_numbers() -> None:
    make_calls()
    client = Client()
    user = make_user("viewer")
    user.groups.clear()
    client.force_login(user)
    page = read_home(client, "?account=1")
    assert "cb-tile" not in page
    assert "home-chart" not in page
    assert client.get(reverse("admin:campaigns_home_live")).status_code == 200


def test_no_query_of_the_page_reads_calls_or_counts_contacts_of_large_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_calls()
    client = enter()
    read_home(client)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        read_home(client, "?period=30")
    texts = [query["sql"] for query in queries.captured_queries]
    calls = [text for text in texts if 'FROM "campaigns_call"' in text or "campaigns_call " in text]
    # only the few that are going on, by their own index, and no further than is shown
    assert all("stage" in text and "LIMIT" in text for text in calls), calls
    assert len(texts) < 45
    assert Call.objects.count() == 8


def read_line(page: str, words: str) -> str:
    """Where a line of what needs attention leads."""
    tag = re.search(rf'<a href="([^"]*)"[^>]*>(?:(?!</a>).)*{words}', page, re.DOTALL)
    assert tag is not None, words
    return tag[1]


def test_lines_lead_to_the_rows_that_they_count() -> None:
    client = enter()
    running, over = make_task(status="running"), make_task(status="finished")
    silent = make_contact(task=running, status="accepted")
    make_contact(task=over, status="accepted")
    TaskCount.objects.update_or_create(
        pk=running.pk, defaults={"silent": 1, "contacts": {}, "counted_at": timezone.now()}
    )
    attempts = [
        Attempt.objects.create(
            task=task, command="create", status=status, lease_until=timezone.now()
        )
        for task, status in (
            (running, "unknown"),
            (over, "needs_human"),
            (over, "accepted"),
            (over, "human_accepted"),
        )
    ]
    page = read_home(client)
    address = urlsplit(read_line(page, "1 contact without any news"))
    rows = read_criteria(CONTACTS, QueryDict(address.query)).select()
    assert list(rows) == [silent]
    for words, wanted in (("2 requests of unknown", [0, 1]), ("1 request needs", [1])):
        shown = client.get(read_line(page, words)).context["cl"].result_list
        assert sorted(one.pk for one in shown) == [attempts[place].pk for place in wanted], words


def test_more_tasks_than_are_shown_are_counted_and_linked() -> None:
    client = enter()
    running = [make_task(status="running") for _number in range(20)]
    assert "more-running" not in read_home(client)
    running += [make_task(status="running") for _number in range(3)]
    failed = [make_task(status="failed") for _number in range(20)]
    make_task(status="deleted", needs_attention=True)
    late = make_task(
        status="paused", request="delete", requested_at=timezone.now() - timedelta(hours=1)
    )
    page = read_home(client)
    for slug, words, tasks in (
        ("running", "and 4 more tasks", [*running, late]),
        ("attention", "and 1 more task", [*failed, late]),
    ):
        link = re.search(rf'id="more-{slug}" href="([^"]*)">([^<]*)<', page)
        assert link is not None
        assert link[2] == words
        shown = client.get(unescape(link[1])).context["cl"].queryset
        assert set(shown) == set(tasks), slug
