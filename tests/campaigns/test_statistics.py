"""In: contacts and calls. Out: the numbers of the screens, and no rate without a denominator.

Must catch: invalid numbers inside an answer rate, a voicemail counted as a person, contacts that
are in no total, a progress that counts what was sent instead of what is done.
"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from campaigns.models import Call, Contact
from campaigns.statistics import summarise_calls, summarise_home, summarise_task
from tests.campaigns.admin.world import make_call, make_user
from tests.factories import make_contact, make_task

pytestmark = pytest.mark.django_db


def test_every_contact_is_in_one_number() -> None:
    task = make_task()
    for state in Contact.Status.values:
        make_contact(task=task, status=state)
    summary = summarise_task(task)
    assert summary.contacts == dict.fromkeys(Contact.Status.values, 1)
    assert summary.total == 9
    assert summary.to_call == 7
    assert summary.done == 2
    assert summary.share == 2 / 7


def test_what_was_only_sent_is_not_done() -> None:
    task = make_task()
    for _ in range(3):
        make_contact(task=task, status="accepted")
    assert summarise_task(task).done == 0


def test_no_rate_without_a_denominator() -> None:
    task = make_task()
    summary = summarise_task(task)
    assert summary.share is None
    assert summary.called.answer_rate is None
    assert summary.called.talk_average is None
    make_call(task, result="invalid_number", answered=False, talk_seconds=None)
    assert summarise_task(task).called.answer_rate is None


def test_the_answer_rate_is_of_people_at_numbers_that_exist() -> None:
    task = make_task()
    make_call(task, talk_seconds=30)
    make_call(task, result="no_answer", answered=False, talk_seconds=None)
    make_call(task, result="voicemail", answered=True, talk_seconds=10)
    make_call(task, result="invalid_number", answered=False, talk_seconds=None)
    make_call(task, result="unknown", answered=None, talk_seconds=None)
    called = summarise_calls(Call.objects.filter(task=task))
    assert (called.calls, called.answered, called.reached) == (5, 2, 1)
    assert called.answer_rate == 1 / 3
    assert called.talk_average == 30
    assert sum(called.results.values()) == 5


def test_a_task_sums_up_in_five_queries(django_assert_max_num_queries: object) -> None:
    task = make_task()
    for _ in range(5):
        make_call(task, make_contact(task=task))
    with django_assert_max_num_queries(5):
        summary = summarise_task(task)
    assert (summary.calls, summary.answered, summary.intentions) == (5, 5, {"A": 5})


def test_the_first_screen_tells_only_what_one_may_see() -> None:
    task = make_task(status="running", needs_attention=True)
    make_call(task, stage="talking", has_record=False)
    nobody = User.objects.create_user("nobody", is_staff=True)
    seen = summarise_home(nobody)
    assert (seen.running, seen.attention, seen.going_on) == ([], [], 0)
    seen = summarise_home(make_user())
    assert (seen.running, seen.attention, seen.going_on) == ([task], [task], 1)
    other = make_task(status="running")
    assert summarise_home(make_user(username="two"), account=other.account).running == [other]
