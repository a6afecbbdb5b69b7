"""The tables of 7moor: whole, and as the text has them."""

from __future__ import annotations

import pytest

from campaigns.platforms.events import AgentState, Direction, Result
from campaigns.platforms.moor7 import PLATFORM
from campaigns.platforms.moor7 import vocabulary as words


def test_no_word_means_two_results() -> None:
    assert len(words.RESULTS) == sum(
        len(table) for table in (words.STATUSES, words.FAILURES, words.MEDIA_FAILURES)
    )
    assert PLATFORM.results == words.RESULTS
    for known in words.RESULTS.values():
        assert known.answered == (known.result in (Result.ANSWERED, Result.TRANSFERRED))
        assert known.text


def test_only_incoming_is_inbound() -> None:
    inbound = {word for word, told in words.DIRECTIONS.items() if told is Direction.INBOUND}
    assert inbound == {"incoming"}
    assert len(words.DIRECTIONS) == 5


def test_every_state_has_a_name_and_a_place_in_time() -> None:
    assert set(words.AGENT_STATE_NAMES) == set(words.AGENT_STATES)
    assert set(words.AGENT_STATES.values()) | {AgentState.CUSTOM} == set(words.STATE_ORDERS)
    for order in (*words.STATE_ORDERS.values(), words.OTHER_ORDER):
        assert words.LOGIN_ORDER < order < words.LOGOUT_ORDER


@pytest.mark.parametrize(("number", "name"), list(words.AGENT_STATE_NAMES.items()))
def test_a_state_is_known_by_number_or_name(number: str, name: str) -> None:
    assert words.get_agent_state(number, None) is words.get_agent_state(None, name)
    assert words.get_agent_state(number, "别的") is words.AGENT_STATES[number]


def test_nothing_can_be_asked_of_it() -> None:
    assert (PLATFORM.connect, PLATFORM.can, PLATFORM.credentials) == (None, frozenset(), ())
    assert [entry.name for entry in PLATFORM.settings] == ["account_id", "recording_hosts"]
