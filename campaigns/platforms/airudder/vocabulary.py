"""In: the words and codes of AI Rudder's pushes. Out: ours. The only place that knows both.

From platforms/airudder-*.txt with the readings of platforms/decisions.md. The reasons why a call of
the predictive dialler ended, and the states of its contacts, are known from public client code only
(platforms/facts.md): they are *unverified*. No text of ours has a table of error codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from campaigns.platforms.contract import StatusTable
from campaigns.platforms.errors import ErrorCode
from campaigns.platforms.events import HangupBy, PlatformTaskState, Result


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a word says of a call: the vendor's ``text``, our word (``UNKNOWN`` where it leaves the
    result open), whether somebody picked up, and who hung up. None: it does not say."""

    text: str
    result: Result
    answered: bool | None = None
    hangup_by: HangupBy | None = None


#: ``hangup_type``. The robot hangs up when its script ends, so it was talking; a contact hangs up
#: after the answer, or rejects the call: what else the record says decides.
HANGUP_TYPES: dict[str, CallResult] = {
    "ByRobot": CallResult("ByRobot", Result.ANSWERED, True, HangupBy.ROBOT),
    "ByCallee": CallResult("ByCallee", Result.UNKNOWN, None, HangupBy.CONTACT),
}

#: ``hangupReason`` of the predictive dialler. 10 and 11 are missing in what we know. "normal" and
#: "hold" say nothing of an answer; after an answer that no agent took, the contact was abandoned.
HANGUP_REASONS: dict[str, CallResult] = {
    "0": CallResult("unknown", Result.UNKNOWN),
    "1": CallResult("no agent after answer", Result.ABANDONED, True),
    "2": CallResult("normal", Result.UNKNOWN),
    "3": CallResult("busy", Result.BUSY, False),
    "4": CallResult("not in use", Result.INVALID_NUMBER, False),
    "5": CallResult("hold", Result.UNKNOWN),
    "6": CallResult("switched off", Result.POWERED_OFF, False),
    "7": CallResult("out of area", Result.UNREACHABLE, False),
    "8": CallResult("invalid", Result.INVALID_NUMBER, False),
    "9": CallResult("wrong number", Result.INVALID_NUMBER, False),
    "12": CallResult("talked", Result.ANSWERED, True),
    "13": CallResult("agent reject", Result.ABANDONED, None, HangupBy.AGENT),
    "14": CallResult("user hang-up", Result.UNKNOWN, None, HangupBy.CONTACT),
    "15": CallResult("fusing", Result.CANCELLED, None, HangupBy.PLATFORM),
    "16": CallResult("AMD", Result.VOICEMAIL, False),
    "17": CallResult("agent network failed", Result.NETWORK_FAILURE),
    "18": CallResult("attempt limit", Result.CALL_RESTRICTED, False, HangupBy.PLATFORM),
    "19": CallResult("contact short abandoned", Result.ABANDONED, None, HangupBy.CONTACT),
    "20": CallResult("do-not-call", Result.CALL_RESTRICTED, False, HangupBy.PLATFORM),
}

#: What ``platform_result`` of a call may be: words of a record, codes of the predictive dialler.
RESULTS: dict[str, CallResult] = {**HANGUP_TYPES, **HANGUP_REASONS}

#: ``state`` of a task. Running is in the text, Finished in client code; no list of them is known.
TASK_STATES: dict[str, PlatformTaskState] = {
    "Running": PlatformTaskState.RUNNING,
    "Finished": PlatformTaskState.FINISHED,
}

#: ``state`` of a contact → the time of ours that its ``timestamp`` is.
CONTACT_STATES: dict[str, str | None] = {
    "CALLING": "dialed_at",
    "RINGING": "ringing_at",
    "ANSWERED": "answered_at",
    "HANGUP": "ended_at",
    "TALKRESULT": None,  # when an agent noted the result: no time of the call
}
#: the states after which nothing more happens in the call
FINAL_STATES = frozenset({"HANGUP", "TALKRESULT"})

#: ``whether_answer`` of a question.
ANSWERED_WORDS: dict[str, bool] = {"Answered": True}

#: No text names an error code of the cloud API.
ERRORS: dict[str, ErrorCode] = {}

#: Every table with the places of its words in pushes.
VOCABULARY: tuple[StatusTable, ...] = (
    StatusTable("who hung up", ("hangup_type",), HANGUP_TYPES),
    StatusTable("why a call ended", ("hangupReason",), HANGUP_REASONS),
    StatusTable("states of tasks", ("state", "status"), TASK_STATES),
    StatusTable("states of contacts", ("state",), CONTACT_STATES),
    StatusTable("answered questions", ("whether_answer",), ANSWERED_WORDS),
)


def find_word(table: Mapping[str, Any], word: str | None) -> str | None:
    """The word of the table that a vendor's word is, whatever its case. None for no known one."""
    if word is None or word in table:
        return word
    low = word.strip().lower()
    return next((known for known in table if known.lower() == low), None)


def get_task_state(word: str) -> PlatformTaskState:
    """Our word for the state of a task, ``UNKNOWN`` for one that no text has."""
    known = find_word(TASK_STATES, word)
    return TASK_STATES[known] if known else PlatformTaskState.UNKNOWN
