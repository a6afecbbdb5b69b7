"""In: rows and parameters. Out: that each parameter chooses its rows, is told, and kept as JSON.

Must catch: a parameter that nobody reads and that therefore chooses everything, a value of nobody
that is passed over, a whole number in what is told, two calls taken for one.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns import correcting
from campaigns.criteria import (
    CALL_CRITERIA,
    CALLS,
    CONTACT_CRITERIA,
    CONTACTS,
    BadCriteria,
    read_criteria,
    read_moment,
)
from campaigns.linking import summarise_contacts
from campaigns.models import Call, Contact, Turn, Verification
from tests.campaigns.admin.world import make_call, make_recording, make_turns
from tests.factories import (
    make_account,
    make_agent,
    make_contact,
    make_robot,
    make_task,
    make_verification,
)

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2020, 5, 5, 12, tzinfo=timezone.get_fixed_timezone(480))


def choose(kind: str, **params: Any) -> set[int]:
    criteria = read_criteria(kind, params)
    assert read_criteria(kind, json.loads(json.dumps(criteria.params))).params == criteria.params
    assert read_criteria(kind, QueryDict(criteria.make_query())).params == criteria.params
    assert all(label and words for label, words in criteria.describe())
    return set(criteria.select().values_list("pk", flat=True))


def make_pair(**fields: Any) -> tuple[Call, Call]:
    """The call that is meant, and one of which nothing of it is true."""
    task = make_task(round=2, account=make_account(platform="moor7"))
    contact = make_contact(task=task, calls_made=3, last_call_at=LONG_AGO)
    chosen = make_call(task, contact, **fields)
    far = make_task()
    other = make_call(
        far,
        make_contact(task=far, calls_made=1, last_call_at=timezone.now()),
        result="busy",
        intention="Z",
        direction="inbound",
        answered=False,
        talk_seconds=7,
        hangup_by="robot",
        caller="19900000098",
    )
    return chosen, other


def test_each_parameter_of_calls_chooses_its_rows() -> None:
    chosen, other = make_pair(
        happened_at=LONG_AGO,
        platform_result="17",
        agent_number="8877",
        stage="talking",
        caller="01062345678",
        callee="19900000001",
        relation_id="rel-1",
    )
    make_turns(chosen)
    make_recording(chosen, stored=False)
    make_agent(account=chosen.account, number="8877", name="小王")
    make_verification(call=chosen, status="mismatch")
    correcting.correct_intention(chosen, intention="D", by=None)
    correcting.add_remark(chosen, text="Asked for a leaflet.", by=None)
    assert chosen.task is not None
    assert chosen.contact is not None
    wanted: list[tuple[str, Any]] = [
        ("id__in", str(chosen.pk)),
        ("result__exact", "answered"),
        ("result__exact", ["answered", "voicemail"]),
        ("stage", "now"),
        ("stage", "talking"),
        ("intention", "A"),
        ("intention", "A, B"),
        ("right_intention", "D"),
        ("right_intention", "C, D"),
        ("corrected", "yes"),
        ("remarks", "yes"),
        ("direction__exact", "outbound"),
        ("answered__exact", "1"),
        ("hangup_by__exact", "contact"),
        ("dialog", "yes"),
        ("recording", "yes"),
        ("happened_at_to", "2020-05-05"),
        ("happened_at_to", "2020-05-05T12:00:01+08:00"),
        ("hour", "2020-05-05T11:30:00+08:00"),
        ("counts_as", "reached"),
        ("counts_as", ["answered", "talked"]),
        ("talk_from", "8"),
        ("node", "产品介绍"),
        ("left_at", "结束语"),
        ("step", "reached"),
        ("step", ["talked", "answered"]),
        ("attempts_from", "3"),
        ("not_called_since", "2021-01-01"),
        ("task__id__exact", str(chosen.task.pk)),
        ("family", str(chosen.task.pk)),
        ("round", "2"),
        ("account__id__exact", str(chosen.account.pk)),
        ("robot__id__exact", str(chosen.robot_id)),
        ("contact__id__exact", str(chosen.contact.pk)),
        ("platform", "moor7"),
        ("agent", "小王"),
        ("agent", "8877"),
        ("verification", "mismatch"),
        ("verification", "none"),
        ("platform_result", "17"),
        ("q", "+86 199-0000-0001"),
        ("q", "１９９００００００01"),
        ("q", "010 6234 5678"),
        ("q", chosen.platform_call_id),
        ("q", "rel-1"),
    ]
    for name, value in wanted:
        assert choose(CALLS, **{name: value}) == {chosen.pk}, name
    unwanted: list[tuple[str, Any]] = [
        ("result__exact", "busy"),
        ("stage", "ended"),
        ("intention", "Z"),
        ("right_intention", "Z"),
        ("corrected", "no"),
        ("remarks", "no"),
        ("answered__exact", "0"),
        ("dialog", "no"),
        ("recording", "no"),
        ("happened_at_from", "2020-05-06"),
        ("talk_to", "7"),
        ("short_of", "reached"),
        ("attempts_to", "2"),
    ]
    for name, value in unwanted:
        assert choose(CALLS, **{name: value}) == {other.pk}, name
    assert choose(CALLS, right_intention="A") == set(), "It was corrected: the other word holds."
    assert choose(CALLS, answered__isnull="True") == set()
    assert choose(CALLS, slot="2-12", happened_at_to="2021-01-01") == {chosen.pk}
    assert choose(CALLS, slot="2-11", happened_at_to="2021-01-01") == set()
    assert choose(CALLS, hour="2020-05-05T12:00:01+08:00") == set()
    assert choose(CALLS, counts_as="counted") == {chosen.pk, other.pk}
    assert choose(CALLS, counts_as=["invalid", "open"]) == set()
    Call.objects.filter(pk=chosen.pk).update(has_record=False, turns_count=0)
    assert choose(CALLS, counts_as="reached") == set()
    tried = {name for name, _value in wanted + unwanted} | {"answered__isnull", "slot"}
    assert tried == set(CALL_CRITERIA), "a parameter that no test has tried"


def test_each_parameter_of_contacts_chooses_its_rows() -> None:
    first = make_task()
    task = make_task(family=first, round=2, robot=make_robot())
    chosen = make_contact(
        task=task,
        phone="19900000001",
        status="excluded",
        reason="On the list.",
        calls_made=3,
        answered=True,
        result="no_answer",
        intention="A",
        last_call_at=LONG_AGO,
    )
    make_turns(make_call(task, chosen, talk_seconds=45))
    other = make_contact(calls_made=0, phone="19900000002", last_call_at=timezone.now())
    busy = make_contact(calls_made=0, phone="19900000003", last_call_at=timezone.now())
    make_call(busy.task, busy, talk_seconds=7)
    wanted: list[tuple[str, Any]] = [
        ("id__in", str(chosen.pk)),
        ("task__id__exact", str(task.pk)),
        ("family", str(first.pk)),
        ("round", "2"),
        ("account__id__exact", str(task.account_id)),
        ("robot__id__exact", str(task.robot_id)),
        ("status__exact", "excluded"),
        ("reason__exact", "On the list."),
        ("result", ["no_answer", "busy"]),
        ("intention", "A"),
        ("right_intention", "A"),
        ("called", "yes"),
        ("answered__exact", "1"),
        ("attempts_from", "1"),
        ("not_called_since", "2020-05-06"),
        ("last_call_at_to", "2020-05-05"),
        ("talk_from", "8"),
        ("node", "开场白"),
        ("step", "reached"),
        ("q", "0086 19900000001"),
    ]
    for name, value in wanted:
        assert choose(CONTACTS, **{name: value}) == {chosen.pk}, name
    rest = {other.pk, busy.pk}
    for name, value in (
        ("attempts_to", "2"),
        ("last_call_at_from", "2020-05-06"),
        ("short_of", "called"),
    ):
        assert choose(CONTACTS, **{name: value}) == rest, name
    assert choose(CONTACTS, talk_to="7") == {busy.pk}
    assert choose(CONTACTS, source__id__exact="1") == set()
    assert choose(CONTACTS, batch__id__exact="1") == set()
    tried = {name for name, _value in wanted}
    tried |= {"attempts_to", "last_call_at_from", "short_of", "talk_to", "source__id__exact"}
    assert tried | {"batch__id__exact"} == set(CONTACT_CRITERIA)


def test_who_was_corrected_is_chosen_by_what_a_person_said_last() -> None:
    contact = make_contact(intention="A")
    first = make_call(contact.task, contact, intention="A", happened_at=LONG_AGO)
    assert choose(CONTACTS, right_intention="A") == {contact.pk}
    correction = correcting.correct_intention(first, intention="C", by=None)
    assert choose(CONTACTS, right_intention="A") == set()
    assert choose(CONTACTS, right_intention="B, C") == {contact.pk}
    assert choose(CONTACTS, intention="A") == {contact.pk}, "The platform's word stays."
    newer = make_call(contact.task, contact, intention="")
    assert choose(CONTACTS, right_intention="C") == {contact.pk}, "It tells no intention."
    Call.objects.filter(pk=newer.pk).update(intention="A")
    assert choose(CONTACTS, right_intention="A") == {contact.pk}, "It tells another one since."
    assert choose(CONTACTS, right_intention="C") == set()
    correcting.correct_intention(newer, intention="", by=None)
    assert choose(CONTACTS, right_intention="A") == set()
    assert correction is not None


@pytest.mark.parametrize(
    "later",
    [{"answered": False, "attempt": 2}, {"has_record": False}, {"answered": None}],
    ids=["nobody picked up", "of which no record came", "of which nobody knows"],
)
def test_whom_a_person_heard_refuse_has_refused_whatever_came_later(later: dict[str, Any]) -> None:
    contact = make_contact()
    talk = make_call(contact.task, contact, intention="A", happened_at=LONG_AGO)
    make_call(contact.task, contact, intention="B", **later)
    summarise_contacts([contact.pk])
    contact.refresh_from_db()
    assert contact.intention == "A", "Who picked up is believed."
    correcting.correct_intention(talk, intention="C", by=None)
    assert choose(CONTACTS, right_intention="A") == set()
    assert choose(CONTACTS, right_intention="C") == {contact.pk}


def test_what_is_said_of_a_call_is_of_one_call() -> None:
    contact = make_contact()
    make_call(contact.task, contact, talk_seconds=100)
    short = make_call(contact.task, contact, talk_seconds=5)
    Turn.objects.create(call=short, position=0, role="robot", node_name="结束语", text="再见")
    assert choose(CONTACTS, talk_from="90", talk_to="110") == {contact.pk}
    assert choose(CONTACTS, talk_from="10", talk_to="50") == set()
    assert choose(CONTACTS, talk_from="90", node="结束语") == set()
    assert choose(CONTACTS, talk_to="5", node="结束语") == {contact.pk}


def test_words_and_parts_of_a_text() -> None:
    task = make_task()
    first = make_call(task, intention="有意向,要回访")
    second = make_call(task, intention="")
    assert choose(CALLS, intention="有意向,要回访") == {first.pk}
    assert choose(CALLS, intention="-") == {second.pk}
    assert choose(CALLS, intention="-，有意向,要回访") == {second.pk}
    assert choose(CALLS, intention=["-", "有意向,要回访"]) == {first.pk, second.pk}


@pytest.mark.parametrize("kind", [CALLS, CONTACTS])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("unknown", "1"),
        ("phone__regex", "."),
        ("task__account__credentials__contains", "a"),
        ("id__in", "1,x"),
        ("id__in", "9" * 30),
        ("task__id__exact", "1 OR 1=1"),
        ("talk_from", "-1"),
        ("talk_from", "9" * 5000),
        ("talk_from", "１"),
        ("talk_from", ["1", "2"]),
        ("not_called_since", "yesterday"),
        ("not_called_since", "9999-12-31"),
        ("not_called_since", "2026-13-41T99:00"),
        ("answered__exact", "perhaps"),
        ("answered__exact", "\x00"),
        ("node", "\x00"),
        ("node", "\ud800"),
        ("node", "x" * 5000),
        ("node", ",".join(map(str, range(500)))),
        ("round", {"a": 1}),
        ("round", [None]),
        ("hour", "2026-11-21"),
        ("hour", "T" * 500),
    ],
)
def test_what_cannot_be_meant_is_refused(kind: str, name: str, value: Any) -> None:
    with pytest.raises(BadCriteria) as refused:
        read_criteria(kind, {name: value})
    assert str(refused.value)
    str(refused.value).encode()


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (CALLS, "result__exact", "nonsense"),
        (CALLS, "stage", "later"),
        (CALLS, "platform", "elsewhere"),
        (CALLS, "verification", "maybe"),
        (CALLS, "dialog", "some"),
        (CALLS, "step", "far"),
        (CALLS, "slot", "8-09"),
        (CALLS, "slot", "1-24"),
        (CALLS, "slot", "１-09"),
        (CONTACTS, "short_of", "far"),
        (CONTACTS, "status__exact", "gone"),
        (CONTACTS, "called", "often"),
        ("pigeons", "q", "1"),
    ],
)
def test_a_word_of_nobody_is_refused(kind: str, name: str, value: str) -> None:
    with pytest.raises(BadCriteria):
        read_criteria(kind, {name: value})


def test_what_chooses_no_rows_is_passed_over() -> None:
    criteria = read_criteria(
        CALLS, QueryDict("p=3&o=1&all=&_facets=1&before=x&q=&intention=++&result__exact=")
    )
    assert criteria.params == {}
    assert not criteria
    assert criteria.describe() == []


def test_days_are_of_the_readers_zone_and_end_at_their_end() -> None:
    assert read_moment("2026-11-21", until=True) - read_moment("2026-11-21") == timedelta(days=1)
    exact = read_moment("2026-11-21T13:00")
    assert timezone.localtime(exact).hour == 13
    assert read_moment("2026-11-21T13:00", until=True) == exact
    assert read_moment("2026-11-21T13:00:00 08:00").utcoffset() == timedelta(hours=8)


def test_no_number_is_told() -> None:
    told = str(read_criteria(CALLS, {"q": "199 0000 0001"}).describe())
    assert "199****0001" in told
    assert "0000 0001" not in told
    many = read_criteria(CONTACTS, {"id__in": ["1,2", "3,4"]})
    assert many.params == {"id__in": ["1", "2", "3", "4"]}
    assert "4" in many.describe()[0][1]


def test_nothing_is_counted() -> None:
    make_call(make_task())
    criteria = read_criteria(CALLS, {"task__id__exact": "1", "q": "19900000001", "agent": "8877"})
    with CaptureQueriesContext(
        connection,
    ) as told:
        list(criteria.select()[:1])
    assert not any("COUNT(" in one["sql"] for one in told.captured_queries)


def test_what_is_led_by_an_index_says_so() -> None:
    assert read_criteria(CALLS, {"q": "1"}).leads
    assert read_criteria(CALLS, {"stage": "now"}).leads
    assert not read_criteria(CALLS, {"stage": "ended"}).leads
    assert not read_criteria(CALLS, {"talk_from": "3", "task__id__exact": "1"}).leads
    assert Verification.objects.count() == Contact.objects.count() == 0
