"""In: a rule and calls drawn by it. Out: the queue as people see it, each with their own rights.

Must catch: a page that tells the second reviewer what the first said; judging without the right; a
form without a verdict; a rule that keeps something else than what was entered.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns import reviewing
from campaigns.models import Correction, Judgement, Review, ReviewRule
from tests.campaigns.admin.test_odd_requests import DIGITS, ODD_QUERIES, try_queries
from tests.campaigns.admin.world import World, make_call, make_user

LATER = timedelta(hours=1)


@pytest.fixture
def rule(world: World) -> ReviewRule:
    """Draws every answered call, each for two people."""
    for _number in range(3):
        make_call(world.running, world.contact, platform_call_id=f"drawn-{_number}", turns_count=2)
    rule = ReviewRule.objects.create(
        name="All talks", percent=100, second_percent=100, criteria={"dialog": "yes"}
    )
    reviewing.draw_reviews(rule.pk, now=timezone.now() + LATER)
    return rule


def go(client: Client, name: str, *args: Any, **data: str) -> Any:
    """POST, and follow where it leads."""
    return client.post(reverse(f"admin:campaigns_review_{name}", args=args), data, follow=True)


def test_one_judges_after_the_other(rule: ReviewRule, log_in: Callable[[str], Client]) -> None:
    client = log_in("operator")
    page = go(client, "next")
    first = page.context["review"]
    assert "data-review" in page.content.decode() and "review.js" in page.content.decode()
    page = go(client, "judge", first.pk, verdict="approved", intention="B", note="Polite.")
    second = page.context["review"]
    assert second != first and page.context["last"] == first
    page = go(client, "skip", second.pk)
    assert page.context["review"] not in (first, second)
    said = Judgement.objects.get()
    assert (said.verdict, said.intention, said.note) == ("approved", "B", "Polite.")


def test_the_second_does_not_see_what_the_first_said(
    rule: ReviewRule, log_in: Callable[[str], Client]
) -> None:
    review = Review.objects.order_by("pk")[0]
    go(log_in("operator"), "judge", review.pk, verdict="rejected", intention="B", note="Rude words")
    other = Client()
    other.force_login(make_user("operator", username="second"))
    pages = [
        reverse("admin:campaigns_review_judge", args=[review.pk]),
        reverse("admin:campaigns_review_change", args=[review.pk]),
        reverse("admin:campaigns_review_changelist") + "?all=",
        reverse("admin:campaigns_call_change", args=[review.call_id]),
    ]
    for page in pages:
        text = other.get(page).content.decode()
        assert "Rude words" not in text, page
        assert 'class="cb-badge bad"' not in text, page
    verdict = reverse("admin:campaigns_review_changelist") + "?verdict=rejected"
    assert not list(other.get(verdict).context["cl"].result_list)
    go(other, "judge", review.pk, verdict="approved", intention="B")
    text = other.get(pages[1]).content.decode()
    assert "Rude words" in text and Correction.objects.get().intention == "B"
    differ = reverse("admin:campaigns_review_changelist") + "?state=differ"
    assert [row.pk for row in other.get(differ).context["cl"].result_list] == [review.pk]


@pytest.mark.parametrize("name", ["next", "judge", "skip"])
def test_only_who_may_judges(rule: ReviewRule, log_in: Callable[[str], Client], name: str) -> None:
    args = [] if name == "next" else [Review.objects.order_by("pk")[0].pk]
    url = reverse(f"admin:campaigns_review_{name}", args=args)
    assert log_in("viewer").post(url, {"verdict": "approved"}).status_code == 403
    assert not Judgement.objects.exists()


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"verdict": "maybe"},
        {"verdict": "noted"},
        {"verdict": "approved", "intention": "x" * 51},
        {"verdict": "approved", "note": "x" * 2001},
        {"verdict": "approved", "note": "a\x00b"},
        {"verdict": "approved", "intention": "A", "none": "1"},
    ],
)
def test_what_cannot_be_a_judgement_is_none(
    rule: ReviewRule, root: Client, sent: dict[str, str]
) -> None:
    review = Review.objects.order_by("pk")[0]
    url = reverse("admin:campaigns_review_judge", args=[review.pk])
    response = root.post(url, sent)
    assert response.status_code in (200, 400)
    assert not Judgement.objects.exists()
    missing = reverse("admin:campaigns_review_judge", args=[10**17])
    assert root.get(missing).status_code == 404


def test_who_cannot_tell_says_nothing_of_the_intention(rule: ReviewRule, root: Client) -> None:
    review = Review.objects.order_by("pk")[0]
    go(root, "judge", review.pk, verdict="approved", intention="A", unsure="1")
    assert Judgement.objects.get().intention is None


def test_what_the_reviews_say(rule: ReviewRule, root: Client, world: World) -> None:
    figures = reverse("admin:campaigns_review_figures")
    empty = Review.objects.all()
    assert "No call was judged in this time." in root.get(figures).content.decode()
    for review in empty:
        for user in (make_user("operator", username=f"{review.pk}-{n}") for n in (1, 2)):
            reviewing.judge_review(
                review.pk, reviewer=user, verdict="approved", intention=review.intention
            )
    page = root.get(figures, {"rule": rule.pk, "days": "30"})
    assert page.context["accuracies"][0]["right"] == empty.count()
    assert page.context["verdicts"]["kappa"] == "–", "Three calls are not enough."
    assert page.context["verdicts"]["rate"] == "100.0%"
    for odd in ({"rule": "x"}, {"rule": "9" * 5000}, {"days": "\x00"}, {"rule": "999999"}):
        assert root.get(figures, odd).status_code in (200, 400), odd


# ---------------------------------------------------------------------------------------- the rules


def send(client: Client, url: str, **more: Any) -> Any:
    data = {"name": "New", "is_active": "on", "percent": "5", "per_day": "", "second_percent": "10"}
    return client.post(url, data | {"since": "2026-01-01"} | more)


def test_a_rule_keeps_what_was_entered(world: World, root: Client) -> None:
    add = reverse("admin:campaigns_reviewrule_add")
    pasted = "https://desk.example/admin/campaigns/call/?dialog=yes&talk_from=99"
    response = send(
        root, add, result=["answered", "voicemail"], talk_from="10", intention="A, B", query=pasted
    )
    assert response.status_code == 302
    rule = ReviewRule.objects.get()
    assert rule.criteria == {
        "result__exact": ["answered", "voicemail"],
        "intention": ["A", "B"],
        "talk_from": "10",
        "dialog": "yes",
    }
    assert rule.created_by is not None
    page = root.get(reverse("admin:campaigns_reviewrule_change", args=[rule.pk]))
    form = page.context["adminform"].form
    assert form.initial["query"] == "dialog=yes" and form.initial["intention"] == "A, B"
    assert "All talks" not in page.content.decode()
    assert form.initial["percent"] == "5" and "5.00" not in page.content.decode()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"percent": ""}, "Give either a share"),
        ({"per_day": "3"}, "Give either a share"),
        ({"query": "colour=red"}, "is nothing to choose by"),
        ({"query": "talk_from=x"}, "talk time from"),
        ({"percent": "0"}, "Ensure this value"),
        ({"percent": "101"}, "Ensure this value"),
        ({"second_percent": "101"}, "Ensure this value"),
        ({"since": "0001-01-01"}, "no day of this century"),
    ],
)
def test_what_is_no_rule_is_said(
    world: World, root: Client, more: dict[str, str], words: str
) -> None:
    response = send(root, reverse("admin:campaigns_reviewrule_add"), **more)
    assert response.status_code == 200 and words in response.content.decode()
    assert not ReviewRule.objects.exists()


def test_from_the_list_of_calls_one_comes_with_its_filter(world: World, root: Client) -> None:
    page = root.get(reverse("admin:campaigns_reviewrule_add"), {"query": "dialog=yes"})
    assert 'value="dialog=yes"' in page.content.decode()


def test_rules_are_for_managers(rule: ReviewRule, log_in: Callable[[str], Client]) -> None:
    draw = reverse("admin:campaigns_reviewrule_draw", args=[rule.pk])
    operator, manager = log_in("operator"), log_in("manager")
    assert operator.post(draw).status_code == 403
    assert send(operator, reverse("admin:campaigns_reviewrule_add")).status_code == 403
    assert manager.get(draw).status_code == 405
    assert manager.post(draw).status_code == 302
    assert manager.get(reverse("admin:campaigns_reviewrule_changelist")).status_code == 200


# --------------------------------------------------------------------------------- any odd address


def test_odd_addresses_end_in_no_error(rule: ReviewRule, root: Client) -> None:
    root.raise_request_exception = False
    names = ("review_changelist", "reviewrule_changelist", "review_figures", "reviewrule_add")
    pages = {name: reverse(f"admin:campaigns_{name}") for name in names}
    own = ["state=%00", "state=x", "verdict=x", f"robot__id__exact={DIGITS}", "rule=x", "days=%00"]
    assert not try_queries(root, pages, [*ODD_QUERIES, *own, f"rule={DIGITS}", "query=%00"])


def test_the_list_asks_no_more_for_more_rows(rule: ReviewRule, root: Client, world: World) -> None:
    url = reverse("admin:campaigns_review_changelist")
    root.get(url)
    with CaptureQueriesContext(connection) as few:
        root.get(url)
    for number in range(12):
        make_call(world.running, world.contact, platform_call_id=f"more-{number}", turns_count=2)
    reviewing.draw_reviews(rule.pk, now=timezone.now() + LATER)
    with CaptureQueriesContext(connection) as many:
        root.get(url)
    assert len(many) <= len(few) + 1


def test_a_number_in_a_note_is_masked(rule: ReviewRule, log_in: Callable[[str], Client]) -> None:
    review = Review.objects.order_by("pk")[0]
    client = log_in("operator")
    go(
        client,
        "judge",
        review.pk,
        verdict="noted",
        note="Asked for 19900000001 instead",
        unsure="1",
    )
    page = client.get(reverse("admin:campaigns_review_change", args=[review.pk])).content.decode()
    assert "Asked for 199****0001 instead" in page and "19900000001" not in page
