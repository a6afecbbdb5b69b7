"""AI Rudder's words against ours: every row of what is known, none forgotten, none made up."""

from __future__ import annotations

import pytest

from campaigns.platforms.airudder.vocabulary import (
    CONTACT_STATES,
    ERRORS,
    FINAL_STATES,
    HANGUP_REASONS,
    HANGUP_TYPES,
    RESULTS,
    TASK_STATES,
    VOCABULARY,
    find_word,
    get_task_state,
)
from campaigns.platforms.events import CallEnded, CallNews, PlatformTaskState, Result

# platforms/facts.md, "hangupReason", with our words: result, answered, hung up by.
EXPECTED_REASONS = """
0 | unknown | unknown | - | -
1 | no agent after answer | abandoned | yes | -
2 | normal | unknown | - | -
3 | busy | busy | no | -
4 | not in use | invalid_number | no | -
5 | hold | unknown | - | -
6 | switched off | powered_off | no | -
7 | out of area | unreachable | no | -
8 | invalid | invalid_number | no | -
9 | wrong number | invalid_number | no | -
12 | talked | answered | yes | -
13 | agent reject | abandoned | - | agent
14 | user hang-up | unknown | - | contact
15 | fusing | cancelled | - | platform
16 | AMD | voicemail | no | -
17 | agent network failed | network_failure | - | -
18 | attempt limit | call_restricted | no | platform
19 | contact short abandoned | abandoned | - | contact
20 | do-not-call | call_restricted | no | platform
"""


def test_every_reason_of_the_dialler() -> None:
    rows = [line.split(" | ") for line in EXPECTED_REASONS.strip().splitlines()]
    answered = {True: "yes", False: "no", None: "-"}
    assert {
        code: [
            known.text,
            known.result.value,
            answered[known.answered],
            known.hangup_by.value if known.hangup_by else "-",
        ]
        for code, known in HANGUP_REASONS.items()
    } == {code: rest for code, *rest in rows}


def test_who_hung_up() -> None:
    assert {
        word: (known.result.value, known.answered, known.hangup_by)
        for word, known in HANGUP_TYPES.items()
    } == {"ByRobot": ("answered", True, "robot"), "ByCallee": ("unknown", None, "contact")}


def test_the_results_are_the_words_of_both() -> None:
    assert {**HANGUP_TYPES, **HANGUP_REASONS} == RESULTS
    assert len(RESULTS) == len(HANGUP_TYPES) + len(HANGUP_REASONS)


def test_what_is_answered_is_no_failure() -> None:
    """A result that nobody picked up for is not said of a call that was answered."""
    for known in RESULTS.values():
        if known.result is Result.ANSWERED:
            assert known.answered is True
        if known.answered is True:
            assert known.result in (Result.ANSWERED, Result.ABANDONED)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Running", "running"),
        ("Finished", "finished"),
        ("finished", "finished"),
        ("Paused", "unknown"),  # no source has it
        ("", "unknown"),
    ],
)
def test_task_states(word: str, state: str) -> None:
    assert get_task_state(word) is PlatformTaskState(state)


def test_the_states_of_contacts_are_times_of_a_call() -> None:
    assert list(CONTACT_STATES) == ["CALLING", "RINGING", "ANSWERED", "HANGUP", "TALKRESULT"]
    columns = {column for column in CONTACT_STATES.values() if column}
    assert columns <= set(CallNews.__dataclass_fields__)
    assert set(CONTACT_STATES) > FINAL_STATES
    assert issubclass(CallEnded, CallNews)


def test_words_are_found_whatever_their_case() -> None:
    assert find_word(TASK_STATES, " RUNNING ") == "Running"
    assert find_word(TASK_STATES, None) is None
    assert find_word(TASK_STATES, "Runs") is None


def test_no_error_code_is_made_up() -> None:
    assert ERRORS == {}


def test_every_table_is_told() -> None:
    told = [table.words for table in VOCABULARY]
    for words in (HANGUP_TYPES, HANGUP_REASONS, TASK_STATES, CONTACT_STATES):
        assert words in told
