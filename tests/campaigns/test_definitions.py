"""In: calls of every result. Out: one meaning of "a person", in Python, in Django and in SQL.

Must catch: invalid numbers inside an answer rate, a voicemail or a forwarded call counted as a
person, calls that came in inside the rate of those we made, a rate out of nothing, and a second
definition that drifted away from the first.
"""

from __future__ import annotations

import pytest
from django.db import connection
from django.utils import translation

from campaigns import definitions
from campaigns.definitions import Tally, is_invalid, is_open, is_reached, tally_calls
from campaigns.models import Call
from campaigns.statistics import summarise_calls
from tests.campaigns.admin.world import make_call
from tests.factories import make_task


@pytest.mark.django_db
def test_one_meaning_in_three_languages() -> None:
    task = make_task()
    for result in Call.Result.values:
        for answered in (True, False, None):
            for seconds in (None, 0, 9, 10):
                make_call(task, result=result, answered=answered, talk_seconds=seconds)
    calls = Call.objects.filter(task=task)
    expected = {
        "reached": {
            call.pk for call in calls if is_reached(result=call.result, answered=call.answered)
        },
        "invalid": {call.pk for call in calls if is_invalid(result=call.result)},
        "open": {call.pk for call in calls if is_open(result=call.result, answered=call.answered)},
    }
    expected["talked"] = {
        call.pk for call in calls if call.pk in expected["reached"] and call.talk_seconds == 10
    }
    expected["outbound"] = expected["counted"] = {call.pk for call in calls}
    assert set(expected) == set(definitions.SQL)
    for name, wanted in expected.items():
        condition = getattr(definitions, f"IS_{name.upper()}")
        assert set(calls.filter(condition).values_list("pk", flat=True)) == wanted, name
        assert set(calls.exclude(condition).values_list("pk", flat=True)).isdisjoint(wanted), name
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT c.id, {definitions.SQL[name]} FROM campaigns_call c WHERE c.task_id = %s",
                [task.pk],
            )
            found = dict(cursor.fetchall())
        assert None not in found.values()
        assert {pk for pk, yes in found.items() if yes} == wanted, name
    summary = summarise_calls(calls)
    assert (summary.calls, summary.reached) == (calls.count(), len(expected["reached"]))
    assert (summary.invalid, summary.unknown) == (len(expected["invalid"]), len(expected["open"]))
    assert summary.talked == len(expected["talked"])


def test_the_answer_rate_is_of_those_we_called_and_could_reach() -> None:
    whole = sum(
        [
            tally_calls(result="answered", answered=True, calls=3),
            tally_calls(result="no_answer", answered=False, calls=5),
            tally_calls(result="voicemail", answered=True, calls=1),
            tally_calls(result="forwarded", answered=True, calls=1),
            tally_calls(result="invalid_number", answered=False, calls=7),
            tally_calls(result="unknown", answered=None, calls=11),
            tally_calls(result="answered", answered=True, calls=90, inbound=True),
            tally_calls(result="unknown", answered=None, calls=4, inbound=True),
            tally_calls(result="invalid_number", answered=False, calls=2, inbound=True),
        ],
        Tally(),
    )
    assert whole.answer_base == 10
    assert whole.answer_rate == 3 / 10
    assert (whole.calls, whole.answered, whole.reached) == (124, 95, 93)


def test_talk_time_is_of_people_whose_length_is_known() -> None:
    people = tally_calls(
        result="answered", answered=True, calls=4, timed=3, talked=2, talk_seconds=60
    )
    mailbox = tally_calls(result="voicemail", answered=True, calls=5, timed=5, talk_seconds=500)
    whole = people + mailbox
    assert whole.talk_average == 20
    assert whole.talk_rate == 2 / 3


def test_nothing_to_divide_by_is_no_rate() -> None:
    nothing = Tally()
    assert (nothing.answer_rate, nothing.talk_average, nothing.talk_rate) == (None, None, None)
    assert tally_calls(result="invalid_number", answered=False, calls=5).answer_rate is None
    assert tally_calls(result="unknown", answered=None, calls=5).answer_rate is None
    assert tally_calls(result="no_answer", answered=False).answer_rate == 0.0
    assert definitions.rate_intention(with_intention=0, reached=0) is None
    assert definitions.show_rate(None) == definitions.show_number(None) == "–"


def test_numbers_are_told_as_people_write_them() -> None:
    with translation.override("en"):
        assert definitions.show_rate(0.1234) == "12.3%"
        assert definitions.show_rate(0.0) == "0.0%"
        assert definitions.show_number(1234567) == "1,234,567"
        assert definitions.show_change(150, 100) == "+50.0%"
        assert definitions.show_change(50, 100) == "−50.0%"
        assert definitions.show_change(100, 100) == "±0.0%"
        assert definitions.show_change(5, 0) == definitions.show_change(None, 5) == "–"
        assert definitions.show_points(0.5, 0.45) == "+5.0 points"
        assert definitions.show_points(None, 0.45) == "–"


def test_every_definition_has_a_name_and_a_sentence() -> None:
    for one in definitions.DEFINITIONS.values():
        assert str(one.name)
        assert str(one.text).endswith(".")
