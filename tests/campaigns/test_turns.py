"""In: turns of every kind. Out: proof that the fast way of reading a dialog says what the slow one
says: the same digest, the same rows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns import turns
from campaigns.models import Call, Turn
from campaigns.platforms.events import Role, TurnSaid
from tests.factories import make_account

MOMENT = datetime(2026, 3, 5, 1, 2, 3, 456789, tzinfo=UTC)
texts = st.one_of(
    st.just(""),
    st.text(max_size=8),
    st.sampled_from(["\\", "\\N", "\\u0000", "\t", "a\nb", "\r", '"', "\x00", "\ud800"]),
    st.sampled_from(["您好", "x" * 250]),
)  # fmt: skip
times = st.sampled_from(
    [
        None,
        MOMENT,
        MOMENT.replace(microsecond=0),
        MOMENT.replace(year=1970),
        MOMENT.replace(year=9999),
        MOMENT.replace(tzinfo=None),
        MOMENT.astimezone(timezone(timedelta(hours=8))),
    ]
)
hits = st.sampled_from(
    [
        (),
        ({"hit": "肯定", "pick": True, "answer_id": "a1"},),
        ({"hit": "\x00", "n": 2**70, "deep": {"k" * 300: [1.5, None]}},),
        ({"hit": 10**19},),
    ]
)
said = st.builds(
    TurnSaid,
    position=st.integers(0, 5),
    role=st.sampled_from(Role),
    text=texts,
    node_id=texts,
    node_name=texts,
    node_type=texts,
    label=texts,
    intention=texts,
    intention_text=texts,
    question_id=texts,
    started_at=times,
    spoke_at=times,
    hits=hits,
)


def describe_slowly(dialog: list[TurnSaid]) -> dict[str, Any]:
    rows = [turns._list_turn(turn) for turn in dialog]
    return {
        "turns": len(rows),
        "chars": sum(len(row["text"]) for row in rows),
        "digest": hashlib.sha256(turns._spell(rows).encode()).hexdigest()[:32],
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(said, max_size=3))
def test_a_dialog_is_the_same_however_it_is_read(dialog: list[TurnSaid]) -> None:
    compare(dialog)


@pytest.mark.parametrize("name", [*turns.LIMITS, "text"])
@pytest.mark.parametrize(
    "value",
    [*("", "a\\b", "\\N", "a\tb", "a\nb", "\r", '"', "\x00", "\ud800"), "您" * 250, "x" * 21_000],
)
def test_one_odd_field_changes_nothing_of_that(name: str, value: str) -> None:
    odd = {"role": Role.ROBOT, "text": "x", "started_at": MOMENT} | {name: value}
    compare([TurnSaid(position=0, **odd), TurnSaid(position=1, role=Role.CONTACT, text="y")])


def compare(dialog: list[TurnSaid]) -> None:
    read = turns.read_dialog(dialog)
    assert read.described == describe_slowly(dialog)
    assert read.rows == [turns._write_row(place, turn) for place, turn in enumerate(dialog)]


def test_what_a_dialog_is_known_by_stays_as_it_is() -> None:
    """It stands in the evidence of calls: another digest would be another dialog."""
    turn = TurnSaid(
        position=0, role=Role.CONTACT, text="可以的", node_id="n-1", started_at=MOMENT,
        hits=({"hit": "肯定", "pick": True, "answer_id": "a1"},),
    )  # fmt: skip
    assert turns.read_dialog([turn]).described == {
        "turns": 1,
        "chars": 3,
        "digest": "9a93fd759c319bcf6fa1a526a5b2c48d",
    }


@pytest.mark.django_db
def test_rows_come_back_from_the_database_as_they_were_said() -> None:
    from django.db import connection

    told = ["您好", "a\tb\nc\\N\\", "", "\x00\ud800 x", "\\"]
    dialog = [
        TurnSaid(position=place, role=Role.ROBOT, text=text, node_id=text, spoke_at=MOMENT)
        for place, text in enumerate(told)
    ]
    for some in ([dialog[0], dialog[2]], dialog):
        call = Call.objects.create(account=make_account(), platform_call_id="c", happened_at=MOMENT)
        rows = turns.read_dialog(some).rows
        with connection.cursor() as cursor, cursor.copy(turns.COPY) as copy:
            copy.write(turns.spell_rows(call.pk, rows))
        wanted = [turns.clean_text(turn.text) for turn in some]
        kept = Turn.objects.filter(call=call).order_by("position")
        assert [(turn.text, turn.node_id) for turn in kept] == [(one, one) for one in wanted]
        assert {turn.spoke_at for turn in kept} == {MOMENT}
        assert {turn.started_at for turn in kept} == {None}
