"""In: pushes in every order, doubled, at once. Out: proof that they give the same rows."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns import evidence, ingest, turns
from campaigns.evidence import VAGUE, merge, project, read_event
from campaigns.models import (
    Account,
    Call,
    Contact,
    Instance,
    Recording,
    StatusChange,
    Task,
    Turn,
)
from campaigns.platforms.contract import Push, Reading
from campaigns.platforms.events import (
    AnyEvent,
    CallEnded,
    DialogReady,
    Direction,
    HangupBy,
    PlatformTaskState,
    RecordingReady,
    Result,
    Role,
    TaskChanged,
    TurnSaid,
)
from campaigns.platforms.registry import PLATFORMS
from tests.at_once import run_at_once
from tests.callbacks.pushes import make_dialog, make_record, make_voice
from tests.factories import make_account, make_contact, make_robot, make_task


def read(kind: str, body: bytes) -> AnyEvent:
    account = Account(platform="yeta")
    (event,) = PLATFORMS["yeta"].parse(Push(kind, body), Reading(account.zone))
    return event


def make_events(call: str = "call-1", **fields: Any) -> dict[str, Any]:
    return {
        "basic": read("receiveCallRecord", make_record(call, **fields)),
        "outbound": read("receiveCallRecord", make_record(call, outbound=True, **fields)),
        "voice": read("receiveVoice", make_voice(call)),
        "dialog": read("receiveDialog", make_dialog(call)),
    }


def list_orders(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every order of the names, each twice."""
    left = dict.fromkeys(names, 2)

    def go_on(order: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if len(order) == 2 * len(names):
            yield order
        for name in names:
            if left[name]:
                left[name] -= 1
                yield from go_on((*order, name))
                left[name] += 1

    yield from go_on(())


ORDERS = list(list_orders(("basic", "outbound", "voice", "dialog")))


# ------------------------------------------------------------------------------------- the algebra


def test_all_orders_give_the_same_evidence_and_no_field_is_ever_emptied() -> None:
    assert len(ORDERS) == 2520
    pieces = {name: read_event(event)[0] for name, event in make_events().items()}
    wanted = None
    for order in ORDERS:
        known: evidence.Evidence = {}
        columns: dict[str, Any] = {}
        for name in order:
            known = merge(known, pieces[name])
            now = project(known).columns
            for field, value in columns.items():
                if value not in (None, "", 0, False, "unknown", {}):
                    assert now[field] not in (None, "", 0, False, "unknown"), field
            columns = now
        wanted = wanted or (known, columns)
        assert (known, columns) == wanted
    assert wanted is not None
    assert wanted[1]["result"] == "answered" and wanted[1]["turns_count"] == 2


statements = st.tuples(
    st.integers(0, 3),
    st.sampled_from(["basic", "outbound", "dialog"]),
    st.one_of(st.text(max_size=3), st.integers(0, 5), st.booleans(), st.none()),
)
pieces = st.dictionaries(
    st.sampled_from(["result", "caller", "details.x", "hangup_by"]),
    st.lists(statements.map(list), min_size=1, max_size=12),
    max_size=4,
).map(lambda piece: merge(piece, {}))


@settings(max_examples=300, deadline=None)
@given(pieces, pieces, pieces)
def test_merge_is_commutative_associative_and_idempotent(
    one: evidence.Evidence, two: evidence.Evidence, three: evidence.Evidence
) -> None:
    assert merge(one, two) == merge(two, one)
    assert merge(merge(one, two), three) == merge(one, merge(two, three))
    assert merge(one, one) == one
    assert merge(merge(one, two), two) == merge(one, two)


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_all_at_once_or_one_by_one_in_any_order_is_the_same(told: list[Any], chance: Any) -> None:
    together = merge(*told)
    chance.shuffle(told)
    one_by_one: dict[str, Any] = {}
    for piece in told:
        one_by_one = merge(one_by_one, piece)
    assert one_by_one == together == merge(together, *told)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(statements.map(list), min_size=1, max_size=12), min_size=1, max_size=3))
def test_statements_that_agree_are_ordered_as_all_others(told: list[Any]) -> None:
    found = merge(*({"caller": items} for items in told))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "_agree", lambda items: False)
        assert repr(found) == repr(merge(*({"caller": items} for items in told)))


MOMENT = datetime(2026, 3, 5, 1, 2, 3, 456789, tzinfo=UTC)
plain = st.one_of(
    st.text(max_size=3),
    st.integers(-1, 2**31),
    st.booleans(),
    st.sampled_from(["x" * 3_400, "x" * 101, "x" * 65, "\x00", "\ud800", "您", 1.0, [], ["a"], {}]),
    st.sampled_from([Result.BUSY, Direction.OUTBOUND, HangupBy.AGENT]),
    st.sampled_from([MOMENT, MOMENT.replace(year=1980), MOMENT.replace(year=2100)]),
    st.sampled_from([MOMENT.replace(tzinfo=None), MOMENT.astimezone(timezone(timedelta(hours=8)))]),
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["caller", "dialed_at", "attempt", "result", "answered", "details.x"]), plain
)
def test_what_needs_no_closer_look_is_kept_as_with_one(field: str, value: Any) -> None:
    """``_make_storable`` is the closer look."""
    told = {"details": {"x": value}} if field == "details.x" else {field: value}
    event = CallEnded(source="s", platform_call_id="c", **told)
    found, problems = read_event(event)
    try:
        kept = evidence._make_storable(field, value) if value not in (None, "") else None
    except ValueError as error:
        assert (problems, field in found) == ({field: str(error)}, False)
    else:
        assert repr(found.get(field)) == repr(None if kept is None else [[0, "s", kept]])


#: what ``read_event`` makes: "not said" is no statement, "unknown" is one of few fields
known_pieces = st.dictionaries(
    st.sampled_from(["result", "caller", "details.x", "hangup_by", "intention"]),
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["basic", "outbound", "dialog"]),
            st.sampled_from(["unknown", "busy", "contact", "A", "19900000001", " "]),
        ).map(list),
        min_size=1,
        max_size=12,
    ),
    max_size=5,
).map(lambda piece: merge(piece, {}))


@settings(max_examples=300, deadline=None)
@given(known_pieces, known_pieces)
def test_what_is_known_never_becomes_empty(one: Any, two: Any) -> None:
    both = merge(one, two)
    assert {field for field, items in one.items() if items} <= {
        field for field, items in both.items() if items
    }
    before, after = project(one).columns, project(both).columns
    empty = ("", None, "unknown", 0, False, {})
    known = {name for name, value in before.items() if value not in empty}
    assert not {name for name in known if after[name] in empty and name in VAGUE}
    assert not {name for name in known if after[name] in ("", None, {})}


def test_the_believed_source_rules_and_the_other_is_named() -> None:
    basic = CallEnded(source="basic", rank=10, platform_call_id="c", callee="1", talk_seconds=28)
    outbound = CallEnded(source="outbound", rank=20, platform_call_id="c", callee="1")
    fuller = CallEnded(source="outbound", rank=20, platform_call_id="c", talk_seconds=21)
    both = merge(merge(read_event(basic)[0], read_event(outbound)[0]), read_event(fuller)[0])
    projection = project(both)
    assert projection.columns["talk_seconds"] == 21
    assert projection.conflicts == {
        "talk_seconds": [{"source": "outbound", "value": 21}, {"source": "basic", "value": 28}]
    }


@pytest.mark.parametrize(
    ("answered", "result", "shown", "was_answered"),
    [
        (True, None, "answered", True),
        (None, None, "unknown", None),
        (None, Result.TRANSFERRED, "transferred", True),
        (False, Result.BUSY, "busy", False),
        (True, Result.UNKNOWN, "unknown", True),
    ],
)
def test_what_a_single_record_means(
    answered: bool | None, result: Result | None, shown: str, was_answered: bool | None
) -> None:
    event = CallEnded(source="x", platform_call_id="c", answered=answered, result=result)
    columns = project(read_event(event)[0]).columns
    assert (columns["result"], columns["answered"]) == (shown, was_answered)


def test_unknown_never_hides_what_is_known() -> None:
    vague = CallEnded(source="b", rank=99, platform_call_id="c", result=Result.UNKNOWN)
    clear = CallEnded(source="a", rank=1, platform_call_id="c", result=Result.BUSY)
    both = merge(read_event(vague)[0], read_event(clear)[0])
    assert project(both).columns["result"] == "busy"
    assert project(both).conflicts == {}


def test_the_limits_are_those_of_the_columns() -> None:
    for name, limit in evidence.TEXTS.items():
        assert Call._meta.get_field(name).max_length == limit


# ----------------------------------------------------------------------------- through the database


def describe_rows(account: Account) -> dict[str, Any]:
    """Everything that the pushes amount to, without ids and clocks of ours."""
    ours = ("id", "created_at", "updated_at", "account_id", "task_id", "contact_id", "robot_id")
    return {
        "calls": [
            {name: value for name, value in row.items() if name not in ours}
            for row in Call.objects.filter(account=account).order_by("platform_call_id").values()
        ],
        "linked": list(
            Call.objects.filter(account=account)
            .order_by("platform_call_id")
            .values_list("contact__phone", "task__platform_task_id", "robot__platform_id")
        ),
        "turns": list(
            Turn.objects.filter(call__account=account)
            .order_by("call__platform_call_id", "position")
            .values_list("position", "role", "text", "hits", "node_id")
        ),
        "recordings": list(
            Recording.objects.filter(call__account=account)
            .order_by("address")
            .values_list("address", "announced_bytes", "announced_seconds", "status")
        ),
        "contacts": list(
            Contact.objects.filter(account=account)
            .order_by("phone")
            .values_list(
                *("status", "calls_made", "answered", "result", "intention", "last_call_at")
            )
        ),
    }


def make_campaign(**fields: Any) -> Task:
    account = make_account()
    robot = make_robot(account=account, platform_id="2745001")
    values = {"platform_task_id": "88785", "status": "running"}
    return make_task(account=account, robot=robot, **values | fields)


def make_called(task: Task, **fields: Any) -> Contact:
    values = {"phone": "19900000001", "platform_contact_id": "262381", "status": "accepted"}
    return make_contact(task=task, **values | fields)


def apply(account: Account, *events: AnyEvent) -> None:
    applied = ingest.apply_events(account, events)
    ingest.link_late(account.pk, applied.call_ids)


@pytest.mark.django_db
@pytest.mark.timeout(3600)
def test_orders_give_the_same_rows() -> None:
    """R4; all 2,520 orders go through the database with ``R4_ORDERS=2520``."""
    events = make_events()
    wanted = None
    for order in random.Random(4).sample(ORDERS, int(os.environ.get("R4_ORDERS", "40"))):
        task = make_campaign()
        make_called(task)
        cut = len(order) // 2  # some alone, some in one transaction
        for name in order[:cut]:
            apply(task.account, events[name])
        apply(task.account, *(events[name] for name in order[cut:]))
        rows = describe_rows(task.account)
        wanted = wanted or rows
        assert rows == wanted, order
    assert wanted is not None
    assert wanted["linked"] == [("19900000001", "88785", "2745001")]
    assert [status for status, *_ in wanted["contacts"]] == ["finished"]
    assert len(wanted["recordings"]) == 1 and len(wanted["turns"]) == 2


@pytest.mark.django_db
def test_a_repeat_writes_nothing(django_assert_num_queries: Any) -> None:
    task = make_campaign()
    make_called(task)
    events = list(make_events().values())
    apply(task.account, *events)
    before = list(Call.objects.values_list("updated_at", "evidence"))
    changes = StatusChange.objects.count()
    apply(task.account, *events)
    assert list(Call.objects.values_list("updated_at", "evidence")) == before
    assert StatusChange.objects.count() == changes


@pytest.mark.django_db
def test_a_batch_takes_few_statements(django_assert_max_num_queries: Any) -> None:
    task = make_campaign()
    events: list[AnyEvent] = []
    for number in range(50):
        make_called(task, phone=f"199000001{number:02d}", platform_contact_id=f"c{number}")
        events += make_events(f"call-{number}", task_data_id=f"c{number}").values()
    with django_assert_max_num_queries(30):
        apply(task.account, *events)
    assert Contact.objects.filter(status="finished").count() == 50
    assert Recording.objects.count() == 50


@pytest.mark.django_db
def test_a_new_recording_has_a_job_in_the_same_transaction() -> None:
    from procrastinate.contrib.django.models import ProcrastinateJob

    account = make_account()
    event = make_events()["voice"]
    apply(account, event)
    apply(account, event)
    job = ProcrastinateJob.objects.get()
    recording = Recording.objects.get()
    assert (job.task_name, job.args) == (ingest.FETCH_JOB, {"recording_id": recording.pk})


@pytest.mark.django_db
def test_of_two_dialogs_the_richer_one_is_shown_whichever_came_first() -> None:
    def make(*texts: str) -> DialogReady:
        turns = tuple(
            TurnSaid(position=place, role=Role.ROBOT, text=text) for place, text in enumerate(texts)
        )
        return DialogReady(source="d", platform_call_id="c", turns=turns)

    short, long, other = make("a"), make("a", "bb"), make("a", "cc")
    for order in itertools.permutations((short, long, other)):
        account = make_account()
        for event in order:
            apply(account, event)
        call = Call.objects.get(account=account)
        richest = max(order, key=_rich)
        assert richest != short
        said = [turn.text for turn in call.turns.order_by("position")]
        assert said == [turn.text for turn in richest.turns]
        assert call.turns_count == 2
        assert "dialog" in call.conflicts


def _rich(event: DialogReady) -> tuple[Any, ...]:
    found = turns.read_dialog(event.turns).described
    return (found["turns"], found["chars"], found["digest"])


@pytest.mark.django_db
def test_nothing_that_a_parser_lets_through_can_be_refused_by_a_column() -> None:
    account = make_account()
    event = CallEnded(
        source="s\x00\ud800" * 99,
        rank=10**30,
        platform_call_id="c\x00\ud800" + "x" * 500,
        platform_task_id="t" * 500,
        platform_contact_id="1\x00",
        relation_id="r\ud800",
        caller="9" * 500,
        callee="\x00",
        dialed_at=datetime(9999, 12, 31, tzinfo=UTC),
        ringing_at=datetime(2025, 1, 1),  # noqa: DTZ001
        answered_at=datetime(1, 1, 1, tzinfo=UTC),
        ring_seconds=2**63,
        talk_seconds=-1,
        attempt=2**31,
        platform_result="x" * 5000,
        details={
            "n\x00": float("nan"),
            "inf": float("inf"),
            "big": 2**70,
            "huge": "x" * 10**6,
            "deep": [[["\x00"]]],
            "odd": {1, 2},
        },
        problems={"p\x00" * 500: "w\ud800" * 500},
    )
    turn = TurnSaid(
        position=2**70,
        role=Role.ROBOT,
        text="\x00\ud800hello",
        node_name="n" * 5000,
        spoke_at=datetime(9999, 1, 1, tzinfo=UTC),
        hits=({"hit": "\x00"},),
    )
    dialog = DialogReady(
        source="d", platform_call_id=event.platform_call_id, turns=(turn,), intention="x" * 500
    )
    voice = RecordingReady(
        source="v",
        platform_call_id=event.platform_call_id,
        address="a\x00/" + "b" * 5000,
        size=2**70,
        seconds=-3,
    )
    apply(account, event, dialog, voice)
    apply(account, voice, dialog, event)
    call = Call.objects.get()
    assert {"dialed_at", "ringing_at", "answered_at", "ring_seconds", "attempt"} <= set(
        call.problems
    )
    assert call.platform_task_id == ""
    assert len(call.caller) == 64
    assert call.turns.get().text == "\ufffdhello"
    assert Recording.objects.get().announced_bytes is None


# ------------------------------------------------------------------------------------------ linking


@pytest.mark.django_db
def test_two_accounts_never_touch_each_others_rows() -> None:
    mine, theirs = make_campaign(), make_campaign()
    my_contact, their_contact = make_called(mine), make_called(theirs)
    # The same ids, and a forged account id in the body, pushed with my token.
    body = make_record(outbound=True, business_id=str(theirs.account_id), account_id="2")
    apply(mine.account, read("receiveCallRecord", body))
    assert Call.objects.get().contact == my_contact
    their_contact.refresh_from_db()
    assert (their_contact.status, their_contact.calls_made) == ("accepted", 0)
    apply(theirs.account, *make_events().values())
    assert Call.objects.filter(platform_call_id="call-1").count() == 2


@pytest.mark.django_db
def test_a_push_that_overtakes_our_own_reply_is_linked_in_all_orders() -> None:
    """The four pushes and the commit of our reply, in all 120 orders."""
    events: dict[str, Any] = make_events()
    wanted = None
    for order in itertools.permutations((*events, "reply")):
        task = make_campaign()
        # Masked, so that the number leads nowhere: only the id does.
        contact = make_called(task, phone="19900000099", platform_contact_id="", status="sending")
        for name in order:
            if name == "reply":
                Contact.objects.filter(pk=contact.pk).update(
                    status="accepted", platform_contact_id="262381"
                )
                ingest.link_calls(task.account_id, contact_ids=[contact.pk])
            else:
                apply(task.account, events[name])
        rows = describe_rows(task.account)
        wanted = wanted or rows
        assert rows == wanted, order
    assert wanted is not None
    assert wanted["linked"] == [("19900000099", "88785", "2745001")]
    assert wanted["contacts"][0][0] == "finished"


@pytest.mark.django_db
def test_the_sweep_links_what_no_pass_linked() -> None:
    task = make_campaign()
    contact = make_called(task, phone="19900000099", platform_contact_id="", status="sending")
    apply(task.account, make_events()["outbound"])
    assert ingest.link_pending() == 0
    Contact.objects.update(status="accepted", platform_contact_id="262381")
    assert ingest.link_pending() == 1
    contact.refresh_from_db()
    assert (contact.status, contact.calls_made) == ("finished", 1)
    assert ingest.link_pending() == 0


@pytest.mark.django_db
def test_a_lost_reply_is_made_up_for_by_the_number_if_it_is_the_only_one() -> None:
    task = make_campaign()
    lost = make_called(task, platform_contact_id="", status="unknown")
    make_called(task, phone="19900000002", platform_contact_id="", status="unknown")
    ready = make_called(make_task(account=task.account), platform_contact_id="", status="ready")
    apply(task.account, make_events(callee="+86 199-0000-0001")["outbound"])
    assert Call.objects.get().contact == lost
    lost.refresh_from_db()
    ready.refresh_from_db()
    assert (lost.status, ready.status) == ("finished", "ready")
    change = StatusChange.objects.get(subject="contact", subject_id=lost.pk)
    assert (change.old, change.new) == ("unknown", "finished")


@pytest.mark.django_db
def test_a_number_that_is_known_under_another_id_is_not_taken() -> None:
    task = make_campaign()
    make_called(task, platform_contact_id="another")
    apply(task.account, make_events()["outbound"])
    call = Call.objects.get()
    assert (call.contact, call.task) == (None, task)


@pytest.mark.django_db
def test_a_guess_by_number_gives_way_to_the_platforms_id() -> None:
    task = make_campaign()
    guessed = make_called(task, platform_contact_id="", status="sending")
    apply(task.account, make_events()["outbound"])
    assert Call.objects.get().contact == guessed
    right = make_called(task, phone="19900000002", status="accepted")
    Contact.objects.filter(pk=guessed.pk).update(platform_contact_id="77", status="accepted")
    ingest.link_calls(task.account_id, contact_ids=[guessed.pk, right.pk])
    assert Call.objects.get().contact == right
    guessed.refresh_from_db()
    right.refresh_from_db()
    assert (guessed.calls_made, guessed.status) == (0, "accepted")
    assert (right.calls_made, right.status) == (1, "finished")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("recalls", "tries", "answered", "status"),
    [
        (0, 0, False, "finished"),
        (2, 0, False, "accepted"),
        (2, 1, False, "accepted"),
        (2, 2, False, "finished"),
        (2, 0, True, "finished"),
    ],
)
def test_a_contact_is_done_when_it_answered_or_had_its_last_call(
    recalls: int, tries: int, answered: bool, status: str
) -> None:
    task = make_campaign(recall_count=recalls)
    contact = make_called(task)
    fields: dict[str, Any] = {"task_tries": tries}
    if not answered:
        fields |= {"task_result": "20", "time_answer": 0}
    apply(task.account, read("receiveCallRecord", make_record(outbound=True, **fields)))
    contact.refresh_from_db()
    assert (contact.status, contact.answered) == (status, answered)
    assert contact.result == ("answered" if answered else "no_answer")


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["rejected", "finished", "excluded", "ready", "planned"])
def test_late_news_moves_nothing_back(status: str) -> None:
    task = make_campaign()
    contact = make_called(task, status=status)
    apply(task.account, *make_events().values())
    contact.refresh_from_db()
    assert contact.status == status


@pytest.mark.django_db
def test_a_withdrawn_contact_that_was_called_all_the_same_is_told() -> None:
    task = make_campaign()
    contact = make_called(task, status="withdrawn")
    apply(task.account, *make_events().values())
    contact.refresh_from_db()
    assert contact.status == "finished"
    assert StatusChange.objects.filter(subject="contact", old="withdrawn").count() == 1


@pytest.mark.django_db
def test_the_calls_of_a_contact_give_the_same_summary_in_any_order() -> None:
    began = datetime(2026, 1, 5, 10, tzinfo=UTC)
    calls = [
        CallEnded(
            source="r",
            platform_call_id=f"call-{number}",
            platform_contact_id="262381",
            direction=Direction.OUTBOUND,
            ended_at=began + timedelta(minutes=number),
            attempt=number + 1,
            answered=number == 1,
            result=result,
        )
        for number, result in enumerate((Result.BUSY, Result.ANSWERED, Result.NO_ANSWER))
    ]
    seen = set()
    for order in itertools.permutations(calls):
        task = make_campaign(recall_count=3)
        make_called(task)
        for event in order:
            apply(task.account, event)
        seen.add(tuple(describe_rows(task.account)["contacts"]))
    assert seen == {(("finished", 3, True, "answered", "", began + timedelta(minutes=2)),)}


@pytest.mark.django_db
def test_an_inbound_call_needs_no_task() -> None:
    account = make_account()
    body = make_record(direction=1, call_relation_id="rel-1", task_id="0", task_data_id=None)
    apply(account, read("receiveCallRecord", body))
    call = Call.objects.get()
    assert (call.direction, call.relation_id, call.contact, call.task) == (
        "inbound",
        "rel-1",
        None,
        None,
    )


@pytest.mark.django_db
def test_the_state_of_a_task_is_kept_and_moves_nothing() -> None:
    task, other = make_campaign(), make_campaign()
    event = TaskChanged(
        platform_task_id="88785",
        state=PlatformTaskState.PAUSED,
        platform_state="3",
        contacts=12,
        counts={"count_tel": 12, "n\x00": 2**70},
    )
    ingest.apply_task_state(task, event)
    task.refresh_from_db()
    other.refresh_from_db()
    assert (task.platform_state, task.platform_contacts, task.status) == ("paused", 12, "running")
    assert task.platform_checked_at is not None
    assert other.platform_state == ""


@pytest.mark.django_db
def test_pushes_about_an_instance_give_the_same_state_in_every_order() -> None:
    """They say neither when they were made nor which follows which: the furthest state stays."""

    def make(state: PlatformTaskState, word: str, **fields: Any) -> TaskChanged:
        return TaskChanged(platform_task_id="w1", state=state, platform_state=word, **fields)

    running, finished = PlatformTaskState.RUNNING, PlatformTaskState.FINISHED
    events = [
        make(running, "Running"),
        make(finished, "Finished"),
        make(PlatformTaskState.UNKNOWN, "Odd"),
        make(running, "Running", node_id="n1", node_name="PDS1", counts={"dialedNumber": 3}),
        make(finished, "Finished", node_id="n1", counts={"dialedNumber": 2, "talkedNumber": 1}),
    ]
    seen = []
    for order in itertools.permutations(events):
        instance = Instance.objects.create(
            task=make_task(account=make_account(platform="airudder")),
            number=1,
            platform_task_id="w1",
        )
        for event in (*order, *order):
            ingest.apply_events(instance.task.account, [event])
        instance.refresh_from_db()
        seen.append((instance.platform_state, instance.platform_word, instance.nodes))
    assert all(told == seen[0] for told in seen)
    node = {"name": "PDS1", "state": "finished", "word": "Finished"}
    counts = {"dialedNumber": 3, "talkedNumber": 1}
    assert seen[0] == ("finished", "Finished", {"n1": node | {"counts": counts, "details": {}}})


# -------------------------------------------------------------------------------------- all at once


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(3600)
def test_the_same_pushes_on_sixteen_connections_at_once() -> None:
    """R5: one row per call, no lost field, no deadlock; the long version with ``R5_CALLS=300``."""
    calls = [f"call-{number}" for number in range(int(os.environ.get("R5_CALLS", "12")))]
    task = make_campaign()
    alone = make_campaign()
    for number, call in enumerate(calls):
        for one in (task, alone):
            make_called(one, phone=f"19900001{number:03d}", platform_contact_id=call)
    events = {call: list(make_events(call, task_data_id=call).values()) for call in calls}
    for call in calls:
        events[call][2:] = [
            read("receiveVoice", make_voice(call, task_data_id=call)),
            read("receiveDialog", make_dialog(call, task_data_id=call)),
        ]
        for event in events[call]:
            apply(alone.account, event)
    failures: list[BaseException] = []
    start = threading.Barrier(16)

    def work(seed: int) -> None:
        rng = random.Random(seed)
        mine = [event for call in calls for event in events[call]]
        rng.shuffle(mine)
        try:
            start.wait()
            while mine:
                size = rng.randint(1, 9)
                apply(task.account, *mine[:size])
                del mine[:size]
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert describe_rows(task.account) == describe_rows(alone.account)
    assert Call.objects.filter(account=task.account).count() == len(calls)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(3600)
def test_the_four_pushes_of_a_call_on_sixteen_connections_at_once_lose_no_field() -> None:
    """R5, where nothing is told again afterwards: what one connection writes over, nobody mends."""
    calls = [f"call-{number}" for number in range(int(os.environ.get("R5_CALLS", "12")))]
    task, alone = make_campaign(), make_campaign()
    events = {call: list(make_events(call, task_data_id=None).values()) for call in calls}
    for call in calls:
        for event in events[call]:
            apply(alone.account, event)

    together = threading.Barrier(16, timeout=120)

    def work(place: int) -> None:
        try:
            for call in calls:
                together.wait()
                apply(task.account, events[call][place % 4])
        except BaseException:
            together.abort()
            raise

    run_at_once([partial(work, place) for place in range(16)])
    assert describe_rows(task.account) == describe_rows(alone.account)
