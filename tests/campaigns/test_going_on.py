"""In: news of calls that are going on, and their records, in every order. Out: the same rows.

A call appears while it rings; it counts for nobody before its record is there.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from campaigns.evidence import merge, project, read_event
from campaigns.ingest import apply_events
from campaigns.models import Call
from campaigns.platforms.events import (
    CallEnded,
    CallProgressed,
    Direction,
    HangupBy,
    Result,
)
from tests.factories import make_account, make_contact, make_task

START = datetime(2021, 5, 8, 6, 39, 30, tzinfo=UTC)


def make_news(**fields: Any) -> CallProgressed:
    values: dict[str, Any] = {
        "source": "callStatus",
        "rank": 5,
        "platform_call_id": "403344537650466816",
        "direction": Direction.OUTBOUND,
        "callee": "19900000002",
    }
    return CallProgressed(**values | fields)


DIALLED = make_news(dialed_at=START, agent_number="20001")
RINGING = make_news(source="dialoutRing", ringing_at=START + timedelta(seconds=5))
LINKED = make_news(answered_at=START + timedelta(seconds=10), answered=True)
HUNG_UP = make_news(source="dialoutHangup", ended_at=START + timedelta(seconds=15))
MEDIA = make_news(
    source="mediaFailreason",
    rank=1,
    direction=None,
    callee=None,
    result=Result.BUSY,
    details={"media_failure": {"reason": "onThePhone"}},
)
RECORD = CallEnded(
    source="cdr",
    rank=20,
    platform_call_id="403344537650466816",
    direction=Direction.OUTBOUND,
    callee="19900000002",
    dialed_at=START + timedelta(seconds=5),
    answered_at=START + timedelta(seconds=10),
    ended_at=START + timedelta(seconds=16),
    answered=True,
    result=Result.ANSWERED,
    platform_result="ANSWER",
    hangup_by=HangupBy.AGENT,
    agent_number="20002",
)


def project_all(*events: Any) -> Any:
    evidence: Any = {}
    for event in events:
        evidence = merge(evidence, read_event(event)[0])
    return project(evidence)


@pytest.mark.parametrize(
    ("events", "stage"),
    [
        ((DIALLED,), "dialling"),
        ((DIALLED, RINGING), "ringing"),
        ((DIALLED, RINGING, LINKED), "talking"),
        ((LINKED,), "talking"),
        ((DIALLED, HUNG_UP), "ended"),
        ((MEDIA,), "ended"),
        ((RINGING, RECORD), "ended"),
        ((RECORD,), "ended"),
    ],
)
def test_the_stage_of_a_call(events: Any, stage: str) -> None:
    told = project_all(*events)
    assert told.columns["stage"] == stage
    assert told.columns["has_record"] is (RECORD in events)


def test_the_record_rules_and_what_came_on_the_way_is_no_contradiction() -> None:
    told = project_all(MEDIA, HUNG_UP, DIALLED, RECORD)
    assert told.columns["result"] == "answered"
    assert told.columns["ended_at"] == RECORD.ended_at
    assert told.columns["agent_number"] == "20002"
    assert told.columns["details"]["media_failure"] == {"reason": "onThePhone"}
    assert told.conflicts == {}
    assert project_all(MEDIA).columns["result"] == "busy"


@pytest.mark.django_db
def test_every_order_gives_the_same_call() -> None:
    columns = (
        *("direction", "callee", "dialed_at", "ringing_at", "answered_at", "ended_at", "answered"),
        *("result", "platform_result", "hangup_by", "agent_number", "stage", "happened_at"),
        *("details", "evidence", "conflicts", "has_record"),
    )
    seen = []
    for order in itertools.permutations([RINGING, LINKED, HUNG_UP, MEDIA, RECORD]):
        account = make_account()
        for event in (*order, *order):
            apply_events(account, [event])
        seen.append(Call.objects.filter(account=account).values(*columns).get())
    assert len(seen) == 120
    assert all(row == seen[0] for row in seen)


@pytest.mark.django_db
def test_a_call_that_rings_counts_for_nobody_before_its_record() -> None:
    task = make_task()
    contact = make_contact(
        task=task, phone="19900000002", status="accepted", platform_contact_id="7"
    )
    news = make_news(answered=True, platform_contact_id="7")
    apply_events(task.account, [news])
    contact.refresh_from_db()
    assert Call.objects.get().contact == contact
    assert (contact.status, contact.calls_made, contact.answered) == ("accepted", 0, False)
    apply_events(task.account, [RECORD])
    contact.refresh_from_db()
    assert (contact.status, contact.calls_made, contact.answered) == ("finished", 1, True)


def say(source: str, field: str, value: Any, *, rank: int = 10) -> Any:
    return {field: [[rank, source, value]]}


@pytest.mark.parametrize(
    ("field", "one", "other", "contradicts"),
    [
        ("platform_result", ("pds.HANGUP", "3"), ("api-node", "ByCallee"), False),
        ("platform_result", ("record.basic", "3"), ("record.outbound", "4"), True),
        ("result", ("pds.HANGUP", "busy"), ("api-node", "answered"), True),
        ("result", ("pds.HANGUP", "busy"), ("api-node", "unknown"), False),
        ("talk_seconds", ("a", 33), ("b", 34), False),
        ("talk_seconds", ("a", 33), ("b", 40), True),
        ("attempt", ("a", 1), ("b", 2), True),
        ("details.person", ("a.x", {"name": "A"}), ("a.y", {"age": "3"}), False),
        ("details.person", ("a.x", {"name": "A"}), ("a.y", {"name": "B"}), True),
        ("details.status", ("a", "1"), ("b", "2"), False),
        (
            "ended_at",
            ("a", "2026-03-01T01:00:00.000000+00:00"),
            ("b", "2026-03-01T01:00:00.640000+00:00"),
            False,
        ),
        (
            "ended_at",
            ("a", "2026-03-01T01:00:00.000000+00:00"),
            ("b", "2026-03-01T01:00:05.000000+00:00"),
            True,
        ),
        ("agent_number", ("a", "20001"), ("a", "20002"), False),
    ],
)
def test_what_is_a_contradiction(field: str, one: Any, other: Any, contradicts: bool) -> None:
    for first, second in ((one, other), (other, one)):
        evidence = merge(say(first[0], field, first[1]), say(second[0], field, second[1], rank=20))
        assert (field in project(evidence).conflicts) is contradicts


def test_a_number_is_found_in_one_form_whoever_wrote_it() -> None:
    told = project_all(make_news(callee="+8619900000002"), make_news(source="x", callee="8001"))
    assert told.columns["callee"] in ("19900000002", "8001")
    same = project_all(make_news(callee="+8619900000002"), make_news(source="x"))
    assert (same.columns["callee"], same.conflicts) == ("19900000002", {})
