"""In: lists of calls and contacts with every criterion. Out: that they show what is chosen, page by
page, each row once, and that no page counts or passes over rows.

Must catch: a filter that the list takes for another, rows lost or doubled between pages where many
have the same moment, a page that gets slower the deeper it is, a filter that is passed over.
"""

from __future__ import annotations

import itertools
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns.admin import keyset
from campaigns.admin.calls import CallAdmin
from campaigns.admin.row_links import link_rows
from campaigns.criteria import CALLS, CONTACTS, list_criteria, read_criteria
from campaigns.models import BulkJob, Call, Contact, Export, SavedFilter
from tests.campaigns.admin.world import World, make_call, make_turns, make_user
from tests.factories import make_contact, make_task, make_verification

pytestmark = pytest.mark.django_db

LISTS = {CALLS: "admin:campaigns_call_changelist", CONTACTS: "admin:campaigns_contact_changelist"}
#: values of every criterion that choose some of the rows of ``many`` and leave others
VALUES: dict[str, dict[str, str]] = {
    CALLS: {
        "result__exact": "busy",
        "intention": "B",
        "direction__exact": "inbound",
        "answered__exact": "1",
        "answered__isnull": "True",
        "hangup_by__exact": "robot",
        "stage": "now",
        "dialog": "yes",
        "talk_from": "10",
        "talk_to": "9",
        "node": "开场白",
        "attempts_from": "2",
        "attempts_to": "1",
        "round": "1",
        "counts_as": "reached",
        "platform": "yeta",
        "corrected": "no",
        "remarks": "no",
        "recording": "no",
        "right_intention": "B",
        "agent": "77",
        "platform_result": "17",
        "q": "19900000004",
        "not_called_since": "2020-01-01",
        "happened_at_from": "2020-01-01",
    },
    CONTACTS: {
        "status__exact": "excluded",
        "result": "busy",
        "intention": "B",
        "right_intention": "B",
        "called": "yes",
        "answered__exact": "1",
        "attempts_from": "2",
        "attempts_to": "1",
        "talk_from": "10",
        "node": "开场白",
        "round": "1",
        "reason__exact": "x",
        "not_called_since": "2020-01-01",
        "last_call_at_from": "2020-01-01",
        "q": "19900000004",
    },
}


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(make_user())
    return client


@pytest.fixture
def many() -> None:
    """Forty contacts and calls in two tasks; half of the calls are of one moment."""
    now = timezone.now()
    tasks = [make_task(), make_task()]
    for number in range(40):
        task = tasks[number % 2]
        contact = make_contact(
            task=task,
            phone=f"199{number:08d}",
            status=("ready", "excluded")[number % 3 == 0],
            reason="x" if number % 5 == 0 else "",
            calls_made=number % 4,
            answered=number % 2 == 0,
            result=("", "busy", "answered")[number % 3],
            intention=("", "A", "B")[number % 3],
            last_call_at=now if number % 2 else None,
        )
        call = make_call(
            task,
            contact,
            happened_at=now - timedelta(hours=number if number % 2 else 5),
            result=("answered", "busy")[number % 2],
            intention="AB"[number % 2],
            direction=("outbound", "inbound")[number % 4 == 0],
            answered=(True, False, None)[number % 3],
            hangup_by=("robot", "contact")[number % 2],
            stage=("ended", "talking")[number % 7 == 0],
            talk_seconds=number,
            agent_number="77" if number % 8 == 0 else "",
            platform_result="17" if number % 6 == 0 else "0",
        )
        if number % 10 == 0:
            make_turns(call)


def show(client: Client, kind: str, **params: Any) -> Any:
    response = client.get(reverse(LISTS[kind]), params)
    assert response.status_code == 200, params
    return response.context["cl"]


def walk(kind: str, params: dict[str, str], *, size: int) -> list[int]:
    """All rows of a list, page after page, and the way back, which has to be the same."""
    criteria = read_criteria(kind, params)
    rows = criteria.select()
    page = keyset.find_page(rows, criteria, size=size)
    pages = [[row.pk for row in page.rows]]
    while page.older:
        page = keyset.find_page(rows, criteria, size=size, after=page.older)
        pages.append([row.pk for row in page.rows])
        assert len(pages) < 60
    found = [pk for told in pages for pk in told]
    back: list[int] = []
    while page.newer:
        page = keyset.find_page(rows, criteria, size=size, before=page.newer)
        back = [row.pk for row in page.rows] + back
    if all(pages):
        assert back == found[: len(found) - len(pages[-1])]
    return found


@pytest.mark.parametrize("portions", ["usual", "tiny"])
@pytest.mark.parametrize("kind", [CALLS, CONTACTS])
def test_the_list_shows_what_is_chosen_each_row_once(
    many: None, kind: str, portions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if portions == "tiny":
        monkeypatch.setattr(keyset, "FIRST_ROWS", 2)
        monkeypatch.setattr(keyset, "MOST_ROWS", 3)
        monkeypatch.setattr(keyset, "SECONDS", 0.0)
    task = Call.objects.earliest("pk").task
    assert task is not None
    tries: list[dict[str, str]] = [{}, {"task__id__exact": str(task.pk)}]
    tries += [{"account__id__exact": str(task.account_id)}, {"family": str(task.pk)}]
    tries += [{name: value} for name, value in VALUES[kind].items()]
    tries += [{"task__id__exact": str(task.pk), name: v} for name, v in VALUES[kind].items()]
    for params in tries:
        chosen = read_criteria(kind, params).select()
        order = ("-happened_at", "-id") if kind == CALLS else ("id",)
        assert walk(kind, params, size=7) == list(
            chosen.order_by(*order).values_list("pk", flat=True)
        ), params


@pytest.mark.parametrize("kind", [CALLS, CONTACTS])
def test_the_page_has_the_rows_of_the_criteria(root: Client, many: None, kind: str) -> None:
    for name in ("talk_from", "q", "attempts_from", "intention"):
        params = {name: VALUES[kind][name]}
        shown = [row.pk for row in show(root, kind, **params).result_list]
        assert set(shown) == set(read_criteria(kind, params).select().values_list("pk", flat=True))


def test_no_list_counts_or_passes_over_rows(
    root: Client, many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, values in VALUES.items():
        for name, value in [("round", "1"), *values.items()][:6]:
            with CaptureQueriesContext(connection) as told:
                show(root, kind, **{name: value})
            for query in told.captured_queries:
                sql = query["sql"]
                if '"campaigns_call"' in sql or '"campaigns_contact"' in sql:
                    assert "COUNT(" not in sql, (kind, name)
                    if "OFFSET" in sql:  # of a bounded portion, along an index
                        assert int(sql.rpartition("OFFSET ")[2].split()[0]) < keyset.MOST_ROWS


def test_every_parameter_is_one_of_the_list(root: Client, world: World) -> None:
    for kind, url in LISTS.items():
        for name in list(list_criteria(kind))[::4]:
            response = root.get(reverse(url), {name: "19900000001"})
            assert response.status_code in (200, 400), name
            refused = response.context["cl"].refusal
            assert (response.status_code == 400) == bool(refused), name


@pytest.mark.parametrize("kind", [CALLS, CONTACTS])
@pytest.mark.parametrize("query", ["talk_from=soon", "round=-1", "not_called_since=never"])
def test_a_filter_that_cannot_be_meant_shows_nothing(
    root: Client, world: World, kind: str, query: str
) -> None:
    response = root.get(f"{reverse(LISTS[kind])}?{query}")
    assert response.status_code == 400
    assert not list(response.context["cl"].result_list)
    assert "shows nothing" in response.content.decode()


@pytest.mark.parametrize(
    "place", ["x", "~", "2026-01-01T00:00:00Z~x", "9" * 50, "9999-99-99T00:00:00Z~1"]
)
def test_an_odd_place_is_the_beginning(root: Client, world: World, place: str) -> None:
    for kind, way in itertools.product(LISTS, ("after", "before")):
        changelist = show(root, kind, **{way: place})
        assert len(changelist.result_list) > 0


def test_new_calls_do_not_move_a_page(root: Client, many: None) -> None:
    monkeypatched = CallAdmin.list_per_page
    CallAdmin.list_per_page = 5
    try:
        first = show(root, CALLS)
        second = [row.pk for row in show(root, CALLS, after=first.page.older).result_list]
        make_call(make_task())
        assert [row.pk for row in show(root, CALLS, after=first.page.older).result_list] == second
    finally:
        CallAdmin.list_per_page = monkeypatched


# ---------------------------------------------------------------------------------- all that match


def ask(client: Client, url: str, **form: Any) -> Any:
    page = client.get(url)
    assert page.status_code == 200, page.content.decode()[:500]
    return client.post(url, {"form_token": page.context["form_token"], **form})


def test_an_export_takes_all_that_match_and_the_rows_ticked(root: Client, many: None) -> None:
    url = f"{reverse('admin:campaigns_call_export')}?result__exact=busy"
    form = {"form": "csv", "words": "", "zone": "UTC", "whole": ""}
    response = ask(root, url, **form)
    export = Export.objects.get()
    assert response["Location"] == reverse("admin:campaigns_export_change", args=[export.pk])
    assert export.params == {"result__exact": ["busy"]}
    again = root.post(url, {"form_token": "x", **form}, follow=True)
    assert "already" in again.content.decode()
    assert Export.objects.count() == 1
    ticked = [str(pk) for pk in Call.objects.values_list("pk", flat=True)[:3]]
    response = root.post(
        reverse("admin:campaigns_call_changelist"),
        {"action": "export", "_selected_action": ticked, "index": "0"},
    )
    assert response.status_code == 302
    ask(root, response["Location"], **form)
    latest = Export.objects.latest("pk")
    assert set(latest.params["id__in"]) == set(ticked)


def test_a_bulk_job_takes_all_that_match(root: Client, many: None) -> None:
    url = reverse("admin:campaigns_contact_bulk", args=["exclude"]) + "?status__exact=ready"
    page = root.get(url)
    assert page.context["number"] == Contact.objects.filter(status="ready").count()
    ask(root, url)
    job = BulkJob.objects.get()
    assert (job.action, job.params) == ("exclude", {"status__exact": ["ready"]})
    bar = reverse("admin:campaigns_call_bulk", args=["bar"])
    assert ask(root, f"{bar}?intention=B").status_code == 200, "a reason is asked for"
    ask(root, f"{bar}?intention=B", reason="Asked not to be called", days="30")
    assert BulkJob.objects.latest("pk").options["days"] == 30
    assert root.get(reverse("admin:campaigns_call_bulk", args=["exclude"])).status_code == 404
    assert root.get(f"{bar}?nonsense=1").status_code == 400


def test_who_may_not_do_it_to_one_may_not_do_it_to_all(client: Client, world: World) -> None:
    pages = {
        "bar": reverse("admin:campaigns_call_bulk", args=["bar"]),
        "fetch": reverse("admin:campaigns_call_bulk", args=["fetch"]),
        "exclude": reverse("admin:campaigns_contact_bulk", args=["exclude"]),
        "export": reverse("admin:campaigns_call_export"),
    }
    allowed = {"viewer": set(), "operator": {"bar", "exclude"}, "manager": set(pages)}
    for role, names in allowed.items():
        client.force_login(make_user(role))
        for name, url in pages.items():
            assert client.get(url).status_code == (200 if name in names else 403), (role, name)


def test_filters_are_kept_shared_and_forgotten(client: Client, world: World) -> None:
    owner, other = make_user("manager"), make_user("operator")
    client.force_login(owner)
    keep = reverse("admin:campaigns_call_keep")
    client.post(f"{keep}?result__exact=busy", {"name": "Busy"})
    client.post(f"{keep}?intention=A", {"name": "Hot", "is_shared": "on"})
    client.post(f"{keep}?intention=A&talk_from=20", {"name": "Hot", "is_shared": "on"})
    assert client.post(keep, {"name": "All"}, follow=True).status_code == 200
    assert sorted(SavedFilter.objects.values_list("name", flat=True)) == ["Busy", "Hot"]
    hot = SavedFilter.objects.get(name="Hot")
    assert hot.params == {"intention": ["A"], "talk_from": "20"}
    names = [one["filter"].name for one in show_filters(client)]
    assert names == ["Busy", "Hot"]
    client.force_login(other)
    assert [one["filter"].name for one in show_filters(client)] == ["Hot"]
    drop = reverse("admin:campaigns_call_drop", args=[hot.pk])
    assert client.post(drop).status_code == 404
    assert client.get(drop).status_code == 405
    client.force_login(owner)
    client.post(drop)
    assert not SavedFilter.objects.filter(name="Hot").exists()


def show_filters(client: Client) -> Any:
    return client.get(reverse(LISTS[CALLS])).context["filters"]


@pytest.mark.parametrize("name", ["", " ", "x" * 81, "a\nb", "\x00"])
def test_an_odd_name_is_refused(root: Client, world: World, name: str) -> None:
    url = f"{reverse('admin:campaigns_call_keep')}?intention=A"
    assert root.post(url, {"name": name}).status_code == 200
    assert not SavedFilter.objects.exists()


def test_a_filter_with_a_number_is_of_nobody_else(client: Client, world: World) -> None:
    owner, other = make_user("manager"), make_user("operator")
    client.force_login(owner)
    keep = reverse("admin:campaigns_call_keep")
    client.post(f"{keep}?q=199-0000-0001", {"name": "Anna 19900000001"})
    client.post(f"{keep}?q=199-0000-0002", {"name": "Ben", "is_shared": "on"})
    client.post(f"{keep}?agent=19900000003", {"name": "Carl", "is_shared": "on"})
    client.post(f"{keep}?intention=A", {"name": "Of 19900000004", "is_shared": "on"})
    assert set(SavedFilter.objects.values_list("name", flat=True)) == {
        "Anna 19900000001",
        "Of 19900000004",
    }
    # as one that was shared before anybody asked
    SavedFilter.objects.filter(name__startswith="Anna").update(is_shared=True)
    stranger = Client()
    stranger.force_login(other)
    page = stranger.get(reverse(LISTS[CALLS])).content.decode()
    assert "199-0000" not in page and "1990000" not in page
    assert "Of 199****0004" in page and "Anna" not in page


def test_what_is_chosen_by_is_told_without_a_number() -> None:
    for name in ("q", "agent", "node", "platform_result"):
        told = read_criteria(CALLS, {name: "19900000001"}).describe()
        assert [words for _label, words in told] == ["199****0001"], name


def test_a_text_with_a_comma_is_meant_alone_in_a_link(root: Client, world: World) -> None:
    task = world.running
    Call.objects.filter(pk=world.call.pk).update(intention="A、B")
    for word in ("A", "B", '"A"'):
        make_call(task, intention=word, platform_call_id=f"of-{word}")
    for word in ("A、B", "A", '"A"'):
        query = urlsplit(link_rows("calls", task__id__exact=task.pk, intention=word)).query
        chosen = read_criteria(CALLS, QueryDict(query))
        kept = read_criteria(CALLS, chosen.params)
        for one in (chosen, kept):
            found = set(one.select().values_list("intention", flat=True))
            assert found == {word}
        assert dict(chosen.describe())[str(list_criteria(CALLS)["intention"].label)] == word
    # typed by somebody, they are alternatives
    assert set(
        read_criteria(CALLS, {"intention": "A、B"}).select().values_list("intention", flat=True)
    ) == {"A、B", "A", "B"}


def test_what_nobody_has_is_looked_for_no_longer_than_the_time_is_enough_for(
    many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row takes a while by this clock: a portion that would end too late is not begun."""
    looked, now = [], 0.0
    real = keyset._find_bound

    def look(*arguments: Any, portion: int, back: bool) -> Any:
        nonlocal now
        looked.append(portion)
        now += portion
        return real(*arguments, portion=portion, back=back)

    monkeypatch.setattr(keyset, "_find_bound", look)
    monkeypatch.setattr(keyset, "FIRST_ROWS", 2)
    monkeypatch.setattr(keyset, "SECONDS", 15.0)
    monkeypatch.setattr(keyset, "time", SimpleNamespace(monotonic=lambda: now))
    criteria = read_criteria(CALLS, {"intention": "Z"})
    page = keyset.find_page(criteria.select(), criteria, size=7)
    # of fifteen: two, four times as many, and what is left; nothing that ends after the time
    assert looked == [2, 8, 5]
    assert (page.rows, page.older is not None, page.looked_until is not None) == ([], True, True)


def test_few_verifications_are_looked_up_and_many_are_looked_through(
    many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list(Call.objects.order_by("pk")[:3])
    for call in calls:
        make_verification(call=call, status="mismatch")
        make_verification(call=call, status="denied", digest="b" * 64)
    make_verification(call=calls[0], status="verified", digest="c" * 64)
    for few, words, leads in (
        (6, ["mismatch", "denied"], True),
        (5, ["mismatch", "denied"], False),
        (3, ["mismatch"], True),
        (0, ["failed"], True),
        (6, ["verified"], False),
        (6, ["none"], False),
    ):
        monkeypatch.setattr("campaigns.criteria.calls.FEW", few)
        criteria = read_criteria(CALLS, {"verification": words})
        assert criteria.leads is leads, words
        shown = {row.pk for row in keyset.find_page(criteria.select(), criteria, size=9).rows}
        wanted = {
            "failed": set(),
            "verified": {calls[0].pk},
            "none": {call.pk for call in calls[1:]},
        }.get(words[0], {call.pk for call in calls})
        assert shown == wanted, words


def test_very_many_kept_filters_are_told_and_shown_when_wanted(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaigns.admin.list_pages.FILTERS", 2)
    mine = User.objects.get(pk=root.session["_auth_user_id"])
    other = User.objects.create_user("other")
    for owner, name in ((other, "a"), (other, "b"), (mine, "c"), (mine, "d")):
        SavedFilter.objects.create(
            owner=owner, name=name, kind=CALLS, is_shared=True, params={"intention": "A"}
        )
    address = reverse(LISTS[CALLS])
    context = root.get(address, {"intention": "B"}).context
    assert [one["name"] for one in context["filters"]] == ["c", "d"]
    assert context["more_filters"]["text"] == "2 more filters"
    response = root.get(address + context["more_filters"]["url"])
    assert [one["name"] for one in response.context["filters"]] == ["c", "d", "a", "b"]
    assert response.context["more_filters"] == {}
    assert response.context["cl"].criteria.params == {"intention": ["B"]}
